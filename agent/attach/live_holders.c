// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who may have a lock that keeps no owner; see live_locks.h. */
#include "attach/live_locks.h"

#include "util/xalloc.h"

#include <string.h>
#include <sys/syscall.h>

#define THREADS_MAX 128
#define THREAD_BYTES 65536 /* of a stack */
#define PIECE_BYTES 1024   /* the end of a stack is not known */
#define BELOW_BYTES 8192   /* of the frames inside a poll that runs */
#define NEAR_BYTES 256	   /* in which a lock may lie within what a thread has the address of */
#define ZEROED_BYTES (16 << 20)
#define TASK_BYTES 4096 /* of one task; in a larger one it is not known what lies */
#define TASKS_MAX 4096
#define TASKS_A_READ 64
#define REG_RDI 5 /* as live_stacks.c has them */

/* Threads that run have no stack that could be read: they are looked at again. */
#define LOOKS 3

struct search {
	struct live *live;
	const struct memory *memory;
	const struct lock_wait *wait;
	const struct ev_stack *stack;
	uint32_t target;
	uint64_t addr;
	/* Of threads: */
	uint32_t threads, running;
	bool on_thread;
	/* Of tasks: */
	uint32_t tasks;
	bool unread; /* not all of them were looked through */
	uint32_t found, site;
	uint64_t task_id;
};

/* The word, or `below` it: what the lock is a part of, from where its address can be computed. */
static bool has_word(const uint64_t *words, size_t count, uint64_t word, uint64_t below)
{
	for (size_t i = 0; i < count; i++)
		if (words[i] <= word && word - words[i] <= below)
			return true;
	return false;
}

/*
 * The address of a static is in the code: whoever has the lock needs no word for it. What follows the
 * data of an object without a file is its zeroed data.
 */
static bool is_static(const struct search *s)
{
	const struct proc *proc = s->live->targets[s->target].watch->proc;
	uint64_t start = 0, end = 0;
	struct proc_map *maps;
	struct err err = {0};
	bool found = false;
	size_t count;

	if (!proc_special_map(proc, "[heap]", &start, &end) && s->addr >= start && s->addr < end)
		return false;
	if (proc_maps(proc, &maps, &count, &err))
		return true;
	for (size_t i = 0; i < count && !found; i++)
		found = s->addr >= maps[i].start &&
			s->addr < maps[i].end + (maps[i].writable ? ZEROED_BYTES : 0);
	proc_maps_free(maps, count);
	return found;
}

/* --- threads ---------------------------------------------------------------------------------- */

static bool stack_has(const struct memory *memory, uint64_t sp, uint64_t word)
{
	uint64_t words[PIECE_BYTES / 8];

	for (uint32_t at = 0; at < THREAD_BYTES; at += PIECE_BYTES) {
		if (memory_read(memory, (sp & ~7ULL) + at, words, sizeof(words)))
			return false;
		if (has_word(words, PIECE_BYTES / 8, word, NEAR_BYTES))
			return true;
	}
	return false;
}

/* Who waits for the same lock has its address, too. */
static bool same_wait(const struct search *s, const struct wire_look *look)
{
	return look->tid == s->stack->tid ||
	       live_lock_waits(s->live, s->target, look->tid, s->addr) ||
	       (look->syscall == SYS_futex && look->regs[REG_RDI] == s->addr);
}

/* Between two polls a worker has no lock of the program's; one that runs a root future may. */
static bool between_polls(const struct search *s, const struct wire_look *look,
			  struct wire_slot *slot)
{
	const struct kernel *k = s->live->kernel;

	return look->slot && kernel_slot(k, look->slot - 1, slot) && slot->tid == look->tid &&
	       !slot->depth && k->roots[look->slot - 1] != slot->generation;
}

/*
 * Of a thread that runs it is known where its poll was entered, and its frames lie below. Others that
 * run: nobody knows where their stack is.
 */
static bool running_has(struct search *s, const struct wire_slot *slot)
{
	if (!slot->depth || slot->polls[0].sp <= BELOW_BYTES) {
		s->running++;
		return false;
	}
	return stack_has(s->memory, slot->polls[0].sp - BELOW_BYTES, s->addr);
}

static void on_thread(void *ctx, const struct wire_look *look)
{
	struct wire_slot slot = {0};
	struct search *s = ctx;

	if (++s->threads > THREADS_MAX || s->on_thread || same_wait(s, look) ||
	    between_polls(s, look, &slot))
		return;
	if (look->flags & WIRE_LOOK_ON_CPU)
		s->on_thread = running_has(s, &slot);
	else
		s->on_thread = has_word((const uint64_t *)look->regs, WIRE_STACK_REGS, s->addr,
					NEAR_BYTES) ||
			       stack_has(s->memory, look->regs[STACK_RSP], s->addr);
}

/* No other thread of the process can have it, as far as their stacks tell. */
static bool no_thread_has(struct search *s)
{
	uint32_t pid = s->live->targets[s->target].watch->proc->pid;

	for (int i = 0; i < LOOKS; i++) {
		s->threads = s->running = 0;
		if (kernel_look(s->live->kernel, pid, 0, on_thread, s) || s->on_thread ||
		    s->threads > THREADS_MAX)
			return false;
		if (!s->running)
			return true;
	}
	return false;
}

/* --- tasks ------------------------------------------------------------------------------------ */

struct batch {
	uint32_t count;
	struct wire_task rows[TASKS_A_READ];
	struct memory_piece pieces[TASKS_A_READ];
	uint64_t words[TASKS_A_READ][TASK_BYTES / 8];
};

static void judge_task(struct search *s, const struct wire_task *row, const uint64_t *words,
		       size_t len)
{
	const struct runtime_found *found = live_found(s->live, row->site);
	const struct runtime_site *site = s->live->sites[row->site].found;
	struct runtime_state state = {0};

	if (!found || !runtime_header_is(found, site, words, KEY_HEADER(row->key), row->id))
		return;
	found->ops->state(words[site->state_word & 7], &state);
	/* One that runs is on a thread's stack, or is the one that waits. */
	if (state.running || state.complete)
		return;
	if (!has_word(words + WIRE_HEADER_READ, len / 8 - WIRE_HEADER_READ, s->addr, 0)) {
		s->unread |= site->size > TASK_BYTES;
		return;
	}
	if (s->found && s->site != row->site)
		s->unread = true; /* of two types: neither */
	s->task_id = s->found ? 0 : live_task_id(s->live, row->site, row->id);
	s->site = row->site;
	s->found++;
}

static void read_tasks(struct search *s, struct batch *b)
{
	uint32_t count = b->count;

	b->count = 0;
	if (!count || memory_readv(s->memory, b->pieces, count) < 0) {
		s->unread |= count;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!b->pieces[i].error)
			judge_task(s, &b->rows[i], b->words[i], b->pieces[i].len);
}

static void look_at_tasks(struct search *s)
{
	uint32_t rows = kernel_task_rows(s->live->kernel);
	struct batch *b = xcalloc(1, sizeof(*b));
	struct wire_task row;

	for (uint32_t at = 0; at < rows; at++) {
		const struct runtime_site *site;
		size_t len;

		if (!kernel_task(s->live->kernel, at, &row) || KEY_TARGET(row.key) != s->target ||
		    row.site >= s->live->sites_count)
			continue;
		site = s->live->sites[row.site].found;
		if (!site || site->kind != SITE_TASK || live_is_usdt(s->live, row.site))
			continue;
		if (++s->tasks > TASKS_MAX) {
			s->unread = true;
			break;
		}
		len = site->size < TASK_BYTES ? site->size : TASK_BYTES;
		len -= len % 8;
		if (len < (WIRE_HEADER_READ + 1) * 8)
			continue;
		b->rows[b->count] = row;
		b->pieces[b->count] = (struct memory_piece){
			.addr = KEY_HEADER(row.key), .buf = b->words[b->count], .len = len};
		if (++b->count == TASKS_A_READ)
			read_tasks(s, b);
	}
	read_tasks(s, b);
	free(b);
}

/* --- both ------------------------------------------------------------------------------------- */

/* A task type that is not probed all the time has tasks, and polls, that nobody knows of. */
static bool all_seen(const struct search *s)
{
	struct wire_totals totals;

	kernel_totals(s->live->kernel, &totals);
	for (uint32_t i = 0; i < s->live->sites_count; i++) {
		const struct live_site *site = &s->live->sites[i];

		if (site->target == s->target &&
		    (site->off || site->untold || site->rows_ns || site->sample))
			return false;
	}
	return !totals.tasks_lost && !live_budget_samples(s->live, s->target);
}

static void keep_look(void *ctx, const struct wire_look *look)
{
	*(struct wire_look *)ctx = *look;
}

/* A lock that was let go meanwhile has told nothing. */
static bool waits_still(const struct search *s)
{
	struct wire_look now = {0};

	return !kernel_look(s->live->kernel, 0, s->stack->tid, keep_look, &now) &&
	       now.tid == s->stack->tid && now.flags & WIRE_LOOK_ASLEEP &&
	       now.syscall == SYS_futex && now.regs[REG_RDI] == s->wait->futex &&
	       live_lock_is_held(s->memory, s->stack->lock_kind, s->addr);
}

void live_lock_holder(struct live *live, uint32_t target, const struct lock_wait *wait,
		      struct ev_stack *stack)
{
	struct search s = {
		.live = live,
		.memory = &live->targets[target].watch->memory,
		.wait = wait,
		.stack = stack,
		.target = target,
		.addr = stack->lock_addr,
	};

	if (!all_seen(&s))
		return;
	look_at_tasks(&s);
	if (s.unread || is_static(&s) || !no_thread_has(&s) || !waits_still(&s))
		return;
	if (s.found) {
		stack->lock_found = LOCK_IN_TASK;
		stack->lock_site = s.site;
		stack->lock_task = s.task_id;
	} else {
		stack->lock_found = LOCK_NOWHERE;
	}
}
