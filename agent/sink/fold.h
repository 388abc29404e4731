/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks of a trace, equal ones added up: what flame graphs are made of. The outermost frames are
 * the process and the task type; a stack that could not be followed to the thread's first function
 * just begins further in. Weights: nanoseconds of a block, 1 of a sample and of a spawn.
 *
 * A block that is told while it is open and again at its end counts once, with what is known last.
 * Frames and rows are bounded: what finds no room goes to one row with a name that says so,
 * and sums stay right.
 */
#ifndef SINK_FOLD_H
#define SINK_FOLD_H

#include "model/model.h"
#include "util/map.h"

#define FOLD_FRAMES_MAX 200000
#define FOLD_ROWS_MAX 100000

struct fold_frame {
	char *name; /* never NULL */
	char *file; /* NULL: not known */
	uint32_t line;
	uint32_t next; /* with the same hash, plus one */
};

struct fold_row {
	enum stack_kind kind;
	uint32_t *frames; /* of fold.frames, outermost first */
	uint32_t count;
	uint64_t weight, stacks;
	uint32_t next; /* likewise */
};

/* What tells two frames of the same function apart. */
enum fold_by {
	FOLD_BY_LINE,
	FOLD_BY_NAME, /* nothing does: files and lines are left out */
};

struct fold {
	enum fold_by by;
	struct fold_frame *frames;
	size_t frames_count, frames_cap;
	struct fold_row *rows; /* in the order in which they came */
	size_t rows_count, rows_cap;
	struct map frames_at, rows_at; /* hash -> index of the first */
	struct map threads;	       /* (target, tid) -> index in `last` */
	struct fold_last *last;
	size_t last_count, last_cap;
};

void fold_init(struct fold *fold, enum fold_by by);
void fold_free(struct fold *fold);
/* An EV_STACK; others are passed over. */
void fold_add(struct fold *fold, const struct model *m, const struct event *event);

#endif
