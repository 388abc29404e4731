// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where tasks of async-task are made: the code that takes the address of a type's vtable, to put it
 * into a new task's header, and nothing else does. It is RawTask::allocate<F, ..>, or what that was
 * inlined into: by its name one of the crates between, made for that type alone, whose entry is
 * probed; else (the program's own function, or one without a name) that very instruction is, for the
 * function may be entered without making a task.
 */
#include "runtime/async_task.h"

#include "runtime/task_name.h"
#include "target/demangle.h"
#include "target/insn.h"
#include "util/map.h"
#include "util/xalloc.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK (1u << 20)
#define LEA_LEN 7

/* An instruction that takes the address of a vtable. */
struct use {
	uint64_t at;
	uint32_t site;
};

struct search {
	struct object *object;
	struct runtime_found *found;
	struct map vtables; /* link-time address -> site */
	struct use *uses;
	size_t count, cap, spawns_cap;
};

/* Crates and functions of theirs that are made for each future, and do nothing but make its task. */
static const char *const maker_crates[] = {
	"async_task::",	     "async_executor::",	"blocking::",
	"async_std::task::", "async_global_executor::", "smol::",
};
static const char *const maker_functions[] = {
	"::allocate", "::spawn_unchecked", "::spawn_inner", "::spawn", "::spawn_local", "::unblock",
};

static void use_add(struct search *s, uint64_t vtable, uint64_t at)
{
	uint64_t site = vtable ? map_get(&s->vtables, vtable, 0) : MAP_NONE;

	if (site == MAP_NONE || s->count >= RUNTIME_MAX_SPAWNS)
		return;
	s->uses = xgrow(s->uses, &s->cap, s->count + 1, sizeof(*s->uses));
	s->uses[s->count++] = (struct use){.at = at, .site = site};
}

/* What lea r64, [rip + disp32] takes. */
static uint64_t taken_by_lea(const uint8_t *bytes, uint64_t at)
{
	int32_t disp;

	if ((bytes[0] & 0xfb) != 0x48 || bytes[1] != 0x8d || (bytes[2] & 0xc7) != 0x05)
		return 0;
	memcpy(&disp, bytes + 3, sizeof(disp));
	return at + LEA_LEN + (uint64_t)(int64_t)disp;
}

/* mov r32, imm32, or mov [..], imm32, each with or without REX. */
static uint64_t taken_by_mov(const uint8_t *bytes, size_t len, uint64_t at)
{
	uint8_t opcode = (bytes[0] & 0xf0) == 0x40 ? bytes[1] : bytes[0];
	struct insn in;

	if (((opcode & 0xf8) != 0xb8 && opcode != 0xc7) || insn_decode(bytes, len, at, &in))
		return 0;
	return insn_takes(&in, true);
}

/* By their bytes: what only looks like one is found out when its function is decoded. */
static void find_uses(struct search *s, const struct elf_range *code, uint8_t *buf)
{
	bool fixed = elf_is_fixed(s->object->elf);

	for (uint64_t at = code->start; at < code->end;) {
		uint64_t left = code->end - at;
		ssize_t have = elf_read_some(s->object->elf, at, buf, left < CHUNK ? left : CHUNK);
		ssize_t starts = (uint64_t)have == left ? have : have - INSN_MAX_LEN + 1;

		if (have < 0 || starts <= 0)
			return;
		memset(buf + have, 0, INSN_MAX_LEN);
		for (ssize_t i = 0; i < starts; i++) {
			use_add(s, taken_by_lea(buf + i, at + (uint64_t)i), at + (uint64_t)i);
			if (fixed)
				use_add(s, taken_by_mov(buf + i, have - i, at + (uint64_t)i),
					at + (uint64_t)i);
		}
		at += (uint64_t)starts;
	}
}

/* Takes "::<..>" off the end, as names in v0 have it. */
static void drop_arguments(char *name)
{
	char *at = name + strlen(name);
	int depth = 0;

	if (at == name || at[-1] != '>')
		return;
	do {
		at--;
		if (*at == '>' && (at == name || at[-1] != '-'))
			depth++;
		else if (*at == '<')
			depth--;
	} while (depth && at > name);
	if (at >= name + 2 && at[-1] == ':' && at[-2] == ':')
		at[-2] = '\0';
}

/* "<async_task::raw::RawTask<F,T,S,M>>::allocate" in v0, without the outer brackets else. */
static bool is_maker(const char *symbol)
{
	char name[DEMANGLE_MAX];
	const char *at = name;
	size_t i = 0, k = 0;

	if (demangle(symbol, name, sizeof(name)))
		return false;
	while (*at == '<')
		at++;
	while (i < sizeof(maker_crates) / sizeof(maker_crates[0]) &&
	       strncmp(at, maker_crates[i], strlen(maker_crates[i])) != 0)
		i++;
	drop_arguments(name);
	while (k < sizeof(maker_functions) / sizeof(maker_functions[0]) &&
	       !task_name_ends(name, maker_functions[k]))
		k++;
	return i < sizeof(maker_crates) / sizeof(maker_crates[0]) &&
	       k < sizeof(maker_functions) / sizeof(maker_functions[0]);
}

static void add(struct search *s, uint64_t address, uint32_t site)
{
	struct runtime_found *found = s->found;

	if (found->spawns_count >= RUNTIME_MAX_SPAWNS)
		return;
	found->spawns = xgrow(found->spawns, &s->spawns_cap, found->spawns_count + 1,
			      sizeof(*found->spawns));
	found->spawns[found->spawns_count++] = (struct runtime_spawn){.function = address,
								      .site = site};
}

/* What a stripped program has kept of its functions is where they begin. */
static uint64_t function_of(const struct search *s, uint64_t at, const struct elf_symbol **symbol)
{
	*symbol = elf_symbol_at(s->object->elf, at);
	return *symbol ? (*symbol)->addr : elf_function_start(s->object->elf, at);
}

/* The uses from `first` to `end` are within the one function; `symbol` NULL: it has no name. */
static void add_function(struct search *s, uint64_t function, const struct elf_symbol *symbol,
			 size_t first, size_t end)
{
	bool maker = symbol && is_maker(symbol->name);
	uint64_t from = function;

	for (size_t i = first + 1; i < end; i++)
		maker &= s->uses[i].site == s->uses[first].site;
	for (size_t i = first; i < end; i++) {
		/* What was proven is as good a beginning as the function's own. */
		if (insn_prove_boundary(s->object->elf, from, s->uses[i].at))
			continue;
		from = s->uses[i].at;
		add(s, maker ? function : from, s->uses[i].site);
		if (maker)
			return;
	}
}

static void add_uses(struct search *s)
{
	const struct elf_symbol *symbol, *other;
	uint64_t function;
	size_t end;

	for (size_t i = 0; i < s->count; i = end) {
		end = i + 1;
		function = function_of(s, s->uses[i].at, &symbol);
		while (end < s->count && function_of(s, s->uses[end].at, &other) == function)
			end++;
		if (function)
			add_function(s, function, symbol, i, end);
	}
}

/* What no probe will see, and why. */
static void tell_unknown(const struct search *s)
{
	struct elf_section symtab;
	enum spawns_known why = SPAWNS_NO_SYMBOL;

	if (!s->found->spawns_count && elf_section(s->object->elf, ".symtab", &symtab))
		why = SPAWNS_STRIPPED;
	for (size_t i = 0; i < s->found->sites_count; i++)
		s->found->sites[i].spawns = why;
	for (size_t i = 0; i < s->found->spawns_count; i++)
		s->found->sites[s->found->spawns[i].site].spawns = SPAWNS_KNOWN;
}

void async_task_spawn_find(struct object *object, struct runtime_found *found)
{
	struct search s = {.object = object, .found = found};
	struct elf_range code[ELF_MAX_RANGES];
	size_t ranges = elf_code_ranges(object->elf, code, ELF_MAX_RANGES);
	uint8_t *buf = xmalloc(CHUNK + INSN_MAX_LEN);

	map_init(&s.vtables, found->sites_count);
	for (size_t i = 0; i < found->sites_count; i++)
		map_put(&s.vtables, found->sites[i].vtable - object->bias, 0, i);
	for (size_t i = 0; i < ranges; i++)
		find_uses(&s, &code[i], buf);
	add_uses(&s);
	tell_unknown(&s);
	map_free(&s.vtables);
	free(s.uses);
	free(buf);
}
