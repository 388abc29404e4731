# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tokio, async-std and smol on the same workloads (tests/bench/runtimes), with what stalltop sees there.

Operations, CPU time and memory of the process are taken while nobody watches; latencies and the size
of a task then come from `stalltop dump --level 3`, in a turn of its own. The runtimes take turns
within one run; a number is the median of the rounds.
"""
import json
import os
import signal
import statistics
import subprocess
import time

from peers import STALLTOP, cargo_build, median_of, rss_kib, sample, start

ROUNDS = int(os.environ.get("RUNTIMES_ROUNDS", "5"))
SETTLE_S, MEASURE_S = 1.0, 2.0
TASKS = 10_000
CONNECTIONS = 16
RUNTIMES = ("tokio", "async-std", "smol")
WORKLOADS = {
    "storm": "tasks that are spawned and end",
    "pingpong": "messages there and back between two tasks, 100 pairs",
    "timers": f"{TASKS} tasks, a timer of 1 s each",
    "echo": f"echoes of 64 bytes over TCP, {CONNECTIONS} connections",
    "parked": f"{TASKS} tasks that wait for a channel, woken once a second",
}
LATENCIES = ("p50_ns", "p99_ns", "delay_p50_ns", "delay_p99_ns")


def dump(pid):
    """The task type with the most polls, as stalltop sees it."""
    run = subprocess.run([STALLTOP, "dump", "-p", str(pid), "--level", "3", "--overhead", "100%",
                          "--duration", "3s", "--json"], capture_output=True, text=True, check=False)
    sites = [line for line in map(json.loads, run.stdout.splitlines()) if line["type"] == "site"]
    return max(sites, key=lambda s: s["polls"]) if sites else {}


def turn(path, workload, watched, tasks=None):
    target, lines, ready = start([path, workload] + ([str(tasks)] if tasks is not None else []))
    client = None
    try:
        if not ready:
            return None
        if workload == "echo":
            client = subprocess.Popen([path, "client", ready[1], str(CONNECTIONS)])
        first = sample(lines, time.monotonic() + SETTLE_S)
        if watched:
            site = dump(target.pid)
            return {k: site.get(k) for k in (*LATENCIES, "task_bytes")} | {"site": site.get("site")}
        last = sample(lines, time.monotonic() + MEASURE_S)
        ops, seconds = last["ops"] - first["ops"], (last["time_ns"] - first["time_ns"]) / 1e9
        return {"ops_s": ops / seconds, "cpu_ns_op": (last["cpu_ns"] - first["cpu_ns"]) / max(ops, 1),
                "rss_kib": rss_kib(target.pid)}
    finally:
        for proc in (client, target):
            if proc:
                proc.kill()
                proc.wait()


def pingpong_ns(path, level):
    """CPU time of the program, a message there and back (two polls at least), at that level; None: alone."""
    target, lines, ready = start([path, "pingpong"])
    tool = None
    try:
        if not ready:
            return None
        if level is not None:
            tool = subprocess.Popen([STALLTOP, "top", "--json", "-p", str(target.pid), "--overhead", "100%",
                                     "--level", str(level)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            tool.stdout.readline()
        first = sample(lines, time.monotonic() + SETTLE_S)
        last = sample(lines, time.monotonic() + MEASURE_S)
        polls = (last["ops"] - first["ops"]) * 2
        if tool:
            tool.send_signal(signal.SIGINT)
            tool.communicate()
        return (last["cpu_ns"] - first["cpu_ns"]) / polls
    finally:
        for proc in (tool, target):
            if proc:
                proc.kill()
                proc.wait()


def cost(paths):
    """What a level adds to a poll, on each runtime."""
    levels = (None, 0, 1, 2, 3)
    seen = {runtime: {level: [] for level in levels} for runtime in paths}
    for _ in range(ROUNDS):
        for runtime, path in paths.items():
            for level in levels:
                seen[runtime][level].append(pingpong_ns(path, level))
    results = {}
    print("  cost a poll (pingpong: two for a message there and back), ns of CPU more than unwatched")
    for runtime, by in seen.items():
        results[runtime] = {"none" if level is None else str(level): (statistics.median(all_), min(all_), max(all_))
                            for level, all_ in by.items()}
        base = results[runtime]["none"]
        print(f"    {runtime:10} {base[0]:.0f} ns unwatched ({base[1]:.0f} .. {base[2]:.0f}); " + ", ".join(
            f"level {level} {one[0] - base[0]:+.0f} ({one[1] - base[0]:+.0f} .. {one[2] - base[0]:+.0f})"
            for level, one in results[runtime].items() if level != "none"), flush=True)
    return results


def median_row(rows):
    rows = [r for r in rows if r]
    return {k: median_of(rows, k) for k in rows[0] if k != "site"} if rows else None


def one_runtime(path, workload):
    row = turn(path, workload, False)
    seen = turn(path, workload, True)
    if not row or not seen:
        return None
    if workload in ("timers", "parked"):
        row["memory_kib"] = row["rss_kib"] - turn(path, workload, False, 1)["rss_kib"]
    return row | seen


def us(one, key):
    return f"{one[key][0] / 1000:.1f}" if one.get(key) else "n/a"


def say(runtime, one):
    memory = (f"; {TASKS} tasks {one['memory_kib'][0] / 1024:.2f} MiB"
              if one.get("memory_kib") else "")
    size = f"{one['task_bytes'][0]:.0f}" if one.get("task_bytes") else "n/a"
    print(f"    {runtime:10} {one['ops_s'][0]:10.0f} a second ({one['ops_s'][1]:.0f} .. "
          f"{one['ops_s'][2]:.0f}), {one['cpu_ns_op'][0]:.0f} ns of CPU each; polls p50 "
          f"{us(one, 'p50_ns')} p99 {us(one, 'p99_ns')} us; wake to poll p50 "
          f"{us(one, 'delay_p50_ns')} p99 {us(one, 'delay_p99_ns')} us; a task {size} bytes{memory}",
          flush=True)


def claim(results):
    """How much more memory 10 000 tasks take on Tokio than on the others, in percent."""
    def more(workload, other, key):
        ours, theirs = (results[workload].get(r, {}).get(key) for r in ("tokio", other))
        return 100 * (ours[0] / theirs[0] - 1) if ours and theirs and theirs[0] > 0 else None
    return {w: {o: {k: more(w, o, k) for k in ("memory_kib", "task_bytes")}
                for o in RUNTIMES if o != "tokio"} for w in ("timers", "parked")}


def bench_runtimes():
    paths = {}
    for runtime in RUNTIMES:
        folder, why = cargo_build("runtimes", runtime, runtime)
        if not folder:
            print(f"    {runtime}: not measured: {why}")
            continue
        paths[runtime] = os.path.join(folder, "runtimes")
    results = {}
    for workload, what in WORKLOADS.items():
        rows = {runtime: [] for runtime in paths}
        for _ in range(ROUNDS):
            for runtime, path in paths.items():
                rows[runtime].append(one_runtime(path, workload))
        print(f"  {workload}: {what}")
        results[workload] = {}
        for runtime, seen in rows.items():
            one = median_row(seen)
            if one:
                results[workload][runtime] = one
                say(runtime, one)
    results["claim"] = claim(results)
    results["cost"] = cost(paths)
    for workload, others in results["claim"].items():
        for other, more in others.items():
            print(f"  {workload}: 10 000 tasks on tokio against {other}: " + ", ".join(
                f"{what} {more[key]:+.0f} %" if more[key] is not None else f"{what} n/a"
                for key, what in (("memory_kib", "memory of the process"),
                                  ("task_bytes", "of the tasks themselves"))))
    return results
