# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where tasks are spawned, and what the kernel did below a block, against the program's own truth.

`spawns` says which function spawns which type on which line. What can be known depends on the
build: the function with symbols, the line with line tables; both from a probe. A tokio_unstable
build holds the line itself, without a function. Without symbols nothing says it, and the reason
is told.
"""

import pytest

from harness import changed_text, room
from test_stacks import plain

BUILDS = {  # profile -> (functions, lines, LocalSet)
    "release": (True, False, True),
    "lines": (True, True, True),
    "debug": (True, True, False),
    "lto-abort": (True, False, False),
    "unstable": (False, True, False),
}


def truths_of(target):
    return [o for o in target.json_lines() if "what" in o]


def sites_of(run):
    return {o["site"]: o for o in run.of("site")}


def is_place(spawn, truth, functions, lines):
    """Whether the spawn is that of the truth, and says no more than can be known."""
    assert (spawn["function"] is not None) == functions, spawn
    assert (spawn["line"] is not None) == lines, spawn
    if functions and plain(spawn["function"]) != truth["function"]:
        return False
    return not lines or (spawn["file"], spawn["line"]) == (truth["file"], truth["line"])


def places_of(spawn, truths, functions, lines):
    return [t for t in truths if is_place(spawn, t, functions, lines)]


@pytest.mark.parametrize("profile", BUILDS)
def test_spawn_sites(app, stalltop, profile):
    functions, lines, local = BUILDS[profile]
    target = app("spawns", profile=profile)
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", "4s")
    assert run.rc == 0, run
    truths, sites = truths_of(target), sites_of(run)
    for site in {t["site"] for t in truths if t["what"] == "spawn"}:
        known = [t for t in truths if t["site"] == site]
        spawn = sites[site]["spawn"]
        assert spawn, (site, sites[site]["spawn_unknown_because"])
        assert sites[site]["spawn_unknown_because"] is None
        assert places_of(spawn, known, functions, lines), (spawn, known)
        assert (spawn["share"] == 1) >= (len(known) == 1), spawn
        if functions:
            assert spawn["spawns"] >= 4 and spawn["stack_end"] == "complete", spawn
            assert spawn["stack"][0]["origin"] == "runtime", spawn["stack"][0]
    if local:
        truth = next(t for t in truths if t["what"] == "local")
        assert is_place(sites[truth["site"]]["spawn"], truth, functions, lines), sites
    tasks = [t for t in run.of("task") if t["site"] == "spawns::ring"]
    assert all("stack" not in t["spawn"] for t in tasks), tasks
    # Spawns are counted apart: hits are those of polls and ends of tasks.
    assert (run.footer["spawn_hits"] > 50) == functions, run.footer
    assert changed_text(target.pid) == []


def test_several_places(app, stalltop):
    """Of three places of one type several are met."""
    target = app("spawns")
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", "10s")
    truths = [t for t in truths_of(target) if t["site"] == "spawns::carry_parcel"]
    spawn = sites_of(run)["spawns::carry_parcel"]["spawn"]
    assert len(places_of(spawn, truths, True, False)) == 1, spawn
    assert spawn["spawns"] >= 6 and 0.3 <= spawn["share"] < 1, spawn


def test_stripped_says_why(app, stalltop):
    target = app("spawns", profile="release-stripped")
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", "1s")
    sites = run.of("site")
    assert sites and all(s["spawn"] is None for s in sites)
    assert {s["spawn_unknown_because"] for s in sites} == \
        {"the binary is stripped: no symbol says where tasks are made"}
    assert run.footer["spawn_hits"] == 0


@pytest.mark.parametrize("options,why", [
    (("--level", "1"), "spawns are looked at from level 2 on"),
    (("--no-feature", "spawns"), "stacks or spawns are switched off"),
])
def test_not_asked_for(app, stalltop, options, why):
    target = app("spawns")
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", "1s", *options)
    assert {(s["spawn"], s["spawn_unknown_because"]) for s in run.of("site")} == {(None, why)}
    assert run.footer["spawn_hits"] == 0


def test_finding_names_the_spawner(app, stalltop):
    target = app("task_explosion", profile="debug")
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "7s",
                   *room("task-explosion"))
    (finding,) = run.of_rule("task-explosion")
    assert plain(finding["spawn"]["function"]) == "suite::task_explosion::mail_everyone", finding
    where = f"task_explosion.rs:{finding['spawn']['line']} in suite::task_explosion::mail_everyone"
    assert where in finding["message"], finding["message"]


def test_page_fault(app, stalltop):
    """A poll that waits for a page is in no system call; the kernel's stack says what it is."""
    target = app("spawns")
    truth = [t for t in truths_of(target) if t["what"] == "page"]
    if not truth:
        pytest.skip("this kernel has no userfaultfd")
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "3s")
    (finding,) = [f for f in run.of_rule("blocking-call") if f["site"] == truth[0]["site"]]
    assert finding["syscall"] is None and finding["page_fault"] is True, finding
    assert finding["kernel_function"] == "handle_userfault", finding["kernel_stack"]
    assert plain(finding["culprit"]["function"]) == truth[0]["function"], finding["culprit"]
    assert " in a page fault" in finding["message"], finding["message"]
    assert run.footer["stacks_lost"] == 0, run.footer


# What the kernel's function is called in 6.6 to 6.18.
KERNEL = {
    "clock_nanosleep": {"hrtimer_nanosleep", "do_nanosleep"},
    "futex": {"futex_wait", "futex_wait_requeue_pi"},
    "read": {"pipe_read", "anon_pipe_read", "fifo_pipe_read"},
    "wait4": {"do_wait", "kernel_wait4"},
    "flock": {"locks_lock_inode_wait", "__do_sys_flock", "__se_sys_flock"},
    "accept4": {"inet_csk_accept", "inet_csk_wait_for_connect"},
}


def test_kernel_functions(app, stalltop):
    target = app("blocks")
    run = stalltop("check", "-p", target.pid, "--json", "--duration", "5s")
    seen = [f for f in run.of_rule("blocking-call") if f["syscall"] in KERNEL and f["stack"]]
    assert len({f["syscall"] for f in seen}) >= 4, [f["syscall"] for f in seen]
    for f in seen:
        assert f["kernel_function"] in KERNEL[f["syscall"]], (f["syscall"], f["kernel_stack"])
        assert f["page_fault"] is False and f["kernel_function"] in f["kernel_stack"]


def test_storm_costs_little(app, stalltop):
    """A program that spawns as fast as it can is probed in short windows only."""
    target = app("churn", args=(4000000, 1, "wait"))
    target.send()
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", "3s")
    seen = sum(s["tasks_seen"] or 0 for s in run.of("site"))
    # Three windows of 1000, and what comes until the probes are gone.
    assert 0 < run.footer["spawn_hits"] < max(seen / 4, 8000), (run.footer, seen)
