/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between the agent and the process that looks for runtimes (jail/packet.h). The agent
 * gives it one object at a time and then only what it asks for, until DONE comes; so it is known
 * which object broke it, and no side has to queue. The agent takes nothing that comes back on
 * trust: answer.c.
 */
#ifndef DETECT_WIRE_H
#define DETECT_WIRE_H

#include "detect/ahead.h"
#include "jail/packet.h"
#include "runtime/runtime.h"

#define DETECT_CHILD "stalltop-detect"
#define DETECT_TEXT 16384 /* bytes of a name; longer ones are cut */
#define DETECT_OFFSETS 1024
#define DETECT_NONE UINT32_MAX

enum detect_type {
	DETECT_JOB = PACKET_READY +
		     1, /* agent: count ranges; a struct detect_job, ranges, a file */
	/* agent: count is an errno, 0: the bytes; bit i of id: page i is there, else it is zeros */
	DETECT_MEMORY,
	DETECT_DEBUG,	    /* agent: files that can be the separate debug file */
	DETECT_WANT_MEMORY, /* child: a struct detect_piece of whole pages, AHEAD_BYTES at most */
	DETECT_WANT_DEBUG,  /* child: a struct elf_debug_link; count 1: none of those; fetch it */
	DETECT_IMAGE,	    /* child: a struct elf_image and its segments */
	DETECT_FOUND,	    /* child: a struct detect_found and offsets */
	DETECT_SITES,	    /* child: count times a struct detect_site and its texts */
	DETECT_PROBES,	    /* child: count times a struct detect_probe and its texts */
	DETECT_SPAWNS,	    /* child: count times a struct runtime_spawn, after the sites */
	DETECT_MARKS,	    /* child: count times a struct detect_mark and its text, likewise */
	DETECT_DONE,	    /* child: count is an errno; the sentence about it */
};

struct detect_job {
	int32_t pid;
	uint8_t is_exe, unrelocated, effort;
	char name[PATH_MAX];
};

struct detect_piece {
	uint64_t addr, length;
};

struct detect_found {
	uint32_t runtime; /* index in runtimes[] */
	uint32_t sites, probes, spawns, marks, offsets;
	uint32_t types_later, probes_of_others;
	char name[32], version[32];
	uint64_t pools[RUNTIME_POOLS];
};

struct detect_probe {
	struct runtime_probe probe; /* without its strings, likewise */
	uint32_t name, refused;
};

struct detect_mark {
	struct runtime_mark mark; /* without its string, which follows */
	uint32_t text;
};

struct detect_site {
	struct runtime_site site; /* without its strings, which follow */
	uint32_t name, scheduler; /* their lengths; DETECT_NONE: there is none */
};

#endif
