#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every use of a disk made by the tool that makes it in real life, on a real kernel: discover, list
# and install refuse it, each with its own words, a serial does not help, and nothing is refused any
# more once the same tool has taken it down. All uses are made first, so that one discover tells
# all.
#
#   in-use.sh

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

export CYBORG_SPDK_BIN=/job CYBORG_SPDK_STATE_DIR=/tmp/state
export LVM_SUPPRESS_FD_WARNINGS=1 DM_DISABLE_UDEV=1
NULLB_CONFIG=/sys/kernel/config/nullb

# new NAME [MIB]: a disk of memory, /tmp/disk/NAME says which
new()
{
	disk=0
	while ! mkdir $NULLB_CONFIG/nullb$disk 2>/dev/null; do
		disk=$((disk + 1))
	done
	echo 1 >$NULLB_CONFIG/nullb"$disk"/memory_backed
	echo "${2-64}" >$NULLB_CONFIG/nullb"$disk"/size
	echo 1 >$NULLB_CONFIG/nullb"$disk"/discard
	echo "${3-512}" >$NULLB_CONFIG/nullb"$disk"/blocksize
	echo 1 >$NULLB_CONFIG/nullb"$disk"/power
	echo "/dev/nullb$disk" >"/tmp/disk/$1"
}

# of NAME: its path
of()
{
	cat "/tmp/disk/$1"
}

# A partition table of one entry, from sector 2048 on, 48 MiB.
partition()
{
	printf '\000\000\000\000\216\000\000\000\000\010\000\000\000\200\001\000' |
		dd of="$1" bs=1 seek=446 conv=notrunc 2>/dev/null
	printf '\125\252' | dd of="$1" bs=1 seek=510 conv=notrunc 2>/dev/null
	blockdev --rereadpt "$1"
	wait_for 30 test -b "$1p1"
}

prepare()
{
	modprobe -a loop dm-mod dm-crypt xts raid1 bcache btrfs ext4 nvmet target_core_iblock \
		target_core_file virtio_scsi sd_mod sr_mod sg isofs nvme
	modprobe null_blk nr_devices=0
	modprobe drbd usermode_helper=/bin/true
	mount_configfs
	mkdir -p /run/lock /var/lock /var/lib/drbd /tmp/disk /etc/lvm
	for name in a b c d f g h late pins; do
		mkdir -p /mnt/$name
	done
	# A file system of 64 MiB, to be copied: all that it has written is in the first MiB.
	truncate -s 64M /tmp/ext4
	mkfs.ext4 -q -b 4096 -N 64 -O ^has_journal /tmp/ext4
	# There is no udevd here.
	cat >/etc/lvm/lvm.conf <<-'END'
		global {
			thin_check_executable = ""
			cache_check_executable = ""
		}
		activation {
			udev_sync = 0
			udev_rules = 0
			verify_udev_operations = 0
			monitoring = 0
		}
		devices {
			obtain_device_list_from_udev = 0
			global_filter = [ "a|/dev/nullb|", "a|/dev/sd|", "r|.*|" ]
			use_devicesfile = 0
			types = [ "nullb", 16 ]
		}
		backup {
			backup = 0
			archive = 0
		}
	END
}

# Many commands, one process: lvm takes its time to start.
lvm_uses()
{
	for name in pv idle active extra half gone pool cache fast part; do
		new $name
	done
	partition "$(of part)"
	lvm >/tmp/lvm.log 2>&1 <<-END
		pvcreate $(of pv)
		vgcreate vgidle $(of idle)
		lvcreate -an -Wn -Zn -l 4 -n quiet vgidle
		vgcreate vg-live $(of active) $(of extra)
		lvcreate -Wn -Zn -l 4 -n data vg-live $(of active)
		vgcreate vghalf $(of half) $(of gone)
		vgcreate vgmix $(of pool) $(of cache) $(of fast)
		lvcreate -l 6 --type thin-pool -n thin vgmix $(of pool)
		lvcreate -Wn -Zn -l 8 -n slow vgmix $(of cache)
		lvcreate -s -l 2 -n copy vgmix/slow $(of cache)
		lvcreate -Wn -Zn -l 4 -n origin vgmix $(of fast)
		lvcreate -Wn -Zn -l 6 -n quick vgmix $(of fast)
		lvconvert -y --type cache --cachevol quick vgmix/origin
		vgcreate vgpart $(of part)p1
		lvcreate -Wn -Zn -l 4 -n inside vgpart
	END
	cat /tmp/lvm.log
	mkswap /dev/vg-live/data >/dev/null
	swapon /dev/vg-live/data
	dd if=/dev/zero of="$(of gone)" bs=1M count=8 2>/dev/null
	test -e /dev/vgpart/inside
}

md_uses()
{
	for name in md0 md1 spare stopped0 stopped1; do
		new $name
	done
	mdadm --quiet --create /dev/md7 --run --level 1 --raid-devices 2 --spare-devices 1 \
		--metadata 1.2 --assume-clean "$(of md0)" "$(of md1)" "$(of spare)"
	mdadm --quiet --create /dev/md8 --run --level 1 --raid-devices 2 --metadata 1.2 \
		--homehost elsewhere --name old --assume-clean "$(of stopped0)" "$(of stopped1)"
	mdadm --quiet --stop /dev/md8
}

luks_uses()
{
	new luks_open
	new luks_shut
	echo secret | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
		--pbkdf-force-iterations 1000 --luks2-keyslots-size 512k --key-file - \
		"$(of luks_open)"
	dd if="$(of luks_open)" of="$(of luks_shut)" bs=1M count=1 2>/dev/null
	echo secret | cryptsetup open --key-file - "$(of luks_open)" secret
}

bcache_uses()
{
	for name in bbacking bfile; do
		new $name
	done
	new bcaching 192
	make-bcache -B "$(of bbacking)" >/dev/null
	make-bcache -C --bucket 128k "$(of bcaching)" >/dev/null
	make-bcache -B "$(of bfile)" >/dev/null
	of bbacking >/sys/fs/bcache/register
	of bcaching >/sys/fs/bcache/register
}

btrfs_uses()
{
	for name in btrfs0 btrfs1 btrfs2 btrfs3; do
		new $name 128
	done
	mkfs.btrfs -q -K -d single -m single "$(of btrfs0)" "$(of btrfs1)"
	mkfs.btrfs -q -K -d single -m single "$(of btrfs2)" "$(of btrfs3)"
	mount -t btrfs -o "device=$(of btrfs1)" "$(of btrfs0)" /mnt/a
}

drbd_uses()
{
	new drbd
	drbdmeta --force 0 v08 "$(of drbd)" internal create-md >/dev/null
	drbdsetup-84 new-resource files
	drbdsetup-84 new-minor files 3 0
	drbdsetup-84 attach 3 "$(of drbd)" "$(of drbd)" internal
}

# file_system NAME: ext4
file_system()
{
	dd if=/tmp/ext4 of="$(of "$1")" bs=1M count=1 2>/dev/null
}

# pin NAME FOLDER PIN-COMMAND...: mounted in a namespace that has no process any more, only what the
# command keeps, which is given the namespace's path
pin()
{
	disk=$(of "$1")
	file_system "$1"
	unshare -m sh -c "mount --make-rprivate / && mount $disk $2 && exec sleep 1000" &
	holder=$!
	wait_for 30 grep -q " $2 " /proc/$holder/mountinfo
	shift 2
	"$@" "/proc/$holder/ns/mnt"
	kill $holder
}

pin_by_mount()
{
	mount -t tmpfs tmpfs /mnt/pins
	mount --make-private /mnt/pins
	touch /mnt/pins/namespace
	mount --bind "$1" /mnt/pins/namespace
}

pin_by_fd()
{
	# shellcheck disable=SC2217 # it need not read: it has the namespace open
	sleep 1000 <"$1" &
	echo $! >>/tmp/pids
	sleep 0.1
}

file_system_uses()
{
	for name in pinned_mount pinned_fd journal data lazy frozen node; do
		new $name
	done
	pin pinned_mount /mnt/b pin_by_mount
	pin pinned_fd /mnt/c pin_by_fd
	mkfs.ext4 -q -b 4096 -O journal_dev "$(of journal)"
	mkfs.ext4 -q -b 4096 -N 64 -J device="$(of journal)" "$(of data)"
	mount "$(of data)" /mnt/d
	file_system lazy
	mount "$(of lazy)" /mnt/f
	sleep 1000 >/mnt/f/open &
	echo $! >>/tmp/pids
	sleep 0.1
	umount -l /mnt/f
	file_system frozen
	mount "$(of frozen)" /mnt/g
	fsfreeze --freeze /mnt/g
	file_system node
	# shellcheck disable=SC2046 # two words
	mknod /tmp/elsewhere b $(tr : ' ' <"/sys/block/$(basename "$(of node)")/dev")
	mount /tmp/elsewhere /mnt/h
}

process_uses()
{
	for name in exclusive mapped ring thread open_node open_disk; do
		new $name
	done
	for way in exclusive mapped ring thread; do
		/job/hold $way "$(of $way)"
	done
	# shellcheck disable=SC2046 # two words
	mknod /tmp/node b $(tr : ' ' <"/sys/block/$(basename "$(of open_node)")/dev")
	/job/hold exclusive /tmp/node
	partition "$(of open_disk)"
	wait_for 30 test -b "$(of open_disk)p1"
	# shellcheck disable=SC2217
	sleep 1000 <"$(of open_disk)" &
	echo $! >>/tmp/pids
	# shellcheck disable=SC2217
	sleep 1000 </dev/sg0 &
	echo $! >>/tmp/pids
}

export_uses()
{
	core=/sys/kernel/config/target/core
	for name in lio loop_disk; do
		new $name
	done
	mkdir -p $core/iblock_0/disk $core/fileio_0/file
	echo "udev_path=$(of lio)" >$core/iblock_0/disk/control
	echo 1 >$core/iblock_0/disk/enable
	truncate -s 8M /tmp/lio.img /mnt/d/nvmet.img
	ln /tmp/lio.img /tmp/lio-link
	ln /mnt/d/nvmet.img /mnt/d/nvmet-link
	echo fd_dev_name=/tmp/lio.img,fd_dev_size=8388608 >$core/fileio_0/file/control
	echo 1 >$core/fileio_0/file/enable
	nvmet_start 127.0.0.1 4420 /mnt/d/nvmet.img
	partition "$(of loop_disk)"
	wait_for 30 test -b "$(of loop_disk)p1"
	losetup /dev/loop5 "$(of loop_disk)"
	dd if=/dev/zero of=/mnt/d/swap bs=1M count=4 2>/dev/null
	mkswap /mnt/d/swap >/dev/null
	ln /mnt/d/swap /mnt/d/swap-link
	swapon /mnt/d/swap
	truncate -s 8M /tmp/mapped.img /tmp/ring.img
	ln /tmp/mapped.img /tmp/mapped-link
	/job/hold mapped /tmp/mapped.img
	/job/hold ring /tmp/ring.img
}

mapper_uses()
{
	for name in path0 path1; do
		new $name
	done
	dmsetup create mpatha -u mpath-360000000000000000e00000000010001 --table \
		"0 131072 multipath 2 queue_mode bio 0 1 1 round-robin 0 2 1 $(of path0) 1 $(of path1) 1"
}

# controller SERIAL N: the N-th controller with that serial
controller()
{
	for c in /sys/class/nvme/*; do
		[ "$(tr -d ' ' <"$c/serial")" != "$1" ] || echo "$c"
	done | sed -n "${2}p"
}

# Of two namespaces of one controller the first is used; so is the one that two controllers share.
# Of the third the controller's own device is open.
nvme_uses()
{
	for serial in MANY DUAL CHAR; do
		head=$(find "$(controller $serial 1)/" -maxdepth 1 -name 'nvme*n1' |
			sed 's/.*\(nvme[0-9]*\)\(c[0-9]*\)\{0,1\}n1$/\1n1/')
		echo "/dev/$head" >/tmp/disk/$serial
	done
	for serial in MANY DUAL; do
		dmsetup create use-$serial --table "0 2048 linear $(of $serial) 0"
	done
	# shellcheck disable=SC2217
	sleep 1000 <>"/dev/$(basename "$(controller CHAR 1)")" &
	echo $! >>/tmp/pids
	sleep 0.1
}

look()
{
	/job/cyborg-spdk discover >/tmp/table
	cat /tmp/table
	/job/cyborg-spdk list >/tmp/list
	cat /tmp/list
}

# kernel_name PATH: of a block device, whatever it is called
kernel_name()
{
	case $1 in
	/dev/nullb* | /dev/nvme* | /dev/sd*) echo "${1##*/}" ;;
	*)
		basename "$(readlink "/sys/dev/block/$(stat -L -c '%t:%T' "$1" |
			{ IFS=: read -r major minor; echo $((0x$major)):$((0x$minor)); })")"
		;;
	esac
}

# path_of WHAT: a path, or that of a disk's name
path_of()
{
	case $1 in
	/*) echo "$1" ;;
	*) of "$1" ;;
	esac
}

# told NAME PATTERN: discover says no and why
told()
{
	grep -E "^/dev/$1 .* no  .*$2" /tmp/table
}

# What discover does not let be used, list does not either.
listed()
{
	awk 'FILENAME == "/tmp/table" && / (no|forced)  / { against[$1] = 1 }
		FILENAME == "/tmp/list" && / yes / && $1 in against { print; bad = 1 }
		FILENAME == "/tmp/list" && / no / { no++ }
		END { exit bad || no < 30 }' /tmp/table /tmp/list
}

serial_of()
{
	grep -s . "/sys/class/block/$1/dm/uuid" || grep -s . "/sys/class/block/$1/md/uuid" ||
		grep -s . "/sys/class/block/$1/device/serial" ||
		echo "$([ -e "/sys/class/block/$1/partition" ] && echo partition || echo disk)-$(
			cat "/sys/class/block/$1/dev")"
}

# in_use WHAT PATTERN: discover and list say no, with that reason
in_use()
{
	told "$(kernel_name "$(path_of "$1")")" "$2"
}

# refused_as WHAT PATTERN: install says so too, of a device or file, and no serial helps
refused_as()
{
	path=$(path_of "$1")
	serial=any
	if [ -b "$path" ]; then
		in_use "$1" "$2"
		serial=$(serial_of "$(kernel_name "$path")")
	fi
	code=0
	output=$(/job/cyborg-spdk install a --backing "$path" --force "$serial" 2>&1) || code=$?
	contains "$output" "$2.*; to use it here: "
	[ $code = 3 ] || {
		echo "exit code $code"
		return 1
	}
	test ! -e /tmp/state/targets/a
}

# holds WHAT PATTERN: not used, but not empty: yes, if its serial is named
holds()
{
	grep -E "^$(of "$1") .* forced  .*$2" /tmp/table
}

# forced WHAT PATTERN: install says so too
forced()
{
	holds "$1" "$2"
	serial=$(serial_of "$(kernel_name "$(of "$1")")")
	output=$(refused /job/cyborg-spdk install a --backing "$(of "$1")" 2>&1)
	contains "$output" "$2.*--force $serial"
	/job/cyborg-spdk install a --backing "$(of "$1")" --force "$serial" --dry-run
}

# unused WHAT: nothing against it
unused()
{
	contains "$(grep "^/dev/$(kernel_name "$(path_of "$1")") " /tmp/table)" ' yes  '
}

# function_in_use SERIAL: each of its controllers is refused
function_in_use()
{
	contains "$(grep "^0000:.* $1 " /tmp/table)" ' no  .*use-'
	refused grep "^0000:.* $1 .* yes " /tmp/table
}

# The other program that writes to devices asks the same.
blob_refuses()
{
	output=$(refused /job/cyborg-spdk-blob create "$(of mapped)" store \
		--force "$(serial_of "$(kernel_name "$(of mapped)")")" 2>&1)
	contains "$output" 'mapped into the memory of process [0-9]+ \(hold\)'
}

# The disk is free when it is looked at, and mounted when the target has come up.
taken_meanwhile()
{
	new late
	file_system late
	cat >/tmp/slow-target <<-END
		#!/bin/sh
		case \$* in
		*--version*) ;;
		*) mount $(of late) /mnt/late ;;
		esac
		exec /job/cyborg-spdk-tgt "\$@"
	END
	chmod 755 /tmp/slow-target
	code=0
	output=$(/job/cyborg-spdk install late --backing "$(of late)" --target /tmp/slow-target \
		--force "$(serial_of "$(kernel_name "$(of late)")")" 2>&1) || code=$?
	contains "$output" 'mounted on /mnt/late'
	[ $code = 3 ]
	test ! -e /tmp/state/targets/late
	umount /mnt/late
	fsck.ext4 -fn "$(of late)"
}

down()
{
	swapoff /dev/vg-live/data /mnt/d/swap
	lvm >/tmp/lvm.log 2>&1 <<-END
		vgreduce --removemissing vghalf
		vgremove -f -y vgidle vg-live vghalf vgmix vgpart
		pvremove $(for name in pv idle active extra half pool cache fast; do of $name; done |
			tr '\n' ' ') $(of part)p1
	END
	cat /tmp/lvm.log
	mdadm --quiet --stop /dev/md7
	mdadm --quiet --zero-superblock "$(of md0)" "$(of md1)" "$(of spare)" "$(of stopped0)" \
		"$(of stopped1)"
	cryptsetup close secret
	echo 1 >/sys/block/bcache0/bcache/stop
	for set in /sys/fs/bcache/*-*; do
		echo 1 >"$set/stop"
	done
	umount /mnt/a
	drbdsetup-84 down files
	drbdmeta --force 3 v08 "$(of drbd)" internal wipe-md >/dev/null
	nvmet_remove_ns 1
	rmdir /sys/kernel/config/target/core/iblock_0/disk /sys/kernel/config/target/core/fileio_0/file
	umount /mnt/pins/namespace
	fsfreeze --unfreeze /mnt/g
	xargs kill </tmp/pids
	killall -9 hold
	umount /mnt/d /mnt/g /mnt/h
	losetup -d /dev/loop5
	dmsetup remove mpatha use-MANY use-DUAL
	wait_for 30 test ! -e /sys/block/bcache0
	wait_for 30 sh -c '! test -e /sys/fs/ext4/nullb*'
	# What is left are signatures, and bytes of no format.
	# shellcheck disable=SC2046 # one word a disk
	/bin/wipefs -q -a $(for name in luks_open luks_shut bbacking bcaching bfile btrfs0 btrfs1 \
		btrfs2 btrfs3 drbd pinned_mount pinned_fd journal data lazy frozen node part \
		open_disk loop_disk; do of $name; done)
	/job/cyborg-spdk discover >/tmp/table
	cat /tmp/table
	refused grep -E '^/dev/(nullb|nvme).* no  ' /tmp/table
}

# Cleared, a disk is as good as new.
clean()
{
	blkdiscard "$(of md0)"
	/job/cyborg-spdk install a --backing "$(of md0)" --dry-run
}

step prepare prepare
step lvm_uses lvm_uses
step md_uses md_uses
step luks_uses luks_uses
step bcache_uses bcache_uses
step btrfs_uses btrfs_uses
step drbd_uses drbd_uses
step file_system_uses file_system_uses
step process_uses process_uses
step export_uses export_uses
step mapper_uses mapper_uses
step nvme_uses nvme_uses
step look look
step listed listed
step pv holds pv 'label of an LVM physical volume'
step group_not_active forced idle 'LVM physical volume of the group vgidle'
step group_active refused_as active 'physical volume of the group vg-live, under its volume data'
step group_active_elsewhere refused_as extra 'of the group vg-live, which is active'
step group_with_a_disk_gone holds half 'LVM physical volume of the group vghalf'
step volume_with_swap in_use /dev/vg-live/data 'swap space in use'
step thin_pool in_use pool 'LVM physical volume of the group vgmix'
step thin_pool_data in_use /dev/mapper/vgmix-thin_tdata 'part of LVM.s volume vgmix/thin'
step snapshot_origin in_use cache 'LVM physical volume of the group vgmix'
step snapshot_store in_use /dev/mapper/vgmix-copy-cow 'part of LVM.s volume vgmix/copy'
step lvm_cache in_use fast 'LVM physical volume of the group vgmix'
step lvm_on_a_partition in_use "$(of part)p1" 'of the group vgpart, under its volume inside'
step md_member in_use md0 'member of the MD array md7 \(raid1\)'
step md_spare in_use spare 'member of the MD array md7 \(raid1\)'
step md_stopped holds stopped0 'super block of an MD array, elsewhere:old'
step luks_open in_use luks_open 'under the device-mapper device secret .*an opened encrypted volume'
step luks_shut holds luks_shut 'holds crypto_LUKS'
step bcache_backing in_use bbacking 'backs the bcache device /dev/bcache0'
step bcache_cache in_use bcaching 'registered with bcache'
step bcache_unregistered holds bfile 'holds bcache'
step bcache_device unused /dev/bcache0
step btrfs in_use btrfs0 'mounted on /mnt/a'
step btrfs_second refused_as btrfs1 'member of the mounted btrfs .* on /mnt/a'
step btrfs_unmounted holds btrfs3 'holds btrfs'
step drbd in_use drbd 'backs the DRBD device /dev/drbd3'
step namespace_bound in_use pinned_mount 'on /mnt/b in a mount namespace that has no process'
step namespace_open in_use pinned_fd 'on /mnt/c in a mount namespace that has no process'
step external_journal in_use journal 'journal of a mounted file system'
step unmounted_lazily in_use lazy 'holds ext4, which is mounted where no process shows it'
step frozen in_use frozen 'mounted on /mnt/g'
step mounted_by_another_node in_use node 'mounted on /mnt/h'
step named_by_another_node refused_as /tmp/elsewhere 'mounted on /mnt/h'
step opened_exclusively in_use exclusive 'open in process [0-9]+ \(hold\)'
step mapped refused_as mapped 'mapped into the memory of process [0-9]+ \(hold\)'
step io_uring in_use ring 'registered with an io_uring of process [0-9]+ \(hold\)'
step ended_thread in_use thread 'open in process [0-9]+ \(hold\)'
step open_by_another_node in_use open_node 'open in process [0-9]+ \(hold\)'
step partition_of_an_open_disk refused_as "$(of open_disk)p1" 'is on a disk in use: .* is open in'
step scsi_generic in_use /dev/sda 'open in process [0-9]+ \(sleep\), by a character device'
step optical told sr0 'is an optical drive'
step optical_empty told sr1 'is an optical drive'
step kernel_scsi_target in_use lio "exported by the kernel's SCSI target"
step kernel_scsi_target_file refused_as /tmp/lio-link "exported by the kernel's SCSI target"
step kernel_nvme_target_file refused_as /mnt/d/nvmet-link "exported by the kernel's NVMe target"
step partition_of_a_loop in_use "$(of loop_disk)p1" 'is on a disk in use: .* backs the loop device'
step swap_file refused_as /mnt/d/swap-link 'swap space in use'
step mapped_file refused_as /tmp/mapped-link 'mapped into the memory of process'
step io_uring_file refused_as /tmp/ring.img 'registered with an io_uring of process'
step multipath in_use path1 'under the device-mapper device mpatha .*multipath'
step nvme_controller_open in_use "$(of CHAR)" 'process [0-9]+ \(sleep\), by a character device'
step nvme_other_namespace unused "$(of MANY | sed 's/n1$/n2/')"
step nvme_function function_in_use MANY
step nvme_function_of_two_controllers function_in_use DUAL
step blob_refuses blob_refuses
step taken_meanwhile taken_meanwhile
step down down
step clean clean
