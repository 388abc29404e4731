// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules about sites, workers and runtimes. */
#include "rules_world.h"

/* Each second: `ns` of blocked time in polls of 1 ms on worker A, for `seconds`. */
static void block_briefly(struct world *w, uint32_t seconds, uint64_t ns)
{
	for (uint32_t i = 0; i < seconds * 10; i++) {
		w->blocked[0] += ns / 10;
		w->polls[0] += ns / 10 / MS;
		world_stats(w, (struct ev_site_stats){.site = SITE_HANDLER,
						      .polls = w->polls[0],
						      .busy_ns = w->blocked[0],
						      .blocked_ns = w->blocked[0],
						      .max_ns = MS});
		world_tick(w, 100 * MS);
	}
}

static void test_short_blocks(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	block_briefly(&w, 20, 40 * MS);
	assert_int_equal(world_count(&w), 0);
	block_briefly(&w, 12, 100 * MS);
	assert_int_equal(world_count(&w), 1);
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_int_equal(f->count, 1);
	assert_true(f->open);
	assert_string_equal(f->message,
			    "shop::handler blocks its worker often and briefly: 10.0 % of a "
			    "worker's time, in polls too short to be listed; longest poll "
			    "1.00 ms");
	/* It ends, and begins again. */
	block_briefly(&w, 20, 0);
	assert_false(f->open);
	block_briefly(&w, 12, 100 * MS);
	assert_true(f->open);
	assert_int_equal(f->count, 2);
	world_close(&w);
}

/* Long polls are listed one by one: they are not also a share. */
static void test_long_blocks_are_no_share(void **state)
{
	const struct finding *f;
	uint64_t blocked = 0;
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < 20; i++) {
		world_tick(&w, 800 * MS);
		world_closed(&w, world_poll(&w, TID_A, SITE_HANDLER, 150 * MS, 150 * MS));
		blocked += 150 * MS;
		w.blocked[0] = blocked;
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .polls = i + 1,
						       .busy_ns = blocked,
						       .blocked_ns = blocked});
		world_tick(&w, 200 * MS);
	}
	f = world_find(&w, "blocking-call", SITE_HANDLER);
	assert_int_equal(f->count, 20);
	assert_non_null(
		strstr(f->message, "for 150 ms in clock_nanosleep; 20 times, 3.00 s in all"));
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

static void ready(struct world *w, uint64_t waited)
{
	APPLY(w->m, EV_READY, w->now, 0,
	      .as_ready = {.runtime = 0,
			   .site = SITE_OTHER,
			   .task_id = 9,
			   .waited_ns = waited,
			   .ready = 3,
			   .sampled = 10});
}

static void test_starvation(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < 40; i++) {
		w.busy[0] += 100 * MS;
		w.busy[1] += 100 * MS;
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .polls = i + 1,
						       .busy_ns = w.busy[0] + w.busy[1]});
		world_tick(&w, 100 * MS);
	}
	ready(&w, 49 * MS);
	world_tick(&w, 100 * MS);
	assert_null(world_find(&w, "starvation", ID_NONE));
	ready(&w, 60 * MS);
	world_tick(&w, 100 * MS);
	f = world_find(&w, "starvation", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_int_equal(f->evidence, EVIDENCE_SAMPLED);
	assert_int_equal(f->runtime, 0);
	assert_int_equal(f->site, ID_NONE);
	assert_int_equal(f->culprit, SITE_HANDLER);
	assert_int_equal(f->worst_ns, 60 * MS);
	assert_int_equal(f->total_ns, 0);
	assert_non_null(strstr(f->message,
			       "ready tasks wait at least 60.0 ms for the tokio runtime while "
			       "all 2 workers are held, most by shop::handler ("));
	ready(&w, 700 * MS);
	world_tick(&w, 100 * MS);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_int_equal(f->worst_ns, 700 * MS);
	/* Workers are free again. */
	w.held = 0;
	world_run(&w, 3 * SEC, 100 * MS);
	assert_false(f->open);
	assert_int_equal(f->count, 1);
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

/* The first occurrence of a watch that has just begun: nobody was seen in a poll yet. */
static void test_starvation_culprit_comes_later(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	ready(&w, 130 * MS);
	world_tick(&w, 100 * MS);
	f = world_find(&w, "starvation", ID_NONE);
	assert_int_equal(f->culprit, ID_NONE);
	assert_null(strstr(f->message, "most by"));
	w.held = 3;
	world_tick(&w, 100 * MS);
	ready(&w, 60 * MS);
	world_tick(&w, 100 * MS);
	assert_int_equal(f->culprit, SITE_HANDLER);
	assert_int_equal(f->worst_ns, 130 * MS);
	assert_non_null(strstr(f->message, "130 ms for the tokio runtime while all 2 workers are "
					   "held, most by shop::handler"));
	world_close(&w);
}

/* All workers in open long polls: both causes are told, the message names the culprit. */
static void test_starvation_by_stuck_polls(void **state)
{
	const struct finding *f;
	uint64_t start;
	struct world w;

	(void)state;
	world_open(&w);
	world_tick(&w, SEC);
	start = w.now;
	w.held = 3;
	for (int i = 0; i < 15; i++) {
		w.now += 100 * MS;
		world_open_poll(&w, TID_A, SITE_HANDLER, start, 0);
		world_open_poll(&w, TID_B, SITE_HANDLER, start + MS, 0);
		ready(&w, w.now - start - 10 * MS);
		world_tick(&w, 0);
	}
	assert_int_equal(world_count(&w), 2);
	f = world_find(&w, "stuck-poll", SITE_HANDLER);
	assert_int_equal(f->count, 2);
	f = world_find(&w, "starvation", ID_NONE);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_int_equal(f->culprit, SITE_HANDLER);
	assert_non_null(strstr(f->message, "most by shop::handler"));
	world_close(&w);
}

static void test_queue_wait(void **state)
{
	static const uint32_t each[2] = {40, 40};
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	w.held = 3;
	for (int i = 0; i < 80; i++) {
		/* 3 ms a poll, both workers busy: 66 polls in 100 ms. */
		w.polls[0] += 33;
		w.polls[1] += 33;
		w.busy[0] += 99 * MS;
		w.busy[1] += 99 * MS;
		APPLY(w.m, EV_QUEUES, w.now, 0,
		      .as_queues = {.runtime = 0,
				    .inject = i < 20 ? -1 : 20,
				    .local = 80,
				    .alive = 100,
				    .blocking_queue = -1,
				    .blocking_threads = -1,
				    .blocking_idle = -1,
				    .workers = 2,
				    .local_each = each,
				    .reason = "test"});
		world_tick(&w, 100 * MS);
		/* A depth that is not known has no wait. */
		assert_true(i >= 20 || !world_count(&w));
	}
	f = world_find(&w, "starvation", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->evidence, EVIDENCE_INFERRED);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_in_range(f->worst_ns, 145 * MS, 155 * MS);
	assert_non_null(strstr(f->message, "100 tasks queue for the tokio runtime, about 1"));
	world_close(&w);
}

/* Tells the model of `live` tasks of a site, and of `held` ones that completed at `since`. */
static void scan(struct world *w, uint32_t site, uint32_t live, uint32_t held, uint64_t since)
{
	for (uint32_t i = 0; i < live + held; i++)
		APPLY(w->m, EV_TASK, w->now, 0,
		      .as_task = {.key = 1 + i,
				  .id = 1 + i,
				  .site = site,
				  .runtime = 0,
				  .first_ns = T0,
				  .last_ns = i < live ? w->now : since,
				  .polls = 1,
				  .state_valid = true,
				  .complete = i >= live,
				  .has_handle = true});
	APPLY(w->m, EV_TASK_SCAN, w->now, 0, .as_task_scan = {.rows = live + held});
}

static void alive(struct world *w, int64_t n)
{
	APPLY(w->m, EV_QUEUES, w->now, 0,
	      .as_queues = {.runtime = 0,
			    .inject = -1,
			    .local = -1,
			    .alive = n,
			    .blocking_queue = -1,
			    .blocking_threads = -1,
			    .blocking_idle = -1,
			    .reason = "test"});
}

/* One task of the site was seen to be spawned by a function of src/main.rs. */
static void spawned(struct world *w, uint32_t site, const char *function, uint32_t line)
{
	const struct frame frames[] = {
		{.function = "tokio::task::spawn::spawn", .origin = FRAME_RUNTIME},
		{.function = function,
		 .file = "src/main.rs",
		 .line = line,
		 .origin = FRAME_USER,
		 .from = FRAME_FROM_LINE},
	};

	APPLY(w->m, EV_STACK, w->now, 0,
	      .as_stack = {.tid = TID_A,
			   .runtime = ID_NONE,
			   .site = site,
			   .kind = STACK_SPAWN,
			   .syscall = -1,
			   .frames = frames,
			   .frames_count = 2});
}

static void test_task_explosion(void **state)
{
	const struct finding *f;
	uint64_t seen = 0;
	struct world w;

	(void)state;
	world_open(&w);
	for (uint32_t s = 1; s <= 6; s++) {
		seen += 2500;
		alive(&w, 2000 * s);
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .polls = seen,
						       .seen = seen,
						       .ended = 500 * s,
						       .tasks_valid = true});
		scan(&w, SITE_HANDLER, 2000 * s, 0, 0);
		world_run(&w, SEC, 250 * MS);
		assert_true((s >= 6) == (world_count(&w) == 1));
	}
	f = world_find(&w, "task-explosion", SITE_HANDLER);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_string_equal(f->message,
			    "12.0k tasks of shop::handler are alive and rising: 2.50k/s "
			    "spawned, 500/s ended; 5.9 MiB of memory");
	assert_int_equal(f->worst_ns, 0);
	spawned(&w, SITE_HANDLER, "shop::accept", 7);
	scan(&w, SITE_HANDLER, 12000, 0, 0);
	world_run(&w, 2 * SEC, SEC);
	assert_non_null(strstr(f->message, " of memory; spawned at src/main.rs:7 in shop::accept"));
	/* Another place has become the usual one. */
	spawned(&w, SITE_HANDLER, "shop::retry", 9);
	spawned(&w, SITE_HANDLER, "shop::retry", 9);
	world_run(&w, 2 * SEC, SEC);
	assert_non_null(strstr(f->message, "; spawned at src/main.rs:9 in shop::retry"));
	/* Many, but no longer rising. */
	for (int s = 0; s < 12; s++) {
		scan(&w, SITE_HANDLER, 12000, 0, 0);
		world_run(&w, SEC, SEC);
	}
	assert_false(f->open);
	world_close(&w);
}

/* 12 000 tasks that were there before the watch began, met one by one. */
static void test_discovery_is_no_growth(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	for (uint32_t s = 1; s <= 8; s++) {
		alive(&w, 12000);
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .polls = 2000 * s,
						       .seen = 2000 * s,
						       .tasks_valid = true});
		scan(&w, SITE_HANDLER, s < 6 ? 2000 * s : 12000, 0, 0);
		world_run(&w, SEC, 250 * MS);
	}
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

static void test_spawn_flood(void **state)
{
	const struct finding *f;
	uint64_t seen = 0;
	struct world w;

	(void)state;
	world_open(&w);
	/* A burst of two seconds is fine, a flood is not. */
	for (int s = 0; s < 12; s++) {
		seen += s < 2 || s >= 6 ? 30000 : 100;
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .polls = seen,
						       .seen = seen,
						       .ended = seen,
						       .tasks_valid = true});
		world_run(&w, SEC, 100 * MS);
		assert_true(s >= 9 || !world_count(&w));
	}
	f = world_find(&w, "task-explosion", SITE_HANDLER);
	assert_non_null(f);
	assert_non_null(strstr(f->message, "shop::handler is spawned 30.0k/s"));
	world_close(&w);
}

static void test_leaked_join_handle(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_set(&w, "leaked-join-handle.age=3s");
	for (uint32_t s = 1; s <= 6; s++) {
		world_stats(&w, (struct ev_site_stats){.site = SITE_OTHER,
						       .polls = 50 * s,
						       .seen = 50 * s,
						       .tasks_valid = true});
		scan(&w, SITE_OTHER, 5, 50 * s, T0 + SEC);
		world_run(&w, SEC, 100 * MS);
		assert_true(s >= 4 || !world_count(&w));
	}
	f = world_find(&w, "leaked-join-handle", SITE_OTHER);
	assert_non_null(f);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_int_equal(f->evidence, EVIDENCE_SAMPLED);
	assert_non_null(strstr(f->message,
			       "300 completed tasks of shop::other are kept by their join "
			       "handles, the oldest for "));
	assert_int_equal(world_count(&w), 1);
	world_close(&w);
}

/* Kept, old and many, but not growing: a server's start-up tasks. */
static void test_constant_handles_are_fine(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	world_set(&w, "leaked-join-handle.age=3s");
	for (uint32_t s = 1; s <= 12; s++) {
		world_stats(&w, (struct ev_site_stats){.site = SITE_OTHER,
						       .polls = 200,
						       .seen = 200,
						       .tasks_valid = true});
		if (s > 2)
			scan(&w, SITE_OTHER, 5, s == 3 ? 99 : 99, T0 + SEC);
		world_run(&w, SEC, 250 * MS);
	}
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

/* A busy server without a fault: 60 s of load, bursts, short blocks, many tasks. */
static void test_healthy(void **state)
{
	static const uint32_t each[2] = {3, 5};
	uint64_t polls = 0, spawned = 0;
	struct world w;

	(void)state;
	world_open(&w);
	for (int i = 0; i < 600; i++) {
		polls += 5000;
		spawned += i % 10 ? 200 : 5000;
		for (int k = 0; k < 2; k++) {
			w.polls[k] += 2500;
			w.busy[k] += 80 * MS;
			w.blocked[k] += MS;
		}
		w.held = (uint32_t)i % 4;
		world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER,
						       .polls = polls,
						       .busy_ns = w.busy[0] * 2,
						       .blocked_ns = w.blocked[0] * 2,
						       .max_ns = 9 * MS,
						       .seen = spawned,
						       .ended = spawned - 300,
						       .tasks_valid = true});
		world_stats(&w, (struct ev_site_stats){.site = SITE_LOOP,
						       .polls = 2,
						       .busy_ns = w.now - T0,
						       .blocked_ns = (w.now - T0) / 2});
		APPLY(w.m, EV_QUEUES, w.now, 0,
		      .as_queues = {.runtime = 0,
				    .inject = 2,
				    .local = 8,
				    .alive = 300,
				    .workers = 2,
				    .local_each = each});
		ready(&w, 6 * MS);
		if (i % 10 == 5)
			scan(&w, SITE_HANDLER, 300 + (uint32_t)i % 20, 20, w.now - 100 * MS);
		if (i % 50 == 7) {
			struct ev_poll poll = world_poll(&w, TID_A, SITE_HANDLER, 12 * MS, 2 * MS);

			poll.preempted_ns = 4 * MS;
			world_closed(&w, poll);
		}
		world_tick(&w, 100 * MS);
	}
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short_blocks),
		cmocka_unit_test(test_long_blocks_are_no_share),
		cmocka_unit_test(test_starvation),
		cmocka_unit_test(test_starvation_culprit_comes_later),
		cmocka_unit_test(test_starvation_by_stuck_polls),
		cmocka_unit_test(test_queue_wait),
		cmocka_unit_test(test_task_explosion),
		cmocka_unit_test(test_discovery_is_no_growth),
		cmocka_unit_test(test_spawn_flood),
		cmocka_unit_test(test_leaked_join_handle),
		cmocka_unit_test(test_constant_handles_are_fine),
		cmocka_unit_test(test_healthy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
