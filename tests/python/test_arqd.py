# SPDX-License-Identifier: Apache-2.0
"""cyborg-spdk-arqd against Cyborg's real API and conductor, attaching on the engine."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid

import pytest
from cloud import PASSWORD, Http, KeystonePeer
from conftest import PATIENCE, RpcClient, wait_until
from kit import (cloud, install, library, node, package,  # noqa: F401 - fixtures
                 whole_cloud)

HOST = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"


def attached(node):
    """Attachments by instance."""
    return {a["instance"]: a for accelerator in node.status()["accelerators"]
            for a in accelerator["attachments"]}


def volumes(node):
    """Names of the volumes in the store of accelerator a."""
    with RpcClient(node.socket("a")) as rpc:
        return [b["name"] for b in rpc.call("bdev_get_bdevs")
                if b["product_name"] == "Logical Volume"]


def credentials(cloud, name="admin", password=PASSWORD):
    return {"auth_type": "http_basic", "username": name, "password": password,
            "endpoint": cloud.api_url}


@pytest.fixture
def service(cloud, monkeypatch):
    """service(**options): the service's loop body, in this process, with the options of [spdk].
    Without reports unless asked for, since SQLite has one writer at a time."""
    from cyborg_spdk import arqd, report
    from keystoneauth1 import loading
    monkeypatch.setattr(report, "LEAVE_SECONDS", PATIENCE)
    conf = cloud.conf
    for plugin in ("http_basic", "v3password"):
        conf.register_opts(loading.get_auth_plugin_conf_options(plugin), group="spdk")
    services = []

    def make(**options):
        for key, value in {**credentials(cloud), "report": "never", **options}.items():
            conf.set_override(key, value, group="spdk")
        services.append(arqd.Service(conf))
        return services[-1]

    yield make
    for one in services:
        one.close()


@pytest.fixture
def bound(cloud, node):
    """One accelerator, reported, and a request that is bound to it."""
    return bind(cloud, node, "a")


def bind(cloud, node, name, **profile):
    install(node, name)
    cloud.report()
    deployable, = cloud.devices(cloud.host)[name]["deployables"]
    profile_name = f"profile-{uuid.uuid4().hex[:8]}"
    cloud.profile(profile_name, **profile)
    return cloud.bind(profile_name, deployable, cloud.host)


def test_what_is_bound_is_attached_and_what_is_deleted_is_detached(cloud, node, bound, service):
    arq, instance = bound
    one = service()
    assert one.look()
    name, = attached(node)
    assert name == f"arq:{arq}:{instance}"
    assert attached(node)[name]["host"] == f"nqn.2014-08.org.nvmexpress:uuid:{instance}"
    before = attached(node)
    assert one.look()
    assert attached(node) == before
    cloud.delete(instance)
    assert one.look()
    assert attached(node) == {}


def test_request_that_is_bound_anew_is_another_one(cloud, node, bound, service):
    arq, instance = bound
    deployable, = cloud.devices(cloud.host)["a"]["deployables"]
    one = service()
    assert one.look()
    cloud.patch(arq, deployable, cloud.host, "remove")
    second = cloud.patch(arq, deployable, cloud.host, "add")
    assert one.look()
    assert list(attached(node)) == [f"arq:{arq}:{second}"]
    cloud.patch(arq, deployable, cloud.host, "remove")
    assert one.look()
    assert attached(node) == {}


def test_conductor_knows_at_once(cloud, node, bound, service):
    def look():
        one = service(report="auto", helper="false")
        assert one.look()
        one.end_reports()
        row = cloud.devices(cloud.host)["a"]
        return [a["instance"] for a in json.loads(row["vendor_board_info"])["attachments"]]

    before = cloud.everything()
    assert look() == [f"arq:{bound[0]}:{bound[1]}"]
    cloud.delete(bound[1])
    assert look() == []
    # A handle in use is Cyborg's own doing.
    assert cloud.everything()[1] == before[1]


def test_node_that_cannot_be_seen_is_not_reported_as_empty(cloud, node, bound, service, monkeypatch,
                                                           tmp_path):
    """What a report does not name is deleted; nothing is remembered here."""
    from cyborg_spdk import SpdkError, child
    before = cloud.everything()

    def refuse(*_):
        raise SpdkError(errno.ETIMEDOUT, "status gave no answer")

    one = service(report="always", memory=str(tmp_path / "none"))
    monkeypatch.setattr(child, "call", refuse)
    assert one.look()
    one.end_reports()
    assert len(attached(node)) == 1
    assert cloud.everything() == before


def test_devices_of_other_drivers_are_left_as_they_are(cloud, node, service):
    """A report is of the whole host: what it does not name is deleted."""
    def known():
        row = cloud.devices(cloud.host)["a"]
        return json.loads(row["vendor_board_info"])["attachments"]

    def others():
        return [row for row in cloud.rows("devices") if row["hostname"] == cloud.host and
                row["vendor"] != "cyborg-spdk"]

    cloud.conf.set_override("enabled_drivers", ["spdk_driver", "fake_driver"], group="agent")
    try:
        bind(cloud, node, "a")
        # What an agent's report would set right again.
        cloud.execute(f"UPDATE devices SET model = 'changed' WHERE hostname = '{cloud.host}' "
                      "AND vendor <> 'cyborg-spdk'")
        before = others()
        assert [row["model"] for row in before] == ["changed"]
        one = service(report="always")
        assert one.look()
        one.end_reports()
        assert known()
        assert others() == before
        from cyborg_spdk import report
        cloud.conf.set_override("report", "auto", group="spdk")
        assert not report.wants_report(cloud.conf)
    finally:
        cloud.conf.clear_override("enabled_drivers", group="agent")


def test_a_new_service_goes_on_where_the_last_one_ended(cloud, node, bound, service):
    assert service().look()
    before = attached(node)
    assert service().look()
    assert attached(node) == before
    cloud.delete(bound[1])
    assert service().look()
    assert attached(node) == {}


def test_what_an_operator_attached_is_left_alone(cloud, node, service):
    install(node, "a")
    node("attach", "vm-1", "--host", HOST)
    assert service().look()
    assert list(attached(node)) == ["vm-1"]


def test_a_slot_that_an_operator_took_is_told_and_tried_again_later(cloud, node, bound, service):
    node("attach", "vm-1", "--host", HOST)
    one = service()
    assert one.look()
    assert list(attached(node)) == ["vm-1"]
    name = f"arq:{bound[0]}:{bound[1]}"
    assert not one.reconciler.retry.is_due(name)
    node("detach", "vm-1")
    one.reconciler.retry.done(name)
    assert one.look()
    assert list(attached(node)) == [name]


def test_bindings_of_other_hosts_are_left_alone(cloud, node, bound, service):
    one = service()
    one.reconciler.host = "another"
    assert one.look()
    assert attached(node) == {}


@pytest.fixture
def keystone(cloud):
    """Options of [spdk] for a password that Keystone takes."""
    server = Http(KeystonePeer(cloud.api_url + "/v2"))
    yield {"auth_type": "v3password", "auth_url": server.url, "password": PASSWORD,
           "project_name": "service", "user_domain_name": "d", "project_domain_name": "d",
           "endpoint": None}
    server.stop()


def test_requests_that_may_not_be_seen_are_not_taken_for_deleted(cloud, node, bound, service,
                                                                 keystone):
    """To who is not admin newer releases show only the own project's, without saying so."""
    assert service(username="admin", **keystone).look()
    before = attached(node)
    assert len(before) == 1
    other = service(username="other", **keystone)
    assert not other.look()
    assert attached(node) == before
    from cyborg_spdk.arqs import CyborgError
    with pytest.raises(CyborgError, match="the user other has not the role admin"):
        other.reconciler.once()


def test_a_database_that_was_emptied_detaches_nothing(cloud, node, bound, service):
    one = service()
    assert one.look()
    before = attached(node)
    cloud.delete(bound[1])
    device = cloud.devices(cloud.host)["a"]
    cloud.execute("UPDATE devices SET vendor = 'another'")
    try:
        assert not one.look()
        assert attached(node) == before
    finally:
        cloud.execute(f"UPDATE devices SET vendor = '{device['vendor']}'")


def test_wrong_password_changes_nothing(cloud, node, bound, service):
    assert service().look()
    before = attached(node)
    cloud.delete(bound[1])
    one = service(password="wrong")
    assert not one.look() and not one.look()
    assert attached(node) == before
    assert one.wait_seconds() == 4 * cloud.conf.spdk.poll_interval


def test_api_that_is_away_changes_nothing(cloud, node, bound, service):
    assert service().look()
    before = attached(node)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        assert not service(endpoint=f"http://127.0.0.1:{s.getsockname()[1]}").look()
    assert attached(node) == before


def test_host_nqns_by_host(cloud, node, bound, service):
    assert service(host_nqns={cloud.host: HOST}).look()
    one, = attached(node).values()
    assert one["host"] == HOST


def test_device_profile_asks_for_a_size_and_limits(cloud, node, service):
    node("install", "a", "--backing", node.dir / "a", "--size", "64M", "--scenario", "blobstore")
    cloud.conf.set_override("slots", 2, group="spdk")
    cloud.report()
    slots = cloud.devices(cloud.host)["a"]["deployables"]
    assert [d["name"] for d in slots] == [f"{cloud.host}_spdk_a", f"{cloud.host}_spdk1_a"]
    profile = f"profile-{uuid.uuid4().hex[:8]}"
    cloud.profile(profile, **{"accel:spdk_size": "8M", "accel:spdk_qos_rw_mb": "20"})
    requests = [cloud.bind(profile, slot, cloud.host) for slot in slots]
    one = service(attach={"size": "4M"}, detach_data="delete")
    assert one.look()
    found = attached(node)
    assert set(found) == {f"arq:{arq}:{instance}" for arq, instance in requests}
    assert {(a["size"], a["qos"]["rw_mb"]) for a in found.values()} == {(8 << 20, 20)}
    assert len(volumes(node)) == 2
    cloud.conf.set_override("slots", 1, group="spdk")
    assert one.look()
    assert attached(node) == found
    cloud.delete(requests[0][1])
    assert one.look()
    assert set(attached(node)) == {f"arq:{requests[1][0]}:{requests[1][1]}"}
    assert len(volumes(node)) == 1
    cloud.conf.set_override("detach_data", "keep", group="spdk")
    cloud.delete(requests[1][1])
    assert one.look()
    assert attached(node) == {} and len(volumes(node)) == 1


CONF = """
[DEFAULT]
host = {host}
[spdk]
state_dir = {state}
report = never
poll_interval = 1
auth_type = http_basic
username = admin
password = {password}
endpoint = {url}
"""


@pytest.fixture
def command(cloud, node, package, tmp_path):
    """command(*words): the program as pip installed it, in a process of its own."""
    conf = tmp_path / "cyborg.conf"
    conf.write_text(CONF.format(host=cloud.host, state=node.state, password=PASSWORD,
                                url=cloud.api_url))
    started = []

    def start(*words, **env):
        process = subprocess.Popen(
            [sys.executable, package / "bin" / "cyborg-spdk-arqd", "--config-file", conf, *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package)] + sys.path), **env},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_program_once(cloud, node, bound, command):
    process = command("--once")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert list(attached(node)) == [f"arq:{bound[0]}:{bound[1]}"]


def test_program_takes_the_credentials_of_another_group(cloud, node, bound, command, tmp_path):
    conf = tmp_path / "cyborg.conf"
    own, _, credentials = conf.read_text().partition("auth_type")
    conf.write_text(f"{own}auth_section = keystone_authtoken\n"
                    f"[keystone_authtoken]\nauth_type{credentials}")
    process = command("--once")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert list(attached(node)) == [f"arq:{bound[0]}:{bound[1]}"]


@pytest.mark.parametrize("fault", ["attach:volume:begin", "attach:record", "attach:export"])
def test_program_that_is_killed_while_it_attaches(cloud, node, bound, command, fault):
    killed = command("--once", CYBORG_SPDK_FAULT=fault)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    process = command("--once")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert list(attached(node)) == [f"arq:{bound[0]}:{bound[1]}"]
    assert node.status()["health"] == "ok"


def test_program_that_is_killed_while_it_detaches(cloud, node, bound, command):
    command("--once").communicate(timeout=60)
    assert len(attached(node)) == 1
    cloud.delete(bound[1])
    killed = command("--once", CYBORG_SPDK_FAULT="detach:unexport")
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert command("--once").wait(60) == 0
    assert attached(node) == {}
    assert node("uninstall", "a")["uninstalled"]


def test_program_tells_systemd_and_leaves_by_sigterm(cloud, node, bound, command, tmp_path):
    told = []

    def listen(manager):
        while told[-1:] != [b"STOPPING=1"]:
            told.append(manager.recv(4096))

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        listener = threading.Thread(target=listen, args=(manager,))
        listener.start()
        process = command(NOTIFY_SOCKET=str(tmp_path / "notify"))
        wait_until(lambda: attached(node), "the attachment")
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        listener.join()
    assert process.returncode == 0, said
    assert told[0] == b"READY=1"
    assert b"WATCHDOG=1" in told
    assert len(attached(node)) == 1


@pytest.mark.parametrize("text,says", [
    ("[spdk]\n", "set auth_type"),
    ("[spdk]\nauth_type = nonesuch\n", "The plugin nonesuch could not be found"),
    ("[spdk]\nauth_type = password\nusername = admin\n", "auth_url"),
    ("[spdk]\nslots = 100\n", "slots"),
    ("[spdk]\nattach = 5\n", "attach"),
    ("[spdk\n", "cyborg.conf"),
])
def test_program_with_a_wrong_configuration_says_so(cloud, node, command, tmp_path, text, says):
    (tmp_path / "cyborg.conf").write_text(text)
    process = command("--once")
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert says in said and "Traceback" not in said


def test_requests_in_other_states_are_not_attached(cloud, node, bound, service):
    one = service()
    states = ("Initial", "BindStarted", "BindFailed", "Unbound", "Deleting")
    for state in states:
        cloud.execute("UPDATE extended_accelerator_requests SET state = "
                      f"'{state}' WHERE uuid = '{bound[0]}'")
        assert one.look()
        assert attached(node) == {}, state
        cloud.execute("UPDATE extended_accelerator_requests SET state = 'Bound' "
                      f"WHERE uuid = '{bound[0]}'")
        assert one.look()
        assert len(attached(node)) == 1, state


def test_one_hostile_device_profile_does_not_hold_up_others(cloud, node, service):
    install(node, "z")
    _, instance = bind(cloud, node, "a", **{"accel:spdk_size": "9" * 5000})
    other = cloud.devices(cloud.host)["z"]["deployables"][0]
    profile = f"profile-{uuid.uuid4().hex[:8]}"
    cloud.profile(profile)
    arq, second = cloud.bind(profile, other, cloud.host)
    assert service().look()
    assert list(attached(node)) == [f"arq:{arq}:{second}"]
    cloud.delete(instance)


def test_conductor_s_transport_that_is_wrong_stops_no_binding(cloud, node, bound, service):
    from cyborg.common import rpc

    def refuse(*_):
        raise RuntimeError("no such transport")

    # For the service's start only: Cyborg's API is in this process too.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rpc, "TRANSPORT", None)
        patch.setattr(rpc, "init", refuse)
        one = service(report="always")
    assert one.look()
    assert len(attached(node)) == 1
