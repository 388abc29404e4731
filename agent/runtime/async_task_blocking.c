// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The thread pool of the crate `blocking`, from outside: one static for the whole process, a Mutex of
 * a queue and two counts. Where it may be, the code that hands it tasks tells (async_task_pool.c);
 * which of these places it is, and whether it is laid out as we know it, it has to prove itself:
 * counts, capacity and indices have to fit each other, and what is queued has to be tasks of the
 * pool. Rust promises no layout.
 */
#include "runtime/async_task_impl.h"

#include <string.h>

/* Of the Mutex, as rustc 1.95 lays it out (blocking 1.3 to 1.7). */
enum word {
	W_LOCK, /* futex in the low half, then the flag of poisoning */
	W_CAPACITY,
	W_BUFFER,
	W_HEAD,
	W_LENGTH,
	W_IDLE,
	W_THREADS,
	W_LIMIT,
	W_COUNT
};

/* blocking before 1.4 keeps it in a OnceCell: behind two words of its own and a state. */
#define BEHIND_MAX 6
#define LOCK_STATES 2
#define THREADS_MAX 10000 /* the most that the crate lets anybody ask for */
#define CAPACITY_MIN 4
#define CAPACITY_MAX (1ULL << 32)
#define EMPTY_BUFFER 8 /* what a Vec of pointers that never had memory points to */
#define LOOK_AT 32     /* queued tasks */

static bool is_lock(uint64_t word)
{
	return (uint32_t)word <= LOCK_STATES && (uint8_t)(word >> 32) <= 1;
}

/* Made by the compiler, and not touched since. */
static bool is_unused(const struct async_task_pool *pool, const uint64_t *w)
{
	(void)pool;
	return is_lock(w[W_LOCK]) && !w[W_CAPACITY] && w[W_BUFFER] == EMPTY_BUFFER && !w[W_HEAD] &&
	       !w[W_LENGTH] && !w[W_IDLE] && !w[W_THREADS] && w[W_LIMIT] <= THREADS_MAX;
}

static bool is_used(const uint64_t *w)
{
	uint64_t capacity = w[W_CAPACITY];

	return is_lock(w[W_LOCK]) && capacity >= CAPACITY_MIN && capacity <= CAPACITY_MAX &&
	       !(capacity & (capacity - 1)) && async_task_pointer(w[W_BUFFER]) &&
	       w[W_HEAD] < capacity && w[W_LENGTH] <= capacity && w[W_IDLE] <= w[W_THREADS] &&
	       w[W_THREADS] <= THREADS_MAX && w[W_LIMIT] >= 1 && w[W_LIMIT] <= THREADS_MAX;
}

static bool is_job(const struct async_task_pool *pool, uint64_t task)
{
	uint64_t vtable;

	if (!async_task_pointer(task) ||
	    memory_read(pool->memory, task + sizeof(uint64_t) * pool->vtable_word, &vtable,
			sizeof(vtable)))
		return false;
	for (size_t i = 0; i < pool->types_count; i++)
		if (pool->types[i] == vtable)
			return true;
	return false;
}

/* What waits is work of the pool. Of more types than we keep, it may be of one of the others. */
static bool holds_jobs(const struct async_task_pool *pool, const uint64_t *w)
{
	uint64_t task;

	for (uint64_t i = 0; i < w[W_LENGTH] && i < LOOK_AT; i++) {
		uint64_t at = w[W_BUFFER] + sizeof(task) * ((w[W_HEAD] + i) % w[W_CAPACITY]);

		if (memory_read(pool->memory, at, &task, sizeof(task)) ||
		    (!pool->more_types && !is_job(pool, task)))
			return false;
	}
	return true;
}

static bool proves_used(const struct async_task_pool *pool, const uint64_t *w)
{
	return is_used(w) && holds_jobs(pool, w) &&
	       (!pool->process_threads || w[W_THREADS] <= pool->process_threads);
}

/* The one place that proves itself; 0: there is none, or there are two. */
static uint64_t find(const struct async_task_pool *pool,
		     bool (*proves)(const struct async_task_pool *pool, const uint64_t *w))
{
	uint64_t w[BEHIND_MAX + W_COUNT], at = 0;

	for (size_t i = 0; i < RUNTIME_POOLS && pool->places[i]; i++) {
		if (memory_read(pool->memory, pool->places[i], w, sizeof(w)))
			continue;
		for (uint64_t behind = 0; behind <= BEHIND_MAX; behind++) {
			uint64_t place = pool->places[i] + behind * sizeof(w[0]);

			if (!proves(pool, &w[behind]) || place == at)
				continue;
			if (at)
				return 0;
			at = place;
		}
	}
	return at;
}

void async_task_pool_open(struct async_task_pool *pool, const struct runtime_query *query)
{
	const struct runtime_found *found = query->found;

	*pool = (struct async_task_pool){
		.memory = query->memory,
		.process_threads = query->process_threads,
	};
	for (size_t i = 0; found && i < RUNTIME_POOLS && found->pools[i]; i++)
		pool->places[i] = found->pools[i] + query->object->bias;
	for (size_t i = 0; found && i < found->sites_count; i++) {
		if (found->sites[i].kind != SITE_BLOCKING)
			continue;
		pool->vtable_word = found->sites[i].vtable_word & 7;
		if (pool->types_count == ASYNC_TASK_POOL_TYPES)
			pool->more_types = true;
		else
			pool->types[pool->types_count++] = found->sites[i].vtable;
	}
}

static void unknown(struct runtime_depths *depths, const char *why)
{
	depths->threads.why = depths->idle_threads.why = depths->blocking.why = why;
}

/* The process is not stopped: the counts may be of two moments. */
void async_task_pool_sample(struct async_task_pool *pool, struct runtime_depths *depths)
{
	uint64_t w[W_COUNT];

	depths->pool_of_process = true;
	if (!pool->places[0]) {
		unknown(depths, "nothing here uses the crate blocking");
		return;
	}
	/* What looks unused is weak evidence: it is believed for the moment. */
	if (!pool->at)
		pool->at = find(pool, proves_used);
	if (!pool->at && find(pool, is_unused)) {
		depths->threads.known = depths->idle_threads.known = depths->blocking.known = true;
		return;
	}
	if (!pool->at || memory_read(pool->memory, pool->at, w, sizeof(w)) || !is_used(w)) {
		unknown(depths, "the pool of the crate blocking was not used yet, or is not laid "
				"out like that of 1.3 to 1.7");
		return;
	}
	depths->threads = (struct runtime_depth){.value = w[W_THREADS], .known = true};
	depths->idle_threads = (struct runtime_depth){.value = w[W_IDLE], .known = true};
	depths->blocking = (struct runtime_depth){.value = w[W_LENGTH], .known = true};
}
