// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tasks that wait for each other's locks: found where guards are known, and nowhere else. */
#include "rules_world.h"

#include "rules/waits.h"

enum { LOCK_A = 0x1000, LOCK_B = 0x2000, LOCK_C = 0x3000 };

/* Task `id` has been idle since T0. */
static struct ev_task task(uint64_t id, uint64_t waits_for, uint64_t holds, uint64_t holds_too)
{
	return (struct ev_task){
		.key = 0x100 * id,
		.id = id,
		.site = SITE_HANDLER,
		.first_ns = T0,
		.last_ns = T0,
		.polls = 1,
		.state_valid = true,
		.refs = 2,
		.waits_for = waits_for,
		.waits_permits = waits_for != 0,
		.holds = holds,
		.holds_too = holds_too,
		.holds_known = holds != 0,
	};
}

/* A scan a second. */
static void run(struct world *w, const struct ev_task *list, uint32_t count, uint32_t seconds)
{
	for (uint32_t s = 0; s < seconds; s++) {
		for (uint32_t i = 0; i < count; i++)
			APPLY(w->m, EV_TASK, w->now, 0, .as_task = list[i]);
		APPLY(w->m, EV_TASK_SCAN, w->now, 0, .as_task_scan = {.rows = count});
		world_run(w, SEC, 100 * MS);
	}
}

static bool deadlock(const struct ev_task *list, uint32_t count, const char *said)
{
	struct world w;
	const struct finding *found;
	char text[400];

	world_open(&w);
	run(&w, list, count, 6);
	found = world_find(&w, "deadlock", ID_NONE);
	if (found) {
		wait_cycle_text(w.m, 0, text, sizeof(text));
		assert_string_equal(text, said);
		assert_int_equal(found->severity, SEVERITY_CRITICAL);
		assert_non_null(strstr(found->message, said));
	}
	world_close(&w);
	return found;
}

static void test_circles(void **state)
{
	const struct ev_task two[] = {task(1, LOCK_B, LOCK_A, 0), task(2, LOCK_A, LOCK_B, 0)};
	const struct ev_task itself[] = {task(1, LOCK_A, LOCK_C, LOCK_A)};
	const struct ev_task three[] = {task(1, LOCK_B, LOCK_A, 0), task(2, LOCK_C, LOCK_B, 0),
					task(3, LOCK_A, LOCK_C, 0), task(4, LOCK_A, 0, 0)};

	(void)state;
	assert_true(
		deadlock(two, LEN(two),
			 "task 1 of shop::handler waits for a lock that task 2 of shop::handler "
			 "holds, and that for one that task 1 of shop::handler holds"));
	assert_true(deadlock(itself, LEN(itself),
			     "task 1 of shop::handler waits for a lock that it holds"));
	assert_true(
		deadlock(three, LEN(three),
			 "task 1 of shop::handler waits for a lock that task 2 of shop::handler "
			 "holds, and that for one that task 3 of shop::handler holds, and that for "
			 "one that task 1 of shop::handler holds"));
}

static void test_no_circle(void **state)
{
	const struct ev_task chain[] = {task(1, LOCK_B, LOCK_A, 0), task(2, LOCK_C, LOCK_B, 0),
					task(3, 0, LOCK_C, 0)};
	/* Two have permits of it: any of them may give one back. */
	const struct ev_task several[] = {task(1, LOCK_B, LOCK_A, 0), task(2, LOCK_A, LOCK_B, 0),
					  task(3, 0, LOCK_B, 0)};
	const struct ev_task unknown[] = {task(1, LOCK_B, 0, 0), task(2, LOCK_A, 0, 0)};

	(void)state;
	assert_false(deadlock(chain, LEN(chain), ""));
	assert_false(deadlock(several, LEN(several), ""));
	assert_false(deadlock(unknown, LEN(unknown), ""));
}

/* Waits for a moment are what locks are for. */
static void test_young(void **state)
{
	struct ev_task two[] = {task(1, LOCK_B, LOCK_A, 0), task(2, LOCK_A, LOCK_B, 0)};
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < 8; i++) {
		two[1].last_ns = w.now;
		two[1].polls++;
		run(&w, two, LEN(two), 1);
	}
	assert_null(world_find(&w, "deadlock", ID_NONE));
	world_close(&w);
}

static enum arming arming_of(const struct ev_task *list, uint32_t count, char *why)
{
	enum arming arming = ARMING_OFF;
	struct world w;
	struct rule_info info;

	world_open(&w);
	APPLY(w.m, EV_COST, w.now, 0, .as_cost = {.hits = 1, .emitted = 1, .level = 2});
	APPLY(w.m, EV_QUEUES, w.now, 0, .as_queues = {.runtime = 0});
	world_stats(&w, (struct ev_site_stats){.polls = 1, .tasks_valid = true});
	run(&w, list, count, 1);
	for (size_t i = 0; i < rules_count(w.rules); i++) {
		rules_info(w.rules, i, &info);
		if (!strcmp(info.id, "deadlock"))
			arming = rules_arming(w.rules, w.m, i, why, ARMING_WHY);
	}
	world_close(&w);
	return arming;
}

/* It matters once tasks wait for locks. */
static void test_arming(void **state)
{
	const struct ev_task nobody[] = {task(1, 0, 0, 0)}, waits[] = {task(1, LOCK_A, 0, 0)};
	const struct ev_task known[] = {task(1, LOCK_A, 0, 0), task(2, 0, LOCK_A, 0)};
	char why[ARMING_WHY];

	(void)state;
	assert_int_equal(arming_of(nobody, LEN(nobody), why), ARMING_ARMED);
	assert_int_equal(arming_of(known, LEN(known), why), ARMING_ARMED);
	assert_int_equal(arming_of(waits, LEN(waits), why), ARMING_LIMITED);
	assert_non_null(strstr(why, "no debug information tells who holds them"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_no_circle),
		cmocka_unit_test(test_young),
		cmocka_unit_test(test_arming),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
