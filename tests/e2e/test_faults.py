# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bad input, and targets that cannot be watched: one clear line and the right exit code."""

import json
import os
import re
import shutil
import signal
import subprocess
import unicodedata

import pytest

import harness
from helpers_attach import one_line, run, until

SITE = "suite::blocking_call::fetch_from_slow_disk"
BIDI = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


# --- targets -------------------------------------------------------------------------------

@pytest.mark.parametrize("command", ["top", "check", "dump"])
def test_no_such_pid(root, stalltop, command):
    one_line(stalltop(command, "-p", 4194303), 4, "no process with id 4194303")


def test_no_runtime(app, stalltop):
    target = app("sleep", path="/usr/bin/sleep", args=(60,), ready=False)
    until(lambda: os.readlink(f"/proc/{target.pid}/exe").endswith("sleep"))
    for command in ("top", "check", "dump"):
        one_line(stalltop(command, "-p", target.pid), 3, f"process {target.pid} .*/sleep.*",
                 "no async runtime", "Tokio 1.24 or newer")
    assert stalltop("doctor", "-p", target.pid).rc == 3
    seen = stalltop("check", "-p", target.pid, "--wait", "--duration", "500ms", "--json")
    assert seen.rc == 0 and seen.header["targets"][0]["runtimes"] == []
    assert seen.footer["polls"] == 0


def test_kernel_thread(root, stalltop):
    one_line(stalltop("check", "-p", 2), 3, "process 2 is a kernel thread")


def test_thread_id(app, stalltop):
    target = app("blocking_call")
    tid = [t for t in os.listdir(f"/proc/{target.pid}/task") if int(t) != target.pid][0]
    one_line(stalltop("check", "-p", tid), 4, f"{tid} is a thread", "id of its process")


def test_own_pid(root):
    one_line(run(["sh", "-c", f"exec {harness.BINARY} check -p $$"]), 3, "no async runtime")


def test_zombie(root, stalltop):
    child = subprocess.Popen(["true"])
    until(lambda: open(f"/proc/{child.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "Z")
    try:
        one_line(stalltop("check", "-p", child.pid), 4, str(child.pid), "ended|gone")
    finally:
        child.wait()


def test_stopped_target(app, stalltop):
    """A process that is held by a debugger or a job control signal is no obstacle."""
    target = app("blocking_call")
    os.kill(target.pid, signal.SIGSTOP)
    seen = stalltop("check", "-p", target.pid, "--duration", "700ms", "--json")
    assert seen.rc == 0, f"nothing happens in it: {seen.findings}"
    assert any("is stopped" in n["text"] for n in seen.of("note")), seen.stdout
    os.kill(target.pid, signal.SIGCONT)
    assert stalltop("check", "-p", target.pid, "--duration", "2s", "--fail-on", "warning").rc == 1


def test_stopped_while_watched(app, stream):
    """What a job control signal takes in the middle of a poll is not that poll's doing."""
    target = app("stuck_poll", args=(1, 1))  # one second each, by the clock
    run = stream("-p", target.pid, "--level", 1, "--duration", "60s", command="dump")
    run.attached()
    run.watch(1.5)  # the one that was open then is over
    os.kill(target.pid, signal.SIGSTOP)
    run.watch(2)
    os.kill(target.pid, signal.SIGCONT)
    run.watch(1)
    run.stop()
    taken = sum(s["preempted_ns"] for s in run.of("site"))
    assert taken > 1e9, "the poll that was open says that it was held"
    assert sum(s["blocked_ns"] for s in run.of("site")) < 5e8
    assert [f["message"] for f in run.of_rule("blocking-call")] == []


PROGRAM_32 = """
.globl _start
.section .rodata
time: .long 60, 0
.text
_start:
    movl $162, %eax
    movl $time, %ebx
    xorl %ecx, %ecx
    int $0x80
    jmp _start
"""


def test_foreign_word_size(app, stalltop, tmp_path):
    """A 32-bit process, made by the assembler alone."""
    source, path = tmp_path / "p.s", tmp_path / "program32"
    source.write_text(PROGRAM_32)
    subprocess.run(["as", "--32", "-o", tmp_path / "p.o", source], check=True)
    subprocess.run(["ld", "-m", "elf_i386", "-o", path, tmp_path / "p.o"], check=True)
    try:
        target = app("program32", path=path, ready=False)
    except OSError as error:
        pytest.skip(f"this kernel runs no 32-bit program: {error}")
    until(lambda: os.readlink(f"/proc/{target.pid}/exe") == str(path))
    one_line(stalltop("check", "-p", target.pid), 3, "32-bit")
    one_line(stalltop("check", "--wait", "-p", target.pid), 3, "32-bit")
    one_line(stalltop("check", "--", path), 3, "32-bit")


def test_nohup(app, stream):
    """Started with hangups ignored it goes on after one."""
    target = app("blocking_call")
    run = stream("-p", target.pid, prefix=["nohup"])
    run.attached()
    os.kill(run.proc.pid, signal.SIGHUP)
    run.finding("blocking-call", 20)
    run.stop()


def test_closed_output(app):
    """`stalltop | head -1`: it ends, says nothing, and leaves nothing."""
    target = app("blocking_call")
    done = run(["bash", "-c", f"{harness.BINARY} top -p {target.pid} --json | head -1 > /dev/null;"
                              " exit ${PIPESTATUS[0]}"], 30)
    assert done.stderr == "", done
    assert harness.changed_text(target.pid) == []


def test_full_disk(app):
    """What could not be written is no success."""
    target = app("blocking_call_ok")
    done = run(["sh", "-c", f"exec {harness.BINARY} check -p {target.pid} --duration 500ms "
                            "> /dev/full"])
    assert done.rc == 7, done
    assert "stalltop: standard output: No space left on device\n" in done.stderr, done


# --- options -------------------------------------------------------------------------------

BAD_OPTIONS = [
    ([], "no target"),
    (["chekc", "-p", "1"], "did you mean .?check"),
    (["check"], "no target"),
    (["check", "-p"], "needs a value"),
    (["check", "-p", "abc"], "not a process id"),
    (["check", "-p", "0"], "not a process id"),
    (["check", "-p", "-5"], "not a process id"),
    (["check", "-p", "1,,2"], "not a process id"),
    (["check", "-p", "99999999999999999999"], "not a process id"),
    (["check", "-n", ""], "name is empty"),
    (["check", "-p", "1", "--all"], "several targets"),
    (["check", "-p", "1", "--", "true"], "several targets"),
    (["check", "--"], "nothing follows"),
    (["check", "--", ""], "empty command"),
    (["check", "-p", "1", "extra"], "unexpected argument"),
    (["1234"], "stalltop -p 1234"),
    (["check", "-p", "1", "--duration", "5"], "not a duration"),
    (["check", "-p", "1", "--duration", "0s"], "more than 0"),
    (["check", "-p", "1", "--duration", "-1s"], "not a duration"),
    (["check", "-p", "1", "--threshold", "10 elephants"], "not a duration"),
    (["check", "-p", "1", "--fail-on", "info"], "want warning or critical"),
    (["check", "-p", "1", "--level", "7"], "want 0, 1, 2 or 3"),
    (["check", "-p", "1", "--overhead", "nan"], "percentage"),
    (["check", "-p", "1", "--overhead", "0"], "percentage"),
    (["check", "-p", "1", "--overhead", "101%"], "percentage"),
    (["check", "-p", "1", "--max-loss", "-1"], "number of events"),
    (["check", "-p", "1", "--color", "blue"], "auto, always or never"),
    (["check", "-p", "1", "--jsno"], "did you mean --json"),
    (["check", "-p", "1", "--json=yes"], "takes no value"),
    (["check", "-p", "1", "-x"], "unknown option -x"),
    (["list", "-p", "1"], "not an option of list"),
    (["dump", "-p", "1", "--fail-on", "warning"], "not an option of dump"),
    (["rules"], "rules list"),
    (["rules", "show"], "rules show ID"),
    (["rules", "show", "no-such-rule"], "no rule no-such-rule"),
    (["check", "-p", "1", "--set", "blocking-call"], "RULE.KEY=VALUE"),
    (["check", "-p", "1", "--set", "no-such.warning=1ms"], "no-such"),
    (["check", "-p", "1", "--set", "blocking-call.nope=1ms"], "no key .nope.*warning"),
    (["check", "-p", "1", "--set", "blocking-call.warning=5%"], "warning"),
    (["check", "-p", "1", "--rules", "/no/such/file"], "/no/such/file"),
]


@pytest.mark.parametrize("words,said", BAD_OPTIONS, ids=lambda v: "_".join(v)[:40]
                         if isinstance(v, list) else None)
def test_bad_option(stalltop, words, said):
    one_line(stalltop(*words), 2, said)


def test_feature_names(app, stalltop):
    target = app("blocking_call")
    one_line(stalltop("check", "-p", target.pid, "--no-feature", "magic"), 2, "no feature magic",
             "sampling")
    seen = stalltop("check", "-p", target.pid, "--duration", "2s", "--fail-on", "warning",
                    "--no-feature", "sampling", "--no-feature", "queues", "--json")
    assert seen.rc == 1, "blocking needs no samples"


# --- rule files ----------------------------------------------------------------------------

RULE = """{
	"id": "my-rule",
	"title": "A poll blocks",
	"why": "Nothing else runs.",
	"params": {
		"warning": {"value": "10ms", "meaning": "blocked time"},
		"critical": {"value": "100ms", "meaning": "blocked time"}
	},
	"cases": [
		{
			"scope": "poll",
			"severity": [
				{"level": "critical", "when": [
					{"field": "poll.blocked", "op": ">=", "value": "$critical"}]},
				{"level": "warning", "when": [
					{"field": "poll.blocked", "op": ">=", "value": "$warning"}]}
			],
			"message": "{site} blocked for {poll.blocked}"
		}
	],
	"exempt": {"kinds": ["blocking", "worker"]},
	"advice": "Do not block."
}
"""

# What is written in place of what, the text at which the error is, and what is said about it.
MISTAKES = [
    (RULE, "hello", "hello", "'{' is expected"),
    (RULE, "", "", "file is empty"),
    (RULE, "[1]", "[1]", "'{' is expected"),
    ('"advice": "Do not block."', '"advice": "Do not block.', '"Do not block.',
     "string does not end"),
    ('"10ms", "meaning"', '"10ms",, "meaning"', ', "meaning": "blocked time"},', "key in quotes"),
    ('"why": "Nothing else runs.",', '"why" "Nothing",', '"Nothing"', "':'"),
    ('\t"id": "my-rule",\n', "", "{", '"id" is missing'),
    ('"my-rule"', '"My Rule"', '"My Rule"', "bad name"),
    ('"my-rule"', "7", "7,", "text in quotes"),
    ('"title"', '"tittle"', '"tittle"', 'did you mean "title"'),
    ('"title"', '"id": "x", "title"', '"id": "x"', "twice"),
    ('"poll.blocked", "op": ">=", "value": "$critical"',
     '"poll.bolcked", "op": ">=", "value": "$critical"', '"poll.bolcked"',
     'did you mean "poll.blocked"'),
    ('"scope": "poll"', '"scope": "poles"', '"poles"', "did you mean poll"),
    ('">=", "value": "$critical"', '"=>", "value": "$critical"', '"=>"', "use one of >="),
    ('"$critical"', '"$crittical"', '"$crittical"', r"did you mean \$critical"),
    ('"value": "100ms"', '"value": "100%"', '"$critical"', "wrong unit.*duration"),
    ('"value": "100ms"', '"value": "100 parsecs"', '"100 parsecs"', "is not a value"),
    ('"value": "100ms"', '"value": "-100ms"', '"-100ms"', "is not a value"),
    ('"value": "100ms"', '"value": true', '"$critical"', "wrong unit"),
    ('"level": "critical"', '"level": "fatal"', '"fatal"', "info, warning, critical"),
    ('{site} blocked', '{sight} blocked', '{sight}', "did you mean {site}"),
    ('{site} blocked', '{site blocked', '{site blocked', "'}'"),
    ('"blocking", "worker"', '"blocking", "wroker"', '"wroker"', "did you mean worker"),
    ('["blocking", "worker"]', '"blocking"', '"blocking"', "list"),
    ("Do not block.", "Do not\udcff block.", '\udcff', "not valid UTF-8"),
    ("Do not block.", "Do not\x1b block.", '\x1b', "control character"),
]


def position(text, at):
    """Line and column, both from 1; a column is a byte."""
    before = text[:text.index(at)].encode("utf-8", "surrogateescape")
    return before.count(b"\n") + 1, len(before) - (before.rfind(b"\n") + 1) + 1


@pytest.mark.parametrize("old,new,at,said", MISTAKES, ids=[
    re.sub(r"\W+", "_", m[3])[:30] + str(i) for i, m in enumerate(MISTAKES)])
def test_bad_rule(stalltop, tmp_path, old, new, at, said):
    """A mistake in a rule file is told with file, line, column and what would be right."""
    assert old in RULE
    text, path = RULE.replace(old, new, 1), tmp_path / "rule.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    line, column = position(text, at)
    told = one_line(stalltop("rules", "check", path), 2, said)
    found = re.match(rf"stalltop: {re.escape(str(path))}:(\d+):(\d+): ", told)
    assert found, told
    assert int(found[1]) == line, told
    # Inside a string either its begin or the byte itself is fine.
    assert abs(int(found[2]) - column) <= (9 if at in "\udcff\x1b" else 0), (told, column)
    assert stalltop("check", "-p", 1, "--rules", path).stderr == told + "\n"


def test_good_rule(app, stalltop, tmp_path):
    path = tmp_path / "rule.json"
    path.write_text(RULE)
    assert stalltop("rules", "check", path).rc == 0
    target = app("blocking_call")
    seen = stalltop("check", "-p", target.pid, "--rules", path, "--duration", "2s", "--json")
    assert {f["rule"] for f in seen.findings} == {"my-rule", "blocking-call"}


@pytest.mark.parametrize("kind", ["directory", "fifo", "unreadable", "huge", "zero"])
def test_odd_rule_file(stalltop, tmp_path, kind):
    """What is no file, or too long a one, neither hangs nor crashes."""
    path = tmp_path / "rule.json"
    if kind == "directory":
        path.mkdir()
        (path / "one.json").write_text("{")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "unreadable":
        path.symlink_to(path)
    elif kind == "huge":
        path.write_bytes(b"[" * (8 << 20))
    else:
        path.symlink_to("/dev/zero")
    one_line(stalltop("rules", "check", path, deadline=15), 2, "rule.json")


# --- names that are an attack --------------------------------------------------------------

HOSTILE = b"a\x1b]0;p\x07\x9b1m\xc2\x9b2\xe2\x80\xae\nz"
PRELOAD = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/prctl.h>
static const char *const names[] = {
    "\x1b]0;pwned\x07", "\x1b[31mred", "\xc2\x9b" "31m", "\xe2\x80\xae" "txt", "a\nb\tc\r",
};
static int next;
static void name(void) {
    prctl(PR_SET_NAME, names[__sync_fetch_and_add(&next, 1) % 5], 0, 0, 0);
}
int pthread_setname_np(pthread_t thread, const char *ignored) {
    (void)thread; (void)ignored;
    name();
    return 0;
}
__attribute__((constructor)) static void init(void) { name(); }
"""


def is_safe(text):
    """Printable, and without anything that changes what stands beside it."""
    return all(c == "\n" or (unicodedata.category(c) not in ("Cc", "Cs") and c not in BIDI)
               for c in text)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


@pytest.mark.parametrize("words", [
    ["check", "--duration", "1s"], ["check", "--duration", "1s", "--json"],
    ["dump", "--duration", "1s"], ["dump", "--duration", "1s", "--json"],
    ["top", "--duration", "1s"], ["top", "--duration", "1s", "--json"],
    ["check", "--dry-run"], ["doctor"], ["doctor", "--json"], ["list"], ["list", "--json"],
], ids=" ".join)
def test_hostile_names(app, path_of, tmp_path, words):
    """Names of files, processes and threads reach no terminal and no file as they are."""
    source, library = tmp_path / "name.c", tmp_path / "name.so"
    source.write_text(PRELOAD)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    path = os.path.join(os.fsencode(str(tmp_path)), HOSTILE)
    shutil.copy2(path_of("blocking_call"), path)
    target = app("x", path=os.fsdecode(path), env={"LD_PRELOAD": str(library)})
    with open(f"/proc/{target.pid}/comm", "rb") as comm:
        assert b"\x1b" in comm.read()
    more = [] if words[0] == "list" else ["-p", target.pid]
    if words[0] == "list":
        # In a namespace of its own nothing but this is read. The target is outside: start one.
        done = run(["unshare", "--pid", "--fork", "--mount-proc", "--mount", "bash", "-c",
                    'LD_PRELOAD="$1" "$2" > /dev/null & sleep 0.5; ' +
                    " ".join([harness.BINARY, *words]), "-", library, os.fsdecode(path)])
    else:
        done = run([harness.BINARY, *words, *more])
    assert done.rc in (0, 1), done
    for text in (done.stdout, done.stderr):
        assert is_safe(text), ascii(text)
    said = [s for line in done.stdout.splitlines() if line.startswith('{"')
            for s in strings(json.loads(line))]
    assert all(is_safe(s) and "\n" not in s for s in said), ascii(said)
    assert "p" in done.stdout and "\\x1b" in done.stdout or "doctor" in words, ascii(done.stdout)


def test_hostile_arguments(root):
    """The same for what comes from the command line and from a rule file's name."""
    bad = b"\x1b[31m\x9b\xe2\x80\xae"
    for words in ([b"check", b"-n", bad], [b"check", b"--", b"/no/" + bad], [bad],
                  [b"check", b"--" + bad], [b"rules", b"check", b"/no/" + bad],
                  [b"rules", b"show", bad], [b"check", b"-p", bad],
                  [b"check", b"-p", b"1", b"--set", bad + b".x=1"],
                  [b"check", b"-p", b"1", b"--color", bad]):
        done = run([harness.BINARY, *map(os.fsdecode, words)])
        assert done.rc in (2, 3, 4), done
        assert is_safe(done.stderr), (words, ascii(done.stderr))
