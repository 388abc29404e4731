# SPDX-License-Identifier: LGPL-2.1-or-later
"""A storm of spawns for a minute, watched from its first instruction: totals and stalltop's memory.

The program counts its tasks itself. All probes in: its total and stalltop's must be the same number.
"""
import json
import os
import re
import subprocess
import threading
import time

from peers import STALLTOP, build

SECONDS = int(os.environ.get("BENCH_STORM_SECONDS", "60"))
# A dump has all probes in, and counts by type.
MODES = {"level 2, all probes": ("dump", "--overhead", "100%"), "default": ("check",)}


def peak_kib(pid):
    """0 once it has gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1])
    except (OSError, TypeError):
        return 0


def watch_peak(proc, peaks):
    while proc.poll() is None:
        peaks.append(peak_kib(proc.pid))
        time.sleep(0.5)


def storm(path, command):
    """Tasks by the program's own count, then what stalltop says."""
    proc = subprocess.Popen([STALLTOP, *command, "--json", "--duration", f"{SECONDS + 5}s", "--",
                             path, "storm", str(SECONDS)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    peaks = []
    threading.Thread(target=watch_peak, args=(proc, peaks)).start()
    out, own = proc.communicate()  # what the program prints goes to stderr
    lines = [json.loads(line) for line in out.splitlines()]
    footer = lines[-1]
    site = max((line for line in lines if line["type"] == "site"),
               key=lambda s: s["tasks_seen"] or 0, default={})
    return {"tasks": [json.loads(line)["ops"] for line in own.splitlines() if line.startswith('{"ops"')][-1],
            "seen": site.get("tasks_seen"), "ended": site.get("tasks_ended"),
            "sampled": footer["sites_sampled"], "lost": footer["lost"] + footer["events_lost"],
            "peak_mib": max(peaks) / 1024, "agent_cpu_pct": footer["agent_cpu_pct"],
            "overhead_pct": footer["overhead_pct"]}


def verdict(one):
    if one["seen"] is None:
        return f"{one['sampled']} types sampled"
    return "exact" if one["seen"] == one["tasks"] == one["ended"] else \
        f"WRONG: seen {one['seen']}, ended {one['ended']}"


def bench_storm():
    path, why = build("plain")
    if not path:
        print(f"    not measured: {why}")
        return None
    results = {}
    for mode, command in MODES.items():
        one = results[mode] = storm(path, command)
        print(f"  {mode}: {one['tasks']} tasks ({one['tasks'] / SECONDS:.0f} a second): {verdict(one)}; "
              f"lost {one['lost']}, stalltop at most {one['peak_mib']:.0f} MiB, "
              f"{one['agent_cpu_pct']:.1f} % of a core; cost to the program {one['overhead_pct']:.1f} %",
              flush=True)
    return results
