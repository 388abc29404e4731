/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The course of a recording: what a report tells of when things happened, which the model, the state
 * of one moment, does not keep. An event sink that collects in a fixed amount of memory; what finds
 * no room is counted.
 *
 * Time is cut into HISTORY_SLICES equal parts at most. What threads did comes from their cumulative
 * counters, spread over the time between two looks.
 */
#ifndef SINK_HISTORY_H
#define SINK_HISTORY_H

#include "core/sink.h"
#include "model/model.h"
#include "sink/stack_tree.h"

#define HISTORY_SLICES 240
#define HISTORY_SLICE_MIN_NS 50000000ULL
#define HISTORY_LANES 64 /* workers with a line of their own */
#define HISTORY_POLLS 100
#define HISTORY_WAITS 50
#define HISTORY_LOSSES 50
#define HISTORY_NOTES 200

/* SLICE_UNKNOWN: not all polls were seen, so how the time was spent is not known. */
enum slice_time {
	SLICE_BUSY,
	SLICE_BLOCKED,
	SLICE_PREEMPTED,
	SLICE_UNKNOWN, /* the last that a lane has */
	SLICE_SEARCHING,
	SLICE_PARKED,
	SLICE_TIMES
};

/* A part of the time, over all workers. */
struct history_slice {
	double times[SLICE_TIMES]; /* nanoseconds, by enum slice_time */
	double polls;
	uint64_t long_polls, worst_poll_ns; /* that ended in it */
	uint64_t worst_wait_ns;		    /* seen in it, of a ready task */
	int64_t queued, alive;		    /* most of one runtime; -1: not known */
	uint64_t lost;
};

struct history_lane {
	uint32_t target, tid;
	double times[HISTORY_SLICES][SLICE_UNKNOWN + 1];
};

struct history_poll {
	uint32_t target;
	struct ev_poll poll;
};

/* Seen from outside: it began at begin_ns at the latest, and lasted to end_ns at least. */
struct history_wait {
	uint32_t target;
	uint64_t begin_ns, end_ns;
	struct ev_ready ready;
};

struct history_loss {
	uint64_t begin_ns, end_ns, count;
};

struct history_note {
	uint64_t time_ns;
	enum note_severity severity;
	char *text;
};

struct history {
	struct sink sink; /* to be added to a pipeline; its close() frees all of it */
	const struct model *model;
	uint64_t begin_ns, slice_ns;
	uint32_t slices;
	uint64_t events;
	uint64_t unreadable; /* of the losses: events of the trace itself, at least */
	struct history_slice slice[HISTORY_SLICES];
	struct history_lane *lanes;
	size_t lanes_count, lanes_cap;
	uint64_t lanes_dropped;			  /* workers beyond HISTORY_LANES */
	struct history_poll polls[HISTORY_POLLS]; /* the longest, in no order */
	uint32_t polls_count;
	uint64_t polls_all;			  /* long polls of tasks that ended */
	struct history_wait waits[HISTORY_WAITS]; /* the longest, in no order */
	uint32_t waits_count;
	struct history_loss
		losses[HISTORY_LOSSES]; /* neighbours are one; the last takes the rest */
	uint32_t losses_count;
	struct history_note notes[HISTORY_NOTES];
	uint32_t notes_count;
	uint64_t notes_dropped;
	struct stack_tree stacks;

	/* Private to history.c. */
	struct map threads; /* (target, thread) -> index of `seen` */
	struct history_thread *seen;
	size_t seen_count, seen_cap;
};

/* Of what happens from begin_ns to end_ns; the model, borrowed, is the pipeline's. */
struct history *history_new(const struct model *model, uint64_t begin_ns, uint64_t end_ns);

#endif
