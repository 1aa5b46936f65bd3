# SPDX-License-Identifier: Apache-2.0
"""Accelerators on an NVMe function that the target drives itself, on stand-ins for SPDK's releases
(tests/replay), whose functions are files. Node and functions are made up in a mount namespace of
its own, bound to vfio-pci. What needs hardware is in tests/guest/test_function.py.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Cli, RpcClient, free_port, wait_for_end, wait_until
from test_verbs_kill import STEPS

REPLAY = Path(__file__).resolve().parents[1] / "replay"
sys.path.insert(0, str(REPLAY))
from releases import NEWEST, RELEASES, as_number  # noqa: E402

HOST = "nqn.2016-06.io.spdk:host1"
FUNCTION = "0000:01:00.0"
SIZE = 32 << 20
WITH_TCP = [r for r in RELEASES if as_number(r) >= 1901]
PCI = "/sys/bus/pci"
MAKE_NODE = f"""
    mount -t tmpfs none {PCI} && mkdir -p {PCI}/devices {PCI}/drivers/vfio-pci {PCI}/drivers/nvme
    for f in 0000:01:00.0 0000:02:00.0 0000:03:00.0; do
        d={PCI}/devices/$f
        mkdir $d && echo 0x010802 >$d/class && echo >$d/driver_override
        ln -s ../../drivers/vfio-pci $d/driver && ln -s /sys/kernel/iommu_groups/77 $d/iommu_group
        echo 0x1b36 >$d/vendor && echo 0x0010 >$d/device && echo -1 >$d/numa_node
    done
    echo 0x020000 >{PCI}/devices/0000:03:00.0/class
    echo ready
    exec cat
"""


class Node(Cli):
    """A node whose NVMe functions are files."""

    def __init__(self, program, space):
        super().__init__(program)
        self.space = space
        self.program = self.dir / "cli"
        self.program.write_text(f"#!/bin/sh\nexec nsenter -t {space.pid} -m -- {program} \"$@\"\n")
        self.program.chmod(0o755)
        self.functions = self.dir / "functions.json"
        self.disks = [self.dir / f"disk{i}" for i in range(2)]
        for disk in self.disks:
            disk.touch()
            os.truncate(disk, SIZE)
        self.slot("SERIAL1", self.disks[:1])

    def slot(self, serial, disks):
        self.functions.write_text(json.dumps({FUNCTION: {"serial": serial,
                                                         "namespaces": list(map(str, disks))}}))

    def inside(self, command):
        """A shell command on the made-up node."""
        subprocess.run(["nsenter", "-t", str(self.space.pid), "-m", "--", "sh", "-ec", command],
                       check=True)

    def kernel_has(self, function, serial):
        """The kernel's own driver has it, as after a boot."""
        device = f"{PCI}/devices/{function}"
        self.inside(f"ln -sfn ../../drivers/nvme {device}/driver && mkdir -p {device}/nvme/nvme0")
        self.inside(f"echo '{serial}' >{device}/nvme/nvme0/serial")

    def vfio_has(self, function):
        device = f"{PCI}/devices/{function}"
        self.inside(f"rm -r {device}/nvme && ln -sfn ../../drivers/vfio-pci {device}/driver")

    def boot_again(self):
        """Another boot for whoever asks the kernel; nothing runs any more."""
        boot = self.dir / "boot"
        boot.write_text("00000000-0000-4000-8000-000000000000\n")
        self.supervisor_gone()
        self.inside(f"mount --bind {boot} /proc/sys/kernel/random/boot_id")

    def drift(self):
        """What status says of the accelerator, whose target does not run."""
        (found,) = self.status()["accelerators"]
        assert found["supervisor_pid"] == found["target_pid"] == 0 and not self.is_driven()
        return " ".join(found["drift"])

    def rpc(self, method, **params):
        with RpcClient(self.socket()) as client:
            return client.call(method, **params)

    def supervisor_gone(self):
        supervisor, target = self.pids()
        os.kill(supervisor, signal.SIGKILL)
        wait_for_end(target)

    def recover_failed(self):
        """What a recover that must fail says of the accelerator."""
        process = self.start("recover", "--json")
        assert process.returncode == 8, process
        (found,) = json.loads(process.stdout)["accelerators"]
        assert found["outcome"] == "failed" and found["health"] != "ok"
        return found["reason"]

    def is_driven(self):
        """Somebody has the function."""
        lock = Path(f"{self.functions}.{FUNCTION}")
        return lock.exists() and subprocess.run(["flock", "-n", lock, "true"],
                                                check=False).returncode != 0


@pytest.fixture
def node(program):
    for name in ("cyborg-spdk-supervise", "cyborg-spdk-perf", "cyborg-spdk-tgt"):
        program(name)
    with subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", MAKE_NODE],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as space:
        if space.stdout.readline() != b"ready\n":
            pytest.skip("no mount namespace can be made here")
        node = Node(program("cyborg-spdk"), space)
        yield node
        node.remove()
        space.stdin.close()


@pytest.fixture
def kit(node, program, request):
    """kit(release): a program that stands in for that release's target and has the functions."""
    def make(release, name="spdk_tgt"):
        options = []
        if release == NEWEST:
            reference = request.getfixturevalue("reference")
            options = ["--schema", str(reference / "spdk-26.05-rpc-schema.json")]
        command = [sys.executable, str(REPLAY / "spdk_replay.py"), "--release", release,
                   "--engine", str(program("cyborg-spdk-tgt")), "--functions",
                   str(node.functions), *options]
        path = node.dir / f"{name}-{release}"
        path.write_text(f"#!/bin/sh\nexec {shlex.join(command)} \"$@\"\n")
        path.chmod(0o755)
        return path
    return make


def install(node, target, *words):
    return node("install", "a", "--backing", FUNCTION, "--target", target, "--no-huge", *words)


def refused(node, target, *words, backing=FUNCTION):
    return node.refused("install", "a", "--backing", backing, "--target", target, "--no-huge",
                        *words)


def start_of(disk):
    with open(disk, "rb") as file:
        return file.read(1 << 20)


def is_zero(data):
    return not any(data)


def check_as_before(node):
    """Nothing installed, nothing running, and nobody has the function."""
    assert node.status()["accelerators"] == [] and node.pids() == (0, 0)
    assert not node.is_driven()


# --- every release --------------------------------------------------------------------------------

@pytest.mark.parametrize("release", WITH_TCP)
def test_whole_function(node, kit, release):
    a = install(node, kit(release))["accelerator"]
    assert (a["kind"], a["backing"], a["nsid"], a["serial"], a["size"], a["bdev"]) == (
        "nvme", FUNCTION, 1, "SERIAL1", SIZE, "an1")
    attached = node("attach", "vm1", "--host", HOST)
    assert attached["attachment"]["size"] == SIZE
    status = node.status()
    assert status["health"] == "ok" and status["accelerators"][0]["drift"] == []
    node("detach", "vm1", "--force")
    node("uninstall", "a")
    check_as_before(node)


@pytest.mark.parametrize("release", ["19.01", "24.01"])
def test_store_on_a_function(node, kit, release):
    answer = install(node, kit(release), "--store", "pool")
    assert answer["accelerator"]["store_made"] and start_of(node.disks[0])[:8] == b"SPDKBLOB"
    node("attach", "vm1", "--host", HOST, "--size", "4M")
    if as_number(release) >= 2101:
        # Before, no start waits until the store was found, and some fail by that.
        _, target = node.pids()
        os.kill(target, signal.SIGKILL)
        wait_until(lambda: node.pids()[1] not in (0, target) and node.status()["health"] == "ok",
                   "the supervisor to bring it back")
    node.supervisor_gone()
    assert node("recover")["health"] == "ok"
    node("detach", "vm1", "--force")
    assert '["vm1"]' in node.refused("uninstall", "a").message
    node("uninstall", "a", "--delete")
    check_as_before(node)
    assert is_zero(start_of(node.disks[0]))


# --- what is on it --------------------------------------------------------------------------------

def test_security_data_on_a_function_needs_its_serial(node, kit):
    with open(node.disks[0], "r+b") as disk:
        disk.seek(600 << 10)
        disk.write(b"data")
    failure = refused(node, kit("24.01"))
    assert failure.code == 3 and "add --force SERIAL1" in failure.message
    check_as_before(node)
    assert "names the serial" in refused(node, kit("24.01"), "--force", "OTHER").message
    install(node, kit("24.01"), "--force", "SERIAL1")
    node("uninstall", "a")
    assert b"data" in node.disks[0].read_bytes()
    install(node, kit("24.01"), "--force", "SERIAL1")
    node("uninstall", "a", "--wipe")
    assert is_zero(node.disks[0].read_bytes())


def test_store_that_is_there_is_taken_over(node, kit):
    install(node, kit("24.01"), "--store", "pool")
    node("attach", "vm1", "--host", HOST, "--size", "4M")
    node("detach", "vm1")
    node("uninstall", "a", "--keep-backing")
    failure = refused(node, kit("24.01"), "--store", "other")
    assert '"pool"' in failure.message and '"vm1"' in failure.message
    for words in ([], ["--force", "SERIAL1"]):
        assert "attached to it whole" in refused(node, kit("24.01"), *words).message
    answer = install(node, kit("24.01"), "--scenario", "blobstore")
    assert answer["accelerator"]["store"] == "pool" and not answer["accelerator"]["store_made"]
    assert answer["volumes"] == ["vm1"]
    node("uninstall", "a")
    assert start_of(node.disks[0])[:8] == b"SPDKBLOB"
    answer = install(node, kit("24.01"), "--store", "other", "--force", "SERIAL1")
    assert answer["accelerator"]["store_made"] and answer["volumes"] == []
    node("uninstall", "a", "--delete")
    assert is_zero(start_of(node.disks[0]))


def test_namespaces(node, kit):
    node.slot("SERIAL1", node.disks)
    failure = refused(node, kit("24.01"))
    assert "the namespaces 1, 2" in failure.message and f"{FUNCTION}/2" in failure.message
    check_as_before(node)
    assert "there are 1, 2" in refused(node, kit("24.01"), backing=f"{FUNCTION}/3").message
    a = node("install", "a", "--backing", "nvme:01:00.0/2", "--target", kit("24.01"), "--no-huge",
             "--store", "pool")["accelerator"]
    assert (a["backing"], a["nsid"], a["bdev"]) == (FUNCTION, 2, "an2")
    assert is_zero(start_of(node.disks[0])) and not is_zero(start_of(node.disks[1]))
    node("install", "a", "--backing", f"{FUNCTION}/2")
    assert "uninstall it first" in node.refused("install", "a", "--backing",
                                                FUNCTION + "/1").message
    assert "is the backing of the accelerator a" in node.refused(
        "install", "b", "--backing", FUNCTION, "--target", kit("24.01"), "--no-huge").message
    assert "given to the accelerator a" in node.refused(
        "install", "b", "--memory", "8M", "--bind", FUNCTION).message


# --- another one in its place ---------------------------------------------------------------------

def test_security_other_function_in_its_slot_is_not_used(node, kit):
    install(node, kit("24.01"))
    node("attach", "vm1", "--host", HOST)
    node.supervisor_gone()
    node.slot("SERIAL2", node.disks[1:])
    assert 'has the serial "SERIAL2", recorded is "SERIAL1"' in node.recover_failed()
    assert not node.is_driven()
    assert node.rpc("nvmf_get_subsystems")[1:] == []
    node.slot("SERIAL1", node.disks[:1])
    assert node("recover")["health"] == "ok"


def test_smaller_namespace_is_not_used(node, kit):
    install(node, kit("24.01"), "--store", "pool")
    node.supervisor_gone()
    os.truncate(node.disks[0], SIZE // 2)
    assert f"has {SIZE // 2} bytes" in node.recover_failed()
    os.truncate(node.disks[0], SIZE)
    assert node("recover")["health"] == "ok"


def test_function_that_is_gone(node, kit):
    install(node, kit("24.01"), "--store", "pool")
    node.supervisor_gone()
    node.inside(f"mv {PCI}/devices/{FUNCTION} {PCI}/taken")
    assert f"{FUNCTION} of accelerator a is gone" in node.recover_failed()
    assert "--keep-backing" in node.refused("uninstall", "a").message
    node("uninstall", "a", "--keep-backing")
    check_as_before(node)


# --- another boot ---------------------------------------------------------------------------------

def test_boot_is_told_and_the_function_kept(node, kit):
    install(node, kit("24.01"))
    terms = ["--host", HOST, "--listen", f"127.0.0.1:{free_port()}"]
    before = node("attach", "vm1", *terms)["data"]
    node.boot_again()
    node.kernel_has(FUNCTION, "SERIAL1")
    told = node.drift()
    assert "the node was booted since the target of a ran" in told
    assert f"{FUNCTION} has the driver nvme and should have vfio-pci" in told
    found = {c["path"]: c for c in node("list")["candidates"]}[FUNCTION]
    assert not found["attach"] and found["score"] == 0
    assert "is given to the accelerator a" in found["why"]
    (found,) = [f for f in node("discover")["node"]["nvme"] if f["address"] == FUNCTION]
    assert (found["verdict"], found["reason"]) == ("in-use", f"{FUNCTION} is given to the "
                                                   "accelerator a")
    for words in (["--backing", FUNCTION], ["--memory", "8M"]):
        assert "accelerator a" in node.refused("install", "b", *words, "--bind", FUNCTION,
                                               "--target", kit("24.01"), "--no-huge").message
    assert "was bound to vfio-pci before install, and has the driver nvme" in node.recover_failed()
    assert f"{FUNCTION} has the driver nvme" in node.drift()
    node.vfio_has(FUNCTION)
    assert node("recover")["health"] == "ok"
    assert node("attach", "vm1", *terms)["data"] == before


def test_security_other_function_after_a_boot_is_not_touched(node, kit):
    install(node, kit("24.01"))
    node.boot_again()
    node.kernel_has(FUNCTION, "SERIAL2")
    node.kernel_has("0000:02:00.0", "SERIAL1")
    for told in (node.recover_failed(), node.drift()):
        assert 'its serial is "SERIAL2", recorded is "SERIAL1"' in told, told
        assert "at 0000:02:00.0 now" in told
    node.inside(f"grep -q . {PCI}/devices/*/driver_override && exit 1 || exit 0")
    for words in (["--backing", "0000:02:00.0"], ["--memory", "8M"]):
        failure = node.refused("install", "b", *words, "--bind", "0000:02:00.0", "--target",
                               kit("24.01"), "--no-huge")
        assert 'has the serial "SERIAL1", that of accelerator a' in failure.message
    found = {c["path"]: c for c in node("list")["candidates"]}
    assert "given to the accelerator a" in found["0000:02:00.0"]["why"]
    node("uninstall", "a", "--keep-backing")
    check_as_before(node)


# --- update ---------------------------------------------------------------------------------------

def test_update_hands_the_function_over(node, kit, program):
    install(node, kit("19.10"), "--store", "pool")
    before = node("attach", "vm1", "--host", HOST, "--size", "4M")["data"]
    answer = node("update", "a", "--target", kit("24.01"))
    assert "v19.10" in answer["old_version"]
    assert node("attach", "vm1", "--host", HOST, "--size", "4M")["data"] == before
    broken = node.dir / "broken"
    broken.write_text(kit("24.01").read_text().replace(
        "exec", 'case "$*" in *--pci-allowed*) exit 1; esac; exec'))
    broken.chmod(0o755)
    assert node.refused("update", "a", "--target", broken).code == 7
    assert node.status()["health"] == "ok" and node.is_driven()
    failure = node.refused("update", "a", "--target", program("cyborg-spdk-tgt"))
    assert "cannot drive PCI functions" in failure.message
    assert node.status()["health"] == "ok"


# --- killed ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("fault", [f"install:{step}" for step in STEPS["install"]])
def test_killed_install(node, kit, fault):
    node.killed(fault, "install", "a", "--backing", FUNCTION, "--target", kit("24.01"), "--no-huge",
                "--store", "pool")
    node("recover")
    check_as_before(node)
    assert is_zero(start_of(node.disks[0]))


def test_killed_install_leaves_a_store_that_was_there(node, kit):
    install(node, kit("24.01"), "--store", "pool")
    node("uninstall", "a", "--keep-backing")
    for step in ("configure", "store", "check"):
        node.killed(f"install:{step}", "install", "a", "--backing", FUNCTION, "--target",
                    kit("24.01"), "--no-huge", "--store", "pool")
        node("recover")
        check_as_before(node)
        assert start_of(node.disks[0])[:8] == b"SPDKBLOB"


@pytest.mark.parametrize("fault", [f"uninstall:{step}{where}" for step in STEPS["uninstall"]
                                   for where in (":begin", "")])
def test_killed_uninstall(node, kit, fault):
    install(node, kit("24.01"), "--store", "pool")
    node.killed(fault, "uninstall", "a")
    node("recover")
    check_as_before(node)
    assert is_zero(start_of(node.disks[0]))


@pytest.mark.parametrize("fault", [f"update:{step}" for step in STEPS["update"]])
def test_killed_update(node, kit, fault):
    install(node, kit("24.01"), "--store", "pool")
    before = node("attach", "vm1", "--host", HOST, "--size", "4M")["data"]
    node.killed(fault, "update", "a", "--target", kit("24.01", "other"))
    assert node("recover")["health"] == "ok"
    assert node("attach", "vm1", "--host", HOST, "--size", "4M")["data"] == before


# --- refused --------------------------------------------------------------------------------------

@pytest.mark.parametrize("backing, words, text", [
    ("0000:09:00.0", [], "there is no PCI function 0000:09:00.0"),
    ("0000:03:00.0", [], "is no NVMe controller"),
    (FUNCTION + "/0", [], "the number of a namespace"),
    (FUNCTION + "/x", [], "the number of a namespace"),
    (FUNCTION, ["--size", "16M"], "leave --size away"),
    (FUNCTION, ["--target-argument", "--no-pci"], "--no-pci keeps the target from"),
])
def test_refusals(node, kit, backing, words, text):
    assert text in refused(node, kit("24.01"), *words, backing=backing).message
    check_as_before(node)


def test_engine_is_refused_by_name(node, program):
    failure = refused(node, program("cyborg-spdk-tgt"))
    assert "cannot drive PCI functions" in failure.message and "--backing /dev/" in failure.message


def test_kit_without_nvme_is_refused_by_name(node, kit):
    plain = node.dir / "plain"
    plain.write_text(kit("24.01").read_text().replace(f"--functions {node.functions}", ""))
    plain.chmod(0o755)
    failure = refused(node, plain)
    assert "bdev_nvme_attach_controller" in failure.message
    check_as_before(node)


def test_function_of_another_driver_needs_bind(node, kit):
    node.inside(f"ln -sfn ../../drivers/nvme {PCI}/devices/{FUNCTION}/driver")
    failure = refused(node, kit("24.01"))
    assert "has the driver nvme" in failure.message and f"--bind {FUNCTION}" in failure.message
    assert "/dev/nvme" in failure.message


def test_no_iommu(node, kit):
    node.inside(f"rm {PCI}/devices/{FUNCTION}/iommu_group")
    assert "has no IOMMU group" in refused(node, kit("24.01")).message


def test_candidates(node, kit):
    found = {c["path"]: c for c in node("list")["candidates"]}
    assert found[FUNCTION]["kind"] == "nvme-function" and not found[FUNCTION]["attach"]
    assert found[FUNCTION]["score"] > 0 and "cannot be seen" in found[FUNCTION]["why"]
    answer = node("install", "a", "--backing", FUNCTION, "--target", kit("24.01"), "--no-huge",
                  "--dry-run")
    assert answer["plan"]["accelerator"]["backing"] == FUNCTION and answer["plan"]["unseen"]
