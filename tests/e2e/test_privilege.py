# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rights: capabilities without root, other users' processes, seccomp, a kernel without BTF."""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

import harness
from helpers_attach import NOBODY, caps, changed_at, one_line, plan_of, run

SITE = "suite::blocking_call::fetch_from_slow_disk"
# Of the program's two kinds of blocks each is enough: a paused machine may leave one of them only.
CHECK = ("check", "--duration", "2s", "--fail-on", "warning", "--json")
NO_RIGHTS = ("CAP_BPF and CAP_PERFMON", "root")


@pytest.fixture(scope="module")
def place(root):
    """A folder that every user can enter, with stalltop in it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stalltop-e2e-"))
    folder.chmod(0o755)
    shutil.copy2(harness.BINARY, folder / "stalltop")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def targets(app, place, path_of):
    """The same program as nobody and as root."""
    path = place / "blocking_call"
    if not path.exists():
        shutil.copy2(path_of("blocking_call"), path)
    theirs = app("x", path="/usr/bin/setpriv", args=(*NOBODY[1:], path))
    ours = app("x", path=path)
    return theirs.pid, ours.pid


def as_user(place, capabilities, *words):
    return run([*caps(*capabilities), place / "stalltop", *words], cwd="/")


def check(place, capabilities, pid):
    return as_user(place, capabilities, *CHECK, "-p", pid, *harness.room("blocking-call"))


def blamed(seen):
    assert seen.rc == 1, seen
    return [(f["rule"], f["site"]) for f in seen.at_least("warning")]


def missing(doctor):
    """What the doctor found to be missing: {name: text}."""
    return dict(re.findall(r"^MISSING +(\S.*?)  +(.*)$", doctor.stdout, re.M))


def test_two_capabilities(place, targets):
    """CAP_BPF and CAP_PERFMON are enough for processes of the same user."""
    theirs, ours = targets
    assert blamed(check(place, ("bpf", "perfmon"), theirs)) == [("blocking-call", SITE)]
    offsets = [p.offset for p in plan_of(
        as_user(place, (), "check", "--dry-run", "-p", theirs).stdout)]
    assert offsets, "the plan needs no rights at all"
    assert changed_at(theirs, place / "blocking_call", offsets) == []
    for command in ("check", "dump", "top"):
        one_line(as_user(place, ("bpf", "perfmon"), command, "-p", ours), 3, "CAP_SYS_PTRACE",
                 f"process {ours}")


def test_third_capability(place, targets):
    """With CAP_SYS_PTRACE those of every user."""
    for pid in targets:
        seen = check(place, ("bpf", "perfmon", "sys_ptrace"), pid)
        assert blamed(seen) == [("blocking-call", SITE)]


@pytest.mark.parametrize("capabilities", [(), ("bpf",), ("perfmon",), ("sys_ptrace",)],
                         ids=lambda c: "+".join(c) or "none")
def test_too_little(place, targets, capabilities):
    one_line(check(place, capabilities, targets[0]), 3, *NO_RIGHTS)
    one_line(as_user(place, capabilities, "check", "--", "true"), 3, *NO_RIGHTS)


def test_started_by_a_user(place, targets):
    """A program that is started needs no right to look at others."""
    seen = as_user(place, ("bpf", "perfmon"), *CHECK, "--", place / "blocking_call")
    assert blamed(seen) == [("blocking-call", SITE)]


DOCTOR = [
    ((), 3, {"BPF rights": "missing CAP_BPF and CAP_PERFMON.*setcap", "BPF programs": "CAP_BPF"}),
    (("bpf",), 3, {"BPF rights": "missing CAP_PERFMON:", "BPF programs": "CAP_PERFMON"}),
    (("perfmon",), 3, {"BPF rights": "missing CAP_BPF:", "BPF programs": "CAP_BPF"}),
    (("bpf", "perfmon"), 0, {}),
    (("bpf", "perfmon", "sys_ptrace"), 0, {}),
]


@pytest.mark.parametrize("capabilities,code,words", DOCTOR,
                         ids=lambda v: "+".join(v) or "none" if isinstance(v, tuple) else None)
def test_doctor(place, targets, capabilities, code, words):
    """Names what is missing and the command that would fix it; the target is a check, too."""
    theirs, ours = targets
    for extra in ((), ("-p", theirs)):
        seen = as_user(place, capabilities, "doctor", *extra)
        assert seen.rc == code, seen
        told = missing(seen)
        assert sorted(told) == sorted(words), seen
        for name, pattern in words.items():
            assert re.search(pattern, told[name]), told
    seen = as_user(place, capabilities, "doctor", "-p", ours)
    if "sys_ptrace" in capabilities:
        assert seen.rc == 0 and re.search(f"ok +target +process {ours}: tokio", seen.stdout), seen
    else:
        assert seen.rc == 3 and "CAP_SYS_PTRACE" in missing(seen)["target"], seen
    lines = as_user(place, capabilities, "doctor", "--json").lines
    assert {o["name"] for o in lines if not o["ok"]} == set(words)


def test_doctor_of_nobody(place):
    seen = as_user(place, ("bpf", "perfmon"), "doctor", "-p", 4194303)
    assert seen.rc == 4 and "no process" in missing(seen)["target"], seen


# A launcher that lets one system call fail with an errno, and runs a command.
DENY = """
import ctypes, os, struct, sys
nr, error = int(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
one = lambda code, jt, jf, k: struct.pack("HBBI", code, jt, jf, k)
code = one(0x20, 0, 0, 0) + one(0x15, 0, 1, nr) + one(6, 0, 0, 0x50000 | error) + \\
    one(6, 0, 0, 0x7fff0000)
text = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(code) // 8, ctypes.addressof(text))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[3], sys.argv[3:])
"""
BPF, PERF_EVENT_OPEN, PROCESS_VM_READV, PIDFD_OPEN, PTRACE = 321, 298, 310, 434, 101
EPERM, ENOSYS = 1, 38


def denied(number, error, *words):
    return run([sys.executable, "-c", DENY, number, error, harness.BINARY, *words])


@pytest.mark.parametrize("error", [EPERM, ENOSYS])
def test_seccomp(app, error):
    """A container's filter: root is no help there, so the line must not ask for root alone."""
    target = app("blocking_call")
    one_line(denied(BPF, error, "check", "-p", target.pid), 3, "seccomp", "bpf")
    one_line(denied(PROCESS_VM_READV, error, "check", "-p", target.pid), 3, "process_vm_readv",
             "seccomp")
    one_line(denied(PIDFD_OPEN, error, "check", "-p", target.pid), 3, "pidfd_open", "seccomp")
    one_line(denied(PTRACE, error, "check", "--", "true"), 3, "true")
    doctor = denied(BPF, error, "doctor")
    assert doctor.rc == 3 and "seccomp" in missing(doctor)["BPF programs"], doctor
    # Sampling is given up with a word; the rest works.
    seen = denied(PERF_EVENT_OPEN, error, *CHECK, "-p", target.pid)
    assert blamed(seen) == [("blocking-call", SITE)]
    assert any("sampling works on 0 of" in n["text"] for n in seen.of("note")), seen


def test_no_type_information(app, tmp_path):
    """A kernel that was built without BTF, as seen from a mount namespace."""
    target = app("blocking_call")
    script = f"mount --bind {tmp_path} /sys/kernel/btf && exec {harness.BINARY} "
    for words in (f"check -p {target.pid}", f"top -p {target.pid}", "check -- true"):
        one_line(run(["unshare", "--mount", "sh", "-c", script + words]), 3,
                 "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y")
    doctor = run(["unshare", "--mount", "sh", "-c", script + "doctor"])
    assert doctor.rc == 3, doctor
    assert "CONFIG_DEBUG_INFO_BTF=y" in missing(doctor)["type information"]


def test_list_as_a_user(place, targets):
    """What may not be looked at is counted, not hidden."""
    script = (f"{place}/blocking_call > /dev/null & sleep 0.4; "
              f"{' '.join(caps())} {place}/blocking_call > /dev/null & sleep 0.6; "
              f"{' '.join(caps())} {place}/stalltop list")
    seen = run(["unshare", "--pid", "--fork", "--mount-proc", "--mount", "sh", "-c", script])
    assert seen.rc == 0 and seen.stdout.count("blocking_call  tokio") == 1, seen
    assert re.search(r"process \d+ .*CAP_SYS_PTRACE.*; and [12] more", seen.stderr), seen


def landlocked():
    """Puts this process into a Landlock domain, which may not look at processes outside of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    handled = (ctypes.c_uint64 * 1)(1 << 11)  # LANDLOCK_ACCESS_FS_MAKE_BLOCK
    ruleset = libc.syscall(444, handled, ctypes.c_size_t(8), 0)
    if ruleset < 0 or libc.syscall(446, ruleset, 0):
        raise OSError(ctypes.get_errno(), "landlock")


def test_root_that_may_not_look(app):
    """Who has the capability is not told to get it, but what is in the way."""
    app("blocking_call")
    unshare = ["unshare", "--user", "--map-root-user"]
    seen = []
    if run([*unshare, "true"]).rc == 0:
        seen.append((run([*unshare, harness.BINARY, "list"]), "in its user namespace: .*another"))
    try:
        seen.append((run([harness.BINARY, "list"], preexec_fn=landlocked),
                     "CAP_SYS_PTRACE: a security module"))
    except subprocess.SubprocessError:
        pass  # no Landlock in this kernel
    assert seen, "neither user namespaces nor Landlock"
    for list_, why in seen:
        assert list_.rc == 0 and "run as root" not in list_.stderr, list_
        assert re.search(rf"process \d+ may not be looked at.* {why}", list_.stderr), list_


def test_capability_of_the_file(place, targets):
    """`setcap`, as the doctor advises it."""
    if not shutil.which("setcap", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        pytest.skip("setcap is not installed")
    own = place / "with_capabilities"
    shutil.copy2(harness.BINARY, own)
    done = run([shutil.which("setcap", path="/usr/sbin:/sbin:/usr/bin"),
                "cap_bpf,cap_perfmon,cap_sys_ptrace+ep", own])
    assert done.rc == 0, done
    for pid in targets:
        seen = run([*NOBODY, own, *CHECK, "-p", pid])
        assert blamed(seen) == [("blocking-call", SITE)]
