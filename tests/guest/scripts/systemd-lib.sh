# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What the scripts on a node with systemd share. /job/stage is what `make install` installs.
# shellcheck disable=SC2034 # names for the scripts

DIR=/var/lib/cyborg-spdk
AGENT=cyborg-spdk-agent.service
ARQD=cyborg-spdk-arqd.service
UNITS=/etc/systemd/system
PAGES=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
KEEP=/root/kept # what is compared after a boot

tell_failure()
{
	journalctl --no-pager --lines 20
}

# watch_steps: tell of a step that takes long what it waits for, the last that it said, and where the
# kernel has each process wait; after 30 s, 60 s, 120 s and so on
watch_steps()
{
	told=
	while sleep 10; do
		read -r step_name step_start </tmp/step.now || continue
		read -r now rest </proc/uptime
		if [ "$step_name" != "$told" ]; then
			told=$step_name patience=30
		fi
		took=$((${now%.*} - step_start))
		[ $took -ge "$patience" ] || continue
		patience=$((patience * 2))
		echo "~ $step_name: since $took s, waits for: $(cat /tmp/step.wait)"
		{
			tail -n 2 /tmp/step.log
			ps -p 2 --ppid 2 --deselect -o pid,stat,wchan:24,args | cut -c 1-120
		} | sed 's/^/~ /'
	done 2>/dev/null
}

spdk()
{
	sudo -u cyborg-spdk cyborg-spdk "$@"
}

# refused_for PATTERN COMMAND...: with these words
refused_for()
{
	pattern=$1
	shift
	refused "$@" >/tmp/refused 2>&1 || { cat /tmp/refused; return 1; }
	contains "$(cat /tmp/refused)" "$pattern"
}

# pid_of ID LINE: of the supervisor (1) or the target (2)
pid_of()
{
	sed -n "$2p" "$DIR/targets/$1/pid" 2>/dev/null
}

# is_new ID LINE PID: another one lives
is_new()
{
	now=$(pid_of "$1" "$2")
	[ -n "$now" ] && [ "$now" != 0 ] && [ "$now" != "$3" ] && [ -d "/proc/$now" ]
}

main_pid()
{
	systemctl show -p MainPID --value "$1"
}

# has_new_main UNIT PID
has_new_main()
{
	[ "$(systemctl is-active "$1")" = active ] && [ "$(main_pid "$1")" != "$2" ]
}

is_healthy()
{
	"$@" status >/tmp/status 2>&1
}

# status_has PID NAME VALUE: a line of the process's status
status_has()
{
	contains "$(cat "/proc/$1/status")" "^$2:[[:space:]]+$3([[:space:]]|\$)"
}

unit_files()
{
	find $UNITS /run/systemd/system /usr/local/lib | grep -e systemd | sort
}

no_unit_failed()
{
	systemctl list-units --failed --no-legend --plain
	[ -z "$(systemctl list-units --failed --no-legend)" ]
}

nothing_runs()
{
	refused pgrep -l 'spdk-[st]'
}

# attach COMMAND ID WORD...: to an instance of the same name; keeps how it is reached
attach()
{
	verbs=$1 instance=$2
	shift 2
	$verbs attach "$instance" --accelerator "$instance" --host "$HOSTNQN" --json "$@" >/tmp/attach
	sed -n 's/.*"command": "\(.*\)".*/\1/p' /tmp/attach >"$KEEP.$instance"
	sed -n 's/^    "nqn": "\(.*\)",/\1/p' /tmp/attach >"$KEEP.$instance.nqn"
	sed -n 's/^    "port": \(.*\),/\1/p' /tmp/attach >"$KEEP.$instance.port"
}

# perf INSTANCE WORD...
perf()
{
	instance=$1
	shift
	cyborg-spdk-perf --addr "127.0.0.1:$(cat "$KEEP.$instance.port")" --nqn \
		"$(cat "$KEEP.$instance.nqn")" --hostnqn "$HOSTNQN" --quiet --length 4M -o 64K \
		--verify-pattern persistent "$@"
}

# disk_of INSTANCE: the kernel's block device of its export, by way of one controller or of several
disk_of()
{
	for file in /sys/class/nvme-subsystem/*/subsysnqn; do
		[ "$(cat "$file" 2>&1)" = "$(cat "$KEEP.$1.nqn")" ] || continue
		for disk in "${file%/*}"/nvme*n* "${file%/*}"/nvme*/nvme*n*; do
			[ ! -b "/dev/${disk##*/}" ] || echo "/dev/${disk##*/}"
		done
	done
}

has_disk()
{
	[ -b "$(disk_of "$1")" ]
}

connect()
{
	sh -c "$(cat "$KEEP.$1") -i 1"
	wait_for 180 has_disk "$1"
}

disconnect()
{
	nvme disconnect -n "$(cat "$KEEP.$1.nqn")"
}

# is_hardened UNIT MOST: exposed to no more than this number and its tenths
is_hardened()
{
	systemd-analyze security --no-pager "$1" | tail -n 1 >/tmp/exposure
	cat /tmp/exposure
	contains "$(cat /tmp/exposure)" ": [0-$2]\.[0-9] OK"
}

boots()
{
	systemctl is-system-running --wait
	no_unit_failed
	unit_files >$KEEP.units
}

install_package()
{
	cp -a /job/stage/. /
	ldconfig
	systemd-sysusers
	systemd-tmpfiles --create cyborg-spdk.conf
	systemctl daemon-reload
	ls -ld $DIR
	[ "$(stat -c '%U:%G %a' $DIR)" = "cyborg-spdk:cyborg-spdk 700" ]
	systemd-analyze verify --man=no $AGENT
	unit_files >$KEEP.package
}

# within PID COMMAND...: with the file system and the control group of that process
within()
{
	pid=$1
	shift
	sh -c 'echo $$ >"/sys/fs/cgroup$(sed -n s/^0:://p "/proc/$0/cgroup")/cgroup.procs"
		exec nsenter -t "$0" -m setpriv --reuid "$(stat -c %u "/proc/$0")" --clear-groups \
			--inh-caps=-all --bounding-set=-all "$@"' "$pid" "$@"
}

remove_package()
{
	(cd /job/stage && find . ! -type d) | (cd / && xargs rm)
	systemctl daemon-reload
	find /usr/local/lib -depth -type d -empty -delete
	unit_files | diff $KEEP.units -
	no_unit_failed
}

# phase: how often the node was booted again
phase()
{
	cat /root/phase 2>/dev/null || echo 0
}

# boot_again: leave the script, which is run again then
boot_again()
{
	echo $(($(phase) + 1)) >/root/phase
	exit 194
}
