#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Benchmarks: what watching costs the target, what it costs itself, and how soon it speaks.

    tests/bench/run.py [cost] [block] [spawn] [attach] [agent] [latency] [view] [trace] [sdt]
                       [peers] [recorders] [runtimes] [storm] [web] [workers] [shares] [budget]
                                        all without arguments

Costs are CPU time a poll (the process's own clock), so a busy machine disturbs them little; the
compared modes take turns within one run, and ratios of medians are what counts.
"""
import ctypes
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from budget import bench_budget
from peers import bench_peers, bench_recorders
from runtimes import bench_runtimes
from shares import bench_shares, bpf_programs
from storm import bench_storm
from web import bench_web
from workers import bench_workers

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
    # They end by themselves, after two minutes otherwise.
    proc = subprocess.Popen([path, *map(str, args)], stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "STALLTOP_APP_SECONDS": "3600"})
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
            cmd = [STALLTOP, "top", "--json", "-p", str(pid), "--overhead", "100%"]
            cmd += BLOCK_MODES.get(mode) or ["--level", mode[-1]]
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


class BpfStats:
    """While in use the kernel counts the time of all BPF programs (BPF_ENABLE_STATS)."""

    def __enter__(self):
        attr = ctypes.create_string_buffer(128)  # type 0: BPF_STATS_RUN_TIME
        self.fd = ctypes.CDLL(None, use_errno=True).syscall(321, 32, attr, 128)
        if self.fd < 0:
            sys.exit(f"BPF_ENABLE_STATS: {os.strerror(ctypes.get_errno())}")
        return self

    def __exit__(self, *exc):
        os.close(self.fd)


def switch_ns(pid):
    """Time of the program at context switches: of the tracing programs the one that ran most."""
    runs = [(i["run_cnt"], i["run_time_ns"]) for i in bpf_programs(pid)
            if i["prog_type"] == 26]  # BPF_PROG_TYPE_TRACING
    return max(runs, default=(0, 0))[1]


BLOCK_MODES = {"nostacks": ["--no-feature", "stacks"], "stacks": ["--no-feature", "queues"]}


def block_costs(target, mode):
    """A second of blocks: CPU time of the process each, and of our program at the switches."""
    watcher = Watcher(mode, target.pid)
    attached = time.monotonic_ns()
    while json.loads(target.stdout.readline())["mono_ns"] < attached:
        pass  # a line from before
    cpu, bpf = cpu_ns(target.pid), switch_ns(watcher.proc.pid) if watcher.proc else 0
    blocks = max(json.loads(target.stdout.readline())["polls"], 1)
    cpu = cpu_ns(target.pid) - cpu
    bpf = switch_ns(watcher.proc.pid) - bpf if watcher.proc else 0
    watcher.stop()
    return cpu / blocks, bpf / blocks


def bench_block():
    """What a block's evidence costs. The process's clock does not see what is done after its
    thread has left the CPU: the copy of the stack; the time of the BPF program does."""
    modes, result = ["none", "nostacks", "stacks"], {}
    with BpfStats():
        for us in (50, 3000):
            target = app("yieldloop", 4, 2, 0, us)
            samples = {m: [] for m in modes}
            for _ in range(ROUNDS):
                for mode in modes:
                    samples[mode].append(block_costs(target, mode))
            target.kill()
            target.wait()
            cpu, bpf = ({m: statistics.median(s[i] for s in samples[m]) for m in modes}
                        for i in (0, 1))
            print(f"  blocks of {us} us: CPU us a block and of it x unwatched; us in the BPF program")
            for m in modes:
                print(f"    {m:9} {cpu[m] / 1000:7.2f} x{cpu[m] / cpu['none']:.2f}  {bpf[m] / 1000:6.2f}")
            evidence = bpf["stacks"] - bpf["nostacks"]
            print(f"    a block's evidence: {evidence / 1000:.2f} us")
            result[str(us)] = {"cpu_ns": cpu, "bpf_ns": bpf, "evidence_ns": evidence}
    return result


def bench_spawn():
    """A storm of spawns: tasks a second of CPU time, unwatched and watched with and without."""
    modes = {"none": None, "without": ["--no-feature", "spawns"], "with": []}
    cost, hits = {m: [] for m in modes}, []
    for _ in range(ROUNDS):
        for mode, options in modes.items():
            target = subprocess.Popen([os.path.join(APPS, "churn"), "2000000", "1", "wait"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            target.stdout.readline()
            watcher = None
            if options is not None:
                watcher = subprocess.Popen([STALLTOP, "check", "--json", "--overhead", "100%", *options,
                                            "-p", str(target.pid), "--duration", "60s"],
                                           stdout=subprocess.PIPE, text=True)
                time.sleep(1.5)  # no line comes before the end
            begin = cpu_ns(target.pid)
            target.stdin.write("\n")
            target.stdin.flush()
            line = target.stdout.readline()
            cost[mode].append((cpu_ns(target.pid) - begin) / 2e6)
            if not line:
                sys.exit("churn ended")
            target.kill()
            target.wait()
            if watcher:
                out = watcher.communicate(timeout=30)[0].splitlines()
                hits += [json.loads(out[-1])["spawn_hits"]] if mode == "with" else []
    median = {m: statistics.median(c) for m, c in cost.items()}
    for m, ns in median.items():
        print(f"  {m:8} {ns:8.0f} ns a task  x{ns / median['none']:.2f}")
    print(f"  hits of spawn probes: {statistics.median(hits):.0f} of 2000000 spawns")
    return {"ns": median, "hits": statistics.median(hits)}


def cpu_per_poll(target):
    """CPU nanoseconds a poll over one second of the yield loop, both counted by itself."""
    waited = 0
    # Lines that came while the watcher attached are of another mode; so is the second under way.
    while waited < 0.3:
        begin = time.monotonic()
        target.stdout.readline()
        waited = time.monotonic() - begin
    line = json.loads(target.stdout.readline())
    return line["cpu_ns"] / max(line["polls"], 1)


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


def bench_level0():
    """Level 0: of a loop that only polls, and of a context switch of a worker that blocks."""
    samples = {m: [] for m in ("none", "level0")}
    target = app("yieldloop", 10, 1)
    for i in range(2 * ROUNDS):
        # In turn first: what drifts is in both alike.
        for mode in list(samples) if i % 2 else reversed(samples):
            watcher = Watcher(mode, target.pid)
            samples[mode].append(cpu_per_poll(target))
            watcher.stop()
    target.kill()
    target.wait()
    ratio = [b / a - 1 for a, b in zip(samples["none"], samples["level0"])]
    added = statistics.median(samples["level0"]) / statistics.median(samples["none"]) - 1
    quarters = statistics.quantiles(ratio)
    print(f"  yield loop: {statistics.median(samples['none']):.1f} ns a poll, level 0 adds "
          f"{added:+.2%} (half of the pairs: {quarters[0]:+.2%} .. {quarters[2]:+.2%}; of the "
          f"quietest seconds {min(samples['level0']) / min(samples['none']) - 1:+.2%})")
    target = app("yieldloop", 4, 2, 0, 50)
    with BpfStats():
        costs = {m: [block_costs(target, m) for _ in range(ROUNDS)] for m in ("level0", "level1")}
    target.kill()
    target.wait()
    switch = {m: statistics.median(c[1] for c in costs[m]) / 2 for m in costs}
    print(f"  a context switch of a worker that blocks, our program: level 0 "
          f"{switch['level0']:.0f} ns, level 1 {switch['level1']:.0f} ns")
    return {"yield_added": added, "quartiles": quarters, "switch_ns": switch}


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


def agent_use(target, *options):
    """Share of a core, KiB, and the footer of a watch of ten seconds."""
    proc = subprocess.Popen([STALLTOP, "top", "--json", "-p", str(target.pid), *options],
                            stdout=subprocess.PIPE, text=True)
    wait_line(proc.stdout, 20, "header")
    time.sleep(3)
    begin_cpu, begin = cpu_ns(proc.pid), time.monotonic()
    time.sleep(10)
    share = (cpu_ns(proc.pid) - begin_cpu) / 1e9 / (time.monotonic() - begin)
    rss = rss_kib(proc.pid)
    proc.send_signal(signal.SIGINT)
    return share, rss, json.loads(proc.communicate()[0].splitlines()[-1])


def bench_agent():
    target = app("idle10k")
    results = {}
    all_in = ("--overhead", "100%")
    no_rules = [word for name in sorted(os.listdir(os.path.join(ROOT, "rules"))) if name.endswith(".json")
                for word in ("--set", name[:-5] + ".enabled=false")]
    modes = {f"level {n}": (*all_in, "--level", str(n)) for n in range(4)}
    modes |= {"level 2, no rules": (*all_in, "--level", "2", *no_rules), "default": ()}
    for mode, options in modes.items():
        share, rss, footer = agent_use(target, *options)
        rate = footer["polls"] / (footer["duration_ns"] / 1e9)
        results[mode] = {"cpu_ratio": share, "rss_kib": rss, "polls_per_s": rate,
                         "tasks": footer["tasks_seen"], "overhead_pct": footer["overhead_pct"]}
        print(f"  {mode}: {footer['tasks_seen']} tasks, {rate:.0f} polls/s: agent {share * 100:.2f} % of "
              f"a core, {rss / 1024:.1f} MiB; cost to the target {footer['overhead_pct']:.2f} %", flush=True)
    target.kill()
    target.wait()
    rules = results["level 2"]["cpu_ratio"] - results["level 2, no rules"]["cpu_ratio"]
    print(f"  the rules: {100 * rules:.2f} % of a core")
    return results


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


def bench_view():
    """The live view: CPU with 10 000 tasks, key to screen beside a busy target, stall to screen."""
    import view  # pyte is needed for this one only

    target = app("idle10k")
    shares = view.measure_cpu(STALLTOP, target)
    names = dict(zip("123456", ("findings", "workers", "sites", "tasks", "timeline", "self")))
    for key, (share, size) in shares.items():
        print(f"  10 000 tasks, 10 frames/s, {names[key]:9} agent {share * 100:5.2f} % of a core, "
              f"{size:6.0f} bytes a frame")
    keys = view.summary(view.measure_keys(STALLTOP, target))
    target.kill()
    target.wait()
    print(f"  key to screen: median {keys['median_ms']:.0f} ms, p95 {keys['p95_ms']:.0f} ms, "
          f"worst {keys['worst_ms']:.0f} ms")
    many = app("idle10k", 100000)
    wide = view.summary(view.measure_keys(STALLTOP, many))
    scroll = view.summary(view.measure_scroll(STALLTOP, many))
    crowd = view.measure_cpu(STALLTOP, many, views="14")
    many.kill()
    many.wait()
    print(f"  the same with 100 000 tasks: median {wide['median_ms']:.0f} ms, "
          f"p95 {wide['p95_ms']:.0f} ms, worst {wide['worst_ms']:.0f} ms")
    print(f"  scrolling and filtering them: median {scroll['median_ms']:.0f} ms, "
          f"p95 {scroll['p95_ms']:.0f} ms, worst {scroll['worst_ms']:.0f} ms")
    for key, (share, size) in crowd.items():
        print(f"  100 000 tasks, 10 frames/s, {names[key]:8} agent {share * 100:5.2f} % of a core, "
              f"{size:6.0f} bytes a frame")
    stalls = app("planted", "sleep", 1000, 7, 6000)
    delays = view.measure_stall(STALLTOP, stalls, 6)
    stalls.terminate()
    stalls.wait()
    if not delays:
        sys.exit("no stall appeared while it lasted")
    stall = view.summary(delays)
    print(f"  {len(delays)} stalls of 1 s on the screen {stall['median_ms']:.0f} ms after 10 ms were "
          f"over (worst {stall['worst_ms']:.0f} ms)")
    return {"cpu_ratio": {names[k]: v[0] for k, v in shares.items()},
            "bytes_a_frame": {names[k]: v[1] for k, v in shares.items()},
            "key": keys, "key_100k": wide, "scroll_100k": scroll,
            "cpu_ratio_100k": {names[k]: v[0] for k, v in crowd.items()}, "stall": stall}


def csched_cpu_per_poll(level):
    """CPU nanoseconds a poll of csched with one worker: 400 000 polls of 2 000 tasks."""
    csched = os.path.join(OUT, "csched", "csched")
    target = subprocess.Popen([csched, "churn", "--wait", "--workers", "1", "2000", "200", "1000"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_line(target.stdout, 20, "csched")
    watcher = Watcher(f"level{level}" if level else "none", target.pid)
    begin = cpu_ns(target.pid)
    target.stdin.write("\n")
    target.stdin.flush()
    wait_line(target.stdout, 60, "csched's end")
    cost = (cpu_ns(target.pid) - begin) / 400_000
    watcher.stop()
    target.kill()
    target.communicate()
    return cost


def bench_sdt():
    idle = json.loads(subprocess.run([os.path.join(OUT, "bench", "probe_sdt")], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout)
    cost = {level: statistics.median(csched_cpu_per_poll(level) for _ in range(3))
            for level in range(4)}
    print(f"  a probe that nobody watches: {idle['probe_ns']:.2f} ns")
    print("  a poll of csched, ns: " + ", ".join(
        f"{'level ' + str(k) if k else 'not watched'} {v:.0f}" for k, v in cost.items()))
    return {"idle": idle, "ns": cost}


def trace_tool(*args):
    """tests/bench/trace_tool: its JSON, and the CPU seconds it took."""
    before = os.times()
    run = subprocess.run([os.path.join(OUT, "bench", "trace_tool"), *map(str, args)], check=True,
                         capture_output=True, text=True)
    after = os.times()
    return json.loads(run.stdout or "{}"), after.children_user - before.children_user


def bench_trace():
    """10 000 tasks, 50 000 polls/s: what recording costs and takes; 10 million events: reading."""
    results = {}
    target = app("idle10k", 10000, 50000)
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "t.trace")
        for name, more in (("without --polls", []), ("with --polls", ["--polls"])):
            run = subprocess.run([STALLTOP, "record", "-p", str(target.pid), "-o", file, "--json",
                                  "--overhead", "100%", "--duration", "10s", *more], check=True, capture_output=True,
                                 text=True)
            footer = json.loads(run.stdout.splitlines()[-1])
            size = os.path.getsize(file)
            results[name] = {"bytes": size, "polls": footer["polls"],
                             "agent_cpu_pct": footer["agent_cpu_pct"]}
            print(f"  record {name}: {footer['agent_cpu_pct']:.1f} % of a core, "
                  f"{size / 10 / 1024:.0f} KiB/s, {footer['polls']} polls, "
                  f"{footer['events_lost']} events lost")
        target.kill()
        target.wait()
        each = (results["with --polls"]["bytes"] / results["with --polls"]["polls"],
                (results["with --polls"]["bytes"] - results["without --polls"]["bytes"]) /
                results["with --polls"]["polls"])
        print(f"  {each[1]:.2f} bytes a poll event, {each[0]:.2f} with all the rest of the trace")
        trace_tool("make", file, 10_000_000)
        stat, cpu = trace_tool("stat", file)
        print(f"  10 million events: opened in {1000 * stat['open_s']:.1f} ms, read in {cpu:.1f} s of "
              f"CPU, {os.path.getsize(file) / stat['events']:.1f} bytes an event")
        jumps = [trace_tool("seek", file, at)[0]["seek_s"] for at in (30, 200, 500, 900)]
        print(f"  a jump takes at most {1000 * max(jumps):.0f} ms")
        begin = time.monotonic()
        report = subprocess.Popen([STALLTOP, "report", file, "--html", file + ".html"],
                                  stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(report.pid, 0)
        took = time.monotonic() - begin
        assert status == 0
        print(f"  report of 10 million events, text and page: {took:.1f} s, {usage.ru_utime:.1f} s of "
              f"CPU, {usage.ru_maxrss / 1024:.0f} MiB")
    results.update(bytes_a_poll=each[1], bytes_a_poll_all=each[0], read_s=cpu, jump_s=max(jumps),
                   report_s=took, report_mib=usage.ru_maxrss / 1024)
    return results


def bench_in_stats(bench):
    with BpfStats():
        return bench()


BENCHES = {
    "sdt": ("the probe points of stalltop/sdt.h", bench_sdt),
    "cost": ("cost of a poll, of an empty uprobe, of levels 1 and 2, of level 3 with the wake",
             bench_cost),
    "level0": ("cost of level 0: a loop of polls, a context switch", bench_level0),
    "block": ("cost of a block's evidence", bench_block),
    "spawn": ("cost of spawn sites in a storm of spawns", bench_spawn),
    "attach": ("attach to a large binary", bench_attach),
    "agent": ("stalltop's own use", bench_agent),
    "latency": ("how soon an open poll is reported", bench_latency),
    "trace": ("recording, reading and jumping in a trace", bench_trace),
    "peers": ("what it costs to be watched, by whom", bench_peers),
    "recorders": ("what a recording takes, beside dial9's", bench_recorders),
    "runtimes": ("three runtimes on the same workloads", bench_runtimes),
    "storm": ("a storm of spawns, for a minute: totals, memory", bench_storm),
    "web": ("latencies of a web server at a fixed rate, watched and not", bench_web),
    "workers": ("worker-tuning's advice, by taking it", lambda: bench_workers(STALLTOP, app, cpu_ns)),
    "shares": ("what watching takes, counted: our programs, stalltop itself",
               lambda: bench_in_stats(bench_shares)),
    "budget": ("the overhead budget: a hot loop under the defaults, stalls that are still found",
               lambda: bench_budget(STALLTOP, app)),
    "view": ("the live view: CPU, bytes, key to screen, stall to screen", bench_view),
}


def main():
    wanted = sys.argv[1:] or list(BENCHES)
    path = os.path.join(OUT, "bench", "results.json")
    results = {}
    if os.path.exists(path):  # what is not measured anew stays
        with open(path, encoding="ascii") as f:
            results = json.load(f)
    results |= {"load": os.getloadavg()[0], "kernel": os.uname().release}
    for name in wanted:
        if name not in BENCHES:
            sys.exit(f"no benchmark {name}: {', '.join(BENCHES)}")
        title, bench = BENCHES[name]
        print(f"{name}: {title}", flush=True)
        results[name] = bench()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
