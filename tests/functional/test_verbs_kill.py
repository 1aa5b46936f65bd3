# SPDX-License-Identifier: Apache-2.0
"""Each verb killed by SIGKILL before and behind each of its steps, then called again: the same end
as without the kill."""

import json

import pytest

HOST = "nqn.2016-06.io.spdk:host1"
STEPS = {
    "install": ["backing", "record", "environment", "start", "configure", "store", "check"],
    "attach": ["volume", "record", "export", "prove"],
    "detach": ["unexport", "wipe", "delete", "forget"],
    "update": ["save", "preflight", "stop", "environment", "start", "restore", "record"],
    "uninstall": ["stop", "environment", "clear", "remove", "forget"],
}


def points(verb):
    return [f"{verb}:{step}{where}" for step in STEPS[verb] for where in (":begin", "")]


def words_of(cli, verb):
    return {
        "install": ["install", "a", "--backing", cli.dir / "backing", "--size", "16M"],
        "attach": ["attach", "vm1", "--host", HOST],
        "detach": ["detach", "vm1"],
        "update": ["update", "a"],
        "uninstall": ["uninstall", "a"],
    }[verb]


def end_of(cli):
    """What must be equal whatever happened on the way."""
    status = cli.status()
    assert "interrupted" not in status
    for a in status["accelerators"]:
        for key in ("supervisor_pid", "target_pid"):
            a[key] = bool(a.get(key))
        for key in ("serial", "uuid"):
            a.pop(key)
        for attachment in a["attachments"]:
            for key in ("uuid", "nguid", "serial", "port"):
                attachment.pop(key)
    files = sorted(str(p.relative_to(cli.dir)) for p in cli.dir.rglob("*")
                   if p.name != "state.db-wal" and p.name != "state.db-shm")
    return json.dumps([status, files], sort_keys=True)


def test_steps_are_all_of_them(node):
    for verb in ("install", "attach", "detach", "update", "uninstall"):
        answer = node(*words_of(node, verb), "--dry-run")
        assert [s["name"] for s in answer["steps"]] == STEPS[verb]
        if verb in ("install", "attach", "detach"):
            node(*words_of(node, verb))


@pytest.mark.parametrize("fault", points("install"))
def test_install(node, fault):
    node.killed(fault, *words_of(node, "install"))
    node(*words_of(node, "install"))
    after = end_of(node)
    node("uninstall", "a")
    node(*words_of(node, "install"))
    assert end_of(node) == after


@pytest.mark.parametrize("fault", points("install"))
def test_install_is_undone_by_another_verb(node, fault):
    node.killed(fault, *words_of(node, "install"))
    node.refused("detach", "vm1")
    assert node.status()["accelerators"] == []
    assert not (node.dir / "backing").exists()
    assert not (node.state / "targets" / "a").exists()


@pytest.mark.parametrize("fault", points("attach"))
def test_attach(installed, fault):
    installed.killed(fault, *words_of(installed, "attach"))
    installed(*words_of(installed, "attach"))
    after = end_of(installed)
    installed("detach", "vm1")
    installed(*words_of(installed, "attach"))
    assert end_of(installed) == after


@pytest.mark.parametrize("fault", points("detach"))
def test_detach(installed, fault):
    before = end_of(installed)
    installed(*words_of(installed, "attach"))
    installed.killed(fault, *words_of(installed, "detach"))
    installed(*words_of(installed, "detach"))
    assert end_of(installed) == before


@pytest.mark.parametrize("fault", points("update"))
def test_update(installed, fault):
    installed(*words_of(installed, "attach"))
    before = end_of(installed)
    installed.killed(fault, *words_of(installed, "update"))
    installed(*words_of(installed, "update"))
    assert end_of(installed) == before


@pytest.mark.parametrize("fault", points("uninstall"))
def test_uninstall(installed, fault):
    installed.killed(fault, *words_of(installed, "uninstall"))
    installed(*words_of(installed, "uninstall"))
    assert installed.status()["accelerators"] == []
    assert not (installed.dir / "backing").exists()
    assert not (installed.state / "targets" / "a").exists()
