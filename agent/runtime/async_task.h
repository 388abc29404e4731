/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crate async-task 4, which smol, async-std and everything else on async-executor run their
 * tasks on. What a version keeps where is in docs/runtimes.md.
 */
#ifndef RUNTIME_ASYNC_TASK_H
#define RUNTIME_ASYNC_TASK_H

#include "runtime/runtime.h"

extern const struct runtime_ops async_task_runtime;

/* async_task_queue.c */
extern const struct runtime_queue_ops async_task_queues;

/*
 * Whether an unbounded concurrent_queue lies behind an Arc, of which the first ASYNC_QUEUE_WORDS
 * words are here; and how many messages it was given and has given back.
 */
#define ASYNC_QUEUE_WORDS 80
bool async_queue_unbounded(const uint64_t *words, uint64_t *received, uint64_t *sent);

/* async_task_spawn.c */

/* Fills the spawns of `found`. The symbols of object->elf must be loaded, if it has any. */
void async_task_spawn_find(struct object *object, struct runtime_found *found);

/* async_task_pool.c */

/*
 * Whether this schedule function hands its tasks to the thread pool of the crate `blocking`: there
 * is code near that names those threads. For programs whose symbols do not tell.
 */
bool async_task_is_pool(struct object *object, uint64_t schedule);
/*
 * Where that pool may be: RUNTIME_POOLS link-time addresses of data that the code on the way there
 * speaks of; 0 ends them.
 */
void async_task_pool_places(struct object *object, uint64_t schedule, uint64_t *out);

#endif
