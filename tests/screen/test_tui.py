# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view in a terminal emulator, over scripted events with a fixed clock."""

import random
import re

import pytest

from terminal import KEYS, press

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


@pytest.mark.parametrize("cols,rows", SIZES)
def test_views(start, golden, cols, rows):
    t = start("--ticks", "130", cols=cols, rows=rows)
    for name, keys in VIEWS.items():
        press(t, *keys)
        golden(t, f"{name}-{cols}x{rows}")
        if name in ("finding", "site", "help"):
            press(t, "esc")


def test_tab_and_help(start):
    """Tab goes round the views, Shift-Tab the other way; three keys for the same help."""
    t = start("--ticks", "130", cols=120, rows=40)
    by_number = {}
    for number in "123456":
        press(t, number)
        by_number[number] = t.lines()
    assert len({"\n".join(lines) for lines in by_number.values()}) == 6
    press(t, "1")
    for key, order in (("tab", "234561"), ("btab", "654321")):
        for number in order:
            press(t, key)
            assert t.lines() == by_number[number], (key, number)
    helps = set()
    for key in ("?", "h", "f1"):
        press(t, key)
        helps.add("\n".join(t.lines()))
        press(t, "esc")
        assert t.lines() == by_number["1"], f"Esc after {key}"
    assert len(helps) == 1 and "Shift-Tab" in helps.pop()


def test_stack(start, golden):
    t = start("--script", "stack", "--ticks", "130", cols=120, rows=40)
    t.wait(lambda text: re.search(r"blocking-call +shop::metrics::flush +src/metrics\.rs:42 ", text),
           "the line to blame in the row")
    t.wait(lambda text: re.search(r"cpu-bound-poll +shop::catalog::search +- ", text), "none known")
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
    golden(t, "report-80x24")
    press(t, "2")
    t.wait_no_text("evidence:")
    t.command("tick 20")  # it comes once
    golden(t, "ended-80x24")
    press(t, "5")
    golden(t, "ended-timeline-80x24")
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


def test_types_without_names(start, golden):
    """A stripped program: what tells its types apart is not what is cut off."""
    t = start("--script", "stripped", "--ticks", "130")
    for view in ("1", "2", "3", "4"):
        press(t, view)
        assert "…" not in t.text(), t.text()
        t.wait_text("#16 @ shop+0x1deb7f")
    golden(t, "stripped-80x24")
    # A thread that polls no task is of the blocking pool, but the main thread cannot be.
    press(t, "2")
    t.wait(lambda text: re.search(r"4242 .*\(main thread\)", text))
    t.resize(120, 24)
    t.wait_text("#16 @ shop+0x1deb7f")
    press(t, "3")
    t.wait_text("task type #16 (320 B) @ shop+0x1deb7f")


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


def cursor_row(t):
    return next((line for line in t.lines() if line.startswith(">")), None)


@pytest.mark.parametrize("term", ["screen-256color", "xterm-256color", "linux", "vt100"])
def test_keys_of_any_terminal(start, term):
    """Home, End and the arrows as any terminal sends them: over ssh TERM is often another one's."""
    t = start("--script", "many", "--ticks", "60", cols=100, rows=30, term=term)
    press(t, "4")
    t.wait_text("20.0k")
    top, seen = cursor_row(t), set()
    for end, home in (("\x1bOF", "\x1bOH"), ("\x1b[F", "\x1b[H"), ("\x1b[4~", "\x1b[1~"),
                      ("\x1b[8~", "\x1b[7~")):
        press(t, end)
        seen.add(t.wait(lambda _: cursor_row(t) != top) and cursor_row(t))
        press(t, home)
        t.wait(lambda _: cursor_row(t) == top)
    assert len(seen) == 1, "the last row"
    for down, up in (("\x1bOB", "\x1bOA"), ("\x1b[B", "\x1b[A"), ("\x1b[6~", "\x1b[5~")):
        press(t, down)
        t.wait(lambda _: cursor_row(t) != top)
        press(t, up)
        t.wait(lambda _: cursor_row(t) == top)


def test_filter_that_is_changed(start):
    """Longer, shorter, another one: the rows are those that match now, however it was typed."""
    t = start("--script", "many", "--ticks", "60", cols=100, rows=30)
    press(t, "4", "/")
    counts = {}
    for keys, text in (("31", "31"), ("9", "319"), ("bs", "31"), ("bs", "3"), ("x", "3x"),
                       ("bs", "3"), ("19", "319"), ("bs", "31")):
        press(t, *([keys] if keys == "bs" else keys))
        t.wait_text(f"filter: {text}_")
        rows = [line for line in t.lines() if "task_" in line]
        assert all(text in row for row in rows), text
        press(t, "end")
        t.settle()
        assert counts.setdefault(text, (len(rows), cursor_row(t))) == (len(rows), cursor_row(t))
        press(t, "home")
    assert counts["31"][1] != counts["319"][1] != counts["3"][1]


def test_stall_is_live(start):
    t = start("--ticks", "118")
    t.wait_no_text("1.20 s ")
    t.tick(5)
    t.wait(lambda text: re.search(r"blocking-call .* 500 ms ", text), "500 ms so far")
    t.tick(7)
    t.wait(lambda text: re.search(r"blocking-call .* 1\.20 s ", text), "1.20 s so far")
    t.tick(10)
    t.wait(lambda text: re.search(r"blocking-call .* open ", text), "no poll, finding open")


def test_stall_on_another_worker_is_live(start):
    """The finding's own worker is that of the worst time; the stall that lasts may be elsewhere."""
    t = start("--script", "hop", "--ticks", "75")
    t.wait(lambda text: re.search(r"blocking-call .* 700 ms +1\.60 s +2$", text, re.M), "the second")


MOUSE_ON, MOUSE_OFF = b"\x1b[?1000h\x1b[?1006h", b"\x1b[?1006l\x1b[?1000l"


def test_mouse(start):
    """With its key, not before: the terminal's own selection of text goes on without."""
    t = start("--ticks", "130")
    press(t, "2")
    assert MOUSE_ON not in t.raw
    press(t, "m")
    t.wait_text("mouse on: click tabs, titles, rows")
    assert MOUSE_ON in t.raw
    t.click("3 Sites")
    t.wait_text("POLLING▼")
    t.click("shop::report")
    t.wait_text("> shop::report")
    t.click("MAX")
    t.wait_text("MAX▼")
    t.click("MAX")
    t.wait_text("MAX▲")
    t.mouse(5, 12, button=64)
    t.wait_no_text("> shop::report")
    t.click("shop::report")
    t.click("shop::report")
    t.wait_text("Polls since it is watched")
    t.mouse(5, 12, button=65)
    t.wait_no_text("shop::report::render")
    t.mouse(5, 12, button=2)
    t.wait_text("> shop::report")
    t.click("? help")
    t.wait_text("No key harms")
    press(t, "m")
    t.wait_text("mouse off")
    assert MOUSE_OFF in t.raw
    at = len(t.raw)
    t.keys("q")
    assert t.wait_exit() == 0
    assert MOUSE_ON not in t.raw[at:]


def test_no_mouse(start):
    t = start("--ticks", "130", term="vt100")
    press(t, "m")
    t.wait_text("this terminal has no mouse")


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
    t.wait_text("POLLING▼")
    press(t, "I")
    t.wait_text("POLLING▲")
    press(t, "<")
    t.wait_text("MAX▼")
    press(t, "f6")
    t.wait_text("POLLING▼")
    # Columns that 80 have no room for are there once the order is theirs.
    assert "MEMORY" not in t.text()
    for title in ("DELAY▼", "BLOCKED▼", "MEMORY▼", "READY▼", "HELD▼", "DETACHED▼"):
        press(t, ">")
        t.wait_text(title)
        line = next(line for line in t.lines() if title in line)
        assert len(line) <= 80 and "SITE" in line and "LIVE" in line
    press(t, ">")
    t.wait_text("sort: as found")
    press(t, ">")
    t.wait_text("SITE▲")


def test_delays(start, golden):
    """Level 3: a line for the way from a wake to its poll, and the column of the sites."""
    t = start("--script", "wakes", "--ticks", "130", cols=140, rows=24)
    press(t, "3")
    t.wait_text("delay   from wake to poll: p50 20.5 us  p99 41.0 us  max 1.60 s  ready wait")
    golden(t, "delays-140x24")
    press(t, "4", ">")
    t.wait_text("WAKES▼")
    golden(t, "wakes-140x24")
    press(t, "enter")
    t.wait_text("  wakes          780 made it ready")


def test_no_wakes(start):
    """Below level 3: n/a, and why."""
    t = start("--ticks", "130")
    press(t, "4", ">")
    t.wait(lambda text: re.search(r"WAKES▼.*\n>.* n/a", text), "n/a in the column")
    press(t, "enter")
    t.wait_text("wakes          n/a: they are seen at level 3 (--level 3)")


def test_targets(start, golden):
    t = start("--script", "two", "--ticks", "130", cols=120, rows=24)
    t.wait_text("2 programs (t): shop [4242], billing [4343]")
    for view, row in (("1", r"blocking-call +4242 "), ("2", r" 4343 +4343 billing"),
                      ("5", r" 4343 +4343 billing"), ("4", r" 30 +4242 shop::metrics"),
                      ("3", r"billing::invoice\S* .*4343 ")):
        press(t, view)
        t.wait(lambda text, r=row: re.search(r, text), f"whose row it is, in view {view}")
    press(t, "t")
    t.wait_no_text("PID")
    t.wait_text("shop [4242] (1 of 2)")
    t.wait_no_text("billing::invoice")
    t.wait_text("CRITICAL  2 critical open")
    press(t, "t")
    t.wait_text("billing [4343] (2 of 2)  tokio 1.40.0 current-thread, 1 worker")
    golden(t, "targets-120x24")
    for view, gone in (("1", "blocking-call"), ("2", "4300"), ("4", "shop::"), ("5", "4300")):
        press(t, view)
        t.wait_no_text(gone)
    press(t, "3", "t")
    t.wait_text("2 programs (t): shop [4242], billing [4343]")
    t.wait_text("billing::invoice")


def test_cost_and_loss_on_any_screen(start):
    """What watching costs, of which budget, and what was lost: however little room there is."""
    t = start("--script", "sampled", "--ticks", "130", cols=120, rows=40)
    t.wait_text("shop [4242]  tokio 1.54.1 multi-thread, 4 workers  3x tokio 1.54.1 local, 1 worker each")
    t.wait_text("cost    2.3 % of target (budget 2 %), level 1 (lowered), 1 type sampled; "
                "stalltop 0.9 % of a core  LOST 12 events\n")
    t.wait(lambda text: re.search(r"^polls   ~[\d.]+k/s  p50 ~", text, re.M), "an estimate")
    for cols, rows in ((80, 24), (60, 24), (44, 16), (80, 15), (40, 8)):
        t.resize(cols, rows)
        t.wait(lambda text, n=rows: re.search(r"cost +2\.3 % .*LOST 12", text) and
               len(t.lines()) == n, f"loss at {cols}x{rows}")
    t.resize(80, 24)
    t.wait_text("cost    2.3 % of target (budget 2 %), level 1 (lowered), 1 type sampled  LOST 12\n")


def test_sampled(start, golden):
    """Over the budget: what is not known says so, and why; nothing of before stands for now."""
    t = start("--script", "sampled", "--ticks", "130", cols=120, rows=26)
    for name, key in (("workers", "2"), ("sites", "3"), ("timeline", "5"), ("self", "6")):
        press(t, key)
        golden(t, f"sampled-{name}-120x26")
    press(t, "4")
    t.wait_text("n/a: level 1 is in force, to keep to the overhead budget")
    t.wait_no_text("4 Tasks 12")  # those of the last scan
    press(t, "2", "end", "up", "enter")
    t.wait_text("on CPU for n/a")
    press(t, "esc", "?")
    t.wait_text("n/a")


def test_headers_not_read(start):
    """Tasks whose state is not known yet: said, and how many."""
    t = start("--script", "unread", "--ticks", "60", cols=120)
    press(t, "4")
    t.wait_text("STATE n/a: 6 headers not read yet; they are read in turn")
    press(t, "end", "up", "enter")
    t.wait_text("n/a: not read yet, the headers of tasks are read in turn")


def test_just_started(start):
    """No rate yet: n/a without a unit, and why."""
    t = start("--ticks", "5")
    t.wait(lambda text: re.search(r"^polls   n/a  p50 ", text, re.M), "no rate yet")
    t.wait_text("cost    n/a: just started (budget 2 %), level 2  lost 0")


def test_tabs_that_fit(start):
    """All views and the way to the help, at any width; first the numbers go, then titles."""
    t = start("--script", "many", "--ticks", "60", cols=80)
    press(t, "4")
    t.wait_text(" 1 Findings  2 Workers  3 Sites  4 Tasks  5 Timeline  6 Self              ? help")
    t.resize(100, 24)
    t.wait(lambda text: re.search(r"1 Findings 2 .*4 Tasks 20\.0k .*\? help\n", text))
    t.resize(40, 24)
    t.wait_text(" 1  2  3  4 Tasks  5  6           ? help")
    press(t, "m")
    t.mouse(t.lines()[5].index("6"), 5)
    t.settle()
    t.wait_text(" 1  2  3  4  5  6 Self            ? help")
    t.resize(20, 5)
    t.wait_text("40x8 needed: screen")


def test_one_target(start):
    t = start("--ticks", "30")
    press(t, "t")
    t.wait_text("only one program is watched")


def test_timeline_cursor(start, golden):
    t = start("--ticks", "134", cols=120, rows=40)
    press(t, "5")
    t.wait(lambda text: re.search(r"1\.60 s blocked in clock_nanosleep, .* shop::metrics::flush", text),
           "what blocks now")
    press(t, *["left"] * 4)
    t.wait_text("ago for 1.00 s: busy 15.0 %, blocked 0.0 %")
    t.wait_text("no long poll")
    press(t, *["left"] * 2)
    t.wait(lambda text: re.search(r"1\.60 s blocked in clock_nanosleep, \S+ \S+ ago: task 1001", text),
           "the block before")
    golden(t, "timeline-cursor-120x40")
    before = t.text().count("B")
    press(t, "s", "s")
    t.wait(lambda text: text.count("B") > before + 5, "a finer scale")
    press(t, "down", "enter")
    t.wait_text("Long polls of the last minute, newest first")
    t.wait_text("300 ms computing, ")
    press(t, "esc", "esc")
    t.wait_text("tid 4301, ")
    t.tick(10)
    golden(t, "timeline-cursor-back-120x40")


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
    t.wait_text("threshold 10.0 ms")
    press(t, "+")
    t.wait_text(" threshold 20.0 ms: blocking-call and cpu-bound-poll warn from there")
    press(t, "-", "-")
    t.wait(lambda text: re.search(r"open +threshold 5\.00 ms$", text, re.M))
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
    names += list("123456/<>IZzwhjkabcm+-? \x0c") + ["\x1b[<0;9;7M\x1b[<0;9;7m", "\x1b[<65;3;9M", "\x1b[<0;99", "\x1b[M a", "\x1b", "é", "漢", "\x01", "\x1b[99~"]
    rng = random.Random(11)
    for i in range(10000):
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
