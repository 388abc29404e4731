// SPDX-License-Identifier: LGPL-2.1-or-later
/* Targets, workers, sites, tasks, cost and notes as text; see text_block.h. */
#include "sink/text_block.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "rules/locks.h"
#include "util/fmt.h"
#include "util/sanitize.h"
#include "util/syscall.h"
#include "util/table.h"
#include "util/xalloc.h"

#define RATE_SECONDS 5
#define WORKER_COLUMN 15 /* a thread's name has no more bytes */
#define NOTES 16	 /* kept by the model */

static const struct {
	const char *on, *off;
} roles[] = {
	[ROLE_PLAIN] = {"", ""},
	[ROLE_TITLE] = {"\033[1m", "\033[0m"},
	[ROLE_OK] = {"\033[32m", "\033[0m"},
	[ROLE_WARNING] = {"\033[33m", "\033[0m"},
	[ROLE_CRITICAL] = {"\033[1;31m", "\033[0m"},
	[ROLE_DIM] = {"\033[2m", "\033[0m"},
};

const char *text_on(const struct text_style *style, enum text_role role)
{
	return style->color ? roles[role].on : "";
}

const char *text_off(const struct text_style *style, enum text_role role)
{
	return style->color ? roles[role].off : "";
}

enum text_role text_role_of(enum severity severity)
{
	static const enum text_role of[] = {
		[SEVERITY_INFO] = ROLE_PLAIN,
		[SEVERITY_WARNING] = ROLE_WARNING,
		[SEVERITY_CRITICAL] = ROLE_CRITICAL,
	};

	return of[severity];
}

char *text_clean(char *out, size_t size, const char *name)
{
	if (!name || !*name)
		name = "n/a";
	text_sanitize(out, size, name, strlen(name));
	return out;
}

static void print_table(FILE *out, const struct text_style *style, struct table *table,
			unsigned int indent)
{
	char *text = table_render(table, style->width, indent);
	size_t title = strcspn(text, "\n");

	fprintf(out, "%s%.*s%s%s", text_on(style, ROLE_TITLE), (int)title, text,
		text_off(style, ROLE_TITLE), text + title);
	free(text);
	table_free(table);
}

static void binary_line(FILE *out, const struct model *m, const struct binary *b)
{
	int64_t workers = binary_workers(m, b->id);
	char name[TEXT_CELL];
	uint32_t types;

	fprintf(out, "%s", text_clean(name, sizeof(name), b->runtime));
	fprintf(out, " %s",
		b->version ? text_clean(name, sizeof(name), b->version) : "(version n/a)");
	if (workers >= 0)
		fprintf(out, ", %" PRId64 " worker%s", workers, workers == 1 ? "" : "s");
	types = binary_task_types(m, b);
	fprintf(out, ", %u task type%s", types, types == 1 ? "" : "s");
}

void text_targets(FILE *out, const struct model *m)
{
	char name[TEXT_CELL];

	for (uint32_t i = 0; i < m->targets_count; i++) {
		const struct target *t = &m->targets[i];
		const char *before = ": ";

		if (t->id == ID_NONE)
			continue;
		fprintf(out, "%s (pid %u)", text_clean(name, sizeof(name), t->comm), t->pid);
		fprintf(out, " %s", text_clean(name, sizeof(name), t->exe));
		for (uint32_t k = 0; k < m->binaries_count; k++) {
			const struct binary *b = &m->binaries[k];

			if (b->id == ID_NONE || b->target != t->id)
				continue;
			fputs(before, out);
			binary_line(out, m, b);
			before = "; ";
		}
		fputs(*before == ':' ? ": no runtime found yet\n" : "\n", out);
	}
}

static void print_end(FILE *out, const struct target *t)
{
	if (t->end_reason == TARGET_EXECED)
		fputs("ran another program (exec)", out);
	else if (t->end_reason == TARGET_DETACHED)
		fputs("is no longer watched", out);
	else if (t->end_status < 0)
		fputs("exited", out);
	else if (WIFSIGNALED(t->end_status))
		fprintf(out, "was killed by signal %d", WTERMSIG(t->end_status));
	else
		fprintf(out, "exited with status %d", WEXITSTATUS(t->end_status));
}

void text_ended(FILE *out, const struct model *m)
{
	char name[TEXT_CELL], time[FMT_SIZE];

	for (uint32_t i = 0; i < m->targets_count; i++) {
		const struct target *t = &m->targets[i];

		if (t->id == ID_NONE || !t->ended)
			continue;
		fprintf(out, "%s (pid %u) ", text_clean(name, sizeof(name), t->comm), t->pid);
		print_end(out, t);
		fprintf(out, " after %s\n",
			fmt_duration(time, sizeof(time),
				     t->end_ns > t->begin_ns ? t->end_ns - t->begin_ns : 0));
	}
}

static void print_depth(FILE *out, const char *name, int64_t depth)
{
	char count[FMT_SIZE];

	fprintf(out, "%s %s", name,
		depth < 0 ? "n/a" : fmt_count(count, sizeof(count), (double)depth));
}

void text_queues(FILE *out, const struct model *m)
{
	char text[TEXT_CELL];

	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *r = &m->runtimes[i];
		const struct ev_queues *q = &r->queues;
		const char *flavor = flavor_name(r->flavor);

		if (r->id == ID_NONE)
			continue;
		fprintf(out, "runtime %u%s%s: ", r->id, flavor ? " " : "", flavor ? flavor : "");
		if (!r->queues_seen) {
			fputs("queues n/a (not read yet)\n", out);
			continue;
		}
		print_depth(out, "queued", q->inject);
		print_depth(out, " shared,", q->local);
		print_depth(out, " local; tasks alive", q->alive);
		print_depth(out, "; blocking pool: queued", q->blocking_queue);
		print_depth(out, ", threads", q->blocking_threads);
		print_depth(out, ", idle", q->blocking_idle);
		if (q->reason)
			fprintf(out, " (n/a: %s)", text_clean(text, sizeof(text), q->reason));
		fputc('\n', out);
	}
}

/* Shares since the thread was first seen. */
static bool whole_shares(const struct worker *w, struct worker_shares *out)
{
	const struct ev_thread *t = &w->now;
	double sum = (double)t->busy_ns + (double)t->blocked_ns + (double)t->preempted_ns +
		     (double)t->parked_ns + (double)t->searching_ns;

	if (sum <= 0 || w->holes)
		return false;
	*out = (struct worker_shares){
		.busy = (double)t->busy_ns / sum,
		.blocked = (double)t->blocked_ns / sum,
		.preempted = (double)t->preempted_ns / sum,
		.parked = (double)t->parked_ns / sum,
		.searching = (double)t->searching_ns / sum,
		.polls_per_second = (double)t->polls * 1e9 / sum,
	};
	return true;
}

static void share_cells(struct table *table, const struct worker *w, bool live)
{
	struct worker_shares s;
	bool known = live ? worker_shares(w, TEXT_SHARE_SECONDS, &s) : whole_shares(w, &s);
	double shares[5];
	char text[FMT_SIZE];

	if (!known) {
		for (int i = 0; i < 6; i++)
			table_cell(table, NULL);
		return;
	}
	shares[0] = s.busy;
	shares[1] = s.blocked;
	shares[2] = s.preempted;
	shares[3] = s.searching;
	shares[4] = s.parked;
	for (int i = 0; i < 5; i++)
		table_cell(table, fmt_ratio(text, sizeof(text), shares[i]));
	table_cell(table, fmt_count(text, sizeof(text), s.polls_per_second));
}

static void duration_cell(struct table *table, bool known, uint64_t ns)
{
	char text[FMT_SIZE];

	table_cell(table, known ? fmt_duration(text, sizeof(text), ns) : NULL);
}

/* ">4.68 s": at least. */
static void least_cell(struct table *table, bool known, uint64_t ns, bool least)
{
	char text[FMT_SIZE];

	if (known && least)
		table_cellf(table, ">%s", fmt_duration(text, sizeof(text), ns));
	else
		duration_cell(table, known, ns);
}

static void site_cell(struct table *table, const struct model *m, uint32_t site)
{
	const struct site *s = site == ID_NONE ? NULL : model_site(m, site);
	char text[TEXT_CELL];

	table_cell(table, text_clean(text, sizeof(text), s ? s->name : NULL));
}

static void id_cell(struct table *table, uint64_t id)
{
	if (id)
		table_cellf(table, "%" PRIu64, id);
	else
		table_cell(table, NULL);
}

/* What it does now: state, for how long, in which system call, task, task type. */
static void now_cells(struct table *table, const struct model *m, const struct worker *w)
{
	const struct ev_thread *t = &w->now;
	uint64_t since = t->poll_start_ns ? t->poll_start_ns : t->since_ns;

	if (worker_ended(m, w)) {
		table_cell(table, "ended");
		for (int i = 0; i < 4; i++)
			table_cell(table, "-");
		return;
	}
	table_cell(table, thread_state_name(t->state));
	/* Threads are read after the tick's time was taken. */
	least_cell(table, since, since < m->now_ns ? m->now_ns - since : 0, t->early);
	if (t->state != THREAD_BLOCKED)
		table_cell(table, "-");
	else if (t->syscall >= 0 && !syscall_name(t->syscall))
		table_cellf(table, "syscall %d", t->syscall);
	else
		table_cell(table, syscall_name(t->syscall));
	if (!t->poll_start_ns) {
		table_cell(table, "-");
		table_cell(table, "-");
		return;
	}
	id_cell(table, t->task_id);
	site_cell(table, m, t->site);
}

static void worker_row(struct table *table, const struct model *m, const struct worker *w,
		       bool live)
{
	char text[TEXT_CELL];

	table_cell(table, text_clean(text, sizeof(text), w->now.comm));
	table_cellf(table, "%u", w->now.tid);
	share_cells(table, w, live);
	now_cells(table, m, w);
}

void text_workers(FILE *out, const struct text_style *style, const struct model *m, size_t limit,
		  bool live)
{
	static const struct table_column columns[] = {
		{"WORKER", TABLE_LEFT, WORKER_COLUMN},
		{"TID", TABLE_RIGHT, 0},
		{"BUSY", TABLE_RIGHT, 0},
		{"BLOCKED", TABLE_RIGHT, 0},
		{"PREEMPTED", TABLE_RIGHT, 0},
		{"SEARCHING", TABLE_RIGHT, 0},
		{"PARKED", TABLE_RIGHT, 0},
		{"POLLS/S", TABLE_RIGHT, 0},
		{"NOW", TABLE_LEFT, 0},
		{"FOR", TABLE_RIGHT, 0},
		{"IN", TABLE_LEFT, 18},
		{"TASK", TABLE_RIGHT, 0},
		{"POLLING", TABLE_LEFT, 0},
	};
	const struct worker **list;
	size_t count = workers_sorted(m, !live, &list);
	struct table *table;

	if (!count) {
		fputs("no worker has polled a task yet\n", out);
		free(list);
		return;
	}
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < count && i < limit; i++)
		worker_row(table, m, list[i], live);
	print_table(out, style, table, 0);
	if (count > limit)
		fprintf(out, "and %zu more workers\n", count - limit);
	free(list);
}

/* "tokio-rt-worker (tid 4711) in shop::audit for at least 4.68 s, in futex: fd 7: pipe" */
static void worker_head(FILE *out, const struct text_style *style, const struct model *m,
			const struct worker *w, const struct site_stack *row)
{
	const struct ev_thread *t = &w->now;
	const struct site *s = model_site(m, t->site);
	char text[TEXT_CELL], length[FMT_SIZE];
	const char *call = syscall_name(row->syscall);

	fprintf(out, "%s%s (tid %u)%s", text_on(style, ROLE_TITLE),
		text_clean(text, sizeof(text), t->comm), t->tid, text_off(style, ROLE_TITLE));
	fprintf(out, " in %s for %s%s", text_clean(text, sizeof(text), s ? s->name : NULL),
		t->early ? "at least " : "",
		fmt_duration(length, sizeof(length),
			     t->poll_start_ns < m->now_ns ? m->now_ns - t->poll_start_ns : 0));
	if (row->kind == STACK_ON_CPU)
		fputs(", on the CPU", out);
	else if (call)
		fprintf(out, ", in %s", call);
	if (row->detail)
		fprintf(out, ": %s", text_clean(text, sizeof(text), row->detail));
	fputc('\n', out);
}

static void worker_lock(FILE *out, const struct model *m, const struct worker *w)
{
	char lock[TEXT_CELL], text[TEXT_CELL];

	lock_wait_text(m, w, lock, sizeof(lock));
	if (lock[0])
		fprintf(out, "  waits for %s\n", text_clean(text, sizeof(text), lock));
}

void text_worker_stacks(FILE *out, const struct text_style *style, const struct model *m)
{
	const struct worker **list;
	size_t count = workers_sorted(m, false, &list);

	for (size_t i = 0; i < count; i++) {
		const struct site_stack *row = worker_stack(list[i]);

		if (!row || !list[i]->now.poll_start_ns)
			continue;
		worker_head(out, style, m, list[i], row);
		worker_lock(out, m, list[i]);
		text_stack(out, style, "", row);
		fputc('\n', out);
	}
	free(list);
}

static void site_row(struct table *table, const struct model *m, const struct site *s, bool delays)
{
	const struct site_series *series = s->series;
	bool rates = series && series->polls.count > RATE_SECONDS;
	uint32_t seconds = rates ? RATE_SECONDS : 1;
	char text[FMT_SIZE];

	rates = series && series->polls.count > seconds;
	if (delays)
		duration_cell(table, s->delay.count, site_delay_quantile(s, 0.99));
	table_cell(table,
		   rates ? fmt_count(text, sizeof(text), series_rate(&series->polls, seconds)) :
			   NULL);
	table_cell(table, fmt_count(text, sizeof(text), (double)s->polls));
	duration_cell(table, s->hist.count, site_quantile(s, 0.5));
	duration_cell(table, s->hist.count, site_quantile(s, 0.99));
	duration_cell(table, true, s->max_ns);
	duration_cell(table, true, s->busy_ns);
	duration_cell(table, true, s->blocked_ns);
	table_cell(table, site_live_known(m, s) ? fmt_count(text, sizeof(text), s->live) : NULL);
	site_cell(table, m, s->id);
}

void text_sites(FILE *out, const struct text_style *style, const struct model *m, size_t limit)
{
	static const struct table_column columns[] = {
		{"DELAY P99", TABLE_RIGHT, 0}, /* level 3 only */
		{"POLLS/S", TABLE_RIGHT, 0},   {"POLLS", TABLE_RIGHT, 0},
		{"P50", TABLE_RIGHT, 0},       {"P99", TABLE_RIGHT, 0},
		{"MAX", TABLE_RIGHT, 0},       {"IN POLLS", TABLE_RIGHT, 0},
		{"BLOCKED", TABLE_RIGHT, 0},   {"LIVE", TABLE_RIGHT, 0},
		{"TASK TYPE", TABLE_LEFT, 0},
	};
	const struct site **list;
	size_t count = sites_sorted(m, &list);
	struct table *table;

	if (count) {
		bool delays = list[0]->delays_valid;

		table = table_new(columns + !delays,
				  sizeof(columns) / sizeof(columns[0]) - !delays);
		for (size_t i = 0; i < count && i < limit; i++)
			site_row(table, m, list[i], delays);
		print_table(out, style, table, 0);
	}
	if (count > limit)
		fprintf(out, "and %zu more task types\n", count - limit);
	free(list);
}

static void task_row(struct table *table, const struct model *m, const struct task_view *v)
{
	const struct ev_task *row = &v->task->row;
	const char *state = task_state_name(v->state);
	char text[FMT_SIZE];

	id_cell(table, row->id);
	table_cell(table, v->state == TASK_IN_POLL ? "in a poll" : state);
	duration_cell(table, v->for_ns, v->for_ns);
	table_cell(table, fmt_count(text, sizeof(text), (double)row->polls));
	duration_cell(table, true, row->busy_ns);
	if (v->worker || row->last_tid)
		table_cellf(table, "%u", v->worker ? v->worker->now.tid : row->last_tid);
	else
		table_cell(table, NULL);
	site_cell(table, m, row->site);
}

void text_tasks(FILE *out, const struct text_style *style, const struct model *m, size_t limit)
{
	static const struct table_column columns[] = {
		{"TASK", TABLE_RIGHT, 0},     {"STATE", TABLE_LEFT, 0},
		{"FOR", TABLE_RIGHT, 0},      {"POLLS", TABLE_RIGHT, 0},
		{"IN POLLS", TABLE_RIGHT, 0}, {"WORKER", TABLE_RIGHT, 0},
		{"TASK TYPE", TABLE_LEFT, 0},
	};
	struct task_view *list;
	size_t count = tasks_sorted(m, &list);
	struct table *table;

	if (count) {
		table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
		for (size_t i = 0; i < count && i < limit; i++)
			task_row(table, m, &list[i]);
		print_table(out, style, table, 0);
	} else {
		fputs("tasks n/a (none seen, or the level in force keeps no task table)\n", out);
	}
	if (count > limit)
		fprintf(out, "and %zu more tasks\n", count - limit);
	if (m->tasks_truncated || m->tasks_dropped)
		fputs("the task table was full: more tasks live than are listed\n", out);
	free(list);
}

/* What the overhead budget has done; nothing where it had nothing to do. */
static void text_budget(FILE *out, const struct model *m)
{
	const struct ev_cost *cost = &m->cost;
	char a[FMT_SIZE];

	if (!cost->budget_ppm || (!cost->windows && !cost->lowerings &&
				  cost->level >= cost->level_asked && !cost->sites_sampled))
		return;
	fprintf(out, "budget: %s of the target's CPU time",
		fmt_ratio(a, sizeof(a), cost->budget_ppm / 1e6));
	if (cost->level < cost->level_asked)
		fprintf(out, "; level lowered from %u to %u", cost->level_asked, cost->level);
	else if (cost->lowerings)
		fprintf(out, "; level was lowered for %s",
			fmt_duration(a, sizeof(a), cost->lowered_ns));
	if (cost->sites_sampled)
		fprintf(out, "; %u task type%s sampled", cost->sites_sampled,
			cost->sites_sampled == 1 ? "" : "s");
	fprintf(out, "; %u moment%s of probing\n", cost->windows, cost->windows == 1 ? "" : "s");
}

void text_cost(FILE *out, const struct model *m, bool live)
{
	char a[FMT_SIZE], b[FMT_SIZE], c[FMT_SIZE], d[FMT_SIZE];
	const struct ev_cost *cost = &m->cost;
	struct totals t;

	totals_of(&t, m);
	if (live) {
		t.overhead_ratio = model_overhead_ratio(m, RATE_SECONDS);
		t.agent_ratio = model_agent_ratio(m, RATE_SECONDS);
	}
	fprintf(out, "cost: %s of the target's CPU time; stalltop itself: %s of a core\n",
		fmt_ratio(a, sizeof(a), t.overhead_ratio), fmt_ratio(b, sizeof(b), t.agent_ratio));
	if (t.cost_valid) {
		fprintf(out,
			"probes: level %u%s, %s hits = %s emitted + %s filtered + %" PRIu64 " lost",
			cost->level, cost->exact ? " and returns of polls" : "",
			fmt_count(a, sizeof(a), (double)cost->hits),
			fmt_count(b, sizeof(b), (double)cost->emitted),
			fmt_count(c, sizeof(c), (double)cost->filtered), cost->lost);
		if (cost->sites_off)
			fprintf(out, "; %u task type%s not probed", cost->sites_off,
				cost->sites_off == 1 ? "" : "s");
		fputc('\n', out);
		text_budget(out, m);
	}
	if (m->stacks_lost || m->stacks_limited || m->stacks_dropped)
		fprintf(out,
			"stacks: %" PRIu64 " lost, %" PRIu64
			" not taken because there were enough, "
			"%" PRIu64 " not kept for want of memory\n",
			m->stacks_lost, m->stacks_limited, m->stacks_dropped);
	if (m->lost)
		fprintf(out, "loss: %s events were lost, the last %s into the watch\n",
			fmt_count(c, sizeof(c), (double)m->lost),
			fmt_duration(d, sizeof(d),
				     m->loss_last.end_ns > m->begin_ns ?
					     m->loss_last.end_ns - m->begin_ns :
					     0));
}

void text_notes(FILE *out, const struct text_style *style, const struct model *m, uint32_t from)
{
	char text[TEXT_CELL];

	if (m->notes_count > NOTES && from < m->notes_count - NOTES) {
		fprintf(out, "%u earlier notes are not kept\n", m->notes_count - NOTES - from);
		from = m->notes_count - NOTES;
	}
	for (; from < m->notes_count; from++) {
		const struct model_note *n = &m->notes[from % NOTES];
		bool warning = n->severity == NOTE_WARNING;
		enum text_role role = warning ? ROLE_WARNING : ROLE_DIM;

		fprintf(out, "%s%s:%s %s\n", text_on(style, role), warning ? "warning" : "note",
			text_off(style, role), text_clean(text, sizeof(text), n->text));
	}
}
