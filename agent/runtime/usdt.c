// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Any scheduler that carries the probe points of <stalltop/sdt.h> (docs/sdt.md): found by its notes.
 * Its task types are not in the file: they are pairs of strings that its probes name, and are met
 * while it runs.
 */
#include "runtime/usdt.h"

#include "target/insn.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STALLTOP_SDT_DISABLE /* the contract's constants, not its probes */
#include "stalltop/sdt.h"

#define PROVIDER "stalltop"
#define RUNTIME_SECTION ".note.stalltop"
#define LOCAL_MAX 1024 /* workers whose queues are read */

/* From which level on a probe is of use, and how many arguments it has. */
static const struct contract {
	const char *name;
	enum wire_probe probe;
	uint8_t args, level;
} contract[] = {
	{"runtime__start", WIRE_RUNTIME_START, 3, 2},
	{"runtime__stop", WIRE_RUNTIME_STOP, 1, 2},
	{"worker__start", WIRE_WORKER_START, 2, 1},
	{"worker__park", WIRE_WORKER_PARK, 2, 2},
	{"worker__unpark", WIRE_WORKER_UNPARK, 2, 2},
	{"worker__stop", WIRE_WORKER_STOP, 2, 2},
	{"task__spawn", WIRE_TASK_SPAWN, 4, 2},
	{"poll__begin", WIRE_POLL_BEGIN, 4, 1},
	{"poll__end", WIRE_POLL_END, 3, 1},
	{"task__wake", WIRE_TASK_WAKE, 2, 3},
	{"task__complete", WIRE_TASK_COMPLETE, 2, 2},
	{"task__detach", WIRE_TASK_DETACH, 2, 2},
	{"task__drop", WIRE_TASK_DROP, 2, 2},
	{"queue__depth", WIRE_QUEUE_DEPTH, 4, 2},
	{"blocking__begin", WIRE_BLOCKING_BEGIN, 4, 1},
	{"blocking__end", WIRE_BLOCKING_END, 2, 1},
};

static const struct contract *contract_of(const char *name)
{
	for (size_t i = 0; i < sizeof(contract) / sizeof(contract[0]); i++)
		if (!strcmp(contract[i].name, name))
			return &contract[i];
	return NULL;
}

/* --- arguments ------------------------------------------------------------------------------ */

/* Where the kernel's struct pt_regs has a register, by its DWARF number (x86-64, ptrace ABI). */
static const uint8_t pt_regs_offset[] = {
	80, 96, 88, 40, 104, 112, 32, 152, 72, 64, 56, 48, 24, 16, 8, 0,
};

static bool is_at_home(const struct note_arg *arg, uint32_t i)
{
	static const uint8_t home[] = {NOTE_REG_RDI, NOTE_REG_RSI, NOTE_REG_RDX, NOTE_REG_RCX};

	return i < WIRE_USDT_ARGS && arg->kind == NOTE_ARG_REG && arg->size == 8 &&
	       arg->reg == home[i];
}

/* False: an argument has a form that is not understood. */
static bool translate(const struct note_arg *from, struct wire_arg *to)
{
	static const enum wire_arg_kind kinds[] = {
		[NOTE_ARG_CONST] = WIRE_ARG_CONST,
		[NOTE_ARG_REG] = WIRE_ARG_REG,
		[NOTE_ARG_MEM] = WIRE_ARG_MEM,
	};

	if (from->kind == NOTE_ARG_UNKNOWN)
		return false;
	*to = (struct wire_arg){
		.kind = kinds[from->kind],
		.size = from->size,
		.is_signed = from->is_signed,
		.reg = pt_regs_offset[from->reg & 15],
		.disp = from->kind == NOTE_ARG_MEM ? (int32_t)from->value : 0,
		.value = from->kind == NOTE_ARG_CONST ? (uint64_t)from->value : 0,
	};
	return true;
}

static void refuse(struct runtime_probe *probe, const char *why)
{
	free(probe->refused);
	probe->refused = xstrdup(why);
}

static void fill_args(const struct note_probe *note, uint8_t wanted, struct runtime_probe *probe)
{
	if (note->args_count < wanted) {
		refuse(probe, "it has fewer arguments than the contract says");
		return;
	}
	for (uint32_t i = 0; i < wanted; i++)
		if (!is_at_home(&note->args[i], i))
			probe->has_args = true;
	for (uint32_t i = 0; i < wanted && probe->has_args; i++)
		if (!translate(&note->args[i], &probe->args.arg[i]))
			refuse(probe, "an argument has a form that is not understood");
}

/* --- finding it --------------------------------------------------------------------------------- */

/* A one-byte nop, or what else the kernel emulates there; a site proves itself by its instruction. */
static void check_site(const struct object *object, struct runtime_probe *probe)
{
	uint8_t bytes[INSN_MAX_LEN];
	ssize_t have = elf_read_some(object->elf, probe->pc, bytes, sizeof(bytes));
	struct insn insn;

	if (have <= 0 || insn_decode(bytes, (size_t)have, probe->pc, &insn))
		refuse(probe, "its instruction cannot be decoded");
	else if (insn.class == INSN_REFUSED)
		refuse(probe, "uprobes refuse its instruction");
	else
		probe->class = insn.class;
}

static void add_probe(const struct object *object, const struct note_probe *note,
		      struct runtime_found *out)
{
	const struct contract *entry = contract_of(note->name);
	struct runtime_probe *probe = &out->probes[out->probes_count];

	/* A later version has probes that this one does not know. */
	if (!entry)
		return;
	out->probes_count++;
	*probe = (struct runtime_probe){
		.name = xstrdup(entry->name),
		.probe = entry->probe,
		.level = entry->level,
		.pc = note->pc,
		.semaphore = note->semaphore_offset,
	};
	fill_args(note, entry->args, probe);
	if (!probe->refused)
		check_site(object, probe);
}

static bool has(const struct runtime_found *found, enum wire_probe probe)
{
	for (size_t i = 0; i < found->probes_count; i++)
		if (found->probes[i].probe == probe && !found->probes[i].refused)
			return true;
	return false;
}

/* Where the worker loop begins, that a stack of a task ends at. */
static void find_functions(struct object *object, struct runtime_found *out)
{
	const struct elf_symbol *symbol;

	if (object->effort >= OBJECT_BARE || elf_load_symbols(object->elf, NULL))
		return;
	for (size_t i = 0; i < out->probes_count; i++) {
		symbol = elf_symbol_at(object->elf, out->probes[i].pc);
		if (symbol)
			out->probes[i].function = symbol->addr;
	}
	elf_drop_symbols(object->elf);
}

/* The description: a name, a NUL, a version, a NUL. */
static void read_name(const struct object *object, struct runtime_found *out)
{
	char text[sizeof(out->name) + sizeof(out->version)];
	size_t len = 0, name;
	uint32_t version = 0;

	if (note_of(object->elf, RUNTIME_SECTION, PROVIDER, &version, text, sizeof(text), &len))
		return;
	name = strnlen(text, len);
	text_sanitize(out->name, sizeof(out->name), text, name);
	if (name + 1 < len)
		text_sanitize(out->version, sizeof(out->version), text + name + 1,
			      strnlen(text + name + 1, len - name - 1));
}

static int detect(struct object *object, struct runtime_found *out, struct err *err)
{
	struct note_probe *notes;
	size_t count;
	int ret;

	memset(out, 0, sizeof(*out));
	out->ops = &usdt_runtime;
	ret = note_probes(object->elf, PROVIDER, &notes, &count, NULL, err);
	if (ret)
		return -ENOENT;
	out->types_later = true;
	out->probes = xcalloc(count, sizeof(*out->probes));
	for (size_t i = 0; i < count; i++)
		add_probe(object, &notes[i], out);
	free(notes);
	read_name(object, out);
	find_functions(object, out);
	if (has(out, WIRE_POLL_BEGIN) && has(out, WIRE_POLL_END))
		return 0;
	return err_set(err, -ENOTSUP,
		       "%s carries probes of provider " PROVIDER
		       ", but not poll__begin and poll__end as docs/sdt.md says",
		       object->name);
}

/* The word is that of the task table: there is no header. */
static void state(uint64_t word, struct runtime_state *out)
{
	*out = (struct runtime_state){
		.ready = (word & WIRE_TASK_QUEUED) && !(word & WIRE_TASK_COMPLETED),
		.complete = word & WIRE_TASK_COMPLETED,
		.has_handle = (word & WIRE_TASK_SPAWNED) && !(word & WIRE_TASK_DETACHED),
		.refs = 0,
	};
}

/* --- gauges --------------------------------------------------------------------------------------- */

struct gauges {
	const struct memory *memory;
	struct stalltop_sdt_runtime runtime;
	struct stalltop_sdt_gauge *local;
	struct runtime_depths depths;
};

static int queues_open(const struct runtime_query *query, void **queues, struct err *err)
{
	struct gauges *g = xcalloc(1, sizeof(*g));
	struct stalltop_sdt_runtime *r = &g->runtime;
	uint32_t workers;

	g->memory = query->memory;
	if (memory_read(g->memory, query->handle, r, sizeof(*r)) ||
	    r->magic != STALLTOP_SDT_MAGIC || !r->version) {
		free(g);
		return err_set(err, -ENOENT, "the runtime keeps no gauges");
	}
	workers = r->workers < LOCAL_MAX ? r->workers : 0;
	g->local = xcalloc(workers, sizeof(*g->local));
	if (r->local && workers &&
	    memory_read(g->memory, (uintptr_t)r->local, g->local, workers * sizeof(*g->local)))
		memset(g->local, 0, workers * sizeof(*g->local));
	g->depths.workers = workers;
	g->depths.flavour = workers ? FLAVOR_MULTI_THREAD : FLAVOR_UNKNOWN;
	g->depths.local = xcalloc(workers, sizeof(*g->depths.local));
	*queues = g;
	return 0;
}

/*
 * What came out is read first: then what went in can only be more. A gauge of which that is not
 * true, or that no queue can have, is not what it says.
 */
static struct runtime_depth gauge_read(const struct gauges *g,
				       const struct stalltop_sdt_gauge *gauge)
{
	struct runtime_depth depth = {.why = "the runtime keeps no such gauge"};
	uint64_t in = 0, out = 0;

	if (!gauge->in)
		return depth;
	if ((gauge->out && memory_read(g->memory, (uintptr_t)gauge->out, &out, sizeof(out))) ||
	    memory_read(g->memory, (uintptr_t)gauge->in, &in, sizeof(in))) {
		depth.why = "the runtime's gauge cannot be read";
		return depth;
	}
	if (in < out || in - out > UINT32_MAX) {
		depth.why = "the runtime's gauge is out of bounds";
		return depth;
	}
	return (struct runtime_depth){.value = in - out, .known = true};
}

static int queues_sample(void *queues, const struct runtime_depths **out, struct err *err)
{
	struct gauges *g = queues;
	struct runtime_depths *d = &g->depths;

	(void)err;
	d->inject = gauge_read(g, &g->runtime.inject);
	d->tasks = gauge_read(g, &g->runtime.alive);
	d->blocking = gauge_read(g, &g->runtime.blocking_queue);
	d->threads = gauge_read(g, &g->runtime.blocking_threads);
	d->idle_threads = gauge_read(g, &g->runtime.blocking_idle);
	for (uint32_t i = 0; i < d->workers; i++)
		d->local[i] = gauge_read(g, &g->local[i]);
	*out = d;
	return 0;
}

static void queues_close(void *queues)
{
	struct gauges *g = queues;

	free(g->local);
	free(g->depths.local);
	free(g);
}

static const struct runtime_queue_ops gauges_ops = {
	.open = queues_open,
	.sample = queues_sample,
	.close = queues_close,
};

const struct runtime_ops usdt_runtime = {
	.name = "usdt",
	.wanted = "any scheduler with the probe points of stalltop/sdt.h",
	.family = WIRE_USDT,
	.detect = detect,
	.state = state,
	.queues = &gauges_ops,
};
