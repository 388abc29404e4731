/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the model share: the private index, growth of the id-indexed arrays, and one
 * function an event kind. Handlers get a known kind; every other field of the event is checked
 * here, because a trace file may hold anything. They return 0 or -EINVAL and then changed nothing.
 */
#ifndef MODEL_MODEL_PRIV_H
#define MODEL_MODEL_PRIV_H

#include "model/model.h"
#include "util/map.h"

#define NS_PER_SEC 1000000000ULL
#define READY_WINDOW 5		/* seconds that ready_worst_ns and ready_seen cover */
#define READY_MIN_NS 5000000ULL /* shorter waits are normal scheduling */
#define NAME_LIMIT 4096		/* bytes kept of any string of an event */

/* Rows of one site in the scan under way. */
struct site_tally {
	uint64_t seen; /* as of its first row: a task met later may not be among the rows */
	uint64_t rows; /* tasks that exist, complete ones too */
	uint32_t live, idle, ready, running, completed_held, detached;
	uint64_t held_oldest_ns, idle_oldest_ns;
	bool wakers_known;
	uint32_t stranded, stranded_missed;
	uint64_t stranded_oldest_ns;
};

/* Waits of one runtime, a bucket a second. */
struct ready_window {
	struct {
		uint64_t second;
		uint64_t worst_ns;
		uint32_t seen;
	} bucket[READY_WINDOW];
};

struct scan {
	uint32_t number;       /* rows of the scan under way carry it */
	uint32_t rows;	       /* that came in it */
	uint64_t dropped;      /* rows over the ceiling in it */
	uint64_t dropped_last; /* in the last complete one */
	bool truncated;	       /* the last complete one was */
};

struct model_index {
	bool begun; /* an event was applied: begin_ns holds */
	bool cost_seen;
	uint64_t seconds;      /* full seconds since begin_ns that the series have */
	uint64_t tick_ns;      /* of the last tick, begin_ns before it */
	uint64_t loss_tick;    /* `ticks` at the last loss */
	uint64_t cost_ns;      /* time of the last EV_COST, with cost_seen */
	uint32_t ready_old;    /* entries of `ready` older than the last tick */
	uint32_t series_count; /* sites with a series */
	size_t stack_bytes;    /* of the frames of all sites */
	size_t targets_cap, binaries_cap, runtimes_cap, sites_cap, tally_cap;
	size_t workers_cap, tasks_cap;
	struct map tasks;   /* target, key -> index in tasks */
	struct map holders; /* target, semaphore -> key of the task that has permits of it */
	struct map workers; /* target, tid -> index in workers */
	struct map polled;  /* runtime, target << 32 | tid: counted in workers_seen */
	struct map waiting; /* runtime, task id -> second in which it last counted in ready_seen */
	struct site_tally *tally; /* index = site id */
	struct scan scans[MODEL_MAX_TARGETS];
};

/* Full seconds since the first event. */
uint64_t model_second(const struct model *m);

/*
 * Makes room for `id` in an array whose elements begin with their uint32_t id. What lies between
 * is zeroed and marked ID_NONE. Returns the array.
 */
void *ids_grow(void *array, size_t *cap, uint32_t *count, uint32_t id, size_t size);

/* Replaces *to by a copy of at most NAME_LIMIT bytes, cut between characters; NULL stays NULL. */
void text_set(char **to, const char *from);
/* The same, but NULL becomes "". */
void text_set_any(char **to, const char *from);

/* True when `id` is ID_NONE or was announced, for that target. */
bool runtime_valid(const struct model *m, uint32_t runtime, uint32_t target);
bool site_valid(const struct model *m, uint32_t site, uint32_t target);
const struct binary *binary_of(const struct model *m, uint32_t binary);

/* Value `seconds` ago subtracted from the newest, 0 when it shrank; both must be there. */
uint64_t series_growth(const struct series *s, uint32_t seconds);
/* The longest window that there is history for, at most `seconds`; 0: none. */
uint32_t series_window(const struct series *s, uint32_t seconds);
void series_push_total(struct series *s, uint64_t value, uint64_t seconds);
void series_push_depth(struct series *s, uint64_t value, uint64_t seconds);
/* As if 0 had been pushed that often. */
void series_zero(struct series *s, uint64_t seconds);

int runtime_apply(struct model *m, const struct event *event);
int queues_apply(struct model *m, const struct event *event);
int ready_apply(struct model *m, const struct event *event);
void runtime_hold(struct model *m, uint32_t runtime, int step);
void runtime_polled(struct model *m, uint32_t runtime, uint32_t target, uint32_t tid);
/* A task that waits; `met`: it did so in the last seconds already. */
void victim_add(struct runtime *r, const struct event *event, bool met);
void victims_expire(struct runtime *r, uint64_t now_ns);
void runtimes_tick(struct model *m, uint64_t seconds);
void runtimes_free(struct model *m);

int site_apply(struct model *m, const struct event *event);
int site_stats_apply(struct model *m, const struct event *event);
void site_scanned(struct model *m, struct site *site, bool truncated);
/* What scans have told of sites is no longer so. */
void sites_tasks_forget(struct model *m);
void sites_tick(struct model *m, uint64_t seconds);
void sites_free(struct model *m);

int channel_apply(struct model *m, const struct event *event);
int channel_scan_apply(struct model *m, const struct event *event);
void backlogs_tick(struct model *m, uint64_t seconds);
/* Another program runs in the target. */
void backlogs_target_again(struct model *m, uint32_t target);
void backlogs_free(struct model *m);

int stack_apply(struct model *m, const struct event *event);
void site_stacks_free(struct model *m, struct site *site);
void worker_stack_free(struct model *m, struct worker *w);
/* Another program runs in the target: stacks of the old one tell nothing of it. */
void stacks_target_again(struct model *m, uint32_t target);

/* NULL: no such thread. */
struct worker *worker_of(const struct model *m, uint32_t target, uint32_t tid);
int thread_apply(struct model *m, const struct event *event);
int thread_end_apply(struct model *m, const struct event *event);
int poll_apply(struct model *m, const struct event *event);
int poll_open_apply(struct model *m, const struct event *event);
void workers_target_end(struct model *m, uint32_t target);
/* Another program runs in the target: the threads of the old one are gone. */
void workers_target_again(struct model *m, uint32_t target);
void workers_tick(struct model *m, uint64_t seconds);
void workers_free(struct model *m);

int task_apply(struct model *m, const struct event *event);
int task_scan_apply(struct model *m, const struct event *event);
/* Forgets the tasks of targets that ended: a new one needs the room. */
void tasks_forget_ended(struct model *m);
/* Tasks are not followed any more. */
void tasks_forget(struct model *m);

#endif
