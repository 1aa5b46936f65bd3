#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What install refuses of an NVMe function, and one that was bound to vfio-pci before: a real SPDK
# looks at what is on it.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

FUNCTION=0000:00:10.0
SYS=/sys/bus/pci/devices/$FUNCTION
DISK=/dev/nvme0n1
export CYBORG_SPDK_STATE_DIR=/tmp/state CYBORG_SPDK_BIN=/job

cli()
{
	/job/cyborg-spdk "$@"
}

driver()
{
	basename "$(readlink $SYS/driver)"
}

install_on()
{
	cli install a --backing $FUNCTION --target /job/spdk_tgt --hugepages 1G "$@"
}

# refused_for PATTERN COMMAND...: with these words, and nothing is changed
refused_for()
{
	pattern=$1
	before=$(driver)
	shift
	refused "$@" >/tmp/refused 2>&1 || { cat /tmp/refused; return 1; }
	contains "$(cat /tmp/refused)" "$pattern"
	[ "$(driver)" = "$before" ]
	[ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)" = 0 ]
}

refusals()
{
	refused_for "add --bind $FUNCTION" install_on
	refused_for "no namespace of that number" cli install a --backing $FUNCTION/7 \
		--bind $FUNCTION --target /job/spdk_tgt
	refused_for "cannot drive PCI functions.*--backing $DISK" cli install a \
		--backing $FUNCTION --bind $FUNCTION --target /job/cyborg-spdk-tgt
	contains "$(cli list)" "$FUNCTION .* yes "
	mkfs.ext4 -q $DISK
	mount $DISK /mnt
	refused_for "mount" install_on --bind $FUNCTION
	umount /mnt
	refused_for "force GUESTNVME0" install_on --bind $FUNCTION
}

# bind_by_hand: as driverctl does
bind_by_hand()
{
	echo vfio-pci >$SYS/driver_override
	echo $FUNCTION >$SYS/driver/unbind
	echo $FUNCTION >/sys/bus/pci/drivers_probe
	[ "$(driver)" = vfio-pci ]
}

# The file system is seen through the target, and left as it is.
data()
{
	bind_by_hand
	refused_for "is not empty.*force GUESTNVME0" install_on
	[ ! -e /tmp/state/targets/a ]
}

whole()
{
	install_on --force GUESTNVME0
	contains "$(cli status --json)" '"serial": "GUESTNVME0"'
	cli attach vm1 --host "$HOSTNQN"
	cli detach vm1
	cli uninstall a --wipe
	[ "$(driver)" = vfio-pci ]
	echo >$SYS/driver_override
	echo $FUNCTION >$SYS/driver/unbind
	echo $FUNCTION >/sys/bus/pci/drivers_probe
	wait_for 30 test -b $DISK
	cmp -n 67108864 $DISK /dev/zero
}

mkdir -p /dev/hugepages
mount -t hugetlbfs none /dev/hugepages
modprobe -a nvme ext4 vfio-pci vfio_iommu_type1
wait_for 30 test -b $DISK
step refusals refusals
step data data
step whole whole
