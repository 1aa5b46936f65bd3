# SPDX-License-Identifier: Apache-2.0
"""Stores that ours wrote, loaded by a real SPDK, and the other way round; and SPDK's own client.

See tests/real_spdk.py.
"""

import json
import os
import signal
import subprocess

import pytest

import real_spdk
from blobtool import copy
from conftest import RpcClient, wait_until
from lvol_target import MIB, Lvols, pattern, sha256


class Spdk:
    """A real target, with the interface of conftest's."""

    def __init__(self, folder):
        self.dir = folder
        self.sock = folder / "spdk.sock"
        with open(folder / "spdk.log", "wb") as log:
            self.process = real_spdk.start(self.sock, stdout=log, stderr=log,
                                           start_new_session=True)
        wait_until(self.answers, "SPDK")

    def answers(self):
        assert self.process.poll() is None, (self.dir / "spdk.log").read_text(errors="replace")
        try:
            self.client().call("spdk_get_version")
            return True
        except (OSError, AssertionError):
            return False

    def client(self):
        return RpcClient(self.sock)

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            os.killpg(self.process.pid, sig)
            self.process.wait(30)


@pytest.fixture
def spdk(tmp_path):
    """spdk(): a real target; one after the other."""
    running = []

    def start():
        target = Spdk(tmp_path)
        running.append(target)
        return target
    yield start
    for target in running:
        target.stop(signal.SIGKILL)


@pytest.fixture
def real_rpc():
    return real_spdk.client()


def build(lvols):
    """Volumes of every kind, with content."""
    lvols.create("thick", 5)
    lvols.write("lvs0/thick", 0, pattern("thick", 5 * MIB))
    lvols.create("thin", 8, thin_provision=True)
    lvols.write("lvs0/thin", 2 * MIB + 4096, pattern("thin", 3 * MIB))
    lvols.snapshot("lvs0/thin", "s1")
    lvols.write("lvs0/thin", 0, pattern("thin2", 65536))
    lvols.snapshot("lvs0/thin", "s2")
    lvols.write("lvs0/thin", 7 * MIB, pattern("thin3", 4096))
    lvols.clone("lvs0/s1", "c1")
    lvols.write("lvs0/c1", MIB, pattern("c1", MIB))
    lvols.clone("lvs0/s2", "c2")
    lvols.rpc.call("bdev_lvol_inflate", name="lvs0/c2")
    lvols.create("gone", 6)
    lvols.write("lvs0/gone", 0, pattern("gone", 6 * MIB))
    lvols.rpc.call("bdev_lvol_resize", name="lvs0/thick", size_in_mib=7)
    lvols.rpc.call("bdev_lvol_rename", old_name="lvs0/thick", new_name="thicker")
    lvols.delete("lvs0/gone")
    lvols.create("ro", 1)
    lvols.write("lvs0/ro", 0, pattern("ro", MIB))
    lvols.rpc.call("bdev_lvol_set_read_only", name="lvs0/ro")
    lvols.create("none", 0)


def facts(lvols):
    """Everything that a host or an operator sees of them."""
    stores = {name: {key: value for key, value in store.items() if key != "base_bdev"}
              for name, store in lvols.stores().items()}
    specific = {}
    for name in lvols.lvols():
        one = lvols.specific(name)
        one["clones"] = sorted(one.get("clones", []))
        specific[name] = one
    return stores, lvols.lvols(), specific, {n: sha256(lvols.content(n)) for n in lvols.lvols()}


@pytest.mark.parametrize("block_size,cluster", [(512, MIB), (4096, MIB), (512, 65536)])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_ours_for_spdk(target, tmp_path, spdk, block_size, cluster, sig):
    lvols = Lvols(target, tmp_path)
    path = lvols.file(128 * MIB, block_size=block_size)
    lvols.store(cluster=cluster)
    build(lvols)
    ours = facts(lvols)
    target.stop(sig)
    if sig == signal.SIGKILL:
        target.remove()
    theirs = Lvols(spdk(), tmp_path)
    theirs.attach(path, block_size=block_size)
    assert facts(theirs) == ours


@pytest.mark.parametrize("block_size,cluster", [(512, MIB), (4096, MIB), (512, 65536)])
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_spdk_for_ours(target_factory, tmp_path, spdk, block_size, cluster, sig):
    real = spdk()
    lvols = Lvols(real, tmp_path)
    path = lvols.file(128 * MIB, block_size=block_size)
    lvols.store(cluster=cluster)
    build(lvols)
    theirs = facts(lvols)
    real.stop(sig)
    ours = Lvols(target_factory(), tmp_path)
    ours.attach(path, block_size=block_size)
    assert facts(ours) == theirs


def test_back_and_forth(target_factory, tmp_path, spdk):
    """Each works on with what the other left, killed in between."""
    path = None
    for turn in range(3):
        real = spdk()
        for target in (real, target_factory()):
            lvols = Lvols(target, tmp_path)
            if path is None:
                path = lvols.file(128 * MIB)
                lvols.store()
                lvols.create("v", 16, thin_provision=True)
                before = facts(lvols)
            else:
                lvols.attach(path)
            assert facts(lvols) == before
            name = f"{turn}{'spdk' if target is real else 'ours'}"
            lvols.write("lvs0/v", turn * 4 * MIB, pattern(name, 2 * MIB + 4096))
            lvols.snapshot("lvs0/v", f"s{name}")
            lvols.clone(f"lvs0/s{name}", f"c{name}")
            lvols.write(f"lvs0/c{name}", MIB, pattern("c" + name, MIB))
            if turn > 0:
                lvols.delete(f"lvs0/c{turn - 1}{name[1:]}")
                lvols.delete(f"lvs0/s{turn - 1}{name[1:]}")
            before = facts(lvols)
            target.stop(signal.SIGKILL)
            copy(path, tmp_path / f"{name}.img")
            if target is not real:
                target.remove()


def test_client_of_spdk(target, tmp_path, real_rpc):
    """SPDK's own client, every command that it has for volumes."""
    lvols = Lvols(target, tmp_path)
    lvols.file()

    def rpc(*words):
        done = subprocess.run([*real_rpc, "-s", str(target.sock), *map(str, words)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}"
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout.strip()

    store = rpc("bdev_lvol_create_lvstore", "aio0", "s", "-c", MIB, "--clear-method", "none")
    assert rpc("bdev_lvol_get_lvstores", "-l", "s")[0]["uuid"] == store
    uuid = rpc("bdev_lvol_create", "v", 4, "-l", "s", "-t")
    assert rpc("bdev_lvol_get_lvols", "-l", "s")[0]["uuid"] == uuid
    rpc("bdev_lvol_snapshot", "s/v", "snap")
    rpc("bdev_lvol_clone", "s/snap", "c")
    rpc("bdev_lvol_rename", "s/c", "d")
    rpc("bdev_lvol_resize", "s/d", 6)
    rpc("bdev_lvol_inflate", "s/d")
    rpc("bdev_lvol_decouple_parent", "s/v")
    rpc("bdev_lvol_set_parent", "s/v", "s/snap")
    rpc("bdev_malloc_create", "-b", "m", "-u", "99999999-2222-4333-8444-555555555555", 4, 512)
    rpc("bdev_lvol_clone_bdev", "m", "s", "e")
    rpc("bdev_lvol_set_parent_bdev", "s/v", "m")
    rpc("bdev_malloc_create", "-b", "copy", 4, 512)
    operation = rpc("bdev_lvol_start_shallow_copy", "s/snap", "copy")["operation_id"]
    assert rpc("bdev_lvol_check_shallow_copy", operation)["total_clusters"] == 0
    rpc("bdev_lvol_set_read_only", "s/v")
    rpc("bdev_lvol_delete", "s/v")
    rpc("bdev_lvol_rename_lvstore", "s", "t")
    rpc("bdev_lvol_grow_lvstore", "-l", "t")
    rpc("bdev_lvol_delete_lvstore", "-u", store)
    assert lvols.stores() == {}
