#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# discover and install against disks that somebody uses, each in another way, on a real kernel, and
# against NVMe functions under every driver. All uses are made first, so that one discover tells
# all.
#
#   probe.sh

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

export CYBORG_SPDK_BIN=/job CYBORG_SPDK_STATE_DIR=/tmp/state
disks=13

# disk N: of memory, 64 MiB
disk()
{
	echo "/dev/nullb$1"
}

sectors()
{
	blockdev --getsz "$1"
}

number()
{
	cat "/sys/block/${1#/dev/}/dev"
}

# A partition table of one entry, from sector 2048 on, 32 MiB.
partition()
{
	printf '\000\000\000\000\203\000\000\000\000\010\000\000\000\000\001\000' |
		dd of="$1" bs=1 seek=446 conv=notrunc 2>/dev/null
	printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc 2>/dev/null
	blockdev --rereadpt "$1"
}

# An array of two disks without metadata of its own, by sysfs alone; it holds them before it runs.
raid()
{
	echo md7 >/sys/module/md_mod/parameters/new_array
	(
		cd /sys/block/md7/md
		echo none >metadata_version
		echo raid1 >level
		echo 2 >raid_disks
		number "$1" >new_dev
		number "$2" >new_dev
		echo 0 >"dev-${1#/dev/}/slot"
		echo 1 >"dev-${2#/dev/}/slot"
	)
}

uses()
{
	modprobe -a loop dm-mod md-mod raid1 zram ext4 nvmet
	# shellcheck disable=SC2046 # one word a disk
	memory_disks $(yes 512 | head -n $disks)
	mkdir -p /mnt/a /mnt/b
	mkfs.ext4 -q "$(disk 0)"
	mount "$(disk 0)" /mnt/a
	mkfs.ext4 -q "$(disk 1)"
	unshare -m sh -c "mount --make-rprivate / && mount $(disk 1) /mnt/b && exec sleep 1000" &
	mkswap "$(disk 2)" >/dev/null
	swapon "$(disk 2)"
	dmsetup create vg0-root -u LVM-0123456789abcdef \
		--table "0 $(sectors "$(disk 3)") linear $(disk 3) 0"
	dmsetup create secret -u CRYPT-LUKS2-00 \
		--table "0 $(sectors "$(disk 4)") linear $(disk 4) 0"
	raid "$(disk 5)" "$(disk 6)"
	partition "$(disk 7)"
	losetup /dev/loop0 "$(disk 8)"
	# shellcheck disable=SC2217 # it need not read: it has it open
	sleep 1000 <"$(disk 9)" &
	nvmet_start 127.0.0.1 4420 "$(disk 10)"
	blockdev --setro "$(disk 11)"
	# Reads wait as long as it is suspended.
	dmsetup create silent --table "0 $(sectors "$(disk 12)") linear $(disk 12) 0"
	dmsetup suspend silent
	echo 64M >/sys/block/zram0/disksize
	mkswap /dev/zram0 >/dev/null
	swapon /dev/zram0
	truncate -s 8M /tmp/file
	losetup /dev/loop1 /tmp/file
	ln /tmp/file /tmp/link
	wait_for 30 test -e /dev/nullb7p1
	wait_for 30 test -e /dev/dm-2
	wait_for 30 grep -q /mnt/b /proc/*/mountinfo
}

# Of the functions one is left to nobody, one given to vfio-pci and opened, one to it and not.
functions()
{
	modprobe -a nvme vfio-pci vfio_iommu_type1
	wait_for 30 test -b /dev/nvme0n1
	for serial in NOBODY GIVEN OPENED; do
		for ctrl in /sys/class/nvme/*; do
			[ "$(tr -d ' ' <"$ctrl/serial")" != $serial ] || break
		done
		function=$(basename "$(readlink -f "$ctrl/device")")
		echo "$function" >/tmp/$serial
		echo "$function" >/sys/bus/pci/drivers/nvme/unbind
		[ $serial = NOBODY ] || {
			echo vfio-pci >"/sys/bus/pci/devices/$function/driver_override"
			echo "$function" >/sys/bus/pci/drivers/vfio-pci/bind
		}
	done
	group=$(basename "$(readlink "/sys/bus/pci/devices/$function/iommu_group")")
	wait_for 30 test -c "/dev/vfio/$group"
	sleep 1000 <>"/dev/vfio/$group" &
	sleep 0.1
}

look()
{
	/job/cyborg-spdk discover >/tmp/table
	cat /tmp/table
	dmsetup resume silent
	/job/cyborg-spdk discover --json >/tmp/json
}

# told DEVICE PATTERN: discover says no and why
told()
{
	contains "$(grep "^$1 " /tmp/table)" " no  .*$2"
}

# refused_as DEVICE PATTERN: discover and install refuse it, with the same reason
refused_as()
{
	told "$1" "$2"
	output=$(refused /job/cyborg-spdk install a --backing "$1" 2>&1)
	contains "$output" "$2"
	test ! -e /tmp/state/targets/a
}

free_disk()
{
	contains "$(grep '^/dev/nvme.*FINE' /tmp/table)" ' yes  '
}

smart()
{
	for word in '"source": "smart"' '"temperature": 50' '"power_on_hours": 0' \
		'"serial": "FINE"' '"firmware": "[^"]'; do
		grep -q "$word" /tmp/json || {
			echo "no $word"
			return 1
		}
	done
}

worn_out()
{
	contains "$(grep '^/dev/nvme.*WORN' /tmp/table)" 'reliability is degraded; replace it'
}

# function_is SERIAL PATTERN: what discover says of the function
function_is()
{
	contains "$(grep "^$(cat "/tmp/$1") " /tmp/table)" "$2"
}

# What no namespace shows is a candidate itself, and not to be attached.
listed()
{
	list=$(/job/cyborg-spdk list)
	echo "$list"
	contains "$list" "^$(cat /tmp/GIVEN) .* forced "
	contains "$list" "^$(cat /tmp/OPENED) .* no "
	contains "$(echo "$list" | sed -n 2p)" '^/dev/nvme.* yes '
}

groups()
{
	contains "$(cat /tmp/table)" '^IOMMU: yes'
	contains "$(tr -d ' \n' </tmp/json)" "\"devices\":\[\"$(cat /tmp/GIVEN)\"\]"
}

file_of_a_loop_device()
{
	output=$(refused /job/cyborg-spdk install a --backing /tmp/link 2>&1)
	contains "$output" 'backs the loop device /dev/loop1'
}

step uses uses
step functions functions
step look look
step free_disk free_disk
step mount refused_as "$(disk 0)" 'mounted on /mnt/a'
step mount_in_another_namespace refused_as "$(disk 1)" 'mounted on /mnt/b'
step swap refused_as "$(disk 2)" 'swap space in use'
step lvm refused_as "$(disk 3)" 'LVM physical volume of the group vg0, under its volume root'
step device_mapper refused_as "$(disk 4)" 'under the device-mapper device secret'
step md refused_as "$(disk 5)" 'member of the MD array md7 \(raid1\)'
step md_mirror refused_as "$(disk 6)" 'member of the MD array md7 \(raid1\)'
step partitions refused_as "$(disk 7)" 'has 1 partition \(nullb7p1\)'
step loop refused_as "$(disk 8)" 'backs the loop device /dev/loop0'
step open_by_process refused_as "$(disk 9)" 'open in process [0-9]+ \(sleep\)'
step export refused_as "$(disk 10)" "exported by the kernel's NVMe target"
step read_only refused_as "$(disk 11)" 'read-only'
step silent told /dev/dm-2 'does not answer within'
step zram_swap refused_as /dev/zram0 'swap space in use'
step smart smart
step worn_out worn_out
step no_driver function_is NOBODY 'bound to no driver'
step given_to_vfio function_is GIVEN 'bound to vfio-pci'
step driven_from_user_space function_is OPENED 'driven from user space by process [0-9]+'
step listed listed
step groups groups
step file_of_a_loop_device file_of_a_loop_device
