#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Benchmarks: what watching costs the target, what it costs itself, and how soon it speaks.

    tests/bench/run.py [cost] [attach] [agent] [latency]     all without arguments

Costs are CPU time a poll (the process's own clock), so a busy machine disturbs them little; the
compared modes take turns within one run, and ratios of medians are what counts.
"""
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OUT = os.path.join(ROOT, ".output")
STALLTOP = os.environ.get("STALLTOP", os.path.join(OUT, "stalltop"))
APPS = os.path.join(OUT, "apps", "current", "release")
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))


def app(name, *args):
    """Starts a test program and waits until it says that it is ready."""
    path = os.path.join(APPS, name)
    if not os.path.exists(path):
        sys.exit(f"{path} is missing: run tests/apps/build.sh --want {name}:current:release")
    proc = subprocess.Popen([path, *map(str, args)], stdout=subprocess.PIPE, text=True)
    if not proc.stdout.readline().startswith("ready"):
        sys.exit(f"{name} did not start")
    return proc


def cpu_ns(pid):
    """CPU time of a process: the kernel's clock id of another process (clock_getcpuclockid)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def wait_line(stream, deadline, what):
    if not select.select([stream], [], [], deadline)[0]:
        sys.exit(f"no answer within {deadline} s: {what}")
    return stream.readline()


class Watcher:
    """stalltop, or the empty probe, attached to a process while in use."""

    def __init__(self, mode, pid):
        if mode == "none":
            self.proc = None
            return
        if mode == "empty":
            cmd = [os.path.join(OUT, "bench", "probe_empty"), str(pid)]
        else:
            cmd = [STALLTOP, "top", "--json", "--level", mode[-1], "-p", str(pid)]
        self.proc = subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True)
        if not wait_line(self.proc.stdout, 20, mode):
            sys.exit(f"{mode} did not attach")

    def stop(self):
        if not self.proc:
            return
        self.proc.stdin.close()
        self.proc.send_signal(signal.SIGINT)
        self.proc.stdout.read()
        self.proc.wait(timeout=30)


def cpu_per_poll(target):
    """CPU nanoseconds a poll over one second of the yield loop."""
    target.stdout.readline()
    begin = cpu_ns(target.pid)
    line = json.loads(target.stdout.readline())
    return (cpu_ns(target.pid) - begin) / max(line["polls"], 1)


def bench_cost():
    modes = ["none", "empty", "level1", "level2", "level3"]
    samples = {m: [] for m in modes}
    target = app("yieldloop", 10, 1)
    for _ in range(ROUNDS):
        for mode in modes:
            watcher = Watcher(mode, target.pid)
            samples[mode].append(cpu_per_poll(target))
            watcher.stop()
    target.kill()
    target.wait()
    plain = statistics.median(samples["none"])
    cost = {m: statistics.median(samples[m]) - plain for m in modes[1:]}
    print(f"  {'':8} {'ns a poll':>10} {'added':>8} {'x empty':>8}   min .. max")
    for m in modes:
        added = cost.get(m, 0)
        ratio = f"{added / cost['empty']:.2f}" if m in cost else ""
        print(f"  {m:8} {statistics.median(samples[m]):10.0f} {added:8.0f} {ratio:>8}   "
              f"{min(samples[m]):.0f} .. {max(samples[m]):.0f}")
    return {"ns": cost, "plain_ns": plain, "level1_ratio": cost["level1"] / cost["empty"],
            "level2_ratio": cost["level2"] / cost["empty"],
            "level3_ratio": cost["level3"] / cost["empty"]}


def bench_attach():
    target = app("manytypes")
    times = []
    for _ in range(5):
        begin = time.monotonic()
        proc = subprocess.Popen([STALLTOP, "top", "--json", "-p", str(target.pid)],
                                stdout=subprocess.PIPE, text=True)
        header = json.loads(wait_line(proc.stdout, 20, "header"))
        times.append(time.monotonic() - begin)
        proc.send_signal(signal.SIGINT)
        proc.communicate()
    types = header["targets"][0]["runtimes"][0]["task_types"]
    size = os.path.getsize(os.path.join(APPS, "manytypes"))
    target.kill()
    target.wait()
    print(f"  {types} task types in {size >> 20} MiB: first event after "
          f"{statistics.median(times):.2f} s (worst {max(times):.2f} s)")
    return {"types": types, "bytes": size, "median_s": statistics.median(times),
            "worst_s": max(times)}


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith("VmRSS"):
                return int(line.split()[1])
    return 0


def bench_agent():
    target = app("idle10k")
    proc = subprocess.Popen([STALLTOP, "top", "--json", "-p", str(target.pid)],
                            stdout=subprocess.PIPE, text=True)
    wait_line(proc.stdout, 20, "header")
    time.sleep(3)
    begin_cpu, begin = cpu_ns(proc.pid), time.monotonic()
    time.sleep(10)
    share = (cpu_ns(proc.pid) - begin_cpu) / 1e9 / (time.monotonic() - begin)
    rss = rss_kib(proc.pid)
    proc.send_signal(signal.SIGINT)
    footer = json.loads(proc.communicate()[0].splitlines()[-1])
    target.kill()
    target.wait()
    rate = footer["polls"] / (footer["duration_ns"] / 1e9)
    print(f"  {footer['tasks_seen']} tasks, {rate:.0f} polls/s: agent {share * 100:.2f} % of a "
          f"core, {rss / 1024:.1f} MiB; cost to the target {footer['overhead_pct']:.2f} %")
    return {"cpu_ratio": share, "rss_kib": rss, "polls_per_s": rate,
            "tasks": footer["tasks_seen"]}


def bench_latency():
    """From the moment a poll crosses its threshold to the line about it, while it is still open."""
    target = app("planted", "sleep", 1000, 6, 4000)
    proc = subprocess.Popen([STALLTOP, "top", "--json", "-p", str(target.pid)],
                            stdout=subprocess.PIPE, text=True)
    seen = []
    while len(seen) < 200 and proc.poll() is None:
        if not select.select([proc.stdout], [], [], 6)[0]:
            break
        line = proc.stdout.readline()
        now = time.monotonic_ns()
        if '"type":"finding"' in line:
            seen.append((now, json.loads(line)))
        if target.poll() is not None:
            break
    proc.send_signal(signal.SIGINT)
    proc.communicate()
    target.terminate()
    polls = [json.loads(line) for line in target.stdout.read().splitlines() if '"start_ns"' in line]
    delays = []
    for poll in polls:
        at = [t for t, f in seen if poll["start_ns"] < t < poll["end_ns"]]
        if at:
            delays.append((at[0] - poll["start_ns"]) / 1e6 - 10)
    target.wait()
    if not delays:
        sys.exit("no open poll was reported")
    print(f"  {len(delays)} of {len(polls)} polls of 1 s reported while open, "
          f"{statistics.median(delays):.0f} ms after 10 ms were over (worst {max(delays):.0f} ms)")
    return {"polls": len(polls), "reported_open": len(delays),
            "median_ms": statistics.median(delays), "worst_ms": max(delays)}


BENCHES = {
    "cost": ("cost of a poll, of an empty uprobe, of levels 1 and 2, of level 3 with the wake",
             bench_cost),
    "attach": ("attach to a large binary", bench_attach),
    "agent": ("stalltop's own use", bench_agent),
    "latency": ("how soon an open poll is reported", bench_latency),
}


def main():
    wanted = sys.argv[1:] or list(BENCHES)
    results = {"load": os.getloadavg()[0], "kernel": os.uname().release}
    for name in wanted:
        if name not in BENCHES:
            sys.exit(f"no benchmark {name}: {', '.join(BENCHES)}")
        title, bench = BENCHES[name]
        print(f"{name}: {title}", flush=True)
        results[name] = bench()
    with open(os.path.join(OUT, "bench", "results.json"), "w", encoding="ascii") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
