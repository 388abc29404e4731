// SPDX-License-Identifier: LGPL-2.1-or-later
/* speedscope's JSON: one table of frames, and a profile for each kind of stacks. */
#include <inttypes.h>

#include "sink/export.h"
#include "sink/fold.h"
#include "util/xalloc.h"

struct speedscope {
	struct sink sink;
	struct export_out out;
	const struct model *model;
	const char *exporter;
	struct fold fold;
};

static const struct profile {
	const char *name, *unit;
} profiles[STACK_KINDS] = {
	[STACK_OFF_CPU] = {"blocked", "nanoseconds"},
	[STACK_ON_CPU] = {"computing (samples)", "none"},
	[STACK_SPAWN] = {"spawns (samples)", "none"},
	[STACK_REFCOUNT] = {"reference counts (samples)", "none"},
};

static int speedscope_event(struct sink *sink, const struct event *event)
{
	struct speedscope *s = (struct speedscope *)sink;

	fold_add(&s->fold, s->model, event);
	return 0;
}

static int put_frames(struct speedscope *s)
{
	int ret = 0;

	for (size_t i = 0; i < s->fold.frames_count && !ret; i++) {
		const struct fold_frame *f = &s->fold.frames[i];

		export_text(&s->out, i ? ",\n{\"name\":" : "\n{\"name\":");
		export_json(&s->out, f->name);
		if (f->file) {
			export_text(&s->out, ",\"file\":");
			export_json(&s->out, f->file);
		}
		if (f->file && f->line)
			export_textf(&s->out, ",\"line\":%" PRIu32, f->line);
		export_text(&s->out, "}");
		ret = export_flush(&s->out, false);
	}
	return ret;
}

/* The stacks of a profile, or their weights; returns the sum of these, or -errno in *ret. */
static uint64_t put_rows(struct speedscope *s, enum stack_kind kind, bool weights, int *ret)
{
	uint64_t total = 0;
	bool first = true;

	for (size_t i = 0; i < s->fold.rows_count && !*ret; i++) {
		const struct fold_row *row = &s->fold.rows[i];

		if (row->kind != kind || !row->weight)
			continue;
		export_text(&s->out, first ? "\n" : ",\n");
		first = false;
		total += row->weight;
		if (weights) {
			export_textf(&s->out, "%" PRIu64, row->weight);
		} else {
			for (uint32_t k = 0; k < row->count; k++)
				export_textf(&s->out, "%c%" PRIu32, k ? ',' : '[', row->frames[k]);
			export_text(&s->out, "]");
		}
		*ret = export_flush(&s->out, false);
	}
	return total;
}

static bool has_rows(const struct fold *fold, enum stack_kind kind)
{
	for (size_t i = 0; i < fold->rows_count; i++)
		if (fold->rows[i].kind == kind && fold->rows[i].weight)
			return true;
	return false;
}

static int put_profile(struct speedscope *s, enum stack_kind kind, bool first)
{
	uint64_t total;
	int ret = 0;

	export_text(&s->out, first ? "\n{\"type\":\"sampled\",\"name\":" :
				     ",\n{\"type\":\"sampled\",\"name\":");
	export_json(&s->out, profiles[kind].name);
	export_text(&s->out, ",\"unit\":");
	export_json(&s->out, profiles[kind].unit);
	export_text(&s->out, ",\"samples\":[");
	put_rows(s, kind, false, &ret);
	export_text(&s->out, "],\"weights\":[");
	total = put_rows(s, kind, true, &ret);
	export_textf(&s->out, "],\"startValue\":0,\"endValue\":%" PRIu64 "}", total);
	return ret;
}

static int speedscope_finish(struct sink *sink, const struct snapshot *snap)
{
	struct speedscope *s = (struct speedscope *)sink;
	bool first = true;
	int ret;

	export_text(&s->out, "{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\","
			     "\"exporter\":");
	export_json(&s->out, s->exporter);
	export_text(&s->out, ",\"name\":");
	export_json(&s->out, snap->host);
	export_text(&s->out, ",\"shared\":{\"frames\":[");
	ret = put_frames(s);
	export_text(&s->out, "]},\"profiles\":[");
	for (uint32_t kind = 0; kind < STACK_KINDS && !ret; kind++) {
		if (!has_rows(&s->fold, (enum stack_kind)kind))
			continue;
		ret = put_profile(s, (enum stack_kind)kind, first);
		first = false;
	}
	export_text(&s->out, "]}\n");
	return ret ? ret : export_flush(&s->out, true);
}

static void speedscope_close(struct sink *sink)
{
	struct speedscope *s = (struct speedscope *)sink;

	if (!s)
		return;
	fold_free(&s->fold);
	bytes_free(&s->out.b);
	free(s);
}

static const struct sink_ops speedscope_ops = {
	.event = speedscope_event,
	.finish = speedscope_finish,
	.close = speedscope_close,
};

struct sink *speedscope_sink_new(FILE *out, const struct model *model, const char *exporter)
{
	struct speedscope *s = xcalloc(1, sizeof(*s));

	s->sink.ops = &speedscope_ops;
	s->out.out = out;
	s->model = model;
	s->exporter = exporter;
	fold_init(&s->fold, FOLD_BY_LINE);
	return &s->sink;
}
