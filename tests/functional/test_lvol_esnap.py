# SPDX-License-Identifier: Apache-2.0
"""Volumes that stand on a bdev of somebody else, as long as it is there and when it is not."""

import pytest

import nvme_tcp as nvme
from lvol_target import MIB, NQN, Lvols, Volume, pattern

UUID = "99999999-2222-4333-8444-555555555555"


@pytest.fixture
def lvols(target, tmp_path):
    lvols = Lvols(target, tmp_path).simple()
    lvols.file(4 * MIB, "base", uuid=UUID)
    lvols.write("base", 0, pattern("base", 4 * MIB))
    return lvols


def clone(lvols, name="ec", bdev="base"):
    return lvols.rpc.call("bdev_lvol_clone_bdev", bdev=bdev, lvs_name="lvs0", clone_name=name)


def detach(lvols):
    lvols.rpc.call("bdev_aio_delete", name="base")


def attach(lvols):
    lvols.attach(lvols.folder / "base.img", "base", uuid=UUID)


def test_clone_bdev(lvols):
    base = pattern("base", 4 * MIB)
    uuid = clone(lvols)
    specific = lvols.specific("lvs0/ec")
    assert specific["esnap_clone"] and specific["external_snapshot_name"] == UUID
    assert not specific["clone"] and specific["num_allocated_clusters"] == 0
    lvols.write(uuid, MIB + 512, pattern("ec", 4096))
    content = base[:MIB + 512] + pattern("ec", 4096) + base[MIB + 4608:]
    assert lvols.content(uuid) == content and lvols.content("lvs0/ec") == content
    # Nobody may write to it now, and another store may stand on it too.
    bdev = lvols.bdev("base")
    assert bdev["claimed"] and bdev["claim_type"] == "read_many_write_none"
    lvols.nvmf.malloc("m", 131072)
    lvols.store("lvs1", "m")
    lvols.rpc.call("bdev_lvol_clone_bdev", bdev=UUID, lvs_name="lvs1", clone_name="x")
    assert lvols.content("lvs1/x") == base
    lvols.delete("lvs1/x")
    assert lvols.bdev("base")["claimed"]
    lvols.rpc.call("bdev_lvol_inflate", name="lvs0/ec")
    assert lvols.bdev("base")["claimed"] is False
    assert lvols.content(uuid) == content


def test_snapshot_of_it(lvols):
    """The snapshot stands on the bdev then, and gives it back when it is deleted."""
    base = pattern("base", 4 * MIB)
    clone(lvols)
    lvols.snapshot("lvs0/ec", "s")
    assert lvols.specific("lvs0/s")["esnap_clone"] and lvols.specific("lvs0/ec")["clone"]
    lvols.write("lvs0/ec", 0, pattern("ec", 65536))
    content = pattern("ec", 65536) + base[65536:]
    assert lvols.content("lvs0/ec") == content and lvols.content("lvs0/s") == base
    lvols.delete("lvs0/s")
    assert lvols.specific("lvs0/ec")["external_snapshot_name"] == UUID
    assert lvols.content("lvs0/ec") == content
    lvols.rpc.call("bdev_lvol_decouple_parent", name="lvs0/ec")
    assert lvols.content("lvs0/ec") == content


def test_set_parent_bdev(lvols):
    lvols.create("v", 4, thin_provision=True)
    lvols.write("lvs0/v", MIB, pattern("v", MIB))
    lvols.rpc.call("bdev_lvol_set_parent_bdev", lvol_name="lvs0/v", parent_name="base")
    base = pattern("base", 4 * MIB)
    assert lvols.content("lvs0/v") == base[:MIB] + pattern("v", MIB) + base[2 * MIB:]


@pytest.mark.parametrize("method,params,words", [
    ("bdev_lvol_clone_bdev", {"bdev": "x"}, '"x"'),
    ("bdev_lvol_clone_bdev", {"lvs_name": "x"}, '"x"'),
    ("bdev_lvol_clone_bdev", {"clone_name": "v"}, "already"),
    ("bdev_lvol_clone_bdev", {"clone_name": ""}, "empty"),
    ("bdev_lvol_clone_bdev", {"bdev": "lvs0/v"}, "same store"),
    ("bdev_lvol_clone_bdev", {"bdev": "odd"}, "cluster size"),
    ("bdev_lvol_clone_bdev", {"bdev": "coarse"}, "4096"),
    ("bdev_lvol_clone_bdev", {"bdev": "exported"}, "claimed"),
    ("bdev_lvol_set_parent_bdev", {"parent_name": "x"}, '"x"'),
    ("bdev_lvol_set_parent_bdev", {"parent_name": "lvs0/w"}, "same store"),
    ("bdev_lvol_set_parent_bdev", {"lvol_name": "lvs0/w"}, "thin"),
    ("bdev_lvol_set_parent_bdev", {"lvol_name": "lvs0/ec"}, "already"),
])
def test_refused(lvols, method, params, words):
    lvols.create("v", 4, thin_provision=True)
    lvols.create("w", 4)
    clone(lvols)
    lvols.rpc.call("bdev_null_create", name="odd", num_blocks=1001, block_size=512)
    lvols.rpc.call("bdev_null_create", name="coarse", num_blocks=1024, block_size=4096)
    lvols.nvmf.malloc("exported", 2048)
    lvols.rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "exported"})
    defaults = {"bdev_lvol_clone_bdev": {"bdev": "base", "lvs_name": "lvs0", "clone_name": "x"},
                "bdev_lvol_set_parent_bdev": {"lvol_name": "lvs0/v", "parent_name": "base"}}[method]
    before = lvols.lvols(), lvols.rpc.call("bdev_get_bdevs")
    error = lvols.rpc.error(method, **{**defaults, **params})
    assert error.code == -32602 and words in error.message, error.message
    assert (lvols.lvols(), lvols.rpc.call("bdev_get_bdevs")) == before


def test_base_deleted(lvols):
    """SPDK hangs here and dies later; ours are degraded until it is back."""
    clone(lvols)
    lvols.snapshot("lvs0/ec", "s")
    lvols.clone("lvs0/s", "c")
    lvols.create("plain", 1)
    volume = Volume(lvols, "lvs0/c")
    volume.fill(0, pattern("c", 4096))
    detach(lvols)
    volume.close(remove=False)
    degraded = {a for a, v in lvols.lvols().items() if v["is_degraded"]}
    assert degraded == {"lvs0/ec", "lvs0/s", "lvs0/c"}
    for name in degraded:
        assert lvols.rpc.error("bdev_get_bdevs", name=name).code == -19
    assert lvols.content("lvs0/plain") == bytes(MIB)
    # They can be deleted, renamed and given another parent meanwhile.
    lvols.delete("lvs0/ec")
    lvols.rpc.call("bdev_lvol_rename", old_name="lvs0/c", new_name="c2")
    lvols.nvmf.malloc("other", 8192, uuid="99999999-2222-4333-8444-666666666666")
    lvols.rpc.call("bdev_lvol_set_parent_bdev", lvol_name="lvs0/c2", parent_name="other")
    assert lvols.content("lvs0/c2") == pattern("c", 4096) + pattern("base", MIB)[4096:] + \
        bytes(3 * MIB)
    attach(lvols)
    assert not any(v["is_degraded"] for v in lvols.lvols().values())
    assert lvols.content("lvs0/s") == pattern("base", 4 * MIB)


@pytest.mark.target_options("-m", "[0,1]", "--disable-cpumask-locks")
def test_base_deleted_under_load(lvols):
    clone(lvols)
    volume = Volume(lvols, "lvs0/ec")
    cids = [volume.begin_read(i * 65536, 65536) for i in range(32)]
    cids += [volume.queue.submit(nvme.WRITE, pattern("w", 4096), nsid=volume.nsid,
                                 **volume.fields(i * 65536, 4096)) for i in range(32)]
    detach(lvols)
    for cid in cids:
        volume.queue.wait(cid)
    volume.close(remove=False)
    attach(lvols)
    assert lvols.lvols()["lvs0/ec"]["is_degraded"] is False
    assert lvols.content("lvs0/ec")[4 * MIB - 4096:] == pattern("base", 4 * MIB)[-4096:]


def test_loaded_without_base(lvols):
    clone(lvols)
    detach(lvols)
    lvols.rpc.call("bdev_aio_delete", name="aio0")
    lvols.attach(lvols.folder / "aio0.img")
    assert lvols.lvols()["lvs0/ec"]["is_degraded"]
    attach(lvols)
    assert lvols.content("lvs0/ec") == pattern("base", 4 * MIB)


def test_base_on_a_volume_of_another_store(lvols):
    """Stores that stand on each other go and come in any order."""
    lvols.nvmf.malloc("m", 131072)
    lvols.store("lvs1", "m")
    lvols.create("golden", 4, "lvs1")
    lvols.write("lvs1/golden", 0, pattern("golden", 4 * MIB))
    lvols.snapshot("lvs1/golden", "s")
    clone(lvols, bdev="lvs1/s")
    assert lvols.content("lvs0/ec") == pattern("golden", 4 * MIB)
    lvols.rpc.call("bdev_lvol_delete_lvstore", lvs_name="lvs1")
    assert lvols.lvols()["lvs0/ec"]["is_degraded"]
    lvols.delete("lvs0/ec")
    assert lvols.lvols() == {}
