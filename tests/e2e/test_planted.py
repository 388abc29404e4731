# SPDX-License-Identifier: LGPL-2.1-or-later
"""Durations: polls of 10, 100 and 1000 ms, sleeping and computing, against the program's own clock.

Each finding carries count, worst_ns, total_ns and, live, the length so far: a program that plants
polls of one length is compared through these with what it measured inside its polls.
"""

import os
import statistics

import pytest

MS = 1_000_000
pytestmark = pytest.mark.alone
LENGTHS = pytest.mark.parametrize("ms,count", [(10, 8), (100, 4), (1000, 2)])
# From 1 s on a stuck poll takes the place of the other two: not what is measured here.
NOT_STUCK = ("--set", "stuck-poll.length=10s")
# Below the shortest planted poll, so that all of them are reported. A computing poll of 10 ms
# has less than that of the CPU when others want it too.
THRESHOLD = ("--threshold", "2ms")


def runqueue_wait(pid):
    """Nanoseconds that the threads of a process were ready to run and had no CPU."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat") as file:
                total += int(file.read().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass  # a thread of the blocking pool that ended: no worker
    return total


def watch(app, stream, kind, ms, count):
    """Plants the polls under watch; returns the site's finding, the true lengths, CPU waits."""
    # The first poll comes after the gap: by then the probes are there.
    target = app("planted", args=(kind, ms, count, 900))
    run = stream("-p", target.pid, *THRESHOLD, *NOT_STUCK)
    run.attached()
    before = runqueue_wait(target.pid)
    polls = [target.wait_json(lambda o: "ms" in o, 30) for _ in range(count)]
    waited = runqueue_wait(target.pid) - before
    assert polls[0]["start_ns"] > run.lines[0]["arrived_ns"], "the attach took too long to tell"
    truth = [p["end_ns"] - p["start_ns"] for p in polls]
    rule = {"sleep": "blocking-call", "burn": "cpu-bound-poll"}[kind]
    site = f"planted::planted_{kind}"
    run.until(lambda o: o["type"] == "finding" and o["site"] == site and o["rule"] == rule and
              o["count"] == count and not o["message"].count("so far"), 10)
    run.stop()
    found = [f for f in run.of_rule(rule) if f["site"] == site]
    assert len(found) == 1
    assert found[0]["tasks"] == [polls[0]["task"]]
    assert found[0]["tid"] in [p["tid"] for p in polls]
    return found[0], truth, waited


def allowed(ns):
    return max(ns // 100, MS)


def check_length(finding, truth, waited):
    """`waited` is the kernel's own count of the wait for a CPU, of all threads of the program."""
    slack = sum(map(allowed, truth))
    assert finding["worst_ns"] <= max(truth) + allowed(max(truth))
    assert finding["worst_ns"] >= max(truth) - waited - allowed(max(truth))
    assert finding["total_ns"] <= sum(truth) + slack
    assert finding["total_ns"] >= sum(truth) - waited - slack


@LENGTHS
def test_sleeping(app, stream, ms, count):
    """The rule counts the time asleep: the true length less what the thread waited for a CPU."""
    finding, truth, waited = watch(app, stream, "sleep", ms, count)
    print(f"{ms} ms asleep: worst {finding['worst_ns'] / MS:.3f} of {max(truth) / MS:.3f}, total "
          f"{finding['total_ns'] / MS:.3f} of {sum(truth) / MS:.3f}, {waited / MS:.3f} waiting")
    assert finding["count"] == count
    assert finding["syscall"] == "clock_nanosleep"
    assert finding["severity"] == ("critical" if ms >= 100 else "warning")
    check_length(finding, truth, waited)


@LENGTHS
def test_computing(app, stream, ms, count):
    """The rule counts the time on the CPU: the true length less what the thread waited for one."""
    finding, truth, waited = watch(app, stream, "burn", ms, count)
    print(f"{ms} ms computed: worst {finding['worst_ns'] / MS:.3f} of {max(truth) / MS:.3f}, total "
          f"{finding['total_ns'] / MS:.3f} of {sum(truth) / MS:.3f}, {waited / MS:.3f} waiting")
    assert finding["count"] == count
    assert finding["syscall"] is None
    check_length(finding, truth, waited)


@pytest.mark.parametrize("kind,rule", [("sleep", "blocking-call"), ("burn", "cpu-bound-poll")])
def test_reported_while_open(app, stream, kind, rule):
    """A poll of 1 s is on the screen long before it ends, and again when it becomes critical.

    The figure to reach is 150 ms from the crossing of the threshold to the line (make bench); the
    bound here is for a machine with other work.
    """
    delays = []
    for _ in range(3):
        target = app("planted", args=(kind, 1000, 1, 600))
        run = stream("-p", target.pid, *NOT_STUCK)
        run.attached()
        lines = [(threshold, run.finding(rule, 10, severity))
                 for threshold, severity in ((10, "warning"), (100, "critical"))]
        poll = target.wait_json(lambda o: "ms" in o, 30)
        run.stop()
        for threshold, line in lines:
            assert line["open"] and "so far" in line["message"]
            assert line["site"] == f"planted::planted_{kind}"
            assert line["tasks"] == [poll["task"]] and line["tid"] == poll["tid"]
            assert abs(line["first_ns"] - poll["start_ns"]) < 100 * MS
            assert line["arrived_ns"] < poll["end_ns"], "it is over by then"
            # A computing poll crosses later by what it waits for a CPU: that is in here.
            delays.append((line["arrived_ns"] - poll["start_ns"]) / MS - threshold)
    print(f"{kind}: from the threshold to the line: {[round(d) for d in delays]} ms, "
          f"median {statistics.median(delays):.0f} ms")
    assert statistics.median(delays) <= 400
