/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What will be probed, as data: it can be printed (--dry-run) and tested without privilege.
 *
 * A probe is put on an instruction that is proven to be one (the start of a function that a vtable
 * points to, or decoded from there) and that the kernel emulates where the function offers such a
 * one while the task pointer is still in rdi; single-stepped sites cost ten times as much and are
 * used only for want of a better one, and for wakes not at all: nothing depends on them. What is left
 * out has its reason.
 */
#ifndef ATTACH_PLAN_H
#define ATTACH_PLAN_H

#include "bpf/wire.h"
#include "runtime/runtime.h"
#include "target/insn.h"

enum plan_program {
	PLAN_RETURN, /* of a poll (--exact) */
	PLAN_POLL,
	PLAN_DEALLOC,
	PLAN_SCHEDULE,
	/* Of the probe points that a program carries. Detached in this order. */
	PLAN_PROBE_BEGIN,
	PLAN_PROBE_END,
	PLAN_PROBE_OTHER,
	PLAN_PANIC, /* level 2 and above */
	PLAN_SPAWN, /* level 2 and above, in windows: see live_spawn.c */
	PLAN_PROGRAMS
};

enum plan_task {
	PLAN_TASK_RDI = WIRE_TASK_RDI,
	PLAN_TASK_RSI = WIRE_TASK_RSI,
	PLAN_TASK_STACK = WIRE_TASK_STACK,
};

struct plan_probe {
	enum plan_program program;
	/* Index into the found sites: the first of those that share it; PLAN_SPAWN: or RUNTIME_ANY. */
	uint32_t site;
	uint32_t sharing;  /* how many sites share the function (1: it alone) */
	uint64_t function; /* link-time address of the function */
	uint64_t vaddr;	   /* of the probed instruction */
	uint64_t offset;   /* in the file */
	enum insn_class class;
	enum plan_task task_in; /* where the task header's address is at that instruction */
	uint8_t task_offset;	/* on the stack: from the stack pointer */
	const char *refused;	/* NULL: will be attached; else why not */
	const struct runtime_probe *probe; /* a probe point of the program's own; NULL: none */
};

struct plan {
	struct plan_probe *probes;
	size_t count, cap;
};

/* Plans the programs of `level` for what was found in object. */
void plan_make(struct plan *plan, struct object *object, const struct runtime_found *found,
	       unsigned int level);
/*
 * Adds probes of the returns of polls, for tasks of which no panic leaves the poll function: Tokio
 * catches them inside. Through another frame a panic could not be unwound, and the process would end
 * (rustc 1.95, Linux 6.18: "failed to initiate panic, error 5, aborting").
 */
void plan_add_returns(struct plan *plan, const struct runtime_found *found);
void plan_clear(struct plan *plan);

const char *plan_program_name(enum plan_program program);

#endif
