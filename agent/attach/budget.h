/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The overhead budget of one target, as a pure function of what was counted and when: whether the
 * level is lowered, which sites have their probes taken out, when these are put back for a moment
 * (a window) to see what goes on there, and when what was given up comes back for good. Nothing here
 * reads a clock or touches a probe.
 *
 * Times and costs are nanoseconds; counters are cumulative and may begin anew. The budget is a
 * share of the target's CPU time, counted as at least a quarter of a core. What stays probed is kept
 * below BUDGET_KEPT of it, and windows, with the cost of putting probes in and taking them out, below
 * BUDGET_WINDOWS.
 */
#ifndef ATTACH_BUDGET_H
#define ATTACH_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUDGET_KEPT 0.6
#define BUDGET_WINDOWS 0.3
#define BUDGET_LEVELS 4
#define BUDGET_WINDOW_NS 50000000ULL  /* a window is at least that long */
#define BUDGET_PAUSE_NS 5000000000ULL /* between two windows, at least; */
#define BUDGET_CALM_NS 1000000000ULL  /* while they see nothing of note, less */
#define BUDGET_PAUSE_MAX_NS 60000000000ULL
/*
 * What was given up comes back when it would have cost less than this part of the budget for so long.
 * Given up again soon after that: twice as long the next time.
 */
#define BUDGET_RAISE_BELOW 0.5
#define BUDGET_RAISE_NS 3000000000ULL
#define BUDGET_RAISE_MAX_NS 384000000000ULL
#define BUDGET_RAISE_SOON_NS 300000000000ULL

/* A site as the controller sees it. The caller owns the array; `out` is the controller's. */
struct budget_site {
	uint64_t hits;	    /* of its poll probe, cumulative */
	uint32_t hit_ns;    /* what one costs, */
	uint32_t return_ns; /* and, with `exact`, that of the return */
	bool fixed;	    /* its probe cannot be taken out */
	bool out;	    /* taken out, but in windows */
	uint64_t last;	    /* private: hits when they were last looked at */
	double rate_ns;	    /* private: what it costs while it is probed, a second */
};

struct budget_opts {
	double ratio;		    /* of the target's CPU time */
	uint8_t level;		    /* the user's: never exceeded */
	bool may_lower, may_sample; /* what the caller can do */
	bool may_raise;		    /* likewise, what was given up of `level` and `exact` */
	bool exact;		    /* returns of polls are probed, too: the first to go */
};

struct budget_input {
	uint64_t now;
	uint64_t target_cpu_ns; /* cumulative */
	uint64_t other_cost_ns; /* cumulative: of probes that belong to no site */
	struct budget_site *sites;
	size_t count; /* may grow from one step to the next */
};

/* What is to be done now. */
enum budget_act {
	BUDGET_KEEP,
	BUDGET_LOOSEN, /* take the probes of returns out */
	BUDGET_LOWER,  /* the level is `level` from now on */
	BUDGET_RAISE,  /* what budget_raised() says would fit again: call budget_follow() */
	BUDGET_SPLIT,  /* more sites are out: take the probes of these out */
	BUDGET_OPEN,   /* put the probes of all sites that are out in */
	BUDGET_CLOSE,  /* and out again */
	BUDGET_STAY,   /* the window stays: no site is out any more */
};

enum budget_state { BUDGET_ALL, BUDGET_OUT, BUDGET_IN, BUDGET_LEAVING };

struct budget {
	struct budget_opts opts;
	enum budget_state state;
	uint8_t level;
	bool exact;
	double beside; /* cost of probes of no site, for each of polls, of late; */
	double beside_at[BUDGET_LEVELS]; /* when that level was given up last */
	uint64_t quiet_ns;	    /* since when what was given up would fit; 0: it would not */
	uint64_t raise_ns;	    /* how long that has to last */
	uint64_t raised_ns;	    /* when something came back; 0: it was given up again */
	uint64_t begin, cpu, other; /* of the period under way */
	bool begun;
	uint32_t over;	   /* periods in a row over the budget */
	uint32_t helpless; /* periods over it in which there was nothing to save */
	double cpu_rate;   /* CPU time of the target a second, at least a quarter of a core */
	double cost_ratio;
	uint64_t since, next;	    /* the window's begin; when the next one is due */
	uint64_t window_cpu;	    /* of the target, when it began */
	double window_ratio;	    /* cost of the last one, of the CPU time */
	double window_cost;	    /* of the last one, with its attach and detach */
	double attach_ns;	    /* of the window under way: putting in, so far */
	uint32_t calm, calm_needed; /* windows in a row; how many bring the probes back */
	uint64_t returned;
	uint32_t windows, out_count;
};

void budget_init(struct budget *b, const struct budget_opts *opts);
/* Call it a few times a second, and at least each BUDGET_WINDOW_NS while a window is on. */
enum budget_act budget_step(struct budget *b, const struct budget_input *in);
/* The probes are in (BUDGET_OPEN was done), and what that cost the machine. */
void budget_opened(struct budget *b, const struct budget_input *in, uint64_t cost_ns);
/* They are out (BUDGET_SPLIT or BUDGET_CLOSE was done). */
void budget_closed(struct budget *b, uint64_t now, uint64_t cost_ns);
/* The window could not be opened: not before a long pause again. */
void budget_failed(struct budget *b, uint64_t now);
/* What comes back next. */
void budget_raised(const struct budget *b, uint8_t *level, bool *exact);
/* It has been quiet for long enough, as of the last step: that would fit. */
bool budget_may_rise(const struct budget *b, uint64_t now);
/* Several targets have one level: what was lowered or raised for all of them. */
void budget_follow(struct budget *b, uint64_t now, uint8_t level, bool exact);
/* It could not be done: not before twice as long has passed. */
void budget_not_raised(struct budget *b);
/* When the next window is due; 0: none is planned. */
uint64_t budget_next_window(const struct budget *b);

#endif
