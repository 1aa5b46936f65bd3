# SPDX-License-Identifier: Apache-2.0
"""Cyborg's real conductor, API and agent on RabbitMQ, with Keystone's tokens, and cyborg-spdk-arqd
beside them; Nova's part is done by its own calls. See processes.py for what is real."""

import json
import os
import signal
import time
import uuid

import pytest
from conftest import Cli
from kit import install, library, package  # noqa: F401 - fixtures
from processes import Process, Programs

ARQS = "/accelerator_requests"
# More than a poll, less than the agent's minute, on a busy machine.
SOON = 45.0


def until(condition, what):
    """Until condition() is true, with pauses: each look is a program or a chain of requests."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end, f"waited {SOON:g} s for {what}"
        time.sleep(0.25)


@pytest.fixture(scope="module")
def node(program, bin_dir, library):
    for name in ("cyborg-spdk-supervise", "cyborg-spdk-tgt", "cyborg-spdk-perf"):
        program(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CYBORG_SPDK_BIN", str(bin_dir))
        patch.setenv("CYBORG_SPDK_LIBRARY", library)
        cli = Cli(program("cyborg-spdk"))
        yield cli
        cli.remove()


@pytest.fixture(scope="module")
def programs(node, package, library):
    """Conductor and API; the agent has reported two accelerators, and left."""
    one = Programs(package)
    try:
        one.configure(node, library)
        one.run("tables")
        one.placement("POST", "/resource_providers", {"name": one.host})
        install(node, "a")
        node("install", "b", "--backing", node.dir / "b", "--size", "64M", "--scenario",
             "blobstore")
        for name in ("conductor", "api", "agent"):
            one.start(name)
        until(lambda: {"a", "b"} <= set(devices(one)), "the agent's report")
        one.programs["agent"].stop()
        yield one
    finally:
        one.stop()


@pytest.fixture
def arqd(programs):
    """arqd(*words): the service as a program, ended after the test."""
    started = []

    def start(*words):
        name = f"arqd-{uuid.uuid4().hex[:6]}"
        process = Process(name, programs.command("arqd", *words), programs.folder,
                          **programs.env())
        started.append(process.start())
        return process

    yield start
    for process in started:
        process.stop()


@pytest.fixture(autouse=True)
def nothing_is_left(programs, node):
    """Each test gives its instances back."""
    yield
    for name in ("conductor", "api"):
        if programs.programs[name].process is None:
            programs.start(name)
    for arq in programs.api("GET", ARQS)["arqs"]:
        programs.api("DELETE", f"{ARQS}?arqs={arq['uuid']}")
    for name in attached(node):
        node("detach", name, "--force")


def devices(programs):
    """Device by accelerator, as the API shows them."""
    return {json.loads(device["std_board_info"])["device_id"]: device
            for device in programs.api("GET", "/devices")["devices"]
            if device["hostname"] == programs.host}


def attached(node):
    return {a["instance"]: a for accelerator in node.status()["accelerators"]
            for a in accelerator["attachments"]}


def known(programs, name="a"):
    """Instances that Cyborg's database has as attached."""
    board = json.loads(devices(programs)[name]["vendor_board_info"])
    return [a["instance"] for a in board["attachments"]]


def provider(programs, name):
    found = programs.placement(
        "GET", f"/resource_providers?name={programs.host}_spdk_{name}")["resource_providers"]
    return found[0]["uuid"]


def request(programs, **keys):
    """An accelerator request, as Nova's conductor makes it of a flavor's device profile."""
    profile = f"profile-{uuid.uuid4().hex[:8]}"
    group = {"resources:CUSTOM_SSD": "1", "trait:CUSTOM_SPDK": "required", **keys}
    programs.api("POST", "/device_profiles", [{"name": profile, "groups": [group]}])
    return programs.api("POST", ARQS, {"device_profile_name": profile})["arqs"][0]["uuid"]


def bind(programs, name="a", host=None, **keys):
    """Request and bind; the attachment's name and the instance."""
    arq, instance = request(programs, **keys), str(uuid.uuid4())
    values = {"hostname": host or programs.host, "device_rp_uuid": provider(programs, name),
              "instance_uuid": instance}
    programs.api("PATCH", ARQS, {arq: [{"path": f"/{key}", "op": "add", "value": value}
                                       for key, value in values.items()]})
    return f"arq:{arq}:{instance}", instance


def delete(programs, instance):
    programs.api("DELETE", f"{ARQS}?instance={instance}")


def test_agent_reports_and_repeats_itself(programs, node):
    before = {name: device["uuid"] for name, device in devices(programs).items()}
    assert set(before) == {"a", "b"}
    conductor, reports = programs.programs["conductor"], "Start differing devices"
    reported = conductor.said().count(reports)
    agent = programs.start("agent")
    until(lambda: conductor.said().count(reports) > reported, "the report")
    agent.stop()
    assert {name: device["uuid"] for name, device in devices(programs).items()} == before
    assert "Traceback" not in agent.said()
    assert "Exception during message handling" not in conductor.said()


def test_binding_is_attached_and_the_database_follows(programs, node, arqd):
    """Without an agent that would report within the minute."""
    service = arqd()
    name, instance = bind(programs)
    until(lambda: name in attached(node), "the attachment")
    assert attached(node)[name]["host"] == f"nqn.2014-08.org.nvmexpress:uuid:{instance}"
    until(lambda: known(programs) == [name], "the report")
    event, = [e for e in programs.nova.events if e["server_uuid"] == instance]
    assert (event["name"], event["status"]) == ("accelerator-request-bound", "completed")
    delete(programs, instance)
    until(lambda: not attached(node), "the detach")
    until(lambda: known(programs) == [], "the report")
    assert "ERROR" not in service.said(), service.said()


def test_instance_deleted_while_arqd_was_away(programs, node, arqd):
    name, instance = bind(programs, "b", **{"accel:spdk_size": "8M"})
    service = arqd()
    until(lambda: name in attached(node), "the attachment")
    assert attached(node)[name]["size"] == 8 << 20
    service.stop(signal.SIGKILL)
    delete(programs, instance)
    assert arqd("--once").process.wait(SOON) == 0
    assert not attached(node)
    # Its report ends with it.
    assert known(programs, "b") == []


def test_verb_does_not_wait_for_a_conductor_that_is_away(programs, node, arqd):
    name, _ = bind(programs)
    programs.programs["conductor"].stop()
    service = arqd()
    until(lambda: name in attached(node), "the attachment")
    # It waits in a thread of its own.
    assert "no report to the conductor" not in service.said()
    until(lambda: "no report to the conductor" in service.said(), "the log")
    assert service.process.poll() is None
    programs.start("conductor")
    assert known(programs) == []
    programs.start("agent")
    until(lambda: known(programs) == [name], "the agent's report")
    programs.programs["agent"].stop()


def test_token_that_counts_no_more_is_renewed(programs, node, arqd):
    service = arqd()
    name, instance = bind(programs)
    until(lambda: name in attached(node), "the attachment")
    programs.keystone.forget_tokens()
    delete(programs, instance)
    until(lambda: not attached(node), "the detach")
    assert service.process.poll() is None


def test_api_and_keystone_that_are_away(programs, node, arqd):
    service = arqd()
    name, instance = bind(programs)
    until(lambda: name in attached(node), "the attachment")
    programs.programs["api"].stop()
    until(lambda: "next try in" in service.said(), "the log")
    programs.keystone.stop()
    once = arqd("--once")
    assert once.process.wait(SOON) == 1, once.said()
    assert name in attached(node)
    programs.keystone.start()
    programs.start("api")
    delete(programs, instance)
    until(lambda: not attached(node), "the detach")


def test_user_who_is_not_admin_is_told(programs, node, arqd):
    programs.keystone.add_user("other", "member")
    conf = programs.folder / "other.conf"
    conf.write_text("[keystone_authtoken]\nusername = other\n")
    bind(programs)
    once = arqd("--config-file", conf, "--once")
    assert once.process.wait(SOON) == 1
    assert "the user other has not the role admin" in once.said()
    assert not attached(node)


def test_request_that_is_not_bound_is_left_alone(programs, node, arqd):
    request(programs)
    assert arqd("--once").process.wait(SOON) == 0
    assert not attached(node)


def test_second_request_for_one_accelerator_is_refused_by_cyborg(programs, node, arqd):
    import urllib.error
    name, _ = bind(programs)
    with pytest.raises(urllib.error.HTTPError):
        bind(programs)
    states = sorted(arq["state"] for arq in programs.api("GET", ARQS)["arqs"])
    assert states == ["BindFailed", "Bound"]
    assert arqd("--once").process.wait(SOON) == 0
    assert list(attached(node)) == [name]


