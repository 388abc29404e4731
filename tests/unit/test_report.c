// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The report: its verdict and caveats, what it keeps of the course of time, the tree of stacks, and
 * that nothing a target calls itself leaves the place for data in the page.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "sink/report.h"
#include "sink_fixture.h"
#include "util/xalloc.h"

#define SEC 1000000000ULL
#define MS 1000000ULL

/* The fixture tells of ticks, which history does not want to know. */
struct listener {
	struct sink sink;
	struct history *history;
};

static int pass_event(struct sink *sink, const struct event *event)
{
	struct history *h = ((struct listener *)sink)->history;

	return h->sink.ops->event(&h->sink, event);
}

static int pass_nothing(struct sink *sink, const struct snapshot *snap)
{
	(void)sink;
	(void)snap;
	return 0;
}

static const struct sink_ops listener_ops = {.event = pass_event, .snapshot = pass_nothing};

struct world {
	struct fixture f;
	struct listener listener;
	struct trace_reader trace;
	struct report report;
};

static void world_open(struct world *w, const char *comm)
{
	*w = (struct world){
		.listener = {.sink = {.ops = &listener_ops},
			     .history = history_new(NULL, FIXTURE_BEGIN, FIXTURE_BEGIN + 12 * SEC)},
		.trace = {.path = "t.trace", .host = "box", .program = "x", .kernel = "6.18"},
	};
	fixture_open_with(&w->f, "report", comm, &w->listener.sink);
	w->listener.history->model = w->f.model;
	w->report = (struct report){
		.snap = &w->f.snap,
		.history = w->listener.history,
		.trace = &w->trace,
		.version = "0.1.0",
	};
}

static void world_close(struct world *w)
{
	w->listener.history->sink.ops->close(&w->listener.history->sink);
	fixture_close(&w->f);
}

static void caveat_add(void *ctx, const char *text)
{
	char **all = ctx, *more = xasprintf("%s%s\n", *all, text);

	free(*all);
	*all = more;
}

static char *caveats(const struct world *w)
{
	char *all = xstrdup("");

	report_caveats(&w->report, caveat_add, &all);
	return all;
}

static void verdicts(void **state)
{
	struct trace_chunk first = {.type = CHUNK_KEYFRAME};
	struct verdict v;
	struct world w;
	char *text;

	(void)state;
	world_open(&w, "shop");
	report_verdict(&w.report, &v);
	assert_false(v.found || v.judged);
	assert_non_null(strstr(v.text, "nothing could be judged"));
	fixture_run(&w.f, 2);
	fixture_apply(&w.f, (struct event){.kind = EV_SITE_STATS,
					   .as_site_stats = {.polls = 7, .busy_ns = 9}});
	report_verdict(&w.report, &v);
	assert_true(v.judged && !v.found);
	assert_non_null(strstr(v.text, "healthy: no finding in 2.00 s of shop (pid 4242)"));
	text = caveats(&w);
	assert_string_equal(text, "");
	free(text);

	/* A file that begins within a watch has the counters of all of it, but not its polls. */
	w.trace.chunks = &first;
	w.trace.chunks_count = 1;
	for (uint32_t i = 0; i < w.listener.history->slices; i++)
		w.listener.history->slice[i].polls = 0;
	report_verdict(&w.report, &v);
	assert_false(v.judged || v.found);
	w.trace.chunks_count = 0;

	fixture_block(&w.f, FIXTURE_CHECKOUT, 7, 20);
	fixture_tick(&w.f);
	fixture_block(&w.f, FIXTURE_CART, 8, 400);
	fixture_tick(&w.f);
	report_verdict(&w.report, &v);
	assert_true(v.found);
	assert_int_equal(v.severity, SEVERITY_CRITICAL);
	assert_non_null(strstr(v.text, "1 critical, 1 warning findings"));
	assert_non_null(strstr(v.text, "blocking-call: shop::cart"));
	/* It closes, and stays the worst. */
	w.f.now += 20 * SEC;
	fixture_block(&w.f, FIXTURE_CHECKOUT, 7, 20);
	fixture_tick(&w.f);
	report_verdict(&w.report, &v);
	assert_int_equal(v.severity, SEVERITY_CRITICAL);
	assert_non_null(strstr(v.text, "blocking-call: shop::cart"));
	world_close(&w);
}

static void losses(void **state)
{
	struct trace_chunk first = {.type = CHUNK_KEYFRAME};
	struct world w;
	char *text;

	(void)state;
	world_open(&w, "shop");
	w.trace.incomplete = true;
	w.trace.chunks = &first;
	w.trace.chunks_count = 1;
	w.trace.skipped_bytes = 1234;
	fixture_apply(&w.f,
		      (struct event){.kind = EV_LOST, .as_lost = {.stage = "ring", .count = 3}});
	fixture_apply(&w.f,
		      (struct event){.kind = EV_LOST, .as_lost = {.stage = "trace", .count = 40}});
	fixture_apply(&w.f,
		      (struct event){
			      .kind = EV_LOST,
			      .as_lost = {.stage = "unwinder", .count = 500, .what = LOST_STACKS}});
	text = caveats(&w);
	assert_non_null(strstr(text, "incomplete"));
	assert_non_null(strstr(text, "begins in the middle of a watch"));
	assert_non_null(strstr(text, "1234 bytes could not be read"));
	assert_non_null(strstr(text, "at least 40 events of the trace could not be read"));
	assert_non_null(strstr(text, "\n3 events were lost in the recording"));
	free(text);
	/* Neighbours in time are one loss. */
	assert_int_equal(w.listener.history->losses_count, 1);
	assert_int_equal(w.listener.history->losses[0].count, 43);
	world_close(&w);
}

static double sum_of(const struct history *h, enum slice_time time)
{
	double sum = 0;

	for (uint32_t i = 0; i < h->slices; i++)
		sum += h->slice[i].times[time];
	return sum;
}

static void is_about(double ns, uint64_t expected_ns)
{
	assert_true(ns > (double)(expected_ns - MS) && ns < (double)(expected_ns + MS));
}

/* What threads did is all in the slices, and where it belongs. */
static void slices(void **state)
{
	struct world w;
	const struct history *h;

	(void)state;
	world_open(&w, "shop");
	fixture_run(&w.f, 10);
	h = w.listener.history;
	assert_true(h->slices <= HISTORY_SLICES && h->slices * h->slice_ns >= 10 * SEC);
	assert_true(sum_of(h, SLICE_BUSY) > 4.999 * SEC && sum_of(h, SLICE_BUSY) < 5.001 * SEC);
	assert_true(sum_of(h, SLICE_PARKED) > 9.99 * SEC);
	assert_int_equal(h->lanes_count, 2);
	/* Half of a slice in the middle. */
	assert_true(h->slice[3 * SEC / h->slice_ns].times[SLICE_BUSY] > 0.49 * (double)h->slice_ns);
	assert_true(h->slice[3 * SEC / h->slice_ns].times[SLICE_BUSY] < 0.51 * (double)h->slice_ns);
	assert_true(h->slice[h->slices - 1].times[SLICE_BUSY] == 0);
	world_close(&w);
}

/* A thread that has run for long before the recording does not fill its first slice. */
static void counted_before(void **state)
{
	struct event event = {
		.kind = EV_THREAD,
		.as_thread = {.tid = 9,
			      .comm = "w",
			      .runtime = ID_NONE,
			      .worker = true,
			      .site = ID_NONE,
			      .syscall = -1,
			      .first_ns = FIXTURE_BEGIN - 3 * SEC,
			      .busy_ns = 2 * SEC},
	};
	struct world w;

	(void)state;
	world_open(&w, "shop");
	w.f.now += SEC;
	fixture_apply(&w.f, event);
	assert_true(sum_of(w.listener.history, SLICE_BUSY) == 0);
	is_about(sum_of(w.listener.history, SLICE_UNKNOWN), SEC);
	w.f.now += SEC;
	event.as_thread.busy_ns += 250 * MS;
	fixture_apply(&w.f, event);
	is_about(sum_of(w.listener.history, SLICE_BUSY), 250 * MS);
	is_about(sum_of(w.listener.history, SLICE_UNKNOWN), SEC);
	/* From now on not all polls are seen: no part of the time is said to be busy, or not. */
	w.f.now += 2 * SEC;
	event.as_thread.busy_ns += 100 * MS;
	event.as_thread.unaccounted = true;
	fixture_apply(&w.f, event);
	is_about(sum_of(w.listener.history, SLICE_BUSY), 250 * MS);
	is_about(sum_of(w.listener.history, SLICE_UNKNOWN), 3 * SEC);
	world_close(&w);
}

static size_t moments_of(const struct world *w, enum moment_kind kind, const char *text)
{
	struct moment *list;
	size_t count = report_moments(&w->report, &list), found = 0;

	for (size_t i = 0; i < count; i++) {
		assert_true(!i || list[i - 1].begin_ns <= list[i].begin_ns);
		found += list[i].kind == kind && (!text || strstr(list[i].text, text));
	}
	free(list);
	return found;
}

static void wait_seen(struct world *w, uint64_t key, uint64_t waited_ns)
{
	fixture_apply(&w->f, (struct event){.kind = EV_READY,
					    .as_ready = {.site = FIXTURE_CART,
							 .task_id = key,
							 .key = key,
							 .waited_ns = waited_ns,
							 .ready = 1}});
}

/* The longest are kept, a wait that is looked at twice is one, work of the pool is not bad. */
static void moments(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "shop");
	fixture_run(&w.f, 1);
	for (unsigned int i = 0; i < HISTORY_POLLS + 20; i++) {
		w.f.now += 20 * MS;
		fixture_block(&w.f, FIXTURE_CHECKOUT, i + 1, 11 + i % 4);
	}
	w.f.now += SEC;
	fixture_block(&w.f, FIXTURE_CART, 99, 700);
	assert_int_equal(w.listener.history->polls_all, HISTORY_POLLS + 21);
	assert_int_equal(moments_of(&w, MOMENT_POLL, NULL), HISTORY_POLLS);
	assert_int_equal(moments_of(&w, MOMENT_POLL, "a poll of 700 ms, blocked 700 ms"), 1);

	wait_seen(&w, 1, 20 * MS);
	w.f.now += 10 * MS;
	wait_seen(&w, 1, 30 * MS);
	wait_seen(&w, 2, 8 * MS);
	wait_seen(&w, 3, 1 * MS);
	assert_int_equal(moments_of(&w, MOMENT_WAIT, NULL), 2);
	assert_int_equal(moments_of(&w, MOMENT_WAIT, "at least 30.0 ms"), 1);

	fixture_apply(
		&w.f,
		(struct event){.kind = EV_SITE,
			       .as_site = {.site = 3, .kind = SITE_BLOCKING, .name = "pool work"}});
	fixture_block(&w.f, 3, 0, 900);
	assert_int_equal(w.listener.history->polls_all, HISTORY_POLLS + 21);
	world_close(&w);
}

static uint64_t child_value(const struct stack_tree *tree, uint32_t parent, const char *name)
{
	for (uint32_t i = tree->nodes[parent].first; i; i = tree->nodes[i].next)
		if (!strcmp(tree->nodes[i].name, name))
			return tree->nodes[i].value;
	return UINT64_MAX;
}

static void stack_of(struct world *w, uint32_t tid, uint64_t start_ns, unsigned int ms, bool open)
{
	const struct frame frames[] = {
		{.function = "std::thread::sleep", .origin = FRAME_STD},
		{.function = "shop::db", .origin = FRAME_USER},
		{.function = "tokio::poll", .origin = FRAME_BOUNDARY},
		{.function = "tokio::run", .origin = FRAME_RUNTIME},
	};

	fixture_apply(&w->f, (struct event){.kind = EV_STACK,
					    .as_stack = {.tid = tid,
							 .site = FIXTURE_CART,
							 .poll_start_ns = start_ns,
							 .kind = STACK_OFF_CPU,
							 .span_ns = ms * MS,
							 .open = open,
							 .syscall = 230,
							 .frames = frames,
							 .frames_count = 4}});
}

/* A block that was told while it was open counts once; frames outside the task do not count. */
static void stacks(void **state)
{
	const struct stack_tree *tree;
	uint32_t site;
	struct world w;

	(void)state;
	world_open(&w, "shop");
	tree = &w.listener.history->stacks;
	stack_of(&w, 5, 100, 10, true);
	stack_of(&w, 5, 100, 30, true);
	stack_of(&w, 5, 100, 50, false);
	stack_of(&w, 5, 100, 50, false); /* another block of the same poll */
	stack_of(&w, 6, 100, 7, false);
	assert_int_equal(tree->nodes[STACK_OFF_CPU].value, 107 * MS);
	assert_int_equal(tree->stacks[STACK_OFF_CPU], 3);
	assert_int_equal(tree->nodes[STACK_ON_CPU].value, 0);
	site = tree->nodes[STACK_OFF_CPU].first;
	assert_int_equal(tree->nodes[site].value, 107 * MS);
	assert_int_equal(child_value(tree, site, "shop::db"), 107 * MS);
	assert_int_equal(child_value(tree, site, "tokio::poll"), UINT64_MAX);
	assert_int_equal(child_value(tree, tree->nodes[site].first, "std::thread::sleep"),
			 107 * MS);
	world_close(&w);
}

/* More functions than there is room for: the sums stay right, and it is said. */
static void many_stacks(void **state)
{
	const struct stack_tree *tree;
	struct world w;
	char name[32];

	(void)state;
	world_open(&w, "shop");
	tree = &w.listener.history->stacks;
	for (uint32_t i = 0; i < STACK_TREE_NODES + 100; i++) {
		const struct frame frame = {.function = name, .origin = FRAME_USER};

		snprintf(name, sizeof(name), "f%u", i);
		fixture_apply(&w.f, (struct event){.kind = EV_STACK,
						   .as_stack = {.tid = 5,
								.site = FIXTURE_CART,
								.kind = STACK_ON_CPU,
								.syscall = -1,
								.frames = &frame,
								.frames_count = 1}});
	}
	assert_int_equal(tree->count, STACK_TREE_NODES);
	assert_int_equal(tree->nodes[STACK_ON_CPU].value, STACK_TREE_NODES + 100);
	assert_true(tree->cut >= 100);
	world_close(&w);
}

/* Names of a target can not end the element of the data, and long numbers stay exact. */
static void page(void **state)
{
	char *data, *end;
	struct world w;
	cJSON *parsed;

	(void)state;
	world_open(&w, "</script><script>alert(1)</script>\033[2J");
	fixture_run(&w.f, 1);
	fixture_block(&w.f, FIXTURE_HOSTILE, FIXTURE_BIG, 400);
	fixture_stack(&w.f, FIXTURE_HOSTILE, 400);
	fixture_tick(&w.f);
	assert_int_equal(report_html(w.f.out, &w.report), 0);
	fixture_has_not(&w.f, "alert(1)</script>");
	fixture_has_not(&w.f, "\033");
	fixture_has(&w.f, "\\u003c/script>\\u003cscript>alert(1)");
	fixture_has(&w.f, "\"9007199254740995\"");
	fixture_has(&w.f, "Content-Security-Policy");
	data = strstr(w.f.text, "id=\"data\">");
	assert_non_null(data);
	data += strlen("id=\"data\">");
	end = strstr(data, "</script>");
	assert_non_null(end);
	*end = '\0';
	parsed = cJSON_Parse(data);
	assert_true(cJSON_IsArray(parsed));
	assert_true(cJSON_GetArraySize(parsed) > 10);
	cJSON_Delete(parsed);
	/* Nothing that a browser would fetch. */
	*end = '<';
	fixture_has_not(&w.f, "src=");
	fixture_has_not(&w.f, "@import");
	fixture_has_not(&w.f, "url(");
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),    cmocka_unit_test(losses),
		cmocka_unit_test(slices),      cmocka_unit_test(counted_before),
		cmocka_unit_test(moments),     cmocka_unit_test(stacks),
		cmocka_unit_test(many_stacks), cmocka_unit_test(page),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
