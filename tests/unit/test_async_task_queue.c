// SPDX-License-Identifier: LGPL-2.1-or-later
/* Queues of an async-executor in memory: our own, laid out like one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/async_task.h"
#include "runtime/async_task_impl.h"

#define LINE_WORDS 16 /* 128 bytes */

struct local {
	uint64_t w[5 * LINE_WORDS];
};

struct world {
	uint64_t state[8 * LINE_WORDS];
	struct local locals[2];
	uint64_t arcs[2];
	struct memory memory;
};

static uint64_t addr_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void local_fill(struct local *local, uint64_t head, uint64_t tail)
{
	uint64_t *w = local->w;

	w[0] = w[1] = 1;
	w[LINE_WORDS] = 1; /* bounded */
	w[2 * LINE_WORDS] = head;
	w[3 * LINE_WORDS] = tail;
	w[4 * LINE_WORDS] = addr_of(local);
	w[4 * LINE_WORDS + 1] = 512;
	w[4 * LINE_WORDS + 2] = 2048;
	w[4 * LINE_WORDS + 3] = 1024;
}

static void world_fill(struct world *w)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(memory_open(&w->memory, getpid(), NULL), 0);
	w->state[0] = 3;
	w->state[1] = 1;
	w->state[LINE_WORDS] = 2; /* unbounded */
	w->state[2 * LINE_WORDS + 1] = w->state[3 * LINE_WORDS + 1] = addr_of(w);
	local_fill(&w->locals[0], 0, 0);
	local_fill(&w->locals[1], 0, 0);
	for (int i = 0; i < 2; i++)
		w->arcs[i] = addr_of(&w->locals[i]);
	/* cap, pointer, length */
	w->state[5 * LINE_WORDS + 2] = 4;
	w->state[5 * LINE_WORDS + 3] = addr_of(w->arcs);
	w->state[5 * LINE_WORDS + 4] = 2;
}

static int open_queues(struct world *w, void **queues)
{
	struct err err = {0};

	return async_task_queues.open(
		&(struct runtime_query){.memory = &w->memory, .handle = addr_of(w->state)}, queues,
		&err);
}

/* The shared queue's depth for these two indices, -1 when it is not known. */
static int64_t shared_depth(uint64_t head, uint64_t tail)
{
	const struct runtime_depths *depths;
	struct err err = {0};
	struct world w;
	void *queues = NULL;
	int64_t depth = -1;

	world_fill(&w);
	assert_int_equal(open_queues(&w, &queues), 0);
	w.state[2 * LINE_WORDS] = head;
	w.state[3 * LINE_WORDS] = tail;
	if (!async_task_queues.sample(queues, &depths, &err)) {
		assert_true(depths->inject.known);
		depth = depths->inject.value;
	}
	async_task_queues.close(queues);
	memory_close(&w.memory);
	return depth;
}

/* A block has 31 tasks and 32 indices, and an index counts by two. */
static void counts_the_shared_queue(void **state)
{
	(void)state;
	assert_int_equal(shared_depth(0, 0), 0);
	assert_int_equal(shared_depth(0, 2), 1);
	assert_int_equal(shared_depth(1, 2), 1); /* the flag of the head */
	assert_int_equal(shared_depth(0, 60), 30);
	assert_int_equal(shared_depth(0, 62), 31); /* at the end of a block, */
	assert_int_equal(shared_depth(0, 64), 31); /* and in the next one */
	assert_int_equal(shared_depth(0, 66), 32);
	assert_int_equal(shared_depth(62, 66), 1);
	assert_int_equal(shared_depth(64, 66), 1);
	assert_int_equal(shared_depth(6400, 6400 + 2 * 320), 310);
	/* The tail is never before the head: somebody wrote meanwhile. */
	assert_int_equal(shared_depth(66, 2), -1);
	assert_int_equal(shared_depth(0, UINT64_MAX), -1);
}

static void counts_the_threads_own(void **state)
{
	const struct runtime_depths *depths;
	struct err err = {0};
	struct world w;
	void *queues = NULL;

	(void)state;
	world_fill(&w);
	assert_int_equal(open_queues(&w, &queues), 0);
	local_fill(&w.locals[0], 10, 110);
	local_fill(&w.locals[1], 500, 2048 + 20); /* around the end of the buffer */
	assert_int_equal(async_task_queues.sample(queues, &depths, &err), 0);
	assert_int_equal(depths->workers, 2);
	assert_int_equal(depths->local[0].value, 100);
	assert_int_equal(depths->local[1].value, 32);
	/* Full and empty have equal places; a lap tells. */
	local_fill(&w.locals[0], 7, 7);
	local_fill(&w.locals[1], 7, 2048 + 7);
	assert_int_equal(async_task_queues.sample(queues, &depths, &err), 0);
	assert_int_equal(depths->local[0].value, 0);
	assert_int_equal(depths->local[1].value, 512);
	w.state[5 * LINE_WORDS + 4] = 0; /* all threads went away */
	assert_int_equal(async_task_queues.sample(queues, &depths, &err), 0);
	assert_int_equal(depths->workers, 0);
	async_task_queues.close(queues);
	memory_close(&w.memory);
}

/* One word is not what it must be: not known, and no crash. */
static void believes_nothing_else(void **state)
{
	static const struct {
		size_t word;
		uint64_t value;
	} cases[] = {
		{0, 0},			     /* no reference */
		{0, UINT64_MAX},	     /* no counter */
		{LINE_WORDS, 0},	     /* another kind of queue */
		{2 * LINE_WORDS + 1, 3},     /* no pointer */
		{3 * LINE_WORDS + 1, ~7ULL}, /* none of user space */
		{5 * LINE_WORDS + 2, 1},     /* longer than its capacity */
		{5 * LINE_WORDS + 3, 64},    /* points nowhere */
		{5 * LINE_WORDS + 4, 1 << 20},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *queues = NULL;
		struct world w;

		world_fill(&w);
		w.state[cases[i].word] = cases[i].value;
		assert_int_equal(open_queues(&w, &queues), -ENOENT);
		memory_close(&w.memory);
	}
	for (size_t i = 0; i < 4; i++) {
		void *queues = NULL;
		struct world w;

		/* Of a bounded queue: pointer, capacity, lap and mark hang together. */
		world_fill(&w);
		w.locals[1].w[4 * LINE_WORDS + i] = 4000;
		assert_int_equal(open_queues(&w, &queues), -ENOENT);
		memory_close(&w.memory);
	}
}

static void says_when_there_is_no_handle(void **state)
{
	struct err err = {0};
	void *queues = NULL;

	(void)state;
	assert_int_equal(
		async_task_queues.open(&(struct runtime_query){.handle = WIRE_SCHED_UNKNOWN},
				       &queues, &err),
		-ENOENT);
	assert_non_null(strstr(err.msg, "do not say"));
}

/* --- the pool of the crate blocking ------------------------------------------------------------ */

enum { LOCK, CAPACITY, BUFFER, HEAD, LENGTH, IDLE, THREADS, LIMIT };

struct pool_world {
	struct memory memory;
	uint64_t words[16]; /* the place that is told, and what follows */
	uint64_t jobs[4], job[2];
	struct object object;
	struct runtime_site site;
	struct runtime_found found;
	struct async_task_pool pool;
	struct runtime_depths depths;
};

/* Two wait, around the end of the buffer; `behind` the place that is told. */
static void pool_fill(struct pool_world *w, size_t behind)
{
	static const uint64_t used[] = {
		[CAPACITY] = 4, [HEAD] = 3, [LENGTH] = 2, [IDLE] = 1, [THREADS] = 5, [LIMIT] = 500};

	memset(w, 0, sizeof(*w));
	assert_int_equal(memory_open(&w->memory, getpid(), NULL), 0);
	memcpy(&w->words[behind], used, sizeof(used));
	w->words[behind] = 2 | 0x7f00000000000000; /* contended; what lies beside is padding */
	w->words[behind + BUFFER] = addr_of(w->jobs);
	w->jobs[3] = w->jobs[0] = addr_of(w->job);
	w->job[0] = 0x1234;
	w->site = (struct runtime_site){.vtable = 0x1234, .kind = SITE_BLOCKING};
	w->found = (struct runtime_found){.sites = &w->site, .sites_count = 1};
	w->found.pools[0] = addr_of(w->words);
}

static const struct runtime_depths *pool_read(struct pool_world *w)
{
	async_task_pool_open(&w->pool, &(struct runtime_query){.memory = &w->memory,
							       .object = &w->object,
							       .found = &w->found,
							       .process_threads = 9});
	memset(&w->depths, 0, sizeof(w->depths));
	async_task_pool_sample(&w->pool, &w->depths);
	memory_close(&w->memory);
	return &w->depths;
}

static void reads_the_pool(void **state)
{
	const struct runtime_depths *depths;
	struct pool_world w;

	(void)state;
	/* blocking 1.4 and newer; 1.3 has it in a cell. */
	for (size_t behind = 0; behind <= 3; behind += 3) {
		pool_fill(&w, behind);
		depths = pool_read(&w);
		assert_true(depths->pool_of_process);
		assert_true(depths->blocking.known && depths->threads.known);
		assert_int_equal(depths->blocking.value, 2);
		assert_int_equal(depths->threads.value, 5);
		assert_int_equal(depths->idle_threads.value, 1);
	}
	/* As the compiler made it. */
	pool_fill(&w, 0);
	memset(w.words, 0, sizeof(w.words));
	w.words[BUFFER] = 8;
	depths = pool_read(&w);
	assert_true(depths->threads.known && depths->blocking.known && depths->idle_threads.known);
	assert_int_equal(depths->threads.value, 0);
	pool_fill(&w, 0);
	w.found.pools[0] = 0;
	depths = pool_read(&w);
	assert_false(depths->threads.known);
	assert_non_null(strstr(depths->threads.why, "nothing here uses"));
}

static void believes_no_other_pool(void **state)
{
	static const struct {
		size_t word;
		uint64_t value;
	} cases[] = {
		{LOCK, 3},     {LOCK, 2ULL << 32}, {CAPACITY, 0},  {CAPACITY, 5},
		{BUFFER, 64},  {HEAD, 4},	   {LENGTH, 5},	   {IDLE, 6},
		{THREADS, 10}, {LIMIT, 0},	   {LIMIT, 10001}, {HEAD, 1}, /* there is no job */
	};
	struct pool_world w;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pool_fill(&w, 0);
		w.words[cases[i].word] = cases[i].value;
		assert_false(pool_read(&w)->threads.known);
		assert_non_null(w.depths.blocking.why);
	}
	/* What is queued is a task of another kind. */
	pool_fill(&w, 0);
	w.job[0] = 0x5678;
	assert_false(pool_read(&w)->threads.known);
	/* Two places that could be it. */
	pool_fill(&w, 0);
	memcpy(&w.words[LIMIT + 1], w.words, (LIMIT + 1) * sizeof(w.words[0]));
	w.found.pools[1] = addr_of(&w.words[LIMIT + 1]);
	assert_false(pool_read(&w)->threads.known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_the_shared_queue),
		cmocka_unit_test(counts_the_threads_own),
		cmocka_unit_test(believes_nothing_else),
		cmocka_unit_test(says_when_there_is_no_handle),
		cmocka_unit_test(reads_the_pool),
		cmocka_unit_test(believes_no_other_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
