/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a system call of a thread was about: which file a descriptor is, which address a socket
 * has, which path was asked for, how long a sleep was to last. For a person to read.
 *
 * A descriptor is looked up when this is called: after the call has returned it may be closed or
 * mean another file, and then the text says "now". Arguments behind pointers are read from the
 * copied stack when they lie there, else from the live memory only while the call is under way.
 */
#ifndef TARGET_SYSCALL_DETAIL_H
#define TARGET_SYSCALL_DETAIL_H

#include "target/memory.h"
#include "target/proc.h"

#include <stdbool.h>

#define SYSCALL_DETAIL 192 /* bytes that are enough for any text */

struct syscall_call {
	int nr;
	uint64_t args[6];
	bool live;	      /* the thread is in it now */
	const uint8_t *stack; /* pages copied of its stack, see stack_present; NULL: none */
	uint64_t stack_base;
	uint32_t stack_present; /* bit i: page i */
};

/* Sanitised text in out; "" when there is nothing to say. */
void syscall_detail(const struct proc *proc, const struct memory *memory,
		    const struct syscall_call *call, char *out, size_t size);

#endif
