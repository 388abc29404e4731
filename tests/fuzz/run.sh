#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh [--lite | SECONDS] [NAME...]: builds and runs the libFuzzer entries
# tests/fuzz/fuzz_NAME.c (all of them), 60 s each; --lite 10 s, for make check.
# Each entry names its sources, libraries and seeds in its first comment.
# Found inputs are kept in .output/fuzz/NAME; a crash is left there as crash-*.
# Last line: "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1

seconds=60
lite=
case ${1-} in
--lite) seconds=10; lite=1; shift ;;
[0-9]*) seconds=$1; shift ;;
esac
clang=${CLANG:-clang-14}
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')

words() { # words KEY FILE: what stands behind "// KEY:", patterns expanded
	local line
	sed -n "s|^// $1: ||p" "$2" | while read -r line; do echo $line; done
}

passed=0
failed=0
for name; do
	entry=tests/fuzz/fuzz_$name.c
	out=.output/fuzz/$name
	mkdir -p "$out/corpus"
	if ! $clang -std=gnu11 -O1 -g -D_GNU_SOURCE -Iagent -I. -I.output -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=undefined $(words sources $entry) $entry $(words libs $entry) -o "$out/fuzz"; then
		failed=$((failed + 1))
		continue
	fi
	for seed in $(words seeds $entry); do
		cp -n "$seed" "$out/corpus/"
	done
	if "$out/fuzz" -max_total_time=$seconds -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$out/" "$out/corpus" > "$out/log" 2>&1; then
		printf '  fuzz %-12s %s runs in %s s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: //p' "$out/log")" $seconds
		passed=$((passed + 1))
	else
		tail -40 "$out/log"
		failed=$((failed + 1))
	fi
done
# The brief part of long.sh.
for trace in ${lite:+tests/golden/blocking/t.trace tests/golden/every-poll-of-blocking/t.trace}; do
	if said=$(.output/fuzz/damage $trace .output/fuzz/damaged.trace 2000 50 2>&1); then
		printf '  damage: %s\n' "$said"
		passed=$((passed + 1))
	else
		printf '%s: %s\n' $trace "$said"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
