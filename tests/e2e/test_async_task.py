# SPDX-License-Identifier: LGPL-2.1-or-later
"""smol and async-std, seen through the vtables of async-task, as well as Tokio.

`tasks` is one program with all scenarios. Those that leave the CPU free are watched together, in one
run of stalltop; each fault must be found in its own process, and nothing else anywhere. All of them
have the blocking pool sleep beside their tasks, which is what it is for.
"""

import json
import pathlib
import re

import pytest

from harness import Pressure, changed_text, room
from test_rules import FAULTS, REST_SECONDS, SHORT_AGE, brief

VERSIONS = {"smol": "2.0.2", "async-std": "1.13.2"}
OLDER = ("smol-1.3", "async-std-1.12")
RUNTIMES = pytest.mark.parametrize("runtime", VERSIONS)
WORKERS = {"smol": r"smol-\d+", "async-std": r"async-std/runti|tasks"}
QUIET = ("blocking-call", "task-explosion", "leaked-join-handle")
GROUPS = pytest.mark.parametrize(
    # How long a computation takes is a matter of who else computes.
    "rules", [QUIET, pytest.param(("cpu-bound-poll",), marks=pytest.mark.alone), ("stuck-poll",),
              ("starvation",)], ids="+".join)
# The rest of the catalogue, so far as it can be seen there: (function, what may speak of it first).
MORE = {
    "blocking-pool-saturated": (None, ()),
    "nested-runtime": ("convert_money", ("blocking-call",)),
    "cancelled-midway": ("store_order", ()),
    "deadlock": (None, ("stuck-poll", "starvation", "blocking-call")),
    "tiny-tasks": ("add_number", ()),
    "task-leak": ("await_reply", ()),
    "detached-task": ("look_for_updates", ()),
    "migration": ("read_sensor", ()),
}
# Those in which the two runtimes differ.
MORE_OF = {"smol": tuple(MORE), "async-std": tuple(MORE)[:4]}
MORE_OPTIONS = ("--set", "task-leak.age=3s", "--set", "task-leak.window=4s")
SEVERITY = {"deadlock": "critical", "migration": "info"}
ALL = ("--overhead", "100%")
TASKS, POLLS = 3000, 20
HEALTHY_SECONDS = 4


def program(rule):
    return rule.replace("-", "_")


def options(rules):
    settings = SHORT_AGE if "leaked-join-handle" in rules else ()
    return [word for s in settings for word in ("--set", s)] + room(*rules)


def start(app, runtime, rules, *args, profile="release"):
    return {app("tasks", runtime, profile, args=(program(r), *args)).pid: r for r in rules}


def thread_names(pid):
    return [p.read_text().strip() for p in pathlib.Path(f"/proc/{pid}/task").glob("*/comm")]


def check_runtimes(header, runtime, profile="release"):
    for target in header["targets"]:
        (one,) = target["runtimes"]
        assert one["name"] == runtime
        assert one["version"] == VERSIONS[runtime]
        assert one["binary"].endswith(f"/{runtime}/{profile}/tasks")
        assert one["task_types"] > 5


def check_finding(finding, runtime, rule):
    want = FAULTS[rule]
    assert finding["runtime"] == runtime
    assert finding["tasks"] == [], "async-task gives tasks no ids"
    assert finding["evidence"] in ("traced", "sampled")
    assert finding["syscall"] == want.get("syscall")
    function = f"tasks::faulty::{want['function']}"
    assert function in finding["message"]
    assert finding["site"] == (None if want.get("no_site") else function)
    if want["worst"] is not None:
        low, high = want["worst"]
        assert low <= finding["worst_ns"] <= high
    if not want.get("no_site") and not want.get("many"):
        assert re.fullmatch(WORKERS[runtime], finding["worker"])
    assert rule == "starvation" or "smol" in finding["advice"]


@RUNTIMES
@GROUPS
def test_faulty(app, stream, runtime, rules):
    targets = start(app, runtime, rules)
    run = stream("-p", ",".join(map(str, targets)), *options(rules))
    check_runtimes(run.attached(), runtime)
    missing = dict(targets)
    while missing:
        want = [(pid, r, FAULTS[r]["severity"]) for pid, r in missing.items()]
        found = run.until(lambda o: o["type"] == "finding" and
                          (o["pid"], o["rule"], o["severity"]) in want, 20)
        del missing[found["pid"]]
    run.watch(REST_SECONDS)
    run.stop()
    others = [f for f in run.at_least("warning") if f["rule"] != targets[f["pid"]]]
    # Before it had lasted for 1 s, it was rightly reported as a computing poll.
    others = [f for f in others if (targets[f["pid"]], f["rule"]) != ("stuck-poll", "cpu-bound-poll")]
    assert brief(others) == [], "another rule fires"
    for pid, rule in targets.items():
        (mine,) = [f for f in run.of_rule(rule) if f["pid"] == pid]
        check_finding(mine, runtime, rule)
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0


@RUNTIMES
@GROUPS
def test_healthy_twins(app, stalltop, runtime, rules):
    targets = start(app, runtime, rules, "ok")
    with Pressure() as pressure:
        run = stalltop("check", "-p", ",".join(map(str, targets)), "--json", "--duration",
                       f"{HEALTHY_SECONDS}s", "--fail-on", "warning", *options(rules))
    found = run.at_least("warning")
    assert brief(f for f in found if not pressure.explains(f)) == []
    check_runtimes(run.header, runtime)
    assert run.footer["polls"] > 50, "it was watched at work"


@RUNTIMES
def test_more_faulty(app, stream, runtime):
    targets = start(app, runtime, MORE_OF[runtime])
    run = stream("-p", ",".join(map(str, targets)), *ALL, *MORE_OPTIONS, *room())
    missing = {(pid, r, SEVERITY.get(r, "warning")) for pid, r in targets.items()}
    while missing:
        found = run.until(lambda o: o["type"] == "finding" and
                          (o["pid"], o["rule"], o["severity"]) in missing, 30)
        missing.remove((found["pid"], found["rule"], found["severity"]))
    run.watch(1)
    run.stop()
    for pid, rule in targets.items():
        function, allowed = MORE[rule]
        mine = [f for f in run.findings if f["pid"] == pid]
        (one,) = [f for f in mine if f["rule"] == rule]
        assert (one["runtime"], one["site"]) == \
            (runtime, function and f"tasks::more::{function}"), one["message"]
        others = [f for f in mine if f["severity"] != "info" and f["rule"] not in (rule, *allowed)]
        assert brief(others) == [], "another rule fires"
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0


@RUNTIMES
def test_more_healthy_twins(app, stalltop, runtime):
    targets = start(app, runtime, MORE_OF[runtime], "ok")
    with Pressure() as pressure:
        run = stalltop("check", "-p", ",".join(map(str, targets)), "--json", "--duration",
                       f"{HEALTHY_SECONDS}s", *ALL, *MORE_OPTIONS, *room())
    assert brief(f for f in run.at_least("warning") if not pressure.explains(f)) == []
    mine = [f for f in run.findings if f["rule"] == targets[f["pid"]]]
    assert brief(mine) == []
    armed = {o["rule"] for o in run.footer["rules"]["off"]}
    assert armed.isdisjoint(MORE_OF[runtime]), "it could have been found"


def test_arc_contention(app, stream, stalltop):
    """Both workers compute, so it is watched alone; the twin borrows."""
    options = ("--set", "arc-contention.samples=50", *room())
    target = app("tasks", "smol", args=("arc_contention",))
    run = stream("-p", target.pid, *options)
    one = run.finding("arc-contention", 20, "warning")
    run.stop()
    assert one["site"] == "tasks::more::convert_prices", one
    assert run.of_rule("arc-contention")[-1]["culprit"]["function"] == "tasks::rates::convert"
    target.kill()
    twin = app("tasks", "smol", args=("arc_contention", "ok"))
    run = stalltop("check", "-p", twin.pid, "--json", "--duration", f"{HEALTHY_SECONDS}s", *options)
    assert run.of_rule("arc-contention") == [] and run.footer["polls"] > 0
    assert "arc-contention" not in [o["rule"] for o in run.footer["rules"]["off"]]


@pytest.mark.parametrize("runtime,profile", [("smol", "release-stripped"), ("smol", "lto-abort"),
                                             ("async-std", "lto-abort")])
def test_other_builds(app, stream, runtime, profile):
    """The fault is found and the pool is not, without symbols and without unwinding, too."""
    faulty = app("tasks", runtime, profile, args=("blocking_call",))
    healthy = app("tasks", runtime, profile, args=("blocking_call", "ok"))
    run = stream("-p", f"{faulty.pid},{healthy.pid}", *options(("blocking-call",)))
    check_runtimes(run.attached(), runtime, profile)
    run.finding("blocking-call", 10, "critical")
    run.watch(REST_SECONDS)
    run.stop()
    (one,) = run.at_least("warning")
    assert (one["rule"], one["pid"]) == ("blocking-call", faulty.pid)
    if profile == "release-stripped":
        assert re.fullmatch(r"task type #\d+ \(\d+ B\) @ tasks\+0x[0-9a-f]+", one["site"])
    else:
        # Link-time optimisation merges equal functions: then nothing tells the types apart.
        assert re.search(r"fetch_from_slow_disk|task type #", one["site"])


@pytest.mark.parametrize("runtime,profile,level", [
    ("smol", "release", 1), ("smol", "release", 2), ("smol", "release", 3),
    ("smol", "lto-abort", 2), ("async-std", "release", 3)])
def test_counts(app, stream, runtime, profile, level):
    """Each task is polled exactly POLLS times: its yields wake it, and nothing else does."""
    target = app("tasks", runtime, profile, args=("churn", TASKS, POLLS))
    run = stream("-p", target.pid, *ALL, "--level", level, "--duration", "60s", command="dump")
    run.attached()
    target.send()
    truth = target.wait_json()
    assert (truth["tasks"], truth["polls"]) == (TASKS, TASKS * POLLS)
    run.stop()
    footer = run.footer
    assert footer["lost"] == 0 and footer["events_lost"] == 0
    # Nothing waits for a task that was never polled: its first wake is counted and left out.
    seen = sum(s["tasks_seen"] or 0 for s in run.of("site"))
    assert footer["filtered"] == (seen if level >= 3 else 0)
    assert footer["hits"] == footer["emitted"] + footer["filtered"]
    assert sum(s["polls"] for s in run.of("site")) == footer["polls"]
    (site,) = [s for s in run.of("site") if s["polls"] > 10]
    assert profile != "release" or site["site"] == "tasks::truth::take_turns"
    assert site["polls"] == TASKS * POLLS
    assert site["tasks_seen"] == (TASKS if level >= 2 else None)
    assert site["delays"] == (TASKS * (POLLS - 1) if level >= 3 else None)


@pytest.mark.parametrize("runtime", OLDER)
def test_older_versions(app, stream, runtime):
    """A short life's tasks and a fault, both watched in one run.

    All tasks of the first have ended before anybody looks at the table: what is known of their
    runtime is what their threads remember.
    """
    short, faulty = app("tasks", runtime, args=("churn", 300, POLLS)), \
        app("tasks", runtime, args=("blocking_call",))
    run = stream("-p", f"{short.pid},{faulty.pid}", *ALL, "--duration", "60s", command="dump")
    for target in run.attached()["targets"]:
        (one,) = target["runtimes"]
        assert f"{one['name']}-{one['version']}".startswith(runtime), one
    short.send()
    assert short.wait_json() == {"tasks": 300, "polls": 300 * POLLS}
    run.watch(1)
    run.stop()
    assert run.footer["lost"] == 0 and run.footer["events_lost"] == 0
    (site,) = [s for s in run.of("site") if s["pid"] == short.pid and s["polls"] > 10]
    assert (site["site"], site["polls"], site["tasks_seen"]) == \
        ("tasks::truth::take_turns", 300 * POLLS, 300)
    queues = {q["pid"]: q for q in run.of("runtime")}
    assert set(queues) == {short.pid, faulty.pid}
    for one in queues.values():
        assert (one["workers"], one["inject_queue"], one["local_queues"]) == (2, 0, 0), one
    assert {w["runtime_id"] for w in run.of("worker")} == {q["runtime_id"] for q in queues.values()}
    (finding,) = run.at_least("warning")
    assert (finding["pid"], finding["rule"]) == (faulty.pid, "blocking-call")
    assert finding["site"] == "tasks::faulty::fetch_from_slow_disk"


@RUNTIMES
def test_queues(app, stream, runtime):
    """What waits in the executor's own queues, read from its memory, is what the program put there."""
    target = app("tasks", runtime, args=("queued", 1234))
    run = stream("-p", target.pid, "--duration", "60s", command="dump")
    run.attached()
    run.watch(0.5)
    target.send()
    assert target.wait_json() == {"queued": 1234}
    run.watch(0.5)
    run.stop()
    (queues,) = run.of("runtime")
    assert queues["inject_queue"] + queues["local_queues"] == 1234
    assert queues["workers"] == 1


@pytest.mark.parametrize("runtime,profile", [("smol-1.3", "release"), ("smol", "release-stripped")])
def test_blocking_pool(app, stream, runtime, profile):
    """A pool of two threads that is given far more than it can do; without symbols, too."""
    target = app("tasks", runtime, profile, args=("blocking_pool_saturated",))
    run = stream("-p", target.pid)
    (one,) = (run.finding("blocking-pool-saturated", 20),)
    run.stop()
    values = {k.split(".")[-1]: v for k, v in one["values"].items()}
    threads = [x for x in thread_names(target.pid) if x.startswith("blocking-")]
    assert len(threads) == 2 == values["blocking_threads"], values
    assert values["blocking_idle"] == 0 and values["blocking_queue"] >= 1


def test_thread_of_block_on(app, stream):
    """A thread that polls tasks is a worker, whoever started it; its tasks have no ids."""
    target = app("tasks", "smol", args=("local",))
    run = stream("-p", target.pid, "--duration", "60s", command="dump")
    run.attached()
    run.watch(2)
    run.stop()
    workers = [w["name"] for w in run.of("worker") if w["polls"] > 0]
    assert "tasks" in workers
    tasks = [t for t in run.of("task") if t["site"] == "tasks::truth::sleep_on_the_main_thread"]
    assert [t["id"] for t in tasks] == [None]
    (finding,) = run.of_rule("blocking-call")
    assert finding["site"] == "tasks::truth::sleep_on_the_main_thread"


def test_root_future(app, stalltop, tmp_path):
    """Blocks in the root future of block_on, on the main thread and another: no pool thread is meant."""
    targets = {app("tasks", r, args=("root", where)).pid: where
               for r in ("smol-1.3", "async-std") for where in ("main", "other")}
    file = tmp_path / "t.trace"
    pids = ",".join(map(str, targets))
    assert stalltop("record", "-p", pids, "-o", file, "--duration", "3s").rc == 0
    found = stalltop("report", file, "--json").of_rule("blocking-call")
    assert sorted(f["pid"] for f in found) == sorted(targets), brief(found)
    for f in found:
        assert f["site"] == "root future of block_on" and f["syscall"] == "clock_nanosleep", f
        assert f["culprit"]["function"] == "tasks::truth::nap", f["stack"]
        assert targets[f["pid"]] == ("main" if f["tid"] == f["pid"] else "other"), f
    events = [json.loads(x) for x in stalltop("export", file, "--to", "ndjson").stdout.splitlines()]
    pid_of = {o["target"]: o["pid"] for o in events if o["type"] == "target"}
    threads = [o for o in events if o["type"] == "thread"]
    driving = {(pid_of[t["target"]], t["comm"]) for t in threads if t["root"]}
    assert driving >= {(p, "tasks" if w == "main" else "driver") for p, w in targets.items()}
    assert not [t for t in threads if t["root"] and (t["worker"] or t["polls"])]
    # A worker that slept all the time was not seen to do anything else.
    idle = [t for t in threads if t["comm"] == "smol-1" and t["root"]][-1]
    assert idle["state"] == "parked" and idle["searching_ns"] < idle["parked_ns"], idle


SPAWNED = (("smol", "lto-abort"), ("smol", "release-stripped"), ("async-std", "release"))


def test_spawn_sites(app, stalltop):
    """Which task spawns is known in every build: its code is inlined into its poll function here."""
    targets = {app("tasks", r, p, args=("detached_task",)).pid: (r, p) for r, p in SPAWNED}
    run = stalltop("dump", "-p", ",".join(map(str, targets)), "--json", "--duration", "2s")
    assert run.rc == 0, run
    for pid, build in targets.items():
        sites = {s["site"]: s for s in run.of("site") if s["pid"] == pid}
        many = max(sites.values(), key=lambda s: s["tasks_seen"] or 0)
        assert many["spawn"], (build, many["spawn_unknown_because"])
        spawner = many["spawn"]["in_poll_of"]
        assert spawner in sites and spawner != many["site"], (build, many["spawn"])
        assert many["spawn"]["share"] == 1 and sites[spawner]["tasks_seen"] == 1, build
        if build[1] == "release":
            assert many["site"] == "tasks::more::look_for_updates"
            assert spawner == "tasks::more::serve_requests"
            assert "spawn_unchecked" in many["spawn"]["stack"][0]["function"], many["spawn"]
        assert changed_text(pid) == []


def test_list(app, stalltop):
    targets = {app("tasks", r, args=("blocking_call", "ok")).pid: r for r in VERSIONS}
    run = stalltop("list", "--json")
    seen = {o["pid"]: o for o in run.of("process") if o["pid"] in targets}
    assert {pid: (o["runtime"], o["version"]) for pid, o in seen.items()} == \
        {pid: (r, VERSIONS[r]) for pid, r in targets.items()}
    assert all(o["task_types"] > 5 and o["workers"] == 2 for o in seen.values()), seen
