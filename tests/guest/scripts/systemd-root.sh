#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A node with systemd whose state directory is root's: targets are units, also one that needs
# hugepages. Whatever can die or hang does so, then the node is booted again. /dev/vdb is an empty disk.

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh
# shellcheck source=tests/guest/scripts/systemd-lib.sh
. /job/systemd-lib.sh

ENGINE=/usr/local/bin/cyborg-spdk-tgt
KIT=/opt/spdk/bin/spdk_tgt

agent_leaves_roots_alone()
{
	chown root: $DIR
	systemd-tmpfiles --create cyborg-spdk.conf
	[ "$(stat -c %U $DIR)" = root ]
	refused systemctl start $AGENT
	journalctl -u $AGENT --no-pager
	contains "$(journalctl -u $AGENT --no-pager)" "sudo -u root"
	systemctl reset-failed $AGENT
	unit_files | cmp - $KEEP.package
}

# It says that it is an SPDK, so that it gets hugepages; the engine does its work.
make_kit()
{
	mkdir -p /opt/spdk/bin
	cat >$KIT <<-'END'
		#!/bin/sh
		case $1 in
		--version) echo "SPDK v26.05" ;;
		--help) echo "--no-huge --huge-unlink --no-pci --pci-allowed --disable-cpumask-locks" ;;
		*) exec /usr/local/bin/cyborg-spdk-tgt "$@" ;;
		esac
	END
	chmod 755 $KIT
}

units()
{
	make_kit
	cyborg-spdk install r0 --backing /srv/r0.img --size 32M --target $ENGINE
	cyborg-spdk install v0 --backing /dev/vdb --target $ENGINE
	cyborg-spdk install h0 --memory 8M --target $KIT --hugepages 256M
	cyborg-spdk install agent --memory 8M --target $ENGINE
	systemctl status --no-pager --lines 3 'cyborg-spdk-target-*'
	cmp /job/stage/usr/local/lib/systemd/system/$AGENT /usr/local/lib/systemd/system/$AGENT
	[ "$(systemctl show -p FragmentPath --value $AGENT)" = /usr/local/lib/systemd/system/$AGENT ]
	cyborg-spdk uninstall agent
	[ "$(systemctl is-enabled cyborg-spdk-target-r0 cyborg-spdk-target-h0 cyborg-spdk-boot-h0 |
		tr '\n' ' ')" = "enabled disabled enabled " ]
	[ "$(cat $PAGES)" = 128 ]
	journalctl --no-pager >/tmp/journal
	refused grep "/cyborg-spdk-.* is marked" /tmp/journal
	attach cyborg-spdk r0
	attach cyborg-spdk v0
	perf r0 -w write
	perf v0 -w write
	is_healthy cyborg-spdk
}

# unit_heals SIGNAL: of r0's supervisor
unit_heals()
{
	before=$(pid_of r0 1)
	kill "-$1" "$before"
	wait_for 180 is_new r0 1 "$before"
	wait_for 180 is_healthy cyborg-spdk
	perf r0 --verify-only
}

unit_hangs()
{
	mkdir -p /run/systemd/system/cyborg-spdk-target-r0.service.d
	printf '[Service]\nWatchdogSec=6\n' \
		>/run/systemd/system/cyborg-spdk-target-r0.service.d/watchdog.conf
	systemctl daemon-reload
	systemctl restart cyborg-spdk-target-r0
	unit_heals STOP
	rm -r /run/systemd/system/cyborg-spdk-target-r0.service.d
	systemctl daemon-reload
}

# Root, and yet: no other device, no other file, no capability but to listen, and to read keys.
unit_is_confined()
{
	for id in r0 v0; do
		is_hardened cyborg-spdk-target-$id 4
		pid=$(pid_of $id 2)
		status_has "$pid" CapBnd 0000000000000404
		status_has "$pid" NoNewPrivs 1
		status_has "$pid" Seccomp 2
		for file in /etc/a /usr/a /home/a /root/a /srv/a /var/lib/a $DIR/a $PAGES; do
			refused within "$pid" sh -c "echo 1 >$file"
		done
		within "$pid" sh -c "echo 1 >$DIR/targets/$id/a && rm $DIR/targets/$id/a"
		refused within "$pid" dd status=none if=/dev/vda of=/dev/null count=1
	done
	within "$(pid_of v0 2)" dd status=none if=/dev/vdb of=/dev/null count=1
	refused within "$(pid_of r0 2)" dd status=none if=/dev/vdb of=/dev/null count=1
}

root_agent()
{
	install -D -m 644 /usr/local/share/doc/cyborg-spdk/agent-root.conf \
		$UNITS/$AGENT.d/root.conf
	systemctl daemon-reload
	systemctl start $AGENT
	before=$(pid_of h0 1)
	systemctl stop cyborg-spdk-target-h0 cyborg-spdk-target-v0
	wait_for 180 is_new h0 1 "$before"
	wait_for 180 is_healthy cyborg-spdk
	perf v0 --verify-only
	journalctl -u $AGENT --no-pager | grep recovered
	contains "$(cat "/proc/$(pid_of h0 1)/cgroup")" cyborg-spdk-target-h0
	systemctl stop $AGENT
	rm -r $UNITS/$AGENT.d
	systemctl daemon-reload
}

units_are_back()
{
	systemctl is-system-running --wait
	systemctl status --no-pager --lines 5 'cyborg-spdk-*' || true
	wait_for 180 is_healthy cyborg-spdk
	cyborg-spdk status
	[ "$(cat $PAGES)" = 128 ]
	[ "$(systemctl is-active $AGENT)" = inactive ]
	perf r0 --verify-only
	perf v0 --verify-only
	[ "$(cyborg-spdk status --json | grep -c '"after_boot": true')" = 3 ]
}

# One whose supervisor is just being started again by systemd.
uninstall_units()
{
	cyborg-spdk detach r0
	cyborg-spdk detach v0
	kill -9 "$(pid_of r0 1)"
	for id in r0 v0 h0; do
		cyborg-spdk uninstall $id
	done
	nothing_runs
	no_unit_failed
	unit_files | cmp - $KEEP.package
	[ "$(cat $PAGES)" = 0 ]
	[ ! -e /srv/r0.img ]
}

watch_steps &
if [ "$(phase)" = 0 ]; then
	step boots boots
	step install_package install_package
	step agent_leaves_roots_alone agent_leaves_roots_alone
	step units units
	step unit_killed unit_heals KILL
	step unit_hangs unit_hangs
	step unit_is_confined unit_is_confined
	step root_agent root_agent
	boot_again
fi
step units_are_back units_are_back
step uninstall_units uninstall_units
step remove_package remove_package
