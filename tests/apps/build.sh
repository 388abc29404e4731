#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Builds the Rust programs that stalltop is tested on; see README.md beside this file.
#
# Usage: build.sh [--list] [--want NAME:VERSION:PROFILE]...
#   NAME     a program, or "all" of those the version has; "real" is a server from crates.io
#   VERSION  of Tokio: current, 1.47, 1.43, 1.38, 1.32, 1.20; or smol, async-std,
#            smol-1.3, async-std-1.12
#   PROFILE  a key of flags[] below
# Without --want: the set that the tests need. --list prints that set and builds nothing.
# Results: .output/apps/VERSION/PROFILE/NAME. Nothing is built twice: each result is kept under a
# key made of its sources, lock file, profile and compiler in
# ${STALLTOP_APPS_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/stalltop/apps}}, else .cache/apps.
# Exit: 0 done, 1 a build failed, 2 usage, 77 no cargo.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$root/.output/apps
cache=${STALLTOP_APPS_CACHE:-${XDG_CACHE_HOME:+$XDG_CACHE_HOME/stalltop/apps}}
cache=${cache:-$root/.cache/apps}
# A file server on hyper. Its own profile is size-optimised fat LTO, which takes minutes.
real_crate=dufs
real_version=0.47.0

# PROFILE -> cargo's profile and options | RUSTFLAGS
declare -A flags=(
	[release]="--profile release|"
	[release-stripped]="--profile release-stripped|"
	[lto-abort]="--profile lto-abort|"
	[debug]="--profile dev|"
	[lines]="--profile lines|"
	[split]="--profile lines|"
	[full]="--profile release --features full|"
	[v0]="--profile release|-C symbol-mangling-version=v0"
	[unstable]="--profile release|--cfg tokio_unstable"
	[static-pie]="--profile release --target HOST|-C target-feature=+crt-static"
	[nopie]="--profile release|-C relocation-model=static"
)

rules="blocking_call cpu_bound_poll stuck_poll starvation task_explosion leaked_join_handle"
twins=$(for r in $rules; do echo "$r ${r}_ok"; done)
common="$twins churn idle10k current_thread two_runtimes waits"
# Many programs in one file: see src/suite/main.rs.
suite="$common forks panics yieldloop"
declare -A file_of
for n in $suite; do
	file_of[$n]=suite
done
declare -A programs=(
	[current]="$suite planted tide dlopen_host libplugin.so execs shop manytypes blocks hung faults spawns"
	[1.47]="$common" [1.43]="$common" [1.38]="$common" [1.32]="$common"
	[1.20]="unsupported"
	[smol]="tasks mixed" [async-std]="tasks" [smol-1.3]="tasks" [async-std-1.12]="tasks"
)

default_set()
{
	local v p n

	for n in ${programs[current]}; do
		echo "$n:current:release"
	done
	for p in release-stripped lto-abort debug; do
		for n in $twins waits; do
			echo "$n:current:$p"
		done
	done
	for p in v0 unstable static-pie nopie full; do
		for n in blocking_call blocking_call_ok churn waits; do
			echo "$n:current:$p"
		done
	done
	for p in lto-abort debug full lines split; do
		echo "blocks:current:$p"
	done
	for p in lines release-stripped; do
		echo "hung:current:$p"
	done
	for p in lto-abort debug lines unstable release-stripped; do
		echo "spawns:current:$p"
	done
	echo "faults:current:release-stripped"
	echo "faults:current:debug"
	echo "libplugin.so:current:lines"
	for v in 1.47 1.43 1.38 1.32; do
		for n in ${programs[$v]}; do
			echo "$n:$v:release"
		done
	done
	for p in release release-stripped lto-abort; do
		echo "tasks:smol:$p"
	done
	echo "mixed:smol:lines"
	for p in release lto-abort; do
		echo "tasks:async-std:$p"
	done
	echo "tasks:smol-1.3:release"
	echo "tasks:async-std-1.12:release"
	echo "unsupported:1.20:release"
	echo "real:current:release"
}

die()
{
	echo "apps: $1" >&2
	exit "${2:-1}"
}

# Replaces NAME "all" and refuses what does not exist.
expand()
{
	local name version profile want n

	for want in "$@"; do
		IFS=: read -r name version profile <<<"$want"
		[[ -n ${programs[${version:-?}]:-} ]] || die "no version '$version' in '$want'" 2
		[[ -n ${flags[${profile:-?}]:-} ]] || die "no profile '$profile' in '$want'" 2
		if [[ $name == all ]]; then
			for n in ${programs[$version]}; do
				echo "$n:$version:$profile"
			done
		elif [[ $want == real:current:release ]]; then
			echo "$want"
		elif [[ " ${programs[$version]//$'\n'/ } " == *" $name "* ]]; then
			echo "$want"
		else
			die "version $version has no program '$name'" 2
		fi
	done
}

declare -A sum
dir_of()
{
	case $1 in
	current) echo tokio ;;
	smol* | async-std*) echo "$1" ;;
	*) echo "tokio-$1" ;;
	esac
}

# One sha256sum for all sources, so that a run with nothing to do takes no time.
hash_sources()
{
	local hash file

	cd "$here"
	while read -r hash file; do
		sum[$file]=${hash:0:16}
	done < <(sha256sum src/*.rs {tokio*,smol*,async-std*}/Cargo.{toml,lock} tokio*/*/Cargo.toml)
	for file in shop suite tasks faults; do
		sum[$file]=$(cat src/$file/*.rs | sha256sum | head -c 16)
	done
	compiler=$(rustc -vV | sha256sum | head -c 16)
}

# Sets key: everything that the result depends on, as a directory name.
key_of()
{
	local name version=$2 profile=$3 dir source

	name=${file_of[$1]:-$1} dir=$(dir_of "$version") source=src/$name.rs
	case $name in
	real) key="real-$real_crate-$real_version-$compiler" && return ;;
	shop | suite | tasks | faults) source=$name ;;
	libplugin.so) source=src/plugin.rs ;;
	esac
	key=$version-$profile${flags[$profile]//[^a-z0-9=+_-]/_}
	key+="-$name-${sum[$source]}"
	[[ $name == tasks || $name == mixed ]] || key+="-${sum[src/common.rs]}"
	[[ $name != mixed ]] || key+="-${sum[tasks]}"
	case $name in
	blocks | spawns | libplugin.so) key+="-${sum[src/truth.rs]}" ;;
	tasks | faults) key+="-${sum[src/rates.rs]}" ;;
	esac
	key+="-${sum[$dir/Cargo.toml]}-${sum[$dir/Cargo.lock]}-$compiler"
}

copy()
{
	cp --reflink=auto "$1" "$2.new"
	mv -f "$2.new" "$2"
}

# Copies from the cache: a test may spoil its program. In one step: no one sees half of it.
publish()
{
	local key=$1 dir=$2 name=$3 file=${file_of[$3]:-$3}

	mkdir -p "$dir"
	if [[ -e $cache/$key/$file.debug ]]; then
		copy "$cache/$key/$file.debug" "$dir/$file.debug"
	fi
	copy "$cache/$key/$file" "$dir/$name"
	echo "$key" >"$dir/.$name.key"
}

published()
{
	local key=$1 dir=$2 name=$3 file=${file_of[$3]:-$3}

	[[ -e $dir/$name && -e $dir/.$name.key && $(<"$dir/.$name.key") == "$key" ]] || return 1
	[[ -e $dir/$file.debug || ! -e $cache/$key/$file.debug ]]
}

# Builds the programs of one version and profile with as few calls of cargo as possible.
build_group()
{
	local version=$1 profile=$2 dir target log rustflags name files start=$SECONDS
	local -a bins=() others=() options=()

	shift 2
	dir=$here/$(dir_of "$version")
	target=$targets/$version
	read -ra options <<<"${flags[$profile]%|*}"
	options=("${options[@]/HOST/$host}")
	rustflags=${flags[$profile]#*|}
	# Other RUSTFLAGS or features would throw away what is built in the same directory.
	[[ -z $rustflags && $profile != full ]] || target+=-$profile
	[[ " $* " != *" mixed "* ]] || options+=(--features mixed)
	files=$(for name in "$@"; do echo "${file_of[$name]:-$name}"; done | sort -u)
	for name in $files; do
		case $name in
		libplugin.so | manytypes) others+=("$name") ;;
		*) bins+=(--bin "$name") ;;
		esac
	done
	log=$cache/$version-$profile.log
	: >"$log"
	echo "apps: $version/$profile: building $# (log: $log)"
	if ((${#bins[@]})); then
		run_cargo "$dir" "$target" "$rustflags" "$log" "${options[@]}" "${bins[@]}"
	fi
	for name in "${others[@]}"; do
		[[ $profile != full ]] || die "$name has no profile full" 2
		name=${name/libplugin.so/plugin}
		run_cargo "$dir" "$target" "$rustflags" "$log" "${options[@]}" -p "$name"
	done
	for name in $files; do
		keep "$target/$(subdir "$profile")/$name" "$name" "$version" "$profile"
	done
	for name in "$@"; do
		key_of "$name" "$version" "$profile"
		publish "$key" "$out/$version/$profile" "$name"
	done
	echo "apps: $version/$profile: done in $((SECONDS - start)) s"
}

subdir()
{
	case $1 in
	debug) echo debug ;;
	release-stripped | lto-abort | lines) echo "$1" ;;
	split) echo lines ;;
	static-pie) echo "$host/release" ;;
	*) echo release ;;
	esac
}

run_cargo()
{
	local dir=$1 target=$2 rustflags=$3 log=$4

	shift 4
	if ! (cd "$dir" && RUSTFLAGS=$rustflags CARGO_TARGET_DIR=$target \
		cargo build --quiet --locked --jobs 2 "$@" >>"$log" 2>&1); then
		tail -40 "$log" >&2
		die "cargo build failed in $dir: $*"
	fi
}

# Moves debug information to the file DEBUG and prints where the program without it is. The name of
# DEBUG is noted in the program: it is looked for beside it.
split_off()
{
	local built=$1 debug=$2 bare=$1.bare

	objcopy --only-keep-debug "$built" "$debug"
	objcopy --strip-debug --strip-unneeded --add-gnu-debuglink="$debug" "$built" "$bare"
	echo "$bare"
}

keep()
{
	local built=$1 name=$2 version=$3 profile=$4

	key_of "$name" "$version" "$profile"
	mkdir -p "$cache/$key"
	[[ $profile != split ]] || built=$(split_off "$built" "$cache/$key/$name.debug")
	copy "$built" "$cache/$key/$name"
}

build_real()
{
	local start=$SECONDS log=$cache/real.log

	echo "apps: $real_crate $real_version from crates.io: building (log: $log)"
	if ! CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
		cargo install --root "$cache/real" --target-dir "$targets/real" --jobs 2 \
		--locked --no-default-features --force --version "=$real_version" "$real_crate" >"$log" 2>&1; then
		tail -40 "$log" >&2
		die "cargo install $real_crate failed"
	fi
	keep "$cache/real/bin/$real_crate" real current release
	publish "$key" "$out/current/release" real
	rm -rf "$targets/real"
	echo "apps: $real_crate: done in $((SECONDS - start)) s"
}

# Prints what neither the results nor the cache hold; takes the rest from the cache.
missing()
{
	local n name version profile

	for n in "$@"; do
		IFS=: read -r name version profile <<<"$n"
		key_of "$name" "$version" "$profile"
		published "$key" "$out/$version/$profile" "$name" && continue
		if [[ -e $cache/$key/${file_of[$name]:-$name} ]]; then
			publish "$key" "$out/$version/$profile" "$name"
		else
			echo "$n"
		fi
	done
}

main()
{
	local want=() todo=() group n name version profile start=$SECONDS
	local -A groups=()

	while (($#)); do
		case $1 in
		--want) want+=("${2:?--want needs NAME:VERSION:PROFILE}") && shift 2 ;;
		--list) default_set && exit 0 ;;
		*) die "usage: build.sh [--list] [--want NAME:VERSION:PROFILE]..." 2 ;;
		esac
	done
	if ! command -v cargo >/dev/null; then
		echo "SKIP: cargo not found"
		exit 77
	fi
	((${#want[@]})) || mapfile -t want < <(default_set)
	n=$(expand "${want[@]}") || exit $?
	mapfile -t want <<<"$n"
	hash_sources
	mapfile -t todo < <(missing "${want[@]}")
	if ((!${#todo[@]})); then
		echo "apps: ${#want[@]} programs up to date"
		exit 0
	fi
	mkdir -p "$cache"
	# Cargo takes the same package in another clone for this one, with its old file times.
	targets=$cache/target/$(sha256sum <<<"$here" | head -c 8)
	exec 9>"$cache/lock"
	flock --nonblock 9 || { echo "apps: waiting for another build" && flock 9; }
	host=$(rustc -vV | sed -n 's/^host: //p')
	# Another build may have made some of them meanwhile.
	mapfile -t todo < <(missing "${want[@]}")
	for n in "${todo[@]}"; do
		IFS=: read -r name version profile <<<"$n"
		groups[$version:$profile]+=" $name"
	done
	for group in $(printf '%s\n' "${todo[@]}" | cut -d: -f2- | awk '!seen[$0]++'); do
		name=" ${groups[$group]} "
		if [[ $name == *" real "* ]]; then
			build_real
			name=${name/ real / }
		fi
		# shellcheck disable=SC2086 # names have no spaces
		[[ -z ${name// /} ]] || build_group "${group%:*}" "${group#*:}" $name
	done
	echo "apps: ${#todo[@]} of ${#want[@]} programs built in $((SECONDS - start)) s"
}

main "$@"
