// SPDX-License-Identifier: LGPL-2.1-or-later
/* Folded stacks, what flamegraph.pl, inferno and speedscope read: a line each, and its weight. */
#include <inttypes.h>

#include "sink/export.h"
#include "sink/fold.h"
#include "util/xalloc.h"

struct folded {
	struct sink sink;
	struct export_out out;
	const struct model *model;
	enum stack_kind kind;
	struct fold fold;
};

static int folded_event(struct sink *sink, const struct event *event)
{
	struct folded *f = (struct folded *)sink;

	fold_add(&f->fold, f->model, event);
	return 0;
}

/* A semicolon, as in [u8; 4], would be read as the end of the frame. */
static void put_name(struct export_out *out, const char *name)
{
	size_t at = out->b.len;

	export_text(out, name);
	for (; at < out->b.len; at++)
		if (out->b.data[at] == ';')
			out->b.data[at] = ':';
}

static int folded_finish(struct sink *sink, const struct snapshot *snap)
{
	struct folded *f = (struct folded *)sink;
	int ret = 0;

	(void)snap;
	for (size_t i = 0; i < f->fold.rows_count && !ret; i++) {
		const struct fold_row *row = &f->fold.rows[i];

		if (row->kind != f->kind || !row->weight)
			continue;
		for (uint32_t k = 0; k < row->count; k++) {
			if (k)
				export_text(&f->out, ";");
			put_name(&f->out, f->fold.frames[row->frames[k]].name);
		}
		export_textf(&f->out, " %" PRIu64 "\n", row->weight);
		ret = export_flush(&f->out, false);
	}
	return ret ? ret : export_flush(&f->out, true);
}

static void folded_close(struct sink *sink)
{
	struct folded *f = (struct folded *)sink;

	if (!f)
		return;
	fold_free(&f->fold);
	bytes_free(&f->out.b);
	free(f);
}

static const struct sink_ops folded_ops = {
	.event = folded_event,
	.finish = folded_finish,
	.close = folded_close,
};

struct sink *folded_sink_new(FILE *out, const struct model *model, enum stack_kind kind)
{
	struct folded *f = xcalloc(1, sizeof(*f));

	f->sink.ops = &folded_ops;
	f->out.out = out;
	f->model = model;
	f->kind = kind;
	fold_init(&f->fold, FOLD_BY_NAME);
	return &f->sink;
}
