/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * --overhead-check: what the probes cost a target, measured. Windows with all probes in and windows
 * with none alternate; what the target did in them is compared. A pure function of what was counted
 * and when: nothing here reads a clock or touches a probe.
 *
 * A round is four windows of equal length: with, without, without, with, or the reverse, by chance.
 * So what drifts steadily weighs on both sides alike, and what comes at regular times does not meet
 * the same side each time. Of a round each side is one value; rounds are pairs (util/paired.h).
 *
 * The overhead budget is kept: after a round the probes stay out until what it cost is within the
 * budget. Times and costs are nanoseconds, counters are cumulative.
 */
#ifndef ATTACH_OVERHEAD_H
#define ATTACH_OVERHEAD_H

#include "core/event.h"
#include "util/paired.h"

#include <stdbool.h>
#include <stdint.h>

#define OVERHEAD_WINDOW_NS 200000000ULL
#define OVERHEAD_SHORT_NS 50000000ULL /* where probes cost so much that longer ones are too dear */
#define OVERHEAD_REST_MAX_NS 60000000000ULL
#define OVERHEAD_WINDOWS 4 /* of a round */

/* All that was counted up to one moment. */
struct overhead_sample {
	uint64_t now;
	uint64_t cpu_ns, switches, takes, polls, cost_ns;
	/* Nothing of it was missed since the sample before. */
	bool switches_known, takes_known;
};

enum overhead_act {
	OVERHEAD_KEEP,
	OVERHEAD_PUT_IN, /* all probes; then call overhead_turned() */
	OVERHEAD_TAKE_OUT,
};

enum overhead_state { OVERHEAD_REST, OVERHEAD_TURN, OVERHEAD_WINDOW };

/* One side of a round. */
struct overhead_side {
	double ns, cpu_ns, switches, takes;
	bool switches_known, takes_known;
};

struct overhead {
	double ratio; /* the budget, of the target's CPU time; 1: there is none */
	uint64_t random;
	enum overhead_state state;
	bool in;	  /* the probes are */
	bool goal;	  /* of the turn under way, */
	bool rests;	  /* and what comes after it */
	uint64_t turn_ns; /* when it began */
	double hit_rate;  /* what hits cost while the probes were in last, of a core */
	uint64_t next;
	uint64_t window_ns;
	bool outer; /* the first and the last window are with probes */
	uint8_t window;
	struct overhead_sample begin; /* of the window */
	struct overhead_sample paid;  /* what it has cost until then is in what is owed */
	struct overhead_side side[2]; /* without, with */
	uint64_t polls, polls_cpu_ns; /* of the round, with probes */
	double owed_ns;		      /* what probes have cost beyond the budget so far */
	struct paired by[OVERHEAD_MEASURES];
	struct ev_overhead sum; /* but its `by` and `reason` */
};

/* The probes are in. `seed`: of the order of windows. */
void overhead_init(struct overhead *o, double ratio, uint64_t seed);
/* Whether overhead_step() is to be called now, with a sample. */
bool overhead_due(const struct overhead *o, uint64_t now);
enum overhead_act overhead_step(struct overhead *o, const struct overhead_sample *sample);
/* What was asked for is done, at the cost of `cost_ns` of CPU time of the machine. */
void overhead_turned(struct overhead *o, const struct overhead_sample *sample, uint64_t cost_ns);
/* Probes were put in that the round does not know of: it is void, and all are to be taken out. */
enum overhead_act overhead_disturbed(struct overhead *o, uint64_t now);
/* What is known so far; `reason` is left as it is. */
void overhead_result(const struct overhead *o, struct ev_overhead *out);

#endif
