/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the copied bytes of a user stack to frames with names and lines.
 *
 * ELF and DWARF of a target are hostile input, so unwinding and naming are done in a child process
 * that has no capabilities, no file system, a seccomp filter and limits of memory and time. It is
 * given file descriptors of the mapped binaries and the bytes, and gives back frames. When it
 * breaks, a new one is started and the binary that broke it is not named again: a corrupt binary
 * costs names, never the agent.
 *
 * All calls come from one thread. stacks_submit() never waits for the child; answers come through
 * stacks_drain() when stacks_fd() is readable.
 */
#ifndef STACK_STACK_H
#define STACK_STACK_H

#include "core/frame.h"
#include "target/debuginfod.h"
#include "target/memory.h"
#include "target/proc.h"
#include "util/err.h"

#include <stddef.h>
#include <stdint.h>

#define STACK_PAGE 4096
#define STACK_PAGES 8	 /* pages copied of one stack: 32 KiB */
#define STACK_PENDING 64 /* requests under way; more are refused with -EAGAIN */
#define STACK_MS 10000	 /* an answer that takes longer means that the child is stuck */

/* Registers of x86-64 by their DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip. */
#define STACK_REGS 17
enum { STACK_RBX = 3, STACK_RBP = 6, STACK_RSP = 7, STACK_RIP = 16 };

struct stack_request {
	uint64_t cookie; /* comes back with the answer */
	uint32_t target; /* whose memory: see stacks_target() */
	uint64_t regs[STACK_REGS];
	uint64_t base;	      /* address of pages[0], aligned to STACK_PAGE */
	uint32_t present;     /* bit i: page i was copied */
	const uint8_t *pages; /* STACK_PAGES * STACK_PAGE bytes */
};

struct stacks_totals {
	uint64_t answered, refused; /* refused: child gone or too many under way */
	uint64_t restarts;	    /* of the child */
	uint64_t work_ns;	    /* the child's CPU time */
};

/* `frames` and their strings are valid until the callback returns. */
typedef void (*stack_fn)(void *ctx, uint64_t cookie, const struct frame *frames, uint32_t count,
			 enum stack_end end);

struct stacks;

/* Starts the child. -errno when it cannot be made (the caller goes on without stacks). */
int stacks_open(stack_fn fn, void *ctx, struct stacks **out, struct err *err);
/* Ends the child; requests under way are dropped. NULL is fine. */
void stacks_close(struct stacks *stacks);
/* Debug files that are not on this machine come from there; borrowed. To be called once. */
int stacks_fetch(struct stacks *stacks, struct debuginfod *from, struct err *err);

/*
 * Names the address space `target` (a small integer of the caller's choice). proc and memory are
 * borrowed until stacks_target_end(). After an exec: end it, and name it again. Mappings are read
 * when a stack is submitted that has an address in none that is known, so objects loaded later are
 * found.
 */
int stacks_target(struct stacks *stacks, uint32_t target, const struct proc *proc,
		  const struct memory *memory, struct err *err);
void stacks_target_end(struct stacks *stacks, uint32_t target);

/* 0; -EAGAIN: too many under way; -ENOENT: no such target; -EPIPE: there is no child any more. */
int stacks_submit(struct stacks *stacks, const struct stack_request *request);

/* Readable when there is an answer; the same descriptor for the life of `stacks`. */
int stacks_fd(const struct stacks *stacks);
/* Calls fn for each answer that is there. Also notices a child that died or is stuck. */
void stacks_drain(struct stacks *stacks);
void stacks_totals(const struct stacks *stacks, struct stacks_totals *out);

#endif
