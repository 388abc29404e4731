// SPDX-License-Identifier: LGPL-2.1-or-later
/* Locks that threads wait for; see live_locks.h. */
#include "attach/live_locks.h"

#include "util/xalloc.h"

#include <string.h>
#include <sys/syscall.h>

#define WAITS 64
#define LOCK_FRAMES 8		     /* from the innermost: where the lock's functions are */
#define STACK_WORDS 1024	     /* of a waiting thread that are looked through */
#define WORDS_A_READ 128	     /* the end of a stack is not known */
#define FRESH_NS (5 * 1000000000ULL) /* a block that lasts is told again each second */
#define MUTEX_OWNER 8		     /* in pthread_mutex_t: glibc and musl differ, see below */
#define PARKED 3		     /* a parking_lot mutex that is locked and waited for */
#define CONTENDED 2		     /* a std mutex, likewise */
#define SEARCH_EVERY_NS 100000000ULL /* a search for who has a lock reads much memory */
#define THREAD_DATA 6		     /* words around parking_lot's futex that its thread has */

/* A thread that waits for a lock, as it was told last. */
struct waiting {
	uint32_t target, tid; /* tid 0: free */
	enum lock_kind kind;
	uint64_t addr, sp;
	uint64_t told_ns, begin_ns;
	/* What the search for who has it found last. */
	enum lock_found found;
	uint32_t site;
	uint64_t task;
};

struct live_locks {
	struct waiting list[WAITS];
	uint64_t search_next;
};

struct lock_wait live_lock_wait(const __u64 regs[WIRE_STACK_REGS], int32_t syscall)
{
	/* The first argument is in rdi, as live_stacks.c has it. */
	return (struct lock_wait){
		.futex = syscall == SYS_futex ? regs[5] : 0,
		.sp = regs[STACK_RSP],
	};
}

void live_locks_free(struct live *live)
{
	free(live->locks);
	live->locks = NULL;
}

/* --- what the frames say -------------------------------------------------------------------- */

static enum lock_kind kind_of(const struct ev_stack *stack)
{
	static const struct {
		const char *type, *function;
		enum lock_kind kind;
	} known[] = {
		{"sync::mutex::", "lock_contended", LOCK_STD},
		{"sync::rwlock::", "_contended", LOCK_STD_RW},
		{"parking_lot::raw_mutex::", "lock_slow", LOCK_PARKING},
		{"pthread_mutex_", "lock", LOCK_PTHREAD},
	};

	for (uint32_t i = 0; i < stack->frames_count && i < LOCK_FRAMES; i++) {
		const char *name = stack->frames[i].function;

		if (stack->frames[i].origin == FRAME_USER)
			break;
		for (size_t k = 0; name && k < sizeof(known) / sizeof(known[0]); k++)
			if (strstr(name, known[k].type) && strstr(name, known[k].function))
				return known[k].kind;
	}
	return LOCK_NONE;
}

/* --- what memory says ----------------------------------------------------------------------- */

static const struct memory *memory_of(const struct live *live, uint32_t target)
{
	return &live->targets[target].watch->memory;
}

/* A thread of the process that the mutex names; 0: none, so it is laid out in another way. */
static uint32_t mutex_owner(const struct live *live, uint32_t target, uint64_t futex)
{
	char comm[PROC_COMM];
	uint32_t owner = 0;

	if (memory_read(memory_of(live, target), futex + MUTEX_OWNER, &owner, sizeof(owner)) ||
	    !owner)
		return 0;
	proc_thread_comm(live->targets[target].watch->proc, (pid_t)owner, comm);
	return comm[0] ? owner : 0;
}

/* Whether the word lies on the stack of a thread that does not run, from its stack pointer on. */
static bool on_stack(const struct memory *memory, uint64_t sp, uint64_t word)
{
	uint64_t words[WORDS_A_READ];

	for (uint32_t at = 0; at < STACK_WORDS; at += WORDS_A_READ) {
		if (memory_read(memory, sp + at * sizeof(word), words, sizeof(words)))
			return false;
		for (uint32_t i = 0; i < WORDS_A_READ; i++)
			if (words[i] == word)
				return true;
	}
	return false;
}

/*
 * parking_lot's threads sleep on a word of their own, which lies beside the address of what they
 * wait for. That is a byte that says locked and waited for, and the thread's stack has it, too.
 */
static uint64_t parking_lock(const struct memory *memory, const struct lock_wait *wait)
{
	uint64_t words[2 * THREAD_DATA], begin = (wait->futex & ~7ULL) - sizeof(words) / 2;
	uint64_t found = 0;
	uint8_t state;

	if (memory_read(memory, begin, words, sizeof(words)))
		return 0;
	for (uint32_t i = 0; i < 2 * THREAD_DATA; i++) {
		if (words[i] < WIRE_STACK_PAGE || words[i] == found ||
		    memory_read(memory, words[i], &state, sizeof(state)) || state != PARKED ||
		    !on_stack(memory, wait->sp, words[i]))
			continue;
		if (found)
			return 0;
		found = words[i];
	}
	return found;
}

static uint64_t address_of(const struct live *live, uint32_t target, enum lock_kind kind,
			   const struct lock_wait *wait)
{
	return kind == LOCK_PARKING ? parking_lock(memory_of(live, target), wait) : wait->futex;
}

/* The only one of the other waiting threads on whose stack the address is; 0: none, or several. */
static uint32_t seen_on(const struct live *live, const struct waiting *me)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < WAITS; i++) {
		const struct waiting *w = &live->locks->list[i];

		if (!w->tid || w->target != me->target || w->tid == me->tid ||
		    w->addr == me->addr || me->told_ns - w->told_ns > FRESH_NS ||
		    !on_stack(memory_of(live, me->target), w->sp, me->addr))
			continue;
		if (found)
			return 0;
		found = w->tid;
	}
	return found;
}

bool live_lock_is_held(const struct memory *memory, enum lock_kind kind, uint64_t addr)
{
	uint32_t word = 0;

	if (memory_read(memory, addr & ~3ULL, &word, sizeof(word)))
		return false;
	if (kind == LOCK_PARKING)
		return (word >> 8 * (addr & 3) & 0xff) == PARKED;
	return word == CONTENDED;
}

/* --- the table -------------------------------------------------------------------------------- */

/* The thread's row, else a free one, else the one told longest ago. */
static struct waiting *row_of(struct live_locks *locks, uint32_t target, uint32_t tid)
{
	struct waiting *oldest = &locks->list[0];

	for (uint32_t i = 0; i < WAITS; i++) {
		struct waiting *w = &locks->list[i];

		if (w->tid == tid && w->target == target)
			return w;
		if (w->told_ns < oldest->told_ns)
			oldest = w;
	}
	return oldest;
}

bool live_lock_waits(const struct live *live, uint32_t target, uint32_t tid, uint64_t addr)
{
	for (uint32_t i = 0; i < WAITS; i++) {
		const struct waiting *w = &live->locks->list[i];

		if (w->tid == tid && w->target == target)
			return w->addr == addr;
	}
	return false;
}

/* Of the locks that keep no owner, those that a task may hold while it waits. */
static bool is_sought(enum lock_kind kind)
{
	return kind == LOCK_STD || kind == LOCK_PARKING;
}

/* A wait that lasts keeps what was found, until the next search. */
static void find_holder(struct live *live, const struct emit *emit, struct waiting *row,
			const struct lock_wait *wait, struct ev_stack *stack)
{
	if (live->opts.level < 2 || !is_sought(row->kind) || stack->lock_seen)
		return;
	/* A dump is told once. */
	if (emit->now >= live->locks->search_next || live->opts.fresh_tasks) {
		live->locks->search_next = emit->now + SEARCH_EVERY_NS;
		live_lock_holder(live, row->target, wait, stack);
		row->found = stack->lock_found;
		row->site = stack->lock_site;
		row->task = stack->lock_task;
	}
	stack->lock_found = row->found;
	stack->lock_site = row->site;
	stack->lock_task = row->task;
}

void live_lock(struct live *live, const struct emit *emit, uint32_t target,
	       const struct lock_wait *wait, struct ev_stack *stack)
{
	enum lock_kind kind = wait->futex ? kind_of(stack) : LOCK_NONE;
	struct waiting *row, was;

	if (!live->locks)
		live->locks = xcalloc(1, sizeof(*live->locks));
	row = row_of(live->locks, target, stack->tid);
	if (kind == LOCK_NONE) {
		if (row->tid == stack->tid && row->target == target)
			*row = (struct waiting){0};
		return;
	}
	was = *row;
	*row = (struct waiting){
		.target = target,
		.tid = stack->tid,
		.kind = kind,
		.addr = address_of(live, target, kind, wait),
		.sp = wait->sp,
		.told_ns = emit->now,
		.begin_ns = stack->begin_ns,
	};
	if (was.tid == row->tid && was.target == target && row->begin_ns &&
	    was.begin_ns == row->begin_ns) {
		row->found = was.found;
		row->site = was.site;
		row->task = was.task;
	}
	stack->lock_kind = kind;
	stack->lock_addr = row->addr;
	if (kind == LOCK_PTHREAD)
		stack->lock_owner = mutex_owner(live, target, wait->futex);
	else if (row->addr)
		stack->lock_seen = seen_on(live, row);
	if (row->addr)
		find_holder(live, emit, row, wait, stack);
}
