// SPDX-License-Identifier: LGPL-2.1-or-later
/* The model's tasks, and their scans. */
#include "model_events.h"

static const struct task *task_of(const struct model *m, uint64_t key)
{
	for (uint32_t i = 0; i < m->tasks_count; i++)
		if (m->tasks[i].row.key == key)
			return &m->tasks[i];
	return NULL;
}

static void scan_counts(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);
	uint64_t now = T0 + 10 * SEC;

	(void)state;
	TASK(m, now, 0x100, 1, .has_handle = true, .last_ns = T0 + 4 * SEC);
	TASK(m, now, 0x180, 2, .has_handle = true, .last_ns = T0 + 7 * SEC);
	TASK(m, now, 0x200, 3, .has_handle = true, .first_ns = T0 + 5 * SEC);
	TASK(m, now, 0x280, 4, .running = true, .ready = true, .last_ns = T0 + 1 * SEC);
	TASK(m, now, 0x300, 5, .ready = true, .has_handle = true, .last_ns = T0 + 1);
	TASK(m, now, 0x380, 6, .complete = true, .has_handle = true, .last_ns = T0 + 2 * SEC);
	TASK(m, now, 0x400, 7, .complete = true, .has_handle = true, .last_ns = T0 + 3 * SEC);
	TASK(m, now, 0x480, 8, .complete = true);
	/* Nothing is claimed before the scan is complete. */
	assert_int_equal(s->live, 0);
	SCAN(m, now);
	assert_int_equal(m->tasks_count, 8);
	assert_int_equal(s->live, 5);
	assert_int_equal(s->live_peak, 5);
	assert_int_equal(s->idle, 3);
	assert_int_equal(s->running, 1);
	assert_int_equal(s->ready, 1);
	assert_int_equal(s->completed_held, 2);
	assert_int_equal(s->completed_held_oldest_ns, 8 * SEC);
	assert_int_equal(s->detached, 1);
	assert_int_equal(s->idle_oldest_ns, 6 * SEC);
	assert_int_equal(model_site(m, 1)->live, 0);
	model_free(m);
}

/* Without the state word a task is alive; whether it idles or is complete is not known. */
static void scan_without_state(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);

	(void)state;
	APPLY(m, EV_TASK, T0 + SEC, 0,
	      .as_task = {.key = 1, .complete = true, .has_handle = true, .last_ns = T0});
	SCAN(m, T0 + SEC);
	assert_int_equal(s->live, 1);
	assert_int_equal(s->idle + s->ready + s->running + s->completed_held + s->detached, 0);
	assert_int_equal(s->idle_oldest_ns, 0);
	model_free(m);
}

static void scan_removes(void **state)
{
	struct model *m = watched();

	(void)state;
	for (uint64_t key = 1; key <= 5; key++)
		TASK(m, T0, key, key);
	APPLY(m, EV_TASK, T0, 1, .as_task = {.key = 1, .id = 77, .site = 2, .runtime = ID_NONE});
	SCAN(m, T0);
	APPLY(m, EV_TASK_SCAN, T0, 1, .as_task_scan = {.truncated = true});
	assert_int_equal(m->tasks_count, 6);
	assert_true(m->tasks_truncated);
	/* Target 0 is scanned again: 2 and 4 are gone, 9 is new; target 1 is not touched. */
	TASK(m, T0 + SEC, 1, 1);
	TASK(m, T0 + SEC, 3, 3);
	TASK(m, T0 + SEC, 5, 5);
	TASK(m, T0 + SEC, 9, 9);
	SCAN(m, T0 + SEC);
	assert_int_equal(m->tasks_count, 5);
	assert_null(task_of(m, 2));
	assert_null(task_of(m, 4));
	assert_int_equal(task_of(m, 9)->scan_ns, T0 + SEC);
	assert_int_equal(model_site(m, 0)->live, 4);
	assert_int_equal(model_site(m, 0)->live_peak, 5);
	assert_int_equal(model_site(m, 2)->live, 1);
	/* What was moved is still found by its key: an update adds no row. */
	TASK(m, T0 + 2 * SEC, 9, 9, .polls = 4);
	TASK(m, T0 + 2 * SEC, 5, 5, .polls = 3);
	assert_int_equal(m->tasks_count, 5);
	SCAN(m, T0 + 2 * SEC);
	assert_int_equal(m->tasks_count, 3);
	assert_int_equal(task_of(m, 9)->row.polls, 4);
	SCAN(m, T0 + 3 * SEC);
	assert_int_equal(m->tasks_count, 1);
	assert_int_equal(m->tasks[0].row.id, 77);
	assert_int_equal(model_site(m, 0)->live, 0);
	model_free(m);
}

/* A large scan takes several ticks: what is met meanwhile may have a row that was passed by. */
static void scan_in_slices(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);
	uint64_t now = T0 + SEC;

	(void)state;
	APPLY(m, EV_SITE_STATS, now, 0, .as_site_stats = {.seen = 5, .tasks_valid = true});
	TASK(m, now, 1, 1);
	APPLY(m, EV_TICK, now, 0);
	APPLY(m, EV_SITE_STATS, now + SEC, 0, .as_site_stats = {.seen = 9, .tasks_valid = true});
	TASK(m, now + SEC, 2, 2);
	TASK(m, now + SEC, 3, 3);
	APPLY(m, EV_TASK_SCAN, now + SEC, 0, .as_task_scan = {.rows = 3});
	assert_int_equal(s->live, 3);
	/* Of the five that were met before it, not of nine. */
	assert_int_equal(s->ended, 2);
	model_free(m);
}

/* A recording that is read from its middle on: a scan whose first rows are missing counts nothing. */
static void scan_without_its_beginning(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);

	(void)state;
	APPLY(m, EV_SITE_STATS, T0, 0, .as_site_stats = {.seen = 3, .tasks_valid = true});
	TASK(m, T0, 1, 1);
	TASK(m, T0, 2, 2);
	APPLY(m, EV_TASK_SCAN, T0, 0, .as_task_scan = {.rows = 3});
	assert_int_equal(m->tasks_scans, 0);
	assert_int_equal(m->tasks_count, 2);
	assert_int_equal(s->live, 0);
	assert_int_equal(s->ended, 0);
	/* The next one has all, and takes none of the first one's rows for its own. */
	for (uint64_t key = 2; key <= 4; key++)
		TASK(m, T0 + SEC, key, key);
	APPLY(m, EV_TASK_SCAN, T0 + SEC, 0, .as_task_scan = {.rows = 3});
	assert_int_equal(m->tasks_scans, 1);
	assert_int_equal(m->tasks_count, 3);
	assert_null(task_of(m, 1));
	assert_int_equal(s->live, 3);
	model_free(m);
}

/* Each second so many tasks are alive, and in a tick the scan of that is complete. */
static void second_of(struct model *m, uint64_t now, uint32_t live, uint64_t seen, bool valid)
{
	APPLY(m, EV_SITE_STATS, now, 0,
	      .as_site_stats = {.polls = now, .seen = seen, .tasks_valid = valid});
	if (valid) {
		for (uint64_t key = 1; key <= live; key++)
			TASK(m, now, key, key);
		SCAN(m, now);
	}
	APPLY(m, EV_TICK, now, 0);
}

/* The level was lowered and is raised again: what was before says nothing of what is now. */
static void level_lowered(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);
	uint64_t now = T0;

	(void)state;
	APPLY(m, EV_COST, now, 0, .as_cost = {.level = 2, .level_asked = 2});
	for (int i = 0; i < 10; i++)
		second_of(m, now += SEC, 3, 3, true);
	assert_int_equal(s->live, 3);
	assert_int_equal(s->series->live.count, s->series->polls.count);
	/* In the middle of a scan. */
	TASK(m, now, 1, 1);
	APPLY(m, EV_COST, now, 0, .as_cost = {.level = 1, .level_asked = 2});
	assert_int_equal(m->tasks_count, 0);
	assert_int_equal(s->live, 0);
	for (int i = 0; i < 5; i++)
		second_of(m, now += SEC, 0, 3, false);
	assert_int_equal(m->tasks_count, 0);
	assert_int_equal(s->ended, 0);
	APPLY(m, EV_COST, now, 0, .as_cost = {.level = 2, .level_asked = 2});
	second_of(m, now += SEC, 5, 7, true);
	assert_int_equal(m->tasks_count, 5);
	assert_int_equal(s->live, 5);
	/* No second before it is one of the history: 3 to 5 is no growth. */
	assert_in_range(s->series->live.count, 0, 1);
	assert_in_range(s->series->seen.count, 0, 1);
	assert_true(s->series->polls.count > 10);
	second_of(m, now += SEC, 5, 7, true);
	assert_int_equal(s->ended, 2);
	model_free(m);
}

/* The age of a completed task counts from its last poll, or from the scan that saw it first. */
static void completed_age(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);

	(void)state;
	TASK(m, T0 + 1 * SEC, 1, 1, .has_handle = true);
	SCAN(m, T0 + 1 * SEC);
	assert_int_equal(task_of(m, 1)->complete_since_ns, 0);
	for (uint64_t i = 2; i <= 5; i++) {
		TASK(m, T0 + i * SEC, 1, 1, .has_handle = true, .complete = true);
		SCAN(m, T0 + i * SEC);
	}
	assert_int_equal(task_of(m, 1)->complete_since_ns, T0 + 2 * SEC);
	assert_int_equal(s->completed_held_oldest_ns, 3 * SEC);
	/* Another task at the same address starts anew. */
	TASK(m, T0 + 6 * SEC, 1, 2, .has_handle = true, .complete = true);
	SCAN(m, T0 + 6 * SEC);
	assert_int_equal(m->tasks_count, 1);
	assert_int_equal(task_of(m, 1)->complete_since_ns, T0 + 6 * SEC);
	assert_int_equal(s->completed_held_oldest_ns, 0);
	/* A last poll after the scan's time is no negative age. */
	TASK(m, T0 + 7 * SEC, 1, 2, .has_handle = true, .complete = true, .last_ns = T0 + 8 * SEC);
	SCAN(m, T0 + 7 * SEC);
	assert_int_equal(s->completed_held_oldest_ns, 0);
	model_free(m);
}

static void live_by_the_second(void **state)
{
	struct model *m = watched();
	const struct site *s = model_site(m, 0);

	(void)state;
	TICK(m, T0 + 1 * SEC);
	for (uint64_t i = 2; i <= 4; i++) {
		for (uint64_t key = 0; key < 100 * i; key++)
			TASK(m, T0 + i * SEC, key, key, .complete = key < 10 * i,
			     .has_handle = true);
		SCAN(m, T0 + i * SEC);
		TICK(m, T0 + i * SEC);
	}
	assert_int_equal(s->series->live.count, 4);
	assert_int_equal(series_at(&s->series->live, 0), 360);
	assert_int_equal(series_at(&s->series->live, 2), 180);
	assert_int_equal(series_at(&s->series->live, 3), 0);
	close_to(series_rate(&s->series->live, 2), 90);
	close_to(series_rate(&s->series->completed_held, 1), 10);
	model_free(m);
}

/* Rows over the ceiling are counted, not kept; the site's numbers have them. */
static void tasks_over_the_ceiling(void **state)
{
	struct model *m = watched();

	(void)state;
	for (uint64_t key = 0; key < MODEL_MAX_TASKS + 50; key++)
		TASK(m, T0, key * 64, key, .has_handle = true);
	SCAN(m, T0);
	assert_int_equal(m->tasks_count, MODEL_MAX_TASKS);
	assert_int_equal(m->tasks_dropped, 50);
	assert_int_equal(model_site(m, 0)->live, MODEL_MAX_TASKS + 50);
	TASK(m, T0, 64, 1);
	SCAN(m, T0);
	assert_int_equal(m->tasks_count, 1);
	assert_int_equal(m->tasks_dropped, 0);
	assert_int_equal(model_site(m, 0)->live, 1);
	/* A target that ended keeps its rows until another one comes. */
	APPLY(m, EV_TARGET_END, T0, 0, .as_target_end = {.reason = TARGET_EXITED});
	assert_int_equal(m->tasks_count, 1);
	APPLY(m, EV_TARGET, T0, 2, .as_target = {.pid = 5});
	assert_int_equal(m->tasks_count, 0);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scan_counts),
		cmocka_unit_test(scan_without_state),
		cmocka_unit_test(scan_removes),
		cmocka_unit_test(scan_in_slices),
		cmocka_unit_test(scan_without_its_beginning),
		cmocka_unit_test(level_lowered),
		cmocka_unit_test(completed_age),
		cmocka_unit_test(live_by_the_second),
		cmocka_unit_test(tasks_over_the_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
