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

#include "core/player.h"
#include "core/sink.h"
#include "util/err.h"

enum tui_color {
	TUI_COLOR_AUTO, /* unless NO_COLOR is set */
	TUI_COLOR_ALWAYS,
	TUI_COLOR_NEVER,
};

/* What a key asks of the program behind the view. */
enum tui_ask {
	TUI_ASK_THRESHOLD_UP,
	TUI_ASK_THRESHOLD_DOWN,
	TUI_ASK_WRITE, /* a trace of the last minute */
};

struct tui_opts {
	enum tui_color color;
	int in_fd;	 /* keys; 0 is standard input */
	FILE *out;	 /* NULL: standard output */
	bool full_stack; /* stacks are shown unfolded at first */
	/*
	 * Does it, and says in one line what came of it, or why it cannot. The view itself changes
	 * neither rules nor source. NULL: nothing can be asked.
	 */
	void (*ask)(void *ctx, enum tui_ask what, char *answer, size_t size);
	/* Writes the report so far, as it follows on the normal screen at the end. NULL: there is none. */
	void (*report)(void *ctx, const struct snapshot *snap, int width, FILE *out);
	void *ctx;	       /* given to both */
	struct player *player; /* of a trace that is played; NULL: this is live */
};

/*
 * NULL with `err` set when no live view can run here, and the text sink should: -ENOTTY, in_fd or
 * out is no terminal; -ENOTSUP, TERM is unset, unknown or cannot place the cursor ("dumb").
 */
struct sink *tui_sink_new(const struct tui_opts *o, struct err *err);

#endif
