#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The long run of the power-cut simulator of Blobstore: every operation on disks of both kinds and of
# both block sizes, both ways of tearing, the real repair of what tore, and random sequences with seeds that no run had before.
#
#   crash.sh [ARG...]    arguments of blob-crash; --help tells them

set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."

meson configure build/meson -Dtests=true
ninja -C build/meson tests/crash/blob-crash tests/crash/blob-crash-4k \
	src/blobtool/cyborg-spdk-blob
seed=$(date +%s)
echo "seed $seed"
for program in blob-crash blob-crash-4k; do
	echo "$program"
	"build/meson/tests/crash/$program" --long --seed "$seed" \
		--tool build/meson/src/blobtool/cyborg-spdk-blob "$@"
done
