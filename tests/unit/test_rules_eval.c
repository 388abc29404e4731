// SPDX-License-Identifier: LGPL-2.1-or-later
/* The built-in poll rules, over models made of events. */
#include "rules_world.h"

#include <stdio.h>

static void block(struct world *w, uint32_t site, uint64_t ns)
{
	world_closed(w, world_poll(w, TID_A, site, ns + 50 * US, ns));
}

static void test_blocking_message(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < 12; i++) {
		world_tick(&w, 200 * MS);
		block(&w, SITE_HANDLER, i == 5 ? 152 * MS : 150 * MS);
	}
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_non_null(f);
	assert_string_equal(f->message,
			    "shop::handler blocked tokio-runtime-w (tid 11) for 152 ms in "
			    "clock_nanosleep; 12 times, 1.80 s in all");
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_int_equal(f->evidence, EVIDENCE_TRACED);
	assert_int_equal(f->count, 12);
	assert_int_equal(f->worst_ns, 152 * MS);
	assert_int_equal(f->total_ns, 11 * 150 * MS + 152 * MS);
	assert_int_equal(f->syscall, SYS_CLOCK_NANOSLEEP);
	assert_int_equal(f->tid, TID_A);
	assert_int_equal(f->tasks_count, 1);
	assert_int_equal(f->tasks[0], 7);
	assert_true(f->open);
	assert_false(f->loose || f->during_loss);
	assert_int_equal(finding_value_of(f, "poll.blocked"), 152 * MS);
	assert_int_equal(f->first_ns, T0 + 200 * MS - 150 * MS - 50 * US);
	assert_int_equal(f->last_ns, T0 + 2400 * MS);
	/* It stays open for a while, then closes; that is told once. */
	world_run(&w, 4800 * MS, 100 * MS);
	assert_true(f->open);
	world_run(&w, 300 * MS, 100 * MS);
	assert_false(f->open);
	world_close(&w);
}

static void test_levels(void **state)
{
	static const struct {
		uint64_t ns;
		int severity; /* -1: no finding */
	} levels[] = {{9999 * US, -1},
		      {10 * MS, SEVERITY_WARNING},
		      {99 * MS, SEVERITY_WARNING},
		      {100 * MS, SEVERITY_CRITICAL}};

	(void)state;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		const struct finding *f;
		struct world w;

		world_open(&w);
		world_tick(&w, SEC);
		block(&w, SITE_HANDLER, levels[i].ns);
		/* The other half of the time on the CPU is the other rule's. */
		world_closed(&w, world_poll(&w, TID_B, SITE_OTHER, levels[i].ns, 0));
		world_tick(&w, 100 * MS);
		f = world_find(&w, "blocking-call", SITE_HANDLER);
		assert_int_equal(f ? (int)f->severity : -1, levels[i].severity);
		f = world_find(&w, "cpu-bound-poll", SITE_OTHER);
		assert_int_equal(f ? (int)f->severity : -1, levels[i].severity);
		assert_int_equal(world_count(&w), levels[i].severity < 0 ? 0 : 2);
		world_close(&w);
	}
}

static void test_preempted_is_not_on_cpu(void **state)
{
	struct ev_poll poll;
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	poll = world_poll(&w, TID_A, SITE_HANDLER, 200 * MS, 0);
	poll.preempted_ns = 195 * MS;
	world_closed(&w, poll);
	poll = world_poll(&w, TID_B, SITE_OTHER, 200 * MS, 9 * MS);
	poll.preempted_ns = 170 * MS;
	world_closed(&w, poll);
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	f = world_find(&w, "cpu-bound-poll", SITE_OTHER);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_int_equal(f->worst_ns, 21 * MS);
	assert_int_equal(f->syscall, SYS_CLOCK_NANOSLEEP);
	assert_string_equal(f->message,
			    "shop::other kept tokio-runtime-w (tid 12) computing for 21.0 ms "
			    "in one poll");
	world_close(&w);
}

static void test_both_causes_in_one_poll(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 115 * MS, 100 * MS));
	world_tick(&w, 100 * MS);
	assert_int_equal(world_find(&w, "blocking-call", SITE_HANDLER)->severity,
			 SEVERITY_CRITICAL);
	assert_int_equal(world_find(&w, "cpu-bound-poll", SITE_HANDLER)->severity,
			 SEVERITY_WARNING);
	world_close(&w);
}

/* Of the root future of block_on only some blocks are met: no count of them is exact. */
static void test_by_stacks_is_sampled(void **state)
{
	struct ev_site site = {.site = SITE_HANDLER, .name = "shop::handler"};

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		struct world w;

		world_open(&w);
		site.by_stacks = i;
		APPLY(w.m, EV_SITE, w.now, 0, .as_site = site);
		world_tick(&w, SEC);
		world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 115 * MS, 100 * MS));
		world_tick(&w, 100 * MS);
		assert_int_equal(world_find(&w, "blocking-call", SITE_HANDLER)->evidence,
				 i ? EVIDENCE_SAMPLED : EVIDENCE_TRACED);
		world_close(&w);
	}
}

static void test_open_poll_grows_and_ends(void **state)
{
	const struct finding *f;
	uint64_t start, told;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	start = w.now;
	w.held = 1;
	w.now += 20 * MS;
	world_open_poll(&w, TID_A, SITE_HANDLER, start, 19 * MS);
	world_tick(&w, 0);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_non_null(f);
	assert_true(f->open);
	assert_int_equal(f->open_since_ns, start);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_string_equal(f->message,
			    "shop::handler blocked tokio-runtime-w (tid 11) for 19.0 ms so far "
			    "in clock_nanosleep");
	told = f->revision;
	for (int i = 0; i < 5; i++) {
		w.now += 50 * MS;
		world_open_poll(&w, TID_A, SITE_HANDLER, start, w.now - start);
		world_tick(&w, 0);
		assert_int_equal(f->count, 1);
		assert_int_equal(f->worst_ns, w.now - start);
	}
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_true(f->revision > told);
	/* The end: the final length replaces, and counts once. */
	w.held = 0;
	w.now = start + 300 * MS;
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 300 * MS, 300 * MS));
	world_tick(&w, 0);
	world_run(&w, 2 * SEC, 100 * MS);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->worst_ns, 300 * MS);
	assert_int_equal(f->total_ns, 300 * MS);
	assert_int_equal(world_count(&w), 1);
	assert_null(strstr(f->message, "so far"));
	world_close(&w);
}

/* Opens a blocked poll and shows it every 100 ms until it is `ns` old; returns its start. */
static uint64_t keep_open(struct world *w, uint32_t tid, uint32_t site, uint64_t ns, bool blocked)
{
	uint64_t start = w->now;

	w->held |= 1u << (tid - TID_A);
	while (w->now < start + ns) {
		w->now += 100 * MS;
		world_open_poll(w, tid, site, start, blocked ? w->now - start : 0);
		world_tick(w, 0);
	}
	return start;
}

static void test_stuck_takes_over(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	block(&w, SITE_HANDLER, 20 * MS);
	world_tick(&w, 100 * MS);
	keep_open(&w, TID_A, SITE_HANDLER, 900 * MS, true);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_int_equal(f->count, 2);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_null(world_find(&w, "stuck-poll", ID_NONE));
	w.now += 100 * MS;
	world_open_poll(&w, TID_A, SITE_HANDLER, w.now - SEC, SEC);
	world_tick(&w, 0);
	/* The 20 ms poll stays what it was. */
	assert_int_equal(f->count, 1);
	assert_int_equal(f->worst_ns, 20 * MS);
	f = world_find(&w, "stuck-poll", SITE_HANDLER);
	assert_non_null(f);
	assert_true(f->open);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_string_equal(f->message,
			    "shop::handler has held tokio-runtime-w (tid 11) in one poll for "
			    "1.00 s so far, blocked for 1.00 s in clock_nanosleep");
	world_close(&w);
}

/* Two seconds in one poll, stopped by a signal for most of them: the poll's own time is short. */
static void test_stopped_is_not_stuck(void **state)
{
	struct ev_poll poll;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	w.held = 1;
	for (uint64_t kept = 1500 * MS; kept >= 900 * MS; kept -= 600 * MS) {
		poll = world_poll(&w, TID_A, SITE_HANDLER, 2 * SEC, 0);
		poll.preempted_ns = kept;
		APPLY(w.m, EV_POLL_OPEN, w.now, 0, .as_poll = poll);
		world_tick(&w, 0);
		assert_int_equal(!!world_find(&w, "stuck-poll", SITE_HANDLER), kept <= SEC);
	}
	world_close(&w);
}

static void test_stuck_only(void **state)
{
	const struct finding *f;
	uint64_t start;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	start = keep_open(&w, TID_A, SITE_HANDLER, 2400 * MS, false);
	assert_int_equal(world_count(&w), 1);
	f = world_find(&w, "stuck-poll", SITE_HANDLER);
	assert_int_equal(f->count, 1);
	assert_string_equal(f->message,
			    "shop::handler has held tokio-runtime-w (tid 11) in one poll for "
			    "2.40 s so far");
	/* After its end it remains this rule's alone. */
	w.held = 0;
	w.now = start + 2500 * MS;
	world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 2500 * MS, 0));
	world_tick(&w, 0);
	assert_int_equal(world_count(&w), 1);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->worst_ns, 2500 * MS);
	assert_false(f->open);
	world_run(&w, 5 * SEC, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	assert_int_equal(f->count, 1);
	world_close(&w);
}

static void test_long_poll_never_seen_open(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, 5 * SEC);
	block(&w, SITE_HANDLER, 1500 * MS);
	world_closed(&w, world_poll(&w, TID_B, SITE_OTHER, 1500 * MS, 0));
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 2);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	f = world_find(&w, "cpu-bound-poll", SITE_OTHER);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_int_equal(f->worst_ns, 1500 * MS);
	world_close(&w);
}

static void test_end_that_was_lost(void **state)
{
	const struct finding *f;
	uint64_t start;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	start = keep_open(&w, TID_A, SITE_HANDLER, 400 * MS, true);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	/* Gone: the thread has no poll, but no end was told yet. */
	w.held = 0;
	APPLY(w.m, EV_THREAD, w.now, 0,
	      .as_thread = {.tid = TID_A,
			    .comm = "x",
			    .state = THREAD_PARKED,
			    .worker = true,
			    .site = ID_NONE,
			    .syscall = -1,
			    .first_ns = T0});
	world_tick(&w, 100 * MS);
	assert_int_equal(f->count, 1);
	assert_false(f->loose);
	world_run(&w, 1500 * MS, 100 * MS);
	assert_int_equal(f->count, 1);
	assert_true(f->loose);
	assert_int_equal(f->worst_ns, 400 * MS);
	assert_non_null(strstr(f->message, "for at least 400 ms in"));
	/* The end comes after all: the poll is not counted again. */
	world_closed(&w, (struct ev_poll){.tid = TID_A,
					  .site = SITE_HANDLER,
					  .task_id = 7,
					  .start_ns = start,
					  .length_ns = 450 * MS,
					  .blocked_ns = 450 * MS,
					  .syscall = -1});
	world_run(&w, 500 * MS, 100 * MS);
	assert_int_equal(f->count, 1);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

static void test_late_end_in_time(void **state)
{
	const struct finding *f;
	uint64_t start;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	start = keep_open(&w, TID_A, SITE_HANDLER, 400 * MS, true);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	w.held = 0;
	APPLY(w.m, EV_THREAD, w.now, 0,
	      .as_thread = {.tid = TID_A,
			    .comm = "x",
			    .state = THREAD_PARKED,
			    .worker = true,
			    .site = ID_NONE,
			    .syscall = -1,
			    .first_ns = T0});
	world_tick(&w, 100 * MS);
	world_closed(&w, (struct ev_poll){.tid = TID_A,
					  .site = SITE_HANDLER,
					  .task_id = 7,
					  .start_ns = start,
					  .length_ns = 450 * MS,
					  .blocked_ns = 450 * MS,
					  .syscall = -1});
	world_run(&w, 3 * SEC, 100 * MS);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->worst_ns, 450 * MS);
	assert_false(f->loose);
	world_close(&w);
}

static void test_target_ends_in_a_poll(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	keep_open(&w, TID_A, SITE_HANDLER, 1500 * MS, true);
	APPLY(w.m, EV_TARGET_END, w.now, 0, .as_target_end = {.reason = TARGET_EXITED});
	TICK(w.m, w.now + 100 * MS);
	rules_eval(w.rules, w.m);
	f = world_find(&w, "stuck-poll", SITE_HANDLER);
	assert_int_equal(f->count, 1);
	assert_false(f->open);
	assert_true(f->loose);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

static void test_exempt_kinds(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, 5 * SEC);
	block(&w, SITE_POOL, SEC);
	block(&w, SITE_LOOP, SEC);
	world_closed(&w, world_poll(&w, TID_B, SITE_POOL, SEC, 0));
	world_tick(&w, 100 * MS);
	keep_open(&w, TID_A, SITE_POOL, 2 * SEC, true);
	keep_open(&w, TID_B, SITE_LOOP, 2 * SEC, false);
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

/* Its worker was given away, as far as anybody sees: no frame says otherwise. */
static void test_handed_off_is_exempt(void **state)
{
	struct ev_poll poll;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, 5 * SEC);
	poll = world_poll(&w, TID_A, SITE_HANDLER, SEC, SEC);
	poll.handed_off = true;
	world_closed(&w, poll);
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 0);
	poll = world_poll(&w, TID_A, SITE_HANDLER, 90 * MS, 90 * MS);
	world_closed(&w, poll);
	world_tick(&w, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

static void test_unknown_site_and_call(void **state)
{
	struct ev_poll poll;
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, 5 * SEC);
	poll = world_poll(&w, 99, ID_NONE, 50 * MS, 50 * MS);
	poll.runtime = ID_NONE;
	poll.syscall = 9999;
	world_closed(&w, poll);
	world_tick(&w, 100 * MS);
	f = world_find(&w, "blocking-call", ID_NONE);
	assert_string_equal(f->message,
			    "an unknown task type blocked thread 99 for 50.0 ms in system "
			    "call 9999");
	world_close(&w);
}

static void test_tasks_are_the_latest(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, 5 * SEC);
	for (uint64_t i = 1; i <= 40; i++) {
		struct ev_poll poll = world_poll(&w, TID_A, SITE_HANDLER, 20 * MS, 20 * MS);

		poll.task_id = i / 2;
		poll.start_ns += i;
		world_closed(&w, poll);
	}
	world_tick(&w, 100 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_int_equal(f->count, 40);
	assert_int_equal(f->tasks_count, FINDING_TASKS);
	assert_int_equal(f->tasks[0], 5);
	assert_int_equal(f->tasks[FINDING_TASKS - 1], 20);
	world_close(&w);
}

static void test_loss_is_marked(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	block(&w, SITE_HANDLER, 20 * MS);
	world_tick(&w, 100 * MS);
	assert_false(world_find(&w, "blocking-call", SITE_HANDLER)->during_loss);
	world_tick(&w, SEC);
	APPLY(w.m, EV_LOST, w.now, ID_NONE, .as_lost = {.stage = "ring", .count = 3});
	block(&w, SITE_OTHER, 20 * MS);
	world_tick(&w, 100 * MS);
	assert_true(world_find(&w, "blocking-call", SITE_OTHER)->during_loss);
	assert_false(world_find(&w, "blocking-call", SITE_HANDLER)->during_loss);
	world_close(&w);
}

/* More polls between two ticks than the model keeps: the rest is judged. */
static void test_ring_overrun(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, 60 * SEC);
	for (uint64_t i = 0; i < MODEL_POLLS + 10; i++) {
		struct ev_poll poll = world_poll(&w, TID_A, SITE_HANDLER, 20 * MS, 20 * MS);

		poll.start_ns += i;
		world_closed(&w, poll);
	}
	world_tick(&w, 100 * MS);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_int_equal(f->count, MODEL_POLLS);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocking_message),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_preempted_is_not_on_cpu),
		cmocka_unit_test(test_both_causes_in_one_poll),
		cmocka_unit_test(test_by_stacks_is_sampled),
		cmocka_unit_test(test_open_poll_grows_and_ends),
		cmocka_unit_test(test_stuck_takes_over),
		cmocka_unit_test(test_stopped_is_not_stuck),
		cmocka_unit_test(test_stuck_only),
		cmocka_unit_test(test_long_poll_never_seen_open),
		cmocka_unit_test(test_end_that_was_lost),
		cmocka_unit_test(test_late_end_in_time),
		cmocka_unit_test(test_target_ends_in_a_poll),
		cmocka_unit_test(test_exempt_kinds),
		cmocka_unit_test(test_handed_off_is_exempt),
		cmocka_unit_test(test_unknown_site_and_call),
		cmocka_unit_test(test_tasks_are_the_latest),
		cmocka_unit_test(test_loss_is_marked),
		cmocka_unit_test(test_ring_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
