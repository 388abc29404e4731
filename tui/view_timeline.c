// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Timeline: workers by time, newest at the right. A column shows the height of what was busy, or a
 * letter where long polls blocked, computed or were preempted. The cursor is a time and a worker:
 * below stands what ran there.
 */
#include "tui/view.h"

#include <stdio.h>
#include <string.h>

#include "tui/strip.h"
#include "util/xalloc.h"

#define SECOND 1000000000ULL
#define MS 1000000ULL
#define FOOTER_ROWS 7
#define FOOTER_SPANS 4

struct row {
	uint64_t key;
	uint32_t tid, pid;
	bool ended;
	char comm[32];
	struct strip strip;
};

struct state {
	struct strips all;
	size_t scale;	     /* index into scales */
	bool scaled;	     /* it was chosen: else the whole minute is shown */
	uint32_t sampled;    /* rows of threads whose polls are */
	uint64_t cursor_ns;  /* start of its column; 0: it stays at the newest */
	struct window shown; /* as drawn last */
};

static const uint64_t scales[] = {SECOND, 500 * MS, 200 * MS, 100 * MS, 50 * MS, 20 * MS, 10 * MS};
#define SCALES (sizeof(scales) / sizeof(scales[0]))

static void timeline_open(struct view *view)
{
	view->state = xcalloc(1, sizeof(struct state));
}

static void timeline_close(struct view *view)
{
	strips_free(&((struct state *)view->state)->all);
	free(view->state);
}

/* The end of the program is when its threads' last minute is looked at most. */
static bool is_gone(const struct model *m, const struct worker *w)
{
	const struct target *t = model_target(m, w->target);
	uint64_t end = strip_end_ns(m, w);

	return end && !(t && t->ended && end + 60 * SECOND >= m->now_ns);
}

static void timeline_read(struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct state *state = view->state;

	strips_read(&state->all, m);
	state->sampled = 0;
	grid_clear(&view->grid);
	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];
		struct row *row;

		if ((!w->now.worker && !w->open) || is_gone(m, w) ||
		    !is_shown(view->only, w->target))
			continue;
		row = grid_row_add(&view->grid);
		row->key = (uint64_t)w->target << 32 | w->now.tid;
		row->tid = w->now.tid;
		row->ended = strip_end_ns(m, w) != 0;
		row->pid = target_pid(m, w->target);
		snprintf(row->comm, sizeof(row->comm), "%s",
			 w->now.comm && *w->now.comm ? w->now.comm : "n/a");
		strip_read(&row->strip, &state->all, m, w);
		state->sampled += row->strip.sampled;
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

CELL_PID

/* The finest step with which the whole minute fits. */
static size_t scale_of_minute(int columns)
{
	size_t scale = 0;

	while (scale + 1 < SCALES && 60 * SECOND / scales[scale + 1] <= (uint64_t)columns)
		scale++;
	return scale;
}

/* The end of the column in which the present lies. */
static uint64_t present_end(const struct state *state, uint64_t step)
{
	uint64_t columns = (state->all.now_ns - state->all.begin_ns + step - 1) / step;

	return state->all.begin_ns + (columns ? columns : 1) * step;
}

/* Follows the present, or the cursor where that lies further back. */
static void place_window(struct state *state, int columns)
{
	struct window *w = &state->shown;
	uint64_t span;

	if (!state->scaled)
		state->scale = scale_of_minute(columns);
	w->columns = columns;
	w->step_ns = scales[state->scale];
	w->end_ns = present_end(state, w->step_ns);
	span = (uint64_t)columns * w->step_ns;
	if (!state->cursor_ns)
		return;
	/* To the columns of this scale; what is no longer known is left. */
	state->cursor_ns -= (state->cursor_ns - state->all.begin_ns) % w->step_ns;
	if (w->end_ns > 61 * SECOND && state->cursor_ns < w->end_ns - 61 * SECOND)
		state->cursor_ns = 0;
	else if (state->cursor_ns + span < w->end_ns)
		w->end_ns = state->cursor_ns + span;
}

static uint64_t cursor_of(const struct state *state)
{
	return state->cursor_ns ? state->cursor_ns : state->shown.end_ns - state->shown.step_ns;
}

static void paint_strip(const void *context, const void *row_, const struct canvas *c, int y, int x,
			int width)
{
	const struct view *view = context;
	const struct row *row = row_;
	struct state *state = view->state;

	if (!row) {
		place_window(state, width);
		strip_ruler(&state->all, &state->shown, c, y, x);
	} else {
		strip_draw(&row->strip, &state->all, &state->shown, cursor_of(state), c, y, x);
	}
}

static void span_line(const struct state *state, const struct span *s, struct lines *out)
{
	char text[96], end[48] = "so far";

	if (!s->open)
		snprintf(end, sizeof(end), "%s ago", FMT_DURATION(state->all.now_ns - s->end_ns));
	lines_add(out, span_role(s), 2, "%s, %s: task %llu, %s", span_text(s, text, sizeof(text)),
		  end, (unsigned long long)s->task_id, state->all.names[s->name].text);
}

static void timeline_detail(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;
	const struct state *state = view->state;
	const struct spark *busy = &row->strip.busy, *blocked = &row->strip.blocked,
			   *preempted = &row->strip.preempted;

	lines_add(out, ROLE_STRONG, 0, "%s tid %u", row->comm, row->tid);
	lines_title(out, "Long polls of the last minute, newest first");
	for (size_t i = row->strip.count; i > 0; i--)
		span_line(state, &state->all.spans[row->strip.first + i - 1], out);
	if (!row->strip.count)
		lines_add(out, ROLE_DIM, 2, "none");
	lines_title(out, "Each second, newest first");
	lines_add(out, ROLE_HEAD, 2, "%8s %10s %10s %10s", "s ago", "busy", "blocked", "preempted");
	for (size_t i = busy->count; i > 0; i--)
		lines_add(out, blocked->value[i - 1] >= STRIP_MARK ? ROLE_BLOCKED : ROLE_NORMAL, 2,
			  "%8zu %10s %10s %10s", busy->count - i, FMT_RATIO(busy->value[i - 1]),
			  FMT_RATIO(blocked->value[i - 1]), FMT_RATIO(preempted->value[i - 1]));
}

static void timeline_empty(const struct view *view, struct lines *out)
{
	(void)view;
	lines_add(out, ROLE_NORMAL, 0, "No thread has polled a task in the last minute.");
}

static void shares_line(const struct row *row, const struct state *state, uint64_t from,
			struct lines *out)
{
	uint64_t to = from + state->shown.step_ns, now = state->all.now_ns;
	struct strip_part part;
	char begin[FMT_SIZE];

	strip_part(&row->strip, &state->all, from, to, &part);
	fmt_duration(begin, sizeof(begin), now > from ? now - from : 0);
	lines_add(out, ROLE_STRONG, 2, "tid %u, %s ago for %s: busy %s, blocked %s, preempted %s",
		  row->tid, begin, FMT_DURATION(state->shown.step_ns),
		  part.known	     ? FMT_RATIO(part.busy) :
		  row->ended	     ? "n/a (ended)" :
		  row->strip.sampled ? "n/a (sampled)" :
				       "not known yet",
		  FMT_RATIO(part.blocked), FMT_RATIO(part.preempted));
}

static void timeline_footer(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;
	const struct state *state = view->state;
	uint64_t from = cursor_of(state);
	size_t shown = 0;

	lines_add(
		out, ROLE_DIM, 2,
		"height: busy  B blocked, C computing, p preempted: %d %% or more, in long polls%s",
		(int)(STRIP_MARK * 100),
		state->sampled ? "  ?: n/a, polls are sampled to keep to the overhead budget" : "");
	if (!row)
		return;
	shares_line(row, state, from, out);
	for (size_t i = row->strip.first; i < row->strip.first + row->strip.count; i++) {
		const struct span *s = &state->all.spans[i];

		if (s->start_ns >= from + state->shown.step_ns || s->end_ns <= from)
			continue;
		if (shown++ == FOOTER_SPANS)
			break;
		span_line(state, s, out);
	}
	if (!shown)
		lines_add(out, ROLE_DIM, 2, "no long poll");
}

static void cursor_move(struct state *state, bool later)
{
	uint64_t step = state->shown.step_ns, at = cursor_of(state);
	uint64_t newest = present_end(state, step) - step;

	if (!later && at >= state->all.begin_ns + step)
		state->cursor_ns = at - step;
	else if (later)
		state->cursor_ns = at + step >= newest ? 0 : at + step;
}

static bool timeline_request(struct view *view, enum request request)
{
	struct state *state = view->state;

	if (view->detail || !state->shown.step_ns)
		return view_grid_request(view, request);
	switch (request) {
	case REQUEST_LEFT: cursor_move(state, false); return true;
	case REQUEST_RIGHT: cursor_move(state, true); return true;
	case REQUEST_SCALE:
		state->scaled = state->scale + 1 < SCALES;
		state->scale++;
		return true;
	case REQUEST_BACK:
		if (!state->cursor_ns && !state->scaled)
			return view_grid_request(view, request);
		state->scaled = false;
		state->cursor_ns = 0;
		return true;
	default: return view_grid_request(view, request);
	}
}

static const struct column columns[] = {
	{.title = "TID", .meaning = "thread id", .width = 7, .right = true, .cell = cell_tid},
	COLUMN_PID,
	{.title = "THREAD", .meaning = "its name", .width = 16, .from = 100, .cell = cell_comm},
	{.title = "",
	 .meaning = "the strip: time since the figures above it",
	 .width = 20,
	 .grow = 1,
	 .paint = paint_strip},
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
	.hint = "Left Right: time  Up Down: worker  s: scale  Enter detail",
	.request_open = REQUEST_VIEW_TIMELINE,
	.grid = &grid,
	.open = timeline_open,
	.read = timeline_read,
	.draw = view_grid_draw,
	.request = timeline_request,
	.close = timeline_close,
	.detail = timeline_detail,
	.empty = timeline_empty,
	.footer = timeline_footer,
	.footer_rows = FOOTER_ROWS,
};
