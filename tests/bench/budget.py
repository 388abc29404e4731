# SPDX-License-Identifier: LGPL-2.1-or-later
"""The overhead budget: what a hot loop loses under the defaults, and which stalls are still found.

Polls are counted by the programs themselves. A loss is told as CPU time a poll, which a busy machine
disturbs little, of stretches that take turns; each begins when the budget has settled.
"""
import json
import os
import queue
import signal
import statistics
import subprocess
import threading
import time

import pairs

SETTLE_S = 2.5
STRETCH_S = int(os.environ.get("BENCH_BUDGET_SECONDS", "4"))
ROUNDS = int(os.environ.get("BENCH_BUDGET_ROUNDS", "12"))
STALLS = int(os.environ.get("BENCH_BUDGET_STALLS", "100"))
MODES = {"unwatched": None, "default": [], "level 0": ["--level", "0"]}


class Lines:
    """JSON lines of a process, as they come."""

    def __init__(self, proc):
        self.proc, self.lines, self.queue = proc, [], queue.Queue()
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self):
        for line in self.proc.stdout:
            if line.startswith("{"):
                self.lines.append(json.loads(line))
                self.queue.put(self.lines[-1])
        self.queue.put(None)

    def until(self, wanted, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                obj = self.queue.get(timeout=left)
            except queue.Empty:
                return None
            if obj is None:
                return None
            if wanted(obj):
                return obj
        return None


class Watch(Lines):
    def __init__(self, stalltop, pid, options):
        super().__init__(subprocess.Popen([stalltop, "top", "--json", "-p", str(pid), *options],
                                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL, text=True))
        assert self.until(lambda o: o["type"] == "header", 60), f"did not attach: {options}"

    def stop(self):
        self.proc.send_signal(signal.SIGINT)
        self.proc.wait(timeout=60)
        self.until(lambda o: o["type"] == "footer", 10)
        return next(o for o in reversed(self.lines) if o["type"] == "footer")


def loop_cost(stalltop, app, tasks, workers):
    """Nanoseconds of CPU a poll of the yield loop, in each mode; the order turns round each time."""
    target = app("yieldloop", tasks, workers)
    lines, cost, windows = Lines(target), {m: [] for m in MODES}, []
    for i in range(ROUNDS):
        for mode, options in list(MODES.items())[::1 if i % 2 else -1]:
            watch = None if options is None else Watch(stalltop, target.pid, options)
            time.sleep(SETTLE_S if watch else 1.2)
            begin = len(lines.lines)
            time.sleep(STRETCH_S)
            took = lines.lines[begin + 1:]  # the first began before
            cost[mode].append(sum(o["cpu_ns"] for o in took) / sum(o["polls"] for o in took))
            if watch:
                footer = watch.stop()
                windows += [footer["windows"]] if mode == "default" else []
    target.kill()
    target.wait()
    return cost, windows


def stalls_found(stalltop, app, kind):
    """Planted and found polls of 20 ms, after the settling: (found, planted, where, learned_s)."""
    target = app("planted", kind, 20, STALLS + 60, 150, 2, 10)
    lines = Lines(target)
    watch = Watch(stalltop, target.pid, [])
    begin = time.monotonic()
    sampled = watch.until(lambda o: o["type"] == "note" and "for moments only" in o["text"], 10)
    site = "planted::hot" if kind.startswith("hot-") else f"planted::planted_{kind}"
    rule = "cpu-bound-poll" if kind.endswith("burn") else "blocking-call"
    time.sleep(SETTLE_S)
    ours = lambda o: o["type"] == "finding" and o["site"] == site and o["rule"] == rule
    settled_ns = time.monotonic_ns()
    planted = []
    while len(planted) < STALLS and target.poll() is None:
        time.sleep(0.5)
        planted = [p for p in list(lines.lines) if "ms" in p and p["start_ns"] > settled_ns]
    time.sleep(1)
    watch.stop()
    target.kill()
    target.wait()
    findings = [o for o in watch.lines if ours(o)]
    planted = [p for p in lines.lines if "ms" in p and p["start_ns"] > settled_ns]
    before = [o for o in findings if o["last_ns"] < planted[0]["start_ns"]]
    found = (findings[-1]["count"] if findings else 0) - (before[-1]["count"] if before else 0)
    right = bool(findings) and findings[-1]["culprit"] is not None and \
        findings[-1]["culprit"]["function"] in (site, "planted::common::checksum",
                                                "planted::burn")
    first = findings[0]["first_ns"] / 1e9 - begin if findings else None
    return {"found": min(found, len(planted)), "planted": len(planted), "culprit": right,
            "sampled": sampled is not None, "first_s": first}


def bench_budget(stalltop, app):
    results = {"loop": {}, "stalls": {}}
    for tasks, workers in ((100, 2), (10, 1)):
        cost, windows = loop_cost(stalltop, app, tasks, workers)
        print(f"  yield loop, {tasks} tasks on {workers} workers, {ROUNDS} rounds of {STRETCH_S} s; "
              f"windows: {windows}")
        more = {m: pairs.ratio(cost["unwatched"], c) for m, c in cost.items()}
        for mode, list_ in cost.items():
            print(f"    {mode:10} {statistics.median(list_):7.1f} ns of CPU a poll "
                  f"({min(list_):.1f} to {max(list_):.1f}): {pairs.text(more[mode])}")
        results["loop"][f"{tasks} tasks, {workers} workers"] = {
            "ns": cost, "windows": windows, "against_unwatched": more}
    for kind in ("sleep", "futex", "burn", "hot-sleep", "hot-futex", "hot-burn"):
        r = results["stalls"][kind] = stalls_found(stalltop, app, kind)
        print(f"    20 ms {kind:10} {r['found']:4} of {r['planted']} found, culprit "
              f"{'right' if r['culprit'] else 'not told' if not r['found'] else 'WRONG'}", flush=True)
    return results
