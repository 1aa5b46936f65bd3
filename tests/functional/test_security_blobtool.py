# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-blob on hostile images: whatever stands in a field, it answers, and stays in bounds."""

import os
import shutil
import struct
import subprocess
import sys

import pytest

from blobtool import (DAMAGED, EXTENTS, FLAGS, INTERNAL, MIB, NOT_FOUND, OK, PAGE, REFUSED, ROOT_ID,
                      TABLE, USAGE, XATTR, Disk, Tool, content, copy)

EDGES32 = [0, 1, 2, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]
EDGES64 = [0, 1, ROOT_ID - 1, ROOT_ID, ROOT_ID + 1, 1 << 63, (1 << 64) - 2, (1 << 64) - 1]
SUPER = {"version": (8, 4), "length": (12, 4), "clean": (16, 4), "super_blob": (20, 8),
         "cluster_size": (28, 4), "page_mask_start": (32, 4), "page_mask_len": (36, 4),
         "cluster_mask_start": (40, 4), "cluster_mask_len": (44, 4), "md_start": (48, 4),
         "md_len": (52, 4), "bstype": (56, 8), "id_mask_start": (72, 4), "id_mask_len": (76, 4),
         "size": (80, 8), "io_unit_size": (88, 4), "md_page_size": (92, 4)}
# An answer, and no crash.
ANSWERS = {OK, USAGE, REFUSED, NOT_FOUND, DAMAGED}


@pytest.fixture
def tool(program, tmp_path):
    return Tool(program("cyborg-spdk-blob"), tmp_path)


@pytest.fixture
def image(tool, tmp_path):
    """A store with a volume of data, a larger thin one, and a chain of two pages."""
    (tmp_path / "raw").write_bytes(content("a", 4 << 20))
    path = tmp_path / "image"
    tool.create(path, "a=raw", "b=700M", "c=2M", size="16M", cluster="64K")
    return path


def poke_all(tool, image, changes):
    """Each change alone, then what looks and what writes."""
    spoilt = image.with_name("spoilt")
    for index, offset, value in changes:
        copy(image, spoilt)
        Disk(spoilt).poke(index, offset, value)
        done = tool.run("check", spoilt, code=None)
        assert done.returncode in ANSWERS, (index, offset, value, done)
        done = tool.run("repair", "--yes", "--allow", "holes", "--allow", "truncate", "--allow",
                        "detach", "--allow", "drop", "--allow", "super", "--allow", "version",
                        "--allow", "page", "--save", "undo", spoilt, code=None)
        assert done.returncode in ANSWERS, (index, offset, value, done)
        (tool.folder / "undo").unlink(missing_ok=True)


def test_security_store_of_torn_pages(tool, image):
    """Nothing but roots whose checksum is wrong: guessing at them has an end."""
    tool.create("many", "a=raw", "--md-ratio", "50", size="16M", cluster="4K")
    disk = Disk(tool.folder / "many")
    disk.poke(None, 16, bytes(4))
    root = disk.read(1)
    for index in range(100, 400):
        struct.pack_into("<Q", root, 0, ROOT_ID + index)
        struct.pack_into("<I", root, PAGE - 4, index)
        disk.write(index, root, seal=False)
    tool.run("repair", "--yes", "many", code=DAMAGED)
    assert tool.check("many", code=DAMAGED)


@pytest.mark.parametrize("field", SUPER)
def test_security_super_block(tool, image, field):
    offset, size = SUPER[field]
    edges, kind = (EDGES32, "<I") if size == 4 else (EDGES64, "<Q")
    poke_all(tool, image, [(None, offset, struct.pack(kind, value)) for value in edges])


@pytest.mark.parametrize("offset,size", [(0, 8), (8, 4), (4088, 4)])
@pytest.mark.parametrize("which", ["super blob", "root", "extents"])
def test_security_page(tool, image, which, offset, size):
    disk = Disk(image)
    index = {"super blob": 0, "root": 1, "extents": disk.table(1)[0]}[which]
    edges, kind = (EDGES32, "<I") if size == 4 else (EDGES64, "<Q")
    poke_all(tool, image, [(index, offset, struct.pack(kind, value)) for value in edges])


@pytest.mark.parametrize("kind,name", [(FLAGS, None), (XATTR, "name"), (XATTR, "uuid"),
                                       (TABLE, None), (EXTENTS, None)])
def test_security_descriptor(tool, image, kind, name):
    disk = Disk(image)
    index = disk.table(1)[0] if kind == EXTENTS else 1
    at, length = disk.find(index, kind, name)
    changes = [(index, at - 5, bytes([t])) for t in (0, 1, 4, 5, 6, 7, 255)]
    changes += [(index, at - 4, struct.pack("<I", v))
                for v in [*EDGES32, length - 1, length + 1, length - 8, 4072]]
    changes += [(index, at + i, struct.pack("<I", v)) for i in range(0, min(length, 24), 4)
                for v in EDGES32]
    poke_all(tool, image, changes)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_security_masks(tool, image, start):
    disk = Disk(image)
    for region in (disk.masks[0], disk.masks[2], disk.md_start - 1):
        with disk.open() as f:
            f.seek(region * PAGE + start)
            f.write(b"\xff\xff\xff\xff")
    assert any(rule.startswith("mask.") for rule in tool.check(image, code=DAMAGED))
    tool.run("repair", "--yes", image)
    tool.check(image)


@pytest.mark.parametrize("word", ["SNAP", "SNAPTMP", "SNAPRM", "EXTSNAP"])
@pytest.mark.parametrize("value", [*EDGES64, None])
def test_security_parents(tool, image, word, value):
    """Internal xattrs that name nobody, themselves, or nothing that is an id."""
    disk = Disk(image)
    payload = b"x" if value is None else struct.pack("<Q", value)
    payload = struct.pack("<HH", len(word), len(payload)) + word.encode() + payload
    for flags in (5, 7, 15):
        page = disk.read(1)
        end = max(at + length for _, at, length in disk.descriptors(1))
        page[end:end + 5 + len(payload)] = struct.pack("<BI", INTERNAL, len(payload)) + payload
        at, _ = disk.find(1, FLAGS)
        struct.pack_into("<Q", page, at, flags)
        spoilt = image.with_name("spoilt")
        copy(image, spoilt)
        Disk(spoilt).write(1, page)
        for words in (["check"], ["inspect"], ["map"], ["repair", "--yes", "--allow", "detach"]):
            assert tool.run(*words, spoilt, code=None).returncode in ANSWERS


def circle(image, count):
    """Blobs that are each other's snapshots."""
    disk = Disk(image)
    for i in range(count):
        disk_page = disk.read(2 + i)
        assert any(disk_page)
        parent = struct.pack("<HH", 4, 8) + b"SNAP" + struct.pack("<Q", ROOT_ID + 2 + (i + 1) % count)
        end = max(at + length for _, at, length in disk.descriptors(2 + i))
        disk_page[end:end + 21] = struct.pack("<BI", INTERNAL, len(parent)) + parent
        disk.write(2 + i, disk_page)


@pytest.mark.parametrize("count", [1, 2, 50])
def test_security_circle_of_snapshots(tool, tmp_path, count):
    image = tmp_path / "image"
    tool.create(image, "a=1M", *[f"v{i}=1M" for i in range(count)])
    circle(image, count)
    assert len(tool.check(image, code=DAMAGED)["parent"]) >= count
    assert list(tool.lvols(image)) == ["a"]
    tool.run("repair", "--yes", image, code=DAMAGED)
    tool.run("repair", "--yes", "--allow", "detach", image)
    assert len(tool.lvols(image)) == count + 1


def test_security_chain_in_a_circle(tool, image):
    disk = Disk(image)
    disk.poke(1, 4088, struct.pack("<I", 1))
    assert tool.check(image, code=DAMAGED)["chain.loop"][0]["page"] == 1
    tool.run("repair", "--yes", image)
    assert len(tool.lvols(image)) == 3


def test_security_runs_of_the_whole_device(tool, image):
    """Runs that all cover everything cost no more than their number."""
    disk = Disk(image)
    for index in (1, 2):
        page = disk.read(index)
        runs = struct.pack("<II", 20, 200) * 480
        page[16:4088] = (struct.pack("<BI", 1, len(runs)) + runs).ljust(4072, b"\0")
        disk.write(index, page)
    assert tool.check(image, code=DAMAGED)["cluster.shared"]
    tool.run("map", image)
    tool.run("repair", "--yes", image, code=None)


def test_security_terminal(tool, image):
    """Names are bytes of somebody else: no terminal obeys them, JSON and XML stay whole."""
    disk = Disk(image)
    at, _ = disk.find(1, XATTR, "name")
    evil = b"\x1b]0;pwned\x07<b>&\"\xff\xc2\x9b"
    disk.poke(1, at + 8, evil.ljust(64, b"\0"))
    for words in (["inspect"], ["map"], ["map", "--svg", "-"], ["dump"], ["check"]):
        done = tool.run(*words, image, text=False)
        assert b"\x1b" not in done.stdout and b"\x07" not in done.stdout, words
        assert b"\xc2\x9b" not in done.stdout and b"\xff" not in done.stdout, words
    assert any("pwned" in name for name in tool.lvols(image))
    svg = tool.run("map", "--svg", "-", image).stdout
    assert "<b>" not in svg


def peak_kib(*words):
    """Largest resident memory of a program that succeeds; one that pytest starts inherits its peak."""
    starter = ("import os, sys; pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:]);"
               "_, status, usage = os.wait4(pid, 0); print(usage.ru_maxrss, file=sys.stderr);"
               "sys.exit(os.waitstatus_to_exitcode(status))")
    done = subprocess.run([sys.executable, "-c", starter, *map(str, words)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.split()[-1])


def test_security_store_of_16_tib(tool, tmp_path):
    """A sparse image with nothing in it asks for no memory that follows from its numbers."""
    image = tmp_path / "image"
    tool.create(image, "a=1M", size="15T", cluster="4M")
    # Not by a limit of the address space: a sanitizer's shadow is larger than any.
    for word in ("check", "inspect", "map"):
        assert peak_kib(tool.path, word, image) < 400 * 1024, word


def test_security_undo_file(tool, image):
    """An undo file that was changed is refused before anything is written."""
    Disk(image).flip(1, 100)
    tool.run("repair", "--yes", image, "--save", "undo")
    undo = tool.folder / "undo"
    good, fixed = undo.read_bytes(), image.read_bytes()
    for at in (0, 16, 20, 24, 32, 36, 40, 100, len(good) // 2, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 0xff
        undo.write_bytes(bad)
        tool.refused("repair", "--undo", "undo", image, code=None)
        assert image.read_bytes() == fixed, at
    undo.write_bytes(good[:-100])
    tool.refused("repair", "--undo", "undo", image, code=USAGE)
    assert image.read_bytes() == fixed


def test_security_qcow2_backing_file(tool, tmp_path):
    """A qcow2 file cannot pull in another file of this node without consent."""
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not installed")
    (tmp_path / "secret").write_bytes(content("secret", 1 << 20))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "secret",
                    "evil.qcow2"], cwd=tmp_path, check=True)
    words = ["create", "image", "lvs0", "--size", "16M", "-c", "1M", "v=evil.qcow2"]
    assert "--allow-backing" in tool.refused(*words)
    assert not (tmp_path / "image").exists()
    tool.run(*words, "--allow-backing")
    assert tool.export(tmp_path / "image", "lvs0/v") == content("secret", 1 << 20)


def test_security_qcow2_external_data(tool, tmp_path):
    """Neither can it name its data file; qemu-img is not even asked."""
    header = b"QFI\xfb" + struct.pack(">IQIIQ", 3, 0, 0, 16, MIB) + bytes(40)
    (tmp_path / "evil.qcow2").write_bytes(header + struct.pack(">Q", 4) + bytes(65536))
    (tmp_path / "short.qcow2").write_bytes(header[:40])
    for name, code in (("evil.qcow2", REFUSED), ("short.qcow2", USAGE)):
        words = ["create", "image", "lvs0", "--size", "16M", "-c", "1M", f"v={name}"]
        tool.run(*words, code=code, env={"PATH": "/nonexistent"})
        assert not (tmp_path / "image").exists()


def test_security_guest_writes_a_qcow2_header(tool, tmp_path):
    """What a guest wrote into a raw disk is not obeyed when the format is named."""
    raw = b"QFI\xfb" + os.urandom(4092) + content("x", 1 << 20)
    (tmp_path / "raw").write_bytes(raw)
    tool.create(tmp_path / "image", "v=raw", "--format", "raw")
    assert tool.export(tmp_path / "image", "lvs0/v")[:len(raw)] == raw
