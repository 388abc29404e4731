# SPDX-License-Identifier: LGPL-2.1-or-later
"""The memory of a task, beside what the allocator of the program gave for it."""

import re
import struct

import pytest

ONE_REFERENCE = 64  # in a task's state (runtime/task/state.rs)
HEADER_VTABLE = 2  # words before it in a Tokio task (runtime/task/core.rs: struct Header)


def mappings(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as f:
        for line in f:
            at = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+ *(.*)", line)
            yield int(at[1], 16), int(at[2], 16), at[3], int(at[4], 16), at[5]


def words(mem, begin, end):
    mem.seek(begin)
    data = mem.read(end - begin)
    return struct.unpack(f"<{len(data) // 8}Q", data[:len(data) // 8 * 8])


def chunks(pid, binary, offset):
    """Bytes that glibc has for each task whose poll function is at this offset of the file."""
    maps = list(mappings(pid))
    poll = next(begin + offset - at for begin, end, _, at, path in maps
                if path == binary and at <= offset < at + end - begin)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        tables = {begin + 8 * i for begin, end, rights, _, path in maps
                  if path == binary and "x" not in rights
                  for i, word in enumerate(words(mem, begin, end)) if word == poll}
        for begin, end, rights, _, path in maps:
            if not rights.startswith("rw") or path not in ("", "[heap]") or end - begin > 1 << 26:
                continue
            heap = words(mem, begin, end)
            for i, word in enumerate(heap):
                # The size of a chunk is the word before it, its low bits are flags. What was freed has no
                # reference in its first word any more.
                if word in tables and i > HEADER_VTABLE and (begin + 8 * i) % 128 == 16 and \
                        heap[i - HEADER_VTABLE] >= ONE_REFERENCE:
                    yield (heap[i - HEADER_VTABLE - 1] & ~7) - 8


@pytest.mark.parametrize("version", ["current", "1.43", "1.38", "1.32"])
def test_task_bytes(app, stalltop, version):
    target = app("blocking_call_ok", version)
    run = stalltop("dump", "-p", target.pid, "--json", "--duration", "1s")
    sites = [s for s in run.of("site") if s["task_bytes"]]
    seen = {s["site"]: list(chunks(target.pid, s["binary"], s["offset"])) for s in sites}
    assert any(seen.values()), (sites, "no task is in the heap")
    for site in (s for s in sites if seen[s["site"]]):
        # An aligned chunk may have what is too small for one of its own behind it; and copies of a task
        # that were left in free memory have anything before them.
        assert any(0 <= given - site["task_bytes"] < 48 for given in seen[site["site"]]), \
            (site["site"], site["task_bytes"], seen[site["site"]])
