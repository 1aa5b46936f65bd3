# SPDX-License-Identifier: Apache-2.0
"""Stores of logical volumes: made, found again, renamed, grown, removed, and every refusal."""

import json
import os
import signal

import pytest

from conftest import wait_until
from lvol_target import MIB, Lvols, Volume, pattern, sha256

LONG = "n" * 64


@pytest.fixture
def lvols(target, tmp_path):
    return Lvols(target, tmp_path).simple()


def reattach(lvols, path=None):
    lvols.rpc.call("bdev_aio_delete", name="aio0")
    lvols.attach(path or lvols.folder / "aio0.img")


def test_store(lvols):
    store = lvols.stores()["lvs0"]
    assert store["base_bdev"] == "aio0" and store["cluster_size"] == MIB
    assert store["total_data_clusters"] == store["free_clusters"] == 63
    bdev = lvols.bdev("aio0")
    assert bdev["claimed"] and bdev["claim_type"] == "read_many_write_one"
    assert lvols.rpc.call("bdev_lvol_get_lvstores", uuid=store["uuid"]) == [store]
    assert lvols.rpc.call("get_lvol_stores", lvs_name="lvs0") == [store]
    assert lvols.rpc.call("bdev_lvol_get_lvols", lvs_name="lvs0") == []


def test_default_cluster_size(target, tmp_path):
    lvols = Lvols(target, tmp_path)
    lvols.file()
    lvols.rpc.call("construct_lvol_store", bdev_name="aio0", lvs_name="s")
    assert lvols.stores()["s"]["cluster_size"] == 4 * MIB
    assert lvols.rpc.call("destroy_lvol_store", lvs_name="s") is True


@pytest.mark.parametrize("clear", ["none", "unmap", "write_zeroes"])
@pytest.mark.parametrize("page", [4096, 16384])
def test_options(target, tmp_path, clear, page):
    lvols = Lvols(target, tmp_path)
    lvols.file(fallocate=True)
    lvols.store(cluster=65536, clear_method=clear, md_page_size=page,
                num_md_pages_per_cluster_ratio=50)
    lvols.create("v", 2)
    lvols.write("lvs0/v", MIB, pattern(clear, 65536))
    facts = lvols.stores()
    reattach(lvols)
    assert lvols.stores() == facts
    assert lvols.content("lvs0/v") == bytes(MIB) + pattern(clear, 65536) + bytes(MIB - 65536)


@pytest.mark.parametrize("params,code,words", [
    ({"bdev_name": "nope"}, -19, '"nope"'),
    ({"lvs_name": ""}, -22, "must not be empty"),
    ({"lvs_name": LONG}, -22, "63 bytes"),
    ({"lvs_name": "lvs0"}, -17, "already"),
    ({"bdev_name": "aio0"}, -1, "claimed by module lvol"),
    ({"cluster_sz": 1000}, -22, "multiple of 512"),
    ({"cluster_sz": 4096 + 512}, -32602, "4096"),
    ({"cluster_sz": 1 << 30}, -32602, ""),
    ({"cluster_sz": 1 << 32}, -32603, "4294967295"),
    ({"clear_method": "burn"}, -22, "none, unmap, write_zeroes"),
    ({"md_page_size": 1000}, -22, "power of two"),
    ({"md_page_size": 131072}, -22, "65536"),
    ({"num_md_pages_per_cluster_ratio": 1}, -32602, "metadata pages"),
    ({"num_md_pages_per_cluster_ratio": 4294967295}, -32602, ""),
    ({"colour": "red"}, -32603, '"colour"'),
])
def test_create_refused(lvols, params, code, words):
    lvols.rpc.call("bdev_malloc_create", name="m0", num_blocks=65536, block_size=512)
    error = lvols.rpc.error("bdev_lvol_create_lvstore",
                            **{"bdev_name": "m0", "lvs_name": "s1", "cluster_sz": MIB, **params})
    assert error.code == code, error.message
    assert words in error.message
    assert set(lvols.stores()) == {"lvs0"}
    assert lvols.bdev("m0")["claimed"] is False
    # Nothing of the refused one is left: the name and the bdev are free.
    lvols.store("s1", "m0")


def test_create_on_a_bdev_in_use(lvols):
    lvols.nvmf.malloc("m0", 65536)
    lvols.rpc.call("nvmf_subsystem_add_ns", nqn="nqn.2016-06.io.spdk:lvols",
                   namespace={"bdev_name": "m0"})
    error = lvols.rpc.error("bdev_lvol_create_lvstore", bdev_name="m0", lvs_name="s1")
    assert error.code == -1 and "m0" in error.message


@pytest.mark.parametrize("method", ["bdev_lvol_delete_lvstore", "bdev_lvol_grow_lvstore"])
def test_which_store_refused(lvols, method):
    uuid = lvols.stores()["lvs0"]["uuid"]
    assert lvols.rpc.error(method).code == -22
    assert lvols.rpc.error(method, uuid=uuid, lvs_name="lvs0").code == -22
    assert lvols.rpc.error(method, lvs_name="nope").code == -19
    assert lvols.rpc.error(method, uuid="nope").code == -19


def test_rename(lvols):
    lvols.create("v", 2)
    lvols.rpc.call("bdev_malloc_create", name="m0", num_blocks=65536, block_size=512)
    lvols.store("s1", "m0")
    rename = "bdev_lvol_rename_lvstore"
    for new, code, words in (("s1", -32602, "already"), ("", -32602, "empty"),
                             (LONG, -32602, "63 bytes")):
        error = lvols.rpc.error(rename, old_name="lvs0", new_name=new)
        assert error.code == code and words in error.message
    assert lvols.rpc.error(rename, old_name="nope", new_name="x").code == -2
    assert lvols.rpc.call(rename, old_name="lvs0", new_name="lvs0") is True
    new = "\u00e9" * 31
    assert lvols.rpc.call(rename, old_name="lvs0", new_name=new) is True
    assert lvols.bdev(f"{new}/v")["aliases"] == [f"{new}/v"]
    assert lvols.rpc.error("bdev_get_bdevs", name="lvs0/v").code == -19
    # The old name is free.
    assert lvols.rpc.call("rename_lvol_store", old_name="s1", new_name="lvs0") is True
    reattach(lvols)
    assert set(lvols.stores()) == {"lvs0", new}
    assert set(lvols.lvols()) == {f"{new}/v"}


def test_same_name_twice(lvols):
    """A second store of a name is not loaded, and left as it is."""
    lvols.rpc.call("bdev_aio_delete", name="aio0")
    lvols.file(name="aio1")
    lvols.store("lvs0", "aio1")
    lvols.attach(lvols.folder / "aio0.img")
    assert lvols.stores()["lvs0"]["base_bdev"] == "aio1"
    assert 'an lvol store "lvs0" already' in lvols.target.log
    assert lvols.bdev("aio0")["claimed"] is False
    lvols.rpc.call("bdev_lvol_rename_lvstore", old_name="lvs0", new_name="lvs1")
    reattach(lvols)
    assert set(lvols.stores()) == {"lvs0", "lvs1"}


def test_copy_of_a_store(lvols):
    """A copy has the names and UUIDs of the original: it is refused, not mixed up."""
    lvols.create("v", 2)
    lvols.rpc.call("bdev_aio_delete", name="aio0")
    data = (lvols.folder / "aio0.img").read_bytes()
    (lvols.folder / "copy.img").write_bytes(data)
    lvols.attach(lvols.folder / "aio0.img")
    lvols.attach(lvols.folder / "copy.img", "copy")
    assert lvols.stores()["lvs0"]["base_bdev"] == "aio0"
    assert "is a copy of it" in lvols.target.log
    assert (lvols.folder / "copy.img").read_bytes() == data


def test_grow(lvols):
    lvols.create("v", 60)
    path = lvols.folder / "aio0.img"
    os.truncate(path, 128 * MIB)
    assert lvols.rpc.call("bdev_lvol_grow_lvstore", lvs_name="lvs0") is True
    assert lvols.stores()["lvs0"]["total_data_clusters"] == 63
    lvols.rpc.call("bdev_aio_rescan", name="aio0")
    assert lvols.rpc.call("bdev_lvol_grow_lvstore", uuid=lvols.stores()["lvs0"]["uuid"]) is True
    assert lvols.stores()["lvs0"]["total_data_clusters"] == 127
    lvols.create("w", 60)
    lvols.write("lvs0/w", 59 * MIB, pattern("w", MIB))
    reattach(lvols)
    assert lvols.stores()["lvs0"]["total_data_clusters"] == 127
    assert lvols.content("lvs0/w")[59 * MIB:] == pattern("w", MIB)


def test_delete_with_volumes(lvols):
    """In any order of snapshots and clones, open ones are taken away as they are from SPDK."""
    lvols.create("a", 2)
    lvols.snapshot("lvs0/a", "s")
    lvols.clone("lvs0/s", "c")
    lvols.snapshot("lvs0/c", "s2")
    volume = Volume(lvols, "lvs0/c")
    assert lvols.rpc.call("bdev_lvol_delete_lvstore", lvs_name="lvs0") is True
    volume.close(remove=False)
    assert [b["name"] for b in lvols.rpc.call("bdev_get_bdevs")] == ["aio0"]
    assert lvols.bdev("aio0")["claimed"] is False
    reattach(lvols)
    assert lvols.stores() == {}
    lvols.store()
    assert lvols.lvols() == {}


def test_base_removed_while_in_use(lvols):
    """Hosts lose the volumes, the store is unloaded cleanly, and all is there again later."""
    lvols.create("v", 4, thin_provision=True)
    volume = Volume(lvols, "lvs0/v")
    volume.fill(0, pattern("v", MIB))
    lvols.rpc.call("bdev_aio_delete", name="aio0")
    assert lvols.stores() == {} and lvols.rpc.call("bdev_get_bdevs") == []
    volume.close(remove=False)
    lvols.attach(lvols.folder / "aio0.img")
    assert "recover" not in lvols.target.log
    assert lvols.content("lvs0/v") == pattern("v", MIB) + bytes(3 * MIB)


def test_store_on_a_volume(lvols):
    """A store stands on a volume of another; both go in the right order."""
    lvols.create("outer", 32)
    lvols.store("inner", "lvs0/outer", cluster=65536)
    lvols.create("v", 4, store="inner")
    lvols.write("inner/v", 0, pattern("in", MIB))
    assert lvols.rpc.error("nvmf_subsystem_add_ns", nqn="nqn.2016-06.io.spdk:lvols",
                           namespace={"bdev_name": "lvs0/outer"}).code
    reattach(lvols)
    assert set(lvols.stores()) == {"lvs0", "inner"}
    assert lvols.content("inner/v")[:MIB] == pattern("in", MIB)


def test_clean_shutdown(lvols, target_factory, tmp_path):
    lvols.create("v", 4)
    lvols.write("lvs0/v", 0, pattern("v", MIB))
    shown = lvols.lvols()
    assert lvols.target.stop() == 0
    again = Lvols(target_factory(), tmp_path)
    again.attach(tmp_path / "aio0.img")
    assert again.lvols() == shown
    assert "recover" not in again.target.log
    assert again.content("lvs0/v")[:MIB] == pattern("v", MIB)


def test_saved_configuration(lvols, target_factory, tmp_path):
    """Nothing of stores is saved, as with SPDK: they are found on their bdevs."""
    lvols.create("v", 4)
    uuid = lvols.bdev("lvs0/v")["uuid"]
    lvols.rpc.call("nvmf_subsystem_add_ns", nqn="nqn.2016-06.io.spdk:lvols",
                   namespace={"bdev_name": "lvs0/v"})
    config = {"subsystems": [
        {"subsystem": name, "config": lvols.rpc.call("framework_get_config", name=name)}
        for name in ("bdev", "nvmf")]}
    assert "bdev_lvol" not in json.dumps(config) and uuid in json.dumps(config)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    lvols.target.stop()
    again = target_factory("-c", path).client()
    (subsystem,) = [s for s in again.call("nvmf_get_subsystems") if s["subtype"] == "NVMe"]
    assert [ns["name"] for ns in subsystem["namespaces"]] == [uuid]


@pytest.mark.parametrize("block_size", [512, 4096])
def test_killed_and_loaded_again(lvols, target_factory, tmp_path, block_size):
    """What was flushed before SIGKILL is there, in all kinds of volumes."""
    path = lvols.file(128 * MIB, "b", block_size)
    lvols.store("k", "b")
    lvols.create("thin", 8, "k", thin_provision=True)
    lvols.create("thick", 8, "k")
    lvols.write("k/thin", 3 * MIB, pattern("thin", MIB))
    lvols.snapshot("k/thin", "snap")
    lvols.clone("k/snap", "clone")
    lvols.write("k/clone", 3 * MIB + 8192, pattern("clone", 65536))
    lvols.write("k/thick", MIB, pattern("thick", 2 * MIB))
    lvols.rpc.call("bdev_lvol_resize", name="k/thick", size_in_mib=11)
    lvols.rpc.call("bdev_lvol_rename", old_name="k/thick", new_name="fat")
    shown = {name: lvols.content(name) for name in lvols.lvols()}
    facts, free = lvols.lvols(), lvols.free("k")
    lvols.target.stop(signal.SIGKILL)
    lvols.target.remove()
    again = Lvols(target_factory(), tmp_path)
    again.attach(path, "b", block_size)
    assert "recovering" in again.target.log
    assert again.lvols() == facts and again.free("k") == free
    for name, content in shown.items():
        assert sha256(again.content(name)) == sha256(content), name


def test_space_warning(lvols):
    """Thin volumes may run out of space: hosts are told by a status, operators before."""
    lvols.create("big", 100, thin_provision=True)
    with lvols.host("lvs0/big") as volume:
        volume.fill(0, bytes(55 * MIB))
        for mib in range(55, 63):
            volume.fill(mib * MIB, pattern("x", 4096))
        wait_until(lambda: "clusters are free" in lvols.target.log, "the warning")
        # Capacity Exceeded, and the rest goes on.
        assert volume.write(70 * MIB, pattern("y", 4096)) & 0x7ff == 0x81
        volume.fill(62 * MIB, pattern("z", 4096))
        assert volume.read(62 * MIB, 4096) == pattern("z", 4096)
        assert volume.read(70 * MIB, 4096) == bytes(4096)
    assert lvols.free() == 0
