#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests and checks, or some parts of them.
#
#   check.sh [PART...]
#   check.sh -l          list the parts
#
# Each part's output is kept in build/check/PART.log; that of a part that failed is shown. The last
# line sums up: N passed, N failed, N skipped. The exit code is 1 when a test failed or none ran.

set -u -o pipefail
export LC_ALL=C
cd "$(dirname "$0")/.." || exit 1

# What compiles has both cores to itself; then two lanes run side by side. Functional tests share one:
# the verbs use NVMe-oF's own port and those behind it.
FIRST="build unit asan tsan"
LANE_A="functional functional-epoll"
LANE_B="python install format scripts layers security guest blobtool crash fuzz"
PARTS="$FIRST $LANE_A $LANE_B"
ASKED_FOR="systemd" # only when named: four boots under emulation
LOGS=build/check
PYTEST=(/usr/bin/python3 -m pytest -q -p no:cacheprovider --durations=10)

# sanitizer_setup FOLDER SANITIZERS: a build of its own
sanitizer_setup()
{
	[ -e "$1/build.ninja" ] || meson setup "$1" "-Db_sanitize=$2" -Db_lundef=false
}

# meson_tests FOLDER ARG...: run and count
meson_tests()
{
	local folder=$1 code
	shift

	echo 0 0 0 >"$counts"
	rm -f "$folder"/meson-logs/testlog*.json
	# Where others compile as well a test takes longer than the 30 s that Meson gives it.
	meson test -C "$folder" --print-errorlogs --timeout-multiplier 4 "$@"
	code=$?
	# With a wrapper the log is called after it.
	if compgen -G "$folder/meson-logs/testlog*.json" >/dev/null; then
		tools/sum-tests.py "$folder"/meson-logs/testlog*.json >"$counts"
	fi
	return $code
}

# pytests FOLDER [ARG...]: run and count
pytests()
{
	local code

	echo 0 0 0 >"$counts"
	"${PYTEST[@]}" --junitxml="$counts.xml" "$@"
	code=$?
	[ ! -e "$counts.xml" ] || tools/sum-tests.py "$counts.xml" >"$counts"
	return $code
}

part_build()
{
	tools/build.sh && meson configure build/meson -Dtests=true && ninja -C build/meson
}

# Where only this was asked for, perhaps behind `make demo`, which builds no tests.
with_tests()
{
	[ -d build/meson/tests/unit ] || part_build
}

part_unit()
{
	with_tests && meson_tests build/meson --suite unit
}

# Power cuts under Blobstore, a bounded number; make crash cuts for long.
part_crash()
{
	with_tests && meson_tests build/meson --suite crash
}

# Damaged images, a bounded number, under the address sanitizer; make fuzz goes on for long.
part_fuzz()
{
	build_asan && meson_tests build/asan --no-rebuild --suite fuzz
}

# Both lanes come here, and two ninjas in one folder would spoil each other's log.
build_asan()
{
	(
		flock 9
		sanitizer_setup build/asan address,undefined && ninja -C build/asan &&
			tools/collect-programs.py build/asan build/asan/bin
	) 9>build/asan.lock
}

part_asan()
{
	build_asan && meson_tests build/asan --suite unit
}

# gcc's TSan knows fewer layouts of memory than Linux deals out at random: without randomisation, where
# that may be asked for.
part_tsan()
{
	local wrapper=()

	sanitizer_setup build/tsan thread || return 1
	setarch -R true 2>/dev/null && wrapper=(--wrapper "setarch -R")
	meson_tests build/tsan "${wrapper[@]}" --suite threads
}

# On both backends: io_uring in the programs with sanitizers, epoll in those that users run.
part_functional()
{
	build_asan &&
		CYBORG_SPDK_BACKEND=uring CYBORG_SPDK_BIN=$PWD/build/asan/bin \
			pytests tests/functional --ignore-glob='*blobtool*'
}

# What waits for sockets and files itself: not the verbs, which talk to a target that does.
part_functional-epoll()
{
	CYBORG_SPDK_BACKEND=epoll pytests tests/functional --ignore-glob='*blobtool*' \
		--ignore-glob='*verbs*' --ignore-glob='*test_probe*' \
		--ignore=tests/functional/test_agent.py --ignore=tests/functional/test_man_pages.py
}

# The offline tool, which has no reactor and needs no port.
part_blobtool()
{
	build_asan && CYBORG_SPDK_BIN=$PWD/build/asan/bin pytests tests/functional/*blobtool*.py
}

# The Python package; what needs Cyborg is skipped unless CYBORG_SPDK_CYBORG names its sources.
part_python()
{
	pytests tests/python
}

part_guest()
{
	pytests tests/guest --ignore=tests/guest/test_systemd.py
}

# A node with systemd: installed, killed, booted again, removed.
part_systemd()
{
	pytests tests/guest/test_systemd.py
}

# What is installed is whole: a program built against the installed header runs.
part_install()
{
	tools/check-install.sh build/meson
}

part_format()
{
	git ls-files -z 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' 'bench/*.[ch]' |
		xargs -0 clang-format-14 --dry-run -Werror
}

part_scripts()
{
	git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x || return
	# A name that is not defined shows only where a test is not skipped. What else pyflakes
	# tells are fixtures, which Python imports for pytest to find.
	! { git ls-files -z '*.py' | xargs -0 pyflakes3 || true; } | grep -F 'undefined name'
}

part_layers()
{
	tools/check-layers.py
}

part_security()
{
	tools/check-security-doc.py
}

# run_part NAME: its counts go to PART.counts; a part that names no tests is one test itself
run_part()
{
	local part=$1 start=$SECONDS code words=(0 0 0)
	local counts=$LOGS/$part.counts

	rm -f "$counts" "$counts.xml"
	case $part in
	guest | systemd) echo "$part: tail -f $LOGS/guest/*.log" ;;
	esac
	"part_$part" >"$LOGS/$part.log" 2>&1
	code=$?
	if [ -s "$counts" ]; then
		read -r -a words <"$counts"
	elif [ $code = 0 ]; then
		words[0]=1
	fi
	[ $code = 0 ] || [ "${words[1]}" != 0 ] || words[1]=1
	[ "${words[*]}" != "0 0 0" ] || words[1]=1
	echo "${words[*]}" >"$counts"
	# One write, since two lanes print.
	printf '%s\n' "$(
		printf '%-18s%5d passed %4d failed %4d skipped %5d s\n' "$part" "${words[@]}" \
			$((SECONDS - start))
		[ "${words[1]}" = 0 ] || tail -n 100 "$LOGS/$part.log" | sed 's/^/    /'
	)"
}

# run_parts LIST PART...: those of the list that were asked for
run_parts()
{
	local part list=$1
	shift

	for part in $list; do
		case " $* " in
		*" $part "*) run_part "$part" ;;
		esac
	done
}

[ "${1-}" != -l ] || {
	# shellcheck disable=SC2086 # a list
	printf '%s\n' $PARTS $ASKED_FOR
	exit 0
}
# shellcheck disable=SC2086 # a list
[ $# -gt 0 ] || set -- $PARTS
for part; do
	declare -F "part_$part" >/dev/null || {
		echo "check.sh: no part '$part'; parts are: $PARTS $ASKED_FOR" >&2
		exit 2
	}
done

tools/install-deps.sh build check || exit 1
mkdir -p $LOGS
rm -f $LOGS/*.counts
run_parts "$FIRST" "$@"
run_parts "$LANE_A" "$@" &
run_parts "$LANE_B $ASKED_FOR" "$@" &
wait
echo "took $SECONDS s"
sum=$(cat $LOGS/*.counts | awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
read -r passed failed skipped <<<"$sum"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
