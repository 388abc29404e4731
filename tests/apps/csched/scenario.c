// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tools of the scenarios, and those whose counts and lengths are known exactly. */
#include "scenario.h"

#include <stdlib.h>
#include <time.h>

static uint64_t thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

struct scenario_run *run_new(const uint64_t *args)
{
	struct scenario_run *run = must(calloc(1, sizeof(*run)));

	for (int i = 0; args && i < SCENARIO_ARGS; i++)
		run->args[i] = args[i];
	return run;
}

void run_drop(void *state)
{
	struct scenario_run *run = state;

	while (run->tasks_count)
		cs_detach(run->tasks[--run->tasks_count]);
	free(run->tasks);
	free(run);
}

void burn(uint64_t ns)
{
	volatile uint64_t x = ns;

	for (uint64_t end = thread_ns() + ns; thread_ns() < end;)
		for (int i = 0; i < 500; i++)
			x = x * 6364136223846793005ULL + 1;
}

void block(uint64_t ns)
{
	struct timespec ts = {(time_t)(ns / (1000 * MS)), (long)(ns % (1000 * MS))};

	nanosleep(&ts, NULL);
}

bool every(struct cs_task *self, struct scenario_run *run, uint64_t ns)
{
	if (!run->due)
		run->due = cs_now() + ns;
	if (cs_now() < run->due) {
		cs_sleep_until(self, run->due);
		return false;
	}
	run->due = 0;
	run->step++;
	return true;
}

void keep(struct scenario_run *run, struct cs_task *task)
{
	if (run->tasks_count == run->tasks_cap) {
		run->tasks_cap = run->tasks_cap ? 2 * run->tasks_cap : 64;
		run->tasks = must(realloc(run->tasks, run->tasks_cap * sizeof(struct cs_task *)));
	}
	run->tasks[run->tasks_count++] = task;
}

bool join_all(struct cs_task *self, struct scenario_run *run)
{
	while (run->tasks_count) {
		if (!cs_join(self, run->tasks[run->tasks_count - 1]))
			return false;
		cs_detach(run->tasks[--run->tasks_count]);
	}
	return true;
}

/* --- beside every fault ------------------------------------------------------------------ */

static enum cs_poll ticker(struct cs_task *self, void *state)
{
	while (every(self, state, 10 * MS))
		burn(MS / 50);
	return CS_PENDING;
}

const struct cs_type ticker_type = CS_TYPE(ticker, run_drop);

/* --- churn: args[0] tasks of args[1] polls each, args[2] at a time ------------------------ */

struct churned {
	uint64_t polls;
};

static enum cs_poll churned_task(struct cs_task *self, void *state)
{
	struct churned *churned = state;

	if (!--churned->polls)
		return CS_READY;
	cs_yield(self);
	return CS_PENDING;
}

static const struct cs_type churned_type = CS_TYPE(churned_task, free);

static enum cs_poll churn(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	for (;;) {
		if (!join_all(self, run))
			return CS_PENDING;
		if (run->step == run->args[0])
			return CS_READY;
		for (uint64_t i = 0; i < run->args[2] && run->step < run->args[0]; i++) {
			struct churned *churned = must(malloc(sizeof(*churned)));

			churned->polls = run->args[1];
			keep(run, cs_spawn(cs_sched_of(self), &churned_type, churned));
			run->step++;
		}
	}
}

const struct cs_type churn_main = CS_TYPE(churn, run_drop);

/* --- lengths: each type is polled once, for its own length; args[0] 0: asleep, 1: computing --- */

struct length {
	struct cs_type type;
	uint64_t us;
};

static enum cs_poll last_so_long(struct cs_task *self, void *state);

#define LENGTH(n)                                                                                  \
	{                                                                                          \
		{"length_" #n "us", STALLTOP_SDT_HERE, last_so_long, run_drop}, n                  \
	}

static const struct length lengths_table[] = {
	LENGTH(50),    LENGTH(80),    LENGTH(120),   LENGTH(200),   LENGTH(300),   LENGTH(500),
	LENGTH(800),   LENGTH(1200),  LENGTH(2000),  LENGTH(3000),  LENGTH(5000),  LENGTH(8000),
	LENGTH(12000), LENGTH(20000), LENGTH(30000), LENGTH(50000), LENGTH(80000), LENGTH(120000),
};
#define LENGTHS (sizeof(lengths_table) / sizeof(lengths_table[0]))

static enum cs_poll last_so_long(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	(void)self;
	(run->args[0] ? burn : block)(lengths_table[run->args[1]].us * MS / 1000);
	return CS_READY;
}

/* One after the other. */
static enum cs_poll lengths(struct cs_task *self, void *state)
{
	struct scenario_run *run = state;

	for (; join_all(self, run); run->step++) {
		if (run->step == LENGTHS)
			return CS_READY;
		keep(run, cs_spawn(cs_sched_of(self), &lengths_table[run->step].type,
				   run_new((uint64_t[SCENARIO_ARGS]){run->args[0], run->step})));
	}
	return CS_PENDING;
}

const struct cs_type lengths_main = CS_TYPE(lengths, run_drop);
