#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A virtual machine with two disks of a target over vhost-user-blk: /dev/vda may be written to,
# /dev/vdb is read-only and holds what /dev/vda held when its snapshot was taken.
#
#   vhost.sh CONTROL-PORT SERIAL SECTORS

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

modprobe virtio_blk
wait_for 30 test -b /dev/vdb

fill()
{
	dd status=none if=/dev/urandom of=/tmp/data bs=1M count=1
	dd status=none if=/tmp/data of=/dev/vda bs=256K oflag=direct
}

capacity()
{
	[ "$(cat /sys/block/vda/size)" = "$1" ]
	[ "$(cat /sys/block/vdb/size)" = "$1" ]
}

serial()
{
	[ "$(cat /sys/block/vda/serial)" = "$1" ]
}

verified()
{
	fill
	[ "$(sum_of /dev/vda)" = "$(sha256sum </tmp/data | cut -c 1-64)" ]
}

read_only()
{
	[ "$(cat /sys/block/vda/ro)" = 0 ]
	[ "$(cat /sys/block/vdb/ro)" = 1 ]
	refused dd if=/tmp/data of=/dev/vdb bs=4K count=1 oflag=direct
	sum_of /dev/vdb >/dev/null
}

file_system()
{
	modprobe ext4
	mkfs.ext4 -q -O ^has_journal /dev/vda
	mount /dev/vda /mnt
	cp /job/lib.sh /mnt/
	umount /mnt
	mount /dev/vda /mnt
	cmp /job/lib.sh /mnt/lib.sh
	umount /mnt
}

rewritten()
{
	dd status=none if=/tmp/data of=/dev/vda bs=64K oflag=direct || return 1
	dd status=none if=/dev/vda bs=64K count=16 iflag=direct | cmp - /tmp/data
}

# Writes and reads back without a pause while the target is away for a time.
while_host()
{
	fill
	rm -f /tmp/stop /tmp/wrong
	(
		while [ ! -e /tmp/stop ]; do
			rewritten || touch /tmp/wrong
			sleep 0.1
		done
	) &
	worker=$!
	ask "$control" "$@" || touch /tmp/wrong
	touch /tmp/stop
	wait $worker
	[ ! -e /tmp/wrong ]
}

control=$1
step capacity capacity "$3"
step serial serial "$2"
step verified verified
step read_only read_only
step file_system file_system
step detach_is_refused ask "$control" detach
step attached_again ask "$control" attach
step target_updated while_host update
step target_killed while_host kill
echo "sum $(sum_of /dev/vda)"
