# SPDX-License-Identifier: Apache-2.0
"""Terms of an attachment: limits, keys of the host, transport. On the engine, and on a real SPDK.

See tests/real_spdk.py.
"""

import base64
import contextlib
import json
import os
import stat
import subprocess
import zlib

import pytest

from conftest import RpcClient, real_kit, wait_until
from test_verbs_volumes import HOST, Node, snapshot


@pytest.fixture(params=["engine", "spdk"])
def store(request, node, program):
    """A store on either kind of target."""
    store = Node(node, program)
    more = [] if request.param == "engine" else ["--target", real_kit(node), "--no-huge"]
    store.install("--size", "48M", *more)
    store.methods = store.rpc("rpc_get_methods")
    store.is_engine = request.param == "engine"
    yield store
    if request.param == "spdk":
        for x in node.status()["accelerators"][0]["attachments"]:
            node("detach", x["instance"], "--force")
        node("uninstall", "a", "--delete")


def limits(store, volume="vm1"):
    bdev = [b for b in store.rpc("bdev_get_bdevs") if f"pool/{volume}" in b["aliases"]][0]
    return {k: v for k, v in bdev["assigned_rate_limits"].items() if v}


# --- volumes, on what is not the engine too -------------------------------------------------------

def test_life_of_volumes(store):
    first = store.attach("vm1", "--size", "4M")
    store.write(first)
    snapshot(store, "vm1", "golden")
    clone = store.attach("vm2", "--clone", "golden")
    shown = store.attach("vm3", "--volume", "vm1", "--read-only")
    assert store.holds(clone) and store.holds(shown)
    assert store.io(shown, "-w", "write", "-n", "1").returncode == 4
    assert store.cli.status()["health"] == "ok"
    assert store.cli("detach", "vm3")["volume"] == "deleted"
    assert store.cli("detach", "vm2", "--wipe")["volume"] == "deleted"
    store.cli("detach", "vm1")
    assert store.holds(store.attach("vm1", "--size", "4M"))
    assert sorted(store.volumes()) == ["golden", "vm1"]
    assert len(store.rpc("nvmf_get_subsystems")) == 2


# --- limits ---------------------------------------------------------------------------------------

def test_limits(store):
    words = ["vm1", "--size", "4M", "--qos", "rw_ios=1500,w_mb=10"]
    if "bdev_set_qos_limit" not in store.methods:
        failure = store.refused(*words)
        assert failure.code == 5 and "bdev_set_qos_limit" in failure.message
        assert store.volumes() == {}
        return
    answer = store.attach(*words)
    assert answer["data"]["qos_specs"] == {"total_iops_sec": 2000, "write_bytes_sec": 10 << 20}
    wanted = {"rw_ios_per_sec": 2000, "w_mbytes_per_sec": 10}
    assert limits(store) == wanted
    assert store.attach(*words)["attachment"] == answer["attachment"]
    assert store.refused("vm1", "--size", "4M").code == 3
    store.rpc("bdev_set_qos_limit", name="pool/vm1", rw_ios_per_sec=5000)
    status = store.cli.status()["accelerators"][0]
    assert "rw_ios=5000" in " ".join(status["drift"])
    store.cli("recover")
    assert limits(store) == wanted and store.cli.status()["health"] == "ok"
    store.cli("detach", "vm1")
    assert limits(store) == {}
    store.attach("vm1", "--size", "4M")
    assert limits(store) == {}


# --- keys -----------------------------------------------------------------------------------------

SECRET = bytes(range(32))


def key_text(prefix="DHHC-1:00:", secret=SECRET):
    crc = zlib.crc32(secret).to_bytes(4, "little")
    return f"{prefix}{base64.b64encode(secret + crc).decode()}:"


@pytest.fixture
def key(store):
    path = store.cli.dir / "host.key"
    path.write_text(key_text())
    path.chmod(0o600)
    return path


def where_the_secret_is(store):
    """Files below the state directory, and of the command's own, that hold the key."""
    text = key_text().split(":")[2].encode()
    return [str(p) for p in store.cli.state.rglob("*") if p.is_file() and text in p.read_bytes()]


def test_security_key_stays_in_its_file(store, key):
    process = store.cli.start("attach", "vm1", "--host", HOST, "--size", "4M", "--dhchap-key", key,
                              "--json")
    assert key_text() not in process.stdout + process.stderr
    assert where_the_secret_is(store) == []
    assert stat.S_IMODE((store.cli.state / "state.db").stat().st_mode) == 0o600


def test_keys_of_the_host(store, key):
    words = ["vm1", "--size", "4M", "--dhchap-key", key]
    if "nvmf_subsystem_set_keys" not in store.methods:
        failure = store.refused(*words)
        assert failure.code == 5 and "nvmf_subsystem_set_keys" in failure.message
        assert store.volumes() == {}
        return
    answer = store.attach(*words)
    nqn = answer["data"]["target_nqn"]
    (shown,) = [s for s in store.rpc("nvmf_get_subsystems") if s["nqn"] == nqn]
    assert shown["hosts"][0]["dhchap_key"]
    assert f"$(cat {key})" in answer["command"] and key_text() not in answer["command"]
    without = store.io(answer, "--identify")
    assert without.returncode == 3 and "to authenticate" in without.stderr
    assert store.io(answer, "--identify", "--prove", "--dhchap-key", key).returncode == 0
    other = store.cli.dir / "other.key"
    other.write_text(key_text(secret=SECRET[::-1]))
    other.chmod(0o600)
    wrong = store.io(answer, "--identify", "--dhchap-key", other)
    assert wrong.returncode == 3 and "authentication of host" in wrong.stderr
    assert store.attach(*words)["attachment"] == answer["attachment"]
    assert store.cli.status()["health"] == "ok"
    store.cli("detach", "vm1")
    assert store.rpc("keyring_get_keys") == []


@contextlib.contextmanager
def reading(store, answer, key):
    """A host that is connected and reads; started with the key's content of now."""
    data = answer["data"]
    address, port, _ = data["portals"][0]
    nqn = data["target_nqn"]
    process = subprocess.Popen(
        [store.perf, "-w", "randread", "-q", "1", "-t", "600s", "--quiet", "--hostnqn",
         data["host_nqn"], "--dhchap-key", str(key), "-r",
         f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} subnqn:{nqn}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def reads():
        queues = store.rpc("nvmf_subsystem_get_qpairs", nqn=nqn)
        return [q["auth"]["state"] for q in queues] == ["completed", "completed"]
    try:
        wait_until(reads, "the host")
        yield process
    finally:
        process.terminate()
        process.communicate()


def test_key_rotates_by_attach_again(store, key):
    """The file's new key counts from then on; who is connected by the old one stays."""
    if "nvmf_subsystem_set_keys" not in store.methods:
        pytest.skip("this target authenticates no hosts")
    words = ["vm1", "--size", "4M", "--dhchap-key", key]
    answer = store.attach(*words)
    old = store.cli.dir / "old.key"
    old.write_text(key.read_text())
    old.chmod(0o600)
    with reading(store, answer, key) as reader:
        key.write_text(key_text(secret=SECRET[::-1]))
        assert store.attach(*words)["attachment"] == answer["attachment"]
        assert store.io(answer, "--identify", "--dhchap-key", old).returncode == 3
        assert store.io(answer, "--identify", "--prove", "--dhchap-key", key).returncode == 0
        assert reader.poll() is None
    key.write_text("no key")
    failure = store.refused(*words)
    assert failure.code == 2 and "DHHC-1:" in failure.message
    assert store.io(answer, "--identify", "--dhchap-key", old).returncode == 3
    key.write_text(key_text(secret=SECRET[::-1]))
    store.cli("recover")
    assert store.cli.status()["health"] == "ok"
    store.cli("detach", "vm1", "--wipe")
    assert store.rpc("keyring_get_keys") == []


def test_security_keys_of_others_are_told_and_repaired(store, key):
    if "nvmf_subsystem_set_keys" not in store.methods:
        pytest.skip("this target authenticates no hosts")
    other = store.cli.dir / "other.key"
    other.write_text(key_text(secret=SECRET[::-1]))
    other.chmod(0o600)
    answer = store.attach("vm1", "--size", "4M", "--dhchap-key", key, "--dhchap-ctrlr-key", other)
    nqn = answer["data"]["target_nqn"]
    store.rpc("keyring_file_add_key", name="theirs", path=str(other))
    for keys in ({"dhchap_key": "theirs"}, {}):
        store.rpc("nvmf_subsystem_set_keys", nqn=nqn, host=HOST, **keys)
        told = " ".join(store.cli.status()["accelerators"][0]["drift"])
        assert ("has another key" if keys else "needs no key") in told
        store.cli("recover")
        assert store.cli.status()["health"] == "ok"
        assert store.io(answer, "--identify", "--dhchap-key", key, "--dhchap-ctrlr-key",
                        other).returncode == 0
        assert store.io(answer, "--identify", "--dhchap-key", other).returncode == 3
    store.cli("detach", "vm1", "--wipe")


def test_keys_after_the_target_is_gone(store, key):
    if "nvmf_subsystem_set_keys" not in store.methods:
        pytest.skip("this target authenticates no hosts")
    answer = store.attach("vm1", "--size", "4M", "--dhchap-key", key)
    with RpcClient(store.cli.socket()) as rpc:
        rpc.send(json.dumps(rpc.request("spdk_kill_instance", {"sig_name": "SIGKILL"})))
    wait_until(lambda: store.io(answer, "--identify", "--dhchap-key", key).returncode == 0,
               "the export to be back", 60)
    assert store.io(answer, "--identify").returncode == 3
    store.cli("detach", "vm1", "--wipe")


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_both_prove_themselves(store, kind):
    if "nvmf_subsystem_set_keys" not in store.methods:
        pytest.skip("this target authenticates no hosts")
    size = {1: 32, 2: 48, 3: 64}[kind]
    paths = []
    for n in range(2):
        path = store.cli.dir / f"key{n}"
        path.write_text(key_text(f"DHHC-1:0{kind}:", bytes(range(n, n + size))))
        path.chmod(0o600)
        paths.append(path)
    answer = store.attach("vm1", "--size", "4M", "--dhchap-key", paths[0], "--dhchap-ctrlr-key",
                          paths[1])
    wrong = store.io(answer, "--identify", "--dhchap-key", paths[0], "--dhchap-ctrlr-key",
                     paths[0])
    assert wrong.returncode == 3 and "did not prove its own key" in wrong.stderr
    store.cli("detach", "vm1", "--wipe")


@pytest.mark.parametrize("mode, text, code, words", [
    (0o644, key_text(), 3, "chmod 600"),
    (0o600, "password", 2, "DHHC-1:"),
    (0o600, "", 2, "DHHC-1:"),
    (None, "", 4, "No such file"),
])
def test_security_key_files_are_checked(node, program, mode, text, code, words):
    store = Node(node, program)
    store.install("--size", "48M")
    path = node.dir / "host.key"
    if mode is not None:
        path.write_text(text)
        path.chmod(mode)
    failure = store.refused("vm1", "--size", "4M", "--dhchap-key", path)
    assert failure.code == code and words in failure.message
    assert key_text() not in failure.message and store.volumes() == {}


def test_controller_key_needs_the_hosts(node, program):
    store = Node(node, program)
    store.install("--size", "48M")
    path = node.dir / "key"
    path.write_text(key_text())
    path.chmod(0o600)
    failure = store.refused("vm1", "--size", "4M", "--dhchap-ctrlr-key", path)
    assert failure.code == 2 and "give --dhchap-key" in failure.message


# --- vhost-user -----------------------------------------------------------------------------------

def test_vhost_user(store):
    words = ["attach", "vm1", "--size", "4M", "--transport", "vhost-user-blk"]
    if "vhost_create_blk_controller" not in store.methods:
        failure = store.cli.refused(*words)
        assert failure.code == 5 and "vhost_create_blk_controller" in failure.message
        assert store.volumes() == {}
        return
    answer = store.cli(*words)
    assert answer["driver_volume_type"] == "vhost_user_blk"
    assert stat.S_ISSOCK(os.stat(answer["data"]["device_path"]).st_mode)
    assert answer["data"]["size"] == 4 << 20 and answer["attachment"]["host"] == ""
    assert store.cli(*words)["attachment"] == answer["attachment"]
    assert store.cli.status()["health"] == "ok"
    store.rpc("vhost_delete_controller", ctrlr=store.rpc("vhost_get_controllers")[0]["ctrlr"])
    assert "is not exported" in " ".join(store.cli.status()["accelerators"][0]["drift"])
    store.cli("recover")
    assert store.cli.status()["health"] == "ok"
    store.cli("detach", "vm1")
    assert store.rpc("vhost_get_controllers") == []
