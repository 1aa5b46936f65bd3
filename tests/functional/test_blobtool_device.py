# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-blob on block devices, where the machine has loop devices: what it does on files, and
each way in which a device is in use.
"""

import os
import shutil
import subprocess

import pytest

from blobtool import DAMAGED, FAILURE, MIB, NOT_FOUND, REFUSED, USAGE, Disk, Tool, content
from conftest import RpcClient

SIZE = 64 * MIB


@pytest.fixture
def tool(program, tmp_path):
    return Tool(program("cyborg-spdk-blob"), tmp_path)


def run(*words, check=True):
    return subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=check)


def attach(tmp_path, block):
    if shutil.which("losetup") is None:
        pytest.skip("losetup is not installed")
    backing = tmp_path / f"backing{block}"
    with open(backing, "wb") as f:
        f.truncate(SIZE)
    done = run("losetup", "--find", "--show", "--sector-size", block, backing, check=False)
    if done.returncode:
        pytest.skip("no loop device can be had here")
    return done.stdout.strip()


@pytest.fixture(params=[512, 4096])
def device(request, tmp_path):
    path = attach(tmp_path, request.param)
    yield path
    run("losetup", "--detach", path)


@pytest.fixture
def plain(tmp_path):
    path = attach(tmp_path, 512)
    yield path
    run("losetup", "--detach", path)


def block_size(device):
    with open(f"/sys/block/{os.path.basename(device)}/queue/logical_block_size") as f:
        return int(f.read())


@pytest.fixture
def store(tool, device, tmp_path):
    (tmp_path / "a").write_bytes(content("a", 4 * MIB))
    tool.run("create", device, "lvs0", "-c", "1M", "a=a", "empty=10M")
    return device


def test_create_inspect_export(tool, store, tmp_path):
    found, = tool.inspect(store)["stores"]
    assert found["block_size"] == block_size(store) and found["free_clusters"] == 59
    assert tool.check(store) == {}
    assert tool.export(store, "lvs0/a") == content("a", 4 * MIB)
    assert tool.export(store, "lvs0/empty") == bytes(10 * MIB)
    tool.run("create", store, "lvs0", "b=a", "thick=2M", "--thick")
    assert tool.check(store) == {} and tool.export(store, "lvs0/thick") == bytes(2 * MIB)
    assert tool.export(store, "lvs0/b") == content("a", 4 * MIB)


def test_create_shows_nothing_old(tool, device):
    with open(device, "r+b") as f:
        f.write(content("secret", SIZE))
    message = tool.refused("create", device, "lvs0", "v=8M", "--thick")
    serial = message.split("--force ")[-1].split()[0] if "--force" in message else None
    tool.run("create", device, "lvs0", "-c", "1M", "v=8M", "--thick",
             *(("--force", serial) if serial else ()))
    assert tool.export(device, "lvs0/v") == bytes(8 * MIB)


def test_repair_and_undo(tool, store):
    disk = Disk(store)
    disk.flip(1, 100)
    before = disk.read(1)
    assert "root.crc" in tool.check(store, code=DAMAGED)
    tool.run("repair", "--yes", "--save", "undo", store)
    assert tool.check(store) == {}
    assert tool.export(store, "lvs0/a") == content("a", 4 * MIB)
    tool.run("repair", "--undo", "undo", store)
    assert disk.read(1) == before


def test_device_is_too_small(tool, device):
    assert "less than a cluster" in tool.refused("create", device, "lvs0", "-c", "128M",
                                                 code=FAILURE)


def test_no_such_device(tool):
    tool.refused("check", "/dev/nosuch", code=NOT_FOUND)
    tool.refused("check", "/dev/tty", code=USAGE)


# --- in use --------------------------------------------------------------------------------------

VERBS = [["check"], ["repair", "--yes"], ["create"]]


def words(verb, device):
    return [*verb, device, *(["lvs0", "x=1M"] if verb == ["create"] else [])]


@pytest.mark.parametrize("verb", VERBS)
def test_security_blobtool_mounted_device(tool, plain, tmp_path, verb):
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("mkfs.ext4 is not installed")
    run("mkfs.ext4", "-q", "-O", "^has_journal", plain)
    (tmp_path / "mnt").mkdir()
    if run("mount", "-o", "ro", plain, tmp_path / "mnt", check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        message = tool.refused(*words(verb, plain))
        assert "mounted" in message and str(tmp_path / "mnt") in message
    finally:
        run("umount", tmp_path / "mnt")


@pytest.mark.parametrize("verb", VERBS)
def test_security_blobtool_device_that_is_open(tool, plain, verb):
    with open(plain, "rb"):
        assert f"open in process {os.getpid()}" in tool.refused(*words(verb, plain))


@pytest.mark.parametrize("verb", VERBS)
def test_security_blobtool_device_that_is_held(tool, plain, verb, request):
    """The device mapper has it: no process, no mount."""
    name = f"cyborg-test-{os.getpid()}"
    if shutil.which("dmsetup") is None or run(
            "dmsetup", "create", name, "--table", f"0 2048 linear {plain} 0",
            check=False).returncode:
        pytest.skip("the device mapper is not to be had here")
    request.addfinalizer(lambda: run("dmsetup", "remove", name))
    message = tool.refused(*words(verb, plain))
    assert "held" in message or "dm-" in message


@pytest.mark.parametrize("verb", VERBS)
def test_security_blobtool_device_of_a_target(tool, store, target, verb):
    with RpcClient(target.sock) as client:
        client.call("bdev_aio_create", name="a", filename=store)
        client.call("bdev_wait_for_examine")
        message = tool.refused(*words(verb, store))
        assert "open in process" in message
        assert [v["name"] for v in client.call("bdev_lvol_get_lvols")] == ["a", "empty"]


@pytest.mark.parametrize("verb", VERBS)
def test_security_blobtool_file_of_a_device(tool, store, tmp_path, verb):
    """Behind the back of a loop device, which caches."""
    backing = tmp_path / f"backing{block_size(store)}"
    assert "loop" in tool.refused(*words(verb, backing), code=REFUSED)
