/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The live view: a snapshot sink that draws on a terminal and answers keys. The only folder that
 * includes curses.
 *
 * tui_sink_new() touches nothing on the terminal: until open() the program may print as usual.
 * From open() to close() the terminal is the view's, and is given back whatever happens (term.h).
 * The loop watches fd() and calls input(), which returns 1 when the user quits and -EPIPE when the
 * terminal is gone; after a signal that interrupted it (SIGWINCH) it calls snapshot() as at a tick.
 * The view pauses its display, never the stream. One at a time in a process.
 */
#ifndef TUI_TUI_H
#define TUI_TUI_H

#include <stdio.h>

#include "core/sink.h"
#include "util/err.h"

enum tui_color {
	TUI_COLOR_AUTO, /* unless NO_COLOR is set */
	TUI_COLOR_ALWAYS,
	TUI_COLOR_NEVER,
};

struct tui_opts {
	enum tui_color color;
	int in_fd;	 /* keys; 0 is standard input */
	FILE *out;	 /* NULL: standard output */
	bool full_stack; /* stacks are shown unfolded at first */
};

/*
 * NULL with `err` set when no live view can run here, and the text sink should: -ENOTTY, in_fd or
 * out is no terminal; -ENOTSUP, TERM is unset, unknown or cannot place the cursor ("dumb").
 */
struct sink *tui_sink_new(const struct tui_opts *o, struct err *err);

#endif
