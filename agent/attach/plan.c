// SPDX-License-Identifier: LGPL-2.1-or-later
/* What will be probed; see plan.h. */
#include "attach/plan.h"

#include "runtime/vtable.h"
#include "util/map.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define ENTRY_INSNS 8 /* how far into a function a cheaper instruction is looked for */
#define ENTRY_BYTES (ENTRY_INSNS * INSN_MAX_LEN)

/*
 * Walks from the entry while execution goes straight on and rdi still holds the task. A push or a
 * sub moves the stack pointer by a constant for that function: good enough for telling a nested
 * poll from the next one, which has the task's state to fall back on.
 */
static void choose_site(struct plan_probe *probe, const struct elf_file *elf)
{
	uint8_t bytes[ENTRY_BYTES];
	ssize_t have = elf_read_some(elf, probe->function, bytes, sizeof(bytes));
	uint64_t at = 0;
	struct insn insn;

	probe->refused = "its first instruction cannot be decoded";
	for (int i = 0; i < ENTRY_INSNS && have > 0 && at < (uint64_t)have; i++) {
		if (insn_decode(bytes + at, have - at, probe->function + at, &insn))
			return;
		if (i == 0) {
			probe->vaddr = probe->function;
			probe->class = insn.class;
			probe->refused = insn.class == INSN_REFUSED ?
						 "uprobes refuse its first instruction" :
						 NULL;
		} else if (insn.class == INSN_EMULATED) {
			probe->vaddr = probe->function + at;
			probe->class = insn.class;
			probe->refused = NULL;
		}
		if (probe->class == INSN_EMULATED && !probe->refused)
			return;
		if (insn.flow != INSN_NEXT || (insn.written & INSN_RDI))
			return;
		at += insn.len;
	}
}

static void plan_add(struct plan *plan, struct map *seen, const struct object *object,
		     enum plan_program program, uint32_t site, uint64_t function)
{
	struct plan_probe *probe;
	uint64_t index = map_get(seen, function, program);

	if (index != MAP_NONE) {
		plan->probes[index].sharing++;
		return;
	}
	plan->probes = xgrow(plan->probes, &plan->cap, plan->count + 1, sizeof(*plan->probes));
	map_put(seen, function, program, plan->count);
	probe = &plan->probes[plan->count++];
	*probe = (struct plan_probe){
		.program = program,
		.site = site,
		.sharing = 1,
		.function = function,
	};
	choose_site(probe, object->elf);
	if (!probe->refused && elf_vaddr_to_offset(object->elf, probe->vaddr, &probe->offset))
		probe->refused = "it has no bytes in the file";
}

void plan_make(struct plan *plan, const struct object *object, const struct runtime_found *found,
	       unsigned int level)
{
	struct map seen;

	map_init(&seen, VTABLE_MAX_FOUND * PLAN_PROGRAMS);
	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; i < found->sites_count; i++)
		plan_add(plan, &seen, object, PLAN_POLL, i, found->sites[i].poll);
	for (size_t i = 0; level >= 2 && i < found->sites_count; i++)
		plan_add(plan, &seen, object, PLAN_DEALLOC, i, found->sites[i].dealloc);
	map_free(&seen);
}

void plan_clear(struct plan *plan)
{
	free(plan->probes);
	memset(plan, 0, sizeof(*plan));
}

static const char *const program_names[PLAN_PROGRAMS] = {
	[PLAN_POLL] = "poll",
	[PLAN_DEALLOC] = "dealloc",
};

const char *plan_program_name(enum plan_program program)
{
	return program_names[program];
}
