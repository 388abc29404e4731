# SPDX-License-Identifier: LGPL-2.1-or-later
"""`stalltop list`: workers of Tokio, which threads and their names do not tell."""

import time

# Program, version, profile, arguments: workers. Their blocking pools are at work, too.
PROGRAMS = [
    ("idle10k", "current", "release", (10, 100, 1), 1),
    ("idle10k", "current", "release", (10, 100, 2), 2),
    ("idle10k", "current", "release", (10, 100, 5), 5),
    ("idle10k", "1.32", "release", (10, 100, 5), 5),
    ("idle10k", "1.43", "release", (10, 100, 2), 2),
    # Never off the CPU.
    ("yieldloop", "current", "release", (4, 3), 3),
    ("blocking_call_ok", "current", "release-stripped", (), 2),
    ("blocking_call_ok", "current", "lto-abort", (), 2),
    ("blocking_call_ok", "current", "static-pie", (), 2),
    ("blocking_call_ok", "current", "nopie", (), 2),
    ("blocking_call_ok", "current", "full", (), 2),
    ("blocking_call_ok", "current", "unstable", (), 2),
    # A thread of the blocking pool takes a worker's place now and then.
    ("blocks", "current", "release", ("block_in_place",), 2),
    # Two and three workers, and the thread of a current-thread runtime.
    ("two_runtimes", "current", "release", (), 6),
    ("two_runtimes", "1.32", "release", (), 6),
    ("current_thread", "current", "release", (), 1),
]


def listed(stalltop):
    run = stalltop("list", "--json")
    assert run.rc == 0, run
    return {o["pid"]: o for o in run.of("process")}


def test_workers(app, stalltop):
    wanted = {app(name, version, profile, args=args).pid: (name, version, profile, args, workers)
              for name, version, profile, args, workers in PROGRAMS}
    host = app("dlopen_host", args=("ok",))
    host.send()
    host.wait_line(lambda line: line == "loaded")
    wanted[host.pid] = ("dlopen_host", "current", "release", ("ok",), 2)
    end = time.monotonic() + 60
    while wanted:
        seen = listed(stalltop)
        for pid, program in list(wanted.items()):
            assert seen[pid]["runtime"] == "tokio"
            # What moved while it was read is not known this time; it is never wrong.
            assert seen[pid]["workers"] in (program[-1], None), (program, seen[pid])
            assert (seen[pid]["workers"] is None) == bool(seen[pid]["workers_unknown_because"])
            if seen[pid]["workers"]:
                del wanted[pid]
        assert time.monotonic() < end, (wanted, seen)
