# SPDX-License-Identifier: Apache-2.0
"""Attachments over vhost-user-blk on a real SPDK. What a virtual machine sees of them is tested in
tests/guest/test_vhost.py.

See tests/real_spdk.py; it must have been built --with-vhost.
"""

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from conftest import Cli, RpcClient, vhost_kit, wait_until
from test_verbs_kill import STEPS
from vhost_machine import Machine

MIB = 1 << 20
GROUP = 4321  # of nobody here
CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"


def rpc(cli, method, **params):
    with RpcClient(cli.socket()) as client:
        return client.call(method, **params)


def controllers(cli):
    return rpc(cli, "vhost_get_controllers")


def attach(cli, instance, *words):
    return cli("attach", instance, "--transport", "vhost-user-blk", *words)


def drift(cli):
    return " ".join(cli.status()["accelerators"][0]["drift"])


def kill_target(cli):
    target = cli.pids()[1]
    os.kill(target, signal.SIGKILL)
    wait_until(lambda: cli.pids()[1] not in (0, target), "the supervisor's next start")


def machine_gets_in(answer):
    try:
        Machine(answer).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def kit(program):
    """A script that stands for the real target."""
    program("cyborg-spdk-supervise")
    cli = Cli(program("cyborg-spdk"))
    yield vhost_kit(cli)
    cli.remove()


@pytest.fixture(scope="module")
def pool(kit, program):
    """A store; tests detach what they attach."""
    cli = Cli(program("cyborg-spdk"))
    cli("install", "a", "--backing", cli.dir / "backing", "--size", "48M", "--store", "pool",
        "--cluster-size", "64K", "--target", kit, "--no-huge")
    yield cli
    cli.remove()


@pytest.fixture
def clean(pool):
    """The store; whatever a test left attached goes."""
    yield pool
    for a in pool.status()["accelerators"][0]["attachments"]:
        pool("detach", a["instance"], "--delete")


@pytest.fixture
def whole(kit, cli):
    """An accelerator `a` that is attached whole; sockets for a group, in a folder of their own."""
    (cli.dir / "run").mkdir()
    cli("install", "a", "--backing", cli.dir / "backing", "--size", "16M", "--target", kit,
        "--no-huge", "--socket-dir", cli.dir / "run", "--socket-group", GROUP)
    return cli


# --- what is attached -----------------------------------------------------------------------------

def test_answer(clean):
    answer = attach(clean, "vm1", "--size", "4M")
    a, path = answer["attachment"], answer["data"]["device_path"]
    assert answer["driver_volume_type"] == "vhost_user_blk"
    assert answer["data"] == {
        "device_path": path, "vol_uuid": a["uuid"], "size": 4 * MIB, "access_mode": "rw",
        "discard": True, "encrypted": False, "cacheable": False, "qos_specs": None}
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    assert os.path.dirname(path) == str((clean.state / "targets" / "a").resolve())
    name = controllers(clean)[0]["ctrlr"]
    assert answer["command"] == (f"-chardev socket,id={name},path={path},reconnect=1 "
                                 f"-device vhost-user-blk-pci,chardev={name}")
    with Machine(answer) as machine:
        assert machine.size == 4 * MIB and not machine.read_only
        assert attach(clean, "vm1", "--size", "4M") == {**answer, "proof_ns": pytest.approx(
            answer["proof_ns"], abs=10**10)}
        assert not machine.is_cut_off_now()
    assert not drift(clean)


def test_volumes_and_terms(clean):
    attach(clean, "vm1", "--size", "4M", "--qos", "rw_ios=2000,r_mb=50")
    rpc(clean, "bdev_lvol_snapshot", lvol_name="pool/vm1", snapshot_name="golden")
    with Machine(attach(clean, "vm2", "--clone", "golden")) as machine:
        assert machine.size == 4 * MIB and not machine.read_only
    for words in ["vm3", "--volume", "vm1"], ["vm4", "--clone", "golden"]:
        answer = attach(clean, *words, "--read-only")
        assert answer["data"]["access_mode"] == "ro"
        with Machine(answer) as machine:
            assert machine.read_only
    limits = [b["assigned_rate_limits"] for b in rpc(clean, "bdev_get_bdevs")
              if "pool/vm1" in b["aliases"]][0]
    assert (limits["rw_ios_per_sec"], limits["r_mbytes_per_sec"]) == (2000, 50)
    assert not drift(clean)
    for instance in "vm3", "vm4":
        assert clean("detach", instance)["volume"] == "deleted"
    clean("detach", "vm2", "--wipe")
    clean("detach", "vm1")
    again = attach(clean, "vm1", "--size", "4M")
    assert again["attachment"]["source"] == "existing" and not again["data"]["qos_specs"]
    clean("detach", "vm1")
    rpc(clean, "bdev_lvol_delete", name="pool/golden")
    attach(clean, "vm1", "--volume", "vm1")


def test_whole_backing_read_only(whole):
    with Machine(attach(whole, "vm1", "--read-only")) as machine:
        assert machine.read_only and machine.size == 16 * MIB
    assert whole.status()["health"] == "ok"
    whole("detach", "vm1")
    with Machine(attach(whole, "vm1")) as machine:
        assert not machine.read_only


# --- machines that have it open -------------------------------------------------------------------

def test_detach_waits_for_the_machine(clean):
    machine = Machine(attach(clean, "vm1", "--size", "4M"))
    attach(clean, "vm2", "--size", "4M")
    failure = clean.refused("detach", "vm1", "--wait", "0.2s")
    assert failure.code == 3 and "a machine still has" in failure.message
    assert not drift(clean)
    forced = clean.refused("detach", "vm1", "--force")
    assert forced.code == 3 and "would disturb the 1 other" in forced.message
    assert "did not end" in drift(clean)
    assert attach(clean, "vm3", "--size", "4M")
    machine.close()
    assert clean("detach", "vm1", "--delete")["volume"] == "deleted"
    assert clean.status()["health"] == "ok" and len(controllers(clean)) == 2


def test_detach_by_force_cuts_the_only_machine_off(whole):
    machine = Machine(attach(whole, "vm1"))
    whole("detach", "vm1", "--force")
    assert machine.is_cut_off() and controllers(whole) == []
    assert whole.status()["health"] == "ok" and not list((whole.dir / "run" / "a").iterdir())
    with Machine(attach(whole, "vm1")) as machine:
        assert machine.size == 16 * MIB


def test_update_with_a_machine(whole, kit, program):
    """The socket stays where it was, for a machine that connects again."""
    answer = attach(whole, "vm1")
    machine = Machine(answer)
    other = whole.dir / "other"
    other.write_bytes(kit.read_bytes())
    other.chmod(0o755)
    elsewhere = subprocess.run([whole.program, "update", "a", "--target", other, "--json"],
                               env=whole.env, cwd="/", stdout=subprocess.PIPE, check=True)
    assert json.loads(elsewhere.stdout)["stall_ns"] > 0
    assert machine.is_cut_off()
    machine = Machine(answer)
    failure = whole.refused("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert failure.code == 7 and "vhost_create_blk_controller" in failure.message
    assert not machine.is_cut_off_now() and whole.status()["health"] == "ok"
    machine.close()
    whole("detach", "vm1")
    whole("uninstall", "a")
    assert not list((whole.dir / "run").iterdir())


# --- what goes wrong ------------------------------------------------------------------------------

def test_killed_target(clean):
    answer = attach(clean, "vm1", "--size", "4M", "--qos", "rw_ios=2000")
    config = json.loads((clean.state / "targets/a/config.json").read_text())
    saved = [e["params"] for s in config["subsystems"] for e in s["config"] or []
             if e["method"] == "vhost_create_blk_controller"]
    assert len(saved) == 1 and "cpumask" not in saved[0]
    kill_target(clean)
    wait_until(lambda: machine_gets_in(answer), "its socket")
    (clean.state / "targets/a/config.json").unlink()
    kill_target(clean)
    clean("recover")
    assert clean.status()["health"] == "ok" and len(controllers(clean)) == 1
    with Machine(answer) as machine:
        assert machine.size == 4 * MIB


@pytest.mark.parametrize("spoil, words", [
    ("delete", "is not exported"),
    ("rights", "may only read and should write"),
    ("bdev", "shows bdev"),
    ("socket", "no machine can open it"),
])
def test_drift(clean, spoil, words):
    answer = attach(clean, "vm1", "--size", "4M")
    attach(clean, "vm2", "--size", "2M")
    k = [k for k in controllers(clean) if k["socket"] == answer["data"]["device_path"]][0]
    other = [x for x in controllers(clean) if x != k][0]["backend_specific"]["block"]["bdev"]
    if spoil == "socket":
        os.unlink(k["socket"])
    else:
        rpc(clean, "vhost_delete_controller", ctrlr=k["ctrlr"])
    bdev = k["backend_specific"]["block"]["bdev"]
    if spoil == "rights":
        rpc(clean, "vhost_create_blk_controller", ctrlr=k["ctrlr"], dev_name=bdev, readonly=True)
    elif spoil == "bdev":
        rpc(clean, "vhost_create_blk_controller", ctrlr=k["ctrlr"], dev_name=other)
    assert words in drift(clean)
    clean("recover")
    assert not drift(clean)
    with Machine(answer) as machine:
        assert machine.size == 4 * MIB and not machine.read_only


@pytest.mark.parametrize("fault", [f"attach:{step}" for step in STEPS["attach"]])
def test_attach_killed(clean, fault):
    words = ["attach", "vm1", "--size", "4M", "--transport", "vhost-user-blk"]
    clean.killed(fault, *words)
    with Machine(clean(*words)) as machine:
        assert machine.size == 4 * MIB
    assert len(controllers(clean)) == 1 and clean.status()["health"] == "ok"


@pytest.mark.parametrize("fault", [f"detach:{step}" for step in STEPS["detach"]])
def test_detach_killed(clean, fault):
    attach(clean, "vm1", "--size", "4M")
    clean.killed(fault, "detach", "vm1", "--delete")
    clean("detach", "vm1", "--delete")
    assert controllers(clean) == [] and rpc(clean, "bdev_lvol_get_lvols") == []


def test_attach_that_was_killed_while_a_machine_waits(whole):
    """Such a machine gets in before the proof; undoing needs the disk back."""
    answer = attach(whole, "vm1")
    whole("detach", "vm1")
    whole.killed("attach:export", "attach", "vm1", "--transport", "vhost-user-blk")
    machine = Machine(answer)
    assert attach(whole, "vm1")["data"] == answer["data"]
    assert machine.is_cut_off() and whole.status()["health"] == "ok"


# --- who may open it ------------------------------------------------------------------------------

def connects(path, group):
    return subprocess.run(["setpriv", "--reuid", "65534", "--regid", str(group), "--clear-groups",
                           "/usr/bin/python3", "-c", CONNECT, path],
                          stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")
def test_security_only_the_group_may_open_it(whole):
    whole.dir.chmod(0o711)
    path = attach(whole, "vm1")["data"]["device_path"]
    for _ in range(2):
        assert connects(path, GROUP) and not connects(path, GROUP + 1)
        kill_target(whole)
        wait_until(lambda: controllers_or_none(whole), "the target")


def controllers_or_none(cli):
    try:
        return controllers(cli)
    except OSError:
        return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")
def test_security_nobody_else_may_open_it(clean):
    path = attach(clean, "vm1", "--size", "4M")["data"]["device_path"]
    for folder in clean.dir, clean.state, clean.state / "targets", clean.state / "targets" / "a":
        folder.chmod(0o755)
    try:
        assert not connects(path, GROUP)
    finally:
        clean.dir.chmod(0o700)


@pytest.mark.parametrize("words, code, text", [
    (["--socket-group", "no-such-group"], 2, "there is no such group"),
    (["--socket-dir", "/nowhere"], 4, "No such file"),
    (["--socket-dir", "{dir}/open"], 3, "may be written to by others"),
    (["--socket-dir", "{dir}/" + "long" * 20], 2, "name a shorter --socket-dir"),
])
def test_folders_that_are_refused(kit, cli, words, code, text):
    for name in "open", "long" * 20:
        (cli.dir / name).mkdir()
    (cli.dir / "open").chmod(0o777)
    failure = cli.refused("install", "a", "--backing", cli.dir / "backing", "--size", "16M",
                          "--target", kit, "--no-huge",
                          *[word.format(dir=cli.dir) for word in words])
    assert failure.code == code and text in failure.message
    assert not (cli.dir / "backing").exists()


def test_security_folder_that_is_a_link_is_not_taken(kit, cli):
    """Nor is what it leads to emptied when the install is undone."""
    for name in "sockets", "others":
        (cli.dir / name).mkdir()
    (cli.dir / "sockets").chmod(0o1777)
    (cli.dir / "sockets" / "a").symlink_to(cli.dir / "others")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(cli.dir / "others" / "cs-0"))
    failure = cli.refused("install", "a", "--backing", cli.dir / "backing", "--size", "16M",
                          "--target", kit, "--no-huge", "--socket-dir", cli.dir / "sockets")
    assert failure.code == 3 and "is no folder of this user" in failure.message
    assert (cli.dir / "others" / "cs-0").is_socket() and not (cli.dir / "backing").exists()
    assert cli.status()["accelerators"] == []


def test_engine_has_no_sockets_to_show(node):
    failure = node.refused("install", "a", "--memory", "4M", "--socket-dir", node.dir)
    assert failure.code == 3 and "makes no vhost-user sockets" in failure.message


def test_socket_of_a_long_path_is_refused(kit, cli):
    """The RPC socket's is short enough still."""
    cli.state = Path(str(cli.dir) + "/" + "s" * (75 - len(str(cli.dir))))
    cli.env["CYBORG_SPDK_STATE_DIR"] = str(cli.state)
    cli("install", "a", "--backing", cli.dir / "backing", "--size", "16M", "--target", kit,
        "--no-huge")
    failure = cli.refused("attach", "vm1", "--transport", "vhost-user-blk")
    assert failure.code == 2 and "--socket-dir" in failure.message
    assert controllers(cli) == []
