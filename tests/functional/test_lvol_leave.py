# SPDX-License-Identifier: Apache-2.0
"""A target that is told to leave while a volume is being worked on for long."""

import json

import pytest

from conftest import PATIENCE, wait_until

TIB = 1 << 40


@pytest.mark.target_options("--drain-timeout", "1s")
@pytest.mark.parametrize("method", ["bdev_lvol_inflate", "bdev_lvol_decouple_parent"])
def test_inflation_ends_early(target, rpc, method):
    """Of a volume that would keep it for long, on a device that keeps nothing."""
    rpc.call("bdev_null_create", name="base", block_size=4096, num_blocks=64 * TIB // 4096)
    rpc.call("bdev_lvol_create_lvstore", bdev_name="base", lvs_name="s")
    rpc.call("bdev_lvol_create", lvs_name="s", lvol_name="v", size=30 * TIB,
             thin_provision=method == "bdev_lvol_inflate")
    if method == "bdev_lvol_decouple_parent":
        rpc.call("bdev_lvol_snapshot", lvol_name="s/v", snapshot_name="snap")
    rpc.send(json.dumps(rpc.request(method, {"name": "s/v"})))
    with target.client() as other:
        wait_until(lambda: other.call("bdev_get_bdevs", name="s/v")[0]["driver_specific"]["lvol"][
            "num_allocated_clusters"] > 0, "the first clusters")
    target.process.terminate()
    assert target.process.wait(PATIENCE) == 0
    assert "not everything could be released in time" not in target.log
