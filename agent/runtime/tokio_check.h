/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a layout fits the structures of a live Tokio scheduler: the part of tokio_queue that
 * decides what may be believed. Works on a copy of the handle (struct block) and reads what its
 * pointers lead to; every length met is bounded. Nothing here allocates.
 */
#ifndef RUNTIME_TOKIO_CHECK_H
#define RUNTIME_TOKIO_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/tokio_layout.h"
#include "runtime/tokio_queue.h"
#include "target/memory.h"

#define TOKIO_LISTS_MAX 65536ull /* MAX_SHARED_LIST_SIZE */
#define TOKIO_BLOCK_MAX 4096
#define TOKIO_QUEUE_CAPACITY 256 /* tasks in a worker's run queue, all versions */
#define TOKIO_POOLS 4
#define TOKIO_COUNT_MAX (1ull << 40)

/* A copy of len bytes of the target that start at addr. */
struct block {
	uint64_t addr;
	size_t len;
	uint8_t bytes[TOKIO_BLOCK_MAX];
};

/* A layout laid over a handle. */
struct fit {
	const struct tokio_layout *layout;
	enum tokio_root root;
	int shift; /* of the scheduler's part, when crate features moved it */
	int pool;  /* where the pointer to the blocking pool is; -1: not found */
	uint32_t workers;
	bool proven; /* a task of this runtime carries the owner id read here */
};

/* 0 and the value, or -EINVAL outside the block or for a field that this build has not. */
int block_u64(const struct block *b, int off, uint64_t *out);
int block_u32(const struct block *b, int off, uint32_t *out);
int block_u8(const struct block *b, int off, uint8_t *out);
int block_read(const struct memory *m, struct block *b, uint64_t addr, size_t len);

/* The place of a field in the handle's block under this fit, -1 when there is none. */
int fit_off(const struct fit *fit, enum tokio_field field);

/* Length of a run queue from its copied ArcInner; false when head and tail cannot be. */
bool tokio_run_queue_len(const struct tokio_layout *l, const struct block *queue, uint64_t *len);
/* How many tasks have left such a queue, modulo 2^32: to be polled, stolen, or moved elsewhere. */
uint32_t tokio_run_queue_taken(const struct tokio_layout *l, const struct block *queue);

/* Length of a VecDeque at fields len, head, tail, cap, ptr (in this order from `first`). */
bool tokio_deque_len(const struct fit *fit, const struct block *b, enum tokio_field first,
		     uint64_t *len);

struct tokio_pool_counts {
	uint64_t threads, idle, queue;
};

bool tokio_pool_counts(const struct fit *fit, const struct block *pool, uint32_t process_threads,
		       struct tokio_pool_counts *out);

/* Whether the inject queue's length agrees with its list; then *len is it. */
bool tokio_inject_len(const struct fit *fit, const struct block *b, uint64_t *len);

/* All invariants of the fit's root with shift and pool as given; fills workers and proven. */
bool tokio_fit_scheduler(const struct memory *m, const struct tokio_query *query,
			 const struct block *b, struct fit *fit);

/* Finds the pool's pointer: at the place of the layout, else the only place that can be it. */
bool tokio_fit_pool(const struct memory *m, const struct tokio_query *query, const struct block *b,
		    struct fit *fit);

/* What the candidates that fit have in common. */
struct fit_choice {
	struct tokio_layout layout; /* fit.layout points here: do not move or copy */
	struct fit fit;
	bool inject_ambiguous, tasks_ambiguous, local_ambiguous;
	/* Layouts of the pool that fitted and differ; what they disagree on is not known. */
	struct tokio_layout pools[TOKIO_POOLS];
	size_t pool_count;
};

/* -ENOENT when no candidate fits, or candidates of two flavours do. */
int tokio_fit_choose(const struct memory *m, const struct tokio_query *query,
		     struct fit_choice *choice, struct block *scratch, struct err *err);

/* Where the structure starts behind the Arc's counters; which field is its size. */
uint64_t fit_data(uint64_t handle, const struct fit *fit);
extern const enum tokio_field fit_size_field[TOKIO_ROOTS];

#endif
