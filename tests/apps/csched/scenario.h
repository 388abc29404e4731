/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs for csched: each has exactly one fault, or is the healthy twin of one: the same work,
 * done right. They live until cs_stop(), except those that say otherwise.
 */
#ifndef CSCHED_SCENARIO_H
#define CSCHED_SCENARIO_H

#include "csched.h"

#define SCENARIO_ARGS 3

struct scenario {
	const char *name;
	const char *what; /* for --help */
	unsigned int workers;
	/* The first task. It may end by itself only where `ends`: then the program does, too. */
	const struct cs_type *main;
	bool ends;
	uint64_t defaults[SCENARIO_ARGS];
};

/* The state of the first task, and of others like it: run_new(), run_drop(). */
struct scenario_run {
	uint64_t args[SCENARIO_ARGS];
	uint64_t step, due;
	struct cs_task **tasks; /* of the scenario's own */
	size_t tasks_count, tasks_cap;
	struct cs_work work;
};

extern const struct scenario scenarios[];
extern const size_t scenarios_count;

/* Beside every fault: work as it should be. */
extern const struct cs_type ticker_type;

/* Tools of scenarios. */
#define MS 1000000ULL

struct scenario_run *run_new(const uint64_t *args);
/* For struct cs_type.drop: with the handles that it kept. */
void run_drop(void *run);
void *must(void *memory); /* out of memory ends the program */

/* Computes for so long, on the thread's own CPU clock. */
void burn(uint64_t ns);
/* Blocks the thread. */
void block(uint64_t ns);
/*
 * For `run`: true when `ns` have passed since the last time that it was true (or since the start);
 * else the timer will wake the task, which returns CS_PENDING.
 */
bool every(struct cs_task *self, struct scenario_run *run, uint64_t ns);
void keep(struct scenario_run *run, struct cs_task *task);
/* True when all kept tasks are complete; then they are let go. Else one of them will wake `self`. */
bool join_all(struct cs_task *self, struct scenario_run *run);

/* Those with exact counts and lengths. */
extern const struct cs_type churn_main, lengths_main;

#endif
