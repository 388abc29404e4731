#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The long runs of the rules, by hand (root):

soak.py servers [NAME...]  busy servers of others, 60 s each: no warning, no critical
soak.py faults [RULE...]   each faulty program 20 times: its rule fires in 19 of them

SOAK_SECONDS and SOAK_RUNS change how long and how often. Servers are built from crates.io once and
kept beside the test programs. Exit: 0 all as it should be, 1 not, 77 no root or no cargo.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "tests")]

import harness  # noqa: E402
from test_real_server import LOADER, free_port, wait_port  # noqa: E402
from test_rules import FAULTS, MORE_FAULTS  # noqa: E402

SECONDS = int(os.environ.get("SOAK_SECONDS", 60))
RUNS = int(os.environ.get("SOAK_RUNS", 20))
MISSES = 0.05  # of the runs may miss the fault
CACHE = pathlib.Path(os.environ.get("STALLTOP_APPS_CACHE") or (
    os.environ["XDG_CACHE_HOME"] + "/stalltop/apps" if os.environ.get("XDG_CACHE_HOME")
    else ROOT / ".cache/apps"))

# crate: version, program, options of cargo, arguments. {port} and {dir} are filled in.
SERVERS = {
    "dufs": dict(args="--bind 127.0.0.1 --port {port} {dir}"),
    "static-web-server": dict(version="3.0.0-beta.2", cargo="--no-default-features",
                              args="--host 127.0.0.1 --port {port} --root {dir}"),
    "dummyhttp": dict(version="1.1.3", cargo="--no-default-features",
                      args="--port {port} --interface 127.0.0.1 --quiet"),
    "miniserve": dict(version="0.35.0", cargo="--no-default-features",
                      args="--port {port} --interfaces 127.0.0.1 {dir}"),
    "bore-cli": dict(version="0.6.0", program="bore", tunnel=True,
                     args="server --min-port {port} --max-port {port}"),
}


def build(name, server):
    """The program, built if it is not there."""
    if name == "dufs":
        subprocess.run([ROOT / "tests/apps/build.sh", "--want", "real:current:release"], check=True)
        return harness.APPS / "current/release/real"
    program = CACHE / "soak/bin" / server.get("program", name)
    if program.exists():
        return program
    print(f"soak: {name} {server['version']} from crates.io: building", flush=True)
    subprocess.run(["cargo", "install", "--quiet", "--root", CACHE / "soak", "--target-dir",
                    CACHE / "soak-target", "--locked", "--version", "=" + server["version"],
                    *server.get("cargo", "").split(), name], check=True,
                   env={**os.environ, "CARGO_PROFILE_RELEASE_LTO": "false",
                        "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
                        "CARGO_PROFILE_RELEASE_PANIC": "unwind"})
    return program


class Tunnel:
    """What is behind a tunnel: a web server and the tunnel's other end."""

    def __init__(self, program, folder, port):
        behind = free_port()
        self.procs = [
            subprocess.Popen([sys.executable, "-m", "http.server", "--protocol", "HTTP/1.1",
                              "--bind", "127.0.0.1", str(behind)], cwd=folder, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL),
            subprocess.Popen([program, "local", "--to", "127.0.0.1", "--port", str(port),
                              str(behind)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)]

    def kill(self):
        for proc in self.procs:
            proc.kill()
            proc.wait()


def watch(target, port):
    load = subprocess.Popen([sys.executable, "-c", LOADER, str(port), str(SECONDS + 30)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        with harness.Pressure() as pressure:
            run = harness.run_stalltop("check", "-p", target.pid, "--duration", f"{SECONDS}s",
                                       "--json", "--fail-on", "warning", deadline=SECONDS + 60)
        if load.poll() is not None:
            raise AssertionError(f"the load ended early: {load.stderr.read()[-300:]!r}")
    finally:
        load.kill()
        load.communicate()
    return run, pressure


def soak_server(name):
    """A line about it; False: it failed."""
    server = SERVERS[name]
    program = build(name, server)
    port, tunnel = free_port(), None
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "a.txt").write_text("hello\n" * 100)
        (pathlib.Path(folder) / "b.bin").write_bytes(os.urandom(64 * 1024))
        (pathlib.Path(folder) / "index.html").write_text("<p>hello</p>\n")
        args = server["args"].format(port=port, dir=folder).split()
        target = harness.App(program, args, ready=False)
        try:
            if server.get("tunnel"):
                wait_port(target, 7835)  # where its other end calls
                tunnel = Tunnel(program, folder, port)
            wait_port(target, port)
            run, pressure = watch(target, port)
            alive = target.alive()
        finally:
            if tunnel:
                tunnel.kill()
            target.kill()
    found = [f for f in run.at_least("warning") if not pressure.explains(f)]
    footer = run.footer
    fine = not found and alive and footer["polls"] > 100 * SECONDS and footer["lost"] == 0
    print(f"{name:18} {'ok' if fine else 'FAILED':7} {footer['polls']:>10} polls"
          f" {len(run.of('finding')):>3} findings, cost {footer['overhead_pct']} %, CPU pressure "
          f"{pressure.share}", flush=True)
    for f in found:
        print(f"  {f['severity']} {f['rule']}: {f['message']}", flush=True)
    return fine


# --- faults -------------------------------------------------------------------------------------

def seconds_of(text):
    number, unit = re.fullmatch(r"([0-9.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}[unit]


def limit_of(rule, options):
    """10 s, or what its own windows need."""
    data = json.loads((ROOT / f"rules/{rule}.json").read_text())
    params = {key: p["value"] for key, p in data.get("params", {}).items()}
    params.update(o.split(".", 1)[1].split("=") for o in options)
    longest = 0
    for case in data["cases"]:
        own = sum(seconds_of(params.get(v[1:], v)) for v in
                  (case.get("for", "0s"), case.get("window", "0s")))
        longest = max(longest, own)
    return max(10, longest + 5)


def run_fault(rule, want):
    """Seconds until the finding; None: there was none in time."""
    name, args = ("faults", (rule,)) if rule in MORE_FAULTS else \
        (rule.replace("-", "_"), want.get("args", ()))
    options = [o for o in want.get("options", ()) if o.startswith(rule)]
    target = harness.App(harness.APPS / "current/release" / name, args)
    stream = harness.Stream("-p", target.pid, "--level", want.get("level", 2),
                            *(word for o in options for word in ("--set", o)))
    try:
        stream.attached()
        begin = time.monotonic()
        stream.finding(rule, limit_of(rule, options), want.get("severity", "warning"))
        return time.monotonic() - begin
    except AssertionError:
        return None
    finally:
        stream.close()
        target.kill()


def soak_fault(rule):
    want = {**FAULTS, **MORE_FAULTS}[rule]
    times = [run_fault(rule, want) for _ in range(RUNS)]
    hits = sorted(t for t in times if t is not None)
    fine = len(hits) >= RUNS - int(RUNS * MISSES)
    print(f"{rule:24} {'ok' if fine else 'FAILED':7} {len(hits)} of {RUNS} runs"
          + (f", after {hits[len(hits) // 2]:.1f} s (median), {hits[-1]:.1f} s (worst)"
             if hits else ""), flush=True)
    return fine


def main():
    kinds = {"servers": (soak_server, SERVERS), "faults": (soak_fault, {**FAULTS, **MORE_FAULTS})}
    if len(sys.argv) < 2 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    if os.geteuid() or not shutil.which("cargo"):
        print("SKIP: needs root and cargo")
        sys.exit(77)
    soak, known = kinds[sys.argv[1]]
    names = sys.argv[2:] or list(known)
    for name in names:
        if name not in known:
            sys.exit(f"soak: no {name}; there are {', '.join(known)}")
    fine = [soak(name) for name in names]
    print(f"soak: {sum(fine)} of {len(fine)} as they should be")
    sys.exit(0 if all(fine) else 1)


main()
