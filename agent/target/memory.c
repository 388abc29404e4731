// SPDX-License-Identifier: LGPL-2.1-or-later
#include "target/memory.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/* The pid travels in the self pointer: the reader has no other state to own. */
static pid_t pid_of(void *self)
{
	return (pid_t)(intptr_t)self;
}

static int process_read(void *self, uint64_t addr, void *buf, size_t len)
{
	struct iovec local = {.iov_base = buf, .iov_len = len};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr, .iov_len = len};
	ssize_t got;

	if (!len)
		return 0;
	if (addr + len < addr)
		return -EFAULT;
	got = process_vm_readv(pid_of(self), &local, 1, &remote, 1, 0);
	if (got < 0)
		return -errno;
	return (size_t)got == len ? 0 : -EFAULT;
}

/*
 * Pieces in the first call behind an absent one: where there is one there are more, and each call copies
 * all its addresses, so that the time would grow with the square of their number.
 */
#define AFTER_ABSENT 8

static void batch_fill(const struct memory_piece *pieces, size_t n, struct iovec *local,
		       struct iovec *remote)
{
	for (size_t i = 0; i < n; i++) {
		local[i].iov_base = pieces[i].buf;
		local[i].iov_len = pieces[i].len;
		remote[i].iov_base = (void *)(uintptr_t)pieces[i].addr;
		remote[i].iov_len = pieces[i].len;
	}
}

/*
 * Mark what got bytes cover; returns how many pieces are done. The kernel stops at the first
 * piece with an absent page and says only how many bytes it copied: that piece is marked and
 * the next call starts behind it.
 */
static size_t batch_mark(struct memory_piece *pieces, size_t n, size_t got)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (pieces[i].len > got) {
			pieces[i].error = -EFAULT;
			return i + 1;
		}
		pieces[i].error = 0;
		got -= pieces[i].len;
	}
	return n;
}

static int process_readv(void *self, struct memory_piece *pieces, size_t n)
{
	struct iovec local[MEMORY_BATCH], remote[MEMORY_BATCH];
	size_t done = 0, most = MEMORY_BATCH, count;
	ssize_t got;

	while (done < n) {
		count = n - done < most ? n - done : most;
		batch_fill(pieces + done, count, local, remote);
		got = process_vm_readv(pid_of(self), local, count, remote, count, 0);
		if (got < 0 && errno != EFAULT)
			return -errno;
		done += batch_mark(pieces + done, count, got < 0 ? 0 : (size_t)got);
		if (done && pieces[done - 1].error)
			most = AFTER_ABSENT;
		else if (most < MEMORY_BATCH)
			most *= 2;
	}
	return 0;
}

int memory_open(struct memory *m, pid_t pid, struct err *err)
{
	uint8_t byte;
	int error;

	if (pid <= 0)
		return err_set(err, -EINVAL, "%d is not a process id", (int)pid);
	/* The first page is never there: existence and rights are checked before that is noticed. */
	error = process_read((void *)(intptr_t)pid, sizeof(byte), &byte, sizeof(byte));
	if (error == -EPERM || error == -ENOSYS)
		return err_set(err, error,
			       "cannot read the memory of process %d: give stalltop "
			       "CAP_SYS_PTRACE, and allow process_vm_readv where a seccomp filter "
			       "is in force",
			       (int)pid);
	if (error && error != -EFAULT)
		return err_set(err, error, "cannot read the memory of process %d: %s", (int)pid,
			       strerror(-error));
	m->read = process_read;
	m->readv = process_readv;
	m->self = (void *)(intptr_t)pid;
	return 0;
}

void memory_close(struct memory *m)
{
	memset(m, 0, sizeof(*m));
}

int memory_read(const struct memory *m, uint64_t addr, void *buf, size_t len)
{
	return m->read ? m->read(m->self, addr, buf, len) : -EBADF;
}

ssize_t memory_readv(const struct memory *m, struct memory_piece *pieces, size_t n)
{
	ssize_t good = 0;
	size_t i;
	int error;

	if (!m->read)
		return -EBADF;
	if (m->readv) {
		error = m->readv(m->self, pieces, n);
		if (error)
			return error;
	}
	for (i = 0; i < n; i++) {
		if (!m->readv)
			pieces[i].error = m->read(m->self, pieces[i].addr, pieces[i].buf,
						  pieces[i].len);
		if (!pieces[i].error)
			good++;
	}
	return good;
}
