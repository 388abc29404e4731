/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thread-local memory of one thread of another process, under glibc on x86-64: what lies below
 * its thread pointer, and the blocks of objects that were loaded later, which the thread's table of
 * blocks (DTV) leads to. Nothing is stopped; what is read is untrusted and may be of several moments.
 * A place, {module, offset}, is the same variable on all threads of a process: module 0 counts from
 * the thread pointer (so its offsets are negative), another one from the beginning of its block.
 */
#ifndef TARGET_THREADLOCAL_H
#define TARGET_THREADLOCAL_H

#include "target/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define THREADLOCAL_MODULES 64 /* more are not looked at */
#define THREADLOCAL_PAGE 4096

/* A piece of it, of a page at most. */
struct threadlocal_block {
	uint64_t addr, origin; /* origin: what the offset of a place counts from */
	uint16_t module;
	uint32_t words; /* 0: it could not be read */
	uint64_t data[THREADLOCAL_PAGE / 8];
};

/* Zeros before the first use; one can be used for many threads in turn. */
struct threadlocal {
	struct threadlocal_block *list;
	uint32_t count;
};

void threadlocal_free(struct threadlocal *t);

/* Finds where the blocks are of the thread whose thread pointer is `fs`, and reads none of them. */
void threadlocal_find(const struct memory *memory, struct threadlocal *t, uint64_t fs);

/* Reads that of the thread whose thread pointer is `fs`; what cannot be read is left out. */
void threadlocal_read(const struct memory *memory, struct threadlocal *t, uint64_t fs);

/* What the thread has at a place; false: that memory was not read. */
bool threadlocal_word(const struct threadlocal *t, uint16_t module, int32_t offset, uint64_t *word);

/*
 * The thread pointer of a thread, from the place of its list of robust mutexes, which glibc keeps
 * in the thread's descriptor: the kernel tells it of running threads, too. -ENOENT: the thread has
 * no such list (it is about to begin, or to end, or is none of libc's; or libc is musl); -EINVAL:
 * it has one that is not glibc's; -ESRCH; -EPERM.
 */
int threadlocal_pointer(const struct memory *memory, pid_t tid, uint64_t *fs);

#endif
