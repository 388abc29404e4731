# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view over a golden trace: its keys, on a machine without the program or privileges."""

import os
import pathlib
import re

import pytest

from terminal import Terminal

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("STALLTOP_BIN") or os.environ.get("STALLTOP") or \
    str(ROOT / ".output/stalltop")
TITLE = re.compile(r"(REPLAY|PAUSED|END|SEARCHING) ([\d.]+) (m?s|ns) of ([\d.]+) s( x\S+)?")


@pytest.fixture
def replay():
    opened = []

    def start(case="blocking"):
        t = Terminal([BINARY, "replay", str(ROOT / "tests/golden" / case / "t.trace")], cols=120,
                     rows=44)
        opened.append(t)
        t.wait_text("REPLAY")
        return t

    yield start
    for t in opened:
        t.close()


def title(t):
    """(state, milliseconds shown, speed)"""
    found = TITLE.search(t.lines()[0])
    assert found, t.text()
    scale = {"s": 1000, "ms": 1, "ns": 1e-6}[found[3]]
    return found[1], float(found[2]) * scale, (found[5] or " x1").strip()


def when(t, state, test=lambda ms: True):
    t.wait(lambda text: TITLE.search(t.lines()[0]) and title(t)[0] == state and test(title(t)[1]),
           f"{state} in the title")
    return title(t)[1]


def test_stop_step_and_jump(replay):
    t = replay()
    t.keys(" ")
    when(t, "PAUSED")
    t.keys("g", "1", ".", "5", "enter")
    at = when(t, "PAUSED", lambda ms: 1200 < ms <= 1500)
    t.wait_text("CRITICAL")
    t.keys("]")
    on = when(t, "PAUSED", lambda ms: ms > at)
    assert on - at < 300
    t.keys("[")
    when(t, "PAUSED", lambda ms: ms < on)
    t.keys("}")
    when(t, "PAUSED", lambda ms: ms > on)
    # Back to before anything was found, then on to where it was.
    t.keys("{", "{")
    when(t, "PAUSED", lambda ms: ms < 10)
    t.wait_no_text("CRITICAL")
    t.keys("n")
    when(t, "PAUSED", lambda ms: 0 < ms < 1000)
    t.wait_text("a finding opened")
    t.wait_text(" blocking-call ")
    t.keys("n")
    when(t, "END")
    t.wait_text("no further finding opens")


def test_speed_and_end(replay):
    t = replay()
    t.keys(")", ")", ")")
    t.wait(lambda text: title(t)[2] == "x8", "x8")
    when(t, "END")
    t.keys("(")
    t.wait(lambda text: title(t)[2] == "x4", "x4")
    t.keys("2")
    t.wait_text("tokio-rt-worker")
    t.keys("w")
    t.wait_no_text("wrote")
    t.keys("g", "x", "enter")
    t.wait_text('"x" is no time')
    t.keys("?")
    t.wait_text("stalltop: what stalls")
    t.keys("q")
    assert t.wait_exit() == 0
    assert "blocking_call::fetch_from_slow_disk" in t.raw.decode("utf-8", "replace")


def test_damage_is_said(replay):
    t = replay("damaged")
    when(t, "END")
    t.keys("6")
    t.wait_text("57 events cannot be read")
