// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Thread-local memory of real threads, of this process, and how many workers the handles in it stand
 * for: those of a fake runtime, in an array that is read as if it were part of this process.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/tokio.h"
#include "target/threadlocal.h"
#include "tokio_fake.h"

#define NONE 2
#define MULTI_THREAD 1

/* As in Tokio's context: the count of borrows, a tag, the pointer. */
static __thread volatile uint64_t context[3] __attribute__((aligned(32)));

struct world {
	struct fake fake;
	struct memory live; /* of this process */
	struct memory both;
	struct proc *proc;
	struct object object;
	struct runtime_found found;
	pthread_t thread;
	pthread_barrier_t meet;
	pid_t tid;
	uint64_t tag, pointer; /* what the other thread is to have in its context */
	bool end;
};

static int read_both(void *self, uint64_t addr, void *buf, size_t len)
{
	struct world *w = self;

	if (!fake_read(&w->fake, addr, buf, len))
		return 0;
	return memory_read(&w->live, addr, buf, len);
}

/* Each address holds itself, once. */
static int read_mirror(void *self, uint64_t addr, void *buf, size_t len)
{
	(void)self;
	memset(buf, 0, len);
	memcpy(buf, &addr, len < sizeof(addr) ? len : sizeof(addr));
	return 0;
}

static void *other_thread(void *arg)
{
	struct world *w = arg;

	w->tid = (pid_t)syscall(SYS_gettid);
	for (;;) {
		context[1] = w->tag;
		context[2] = w->pointer;
		pthread_barrier_wait(&w->meet);
		pthread_barrier_wait(&w->meet);
		if (w->end)
			return NULL;
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	fake_init(&w->fake);
	assert_int_equal(memory_open(&w->live, getpid(), NULL), 0);
	assert_int_equal(proc_open(getpid(), &w->proc, NULL), 0);
	w->both = (struct memory){.read = read_both, .self = w};
	w->object = (struct object){.proc = w->proc, .memory = &w->both};
	w->found = (struct runtime_found){.ops = &tokio_runtime, .version = "1.47.1"};
	w->tag = NONE;
	assert_int_equal(pthread_barrier_init(&w->meet, NULL, 2), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, other_thread, w), 0);
	pthread_barrier_wait(&w->meet);
	context[1] = NONE;
	context[2] = 0;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	w->end = true;
	pthread_barrier_wait(&w->meet);
	pthread_join(w->thread, NULL);
	pthread_barrier_destroy(&w->meet);
	memory_close(&w->live);
	proc_close(w->proc);
	free(w);
	return 0;
}

static void set_other(struct world *w, uint64_t tag, uint64_t pointer)
{
	w->tag = tag;
	w->pointer = pointer;
	pthread_barrier_wait(&w->meet);
	pthread_barrier_wait(&w->meet);
}

static void finds_the_place_on_each_thread(void **state)
{
	struct world *w = *state;
	const struct memory mirror = {.read = read_mirror};
	struct threadlocal local = {0};
	uint64_t mine = 0, other = 0, word = 0;
	int32_t offset;

	set_other(w, NONE, 0x1234567890);
	assert_int_equal(threadlocal_pointer(&w->live, getpid(), &mine), 0);
	assert_int_equal(mine, (uint64_t)pthread_self());
	assert_int_equal(threadlocal_pointer(&w->live, w->tid, &other), 0);
	assert_int_equal(other, (uint64_t)w->thread);
	context[2] = 0x99887766;
	offset = (int32_t)((uint64_t)(uintptr_t)&context[2] - mine);
	threadlocal_read(&w->live, &local, mine);
	assert_true(threadlocal_word(&local, 0, offset, &word));
	assert_int_equal(word, 0x99887766);
	threadlocal_read(&w->live, &local, other);
	assert_true(threadlocal_word(&local, 0, offset, &word));
	assert_int_equal(word, 0x1234567890);
	assert_false(threadlocal_word(&local, 0, 0, &word));
	assert_false(threadlocal_word(&local, 63, 0, &word));
	/* A descriptor that does not name itself, in memory that is not the thread's. */
	assert_int_equal(threadlocal_pointer(&w->both, w->tid, &other), 0);
	assert_int_equal(threadlocal_pointer(&w->fake.memory, w->tid, &other), -EINVAL);
	assert_int_equal(threadlocal_pointer(&mirror, w->tid, &other), -EINVAL);
	assert_int_equal(threadlocal_pointer(&w->live, 0x7ffffff0, &other), -ESRCH);
	threadlocal_free(&local);
}

static int64_t count(struct world *w, const char *why)
{
	struct err err = {0};
	int64_t workers = tokio_workers(&w->found, &w->object, &err);

	assert_true(workers >= 0 || strstr(err.msg, why));
	return workers;
}

static void counts_workers_behind_handles(void **state)
{
	struct world *w = *state;

	assert_int_equal(count(w, "no thread is in a runtime"), -1);
	set_other(w, MULTI_THREAD, BASE + AT_HANDLE);
	assert_int_equal(count(w, ""), WORKERS);
	/* The same runtime on two threads. */
	context[1] = MULTI_THREAD;
	context[2] = BASE + AT_HANDLE;
	assert_int_equal(count(w, ""), WORKERS);
	/* Left behind where there is none any more; and nothing else tells of one. */
	context[1] = NONE;
	assert_int_equal(count(w, ""), WORKERS);
	set_other(w, NONE, BASE + AT_HANDLE);
	assert_int_equal(count(w, "no thread is in a runtime"), -1);
	/* Shut down. */
	set_other(w, MULTI_THREAD, BASE + AT_HANDLE);
	fake_put(&w->fake, w->fake.data + (uint64_t)w->fake.layout->off[TOKIO_MULTI_OWNED_CLOSED],
		 1, 1);
	assert_int_equal(count(w, ""), 0);
}

/* A number that may be too small is none. */
static void counts_nothing_where_one_is_not_understood(void **state)
{
	struct world *w = *state;

	set_other(w, MULTI_THREAD, BASE + AT_HANDLE);
	context[1] = MULTI_THREAD;
	context[2] = BASE + AT_NAME;
	assert_int_equal(count(w, "whose layout is not known"), -1);
	context[1] = NONE;
	assert_int_equal(count(w, ""), WORKERS);
	/* Of another length than everything else says: no handle. */
	fake_field(&w->fake, w->fake.data, TOKIO_MULTI_REMOTES_LEN, WORKERS - 1);
	assert_int_equal(count(w, "no thread is in a runtime"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_the_place_on_each_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_workers_behind_handles, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_nothing_where_one_is_not_understood, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
