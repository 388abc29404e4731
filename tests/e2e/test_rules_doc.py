# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/rules.md says what the shipped rules say."""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_rules_doc_is_current():
    run = subprocess.run([sys.executable, ROOT / "tests" / "gen_rules_doc.py", "--check"],
                         capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
