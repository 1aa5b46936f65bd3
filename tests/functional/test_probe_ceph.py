# SPDX-License-Identifier: Apache-2.0
"""Ceph as discover and `list ceph` see it: clusters, monitors, pools, yes or no and why."""

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import uuid

import pytest

from conftest import free_port, wait_until

FSID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def monitor():
    """monitor(words): the port of something that greets so, as long as the test runs."""
    made = []

    def make(words):
        listener = socket.create_server(("127.0.0.1", 0))
        made.append(listener)
        held = []

        def serve():
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.sendall(words)
                held.append(peer)
        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]
    yield make
    for listener in made:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def configured(cli, *ports):
    conf = cli.dir / "prod.conf"
    hosts = ",".join(f"[v2:127.0.0.1:{port}/0]" for port in ports)
    conf.write_text(f"[global]\n\tfsid = {FSID}\n\tmon host = {hosts}\n"
                    "\tauth client required = none\n")
    cli.env["CEPH_CONF"] = str(conf)


def cluster(cli):
    found, = [c for c in cli("discover")["ceph"] if c["fsid"] == FSID]
    return found


def test_nothing_is_configured(cli):
    if os.path.isdir("/etc/ceph"):
        pytest.skip("/etc/ceph is there")
    assert cli("discover")["ceph"] == []
    assert "no Ceph cluster is configured here" in cli("list", "ceph")["note"]


def test_monitor_that_greets_is_reachable(cli, monitor):
    dead = free_port()
    configured(cli, dead, monitor(b"ceph v2\n\x10\0"))
    found = cluster(cli)
    assert found["reachable"] and found["name"] == "prod"
    assert [m["answers"] for m in found["monitors"]] == [False, True]
    assert found["monitors"][1]["protocol"] == "v2" and found["monitors"][0]["error"]
    # It only greets, so its pools are not known, and that is said.
    assert found["pools"] == [] and found["error"]


@pytest.mark.parametrize("words, text", [(b"SSH-2.0-OpenSSH_9", "no Ceph monitor"),
                                         (b"", "silent")])
def test_security_what_greets_otherwise_is_no_monitor(cli, monitor, words, text):
    configured(cli, monitor(words))
    found = cluster(cli)
    assert not found["reachable"] and text in found["monitors"][0]["error"]
    answer = cli("list", "ceph")
    mine, = [c for c in answer["candidates"] if c["path"] == "prod"]
    assert not mine["attach"] and mine["score"] == 0 and text in mine["reason"] and mine["remedy"]


def test_list_says_why_not(cli, target):
    configured(cli, free_port())
    answer = cli("list", "ceph")
    scores = [c["score"] for c in answer["candidates"]]
    assert scores == sorted(scores, reverse=True)
    mine, = [c for c in answer["candidates"] if c["path"] == str(target.sock)]
    assert not mine["attach"] and mine["reason"]
    assert answer["clusters"][0]["fsid"] == FSID
    assert "prod" in cli.start("list", "ceph").stdout


@pytest.fixture
def mini_ceph(cli):
    """One monitor without authentication, no more: it keeps a list of pools."""
    if not shutil.which("ceph-mon") or not shutil.which("monmaptool"):
        pytest.skip("ceph-mon is not installed")
    fsid, port = str(uuid.uuid4()), free_port()
    conf, data = cli.dir / "mini.conf", cli.dir / "mon"
    conf.write_text(f"""[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{port}/0]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = /dev/null
run_dir = {cli.dir}
log_file =
admin_socket =
[mon]
mon_data = {data}
mon_data_avail_crit = 0
log_file = {cli.dir}/mon.log
""")
    words = ["-c", str(conf), "-i", "a"]
    subprocess.run(["monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a",
                    f"[v2:127.0.0.1:{port}/0]", str(cli.dir / "monmap")], check=True,
                   stdout=subprocess.DEVNULL)
    data.mkdir()
    subprocess.run(["ceph-mon", *words, "--mkfs", "--monmap", str(cli.dir / "monmap")],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process = subprocess.Popen(["ceph-mon", *words, "-f"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    cli.env["CEPH_CONF"] = str(conf)
    yield fsid
    process.terminate()
    process.wait()


def make_pool(conf, name):
    """By librados, as no command of Ceph's makes one without its Python modules."""
    rados = ctypes.CDLL("librados.so.2")
    cluster = ctypes.c_void_p()
    calls = [(rados.rados_create2, ctypes.byref(cluster), b"ceph", b"client.admin", 0),
             (rados.rados_conf_read_file, cluster, conf.encode()),
             (rados.rados_conf_set, cluster, b"rados_mon_op_timeout", b"20"),
             (rados.rados_conf_set, cluster, b"client_mount_timeout", b"20"),
             (rados.rados_connect, cluster),
             (rados.rados_pool_create, cluster, name.encode())]
    for function, *args in calls:
        assert function(*args) == 0, function
    rados.rados_shutdown(cluster)


def test_real_monitor_tells_its_pools(cli, mini_ceph):
    def found():
        return [c for c in cli("discover")["ceph"] if c["reachable"] and not c["error"]]
    mine, = wait_until(found, "the monitor")
    assert mine["fsid"] == mini_ceph and mine["monitors"][0]["protocol"] == "v2"
    assert mine["pools"] == []
    make_pool(cli.env["CEPH_CONF"], "rbd")
    assert found()[0]["pools"] == ["rbd"]
    candidate, = [c for c in cli("list", "ceph")["candidates"] if c["kind"] == "ceph-pool"]
    assert candidate["path"] == "mini/rbd" and candidate["fsid"] == mini_ceph
    assert candidate["score"] in (50, 100) and candidate["reason"] and "attach" in candidate
