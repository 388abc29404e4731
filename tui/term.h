/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The terminal: taken over once a process, and given back whatever happens: term_close(), exit(),
 * SIGSEGV, SIGABRT and the like. A process has one terminal, so the state behind this is static:
 * a signal handler can be given nothing else.
 *
 * SIGINT, SIGTERM and SIGHUP are the main loop's; where it left them at their default, they restore
 * the terminal too.
 */
#ifndef TUI_TERM_H
#define TUI_TERM_H

#include <stdbool.h>
#include <stdio.h>

#include "util/err.h"

/*
 * Can a full-screen view run here? Changes nothing on the terminal. -ENOTTY: not a terminal;
 * -ENOTSUP: TERM is unset, unknown, or too simple ("dumb").
 */
int term_check(int in_fd, int out_fd, struct err *err);

/*
 * What the loop waits for: readable when there is input, and after a SIGTSTP; the same every time,
 * term.c's own. -1 with errno when there is no room for it.
 */
int term_fd(int in_fd);

/* Opens curses: raw keys, no echo, cursor hidden. `out` and in_fd stay the caller's. */
int term_open(int in_fd, FILE *out, struct err *err);

/* Gives the terminal back, its modes even when it takes no output, and closes term_fd(). */
void term_close(void);

/* After a SIGTSTP: gives the terminal back and stops; returns when continued, and the next frame
 * takes it again. Nothing otherwise. To be called before a frame. */
void term_stop_when_asked(void);

/* Tells curses the size that the terminal has now; true when it has changed. */
bool term_resize(void);

/*
 * Does the terminal take output now? Not when it is stopped (Ctrl-S), or when nobody reads at the
 * other end: a write would then keep the program from its work, and a frame can wait.
 */
bool term_ready(void);

/*
 * Around what writes to the terminal. Between the two, a write that waits for a reader is given up
 * when the program is told to end by a signal that only its loop would look at: the terminal's modes
 * are restored, and the process ends as by that signal.
 */
void term_write_begin(void);
void term_write_end(void);

/* The function key that a press, or a turn of the wheel, begins with: see mouse.h. */
#define TERM_KEY_MOUSE (KEY_MAX + 1)

/*
 * Presses come from now on, or no more. While they do, most terminals select text only with Shift
 * held. False: this terminal has no mouse.
 */
bool term_mouse(bool on);

/* The terminal is gone: hung up, or no more input will come. */
bool term_lost(void);

#endif
