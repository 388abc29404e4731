# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands in a runtime's own memory: workers, live tasks, queues, for each Tokio version."""

import collections

import pytest

VERSIONS = pytest.mark.parametrize("version", ["current", "1.47", "1.43", "1.38", "1.32"])
DEPTHS = ("inject_queue", "local_queues", "tasks_alive", "blocking_queue", "blocking_threads",
          "blocking_idle")


def dump(stalltop, target, duration="1s"):
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", duration)
    assert run.rc == 0, run
    for runtime in run.of("runtime"):
        unknown = [key for key in DEPTHS if runtime[key] is None]
        if runtime["flavor"] == "current-thread" and unknown == ["local_queues"]:
            # Some builds keep the core on the stack of block_on(); that is said, not guessed.
            assert "stack" in runtime["unknown_because"]
            continue
        assert unknown == [], (unknown, runtime["unknown_because"])
    return run


@VERSIONS
@pytest.mark.parametrize("workers", [2, 5])
def test_live_tasks(app, stalltop, version, workers):
    """idle10k: 1000 sessions; its reporter is the root future, not a task."""
    target = app("idle10k", version, args=(1000, 2000, workers))
    run = dump(stalltop, target)
    assert len(run.of("runtime")) == 1
    runtime = run.of("runtime")[0]
    assert runtime["flavor"] == "multi-thread"
    assert runtime["workers"] == workers
    assert runtime["workers_seen"] <= workers
    assert runtime["tasks_alive"] == 1000
    # 2000 short polls a second: what is queued at one moment is a handful.
    assert runtime["inject_queue"] + runtime["local_queues"] < 200
    assert runtime["blocking_queue"] == 0
    sites = [s for s in run.of("site") if s["site"] == "suite::idle10k::session"]
    assert len(sites) == 1
    assert sites[0]["tasks_seen"] <= 1000
    assert sites[0]["tasks_live"] in (sites[0]["tasks_seen"], None)


@VERSIONS
def test_three_runtimes(app, stalltop, version):
    """two_runtimes: front with 2 workers and 8 tasks, batch with 3 and 8, cron alone with 1."""
    target = app("two_runtimes", version)
    run = dump(stalltop, target)
    seen = collections.Counter((r["flavor"], r["workers"], r["tasks_alive"])
                               for r in run.of("runtime"))
    # A current-thread runtime has no workers of its own: the thread that is in block_on().
    assert seen == {("multi-thread", 2, 8): 1, ("multi-thread", 3, 8): 1,
                    ("current-thread", 1, 1): 1}
    of_runtime = {r["runtime_id"]: r for r in run.of("runtime")}
    assert len(of_runtime) == 3
    for worker in run.of("worker"):
        want = {2: "front", 3: "batch", 1: "cron"}[of_runtime[worker["runtime_id"]]["workers"]]
        assert worker["name"] == want
    site_of = {"front": "front_request", "batch": "batch_job", "cron": "cron_entry"}
    for task in run.of("task"):
        want = {2: "front", 3: "batch", 1: "cron"}[of_runtime[task["runtime_id"]]["workers"]]
        # The linker may fold the three task types into one: then the name says all of them.
        assert f"suite::two_runtimes::{site_of[want]}" in task["site"]


@VERSIONS
def test_backlog(app, stream, version):
    """starvation: a batch of 100 tasks for two workers stands in their queues, and is worked off."""
    target = app("starvation", version)
    depths = []
    for number in range(40):
        # Looks at other moments of its period of 600 ms each time; the batch stands for a quarter of it.
        run = stream("-p", target.pid, "--duration", f"{100 + 53 * number % 600}ms", command="dump")
        footer = run.until(lambda o: o["type"] == "footer", 20)
        assert footer
        assert run.proc.wait(10) == 0
        runtime = run.of("runtime")[0]
        queued = runtime["inject_queue"] + runtime["local_queues"]
        # 11 tasks of the work beside it, price_portfolio, and the batch.
        assert 0 <= queued <= runtime["tasks_alive"] <= 100 + 12 + 1
        depths.append(queued)
        if max(depths) >= 20 and min(depths) <= 10:
            break
    assert max(depths) >= 20, depths
