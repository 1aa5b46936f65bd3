#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that a job needs; does nothing, quickly, when they are there.
#
#   install-deps.sh [-n] GROUP...   of: build check bench fuzz cyborg services ceph
#
#   -n  only say what is missing (exit code 1 when something is)
#
# As root, or by sudo; where neither can be, the list of packages is printed and the exit code is 1.

set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

BUILD="gcc libc6-dev git meson ninja-build pkg-config libaio-dev libblkid-dev libisal-dev
libjansson-dev libmicrohttpd-dev libsqlite3-dev libssl-dev liburing-dev uuid-dev"
CHECK="clang-format-14 libcmocka-dev openssl pyflakes3 python3 python3-pytest qemu-system-x86 shellcheck systemd
util-linux xz-utils"
BENCH="strace valgrind"
FUZZ="clang-14 libclang-rt-14-dev libcmocka-dev xz-utils"
# What Cyborg's sources need, and a placement service: for those tests of tests/python that run the
# driver in Cyborg (see docs/cyborg.md).
CYBORG="python3-alembic python3-cursive python3-eventlet python3-glanceclient python3-jsonpatch
python3-keystoneauth1 python3-keystonemiddleware python3-microversion-parse python3-openstacksdk
python3-os-resource-classes python3-oslo.concurrency python3-oslo.config python3-oslo.context
python3-oslo.db python3-oslo.i18n python3-oslo.log python3-oslo.messaging python3-oslo.middleware
python3-oslo.policy python3-oslo.privsep python3-oslo.serialization python3-oslo.service
python3-oslo.upgradecheck python3-oslo.utils python3-oslo.versionedobjects python3-pastedeploy
python3-pbr python3-pecan python3-pip python3-placement python3-psutil python3-setuptools
python3-sqlalchemy python3-stevedore python3-wheel python3-wsme"
# What stands around Cyborg: its databases, message bus and Keystone, which those tests start themselves.
SERVICES="mariadb-server-core postgresql python3-keystone python3-psycopg2 python3-pymysql
rabbitmq-server"

# A cluster of one node (tests/mini-ceph.sh), 160 MB: for the tests of images of Ceph.
CEPH="ceph-common ceph-mon ceph-osd librbd1"

die()
{
	echo "install-deps.sh: $*" >&2
	exit 1
}

packages_of()
{
	case $1 in
	build) echo "$BUILD" ;;
	check) echo "$CHECK" ;;
	bench) echo "$BENCH" ;;
	fuzz) echo "$FUZZ" ;;
	cyborg) echo "$CYBORG" ;;
	services) echo "$SERVICES" ;;
	ceph) echo "$CEPH" ;;
	*) die "no group '$1': groups are build, check, bench, fuzz, cyborg, services, ceph" ;;
	esac
}

# missing PACKAGE...: those that are not installed
missing()
{
	local installed

	# shellcheck disable=SC2016 # dpkg-query's own variables
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
	for package; do
		case $'\n'$installed$'\n' in
		*$'\n'"installed $package"$'\n'*) ;;
		*) echo "$package" ;;
		esac
	done
}

install_packages()
{
	"${as_root[@]}" apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 \
		-o DPkg::Lock::Timeout=300 "$@"
}

only_say=0
if [ "${1-}" = -n ]; then
	only_say=1
	shift
fi
[ $# -gt 0 ] || die "usage: install-deps.sh [-n] build|check|bench..."

wanted=()
for group; do
	list=$(packages_of "$group")
	read -r -d '' -a names <<<"$list" || true
	wanted+=("${names[@]}")
done

if ! command -v dpkg-query >/dev/null; then
	echo "install-deps.sh: no Debian here; going on as if these were installed: ${wanted[*]}" >&2
	exit 0
fi
mapfile -t absent < <(missing "${wanted[@]}")
[ ${#absent[@]} -gt 0 ] || exit 0

if [ $only_say = 1 ]; then
	printf '%s\n' "${absent[@]}"
	exit 1
fi
as_root=(env)
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
		die "not root, and sudo is not at hand. Have these packages installed:
  apt-get install --no-install-recommends ${absent[*]}"
	fi
	as_root=(sudo env "DEBIAN_FRONTEND=$DEBIAN_FRONTEND")
fi

echo "Installing ${#absent[@]} Debian packages: ${absent[*]}"
# The lists may be missing, or older than what the mirror has.
if ! apt-cache show "${absent[@]}" >/dev/null 2>&1 || ! install_packages "${absent[@]}"; then
	"${as_root[@]}" apt-get update -qq
	install_packages "${absent[@]}"
fi
