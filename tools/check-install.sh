#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs a build into a throw-away folder and holds what came to what a distributor counts on: the
# programs start from there, a program builds against the installed header, the library shows its
# public names only, and all of it can be removed.
#
#   check-install.sh BUILD-FOLDER

set -eu -o pipefail

build=$1
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

die()
{
	echo "check-install.sh: $*" >&2
	exit 1
}

DESTDIR=$stage meson install -C "$build" --no-rebuild --quiet
find "$stage" -type f -o -type l | sed "s,^$stage,,"

library=$(find "$stage" -name 'libcyborg-spdk.so')
[ -n "$library" ] || die "no libcyborg-spdk.so was installed"
folder=$(dirname "$library")
case $folder in
*/lib | */lib/*-linux-gnu) ;;
*) die "the library is in $folder, where Debian's linker does not look" ;;
esac
header=$(find "$stage" -path '*/include/cyborg-spdk')
[ -n "$header" ] || die "no include/cyborg-spdk was installed"

find "$stage" -path '*/bin/cyborg-spdk*' -type f | while read -r program; do
	LD_LIBRARY_PATH=$folder "$program" --version </dev/null || die "$program --version failed"
done

find "$stage" -path '*/bin/cyborg-spdk*' -type f -printf '%f\n' | while read -r program; do
	[ -n "$(find "$stage" -path '*/man/man[18]/*' -name "$program.[18]*")" ] ||
		die "no manual page of $program was installed"
done

readelf -d "$library" | grep -q 'SONAME.*libcyborg-spdk\.so\.[0-9]' || die "$library has no SONAME"
# Absolute ones are the nodes of the version script.
if nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | grep -v '^cyborg_spdk_'; then
	die "$library shows names (above) that are not public"
fi

find "$header" -name '*.h' | while read -r file; do
	echo "#include <cyborg-spdk/${file##*/}>"
done >"$stage/program.c"
echo 'int main(void) { return 0; }' >>"$stage/program.c"
gcc -std=c11 -pedantic -Wall -Wextra -Werror "-I$(dirname "$header")" "$stage/program.c" \
	-o "$stage/program" "-L$folder" -Wl,--no-as-needed -lcyborg-spdk
LD_LIBRARY_PATH=$folder "$stage/program"

rm "$stage/program" "$stage/program.c"
cp "$build/meson-logs/install-log.txt" "$stage.list"
tools/uninstall.sh "$stage.list"
left=$(find "$stage" ! -type d)
[ -z "$left" ] || die "left behind by tools/uninstall.sh: $left"
