# SPDX-License-Identifier: LGPL-2.1-or-later
"""--level 0: long polls are found although nothing is attached to the program.

The place of Tokio's thread-local id of the task in hand is learned while the program runs; so the
first blocks may be missed, never a later one.
"""

import pathlib

import pytest

import harness

MS = 1_000_000


def watch(stream, target):
    run = stream("-p", target.pid, "--level", "0")
    run.attached()
    return run


def again(run):
    """The finding when a block was seen that began under watch, and its stack is known."""
    return run.until(lambda o: o["type"] == "finding" and o["rule"] == "blocking-call" and
                     o["count"] >= 3 and o["stack"], 20)


def check_untouched(run, target):
    """No instruction of the program was changed, and no probe was hit."""
    assert harness.changed_text(target.pid) == []
    run.stop()
    assert run.footer["level"] == 0 and run.footer["hits"] == 0, run.footer


@pytest.mark.parametrize("version,profile", [
    ("current", "release"), ("current", "release-stripped"), ("1.47", "release"),
    ("1.43", "release"), ("1.38", "release"), ("1.32", "release")])
def test_blocks(app, stream, version, profile):
    """Sleeps of 150 ms in an async fn: which task type, for how long, in which call, from where."""
    target = app("blocking_call", version, profile)
    run = watch(stream, target)
    found = again(run)
    assert found["syscall"] == "clock_nanosleep"
    assert 99 * MS < found["worst_ns"] < 400 * MS
    assert len(found["tasks"]) == 1 and found["tid"] in {
        int(p.name) for p in pathlib.Path(f"/proc/{target.pid}/task").iterdir()}
    if profile != "release-stripped":
        assert found["site"] == "suite::blocking_call::fetch_from_slow_disk"
        assert found["culprit"]["function"] == "suite::blocking_call::fetch_from_slow_disk"
    check_untouched(run, target)
    assert {f["rule"] for f in run.findings} <= set(harness.SHORT_POLLS), run.findings


@pytest.mark.parametrize("version", ["current", "1.32"])
def test_healthy(app, stream, version):
    """Blocking work where it belongs is no poll: the same sleeps on the blocking pool."""
    target = app("blocking_call_ok", version)
    run = stream("-p", target.pid, "--level", "0", *harness.room())
    run.attached()
    run.watch(4)
    check_untouched(run, target)
    assert run.findings == []


def test_each_block(app, stream):
    """Once the place is known every planted sleep is found, each with its length."""
    target = app("planted", args=("sleep", "20", 60, 60))
    run = watch(stream, target)
    run.finding("blocking-call", 20)
    polls = [target.wait_json(lambda o: "ms" in o, 30) for _ in range(40)]
    end = polls[-1]["end_ns"]
    run.until(lambda o: o["type"] == "finding" and o["last_ns"] >= end - 25 * MS, 20)
    check_untouched(run, target)
    found, = (f for f in run.of_rule("blocking-call")
              if f["count"] and f["site"] == "planted::planted_sleep")
    target.wait_json(lambda o: o.get("start_ns", 0) > found["last_ns"] or "done" in o, 30)
    seen = [p for p in target.json_lines() if "ms" in p and
            found["first_ns"] - 5 * MS <= p["start_ns"] <= found["last_ns"]]
    assert found["tasks"] == [polls[0]["task"]]
    assert abs(found["count"] - len(seen)) <= 1, (found["count"], len(seen))


def test_shared_object(app, stream):
    """Tokio in a library that was loaded later: its thread-locals are in a block of their own."""
    target = app("dlopen_host", args=("block",))
    target.send()
    target.wait_line(lambda line: line == "loaded")
    run = watch(stream, target)
    found = again(run)
    assert found["site"] == "plugin::plugin_job" and found["syscall"] == "clock_nanosleep"
    check_untouched(run, target)


def test_open_block(app, stream):
    """A block is told while it lasts."""
    target = app("planted", args=("sleep", "1500", 10, 300))
    run = watch(stream, target)
    found = run.finding("stuck-poll", 30)
    assert found["open"] and found["site"] == "planted::planted_sleep"
    check_untouched(run, target)


def armed(footer, rule):
    return all(rule != row["rule"] for state in ("limited", "off") for row in footer["rules"][state])


@pytest.mark.alone
@pytest.mark.parametrize("version,profile", [("current", "release"), ("1.32", "release"),
                                             ("current", "release-stripped")])
def test_computing(app, stream, version, profile):
    """Polls of 120 ms that compute, by samples alone: a length is a lower bound."""
    target = app("cpu_bound_poll", version, profile)
    run = watch(stream, target)
    found = run.until(lambda o: o["type"] == "finding" and o["rule"] == "cpu-bound-poll" and
                      o["count"] >= 2 and o["stack"], 40)
    assert found["syscall"] is None and found["worst_ns"] < 400 * MS
    if profile == "release":
        assert found["site"] == "suite::cpu_bound_poll::resize_images"
        assert found["culprit"]["function"] == "suite::common::checksum"
    check_untouched(run, target)


@pytest.mark.parametrize("name", ["cpu_bound_poll_ok", "stuck_poll_ok"])
def test_computing_healthy(app, stream, name):
    """A task that yields all the time is polled again at once: that is no long poll."""
    target = app(name)
    run = stream("-p", target.pid, "--level", "0", *harness.room())
    run.attached()
    run.watch(7)
    check_untouched(run, target)
    assert armed(run.footer, "cpu-bound-poll"), "it was silent because it has learned nothing"
    assert run.findings == []


def test_stuck(app, stream):
    """A poll that computes and never ends."""
    target = app("stuck_poll", args=(0, 6000))
    run = watch(stream, target)
    found = run.finding("stuck-poll", 30)
    assert found["open"] and found["site"].startswith("suite::stuck_poll::")
    check_untouched(run, target)


def test_rules(app, root):
    """What level 0 cannot tell is off, and says why."""
    target = app("blocking_call")
    result = harness.run_stalltop("rules", "list", "-p", target.pid, "--level", "0")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert " off " in lines["task-leak"] and "needs --level 2" in lines["task-leak"]
    assert " off " in lines["starvation"] and "needs --level 1" in lines["starvation"], lines
    assert " limited " in lines["blocking-call"] or " armed " in lines["blocking-call"]
    smol = app("tasks", "smol", args=("blocking_call",))
    result = harness.run_stalltop("rules", "list", "-p", smol.pid, "--level", "0")
    line, = [x for x in result.stdout.splitlines() if x.startswith("blocking-call ")]
    assert " off " in line and "--level 1" in line, line
