// SPDX-License-Identifier: LGPL-2.1-or-later
/* The task table: rows of the source's scans, and what a complete scan says of each site. */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

static uint64_t age(uint64_t now_ns, uint64_t since_ns)
{
	return since_ns && since_ns < now_ns ? now_ns - since_ns : 0;
}

static void keep_max(uint64_t *max, uint64_t value)
{
	if (value > *max)
		*max = value;
}

/* The poll that completed a task is its last, whenever a scan came to see it. */
static uint64_t complete_since(const struct ev_task *row, uint64_t before, uint64_t now_ns)
{
	if (!row->state_valid || !row->complete)
		return 0;
	if (row->last_ns)
		return row->last_ns;
	return before ? before : now_ns;
}

static void tally_add(struct site_tally *tally, const struct ev_task *row, uint64_t since_ns,
		      uint64_t now_ns)
{
	bool complete = row->state_valid && row->complete;
	uint64_t idle;

	tally->rows++;
	if (!complete)
		tally->live++;
	tally->wakers_known |= row->wakers != WAKERS_UNKNOWN;
	/* Nothing below is known without the state word. */
	if (!row->state_valid)
		return;
	if (complete && row->has_handle) {
		tally->completed_held++;
		keep_max(&tally->held_oldest_ns, age(now_ns, since_ns));
	}
	if (complete)
		return;
	if (!row->has_handle)
		tally->detached++;
	if (row->running) {
		tally->running++;
	} else if (row->ready) {
		tally->ready++;
	} else {
		tally->idle++;
		idle = age(now_ns, row->last_ns ? row->last_ns : row->first_ns);
		keep_max(&tally->idle_oldest_ns, idle);
		if (row->wakers == WAKERS_NONE) {
			tally->stranded++;
			tally->stranded_missed += row->has_handle || row->polls > 1;
			keep_max(&tally->stranded_oldest_ns, idle);
		}
	}
}

/* The row of the task, new or old; NULL when the table is full. */
static struct task *task_row(struct model *m, uint32_t target, const struct ev_task *ev)
{
	struct model_index *ix = m->index;
	uint64_t i = map_get(&ix->tasks, target, ev->key);
	struct task *t;

	if (i == MAP_NONE) {
		if (m->tasks_count >= MODEL_MAX_TASKS)
			return NULL;
		i = m->tasks_count++;
		m->tasks = xgrow(m->tasks, &ix->tasks_cap, m->tasks_count, sizeof(*t));
		map_put(&ix->tasks, target, ev->key, i);
		m->tasks[i] = (struct task){.row = {.id = ev->id}};
	}
	t = &m->tasks[i];
	/* The memory of a task that ended was given to another one. */
	if (t->row.id != ev->id || t->row.first_ns != ev->first_ns)
		t->complete_since_ns = 0;
	return t;
}

/* What lies before a scan: other events come between the rows of a large one. */
static void scan_begin(struct model *m, uint32_t target)
{
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE && m->sites[i].target == target)
			m->index->tally[i] = (struct site_tally){.seen = m->sites[i].seen};
}

int task_apply(struct model *m, const struct event *event)
{
	const struct ev_task *ev = &event->as_task;
	struct scan *scan;
	struct task *t;

	if (!model_target(m, event->target) || !runtime_valid(m, ev->runtime, event->target) ||
	    !site_valid(m, ev->site, event->target))
		return -EINVAL;
	scan = &m->index->scans[event->target];
	if (!scan->rows++)
		scan_begin(m, event->target);
	t = task_row(m, event->target, ev);
	if (!t) {
		scan->dropped++;
		if (ev->site != ID_NONE)
			tally_add(&m->index->tally[ev->site], ev,
				  complete_since(ev, 0, event->time_ns), event->time_ns);
		return 0;
	}
	t->complete_since_ns = complete_since(ev, t->complete_since_ns, event->time_ns);
	t->row = *ev;
	t->target = event->target;
	t->scan = scan->number;
	t->scan_ns = event->time_ns;
	return 0;
}

static void task_remove(struct model *m, uint32_t i)
{
	struct task *last = &m->tasks[m->tasks_count - 1];

	map_del(&m->index->tasks, m->tasks[i].target, m->tasks[i].row.key);
	m->tasks_count--;
	if (i == m->tasks_count)
		return;
	m->tasks[i] = *last;
	map_put(&m->index->tasks, last->target, last->row.key, i);
}

static void scans_sum(struct model *m)
{
	m->tasks_dropped = 0;
	m->tasks_truncated = false;
	for (uint32_t i = 0; i < m->targets_count; i++) {
		m->tasks_dropped += m->index->scans[i].dropped_last;
		m->tasks_truncated |= m->index->scans[i].truncated;
	}
}

/* Several tasks, of whom nobody says which is meant. No task has that key. */
#define SEVERAL 0

static void holder_add(struct model *m, const struct task *t, uint64_t semaphore)
{
	struct map *holders = &m->index->holders;
	uint64_t known = semaphore ? map_get(holders, t->target, semaphore) : t->row.key;

	if (known == MAP_NONE)
		map_put(holders, t->target, semaphore, t->row.key);
	else if (known != t->row.key)
		map_put(holders, t->target, semaphore, SEVERAL);
}

static void waits_count(struct model *m)
{
	map_free(&m->index->holders);
	map_init(&m->index->holders, 2 * MODEL_MAX_TASKS);
	m->tasks_waiting = m->tasks_holding = 0;
	for (uint32_t i = 0; i < m->tasks_count; i++) {
		m->tasks_waiting += m->tasks[i].row.waits_for != 0;
		m->tasks_holding += m->tasks[i].row.holds != 0;
		holder_add(m, &m->tasks[i], m->tasks[i].row.holds);
		holder_add(m, &m->tasks[i], m->tasks[i].row.holds_too);
	}
}

const struct task *model_holder(const struct model *m, uint32_t target, uint64_t semaphore)
{
	uint64_t key = map_get(&m->index->holders, target, semaphore);
	uint64_t i = key == MAP_NONE || key == SEVERAL ? MAP_NONE :
							 map_get(&m->index->tasks, target, key);

	/* Rows of the next scan are coming. */
	if (i == MAP_NONE ||
	    (m->tasks[i].row.holds != semaphore && m->tasks[i].row.holds_too != semaphore))
		return NULL;
	return &m->tasks[i];
}

int task_scan_apply(struct model *m, const struct event *event)
{
	struct scan *scan;
	bool complete;
	uint32_t i = 0;

	if (!model_target(m, event->target))
		return -EINVAL;
	scan = &m->index->scans[event->target];
	/* Who begins to listen in the middle of a scan has not got all of it: it proves nothing. */
	complete = scan->rows >= event->as_task_scan.rows;
	scan->rows = 0;
	scan->number++;
	if (!complete) {
		scan_begin(m, event->target);
		scan->dropped = 0;
		return 0;
	}
	while (i < m->tasks_count) {
		struct task *t = &m->tasks[i];

		if (t->target == event->target && t->scan != scan->number - 1) {
			task_remove(m, i);
			continue;
		}
		if (t->target == event->target && t->row.site != ID_NONE)
			tally_add(&m->index->tally[t->row.site], &t->row, t->complete_since_ns,
				  m->now_ns);
		i++;
	}
	for (i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE && m->sites[i].target == event->target)
			site_scanned(m, &m->sites[i], event->as_task_scan.truncated);
	m->tasks_scans++;
	waits_count(m);
	scan->dropped_last = scan->dropped;
	scan->dropped = 0;
	scan->truncated = event->as_task_scan.truncated;
	scans_sum(m);
	return 0;
}

void tasks_forget(struct model *m)
{
	while (m->tasks_count)
		task_remove(m, m->tasks_count - 1);
	for (uint32_t i = 0; i < m->targets_count; i++)
		m->index->scans[i] = (struct scan){0};
	scans_sum(m);
	waits_count(m);
	sites_tasks_forget(m);
}

void tasks_forget_ended(struct model *m)
{
	uint32_t i = 0;

	while (i < m->tasks_count) {
		if (model_target(m, m->tasks[i].target)->ended)
			task_remove(m, i);
		else
			i++;
	}
	for (i = 0; i < m->targets_count; i++)
		if (m->targets[i].ended)
			m->index->scans[i] = (struct scan){0};
	scans_sum(m);
}
