# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fixtures of the end-to-end tests: real programs, real probes, root.

The programs are built by `make apps`. Without them, without cargo or without root a test is
skipped with the reason; under CI=true a skip is a failure. Several tests run at a time.
"""

import os
import pathlib
import shutil
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import harness  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "setup":
        harness.Result.recent.clear()
    if report.failed and call.when == "call":
        # pytest cuts what an assertion tells to a line.
        for result in harness.Result.recent:
            report.sections.append(("a run of stalltop", result.told()))
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure under CI=true: {report.longrepr[2]}"


@pytest.fixture(scope="session")
def root():
    if os.geteuid() != 0:
        pytest.skip("needs root: the tests attach probes to other processes")


def app_path(name, version="current", profile="release"):
    """Where a built program is; skips the test if it is not."""
    path = harness.APPS / version / profile / name
    if not path.exists():
        why = "run `make apps`" if shutil.which("cargo") else "cargo not found"
        pytest.skip(f"no program {version}/{profile}/{name}: {why}")
    return path


@pytest.fixture(scope="session")
def path_of():
    """path_of(name, version, profile): the program's path, or a skip."""
    return app_path


@pytest.fixture
def app(root):
    """app(name, version, profile, args): a program that is ready; killed at the end."""
    started = []

    def start(name, version="current", profile="release", args=(), path=None, **more):
        started.append(harness.App(path or app_path(name, version, profile), args, **more))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def stalltop():
    """stalltop("check", "-p", pid, ...): the run's harness.Result, once it has ended."""
    return harness.run_stalltop


@pytest.fixture
def stream(root):
    """stream("-p", pid, ...): a running `stalltop top --json` (harness.Stream)."""
    opened = []

    def run(*args, **more):
        opened.append(harness.Stream(*args, **more))
        return opened[-1]

    yield run
    for one in opened:
        one.close()
