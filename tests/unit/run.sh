#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# run.sh PROGRAM...: runs each cmocka program and sums their results.  A program
# that crashes, hangs or reports less than it planned is one more failure.
# Last line: "N passed, N failed, N skipped".
set -u

export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}

passed=0
failed=0
skipped=0
for program; do
	start=$(date +%s%N)
	output=$(timeout -k 5 120 "$program" 2>&1 < /dev/null)
	code=$?
	ms=$((($(date +%s%N) - start) / 1000000))
	# cmocka prints one plan ("1..N") and one line a test for each group.
	read -r plan ok bad skip < <(awk '
		/^1\.\.[0-9]+/ { plan += substr($1, 4) }
		/^(not )?ok [0-9]+.*# SKIP/ { skip++; next }
		/^not ok [0-9]+/ { bad++; next }
		/^ok [0-9]+/ { ok++ }
		END { print plan + 0, ok + 0, bad + 0, skip + 0 }' <<< "$output")
	lost=0
	if [ "$plan" -ne $((ok + bad + skip)) ] || [ "$plan" -eq 0 ] || { [ $code -ne 0 ] && [ "$bad" -eq 0 ]; }; then
		lost=1
	fi
	word=ok
	if [ $((bad + lost)) -gt 0 ]; then
		word="FAILED (exit $code)"
		printf '%s\n' "$output"
	elif [ "$skip" -gt 0 ]; then
		word="ok, $skip skipped"
		grep '# SKIP' <<< "$output"
	fi
	printf '  %-32s %4d tests %6d ms  %s\n' "$(basename "$program")" "$plan" $ms "$word"
	passed=$((passed + ok))
	failed=$((failed + bad + lost))
	skipped=$((skipped + skip))
done

# Nothing to run is a fault of the build, not a success.
if [ $# -eq 0 ]; then
	echo "no unit test was found" >&2
	failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
