# SPDX-License-Identifier: LGPL-2.1-or-later
"""What it costs a program to be watched, by stalltop and by its peers.

The same workloads (tests/bench/peers), built plain and with what each peer demands, take turns
under every tool in one run; a row is the median over the rounds, with the least and the most. What
could not be measured is a row too, with the reason.
"""
import contextlib
import json
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OUT = os.path.join(ROOT, ".output")
STALLTOP = os.environ.get("STALLTOP", os.path.join(OUT, "stalltop"))
ROUNDS = int(os.environ.get("PEERS_ROUNDS", "3"))
SETTLE_S = 2.5  # the overhead budget may take so long to find its level
MEASURE_S = 3.0
RECORD_S = 8.0  # of recording: what is written comes in pieces of a second

BUILDS = {  # name -> features, RUSTFLAGS: what its maker asks for
    "plain": ("", ""),
    "console": ("console", "--cfg tokio_unstable"),
    "dial9": ("dial9", "--cfg tokio_unstable -C force-frame-pointers=yes"),
}


def stalltop(*options):
    return lambda pid, _: [STALLTOP, "top", "--json", "-p", str(pid), *options]


def record(*options):
    return lambda pid, folder: [STALLTOP, "record", "--json", "-p", str(pid), "-o",
                                os.path.join(folder, "t.trace"), "--overhead", "100%", *options]


def pair(pid, _):
    return [os.path.join(OUT, "bench", "probe_empty"), "--pair", str(pid)]


TOOLS = {  # row -> build, command line that watches a pid
    "none": ("plain", None),
    "stalltop": ("plain", stalltop()),
    "level 0": ("plain", stalltop("--level", "0")),
    "level 1": ("plain", stalltop("--level", "1", "--overhead", "100%")),
    "level 2": ("plain", stalltop("--level", "2", "--overhead", "100%")),
    "level 3": ("plain", stalltop("--level", "3", "--overhead", "100%")),
    "exact": ("plain", stalltop("--exact", "--overhead", "100%")),
    "entry+return": ("plain", pair),
    "tokio-console": ("console", None),
    "dial9": ("dial9", None),
}
RECORDERS = {
    "none": ("plain", None),
    "record": ("plain", record()),
    "record --polls": ("plain", record("--polls")),
    "record --polls, level 3": ("plain", record("--polls", "--level", "3")),
    "dial9": ("dial9", None),
}
WORKLOADS = {
    "yield": "polls that yield at once",
    "pingpong": "messages there and back between tasks",
    "web": "requests to an axum server, by wrk",
    "storm": "tasks spawned and ended",
    "idle": "10 000 tasks, a timer of 1 s each",
}


def cargo_build(crate, name, features, flags=""):
    """The folder of the programs, or None and why there is none."""
    target = os.path.join(OUT, "bench", crate, name)
    command = ["cargo", "build", "--release", "--quiet", "--locked"]
    command += ["--features", features] if features else []
    run = subprocess.run(command, cwd=os.path.join(HERE, crate), capture_output=True, text=True,
                         env={**os.environ, "CARGO_TARGET_DIR": target, "RUSTFLAGS": flags})
    if run.returncode:
        return None, run.stderr.strip().splitlines()[-1]
    return os.path.join(target, "release"), None


def build(name):
    folder, why = cargo_build("peers", name, *BUILDS[name])
    return folder and os.path.join(folder, "load"), why


class Lines:
    """JSON lines of a program's output, read as they come."""

    def __init__(self, stream):
        self.fd = stream.fileno()
        self.rest = b""

    def next(self, deadline):
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return None
            data = os.read(self.fd, 65536)
            if not data:
                return None
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode(errors="replace")


def sample(lines, until):
    """The last line before the moment."""
    last = None
    while time.monotonic() < until:
        line = lines.next(until)
        if line and line.startswith("{"):
            last = json.loads(line)
    return last


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_wrk(address, seconds):
    return subprocess.Popen(["wrk", "-t", "1", "-c", "32", "-d", f"{seconds:.0f}s", "--latency",
                             f"http://{address}/"], stdout=subprocess.PIPE, text=True)


def wrk_p99_us(text):
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    return found and float(found[1]) * {"us": 1, "ms": 1e3, "s": 1e6}[found[2]]


def bytes_in(folder):
    files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    return sum(os.path.getsize(f) for f in files)


def start(command, env=None):
    """The program, its lines, and the words of the one that says that it is ready; None: it did not."""
    target = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
    lines = Lines(target.stdout)
    ready = ""
    while ready is not None and not ready.startswith("ready"):
        ready = lines.next(time.monotonic() + 10)
    return target, lines, ready and ready.split()


@contextlib.contextmanager
def watching(pid, *options):
    """stalltop, attached to the process, and what it prints read by somebody."""
    tool = subprocess.Popen([STALLTOP, "top", "--json", "-p", str(pid), *options],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    reader = None
    try:
        tool.stdout.readline()
        reader = subprocess.Popen(["cat"], stdin=tool.stdout, stdout=subprocess.DEVNULL)
        yield tool
    finally:
        tool.terminate()
        tool.wait(timeout=30)
        if reader:
            reader.wait()


def measure(path, workload, watch, traces, measure_s=MEASURE_S):
    env = {**os.environ, "DIAL9_ENABLED": "true", "DIAL9_TRACE_DIR": traces,
           "DIAL9_MAX_DISK_USAGE_MB": "512"}
    target, lines, ready = start([path, workload], env)
    tool = wrk = None
    try:
        if not ready:
            return None, "the program did not start"
        if watch:
            tool = subprocess.Popen(watch(target.pid, traces), stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            if not select.select([tool.stdout], [], [], 20)[0] or not os.read(tool.stdout.fileno(), 1):
                return None, (tool.stderr.read().decode().strip().splitlines() or ["no answer"])[0]
            subprocess.Popen(["cat"], stdin=tool.stdout, stdout=subprocess.DEVNULL)
        if workload == "web":
            wrk = run_wrk(ready[1], SETTLE_S + measure_s + 1)
        first = sample(lines, time.monotonic() + SETTLE_S)
        before, written = cpu_s(tool.pid) if tool else 0, bytes_in(traces)
        last = sample(lines, time.monotonic() + measure_s)
        seconds = (last["time_ns"] - first["time_ns"]) / 1e9
        ops = last["ops"] - first["ops"]
        row = {"ops_s": ops / seconds, "cpu_ns_op": (last["cpu_ns"] - first["cpu_ns"]) / max(ops, 1),
               "rss_kib": rss_kib(target.pid), "bytes_op": (bytes_in(traces) - written) / max(ops, 1),
               "tool_cpu_pct": 100 * (cpu_s(tool.pid) - before) / seconds if tool else None}
        if wrk:
            row["p99_us"] = wrk_p99_us(wrk.communicate(timeout=30)[0])
        return row, None
    finally:
        if tool:
            tool.send_signal(signal.SIGINT)
            tool.wait(timeout=30)
        for proc in (wrk, target):
            if proc:
                proc.kill()
                proc.wait()


def median_of(rows, key):
    values = sorted(r[key] for r in rows if r.get(key) is not None)
    return (statistics.median(values), values[0], values[-1]) if values else None


def table(results, key, title):
    """Markdown: a row is a tool, a column a workload; against the plain build that nobody watches."""
    out = [f"| {title} | " + " | ".join(WORKLOADS) + " |", "|---|" + "---|" * len(WORKLOADS)]
    for tool in TOOLS:
        cells = []
        for workload in WORKLOADS:
            one, base = results[workload].get(tool, {}), results[workload].get("none", {})
            known = one.get(key) and base.get(key)
            cells.append(f"{100 * (one[key][0] / base[key][0] - 1):+.1f} %" if known else "n/a")
        out.append(f"| {tool} | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def bench_recorders():
    """What a recording takes: bytes on the disk and CPU, of the program and of the tool, an operation."""
    paths = {name: build(name) for name in ("plain", "dial9")}
    results = {}
    for workload in ("idle", "pingpong"):
        rows = {name: [] for name in RECORDERS}
        for _ in range(ROUNDS):
            for name, (built, watch) in RECORDERS.items():
                path, why = paths[built]
                with tempfile.TemporaryDirectory() as traces:
                    row, why = measure(path, workload, watch, traces, RECORD_S) if path else (None, why)
                if not row:
                    print(f"    {name}: not measured: {why}")
                    continue
                tool_ns = 1e7 * (row["tool_cpu_pct"] or 0) / row["ops_s"]
                rows[name].append({"bytes_op": row["bytes_op"], "ops_s": row["ops_s"],
                                   "cpu_ns_op": row["cpu_ns_op"] + tool_ns, "tool_ns_op": tool_ns})
        results[workload] = {n: {k: median_of(r, k) for k in r[0]} for n, r in rows.items() if r}
        print(f"  {workload}: {WORKLOADS[workload]}")
        base = results[workload].get("none", {}).get("cpu_ns_op", (0,))[0]
        for name, one in results[workload].items():
            print(f"    {name:24} {one['bytes_op'][0]:7.1f} bytes each ({one['bytes_op'][1]:.1f} .. "
                  f"{one['bytes_op'][2]:.1f}); {one['cpu_ns_op'][0] - base:+6.0f} ns of CPU each, "
                  f"{one['tool_ns_op'][0]:.0f} of them the tool's own; "
                  f"{one['ops_s'][0]:.0f} a second", flush=True)
    return results


def bench_peers():
    paths, whys = {}, {}
    for name in BUILDS:
        paths[name], whys[name] = build(name)
    results = {w: {} for w in WORKLOADS}
    for workload, what in WORKLOADS.items():
        if workload == "web" and not shutil.which("wrk"):
            results[workload] = {t: {"why": "wrk is not installed (apt-get install wrk)"}
                                 for t in TOOLS}
            continue
        samples, failed = {t: [] for t in TOOLS}, {}
        for _ in range(ROUNDS):
            for tool, (built, watch) in TOOLS.items():
                if not paths[built]:
                    failed[tool] = whys[built]
                    continue
                with tempfile.TemporaryDirectory() as traces:
                    row, why = measure(paths[built], workload, watch, traces)
                if row:
                    samples[tool].append(row)
                else:
                    failed[tool] = why
        print(f"  {workload}: {what}")
        for tool, rows in samples.items():
            if not rows:
                results[workload][tool] = {"why": failed[tool]}
                print(f"    {tool:14} not measured: {failed[tool]}")
                continue
            one = {k: median_of(rows, k) for k in rows[0]}
            results[workload][tool] = one
            base = results[workload]["none"]["ops_s"][0]
            print(f"    {tool:14} {one['ops_s'][0]:12.0f} a second ({one['ops_s'][1]:.0f} .. "
                  f"{one['ops_s'][2]:.0f}), x{one['ops_s'][0] / base:.3f}; "
                  f"{one['cpu_ns_op'][0]:.0f} ns of CPU each, {one['rss_kib'][0] / 1024:.1f} MiB" +
                  (f"; p99 {one['p99_us'][0]:.0f} us" if one.get("p99_us") else "") +
                  (f"; tool {one['tool_cpu_pct'][0]:.1f} % of a core"
                   if one.get("tool_cpu_pct") else ""), flush=True)
    print(table(results, "cpu_ns_op", "CPU an operation"))
    print(table(results, "ops_s", "operations a second"))
    return results
