/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between the agent and the child that unwinds (jail/packet.h).
 *
 * The child pulls: the agent sends STACK to an idle child, then only what the child asks for with
 * WANT_SPACE, WANT_MODULE and WANT_DEBUG, until ANSWER comes. So there is never more in a direction than one
 * message after a FORGET, no side has to queue, and it is known which request broke a child.
 * The agent takes nothing of what the child says on trust.
 */
#ifndef STACK_WIRE_H
#define STACK_WIRE_H

#include "jail/packet.h"
#include "stack/stack.h"

#define STACK_CHILD "stalltop-stack"
#define WIRE_MAX_MAPS 4096   /* executable mappings of one target; more are not known */
#define WIRE_MAX_MODULES 512 /* binaries known at a time */
#define WIRE_MAX_STRINGS (96 * 1024)
#define WIRE_FUNCTION 1024 /* bytes of a name with its NUL; longer ones are cut */
#define WIRE_FILE 512
#define WIRE_NONE UINT32_MAX

enum wire_type {
	WIRE_FORGET = PACKET_READY + 1, /* agent: count module indexes */
	WIRE_STACK,	 /* agent: a struct wire_stack and the pages that are present */
	WIRE_SPACE,	 /* agent: id target, count struct wire_map, by address */
	WIRE_MODULE,	 /* agent: id module, a struct wire_module, its file or none */
	WIRE_DEBUG,	 /* agent: id module, files that can be its separate debug file */
	WIRE_WANT_SPACE, /* child: id target; an address is in no mapping that it knows */
	WIRE_WANT_MODULE,
	/* child: id module, a struct elf_debug_link; count 1: none of those that were given */
	WIRE_WANT_DEBUG,
	WIRE_ANSWER, /* child: count frames, a struct wire_answer, frames, strings */
};

struct wire_map {
	uint64_t start, end, offset;
	uint32_t module;
	uint32_t pad;
};

struct wire_module {
	uint32_t main; /* the main program */
	char name[PATH_MAX];
};

struct wire_stack {
	uint64_t regs[STACK_REGS];
	uint64_t base;
	uint32_t present;
	uint32_t pad;
};

struct wire_frame {
	uint64_t offset, start, sp;
	uint32_t function, file, folder; /* where in the strings; WIRE_NONE: none */
	uint32_t line, column;
	uint32_t module; /* WIRE_NONE: in no mapping */
	uint8_t inlined, origin, from, pad;
	uint32_t pad32;
};

struct wire_answer {
	uint64_t cpu_ns; /* used by the child since its start */
	uint32_t end;	 /* enum stack_end */
	uint32_t strings;
};

/* A page that both map: what the child works on, should it not come back. */
struct wire_board {
	uint32_t module; /* WIRE_NONE: none */
};

#endif
