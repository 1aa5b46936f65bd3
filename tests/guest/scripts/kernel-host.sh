#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kernel's NVMe/TCP host and nvme-cli against a target.
#
#   kernel-host.sh ADDRESS PORT CONTROL   a target elsewhere; the test behind CONTROL changes it
#   kernel-host.sh nvmet                  the kernel's own target in this guest, to prove the steps

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

if [ "$1" = nvmet ]; then
	address=127.0.0.1
	port=4420
	memory_disks 512 512
	nvmet_start "$address" $port /dev/nullb0
else
	address=$1
	port=$2
	control=$3
fi
modprobe -a nvme-tcp ext4

SECRET=DHHC-1:00:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh+KfiaR:
OTHER_SECRET=DHHC-1:00:Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQBy77Ca:

connect()
{
	nvme connect -t tcp -a "$address" -s "$port" -n "$NQN" -q "$HOSTNQN" -I "$HOSTID" -l 10 "$@" &&
		wait_for 30 test -b /dev/nvme0n1
}

disconnect()
{
	nvme disconnect -n "$NQN" && wait_for 30 test ! -e /dev/nvme0
}

# change WORD NSID: add or remove a namespace of the connected subsystem
change()
{
	if [ -n "${control-}" ]; then
		ask "$control" "$@"
	elif [ "$1" = add ]; then
		nvmet_add_ns "$2" /dev/nullb1
	else
		nvmet_remove_ns "$2"
	fi
}

# supports BIT NAME: of ONCS in Identify Controller
supports()
{
	oncs=$(nvme id-ctrl /dev/nvme0 | sed -n 's/^oncs *: *//p')
	[ $((oncs >> $1 & 1)) = 1 ] || skip "the controller has no $2"
}

discover()
{
	out=$(nvme discover -t tcp -a "$address" -s "$port" -q "$HOSTNQN")
	echo "$out"
	contains "$out" "^subnqn: +$NQN"
	contains "$out" "^trtype: +tcp"
	contains "$out" "^trsvcid: +[0-9]+"
	contains "$out" "^subtype: +nvme subsystem"
}

discover_other_host()
{
	out=$(nvme discover -t tcp -a "$address" -s "$port" -q "$OTHER_HOSTNQN")
	echo "$out"
	if contains "$out" "$NQN" >/dev/null; then
		echo "a host that is not allowed was told of the subsystem"
		return 1
	fi
}

connect_unknown_nqn()
{
	refused nvme connect -t tcp -a "$address" -s "$port" -n "${NQN}x" -q "$HOSTNQN" -I "$HOSTID"
}

connect_other_host()
{
	refused nvme connect -t tcp -a "$address" -s "$port" -n "$NQN" -q "$OTHER_HOSTNQN"
}

id_ctrl()
{
	out=$(nvme id-ctrl /dev/nvme0)
	echo "$out"
	contains "$out" "^sn +: $SERIAL *$"
	contains "$out" "^mn +: $MODEL *$"
	contains "$out" "^subnqn +: $NQN *$"
	contains "$out" "^nn +: [1-9]"
}

id_ns()
{
	nvme list-ns /dev/nvme0 | grep -q ':0x1$'
	out=$(nvme id-ns /dev/nvme0n1)
	echo "$out"
	sectors=$(cat /sys/block/nvme0n1/size)
	lbads=$(printf '%s\n' "$out" | sed -n 's/.*lbads:\([0-9]*\).*in use.*/\1/p')
	nsze=$(printf '%s\n' "$out" | sed -n 's/^nsze *: *//p')
	[ $((nsze << lbads)) = $((sectors * 512)) ]
	nvme ns-descs /dev/nvme0n1
}

list()
{
	out=$(nvme list)
	echo "$out"
	contains "$out" "^/dev/nvme0n1 .*$SERIAL +$MODEL .*MB"
	nvme list-subsys
}

logs_and_features()
{
	nvme smart-log /dev/nvme0
	nvme error-log /dev/nvme0 -e 1
	nvme fw-log /dev/nvme0
	out=$(nvme get-feature /dev/nvme0 -f 7)
	echo "$out"
	contains "$out" "Current value"
	nvme get-feature /dev/nvme0 -f 0xf
}

queues()
{
	[ "$(cat /sys/class/nvme/nvme0/queue_count)" = "$1" ]
}

# write_read MIB
write_read()
{
	dd status=none if=/dev/urandom of=/tmp/data bs=1M count="$1"
	dd status=none if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct
	dd status=none if=/dev/nvme0n1 of=/tmp/back bs=512K count=$(($1 * 2)) iflag=direct
	cmp /tmp/data /tmp/back
}

odd_sizes()
{
	for blocks in 1 3 7 9 31 255; do
		dd status=none if=/tmp/data of=/dev/nvme0n1 bs=512 count=$blocks seek=77 oflag=direct
		dd status=none if=/dev/nvme0n1 of=/tmp/back bs=512 count=$blocks skip=77 iflag=direct
		head -c $((blocks * 512)) /tmp/data | cmp - /tmp/back
	done
}

flush()
{
	nvme flush /dev/nvme0n1
}

compare()
{
	supports 0 Compare
	head -c 4096 /tmp/data >/tmp/same
	{ tail -c 1024 /tmp/data; head -c 3072 /tmp/data; } >/tmp/other
	nvme write /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/same
	nvme compare /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/same
	refused nvme compare /dev/nvme0n1 -s 8 -c 7 -z 4096 -d /tmp/other >/tmp/refusal 2>&1
	cat /tmp/refusal
	grep -qiE "compare.?failure|0x4?285" /tmp/refusal
}

# The first MiB keeps the data of write_read's where this does not write.
write_zeroes()
{
	supports 3 "Write Zeroes"
	dd status=none if=/tmp/data of=/dev/nvme0n1 bs=1M count=1 oflag=direct
	nvme write-zeroes /dev/nvme0n1 -s 100 -c 199
	{
		head -c 51200 /tmp/data
		head -c 102400 /dev/zero
		head -c 1048576 /tmp/data | tail -c 894976
	} >/tmp/expected
	dd status=none if=/dev/nvme0n1 of=/tmp/back bs=1M count=1 iflag=direct
	cmp /tmp/expected /tmp/back
}

discard()
{
	supports 2 "Dataset Management"
	nvme dsm /dev/nvme0n1 -d -s 0,64 -b 64,64
	dd status=none if=/dev/nvme0n1 of=/tmp/back bs=64K count=1 iflag=direct
	tail -c +65537 /tmp/expected | head -c 4096 >/tmp/behind
	dd status=none if=/dev/nvme0n1 bs=4096 count=1 skip=16 iflag=direct | cmp - /tmp/behind
}

out_of_range()
{
	last=$(($(cat /sys/block/nvme0n1/size) - 1))
	nvme read /dev/nvme0n1 -s $last -c 0 -z 512 -d /tmp/back
	refused nvme read /dev/nvme0n1 -s $last -c 1 -z 1024 -d /tmp/back
	refused nvme read /dev/nvme0n1 -s $((last + 1)) -c 0 -z 512 -d /tmp/back
}

mkfs()
{
	mkfs.ext4 -q -F /dev/nvme0n1
}

write_files()
{
	mount -t ext4 /dev/nvme0n1 /mnt
	cp /tmp/data /mnt/data
	mkdir /mnt/many
	for i in 0 1 2 3 4 5 6 7 8 9; do
		head -c $((i * 997 + 1)) /tmp/data >/mnt/many/$i
	done
	(cd /mnt && find . -type f | sort | xargs sha256sum) >/tmp/sums
	cp /tmp/sums /mnt/sums
	sync
	fstrim /mnt
	umount /mnt
}

fsck()
{
	echo 3 >/proc/sys/vm/drop_caches
	e2fsck -f -n /dev/nvme0n1
}

sha256()
{
	mount -t ext4 -o ro /dev/nvme0n1 /mnt
	cmp /tmp/sums /mnt/sums
	(cd /mnt && sha256sum -c sums)
	umount /mnt
}

reset()
{
	nvme reset /dev/nvme0
	wait_for 30 grep -q live /sys/class/nvme/nvme0/state
	dd status=none if=/dev/nvme0n1 of=/dev/null bs=4096 count=16 iflag=direct
}

# Reset while a reader is busy: the host puts its requests again, none fails.
reset_under_load()
{
	dd status=none if=/dev/nvme0n1 of=/tmp/back bs=16K count=1024 iflag=direct &
	reader=$!
	sleep 0.1
	nvme reset /dev/nvme0
	wait $reader
}

namespace_added()
{
	change add 2
	wait_for 30 test -b /dev/nvme0n2
	dd status=none if=/dev/nvme0n2 of=/dev/null bs=4096 count=4 iflag=direct
}

namespace_removed()
{
	change remove 2
	wait_for 30 test ! -e /dev/nvme0n2
	dd status=none if=/dev/nvme0n1 of=/dev/null bs=4096 count=4 iflag=direct
}

digests()
{
	connect "$@"
	write_read 2
	odd_sizes
	disconnect
}

# with_key COMMAND...: while the target wants the host to authenticate
with_key()
{
	[ -n "${control-}" ] || skip "the kernel's target was given no key"
	ask "$control" key "$SECRET"
	if (set -e; "$@"); then code=0; else code=$?; fi
	ask "$control" no_key >/dev/null
	return $code
}

connect_without_the_key()
{
	refused nvme connect -t tcp -a "$address" -s "$port" -n "$NQN" -q "$HOSTNQN" -I "$HOSTID"
}

connect_with_the_key()
{
	grep -q ' nvme_auth_negotiate' /proc/kallsyms ||
		skip "this kernel is made without authentication (CONFIG_NVME_AUTH)"
	refused nvme connect -t tcp -a "$address" -s "$port" -n "$NQN" -q "$HOSTNQN" -I "$HOSTID" \
		-S "$OTHER_SECRET"
	connect -S "$SECRET"
	write_read 2
	disconnect
}

# A keep-alive time of 2 s and silence for more than that: the host's Keep Alive commands count.
keep_alive()
{
	connect -k 2
	sleep 3
	grep -q live /sys/class/nvme/nvme0/state
	dd status=none if=/dev/nvme0n1 of=/dev/null bs=4096 count=1 iflag=direct
	disconnect
	if dmesg | grep -i nvme | grep -iE 'keep.?alive'; then
		return 1
	fi
}

kernel_content()
{
	if dmesg | grep -iE 'nvme.*(timeout|error|fail|invalid|digest)|hung task|I/O error'; then
		return 1
	fi
}

step discover discover
step discover_other_host discover_other_host
step connect_unknown_nqn connect_unknown_nqn
step connect_other_host connect_other_host
dmesg -c >/dev/null
step connect connect -i 2 -Q 64
step id_ctrl id_ctrl
step id_ns id_ns
step list list
step logs_and_features logs_and_features
step queues queues 3
step write_read write_read 8
step odd_sizes odd_sizes
step flush flush
step write_zeroes write_zeroes
step discard discard
step kernel_content kernel_content
step compare compare
step out_of_range out_of_range
dmesg -c >/dev/null
step mkfs mkfs
step write_files write_files
step fsck fsck
step sha256 sha256
step reset reset
step reset_under_load reset_under_load
step namespace_added namespace_added
step namespace_removed namespace_removed
step disconnect disconnect
step header_digest digests -g
step data_digest digests -G
step both_digests digests -g -G -i 2
step keep_alive keep_alive
step kernel_content_at_the_end kernel_content
# The kernel tells of these, as it should.
step connect_without_the_key with_key connect_without_the_key
step connect_with_the_key with_key connect_with_the_key
dmesg | grep -i nvme
