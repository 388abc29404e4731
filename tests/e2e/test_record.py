# SPDX-License-Identifier: LGPL-2.1-or-later
"""record, the flight recorder and replay: what was seen is kept, whatever happens to the recorder."""

import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import time

import pytest

import harness
from built import built
from harness import ROOT

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def tool():
    """tool(FILE): what is in a trace, read by tests/bench/trace_tool."""
    path = built(".output/bench/trace_tool")

    def stat(file):
        run = subprocess.run([path, "stat", file], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    return stat


@pytest.fixture
def mounted(root, tmp_path):
    """mounted("size=64k"): a small file system of its own."""
    made = []

    def mount(options):
        path = tmp_path / f"mnt{len(made)}"
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
        made.append(path)
        return path

    yield mount
    for path in made:
        subprocess.run(["umount", path], check=True)


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end, f"{what}: not in {seconds} s"
        time.sleep(0.01)
    return got


def size_of(path):
    return path.stat().st_size if path.exists() else 0


def without_command(lines):
    return [re.sub(r'"command":"\w+"', "", line) for line in lines]


@pytest.mark.parametrize("name,more", [("blocking_call", ()),
                                       ("starvation", ("--level", "3", "--polls"))])
def test_replay_says_the_same(app, stream, stalltop, tmp_path, name, more):
    """Every line of the live run, byte for byte, from the file alone; no target, no privilege."""
    target = app(name)
    file = tmp_path / "t.trace"
    run = stream("-p", target.pid, "-o", file, *more, command="record")
    run.until(lambda o: o["type"] == "finding" and o["severity"] != "info", 30)
    run.watch(1.5)
    run.stop()
    target.kill()
    again = stalltop("replay", file, "--json")
    assert again.rc == 0, again
    assert without_command(again.stdout.splitlines()) == without_command(run.out.text)
    assert name != "blocking_call" or any(f["stack"] for f in run.findings)
    text = stalltop("replay", file)
    assert text.rc == 0 and run.findings[0]["rule"] in text.stdout and "=== report ===" in text.stdout


def test_rules_travel_with_the_trace(app, stalltop, tmp_path):
    """A rule of --rules judges the trace as it judged the program, where its file is not."""
    target = app("blocking_call")
    rule = json.loads((ROOT / "rules/blocking-call.json").read_text())
    rule["cases"][0]["message"] = "MINE: {site} blocked"
    mine, file = tmp_path / "mine.json", tmp_path / "t.trace"
    mine.write_text(json.dumps(rule, indent=1))
    run = stalltop("record", "-p", target.pid, "-o", file, "--rules", mine, "--json", "--duration", "1500ms")
    assert run.rc == 0, run
    mine.unlink()
    assert run.of_rule("blocking-call")[-1]["message"].startswith("MINE: ")
    again = stalltop("replay", file, "--json")
    assert without_command(again.stdout.splitlines()) == without_command(run.stdout.splitlines())
    # Those that are given have the last word.
    given = stalltop("replay", file, "--json", "--rules", ROOT / "rules/blocking-call.json")
    assert "MINE" not in given.stdout and given.of_rule("blocking-call")

    # A rule that this version does not know: the rest is judged, and what is left out is said.
    strange = with_header(file, tmp_path / "strange.trace", b'"op": ">="', b'"op": "~~"')
    seen = stalltop("replay", strange, "--json")
    assert seen.rc == 0, seen
    note, = (n["text"] for n in seen.of("note") if "left out" in n["text"])
    assert note.startswith("a rule of the recording is left out: ") and "mine.json:" in note
    judged = seen.of_rule("blocking-call")
    assert judged and not any(f["message"].startswith("MINE: ") for f in judged)
    one_line = stalltop("replay", strange, "--set", "no-such.warning=1s")
    assert one_line.rc == 2 and "no-such" in one_line.stderr, "one's own mistakes are errors"

    # A damaged header costs what it told, not the events.
    data = bytearray(file.read_bytes())
    data[data.index(b"MINE")] ^= 1
    strange.write_bytes(data)
    seen = stalltop("replay", strange, "--json")
    assert seen.rc == 0 and seen.of_rule("blocking-call"), seen
    assert [n for n in seen.of("note") if n["text"].startswith("the header of the trace is damaged")]


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def with_header(trace, out, old, new):
    """A copy with a word of the header changed as its writer would have: docs/trace-format.md."""
    data = bytearray(trace.read_bytes())
    size, = struct.unpack_from("<I", data, 12)
    header = data[:size].replace(old, new)
    assert header != data[:size] and len(header) == size
    plain = header[:-4]
    plain[16:20] = bytes(4)
    plain[24:32] = bytes(8)
    header[-4:] = struct.pack("<I", crc32c(plain))
    out.write_bytes(header + data[size:])
    return out


@pytest.mark.parametrize("ends", ["the program", "the watch"])
def test_every_poll(app, stream, tmp_path, tool, ends):
    """--polls: as many as the statistics count, to the last one, and few bytes each."""
    target = app("idle10k", args=(1000, 20000))
    file = tmp_path / "t.trace"
    run = stream("-p", target.pid, "-o", file, "--polls", command="record")
    run.attached()
    wait_for(lambda: size_of(file) > 100000, 20, "a trace of five seconds")
    if ends == "the program":
        target.kill()
        run.watch(20)
        assert run.proc.wait(10) == 0
    else:
        run.stop()
    stat = tool(file)
    assert stat["incomplete"] is False and stat["lost_count"] == 0
    assert stat["poll_count"] == run.footer["polls"] > 20000
    assert run.footer["hits"] == run.footer["emitted"] + run.footer["filtered"] + run.footer["lost"]
    # The table of the tasks is among them.
    assert stat["bytes"] / stat["poll_count"] < 4


def waited_ns(pid):
    """How long the process was ready and had no CPU, ever."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1])


@pytest.mark.parametrize("moment", range(int(os.environ.get("STALLTOP_KILLS", "4"))))
def test_killed_at_any_moment(app, root, tmp_path, tool, stalltop, moment):
    target = app("idle10k", args=(1000, 5000))
    file = tmp_path / "t.trace"
    words = ["record", "-p", target.pid, "-o", file]
    proc = subprocess.Popen([harness.BINARY, *harness.unbudgeted(words)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: size_of(file), 60, "the first chunk")
        end, waited = time.monotonic() + random.uniform(0, 2.5), waited_ns(proc.pid)
        wait_for(lambda: time.monotonic() > end, 5, "the moment")
        waited = waited_ns(proc.pid) - waited
    finally:
        killed = time.monotonic_ns()
        proc.kill()
        proc.wait()
    stat = tool(file)
    assert stat["incomplete"] is True and stat["skipped_bytes"] == 0
    # But for the time that a busy machine did not let it run.
    assert killed - stat["last_ns"] < SECOND + waited
    assert "was not closed" in stalltop("replay", file).stdout
    assert target.alive()


def test_disk_full(app, mounted, tool, stalltop):
    target = app("idle10k", args=(5000, 25000))
    file = mounted("size=128k") / "t.trace"
    run = stalltop("record", "-p", target.pid, "-o", file)
    assert run.rc == 7 and "No space left on device" in run.stderr, run
    assert target.alive() and harness.changed_text(target.pid) == []
    stat = tool(file)
    assert stat["incomplete"] is True and stat["skipped_bytes"] == 0 and stat["task"] > 0


def test_cannot_write(app, mounted, stalltop, tmp_path):
    target = app("blocking_call_ok")
    readonly = stalltop("record", "-p", target.pid, "-o", mounted("ro") / "t.trace")
    assert readonly.rc == 7 and "Read-only file system" in readonly.stderr, readonly
    absent = stalltop("record", "-p", target.pid, "-o", tmp_path / "no" / "t.trace")
    assert absent.rc == 7 and "No such file or directory" in absent.stderr, absent
    # The flight recorder, too, says so before something has happened.
    for folder, why in ((mounted("ro"), "Read-only file system"),
                        (tmp_path / "no", "No such file or directory")):
        flight = stalltop("record", "-p", target.pid, "--last", "60s", "--duration", "1s",
                          "-o", folder / "t.trace")
        assert flight.rc == 7 and why in flight.stderr, flight
    # What was there is kept when nothing comes in its place.
    old = tmp_path / "old.trace"
    old.write_text("old")
    assert stalltop("record", "-p", os.getpid(), "-o", old).rc == 3
    assert old.read_text() == "old"
    assert stalltop("record", "-p", os.getpid(), "-o", tmp_path / "new.trace").rc == 3
    assert not (tmp_path / "new.trace").exists()


def test_pipe(app, root, stalltop, tmp_path, tool):
    target = app("blocking_call_ok")
    argv = [harness.BINARY, "record", "-p", str(target.pid), "-o", "-", "--overhead", "100%",
            "--duration"]
    # To its end: whole, though nothing could be gone back to.
    with open(tmp_path / "copy.trace", "wb") as copy:
        whole = subprocess.run(argv + ["1s"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               timeout=60)
        copy.write(whole.stdout)
    assert whole.returncode == 0
    assert tool(tmp_path / "copy.trace")["incomplete"] is False
    with open(tmp_path / "copy.trace", "rb") as copy:
        piped = subprocess.run([harness.BINARY, "replay", "-", "--json"], stdin=copy,
                               capture_output=True, timeout=60)
    assert piped.returncode == 0 and b'"footer"' in piped.stdout
    # The reader goes away.
    proc = subprocess.Popen(argv + ["30s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    proc.stdout.read(100)
    proc.stdout.close()
    err = proc.stderr.read().decode()
    assert proc.wait(30) == 7 and "whoever read the trace has gone" in err, err
    assert target.alive() and harness.changed_text(target.pid) == []


def test_rotation(app, stalltop, tmp_path, tool):
    target = app("idle10k", args=(10000, 50000))
    run = stalltop("record", "-p", target.pid, "-o", tmp_path / "t.trace", "--max-size", "64K",
                   "--max-files", "3", "--duration", "4s")
    assert run.rc == 0, run
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.trace", "t.trace.1", "t.trace.2"]
    for name in ("t.trace", "t.trace.1", "t.trace.2"):
        assert tool(tmp_path / name)["incomplete"] is False
        again = stalltop("replay", tmp_path / name, "--json")
        assert again.rc == 0 and again.header["targets"][0]["pid"] == target.pid
        assert [s for s in again.of("note") if "damaged" in s["text"]] == []


def test_flight_recorder(app, root, stalltop, tmp_path):
    """Written on a finding, on a signal, on a death; each file holds what it is about."""
    target = app("blocking_call")
    words = ["record", "-p", target.pid, "--last", "30s", "-o", tmp_path / "f.trace"]
    proc = subprocess.Popen([harness.BINARY, *harness.unbudgeted(words)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    lines = harness.Lines(proc.stderr)

    def wrote(cause):
        end = time.monotonic() + 30
        while (got := lines.next(end)) is not None:
            if match := re.search(r"wrote (\S+) \((.*)\)", got[0]):
                assert cause in match[2], got[0]
                return stalltop("replay", match[1], "--json")
        raise AssertionError(f"no file for {cause}: {lines.text}")

    try:
        first = wrote("critical blocking-call")
        assert first.rc == 0 and first.of_rule("blocking-call")[0]["severity"] == "critical"
        # What followed is there, too.
        assert first.footer["duration_ns"] > 4 * SECOND
        proc.send_signal(signal.SIGUSR1)
        assert wrote("SIGUSR1").rc == 0
        os.kill(target.pid, signal.SIGABRT)
        last = wrote("the target died by signal 6")
        (end,) = last.of("target_end")
        assert (end["pid"], end["exit_code"], end["signal"]) == (target.pid, None, 6)
        assert proc.wait(20) == 0
    finally:
        proc.kill()
        proc.wait()


def test_bad_files(stalltop, tmp_path):
    path = tmp_path / "t.trace"
    path.write_bytes(b"GIF89a" + bytes(100))
    assert (run := stalltop("replay", path)).rc == 6 and "is no stalltop trace" in run.stderr
    path.write_bytes(b"")
    assert (run := stalltop("replay", path)).rc == 6 and "nothing was recorded" in run.stderr
    path.write_bytes(b"\x89STALLT\n" + bytes([9, 0, 0, 0]) + bytes(100))
    assert (run := stalltop("replay", path)).rc == 6 and "format 9" in run.stderr
    assert (run := stalltop("replay", tmp_path / "none")).rc == 2 and "No such file" in run.stderr
    assert (run := stalltop("replay", tmp_path)).rc == 2 and "is a directory" in run.stderr
    # It has no end, and is not read to it.
    assert (run := stalltop("replay", "/dev/zero")).rc == 6 and "is no stalltop trace" in run.stderr


def test_trace_doc_is_current():
    run = subprocess.run([ROOT / "tests/gen_trace_doc.py", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_live_view_keeps_a_minute(app, root, tmp_path, stalltop):
    """The key w in the live view."""
    import sys
    sys.path.insert(0, str(ROOT / "tests/screen"))
    from terminal import Terminal
    target = app("blocking_call")
    here = os.getcwd()
    os.chdir(tmp_path)
    t = Terminal([harness.BINARY, *harness.unbudgeted(["-p", target.pid])], cols=120, rows=40)
    os.chdir(here)
    try:
        t.wait_text("CRITICAL", 20)
        t.keys("w")
        t.wait_text("wrote stalltop-", 10)
        t.keys("q")
        assert t.wait_exit() == 0
    finally:
        t.close()
    (file,) = pathlib.Path(tmp_path).glob("stalltop-*.trace")
    assert stalltop("replay", file, "--json").of_rule("blocking-call")
