#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/benchmarks.md and its plots, from what `make bench ARGS="peers recorders runtimes"` measured.

    tests/bench/page.py [RESULTS]      .output/bench/results.json
"""
import json
import os
import sys
from statistics import median

import runtimes
from peers import RECORDERS, ROOT, TOOLS, WORKLOADS

DOCS = os.path.join(ROOT, "docs")
# Readable without colour: the name stands at each bar.
BAR, GRID, LABEL, WIDTH, ROW = "#4878a8", "#c8c8c8", 120, 620, 16

REMARKS = {
    "yield": "On two workers this loop has two speeds by itself, some 14 and 22 million a second, for seconds at a time, watched or not: which of them a median "
             "of few rounds is, is chance. What stalltop's default and level 0 cost it is below, by ratios of many turns and counted.",
}


def times(one, base, key):
    return one[key][0] / base[key][0] if one.get(key) and base.get(key) else None


def percent(ratio):
    return f"{100 * (ratio - 1):+.1f} %" if ratio else "n/a"


def rounds(one, key):
    """The median of the rounds, the least and the most."""
    return "{:.0f} ({:.0f} to {:.0f})".format(*one[key])


def row(tool, one, base):
    if "why" in one:
        return f"| {tool} | not measured: {one['why']} | | | | | |"
    p99 = f"{one['p99_us'][0]:.0f} µs" if one.get("p99_us") else ""
    cpu = f"{one['tool_cpu_pct'][0]:.1f} %" if one.get("tool_cpu_pct") else ""
    return (f"| {tool} | {rounds(one, 'ops_s')} | {percent(times(one, base, 'ops_s'))} | "
            f"{percent(times(one, base, 'cpu_ns_op'))} | {one['rss_kib'][0] / 1024:.1f} MiB | {p99} | {cpu} |")


def peers(results):
    for workload, what in WORKLOADS.items():
        rows = results[workload]
        yield f"### {workload}: {what}\n"
        if workload in REMARKS:
            yield REMARKS[workload] + "\n"
        yield ("| | a second | against none | CPU an operation | memory of the program | p99 | CPU of the tool, "
               "of a core |\n|---|---|---|---|---|---|---|")
        for tool in TOOLS:
            yield row(tool, rows.get(tool, {"why": "no result"}), rows.get("none", {}))
        yield ""


def recorders(results):
    for workload, rows in results.items():
        yield f"### Recording, {workload}: {WORKLOADS[workload]}\n"
        yield "| | bytes an operation | CPU more an operation | of it the tool's own |\n|---|---|---|---|"
        base = rows["none"]["cpu_ns_op"][0]
        for name in RECORDERS:
            if name in rows and name != "none":
                one = rows[name]
                yield (f"| {name} | {one['bytes_op'][0]:.1f} | {one['cpu_ns_op'][0] - base:+.0f} ns | "
                       f"{one['tool_ns_op'][0]:.0f} ns |")
        yield ""


def on_pairs(results):
    """What needs more than a median: ratios of neighbouring turns, and what an interval of them allows to say."""
    yield "## Ratios of neighbouring turns\n"
    yield ("With stalltop against without: the median of the ratios of turns that followed each other, and the interval that holds it with 95 % "
           "(sign test). An interval with 1 in it shows no difference. The yield loop on two workers has two speeds by itself (88 and 145 ns a poll, for seconds at a "
           "time, watched or not), so the turns that cost least are compared, too.\n")
    yield "| | what | ratio | interval | pairs | of the cheapest turns |\n|---|---|---|---|---|---|"
    for loop, seen in results.get("budget", {}).get("loop", {}).items():
        for mode, one in seen["against_unwatched"].items():
            if mode != "unwatched":
                least = min(seen["ns"][mode]) / min(seen["ns"]["unwatched"])
                yield pair_row(f"yield loop, {loop}, {mode}", "CPU a poll", one, f"×{least:.3f}")
    for key, one in results.get("web", {}).items():
        if key != "rate":
            yield pair_row(f"web server, {results['web']['rate']:.0f} requests/s, default",
                           f"{key[:-3]}: {one['none'] / 1000:.0f} µs alone", one)
    yield ""


def pair_row(name, what, one, least=""):
    interval = "too few" if one["low"] is None else f"{one['low']:.3f} to {one['high']:.3f}"
    return f"| {name} | {what} | ×{one['ratio']:.3f} | {interval} | {one['pairs']} | {least} |"


def on_shares(results):
    yield "## What watching takes, counted\n"
    yield ("The time of our programs in the kernel, as the kernel counts it, of the CPU time that the program used, and of a core (the budget counts a "
           "program as one that uses a tenth of a core at least); and stalltop's own CPU time, of all CPUs: the median of the rounds and the most. Not in it are the traps that lead to a probe's program (level 0 has no probes), and what the "
           "kernel does around a sample, of which there are so many.\n")
    yield "| | | our programs | most | of a core | stalltop, of all CPUs | samples a second |\n|---|---|---|---|---|---|---|"
    for workload, modes in results.items():
        for mode, one in modes.items():
            yield (f"| {workload} | {mode} | {median(one['programs']):.3%} | {max(one['programs']):.3%} | {median(one['core']):.3%} | "
                   f"{median(one['own']):.2%} | {median(one['samples_s']):.0f} |")
    yield ""


def on_stalls(results):
    """Stalls of 20 ms, planted and found."""
    yield "## Stalls of 20 ms under the default budget\n"
    yield "| | planted | found | the right culprit |\n|---|---|---|---|"
    for kind, one in results.items():
        yield f"| {kind} | {one['planted']} | {one['found']} | {'yes' if one['culprit'] else 'no'} |"
    yield ""


def on_runtimes(results):
    """The three runtimes: a table a workload, and the claim about memory."""
    yield "## Tokio, async-std and smol on the same workloads\n"
    yield ("Written from `make bench-runtimes` (`tests/bench/runtimes`: one program, two workers, the channel of the crate async-channel "
           "everywhere). Operations, CPU and memory of the process are of turns that nobody watches; the rest is what `stalltop dump --level 3` "
           "says of the type with the most polls, in turns of its own: its probes make a short poll longer.\n")
    yield "![operations a second, memory of 10 000 tasks](benchmarks-runtimes.svg)\n"
    for workload, what in runtimes.WORKLOADS.items():
        yield f"### {workload}: {what}\n"
        yield ("| | a second | CPU an operation | poll p50 | p99 | wake to poll p50 | p99 | a task | memory of 10 000 tasks |\n"
               "|---|---|---|---|---|---|---|---|---|")
        for name, one in results[workload].items():
            size = f"{one['task_bytes'][0]:.0f} bytes" if one.get("task_bytes") else "n/a"
            memory = f"{one['memory_kib'][0] / 1024:.2f} MiB" if one.get("memory_kib") else ""
            yield (f"| {name} | {rounds(one, 'ops_s')} | {one['cpu_ns_op'][0]:.0f} ns | " +
                   " | ".join(f"{runtimes.us(one, key)} µs" for key in runtimes.LATENCIES) + f" | {size} | {memory} |")
        yield ""
    yield from answer(results["claim"])
    if "cost" not in results:
        return
    yield "### What watching adds to a poll, on each\n"
    yield "Nanoseconds of CPU (least .. most of the rounds), from `pingpong`, two polls for a message there and back; all probes in (`--overhead 100%`).\n"
    yield "| | unwatched | level 0 | level 1 | level 2 | level 3 |\n|---|---|---|---|---|---|"
    for name, seen in results["cost"].items():
        base = seen["none"][0]
        yield f"| {name} | {base:.0f} ({seen['none'][1]:.0f} .. {seen['none'][2]:.0f}) | " + " | ".join(
            f"{seen[level][0] - base:+.0f} ({seen[level][1] - base:+.0f} .. {seen[level][2] - base:+.0f})" for level in "0123") + " |"
    yield ""


def answer(claim):
    yield "### \"Tokio needs 18 % more memory per 10 000 tasks\"\n"
    yield ("What Tokio takes more (+) or less (-) than the other, for the same tasks: memory of the process that 10 000 of them add, "
           "and of the tasks' own allocations as stalltop reads them.\n")
    yield "| tasks | against | memory of the process | of the tasks themselves |\n|---|---|---|---|"
    for workload, others in claim.items():
        for other, more in others.items():
            yield f"| {workload} | {other} | " + " | ".join(
                f"{more[key]:+.0f} %" if more[key] is not None else "n/a" for key in ("memory_kib", "task_bytes")) + " |"
    seen = [more["memory_kib"] for others in claim.values() for more in others.values() if more["memory_kib"] is not None]
    if seen:
        yield (f"\nThe answer: {min(seen):+.0f} to {max(seen):+.0f} %, by what the tasks wait for and by which of the two it is compared with; "
               "no single number is a property of Tokio. Its tasks are padded to a multiple of 128 bytes (since 1.29, against false sharing), which weighs "
               "most where the future is small.")
    yield ""


def bars(groups):
    """(title, [(name, length of 1, label)]) each: an SVG."""
    out, y = [], 20
    full = LABEL + (WIDTH - LABEL - 110)
    for title, rows in groups:
        out.append(f'<text x="4" y="{y}" font-weight="bold">{title}</text>')
        y += 6
        for name, share, label in rows:
            length = min(share, 1.2) * (full - LABEL)
            out.append(f'<text x="{LABEL - 6}" y="{y + 12}" text-anchor="end">{name}</text>')
            out.append(f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 4}" fill="{BAR}"/>')
            out.append(f'<text x="{LABEL + length + 5:.1f}" y="{y + 12}">{label}</text>')
            y += ROW
        y += 26
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="#ffffff"/>'
            f'<line x1="{full}" y1="24" x2="{full}" y2="{y - 26}" stroke="{GRID}"/>' + "\n".join(out) + "</svg>\n")


def plot_peers(results):
    """A bar for each tool: operations a second, of those that the unwatched program makes."""
    for workload, what in WORKLOADS.items():
        base = results[workload].get("none", {})
        ratios = {t: times(results[workload].get(t, {}), base, "ops_s") for t in TOOLS}
        yield f"{workload}: {what}", [(tool, ratio or 0, f"{100 * ratio:.1f} %" if ratio else "not measured")
                                      for tool, ratio in ratios.items()]


def plot_runtimes(results):
    """A bar for each runtime, of the largest."""
    for workload, what in runtimes.WORKLOADS.items():
        memory = workload in ("timers", "parked")
        key, unit = ("memory_kib", "KiB for 10 000 tasks") if memory else ("ops_s", "a second")
        most = max(one[key][0] for one in results[workload].values())
        yield f"{workload}: {what}", [(name, one[key][0] / most, f"{one[key][0]:.0f} {unit}")
                                      for name, one in results[workload].items()]


def write(name, text):
    with open(os.path.join(DOCS, name), "w", encoding="utf-8") as f:
        f.write(text)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".output/bench/results.json")
    with open(path, encoding="ascii") as f:
        results = json.load(f)
    text = ["# What watching costs\n",
            f"Written by `tests/bench/page.py` from runs of `make bench ARGS=\"peers recorders budget web shares\"` on {os.cpu_count()} "
            f"cores of a shared virtual machine, Linux {results['kernel']}. Each workload runs under each tool in turn, in one run; "
            "a number is the median of the rounds, with the least and the most. A difference within that says nothing.\n",
            "Every build is what its maker asks for: tokio-console needs `tokio_unstable` and its layer, dial9 `tokio_unstable`, frame pointers and "
            "its own `main`; stalltop and the probe pair watch the plain build. `stalltop` is with its default overhead budget, the levels are without one (`--overhead 100%`), and so is `exact`, level 2 with `--exact`.\n",
            "With its default budget stalltop costs the program little on every row, and sees less of the hottest task types (it says so). Where each poll is "
            "to be recorded or counted (levels 1 to 3, `record --polls`), dial9 takes less CPU than stalltop wherever polls are short: its hooks are compiled "
            "into the program and cost some 0.2 us an operation, a probe that the kernel puts into a program that nobody prepared about 1 us each. No tool that attaches from "
            "outside is without that cost: `entry+return` is the pair that others place, and costs more than level 2.\n",
            "hud is not measured: it is on no registry, and its repository cannot be reached from the machine that this ran on.\n",
            "![operations a second](benchmarks.svg)\n", *peers(results["peers"])]
    if "recorders" in results:
        text += recorders(results["recorders"])
    if "budget" in results or "web" in results:
        text += on_pairs(results)
    if results.get("shares"):
        text += on_shares(results["shares"])
    if "stalls" in results.get("budget", {}):
        text += on_stalls(results["budget"]["stalls"])
    if "runtimes" in results:
        text += on_runtimes(results["runtimes"])
        write("benchmarks-runtimes.svg", bars(plot_runtimes(results["runtimes"])))
    write("benchmarks.md", "\n".join(text))
    write("benchmarks.svg", bars(plot_peers(results["peers"])))


if __name__ == "__main__":
    main()
