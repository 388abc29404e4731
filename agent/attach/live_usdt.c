// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runtimes that tell of themselves by the probe points of <stalltop/sdt.h>: their probes, and the
 * task types that the kernel side has met. It counts without us; we come and read the names.
 */
#include "attach/live_priv.h"

#include "util/sanitize.h"
#include "util/xalloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096

/* Where the argument formats of a probe are; 0: they are the usual ones. -ENOSPC: no room. */
static int args_row(struct live *live, const struct runtime_probe *probe)
{
	uint32_t row = live->arg_rows;

	if (!probe->has_args)
		return 0;
	if (row >= WIRE_MAX_ARG_ROWS)
		return -ENOSPC;
	if (bpf_map_update_elem(live->kernel->probe_args_fd, &row, &probe->args, BPF_ANY))
		return -errno;
	return (int)++live->arg_rows;
}

static int attach_probes(struct live *live, struct live_binary *binary, const struct plan *plan,
			 enum plan_program program, int fd, struct err *err)
{
	const struct object *object = binary->object->object;
	struct link_site *sites = xcalloc(plan->count, sizeof(*sites));
	const char **names = xcalloc(plan->count, sizeof(*names));
	size_t n = 0;
	int ret;

	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];
		int args = probe->probe ? args_row(live, probe->probe) : 0;

		if (probe->program != program || probe->refused || args < 0)
			continue;
		names[n] = probe->probe->name;
		sites[n++] = (struct link_site){
			.offset = probe->offset,
			.semaphore = probe->probe->semaphore,
			.cookie = WIRE_USDT_COOKIE(binary->usdt - 1, probe->probe->probe, args),
		};
	}
	ret = link_attach(&binary->links[program], fd, object->path, object->proc->pid, sites, n,
			  err);
	for (size_t i = 0; i < n && !ret; i++)
		if (sites[i].error)
			ret = err_set(err, sites[i].error, "the kernel refuses the probe %s of %s",
				      names[i], object->name);
	free(sites);
	free(names);
	return ret;
}

/* The level is one that wakes are seen at, and the program tells of them. */
static bool has_wakes(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->probes[i].probe && !plan->probes[i].refused &&
		    plan->probes[i].probe->probe == WIRE_TASK_WAKE)
			return true;
	return false;
}

/* Sites for the task types to come. */
static int reserve(struct live *live, struct live_binary *binary, bool wakes, struct err *err)
{
	uint32_t id = (uint32_t)(binary - live->binaries), first = live->sites_count;
	struct wire_object *row = &live->kernel->objects[live->usdt_count];

	if (live->usdt_count >= WIRE_MAX_OBJECTS || first + WIRE_TYPES >= live->kernel->max_sites)
		return err_set(err, -ENOSPC, "there is no room for the task types of %s",
			       binary->object->object->name);
	live->sites = xgrow(live->sites, &live->sites_cap, first + WIRE_TYPES,
			    sizeof(*live->sites));
	for (uint32_t i = 0; i < WIRE_TYPES; i++)
		live->sites[live->sites_count++] = (struct live_site){
			.target = binary->target, .binary = id, .unmet = true, .wakes_seen = wakes};
	binary->first_site = first;
	binary->sites = WIRE_TYPES;
	binary->met = xcalloc(WIRE_TYPES, sizeof(*binary->met));
	binary->usdt = ++live->usdt_count;
	*row = (struct wire_object){.target = binary->target, .first_site = first, .valid = 1};
	return 0;
}

/* The end of a poll is seen before its begin is: else a poll stays open. */
int live_usdt_attach(struct live *live, struct live_binary *binary, struct err *err)
{
	const struct kernel *k = live->kernel;
	struct plan plan;
	int ret;

	plan_make(&plan, binary->object->object, &binary->object->found, live->opts.level);
	ret = reserve(live, binary, has_wakes(&plan), err);
	if (!ret)
		ret = attach_probes(live, binary, &plan, PLAN_PROBE_OTHER, k->on_probe_other_fd,
				    err);
	if (!ret)
		ret = attach_probes(live, binary, &plan, PLAN_PROBE_END, k->on_probe_end_fd, err);
	if (!ret)
		ret = attach_probes(live, binary, &plan, PLAN_PROBE_BEGIN, k->on_probe_begin_fd,
				    err);
	plan_clear(&plan);
	return ret;
}

/* --- task types ------------------------------------------------------------------------------- */

/*
 * A string of the target, sanitised. What the kernel side noted serves when the process is gone; it
 * takes no page fault, so it may have seen nothing.
 */
static char *text_of(const struct live *live, uint32_t target, uint64_t addr, const char *noted,
		     size_t noted_size, size_t max)
{
	const struct live_target *t = &live->targets[target];
	char raw[WIRE_NAME_TEXT + 1], *out;
	size_t len = 0, piece;

	while (addr && !t->ended && len < max) {
		piece = PAGE - (addr + len) % PAGE;
		if (piece > max - len)
			piece = max - len;
		if (memory_read(&t->watch->memory, addr + len, raw + len, piece))
			break;
		if (memchr(raw + len, 0, piece)) {
			len += strnlen(raw + len, piece);
			break;
		}
		len += piece;
	}
	if (!len) {
		len = strnlen(noted, noted_size);
		memcpy(raw, noted, len);
	}
	if (!len)
		return NULL;
	out = xmalloc(4 * len + 1);
	text_sanitize(out, 4 * len + 1, raw, len);
	return out;
}

/* Where a stack leaves the task: the function with the probe, so far as a symbol tells. */
static uint64_t boundary(const struct runtime_found *found, const struct elf_file *elf)
{
	uint64_t offset = 0;

	for (size_t i = 0; i < found->probes_count; i++)
		if (found->probes[i].probe == WIRE_POLL_BEGIN && found->probes[i].function &&
		    !elf_vaddr_to_offset(elf, found->probes[i].function, &offset))
			return offset;
	return 0;
}

static int meet(struct live *live, struct emit *emit, struct live_binary *binary, uint32_t number,
		const struct wire_type *type)
{
	uint32_t id = binary->first_site + number;
	struct runtime_site *met = &binary->met[number];
	struct live_site *site = &live->sites[id];
	bool others = number == WIRE_TYPES - 1;

	*met = (struct runtime_site){
		.kind = type->kind == WIRE_SITE_BLOCKING ? SITE_BLOCKING : SITE_TASK,
		.vtable_word = WIRE_NO_WORD,
		.sched_word = WIRE_NO_WORD,
		.state_word = WIRE_NO_WORD,
		.name_from = NAME_TOLD,
	};
	if (others)
		met->name = xstrdup("other task types");
	else
		met->name = text_of(live, binary->target, type->name, type->name_text,
				    sizeof(type->name_text), WIRE_NAME_TEXT);
	if (!met->name) {
		met->name = xasprintf("task type #%u", number + 1);
		met->name_from = NAME_NONE;
	}
	met->location = text_of(live, binary->target, type->location, type->location_text,
				sizeof(type->location_text), WIRE_LOCATION_TEXT);
	site->found = met;
	site->unmet = false;
	site->offset = boundary(&binary->object->found, binary->object->object->elf);
	return live_announce_site(live, emit, id);
}

int live_usdt_look(struct live *live, struct emit *emit)
{
	int ret = 0;

	for (size_t b = 0; b < live->binaries_count; b++) {
		struct live_binary *binary = &live->binaries[b];
		const struct wire_type *rows;

		/* The binary itself is announced first. */
		if (!binary->usdt || !binary->object || b >= live->announced_binaries)
			continue;
		rows = &live->kernel->types[(size_t)(binary->usdt - 1) * WIRE_TYPES];
		for (uint32_t i = 0; i < WIRE_TYPES && !ret; i++)
			if (live->sites[binary->first_site + i].unmet &&
			    __atomic_load_n(&rows[i].ready, __ATOMIC_ACQUIRE))
				ret = meet(live, emit, binary, i, &rows[i]);
		if (ret)
			break;
	}
	return ret;
}

void live_usdt_forget(struct live_binary *binary)
{
	for (uint32_t i = 0; binary->met && i < WIRE_TYPES; i++) {
		free(binary->met[i].name);
		free(binary->met[i].location);
	}
	free(binary->met);
	binary->met = NULL;
}

/* --- depths that a probe told, of a runtime that keeps no gauges ------------------------------ */

bool live_usdt_depths(const struct live *live, const struct live_runtime *runtime,
		      struct ev_queues *out, uint32_t *each)
{
	enum { PER_KIND = WIRE_DEPTHS / 4, KINDS = 3 };
	const struct live_binary *binary = &live->binaries[runtime->binary];
	const struct wire_depth *rows;
	int64_t sum[KINDS] = {-1, -1, -1};

	if (!binary->usdt)
		return false;
	rows = &live->kernel->told[(size_t)(binary->usdt - 1) * WIRE_DEPTHS];
	for (uint32_t i = 0; i < KINDS * PER_KIND; i++) {
		const volatile struct wire_depth *row = &rows[i];
		uint32_t kind = i / PER_KIND;

		if (row->runtime != runtime->handle || row->depth > UINT32_MAX)
			continue;
		sum[kind] = (sum[kind] < 0 ? 0 : sum[kind]) + (int64_t)row->depth;
		if (kind == 1)
			each[out->workers++] = (uint32_t)row->depth;
	}
	out->inject = sum[0];
	out->local = sum[1];
	out->blocking_queue = sum[2];
	out->local_each = each;
	out->reason = "the runtime tells no such depth";
	out->source = "its probes";
	return sum[0] >= 0 || sum[1] >= 0 || sum[2] >= 0;
}

/* --- tasks ----------------------------------------------------------------------------------------- */

bool live_is_usdt(const struct live *live, uint32_t site)
{
	const struct runtime_found *found = live_found(live, site);

	return found && found->ops->family == WIRE_USDT;
}

static bool is_polled(const struct live *live, const struct wire_task *row)
{
	struct wire_slot slot;

	if (row->last_slot >= WIRE_MAX_SLOTS || !kernel_slot(live->kernel, row->last_slot, &slot))
		return false;
	for (uint32_t i = 0; i < slot.depth && i < WIRE_MAX_DEPTH; i++)
		if (slot.polls[i].header == KEY_HEADER(row->key) &&
		    slot.polls[i].site == row->site && slot.target == KEY_TARGET(row->key))
			return true;
	return false;
}

void live_usdt_check(const struct live *live, const struct wire_task *row, uint32_t index,
		     struct row_check *check)
{
	const struct runtime_found *found = live_found(live, row->site);
	uint64_t flags = __atomic_load_n(&live->kernel->task_flags[index], __ATOMIC_ACQUIRE);
	struct wire_task now;

	check->gone = !kernel_task(live->kernel, index, &now) || now.key != row->key ||
		      now.id != row->id;
	check->valid = !check->gone;
	found->ops->state(flags, &check->state);
	check->state.running = is_polled(live, row);
	if (check->state.running)
		check->state.ready = false;
}
