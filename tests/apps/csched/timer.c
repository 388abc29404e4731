// SPDX-License-Identifier: LGPL-2.1-or-later
/* Timers: a heap of deadlines, and a thread that wakes whom it is time for. */
#include "parts.h"

#include <stdlib.h>
#include <time.h>

#include "trace.h"

#define NS_A_SECOND 1000000000ULL

static void heap_swap(struct timers *timers, size_t a, size_t b)
{
	struct timer t = timers->heap[a];

	timers->heap[a] = timers->heap[b];
	timers->heap[b] = t;
}

static void heap_push(struct timers *timers, struct timer timer)
{
	size_t i = timers->count++;

	if (timers->count > timers->cap) {
		timers->cap = timers->cap ? 2 * timers->cap : 64;
		timers->heap = realloc(timers->heap, timers->cap * sizeof(*timers->heap));
		if (!timers->heap)
			abort();
	}
	timers->heap[i] = timer;
	for (; i && timers->heap[i].deadline < timers->heap[(i - 1) / 2].deadline; i = (i - 1) / 2)
		heap_swap(timers, i, (i - 1) / 2);
}

static struct timer heap_pop(struct timers *timers)
{
	struct timer first = timers->heap[0];
	size_t i = 0;

	timers->heap[0] = timers->heap[--timers->count];
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < timers->count; child++)
			if (timers->heap[child].deadline < timers->heap[least].deadline)
				least = child;
		if (least == i)
			return first;
		heap_swap(timers, i, least);
		i = least;
	}
}

void cs_sleep_until(struct cs_task *self, uint64_t deadline)
{
	struct timers *timers = &self->sched->timers;

	pthread_mutex_lock(&timers->lock);
	heap_push(timers, (struct timer){deadline, cs_ref(self)});
	if (timers->heap[0].task == self)
		pthread_cond_signal(&timers->changed);
	pthread_mutex_unlock(&timers->lock);
}

/* Until the first deadline, or a change. */
static void wait_for_first(struct timers *timers)
{
	struct timespec until;

	if (!timers->count) {
		pthread_cond_wait(&timers->changed, &timers->lock);
		return;
	}
	until.tv_sec = (time_t)(timers->heap[0].deadline / NS_A_SECOND);
	until.tv_nsec = (long)(timers->heap[0].deadline % NS_A_SECOND);
	pthread_cond_timedwait(&timers->changed, &timers->lock, &until);
}

static void *timers_main(void *arg)
{
	struct cs_sched *sched = arg;
	struct timers *timers = &sched->timers;

	trace_thread(sched, "timers", 0);
	pthread_mutex_lock(&timers->lock);
	while (!atomic_load(&sched->stop)) {
		struct timer due;

		if (!timers->count || timers->heap[0].deadline > cs_now()) {
			wait_for_first(timers);
			continue;
		}
		due = heap_pop(timers);
		pthread_mutex_unlock(&timers->lock);
		cs_wake(due.task);
		cs_unref(due.task);
		pthread_mutex_lock(&timers->lock);
	}
	pthread_mutex_unlock(&timers->lock);
	return NULL;
}

void timers_start(struct cs_sched *sched)
{
	struct timers *timers = &sched->timers;
	pthread_condattr_t attr;

	pthread_mutex_init(&timers->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&timers->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&timers->thread, NULL, timers_main, sched))
		abort();
}

void timers_stop(struct cs_sched *sched)
{
	struct timers *timers = &sched->timers;

	pthread_mutex_lock(&timers->lock);
	pthread_cond_signal(&timers->changed);
	pthread_mutex_unlock(&timers->lock);
	pthread_join(timers->thread, NULL);
	for (size_t i = 0; i < timers->count; i++)
		cs_unref(timers->heap[i].task);
	free(timers->heap);
}
