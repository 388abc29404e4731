# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each rule finds its fault, and nothing else; the healthy twin of the program yields nothing.

A faulty program is watched until its finding is there, then a little longer, for any other rule
to show. The rule under test always runs as shipped; only leaked-join-handle, which waits for 30 s
by design, gets a shorter age.
"""

import re

import pytest

from harness import Pressure, room

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

CURRENT = [("current", p) for p in ("release", "release-stripped", "lto-abort", "debug")]
OLDER = [(v, "release") for v in ("1.47", "1.43", "1.38", "1.32")]
BUILDS = pytest.mark.parametrize("version,profile", CURRENT + OLDER)
RULES = pytest.mark.parametrize("rule", FAULTS)


def options(rule):
    settings = FAULTS[rule].get("options", ())
    return [word for s in settings for word in ("--set", s)] + room(rule)


def check_site(finding, program, profile, want):
    """The task type is named after the async fn at fault; without symbols, by its address."""
    site = finding["site"]
    if want.get("no_site"):
        assert site is None and finding["tasks"] == []
        if profile != "release-stripped":
            assert want["function"] in finding["message"]
        return
    if profile == "release-stripped":
        assert re.fullmatch(rf"task type #\d+ \(\d+ B\) @ {program}\+0x[0-9a-f]+", site), site
    else:
        assert site == f"{program}::{want['function']}"


def check_finding(finding, program, profile, want):
    check_site(finding, program, profile, want)
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
    check_finding(mine[0], program, profile, want)
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
