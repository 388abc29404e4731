#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/benchmarks.md and its plot, from what `make bench ARGS="peers recorders"` measured.

    tests/bench/page.py [RESULTS]      .output/bench/results.json
"""
import json
import os
import sys

from peers import RECORDERS, ROOT, TOOLS, WORKLOADS

DOCS = os.path.join(ROOT, "docs")
# Readable without colour: the name stands at each bar.
BAR, GRID, LABEL, WIDTH, ROW = "#4878a8", "#c8c8c8", 120, 620, 16


def times(one, base, key):
    return one[key][0] / base[key][0] if one.get(key) and base.get(key) else None


def percent(ratio):
    return f"{100 * (ratio - 1):+.1f} %" if ratio else "n/a"


def spread(one, key):
    """How far the rounds lie apart, of the median."""
    return f"{100 * (one[key][2] - one[key][1]) / one[key][0] / 2:.1f} %"


def row(tool, one, base):
    if "why" in one:
        return f"| {tool} | not measured: {one['why']} | | | | | |"
    p99 = f"{one['p99_us'][0]:.0f} µs" if one.get("p99_us") else ""
    cpu = f"{one['tool_cpu_pct'][0]:.1f} %" if one.get("tool_cpu_pct") else ""
    return (f"| {tool} | {one['ops_s'][0]:.0f} ± {spread(one, 'ops_s')} | {percent(times(one, base, 'ops_s'))} | "
            f"{percent(times(one, base, 'cpu_ns_op'))} | {one['rss_kib'][0] / 1024:.1f} MiB | {p99} | {cpu} |")


def peers(results):
    for workload, what in WORKLOADS.items():
        rows = results[workload]
        yield f"### {workload}: {what}\n"
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


def plot(results):
    """A bar for each tool: operations a second, of those that the unwatched program makes."""
    out, y = [], 20
    for workload, what in WORKLOADS.items():
        base = results[workload].get("none", {})
        out.append(f'<text x="4" y="{y}" font-weight="bold">{workload}: {what}</text>')
        y += 6
        for tool in TOOLS:
            ratio = times(results[workload].get(tool, {}), base, "ops_s")
            length = min(ratio or 0, 1.2) * (WIDTH - LABEL - 90)
            out.append(f'<text x="{LABEL - 6}" y="{y + 12}" text-anchor="end">{tool}</text>')
            out.append(f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 4}" fill="{BAR}"/>')
            out.append(f'<text x="{LABEL + length + 5:.1f}" y="{y + 12}">'
                       f'{f"{100 * ratio:.1f} %" if ratio else "not measured"}</text>')
            y += ROW
        y += 26
    full = LABEL + (WIDTH - LABEL - 90)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" '
            f'font-size="11"><rect width="100%" height="100%" fill="#ffffff"/>'
            f'<line x1="{full}" y1="24" x2="{full}" y2="{y - 26}" stroke="{GRID}"/>' + "\n".join(out) + "</svg>\n")


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, ".output/bench/results.json")
    with open(path, encoding="ascii") as f:
        results = json.load(f)
    text = ["# What watching costs\n",
            f"Written by `tests/bench/page.py` from a run of `make bench ARGS=\"peers recorders\"` on {os.cpu_count()} "
            f"cores of a shared virtual machine, Linux {results['kernel']}. Each workload runs under each tool in turn, in one run; "
            "a number is the median of the rounds, ± half of what lies between the least and the most. A difference within that says nothing.\n",
            "Every build is what its maker asks for: tokio-console needs `tokio_unstable` and its layer, dial9 `tokio_unstable`, frame pointers and "
            "its own `main`; stalltop and the probe pair watch the plain build. `stalltop` is with its default overhead budget, the levels are without one (`--overhead 100%`).\n",
            "hud is not measured: it is on no registry, and its repository cannot be reached from the machine that this ran on.\n",
            "![operations a second](benchmarks.svg)\n", *peers(results["peers"])]
    if "recorders" in results:
        text += recorders(results["recorders"])
    with open(os.path.join(DOCS, "benchmarks.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(text))
    with open(os.path.join(DOCS, "benchmarks.svg"), "w", encoding="utf-8") as f:
        f.write(plot(results["peers"]))


if __name__ == "__main__":
    main()
