# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which tests run at a time.

Several do (pytest-xdist), but one that is marked `alone` has the machine to itself: it burns CPU time
by the clock, or measures it. These come last, since the others have to wait for them.
"""

import contextlib
import fcntl
import os
import pathlib

import pytest

LOCKS = pathlib.Path(__file__).resolve().parents[1] / ".output"


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: no other test runs beside it")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@contextlib.contextmanager
def turn(alone):
    """Shared with others or alone. Whoever waits holds the gate, so that nobody overtakes."""
    LOCKS.mkdir(exist_ok=True)
    with open(LOCKS / "tests.gate", "w", encoding="ascii") as gate, \
            open(LOCKS / "tests.turn", "w", encoding="ascii") as lock:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    with turn(item.get_closest_marker("alone") is not None):
        yield


def pytest_terminal_summary(terminalreporter):
    """For run_e2e.sh: how many passed and were skipped, then each that failed."""
    path = os.environ.get("STALLTOP_RESULTS")
    if not path:
        return
    stats = terminalreporter.stats
    count = {kind: len(stats.get(kind, ())) for kind in ("passed", "skipped", "xfailed")}
    bad = {report.nodeid for kind in ("failed", "error", "xpassed") for report in stats.get(kind, ())}
    with open(path, "w", encoding="utf-8") as f:
        print(count["passed"], count["skipped"] + count["xfailed"], file=f)
        f.writelines(name + "\n" for name in sorted(bad))
