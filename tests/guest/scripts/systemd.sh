#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A node with systemd as docs/cyborg.md has it: everything is the user cyborg-spdk's, and the agent looks
# after it. Whatever can die or hang does so, then the node is booted again. /dev/vdb is an empty disk.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh
# shellcheck source=tests/guest/scripts/systemd-lib.sh
. /job/systemd-lib.sh

agent_starts()
{
	systemctl enable --now $AGENT
	systemctl status --no-pager $AGENT
}

# configure_arqd LINE...: the group [spdk] of its cyborg.conf
configure_arqd()
{
	printf '%s\n' '[spdk]' "$@" | install -D -m 640 -g cyborg /dev/stdin /etc/cyborg/cyborg.conf
}

# What time does not mend: it is not started again and again.
arqd_without_credentials()
{
	systemd-analyze verify --man=no $ARQD
	is_hardened $ARQD 3
	groupadd --system cyborg
	configure_arqd
	refused systemctl start $ARQD
	systemctl status --no-pager $ARQD || true
	[ "$(systemctl is-failed $ARQD)" = failed ]
	[ "$(systemctl show -p NRestarts --value $ARQD)" = 0 ]
	contains "$(journalctl -u $ARQD --no-pager)" "no credentials: set auth_type"
	systemctl reset-failed $ARQD
}

# What time may mend: the service waits, longer each time, also when it was killed.
arqd_without_keystone()
{
	configure_arqd "auth_type = password" "auth_url = http://127.0.0.1:9/v3" "username = admin" \
		"password = hidden-word" "project_name = service" "user_domain_id = default" \
		"project_domain_id = default" "poll_interval = 1"
	systemctl start $ARQD
	wait_for 180 arqd_says "next try in 4 s"
	systemctl status --no-pager $ARQD
	contains "$(systemctl show -p StatusText $ARQD)" "127.0.0.1"
	kill -9 "$(main_pid $ARQD)"
	wait_for 180 arqd_was_restarted
	systemctl stop $ARQD
	[ "$(systemctl show -p Result --value $ARQD)" = success ]
	refused grep hidden-word /tmp/journal
}

arqd_was_restarted()
{
	[ "$(systemctl show -p NRestarts --value $ARQD)" = 1 ] && [ "$(main_pid $ARQD)" != 0 ]
}

arqd_says()
{
	journalctl -u $ARQD --no-pager >/tmp/journal
	grep -q "$1" /tmp/journal
}

device_without_rights()
{
	refused_for "/dev/vdb.*ermission" spdk install d0 --backing /dev/vdb
	echo 'SUBSYSTEM=="block", ENV{ID_SERIAL}=="DATA0", OWNER="cyborg-spdk"' \
		>/etc/udev/rules.d/90-cyborg-spdk.rules
	udevadm control --reload
	udevadm trigger --settle /sys/class/block/vdb
	[ "$(stat -c %U /dev/vdb)" = cyborg-spdk ]
}

install_backings()
{
	install -d -o cyborg-spdk /srv/fast
	spdk install e0 --backing /srv/fast/e0.img --size 32M
	spdk install d0 --backing /dev/vdb --scenario blobstore
	spdk install m0 --memory 8M
	attach spdk e0
	attach spdk d0 --size 16M
	is_healthy spdk
}

data()
{
	perf e0 -w write
	modprobe nvme-tcp
	connect d0
	dd status=none if=/dev/urandom of=$KEEP.data bs=1M count=4
	dd status=none if=$KEEP.data of="$(disk_of d0)" bs=1M oflag=direct
}

same_data()
{
	perf e0 --verify-only &&
		dd status=none if="$(disk_of d0)" bs=1M count=4 iflag=direct | cmp - $KEEP.data
}

all_is_the_users()
{
	find $DIR -ls
	[ -z "$(find $DIR ! -user cyborg-spdk)" ]
	[ -z "$(find $DIR ! -type l -perm /077)" ]
	[ ! -e $UNITS/cyborg-spdk-target-e0.service ]
	for pid in $(pgrep 'spdk-[ast]'); do
		status_has "$pid" Uid "$(id -u cyborg-spdk)"
		status_has "$pid" CapEff 0000000000000000
	done
}

# The state directory is that user's, and root is told so.
root_is_told_whose_it_is()
{
	refused_for "sudo -u cyborg-spdk" cyborg-spdk status
	refused_for "sudo -u cyborg-spdk" cyborg-spdk install r0 --memory 8M
}

target_killed()
{
	before=$(pid_of e0 2)
	kill -9 "$before"
	wait_for 180 is_new e0 2 "$before"
	wait_for 180 is_healthy spdk
	spdk status | grep -A 1 '^e0'
}

supervisor_killed()
{
	before=$(pid_of d0 2)
	kill -9 "$(pid_of d0 1)" "$before"
	wait_for 180 is_new d0 2 "$before"
	before=$(pid_of e0 2)
	kill -9 "$(pid_of e0 1)"
	wait_for 180 is_new e0 2 "$before"
	wait_for 180 is_healthy spdk
	systemctl status --no-pager $AGENT
	journalctl -u $AGENT --no-pager >/tmp/journal
	contains "$(cat "/proc/$(pid_of d0 2)/cgroup")" "/$AGENT\$"
	refused grep "Got notification message" /tmp/journal
	wait_for 180 same_data
}

agent_killed()
{
	target=$(pid_of d0 2)
	before=$(main_pid $AGENT)
	kill -9 "$before"
	wait_for 180 has_new_main $AGENT "$before"
	[ "$(pid_of d0 2)" = "$target" ]
}

agent_hangs()
{
	mkdir -p /run/systemd/system/$AGENT.d
	printf '[Service]\nWatchdogSec=6\n' >/run/systemd/system/$AGENT.d/watchdog.conf
	systemctl daemon-reload
	systemctl restart $AGENT
	before=$(main_pid $AGENT)
	kill -STOP "$before"
	wait_for 180 has_new_main $AGENT "$before"
	journalctl -u $AGENT --no-pager --lines 20
	contains "$(journalctl -u $AGENT --no-pager)" "Watchdog timeout"
	rm -r /run/systemd/system/$AGENT.d
	systemctl daemon-reload
	systemctl restart $AGENT
}

# A target that the agent started: by what the unit forbids, and by what the user may not do.
agent_is_confined()
{
	is_hardened $AGENT 3
	for pid in "$(main_pid $AGENT)" "$(pid_of d0 1)" "$(pid_of d0 2)"; do
		status_has "$pid" CapBnd 0000000000000000
		status_has "$pid" NoNewPrivs 1
		status_has "$pid" Seccomp 2
	done
	pid=$(pid_of d0 2)
	chmod 777 /home /usr/local/share
	for file in /etc/a /usr/a /usr/local/share/a /home/a /root/a /boot/a /srv/a /var/lib/a \
		/sys/kernel/mm/hugepages/a /proc/sys/vm/nr_hugepages; do
		refused within "$pid" sh -c "echo 1 >$file"
	done
	chmod 755 /home /usr/local/share
	refused within "$pid" dd status=none if=/dev/vda of=/dev/null count=1
	within "$pid" dd status=none if=/dev/vdb of=/dev/null count=1
	within "$pid" sh -c "echo 1 >/srv/fast/a && rm /srv/fast/a"
}

before_boot()
{
	disconnect d0
	is_healthy spdk
	uptime -s
}

all_is_back()
{
	wait_for 180 is_healthy spdk
	spdk status
	spdk status --json >/tmp/status
	[ "$(grep -c '"after_boot": true' /tmp/status)" = 3 ]
	contains "$(spdk status)" "boot"
	journalctl -b -u $AGENT --no-pager | grep recovered
	modprobe nvme-tcp
	connect d0
	same_data
	disconnect d0
}

uninstall_all()
{
	spdk detach e0
	spdk detach d0 --delete
	for id in e0 d0 m0; do
		spdk uninstall $id
	done
	nothing_runs
	[ -z "$(ls -A /srv/fast)" ]
	dd status=none if=/dev/vdb bs=1M count=4 | tr -d '\0' | cmp - /dev/null
	ls -A $DIR $DIR/targets
	systemctl disable --now $AGENT
	no_unit_failed
}

watch_steps &
if [ "$(phase)" = 0 ]; then
	step boots boots
	step install_package install_package
	step agent_starts agent_starts
	step arqd_without_credentials arqd_without_credentials
	step arqd_without_keystone arqd_without_keystone
	step device_without_rights device_without_rights
	step install_backings install_backings
	step data data
	step all_is_the_users all_is_the_users
	step root_is_told_whose_it_is root_is_told_whose_it_is
	step target_killed target_killed
	step supervisor_killed supervisor_killed
	step agent_killed agent_killed
	step agent_hangs agent_hangs
	step agent_is_confined agent_is_confined
	step before_boot before_boot
	boot_again
fi
step all_is_back all_is_back
step uninstall_all uninstall_all
step remove_package remove_package
