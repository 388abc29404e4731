#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# demo.sh: starts the shop, a Tokio service with several stalls built in, or
# without Rust csched, a scheduler in C with the same, and opens the live view
# on it; without a terminal, text for ten seconds.  It is always stopped at the
# end.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
	printf '\n== %s\n' "$*"
}

step "packages"
make --no-print-directory deps
step "build"
make --no-print-directory -j"$(nproc)" all

if command -v cargo > /dev/null; then
	step "the demo service (the first build takes a minute)"
	tests/apps/build.sh --want shop:current:release
	service=(.output/apps/current/release/shop)
else
	step "no cargo here to build the Tokio service: the demo is csched, a scheduler in C"
	make --no-print-directory csched
	service=(.output/csched/csched demo)
fi

mkdir -p .output/demo
"${service[@]}" > .output/demo/service.log 2>&1 < /dev/null &
pid=$!
stop() {
	kill "$pid" 2> /dev/null || true
	wait "$pid" 2> /dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Its runtime is up when it has more threads than one.
for _ in $(seq 100); do
	[ "$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 2> /dev/null | wc -l)" -lt 2 ] || break
	if ! kill -0 "$pid" 2> /dev/null; then
		echo "demo: ${service[0]} ended at its start; its output:" >&2
		cat .output/demo/service.log >&2
		exit 1
	fi
	sleep 0.1
done

# A small service with everything to show: its probes cost more than 2 % of the little that it uses.
code=0
if [ -t 0 ] && [ -t 1 ]; then
	.output/stalltop top -p "$pid" --overhead 20% || code=$?
else
	step "stalltop top -p $pid --overhead 20% --duration 10s"
	.output/stalltop top -p "$pid" --overhead 20% --duration 10s < /dev/null || code=$?
fi
# 1 means that findings were shown, which is what a demo is for.
[ $code -eq 1 ] && code=0
exit $code
