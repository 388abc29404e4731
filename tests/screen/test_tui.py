# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view in a terminal emulator, over scripted events with a fixed clock."""

import os
import random
import re
import signal
import subprocess

import pytest

from terminal import KEYS

SIZES = [(80, 24), (120, 40), (200, 50)]
VIEWS = {
    "findings": ["1"],
    "finding": ["1", "enter"],
    "workers": ["2"],
    "sites": ["3"],
    "site": ["3", "enter"],
    "tasks": ["4"],
    "timeline": ["5"],
    "self": ["6"],
    "help": ["2", "?"],
}
COLOR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])(?:;\d+)*m")


def press(t, *keys):
    for key in keys:
        t.keys(key)
        t.settle()


@pytest.mark.parametrize("cols,rows", SIZES)
def test_views(start, golden, cols, rows):
    t = start("--ticks", "130", cols=cols, rows=rows)
    for name, keys in VIEWS.items():
        press(t, *keys)
        golden(t, f"{name}-{cols}x{rows}")
        if name in ("finding", "site", "help"):
            press(t, "esc")


def test_stack(start, golden):
    t = start("--script", "stack", "--ticks", "130", cols=120, rows=40)
    press(t, "1", "enter")
    golden(t, "stack-120x40")
    press(t, "f")
    golden(t, "stack-full-120x40")
    press(t, "f")
    golden(t, "stack-120x40", update=False)


def test_empty(start, golden):
    golden(start("--script", "empty", "--ticks", "30"), "empty-80x24")


def test_ended(start, golden):
    t = start("--ticks", "130")
    t.command("end")
    t.wait_text("ENDED  exited with status 0")
    press(t, "2")
    golden(t, "ended-80x24")
    press(t, "q")
    assert t.wait_exit() == 0


def test_hostile_names(start, golden):
    t = start("--script", "hostile", "--ticks", "130", cols=120, rows=24)
    for view in ["2", "4", "5", "6", "1", "enter", "esc", "3"]:
        press(t, view)
    golden(t, "hostile-120x24")
    for bad in [b"\x1b]0;", b"\x07", "\u202e".encode(), b"\xff", b"\xc2\x9b", b"\x1b[31mred"]:
        assert bad not in t.raw, bad
    assert "\u0301\u0302\u0303" not in t.raw.decode("utf-8", "replace")


def test_ascii(start, golden):
    t = start("--ticks", "130", cols=120, rows=24, env={"LC_ALL": "C"})
    press(t, "2")
    golden(t, "workers-ascii-120x24")
    press(t, "1", "3", "5", "?")
    assert all(byte < 0x80 for byte in t.raw)


def test_many(start, golden):
    t = start("--script", "many", "--ticks", "60", cols=120, rows=40)
    press(t, "4", "end", "up", "up")
    t.wait_text("20.0k")
    press(t, "/", "t", "a", "s", "k", "_", "3", "1", "9")
    t.wait_text("task_319")
    press(t, "enter")
    golden(t, "many-filtered-120x40")


def test_stall_is_live(start):
    t = start("--ticks", "118")
    t.wait_no_text("1.20 s ")
    t.tick(5)
    t.wait(lambda text: re.search(r"blocking-call .* 500 ms ", text), "500 ms so far")
    t.tick(7)
    t.wait(lambda text: re.search(r"blocking-call .* 1\.20 s ", text), "1.20 s so far")
    t.tick(10)
    t.wait(lambda text: re.search(r"blocking-call .* open ", text), "no poll, finding open")


def test_pause_stops_the_display_only(start):
    t = start("--ticks", "130")
    press(t, " ")
    t.wait_text("PAUSED at 13.0 s")
    before = t.text()
    t.tick(20)
    assert t.text() == before
    press(t, "2")  # another view shows the same moment
    t.wait_text("PAUSED at 13.0 s")
    t.wait(lambda text: re.search(r"4300 BLOCKED +1\.20 s", text))
    press(t, "enter")
    t.wait_text("BLOCKED for 1.20 s")
    press(t, "Z")
    t.wait_text("15.0 s")
    t.wait_no_text("PAUSED")


def test_filter(start):
    t = start("--ticks", "130")
    press(t, "3", "/", "c", "a", "t")
    t.wait_no_text("shop::metrics")
    t.wait_text("filter: cat_")
    press(t, "bs", "bs", "bs", "q", "q")
    t.wait_text('matches the filter "qq"')
    press(t, "esc")
    t.wait_text("shop::metrics")
    press(t, "/", "m", "e", "t", "enter")
    t.wait_text("filter: met ")
    t.wait_no_text("shop::catalog")
    press(t, "esc")
    t.wait_text("shop::catalog")
    press(t, "/", "漢", "enter")
    t.wait_text("No row of 5 matches")


def test_sort(start):
    t = start("--ticks", "130")
    press(t, "3")
    t.wait_text("BUSY▼")
    press(t, "I")
    t.wait_text("BUSY▲")
    press(t, "<")
    t.wait_text("MAX▼")
    press(t, "f6")
    t.wait_text("BUSY▼")
    press(t, ">")
    t.wait_text("sort: as found")
    press(t, ">")
    t.wait_text("SITE▲")


def test_cursor_follows_its_row(start):
    t = start("--ticks", "130")
    press(t, "3", "down", "down")
    line = next(line for line in t.lines() if line.startswith("> "))
    name = line.split()[1]
    press(t, "I")
    line = next(line for line in t.lines() if line.startswith("> "))
    assert line.split()[1] == name


def test_messages(start):
    t = start("--ticks", "130")
    press(t, "w")
    t.wait_text("no trace is kept")
    press(t, "+")
    t.wait_text("--threshold")
    press(t, "x")
    t.wait_text("no meaning")
    press(t, "down")
    t.wait_no_text("no meaning")


def test_small_and_resize_storm(start, golden):
    t = start("--ticks", "130")
    rng = random.Random(5)
    for i in range(60):
        t.resize(rng.randint(1, 220), rng.randint(1, 60))
        if i % 3 == 0:
            t.keys(rng.choice(["1", "2", "3", "4", "5", "6", "enter", "esc", "?", "?"]))
        t.settle() if i % 4 == 0 else t.pump(0.005)
    assert t.alive()
    t.resize(30, 5)
    t.wait_text("too small")
    t.resize(80, 24)
    t.wait_text("stalltop shop")
    press(t, "esc", "esc", "2", "esc", "down", "up")
    golden(t, "workers-80x24", update=False)


def test_random_keys(start):
    t = start("--script", "hostile", "--ticks", "60")
    names = [k for k in KEYS if k not in ("f10", "esc")]
    names += list("123456/<>IZzwhjkabc+-? \x0c") + ["\x1b", "é", "漢", "\x01", "\x1b[99~"]
    rng = random.Random(11)
    for i in range(2000):
        t.keys(*["esc"] if i % 100 == 99 else [rng.choice(names)])
        if i % 20 == 0:
            t.command("tick 1")
        t.pump(0)
    t.settle()
    assert t.alive()
    # Wherever that led to: out of a filter, a detail, a pause, and to the first view.
    press(t, "esc", "esc", "esc", "1", "esc")
    t.keys("q")
    assert t.wait_exit() == 0


def assert_restored(t):
    assert t.settings() == t.before
    assert t.raw.rindex(b"\x1b[?1049l") > t.raw.rindex(b"\x1b[?1049h")
    assert t.raw.rindex(b"\x1b[?25h") > t.raw.rindex(b"\x1b[?25l")


@pytest.mark.parametrize("key", ["q", "f10"])
def test_quit_restores(start, key):
    t = start("--ticks", "130")
    assert t.settings() != t.before
    t.keys(key)
    assert t.wait_exit() == 0
    assert_restored(t)
    assert b"closed 0" in t.raw  # what follows goes to the normal screen


@pytest.mark.parametrize("how,code", [
    ("SIGTERM", 143), ("SIGINT", 143), ("SIGQUIT", -signal.SIGQUIT), ("segv", -signal.SIGSEGV),
    ("abort", -signal.SIGABRT), ("exit", 7)])
def test_end_restores(start, how, code):
    t = start("--ticks", "130")
    if how.startswith("SIG"):
        t.signal(getattr(signal, how))
    else:
        t.command(how, answer=False)
    assert t.wait_exit() == code
    assert_restored(t)


def test_hangup_ends(start):
    t = start("--ticks", "130")
    t.signal(signal.SIGCONT)
    os.close(t.master)
    t.master = os.open("/dev/null", os.O_RDONLY)
    assert t.wait_exit() in (143, 5)


def shell(argv, env):
    """What a shell does for a foreground job: stops give the terminal back, a line continues it."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execve(argv[0], argv, env)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(0, os.getpgrp())
        if not os.WIFSTOPPED(status):
            os._exit(os.waitstatus_to_exitcode(status) & 0xff)
        os.write(1, b"JOB STOPPED\n")
        os.read(0, 1)
        os.tcsetpgrp(0, child)
        os.killpg(child, signal.SIGCONT)


def test_stop_and_continue(start):
    t = start("--ticks", "130", session=shell)
    t.keys("\x1a")
    t.wait_text("JOB STOPPED")
    assert t.settings() == t.before
    t.keys("\n")
    # curses drops what was typed meanwhile: wait until it has drawn.
    t.wait(lambda _: t.raw.count(b"\x1b[?1049h") == 2, "the second start of the screen")
    t.settle()
    press(t, "2")
    t.wait_text("4300 BLOCKED")
    t.keys("q")
    assert t.wait_exit() == 0
    assert_restored(t)


@pytest.mark.parametrize("term,words", [
    ("dumb", "TERM=dumb cannot place the cursor"), (None, "TERM is not set"),
    ("no-such-terminal", "unknown")])
def test_no_view_here(start, term, words):
    t = start(term=term, ready=None)
    assert t.wait_exit() == 3
    assert words in " ".join(t.text().split())
    assert b"\x1b" not in t.raw


def test_no_terminal(driver):
    done = subprocess.run([driver], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 3
    assert "no terminal" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("args,env,colored", [
    ([], {}, True), ([], {"NO_COLOR": "1"}, False), (["--color", "never"], {}, False),
    (["--color", "always"], {"NO_COLOR": "1"}, True)])
def test_color(start, args, env, colored):
    t = start("--ticks", "130", *args, env=env)
    press(t, "2", "1")
    assert bool(COLOR.search(t.raw)) == colored


@pytest.mark.parametrize("term", ["linux", "vt100", "tmux-256color"])
def test_other_terminals(start, term):
    t = start("--ticks", "130", term=term)
    press(t, "2")
    t.wait_text("4300 BLOCKED")
    t.keys("q")
    assert t.wait_exit() == 0
    assert t.settings() == t.before


def test_only_changes_are_sent(start):
    t = start("--ticks", "130", cols=200, rows=50)
    before = len(t.raw)
    t.tick(10)
    assert len(t.raw) - before < 10 * 1500
    assert b"\x1b[2J" not in t.raw[before:]
