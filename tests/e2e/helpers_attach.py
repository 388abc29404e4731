# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of attaching share: plans, disassembly, BPF objects, other users, namespaces."""

import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import time

import harness

NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
BPFTOOL = shutil.which("bpftool") or "/usr/sbin/bpftool"
OUR_PROGRAMS = {"on_poll", "on_dealloc", "on_switch", "on_exit", "on_exec", "on_sample"}
PLAN_LINE = re.compile(r" +(poll|dealloc) +0x([0-9a-f]+) +(emulated|stepped|not probed) +"
                       r"(\d+) +(\S+ \S+) +(.*)")


def until(condition, seconds=10, what="condition"):
    """The first true value of condition(), looked at every 20 ms."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not so after {seconds} s"
        time.sleep(0.02)
    return value


# --- plans ---------------------------------------------------------------------------------

class Probe:
    def __init__(self, words):
        self.program, offset, self.kind, types, self.size, self.site = words
        self.offset, self.types = int(offset, 16), int(types)


def plan_of(stdout):
    """The probes of a --dry-run."""
    return [Probe(m.groups()) for m in map(PLAN_LINE.fullmatch, stdout.splitlines()) if m]


def loads(path):
    """(file offset, virtual address, bytes in the file, flags) of each PT_LOAD."""
    data = pathlib.Path(path).read_bytes()
    phoff, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    found = []
    for i in range(count):
        kind, flags, offset, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", data,
                                                                   phoff + i * size)
        if kind == 1:
            found.append((offset, vaddr, filesz, flags))
    return found


def to_vaddr(segments, offset):
    """Where an offset of the file is executed; None when it is not."""
    for begin, vaddr, size, flags in segments:
        if begin <= offset < begin + size and flags & 1:
            return offset - begin + vaddr
    return None


# What the kernel's uprobes emulate on x86-64 (branches, nop, push), so no single step is needed.
EMULATED = re.compile(r"(push\s+%r|jmp|call|nop|endbr|data16|xchg\s+%ax,%ax|cs nop|j[a-z]+\s)")


def disassembly(path):
    """binutils' view of the file: {address: text of the instruction}."""
    out = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(path)], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    found = {}
    for line in out.splitlines():
        if line.startswith(" ") and ":\t" in line:
            address, text = line.split(":\t", 1)
            found[int(address, 16)] = text
    return found


def changed_at(pid, path, offsets):
    """Of these offsets of a mapped file, those whose byte in memory is not the file's."""
    changed, checked = [], 0
    inode = os.stat(path).st_ino
    with open(f"/proc/{pid}/maps") as maps, open(path, "rb") as file, \
            open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            words = line.split()
            if "x" not in words[1] or int(words[4]) != inode:
                continue
            begin, end = (int(x, 16) for x in words[0].split("-"))
            first = int(words[2], 16)
            for offset in offsets:
                if not first <= offset < first + end - begin:
                    continue
                file.seek(offset)
                mem.seek(begin + offset - first)
                checked += 1
                if file.read(1) != mem.read(1):
                    changed.append(hex(offset))
    assert checked == len(offsets), f"{checked} of {len(offsets)} offsets are mapped"
    return changed


# --- BPF objects ---------------------------------------------------------------------------

def bpftool(*args):
    out = subprocess.run([BPFTOOL, "-j", *args], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(out or "[]")


def owned_programs():
    """Ids of the programs that a living stalltop holds: other tests may run beside this one."""
    owned = set()
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() != "stalltop":
                continue
            for info in comm.parent.glob("fdinfo/*"):
                found = re.search(r"^prog_id:\s*(\d+)", info.read_text(), re.M)
                if found:
                    owned.add(int(found[1]))
        except OSError:
            pass
    return owned


def left_behind():
    """Our programs, and links to them, that no living stalltop holds."""
    programs = {p["id"]: p.get("name") for p in bpftool("prog", "show")
                if p.get("name") in OUR_PROGRAMS}
    links = [k["prog_id"] for k in bpftool("link", "show") if k.get("prog_id") in programs]
    owned = owned_programs()
    return [(i, name, links.count(i)) for i, name in programs.items() if i not in owned]


# --- other users and namespaces ------------------------------------------------------------

def caps(*names):
    """setpriv words: nobody with just these capabilities."""
    if not names:
        return NOBODY
    words = ",".join(f"+{name}" for name in names)
    return [*NOBODY, "--inh-caps", words, "--ambient-caps", words]


def run(argv, deadline=60, **more):
    """A command as a harness.Result; stalltop may be anywhere in argv."""
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=deadline, **more)
    text = done.stderr.decode("utf-8", "replace")
    harness.check_sanitizers(text)
    result = harness.Result([str(a) for a in argv], done.returncode,
                            done.stdout.decode("utf-8", "surrogateescape"), text)
    result.lines = [json.loads(x) for x in result.stdout.splitlines() if x.startswith('{"')]
    return result


def one_line(result, code, *words):
    """An error is one line that says what is missing; nothing is printed as a result."""
    assert result.rc == code, result
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("stalltop: "), result
    for word in words:
        assert re.search(word, lines[0]), f"{word} is not in: {lines[0]}"
    return lines[0]
