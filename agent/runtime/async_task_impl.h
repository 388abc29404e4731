/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the back end for async-task: the pool of the crate `blocking`, which the queues of an
 * executor are told with. One serves the whole process. Owns nothing; the memory must outlive it.
 */
#ifndef RUNTIME_ASYNC_TASK_IMPL_H
#define RUNTIME_ASYNC_TASK_IMPL_H

#include "runtime/runtime.h"

#define ASYNC_TASK_POOL_TYPES 64

struct async_task_pool {
	const struct memory *memory;
	uint64_t places[RUNTIME_POOLS];	       /* run-time addresses; 0 ends the list */
	uint64_t at;			       /* of its Mutex; 0: not found so far */
	uint64_t types[ASYNC_TASK_POOL_TYPES]; /* vtables of its work */
	size_t types_count;
	bool more_types; /* than fit */
	uint8_t vtable_word;
	uint32_t process_threads; /* when it was opened; 0 not known */
};

void async_task_pool_open(struct async_task_pool *pool, const struct runtime_query *query);
/* Fills in threads, idle threads and what waits for one, or why they are not known. */
void async_task_pool_sample(struct async_task_pool *pool, struct runtime_depths *depths);

static inline bool async_task_pointer(uint64_t p)
{
	return p >= 0x1000 && !(p >> 47) && p % 8 == 0;
}

#endif
