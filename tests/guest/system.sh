#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes the disk that guest.sh -s boots: a Debian 12 with systemd as its first process, on ext4.
#
#   system.sh CACHE
#
# Leaves CACHE/system.raw, of which each run takes a copy, and CACHE/system-initrd, which goes there.
# Returns at once when they are there. Needs no privileges: a guest makes the file system.
#
# The packages' own scripts do not run: what tests need of their work is done by make_settings.

set -u -o pipefail
export LC_ALL=C

HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/guest/packages.sh
. "$HERE/packages.sh"

# What was made by another recipe than this one is made anew; the modules are those of image.sh.
FORMAT=$(cat "$0" "$HERE/packages.sh" "$HERE/image.sh" | sha256sum | cut -c 1-16)
SIZE=1G

# Those that a minimal Debian has, less Perl and what would install more; nvme-cli; and what the
# programs of the project are linked with.
PACKAGES="base-files base-passwd bash coreutils dash diffutils findutils grep gzip hostname kmod
libc-bin libc6 login mawk mount passwd procps sed sudo systemd systemd-sysv tar udev util-linux
iproute2 nvme-cli e2fsprogs libext2fs2 libss2 libacl1 libapparmor1 libattr1 libaudit1 libblkid1 libbpf1
libbsd0 libbz2-1.0 libcap-ng0 libcap2 libcap2-bin libcom-err2 libcrypt1 libcryptsetup12 libdb5.3
libdbus-1-3 libdevmapper1.02.1 libelf1 libargon2-1 libfdisk1 libgcc-s1 libgcrypt20 libgmp10 libgpg-error0 libip4tc2 libjson-c5 libkmod2 liblz4-1
liblzma5 libmd0 libmnl0 libmount1 libncursesw6 libnvme1 libpam-modules libpam-modules-bin libpam0g
libpcre2-8-0 libproc2-0 libseccomp2 libselinux1 libsemanage2 libsepol2 libsmartcols1 libssl3
libsystemd-shared libsystemd0 libtinfo6 libtirpc3 libudev1 libuuid1 libxtables12 libzstd1 zlib1g
libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1
libaio1 libgnutls30 libhogweed6 libidn2-0 libffi8 libisal2 libjansson4 libmicrohttpd12 libnettle8
libp11-kit0 libsqlite3-0 libtasn1-6 libunistring2 liburing2"

# Python with what cyborg-spdk-arqd imports where Cyborg is not.
PACKAGES+=" libexpat1 libpython3.11-minimal libpython3.11-stdlib libyaml-0-2 python3-certifi
python3-chardet python3-charset-normalizer python3-dateutil python3-debtcollector python3-idna
python3-importlib-metadata python3-iso8601 python3-keystoneauth1 python3-minimal
python3-more-itertools python3-msgpack python3-netaddr python3-netifaces python3-os-service-types
python3-oslo.config python3-oslo.context python3-oslo.i18n python3-oslo.log
python3-oslo.serialization python3-oslo.utils python3-packaging python3-pbr python3-pkg-resources
python3-pyinotify python3-pyparsing python3-requests python3-rfc3986 python3-six python3-stevedore
python3-tz python3-urllib3 python3-wrapt python3-yaml python3-zipp python3.11-minimal tzdata"

# What the initramfs needs to come to its disk.
BOOT_MODULES="virtio_pci virtio_blk crc32c_generic ext4"

# Not wanted on a node that lives for a minute under emulation.
MASKED="getty@tty1.service getty-static.service systemd-initctl.socket kmod-static-nodes.service
systemd-modules-load.service systemd-boot-update.service systemd-sysext.service systemd-binfmt.service systemd-hwdb-update.service systemd-logind.service
systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service
systemd-ask-password-console.path systemd-ask-password-wall.path systemd-networkd-wait-online.service
systemd-pcrphase.service systemd-pcrphase-sysinit.service e2scrub_reap.service e2scrub_all.timer
systemd-machine-id-commit.service dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount
sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount systemd-tmpfiles-clean.timer
fstrim.timer systemd-pstore.service systemd-user-sessions.service
modprobe@fuse.service modprobe@drm.service modprobe@efi_pstore.service modprobe@loop.service
modprobe@dm_mod.service sys-kernel-config.mount"

# Each runs at every daemon-reload, and finds nothing here.
GENERATORS="bless-boot cryptsetup debug getty gpt-auto hibernate-resume integritysetup rc-local run
system-update sysv veritysetup"

die()
{
	echo "system.sh: $*" >&2
	exit 1
}

# unpack ROOT: over the links of a merged /usr
unpack()
{
	local root=$1 deb name

	mkdir -p "$root"/usr/{bin,sbin,lib,lib64} || return 1
	for name in bin sbin lib lib64; do
		ln -s usr/$name "$root/$name"
	done
	for deb in "$CACHE"/system-deb/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -p -C "$root" --keep-directory-symlink \
			--no-same-owner --exclude=./usr/share/{doc,man,locale,info,bash-completion,zsh} ||
			return 1
	done
}

# What the job's unit runs: as /init of image.sh, but again after each boot, until the script does not
# ask for another by exit code 194.
print_runner()
{
	cat <<-'END'
		#!/bin/sh
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root TERM=dumb
		. /job/setup
		cd /job
		echo "$MARK start"
		/job/run "$@"
		code=$?
		if [ $code = 194 ]; then
			echo "$MARK again"
			exec systemctl --no-block start reboot.target
		fi
		echo "$MARK exit $code"
		exec systemctl --no-block --force poweroff
	END
}

print_unit()
{
	cat <<-'END'
		[Unit]
		Description=The script that the guest was started for
		DefaultDependencies=no
		After=multi-user.target
		[Service]
		ExecStart=/usr/lib/guest-job
		StandardOutput=file:/dev/ttyS1
		StandardError=inherit
		KillMode=process
		TimeoutStopSec=10
	END
}

# What packages' scripts and an installer would have left behind.
make_settings()
{
	local root=$1 unit kind

	cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd" &&
		cp "$root/usr/share/base-passwd/group.master" "$root/etc/group" || return 1
	printf '%s:x:99%d:\n' input 1 render 2 kvm 3 sgx 4 >>"$root/etc/group"
	sed 's/:.*/:*:19000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
	sed 's/:.*/:*::/' "$root/etc/group" >"$root/etc/gshadow"
	chmod 600 "$root/etc/shadow" "$root/etc/gshadow"
	for kind in auth account session password; do
		echo "$kind required pam_permit.so" >"$root/etc/pam.d/common-$kind"
	done
	cp "$root/etc/pam.d/common-session" "$root/etc/pam.d/common-session-noninteractive"
	echo node >"$root/etc/hostname"
	printf '127.0.0.1 localhost node\n10.0.2.15 node\n' >"$root/etc/hosts"
	cp "$root/usr/share/libc-bin/nsswitch.conf" "$root/etc/nsswitch.conf" || return 1
	echo '/dev/vda / ext4 defaults,noatime 0 0' >"$root/etc/fstab"
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
	: >"$root/etc/.updated"
	ln -s mawk "$root/usr/bin/awk"
	for unit in $MASKED; do
		ln -s /dev/null "$root/etc/systemd/system/$unit"
	done
	mkdir "$root/etc/systemd/system-generators" || return 1
	for unit in $GENERATORS; do
		ln -s /dev/null "$root/etc/systemd/system-generators/systemd-$unit-generator"
	done
	ln -s /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	mkdir -p "$root"/{job,etc/systemd/system/multi-user.target.wants}
	rmdir "$root/job" && ln -s run/job "$root/job"
	print_runner >"$root/usr/lib/guest-job" && chmod 755 "$root/usr/lib/guest-job"
	print_unit >"$root/etc/systemd/system/guest-job.service"
	ln -s ../guest-job.service "$root/etc/systemd/system/multi-user.target.wants/"
}

# The first process of the initramfs.
print_boot()
{
	echo '#!/bin/sh'
	echo "MODULES='$BOOT_MODULES'"
	cat <<-'END'
		export PATH=/bin
		mount -t proc proc /proc
		mount -t sysfs sysfs /sys
		mount -t devtmpfs devtmpfs /dev
		modprobe -a $MODULES
		mount -o noatime /dev/vda /mnt || { echo "no system on /dev/vda"; poweroff -f; }
		mount -t tmpfs -o mode=755 tmpfs /run
		cp -a /job /run/job
		stty -F /dev/ttyS1 raw -echo
		for folder in proc sys dev run; do
			mount --move /$folder /mnt/$folder
		done
		exec switch_root /mnt /lib/systemd/systemd
	END
}

# make_initrd FILE TREE: busybox, BOOT_MODULES with what they depend on, and print_boot's script
make_initrd()
{
	local tree=$2 from=$CACHE/tree file release

	mkdir -p "$tree"/{bin,dev,mnt,proc,run,sys} && cp "$from/bin/busybox" "$tree/bin/" || return 1
	for file in cp mkdir modprobe mount poweroff sh stty switch_root; do
		ln -s busybox "$tree/bin/$file"
	done
	release=$(basename "$from"/lib/modules/*)
	from=$from/lib/modules/$release
	tree=$tree/lib/modules/$release
	mkdir -p "$tree" && cp "$from"/modules.{dep,builtin} "$tree/" || return 1
	# A module's line names all that it depends on, near and far.
	# shellcheck disable=SC2086 # a list
	printf '%s\n' $BOOT_MODULES | while read -r file; do
		sed -n "s,^\([^:]*/$file\.ko[^:]*\):,\1,p" "$from/modules.dep"
	done | tr ' ' '\n' | sort -u | while read -r file; do
		mkdir -p "$tree/$(dirname "$file")" && cp "$from/$file" "$tree/$file" || return 1
	done || return 1
	print_boot >"$2/init" && chmod 755 "$2/init" &&
		pack "$2" "$2/bin/busybox" >"$1"
}

# In a guest: the file system on /dev/vda, of the archive on /dev/vdb.
print_formatter()
{
	cat <<-'END'
		#!/bin/sh
		modprobe -a virtio_blk ext4
		mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1 /dev/vda || exit 1
		mount -o noatime /dev/vda /mnt && cd /mnt && cpio -idm </dev/vdb 2>/dev/null || exit 1
		chroot /mnt /sbin/ldconfig && chroot /mnt /sbin/depmod "$(uname -r)" || exit 1
		cd / && umount /mnt
	END
}

make_system()
{
	local new=$CACHE/system-new

	rm -rf "$new"
	mkdir -p "$new/root" || return 1
	unpack "$new/root" || return 1
	# A machine's lists of devices take long to read, and no device here is on them.
	rm -rf "$new"/root/usr/lib/udev/hwdb* "$new"/root/{etc/init.d,var/lib/dpkg}
	# Where this is another release's Python, the guest compiles for itself, slowly.
	/usr/bin/python3 -m compileall -q -s "$new/root" "$new"/root/usr/lib/python3{,.11} || return 1
	cp -a "$CACHE/tree/lib/modules" "$new/root/usr/lib/" && make_settings "$new/root" || return 1
	pack "$new/root" "$CACHE/tree/bin/busybox" >"$new/system.cpio" || return 1
	truncate -s %512 "$new/system.cpio" && truncate -s $SIZE "$new/system.raw" || return 1
	print_formatter >"$new/format"
	"$HERE/guest.sh" -m 512M -t 900 \
		-q "-drive file=$new/system.raw,format=raw,if=none,id=a,cache=unsafe" \
		-q "-drive file=$new/system.cpio,format=raw,if=none,id=b,read-only=on" \
		-q "-device virtio-blk-pci,drive=a -device virtio-blk-pci,drive=b" \
		"$new/format" || return 1
	make_initrd "$new/system-initrd" "$new/initrd-tree" || return 1
	mv "$new"/{system-initrd,system.raw} "$CACHE/" || return 1
	rm -rf "$new"
}

make_all()
{
	fetch_packages "$CACHE" "$CACHE/system-deb" "$FORMAT" ||
		die "cannot get Debian's packages: is a package mirror reachable?"
	make_system || die "cannot make a system of the packages in $CACHE/system-deb"
}

[ $# = 1 ] || die "usage: system.sh CACHE"
CACHE=$1
make_once "$CACHE" system-format "$FORMAT" "the guest's system" make_all
