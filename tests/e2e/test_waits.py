# SPDX-License-Identifier: LGPL-2.1-or-later
"""dump tells at which semaphore each task is queued, by the tasks' memory alone."""

import collections
import re

import pytest

# Tasks of each type that wait, and the permits that each lacks.
WAITS = {"write_ledger": (3, 1), "write_ledger_soon": (1, 1), "set_prices": (1, 1),
         "upload": (1, 2), "send_order": (1, 1)}
ELSE = {"keep_ledger": 1, "read_prices": 1, "use_slots": 1, "lend_drawer": 1, "had_drawer": 1,
        "await_signal": 3, "await_change": 3}
SEMAPHORE = 64  # bytes from the address of a lock in which its semaphore begins
BUILDS = [("current", p) for p in ("release", "lto-abort", "debug", "full", "v0")] + [
    (v, "release") for v in ("1.47", "1.43", "1.38", "1.32")]


def waiting(run):
    """(semaphore, permits) of the tasks that wait for one, by type."""
    found = collections.defaultdict(list)
    for task in run.of("task"):
        if task["waits_for"] is not None:
            found[task["site"]].append((task["waits_for"], task["waits_for_permits"]))
    return found


@pytest.mark.parametrize("version,profile", BUILDS)
def test_each_kind_of_lock(app, stalltop, version, profile):
    target = app("waits", version, profile)
    truth = target.wait_json()
    run = stalltop("dump", "-p", target.pid, "--json")
    found = waiting(run)
    tasks = collections.Counter(t["site"] for t in run.of("task"))
    for name, count in ELSE.items():
        if profile != "lto-abort":
            assert tasks[f"suite::waits::{name}"] == count, tasks
        assert f"suite::waits::{name}" not in found
    waits = {name: found.pop(f"suite::waits::{name}", None) for name in WAITS}
    if profile == "lto-abort":  # its names are not all known
        waits = {k: v for k, v in waits.items() if v}
        assert sum(len(v) for v in found.values()) + sum(len(v) for v in waits.values()) == 7
    else:
        assert not found and all(waits.values()), (found, waits)
    for name, places in waits.items():
        count, permits = WAITS[name]
        assert len(places) == count and {p for _, p in places} == {permits}, (name, places)
        assert len({s for s, _ in places}) == 1
    one = {name: places[0][0] for name, places in waits.items()}
    if "write_ledger" in one:
        assert 0 <= one["write_ledger"] - truth["ledger"] < SEMAPHORE
    if "upload" in one:
        assert 0 <= one["upload"] - truth["slots"] < SEMAPHORE
    if profile != "lto-abort":
        assert one["write_ledger"] == one["write_ledger_soon"]
        assert len(set(one.values())) == 4


def test_stripped(app, stalltop):
    target = app("waits", "current", "release-stripped")
    truth = target.wait_json()
    run = stalltop("dump", "-p", target.pid, "--json")
    places = collections.Counter(place for waits in waiting(run).values() for place in waits)
    assert sorted(places.values()) == [1, 1, 1, 4], places
    text = stalltop("dump", "-p", target.pid).stdout
    (ledger,) = [s for (s, _), count in places.items() if count == 4]
    assert 0 <= ledger - truth["ledger"] < SEMAPHORE
    assert f"semaphore at 0x{ledger:x}: 4 tasks" in text


def circle(app, stream, profile):
    target = app("waits", "current", profile, args=("circle",))
    run = stream("-p", target.pid)
    run.attached()
    target.send()
    target.wait_json()
    return target, run


def test_holders_by_debug_information(app, stalltop):
    target = app("waits", "current", "debug")
    target.wait_json()
    run = stalltop("dump", "-p", target.pid, "--json")
    tasks = {}
    for task in run.of("task"):
        tasks.setdefault(task["site"].rsplit("::", 1)[-1], []).append(task)
    of = {"write_ledger": "keep_ledger", "write_ledger_soon": "keep_ledger",
          "set_prices": "read_prices", "upload": "use_slots"}
    for waiter, holder in of.items():
        (one,) = tasks[holder]
        for task in tasks[waiter]:
            assert one["holds"] == [task["waits_for"]], (waiter, one, task)
            assert (task["waits_for_task"], task["waits_for_site"]) == (one["id"], one["site"])
    for name in ("lend_drawer", "had_drawer", "await_signal", "write_ledger", "send_order"):
        assert all(t["holds"] == [] for t in tasks[name]), (name, tasks[name])
    assert tasks["send_order"][0]["waits_for_task"] is None


def test_circle(app, stream, stalltop):
    """Two tasks that wait for each other for ever: no worker blocks, and the program looks idle."""
    target, run = circle(app, stream, "debug")
    run.finding("deadlock", 20, "critical")
    run.stop()
    (one,) = run.of_rule("deadlock")
    tasks = [int(t) for t in re.findall(r"task (\d+) of suite::waits::transfer", one["message"])]
    assert len(tasks) == 3 and tasks[0] == tasks[2] != tasks[1], one["message"]
    assert "waits for a lock that task" in one["message"] and one["runtime"] == "tokio"
    text = stalltop("dump", "-p", target.pid).stdout
    assert text.count(", held by task ") == 2, text


def test_circle_without_debug_information(app, stream, stalltop):
    target, run = circle(app, stream, "release")
    run.watch(3.5)
    run.stop()
    assert run.of_rule("deadlock") == []
    why = {o["rule"]: o["why"] for o in run.footer["rules"]["limited"]}
    assert "no debug information" in why["deadlock"]
    text = stalltop("dump", "-p", target.pid).stdout
    assert text.count("held by n/a (no debug information tells where guards lie)") == 2, text
