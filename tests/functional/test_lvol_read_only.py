# SPDX-License-Identifier: Apache-2.0
"""A store on a read-only bdev: loaded as it is, read, and never written to."""

import signal

import pytest

from conftest import RpcError
from lvol_target import MIB, Lvols, pattern, sha256

EROFS = -30
WRITE_PROTECTED = 0x20

REFUSED = [
    ("bdev_lvol_create", {"lvs_name": "lvs0", "lvol_name": "n", "size_in_mib": 1}),
    ("bdev_lvol_delete", {"name": "lvs0/v"}),
    ("bdev_lvol_rename", {"old_name": "lvs0/v", "new_name": "w"}),
    ("bdev_lvol_resize", {"name": "lvs0/v", "size_in_mib": 9}),
    ("bdev_lvol_snapshot", {"lvol_name": "lvs0/v", "snapshot_name": "t"}),
    ("bdev_lvol_clone", {"snapshot_name": "lvs0/s", "clone_name": "c"}),
    ("bdev_lvol_clone_bdev", {"lvs_name": "lvs0", "bdev": "other", "clone_name": "c"}),
    ("bdev_lvol_inflate", {"name": "lvs0/v"}),
    ("bdev_lvol_decouple_parent", {"name": "lvs0/v"}),
    ("bdev_lvol_set_read_only", {"name": "lvs0/v"}),
    ("bdev_lvol_set_parent", {"lvol_name": "lvs0/v", "parent_name": "lvs0/s2"}),
    ("bdev_lvol_rename_lvstore", {"old_name": "lvs0", "new_name": "x"}),
    ("bdev_lvol_grow_lvstore", {"lvs_name": "lvs0"}),
    ("bdev_lvol_delete_lvstore", {"lvs_name": "lvs0"}),
]


def file_hash(path):
    return sha256(path.read_bytes())


@pytest.fixture(params=["clean", "dirty"])
def store(request, target_factory, tmp_path):
    """A target with the store on a read-only bdev, and the file it is in."""
    first = target_factory()
    lvols = Lvols(first, tmp_path)
    path = lvols.file(16 * MIB)
    lvols.store()
    lvols.create("v", 4, thin_provision=True)
    lvols.write("lvs0/v", 4096, pattern("old", MIB))
    lvols.snapshot("lvs0/v", "s")
    lvols.snapshot("lvs0/v", "s2")
    lvols.write("lvs0/v", 2 * MIB, pattern("new", MIB))
    first.stop(signal.SIGTERM if request.param == "clean" else signal.SIGKILL)
    first.remove()
    before = file_hash(path)
    second = target_factory()
    lvols = Lvols(second, tmp_path)
    lvols.attach(path, readonly=True)
    yield lvols
    second.stop()
    assert file_hash(path) == before


def test_volumes_are_read(store):
    assert set(store.lvols()) == {"lvs0/v", "lvs0/s", "lvs0/s2"}
    wanted = bytes(4096) + pattern("old", MIB)
    wanted += bytes(2 * MIB - len(wanted)) + pattern("new", MIB) + bytes(MIB)
    assert store.content("lvs0/v") == wanted
    assert store.bdev("lvs0/v")["supported_io_types"]["write"] is False
    with store.host("lvs0/v") as host:
        assert host.write(0, bytes(4096)) == WRITE_PROTECTED
        assert host.read(0, 4096) == bytes(4096)


def test_changes_are_refused(store):
    store.rpc.call("bdev_malloc_create", name="other", block_size=512, num_blocks=8192)
    for method, params in REFUSED:
        with pytest.raises(RpcError) as e:
            store.rpc.call(method, **params)
        assert e.value.code == EROFS or "read-only" in e.value.message, (method, e.value)
    assert set(store.lvols()) == {"lvs0/v", "lvs0/s", "lvs0/s2"}


def test_shallow_copy_reads_it(store):
    """It changes nothing there."""
    store.rpc.call("bdev_malloc_create", name="copy", block_size=512, num_blocks=4 * MIB // 512)
    operation = store.rpc.call("bdev_lvol_start_shallow_copy", src_lvol_name="lvs0/s",
                               dst_bdev_name="copy")["operation_id"]
    while True:
        state = store.rpc.call("bdev_lvol_check_shallow_copy", operation_id=operation)
        if state["state"] != "in progress":
            break
    assert state["state"] == "complete"


def test_store_is_not_made_on_it(target, tmp_path):
    lvols = Lvols(target, tmp_path)
    lvols.file(readonly=True)
    with pytest.raises(RpcError) as e:
        lvols.store()
    assert "read-only" in e.value.message
