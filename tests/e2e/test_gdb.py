# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same stack as gdb sees, frame by frame: of a thread that hangs, so that both see one moment."""

import re
import subprocess

import pytest

from helpers_attach import until

WALK = """
import gdb
next(t for t in gdb.selected_inferior().threads() if t.ptid[1] == {tid}).switch()
frame = gdb.newest_frame()
while frame:
    if frame.type() != gdb.INLINE_FRAME:
        print("frame", frame.pc())
    frame = frame.older()
"""


def mappings(pid):
    """(start, end, offset in the file, file) of each."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        found = re.findall(r"^(\w+)-(\w+) \S+ (\w+) \S+ \S+ +(/.*)$", maps.read(), re.M)
    return [(int(start, 16), int(end, 16), int(at, 16), path) for start, end, at, path in found]


def gdb_frames(pid, tid, tmp_path):
    """(file, offset) of each frame; of a caller it is that of the call, as ours are."""
    script = tmp_path / "walk.py"
    script.write_text(WALK.format(tid=tid))
    maps = mappings(pid)
    out = subprocess.run(["gdb", "-q", "-nx", "-batch", "-p", str(pid), "-x", script], text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, timeout=60, check=True).stdout
    frames = []
    for i, pc in enumerate(int(pc) for pc in re.findall(r"^frame (\d+)$", out, re.M)):
        start, _, at, path = next(m for m in maps if m[0] <= pc < m[1])
        frames.append((path, pc - (i > 0) - start + at))
    return frames


@pytest.mark.parametrize("profile", ["lines", "release", "release-stripped"])
def test_frames_are_those_of_gdb(app, stalltop, tmp_path, profile):
    target = app("hung", profile=profile, args=["mutex"])

    def blocked():
        run = stalltop("dump", "-p", target.pid, "--json")
        return [w for w in run.of("worker") if w["state"] == "blocked"]

    worker, = until(blocked, what="it hangs")
    ours = [(f["binary"], f["offset"]) for f in worker["stack"] if not f["inlined"]]
    theirs = gdb_frames(target.pid, worker["tid"], tmp_path)
    assert worker["stack_end"] == "complete" and len(theirs) > 8
    assert ours == theirs
