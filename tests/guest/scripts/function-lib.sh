# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What scripts about several NVMe functions in real SPDKs share.
# shellcheck disable=SC2034 # names for the scripts

PAGES=/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages
PCI=/sys/bus/pci/devices

cli()
{
	/job/cyborg-spdk "$@"
}

# driver FUNCTION
driver()
{
	basename "$(readlink "$PCI/$1/driver")"
}

# refused_for PATTERN COMMAND...: with these words
refused_for()
{
	pattern=$1
	shift
	refused "$@" >/tmp/refused 2>&1 || { cat /tmp/refused; return 1; }
	cat /tmp/refused
	contains "$(cat /tmp/refused)" "$pattern"
}

# pid_of ID LINE: of the supervisor (1) or the target (2)
pid_of()
{
	sed -n "$2p" "$CYBORG_SPDK_STATE_DIR/targets/$1/pid"
}

# perf INSTANCE WORD...: as that instance's host, by what `attach` printed to $ANSWERS/INSTANCE
perf()
{
	to=$(sed -n 's/.*-a \([^ ]*\) -s \([^ ]*\) -n \([^ ]*\) .*/traddr:\1 trsvcid:\2 subnqn:\3/p' \
		"$ANSWERS/$1")
	shift
	/job/cyborg-spdk-perf --quiet --hostnqn "$HOSTNQN" -r "trtype:TCP adrfam:IPv4 $to" "$@"
}

# attach INSTANCE WORD...
attach()
{
	instance=$1
	shift
	cli attach "$instance" --host "$HOSTNQN" "$@" | tee "$ANSWERS/$instance"
}

# prepare_node: hugetlbfs, the drivers, and SPDK's libraries, whose first use takes longest
prepare_node()
{
	/job/spdk_tgt --version
	mkdir -p /dev/hugepages
	mount -t hugetlbfs none /dev/hugepages
	modprobe -a nvme vfio-pci vfio_iommu_type1
	wait_for 10 test -b /dev/nvme0n1
}
