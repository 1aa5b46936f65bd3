#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Removes what `make install` put somewhere: the files, and the folders that it made for them, where
# nothing else is in these.
#
#   uninstall.sh [LIST]   LIST: what was installed, a path a line (default: build/installed)

set -eu

list=${1-$(dirname "$0")/../build/installed}
[ -e "$list" ] || {
	echo "uninstall.sh: there is no $list, which 'make install' writes: call that with the same" \
		"PREFIX and DESTDIR first" >&2
	exit 1
}

# What is inside a folder comes before it.
grep '^/' "$list" | sort -ru | while read -r path; do
	if [ -d "$path" ] && [ ! -L "$path" ]; then
		rmdir --ignore-fail-on-non-empty "$path"
	else
		rm -f "$path"
	fi
done
rm -f "$list"
