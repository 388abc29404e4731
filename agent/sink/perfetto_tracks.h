/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which track of the exported file stands for which process, thread, task and queue. A track is
 * described in the output when it is first asked for. Counts are bounded: what has no track of its
 * own any more goes to its process (a thread) or is left out (a task), and is counted.
 */
#ifndef SINK_PERFETTO_TRACKS_H
#define SINK_PERFETTO_TRACKS_H

#include "sink/perfetto_write.h"
#include "util/map.h"

#define PF_THREADS_MAX 65536
#define PF_TASKS_MAX 50000

struct pf_tracks {
	struct bytes *b; /* descriptions go there */
	const struct model *model;
	struct map processes; /* target -> pid that was described */
	struct map threads;   /* (target, tid) -> index in `list` */
	struct pf_thread *list;
	size_t count, cap;
	struct map tasks;	/* (target, task id) -> number */
	struct map names;	/* site -> interned name */
	struct map counters;	/* (runtime, which) -> described */
	uint64_t iids;		/* names interned so far */
	uint64_t tasks_refused; /* polls of tasks without a track */
};

/* A thread, and what is remembered of it between events. */
struct pf_thread {
	uint32_t target, tid;
	uint64_t uuid;
	bool named;
	uint64_t last_start_ns, last_end_ns; /* of the poll that was written last */
	/* A block, until more is known of it or its poll has come. */
	struct pf_open_block {
		bool held;
		struct told_block told;
		uint64_t limit_ns; /* its poll or the next block says that it is over */
		struct bytes args;
		char name[128];
	} block;
};

void pf_tracks_init(struct pf_tracks *t, struct bytes *b, const struct model *model);
void pf_tracks_free(struct pf_tracks *t);

uint64_t pf_process(struct pf_tracks *t, uint32_t target);
/* Valid until the next call. NULL: there are too many. `comm` NULL: not known. */
struct pf_thread *pf_thread(struct pf_tracks *t, uint32_t target, uint32_t tid, const char *comm);
/* 0: there are too many, or the task has no id. */
uint64_t pf_task(struct pf_tracks *t, uint32_t target, uint64_t task_id, uint32_t site);
uint64_t pf_counter(struct pf_tracks *t, uint32_t target, uint32_t runtime, uint32_t which,
		    const char *name);
/* Findings of a process; notes: target ID_NONE. */
uint64_t pf_findings(struct pf_tracks *t, uint32_t target);
uint64_t pf_notes(struct pf_tracks *t);
/* The interned name of the site. */
uint64_t pf_site(struct pf_tracks *t, uint32_t site);
/* It is told again, and may have another name. */
void pf_site_forget(struct pf_tracks *t, uint32_t site);

/* What is told of a poll, and of a stack. */
void pf_poll_args(struct bytes *args, const struct ev_poll *poll);
void pf_stack_args(struct bytes *args, const struct ev_stack *stack);
void pf_block_name(const struct ev_stack *stack, char *out, size_t size);

/* As far as is known it began with its poll. */
bool pf_block_is_all(const struct pf_open_block *block);
/* It is over by then, whatever was told of it; or it is when its poll is the one that began then. */
void pf_block_limit(struct pf_open_block *block, uint64_t end_ns);
void pf_block_limit_in(struct pf_open_block *block, uint64_t poll_start_ns, uint64_t end_ns);

#endif
