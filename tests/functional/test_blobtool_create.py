# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-blob create, and what comes out again: sizes, content, sparseness, refusals."""

import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess

import pytest

from blobtool import (DAMAGED, FAILURE, INTERNAL, MIB, NOT_FOUND, REFUSED, ROOT_ID, USAGE, Disk,
                      Tool, allocated, content, copy, same_bytes)
from conftest import RpcClient, wait_until


@pytest.fixture
def tool(program, tmp_path):
    return Tool(program("cyborg-spdk-blob"), tmp_path)


@pytest.fixture
def raw(tmp_path):
    """3 MiB and 777 bytes, with a hole, and a page of data in the middle of zeroes."""
    path = tmp_path / "raw"
    with open(path, "wb") as f:
        f.write(content("raw", MIB))
        f.seek(2 * MIB + 40960)
        f.write(content("page", 4096))
        f.truncate(3 * MIB + 777)
    return path


@pytest.fixture
def image(tool, raw, tmp_path):
    tool.create("image", f"v={raw}", "empty=10M", "none=0")
    return tmp_path / "image"


def padded(data, cluster=MIB):
    return data + bytes(-len(data) % cluster)


def test_facts(tool, image):
    store, = tool.inspect(image)["stores"]
    assert (store["name"], store["cluster_size"], store["block_size"]) == ("lvs0", MIB, 512)
    assert store["total_data_clusters"] == 63 and store["free_clusters"] == 61
    assert store["super_block"]["clean"] and not store["damaged"]
    lvols = tool.lvols(image)
    assert list(lvols) == ["v", "empty", "none"]
    assert (lvols["v"]["size_bytes"], lvols["v"]["num_allocated_clusters"]) == (4 * MIB, 2)
    assert (lvols["empty"]["num_clusters"], lvols["none"]["num_clusters"]) == (10, 0)
    assert all(lvol["is_thin_provisioned"] for lvol in lvols.values())
    assert tool.check(image) == {}


def test_export_gives_the_content_back(tool, image, raw, tmp_path):
    whole = padded(raw.read_bytes())
    assert tool.export(image, "lvs0/v") == whole
    assert tool.export(image, tool.lvols(image)["v"]["uuid"].upper()) == whole
    assert tool.export(image, "0x100000001") == whole
    assert tool.export(image, "lvs0/empty") == bytes(10 * MIB)
    assert tool.export(image, "lvs0/none") == b""
    tool.run("export", image, "lvs0/v", "out")
    assert (tmp_path / "out").read_bytes() == whole
    assert allocated(tmp_path / "out") < 1200 * 1024 and allocated(image) < 1400 * 1024


@pytest.mark.parametrize("options,size,cluster", [
    (("--block-size", "4096"), "64M", "1M"), (("--md-page-size", "8192"), "64M", "1M"),
    (("--md-ratio", "25"), "64M", "4K"), ((), "96M", "3M"), (("--md-ratio", "50"), "32M", "64K")])
def test_other_layouts(tool, raw, tmp_path, options, size, cluster):
    tool.create("image", f"v={raw}", "big=40M", *options, size=size, cluster=cluster)
    assert tool.check("image") == {}
    data = raw.read_bytes()
    assert tool.export("image", "lvs0/v")[:len(data)] == data
    assert not any(tool.export("image", "lvs0/v")[len(data):])


def test_table_of_several_pages(tool, tmp_path):
    """Every 512th cluster has data: each needs an extent page, and the table a second page."""
    with open(tmp_path / "raw", "wb") as f:
        for i in range(600):
            f.seek(i * 512 * 4096)
            f.write(content(f"t{i}", 4096))
    tool.create("image", "v=raw", "--md-ratio", "25", size="32M", cluster="4K")
    assert tool.check("image") == {}
    assert len(Disk(tmp_path / "image").chain(1)) == 2
    tool.run("export", "image", "lvs0/v", "out")
    os.truncate(tmp_path / "raw", os.stat(tmp_path / "out").st_size)
    assert same_bytes(tmp_path / "raw", tmp_path / "out")


def test_thick(tool, raw):
    tool.create("image", f"v={raw}", "empty=10M", "--thick")
    lvols = tool.lvols("image")
    assert not lvols["v"]["is_thin_provisioned"]
    assert (lvols["v"]["num_allocated_clusters"], lvols["empty"]["num_allocated_clusters"]) == (4, 10)
    assert tool.export("image", "lvs0/v") == padded(raw.read_bytes())
    assert tool.check("image") == {}


def test_one_file_for_several_volumes(tool, raw):
    tool.create("image", f"a={raw}", f"b={raw}", "c=1M", f"d={raw}")
    assert tool.export("image", "lvs0/a") == padded(raw.read_bytes())
    assert tool.export("image", "lvs0/d") == tool.export("image", "lvs0/b") == \
        tool.export("image", "lvs0/a")


def test_old_content_does_not_show(tool, tmp_path):
    (tmp_path / "image").write_bytes(os.urandom(16 * MIB))
    message = tool.refused("create", "image", "lvs0", "v=2M")
    serial = message.split("--force ")[-1].split()[0]
    tool.run("create", "image", "lvs0", "v=2M", "-c", "1M", "--thick", "--force", serial)
    assert tool.export("image", "lvs0/v") == bytes(2 * MIB)
    assert allocated(tmp_path / "image") < MIB


def test_qcow2(tool, raw, tmp_path):
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", "raw", "file.qcow2"], cwd=tmp_path,
                   check=True)
    tool.create("image", "v=file.qcow2")
    data = raw.read_bytes()
    assert tool.export("image", "lvs0/v")[:len(data)] == data
    assert not [name for name in os.listdir("/var/tmp") if name.startswith("cyborg-spdk-blob.")]


def test_qcow2_without_qemu_img(tool, tmp_path):
    (tmp_path / "file.qcow2").write_bytes(b"QFI\xfb" + bytes(65532))
    env = {**os.environ, "PATH": str(tmp_path)}
    done = tool.run("create", "image", "lvs0", "--size", "64M", "v=file.qcow2", code=NOT_FOUND,
                    env=env)
    assert "qemu-utils" in done.stderr and not (tmp_path / "image").exists()


def test_cli_starts_it(program, tool, image):
    done = subprocess.run([program("cyborg-spdk"), "blob", "check", image], text=True,
                          stdout=subprocess.PIPE, check=True)
    assert "0 errors" in done.stdout
    for words, code in ((["blob"], USAGE), (["blob", "check", "/nowhere"], NOT_FOUND),
                        (["blob", "--help"], 0)):
        assert subprocess.run([program("cyborg-spdk"), *words], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == code
    overview = subprocess.run([program("cyborg-spdk"), "--help"], text=True,
                              stdout=subprocess.PIPE, check=True).stdout
    assert "  blob " in overview


def test_cli_without_the_program(program, tmp_path):
    shutil.copy(program("cyborg-spdk"), tmp_path)
    done = subprocess.run([tmp_path / "cyborg-spdk", "blob", "check", "x"], text=True,
                          env={"PATH": str(tmp_path)}, stderr=subprocess.PIPE, check=False)
    assert done.returncode == NOT_FOUND and "cyborg-spdk-blob" in done.stderr


# --- volumes for a store that is there ------------------------------------------------------------

def test_add(tool, image, raw, tmp_path):
    before = tool.inspect(image)["stores"][0]
    (tmp_path / "more").write_bytes(content("more", 3 * MIB))
    tool.run("create", image, "lvs0", "more=more", f"again={raw}", "big=30M")
    store, = tool.inspect(image)["stores"]
    assert store["uuid"] == before["uuid"] and store["super_block"]["clean"]
    assert store["free_clusters"] == before["free_clusters"] - 5
    assert list(tool.lvols(image)) == ["v", "empty", "none", "more", "again", "big"]
    assert tool.check(image) == {}
    assert tool.export(image, "lvs0/more") == content("more", 3 * MIB)
    for name in ("v", "again"):
        assert tool.export(image, f"lvs0/{name}") == padded(raw.read_bytes())


def test_add_thick_shows_nothing_old(tool, image):
    """A cluster that is free may have content of a volume that was deleted."""
    disk = Disk(image)
    with disk.open() as f:
        f.seek(3 * MIB)
        f.write(content("secret", 61 * MIB))
    tool.run("create", image, "lvs0", "thick=4M", "--thick")
    assert tool.export(image, "lvs0/thick") == bytes(4 * MIB) and tool.check(image) == {}


def test_add_to_a_store_that_is_not_clean(tool, image, raw):
    """It stays so: the next load recovers old and new volumes."""
    disk = Disk(image)
    disk.poke(None, 16, bytes(4))
    with disk.open() as f:
        f.seek(4096)
        f.write(bytes(4096 * 3))
    tool.run("create", image, "lvs0", f"more={raw}")
    assert not tool.inspect(image)["stores"][0]["super_block"]["clean"]
    assert tool.export(image, "lvs0/more") == tool.export(image, "lvs0/v")
    assert set(tool.check(image)) == {"super.dirty"}


def unchanged(tool, image, *words, code, message):
    before = image.with_name("before")
    copy(image, before)
    assert message in tool.refused("create", image, "lvs0", *words, code=code)
    assert same_bytes(image, before)


@pytest.mark.parametrize("words,code,message", [
    (["v=1M"], REFUSED, 'has a volume "v" already'),
    (["x=1M", "x=2M"], REFUSED, "twice"),
    (["x=100M", "--thick"], FAILURE, "clusters"),
    (["x=1M", "--cluster-size", "4M"], USAGE, "for a new one"),
    (["x=1M", "--md-ratio", "50"], USAGE, "for a new one"),
    (["x=1M", "--size", "64M"], REFUSED, "is there already"),
    (["x=nowhere"], NOT_FOUND, "nowhere"),
])
def test_add_refuses(tool, image, words, code, message):
    unchanged(tool, image, *words, code=code, message=message)


def test_add_to_a_full_store(tool, image, tmp_path):
    """Found half-way: what was written is taken back, up to the data of free clusters."""
    (tmp_path / "raw2").write_bytes(content("x", 62 * MIB))
    before = Disk(image)
    pages = {i: before.read(i) for i in [None, *range(64)]}
    assert "is full" in tool.refused("create", image, "lvs0", "y=1M", "x=raw2", code=FAILURE)
    assert {i: before.read(i) for i in [None, *range(64)]} == pages and tool.check(image) == {}


def test_add_to_a_store_without_pages(tool, tmp_path):
    tool.create("image", "a=1M", size="32M", cluster="1M")
    words = [f"v{i}=0" for i in range(31)]
    message = tool.refused("create", "image", "lvs0", *words, code=FAILURE)
    assert "32 metadata pages are in use" in message
    assert tool.check("image") == {} and list(tool.lvols("image")) == ["a"]
    tool.run("create", "image", "lvs0", *words[:30])
    assert len(tool.lvols("image")) == 31


def test_add_to_a_damaged_store(tool, image):
    Disk(image).flip(3, 20, 30, 60)
    unchanged(tool, image, "x=1M", code=DAMAGED, message="is damaged")


def test_add_while_a_snapshot_is_half_made(tool, image):
    disk = Disk(image)
    page = disk.read(3)
    end = max(at + length for _, at, length in disk.descriptors(3))
    mark = struct.pack("<BIHH7sQ", INTERNAL, 19, 7, 8, b"SNAPTMP", ROOT_ID + 1)
    page[end:end + len(mark)] = mark
    disk.write(3, page)
    unchanged(tool, image, "x=1M", code=REFUSED, message="was interrupted")


def test_what_was_added_is_loaded(tool, image, raw, target):
    """The engine loads what it did not write, and goes on with it."""
    tool.run("create", image, "lvs0", f"more={raw}", "thick=2M", "--thick")
    facts = tool.lvols(image)
    with RpcClient(target.sock) as client:
        client.call("bdev_aio_create", name="a", filename=str(image), block_size=512)
        client.call("bdev_wait_for_examine")
        found = {v["name"]: v for v in client.call("bdev_lvol_get_lvols")}
        assert {n: v["uuid"] for n, v in found.items()} == {n: v["uuid"] for n, v in facts.items()}
        client.call("bdev_lvol_create", lvs_name="lvs0", lvol_name="last", size_in_mib=1)


# --- interrupts ----------------------------------------------------------------------------------

class Stopped:
    """The tool on a FIFO or a big file, interrupted while it works."""

    def __init__(self, tool, *words):
        self.process = subprocess.Popen([str(tool.path), *map(str, words)], cwd=tool.folder,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

    def stop(self, sig):
        self.process.send_signal(sig)
        _, err = self.process.communicate(timeout=60)
        assert self.process.returncode == -sig, err
        return err


def is_locked(path):
    """By the tool, which is past its look for others who have the image open, as this test would."""
    inode = f":{os.stat(path).st_ino}"
    with open("/proc/locks", encoding="ascii") as locks:
        return any(words[1] == "OFDLCK" and words[5].endswith(inode)
                   for words in map(str.split, locks))


def wait_begun(image):
    wait_until(lambda: is_locked(image), "its lock")
    wait_until(lambda: not struct.unpack_from("<I", Disk(image).read(None), 16)[0], "its beginning")


def test_export_that_is_interrupted(tool, image):
    """It writes to a pipe that nobody reads, and so is at work when the signal comes."""
    work = Stopped(tool, "export", image, "lvs0/v", "-")
    work.process.stdout.buffer.read(4096)
    assert "interrupted" in work.stop(signal.SIGINT)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_add_that_is_interrupted(tool, image, tmp_path, sig):
    """A thick volume of many clusters; what was begun is taken back."""
    with open(tmp_path / "huge", "wb") as f:
        f.truncate(1 << 40)
    before = {i: Disk(image).read(i) for i in [None, *range(64)]}
    work = Stopped(tool, "create", image, "lvs0", "x=1M", "huge=huge")
    wait_begun(image)
    assert "interrupted" in work.stop(sig)
    assert {i: Disk(image).read(i) for i in [None, *range(64)]} == before


def test_add_that_is_killed(tool, image, tmp_path):
    """Nothing can be taken back; but no volume is there before it is whole."""
    with open(tmp_path / "huge", "wb") as f:
        f.truncate(1 << 40)
    lvols = tool.lvols(image)
    work = Stopped(tool, "create", image, "lvs0", "x=1M", "huge=huge")
    wait_begun(image)
    work.stop(signal.SIGKILL)
    assert set(tool.check(image)) == {"super.dirty"} and tool.lvols(image) == lvols


def test_create_that_is_interrupted(tool, tmp_path):
    with open(tmp_path / "huge", "wb") as f:
        f.truncate(1 << 40)
    work = Stopped(tool, "create", "image", "lvs0", "-s", "64M", "-c", "64K", "huge=huge")
    wait_until((tmp_path / "image").exists, "the image")
    work.stop(signal.SIGINT)
    assert not (tmp_path / "image").exists()


# --- what it shows ------------------------------------------------------------------------------

def test_map(tool, image, tmp_path):
    text = tool.run("map", image).stdout
    assert "64 clusters of 1 MiB, 61 free" in text and "#bb." in text
    tool.run("map", "--svg", "map.svg", image)
    svg = (tmp_path / "map.svg").read_text()
    assert svg.startswith("<?xml") and svg.rstrip().endswith("</svg>")
    # The background, 64 cells, and lines of the legend: metadata, free, three volumes.
    assert svg.count("<rect ") == 1 + 64 + 5 and "owned by v<" in svg
    assert "cannot be made" in tool.refused("map", "--svg", "map.svg", image)


def test_map_of_many_clusters(tool):
    tool.create("image", "v=1G", size="1G", cluster="64K")
    text = tool.run("map", "image").stdout
    assert "a character is 8 clusters" in text
    assert tool.run("map", "--svg", "-", "image").stdout.count("<title>") == 4096


def test_json(tool, image, tmp_path):
    cells = json.loads(tool.run("map", "--json", image).stdout)
    assert (cells["clusters"], cells["free_clusters"], len(cells["cells"])) == (64, 61, 64)
    assert cells["cells"][1] == {"first": 1, "kind": "owned", "used": 1, "blob": "0x100000001"}
    added = json.loads(tool.run("create", "--json", image, "lvs0", "x=1M").stdout)
    assert added["added"] and added["free_clusters"] == 61
    assert added["lvols"][0]["uuid"] == tool.lvols(image)["x"]["uuid"]
    Disk(image).flip(1, 100)
    told = json.loads(tool.run("repair", "--json", image, code=REFUSED).stdout)
    assert len(told["steps"]) == 2 and told["undo"] is None and "errors" not in told
    done = json.loads(tool.run("repair", "--json", "--yes", image).stdout)
    assert done["steps"] == told["steps"] and (done["errors"], done["warnings"]) == (0, 0)
    assert (tmp_path / done["undo"]).exists() and done["left"] == []
    assert json.loads(tool.run("repair", "--json", image).stdout)["steps"] == []


def test_map_of_a_huge_store(tool):
    """15 TiB and 300 volumes: the picture and its legend stay small."""
    tool.create("image", *(f"v{i}=10G" for i in range(300)), size="15T", cluster="4M")
    text = tool.run("map", "image").stdout
    assert len(text.splitlines()) < 300 and "and 100 more" in text
    assert len(tool.run("map", "--svg", "-", "image").stdout) < 2 * MIB
    assert len(json.loads(tool.run("map", "--json", "image").stdout)["cells"]) <= 2048


def test_dump(tool, image):
    text = tool.run("dump", image).stdout
    assert "53 50 44 4b 42 4c 4f 42" in text and '"name" = 64 bytes, "v"' in text
    assert "extent table" in text and "(right)" in text
    assert tool.run("dump", image, "super").stdout.count("page") < 10
    assert "mask at byte 4096: type 0, 64 bits" in tool.run("dump", image, "masks").stdout
    pages = [json.loads(line) for line in tool.run("dump", "--json", image).stdout.splitlines()]
    assert pages[0]["super"]["cluster_size"] == MIB and pages[0]["checksum_is_right"]
    root, = [p for p in pages[1:] if p["page"] == 1]
    assert root["kind"] == "root page" and root["checksum_is_right"] and root["next"] is None
    assert [d["what"] for d in root["descriptors"]] == ["flags", "xattr", "xattr", "extent table"]
    assert root["descriptors"][3]["clusters"] == 4
    assert len(tool.run("dump", "--json", image, "masks").stdout.splitlines()) == 3
    one = tool.run("dump", image, "0x100000001").stdout
    assert one.count("root page") == 1 and one.count("extent page") >= 1
    assert tool.run("dump", image, "0-1").stdout.count("root page") == 2


@pytest.mark.parametrize("word,code", [("64", NOT_FOUND), ("3-1", NOT_FOUND), ("x", USAGE),
                                       ("1-x", USAGE), (hex(ROOT_ID + 60), NOT_FOUND)])
def test_dump_refuses(tool, image, word, code):
    tool.refused("dump", image, word, code=code)


# --- refusals -----------------------------------------------------------------------------------

@pytest.mark.parametrize("words,code,message", [
    (["lvs0"], NOT_FOUND, "--size"),
    (["lvs0", "--size", "64M", "v"], USAGE, "NAME=FILE"),
    (["lvs0", "--size", "64M", "=4M"], USAGE, "1 to 63"),
    (["lvs0", "--size", "64M", "v" * 64 + "=4M"], USAGE, "1 to 63"),
    (["lvs0", "--size", "64M", "v=nowhere"], NOT_FOUND, "nowhere"),
    (["lvs0", "--size", "64M", "v=1M", "v=2M"], REFUSED, "twice"),
    (["lvs0", "--size", "64M", "v=1M", "--format", "vmdk"], USAGE, "qcow2"),
    (["", "--size", "64M"], USAGE, "1 to 63"),
    (["s" * 64, "--size", "64M"], USAGE, "1 to 63"),
    (["lvs0", "--size", "64M", "--cluster-size", "5000"], USAGE, "multiple of 4096"),
    (["lvs0", "--size", "64M", "--block-size", "1000"], USAGE, "power of two"),
    (["lvs0", "--size", "2M"], FAILURE, "less than a cluster"),
    (["lvs0", "--size", "64M", "--md-ratio", "1"], USAGE, "metadata pages"),
    (["lvs0", "--size", "64M", "--thick", "v=100M"], FAILURE, "clusters"),
    (["lvs0", "--size", "64M", "-c", "1M", "--md-ratio", "4", "a=1M", "b=1M"], FAILURE, "md-ratio"),
])
def test_create_refuses(tool, tmp_path, words, code, message):
    assert message in tool.refused("create", "image", *words, code=code)
    assert not (tmp_path / "image").exists()


def test_create_is_full(tool, tmp_path):
    (tmp_path / "raw").write_bytes(content("x", 8 * MIB))
    tool.refused("create", "image", "lvs0", "--size", "8M", "-c", "1M", "v=raw", code=FAILURE)
    assert not (tmp_path / "image").exists()


def test_create_does_not_overwrite(tool, image):
    assert "holds an SPDK Blobstore" in tool.refused("create", image, "lvs1")
    tool.refused("create", image, "lvs1", "--force", "wrong")
    assert "is there already" in tool.refused("create", image, "lvs1", "--size", "64M")
    assert list(tool.lvols(image)) == ["v", "empty", "none"]


@pytest.mark.parametrize("name", ["lvs0/x", "x/v", "v", "0x100000040", "lvs0/"])
def test_export_knows_no_such_volume(tool, image, name, tmp_path):
    assert "no volume" in tool.refused("export", image, name, "out", code=NOT_FOUND)
    assert not (tmp_path / "out").exists()


def test_export_does_not_overwrite(tool, image, tmp_path):
    (tmp_path / "out").write_bytes(b"mine")
    assert "is there already" in tool.refused("export", image, "lvs0/v", "out")
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_export_of_a_full_disk_leaves_nothing(tool, image):
    done = tool.run("export", image, "lvs0/v", "/dev/full", code=REFUSED)
    assert "is there already" in done.stderr


ALL = [["inspect"], ["map"], ["check"], ["repair", "--yes"], ["dump"]]


@pytest.mark.parametrize("words", ALL)
def test_image_that_is_locked(tool, image, words):
    with open(image, "r+b") as f:
        fcntl.lockf(f, fcntl.LOCK_EX)
        message = tool.refused(*words, image)
        assert "is open in process" in message or "is locked" in message


@pytest.mark.parametrize("words", ALL)
def test_image_of_a_running_target(tool, image, target, words):
    with RpcClient(target.sock) as client:
        client.call("bdev_aio_create", name="a", filename=str(image), block_size=512)
    message = tool.refused(*words, image)
    assert "is open in process" in message or "is locked" in message


@pytest.mark.parametrize("words", ALL)
def test_what_is_no_image(tool, words, tmp_path):
    tool.refused(*words, "nowhere", code=NOT_FOUND)
    tool.refused(*words, tmp_path, code=USAGE)
    tool.refused(*words, "/dev/null", code=USAGE)


@pytest.mark.parametrize("size", [0, 100, 4095, 4096, MIB])
def test_what_is_no_store(tool, tmp_path, size):
    (tmp_path / "empty").write_bytes(bytes(size))
    assert tool.inspect("empty", code=DAMAGED)["stores"] == []
    rule, = tool.check("empty", code=DAMAGED)
    assert rule == ("super.size" if size < 4096 else "super.signature")
    assert tool.run("repair", "--yes", "empty", code=DAMAGED).stdout.endswith("changed.\n")
    tool.refused("map", "empty", code=DAMAGED)
    tool.refused("export", "empty", "a/b", "out", code=DAMAGED)


@pytest.mark.parametrize("words,code", [([], USAGE), (["frob"], USAGE), (["check"], USAGE),
                                        (["check", "a", "b"], USAGE), (["repair"], USAGE),
                                        (["check", "--frob", "a"], USAGE),
                                        (["repair", "--allow", "all", "a"], USAGE),
                                        (["repair", "--undo", "nowhere"], NOT_FOUND)])
def test_command_line(tool, words, code):
    tool.run(*words, code=code)


def test_names_are_any_bytes(tool, image):
    """Slashes and blanks are part of a name."""
    disk = Disk(image)
    at, _ = disk.find(1, 2, "name")
    disk.poke(1, at + 8, b"a/b c\0")
    assert tool.export(image, "lvs0/a/b c")[:16] == content("raw", 4096)[:16]
    disk.poke(0, disk.find(0, 2, "name")[0] + 8, struct.pack("4s", b"x/y"))
    assert tool.export(image, "x/y/a/b c")[:16] == content("raw", 4096)[:16]
