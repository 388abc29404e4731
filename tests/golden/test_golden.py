# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recorded traces and what replay and report say of them, to the letter. GOLDEN_UPDATE=1 writes it anew."""

import os
import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARY = os.environ.get("STALLTOP_BIN") or os.environ.get("STALLTOP") or \
    str(ROOT / ".output/stalltop")
CASES = sorted(p.parent.name for p in HERE.glob("*/*.trace"))
FORMS = {"expected.txt": ("replay",), "expected.ndjson": ("replay", "--json"),
         "report.txt": ("report",), "report.ndjson": ("report", "--json")}


def output(case, words):
    # By a relative name: no path of this machine is in the output.
    run = subprocess.run([BINARY, words[0], "t.trace", *words[1:]], cwd=HERE / case, text=True,
                         capture_output=True, timeout=60, env={**os.environ, "NO_COLOR": "1"})
    assert run.returncode == 0 and run.stderr == "", run.stderr
    return re.sub(r'"version":"[^"]*","command"', '"version":"V","command"', run.stdout)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES)
def test_golden(case, form):
    got = output(case, FORMS[form])
    path = HERE / case / form
    if os.environ.get("GOLDEN_UPDATE"):
        path.write_text(got)
    assert got == path.read_text(), f"make golden-update, then read the difference of {path}"


def test_there_are_cases():
    assert len(CASES) >= 3


@pytest.mark.parametrize("words", [["replay"], ["replay", "--json"], ["report"], ["report", "--json"]])
def test_full_disk(words):
    with open("/dev/full", "wb") as full:
        run = subprocess.run([BINARY, words[0], "blocking/t.trace", *words[1:]], cwd=HERE, stdout=full,
                             stderr=subprocess.PIPE, timeout=60, check=False)
    assert run.returncode == 7 and b"No space left on device" in run.stderr, run
