#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Accelerators on two NVMe functions: without hugepages, with a target killed, and on a node that
# ends without notice and is booted again. What it keeps lies on /dev/vda.
#
#   function-reboot.sh first|again|other|agent
#
# Two targets that poll leave an emulated machine of two processors no time for the rest: these
# sleep.
#
# Of the boot "other" the function of accelerator a is at $MOVED, and another one where it was.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh
# shellcheck source=tests/guest/scripts/function-lib.sh
. /job/function-lib.sh

FUNCTION=0000:00:10.0
SECOND=0000:00:11.0
MOVED=0000:00:12.0
RESERVED=8 # hugepages by the kernel's command line
ANSWERS=/mnt/answers
# Without iSCSI an SPDK takes half of the memory, and starts sooner.
if [ -e /job/nvmf_tgt ]; then
	TARGET=/job/nvmf_tgt MEMORY=512M BOTH=512
else
	TARGET=/job/spdk_tgt MEMORY=1G BOTH=1024
fi
SPDK="--target $TARGET --hugepages $MEMORY --target-argument --interrupt-mode"
export CYBORG_SPDK_STATE_DIR=/mnt/state CYBORG_SPDK_BIN=/job

as_before()
{
	[ "$(cat $PAGES) $(driver $FUNCTION) $(driver $SECOND)" = "$RESERVED nvme nvme" ]
	[ "$(cat $PCI/$FUNCTION/driver_override $PCI/$SECOND/driver_override | sort -u)" = "(null)" ]
	[ -z "$(ls /dev/hugepages)" ]
	refused pgrep spdk
}

# disk_of FUNCTION: the kernel's block device on it
disk_of()
{
	for namespace in "$PCI/$1"/nvme/nvme*/nvme*n1; do
		echo "/dev/$(basename "$namespace")"
	done
}

identity()
{
	cli status --json | grep -E '"(nqn|uuid|nguid|serial|model|host|port|size|bdev|volume)":'
}

# data INSTANCE WORD...: other data for each
data()
{
	perf "$@" -o 64K --length 4M --seed "${1#vm}"
}

same_data()
{
	data "$1" --verify-only
}

both_are_right()
{
	cli status
	contains "$(cli status --json)" '^  "health": "ok"'
	[ "$(cat $PAGES) $(driver $FUNCTION) $(driver $SECOND)" = "$BOTH vfio-pci vfio-pci" ]
	identity | diff $ANSWERS/identity -
	same_data vm1
	same_data vm2
}

# --- first ----------------------------------------------------------------------------------------

# The function reads and writes ordinary memory, by the IOMMU.
no_huge()
{
	cli install a --backing $FUNCTION --bind $FUNCTION --target "$TARGET" --no-huge \
		--target-argument --interrupt-mode
	[ "$(cat $PAGES) $(driver $FUNCTION)" = "$RESERVED vfio-pci" ]
	attach vm1
	data vm1 --workload write --verify-pattern persistent
	same_data vm1
	cli detach vm1
	cli uninstall a --wipe
	as_before
	cmp -n 67108864 "$(disk_of $FUNCTION)" /dev/zero
}

two_functions()
{
	# shellcheck disable=SC2086 # words
	cli install a --backing $FUNCTION --bind $FUNCTION $SPDK --store pool
	# shellcheck disable=SC2086 # words
	refused_for "is the backing of the accelerator a" cli install b --backing $FUNCTION \
		--bind $FUNCTION $SPDK
	# shellcheck disable=SC2086 # words
	cli install b --backing $SECOND --bind $SECOND $SPDK
	attach vm1 --accelerator a --size 8M
	attach vm2 --accelerator b
	for vm in vm1 vm2; do
		data $vm --workload write --verify-pattern persistent
	done
	identity | tee $ANSWERS/identity
	sync
	both_are_right
}

is_writing()
{
	[ "$(grep -c ':1145 01 ' /proc/net/tcp)" -ge 2 ] # port 4421: admin queue and I/O queue
}

# What the device was doing when its driver died is over before another one has it.
killed_in_flight()
{
	perf vm2 --workload randwrite -q 128 -o 64K --time 60 >/tmp/io 2>&1 &
	wait_for 20 is_writing
	kill -9 "$(pid_of b 1)" "$(pid_of b 2)"
	refused wait $!
	cat /tmp/io
	cli recover
	data vm2 --workload write --verify-pattern persistent
	both_are_right
	sync
}

# --- again ----------------------------------------------------------------------------------------

told()
{
	as_before
	refused cli status >/tmp/told
	cat /tmp/told
	for pattern in "node was booted since the target of a ran" \
		"node was booted since the target of b ran" \
		"$FUNCTION has the driver nvme and should have vfio-pci" \
		"$SECOND has the driver nvme and should have vfio-pci" \
		"hugepages of 2048 KiB"; do
		contains "$(cat /tmp/told)" "$pattern"
	done
}

taken()
{
	disk=$(disk_of $SECOND)
	cli list >/tmp/list
	cat /tmp/list
	refused contains "$(cat /tmp/list)" " yes "
	contains "$(cat /tmp/list)" "$disk .*accelerator b"
	contains "$(cat /tmp/list)" "$SECOND .*accelerator b"
	for words in "--backing $SECOND --bind $SECOND $SPDK" "--backing $disk" \
		"--memory 8M --bind $SECOND"; do
		# shellcheck disable=SC2086 # words
		refused_for "accelerator b" cli install c $words
	done
	as_before
}

recovered()
{
	cli recover
	both_are_right
	cli attach vm1 --host "$HOSTNQN" --accelerator a --size 8M
	cli attach vm2 --host "$HOSTNQN" --accelerator b
}

# --- other ----------------------------------------------------------------------------------------

other_function()
{
	other=$(disk_of $FUNCTION) moved=$(disk_of $MOVED)
	dd status=none if="$moved" bs=1M iflag=direct | sha256sum >/tmp/before
	refused cli status >/tmp/told
	contains "$(cat /tmp/told)" "its serial is \"OTHERNVME\", recorded is \"GUESTNVME0\".*$MOVED"
	refused_for "its serial is \"OTHERNVME\", recorded is \"GUESTNVME0\".*$MOVED" cli recover a
	[ "$(driver $FUNCTION) $(driver $MOVED)" = "nvme nvme" ]
	[ "$(cat $PCI/$FUNCTION/driver_override $PCI/$MOVED/driver_override | sort -u)" = "(null)" ]
	[ "$(cat $PAGES)" = $RESERVED ]
	refused pgrep spdk
	cmp -n 67108864 "$other" /dev/zero
	dd status=none if="$moved" bs=1M iflag=direct | sha256sum | diff /tmp/before -
}

moved_function()
{
	for words in "--backing $MOVED --bind $MOVED $SPDK" \
		"--backing $(disk_of $MOVED)" "--memory 8M --bind $MOVED"; do
		# shellcheck disable=SC2086 # words
		refused_for "accelerator a" cli install c $words --force GUESTNVME0
	done
	contains "$(cli list)" "$(disk_of $MOVED) .*accelerator a"
}

# The other accelerator is not kept from its life.
second()
{
	refused cli recover
	same_data vm2
	cli detach vm2
	cli uninstall b --wipe
	as_before
	cmp -n 67108864 "$(disk_of $SECOND)" /dev/zero
}

# --- agent ----------------------------------------------------------------------------------------

is_healthy()
{
	cli status >/tmp/status 2>&1
}

agent()
{
	as_before
	/job/cyborg-spdk-agent --interval 1 >/tmp/agent 2>&1 &
	agent=$!
	wait_for 60 is_healthy || { cat /tmp/agent /tmp/status; return 1; }
	kill $agent
	wait $agent
	same_data vm1
}

uninstall()
{
	cli detach vm1 --delete
	cli uninstall a
	as_before
	cmp -n 1048576 "$(disk_of $FUNCTION)" /dev/zero
}

modprobe -a virtio_blk ext4
[ "$1" != first ] || mkfs.ext4 -q /dev/vda
mount /dev/vda /mnt
mkdir -p $ANSWERS
prepare_node
case $1 in
first)
	step no_huge no_huge
	step two_functions two_functions
	step killed_in_flight killed_in_flight
	;;
again)
	step told told
	step taken taken
	step recovered recovered
	;;
other)
	step other_function other_function
	step moved_function moved_function
	step second second
	;;
agent)
	step agent agent
	step uninstall uninstall
	exit
	;;
esac
# Nothing is written any more, and no process is told.
echo b >/proc/sysrq-trigger
sleep 60
