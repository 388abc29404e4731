/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the live source: threads that no probe was hit on, see live_census.c. live_census.c learns
 * what they do, live_census_tick.c tells it. Rows are the census's; they stay where they are until
 * live_census_free(). Times are CLOCK_MONOTONIC nanoseconds.
 */
#ifndef ATTACH_LIVE_CENSUS_H
#define ATTACH_LIVE_CENSUS_H

#include "attach/live_locks.h"
#include "target/syscall_detail.h"

#define CENSUS_MAX 1024
#define USER_END (1ULL << 47)

enum census_kind {
	CENSUS_UNKNOWN,	  /* its stack is not known yet */
	CENSUS_POLL,	  /* in a poll that began before the watch */
	CENSUS_WORKER,	  /* a worker thread between two polls */
	CENSUS_ROOT,	  /* in block_on, outside the root future */
	CENSUS_ROOT_HELD, /* in the root future */
	CENSUS_OTHER,	  /* works for no runtime, as far as its stack tells */
};

struct census_thread {
	bool used, asked, pending, wanted;
	uint32_t target;
	enum census_kind kind;
	struct wire_look first, look; /* the first look, the latest */
	uint64_t looked_ns;	      /* when it was looked at last */
	uint64_t slot_poll_ns;	      /* dump: start of the poll that it was in */
	uint64_t slot_ns;	      /* when it began a poll of its own; 0: not yet */
	struct wire_stack *copy;      /* NULL: none, or answered */

	/* Its poll. */
	uint32_t site, header_site;
	uint64_t header, task_id, sched; /* 0: not known */
	uint64_t frame_at,
		frame_is;  /* where the poll function's return address lies, and what it is */
	uint64_t start_ns; /* at the latest */
	uint64_t seen_ns;  /* it was still open then */
	uint64_t blocked_ns, worst_ns, preempted_ns, unseen_ns;
	uint64_t held_ns, measured_ns; /* stopped for so long; when that was last asked */
	uint64_t runs, runs_ns;	       /* got a CPU so often, when that was last seen to change */
	uint64_t cpu_ns;
	bool asleep, held, told;
	int32_t syscall;

	/* The last stack that was understood. */
	struct frame *frames;
	uint32_t frames_count;
	enum stack_end end;
	enum stack_kind stack_kind;
	uint64_t stack_ns;   /* when it was taken, */
	uint64_t stack_runs; /* and how often the thread had got a CPU then */
	uint64_t sent_ns;    /* when it was last told */
	struct lock_wait lock;
	bool stack_new;
	char detail[SYSCALL_DETAIL];
	char *kernel; /* the kernel functions below it, as in an event; NULL: not known */
};

struct census {
	uint32_t count;	  /* rows ever used */
	uint32_t asking;  /* stacks with the unwinder */
	uint64_t look_ns; /* dump: of its look */
	bool slotted;	  /* threads that have a slot are asked about, too */
	struct census_thread threads[CENSUS_MAX];
};

/* Looks at all threads of a target that have no slot, or at one of them (tid not 0). */
int census_look(struct live *live, uint32_t target, uint32_t tid, bool slotted, uint32_t *missed);
/* Whether these words of memory at `header` are those of a task of the site that is polled now. */
bool live_task_polled(const struct live *live, uint32_t site, const uint64_t words[8],
		      uint64_t header);
/* A word of a stack; false: it was not copied. */
bool live_word_at(const struct wire_stack *copy, uint64_t addr, uint64_t *out);
/* The sites whose poll function this frame is of: the first of them, or ID_NONE. */
uint32_t live_site_of_frame(const struct live *live, uint32_t target, const struct frame *f);
/* Another type may have the same poll function: then only a header tells which it is. */
bool live_site_is_sure(const struct live *live, uint32_t site);
/* Sends stacks to the unwinder, as far as there is room. */
void census_ask(struct live *live);
void census_clear(struct live *live, struct census_thread *t);
struct census_thread *census_find(struct live *live, uint32_t target, uint32_t tid);

#endif
