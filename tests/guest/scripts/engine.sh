#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Our target and our host on the guest's kernel, on one backend of the reactor, and the kernel's
# host against our target over the guest's loopback.
#
#   engine.sh BACKEND

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

export CYBORG_SPDK_BACKEND="$1"
modprobe nvme-tcp
memory_disks 512

answers()
{
	nvme discover -t tcp -a 127.0.0.1 -s 4420 -q "$HOSTNQN" | grep -q "$NQN"
}

perf()
{
	/job/cyborg-spdk-perf --addr 127.0.0.1:4420 --nqn "$NQN" --hostnqn "$HOSTNQN" --quiet "$@"
}

start()
{
	wait_for 30 answers
	cat /tmp/target.log
}

verify()
{
	perf -w verify -o 64K -q 8 --length 4M "$@"
}

mixed()
{
	perf -w randrw --verify -o 4K -q 32 -P 2 -n 1000 --length 8M "$@"
}

kernel_host()
{
	nvme connect -t tcp -a 127.0.0.1 -s 4420 -n "$NQN" -q "$HOSTNQN" -I "$HOSTID" -i 2 -g -G
	wait_for 30 test -b /dev/nvme0n2
	for disk in /dev/nvme0n1 /dev/nvme0n2; do
		dd status=none if=/dev/urandom of=/tmp/data bs=1M count=4
		dd status=none if=/tmp/data of=$disk bs=1M oflag=direct
		dd status=none if=$disk of=/tmp/back bs=256K count=16 iflag=direct
		cmp /tmp/data /tmp/back
	done
	nvme disconnect -n "$NQN"
}

/job/cyborg-spdk-tgt -r /tmp/rpc.sock -c /job/config.json >/tmp/target.log 2>&1 &
target=$!
step start start
step verify_memory verify --nsid 1
step verify_block_device verify --nsid 2
step verify_digests verify --nsid 2 --hdgst --ddgst
step mixed_memory mixed --nsid 1
step mixed_block_device mixed --nsid 2
step kernel_host kernel_host
kill $target
wait $target
code=$?
step stop test $code = 0
cat /tmp/target.log
