# SPDX-License-Identifier: LGPL-2.1-or-later
"""diff of the recorded traces; what counts as a change is tests/unit/test_diff.c."""

import itertools
import json
import os
import subprocess

import pytest

from test_golden import BINARY, CASES, HERE, ROOT

SWAPPED = {"same": "same", "better": "worse", "worse": "better", "gone": "appeared", "appeared": "gone"}


def diff(a, b, *more):
    return subprocess.run([BINARY, "diff", f"{a}/t.trace", f"{b}/t.trace", *more], cwd=HERE, text=True,
                          capture_output=True, timeout=60, env={**os.environ, "NO_COLOR": "1"})


def rows(a, b, *more):
    run = diff(a, b, "--json", *more)
    assert run.stderr == ""
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()]


def key(row):
    return tuple(row.get(k) or "" for k in ("type", "rule", "process", "site", "scheduler", "metric"))


@pytest.mark.parametrize("a,b", itertools.product(CASES, CASES))
def test_pairs(a, b):
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    checker = jsonschema.Draft7Validator(json.loads((ROOT / "docs/stalltop.schema.json").read_text()))
    code, lines = rows(a, b, "--fail-on", "warning")
    for line in lines:
        assert [e.message for e in checker.iter_errors(line)] == [], line
    body, footer = lines[1:-1], lines[-1]
    changes = [r for r in body if r["type"] != "diff_site"]
    failing = [r for r in changes if r["certain"] and r["change"] in ("worse", "appeared")
               and r["severity"] != "info"]
    assert footer["failing"] == len(failing) and footer["comparisons"] == len(changes)
    assert code == (1 if failing else 0)
    if a == b:
        assert changes and all(r["change"] == "same" for r in changes) and code == 0
    # The other way round, what was worse is better.
    back = {key(r): r for r in rows(b, a)[1][1:-1]}
    for r in changes:
        assert back[key(r)]["change"] == SWAPPED[r["change"]]
        assert (back[key(r)]["a"], back[key(r)]["b"]) == (r["b"], r["a"])
    assert len(back) == len(body)


def test_says_what_replay_says():
    """A finding's figures are those of the trace it comes from."""
    _, lines = rows("wakes-and-polls", "every-poll-of-blocking")
    run = subprocess.run([BINARY, "replay", "every-poll-of-blocking/t.trace", "--json"], cwd=HERE,
                         capture_output=True, timeout=60)
    want = [json.loads(l) for l in run.stdout.splitlines() if b'"type":"finding"' in l][-1]
    got = next(r for r in lines if r.get("rule") == "blocking-call")
    assert got["change"] == "appeared" and got["certain"] and got["a"] is None
    assert {k: got["b"][k] for k in ("severity", "count", "worst_ns", "total_ns", "message")} == \
        {k: want[k] for k in ("severity", "count", "worst_ns", "total_ns", "message")}


def test_text_and_exit():
    run = diff("wakes-and-polls", "every-poll-of-blocking")
    assert run.returncode == 1 and "WORSE        critical blocking-call appeared: " in run.stdout
    assert "B is worse than A: 1 change of severity critical or above" in run.stdout
    run = diff("every-poll-of-blocking", "wakes-and-polls")
    assert run.returncode == 0 and "better       critical blocking-call gone" in run.stdout
    run = diff("damaged", "blocking")
    assert "note: A lost " in run.stdout
    # Judged anew: nothing is critical any more.
    run = diff("wakes-and-polls", "every-poll-of-blocking", "--threshold", "20s")
    assert run.returncode == 0 and "blocking-call" not in run.stdout
    run = diff("blocking", "nothing")
    assert run.returncode == 2 and "No such file" in run.stderr
