# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finding Tokio in every build and version, the plan, and the ways to name a target."""

import json
import os
import re
import shutil
import struct
import subprocess

import pytest

import harness
from helpers_attach import changed_at, disassembly, loads, one_line, plan_of, run, to_vaddr
from helpers_attach import EMULATED

PROFILES = ["release", "debug", "release-stripped", "lto-abort", "full", "v0", "unstable",
            "static-pie", "nopie"]
BUILDS = [("current", p) for p in PROFILES] + \
    [(v, "release") for v in ("1.47", "1.43", "1.38", "1.32")]
each_build = pytest.mark.parametrize("version,profile", BUILDS)
# A stripped program has no symbols: its types are numbered.
NAMELESS = {"release-stripped"}
SITE = "suite::blocking_call::fetch_from_slow_disk"
WORKER = re.compile(r"worker::Launch::launch|multi_thread::worker|scheduler.*worker.*launch")


def plan(target, *more):
    result = harness.run_stalltop("check", *more, "--dry-run", "-p", target.pid)
    assert result.rc == 0, result
    return result, plan_of(result.stdout)


@each_build
def test_find_and_name(app, stream, version, profile):
    """Found, named, attached, and its one fault reported; nothing stays behind."""
    target = app("blocking_call", version, profile)
    watch = stream("-p", target.pid, *harness.room("blocking-call"), command="check")
    runtimes = watch.attached()["targets"][0]["runtimes"]
    watch.watch(1.5)
    watch.stop()
    found = watch.of_rule("blocking-call")
    assert len(found) == 1, watch.findings
    assert found[0]["syscall"] == "clock_nanosleep"
    if profile in NAMELESS:
        assert found[0]["site"], "a type without a name has a number"
    else:
        assert found[0]["site"] == SITE
    assert [f for f in watch.at_least("warning") if f["rule"] != "blocking-call"] == []
    assert len(runtimes) == 1 and runtimes[0]["name"] == "tokio"
    want = version if version != "current" else r"1\.\d+"
    assert re.match(want, runtimes[0]["version"]), runtimes
    assert runtimes[0]["task_types"] > 0


def test_types_are_the_same(app):
    """Symbol style, stripping and linking change no task type; folding may merge some."""
    counts = {}
    for profile in PROFILES:
        result, probes = plan(app("blocking_call", "current", profile))
        counts[profile] = int(re.search(r"(\d+) task types", result.stdout)[1])
        names = {p.site for p in probes}
        if profile not in NAMELESS:
            assert SITE in names, f"{profile}: {names}"
    same = {counts[p] for p in ("release", "release-stripped", "full", "v0", "static-pie",
                                "nopie", "unstable")}
    assert len(same) == 1, counts
    assert counts["debug"] >= counts["release"] >= counts["lto-abort"] > 0, counts


@each_build
def test_plan_by_other_eyes(app, version, profile):
    """Each probe is at the start of an instruction, and the cheap kind is cheap, says objdump."""
    target = app("blocking_call", version, profile)
    result, probes = plan(target)
    code, segments = disassembly(target.path), loads(target.path)
    assert len(probes) >= 10, result
    assert {p.program for p in probes} == {"poll", "dealloc"}
    for probe in probes:
        assert probe.kind != "not probed", f"{probe.site} at {probe.offset:#x}"
        address = to_vaddr(segments, probe.offset)
        assert address in code, f"{probe.offset:#x} is no start of an instruction"
        cheap = bool(EMULATED.match(code[address]))
        assert cheap == (probe.kind == "emulated"), f"{address:#x} {code[address]} {probe.kind}"
        if probe.program == "poll":
            assert cheap, f"poll of {probe.site} starts with {code[address]}"
    offsets = [(p.program, p.offset) for p in probes]
    assert len(set(offsets)) == len(offsets), "a site is planned twice"
    panics = re.findall(r" +panic +0x.*", result.stdout)
    assert len(panics) == (profile not in NAMELESS), "by the symbol of std's function"
    assert all(row.endswith("n/a    n/a  any task that panics") for row in panics), panics
    assert changed_at(target.pid, target.path, [p.offset for p in probes]) == []


def test_plan_of_many_types(app):
    """A thousand task types: all at boundaries; level 1 plans the polls alone."""
    target = app("manytypes")
    _, probes = plan(target, "--level", "1")
    assert {p.program for p in probes} == {"poll"}
    assert sum(p.types for p in probes) >= 1000
    code, segments = disassembly(target.path), loads(target.path)
    bad = [hex(p.offset) for p in probes if to_vaddr(segments, p.offset) not in code]
    assert bad == []


def test_probes_are_where_planned(app, stream):
    """While attached, exactly the planned bytes differ from the file's."""
    target = app("blocking_call")
    offsets = [p.offset for p in plan(target)[1]]
    watch = stream("-p", target.pid, "--overhead", "100%")
    watch.attached()
    assert len(changed_at(target.pid, target.path, offsets)) == len(offsets)
    watch.stop()
    assert changed_at(target.pid, target.path, offsets) == []


@each_build
def test_kinds(app, version, profile):
    """The worker loop and blocking-pool work are types, but not tasks: they are never blamed."""
    healthy = app("blocking_call_ok", version, profile)
    dump = harness.run_stalltop("dump", "-p", healthy.pid, "--json", "--duration", "1200ms",
                                *harness.room())
    assert dump.at_least("warning") == [], dump.findings
    assert dump.footer["polls"] > 0
    sites = [t["site"] or "" for t in dump.of("task")]
    assert sites and not any(WORKER.search(s) for s in sites), sites
    # A worker's own poll never ends: were it taken for a task, its worker would never park.
    assert {w["state"] for w in dump.of("worker")} != {"polling"}, dump.of("worker")


def test_unsupported_version(app, root):
    """Before 1.24 the layout is another one: said so, whatever the command."""
    old = app("unsupported", "1.20")
    words = (r"Tokio 1\.20\.\d+", r"needs Tokio 1\.24 or newer")
    for command in ("top", "check", "dump"):
        one_line(harness.run_stalltop(command, "-p", old.pid), 3, *words)
    one_line(harness.run_stalltop("check", "--wait", "-p", old.pid), 3, *words)
    one_line(harness.run_stalltop("check", "-n", "unsupported"), 3, *words)
    one_line(harness.run_stalltop("check", "--", old.path), 3, *words)
    doctor = harness.run_stalltop("doctor", "-p", old.pid)
    assert doctor.rc == 3 and re.search("MISSING +target.*" + words[0], doctor.stdout), doctor


@pytest.mark.parametrize("version", ["current", "1.32"])
def test_runtimes_of_a_process(app, stream, version):
    """Three runtimes in one process, told apart by their handles."""
    target = app("two_runtimes", version)
    watch = stream("-p", target.pid, "--duration", "2s", command="dump")
    watch.until(lambda o: o["type"] == "footer", 15)
    seen = {(r["flavor"], r["workers"]) for r in watch.of("runtime")}
    assert seen == {("multi-thread", 2), ("multi-thread", 3), ("current-thread", 1)}, seen
    by_site = {}
    for task in watch.of("task"):
        by_site.setdefault((task["site_id"], task["site"]), set()).add(task["runtime_id"])
    assert all(len(runtimes) == 1 for runtimes in by_site.values()), by_site
    assert len(set.union(*by_site.values())) == 3, by_site
    # Where the linker folded what names a type, all candidates are told.
    for site in ("front_request", "batch_job", "cron_entry"):
        assert any(f"suite::two_runtimes::{site}" in name for _, name in by_site), by_site
    watch.proc.wait(10)


@pytest.mark.parametrize("version", ["current", "1.32"])
@pytest.mark.parametrize("fault,rule", [("block", "blocking-call"), ("burn", "cpu-bound-poll"),
                                        ("ok", None)])
def test_current_thread(app, stalltop, version, fault, rule):
    """Spawned and local tasks of one thread; the fault is in a LocalSet's task."""
    target = app("current_thread", version, args=(fault,))
    seen = stalltop("check", "-p", target.pid, "--duration", "2s", "--json", *harness.room(rule))
    # 60 ms on the only thread: that the others waited so long may be said as well.
    bad = [(f["rule"], f["site"]) for f in seen.at_least("warning")
           if not rule or f["rule"] != "starvation"]
    assert bad == ([(rule, "suite::current_thread::local_session")] if rule else []), bad


# --- how a target is named -----------------------------------------------------------------

def copy_as(path, folder, name):
    return shutil.copy2(path, os.path.join(str(folder).encode(), os.fsencode(name)))


def test_by_name(app, stalltop, path_of, tmp_path):
    """The name of the process or of the executable, exactly; all that carry it."""
    path = os.fsdecode(copy_as(path_of("blocking_call"), tmp_path, "a_long_name_of_a_program"))
    one, two = app("x", path=path), app("x", path=path)
    pids = sorted((one.pid, two.pid))
    for name in ("a_long_name_of_a_program", "a_long_name_of_"):
        seen = stalltop("check", "-n", name, "--duration", "1s", "--json")
        assert sorted(t["pid"] for t in seen.header["targets"]) == pids, seen
    one_line(stalltop("check", "-n", "a_long_name"), 4, "no process is named a_long_name ")
    os.symlink(path, tmp_path / "renamed")
    other = app("x", path=tmp_path / "renamed")
    seen = stalltop("check", "-n", "renamed", "--duration", "1s", "--json")
    assert [t["pid"] for t in seen.header["targets"]] == [other.pid], "by the name of the process"


def test_several(app, stalltop):
    """Several processes in one watch, each with its own findings; the same pid twice is one."""
    bad, good = app("blocking_call"), app("blocking_call_ok", "1.38")
    seen = stalltop("check", "-p", f"{bad.pid},{good.pid},{bad.pid}", "--duration", "2s", "--json",
                    "--fail-on", "warning", *harness.room("blocking-call"))
    assert seen.rc == 1
    assert [t["pid"] for t in seen.header["targets"]] == [bad.pid, good.pid]
    assert {f["pid"] for f in seen.at_least("warning")} == {bad.pid}
    one_line(stalltop("check", "-p", f"{bad.pid},{4 * 10**6}"), 4, "4000000")


def in_namespace(script, deadline=60):
    """A shell script in its own pid and mount namespaces: /proc holds its processes only."""
    return run(["unshare", "--pid", "--fork", "--mount-proc", "--mount", "sh", "-c", script],
               deadline)


def test_all(root, path_of):
    """Each process with a runtime that there is, and no other."""
    paths = [path_of("blocking_call"), path_of("blocking_call_ok", "1.43"),
             path_of("unsupported", "1.20")]
    script = "".join(f"{p} > /dev/null & " for p in paths) + f"""sleep 60 & sleep 0.7
        {harness.BINARY} list --json; {harness.BINARY} list >&2
        {harness.BINARY} check --all --duration 2s --fail-on warning --json; echo "code $?" >&2"""
    done = in_namespace(script)
    lines = [json.loads(x) for x in done.stdout.splitlines()]
    listed = [o for o in lines if o["type"] == "process"]
    assert [o["comm"] for o in listed] == ["blocking_call", "blocking_call_o"], lines
    assert listed[1]["version"].startswith("1.43")
    header = [o for o in lines if o["type"] == "header"][0]
    assert [t["pid"] for t in header["targets"]] == [o["pid"] for o in listed]
    assert {o["pid"] for o in lines if o["type"] == "finding"} == {listed[0]["pid"]}
    assert "code 1" in done.stderr
    assert re.search(r"blocking_call_o +tokio +1\.43\.\d+ +2 +\d+ +/", done.stderr), done


# --- programs that stalltop starts ---------------------------------------------------------

ALL = ("--overhead", "100%")


@pytest.mark.parametrize("profile", ["release", "static-pie", "nopie", "v0"])
@pytest.mark.parametrize("level", [1, 2])
def test_started(root, stalltop, path_of, profile, level):
    """From the first instruction: not one poll is missed, in any kind of executable."""
    seen = stalltop("check", "--json", *ALL, "--level", level, "--duration", "2s", "--",
                    path_of("churn", "current", profile), 500, 8)
    assert seen.rc == 0
    assert seen.footer["polls"] == 4000, seen.footer
    assert seen.footer["lost"] == 0
    if level == 2:
        assert seen.footer["tasks_seen"] == 500


def test_started_by_a_script(root, stalltop, path_of, tmp_path):
    """A wrapper that execs the program, as services are started."""
    script = tmp_path / "start.sh"
    script.write_text(f"#!/bin/sh\nsleep 0.1\nexec {path_of('blocking_call')}\n")
    script.chmod(0o755)
    seen = stalltop("check", "--json", "--duration", "3s", *harness.room("blocking-call"), "--",
                    script)
    assert [(f["rule"], f["site"]) for f in seen.at_least("warning")] == [("blocking-call", SITE)]
    assert seen.rc == 1
    assert seen.of("target")[-1]["exe"] == str(path_of("blocking_call"))


def test_status_of_the_command(root, stalltop):
    """Its end is reported, and is not the exit code of stalltop: that one is about findings."""
    seen = stalltop("check", "--json", "--", "sh", "-c", "exit 7")
    end = seen.of("target_end")
    assert [(e["reason"], e["exit_code"], e["signal"]) for e in end] == [("exited", 7, None)]
    assert seen.rc == 0
    seen = stalltop("check", "--json", "--", "sh", "-c", "kill -9 $$")
    assert [(e["exit_code"], e["signal"]) for e in seen.of("target_end")] == [(None, 9)]
    assert "exited with status 7" in stalltop("check", "--", "sh", "-c", "exit 7").stdout


def test_output_of_the_command(root, stalltop):
    """What the program prints stays apart from what a script reads from stalltop."""
    seen = stalltop("check", "--json", "--", "sh", "-c", "echo spoken; echo aloud >&2")
    assert "spoken" in seen.stderr and "aloud" in seen.stderr
    assert "spoken" not in seen.stdout


def test_command_that_cannot_run(root, stalltop, tmp_path):
    one_line(stalltop("check", "--", "/no/such/program"), 3, "/no/such/program",
             "No such file or directory")
    one_line(stalltop("check", "--", "no_such_program"), 3, "no_such_program")
    plain = tmp_path / "plain"
    plain.write_text("text\n")
    one_line(stalltop("check", "--", plain), 3, "plain", "Permission denied")


def test_command_is_ended(root, stalltop, path_of):
    """A program that stalltop started does not outlive the watch."""
    seen = stalltop("check", "--json", "--duration", "700ms", "--", path_of("blocking_call"))
    assert not os.path.exists(f"/proc/{seen.header['targets'][0]['pid']}")


def test_options_of_the_command(root, stalltop):
    """What follows -- is the program's, dashes and all."""
    seen = stalltop("check", "--json", "--", "sh", "-c", "exit $#", "-p", "--json", "--", "-v")
    assert seen.of("target_end")[0]["exit_code"] == 3


# --- a runtime that is loaded later --------------------------------------------------------

def test_wait_for_library(app, stream):
    """dlopen: the runtime of a library is found within seconds, its faults are reported."""
    target = app("dlopen_host")
    one_line(harness.run_stalltop("check", "-p", target.pid), 3, "no async runtime", "--wait")
    watch = stream("-p", target.pid, "--wait")
    assert watch.attached()["targets"][0]["runtimes"] == []
    target.send()
    target.wait_line(lambda line: line == "loaded")
    known = watch.until(lambda o: o["type"] == "target" and o["runtimes"], 5)
    assert known["runtimes"][0]["binary"].endswith("libplugin.so")
    found = watch.finding("blocking-call", 5)
    assert found["site"] == "plugin::plugin_job" and found["severity"] == "warning"
    watch.stop()
    library = known["runtimes"][0]["binary"]
    offsets = [p.offset for p in plan_of(
        harness.run_stalltop("check", "--dry-run", "-p", target.pid).stdout)]
    assert offsets and changed_at(target.pid, library, offsets) == []


def test_library_in_a_running_runtime(root, stream, path_of, tmp_path):
    """A program with Tokio loads a second Tokio in a library: both are watched."""
    source = tmp_path / "loader.c"
    source.write_text("""
        #include <dlfcn.h>
        #include <stdlib.h>
        #include <unistd.h>
        #include <pthread.h>
        static void *load(void *arg) {
            void (*start)(const char *);
            void *lib;
            sleep(2);
            lib = dlopen(getenv("LATER"), RTLD_NOW);
            start = lib ? dlsym(lib, "plugin_start") : 0;
            if (!start) abort();
            start("block");
            return arg;
        }
        __attribute__((constructor)) static void init(void) {
            pthread_t t;
            if (getenv("LATER")) pthread_create(&t, 0, load, 0);
        }""")
    loader = tmp_path / "loader.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", loader, source], check=True)
    target = harness.App(path_of("blocking_call_ok"), env={
        "LD_PRELOAD": str(loader), "LATER": str(path_of("libplugin.so"))})
    try:
        watch = stream("-p", target.pid)
        watch.attached()
        found = watch.finding("blocking-call", 10, "warning")
        assert found["site"] == "plugin::plugin_job"
        assert len(watch.of("target")[-1]["runtimes"]) == 2
        watch.stop()
    finally:
        target.kill()


def sdt_note(provider, name, pc):
    """A note of .note.stapsdt, as systemtap's <sys/sdt.h> makes it."""
    text = struct.pack("<3Q", pc, 0, 0) + b"\0".join((provider, name, b"8@%rdi", b""))
    head = struct.pack("<3I", 8, len(text), 3) + b"stapsdt\0"
    return head + text + bytes(-len(text) % 4)


def test_probes_of_others(app, stalltop, path_of, tmp_path):
    """Those of tokio-dtrace, which on Linux no released version makes: named, and not attached."""
    mine, notes = tmp_path / "dtraced", tmp_path / "notes"
    _, code, _, _ = next(one for one in loads(path_of("blocking_call")) if one[3] & 1)
    notes.write_bytes(sdt_note(b"tokio", b"task__poll__start", code + 64) +
                      sdt_note(b"other", b"task__poll__start", code + 64))
    subprocess.run(["objcopy", "--add-section", f".note.stapsdt={notes}", path_of("blocking_call"), mine],
                   check=True)
    target = app("x", path=mine)
    seen = stalltop("check", "-p", target.pid, "--duration", "300ms", "--json")
    (note,) = [n["text"] for n in seen.of("note") if "provider tokio" in n["text"]]
    assert note.startswith(f"{mine} carries") and seen.footer["sites_on"] > 10
    plain = stalltop("check", "-p", app("blocking_call").pid, "--duration", "300ms", "--json")
    assert not [n for n in plain.of("note") if "provider" in n["text"]]
