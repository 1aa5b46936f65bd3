#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The virtual machine of vhost.sh, after both disks were detached and attached anew.
#
#   vhost-again.sh SUM SECTORS

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

modprobe virtio_blk
wait_for 30 test -b /dev/vdb

same()
{
	[ "$(sum_of /dev/vda)" = "$1" ]
	[ "$(sum_of /dev/vdb)" = "$1" ]
	[ "$(cat /sys/block/vda/size)" = "$2" ]
	[ "$(cat /sys/block/vdb/ro)" = 1 ]
}

step data_is_there_again same "$1" "$2"
