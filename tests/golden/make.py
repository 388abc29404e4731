#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""make.py [CASE...]: records the golden traces anew (root, `make apps`); then run `make golden-update`.

The programs are copied to a path that is no one's, so that none of this machine's is recorded.
The damaged trace is the first one, cut off in its last chunk and with a bit flipped before.
"""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WHERE = pathlib.Path("/tmp/golden-apps")
CASES = {
    "blocking": ("blocking_call", ["--duration", "3s"]),
    "every-poll-of-blocking": ("blocking_call", ["--duration", "1500ms", "--level", "3", "--polls"]),
    "wakes-and-polls": ("starvation", ["--duration", "2s", "--level", "3", "--polls"]),
}


def record(case, app, options):
    WHERE.mkdir(exist_ok=True)
    path = WHERE / app
    shutil.copy(ROOT / ".output/apps/current/release" / app, path)
    (HERE / case).mkdir(exist_ok=True)
    target = subprocess.Popen([path], stdout=subprocess.PIPE)
    try:
        target.stdout.readline()
        subprocess.run([ROOT / ".output/stalltop", "record", "-p", str(target.pid), "-o",
                        HERE / case / "t.trace", *options], check=True,
                       stdout=subprocess.DEVNULL)
    finally:
        target.kill()
        target.wait()
        path.unlink()


def damage(source, case):
    """The third chunk gets a wrong bit, the sixth and what follows is cut off."""
    data = bytearray((HERE / source / "t.trace").read_bytes())
    chunks = []
    at = data.find(b"SCHK")
    while at >= 0:
        chunks.append(at)
        at = data.find(b"SCHK", at + 64)
    data[chunks[2] + 80] ^= 1
    (HERE / case).mkdir(exist_ok=True)
    (HERE / case / "t.trace").write_bytes(data[:chunks[3] + 100])


ONLY = sys.argv[1:] or list(CASES)
for name in ONLY:
    record(name, *CASES[name])
if "blocking" in ONLY:
    damage("blocking", "damaged")
