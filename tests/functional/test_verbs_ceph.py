# SPDX-License-Identifier: Apache-2.0
"""The scenario ceph on a real Ceph cluster: with the engine, and with a real SPDK.

See tests/real_spdk.py; it must have been built with librbd.
"""

import json
import os
import signal
import subprocess
import time

import pytest

from conftest import RpcClient, free_port, real_kit, wait_for_end, wait_until
from mini_ceph import POOL, USER, ceph, running_ceph  # noqa: F401 (fixtures)
from test_verbs_kill import STEPS

HOST = "nqn.2016-06.io.spdk:host1"
MIB = 1 << 20


def is_late(failure):
    return "timed out" in failure.message or "no answer in time" in failure.message


class Door:
    """An accelerator `c` to the cluster."""

    def __init__(self, cli, program, ceph, kit, *words):
        self.cli, self.ceph, self.perf = cli, ceph, str(program("cyborg-spdk-perf"))
        self.answer = cli("install", "c", "--scenario", "ceph", "--ceph-config", ceph.conf,
                          "--ceph-user", USER, "--target", kit, *words)

    def rpc(self, method, **params):
        with RpcClient(self.cli.socket("c")) as client:
            return client.call(method, **params)

    def bdevs(self):
        return [b["name"] for b in self.rpc("bdev_get_bdevs")]

    def attach(self, instance, image, *words):
        return self.cli("attach", instance, "--host", HOST, "--listen", f"127.0.0.1:{free_port()}",
                        "--rbd", f"{POOL}/{image}", *words)

    def refused(self, instance, image, *words):
        failure = self.cli.refused("attach", instance, "--host", HOST, "--rbd", f"{POOL}/{image}",
                                   *words)
        assert instance not in self.instances()
        return failure

    def instances(self):
        accelerator, = self.cli.status()["accelerators"]
        return [a["instance"] for a in accelerator["attachments"]]

    def drift(self):
        return " ".join(self.cli.status()["accelerators"][0]["drift"])

    def io(self, data, *words):
        address, port, _ = data["portals"][0]
        return subprocess.run([self.perf, "--hostnqn", HOST, "--quiet", "--addr",
                               f"{address}:{port}", "--nqn", data["target_nqn"], "-o", "64K",
                               "--verify-pattern", "persistent", *words],
                              stdout=subprocess.DEVNULL, timeout=120).returncode

    def kill_target(self):
        """With its supervisor: nobody starts it but a verb."""
        supervisor, target = self.cli.pids("c")
        os.kill(supervisor, signal.SIGKILL)
        wait_for_end(target)

    def end(self):
        for instance in self.instances():
            self.cli("detach", instance)
        self.cli("uninstall", "c")


@pytest.fixture
def door(node, program, ceph):
    """With the engine."""
    return Door(node, program, ceph, program("cyborg-spdk-tgt"))


@pytest.fixture(params=["engine", "spdk"])
def any_door(request, node, program, ceph):
    """With the engine, and with a real SPDK."""
    if request.param == "engine":
        return Door(node, program, ceph, program("cyborg-spdk-tgt"))
    kit = real_kit(node)
    try:
        return Door(node, program, ceph, kit, "--no-huge")
    except AssertionError as error:
        if "bdev_rbd_create" not in str(error):
            raise
        pytest.skip("CYBORG_SPDK_REAL_TGT was built without librbd")


# --- what is seen -----------------------------------------------------------------------------

def test_discover_and_list(node, ceph, door):
    node.env["CEPH_CONF"] = str(ceph.conf)
    found, = [c for c in node("discover")["ceph"] if c["configuration"] == str(ceph.conf)]
    assert found["reachable"] and found["pools"] == [POOL] and found["librbd"]
    assert found["user"] == f"client.{USER}" and found["error"] == ""
    best = node("list", "--scenario", "ceph")["candidates"][0]
    assert (best["path"], best["kind"], best["score"]) == (f"cinder/{POOL}", "ceph-pool", 100)
    assert best["attach"] and "can be used through the target at" in best["reason"]


def test_list_tells_how_to_come_to_a_pool(node, ceph, tmp_path):
    node.env["CEPH_CONF"] = str(ceph.conf)

    def pool(**env):
        found, = [c for c in node("list", "--scenario", "ceph", env=env)["candidates"]
                  if c["kind"] == "ceph-pool" and c["fsid"] == ceph.fsid()]
        return found
    here = pool()
    if here["score"] == 100:
        pytest.skip("a target that runs here has bdev_rbd_create")
    assert here["score"] == 50 and here["attach"] and f"--ceph-config {ceph.conf}" in here["remedy"]
    (tmp_path / "librbd.so.1").write_text("")
    without = pool(LD_LIBRARY_PATH=str(tmp_path))
    assert not without["attach"] and "install librbd1" in without["remedy"]


def test_discover_without_librados(node, ceph, tmp_path):
    (tmp_path / "librados.so.2").write_text("")
    answer = node("discover", env={"CEPH_CONF": str(ceph.conf), "LD_LIBRARY_PATH": str(tmp_path)})
    found, = [c for c in answer["ceph"] if c["configuration"] == str(ceph.conf)]
    assert found["reachable"] and "install librados2" in found["error"]


def test_discover_with_a_wrong_key(node, ceph):
    wrong = ceph.with_wrong_key(node.dir)
    found, = [c for c in node("discover", env={"CEPH_CONF": str(wrong)})["ceph"]
              if c["configuration"] == str(wrong)]
    assert found["reachable"] and found["pools"] == []
    assert f"as client.{USER} it was not let in: Permission denied" in found["error"]


def test_security_discover_of_a_silent_cluster(node, ceph):
    ceph.script("down")
    began = time.monotonic()
    found, = [c for c in node("discover", env={"CEPH_CONF": str(ceph.conf)})["ceph"]
              if c["configuration"] == str(ceph.conf)]
    assert not found["reachable"] and "silent" in found["error"]
    assert time.monotonic() - began < 30


# --- install ----------------------------------------------------------------------------------

def test_install_tells_who_is_not_let_in(node, program, ceph):
    def refused(config, user):
        return node.refused("install", "c", "--scenario", "ceph", "--ceph-config", config,
                            "--ceph-user", user, "--target", program("cyborg-spdk-tgt"))
    failure = refused(ceph.with_wrong_key(node.dir), USER)
    assert f"as user {USER}" in failure.message and "Permission denied" in failure.message
    assert "as user nobody" in refused(ceph.conf, "nobody").message
    assert "name another with --ceph-config" in refused("/nonexistent", USER).message
    ceph.script("down")
    assert is_late(refused(ceph.conf, USER))
    assert node.status()["accelerators"] == []


def test_install_tells_what_a_target_lacks(node, program, ceph, target_factory):
    target, kit = target_factory(), node.dir / "poor"
    methods = [m for m in target.call("rpc_get_methods") if "_rbd_" not in m]
    engine = program("cyborg-spdk-tgt")
    kit.write_text(f'''#!/bin/sh
case "$1" in --*) exec {engine} "$@";; esac
exec {engine} "$@" --rpcs-allowed {",".join(methods)}
''')
    kit.chmod(0o755)
    failure = node.refused("install", "c", "--scenario", "ceph", "--ceph-config", ceph.conf,
                           "--ceph-user", USER, "--target", kit)
    assert failure.code == 5 and "bdev_rbd_create" in failure.message
    assert node.status()["accelerators"] == []


# --- the life of an image ---------------------------------------------------------------------

def test_whole_life(any_door, ceph):
    door, image = any_door, ceph.image(16)
    answer = door.attach("vm1", image, "--qos", "rw_mb=900")
    assert answer["attachment"]["size"] == 16 * MIB
    assert answer["attachment"]["volume"] == f"{POOL}/{image}"
    assert len(ceph.watchers(image)) == 1
    cluster, = door.rpc("bdev_rbd_get_clusters_info")
    assert cluster["user_id"] == USER and cluster["config_file"] == str(ceph.conf)
    assert door.cli("attach", "vm1", "--host", HOST, "--rbd", f"{POOL}/{image}", "--qos",
                    "rw_mb=900")["attachment"] == answer["attachment"]
    assert door.cli.status()["health"] == "ok", door.drift()
    assert door.io(answer["data"], "-w", "write", "--verify", "--seed", "5") == 0
    second = door.attach("vm2", ceph.image())
    assert second["data"]["vol_uuid"] != answer["data"]["vol_uuid"]
    failure = door.refused("vm3", image)
    assert failure.code == 3 and "attached to instance vm1" in failure.message
    door.cli("detach", "vm2")
    door.cli("detach", "vm1")
    assert door.bdevs() == [] and ceph.watchers(image) == []
    written = ceph.content(image)
    assert len(written) == 16 * MIB and written.count(0) < MIB
    again = door.attach("vm1", image)
    assert again["data"]["vol_uuid"] == answer["data"]["vol_uuid"]
    assert door.io(again["data"], "--verify-only", "--seed", "5") == 0
    door.cli("detach", "vm1")
    assert ceph.content(image) == written
    door.end()
    assert ceph.conf.exists() and ceph.watchers(image) == []


def test_read_only(any_door, ceph):
    door, image = any_door, ceph.image(data=os.urandom(2 * MIB))
    before = ceph.content(image)
    data = door.attach("vm1", image, "--read-only")["data"]
    assert ceph.watchers(image) == []
    assert door.io(data, "-w", "write", "-n", "1") != 0
    failure = door.cli.refused("detach", "vm1", "--wipe")
    assert failure.code == 2 and "read-only" in failure.message
    door.end()
    assert ceph.content(image) == before


def test_detach_deletes_no_image_and_wipes_one_when_asked(door, ceph):
    image = ceph.image(data=os.urandom(2 * MIB))
    door.attach("vm1", image)
    failure = door.cli.refused("detach", "vm1", "--delete")
    assert failure.code == 2 and "in its cluster" in failure.message
    door.cli("detach", "vm1", "--wipe")
    assert ceph.content(image) == bytes(2 * MIB)


def test_strange_names(any_door, ceph):
    image = ceph.image(name="Bild é (1) #2 'x'")
    answer = any_door.attach("vm1", image)
    assert answer["attachment"]["volume"] == f"{POOL}/{image}"
    any_door.end()


def test_who_looks_needs_no_key(node, program, ceph):
    """The agent may run as a user who cannot read the keyring: the cluster is no less alive."""
    conf = node.dir / "own.conf"
    conf.write_text(ceph.conf.read_text())
    node("install", "c", "--scenario", "ceph", "--ceph-config", conf, "--ceph-user", USER,
         "--target", program("cyborg-spdk-tgt"))
    node("attach", "vm1", "--host", HOST, "--rbd", f"{POOL}/{ceph.image()}")
    conf.write_text(ceph.with_wrong_key(node.dir).read_text())
    assert node.status()["health"] == "ok"


@pytest.mark.parametrize("words, code, text", [
    ([], 2, "--rbd POOL/IMAGE"),
    (["--rbd", f"{POOL}/absent"], 4, 'image "absent": No such file'),
    (["--rbd", "absent/image"], 4, 'pool "absent": '),
    (["--rbd", "a/b/c"], 2, "POOL/IMAGE"),
    (["--rbd", "volumes/disk@snap"], 2, "without '@'"),
    (["--rbd", "volumes/disk", "--size", "4M"], 2, "names an image as it is"),
])
def test_refusals(door, words, code, text):
    failure = door.cli.refused("attach", "vm1", "--accelerator", "c", "--host", HOST, *words)
    assert failure.code == code and text in failure.message
    assert door.bdevs() == [] and door.cli.status()["health"] == "ok"


# --- images that others use -------------------------------------------------------------------

@pytest.fixture
def other(target_factory, ceph):
    """other(IMAGE): somebody else has it open for writing, until the value is called."""
    def use(image):
        target = target_factory()
        target.call("bdev_rbd_register_cluster", name="c", user_id=USER,
                    config_file=str(ceph.conf))
        target.call("bdev_rbd_create", name="r", pool_name=POOL, rbd_name=image, block_size=512,
                    cluster_name="c")
        return lambda: target.call("bdev_rbd_delete", name="r")
    return use


def test_security_image_that_is_open_elsewhere(any_door, ceph, other):
    image = ceph.image()
    close = other(image)
    for words in [], ["--read-only"]:
        failure = any_door.refused("vm1", image, *words)
        assert failure.code == 3 and "open for writing elsewhere" in failure.message
        assert "rbd status" in failure.message
    assert len(ceph.watchers(image)) == 1
    close()
    any_door.attach("vm1", image)


def test_security_image_that_is_locked(door, ceph):
    image = ceph.image()
    ceph.rbd("lock", "add", image, "backup of Tuesday")
    failure = door.refused("vm1", image)
    assert failure.code == 3 and '"backup of Tuesday"' in failure.message


def test_image_with_a_lock_of_its_own(any_door, ceph):
    """librbd's exclusive lock, which images have by default, is no other client's."""
    image = ceph.image(features="layering,exclusive-lock,object-map,fast-diff")
    data = any_door.attach("vm1", image)["data"]
    assert any_door.io(data, "-w", "write", "--verify") == 0
    any_door.end()
    assert ceph.watchers(image) == []
    assert json.loads(ceph.rbd("lock", "ls", "--format", "json", image)) == []


# --- what goes wrong --------------------------------------------------------------------------

def test_images_come_back(any_door, ceph):
    """By recover, when target and supervisor are gone."""
    image, read_only = ceph.image(), ceph.image()
    data = any_door.attach("vm1", image)["data"]
    any_door.attach("vm2", read_only, "--read-only")
    assert any_door.io(data, "-w", "write", "--verify", "--seed", "2") == 0
    any_door.kill_target()
    assert any_door.cli("recover")["health"] == "ok"
    assert any_door.io(data, "--verify-only", "--seed", "2") == 0
    assert any_door.cli.status()["health"] == "ok", any_door.drift()
    any_door.end()


def test_target_that_is_killed_comes_back_by_itself(any_door, ceph):
    """The saved configuration says all: cluster, user, and who may only read."""
    data = any_door.attach("vm1", ceph.image())["data"]
    any_door.attach("vm2", ceph.image(), "--read-only")
    _, target = any_door.cli.pids("c")
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: any_door.cli.pids("c")[1] not in (0, target), "the next start")
    wait_until(lambda: any_door.cli.status()["health"] == "ok", "the exports")
    assert any_door.io(data, "-w", "write", "--verify") == 0
    any_door.end()


def test_killed_target_leaves_no_lock_behind(door, ceph):
    """What the dead target held of librbd's own lock its successor takes over."""
    image = ceph.image(features="layering,exclusive-lock,object-map,fast-diff")
    data = door.attach("vm1", image)["data"]
    assert door.io(data, "-w", "write", "--verify", "--seed", "6") == 0
    door.kill_target()
    door.cli("recover")
    assert door.io(data, "--verify-only", "--seed", "6") == 0
    assert door.io(data, "-w", "write", "--verify") == 0
    door.end()


def test_silent_cluster(any_door, ceph):
    """Told in time by status and attach; what was attached goes on when it is back."""
    image = ceph.image()
    data = any_door.attach("vm1", image)["data"]
    ceph.script("down")
    status = any_door.cli.status()
    assert status["health"] == "degraded"
    assert "the Ceph cluster of" in any_door.drift()
    failure = any_door.refused("vm2", "another")
    assert is_late(failure)
    assert is_late(any_door.cli.refused("detach", "vm1"))
    assert is_late(any_door.cli.refused("update", "c", "--target",
                                        status["accelerators"][0]["target"]))
    assert any_door.instances() == ["vm1"]
    ceph.script("up")
    wait_until(lambda: any_door.cli.status()["health"] == "ok", "the cluster")
    assert any_door.io(data, "-w", "write", "--verify") == 0
    any_door.end()


def test_killed_target_waits_for_a_silent_cluster(door, ceph):
    """It is started again and again, and serves when the cluster is back."""
    data = door.attach("vm1", ceph.image())["data"]
    ceph.script("down")
    _, target = door.cli.pids("c")
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: door.cli.pids("c")[1] != target, "its end")
    assert door.cli.status()["health"] == "down"
    ceph.script("up")
    wait_until(lambda: door.cli.status()["health"] == "ok", "the exports", 60)
    assert door.io(data, "-w", "write", "--verify") == 0
    door.end()


def check_whole(door, image):
    assert door.cli.status()["health"] == "ok", door.drift()
    assert len(door.ceph.watchers(image)) == 1


def check_gone(door, image):
    assert door.bdevs() == [] and door.ceph.watchers(image) == []


def test_killed_attach(door, ceph):
    """By SIGKILL behind each step, then called again."""
    image = ceph.image()
    words = ["attach", "vm1", "--host", HOST, "--rbd", f"{POOL}/{image}"]
    for step in STEPS["attach"]:
        door.cli.killed(f"attach:{step}", *words)
        door.cli("recover")
        check_gone(door, image)
        door.cli.killed(f"attach:{step}", *words)
        door.cli(*words)
        check_whole(door, image)
        door.cli("detach", "vm1")
        check_gone(door, image)


def test_killed_detach(door, ceph):
    image = ceph.image(data=os.urandom(MIB))
    for step in STEPS["detach"]:
        door.attach("vm1", image)
        door.cli.killed(f"detach:{step}", "detach", "vm1")
        door.cli("detach", "vm1")
        check_gone(door, image)
    door.attach("vm1", image)
    door.cli.killed("detach:wipe:begin", "detach", "vm1", "--wipe")
    door.cli("detach", "vm1", "--wipe")
    check_gone(door, image)
    assert ceph.content(image) == bytes(MIB)


def test_killed_update(door, ceph):
    image = ceph.image()
    data = door.attach("vm1", image)["data"]
    assert door.io(data, "-w", "write", "--verify", "--seed", "4") == 0
    for step in STEPS["update"]:
        door.cli.killed(f"update:{step}", "update", "c")
        door.cli("update", "c")
        check_whole(door, image)
    assert door.io(data, "--verify-only", "--seed", "4") == 0


def test_killed_install_and_uninstall(node, program, ceph):
    words = ["install", "c", "--scenario", "ceph", "--ceph-config", ceph.conf, "--ceph-user", USER,
             "--target", program("cyborg-spdk-tgt")]
    for step in STEPS["install"]:
        node.killed(f"install:{step}", *words)
        node(*words)
        assert node.status()["health"] == "ok"
        node("uninstall", "c")
    for step in STEPS["uninstall"]:
        node(*words)
        node.killed(f"uninstall:{step}", "uninstall", "c")
        node("uninstall", "c")
        assert node.status()["accelerators"] == [] and ceph.conf.exists()


def test_update_between_kits(node, program, ceph):
    """From the engine to SPDK and back, with images that are attached."""
    kit, engine = real_kit(node), program("cyborg-spdk-tgt")
    door = Door(node, program, ceph, engine)
    image = ceph.image()
    data = door.attach("vm1", image)["data"]
    door.attach("vm2", ceph.image(), "--read-only")
    assert door.io(data, "-w", "write", "--verify", "--seed", "9") == 0
    process = node.start("update", "c", "--target", kit, "--no-huge", "--json")
    if process.returncode == 7 and "bdev_rbd_create" in process.stderr:
        pytest.skip("CYBORG_SPDK_REAL_TGT was built without librbd")
    assert process.returncode == 0, process.stderr
    assert door.io(data, "--verify-only", "--seed", "9") == 0
    assert node.status()["health"] == "ok", door.drift()
    node("update", "c", "--target", engine)
    assert door.io(data, "--verify-only", "--seed", "9") == 0
    assert node.status()["health"] == "ok", door.drift()
    door.end()
    assert ceph.watchers(image) == []
