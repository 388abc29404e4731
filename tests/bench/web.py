# SPDX-License-Identifier: LGPL-2.1-or-later
"""What watching does to the latencies of a web server (axum): requests at a fixed rate, in turns with
and without stalltop at its defaults. Ratios are of neighbouring turns, within one run.
"""
import json
import os
import statistics
import subprocess
import time

import pairs
from peers import SETTLE_S, build, start, watching

ROUNDS = int(os.environ.get("BENCH_WEB_ROUNDS", "20"))
SECONDS, CONNECTIONS, RATE = 4, 16, 8000  # requests a second; each is some polls


def turn(path, address):
    return json.loads(subprocess.run([path, "paced", address, str(CONNECTIONS), str(RATE), str(SECONDS)],
                                     capture_output=True, text=True, check=True).stdout)


def watched(path, address, pid):
    with watching(pid):
        warm = subprocess.Popen([path, "paced", address, str(CONNECTIONS), str(RATE), "3"],
                                stdout=subprocess.DEVNULL)
        time.sleep(SETTLE_S)
        warm.wait()
        return turn(path, address)


def bench_web():
    path, why = build("plain")
    if not path:
        print(f"    not measured: {why}")
        return None
    target, _, ready = start([path, "web"])
    rows = {"none": [], "stalltop": []}
    try:
        for i in range(ROUNDS):
            for mode in list(rows) if i % 2 else reversed(rows):
                rows[mode].append(turn(path, ready[1]) if mode == "none" else
                                  watched(path, ready[1], target.pid))
    finally:
        target.kill()
        target.wait()
    results = {}
    for key in ("p50_ns", "p99_ns", "p999_ns"):
        none, watched_ = ([r[key] for r in rows[mode]] for mode in rows)
        results[key] = pairs.ratio(none, watched_) | {
            mode: statistics.median(r[key] for r in seen) for mode, seen in rows.items()}
        print(f"  {key[:-3]}: {results[key]['none'] / 1000:.0f} us alone, {results[key]['stalltop'] / 1000:.0f} us "
              f"watched: {pairs.text(results[key])}")
    return results | {"rate": statistics.median(r["rate"] for r in rows["none"])}
