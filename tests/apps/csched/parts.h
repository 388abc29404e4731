/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside csched: the scheduler, a task, and what its parts ask of each other. sched.c runs the
 * workers, task.c a task's life, timer.c and pool.c are threads of their own, trace.c tells the
 * outside.
 */
#ifndef CSCHED_PARTS_H
#define CSCHED_PARTS_H

#include "csched.h"
#include "queue.h"

enum task_state {
	TASK_IDLE,	/* waits for a wake */
	TASK_SCHEDULED, /* in a run queue */
	TASK_RUNNING,	/* is polled */
	TASK_NOTIFIED,	/* is polled, and was woken meanwhile */
	TASK_COMPLETE,
};

struct cs_task {
	_Atomic int state; /* enum task_state */
	_Atomic int refs;
	_Atomic bool cancelled;
	uint64_t id;
	const struct cs_type *type;
	void *data;
	struct cs_sched *sched;
	struct cs_task *next;		/* in the inject queue */
	struct cs_task *before, *after; /* of the tasks that are not complete */
	struct cs_task *awaiter;	/* holds a reference */
};

struct worker {
	struct cs_sched *sched;
	unsigned int index;
	pthread_t thread;
	struct ring ring;
	uint64_t ticks; /* tasks taken so far */
};

struct timer {
	uint64_t deadline;
	struct cs_task *task; /* holds a reference */
};

struct timers {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct timer *heap; /* the earliest first */
	size_t count, cap;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct cs_work *first, **last;
	pthread_t *threads;
	unsigned int max;
	_Atomic uint64_t pushed, popped, started, idle;
};

struct cs_sched {
	struct stalltop_sdt_runtime sdt;
	struct stalltop_sdt_gauge *gauges; /* of the workers' rings */
	struct worker *workers;
	unsigned int workers_count;
	struct inject inject;
	struct timers timers;
	struct pool pool;
	_Atomic bool stop;
	_Atomic uint64_t next_id, ended;

	/* Workers without work. Both counters are one order with the queues: wake_a_worker(). */
	_Atomic unsigned int searching, parked;
	pthread_mutex_t park_lock;
	pthread_cond_t unpark;
	unsigned int permits; /* parked workers that were told to go on */

	pthread_mutex_t tasks_lock; /* the list, and the awaiters of all tasks */
	struct cs_task *tasks;
};

/* sched.c: makes a task runnable; on a worker, in its own queue. */
void sched_push(struct cs_sched *sched, struct cs_task *task);

/* task.c */
void task_run(struct cs_task *task);
void tasks_cancel_all(struct cs_sched *sched);

void timers_start(struct cs_sched *sched);
void timers_stop(struct cs_sched *sched);

void pool_init(struct cs_sched *sched, unsigned int max);
void pool_stop(struct cs_sched *sched);

/* Out of memory ends the program. */
void *cs_alloc(size_t size);

#endif
