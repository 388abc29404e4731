# SPDX-License-Identifier: LGPL-2.1-or-later
"""Programs under test, runs of stalltop, and the checks that every run must pass.

Everything waits for a condition with a deadline. What is started is killed by its pid.
STALLTOP_BIN (or STALLTOP) names another binary, for example .output/asan/stalltop.
"""

import collections
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
APPS = pathlib.Path(os.environ.get("STALLTOP_APPS", ROOT / ".output/apps"))
BINARY = os.environ.get("STALLTOP_BIN") or os.environ.get("STALLTOP") or \
    str(ROOT / ".output/stalltop")
SHORT_POLLS = ("blocking-call", "cpu-bound-poll")
WATCHES = ("top", "check", "dump", "record")  # what takes --overhead
RANK = {"info": 0, "warning": 1, "critical": 2}

# While others compile on the same two cores, the holder of a lock or of a page is preempted for
# tens of milliseconds, and a thread of the target truly blocks on it or truly holds its worker
# that long; on a virtual machine the host takes the CPU away, which nobody inside can see. Such
# polls are real, but not the fault that the program plants. So the rules that are *not* under
# test get room for them. A planted fault of another kind would still be far over these values.
ROOM = {
    "blocking-call": "blocking-call.warning=80ms",
    "cpu-bound-poll": "cpu-bound-poll.warning=80ms",
    "starvation": "starvation.warning=400ms",
}

# A loaded machine takes its time to schedule us; a deadline only bounds a hang.
READY_SECONDS = 60
MORE_SECONDS = 90


class Lines:
    """Lines of a pipe, each with the time at which it came (CLOCK_MONOTONIC, ns)."""

    def __init__(self, pipe):
        self.queue = queue.Queue()
        self.text = []
        self.ended = False
        self.thread = threading.Thread(target=self._pump, args=(pipe,), daemon=True)
        self.thread.start()

    def _pump(self, pipe):
        for line in pipe:
            self.queue.put((line.decode("utf-8", "surrogateescape").rstrip("\n"),
                            time.monotonic_ns()))
        self.queue.put(None)

    def next(self, end):
        """The next (line, ns); None at the end of the pipe or at the time END."""
        if self.ended:
            return None
        try:
            got = self.queue.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return None
        if got is None:
            self.ended = True
            return None
        self.text.append(got[0])
        return got


class App:
    """A program of tests/apps that runs and has said that it is ready."""

    def __init__(self, path, args=(), env=None, preexec=None, ready=True):
        self.path, self.name = str(path), pathlib.Path(path).name
        self.proc = subprocess.Popen([self.path, *map(str, args)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env={**os.environ, **(env or {})}, preexec_fn=preexec)
        self.pid = self.proc.pid
        self.out, self.err = Lines(self.proc.stdout), Lines(self.proc.stderr)
        if ready:
            self.wait_line(lambda line: line.startswith("ready pid="), READY_SECONDS)

    def wait_line(self, wanted, seconds=READY_SECONDS):
        """The first line for which wanted(line) is true."""
        end = time.monotonic() + seconds
        while (got := self.out.next(end)) is not None:
            if wanted(got[0]):
                return got[0]
        raise AssertionError(f"{self.name} (pid {self.pid}, exit code {self.proc.poll()}): line "
                             f"not seen in {seconds} s; it printed {self.out.text[-5:]}")

    def wait_json(self, wanted=lambda obj: True, seconds=READY_SECONDS):
        """The first JSON line for which wanted(object) is true."""
        return json.loads(self.wait_line(
            lambda line: line.startswith("{") and wanted(json.loads(line)), seconds))

    def json_lines(self):
        """The JSON lines that have been read so far."""
        return [json.loads(line) for line in self.out.text if line.startswith("{")]

    def send(self, text="\n"):
        self.proc.stdin.write(text.encode())
        self.proc.stdin.flush()

    def wait_asleep(self, seconds=READY_SECONDS):
        """Until none of its threads has anything left to do."""
        end = time.monotonic() + seconds
        while any(stat.rsplit(")", 1)[1].split()[0] != "S" for stat in self.thread_stats()):
            assert time.monotonic() < end, f"{self.name} is not idle after {seconds} s"
            time.sleep(0.01)

    def thread_stats(self):
        for path in pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat"):
            try:
                yield path.read_text()
            except (FileNotFoundError, ProcessLookupError):
                pass  # the thread has ended

    def alive(self):
        return self.proc.poll() is None

    def kill(self):
        if self.alive():
            self.proc.kill()
        self.proc.wait()
        self.proc.stdin.close()
        self.out.thread.join(5)
        self.err.thread.join(5)


def changed_text(pid):
    """Executable pages of the main program that differ from its file: probes left behind.

    A position-independent x86-64 program has no relocation in its code, so they must be equal.
    """
    exe = os.readlink(f"/proc/{pid}/exe")
    changed = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/exe", "rb") as file, \
            open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            words = line.split(None, 5)
            if "x" not in words[1] or len(words) < 6 or words[5].strip() != exe:
                continue
            begin, end = (int(x, 16) for x in words[0].split("-"))
            file.seek(int(words[2], 16))
            mem.seek(begin)
            want = file.read(end - begin)
            have = mem.read(end - begin)[:len(want)]
            for i in range(0, len(want), 4096):
                if want[i:i + 4096] != have[i:i + 4096]:
                    changed.append(hex(begin + i))
    return changed


def check_footer(footer):
    """hits = emitted + filtered + lost, or none of them is known."""
    parts = [footer[k] for k in ("emitted", "filtered", "lost")]
    if footer["hits"] is None:
        assert parts == [None] * 3, footer
    else:
        assert footer["hits"] == sum(parts), f"the footer does not add up: {footer}"


def check_stream(objects):
    """What holds for the JSON lines of any complete run of top, check or dump."""
    assert objects, "no JSON line"
    assert objects[0]["type"] == "header", objects[0]
    assert [o["type"] for o in objects].count("header") == 1
    assert [o["type"] for o in objects].count("footer") == 1
    assert objects[-1]["type"] == "footer", objects[-1]
    check_footer(objects[-1])


def cpu_pressure_us():
    """Microseconds since boot in which some thread had to wait for a CPU; None: not counted here."""
    try:
        with open("/proc/pressure/cpu") as file:
            return int(file.readline().rsplit("total=", 1)[1])
    except OSError:
        return None


class Pressure:
    """with Pressure() as p: ...; p.share: for what part of that time some thread lacked a CPU."""

    def __enter__(self):
        self.begin, self.time = cpu_pressure_us(), time.monotonic()
        return self

    def __exit__(self, *exc):
        end, seconds = cpu_pressure_us(), time.monotonic() - self.time
        self.share = None if end is None else (end - self.begin) / (seconds * 1e6)

    def explains(self, finding):
        """Whether a finding on a healthy program is the machine's doing, not the program's.

        Where threads queue for the CPUs, the holder of a lock loses its CPU for a time slice or
        two, and a poll that waits for that lock is truly blocked; on a virtual machine the host
        takes a CPU away and the poll that had it truly lasts. That is seldom and short.
        """
        return self.share is not None and self.share > 0.3 and finding["count"] <= 2 and \
            finding["severity"] == "warning" and finding["rule"] in SHORT_POLLS and \
            finding["worst_ns"] < 50_000_000


class Output:
    """JSON lines of a run, by kind."""

    lines = ()

    def of(self, kind):
        return [o for o in self.lines if o.get("type") == kind]

    @property
    def header(self):
        return self.of("header")[0]

    @property
    def footer(self):
        return self.of("footer")[-1]

    @property
    def findings(self):
        """Each finding once, in its last state."""
        last = {}
        for f in self.of("finding"):
            key = tuple(f[k] for k in ("rule", "pid", "runtime_id", "site_id", "first_ns"))
            last[key] = f
        return list(last.values())

    def of_rule(self, rule):
        return [f for f in self.findings if f["rule"] == rule]

    def at_least(self, severity):
        return [f for f in self.findings if RANK[f["severity"]] >= RANK[severity]]


class Result(Output):
    """A run that has ended: rc, stdout, stderr, and with --json the lines as objects."""
    recent = collections.deque(maxlen=2)  # for the report of a failed test

    def __init__(self, argv, rc, stdout, stderr):
        self.argv, self.rc, self.stdout, self.stderr = argv, rc, stdout, stderr
        Result.recent.append(self)
        self.lines = []
        if "--json" in argv:
            self.lines = [json.loads(x) for x in stdout.splitlines()]
            if self.lines and self.lines[0].get("type") == "header":
                check_stream(self.lines)

    def __repr__(self):
        return f"{self.argv}: exit code {self.rc}\n{self.stdout[-2000:]}\n{self.stderr[-2000:]}"

    def told(self):
        """All of it, but that a long output lacks its middle."""
        out = self.stdout
        if len(out) > 8000:
            out = f"{out[:4000]}\n[...]\n{out[-4000:]}"
        return f"{' '.join(map(str, self.argv))}: exit code {self.rc}\n{out}\n{self.stderr[-2000:]}"


def check_sanitizers(stderr):
    assert "Sanitizer" not in stderr and "runtime error:" not in stderr, stderr


def room(*tested):
    """Options for a test that no other rule than the tested ones fires."""
    return [word for rule, value in ROOM.items() if rule not in tested for word in ("--set", value)]


def unbudgeted(args):
    """The arguments, with an overhead budget that takes no probe away unless they name one.

    Programs under test are often nothing but hot loops; the budget has tests of its own.
    """
    args = [str(a) for a in args]
    own = args[:args.index("--")] if "--" in args else args
    command = "top" if own and own[0].startswith("-") else own[0] if own else "top"
    if command not in WATCHES or "--overhead" in own or {"--help", "--version"} & set(own):
        return args
    at = 0 if own and own[0].startswith("-") else 1
    return [*args[:at], "--overhead", "100%", *args[at:]]


def run_stalltop(*args, deadline=150, env=None, cwd=None, stdin=subprocess.DEVNULL):
    argv = [BINARY, *unbudgeted(args)]
    proc = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True)
    try:
        out, err = proc.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        proc.kill()
        out, err = proc.communicate()
        raise AssertionError(f"{argv} did not end in {deadline} s\n{out[-2000:]!r}\n"
                             f"{err[-2000:]!r}") from None
    text = err.decode("utf-8", "replace")
    check_sanitizers(text)
    return Result(argv, proc.returncode, out.decode("utf-8", "surrogateescape"), text)


class Stream(Output):
    """`stalltop top --json`, line by line. Each object gets "arrived_ns", the time it came."""

    def __init__(self, *args, command="top", env=None, prefix=()):
        self.argv = [*prefix, BINARY, *unbudgeted([command, *args]), "--json"]
        self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env={**os.environ, **(env or {})})
        self.out, self.err = Lines(self.proc.stdout), Lines(self.proc.stderr)
        self.lines, self.rc = [], None

    def next(self, end):
        """The next object; None at the end of the output or at the time END."""
        got = self.out.next(end)
        if got is None:
            return None
        obj = json.loads(got[0])
        self.lines.append({**obj, "arrived_ns": got[1]})
        return self.lines[-1]

    def until(self, wanted, seconds):
        """The first object from now on for which wanted(obj) is true; fails after SECONDS."""
        end = time.monotonic() + seconds
        while (obj := self.next(end)) is not None:
            if wanted(obj):
                return obj
        seen = [(f["rule"], f["severity"], f["site"], f["message"]) for f in self.findings]
        raise AssertionError(f"not seen in {seconds} s; findings: {seen}; exit code "
                             f"{self.proc.poll()}; {self.stderr()}")

    def finding(self, rule, seconds, severity="info"):
        """The first line of a finding of RULE that is at least SEVERITY."""
        return self.until(lambda o: o["type"] == "finding" and o["rule"] == rule and
                          RANK[o["severity"]] >= RANK[severity], seconds)

    def attached(self, seconds=READY_SECONDS):
        """Waits until stalltop watches its target."""
        return self.until(lambda o: o["type"] == "header", seconds)

    def watch(self, seconds):
        """Takes what comes for so long."""
        end = time.monotonic() + seconds
        while self.next(end) is not None:
            pass

    def stderr(self):
        end = time.monotonic() + 0.2
        while self.err.next(end) is not None:
            pass
        return "\n".join(self.err.text)

    def stop(self, code=130, send=signal.SIGINT):
        """Ends it by a signal; checks its exit code, its last line and what it left behind."""
        pids = [t["pid"] for t in self.lines[0]["targets"]] if self.lines else []
        alive = [p for p in pids if os.path.exists(f"/proc/{p}/exe")]
        self.proc.send_signal(send)
        end = time.monotonic() + MORE_SECONDS
        while self.next(end) is not None:
            pass
        self.rc = self.proc.wait(timeout=max(0.1, end - time.monotonic()))
        check_sanitizers(self.stderr())
        assert self.rc == code, f"exit code {self.rc}, not {code}; {self.stderr()}"
        check_stream(self.lines)
        for pid in alive:
            assert os.path.exists(f"/proc/{pid}/exe"), f"target {pid} did not survive"
            assert changed_text(pid) == [], f"probes stay in target {pid}"
        return self

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        self.out.thread.join(5)
        self.err.thread.join(5)
