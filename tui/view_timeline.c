// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Timeline: workers by time, one column a second, newest at the right. A cell says what took most
 * of the second that was not parked: the glyphs are those of the bars, busy ones by height.
 */
#include "tui/view.h"

#include <stdio.h>
#include <string.h>

#define BLOCKED_MARK 0.05 /* share of a second from which blocked or preempted is the story */

struct row {
	uint64_t key;
	uint32_t tid;
	char comm[32];
	double busy[SERIES_LEN], blocked[SERIES_LEN], preempted[SERIES_LEN];
	size_t count;
};

static void shares_of(const struct series *s, double *out, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint64_t newer = series_at(s, count - 1 - i), older = series_at(s, count - i);

		out[i] = newer > older ? (double)(newer - older) / 1e9 : 0;
	}
}

static void timeline_read(struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;

	grid_clear(&view->grid);
	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];
		struct row *row;

		if (!w->now.worker || w->ended)
			continue;
		row = grid_row_add(&view->grid);
		row->key = (uint64_t)w->target << 32 | w->now.tid;
		row->tid = w->now.tid;
		snprintf(row->comm, sizeof(row->comm), "%s", w->now.comm ? w->now.comm : "n/a");
		row->count = w->busy.count > 1 ? w->busy.count - 1 : 0;
		shares_of(&w->busy, row->busy, (uint32_t)row->count);
		shares_of(&w->blocked, row->blocked, (uint32_t)row->count);
		shares_of(&w->preempted, row->preempted, (uint32_t)row->count);
	}
}

static uint64_t row_key(const void *row)
{
	return ((const struct row *)row)->key;
}

static void row_text(const void *context, const void *row_, char *out, size_t size)
{
	const struct row *row = row_;

	(void)context;
	snprintf(out, size, "%u %s", row->tid, row->comm);
}

static void cell_tid(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%u", ((const struct row *)row)->tid);
}

static void cell_comm(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	cell->name = true;
	snprintf(cell->text, sizeof(cell->text), "%s", ((const struct row *)row)->comm);
}

static void cell_strip(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->role = ROLE_BUSY;
	cell->spark_count = row->count;
	cell->spark_max = 1;
	memcpy(cell->spark, row->busy, row->count * sizeof(row->busy[0]));
	for (size_t i = 0; i < row->count; i++) {
		if (row->blocked[i] >= BLOCKED_MARK)
			cell->mark[i] = 'B';
		else if (row->preempted[i] >= BLOCKED_MARK && row->preempted[i] > row->busy[i])
			cell->mark[i] = 'p';
		else
			cell->mark[i] = 0;
	}
	cell->marked = true;
	if (!row->count)
		snprintf(cell->text, sizeof(cell->text), "n/a: just started");
}

static int by_tid(const void *a_, const void *b_)
{
	uint32_t a = ((const struct row *)a_)->tid, b = ((const struct row *)b_)->tid;

	return a < b ? -1 : a > b;
}

static void timeline_detail(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;

	(void)view;
	lines_add(out, ROLE_STRONG, 0, "%s tid %u: each second of the last minute, newest first",
		  row->comm, row->tid);
	lines_add(out, ROLE_NORMAL, 0, "%s", "");
	lines_add(out, ROLE_HEAD, 2, "%8s %10s %10s %10s", "s ago", "busy", "blocked", "preempted");
	for (size_t i = row->count; i > 0; i--)
		lines_add(out, row->blocked[i - 1] >= BLOCKED_MARK ? ROLE_BLOCKED : ROLE_NORMAL, 2,
			  "%8zu %10s %10s %10s", row->count - i, FMT_RATIO(row->busy[i - 1]),
			  FMT_RATIO(row->blocked[i - 1]), FMT_RATIO(row->preempted[i - 1]));
}

static void timeline_empty(const struct view *view, struct lines *out)
{
	(void)view;
	lines_add(out, ROLE_NORMAL, 0, "No thread has polled a task since the watch began.");
}

static void timeline_footer(const struct view *view, const void *row, struct lines *out)
{
	(void)row;
	lines_add(out, ROLE_DIM, 0, "%s", "");
	lines_add(out, ROLE_DIM, 2,
		  "height: busy; B blocked in polls for %d %% of the second or "
		  "more; p mostly preempted; %s",
		  (int)(BLOCKED_MARK * 100),
		  view->utf8 ? "newest at the right →" : "newest at the right");
}

static const struct column columns[] = {
	{.title = "TID",
	 .meaning = "thread id",
	 .width = 7,
	 .right = true,
	 .cell = cell_tid,
	 .compare = by_tid},
	{.title = "THREAD", .meaning = "its name", .width = 16, .from = 100, .cell = cell_comm},
	{.title = "LAST MINUTE",
	 .meaning = "one column a second, newest at the right",
	 .width = 20,
	 .grow = 1,
	 .cell = cell_strip},
};

static const struct grid_spec grid = {
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.row_size = sizeof(struct row),
	.natural = "as found",
	.sort = -1,
	.key = row_key,
	.text = row_text,
};

const struct view_ops view_timeline = {
	.title = "Timeline",
	.request_open = REQUEST_VIEW_TIMELINE,
	.grid = &grid,
	.read = timeline_read,
	.draw = view_grid_draw,
	.request = view_grid_request,
	.detail = timeline_detail,
	.empty = timeline_empty,
	.footer = timeline_footer,
	.footer_rows = 3,
};
