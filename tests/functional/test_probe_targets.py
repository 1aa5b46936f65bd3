# SPDX-License-Identifier: Apache-2.0
"""discover and running targets: what they serve, in containers, many, hostile, or a real SPDK."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

import real_spdk
from conftest import RpcClient, free_port, wait_until

NQN = "nqn.2016-06.io.spdk:probe"


def found(cli, word):
    """The targets whose socket's path has a word in it."""
    return [t for t in cli("discover")["targets"] if word in t["socket"]]


def test_all_that_a_target_serves_is_told(cli, target):
    target.call("bdev_malloc_create", name="M0", num_blocks=64 * 2048, block_size=512)
    target.call("bdev_malloc_create", name="M1", num_blocks=64 * 2048, block_size=512)
    target.call("bdev_lvol_create_lvstore", bdev_name="M1", lvs_name="store")
    target.call("nvmf_create_transport", trtype="TCP")
    target.call("nvmf_create_subsystem", nqn=NQN, serial_number="S1")
    target.call("nvmf_subsystem_add_host", nqn=NQN, host="nqn.2016-06.io.spdk:host")
    target.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "M0"})
    target.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address={
        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(free_port())})
    told, = found(cli, str(target.sock))
    assert told["answers"] and told["kind"] == "engine" and told["pid"] == target.pid
    assert told["program"] == "cyborg-spdk-tgt" and told["locked"] and not told["container"]
    assert told["errors"] == {}
    assert [b["name"] for b in told["bdevs"]] == ["M0", "M1"]
    assert told["bdevs"][0]["claimed"] and told["bdevs"][0]["num_blocks"] == 64 * 2048
    assert [s["name"] for s in told["lvol_stores"]] == ["store"]
    assert [t["trtype"] for t in told["transports"]] == ["TCP"]
    subsystem, = [s for s in told["subsystems"] if s["nqn"] == NQN]
    assert subsystem["namespaces"][0]["bdev_name"] == "M0"
    assert subsystem["hosts"] == [{"nqn": "nqn.2016-06.io.spdk:host"}]
    assert len(subsystem["listen_addresses"]) == 1 and not subsystem["allow_any_host"]
    assert told["threads"] and told["reactors"]
    assert "2 bdevs, 1 store" in cli.start("discover").stdout


def test_many_bdevs(cli, target):
    with RpcClient(target.sock) as rpc:
        for batch in range(10):
            rpc.batch([("bdev_null_create", {"name": f"N{batch}-{i}", "num_blocks": 2048,
                                             "block_size": 512}) for i in range(100)])
    told, = found(cli, str(target.sock))
    assert len(told["bdevs"]) == 1000 and told["errors"] == {}


def test_target_without_its_socket_is_told(cli, target):
    os.unlink(target.sock)
    told, = [t for t in cli("discover")["targets"] if t["pid"] == target.pid]
    assert not told["answers"] and "nobody listens there" in told["error"]
    target.remove()


@pytest.fixture
def container(program, cli):
    """A target in mount and network namespaces of its own, on a path that only they have."""
    words = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c",
             "mount -t tmpfs tmpfs /mnt && exec " + shlex.quote(str(program("cyborg-spdk-tgt"))) +
             " -r /mnt/spdk-inside.sock"]
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "--net", "true"],
                                           stderr=subprocess.DEVNULL, check=False).returncode:
        pytest.skip("no namespaces may be made here")
    with open(cli.dir / "log", "wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    path = f"/proc/{process.pid}/root/mnt/spdk-inside.sock"
    wait_until(lambda: os.path.exists(path), path)
    yield process
    process.terminate()
    assert process.wait() == 0, (cli.dir / "log").read_text()


def test_target_in_a_container_is_reached(cli, container):
    told, = found(cli, "spdk-inside")
    assert told["answers"] and told["container"] and told["kind"] == "engine"
    assert told["pid"] == container.pid and told["socket_inside"] == "/mnt/spdk-inside.sock"
    assert told["socket"] == f"/proc/{container.pid}/root/mnt/spdk-inside.sock"
    assert not os.path.exists("/mnt/spdk-inside.sock")


def test_path_longer_than_an_address_is_reached(cli, program):
    """A relative path may lead where no address reaches."""
    deep = cli.dir / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with subprocess.Popen([str(program("cyborg-spdk-tgt")), "-r", "spdk.sock"], cwd=deep,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until((deep / "spdk.sock").exists, "the socket")
        told, = [t for t in cli("discover")["targets"] if t["pid"] == process.pid]
        assert told["answers"], told["error"]
        assert told["socket"] == f"/proc/{process.pid}/cwd/spdk.sock"
        process.terminate()


@pytest.fixture
def sockets(cli):
    """sockets(name): a listening socket of this process that looks like a target's."""
    made = []

    def make(name):
        path = cli.dir / f"spdk-{name}.sock"
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(path))
        s.listen()
        made.append(s)
        return s, path
    yield make
    for s in made:
        s.close()


def test_silent_targets_cost_their_time_once(cli, sockets):
    paths = [str(sockets(f"silent{i}")[1]) for i in range(20)]
    told = {t["socket"]: t for t in cli("discover")["targets"]}
    assert all("no answer" in told[path]["error"] for path in paths)


def test_security_socket_replaced_by_a_pipe_does_not_hold_discover(cli, sockets):
    _, path = sockets("pipe")
    path.unlink()
    os.mkfifo(path)
    told, = found(cli, "spdk-pipe")
    assert not told["answers"] and told["error"]


class Liar(threading.Thread):
    """Answers each request with what was prepared for its method."""

    def __init__(self, listener, answers):
        super().__init__(daemon=True)
        self.listener = listener
        self.answers = answers

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        decoder, text = json.JSONDecoder(), ""
        with peer:
            while data := peer.recv(65536):
                text += data.decode()
                while text:
                    request, end = decoder.raw_decode(text)
                    text = text[end:].lstrip()
                    result = self.answers.get(request["method"], [])
                    peer.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"],
                                             "result": result}).encode())


METHODS = ["spdk_get_version", "rpc_get_methods", "bdev_get_bdevs", "nvmf_get_subsystems",
           "thread_get_stats", "framework_get_reactors", "bdev_lvol_get_lvstores"]


@pytest.mark.parametrize("odd", [None, 7, "text", {}, [None], [[]], ["x"], [{"name": {"a": []}}],
                                 {"threads": 5}, {"threads": [None, {"name": 1}]}])
def test_security_answers_of_other_kinds_do_not_hurt_discover(cli, sockets, odd):
    listener, path = sockets("liar")
    answers = {m: odd for m in METHODS}
    answers.update(spdk_get_version={"version": "SPDK v20.01", "fields": {}},
                   rpc_get_methods=METHODS)
    Liar(listener, answers).start()
    told, = found(cli, str(path))
    assert told["version"].startswith("SPDK v20.01")
    assert cli.start("discover").returncode == 0


def test_security_terminal_is_not_driven_by_a_target(cli, sockets):
    listener, path = sockets("escape")
    Liar(listener, {"spdk_get_version": {"version": "SPDK \x1b]0;owned\x07\x9b2J\x7f"},
                    "rpc_get_methods": METHODS}).start()
    text = cli.start("discover").stdout
    line, = [line for line in text.splitlines() if str(path) in line]
    assert "SPDK  ]0;owned" in line
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)


@pytest.mark.parametrize("below", ["", "bin", "build/bin"])
def test_kits_in_configured_folders(cli, below):
    folder = cli.dir / "spdk" / below
    folder.mkdir(parents=True)
    kit = folder / "spdk_tgt"
    kit.write_text("#!/bin/sh\necho 'SPDK v24.09 git sha1 abc'\n")
    kit.chmod(0o755)
    cli.env["CYBORG_SPDK_KITS"] = f"/nonexistent:{cli.dir / 'spdk'}"
    told, = [k for k in cli("discover")["kits"] if k["path"] == str(kit)]
    assert told["kind"] == "spdk" and told["version"].startswith("SPDK v24.09")


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except FileNotFoundError:
        return False


def test_hung_kits_cost_their_time_once_and_are_named(cli):
    """Asked all at once: one that stands behind the others in line is told all the same."""
    names = [f"{letter}-hung" for letter in "abcd"] + ["z-good"]
    folders = [cli.dir / name for name in names]
    for folder in folders:
        folder.mkdir()
        kit = folder / "spdk_tgt"
        kit.write_text(f"#!/bin/sh\nsleep 1000 & echo $! >{folder}/pid; wait\n")
        kit.chmod(0o755)
    kit.write_text("#!/bin/sh\necho 'SPDK v24.09'\n")
    cli.env["CYBORG_SPDK_KITS"] = ":".join(map(str, folders))
    answer = cli("discover")
    assert [k["path"] for k in answer["kits"] if "/z-good/" in k["path"]] == [str(kit)]
    for folder in folders[:-1]:
        assert [s for s in answer["unseen"] if f"{folder}/spdk_tgt" in s and "3 s" in s]
        assert not is_alive(int((folder / "pid").read_text()))


@pytest.mark.parametrize("mode, of_folder", [(0o757, 0o755), (0o755, 0o1777)])
def test_security_kit_that_others_may_write_is_not_run_by_root(cli, mode, of_folder):
    if os.geteuid() != 0:
        pytest.skip("only root has something to lose")
    folder = cli.dir / "kits"
    folder.mkdir()
    kit, ran = folder / "spdk_tgt", cli.dir / "ran"
    kit.write_text(f"#!/bin/sh\ntouch {ran}; echo 'SPDK v24.09'\n")
    cli.env["CYBORG_SPDK_KITS"] = str(folder)
    kit.chmod(mode)
    folder.chmod(of_folder)
    assert not [k for k in cli("discover")["kits"] if k["path"] == str(kit)]
    assert not ran.exists()
    kit.chmod(0o755)
    folder.chmod(0o755)
    assert [k for k in cli("discover")["kits"] if k["path"] == str(kit)] and ran.exists()


@pytest.mark.parametrize("of", ["kits/bin", "kits/bin/spdk_tgt"])
def test_security_kit_of_another_user_is_not_run_by_root(cli, of):
    """Its owner may write it; who has a folder above may put another one there. But for whom the
    folder belongs to that root names."""
    if os.geteuid() != 0:
        pytest.skip("only root has something to lose")
    folder = cli.dir / "kits" / "bin"
    folder.mkdir(parents=True)
    kit, ran = folder / "spdk_tgt", cli.dir / "ran"
    kit.write_text(f"#!/bin/sh\ntouch {ran}; echo 'SPDK v24.09'\n")
    kit.chmod(0o755)
    cli.env["CYBORG_SPDK_KITS"] = str(folder.parent)
    os.chown(cli.dir / of, 65534, -1)
    answer = cli("discover")
    assert not [k for k in answer["kits"] if k["path"] == str(kit)] and not ran.exists()
    assert [s for s in answer["unseen"] if f"{kit}: root does not run" in s]
    os.chown(cli.dir / of, 0, -1)
    assert [k for k in cli("discover")["kits"] if k["path"] == str(kit)] and ran.exists()
    for path in (cli.dir / "kits", folder, kit):
        os.chown(path, 65534, -1)
    assert [k for k in cli("discover")["kits"] if k["path"] == str(kit)]


def test_other_users_are_not_seen_and_that_is_said(cli):
    if os.geteuid() != 0:
        assert cli("discover")["unseen"]
        return
    # The program and its libraries must be where nobody may go.
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(cli.program),
             "discover", "--json", "--state-dir", "/nonexistent/state"]
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed")
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={"PATH": "/usr/bin"}, check=False)
    if "Permission denied" in done.stderr:
        pytest.skip("the program cannot be run by another user from where it is")
    answer = json.loads(done.stdout)
    assert any("run as root" in text for text in answer["unseen"])
    for device in answer["devices"]:
        assert not device["eligible"]


def test_real_spdk_is_told(cli):
    sock = cli.dir / "real.sock"
    with open(cli.dir / "real.log", "wb") as log:
        process = real_spdk.start(sock, stdout=log, stderr=log, cwd=cli.dir)
    try:
        wait_until(sock.exists, "the real target's socket")
        with RpcClient(sock) as rpc:
            rpc.call("framework_wait_init")
            rpc.call("bdev_malloc_create", name="Real0", num_blocks=8192, block_size=512)
        told, = found(cli, str(sock))
        assert told["answers"] and told["kind"] == "spdk_tgt" and told["version"]
        assert [b["name"] for b in told["bdevs"]] == ["Real0"]
        assert told["threads"] and told["errors"] == {} and told["locked"]
    finally:
        with RpcClient(sock) as rpc:
            rpc.call("spdk_kill_instance", sig_name="SIGTERM")
        process.wait()
