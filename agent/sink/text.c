// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Plain text for pipes and logs: decides what is shown and when; the parts are in text_block.c and
 * text_report.c. A block is built in memory and written at once, so that lines of two writers to
 * the same log do not mix.
 */
#include "sink/sinks.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/out.h"
#include "sink/progress.h"
#include "sink/text_block.h"
#include "sink/view.h"
#include "util/fmt.h"
#include "util/xalloc.h"

#define NS_PER_SEC UINT64_C(1000000000)
#define WIDTH 160
#define LIVE_WORKERS 32
#define LIVE_SITES 10
#define REPORT_SITES 20
#define DUMP_TASKS 1000

struct text_sink {
	struct sink sink;
	FILE *out;
	struct text_style style;
	struct outcome_opts outcome;
	struct progress progress;
	bool begun;
	uint64_t block; /* number of the second that was shown last */
	uint32_t notes; /* shown */
};

/* A stream in memory; block_send() writes it out and frees it. */
struct block {
	FILE *mem;
	char *text;
	size_t size;
};

static void block_open(struct block *b)
{
	b->text = NULL;
	b->mem = open_memstream(&b->text, &b->size);
	if (!b->mem)
		abort();
}

static int block_send(struct block *b, FILE *out)
{
	int rc;

	if (fclose(b->mem))
		abort();
	rc = out_write(out, b->text, b->size);
	free(b->text);
	return rc;
}

static bool is(const struct snapshot *snap, const char *command)
{
	return !strcmp(snap->command, command);
}

/* Shows a block a second, and has no progress to tell. */
static bool is_live(const struct snapshot *snap)
{
	return is(snap, "top") || is(snap, "replay");
}

static void print_clock(FILE *out, const struct snapshot *snap)
{
	time_t wall = (time_t)((snap->model->now_ns + snap->wall_offset_ns) / NS_PER_SEC);
	char text[32], after[FMT_SIZE];
	struct tm tm;

	if (snap->wall_offset_ns && gmtime_r(&wall, &tm) &&
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		fprintf(out, "%s ", text);
	fprintf(out, "after %s",
		fmt_duration(after, sizeof(after), snap->model->now_ns - snap->model->begin_ns));
}

static bool polls_seen(const struct model *m)
{
	struct totals t;

	totals_of(&t, m);
	return t.polls > 0;
}

/* "--- 2026-11-24T03:44:14Z after 12.0 s: 1 critical, 2 warning ---" */
static void print_headline(FILE *out, const struct text_style *style, const struct snapshot *snap)
{
	const struct finding **all = NULL;
	size_t count = snap->rules ? rules_findings(snap->rules, &all) : 0;
	uint32_t live[SEVERITY_CRITICAL + 1] = {0};
	size_t over = count;
	const char *before = ": ";

	for (size_t i = 0; i < count; i++) {
		bool is_live = finding_is_live(snap->model, all[i]);

		over -= is_live || all[i]->cause.rule;
		if (!finding_is_effect(snap->model, all[i]))
			live[all[i]->alarm] += is_live;
	}
	fprintf(out, "%s--- ", text_on(style, ROLE_TITLE));
	print_clock(out, snap);
	for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--) {
		if (!live[s])
			continue;
		fprintf(out, "%s%u %s", before, live[s], severity_name((enum severity)s));
		before = ", ";
	}
	if (*before == ':')
		fputs(polls_seen(snap->model) ? ": healthy, no finding now" : ": no poll seen yet",
		      out);
	if (over)
		fprintf(out, ", %zu earlier", over);
	fprintf(out, " ---%s\n", text_off(style, ROLE_TITLE));
}

static int show_live(struct text_sink *s, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct block b;

	block_open(&b);
	print_headline(b.mem, &s->style, snap);
	text_targets(b.mem, m);
	text_ended(b.mem, m);
	text_queues(b.mem, m);
	text_workers(b.mem, &s->style, m, LIVE_WORKERS, true);
	text_sites(b.mem, &s->style, m, LIVE_SITES);
	text_live_findings(b.mem, &s->style, snap);
	text_notes(b.mem, &s->style, m, s->notes);
	s->notes = m->notes_count;
	text_cost(b.mem, m, true);
	fputc('\n', b.mem);
	return block_send(&b, s->out);
}

static int text_snapshot(struct sink *sink, const struct snapshot *snap)
{
	struct text_sink *s = (struct text_sink *)sink;
	uint64_t second = (snap->model->now_ns - snap->model->begin_ns) / NS_PER_SEC;

	if (!is_live(snap)) {
		progress_update(&s->progress, snap);
		return 0;
	}
	if (s->begun && second == s->block)
		return 0;
	/* The first tick knows no rates yet. */
	s->begun = true;
	s->block = second;
	if (!second)
		return 0;
	return show_live(s, snap);
}

static int show_dump(struct text_sink *s, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct block b;

	block_open(&b);
	print_headline(b.mem, &s->style, snap);
	text_targets(b.mem, m);
	text_ended(b.mem, m);
	text_queues(b.mem, m);
	fputc('\n', b.mem);
	text_workers(b.mem, &s->style, m, SIZE_MAX, false);
	fputc('\n', b.mem);
	text_worker_stacks(b.mem, &s->style, m);
	text_tasks(b.mem, &s->style, m, DUMP_TASKS);
	text_waits(b.mem, m);
	fputc('\n', b.mem);
	if (!text_findings(b.mem, &s->style, snap))
		fputs("no findings\n", b.mem);
	text_notes(b.mem, &s->style, m, s->notes);
	text_cost(b.mem, m, false);
	return block_send(&b, s->out);
}

static int show_report(struct text_sink *s, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct block b;

	block_open(&b);
	if (is_live(snap)) {
		fprintf(b.mem, "%s=== report ===%s\n", text_on(&s->style, ROLE_TITLE),
			text_off(&s->style, ROLE_TITLE));
	}
	text_findings(b.mem, &s->style, snap);
	if (s->style.verbose) {
		text_workers(b.mem, &s->style, m, SIZE_MAX, false);
		text_sites(b.mem, &s->style, m, REPORT_SITES);
		fputc('\n', b.mem);
	}
	text_notes(b.mem, &s->style, m, s->notes);
	text_summary(b.mem, &s->style, snap, is(snap, "check") ? &s->outcome : NULL);
	return block_send(&b, s->out);
}

static int text_finish(struct sink *sink, const struct snapshot *snap)
{
	struct text_sink *s = (struct text_sink *)sink;

	progress_clear(&s->progress);
	return is(snap, "dump") ? show_dump(s, snap) : show_report(s, snap);
}

static void text_close(struct sink *sink)
{
	struct text_sink *s = (struct text_sink *)sink;

	if (!s)
		return;
	progress_clear(&s->progress);
	free(s);
}

static const struct sink_ops text_ops = {
	.snapshot = text_snapshot,
	.finish = text_finish,
	.close = text_close,
};

struct sink *text_sink_new(FILE *out, const struct text_sink_opts *o)
{
	struct text_sink *s = xcalloc(1, sizeof(*s));

	s->sink.ops = &text_ops;
	s->out = out;
	s->style = (struct text_style){
		.color = o->color,
		.width = o->width ? o->width : WIDTH,
		.verbose = o->verbose,
		.full_stack = o->full_stack,
	};
	s->outcome = o->outcome;
	s->progress.opts = o->progress;
	return &s->sink;
}
