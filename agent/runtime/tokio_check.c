// SPDX-License-Identifier: LGPL-2.1-or-later
#include "runtime/tokio_check.h"

#include <errno.h>
#include <string.h>

#define ADDRESS_MIN 0x10000ull
#define ADDRESS_MAX (1ull << 47)
#define ID_MAX (1ull << 48)
#define REFS_MAX (1ull << 31)
#define LISTS_READ 16
#define THREADS_MAX (1ull << 31)
#define SLEEPERS_READ 256

/* Task header: state, queue_next, vtable, owner_id; the same in every Tokio from 1.24. */
#define HEADER_VTABLE 16
#define HEADER_OWNER 24
#define HEADER_SIZE 32
#define STATE_REF_SHIFT 6

static int block_get(const struct block *b, int off, void *out, size_t size)
{
	if (off < 0 || (size_t)off + size > b->len)
		return -EINVAL;
	memcpy(out, b->bytes + off, size);
	return 0;
}

int block_u64(const struct block *b, int off, uint64_t *out)
{
	return block_get(b, off, out, sizeof(*out));
}

int block_u32(const struct block *b, int off, uint32_t *out)
{
	return block_get(b, off, out, sizeof(*out));
}

int block_u8(const struct block *b, int off, uint8_t *out)
{
	return block_get(b, off, out, sizeof(*out));
}

int block_read(const struct memory *m, struct block *b, uint64_t addr, size_t len)
{
	int error;

	b->addr = addr;
	b->len = 0;
	if (len > sizeof(b->bytes))
		return -EINVAL;
	error = memory_read(m, addr, b->bytes, len);
	if (!error)
		b->len = len;
	return error;
}

int fit_off(const struct fit *fit, enum tokio_field field)
{
	int off = fit->layout->off[field];

	if (off < 0 || off + fit->shift < 0)
		return -1;
	return off + fit->shift;
}

static bool fit_u64(const struct fit *fit, const struct block *b, enum tokio_field field,
		    uint64_t *out)
{
	return !block_u64(b, fit_off(fit, field), out);
}

static bool fit_flag(const struct fit *fit, const struct block *b, enum tokio_field field)
{
	uint8_t value;

	return !block_u8(b, fit_off(fit, field), &value) && value <= 1;
}

static bool pointer_ok(uint64_t p)
{
	return p >= ADDRESS_MIN && p < ADDRESS_MAX && !(p & 7);
}

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* Whether a task header lies there, and its owner. */
static bool header_owner(const struct memory *m, uint64_t addr, uint64_t *owner)
{
	uint64_t header[HEADER_SIZE / 8];

	if (!pointer_ok(addr) || memory_read(m, addr, header, sizeof(header)))
		return false;
	*owner = header[HEADER_OWNER / 8];
	return header[0] >> STATE_REF_SHIFT && pointer_ok(header[HEADER_VTABLE / 8]);
}

/* A link to a task of this owner, or none at all. */
static bool task_link_ok(const struct memory *m, uint64_t link, uint64_t id, struct fit *fit)
{
	uint64_t owner;

	if (!link)
		return true;
	if (!header_owner(m, link, &owner) || owner != id)
		return false;
	fit->proven = true;
	return true;
}

bool tokio_run_queue_len(const struct tokio_layout *l, const struct block *queue, uint64_t *len)
{
	uint32_t real, steal, tail;
	uint64_t head;

	/* Two 32-bit positions packed; narrower ones exist only without 64-bit atomics. */
	if (l->off[TOKIO_MULTI_HEAD_SIZE] != 8)
		return false;
	if (block_u64(queue, l->off[TOKIO_MULTI_HEAD], &head) ||
	    block_u32(queue, l->off[TOKIO_MULTI_TAIL], &tail))
		return false;
	real = (uint32_t)head;
	steal = (uint32_t)(head >> 32);
	if (tail - real > TOKIO_QUEUE_CAPACITY || tail - steal > TOKIO_QUEUE_CAPACITY ||
	    real - steal > TOKIO_QUEUE_CAPACITY)
		return false;
	*len = tail - real;
	return true;
}

uint32_t tokio_run_queue_taken(const struct tokio_layout *l, const struct block *queue)
{
	uint64_t head = 0;

	block_u64(queue, l->off[TOKIO_MULTI_HEAD], &head);
	return (uint32_t)head;
}

static bool run_queue_ok(const struct memory *m, const struct tokio_layout *l, uint64_t addr)
{
	static const enum tokio_field ends[] = {TOKIO_MULTI_HEAD, TOKIO_MULTI_TAIL,
						TOKIO_MULTI_BUFFER};
	uint64_t strong, weak, buffer, len, slot;
	struct block queue;
	int end = 0;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (l->off[ends[i]] + 8 > end)
			end = l->off[ends[i]] + 8;
	if (!pointer_ok(addr) || block_read(m, &queue, addr, (size_t)end))
		return false;
	if (block_u64(&queue, 0, &strong) || block_u64(&queue, 8, &weak) ||
	    block_u64(&queue, l->off[TOKIO_MULTI_BUFFER], &buffer))
		return false;
	if (!strong || strong > REFS_MAX || !weak || !pointer_ok(buffer))
		return false;
	/* The buffer is there from its first slot to its last. */
	if (memory_read(m, buffer, &slot, 8) ||
	    memory_read(m, buffer + 8 * (TOKIO_QUEUE_CAPACITY - 1), &slot, 8))
		return false;
	return tokio_run_queue_len(l, &queue, &len);
}

static bool remotes_ok(const struct memory *m, const struct fit *fit, uint64_t remotes)
{
	const struct tokio_layout *l = fit->layout;
	int16_t stride = l->off[TOKIO_MULTI_REMOTE_SIZE];
	uint64_t steal;

	if (!pointer_ok(remotes) || stride < 8 || l->off[TOKIO_MULTI_STEAL] < 0)
		return false;
	for (uint32_t i = 0; i < fit->workers; i++) {
		uint64_t at = remotes + (uint64_t)i * (uint64_t)stride;

		if (memory_read(m, at + (uint64_t)l->off[TOKIO_MULTI_STEAL], &steal, 8) ||
		    !run_queue_ok(m, l, steal))
			return false;
	}
	return true;
}

/* The list of parked workers: allocated for exactly as many as there are. */
static bool sleepers_ok(const struct memory *m, const struct fit *fit, const struct block *b)
{
	uint64_t ptr, cap, len, ids[SLEEPERS_READ];

	if (!fit_u64(fit, b, TOKIO_MULTI_SLEEPERS, &ptr) ||
	    !fit_u64(fit, b, TOKIO_MULTI_SLEEPERS_CAP, &cap) ||
	    !fit_u64(fit, b, TOKIO_MULTI_SLEEPERS_LEN, &len))
		return false;
	if (!pointer_ok(ptr) || cap != fit->workers || len > cap)
		return false;
	len = len < SLEEPERS_READ ? len : SLEEPERS_READ;
	if (memory_read(m, ptr, ids, len * 8))
		return false;
	for (uint64_t i = 0; i < len; i++)
		if (ids[i] >= fit->workers)
			return false;
	return true;
}

static bool idle_ok(const struct fit *fit, const struct block *b)
{
	uint64_t state;

	if (!fit_u64(fit, b, TOKIO_MULTI_IDLE, &state))
		return false;
	return state >> 16 <= fit->workers && (state & 0xffff) <= fit->workers;
}

/* Where the fields of OwnedTasks and of the inject queue are named for a root. */
struct owned_fields {
	enum tokio_field id, count, head, closed, lists, lists_len, mask, list_size, list_head;
	enum tokio_field inject_len, inject_head, inject_tail, inject_closed;
};

#define OWNED_FIELDS(ROOT)                                                                         \
	{                                                                                          \
		TOKIO_##ROOT##_OWNED_ID, TOKIO_##ROOT##_OWNED_COUNT, TOKIO_##ROOT##_OWNED_HEAD,    \
			TOKIO_##ROOT##_OWNED_CLOSED, TOKIO_##ROOT##_LISTS,                         \
			TOKIO_##ROOT##_LISTS_LEN, TOKIO_##ROOT##_LISTS_MASK,                       \
			TOKIO_##ROOT##_LIST_SIZE, TOKIO_##ROOT##_LIST_HEAD,                        \
			TOKIO_##ROOT##_INJECT_LEN, TOKIO_##ROOT##_INJECT_HEAD,                     \
			TOKIO_##ROOT##_INJECT_TAIL, TOKIO_##ROOT##_INJECT_CLOSED                   \
	}

static const struct owned_fields owned_fields[] = {
	[TOKIO_ROOT_MULTI] = OWNED_FIELDS(MULTI),
	[TOKIO_ROOT_CURRENT] = OWNED_FIELDS(CURRENT),
};

/* Tokio 1.37 on: as many lists as a power of two, chosen by the task id. */
static bool lists_ok(const struct memory *m, const struct block *b, const struct owned_fields *f,
		     uint64_t id, struct fit *fit)
{
	const int16_t *off = fit->layout->off;
	uint64_t lists, n, mask, count, head;
	bool any = false;

	if (!fit_u64(fit, b, f->lists, &lists) || !fit_u64(fit, b, f->lists_len, &n) ||
	    !fit_u64(fit, b, f->mask, &mask) || !fit_u64(fit, b, f->count, &count))
		return false;
	if (!pointer_ok(lists) || !power_of_two(n) || n > TOKIO_LISTS_MAX || mask != n - 1 ||
	    count > TOKIO_COUNT_MAX || off[f->list_size] < 8 || off[f->list_head] < 0)
		return false;
	for (uint64_t i = 0; i < n && i < LISTS_READ; i++) {
		uint64_t at = lists + i * (uint64_t)off[f->list_size];

		if (memory_read(m, at + (uint64_t)off[f->list_head], &head, 8) ||
		    !task_link_ok(m, head, id, fit))
			return false;
		any = any || head;
	}
	/* All lists seen: then none of them may hold a task that is not counted, or miss one. */
	return n > LISTS_READ ? count || !any : !!count == any;
}

static bool owned_ok(const struct memory *m, const struct tokio_query *query, const struct block *b,
		     struct fit *fit)
{
	const struct owned_fields *f = &owned_fields[fit->root];
	uint64_t id, head, count;

	if (!fit_u64(fit, b, f->id, &id) || !id || id > ID_MAX || !fit_flag(fit, b, f->closed))
		return false;
	if (query->owner_id && id != query->owner_id)
		return false;
	fit->proven = query->owner_id != 0;
	if (fit->layout->off[f->lists] >= 0)
		return lists_ok(m, b, f, id, fit);
	if (!fit_u64(fit, b, f->head, &head) || !task_link_ok(m, head, id, fit))
		return false;
	if (fit->layout->off[f->count] < 0)
		return true;
	return fit_u64(fit, b, f->count, &count) && count <= TOKIO_COUNT_MAX && !!count == !!head;
}

bool tokio_inject_len(const struct fit *fit, const struct block *b, uint64_t *len)
{
	const struct owned_fields *f = &owned_fields[fit->root];
	uint64_t head, tail;

	if (!fit_u64(fit, b, f->inject_len, len) || !fit_u64(fit, b, f->inject_head, &head) ||
	    !fit_u64(fit, b, f->inject_tail, &tail) || !fit_flag(fit, b, f->inject_closed))
		return false;
	if (*len > TOKIO_COUNT_MAX || !!*len != !!head || !!head != !!tail)
		return false;
	return *len != 1 || head == tail;
}

static bool inject_ok(const struct memory *m, const struct block *b, struct fit *fit)
{
	const struct owned_fields *f = &owned_fields[fit->root];
	uint64_t len, id, head, tail;

	if (!tokio_inject_len(fit, b, &len) || !fit_u64(fit, b, f->id, &id) ||
	    !fit_u64(fit, b, f->inject_head, &head) || !fit_u64(fit, b, f->inject_tail, &tail))
		return false;
	return task_link_ok(m, head, id, fit) && task_link_ok(m, tail, id, fit);
}

/*
 * std before 1.67 keeps head and tail in a ring of a power of two; after, a start and a length.
 * Since 1.77 a capacity with the top bit stands for None.
 */
bool tokio_deque_len(const struct fit *fit, const struct block *b, enum tokio_field first,
		     uint64_t *len)
{
	uint64_t head, tail, cap, ptr;
	bool ring = fit->layout->off[first + 2] >= 0;

	if (!fit_u64(fit, b, first + 1, &head) || !fit_u64(fit, b, first + 3, &cap) ||
	    !fit_u64(fit, b, first + 4, &ptr))
		return false;
	if (cap > TOKIO_COUNT_MAX || (cap ? !pointer_ok(ptr) : !ptr))
		return false;
	if (!ring)
		return fit_u64(fit, b, first, len) && *len <= cap && (cap ? head < cap : !head);
	if (!fit_u64(fit, b, first + 2, &tail) || !power_of_two(cap) || head >= cap || tail >= cap)
		return false;
	*len = (head - tail) & (cap - 1);
	return true;
}

static bool multi_ok(const struct memory *m, const struct tokio_query *query, const struct block *b,
		     struct fit *fit)
{
	uint64_t workers, remotes, known, metrics;

	if (!fit_u64(fit, b, TOKIO_MULTI_REMOTES_LEN, &workers) || !workers ||
	    workers > TOKIO_WORKERS_MAX)
		return false;
	if (!fit_u64(fit, b, TOKIO_MULTI_WORKERS, &known) || known != workers ||
	    !fit_u64(fit, b, TOKIO_MULTI_METRICS_LEN, &metrics) || metrics != workers ||
	    !fit_u64(fit, b, TOKIO_MULTI_REMOTES, &remotes))
		return false;
	fit->workers = (uint32_t)workers;
	return idle_ok(fit, b) && owned_ok(m, query, b, fit) && sleepers_ok(m, fit, b) &&
	       inject_ok(m, b, fit) && remotes_ok(m, fit, remotes);
}

static bool current_ok(const struct memory *m, const struct tokio_query *query,
		       const struct block *b, struct fit *fit)
{
	uint32_t interval;
	uint64_t len;

	fit->workers = 1;
	if (!fit_flag(fit, b, TOKIO_CURRENT_WOKEN) || !owned_ok(m, query, b, fit))
		return false;
	if (block_u32(b, fit_off(fit, TOKIO_CURRENT_INTERVAL), &interval) || !interval)
		return false;
	if (fit->layout->off[TOKIO_CURRENT_INJECT_LEN] >= 0)
		return inject_ok(m, b, fit);
	return tokio_deque_len(fit, b, TOKIO_CURRENT_DEQUE_LEN, &len);
}

/* Small and mostly zero when idle: only an owner id seen in a task makes it certain. */
static bool local_ok(const struct memory *m, const struct tokio_query *query, const struct block *b,
		     struct fit *fit)
{
	uint64_t owner, id, head, tail, len;

	fit->workers = 1;
	if (!fit_u64(fit, b, TOKIO_LOCAL_OWNER, &owner) || !owner || owner > ID_MAX ||
	    !fit_u64(fit, b, TOKIO_LOCAL_OWNED_ID, &id) || !id || id > ID_MAX ||
	    !fit_flag(fit, b, TOKIO_LOCAL_OWNED_CLOSED))
		return false;
	if (query->owner_id && id != query->owner_id)
		return false;
	if (!fit_u64(fit, b, TOKIO_LOCAL_OWNED_HEAD, &head) ||
	    !fit_u64(fit, b, TOKIO_LOCAL_OWNED_TAIL, &tail) || !!head != !!tail)
		return false;
	fit->proven = query->owner_id != 0;
	return task_link_ok(m, head, id, fit) && task_link_ok(m, tail, id, fit) && fit->proven &&
	       tokio_deque_len(fit, b, TOKIO_LOCAL_RUN_LEN, &len) &&
	       tokio_deque_len(fit, b, TOKIO_LOCAL_REMOTE_LEN, &len);
}

bool tokio_fit_scheduler(const struct memory *m, const struct tokio_query *query,
			 const struct block *b, struct fit *fit)
{
	static bool (*const checks[TOKIO_ROOTS])(const struct memory *, const struct tokio_query *,
						 const struct block *, struct fit *) = {
		[TOKIO_ROOT_MULTI] = multi_ok,
		[TOKIO_ROOT_CURRENT] = current_ok,
		[TOKIO_ROOT_LOCAL] = local_ok,
	};

	fit->proven = false;
	return checks[fit->root](m, query, b, fit);
}

/*
 * The rows with and without parking_lot have the counters eight bytes apart, so that one's threads
 * are the other's idle threads. Until 1.52 the pool also keeps a join handle for each thread and
 * its jobs in one queue, which both rows place alike: those must be as many. From 1.53 it notes
 * how many workers it counts among its threads, which no wrong row gets right.
 */
static bool pool_agrees(const struct fit *fit, const struct block *pool, uint32_t workers,
			const struct tokio_pool_counts *counts)
{
	const int16_t *off = fit->layout->off;
	uint64_t own, handles, jobs;

	if (off[TOKIO_POOL_WORKERS] >= 0)
		return !block_u64(pool, off[TOKIO_POOL_WORKERS], &own) && own == workers;
	if (block_u64(pool, off[TOKIO_POOL_HANDLES], &handles) || handles != counts->threads)
		return false;
	return off[TOKIO_POOL_JOBS] < 0 ||
	       (!block_u64(pool, off[TOKIO_POOL_JOBS], &jobs) && jobs == counts->queue);
}

bool tokio_pool_counts(const struct fit *fit, const struct block *pool, uint32_t process_threads,
		       struct tokio_pool_counts *out)
{
	const int16_t *off = fit->layout->off;
	uint32_t workers = fit->root == TOKIO_ROOT_MULTI ? fit->workers : 0;
	uint64_t cap;

	if (block_u64(pool, off[TOKIO_POOL_CAP], &cap) ||
	    block_u64(pool, off[TOKIO_POOL_THREADS], &out->threads) ||
	    block_u64(pool, off[TOKIO_POOL_IDLE], &out->idle) ||
	    block_u64(pool, off[TOKIO_POOL_QUEUE], &out->queue))
		return false;
	/* A pool of at least one thread, and one for each worker. */
	if (cap <= workers || cap > THREADS_MAX || out->threads > cap || out->idle > out->threads ||
	    out->queue > TOKIO_COUNT_MAX)
		return false;
	if (process_threads && out->threads > process_threads)
		return false;
	return pool_agrees(fit, pool, workers, out);
}

/* Arc<dyn Fn() -> String>: counters at the first word's target, a vtable at the second's. */
static bool name_function_ok(const struct memory *m, const struct block *pool, int off)
{
	uint64_t data, vtable, refs[2], words[4];

	if (off < 0 || block_u64(pool, off, &data) || block_u64(pool, off + 8, &vtable))
		return false;
	if (!pointer_ok(data) || !pointer_ok(vtable) || memory_read(m, data, refs, sizeof(refs)) ||
	    memory_read(m, vtable, words, sizeof(words)))
		return false;
	/* drop, size, align, then the first method. */
	return refs[0] && refs[0] < REFS_MAX && words[1] < TOKIO_BLOCK_MAX &&
	       power_of_two(words[2]) && words[2] <= TOKIO_BLOCK_MAX && words[3] >= ADDRESS_MIN &&
	       words[3] < ADDRESS_MAX;
}

static bool pool_ok(const struct memory *m, const struct tokio_query *query, const struct fit *fit,
		    uint64_t addr)
{
	const int16_t *off = fit->layout->off;
	struct tokio_pool_counts counts;
	uint64_t strong, weak, seconds;
	struct block pool;
	uint32_t nanos;

	if (!pointer_ok(addr) || off[TOKIO_POOL_SIZE] < 16 ||
	    block_read(m, &pool, addr, (size_t)off[TOKIO_POOL_SIZE]))
		return false;
	if (block_u64(&pool, 0, &strong) || block_u64(&pool, 8, &weak) || !strong ||
	    strong > REFS_MAX || !weak || weak > REFS_MAX)
		return false;
	if (block_u64(&pool, off[TOKIO_POOL_SECS], &seconds) ||
	    block_u32(&pool, off[TOKIO_POOL_NANOS], &nanos) || nanos >= 1000000000)
		return false;
	return tokio_pool_counts(fit, &pool, query->process_threads, &counts) &&
	       name_function_ok(m, &pool, off[TOKIO_POOL_NAME]);
}

bool tokio_fit_pool(const struct memory *m, const struct tokio_query *query, const struct block *b,
		    struct fit *fit)
{
	int listed = fit->layout->off[fit->root == TOKIO_ROOT_MULTI ? TOKIO_MULTI_POOL :
								      TOKIO_CURRENT_POOL];
	uint64_t addr, pool = 0;

	fit->pool = listed;
	if (!fit->shift && !block_u64(b, listed, &addr) && pool_ok(m, query, fit, addr))
		return true;
	/*
	 * The features of the crate set the size of the driver's part, and so move this pointer.
	 * The block may reach past the handle, to where a copy of it lies: the first is its own.
	 */
	fit->pool = -1;
	for (int off = 0; (size_t)off + 8 <= b->len; off += 8) {
		if (block_u64(b, off, &addr) || addr == pool || !pool_ok(m, query, fit, addr))
			continue;
		if (fit->pool >= 0) {
			fit->pool = -1;
			return false;
		}
		fit->pool = off;
		pool = addr;
	}
	return fit->pool >= 0;
}
