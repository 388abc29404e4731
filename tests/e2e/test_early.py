# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hung before anybody watched: polls that hit no probe, the root future, and dump."""

import json
import time

import pytest

from test_stacks import STRIPPED, check_stack, Code, verdict, LINES

SLEEPERS = 40


def hung(app, mode, profile="lines"):
    """(program, its truth): it hangs since before its ready line."""
    begun = time.monotonic_ns()
    target = app("hung", profile=profile, args=[mode])
    truth = next(o for o in target.json_lines() if o.get("kind") == "hung")
    return target, truth, begun


def open_finding(watch, site, seconds=40):
    """The first line of stuck-poll about this task type that has a stack."""
    return watch.until(lambda o: o["type"] == "finding" and o["rule"] == "stuck-poll" and
                       o["site"] == site and o["stack"], seconds)


def test_a_poll_that_blocked_before_the_attach_is_found_at_once(app, stream):
    target, truth, begun = hung(app, "mutex")
    # Older than the rule asks for before the attach: no time of watching is needed.
    while time.monotonic_ns() - begun < 1_500_000_000:
        target.out.next(time.monotonic() + 0.1)
    watch = stream("-p", target.pid)
    watch.attached()
    found = open_finding(watch, truth["site"])
    assert found["open"] and found["lower_bound"] and found["syscall"] == "futex"
    assert 1_000_000_000 <= found["worst_ns"] <= time.monotonic_ns() - begun, "a lower bound"
    right = verdict(truth, found, LINES)
    assert all(right.values()), (right, found["culprit"], found["call"])
    assert "futex_do_wait" in found["kernel_stack"] or "futex_wait_queue" in found["kernel_stack"]
    check_stack(found, Code)
    assert len(found["tasks"]) == 1
    watch.stop()


def test_a_poll_that_spun_before_the_attach_is_found(app, stream):
    target, truth, _ = hung(app, "spin")
    watch = stream("-p", target.pid)
    found = open_finding(watch, truth["site"])
    assert found["open"] and found["lower_bound"] and found["syscall"] is None
    functions = [f["function"] for f in found["stack"]]
    assert truth["site"] in functions and functions[0].startswith(("hung::", "core::")), functions
    assert len(found["tasks"]) == 1
    watch.stop()


def test_without_symbols_it_is_the_place(app, stream):
    target, truth, _ = hung(app, "mutex", "release-stripped")
    watch = stream("-p", target.pid)
    found = watch.until(lambda o: o["type"] == "finding" and o["rule"] == "stuck-poll" and
                        o["stack"], 40)
    assert found["culprit"]["function"] is None and found["culprit"]["offset"] > 0
    assert found["culprit"]["binary"].endswith("/hung") and found["lower_bound"]
    assert len(found["tasks"]) == 1
    watch.stop()


@pytest.mark.parametrize("mode,rule", [("root", "stuck-poll"), ("main", "blocking-call")])
def test_the_root_future_on_the_main_thread_of_a_multi_thread_runtime(app, stream, mode, rule):
    target, truth, _ = hung(app, mode)
    watch = stream("-p", target.pid)
    found = watch.until(lambda o: o["type"] == "finding" and o["rule"] == rule and
                        o["stack"], 40)
    assert found["site"] == truth["site"] and found["tid"] == target.pid
    right = verdict(truth, found, LINES)
    assert all(right.values()), (right, found["culprit"], found["call"])
    watch.stop()


def test_dump_tells_what_hangs_and_lists_every_task(app, stalltop):
    target, truth, begun = hung(app, "mutex")
    run = stalltop("dump", "-p", target.pid, "--json")
    stuck = [w for w in run.of("worker") if w["state"] == "blocked"]
    assert len(stuck) == 1 and stuck[0]["site"] == truth["site"], run.of("worker")
    worker = stuck[0]
    assert worker["stack_kind"] == "off_cpu" and worker["stack_end"] == "complete"
    assert worker["syscall"] == "futex" and worker["lower_bound"]
    assert worker["poll_start_ns"] is None
    assert 300_000_000 <= worker["poll_ns"] <= time.monotonic_ns() - begun
    assert worker["culprit"]["function"] == truth["function"]
    assert worker["culprit"]["line"] == truth["line"]
    lock = worker["lock"]
    assert lock["lock_kind"] == "std Mutex" and lock["lock_address"] and not lock["cycle"]
    # It is a static: whoever has it needs no word for its address.
    assert not lock["nobody_else"] and lock["holder_evidence"] is None, lock
    waiting = [w for w in run.of("worker") if w["state"] == "parked"]
    assert len(waiting) == 2 and all(w["stack"] for w in waiting)
    tasks = run.of("task")
    assert tasks[0]["site"] == truth["site"] and tasks[0]["state"] == "in_poll"
    assert tasks[0]["id"] == worker["task"] and tasks[0]["tid"] == worker["tid"]
    idle = [t for t in tasks if t["site"] == "hung::sleeper"]
    assert len(idle) == SLEEPERS and {t["state"] for t in idle} == {"idle"}
    assert len({t["id"] for t in tasks}) == len(tasks) == SLEEPERS + 1
    text = stalltop("dump", "-p", target.pid).stdout
    assert f"in {truth['site']} for at least" in text and f"hung.rs:{truth['line']}" in text


def test_dump_of_ten_thousand_tasks_is_quick_and_complete(app, stalltop):
    target = app("idle10k", args=[10000, 1000])
    target.wait_json()
    run = stalltop("dump", "-p", target.pid, "--json")
    assert len({t["id"] for t in run.of("task")}) == 10000
    # 200 ms of watching and the look: 0.25 s where nobody else wants the CPUs.
    assert run.footer["duration_ns"] < 2_000_000_000
    assert {w["state"] for w in run.of("worker")} <= {"parked", "polling", "searching", "preempted",
                                                     "blocked"}


def test_a_healthy_program_has_nothing_that_began_before(app, stalltop):
    target = app("blocking_call_ok")
    run = stalltop("dump", "-p", target.pid, "--json")
    assert [w for w in run.of("worker") if w["lower_bound"] and w["poll_ns"]] == []
    assert run.of_rule("stuck-poll") == []
    assert json.dumps(run.header)


def test_starvation_names_its_victims(app, stream):
    target = app("starvation")
    watch = stream("-p", target.pid)
    found = watch.until(lambda o: o["type"] == "finding" and o["rule"] == "starvation" and
                        o["victims"], 40)
    victims = found["victims"]
    assert [v["worst_ns"] for v in victims] == sorted((v["worst_ns"] for v in victims),
                                                      reverse=True)
    assert all(v["tasks"] >= 1 and v["worst_ns"] >= 5_000_000 for v in victims)
    # The batch holds the workers; those who wait are its own tasks, or the honest work beside it.
    assert any(v["site"].startswith("suite::") for v in victims), victims
    watch.stop()
