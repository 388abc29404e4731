/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of a process, read from outside. `struct memory` is what readers of structures
 * take; a test puts an array of bytes behind it. The one for a live process copies with
 * process_vm_readv(2), so it needs the rights of ptrace, stops nobody, and sees memory that
 * changes under it: a copy of more than eight aligned bytes may be torn.
 * Addresses are the target's, lengths are bytes. A read gives all of it or -errno:
 * -EFAULT (absent), -ESRCH (the process is gone), -EPERM.
 */
#ifndef TARGET_MEMORY_H
#define TARGET_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

#define MEMORY_BATCH 1024 /* IOV_MAX: pieces in one system call */

struct memory_piece;

struct memory {
	int (*read)(void *self, uint64_t addr, void *buf, size_t len);
	/* May be NULL; then memory_readv() falls back to one read for each piece. */
	int (*readv)(void *self, struct memory_piece *pieces, size_t n);
	void *self;
};

/* One piece of a batch: the caller fills addr, buf and len; error is 0 or -errno afterwards. */
struct memory_piece {
	uint64_t addr;
	void *buf;
	size_t len;
	int error;
};

/* The memory of a live process; release with memory_close(). */
int memory_open(struct memory *m, pid_t pid, struct err *err);
void memory_close(struct memory *m);

/* All len bytes at addr, or -errno. */
int memory_read(const struct memory *m, uint64_t addr, void *buf, size_t len);

/*
 * Many pieces with few system calls (MEMORY_BATCH each). An absent piece does not stop the
 * others: it gets its error. Returns how many were read in full, or -errno when the process
 * itself cannot be read (gone, not allowed).
 */
ssize_t memory_readv(const struct memory *m, struct memory_piece *pieces, size_t n);

#endif
