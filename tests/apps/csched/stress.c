// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * stress [SECONDS [WORKERS]]: hammers csched from tasks and from threads outside, and checks what it
 * promises: a task is polled by one thread at a time, as often as it was woken and not a time less;
 * joins, timers and the pool come back; the last reference frees. Exit code 1 and a line on a broken
 * promise; a lost wake shows as a hang, which alarm(2) ends.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "trace.h"

#define CHILDREN 8
#define OUTSIDERS 3

static _Atomic uint64_t made, freed, polls, done;
static _Atomic bool enough;

struct node {
	_Atomic int inside;
	unsigned int seed, depth, children;
	uint64_t deadline, left;
	struct cs_task *child[CHILDREN];
	struct cs_work work;
	_Atomic uint64_t signals, seen; /* wakes from outside: sent, and polled since */
};

static enum cs_poll node_poll(struct cs_task *self, void *state);
static void node_drop(void *state);

static const struct cs_type node_type = {"node", STALLTOP_SDT_HERE, node_poll, node_drop};

static void broken(const char *what)
{
	printf("stress: %s\n", what);
	exit(1);
}

static struct node *node_new(unsigned int seed, unsigned int depth)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		abort();
	node->seed = seed;
	node->depth = depth;
	node->left = 1 + (unsigned int)rand_r(&node->seed) % 20;
	atomic_fetch_add(&made, 1);
	return node;
}

static void node_drop(void *state)
{
	struct node *node = state;

	for (unsigned int i = 0; i < node->children; i++)
		cs_detach(node->child[i]);
	if (node->work.run && !cs_work_done(&node->work))
		broken("freed before its work was done");
	atomic_fetch_add(&freed, 1);
	free(node);
}

static void pool_work(void *arg)
{
	usleep((unsigned int)(uintptr_t)arg);
}

static void spawn_children(struct cs_task *self, struct node *node)
{
	unsigned int n = node->depth ? (unsigned int)rand_r(&node->seed) % CHILDREN : 0;

	for (unsigned int i = 0; i < n; i++) {
		struct node *child = node_new((unsigned int)rand_r(&node->seed), node->depth - 1);

		node->child[node->children++] = cs_spawn(cs_sched_of(self), &node_type, child);
		if (rand_r(&node->seed) % 16 == 0)
			cs_cancel(node->child[node->children - 1]);
	}
}

/* False: something has to happen first. */
static bool ready(struct cs_task *self, struct node *node)
{
	if (node->work.run && !cs_work_done(&node->work))
		return false;
	if (cs_now() < node->deadline) {
		cs_sleep_until(self, node->deadline);
		return false;
	}
	while (node->children) {
		if (!cs_join(self, node->child[node->children - 1]))
			return false;
		cs_detach(node->child[--node->children]);
	}
	return true;
}

static void do_something(struct cs_task *self, struct node *node)
{
	static const struct cs_work work = CS_WORK(pool_work, (void *)50);

	switch (rand_r(&node->seed) % 5) {
	case 0: node->deadline = cs_now() + (unsigned int)rand_r(&node->seed) % 200000; break;
	case 1: spawn_children(self, node); break;
	case 2:
		node->work = work;
		cs_work_start(self, &node->work);
		return;
	default: break;
	}
	cs_yield(self);
}

static enum cs_poll node_poll(struct cs_task *self, void *state)
{
	struct node *node = state;

	if (atomic_exchange(&node->inside, 1))
		broken("two threads poll one task");
	atomic_fetch_add(&polls, 1);
	atomic_store(&node->seen, atomic_load(&node->signals));
	if (ready(self, node)) {
		if (!node->left--) {
			atomic_fetch_add(&done, 1);
			atomic_store(&node->inside, 0);
			return CS_READY;
		}
		do_something(self, node);
	}
	atomic_store(&node->inside, 0);
	return CS_PENDING;
}

/* A task that never ends by itself and is woken by threads outside: no wake may be lost. */
static enum cs_poll listener(struct cs_task *self, void *state)
{
	struct node *node = state;

	(void)self;
	if (atomic_exchange(&node->inside, 1))
		broken("two threads poll one listener");
	atomic_store(&node->seen, atomic_load(&node->signals));
	atomic_store(&node->inside, 0);
	return CS_PENDING;
}

static const struct cs_type listener_type = CS_TYPE(listener, NULL);

static struct cs_sched *sched;
static struct cs_task *listener_task;
static struct node listener_node;

static void *outsider(void *arg)
{
	unsigned int seed = (unsigned int)(uintptr_t)arg;

	while (!atomic_load(&enough)) {
		uint64_t signal;

		cs_detach(cs_spawn(sched, &node_type, node_new((unsigned int)rand_r(&seed), 2)));
		signal = atomic_fetch_add(&listener_node.signals, 1) + 1;
		cs_wake(listener_task);
		while (atomic_load(&listener_node.seen) < signal)
			usleep(20);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)atoi(argv[1]) : 2;
	unsigned int workers = argc > 2 ? (unsigned int)atoi(argv[2]) : 4;
	pthread_t threads[OUTSIDERS];

	alarm(seconds + 60);
	sched = cs_start(
		&(struct cs_options){.name = "stress", .workers = workers, .pool_threads = 3});
	listener_task = cs_spawn(sched, &listener_type, &listener_node);
	for (uintptr_t i = 0; i < OUTSIDERS; i++)
		if (pthread_create(&threads[i], NULL, outsider, (void *)(i + 1)))
			abort();
	sleep(seconds);
	atomic_store(&enough, true);
	for (int i = 0; i < OUTSIDERS; i++)
		pthread_join(threads[i], NULL);
	cs_detach(listener_task);
	cs_stop(sched);
	if (atomic_load(&made) != atomic_load(&freed))
		broken("a task was not freed, or twice");
	trace_report(stdout, UINT64_MAX);
	printf("stress: %llu tasks, %llu polls, %llu complete, %llu outside wakes\n",
	       (unsigned long long)made, (unsigned long long)polls, (unsigned long long)done,
	       (unsigned long long)listener_node.signals);
	return 0;
}
