# SPDX-License-Identifier: LGPL-2.1-or-later
"""--exact: the return of a poll is probed, where no panic can have to go through such a frame.

A frame that returns to the kernel cannot be unwound: the process would end ("failed to initiate panic,
error 5"). Tokio catches the panics of its tasks inside the probed function; async-task need not.
"""

import pytest

import harness

MS = 1_000_000


def site_of(dump, name):
    found, = (s for s in dump.of("site") if s["site"] == name)
    return found


def test_what_follows_a_poll(app, stalltop):
    """The thread computes for 5 ms behind each poll of `announce`: that is none of its time."""
    target = app("current_thread", args=("root",))
    found = {}
    for exact in ((), ("--exact",)):
        run = stalltop("dump", "-p", target.pid, "--duration", "1500ms", "--json", *exact)
        assert run.rc == 0 and run.footer["exact"] == bool(exact), run
        harness.check_footer(run.footer)
        found[exact] = site_of(run, "suite::current_thread::announce")
        assert found[exact]["polls"] >= 10, found
    # An upper bound, up to where the thread was next seen; and the poll itself.
    assert found[()]["max_ns"] > 3 * MS, found
    assert found[("--exact",)]["p50_ns"] < MS / 2 and found[("--exact",)]["p90_ns"] < 2 * MS, found


def test_each_poll_is_counted_twice(app, stream):
    """Once at its begin and once at its return; polls are exact as ever."""
    target = app("churn", args=(20, 2000, "wait"))
    run = stream("-p", target.pid, "--exact", command="check")
    run.attached()
    target.send()
    target.wait_json(lambda o: "polls" in o)
    # A task has ended a moment before its last poll returns.
    target.wait_asleep()
    run.stop()
    footer = run.footer
    assert footer["polls"] == 20 * 2000 and footer["tasks_seen"] == 20, footer
    # Ends of tasks come on top.
    assert 2 * footer["polls"] <= footer["hits"] <= 2 * footer["polls"] + 500, footer
    assert footer["emitted"] + footer["filtered"] == footer["hits"] and not footer["lost"], footer
    # Where a thread lost its CPU just before the return, the poll had been closed.
    assert footer["filtered"] <= footer["polls"] / 10, footer


def test_panics_are_unwound(app, stream):
    """Ten tasks a second panic meanwhile, and the program goes on; so it does afterwards."""
    target = app("panics")
    run = stream("-p", target.pid, "--exact")
    run.attached()
    lines = [target.wait_json() for _ in range(3)]
    assert lines[-1]["panics_caught"] >= lines[0]["panics_caught"] + 15, lines
    run.stop()
    assert run.footer["exact"] and run.footer["emitted"] > 2 * lines[-1]["panics_caught"], run.footer
    target.wait_json()


def test_a_culprit_is_named(app, stream):
    """The stack of a block ends at the poll function, and that is enough to find who blocks."""
    run = stream("-p", app("blocking_call").pid, "--exact", *harness.room("blocking-call"))
    found = run.until(lambda o: o["type"] == "finding" and o["rule"] == "blocking-call" and
                      o["culprit"], 30)
    assert found["culprit"]["function"] == found["site"] and found["syscall"] == "clock_nanosleep"
    run.stop()


def test_over_the_budget_returns_go_first(app, stream):
    run = stream("-p", app("yieldloop", args=(100, 2)).pid, "--exact", "--overhead", "5%")
    texts = []
    while not any("probed for moments only" in t for t in texts):
        texts.append(run.until(lambda o: o["type"] == "note" and "the budget is" in o["text"],
                               30)["text"])
    assert "returns of polls are not probed any more" in texts[0], texts
    run.stop()
    assert run.footer["exact"] is False, run.footer


@pytest.mark.parametrize("version", ["smol", "async-std"])
def test_not_where_a_panic_may_leave_the_poll(app, stalltop, version):
    target = app("tasks", version, args=("blocking_call", "ok"))
    run = stalltop("check", "-p", target.pid, "--exact", "--duration", "1s")
    assert run.rc == 3 and "--exact cannot be used here: a panic of its tasks" in run.stderr, run
    assert target.alive() and not harness.changed_text(target.pid)
    plan = stalltop("check", "-p", target.pid, "--exact", "--dry-run").stdout
    rows = [line for line in plan.splitlines() if line.split()[:1] == ["return"]]
    assert rows and all("not probed" in row and "a panic" in row for row in rows), plan
