# SPDX-License-Identifier: LGPL-2.1-or-later
"""Durations: polls of 10, 100 and 1000 ms, sleeping and computing, against the program's own clock.

A program that plants one length at a time is compared through count, total_ns and worst_ns of
its finding; the program that plants all three is watched live, poll by poll, as they open.
"""

import statistics

import pytest

MS = 1_000_000
KINDS = pytest.mark.parametrize("kind,rule,site", [
    ("sleep", "blocking-call", "planted::planted_sleep"),
    ("burn", "cpu-bound-poll", "planted::planted_burn")])

# What is reported is the poll: it begins before the program's first look at its clock and ends
# after its last one, when the worker takes the next task or parks. On a loaded machine both gaps
# hold a preemption now and then, which belongs to the poll and not to the program's measure.
WAIT_FOR_CPU = 30 * MS


def tolerance(ns):
    return max(ns // 100, MS)


def planted(app, kind, lengths, count, gap_ms):
    target = app("planted", args=(kind, lengths, count, gap_ms))
    return target


def truth_of(target, count):
    polls = []
    while len(polls) < count:
        polls.append(target.wait_json(lambda o: "ms" in o, 60))
    return polls


def near(reported, true, count=1):
    """Not shorter than the truth, within 1 % or 1 ms a poll; longer by one wait for the CPU."""
    slack = count * tolerance(true // count)
    assert true - slack <= reported <= true + slack + WAIT_FOR_CPU, \
        f"reported {reported / MS:.3f} ms, true {true / MS:.3f} ms"


# The threshold is below the planted length, so that a poll of 10 ms is one for sure; a computing
# poll loses CPU time to others, and its rule counts only what it had.
@pytest.mark.parametrize("ms,count", [(10, 8), (100, 4), (1000, 1)])
def test_sleeping(app, stream, ms, count):
    target = planted(app, "sleep", ms, count, 200)
    # A stuck poll takes the place of a blocking call from 1 s on: not what is measured here.
    run = stream("-p", target.pid, "--threshold", "5ms", "--set", "stuck-poll.length=10s")
    run.attached()
    truth = [t["end_ns"] - t["start_ns"] for t in truth_of(target, count)]
    run.until(lambda o: o["type"] == "finding" and o["count"] == count and
              o["site"] == "planted::planted_sleep", 10)
    run.watch(0.3)
    run.stop()
    found = [f for f in run.of_rule("blocking-call") if f["site"] == "planted::planted_sleep"]
    assert len(found) == 1
    assert found[0]["count"] == count
    assert found[0]["syscall"] == "clock_nanosleep"
    assert found[0]["severity"] == ("critical" if ms >= 100 else "warning")
    near(found[0]["worst_ns"], max(truth))
    near(found[0]["total_ns"], sum(truth), count)
    print(f"{ms} ms: worst {found[0]['worst_ns'] / MS:.3f} of {max(truth) / MS:.3f}, total "
          f"{found[0]['total_ns'] / MS:.3f} of {sum(truth) / MS:.3f}")
