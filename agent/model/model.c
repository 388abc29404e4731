// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The model's life, its dispatch table, and the events that fit no other file: targets, binaries,
 * cost, loss, notes, ticks.
 */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

#define NOTES (sizeof(((struct model *)0)->notes) / sizeof(struct model_note))

uint64_t model_second(const struct model *m)
{
	return (m->now_ns - m->begin_ns) / NS_PER_SEC;
}

void *ids_grow(void *array, size_t *cap, uint32_t *count, uint32_t id, size_t size)
{
	char *base = array;

	if (id < *count)
		return array;
	base = xgrow(array, cap, (size_t)id + 1, size);
	memset(base + *count * size, 0, (id + 1 - *count) * size);
	for (; *count <= id; (*count)++)
		*(uint32_t *)(base + *count * size) = ID_NONE;
	return base;
}

/* Bytes of `s` that fit into `max`, without half a UTF-8 character at the end. */
static size_t text_fit(const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);

	if (len <= max)
		return len;
	for (len = max; len && ((unsigned char)s[len] & 0xc0) == 0x80; len--)
		;
	return len;
}

void text_set(char **to, const char *from)
{
	size_t len;

	if (!from) {
		free(*to);
		*to = NULL;
		return;
	}
	len = text_fit(from, NAME_LIMIT);
	if (*to && strlen(*to) == len && !memcmp(*to, from, len))
		return;
	free(*to);
	*to = xstrndup(from, len);
}

void text_set_any(char **to, const char *from)
{
	text_set(to, from ? from : "");
}

const struct target *model_target(const struct model *m, uint32_t target)
{
	if (target >= m->targets_count || m->targets[target].id == ID_NONE)
		return NULL;
	return &m->targets[target];
}

const struct binary *binary_of(const struct model *m, uint32_t binary)
{
	if (binary >= m->binaries_count || m->binaries[binary].id == ID_NONE)
		return NULL;
	return &m->binaries[binary];
}

static int target_apply(struct model *m, const struct event *event)
{
	const struct ev_target *ev = &event->as_target;
	const struct target *known = model_target(m, event->target);
	struct target *t;

	if (event->target >= MODEL_MAX_TARGETS)
		return -EINVAL;
	/* A source may announce all its targets again; that does not raise the dead. */
	if (known && known->ended && known->end_reason != TARGET_EXECED)
		return 0;
	tasks_forget_ended(m);
	if (known && known->ended) {
		workers_target_again(m, event->target);
		stacks_target_again(m, event->target);
		backlogs_target_again(m, event->target);
	}
	m->targets = ids_grow(m->targets, &m->index->targets_cap, &m->targets_count, event->target,
			      sizeof(*t));
	t = &m->targets[event->target];
	if (t->id == ID_NONE || t->ended) {
		t->id = event->target;
		t->begin_ns = event->time_ns;
		t->end_ns = 0;
		t->end_status = -1;
		t->ended = false;
	}
	t->pid = ev->pid;
	t->start_time = ev->start_time;
	t->cpus = ev->cpus;
	text_set_any(&t->comm, ev->comm);
	text_set_any(&t->exe, ev->exe);
	text_set(&t->build_id, ev->build_id);
	return 0;
}

static int target_end_apply(struct model *m, const struct event *event)
{
	const struct ev_target_end *ev = &event->as_target_end;
	struct target *t;

	if (!model_target(m, event->target) || (unsigned int)ev->reason > TARGET_DETACHED)
		return -EINVAL;
	t = &m->targets[event->target];
	if (t->ended)
		return 0;
	workers_target_end(m, event->target);
	t->ended = true;
	t->end_reason = ev->reason;
	t->end_status = ev->status;
	t->end_ns = event->time_ns;
	return 0;
}

static int binary_apply(struct model *m, const struct event *event)
{
	const struct ev_binary *ev = &event->as_binary;
	const struct binary *known = binary_of(m, ev->binary);
	struct binary *b;

	if (!model_target(m, event->target) || ev->binary >= MODEL_MAX_BINARIES)
		return -EINVAL;
	if (known && known->target != event->target)
		return -EINVAL;
	m->binaries = ids_grow(m->binaries, &m->index->binaries_cap, &m->binaries_count, ev->binary,
			       sizeof(*b));
	b = &m->binaries[ev->binary];
	b->id = ev->binary;
	b->target = event->target;
	b->task_types = ev->task_types;
	text_set_any(&b->path, ev->path);
	text_set(&b->build_id, ev->build_id);
	text_set_any(&b->runtime, ev->runtime);
	text_set(&b->version, ev->version);
	return 0;
}

static int cost_apply(struct model *m, const struct event *event)
{
	/* The level was lowered: from now on nobody knows which tasks there are. */
	if (m->index->cost_seen && m->cost.level >= 2 && event->as_cost.level < 2)
		tasks_forget(m);
	if (!m->index->cost_seen && event->time_ns == m->begin_ns)
		m->cost_begin = event->as_cost;
	m->cost = event->as_cost;
	m->index->cost_ns = m->now_ns;
	m->index->cost_seen = true;
	return 0;
}

static int lost_apply(struct model *m, const struct event *event)
{
	struct model_index *ix = m->index;
	uint64_t count = event->as_lost.count;
	uint64_t begin_ns = ix->tick_ns;
	bool adjacent;

	if (event->as_lost.what == LOST_STACKS)
		m->stacks_lost += count;
	else if (event->as_lost.what == LOST_STACKS_LIMITED)
		m->stacks_limited += count;
	if (!count || event->as_lost.what != LOST_EVENTS)
		return 0;
	/* Losses are looked for when the cost is, which may be less often than there are ticks. */
	if (ix->cost_seen && ix->cost_ns < begin_ns)
		begin_ns = ix->cost_ns;
	/* Without a clean look between they are one. */
	adjacent = begin_ns <= m->loss_last.end_ns || m->ticks - ix->loss_tick <= 1;
	m->lost += count;
	if (!m->loss_last.count || !adjacent)
		m->loss_last = (struct loss){.begin_ns = begin_ns};
	m->loss_last.end_ns = m->now_ns;
	m->loss_last.count += count;
	ix->loss_tick = m->ticks;
	return 0;
}

static int note_apply(struct model *m, const struct event *event)
{
	const struct ev_note *ev = &event->as_note;
	struct model_note *note = &m->notes[m->notes_count % NOTES];
	size_t len;

	if (!ev->text || (unsigned int)ev->severity > NOTE_WARNING)
		return -EINVAL;
	len = text_fit(ev->text, sizeof(note->text) - 1);
	memset(note, 0, sizeof(*note));
	memcpy(note->text, ev->text, len);
	note->time_ns = event->time_ns;
	note->severity = ev->severity;
	m->notes_count++;
	return 0;
}

static int overhead_apply(struct model *m, const struct event *event)
{
	const struct ev_overhead *ev = &event->as_overhead;
	struct target *t;
	char *reason;

	if (!model_target(m, event->target))
		return -EINVAL;
	for (int i = 0; i < OVERHEAD_MEASURES; i++)
		if ((unsigned int)ev->by[i].known > OVERHEAD_UNSEEN)
			return -EINVAL;
	t = &m->targets[event->target];
	reason = (char *)t->overhead.reason;
	text_set(&reason, ev->reason);
	t->overhead = *ev;
	t->overhead.reason = reason;
	t->overhead_seen = true;
	return 0;
}

/* They are in the statistics of their sites already. */
static int polls_apply(struct model *m, const struct event *event)
{
	return model_target(m, event->target) ? 0 : -EINVAL;
}

static int tick_apply(struct model *m, const struct event *event)
{
	struct model_index *ix = m->index;
	uint64_t seconds = model_second(m) - ix->seconds;

	(void)event;
	ix->seconds += seconds;
	if (ix->cost_seen) {
		series_push_total(&m->cost_ns, m->cost.cost_ns, seconds);
		series_push_total(&m->target_cpu_ns, m->cost.target_cpu_ns, seconds);
		series_push_total(&m->agent_cpu_ns, m->cost.agent_cpu_ns, seconds);
	}
	sites_tick(m, seconds);
	workers_tick(m, seconds);
	runtimes_tick(m, seconds);
	backlogs_tick(m, seconds);
	m->ticks++;
	ix->tick_ns = m->now_ns;
	return 0;
}

static int (*const handlers[])(struct model *m, const struct event *event) = {
	[EV_TARGET] = target_apply,	[EV_TARGET_END] = target_end_apply,
	[EV_BINARY] = binary_apply,	[EV_RUNTIME] = runtime_apply,
	[EV_SITE] = site_apply,		[EV_SITE_STATS] = site_stats_apply,
	[EV_THREAD] = thread_apply,	[EV_THREAD_END] = thread_end_apply,
	[EV_POLL] = poll_apply,		[EV_POLL_OPEN] = poll_open_apply,
	[EV_TASK] = task_apply,		[EV_TASK_SCAN] = task_scan_apply,
	[EV_READY] = ready_apply,	[EV_QUEUES] = queues_apply,
	[EV_COST] = cost_apply,		[EV_LOST] = lost_apply,
	[EV_NOTE] = note_apply,		[EV_TICK] = tick_apply,
	[EV_STACK] = stack_apply,	[EV_POLLS] = polls_apply,
	[EV_CHANNEL] = channel_apply,	[EV_CHANNEL_SCAN] = channel_scan_apply,
	[EV_OVERHEAD] = overhead_apply,
};

int model_apply(struct model *m, const struct event *event)
{
	unsigned int kind = event->kind;
	int err;

	if (kind >= sizeof(handlers) / sizeof(handlers[0]) || !handlers[kind]) {
		m->refused++;
		return -EINVAL;
	}
	if (!m->index->begun) {
		m->index->begun = true;
		m->begin_ns = m->now_ns = m->index->tick_ns = event->time_ns;
	}
	/* Threads are read one after another: their events may be slightly out of order. */
	if (event->time_ns > m->now_ns)
		m->now_ns = event->time_ns;
	err = handlers[kind](m, event);
	if (err)
		m->refused++;
	return err;
}

double model_overhead_ratio(const struct model *m, uint32_t seconds)
{
	uint32_t window = series_window(&m->cost_ns, seconds);
	double used, least;

	if (!window)
		return -1;
	used = (double)series_growth(&m->target_cpu_ns, window);
	least = COST_LEAST_CORE * window * (double)NS_PER_SEC;
	return (double)series_growth(&m->cost_ns, window) / (used > least ? used : least);
}

double model_agent_ratio(const struct model *m, uint32_t seconds)
{
	uint32_t window = series_window(&m->agent_cpu_ns, seconds);

	if (!window)
		return -1;
	return (double)series_growth(&m->agent_cpu_ns, window) / (window * (double)NS_PER_SEC);
}

struct model *model_new(void)
{
	struct model *m = xcalloc(1, sizeof(*m));

	m->index = xcalloc(1, sizeof(*m->index));
	m->polls = xcalloc(MODEL_POLLS, sizeof(*m->polls));
	m->ready = xcalloc(MODEL_READY, sizeof(*m->ready));
	map_init(&m->index->tasks, MODEL_MAX_TASKS);
	map_init(&m->index->workers, MODEL_MAX_WORKERS);
	map_init(&m->index->polled, 4 * MODEL_MAX_WORKERS);
	map_init(&m->index->waiting, 16 * MODEL_READY);
	return m;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < m->targets_count; i++) {
		free(m->targets[i].comm);
		free(m->targets[i].exe);
		free(m->targets[i].build_id);
		free((char *)m->targets[i].overhead.reason);
	}
	for (uint32_t i = 0; i < m->binaries_count; i++) {
		free(m->binaries[i].path);
		free(m->binaries[i].build_id);
		free(m->binaries[i].runtime);
		free(m->binaries[i].version);
	}
	backlogs_free(m);
	runtimes_free(m);
	sites_free(m);
	workers_free(m);
	map_free(&m->index->tasks);
	map_free(&m->index->holders);
	map_free(&m->index->workers);
	map_free(&m->index->polled);
	map_free(&m->index->waiting);
	free(m->targets);
	free(m->binaries);
	free(m->tasks);
	free(m->polls);
	free(m->ready);
	free(m->index->tally);
	free(m->index);
	free(m);
}
