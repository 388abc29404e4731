# SPDX-License-Identifier: LGPL-2.1-or-later
"""What watching takes, counted and not compared: the time of our programs in the kernel, as the kernel
counts it (BPF_ENABLE_STATS, which is itself in it), as a share of the CPU time that the target uses, and
the CPU time of stalltop itself as a share of all CPUs.

Ratios of a loop watched and not watched say what the program loses, but move by some percent from one
second to the next on a shared machine; a share of a tenth of a percent shows here only. What is not in it:
the traps that lead to our programs (a probe's costs most of a hit; level 0 has no probes), and what is
done around a sample, which is told as their number.
"""
import os
import statistics
import time

from peers import SETTLE_S, WORKLOADS, build, cpu_s, run_wrk, start, watching

ROUNDS = int(os.environ.get("BENCH_SHARES_ROUNDS", "3"))
SECONDS = 4
MODES = {"level 0": ["--level", "0"], "default": []}
PROG_TYPE_PERF_EVENT = 7


def bpf_programs(pid):
    """What the kernel says of each BPF program that the process holds, by its names: prog_type, run_cnt .."""
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
                info = dict(line.split(":", 1) for line in f if ":" in line)
        except OSError:
            continue
        if "run_time_ns" in info:
            yield {key: int(info[key]) for key in ("prog_type", "run_time_ns", "run_cnt")}


def counted(target, tool):
    """(now, CPU seconds of both, nanoseconds in all programs of the tool, runs of those that samples start)"""
    infos = list(bpf_programs(tool))
    return (time.monotonic(), cpu_s(target), cpu_s(tool), sum(i["run_time_ns"] for i in infos),
            sum(i["run_cnt"] for i in infos if i["prog_type"] == PROG_TYPE_PERF_EVENT))


def share(path, workload, options):
    target, _, ready = start([path, workload])
    wrk = run_wrk(ready[1], 2 * SETTLE_S + SECONDS) if workload == "web" else None
    try:
        with watching(target.pid, *options) as tool:
            time.sleep(SETTLE_S)
            begin = counted(target.pid, tool.pid)
            time.sleep(SECONDS)
            end = counted(target.pid, tool.pid)
        wall, used, own, ns, samples = (b - a for a, b in zip(begin, end))
        return {"programs": ns / 1e9 / used, "core": ns / 1e9 / wall, "own": own / wall / os.cpu_count(),
                "samples_s": samples / wall}
    finally:
        for proc in (wrk, target):
            if proc:
                proc.kill()
                proc.wait()


def bench_shares():
    path, why = build("plain")
    if not path:
        print(f"    not measured: {why}")
        return None
    results = {}
    for workload, what in WORKLOADS.items():
        print(f"  {workload}: {what}")
        results[workload] = {}
        for mode, options in MODES.items():
            rows = [share(path, workload, options) for _ in range(ROUNDS)]
            results[workload][mode] = {k: [r[k] for r in rows] for k in rows[0]}
            part, core, own, samples = (statistics.median(r[k] for r in rows) for k in rows[0])
            print(f"    {mode}: our programs {part:.3%} of the target's CPU time (at most "
                  f"{max(r['programs'] for r in rows):.3%}), {core:.3%} of a core, stalltop {own:.2%} of all CPUs, "
                  f"{samples:.0f} samples a second", flush=True)
    return results
