#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# run_e2e.sh PYTEST_WORDS...: the tests, E2E_JOBS at a time.  Of a whole run, up to three that fail
# are tried again with nothing beside them: a shared machine stands still for a second now and then,
# which a test of what happens in two seconds cannot survive.  One that passes twice in a row then
# counts as passed, and is named; any other has failed.
set -u
cd "$(dirname "$0")/.." || exit 1
AGAIN_MOST=3

results=$(mktemp)
trap 'rm -f "$results"' EXIT
export STALLTOP_RESULTS=$results

tests() {
	timeout --foreground -s INT -k 60 "${E2E_TIMEOUT:-3600}" \
		"${PY:-/usr/bin/python3}" -m pytest -q -ra -p no:cacheprovider "$@"
}

tests -n "${E2E_JOBS:-3}" "$@"
code=$?
[ $code -eq 1 ] || exit $code

# The first line: passed and skipped; then each that failed.
{
	read -r passed skipped
	mapfile -t failed
} < "$results"
[ ${#failed[@]} -gt 0 ] && [ ${#failed[@]} -le $AGAIN_MOST ] || exit $code

for round in 1 2; do
	echo "again, alone (round $round): ${failed[*]}"
	if ! tests "${failed[@]}"; then
		echo "$passed passed, ${#failed[@]} failed, $skipped skipped"
		exit 1
	fi
done
echo "unsteady, failed beside others and passed twice alone: ${failed[*]}"
echo "$((passed + ${#failed[@]})) passed, 0 failed, $skipped skipped"
