// SPDX-License-Identifier: LGPL-2.1-or-later
/* What all views share: a grid with a detail, scrolled text, words for states. */
#include "tui/view.h"

#include <stdio.h>

const struct bar_part share_parts[SHARE_PARTS] = {
	{0, ROLE_BUSY, "█", "#"},      {0, ROLE_BLOCKED, "B", "B"}, {0, ROLE_PREEMPTED, "p", "p"},
	{0, ROLE_SEARCHING, "·", ":"}, {0, ROLE_PARKED, " ", " "},
};

const char *const share_names[SHARE_PARTS] = {"busy in polls", "blocked in a poll", "preempted",
					      "searching", "parked"};

void shares_legend(const struct view *view, struct lines *out)
{
	lines_add(out, ROLE_DIM, 2,
		  "%s busy in polls  B blocked in a poll  p preempted  %s searching  blank: parked",
		  view->utf8 ? "█" : "#", view->utf8 ? "·" : ":");
}

void view_open(struct view *view, const struct view_ops *ops, bool utf8, bool full_stack)
{
	*view = (struct view){.ops = ops, .utf8 = utf8, .full_stack = full_stack, .only = ID_NONE};
	if (ops->grid)
		grid_init(&view->grid, ops->grid, view);
	if (ops->open)
		ops->open(view);
}

bool has_several(const struct model *m)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->targets_count; i++)
		count += m->targets[i].id != ID_NONE;
	return count > 1;
}

uint32_t target_pid(const struct model *m, uint32_t target)
{
	const struct target *t = target == ID_NONE ? NULL : model_target(m, target);

	return t ? t->pid : 0;
}

void view_read(struct view *view, const struct snapshot *snap)
{
	view->now_ns = snap->model->now_ns;
	view->grid.several = view->only == ID_NONE && has_several(snap->model);
	view->ops->read(view, snap);
	if (!view->ops->grid)
		return;
	grid_update(&view->grid);
	view_detail_refresh(view);
}

void view_detail_refresh(struct view *view)
{
	const void *row = grid_selected(&view->grid);

	if (!view->detail || !row)
		return;
	lines_reset(&view->lines);
	view->ops->detail(view, row, &view->lines);
}

void view_badge(struct view *view, const struct snapshot *snap)
{
	view->badge = view->ops->badge ? view->ops->badge(view, snap) : 0;
}

void view_draw(struct view *view, const struct canvas *canvas, const struct area *area)
{
	view->ops->draw(view, canvas, area);
}

bool view_request(struct view *view, enum request request)
{
	return view->ops->request(view, request);
}

void view_close(struct view *view)
{
	if (!view->ops)
		return;
	if (view->ops->close)
		view->ops->close(view);
	grid_free(&view->grid);
	lines_free(&view->lines);
	lines_free(&view->below);
	view->ops = NULL;
}

void view_lines_draw(struct view *view, const struct canvas *canvas, const struct area *area)
{
	lines_draw(&view->lines, canvas, area);
}

bool view_lines_request(struct view *view, enum request request)
{
	return lines_request(&view->lines, request);
}

static void read_below(struct view *view)
{
	lines_reset(&view->below);
	view->below.top = 0;
	view->below.excerpt = true;
	view->ops->footer(view, grid_selected(&view->grid), &view->below);
}

/* How many rows the footer gets: its own, and as many as it can use of those that the grid leaves. */
static int rows_below(struct view *view, const struct canvas *canvas, const struct area *area)
{
	size_t used = 1 + view->grid.order_count;
	int rows = view->ops->footer_rows, height;

	if (!view->ops->footer || area->rows < 8 + rows)
		return 0;
	read_below(view);
	height = lines_height(&view->below, canvas, area);
	if (!height)
		return 0;
	if (used + (size_t)rows < (size_t)area->rows && height > rows)
		rows = height < area->rows - (int)used ? height : area->rows - (int)used;
	return rows;
}

void view_grid_draw(struct view *view, const struct canvas *canvas, const struct area *area)
{
	struct area top = *area, text;
	int below;

	if (view->detail) {
		lines_draw(&view->lines, canvas, area);
		return;
	}
	below = rows_below(view, canvas, area);
	top.rows -= below;
	grid_draw(&view->grid, canvas, &top);
	if (below) {
		/* Anew: what the cursor of a strip stands for is known when that was drawn. */
		read_below(view);
		text = (struct area){area->y + top.rows, area->x, below, area->cols};
		lines_draw(&view->below, canvas, &text);
	}
	if (!view->grid.order_count && view->ops->empty) {
		lines_reset(&view->below);
		view->below.top = 0;
		if (view->grid.rows_count)
			lines_add(&view->below, ROLE_DIM, 0,
				  "No row of %zu matches the filter \"%s\".", view->grid.rows_count,
				  view->grid.filter);
		else
			view->ops->empty(view, &view->below);
		text = (struct area){area->y + 2, area->x + 2, top.rows - 2, area->cols - 4};
		lines_draw(&view->below, canvas, &text);
	}
}

static bool detail_open(struct view *view)
{
	const void *row = grid_selected(&view->grid);

	if (!row || !view->ops->detail)
		return false;
	/* From now on the cursor stays with this row, also on the first one. */
	view->grid.follow = true;
	view->grid.cursor_key = view->ops->grid->key(row);
	lines_reset(&view->lines);
	view->lines.top = 0;
	view->ops->detail(view, row, &view->lines);
	view->detail = true;
	return true;
}

static bool detail_request(struct view *view, enum request request)
{
	switch (request) {
	case REQUEST_BACK:
	case REQUEST_ENTER:
		view->detail = false;
		view->grid.follow = view->grid.cursor > 0;
		return true;
	case REQUEST_LEFT: grid_move(&view->grid, -1); return detail_open(view);
	case REQUEST_RIGHT: grid_move(&view->grid, 1); return detail_open(view);
	default: return lines_request(&view->lines, request);
	}
}

bool view_grid_request(struct view *view, enum request request)
{
	if (view->detail)
		return detail_request(view, request);
	if (request == REQUEST_ENTER)
		return detail_open(view);
	if (request == REQUEST_BACK && view->grid.filter[0]) {
		grid_set_filter(&view->grid, "");
		return true;
	}
	return grid_request(&view->grid, request);
}

enum role severity_role(enum severity severity)
{
	static const enum role roles[] = {[SEVERITY_INFO] = ROLE_INFO,
					  [SEVERITY_WARNING] = ROLE_WARNING,
					  [SEVERITY_CRITICAL] = ROLE_CRITICAL};

	return roles[severity];
}

static const struct {
	const char *text;
	enum role role;
} thread_states[] = {
	[THREAD_SEARCHING] = {"searching", ROLE_SEARCHING},
	[THREAD_PARKED] = {"parked", ROLE_PARKED},
	[THREAD_POLLING] = {"polling", ROLE_BUSY},
	[THREAD_BLOCKED] = {"BLOCKED", ROLE_BLOCKED},
	[THREAD_PREEMPTED] = {"preempted", ROLE_PREEMPTED},
};

bool thread_state_known(const struct ev_thread *thread)
{
	return !thread->unaccounted || thread->poll_start_ns;
}

/* Of a thread whose polls are sampled only the scheduler's word is left: it may be in one. */
const char *thread_state_text(const struct ev_thread *thread, bool ended)
{
	if (ended)
		return "ended";
	if (thread_state_known(thread))
		return thread_states[thread->state].text;
	return thread->state == THREAD_PARKED ? "asleep" : "on CPU";
}

char *tasks_unknown_text(const struct model *m, char *out, size_t size)
{
	const struct ev_cost *c = &m->cost;
	bool lowered = c->level < c->level_asked;

	out[0] = '\0';
	if (c->hits && c->level < 2)
		snprintf(out, size,
			 "level %u is in force%s; tasks are followed from level 2 on (%s)",
			 c->level, lowered ? ", to keep to the overhead budget" : "",
			 lowered ? "--overhead PCT allows more" : "--level 2");
	return out;
}

enum role thread_state_role(enum thread_state state)
{
	return thread_states[state].role;
}

const char *flavor_text(enum runtime_flavor flavor)
{
	static const char *const texts[] = {[FLAVOR_UNKNOWN] = "flavor n/a",
					    [FLAVOR_MULTI_THREAD] = "multi-thread",
					    [FLAVOR_CURRENT_THREAD] = "current-thread",
					    [FLAVOR_LOCAL] = "local"};

	return texts[flavor];
}

char *runtime_text(const struct model *m, const struct runtime *r, char *out, size_t size)
{
	const struct binary *b = r->binary < m->binaries_count ? &m->binaries[r->binary] : NULL;

	snprintf(out, size, "%s %s %s", b && b->runtime ? b->runtime : "runtime n/a",
		 b && b->version ? b->version : "(version n/a)", flavor_text(r->flavor));
	return out;
}

const char *site_text(const struct model *m, uint32_t site)
{
	const struct site *s = site == ID_NONE ? NULL : model_site(m, site);

	return s && s->name ? s->name : "n/a";
}

char *cell_duration(char *out, size_t size, uint64_t ns)
{
	unsigned long long seconds = ns / 1000000000ULL;

	if (seconds < 60)
		return fmt_duration(out, size, ns);
	if (seconds < 3600)
		snprintf(out, size, "%llum%02llus", seconds / 60, seconds % 60);
	else if (seconds < 100 * 3600)
		snprintf(out, size, "%lluh%02llum", seconds / 3600, seconds / 60 % 60);
	else
		snprintf(out, size, "%llud%02lluh", seconds / 86400, seconds / 3600 % 24);
	return out;
}

double series_rate_known(const struct series *s, uint32_t seconds)
{
	if (!s || s->count < 2)
		return -1;
	if (seconds > s->count - 1)
		seconds = s->count - 1;
	return series_rate(s, seconds);
}

static uint64_t second_of(const struct model *m)
{
	return (m->now_ns - m->begin_ns) / 1000000000ULL;
}

void spark_read(struct spark *spark, const struct model *m, const struct series *s)
{
	*spark = (struct spark){.count = s->count, .max = 1, .second = second_of(m)};
	for (uint32_t i = 0; i < s->count; i++) {
		spark->value[i] = (double)series_at(s, s->count - 1 - i);
		if (spark->value[i] > spark->max)
			spark->max = spark->value[i];
	}
}

void spark_read_shares(struct spark *spark, const struct model *m, const struct series *s)
{
	uint32_t count = s->count > 1 ? s->count - 1 : 0;

	*spark = (struct spark){.count = count, .max = 1, .second = second_of(m)};
	for (uint32_t i = 0; i < count; i++) {
		uint64_t newer = series_at(s, count - 1 - i), older = series_at(s, count - i);

		spark->value[i] = newer > older ? (double)(newer - older) / 1e9 : 0;
	}
}
