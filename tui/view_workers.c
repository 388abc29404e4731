// SPDX-License-Identifier: LGPL-2.1-or-later
/* Workers: where their time goes, what each polls now and for how long. */
#include "tui/view.h"

#include <stdio.h>
#include <string.h>

#include "util/syscall.h"

struct row {
	uint64_t key;
	uint32_t tid, pid;
	bool announced, worker, root, main, ended, shares_known;
	struct ev_thread now; /* `comm` is not used: it is the model's */
	char comm[32], site[NAME_SIZE], runtime[64];
	bool for_known;
	uint64_t for_ns;     /* in its state, or in the open poll */
	uint64_t blocked_ns; /* of the open long poll, 0 unknown */
	struct worker_shares shares;
	struct spark minute; /* busy share of each second */
	char mark[SERIES_LEN];
	char queues[112]; /* of its runtime, one for each worker */
};

/* Seconds in which it blocked for this share, or more, are marked. */
#define BLOCKED_MARK 0.05

static void read_minute(const struct worker *w, const struct model *m, struct row *row)
{
	struct spark blocked;

	spark_read_shares(&row->minute, m, &w->busy);
	spark_read_shares(&blocked, m, &w->blocked);
	for (size_t i = 0; i < row->minute.count; i++)
		row->mark[i] = i < blocked.count && blocked.value[i] >= BLOCKED_MARK ? 'B' : 0;
}

/* Shares over as much of the last seconds as there is. */
static bool shares_known(const struct worker *w, struct worker_shares *shares)
{
	for (uint32_t seconds = SHARES_OVER; seconds; seconds--)
		if (worker_shares(w, seconds, shares))
			return true;
	return false;
}

static bool has_ended(const struct model *m, const struct worker *w)
{
	const struct target *t = model_target(m, w->target);

	return w->ended || !t || t->ended;
}

/* Which thread has which queue is not known: they go by the number of the worker. */
static void queues_text(const struct runtime *r, char *out, size_t size)
{
	const struct ev_queues *q = &r->queues;
	size_t used;

	if (!r->queues_seen || q->local < 0 || !q->workers)
		return;
	used = (size_t)(q->workers == 1 ?
				snprintf(out, size, "local queue:") :
				snprintf(out, size,
					 "local queues, worker 0 to %u:", q->workers - 1));
	for (uint32_t i = 0; i < q->workers && used + 12 < size; i++)
		used += (size_t)snprintf(out + used, size - used, " %u", q->local_each[i]);
}

/*
 * Until when it surely did what it does: a long poll is followed, anything else was so at the last look
 * at the thread, and may have ended a moment later.
 */
static uint64_t seen_ns(const struct model *m, const struct worker *w, const struct ev_thread *now)
{
	bool followed = !w->announced || (w->open && w->poll.start_ns == now->poll_start_ns);

	return followed ? m->now_ns : w->now_ns;
}

static void read_row(struct view *view, const struct model *m, const struct worker *w)
{
	const struct target *t = model_target(m, w->target);
	struct row *row = grid_row_add(&view->grid);
	struct ev_thread now = w->now;
	uint64_t since, at;
	const struct runtime *r;

	/* So far only its open poll is known. */
	if (!w->announced && w->open) {
		now.runtime = w->poll.runtime;
		now.site = w->poll.site;
		now.task_id = w->poll.task_id;
		now.poll_start_ns = w->poll.start_ns;
	}
	r = now.runtime == ID_NONE ? NULL : model_runtime(m, now.runtime);
	since = now.poll_start_ns ? now.poll_start_ns : now.since_ns;
	row->key = (uint64_t)w->target << 32 | w->now.tid;
	row->tid = w->now.tid;
	row->pid = target_pid(m, w->target);
	row->announced = w->announced;
	row->worker = now.worker || !w->announced;
	row->root = now.root;
	row->main = t && t->pid == row->tid;
	row->ended = has_ended(m, w);
	row->now = now;
	snprintf(row->comm, sizeof(row->comm), "%s", now.comm && *now.comm ? now.comm : "n/a");
	if (r) {
		runtime_text(m, r, row->runtime, sizeof(row->runtime));
		queues_text(r, row->queues, sizeof(row->queues));
	}
	if (now.poll_start_ns)
		snprintf(row->site, sizeof(row->site), "%s", site_text(m, now.site));
	at = seen_ns(m, w, &now);
	/* On the CPU, polls that are not seen may have come and gone. */
	row->for_known = thread_state_known(&now) || now.state == THREAD_PARKED;
	row->for_ns = since && at > since ? at - since : 0;
	if (w->open && w->poll.start_ns == now.poll_start_ns)
		row->blocked_ns = w->poll.blocked_ns;
	row->shares_known = shares_known(w, &row->shares);
	read_minute(w, m, row);
}

/* Workers first; threads that only ran blocking-pool work after them; ended ones last; 3: not shown. */
static int place_of(const struct view *view, const struct model *m, const struct worker *w)
{
	if (!is_shown(view->only, w->target))
		return 3;
	if (has_ended(m, w))
		return 2;
	return w->now.worker || !w->announced ? 0 : 1;
}

static size_t workers_badge(const struct view *view, const struct snapshot *snap)
{
	size_t workers = 0;

	for (uint32_t i = 0; i < snap->model->workers_count; i++)
		workers += place_of(view, snap->model, &snap->model->workers[i]) == 0;
	return workers;
}

static void workers_read(struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;

	grid_clear(&view->grid);
	for (int place = 0; place < 3; place++)
		for (uint32_t i = 0; i < m->workers_count; i++)
			if (place_of(view, m, &m->workers[i]) == place)
				read_row(view, m, &m->workers[i]);
}

static uint64_t row_key(const void *row)
{
	return ((const struct row *)row)->key;
}

static const char *state_text(const struct row *row)
{
	return row->announced ? thread_state_text(&row->now, row->ended) : "n/a";
}

static const char *syscall_text(int32_t nr)
{
	const char *name = syscall_name(nr);

	return name ? name : "unknown";
}

static void row_text(const void *context, const void *row_, char *out, size_t size)
{
	const struct row *row = row_;

	(void)context;
	snprintf(out, size, "%u %s %s %s %s", row->tid, row->comm, state_text(row), row->site,
		 row->runtime);
}

static void cell_tid(const void *context, const void *row, struct cell *cell)
{
	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%u", ((const struct row *)row)->tid);
}

static void cell_comm(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s%s",
		 row->worker || row->main || row->root ? "" : "pool: ", row->comm);
}

static void cell_state(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->role = row->ended || !row->announced ? ROLE_DIM : thread_state_role(row->now.state);
	snprintf(cell->text, sizeof(cell->text), "%s", state_text(row));
}

static void cell_for(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->ended	 ? "-" :
		 !row->for_known ? "n/a" :
				   CELL_TIME(row->for_ns));
}

static void cell_site(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->name = true;
	if (row->site[0] || row->worker || row->ended) {
		snprintf(cell->text, sizeof(cell->text), "%s", row->ended ? "" : row->site);
	} else {
		cell->role = ROLE_DIM;
		snprintf(cell->text, sizeof(cell->text), "%s",
			 row->main ? "(main thread)" :
			 row->root ? "(block_on)" :
				     "(blocking pool)");
	}
}

static void cell_bar(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;
	const struct worker_shares *s = &row->shares;
	const double ratios[SHARE_PARTS] = {s->busy, s->blocked, s->preempted, s->searching,
					    s->parked};

	(void)context;
	if (!row->shares_known) {
		cell->role = ROLE_DIM;
		snprintf(cell->text, sizeof(cell->text), "%s",
			 row->now.unaccounted ? "n/a: sampled" : "n/a: just started");
		return;
	}
	for (size_t i = 0; i < SHARE_PARTS; i++) {
		cell->parts[i] = share_parts[i];
		cell->parts[i].ratio = ratios[i];
	}
	cell->parts_count = SHARE_PARTS;
}

#define CELL_SHARE(name, member)                                                                   \
	static void cell_##name(const void *context, const void *row_, struct cell *cell)          \
	{                                                                                          \
		const struct row *row = row_;                                                      \
                                                                                                   \
		(void)context;                                                                     \
		fmt_ratio(cell->text, sizeof(cell->text),                                          \
			  row->shares_known ? row->shares.member : -1);                            \
	}

CELL_SHARE(busy, busy)
CELL_SHARE(blocked, blocked)

static void cell_polls(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	snprintf(cell->text, sizeof(cell->text), "%s",
		 row->shares_known ? FMT_COUNT(row->shares.polls_per_second) : "n/a");
}

static void cell_task(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	if (row->now.poll_start_ns && !row->ended && row->now.task_id)
		snprintf(cell->text, sizeof(cell->text), "%llu",
			 (unsigned long long)row->now.task_id);
}

static void cell_in(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	if (!row->ended && row->now.syscall >= 0)
		snprintf(cell->text, sizeof(cell->text), "%s", syscall_text(row->now.syscall));
}

static void cell_minute(const void *context, const void *row_, struct cell *cell)
{
	const struct row *row = row_;

	(void)context;
	cell->role = ROLE_BUSY;
	cell->spark = row->minute;
	cell->marked = true;
	memcpy(cell->mark, row->mark, sizeof(row->mark));
}

CELL_PID
VALUE_BY(tid, row->tid)
VALUE_BY(state, row->ended || !row->announced ? -1 : (int)row->now.state)
VALUE_BY(for, row->for_ns)
VALUE_BY(busy, row->shares_known ? row->shares.busy : -1)
VALUE_BY(blocked, row->shares_known ? row->shares.blocked : -1)
VALUE_BY(polls, row->shares_known ? row->shares.polls_per_second : -1)

static int by_comm(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->comm, ((const struct row *)b)->comm);
}

static int by_site(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->site, ((const struct row *)b)->site);
}

static void shares_lines(const struct row *row, struct lines *out)
{
	const struct worker_shares *s = &row->shares;
	const double ratios[SHARE_PARTS] = {s->busy, s->blocked, s->preempted, s->searching,
					    s->parked};

	for (size_t i = 0; i < SHARE_PARTS; i++)
		lines_add(out, share_parts[i].role, 2, "%-20s %s", share_names[i],
			  FMT_RATIO(row->shares_known ? ratios[i] : -1));
}

/* On a narrow screen the table has no room for it. */
static void minute_lines(const struct view *view, const struct row *row, struct lines *out)
{
	char text[SPARK_TEXT];

	if (!row->minute.count)
		return;
	lines_title(out, "Busy, last minute, newest at the right");
	lines_add(out, ROLE_BUSY, 2, "%s",
		  spark_text(&row->minute, row->mark, view->utf8, text, sizeof(text)));
}

static void workers_detail(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;
	const struct ev_thread *t = &row->now;

	lines_add(out, ROLE_STRONG, 0, "%s tid %u", row->comm, row->tid);
	lines_add(out, ROLE_NORMAL, 0, "%s", "");
	lines_value(
		out, "kind", "%s",
		row->worker ? "worker: polls tasks" :
		row->main ? "main thread: no task polled so far, at most the future of a block_on" :
		row->root ? "in block_on: no task polled so far, at most its future" :
			    "blocking pool: no task polled so far");
	lines_value(out, "runtime", "%s", row->runtime[0] ? row->runtime : "n/a");
	lines_value(out, "state", "%s for %s", state_text(row),
		    row->for_known ? FMT_DURATION(row->for_ns) : "n/a");
	if (t->poll_start_ns) {
		lines_value(out, "polls", "%s", row->site);
		if (t->task_id)
			lines_value(out, "task", "%llu", (unsigned long long)t->task_id);
		if (row->blocked_ns)
			lines_value(out, "blocked", "%s of this poll",
				    FMT_DURATION(row->blocked_ns));
	}
	if (t->syscall >= 0)
		lines_value(out, "system call", "%s (%d)", syscall_text(t->syscall), t->syscall);
	lines_title(out, "Last seconds");
	shares_lines(row, out);
	minute_lines(view, row, out);
	lines_title(out, "Since it is watched");
	if (t->unaccounted) {
		lines_add(out, ROLE_DIM, 2,
			  "n/a: not all of its polls are seen, over the overhead budget");
		return;
	}
	lines_value(out, "polls", "%s", FMT_COUNT((double)t->polls));
	lines_value(out, "busy", "%s", FMT_DURATION(t->busy_ns));
	lines_value(out, "blocked", "%s", FMT_DURATION(t->blocked_ns));
	lines_value(out, "preempted", "%s", FMT_DURATION(t->preempted_ns));
	lines_value(out, "searching", "%s", FMT_DURATION(t->searching_ns));
	lines_value(out, "parked", "%s", FMT_DURATION(t->parked_ns));
}

static void workers_empty(const struct view *view, struct lines *out)
{
	(void)view;
	lines_add(out, ROLE_NORMAL, 0, "No thread has polled a task since the watch began.");
}

static void workers_footer(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;

	lines_add(out, ROLE_DIM, 0, "%s", "");
	shares_legend(view, out);
	if (row && row->now.unaccounted && !row->ended)
		lines_add(
			out, ROLE_DIM, 2,
			"n/a: its polls are sampled, to keep to the overhead budget; asleep or on "
			"CPU, it may be in one.");
	if (row && row->queues[0])
		lines_add(out, ROLE_NORMAL, 2, "%s", row->queues);
}

static const struct column columns[] = {
	{.title = "TID",
	 .meaning = "thread id",
	 .width = 7,
	 .right = true,
	 .cell = cell_tid,
	 .value = value_tid},
	COLUMN_PID,
	{.title = "THREAD",
	 .meaning = "its name; pool: has run only blocking-pool work",
	 .width = 15,
	 .from = 100,
	 .cell = cell_comm,
	 .compare = by_comm},
	{.title = "STATE",
	 .meaning =
		 "polling, BLOCKED or preempted in a poll, searching, parked; sampled: on CPU, asleep",
	 .width = 9,
	 .descending = true,
	 .cell = cell_state,
	 .value = value_state},
	{.title = "FOR",
	 .meaning = "how long the open poll, else the state, lasts",
	 .width = 8,
	 .right = true,
	 .descending = true,
	 .cell = cell_for,
	 .value = value_for},
	{.title = "POLLS NOW",
	 .meaning = "the future type that it polls now",
	 .width = 19,
	 .grow = 2,
	 .cell = cell_site,
	 .compare = by_site},
	{.title = "IN",
	 .meaning = "system call that it is blocked in",
	 .width = 15,
	 .from = 150,
	 .cell = cell_in},
	{.title = "TASK",
	 .meaning = "id of the task that it polls now",
	 .width = 8,
	 .from = 135,
	 .right = true,
	 .cell = cell_task},
	{.title = "TIME",
	 .meaning = "shares of the last seconds; the legend is below",
	 .width = 16,
	 .grow = 1,
	 .most = 40,
	 .cell = cell_bar},
	{.title = "BUSY",
	 .meaning = "share of the last seconds in polls on the CPU",
	 .width = 6,
	 .from = 160,
	 .right = true,
	 .descending = true,
	 .cell = cell_busy,
	 .value = value_busy},
	{.title = "BLOCKED",
	 .meaning = "share of the last seconds blocked in polls",
	 .width = 7,
	 .from = 170,
	 .right = true,
	 .descending = true,
	 .cell = cell_blocked,
	 .value = value_blocked},
	{.title = "POLLS/s",
	 .meaning = "polls a second",
	 .width = 7,
	 .right = true,
	 .descending = true,
	 .cell = cell_polls,
	 .value = value_polls},
	{.title = "LAST MINUTE",
	 .meaning =
		 "busy share of each second, newest at the right; B: blocked for 5 % of one or more",
	 .width = 30,
	 .from = 120,
	 .most = 60,
	 .grow = 1,
	 .cell = cell_minute},
};

static const struct grid_spec grid = {
	.columns = columns,
	.columns_count = sizeof(columns) / sizeof(columns[0]),
	.row_size = sizeof(struct row),
	.natural = "workers first",
	.sort = -1,
	.key = row_key,
	.text = row_text,
};

const struct view_ops view_workers = {
	.title = "Workers",
	.request_open = REQUEST_VIEW_WORKERS,
	.grid = &grid,
	.read = workers_read,
	.draw = view_grid_draw,
	.request = view_grid_request,
	.badge = workers_badge,
	.detail = workers_detail,
	.empty = workers_empty,
	.footer = workers_footer,
	.footer_rows = 3,
};
