// SPDX-License-Identifier: LGPL-2.1-or-later
/* Thread-local memory; see threadlocal.h. */
#include "target/threadlocal.h"

#include "util/xalloc.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STATIC_MAX 16384  /* below the thread pointer: blocks of what was loaded with the program */
#define STATIC_BYTES 1024 /* where the table does not tell how far they reach */
#define MODULE_BYTES 4096 /* of another object's block */
#define BLOCKS_MAX (STATIC_MAX / THREADLOCAL_PAGE + 1 + 2 * THREADLOCAL_MODULES)
#define NO_BLOCK UINT64_MAX
#define DESCRIPTOR_ALIGN 64
#define DESCRIPTOR_STEPS 32 /* the list is within the first 2 KiB of a thread's descriptor */

void threadlocal_free(struct threadlocal *t)
{
	free(t->list);
	*t = (struct threadlocal){0};
}

static void block_add(struct threadlocal *t, uint64_t addr, uint64_t end, uint64_t origin,
		      uint16_t module)
{
	while (addr < end && t->count < BLOCKS_MAX) {
		uint64_t next = (addr / THREADLOCAL_PAGE + 1) * THREADLOCAL_PAGE;

		if (next > end)
			next = end;
		t->list[t->count].addr = addr;
		t->list[t->count].origin = origin;
		t->list[t->count].module = module;
		t->list[t->count++].words = (next - addr) / 8;
		addr = next;
	}
}

/*
 * glibc: the table of blocks is found 8 bytes above the thread pointer, its length before it. Returns
 * where the lowest of those begins that lie below the thread pointer; what is below it is stack.
 */
static uint64_t modules_add(const struct memory *memory, struct threadlocal *t, uint64_t fs)
{
	uint64_t slots[THREADLOCAL_MODULES][2], table = 0, length = 0, low = fs;

	if (memory_read(memory, fs + 8, &table, sizeof(table)) || table % 8 ||
	    table < THREADLOCAL_PAGE || memory_read(memory, table - 16, &length, sizeof(length)))
		return fs - STATIC_BYTES;
	if (length > THREADLOCAL_MODULES)
		length = THREADLOCAL_MODULES;
	if (memory_read(memory, table + sizeof(slots[0]), slots, length * sizeof(slots[0])))
		length = 0;
	for (uint64_t m = 1; m <= length; m++) {
		uint64_t block = slots[m - 1][0];

		if (!block || block == NO_BLOCK || block % 8)
			continue;
		if (block < fs - STATIC_MAX || block >= fs)
			block_add(t, block, block + MODULE_BYTES, block, m);
		else if (block < low)
			low = block;
	}
	return low < fs ? low : fs - STATIC_BYTES;
}

void threadlocal_find(const struct memory *memory, struct threadlocal *t, uint64_t fs)
{
	if (!t->list)
		t->list = xcalloc(BLOCKS_MAX, sizeof(*t->list));
	t->count = 0;
	block_add(t, modules_add(memory, t, fs), fs, fs, 0);
}

void threadlocal_read(const struct memory *memory, struct threadlocal *t, uint64_t fs)
{
	struct memory_piece *pieces;

	threadlocal_find(memory, t, fs);
	pieces = xcalloc(t->count, sizeof(*pieces));
	for (uint32_t i = 0; i < t->count; i++)
		pieces[i] = (struct memory_piece){.addr = t->list[i].addr,
						  .buf = t->list[i].data,
						  .len = (size_t)t->list[i].words * 8};
	if (memory_readv(memory, pieces, t->count) < 0)
		t->count = 0;
	for (uint32_t i = 0; i < t->count; i++)
		if (pieces[i].error)
			t->list[i].words = 0;
	free(pieces);
}

bool threadlocal_word(const struct threadlocal *t, uint16_t module, int32_t offset, uint64_t *word)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct threadlocal_block *block = &t->list[i];
		uint64_t at = block->origin + (int64_t)offset;

		if (block->module != module || at < block->addr ||
		    at >= block->addr + 8ULL * block->words)
			continue;
		*word = block->data[(at - block->addr) / 8];
		return true;
	}
	return false;
}

int threadlocal_pointer(const struct memory *memory, pid_t tid, uint64_t *fs)
{
	uint64_t words[DESCRIPTOR_STEPS][3], head = 0;
	struct memory_piece pieces[DESCRIPTOR_STEPS];
	size_t length = 0;

	if (syscall(SYS_get_robust_list, tid, &head, &length))
		return -errno;
	if (!head)
		return -ENOENT;
	for (uint64_t i = 0; i < DESCRIPTOR_STEPS; i++)
		pieces[i] = (struct memory_piece){
			.addr = (head / DESCRIPTOR_ALIGN - i) * DESCRIPTOR_ALIGN,
			.buf = words[i],
			.len = sizeof(words[i]),
		};
	if (memory_readv(memory, pieces, DESCRIPTOR_STEPS) < 0)
		return -ESRCH;
	/* A descriptor names itself twice, around the table of blocks. */
	for (size_t i = 0; i < DESCRIPTOR_STEPS; i++)
		if (!pieces[i].error && words[i][0] == pieces[i].addr &&
		    words[i][2] == pieces[i].addr) {
			*fs = pieces[i].addr;
			return 0;
		}
	return -EINVAL;
}
