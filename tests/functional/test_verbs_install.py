# SPDX-License-Identifier: Apache-2.0
"""install and uninstall on real programs."""

import fcntl
import os
import resource
import signal
import subprocess

import pytest

from conftest import RpcClient


def make_file(path, size=16 << 20, data=b""):
    path.write_bytes(data)
    os.truncate(path, size)
    return path


def bdevs(cli, accelerator="a"):
    with RpcClient(cli.socket(accelerator)) as rpc:
        return {b["name"]: b for b in rpc.call("bdev_get_bdevs")}


def test_file_is_made_served_and_removed(node):
    backing = node.dir / "backing"
    answer = node("install", "a", "--backing", backing, "--size", "16M")
    assert answer["accelerator"]["made"] and backing.stat().st_size == 16 << 20
    bdev = bdevs(node)["a"]
    assert bdev["num_blocks"] * bdev["block_size"] == 16 << 20
    assert bdev["uuid"] == answer["accelerator"]["uuid"]
    assert node.status()["health"] == "ok"
    node("uninstall", "a")
    assert not backing.exists() and not (node.state / "targets" / "a").exists()
    assert node.pids() == (0, 0)


def test_existing_empty_file_stays(node):
    backing = make_file(node.dir / "mine")
    answer = node("install", "a", "--backing", backing)
    assert not answer["accelerator"]["made"]
    node("uninstall", "a")
    assert backing.stat().st_size == 16 << 20


def test_made_file_can_be_kept(node):
    backing = node.dir / "backing"
    node("install", "a", "--backing", backing, "--size", "16M")
    node("uninstall", "a", "--keep-backing")
    assert backing.exists()


def test_memory_is_served(node):
    node("install", "a", "--memory", "8M")
    assert bdevs(node)["a"]["product_name"] == "Malloc disk"
    node("uninstall", "a")


def test_repeat_gives_the_same_answer(node):
    words = ["install", "a", "--backing", node.dir / "backing", "--size", "16M"]
    first, pids = node(*words), node.pids()
    assert node(*words) == first and node.pids() == pids
    node("uninstall", "a")
    assert node("uninstall", "a")["already"]


def test_blueprint_names_work(node):
    node("install-driver", "a", "nvmf", "--memory", "8M")
    node("uninstall-driver", "a", "nvmf")


def test_other_backing_under_the_same_id_is_refused(installed):
    failure = installed.refused("install", "a", "--memory", "8M")
    assert failure.code == 3 and "installed already" in failure.message


def test_backing_of_another_accelerator_is_refused(installed):
    failure = installed.refused("install", "b", "--backing", installed.dir / "backing")
    assert failure.code == 3 and "accelerator a already" in failure.message


def test_security_backing_of_a_dead_target_by_another_name(installed):
    """Nothing holds the file open then; a link to it is still the same file."""
    link, hard = installed.dir / "link", installed.dir / "hard"
    link.symlink_to(installed.dir / "backing")
    hard.hardlink_to(installed.dir / "backing")
    for pid in installed.pids():
        os.kill(pid, signal.SIGKILL)
    for path in installed.dir / "backing", link, hard:
        failure = installed.refused("install", "b", "--backing", path)
        assert failure.code == 3 and "accelerator a already" in failure.message
        (serial,) = {c["serial"] for c in installed("list", path)["candidates"]
                     if c["path"] == str(path.resolve())}
        failure = installed.refused("install", "b", "--backing", path, "--force", serial)
        assert failure.code == 3 and "accelerator a already" in failure.message


def test_security_data_is_refused_without_its_serial(node):
    backing = make_file(node.dir / "data", data=b"precious")
    failure = node.refused("install", "a", "--backing", backing)
    assert failure.code == 3 and "--force FILE-" in failure.message
    wrong = node.refused("install", "a", "--backing", backing, "--force", "FILE-0-0")
    assert wrong.code == 3 and "its serial is" in wrong.message
    serial = failure.message.rsplit("--force ", 1)[1]
    node("install", "a", "--backing", backing, "--force", serial)
    assert backing.read_bytes()[:8] == b"precious"


def test_security_file_system_is_refused(node):
    backing = make_file(node.dir / "fs")
    if subprocess.run(["mkfs.ext4", "-q", backing], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("mkfs.ext4 does not work here")
    assert "ext4" in node.refused("install", "a", "--backing", backing).message


def test_security_open_file_is_refused(node):
    backing = make_file(node.dir / "open")
    with open(backing, "rb"):
        failure = node.refused("install", "a", "--backing", backing)
    assert failure.code == 3 and f"process {os.getpid()}" in failure.message


def test_security_locked_file_is_refused(node):
    backing = make_file(node.dir / "locked")
    with open(backing, "rb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        failure = node.refused("install", "a", "--backing", backing, "--force", "x")
    assert failure.code == 3


def test_security_force_does_not_override_use(node):
    backing = make_file(node.dir / "open", data=b"x")
    serial = node("list", backing)["candidates"]
    serial = [c["serial"] for c in serial if c["path"] == str(backing)][0]
    with open(backing, "rb"):
        failure = node.refused("install", "a", "--backing", backing, "--force", serial)
    assert failure.code == 3 and "is open in process" in failure.message


def test_loop_device_and_its_file(node):
    backing = make_file(node.dir / "image")
    loop = subprocess.run(["losetup", "--find", "--show", backing], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if loop.returncode:
        pytest.skip("no loop device can be had here")
    device = loop.stdout.strip()
    try:
        assert "loop device" in node.refused("install", "a", "--backing", backing).message
        node("install", "a", "--backing", device)
        assert bdevs(node)["a"]["num_blocks"] * bdevs(node)["a"]["block_size"] == 16 << 20
        node("uninstall", "a")
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.mark.parametrize("words, code, text", [
    (["--backing", "{dir}/none"], 4, "give --size"),
    (["--backing", "{dir}"], 2, "neither a block device nor a regular file"),
    (["--backing", "{dir}/none", "--size", "4096"], 2, "at least 1 MiB"),
    (["--backing", "/nonexistent/x", "--size", "4M"], 4, "folder of backing"),
    (["--memory", "1000"], 2, "at least 1 MiB"),
    (["--memory", "4M", "--target", "/bin/false"], 1, "does not answer `--version`"),
    (["--memory", "4M", "--target", "/nonexistent"], 4, "/nonexistent"),
    (["--memory", "4M", "--target-argument=--wait-for-rpc"], 2, "as soon as it has started"),
    (["--memory", "4M", "--target-argument=--rpc-socket=/x"], 2, "--rpc-socket is not for"),
])
def test_refusals(node, words, code, text):
    failure = node.refused("install", "a", *[w.format(dir=node.dir) for w in words])
    assert failure.code == code and text in failure.message
    assert node.status()["accelerators"] == []


def test_failed_start_leaves_nothing(node):
    kit = node.dir / "kit"
    kit.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo cyborg-spdk-tgt 9.9.9 && exit 0\n"
                   "echo no hugepages >&2\nexit 1\n")
    kit.chmod(0o755)
    backing = node.dir / "backing"
    failure = node.refused("install", "a", "--backing", backing, "--size", "16M", "--target", kit)
    assert failure.code == 5 and "no hugepages" in failure.message
    assert not backing.exists() and not (node.state / "targets" / "a").exists()


def test_too_long_state_directory_is_told(node):
    node.env["CYBORG_SPDK_STATE_DIR"] = str(node.dir / ("x" * 100))
    failure = node.refused("install", "a", "--memory", "4M")
    assert failure.code == 2 and "shorter --state-dir" in failure.message


def test_target_arguments_reach_the_target(node):
    node("install", "a", "--memory", "4M", "--target-argument=--drain-timeout",
         "--target-argument=7")
    command = open(f"/proc/{node.pids()[1]}/cmdline").read().split("\0")
    assert command[command.index("--drain-timeout") + 1] == "7"


def test_two_accelerators(installed):
    installed("install", "b", "--memory", "4M")
    assert [a["id"] for a in installed.status()["accelerators"]] == ["a", "b"]
    assert len(set(installed.pids("a") + installed.pids("b"))) == 4


def test_lack_of_descriptors_is_no_lack_of_kits(node):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
    done = subprocess.run([str(node.program), "install", "a", "--memory", "8M"], env=node.env,
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=few,
                          text=True, check=False)
    assert done.returncode == 1 and "Too many open files" in done.stderr
