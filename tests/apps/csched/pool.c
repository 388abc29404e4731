// SPDX-License-Identifier: LGPL-2.1-or-later
/* The blocking pool: threads for work that waits in the kernel, started as they are needed. */
#include "parts.h"

#include <stdlib.h>

#include "trace.h"

static struct cs_work *take(struct cs_sched *sched)
{
	struct pool *pool = &sched->pool;
	struct cs_work *work;

	pthread_mutex_lock(&pool->lock);
	atomic_fetch_add(&pool->idle, 1);
	while (!pool->first && !atomic_load(&sched->stop))
		pthread_cond_wait(&pool->work, &pool->lock);
	atomic_fetch_sub(&pool->idle, 1);
	work = pool->first;
	if (work) {
		pool->first = work->next;
		if (!pool->first)
			pool->last = &pool->first;
		atomic_fetch_add(&pool->popped, 1);
	}
	pthread_mutex_unlock(&pool->lock);
	return work;
}

static void *pool_main(void *arg)
{
	struct cs_sched *sched = arg;
	struct cs_work *work;

	trace_thread(sched, "pool", 0);
	while ((work = take(sched))) {
		struct cs_task *awaiter = work->awaiter;

		trace_blocking_begin(sched, work);
		work->run(work->arg);
		trace_blocking_end(sched, work);
		/* From here on the work may be gone. */
		__atomic_store_n(&work->done, true, __ATOMIC_RELEASE);
		cs_wake(awaiter);
		cs_unref(awaiter);
	}
	return NULL;
}

void cs_work_start(struct cs_task *self, struct cs_work *work)
{
	struct cs_sched *sched = self->sched;
	struct pool *pool = &sched->pool;
	uint64_t started;

	work->awaiter = cs_ref(self);
	work->next = NULL;
	work->done = false;
	work->id = atomic_fetch_add(&pool->pushed, 1) + 1;
	pthread_mutex_lock(&pool->lock);
	*pool->last = work;
	pool->last = &work->next;
	started = atomic_load(&pool->started);
	if (!atomic_load(&pool->idle) && started < pool->max) {
		if (pthread_create(&pool->threads[started], NULL, pool_main, sched))
			abort();
		atomic_store(&pool->started, started + 1);
	}
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

bool cs_work_done(const struct cs_work *work)
{
	return __atomic_load_n(&work->done, __ATOMIC_ACQUIRE);
}

void pool_init(struct cs_sched *sched, unsigned int max)
{
	struct pool *pool = &sched->pool;

	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pool->last = &pool->first;
	pool->max = max;
	pool->threads = cs_alloc(max * sizeof(*pool->threads));
}

/* What was started is done before the threads end: somebody owns its memory. */
void pool_stop(struct cs_sched *sched)
{
	struct pool *pool = &sched->pool;

	pthread_mutex_lock(&pool->lock);
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (uint64_t i = 0; i < atomic_load(&pool->started); i++)
		pthread_join(pool->threads[i], NULL);
	free(pool->threads);
}
