# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counts are exact: churn runs TASKS tasks of POLLS polls each and counts inside them.

A task that calls yield_now() POLLS - 1 times is polled POLLS times: yield_now is pending once,
and nothing else wakes it: POLLS - 1 of its polls follow a wake. Aborts and budgets play no part, so TASKS * POLLS is exact. The site's
polls come from `dump`, which prints every site; the footer holds the totals of all sites.
"""

import pytest

TASKS, POLLS = 4000, 25
# Wide enough that the budget never takes a probe away: here the count matters, not the cost.
ALL = ("--overhead", "100%")
BUILDS = pytest.mark.parametrize("version,profile", [
    ("current", "release"), ("current", "full"), ("current", "unstable"), ("current", "v0"),
    ("current", "static-pie"), ("current", "nopie"),
    ("1.47", "release"), ("1.43", "release"), ("1.38", "release"), ("1.32", "release")])


def exact(footer, tasks, polls, level):
    """Other tasks may run beside churn's own: none does, the program has only these."""
    assert footer["level"] == level
    assert footer["lost"] == 0 and footer["events_lost"] == 0
    assert footer["hits"] == footer["emitted"] + footer["filtered"] + footer["lost"]
    assert footer["filtered"] == 0, "every hit is a task of the program"
    assert footer["polls"] == tasks * polls
    if level >= 2:
        assert footer["tasks_seen"] == tasks
    else:
        assert footer["tasks_seen"] is None


@pytest.mark.parametrize("level", [1, 2, 3])
def test_under_check(root, stalltop, path_of, level):
    """Started by stalltop: nothing runs before the probes are there."""
    path = path_of("churn")
    run = stalltop("check", "--json", *ALL, "--level", level, "--duration", "2500ms", "--",
                   path, TASKS, POLLS)
    exact(run.footer, TASKS, POLLS, level)


def churn_site(run):
    sites = [s for s in run.of("site") if s["polls"] > 0]
    assert len(sites) == 1, [s["site"] for s in sites]
    return sites[0]


@BUILDS
@pytest.mark.parametrize("level", [1, 2, 3])
def test_attached(app, stream, version, profile, level):
    """Attached to a running program that waits, then let go."""
    target = app("churn", version, profile, args=(TASKS, POLLS, "wait"))
    run = stream("-p", target.pid, *ALL, "--level", level, "--duration", "60s", command="dump")
    run.attached()
    target.send()
    truth = target.wait_json()
    assert (truth["tasks"], truth["polls"]) == (TASKS, TASKS * POLLS)
    target.wait_asleep()  # a worker may be about to free the last task
    run.stop()
    exact(run.footer, TASKS, POLLS, level)
    site = churn_site(run)
    assert site["polls"] == truth["polls"]
    assert not site["sampled"]
    if level >= 2:
        assert site["tasks_seen"] == TASKS
        # Not known is honest, a wrong number is not.
        assert site["tasks_ended"] in (TASKS, None)
        assert site["tasks_live"] in (0, None)
        wakes = TASKS * (POLLS - 1) if level >= 3 else 0
        # Tokio frees a task through its vtable or directly, as its last reference goes.
        assert 0 <= run.footer["hits"] - truth["polls"] - wakes <= TASKS
        assert site["delays"] == (wakes if level >= 3 else None)
    else:
        assert run.footer["hits"] == truth["polls"]


def test_eight_threads(app, stream):
    """Two programs and two times as many threads as CPUs: the totals stay exact."""
    targets = [app("churn", args=(TASKS, POLLS, "wait", 8)) for _ in range(2)]
    run = stream("-p", ",".join(str(t.pid) for t in targets), *ALL, "--duration", "60s",
                 command="dump")
    run.attached()
    for target in targets:
        target.send()
    for target in targets:
        target.wait_json()
    run.stop()
    exact(run.footer, 2 * TASKS, POLLS, 2)
    assert sorted(s["polls"] for s in run.of("site") if s["polls"]) == [TASKS * POLLS] * 2


def test_end_of_target(app, stream):
    """A target that is killed: what it did before is all in the final report."""
    target = app("churn", args=(TASKS, POLLS, "wait"))
    run = stream("-p", target.pid, *ALL, "--duration", "60s")
    run.attached()
    target.send()
    target.wait_json()
    target.proc.kill()
    end = run.until(lambda o: o["type"] == "target_end", 10)
    assert end["reason"] == "exited"
    assert end["exit_code"] is None and end["signal"] == 9, "the kernel part tells who is no parent"
    footer = run.until(lambda o: o["type"] == "footer", 10)
    exact(footer, TASKS, POLLS, 2)
    assert run.proc.wait(10) == 0, "a target that ends is no error"


def test_wakes_of_a_task(app, stalltop):
    """A timer wakes each of them to one poll; what led to the first poll seen came before its row."""
    target = app("idle10k", args=(40, 400))
    run = stalltop("dump", "--json", *ALL, "--level", 3, "--duration", "2s", "-p", target.pid)
    tasks = [t for t in run.of("task") if t["polls"]]
    assert len(tasks) > 30 and max(t["wakes"] for t in tasks) > 2
    for task in tasks:
        waits = task["state"] in ("ready", "in_poll")
        assert task["polls"] - 1 <= task["wakes"] <= task["polls"] - 1 + waits, task


def test_tasks_that_ended(app, stream, stalltop, tmp_path):
    """They were freed where no probe sees it, many at once: their rows are not tasks that live."""
    many, file = 40000, tmp_path / "t.trace"
    target = app("tide", args=("detached", many))
    run = stream("-p", target.pid, *ALL, "-o", file, "--duration", "60s", command="record")
    run.attached()
    target.send()
    target.wait_json()
    run.watch(4)
    run.stop()
    sites = {s["site"]: s for s in stalltop("report", file, "--json").of("site")}
    site = sites["tide::yield_once"]
    assert site["tasks_seen"] == many
    assert site["tasks_live"] < many / 10 and site["tasks_ended"] > many * 9 / 10
