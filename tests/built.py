# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs of the Makefile that tests need; several tests run at a time, one of them makes."""

import fcntl
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def built(target):
    """The path of the target, made now if need be."""
    (ROOT / ".output").mkdir(exist_ok=True)
    with open(ROOT / ".output" / "tests.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", target], cwd=ROOT, check=True)
    return ROOT / target
