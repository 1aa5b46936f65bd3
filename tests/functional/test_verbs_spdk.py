# SPDX-License-Identifier: Apache-2.0
"""The verbs on a real SPDK: its whole life, changed for the engine and back, and kits that fail.

See tests/real_spdk.py.
"""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from conftest import RpcClient, free_port, real_kit, wait_until

HOST = "nqn.2016-06.io.spdk:host1"
SIZE = "32M"
IDENTITY = ["nqn", "nsid", "uuid", "nguid", "serial", "model", "port", "size"]
HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
LEFTOVERS = [Path("/dev/shm"), Path("/var/run/dpdk"), Path("/tmp/dpdk"), Path("/dev/hugepages")]


def make_script(path, body):
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)
    return path


@pytest.fixture
def spdk(node):
    return real_kit(node)


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


class Life:
    """An accelerator `a` on a file, attached, and the pids that its targets had.

    store: with a store, attached as two volumes; else attached whole.
    """

    def __init__(self, cli, program, kit, store=False):
        self.cli, self.perf = cli, str(program("cyborg-spdk-perf"))
        self.backing = cli.dir / "backing"
        self.store, self.pids = store, set()
        self.left_by_others = {path for folder in LEFTOVERS for path in folder.glob("*pid*")}
        self.hugepages = HUGEPAGES.read_text()
        cli("install", "a", "--backing", self.backing, "--size", SIZE, "--target", kit,
            "--no-huge", *(["--scenario", "blobstore", "--cluster-size", "1M"] if store else []))
        self.note_pids()
        self.words = {"vm1": ["--size", "8M", "--qos", "rw_mb=900"], "vm2": ["--size", "4M"]} \
            if store else {"vm1": []}
        # Ports of our own: those that attach chooses others may take while a target is away.
        for words in self.words.values():
            words += ["--listen", f"127.0.0.1:{free_port()}"]
        self.data = {instance: self.attach(instance)["data"] for instance in self.words}
        self.identity = self.recorded()

    def attach(self, instance):
        return self.cli("attach", instance, "--host", HOST, *self.words[instance])

    def note_pids(self):
        self.pids |= {pid for pid in self.cli.pids() if pid}

    def recorded(self):
        attachments = self.cli.status()["accelerators"][0]["attachments"]
        return {a["instance"]: {key: a[key] for key in IDENTITY} for a in attachments}

    def io(self, *words):
        """One perf for each instance, whose data has a seed of its own."""
        for seed, data in enumerate(self.data.values()):
            address, port, _ = data["portals"][0]
            subprocess.run([self.perf, "--hostnqn", HOST, "--quiet", "-r",
                            f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} "
                            f"subnqn:{data['target_nqn']}", "-o", "64K", "--verify-pattern",
                            "persistent", "--seed", str(seed + 1), *words],
                           check=True, stdout=subprocess.DEVNULL)

    def write(self):
        self.io("-w", "write", "--verify")

    def check(self):
        """As recorded, with the data that write() wrote."""
        assert self.cli.status()["health"] == "ok" and self.recorded() == self.identity
        self.io("--verify-only")

    def update(self, kit, *words):
        answer = self.cli("update", "a", "--target", kit, *words)
        assert answer["stall_ns"] > 0 and answer["accelerator"]["target"] == str(kit)
        self.note_pids()
        self.check()

    def refuse(self, kit, text, *words):
        """An update that is rolled back, with all as it was."""
        target = self.cli.status()["accelerators"][0]["target"]
        failure = self.cli.refused("update", "a", "--target", kit, *words)
        assert failure.code == 7 and "rolled back" in failure.message, failure.message
        assert text in failure.message, failure.message
        self.note_pids()
        assert self.cli.status()["accelerators"][0]["target"] == target
        self.check()

    def end(self):
        """Detached and uninstalled, the node is as it was."""
        for instance in self.data:
            self.cli("detach", instance, *(["--delete"] if self.store else []))
        self.cli("uninstall", "a")
        assert not self.backing.exists() and not list((self.cli.state / "targets").iterdir())
        for pid in self.pids:
            assert not alive(pid)
            for folder in LEFTOVERS:
                assert set(folder.glob(f"*pid{pid}*")) <= self.left_by_others
        assert HUGEPAGES.read_text() == self.hugepages


def bdev(cli):
    with RpcClient(cli.socket()) as rpc:
        return next(b for b in rpc.call("bdev_get_bdevs") if b["name"] == "a")


def test_whole_life(node, program, spdk):
    """Also from SPDK to the engine, back, and to another SPDK: the data and its names stay."""
    life = Life(node, program, spdk)
    assert "SPDK" in node.status()["accelerators"][0]["running_version"]
    assert str(node.socket()) in [t["socket"] for t in node("discover")["targets"]]
    before = bdev(node)
    assert life.attach("vm1")["data"] == life.data["vm1"]
    life.write()
    life.check()
    engine = program("cyborg-spdk-tgt")
    life.update(engine)
    assert "--no-huge" not in Path(f"/proc/{node.pids()[1]}/cmdline").read_text()
    life.update(spdk, "--no-huge")
    other = node.dir / "other_spdk_tgt"
    other.write_bytes(spdk.read_bytes())
    other.chmod(0o755)
    life.update(other)
    after = bdev(node)
    for name in ("uuid", "block_size", "num_blocks", "aliases"):
        assert after[name] == before[name]
    life.end()


def test_store_survives_the_change_of_kit(node, program, spdk):
    """A store that SPDK made, served by the engine, and by SPDK again."""
    life = Life(node, program, spdk, store=True)
    life.write()
    store = node.status()["accelerators"][0]["store_uuid"]
    life.update(program("cyborg-spdk-tgt"))
    life.write()
    life.update(spdk, "--no-huge")
    with RpcClient(node.socket()) as rpc:
        assert [s["uuid"] for s in rpc.call("bdev_lvol_get_lvstores")] == [store]
        limits = [b["assigned_rate_limits"]["rw_mbytes_per_sec"] for b in rpc.call("bdev_get_bdevs")
                  if b["product_name"] == "Logical Volume"]
    assert sorted(limits) == [0, 900]
    life.refuse(make_script(node.dir / "poor", f"""
[ "$1" = --version ] && exec {spdk} --version
[ "$1" = --help ] && exec {spdk} --help
exec {program("cyborg-spdk-tgt")} "$@" --rpcs-allowed rpc_get_methods,framework_wait_init
"""), "bdev_uring_create, bdev_lvol_get_lvstores")
    life.end()


def test_kits_that_fail(node, program, spdk):
    life = Life(node, program, spdk)
    life.write()
    life.refuse(make_script(node.dir / "dead", '''
[ "$1" = --version ] && echo SPDK v99.01 && exit 0
[ "$1" = --help ] && echo --no-huge && exit 0
echo wrong machine >&2
exit 1
'''), "wrong machine")
    # Starts, answers, and serves nothing: no configuration is loaded, no method makes anything.
    empty = ("--rpcs-allowed rpc_get_methods,framework_wait_init,spdk_get_version,"
             "bdev_get_bdevs,nvmf_get_subsystems,nvmf_get_transports")
    for name, target, more in (("engine", program("cyborg-spdk-tgt"), ""),
                               ("spdk", spdk, "--no-huge -s 1024 --disable-cpumask-locks")):
        life.refuse(make_script(node.dir / f"empty-{name}", f"""
case "$*" in *" -c "*) sock=$2; shift $#; set -- -r "$sock" {empty};; esac
exec {target} "$@" {more}
"""), "has no bdev_", "--no-huge")
    life.end()


def test_kit_without_a_method_is_named_before_anything(node, program, spdk):
    life = Life(node, program, spdk)
    life.write()
    pids = node.pids()
    kit = make_script(node.dir / "poor", f"""
[ "$1" = --version ] && exec {spdk} --version
[ "$1" = --help ] && exec {spdk} --help
exec {spdk} "$@" --rpcs-allowed \
rpc_get_methods,framework_wait_init,spdk_get_version,bdev_get_bdevs,bdev_aio_create
""")
    life.refuse(kit, "pre-flight of")
    failure = node.refused("update", "a", "--target", kit)
    assert "nvmf_create_subsystem, nvmf_delete_subsystem" in failure.message
    assert node.pids() == pids
    life.end()


def test_killed_target_comes_back(node, program, spdk):
    life = Life(node, program, spdk)
    life.write()
    _, target = node.pids()
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: node.pids()[1] not in (0, target), "the next start")
    life.note_pids()
    wait_until(lambda: node.status()["health"] == "ok", "the exports")
    life.check()
    life.end()


def test_two_targets_on_one_node(node, program, spdk):
    """Both want the first core, which SPDK locks: each gets one, or they share."""
    life = Life(node, program, spdk)
    node("install", "b", "--backing", node.dir / "other", "--size", SIZE, "--target", spdk,
         "--no-huge")
    life.write()
    life.update(spdk, "--no-huge")
    assert [a["health"] for a in node.status()["accelerators"]] == ["ok", "ok"]
    node("uninstall", "b")
    life.end()


def test_spdk_without_hugepages_is_told(node, spdk):
    failure = node.refused("install", "a", "--memory", "8M", "--target", spdk, "--hugepages", "1M")
    assert failure.code == 2 and "256 MiB" in failure.message
    failure = node.refused("install", "a", "--memory", "8M", "--target", spdk, "--hugepages",
                           "512M", "--no-huge")
    assert failure.code == 2 and "either" in failure.message
