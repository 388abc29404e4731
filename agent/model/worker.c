// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads that poll: their state and time split, the long poll open on each, the long polls that
 * ended. */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

#define SHARES_ACCOUNTED 0.75

struct worker *worker_of(const struct model *m, uint32_t target, uint32_t tid)
{
	uint64_t i = map_get(&m->index->workers, target, tid);

	return i == MAP_NONE ? NULL : &m->workers[i];
}

const struct worker *model_worker(const struct model *m, uint32_t target, uint32_t tid)
{
	return worker_of(m, target, tid);
}

/* The runtime that this thread holds a worker of, ID_NONE: of none. */
static uint32_t worker_holds(const struct model *m, const struct worker *w)
{
	const struct target *t = model_target(m, w->target);

	if (w->ended || !w->now.worker || w->now.state < THREAD_POLLING || !t || t->ended)
		return ID_NONE;
	return w->now.runtime;
}

static void worker_reset(struct model *m, struct worker *w, uint32_t target, uint32_t tid)
{
	worker_stack_free(m, w);
	free((char *)w->now.comm);
	*w = (struct worker){
		.target = target,
		.now = {.tid = tid,
			.comm = xstrdup(""),
			.runtime = ID_NONE,
			.site = ID_NONE,
			.syscall = -1},
	};
}

/* A row for a thread not met before; NULL when the table is full of living ones. */
static struct worker *worker_new(struct model *m, uint32_t target, uint32_t tid)
{
	uint32_t i = m->workers_count;
	struct worker *w;

	if (!m->workers || i < MODEL_MAX_WORKERS) {
		m->workers = xgrow(m->workers, &m->index->workers_cap, i + 1, sizeof(*w));
		memset(&m->workers[i], 0, sizeof(*w));
		m->workers_count++;
	} else {
		for (i = 0; i < m->workers_count && !m->workers[i].ended; i++)
			;
		if (i == m->workers_count) {
			m->workers_dropped++;
			return NULL;
		}
		map_del(&m->index->workers, m->workers[i].target, m->workers[i].now.tid);
	}
	w = &m->workers[i];
	worker_reset(m, w, target, tid);
	map_put(&m->index->workers, target, tid, i);
	return w;
}

static void worker_update(struct worker *w, const struct event *event)
{
	const struct ev_thread *ev = &event->as_thread;
	char *comm = (char *)w->now.comm;

	w->holes |= ev->unaccounted;
	/* Counting began anew, or was not complete: the history is of another count. */
	if (ev->first_ns != w->now.first_ns || ev->unaccounted || w->now.unaccounted) {
		series_zero(&w->busy, 0);
		series_zero(&w->blocked, 0);
		series_zero(&w->preempted, 0);
		series_zero(&w->parked, 0);
		series_zero(&w->searching, 0);
		series_zero(&w->polls, 0);
	}
	text_set_any(&comm, ev->comm);
	w->now = *ev;
	w->now.comm = comm;
	w->now_ns = event->time_ns;
	w->announced = true;
	if (w->open && ev->poll_start_ns != w->poll.start_ns)
		w->open = false;
}

int thread_apply(struct model *m, const struct event *event)
{
	const struct ev_thread *ev = &event->as_thread;
	struct worker *w;

	if (!model_target(m, event->target) || !runtime_valid(m, ev->runtime, event->target) ||
	    !site_valid(m, ev->site, event->target) || (unsigned int)ev->state > THREAD_PREEMPTED)
		return -EINVAL;
	w = worker_of(m, event->target, ev->tid);
	if (w && w->ended) {
		/* Read before it ended, told after. */
		if (event->time_ns <= w->ended_ns && w->now.first_ns == ev->first_ns)
			return 0;
		worker_reset(m, w, event->target, ev->tid);
	}
	if (!w)
		w = worker_new(m, event->target, ev->tid);
	if (!w)
		return 0;
	runtime_hold(m, worker_holds(m, w), -1);
	worker_update(w, event);
	runtime_hold(m, worker_holds(m, w), 1);
	if (ev->worker)
		runtime_polled(m, ev->runtime, event->target, ev->tid);
	return 0;
}

int thread_end_apply(struct model *m, const struct event *event)
{
	struct worker *w;

	if (!model_target(m, event->target))
		return -EINVAL;
	w = worker_of(m, event->target, event->as_thread_end.tid);
	/* Threads end that never polled. */
	if (!w || w->ended)
		return 0;
	runtime_hold(m, worker_holds(m, w), -1);
	w->ended = true;
	w->ended_ns = event->time_ns;
	w->open = false;
	worker_stack_free(m, w);
	return 0;
}

static bool poll_acceptable(const struct model *m, const struct event *event,
			    const struct ev_poll *ev)
{
	return model_target(m, event->target) && runtime_valid(m, ev->runtime, event->target) &&
	       site_valid(m, ev->site, event->target);
}

/* Before its first EV_THREAD, a thread's polls are all that is known of its state. */
static void worker_infer(struct model *m, struct worker *w, const struct ev_poll *ev,
			 enum thread_state state)
{
	runtime_hold(m, worker_holds(m, w), -1);
	w->now.worker = true;
	w->now.state = state;
	w->now.runtime = ev->runtime;
	w->now.site = w->open ? ev->site : ID_NONE;
	w->now.task_id = w->open ? ev->task_id : 0;
	w->now.poll_start_ns = w->open ? ev->start_ns : 0;
	w->now.since_ns = w->open ? ev->start_ns : ev->start_ns + ev->length_ns;
	runtime_hold(m, worker_holds(m, w), 1);
}

static void worker_close(struct model *m, struct worker *w, const struct ev_poll *ev)
{
	w->closed_start_ns = ev->start_ns;
	if (!w->open || w->poll.start_ns != ev->start_ns)
		return;
	w->open = false;
	if (!w->announced)
		worker_infer(m, w, ev, THREAD_SEARCHING);
}

int poll_apply(struct model *m, const struct event *event)
{
	const struct ev_poll *ev = &event->as_poll;
	struct worker *w;

	if (!poll_acceptable(m, event, ev))
		return -EINVAL;
	w = worker_of(m, event->target, ev->tid);
	if (w)
		worker_close(m, w, ev);
	m->polls[m->polls_seq % MODEL_POLLS] = (struct long_poll){
		.seq = m->polls_seq,
		.end_ns = ev->start_ns + ev->length_ns,
		.target = event->target,
		.poll = *ev,
	};
	m->polls_seq++;
	return 0;
}

int poll_open_apply(struct model *m, const struct event *event)
{
	const struct ev_poll *ev = &event->as_poll;
	struct worker *w;

	if (!poll_acceptable(m, event, ev))
		return -EINVAL;
	if (model_target(m, event->target)->ended)
		return 0;
	w = worker_of(m, event->target, ev->tid);
	if (w && w->ended)
		worker_reset(m, w, event->target, ev->tid);
	if (!w)
		w = worker_new(m, event->target, ev->tid);
	/* Read while open, told after its end. */
	if (!w || (w->closed_start_ns && w->closed_start_ns == ev->start_ns))
		return 0;
	w->open = true;
	w->poll = *ev;
	w->poll_seen_ns = event->time_ns;
	if (!w->announced)
		worker_infer(m, w, ev, ev->off_cpu ? THREAD_BLOCKED : THREAD_POLLING);
	return 0;
}

/* Called while the target is not yet marked as ended. */
void workers_target_end(struct model *m, uint32_t target)
{
	for (uint32_t i = 0; i < m->workers_count; i++) {
		struct worker *w = &m->workers[i];

		if (w->target != target)
			continue;
		runtime_hold(m, worker_holds(m, w), -1);
		w->open = false;
	}
}

/* Called while the target is still marked as ended: none of them holds a worker. */
void workers_target_again(struct model *m, uint32_t target)
{
	for (uint32_t i = 0; i < m->workers_count; i++) {
		struct worker *w = &m->workers[i];

		if (w->target != target || w->ended)
			continue;
		w->ended = true;
		w->ended_ns = m->targets[target].end_ns;
	}
}

void workers_tick(struct model *m, uint64_t seconds)
{
	for (uint32_t i = 0; i < m->workers_count; i++) {
		struct worker *w = &m->workers[i];

		if (!w->announced || w->ended || w->now.unaccounted ||
		    model_target(m, w->target)->ended)
			continue;
		series_push_total(&w->busy, w->now.busy_ns, seconds);
		series_push_total(&w->blocked, w->now.blocked_ns, seconds);
		series_push_total(&w->preempted, w->now.preempted_ns, seconds);
		series_push_total(&w->parked, w->now.parked_ns, seconds);
		series_push_total(&w->searching, w->now.searching_ns, seconds);
		series_push_total(&w->polls, w->now.polls, seconds);
	}
}

/* Nanoseconds in each state over `elapsed`, as shares; false when no time was accounted. */
static bool shares_finish(struct worker_shares *s, double searching, double polls, double elapsed)
{
	double known = s->busy + s->blocked + s->preempted + s->parked;
	double total = known + searching;

	if (!(total > 0) || !(elapsed > 0))
		return false;
	/*
	 * The counters are read a moment before or after the second ends, so that all of them
	 * together are the time that they cover. Where a good part is in none, it is searching.
	 */
	if (total < SHARES_ACCOUNTED * elapsed)
		total = elapsed;
	s->busy /= total;
	s->blocked /= total;
	s->preempted /= total;
	s->parked /= total;
	s->searching = 1 - known / total;
	s->polls_per_second = polls / (total / (double)NS_PER_SEC);
	return true;
}

bool worker_shares(const struct worker *w, uint32_t seconds, struct worker_shares *out)
{
	uint32_t window = series_window(&w->busy, seconds);

	if (window) {
		*out = (struct worker_shares){
			.busy = (double)series_growth(&w->busy, window),
			.blocked = (double)series_growth(&w->blocked, window),
			.preempted = (double)series_growth(&w->preempted, window),
			.parked = (double)series_growth(&w->parked, window),
		};
		return shares_finish(out, (double)series_growth(&w->searching, window),
				     (double)series_growth(&w->polls, window),
				     window * (double)NS_PER_SEC);
	}
	*out = (struct worker_shares){
		.busy = (double)w->now.busy_ns,
		.blocked = (double)w->now.blocked_ns,
		.preempted = (double)w->now.preempted_ns,
		.parked = (double)w->now.parked_ns,
	};
	if (!w->announced || w->holes || w->now_ns <= w->now.first_ns)
		return false;
	return shares_finish(out, (double)w->now.searching_ns, (double)w->now.polls,
			     (double)(w->now_ns - w->now.first_ns));
}

void workers_free(struct model *m)
{
	for (uint32_t i = 0; i < m->workers_count; i++) {
		worker_stack_free(m, &m->workers[i]);
		free((char *)m->workers[i].now.comm);
	}
	free(m->workers);
}
