# SPDX-License-Identifier: Apache-2.0
"""update: exports come back the same, or the old build does."""

import os
import shutil
import subprocess

import pytest

from conftest import RpcClient

HOST = "nqn.2016-06.io.spdk:host1"
IDENTITY = ["nqn", "nsid", "uuid", "nguid", "serial", "model", "port"]


@pytest.fixture
def attached(installed):
    installed("attach", "vm1", "--host", HOST)
    return installed


def recorded(cli):
    a = cli.status()["accelerators"][0]["attachments"][0]
    return {key: a[key] for key in IDENTITY}


def shown(cli):
    """What the target shows, in order of the protocol's names."""
    with RpcClient(cli.socket()) as rpc:
        return [s for s in rpc.call("nvmf_get_subsystems") if s["subtype"] == "NVMe"]


def script_kit(cli, body):
    kit = cli.dir / "kit"
    kit.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo cyborg-spdk-tgt 9.9.9 && exit 0\n"
                   + body)
    kit.chmod(0o755)
    return kit


def test_exports_come_back_the_same(attached, program):
    kit = attached.dir / "cyborg-spdk-tgt"
    shutil.copy(program("cyborg-spdk-tgt"), kit)
    before, seen = recorded(attached), shown(attached)
    answer = attached("update", "a", "--target", kit)
    assert answer["accelerator"]["target"] == str(kit) and answer["stall_ns"] > 0
    assert os.readlink(f"/proc/{attached.pids()[1]}/exe") == str(kit)
    assert recorded(attached) == before and shown(attached) == seen
    assert attached.status()["health"] == "ok"


def test_data_survives(attached, program):
    data = attached("attach", "vm1", "--host", HOST)["data"]
    address, port, _ = data["portals"][0]
    where = ["--hostnqn", HOST, "-r", f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} "
             f"subnqn:{data['target_nqn']}"]
    perf = str(program("cyborg-spdk-perf"))
    with open(attached.dir / "backing", "rb") as f:
        f.seek(8 << 20)
        before = f.read(4096)
    subprocess.run([perf, *where, "-w", "randwrite", "-n", "256"], check=True,
                   stdout=subprocess.DEVNULL)
    content = (attached.dir / "backing").read_bytes()
    assert content != bytes(16 << 20) and len(before) == 4096
    attached("update")
    assert (attached.dir / "backing").read_bytes() == content


def test_default_is_the_newest_installed(attached):
    answer = attached("update-driver", "a", "nvmf")
    assert answer["accelerator"]["target"].endswith("/cyborg-spdk-tgt")


def check_rolled_back(cli, kit, text):
    before, target = recorded(cli), cli.status()["accelerators"][0]["target"]
    failure = cli.refused("update", "a", "--target", kit)
    assert failure.code == 7 and "rolled back" in failure.message
    assert text in failure.message
    status = cli.status()
    assert status["health"] == "ok" and status["accelerators"][0]["target"] == target
    assert recorded(cli) == before


def test_kit_that_does_not_start_is_rolled_back(attached):
    kit = script_kit(attached, "echo wrong machine >&2; exit 1\n")
    check_rolled_back(attached, kit, "wrong machine")


def test_kit_that_dies_of_the_configuration_is_rolled_back(attached, program):
    kit = script_kit(attached, f"[ \"$3\" = -c ] && echo bad config >&2 && exit 1\n"
                               f"exec {program('cyborg-spdk-tgt')} \"$@\"\n")
    check_rolled_back(attached, kit, "bad config")


def test_kit_that_serves_nothing_is_rolled_back(attached):
    serve = attached.dir / "serve.py"
    serve.write_text("import socket, sys, time\n"
                     "s = socket.socket(socket.AF_UNIX)\n"
                     "s.bind(sys.argv[1]); s.listen()\n"
                     "while True:\n"
                     "    c, _ = s.accept(); c.close()\n")
    kit = script_kit(attached, f"rm -f \"$2\"; exec /usr/bin/python3 {serve} \"$2\"\n")
    check_rolled_back(attached, kit, "closed the connection")


def test_wrong_kits_are_refused_before_anything(attached):
    pids = attached.pids()
    for kit, code in (("/nonexistent", 4), ("/bin/false", 1), ("/bin/ls", 1),
                      (attached.dir, 1)):
        assert attached.refused("update", "a", "--target", kit).code == code
    assert attached.pids() == pids


def test_memory_is_not_lost_unasked(node):
    node("install", "m", "--memory", "4M")
    node("attach", "vm1", "--host", HOST)
    failure = node.refused("update", "m")
    assert failure.code == 3 and "--lose-volatile" in failure.message
    before = recorded(node)
    node("update", "m", "--lose-volatile")
    assert recorded(node) == before and node.status()["health"] == "ok"


def test_which_of_several(installed):
    installed("install", "b", "--memory", "4M")
    failure = installed.refused("update")
    assert failure.code == 2 and "a, b" in failure.message
