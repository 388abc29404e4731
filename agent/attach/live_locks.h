/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the live source: which lock a thread waits for, and who has it.
 *
 * A mutex of libc's holds the id of the thread that has it. std's and parking_lot's hold no owner: of
 * these it is only told on which other waiting thread's stack the lock's address lies, as it does
 * where a guard is. That is no proof: a thread that is only going to take the lock has it, too.
 *
 * Where there is no such thread, the tasks that wait are looked through (level 2): a guard that is
 * kept over an .await lies in its task. It is told of a task type when tasks of no other have the
 * address, and no thread of the process has it on its stack; "nowhere" when none has it at all but the
 * one that waits. A reference to the lock looks like a guard, so this is no proof either.
 */
#ifndef ATTACH_LIVE_LOCKS_H
#define ATTACH_LIVE_LOCKS_H

#include "attach/live_priv.h"

/* A thread off the CPU: where its stack begins and, in the system call futex, the word's address. */
struct lock_wait {
	uint64_t futex; /* 0: it is in another call */
	uint64_t sp;
};

struct lock_wait live_lock_wait(const __u64 regs[WIRE_STACK_REGS], int32_t syscall);
/* Fills in the lock_ members of the stack of a block that is open. */
void live_lock(struct live *live, const struct emit *emit, uint32_t target,
	       const struct lock_wait *wait, struct ev_stack *stack);
void live_locks_free(struct live *live);
/* The thread was told to wait for that lock. */
bool live_lock_waits(const struct live *live, uint32_t target, uint32_t tid, uint64_t addr);
/* Somebody has it, and somebody waits for it. */
bool live_lock_is_held(const struct memory *memory, enum lock_kind kind, uint64_t addr);

/* live_holders.c: fills in lock_found, lock_site and lock_task; one search reads much memory. */
void live_lock_holder(struct live *live, uint32_t target, const struct lock_wait *wait,
		      struct ev_stack *stack);

#endif
