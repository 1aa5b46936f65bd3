# SPDX-License-Identifier: Apache-2.0
"""What install prepares and puts back on a real node: hugepages, NVMe functions given to vfio-pci."""

import os

import pytest

from guest_kit import boot, steps_of


IOMMU = "-device intel-iommu,intremap=on,caching-mode=on,aw-bits=48"
PROGRAMS = ("cyborg-spdk", "cyborg-spdk-supervise", "cyborg-spdk-tgt", "cyborg-spdk-perf")


@pytest.fixture(scope="module")
def run(program, tmp_path_factory):
    disk = tmp_path_factory.mktemp("environment") / "disk"
    disk.touch()
    os.truncate(disk, 64 << 20)
    nvme = (f"-drive file={disk},format=raw,if=none,id=disk "
            "-device nvme,drive=disk,serial=GUESTNVME0,addr=10")
    return boot("environment.sh", programs=[program(name) for name in PROGRAMS],
                qemu=[IOMMU, nvme], kernel="intel_iommu=on", memory="768M", seconds=300)


@pytest.mark.parametrize("step", steps_of("environment.sh"))
def test_environment(run, step):
    run.check(step)
