// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is asked of runtimes in the same way: here how many workers, by the names of real threads. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/runtime.h"

#define THREADS_MAX 8

struct threads {
	pthread_barrier_t named, counted;
	pthread_t list[THREADS_MAX];
};

struct one {
	struct threads *threads;
	const char *name;
};

static void *be_called(void *arg)
{
	struct one *one = arg;

	pthread_setname_np(pthread_self(), one->name);
	pthread_barrier_wait(&one->threads->named);
	pthread_barrier_wait(&one->threads->counted);
	return NULL;
}

static const char *numbered(const struct runtime_found *found)
{
	(void)found;
	return "smol-";
}

static const char *alike(const struct runtime_found *found)
{
	(void)found;
	return "async-std/runti";
}

/* The workers of a runtime that names them so, in a process with these threads. */
static int64_t workers(const char *(*names)(const struct runtime_found *),
		       const char *const called[])
{
	const struct runtime_ops ops = {.worker_names = names};
	const struct runtime_found found = {.ops = &ops};
	struct threads t = {0};
	struct one ones[THREADS_MAX];
	struct object object = {0};
	struct proc *proc;
	struct err err = {0};
	unsigned int count = 0;
	int64_t ret;

	while (called[count])
		count++;
	pthread_barrier_init(&t.named, NULL, count + 1);
	pthread_barrier_init(&t.counted, NULL, count + 1);
	for (unsigned int i = 0; i < count; i++) {
		ones[i] = (struct one){&t, called[i]};
		assert_int_equal(pthread_create(&t.list[i], NULL, be_called, &ones[i]), 0);
	}
	pthread_barrier_wait(&t.named);
	assert_int_equal(proc_open(getpid(), &proc, &err), 0);
	object.proc = proc;
	ret = runtime_found_workers(&found, &object, &err);
	pthread_barrier_wait(&t.counted);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(t.list[i], NULL);
	proc_close(proc);
	pthread_barrier_destroy(&t.named);
	pthread_barrier_destroy(&t.counted);
	return ret;
}

/* The third is new, and still called as the one that made it. */
static void counts_each_number_once(void **state)
{
	const char *const called[] = {"smol-1", "smol-2", "smol-1", NULL};

	(void)state;
	assert_int_equal(workers(numbered, called), 2);
}

static void counts_names_without_numbers(void **state)
{
	const char *const called[] = {"async-std/runti", "async-std/runti", "blocking-1", NULL};

	(void)state;
	assert_int_equal(workers(alike, called), 2);
}

static void knows_not_when_nobody_has_the_name(void **state)
{
	const char *const called[] = {"smol-1x", "blocking-1", NULL};

	(void)state;
	assert_int_equal(workers(numbered, called), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_each_number_once),
		cmocka_unit_test(counts_names_without_numbers),
		cmocka_unit_test(knows_not_when_nobody_has_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
