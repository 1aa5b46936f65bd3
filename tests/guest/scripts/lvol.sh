#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kernel's NVMe/TCP host on logical volumes: namespace 1 is a thin volume, namespace 2 a clone of
# its snapshot. The target is killed while files are written to both, and started again; what fsync
# said was written must be there.
#
#   lvol.sh ADDRESS PORT CONTROL   the test behind CONTROL makes the clone and kills the target

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

address=$1
port=$2
control=$3
modprobe -a nvme-tcp ext4

connect()
{
	nvme connect -t tcp -a "$address" -s "$port" -n "$NQN" -q "$HOSTNQN" -I "$HOSTID" \
		-i 2 --reconnect-delay=1 --ctrl-loss-tmo=60
	wait_for 30 test -b /dev/nvme0n1
}

# mounted NSID COMMAND...: in the namespace's file system, which is unmounted behind it
mounted()
{
	device=/dev/nvme0n$1
	shift
	mount -t ext4 "$device" /mnt
	(cd /mnt && "$@")
	umount /mnt
}

check()
{
	echo 3 >/proc/sys/vm/drop_caches
	e2fsck -f -n "/dev/nvme0n$1"
}

mkfs()
{
	mkfs.ext4 -q -F /dev/nvme0n1
}

# write_files FOLDER
write_files()
{
	mkdir "$1"
	for i in 0 1 2 3 4 5 6 7 8 9; do
		head -c $((i * 99713 + 1)) /dev/urandom >"$1/$i"
	done
	find "$1" -type f | sort | xargs sha256sum >"$1.sums"
	cp "$1.sums" /tmp/
	sync
	fstrim .
}

# sums FOLDER...: what is there is what was written
sums()
{
	for folder; do
		cmp "/tmp/$folder.sums" "$folder.sums"
		sha256sum -c "$folder.sums"
	done
}

journey()
{
	mounted 1 write_files thin
	check 1
	mounted 1 sums thin
}

clone()
{
	ask "$control" clone
	wait_for 30 test -b /dev/nvme0n2
	check 2
	mounted 2 sums thin
}

clone_journey()
{
	mounted 2 write_files clone
	check 2
	mounted 2 sums thin clone
}

# The volume goes its own way from the snapshot, and does not see the clone's.
origin()
{
	mounted 1 rm -r thin
	mounted 1 write_files origin
	mounted 1 test ! -e clone
	mounted 1 sums origin
	mounted 2 sums thin clone
	check 1
}

# writer NSID: new files one after another in /mnt/NSID/load; those that are flushed get a line
writer()
{
	mkdir "/mnt/$1/load"
	i=0
	while [ ! -e /tmp/enough ] && [ $i -lt 400 ]; do
		file=load/$i
		head -c $((i % 7 * 30011 + 1000)) /dev/urandom >"/tmp/piece$1"
		dd status=none if="/tmp/piece$1" of="/mnt/$1/$file" bs=16K conv=fsync || return 1
		sum=$(sha256sum <"/tmp/piece$1")
		echo "${sum%-}$file" >>"/tmp/flushed$1"
		i=$((i + 1))
	done
}

# flushed COUNT: that many files of each namespace
flushed()
{
	[ "$(wc -l </tmp/flushed1)" -ge "$1" ] && [ "$(wc -l </tmp/flushed2)" -ge "$1" ]
}

killed_under_load()
{
	for nsid in 1 2; do
		mkdir /mnt/$nsid
		: >/tmp/flushed$nsid
		mount -t ext4 /dev/nvme0n$nsid /mnt/$nsid
	done
	writer 1 &
	first=$!
	writer 2 &
	second=$!
	wait_for 30 flushed 20
	ask "$control" kill
	before=$(cat /tmp/flushed1 /tmp/flushed2 | wc -l)
	wait_for 30 flushed $((before + 5))
	touch /tmp/enough
	wait $first
	wait $second
	echo "$before files were flushed when the target was back"
	umount /mnt/1 /mnt/2
}

after_kill()
{
	check "$1"
	mount -t ext4 -o ro "/dev/nvme0n$1" /mnt
	(cd /mnt && sha256sum -c "/tmp/flushed$1" >/tmp/verdict) || {
		grep -v ': OK$' /tmp/verdict
		return 1
	}
	echo "$(wc -l <"/tmp/flushed$1") files"
	shift
	(cd /mnt && sums "$@")
	umount /mnt
}

# Errors are none: the host holds its requests back until the target is there again.
kernel_content()
{
	if dmesg | grep -iE 'EXT4-fs (error|warning)|hung task|(buffer )?I/O error'; then
		return 1
	fi
}

step connect connect
step mkfs mkfs
step journey journey
step clone clone
step clone_journey clone_journey
step origin origin
step killed_under_load killed_under_load
step after_kill_volume after_kill 1 origin
step after_kill_clone after_kill 2 thin clone
step kernel_content kernel_content
dmesg | grep -iE 'nvme|ext4'
