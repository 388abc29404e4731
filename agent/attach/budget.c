// SPDX-License-Identifier: LGPL-2.1-or-later
/* The overhead budget of one target; see budget.h. */
#include "attach/budget.h"

#include <stdlib.h>

#include "core/event.h"
#include "util/xalloc.h"

#define SECOND 1e9
#define PERIOD_NS 450000000ULL /* between two judgements: a little below a whole number of ticks */
#define JUMP_NS 10000000000ULL /* nobody looked for so long: what came meanwhile is not judged */
#define FAR_OVER 2.0	       /* times the budget: not waited for a second period */
#define RETURN_BELOW 0.4       /* of the budget, with all probes in */
#define CALM_FIRST 3
#define FIRST_WINDOWS 3 /* soon one after the other, as far as their cost allows */
#define CALM_MAX 48
#define RELAPSE_NS                                                                                 \
	60000000000ULL /* over it again so soon after a return: it comes later next time */

void budget_init(struct budget *b, const struct budget_opts *opts)
{
	*b = (struct budget){
		.opts = *opts,
		.level = opts->level,
		.exact = opts->exact,
		.beside = 1,
		.raise_ns = BUDGET_RAISE_NS,
		.calm_needed = CALM_FIRST,
		.cpu_rate = COST_LEAST_CORE * SECOND,
	};
}

static double grown(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

/* Begins a period: what was counted so far belongs to the one before. */
static void rebase(struct budget *b, const struct budget_input *in)
{
	b->begun = true;
	b->begin = in->now;
	b->cpu = in->target_cpu_ns;
	b->other = in->other_cost_ns;
	for (size_t i = 0; i < in->count; i++)
		in->sites[i].last = in->sites[i].hits;
}

/* The cost of what was hit since the last look, a second. */
static double sites_cost(const struct budget *b, const struct budget_input *in, double elapsed,
			 bool out)
{
	double sum = 0;

	for (size_t i = 0; i < in->count; i++) {
		struct budget_site *s = &in->sites[i];

		if (s->out != out)
			continue;
		s->rate_ns = grown(s->hits, s->last) * SECOND / elapsed *
			     (s->hit_ns + (b->exact ? s->return_ns : 0));
		sum += s->rate_ns;
	}
	return sum;
}

static void cpu_seen(struct budget *b, double cpu, double elapsed)
{
	b->cpu_rate = cpu * SECOND / elapsed;
	if (b->cpu_rate < COST_LEAST_CORE * SECOND)
		b->cpu_rate = COST_LEAST_CORE * SECOND;
}

static int dearer(const void *a, const void *b)
{
	const struct budget_site *sa = *(struct budget_site *const *)a;
	const struct budget_site *sb = *(struct budget_site *const *)b;

	return sa->rate_ns < sb->rate_ns ? 1 : sa->rate_ns > sb->rate_ns ? -1 : 0;
}

/* Takes the hottest out until the rest is well within the budget; false: there is none. */
static bool take_out(struct budget *b, const struct budget_input *in, double cost)
{
	double allowed = b->opts.ratio * BUDGET_KEPT * b->cpu_rate;
	struct budget_site **list = xcalloc(in->count + 1, sizeof(struct budget_site *));
	size_t count = 0, i;

	for (i = 0; i < in->count; i++)
		if (!in->sites[i].out && !in->sites[i].fixed && in->sites[i].rate_ns > 0)
			list[count++] = &in->sites[i];
	qsort(list, count, sizeof(struct budget_site *), dearer);
	for (i = 0; i < count && cost > allowed; i++) {
		list[i]->out = true;
		cost -= list[i]->rate_ns;
	}
	b->out_count += i;
	free(list);
	return i > 0;
}

void budget_not_raised(struct budget *b)
{
	b->quiet_ns = 0;
	if (b->raise_ns < BUDGET_RAISE_MAX_NS)
		b->raise_ns *= 2;
}

void budget_follow(struct budget *b, uint64_t now, uint8_t level, bool exact)
{
	bool up = level > b->level || exact > b->exact;

	if (level < b->level)
		b->beside_at[b->level & (BUDGET_LEVELS - 1)] = b->beside;
	b->level = level;
	b->exact = exact;
	b->quiet_ns = 0;
	b->begun = false;
	b->over = 0;
	if (up) {
		b->raised_ns = now;
		return;
	}
	if (b->raised_ns && now - b->raised_ns < BUDGET_RAISE_SOON_NS)
		budget_not_raised(b);
	else if (b->raised_ns)
		b->raise_ns = BUDGET_RAISE_NS;
	b->raised_ns = 0;
}

void budget_raised(const struct budget *b, uint8_t *level, bool *exact)
{
	/* What went first comes last. */
	*level = b->level < b->opts.level ? b->level + 1 : b->level;
	*exact = b->exact || (*level == b->level && b->opts.exact);
}

bool budget_may_rise(const struct budget *b, uint64_t now)
{
	return b->quiet_ns && now >= b->quiet_ns && now - b->quiet_ns >= b->raise_ns;
}

/*
 * What all would cost with what comes back next. A wake leads to a poll and a task ends after one, so
 * these go with the polls, in the proportion that was seen before.
 */
static double cost_raised(const struct budget *b, const struct budget_input *in, double sites,
			  double other)
{
	uint8_t level;
	bool exact;
	double sum = 0;

	budget_raised(b, &level, &exact);
	for (size_t i = 0; exact && !b->exact && i < in->count; i++)
		if (in->sites[i].hit_ns)
			sum += in->sites[i].rate_ns / in->sites[i].hit_ns * in->sites[i].return_ns;
	if (level > b->level && b->beside_at[level & (BUDGET_LEVELS - 1)] * sites > other)
		other = b->beside_at[level & (BUDGET_LEVELS - 1)] * sites;
	return sites + other + sum;
}

/* A period within the budget: is it so quiet that something could come back? */
static enum budget_act rise(struct budget *b, const struct budget_input *in, double sites,
			    double other)
{
	bool whole = b->level == b->opts.level && b->exact == b->opts.exact;

	if (whole || b->state != BUDGET_ALL || !b->opts.may_raise ||
	    cost_raised(b, in, sites, other) > BUDGET_RAISE_BELOW * b->opts.ratio * b->cpu_rate) {
		b->quiet_ns = 0;
		return BUDGET_KEEP;
	}
	if (!b->quiet_ns)
		b->quiet_ns = in->now;
	return budget_may_rise(b, in->now) ? BUDGET_RAISE : BUDGET_KEEP;
}

static enum budget_act reduce(struct budget *b, const struct budget_input *in, double cost,
			      double other)
{
	if (b->exact && b->opts.may_sample) {
		budget_follow(b, in->now, b->level, false);
		return BUDGET_LOOSEN;
	}
	/* Wakes are the next to go; the table of tasks only where it is what costs. */
	if (b->opts.may_lower &&
	    (b->level >= 3 || (b->level == 2 && other > b->opts.ratio / 2 * b->cpu_rate))) {
		budget_follow(b, in->now, b->level - 1, b->exact);
		return BUDGET_LOWER;
	}
	if (!b->opts.may_sample || !take_out(b, in, cost))
		return BUDGET_KEEP;
	if (b->returned && in->now - b->returned < RELAPSE_NS && b->calm_needed < CALM_MAX)
		b->calm_needed *= 2;
	b->returned = 0;
	b->calm = 0;
	b->state = BUDGET_LEAVING;
	return BUDGET_SPLIT;
}

/* What is probed all the time, over a period. */
static enum budget_act judge(struct budget *b, const struct budget_input *in)
{
	double allowed = b->opts.ratio * (b->state == BUDGET_OUT ? 1 - BUDGET_WINDOWS : 1);
	double elapsed = grown(in->now, b->begin), other, sites, cost;
	enum budget_act act;

	if (!b->begun || in->now < b->begin || elapsed > JUMP_NS) {
		rebase(b, in);
		b->over = 0;
		b->quiet_ns = 0;
		return BUDGET_KEEP;
	}
	if (elapsed < PERIOD_NS)
		return BUDGET_KEEP;
	cpu_seen(b, grown(in->target_cpu_ns, b->cpu), elapsed);
	other = grown(in->other_cost_ns, b->other) * SECOND / elapsed;
	sites = sites_cost(b, in, elapsed, false);
	cost = other + sites;
	b->cost_ratio = cost / b->cpu_rate;
	b->beside = sites > 0 ? other / sites : b->beside;
	rebase(b, in);
	if (b->cost_ratio <= allowed) {
		b->over = b->helpless = 0;
		return rise(b, in, sites, other);
	}
	b->quiet_ns = 0;
	b->over++;
	if (b->over < 2 && b->cost_ratio <= FAR_OVER * allowed)
		return BUDGET_KEEP;
	b->over = 0;
	act = reduce(b, in, cost, other);
	if (act == BUDGET_KEEP)
		b->helpless++;
	return act;
}

static void pause_until(struct budget *b, uint64_t now, bool soon)
{
	double allowed = b->opts.ratio * BUDGET_WINDOWS * b->cpu_rate / SECOND;
	double pause = b->window_cost / allowed;
	double least = soon ? BUDGET_CALM_NS : BUDGET_PAUSE_NS;

	if (pause < least)
		pause = least;
	if (pause > BUDGET_PAUSE_MAX_NS)
		pause = BUDGET_PAUSE_MAX_NS;
	b->next = now + (uint64_t)pause;
}

/* The window has lasted: is it as quiet as it would have to be with all probes in? */
static enum budget_act window_ends(struct budget *b, const struct budget_input *in)
{
	double elapsed = grown(in->now, b->since), cost, seen;

	cpu_seen(b, grown(in->target_cpu_ns, b->window_cpu), elapsed);
	seen = sites_cost(b, in, elapsed, true);
	cost = seen + sites_cost(b, in, elapsed, false);
	b->window_ratio = cost / b->cpu_rate;
	b->window_cost = b->attach_ns + seen * elapsed / SECOND;
	b->windows++;
	rebase(b, in);
	b->calm = cost <= RETURN_BELOW * b->opts.ratio * b->cpu_rate ? b->calm + 1 : 0;
	if (b->calm < b->calm_needed) {
		b->state = BUDGET_LEAVING;
		return BUDGET_CLOSE;
	}
	for (size_t i = 0; i < in->count; i++)
		in->sites[i].out = false;
	b->out_count = 0;
	b->calm = 0;
	b->returned = in->now;
	b->state = BUDGET_ALL;
	return BUDGET_STAY;
}

enum budget_act budget_step(struct budget *b, const struct budget_input *in)
{
	switch (b->state) {
	case BUDGET_LEAVING: return BUDGET_KEEP;
	case BUDGET_IN:
		if (in->now < b->since || in->now - b->since > JUMP_NS) {
			b->since = in->now;
			b->window_cpu = in->target_cpu_ns;
			rebase(b, in);
		}
		if (in->now - b->since < BUDGET_WINDOW_NS)
			return BUDGET_KEEP;
		return window_ends(b, in);
	case BUDGET_OUT:
		if (b->next > in->now + BUDGET_PAUSE_MAX_NS)
			b->next = in->now + BUDGET_PAUSE_MAX_NS;
		if (in->now >= b->next)
			return BUDGET_OPEN;
		break;
	case BUDGET_ALL: break;
	}
	return judge(b, in);
}

void budget_opened(struct budget *b, const struct budget_input *in, uint64_t cost_ns)
{
	b->state = BUDGET_IN;
	b->attach_ns = (double)cost_ns;
	b->since = in->now;
	b->window_cpu = in->target_cpu_ns;
	rebase(b, in);
}

void budget_closed(struct budget *b, uint64_t now, uint64_t cost_ns)
{
	b->state = BUDGET_OUT;
	b->window_cost += (double)cost_ns;
	b->begun = false;
	pause_until(b, now, b->calm > 0 || b->windows < FIRST_WINDOWS);
}

void budget_failed(struct budget *b, uint64_t now)
{
	b->state = BUDGET_OUT;
	b->next = now + BUDGET_PAUSE_MAX_NS;
}

uint64_t budget_next_window(const struct budget *b)
{
	return b->state == BUDGET_OUT ? b->next : 0;
}
