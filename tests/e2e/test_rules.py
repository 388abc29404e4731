# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each rule finds its fault, and nothing else; the healthy twin of the program yields nothing.

A faulty program is watched until its finding is there, then a little longer, for any other rule
to show. The rule under test always runs as shipped; only leaked-join-handle, which waits for 30 s
by design, gets a shorter age.
"""

import functools
import os
import re
import subprocess
import time

import pytest

from harness import Pressure, room
from helpers_attach import until

HEALTHY_SECONDS = 4
# Names and shares of task types are taken once a second; a share needs two of them.
REST_SECONDS = 2.5
WORKERS = ("tokio-rt-worker", "tokio-runtime-worker", "tokio-runtime-w")
SHORT_AGE = ("leaked-join-handle.age=3s", "leaked-join-handle.window=2s")
MS = 1_000_000

# function: of the finding's site; seconds: the finding is there after so long at the latest;
# worst: its bounds in ns, with None for a rule that has no duration. Upper bounds leave room for
# a wait for the CPU, which is part of an occurrence's length where it blocks or is stuck.
FAULTS = {
    "blocking-call": dict(function="fetch_from_slow_disk", severity="critical", seconds=10,
                          worst=(149 * MS, 600 * MS), syscall="clock_nanosleep"),
    "cpu-bound-poll": dict(function="resize_images", severity="warning", seconds=10,
                           worst=(10 * MS, 200 * MS)),
    "stuck-poll": dict(function="solve_forever", severity="critical", seconds=10,
                       args=(0, 2500), worst=(1000 * MS, 10_000 * MS)),
    "starvation": dict(function="price_position", severity="warning", seconds=20,
                       worst=(50 * MS, 10_000 * MS), no_site=True),
    "task-explosion": dict(function="send_mail", severity="warning", seconds=20, worst=None,
                           many=True),
    "leaked-join-handle": dict(function="write_audit_entry", severity="warning", seconds=20,
                               worst=None, many=True, options=SHORT_AGE),
}

# Those of the program "faults", built once. `allowed`: rules that rightly speak of the same fault
# before this one does. `info`: no warning by default.
MORE_FAULTS = {
    "large-future": dict(function="receive_upload"),
    "detached-task": dict(function="look_for_updates", seconds=25),
    "task-leak": dict(function="await_reply",
                      options=("task-leak.age=3s", "task-leak.window=4s")),
    "blocking-pool-saturated": dict(group="runtime"),
    "tiny-tasks": dict(function="add_number"),
    "migration": dict(function="read_sensor", severity="info"),
    "nested-runtime": dict(function="convert_money", allowed=("blocking-call",)),
    "busy-poll": dict(function="wait", level=3),
    # Where others compute, too, its many workers are all held at times.
    "worker-tuning": dict(group="runtime", allowed=("starvation",)),
    "cancelled-midway": dict(function="store_order"),
    "lost-wakeup": dict(function="await_flag", options=("lost-wakeup.age=2s",)),
    "arc-contention": dict(function="convert_prices", culprit="faults::rates::convert",
                           options=("arc-contention.samples=50",)),
    "lock-across-await": dict(function="quote_price"),
    "unbounded-channel": dict(function="read_sensor",
                              options=("unbounded-channel.window=2s",
                                       "unbounded-channel.lasting=1s")),
    "deadlock": dict(group="runtime", severity="critical",
                     allowed=("stuck-poll", "starvation", "blocking-call")),
}
OTHERS = pytest.mark.parametrize("rule", MORE_FAULTS)

CURRENT = [("current", p) for p in ("release", "release-stripped", "lto-abort", "debug")]
OLDER = [(v, "release") for v in ("1.47", "1.43", "1.38", "1.32")]
BUILDS = pytest.mark.parametrize("version,profile", CURRENT + OLDER)
# How long a computation takes is a matter of who else computes.
RULES = pytest.mark.parametrize(
    "rule", [pytest.param(r, marks=pytest.mark.alone) if r == "cpu-bound-poll" else r
             for r in FAULTS])


def options(rule):
    settings = FAULTS[rule].get("options", ())
    return [word for s in settings for word in ("--set", s)] + room(rule)


@functools.cache
def has_symbol(path, function):
    """Whether the future's own poll is a function: fat LTO may inline it."""
    names = subprocess.run(["nm", "-C", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    return f" {function}::{{{{closure}}}}\n" in names


def check_site(finding, path, profile, want):
    """The task type is named after the async fn at fault; without its symbol, by its address."""
    program = os.path.basename(path)
    function = f"suite::{program}::{want['function']}"
    site = finding["site"]
    if want.get("no_site"):
        assert site is None and finding["tasks"] == []
        if profile != "release-stripped":
            assert want["function"] in finding["message"]
        return
    inlined = profile == "lto-abort" and not has_symbol(path, function)
    if profile == "release-stripped" or inlined:
        assert re.fullmatch(rf"task type #\d+ \(\d+ B\) @ {program}\+0x[0-9a-f]+", site), site
    else:
        assert site == function


def check_finding(finding, path, profile, want):
    check_site(finding, path, profile, want)
    assert finding["runtime"] == "tokio"
    assert finding["count"] >= 1
    assert finding["first_ns"] <= finding["last_ns"]
    assert finding["evidence"] in ("traced", "sampled")
    assert not finding["during_loss"]
    assert finding["stack"] is None or len(finding["stack"]) > 0
    assert finding["syscall"] == want.get("syscall")
    assert finding["message"] and finding["advice"] and finding["values"]
    if want["worst"] is None:
        assert finding["worst_ns"] is None and finding["total_ns"] is None
    else:
        low, high = want["worst"]
        assert low <= finding["worst_ns"] <= high
    if not want.get("no_site") and not want.get("many"):
        assert finding["worker"] in WORKERS
        assert finding["tid"] is not None
        assert len(finding["tasks"]) == 1, "one task has the fault"


def check_header(header, program, version, profile):
    runtimes = header["targets"][0]["runtimes"]
    assert [r["name"] for r in runtimes] == ["tokio"]
    if version != "current":
        assert runtimes[0]["version"].startswith(version + ".")
    assert runtimes[0]["binary"].endswith(f"/{version}/{profile}/{program}")


def brief(findings):
    return [(f["rule"], f["severity"], f["message"]) for f in findings]


@BUILDS
@RULES
def test_faulty(app, stream, rule, version, profile):
    want = FAULTS[rule]
    program = rule.replace("-", "_")
    target = app(program, version, profile, args=want.get("args", ()))
    run = stream("-p", target.pid, *options(rule))
    check_header(run.attached(), program, version, profile)
    run.finding(rule, want["seconds"], want["severity"])
    run.watch(REST_SECONDS)
    run.stop()
    assert target.alive()
    mine = run.of_rule(rule)
    assert len(mine) == 1, brief(mine)
    others = [f for f in run.at_least("warning") if f["rule"] != rule]
    if rule == "stuck-poll":
        # Before it had lasted for 1 s, it was rightly reported as a computing poll.
        others = [f for f in others if f["rule"] != "cpu-bound-poll" or
                  (f["first_ns"], f["tid"]) != (mine[0]["first_ns"], mine[0]["tid"])]
    assert brief(others) == [], "another rule fires"
    totals = run.footer["findings"]
    assert totals["warning"] + totals["critical"] == 1, totals
    check_finding(mine[0], target.path, profile, want)
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0


@BUILDS
@RULES
def test_healthy_twin(app, stalltop, rule, version, profile):
    program = rule.replace("-", "_") + "_ok"
    want = FAULTS[rule]
    target = app(program, version, profile, args=want.get("args", ()))
    with Pressure() as pressure:
        run = stalltop("check", "-p", target.pid, "--json", "--duration", f"{HEALTHY_SECONDS}s",
                       "--fail-on", "warning", *options(rule))
    found = run.at_least("warning")
    assert brief(f for f in found if not pressure.explains(f)) == []
    assert run.rc == (1 if found else 0), run
    assert target.alive()
    check_header(run.header, program, version, profile)
    assert run.footer["polls"] > 50, "it was watched at work"


def more_options(rule):
    want = MORE_FAULTS[rule]
    return [word for s in want.get("options", ()) for word in ("--set", s)] + room(rule) + \
        ["--level", want.get("level", 2)]


@OTHERS
def test_other_faulty(app, stream, rule):
    want = MORE_FAULTS[rule]
    target = app("faults", args=(rule,))
    run = stream("-p", target.pid, *more_options(rule))
    run.finding(rule, want.get("seconds", 20), want.get("severity", "warning"))
    run.watch(REST_SECONDS)
    run.stop()
    mine = run.of_rule(rule)
    assert len(mine) == 1, brief(mine)
    others = [f for f in run.at_least("warning")
              if f["rule"] != rule and f["rule"] not in want.get("allowed", ()) and
              (f["cause"] or {}).get("rule") != rule]
    assert brief(others) == [], "another rule fires"
    if want.get("group") == "runtime":
        assert mine[0]["site"] is None and mine[0]["runtime"] == "tokio"
    else:
        module = rule.replace("-", "_")
        assert mine[0]["site"] == f"faults::{module}::{want['function']}"
    if "culprit" in want:
        assert mine[0]["culprit"]["function"] == want["culprit"]
        assert want["culprit"] in mine[0]["message"]
    assert mine[0]["advice"] and mine[0]["values"] and mine[0]["severity"] == \
        want.get("severity", "warning")
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0


@OTHERS
def test_other_healthy_twin(app, stalltop, rule):
    target = app("faults", args=(rule, "ok"))
    with Pressure() as pressure:
        run = stalltop("check", "-p", target.pid, "--json", "--duration", f"{HEALTHY_SECONDS}s",
                       "--fail-on", "warning", *more_options(rule))
    assert run.of_rule(rule) == [], brief(run.of_rule(rule))
    found = run.at_least("warning")
    assert brief(f for f in found if not pressure.explains(f)) == []
    assert run.footer["polls"] > 50, "it was watched at work"


def deadlock_of(app, stream, said, *args):
    """The finding, once its message says so; it is the only alarm."""
    run = stream("-p", app("faults", args=args).pid)
    run.until(lambda o: said in "".join(f["message"] for f in run.of_rule("deadlock")), 20)
    run.watch(REST_SECONDS)
    run.stop()
    finding, = run.of_rule("deadlock")
    alarms = [f for f in run.at_least("warning") if f["count"] and not f["cause"]]
    assert brief(alarms) == brief([finding])
    assert {f["cause"]["rule"] for f in run.at_least("warning") if f["cause"]} <= {"deadlock"}
    assert run.footer["findings"]["critical"] == 1 and finding["effects"] >= 1
    assert run.footer["findings_effects"] == finding["effects"]
    return finding


def test_circle_of_owned_locks(app, stream):
    """Two of three workers wait for each other: libc's mutexes say who has them."""
    found = deadlock_of(app, stream, "holds", "deadlock", "bad", "500", "pthread")
    assert re.search(r"thread (\d+) waits for a pthread mutex that thread (\d+) holds, and that "
                     r"for one that thread \1 holds$", found["message"]), found["message"]


def test_circle_by_addresses(app, stream):
    """parking_lot's locks keep no owner; both workers stand still."""
    found = deadlock_of(app, stream, "probably holds", "deadlock", "bad", "500", "parking_lot")
    assert re.search(r"thread (\d+) waits for a parking_lot Mutex that thread (\d+) probably holds, "
                     r"and that for one that thread \1 probably holds", found["message"])


def test_lock_taken_twice(app, stream):
    """One of two workers waits for a std Mutex that its own poll has."""
    found = deadlock_of(app, stream, "for a lock that nobody else has", "lock-across-await", "bad",
                        "itself")
    assert found["evidence"] == "inferred" and found["values"]["worker.lock_lost_for_ns"] >= 2000 * MS


def locks_of(app, stalltop, holder, count, *args):
    """What dump says of the threads that wait for a lock, as soon as it tells the HOLDER of so many.

    It is one look: where a thread happens to run, so that its stack is not known, nothing is said.
    """
    target = app("faults", args=args)

    def locks():
        run = stalltop("dump", "-p", target.pid, "--json")
        found = {w["tid"]: w["lock"] for w in run.of("worker") if w["lock"]}
        return len(found) == count and all(k[holder] for k in found.values()) and found

    return until(locks, 40, "dump tells who has the locks")


def test_dump_tells_who_has_the_lock(app, stalltop):
    locks = locks_of(app, stalltop, "holder_tid", 2, "deadlock", "bad", "500", "pthread")
    (a, of_a), (b, of_b) = locks.items()
    assert (of_a["holder_tid"], of_b["holder_tid"]) == (b, a)
    assert all(k["cycle"] and k["holder_evidence"] == "traced" and
               k["lock_kind"] == "pthread mutex" for k in locks.values())
    lock, = locks_of(app, stalltop, "nobody_else", 1, "lock-across-await", "bad",
                     "itself").values()
    assert lock["holder_evidence"] == "inferred"
    assert lock["holder_tid"] is None and not lock["cycle"]


def test_lock_of_a_thread(app, stream):
    """A thread has the lock, asleep or computing; a task that waits only refers to it."""
    run = stream("-p", app("faults", args=("lock-across-await", "bad", "thread")).pid)
    run.until(lambda o: any(f["count"] >= 10 for f in run.of_rule("blocking-call")), 20)
    run.stop()
    found = run.at_least("warning")
    assert {f["rule"] for f in found} == {"blocking-call"}, brief(found)


def test_panics_that_nobody_learns_of(app, stream):
    run = stream("-p", app("faults", args=("detached-task", "bad", "panics")).pid)
    run.until(lambda o: any(v >= 5 for f in run.of_rule("detached-task")
                            for k, v in f["values"].items() if "panics_lost" in k), 20)
    run.stop()
    finding, = run.of_rule("detached-task")
    assert finding["site"] == "faults::detached_task::send_receipt"
    assert finding["severity"] == "warning" and "ended by a panic" in finding["message"]
    assert finding["evidence"] == "traced"


def test_panics_that_are_seen_or_caught(app, stalltop):
    """Ten a second are awaited, ten a second are caught by a task that goes on."""
    run = stalltop("check", "-p", app("faults", args=("detached-task", "ok", "panics")).pid,
                   "--json", "--duration", f"{HEALTHY_SECONDS}s", "--set", "detached-task.panics=0")
    seen = {f["site"]: f["values"] for f in run.of_rule("detached-task")}
    awaited = seen["faults::detached_task::send_receipt"]
    assert awaited["site.panics"] >= 5 and awaited["site.panics_lost_recent"] == 0
    assert seen["faults::detached_task::send_safely"]["site.panics"] == 0


def test_waiting_for_ever(app, stream):
    """A detached task that waits for ever, polled once, may do so on purpose: no warning."""
    run = stream("-p", app("faults", args=("lost-wakeup", "bad", "2000", "forever")).pid,
                 "--set", "lost-wakeup.age=1s")
    run.finding("lost-wakeup", 20, "info")
    run.stop()
    finding, = run.of_rule("lost-wakeup")
    assert finding["severity"] == "info" and "on purpose" in finding["message"]


def test_many_short_polls_move(app, stream):
    """25 000 polls/s on another worker than before, of two microseconds each, cost little."""
    run = stream("-p", app("idle10k").pid, "--set", "migration.window=2s", "--set",
                 "migration.high=5000")
    run.finding("migration", 20, "info")
    run.watch(REST_SECONDS)
    run.stop()
    assert [f["severity"] for f in run.of_rule("migration")] == ["info"]


def mixed(run):
    return [(f["severity"], f["site"]) for f in run.of_rule("mixed-runtimes")]


def test_runtimes_wait_on_each_other(app, stream):
    """Tokio and smol in one process, a task of each in the executor of the other."""
    run = stream("-p", app("mixed", "smol", "lines", args=("waits",)).pid)
    run.finding("mixed-runtimes", 20, "warning")
    sites = {"mixed::print_invoice", "mixed::ship_parcel"}
    run.until(lambda o: {f["site"] for f in run.of_rule("nested-runtime")} == sites, 20)
    run.watch(REST_SECONDS)
    run.stop()
    for finding, frames in ((f, [x["function"] or "" for x in f["stack"]])
                            for f in run.of_rule("nested-runtime")):
        own, other = ("tokio::", "async_io::driver::block_on") if "print" in finding["site"] \
            else ("async_task::", "tokio::runtime::context::runtime::enter_runtime")
        inner = next(i for i, name in enumerate(frames) if name.startswith(other))
        assert any(name.startswith(own) for name in frames[inner:]), frames
    assert mixed(run) == [("warning", None)]
    message = run.of_rule("mixed-runtimes")[0]["message"]
    assert "tokio (2 workers)" in message and "smol (2 workers)" in message
    assert message.endswith("inside the executor of another runtime: 2"), message
    others = [f for f in run.at_least("warning")
              if f["rule"] not in ("nested-runtime", "mixed-runtimes", "blocking-call")]
    assert brief(others) == []


def test_runtimes_side_by_side(app, stalltop):
    run = stalltop("check", "-p", app("mixed", "smol", "lines", args=("apart",)).pid, "--json",
                   "--duration", "3s")
    assert run.of_rule("nested-runtime") == []
    few = run.header["targets"][0]["cpus"] >= 2
    assert mixed(run) == [("info" if few else "warning", None)]


def test_arming(app, stalltop):
    """`rules list TARGET` says of each rule what it can find there, and why not more."""
    target = app("faults", args=("large-future", "ok"))
    # A channel is known once some messages have gone through it.
    deadline = time.monotonic() + 30
    run = stalltop("rules", "list", "-p", target.pid)
    while re.search(r"unbounded-channel +off", run.stdout) and time.monotonic() < deadline:
        run = stalltop("rules", "list", "-p", target.pid)
    assert run.rc == 0, run
    state = {line.split()[0]: line.split()[1] for line in run.stdout.splitlines()[1:]}
    assert state.pop("busy-poll") == "off" and "needs --level 3" in run.stdout
    assert set(state.values()) == {"armed"}, run
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "1500ms", "--level", "3",
                   "--set", "deadlock.enabled=false")
    rules = run.footer["rules"]
    assert rules["off"] == [{"rule": "deadlock", "why": "switched off"}], rules
    assert rules["armed"] == len(state) and rules["limited"] == [], rules
