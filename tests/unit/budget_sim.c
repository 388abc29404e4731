// SPDX-License-Identifier: LGPL-2.1-or-later
#include "budget_sim.h"

#include <string.h>

void sim_init(struct sim *s, uint8_t level)
{
	const struct budget_opts opts = {.ratio = 0.02,
					 .level = level,
					 .may_lower = true,
					 .may_sample = true,
					 .may_raise = true};

	memset(s, 0, sizeof(*s));
	budget_init(&s->budget, &opts);
	s->in = (struct budget_input){.now = 1000 * SECOND, .sites = s->sites, .count = SITES};
	for (int i = 0; i < SITES; i++)
		s->sites[i] = (struct budget_site){.hit_ns = HIT_NS, .return_ns = HIT_NS};
	s->cores = 1;
	s->attach_ns = 2 * MS;
}

static bool probed(const struct sim *s, size_t i)
{
	return !s->sites[i].out || s->budget.state == BUDGET_IN;
}

/* A tick of the program: a probe makes a hot loop slower than it is by itself. */
static void sim_run(struct sim *s)
{
	double left = s->cores * TICK, hit_ns = HIT_NS * (s->budget.exact ? 2 : 1);
	double wakes = s->budget.level >= 3 ? s->other_rate : 0;
	double ends = s->budget.level >= 2 ? s->other_rate / 100 : 0;

	s->in.now += TICK;
	for (size_t i = 0; i < s->in.count; i++) {
		double hits = s->rate[i] * TICK / SECOND;

		if (!probed(s, i))
			continue;
		if (hits * hit_ns > left)
			hits = left / hit_ns;
		left -= hits * hit_ns;
		s->part[i] += hits;
		s->sites[i].hits += (uint64_t)s->part[i];
		s->spent += (uint64_t)(s->part[i] * hit_ns);
		s->part[i] -= (uint64_t)s->part[i];
	}
	s->in.other_cost_ns += (uint64_t)((wakes + ends) * HIT_NS * TICK / SECOND);
	s->spent += (uint64_t)((wakes + ends) * HIT_NS * TICK / SECOND);
	s->in.target_cpu_ns += (uint64_t)(s->cores * TICK);
}

static void sim_act(struct sim *s, enum budget_act act)
{
	uint8_t level;
	bool exact;

	switch (act) {
	case BUDGET_KEEP: break;
	case BUDGET_LOOSEN: s->loosened++; break;
	case BUDGET_LOWER: s->lowers++; break;
	case BUDGET_RAISE:
		s->raises++;
		budget_raised(&s->budget, &level, &exact);
		budget_follow(&s->budget, s->in.now, level, exact);
		break;
	case BUDGET_SPLIT:
		s->splits++;
		s->closing = true;
		break;
	case BUDGET_CLOSE: s->closing = true; break;
	case BUDGET_STAY: s->stays++; break;
	case BUDGET_OPEN:
		s->opens++;
		s->spent += s->attach_ns;
		s->in_since = s->in.now;
		budget_opened(&s->budget, &s->in, s->attach_ns);
		break;
	}
}

double sim_for(struct sim *s, double seconds)
{
	uint64_t ticks = (uint64_t)(seconds * SECOND / TICK), cpu = s->in.target_cpu_ns;

	s->spent = 0;
	for (uint64_t i = 0; i < ticks; i++) {
		sim_run(s);
		if (s->closing) { /* detached a tick later */
			s->closing = false;
			s->spent += s->attach_ns;
			budget_closed(&s->budget, s->in.now, s->attach_ns);
		}
		sim_act(s, budget_step(&s->budget, &s->in));
	}
	return (double)s->spent / (double)(s->in.target_cpu_ns - cpu);
}

void sim_load(struct sim *s, double polls)
{
	s->rate[0] = s->other_rate = polls;
}
