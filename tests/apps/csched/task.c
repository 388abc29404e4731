// SPDX-License-Identifier: LGPL-2.1-or-later
/* A task's life: spawned, woken, polled, complete, freed. */
#include "parts.h"

#include <stdlib.h>

#include "trace.h"

static void list_add(struct cs_task *task)
{
	struct cs_sched *sched = task->sched;

	pthread_mutex_lock(&sched->tasks_lock);
	task->after = sched->tasks;
	if (task->after)
		task->after->before = task;
	sched->tasks = task;
	pthread_mutex_unlock(&sched->tasks_lock);
}

/* Also says who waits for it; the caller has that reference now. */
static struct cs_task *list_remove(struct cs_task *task)
{
	struct cs_sched *sched = task->sched;
	struct cs_task *awaiter;

	pthread_mutex_lock(&sched->tasks_lock);
	if (task->before)
		task->before->after = task->after;
	else
		sched->tasks = task->after;
	if (task->after)
		task->after->before = task->before;
	awaiter = task->awaiter;
	task->awaiter = NULL;
	pthread_mutex_unlock(&sched->tasks_lock);
	return awaiter;
}

struct cs_task *cs_spawn(struct cs_sched *sched, const struct cs_type *type, void *state)
{
	struct cs_task *task = cs_alloc(sizeof(*task));

	task->id = atomic_fetch_add(&sched->next_id, 1) + 1;
	task->type = type;
	task->data = state;
	task->sched = sched;
	atomic_store(&task->refs, 2);
	atomic_store(&task->state, TASK_SCHEDULED);
	list_add(task);
	trace_spawn(task);
	sched_push(sched, task);
	return task;
}

struct cs_task *cs_ref(struct cs_task *task)
{
	atomic_fetch_add(&task->refs, 1);
	return task;
}

void cs_unref(struct cs_task *task)
{
	if (atomic_fetch_sub(&task->refs, 1) != 1)
		return;
	if (task->type->drop)
		task->type->drop(task->data);
	trace_drop(task);
	free(task);
}

void cs_detach(struct cs_task *handle)
{
	trace_detach(handle);
	cs_unref(handle);
}

void cs_wake(struct cs_task *task)
{
	int state = atomic_load(&task->state);

	for (;;) {
		if (state == TASK_IDLE &&
		    atomic_compare_exchange_weak(&task->state, &state, TASK_SCHEDULED)) {
			trace_wake(task);
			sched_push(task->sched, task);
			return;
		}
		if (state == TASK_RUNNING &&
		    atomic_compare_exchange_weak(&task->state, &state, TASK_NOTIFIED))
			return;
		if (state != TASK_IDLE && state != TASK_RUNNING)
			return;
	}
}

void cs_yield(struct cs_task *self)
{
	cs_wake(self);
}

void cs_cancel(struct cs_task *task)
{
	atomic_store(&task->cancelled, true);
	cs_wake(task);
}

/* Complete or cancelled: the scheduler lets go of it. */
static void task_end(struct cs_task *task)
{
	struct cs_task *awaiter;

	atomic_store(&task->state, TASK_COMPLETE);
	atomic_fetch_add(&task->sched->ended, 1);
	awaiter = list_remove(task);
	if (awaiter) {
		cs_wake(awaiter);
		cs_unref(awaiter);
	}
	cs_unref(task);
}

void task_run(struct cs_task *task)
{
	int running = TASK_RUNNING;
	enum cs_poll end;

	atomic_store(&task->state, TASK_RUNNING);
	trace_poll_begin(task);
	/* What leaves a queue is polled, says the contract, though there is nothing to do. */
	if (atomic_load(&task->cancelled)) {
		trace_poll_end(task, CS_PENDING);
		task_end(task);
		return;
	}
	end = task->type->poll(task, task->data);
	trace_poll_end(task, end);
	if (end == CS_READY) {
		trace_complete(task);
		task_end(task);
		return;
	}
	if (atomic_compare_exchange_strong(&task->state, &running, TASK_IDLE))
		return;
	/* Woken during the poll. Nobody else touches it while it is notified. */
	atomic_store(&task->state, TASK_SCHEDULED);
	trace_wake(task);
	sched_push(task->sched, task);
}

bool cs_join(struct cs_task *self, struct cs_task *other)
{
	struct cs_sched *sched = other->sched;
	struct cs_task *before = NULL;
	bool complete;

	pthread_mutex_lock(&sched->tasks_lock);
	complete = cs_is_complete(other);
	if (!complete) {
		before = other->awaiter;
		other->awaiter = cs_ref(self);
	}
	pthread_mutex_unlock(&sched->tasks_lock);
	if (before)
		cs_unref(before);
	return complete;
}

bool cs_is_complete(const struct cs_task *task)
{
	return atomic_load(&task->state) == TASK_COMPLETE;
}

struct cs_sched *cs_sched_of(const struct cs_task *task)
{
	return task->sched;
}

uint64_t cs_id(const struct cs_task *task)
{
	return task->id;
}

/* The workers have ended. A state that is dropped here may hold handles of other tasks. */
void tasks_cancel_all(struct cs_sched *sched)
{
	while (sched->tasks)
		task_end(sched->tasks);
}
