# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program in a pseudo-terminal, with pyte as the emulator behind it.

TERM is screen-256color: pyte does not know REP (repeat a character), which xterm's terminfo has.

Nothing here sleeps for a fixed time: every wait is for a condition, with a deadline. Only of a program
that cannot be asked (`synced`) nothing but silence tells that it has drawn.
"""

import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time

import pyte

KEYS = {
    "up": "\x1bOA", "down": "\x1bOB", "right": "\x1bOC", "left": "\x1bOD",
    "home": "\x1bOH", "end": "\x1bOF", "pgup": "\x1b[5~", "pgdn": "\x1b[6~",
    "f1": "\x1bOP", "f6": "\x1b[17~", "f10": "\x1b[21~", "btab": "\x1b[Z",
    "esc": "\x1b", "enter": "\r", "tab": "\t", "bs": "\x7f",
}
QUIET = 0.04  # seconds without output after which a screen counts as drawn


class Screen(pyte.Screen):
    """With the sequences that curses uses and pyte leaves out."""

    def scroll_up(self, count=1):
        self._scroll(count or 1, (self.margins or pyte.screens.Margins(0, self.lines - 1)).bottom,
                     self.index)

    def scroll_down(self, count=1):
        self._scroll(count or 1, (self.margins or pyte.screens.Margins(0, self.lines - 1)).top,
                     self.reverse_index)

    def _scroll(self, count, line, step):
        at = self.cursor.y
        self.cursor.y = line
        for _ in range(count):
            step()
        self.cursor.y = at


class Stream(pyte.ByteStream):
    csi = dict(pyte.ByteStream.csi, S="scroll_up", T="scroll_down")
    events = pyte.ByteStream.events | {"scroll_up", "scroll_down"}


def shell(argv, env):
    """What a shell does for a foreground job: stops give the terminal back, a line continues it."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execve(argv[0], argv, env)
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        os.tcsetpgrp(0, os.getpgrp())
        if not os.WIFSTOPPED(status):
            os._exit(os.waitstatus_to_exitcode(status) & 0xff)
        os.write(1, b"JOB STOPPED\n")
        os.read(0, 1)
        os.tcsetpgrp(0, child)
        os.killpg(child, signal.SIGCONT)


class Timeout(AssertionError):
    pass


class Terminal:
    """`session`: the program gets a shell-like parent, so that job control works.
    `synced`: it is the driver, which tells when all keys so far were read and drawn."""

    def __init__(self, argv, cols=80, rows=24, env=None, term="screen-256color", session=None,
                 synced=False):
        self.synced, self.typed, self.syncs = synced, 0, 0
        self.cols, self.rows = cols, rows
        self.screen = Screen(cols, rows)
        self.stream = Stream(self.screen)
        self.raw = b""
        self.master, slave = os.openpty()
        self.slave_name = os.ttyname(slave)
        self._set_size(cols, rows)
        self.before = termios.tcgetattr(slave)
        ours, theirs = socket.socketpair()
        self.control = ours
        full = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8",
                "ASAN_OPTIONS": "handle_segv=0:handle_abort=0:handle_sigbus=0:use_sigaltstack=0:detect_leaks=1"}
        if term is not None:
            full["TERM"] = term
        full.update(env or {})
        self.pid = os.fork()
        if self.pid == 0:
            self._child(argv, slave, theirs.fileno(), full, session)
        os.close(slave)
        theirs.close()
        self.status = None

    @staticmethod
    def _child(argv, slave, control, env, session):
        try:
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            os.dup2(control, 33)
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.dup2(33, 3)
            os.set_inheritable(3, True)
            os.closerange(4, 256)
            if session:
                session(argv, env)
            os.execve(argv[0], argv, env)
        finally:
            os._exit(127)

    def _set_size(self, cols, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def resize(self, cols, rows):
        self.cols, self.rows = cols, rows
        self.screen.resize(rows, cols)
        self._set_size(cols, rows)

    def pump(self, timeout):
        """Feeds what has arrived to the emulator; False when nothing came in time."""
        ready, _, _ = select.select([self.master], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        if not data:
            return False
        self.raw += data
        self.stream.feed(data)
        return True

    def settle(self):
        if self.synced and self.status is None:
            self._sync()
        else:
            self.silence()

    def silence(self):
        while self.pump(QUIET):
            pass

    def _sync(self):
        self.syncs += 1
        mark, end, at = b"\x1b]7777;%d\x1b\\" % self.syncs, time.monotonic() + 20, len(self.raw)
        try:
            self.control.sendall(b"sync %d %d\n" % (self.typed, self.syncs))
        except OSError:
            return  # it has ended
        while mark not in self.raw[at:]:
            if not self.pump(0.05) and self._ended():
                return
            if time.monotonic() > end:
                raise Timeout("the view does not answer:\n" + self.text())

    def _ended(self):
        """Its exit code is left for wait_exit()."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def type(self, data):
        self.typed += len(data)
        os.write(self.master, data)

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines()) + "\n"

    def wait(self, condition, what="", deadline=5.0):
        """Until condition(text) is true; returns the text."""
        end = time.monotonic() + deadline
        while True:
            text = self.text()
            if condition(text):
                return text
            if time.monotonic() > end:
                raise Timeout(f"{what or 'condition'} did not come:\n{text}")
            self.pump(0.05)

    def wait_text(self, needle, deadline=5.0):
        return self.wait(lambda text: needle in text, repr(needle), deadline)

    def wait_no_text(self, needle, deadline=5.0):
        return self.wait(lambda text: needle not in text, f"absence of {needle!r}", deadline)

    def keys_of_line(self, keys):
        """What the terminal's line or another program takes: the view never reads it."""
        os.write(self.master, keys)

    def keys(self, *names):
        for name in names:
            self.type(KEYS.get(name, name).encode())
            # An Esc must not run together with what follows it.
            if name == "esc" and self.synced:
                self._sync()
            elif name == "esc":
                end = time.monotonic() + 0.12
                while time.monotonic() < end:
                    self.pump(0.02)

    def mouse(self, x, y, button=0):
        """Pressed and let go, in the coding 1006. Button 0 left, 2 right, 64 and 65 the wheel."""
        place = f"\x1b[<{button};{x + 1};{y + 1}"
        # The wheel is never let go.
        self.type((place + "M" + (place + "m" if button < 3 else "")).encode())

    def click(self, text, button=0):
        """In the middle of the first place of `text` on the screen."""
        y = next(i for i, line in enumerate(self.lines()) if text in line)
        self.mouse(self.lines()[y].index(text) + len(text) // 2, y, button)
        self.settle()

    def command(self, line, answer=True):
        self.control.sendall(line.encode() + b"\n")
        if not answer:
            return
        end = time.monotonic() + 10
        while time.monotonic() < end:
            ready, _, _ = select.select([self.control, self.master], [], [], 0.2)
            if self.master in ready:
                self.pump(0)
            if self.control in ready:
                assert self.control.recv(16) == b"ok\n"
                return
        raise Timeout(f"no answer to {line!r}")

    def tick(self, count=1):
        self.command(f"tick {count}")
        self.settle()

    def signal(self, signo):
        os.kill(self.pid, signo)

    def wait_exit(self, deadline=10.0):
        """The exit code; minus the signal's number when one ended it."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            self.pump(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.settle()
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
        raise Timeout("the program did not end:\n" + self.text())

    def alive(self):
        return self.status is None and os.waitpid(self.pid, os.WNOHANG) == (0, 0)

    def settings(self):
        fd = os.open(self.slave_name, os.O_RDWR | os.O_NOCTTY)
        try:
            return termios.tcgetattr(fd)
        finally:
            os.close(fd)

    def close(self):
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        if self.master >= 0:
            os.close(self.master)
        self.master = -1
        self.control.close()


def press(t, *keys):
    """Each key once what the one before it did is on the screen."""
    for key in keys:
        t.keys(key)
        t.settle()
