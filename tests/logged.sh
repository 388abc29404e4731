# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced.  logged FILE COMMAND...: runs the command with its output in FILE and
# on the terminal as it comes; returns its exit code.
#
# Not a pipe to tee: a process that the command left behind would hold the pipe,
# and we would wait for it for ever.
logged() {
	local file=$1 code=0 running viewer
	shift

	: > "$file"
	# tail shows what is there and ends when this dummy does
	sleep 86400 > /dev/null 2>&1 &
	running=$!
	tail -n +1 -s 0.1 -f --pid=$running "$file" &
	viewer=$!
	# shellcheck disable=SC2064
	trap "kill $running 2> /dev/null" EXIT
	"$@" > "$file" 2>&1 < /dev/null || code=$?
	kill $running
	wait $running 2> /dev/null || true
	wait $viewer || true
	trap - EXIT
	return $code
}
