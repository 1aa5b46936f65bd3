# SPDX-License-Identifier: Apache-2.0
"""Plumbing of the functional and guest tests: built programs, a running target, a JSON-RPC client.

CYBORG_SPDK_BIN      folder of the built programs (default: build/bin of this repository)
CYBORG_SPDK_BACKEND  uring or epoll: inherited by every program the tests start
CYBORG_SPDK_REFERENCE  data of a real SPDK (default: ../shared/reference beside the repository)
"""

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import real_spdk

REPOSITORY = Path(__file__).resolve().parents[1]
SANITIZER_WORDS = re.compile(
    r"(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:|Assertion .* failed")
# Long enough for a sanitizer build on a loaded machine; a test fails by it, never passes by it.
PATIENCE = 30.0


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "target_options(*options): command line of the target that a test starts")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.failed = True


@pytest.fixture
def tmp_path(request, tmp_path):
    """pytest's own, kept only where there is something to look at: images add up to a full disk."""
    yield tmp_path
    if not getattr(request.node, "failed", False):
        shutil.rmtree(tmp_path, ignore_errors=True)


def wait_until(condition, what, seconds=PATIENCE):
    """Poll until condition() is true; its value is returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.002)


def has_ended(pid):
    """Gone, or dead: an orphan stays a zombie where a container's first process does not reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for_end(*pids):
    """Until processes that are not our children have ended."""
    wait_until(lambda: all(map(has_ended, pids)), f"processes {pids} to end")


def free_port():
    """A TCP port of 127.0.0.1 that nobody holds now, none of those that connections are given."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def stale_listener(path):
    """What a killed target leaves for a moment: a socket that takes connections for nobody."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.bind(str(path))
                s.listen()
                socket.send_fds(theirs, [b"x"], [s.fileno()])
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    with ours, theirs:
        return socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0])


class RpcError(Exception):
    """An error answer, with its code and message."""

    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message")
        self.error = error


class RpcClient:
    """JSON-RPC 2.0 over a UNIX stream socket, as plain as can be."""

    def __init__(self, path, timeout=PATIENCE):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(str(path))
        self.received = b""
        self.next_id = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        """Send raw bytes (or a str)."""
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def receive(self):
        """The next whole JSON text; None when the peer closed first."""
        decoder = json.JSONDecoder()
        tried = 0
        while True:
            text = self.received.lstrip()
            # A text ends with a newline, so a half one is not parsed over and over.
            if text and (b"\n" in self.received[tried:] or not tried):
                try:
                    decoded = text.decode()
                    value, end = decoder.raw_decode(decoded)
                    self.received = decoded[end:].encode()
                    return value
                except ValueError:
                    tried = len(self.received)
            data = self.sock.recv(1 << 20)
            if not data:
                return None
            self.received += data

    def is_closed(self):
        """True when the peer has closed and nothing is left to read."""
        try:
            return not self.received.strip() and self.sock.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True

    def request(self, method, params=None, **members):
        """A request object with the next id."""
        request = {"jsonrpc": "2.0", "method": method, "id": self.next_id}
        self.next_id += 1
        if params is not None:
            request["params"] = params
        request.update(members)
        return request

    def call_raw(self, method, params=None):
        """The whole answer object."""
        request = self.request(method, params)
        self.send(json.dumps(request))
        answer = self.receive()
        assert answer is not None, f"connection closed instead of an answer to {method}"
        assert answer.get("id") == request["id"], answer
        return answer

    def call(self, method, **params):
        """The result; an error answer is raised as RpcError."""
        answer = self.call_raw(method, params or None)
        if "error" in answer:
            raise RpcError(answer["error"])
        return answer["result"]

    def error(self, method, **params):
        """Call what must be refused; the RpcError comes back."""
        with pytest.raises(RpcError) as caught:
            self.call(method, **params)
        return caught.value

    def batch(self, calls):
        """Send [(method, params), ...] as one batch; the answers in the order of the calls."""
        requests = [self.request(method, params) for method, params in calls]
        self.send(json.dumps(requests))
        by_id = {answer["id"]: answer for answer in self.receive()}
        return [by_id[request["id"]] for request in requests]


class Target:
    """A running cyborg-spdk-tgt with a socket of its own."""

    def __init__(self, program, options=(), env=None):
        self.dir = Path(tempfile.mkdtemp(prefix="cs-"))
        self.sock = self.dir / "rpc.sock"
        self.log_path = self.dir / "log"
        self.clients = []
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(program), "-r", str(self.sock), *map(str, options)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})}, cwd=self.dir)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                pytest.fail(f"target left with {self.process.returncode}:\n{self.log}")
            try:
                RpcClient(self.sock).close()
                return True
            except OSError:
                return False
        wait_until(ready, f"the RPC socket {self.sock}")
        return self

    def client(self):
        """A new connection, closed with the target."""
        client = RpcClient(self.sock)
        self.clients.append(client)
        return client

    def call(self, method, **params):
        """One call on a connection of its own."""
        with RpcClient(self.sock) as client:
            return client.call(method, **params)

    def alive(self):
        return self.process.poll() is None

    def stop(self, sig=signal.SIGTERM):
        """End the target by a signal; its exit code."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail(f"target did not leave {PATIENCE:g} s after signal {sig}:\n{self.log}")

    def check(self):
        """Stop, then hold the exit code and the output to what is right."""
        code = self.stop()
        assert code == 0, f"target left with {code}:\n{self.log}"
        assert not SANITIZER_WORDS.search(self.log), self.log

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="session")
def bin_dir():
    """The folder of the built programs."""
    path = Path(os.environ.get("CYBORG_SPDK_BIN", REPOSITORY / "build" / "bin"))
    if not path.is_dir():
        pytest.skip(f"no programs in {path}: run `make build` or set CYBORG_SPDK_BIN")
    return path.resolve()


@pytest.fixture(scope="session")
def program(bin_dir):
    """program(NAME): the path of a built program; the test is skipped where it is not built."""
    def find(name):
        path = bin_dir / name
        if not path.exists():
            pytest.skip(f"{path} is not built")
        return path
    return find


@pytest.fixture(scope="session")
def reference():
    """The folder of data recorded from a real SPDK."""
    path = Path(os.environ.get("CYBORG_SPDK_REFERENCE",
                               REPOSITORY.parent / "shared" / "reference"))
    if not path.is_dir():
        pytest.skip(f"no reference data in {path}: set CYBORG_SPDK_REFERENCE")
    return path


@pytest.fixture
def target_factory(program):
    """target_factory(*options, env=None): start a target that answers; checked at the end.

    A test that ends its target itself (a crash, a kill) calls target.remove().
    """
    targets = []

    def start(*options, env=None):
        target = Target(program("cyborg-spdk-tgt"), options, env)
        targets.append(target)
        return target.wait_ready()

    yield start
    try:
        for target in targets:
            if target.dir.exists():
                target.check()
    finally:
        for target in targets:
            target.remove()


@pytest.fixture
def target(request, target_factory):
    """One target, with the options of @pytest.mark.target_options(...)."""
    marker = request.node.get_closest_marker("target_options")
    return target_factory(*(marker.args if marker else ()))


@pytest.fixture
def rpc(target):
    """A connection to the target."""
    return target.client()


def _try_client(path):
    try:
        return RpcClient(path)
    except OSError:
        return None


@pytest.fixture
def spdk(tmp_path):
    """A connection to a real SPDK that stands for itself; some files have one of another kind."""
    path = tmp_path / "spdk.sock"
    with open(tmp_path / "spdk.log", "w") as log:
        process = real_spdk.start(path, stdout=log, stderr=log)
    wait_until(path.exists, "the real SPDK", 60)
    rpc = wait_until(lambda: _try_client(path), "the real SPDK", 60)
    yield rpc
    rpc.close()
    process.terminate()
    process.wait(60)


class Failure:
    """What a refused verb said."""

    def __init__(self, process):
        self.code = process.returncode
        self.message = process.stderr.strip()
        self.error = json.loads(process.stdout)["error"] if process.stdout else None


class Cli:
    """cyborg-spdk with its own state directory; whatever it started is ended by remove()."""

    def __init__(self, program):
        self.program = program
        self.dir = Path(tempfile.mkdtemp(prefix="cs-"))
        self.state = self.dir / "state"
        self.env = {**os.environ, "CYBORG_SPDK_STATE_DIR": str(self.state)}

    def start(self, *words, env=None):
        """The finished process of one call, as it is."""
        process = subprocess.run([str(self.program), *map(str, words)],
                                 env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 timeout=120)
        assert not SANITIZER_WORDS.search(process.stderr), process.stderr
        return process

    def __call__(self, *words, env=None):
        """The JSON answer of a verb that must succeed."""
        process = self.start(*words, "--json", env=env)
        assert process.returncode == 0, f"{words}: {process.returncode}: {process.stderr}"
        return json.loads(process.stdout)

    def refused(self, *words, env=None):
        """The Failure of a verb that must be refused."""
        process = self.start(*words, "--json", env=env)
        assert process.returncode not in (0, 8) and process.returncode > 0, process
        return Failure(process)

    def killed(self, fault, *words):
        """A verb that is killed at a step."""
        process = self.start(*words, env={"CYBORG_SPDK_FAULT": fault})
        assert process.returncode == -signal.SIGKILL, (fault, process)

    def status(self):
        process = self.start("status", "--json")
        assert process.returncode in (0, 8), process
        return json.loads(process.stdout)

    def pids(self, accelerator="a"):
        """Supervisor and target, 0 for none."""
        try:
            lines = (self.state / "targets" / accelerator / "pid").read_text().split()
        except FileNotFoundError:
            return 0, 0
        return int(lines[0]), int(lines[1])

    def socket(self, accelerator="a"):
        return self.state / "targets" / accelerator / "rpc.sock"

    def remove(self):
        for pid_file in self.state.glob("targets/*/pid"):
            for pid in map(int, pid_file.read_text().split()):
                if pid:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        shutil.rmtree(self.dir, ignore_errors=True)


def real_kit(cli):
    """A real SPDK as the verbs take a target; the test is skipped where there is none."""
    return real_spdk.kit(cli.dir / "spdk_tgt")


def vhost_kit(cli):
    """real_kit(), of a build that makes vhost-user sockets."""
    kit = real_kit(cli)
    said = subprocess.run([kit, "--help"], stdout=subprocess.PIPE, text=True, check=False).stdout
    if " -S " not in said:
        pytest.skip("the SPDK of CYBORG_SPDK_REAL_TGT was not built --with-vhost")
    return kit


@pytest.fixture
def cli(program):
    """The command; the test is skipped where the command or its supervisor is not built."""
    program("cyborg-spdk-supervise")
    cli = Cli(program("cyborg-spdk"))
    yield cli
    cli.remove()


@pytest.fixture
def node(cli, program):
    """The command, with target and prover built, and nothing installed."""
    program("cyborg-spdk-tgt")
    program("cyborg-spdk-perf")
    return cli


@pytest.fixture
def installed(node):
    """One accelerator `a` on a file of 16 MiB."""
    node("install", "a", "--backing", node.dir / "backing", "--size", "16M")
    return node
