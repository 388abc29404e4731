#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# deps.sh [--build] [--check]: installs the Debian packages that are missing.
#   --build   only what a build needs, without the tests
#   --check   installs nothing; says what to run and fails if one is missing
# Prints nothing when all are there.
set -euo pipefail

# "a|b": either will do, the first that the package index knows is installed.
build="gcc libc6-dev make git binutils clang-14 bpftool|linux-tools-generic libbpf-dev
	libelf-dev libdw-dev libcjson-dev libncurses-dev libzydis-dev libiberty-dev libcap-dev libseccomp-dev
	libzstd-dev"
tests="libcmocka-dev clang-format-14 clang-tidy-14 libclang-rt-14-dev python3 python3-pytest python3-pytest-xdist python3-pyte python3-jsonschema
	gdb procps util-linux libcap2-bin libdebuginfod1 chromium|chromium-browser chromium-driver|chromium-chromedriver
	python3-selenium"

only_check=
wanted="$build $tests"
for arg; do
	case $arg in
	--build) wanted=$build ;;
	--check) only_check=yes ;;
	*) echo "deps.sh: unknown option $arg" >&2; exit 2 ;;
	esac
done

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
	echo "deps: no apt-get here; these Debian packages are needed, under your system's names:" >&2
	echo $wanted >&2
	# A build may still work: the compiler will say what it lacks.
	exit 0
fi

have=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | tr '\n' ' ') "

missing=()
for choice in $wanted; do
	found=
	for name in ${choice//|/ }; do
		[[ $have == *" $name "* ]] && found=yes
	done
	[ -n "$found" ] || missing+=("$choice")
done
[ ${#missing[@]} -gt 0 ] || exit 0

pick() {
	local name

	for name in ${1//|/ }; do
		if apt-cache show "$name" > /dev/null 2>&1; then
			echo "$name"
			return
		fi
	done
	echo "${1%%|*}"
}

echo "deps: missing packages: ${missing[*]}"
if [ -n "$only_check" ] || [ "$(id -u)" != 0 ]; then
	echo "deps: as root, run: apt-get update && apt-get install -y --no-install-recommends ${missing[*]%%|*}" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
echo "deps: apt-get update"
apt-get -q update > /dev/null
names=()
for choice in "${missing[@]}"; do
	names+=("$(pick "$choice")")
done
echo "deps: apt-get install -y --no-install-recommends ${names[*]}"
apt-get -q install -y --no-install-recommends "${names[@]}"
