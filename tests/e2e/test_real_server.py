# SPDX-License-Identifier: LGPL-2.1-or-later
"""A busy server without a fault, made by others: no finding at warning or above in 30 s."""

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

SECONDS = 30
# Four connections of one process; used where wrk is not installed.
LOADER = """
import http.client, sys, threading, time
def work(port, end):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while time.monotonic() < end:
        for path in ("/", "/a.txt", "/b.bin"):
            link.request("GET", path)
            assert link.getresponse().read()
end = time.monotonic() + float(sys.argv[2])
many = [threading.Thread(target=work, args=(int(sys.argv[1]), end)) for _ in range(4)]
for one in many: one.start()
for one in many: one.join()
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(target, port, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end and target.alive():
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server does not answer; it said {target.err.text}")


@pytest.fixture
def server(app, path_of, tmp_path):
    (tmp_path / "a.txt").write_text("hello\n" * 100)
    (tmp_path / "b.bin").write_bytes(os.urandom(64 * 1024))
    port = free_port()
    target = app("real", args=("--bind", "127.0.0.1", "--port", port, tmp_path), ready=False)
    wait_port(target, port)
    return target, port


def load(port, seconds):
    wrk = shutil.which("wrk")
    if wrk:
        argv = [wrk, "-t1", "-c16", f"-d{seconds}s", f"http://127.0.0.1:{port}/b.bin"]
    else:
        argv = [sys.executable, "-c", LOADER, str(port), str(seconds)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_no_finding_under_load(server, stalltop):
    target, port = server
    loader = load(port, SECONDS + 5)
    try:
        run = stalltop("check", "-p", target.pid, "--duration", f"{SECONDS}s", "--json",
                       "--fail-on", "warning", deadline=SECONDS + 60)
        assert loader.poll() is None, "the load lasted as long as the watch"
    finally:
        loader.kill()
        output = loader.communicate()[0]
    print(output.decode("utf-8", "replace")[-500:], run.footer)
    assert [(f["rule"], f["message"]) for f in run.at_least("warning")] == []
    assert run.rc == 0
    assert run.footer["polls"] > 10_000, "it was busy"
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0
    assert target.alive()
