# SPDX-License-Identifier: LGPL-2.1-or-later
"""A busy server without a fault, made by others: no finding at warning or above in 30 s."""

import os
import socket
import subprocess
import sys
import time

import pytest

from harness import Pressure
from helpers_attach import plan_of

SECONDS = 30
# Eight connections with a pause after each request: the server is to be busy, not the machine to be
# full. A loader that takes both CPUs would measure the scheduler.
LOADER = """
import http.client, sys, threading, time
def work(port, end):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while time.monotonic() < end:
        for path in ("/", "/a.txt", "/b.bin"):
            link.request("GET", path)
            assert link.getresponse().read()
            time.sleep(0.01)
end = time.monotonic() + float(sys.argv[2])
many = [threading.Thread(target=work, args=(int(sys.argv[1]), end)) for _ in range(8)]
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


def test_no_finding_under_load(server, stalltop):
    target, port = server
    loader = subprocess.Popen([sys.executable, "-c", LOADER, str(port), str(SECONDS + 5)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        with Pressure() as pressure:
            run = stalltop("check", "-p", target.pid, "--duration", f"{SECONDS}s", "--json",
                           "--fail-on", "warning", deadline=SECONDS + 60)
        assert loader.poll() is None, "the load lasted as long as the watch"
    finally:
        loader.kill()
        output = loader.communicate()[0].decode("utf-8", "replace")
    print(output[-500:], run.footer, f"CPU pressure {pressure.share}")
    found = [f for f in run.at_least("warning") if not pressure.explains(f)]
    assert [(f["rule"], f["message"]) for f in found] == []
    assert run.rc == (1 if run.at_least("warning") else 0)
    assert run.footer["polls"] > 10_000, "it was busy"
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0
    assert target.alive()


def test_cheap_probes(server, stalltop):
    """Fat LTO merges functions and leaves jumps through pointers, which would be single-stepped."""
    plan = plan_of(stalltop("check", "--dry-run", "-p", server[0].pid).stdout)
    assert len(plan) > 80
    assert [p for p in plan if p.kind != "emulated"] == []
