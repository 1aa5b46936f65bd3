#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a shell script in a throw-away guest: Debian's kernel under QEMU, no privileges needed.
#
#   guest.sh [options] SCRIPT [ARG...]
#   guest.sh -b                          only make the image
#
# The script runs as root on an initramfs (see image.sh). Its standard output and error come out of
# guest.sh's standard output, and its exit code becomes guest.sh's. eth0 is 10.0.2.15, and 10.0.2.2
# leads to the host's 127.0.0.1.
#
#   -f HOST[:GUEST]  put a file or folder in the guest (repeatable); without GUEST it lands in
#                    /job/<basename>
#   -F HOST[:GUEST]  as -f, with the shared libraries that ldd names
#   -p HOST:GUEST    the host's 127.0.0.1:HOST leads to the guest's TCP port GUEST (repeatable)
#   -t SECONDS       time limit (default 120)
#   -m SIZE          memory (default 512M)
#   -c CPUS          processors (default 1)
#   -q WORDS         more words of QEMU's command line, separated by blanks (repeatable)
#   -k WORDS         more words of the kernel's command line
#   -l FILE          the kernel's console goes to FILE, as it comes
#   -s               a Debian system with systemd (see system.sh) in place of the initramfs; its disk
#                    forgets everything when guest.sh ends, those of -q do not. By exit code 194 the
#                    script has the guest booted again, and is then run again
#
# Exit codes: the script's own; 124 time limit; 125 the guest died without telling an exit code
# (kernel panic, QEMU error), or guest.sh itself failed.
#
# Environment: CYBORG_SPDK_GUEST_CACHE  where packages and image are kept
#              CYBORG_SPDK_GUEST_ACCEL  QEMU's accelerator, default tcg: a host's /dev/kvm may open
#                                       and yet run no kernel

set -u -o pipefail
export LC_ALL=C

# shellcheck source=tests/guest/packages.sh
. "$(dirname "$0")/packages.sh"

CACHE=${CYBORG_SPDK_GUEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cyborg-spdk/guest}
ACCEL=${CYBORG_SPDK_GUEST_ACCEL:-tcg,thread=multi}
QEMU=qemu-system-x86_64
CMDLINE="console=ttyS0 quiet loglevel=4 panic=-1 rdinit=/init net.ifnames=0 mitigations=off nokaslr \
random.trust_cpu=on no_timer_check tsc=reliable"

die()
{
	echo "guest.sh: $*" >&2
	exit 125
}

usage()
{
	sed -n '4,/^$/{/^$/d;s/^# \{0,1\}//;p}' "$0" >&2
	exit 125
}

# add_file HOST[:GUEST]: put a file in the run's archive
add_file()
{
	local host=${1%%:*} guest=/job/

	case $1 in
	*:*) guest=${1#*:} ;;
	esac
	case $guest in
	*/) guest=$guest$(basename "$host") ;;
	esac
	[ -e "$host" ] || die "$host: no such file"
	mkdir -p "$RUN/tree/$(dirname "$guest")"
	cp -a --dereference "$host" "$RUN/tree/$guest" || die "cannot copy $host"
}

# add_libraries HOST[:GUEST]: the libraries of a program; what the image has (its libc above all) stays
add_libraries()
{
	mkdir -p "$RUN/tree/lib"
	ldd "${1%%:*}" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | while read -r lib; do
		[ -e "$CACHE/tree/lib/${lib##*/}" ] || [ -e "$RUN/tree/lib/${lib##*/}" ] ||
			cp -L "$lib" "$RUN/tree/lib/"
	done
}

# Passes the guest's output on, and keeps the marked lines to itself; that of the end may follow output
# that does not end in a newline.
filter()
{
	local line

	while IFS= read -r line; do
		case $line in
		"$MARK start") ;;
		"$MARK again") : >"$RUN/again" ;;
		*"$MARK exit "*)
			printf '%s' "${line%%"$MARK"*}"
			echo "${line##* }" >"$RUN/exit"
			;;
		*) printf '%s\n' "$line" ;;
		esac
	done
	printf '%s' "$line"
}

# print_setup ARG...: what the guest's first process reads before it runs the script
print_setup()
{
	local arg

	echo "MARK=$MARK"
	printf 'set --'
	for arg; do
		printf " '%s'" "${arg//\'/\'\\\'\'}"
	done
	cat <<-'END'

		modprobe -a virtio_pci virtio_net
		ip addr add 10.0.2.15/24 dev eth0
		ip link set eth0 up
	END
}

# run_qemu: one boot, until $end at most; its exit code in $status. A boot again is another QEMU's: where
# one starts anew in memory that holds code which it has translated, it checks each write for that, and
# a kernel may take minutes to come up.
run_qemu()
{
	local filter_pid

	filter <"$RUN/out" &
	filter_pid=$!
	# The network is not restricted by QEMU: that would cut 10.0.2.2 off too.
	timeout -k 5 $((end > SECONDS ? end - SECONDS : 1)) $QEMU -nodefaults -no-user-config -no-reboot \
		-display none -monitor none \
		-machine q35 -accel "$ACCEL" -cpu max -smp "$cpus" -m "$memory" \
		-kernel "$CACHE/kernel" -initrd "$RUN/initrd" -append "$CMDLINE" \
		-chardev "file,id=console,path=$console,append=on" -serial chardev:console \
		-chardev stdio,id=out,signal=off -serial chardev:out \
		-netdev "user,id=net0,ipv6=off$forward" -device virtio-net-pci,netdev=net0,romfile= \
		${devices[@]+"${devices[@]}"} \
		</dev/null >"$RUN/out" 2>>"$RUN/qemu.log" &
	QEMU_PID=$!
	wait "$QEMU_PID"
	status=$?
	QEMU_PID=
	wait "$filter_pid"
}

# shellcheck disable=SC2317 # called by the traps
finish()
{
	[ -z "${QEMU_PID-}" ] || { kill "$QEMU_PID" && wait "$QEMU_PID"; } 2>/dev/null
	rm -rf "$RUN"
}

files=() programs=() devices=() forward='' log='' limit=120 memory=512M cpus=1 only_image=0
system=0
while getopts f:F:p:t:m:c:q:k:l:bsh option; do
	case $option in
	f) files+=("$OPTARG") ;;
	F) programs+=("$OPTARG") ;;
	p) forward+=",hostfwd=tcp:127.0.0.1:${OPTARG%%:*}-:${OPTARG##*:}" ;;
	t) limit=$OPTARG ;;
	m) memory=$OPTARG ;;
	c) cpus=$OPTARG ;;
	q)
		read -ra words <<<"$OPTARG"
		devices+=("${words[@]}")
		;;
	k) CMDLINE+=" $OPTARG" ;;
	l) log=$OPTARG ;;
	b) only_image=1 ;;
	s) system=1 ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))

for tool in "$QEMU" timeout mkfifo truncate ldd; do
	command -v "$tool" >/dev/null || die "$tool is not installed: tools/install-deps.sh check"
done
"$(dirname "$0")/image.sh" "$CACHE" || exit 125
[ $system = 0 ] || "$(dirname "$0")/system.sh" "$CACHE" || exit 125
[ $only_image = 0 ] || exit 0
[ $# -ge 1 ] || usage
initrd=$CACHE/initrd
if [ $system = 1 ]; then
	initrd=$CACHE/system-initrd
	CMDLINE+=" systemd.getty_auto=0 systemd.show_status=0 systemd.journald.forward_to_console=1 \
systemd.journald.max_level_console=info"
fi
script=$1
shift
[ -r "$script" ] || die "$script: cannot read"

RUN=$(mktemp -d "${TMPDIR:-/tmp}/guest.XXXXXX") || die "no temporary folder"
console=${log:-$RUN/console}
: >"$console" || die "$console: cannot write"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

MARK=@@guest-$$-$RANDOM$RANDOM
mkdir -p "$RUN/tree/job"
print_setup "$@" >"$RUN/tree/job/setup"
install -m 755 "$script" "$RUN/tree/job/run" || die "cannot copy $script"
for file in ${files[@]+"${files[@]}"} ${programs[@]+"${programs[@]}"}; do
	add_file "$file"
done
for file in ${programs[@]+"${programs[@]}"}; do
	add_libraries "$file"
done

# The kernel unpacks archives one after another: the run's own follows the base image, each starting
# at a multiple of four.
{ cp "$initrd" "$RUN/initrd" && truncate -s %512 "$RUN/initrd"; } || die "cannot copy $initrd"
pack "$RUN/tree" "$CACHE/tree/bin/busybox" >>"$RUN/initrd" || die "cannot make the initramfs"

if [ $system = 1 ]; then
	cp --sparse=always "$CACHE/system.raw" "$RUN/system.raw" || die "cannot copy the system"
	devices=(-drive "file=$RUN/system.raw,format=raw,if=none,id=system,cache=unsafe"
		-device "virtio-blk-pci,drive=system" ${devices[@]+"${devices[@]}"})
fi

mkfifo "$RUN/out" || die "mkfifo"
end=$((SECONDS + limit))
run_qemu
while [ $status = 0 ] && [ -e "$RUN/again" ]; do
	rm "$RUN/again"
	run_qemu
done

[ ! -s "$RUN/qemu.log" ] || sed 's/^/guest.sh: qemu: /' "$RUN/qemu.log" >&2
[ ! -s "$RUN/exit" ] || exit "$(cat "$RUN/exit")"
tail -n 20 "$console" >&2
if [ $status = 124 ] || [ $status = 137 ]; then
	echo "guest.sh: time limit of $limit s" >&2
	exit 124
fi
echo "guest.sh: the guest ended without an exit code (QEMU's was $status); above: its console" >&2
exit 125
