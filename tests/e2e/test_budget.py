# SPDX-License-Identifier: LGPL-2.1-or-later
"""The overhead budget: probes of hot task types go, and are back for moments; stalls are still seen.

How much is saved is for `make bench ARGS=budget`: here the machine has other work. What holds
anyway: which types are sampled, that what they tell is marked, that nothing is made up, and that
probes come back when the load has fallen.
"""

import subprocess
import time

import pytest

import harness
from helpers_attach import changed_at, plan_of, until

MS = 1_000_000
HOT = 10


def watch(app, stream, kind, *more, count=1000, gap=250, args=("--overhead", "2%"), ms=20,
          workers=2, hot=HOT):
    """`planted` with hot tasks beside (or, hot-..., with one of these as the culprit), once sampled."""
    target = app("planted", args=(kind, str(ms), count, gap, workers, hot))
    run = stream("-p", target.pid, *args, *more, *harness.room("blocking-call", "cpu-bound-poll"))
    run.attached()
    run.until(sampled_note, 20)
    return target, run


def sampled_note(o):
    return o["type"] == "note" and "probed for moments only" in o["text"]


def planted_in(target, run, found):
    """The polls that were planted between the first and the last of the finding."""
    target.wait_json(lambda o: o.get("start_ns", 0) > found["last_ns"] or "done" in o, 30)
    return [p for p in target.json_lines() if "ms" in p and
            found["first_ns"] - 5 * MS <= p["start_ns"] <= found["last_ns"]]


def check_marked(run, budget=2):
    """What is sampled says so, and what cannot be known is n/a."""
    footer = run.footer
    assert footer["budget_pct"] == budget and footer["sites_sampled"] >= 1, footer
    assert footer["sites_off"] >= 1 and footer["tasks_seen"] is None, footer
    assert footer["hits"] < footer["duration_ns"] / 1000, "more than a hit a microsecond"
    assert {f["rule"] for f in run.findings} <= set(harness.SHORT_POLLS), run.findings


def test_stalls_of_a_cold_type(app, stream):
    """Its probe stays: its sleeps are found, with their length, though the hot type beside has none.

    Where its thread computes on after a sleep the end may pass unseen; how many are found on a quiet
    machine is for the benchmark.
    """
    target, run = watch(app, stream, "sleep")
    done = [target.wait_json(lambda o: "ms" in o, 30) for _ in range(10)]
    run.until(lambda o: o["type"] == "finding" and o["site"] == "planted::planted_sleep" and
              o["last_ns"] >= done[-1]["end_ns"] - 15 * MS, 20)
    run.stop()
    found, = (f for f in run.of_rule("blocking-call") if f["site"] == "planted::planted_sleep")
    seen = planted_in(target, run, found)
    assert len(seen) / 2 <= found["count"] <= len(seen) + 1, (found["count"], len(seen))
    assert found["worst_ns"] <= max(p["end_ns"] - p["start_ns"] for p in seen) + MS
    assert found["culprit"]["function"] == "planted::planted_sleep"
    check_marked(run)


def test_what_a_recording_says(app, root, stalltop, tmp_path):
    """Both types are marked: the hot one for its polls, the other for their lengths alone."""
    target = app("planted", args=("sleep", "20", 1000, 150, 2, HOT))
    file = tmp_path / "t.trace"
    done = stalltop("record", "-p", target.pid, "-o", file, "--duration", "4s", "--overhead", "2%")
    assert done.rc in (0, 1), done
    sites = {o["site"]: o for o in stalltop("report", file, "--json").of("site")}
    hot, cold = sites["planted::hot"], sites["planted::planted_sleep"]
    now = time.monotonic_ns()
    target.wait_json(lambda o: o.get("start_ns", 0) > now, 30)
    planted = sum("ms" in o for o in target.json_lines())
    # Each of its polls is seen to begin, and has no length unless it was seen to run.
    assert cold["sampled"] and cold["sampled_error_pct"] == 0, cold
    assert 5 <= cold["polls"] <= planted + 1 and cold["tasks_seen"] == 1, (cold, planted)
    assert hot["sampled"] and hot["tasks_seen"] is None and hot["polls"] > 10_000, hot


def test_stalls_of_a_hot_type(app, stream):
    """It has no probe: the sentinel finds its sleeps once it knows where to look."""
    target, run = watch(app, stream, "hot-sleep")
    found = run.until(lambda o: o["type"] == "finding" and o["site"] == "planted::hot" and
                      o["rule"] == "blocking-call" and o["count"] >= 8 and o["stack"], 40)
    assert found["culprit"]["function"] == "planted::hot"
    assert found["syscall"] == "clock_nanosleep" and len(found["tasks"]) == 1
    assert 15 * MS < found["worst_ns"] < 200 * MS
    run.stop()
    check_marked(run)


def most_found(target, finding, marks):
    """Since one of the marks at least five polls are found, and half of those that were planted."""
    while target.out.next(0):
        pass
    starts = [p["start_ns"] for p in target.json_lines() if "ms" in p]
    count, last = finding["count"], finding["last_ns"]
    marks.append((count, last))
    return any(count >= c + 5 and 2 * (count - c) >= sum(ns < s <= last for s in starts)
               for c, ns in marks)


@pytest.mark.parametrize("workers,hot", [(2, HOT), (1, 0)])
def test_computing_of_a_hot_type(app, stream, workers, hot):
    """Neither a probe nor a thread that ever sleeps: samples teach where to look, and find it.

    The polls beside are the same type's and, where there is one task, the same task's: none of them
    is told of, how often it may be met.
    """
    # A busy machine may take a second for what computes 30 ms.
    target, run = watch(app, stream, "hot-burn", "--set", "stuck-poll.length=60s", gap=100, ms=30,
                        workers=workers, hot=hot)
    marks = []
    found = run.until(lambda o: o["type"] == "finding" and o["site"] == "planted::hot" and
                      o["rule"] == "cpu-bound-poll" and o["stack"] and
                      most_found(target, o, marks), 90)
    assert found["culprit"]["function"] in ("planted::hot", "planted::common::checksum",
                                            "planted::burn"), found
    assert found["syscall"] is None and found["lower_bound"], found
    seen = planted_in(target, run, found)
    assert found["tasks"] == [seen[0]["task"]] and found["count"] <= len(seen) + 1, (found, seen)
    assert 10 * MS <= found["worst_ns"] <= max(p["end_ns"] - p["start_ns"] for p in seen) + MS
    run.stop()
    check_marked(run)


def test_blocks_of_a_hot_type_without_ids(app, stream):
    """smol keeps no id of the task in hand: the stack of a block says of which type it is."""
    target = app("tasks", "smol", args=("hot",))
    run = stream("-p", target.pid, "--overhead", "2%", *harness.room("blocking-call"))
    run.attached()
    run.until(sampled_note, 20)
    # Moments with probes, some seconds apart, would meet one now and then.
    found = run.until(lambda o: o["type"] == "finding" and o["rule"] == "blocking-call" and
                      o["count"] >= 8, 20)
    assert found["site"] == "tasks::truth::hot" and found["syscall"] == "clock_nanosleep", found
    assert found["culprit"] and found["stack"], found
    assert 15 * MS < found["worst_ns"] < 400 * MS, found
    run.stop()
    assert {f["site"] for f in run.findings} == {"tasks::truth::hot"}, run.findings
    assert run.footer["sites_sampled"] >= 1, run.footer


def test_probes_come_for_moments(app, stream):
    """In between the code of the program is its own."""
    target, run = watch(app, stream, "sleep", gap=100_000)
    plan = plan_of(harness.run_stalltop("check", "--dry-run", "-p", target.pid).stdout)
    seen = {p.offset: [] for p in plan if p.program == "poll" and p.site == "planted::hot"}
    end = time.monotonic() + 40
    while all(states[-3:] != [False, True, False] for states in seen.values()):
        for offset, states in seen.items():
            probed = bool(changed_at(target.pid, target.path, [offset]))
            if not states or states[-1] != probed:
                states.append(probed)
        assert time.monotonic() < end, seen
        run.watch(0.005)
    run.stop()
    assert run.footer["windows"] >= 1, run.footer


def says(text):
    return lambda o: o["type"] == "note" and text in o["text"]


def test_all_comes_back(app, stream, stalltop, tmp_path):
    """Returns, level 3 to 1, and moments of the hottest type; when the load has fallen all again.

    While nobody looked at tasks some ended and others began: what is told of them is true, and no
    rule takes it for the growth of a moment.
    """
    file = tmp_path / "t.trace"
    target = app("tide")
    run = stream("-p", target.pid, "-o", file, "--level", "3", "--exact", "--overhead", "5%",
                 command="record")
    run.attached()
    target.send()
    run.until(says("not probed any more (--exact)"), 20)
    run.until(says("lowered from 3 to 2"), 20)
    run.until(says("lowered from 2 to 1"), 20)
    run.until(sampled_note, 20)
    target.send()
    low = target.wait_json(lambda o: "low_ns" in o, 20)
    for back in ("all the time again", "level is 2 again", "level is 3 again", "again (--exact)"):
        run.until(says(back), 60)
    run.stop()
    footer = run.footer
    assert (footer["level"], footer["level_asked"], footer["lowerings"]) == (3, 3, 3), footer
    assert footer["exact"], footer
    assert 0 < footer["lowered_ns"] < footer["duration_ns"] and not footer["sites_sampled"], footer
    assert footer["tasks_seen"] is None, "there were tasks that nobody saw"
    late = [f for f in run.findings if f["last_ns"] > low["low_ns"]]
    assert {f["rule"] for f in late} <= set(harness.SHORT_POLLS), late
    off = {r["rule"]: r["why"] for r in footer["rules"]["off"]}
    assert "busy-poll" not in off and "task-leak" not in off, off
    assert "lock-across-await" in off, "some task that has a lock may be one that nobody saw"
    sites = {o["site"].split(" | ")[0]: o for o in stalltop("report", file, "--json").of("site")}
    for name in ("sleeper", "waiter"):
        site = sites[f"tide::{name}"]
        assert (site["tasks_live"], site["tasks_seen"]) == (low[name + "s"], None), site
    assert sites["tide::drop_in_the_flood"]["sampled"]


def test_within_the_budget(app, stream):
    """Nothing is sampled where all probes cost less; nor without a budget."""
    target = app("planted", args=("sleep", "20", 1000, 250, 2, 0))
    run = stream("-p", target.pid, "--overhead", "20%")
    run.finding("blocking-call", 20)
    run.watch(2)
    run.stop()
    assert run.footer["sites_sampled"] == 0 and run.footer["windows"] == 0, run.footer
    assert run.footer["tasks_seen"] is not None and run.footer["budget_pct"] == 20


def test_level_is_lowered(app, stream):
    """Wakes are the first to go; the level that was asked for is not exceeded."""
    target = app("planted", args=("hot-sleep", "20", 1000, 250, 2, HOT))
    run = stream("-p", target.pid, "--level", "3", "--overhead", "2%")
    run.until(lambda o: o["type"] == "note" and "lowered from 3 to 2" in o["text"], 20)
    run.until(sampled_note, 20)
    run.stop()
    assert (run.footer["level"], run.footer["level_asked"]) == (2, 3), run.footer
    busy, = (r for r in run.footer["rules"]["off"] if r["rule"] == "busy-poll")
    assert "over the overhead budget" in busy["why"]


def test_killed_in_a_moment(app, root):
    """SIGKILL while probes come and go leaves none."""
    target = app("planted", args=("sleep", "20", 1000, 100_000, 2, HOT))
    for i in range(3):
        proc = subprocess.Popen([harness.BINARY, "top", "--json", "-p", str(target.pid)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        time.sleep(1.0 + 0.25 * i)  # in, out, and on the way
        proc.kill()
        proc.wait()
    until(lambda: harness.changed_text(target.pid) == [], 20, "no probe stays")
    assert target.alive()
