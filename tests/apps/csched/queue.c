// SPDX-License-Identifier: LGPL-2.1-or-later
/* Run queues; see queue.h. */
#include "queue.h"

#include "parts.h"

bool ring_push(struct ring *ring, struct cs_task *task)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&ring->head, memory_order_acquire) == RING_SIZE)
		return false;
	atomic_store_explicit(&ring->slots[tail % RING_SIZE], task, memory_order_relaxed);
	/* In one order with the count of parked workers, see wake_a_worker(). */
	atomic_store(&ring->tail, tail + 1);
	return true;
}

struct cs_task *ring_pop(struct ring *ring)
{
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
	struct cs_task *task;

	do {
		if (head == atomic_load(&ring->tail))
			return NULL;
		task = atomic_load_explicit(&ring->slots[head % RING_SIZE], memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
		&ring->head, &head, head + 1, memory_order_acq_rel, memory_order_acquire));
	return task;
}

bool ring_empty(struct ring *ring)
{
	return atomic_load(&ring->head) == atomic_load(&ring->tail);
}

struct cs_task *ring_steal(struct ring *from, struct ring *to)
{
	uint64_t head = atomic_load(&from->head);
	uint64_t half = (atomic_load(&from->tail) - head + 1) / 2;
	struct cs_task *first = ring_pop(from), *task;

	/* `half` is a guess by now. A thief's ring is empty, so there is room. */
	for (uint64_t i = 1; first && i < half && i < RING_SIZE; i++) {
		task = ring_pop(from);
		if (!task)
			break;
		ring_push(to, task);
	}
	return first;
}

void inject_init(struct inject *inject)
{
	pthread_mutex_init(&inject->lock, NULL);
	inject->first = NULL;
	inject->last = &inject->first;
}

void inject_push(struct inject *inject, struct cs_task *task)
{
	pthread_mutex_lock(&inject->lock);
	task->next = NULL;
	*inject->last = task;
	inject->last = &task->next;
	atomic_fetch_add(&inject->pushed, 1);
	pthread_mutex_unlock(&inject->lock);
}

struct cs_task *inject_pop(struct inject *inject)
{
	struct cs_task *task;

	if (inject_empty(inject))
		return NULL;
	pthread_mutex_lock(&inject->lock);
	task = inject->first;
	if (task) {
		inject->first = task->next;
		if (!inject->first)
			inject->last = &inject->first;
		atomic_fetch_add(&inject->popped, 1);
	}
	pthread_mutex_unlock(&inject->lock);
	return task;
}

bool inject_empty(struct inject *inject)
{
	return atomic_load(&inject->popped) == atomic_load(&inject->pushed);
}
