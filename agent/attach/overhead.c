// SPDX-License-Identifier: LGPL-2.1-or-later
/* The schedule and the sums of --overhead-check; see overhead.h. */
#include "attach/overhead.h"

#define SECOND 1e9
#define LONG_REST_NS 2000000000ULL /* rather shorter windows than such a pause */

void overhead_init(struct overhead *o, double ratio, uint64_t seed)
{
	*o = (struct overhead){
		.ratio = ratio,
		.random = seed,
		.in = true,
		.window_ns = ratio < 1 ? OVERHEAD_SHORT_NS : OVERHEAD_WINDOW_NS,
	};
}

/* Marsaglia's xorshift. */
static bool coin(struct overhead *o)
{
	o->random |= !o->random;
	o->random ^= o->random << 13;
	o->random ^= o->random >> 7;
	o->random ^= o->random << 17;
	return o->random >> 40 & 1;
}

static double grown(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

bool overhead_due(const struct overhead *o, uint64_t now)
{
	if (o->state == OVERHEAD_WINDOW)
		return now >= o->begin.now + o->window_ns;
	return o->state == OVERHEAD_REST && now >= o->next;
}

static enum overhead_act turn(struct overhead *o, uint64_t now, bool in, bool rests)
{
	o->state = OVERHEAD_TURN;
	o->turn_ns = now;
	o->goal = in;
	o->rests = rests;
	return in ? OVERHEAD_PUT_IN : OVERHEAD_TAKE_OUT;
}

/* The next window of the round begins, if need be after a turn. */
static enum overhead_act go_on(struct overhead *o, const struct overhead_sample *s)
{
	bool outer = o->window == 0 || o->window == OVERHEAD_WINDOWS - 1;
	bool want = outer == o->outer;

	if (want != o->in)
		return turn(o, s->now, want, false);
	o->state = OVERHEAD_WINDOW;
	o->begin = *s;
	return OVERHEAD_KEEP;
}

static enum overhead_act round_begin(struct overhead *o, const struct overhead_sample *s)
{
	static const struct overhead_side none = {.switches_known = true, .takes_known = true};

	o->outer = coin(o);
	o->window = 0;
	if (!o->paid.now)
		o->paid = *s;
	o->side[0] = o->side[1] = none;
	o->polls = o->polls_cpu_ns = 0;
	return go_on(o, s);
}

static void window_end(struct overhead *o, const struct overhead_sample *s)
{
	struct overhead_side *side = &o->side[o->in];

	side->ns += grown(s->now, o->begin.now);
	side->cpu_ns += grown(s->cpu_ns, o->begin.cpu_ns);
	side->switches += grown(s->switches, o->begin.switches);
	side->takes += grown(s->takes, o->begin.takes);
	side->switches_known &= s->switches_known;
	side->takes_known &= s->takes_known;
	if (!o->in)
		return;
	o->hit_rate = grown(s->cost_ns, o->begin.cost_ns) / (grown(s->now, o->begin.now) + 1);
	o->polls += (uint64_t)grown(s->polls, o->begin.polls);
	o->polls_cpu_ns += (uint64_t)grown(s->cpu_ns, o->begin.cpu_ns);
}

static void compare(struct overhead *o)
{
	const struct overhead_side *a = &o->side[1], *b = &o->side[0];

	paired_add(&o->by[OVERHEAD_CPU], a->cpu_ns / a->ns * SECOND, b->cpu_ns / b->ns * SECOND);
	if (a->switches_known && b->switches_known)
		paired_add(&o->by[OVERHEAD_SWITCHES], a->switches / a->ns * SECOND * 1000,
			   b->switches / b->ns * SECOND * 1000);
	if (!a->takes_known || !b->takes_known)
		return;
	paired_add(&o->by[OVERHEAD_TAKES], a->takes / a->ns * SECOND * 1000,
		   b->takes / b->ns * SECOND * 1000);
	if (a->takes > 0 && b->takes > 0)
		paired_add(&o->by[OVERHEAD_CPU_TAKE], a->cpu_ns / a->takes * 1000,
			   b->cpu_ns / b->takes * 1000);
}

/* How long the probes have to stay out until all that they have cost is within the budget. */
static uint64_t rest_after(struct overhead *o, const struct overhead_sample *s)
{
	double elapsed = grown(s->now, o->paid.now), hits = grown(s->cost_ns, o->paid.cost_ns);
	double cores = elapsed > 0 ? grown(s->cpu_ns, o->paid.cpu_ns) / elapsed : 0, allowed;

	o->paid = *s;
	if (o->ratio >= 1)
		return 0;
	allowed = o->ratio * (cores > COST_LEAST_CORE ? cores : COST_LEAST_CORE);
	o->window_ns = 2 * OVERHEAD_WINDOW_NS * (hits / o->side[1].ns) / allowed > LONG_REST_NS ?
			       OVERHEAD_SHORT_NS :
			       OVERHEAD_WINDOW_NS;
	o->owed_ns += hits - allowed * elapsed;
	o->owed_ns = o->owed_ns > 0 ? o->owed_ns : 0;
	if (o->owed_ns / allowed < OVERHEAD_REST_MAX_NS)
		return (uint64_t)(o->owed_ns / allowed);
	return OVERHEAD_REST_MAX_NS;
}

static enum overhead_act round_end(struct overhead *o, const struct overhead_sample *s)
{
	uint64_t rest;

	if (!(o->side[0].ns > 0) || !(o->side[1].ns > 0))
		return round_begin(o, s);
	compare(o);
	rest = rest_after(o, s);
	o->sum.rounds++;
	o->sum.without_ns += (uint64_t)o->side[0].ns;
	o->sum.probed_ns += (uint64_t)o->side[1].ns;
	o->sum.polls += o->polls;
	o->sum.polls_cpu_ns += o->polls_cpu_ns;
	if (!rest)
		return round_begin(o, s);
	o->next = s->now + rest;
	if (o->in)
		return turn(o, s->now, false, true);
	o->state = OVERHEAD_REST;
	return OVERHEAD_KEEP;
}

enum overhead_act overhead_step(struct overhead *o, const struct overhead_sample *sample)
{
	if (o->state == OVERHEAD_TURN)
		return OVERHEAD_KEEP;
	if (o->state == OVERHEAD_REST)
		return round_begin(o, sample);
	window_end(o, sample);
	o->window++;
	return o->window < OVERHEAD_WINDOWS ? go_on(o, sample) : round_end(o, sample);
}

void overhead_turned(struct overhead *o, const struct overhead_sample *sample, uint64_t cost_ns)
{
	o->in = o->goal;
	/* While they come or go they are hit as ever, and those hits are in no statistics. */
	o->owed_ns += (double)cost_ns + o->hit_rate * grown(sample->now, o->turn_ns);
	o->state = o->rests ? OVERHEAD_REST : OVERHEAD_WINDOW;
	o->begin = *sample;
}

enum overhead_act overhead_disturbed(struct overhead *o, uint64_t now)
{
	o->next = now;
	return turn(o, now, false, true);
}

static void result_of(const struct paired *p, struct ev_compared *out)
{
	static const enum overhead_known known[] = {
		[PAIRED_KNOWN] = OVERHEAD_KNOWN,
		[PAIRED_FEW] = OVERHEAD_FEW,
		[PAIRED_LITTLE] = OVERHEAD_LITTLE,
	};
	struct paired_ratio ratio;

	*out = (struct ev_compared){
		.known = known[paired_ratio(p, &ratio)],
		.without_probes = p->count ? (int64_t)(p->mean_b + 0.5) : -1,
		.probed = p->count ? (int64_t)(p->mean_a + 0.5) : -1,
		.ratio = -1,
		.low = -1,
		.high = -1,
	};
	/* A bound beyond a million times is none. */
	if (out->known == OVERHEAD_KNOWN && ratio.high > 1e6)
		out->known = OVERHEAD_LITTLE;
	if (out->known != OVERHEAD_KNOWN)
		return;
	out->ratio = (int64_t)(ratio.ratio * 1e6 + 0.5);
	out->low = (int64_t)(ratio.low * 1e6);
	out->high = (int64_t)(ratio.high * 1e6 + 1);
}

void overhead_result(const struct overhead *o, struct ev_overhead *out)
{
	const char *reason = out->reason;

	*out = o->sum;
	out->reason = reason;
	for (int i = 0; i < OVERHEAD_MEASURES; i++) {
		result_of(&o->by[i], &out->by[i]);
		if (!o->by[i].count && o->sum.rounds)
			out->by[i].known = OVERHEAD_UNSEEN;
	}
	/* It is counted, and there was none. */
	if (o->by[OVERHEAD_TAKES].count && !o->by[OVERHEAD_CPU_TAKE].count)
		out->by[OVERHEAD_CPU_TAKE].known = OVERHEAD_LITTLE;
}
