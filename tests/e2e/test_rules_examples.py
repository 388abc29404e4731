# SPDX-License-Identifier: LGPL-2.1-or-later
"""The examples of the rules, before and after, are Rust that compiles: one cargo check for all."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/apps/examples"

# What stands around an example that is a few statements: the arguments of its function.
ARGUMENTS = {
    "arc-contention": "portfolio: Vec<Position>, rates: Arc<Vec<u64>>",
    "blocking-pool-saturated": "paths: Vec<String>, mut set: JoinSet<()>",
    "busy-poll": "{before}ready: &AtomicBool{after}ready: &Notify",
    "cancelled-midway": "limit: Duration",
    "leaked-join-handle": "mut rx: mpsc::Receiver<Entry>",
    "lost-wakeup": "ready: &AtomicBool, waiting: &AtomicWaker",
    "starvation": "portfolio: Vec<Position>, mut set: JoinSet<()>",
    "task-explosion": "mut queue: mpsc::Receiver<Mail>",
    "unbounded-channel": "entries: Vec<Entry>",
    "tiny-tasks": "rows: Vec<Row>, mut set: JoinSet<()>",
}
# Not in an async fn: these start a runtime.
PLAIN = {"migration": "listener: TcpListener, listeners: Vec<TcpListener>", "worker-tuning": ""}


def arguments(rule, which):
    text = ARGUMENTS[rule]
    if "{before}" in text:
        before, after = text.removeprefix("{before}").split("{after}")
        return before if which == "before" else after
    return text


def wrapped(rule, which, code):
    if code.startswith(("async fn ", "fn ")):
        return f"pub {code}"
    if rule in PLAIN:
        return f"pub fn example({PLAIN[rule]}) -> Outcome {{\n{code}\nOk(())\n}}"
    return f"pub async fn example({arguments(rule, which)}) -> Outcome {{\n{code}\nOk(())\n}}"


def library():
    text = "#![allow(unused, unreachable_code)]\nmod around;\n"
    count = 0
    for path in sorted((ROOT / "rules").glob("*.json")):
        rule = json.loads(path.read_text())
        for which in ("before", "after"):
            name = f"{which}_{rule['id'].replace('-', '_')}"
            code = wrapped(rule["id"], which, rule["example"][which])
            text += f"pub mod {name} {{\nuse crate::around::*;\n{code}\n}}\n"
            count += 1
    return text, count


def test_examples_compile():
    if not shutil.which("cargo"):
        pytest.skip("cargo not found")
    folder = ROOT / ".output/examples"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Cargo.toml", "Cargo.lock", "around.rs"):
        shutil.copyfile(HERE / name, folder / name)
    text, count = library()
    (folder / "lib.rs").write_text(text)
    assert count >= 32
    cache = os.environ.get("STALLTOP_APPS_CACHE")
    target = pathlib.Path(cache) / "target/examples" if cache else folder / "target"
    run = subprocess.run(["cargo", "check", "--quiet", "--locked", "--jobs", "2"], cwd=folder,
                         env={**os.environ, "CARGO_TARGET_DIR": str(target)},
                         capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
