# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stacks of blocked polls: the function and the line to blame, against the program's own truth.

`blocks` says of each kind which function makes the blocking call and where, and which task does
it. What can be known depends on the build: all of it with debug information; with line tables all
but the path of a function that was inlined, of which DWARF has the bare name there; with symbols
the functions that were not inlined; without any the place in the file.
"""

import pathlib
import re
import struct
import subprocess
import sys
import time

import pytest

from harness import Pressure

SECONDS = 40
HARMLESS_BLOCKS = 3
ORIGINS = ("unknown", "user", "library", "runtime", "boundary", "std", "system")
DEBUG, LINES, NAMES, STRIPPED = "debug", "lines", "names", "stripped"
# What must be right of the kinds, as a share: of 17 that is all of them.
NEEDED = {"found": 1, "function": 0.98, "line": 0.95, "place": 0.95, "call": 0.95, "syscall": 0.95}
CHECKS = {
    DEBUG: ("found", "function", "line", "call", "syscall"),
    LINES: ("found", "function", "line", "call", "syscall"),
    NAMES: ("found", "function", "syscall"),
    STRIPPED: ("found", "place", "syscall"),
}
PYTHON = """
import ctypes, os, signal, sys, time
signal.alarm(120)
ctypes.CDLL(sys.argv[1]).plugin_start(b"block")
print(f"ready pid={os.getpid()}", flush=True)
time.sleep(120)
"""


# --- names and places --------------------------------------------------------------------------

def plain(function):
    """The path of a function without generic arguments, closures and `async fn` bodies.

    `<std::fs::File as std::io::Read>::read::<T>` becomes `std::fs::File::read`.
    """
    if function is None:
        return None
    function = re.sub(r"::\{.*", "", function)
    if function.startswith("<"):
        function = re.sub(r"^<&?(?:mut )?([^<> ]+).*>(?=::)", r"\1", function)
    while (shorter := re.sub(r"(?:::)?<[^<>]*>", "", function)) != function:
        function = shorter
    return function


def last_word(function):
    return None if function is None else plain(function).rsplit("::", 1)[-1].lstrip("_")


class Code:
    """The executable segments of an ELF file, and the functions that its symbols name."""

    def __init__(self, path):
        self.path = str(path)
        data = pathlib.Path(path).read_bytes()
        assert data[:6] == b"\x7fELF\x02\x01", "64 bits, little-endian"
        at, = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        self.segments = []
        for n in range(count):
            kind, flags, offset, vaddr, _, length = struct.unpack_from("<IIQQQQ", data,
                                                                       at + n * size)
            if kind == 1 and flags & 1:
                self.segments.append((offset, vaddr, length))
        self.symbols = None

    def vaddr(self, offset):
        """The address of this byte of the file; None if it is no code."""
        for begin, vaddr, length in self.segments:
            if begin <= offset < begin + length:
                return offset - begin + vaddr
        return None

    def functions(self, offset):
        """(start, names) of the function that holds this byte of the file; (None, ())."""
        if self.symbols is None:
            out = subprocess.run(["nm", "-S", "-C", "--defined-only", self.path], check=True,
                                 capture_output=True, text=True).stdout
            rows = re.findall(r"^([0-9a-f]+) ([0-9a-f]+) [tTwW] (.*)$", out, re.M)
            self.symbols = [(int(a, 16), int(n, 16), name) for a, n, name in rows]
        vaddr = self.vaddr(offset)
        hits = [s for s in self.symbols if vaddr is not None and s[0] <= vaddr < s[0] + s[1]]
        return (hits[0][0], {plain(s[2]) for s in hits}) if hits else (None, ())


def is_poll(names):
    """Tokio's functions around the future of one task type."""
    return any(re.fullmatch(r"tokio::runtime::task::(raw|core|harness)(::\w+)*::poll(_\w+)?", n)
               for n in names)


# --- scoring: pure functions of the truth and the findings --------------------------------------

def function_right(truth, culprit, known):
    """A helper that may be inlined can lose its path, and without line tables its frame."""
    name = plain(culprit["function"])
    if name == truth["function"]:
        return True
    if known == DEBUG or truth["never_inlined"] or name is None:
        return False
    if known == LINES:
        return name == last_word(truth["function"])
    return name == truth["site"] or is_poll([name])


def place_right(truth, culprit, twin):
    """No names; the place is in a function of this kind, as the twin with symbols tells."""
    if any(culprit[k] is not None for k in ("function", "file", "line")):
        return False
    if pathlib.Path(culprit["binary"]).name != pathlib.Path(twin.path).name:
        return False
    _, names = twin.functions(culprit["offset"])
    return bool({truth["function"], truth["site"]} & set(names)) or is_poll(names)


def verdict(truth, finding, known, twin=None):
    """{check: it is right} of one kind, for what is KNOWN in this build."""
    culprit = finding and finding["stack"] and finding["culprit"]
    if not culprit:
        return dict.fromkeys(CHECKS[known], False)
    right = {"found": True, "syscall": finding["syscall"] in truth["syscalls"]}
    if known == STRIPPED:
        right["place"] = place_right(truth, culprit, twin)
        return right
    right["function"] = function_right(truth, culprit, known)
    if known == NAMES:
        right["function"] &= culprit["file"] is None and culprit["line"] is None
        return right
    same_file = pathlib.Path(culprit["file"] or "").name == pathlib.Path(truth["file"]).name
    right["line"] = same_file and culprit["line"] == truth["line"]
    right["call"] = last_word(finding["call"]) == last_word(truth["call"])
    return right


def score(truths, findings, known, twin=None):
    """({check: share of the kinds that are right}, [what is wrong]); findings by kind."""
    rows = {t["kind"]: verdict(t, findings.get(t["kind"]), known, twin) for t in truths}
    shares = {c: sum(row[c] for row in rows.values()) / len(rows) for c in CHECKS[known]}
    wrong = [(kind, c, (findings.get(kind) or {}).get("culprit"), (findings.get(kind) or {}).get(
        "call")) for kind, row in rows.items() for c, right in row.items() if not right]
    return shares, wrong


def check_score(truths, findings, known, twin=None):
    shares, wrong = score(truths, findings, known, twin)
    assert all(shares[c] >= NEEDED[c] for c in shares), (shares, wrong)


def check_stack(finding, code_of, root=False):
    """A stack without invented frames, down to the thread's first function."""
    stack = finding["stack"]
    assert finding["stack_end"] == "complete", (finding["site"], finding["stack_end"], stack)
    assert len(stack) > 3 and not stack[-1]["inlined"], stack
    for frame in stack:
        assert frame["origin"] in ORIGINS
        assert frame["line"] is None or frame["file"] is not None, frame
        assert frame["function"] is not None or frame["line"] is None, frame
        if frame["binary"] == "[vdso]":
            assert 0 < frame["offset"] < 16384
        else:
            assert frame["binary"] and code_of(frame["binary"]).vaddr(frame["offset"]) is not None
    # A thread starts in libc's clone; the main thread in the program's own _start.
    outermost = pathlib.Path(stack[-1]["binary"]).name
    assert outermost == finding["culprit"]["binary"].rsplit("/", 1)[-1] if root else \
        outermost.startswith("libc.so"), stack[-1]
    culprit = finding["culprit"]
    assert any(all(f[k] == culprit[k] for k in culprit) for f in stack), "culprit is a frame"


# --- the scoring on made-up findings -------------------------------------------------------------

def frame(function, line=None, offset=0x1000, binary="/x/blocks"):
    return {"function": function, "file": "../src/blocks.rs" if line else None, "line": line,
            "binary": binary, "offset": offset}


def made_up(function="blocks::read_answer", line=7, call="<std::net::TcpStream as "
            "std::io::Read>::read", syscall="recvfrom", **more):
    culprit = frame(function, line, **more)
    return {"stack": [culprit], "culprit": culprit, "call": call, "syscall": syscall}


TRUTH = {"kind": "tcp_read", "site": "blocks::ask_warehouse", "function": "blocks::read_answer",
         "file": "../src/blocks.rs", "line": 7, "never_inlined": True,
         "call": "std::net::TcpStream::read", "syscalls": ["recvfrom"]}
INLINED = {**TRUTH, "never_inlined": False}


class Twin:
    path = "/y/blocks"

    def __init__(self, *names):
        self.names = names

    def functions(self, offset):
        return (0x1000, self.names) if offset == 0x1000 else (None, ())


@pytest.mark.parametrize("name,want", [
    ("blocks::read_answer", "blocks::read_answer"),
    ("blocks::load::{{closure}}::{{closure}}", "blocks::load"),
    ("blocks::load::{async_fn#0}", "blocks::load"),
    ("blocks::get::<alloc::vec::Vec<u8>>", "blocks::get"),
    ("std::thread::JoinHandle<T>::join", "std::thread::JoinHandle::join"),
    ("<std::net::tcp::TcpStream as std::io::Read>::read", "std::net::tcp::TcpStream::read"),
    ("<&std::fs::File as std::io::Read>::read", "std::fs::File::read"),
    ("<std::thread::JoinHandle<T>>::join", "std::thread::JoinHandle::join"),
    (None, None),
])
def test_plain(name, want):
    assert plain(name) == want


@pytest.mark.parametrize("known,truth,finding,twin,wrong", [
    (LINES, TRUTH, made_up(), None, set()),
    (LINES, TRUTH, made_up("blocks::read_answer::{{closure}}"), None, set()),
    (LINES, TRUTH, made_up("blocks::read_file"), None, {"function"}),
    (LINES, INLINED, made_up("blocks::ask_warehouse::{{closure}}"), None, {"function"}),
    (LINES, TRUTH, made_up(line=8), None, {"line"}),
    (LINES, TRUTH, made_up(line=None), None, {"line"}),
    (LINES, TRUTH, made_up(call="std::fs::File::write"), None, {"call"}),
    (LINES, TRUTH, made_up(call=None), None, {"call"}),
    (LINES, TRUTH, made_up(syscall="futex"), None, {"syscall"}),
    (LINES, TRUTH, None, None, set(CHECKS[LINES])),
    (LINES, TRUTH, {**made_up(), "stack": None}, None, set(CHECKS[LINES])),
    (LINES, TRUTH, made_up("read_answer"), None, {"function"}),
    (LINES, INLINED, made_up("read_answer"), None, set()),
    (DEBUG, INLINED, made_up(), None, set()),
    (DEBUG, INLINED, made_up("read_answer"), None, {"function"}),
    (NAMES, TRUTH, made_up(line=None), None, set()),
    (NAMES, INLINED, made_up("read_answer", None), None, {"function"}),
    (NAMES, TRUTH, made_up(), None, {"function"}),
    (NAMES, TRUTH, made_up("blocks::ask_warehouse::{{closure}}", None), None, {"function"}),
    (NAMES, INLINED, made_up("blocks::ask_warehouse::{{closure}}", None), None, set()),
    (NAMES, INLINED, made_up("blocks::load_report::{{closure}}", None), None, {"function"}),
    (NAMES, INLINED, made_up("tokio::runtime::task::harness::Harness<T,S>::poll", None), None,
     set()),
    (NAMES, INLINED, made_up("tokio::time::sleep", None), None, {"function"}),
    (NAMES, INLINED, made_up(None, None), None, {"function"}),
    (STRIPPED, TRUTH, made_up(None, None), Twin("blocks::read_answer"), set()),
    (STRIPPED, TRUTH, made_up(None, None), Twin("blocks::ask_warehouse"), set()),
    (STRIPPED, TRUTH, made_up(None, None), Twin("tokio::runtime::task::raw::poll"), set()),
    (STRIPPED, TRUTH, made_up(None, None), Twin("blocks::load_report"), {"place"}),
    (STRIPPED, TRUTH, made_up("blocks::read_answer", None), Twin("blocks::read_answer"),
     {"place"}),
    (STRIPPED, TRUTH, made_up(None, None, offset=0x2000), Twin("blocks::read_answer"), {"place"}),
    (STRIPPED, TRUTH, made_up(None, None, binary="/lib/libc.so.6"), Twin("blocks::read_answer"),
     {"place"}),
])
def test_scoring(known, truth, finding, twin, wrong):
    right = verdict(truth, finding, known, twin)
    assert {c for c, fine in right.items() if not fine} == wrong
    shares, _ = score([truth], {truth["kind"]: finding}, known, twin)
    assert {c for c, share in shares.items() if share < 1} == wrong
    if wrong:
        with pytest.raises(AssertionError):
            check_score([truth], {truth["kind"]: finding}, known, twin)
    else:
        check_score([truth], {truth["kind"]: finding}, known, twin)


# --- the program itself ------------------------------------------------------------------------

def truths_of(target):
    return [o for o in target.json_lines() if "site" in o]


def test_truth(path_of, root, app):
    """The program says what it is for: the lines are those of its source, the helpers exist."""
    target = app("blocks", args=("all", 19))
    truths = truths_of(target)
    faults = [t for t in truths if t["fault"]]
    assert len(faults) >= 15 and len(truths) == len(faults) + 2
    assert len({t["site"] for t in truths}) == len({t["function"] for t in truths}) == len(truths)
    source = (pathlib.Path(__file__).parents[1] / "apps/src/blocks.rs").read_text().splitlines()
    code = Code(path_of("blocks"))
    code.functions(0)
    places = {}
    for address, _, name in code.symbols:
        places.setdefault(plain(name), set()).add(address)
    never = [t for t in truths if t["never_inlined"]]
    for truth in truths:
        assert "at!(" in source[truth["line"] - 1]
        assert last_word(truth["call"]) in source[truth["line"] - 1]
    assert len({frozenset(places[t["function"]]) for t in never}) == len(never), "merged helpers"
    target.wait_json(lambda o: o.get("done"), 10)
    blocks = [o for o in target.json_lines() if "block" in o]
    assert [b["kind"] for b in blocks] == [t["kind"] for t in truths]
    assert all(b["ns"] > 20_000_000 for b in blocks)


# --- real findings -----------------------------------------------------------------------------

def take_blocks(target):
    while target.out.next(time.monotonic()) is not None:
        pass
    return [o for o in target.json_lines() if "block" in o]


def with_stack(run, blocks):
    """The last finding with a stack of each kind."""
    kinds = {b["task"]: b["kind"] for b in blocks}
    found = {}
    for f in run.of("finding"):
        if f["rule"] == "blocking-call" and f["count"]:
            for task in f["tasks"] if kinds else ():
                if task in kinds and f["stack"]:
                    found[kinds[task]] = f
    return found


def collect(run, target, truths):
    """Watches until every kind is there with a stack; returns (findings, blocks watched)."""
    begin = run.attached()["begin_ns"]
    faults = {t["kind"] for t in truths if t["fault"]}
    harmless = {t["kind"] for t in truths if not t["fault"]}
    end = time.monotonic() + SECONDS
    while True:
        run.watch(0.5)
        assert not run.out.ended, run.stderr()
        blocks = [b for b in take_blocks(target) if b["start_ns"] > begin]
        found = with_stack(run, blocks)
        often = all([b["kind"] for b in blocks].count(k) >= HARMLESS_BLOCKS for k in harmless)
        if often and faults <= set(found) or time.monotonic() > end:
            assert often, "the program stands still"
            return found, blocks


def check_one_each(run, truths, blocks, pressure):
    """One finding of each fault, none of what is no fault."""
    kinds = {b["task"]: b["kind"] for b in blocks}
    harmless = {t["kind"] for t in truths if not t["fault"]}
    seen = []
    for f in run.of_rule("blocking-call"):
        mine = {kinds[t] for t in f["tasks"] if t in kinds}
        if not f["count"] or not mine and pressure.explains(f):
            continue
        assert len(mine) == 1, (f["site"], f["tasks"], f["message"])
        assert not mine & harmless or pressure.explains(f), f["message"]
        seen += mine - harmless
    assert sorted(seen) == sorted(t["kind"] for t in truths if t["fault"])


def codes():
    """code_of(path): Code, read once."""
    known = {}

    def code_of(path):
        if path not in known:
            known[path] = Code(path)
        return known[path]

    return code_of


def watch_all(app, stream, path, known, twin=None):
    target = app("blocks", args=("all",), path=path)
    truths = truths_of(target)
    faults = [t for t in truths if t["fault"]]
    run = stream("-p", target.pid)
    with Pressure() as pressure:
        found, blocks = collect(run, target, truths)
        run.stop()
    assert target.alive()
    check_score(faults, found, known, twin)
    check_one_each(run, truths, blocks, pressure)
    code_of = codes()
    for finding in found.values():
        check_stack(finding, code_of)
    return found, code_of


@pytest.mark.parametrize("profile,known", [
    ("debug", DEBUG), ("lines", LINES), ("split", LINES),
    ("release", NAMES), ("full", NAMES), ("lto-abort", NAMES),
])
def test_culprits(app, stream, path_of, profile, known):
    found, code_of = watch_all(app, stream, path_of("blocks", "current", profile), known)
    if known == NAMES:
        # No two kinds are blamed on one function: not on code that they share.
        starts = {kind: code_of(f["culprit"]["binary"]).functions(f["culprit"]["offset"])[0]
                  for kind, f in found.items()}
        assert None not in starts.values() and len(set(starts.values())) == len(starts), starts


def test_culprits_stripped(app, stream, path_of, tmp_path):
    """Cargo's own stripped build has another layout: only strip(1) leaves the code as it is."""
    path = path_of("blocks")
    bare = tmp_path / "blocks"
    subprocess.run(["strip", "-o", bare, path], check=True)
    twin = Code(path)
    found, _ = watch_all(app, stream, bare, STRIPPED, twin)
    starts = {kind: twin.functions(f["culprit"]["offset"])[0] for kind, f in found.items()}
    assert len(set(starts.values())) == len(starts), starts


def blamed(run, function):
    """The first finding with a stack that blames this function."""
    return run.until(lambda o: o["type"] == "finding" and o["rule"] == "blocking-call" and
                     o["stack"] and plain(o["culprit"]["function"]) == function, SECONDS)


@pytest.mark.parametrize("profile,known", [("lines", LINES), ("release", NAMES)])
def test_root_future(app, stream, profile, known):
    """It is no task, but it blocks its only thread all the same."""
    target = app("blocks", "current", profile, args=("root",))
    truth, = truths_of(target)
    run = stream("-p", target.pid)
    run.attached()
    finding = blamed(run, truth["function"])
    run.stop()
    check_score([truth], {"root": finding}, known)
    check_stack(finding, codes(), root=True)
    assert finding["evidence"] == "sampled", "only some of its blocks have their stack taken"


@pytest.mark.parametrize("profile,known", [("lines", LINES), ("release", NAMES)])
def test_extension_module(app, stream, path_of, profile, known):
    """A runtime in a library that Python has loaded: frames of two binaries."""
    library = path_of("libplugin.so", "current", profile)
    target = app("python", path=sys.executable, args=("-c", PYTHON, library))
    truth, = truths_of(target)
    run = stream("-p", target.pid)
    run.attached()
    finding = blamed(run, truth["function"])
    run.stop()
    assert finding["site"] == truth["site"]
    assert finding["culprit"]["binary"].endswith("/libplugin.so")
    check_score([truth], {truth["kind"]: finding}, known)
    check_stack(finding, codes())
