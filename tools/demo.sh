#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job on this machine, from an empty node to an empty node: discover, list, install a store of
# volumes, attach, real data written and verified as the instance's host, a snapshot for a second
# one, update of the running target, detach, uninstall. Everything it makes is in a temporary folder, which goes at the end.

set -eu -o pipefail
export LC_ALL=C

bin=$(cd "$(dirname "$0")/.." && pwd)/build/bin
dir=$(mktemp -d "${TMPDIR:-/tmp}/cyborg-spdk-demo.XXXXXX")
export CYBORG_SPDK_STATE_DIR=$dir/state CYBORG_SPDK_BIN=$bin
nqn_prefix=nqn.2014-08.org.nvmexpress:uuid
host=$nqn_prefix:$(cat /proc/sys/kernel/random/uuid)
other_host=$nqn_prefix:$(cat /proc/sys/kernel/random/uuid)
perf_options=()
nqn=
snapshot_nqn=
steps=0

# What a demo that broke leaves running is taken down too.
# shellcheck disable=SC2317 # called by the trap
finish()
{
	code=$?
	if [ $code != 0 ]; then
		echo "The demo broke (exit code $code); taking down what it started." >&2
		for vm in vm-1 vm-2; do
			"$bin/cyborg-spdk" detach $vm --force >/dev/null 2>&1 || true
		done
		"$bin/cyborg-spdk" uninstall fast0 >/dev/null 2>&1 ||
			echo "Something may still run: see cyborg-spdk status --state-dir $dir/state" >&2
	fi
	rm -rf "$dir"
}
trap finish EXIT

# say TEXT: what comes now, and why
say()
{
	steps=$((steps + 1))
	printf '\n%s. %s\n' $steps "$1"
}

# run PROGRAM ARG...: one of ours, shown as one would type it with what is long in variables
run()
{
	local line=$*

	line=${line//$dir/\$DIR}
	line=${line//$host/\$HOST}
	line=${line//$other_host/\$OTHER_HOST}
	line=${line//${nqn:-$host}/\$NQN}
	line=${line//${snapshot_nqn:-$host}/\$SNAPSHOT_NQN}
	printf '\n   $ %s\n' "$line"
	"$bin/$1" "${@:2}" 2>&1 | sed 's/^/   /'
}

# member INSTANCE NAME: of the attachment as it is recorded, for a program
member()
{
	"$bin/cyborg-spdk" status --json | python3 -c '
import json, sys
attachments = json.load(sys.stdin)["accelerators"][0]["attachments"]
print(next(a for a in attachments if a["instance"] == sys.argv[1])[sys.argv[2]])' "$@"
}

# host_of INSTANCE NQN: perf_options of who may connect to it
host_of()
{
	perf_options=(--addr "$(member "$1" address):$(member "$1" port)" --nqn "$(member "$1" nqn)"
		--hostnqn "$2")
}

echo "This shows the main job of cyborg-spdk. All of it runs as $(id -un)."
printf '\n   DIR=%s\n   HOST=%s\n' "$dir" "$host"

say "Discover: what this node has, and which targets it could run."
run cyborg-spdk discover

say "List: which storage could be handed out, yes or no and why. A new empty file is a candidate."
truncate -s 256M "$dir/disk.img"
run cyborg-spdk list "$dir/disk.img"

say "Install: a supervised target with a store of volumes on that file: the accelerator fast0."
run cyborg-spdk install fast0 --backing "$dir/disk.img" --scenario blobstore --cluster-size 1M

say "Attach: a new volume for instance vm-1, whose host alone may connect; the path is proved once."
run cyborg-spdk attach vm-1 --host "$host" --size 128M
nqn=$(member vm-1 nqn)
printf '\n   NQN=%s\n' "$nqn"

say "Real data: as that host, over NVMe/TCP, write 64 MiB that tells its place, and verify it."
host_of vm-1 "$host"
as_host=("${perf_options[@]}")
run cyborg-spdk-perf "${as_host[@]}" -w write --verify-pattern persistent --seed 42 -o 128K \
	--length 64M
run cyborg-spdk-perf "${as_host[@]}" --verify-only --seed 42 -o 16K --length 64M

say "Load: random reads and writes of 4 KiB for 3 s, each read verified."
run cyborg-spdk-perf "${as_host[@]}" -w randrw --verify -t 3 --offset 64M --length 32M

say "Another host is refused: an export belongs to one host."
host_of vm-1 "$other_host"
if run cyborg-spdk-perf "${perf_options[@]}" --identify; then
	echo "   It was not refused." >&2
	exit 1
fi

say "A second instance, on the other host: what vm-1 has now, read-only, with 64 MiB/s at most."
run cyborg-spdk attach vm-2 --host "$other_host" --volume vm-1 --read-only --qos rw_mb=64
snapshot_nqn=$(member vm-2 nqn)
printf '\n   SNAPSHOT_NQN=%s\n' "$snapshot_nqn"
host_of vm-2 "$other_host"
run cyborg-spdk-perf "${perf_options[@]}" --verify-only --seed 42 -o 128K --length 64M
if run cyborg-spdk-perf "${perf_options[@]}" -w write -n 1; then
	echo "   It was not refused." >&2
	exit 1
fi

say "Update: replace the running target by another build of it (here: a copy, at another path)."
mkdir "$dir/newer"
cp "$bin/cyborg-spdk-tgt" "$dir/newer/"
run cyborg-spdk update fast0 --target "$dir/newer/cyborg-spdk-tgt"

say "The export came back as it was, and the data with it."
run cyborg-spdk-perf "${as_host[@]}" --verify-only --seed 42 -o 64K --length 64M
run cyborg-spdk status

say "Detach: take the exports back. The host finds nothing there any more; the volumes go too."
run cyborg-spdk detach vm-2
run cyborg-spdk detach vm-1 --delete
if run cyborg-spdk-perf "${as_host[@]}" --identify; then
	echo "   It was not refused." >&2
	exit 1
fi

say "Uninstall: stop the target and remove what install made."
run cyborg-spdk uninstall fast0
run cyborg-spdk status

printf '\nDone in %s s: discovered, attached, verified, updated, detached, and nothing left behind.\n' \
	$SECONDS
