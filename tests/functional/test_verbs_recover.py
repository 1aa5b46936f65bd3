# SPDX-License-Identifier: Apache-2.0
"""recover: what is recorded is made true again, one accelerator after the other."""

import json
import os
import signal
import subprocess
from contextlib import suppress

import pytest

from conftest import RpcClient, wait_for_end, wait_until

HOST = "nqn.2016-06.io.spdk:host1"


def outcomes(answer):
    return {a["id"]: a["outcome"] for a in answer["accelerators"]}


def kill_both(cli, accelerator="a"):
    pids = cli.pids(accelerator)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for_end(*pids)


def test_nothing_is_installed(node):
    assert node("recover") == {"state_dir": str(node.state), "health": "ok", "accelerators": [],
                               "finished": []}


def test_all_is_as_recorded(installed):
    installed("attach", "vm1", "--host", HOST)
    pids = installed.pids()
    assert outcomes(installed("recover")) == {"a": "ok"}
    assert installed.pids() == pids


def test_target_and_supervisor_died(installed):
    installed("attach", "vm1", "--host", HOST)
    kill_both(installed)
    assert installed.status()["health"] == "down"
    told = installed.start("recover", "--dry-run", "--json")
    assert told.returncode == 8
    assert outcomes(json.loads(told.stdout)) == {"a": "would be restored"}
    assert installed.status()["health"] == "down"
    answer = installed("recover", "a")
    assert outcomes(answer) == {"a": "restored"} and answer["health"] == "ok"
    assert installed.status()["health"] == "ok"


def test_subsystem_was_deleted(installed):
    nqn = installed("attach", "vm1", "--host", HOST)["data"]["target_nqn"]
    with RpcClient(installed.socket()) as rpc:
        rpc.call("nvmf_delete_subsystem", nqn=nqn)
    assert installed.status()["health"] == "degraded"
    assert outcomes(installed("recover")) == {"a": "restored"}
    assert installed.status()["health"] == "ok"


def test_namespace_that_somebody_added(installed):
    """The host sees what it should; the bdev is somebody else's, and stays."""
    nqn = installed("attach", "vm1", "--host", HOST)["data"]["target_nqn"]
    with RpcClient(installed.socket()) as rpc:
        rpc.call("bdev_malloc_create", name="other", num_blocks=2048, block_size=512)
        rpc.call("nvmf_subsystem_add_ns", nqn=nqn, namespace={"bdev_name": "other"})
        assert installed.status()["health"] == "degraded"
        assert outcomes(installed("recover")) == {"a": "restored"}
        assert installed.status()["health"] == "ok"
        assert "other" in [b["name"] for b in rpc.call("bdev_get_bdevs")]


def test_saved_configuration_that_does_not_start(installed):
    """A disk that somebody gave to the target is away: what is recorded does not wait for it."""
    data = installed("attach", "vm1", "--host", HOST)["data"]
    away, other = installed.dir / "away", "nqn.2016-06.io.spdk:other"
    away.touch()
    os.truncate(away, 1 << 20)
    with RpcClient(installed.socket()) as rpc:
        rpc.call("bdev_uring_create", name="away", filename=str(away), block_size=512)
        rpc.call("bdev_malloc_create", name="m", num_blocks=2048, block_size=512)
        rpc.call("nvmf_create_subsystem", nqn=other, allow_any_host=True)
        rpc.call("nvmf_subsystem_add_ns", nqn=other, namespace={"bdev_name": "m"})
    installed("attach", "vm1", "--host", HOST)
    away.unlink()
    kill_both(installed)
    (answer,) = installed("recover")["accelerators"]
    kept = installed.state / "targets" / "a" / "config.json.unusable"
    assert answer["outcome"] == "restored" and str(kept) in answer["reason"], answer
    assert str(away) in answer["reason"] and str(away) in kept.read_text()
    assert installed.status()["health"] == "ok"
    assert installed("attach", "vm1", "--host", HOST)["data"] == data
    with RpcClient(installed.socket()) as rpc:
        (subsystem,) = [s for s in rpc.call("nvmf_get_subsystems") if s["nqn"] == other]
        assert subsystem["namespaces"][0]["bdev_name"] == "m"
    kill_both(installed)
    assert outcomes(installed("recover")) == {"a": "restored"}


def test_one_that_cannot_be_brought_back_keeps_no_other(installed):
    installed("install", "b", "--memory", "8M")
    kill_both(installed)
    kill_both(installed, "b")
    (installed.dir / "backing").rename(installed.dir / "elsewhere")
    process = installed.start("recover", "--json")
    answer = json.loads(process.stdout)
    assert process.returncode == 8 and answer["health"] == "down"
    assert outcomes(answer) == {"a": "failed", "b": "restored"}
    assert "backing" in answer["accelerators"][0]["reason"]
    (installed.dir / "elsewhere").rename(installed.dir / "backing")
    assert outcomes(installed("recover")) == {"a": "restored", "b": "ok"}


def test_interrupted_verb_is_undone(installed):
    installed.killed("attach:export", "attach", "vm1", "--host", HOST)
    assert "interrupted" in installed.status()
    assert outcomes(installed("recover")) == {"a": "ok"}
    status = installed.status()
    assert "interrupted" not in status and status["accelerators"][0]["attachments"] == []


def test_unknown_accelerator(installed):
    refusal = installed.refused("recover", "b")
    assert refusal.code == 4 and "there are a" in refusal.message


def test_crash_and_boot_are_told(installed):
    supervisor, target = installed.pids()
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: installed.pids()[1] not in (0, target), "the next start")
    wait_until(lambda: installed.status()["health"] == "ok", "the replay")
    text = installed.start("status").stdout
    assert "restarts 1" in text and "was killed by signal 9" in text
    kill_both(installed)
    path = installed.state / "targets" / "a" / "history.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    drift, = [d for d in installed.status()["accelerators"][0]["drift"] if "booted" in d]
    assert "recover" in drift
    installed("recover")
    assert "after a boot" in installed.start("status").stdout


@pytest.fixture
def small(node):
    """The state directory on a file system of its own, of 1 MiB."""
    node.state.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", node.state],
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    node.state.chmod(0o700)
    yield node
    for pid in node.pids():
        if pid:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: subprocess.run(["umount", node.state], stderr=subprocess.PIPE,
                                      check=False).returncode == 0, "the end of all use")


def fill(folder):
    with open(folder / "fill", "wb", buffering=0) as f, suppress(OSError):
        while True:
            f.write(bytes(1024))


def test_full_disk_is_told_and_looked_through(small):
    """SQLite's readers write too: without them nobody would see what is there."""
    small("install", "a", "--memory", "8M")
    small("attach", "vm1", "--host", HOST)
    fill(small.state)
    status = small.status()
    assert status["health"] == "degraded" and "No space left" in status["state_error"]
    assert status["accelerators"][0]["attachments"][0]["instance"] == "vm1"
    assert small("list")["accelerators"][0]["id"] == "a"
    assert "No space left" in small.refused("detach", "vm1").message
    (small.state / "fill").unlink()
    status = small.status()
    assert status["health"] == "ok" and "state_error" not in status
    small("detach", "vm1")


def test_spoilt_database_is_told_with_what_to_do(installed):
    (installed.state / "state.db").write_bytes(b"no database" * 1000)
    for verb in ["status"], ["recover"], ["detach", "vm1"]:
        failure = installed.refused(*verb)
        assert failure.code == 1 and "bring back a copy" in failure.message


@pytest.mark.parametrize("supervised", [True, False])
def test_spoilt_configuration_is_put_aside(installed, supervised):
    """All that counts is recorded: a file that no target starts with must not keep it away."""
    installed("attach", "vm1", "--host", HOST)
    config = installed.state / "targets" / "a" / "config.json"
    config.write_text('{"subsystems": [')
    if supervised:
        os.kill(installed.pids()[1], signal.SIGKILL)
        wait_until(lambda: "ends too early" in (config.parent / "target.log").read_text(),
                   "a start that fails")
    else:
        kill_both(installed)
    wait_until(lambda: outcomes(json.loads(installed.start("recover", "--json").stdout))["a"] in
               ("ok", "restored"), "recovery")
    status = installed.status()
    assert status["health"] == "ok" and len(status["accelerators"][0]["attachments"]) == 1
    assert (config.parent / "config.json.spoilt").read_text() == '{"subsystems": ['
    assert json.loads(config.read_text())["subsystems"]
    installed("detach", "vm1")
    installed("uninstall", "a")


def test_spoilt_configuration_keeps_no_detach(installed):
    installed("attach", "vm1", "--host", HOST)
    (installed.state / "targets" / "a" / "config.json").write_text("{")
    installed("detach", "vm1")
    assert installed.status()["accelerators"][0]["attachments"] == []
