// SPDX-License-Identifier: LGPL-2.1-or-later
#include "runtime/tokio_queue.h"

#include <errno.h>
#include <string.h>

#include "runtime/tokio_check.h"
#include "util/xalloc.h"

#define SAMPLE_TRIES 4
#define POOL_MISSES 8 /* samples in a row that rule a layout of the pool out */
#define RUN_QUEUE_BYTES 64
#define ANCHORS 6
#define GUARDS (ANCHORS + 1)
/* Pieces of a sample before the run queues: the Arc's strong count, the handle, the pool. */
#define FIXED_PIECES 3

static const char why_count[] = "this Tokio release keeps no count of live tasks";
static const char why_pool[] = "the blocking pool was not recognised in memory";
static const char why_local_tasks[] = "a LocalSet keeps no count of its tasks";
static const char why_local_pool[] = "a LocalSet has no blocking pool of its own";
static const char why_current_run[] =
	"the run queue of a current-thread runtime lies on its thread's stack in this build";
static const char why_taken[] = "only the run queues of a multi-thread runtime count";
static const char why_moving[] = "changed while it was read";
static const char why_ambiguous[] = "two known layouts fit and disagree";
static const char why_absent[] = "its memory could not be read";
static const char why_starting[] = "fewer pool threads than workers: starting or shutting down";
static const char why_deque[] = "changed while it was read, or the queue was closed";

struct guard {
	int off;
	uint64_t value;
};

struct tokio_queue {
	const struct memory *memory;
	struct fit_choice choice;
	struct guard guards[GUARDS]; /* words of the handle that do not change while it lives */
	size_t guard_count;
	uint64_t arc, data; /* the handle's Arc counters, the handle itself */
	size_t size;
	uint64_t pool;	     /* ArcInner of the pool, 0: not known */
	size_t run_len;	     /* bytes of a run queue that hold head and tail */
	uint64_t *run_addrs; /* ArcInner of each worker's run queue */
	/* Copies of one sample. */
	uint64_t strong;
	struct block handle, pool_block, run;
	uint8_t (*run_bytes)[RUN_QUEUE_BYTES];
	struct memory_piece *pieces;
	size_t piece_count;
	bool pool_holds[TOKIO_POOLS];
	unsigned int pool_misses[TOKIO_POOLS];
	struct runtime_depths depths;
};

static const enum tokio_field count_of[TOKIO_ROOTS] = {
	TOKIO_MULTI_OWNED_COUNT,
	TOKIO_CURRENT_OWNED_COUNT,
	TOKIO_FIELD_COUNT,
};

static const enum tokio_field closed_of[TOKIO_ROOTS] = {
	TOKIO_MULTI_OWNED_CLOSED,
	TOKIO_CURRENT_OWNED_CLOSED,
	TOKIO_LOCAL_OWNED_CLOSED,
};

/* The lists of the tasks that it owns: several, or a single one. */
static const struct {
	enum tokio_field lists, len, size, head, single;
} lists_of[TOKIO_ROOTS] = {
	{TOKIO_MULTI_LISTS, TOKIO_MULTI_LISTS_LEN, TOKIO_MULTI_LIST_SIZE, TOKIO_MULTI_LIST_HEAD,
	 TOKIO_MULTI_OWNED_HEAD},
	{TOKIO_CURRENT_LISTS, TOKIO_CURRENT_LISTS_LEN, TOKIO_CURRENT_LIST_SIZE,
	 TOKIO_CURRENT_LIST_HEAD, TOKIO_CURRENT_OWNED_HEAD},
	{TOKIO_FIELD_COUNT, TOKIO_FIELD_COUNT, TOKIO_FIELD_COUNT, TOKIO_FIELD_COUNT,
	 TOKIO_LOCAL_OWNED_HEAD},
};

/* The end of the runtime, or another use of its memory, shows here. */
static const enum tokio_field anchors[TOKIO_ROOTS][ANCHORS] = {
	{TOKIO_MULTI_REMOTES, TOKIO_MULTI_REMOTES_LEN, TOKIO_MULTI_WORKERS,
	 TOKIO_MULTI_SLEEPERS_CAP, TOKIO_MULTI_OWNED_ID, TOKIO_MULTI_METRICS_LEN},
	{TOKIO_CURRENT_OWNED_ID, TOKIO_CURRENT_LISTS, TOKIO_CURRENT_LISTS_LEN,
	 TOKIO_CURRENT_LISTS_MASK, TOKIO_FIELD_COUNT, TOKIO_FIELD_COUNT},
	{TOKIO_LOCAL_OWNER, TOKIO_LOCAL_OWNED_ID, TOKIO_FIELD_COUNT, TOKIO_FIELD_COUNT,
	 TOKIO_FIELD_COUNT, TOKIO_FIELD_COUNT},
};

static const enum runtime_flavor flavour_of[TOKIO_ROOTS] = {
	FLAVOR_MULTI_THREAD,
	FLAVOR_CURRENT_THREAD,
	FLAVOR_LOCAL,
};

const char *tokio_flavour_name(enum runtime_flavor flavour)
{
	static const char *const names[] = {"unknown", "multi_thread", "current_thread", "local"};

	return (size_t)flavour < sizeof(names) / sizeof(names[0]) ? names[flavour] : names[0];
}

enum runtime_flavor tokio_queue_flavour(const struct tokio_queue *q)
{
	return q->depths.flavour;
}

static void add_guard(struct tokio_queue *q, int off)
{
	uint64_t value;

	if (!block_u64(&q->handle, off, &value))
		q->guards[q->guard_count++] = (struct guard){off, value};
}

static int read_run_addrs(struct tokio_queue *q, struct err *err)
{
	const struct fit *fit = &q->choice.fit;
	const int16_t *off = q->choice.layout.off;
	int head = off[TOKIO_MULTI_HEAD] + 8, tail = off[TOKIO_MULTI_TAIL] + 4;
	uint64_t remotes;
	int error;

	q->run_len = (size_t)(head > tail ? head : tail);
	if (q->run_len > RUN_QUEUE_BYTES ||
	    block_u64(&q->handle, fit_off(fit, TOKIO_MULTI_REMOTES), &remotes))
		return err_set(err, -ENOENT, "the workers' run queues have an unknown shape");
	for (uint32_t i = 0; i < fit->workers; i++) {
		uint64_t at = remotes + (uint64_t)i * (uint64_t)off[TOKIO_MULTI_REMOTE_SIZE];

		error = memory_read(q->memory, at + (uint64_t)off[TOKIO_MULTI_STEAL],
				    &q->run_addrs[i], 8);
		if (error)
			return err_set(err, error, "the list of workers is gone");
	}
	return 0;
}

static void add_piece(struct tokio_queue *q, uint64_t addr, void *buf, size_t len)
{
	q->pieces[q->piece_count++] = (struct memory_piece){.addr = addr, .buf = buf, .len = len};
}

static void plan_pieces(struct tokio_queue *q)
{
	size_t pool_len = 0;

	for (size_t i = 0; q->pool && i < q->choice.pool_count; i++) {
		size_t size = (size_t)q->choice.pools[i].off[TOKIO_POOL_SIZE];

		/* The shorter is certain to be there. */
		pool_len = !pool_len || size < pool_len ? size : pool_len;
	}
	add_piece(q, q->arc, &q->strong, sizeof(q->strong));
	add_piece(q, q->data, q->handle.bytes, q->size);
	/* An empty piece when there is no pool keeps the order fixed. */
	add_piece(q, q->pool, q->pool_block.bytes, pool_len);
	q->pool_block.len = pool_len;
	q->run.len = q->run_len;
	for (uint32_t i = 0; q->run_len && i < q->choice.fit.workers; i++)
		add_piece(q, q->run_addrs[i], q->run_bytes[i], q->run_len);
}

/* Buffers for samples, and what a sample compares with; reads the handle once more. */
static int prepare(struct tokio_queue *q, struct err *err)
{
	const struct fit *fit = &q->choice.fit;
	int error;

	q->data = fit_data(q->arc, fit);
	q->size = (size_t)q->choice.layout.off[fit_size_field[fit->root]];
	if (fit->shift > 0)
		q->size += (size_t)fit->shift;
	if (fit->pool >= 0 && (size_t)fit->pool + 8 > q->size)
		q->size = (size_t)fit->pool + 8;
	q->run_addrs = xcalloc(fit->workers, sizeof(*q->run_addrs));
	q->run_bytes = xcalloc(fit->workers, sizeof(*q->run_bytes));
	q->pieces = xcalloc(fit->workers + FIXED_PIECES, sizeof(*q->pieces));
	q->depths.local = xcalloc(fit->workers, sizeof(*q->depths.local));
	q->depths.workers = fit->workers;
	q->depths.flavour = flavour_of[fit->root];
	error = block_read(q->memory, &q->handle, q->data, q->size);
	if (error)
		return err_set(err, error, "the scheduler handle is gone");
	for (size_t i = 0; i < ANCHORS; i++)
		if (anchors[fit->root][i] != TOKIO_FIELD_COUNT)
			add_guard(q, fit_off(fit, anchors[fit->root][i]));
	if (fit->pool >= 0) {
		add_guard(q, fit->pool);
		block_u64(&q->handle, fit->pool, &q->pool);
	}
	error = fit->root == TOKIO_ROOT_MULTI ? read_run_addrs(q, err) : 0;
	if (!error)
		plan_pieces(q);
	return error;
}

int tokio_queue_open(const struct memory *memory, const struct tokio_query *query,
		     struct tokio_queue **out, struct err *err)
{
	struct tokio_queue *q;
	uint64_t refs[2];
	int error;

	if (query->handle & 7)
		return err_set(err, -EINVAL, "the scheduler handle is not aligned");
	error = memory_read(memory, query->handle, refs, sizeof(refs));
	if (error)
		return err_set(err, error, "the scheduler handle cannot be read");
	if (!refs[0] || refs[0] > INT32_MAX || !refs[1] || refs[1] > INT32_MAX)
		return err_set(err, -ENOENT, "the scheduler handle is not a counted reference");
	q = xcalloc(1, sizeof(*q));
	q->memory = memory;
	q->arc = query->handle;
	error = tokio_fit_choose(memory, query, &q->choice, &q->handle, err);
	if (!error)
		error = prepare(q, err);
	if (error)
		tokio_queue_close(q);
	else
		*out = q;
	return error;
}

void tokio_queue_close(struct tokio_queue *q)
{
	if (!q)
		return;
	free(q->run_addrs);
	free(q->run_bytes);
	free(q->pieces);
	free(q->depths.local);
	free(q);
}

/* A value once known in a sample stays: later tries are for the others. */
static void know(struct runtime_depth *d, uint64_t value)
{
	if (!d->known)
		*d = (struct runtime_depth){.value = value, .known = true};
}

static void unknown(struct runtime_depth *d, const char *why)
{
	if (!d->known)
		*d = (struct runtime_depth){.why = why};
}

static void take(struct runtime_depth *d, bool good, uint64_t value, const char *why)
{
	if (good)
		know(d, value);
	else
		unknown(d, why);
}

static void sample_inject(struct tokio_queue *q)
{
	const struct fit *fit = &q->choice.fit;
	uint64_t len = 0;
	bool good;

	if (q->choice.inject_ambiguous) {
		unknown(&q->depths.inject, why_ambiguous);
		return;
	}
	if (fit->root == TOKIO_ROOT_LOCAL)
		good = tokio_deque_len(fit, &q->handle, TOKIO_LOCAL_REMOTE_LEN, &len);
	else if (fit->root == TOKIO_ROOT_CURRENT && fit_off(fit, TOKIO_CURRENT_INJECT_LEN) < 0)
		good = tokio_deque_len(fit, &q->handle, TOKIO_CURRENT_DEQUE_LEN, &len);
	else
		good = tokio_inject_len(fit, &q->handle, &len);
	take(&q->depths.inject, good, len, why_deque);
}

static void sample_tasks(struct tokio_queue *q)
{
	const struct fit *fit = &q->choice.fit;
	enum tokio_field field = count_of[fit->root];
	uint64_t count = 0;

	if (field == TOKIO_FIELD_COUNT)
		unknown(&q->depths.tasks, why_local_tasks);
	else if (q->choice.tasks_ambiguous)
		unknown(&q->depths.tasks, why_ambiguous);
	else if (block_u64(&q->handle, fit_off(fit, field), &count))
		unknown(&q->depths.tasks, why_count);
	else
		take(&q->depths.tasks, count <= TOKIO_COUNT_MAX, count, why_moving);
}

static void sample_runs(struct tokio_queue *q)
{
	uint32_t taken = 0;
	bool all = true;

	for (uint32_t i = 0; i < q->choice.fit.workers; i++) {
		struct runtime_depth *d = &q->depths.local[i];
		uint64_t len = 0;
		bool good;

		if (q->pieces[FIXED_PIECES + i].error) {
			unknown(d, why_absent);
			all = false;
			continue;
		}
		memcpy(q->run.bytes, q->run_bytes[i], q->run_len);
		good = tokio_run_queue_len(&q->choice.layout, &q->run, &len);
		take(d, good, len, why_moving);
		taken += tokio_run_queue_taken(&q->choice.layout, &q->run);
		all &= good;
	}
	take(&q->depths.taken, all, taken, why_moving);
}

static void sample_local(struct tokio_queue *q)
{
	const struct fit *fit = &q->choice.fit;
	struct runtime_depth *d = &q->depths.local[0];
	uint64_t len = 0;

	if (q->choice.local_ambiguous || fit->root != TOKIO_ROOT_MULTI)
		unknown(&q->depths.taken, q->choice.local_ambiguous ? why_ambiguous : why_taken);
	if (q->choice.local_ambiguous) {
		for (uint32_t i = 0; i < fit->workers; i++)
			unknown(&q->depths.local[i], why_ambiguous);
	} else if (fit->root == TOKIO_ROOT_MULTI) {
		sample_runs(q);
	} else if (fit->root == TOKIO_ROOT_LOCAL) {
		bool good = tokio_deque_len(fit, &q->handle, TOKIO_LOCAL_RUN_LEN, &len);

		take(d, good, len, why_deque);
	} else if (block_u64(&q->handle, fit_off(fit, TOKIO_CURRENT_DEPTH), &len)) {
		unknown(d, why_current_run);
	} else {
		take(d, len <= TOKIO_COUNT_MAX, len, why_moving);
	}
}

/*
 * What all layouts of the pool that fitted say. One that stays impossible while another holds was
 * the wrong one; before that is certain, its silence counts as disagreement.
 */
static const char *read_pool(struct tokio_queue *q, struct tokio_pool_counts *counts,
			     bool *idle_agreed)
{
	struct tokio_pool_counts c = {0};
	struct fit fit = q->choice.fit;
	const char *why = NULL;
	bool first = true;

	*idle_agreed = true;
	for (size_t i = 0; i < q->choice.pool_count; i++) {
		fit.layout = &q->choice.pools[i];
		q->pool_holds[i] = tokio_pool_counts(&fit, &q->pool_block, 0, &c);
		if (!q->pool_holds[i]) {
			why = why_moving;
			continue;
		}
		if (first)
			*counts = c;
		first = false;
		if (c.threads != counts->threads || c.queue != counts->queue)
			why = why ? why : why_ambiguous;
		*idle_agreed = *idle_agreed && c.idle == counts->idle;
	}
	return why;
}

/* Once a sample, after its last try: layouts that did not hold in a row of samples go. */
static void settle_pools(struct tokio_queue *q)
{
	size_t kept = 0, held = 0;

	if (!q->pool || q->pieces[2].error)
		return;
	for (size_t i = 0; i < q->choice.pool_count; i++) {
		held += q->pool_holds[i];
		q->pool_misses[i] = q->pool_holds[i] ? 0 : q->pool_misses[i] + 1;
	}
	if (!held)
		return;
	for (size_t i = 0; i < q->choice.pool_count; i++) {
		if (q->pool_misses[i] >= POOL_MISSES)
			continue;
		q->choice.pools[kept] = q->choice.pools[i];
		q->pool_misses[kept++] = q->pool_misses[i];
	}
	q->choice.pool_count = kept;
}

static void sample_pool(struct tokio_queue *q)
{
	const struct fit *fit = &q->choice.fit;
	uint32_t workers = fit->root == TOKIO_ROOT_MULTI ? fit->workers : 0;
	struct tokio_pool_counts counts = {0};
	struct runtime_depths *d = &q->depths;
	bool idle_agreed = false;
	const char *why;

	if (!q->pool)
		why = fit->root == TOKIO_ROOT_LOCAL ? why_local_pool : why_pool;
	else if (q->pieces[2].error)
		why = why_absent;
	else
		why = read_pool(q, &counts, &idle_agreed);
	take(&d->blocking, !why, counts.queue, why);
	take(&d->idle_threads, !why && idle_agreed, counts.idle, why ? why : why_ambiguous);
	/* Tokio starts its workers as jobs of this pool. */
	if (!why && counts.threads < workers)
		unknown(&d->threads, why_starting);
	else
		take(&d->threads, !why, counts.threads - workers, why);
}

static void sample_closed(struct tokio_queue *q)
{
	const struct fit *fit = &q->choice.fit;
	uint8_t closed = 0;

	block_u8(&q->handle, fit_off(fit, closed_of[fit->root]), &closed);
	q->depths.closed = closed != 0;
}

static bool guards_hold(const struct tokio_queue *q)
{
	uint64_t value;

	if (!q->strong || q->strong > INT32_MAX)
		return false;
	for (size_t i = 0; i < q->guard_count; i++)
		if (block_u64(&q->handle, q->guards[i].off, &value) || value != q->guards[i].value)
			return false;
	return true;
}

static void depths_reset(struct runtime_depths *d)
{
	static const struct runtime_depth none = {0};

	d->inject = d->tasks = d->threads = d->idle_threads = d->blocking = d->taken = none;
	memset(d->local, 0, d->workers * sizeof(*d->local));
}

/* Whether another try may help: something changed between the words that were copied. */
static bool depths_moving(const struct runtime_depths *d)
{
	bool moving = d->inject.why == why_deque || d->tasks.why == why_moving ||
		      d->blocking.why == why_moving || d->threads.why == why_moving;

	for (uint32_t i = 0; i < d->workers && !moving; i++)
		moving = d->local[i].why == why_moving || d->local[i].why == why_deque;
	return moving;
}

int tokio_queue_sample(struct tokio_queue *q, const struct runtime_depths **out, struct err *err)
{
	ssize_t got;

	depths_reset(&q->depths);
	for (int i = 0; i < SAMPLE_TRIES; i++) {
		got = memory_readv(q->memory, q->pieces, q->piece_count);
		if (got < 0)
			return err_set(err, (int)got, "the process can no longer be read");
		if (q->pieces[0].error || q->pieces[1].error || !guards_hold(q))
			return err_set(err, -ESTALE, "the runtime is gone");
		sample_closed(q);
		sample_inject(q);
		sample_tasks(q);
		sample_local(q);
		sample_pool(q);
		if (!depths_moving(&q->depths))
			break;
	}
	settle_pools(q);
	*out = &q->depths;
	return 0;
}

static int single_list(const struct tokio_queue *q, uint64_t **heads, size_t *count)
{
	const struct fit *fit = &q->choice.fit;
	uint64_t head;

	if (block_u64(&q->handle, fit_off(fit, lists_of[fit->root].single), &head))
		return -ENOENT;
	*heads = xmalloc(sizeof(head));
	(*heads)[0] = head;
	*count = 1;
	return 0;
}

/* Their number was checked when the layout was chosen, and is guarded since. */
int tokio_queue_lists(const struct tokio_queue *q, uint64_t **heads, size_t *count)
{
	const struct fit *fit = &q->choice.fit;
	const int16_t *off = q->choice.layout.off;
	struct memory_piece *pieces;
	uint64_t lists, n;
	bool bad = false;

	if (lists_of[fit->root].lists == TOKIO_FIELD_COUNT ||
	    block_u64(&q->handle, fit_off(fit, lists_of[fit->root].lists), &lists))
		return single_list(q, heads, count);
	if (block_u64(&q->handle, fit_off(fit, lists_of[fit->root].len), &n) || !n ||
	    n > TOKIO_LISTS_MAX || off[lists_of[fit->root].size] < 8)
		return -ENOENT;
	*heads = xcalloc(n, sizeof(**heads));
	pieces = xcalloc(n, sizeof(*pieces));
	for (uint64_t i = 0; i < n; i++)
		pieces[i] = (struct memory_piece){
			.addr = lists + i * (uint64_t)off[lists_of[fit->root].size] +
				(uint64_t)off[lists_of[fit->root].head],
			.buf = &(*heads)[i],
			.len = sizeof(**heads),
		};
	bad = memory_readv(q->memory, pieces, n) < 0;
	for (uint64_t i = 0; i < n; i++)
		bad |= pieces[i].error != 0;
	free(pieces);
	*count = n;
	if (bad)
		free(*heads);
	return bad ? -ENOENT : 0;
}
