# SPDX-License-Identifier: Apache-2.0
"""Disks in use, each by the tool that does so in real life: LVM, mdadm, cryptsetup, bcache, btrfs,
DRBD, the kernel's targets... in a guest with Debian's kernel and packages."""

import subprocess

import pytest

from guest_kit import HERE, boot, steps_of


def devices():
    """NVMe with two namespaces, NVMe with two controllers on one, NVMe, a SCSI disk and two CDs."""
    for name in ["many1", "many2", "dual", "char", "disk", "cd"]:
        yield f"-drive driver=null-co,size=64M,read-zeroes=on,if=none,id={name}"
    yield "-device nvme,id=nvme0,serial=MANY"
    yield "-device nvme-ns,bus=nvme0,drive=many1,nsid=1"
    yield "-device nvme-ns,bus=nvme0,drive=many2,nsid=2"
    yield "-device nvme-subsys,id=sub -device nvme,id=nvme1,subsys=sub,serial=DUAL"
    yield "-device nvme,id=nvme2,subsys=sub,serial=DUAL"
    yield "-device nvme-ns,bus=nvme1,drive=dual,nsid=1,shared=on"
    yield "-device nvme,serial=CHAR,drive=char"
    yield "-device virtio-scsi-pci,id=scsi -device scsi-hd,bus=scsi.0,drive=disk,serial=SCSI"
    yield "-device scsi-cd,bus=scsi.0,drive=cd -device scsi-cd,bus=scsi.0"


@pytest.fixture(scope="module")
def run(program, tmp_path_factory):
    hold = tmp_path_factory.mktemp("hold") / "hold"
    subprocess.run(["cc", "-o", hold, HERE / "hold.c"], check=True)
    return boot("in-use.sh", qemu=devices(), memory="768M", seconds=300,
                programs=[program("cyborg-spdk"), program("cyborg-spdk-tgt"),
                          program("cyborg-spdk-supervise"), program("cyborg-spdk-blob"), hold])


@pytest.mark.parametrize("step", steps_of("in-use.sh"))
def test_in_use(run, step):
    run.check(step)
