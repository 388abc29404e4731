/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the live source, see live_budget.c: the budget of a target, and what is known of a site of which
 * only moments are seen.
 */
#ifndef ATTACH_LIVE_SAMPLE_H
#define ATTACH_LIVE_SAMPLE_H

#include "attach/budget.h"
#include "attach/live_priv.h"

#define SAMPLE_WINDOWS 8 /* the latest: their mean is the rate, their spread the error */

struct live_check; /* live_overhead.c */

struct live_budget {
	struct budget control;	   /* but its `state` and `windows` not used by a check */
	struct live_check *check;  /* --overhead-check; NULL: none */
	struct budget_site *sites; /* of this target, and the id of each */
	uint32_t *ids;
	size_t count, sites_cap, ids_cap;
	uint32_t known;	    /* sites of all targets that were looked at */
	uint64_t cpu;	    /* of the target, never less than before */
	uint64_t window_ns; /* when the one under way began */
	uint64_t blind_ns;
	uint64_t detach_ns; /* of what is leaving, so far */
	bool regroup;	    /* so are the probes of types that are to stay in */
	bool told;
};

/* Counters are as the kernel part sums them up; what nobody saw is added. */
struct live_sample {
	bool out;    /* probed in windows only */
	bool slowed; /* its probes made it slower: the rate is a lower bound */
	uint64_t polls, busy_ns, blocked_ns, preempted_ns; /* when the window began */
	double rate[SAMPLE_WINDOWS];			   /* polls a nanosecond */
	uint32_t rates;					   /* ever */
	double busy, blocked, preempted; /* shares of the time, of the latest windows */
	uint64_t from_ns;		 /* nothing was seen since; 0: it is seen now */
	double extra, extra_busy, extra_blocked, extra_preempted; /* added so far */
	uint64_t unsized; /* of its own, that have got a length */
};

/* live_budget.c */
/* What was counted, with a row for each site of the target. */
void live_budget_look(struct live *live, const struct emit *emit, uint32_t target,
		      struct live_budget *lb, struct budget_input *in);
/* The kernel part is told whether ends of polls may pass unseen from now on. */
void live_budget_blindfold(struct live *live, uint32_t target, bool blind);

/* A note: what watching has cost, and what is done about it. */
int live_budget_say(const struct live *live, struct emit *emit, uint32_t target,
		    const struct live_budget *lb, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* live_level.c: does what a target's controller has decided, for all targets. */
int live_level_lower(struct live *live, struct emit *emit, const struct live_budget *lb);
int live_level_loosen(struct live *live, struct emit *emit, const struct live_budget *lb);
/* When each target would have it so. */
int live_level_raise(struct live *live, struct emit *emit, const struct live_budget *lb);

struct live_check *live_check_new(const struct live *live);
void live_check_free(struct live_check *check);
int live_check_step(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb);

/* The probes go; `row` says how often it was polled while they were in. */
void live_sample_out(struct live *live, uint32_t site, const struct budget_site *row, uint64_t now);
void live_sample_begin(struct live *live, uint32_t site, uint64_t now);
/* `slowed`: the probes took a good part of its time, so it may do more when they are out. */
void live_sample_window(struct live *live, uint32_t site, uint64_t begin, uint64_t end,
			bool slowed);
void live_sample_back(struct live *live, uint32_t site);

#endif
