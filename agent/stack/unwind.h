/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the child: from registers and copied bytes to the addresses of a stack.
 *
 * libdwfl would do it too, but falls back to following frame pointers where unwind information is
 * missing, and does not say so. An invented frame is worse than none, so this takes the rows of
 * .eh_frame and .debug_frame from libdw and nothing else.
 */
#ifndef STACK_UNWIND_H
#define STACK_UNWIND_H

#include "stack/module.h"

struct unwind_place {
	struct module *module; /* NULL: in no mapping, or its file is unknown */
	uint32_t index;	       /* of the module; WIRE_NONE: in no mapping */
	uint64_t offset;       /* in the file; the address itself when in no mapping */
	uint64_t vaddr;
};

struct unwind_frame {
	struct unwind_place place; /* of the instruction, or of the call that it is in */
	uint64_t sp;
};

struct unwind_stack {
	uint64_t regs[STACK_REGS];
	uint64_t base;
	uint32_t present;
	const uint8_t *pages; /* STACK_PAGES of them, the absent ones with any content */
};

/* Where an address is; may ask the agent, so it can take a while. -EPIPE: the agent is gone. */
typedef int (*unwind_find_fn)(void *ctx, uint64_t address, struct unwind_place *place);

/* Writes at most FRAMES_MAX places, innermost first; returns how many, or -EPIPE. */
int unwind_stack(const struct unwind_stack *stack, unwind_find_fn find, void *ctx,
		 struct unwind_frame *out, enum stack_end *end);

#endif
