// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Telling a task of the crate `blocking` without symbols: its schedule function queues the task and
 * grows the pool, and the code that makes a new thread names it "blocking-N".
 */
#include "runtime/async_task.h"

#include "target/insn.h"
#include "util/xalloc.h"

#include <elf.h>
#include <string.h>

#define MAX_INSNS 800
#define MAX_CODE 4096
#define MAX_CALLS 16
#define MAX_FUNCTIONS 24 /* looked into, in all */
#define MAX_DEPTH 3
#define TEXT 64

static const char thread_name[] = "blocking-";

struct search {
	struct object *object;
	uint64_t seen[MAX_FUNCTIONS];
	size_t count;
	uint64_t *
		data; /* RUNTIME_POOLS: writable data that the code speaks of; NULL: not asked for */
};

/* Of the object's own, not what only the loader writes. */
static bool is_writable(const struct elf_file *elf, uint64_t vaddr)
{
	if (vaddr >= elf->relro.start && vaddr < elf->relro.end)
		return false;
	for (size_t i = 0; i < elf->n_loads; i++)
		if ((elf->loads[i].flags & PF_W) && vaddr >= elf->loads[i].vaddr &&
		    vaddr - elf->loads[i].vaddr < elf->loads[i].memsz)
			return true;
	return false;
}

/* Data itself, or what the global offset table says where another crate's is. */
static void note_data(const struct search *s, uint64_t vaddr)
{
	uint64_t pointer = 0;

	if (!s->data || vaddr & 7 || elf_is_code(s->object->elf, vaddr))
		return;
	if (!is_writable(s->object->elf, vaddr)) {
		if (object_read(s->object, vaddr, &pointer, sizeof(pointer)))
			return;
		vaddr = pointer - s->object->bias;
	}
	if (vaddr & 7 || !is_writable(s->object->elf, vaddr))
		return;
	for (size_t i = 0; i < RUNTIME_POOLS; i++) {
		if (s->data[i] == vaddr)
			return;
		if (!s->data[i]) {
			s->data[i] = vaddr;
			return;
		}
	}
}

static bool text_at(const struct search *s, uint64_t vaddr)
{
	char text[TEXT];
	ssize_t n = elf_read_some(s->object->elf, vaddr, text, sizeof(text));

	/* A literal of a format string: its length or a marker may stand before it. */
	return n > 0 && memmem(text, n < 16 ? (size_t)n : 16, thread_name, sizeof(thread_name) - 1);
}

/* The literal itself, or a table of pieces that begins with a pointer to it. */
static bool names_threads(const struct search *s, uint64_t vaddr)
{
	uint64_t pointer = 0;

	if (elf_is_code(s->object->elf, vaddr))
		return false;
	if (text_at(s, vaddr))
		return true;
	return !object_read(s->object, vaddr, &pointer, sizeof(pointer)) &&
	       pointer > s->object->bias && text_at(s, pointer - s->object->bias);
}

/* The address of data that the instruction speaks of; 0: none. A constant may be any number. */
static uint64_t data_of(const struct search *s, const struct insn *insn)
{
	const struct elf_file *elf = s->object->elf;
	uint64_t taken = insn_takes(insn, elf_is_fixed(elf)), offset;

	if (insn->has_rip)
		return insn->rip_addr;
	return taken && (!elf_vaddr_to_offset(elf, taken, &offset) || is_writable(elf, taken)) ?
		       taken :
		       0;
}

static uint64_t goes_to(const struct search *s, const struct insn *insn)
{
	uint64_t target = 0;

	if (insn->has_target)
		target = insn->target;
	else if (insn->has_rip && !object_read(s->object, insn->rip_addr, &target, sizeof(target)))
		target -= s->object->bias;
	return elf_is_code(s->object->elf, target) ? target : 0;
}

static bool look_into(struct search *s, uint64_t function, unsigned int depth);

/* One instruction; remembers where calls go, and jumps far away. */
static bool look_at(const struct search *s, const struct insn *insn, uint64_t start, uint64_t end,
		    uint64_t *calls, size_t *count)
{
	bool call = insn->flow == INSN_CALL || insn->flow == INSN_JUMP;
	uint64_t target = call ? 0 : data_of(s, insn);

	if (target) {
		note_data(s, target);
		return names_threads(s, target);
	}
	target = call ? goes_to(s, insn) : 0;
	if (insn->flow == INSN_JUMP && insn->has_target && target >= start && target < end)
		target = 0;
	if (target && *count < MAX_CALLS)
		calls[(*count)++] = target;
	return false;
}

static bool known(struct search *s, uint64_t function)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->seen[i] == function)
			return true;
	if (s->count == MAX_FUNCTIONS)
		return true;
	s->seen[s->count++] = function;
	return false;
}

/* Code without symbols has no known end: the last jump that nothing jumps over is taken for it. */
static bool look_into(struct search *s, uint64_t function, unsigned int depth)
{
	uint64_t calls[MAX_CALLS], at = 0, far = 0;
	uint8_t *code;
	size_t count = 0;
	bool found = false;
	ssize_t have;

	if (!depth || known(s, function))
		return false;
	code = xmalloc(MAX_CODE);
	have = elf_read_some(s->object->elf, function, code, MAX_CODE);
	for (int i = 0; i < MAX_INSNS && have > 0 && at < (uint64_t)have && !found; i++) {
		struct insn insn;

		if (insn_decode(code + at, have - at, function + at, &insn))
			break;
		found = look_at(s, &insn, function, function + MAX_CODE, calls, &count);
		if (insn.has_target && insn.flow != INSN_CALL && insn.target > function &&
		    insn.target - function < MAX_CODE && insn.target - function > far)
			far = insn.target - function;
		at += insn.len;
		if ((insn.flow == INSN_RETURN || insn.flow == INSN_JUMP ||
		     insn.flow == INSN_STOP) &&
		    at > far)
			break;
	}
	free(code);
	for (size_t i = 0; i < count && !found; i++)
		found = look_into(s, calls[i], depth - 1);
	return found;
}

bool async_task_is_pool(struct object *object, uint64_t schedule)
{
	struct search search = {.object = object};

	return look_into(&search, schedule, MAX_DEPTH);
}

/* The pool itself is what the first functions on the way there are given, or lock. */
void async_task_pool_places(struct object *object, uint64_t schedule, uint64_t *out)
{
	struct search search = {.object = object, .data = out};

	if (!look_into(&search, schedule, MAX_DEPTH))
		memset(out, 0, RUNTIME_POOLS * sizeof(out[0]));
}
