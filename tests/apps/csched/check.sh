#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# check.sh FOLDER: csched under ThreadSanitizer and AddressSanitizer: its stress
# test, and each scenario for a moment.  Last line: "N passed, N failed, 0 skipped".
set -u
folder=$1
ok=0
bad=0
export STALLTOP_APP_SECONDS=60

# run NAME COMMAND...
run() {
	local name=$1 log=$folder/check.log
	shift
	if "$@" > "$log" 2>&1 && ! grep -qE 'Sanitizer|runtime error' "$log"; then
		ok=$((ok + 1))
	else
		bad=$((bad + 1))
		echo "csched: $name failed"
		tail -40 "$log"
	fi
}

for kind in tsan asan; do
	run "$kind stress" "$folder/$kind/stress" 2 4
	run "$kind stress, one worker" "$folder/$kind/stress" 1 1
	for scenario in $("$folder/$kind/csched" --help | awk '/^  / { print $1 }'); do
		args=()
		[ "$scenario" != stuck ] || args=(200)
		[ "$scenario" != churn ] || args=(20000 5 1500)
		[ "$scenario" != lengths ] || args=(1)
		run "$kind $scenario" "$folder/$kind/csched" "$scenario" --seconds 1 "${args[@]}"
	done
done
echo "$ok passed, $bad failed, 0 skipped"
[ $bad -eq 0 ]
