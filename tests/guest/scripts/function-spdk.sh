#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The whole life of accelerators on an NVMe function that a real SPDK drives: bound by install, or
# bound before it.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

FUNCTION=0000:00:10.0
PAGES=/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages
TARGET=/tmp/state/targets/a
DISK=/dev/nvme0n1
export CYBORG_SPDK_STATE_DIR=/tmp/state CYBORG_SPDK_BIN=/job

cli()
{
	/job/cyborg-spdk "$@"
}

driver()
{
	basename "$(readlink /sys/bus/pci/devices/$FUNCTION/driver)"
}

# refused_for PATTERN COMMAND...: with these words
refused_for()
{
	pattern=$1
	shift
	refused "$@" >/tmp/refused 2>&1 || { cat /tmp/refused; return 1; }
	contains "$(cat /tmp/refused)" "$pattern"
}

as_before()
{
	[ "$(cat $PAGES) $(driver)" = "0 nvme" ]
	[ "$(cat /sys/bus/pci/devices/$FUNCTION/driver_override)" = "(null)" ]
	wait_for 30 test -b $DISK
	[ -z "$(ls /dev/hugepages)" ]
}

install_on()
{
	cli install a --backing $FUNCTION --target /job/spdk_tgt --hugepages 1G "$@"
}

list()
{
	cli list
	cli discover --json >/tmp/discover
}

uuid_of()
{
	sed -n 's/.*"vol_uuid": "\([^"]*\)".*/\1/p' "$1" | head -n 1
}

pid_of_target()
{
	sed -n 2p $TARGET/pid
}

# perf INSTANCE WORD...: as that instance's host
perf()
{
	instance=$1
	shift
	/job/cyborg-spdk-perf --quiet --hostnqn "$HOSTNQN" -r \
		"$(sed -n 's/.*-a \([^ ]*\) -s \([^ ]*\) -n \([^ ]*\) .*/trtype:TCP adrfam:IPv4 traddr:\1 trsvcid:\2 subnqn:\3/p' "/tmp/$instance")" "$@"
}

attach()
{
	cli attach "$1" --host "$HOSTNQN" --size 8M | tee "/tmp/$1"
}

install()
{
	install_on --bind $FUNCTION --store pool || { tail -n 40 $TARGET/target.log; return 1; }
	cli status --json
	[ "$(cat $PAGES) $(driver)" = "512 vfio-pci" ]
	contains "$(cli status)" "ok"
}

killed()
{
	CYBORG_SPDK_FAULT=install:store refused install_on --bind $FUNCTION --store pool
	cli recover
	as_before
	cmp -n 67108864 $DISK /dev/zero
}

io()
{
	attach vm1
	attach vm2
	perf vm1 --workload write --verify-pattern persistent
	perf vm1 --verify-only
	perf vm2 --workload write --verify-pattern persistent --seed 7
}

crash()
{
	kill -9 "$(sed -n 1p $TARGET/pid)" "$(pid_of_target)"
	cli recover
	perf vm1 --verify-only
	perf vm2 --verify-only --seed 7
}

update()
{
	cp /job/spdk_tgt /tmp/spdk_tgt
	before=$(pid_of_target)
	cli update a --target /tmp/spdk_tgt
	[ "$(pid_of_target)" != "$before" ]
	perf vm1 --verify-only
}

update_back()
{
	cat >/tmp/broken <<-'END'
		#!/bin/sh
		case " $* " in
		*" --pci-allowed "*) exit 1 ;;
		*) exec /job/spdk_tgt "$@" ;;
		esac
	END
	chmod 755 /tmp/broken
	refused_for "rolled back.*before it was ready" cli update a --target /tmp/broken
	perf vm1 --verify-only
	refused_for "cannot drive PCI functions" cli update a --target /job/cyborg-spdk-tgt
}

uninstall()
{
	refused_for "attached to instance" cli uninstall a
	cli detach vm1
	cli detach vm2 --delete
	refused_for '"vm1"' cli uninstall a
	CYBORG_SPDK_FAULT=uninstall:stop refused cli uninstall a --delete
	cli recover
	as_before
	cmp -n 1048576 $DISK /dev/zero
}

mkdir -p /dev/hugepages
mount -t hugetlbfs none /dev/hugepages
modprobe -a nvme vfio-pci vfio_iommu_type1
wait_for 30 test -b $DISK
step list list
step killed killed
step install install
step io io
step crash crash
step update update
step update_back update_back
step uninstall uninstall
