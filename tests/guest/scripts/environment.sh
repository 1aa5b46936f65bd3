#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# install and uninstall on a node with an IOMMU and an NVMe controller on PCIe. The kit says that it
# is an SPDK, so that it gets hugepages; the engine does its work.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

FUNCTION=0000:00:10.0
PAGES=/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages
export CYBORG_SPDK_STATE_DIR=/tmp/state CYBORG_SPDK_BIN=/job
KIT=/tmp/spdk_tgt

make_kit()
{
	cat >$KIT <<-'END'
		#!/bin/sh
		case $1 in
		--version) echo "SPDK v26.05" ;;
		--help) echo "--no-huge --huge-unlink --no-pci --pci-allowed" ;;
		*) exec /job/cyborg-spdk-tgt "$@" ;;
		esac
	END
	sed 's|exec .*;;|exit 1 ;;|' $KIT >/tmp/broken
	chmod 755 $KIT /tmp/broken
}

cli()
{
	/job/cyborg-spdk "$@"
}

driver()
{
	basename "$(readlink /sys/bus/pci/devices/$FUNCTION/driver)"
}

as_before()
{
	[ "$(cat $PAGES)" = 0 ]
	[ "$(driver)" = nvme ]
	[ "$(cat /sys/bus/pci/devices/$FUNCTION/driver_override)" = "(null)" ]
	wait_for 30 test -b /dev/nvme0n1
	wait_for 30 dd status=none if=/dev/nvme0n1 of=/dev/null bs=4k count=1
}

# refused_for PATTERN COMMAND...: with these words
refused_for()
{
	pattern=$1
	shift
	refused "$@" >/tmp/refused 2>&1 || { cat /tmp/refused; return 1; }
	contains "$(cat /tmp/refused)" "$pattern"
	as_before
}

no_hugetlbfs()
{
	refused_for "mount -t hugetlbfs" cli install a --memory 8M --target $KIT
	mkdir -p /dev/hugepages
	mount -t hugetlbfs none /dev/hugepages
}

hugepages()
{
	cli install a --memory 8M --target $KIT --hugepages 256M
	[ "$(cat $PAGES)" = 128 ]
	tr '\0' ' ' <"/proc/$(sed -n 2p /tmp/state/targets/a/pid)/cmdline" | grep -e "--huge-unlink -s 256"
	cli uninstall a
	as_before
}

hugepages_by_update()
{
	cli install a --memory 8M
	cli update a --target $KIT --hugepages 300M --lose-volatile
	[ "$(cat $PAGES)" = 150 ]
	refused cli update a --target /tmp/broken --hugepages 256M --lose-volatile
	[ "$(cat $PAGES)" = 150 ]
	cli update a --target /job/cyborg-spdk-tgt --lose-volatile
	[ "$(cat $PAGES)" = 0 ]
	cli uninstall a
	as_before
}

# A target that died has its pages when it comes back.
pages_are_kept()
{
	cli install a --memory 8M --target $KIT --hugepages 256M
	kill -9 "$(sed -n 1p /tmp/state/targets/a/pid)" "$(sed -n 2p /tmp/state/targets/a/pid)"
	cli install b --memory 8M --target $KIT --hugepages 256M
	[ "$(cat $PAGES)" = 256 ]
	cli uninstall b
	[ "$(cat $PAGES)" = 128 ]
	cli uninstall a
	as_before
}

no_memory()
{
	refused_for "MiB available" cli install a --memory 8M --target $KIT --hugepages 64G
}

no_vfio()
{
	refused_for "modprobe" cli install a --memory 8M --bind $FUNCTION
	modprobe -a vfio-pci vfio_iommu_type1
}

bind()
{
	cli install a --memory 8M --bind $FUNCTION
	[ "$(driver)" = vfio-pci ]
	[ -e "/dev/vfio/$(basename "$(readlink /sys/bus/pci/devices/$FUNCTION/iommu_group)")" ]
	[ ! -e /dev/nvme0n1 ]
	cli uninstall a
	as_before
}

bind_and_hugepages()
{
	cli install a --memory 8M --target $KIT --hugepages 256M --bind $FUNCTION
	[ "$(cat $PAGES) $(driver)" = "128 vfio-pci" ]
	tr '\0' ' ' <"/proc/$(sed -n 2p /tmp/state/targets/a/pid)/cmdline" |
		grep -e "--pci-allowed $FUNCTION"
	cli update a --target /job/cyborg-spdk-tgt --lose-volatile
	[ "$(cat $PAGES) $(driver)" = "0 vfio-pci" ]
	cli uninstall a
	as_before
}

failed_start()
{
	refused_for "before it was ready" cli install a --memory 8M --target /tmp/broken \
		--hugepages 256M --bind $FUNCTION
}

killed()
{
	for fault in environment:begin environment start; do
		CYBORG_SPDK_FAULT=install:$fault refused cli install a --memory 8M --target $KIT \
			--hugepages 256M --bind $FUNCTION
		cli recover
		as_before
	done
	cli install a --memory 8M --target $KIT --hugepages 256M --bind $FUNCTION
	CYBORG_SPDK_FAULT=uninstall:environment refused cli uninstall a
	cli uninstall a
	as_before
}

target_killed()
{
	cli install a --memory 8M --target $KIT --hugepages 256M --bind $FUNCTION
	kill -9 "$(sed -n 1p /tmp/state/targets/a/pid)" "$(sed -n 2p /tmp/state/targets/a/pid)"
	cli uninstall a
	as_before
}

in_use()
{
	mkfs.ext4 -q /dev/nvme0n1
	mount /dev/nvme0n1 /mnt
	refused_for "mount" cli install a --memory 8M --bind $FUNCTION
	umount /mnt
	refused_for "force GUESTNVME0" cli install a --memory 8M --bind $FUNCTION
	cli install a --memory 8M --bind $FUNCTION --force GUESTNVME0
	[ "$(driver)" = vfio-pci ]
	cli uninstall a
	as_before
	fsck.ext4 -fn /dev/nvme0n1
}

make_kit
modprobe -a nvme ext4
wait_for 30 test -b /dev/nvme0n1
step no_hugetlbfs no_hugetlbfs
step hugepages hugepages
step hugepages_by_update hugepages_by_update
step pages_are_kept pages_are_kept
step no_memory no_memory
step no_vfio no_vfio
step bind bind
step bind_and_hugepages bind_and_hugepages
step failed_start failed_start
step killed killed
step target_killed target_killed
step in_use in_use
