# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What the makers of images share, and guest.sh in part: how Debian packages are had without privileges,
# and how an initramfs is packed.

# kernel_package KERNEL APT-OPTION...: the newest that this package stands for
kernel_package()
{
	local kernel=$1
	shift

	apt-cache "$@" depends "$kernel" 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }'
}

# download DIR APT-OPTION...: everything into DIR, by the package lists that the options lead to
download()
{
	local dir=$1 kernel=
	shift

	if [ -n "${KERNEL-}" ]; then
		kernel=$(kernel_package "$KERNEL" "$@")
		[ -n "$kernel" ] || return 1
	fi
	# shellcheck disable=SC2086 # lists
	(cd "$dir" && apt-get -qq "$@" download $kernel $PACKAGES) 2>"$dir/apt.log"
}

# fetch_packages CACHE DIR STAMP: PACKAGES, and the kernel of KERNEL, into DIR, unless they are there
# with this stamp. Where the system's package lists are missing or old, lists are kept in CACHE/apt.
fetch_packages()
{
	local dir=$2 stamp=$2/complete-$3 lists=$1/apt

	[ ! -e "$stamp" ] || return 0
	rm -rf "$dir"
	mkdir -p "$dir" || return 1
	if ! download "$dir"; then
		mkdir -p "$lists/lists/partial" "$lists/archives/partial" || return 1
		set -- -o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists" \
			-o "Dir::Cache::Archives=$lists/archives" -o APT::Sandbox::User=
		if ! apt-get -qq "$@" update >&2 || ! download "$dir" "$@"; then
			[ ! -e "$dir/apt.log" ] || cat "$dir/apt.log" >&2
			return 1
		fi
	fi
	: >"$stamp"
}

# make_once CACHE FILE FORMAT WHAT COMMAND: run the command unless CACHE/FILE says that it was done in
# this format; one at a time does the work
make_once()
{
	[ "$(cat "$1/$2" 2>/dev/null)" != "$3" ] || return 0
	mkdir -p "$1" || return 1
	(
		flock 9 || exit 1
		[ "$(cat "$1/$2" 2>/dev/null)" != "$3" ] || exit 0
		echo "${0##*/}: making $4 in $1" >&2
		rm -f "$1/$2"
		"$5" && echo "$3" >"$1/$2"
	) 9>"$1/$2.lock"
}

# pack TREE BUSYBOX: an archive of the tree, all of it root's
pack()
{
	(cd "$1" && find . -mindepth 1 | sort | "$2" cpio -o -H newc -R 0:0 2>/dev/null)
}
