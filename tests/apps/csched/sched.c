// SPDX-License-Identifier: LGPL-2.1-or-later
/* The workers: who runs what, who sleeps, and who wakes whom. */
#include "parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

#define FAIR_EVERY 61 /* so often the inject queue comes first, lest a busy ring starve it */

static _Thread_local struct worker *current;

uint64_t cs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void *cs_alloc(size_t size)
{
	void *p = NULL;

	if (posix_memalign(&p, 64, size))
		abort();
	memset(p, 0, size);
	return p;
}

/*
 * There is one more task in a queue. A worker that searches will find it; else a parked one has to.
 * No wake is lost: the queue's counter, `searching` and `parked` are changed and read in one
 * sequentially consistent order. A worker first says that it no longer searches, then that it is
 * parked, and then looks into all queues once more. So whoever has read `searching` before that has
 * pushed before that look, and whoever has read it after that sees it parked.
 */
static void wake_a_worker(struct cs_sched *sched)
{
	if (atomic_load(&sched->searching) || !atomic_load(&sched->parked))
		return;
	pthread_mutex_lock(&sched->park_lock);
	if (sched->permits < atomic_load(&sched->parked)) {
		sched->permits++;
		pthread_cond_signal(&sched->unpark);
	}
	pthread_mutex_unlock(&sched->park_lock);
}

void sched_push(struct cs_sched *sched, struct cs_task *task)
{
	/* Nobody would take it; tasks_cancel_all() finds it in the list. */
	if (atomic_load(&sched->stop))
		return;
	if (!current || current->sched != sched || !ring_push(&current->ring, task))
		inject_push(&sched->inject, task);
	wake_a_worker(sched);
}

static struct cs_task *take_own(struct worker *worker)
{
	struct cs_task *task = NULL;

	if (++worker->ticks % FAIR_EVERY == 0)
		task = inject_pop(&worker->sched->inject);
	if (!task)
		task = ring_pop(&worker->ring);
	return task ? task : inject_pop(&worker->sched->inject);
}

static struct cs_task *take_others(struct worker *worker)
{
	struct cs_sched *sched = worker->sched;
	struct cs_task *task = NULL;

	for (unsigned int i = 1; i < sched->workers_count && !task; i++) {
		struct worker *other = &sched->workers[(worker->index + i) % sched->workers_count];

		task = ring_steal(&other->ring, &worker->ring);
	}
	return task ? task : inject_pop(&sched->inject);
}

/* The last one that searched and found something: there may be more, and nobody else looks. */
static void found_some(struct cs_sched *sched)
{
	if (atomic_fetch_sub(&sched->searching, 1) == 1)
		wake_a_worker(sched);
}

static bool work_anywhere(struct cs_sched *sched)
{
	for (unsigned int i = 0; i < sched->workers_count; i++)
		if (!ring_empty(&sched->workers[i].ring))
			return true;
	return !inject_empty(&sched->inject);
}

/* Until there is work, or the end. The caller searches, before and after. */
static void park(struct worker *worker)
{
	struct cs_sched *sched = worker->sched;

	trace_park(worker);
	pthread_mutex_lock(&sched->park_lock);
	atomic_fetch_sub(&sched->searching, 1);
	atomic_fetch_add(&sched->parked, 1);
	if (!work_anywhere(sched)) {
		while (!sched->permits && !atomic_load(&sched->stop))
			pthread_cond_wait(&sched->unpark, &sched->park_lock);
		if (sched->permits)
			sched->permits--;
	}
	atomic_fetch_add(&sched->searching, 1);
	atomic_fetch_sub(&sched->parked, 1);
	/* A permit for somebody who went on by himself. */
	if (sched->permits > atomic_load(&sched->parked))
		sched->permits = atomic_load(&sched->parked);
	pthread_mutex_unlock(&sched->park_lock);
	trace_unpark(worker);
}

/* NULL at the end. */
static struct cs_task *next_task(struct worker *worker)
{
	struct cs_sched *sched = worker->sched;
	struct cs_task *task;

	if (atomic_load(&sched->stop))
		return NULL;
	task = take_own(worker);
	if (task)
		return task;
	atomic_fetch_add(&sched->searching, 1);
	while (!atomic_load(&sched->stop)) {
		task = take_others(worker);
		if (task) {
			found_some(sched);
			return task;
		}
		park(worker);
	}
	atomic_fetch_sub(&sched->searching, 1);
	return NULL;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct cs_task *task;

	current = worker;
	trace_thread(worker->sched, "worker", worker->index);
	trace_worker_start(worker);
	while ((task = next_task(worker)))
		task_run(task);
	trace_worker_stop(worker);
	return NULL;
}

/* What a watcher may read from outside at any time. */
static void publish(struct cs_sched *sched, const char *name)
{
	struct stalltop_sdt_runtime *sdt = &sched->sdt;

	sched->gauges = cs_alloc(sched->workers_count * sizeof(*sched->gauges));
	for (unsigned int i = 0; i < sched->workers_count; i++)
		sched->gauges[i] = (struct stalltop_sdt_gauge){&sched->workers[i].ring.tail,
							       &sched->workers[i].ring.head};
	*sdt = (struct stalltop_sdt_runtime){
		.magic = STALLTOP_SDT_MAGIC,
		.version = STALLTOP_SDT_VERSION,
		.workers = sched->workers_count,
		.name = name,
		.local = sched->gauges,
		.inject = {&sched->inject.pushed, &sched->inject.popped},
		.alive = {&sched->next_id, &sched->ended},
		.blocking_queue = {&sched->pool.pushed, &sched->pool.popped},
		.blocking_threads = {&sched->pool.started, NULL},
		.blocking_idle = {&sched->pool.idle, NULL},
	};
}

static void thread_start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	int error = pthread_create(thread, NULL, run, arg);

	if (error) {
		fprintf(stderr, "csched: cannot start a thread: %s\n", strerror(error));
		exit(1);
	}
}

struct cs_sched *cs_start(const struct cs_options *options)
{
	struct cs_sched *sched = cs_alloc(sizeof(*sched));

	sched->workers_count = options->workers;
	sched->workers = cs_alloc(options->workers * sizeof(*sched->workers));
	inject_init(&sched->inject);
	pthread_mutex_init(&sched->park_lock, NULL);
	pthread_cond_init(&sched->unpark, NULL);
	pthread_mutex_init(&sched->tasks_lock, NULL);
	pool_init(sched, options->pool_threads);
	publish(sched, options->name);
	trace_runtime_start(sched);
	timers_start(sched);
	for (unsigned int i = 0; i < options->workers; i++) {
		sched->workers[i].sched = sched;
		sched->workers[i].index = i;
	}
	for (unsigned int i = 0; i < options->workers; i++)
		thread_start(&sched->workers[i].thread, worker_main, &sched->workers[i]);
	return sched;
}

void cs_settle(struct cs_sched *sched)
{
	bool settled = false;

	while (!settled) {
		pthread_mutex_lock(&sched->park_lock);
		settled = atomic_load(&sched->parked) == sched->workers_count && !sched->permits &&
			  !work_anywhere(sched);
		pthread_mutex_unlock(&sched->park_lock);
		if (!settled)
			usleep(200);
	}
}

bool cs_stopping(const struct cs_sched *sched)
{
	return atomic_load(&sched->stop);
}

void cs_stop(struct cs_sched *sched)
{
	pthread_mutex_lock(&sched->park_lock);
	atomic_store(&sched->stop, true);
	pthread_cond_broadcast(&sched->unpark);
	pthread_mutex_unlock(&sched->park_lock);
	for (unsigned int i = 0; i < sched->workers_count; i++)
		pthread_join(sched->workers[i].thread, NULL);
	pool_stop(sched);
	timers_stop(sched);
	tasks_cancel_all(sched);
	trace_runtime_stop(sched);
	free(sched->gauges);
	free(sched->workers);
	free(sched);
}
