#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check_layers.sh [ROOT]: the one-way street of docs/architecture.md.
# Fails on an include against the direction, on curses outside tui/, on a clock
# or randomness where time comes only from events, and on a print or an exit in
# a library folder.  Last line: "N passed, N failed, N skipped", N files.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

# Left never includes right.  Folders with the same number are siblings and do
# not include each other.  "main" is every file directly in agent/.
declare -A rank=([util]=0 [core]=1 [jail]=1 [target]=2 [runtime]=3 [stack]=3 [detect]=4 [attach]=5
	[trace]=5 [model]=6 [rules]=7 [sink]=8 [tui]=8 [main]=9)

# The three forms of an event stay apart: the wire form is for those who read
# the ring and choose programs (and the model, for the buckets of a histogram);
# the generated headers for those who use them.
declare -A only=([stalltop/sdt.h]="runtime" [bpf/wire.h]="bpf runtime attach trace model main" [stalltop.skel.h]="attach main"
	[probe.skel.h]="attach main" [rules_builtin.h]="rules main" [report_page.h]="sink main" [version.h]="sink tui main")

bad=0
files=0
failed_files=0

complain() {
	echo "$1: $2"
	bad=$((bad + 1))
}

# layer_of PATH: the folder's name in the table above
layer_of() {
	case $1 in
	bpf/*) echo bpf ;;
	rules/*) echo rules ;;
	tui/*) echo tui ;;
	agent/*/*) local rest=${1#agent/}; echo "${rest%%/*}" ;;
	agent/*) echo main ;;
	esac
}

# resolve FILE HEADER: the header's path from the root; nothing if generated
resolve() {
	local dir

	for dir in "$(dirname "$1")" agent .; do
		if [ -e "$dir/$2" ]; then
			realpath --relative-to=. "$dir/$2"
			return
		fi
	done
}

check_include() {
	local file=$1 from=$2 header=$3 path to

	if [ -n "${only[$header]-}" ]; then
		[[ " ${only[$header]} " == *" $from "* ]] ||
			complain "$file" "$from/ may not include \"$header\" (only: ${only[$header]})"
		return
	fi
	case $header in *.skel.h) return ;; esac
	path=$(resolve "$file" "$header")
	if [ -z "$path" ]; then
		complain "$file" "\"$header\" is nowhere in the project"
		return
	fi
	to=$(layer_of "$path")
	[ "$to" != "$from" ] || return 0
	if [ "$from" = bpf ]; then
		complain "$file" "bpf/ includes \"$header\": it knows nothing of the agent"
	elif [ -z "${rank[$to]-}" ] || [ "${rank[$to]}" -ge "${rank[$from]}" ]; then
		complain "$file" "back edge: $from includes \"$header\" of ${to:-no layer}"
	fi
}

check_calls() {
	local file=$1 from=$2 text=$3 hit

	if [ "$from" != tui ] && grep -qE '^#include <(n?curses|ncursesw/|panel|menu|form)' <<< "$text"; then
		complain "$file" "curses outside tui/"
	fi
	case $from in
	core | model | rules | sink)
		hit=$(grep -oP '(?<![\w.>])(clock_gettime|gettimeofday|time|clock|random|rand|getrandom)\(' \
			<<< "$text" | head -1) || true
		[ -z "$hit" ] || complain "$file" "$hit): time and chance come in with events"
		;;
	esac
	case $file in agent/util/log.c | agent/util/xalloc.[ch]) return ;; esac
	case $from in
	util | core | jail | target | runtime | stack | detect | attach | trace | model | rules)
		# _exit() is the right end of a forked child, and allowed.
		hit=$(grep -oP '(?<![\w.>])(v?printf|puts|putchar|perror|exit|quick_exit|errx?|warnx?)\(|\w*printf\((stdout|stderr)\b' \
			<<< "$text" | head -1) || true
		[ -z "$hit" ] || complain "$file" "$hit: a library folder returns errors, it does not print or exit"
		;;
	esac
}

mapfile -t sources < <(find agent rules tui bpf -name '*.[ch]' 2> /dev/null | LC_ALL=C sort)
for file in "${sources[@]}"; do
	before=$bad
	files=$((files + 1))
	from=$(layer_of "$file")
	# without comments
	text=$(gcc -fpreprocessed -dD -E -P -x c "$file" 2> /dev/null)
	if [ "$from" != bpf ] && [ -z "${rank[$from]-}" ]; then
		complain "$file" "folder $from/ has no place in the order of layers"
	else
		while read -r header; do
			check_include "$file" "$from" "$header"
		done < <(sed -n 's/^#include "\(.*\)"/\1/p' <<< "$text")
		[ "$from" = bpf ] || check_calls "$file" "$from" "$text"
	fi
	[ $bad -eq $before ] || failed_files=$((failed_files + 1))
done

if [ $files -eq 0 ]; then
	echo "check_layers: no source found" >&2
	failed_files=1
fi
echo "$((files > failed_files ? files - failed_files : 0)) passed, $failed_files failed, 0 skipped"
[ $failed_files -eq 0 ]
