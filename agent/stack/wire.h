/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between the agent and the child that unwinds: packets of a SOCK_SEQPACKET socket pair,
 * each a header and its payload. Both run the same binary, so structures travel as they are.
 *
 * The child pulls: the agent sends STACK to an idle child, then only what the child asks for with
 * WANT_SPACE and WANT_MODULE, until ANSWER comes. So there is never more in a direction than one
 * message after a FORGET, no side has to queue, and it is known which request broke a child.
 * The agent takes nothing of what the child says on trust.
 */
#ifndef STACK_WIRE_H
#define STACK_WIRE_H

#include "stack/stack.h"

#define WIRE_SOCKET 3 /* descriptors of the child */
#define WIRE_BOARD 4
#define WIRE_MAX_MAPS 4096   /* executable mappings of one target; more are not known */
#define WIRE_MAX_MODULES 512 /* binaries known at a time */
#define WIRE_MAX_STRINGS (96 * 1024)
#define WIRE_MAX_PACKET (160 * 1024)
#define WIRE_FUNCTION 1024 /* bytes of a name with its NUL; longer ones are cut */
#define WIRE_FILE 512
#define WIRE_NONE UINT32_MAX

enum wire_type {
	WIRE_FORGET = 1, /* agent: count module indexes */
	WIRE_STACK,	 /* agent: a struct wire_stack and the pages that are present */
	WIRE_SPACE,	 /* agent: id target, count struct wire_map, by address */
	WIRE_MODULE,	 /* agent: id module, a struct wire_module, 0 to 2 descriptors */
	WIRE_READY,	 /* child: count is an errno, 0: privileges are gone, send */
	WIRE_WANT_SPACE, /* child: id target; an address is in no mapping that it knows */
	WIRE_WANT_MODULE,
	WIRE_ANSWER, /* child: count frames, a struct wire_answer, frames, strings */
};

struct wire_head {
	uint32_t type;
	uint32_t id;
	uint32_t count;
	uint32_t generation; /* of a target's address space: another one after each exec */
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
	uint64_t offset, start;
	uint32_t function, file; /* where in the strings; WIRE_NONE: none */
	uint32_t line, column;
	uint32_t module; /* WIRE_NONE: in no mapping */
	uint8_t inlined, origin, from, pad;
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
