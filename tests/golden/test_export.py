# SPDX-License-Identifier: LGPL-2.1-or-later
"""export: each format read by an independent reader, its sums equal to those of replay."""

import collections
import json
import os
import subprocess

import pytest

import readers
from test_golden import BINARY, CASES, HERE

FORMATS = ("perfetto", "folded", "speedscope", "ndjson")
QUEUES = {"inject": "shared queue", "local": "local queues", "alive": "tasks alive",
          "blocking_queue": "blocking queue", "blocking_threads": "blocking threads",
          "blocking_idle": "idle blocking threads"}


def stalltop(*words, cwd=HERE, **more):
    return subprocess.run([BINARY, *map(str, words)], cwd=cwd, capture_output=True, timeout=60, **more)


def export(case, to, *more):
    run = stalltop("export", f"{case}/t.trace", "--to", to, *more)
    assert run.returncode == 0, run
    return run.stdout


@pytest.fixture(scope="module", params=CASES)
def all_of(request):
    """What each reader, and replay, say of a trace."""
    case = request.param
    replay = stalltop("replay", f"{case}/t.trace", "--json")
    said = [json.loads(line) for line in replay.stdout.splitlines()]
    findings = {(f["pid"], f["rule"], f["site"], f["first_ns"]): f for f in said if f["type"] == "finding"}
    return {  # Of a finding the last line counts; count 0 withdraws it (docs/json-schema.md).
        "case": case,
        "events": [json.loads(line) for line in export(case, "ndjson").splitlines()],
        "perfetto": readers.Perfetto(export(case, "perfetto")),
        "blocked": readers.folded(export(case, "folded").decode()),
        "computing": readers.folded(export(case, "folded", "--stacks", "computing").decode()),
        "speedscope": readers.speedscope(export(case, "speedscope")),
        "findings": {key: f for key, f in findings.items() if f["count"]},
        "footer": said[-1],
    }


def of(events, kind):
    return [e for e in events if e["type"] == kind]


def polls_of(events):
    """(tid, start) -> length, of those told singly and in batches."""
    polls = {(p["tid"], p["start_ns"]): p["length_ns"] for p in of(events, "poll")}
    for batch in of(events, "polls"):
        assert batch["count"] == len(batch["list"])
        polls |= {(p["tid"], p["start_ns"]): p["length_ns"] for p in batch["list"]}
    return polls


def blocks_of(events):
    """Nanoseconds of all blocks with a stack: one that was told while open counts as known last."""
    total, last = 0, {}
    for s in of(events, "stack"):
        if s["kind"] != "off_cpu" or s["now_only"]:
            continue
        old = last.get(s["tid"])
        again = old and old["open"] and old["poll_start_ns"] == s["poll_start_ns"] and \
            old["begin_ns"] == s["begin_ns"] and (s["begin_ns"] or old["span_ns"] <= s["span_ns"])
        total += s["span_ns"] - (old["span_ns"] if again else 0)
        last[s["tid"]] = s
    return total


def test_polls(all_of):
    p, events = all_of["perfetto"], all_of["events"]
    polls = polls_of(events)
    shown = p.of("poll")
    assert len(shown) == len(polls) and \
        {(p.tid(s), s["start"]): s["length"] for s in shown} == polls
    if of(events, "polls"):
        assert len(polls) == all_of["footer"]["polls"] > 500
    # Those of the tasks are the same polls once more.
    ids = {(t["tid"], t["start_ns"]): t["task_id"] for b in of(events, "polls") for t in b["list"]}
    ids |= {(t["tid"], t["start_ns"]): t["task_id"] for t in of(events, "poll")}
    by_task = collections.Counter()
    for key, length in polls.items():
        by_task[ids[key]] += length
    by_task.pop(None, 0)
    got = collections.Counter()
    for s in p.of("task"):
        got[int(p.tracks[s["track"]]["name"].split()[1])] += s["length"]
    assert got == by_task


def test_long_polls_are_told_in_full(all_of):
    p = all_of["perfetto"]
    shown = {(p.tid(s), s["start"]): s["args"] for s in p.of("poll")}
    for poll in of(all_of["events"], "poll"):
        args = shown[poll["tid"], poll["start_ns"]]
        assert args["blocked_ns"] == poll["blocked_ns"] and args["preempted_ns"] == poll["preempted_ns"]


def by_name(rows):
    """Speedscope's stacks are told apart by lines, too."""
    sums = collections.Counter()
    for frames, weight in rows:
        sums[frames] += weight
    return sums


def test_blocks(all_of):
    p, events = all_of["perfetto"], all_of["events"]
    total = blocks_of(events)
    assert sum(w for _, w in all_of["blocked"]) == total
    assert by_name(all_of["speedscope"].get("blocked", [])) == dict(all_of["blocked"])
    marks = p.of("block") + p.instants_of("block")
    assert sum(b["args"]["span_ns"] for b in marks) == total
    known = set(polls_of(events)) | {(o["tid"], o["start_ns"]) for o in of(events, "poll_open")}
    poll_of = {(s["tid"], s["begin_ns"]): (s["tid"], s["poll_start_ns"]) for s in of(events, "stack")}
    for block in p.of("block"):
        assert block["length"] == block["args"]["span_ns"] and block["args"]["stack"]
        key, poll = poll_of[p.tid(block), block["start"]], block["parent"]
        # In its poll, if the trace has it.
        assert (poll is not None) == (key in known)
        if poll:
            assert poll["category"] == "poll" and (p.tid(poll), poll["start"]) == key
            assert "length" not in poll or \
                block["start"] + block["length"] <= poll["start"] + poll["length"]
    # A program that only blocks, in few long calls, so that each has a stack.
    if all_of["case"] == "every-poll-of-blocking":
        assert p.of("block")
        finding = next(f for f in all_of["findings"].values() if f["rule"] == "blocking-call")
        assert total == sum(x["blocked_ns"] for x in of(events, "poll")) == finding["total_ns"]
        assert any("fetch_from_slow_disk" in f for f in all_of["blocked"][0][0])


def test_samples(all_of):
    samples = [s for s in of(all_of["events"], "stack") if s["kind"] == "on_cpu" and not s["now_only"]]
    assert sum(w for _, w in all_of["computing"]) == len(samples)
    assert len(all_of["perfetto"].instants_of("sample")) == len(samples)


def test_queues(all_of):
    p, want = all_of["perfetto"], collections.Counter()
    for q in of(all_of["events"], "queues"):
        for key, name in QUEUES.items():
            if q[key] is not None:
                want[f"tokio {q['runtime']}: {name}", q["time_ns"], q[key]] += 1
    got = collections.Counter((p.tracks[t]["name"], time, value) for t, time, value in p.counters
                              if "seen waiting" not in p.tracks[t]["name"])
    assert got == want and want


def test_findings(all_of):
    p = all_of["perfetto"]
    got = sorted((f["name"], f["start"], f["args"]["count"], f["args"]["total_ns"], f["args"]["worst_ns"])
                 for f in p.instants_of("finding"))
    assert got == sorted((f"{f['severity']} {f['rule']}", f["first_ns"], f["count"], f["total_ns"] or 0,
                          f["worst_ns"] or 0) for f in all_of["findings"].values()) and got


def test_losses_and_notes(all_of):
    want = len(of(all_of["events"], "note")) + len(of(all_of["events"], "lost"))
    assert len(all_of["perfetto"].instants_of("note")) == want


def test_waits_flow_to_polls(all_of):
    p = all_of["perfetto"]
    ready = {(r["target"], r["task_id"]) for r in of(all_of["events"], "ready") if r["task_id"]}
    assert len({f[0]["track"] for f in p.flows.values()}) == len(ready)
    ended = [f for f in p.flows.values() if f[1]]
    for begin, end in ended:
        assert begin["track"] == end["track"] and end["category"] == "task"
        assert begin["start"] <= end["start"]
        # It is the next poll of the task.
        assert not [s for s in p.of("task") if s["track"] == end["track"] and
                    begin["start"] <= s["start"] < end["start"]]
    if ready and of(all_of["events"], "polls"):
        assert len(ended) > len(p.flows) / 2


def test_there_is_something():
    """Each thing above occurs in one of the traces, or it would pass for nothing."""
    p = [readers.Perfetto(export(c, "perfetto")) for c in CASES]
    assert any(x.of("block") for x in p) and any(x.instants_of("block") for x in p)
    assert any(f[1] for x in p for f in x.flows.values())
    assert any(x.instants_of("note") for x in p) and any(x.of("task") for x in p)


@pytest.mark.parametrize("to", FORMATS)
def test_files(tmp_path, to):
    """A file and standard output hold the same; what cannot be written is said."""
    out = tmp_path / "out"
    out.write_text("something longer that was there before" * 1000)
    run = stalltop("export", "blocking/t.trace", "--to", to, "-o", out)
    assert run.returncode == 0 and run.stderr == b""
    assert out.read_bytes() == export("blocking", to, "-o", "-") == export("blocking", to)
    full = stalltop("export", "blocking/t.trace", "--to", to, "-o", "/dev/full")
    assert full.returncode == 7 and b"No space left on device" in full.stderr
    absent = stalltop("export", "blocking/t.trace", "--to", to, "-o", tmp_path / "no" / "out")
    assert absent.returncode == 7 and b"No such file" in absent.stderr
    gone = subprocess.run(f"'{BINARY}' export blocking/t.trace --to {to} | head -c 1 > /dev/null; "
                          "exit ${PIPESTATUS[0]}", shell=True, executable="/bin/bash", cwd=HERE, timeout=60)
    assert gone.returncode == 0


def test_never_over_the_trace(tmp_path):
    trace = tmp_path / "t.trace"
    trace.write_bytes((HERE / "blocking/t.trace").read_bytes())
    (tmp_path / "link").symlink_to(trace)
    run = stalltop("export", trace, "--to", "ndjson", "-o", tmp_path / "link")
    assert run.returncode == 2 and b"is the trace itself" in run.stderr
    assert trace.read_bytes() == (HERE / "blocking/t.trace").read_bytes()


def test_no_stacks_is_said():
    run = stalltop("export", "wakes-and-polls/t.trace", "--to", "folded")
    assert run.returncode == 0 and run.stdout == b"" and b"no stack of a block" in run.stderr


def test_rules_judge_anew():
    p = readers.Perfetto(export("blocking", "perfetto", "--set", "blocking-call.warning=10s",
                                "--set", "blocking-call.critical=20s"))
    assert [f for f in p.instants_of("finding") if "blocking-call" in f["name"]] == []
