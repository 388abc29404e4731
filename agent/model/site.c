// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sites: names, cumulative statistics, what the task scans say of them, a value a second. */
#include "model/model_priv.h"

#include <errno.h>

#include "util/xalloc.h"

const struct site *model_site(const struct model *m, uint32_t site)
{
	if (site >= m->sites_count || m->sites[site].id == ID_NONE)
		return NULL;
	return &m->sites[site];
}

uint32_t binary_task_types(const struct model *m, const struct binary *b)
{
	uint32_t count = 0;

	if (b->task_types != TASK_TYPES_LATER)
		return b->task_types;
	for (uint32_t i = 0; i < m->sites_count; i++)
		count += m->sites[i].id != ID_NONE && m->sites[i].binary == b->id;
	return count;
}

bool site_valid(const struct model *m, uint32_t site, uint32_t target)
{
	const struct site *s = model_site(m, site);

	return site == ID_NONE || (s && s->target == target);
}

static bool site_acceptable(const struct model *m, const struct event *event)
{
	const struct ev_site *ev = &event->as_site;
	const struct binary *binary = binary_of(m, ev->binary);
	const struct site *known = model_site(m, ev->site);

	if (!model_target(m, event->target) || ev->site >= MODEL_MAX_SITES)
		return false;
	if ((unsigned int)ev->kind > SITE_WORKER || (unsigned int)ev->name_from > NAME_TOLD)
		return false;
	if (ev->binary != ID_NONE && (!binary || binary->target != event->target))
		return false;
	return !known || known->target == event->target;
}

static void tally_grow(struct model_index *ix, uint32_t count)
{
	size_t old = ix->tally_cap;

	ix->tally = xgrow(ix->tally, &ix->tally_cap, count, sizeof(*ix->tally));
	memset(ix->tally + old, 0, (ix->tally_cap - old) * sizeof(*ix->tally));
}

int site_apply(struct model *m, const struct event *event)
{
	const struct ev_site *ev = &event->as_site;
	struct site *s;

	if (!site_acceptable(m, event))
		return -EINVAL;
	m->sites = ids_grow(m->sites, &m->index->sites_cap, &m->sites_count, ev->site, sizeof(*s));
	if (m->sites_count > m->index->tally_cap)
		tally_grow(m->index, m->sites_count);
	s = &m->sites[ev->site];
	s->id = ev->site;
	s->target = event->target;
	s->binary = ev->binary;
	s->kind = ev->kind;
	s->name_from = ev->name_from;
	s->ambiguous = ev->ambiguous;
	s->by_stacks = ev->by_stacks;
	s->size_bytes = ev->size;
	s->offset = ev->offset;
	s->body = ev->body;
	text_set_any(&s->name, ev->name);
	text_set(&s->scheduler, ev->scheduler);
	text_set(&s->location, ev->location);
	text_set(&s->no_spawns, ev->no_spawns);
	return 0;
}

static void hist_set(struct hist *hist, const uint64_t *bucket)
{
	hist->count = 0;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		hist->bucket[i] = bucket[i];
		hist->count += bucket[i];
	}
}

static void series_again(struct series *s)
{
	s->count = 0;
}

/*
 * Tasks were not followed for a while: what came meanwhile would look like the growth of a moment. As
 * when the watch began there is no history.
 */
static void tasks_again(struct site_series *series)
{
	series_again(&series->seen);
	series_again(&series->ended);
	series_again(&series->live);
	series_again(&series->completed_held);
	series_again(&series->detached);
	series_again(&series->moved);
	series_again(&series->cancelled);
}

int site_stats_apply(struct model *m, const struct event *event)
{
	const struct ev_site_stats *ev = &event->as_site_stats;
	const struct site *known = model_site(m, ev->site);
	struct site *s;

	if (!known || known->target != event->target)
		return -EINVAL;
	s = &m->sites[ev->site];
	s->polls = ev->polls;
	s->busy_ns = ev->busy_ns;
	s->blocked_ns = ev->blocked_ns;
	s->preempted_ns = ev->preempted_ns;
	s->max_ns = ev->max_ns;
	s->seen = ev->seen;
	if (ev->ended > s->ended)
		s->ended = ev->ended;
	if (s->series && ev->tasks_valid && !s->tasks_valid)
		tasks_again(s->series);
	if (s->series && ev->self_valid && !s->self_valid)
		series_again(&s->series->self);
	s->tasks_valid = ev->tasks_valid;
	s->tasks_gap = ev->tasks_gap;
	s->moved = ev->moved;
	s->cancelled = ev->cancelled;
	s->self_valid = ev->self_valid;
	s->self = ev->self;
	s->samples_valid = ev->samples_valid;
	s->samples = ev->samples;
	s->refcounts = ev->refcounts;
	s->panics_valid = ev->panics_valid;
	s->panics = ev->panics;
	s->panics_lost = ev->panics_lost;
	s->sampled = ev->sampled;
	s->error = ev->error;
	if (ev->hist)
		hist_set(&s->hist, ev->hist);
	if (ev->delay_hist) {
		hist_set(&s->delay, ev->delay_hist);
		s->delay_max_ns = ev->delay_max_ns;
		s->delays_valid = true;
	}
	return 0;
}

static void site_tally_take(struct model *m, struct site *site)
{
	struct site_tally *tally = &m->index->tally[site->id];

	site->live = tally->live;
	site->idle = tally->idle;
	site->ready = tally->ready;
	site->running = tally->running;
	site->completed_held = tally->completed_held;
	site->completed_held_oldest_ns = tally->held_oldest_ns;
	site->detached = tally->detached;
	site->idle_oldest_ns = tally->idle_oldest_ns;
	site->wakers_known |= tally->wakers_known;
	site->stranded = tally->stranded;
	site->stranded_missed = tally->stranded_missed;
	site->stranded_oldest_ns = tally->stranded_oldest_ns;
	if (site->live > site->live_peak)
		site->live_peak = site->live;
	*tally = (struct site_tally){.seen = site->seen};
}

/* A scan of the site's target is complete: its tally becomes the site's numbers. */
void site_scanned(struct model *m, struct site *site, bool truncated)
{
	const struct site_tally *tally = &m->index->tally[site->id];
	uint64_t gone = tally->seen > tally->rows ? tally->seen - tally->rows : 0;

	/* Tokio frees most tasks where no probe sees it: who was met and is not there has ended. */
	if (!truncated && site->tasks_valid && gone > site->ended)
		site->ended = gone;
	site_tally_take(m, site);
}

void sites_tasks_forget(struct model *m)
{
	for (uint32_t i = 0; i < m->sites_count; i++) {
		if (m->sites[i].id == ID_NONE)
			continue;
		m->index->tally[i] = (struct site_tally){0};
		site_tally_take(m, &m->sites[i]);
	}
}

/* `before` full seconds have passed without activity: zeros are what a series would hold. */
static struct site_series *site_series_new(struct model *m, uint64_t before)
{
	struct site_series *series;

	if (m->index->series_count >= MODEL_MAX_SITE_SERIES)
		return NULL;
	m->index->series_count++;
	series = xmalloc(sizeof(*series));
	series_zero(&series->polls, before);
	series_zero(&series->busy_ns, before);
	series_zero(&series->seen, before);
	series_zero(&series->ended, before);
	series_zero(&series->live, before);
	series_zero(&series->completed_held, before);
	series_zero(&series->detached, before);
	series_zero(&series->moved, before);
	series_zero(&series->cancelled, before);
	series_zero(&series->self, before);
	series_zero(&series->samples, before);
	series_zero(&series->refcounts, before);
	series_zero(&series->panics_lost, before);
	return series;
}

static void site_tick(struct model *m, struct site *s, uint64_t seconds)
{
	bool active = s->polls || s->seen || s->ended || s->live || s->completed_held;

	if (!s->series && active) {
		s->series = site_series_new(m, m->index->seconds - seconds);
		m->site_series_dropped += !s->series;
	}
	if (!s->series)
		return;
	series_push_total(&s->series->polls, s->polls, seconds);
	series_push_total(&s->series->busy_ns, s->busy_ns, seconds);
	series_push_total(&s->series->seen, s->seen, seconds);
	series_push_total(&s->series->ended, s->ended, seconds);
	series_push_depth(&s->series->live, s->live, seconds);
	series_push_depth(&s->series->completed_held, s->completed_held, seconds);
	series_push_depth(&s->series->detached, s->detached, seconds);
	series_push_total(&s->series->moved, s->moved, seconds);
	series_push_total(&s->series->cancelled, s->cancelled, seconds);
	series_push_total(&s->series->self, s->self, seconds);
	series_push_total(&s->series->samples, s->samples, seconds);
	series_push_total(&s->series->refcounts, s->refcounts, seconds);
	series_push_total(&s->series->panics_lost, s->panics_lost, seconds);
}

void sites_tick(struct model *m, uint64_t seconds)
{
	if (!seconds)
		return;
	m->site_series_dropped = 0;
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE)
			site_tick(m, &m->sites[i], seconds);
}

void sites_free(struct model *m)
{
	for (uint32_t i = 0; i < m->sites_count; i++) {
		free(m->sites[i].name);
		free(m->sites[i].scheduler);
		free(m->sites[i].location);
		free(m->sites[i].no_spawns);
		free(m->sites[i].series);
		site_stacks_free(m, &m->sites[i]);
	}
	free(m->sites);
}
