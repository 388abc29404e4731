// SPDX-License-Identifier: LGPL-2.1-or-later
/* The signature scan; see vtable.h. */
#include "runtime/vtable.h"

#include "target/insn.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define CHUNK (1u << 20)

struct scan {
	struct object *object;
	const struct vtable_shape *shape;
	struct elf_range code[ELF_MAX_RANGES];
	size_t code_count;
	uint64_t bias; /* subtracted from a pointer to make it link-time */
	struct vtable *found;
	size_t count, cap;
};

static bool is_code(const struct scan *scan, uint64_t vaddr)
{
	for (size_t i = 0; i < scan->code_count; i++)
		if (vaddr >= scan->code[i].start && vaddr < scan->code[i].end)
			return true;
	return false;
}

static void try_at(struct scan *scan, const uint64_t *words, uint64_t vaddr)
{
	struct vtable table = {.addr = vaddr};

	for (size_t i = 0; i < scan->shape->code_words; i++) {
		table.words[i] = words[i] - scan->bias;
		if (!is_code(scan, table.words[i]))
			return;
	}
	for (size_t i = scan->shape->code_words; i < scan->shape->words; i++)
		table.words[i] = words[i];
	if (!scan->shape->accept(table.words))
		return;
	scan->found = xgrow(scan->found, &scan->cap, scan->count + 1, sizeof(*scan->found));
	scan->found[scan->count++] = table;
}

/* Chunks overlap by one table less a word, so that none is cut in two. */
static void scan_range(struct scan *scan, const struct elf_range *range, uint64_t *buf)
{
	size_t table = scan->shape->words * sizeof(uint64_t);
	uint64_t at = (range->start + 7) & ~7ULL, len;

	/* A range at the very end of the address space must not lead back to its beginning. */
	while (at >= range->start && at + table <= range->end && at + table > at &&
	       scan->count < VTABLE_MAX_FOUND) {
		len = range->end - at < CHUNK ? (range->end - at) & ~7ULL : CHUNK;
		if (object_read(scan->object, at, buf, len)) {
			/* An absent page: the loader may have unmapped it, or it is guarded. */
			len = 4096 - (at & 4095);
			if (at + len > range->end)
				len = (range->end - at) & ~7ULL;
			if (len < table || object_read(scan->object, at, buf, len)) {
				at = (at & ~4095ULL) + 4096;
				continue;
			}
		}
		for (uint64_t i = 0; i + table <= len; i += sizeof(uint64_t))
			try_at(scan, buf + i / sizeof(uint64_t), at + i);
		if (at + len + sizeof(uint64_t) > range->end)
			break;
		at += len - table + sizeof(uint64_t);
	}
}

int vtable_scan(struct object *object, const struct vtable_shape *shape, struct vtable **out,
		size_t *count)
{
	struct scan scan = {.object = object, .shape = shape, .bias = object->bias};
	struct elf_range ranges[ELF_MAX_RANGES];
	size_t n = elf_table_ranges(object->elf, ranges, ELF_MAX_RANGES);
	uint64_t *buf = xmalloc(CHUNK), total = 0;

	scan.code_count = elf_code_ranges(object->elf, scan.code, ELF_MAX_RANGES);
	for (size_t i = 0; i < n && total < VTABLE_MAX_BYTES; i++) {
		if (ranges[i].end - ranges[i].start > VTABLE_MAX_BYTES - total)
			ranges[i].end = ranges[i].start + VTABLE_MAX_BYTES - total;
		total += ranges[i].end - ranges[i].start;
		scan_range(&scan, &ranges[i], buf);
	}
	free(buf);
	*out = scan.found;
	*count = scan.count;
	return 0;
}

uint64_t vtable_function(struct object *object, uint64_t word)
{
	const struct elf_range *fixed = &object->elf->relro;
	uint8_t bytes[INSN_MAX_LEN];
	ssize_t have = elf_read_some(object->elf, word, bytes, sizeof(bytes));
	struct insn insn;
	uint64_t target;

	if (have <= 0 || insn_decode(bytes, have, word, &insn) || insn.flow != INSN_JUMP ||
	    !insn.has_rip || insn.rip_addr < fixed->start ||
	    insn.rip_addr + sizeof(target) > fixed->end ||
	    object_read(object, insn.rip_addr, &target, sizeof(target)))
		return word;
	target -= object->bias;
	return elf_is_code(object->elf, target) ? target : word;
}
