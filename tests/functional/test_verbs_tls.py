# SPDX-License-Identifier: Apache-2.0
"""attach --psk: NVMe/TCP with TLS, proved over TLS. On the engine, and on a real SPDK.

See tests/real_spdk.py.
"""

import json

import pytest

import test_verbs_terms
from conftest import RpcClient, free_port, wait_until
from test_verbs_terms import SECRET, key_text
from test_verbs_volumes import HOST, Node

store = test_verbs_terms.store

OTHER = SECRET[::-1]


def write_key(path, kind=1, secret=SECRET, end=""):
    path.write_text(key_text(f"NVMeTLSkey-1:0{kind}:", secret) + end)
    path.chmod(0o600)
    return path


@pytest.fixture
def psk(store):
    if "keyring_file_add_key" not in store.methods:
        pytest.skip("this target has no keyring")
    return write_key(store.cli.dir / "host.psk")


def subsystem(store, answer):
    nqn = answer["data"]["target_nqn"]
    return [s for s in store.rpc("nvmf_get_subsystems") if s["nqn"] == nqn][0]


# --- who may speak --------------------------------------------------------------------------------

def test_life_with_tls(store, psk):
    words = ["vm1", "--size", "4M", "--psk", psk]
    answer = store.attach(*words)
    assert answer["attachment"]["psk"] == str(psk)
    assert f"$(cat {psk})" in answer["command"] and answer["command"].endswith(" --tls")
    assert key_text().split(":")[2] not in str(answer)
    assert store.io(answer, "-w", "verify", "-o", "64K", "--psk", psk).returncode == 0
    assert store.attach(*words)["attachment"] == answer["attachment"]
    assert store.cli.status()["health"] == "ok"
    store.rpc("nvmf_delete_subsystem", nqn=answer["data"]["target_nqn"])
    assert store.cli.status()["health"] != "ok"
    store.cli("recover")
    assert store.cli.status()["health"] == "ok"
    assert store.io(answer, "--identify", "--prove", "--psk", psk).returncode == 0
    store.cli("detach", "vm1", "--wipe")
    assert store.rpc("keyring_get_keys") == [] and store.rpc("nvmf_get_subsystems")[1:] == []


@pytest.mark.parametrize("kind, size", [(0, 32), (0, 48), (2, 48)])
def test_other_kinds_of_keys(store, kind, size):
    path = write_key(store.cli.dir / "psk", kind, bytes(range(size)))
    answer = store.attach("vm1", "--size", "4M", "--psk", path)
    assert store.io(answer, "--identify", "--psk", path).returncode == 0
    store.cli("detach", "vm1", "--wipe")


def test_security_tls_export_needs_the_key(store, psk):
    answer = store.attach("vm1", "--size", "4M", "--psk", psk)
    plain = store.io(answer, "--identify")
    assert plain.returncode == 3 and "psk" not in plain.stdout
    wrong = store.io(answer, "--identify", "--psk", write_key(store.cli.dir / "b", secret=OTHER))
    assert wrong.returncode == 3 and "pre-shared key" in wrong.stderr
    answer["data"]["host_nqn"] = HOST + "-other"
    other = store.io(answer, "--identify", "--psk", psk)
    assert other.returncode == 3 and "pre-shared key" in other.stderr
    store.cli("detach", "vm1", "--wipe")


def test_security_plain_export_does_not_pass_for_tls(store, psk):
    answer = store.attach("vm1", "--size", "4M")
    result = store.io(answer, "--identify", "--psk", psk)
    assert result.returncode == 3 and "TLS" in result.stderr
    store.cli("detach", "vm1", "--wipe")


def test_security_proof_fails_by_another_key(store, psk):
    store.attach("vm1", "--size", "4M", "--psk", psk)
    write_key(psk, secret=OTHER)
    failure = store.refused("vm1", "--size", "4M", "--psk", psk)
    assert "TLS" in failure.message and "pre-shared key" in failure.message
    write_key(psk)
    store.attach("vm1", "--size", "4M", "--psk", psk)
    store.cli("detach", "vm1", "--wipe")


def test_security_listener_without_tls_is_told_and_repaired(store, psk):
    answer = store.attach("vm1", "--size", "4M", "--psk", psk)
    nqn = answer["data"]["target_nqn"]
    where = {"nqn": nqn, "listen_address": subsystem(store, answer)["listen_addresses"][0]}
    store.rpc("nvmf_subsystem_remove_listener", **where)
    store.rpc("nvmf_subsystem_add_listener", **where)
    store.rpc("nvmf_subsystem_remove_host", nqn=nqn, host=HOST)
    store.rpc("nvmf_subsystem_add_host", nqn=nqn, host=HOST)
    assert store.io(answer, "--identify").returncode == 0
    told = " ".join(store.cli.status()["accelerators"][0]["drift"])
    assert "with TLS" in told and "no pre-shared key" in told
    store.cli("recover")
    assert store.cli.status()["health"] == "ok"
    assert store.io(answer, "--identify").returncode == 3
    assert store.io(answer, "--identify", "--psk", psk).returncode == 0
    store.cli("detach", "vm1", "--wipe")


# --- places ---------------------------------------------------------------------------------------

def test_key_that_somebody_took_out_of_the_keyring(store, psk):
    """Hosts that are let in stay so, but what is saved without the key would not start again."""
    answer = store.attach("vm1", "--size", "4M", "--psk", psk)

    def take_out():
        for key in store.rpc("keyring_get_keys"):
            if not key.get("removed"):
                store.rpc("keyring_file_remove_key", name=key["name"])
    take_out()
    assert "is not in the keyring" in str(store.cli.status()["accelerators"][0]["drift"])
    store.cli("recover")
    assert store.cli.status()["health"] == "ok"
    take_out()
    store.cli("update", "a", "--target", store.cli.status()["accelerators"][0]["target"])
    assert store.cli.status()["health"] == "ok"
    assert store.io(answer, "--identify", "--prove", "--psk", psk).returncode == 0
    store.cli("detach", "vm1", "--wipe")


def test_security_port_is_for_tls_or_without(store, psk):
    port = free_port()
    place = ["--listen", f"127.0.0.1:{port}"]
    store.attach("vm1", "--size", "4M", "--psk", psk, *place)
    failure = store.refused("vm2", "--size", "4M", *place)
    assert failure.code == 3 and "with TLS" in failure.message
    second = store.attach("vm3", "--size", "4M", "--psk", psk, *place)
    assert store.io(second, "--identify", "--psk", psk).returncode == 0
    for name in ("vm1", "vm3"):
        store.cli("detach", name, "--wipe")
    store.attach("vm2", "--size", "4M", *place)
    failure = store.refused("vm1", "--size", "4M", "--psk", psk, *place)
    assert "without TLS" in failure.message
    store.cli("detach", "vm2", "--wipe")


def test_after_the_target_is_gone(store, psk):
    answer = store.attach("vm1", "--size", "4M", "--psk", psk)
    with RpcClient(store.cli.socket()) as rpc:
        rpc.send(json.dumps(rpc.request("spdk_kill_instance", {"sig_name": "SIGKILL"})))
    wait_until(lambda: store.io(answer, "--identify", "--psk", psk).returncode == 0,
               "the export to be back", 60)
    assert store.io(answer, "--identify").returncode == 3
    store.cli("detach", "vm1", "--wipe")


# --- with the other terms -------------------------------------------------------------------------

def test_tls_and_authentication(store, psk):
    key = store.cli.dir / "host.key"
    key.write_text(key_text())
    key.chmod(0o600)
    words = ["vm1", "--size", "4M", "--psk", psk, "--dhchap-key", key]
    if "nvmf_subsystem_set_keys" not in store.methods:
        failure = store.refused(*words)
        assert failure.code == 5 and "nvmf_subsystem_set_keys" in failure.message
        return
    answer = store.attach(*words)
    without = store.io(answer, "--identify", "--psk", psk)
    assert without.returncode == 3 and "to authenticate" in without.stderr
    both = store.io(answer, "--identify", "--psk", psk, "--dhchap-key", key)
    assert both.returncode == 0
    store.cli("detach", "vm1", "--wipe")


def test_vhost_takes_no_key(store, psk):
    failure = store.cli.refused("attach", "vm1", "--size", "4M", "--transport", "vhost-user-blk",
                                "--psk", psk)
    assert failure.code == 2 and "keys are for" in failure.message


def test_line_end_behind_the_key(store):
    path = write_key(store.cli.dir / "psk", end="\n")
    if store.is_engine:
        answer = store.attach("vm1", "--size", "4M", "--psk", path)
        assert store.io(answer, "--identify", "--psk", path).returncode == 0
        return
    failure = store.refused("vm1", "--size", "4M", "--psk", path)
    assert failure.code == 2 and "end of line" in failure.message
    assert store.volumes() == {}


@pytest.mark.parametrize("mode, text, code, words", [
    (0o640, key_text("NVMeTLSkey-1:01:"), 3, "chmod 600"),
    (0o600, key_text(), 2, "NVMeTLSkey-1:"),
    (0o600, key_text("NVMeTLSkey-1:02:"), 2, "length of its hash"),
    (0o600, key_text("NVMeTLSkey-1:01:").replace("AAEC", "AAED"), 2, "CRC-32"),
])
def test_security_psk_files_are_checked(node, program, mode, text, code, words):
    a_store = Node(node, program)
    a_store.install("--size", "48M")
    path = node.dir / "psk"
    path.write_text(text)
    path.chmod(mode)
    failure = a_store.refused("vm1", "--size", "4M", "--psk", path)
    assert failure.code == code and words in failure.message
    assert "AwQF" not in failure.message and a_store.volumes() == {}
