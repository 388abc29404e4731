#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# run_check.sh [STAGE...]: everything that must hold, stage by stage (all of
# them, or those named).  Each stage's output is also in .output/check/STAGE.log.
# Last line: "N passed, N failed, N skipped" over all stages.  Exit 1 on a
# failure; under CI=true also on a skip.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/logged.sh

# name, then the targets of make
stages=(
	"deps deps"
	"build all"
	"unit unit"
	"layers layers"
	"style fmt-check"
	"lint lint"
	"asan asan asan-smoke"
)
stages+=("csched csched-check")
[ ! -e tests/fuzz ] || stages+=("fuzz-lite fuzz-lite")
[ ! -x tests/apps/build.sh ] || stages+=("apps apps")
stages+=("e2e e2e")

passed=0
failed=0
skipped=0
number=0
began=$(date +%s)
logs=.output/check
mkdir -p $logs

# totals FILE: "passed failed skipped" from the last line that has a summary, of
# our own runners or of pytest; fails if there is none.  An expected failure is
# counted as skipped: it shows, and it does not pass in CI.
totals() {
	sed 's/\x1b\[[0-9;]*m//g' "$1" | awk '
		/[0-9]+ (passed|failed|skipped|errors?|xfailed|xpassed)(,| in |$)/ { line = $0 }
		END {
			if (line == "")
				exit 1
			gsub(/[,=]/, " ", line)
			n = split(line, word, " ")
			for (i = 2; i <= n; i++)
				if (word[i - 1] ~ /^[0-9]+$/)
					count[word[i]] += word[i - 1]
			print count["passed"] + 0,
				count["failed"] + count["error"] + count["errors"] + count["xpassed"],
				count["skipped"] + count["xfailed"]
		}'
}

# A stage whose own runner counts reports its numbers; any other is one check.
# An exit code that the numbers do not explain is one more failure.
run_stage() {
	local name=$1 log=$logs/$1.log start ok=0 bad=0 skip=0 code=0 counts
	shift

	number=$((number + 1))
	start=$(date +%s)
	printf '\n[%d/%d] %s\n' $number ${#todo[@]} "$name"
	logged "$log" make --no-print-directory -j"$(nproc)" "$@" || code=$?
	if counts=$(totals "$log"); then
		read -r ok bad skip <<< "$counts"
	elif [ "$name" != unit ] && [ "$name" != e2e ] && [ "$code" -eq 0 ]; then
		ok=1
	fi
	if { [ "$code" -ne 0 ] || [ $((ok + skip)) -eq 0 ]; } && [ "$bad" -eq 0 ]; then
		bad=1
	fi
	printf '[%d/%d] %s: %d s: %d passed, %d failed, %d skipped\n' $number ${#todo[@]} "$name" \
		$(($(date +%s) - start)) "$ok" "$bad" "$skip"
	passed=$((passed + ok))
	failed=$((failed + bad))
	skipped=$((skipped + skip))
	[ "$bad" -eq 0 ]
}

todo=()
for stage in "${stages[@]}"; do
	if [ $# -eq 0 ] || [[ " $* " == *" ${stage%% *} "* ]]; then
		todo+=("$stage")
	fi
done
if [ ${#todo[@]} -eq 0 ]; then
	echo "run_check: no such stage; there are: ${stages[*]%% *}" >&2
	exit 2
fi

broken=
for stage in "${todo[@]}"; do
	# shellcheck disable=SC2086
	if ! run_stage $stage; then
		broken+=" ${stage%% *}"
		case ${stage%% *} in
		deps | build)
			echo "the other stages need this one: not run"
			break
			;;
		esac
	fi
done

printf '\ncheck: %d stages of %d in %d s\n' $number ${#todo[@]} $(($(date +%s) - began))
[ -z "$broken" ] || echo "failed stages:$broken (logs in $logs)"
bad_exit=$((failed > 0))
if [ "${CI:-}" = true ] && [ $skipped -gt 0 ]; then
	echo "CI: a skipped test counts as a failure"
	bad_exit=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit $bad_exit
