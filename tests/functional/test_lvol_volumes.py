# SPDX-License-Identifier: Apache-2.0
"""Logical volumes: what each operation does to content, and every refusal."""

import pytest

import nvme_tcp as nvme
from conftest import wait_until
from lvol_target import MIB, NQN, PIECE, Lvols, Volume, pattern

LONG = "n" * 64
DEALLOCATE = 4


@pytest.fixture(params=[512, 4096])
def lvols(request, target, tmp_path):
    lvols = Lvols(target, tmp_path)
    lvols.file(block_size=request.param)
    lvols.store()
    return lvols


def reload(lvols):
    """The store unloaded and loaded again, with what it says before and after."""
    before = lvols.lvols()
    block = lvols.bdev("aio0")["block_size"]
    lvols.rpc.call("bdev_aio_delete", name="aio0")
    lvols.attach(lvols.folder / "aio0.img", block_size=block)
    assert lvols.lvols() == before


# --- create ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("thin", [False, True])
@pytest.mark.parametrize("clear", [None, "none", "unmap", "write_zeroes"])
def test_create(lvols, thin, clear):
    options = {"clear_method": clear} if clear else {}
    uuid = lvols.create("v", 5, thin_provision=thin, **options)
    bdev = lvols.bdev("lvs0/v")
    assert bdev["name"] == bdev["uuid"] == uuid and bdev["aliases"] == ["lvs0/v"]
    assert bdev["product_name"] == "Logical Volume"
    assert bdev["num_blocks"] * bdev["block_size"] == 5 * MIB
    specific = bdev["driver_specific"]["lvol"]
    assert specific["thin_provision"] is thin and specific["base_bdev"] == "aio0"
    assert specific["num_allocated_clusters"] == (0 if thin else 5)
    assert lvols.free() == (63 if thin else 58)
    assert lvols.content(uuid) == bytes(5 * MIB)
    lvols.write(uuid, MIB + 4096, pattern("v", 2 * MIB))
    assert lvols.content(uuid) == bytes(MIB + 4096) + pattern("v", 2 * MIB) + bytes(2 * MIB - 4096)
    assert lvols.specific("lvs0/v")["num_allocated_clusters"] == (3 if thin else 5)
    reload(lvols)
    assert lvols.content(uuid) == bytes(MIB + 4096) + pattern("v", 2 * MIB) + bytes(2 * MIB - 4096)
    lvols.delete("lvs0/v")
    assert lvols.free() == 63 and lvols.lvols() == {}


@pytest.mark.parametrize("clear", ["none", "unmap"])
def test_new_volume_shows_nothing_old(lvols, clear):
    lvols.create("old", 60, clear_method=clear)
    lvols.write("lvs0/old", 0, pattern("secret", 60 * MIB))
    lvols.delete("lvs0/old")
    lvols.create("thick", 30)
    lvols.create("thin", 30, thin_provision=True)
    lvols.write("lvs0/thin", 8192, pattern("t", 4096))
    assert lvols.content("lvs0/thick") == bytes(30 * MIB)
    assert lvols.content("lvs0/thin") == bytes(8192) + pattern("t", 4096) + bytes(30 * MIB - 12288)
    lvols.rpc.call("bdev_lvol_inflate", name="lvs0/thin")
    assert lvols.content("lvs0/thin") == bytes(8192) + pattern("t", 4096) + bytes(30 * MIB - 12288)


def test_sizes(lvols):
    """Rounded up to clusters; in bytes as older releases have it; none at all."""
    create = "bdev_lvol_create"
    lvols.rpc.call(create, lvol_name="a", size=3 * MIB + 1, lvs_name="lvs0")
    lvols.rpc.call("construct_lvol_bdev", lvol_name="z", size_in_mib=0, lvs_name="lvs0")
    assert lvols.bdev("lvs0/a")["num_blocks"] * lvols.bdev("lvs0/a")["block_size"] == 4 * MIB
    assert lvols.bdev("lvs0/z")["num_blocks"] == 0
    uuid = lvols.stores()["lvs0"]["uuid"]
    lvols.rpc.call(create, lvol_name="t", size_in_mib=1 << 20, uuid=uuid, thin_provision=True)
    assert lvols.bdev("lvs0/t")["num_blocks"] * lvols.bdev("lvs0/t")["block_size"] == 1 << 40
    reload(lvols)
    assert lvols.bdev("lvs0/z")["num_blocks"] == 0
    lvols.rpc.call("bdev_lvol_resize", name="lvs0/z", size_in_mib=2)
    assert lvols.content("lvs0/z") == bytes(2 * MIB)


@pytest.mark.parametrize("params,code,words", [
    ({"lvol_name": "v"}, -17, 'volume "v" already'),
    ({"lvol_name": ""}, -22, "must not be empty"),
    ({"lvol_name": LONG}, -22, "63 bytes"),
    ({"lvs_name": "nope"}, -19, '"nope"'),
    ({"lvs_name": None}, -22, "give one of them"),
    ({"uuid": "00000000-0000-4000-8000-000000000000"}, -22, "both"),
    ({"size_in_mib": 1000}, -32602, "clusters"),
    ({"size_in_mib": 1 << 44, "thin_provision": True}, -32602, "2^63"),
    ({"size_in_mib": 1 << 40, "thin_provision": True}, -32602, "2^32 - 1 clusters"),
    ({"size_in_mib": -1}, -32603, "size_in_mib"),
    ({"size_in_mib": None}, -32603, "size_in_mib"),
    ({"size": 1}, -32603, "both"),
    ({"clear_method": "burn"}, -22, "none, unmap, write_zeroes"),
    ({"colour": "red"}, -32603, '"colour"'),
])
def test_create_refused(lvols, params, code, words):
    lvols.create("v", 2)
    params = {"lvol_name": "w", "size_in_mib": 1, "lvs_name": "lvs0", **params}
    error = lvols.rpc.error("bdev_lvol_create",
                            **{k: v for k, v in params.items() if v is not None})
    assert error.code == code, error.message
    assert words in error.message
    assert set(lvols.lvols()) == {"lvs0/v"} and lvols.free() == 61
    lvols.create("w", 61)


def test_alias_of_another_bdev(lvols):
    lvols.rpc.call("bdev_malloc_create", name="lvs0/m", num_blocks=2048, block_size=512)
    error = lvols.rpc.error("bdev_lvol_create", lvol_name="m", size_in_mib=1, lvs_name="lvs0")
    assert error.code == -17 and '"lvs0/m"' in error.message


def test_unmap_gives_clusters_back(lvols):
    lvols.create("v", 8, thin_provision=True)
    with lvols.host("lvs0/v") as volume:
        volume.fill(0, pattern("v", 8 * MIB))
        first, count = 2 * MIB // volume.block, 3 * MIB // volume.block
        ranges = (0).to_bytes(4, "little") + count.to_bytes(4, "little") + first.to_bytes(8, "little")
        cpl = volume.queue.run(nvme.DSM, ranges, nsid=volume.nsid, cdw10=0, cdw11=DEALLOCATE)
        assert cpl.status == nvme.SUCCESS
        wait_until(lambda: lvols.free() == 58, "the clusters to be free")
        assert volume.run(nvme.WRITE_ZEROES, 6 * MIB, MIB).status == nvme.SUCCESS
        zeroed = pattern("v", 8 * MIB)
        zeroed = zeroed[:2 * MIB] + bytes(3 * MIB) + zeroed[5 * MIB:6 * MIB] + bytes(MIB) + \
            zeroed[7 * MIB:]
        assert volume.read() == zeroed


# --- snapshots and clones -------------------------------------------------------------------------

def test_snapshots_and_clones(lvols):
    lvols.create("v", 4)
    first = pattern("first", 4 * MIB)
    lvols.write("lvs0/v", 0, first)
    snapshot = lvols.snapshot("lvs0/v", "s1")
    lvols.write("lvs0/v", MIB + 4096, pattern("second", 4096))
    lvols.rpc.call("snapshot_lvol_bdev", lvol_name="lvs0/v", snapshot_name="s2")
    clone = lvols.clone("lvs0/s1", "c")
    lvols.write(clone, 3 * MIB, pattern("clone", 65536))
    second = first[:MIB + 4096] + pattern("second", 4096) + first[MIB + 8192:]
    cloned = first[:3 * MIB] + pattern("clone", 65536) + first[3 * MIB + 65536:]

    def check():
        assert lvols.content("lvs0/s1") == first and lvols.content(clone) == cloned
        assert lvols.content("lvs0/s2") == second == lvols.content("lvs0/v")
        s1, s2, v = map(lvols.specific, ("lvs0/s1", "lvs0/s2", "lvs0/v"))
        assert sorted(s1["clones"]) == ["c", "s2"] and s1["snapshot"] and not s1["clone"]
        assert s2["base_snapshot"] == "s1" and s2["clones"] == ["v"]
        assert v["clone"] and v["base_snapshot"] == "s2" and v["thin_provision"]

    check()
    reload(lvols)
    check()
    assert lvols.bdev(snapshot)["supported_io_types"]["write"] is False
    with lvols.host(snapshot) as volume:
        assert volume.write(0, pattern("no", 4096)) & 0x7ff == 0x20
    # s2 goes to v; then s1 has v and c still.
    lvols.delete("lvs0/s2")
    assert lvols.content("lvs0/v") == second
    assert lvols.specific("lvs0/v")["base_snapshot"] == "s1"
    error = lvols.rpc.error("bdev_lvol_delete", name="lvs0/s1")
    assert error.code == -32603 and "2 clones" in error.message
    lvols.delete("lvs0/c")
    lvols.delete("lvs0/s1")
    assert lvols.content("lvs0/v") == second and lvols.free() == 59
    reload(lvols)
    assert lvols.content("lvs0/v") == second


@pytest.mark.parametrize("method,params,code,words", [
    ("bdev_lvol_snapshot", {"lvol_name": "lvs0/v", "snapshot_name": "s"}, -32602, "already"),
    ("bdev_lvol_snapshot", {"lvol_name": "lvs0/v", "snapshot_name": ""}, -32602, "empty"),
    ("bdev_lvol_snapshot", {"lvol_name": "lvs0/v", "snapshot_name": LONG}, -32602, "63 bytes"),
    ("bdev_lvol_snapshot", {"lvol_name": "lvs0/s", "snapshot_name": "x"}, -32602, "read-only"),
    ("bdev_lvol_snapshot", {"lvol_name": "aio0", "snapshot_name": "x"}, -19, '"aio0"'),
    ("bdev_lvol_snapshot", {"lvol_name": "lvs0/v"}, -32603, "snapshot_name"),
    ("bdev_lvol_clone", {"snapshot_name": "lvs0/v", "clone_name": "x"}, -32602, "read-only"),
    ("bdev_lvol_clone", {"snapshot_name": "lvs0/s", "clone_name": "v"}, -32602, "already"),
    ("bdev_lvol_clone", {"snapshot_name": "lvs0/s", "clone_name": ""}, -32602, "empty"),
    ("bdev_lvol_clone", {"snapshot_name": "lvs0/x", "clone_name": "y"}, -19, '"lvs0/x"'),
    ("bdev_lvol_delete", {"name": "lvs0/x"}, -19, '"lvs0/x"'),
    ("bdev_lvol_delete", {"name": "aio0"}, -19, '"aio0"'),
    ("bdev_lvol_delete", {}, -32603, "name"),
    ("bdev_lvol_inflate", {"name": "lvs0/x"}, -19, '"lvs0/x"'),
    ("bdev_lvol_inflate", {"name": "lvs0/huge"}, -32602, "clusters"),
    ("bdev_lvol_inflate", {"name": "lvs0/s"}, -32602, "read-only"),
    ("bdev_lvol_decouple_parent", {"name": "lvs0/thick"}, -32602, "no parent"),
    ("bdev_lvol_decouple_parent", {"name": "lvs0/x"}, -19, '"lvs0/x"'),
    ("bdev_lvol_set_read_only", {"name": "lvs0/x"}, -19, '"lvs0/x"'),
    ("bdev_lvol_resize", {"name": "lvs0/s", "size_in_mib": 9}, -32602, "read-only"),
    ("bdev_lvol_resize", {"name": "lvs0/thick", "size_in_mib": 900}, -32602, "clusters"),
    ("bdev_lvol_resize", {"name": "lvs0/x", "size_in_mib": 9}, -19, '"lvs0/x"'),
    ("bdev_lvol_resize", {"name": "lvs0/thick"}, -32603, "size_in_mib"),
    ("bdev_lvol_rename", {"old_name": "lvs0/v", "new_name": "s"}, -32602, "already"),
    ("bdev_lvol_rename", {"old_name": "lvs0/v", "new_name": "v"}, -32602, "already"),
    ("bdev_lvol_rename", {"old_name": "lvs0/v", "new_name": ""}, -32602, "empty"),
    ("bdev_lvol_rename", {"old_name": "lvs0/v", "new_name": LONG}, -32602, "63 bytes"),
    ("bdev_lvol_rename", {"old_name": "lvs0/s", "new_name": "x"}, -32602, "read-only"),
    ("bdev_lvol_rename", {"old_name": "lvs0/x", "new_name": "y"}, -19, '"lvs0/x"'),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/v", "parent_name": "lvs0/v"}, -32602, "another"),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/v", "parent_name": "lvs0/s"}, -32602, "already"),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/v", "parent_name": "lvs0/thick"}, -32602,
     "read-only"),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/thick", "parent_name": "lvs0/s"}, -32602, "thin"),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/huge", "parent_name": "lvs0/s"}, -32602,
     "clusters"),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/v", "parent_name": "lvs0/x"}, -19, '"lvs0/x"'),
    ("bdev_lvol_start_shallow_copy", {"src_lvol_name": "lvs0/x", "dst_bdev_name": "aio0"}, -19,
     '"lvs0/x"'),
    ("bdev_lvol_start_shallow_copy", {"src_lvol_name": "lvs0/s", "dst_bdev_name": "x"}, -32602,
     '"x"'),
    ("bdev_lvol_start_shallow_copy", {"src_lvol_name": "lvs0/s", "dst_bdev_name": "aio0"}, -32602,
     "claimed"),
    ("bdev_lvol_check_shallow_copy", {"operation_id": 4711}, -19, "4711"),
    ("bdev_lvol_get_lvols", {"lvs_name": "x"}, -19, '"x"'),
    ("bdev_lvol_get_lvols", {"lvs_name": "lvs0", "lvs_uuid": "x"}, -22, "both"),
])
def test_refused(lvols, method, params, code, words):
    lvols.create("v", 2)
    lvols.snapshot("lvs0/v", "s")
    lvols.create("thick", 3)
    lvols.create("huge", 500, thin_provision=True)
    before = lvols.lvols(), lvols.stores(), lvols.rpc.call("bdev_get_bdevs")
    error = lvols.rpc.error(method, **params)
    assert error.code == code, error.message
    assert words in error.message, error.message
    assert (lvols.lvols(), lvols.stores(), lvols.rpc.call("bdev_get_bdevs")) == before


def test_inflate_and_decouple(lvols):
    lvols.create("v", 6, thin_provision=True)
    lvols.write("lvs0/v", 0, pattern("one", MIB))
    lvols.snapshot("lvs0/v", "s1")
    lvols.write("lvs0/v", MIB, pattern("two", MIB))
    lvols.snapshot("lvs0/v", "s2")
    content = pattern("one", MIB) + pattern("two", MIB) + bytes(4 * MIB)
    lvols.rpc.call("decouple_parent_lvol_bdev", name="lvs0/v")
    specific = lvols.specific("lvs0/v")
    assert specific["base_snapshot"] == "s1" and specific["num_allocated_clusters"] == 1
    assert lvols.content("lvs0/v") == content
    lvols.rpc.call("inflate_lvol_bdev", name="lvs0/v")
    specific = lvols.specific("lvs0/v")
    assert not specific["clone"] and not specific["thin_provision"]
    assert specific["num_allocated_clusters"] == 6
    for name in ("s2", "s1"):
        lvols.delete(f"lvs0/{name}")
    reload(lvols)
    assert lvols.content("lvs0/v") == content and lvols.free() == 57


def test_set_parent(lvols):
    lvols.create("v", 4, thin_provision=True)
    lvols.write("lvs0/v", 0, pattern("v", MIB))
    lvols.snapshot("lvs0/v", "s")
    lvols.create("w", 4, thin_provision=True)
    lvols.write("lvs0/w", MIB, pattern("w", MIB))
    assert lvols.rpc.call("bdev_lvol_set_parent", lvol_name="lvs0/w", parent_name="lvs0/s") is True
    content = pattern("v", MIB) + pattern("w", MIB) + bytes(2 * MIB)
    assert lvols.content("lvs0/w") == content
    assert sorted(lvols.specific("lvs0/s")["clones"]) == ["v", "w"]
    reload(lvols)
    assert lvols.content("lvs0/w") == content


def test_set_read_only(lvols):
    lvols.create("v", 2)
    lvols.write("lvs0/v", 0, pattern("v", MIB))
    with lvols.host("lvs0/v") as volume:
        assert lvols.rpc.call("set_read_only_lvol_bdev", name="lvs0/v") is True
        assert volume.write(0, bytes(4096)) & 0x7ff == 0x20
        assert volume.read(0, MIB) == pattern("v", MIB)
    assert lvols.rpc.call("bdev_lvol_set_read_only", name="lvs0/v") is True
    assert lvols.bdev("lvs0/v")["supported_io_types"]["write"] is False
    assert lvols.lvols()["lvs0/v"]["is_snapshot"] is False
    clone = lvols.clone("lvs0/v", "c")
    assert lvols.lvols()["lvs0/v"]["is_snapshot"] is True
    lvols.write(clone, 0, pattern("c", 4096))
    reload(lvols)
    assert lvols.bdev("lvs0/v")["supported_io_types"]["write"] is False
    assert lvols.content("lvs0/v")[:MIB] == pattern("v", MIB)


# --- rename and resize ----------------------------------------------------------------------------

def test_rename(lvols):
    uuid = lvols.create("v", 2)
    name = "r" * 63
    assert lvols.rpc.call("rename_lvol_bdev", old_name="lvs0/v", new_name=name) is True
    assert lvols.bdev(uuid)["aliases"] == [f"lvs0/{name}"]
    assert lvols.rpc.error("bdev_get_bdevs", name="lvs0/v").code == -19
    # The old name is free, and a slash and a blank are letters.
    lvols.create("v", 1)
    lvols.rpc.call("bdev_lvol_rename", old_name=uuid, new_name="a/b c")
    reload(lvols)
    assert set(lvols.lvols()) == {"lvs0/a/b c", "lvs0/v"}


def test_resize(lvols):
    uuid = lvols.create("v", 3)
    lvols.write(uuid, 0, pattern("v", 3 * MIB))
    volume = Volume(lvols, uuid)
    assert lvols.rpc.call("bdev_lvol_resize", name=uuid, size_in_mib=5) is True
    assert volume.read(0, 5 * MIB) == pattern("v", 3 * MIB) + bytes(2 * MIB)
    error = lvols.rpc.error("bdev_lvol_resize", name=uuid, size_in_mib=4)
    assert error.code == -32602 and "in use" in error.message
    # Refused means that nothing happened, on disk neither.
    assert volume.read(4 * MIB, MIB) == bytes(MIB)
    assert lvols.specific(uuid)["num_allocated_clusters"] == 5
    volume.close()
    assert lvols.rpc.call("resize_lvol_bdev", name=uuid, size=2 * MIB) is True
    assert lvols.free() == 61
    assert lvols.rpc.call("bdev_lvol_resize", name=uuid, size_in_mib=6) is True
    reload(lvols)
    assert lvols.content(uuid) == pattern("v", 2 * MIB) + bytes(4 * MIB)
    assert lvols.rpc.call("bdev_lvol_resize", name=uuid, size_in_mib=0) is True
    assert lvols.bdev(uuid)["num_blocks"] == 0 and lvols.free() == 63


def test_delete_while_open(lvols):
    """As with SPDK the namespace goes first, then the volume."""
    uuid = lvols.create("v", 3)
    volume = Volume(lvols, uuid)
    volume.fill(0, pattern("v", MIB))
    lvols.delete(uuid)
    (subsystem,) = lvols.rpc.call("nvmf_get_subsystems", nqn=NQN)
    assert subsystem["namespaces"] == []
    volume.close(remove=False)
    assert lvols.free() == 63


# --- shallow copy ---------------------------------------------------------------------------------

def copied(lvols, source, target):
    operation = lvols.rpc.call("bdev_lvol_start_shallow_copy", src_lvol_name=source,
                               dst_bdev_name=target)["operation_id"]

    def ended():
        state = lvols.rpc.call("bdev_lvol_check_shallow_copy", operation_id=operation)
        return state if state["state"] != "in progress" else None
    state = wait_until(ended, "the copy")
    assert lvols.rpc.error("bdev_lvol_check_shallow_copy", operation_id=operation).code == -19
    return state


def test_shallow_copy(lvols):
    block = lvols.bdev("aio0")["block_size"]
    lvols.create("v", 4, thin_provision=True)
    lvols.write("lvs0/v", 0, pattern("one", MIB))
    lvols.snapshot("lvs0/v", "s1")
    lvols.write("lvs0/v", 2 * MIB, pattern("two", MIB))
    lvols.snapshot("lvs0/v", "s2")
    lvols.nvmf.malloc("m", 4 * MIB // block, block)
    lvols.write("m", 0, pattern("m", 4 * MIB))
    assert copied(lvols, "lvs0/s2", "m") == {"copied_clusters": 1, "total_clusters": 1,
                                             "state": "complete"}
    m = pattern("m", 4 * MIB)
    assert lvols.content("m") == m[:2 * MIB] + pattern("two", MIB) + m[3 * MIB:]
    lvols.nvmf.malloc("small", MIB // block, block)
    for source, target, words in (("lvs0/v", "m", "read-only"), ("lvs0/s2", "small", "bytes")):
        state = copied(lvols, source, target)
        assert state["state"] == "error" and words in state["error"]


# --- several at once ------------------------------------------------------------------------------

@pytest.mark.target_options("-m", "[0,1]", "--disable-cpumask-locks")
def test_two_reactors(lvols):
    """Hosts on both reactors write while volumes are made, cut and deleted."""
    names = [f"v{i}" for i in range(4)]
    for name in names:
        lvols.create(name, 4, thin_provision=True)
    volumes = [Volume(lvols, f"lvs0/{name}") for name in names]
    for turn in range(4):
        cids = []
        for name, volume in zip(names, volumes):
            data = pattern(name, PIECE)
            offset = turn * MIB
            cids.append((volume, volume.queue.submit(
                nvme.WRITE, data, in_capsule=False, nsid=volume.nsid,
                **volume.fields(offset, len(data)))))
        lvols.snapshot(f"lvs0/{names[turn]}", f"s{turn}")
        for volume, cid in cids:
            assert volume.queue.wait(cid).status == nvme.SUCCESS
    for name, volume in zip(names, volumes):
        for turn in range(4):
            assert volume.read(turn * MIB, PIECE) == pattern(name, PIECE)
        volume.close()
    for turn in range(4):
        lvols.delete(f"lvs0/s{turn}")
    for name in names:
        assert lvols.content(f"lvs0/{name}")[3 * MIB:3 * MIB + PIECE] == pattern(name, PIECE)


def test_many_requests_at_once(lvols):
    """One batch: those for one name are done once, in order, the others beside them."""
    answers = lvols.rpc.batch(
        [("bdev_lvol_create", {"lvol_name": f"v{i % 8}", "size_in_mib": 2, "lvs_name": "lvs0"})
         for i in range(16)])
    made = [a for a in answers if "result" in a]
    assert len(made) == 8
    assert {a["error"]["code"] for a in answers if "error" in a} == {-17}
    answers = lvols.rpc.batch(
        [("bdev_lvol_delete", {"name": f"lvs0/v{i % 8}"}) for i in range(16)] +
        [("bdev_lvol_delete_lvstore", {"lvs_name": "lvs0"})])
    assert sum("result" in a for a in answers[:16]) == 8
    assert answers[16].get("result") is True
    assert lvols.stores() == {} and len(lvols.rpc.call("bdev_get_bdevs")) == 1


def test_hosts_come_and_go_during_inflate(lvols):
    """The last host's channels go while clusters are copied."""
    lvols.nvmf.malloc("m", 32 * MIB // 512)
    lvols.store("small", "m", 65536)
    lvols.create("v", 12, "small")
    lvols.write("small/v", 0, pattern("v", 12 * MIB))
    lvols.snapshot("small/v", "s")
    inflated = lvols.nvmf.begin("bdev_lvol_inflate", name="small/v")
    for _ in range(4):
        with lvols.host("small/v") as volume:
            assert volume.read(0, MIB) == pattern("v", MIB)
    assert inflated() is True
    assert lvols.content("small/v") == pattern("v", 12 * MIB)
    assert lvols.specific("small/v")["num_allocated_clusters"] == 192
