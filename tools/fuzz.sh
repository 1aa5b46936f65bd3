#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Feeds Blobstore damaged images with libFuzzer, from the images that are made in the tree and, where
# they are, reference images. What is found stays in build/fuzz/corpus; what crashes in build/fuzz.
#
#   fuzz.sh [SECONDS]    60 by default

set -eu
export LC_ALL=C
cd "$(dirname "$0")/.."
seconds=${1:-60}
folder=build/fuzz
reference=${CYBORG_SPDK_REFERENCE:-../shared/reference}/images

tools/install-deps.sh build fuzz
[ -e $folder/build.ninja ] ||
	CC=clang-14 meson setup $folder -Db_sanitize=address,undefined -Db_lundef=false \
		-Dc_args=-fsanitize=fuzzer-no-link
ninja -C $folder tests/fuzz/fuzz-blob tests/fuzz/fuzz-blob-libfuzzer

mkdir -p $folder/corpus $folder/seeds
$folder/tests/fuzz/fuzz-blob --write-seeds $folder/seeds
for image in "$reference"/*.img.xz; do
	[ -e "$image" ] || break
	name=$(basename "$image" .img.xz)
	# Larger ones than the disk of the trial would be cut off.
	size=$(xz -l --robot "$image" | awk '/^totals/ { print $5 }')
	if [ "$size" -gt 67108864 ] || [ -e "$folder/seeds/$name" ]; then
		continue
	fi
	xz -dc "$image" | $folder/tests/fuzz/fuzz-blob --pack "$folder/seeds/$name"
done
cd $folder
# The fiber that keeps the reactor going looks like a leak; fuzz-blob, which ends, looks for real ones.
export ASAN_OPTIONS=detect_leaks=0
exec tests/fuzz/fuzz-blob-libfuzzer -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 \
	-max_len=262144 -print_final_stats=1 corpus seeds
