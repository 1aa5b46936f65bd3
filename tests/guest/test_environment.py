# SPDX-License-Identifier: Apache-2.0
"""What install prepares and puts back on a real node: hugepages, NVMe functions given to vfio-pci.

With a real SPDK (see tests/real_spdk.py) its program and libraries are put in a guest too.
"""

import os
import subprocess
from pathlib import Path

import pytest

import real_spdk
from conftest import RpcClient, wait_until
from guest_kit import boot, steps_of

IOMMU = "-device intel-iommu,intremap=on,caching-mode=on,aw-bits=48"
PROGRAMS = ("cyborg-spdk", "cyborg-spdk-supervise", "cyborg-spdk-tgt", "cyborg-spdk-perf")


def boot_node(script, folder, programs, memory):
    """A node with an IOMMU and an empty NVMe controller at 0000:00:10.0."""
    disk = folder / "disk"
    disk.touch()
    os.truncate(disk, 64 << 20)
    nvme = (f"-drive file={disk},format=raw,if=none,id=disk "
            "-device nvme,drive=disk,serial=GUESTNVME0,addr=10")
    return boot(script, programs=programs, qemu=[IOMMU, nvme], kernel="intel_iommu=on",
                memory=memory, seconds=300)


@pytest.fixture(scope="module")
def run(program, tmp_path_factory):
    return boot_node("environment.sh", tmp_path_factory.mktemp("environment"),
                     [program(name) for name in PROGRAMS], "768M")


@pytest.mark.parametrize("step", steps_of("environment.sh"))
def test_environment(run, step):
    run.check(step)


def answers(path):
    try:
        RpcClient(path).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def spdk(tmp_path_factory):
    """The real program, and the folder of its libraries: of a target that runs for a moment."""
    sock = tmp_path_factory.mktemp("spdk") / "sock"
    process = real_spdk.start(sock, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(sock), "SPDK")
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().decode().split("\0")
        libraries = [v.partition("=")[2] for v in environment if v.startswith("LD_LIBRARY_PATH=")]
        return Path(os.readlink(f"/proc/{process.pid}/exe")), libraries
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def spdk_run(program, spdk, tmp_path_factory):
    path, libraries = spdk
    if path.name != "spdk_tgt":
        pytest.skip(f"{path} is no spdk_tgt")
    with pytest.MonkeyPatch.context() as patch:
        for folder in libraries:
            patch.setenv("LD_LIBRARY_PATH", folder)
        return boot_node("environment-spdk.sh", tmp_path_factory.mktemp("environment"),
                         [*(program(name) for name in PROGRAMS), path], "2304M")


@pytest.mark.parametrize("step", steps_of("environment-spdk.sh"))
def test_spdk(spdk_run, step):
    spdk_run.check(step)
