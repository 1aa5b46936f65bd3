# SPDX-License-Identifier: Apache-2.0
"""Cyborg's own programs on RabbitMQ and Keystone, each in a process of its own on loopback.

CYBORG_SPDK_CYBORG         a source folder of Cyborg (default: the installed one)
CYBORG_SPDK_CYBORG_PYTHON  the Python that runs its programs (default: this one); from release 16 on
                           they need a newer oslo.service than Debian 12's

Beside them stand Debian's placement (in this process) and a peer in place of Nova.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
from cloud import PASSWORD, SERVICES_TEXT, Http, NovaPeer, ask_placement, placement_app
from conftest import PATIENCE, free_port, wait_until
from databases import open_database

HOW = "tools/install-deps.sh cyborg services installs it"
TESTS = Path(__file__).resolve().parent
START_SECONDS = 240


def die_with_the_tests():
    """A child's last act before its program: PR_SET_PDEATHSIG, for tests that are killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Process:
    """A program whose output since its start is in a file; killed with all that it started."""

    def __init__(self, name, command, folder, **env):
        self.name, self.command, self.env = name, list(map(str, command)), env
        self.log = Path(folder) / f"{name}.log"
        self.process = None

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True,
                                            cwd=self.log.parent,
                                            preexec_fn=die_with_the_tests,
                                            env={**os.environ, **self.env})
        return self

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, condition):
        """Until condition() is true; fails with what was said when the program leaves before."""
        def ready():
            if self.process.poll() is not None:
                pytest.fail(f"{self.name} left with {self.process.returncode}:\n"
                            f"{self.said()[-4000:]}")
            return condition()
        wait_until(ready, f"{self.name}; see {self.log}", START_SECONDS)
        return self

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None


def answers(url):
    """Whether something speaks HTTP there."""
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError:
        pass
    except OSError:
        return False
    return True


def need(*programs):
    """Files of programs; skips plainly where one is not installed."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/usr/lib/rabbitmq/bin"])
    found = [shutil.which(name, path=path) for name in programs]
    for name, file in zip(programs, found):
        if file is None:
            pytest.skip(f"no {name} here: {HOW}")
    return found


def rabbitmq(folder):
    """A broker and the port mapper of its Erlang; (processes, transport URL)."""
    epmd, _ = need("epmd", "rabbitmq-server")
    # Debian's own is a wrapper that changes to a user of its own.
    server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    mapper_port, port, dist_port = free_port(), free_port(), free_port()
    home = Path(folder) / "rabbitmq"
    home.mkdir()
    (home / "plugins").write_text("[].\n")
    (home / "rabbitmq.conf").write_text("loopback_users = none\n")
    env = {"HOME": str(home), "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_EPMD_PORT": str(mapper_port),
           "RABBITMQ_NODENAME": f"cs{port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
           "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(dist_port),
           "RABBITMQ_MNESIA_BASE": str(home), "RABBITMQ_LOG_BASE": str(home), "RABBITMQ_LOGS": "-",
           "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
           "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
           "RABBITMQ_PID_FILE": str(home / "pid"), "RUNNING_UNDER_SYSTEMD": "true",
           "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
               "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"}
    mapper = Process("epmd", [epmd, "-address", "127.0.0.1", "-port", mapper_port], folder)
    broker = Process("rabbitmq", [server], folder, **env)
    try:
        mapper.start()
        broker.start().wait_for(lambda: "Server startup complete" in broker.said())
    except BaseException:
        broker.stop()
        mapper.stop()
        raise
    return [mapper, broker], f"rabbit://guest:guest@127.0.0.1:{port}/"


KEYSTONE_TEXT = """
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{home}/keystone.sqlite
[fernet_tokens]
key_repository = {home}/keys
[cache]
enabled = false
[identity]
password_hash_rounds = 4
"""
FERNET = ["fernet_setup", "--keystone-user", str(os.geteuid()), "--keystone-group",
          str(os.getegid())]
MANAGE = """
import os, sys
from keystone.cmd import cli
for order in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        cli.main(["keystone-manage", "--config-file", sys.argv[1], *order.split()])
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(1)
"""


class Keystone:
    """Debian's, on SQLite, with the user admin of the project service."""

    def __init__(self, folder):
        server, = need("keystone-wsgi-public")
        self.home = Path(folder) / "keystone"
        self.home.mkdir()
        self.conf = self.home / "keystone.conf"
        self.conf.write_text(KEYSTONE_TEXT.format(home=self.home))
        self.url = f"http://127.0.0.1:{free_port()}/v3"
        self.process = Process("keystone", [server, "--host", "127.0.0.1", "--port",
                                            self.url.split(":")[2][:-3]], folder,
                               OS_KEYSTONE_CONFIG_DIR=str(self.home))
        self._prepare()
        self.start()

    def _manage(self, *orders):
        """keystone-manage once for each order, in children of one process: its imports are slow."""
        done = subprocess.run(["/usr/bin/python3", "-W", "ignore", "-c", MANAGE, self.conf,
                               *(" ".join(order) for order in orders)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout[-4000:]

    def _prepare(self):
        self._manage(["db_sync"])
        # A reader that is not done must not hold up a writer.
        with contextlib.closing(sqlite3.connect(self.home / "keystone.sqlite")) as db:
            db.execute("PRAGMA journal_mode=WAL")
        self._manage(FERNET, ["bootstrap", "--bootstrap-password", PASSWORD,
                              "--bootstrap-project-name", "service", "--bootstrap-public-url",
                              self.url, "--bootstrap-internal-url", self.url])

    def start(self):
        self.process.start().wait_for(lambda: answers(self.url))

    def stop(self):
        self.process.stop()

    def forget_tokens(self):
        """What an expiry does: no token that was given counts any more."""
        self.stop()
        shutil.rmtree(self.home / "keys")
        self._manage(FERNET)
        self.start()

    def call(self, method, path, body=None, token=None):
        """(token out of the headers, JSON of the answer)"""
        request = urllib.request.Request(
            self.url + path, method=method, data=json.dumps(body).encode() if body else None,
            headers={"Content-Type": "application/json", **({"X-Auth-Token": token} if token
                                                            else {})})
        with urllib.request.urlopen(request) as answer:
            return answer.headers.get("X-Subject-Token"), json.loads(answer.read() or "null")

    def token(self, name="admin", password=PASSWORD):
        default = {"name": "Default"}
        return self.call("POST", "/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": name, "password": password, "domain": default}}},
            "scope": {"project": {"name": "service", "domain": default}}}})[0]

    def add_endpoint(self, kind, url):
        token = self.token()
        service = self.call("POST", "/services", {"service": {"type": kind, "name": kind}}, token)
        self.call("POST", "/endpoints", {"endpoint": {
            "interface": "public", "url": url, "service_id": service[1]["service"]["id"]}}, token)

    def add_user(self, name, role):
        """A user of the project service who has a role, which is made where bootstrap did not."""
        token = self.token()
        user = self.call("POST", "/users", {"user": {"name": name, "password": PASSWORD}}, token)
        project = self.call("GET", "/projects?name=service", None, token)[1]["projects"][0]["id"]
        found = self.call("GET", f"/roles?name={role}", None, token)[1]["roles"]
        if not found:
            found = [self.call("POST", "/roles", {"role": {"name": role}}, token)[1]["role"]]
        self.call("PUT", f"/projects/{project}/users/{user[1]['user']['id']}/roles/"
                  f"{found[0]['id']}", None, token)


CYBORG_TEXT = """
[DEFAULT]
host = {host}
transport_url = {transport}
use_stderr = true
periodic_interval = 1
[api]
host_ip = 127.0.0.1
port = {port}
api_workers = 1
api_paste_config = {paste}
[database]
connection = {database}
[keystone_authtoken]
auth_type = password
auth_url = {keystone}
username = admin
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
www_authenticate_uri = {keystone}
token_cache_time = -1
service_token_roles_required = true
""" + SERVICES_TEXT + """{name_option}
[spdk]
auth_section = keystone_authtoken
state_dir = {state}
library = {library}
poll_interval = 1
"""


class Programs:
    """cyborg-conductor, cyborg-api and cyborg-agent, and what they stand on."""

    def __init__(self, package):
        self.source = os.environ.get("CYBORG_SPDK_CYBORG")
        if not self.source:
            pytest.skip("set CYBORG_SPDK_CYBORG to a source folder of Cyborg")
        self.python = os.environ.get("CYBORG_SPDK_CYBORG_PYTHON", sys.executable)
        self.folder = Path(tempfile.mkdtemp(prefix="cs-programs-"))
        self.folder.chmod(0o755)
        self.package = package
        self._describe_source()
        self.host = f"host-{uuid.uuid4().hex[:8]}"
        self._stops = [lambda: shutil.rmtree(self.folder, ignore_errors=True)]
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _describe_source(self):
        """What pip would write of the source, but its drivers: pbr asks for the version."""
        info = self.folder / "openstack_cyborg-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: openstack-cyborg\nVersion: 0\n")

    def _start(self):
        brokers, transport = rabbitmq(self.folder)
        self.broker = brokers[1]
        self._stops += [process.stop for process in brokers]
        self.keystone = Keystone(self.folder)
        self._stops.append(self.keystone.stop)
        self.keystone.add_user("nova", "service")
        self._tokens = {}
        self.database, stop = open_database(self.folder)
        self._stops.append(stop)
        self.nova = NovaPeer()
        servers = [Http(placement_app(self.folder)), Http(self.nova)]
        self._stops += [server.stop for server in servers]
        self.placement_url = servers[0].url
        self.api_port = free_port()
        self.conf = self.folder / "cyborg.conf"
        self.values = {"host": self.host, "transport": transport, "port": self.api_port,
                       "paste": f"{self.source}/etc/cyborg/api-paste.ini",
                       "database": self.database, "keystone": self.keystone.url,
                       "password": PASSWORD, "placement": self.placement_url,
                       "nova": servers[1].url, "name_option": ""}
        self.keystone.add_endpoint("accelerator", f"{self.url}/v2")
        self.programs = {name: self._program(name) for name in ("conductor", "api", "agent")}
        self._stops += [program.stop for program in self.programs.values()]

    def configure(self, node, library):
        """Write cyborg.conf for a node."""
        self.conf.write_text(CYBORG_TEXT.format(state=node.state, library=library, **self.values))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.api_port}"

    def command(self, name, *words):
        return [self.python, "-W", "ignore", TESTS / "launch.py", name, "--config-file", self.conf,
                *words]

    def env(self):
        paths = [str(self.folder), self.source, str(self.package), str(TESTS)]
        return {"PYTHONPATH": os.pathsep.join(paths)}

    def _program(self, name):
        return Process(name, self.command(name), self.folder, **self.env())

    def run(self, name, *words):
        """A program that ends; its output."""
        done = subprocess.run(list(map(str, self.command(name, *words))), text=True,
                              env={**os.environ, **self.env()}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode == 77:
            pytest.skip(done.stdout.strip().splitlines()[-1])
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout

    def start(self, name):
        program = self.programs[name]
        ready = {"api": lambda: answers(self.url)}
        program.start().wait_for(ready.get(name, lambda: "Created RPC server" in program.said()))
        return program

    def api(self, method, path, body=None):
        """The JSON of a call of Cyborg's API as Nova makes it: with the token of a user (here
        Keystone's admin), and its own, without which releases from 15 on bind nothing. Keystone
        may have forgotten both."""
        for _ in range(2):
            self._tokens = self._tokens or {"X-Auth-Token": self.keystone.token(),
                                            "X-Service-Token": self.keystone.token("nova")}
            request = urllib.request.Request(
                f"{self.url}/v2{path}", method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json", **self._tokens})
            try:
                with urllib.request.urlopen(request) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as e:
                if e.code != 401:
                    raise
                self._tokens = {}
        raise AssertionError("Keystone's new token is not taken")

    def placement(self, method, path, body=None):
        return ask_placement(self.placement_url, method, path, body)

    def stop(self):
        while self._stops:
            self._stops.pop()()
