/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What text and JSON both derive from a snapshot: totals, order, and names for ids. Nothing here
 * formats or writes. Pointers are borrowed from the model and the rules; arrays that a function
 * returns through `out` are freed by the caller.
 */
#ifndef SINK_VIEW_H
#define SINK_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sink.h"
#include "model/model.h"
#include "rules/rule.h"

/* Over the whole watch. */
struct totals {
	uint64_t duration_ns;
	uint64_t polls;	       /* of tasks; blocking-pool work is not a poll */
	uint64_t tasks_seen;   /* valid with tasks_valid */
	bool sampled;	       /* polls of a type are scaled from moments; */
	bool at_least;	       /* and may be more: it is not known how many */
	bool tasks_valid;      /* every site counts its tasks (level 2) */
	uint32_t task_types;   /* that were polled */
	uint32_t workers;      /* threads that polled tasks */
	bool cost_valid;       /* the counters of probe hits have arrived */
	double overhead_ratio; /* of the targets' CPU time; negative: unknown */
	double agent_ratio;    /* of one core; negative: unknown */
};

void totals_of(struct totals *t, const struct model *m);

/* A finding with its ids resolved; NULL where there is none. */
struct finding_view {
	const struct finding *f;
	struct rule_info rule;
	const struct target *target;
	const struct runtime *runtime;
	const struct binary *binary; /* that carries its runtime */
	const struct site *site;
	const struct worker *worker;
};

void finding_view_of(struct finding_view *v, const struct model *m, const struct finding *f);

/* Open, or seen in the last five seconds: a live view shows it. */
bool finding_is_live(const struct model *m, const struct finding *f);
/* It is no alarm of its own now: what it is an effect of is live. */
bool finding_is_effect(const struct model *m, const struct finding *f);

/* Worst first. */
size_t findings_sorted(const struct rules *rules, const struct finding ***out);

/* The thread or its process is gone. */
bool worker_ended(const struct model *m, const struct worker *w);
/* Threads that have polled tasks; those with the longest open poll first. */
size_t workers_sorted(const struct model *m, bool with_ended, const struct worker ***out);

/* Upper bound of the poll length below which a share q lies; valid when hist.count > 0. */
uint64_t site_quantile(const struct site *s, double q);
/* The same of the delays from wake to poll; valid when delay.count > 0. */
uint64_t site_delay_quantile(const struct site *s, double q);
/* Whether `live` is known: tasks are counted and a scan has come. */
bool site_live_known(const struct model *m, const struct site *s);

/* Sites of tasks that were polled, most time in polls over the last seconds first. */
size_t sites_sorted(const struct model *m, const struct site ***out);

enum task_state { TASK_IN_POLL, TASK_READY, TASK_IDLE, TASK_HELD, TASK_UNKNOWN };

/* "in_poll", "ready", "idle", "complete"; NULL for TASK_UNKNOWN. */
const char *task_state_name(enum task_state state);

struct task_view {
	const struct task *task;
	enum task_state state;
	uint64_t for_ns;	     /* in this state; since its last poll when not in one */
	const struct worker *worker; /* that polls it now, or NULL */
};

/* Every task of the last scan whose process lives, stuck ones first. */
size_t tasks_sorted(const struct model *m, struct task_view **out);

/* Tasks of whom it is known at which semaphore they wait: those of one together, the oldest wait first. */
size_t waiting_sorted(const struct model *m, const struct task ***out);
/* How many of them, from the first on, wait for the same one. */
size_t waiting_same(const struct task *const *list, size_t count);

/* "searching", "parked", "polling", "blocked", "preempted". */
const char *thread_state_name(enum thread_state state);
/* "multi-thread", "current-thread", "local"; NULL when unknown. */
const char *flavor_name(enum runtime_flavor flavor);

/* Announced entries only: ids may have gaps. */
const struct binary *view_binary(const struct model *m, uint32_t binary);
/* Sum of the configured workers of the runtimes in a binary; -1 when one is not known. */
int64_t binary_workers(const struct model *m, uint32_t binary);

#endif
