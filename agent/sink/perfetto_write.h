/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets of Perfetto's trace format, by the field numbers of its published schema
 * (protos/perfetto/trace): tracks, slices, instants, counters, flows. Knows nothing of runtimes.
 *
 * All packets are one sequence: names that come often are interned, and times are CLOCK_MONOTONIC.
 * The reader sorts by time; of events with the same time those that are written first come first.
 */
#ifndef SINK_PERFETTO_WRITE_H
#define SINK_PERFETTO_WRITE_H

#include "sink/export.h"

enum pf_type { PF_BEGIN = 1, PF_END = 2, PF_INSTANT = 3, PF_COUNTER = 4 };

/* Interned by pf_start(); the names are in perfetto_write.c. */
enum pf_category {
	PF_POLL = 1, /* a poll, on its thread */
	PF_TASK,     /* the same poll, on its task */
	PF_BLOCK,    /* a block within a poll */
	PF_SAMPLE,   /* a stack of a thread that computes */
	PF_READY,    /* a task was ready and waited */
	PF_FINDING,  /* what the rules say */
	PF_NOTE,     /* losses, damage, what the observation says of itself */
	PF_CATEGORIES,
};

/* A track: a process, a thread of it, a counter, or a line with a name. */
struct pf_track {
	uint64_t uuid, parent; /* parent 0: none */
	const char *name;
	uint32_t pid, tid; /* pid 0: neither process nor thread; tid 0: a process */
	bool counter;
};

struct pf_event {
	enum pf_type type;
	uint64_t track, time_ns;
	enum pf_category category; /* 0: none, as of an end and a counter */
	uint64_t name_iid;	   /* from pf_name(), or */
	const char *name;	   /* NULL: none */
	uint64_t flow, flow_end;   /* a flow that begins, or ends here; 0: none */
	int64_t value;		   /* of a counter */
	const struct bytes *args;  /* from pf_arg_...; NULL: none */
};

void pf_start(struct bytes *b, uint64_t time_ns, uint64_t wall_offset_ns);
void pf_track(struct bytes *b, const struct pf_track *track);
void pf_name(struct bytes *b, uint64_t iid, const char *name);
void pf_event(struct bytes *b, const struct pf_event *event);

/* Arguments of an event, collected in a buffer. */
void pf_arg_uint(struct bytes *args, const char *name, uint64_t value);
void pf_arg_bool(struct bytes *args, const char *name, bool value);
void pf_arg_text(struct bytes *args, const char *name, const char *value);
/* Innermost first, a text each. */
void pf_arg_stack(struct bytes *args, const struct frame *frames, uint32_t count);

#endif
