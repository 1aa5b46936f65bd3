# SPDX-License-Identifier: Apache-2.0
"""Configurations: saved, loaded at start, refused with the place of what is wrong."""

import json
import os
import subprocess

import pytest

from conftest import free_port

NQN = "nqn.2016-06.io.spdk:cnode1"


def save(client):
    """What SPDK's save_config writes."""
    return {"subsystems": [
        {"subsystem": s["subsystem"],
         "config": client.call("framework_get_config", name=s["subsystem"])}
        for s in client.call("framework_get_subsystems")]}


def write(path, config):
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return path


def of_bdev(*methods):
    return {"subsystems": [{"subsystem": "bdev", "config": list(methods)}]}


def null_bdev(name, **params):
    return {"method": "bdev_null_create",
            "params": {"name": name, "num_blocks": 100, "block_size": 512, **params}}


def fill(client, folder, port):
    """Something of everything that is saved."""
    for name in ("file0", "file1"):
        with open(folder / name, "wb") as f:
            f.truncate(1 << 20)
    client.call("bdev_null_create", name="null0", num_blocks=100, block_size=4096,
                physical_block_size=4096)
    client.call("bdev_malloc_create", name="m0", num_blocks=100, block_size=512,
                uuid="11111111-2222-4333-8444-555555555555", optimal_io_boundary=8)
    client.call("bdev_uring_create", name="u0", filename=str(folder / "file0"), block_size=512)
    client.call("bdev_aio_create", name="a0", filename=str(folder / "file1"), block_size=4096,
                readonly=True)
    client.call("nvmf_create_transport", trtype="TCP", in_capsule_data_size=8192, c2h_success=False)
    client.call("nvmf_create_subsystem", nqn=NQN, serial_number="SN1", model_number="M1",
                max_namespaces=8, min_cntlid=5, max_cntlid=50)
    client.call("nvmf_create_subsystem", nqn=NQN + "2", allow_any_host=True)
    client.call("nvmf_subsystem_add_host", nqn=NQN, host="nqn.2016-06.io.spdk:host1")
    client.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m0", "nsid": 3})
    client.call("nvmf_subsystem_add_ns", nqn=NQN,
                namespace={"bdev_name": "u0", "no_auto_visible": True})
    client.call("nvmf_ns_add_host", nqn=NQN, nsid=1, host="nqn.2016-06.io.spdk:host1")
    client.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address={
        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)})
    client.call("nvmf_discovery_add_referral", address={
        "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": "8010"})


def test_round_trip(target_factory, tmp_path):
    first = target_factory()
    client = first.client()
    fill(client, tmp_path, free_port())
    saved = save(client)
    bdevs, subsystems = client.call("bdev_get_bdevs"), client.call("nvmf_get_subsystems")
    first.check()
    second = target_factory("-c", write(tmp_path / "config.json", saved)).client()
    assert save(second) == saved
    assert sorted(second.call("bdev_get_bdevs"), key=lambda b: b["name"]) == sorted(
        bdevs, key=lambda b: b["name"])
    assert second.call("nvmf_get_subsystems") == subsystems


@pytest.mark.target_options("--wait-for-rpc")
def test_round_trip_of_start_up_options(target, target_factory, tmp_path):
    client = target.client()
    client.call("bdev_set_options", bdev_io_pool_size=10000, bdev_io_cache_size=10)
    client.call("iobuf_set_options", small_pool_count=100, large_pool_count=10)
    client.call("nvmf_set_config", discovery_filter="address")
    client.call("nvmf_set_max_subsystems", max_subsystems=17)
    client.call("nvmf_set_crdt", crdt1=1, crdt2=2, crdt3=3)
    client.call("framework_start_init")
    saved = save(client)
    second = target_factory("--json", write(tmp_path / "config.json", saved)).client()
    assert save(second) == saved
    assert {"method": "nvmf_set_max_subsystems", "params": {"max_subsystems": 17}} in next(
        s["config"] for s in saved["subsystems"] if s["subsystem"] == "nvmf")


def private(path, flags):
    return os.open(path, flags, 0o600)


def test_configuration_of_spdk(target_factory, reference, tmp_path):
    """What SPDK 26.05 saved loads, when it holds but the methods that are here."""
    with open(reference / "transcripts" / "config_rich.json", encoding="utf-8") as f:
        config = json.load(f)
    target = target_factory()
    known = set(target.call("rpc_get_methods"))
    left_out = {"bdev_delay_create", "bdev_split_create", "bdev_error_create",
                "bdev_passthru_create",
                "vhost_create_blk_controller", "vhost_controller_set_coalescing"} - known
    port = free_port()
    for subsystem in config["subsystems"]:
        subsystem["config"] = subsystem["config"] and [
            m for m in subsystem["config"] if m["method"] not in left_out
            and m.get("params", {}).get("namespace", {}).get("bdev_name") in (None, "null2")]
        for method in subsystem["config"] or ():
            params = method.get("params", {})
            if method["method"] == "keyring_file_add_key":
                params["path"] = str(tmp_path / params["name"])
                with open(params["path"], "w", opener=private) as f:
                    f.write("NVMeTLSkey-1:01:VRLbtnN9AQb2WXW3c9+wEf/DRLz0QuLdbYvEhwtdWwNf9LrZ:")
            if "filename" in params:
                params["filename"] = str(tmp_path / params["filename"])
                with open(params["filename"], "wb") as f:
                    f.truncate(1 << 20)
            if "ptpl_file" in params.get("namespace", {}):
                del params["namespace"]["ptpl_file"]
            if "listen_address" in params:
                params["listen_address"]["trsvcid"] = str(port)
                port += 1
    loaded = target_factory("-c", write(tmp_path / "config.json", config))
    assert {b["name"] for b in loaded.call("bdev_get_bdevs")} == {
        "null0", "null2", "mal0", "mal1", "mal2", "aio0", "aio1", "ur0"}
    assert [s["nqn"] for s in loaded.call("nvmf_get_subsystems")][1:] == [
        "nqn.2016-06.io.spdk:cnode1", "nqn.2016-06.io.spdk:cnode2"]
    assert "sock_impl_set_options sets a part that this target does not have: left out" in loaded.log


def test_batches_in_a_configuration(target_factory, tmp_path):
    config = of_bdev([null_bdev("a"), null_bdev("b")], null_bdev("c"), [])
    target = target_factory("-c", write(tmp_path / "config.json", config))
    assert [b["name"] for b in target.call("bdev_get_bdevs")] == ["a", "b", "c"]


def start_fails(program, tmp_path, config, *options):
    """A start with a configuration that is refused: its words."""
    if config is not None:
        write(tmp_path / "config.json", config)
    sock = tmp_path / "sock"
    done = subprocess.run([program("cyborg-spdk-tgt"), "-r", sock, "-c", tmp_path / "config.json",
                           *options], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert not sock.exists() and not (tmp_path / "sock.lock").exists()
    return done.stderr


@pytest.mark.parametrize("config, words", [
    (of_bdev(null_bdev("a"), null_bdev("a")),
     "subsystem bdev: method bdev_null_create: "),
    (of_bdev(null_bdev("a", num_blocks=-1)),
     'subsystem bdev: method bdev_null_create: bdev_null_create: parameter "num_blocks" is -1'),
    (of_bdev({"method": "no_such_method"}),
     "subsystem bdev: method no_such_method: Method not found"),
    (of_bdev({"method": "bdev_null_create", "params": []}),
     'method bdev_null_create: "params" must be an object'),
    (of_bdev({"params": {}}), 'must be an object with a "method"'),
    ({"subsystems": [{"config": []}]}, 'each subsystem must be an object with "subsystem"'),
    ({"subsystems": {}}, 'a configuration is an object with "subsystems", an array'),
    ("[]", 'a configuration is an object with "subsystems", an array'),
    ('{"subsystems": [', "the JSON text ends too early"),
    ("", "the JSON text ends too early"),
    ('{"subsystems": }', "JSON byte 16: found '}'"),
    ('{"subsystems": []} x', "there is text behind the configuration"),
    (None, "No such file or directory"),
])
def test_refused_configurations(program, tmp_path, config, words):
    log = start_fails(program, tmp_path, config)
    assert words in log and str(tmp_path / "config.json") in log


def test_pipe_that_nobody_writes_to(program, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    done = subprocess.run([program("cyborg-spdk-tgt"), "-r", tmp_path / "sock", "-c",
                           tmp_path / "pipe"], stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)
    assert done.returncode == 1 and "nothing came from it" in done.stderr


def test_pipe_with_a_slow_writer(target_factory):
    # What the target inherits of the test; the writer comes bit by bit, from another process.
    read, write_end = os.pipe()
    text = json.dumps(of_bdev(null_bdev("a")))
    writer = subprocess.Popen(["/bin/sh", "-c", 'printf %s "$1"; sleep 0.2; printf %s "$2"', "sh",
                               text[:20], text[20:]], stdout=write_end)
    os.close(write_end)
    target = target_factory("-c", f"/proc/{os.getpid()}/fd/{read}")
    assert [b["name"] for b in target.call("bdev_get_bdevs")] == ["a"]
    os.close(read)
    assert writer.wait() == 0


def test_errors_ignored(target_factory, tmp_path):
    config = of_bdev(null_bdev("a"), {"method": "no_such_method"}, null_bdev("a"), null_bdev("b"))
    target = target_factory("--json-ignore-init-errors", "-c",
                            write(tmp_path / "config.json", config))
    assert [b["name"] for b in target.call("bdev_get_bdevs")] == ["a", "b"]
    assert "2 methods failed, the rest is loaded" in target.log


def test_large_configuration(target_factory, tmp_path):
    config = of_bdev(*(null_bdev(f"null{i}") for i in range(2000)))
    target = target_factory("-c", write(tmp_path / "config.json", config))
    assert len(target.call("bdev_get_bdevs")) == 2000
