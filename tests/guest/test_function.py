# SPDX-License-Identifier: Apache-2.0
"""Accelerators on an NVMe function that the target drives: a real SPDK on a node with an IOMMU.

See tests/real_spdk.py.
"""

import os

import pytest

from guest_kit import SCRIPTS, boot, steps_of
from test_environment import IOMMU, PROGRAMS, spdk  # noqa: F401 (a fixture)

# What function-reboot.sh is booted for: the slot of each disk, and the serial there.
BOOTS = {
    "first": {10: ("first", "GUESTNVME0"), 11: ("second", "GUESTNVME1")},
    "again": {10: ("first", "GUESTNVME0"), 11: ("second", "GUESTNVME1")},
    "other": {10: ("other", "OTHERNVME"), 11: ("second", "GUESTNVME1"),
              12: ("first", "GUESTNVME0")},
    "agent": {10: ("first", "GUESTNVME0"), 11: ("second", "GUESTNVME1")},
}


class Node:
    """A node with an IOMMU whose disks stay when it is booted again."""

    def __init__(self, folder, programs, libraries):
        self.folder = folder
        self.programs = programs
        self.libraries = libraries

    def disk(self, name):
        path = self.folder / name
        if not path.exists():
            path.touch()
            os.truncate(path, 64 << 20)
        return f"-drive file={path},format=raw,if=none,id={name}"

    def boot(self, script, *args, slots, memory, kernel=""):
        devices = [IOMMU, f"{self.disk('state')} -device virtio-blk-pci,drive=state"]
        for slot, (name, serial) in slots.items():
            devices.append(f"{self.disk(name)} "
                           f"-device nvme,drive={name},serial={serial},addr={slot}")
        with pytest.MonkeyPatch.context() as patch:
            for folder in self.libraries:
                patch.setenv("LD_LIBRARY_PATH", folder)
            return boot(script, *args, files=[SCRIPTS / "function-lib.sh"], qemu=devices,
                        programs=self.programs, kernel=f"intel_iommu=on {kernel}", memory=memory,
                        seconds=600)


@pytest.fixture(scope="module")
def make_node(program, spdk, tmp_path_factory):  # noqa: F811
    path, libraries = spdk
    if path.name != "spdk_tgt":
        pytest.skip(f"{path} is no spdk_tgt")
    nvmf_tgt = path.with_name("nvmf_tgt")
    programs = [*(program(name) for name in (*PROGRAMS, "cyborg-spdk-blob", "cyborg-spdk-agent")),
                path, *([nvmf_tgt] if nvmf_tgt.exists() else [])]
    return lambda: Node(tmp_path_factory.mktemp("function"), programs, libraries)


@pytest.fixture(scope="module")
def run(make_node):
    """run(SCRIPT): the script's one boot."""
    boots = {}

    def once(script):
        if script not in boots:
            # The old target's hugepages, and as much for the new one's pre-flight.
            boots[script] = make_node().boot(script, slots={10: ("disk", "GUESTNVME0")},
                                             memory="3G")
        return boots[script]
    return once


@pytest.mark.parametrize("step", steps_of("function-spdk.sh"))
def test_function(run, step):
    run("function-spdk.sh").check(step)


@pytest.mark.parametrize("step", steps_of("function-bound.sh"))
def test_function_that_is_bound(run, step):
    run("function-bound.sh").check(step)


@pytest.fixture(scope="module")
def reboots(make_node):
    """All boots of function-reboot.sh; what failed in one ends them."""
    node = make_node()
    runs = []
    for name, slots in BOOTS.items():
        runs.append(node.boot("function-reboot.sh", name, slots=slots, memory="4G",
                              kernel="hugepages=8"))
        if "fail" in runs[-1].verdicts.values() or not runs[-1].verdicts:
            break
    return runs


@pytest.mark.parametrize("step", steps_of("function-reboot.sh"))
def test_reboot(reboots, step):
    next((run for run in reboots if step in run.verdicts), reboots[-1]).check(step)
