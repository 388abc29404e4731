// SPDX-License-Identifier: LGPL-2.1-or-later
/* What will be probed; see plan.h. */
#include "attach/plan.h"

#include "runtime/vtable.h"
#include "util/map.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define ENTRY_INSNS 8 /* how far into a function a cheaper instruction is looked for */
#define WAKE_INSNS 16 /* the same for wakes, which are left out without one */
#define ENTRY_BYTES (WAKE_INSNS * INSN_MAX_LEN)

static const uint16_t task_registers[] = {
	[PLAN_TASK_RDI] = INSN_RDI,
	[PLAN_TASK_RSI] = INSN_RSI,
};

/* Where the task is in a walk: in a register, and once that was stored, also on the stack. */
struct whereabouts {
	enum plan_task in;
	bool stored;
	uint8_t offset; /* from the stack pointer */
};

/* mov [rsp + disp8], reg, for the register that holds the task. */
static bool stores_task(const uint8_t *b, const struct insn *insn, const struct whereabouts *task)
{
	uint8_t modrm = task->in == PLAN_TASK_RDI ? 0x7c : 0x74;

	return insn->len == 5 && b[0] == 0x48 && b[1] == 0x89 && b[2] == modrm && b[3] == 0x24 &&
	       b[4] < 0x80;
}

/* Follows the task over one instruction; false when it is lost. */
static bool task_after(const uint8_t *bytes, const struct insn *insn, struct whereabouts *task)
{
	if (task->in != PLAN_TASK_STACK && stores_task(bytes, insn, task)) {
		task->stored = true;
		task->offset = bytes[4];
		return true;
	}
	if (insn->written & INSN_RSP)
		task->stored = false;
	if (task->in != PLAN_TASK_STACK && (insn->written & task_registers[task->in]))
		task->in = PLAN_TASK_STACK;
	return task->in != PLAN_TASK_STACK || task->stored;
}

/*
 * Walks from the entry while execution goes straight on and the task is known. A push or a sub
 * moves the stack pointer by a constant for that function: good enough for telling a nested poll
 * from the next one, which has the task's state to fall back on. Only wakes follow the task onto
 * the stack: the others read it at every hit.
 */
static void choose_site(struct plan_probe *probe, const struct elf_file *elf)
{
	bool wake = probe->program == PLAN_SCHEDULE;
	/* What makes tasks of one type is not asked for the task. */
	bool taskless = probe->program == PLAN_SPAWN && probe->site != RUNTIME_ANY;
	struct whereabouts task = {.in = probe->task_in};
	uint8_t bytes[ENTRY_BYTES];
	ssize_t have = elf_read_some(elf, probe->function, bytes, sizeof(bytes));
	uint64_t at = 0;
	struct insn insn;

	probe->refused = "its first instruction cannot be decoded";
	for (int i = 0; i < (wake ? WAKE_INSNS : ENTRY_INSNS) && have > 0 && at < (uint64_t)have;
	     i++) {
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
		probe->task_in = task.in;
		probe->task_offset = task.offset;
		if (probe->class == INSN_EMULATED && !probe->refused)
			return;
		if (insn.flow != INSN_NEXT ||
		    (!taskless && (!task_after(bytes + at, &insn, &task) ||
				   (!wake && task.in != probe->task_in))))
			return;
		at += insn.len;
	}
}

/* mov between two whole registers: what holds the task now, as bits of `written`. */
static uint16_t held_after(const uint8_t *b, const struct insn *insn, uint16_t held)
{
	unsigned int reg, rm, from, to;
	uint16_t left = held & ~insn->written;

	if (insn->len != 3 || (b[0] & 0xf8) != 0x48 || (b[1] != 0x89 && b[1] != 0x8b) ||
	    b[2] < 0xc0)
		return left;
	reg = (b[2] >> 3 & 7) | (b[0] & 4) << 1;
	rm = (b[2] & 7) | (b[0] & 1) << 3;
	from = b[1] == 0x89 ? reg : rm;
	to = b[1] == 0x89 ? rm : reg;
	return held & 1U << from ? left | 1U << to : left;
}

/* Where a direct call or jump goes, or one through a pointer of the loader's; 0: not known. */
static uint64_t goes_to(struct object *object, const struct insn *insn)
{
	uint64_t target = 0;

	if (insn->has_target)
		target = insn->target;
	else if (insn->has_rip && !object_read(object, insn->rip_addr, &target, sizeof(target)))
		target -= object->bias;
	return elf_is_code(object->elf, target) ? target : 0;
}

/*
 * The function that gets the task as its second argument: a runtime's schedule<S> does little more
 * than find the scheduler in the task and call <S as Schedule>::schedule(scheduler, task). 0: none.
 */
static uint64_t passed_on_to(struct object *object, uint64_t function)
{
	uint8_t bytes[ENTRY_BYTES];
	ssize_t have = elf_read_some(object->elf, function, bytes, sizeof(bytes));
	uint16_t held = INSN_RDI;
	uint64_t at = 0;
	struct insn insn;

	for (int i = 0; i < WAKE_INSNS && have > 0 && at < (uint64_t)have; i++) {
		if (insn_decode(bytes + at, have - at, function + at, &insn))
			return 0;
		if (insn.flow == INSN_CALL || insn.flow == INSN_JUMP)
			return held & INSN_RSI ? goes_to(object, &insn) : 0;
		if (insn.flow != INSN_NEXT && insn.flow != INSN_BRANCH)
			return 0;
		held = held_after(bytes + at, &insn, held);
		at += insn.len;
	}
	return 0;
}

static bool cheap(const struct plan_probe *probe)
{
	return !probe->refused && probe->class == INSN_EMULATED;
}

/*
 * A wake is not worth a dear probe: in the function itself, else in the one that it hands over to;
 * only there where wakers go around the function itself.
 */
static void choose_wake_site(struct plan_probe *probe, struct object *object, bool handed_over)
{
	uint64_t next;

	if (!handed_over) {
		choose_site(probe, object->elf);
		if (cheap(probe))
			return;
	}
	next = passed_on_to(object, probe->function);
	if (next) {
		probe->function = next;
		probe->task_in = PLAN_TASK_RSI;
		choose_site(probe, object->elf);
	} else if (handed_over) {
		probe->refused = "where it hands its tasks to is not known";
		return;
	}
	if (!cheap(probe))
		probe->refused = "it has no cheap instruction while the task is known";
}

/* Several functions can hand over to one. */
static bool is_double(struct plan *plan, const struct plan_probe *probe)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct plan_probe *other = &plan->probes[i];

		if (other == probe || other->program != probe->program || other->refused ||
		    other->vaddr != probe->vaddr)
			continue;
		other->sharing++;
		return true;
	}
	return false;
}

static void plan_add(struct plan *plan, struct map *seen, struct object *object,
		     const struct runtime_ops *ops, enum plan_program program, uint32_t site,
		     uint64_t function)
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
		.task_in = program == PLAN_SPAWN ? PLAN_TASK_RSI : PLAN_TASK_RDI,
	};
	if (program == PLAN_SCHEDULE)
		choose_wake_site(probe, object, ops && ops->wakes_handed_over);
	else
		choose_site(probe, object->elf);
	if (!probe->refused && elf_vaddr_to_offset(object->elf, probe->vaddr, &probe->offset))
		probe->refused = "it has no bytes in the file";
	/* The walk for wakes ends elsewhere than it began. */
	if (program == PLAN_SCHEDULE && !probe->refused && is_double(plan, probe))
		plan->count--;
}

static enum plan_program probe_program(enum wire_probe probe)
{
	if (probe == WIRE_POLL_BEGIN || probe == WIRE_BLOCKING_BEGIN)
		return PLAN_PROBE_BEGIN;
	if (probe == WIRE_POLL_END || probe == WIRE_BLOCKING_END)
		return PLAN_PROBE_END;
	return PLAN_PROBE_OTHER;
}

/* Probe points that the program carries: nothing to choose, they are where their notes say. */
static void plan_probes(struct plan *plan, const struct elf_file *elf,
			const struct runtime_found *found, unsigned int level)
{
	for (size_t i = 0; i < found->probes_count; i++) {
		const struct runtime_probe *probe = &found->probes[i];
		struct plan_probe *out;

		if (probe->level > level)
			continue;
		plan->probes = xgrow(plan->probes, &plan->cap, plan->count + 1,
				     sizeof(*plan->probes));
		out = &plan->probes[plan->count++];
		*out = (struct plan_probe){
			.program = probe_program(probe->probe),
			.sharing = 1,
			.function = probe->pc,
			.vaddr = probe->pc,
			.class = probe->class,
			.refused = probe->refused,
			.probe = probe,
		};
		if (!out->refused && elf_vaddr_to_offset(elf, probe->pc, &out->offset))
			out->refused = "it has no bytes in the file";
	}
}

void plan_make(struct plan *plan, struct object *object, const struct runtime_found *found,
	       unsigned int level)
{
	struct map seen;

	map_init(&seen, VTABLE_MAX_FOUND * PLAN_PROGRAMS);
	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; level >= 1 && i < found->sites_count; i++)
		plan_add(plan, &seen, object, found->ops, PLAN_POLL, i, found->sites[i].poll);
	for (size_t i = 0; level >= 2 && i < found->sites_count; i++)
		plan_add(plan, &seen, object, found->ops, PLAN_DEALLOC, i, found->sites[i].dealloc);
	for (size_t i = 0; level >= 3 && i < found->sites_count; i++)
		if (found->sites[i].kind == SITE_TASK)
			plan_add(plan, &seen, object, found->ops, PLAN_SCHEDULE, i,
				 found->sites[i].schedule);
	for (size_t i = 0; level >= 2 && i < found->spawns_count; i++) {
		bool panic = found->spawns[i].site == RUNTIME_PANIC;

		plan_add(plan, &seen, object, found->ops, panic ? PLAN_PANIC : PLAN_SPAWN,
			 panic ? 0 : found->spawns[i].site, found->spawns[i].function);
	}
	map_free(&seen);
	plan_probes(plan, object->elf, found, level);
}

/* A worker's loop does not return, and nobody asks how long blocking work takes. */
static bool only_tasks(const struct plan_probe *poll, const struct runtime_found *found)
{
	for (size_t i = 0; i < found->sites_count; i++)
		if (found->sites[i].poll == poll->function && found->sites[i].kind != SITE_TASK)
			return false;
	return true;
}

static const char *no_return(const struct plan_probe *poll, const struct runtime_found *found)
{
	if (found->ops->family != WIRE_TOKIO)
		return "a panic of its tasks may have to be unwound through it";
	/* What the return address is, the kernel takes from the stack as it is at the entry. */
	if (poll->refused || poll->vaddr != poll->function)
		return "its first instruction is not probed";
	return NULL;
}

void plan_add_returns(struct plan *plan, const struct runtime_found *found)
{
	size_t count = plan->count;

	for (size_t i = 0; i < count; i++) {
		struct plan_probe probe = plan->probes[i];

		if (probe.program != PLAN_POLL || !only_tasks(&probe, found))
			continue;
		probe.program = PLAN_RETURN;
		probe.refused = no_return(&plan->probes[i], found);
		plan->probes = xgrow(plan->probes, &plan->cap, plan->count + 1,
				     sizeof(*plan->probes));
		plan->probes[plan->count++] = probe;
	}
}

void plan_clear(struct plan *plan)
{
	free(plan->probes);
	memset(plan, 0, sizeof(*plan));
}

static const char *const program_names[PLAN_PROGRAMS] = {
	[PLAN_RETURN] = "return",     [PLAN_POLL] = "poll",	    [PLAN_DEALLOC] = "dealloc",
	[PLAN_SCHEDULE] = "schedule", [PLAN_PROBE_BEGIN] = "begin", [PLAN_PROBE_END] = "end",
	[PLAN_PROBE_OTHER] = "probe", [PLAN_PANIC] = "panic",	    [PLAN_SPAWN] = "spawn",
};

const char *plan_program_name(enum plan_program program)
{
	return program_names[program];
}
