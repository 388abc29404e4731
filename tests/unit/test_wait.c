// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a task is queued at: semaphores and nodes in our own memory, laid out like Tokio's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/tokio.h"

#define CELL 64 /* words of a task */
#define TASKS 3
#define NODE 5

/* Where a node's parts are. */
struct order {
	int waker, links, lacks;
};

static const struct order newer = {0, 2, 4}, source = {1, 3, 0};

struct world {
	uint64_t cell[TASKS][CELL];
	uint64_t vtable;
	uint64_t semaphore[8];
	struct memory memory;
};

static struct world *world;

static uint64_t addr_of(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static int setup(void **state)
{
	(void)state;
	world = test_calloc(1, sizeof(*world));
	return memory_open(&world->memory, getpid(), NULL);
}

static int teardown(void **state)
{
	(void)state;
	memory_close(&world->memory);
	test_free(world);
	return 0;
}

static uint64_t *node_of(uint32_t task)
{
	return &world->cell[task][20 + task];
}

/* Tasks 0 to count - 1 wait, the last one longest; the pointer to the semaphore is before the node. */
static void queue(uint32_t count, const struct order *o, uint64_t lacks)
{
	uint64_t *s = world->semaphore;

	memset(world->cell, 0, sizeof(world->cell));
	memset(s, 0, sizeof(world->semaphore));
	for (uint32_t i = 0; i < count; i++) {
		uint64_t *n = node_of(i);

		n[-1] = addr_of(s);
		n[o->waker] = addr_of(world->cell[i]);
		n[o->waker + 1] = addr_of(&world->vtable);
		n[o->links] = i ? addr_of(node_of(i - 1)) : 0;
		n[o->links + 1] = i + 1 < count ? addr_of(node_of(i + 1)) : 0;
		n[o->lacks] = lacks;
	}
	s[1] = count ? addr_of(node_of(0)) : 0;
	s[2] = count ? addr_of(node_of(count - 1)) : 0;
	s[3] = 0xabcdef00; /* beside a bool lies anything */
}

static int wait_of(uint32_t task, struct runtime_wait *out)
{
	memset(out, 0, sizeof(*out));
	return tokio_wait(&world->memory, addr_of(world->cell[task]), world->cell[task], CELL, out);
}

static void is_queued(uint32_t task, uint64_t lacks)
{
	struct runtime_wait wait;

	assert_int_equal(wait_of(task, &wait), 0);
	assert_int_equal(wait.semaphore, addr_of(world->semaphore));
	assert_int_equal(wait.permits, lacks);
}

static void is_not(uint32_t task)
{
	struct runtime_wait wait;

	assert_int_equal(wait_of(task, &wait), -ENOENT);
	assert_int_equal(wait.semaphore, 0);
}

static void every_place_in_the_queue(void **state)
{
	const struct order *const orders[] = {&newer, &source};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (uint32_t count = 1; count <= TASKS; count++) {
			queue(count, orders[i], 3);
			for (uint32_t task = 0; task < count; task++)
				is_queued(task, 3);
			for (uint32_t task = count; task < TASKS; task++)
				is_not(task);
		}
	}
}

static void a_waker_turned_round(void **state)
{
	uint64_t *n;

	(void)state;
	queue(1, &newer, 1);
	n = node_of(0);
	n[1] = n[0];
	n[0] = addr_of(&world->vtable);
	is_queued(0, 1);
}

/* What is left of a wait that is over. */
static void left_behind(void **state)
{
	(void)state;
	queue(1, &newer, 1);
	world->semaphore[1] = world->semaphore[2] = 0;
	is_not(0);
	/* Others wait there now. */
	queue(3, &newer, 1);
	world->semaphore[2] = addr_of(node_of(1));
	node_of(1)[newer.links + 1] = 0;
	is_queued(1, 1);
	is_not(2);
	/* It has got what it waited for. */
	queue(1, &newer, 0);
	is_not(0);
}

static void of_another_task(void **state)
{
	(void)state;
	queue(1, &newer, 1);
	node_of(0)[newer.waker] = addr_of(world->cell[1]);
	is_not(0);
}

/* A semaphore with a permit left, or closed, has nobody in its queue. */
static void no_queue(void **state)
{
	(void)state;
	queue(1, &newer, 1);
	world->semaphore[4] = 1 << 1;
	is_not(0);
	queue(1, &newer, 1);
	world->semaphore[3] |= 1;
	is_not(0);
}

/* Notify: its state (1: somebody waits), then the list; its waiters lack no permit. */
static void a_list_of_another_kind(void **state)
{
	uint64_t *s = world->semaphore;

	(void)state;
	queue(1, &newer, 1);
	s[3] = s[2];
	s[2] = s[1];
	s[1] = 0;
	s[0] = 0;
	is_queued(0, 1); /* the permits may come first */
	s[0] = 1;
	is_not(0);
	s[0] = 0;
	node_of(0)[newer.lacks] = 0;
	is_not(0);
}

/* The neighbour waits for another one: who is between others is no proof of any. */
static void neighbours_elsewhere(void **state)
{
	uint64_t other[8] = {0};

	(void)state;
	queue(3, &newer, 1);
	memcpy(other, world->semaphore, sizeof(other));
	node_of(0)[-1] = addr_of(other);
	is_not(1);
	queue(3, &newer, 1);
	node_of(2)[newer.links] = addr_of(node_of(0));
	is_not(1);
	is_queued(0, 1);
}

static void nothing_readable(void **state)
{
	(void)state;
	queue(2, &newer, 1);
	node_of(0)[-1] = 0x10008;
	is_not(0);
	queue(2, &newer, 1);
	node_of(0)[newer.links + 1] = 0x10008;
	is_not(0);
	/* A node at the edge of what was read. */
	queue(1, &newer, 1);
	for (size_t count = 0; count < CELL; count++) {
		struct runtime_wait wait;
		int ret = tokio_wait(&world->memory, addr_of(world->cell[0]), world->cell[0], count,
				     &wait);

		assert_int_equal(ret, count >= 20 + NODE ? 0 : -ENOENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_place_in_the_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_waker_turned_round, setup, teardown),
		cmocka_unit_test_setup_teardown(left_behind, setup, teardown),
		cmocka_unit_test_setup_teardown(of_another_task, setup, teardown),
		cmocka_unit_test_setup_teardown(no_queue, setup, teardown),
		cmocka_unit_test_setup_teardown(a_list_of_another_kind, setup, teardown),
		cmocka_unit_test_setup_teardown(neighbours_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_readable, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
