#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The main job on this machine, from an empty node to an empty node: discover, list, install,
# attach, real data written and verified as the instance's host, update of the running target,
# detach, uninstall. Everything it makes is in a temporary folder, which goes at the end.

set -eu -o pipefail
export LC_ALL=C

bin=$(cd "$(dirname "$0")/.." && pwd)/build/bin
dir=$(mktemp -d "${TMPDIR:-/tmp}/cyborg-spdk-demo.XXXXXX")
export CYBORG_SPDK_STATE_DIR=$dir/state CYBORG_SPDK_BIN=$bin
nqn_prefix=nqn.2014-08.org.nvmexpress:uuid
host=$nqn_prefix:$(cat /proc/sys/kernel/random/uuid)
other_host=$nqn_prefix:$(cat /proc/sys/kernel/random/uuid)
nqn=
steps=0

# What a demo that broke leaves running is taken down too.
# shellcheck disable=SC2317 # called by the trap
finish()
{
	code=$?
	if [ $code != 0 ]; then
		echo "The demo broke (exit code $code); taking down what it started." >&2
		"$bin/cyborg-spdk" detach vm-1 --force >/dev/null 2>&1 || true
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
	printf '\n   $ %s\n' "$line"
	"$bin/$1" "${@:2}" 2>&1 | sed 's/^/   /'
}

# member NAME [INDEX]...: of the attachment's connection, for a program
member()
{
	"$bin/cyborg-spdk" attach vm-1 --host "$host" --json | python3 -c '
import json, sys
value = json.load(sys.stdin)["data"]
for key in sys.argv[1:]:
    value = value[int(key) if key.isdigit() else key]
print(value)' "$@"
}

echo "This shows the main job of cyborg-spdk. All of it runs as $(id -un)."
printf '\n   DIR=%s\n   HOST=%s\n' "$dir" "$host"

say "Discover: what this node has, and which targets it could run."
run cyborg-spdk discover

say "List: which storage could be handed out, yes or no and why. A new empty file is a candidate."
truncate -s 256M "$dir/disk.img"
run cyborg-spdk list "$dir/disk.img"

say "Install: a supervised target on that file becomes the accelerator fast0."
run cyborg-spdk install fast0 --backing "$dir/disk.img"

say "Attach: export it to instance vm-1, whose host alone may connect, and prove the path once."
run cyborg-spdk attach vm-1 --host "$host"
address=$(member portals 0 0):$(member portals 0 1)
nqn=$(member target_nqn)
printf '\n   NQN=%s\n' "$nqn"

say "Real data: as that host, over NVMe/TCP, write 64 MiB that tells its place, and verify it."
as_host=(--addr "$address" --nqn "$nqn" --hostnqn "$host")
run cyborg-spdk-perf "${as_host[@]}" -w write --verify-pattern persistent --seed 42 -o 128K \
	--length 64M
run cyborg-spdk-perf "${as_host[@]}" --verify-only --seed 42 -o 16K --length 64M

say "Load: random reads and writes of 4 KiB for 3 s, each read verified."
run cyborg-spdk-perf "${as_host[@]}" -w randrw --verify -t 3 --offset 64M --length 32M

say "Another host is refused: an export belongs to one host."
if run cyborg-spdk-perf --addr "$address" --nqn "$nqn" --hostnqn "$other_host" --identify; then
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

say "Detach: take the export back. The host finds nothing there any more."
run cyborg-spdk detach vm-1
if run cyborg-spdk-perf "${as_host[@]}" --identify; then
	echo "   It was not refused." >&2
	exit 1
fi

say "Uninstall: stop the target and remove what install made."
run cyborg-spdk uninstall fast0
run cyborg-spdk status

printf '\nDone in %s s: discovered, attached, verified, updated, detached, and nothing left behind.\n' \
	$SECONDS
