/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The terminal: taken over once a process, and given back whatever happens: term_close(), exit(),
 * SIGSEGV, SIGABRT and the like. A process has one terminal, so the state behind this is static:
 * a signal handler can be given nothing else.
 *
 * SIGINT, SIGTERM and SIGHUP are the main loop's; where it left them at their default, they restore
 * the terminal too. SIGTSTP and SIGCONT are handled by curses.
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

/* Opens curses: raw keys, no echo, cursor hidden. `out` and in_fd stay the caller's. */
int term_open(int in_fd, FILE *out, struct err *err);

/* Gives the terminal back. Does nothing when it was not taken. */
void term_close(void);

/* Tells curses the size that the terminal has now; true when it has changed. */
bool term_resize(void);

/* The terminal is gone: hung up, or no more input will come. */
bool term_lost(void);

#endif
