# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the screen tests.

--update rewrites the golden screens (tests/screen/golden/*.txt); a person reads the difference.
TUI_DRIVER names a driver that is already built; else make builds it.
"""

import os
import pathlib
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from built import built  # noqa: E402
from terminal import Terminal  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--update", action="store_true", help="rewrite the golden screens")


@pytest.fixture(scope="session")
def driver():
    given = os.environ.get("TUI_DRIVER")
    if given:
        return given
    return str(built(".output/tests/tui_driver"))


@pytest.fixture
def start(driver):
    """start("--ticks", "130", cols=80, ...): the live view, drawn once."""
    opened = []

    def run(*args, ready="stalltop", **terminal):
        argv = [driver, "--rules", str(HERE / "rules"), *args]
        t = Terminal(argv, synced=True, **terminal)
        opened.append(t)
        if ready:
            t.wait_text(ready, deadline=20)
            t.settle()
        return t

    yield run
    for t in opened:
        t.close()


@pytest.fixture
def golden(request):
    """golden(terminal, name): the screen is that of golden/name.txt, or becomes it in time."""

    def check(terminal, name, update=True):
        path = HERE / "golden" / f"{name}.txt"
        if update and request.config.getoption("--update"):
            time.sleep(0.3)
            terminal.settle()
            path.write_text(terminal.text(), encoding="utf-8")
            return
        want = path.read_text(encoding="utf-8")
        end = time.monotonic() + 4
        while terminal.text() != want and time.monotonic() < end:
            terminal.pump(0.1)
        assert terminal.text() == want, f"differs from {path.relative_to(HERE.parent)}"

    return check
