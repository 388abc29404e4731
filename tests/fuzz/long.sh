#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# long.sh [FLIPS] [KILLS]: what a trace survives, at length (make fuzz; about half an hour).
#   - a trace of 1 MiB, cut at every byte and with FLIPS (100000) single bits flipped;
#   - the same of the golden traces, with the sanitizers;
#   - a recorder killed KILLS (200) times at random moments (root).
# Last line: "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/../.." || exit 1
flips=${1:-100000}
kills=${2:-200}
passed=0
failed=0
skipped=0

note() { # note CODE
	if [ "$1" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

mkdir -p .output/fuzz
.output/bench/trace_tool make .output/fuzz/long.trace 109000
.output/fuzz/damage-fast .output/fuzz/long.trace .output/fuzz/damaged.trace "$flips" 4001
note $?
for trace in tests/golden/*/t.trace; do
	case $trace in */damaged/*) continue ;; esac
	.output/fuzz/damage "$trace" .output/fuzz/damaged.trace $((flips / 10)) 50
	note $?
done
if [ "$(id -u)" = 0 ]; then
	STALLTOP=$PWD/.output/stalltop STALLTOP_KILLS=$kills PYTHONDONTWRITEBYTECODE=1 \
		${PY:-/usr/bin/python3} -m pytest -q -p no:cacheprovider tests/e2e/test_record.py -k killed_at_any_moment
	note $?
else
	echo 'not root: no recorder was killed'
	skipped=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
