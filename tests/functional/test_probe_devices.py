# SPDX-License-Identifier: Apache-2.0
"""Loop devices in use, each in another way: discover and install refuse them, with the reason.

A guest does the same for all that Debian's kernel knows (tests/guest/test_probe.py); here it is
this machine's kernel, as root where it has loop devices.
"""

import ctypes
import os
import subprocess

import pytest

SIZE = 16 << 20


def run(*words):
    return subprocess.run([str(w) for w in words], check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


@pytest.fixture
def loop(tmp_path):
    """loop(backing=None): a loop device on a new sparse file, or on what is given."""
    made = []

    def make(backing=None):
        if backing is None:
            backing = tmp_path / f"file{len(made)}"
            backing.touch()
            os.truncate(backing, SIZE)
        made.append(run("losetup", "-f", "--show", backing))
        return made[-1]
    if os.geteuid() != 0:
        pytest.skip("only root may make loop devices")
    try:
        run("losetup", "-f")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no loop devices here: {error}")
    yield make
    for device in reversed(made):
        run("losetup", "-d", device)


def judged(cli, device):
    found, = [d for d in cli("discover")["devices"] if d["path"] == device]
    return found


def refuses(cli, device, reason, text, code=3):
    """discover and install give the same reason."""
    found = judged(cli, device)
    assert not found["eligible"] and found["remedy"]
    assert [f for f in found["findings"] if f["reason"] == reason], found
    failure = cli.refused("install", "a", "--backing", device)
    assert failure.code == code and text in failure.message
    # Nobody's serial helps against use.
    assert text in cli.refused("install", "a", "--backing", device, "--force",
                               found["serial"]).message
    assert not cli.state.exists() or not (cli.state / "targets" / "a").exists()


def test_free_loop_device(cli, loop):
    found = judged(cli, loop())
    assert found["eligible"] and found["kind"] == "loop" and found["size"] == SIZE
    assert found["physical_block_size"] >= found["block_size"] == 512
    assert not found["read_only"] and not found["removable"]


def test_security_mounted_device_is_refused(cli, loop):
    device = loop()
    run("mke2fs", "-q", device)
    where = cli.dir / "mnt"
    where.mkdir()
    run("mount", device, where)
    try:
        refuses(cli, device, "mount", f"mounted on {where}")
    finally:
        run("umount", where)
    assert judged(cli, device)["verdict"] == "holds-data"


def test_security_device_mounted_in_another_namespace_is_refused(cli, loop):
    device = loop()
    run("mke2fs", "-q", device)
    with subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                           f"mount {device} /mnt && echo ready && read end"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        if child.stdout.readline() != "ready\n":
            pytest.skip("no mount namespace of one's own here, as in a chroot")
        assert device not in open("/proc/mounts").read()
        refuses(cli, device, "mount", "mounted on /mnt")
        child.stdin.close()


def test_security_swap_device_is_refused(cli, loop):
    device = loop()
    run("mkswap", device)
    try:
        run("swapon", device)
    except subprocess.CalledProcessError:
        pytest.skip("swapon is not allowed here")
    try:
        refuses(cli, device, "swap", "swap space in use")
    finally:
        run("swapoff", device)


def test_security_device_under_a_loop_device_is_refused(cli, loop):
    device = loop()
    above = loop(device)
    refuses(cli, device, "loop", f"backs the loop device {above}")
    assert judged(cli, above)["eligible"]


def test_security_file_under_a_loop_device_is_refused_by_any_name(cli, loop, tmp_path):
    loop()
    other = tmp_path / "other-name"
    os.link(tmp_path / "file0", other)
    failure = cli.refused("install", "a", "--backing", other)
    assert failure.code == 3 and "backs the loop device" in failure.message


def test_security_device_open_in_a_process_is_refused(cli, loop):
    device = loop()
    # Also where it has another name.
    node = cli.dir / "node"
    os.mknod(node, 0o600 | 0o060000, os.stat(device).st_rdev)
    for path in device, node:
        with open(path, "rb"):
            refuses(cli, device, "open", f"open in process {os.getpid()} (")
    assert judged(cli, device)["eligible"]


def test_security_device_of_a_virtual_machine_is_refused(cli, loop):
    device = loop()
    machine = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "none", "-S",
               "-drive", f"if=none,format=raw,file={device}", "-qmp", "stdio"]
    try:
        vm = subprocess.Popen(machine, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except FileNotFoundError:
        pytest.skip("no qemu-system-x86_64")
    with vm:
        try:
            assert b"QMP" in vm.stdout.readline()
            refuses(cli, device, "open", f"open in process {vm.pid} (qemu-system-x86)")
        finally:
            vm.kill()
    assert judged(cli, device)["eligible"]


def test_security_device_opened_exclusively_is_refused(cli, loop):
    device = loop()
    fd = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        refuses(cli, device, "open", "open in process")
    finally:
        os.close(fd)


def test_security_a_byte_in_the_middle_of_a_device_is_data(cli, loop):
    device = loop()
    with open(device, "r+b") as file:
        file.seek(SIZE // 2 + 12345)
        file.write(b"x")
    failure = cli.refused("install", "a", "--backing", device)
    assert failure.code == 3 and "not empty" in failure.message


def test_read_only_device_is_refused(cli, loop):
    device = loop()
    run("blockdev", "--setro", device)
    found = judged(cli, device)
    assert found["read_only"] and found["verdict"] == "unfit"
    refuses(cli, device, "read-only", "is read-only", code=2)
    run("blockdev", "--setrw", device)


@pytest.fixture
def dead_mount(cli):
    """A file system whose server never answers, and this process has its folder open."""
    where = cli.dir / "dead"
    where.mkdir()
    try:
        server = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"dead", bytes(where), b"fuse", 0, options):
        os.close(server)
        pytest.skip(f"no mount here: {os.strerror(ctypes.get_errno())}")
    held = os.open(where, os.O_PATH)
    yield where
    os.close(held)
    libc.umount2(bytes(where), 2)
    os.close(server)


def test_security_dead_file_system_does_not_hold_discover(cli, dead_mount):
    assert str(dead_mount) in open("/proc/mounts").read()
    assert cli("discover")["devices"] is not None


def test_two_probes_do_not_see_each_other(cli, loop):
    """Both open each device exclusively for a moment; neither takes the other for a user."""
    device = loop()
    words = [str(cli.program), "discover", "--json", "--state-dir", str(cli.state)]
    others = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert judged(cli, device)["eligible"]
    for other in others:
        assert other.wait() == 0
