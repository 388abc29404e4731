/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Run queues. The local one of a worker is a ring: its owner alone puts in, at the tail; whoever
 * moves the head on gets the task there, the owner like a thief, so tasks run in the order in which
 * they were made ready. The inject queue is a list under a lock: from other threads, and what a full
 * ring leaves over.
 *
 * Positions only grow, so a slot that is read can be trusted when the head has not moved meanwhile:
 * it is not written again before. Both positions are what stalltop reads as the gauge of the queue.
 */
#ifndef CSCHED_QUEUE_H
#define CSCHED_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RING_SIZE 1024

struct cs_task;

struct ring {
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic uint64_t tail;
	_Atomic(struct cs_task *) slots[RING_SIZE];
};

/* False when it is full. By the owner only. */
bool ring_push(struct ring *ring, struct cs_task *task);
/* NULL when it is empty. */
struct cs_task *ring_pop(struct ring *ring);
bool ring_empty(struct ring *ring);
/* Moves half of `from` to the ring of the caller, but gives the first one back. NULL: none. */
struct cs_task *ring_steal(struct ring *from, struct ring *to);

struct inject {
	pthread_mutex_t lock;
	struct cs_task *first, **last;
	_Atomic uint64_t pushed, popped;
};

void inject_init(struct inject *inject);
void inject_push(struct inject *inject, struct cs_task *task);
struct cs_task *inject_pop(struct inject *inject);
bool inject_empty(struct inject *inject);

#endif
