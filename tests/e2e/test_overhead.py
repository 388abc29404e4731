# SPDX-License-Identifier: LGPL-2.1-or-later
"""--overhead-check: what the probes cost, measured with and without them, in turns.

The figures of a shared machine prove little; what is certain here: probes come and go, a hot loop gets
done a fraction of its work with them, and what cannot be told is not told.
"""

import time

import harness
from helpers_attach import changed_at, plan_of

TURNS = 13  # in a round two, and one at most between two rounds: four are complete


def measures(check):
    return {m["measure"]: m for m in check["measures"]}


def unknown(measure):
    return all(measure[k] is None for k in ("ratio", "ratio_low", "ratio_high", "distinguishable"))


class Turns:
    """Whether the probes of a program are in, again and again."""

    def __init__(self, target):
        plan = plan_of(harness.run_stalltop("check", "--dry-run", "-p", target.pid).stdout)
        self.target, self.seen = target, []
        self.offsets = [p.offset for p in plan if p.program == "poll"]

    def look(self):
        probed = changed_at(self.target.pid, self.target.path, self.offsets)
        # All or none; while they come, or go, neither.
        state = True if len(probed) == len(self.offsets) else None if probed else False
        if state is not None and self.seen[-1:] != [state]:
            self.seen.append(state)
        return len(self.seen) >= TURNS


def test_a_hot_loop_and_an_idle_program(app, stream, stalltop, tmp_path):
    """With probes a hot loop gets done a ninth; a program that waits for a line does nothing anyway."""
    hot, idle = app("yieldloop", args=(100, 2)), app("churn", args=(10, 10, "wait"))
    file = tmp_path / "t.trace"
    idle.wait_asleep()
    both = [Turns(hot), Turns(idle)]
    run = stream("-p", f"{hot.pid},{idle.pid}", "-o", file, "--overhead-check", command="record")
    run.attached()
    end = time.monotonic() + 90
    while not all([one.look() for one in both]):
        assert time.monotonic() < end, [one.seen for one in both]
        run.watch(0.02)
    run.stop()
    checks = {c["pid"]: c for c in run.of("overhead_check") if c.pop("arrived_ns")}
    check_hot(checks[hot.pid])
    check_idle(checks[idle.pid])
    # What was counted is of moments, and says so.
    assert sum(n["text"].startswith("--overhead-check:") for n in run.of("note")) == 2
    footer = run.footer
    assert footer["tasks_seen"] is None and footer["sites_sampled"] >= 2, footer
    assert footer["hits"] == footer["emitted"] + footer["filtered"] + footer["lost"], footer
    report = stalltop("report", file, "--json")
    assert {c["pid"]: c for c in report.of("overhead_check")} == checks, report
    sites = {s["site"]: s for s in report.of("site")}
    assert sites["suite::yieldloop::spin"]["sampled"], sites


def check_hot(check):
    assert check["rounds"] >= 4 and check["given_up_because"] is None, check
    # A tick late at each end of each window, on a machine with other work.
    assert check["with_probes_ns"] >= check["rounds"] * 400_000_000, check
    assert check["without_probes_ns"] >= check["rounds"] * 400_000_000, check
    found = measures(check)
    takes, each = found["queue_takes"], found["cpu_per_take"]
    # Of the CPU time that it has, that is; how much others leave it differs from window to window.
    assert each["ratio_low"] > 1.5 and each["distinguishable"], each
    assert each["ratio_low"] <= each["ratio"] <= each["ratio_high"], each
    assert takes["with_probes"] < takes["without_probes"], takes
    assert found["cpu_time"]["with_probes"] > 0.02, found
    # Its tasks yield: each that is polled has left a queue, and few leave it otherwise.
    polls = check["polls"] / check["with_probes_ns"] * 1e9
    assert 0.5 < polls / takes["with_probes"] < 1.2, (check, takes)
    assert abs(check["cpu_per_poll_ns"] / each["with_probes"] - 1) < 0.9, (check, each)


def check_idle(check):
    """There is no cost, and no ratio of nothing."""
    assert check["rounds"] >= 4 and check["polls"] == 0 and check["cpu_per_poll_ns"] is None, check
    found = measures(check)
    assert all(unknown(m) and m["unknown_because"] for m in found.values()), found
    assert found["cpu_time"]["with_probes"] == 0, found


def test_too_short(app, stalltop):
    """The target ends in the middle of it, or the time does: no interval from so little."""
    target = app("yieldloop", args=(10, 1, 2))
    for args in (("-p", target.pid), ("-p", app("idle10k", args=(40, 400)).pid,
                                      "--duration", "700ms", "--level", "3")):
        run = stalltop("check", *args, "--overhead-check", "--json")
        assert run.rc in (0, 1), run
        check, = run.of("overhead_check")
        assert check["rounds"] < 4, check
        assert all(unknown(m) and m["unknown_because"] for m in check["measures"]), check
        assert "at least 4 are needed" in measures(check)["cpu_time"]["unknown_because"], check
    text = stalltop("check", *args, "--overhead-check").stdout
    assert "ratio n/a (" in text and "overhead check of process" in text, text
    assert not harness.changed_text(args[1]), "probes are left"


def test_probe_points(app, stalltop):
    """They are all in or all out: that cannot be measured so, and nothing else suffers."""
    target = app("csched", path=harness.ROOT / ".output/csched/csched", args=("blocking",))
    run = stalltop("check", "-p", target.pid, "--overhead-check", "--duration", "600ms", "--json")
    check, = run.of("overhead_check")
    assert "probe points" in check["given_up_because"] and check["rounds"] == 0, check
    assert run.footer["sites_sampled"] == 0 and run.footer["polls"] > 0, run.footer
