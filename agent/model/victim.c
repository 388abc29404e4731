// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who waited for a worker, by task type, over the last seconds. */
#include "model/model_priv.h"

static struct victim *victim_of(struct runtime *r, uint32_t site, uint64_t waited_ns)
{
	struct victim *least = NULL;

	for (uint32_t i = 0; i < r->victims_count; i++) {
		struct victim *v = &r->victims[i];

		if (v->site == site)
			return v;
		if (!least || v->worst_ns < least->worst_ns)
			least = v;
	}
	if (r->victims_count < RUNTIME_VICTIMS)
		least = &r->victims[r->victims_count++];
	else if (least->worst_ns >= waited_ns)
		return NULL;
	*least = (struct victim){.site = site};
	return least;
}

void victim_add(struct runtime *r, const struct event *event, bool met)
{
	const struct ev_ready *ev = &event->as_ready;
	struct victim *v;

	if (ev->site == ID_NONE || ev->waited_ns < READY_MIN_NS)
		return;
	v = victim_of(r, ev->site, ev->waited_ns);
	if (!v)
		return;
	v->tasks += !met || !v->tasks;
	if (event->time_ns > v->last_ns)
		v->last_ns = event->time_ns;
	if (ev->waited_ns <= v->worst_ns)
		return;
	v->worst_ns = ev->waited_ns;
	v->task_id = ev->task_id;
}

void victims_expire(struct runtime *r, uint64_t now_ns)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->victims_count; i++)
		if (r->victims[i].last_ns + READY_WINDOW * NS_PER_SEC > now_ns)
			r->victims[kept++] = r->victims[i];
	r->victims_count = kept;
}
