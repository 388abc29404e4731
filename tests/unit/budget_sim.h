/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A simulated target for the overhead budget, with an agent that does what it is told. */
#ifndef BUDGET_SIM_H
#define BUDGET_SIM_H

#include "attach/budget.h"

#define MS 1000000ULL
#define SECOND (1000 * MS)
#define TICK (50 * MS)
#define HIT_NS 700
#define SITES 500
#define CALM (BUDGET_RAISE_NS / 1e9)

struct sim {
	struct budget budget;
	struct budget_site sites[SITES];
	struct budget_input in;
	double rate[SITES]; /* polls a second that the program would do */
	double part[SITES];
	double other_rate; /* hits a second of wakes, at level 3, and ends of tasks, at level 2 */
	double cores;
	uint64_t attach_ns, spent; /* what the target has paid since it was last asked */
	uint64_t splits, opens, stays, lowers, loosened, raises;
	uint64_t in_since, in_ns; /* of windows */
	bool closing;
};

/* At that level, on one core that polls nothing. */
void sim_init(struct sim *s, uint8_t level);
/* A load of polls, each with a wake; of a hundred wakes one task ends. */
void sim_load(struct sim *s, double polls);
/* Runs for so long; the share of the target's CPU time that it cost. */
double sim_for(struct sim *s, double seconds);

#endif
