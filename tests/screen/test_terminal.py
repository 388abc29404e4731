# SPDX-License-Identifier: LGPL-2.1-or-later
"""The live view and its terminal: how it is left, whatever ends the view; colours; other kinds."""

import os
import pathlib
import re
import select
import signal
import subprocess
import termios
import time

import pytest

import pictures
from terminal import Terminal, press, shell

COLOR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7])(?:;\d+)*m")


def assert_restored(t):
    assert t.settings() == t.before
    assert t.raw.rindex(b"\x1b[?1049l") > t.raw.rindex(b"\x1b[?1049h")
    assert t.raw.rindex(b"\x1b[?25h") > t.raw.rindex(b"\x1b[?25l")


@pytest.mark.parametrize("key", ["q", "f10"])
def test_quit_restores(start, key):
    t = start("--ticks", "130")
    assert t.settings() != t.before
    t.keys(key)
    assert t.wait_exit() == 0
    assert_restored(t)
    assert b"closed 0" in t.raw  # what follows goes to the normal screen


@pytest.mark.parametrize("how,code", [
    ("SIGTERM", 143), ("SIGINT", 143), ("SIGQUIT", -signal.SIGQUIT), ("segv", -signal.SIGSEGV),
    ("abort", -signal.SIGABRT), ("exit", 7)])
def test_end_restores(start, how, code):
    t = start("--ticks", "130")
    if how.startswith("SIG"):
        t.signal(getattr(signal, how))
    else:
        t.command(how, answer=False)
    assert t.wait_exit() == code
    assert_restored(t)


# Those that end no program, and two that Python hands on ignored; KILL and STOP are nobody's.
HARMLESS = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT, signal.SIGCHLD,
            signal.SIGWINCH, signal.SIGURG, signal.SIGALRM, signal.SIGPIPE, signal.SIGXFSZ,
            signal.SIGKILL, signal.SIGSTOP}


def test_every_signal_restores(start):
    for signo in [*(set(range(1, 32)) - HARMLESS), signal.SIGRTMIN, signal.SIGRTMAX]:
        t = start("--ticks", "5")
        t.signal(signo)
        assert t.wait_exit() in (143, -signo), signo
        assert_restored(t)
        t.close()


@pytest.mark.parametrize("how", ["q", "segv", "SIGTERM"])
def test_mouse_is_given_back(start, how):
    t = start("--ticks", "130")
    press(t, "m")
    if how == "q":
        t.keys("q")
    elif how == "segv":
        t.command("segv", answer=False)
    else:
        t.signal(getattr(signal, how))
    t.wait_exit()
    assert t.raw.rindex(b"\x1b[?1000l") > t.raw.rindex(b"\x1b[?1000h")
    assert_restored(t)


def test_stopped_terminal(start):
    """Ctrl-S: nothing is drawn, nothing waits; Ctrl-Q: the present appears."""
    t = start("--ticks", "130")
    t.keys_of_line(b"\x13")
    t.silence()
    before = t.text()
    t.command("tick 20")  # answers, so it does not hang in a write
    assert t.text() == before
    t.keys_of_line(b"\x11")
    t.command("tick 1")
    t.wait_text(" 15.1 s")


def test_stopped_terminal_ends(start):
    t = start("--ticks", "130")
    t.keys_of_line(b"\x13")
    t.silence()
    t.command("tick 1")
    t.signal(signal.SIGTERM)
    assert t.wait_exit() == 143
    assert_restored(t)


def test_unread_terminal_ends(start):
    """Nobody reads at the other end, and a write waits for that: it still ends when told to."""
    t = start("--ticks", "130", cols=200, rows=50)
    for i in range(60):
        t.keys("123456"[i % 6], "\x0c")
        t.control.sendall(b"tick 1\n")
        if not select.select([t.control], [], [], 1)[0]:
            break
        assert t.control.recv(16) == b"ok\n"
    t.signal(signal.SIGTERM)
    end = time.monotonic() + 10
    while not (done := os.waitpid(t.pid, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.02)
    assert done[0], "it waits for a terminal that nobody reads"
    t.status = os.waitstatus_to_exitcode(done[1])
    assert t.status == 143
    assert t.settings() == t.before


def test_kill_leaves_a_terminal_that_reset_repairs(start):
    t = start("--ticks", "130", session=shell)
    t.keys("2")
    t.settle()
    children = pathlib.Path(f"/proc/{t.pid}/task/{t.pid}/children").read_text(encoding="ascii")
    os.kill(int(children), signal.SIGKILL)
    assert t.wait_exit() == 256 - signal.SIGKILL
    assert t.settings() != t.before  # nobody could do that
    slave = os.open(t.slave_name, os.O_RDWR | os.O_NOCTTY)
    subprocess.run(["reset", "-w"], stdin=slave, stdout=slave, stderr=slave, check=False, timeout=20,
                   env={"TERM": "screen-256color", "PATH": os.environ["PATH"]})
    os.close(slave)
    t.settle()
    now = t.settings()
    for flag in (termios.ECHO, termios.ICANON, termios.ISIG):
        assert now[3] & flag
    assert now[0] & termios.ICRNL and now[1] & termios.OPOST


def test_hangup_ends(start):
    t = start("--ticks", "130")
    t.signal(signal.SIGCONT)
    os.close(t.master)
    t.master = os.open("/dev/null", os.O_RDONLY)
    assert t.wait_exit() in (143, 5)


def test_stop_and_continue(start):
    """Also in the middle of a frame, where curses ignores the signal."""
    t = start("--ticks", "130", session=shell)
    for nth in range(2, 14):
        t.keys_of_line(b"\x1a")
        # The one before may still be on the screen.
        t.wait(lambda _, n=nth: t.raw.count(b"JOB STOPPED") == n - 1, "the stop")
        assert t.settings() == t.before
        t.keys_of_line(b"\n")
        t.wait(lambda _, n=nth: t.raw.count(b"\x1b[?1049h") == n, "the next start of the screen")
    # What was typed meanwhile is dropped: wait until it has drawn.
    t.settle()
    press(t, "2")
    t.wait_text("4300 BLOCKED")
    t.keys("q")
    assert t.wait_exit() == 0
    assert_restored(t)


@pytest.mark.parametrize("term,words", [
    ("dumb", "TERM=dumb cannot place the cursor"), (None, "TERM is not set"),
    ("no-such-terminal", "unknown")])
def test_no_view_here(start, term, words):
    t = start(term=term, ready=None)
    assert t.wait_exit() == 3
    assert words in " ".join(t.text().split())
    assert b"\x1b" not in t.raw


def test_no_terminal(driver):
    done = subprocess.run([driver], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 3
    assert "no terminal" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("args,env,colored", [
    ([], {}, True), ([], {"NO_COLOR": "1"}, False), (["--color", "never"], {}, False),
    (["--color", "always"], {"NO_COLOR": "1"}, True)])
def test_color(start, args, env, colored):
    t = start("--ticks", "130", *args, env=env)
    press(t, "2", "1")
    assert bool(COLOR.search(t.raw)) == colored


SIXTEEN = """test-16color,
\tcolors#16, pairs#0x100, use=screen,
\tsetaf=\\E[%?%p1%{8}%<%t3%p1%d%e9%p1%{8}%-%d%;m,
\tsetab=\\E[%?%p1%{8}%<%t4%p1%d%e10%p1%{8}%-%d%;m,
"""
FOREGROUND = re.compile(r"\b(38;5;\d+|3[0-7]|9[0-7])\b")


def colours(raw):
    """Of the text, as they were sent."""
    return {code for seq in re.findall(rb"\x1b\[([\d;]*)m", raw)
            for code in FOREGROUND.findall(seq.decode())}


@pytest.fixture(scope="module")
def screens(driver, tmp_path_factory):
    """screens(term, **environment): the texts of all views, and which colours they used."""
    home = tmp_path_factory.mktemp("terminfo")
    (home / "source").write_text(SIXTEEN, encoding="ascii")
    subprocess.run(["tic", "-x", "-o", home, home / "source"], check=True, timeout=20)

    def run(term, **env):
        t = Terminal([driver, "--ticks", "130"], cols=120, rows=40, term=term, synced=True,
                     env={"TERMINFO": str(home), **env})
        try:
            t.wait_text("stalltop")
            texts = []
            for key in "1256":
                press(t, key)
                t.command("show")
                t.settle()
                texts.append(t.text())
            return texts, colours(t.raw)
        finally:
            t.close()

    return run


def test_palettes(screens):
    """Each terminal gets colours that it has; what is read is the same with all and with none."""
    plain, none = screens("screen-256color", NO_COLOR="1")
    assert not none
    assert any("BLOCKED" in text for text in plain) and any("critical" in text for text in plain)
    for term, many in (("linux", False), ("test-16color", False), ("screen-256color", True)):
        texts, used = screens(term)
        assert texts == plain, term
        assert len(used) >= 3 and all(code.startswith("38;5;") == many for code in used), used
        if many:
            # Okabe and Ito: vermilion, orange, sky blue.
            assert {"38;5;202", "38;5;214", "38;5;75"} <= used
        else:
            assert "34" not in used, "dark blue on black is not seen"


def test_pictures(driver):
    """The documentation shows the view as it is: tests/screen/pictures.py makes them anew."""
    assert pictures.differing(driver) == []


@pytest.mark.parametrize("term", ["linux", "vt100", "tmux-256color"])
def test_other_terminals(start, term):
    t = start("--ticks", "130", term=term)
    press(t, "2")
    t.wait_text("4300 BLOCKED")
    t.keys("q")
    assert t.wait_exit() == 0
    assert t.settings() == t.before


def test_only_changes_are_sent(start):
    t = start("--ticks", "130", cols=200, rows=50)
    before = len(t.raw)
    t.tick(10)
    assert len(t.raw) - before < 10 * 1500
    assert b"\x1b[2J" not in t.raw[before:]
