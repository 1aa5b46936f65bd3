# SPDX-License-Identifier: Apache-2.0
"""Verbs on a store killed by SIGKILL behind each of their steps, then called again: the same end as
without the kill, in the record, in the target and on the backing."""

import json
import os
import signal
import subprocess

import pytest

from conftest import RpcClient, wait_for_end
from test_verbs_kill import STEPS, end_of

HOST = "nqn.2016-06.io.spdk:host1"
SIZE = 32 << 20
ATTACH = {
    "new": ["vm1", "--size", "2M", "--thick"],
    "clone": ["vm1", "--clone", "golden"],
    "read-only": ["vm1", "--volume", "base", "--read-only"],
    "existing": ["vm1", "--volume", "base"],
}


def points(verb, *kinds):
    return [(f"{verb}:{step}", kind) for kind in kinds for step in STEPS[verb]]


def install_words(cli):
    return ["install", "a", "--backing", cli.dir / "backing", "--store", "pool"]


def attach_words(kind):
    return ["attach", *ATTACH[kind], "--host", HOST]


def rpc(cli, method, **params):
    with RpcClient(cli.socket()) as client:
        return client.call(method, **params)


def shape(cli):
    """The record, and what the target shows, without what is new at each making."""
    volumes = sorted((v["name"], v["is_thin_provisioned"], v["is_snapshot"], v["is_clone"])
                     for v in rpc(cli, "bdev_lvol_get_lvols"))
    subsystems = [[len(s["namespaces"]), [h["nqn"] for h in s["hosts"]]]
                  for s in rpc(cli, "nvmf_get_subsystems") if s["subtype"] == "NVMe"]
    record = json.loads(end_of(cli))
    for a in record[0]["accelerators"]:
        a.pop("store_uuid")
        a.pop("history", None)
        assert a["health"] == "ok" and not a["drift"]
        for attachment in a["attachments"]:
            attachment.pop("bdev")
    return [record, volumes, subsystems, len(rpc(cli, "bdev_get_bdevs"))]


@pytest.fixture
def empty(node):
    """A file of zeroes that is there before."""
    (node.dir / "backing").touch()
    os.truncate(node.dir / "backing", SIZE)
    return node


@pytest.fixture
def store(empty):
    """A store with a volume `base` and a snapshot `golden` of it."""
    empty(*install_words(empty), "--cluster-size", "64K")
    rpc(empty, "bdev_lvol_create", lvs_name="pool", lvol_name="base", size_in_mib=2,
        thin_provision=True)
    rpc(empty, "bdev_lvol_snapshot", lvol_name="pool/base", snapshot_name="golden")
    return empty


@pytest.mark.parametrize("fault", [f"install:{step}" for step in STEPS["install"]])
def test_install(empty, fault):
    empty.killed(fault, *install_words(empty))
    empty(*install_words(empty))
    after = shape(empty)
    empty("uninstall", "a")
    assert (empty.dir / "backing").read_bytes()[:4096] == bytes(4096)
    empty(*install_words(empty))
    assert shape(empty) == after


@pytest.mark.parametrize("fault", [f"install:{step}" for step in STEPS["install"]])
def test_adoption(store, program, fault):
    store("uninstall", "a", "--keep-backing")
    tool = [program("cyborg-spdk-blob"), "inspect", "--json", store.dir / "backing"]
    before = subprocess.run(tool, check=True, stdout=subprocess.PIPE).stdout
    store.killed(fault, *install_words(store))
    store.refused("detach", "vm1")
    assert store.status()["accelerators"] == []
    after = subprocess.run(tool, check=True, stdout=subprocess.PIPE).stdout
    assert json.loads(after)["stores"] == json.loads(before)["stores"]
    assert sorted(store(*install_words(store))["volumes"]) == ["base", "golden"]


@pytest.mark.parametrize("fault, kind", points("attach", *ATTACH))
def test_attach(store, fault, kind):
    before = shape(store)
    store.killed(fault, *attach_words(kind))
    if fault == "attach:export":
        finished = store("recover")["finished"]
        assert finished == [{"verb": "attach", "object": "vm1", "outcome": "undone"}]
        assert shape(store) == before
    store(*attach_words(kind))
    after = shape(store)
    store("detach", "vm1", *(["--delete"] if kind in ("new", "clone") else []))
    assert shape(store) == before
    store(*attach_words(kind))
    assert shape(store) == after


@pytest.mark.parametrize("fault, kind", points("detach", "new", "read-only"))
def test_detach(store, fault, kind):
    before = shape(store)
    words = ["detach", "vm1", *(["--wipe"] if kind == "new" else [])]
    store(*attach_words(kind))
    store.killed(fault, *words)
    assert store(*words)["volume"] == "deleted"
    assert shape(store) == before


def test_detach_killed_while_it_wipes(store, tmp_path):
    """The export that the wipe goes through is gone at the end."""
    before = shape(store)
    store(*attach_words("new"))
    script = tmp_path / "cyborg-spdk-perf"
    script.write_text("#!/bin/sh\nkill -9 $PPID\n")
    script.chmod(0o755)
    process = store.start("detach", "vm1", "--wipe", env={"CYBORG_SPDK_BIN": str(tmp_path)})
    assert process.returncode == -9
    assert store("detach", "vm1", "--wipe")["wiped"]
    assert shape(store) == before


def test_detach_that_cannot_end_keeps_no_other_from_its_work(store, tmp_path):
    before = shape(store)
    store(*attach_words("new"))
    store.killed("detach:unexport", "detach", "vm1", "--delete")
    supervisor, target = store.pids()
    os.kill(supervisor, signal.SIGKILL)
    wait_for_end(target)
    os.rename(store.dir / "backing", tmp_path / "backing")
    store("install", "b", "--memory", "2M")
    assert store("attach", "vm2", "--accelerator", "b", "--host", HOST)["attachment"]["bdev"] == "b"
    (a, _) = store.status()["accelerators"]
    assert "detach did not end" in " ".join(a["drift"]) or a["health"] == "down"
    store("detach", "vm2")
    store("uninstall", "b")
    os.rename(tmp_path / "backing", store.dir / "backing")
    assert store.refused("attach", "vm1", "--host", HOST, "--size", "2M").code == 3
    assert store("detach", "vm1", "--delete")["volume"] == "deleted"
    assert shape(store) == before


@pytest.mark.parametrize("fault", [f"uninstall:{step}" for step in STEPS["uninstall"]])
@pytest.mark.parametrize("words", [["--delete"], ["--wipe"]])
def test_uninstall(store, fault, words):
    store.killed(fault, "uninstall", "a", *words)
    store("uninstall", "a", *words)
    content = (store.dir / "backing").read_bytes()
    assert len(content) == SIZE and content[:4096] == bytes(4096)
    assert words != ["--wipe"] or content == bytes(SIZE)
    assert not (store.state / "targets" / "a").exists()
