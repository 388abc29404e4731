# SPDX-License-Identifier: LGPL-2.1-or-later
"""`stalltop list`: workers of Tokio, which threads and their names do not tell."""

import time

# Program, version, profile, arguments: workers. Their blocking pools are at work, too.
PROGRAMS = [
    ("idle10k", "current", "release", (10, 100, 1), 1),
    ("idle10k", "current", "release", (10, 100, 5), 5),
    ("idle10k", "1.32", "release", (10, 100, 5), 5),
    # Never off the CPU.
    ("yieldloop", "current", "release", (4, 1), 1),
    ("blocking_call_ok", "current", "release-stripped", (), 2),
    ("blocking_call_ok", "current", "lto-abort", (), 2),
    ("blocking_call_ok", "current", "static-pie", (), 2),
    ("blocking_call_ok", "current", "nopie", (), 2),
    ("blocking_call_ok", "current", "full", (), 2),
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
    apps = [app(*program[:3], args=program[3], ready=False) for program in PROGRAMS]
    host = app("dlopen_host", args=("ok",), ready=False)
    host.send()
    host.wait_line(lambda line: line == "loaded")
    for one in apps:
        one.wait_line(lambda line: line.startswith("ready"))
    wanted = {one.pid: program for one, program in zip(apps, PROGRAMS)}
    wanted[host.pid] = ("dlopen_host", "current", "release", ("ok",), 2)
    end = time.monotonic() + 120
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
