#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A real SPDK on hugepages that install reserved, with an NVMe function that it gave to vfio-pci.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

FUNCTION=0000:00:10.0
PAGES=/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages
TARGET=/tmp/state/targets/a
export CYBORG_SPDK_STATE_DIR=/tmp/state CYBORG_SPDK_BIN=/job

cli()
{
	/job/cyborg-spdk "$@"
}

driver()
{
	basename "$(readlink /sys/bus/pci/devices/$FUNCTION/driver)"
}

install()
{
	cli install a --memory 8M --target /job/spdk_tgt --hugepages 1G --bind $FUNCTION
	[ "$(cat $PAGES) $(driver)" = "512 vfio-pci" ]
	cat $TARGET/target.log
}

# The path is proved by attach itself.
attach()
{
	cli attach vm1 --host "$HOSTNQN"
}

serves_function()
{
	cli discover --json | grep '"Nn1"'
}

# SPDK drives the function: its saved configuration has the controller, and is replayed after a kill.
function_is_driven()
{
	pattern='"method": "bdev_wait_for_examine"'
	controller="{\"name\": \"N\", \"trtype\": \"PCIe\", \"traddr\": \"$FUNCTION\"}"
	sed -i "s|$pattern|\"method\": \"bdev_nvme_attach_controller\", \"params\": $controller|" \
		$TARGET/config.json
	kill -9 "$(sed -n 2p $TARGET/pid)"
	wait_for 60 serves_function
	cli status
	contains "$(cli status)" "restarts 1, .*signal 9"
}

uninstall()
{
	cli detach vm1
	cli uninstall a
	[ "$(cat $PAGES) $(driver)" = "0 nvme" ]
	wait_for 30 test -b /dev/nvme0n1
	[ -z "$(ls /dev/hugepages)" ]
}

mkdir -p /dev/hugepages
mount -t hugetlbfs none /dev/hugepages
modprobe -a nvme vfio-pci vfio_iommu_type1
wait_for 30 test -b /dev/nvme0n1
step install install
step attach attach
step function_is_driven function_is_driven
step uninstall uninstall
