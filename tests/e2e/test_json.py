# SPDX-License-Identifier: LGPL-2.1-or-later
"""The JSON contract: every line is valid, header first, footer last; hostile names stay harmless."""

import json
import re
import shutil
import subprocess

import pytest

from harness import ROOT, check_stream

SCHEMA = ROOT / "docs/stalltop.schema.json"
# What a program may be called: a terminal would take the first for a new window title.
HOSTILE = (b"\x1b]0;x\x07app", b"a\nb\rc\x7f\x9b31m", b"bad\xff\xfeutf\xe2\x80\xae8")
# All control characters but the end of a line and the tabs of `rules show`.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def validate():
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    with open(SCHEMA) as file:
        checker = jsonschema.Draft7Validator(json.load(file))

    def check(objects):
        for obj in objects:
            obj = {k: v for k, v in obj.items() if k != "arrived_ns"}
            errors = [e.message for e in checker.iter_errors(obj)]
            assert errors == [], (obj, errors)

    return check


def test_check(app, stalltop, validate):
    target = app("blocking_call")
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "2500ms")
    assert run.rc == 1, "a critical finding"
    validate(run.lines)
    check_stream(run.lines)
    assert run.header["command"] == "check"
    found = run.findings
    assert [f["rule"] for f in found] == ["blocking-call"]
    assert len(run.of("finding")) == 1, "check writes each finding once"
    begin, end = run.header["begin_ns"], run.header["begin_ns"] + run.footer["duration_ns"]
    assert found[0]["first_ns"] <= found[0]["last_ns"] <= end
    assert begin <= found[0]["first_ns"] or found[0]["lower_bound"], "it began before the watch"
    assert run.footer["findings"] == {"info": 0, "warning": 0, "critical": 1}


def test_fail_on(app, stalltop):
    """The exit code is that of the severity asked for."""
    target = app("leaked_join_handle")
    settings = ("--set", "leaked-join-handle.age=1s", "--set", "leaked-join-handle.count=50",
                "--set", "leaked-join-handle.window=1s")
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "4s", *settings)
    assert run.of_rule("leaked-join-handle")[0]["severity"] == "warning"
    assert run.rc == 0
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "4s", "--fail-on", "warning",
                   *settings)
    assert run.rc == 1


def test_top(app, stream, validate):
    target = app("shop")
    run = stream("-p", target.pid)
    run.until(lambda o: o["type"] == "finding", 20)
    run.watch(3)
    run.stop()
    validate(run.lines)
    assert run.header["command"] == "top"
    # One line that does not end, then at most one a second and finding, or a new severity.
    by_key = {}
    for f in run.of("finding"):
        by_key.setdefault((f["rule"], f["site_id"], f["first_ns"]), []).append(f)
    for lines in by_key.values():
        for a, b in zip(lines, lines[1:]):
            assert b["count"] >= a["count"] and b["last_ns"] >= a["last_ns"]
            if b["severity"] == a["severity"] and b["open"] == a["open"] and b is not lines[-1]:
                assert b["arrived_ns"] - a["arrived_ns"] > 500e6


def test_top_final_state(app, stream):
    """The last line of a finding is its final state: what it says is in the footer's numbers."""
    target = app("stuck_poll", args=(0, 2000))
    run = stream("-p", target.pid)
    run.finding("stuck-poll", 20)
    run.watch(1.2)
    run.stop()
    still_open = [f["rule"] for f in run.findings if f["open"]]
    assert still_open == ["stuck-poll"], "a computing poll became a stuck one: only that is open"


def test_dump(app, stalltop, validate):
    target = app("blocking_call")
    run = stalltop("dump", "-p", target.pid, "--json")
    assert run.rc == 0
    validate(run.lines)
    assert run.header["command"] == "dump"
    kinds = {o["type"] for o in run.lines}
    assert {"runtime", "worker", "site", "task"} <= kinds
    assert len(run.of("worker")) == 2
    # The accept loop, four clients, four echoes, ticker, consumer, and the fault.
    assert run.of("runtime")[0]["tasks_alive"] == 12
    assert len(run.of("task")) <= 12


def test_list(app, stalltop):
    target = app("planted", args=("sleep", 1, 1, 60000))
    run = stalltop("list", "--json")
    assert run.rc == 0
    mine = [o for o in run.lines if o["pid"] == target.pid]
    assert len(mine) == 1
    assert (mine[0]["type"], mine[0]["runtime"]) == ("process", "tokio")
    assert re.fullmatch(r"1\.\d+\.\d+", mine[0]["version"])
    assert mine[0]["task_types"] > 5
    assert mine[0]["binary"] == target.path


def test_doctor(app, stalltop):
    run = stalltop("doctor", "--json")
    assert run.rc == 0, run
    names = [o["name"] for o in run.lines]
    assert all(o["type"] == "check" for o in run.lines) and len(set(names)) == len(names)
    assert all(o["ok"] is True for o in run.lines if o["name"] != "USDT"), run.lines
    target = app("blocking_call")
    run = stalltop("doctor", "-p", target.pid, "--json")
    assert run.rc == 0, run
    assert any("tokio" in o["text"].lower() for o in run.lines)


def test_command_output_apart(root, stalltop, path_of):
    """What the watched command prints does not fall into the JSON, and is not swallowed."""
    run = stalltop("check", "--json", "--duration", "700ms", "--", path_of("churn"), 10, 2)
    check_stream(run.lines)
    assert "ready pid=" in run.stderr


@pytest.mark.parametrize("name", HOSTILE, ids=["escape", "control", "not-utf8"])
def test_hostile_name(app, stalltop, path_of, validate, tmp_path, name):
    """The kernel takes a process's name from the file's; both come to the screen cleaned."""
    path = bytes(tmp_path) + b"/" + name
    shutil.copy(path_of("blocking_call"), path)
    target = app("", path=path.decode("utf-8", "surrogateescape"))
    commands = [("check", "--duration", "1s"), ("dump", "--duration", "300ms"), ("list",),
                ("doctor",)]
    for command, *options in commands:
        where = () if command == "list" else ("-p", target.pid)
        run = stalltop(command, *where, *options, "--color", "never")
        assert run.rc in (0, 1), run
        assert str(target.pid) in run.stdout
        for text in (run.stdout, run.stderr):
            bad = CONTROL.search(text.replace("\n", "").replace("\t", ""))
            assert bad is None, (command, bad, text)
            text.encode()  # no byte that is not UTF-8
    run = stalltop("check", "-p", target.pid, "--duration", "1s", "--json")
    validate(run.lines)
    assert CONTROL.search(run.stdout.replace("\n", "")) is None
    assert run.header["targets"][0]["exe"].count("\\x") >= 1
    # An error message carries names too.
    run = stalltop("check", "-n", name.decode("utf-8", "surrogateescape")[:3] + "-absent")
    assert run.rc == 4
    assert CONTROL.search(run.stderr.replace("\n", "")) is None


def test_reader_that_leaves(app):
    """`| head -1`: no message, no endless run."""
    import harness
    target = app("blocking_call")
    words = ["top", "-p", target.pid, "--json"]
    proc = subprocess.Popen([harness.BINARY, *harness.unbudgeted(words)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert json.loads(proc.stdout.readline())["type"] == "header"
        proc.stdout.close()
        assert proc.wait(20) in (0, 141)
        assert proc.stderr.read() == b""
    finally:
        proc.kill()
        proc.wait()
