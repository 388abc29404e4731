// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tasks: one row each, as the last scan of them saw it; times are those of that moment. There may be
 * 200 000 of them: they are copied and sorted when a scan has come, above TASKS_EAGER once a second
 * at most, and the name of a site is kept once.
 */
#include "tui/view.h"

#include <stdio.h>
#include <string.h>

#include "util/xalloc.h"

#define TASKS_EAGER 2000
#define TASKS_PERIOD_NS 1000000000ULL

struct row {
	uint64_t key;
	struct ev_task task;
	uint32_t target, pid;
	uint64_t scan_ns;
};

struct state {
	char **names; /* by site id */
	size_t names_count, names_cap;
	uint64_t read_ns; /* when the rows were copied */
	uint64_t scans;	  /* that they are of */
	uint32_t count;	  /* of the model's */
	uint32_t only;	  /* and whose */
	bool truncated;
	uint64_t dropped;
	int level;	    /* in force, -1 not known */
	char why[WHY_SIZE]; /* there are no rows now */
	uint32_t unread;    /* rows whose header has not been read */
	uint32_t sampled;   /* task types that are probed for moments only */
};

static void tasks_open(struct view *view)
{
	view->state = xcalloc(1, sizeof(struct state));
}

static void read_names(struct state *state, const struct model *m)
{
	state->names = xgrow(state->names, &state->names_cap, m->sites_count,
			     sizeof(*state->names));
	while (state->names_count < m->sites_count)
		state->names[state->names_count++] = xstrdup("");
	for (uint32_t i = 0; i < m->sites_count; i++) {
		const char *name = m->sites[i].name ? m->sites[i].name : "n/a";

		if (!strcmp(state->names[i], name))
			continue;
		free(state->names[i]);
		state->names[i] = xstrdup(name);
	}
}

/* Of what was read: a trace that is played may have gone back. */
static bool is_fresh(const struct view *view, const struct model *m)
{
	const struct state *state = view->state;

	if (state->only != view->only || !view->grid.rows_count || m->now_ns < state->read_ns)
		return false;
	if (m->tasks_count > TASKS_EAGER && m->now_ns - state->read_ns < TASKS_PERIOD_NS)
		return true;
	return state->scans == m->tasks_scans && state->count == m->tasks_count;
}

static void tasks_read(struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct state *state = view->state;

	state->truncated = m->tasks_truncated;
	state->dropped = m->tasks_dropped;
	state->level = m->cost.hits ? m->cost.level : -1;
	state->sampled = m->cost.sites_sampled;
	/* The last rows before it would stand still, and look alive. */
	if (*tasks_unknown_text(m, state->why, sizeof(state->why))) {
		grid_clear(&view->grid);
		state->unread = 0;
		return;
	}
	if (is_fresh(view, m))
		return;
	state->unread = 0;
	state->read_ns = m->now_ns;
	state->only = view->only;
	state->scans = m->tasks_scans;
	state->count = m->tasks_count;
	read_names(state, m);
	grid_clear(&view->grid);
	for (uint32_t i = 0; i < m->tasks_count; i++) {
		struct row *row;

		if (!is_shown(view->only, m->tasks[i].target))
			continue;
		row = grid_row_add(&view->grid);
		row->key = m->tasks[i].row.key ^ (uint64_t)m->tasks[i].target << 56;
		row->task = m->tasks[i].row;
		row->target = m->tasks[i].target;
		row->pid = target_pid(m, row->target);
		row->scan_ns = m->tasks[i].scan_ns;
		state->unread += !row->task.state_valid;
	}
}

static const char *name_of(const struct view *view, const struct row *row)
{
	const struct state *state = view->state;

	return row->task.site < state->names_count ? state->names[row->task.site] : "n/a";
}

static const char *state_text(const struct ev_task *t)
{
	if (!t->state_valid)
		return "n/a";
	if (t->complete)
		return t->has_handle ? "held" : "complete";
	if (t->running)
		return "running";
	if (t->cancelled)
		return "cancelled";
	return t->ready ? "ready" : "idle";
}

static uint64_t row_key(const void *row)
{
	return ((const struct row *)row)->key;
}

static char *put(char *out, const char *end, const char *text)
{
	while (*text && out < end)
		*out++ = *text++;
	return out;
}

/* "17 idle crate::site". Of 100 000 rows, while a filter is typed: without printf, a third of the time. */
static void row_text(const void *context, const void *row_, char *out, size_t size)
{
	const struct row *row = row_;
	const char *end = out + size - 1;
	char digits[24], *first = digits + sizeof(digits) - 1;
	uint64_t id = row->task.id;

	*first = '\0';
	do {
		*--first = (char)('0' + id % 10);
		id /= 10;
	} while (id);
	out = put(out, end, first);
	out = put(out, end, " ");
	out = put(out, end, state_text(&row->task));
	out = put(out, end, " ");
	*put(out, end, name_of(context, row)) = '\0';
}

static uint64_t since(const struct row *row, uint64_t then)
{
	return then && row->scan_ns > then ? row->scan_ns - then : 0;
}

static void cell_id(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	if (row->task.id)
		snprintf(cell->text, sizeof(cell->text), "%llu", (unsigned long long)row->task.id);
	else
		snprintf(cell->text, sizeof(cell->text), "n/a");
}

static void cell_site(const void *context, const void *row, struct cell *cell)
{
	cell->name = true;
	snprintf(cell->text, sizeof(cell->text), "%s", name_of(context, row));
}

static void cell_state(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	if (row->task.state_valid && row->task.running)
		cell->role = ROLE_BUSY;
	snprintf(cell->text, sizeof(cell->text), "%s", state_text(&row->task));
}

/* Of one that was met before a time in which it was not followed it is not known. */
static void cell_age(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->task.first_ns ? CELL_TIME(since(row, row->task.first_ns)) : "n/a");
}

static void cell_idle(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->task.state_valid && row->task.running ?
			 "-" :
			 CELL_TIME(since(row, row->task.last_ns)));
}

static void cell_polls(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	fmt_count(cell->text, sizeof(cell->text), (double)((const struct row *)row)->task.polls);
}

static void cell_busy(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	cell_duration(cell->text, sizeof(cell->text), ((const struct row *)row)->task.busy_ns);
}

static void cell_wakes(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->task.wakes_valid ? FMT_COUNT((double)row->task.wakes) : "n/a");
}

static void cell_worker(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	if (row->task.last_tid)
		snprintf(cell->text, sizeof(cell->text), "%u", row->task.last_tid);
	else
		snprintf(cell->text, sizeof(cell->text), "n/a");
}

static void cell_handle(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 !row->task.state_valid ? "n/a" :
		 row->task.has_handle	? "yes" :
					  "no");
}

static void cell_refs(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->task.state_valid ? FMT_COUNT(row->task.refs) : "n/a");
}

CELL_PID
VALUE_BY(id, row->task.id)
VALUE_BY(site, row->task.site)
/* Older is more: the order of ages is that of the start times turned round. */
VALUE_BY(age, -(double)row->task.first_ns)
VALUE_BY(idle, row->task.state_valid && row->task.running ? -1e30 : -(double)row->task.last_ns)
VALUE_BY(polls, row->task.polls)
VALUE_BY(busy, row->task.busy_ns)
VALUE_BY(wakes, row->task.wakes_valid ? (double)row->task.wakes : -1)
VALUE_BY(worker, row->task.last_tid)
VALUE_BY(refs, row->task.state_valid ? row->task.refs : 0)

static int by_state(const void *a, const void *b)
{
	return strcmp(state_text(&((const struct row *)a)->task),
		      state_text(&((const struct row *)b)->task));
}

static void wakes_line(const struct view *view, const struct ev_task *t, struct lines *out)
{
	const struct state *state = view->state;

	if (t->wakes_valid)
		lines_value(out, "wakes", "%s made it ready", FMT_COUNT((double)t->wakes));
	else if (state->level < 3)
		lines_value(out, "wakes", "n/a: they are seen at level 3 (--level 3)");
	else
		lines_value(out, "wakes", "n/a: no wake of its scheduler is seen");
}

static void waits_line(const struct ev_task *t, struct lines *out)
{
	if (t->waits_for)
		lines_value(out, "waits for",
			    "%s permit%s of the semaphore at 0x%llx: a Mutex, RwLock, Semaphore or "
			    "bounded channel",
			    FMT_COUNT((double)t->waits_permits), t->waits_permits == 1 ? "" : "s",
			    (unsigned long long)t->waits_for);
}

static void holds_line(const struct ev_task *t, struct lines *out)
{
	if (t->holds_too)
		lines_value(out, "holds", "permits of the semaphores at 0x%llx and 0x%llx",
			    (unsigned long long)t->holds, (unsigned long long)t->holds_too);
	else if (t->holds)
		lines_value(out, "holds", "permits of the semaphore at 0x%llx",
			    (unsigned long long)t->holds);
}

static void tasks_detail(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;
	const struct ev_task *t = &row->task;

	if (t->id)
		lines_add(out, ROLE_STRONG, 0, "task %llu", (unsigned long long)t->id);
	else
		lines_add(out, ROLE_STRONG, 0, "task at 0x%llx (its runtime gives it no id)",
			  (unsigned long long)t->key);
	lines_add(out, ROLE_NORMAL, 0, "%s", "");
	lines_value(out, "site", "%s", name_of(view, row));
	lines_value(out, "state", "%s%s", state_text(t),
		    t->state_valid ? "" : ": not read yet, the headers of tasks are read in turn");
	if (t->first_ns) {
		lines_value(out, "age", "%s since its first poll was seen",
			    FMT_DURATION(since(row, t->first_ns)));
		lines_value(out, "last poll", "%s ago, on tid %u",
			    FMT_DURATION(since(row, t->last_ns)), t->last_tid);
	} else {
		lines_value(out, "age", "%s",
			    "n/a: it was met before a time without level 2, and not polled since");
		lines_value(out, "last poll", "%s ago, or before",
			    FMT_DURATION(since(row, t->last_ns)));
	}
	lines_value(out, "polls", "%s", FMT_COUNT((double)t->polls));
	lines_value(out, "in polls", "%s, blocked or not", FMT_DURATION(t->busy_ns));
	wakes_line(view, t, out);
	waits_line(t, out);
	holds_line(t, out);
	if (t->state_valid) {
		lines_value(out, "JoinHandle", "%s", t->has_handle ? "exists" : "dropped");
		lines_value(out, "references", "%u", t->refs);
	}
}

static void tasks_empty(const struct view *view, struct lines *out)
{
	const struct state *state = view->state;

	if (state->why[0])
		lines_add(out, ROLE_NORMAL, 0, "n/a: %s.", state->why);
	else if (state->sampled)
		lines_add(out, ROLE_NORMAL, 0,
			  "n/a: %u task type%s probed for moments only, to keep to the overhead "
			  "budget; %s tasks are not followed (--overhead PCT allows more).",
			  state->sampled, state->sampled == 1 ? " is" : "s are",
			  state->sampled == 1 ? "its" : "their");
	else
		lines_add(out, ROLE_NORMAL, 0, "No task has been seen since the watch began.");
}

static void tasks_footer(const struct view *view, const void *row, struct lines *out)
{
	const struct state *state = view->state;

	(void)row;
	if (state->unread)
		lines_add(out, ROLE_DIM, 2,
			  "STATE n/a: %s header%s not read yet; they are read in turn, and until "
			  "then tasks that have ended are still here.",
			  FMT_COUNT((double)state->unread), state->unread == 1 ? "" : "s");
	if (state->truncated)
		lines_add(out, ROLE_WARNING, 2,
			  "The table of tasks is full: more are alive than are shown.");
	if (state->dropped)
		lines_add(out, ROLE_WARNING, 2, "%s more rows are not kept.",
			  FMT_COUNT((double)state->dropped));
}

static size_t tasks_badge(const struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	char why[WHY_SIZE];
	size_t count = 0;

	if (*tasks_unknown_text(m, why, sizeof(why)))
		return 0;
	if (view->only == ID_NONE)
		return m->tasks_count;
	for (uint32_t i = 0; i < m->tasks_count; i++)
		count += m->tasks[i].target == view->only;
	return count;
}

static void tasks_close(struct view *view)
{
	struct state *state = view->state;

	for (size_t i = 0; i < state->names_count; i++)
		free(state->names[i]);
	free(state->names);
	free(state);
}

static const struct column columns[] = {
	{.title = "ID",
	 .meaning = "the runtime's own id of the task",
	 .width = 8,
	 .right = true,
	 .cell = cell_id,
	 .value = value_id},
	COLUMN_PID,
	{.title = "SITE",
	 .meaning = "its future type",
	 .width = 18,
	 .grow = 1,
	 .cell = cell_site,
	 .value = value_site},
	{.title = "STATE",
	 .meaning = "idle, ready (waits for a worker), running; held: complete, JoinHandle kept",
	 .width = 9,
	 .cell = cell_state,
	 .compare = by_state},
	{.title = "AGE",
	 .meaning = "since its first poll was seen",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_age,
	 .value = value_age},
	{.title = "IDLE",
	 .meaning = "since the end of its last poll",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_idle,
	 .value = value_idle},
	{.title = "POLLS",
	 .meaning = "polls seen",
	 .width = 6,
	 .right = true,
	 .descending = true,
	 .cell = cell_polls,
	 .value = value_polls},
	{.title = "POLLING",
	 .meaning = "time in its polls, blocked or not",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_busy,
	 .value = value_busy},
	{.title = "WAKES",
	 .meaning = "times it was made ready (level 3)",
	 .width = 6,
	 .from = 130,
	 .right = true,
	 .descending = true,
	 .cell = cell_wakes,
	 .value = value_wakes},
	{.title = "TID",
	 .meaning = "thread that polled it last",
	 .width = 7,
	 .from = 90,
	 .right = true,
	 .cell = cell_worker,
	 .value = value_worker},
	{.title = "HANDLE",
	 .meaning = "whether its JoinHandle exists",
	 .width = 6,
	 .from = 100,
	 .cell = cell_handle},
	{.title = "REFS",
	 .meaning = "references to it",
	 .width = 5,
	 .from = 110,
	 .right = true,
	 .descending = true,
	 .cell = cell_refs,
	 .value = value_refs},
};

static const struct grid_spec grid = {
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.row_size = sizeof(struct row),
	.natural = "as found",
	.sort = 7, /* POLLING */
	.key = row_key,
	.text = row_text,
};

const struct view_ops view_tasks = {
	.title = "Tasks",
	.request_open = REQUEST_VIEW_TASKS,
	.grid = &grid,
	.open = tasks_open,
	.read = tasks_read,
	.draw = view_grid_draw,
	.request = view_grid_request,
	.close = tasks_close,
	.badge = tasks_badge,
	.detail = tasks_detail,
	.empty = tasks_empty,
	.footer = tasks_footer,
	.footer_rows = 2,
};
