/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of a process that has to be asked for by messages, read ahead: the first read in a window
 * of up to 128 KiB asks for all of it, and those that follow find it here. What was read is of that
 * one moment, and is kept until ahead_reset(); pages that are not there stay so, and a read that
 * touches one is -EFAULT, as it would be without a window. Owns its windows, eight at most.
 */
#ifndef DETECT_AHEAD_H
#define DETECT_AHEAD_H

#include "target/elf.h"

#include <stddef.h>
#include <stdint.h>

#define AHEAD_PAGE 4096
#define AHEAD_PAGES 32 /* of a window */
#define AHEAD_BYTES (AHEAD_PAGE * AHEAD_PAGES)
#define AHEAD_WINDOWS 8

struct ahead_window {
	uint64_t start, end; /* start == end: unused */
	uint64_t used;	     /* the last time that it was */
	uint32_t present;    /* bit i: page i is there */
	uint8_t bytes[AHEAD_BYTES];
};

struct ahead {
	/* Fills `bytes` and `present` for start and end, whole pages; -errno: nothing can be read. */
	int (*fetch)(void *ctx, struct ahead_window *window);
	void *ctx;
	uint64_t reads;
	struct ahead_window *windows; /* NULL before the first read */
};

/* Forgets what was read. */
void ahead_reset(struct ahead *ahead);
void ahead_free(struct ahead *ahead);

/*
 * All len bytes at addr, or -errno. Nothing outside of `within` is asked for, but what was meant:
 * a page of the target that nobody has touched may have to come from a disk.
 */
int ahead_read(struct ahead *ahead, const struct elf_range *within, uint64_t addr, void *buf,
	       size_t len);

#endif
