# SPDX-License-Identifier: LGPL-2.1-or-later
"""worker-tuning, by doing what it says: a load that computes, with the advised number of workers
and with others. What counts are ratios to the advised number, of medians, in turns within one run.
"""
import json
import os
import statistics
import subprocess
import time

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = 3  # of each turn, after one to get going


def advised(stalltop, app, cpus):
    """What stalltop says of four times as many workers as CPUs."""
    proc = app("faults", "worker-tuning", "bench", 4 * cpus)
    try:
        said = subprocess.run([stalltop, "check", "-p", str(proc.pid), "--json", "--duration",
                               "12s"], capture_output=True, text=True).stdout
    finally:
        proc.kill()
        proc.wait()
    for line in map(json.loads, said.splitlines()):
        if line["type"] == "finding" and line["rule"] == "worker-tuning":
            print(f"stalltop: {line['message']}")
            return int(line["values"]["runtime.workers_advised"])
    return None


def turn(app, cpu_ns, workers):
    """Tiles a second, the 99th percentile of a preview in ms, and the CPUs that it was given."""
    proc = app("faults", "worker-tuning", "bench", workers)
    try:
        proc.stdout.readline()
        cpu, begin = cpu_ns(proc.pid), time.monotonic_ns()
        lines = [json.loads(proc.stdout.readline()) for _ in range(SECONDS)]
        cpus = (cpu_ns(proc.pid) - cpu) / (time.monotonic_ns() - begin)
    finally:
        proc.kill()
        proc.wait()
    return (statistics.mean(o["tiles"] for o in lines),
            statistics.median(o["p99_us"] for o in lines) / 1000, cpus)


def bench_workers(stalltop, app, cpu_ns):
    cpus = len(os.sched_getaffinity(0))
    best = advised(stalltop, app, cpus)
    if best is None:
        print("worker-tuning found nothing: the machine was too busy for it")
        return None
    counts = sorted({n for n in (best - 1, best, best + 1, 2 * best, 4 * best) if n > 0})
    seen = {n: [] for n in counts}
    for _ in range(ROUNDS):
        for n in counts:
            seen[n].append(turn(app, cpu_ns, n))
    tiles, p99, got = ({n: statistics.median(one[i] for one in seen[n]) for n in counts}
                       for i in range(3))
    print(f"{'workers':>8} {'tiles/s':>9} {'of advised':>11} {'preview p99':>12} {'of advised':>11}"
          f" {'CPUs given':>11}")
    for n in counts:
        print(f"{n:>8} {tiles[n]:>9.0f} {tiles[n] / tiles[best]:>11.2f} {p99[n]:>9.1f} ms"
              f" {p99[n] / p99[best]:>11.2f} {got[n]:>11.2f}" + ("  advised" if n == best else ""))
    if got[max(counts)] < 0.9 * cpus:
        print(f"the machine had other work: of {cpus} CPUs {got[max(counts)]:.2f} were given")
    return {"advised": best, "tiles": tiles, "p99_ms": p99, "cpus": got}
