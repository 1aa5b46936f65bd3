# SPDX-License-Identifier: Apache-2.0
"""Methods: names, parameters, states, and what they do to each other."""

import json
import os
import signal
import time

import pytest

from conftest import RpcError, free_port, wait_until

NQN = "nqn.2016-06.io.spdk:cnode1"
HOST = "nqn.2016-06.io.spdk:host1"


def listen_address(port):
    return {"trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)}


@pytest.fixture
def listen_port():
    return free_port()


@pytest.fixture
def subsystem(rpc):
    """A subsystem with a namespace on malloc bdev m0."""
    rpc.call("nvmf_create_transport", trtype="TCP")
    rpc.call("bdev_malloc_create", name="m0", num_blocks=2048, block_size=512)
    rpc.call("nvmf_create_subsystem", nqn=NQN, serial_number="SN1")
    assert rpc.call("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "m0"}) == 1
    return NQN


# --- the framework ----------------------------------------------------------------------------

def test_version(rpc):
    version = rpc.call("spdk_get_version")
    assert version["version"].startswith("SPDK v26.05-cyborg-spdk-")
    assert version["fields"]["major"] == 26 and version["fields"]["minor"] == 5
    assert rpc.call("get_spdk_version") == version


def test_old_names(rpc, reference):
    """Methods that SPDK renamed answer under both names."""
    methods = rpc.call("rpc_get_methods", include_aliases=True)
    assert len(set(methods)) == len(methods)
    for new, old in (("bdev_get_bdevs", "get_bdevs"), ("bdev_malloc_create", "construct_malloc_bdev"),
                     ("bdev_malloc_delete", "delete_malloc_bdev"),
                     ("bdev_aio_create", "construct_aio_bdev"),
                     ("bdev_lvol_clone", "clone_lvol_bdev"),
                     ("bdev_lvol_delete", "destroy_lvol_bdev"),
                     ("nvmf_create_subsystem", "nvmf_subsystem_create"),
                     ("nvmf_delete_subsystem", "delete_nvmf_subsystem"),
                     ("nvmf_get_subsystems", "get_nvmf_subsystems"),
                     ("rpc_get_methods", "get_rpc_methods"),
                     ("log_set_level", "set_log_level"),
                     ("framework_get_config", "get_subsystem_config"),
                     ("spdk_kill_instance", "kill_instance")):
        assert new in methods and old in methods
    with open(reference / "spdk-26.05-rpc-schema.json", encoding="utf-8") as f:
        known = {method["name"] for method in json.load(f)["methods"]}
    assert set(rpc.call("rpc_get_methods")) <= known


def test_parameters_of_the_schema(rpc, reference):
    """Every parameter that SPDK's schema has for a method is known to ours."""
    with open(reference / "spdk-26.05-rpc-schema.json", encoding="utf-8") as f:
        schema = {method["name"]: method["params"] for method in json.load(f)["methods"]}
    skip = {"framework_set_scheduler"}
    for name in set(rpc.call("rpc_get_methods", current=True)) - skip:
        for param in schema[name]:
            # Of a kind that no parameter has: what is refused is its value, never its name.
            answer = rpc.call_raw(name, {param["name"]: [[]]})
            if name == "framework_get_subsystems":
                continue
            assert "unknown parameter" not in answer.get("error", {}).get("message", ""), answer


@pytest.mark.target_options("--wait-for-rpc")
def test_states(rpc, target):
    assert rpc.error("bdev_get_bdevs").code == -1
    assert rpc.error("framework_get_reactors").code == -1
    assert "bdev_get_bdevs" not in rpc.call("rpc_get_methods", current=True)
    rpc.send('{"method":"framework_wait_init","id":"w"}')
    other = target.client()
    assert other.call("framework_start_init") is True
    assert rpc.receive() == {"jsonrpc": "2.0", "id": "w", "result": True}
    assert rpc.call("bdev_get_bdevs") == []
    error = rpc.error("bdev_set_options", bdev_io_pool_size=65536)
    assert error.code == -1 and "--wait-for-rpc" in error.message
    assert rpc.call("framework_wait_init") is True


@pytest.mark.target_options("--wait-for-rpc")
def test_start_up_options(rpc):
    assert rpc.call("nvmf_set_max_subsystems", max_subsystems=2) is True
    assert "already" in rpc.error("nvmf_set_max_subsystems", max_subsystems=3).message
    error = rpc.error("bdev_set_options", bdev_io_pool_size=10, bdev_io_cache_size=256)
    assert error.code == -32602
    assert error.message.startswith("Pool size 10 too small for cache size 256")
    assert rpc.error("bdev_set_options", bdev_auto_examine=False).code == -32602
    assert rpc.error("iobuf_set_options", small_pool_count=1).code == -22
    assert rpc.call("iobuf_set_options", small_pool_count=100) is True
    assert "address and svcid" in rpc.error("nvmf_set_config", discovery_filter="all").message
    assert rpc.call("nvmf_set_config", discovery_filter="transport,svcid") is True
    assert rpc.error("nvmf_set_config",
                     admin_cmd_passthru={"sanitize": True}).message.count("not passed on") == 1
    assert rpc.call("nvmf_set_crdt", crdt1=1, crdt3=3) is True
    rpc.call("framework_start_init")
    config = rpc.call("framework_get_config", name="nvmf")
    assert config[0]["params"]["discovery_filter"] == "transport,svcid"
    assert config[1]["params"] == {"max_subsystems": 2}
    assert config[2]["params"] == {"crdt1": 1, "crdt2": 0, "crdt3": 3}
    assert rpc.call("framework_get_config", name="iobuf")[0]["params"]["small_pool_count"] == 100


@pytest.mark.target_options("--wait-for-rpc")
@pytest.mark.parametrize("filters, saved", [
    ([], "match_any"), (["address"], "address"), (["transport", "svcid"], "transport,svcid")])
def test_discovery_filters_of_later_releases(rpc, filters, saved):
    assert rpc.call("nvmf_set_config", discovery_filters=filters) is True
    error = rpc.error("nvmf_set_config", discovery_filters=["all"])
    assert "transport, address, svcid" in error.message
    rpc.call("framework_start_init")
    config = rpc.call("framework_get_config", name="nvmf")
    assert config[0]["params"]["discovery_filter"] == saved


@pytest.mark.target_options("--rpcs-allowed", "spdk_get_version,bdev_get_bdevs,rpc_get_methods")
def test_rpcs_allowed(rpc):
    assert rpc.call("bdev_get_bdevs") == []
    assert rpc.error("bdev_malloc_create", num_blocks=1, block_size=512).code == -32601
    assert sorted(rpc.call("rpc_get_methods")) == ["bdev_get_bdevs", "rpc_get_methods",
                                                   "spdk_get_version"]


def test_log(rpc):
    assert rpc.call("log_set_level", level="ERROR") is True
    assert rpc.call("log_get_level") == "ERROR"
    error = rpc.error("log_set_level", level="debug")
    assert error.code == -32603 and "ERROR, WARNING, NOTICE, INFO, DEBUG" in error.message
    assert rpc.call("log_set_flag", flag="rpc") is True
    assert rpc.call("log_get_flags")["rpc"] is True
    assert rpc.call("log_clear_flag", flag="all") is True
    assert rpc.call("log_get_flags")["rpc"] is False
    assert '"nope"' in rpc.error("log_set_flag", flag="nope").message


def test_log_timestamps(rpc, target):
    rpc.call("log_enable_timestamps", enabled=False)
    rpc.call("log_set_print_level", level="INFO")
    rpc.call("log_set_flag", flag="rpc")
    rpc.error("bdev_get_bdevs", name="nobody")
    assert target.log.splitlines()[-1].startswith("cyborg-spdk-tgt: ")
    rpc.call("log_enable_timestamps", enabled=True)
    rpc.error("bdev_get_bdevs", name="nobody")
    assert target.log.splitlines()[-1].startswith("[2")
    assert '"enabled"' in rpc.error("log_enable_timestamps").message
    assert rpc.error("log_enable_timestamps", enabled="no").code == -32602


def test_core_locks(target_factory):
    core = "0x%x" % (1 << min(os.sched_getaffinity(0)))
    first, second = (target_factory("-m", core, "--disable-cpumask-locks") for _ in range(2))
    try:
        assert first.call("framework_enable_cpumask_locks") is True
    except RpcError as error:
        assert error.code == -32603 and "is held by another" in error.message
        pytest.skip(error.message)
    assert first.call("framework_enable_cpumask_locks") is True
    with second.client() as rpc:
        error = rpc.error("framework_enable_cpumask_locks")
        assert error.code == -32603 and error.message.startswith("Failed to claim CPU core: ")
        assert "is held by another" in error.message and ".lock" in error.message
        assert rpc.call("framework_disable_cpumask_locks") is True
        assert rpc.error("framework_enable_cpumask_locks").code == -32603
        assert first.call("framework_disable_cpumask_locks") is True
        assert rpc.call("framework_enable_cpumask_locks") is True
        assert rpc.call("framework_disable_cpumask_locks") is True


def test_context_switches_are_told(rpc, target):
    method = "framework_monitor_context_switch"
    assert rpc.call(method) == {"enabled": False}
    rpc.call("log_set_print_level", level="INFO")
    rpc.call("log_set_flag", flag="reactor")
    assert rpc.call(method, enabled=True) == {"enabled": True}
    assert rpc.call(method) == {"enabled": True}
    wait_until(lambda: "context switches in the last second" in target.log, "a line in the log")
    assert rpc.call(method, enabled=False) == {"enabled": False}
    assert rpc.call("framework_get_governor") == {}
    assert rpc.call(method, enabled=True) == {"enabled": True} # leaving stops it


def test_reactors(rpc, target):
    reactors = rpc.call("framework_get_reactors")
    assert reactors["pid"] == target.pid and reactors["tick_rate"] > 0
    busy = reactors["reactors"][0]
    assert busy["tid"] == target.pid and busy["busy"] + busy["idle"] > 0
    threads = rpc.call("thread_get_stats")["threads"]
    assert len(threads) == len(reactors["reactors"])
    assert rpc.call("iobuf_get_stats")[0]["small_pool"]["total"] > 0


# --- bdevs ------------------------------------------------------------------------------------

def test_bdevs_and_notifications(rpc):
    assert rpc.call("bdev_malloc_create", num_blocks=8, block_size=512) == "Malloc0"
    assert rpc.call("bdev_null_create", name="n", num_blocks=100, block_size=4096) == "n"
    assert rpc.call("bdev_null_resize", name="n", new_size=4) is True
    assert rpc.call("bdev_get_bdevs", name="n")[0]["num_blocks"] == 1024
    assert rpc.call("bdev_null_delete", name="n") is True
    notes = rpc.call("notify_get_notifications")
    assert [(n["type"], n["ctx"], n["id"]) for n in notes] == [
        ("bdev_register", "Malloc0", 0), ("bdev_register", "n", 1), ("bdev_resize", "n", 2),
        ("bdev_unregister", "n", 3)]
    assert rpc.call("notify_get_notifications", id=2, max=1) == [notes[2]]


def test_refused_bdevs(rpc):
    error = rpc.error("bdev_null_create", name="n", num_blocks="9", block_size=512)
    assert error.code == -32603
    assert error.message == ('bdev_null_create: parameter "num_blocks" is "9"; it must be a whole '
                             "number from 0 to 18446744073709551615")
    assert rpc.error("bdev_null_create", name="n", num_blocks=9, block_size=0).code == -22
    assert "missing" in rpc.error("bdev_null_create", name="n", num_blocks=9).message
    assert rpc.error("bdev_null_delete", name="n").code == -19
    rpc.call("bdev_null_create", name="n", num_blocks=9, block_size=512)
    assert rpc.error("bdev_null_create", name="n", num_blocks=9, block_size=512).code == -17
    assert rpc.error("bdev_malloc_delete", name="n").code == -19
    assert rpc.error("bdev_examine", name="n").code == -22
    assert rpc.error("bdev_get_bdevs", name="x", timeout=10).code == -110


@pytest.mark.parametrize("kind", ["aio", "uring"])
def test_files(rpc, target, kind):
    path = target.dir / "file"
    with open(path, "wb") as f:
        f.truncate(1 << 20)
    assert rpc.call(f"bdev_{kind}_create", name="f", filename=str(path), block_size=512) == "f"
    with open(path, "r+b") as f:
        f.truncate(2 << 20)
    assert rpc.call(f"bdev_{kind}_rescan", name="f") is True
    assert rpc.call("bdev_get_bdevs", name="f")[0]["num_blocks"] == 4096
    assert rpc.call(f"bdev_{kind}_delete", name="f") is True
    error = rpc.error(f"bdev_{kind}_create", name="f", filename="/nonexistent", block_size=512)
    assert error.code == (-2 if kind == "aio" else -32603) and "/nonexistent" in error.message


def test_iostat(rpc):
    for name in ("m0", "m1"):
        rpc.call("bdev_malloc_create", name=name, num_blocks=8, block_size=512)
    assert [b["name"] for b in rpc.call("bdev_get_iostat")["bdevs"]] == ["m0", "m1"]
    assert [b["name"] for b in rpc.call("bdev_get_iostat", names=["m1"])["bdevs"]] == ["m1"]
    assert [b["name"] for b in rpc.call("bdev_get_iostat", name="m1")["bdevs"]] == ["m1"]
    assert rpc.error("bdev_get_iostat", names=["m0", "x"]).code == -19
    assert rpc.error("bdev_get_iostat", per_channel=True).code == -22
    assert rpc.call("bdev_get_iostat", names=["m0"], per_channel=True)["channels"] == []
    assert rpc.call("bdev_reset_iostat") is True
    assert rpc.call("bdev_reset_iostat", name="m0", mode="error") is True
    assert rpc.error("bdev_reset_iostat", mode="some").code == -32603


def test_iostat_while_bdevs_go(rpc):
    """Requests in flight on a bdev that is being deleted are answered, and so is the deletion."""
    for i in range(20):
        rpc.call("bdev_malloc_create", name="m", num_blocks=8, block_size=512)
        answers = rpc.batch([("bdev_get_iostat", None), ("bdev_malloc_delete", {"name": "m"}),
                             ("bdev_get_iostat", None), ("bdev_get_bdevs", None)])
        assert answers[1].get("result") is True, answers
        assert all("result" in answer for answer in answers), (i, answers)


# --- NVMe-oF ----------------------------------------------------------------------------------

def test_transport(rpc):
    assert rpc.call("nvmf_create_transport", trtype="tcp", max_qpairs_per_ctrlr=5) is True
    assert rpc.call("nvmf_get_transports")[0]["max_io_qpairs_per_ctrlr"] == 4
    assert rpc.error("nvmf_create_transport", trtype="TCP").code == -32603
    assert rpc.error("nvmf_create_transport", trtype="RDMA").code == -32602
    assert rpc.error("nvmf_create_transport", trtype="TCP", max_queue_depth=65536).code == -32602
    assert rpc.error("nvmf_get_transports", trtype="RDMA").code == -19


def test_subsystem(rpc, subsystem, listen_port):
    where = listen_address(listen_port)
    assert rpc.call("nvmf_subsystem_add_host", nqn=NQN, host=HOST) is True
    assert rpc.error("nvmf_subsystem_add_host", nqn=NQN, host=HOST).code == -32603
    error = rpc.error("nvmf_subsystem_add_host", nqn=NQN, host=HOST + "2", psk="key0")
    assert error.code == -32603 and "no key 'key0'" in error.message
    error = rpc.error("nvmf_subsystem_add_host", nqn=NQN, host=HOST + "2", dhchap_key="key0")
    assert error.code == -32602 and '"dhchap_key"' in error.message
    assert rpc.call("nvmf_subsystem_add_listener", nqn=NQN, listen_address=where) is True
    assert rpc.error("nvmf_subsystem_add_listener", nqn=NQN, listen_address=where).code == -32602
    shown = rpc.call("nvmf_get_subsystems", nqn=NQN)[0]
    assert shown["listen_addresses"] == [where]
    assert shown["hosts"] == [{"nqn": HOST}]
    assert shown["namespaces"][0]["bdev_name"] == "m0"
    assert rpc.call("nvmf_subsystem_remove_listener", nqn=NQN, listen_address=where) is True
    assert rpc.call("nvmf_subsystem_remove_host", nqn=NQN, host=HOST) is True
    assert rpc.call("nvmf_subsystem_remove_ns", nqn=NQN, nsid=1) is True
    assert rpc.call("nvmf_delete_subsystem", nqn=NQN) is True
    assert rpc.error("nvmf_get_subsystems", nqn=NQN).code == -19


def test_refused_subsystems(rpc, subsystem):
    assert rpc.error("nvmf_create_subsystem", nqn="bad").code == -32603
    assert rpc.error("nvmf_create_subsystem", nqn=NQN).code == -32603
    other = "nqn.2016-06.io.spdk:cnode2"
    assert rpc.error("nvmf_create_subsystem", nqn=other, serial_number="x" * 21).code == -32602
    assert rpc.error("nvmf_create_subsystem", nqn=other, min_cntlid=0).code == -32602
    assert rpc.error("nvmf_create_subsystem", nqn=other, tgt_name="x").code == -32603
    namespace = {"bdev_name": "m0"}
    error = rpc.error("nvmf_subsystem_add_ns", nqn=NQN, namespace={**namespace, "nguid": "xyz"})
    assert error.code == -32602
    assert 'in "namespace": parameter "nguid" is "xyz"' in error.message
    assert rpc.error("nvmf_subsystem_add_ns", nqn=NQN, namespace={"bdev_name": "x"}).code == -32602
    error = rpc.error("nvmf_subsystem_add_listener", nqn=NQN,
                      listen_address={**listen_address(1), "trsvcid": 4420})
    assert 'in "listen_address": parameter "trsvcid" is 4420' in error.message
    error = rpc.error("nvmf_subsystem_add_listener", nqn=NQN, ana_state="best",
                      listen_address=listen_address(1))
    assert "one of optimized, non_optimized, inaccessible" in error.message


def test_bdev_in_use_is_deleted(rpc, subsystem):
    """Its namespace goes with it."""
    assert rpc.call("bdev_malloc_delete", name="m0") is True
    assert rpc.call("nvmf_get_subsystems", nqn=NQN)[0]["namespaces"] == []
    assert rpc.call("bdev_get_bdevs") == []


def test_targets(rpc):
    assert rpc.call("nvmf_create_target", name="t2", max_subsystems=4) == "t2"
    assert rpc.error("nvmf_create_target", name="t2").code == -32602
    assert sorted(rpc.call("nvmf_get_targets")) == ["nvmf_tgt", "t2"]
    assert rpc.call("nvmf_create_transport", trtype="TCP", tgt_name="t2") is True
    assert rpc.call("nvmf_create_subsystem", nqn=NQN, tgt_name="t2") is True
    assert rpc.error("nvmf_get_subsystems", nqn=NQN).code == -19
    assert rpc.call("nvmf_delete_target", name="t2") is True
    assert rpc.error("nvmf_delete_target", name="t2").code == -32602


# --- leaving ----------------------------------------------------------------------------------

def wait_gone(target):
    deadline = time.monotonic() + 30
    while target.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    return target.process.poll()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_kill_instance(target_factory, name):
    target = target_factory()
    client = target.client()
    assert client.error("spdk_kill_instance", sig_name="TERM").code == -32602
    assert client.call("spdk_kill_instance", sig_name=name) is True
    assert wait_gone(target) == 0
    assert not target.sock.exists() and not os.path.exists(f"{target.sock}.lock")


def test_signal_while_requests_wait(target_factory):
    target = target_factory()
    client = target.client()
    client.send('{"method":"bdev_get_bdevs","params":{"name":"x","timeout":3600000},"id":1}')
    other = target.client()
    other.call("log_get_level")
    target.process.send_signal(signal.SIGTERM)
    assert client.receive()["error"]["code"] == -125
    assert wait_gone(target) == 0
