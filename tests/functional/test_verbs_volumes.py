# SPDX-License-Identifier: Apache-2.0
"""Stores of volumes behind the verbs: made, adopted, attached, kept, deleted, wiped, given back."""

import json
import os
import signal
import subprocess

import pytest

from conftest import RpcClient, wait_for_end

HOST = "nqn.2016-06.io.spdk:host1"
MIB = 1 << 20
SIZE = 48 * MIB


class Node:
    """The command with one accelerator `a` that has a store `pool` of 64 KiB clusters."""

    def __init__(self, cli, program):
        self.cli = cli
        self.backing = cli.dir / "backing"
        self.perf = str(program("cyborg-spdk-perf"))
        self.blob = str(program("cyborg-spdk-blob"))

    def install(self, *words):
        return self.cli("install", "a", "--backing", self.backing, "--store", "pool",
                        "--cluster-size", "64K", *words)

    def attach(self, instance, *words, **options):
        return self.cli("attach", instance, "--host", HOST, *words, **options)

    def refused(self, instance, *words):
        return self.cli.refused("attach", instance, "--host", HOST, *words)

    def rpc(self, method, **params):
        with RpcClient(self.cli.socket()) as rpc:
            return rpc.call(method, **params)

    def volumes(self):
        return {v["name"]: v for v in self.rpc("bdev_lvol_get_lvols")}

    def inspect(self):
        out = subprocess.run([self.blob, "inspect", "--json", self.backing], check=True,
                             stdout=subprocess.PIPE).stdout
        return json.loads(out)["stores"][0]

    def io(self, answer, *words):
        """cyborg-spdk-perf as the host of an attachment."""
        data = answer["data"]
        address, port, _ = data["portals"][0]
        return subprocess.run(
            [self.perf, *words, "--hostnqn", data["host_nqn"], "-r",
             f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} "
             f"subnqn:{data['target_nqn']}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def write(self, answer):
        done = self.io(answer, "-w", "write", "-o", "64K", "--verify-pattern", "persistent")
        assert done.returncode == 0, done.stderr

    def holds(self, answer):
        return self.io(answer, "-o", "64K", "--verify-only").returncode == 0


@pytest.fixture
def node(node, program):
    return Node(node, program)


@pytest.fixture
def store(node):
    node.install("--size", str(SIZE))
    return node


def snapshot(store, volume, name):
    store.rpc("bdev_lvol_snapshot", lvol_name=f"pool/{volume}", snapshot_name=name)


# --- install and uninstall ------------------------------------------------------------------------

def test_store_is_made_and_given_back(node):
    node.backing.touch()
    os.truncate(node.backing, SIZE)
    answer = node.install()
    a = answer["accelerator"]
    assert (a["scenario"], a["store"], a["store_made"]) == ("blobstore", "pool", True)
    assert a["cluster_size"] == 65536 and answer["volumes"] == []
    (shown,) = node.rpc("bdev_lvol_get_lvstores")
    assert (shown["uuid"], shown["name"]) == (a["store_uuid"], "pool")
    assert node.cli.status()["health"] == "ok"
    assert node.install() == answer
    node.cli("uninstall", "a")
    assert node.backing.stat().st_size == SIZE
    assert node.backing.read_bytes()[:4096] == bytes(4096)


def test_store_is_named_after_the_accelerator(node):
    node.cli("install", "a", "--backing", node.backing, "--size", SIZE, "--scenario", "blobstore")
    assert node.rpc("bdev_lvol_get_lvstores")[0]["name"] == "a"


def test_store_is_adopted_and_stays_whole(node):
    node.install("--size", str(SIZE))
    first = node.attach("vm1", "--size", "4M")
    node.write(first)
    node.cli("detach", "vm1")
    node.cli("uninstall", "a", "--keep-backing")
    before = node.inspect()
    refused = node.cli.refused("install", "a", "--backing", node.backing)
    assert refused.code == 3
    answer = node.cli("install", "b", "--backing", node.backing, "--scenario", "blobstore")
    a = answer["accelerator"]
    assert (a["store"], a["store_made"], a["store_uuid"]) == ("pool", False, before["uuid"])
    assert answer["volumes"] == ["vm1"] and a["cluster_size"] == 65536
    again = node.attach("vm1", "--volume", "vm1")
    assert again["data"]["vol_uuid"] == first["data"]["vol_uuid"] and node.holds(again)
    node.cli("detach", "vm1")
    node.cli("uninstall", "b")
    assert node.inspect() == before


def test_security_store_is_not_replaced_unasked(node):
    node.install("--size", str(SIZE))
    node.attach("vm1", "--size", "4M")
    node.cli("detach", "vm1")
    node.cli("uninstall", "a", "--keep-backing")
    words = ["install", "a", "--backing", node.backing, "--store", "other"]
    failure = node.cli.refused(*words)
    assert failure.code == 3 and '"pool"' in failure.message and "vm1" in failure.message
    assert node.inspect()["name"] == "pool"
    wrong = node.cli.refused(*words, "--force", "FILE-0-0")
    assert wrong.code == 3 and "its serial is" in wrong.message
    assert node.inspect()["name"] == "pool"
    serial = failure.message.rsplit("--force ", 1)[1]
    assert node.cli(*words, "--force", serial)["volumes"] == []
    assert node.rpc("bdev_lvol_get_lvstores")[0]["name"] == "other"


def test_security_store_is_not_made_over_data(node):
    node.backing.write_bytes(b"precious")
    os.truncate(node.backing, SIZE)
    failure = node.cli.refused("install", "a", "--backing", node.backing, "--store", "pool")
    assert failure.code == 3 and "--force FILE-" in failure.message
    assert node.backing.read_bytes()[:8] == b"precious"


def test_damaged_store_is_not_adopted(node):
    node.install("--size", str(SIZE))
    node.cli("uninstall", "a", "--keep-backing")
    with open(node.backing, "r+b") as f:
        f.seek(100)
        f.write(b"x")
    failure = node.cli.refused("install", "a", "--backing", node.backing, "--store", "pool")
    assert failure.code == 3 and "damaged" in failure.message


def test_undone_install_leaves_no_store(node):
    """The super block goes again."""
    node.backing.touch()
    os.truncate(node.backing, SIZE)
    node.cli.killed("install:store", "install", "a", "--backing", node.backing, "--store", "pool")
    assert node.backing.read_bytes()[:8] == b"SPDKBLOB"
    node.cli.refused("detach", "vm1")
    assert node.backing.read_bytes()[:4096] == bytes(4096)


@pytest.mark.parametrize("words, code, text", [
    (["--memory", "16M", "--store", "x"], 2, "memory keeps no store"),
    (["--memory", "16M", "--scenario", "else"], 2, "whole, blobstore and ceph"),
    (["--memory", "16M", "--cluster-size", "64K"], 2, "does not go with the scenario whole"),
    (["--backing", "{}", "--size", "16M", "--store", "x/y"], 2, "without '/'"),
    (["--backing", "{}", "--size", "16M", "--store", "x", "--cluster-size", "5000"], 2,
     "multiple of 4096"),
    (["--backing", "{}", "--size", "16M", "--store", "x", "--clear-method", "burn"], 2, "unmap"),
    (["--scenario", "ceph", "--ceph-config", "/nonexistent"], 4, "--ceph-config"),
    (["--scenario", "ceph", "--backing", "{}"], 2, "does not go with the scenario ceph"),
])
def test_install_refusals(node, words, code, text):
    failure = node.cli.refused("install", "a", *[w.format(node.backing) for w in words])
    assert failure.code == code and text in failure.message
    assert not node.backing.exists()


def test_uninstall_asks_before_volumes_are_lost(store):
    store.attach("vm1", "--size", "4M")
    store.cli("detach", "vm1")
    failure = store.cli.refused("uninstall", "a")
    assert failure.code == 3 and "vm1" in failure.message and "--delete" in failure.message
    store.cli("uninstall", "a", "--delete")
    assert not store.backing.exists()


def test_uninstall_wipes(node):
    node.backing.touch()
    os.truncate(node.backing, SIZE)
    node.install()
    node.write(node.attach("vm1", "--size", "4M"))
    node.cli("detach", "vm1")
    answer = node.cli("uninstall", "a", "--wipe")
    assert answer["wiped"] and node.backing.read_bytes() == bytes(SIZE)


def test_wiping_an_adopted_store_needs_consent(node):
    node.install("--size", str(SIZE))
    node.cli("uninstall", "a", "--keep-backing")
    node.install()
    failure = node.cli.refused("uninstall", "a", "--wipe")
    assert failure.code == 3 and "was there before install" in failure.message
    node.cli("uninstall", "a", "--wipe", "--delete")
    assert node.backing.read_bytes() == bytes(SIZE)


# --- attach ---------------------------------------------------------------------------------------

def test_new_volumes_for_many_instances(store):
    answers = [store.attach(f"vm{i}", "--size", "4M") for i in range(5)]
    assert len({a["data"]["vol_uuid"] for a in answers}) == 5
    assert len({a["data"]["portals"][0][1] for a in answers}) == 5
    assert len({a["attachment"]["serial"] for a in answers}) == 5
    volumes = store.volumes()
    assert sorted(volumes) == [f"vm{i}" for i in range(5)]
    assert all(v["is_thin_provisioned"] for v in volumes.values())
    store.write(answers[1])
    assert store.holds(answers[1]) and not store.holds(answers[2])
    assert store.cli.status()["health"] == "ok"


def test_same_call_gives_the_same_answer(store):
    words = ["vm1", "--size", "3M", "--volume", "disk"]
    first, second = store.attach(*words), store.attach(*words)
    for answer in (first, second):
        answer.pop("proof_ns")
    assert first == second
    assert first["attachment"]["volume"] == "disk" and first["attachment"]["size"] == 3 * MIB
    for other in (["--size", "8M"], ["--volume", "else"], ["--volume", "disk", "--read-only"]):
        failure = store.refused("vm1", *other)
        assert failure.code == 3 and "detach it first" in failure.message


def test_size_is_rounded_up_to_clusters(store):
    answer = store.attach("vm1", "--size", str(MIB + 1))
    assert answer["attachment"]["size"] == 2 * MIB
    assert store.attach("vm1", "--size", str(MIB + 1))["attachment"] == answer["attachment"]


def test_thick(store):
    store.attach("vm1", "--size", "4M", "--thick")
    volume = store.volumes()["vm1"]
    assert not volume["is_thin_provisioned"] and volume["num_allocated_clusters"] == 64


def test_kept_volume_is_the_instances_own_again(store):
    first = store.attach("vm1", "--size", "4M")
    store.write(first)
    assert store.cli("detach", "vm1")["volume"] == "kept"
    again = store.attach("vm1", "--size", "4M")
    assert again["data"]["vol_uuid"] == first["data"]["vol_uuid"] and store.holds(again)
    store.cli("detach", "vm1")
    failure = store.refused("vm1", "--size", "8M")
    assert failure.code == 3 and "--volume vm1" in failure.message
    failure = store.refused("vm2", "--size", "4M", "--volume", "vm1")
    assert failure.code == 3


def test_clone_of_a_snapshot(store):
    store.write(store.attach("vm1", "--size", "4M", "--volume", "base"))
    snapshot(store, "base", "golden")
    clones = [store.attach(f"c{i}", "--clone", "golden") for i in range(2)]
    assert all(store.holds(clone) for clone in clones)
    assert clones[0]["attachment"]["origin"] == "golden"
    assert store.io(clones[0], "-w", "write", "-n", "64", "-o", "64K").returncode == 0
    assert not store.holds(clones[0]) and store.holds(clones[1])
    failure = store.refused("c3", "--clone", "base")
    assert failure.code == 2 and "snapshot" in failure.message
    failure = store.refused("c3", "--clone", "none")
    assert failure.code == 4 and "golden" in failure.message


def test_read_only_volume_is_shown_as_a_snapshot(store):
    first = store.attach("vm1", "--size", "4M")
    store.write(first)
    answer = store.attach("vm2", "--volume", "vm1", "--read-only")
    assert answer["data"]["access_mode"] == "ro"
    assert store.holds(answer)
    assert store.io(answer, "-w", "write", "-n", "1").returncode == 4
    assert store.io(first, "-w", "write", "-n", "8", "-o", "64K").returncode == 0
    assert store.holds(answer)
    assert store.cli.status()["health"] == "ok"
    assert store.cli("detach", "vm2")["volume"] == "deleted"
    assert sorted(store.volumes()) == ["vm1"]
    assert store.io(first, "-w", "read", "-n", "8").returncode == 0


def test_security_read_only_clone_and_snapshot_refuse_writes(store):
    store.write(store.attach("vm1", "--size", "4M"))
    snapshot(store, "vm1", "golden")
    failure = store.refused("vm2", "--volume", "golden")
    assert failure.code == 3 and "--read-only" in failure.message
    for words in (["--volume", "golden"], ["--clone", "golden"]):
        answer = store.attach("vm2", "--read-only", *words)
        assert store.holds(answer)
        for workload in ("write", "randwrite"):
            assert store.io(answer, "-w", workload, "-n", "4").returncode == 4
        assert store.io(answer, "--zero").returncode == 4
        store.cli("detach", "vm2")
    assert sorted(store.volumes()) == ["golden", "vm1"]


def test_volume_has_one_instance(store):
    store.attach("vm1", "--size", "4M")
    failure = store.refused("vm2", "--volume", "vm1")
    assert failure.code == 3 and "attached to instance vm1" in failure.message


@pytest.mark.parametrize("words, code, text", [
    ([], 2, "--size SIZE for a new volume"),
    (["--accelerator", "a"], 2, "--size SIZE for a new volume"),
    (["--volume", "none"], 4, "it has []"),
    (["--size", "4M", "--clone", "x"], 2, "leave --size away"),
    (["--size", "4M", "--read-only"], 2, "a new volume is empty"),
    (["--volume", "x", "--thick"], 2, "--thick is for a new volume"),
    (["--size", "1G"], 3, "does not fit"),
    (["--size", "47M", "--thick"], 3, "are free"),
    (["--size", "4M", "--volume", "a/b"], 2, "without '/'"),
    (["--rbd", "pool/image"], 4, "--scenario ceph"),
    (["--rbd", "image", "--accelerator", "a"], 2, "POOL/IMAGE"),
    (["--rbd", "pool/image", "--accelerator", "a"], 2, "no Ceph cluster"),
    (["--size", "4M", "--qos", "fast=1"], 2, "rw_ios=N"),
    (["--size", "4M", "--qos", "rw_mb=99999999"], 2, "at most"),
    (["--size", "4M", "--transport", "rdma"], 2, "tcp and vhost-user-blk"),
    (["--size", "4M", "--transport", "vhost-user-blk"], 2, "socket of this node"),
])
def test_attach_refusals(store, words, code, text):
    failure = store.refused("vm1", *words)
    assert failure.code == code and text in failure.message, failure.message
    assert store.volumes() == {} and len(store.rpc("nvmf_get_subsystems")) == 1


def test_size_asks_the_one_that_has_a_store(store):
    store.cli("install", "b", "--memory", "4M")
    assert store.attach("vm1", "--size", "4M")["attachment"]["accelerator"] == "a"
    assert store.attach("vm2")["attachment"]["accelerator"] == "b"


def test_whole_accelerator_has_no_volumes(node):
    node.cli("install", "a", "--memory", "8M")
    failure = node.refused("vm1", "--accelerator", "a", "--volume", "x")
    assert failure.code == 2 and "has no store" in failure.message


def test_failed_export_deletes_the_volume(store):
    failure = store.refused("vm1", "--size", "4M", "--listen", "192.0.2.1:4420")
    assert "192.0.2.1" in failure.message
    assert store.volumes() == {}
    store.attach("vm1", "--size", "4M")


# --- detach ---------------------------------------------------------------------------------------

def test_detach_deletes_by_consent(store):
    store.attach("vm1", "--size", "4M")
    answer = store.cli("detach", "vm1", "--delete")
    assert answer["volume"] == "deleted" and store.volumes() == {}
    assert store.cli("detach", "vm1")["already"]


def test_volume_that_was_renamed_is_the_one_that_is_deleted(store):
    store.attach("vm1", "--size", "1M")
    store.rpc("bdev_lvol_rename", old_name="pool/vm1", new_name="other")
    store.rpc("bdev_lvol_create", lvs_name="pool", lvol_name="vm1", size_in_mib=1)
    store.cli("detach", "vm1", "--delete")
    assert set(store.volumes()) == {"vm1"}


def test_detach_wipes_before_it_deletes(store):
    """Deleting punches holes as well, so the volume is looked at between the two."""
    store.write(store.attach("vm1", "--size", "4M"))
    assert all(cluster.strip(b"\0") for cluster in held_by(store, "vm1"))
    store.cli.killed("detach:wipe", "detach", "vm1", "--wipe")
    assert held_by(store, "vm1") == [bytes(65536)] * 64
    answer = store.cli("detach", "vm1", "--wipe")
    assert answer["volume"] == "deleted" and answer["wiped"] and store.volumes() == {}
    assert len(store.rpc("nvmf_get_subsystems")) == 1


def held_by(store, volume):
    """The volume's content in clusters, by its export to a file."""
    out = store.cli.dir / "content"
    (shown,) = [b for b in store.rpc("bdev_get_bdevs") if f"pool/{volume}" in b["aliases"]]
    size = shown["num_blocks"] * shown["block_size"]
    image = store.cli.dir / "image"
    image.write_bytes(store.backing.read_bytes())
    subprocess.run([store.blob, "export", image, f"pool/{volume}", out], check=True,
                   stdout=subprocess.DEVNULL)
    content = out.read_bytes()
    out.unlink()
    assert len(content) == size
    return [content[i:i + 65536] for i in range(0, size, 65536)]


def test_whole_backing_is_wiped_but_not_deleted(node):
    node.cli("install", "a", "--memory", "4M")
    node.write(node.attach("vm1"))
    failure = node.cli.refused("detach", "vm1", "--delete")
    assert failure.code == 2 and "uninstall" in failure.message
    node.cli("detach", "vm1", "--wipe")
    assert not node.holds(node.attach("vm1"))


def test_snapshot_with_clones_is_not_deleted(store):
    store.attach("vm1", "--size", "4M")
    snapshot(store, "vm1", "golden")
    for i in range(2):
        store.attach(f"c{i}", "--clone", "golden")
    store.attach("vm2", "--volume", "golden", "--read-only")
    failure = store.cli.refused("detach", "vm2", "--delete")
    assert failure.code == 3 and "clones" in failure.message
    assert store.cli("detach", "vm2")["volume"] == "kept"


@pytest.mark.parametrize("words, text", [
    (["--keep", "--delete"], "--keep excludes"),
    (["--wipe"], "read-only"),
])
def test_detach_refusals(store, words, text):
    store.attach("vm1", "--size", "4M")
    snapshot(store, "vm1", "golden")
    store.attach("vm2", "--volume", "golden", "--read-only")
    failure = store.cli.refused("detach", "vm2", *words)
    assert failure.code == 2 and text in failure.message


# --- status and recover ---------------------------------------------------------------------------

def drift(store):
    status = store.cli.status()
    assert status["health"] != "ok"
    return " ".join(status["accelerators"][0]["drift"])


def test_drift_of_a_volume_is_told(store):
    nqn = store.attach("vm1", "--size", "4M")["data"]["target_nqn"]
    store.rpc("bdev_lvol_resize", name="pool/vm1", size_in_mib=8)
    assert "has 8388608 bytes, recorded are 4194304" in drift(store)
    store.rpc("nvmf_delete_subsystem", nqn=nqn)
    store.rpc("bdev_lvol_delete", name="pool/vm1")
    text = drift(store)
    assert "vm1" in text and "is missing" in text
    failure = store.cli.refused("attach", "vm1", "--host", HOST, "--size", "4M")
    assert failure.code == 5 and "bring the volume back" in failure.message
    store.attach("vm2", "--size", "4M")
    (outcome,) = json.loads(store.cli.start("recover", "--json").stdout)["accelerators"]
    assert outcome["outcome"] == "failed" and "vm1" in outcome["reason"]
    store.cli("detach", "vm1")
    assert store.cli.status()["health"] == "ok"


def test_drift_of_the_store_is_told(store):
    store.rpc("bdev_lvol_rename_lvstore", old_name="pool", new_name="lake")
    assert 'is named "lake" now' in drift(store)
    store.cli("recover")
    assert store.cli.status()["health"] == "ok"
    assert store.rpc("bdev_lvol_get_lvstores")[0]["name"] == "pool"


def test_recover_brings_volumes_back(store):
    answers = [store.attach(f"vm{i}", "--size", "2M") for i in range(2)]
    store.write(answers[0])
    supervisor, target = store.cli.pids()
    os.kill(supervisor, signal.SIGKILL)
    wait_for_end(target)
    assert store.cli.status()["health"] == "down"
    assert store.cli("recover")["health"] == "ok"
    assert store.cli.status()["health"] == "ok" and store.holds(answers[0])


def test_update_brings_volumes_back(store):
    answer = store.attach("vm1", "--size", "2M")
    store.write(answer)
    store.cli("update", "a")
    assert store.holds(answer) and store.cli.status()["health"] == "ok"
