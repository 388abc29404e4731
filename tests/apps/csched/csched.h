/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * csched: a small work-stealing M:N task scheduler, built to be read, that carries the probe points
 * of <stalltop/sdt.h>. It is the demo where no Rust is installed, and the target whose own log is
 * the truth that stalltop is compared with.
 *
 * A task is stackless: a poll function that does a piece of work and returns. Pending means that
 * somebody will wake it (a timer, another task, the blocking pool); only then it is polled again, on
 * any worker, never on two at once. A wake that comes during a poll leads to one more poll.
 *
 * Who owns what: cs_spawn() gives a handle, one reference; it ends with cs_detach(). The scheduler
 * holds another until the task is complete, and each timer or awaiter one of its own. The last one
 * frees the task, and `drop` its state. All functions may be called from any thread.
 */
#ifndef CSCHED_H
#define CSCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stalltop/sdt.h"

enum cs_poll { CS_PENDING, CS_READY };

struct cs_sched;
struct cs_task;

typedef enum cs_poll cs_poll_fn(struct cs_task *self, void *state);

/* A task type: static, for the name and the location are kept as pointers. */
struct cs_type {
	const char *name, *location;
	cs_poll_fn *poll;
	void (*drop)(void *state); /* NULL: nothing to free */
};

#define CS_TYPE(function, drop_fn)                                                                 \
	{                                                                                          \
		.name = #function, .location = STALLTOP_SDT_HERE, .poll = (function),              \
		.drop = (drop_fn)                                                                  \
	}

struct cs_options {
	const char *name;
	unsigned int workers, pool_threads;
};

struct cs_sched *cs_start(const struct cs_options *options);
/* Ends after the polls that run now; tasks that are left are cancelled. Frees everything. */
void cs_stop(struct cs_sched *sched);
/* The cs_stop() of now has begun: for polls that would never end. */
bool cs_stopping(const struct cs_sched *sched);

struct cs_task *cs_spawn(struct cs_sched *sched, const struct cs_type *type, void *state);
void cs_detach(struct cs_task *handle);
/* It is not polled again; its state is dropped with the last reference. */
void cs_cancel(struct cs_task *task);
bool cs_is_complete(const struct cs_task *task);
struct cs_sched *cs_sched_of(const struct cs_task *task);
uint64_t cs_id(const struct cs_task *task);

struct cs_task *cs_ref(struct cs_task *task);
void cs_unref(struct cs_task *task);
void cs_wake(struct cs_task *task);

/* For use in a poll of `self`, which then returns CS_PENDING. */

/* To be polled again at once, behind the others. */
void cs_yield(struct cs_task *self);
/* To be polled again at `deadline` (cs_now()), or earlier when somebody else wakes it. */
void cs_sleep_until(struct cs_task *self, uint64_t deadline);
/* True: `other` is complete. False: it will wake `self`, of which it takes one awaiter at a time. */
bool cs_join(struct cs_task *self, struct cs_task *other);

/* Work that may block, on a thread of the pool. Zero it before use; it must outlive its run. */
struct cs_work {
	const char *name, *location;
	void (*run)(void *arg);
	void *arg;
	bool done; /* atomic; see cs_work_done() */
	uint64_t id;
	struct cs_task *awaiter;
	struct cs_work *next;
};

#define CS_WORK(function, argument)                                                                \
	{                                                                                          \
		.name = #function, .location = STALLTOP_SDT_HERE, .run = (function),               \
		.arg = (argument)                                                                  \
	}

void cs_work_start(struct cs_task *self, struct cs_work *work);
bool cs_work_done(const struct cs_work *work);

/* Waits until all workers are parked: nothing happens until somebody from outside acts. */
void cs_settle(struct cs_sched *sched);

/* CLOCK_MONOTONIC, ns */
uint64_t cs_now(void);

#endif
