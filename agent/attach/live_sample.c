// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Numbers of sites of which only moments are seen. What was counted is kept; for the time in between
 * the rate of the latest windows is added, as it was seen there (a probe slows a hot loop down, so it
 * is at least that). Types that keep their probes while others have none are counted all the time, but
 * the lengths of their polls are known from windows only: each other poll is taken to be as long as
 * the mean of these.
 */
#include "attach/live_sample.h"

#include "util/xalloc.h"

#include <math.h>
#include <string.h>

#define NEW_SHARE 0.5 /* of the latest window in what is kept of all */

static struct live_sample *sample_of(struct live *live, uint32_t site)
{
	struct live_site *s = &live->sites[site];

	if (!s->sample)
		s->sample = xcalloc(1, sizeof(*s->sample));
	return s->sample;
}

static void rate_add(struct live_sample *s, double rate)
{
	s->rate[s->rates++ % SAMPLE_WINDOWS] = rate;
}

static uint32_t rates_kept(const struct live_sample *s)
{
	return s->rates < SAMPLE_WINDOWS ? s->rates : SAMPLE_WINDOWS;
}

static double rate_mean(const struct live_sample *s)
{
	uint32_t n = rates_kept(s);
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += s->rate[i];
	return n ? sum / n : 0;
}

/* Standard error of that mean, in thousandths of it; ID_NONE: not known yet. */
static uint32_t rate_error(const struct live_sample *s)
{
	uint32_t n = rates_kept(s);
	double mean = rate_mean(s), sum = 0, error;

	if (n < 2 || !(mean > 0))
		return ID_NONE;
	for (uint32_t i = 0; i < n; i++)
		sum += (s->rate[i] - mean) * (s->rate[i] - mean);
	error = 1000 * sqrt(sum / (n - 1) / n) / mean;
	return error < 1e9 ? (uint32_t)(error + 0.5) : ID_NONE;
}

/* Adds what nobody saw, up to now. */
static void fill(struct live_sample *s, uint64_t now)
{
	double span = now > s->from_ns ? (double)(now - s->from_ns) : 0;

	if (!s->from_ns)
		return;
	s->from_ns = now > s->from_ns ? now : s->from_ns;
	s->extra += rate_mean(s) * span;
	s->extra_busy += s->busy * span;
	s->extra_blocked += s->blocked * span;
	s->extra_preempted += s->preempted * span;
}

void live_sample_out(struct live *live, uint32_t site, const struct budget_site *row, uint64_t now)
{
	struct live_sample *s = sample_of(live, site);
	struct wire_site_stats sum;
	uint64_t polls;
	double rate;

	if (s->out)
		return;
	s->out = true;
	s->from_ns = now;
	s->slowed = true; /* until a window says more */
	rate = row->hit_ns ? row->rate_ns / row->hit_ns / 1e9 : 0;
	/* None was judged yet: what it does is not known. */
	if (rate > 0)
		rate_add(s, rate);
	polls = live_site_sum(live, site, &sum);
	if (polls) {
		s->busy = rate * (double)sum.busy_ns / (double)polls;
		s->blocked = rate * (double)sum.blocked_ns / (double)polls;
		s->preempted = rate * (double)sum.preempted_ns / (double)polls;
	}
}

void live_sample_begin(struct live *live, uint32_t site, uint64_t now)
{
	struct live_sample *s = sample_of(live, site);
	struct wire_site_stats sum;

	fill(s, now);
	s->from_ns = 0;
	s->polls = live_site_sum(live, site, &sum);
	s->busy_ns = sum.busy_ns;
	s->blocked_ns = sum.blocked_ns;
	s->preempted_ns = sum.preempted_ns;
}

static void blend(double *share, uint64_t now, uint64_t before, uint64_t length)
{
	*share += NEW_SHARE * ((double)(now - before) / (double)length - *share);
}

void live_sample_window(struct live *live, uint32_t site, uint64_t begin, uint64_t end, bool slowed)
{
	struct live_sample *s = sample_of(live, site);
	uint64_t length = end > begin ? end - begin : 1;
	struct wire_site_stats sum;

	rate_add(s, (double)(live_site_sum(live, site, &sum) - s->polls) / (double)length);
	blend(&s->busy, sum.busy_ns, s->busy_ns, length);
	blend(&s->blocked, sum.blocked_ns, s->blocked_ns, length);
	blend(&s->preempted, sum.preempted_ns, s->preempted_ns, length);
	s->slowed = slowed;
	s->from_ns = end;
}

void live_sample_back(struct live *live, uint32_t site)
{
	live->sites[site].sample->out = false;
}

bool live_sampled(const struct live *live, uint32_t site)
{
	return live->sites[site].sample && live->sites[site].sample->out;
}

/* Polls that were counted and have no length get the mean of those that have one. */
static void lengths_fill(struct live_sample *s, const struct ev_site_stats *stats, uint64_t unsized)
{
	double part = (double)(unsized - s->unsized) / (double)stats->polls;

	s->extra_busy += part * (double)stats->busy_ns;
	s->extra_blocked += part * (double)stats->blocked_ns;
	s->extra_preempted += part * (double)stats->preempted_ns;
	s->unsized = unsized;
}

void live_sample_scale(struct live *live, uint32_t site, uint64_t now, struct ev_site_stats *stats,
		       uint64_t *hist, uint64_t unsized)
{
	struct live_sample *s = live->sites[site].sample;
	double polls, factor;

	if (!s && !unsized)
		return;
	s = sample_of(live, site);
	stats->sampled = true;
	if (stats->polls && unsized > s->unsized)
		lengths_fill(s, stats, unsized);
	fill(s, now);
	polls = (double)stats->polls + (double)unsized + s->extra;
	factor = stats->polls ? polls / (double)stats->polls : 1;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		hist[i] = (uint64_t)((double)hist[i] * factor + 0.5);
	stats->polls = (uint64_t)polls;
	stats->busy_ns += (uint64_t)s->extra_busy;
	stats->blocked_ns += (uint64_t)s->extra_blocked;
	stats->preempted_ns += (uint64_t)s->extra_preempted;
	stats->self_valid = false;
	stats->error = s->extra > 0 ? s->slowed ? ID_NONE : rate_error(s) : 0;
}
