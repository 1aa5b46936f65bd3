#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes what guest.sh boots: Debian's kernel, unpacked, and an initramfs with busybox, nvme-cli, the
# tools of what may use a disk (LVM, MD, LUKS, bcache, btrfs, DRBD...) and the kernel modules that
# the tests use, all out of Debian packages.
#
#   image.sh CACHE
#
# Leaves CACHE/kernel, CACHE/initrd and CACHE/tree (what is in the initrd). Returns at once when they
# are there. Needs no privileges: where the system's package lists are missing or old, it keeps lists
# of its own in CACHE/apt.
#
# Several may run at the same time: a lock makes one of them do the work.

set -u -o pipefail
export LC_ALL=C

HERE=$(dirname "$0")
# shellcheck source=tests/guest/packages.sh
. "$HERE/packages.sh"

# What was made by another recipe than this one is made anew.
FORMAT=$(cat "$0" "$HERE/packages.sh" | sha256sum | cut -c 1-16)

KERNEL=linux-image-amd64

# Debian packages whose contents go into the guest, besides the kernel.
PACKAGES="busybox-static nvme-cli libnvme1 libjson-c5 e2fsprogs libext2fs2 libcom-err2 libblkid1
libuuid1 libc6 zlib1g libssl3 libdbus-1-3 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblzma5
libzstd1 liblz4-1 dmsetup libdevmapper1.02.1 libselinux1 libudev1 libpcre2-8-0
util-linux libsmartcols1 libtinfo6 lvm2 libdevmapper-event1.02.1 libaio1 libedit2 libbsd0 libmd0
mdadm cryptsetup-bin libcryptsetup12 libpopt0 libargon2-1 bcache-tools btrfs-progs liblzo2-2
drbd-utils"

# Programs taken from them; their libraries follow.
PROGRAMS="/usr/sbin/nvme /sbin/mke2fs /sbin/e2fsck /sbin/dmsetup /sbin/wipefs /sbin/lvm
/sbin/mdadm /sbin/cryptsetup /usr/sbin/make-bcache /sbin/mkfs.btrfs
/sbin/drbdmeta /lib/drbd/drbdsetup-84"

# Kernel modules; what they depend on follows.
MODULES="virtio_pci virtio_net virtio_blk nvme nvme-tcp nvmet nvmet-tcp null_blk ext4 crc32c_generic
crc32c_intel crct10dif_generic crct10dif_pclmul crc64_rocksoft_generic
dm-mod raid1 loop zram vfio-pci vfio_iommu_type1
dm-crypt xts aesni-intel algif_skcipher dm-thin-pool dm-cache dm-cache-smq dm-snapshot dm-multipath
dm-round-robin bcache btrfs drbd target_core_iblock target_core_file virtio_scsi sd_mod
sr_mod sg isofs"

die()
{
	echo "image.sh: $*" >&2
	exit 1
}

# word FILE OFFSET BYTES: a little-endian number
word()
{
	od -An -v -tu"$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# The kernel to boot. Of an xz-packed bzImage that is the ELF image inside, which QEMU starts through
# its PVH entry: to unpack it in the guest takes seconds of emulation. Of others it is the bzImage as
# it is. The offsets are those of the x86 boot protocol's setup_sects, payload_offset and
# payload_length.
extract_kernel()
{
	local image=$1 sectors offset length

	sectors=$(word "$image" $((0x1f1)) 1)
	offset=$(word "$image" $((0x248)) 4)
	length=$(word "$image" $((0x24c)) 4)
	offset=$(((sectors + 1) * 512 + offset))
	if [ "$(word "$image" $offset 4)" = "$((0x587a37fd))" ]; then
		head -c $((offset + length)) "$image" | tail -c "$length" | xz -dc --single-stream
	else
		cat "$image"
	fi
}

# copy_libraries PROGRAM ROOT TREE: the shared libraries that the program needs, as the loader among
# the unpacked packages finds them
copy_libraries()
{
	local program=$1 root=$2 tree=$3 lib name

	"$root/lib64/ld-linux-x86-64.so.2" --inhibit-cache --library-path \
		"$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" \
		--list "$program" | awk '$2 == "=>" && $1 !~ /\// { print $1, $3 }' |
		while read -r name lib; do
			case $lib in
			"$root"/*) ;;
			*)
				echo "image.sh: $program: $name is in none of the packages" >&2
				return 1
				;;
			esac
			[ -e "$tree/lib/$name" ] || cp -L "$lib" "$tree/lib/$name" || return 1
		done
}

# list_modules MODULES.DEP: MODULES and what they depend on, a path a line; what the kernel has built
# in is left out
list_modules()
{
	# shellcheck disable=SC2086 # a list
	printf '%s\n' $MODULES | awk -v dep="$1" '
		function key(path) {
			sub(/.*\//, "", path)
			sub(/\.ko.*/, "", path)
			gsub(/-/, "_", path)
			return path
		}
		function add(path, n, i, list) {
			if (path in seen)
				return
			seen[path] = 1
			print path
			n = split(needs[path], list, " ")
			for (i = 1; i <= n; i++)
				add(list[i])
		}
		BEGIN {
			while ((getline line < dep) > 0) {
				i = index(line, ":")
				path = substr(line, 1, i - 1)
				needs[path] = substr(line, i + 1)
				where[key(path)] = path
			}
		}
		key($1) in where { add(where[key($1)]) }'
}

copy_modules()
{
	local root=$1 tree=$2 busybox=$1/bin/busybox release from to file

	release=$(basename "$root"/lib/modules/*)
	"$busybox" depmod -b "$root" "$release" || return 1
	from=$root/lib/modules/$release
	to=$tree/lib/modules/$release
	mkdir -p "$to" || return 1
	list_modules "$from/modules.dep" | while read -r file; do
		file=${file#/}
		file=${file#lib/modules/"$release"/}
		mkdir -p "$to/$(dirname "$file")" && cp "$from/$file" "$to/$file" || return 1
	done || return 1
	cp "$from"/modules.{order,builtin,builtin.modinfo} "$to/" &&
		"$busybox" depmod -b "$tree" "$release"
}

# The guest's first process. guest.sh puts /job/setup and /job/run there for each run.
print_init()
{
	cat <<-'END'
		#!/bin/sh
		export PATH=/bin HOME=/root TERM=dumb
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs devtmpfs /dev
		mkdir -p /dev/pts /dev/shm
		mount -t devpts devpts /dev/pts
		mount -t tmpfs tmpfs /dev/shm
		mount -t tmpfs tmpfs /tmp
		ln -sf /proc/self/fd /dev/fd
		stty -F /dev/ttyS1 raw -echo
		exec </dev/null >/dev/ttyS1 2>&1
		ip link set lo up
		. /job/setup
		cd /job
		echo "$MARK start"
		/job/run "$@"
		echo "$MARK exit $?"
		exec >/dev/null 2>&1 </dev/null
		sync
		poweroff -f
	END
}

make_folders()
{
	local tree=$1

	mkdir -p "$tree"/{bin,dev,etc,job,lib/ssl,mnt,proc,root,run,sys,tmp,usr,var} || return 1
	ln -s bin "$tree/sbin"
	ln -s lib "$tree/lib64"
	ln -s ../bin "$tree/usr/bin"
	ln -s ../bin "$tree/usr/sbin"
	ln -s ../lib "$tree/usr/lib"
	ln -s ../tmp "$tree/var/tmp"
	ln -s ../run "$tree/var/run"
	ln -s /proc/self/mounts "$tree/etc/mtab"
	echo 'root::0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
	echo 'root:x:0:' >"$tree/etc/group"
	echo '127.0.0.1 localhost' >"$tree/etc/hosts"
	# Programs with OpenSSL want its configuration file to exist.
	: >"$tree/lib/ssl/openssl.cnf"
}

make_tree()
{
	local root=$1 tree=$2 program

	make_folders "$tree" || return 1
	cp "$root/bin/busybox" "$tree/bin/busybox" || return 1
	"$tree/bin/busybox" --list | while read -r program; do
		[ "$program" = busybox ] || ln -s busybox "$tree/bin/$program"
	done
	cp "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$tree/lib/" || return 1
	for program in $PROGRAMS; do
		rm -f "$tree/bin/${program##*/}"
		cp "$root$program" "$tree/bin/" || return 1
		copy_libraries "$root$program" "$root" "$tree" || return 1
	done
	ln -sf mke2fs "$tree/bin/mkfs.ext4"
	ln -sf e2fsck "$tree/bin/fsck.ext4"
	cp "$root/etc/mke2fs.conf" "$tree/etc/" || return 1
	copy_modules "$root" "$tree" || return 1
	print_init >"$tree/init" && chmod 755 "$tree/init"
}

make_image()
{
	local new=$CACHE/new deb

	rm -rf "$new" "$CACHE"/{tree,initrd,kernel}
	mkdir -p "$new/root" || return 1
	for deb in "$CACHE"/deb/*.deb; do
		dpkg-deb -x "$deb" "$new/root" || return 1
	done
	make_tree "$new/root" "$new/tree" &&
		pack "$new/tree" "$new/root/bin/busybox" >"$new/initrd" &&
		extract_kernel "$new"/root/boot/vmlinuz-* >"$new/kernel" &&
		mv "$new"/{tree,initrd,kernel} "$CACHE/" || return 1
	rm -rf "$new"
}

make_all()
{
	fetch_packages "$CACHE" "$CACHE/deb" "$FORMAT" ||
		die "cannot get Debian's packages: is a package mirror reachable?"
	make_image || die "cannot make an image of the packages in $CACHE/deb"
}

[ $# = 1 ] || die "usage: image.sh CACHE"
CACHE=$1
for tool in apt-get dpkg-deb awk xz od flock; do
	command -v $tool >/dev/null || die "$tool is not installed"
done
make_once "$CACHE" format "$FORMAT" "the guest's image" make_all
