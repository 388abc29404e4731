#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write agent/runtime/tokio_layout.inc: where each Tokio release keeps its counters.

For every Tokio minor, with and without the parking_lot feature and tokio_unstable, a tiny crate
is built with debug information, and the same C code that reads a target's DWARF
(agent/runtime/tokio_layout_dwarf.c) reads the offsets off it. Layout is chosen by the front end:
it depends on rustc, on the types and on their features, not on the optimisation level, so the
crates are built unoptimised. The rows of the compiler in use replace those of the same compiler in
the table; rows of other compilers stay. Run it again for each compiler that should be covered:

    gen_layouts.py                                  # cargo from PATH, every release below
    gen_layouts.py --cargo /opt/rust-1.85/bin/cargo --rustc /opt/rust-1.85/bin/rustc
    gen_layouts.py --minors 54,55 --jobs 2

Needs: gcc, libdw (libdw-dev), cargo with access to crates.io. Builds go to a temporary directory
(--work keeps them for the next run); a full run takes about a quarter of an hour on two cores.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

REPO = pathlib.Path(__file__).resolve().parents[2]
TABLE = REPO / "agent/runtime/tokio_layout.inc"

# The last patch release of each minor; pinned, so that the table can be made again.
RELEASES = """
1.24.2 1.25.3 1.26.0 1.27.0 1.28.2 1.29.1 1.30.0 1.31.0 1.32.1 1.33.0 1.34.0 1.35.1 1.36.0 1.37.0
1.38.2 1.39.3 1.40.0 1.41.1 1.42.1 1.43.4 1.44.2 1.45.1 1.46.1 1.47.5 1.48.0 1.49.0 1.50.0 1.51.6
1.52.4 1.53.3 1.54.1
""".split()

# Oldest compiler a release builds with: (first Tokio minor, rustc minor).
NEEDS_RUSTC = ((39, 70), (48, 71), (24, 56))

MANIFEST = """[package]
name = "layout"
version = "0.1.0"
edition = "2021"
rust-version = "1.{rustc}"
[workspace]
[features]
parking_lot = ["tokio/parking_lot"]
[dependencies.tokio]
version = "={tokio}"
features = ["rt-multi-thread", "net", "time", "sync", "signal", "process", "fs", "io-util", "io-std"]
[profile.dev]
debug = 2
opt-level = 0
debug-assertions = false
incremental = false
"""

MAIN = """
use tokio::runtime::Builder;
fn main() {
    let multi = Builder::new_multi_thread().enable_all().build().unwrap();
    let current = Builder::new_current_thread().enable_all().build().unwrap();
    multi.spawn(async {});
    multi.spawn_blocking(|| {});
    current.spawn(async {});
    let local = tokio::task::LocalSet::new();
    local.spawn_local(async {});
    current.block_on(local);
}
"""


def minor(version):
    return int(version.split(".")[1])


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    if done.returncode:
        raise RuntimeError(" ".join(map(str, command)) + "\n" + done.stderr[-2000:])
    return done.stdout


def rustc_minor(rustc):
    return int(re.search(r"rustc 1\.(\d+)", run([rustc, "-V"])).group(1))


def build_dumper(work):
    """The reader of DWARF, without the table it is about to make."""
    dumper = work / "dump_layout"
    sources = ["tests/layouts/dump_layout.c", "agent/runtime/tokio_layout_dwarf.c", "agent/util/err.c"]
    command = ["gcc", "-std=gnu11", "-O1", "-D_GNU_SOURCE", "-Iagent", "-I."]
    run(command + ["-o", dumper] + sources + ["-ldw"], cwd=REPO)
    return dumper


def build(args, work, tokio, unstable, parking_lot):
    """One debug binary; the target directory is shared so that dependencies build once."""
    crate = work / f"crate-{args.rustc_minor}-{tokio}"
    (crate / "src").mkdir(parents=True, exist_ok=True)
    (crate / "Cargo.toml").write_text(MANIFEST.format(tokio=tokio, rustc=args.rustc_minor))
    (crate / "src/main.rs").write_text(MAIN)
    env = dict(os.environ)
    env["RUSTC"] = args.rustc
    env["RUSTFLAGS"] = "--cfg tokio_unstable" if unstable else ""
    env["CARGO_TARGET_DIR"] = str(work / f"target-{args.rustc_minor}-{unstable}")
    env["CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS"] = "fallback"
    if not (crate / "Cargo.lock").exists():
        # A new cargo picks dependencies that the old compiler can build; an old one cannot.
        run(["cargo", "generate-lockfile", "-q"], cwd=crate, env=dict(env, RUSTC="rustc"))
    command = [args.cargo, "build", "-q", "-j", str(args.jobs)]
    if parking_lot:
        command += ["--features", "parking_lot"]
    run(command, cwd=crate, env=env)
    return pathlib.Path(env["CARGO_TARGET_DIR"]) / "debug/layout"


def offsets(dumper, binary):
    pairs = [line.split() for line in run([dumper, binary]).splitlines()]
    return tuple(name for name, _ in pairs), tuple(int(value) for _, value in pairs)


def collapse(found):
    """found: {(unstable, parking_lot): [(minor, offsets)]} -> rows with ranges of minors."""
    rows = []
    for (unstable, parking_lot), samples in sorted(found.items()):
        for number, values in sorted(samples):
            last = rows[-1] if rows else None
            if last and last[2:] == [unstable, parking_lot, values] and last[1] == number - 1:
                last[1] = number
            else:
                rows.append([number, number, unstable, parking_lot, values])
    return rows


ROW = re.compile(r"\{ (\d+), (\d+), (\d+), (\d), (\d), (\d+) \}")
VALUES = re.compile(r"\{ \{ ([-0-9, ]+) \} \}")


def read_table(path, names):
    """Rows of an earlier run: {rustc: rows}. A table with other fields is of no use."""
    text = path.read_text() if path.exists() else ""
    if "fields: " + str(len(names)) + " " not in text:
        return {}
    layouts = [tuple(map(int, m.group(1).split(","))) for m in VALUES.finditer(text.replace("\n\t    ", " "))]
    table = {}
    for m in ROW.finditer(text):
        first, last, rustc, unstable, parking_lot, layout = map(int, m.groups())
        table.setdefault(rustc, []).append([first, last, unstable, parking_lot, layouts[layout]])
    return table


def wrap(values):
    lines, line = [], ""
    for value in values:
        word = f"{value}, "
        if len(line) + len(word) > 84:
            lines.append(line.rstrip())
            line = ""
        line += word
    lines.append(line.rstrip(", "))
    return "\n\t    ".join(lines)


def write_table(path, names, table):
    layouts, rows = [], []
    for rustc in sorted(table, reverse=True):
        for first, last, unstable, parking_lot, values in sorted(table[rustc]):
            if values not in layouts:
                layouts.append(values)
            rows.append((first, last, rustc, unstable, parking_lot, layouts.index(values)))
    out = [
        "/* SPDX-License-Identifier: LGPL-2.1-or-later */",
        "/*",
        " * Made by tests/layouts/gen_layouts.py from real builds; do not edit. A layout belongs to",
        " * the rustc that built it. Included by tokio_layout.c alone.",
        f" * fields: {len(names)} (the order of TOKIO_FIELDS)",
        " */",
        "/* clang-format off */",
        f'_Static_assert(TOKIO_FIELD_COUNT == {len(names)}, "run tests/layouts/gen_layouts.py");',
        "",
        "static const struct tokio_layout tokio_layouts[] = {",
    ]
    out += [f"\t{{ {{ {wrap(values)} }} }}," for values in layouts]
    out += ["};", "", "/* first and last Tokio minor, rustc minor, tokio_unstable, parking_lot, layout */"]
    out += ["static const struct tokio_layout_row tokio_layout_rows[] = {"]
    out += ["\t{ " + ", ".join(map(str, row)) + " }," for row in rows]
    out += ["};", "/* clang-format on */", ""]
    path.write_text("\n".join(out))


def wanted(args):
    oldest = lambda tokio: max(rustc for first, rustc in NEEDS_RUSTC if minor(tokio) >= first)
    chosen = [v for v in RELEASES if not args.minors or minor(v) in args.minors]
    return [v for v in chosen if oldest(v) <= args.rustc_minor]


def collect(args, work):
    dumper = build_dumper(work)
    found, names = {}, None
    for unstable in args.unstable:
        for tokio in wanted(args):
            for parking_lot in (0, 1):
                print(f"tokio {tokio} unstable={unstable} parking_lot={parking_lot}", file=sys.stderr, flush=True)
                binary = build(args, work, tokio, unstable, parking_lot)
                names, values = offsets(dumper, binary)
                found.setdefault((unstable, parking_lot), []).append((minor(tokio), values))
    return names, found


def main():
    numbers = lambda text: [int(word) for word in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cargo", default="cargo")
    parser.add_argument("--rustc", default="rustc")
    parser.add_argument("--minors", type=numbers, help="only these Tokio minors, as 47,54")
    parser.add_argument("--unstable", type=numbers, default=[0, 1], help="0, 1 or 0,1 (default)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=pathlib.Path, help="where to build (kept); default: temporary")
    parser.add_argument("--out", type=pathlib.Path, default=TABLE)
    args = parser.parse_args()
    args.rustc_minor = rustc_minor(args.rustc)
    work = args.work or pathlib.Path(tempfile.mkdtemp(prefix="layouts-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        names, found = collect(args, work)
    finally:
        if not args.work:
            shutil.rmtree(work)
    table = read_table(args.out, names)
    table[args.rustc_minor] = collapse(found)
    write_table(args.out, names, table)
    print(f"{args.out}: {sum(map(len, table.values()))} rows", file=sys.stderr)


if __name__ == "__main__":
    main()
