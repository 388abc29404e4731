// SPDX-License-Identifier: LGPL-2.1-or-later
/* The pipeline: what each sink sees, in which order, and what ends it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pipeline.h"

/* Writes one letter a call, so that a test can compare the order as a string. */
struct recorder {
	struct sink sink;
	char log[64];
	int fail; /* what snapshot() returns */
};

static void note(struct sink *sink, char c)
{
	struct recorder *r = (struct recorder *)sink;
	size_t len = strlen(r->log);

	assert_true(len + 1 < sizeof(r->log));
	r->log[len] = c;
}

static int rec_open(struct sink *sink, const struct snapshot *snap)
{
	/* The targets are known by now. */
	assert_int_equal(snap->model->targets_count, 1);
	note(sink, 'o');
	return 0;
}

static int rec_event(struct sink *sink, const struct event *event)
{
	note(sink, event->kind == EV_TICK ? 't' : 'e');
	return 0;
}

static int rec_snapshot(struct sink *sink, const struct snapshot *snap)
{
	assert_true(snap->model->ticks > 0);
	note(sink, 's');
	return ((struct recorder *)sink)->fail;
}

static int rec_finish(struct sink *sink, const struct snapshot *snap)
{
	(void)snap;
	note(sink, 'f');
	return 0;
}

static const struct sink_ops all_ops = {
	.open = rec_open,
	.event = rec_event,
	.snapshot = rec_snapshot,
	.finish = rec_finish,
};
static const struct sink_ops end_ops = {.finish = rec_finish};

static int fake_drain(struct source *source, event_fn fn, void *ctx)
{
	struct event event = {.kind = EV_TARGET,
			      .time_ns = 1,
			      .as_target = {
				      .pid = 7,
				      .comm = "x",
				      .exe = "/x",
				      .cpus = 1,
			      }};

	(void)source;
	return fn(ctx, &event);
}

static int fake_tick(struct source *source, event_fn fn, void *ctx)
{
	struct event event = {.kind = EV_TICK, .target = ID_NONE, .time_ns = 2};

	(void)source;
	return fn(ctx, &event);
}

static const struct source_ops fake_ops = {.drain = fake_drain, .tick = fake_tick};

struct world {
	struct source source;
	struct model *model;
	struct rules *rules;
	struct pipeline p;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->source.ops = &fake_ops;
	w->model = model_new();
	assert_int_equal(rules_load_builtin(&w->rules, NULL), 0);
	pipeline_init(&w->p, &w->source, w->model, w->rules, "top");
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	rules_free(w->rules);
	model_free(w->model);
	free(w);
	return 0;
}

static void sinks_in_order(void **state)
{
	struct recorder all = {.sink.ops = &all_ops}, end = {.sink.ops = &end_ops};
	struct world *w = *state;

	pipeline_add(&w->p, &all.sink);
	pipeline_add(&w->p, &end.sink);
	assert_int_equal(pipeline_redraw(&w->p), 0);
	assert_string_equal(all.log, ""); /* nothing to show before the first tick */
	assert_int_equal(pipeline_drain(&w->p), 0);
	assert_int_equal(pipeline_tick(&w->p), 0);
	assert_int_equal(pipeline_tick(&w->p), 0);
	assert_int_equal(pipeline_redraw(&w->p), 0);
	assert_int_equal(pipeline_finish(&w->p), 0);
	assert_string_equal(all.log, "etostssf");
	assert_string_equal(end.log, "f");
	assert_int_equal(w->p.rejected, 0);
}

static void an_error_ends_the_stream(void **state)
{
	struct recorder bad = {.sink.ops = &all_ops, .fail = -EPIPE};
	struct recorder next = {.sink.ops = &all_ops};
	struct world *w = *state;

	pipeline_add(&w->p, &bad.sink);
	pipeline_add(&w->p, &next.sink);
	assert_int_equal(pipeline_drain(&w->p), 0);
	assert_int_equal(pipeline_tick(&w->p), -EPIPE);
	assert_string_equal(next.log, "eto");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sinks_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(an_error_ends_the_stream, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
