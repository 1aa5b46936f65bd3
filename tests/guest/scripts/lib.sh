# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# What the guest's scripts share: steps with a verdict, the way to ask the test on the host for
# something, and the kernel's own NVMe target. Read by busybox's sh.
# shellcheck disable=SC2034 # names for the scripts

NQN=nqn.2025-01.io.cyborg-spdk:guest
HOSTNQN=nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555
HOSTID=11111111-2222-3333-4444-555555555555
OTHER_HOSTNQN=nqn.2014-08.org.nvmexpress:uuid:99999999-2222-3333-4444-555555555555
SERIAL=GUEST0001
MODEL="Guest test"

# step NAME COMMAND...: run it in a subshell; its output, indented, and one line with the verdict
# that the test on the host looks for
step()
{
	name=$1
	shift
	read -r start rest </proc/uptime
	echo "@step $name ($start s)"
	echo "$name ${start%.*}" >/tmp/step.now
	(set -e; "$@") >/tmp/step.log 2>&1
	code=$?
	: >/tmp/step.now
	[ $code = 0 ] || [ $code = 77 ] || tell_failure >>/tmp/step.log 2>&1
	sed 's/^/    /' /tmp/step.log
	read -r end rest </proc/uptime
	if [ $code = 0 ]; then
		echo "@pass $name ($start to $end s)"
	elif [ $code = 77 ]; then
		echo "@skip $name: $(tail -n 1 /tmp/step.log)"
	else
		echo "@fail $name: exit $code ($start to $end s)"
	fi
}

# tell_failure: what a script has to say of a step that failed
tell_failure()
{
	:
}

# skip TEXT...: inside a step: it does not apply to this peer
skip()
{
	echo "$*"
	exit 77
}

# refused COMMAND...: right when the command fails
refused()
{
	if "$@"; then
		echo "not refused: $*"
		return 1
	fi
}

# contains TEXT PATTERN: a line of the text matches the extended regular expression
contains()
{
	if ! printf '%s\n' "$1" | grep -qE "$2"; then
		echo "no line like '$2'"
		return 1
	fi
}

# wait_for SECONDS COMMAND...: poll until the command succeeds; one that starts after that time is the
# last
wait_for()
{
	read -r wait_end wait_rest </proc/uptime
	wait_end=$((${wait_end%.*} + $1))
	shift
	echo "$*" >/tmp/step.wait
	while :; do
		read -r wait_now wait_rest </proc/uptime
		if "$@"; then
			: >/tmp/step.wait
			return 0
		fi
		if [ "${wait_now%.*}" -gt $wait_end ]; then
			echo "waited in vain: $*"
			return 1
		fi
		sleep 0.2
	done
}

# ask PORT WORD...: have the test on the host do something; its answer is printed
ask()
{
	ask_port=$1
	shift
	answer=$(echo "$*" | nc 10.0.2.2 "$ask_port")
	echo "$answer"
	case $answer in
	ok*) ;;
	*) return 1 ;;
	esac
}

# sum_of DISK: of its first MiB, as they are on it and not in the guest's memory
sum_of()
{
	dd status=none if="$1" bs=1M count=1 iflag=direct | sha256sum | cut -c 1-64
}

mount_configfs()
{
	grep -q ' /sys/kernel/config ' /proc/mounts || mount -t configfs configfs /sys/kernel/config
}

# nvmet_start ADDRESS PORT DEVICE: the kernel's own NVMe/TCP target with one namespace
nvmet_start()
{
	modprobe -a nvmet nvmet-tcp
	mount_configfs
	nvmet=/sys/kernel/config/nvmet
	subsystem=$nvmet/subsystems/$NQN
	mkdir "$subsystem" $nvmet/ports/1 $nvmet/hosts/$HOSTNQN
	echo 0 >"$subsystem/attr_allow_any_host"
	echo $SERIAL >"$subsystem/attr_serial"
	echo "$MODEL" >"$subsystem/attr_model"
	ln -s $nvmet/hosts/$HOSTNQN "$subsystem/allowed_hosts/"
	nvmet_add_ns 1 "$3"
	echo tcp >$nvmet/ports/1/addr_trtype
	echo ipv4 >$nvmet/ports/1/addr_adrfam
	echo "$1" >$nvmet/ports/1/addr_traddr
	echo "$2" >$nvmet/ports/1/addr_trsvcid
	ln -s "$subsystem" $nvmet/ports/1/subsystems/
}

# nvmet_add_ns NSID DEVICE
nvmet_add_ns()
{
	mkdir "/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/$1"
	echo "$2" >"/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/$1/device_path"
	echo 1 >"/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/$1/enable"
}

# nvmet_remove_ns NSID
nvmet_remove_ns()
{
	echo 0 >"/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/$1/enable"
	rmdir "/sys/kernel/config/nvmet/subsystems/$NQN/namespaces/$1"
}

# memory_disks BLOCK-SIZE...: /dev/nullb0 and so on that keep their data, 64 MiB each
memory_disks()
{
	modprobe null_blk nr_devices=0
	mount_configfs
	disk=0
	for block_size; do
		config=/sys/kernel/config/nullb/nullb$disk
		mkdir "$config" || return 1
		echo 1 >"$config/memory_backed"
		echo 64 >"$config/size"
		echo "$block_size" >"$config/blocksize"
		echo 1 >"$config/discard"
		echo 1 >"$config/power" || return 1
		disk=$((disk + 1))
	done
}
