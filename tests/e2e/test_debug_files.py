# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debug files from elsewhere, and debug information that breaks whoever reads it.

A server on 127.0.0.1 stands for the world's debuginfod: it has the debug file of `blocks`, of the
profile that keeps it apart, and the program runs where that file is not.
"""

import http.server
import pathlib
import re
import shutil
import subprocess
import sys
import threading

import pytest

from harness import run_stalltop
from helpers_attach import one_line, plan_of

CORRUPT = pathlib.Path(__file__).parents[1] / "unit/fixtures/corrupt.py"
SECONDS = 40
FLIPS = 6


def build_id(path):
    notes = subprocess.run(["readelf", "-n", path], check=True, stdout=subprocess.PIPE, text=True)
    return re.search(r"Build ID: (\w+)", notes.stdout)[1]


class Server:
    """/buildid/ID/debuginfo of one file; with hang it takes the question and never answers."""

    def __init__(self, debug=None, hang=False):
        self.path = f"/buildid/{build_id(debug)}/debuginfo" if debug else None
        self.asked, self.over = [], threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                if hang:
                    outer.over.wait(60)
                if self.path != outer.path:
                    self.send_error(404)
                    return
                data = pathlib.Path(debug).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def env(self, cache, **more):
        return {"DEBUGINFOD_CACHE_PATH": str(cache),
                "DEBUGINFOD_URLS": f"http://127.0.0.1:{self.http.server_port}", **more}

    def close(self):
        self.over.set()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    opened = []

    def start(*args, **more):
        opened.append(Server(*args, **more))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def bare(path_of, tmp_path):
    """The program without its debug file beside it, and that file."""
    path = path_of("blocks", "current", "split")
    shutil.copy(path, tmp_path / "blocks")
    return tmp_path / "blocks", path.with_name("blocks.debug")


def names(result):
    return {p.site for p in plan_of(result.stdout) if p.program == "poll"}


def truth(target, kind):
    return next(o for o in target.json_lines() if o.get("kind") == kind and "site" in o)


def test_fetched(app, stream, server, bare, tmp_path):
    """Names and lines that are not there without it."""
    program, debug = bare
    target = app("blocks", path=program, args=("all",))
    local = run_stalltop("check", "--dry-run", "-p", target.pid)
    assert all(name.startswith("task type #") for name in names(local)), names(local)
    one = server(debug)
    run = stream("--debuginfod", "-p", target.pid, env=one.env(tmp_path / "cache"))
    run.attached()
    known = truth(target, "sleep")
    finding = run.until(lambda o: o["type"] == "finding" and o["rule"] == "blocking-call" and
                        o["site"] == known["site"] and o["culprit"] and o["culprit"]["line"],
                        SECONDS)
    run.stop()
    assert finding["culprit"]["line"] == known["line"]
    assert finding["culprit"]["file"].endswith("blocks.rs")
    assert finding["culprit"]["function"] == known["function"]
    assert one.asked.count(one.path) == 1
    assert any("came by debuginfod" in o["text"] for o in run.of("note")), run.of("note")


def test_not_fetched(app, server, bare, tmp_path):
    """No server named, none that has it, none that answers, none there: said, and gone on."""
    program, _ = bare
    target = app("blocks", path=program, args=("all",))
    words = ("check", "--dry-run", "--debuginfod", "-p", target.pid)
    one_line(run_stalltop(*words, env={"DEBUGINFOD_URLS": ""}), 2, "DEBUGINFOD_URLS")
    empty, silent = server(), server(hang=True)
    gone = {**empty.env(tmp_path / "gone"), "DEBUGINFOD_URLS": "http://127.0.0.1:1"}
    for env, reason in ((empty.env(tmp_path / "empty"), "have none"),
                        (silent.env(tmp_path / "silent", DEBUGINFOD_TIMEOUT="1"), "too long"),
                        (gone, "DEBUGINFOD_URLS")):
        result = run_stalltop(*words, env=env)
        assert result.rc == 0, result
        assert "no debug information for" in result.stderr and reason in result.stderr, result
        assert all(name.startswith("task type #") for name in names(result)), names(result)
    assert empty.asked and silent.asked


def damaged(path, folder, *words):
    subprocess.run([sys.executable, CORRUPT, path, folder, "--runs", *words], check=True)
    return sorted(folder.iterdir())


def test_damaged(app, path_of, tmp_path):
    """Debug information of a real program, damaged: names at most are missing."""
    path = path_of("blocks", "current", "lines")
    for program in damaged(path, tmp_path / "flips", "--seeds", str(FLIPS), "--only", "flip-debug"):
        target = app("blocks", path=program, args=("all",))
        result = run_stalltop("check", "--dry-run", "-p", target.pid)
        assert result.rc == 0 and len(names(result)) > 10, (program, result)
        target.kill()


def test_deadly(app, stream, path_of, tmp_path):
    """Its symbols end the process that reads them: it is watched all the same, and it is said."""
    program, = damaged(path_of("blocks", "current", "lines"), tmp_path, "--only", "deadly-strings")
    target = app("blocks", path=program, args=("all",))
    run = stream("-p", target.pid)
    run.attached()
    finding = run.until(lambda o: o["type"] == "finding" and o["rule"] == "blocking-call" and
                        o["stack"], SECONDS)
    run.stop()
    assert finding["site"].startswith("task type #")
    places = [f for f in finding["stack"] if f["binary"] == str(program)]
    assert all(f["function"] is None and f["offset"] for f in places)
    notes = [o["text"] for o in run.of("note")]
    assert any("symbols" in text and "broke" in text for text in notes), notes
