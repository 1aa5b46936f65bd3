# SPDX-License-Identifier: Apache-2.0
"""The verbs on every SPDK: stand-ins for older releases (tests/replay), and a real one.

See tests/real_spdk.py.
"""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import RpcClient, RpcError, free_port, real_kit, wait_until

REPLAY = Path(__file__).resolve().parents[1] / "replay"
sys.path.insert(0, str(REPLAY))
from releases import NEWEST, RELEASES, as_number  # noqa: E402

HOST = "nqn.2016-06.io.spdk:host1"
WITHOUT_TCP = [r for r in RELEASES if as_number(r) < 1901]
WITH_TCP = [r for r in RELEASES if as_number(r) >= 1901]
CANNOT_TELL_HOSTS = [r for r in WITH_TCP if as_number(r) < 2010]


@pytest.fixture
def kit(node, program, request):
    """kit(release): the path of a program that stands in for that release's target."""
    def make(release):
        options = []
        if release == NEWEST:
            reference = request.getfixturevalue("reference")
            options = ["--schema", str(reference / "spdk-26.05-rpc-schema.json")]
        command = [sys.executable, str(REPLAY / "spdk_replay.py"), "--release", release,
                   "--engine", str(program("cyborg-spdk-tgt")), *options]
        return script(node.dir / f"spdk_tgt-{release}", shlex.join(command) + ' "$@"')
    return make


def script(path, command):
    path.write_text(f"#!/bin/sh\nexec {command}\n")
    path.chmod(0o755)
    return path


def listens(path):
    try:
        RpcClient(path).close()
        return True
    except OSError:
        return False


def install(node, target, *more):
    return node("install", "a", "--backing", node.dir / "backing", "--size", "16M",
                "--target", target, "--no-huge", *more)


def methods(node):
    with RpcClient(node.socket()) as rpc:
        try:
            return rpc.call("rpc_get_methods")
        except RpcError:
            return rpc.call("get_rpc_methods")


def detach(node, release, *words):
    return node("detach", "vm1", *words, *(["--force"] if release in CANNOT_TELL_HOSTS else []))


@pytest.mark.parametrize("release", WITH_TCP)
def test_whole_life(node, kit, release):
    answer = install(node, kit(release))
    assert f"v{release}" in answer["accelerator"]["version"]
    attached = node("attach", "vm1", "--host", HOST)
    assert attached["data"]["host_nqn"] == HOST
    status = node.status()
    assert status["health"] == "ok", status
    assert f"v{release}" in status["accelerators"][0]["running_version"]
    assert detach(node, release)["detached"]["instance"] == "vm1"
    node("uninstall", "a")
    assert not (node.dir / "backing").exists() and node.pids() == (0, 0)


@pytest.mark.parametrize("release", WITH_TCP)
def test_exports_are_back_after_a_crash(node, kit, release):
    install(node, kit(release))
    # A port of its own: one that attach chooses others may take while the target is away.
    words = ["attach", "vm1", "--host", HOST, "--listen", f"127.0.0.1:{free_port()}"]
    attached = node(*words)
    _, before = node.pids()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: node.pids()[1] not in (0, before) and node.status()["health"] == "ok",
               "the target to be back with its exports")
    again = node(*words)
    assert again["data"] == attached["data"]


@pytest.mark.parametrize("release", ["19.01", "20.10", "22.01"])
def test_volumes_are_back_after_a_start_that_cannot_wait_for_them(node, kit, program, release):
    """Before 21.01 a start would fail by them; a target that loads them, for one that does not."""
    words = ["--scenario", "blobstore", "--cluster-size", "64K"]
    install(node, kit(release), *words)
    attach = ["attach", "vm1", "--host", HOST, "--size", "1M", "--qos", "rw_mb=50",
              "--listen", f"127.0.0.1:{free_port()}"]
    data = node(*attach)["data"]
    with RpcClient(node.socket()) as rpc:
        rpc.call("nvmf_subsystem_create" if release == "19.01" else "nvmf_create_subsystem",
                 nqn="nqn.2016-06.io.spdk:other", allow_any_host=True)
    node("attach", "vm2", "--host", HOST, "--size", "1M", "--listen", f"127.0.0.1:{free_port()}")
    saved = (node.state / "targets" / "a" / "config.json").read_text()
    assert (data["target_nqn"] in saved) == (release == "22.01")
    assert "nqn.2016-06.io.spdk:other" in saved
    _, before = node.pids()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: node.pids()[1] not in (0, before), "the next start")
    node("recover")
    assert node.status()["health"] == "ok"
    assert node(*attach)["data"] == data
    for target, words in ((program("cyborg-spdk-tgt"), []), (kit(release), ["--no-huge"])):
        node("update", "a", "--target", target, *words)
        assert node.status()["health"] == "ok"


@pytest.mark.parametrize("release, words", [
    ("22.01", ["psk"]), ("24.01", None), (NEWEST, None)])
def test_tls_by_path_by_name_and_not_at_all(node, kit, release, words):
    path = node.dir / "psk"
    path.write_text("NVMeTLSkey-1:01:VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwNf9LrZ:")
    path.chmod(0o600)
    install(node, kit(release))
    attach = ["attach", "vm1", "--host", HOST, "--psk", path]
    if words:
        failure = node.refused(*attach)
        assert all(word in failure.message for word in words), failure.message
        assert "23.05" in failure.message and node.status()["health"] == "ok"
        return
    answer = node(*attach)
    assert node(*attach)["attachment"] == answer["attachment"]
    assert node.status()["health"] == "ok"
    detach(node, release)


@pytest.mark.parametrize("release", WITHOUT_TCP)
def test_release_without_nvme_tcp_is_refused_by_name(node, kit, release):
    failure = node.refused("install", "a", "--backing", node.dir / "backing", "--size", "16M",
                           "--target", kit(release), "--no-huge")
    assert f"SPDK v{release}" in failure.message and "NVMe/TCP" in failure.message
    assert "19.01" in failure.message
    assert not (node.dir / "backing").exists() and node.pids() == (0, 0)


@pytest.mark.parametrize("release", CANNOT_TELL_HOSTS)
def test_detach_needs_force_where_hosts_cannot_be_told(node, kit, release):
    install(node, kit(release))
    node("attach", "vm1", "--host", HOST)
    failure = node.refused("detach", "vm1")
    assert "20.10" in failure.message and "--force" in failure.message
    assert node.status()["health"] == "ok"


@pytest.mark.parametrize("release", [WITH_TCP[0], WITH_TCP[-2]])
def test_update_from_an_old_release_to_the_engine(node, kit, program, release):
    install(node, kit(release))
    before = node("attach", "vm1", "--host", HOST)["data"]
    answer = node("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert f"v{release}" in answer["old_version"]
    assert "bdev_lvol_create" in methods(node)
    assert node("attach", "vm1", "--host", HOST)["data"] == before


@pytest.mark.parametrize("release", RELEASES)
def test_discover_knows_each(node, kit, release):
    path = node.dir / "spdk.sock"
    with open(node.dir / "log", "wb") as log:
        process = subprocess.Popen([str(kit(release)), "-r", str(path)], stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(path), "the stand-in")
        found = [t for t in node("discover")["targets"] if t["socket"] == str(path)]
    finally:
        process.terminate()
        process.wait()
    assert found and found[0]["answers"] and found[0]["kind"] != "engine", found
    assert f"v{release}" in found[0]["version"]


def test_program_that_cannot_be_asked_does_not_hurt_discover(node):
    folder = node.dir / "bin"
    folder.mkdir()
    (folder / "spdk_tgt").write_bytes(b"\x7fELF no program")
    (folder / "spdk_tgt").chmod(0o755)
    answer = node("discover", env={"PATH": f"{folder}:{os.environ['PATH']}"})
    assert not [k for k in answer["kits"] if k["path"].startswith(str(folder))]


def test_stand_in_is_strict(node, kit, program):
    """What the tests above lean on: unknown names and parameters are refused as SPDK does it."""
    path = node.dir / "spdk.sock"
    process = subprocess.Popen([str(kit("19.01")), "-r", str(path)], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: listens(path), "the stand-in")
        with RpcClient(path) as rpc:
            assert rpc.error("bdev_get_bdevs").code == -32601
            unknown = rpc.error("construct_malloc_bdev", num_blocks=8, block_size=512, x=1)
            assert unknown.code == -32602
            assert rpc.error("construct_malloc_bdev", num_blocks=8).code == -32602
            assert rpc.error("nvmf_subsystem_create", nqn="n", model_number="m").code == -32602
            assert rpc.error("get_subsystems", x=1).message.endswith("requires no parameters")
            assert rpc.call("construct_malloc_bdev", num_blocks=8, block_size=512)
            assert "numa_id" not in rpc.call("get_bdevs")[0]
    finally:
        process.terminate()
        process.wait()


# --- a real SPDK ----------------------------------------------------------------------------------

def test_real_spdk_lives_a_whole_life(node):
    install(node, real_kit(node))
    attached = node("attach", "vm1", "--host", HOST)
    status = node.status()
    assert status["health"] == "ok", status
    found = [t for t in node("discover")["targets"] if t["socket"] == str(node.socket())]
    assert found and found[0]["kind"] != "engine" and found[0]["answers"]
    again = node("attach", "vm1", "--host", HOST)
    assert again["data"] == attached["data"]
    node("detach", "vm1")
    node("uninstall", "a")
    assert node.pids() == (0, 0)
