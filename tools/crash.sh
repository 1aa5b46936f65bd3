#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The long run of the power-cut simulator of Blobstore: every operation on disks of both kinds, both
# ways of tearing, and random sequences with seeds that no run had before.
#
#   crash.sh [ARG...]    arguments of blob-crash; --help tells them

set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."

meson configure build/meson -Dtests=true
ninja -C build/meson tests/crash/blob-crash
seed=$(date +%s)
echo "seed $seed"
exec build/meson/tests/crash/blob-crash --long --seed "$seed" "$@"
