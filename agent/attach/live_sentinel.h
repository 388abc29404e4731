/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the live source: polls that no probe sees (--level 0), known by the id of its task that a
 * thread of the runtime keeps in a thread-local word. live_sentinel_learn.c finds that word from
 * outside, live_sentinel.c turns blocks inside such polls into events.
 */
#ifndef ATTACH_LIVE_SENTINEL_H
#define ATTACH_LIVE_SENTINEL_H

#include "attach/live_census.h"
#include "target/threadlocal.h"

#define SENTINEL_CANDIDATES 256
#define SENTINEL_TASKS 4096
#define SENTINEL_PENDING 256
#define SENTINEL_WORDS 1024 /* of a stack that may be a task's address */
#define SENTINEL_IDS 8

/* A task's header that was found on a stack. */
struct sentinel_task {
	uint64_t id, header, sched;
	uint32_t target, site;
	bool polled; /* by its state */
};

/* A word that may be the one. */
struct sentinel_place {
	struct wire_place place;
	uint32_t right, wrong; /* looks at which it was the id of a task in hand, or of another */
	uint32_t ids;	       /* different ones that it was, */
	uint32_t cleared; /* and how often no longer, when its thread had let go of that task */
	uint32_t last_tid;
	uint64_t seen[SENTINEL_IDS];
};

struct sentinel_beat;

struct sentinel_target {
	struct sentinel_place *candidates; /* SENTINEL_CANDIDATES; NULL: none yet */
	uint32_t count;
	uint32_t looks;		    /* at threads that had a task in hand */
	bool learned;		    /* a place is in use, */
	uint64_t published_ns;	    /* since then */
	bool proven;		    /* and it has told of a poll */
	struct sentinel_beat *beat; /* NULL: nothing learned yet */
	uint32_t beats_refuted;
	bool beat_off; /* too many of them */
	uint64_t next_look, first_look;
	/* When threads are looked at again where there is little to learn, and how long after the last. */
	uint64_t rare_due, rare_ns;
	uint32_t threads;   /* looked at so far: they have their turns */
	uint32_t unwatched; /* threads without a slot, for want of room */
	bool told, told_late, told_none;
	uint32_t turn;	     /* looks at threads that run: other pages each time */
	uint64_t moments_ns; /* what these have cost since the last look */
};

/* A block whose task is not known yet. */
struct sentinel_block {
	struct wire_long_poll rec; /* head.target is ID_NONE: free */
	uint64_t until_ns;
};

struct sentinel {
	struct map vtables; /* (vtable, target) -> site */
	uint32_t sites;	    /* of those, mapped so far */
	uint32_t generation[WIRE_MAX_TARGETS];
	struct map ids; /* (id, target) -> row of tasks */
	struct sentinel_task *tasks;
	uint32_t tasks_next;
	struct sentinel_block pending[SENTINEL_PENDING];
	struct sentinel_target targets[WIRE_MAX_TARGETS];
	uint64_t unknown;	  /* blocks of which nothing told the task */
	struct threadlocal local; /* of the thread that is looked at */
	struct wire_stack copy;	  /* of the thread that is looked at */
	struct memory_piece pieces[SENTINEL_WORDS];
	uint64_t words[SENTINEL_WORDS][8];
};

/* live_sentinel.c */
/*
 * The headers on this stack, of task types that have ids, or of those only that are polled now; how
 * many of max. Memory is read.
 */
uint32_t sentinel_headers(struct live *live, const struct wire_stack *copy, bool polled,
			  struct sentinel_task *out, uint32_t max);

/* live_sentinel_learn.c */
/* Looks at the threads of a target when it is time for that. */
int sentinel_learn(struct live *live, struct emit *emit, uint32_t target);
/* The place as the kernel part shall have it, and nothing in between. */
void sentinel_place_set(struct wire_place *row, const struct wire_place *next);

/* live_sentinel_beat.c */
/* Learns of a thread that sleeps, or was sampled on a CPU, whose stack is in `copy`. */
void sentinel_beat_look(struct live *live, uint32_t target, const struct wire_look *look);
void sentinel_beat_publish(struct live *live, uint32_t target);
/* Has others learned where the kernel part found it wrong, a few times; then computing is not seen. */
int sentinel_beat_check(struct live *live, struct emit *emit);

#endif
