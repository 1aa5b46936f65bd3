# SPDX-License-Identifier: Apache-2.0
"""The scenario ceph, on a stand-in for a target with librbd (tests/replay): no cluster is
needed."""

import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from conftest import RpcClient, wait_until

HOST = "nqn.2016-06.io.spdk:host1"
REPLAY = Path(__file__).resolve().parents[1] / "replay"
SIZE = 4 << 20


@pytest.fixture
def ceph(node, program):
    """An accelerator `c` whose target knows images."""
    config = node.dir / "ceph.conf"
    config.write_text("[global]\n")
    kit = node.dir / "cyborg-spdk-tgt"
    command = shlex.join([sys.executable, str(REPLAY / "ceph_target.py"), "--engine",
                          str(program("cyborg-spdk-tgt"))])
    kit.write_text(f"#!/bin/sh\nexec {command} \"$@\"\n")
    kit.chmod(0o755)
    answer = node("install", "c", "--scenario", "ceph", "--ceph-config", config, "--ceph-user",
                  "cinder", "--target", kit)
    a = answer["accelerator"]
    assert (a["kind"], a["backing"], a["ceph_user"]) == ("ceph", str(config), "cinder")
    return node


def rpc(node, method, **params):
    with RpcClient(node.socket("c")) as client:
        return client.call(method, **params)


def images(node):
    return [b["name"] for b in rpc(node, "bdev_get_bdevs") if b["name"].startswith("rbd-")]


def test_life_of_an_image(ceph, program):
    words = ["attach", "vm1", "--host", HOST, "--rbd", "volumes/disk-1"]
    answer = ceph(*words)
    assert answer["attachment"]["size"] == SIZE
    assert answer["attachment"]["volume"] == "volumes/disk-1"
    (cluster,) = rpc(ceph, "bdev_rbd_get_clusters_info")
    assert cluster["user_id"] == "cinder" and cluster["config_file"].endswith("ceph.conf")
    assert ceph(*words)["attachment"] == answer["attachment"]
    assert ceph.status()["health"] == "ok"
    second = ceph("attach", "vm2", "--host", HOST, "--rbd", "volumes/disk-2")
    assert second["data"]["vol_uuid"] != answer["data"]["vol_uuid"]
    assert len(images(ceph)) == 2
    failure = ceph.refused("attach", "vm3", "--host", HOST, "--rbd", "volumes/disk-1")
    assert failure.code == 3 and "attached to instance vm1" in failure.message
    ceph("detach", "vm2", "--wipe")
    ceph("detach", "vm1")
    assert images(ceph) == []
    assert ceph(*words)["data"]["vol_uuid"] == answer["data"]["vol_uuid"]
    ceph("detach", "vm1")
    ceph("uninstall", "c")
    assert (ceph.dir / "ceph.conf").exists()


def test_images_come_back(ceph):
    ceph("attach", "vm1", "--host", HOST, "--rbd", "volumes/disk-1")
    supervisor, target = ceph.pids("c")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{target}"), "the target to follow")
    assert ceph("recover")["health"] == "ok"
    assert len(images(ceph)) == 1 and ceph.status()["health"] == "ok"


@pytest.mark.parametrize("fault", ["attach:volume", "attach:export"])
def test_killed_attach_leaves_no_image(ceph, fault):
    words = ["attach", "vm1", "--host", HOST, "--rbd", "volumes/disk-1"]
    ceph.killed(fault, *words)
    ceph("recover")
    assert images(ceph) == []
    ceph(*words)


@pytest.mark.parametrize("words, code, text", [
    ([], 2, "--rbd POOL/IMAGE"),
    (["--rbd", "volumes/absent"], 5, "No such file"),
    (["--rbd", "a/b/c"], 2, "POOL/IMAGE"),
    (["--rbd", "volumes/disk@snap"], 2, "without blanks and '@'"),
    (["--rbd", "volumes/disk", "--size", "4M"], 2, "names an image as it is"),
])
def test_refusals(ceph, words, code, text):
    failure = ceph.refused("attach", "vm1", "--accelerator", "c", "--host", HOST, *words)
    assert failure.code == code and text in failure.message
    assert images(ceph) == [] and ceph.status()["health"] == "ok"


def test_image_is_not_deleted(ceph):
    ceph("attach", "vm1", "--host", HOST, "--rbd", "volumes/disk-1")
    failure = ceph.refused("detach", "vm1", "--delete")
    assert failure.code == 2 and "in its cluster" in failure.message
