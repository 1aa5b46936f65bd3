#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A Ceph cluster for tests: one monitor and one OSD in memory, on loopback, all of it below one
# folder. No systemd, no manager, no root needed; Debian's ceph-mon, ceph-osd and ceph-common are.
#
#   mini-ceph.sh start|stop|down|up|status DIR
#
#   start  make it anew in DIR and wait until it serves: some 3 s, 70 MiB of memory
#   stop   end it for good; what is left in DIR are files
#   down   stop both daemons where they stand (SIGSTOP), as a network that is cut; up: let them go on
#
#   CEPH_PORT=N   of the monitor; the OSD takes from the 40 behind it  (16789)
#   CEPH_POOL=P   a pool with one replica                              (rbd)
#   CEPH_AUTH=1   with keys: DIR/ceph.client.admin.keyring, and of a user who may use the images of
#                 the pool, no more, DIR/ceph.client.cinder.keyring
#
# Clients are given DIR/ceph.conf, which names the administrator's keyring.

set -eu

die()
{
	echo "mini-ceph.sh: $*" >&2
	exit 1
}

[ $# -eq 2 ] || die "usage: mini-ceph.sh start|stop|down|up|status DIR"
verb=$1
dir=$(realpath -m "$2")
port=${CEPH_PORT:-16789}
pool=${CEPH_POOL:-rbd}
auth=$([ "${CEPH_AUTH:-0}" = 1 ] && echo cephx || echo none)
patience=60
export CEPH_CONF=$dir/ceph.conf PATH=$PATH:/usr/sbin:/sbin

# Whether process $1 is a daemon that was started with this configuration.
is_ours()
{
	grep -qz -- "$CEPH_CONF" "/proc/$1/cmdline" 2>/dev/null
}

# daemon_pid NAME: prints it; fails when it does not run
daemon_pid()
{
	local pid

	pid=$(cat "$dir/$1.pid" 2>/dev/null) && [ -n "$pid" ] && is_ours "$pid" && echo "$pid"
}

# run WHAT COMMAND...: with its output kept for whoever looks for the reason of a failure
run()
{
	local what=$1

	shift
	timeout "$patience" "$@" >"$dir/log/$what" 2>&1 || {
		tail -n 5 "$dir/log/$what" >&2
		die "$what failed: $*"
	}
}

write_conf()
{
	cat >"$CEPH_CONF" <<-CONF
	[global]
	fsid = $fsid
	mon_host = [v2:127.0.0.1:$port/0]
	public_addr = 127.0.0.1
	cluster_addr = 127.0.0.1
	ms_bind_port_min = $((port + 1))
	ms_bind_port_max = $((port + 40))
	ms_async_op_threads = 1
	auth_cluster_required = $auth
	auth_service_required = $auth
	auth_client_required = $auth
	keyring = $keyring
	run_dir = $dir
	pid_file = $dir/\$name.pid
	admin_socket = $dir/\$name.asok
	log_file = $dir/log/\$name.log
	log_to_stderr = false
	crash_dir = $dir/crash
	max_open_files = 0
	osd_pool_default_size = 1
	osd_pool_default_min_size = 1
	osd_pool_default_pg_autoscale_mode = off
	osd_crush_chooseleaf_type = 0
	# An OSD that was stopped for longer than its lease to read (0.8 of this) may serve no more.
	osd_heartbeat_grace = 600
	[mon]
	mon_data = $dir/mon
	mon_data_avail_warn = 1
	mon_data_avail_crit = 0
	mon_allow_pool_size_one = true
	mon_allow_pool_delete = true
	# The start is a chain of maps: propose each at once.
	paxos_propose_interval = 0.01
	paxos_min_wait = 0.001
	[osd]
	osd_data = $dir/osd
	osd_objectstore = memstore
	osd_op_num_shards = 1
	osd_op_num_threads_per_shard = 2
	memstore_device_bytes = 1073741824
	memstore_page_set = true
	memstore_page_size = 16384
	[client]
	log_file =
	admin_socket =
	CONF
}

# The monitor's own key, and the administrator's, both in the file that it is made with.
make_keys()
{
	[ "$auth" = cephx ] || return 0
	run keys ceph-authtool --create-keyring "$keyring" --gen-key -n client.admin \
		--cap mon 'allow *' --cap osd 'allow *' --cap mds 'allow *' --cap mgr 'allow *'
	run keys ceph-authtool --create-keyring "$dir/mon.keyring" --gen-key -n mon. \
		--cap mon 'allow *'
	run keys ceph-authtool "$dir/mon.keyring" --import-keyring "$keyring"
}

start_mon()
{
	local with=()

	[ "$auth" = none ] || with=(--keyring "$dir/mon.keyring")
	# A map that --mkfs itself makes of mon_host has no address for this monitor.
	run monmap monmaptool --create --clobber --fsid "$fsid" --addv a "[v2:127.0.0.1:$port/0]" \
		"$dir/monmap"
	run mon-mkfs ceph-mon -c "$CEPH_CONF" -i a --mkfs --monmap "$dir/monmap" "${with[@]}"
	run mon ceph-mon -c "$CEPH_CONF" -i a
}

start_osd()
{
	local uuid

	uuid=$(cat /proc/sys/kernel/random/uuid)
	run osd-create ceph osd create "$uuid"
	[ "$(cat "$dir/log/osd-create")" = 0 ] || die "the first OSD has no number 0"
	if [ "$auth" = cephx ]; then
		run osd-key ceph auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' \
			-o "$dir/osd/keyring"
	fi
	run osd-mkfs ceph-osd -c "$CEPH_CONF" -i 0 --mkfs --osd-uuid "$uuid" --keyring "$osd_keyring"
	run osd ceph-osd -c "$CEPH_CONF" -i 0 --keyring "$osd_keyring"
}

is_gone()
{
	case $(awk '/^State/ {print $2}' "/proc/$1/status" 2>/dev/null) in
	'' | Z) return 0 ;;
	*) return 1 ;;
	esac
}

stop()
{
	local name pid

	for name in osd.0 mon.a; do
		pid=$(daemon_pid "$name") || continue
		# What it has is in memory and not wanted any more.
		kill -KILL "$pid" 2>/dev/null || continue
		until is_gone "$pid"; do
			sleep 0.01
		done
		rm -f "$dir/$name.pid" "$dir/$name.asok"
	done
}

# What was started goes when the rest cannot be started.
stop_failed()
{
	[ "$1" = 0 ] || stop
}

start()
{
	local fsid keyring=/dev/null osd_keyring=/dev/null

	daemon_pid mon.a >/dev/null && die "a cluster runs in $dir already"
	fsid=$(cat /proc/sys/kernel/random/uuid)
	rm -rf "$dir/mon" "$dir/osd" "$dir/log" "$dir"/*.pid "$dir"/*.asok "$dir"/*keyring
	mkdir -p "$dir/mon" "$dir/osd" "$dir/log" "$dir/crash"
	if [ "$auth" = cephx ]; then
		keyring=$dir/ceph.client.admin.keyring
		osd_keyring=$dir/osd/keyring
	fi
	trap 'stop_failed $?' EXIT
	write_conf
	make_keys
	start_mon
	start_osd
	run pool ceph osd pool create "$pool" 8 8 replicated
	if [ "$auth" = cephx ]; then
		run user ceph auth get-or-create client.cinder mon 'profile rbd' \
			osd "profile rbd pool=$pool" -o "$dir/ceph.client.cinder.keyring"
	fi
	# Answers when the OSD is up and the pool can be written to.
	run pool-init rbd pool init "$pool"
}

# tell SIGNAL: both daemons
tell()
{
	local name pid

	for name in osd.0 mon.a; do
		pid=$(daemon_pid "$name") || die "$name does not run"
		kill "-$1" "$pid"
	done
}

status()
{
	local name pid

	for name in mon.a osd.0; do
		if pid=$(daemon_pid "$name"); then
			echo "$name: process $pid," \
				"$(awk '/VmRSS/ {print int($2 / 1024)}' "/proc/$pid/status") MiB"
		else
			echo "$name: does not run"
		fi
	done
}

case $verb in
start) start ;;
stop) stop ;;
down) tell STOP ;;
up) tell CONT ;;
status) status ;;
*) die "no verb '$verb': there are start, stop, down, up, status" ;;
esac
