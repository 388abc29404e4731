#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of docs/trace-format.md, from event.h and fields.c: --check fails when they differ."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOC = ROOT / "docs/trace-format.md"
ARRAYS = {"FIELD_WORDS": "WORDS", "FIELD_FRAMES": "FRAMES", "FIELD_POLLS": "POLLS"}
COMPARED = (("known", "ENUM"), ("without", "INT"), ("probed", "INT"), ("ratio", "INT"),
            ("low", "INT"), ("high", "INT"))


def kinds():
    text = (ROOT / "agent/core/event.h").read_text()
    return re.findall(r"X\((\w+), (\d+), (\w+),[\s\\]*\"", text)


def compared(match):
    """The fields that one COMPARED() is."""
    return ", ".join(f"{kind}(overhead, {match[1]}_{field})" for field, kind in COMPARED)


def lists():
    """Name of a list of fields -> [(field, type)]."""
    text = (ROOT / "agent/trace/fields.c").read_text()
    out = {}
    for name, body in re.findall(r"trace_field (\w+)_fields\[\] = \{(.*?)\};", text, re.S):
        body = re.sub(r'COMPARED\("(\w+)", \w+\)', compared, body)
        rows = re.findall(r"\b([A-Z]+)\(\w+,\s*(\w+)(?:,\s*(\w+))?", body)
        out[name] = [(field, ARRAYS.get(more, kind)) for kind, field, more in rows]
    frame = re.search(r"trace_frame_fields\[\] = \{(.*?)\n\};", text, re.S).group(1)
    out["frame"] = [(f, k) for f, k in re.findall(r"IN\(struct frame, (\w+)\), FIELD_(\w+)", frame)]
    used = dict(re.findall(r"KIND\((\w+), (\w+)_fields, \d+\)", text))
    return out, used


def generate(text):
    fields, used = lists()
    rows = []
    for kind, number, name in kinds():
        row = ", ".join(f"{f} {k}" for f, k in fields[used[kind]])
        rows.append(f"| {number} | {name} | {row} |")
    frame = ", ".join(f"{f} {k}" for f, k in fields["frame"])
    table = re.compile(r"(\| number \| kind \| fields \|\n\|---\|---\|---\|\n).*?\n\nA frame: .*?\n\n", re.S)
    return table.sub(lambda m: m.group(1) + "\n".join(rows) + f"\n\nA frame: {frame}.\n\n", text)


def main():
    text = DOC.read_text()
    new = generate(text)
    if "--check" in sys.argv:
        sys.exit(0 if new == text else f"{DOC}: not as fields.c says; run {sys.argv[0]}")
    DOC.write_text(new)


if __name__ == "__main__":
    main()
