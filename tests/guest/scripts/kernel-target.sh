#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The kernel's own NVMe/TCP target with two namespaces, of 512-byte and of 4096-byte blocks, for a
# host outside the guest, until the test says that it is done.
#
#   kernel-target.sh PORT CONTROL

# shellcheck source=tests/guest/scripts/lib.sh
. /job/lib.sh

set -e
memory_disks 512 4096
nvmet_start 10.0.2.15 "$1" /dev/nullb0
nvmet_add_ns 2 /dev/nullb1
ask "$2" ready
if dmesg | grep -v 'connect request for invalid subsystem' |
	grep -iE 'nvmet.*(error|fail|invalid|digest|unexpected|bad)'; then
	exit 1
fi
