// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runtimes: queue depths, which workers are held, how long ready tasks wait. */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

const struct runtime *model_runtime(const struct model *m, uint32_t runtime)
{
	if (runtime >= m->runtimes_count || m->runtimes[runtime].id == ID_NONE)
		return NULL;
	return &m->runtimes[runtime];
}

bool runtime_valid(const struct model *m, uint32_t runtime, uint32_t target)
{
	const struct runtime *r = model_runtime(m, runtime);

	return runtime == ID_NONE || (r && r->target == target);
}

int runtime_apply(struct model *m, const struct event *event)
{
	const struct ev_runtime *ev = &event->as_runtime;
	const struct runtime *known = model_runtime(m, ev->runtime);
	const struct binary *binary = binary_of(m, ev->binary);
	struct runtime *r;

	if (!model_target(m, event->target) || ev->runtime >= MODEL_MAX_RUNTIMES)
		return -EINVAL;
	if (ev->binary != ID_NONE && (!binary || binary->target != event->target))
		return -EINVAL;
	if ((known && known->target != event->target) || (unsigned int)ev->flavor > FLAVOR_LOCAL)
		return -EINVAL;
	m->runtimes = ids_grow(m->runtimes, &m->index->runtimes_cap, &m->runtimes_count,
			       ev->runtime, sizeof(*r));
	r = &m->runtimes[ev->runtime];
	if (r->id == ID_NONE) {
		r->id = ev->runtime;
		r->target = event->target;
		r->queues = (struct ev_queues){.runtime = ev->runtime,
					       .inject = -1,
					       .local = -1,
					       .alive = -1,
					       .blocking_queue = -1,
					       .blocking_threads = -1,
					       .blocking_idle = -1};
	}
	r->binary = ev->binary;
	r->flavor = ev->flavor;
	r->handle = ev->handle;
	r->workers = ev->workers;
	return 0;
}

int queues_apply(struct model *m, const struct event *event)
{
	const struct ev_queues *ev = &event->as_queues;
	const struct runtime *known = model_runtime(m, ev->runtime);
	struct ev_queues *to;
	char *reason, *source;
	uint32_t *each;

	if (!known || known->target != event->target)
		return -EINVAL;
	if (ev->workers > QUEUES_MAX_WORKERS || (ev->workers && !ev->local_each))
		return -EINVAL;
	to = &m->runtimes[ev->runtime].queues;
	reason = (char *)to->reason;
	source = (char *)to->source;
	text_set(&reason, ev->reason);
	text_set(&source, ev->source);
	each = (uint32_t *)to->local_each;
	if (ev->workers != to->workers)
		each = xreallocarray(each, ev->workers, sizeof(*each));
	if (ev->workers)
		memcpy(each, ev->local_each, ev->workers * sizeof(*each));
	*to = *ev;
	to->reason = reason;
	to->source = source;
	to->local_each = each;
	m->runtimes[ev->runtime].queues_seen = true;
	return 0;
}

/* A worker thread began (1) or ended (-1) to be in a poll of this runtime. */
void runtime_hold(struct model *m, uint32_t runtime, int step)
{
	if (model_runtime(m, runtime))
		m->runtimes[runtime].held += step;
}

void runtime_polled(struct model *m, uint32_t runtime, uint32_t target, uint32_t tid)
{
	uint64_t thread = (uint64_t)target << 32 | tid;

	if (!model_runtime(m, runtime))
		return;
	if (map_get(&m->index->polled, runtime, thread) != MAP_NONE)
		return;
	if (map_put(&m->index->polled, runtime, thread, 0))
		m->runtimes[runtime].workers_seen++;
}

/* Forgets the tasks whose last wait has left the window. */
static void waiting_expire(struct map *waiting, uint64_t second)
{
	const struct map_slot *slot;
	struct map kept;
	uint32_t pos = 0;

	map_init(&kept, waiting->max);
	while ((slot = map_next(waiting, &pos)))
		if (slot->value + READY_WINDOW > second)
			map_put(&kept, slot->a, slot->b, slot->value);
	map_free(waiting);
	*waiting = kept;
}

static void window_refresh(struct runtime *r, uint64_t second)
{
	r->ready_worst_ns = 0;
	r->ready_seen = 0;
	for (uint32_t i = 0; i < READY_WINDOW; i++) {
		if (r->window->bucket[i].second + READY_WINDOW <= second)
			continue;
		r->ready_seen += r->window->bucket[i].seen;
		if (r->window->bucket[i].worst_ns > r->ready_worst_ns)
			r->ready_worst_ns = r->window->bucket[i].worst_ns;
	}
}

/* A task that still waits, or waits again, counts once: in the second of its latest wait. */
static void window_count(struct model *m, struct runtime *r, uint64_t task, uint64_t second)
{
	uint64_t last = map_get(&m->index->waiting, r->id, task);

	if (last == MAP_NONE && m->index->waiting.count >= m->index->waiting.max)
		waiting_expire(&m->index->waiting, second);
	/* Still full: leave it out, ready_seen is then a lower bound. */
	if (!map_put(&m->index->waiting, r->id, task, second))
		return;
	if (last != MAP_NONE && r->window->bucket[last % READY_WINDOW].second == last)
		r->window->bucket[last % READY_WINDOW].seen--;
	r->window->bucket[second % READY_WINDOW].seen++;
}

/* Whether the task waited in the last seconds already. */
static bool waited_before(const struct model *m, const struct runtime *r, uint64_t task,
			  uint64_t second)
{
	uint64_t last = map_get(&m->index->waiting, r->id, task);

	return last != MAP_NONE && last + READY_WINDOW > second;
}

static void window_add(struct model *m, struct runtime *r, const struct event *event)
{
	const struct ev_ready *ev = &event->as_ready;
	uint64_t second = model_second(m), task = ev->task_id ? ev->task_id : ev->key;
	uint32_t i = second % READY_WINDOW;

	if (!r->window)
		r->window = xcalloc(1, sizeof(*r->window));
	if (r->window->bucket[i].second != second) {
		memset(&r->window->bucket[i], 0, sizeof(r->window->bucket[i]));
		r->window->bucket[i].second = second;
	}
	if (ev->waited_ns > r->window->bucket[i].worst_ns)
		r->window->bucket[i].worst_ns = ev->waited_ns;
	victim_add(r, event, waited_before(m, r, task, second));
	if (ev->waited_ns >= READY_MIN_NS)
		window_count(m, r, task, second);
	window_refresh(r, second);
}

int ready_apply(struct model *m, const struct event *event)
{
	const struct ev_ready *ev = &event->as_ready;

	if (!model_target(m, event->target) || !runtime_valid(m, ev->runtime, event->target) ||
	    !site_valid(m, ev->site, event->target))
		return -EINVAL;
	if (ev->runtime != ID_NONE)
		window_add(m, &m->runtimes[ev->runtime], event);
	if (m->ready_count == MODEL_READY) {
		m->ready_dropped++;
		return 0;
	}
	m->ready[m->ready_count++] = (struct ready_wait){
		.time_ns = event->time_ns,
		.target = event->target,
		.ready = *ev,
	};
	return 0;
}

/* A depth that is not known has no history: 0 would be a lie, and so would the old value. */
static void depth_tick(struct series *s, int64_t depth, uint64_t seconds)
{
	if (depth < 0)
		series_zero(s, 0);
	else
		series_push_depth(s, (uint64_t)depth, seconds);
}

void runtimes_tick(struct model *m, uint64_t seconds)
{
	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		struct runtime *r = &m->runtimes[i];

		if (r->id == ID_NONE)
			continue;
		depth_tick(&r->inject, r->queues.inject, seconds);
		depth_tick(&r->local, r->queues.local, seconds);
		depth_tick(&r->alive, r->queues.alive, seconds);
		if (r->window)
			window_refresh(r, model_second(m));
		victims_expire(r, m->now_ns);
	}
	m->ready_count -= m->index->ready_old;
	memmove(m->ready, m->ready + m->index->ready_old, m->ready_count * sizeof(*m->ready));
	m->index->ready_old = m->ready_count;
}

void runtimes_free(struct model *m)
{
	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		free((char *)m->runtimes[i].queues.reason);
		free((char *)m->runtimes[i].queues.source);
		free((uint32_t *)m->runtimes[i].queues.local_each);
		free(m->runtimes[i].window);
	}
	free(m->runtimes);
}
