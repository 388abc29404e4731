/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Strips: what workers did over the last minute, one column of the screen a step of time, newest at
 * the right. Long polls are known singly, as spans; the rest of a second by its shares.
 *
 * strip_read() copies what it needs out of the model; the other functions look at the copy only.
 * Times are nanoseconds of the model's clock. Columns begin at multiples of the step since the
 * watch began, so a strip moves only when a new column begins.
 */
#ifndef TUI_STRIP_H
#define TUI_STRIP_H

#include "tui/draw.h"
#include "tui/view.h"

/* A long poll. */
struct span {
	uint32_t target, tid, site;
	uint32_t name; /* index into names */
	int32_t syscall;
	uint64_t task_id;
	uint64_t start_ns, end_ns;
	uint64_t length_ns, blocked_ns, preempted_ns; /* as measured: its end may have moved on */
	bool open;
};

struct strip_name {
	uint32_t site;
	char text[NAME_SIZE];
};

struct strips {
	struct span *spans; /* by target and thread, oldest first */
	size_t count, cap;
	struct strip_name *names;
	size_t names_count, names_cap;
	uint64_t begin_ns, now_ns;
};

/* The seconds of one worker, and where its spans are. */
struct strip {
	struct spark busy, blocked, preempted;
	size_t first, count;
	bool sampled; /* its polls are: what is not known is not rest */
};

/* Which times the columns of the screen stand for. */
struct window {
	uint64_t end_ns, step_ns;
	int columns;
};

void strips_read(struct strips *all, const struct model *m);
void strips_free(struct strips *all);
/* When the thread ended, or its program; 0: not yet. */
uint64_t strip_end_ns(const struct model *m, const struct worker *w);
void strip_read(struct strip *strip, const struct strips *all, const struct model *m,
		const struct worker *w);

/* What took [from, to): shares of it; `known` false: the second is not complete yet. */
struct strip_part {
	bool known;
	double busy, blocked, computing, preempted; /* the last three: in long polls */
};
void strip_part(const struct strip *strip, const struct strips *all, uint64_t from_ns,
		uint64_t to_ns, struct strip_part *out);

/* Shares of a column from which a long poll is its story. */
#define STRIP_MARK 0.05

/* Draws the strip; the column at `cursor_ns` (0: none) stands out. */
void strip_draw(const struct strip *strip, const struct strips *all, const struct window *window,
		uint64_t cursor_ns, const struct canvas *c, int y, int x);
/* How long ago columns began, above the strips. */
void strip_ruler(const struct strips *all, const struct window *window, const struct canvas *c,
		 int y, int x);

/* "1.60 s blocked in clock_nanosleep" */
char *span_text(const struct span *span, char *out, size_t size);
enum role span_role(const struct span *span);

#endif
