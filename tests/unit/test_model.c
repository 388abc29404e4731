// SPDX-License-Identifier: LGPL-2.1-or-later
/* The model: announcements, time, statistics, queues, waits, cost, loss, notes, refusals. */
#include "model_events.h"

static void announcements(void **state)
{
	struct model *m = model_new();

	(void)state;
	APPLY(m, EV_TARGET, T0, 0,
	      .as_target = {.pid = 42,
			    .start_time = 7,
			    .comm = "web",
			    .exe = "/bin/web",
			    .build_id = "ab",
			    .cpus = 4});
	APPLY(m, EV_BINARY, T0, 0,
	      .as_binary = {.binary = 0,
			    .path = "/bin/web",
			    .runtime = "tokio",
			    .version = "1.54.1",
			    .task_types = 9});
	APPLY(m, EV_RUNTIME, T0, 0,
	      .as_runtime = {.runtime = 0,
			     .flavor = FLAVOR_CURRENT_THREAD,
			     .handle = 0x1000,
			     .workers = -1});
	APPLY(m, EV_SITE, T0, 0,
	      .as_site = {.site = 0,
			  .name = "task type #0",
			  .name_from = NAME_NONE,
			  .size = 192,
			  .offset = 0x43c80});
	assert_int_equal(model_target(m, 0)->pid, 42);
	assert_int_equal(model_target(m, 0)->start_time, 7);
	assert_string_equal(model_target(m, 0)->build_id, "ab");
	assert_int_equal(model_target(m, 0)->begin_ns, T0);
	assert_string_equal(m->binaries[0].version, "1.54.1");
	assert_null(m->binaries[0].build_id);
	assert_int_equal(model_runtime(m, 0)->handle, 0x1000);
	assert_int_equal(model_runtime(m, 0)->workers, -1);
	assert_int_equal(model_runtime(m, 0)->queues.inject, -1);
	assert_false(model_runtime(m, 0)->queues_seen);
	assert_int_equal(model_site(m, 0)->size_bytes, 192);
	assert_null(model_site(m, 0)->series);
	/* A better name comes later; statistics stay. */
	APPLY(m, EV_SITE_STATS, T0, 0, .as_site_stats = {.site = 0, .polls = 5});
	APPLY(m, EV_SITE, T0, 0,
	      .as_site = {.site = 0, .name = "web::serve", .scheduler = "Arc<Handle>"});
	assert_string_equal(model_site(m, 0)->name, "web::serve");
	assert_string_equal(model_site(m, 0)->scheduler, "Arc<Handle>");
	assert_int_equal(model_site(m, 0)->polls, 5);
	model_free(m);
	model_free(NULL);
}

static void ids_in_any_order(void **state)
{
	struct model *m = watched();

	(void)state;
	APPLY(m, EV_SITE, T0, 0, .as_site = {.site = 40, .name = "far"});
	assert_int_equal(m->sites_count, 41);
	assert_null(model_site(m, 39));
	assert_int_equal(m->sites[39].id, ID_NONE);
	assert_null(model_site(m, 41));
	assert_null(model_site(m, ID_NONE));
	REFUSED(m, EV_SITE_STATS, T0, 0, .as_site_stats = {.site = 39});
	APPLY(m, EV_SITE, T0, 0, .as_site = {.site = 39, .name = "hole"});
	APPLY(m, EV_SITE_STATS, T0, 0, .as_site_stats = {.site = 39, .polls = 3});
	assert_int_equal(model_site(m, 39)->polls, 3);
	/* Holes survive what walks all sites. */
	APPLY(m, EV_SITE, T0, 0, .as_site = {.site = 60, .name = "far"});
	APPLY(m, EV_TASK_SCAN, T0, 0, .as_task_scan = {0});
	TICK(m, T0 + SEC);
	assert_null(m->sites[50].series);
	model_free(m);
}

/* Each of these would read or write out of bounds, or mix two processes. */
static void hostile_references(void **state)
{
	struct model *m = watched();
	uint32_t depth = 1;
	uint64_t refused;

	(void)state;
	REFUSED(m, 0, T0, 0);
	REFUSED(m, EV_OVERHEAD + 1, T0, 0);
	REFUSED(m, UINT32_MAX, T0, 0);
	REFUSED(m, EV_TARGET, T0, MODEL_MAX_TARGETS, .as_target = {.pid = 1});
	REFUSED(m, EV_TARGET, T0, ID_NONE, .as_target = {.pid = 1});
	REFUSED(m, EV_TARGET_END, T0, 2, .as_target_end = {.status = 0});
	REFUSED(m, EV_TARGET_END, T0, 0, .as_target_end = {.reason = 3});
	REFUSED(m, EV_BINARY, T0, 0, .as_binary = {.binary = MODEL_MAX_BINARIES});
	REFUSED(m, EV_BINARY, T0, 1, .as_binary = {.binary = 0});
	REFUSED(m, EV_RUNTIME, T0, 0, .as_runtime = {.runtime = MODEL_MAX_RUNTIMES});
	REFUSED(m, EV_RUNTIME, T0, 0, .as_runtime = {.runtime = 1, .binary = 1});
	REFUSED(m, EV_RUNTIME, T0, 0, .as_runtime = {.runtime = 1, .flavor = 4});
	REFUSED(m, EV_SITE, T0, 0, .as_site = {.site = MODEL_MAX_SITES});
	REFUSED(m, EV_SITE, T0, 0, .as_site = {.site = 9, .binary = 5});
	REFUSED(m, EV_SITE, T0, 0, .as_site = {.site = 9, .kind = 3});
	REFUSED(m, EV_SITE, T0, 1, .as_site = {.site = 0, .binary = ID_NONE});
	REFUSED(m, EV_SITE_STATS, T0, 1, .as_site_stats = {.site = 0});
	REFUSED(m, EV_SITE_STATS, T0, 0, .as_site_stats = {.site = ID_NONE});
	REFUSED(m, EV_THREAD, T0, 2, .as_thread = {.tid = 1});
	REFUSED(m, EV_THREAD, T0, 0, .as_thread = {.tid = 1, .state = 5});
	REFUSED(m, EV_THREAD, T0, 0, .as_thread = {.tid = 1, .runtime = 77});
	REFUSED(m, EV_THREAD, T0, 0, .as_thread = {.tid = 1, .site = 2});
	REFUSED(m, EV_THREAD_END, T0, ID_NONE, .as_thread_end = {.tid = 1});
	REFUSED(m, EV_POLL, T0, 0, .as_poll = {.site = 3});
	REFUSED(m, EV_POLL, T0, 1, .as_poll = {.site = 2, .runtime = 0});
	REFUSED(m, EV_POLL_OPEN, T0, 0, .as_poll = {.site = 2});
	REFUSED(m, EV_TASK, T0, 0, .as_task = {.site = 2});
	REFUSED(m, EV_TASK, T0, ID_NONE, .as_task = {.site = ID_NONE, .runtime = ID_NONE});
	REFUSED(m, EV_TASK_SCAN, T0, 64, .as_task_scan = {0});
	REFUSED(m, EV_READY, T0, 0, .as_ready = {.runtime = 1});
	REFUSED(m, EV_QUEUES, T0, 0, .as_queues = {.runtime = ID_NONE});
	REFUSED(m, EV_QUEUES, T0, 0, .as_queues = {.workers = 1});
	REFUSED(m, EV_QUEUES, T0, 0,
		.as_queues = {.workers = QUEUES_MAX_WORKERS + 1, .local_each = &depth});
	REFUSED(m, EV_NOTE, T0, 0, .as_note = {.text = NULL});
	refused = m->refused;
	assert_int_equal(refused, 34);
	assert_int_equal(m->sites_count, 3);
	assert_int_equal(m->workers_count, 0);
	assert_int_equal(m->tasks_count, 0);
	assert_int_equal(m->polls_seq, 0);
	model_free(m);
}

static void time_never_goes_back(void **state)
{
	struct model *m = model_new();

	(void)state;
	APPLY(m, EV_TARGET, T0, 0, .as_target = {.pid = 1});
	assert_int_equal(m->begin_ns, T0);
	APPLY(m, EV_COST, T0 + 20, ID_NONE, .as_cost = {.hits = 1});
	APPLY(m, EV_COST, T0 - 50, ID_NONE, .as_cost = {.hits = 2});
	assert_int_equal(m->now_ns, T0 + 20);
	assert_int_equal(m->begin_ns, T0);
	assert_int_equal(m->cost.hits, 2);
	model_free(m);
}

static void site_statistics(void **state)
{
	struct model *m = watched();
	uint64_t hist[HIST_BUCKETS] = {0};

	(void)state;
	hist[hist_bucket(1000)] = 98;
	hist[hist_bucket(20 * MS)] = 2;
	APPLY(m, EV_SITE_STATS, T0, 0,
	      .as_site_stats = {.site = 1, .polls = 90, .busy_ns = 1, .hist = hist});
	APPLY(m, EV_SITE_STATS, T0, 0,
	      .as_site_stats = {.site = 1,
				.polls = 100,
				.busy_ns = 40 * MS,
				.blocked_ns = 30 * MS,
				.preempted_ns = 2,
				.max_ns = 20 * MS,
				.seen = 12,
				.ended = 5,
				.tasks_valid = true,
				.sampled = true,
				.error = 25,
				.hist = hist});
	hist[0] = 999; /* the model has its own copy */
	assert_int_equal(model_site(m, 1)->polls, 100);
	assert_int_equal(model_site(m, 1)->busy_ns, 40 * MS);
	assert_int_equal(model_site(m, 1)->blocked_ns, 30 * MS);
	assert_int_equal(model_site(m, 1)->preempted_ns, 2);
	assert_int_equal(model_site(m, 1)->max_ns, 20 * MS);
	assert_int_equal(model_site(m, 1)->seen, 12);
	assert_int_equal(model_site(m, 1)->ended, 5);
	assert_true(model_site(m, 1)->tasks_valid && model_site(m, 1)->sampled);
	assert_int_equal(model_site(m, 1)->error, 25);
	assert_int_equal(model_site(m, 1)->hist.count, 100);
	assert_int_equal(hist_quantile(&model_site(m, 1)->hist, 0.5), 1024);
	assert_int_equal(hist_quantile(&model_site(m, 1)->hist, 0.99), 20971520);
	assert_int_equal(model_site(m, 0)->polls, 0);
	model_free(m);
}

static void seconds_of_a_site(void **state)
{
	struct model *m = watched();
	const struct site_series *series;

	(void)state;
	/* Ticks within a second add none; each full second since the first event adds one. */
	for (int i = 1; i <= 9; i++)
		TICK(m, T0 + i * 100 * MS);
	assert_int_equal(m->ticks, 9);
	TICK(m, T0 + SEC);
	assert_null(model_site(m, 0)->series);
	APPLY(m, EV_SITE_STATS, T0 + 1900 * MS, 0,
	      .as_site_stats = {.site = 0, .polls = 500, .seen = 30});
	TICK(m, T0 + 2 * SEC);
	/* It was idle in the second before: that is known, so there is a rate at once. */
	series = model_site(m, 0)->series;
	assert_int_equal(series->polls.count, 2);
	close_to(series_rate(&series->polls, 1), 500);
	close_to(series_rate(&series->seen, 1), 30);
	APPLY(m, EV_SITE_STATS, T0 + 4900 * MS, 0,
	      .as_site_stats = {.site = 0, .polls = 1100, .seen = 30});
	/* Three seconds without a tick. */
	TICK(m, T0 + 5 * SEC + 3);
	assert_int_equal(series->polls.count, 5);
	close_to(series_rate(&series->polls, 1), 200);
	close_to(series_rate(&series->polls, 3), 200);
	close_to(series_rate(&series->polls, 4), 275);
	assert_null(model_site(m, 1)->series);
	model_free(m);
}

static void queues_are_copied(void **state)
{
	struct model *m = watched();
	uint32_t each[3] = {4, 5, 6};
	char reason[] = "no table for 1.99", source[] = "dwarf";
	const struct runtime *r;

	(void)state;
	APPLY(m, EV_QUEUES, T0, 0,
	      .as_queues = {.inject = 9,
			    .local = 15,
			    .alive = 100,
			    .blocking_queue = -1,
			    .workers = 3,
			    .local_each = each,
			    .reason = reason,
			    .source = source});
	memset(each, 0xff, sizeof(each));
	memset(reason, 'x', 4);
	memset(source, 'x', 4);
	r = model_runtime(m, 0);
	assert_true(r->queues_seen);
	assert_int_equal(r->queues.inject, 9);
	assert_int_equal(r->queues.blocking_queue, -1);
	assert_int_equal(r->queues.local_each[0], 4);
	assert_int_equal(r->queues.local_each[2], 6);
	assert_string_equal(r->queues.reason, "no table for 1.99");
	assert_string_equal(r->queues.source, "dwarf");
	TICK(m, T0 + SEC);
	APPLY(m, EV_QUEUES, T0, 0,
	      .as_queues = {.inject = 19, .alive = -1, .workers = 1, .local_each = each});
	TICK(m, T0 + 2 * SEC);
	assert_null(r->queues.reason);
	assert_int_equal(r->queues.workers, 1);
	close_to(series_rate(&r->inject, 1), 10);
	/* Not known is no value, and certainly not 0. */
	assert_int_equal(r->alive.count, 0);
	model_free(m);
}

static void ready(struct model *m, uint64_t time_ns, uint64_t task_id, uint64_t waited_ns)
{
	APPLY(m, EV_READY, time_ns, 0,
	      .as_ready = {.site = 0, .task_id = task_id, .waited_ns = waited_ns});
}

/* Who waited, by task type: different tasks, the longest wait, and no longer than the window. */
static void ready_victims(void **state)
{
	struct model *m = watched();
	const struct runtime *r = model_runtime(m, 0);

	(void)state;
	ready(m, T0 + 100 * MS, 1, 60 * MS);
	ready(m, T0 + 150 * MS, 2, 3 * MS);  /* too short to count */
	ready(m, T0 + 200 * MS, 1, 90 * MS); /* the same task again */
	ready(m, T0 + 300 * MS, 3, 80 * MS);
	assert_int_equal(r->victims_count, 1);
	assert_int_equal(r->victims[0].site, 0);
	assert_int_equal(r->victims[0].tasks, 2);
	assert_int_equal(r->victims[0].worst_ns, 90 * MS);
	assert_int_equal(r->victims[0].task_id, 1);
	assert_int_equal(r->victims[0].last_ns, T0 + 300 * MS);
	/* Known by its queue only: nobody. */
	APPLY(m, EV_READY, T0 + 400 * MS, 0, .as_ready = {.site = ID_NONE, .waited_ns = 95 * MS});
	assert_int_equal(r->victims_count, 1);
	TICK(m, T0 + 5 * SEC);
	assert_int_equal(r->victims_count, 1);
	TICK(m, T0 + 6 * SEC);
	assert_int_equal(r->victims_count, 0);
	model_free(m);
}

static void ready_waits(void **state)
{
	struct model *m = watched();
	const struct runtime *r = model_runtime(m, 0);

	(void)state;
	ready(m, T0 + 100 * MS, 1, 60 * MS);
	ready(m, T0 + 200 * MS, 2, 3 * MS);  /* too short to count */
	ready(m, T0 + 300 * MS, 1, 80 * MS); /* the same task again */
	assert_int_equal(r->ready_seen, 1);
	assert_int_equal(r->ready_worst_ns, 80 * MS);
	TICK(m, T0 + 1 * SEC);
	assert_int_equal(m->ready_count, 3);
	ready(m, T0 + 1500 * MS, 3, 7 * MS);
	assert_int_equal(m->ready_count, 4);
	TICK(m, T0 + 2 * SEC);
	assert_int_equal(m->ready_count, 1);
	assert_int_equal(m->ready[0].ready.task_id, 3);
	assert_int_equal(m->ready[0].time_ns, T0 + 1500 * MS);
	TICK(m, T0 + 3 * SEC);
	assert_int_equal(m->ready_count, 0);
	assert_int_equal(r->ready_seen, 2);
	assert_int_equal(r->ready_worst_ns, 80 * MS);
	/* The first second leaves the window of five. */
	TICK(m, T0 + 5 * SEC);
	assert_int_equal(r->ready_seen, 1);
	assert_int_equal(r->ready_worst_ns, 7 * MS);
	TICK(m, T0 + 6 * SEC);
	assert_int_equal(r->ready_seen, 0);
	assert_int_equal(r->ready_worst_ns, 0);
	model_free(m);
}

static void ready_waits_bounded(void **state)
{
	struct model *m = watched();
	const struct runtime *r = model_runtime(m, 0);

	(void)state;
	for (uint32_t i = 0; i < MODEL_READY + 100; i++)
		ready(m, T0, i, 6 * MS + i);
	assert_int_equal(m->ready_count, MODEL_READY);
	assert_int_equal(m->ready_dropped, 100);
	assert_int_equal(r->ready_seen, MODEL_READY + 100);
	assert_int_equal(r->ready_worst_ns, 6 * MS + MODEL_READY + 99);
	/* More tasks than are told apart: room is made once they are old. */
	for (uint32_t i = 0; i < 20 * MODEL_READY; i++)
		ready(m, T0 + SEC, 100000 + i, 6 * MS);
	assert_in_range(r->ready_seen, 15 * MODEL_READY, 16 * MODEL_READY);
	ready(m, T0 + 60 * SEC, 999999, 6 * MS);
	assert_int_equal(r->ready_seen, 1);
	model_free(m);
}

static void cost(struct model *m, uint64_t second, uint64_t cost_ns, uint64_t cpu_ns, uint64_t own)
{
	APPLY(m, EV_COST, T0 + second * SEC, ID_NONE,
	      .as_cost = {.cost_ns = cost_ns, .target_cpu_ns = cpu_ns, .agent_cpu_ns = own});
	TICK(m, T0 + second * SEC);
}

static void overhead(void **state)
{
	struct model *m = watched();

	(void)state;
	assert_true(model_overhead_ratio(m, 1) < 0);
	cost(m, 1, 0, 0, 50 * MS);
	assert_true(model_overhead_ratio(m, 1) < 0);
	assert_true(model_agent_ratio(m, 1) < 0);
	cost(m, 2, 10 * MS, 1 * SEC, 80 * MS);
	close_to(model_overhead_ratio(m, 1), 0.01);
	close_to(model_agent_ratio(m, 1), 0.03);
	/* An idle target counts as a quarter of a core. */
	cost(m, 3, 25 * MS / 2, 1 * SEC + 1, 80 * MS);
	close_to(model_overhead_ratio(m, 1), 0.01);
	close_to(model_agent_ratio(m, 1), 0);
	/* The history there is, when more is asked for. */
	close_to(model_overhead_ratio(m, 60), 12.5 * MS / (1.0 * SEC + 1));
	close_to(model_agent_ratio(m, 60), 0.015);
	model_free(m);
}

static void lose(struct model *m, uint64_t time_ns, uint64_t count)
{
	APPLY(m, EV_LOST, time_ns, ID_NONE, .as_lost = {.stage = "ring", .count = count});
}

static void losses(void **state)
{
	struct model *m = watched();

	(void)state;
	lose(m, T0, 0);
	assert_int_equal(m->loss_last.count, 0);
	TICK(m, T0 + 1 * SEC);
	lose(m, T0 + 1900 * MS, 5);
	assert_int_equal(m->loss_last.begin_ns, T0 + 1 * SEC);
	assert_int_equal(m->loss_last.end_ns, T0 + 1900 * MS);
	TICK(m, T0 + 2 * SEC);
	lose(m, T0 + 2900 * MS, 2);
	assert_int_equal(m->loss_last.begin_ns, T0 + 1 * SEC);
	assert_int_equal(m->loss_last.end_ns, T0 + 2900 * MS);
	assert_int_equal(m->loss_last.count, 7);
	/* A tick without loss between: another interval. */
	TICK(m, T0 + 3 * SEC);
	TICK(m, T0 + 4 * SEC);
	lose(m, T0 + 4500 * MS, 1);
	assert_int_equal(m->loss_last.begin_ns, T0 + 4 * SEC);
	assert_int_equal(m->loss_last.count, 1);
	assert_int_equal(m->lost, 8);
	model_free(m);
}

/* Ticks can come more often than losses are looked for; the interval reaches back to that look. */
static void losses_between_looks(void **state)
{
	struct model *m = watched();

	(void)state;
	for (uint64_t i = 1; i <= 12; i++) {
		if (i == 8)
			lose(m, T0 + i * 50 * MS, 3);
		if (i == 12)
			lose(m, T0 + i * 50 * MS, 4);
		if (i % 4 == 0)
			APPLY(m, EV_COST, T0 + i * 50 * MS, ID_NONE, .as_cost = {.hits = i});
		TICK(m, T0 + i * 50 * MS);
	}
	assert_int_equal(m->loss_last.begin_ns, T0 + 200 * MS);
	assert_int_equal(m->loss_last.end_ns, T0 + 600 * MS);
	assert_int_equal(m->loss_last.count, 7);
	/* A look without loss, then one with. */
	APPLY(m, EV_COST, T0 + 800 * MS, ID_NONE, .as_cost = {.hits = 20});
	TICK(m, T0 + 800 * MS);
	lose(m, T0 + 1000 * MS, 1);
	assert_int_equal(m->loss_last.begin_ns, T0 + 800 * MS);
	assert_int_equal(m->loss_last.count, 1);
	model_free(m);
}

static void notes(void **state)
{
	struct model *m = watched();
	char text[400];

	(void)state;
	/* 191 bytes fit; the cut may not leave half of a two-byte character. */
	memset(text, 'a', sizeof(text));
	memcpy(text + 190, "\xc3\xa9", 2);
	text[399] = '\0';
	for (int i = 0; i < 17; i++)
		APPLY(m, EV_NOTE, T0 + i, ID_NONE,
		      .as_note = {.severity = NOTE_WARNING, .text = i == 16 ? text : "hello"});
	assert_int_equal(m->notes_count, 17);
	assert_int_equal(strlen(m->notes[0].text), 190);
	assert_int_equal(m->notes[0].time_ns, T0 + 16);
	assert_string_equal(m->notes[1].text, "hello");
	assert_int_equal(m->notes[1].severity, NOTE_WARNING);
	model_free(m);
}

/* Names come from symbol tables and files: whatever their length, 4096 bytes are kept. */
static void long_names(void **state)
{
	static char name[9000];
	struct model *m = watched();

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	APPLY(m, EV_SITE, T0, 0, .as_site = {.site = 0, .name = name});
	assert_int_equal(strlen(model_site(m, 0)->name), 4096);
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(announcements),
		cmocka_unit_test(ids_in_any_order),
		cmocka_unit_test(hostile_references),
		cmocka_unit_test(time_never_goes_back),
		cmocka_unit_test(site_statistics),
		cmocka_unit_test(seconds_of_a_site),
		cmocka_unit_test(queues_are_copied),
		cmocka_unit_test(ready_victims),
		cmocka_unit_test(ready_waits),
		cmocka_unit_test(ready_waits_bounded),
		cmocka_unit_test(overhead),
		cmocka_unit_test(losses),
		cmocka_unit_test(losses_between_looks),
		cmocka_unit_test(notes),
		cmocka_unit_test(long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
