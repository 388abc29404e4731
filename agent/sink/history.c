// SPDX-License-Identifier: LGPL-2.1-or-later
/* The course of a recording; see history.h. */
#include "sink/history.h"

#include "util/xalloc.h"

#define NS_PER_MS 1000000ULL
#define WAIT_MIN_NS 5000000ULL	 /* shorter waits are normal scheduling */
#define WAIT_SAME_NS 50000000ULL /* two looks at one wait give beginnings that differ by less */
#define LOSS_APART_NS 1000000000ULL
#define TEXT_MAX 1024
#define THREADS_MAX 65536 /* ever; what more do is not seen */

struct history_thread {
	uint32_t lane; /* HISTORY_LANES: none */
	uint64_t time_ns;
	struct ev_thread last; /* its texts are not kept */
};

static uint32_t slice_at(const struct history *h, uint64_t time_ns)
{
	uint64_t i = time_ns > h->begin_ns ? (time_ns - h->begin_ns) / h->slice_ns : 0;

	return i < h->slices ? (uint32_t)i : h->slices - 1;
}

/* --- what threads did ------------------------------------------------------------------- */

struct growth {
	double times[SLICE_TIMES];
	double polls;
};

static void grow(struct history *h, struct history_lane *lane, uint32_t at, double share,
		 const struct growth *g)
{
	struct history_slice *s = &h->slice[at];

	for (uint32_t i = 0; i < SLICE_TIMES; i++)
		s->times[i] += share * g->times[i];
	s->polls += share * g->polls;
	for (uint32_t i = 0; lane && i <= SLICE_UNKNOWN; i++)
		lane->times[at][i] += share * g->times[i];
}

static void spread(struct history *h, struct history_lane *lane, uint64_t from, uint64_t to,
		   const struct growth *g)
{
	uint32_t first = slice_at(h, from), last = slice_at(h, to);

	for (uint32_t i = first; i <= last; i++) {
		uint64_t begin = h->begin_ns + i * h->slice_ns, end = begin + h->slice_ns;

		if (i == first)
			begin = from;
		if (i == last)
			end = to;
		grow(h, lane, i, (double)(end - begin) / (double)(to - from), g);
	}
}

static uint32_t lane_new(struct history *h, uint32_t target, uint32_t tid)
{
	if (h->lanes_count == HISTORY_LANES) {
		h->lanes_dropped++;
		return HISTORY_LANES;
	}
	h->lanes = xgrow(h->lanes, &h->lanes_cap, h->lanes_count + 1, sizeof(*h->lanes));
	h->lanes[h->lanes_count] = (struct history_lane){.target = target, .tid = tid};
	return (uint32_t)h->lanes_count++;
}

/* NULL: there are too many threads. */
static struct history_thread *thread_of(struct history *h, uint32_t target, uint32_t tid)
{
	uint64_t at = map_get(&h->threads, target, tid);

	if (at != MAP_NONE)
		return &h->seen[at];
	if (!map_put(&h->threads, target, tid, h->seen_count))
		return NULL;
	h->seen = xgrow(h->seen, &h->seen_cap, h->seen_count + 1, sizeof(*h->seen));
	h->seen[h->seen_count] = (struct history_thread){.lane = UINT32_MAX};
	return &h->seen[h->seen_count++];
}

/* It may be less: what an open stretch was is decided later. */
static double more(uint64_t now, uint64_t before)
{
	return now >= before ? (double)(now - before) : -(double)(before - now);
}

static void on_thread(struct history *h, const struct event *event)
{
	const struct ev_thread *ev = &event->as_thread;
	struct history_thread *t = thread_of(h, event->target, ev->tid);
	struct ev_thread zero = {0};
	const struct ev_thread *old;
	struct growth g = {0};
	uint64_t from;
	bool known;

	if (!t || !ev->worker)
		return;
	if (t->lane == UINT32_MAX)
		t->lane = lane_new(h, event->target, ev->tid);
	old = t->time_ns && t->last.first_ns == ev->first_ns ? &t->last : &zero;
	from = old == &zero ? ev->first_ns : t->time_ns;
	/*
	 * Not all of its polls were seen: how its time was spent is not known, and is in no sum.
	 * Counted since before this recording begins: how much of it was before is not known.
	 */
	known = from >= h->begin_ns && !ev->unaccounted && !old->unaccounted;
	if (from < h->begin_ns)
		from = h->begin_ns;
	if (event->time_ns > from) {
		if (known)
			g = (struct growth){
				.times = {[SLICE_BUSY] = more(ev->busy_ns, old->busy_ns),
					  [SLICE_BLOCKED] = more(ev->blocked_ns, old->blocked_ns),
					  [SLICE_PREEMPTED] = more(ev->preempted_ns,
								   old->preempted_ns),
					  [SLICE_SEARCHING] = more(ev->searching_ns,
								   old->searching_ns),
					  [SLICE_PARKED] = more(ev->parked_ns, old->parked_ns)},
				.polls = more(ev->polls, old->polls),
			};
		else
			g.times[SLICE_UNKNOWN] = (double)(event->time_ns - from);
		spread(h, t->lane < HISTORY_LANES ? &h->lanes[t->lane] : NULL, from, event->time_ns,
		       &g);
	}
	t->time_ns = event->time_ns;
	t->last = *ev;
}

/* --- the worst of what happened ---------------------------------------------------------- */

static void on_poll(struct history *h, const struct event *event)
{
	const struct ev_poll *ev = &event->as_poll;
	const struct site *site = model_site(h->model, ev->site);
	struct history_slice *s = &h->slice[slice_at(h, ev->start_ns + ev->length_ns)];
	uint32_t least = 0;

	/* Work of the blocking pool may be long, and a worker's loop is. */
	if (site && site->kind != SITE_TASK)
		return;
	h->polls_all++;
	s->long_polls++;
	if (ev->length_ns > s->worst_poll_ns)
		s->worst_poll_ns = ev->length_ns;
	if (h->polls_count < HISTORY_POLLS) {
		h->polls[h->polls_count++] = (struct history_poll){event->target, *ev};
		return;
	}
	for (uint32_t i = 1; i < HISTORY_POLLS; i++)
		if (h->polls[i].poll.length_ns < h->polls[least].poll.length_ns)
			least = i;
	if (ev->length_ns > h->polls[least].poll.length_ns)
		h->polls[least] = (struct history_poll){event->target, *ev};
}

/* Where the wait goes: that of which it is another look, a free place, or the shortest; NULL. */
static struct history_wait *wait_place(struct history *h, const struct history_wait *w)
{
	struct history_wait *least = &h->waits[0];

	for (uint32_t i = 0; i < h->waits_count; i++) {
		struct history_wait *old = &h->waits[i];
		uint64_t apart = old->begin_ns > w->begin_ns ? old->begin_ns - w->begin_ns :
							       w->begin_ns - old->begin_ns;

		if (old->target == w->target && old->ready.runtime == w->ready.runtime &&
		    old->ready.key == w->ready.key && apart < WAIT_SAME_NS)
			return w->end_ns - w->begin_ns > old->end_ns - old->begin_ns ? old : NULL;
		if (old->ready.waited_ns < least->ready.waited_ns)
			least = old;
	}
	if (h->waits_count < HISTORY_WAITS)
		return &h->waits[h->waits_count++];
	return w->ready.waited_ns > least->ready.waited_ns ? least : NULL;
}

static void on_ready(struct history *h, const struct event *event)
{
	const struct ev_ready *ev = &event->as_ready;
	struct history_slice *s = &h->slice[slice_at(h, event->time_ns)];
	struct history_wait wait = {
		.target = event->target, .end_ns = event->time_ns, .ready = *ev};
	struct history_wait *place;

	if (ev->waited_ns > s->worst_wait_ns)
		s->worst_wait_ns = ev->waited_ns;
	if (ev->waited_ns < WAIT_MIN_NS || ev->waited_ns > event->time_ns)
		return;
	wait.begin_ns = event->time_ns - ev->waited_ns;
	place = wait_place(h, &wait);
	if (place)
		*place = wait;
}

static void on_queues(struct history *h, const struct event *event)
{
	const struct ev_queues *ev = &event->as_queues;
	struct history_slice *s = &h->slice[slice_at(h, event->time_ns)];
	int64_t queued = ev->inject < 0 || ev->local < 0 ? -1 : ev->inject + ev->local;

	if (queued > s->queued)
		s->queued = queued;
	if (ev->alive > s->alive)
		s->alive = ev->alive;
}

static void on_lost(struct history *h, const struct event *event)
{
	const struct ev_lost *ev = &event->as_lost;
	struct history_loss *last = h->losses_count ? &h->losses[h->losses_count - 1] : NULL;

	if (ev->what != LOST_EVENTS)
		return;
	h->slice[slice_at(h, event->time_ns)].lost += ev->count;
	if (ev->stage && !strcmp(ev->stage, "trace"))
		h->unreadable += ev->count;
	if (!last ||
	    (event->time_ns > last->end_ns + LOSS_APART_NS && h->losses_count < HISTORY_LOSSES)) {
		last = &h->losses[h->losses_count++];
		*last = (struct history_loss){.begin_ns = event->time_ns};
	}
	if (event->time_ns > last->end_ns)
		last->end_ns = event->time_ns;
	last->count += ev->count;
}

static void on_note(struct history *h, const struct event *event)
{
	if (h->notes_count == HISTORY_NOTES) {
		h->notes_dropped++;
		return;
	}
	h->notes[h->notes_count++] = (struct history_note){
		.time_ns = event->time_ns,
		.severity = event->as_note.severity,
		.text = xstrndup(event->as_note.text ? event->as_note.text : "", TEXT_MAX),
	};
}

static void on_stack(struct history *h, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;
	const struct site *site = model_site(h->model, ev->site);

	if (site && site->kind == SITE_TASK && !ev->now_only)
		stack_tree_add(&h->stacks, event, site->name);
}

static void (*const handlers[])(struct history *h, const struct event *event) = {
	[EV_THREAD] = on_thread, [EV_POLL] = on_poll, [EV_READY] = on_ready,
	[EV_QUEUES] = on_queues, [EV_LOST] = on_lost, [EV_NOTE] = on_note,
	[EV_STACK] = on_stack,
};

static int history_event(struct sink *sink, const struct event *event)
{
	struct history *h = (struct history *)sink;
	unsigned int kind = (unsigned int)event->kind;

	h->events++;
	if (kind < sizeof(handlers) / sizeof(handlers[0]) && handlers[kind])
		handlers[kind](h, event);
	return 0;
}

static void history_close(struct sink *sink)
{
	struct history *h = (struct history *)sink;

	if (!h)
		return;
	for (uint32_t i = 0; i < h->notes_count; i++)
		free(h->notes[i].text);
	stack_tree_free(&h->stacks);
	map_free(&h->threads);
	free(h->seen);
	free(h->lanes);
	free(h);
}

static const struct sink_ops history_ops = {
	.event = history_event,
	.close = history_close,
};

struct history *history_new(const struct model *model, uint64_t begin_ns, uint64_t end_ns)
{
	struct history *h = xcalloc(1, sizeof(*h));
	uint64_t length = end_ns > begin_ns ? end_ns - begin_ns : 0;
	uint64_t slice = (length / HISTORY_SLICES / NS_PER_MS + 1) * NS_PER_MS;

	h->sink.ops = &history_ops;
	h->model = model;
	h->begin_ns = begin_ns;
	h->slice_ns = slice < HISTORY_SLICE_MIN_NS ? HISTORY_SLICE_MIN_NS : slice;
	h->slices = (uint32_t)(length / h->slice_ns) + 1;
	for (uint32_t i = 0; i < h->slices; i++)
		h->slice[i].queued = h->slice[i].alive = -1;
	map_init(&h->threads, THREADS_MAX);
	stack_tree_init(&h->stacks);
	return h;
}
