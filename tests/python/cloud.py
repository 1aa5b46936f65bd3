# SPDX-License-Identifier: Apache-2.0
"""Cyborg's own conductor, API and database, and a placement service, in this process.

CYBORG_SPDK_CYBORG  a source folder of Cyborg (default: the installed one)

Real are Cyborg's code, its messages (oslo.messaging's in-process transport), its database (see
databases.py), placement (Debian's, on loopback HTTP) and the API (on loopback HTTP). In place of
Keystone a filter checks a name and password and sets the headers that keystonemiddleware would. In
place of Nova a peer takes the events that Cyborg sends when it has bound.
"""

import base64
import importlib.util
import json
import logging
import os
import socketserver
import sys
import threading
import urllib.request
import uuid
import wsgiref.simple_server
from pathlib import Path

import pytest
from databases import create_tables, open_database

PASSWORD = "secret"
ADMIN = {"X-Roles": "admin", "X-Service-Roles": "service", "X-Service-Identity-Status": "Confirmed"}
HOW = "tools/install-deps.sh cyborg installs what it takes"


def need(*names):
    """Skip plainly where a module is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"no Python module {name} here: {HOW}")


def mend_libraries():
    """Debian's oslo libraries lie between those of the oldest and of the newest Cyborg."""
    from oslo_context import context
    from oslo_log import versionutils
    if not hasattr(versionutils.deprecated, "GAZPACHO"):
        versionutils.deprecated.GAZPACHO = "G"
    for old, new in (("tenant", "project_id"), ("user", "user_id")):
        if not hasattr(context.RequestContext, old):
            setattr(context.RequestContext, old, property(lambda self, new=new: getattr(self, new)))


def find_cyborg(folder):
    """Make cyborg importable, or skip. A source folder gets what pip would write of it: pbr asks
    for the version, on which nothing depends, and stevedore for the drivers."""
    source = os.environ.get("CYBORG_SPDK_CYBORG")
    if source:
        info = Path(folder) / "openstack_cyborg-0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: openstack-cyborg\nVersion: 0\n")
        (info / "entry_points.txt").write_text(
            "[cyborg.accelerator.driver]\n"
            "fake_driver = cyborg.accelerator.drivers.fake:FakeDriver\n")
        sys.path[:0] = [source, str(folder)]
    need("oslo_config", "oslo_context", "oslo_log", "oslo_messaging", "keystoneauth1", "placement")
    mend_libraries()
    try:
        importlib.import_module("cyborg.common.service")
    except ImportError as e:
        pytest.skip(f"no Cyborg here ({e}): set CYBORG_SPDK_CYBORG to its source folder")


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Http:
    """A WSGI application on a port of loopback."""

    def __init__(self, app, port=0):
        self.server = wsgiref.simple_server.make_server("127.0.0.1", port, app,
                                                        server_class=_Server,
                                                        handler_class=_Quiet)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def identity(app):
    """Who one is, by HTTP basic authentication, or by a token of KeystonePeer, which is the same
    text: admin sees all, others their own project."""
    def filtered(environ, start_response):
        token = "Basic " + environ.get("HTTP_X_AUTH_TOKEN", "")
        given = environ.get("HTTP_AUTHORIZATION", token).partition(" ")[2]
        name, _, password = base64.b64decode(given).decode().partition(":")
        if password != PASSWORD:
            start_response("401 Unauthorized", [("Content-Type", "text/plain")])
            return [b"who are you?"]
        headers = ADMIN if name == "admin" else {"X-Roles": "member"}
        headers = {**headers, "X-User-Id": uuid.uuid5(uuid.NAMESPACE_DNS, "u" + name).hex,
                   "X-Project-Id": uuid.uuid5(uuid.NAMESPACE_DNS, "p" + name).hex}
        for key, value in headers.items():
            environ["HTTP_" + key.upper().replace("-", "_")] = value
        return app(environ, start_response)
    return filtered


class KeystonePeer:
    """Gives tokens as Keystone's v3 API does, with a catalog that has the accelerator service."""

    def __init__(self, accelerator_url):
        interface = {"id": "e", "interface": "public", "region": "r", "region_id": "r",
                     "url": accelerator_url}
        self.catalog = [{"id": "s", "name": "cyborg", "type": "accelerator",
                         "endpoints": [interface]}]

    def __call__(self, environ, start_response):
        if environ["REQUEST_METHOD"] != "POST":
            start_response("300 Multiple Choices", [("Content-Type", "application/json")])
            link = {"rel": "self", "href": f"http://{environ['HTTP_HOST']}/v3/"}
            return [json.dumps({"versions": {"values": [
                {"id": "v3.14", "status": "stable", "links": [link]}]}}).encode()]
        text = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        user = json.loads(text)["auth"]["identity"]["password"]["user"]
        token = base64.b64encode(f"{user['name']}:{user['password']}".encode()).decode()
        role = "admin" if user["name"] == "admin" else "member"
        start_response("201 Created", [("Content-Type", "application/json"),
                                       ("X-Subject-Token", token)])
        return [json.dumps({"token": {
            "methods": ["password"], "issued_at": "2020-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z", "roles": [{"id": role, "name": role}],
            "user": {"id": "u", "name": user["name"], "domain": {"id": "d", "name": "d"}},
            "project": {"id": "p", "name": "p", "domain": {"id": "d", "name": "d"}},
            "catalog": self.catalog}}).encode()]


class NovaPeer:
    """Takes /os-server-external-events, and keeps them; tells its version, as Nova does."""

    VERSION = {"id": "v2.1", "status": "CURRENT", "version": "2.100", "min_version": "2.1"}

    def __init__(self):
        self.events = []

    def __call__(self, environ, start_response):
        text = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer = {"events": []}
        if environ["REQUEST_METHOD"] == "GET":
            url = f"http://{environ['HTTP_HOST']}/v2.1/"
            answer = {"version": {**self.VERSION, "links": [{"rel": "self", "href": url}]}}
        else:
            self.events += json.loads(text)["events"]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


def placement_app(folder):
    """Debian's placement, with a database of its own; its `admin` token is all it asks for."""
    from oslo_config import cfg
    from placement import conf, db_api, deploy, policy

    file = Path(folder) / "placement.conf"
    file.write_text(PLACEMENT_TEXT.format(folder=folder))
    config = cfg.ConfigOpts()
    conf.register_opts(config)
    config(["--config-file", str(file)], project="placement")
    policy.reset()
    db_api.configure(config)
    app = deploy.loadapp(config)
    deploy.update_database(config)
    return app


PLACEMENT_TEXT = """
[api]
auth_strategy = noauth2
[placement_database]
connection = sqlite:///{folder}/placement.sqlite
sync_on_startup = true
"""

# Of every cyborg.conf here.
SERVICES_TEXT = """[placement]
auth_type = admin_token
endpoint = {placement}
token = admin
endpoint_override = {placement}
[nova]
auth_type = none
endpoint = {nova}/v2.1
endpoint_override = {nova}/v2.1
[oslo_policy]
enforce_scope = false
enforce_new_defaults = false
[agent]
enabled_drivers = spdk_driver
"""

CONF_TEXT = """
[DEFAULT]
host = {host}
transport_url = fake://
use_stderr = false
[database]
connection = {database}
""" + SERVICES_TEXT


def ask_placement(url, method, path, body=None):
    """The JSON of a placement call; None for an empty answer."""
    request = urllib.request.Request(
        url + path, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"X-Auth-Token": "admin", "Content-Type": "application/json",
                 "OpenStack-API-Version": "placement 1.36"})
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or "null")


class Cloud:
    """All of it, once for the process, since Cyborg's configuration is."""

    def __init__(self, folder):
        self.folder = Path(folder)
        database, self._stop_database = open_database(folder)
        self.nova = NovaPeer()
        self.servers = [Http(placement_app(folder)), Http(self.nova)]
        self.placement_url, nova_url = (server.url for server in self.servers)
        self.conf_file = self.folder / "cyborg.conf"
        self.conf_file.write_text(CONF_TEXT.format(folder=folder, placement=self.placement_url,
                                                   nova=nova_url, host="first",
                                                   database=database))
        self._start_cyborg()

    def _start_cyborg(self):
        from cyborg.common import service
        service.prepare_service(["test", "--config-file", str(self.conf_file)])
        # Some of Cyborg's lines are malformed, and pytest raises what logging would only tell.
        logging.getLogger("cyborg").setLevel(logging.ERROR)
        # Releases before 15 leave connections to the garbage collector, even after pytest's end.
        logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
        from cyborg.conf import CONF
        from cyborg.db.sqlalchemy import models
        self.conf = CONF
        create_tables(CONF.database.connection, models.Base.metadata)
        self._start_conductor()
        from cyborg.api import app
        self.servers.append(Http(identity(app.setup_app())))
        self.api_url = self.servers[-1].url

    def _start_conductor(self):
        import oslo_messaging
        from cyborg.common import constants, rpc
        from cyborg.conductor.manager import ConductorManager
        from cyborg.objects import base
        self.conductor = ConductorManager(constants.CONDUCTOR_TOPIC, "conductor")
        target = oslo_messaging.Target(topic=constants.CONDUCTOR_TOPIC, server="conductor")
        # Cyborg's own get_server() asks for eventlet in the older releases.
        self.rpc_server = oslo_messaging.get_rpc_server(
            rpc.TRANSPORT, target, [self.conductor], executor="threading",
            serializer=rpc.RequestContextSerializer(base.CyborgObjectSerializer()),
            access_policy=oslo_messaging.DefaultRPCAccessPolicy)
        self.rpc_server.start()

    def stop(self):
        """End what holds the process up; a second time is fine."""
        self.rpc_server.stop()
        self.rpc_server.wait()
        while self.servers:
            self.servers.pop().stop()
        self._stop_database()

    def placement(self, method, path, body=None):
        return ask_placement(self.placement_url, method, path, body)

    def api(self, method, path, body=None, name="admin"):
        """The JSON of a call of Cyborg's API; None for an empty answer."""
        word = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            self.api_url + "/v2" + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {word}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def report(self):
        """What cyborg-agent does every minute."""
        from cyborg import context
        from cyborg.agent.resource_tracker import ResourceTracker
        from cyborg.conductor.rpcapi import ConductorAPI
        ResourceTracker(self.conf.host, ConductorAPI()).update_usage(context.get_admin_context())

    def execute(self, statement):
        """Rows that a statement finds in Cyborg's database."""
        import sqlalchemy
        engine = sqlalchemy.create_engine(self.conf.database.connection)
        try:
            with engine.begin() as db:
                found = db.execute(sqlalchemy.text(statement))
                return [dict(row) for row in found.mappings()] if found.returns_rows else []
        finally:
            engine.dispose()

    def rows(self, table):
        """A table of Cyborg's database, without the times of changes."""
        return [{k: v for k, v in row.items() if k not in ("created_at", "updated_at")}
                for row in self.execute(f"SELECT * FROM {table} ORDER BY id")]

    def devices(self, host):
        """Rows of a host's devices by accelerator, each with its deployables."""
        deployables = self.rows("deployables")
        return {json.loads(row["std_board_info"])["device_id"]:
                {**row, "deployables": [d for d in deployables if d["device_id"] == row["id"]]}
                for row in self.rows("devices") if row["hostname"] == host}

    def everything(self):
        """All rows that a report may touch, and what placement has."""
        tables = ("devices", "deployables", "attributes", "attach_handles", "controlpath_ids")
        providers = self.placement("GET", "/resource_providers")["resource_providers"]
        return {table: self.rows(table) for table in tables}, [
            (p["name"], p["uuid"],
             self.placement("GET", f"/resource_providers/{p['uuid']}/inventories")["inventories"],
             sorted(self.placement("GET", f"/resource_providers/{p['uuid']}/traits")["traits"]))
            for p in providers]

    def profile(self, name, **keys):
        """A device profile of one accelerator."""
        group = {"resources:CUSTOM_SSD": "1", "trait:CUSTOM_SPDK": "required", **keys}
        self.api("POST", "/device_profiles", [{"name": name, "groups": [group]}])

    def bind(self, profile, deployable, host):
        """What Nova does with a flavor's device profile: request and bind; (ARQ, instance)."""
        arq = self.api("POST", "/accelerator_requests", {"device_profile_name": profile})["arqs"][0]
        return arq["uuid"], self.patch(arq["uuid"], deployable, host, "add")

    def patch(self, arq, deployable, host, what):
        """Bind ("add") or unbind ("remove") a request; the instance."""
        instance = str(uuid.uuid4())
        values = {"hostname": host, "device_rp_uuid": deployable["rp_uuid"],
                  "instance_uuid": instance}
        self.api("PATCH", "/accelerator_requests", {arq: [
            {"path": f"/{key}", "op": what, "value": value} for key, value in values.items()]})
        return instance

    def delete(self, instance):
        """What Nova does when the instance is deleted."""
        self.api("DELETE", f"/accelerator_requests?instance={instance}")
