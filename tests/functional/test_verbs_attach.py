# SPDX-License-Identifier: Apache-2.0
"""attach and detach on real programs; status when things went wrong."""

import json
import os
import signal
import subprocess

import pytest

from conftest import Cli, RpcClient, free_port, wait_for_end, wait_until
from nvme_tcp import Controller

HOST = "nqn.2016-06.io.spdk:host1"


def subsystem(cli, nqn, accelerator="a"):
    with RpcClient(cli.socket(accelerator)) as rpc:
        found = [s for s in rpc.call("nvmf_get_subsystems") if s["nqn"] == nqn]
    return found[0] if found else None


def identify(program, data, host, *more):
    address, port, _ = data["portals"][0]
    return subprocess.run(
        [program("cyborg-spdk-perf"), "--identify", "--hostnqn", host, "-r",
         f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} subnqn:{data['target_nqn']}",
         *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_answer_has_the_form_of_os_brick(installed):
    answer = installed("attach", "--instance", "vm1", "--host", HOST)
    data = answer["data"]
    assert answer["driver_volume_type"] == "nvmeof"
    assert data["host_nqn"] == HOST and data["ns_id"] == 1
    assert data["portals"][0][0] == "127.0.0.1" and data["portals"][0][2] == "tcp"
    assert data["vol_uuid"] == installed.status()["accelerators"][0]["uuid"]
    assert data["access_mode"] == "rw"
    assert f"-n {data['target_nqn']} -q {HOST}" in answer["command"]


def test_only_that_host_is_allowed(installed, program):
    data = installed("attach", "vm1", "--host", HOST)["data"]
    s = subsystem(installed, data["target_nqn"])
    assert s["allow_any_host"] is False and [h["nqn"] for h in s["hosts"]] == [HOST]
    assert identify(program, data, HOST).returncode == 0
    assert identify(program, data, HOST + "x").returncode != 0


def test_same_call_gives_the_same_answer(installed):
    first = installed("attach", "vm1", "--host", HOST)
    second = installed("attach-instance", "vm1", "--host", HOST, "--accelerator", "a")
    for answer in (first, second):
        answer.pop("proof_ns")
    assert first == second
    installed("detach", "vm1")
    again = installed("attach", "vm1", "--host", HOST)
    assert again["data"]["target_nqn"] == first["data"]["target_nqn"]
    assert again["attachment"]["serial"] == first["attachment"]["serial"]


def test_instance_stays_with_its_host(installed):
    installed("attach", "vm1", "--host", HOST)
    failure = installed.refused("attach", "vm1", "--host", HOST + "2")
    assert failure.code == 3 and "detach it first" in failure.message
    failure = installed.refused("attach", "vm1", "--host", HOST, "--listen", "127.0.0.2")
    assert failure.code == 3


def test_second_instance_is_refused(installed):
    installed("attach", "vm1", "--host", HOST)
    failure = installed.refused("attach", "vm2", "--host", HOST, "--accelerator", "a")
    assert failure.code == 3 and "attached to instance vm1" in failure.message
    failure = installed.refused("attach", "vm2", "--host", HOST)
    assert failure.code == 3 and "all 1 accelerators that are attached whole" in failure.message


def test_free_accelerator_is_found(installed):
    installed("install", "b", "--memory", "4M")
    failure = installed.refused("attach", "vm1", "--host", HOST)
    assert failure.code == 2 and "--accelerator" in failure.message
    first = installed("attach", "vm1", "--host", HOST, "--accelerator", "b")
    second = installed("attach", "vm2", "--host", HOST)
    assert second["attachment"]["accelerator"] == "a"
    assert first["data"]["portals"] != second["data"]["portals"]


def test_listen_and_port(installed, program):
    port = free_port()
    data = installed("attach", "vm1", "--host", HOST, "--listen", f"127.0.0.2:{port}")["data"]
    assert data["portals"] == [["127.0.0.2", str(port), "tcp"]]
    assert identify(program, data, HOST).returncode == 0


def test_address_has_one_spelling(installed):
    """By which the same call again, drift, and the listeners of a port are compared."""
    words = ["attach", "vm1", "--host", HOST, "--listen"]
    port = free_port()
    data = installed(*words, f"[0:0:0:0::1]:{port}")["data"]
    assert data["portals"] == [["::1", str(port), "tcp"]]
    assert installed(*words, f"[::0:1]:{port}")["data"] == data
    assert installed.status()["health"] == "ok"


def test_store_alone_is_told(node):
    node("install", "s", "--backing", node.dir / "store", "--size", "16M", "--store", "s")
    failure = node.refused("attach", "vm1", "--host", HOST)
    assert failure.code == 2 and "--size SIZE for a new volume" in failure.message


def test_two_nodes_do_not_fight_for_a_port(node, program):
    """Each chooses the first free port, and only one gets it."""
    clis = [node] + [Cli(program("cyborg-spdk")) for _ in range(5)]
    try:
        for cli in clis:
            cli("install", "a", "--memory", "2M")
        calls = [subprocess.Popen([cli.program, "attach", "vm1", "--host", HOST, "--json"],
                                  env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                 for cli in clis]
        answers = [call.communicate() for call in calls]
        assert [call.returncode for call in calls] == [0] * len(clis), answers
        ports = {json.loads(out)["attachment"]["port"] for out, _ in answers}
        assert len(ports) == len(clis)
        assert all(cli.status()["health"] == "ok" for cli in clis)
        for cli in clis:
            cli("detach", "vm1")
            cli("uninstall", "a")
    finally:
        for cli in clis[1:]:
            cli.remove()


@pytest.mark.parametrize("words, code, text", [
    (["--listen", "0.0.0.0"], 2, "every address"),
    (["--listen", "localhost"], 2, "numeric"),
    (["--listen", "127.0.0.1:0"], 2, "port between 1 and 65535"),
    (["--size", "1M"], 2, "attached whole"),
    (["--accelerator", "zz"], 4, "there are a"),
])
def test_refusals(installed, words, code, text):
    failure = installed.refused("attach", "vm1", "--host", HOST, *words)
    assert failure.code == code and text in failure.message
    assert installed.status()["accelerators"][0]["attachments"] == []


def test_failed_export_is_undone(installed):
    """An address that this node does not have: TEST-NET-1, RFC 5737."""
    failure = installed.refused("attach", "vm1", "--host", HOST, "--listen", "192.0.2.1:4420")
    assert failure.code == 5 and "192.0.2.1" in failure.message or failure.message
    status = installed.status()["accelerators"][0]
    assert status["attachments"] == [] and status["health"] == "ok"
    with RpcClient(installed.socket()) as rpc:
        assert len(rpc.call("nvmf_get_subsystems")) == 1
    installed("attach", "vm1", "--host", HOST)


def test_detach_takes_it_back(installed, program):
    data = installed("attach", "vm1", "--host", HOST)["data"]
    installed("detach", "vm1")
    assert subsystem(installed, data["target_nqn"]) is None
    assert identify(program, data, HOST).returncode != 0
    assert installed("detach-instance", "vm1")["already"]
    failure = installed.refused("detach", "vm2")
    assert failure.code == 4 and "never was" in failure.message


def test_uninstall_waits_for_detach(installed):
    installed("attach", "vm1", "--host", HOST)
    failure = installed.refused("uninstall", "a")
    assert failure.code == 3 and "detach first" in failure.message
    installed("detach", "vm1")
    installed("uninstall", "a")


@pytest.fixture
def busy(installed, program):
    """vm1 is attached and its host does I/O."""
    data = installed("attach", "vm1", "--host", HOST)["data"]
    address, port, _ = data["portals"][0]
    host = subprocess.Popen(
        [program("cyborg-spdk-perf"), "--hostnqn", HOST, "-w", "randrw", "-t", "1000", "-r",
         f"trtype:TCP adrfam:IPv4 traddr:{address} trsvcid:{port} subnqn:{data['target_nqn']}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def connected():
        with RpcClient(installed.socket()) as rpc:
            return rpc.call("nvmf_subsystem_get_controllers", nqn=data["target_nqn"])
    wait_until(connected, "the host to connect")
    yield installed, host
    host.kill()
    host.wait()


def test_uninstall_does_not_cut_off_hosts_of_others(installed):
    """What somebody exports by RPC from our target goes with it, when no host uses it."""
    nqn, port = "nqn.2016-06.io.spdk:other", free_port()
    with RpcClient(installed.socket()) as rpc:
        rpc.call("nvmf_create_subsystem", nqn=nqn, allow_any_host=True)
        rpc.call("nvmf_subsystem_add_listener", nqn=nqn, listen_address={
            "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(port)})
        with Controller(("127.0.0.1", port), nqn):
            failure = installed.refused("uninstall", "a")
            assert failure.code == 3 and nqn in failure.message
        wait_until(lambda: not rpc.call("nvmf_subsystem_get_controllers", nqn=nqn), "its end")
    installed("uninstall", "a")


def test_detach_waits_for_the_host(busy):
    cli, host = busy
    failure = cli.refused("detach", "vm1", "--wait", "100ms")
    assert failure.code == 3 and HOST in failure.message and "still connected" in failure.message
    assert cli.status()["health"] == "ok"
    host.send_signal(signal.SIGTERM)
    host.wait()
    cli("detach", "vm1")


def test_detach_by_force(busy):
    cli, _ = busy
    cli("detach", "vm1", "--force")
    assert cli.status()["accelerators"][0]["attachments"] == []


def test_dead_target_comes_back_with_its_exports(installed, program):
    data = installed("attach", "vm1", "--host", HOST)["data"]
    os.kill(installed.pids()[1], signal.SIGKILL)
    wait_until(lambda: installed.status()["health"] == "ok", "the supervisor")
    assert identify(program, data, HOST).returncode == 0


def test_dead_supervisor_is_told_and_the_next_verb_heals(installed, program):
    data = installed("attach", "vm1", "--host", HOST)["data"]
    supervisor, target = installed.pids()
    os.kill(supervisor, signal.SIGKILL)
    wait_for_end(target)
    status = installed.status()
    assert status["health"] == "down"
    assert any("supervisor does not run" in text for text in status["accelerators"][0]["drift"])
    assert installed("attach", "vm1", "--host", HOST)["data"] == data
    assert installed.status()["health"] == "ok"
    assert identify(program, data, HOST).returncode == 0


def test_detach_of_a_dead_target_does_not_start_it(installed):
    data = installed("attach", "vm1", "--host", HOST)["data"]
    supervisor, target = installed.pids()
    os.kill(supervisor, signal.SIGKILL)
    wait_for_end(target)
    installed("detach", "vm1")
    assert installed.status()["health"] == "down"
    config = (installed.state / "targets" / "a" / "config.json").read_text()
    assert data["target_nqn"] not in config


def test_security_drift_is_told_and_repaired(installed):
    data = installed("attach", "vm1", "--host", HOST)["data"]
    nqn = data["target_nqn"]
    with RpcClient(installed.socket()) as rpc:
        rpc.call("nvmf_subsystem_add_host", nqn=nqn, host=HOST + "-stranger")
        rpc.call("nvmf_subsystem_allow_any_host", nqn=nqn, allow_any_host=True)
    status = installed.status()
    text = " ".join(status["accelerators"][0]["drift"])
    assert status["health"] == "degraded"
    assert "any host may connect" in text and "-stranger may connect and should not" in text
    installed("attach", "vm1", "--host", HOST)
    assert installed.status()["health"] == "ok"
    s = subsystem(installed, nqn)
    assert [h["nqn"] for h in s["hosts"]] == [HOST] and not s["allow_any_host"]


def test_lost_export_is_told_and_made_again(installed):
    nqn = installed("attach", "vm1", "--host", HOST)["data"]["target_nqn"]
    with RpcClient(installed.socket()) as rpc:
        rpc.call("nvmf_delete_subsystem", nqn=nqn)
    assert "is not exported" in " ".join(installed.status()["accelerators"][0]["drift"])
    installed("attach", "vm1", "--host", HOST)
    assert subsystem(installed, nqn)


def test_parallel_calls_do_not_attach_twice(installed):
    processes = [
        subprocess.Popen([str(installed.program), "attach", f"vm{i}", "--host", HOST, "--json"],
                         env=installed.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for i in range(4)]
    codes = sorted(p.wait() for p in processes)
    for p in processes:
        p.stderr.close()
    assert codes == [0, 3, 3, 3]
    assert len(installed.status()["accelerators"][0]["attachments"]) == 1
