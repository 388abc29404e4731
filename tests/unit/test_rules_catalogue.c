// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rules about how many tasks there are, how they end, and how the workers fare. */
#include "rules_world.h"

enum { SYS_READ = 0, SYS_FUTEX = 202, SYS_EPOLL_WAIT = 232 };

/* Task rows of one kind, as one scan finds them. */
struct rows {
	uint32_t site, count;
	uint64_t last_ns;
	bool handle;
};

static void scan(struct world *w, struct rows r)
{
	for (uint32_t i = 0; i < r.count; i++)
		APPLY(w->m, EV_TASK, w->now, 0,
		      .as_task = {.key = 1 + i,
				  .id = 1 + i,
				  .site = r.site,
				  .first_ns = T0,
				  .last_ns = r.last_ns,
				  .polls = 1,
				  .state_valid = true,
				  .has_handle = r.handle});
	APPLY(w->m, EV_TASK_SCAN, w->now, 0, .as_task_scan = {.rows = r.count});
}

static void site(struct world *w, uint32_t id, uint32_t size)
{
	APPLY(w->m, EV_SITE, w->now, 0,
	      .as_site = {.site = id, .kind = SITE_TASK, .name = "shop::big", .size = size});
	world_stats(w,
		    (struct ev_site_stats){.site = id, .polls = 1, .seen = 1, .tasks_valid = true});
}

static void test_large_future(void **state)
{
	static const struct {
		uint32_t size, live;
		int severity; /* -1: no finding */
	} cases[] = {
		{4096, 4095, -1},
		{4096, 4096, SEVERITY_WARNING},
		{4000, 5000, -1},
		{16384, 1, SEVERITY_INFO},
		{16383, 1, -1},
		{16384, 0, -1},
		{2048, 131072, SEVERITY_WARNING},
		{0, 5000, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct finding *f;
		struct world w;

		world_open(&w);
		site(&w, SITE_HANDLER, cases[i].size);
		scan(&w, (struct rows){SITE_HANDLER, cases[i].live, w.now, true});
		world_tick(&w, 100 * MS);
		f = world_find(&w, "large-future", SITE_HANDLER);
		assert_int_equal(f ? (int)f->severity : -1, cases[i].severity);
		assert_int_equal(world_count(&w), f ? 1 : 0);
		world_close(&w);
	}
}

/* `each` new tasks a second, of which `end` a second end; as polled at `last`, with handles or not. */
static void grow(struct world *w, uint32_t seconds, uint32_t each, uint32_t end, bool handle,
		 bool idle)
{
	static uint32_t spawned, ended;

	if (w->now < T0 + SEC)
		spawned = ended = 0;
	for (uint32_t s = 0; s < seconds; s++) {
		spawned += each;
		ended += end;
		world_stats(w, (struct ev_site_stats){.site = SITE_OTHER,
						      .polls = spawned,
						      .seen = spawned,
						      .ended = ended,
						      .tasks_valid = true});
		scan(w,
		     (struct rows){SITE_OTHER, spawned - ended, idle ? T0 + SEC : w->now, handle});
		world_run(w, SEC, 100 * MS);
	}
}

static void test_detached(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	grow(&w, 9, 50, 0, false, false);
	assert_int_equal(world_count(&w), 0);
	grow(&w, 4, 50, 0, false, false);
	f = world_find(&w, "detached-task", SITE_OTHER);
	assert_non_null(f);
	assert_int_equal(f->severity, SEVERITY_WARNING);
	assert_non_null(strstr(f->message, "tasks of shop::other run without a JoinHandle"));
	assert_int_equal(world_count(&w), 1);
	/* They end as fast as they come: it closes. */
	grow(&w, 16, 50, 50, false, false);
	assert_false(f->open);
	world_close(&w);
}

/* With handles, or where a good part of them ends, growth is no such fault. */
static void test_detached_not(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	grow(&w, 20, 50, 0, true, false);
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
	world_open(&w);
	grow(&w, 20, 100, 50, false, false);
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

static void test_task_leak(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	grow(&w, 30, 10, 0, true, true);
	assert_int_equal(world_count(&w), 0);
	grow(&w, 5, 10, 0, true, true);
	f = world_find(&w, "task-leak", SITE_OTHER);
	assert_non_null(f);
	assert_int_equal(world_count(&w), 1);
	/* The same tasks, polled now and then, are at work. */
	world_close(&w);
	world_open(&w);
	grow(&w, 40, 10, 0, true, false);
	assert_int_equal(world_count(&w), 0);
	world_close(&w);
}

/* Old idle tasks without handles: one finding, that of the graver cause. */
static void test_one_cause(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	world_set(&w, "task-leak.age=2s");
	world_set(&w, "task-leak.window=4s");
	grow(&w, 25, 50, 0, false, true);
	f = world_find(&w, "task-leak", SITE_OTHER);
	assert_non_null(f);
	assert_null(world_find(&w, "detached-task", SITE_OTHER));
	world_set(&w, "task-leak.enabled=false");
	grow(&w, 25, 50, 0, false, true);
	assert_non_null(world_find(&w, "detached-task", SITE_OTHER));
	world_close(&w);
}

static void pool(struct world *w, int64_t queue, int64_t threads, int64_t idle)
{
	APPLY(w->m, EV_QUEUES, w->now, 0,
	      .as_queues = {.inject = -1,
			    .local = -1,
			    .alive = -1,
			    .blocking_queue = queue,
			    .blocking_threads = threads,
			    .blocking_idle = idle,
			    .reason = "test"});
}

static void test_blocking_pool(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	pool(&w, 3, 2, 1);
	world_run(&w, 3 * SEC, 100 * MS);
	pool(&w, -1, -1, -1);
	world_run(&w, 3 * SEC, 100 * MS);
	for (int i = 0; i < 30; i++) {
		pool(&w, i % 9 ? 3 : 0, 2, 0);
		world_tick(&w, 100 * MS);
	}
	assert_int_equal(world_count(&w), 0);
	pool(&w, 7, 2, 0);
	world_run(&w, 1100 * MS, 100 * MS);
	f = world_find(&w, "blocking-pool-saturated", ID_NONE);
	assert_non_null(f);
	assert_string_equal(f->message,
			    "7 pieces of blocking work of the tokio runtime wait for a thread: all "
			    "2 threads of its blocking pool are busy");
	world_close(&w);
}

/* A second of a site's counters growing by these. */
static void second(struct world *w, struct ev_site_stats *sum, struct ev_site_stats by)
{
	static uint64_t hist[HIST_BUCKETS];

	sum->polls += by.polls;
	sum->busy_ns += by.busy_ns;
	sum->seen += by.seen;
	sum->ended += by.seen;
	sum->moved += by.moved;
	sum->self += by.self;
	sum->cancelled += by.cancelled;
	sum->samples += by.samples;
	sum->refcounts += by.refcounts;
	sum->panics += by.panics;
	sum->panics_lost += by.panics_lost;
	memset(hist, 0, sizeof(hist));
	hist[hist_bucket(sum->polls ? sum->busy_ns / sum->polls : 0)] = sum->polls;
	sum->hist = hist;
	world_stats(w, *sum);
	world_run(w, SEC, 500 * MS);
}

/* How grave it is; -1: it does not fire. */
static int severity_of(const char *rule, struct ev_site_stats by, uint64_t searching_ns)
{
	struct ev_site_stats sum = {.site = SITE_HANDLER,
				    .tasks_valid = true,
				    .self_valid = true,
				    .samples_valid = true,
				    .panics_valid = true};
	const struct finding *found;
	struct world w;
	int severity;

	world_open(&w);
	for (int i = 0; i < 8; i++) {
		w.busy[0] += by.busy_ns;
		w.searching[0] += searching_ns;
		second(&w, &sum, by);
	}
	found = world_find(&w, rule, SITE_HANDLER);
	severity = found ? (int)found->severity : -1;
	world_close(&w);
	return severity;
}

static bool fires(const char *rule, struct ev_site_stats by, uint64_t searching_ns)
{
	return severity_of(rule, by, searching_ns) >= 0;
}

static void test_tiny_tasks(void **state)
{
	const struct ev_site_stats tiny = {.polls = 6000, .busy_ns = 30 * MS, .seen = 6000};
	const struct ev_site_stats few = {.polls = 4000, .busy_ns = 20 * MS, .seen = 4000};
	const struct ev_site_stats real = {.polls = 6000, .busy_ns = 90 * MS, .seen = 6000};

	(void)state;
	assert_true(fires("tiny-tasks", tiny, 20 * MS));
	assert_false(fires("tiny-tasks", tiny, 5 * MS));
	assert_false(fires("tiny-tasks", few, 20 * MS));
	assert_false(fires("tiny-tasks", real, 90 * MS));
}

static void test_migration(void **state)
{
	(void)state;
	assert_true(fires("migration", (struct ev_site_stats){.polls = 4000, .moved = 1300}, 0));
	assert_false(fires("migration", (struct ev_site_stats){.polls = 4000, .moved = 1100}, 0));
	assert_false(fires("migration", (struct ev_site_stats){.polls = 2000, .moved = 900}, 0));
	/* Half of 50 000 polls of 2 and of 15 us: 5 and 38 % of a worker. */
	assert_int_equal(severity_of("migration",
				     (struct ev_site_stats){
					     .polls = 50000, .moved = 25000, .busy_ns = 100 * MS},
				     0),
			 SEVERITY_INFO);
	assert_int_equal(severity_of("migration",
				     (struct ev_site_stats){
					     .polls = 50000, .moved = 25000, .busy_ns = 750 * MS},
				     0),
			 SEVERITY_WARNING);
}

static void test_lost_panics(void **state)
{
	(void)state;
	assert_true(fires("detached-task",
			  (struct ev_site_stats){.polls = 9, .panics = 2, .panics_lost = 1}, 0));
	assert_false(fires("detached-task", (struct ev_site_stats){.polls = 9, .panics = 2}, 0));
}

static void test_arc_contention(void **state)
{
	const struct ev_site_stats many = {.polls = 100, .samples = 50, .refcounts = 3};
	const struct ev_site_stats less = {.polls = 100, .samples = 50, .refcounts = 2};
	const struct ev_site_stats idle = {.polls = 100, .samples = 39, .refcounts = 39};

	(void)state;
	assert_true(fires("arc-contention", many, 0));
	assert_false(fires("arc-contention", less, 0));
	assert_false(fires("arc-contention", idle, 0));
}

static void test_busy_poll(void **state)
{
	const struct ev_site_stats busy = {.polls = 2000, .self = 1900, .busy_ns = 2 * MS};
	const struct ev_site_stats worker = {.polls = 2000, .self = 1900, .busy_ns = 40 * MS};
	const struct ev_site_stats woken = {.polls = 4000, .self = 1900, .busy_ns = 2 * MS};

	(void)state;
	assert_true(fires("busy-poll", busy, 0));
	assert_false(fires("busy-poll", worker, 0));
	assert_false(fires("busy-poll", woken, 0));
}

static void test_cancelled(void **state)
{
	(void)state;
	assert_true(
		fires("cancelled-midway", (struct ev_site_stats){.polls = 9, .cancelled = 2}, 0));
	assert_false(
		fires("cancelled-midway", (struct ev_site_stats){.polls = 9, .cancelled = 1}, 0));
}

/* Both workers off the CPU since these times: blocked in a poll, or parked, in this call. */
static void both(struct world *w, enum thread_state how, int32_t syscall, uint64_t since_a,
		 uint64_t since_b)
{
	for (uint32_t i = 0; i < 2; i++)
		APPLY(w->m, EV_THREAD, w->now, 0,
		      .as_thread = {.tid = TID_A + i,
				    .comm = "tokio-runtime-w",
				    .state = how,
				    .worker = true,
				    .since_ns = i ? since_b : since_a,
				    .site = how == THREAD_BLOCKED ? SITE_HANDLER : ID_NONE,
				    .syscall = how == THREAD_BLOCKED ? syscall : -1,
				    .parked_syscall = how == THREAD_PARKED ? syscall : -1,
				    .first_ns = T0});
	TICK(w->m, w->now);
	rules_eval(w->rules, w->m);
}

static void test_deadlock(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	w.now += 10 * SEC;
	both(&w, THREAD_BLOCKED, SYS_FUTEX, w.now - 5 * SEC, w.now - 1900 * MS);
	both(&w, THREAD_BLOCKED, SYS_READ, w.now - 5 * SEC, w.now - 3 * SEC);
	both(&w, THREAD_PARKED, SYS_FUTEX, w.now - 5 * SEC, w.now - 5 * SEC);
	assert_int_equal(world_count(&w), 0);
	both(&w, THREAD_BLOCKED, SYS_FUTEX, w.now - 5 * SEC, w.now - 2 * SEC);
	f = world_find(&w, "deadlock", ID_NONE);
	assert_non_null(f);
	assert_int_equal(f->severity, SEVERITY_CRITICAL);
	assert_int_equal(f->worst_ns, 2 * SEC);
	world_close(&w);
}

/* An idle server: all parked, one of them in the reactor, nothing queued. */
static void test_stalled(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	w.now += 10 * SEC;
	both(&w, THREAD_PARKED, SYS_FUTEX, w.now - 5 * SEC, w.now - 5 * SEC);
	APPLY(w.m, EV_QUEUES, w.now, 0, .as_queues = {.inject = 0, .local = 0});
	both(&w, THREAD_PARKED, SYS_FUTEX, w.now - 5 * SEC, w.now - 5 * SEC);
	APPLY(w.m, EV_QUEUES, w.now, 0, .as_queues = {.inject = 1, .local = 0});
	both(&w, THREAD_PARKED, SYS_EPOLL_WAIT, w.now - 5 * SEC, w.now - 5 * SEC);
	both(&w, THREAD_PARKED, SYS_FUTEX, w.now - 5 * SEC, w.now - SEC);
	assert_int_equal(world_count(&w), 0);
	both(&w, THREAD_PARKED, SYS_FUTEX, w.now - 5 * SEC, w.now - 3 * SEC);
	assert_non_null(world_find(&w, "deadlock", ID_NONE));
	world_close(&w);
}

static void workers(struct world *w, int32_t n)
{
	APPLY(w->m, EV_RUNTIME, w->now, 0,
	      .as_runtime = {.flavor = FLAVOR_MULTI_THREAD, .workers = n});
}

/* Ten seconds of both threads so busy and so preempted. */
static const struct finding *tune(struct world *w, int32_t n, uint64_t busy, uint64_t preempted)
{
	workers(w, n);
	APPLY(w->m, EV_TARGET, T0, 0,
	      .as_target = {.pid = 4711, .comm = "shop", .cpus = n == 2 ? 1 : 2});
	for (int i = 0; i < 100; i++) {
		for (int k = 0; k < 2; k++) {
			w->busy[k] += busy;
			w->preempted[k] += preempted;
			w->polls[k] += 10;
		}
		APPLY(w->m, EV_QUEUES, w->now, 0,
		      .as_queues = {.inject = 20, .local = 0, .alive = 30});
		world_tick(w, 100 * MS);
	}
	return world_find(w, "worker-tuning", ID_NONE);
}

static void test_too_many_workers(void **state)
{
	const struct finding *f;
	struct world w;

	(void)state;
	world_open(&w);
	assert_null(tune(&w, 2, 95 * MS, 2 * MS));
	assert_null(tune(&w, 2, 20 * MS, 25 * MS));
	f = tune(&w, 2, 50 * MS, 45 * MS);
	assert_non_null(f);
	assert_non_null(strstr(f->message, "has 2 workers for 1 CPUs"));
	assert_int_equal(finding_value_of(f, "runtime.workers_advised"), 1);
	world_close(&w);
}

static void expect_arming(const struct world *w, const char *rule, enum arming want,
			  const char *says)
{
	char why[ARMING_WHY];
	struct rule_info info;

	for (size_t i = 0; i < rules_count(w->rules); i++) {
		rules_info(w->rules, i, &info);
		if (strcmp(info.id, rule) != 0)
			continue;
		assert_int_equal(rules_arming(w->rules, w->m, i, why, sizeof(why)), want);
		if (want == ARMING_ARMED ? *why : !strstr(why, says))
			fail_msg("%s: %s", rule, why);
		return;
	}
	fail_msg("no rule %s", rule);
}

static void level(struct world *w, uint8_t n)
{
	APPLY(w->m, EV_COST, w->now, ID_NONE, .as_cost = {.level = n});
}

static void test_arming(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	level(&w, 1);
	expect_arming(&w, "blocking-call", ARMING_ARMED, NULL);
	expect_arming(&w, "task-leak", ARMING_OFF, "--level 2");
	expect_arming(&w, "starvation", ARMING_LIMITED, "queues were not read yet");
	expect_arming(&w, "blocking-pool-saturated", ARMING_OFF, "queues were not read yet");
	level(&w, 2);
	pool(&w, 0, 0, 0);
	expect_arming(&w, "task-leak", ARMING_ARMED, NULL);
	expect_arming(&w, "busy-poll", ARMING_OFF, "--level 3");
	expect_arming(&w, "blocking-pool-saturated", ARMING_ARMED, NULL);
	expect_arming(&w, "deadlock", ARMING_LIMITED, "queue depths n/a: test");
	expect_arming(&w, "lock-across-await", ARMING_ARMED, NULL);
	APPLY(w.m, EV_COST, w.now, ID_NONE, .as_cost = {.level = 2, .sites_off = 1});
	expect_arming(&w, "lock-across-await", ARMING_OFF, "not all task types are probed");
	APPLY(w.m, EV_COST, w.now, ID_NONE, .as_cost = {.level = 2, .level_asked = 3});
	expect_arming(&w, "busy-poll", ARMING_OFF, "over the overhead budget");
	APPLY(w.m, EV_COST, w.now, ID_NONE, .as_cost = {.level = 2, .level_asked = 2});
	expect_arming(&w, "busy-poll", ARMING_OFF, "--level 3");
	level(&w, 3);
	expect_arming(&w, "busy-poll", ARMING_OFF, "told apart");
	world_stats(&w, (struct ev_site_stats){.site = SITE_HANDLER, .self_valid = true});
	expect_arming(&w, "busy-poll", ARMING_ARMED, NULL);
	world_set(&w, "busy-poll.enabled=false");
	expect_arming(&w, "busy-poll", ARMING_OFF, "switched off");
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_future),	 cmocka_unit_test(test_detached),
		cmocka_unit_test(test_detached_not),	 cmocka_unit_test(test_task_leak),
		cmocka_unit_test(test_one_cause),	 cmocka_unit_test(test_blocking_pool),
		cmocka_unit_test(test_tiny_tasks),	 cmocka_unit_test(test_migration),
		cmocka_unit_test(test_lost_panics),	 cmocka_unit_test(test_arc_contention),
		cmocka_unit_test(test_busy_poll),	 cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_deadlock),	 cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_too_many_workers), cmocka_unit_test(test_arming),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
