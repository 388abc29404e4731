// SPDX-License-Identifier: LGPL-2.1-or-later
/* lost-wakeup: tasks that nobody can wake, by Tokio's state word and by the rule. */
#include "rules_world.h"

#include "runtime/tokio.h"

#define REFS(n) ((uint64_t)(n) << TOKIO_STATE_REF_SHIFT)

static enum task_wakers wakers_of(uint64_t word)
{
	struct runtime_state state;

	tokio_state(word, &state);
	return state.wakers;
}

static void test_state_word(void **state)
{
	const uint64_t handle = TOKIO_STATE_JOIN_INTEREST;
	const uint64_t awaited = handle | TOKIO_STATE_JOIN_WAKER;

	(void)state;
	assert_int_equal(wakers_of(REFS(1)), WAKERS_NONE);
	assert_int_equal(wakers_of(REFS(2) | awaited), WAKERS_NONE);
	/* A waker; an abort handle looks alike. */
	assert_int_equal(wakers_of(REFS(2)), WAKERS_SOME);
	assert_int_equal(wakers_of(REFS(3) | awaited), WAKERS_SOME);
	/* Who has the handle and does not await it may abort. */
	assert_int_equal(wakers_of(REFS(2) | handle), WAKERS_SOME);
	/* It does not wait. */
	assert_int_equal(wakers_of(REFS(1) | TOKIO_STATE_RUNNING), WAKERS_SOME);
	assert_int_equal(wakers_of(REFS(1) | TOKIO_STATE_NOTIFIED), WAKERS_SOME);
	assert_int_equal(wakers_of(REFS(1) | TOKIO_STATE_COMPLETE), WAKERS_SOME);
	assert_int_equal(wakers_of(REFS(1) | TOKIO_STATE_CANCELLED), WAKERS_SOME);
}

/* Three tasks, polled last at `last_ns`; of one it is not known. */
static void scan(struct world *w, enum task_wakers wakers, uint64_t last_ns, uint64_t polls,
		 bool handle)
{
	for (uint32_t i = 0; i < 3; i++)
		APPLY(w->m, EV_TASK, w->now, 0,
		      .as_task = {.key = 1 + i,
				  .id = 1 + i,
				  .site = SITE_HANDLER,
				  .first_ns = T0,
				  .last_ns = last_ns,
				  .polls = polls,
				  .state_valid = true,
				  .has_handle = handle,
				  .wakers = i ? wakers : WAKERS_UNKNOWN});
	APPLY(w->m, EV_TASK_SCAN, w->now, 0, .as_task_scan = {.rows = 3});
}

static void run(struct world *w, uint32_t seconds, enum task_wakers wakers, uint64_t last_ns)
{
	for (uint32_t i = 0; i < seconds; i++) {
		scan(w, wakers, last_ns ? last_ns : w->now, 2, false);
		world_tick(w, SEC);
	}
}

static void test_rule(void **state)
{
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	world_stats(&w, (struct ev_site_stats){
				.site = SITE_HANDLER, .polls = 1, .seen = 3, .tasks_valid = true});
	run(&w, 20, WAKERS_SOME, T0);
	assert_null(world_find(&w, "lost-wakeup", ID_NONE));
	run(&w, 20, WAKERS_UNKNOWN, T0);
	assert_null(world_find(&w, "lost-wakeup", ID_NONE));
	/* Polled again and again. */
	run(&w, 20, WAKERS_NONE, 0);
	assert_null(world_find(&w, "lost-wakeup", ID_NONE));
	run(&w, 1, WAKERS_NONE, w.now - 9 * SEC);
	assert_null(world_find(&w, "lost-wakeup", ID_NONE));
	run(&w, 3, WAKERS_NONE, w.now - 9 * SEC);
	found = world_find(&w, "lost-wakeup", SITE_HANDLER);
	assert_non_null(found);
	assert_non_null(strstr(found->message,
			       "2 tasks of shop::handler wait with no waker left anywhere"));
	assert_true(found->open);
	run(&w, 10, WAKERS_SOME, w.now);
	assert_false(found->open);
	world_close(&w);
}

/* One that waits for ever on purpose looks like one that forgot its waker in its first poll. */
static void test_polled_once(void **state)
{
	const struct finding *found;
	struct world w;

	(void)state;
	world_open(&w);
	world_stats(&w, (struct ev_site_stats){
				.site = SITE_HANDLER, .polls = 1, .seen = 3, .tasks_valid = true});
	w.now += 12 * SEC;
	scan(&w, WAKERS_NONE, T0, 1, false);
	world_tick(&w, SEC);
	found = world_find(&w, "lost-wakeup", SITE_HANDLER);
	assert_non_null(found);
	assert_int_equal(found->severity, SEVERITY_INFO);
	assert_non_null(strstr(found->message, "on purpose"));
	/* Somebody awaits its end: nobody awaits what never ends. */
	scan(&w, WAKERS_NONE, T0, 1, true);
	world_tick(&w, SEC);
	assert_int_equal(found->severity, SEVERITY_WARNING);
	assert_null(strstr(found->message, "on purpose"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_word),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_polled_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
