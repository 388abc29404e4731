// SPDX-License-Identifier: LGPL-2.1-or-later
/* The sinks that keep: a file with rotation, the flight recorder, and what a keyframe is worth. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "sink/trace.h"
#include "sink/view.h"
#include "sink_fixture.h"
#include "trace_events.h"
#include "trace/recorder.h"
#include "trace/replay.h"
#include "trace/ring.h"
#include "util/xalloc.h"

#define SEC UINT64_C(1000000000)

struct world {
	char dir[32], path[64];
	struct trace_info info;
	struct fixture f;
	char told[400];
	unsigned int told_count;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/stalltop-sinkXXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/t.trace", w->dir);
	w->info = (struct trace_info){.host = "box", .program = "test"};
	*state = w;
	return 0;
}

/* Names in the folder; each file is removed when asked for. */
static unsigned int list_files(const struct world *w, char names[16][64], bool unlink_too)
{
	DIR *dir = opendir(w->dir);
	const struct dirent *e;
	unsigned int count = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) && count < 16) {
		char path[400];

		if (e->d_name[0] == '.')
			continue;
		snprintf(names[count++], 64, "%.60s", e->d_name);
		snprintf(path, sizeof(path), "%s/%s", w->dir, e->d_name);
		if (unlink_too)
			unlink(path);
	}
	closedir(dir);
	return count;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char names[16][64];

	list_files(w, names, true);
	rmdir(w->dir);
	free(w);
	return 0;
}

/* --- keyframes ------------------------------------------------------------------------------- */

static int take_bytes(void *ctx, const struct event *event)
{
	trace_encoder_add(ctx, event);
	return 0;
}

static int take_event(void *ctx, const struct event *event)
{
	return model_apply(ctx, event);
}

/* Told to a new model and told on by it, nothing is lost and nothing is added. */
static void announced_twice_is_the_same(void **state)
{
	struct trace_encoder *first = trace_encoder_new(), *second = trace_encoder_new();
	struct model *copy = model_new();
	struct world *w = *state;
	uint32_t depths[2] = {3, 4};

	fixture_open(&w->f, "record", "shop");
	fixture_run(&w->f, 3);
	fixture_apply(&w->f, (struct event){.kind = EV_QUEUES,
					    .as_queues = {.inject = 7,
							  .local = 7,
							  .alive = -1,
							  .workers = 2,
							  .local_each = depths,
							  .reason = "why",
							  .source = "dwarf"}});
	fixture_apply(&w->f, (struct event){.kind = EV_COST, .as_cost = {.hits = 9, .level = 2}});
	fixture_apply(&w->f, (struct event){.kind = EV_NOTE, .as_note = {.text = "noted"}});
	fixture_apply(&w->f, (struct event){.kind = EV_THREAD_END, .as_thread_end = {.tid = 4244}});
	assert_int_equal(model_announce(w->f.model, take_bytes, first), 0);
	assert_int_equal(model_announce(w->f.model, take_event, copy), 0);
	assert_int_equal(copy->refused, 0);
	assert_int_equal(model_announce(copy, take_bytes, second), 0);
	assert_int_equal(trace_encoder_bytes(first)->len, trace_encoder_bytes(second)->len);
	assert_memory_equal(trace_encoder_bytes(first)->data, trace_encoder_bytes(second)->data,
			    trace_encoder_bytes(first)->len);
	assert_int_equal(model_site(copy, FIXTURE_CART)->polls,
			 model_site(w->f.model, FIXTURE_CART)->polls);
	assert_int_equal(model_runtime(copy, 0)->queues.local_each[1], 4);
	assert_true(model_worker(copy, 0, 4244)->ended);
	trace_encoder_free(first);
	trace_encoder_free(second);
	model_free(copy);
	fixture_close(&w->f);
}

/* What the watch had cost before is no cost of what was seen. */
static void cost_since_the_keyframe(void **state)
{
	struct world *w = *state;
	struct model *copy = model_new();
	struct event more = {.kind = EV_COST,
			     .target = ID_NONE,
			     .as_cost = {.hits = 9,
					 .level = 2,
					 .cost_ns = SEC,
					 .target_cpu_ns = 100 * SEC,
					 .agent_cpu_ns = 10 * SEC}};
	struct totals totals;

	fixture_open(&w->f, "record", "shop");
	fixture_run(&w->f, 100);
	fixture_apply(&w->f, more);
	assert_int_equal(model_announce(w->f.model, take_event, copy), 0);
	more.time_ns = copy->now_ns + 4 * SEC;
	more.as_cost.cost_ns += SEC / 10;
	more.as_cost.target_cpu_ns += 2 * SEC;
	more.as_cost.agent_cpu_ns += SEC / 5;
	assert_int_equal(model_apply(copy, &more), 0);
	totals_of(&totals, copy);
	assert_float_equal(totals.overhead_ratio, 0.05, 1e-6);
	assert_float_equal(totals.agent_ratio, 0.05, 1e-6);
	model_free(copy);
	fixture_close(&w->f);
}

struct told_events {
	struct random_event *want;
	uint32_t found;
};

static int compare_told(void *ctx, const struct event *event)
{
	struct told_events *t = ctx;

	for (uint32_t i = 0; i < 7; i++) {
		if (t->want[i].event.kind != event->kind)
			continue;
		same_event(&t->want[i].event, event);
		t->found |= 1u << i;
	}
	return 0;
}

/* Whatever these events have, also what will be added to them, a keyframe has. */
static void every_field_is_announced(void **state)
{
	static const enum event_kind kinds[] = {EV_TARGET, EV_BINARY, EV_RUNTIME, EV_SITE,
						EV_THREAD, EV_QUEUES, EV_COST};
	struct random_event *r = xcalloc(7, sizeof(*r));
	struct told_events told = {.want = r};
	struct model *m = model_new();

	(void)state;
	for (uint32_t i = 0; i < 7; i++) {
		struct event *e = &r[i].event;

		r[i].seed = 99 + i;
		/* Until no text is missing: those that the model keeps as "" would differ. */
		random_fill(&r[i], kinds[i]);
		e->target = kinds[i] == EV_COST ? ID_NONE : 0;
		e->time_ns = 7 * SEC;
		if (e->kind == EV_TARGET)
			e->as_target.comm = "comm", e->as_target.exe = "exe";
		if (e->kind == EV_BINARY)
			e->as_binary.binary = 0, e->as_binary.path = "path",
			e->as_binary.runtime = "tokio";
		if (e->kind == EV_RUNTIME)
			e->as_runtime.runtime = e->as_runtime.binary = 0;
		if (e->kind == EV_SITE)
			e->as_site.site = e->as_site.binary = 0, e->as_site.name = "name",
			e->as_site.location = "src/main.rs:7";
		if (e->kind == EV_THREAD)
			e->as_thread.runtime = e->as_thread.site = 0, e->as_thread.comm = "comm";
		if (e->kind == EV_QUEUES)
			e->as_queues.runtime = 0;
		assert_int_equal(model_apply(m, e), 0);
	}
	assert_int_equal(model_announce(m, compare_told, &told), 0);
	assert_int_equal(told.found, 0x7f);
	model_free(m);
	free(r);
}

/* --- a file ----------------------------------------------------------------------------------- */

static struct sink *open_trace(struct world *w, uint64_t max_size, unsigned int max_files)
{
	struct err err = {0};
	struct sink *sink;

	assert_int_equal(trace_sink_new(&(struct trace_sink_opts){.path = w->path,
								  .info = &w->info,
								  .max_size = max_size,
								  .max_files = max_files},
					&sink, &err),
			 0);
	return sink;
}

struct played {
	struct model *model;
	struct rules *rules;
	uint64_t events, ticks;
};

static int play_event(void *ctx, const struct event *event)
{
	struct played *p = ctx;

	p->events++;
	model_apply(p->model, event);
	if (event->kind == EV_TICK) {
		p->ticks++;
		rules_eval(p->rules, p->model);
	}
	return 0;
}

static void played_open(struct played *p)
{
	*p = (struct played){.model = model_new()};
	assert_int_equal(rules_load_builtin(&p->rules, NULL), 0);
}

static void played_close(struct played *p)
{
	model_free(p->model);
	rules_free(p->rules);
}

static struct source *open_source(const char *path)
{
	struct err err = {0};
	struct source *source;

	if (replay_open(path, &source, &err))
		fail_msg("%s", err.msg);
	return source;
}

/* 40 s with keyframes: from the start nobody sees them, after a jump they are the start. */
static void keyframes_and_seek(void **state)
{
	struct world *w = *state;
	struct sink *sink = open_trace(w, 0, 1);
	struct source *source;
	struct played p;
	uint64_t whole;

	fixture_open_with(&w->f, "record", "shop", sink);
	for (int i = 0; i < 40; i++) {
		fixture_run(&w->f, 1);
		if (i == 2)
			fixture_block(&w->f, FIXTURE_CHECKOUT, 5, 150);
	}
	assert_int_equal(sink->ops->finish(sink, &w->f.snap), 0);
	sink->ops->close(sink);
	source = open_source(w->path);
	assert_int_equal(replay_reader(source)->chunks[0].type, CHUNK_DATA);
	played_open(&p);
	assert_int_equal(source->ops->drain(source, play_event, &p), 1);
	whole = p.events;
	assert_int_equal(p.ticks, 40);
	assert_int_equal(p.model->refused, 0);
	assert_int_equal(whole, 6 + 40 * 4 + 1);
	played_close(&p);

	/* Few events: from the start, and everything is there. */
	played_open(&p);
	assert_true(replay_seek(source, FIXTURE_BEGIN + 20 * SEC, SEC, 1000));
	assert_int_equal(replay_until(source, FIXTURE_BEGIN + 20 * SEC, play_event, &p), 0);
	assert_int_equal(p.ticks, 20);
	assert_int_equal(p.model->polls_seq, 1);
	played_close(&p);

	/* Too many: from the keyframe before. */
	played_open(&p);
	assert_false(replay_seek(source, FIXTURE_BEGIN + 35 * SEC, 3 * SEC, 10));
	assert_true(replay_now(source) >= FIXTURE_BEGIN + 21 * SEC);
	assert_int_equal(replay_until(source, FIXTURE_BEGIN + 35 * SEC, play_event, &p), 0);
	assert_int_equal(p.model->refused, 0);
	assert_true(p.ticks >= 3 && p.ticks < 15);
	assert_int_equal(model_site(p.model, FIXTURE_CART)->polls, 35000);
	assert_int_equal(p.model->now_ns, FIXTURE_BEGIN + 35 * SEC);
	assert_string_equal(model_target(p.model, 0)->comm, "shop");
	assert_int_equal(source->ops->drain(source, play_event, &p), 1);
	assert_int_equal(p.model->now_ns, FIXTURE_BEGIN + 40 * SEC);
	played_close(&p);
	source->ops->close(source);
	fixture_close(&w->f);
}

/* Each file of a rotation stands alone; the oldest go. */
static void rotation(void **state)
{
	static const char *const want[] = {"t.trace", "t.trace.1", "t.trace.2"};
	struct world *w = *state;
	struct sink *sink = open_trace(w, 4000, 3);
	struct trace_progress progress;
	char names[16][64];

	fixture_open_with(&w->f, "record", "shop", sink);
	fixture_run(&w->f, 200);
	assert_int_equal(sink->ops->finish(sink, &w->f.snap), 0);
	trace_sink_progress(sink, &progress);
	assert_true(progress.files > 4);
	assert_int_equal(progress.events, 6 + 200 * 4);
	sink->ops->close(sink);
	assert_int_equal(list_files(w, names, false), 3);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct source *source;
		char path[100];
		struct played p;

		snprintf(path, sizeof(path), "%s/%s", w->dir, want[i]);
		source = open_source(path);
		assert_true(replay_reader(source)->size < 6000);
		assert_false(replay_reader(source)->incomplete);
		assert_int_equal(replay_reader(source)->chunks[0].type, CHUNK_KEYFRAME);
		assert_int_equal(replay_reader(source)->binaries_count, 2);
		played_open(&p);
		assert_int_equal(source->ops->drain(source, play_event, &p), 1);
		assert_int_equal(p.model->refused, 0);
		assert_string_equal(model_target(p.model, 0)->comm, "shop");
		played_close(&p);
		source->ops->close(source);
	}
	fixture_close(&w->f);
}

/* --- the flight recorder ----------------------------------------------------------------------- */

static void told(void *ctx, const char *text)
{
	struct world *w = ctx;

	w->told_count++;
	snprintf(w->told, sizeof(w->told), "%s", text);
}

static struct sink *open_flight(struct world *w, uint64_t last_ns, uint64_t budget)
{
	return flight_sink_new(&(struct flight_opts){.path = w->path,
						     .info = &w->info,
						     .last_ns = last_ns,
						     .after_ns = 2 * SEC,
						     .budget_bytes = budget,
						     .on_finding = true,
						     .on_death = true,
						     .severity = SEVERITY_CRITICAL,
						     .max_per_hour = 2,
						     .told = told,
						     .ctx = w});
}

/* A warning is no cause; a critical finding is one, once, and what follows it is in the file. */
static void flight_writes_on_finding(void **state)
{
	struct world *w = *state;
	struct sink *sink = open_flight(w, 20 * SEC, 1 << 20);
	struct source *source;
	char names[16][64], path[100];

	fixture_open_with(&w->f, "record", "shop", sink);
	fixture_run(&w->f, 60);
	fixture_block(&w->f, FIXTURE_CART, 4, 20);
	fixture_run(&w->f, 5);
	assert_int_equal(w->told_count, 0);
	fixture_block(&w->f, FIXTURE_CHECKOUT, 5, 150);
	fixture_run(&w->f, 2);
	assert_int_equal(w->told_count, 0);
	fixture_run(&w->f, 1);
	assert_int_equal(w->told_count, 1);
	assert_non_null(strstr(w->told, "wrote "));
	assert_non_null(strstr(w->told, "(critical blocking-call)"));
	assert_null(strstr(w->told, "only the last"));
	assert_int_equal(list_files(w, names, false), 1);
	snprintf(path, sizeof(path), "%s/%s", w->dir, names[0]);
	source = open_source(path);
	assert_false(replay_reader(source)->incomplete);
	assert_int_equal(replay_reader(source)->chunks[0].type, CHUNK_KEYFRAME);
	/* The finding opened at second 66: 20 s before are there, and 2 s after. */
	assert_true(replay_reader(source)->begin_ns <= FIXTURE_BEGIN + 48 * SEC);
	assert_true(replay_reader(source)->begin_ns >= FIXTURE_BEGIN + 30 * SEC);
	assert_true(replay_end(source) >= FIXTURE_BEGIN + 68 * SEC);
	source->ops->close(source);
	sink->ops->close(sink);
	fixture_close(&w->f);
}

/* What was before the cause is there, however long what follows it is recorded. */
static void flight_looks_back_from_the_cause(void **state)
{
	struct world *w = *state;
	struct sink *sink = flight_sink_new(&(struct flight_opts){.path = w->path,
								  .info = &w->info,
								  .last_ns = 3 * SEC,
								  .after_ns = 25 * SEC,
								  .budget_bytes = 1 << 20,
								  .on_finding = true,
								  .severity = SEVERITY_CRITICAL,
								  .max_per_hour = 1});
	struct source *source;
	char names[16][64], path[100];

	fixture_open_with(&w->f, "record", "shop", sink);
	fixture_run(&w->f, 60);
	fixture_block(&w->f, FIXTURE_CHECKOUT, 5, 150);
	fixture_run(&w->f, 30);
	assert_int_equal(list_files(w, names, false), 1);
	snprintf(path, sizeof(path), "%s/%s", w->dir, names[0]);
	source = open_source(path);
	/* The finding opened at second 61, with keyframes at 70 and 80 before it was written. */
	assert_true(replay_reader(source)->begin_ns <= FIXTURE_BEGIN + 58 * SEC);
	assert_true(replay_end(source) >= FIXTURE_BEGIN + 86 * SEC);
	source->ops->close(source);
	sink->ops->close(sink);
	fixture_close(&w->f);
}

static void flight_death_and_limit(void **state)
{
	struct world *w = *state;
	struct sink *sink = open_flight(w, 20 * SEC, 1 << 20);
	char names[16][64], text[400];

	fixture_open_with(&w->f, "record", "shop", sink);
	fixture_run(&w->f, 3);
	for (int i = 0; i < 3; i++) {
		fixture_block(&w->f, FIXTURE_CHECKOUT, 5, 150);
		/* Until it has closed again. */
		fixture_run(&w->f, 40);
	}
	assert_int_equal(list_files(w, names, false), 2);
	assert_non_null(strstr(w->told, "2 files in an hour"));
	/* An hour later there is room again; the target's death is a cause. */
	w->f.now += 3600 * SEC;
	fixture_apply(&w->f,
		      (struct event){.kind = EV_TARGET_END,
				     .as_target_end = {.reason = TARGET_EXITED, .status = 9}});
	assert_int_equal(sink->ops->finish(sink, &w->f.snap), 0);
	assert_non_null(strstr(w->told, "died by signal 9"));
	assert_int_equal(list_files(w, names, false), 3);
	/* Who asks for one gets it in any case. */
	assert_int_equal(flight_sink_write(sink, "asked for", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "asked for"));
	assert_int_equal(list_files(w, names, false), 4);
	sink->ops->close(sink);
	fixture_close(&w->f);
}

static void flight_cannot_write(void **state)
{
	struct world *w = *state;
	struct sink *sink;
	char text[400];

	snprintf(w->path, sizeof(w->path), "%s/none/t.trace", w->dir);
	sink = open_flight(w, 20 * SEC, 1 << 20);
	fixture_open_with(&w->f, "record", "shop", sink);
	fixture_run(&w->f, 3);
	assert_int_equal(flight_sink_write(sink, "asked for", text, sizeof(text)), -ENOENT);
	assert_non_null(strstr(text, "No such file or directory"));
	assert_non_null(flight_sink_error(sink));
	/* It goes on. */
	fixture_run(&w->f, 3);
	sink->ops->close(sink);
	fixture_close(&w->f);
}

/* Memory stays within the budget, whatever comes; what is kept begins with a keyframe. */
static void flight_budget(void **state)
{
	struct world *w = *state;
	struct sink *sink = open_flight(w, 3600 * SEC, 30000);
	struct trace_progress progress;
	char names[16][64], text[400];

	fixture_open_with(&w->f, "record", "shop", sink);
	for (int i = 0; i < 500; i++) {
		for (uint64_t task = 0; task < 100; task++)
			fixture_apply(&w->f,
				      (struct event){.kind = EV_TASK,
						     .as_task = {.key = task * 7919 * (i + 1),
								 .id = task,
								 .busy_ns = task * 104729 * i}});
		fixture_run(&w->f, 1);
		flight_sink_progress(sink, &progress);
		assert_true(progress.bytes <= 30000 + 15000 + 4000);
	}
	assert_true(progress.bytes > 10000);
	/* An hour was asked for. */
	assert_int_equal(flight_sink_write(sink, "asked for", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "(asked for): only the last "));
	assert_int_equal(list_files(w, names, true), 1);
	sink->ops->close(sink);
	fixture_close(&w->f);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(announced_twice_is_the_same),
		cmocka_unit_test(every_field_is_announced),
		CASE(cost_since_the_keyframe),
		CASE(keyframes_and_seek),
		CASE(rotation),
		CASE(flight_writes_on_finding),
		CASE(flight_looks_back_from_the_cause),
		CASE(flight_death_and_limit),
		CASE(flight_cannot_write),
		CASE(flight_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
