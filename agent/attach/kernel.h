/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our programs and maps in the kernel: loaded, mapped into the agent, attached to the scheduler's
 * tracepoints and to the sampling clock. Probes of targets are link.h's. Everything is owned by
 * descriptors; kernel_close(), or our death, removes it.
 *
 * The mapped arrays are written by BPF at any time: read them through slot_read() and volatile
 * loads.
 */
#ifndef ATTACH_KERNEL_H
#define ATTACH_KERNEL_H

#include "bpf/wire.h"
#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stalltop_bpf;

struct kernel {
	struct stalltop_bpf *skel;
	unsigned int level;
	bool stacks, polls, spawns, probes, sentinel, exact;
	uint32_t cpus, max_sites, ring_bytes;
	struct wire_site *sites;	  /* max_sites */
	struct wire_site_stats *stats;	  /* cpus * max_sites */
	const struct wire_delays *delays; /* cpus * max_sites; NULL below level 3 */
	const struct wire_slot *slots;	  /* WIRE_MAX_SLOTS */
	struct wire_wakes *wakes;	  /* WIRE_MAX_TASKS; NULL below level 3 */
	const struct wire_task *tasks;	  /* WIRE_MAX_TASKS; NULL below level 2 */
	const uint64_t *task_flags;	  /* WIRE_MAX_TASKS; NULL below level 2 */
	struct wire_object *objects;	  /* WIRE_MAX_OBJECTS */
	struct wire_type *types;	  /* WIRE_MAX_OBJECTS * WIRE_TYPES */
	struct wire_depth *told;	  /* WIRE_MAX_OBJECTS * WIRE_DEPTHS */
	uint64_t *roots; /* WIRE_MAX_SLOTS: generation of a thread that may run a root future */
	uint64_t *parks; /* likewise: where such a thread parks (WIRE_PARK) */
	struct wire_place *places;	 /* WIRE_MAX_TARGETS * WIRE_PLACES */
	const struct wire_span *spans;	 /* WIRE_MAX_SLOTS */
	uint64_t *idles;		 /* WIRE_MAX_SLOTS: id of the job that a thread does */
	struct wire_moment_ask *moments; /* WIRE_STACK_SLOTS */
	int *sample_fds;		 /* a CPU each; -1 where it could not be opened */
	uint32_t sampling;		 /* how many could */
	struct ring_buffer *ring;
	int on_poll_fd, on_dealloc_fd, on_schedule_fd, on_spawn_fd,
		on_panic_fd; /* -1: not in this level */
	int on_return_fd;    /* -1: not asked for */
	int vtables_fd, targets_fd, ring_fd;
	int on_probe_begin_fd, on_probe_end_fd, on_probe_other_fd, probe_args_fd, types_fd;
	/* Private to kernel_look.c. */
	int on_look_fd, wanted_fd;
	uint32_t *give_tid, *give_target;
	bool *wanted_on;
};

typedef int (*kernel_record_fn)(void *ctx, void *data, size_t size);

struct kernel_opts {
	unsigned int level;
	bool sample; /* the CPUs: 99 times a second, or 397 while polls without a probe are looked for */
	bool stacks;   /* copies of user stacks come as records, too */
	bool spawns;   /* and of threads that make tasks */
	bool probes;   /* probe points of <stalltop/sdt.h> may be met */
	bool exact;    /* the return of a poll is probed, too */
	bool sentinel; /* polls are known by the task's id that a thread keeps, see live_sentinel.c */
	uint32_t max_sites;
	uint32_t ring_bytes; /* a power of two; 0: the default */
	kernel_record_fn fn; /* gets the records during kernel_drain() */
	kernel_record_fn
		brief_fn; /* gets every poll, struct wire_brief_poll; NULL: they are not sent */
	void *ctx;
};

/* -EPERM names the missing capability, -ENOENT the missing BTF. */
int kernel_open(const struct kernel_opts *opts, struct kernel **out, struct err *err);
void kernel_close(struct kernel *k);

/* Passes on what is in the ring; 0 or -errno from fn. */
int kernel_drain(struct kernel *k);

void kernel_set_threshold(struct kernel *k, uint64_t ns);
/*
 * How many hits the window of a target's spawn probes still takes; below 1: it is over, which was
 * told by a WIRE_SPAWN_FULL.
 */
int64_t kernel_spawn_left(const struct kernel *k, uint32_t target);
void kernel_set_spawn_left(struct kernel *k, uint32_t target, int64_t hits);
/* Written by the overhead budget; see bpf/maps.bpf.h. */
void kernel_set_epoch(struct kernel *k, uint32_t target, uint32_t epoch);
uint32_t kernel_epoch(const struct kernel *k, uint32_t target);
/* Wakes before that time may have been followed by others unseen. */
void kernel_set_since(struct kernel *k, uint32_t target, uint64_t ns);
void kernel_set_sentinel(struct kernel *k, uint32_t target, bool asks);
/*
 * Asks for so many moments (struct wire_moment) of a thread that has that slot, which is one below
 * WIRE_STACK_SLOTS; with these pages of its memory, in the order of `page`, 0: none.
 */
void kernel_ask_moments(struct kernel *k, uint32_t slot, uint32_t tid, uint32_t count,
			const uint64_t page[WIRE_MOMENT_PAGES]);
/* The wakes of tasks that have a row were not seen until now: the next poll of each tells nothing. */
void kernel_wakes_begin(struct kernel *k);
/* The level is that, not what was loaded. */
void kernel_set_lowered(struct kernel *k, unsigned int level);
/* Polls that end from now on are in no statistics and no record. */
void kernel_watch_over(struct kernel *k);
/* Totals that belong to no slot, read at one time each. */
void kernel_totals(const struct kernel *k, struct wire_totals *out);
/* How many slots were ever given: the ones to look at. */
uint32_t kernel_slots(const struct kernel *k);
/* How many rows of the task table were ever used: the ones to look at. */
uint32_t kernel_task_rows(const struct kernel *k);
/* A copy of a row; false when it is free. */
bool kernel_task(const struct kernel *k, uint32_t row, struct wire_task *out);
/* Wakes of the task of a row; 0 below level 3. */
uint64_t kernel_task_wakes(const struct kernel *k, uint32_t row);
/* A consistent copy of a slot; false when it is free or kept changing. */
bool kernel_slot(const struct kernel *k, uint32_t index, struct wire_slot *out);
/*
 * The block that the thread of a slot is in or was in last, and what of its stack was copied; false
 * when there is none, or its row is not kept.
 */
bool kernel_block(const struct kernel *k, uint32_t slot, struct wire_stack *out);
typedef void (*kernel_look_fn)(void *ctx, const struct wire_look *look);

/*
 * A look at the threads of a process, or (tid not 0) at that one alone; none is stopped. Two looks
 * with the same `runs` of a thread mean that it did not run in between. 0 or -errno.
 */
int kernel_look(const struct kernel *k, uint32_t pid, uint32_t tid, kernel_look_fn fn, void *ctx);
/* Gives a thread a slot that has polled nothing, so that its blocks are seen; false: it runs now. */
bool kernel_give_slot(const struct kernel *k, uint32_t tid, uint32_t target);
/* From now on stacks of that thread come whenever it is sampled on a CPU; false: no room. */
bool kernel_want(const struct kernel *k, uint32_t tid, uint32_t target);
void kernel_unwant(const struct kernel *k, uint32_t tid);
/* Hits that the kernel dropped because a program was running already. */
uint64_t kernel_missed(const struct kernel *k);

#endif
