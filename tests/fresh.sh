#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# fresh.sh: the README's two commands on a machine that has nothing.
#
# Makes a minimal Debian 12, clones the project's HEAD into it, and runs there
# `make demo` and `make check`.  The kernel is this machine's, so BPF works.
# Needs root and debootstrap.
#
#   --without-rust     no Rust toolchain inside (else this machine's is bound in)
#   --only demo|check  one of the two commands
#   --base             make the system, install make, git and the packages of
#                      `make deps` from the work tree, run nothing else
#   --renew            bootstrap again, not from the cached archive
#   --keep             leave the system behind for a look
#
# The mirror, proxy and certificates are the machine's own.  All mounts are made
# in a mount namespace of their own: they end with it, whatever happens here.
set -euo pipefail

suite=bookworm
place=${FRESH_DIR:-/var/tmp/stalltop-fresh}
repo=$(cd "$(dirname "$0")/.." && pwd)
cache=$repo/.output/fresh
. "$repo/tests/logged.sh"
rust=yes
only=
base_only=
renew=
keep=
export FRESH_START=${FRESH_START:-$(date +%s)}

die() {
	echo "fresh: $*" >&2
	exit 1
}

say() {
	printf '\n=== fresh: %s (%d s)\n' "$*" $(($(date +%s) - FRESH_START))
}

usage() {
	sed -n '3,17s/^# \{0,1\}//p' "$0"
}

# --- the machine's own way to packages ----------------------------------------
mirror_lines() {
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' |
		awk -v s="$suite" '$4 == "Packages" && $2 ~ "^" s "(-updates|-security)?$" {
			print "deb", $1, $2, $3 }' | sort -u
}

mirror() {
	local lines

	lines=$(mirror_lines | awk -v s="$suite" '$3 == s { print $2; exit }')
	echo "${lines:-http://deb.debian.org/debian}"
}

# Settings that say how to reach a mirror; not those that say how to keep lists.
copy_apt_setup() {
	local root=$1 file

	mkdir -p "$root/etc/apt/apt.conf.d" "$root/etc/apt/auth.conf.d" "$root/etc/apt/sources.list.d"
	for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
		if [ -f "$file" ] && grep -qiE 'Acquire::(https?|ftp|socks|Check|Retries|Proxy|Max-)|proxy' "$file"; then
			cp "$file" "$root/etc/apt/apt.conf.d/"
		fi
	done
	for file in /etc/apt/auth.conf /etc/apt/auth.conf.d/*; do
		[ ! -f "$file" ] || cp -p "$file" "$root/etc/apt/auth.conf.d/"
	done
	mirror_lines > "$root/etc/apt/sources.list"
	[ -s "$root/etc/apt/sources.list" ] ||
		echo "deb http://deb.debian.org/debian $suite main" > "$root/etc/apt/sources.list"
	# https needs the machine's certificates before ca-certificates is there
	if ls /usr/local/share/ca-certificates/*.crt > /dev/null 2>&1; then
		mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs"
		cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
		cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
	fi
}

copy_network_setup() {
	cp -L /etc/resolv.conf "$1/etc/resolv.conf"
	cp /etc/hosts "$1/etc/hosts"
}

bootstrap() {
	local root=$1 archive=$cache/$suite-minbase.tar

	if [ -z "$renew" ] && [ -s "$archive" ]; then
		say "unpack $archive"
		tar -xf "$archive" -C "$root" --numeric-owner
		return
	fi
	say "debootstrap $suite from $(mirror)"
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	[ -z "${proxy:-}" ] || export http_proxy=$proxy
	debootstrap --variant=minbase "$suite" "$root" "$(mirror)" > "$cache/debootstrap.log" 2>&1 ||
		{ tail -20 "$cache/debootstrap.log" >&2; die "debootstrap failed, $cache/debootstrap.log"; }
	rm -f "$root"/var/cache/apt/archives/*.deb
	tar -cf "$archive.new" -C "$root" --numeric-owner --one-file-system .
	mv "$archive.new" "$archive"
}

# --- inside the mount namespace --------------------------------------------------
enter() {
	chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 ${CI:+CI="$CI"} \
		PATH=/root/.cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/bin/bash -c "$1"
}

bind_rust() {
	local cargo=${CARGO_HOME:-$HOME/.cargo} rustup=${RUSTUP_HOME:-$HOME/.rustup}

	[ -x "$cargo/bin/cargo" ] || die "no $cargo/bin/cargo to bind; use --without-rust"
	mkdir -p "$root/root/.cargo" "$root/root/.rustup"
	mount --bind "$cargo" "$root/root/.cargo"
	if [ -d "$rustup" ]; then
		mount --bind "$rustup" "$root/root/.rustup"
		mount -o remount,bind,ro "$root/root/.rustup"
	fi
}

# A test that failed may have left a process: it would hold the mounts.
stop_leftovers() {
	local link pid

	for link in /proc/[0-9]*/root; do
		pid=${link#/proc/}
		pid=${pid%/root}
		if [ "$(readlink "$link" 2> /dev/null)" = "$root" ]; then
			echo "fresh: still running inside, now killed: $pid $(cat "/proc/$pid/comm")" >&2
			kill -9 "$pid" 2> /dev/null || true
		fi
	done
}

run_command() {
	local what=$1 code=0

	say "$what"
	logged "$cache/${what// /-}.log" enter "cd /root/stalltop && $what" || code=$?
	stop_leftovers
	say "$what: exit $code"
	return $code
}

inside() {
	local bad=

	# A mount point of its own, as a root is: unshare(1) inside wants that.
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount --rbind /sys "$root/sys"
	mount --rbind /dev "$root/dev"
	mount -t tmpfs tmpfs "$root/run"
	[ -z "$rust" ] || bind_rust

	say "apt-get install make git"
	enter "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q install -y make git" \
		> "$cache/apt.log" 2>&1 || { tail -20 "$cache/apt.log" >&2; die "apt-get failed"; }
	enter "! command -v update-ca-certificates > /dev/null || update-ca-certificates" > /dev/null 2>&1
	if [ -n "$base_only" ]; then
		mkdir -p "$root/root/tools"
		cp "$repo/tools/deps.sh" "$root/root/tools/"
		enter "/root/tools/deps.sh --check || true; /root/tools/deps.sh && /root/tools/deps.sh --check"
		return
	fi
	[ "$only" = check ] || run_command "make demo" || bad=" make demo"
	[ "$only" = demo ] || run_command "make check" || bad+=" make check"
	[ -z "$bad" ] || die "failed:$bad; logs in $cache"
	say "passed"
}

# --- outside ------------------------------------------------------------------------
if [ "${1:-}" = --inside ]; then
	root=$2 rust=$3 only=$4 base_only=$5
	inside
	exit
fi

while [ $# -gt 0 ]; do
	case $1 in
	--without-rust) rust= ;;
	--only) only=${2:-}; shift; [[ $only =~ ^(demo|check)$ ]] || die "--only demo|check" ;;
	--base) base_only=yes ;;
	--renew) renew=yes ;;
	--keep) keep=yes ;;
	-h | --help) usage; exit ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done

[ "$(id -u)" = 0 ] || die "needs root, for debootstrap and chroot"
command -v debootstrap > /dev/null || die "needs debootstrap: apt-get install debootstrap"
mkdir -p "$cache" "$place"
root=$(mktemp -d "$place/root.XXXXXX")
chmod 755 "$root"

# In this namespace nothing was ever mounted below $root.
clean_up() {
	if [ -n "$keep" ]; then
		echo "fresh: kept: chroot $root"
	else
		rm -rf --one-file-system "$root"
	fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

bootstrap "$root"
copy_apt_setup "$root"
copy_network_setup "$root"
if [ -z "$base_only" ]; then
	dirty=$(git -C "$repo" status --porcelain | wc -l)
	[ "$dirty" -eq 0 ] || echo "fresh: $dirty changes are not committed and are not part of this"
	say "git clone of $(git -C "$repo" log -1 --format='%h %s')"
	git clone -q --no-local "$repo" "$root/root/stalltop"
fi
code=0
unshare --mount --propagation private "$0" --inside "$root" "$rust" "$only" "$base_only" || code=$?
exit $code
