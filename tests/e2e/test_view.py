# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view of a real program: what the scripted events of tests/screen cannot show."""

import os
import pathlib
import re
import signal
import sys
import time

import pytest

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "screen"))

from terminal import Terminal, shell  # noqa: E402


@pytest.fixture
def view(root):
    """view("-p", pid, cols=120, ...): the live view once it has drawn."""
    opened = []

    def run(*args, ready="stalltop", **terminal):
        t = Terminal([harness.BINARY, *harness.unbudgeted(args)], **terminal)
        opened.append(t)
        t.wait_text(ready, deadline=30)
        return t

    yield run
    for t in opened:
        t.close()


def count_of(text):
    """How often the blocking call was seen; None without a finding."""
    found = re.search(r"blocking-call .* (\d+)$", text, re.M)
    return int(found[1]) if found else None


def test_threshold_is_live(app, view):
    """Polls of 15 ms: over the threshold at the start, under it after a key, over it again.

    They take 3 % of a worker's time, less than what the rule says of short blocks.
    """
    target = app("planted", args=("sleep", 15, 400, 500))
    t = view("-p", target.pid, cols=80, rows=60)
    t.wait(lambda text: count_of(text) and count_of(text) > 2, "a few blocking calls", 20)
    t.keys("+")
    t.wait_text("threshold 20.0 ms:")
    t.wait(lambda text: "closed" in text, "the finding closes: nothing is over 20 ms", 20)
    t.keys("6")
    t.wait(lambda text: re.search(r"polls of 20\.0 ms or more are reported, not 10\.0 ms", text),
           "the source has the new threshold")
    t.keys("1", "-", "-")
    t.wait_text("threshold 5.00 ms")
    t.wait(lambda text: count_of(text) and "closed" not in text, "it is found again", 20)


def test_end_of_the_target(app, view):
    """The report comes over the view by itself, and after quitting on the normal screen."""
    target = app("planted", args=("sleep", 300, 400, 300))
    t = view("-p", target.pid, cols=120, rows=40)
    assert b"attaching: " in t.raw.split(b"\x1b[?1049h")[0]
    t.wait(lambda text: count_of_wide(text), "a finding", 20)
    target.kill()
    t.wait_text("ENDED  killed by signal 9", 10)
    t.wait_text("=== report ===")
    t.wait_text("CRITICAL blocking-call: ")
    t.keys("esc", "3")
    t.wait_text("planted::planted_sleep")
    t.wait_no_text("=== report ===")
    # The clock stops with the program, and what its workers did can still be looked at.
    wait_still(t)
    assert "open at its end" in t.text()
    t.keys("5")
    t.wait(lambda text: re.search(r"^[> ] +\d+ tokio-rt-worker .*B", text, re.M), "its last minute")
    at = len(t.raw)
    t.keys("q")
    assert t.wait_exit() == 0
    after = t.raw[at:].split(b"\x1b[?1049l")[-1]
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", after)
    assert b"=== report ===" in plain and b"CRITICAL blocking-call" in plain
    assert t.settings() == t.before


def wait_still(t):
    """Until the time in the title has not changed for a second."""
    end = time.monotonic() + 15
    shown, since = None, 0
    while shown != t.lines()[0].split()[-2:] or time.monotonic() - since < 1:
        if shown != t.lines()[0].split()[-2:]:
            shown, since = t.lines()[0].split()[-2:], time.monotonic()
        assert time.monotonic() < end, "the clock goes on:\n" + t.text()
        t.pump(0.1)


def count_of_wide(text):
    return re.search(r"critical +blocking-call", text)


def test_stop_and_continue(app, view):
    """Ctrl-Z gives the terminal back; continued, it takes it again and draws; then a key ends it."""
    target = app("planted", args=("sleep", 20, 400, 500))
    t = view("-p", target.pid, session=shell)
    t.keys("\x1a")
    t.wait_text("JOB STOPPED")
    assert t.settings() == t.before
    mark = len(t.raw)
    t.keys("\n")
    t.wait(lambda _: b"\x1b[?1049h" in t.raw[mark:], "the screen is taken again")
    t.settle()
    t.keys("2")
    t.wait_text("POLLS NOW")
    t.keys("q")
    assert t.wait_exit() == 0
    assert t.settings() == t.before


@pytest.mark.parametrize("ignored", [False, True])
def test_lost_terminal(app, view, ignored):
    """The other end goes away: it ends, also when it ignores SIGHUP, and no probe is left."""
    target = app("planted", args=("sleep", 20, 400, 500))
    t = view("-p", target.pid, session=ignoring_hangup if ignored else None)
    os.close(t.master)
    t.master = os.open("/dev/null", os.O_RDONLY)
    code = t.wait_exit(20)
    # The hangup is seen as a signal or as the end of the input, whichever the loop looks at first.
    assert code == 0 or (not ignored and code == 128 + signal.SIGHUP)
    assert target.alive()
    assert not harness.changed_text(target.pid)


def ignoring_hangup(argv, env):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.execve(argv[0], argv, env)
