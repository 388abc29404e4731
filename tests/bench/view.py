# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view, measured in a pseudo-terminal: its CPU, its bytes a frame, and how soon it speaks.

Times are taken when bytes arrive, before the emulator looks at them.
"""
import os
import re
import select
import statistics
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "screen"))

try:
    from terminal import Terminal
except ImportError:
    sys.exit("pyte is missing: make deps")

VIEWS = {"1": "SEVERITY", "2": "POLLS NOW", "3": "SITE", "4": "STATE", "5": "s: scale",
         "6": "Cost of watching"}
KEYS = 40
SCROLLS = 45
# A key, and what is then on the screen; None: the cursor is on another row.
SCROLL_KEYS = (("\x1b[6~", None), ("\x1b[6~", None), ("\x1bOF", None), ("\x1b[5~", None),
               ("\x1bOH", None), ("/", "filter: _"), ("9", "filter: 9_"),
               ("\x7f", "filter: _"), ("\r", "sort:"))
CPU_SECONDS = 5
WARM_SECONDS = 3


def cpu_ns(pid):
    return time.clock_gettime_ns((~pid << 3) | 2)


class View(Terminal):
    """The live view of a process.

    Without a budget: on a slow or busy machine the only type of the target is sampled, there are no rows
    of tasks then, and what is measured is a view of nothing.
    """

    def __init__(self, stalltop, pid, cols=120, rows=40):
        super().__init__([stalltop, "-p", str(pid), "--overhead", "100%"], cols=cols, rows=rows)
        self.wait_text("stalltop", deadline=30)

    def read_for(self, seconds):
        """Bytes that arrive meanwhile, not looked at: the emulator must not disturb the CPU."""
        end, got = time.monotonic() + seconds, b""
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                got += os.read(self.master, 65536)
        self.stream.feed(got)
        return len(got)

    def until(self, condition, deadline):
        """CLOCK_MONOTONIC of the bytes with which condition(text) became true; None: it did not."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            now, data = time.monotonic_ns(), os.read(self.master, 65536)
            self.stream.feed(data)
            if condition(self.text()):
                return now
        return None

    def cursor_row(self):
        """The first words of the row with the cursor: id and site."""
        return next((line.split()[1:3] for line in self.lines() if line.startswith(">")), None)

    def quit(self):
        self.keys("q")
        self.wait_exit()
        self.close()


def measure_cpu(stalltop, target, views="123456"):
    """Shares of a core and bytes a frame, by view."""
    view = View(stalltop, target.pid)
    view.read_for(WARM_SECONDS)
    out = {}
    for key in views:
        sign = VIEWS[key]
        view.keys(key)
        view.until(lambda text, sign=sign: sign in text, 5)
        begin, cpu = time.monotonic(), cpu_ns(view.pid)
        count = view.read_for(CPU_SECONDS)
        took = time.monotonic() - begin
        out[key] = ((cpu_ns(view.pid) - cpu) / 1e9 / took, count / took / 10)
    view.quit()
    return out


def measure_keys(stalltop, target):
    """Milliseconds from a key to the screen that it asks for."""
    view = View(stalltop, target.pid)
    view.read_for(WARM_SECONDS)
    delays, order = [], "213456" * (KEYS // 6 + 1)
    for key in order[:KEYS]:
        view.settle()
        begin = time.monotonic_ns()
        view.keys(key)
        seen = view.until(lambda text, sign=VIEWS[key]: sign in text, 2)
        delays.append((seen - begin) / 1e6 if seen else 2000.0)
        # Not in step with the ticks.
        view.read_for(0.03 + (len(delays) * 37 % 100) / 1000)
    view.quit()
    return delays


def measure_scroll(stalltop, target):
    """Milliseconds from a key to the tasks' rows that it asks for: by page, to the ends, filtered."""
    view = View(stalltop, target.pid)
    view.read_for(WARM_SECONDS)
    view.keys("4")
    view.until(lambda text: VIEWS["4"] in text, 5)
    delays = []
    for step in range(SCROLLS):
        view.settle()
        key, sign = SCROLL_KEYS[step % len(SCROLL_KEYS)]
        rows = view.cursor_row()
        begin = time.monotonic_ns()
        view.keys(key)
        seen = view.until(lambda text, sign=sign, rows=rows:
                          sign in text if sign else view.cursor_row() != rows, 2)
        delays.append((seen - begin) / 1e6 if seen else 2000.0)
        view.read_for(0.03 + (step * 37 % 100) / 1000)
    view.quit()
    return delays


def measure_stall(stalltop, target, polls, threshold_ms=10):
    """Milliseconds from crossing the threshold to the first screen with the length so far.

    `target` runs `polls` polls of a second; the times of their starts come from itself, at the end
    of each.
    """
    # At 80 columns a row ends with NOW, WORST and COUNT; NOW is a length while it lasts.
    view = View(stalltop, target.pid, cols=80, rows=24)
    live = re.compile(r"(?:blocking-call|stuck-poll) .* [\d.]+ m?s +>?[\d.]+ m?s +\d+$", re.M)
    seen = []
    while len(seen) < polls and target.poll() is None:
        at = view.until(lambda text: live.search(text), 8)
        if at is None:
            break
        seen.append(at)
        view.until(lambda text: not live.search(text), 8)
    lines = []
    while len(lines) < len(seen):
        lines.append(target.stdout.readline())
    view.quit()
    starts = [int(re.search(r'"start_ns":(\d+)', line)[1]) for line in lines]
    return [(at - start) / 1e6 - threshold_ms for at, start in zip(seen, starts)]


def summary(values):
    ordered = sorted(values)
    return {"median_ms": statistics.median(ordered), "worst_ms": ordered[-1],
            "p95_ms": ordered[int(len(ordered) * 0.95)] if len(ordered) > 1 else ordered[-1]}
