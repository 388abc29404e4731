// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sites: the future types that are polled. Numbers of a sampled site carry a "~". */
#include "tui/view.h"

#include "rules/stack.h"
#include "util/xalloc.h"

#include <stdio.h>
#include <string.h>

#define HIST_LINES 40 /* octaves of a histogram that are shown */

struct row {
	uint32_t id, pid;
	enum site_kind kind;
	enum site_name_from name_from;
	bool ambiguous, sampled, tasks_valid;
	char name[NAME_SIZE], scheduler[128], binary[128], location[128];
	uint32_t size_bytes;
	uint32_t live, live_peak, idle, ready, running, held, detached;
	uint64_t held_oldest_ns, idle_oldest_ns;
	uint64_t polls, busy_ns, blocked_ns, preempted_ns;
	uint64_t p50_ns, p99_ns, max_ns;
	uint64_t delays, delay_p50_ns, delay_p99_ns, delay_max_ns;
	uint64_t seen, ended;
	double polls_rate, spawn_rate, busy_rate; /* a second; negative: not known */
	uint64_t octaves[HIST_LINES];		  /* polls by power of two of nanoseconds */
	char spawned[240]; /* where most of its tasks are, or why that is n/a */
};

struct state {
	char why[WHY_SIZE]; /* no tasks are counted */
	uint32_t sampled;   /* rows */
	bool uncounted;	    /* tasks of some of these */
};

static void sites_open(struct view *view)
{
	view->state = xcalloc(1, sizeof(struct state));
}

static void sites_close(struct view *view)
{
	free(view->state);
}

static const char *const kind_texts[] = {
	[SITE_TASK] = "task", [SITE_BLOCKING] = "blocking", [SITE_WORKER] = "worker"};

static void read_octaves(const struct site *s, struct row *row)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		uint64_t low, high;
		int octave = 0;

		hist_edges(i, &low, &high);
		while (low >> octave > 1)
			octave++;
		if (octave < HIST_LINES)
			row->octaves[octave] += s->hist.bucket[i];
	}
}

static void read_spawn(const struct model *m, const struct site *s, struct row *row)
{
	const struct site_stack *spawn;
	double share;

	spawn = site_spawn(s, &share);
	if (spawn)
		spawn_text(m, s, spawn, share, row->spawned, sizeof(row->spawned));
	else
		snprintf(row->spawned, sizeof(row->spawned), "n/a: %s", site_no_spawn(s));
}

static void read_row(struct view *view, const struct model *m, const struct site *s,
		     bool tasks_known)
{
	struct row *row = grid_row_add(&view->grid);

	row->id = s->id;
	row->pid = target_pid(m, s->target);
	row->kind = s->kind;
	row->name_from = s->name_from;
	row->ambiguous = s->ambiguous;
	row->sampled = s->sampled;
	row->tasks_valid = s->tasks_valid && tasks_known;
	snprintf(row->name, sizeof(row->name), "%s", s->name ? s->name : "n/a");
	snprintf(row->location, sizeof(row->location), "%s", s->location ? s->location : "");
	snprintf(row->scheduler, sizeof(row->scheduler), "%s", s->scheduler ? s->scheduler : "n/a");
	snprintf(row->binary, sizeof(row->binary), "%s",
		 s->binary < m->binaries_count && m->binaries[s->binary].path ?
			 m->binaries[s->binary].path :
			 "n/a");
	row->size_bytes = s->size_bytes;
	row->live = s->live;
	row->live_peak = s->live_peak;
	row->idle = s->idle;
	row->ready = s->ready;
	row->running = s->running;
	row->held = s->completed_held;
	row->held_oldest_ns = s->completed_held_oldest_ns;
	row->detached = s->detached;
	row->idle_oldest_ns = s->idle_oldest_ns;
	row->polls = s->polls;
	row->busy_ns = s->busy_ns;
	row->blocked_ns = s->blocked_ns;
	row->preempted_ns = s->preempted_ns;
	row->p50_ns = hist_quantile_within(&s->hist, s->max_ns, 0.5);
	row->p99_ns = hist_quantile_within(&s->hist, s->max_ns, 0.99);
	row->max_ns = s->max_ns;
	row->delays = s->delay.count;
	row->delay_p50_ns = hist_quantile_within(&s->delay, s->delay_max_ns, 0.5);
	row->delay_p99_ns = hist_quantile_within(&s->delay, s->delay_max_ns, 0.99);
	row->delay_max_ns = s->delay_max_ns;
	row->seen = s->seen;
	row->ended = s->ended;
	row->polls_rate = series_rate_known(s->series ? &s->series->polls : NULL, SHARES_OVER);
	row->spawn_rate = row->tasks_valid ? series_rate_known(s->series ? &s->series->seen : NULL,
							       SHARES_OVER) :
					     -1;
	row->busy_rate = series_rate_known(s->series ? &s->series->busy_ns : NULL, SHARES_OVER);
	read_octaves(s, row);
	read_spawn(m, s, row);
}

/* A site that was never polled says nothing yet; there may be a thousand of them. */
static bool is_active(const struct view *view, const struct site *s)
{
	return is_shown(view->only, s->target) && s->kind != SITE_WORKER &&
	       (s->polls || s->seen || s->live);
}

static void sites_read(struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct state *state = view->state;
	bool known = !*tasks_unknown_text(m, state->why, sizeof(state->why));

	state->sampled = 0;
	state->uncounted = false;
	grid_clear(&view->grid);
	for (uint32_t i = 0; i < m->sites_count; i++) {
		if (!is_active(view, &m->sites[i]))
			continue;
		read_row(view, m, &m->sites[i], known);
		state->sampled += m->sites[i].sampled;
		state->uncounted |= m->sites[i].sampled && !m->sites[i].tasks_valid;
	}
}

static uint64_t row_key(const void *row)
{
	return ((const struct row *)row)->id;
}

static void row_text(const void *context, const void *row_, char *out, size_t size)
{
	const struct row *row = row_;

	(void)context;
	snprintf(out, size, "%s %s", row->name, kind_texts[row->kind]);
}

static void cell_name(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->name = true;
	snprintf(cell->text, sizeof(cell->text), "%s%s", row->name,
		 row->ambiguous ? " (or another)" : "");
}

static void cell_kind(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s", kind_texts[((const struct row *)row)->kind]);
}

static void cell_max(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	cell_duration(cell->text, sizeof(cell->text), ((const struct row *)row)->max_ns);
}

#define CELL_POLL_TIME(name, member)                                                               \
	static void cell_##name(const void *context, const void *row_, struct cell *cell)          \
	{                                                                                          \
		const struct row *row = row_;                                                      \
                                                                                                   \
		(void)context;                                                                     \
		if (row->polls)                                                                    \
			snprintf(cell->text, sizeof(cell->text), "%s%s", row->sampled ? "~" : "",  \
				 CELL_TIME(row->member));                                          \
		else                                                                               \
			snprintf(cell->text, sizeof(cell->text), "-");                             \
	}

CELL_POLL_TIME(p50, p50_ns)
CELL_POLL_TIME(p99, p99_ns)

#define CELL_RATE(name, member)                                                                    \
	static void cell_##name(const void *context, const void *row_, struct cell *cell)          \
	{                                                                                          \
		const struct row *row = row_;                                                      \
                                                                                                   \
		(void)context;                                                                     \
		snprintf(cell->text, sizeof(cell->text), "%s%s",                                   \
			 row->sampled && row->member >= 0 ? "~" : "", FMT_KNOWN(row->member));     \
	}

CELL_RATE(polls, polls_rate)
CELL_RATE(spawns, spawn_rate)

static void cell_busy(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s%s",
		 row->sampled && row->busy_rate >= 0 ? "~" : "",
		 FMT_RATIO(row->busy_rate < 0 ? -1 : row->busy_rate / 1e9));
}

#define CELL_TASKS(name, member)                                                                   \
	static void cell_##name(const void *context, const void *row_, struct cell *cell)          \
	{                                                                                          \
		const struct row *row = row_;                                                      \
                                                                                                   \
		(void)context;                                                                     \
		snprintf(cell->text, sizeof(cell->text), "%s",                                     \
			 row->tasks_valid ? FMT_COUNT((double)row->member) : "n/a");               \
	}

CELL_TASKS(live, live)
CELL_TASKS(ready, ready)
CELL_TASKS(held, held)
CELL_TASKS(detached, detached)

static uint64_t memory_of(const struct row *row)
{
	return (uint64_t)row->size_bytes * row->live;
}

static void cell_memory(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->tasks_valid && row->size_bytes ? FMT_BYTES(memory_of(row)) : "n/a");
}

static void cell_blocked(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s%s", row->sampled && row->blocked_ns ? "~" : "",
		 row->blocked_ns ? CELL_TIME(row->blocked_ns) : "-");
}

static void cell_delay(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->delays ? CELL_TIME(row->delay_p99_ns) : "-");
}

CELL_PID
VALUE_BY(live, row->tasks_valid ? (double)row->live : -1)
VALUE_BY(polls, row->polls_rate)
VALUE_BY(spawns, row->spawn_rate)
VALUE_BY(p50, row->p50_ns)
VALUE_BY(p99, row->p99_ns)
VALUE_BY(max, row->max_ns)
VALUE_BY(delay, row->delay_p99_ns)
VALUE_BY(busy, row->busy_rate)
VALUE_BY(blocked, row->blocked_ns)
VALUE_BY(memory, row->tasks_valid ? (double)memory_of(row) : -1)
VALUE_BY(ready, row->tasks_valid ? (double)row->ready : -1)
VALUE_BY(held, row->tasks_valid ? (double)row->held : -1)
VALUE_BY(detached, row->tasks_valid ? (double)row->detached : -1)

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->name, ((const struct row *)b)->name);
}

static void tasks_lines(const struct row *row, struct lines *out)
{
	lines_title(out, "Tasks");
	if (!row->tasks_valid) {
		lines_add(out, ROLE_DIM, 2, "%s",
			  row->sampled ? "n/a: it was sampled, over the overhead budget" :
					 "n/a: tasks are counted from level 2 on");
		return;
	}
	lines_value(out, "seen", "%s, ended %s", FMT_COUNT((double)row->seen),
		    FMT_COUNT((double)row->ended));
	lines_value(out, "alive", "%s (peak %s): %s idle, %s ready, %s running",
		    FMT_COUNT(row->live), FMT_COUNT(row->live_peak), FMT_COUNT(row->idle),
		    FMT_COUNT(row->ready), FMT_COUNT(row->running));
	lines_value(out, "held", "%s complete but kept by their JoinHandle%s%s",
		    FMT_COUNT(row->held), row->held ? ", the oldest for " : "",
		    row->held ? FMT_DURATION(row->held_oldest_ns) : "");
	lines_value(out, "detached", "%s alive without a JoinHandle", FMT_COUNT(row->detached));
	lines_value(out, "longest idle", "%s", FMT_DURATION(row->idle_oldest_ns));
}

static void octaves_lines(const struct view *view, const struct row *row, struct lines *out)
{
	uint64_t most = 1;

	lines_title(out, "Poll durations");
	for (int i = 0; i < HIST_LINES; i++)
		if (row->octaves[i] > most)
			most = row->octaves[i];
	for (int i = 0; i < HIST_LINES; i++) {
		char bar[40 * 3 + 1] = "";
		size_t columns = (size_t)((double)row->octaves[i] / (double)most * 39 + 0.999);
		char edge[FMT_SIZE];

		if (!row->octaves[i])
			continue;
		for (size_t k = 0; k < columns; k++)
			strcat(bar, view->utf8 ? "█" : "#");
		fmt_duration(edge, sizeof(edge), 2ULL << i);
		lines_add(out, ROLE_BUSY, 2, "< %-9s %7s  %s", edge,
			  FMT_COUNT((double)row->octaves[i]), bar);
	}
}

static void sites_detail(const struct view *view, const void *row_, struct lines *out)
{
	static const char *const from[] = {
		[NAME_SYMBOL] = "the symbol of its poll function",
		[NAME_DWARF] = "debug information",
		[NAME_DROP_GLUE] = "the drop function that poll reaches",
		[NAME_CALLEE] = "the first function that poll calls",
		[NAME_NONE] = "its address: the file has no symbols that name it",
		[NAME_TOLD] = "the program itself"};
	const struct row *row = row_;

	lines_add(out, ROLE_STRONG, 0, "%s", row->name);
	if (row->ambiguous)
		lines_add(
			out, ROLE_WARNING, 2,
			"The linker folded several types into one function: this is one of them.");
	if (row->sampled)
		lines_add(out, ROLE_WARNING, 2,
			  "Sampled in windows to stay in the overhead budget: numbers are scaled.");
	lines_add(out, ROLE_NORMAL, 0, "%s", "");
	lines_value(out, "kind", "%s", kind_texts[row->kind]);
	lines_value(out, "name from", "%s", from[row->name_from]);
	lines_value(out, "scheduler", "%s", row->scheduler);
	if (row->location[0])
		lines_value(out, "spawned at", "%s", row->location);
	lines_value(out, "binary", "%s", row->binary);
	lines_value(out, "task size", "%s", row->size_bytes ? FMT_BYTES(row->size_bytes) : "n/a");
	lines_value(out, "spawned", "%s", row->spawned);
	tasks_lines(row, out);
	lines_title(out, "Polls since it is watched");
	lines_value(out, "polls", "%s, now %s/s", FMT_COUNT((double)row->polls),
		    FMT_KNOWN(row->polls_rate));
	lines_value(out, "time in them", "%s, of which", FMT_DURATION(row->busy_ns));
	lines_value(out, "blocked", "%s", FMT_DURATION(row->blocked_ns));
	lines_value(out, "preempted", "%s", FMT_DURATION(row->preempted_ns));
	if (row->polls)
		lines_value(out, "length", "p50 %s, p99 %s, longest %s", FMT_DURATION(row->p50_ns),
			    FMT_DURATION(row->p99_ns), FMT_DURATION(row->max_ns));
	if (row->delays)
		lines_value(out, "wake to poll", "p50 %s, p99 %s, longest %s",
			    FMT_DURATION(row->delay_p50_ns), FMT_DURATION(row->delay_p99_ns),
			    FMT_DURATION(row->delay_max_ns));
	octaves_lines(view, row, out);
}

static size_t sites_badge(const struct view *view, const struct snapshot *snap)
{
	size_t active = 0;

	for (uint32_t i = 0; i < snap->model->sites_count; i++)
		active += is_active(view, &snap->model->sites[i]);
	return active;
}

static void sites_footer(const struct view *view, const void *row, struct lines *out)
{
	const struct state *state = view->state;

	(void)row;
	if (state->sampled)
		lines_add(out, ROLE_DIM, 2,
			  "~ scaled: %u type%s probed for moments only, now or before, to keep to "
			  "the overhead budget%s.",
			  state->sampled, state->sampled == 1 ? "" : "s",
			  state->uncounted ? "; tasks of such are not counted" : "");
	if (state->why[0])
		lines_add(out, ROLE_DIM, 2, "LIVE and SPAWN/s n/a: %s.", state->why);
}

static void sites_empty(const struct view *view, struct lines *out)
{
	(void)view;
	lines_add(out, ROLE_NORMAL, 0, "No future type has been polled since the watch began.");
}

static const struct column columns[] = {
	{.title = "SITE",
	 .meaning = "the future type",
	 .width = 20,
	 .grow = 1,
	 .cell = cell_name,
	 .compare = by_name},
	COLUMN_PID,
	{.title = "KIND",
	 .meaning = "task, or work of the blocking pool",
	 .width = 8,
	 .from = 100,
	 .cell = cell_kind},
	{.title = "LIVE",
	 .meaning = "tasks alive (level 2)",
	 .width = 6,
	 .right = true,
	 .descending = true,
	 .cell = cell_live,
	 .value = value_live},
	{.title = "SPAWN/s",
	 .meaning = "tasks first seen, a second (level 2)",
	 .width = 7,
	 .from = 100,
	 .right = true,
	 .descending = true,
	 .cell = cell_spawns,
	 .value = value_spawns},
	{.title = "POLLS/s",
	 .meaning = "polls a second; ~ scaled from samples",
	 .width = 7,
	 .right = true,
	 .descending = true,
	 .cell = cell_polls,
	 .value = value_polls},
	{.title = "P50",
	 .meaning = "half of the polls are not longer",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_p50,
	 .value = value_p50},
	{.title = "P99",
	 .meaning = "99 of 100 polls are not longer",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_p99,
	 .value = value_p99},
	{.title = "MAX",
	 .meaning = "longest closed poll",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_max,
	 .value = value_max},
	{.title = "POLLING",
	 .meaning = "time in its polls, blocked or not, as a share of one worker's time",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_busy,
	 .value = value_busy},
	{.title = "DELAY",
	 .meaning = "99 of 100 wakes led to a poll within this time (level 3)",
	 .width = 8,
	 .from = 130,
	 .right = true,
	 .descending = true,
	 .cell = cell_delay,
	 .value = value_delay},
	{.title = "BLOCKED",
	 .meaning = "time that its polls blocked their worker",
	 .width = 8,
	 .from = 110,
	 .right = true,
	 .descending = true,
	 .cell = cell_blocked,
	 .value = value_blocked},
	{.title = "MEMORY",
	 .meaning = "size of a task times those alive",
	 .width = 8,
	 .from = 130,
	 .right = true,
	 .descending = true,
	 .cell = cell_memory,
	 .value = value_memory},
	{.title = "READY",
	 .meaning = "tasks that wait for a worker",
	 .width = 6,
	 .from = 140,
	 .right = true,
	 .descending = true,
	 .cell = cell_ready,
	 .value = value_ready},
	{.title = "HELD",
	 .meaning = "complete tasks kept by a JoinHandle",
	 .width = 6,
	 .from = 150,
	 .right = true,
	 .descending = true,
	 .cell = cell_held,
	 .value = value_held},
	{.title = "DETACHED",
	 .meaning = "alive without a JoinHandle",
	 .width = 8,
	 .from = 160,
	 .right = true,
	 .descending = true,
	 .cell = cell_detached,
	 .value = value_detached},
};

static const struct grid_spec grid = {
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.row_size = sizeof(struct row),
	.natural = "as found",
	.sort = 9, /* POLLING */
	.key = row_key,
	.text = row_text,
};

const struct view_ops view_sites = {
	.title = "Sites",
	.request_open = REQUEST_VIEW_SITES,
	.grid = &grid,
	.open = sites_open,
	.read = sites_read,
	.draw = view_grid_draw,
	.request = view_grid_request,
	.badge = sites_badge,
	.detail = sites_detail,
	.empty = sites_empty,
	.footer = sites_footer,
	.footer_rows = 2,
	.close = sites_close,
};
