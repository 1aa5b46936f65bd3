# SPDX-License-Identifier: Apache-2.0
"""Devices in use, in every way that Debian's kernel knows, and NVMe functions under every driver:
discover and install in a guest, where nothing that is harmed would be missed."""

import pytest

from guest_kit import boot, steps_of

NVME = ["FINE", "WORN", "NOBODY", "GIVEN", "OPENED"]


def devices():
    """An IOMMU, and NVMe controllers whose disks read as zeroes and need no file."""
    yield "-device intel-iommu,intremap=on,caching-mode=on,aw-bits=48"
    for serial in NVME:
        yield f"-drive driver=null-co,size=1G,read-zeroes=on,if=none,id={serial}"
        worn = ",smart_critical_warning=4" if serial == "WORN" else ""
        yield f"-device nvme,drive={serial},serial={serial}{worn}"


@pytest.fixture(scope="module")
def run(program):
    return boot("probe.sh", kernel="intel_iommu=on", qemu=list(devices()), seconds=150,
                again=True, programs=[program("cyborg-spdk"), program("cyborg-spdk-tgt"),
                                      program("cyborg-spdk-supervise")])


@pytest.mark.parametrize("step", steps_of("probe.sh"))
def test_probe(run, step):
    run.check(step)
