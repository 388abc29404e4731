// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stalltop rules list TARGET`: what each rule can find there, said once, at the end. */
#include "sink/sinks.h"
#include "util/table.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdlib.h>

struct arming_sink {
	struct sink sink;
	FILE *out;
};

static const struct table_column columns[] = {
	{"RULE", TABLE_LEFT, 0},
	{"STATE", TABLE_LEFT, 0},
	{"TITLE", TABLE_LEFT, 60},
	{"WHY", TABLE_LEFT, 0},
};

static int arming_finish(struct sink *sink, const struct snapshot *snap)
{
	struct arming_sink *s = (struct arming_sink *)sink;
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	char *text;
	int ret;

	for (size_t i = 0; i < rules_count(snap->rules); i++) {
		char why[ARMING_WHY];
		enum arming arming = rules_arming(snap->rules, snap->model, i, why, sizeof(why));
		struct rule_info info;

		rules_info(snap->rules, i, &info);
		table_cell(table, info.id);
		table_cell(table, arming_name(arming));
		table_cell(table, info.title);
		table_cell(table, why);
	}
	text = table_render(table, 0, 0);
	ret = fputs(text, s->out) < 0 || fflush(s->out) ? -errno : 0;
	free(text);
	table_free(table);
	return ret;
}

static void arming_close(struct sink *sink)
{
	free(sink);
}

static const struct sink_ops arming_ops = {
	.finish = arming_finish,
	.close = arming_close,
};

struct sink *arming_sink_new(FILE *out)
{
	struct arming_sink *s = xcalloc(1, sizeof(*s));

	s->sink.ops = &arming_ops;
	s->out = out;
	return &s->sink;
}
