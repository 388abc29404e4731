// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How many workers the runtimes of a process have, with nothing attached. Threads of the blocking
 * pool have the names of workers, and block_in_place() makes a thread of that pool a worker and the
 * worker none; so threads are not counted. Each thread that a runtime made, or that is in its
 * block_on(), has the runtime's handle in Tokio's thread-local context (tokio/src/runtime/context.rs,
 * RefCell<Option<scheduler::Handle>>: a tag, then an Arc), and behind the handle is the number.
 *
 * Where the context lies is not known beforehand: every word of thread-local memory is tried, and what
 * is a handle decides tokio_queue_open() by the invariants of what lies there. What was found on most
 * threads is the context's place, and the total is told only if each thread has nothing there, or a
 * handle that was understood.
 */
#include "runtime/tokio.h"

#include "target/threadlocal.h"
#include "util/map.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>

#define THREADS_MAX 65536
#define WORDS_MAX 65536 /* different pointers that are looked at */
#define FITS_MAX 256	/* of these that have the counters of an Arc, and are tried as a handle */
#define PLACES_MAX 32
#define TRIES 3

/*
 * CurrentThread and MultiThread; a larger tag is None. Where Tokio is built for one of them only there
 * is no tag, and the word before the pointer is the RefCell's count of borrows.
 */
#define TAG_LAST 1

/* What is known of a pointer. */
enum { NOT_COUNTED, NOT_UNDERSTOOD, A_HANDLE };

struct place {
	uint16_t module;
	int32_t offset;
	uint32_t threads; /* that had a handle there */
};

struct count {
	const struct runtime_found *found;
	const struct object *object;
	uint64_t *threads; /* thread pointers */
	size_t threads_count, threads_cap;
	struct threadlocal local;
	struct map seen; /* pointer -> what it is */
	uint32_t fits;
	struct place places[PLACES_MAX];
	uint32_t places_count;
	int64_t workers;
	bool unclear;
};

static int add_thread(void *ctx, pid_t tid)
{
	struct count *c = ctx;
	uint64_t fs = 0;
	int ret = threadlocal_pointer(c->object->memory, tid, &fs);

	/* libc has not let it begin yet, or it ends: it is in no runtime. */
	if (ret == -ENOENT || ret == -ESRCH)
		return 0;
	if (ret || c->threads_count == THREADS_MAX) {
		c->unclear = true;
		return 1;
	}
	c->threads = xgrow(c->threads, &c->threads_cap, c->threads_count + 1, sizeof(fs));
	c->threads[c->threads_count++] = fs;
	return 0;
}

/* An instance counts once; one that shuts down has no workers, or soon none. */
static bool count_runtime(struct count *c, uint64_t handle)
{
	const struct runtime_query query = {
		.memory = c->object->memory,
		.object = c->object,
		.found = c->found,
		.handle = handle,
		.process_threads = proc_threads(c->object->proc),
	};
	const struct runtime_depths *depths;
	void *queues = NULL;
	bool good;

	if (tokio_queues.open(&query, &queues, NULL))
		return false;
	good = !tokio_queues.sample(queues, &depths, NULL) && depths->flavour != FLAVOR_LOCAL;
	if (good && !depths->closed)
		c->workers += depths->workers;
	tokio_queues.close(queues);
	return good;
}

static uint64_t look_at(struct count *c, uint64_t pointer)
{
	uint64_t what = map_get(&c->seen, pointer, 0), refs[2];

	if (what != MAP_NONE)
		return what;
	what = NOT_COUNTED;
	if (!memory_read(c->object->memory, pointer, refs, sizeof(refs)) && refs[0] && refs[1] &&
	    refs[0] <= INT32_MAX && refs[1] <= INT32_MAX)
		what = c->fits++ < FITS_MAX && count_runtime(c, pointer) ? A_HANDLE :
									   NOT_UNDERSTOOD;
	c->unclear |= c->fits > FITS_MAX || !map_put(&c->seen, pointer, 0, what);
	return what;
}

static void add_place(struct count *c, uint16_t module, int32_t offset)
{
	for (uint32_t i = 0; i < c->places_count; i++)
		if (c->places[i].module == module && c->places[i].offset == offset) {
			c->places[i].threads++;
			return;
		}
	if (c->places_count < PLACES_MAX)
		c->places[c->places_count++] = (struct place){module, offset, 1};
}

/* The pointer at a place, if a tag before it says that there is one. */
static bool pointer_at(const struct count *c, uint16_t module, int32_t offset, uint64_t *pointer)
{
	uint64_t tag;

	return threadlocal_word(&c->local, module, offset, pointer) && *pointer &&
	       *pointer % 8 == 0 && *pointer < 1ULL << 47 &&
	       threadlocal_word(&c->local, module, offset - 8, &tag) && tag <= TAG_LAST;
}

static void search_thread(struct count *c)
{
	for (uint32_t i = 0; i < c->local.count; i++) {
		const struct threadlocal_block *block = &c->local.list[i];

		for (uint32_t w = 0; w < block->words && !c->unclear; w++) {
			int32_t offset = (int32_t)(block->addr + 8ULL * w - block->origin);
			uint64_t pointer;

			if (block->data[w] && pointer_at(c, block->module, offset, &pointer) &&
			    look_at(c, pointer) == A_HANDLE)
				add_place(c, block->module, offset);
		}
	}
}

/* Whether all threads have at the context's place what was understood. */
static bool all_understood(struct count *c)
{
	const struct place *best = &c->places[0];
	uint64_t pointer;

	for (uint32_t i = 1; i < c->places_count; i++)
		if (c->places[i].threads > best->threads)
			best = &c->places[i];
	for (size_t i = 0; i < c->threads_count; i++) {
		threadlocal_read(c->object->memory, &c->local, c->threads[i]);
		if (pointer_at(c, best->module, best->offset, &pointer) &&
		    look_at(c, pointer) != A_HANDLE)
			return false;
	}
	return !c->unclear;
}

static int64_t count_once(struct count *c, struct err *err)
{
	proc_each_thread(c->object->proc, add_thread, c);
	for (size_t i = 0; i < c->threads_count && !c->unclear; i++) {
		threadlocal_read(c->object->memory, &c->local, c->threads[i]);
		search_thread(c);
	}
	if (c->unclear)
		return err_set(err, -E2BIG, "its threads could not all be looked at");
	if (!c->threads_count)
		return err_set(err, -ENOTSUP,
			       "its threads' own memory is not where glibc has it (another C "
			       "library, or the process ends)");
	if (!c->places_count)
		return err_set(err, -ENOENT, "no thread is in a runtime whose layout is known");
	if (!all_understood(c))
		return err_set(err, -EAGAIN, "a thread is in a runtime whose layout is not known");
	return c->workers;
}

int64_t tokio_workers(const struct runtime_found *found, const struct object *object,
		      struct err *err)
{
	int64_t workers = -1;

	/* A runtime that begins or ends meanwhile is not understood for a moment. */
	for (int i = 0; i < TRIES && workers < 0; i++) {
		struct count c = {.found = found, .object = object};

		map_init(&c.seen, WORDS_MAX);
		workers = count_once(&c, err);
		map_free(&c.seen);
		threadlocal_free(&c.local);
		free(c.threads);
	}
	return workers < 0 ? -1 : workers;
}
