# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that exec, fork, exit, panic, start threads, live in namespaces or lost their file."""

import os
import shutil
import signal
import subprocess
import time

import pytest

import harness
from helpers_attach import changed_at, one_line, plan_of, run, until

SITE = "suite::blocking_call::fetch_from_slow_disk"
ROOM = harness.room("blocking-call")
CHECK = ("check", "--duration", "2s", "--fail-on", "warning", "--json", *ROOM)


def blamed(seen):
    return sorted({(f["rule"], f["site"]) for f in seen.at_least("warning")})


# --- exec and fork -------------------------------------------------------------------------

def test_exec(app, stream):
    """The same pid, another program: what was known is dropped, the new one is watched."""
    target = app("execs", args=("first", 2))
    watch = stream("-p", target.pid, *ROOM)
    first = watch.attached()["targets"][0]
    end = watch.until(lambda o: o["type"] == "target_end", 10)
    assert (end["pid"], end["reason"]) == (target.pid, "execed")
    found = watch.finding("blocking-call", 10, "warning")
    assert found["site"] == "execs::after_exec"
    assert found["pid"] == target.pid and found["syscall"] == "clock_nanosleep"
    known = watch.of("target")[-1]
    assert known["start_time"] == first["start_time"], "exec keeps the start time"
    assert known["runtimes"][0]["task_types"] == first["runtimes"][0]["task_types"]
    watch.watch(1)
    watch.stop()
    assert blamed(watch) == [("blocking-call", "execs::after_exec")]


def test_exec_during_attach(app):
    """Between the look at a process and the probes: what was seen is worth nothing then."""
    delays = [0.02, 0.08, 0.14, 0.2, 0.26]
    targets = [app("execs", args=("first", 1), ready=False) for _ in delays]
    begin, runs = time.monotonic(), []
    for target in targets:
        target.wait_line(lambda line: line.startswith("ready"))
    for target, delay in reversed(list(zip(targets, delays))):
        time.sleep(max(0, begin + 1 - delay - time.monotonic()))
        runs.append(subprocess.Popen([harness.BINARY, "check", "-p", str(target.pid), "--fail-on",
                                      "warning", "--duration", "2500ms", "--overhead", "100%"],
                                     stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for one, delay in zip(runs, reversed(delays)):
        out, err = one.communicate(timeout=20)
        assert one.returncode == 1, (delay, out, err)
        assert "execs::after_exec blocked" in out, (delay, out)
        assert "No such file" not in out + err, "what was there and has gone is said to have gone"


def test_exec_to_a_program_without_runtime(root, stalltop, path_of, tmp_path):
    """Nothing is left to watch, which is said, and no error."""
    script = tmp_path / "start.sh"
    script.write_text(f"#!/bin/sh\n{path_of('churn')} 10 1 > /dev/null 2>&1 &\nexec sleep 0.7\n")
    script.chmod(0o755)
    seen = stalltop("check", "--json", "--", script, env={"STALLTOP_APP_SECONDS": "2"})
    assert seen.rc == 0 and seen.findings == []
    assert [(e["reason"], e["exit_code"]) for e in seen.of("target_end")][-1] == ("exited", 0)
    assert seen.footer["polls"] == 0, "the child is another process"


@pytest.mark.parametrize("kind", ["plain", "tokio"])
def test_fork(app, stream, kind):
    """A child has the parent's memory and, at first, its probes: it is neither counted nor hurt."""
    target = app("forks", args=(kind, 800))
    watch = stream("-p", target.pid, *ROOM)
    watch.attached()
    child = int(target.wait_line(lambda x: x.startswith("child pid=")).split("=")[1])
    try:
        before = switches(child)
        watch.finding("blocking-call", 10, "warning")
        watch.watch(1.5)
        watch.stop()
        assert blamed(watch) == [("blocking-call", "suite::forks::parent_job")]
        assert {f["pid"] for f in watch.findings} == {target.pid}
        assert os.path.exists(f"/proc/{child}/exe"), "the child lives"
        assert kind == "tokio" or switches(child) > before, "and works"
        assert harness.changed_text(child) == []
        # The child alone can be watched too.
        if kind == "tokio":
            alone = harness.run_stalltop(*CHECK, "-p", child)
            assert blamed(alone) == [("blocking-call", "suite::forks::child_job")]
        else:
            harness.run_stalltop(*CHECK, "-p", child)
        assert os.path.exists(f"/proc/{child}/exe")
    finally:
        os.kill(child, signal.SIGKILL)


def switches(pid):
    """Times that it went to sleep of its own will."""
    with open(f"/proc/{pid}/status") as status:
        return int(status.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])


# --- exit ----------------------------------------------------------------------------------

def test_exit_while_watched(app, stream):
    """The end of a target is no error: the report is printed, the findings decide."""
    target = app("blocking_call")
    watch = stream("-p", target.pid, "--duration", "60s", *ROOM, command="check")
    watch.attached()
    watch.watch(1.5)
    target.proc.kill()
    end = watch.until(lambda o: o["type"] == "target_end", 10)
    assert (end["reason"], end["exit_code"], end["signal"]) == ("exited", None, 9), end
    watch.until(lambda o: o["type"] == "footer", 10)
    assert watch.proc.wait(10) == 1, "a critical finding"
    assert blamed(watch) == [("blocking-call", SITE)]


def test_one_of_two_exits(app, stream):
    one, two = app("blocking_call"), app("blocking_call_ok")
    watch = stream("-p", f"{one.pid},{two.pid}")
    watch.attached()
    two.proc.kill()
    watch.until(lambda o: o["type"] == "target_end" and o["pid"] == two.pid, 10)
    watch.finding("blocking-call", 10, "critical")
    assert watch.proc.poll() is None
    watch.stop()


def test_exit_during_attach(root, path_of):
    """Programs that end at any moment of the attach: 0, 3 or 4, one line, never a crash."""
    path, codes = path_of("churn"), {}
    target = subprocess.Popen([path, "10", "1"], stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    watch = subprocess.Popen([harness.BINARY, "top", "--overhead", "100%", "--json", "-p",
                              str(target.pid)],
                             stdout=subprocess.PIPE)
    watch.stdout.readline()
    step = (time.monotonic() - begin) / 28
    watch.terminate()
    watch.communicate(timeout=20)
    target.kill()
    target.wait()
    for i in range(40):
        target = subprocess.Popen([path, "10", "1"], stdout=subprocess.DEVNULL)
        watch = subprocess.Popen([harness.BINARY, "check", "--duration", "20s", "-p",
                                  str(target.pid)], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        time.sleep(i * step)
        target.kill()
        out, err = watch.communicate(timeout=20)
        target.wait()
        harness.check_sanitizers(err.decode())
        codes[watch.returncode] = codes.get(watch.returncode, 0) + 1
        assert watch.returncode in (0, 3, 4), (i, watch.returncode, err)
        if watch.returncode:
            lines = err.decode().splitlines()
            assert len(lines) == 1 and lines[0].startswith("stalltop: "), (i, err)
            # 3 is for what cannot be watched while it is there.
            assert watch.returncode == 4 or b"no async runtime" in err, (i, err)
        else:
            assert b"exited" in out or b"killed by signal 9" in out, (i, out)
    assert codes.get(4) and codes.get(0), f"the deaths missed the attach: {codes}"


def test_started_and_gone(root, stalltop):
    """A command that ends at once, twenty times."""
    for _ in range(20):
        seen = stalltop("check", "--json", "--", "true")
        assert seen.rc == 0 and seen.of("target_end")[0]["exit_code"] == 0, seen


# --- threads and panics --------------------------------------------------------------------

def test_threads_come_and_go(app, stream):
    """The blocking pool's threads: their sleep is no fault; what blocks a worker still is."""
    target = app("blocking_call_ok")
    watch = stream("-p", target.pid, "--duration", "4s", *harness.room(),
                   command="dump")
    watch.until(lambda o: o["type"] == "footer", 20)
    assert watch.at_least("warning") == [], watch.findings
    assert watch.footer["lost"] == 0 and watch.footer["events_lost"] == 0
    watch.proc.wait(10)


def test_many_short_threads(app, path_of, stream, tmp_path):
    """Slots of threads that ended are used again: 3,000 threads beside a runtime lose nothing."""
    source = tmp_path / "spawner.c"
    source.write_text("""
        #include <pthread.h>
        #include <unistd.h>
        static void *nothing(void *arg) { return arg; }
        static void *spawn(void *arg) {
            pthread_t t;
            for (;;) {
                if (!pthread_create(&t, 0, nothing, 0)) pthread_join(t, 0);
                usleep(500);
            }
            return arg;
        }
        __attribute__((constructor)) static void init(void) {
            pthread_t t;
            pthread_create(&t, 0, spawn, 0);
        }""")
    library = tmp_path / "spawner.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    target = app("blocking_call", env={"LD_PRELOAD": str(library)})
    watch = stream("-p", target.pid, "--duration", "3s", *ROOM, command="check")
    watch.until(lambda o: o["type"] == "footer", 20)
    assert blamed(watch) == [("blocking-call", SITE)]
    assert watch.footer["lost"] == 0 and watch.footer["events_lost"] == 0
    watch.proc.wait(10)


def test_panics(app, stream):
    """A panic unwinds through the probed function: it is caught as it would be unwatched."""
    target = app("panics")
    rates = {}
    for watched in (False, True):
        watch = stream("-p", target.pid, *harness.room()) if watched else None
        if watch:
            watch.attached()
        lines = [target.wait_json() for _ in range(4)]
        rates[watched] = [lines[-1][k] - lines[0][k] for k in ("panics_caught", "completed")]
        if watch:
            watch.stop()
            assert blamed(watch) == []
    # Of each 20 requests, 10 end by panic and 10 are completed.
    assert rates[True] == rates[False] == [30, 30]


# --- namespaces and files ------------------------------------------------------------------

def test_other_namespaces(app, stream, path_of, tmp_path):
    """Own pid and mount namespaces, on a tmpfs that the host does not see, in a root of its own."""
    path = path_of("blocking_call")
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    needed = subprocess.run(["ldd", path], stdout=subprocess.PIPE, text=True).stdout.split()
    libraries = " ".join(word for word in needed if word.startswith("/"))
    script = tmp_path / "start.sh"
    script.write_text(f"""#!/bin/sh
        set -e
        mount -t tmpfs tmpfs {rootfs}
        cd {rootfs}
        mkdir -p bin proc dev
        for file in {libraries}; do
            mkdir -p .$(dirname $file); cp -L $file .$file
        done
        cp {path} bin/hidden_service
        mount -t proc proc proc
        exec chroot . /bin/hidden_service
        """)
    script.chmod(0o755)
    outer = app("unshare", path="/usr/bin/unshare",
                args=("--pid", "--fork", "--mount", "--kill-child", script))
    pid = int(subprocess.run(["pgrep", "-P", str(outer.pid)], stdout=subprocess.PIPE,
                             text=True, check=True).stdout)
    assert not (rootfs / "bin").exists(), "the host sees it"
    until(lambda: os.readlink(f"/proc/{pid}/exe").endswith("/hidden_service"), 10)
    watch = stream("-p", pid, command="check")
    watch.attached()
    watch.watch(1.5)
    watch.stop()
    found = watch.of_rule("blocking-call")
    assert [(f["pid"], f["site"]) for f in found] == [(pid, SITE)]
    offsets = [p.offset for p in plan_of(
        harness.run_stalltop("check", "--dry-run", "-p", pid).stdout)]
    assert offsets
    # By name, as a host's administrator would.
    assert harness.run_stalltop(*CHECK, "-n", "hidden_service").rc == 1


def test_inside_a_pid_namespace(root, path_of):
    """stalltop itself in a container: ids are those of its own namespace."""
    seen = run(["unshare", "--pid", "--fork", "--mount-proc", "--mount", "sh", "-c",
                f"{path_of('blocking_call')} > /dev/null & sleep 0.5; "
                f"{harness.BINARY} check -p $! --duration 2s --fail-on warning --json"])
    assert seen.rc == 1, seen
    found = seen.of_rule("blocking-call")
    assert [f["site"] for f in found] == [SITE]
    assert found[0]["pid"] == seen.header["targets"][0]["pid"] < 20
    assert 0 < found[0]["tid"] < 50
    one_line(run(["unshare", "--pid", "--fork", "--mount-proc", "--mount", harness.BINARY,
                  "check", "-p", "1"]), 3, "process 1 .*no async runtime")


def copied(path, tmp_path, name="service"):
    to = tmp_path / name
    shutil.copy2(path, to)
    return to


def test_deleted_binary(app, stalltop, path_of, tmp_path):
    path = copied(path_of("blocking_call"), tmp_path)
    target = app("service", path=path)
    path.unlink()
    seen = stalltop(*CHECK, "-p", target.pid)
    assert blamed(seen) == [("blocking-call", SITE)]
    assert seen.header["targets"][0]["exe"] == str(path)
    assert stalltop(*CHECK, "-n", "service").rc == 1


@pytest.mark.parametrize("other", ["shop", "echo"])
def test_replaced_binary(app, stalltop, path_of, tmp_path, other):
    """An update while it runs: the file that is mapped is read and probed, not the new one."""
    path = copied(path_of("blocking_call"), tmp_path)
    target = app("service", path=path)
    new = copied(path_of(other) if other == "shop" else "/bin/echo", tmp_path, "new")
    with pytest.raises(OSError):
        shutil.copyfile(new, path)      # ETXTBSY
    os.link(path, tmp_path / "old")
    new.rename(path)
    before = path.read_bytes()
    seen = stalltop(*CHECK, "-p", target.pid)
    assert blamed(seen) == [("blocking-call", SITE)]
    assert path.read_bytes() == before
    probes = plan_of(stalltop("check", "--dry-run", "-p", target.pid).stdout)
    assert changed_at(target.pid, tmp_path / "old", [p.offset for p in probes]) == []


def test_deleted_library(app, stream, path_of, tmp_path):
    """The same for a library that carries the runtime."""
    host = copied(path_of("dlopen_host"), tmp_path, "host")
    library = copied(path_of("libplugin.so"), tmp_path, "libplugin.so")
    target = app("host", path=host)
    target.send()
    target.wait_line(lambda line: line == "loaded")
    library.unlink()
    library.write_bytes(b"not a library")
    watch = stream("-p", target.pid)
    found = watch.finding("blocking-call", 10, "warning")
    assert found["site"] == "plugin::plugin_job"
    watch.stop()
