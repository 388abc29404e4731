# SPDX-License-Identifier: LGPL-2.1-or-later
"""unbounded-channel on what tests/e2e/test_rules.py has not: stripped programs, smol, a recording."""

import re

import pytest

SHORT = ("--set", "unbounded-channel.window=2s", "--set", "unbounded-channel.lasting=1s")
RULE = "unbounded-channel"


def found(app, stream, *program, args):
    target = app(*program, args=args)
    run = stream("-p", target.pid, *SHORT)
    run.finding(RULE, 20, "warning")
    run.stop()
    (finding,) = run.of_rule(RULE)
    values = finding["values"]
    assert values["site.channel_senders"] == 2
    assert values["site.channel_depth"] > 10_000
    assert values["site.channel_in_per_second"] > 5 * values["site.channel_out_per_second"]
    return finding


def test_message_type(app, stream):
    """Debug information names it: by the end of the channel that lies in a waiting task."""
    finding = found(app, stream, "faults", "current", "debug", args=(RULE,))
    assert "tokio::sync::mpsc channel of faults::unbounded_channel::Reading" in finding["message"]


def test_stripped(app, stream):
    finding = found(app, stream, "faults", "current", "release-stripped", args=(RULE,))
    assert "messages wait in an unbounded tokio::sync::mpsc channel" in finding["message"]
    assert "the type of a message is n/a: no debug information tells it" in finding["message"]
    assert re.fullmatch(r"task type #\d+ \(\d+ B\) @ faults\+0x[0-9a-f]+", finding["site"])
    values = finding["values"]
    assert values["site.channel_bytes"] == 32 * values["site.channel_depth"]


def test_smol(app, stream, stalltop):
    finding = found(app, stream, "tasks", "smol", args=("unbounded_channel",))
    assert "unbounded async_channel channel" in finding["message"]
    assert "the type of a message is n/a: not read of this library" in finding["message"]
    assert finding["site"] == "tasks::faulty::read_sensor"
    twin = app("tasks", "smol", args=("unbounded_channel", "ok"))
    run = stalltop("check", "-p", twin.pid, "--json", "--duration", "4s", *SHORT)
    assert run.of_rule(RULE) == []
    assert {"rule": RULE} not in [{"rule": r["rule"]} for r in run.footer["rules"]["off"]]


@pytest.fixture
def trace(app, stalltop, tmp_path):
    target = app("faults", args=(RULE,))
    path = tmp_path / "trace"
    run = stalltop("record", "-p", target.pid, "-o", path, "--duration", "7s")
    assert run.rc == 0, run
    return path


def test_recorded(trace, stalltop):
    """The recording holds what was read of the channel: the rule finds the same in it."""
    run = stalltop("replay", trace, "--json", *SHORT)
    (finding,) = run.of_rule(RULE)
    assert finding["site"] == "faults::unbounded_channel::read_sensor"
    assert finding["values"]["site.channel_senders"] == 2
