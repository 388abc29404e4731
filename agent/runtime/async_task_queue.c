// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The queues of an async-executor, from outside: the shared one and one a running executor thread.
 *
 * The scheduling closure holds an Arc of the executor's State, whose first field is the shared queue:
 * a concurrent_queue (2.2 and newer) aligned to 128 bytes. After it comes, somewhere, a Vec of Arcs
 * of bounded queues, which is found by what it must be. Nothing is believed that does not fit:
 * Rust promises no layout.
 */
#include "runtime/async_task.h"
#include "runtime/async_task_impl.h"
#include "runtime/channel.h"

#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define LINE 128 /* what the queues are aligned to */
#define WORD(offset) ((offset) / sizeof(uint64_t))

/* From the Arc: two counters, then what it holds, aligned. */
#define AT_TAG LINE
#define AT_HEAD (2 * LINE)
#define AT_TAIL (3 * LINE)
#define AT_BOUNDS (4 * LINE) /* of a bounded queue: its buffer, two words, lap and mark */
#define QUEUE_BYTES (AT_BOUNDS + 32)
#define QUEUE_WORDS WORD(QUEUE_BYTES)
#define STATE_REST (5 * LINE) /* behind the shared queue */
#define STATE_BYTES (STATE_REST + 256)
#define STATE_WORDS WORD(STATE_BYTES)

enum tag { TAG_SINGLE, TAG_BOUNDED, TAG_UNBOUNDED };

#define MAX_LOCAL 256
#define MAX_DEPTH (1ULL << 32)

/* Of concurrent_queue's unbounded queue: indices count in steps, a block has one index to spare. */
#define STEP_SHIFT 1
#define BLOCK 32

_Static_assert(ASYNC_QUEUE_WORDS == WORD(STATE_REST), "what follows a queue");

struct queues {
	const struct memory *memory;
	uint64_t handle;
	size_t vec;	  /* word of the Vec in the state, */
	size_t vec_first; /* and which of its first two words is the pointer */
	struct async_task_pool pool;
	struct runtime_depths depths;
	struct runtime_depth local[MAX_LOCAL];
};

static const char moved[] = "the queues changed while they were read";
static const char not_read[] = "live tasks are not read of async-executor";

/* Messages up to an index, whose lowest bit is a flag; a block has one index to spare. */
static uint64_t messages(uint64_t index)
{
	/* The one to spare, the last, stands for the next block, which nobody has yet. */
	return (index >> STEP_SHIFT) / BLOCK * (BLOCK - 1) + (index >> STEP_SHIFT) % BLOCK;
}

static bool unbounded_depth(const uint64_t *words, uint64_t *depth)
{
	uint64_t head = messages(words[WORD(AT_HEAD)]), tail = messages(words[WORD(AT_TAIL)]);

	*depth = tail - head;
	return tail >= head && *depth < MAX_DEPTH;
}

static bool is_shared_queue(const uint64_t *words)
{
	uint64_t head = words[WORD(AT_HEAD + 8)], tail = words[WORD(AT_TAIL + 8)];
	uint64_t depth;

	return channel_arc(words) && (uint8_t)words[WORD(AT_TAG)] == TAG_UNBOUNDED &&
	       (!tail || async_task_pointer(tail)) && (!head || async_task_pointer(head)) &&
	       (tail || !words[WORD(AT_TAIL)]) && unbounded_depth(words, &depth);
}

/* The buffer's pointer and length, mark, which is a power of two above it, and twice that: lap. */
static bool bounds(const uint64_t *words, uint64_t *capacity, uint64_t *mark)
{
	const uint64_t *w = &words[WORD(AT_BOUNDS)];
	uint64_t lap = 0;
	size_t pointers = 0;

	for (size_t i = 0; i < 4; i++) {
		bool pointer = w[i] >= 1 << 16;

		pointers += pointer && async_task_pointer(w[i]);
		if (!pointer && w[i] > lap)
			lap = w[i];
	}
	*mark = lap / 2;
	*capacity = 0;
	for (size_t i = 0; i < 4; i++)
		if (w[i] < *mark)
			*capacity = w[i];
	return pointers == 1 && *mark && !(*mark & (*mark - 1)) && *mark * 2 == lap && *capacity &&
	       *capacity >= *mark / 2 &&
	       (w[0] == *mark || w[1] == *mark || w[2] == *mark || w[3] == *mark);
}

bool async_queue_unbounded(const uint64_t *words, uint64_t *received, uint64_t *sent)
{
	*received = messages(words[WORD(AT_HEAD)]);
	*sent = messages(words[WORD(AT_TAIL)]);
	return is_shared_queue(words);
}

static bool local_depth(const uint64_t *words, uint64_t *depth)
{
	uint64_t capacity, mark, head, tail;

	if (!channel_arc(words) || (uint8_t)words[WORD(AT_TAG)] != TAG_BOUNDED ||
	    !bounds(words, &capacity, &mark))
		return false;
	head = words[WORD(AT_HEAD)] & (mark - 1);
	tail = words[WORD(AT_TAIL)] & (mark - 1);
	if (head >= capacity || tail >= capacity)
		return false;
	if (head < tail)
		*depth = tail - head;
	else if (head > tail)
		*depth = capacity - head + tail;
	else
		*depth = (words[WORD(AT_TAIL)] & ~mark) == words[WORD(AT_HEAD)] ? 0 : capacity;
	return true;
}

static bool local_read(const struct memory *memory, uint64_t queue, uint64_t *depth)
{
	uint64_t words[QUEUE_WORDS];

	return async_task_pointer(queue) && !memory_read(memory, queue, words, sizeof(words)) &&
	       local_depth(words, depth);
}

/* Reads the queues behind a Vec at `w`; -1: it is none. */
static int locals_read(const struct memory *memory, const uint64_t *w, size_t first,
		       uint64_t *depths)
{
	uint64_t pointer = w[first], capacity = w[1 - first], count = w[2];
	uint64_t arcs[MAX_LOCAL];

	if (count > capacity || capacity > MAX_LOCAL * 16 || count > MAX_LOCAL ||
	    (count && !async_task_pointer(pointer)))
		return -1;
	if (count && memory_read(memory, pointer, arcs, count * sizeof(arcs[0])))
		return -1;
	for (size_t i = 0; i < count; i++)
		if (!local_read(memory, arcs[i], &depths[i]))
			return -1;
	return count;
}

/* A Vec of at least one such queue: there is one for each thread that runs the executor. */
static bool find_locals(struct queues *q, const uint64_t *state)
{
	uint64_t depths[MAX_LOCAL];

	for (size_t at = WORD(STATE_REST); at + 3 <= STATE_WORDS; at++)
		for (size_t first = 0; first < 2; first++)
			if (locals_read(q->memory, &state[at], first, depths) > 0) {
				q->vec = at;
				q->vec_first = first;
				return true;
			}
	return false;
}

static void sum_up(struct queues *q, uint64_t shared, const uint64_t *depths, uint32_t count)
{
	struct runtime_depths *d = &q->depths;

	memset(d, 0, sizeof(*d));
	d->flavour = FLAVOR_MULTI_THREAD;
	d->workers = count;
	d->local = q->local;
	d->inject = (struct runtime_depth){.value = shared, .known = true};
	d->tasks.why = not_read;
	for (uint32_t i = 0; i < count; i++)
		q->local[i] = (struct runtime_depth){.value = depths[i], .known = true};
}

static int queues_sample(void *queues, const struct runtime_depths **out, struct err *err)
{
	uint64_t state[STATE_WORDS], depths[MAX_LOCAL], shared;
	struct queues *q = queues;
	int count;

	if (memory_read(q->memory, q->handle, state, sizeof(state)))
		return err_set(err, -EFAULT, "the executor's memory cannot be read");
	if (!is_shared_queue(state) || !unbounded_depth(state, &shared))
		return err_set(err, -ESTALE, "%s", moved);
	count = locals_read(q->memory, &state[q->vec], q->vec_first, depths);
	if (count < 0)
		return err_set(err, -ESTALE, "%s", moved);
	sum_up(q, shared, depths, count);
	async_task_pool_sample(&q->pool, &q->depths);
	*out = &q->depths;
	return 0;
}

static int queues_open(const struct runtime_query *query, void **queues, struct err *err)
{
	uint64_t state[STATE_WORDS];
	struct queues *q;

	if (query->handle == WIRE_SCHED_UNKNOWN)
		return err_set(err, -ENOENT, "its tasks do not say where its queues are");
	q = xcalloc(1, sizeof(*q));
	q->memory = query->memory;
	q->handle = query->handle;
	if (!async_task_pointer(query->handle) ||
	    memory_read(query->memory, query->handle, state, sizeof(state)) ||
	    !is_shared_queue(state) || !find_locals(q, state)) {
		free(q);
		return err_set(err, -ENOENT,
			       "its queues are not laid out like those of async-executor 1.14");
	}
	async_task_pool_open(&q->pool, query);
	*queues = q;
	return 0;
}

static void queues_close(void *queues)
{
	free(queues);
}

const struct runtime_queue_ops async_task_queues = {
	.open = queues_open,
	.sample = queues_sample,
	.close = queues_close,
};
