# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk agent: what it brings back, what it serves, and to whom."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading

import pytest

from conftest import SANITIZER_WORDS, RpcClient, free_port, wait_for_end, wait_until

HOST = "nqn.2016-06.io.spdk:host1"
ROW = re.compile(r'^(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')


def kill(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for_end(*pids)


class Agent:
    """A running agent of a node; its log as a list of objects."""

    def __init__(self, node, *options, env=None):
        self.port = free_port()
        self.log = node.dir / "agent.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [str(node.program), "agent", "--interval", "0.1", "--log-format", "json",
                 "--listen", f"127.0.0.1:{self.port}", *options],
                env={**node.env, **(env or {})}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log)
        wait_until(lambda: self.events("ready") or self.process.poll() is not None, "the agent")
        assert self.process.poll() is None, self.log.read_text()

    def events(self, name):
        lines = [line for line in self.log.read_text().splitlines(keepends=True)
                 if line.endswith("\n")]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def get(self, path, method="GET", host=None, port=None):
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def metrics(self, port=None):
        """{(name, label, value, ...): number}, each line held to the format."""
        rows, typed = {}, set()
        for line in self.get("/metrics", port=port)[1].splitlines():
            if line.startswith("# TYPE "):
                typed.add(line.split()[2])
                continue
            if line.startswith("#"):
                continue
            name, labels, value = ROW.match(line).groups()
            assert name in typed
            key = (name, *re.findall(r'"((?:[^"\\]|\\.)*)"', labels or ""))
            assert key not in rows
            rows[key] = float(value)
        return rows

    def status(self):
        return json.loads(self.get("/status")[1])

    def looks(self, more=2):
        """Wait until it has looked again, from begin to end."""
        before = self.status()["agent"]["looks"]
        wait_until(lambda: self.status()["agent"]["looks"] >= before + more, "another look")

    def healthy(self):
        return self.get("/health")[0] == 200

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        assert not SANITIZER_WORDS.search(self.log.read_text()), self.log.read_text()


@pytest.fixture
def agents(node, program):
    program("cyborg-spdk-agent")
    started = []

    def start(*options, **more):
        started.append(Agent(node, *options, **more))
        return started[-1]

    yield start
    for agent in started:
        if agent.process.poll() is None:
            agent.stop()


@pytest.fixture
def agent(agents, installed):
    """On one accelerator `a` with one attachment."""
    installed("attach", "vm1", "--host", HOST)
    return agents()


# --- what it brings back ------------------------------------------------------------------------

def test_target_that_was_killed_with_its_supervisor(installed, agent):
    kill(*installed.pids())
    wait_until(lambda: agent.events("recovered"), "recovery")
    wait_until(agent.healthy, "health")
    status = installed.status()
    assert status["health"] == "ok" and len(status["accelerators"][0]["attachments"]) == 1
    assert agent.metrics()["cyborg_spdk_accelerator_recoveries_total", "a", "done"] == 1


def test_export_that_somebody_deleted(installed, agent):
    nqn = installed.status()["accelerators"][0]["attachments"][0]["nqn"]
    with RpcClient(installed.socket()) as rpc:
        rpc.call("nvmf_delete_subsystem", nqn=nqn)
    wait_until(lambda: agent.events("recovered"), "recovery")
    with RpcClient(installed.socket()) as rpc:
        assert nqn in [s["nqn"] for s in rpc.call("nvmf_get_subsystems")]


def test_verb_that_was_killed(installed, agent):
    installed.killed("detach:unexport", "detach", "vm1")
    wait_until(lambda: agent.events("interrupted_verb_settled"), "it is settled")
    assert installed.status()["accelerators"][0]["attachments"] == []
    wait_until(agent.healthy, "health")


def test_what_cannot_be_brought_back_is_tried_again_and_told(installed, agent):
    (installed.dir / "backing").rename(installed.dir / "elsewhere")
    kill(*installed.pids())
    wait_until(lambda: agent.events("recovery_failed"), "a failure")
    failed = agent.events("recovery_failed")[0]
    assert failed["accelerator"] == "a" and failed["next_try_s"] == 1 and "backing" in failed[
        "reason"] + failed["was"]
    wait_until(lambda: not agent.healthy(), "its word of that")
    sick, = agent.status()["agent"]["sick"]
    assert sick["accelerator"] == "a" and sick["tries"] >= 1
    (installed.dir / "elsewhere").rename(installed.dir / "backing")
    wait_until(lambda: agent.events("recovered"), "recovery")
    wait_until(agent.healthy, "health")
    assert agent.status()["agent"]["sick"] == []


def test_one_that_is_sick_keeps_no_other(node, agents):
    node("install", "a", "--backing", node.dir / "backing", "--size", "8M")
    node("install", "b", "--memory", "8M")
    agent = agents()
    (node.dir / "backing").unlink()
    kill(*node.pids("a"), *node.pids("b"))
    wait_until(lambda: [e for e in agent.events("recovered") if e["accelerator"] == "b"], "b")
    assert agent.metrics()["cyborg_spdk_accelerator_up", "b"] == 1


def test_observer_changes_nothing(installed, agents):
    agent = agents("--observe")
    kill(*installed.pids())
    wait_until(lambda: not agent.healthy(), "it sees that")
    agent.looks()
    seen, = installed.status()["accelerators"]
    assert seen["supervisor_pid"] == seen["target_pid"] == 0 and not agent.events("recovered")
    assert agent.status()["agent"]["recovers"] is False
    assert agent.metrics()["cyborg_spdk_accelerator_up", "a"] == 0


def test_targets_go_on_when_it_leaves(installed, agent):
    kill(*installed.pids())
    wait_until(lambda: agent.events("recovered"), "recovery")
    pids = installed.pids()
    agent.stop()
    assert installed.pids() == pids and installed.status()["health"] == "ok"


def test_verbs_work_beside_it(node, agents):
    agent = agents()
    node("install", "a", "--memory", "8M")
    for _ in range(3):
        node("attach", "vm1", "--host", HOST)
        node("detach", "vm1")
    wait_until(lambda: agent.status()["accelerators"], "it sees the accelerator")
    node("uninstall", "a")
    wait_until(lambda: not agent.status()["accelerators"], "it sees that it is gone")
    assert not agent.events("recovery_failed") and node.pids() == (0, 0)


# --- what it serves -----------------------------------------------------------------------------

def test_nothing_is_told_before_the_first_look(installed, program):
    """A status of no text would be no JSON, metrics of none an accelerator that is gone."""
    port = free_port()
    _, target = installed.pids()
    os.kill(target, signal.SIGSTOP)
    try:
        agent = subprocess.Popen([str(program("cyborg-spdk-agent")), "--observe", "--listen",
                                  f"127.0.0.1:{port}"], env=installed.env,
                                 stderr=subprocess.DEVNULL)
        for path in "/metrics", "/status":
            def asked():
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    connection.request("GET", path)
                    return connection.getresponse().status
                except ConnectionRefusedError:
                    return None
            assert wait_until(asked, "the agent's server") == 503
    finally:
        os.kill(target, signal.SIGCONT)
    agent.terminate()
    assert agent.wait(30) == 0


def test_state_that_was_replaced_is_seen(node, agents):
    node("install", "a", "--memory", "8M")
    agent = agents()
    node("uninstall", "a")
    node.state.rename(node.dir / "gone")
    wait_until(lambda: agent.status()["accelerators"] == [], "nothing")
    node("install", "b", "--memory", "8M")
    wait_until(lambda: [a["id"] for a in agent.status()["accelerators"]] == ["b"], "the new one")
    assert agent.metrics()["cyborg_spdk_accelerator_up", "b"] == 1


def test_status_is_that_of_the_command(installed, agent):
    status = agent.status()
    assert status.pop("agent")["recovers"] is True
    assert status == installed.status()


def test_figures_are_those_of_the_target(installed, agent):
    agent.looks()
    rows = agent.metrics()
    nqn = installed.status()["accelerators"][0]["attachments"][0]["nqn"]
    assert rows["cyborg_spdk_bdev_capacity_bytes", "a", "a"] == 16 << 20
    assert rows["cyborg_spdk_attachments", "a"] == 1
    assert rows["cyborg_spdk_subsystem_host_count", "a", nqn] == 1
    assert rows["cyborg_spdk_subsystem_namespace_count", "a", nqn] == 1
    assert rows["cyborg_spdk_subsystem_controller_count", "a", nqn] == 0
    with RpcClient(installed.socket()) as rpc:
        stat, = rpc.call("bdev_get_iostat", name="a")["bdevs"]
    assert rows["cyborg_spdk_bdev_reads_completed_total", "a", "a"] == stat["num_read_ops"] > 0
    assert rows["cyborg_spdk_bdev_read_bytes_total", "a", "a"] == stat["bytes_read"]
    assert rows["cyborg_spdk_bdev_read_seconds_total", "a", "a"] > 0
    assert {key[3] for key in rows if key[0] == "cyborg_spdk_reactor_seconds_total"} == {
        "busy", "idle"}
    assert rows["cyborg_spdk_rpc_method_seconds", "a", "bdev_get_bdevs"] > 0


def test_metrics_elsewhere_and_nothing_else(installed, agents):
    port = free_port()
    agent = agents("--metrics-listen", f"0.0.0.0:{port}")
    assert agent.metrics(port)["cyborg_spdk_accelerator_up", "a"] == 1
    assert agent.get("/metrics", host="node7.example:80", port=port)[0] == 200
    for path in ("/status", "/health", "/"):
        assert agent.get(path, port=port)[0] == 404, path


def test_once_tells_that_nobody_reads(installed):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([str(installed.program), "agent", "--once"], env=installed.env,
                              stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"cannot be written" in done.stderr


def test_once_prints_the_metrics(installed):
    process = installed.start("agent", "--once")
    assert process.returncode == 0
    assert 'cyborg_spdk_accelerator_up{accelerator="a"} 1\n' in process.stdout


def test_service_manager_is_told(installed, agents, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = str(tmp_path / "notify")
        manager.bind(path)
        manager.settimeout(30)
        agent = agents(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "100000"})
        words = []
        while b"WATCHDOG=1" not in words or not any(w.startswith(b"READY=1") for w in words):
            words.append(manager.recv(4096))
        agent.stop()
        while b"STOPPING=1" not in words:
            words.append(manager.recv(4096))


def test_sighup_looks_at_once(installed, agents):
    agent = agents("--interval", "3600")
    looks = agent.status()["agent"]["looks"]
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: agent.status()["agent"]["looks"] > looks, "a look")


# --- to whom ------------------------------------------------------------------------------------

def test_security_agent_is_read_only(agent):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert agent.get("/status", method)[0] == 405, method
    assert agent.get("/status", "HEAD") == (200, "")
    for path in ("/../etc/passwd", "/status/", "//metrics", "/" + "x" * 4000):
        assert agent.get(path)[0] in (404, 414), path


def test_security_agent_host_of_another_site(agent):
    """A name of another site that points to loopback must not read the status."""
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "10.0.0.1"):
        for path in ("/status", "/metrics", "/health", "/"):
            assert agent.get(path, host=host)[0] == 403, (host, path)
    for host in ("localhost", "127.0.0.1", f"localhost:{agent.port}", "[::1]:80"):
        assert agent.get("/status", host=host)[0] == 200, host


def test_security_agent_listens_on_loopback_only(installed):
    process = installed.start("agent", "--listen", "0.0.0.0:0")
    assert process.returncode == 2 and "is not loopback" in process.stderr
    for address in ("127.0.0.1", "localhost:80", "127.0.0.1:65536", "[::1:80", "", ":80"):
        process = installed.start("agent", "--listen", address)
        assert process.returncode == 2 and "no address" in process.stderr, address


def test_security_agent_slow_clients_hold_nobody(agent):
    """More connections than it takes, none of which ever asks: others are served when they go."""
    held = [socket.create_connection(("127.0.0.1", agent.port)) for _ in range(60)]
    for sock in held:
        sock.sendall(b"GET /status HTTP/1.1\r\nX: ")
    assert agent.get("/health")[0] == 200
    for sock in held:
        sock.close()
    agent.looks()


def test_security_agent_target_that_never_answers(node, agents, tmp_path):
    """A socket that takes the request and is silent delays the look; HTTP answers meanwhile."""
    node("install", "a", "--memory", "8M")
    agent = agents()
    supervisor, target = node.pids()
    os.kill(target, signal.SIGSTOP)
    try:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(agent.get("/health")[0]))
        thread.start()
        thread.join(30)
        assert answers
    finally:
        os.kill(target, signal.SIGCONT)
    wait_until(agent.healthy, "health")


def test_port_that_is_taken(installed, agent):
    process = installed.start("agent", "--listen", f"127.0.0.1:{agent.port}")
    assert process.returncode == 1 and "in use" in process.stderr


def test_wrong_command_lines(installed):
    for words in (["--interval", "0"], ["--log-format", "xml"], ["word"], ["--no-such"]):
        process = installed.start("agent", *words)
        assert process.returncode == 2, words
