# SPDX-License-Identifier: Apache-2.0
"""The engine's bdevs on images of a real Ceph cluster."""

import json
import os
import signal
import subprocess
import threading

import pytest

import nvme_tcp as nvme
from conftest import RpcClient, RpcError, free_port, wait_until
from mini_ceph import POOL, USER, ceph, running_ceph  # noqa: F401 (fixtures)

NQN = "nqn.2016-06.io.spdk:rbd"
MIB = 1 << 20


@pytest.fixture
def connected(target, ceph):
    """A target with the cluster `c`."""
    assert register(target, ceph) == "c"
    return target


def register(target, ceph, name="c", **more):
    params = {"user_id": USER, "config_file": str(ceph.conf), **more}
    return target.call("bdev_rbd_register_cluster", name=name, **params)


def create(target, image, name="r", **more):
    params = {"block_size": 512, "cluster_name": "c", **more}
    return target.call("bdev_rbd_create", name=name, pool_name=POOL, rbd_name=image, **params)


def bdev(target, name="r"):
    return target.call("bdev_get_bdevs", name=name)[0]


def refused(target, method, **params):
    with RpcClient(target.sock) as client:
        return client.error(method, **params)


def export(target, *bdevs):
    """Where the bdevs are namespaces for any host, as arguments of cyborg-spdk-perf."""
    address = {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1",
               "trsvcid": str(free_port())}
    target.call("nvmf_create_transport", trtype="TCP")
    target.call("nvmf_create_subsystem", nqn=NQN, allow_any_host=True)
    for name in bdevs:
        target.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": name})
    target.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address=address)
    return ["--addr", f"127.0.0.1:{address['trsvcid']}", "--nqn", NQN, "--quiet"]


def io(program, where, *words):
    return subprocess.run([str(program("cyborg-spdk-perf")), *where, *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)


def test_clusters(target, ceph):
    error = refused(target, "bdev_rbd_get_clusters_info")
    assert error.code == -2 and "register one first" in error.message
    register(target, ceph, config_param={"rbd_cache": "false"}, core_mask="0x1")
    shown = {"cluster_name": "c", "user_id": USER, "config_file": str(ceph.conf),
             "config_param": {"rbd_cache": "false"}, "core_mask": "0x1"}
    assert target.call("bdev_rbd_get_clusters_info") == [shown]
    assert target.call("bdev_rbd_get_clusters_info", name="c") == shown
    assert refused(target, "bdev_rbd_register_cluster", name="c").code == -17
    assert refused(target, "bdev_rbd_get_clusters_info", name="d").code == -2
    image = ceph.image()
    create(target, image)
    error = refused(target, "bdev_rbd_unregister_cluster", name="c")
    assert error.code == -16 and "1 bdevs" in error.message
    assert target.call("bdev_rbd_delete", name="r") is True
    assert ceph.watchers(image) == []
    assert target.call("bdev_rbd_unregister_cluster", name="c") is True
    assert refused(target, "bdev_rbd_unregister_cluster", name="c").code == -2


def test_life_of_a_bdev(connected, ceph):
    uuid = "01234567-89ab-4cde-8f01-23456789abcd"
    image = ceph.image(16)
    assert create(connected, image, uuid=uuid) == "r"
    b = bdev(connected)
    assert (b["product_name"], b["uuid"], b["num_blocks"]) == ("Ceph Rbd Disk", uuid, 32768)
    assert b["driver_specific"]["rbd"] == {"pool_name": POOL, "rbd_name": image, "user_id": USER,
                                           "config_file": str(ceph.conf)}
    assert len(ceph.watchers(image)) == 1
    assert connected.call("bdev_rbd_create", pool_name=POOL, rbd_name=ceph.image(),
                          block_size=4096, cluster_name="c") == "Ceph0"
    assert connected.call("bdev_rbd_delete", name="r") is True
    assert ceph.watchers(image) == [] and ceph.content(image) == bytes(16 * MIB)


def test_data_is_the_image(connected, ceph, program):
    """What hosts write is in the image, and what is in the image is what hosts read."""
    old, new = ceph.image(data=os.urandom(4 * MIB)), ceph.image(4)
    create(connected, old, "old", read_only=True)
    create(connected, new, "new")
    where = export(connected, "old", "new")
    pattern = ["--nsid", "2", "-o", "60K", "--verify-pattern", "persistent", "--seed", "3"]
    written = io(program, where, *pattern, "-w", "write", "--verify")
    assert written.returncode == 0, written.stderr
    assert io(program, where, *pattern, "--verify-only").returncode == 0
    refusal = io(program, where, "--nsid", "1", "-w", "write", "-n", "1")
    assert refusal.returncode in (2, 4), refusal
    before = ceph.content(new)
    assert before != bytes(4 * MIB)
    zeroed = io(program, where, "--zero", "--nsid", "2", "--offset", "1M", "--length", "1M")
    assert zeroed.returncode == 0, zeroed.stderr
    after = ceph.content(new)
    assert after[MIB:2 * MIB] == bytes(MIB)
    assert after[:MIB] == before[:MIB] and after[2 * MIB:] == before[2 * MIB:]


def test_flush_and_fua_reach_the_cluster(target, ceph):
    """Though librbd keeps what is written to itself, as long as it may."""
    register(target, ceph, config_param={
        "rbd_cache": "true", "rbd_cache_policy": "writeback", "rbd_cache_max_dirty_age": "3600",
        "rbd_cache_writethrough_until_flush": "false"})
    image = ceph.image(4)
    create(target, image)
    port = int(export(target, "r")[1].split(":")[1])
    with nvme.Controller(("127.0.0.1", port), NQN) as controller:
        q = controller.io_queue()
        assert q.write(0, b"a" * 512).status == nvme.SUCCESS
        assert ceph.content(image)[:512] == bytes(512)
        assert q.write(8, b"b" * 512, dw12=1 << 30).status == nvme.SUCCESS
        assert ceph.content(image)[4096:4608] == b"b" * 512
        assert q.write(16, b"c" * 512).status == nvme.SUCCESS
        assert ceph.content(image)[8192:8704] == bytes(512)
        assert q.run(nvme.FLUSH, nsid=1).status == nvme.SUCCESS
        assert ceph.content(image)[8192:8704] == b"c" * 512


def test_configuration_is_loaded_again(connected, ceph, target_factory, tmp_path):
    image, other, saved = ceph.image(), ceph.image(), tmp_path / "saved.json"
    create(connected, image)
    create(connected, other, "s", read_only=True)
    before = bdev(connected), bdev(connected, "s")
    entries = connected.call("framework_get_config", name="bdev")
    saved.write_text(json.dumps({"subsystems": [{"subsystem": "bdev", "config": entries}]}))
    assert connected.stop() == 0
    assert ceph.watchers(image) == []
    again = target_factory("-c", saved)
    assert (bdev(again), bdev(again, "s")) == before


def test_own_connection(target, ceph):
    """Without a registered cluster, as SPDK had it first."""
    image, conf = ceph.image(), dict(line.split(" = ", 1) for line in
                                     ceph.conf.read_text().splitlines() if " = " in line)
    config = {key: conf[key] for key in ("mon_host", "keyring", "auth_client_required")}
    target.call("bdev_rbd_create", name="r", pool_name=POOL, rbd_name=image, block_size=512,
                user_id=USER, config=config)
    assert bdev(target)["driver_specific"]["rbd"]["config"] == config
    saved, = [e for e in target.call("framework_get_config", name="bdev")
              if e["method"] == "bdev_rbd_create"]
    assert saved["params"]["config"] == config and saved["params"]["user_id"] == USER
    target.call("bdev_rbd_delete", name="r")
    assert ceph.watchers(image) == []


def test_growing(connected, ceph):
    image = ceph.image(16)
    create(connected, image)
    assert connected.call("bdev_rbd_resize", name="r", new_size=24) is True
    assert bdev(connected)["num_blocks"] == 24 * 2048
    assert b"24 MiB" in ceph.rbd("info", image)
    ceph.rbd("resize", "--no-progress", "--size", "32M", image)
    wait_until(lambda: bdev(connected)["num_blocks"] == 32 * 2048, "what librbd tells")
    for size, code in (8, -22), (1 << 62, -22):
        assert refused(connected, "bdev_rbd_resize", name="r", new_size=size).code == code
    connected.call("bdev_rbd_delete", name="r")
    create(connected, image, read_only=True)
    assert refused(connected, "bdev_rbd_resize", name="r", new_size=64).code == -30


@pytest.mark.parametrize("changes, code, text", [
    ({"rbd_name": "absent"}, -2, "rbd ls"),
    ({"pool_name": "absent"}, -2, "ceph osd pool ls"),
    ({"cluster_name": "absent"}, -2, "register it first"),
    ({"block_size": 500}, -22, "a power of two from 512 to 65536"),
    ({"block_size": 0}, -22, "a power of two"),
    ({"name": "taken"}, -17, "choose another"),
    ({"user_id": "x"}, -22, "leave out user_id and config"),
    ({"config": {"a": 1}}, -32603, "an object whose members are strings"),
    ({"config": []}, -32603, "an object whose members are strings"),
])
def test_refusals(connected, ceph, changes, code, text):
    connected.call("bdev_null_create", name="taken", block_size=512, num_blocks=8)
    params = {"name": "r", "pool_name": POOL, "rbd_name": "image", "block_size": 512,
              "cluster_name": "c", **changes}
    error = refused(connected, "bdev_rbd_create", **params)
    assert error.code == code and text in error.message, error.message


def test_one_writer(connected, ceph):
    """Another name or another connection is no way around it; readers may be many."""
    image = ceph.image()
    create(connected, image)
    register(connected, ceph, "d")
    for name in "c", "d":
        for read_only in False, True:
            error = refused(connected, "bdev_rbd_create", name="s", pool_name=POOL, rbd_name=image,
                            block_size=512, cluster_name=name, read_only=read_only)
            assert error.code == -16 and 'used by bdev "r"' in error.message
    connected.call("bdev_rbd_delete", name="r")
    for name in "s", "t":
        create(connected, image, name, read_only=True)
    assert not bdev(connected, "s")["supported_io_types"]["write"]


def test_strange_names(connected, ceph):
    image = ceph.image(name="Bild é %s {1} #2")
    create(connected, image)
    assert bdev(connected)["driver_specific"]["rbd"]["rbd_name"] == image


@pytest.mark.parametrize("params, text", [
    ({"user_id": "nobody"}, "as user nobody"),
    ({"config_file": "/nonexistent"}, "cannot be read"),
    ({"key_file": "/nonexistent"}, "keyring"),
    ({"config_param": {"no_such_option": "1"}}, "no_such_option"),
    ({"core_mask": "none"}, "core_mask"),
])
def test_wrong_key_or_configuration(target, ceph, params, text):
    with pytest.raises(Exception) as caught:
        register(target, ceph, **params)
    assert text in caught.value.message and target.alive()
    assert refused(target, "bdev_rbd_get_clusters_info").code == -2


def test_no_librbd(target_factory, ceph, tmp_path):
    (tmp_path / "librados.so.2").write_text("")
    target = target_factory(env={"LD_LIBRARY_PATH": str(tmp_path)})
    error = refused(target, "bdev_rbd_register_cluster", name="c", config_file=str(ceph.conf))
    assert error.code == -2 and "install the package librbd1" in error.message


def later(target, method, **params):
    """A call on its way: the thread, and where its error will be."""
    found = []

    def call():
        found.append(refused(target, method, **params))
    thread = threading.Thread(target=call)
    thread.start()
    return thread, found


def threads(target):
    return len(os.listdir(f"/proc/{target.pid}/task"))


def test_security_silent_cluster(connected, ceph):
    """Every call ends, nobody else waits, and all goes on when the cluster is back."""
    image, other = ceph.image(), ceph.image()
    alone = threads(connected)
    create(connected, image)
    ceph.script("down")
    calls = [later(connected, "bdev_rbd_create", name="s", pool_name=POOL, rbd_name=other,
                   block_size=512, cluster_name="c"),
             later(connected, "bdev_rbd_register_cluster", name="d", user_id=USER,
                   config_file=str(ceph.conf)),
             later(connected, "bdev_rbd_delete", name="r")]
    assert connected.call("spdk_get_version")
    for thread, _ in calls:
        thread.join()
    assert [found[0].code for _, found in calls] == [-110] * 3
    assert connected.call("bdev_get_bdevs") == []
    ceph.script("up")

    def free_again():
        try:
            return create(connected, image)
        except RpcError as error:
            assert error.code == -16 and "still being closed" in error.message
            return None
    wait_until(free_again, "the image to be closed")
    ceph.no_watcher(other)
    # A connection has a dozen threads: the one that came too late is closed.
    wait_until(lambda: threads(connected) < alone + 8, "all of librados's threads to end")
    create(connected, other, "s")


@pytest.mark.target_options("--drain-timeout", "0.1")
def test_leaving_while_the_cluster_is_silent(connected, ceph):
    create(connected, ceph.image())
    ceph.script("down")
    connected.process.send_signal(signal.SIGTERM)
    assert connected.process.wait(30) == 1
    assert "not everything could be released in time" in connected.log
    connected.remove()


def test_io_waits_for_a_silent_cluster(connected, ceph, program):
    """A host sees its I/O late, not failed: a short outage of Ceph is no outage of an instance."""
    create(connected, ceph.image())
    where = export(connected, "r")
    ceph.script("down")
    host = subprocess.Popen([str(program("cyborg-spdk-perf")), *where, "-w", "randrw", "--verify",
                             "-n", "200"], stdout=subprocess.DEVNULL)
    wait_until(lambda: connected.call("nvmf_subsystem_get_controllers", nqn=NQN), "the host")
    assert connected.call("bdev_get_bdevs")
    ceph.script("up")
    assert host.wait(60) == 0
