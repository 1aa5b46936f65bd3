#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the programs and puts them into build/bin, side by side as they look for each other.

set -eu
cd "$(dirname "$0")/.."

tools/install-deps.sh build
if [ ! -e build/meson/build.ninja ]; then
	meson setup build/meson -Dtests=false
fi
ninja -C build/meson --quiet
tools/collect-programs.py build/meson build/bin
