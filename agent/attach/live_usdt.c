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
static int args_row(struct live *live, uint32_t object, const struct runtime_probe *probe)
{
	uint32_t row = 0;

	if (!probe->has_args)
		return 0;
	while (row < WIRE_MAX_ARG_ROWS && live->usdt.args[row])
		row++;
	if (row == WIRE_MAX_ARG_ROWS)
		return -ENOSPC;
	if (bpf_map_update_elem(live->kernel->probe_args_fd, &row, &probe->args, BPF_ANY))
		return -errno;
	live->usdt.args[row] = object;
	return (int)row + 1;
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
		int args = probe->probe ? args_row(live, binary->usdt, probe->probe) : 0;

		if (probe->program != program || probe->refused || args < 0)
			continue;
		names[n] = probe->probe->name;
		sites[n++] = (struct link_site){
			.offset = probe->offset,
			.semaphore = probe->probe->semaphore,
			.cookie = WIRE_USDT_COOKIE(binary->usdt, probe->probe->probe, args),
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

static struct wire_type *types_of(const struct live *live, const struct live_binary *binary)
{
	return &live->kernel->types[(size_t)WIRE_OBJECT_ROW(binary->usdt) * WIRE_TYPES];
}

/* A number that no event has, or ever had; ID_NONE: there is no room. */
static uint32_t site_take(struct live *live, struct live_site site)
{
	uint32_t id = live->sites_count;

	if (live->usdt.spare_count) {
		id = live->usdt.spare[--live->usdt.spare_count];
	} else if (id + 1 < live->kernel->max_sites) {
		live->sites = xgrow(live->sites, &live->sites_cap, id + 1, sizeof(*live->sites));
		live->sites_count++;
	} else {
		return ID_NONE;
	}
	live->sites[id] = site;
	return id;
}

static void site_give_back(struct live *live, uint32_t id)
{
	struct live_usdt *u = &live->usdt;

	u->spare = xgrow(u->spare, &u->spare_cap, u->spare_count + 1, sizeof(*u->spare));
	u->spare[u->spare_count++] = id;
}

/*
 * Sites for the task types to come, from the last number on: the one for all beyond first, and the
 * types take the rest as they come. Where there are fewer than an object can have, more types share.
 */
static uint32_t reserve_sites(struct live *live, struct live_binary *binary, bool wakes)
{
	struct wire_type *rows = types_of(live, binary);
	uint32_t first = WIRE_TYPES, id;

	for (uint32_t i = 0; i < WIRE_TYPES; i++)
		rows[i] = (struct wire_type){.site = WIRE_NO_SITE};
	while (first) {
		id = site_take(live, (struct live_site){
					     .target = binary->target,
					     .binary = (uint32_t)(binary - live->binaries),
					     .unmet = true,
					     .wakes_seen = wakes,
				     });
		if (id == ID_NONE)
			break;
		rows[--first].site = id;
	}
	return first;
}

static int reserve(struct live *live, struct live_binary *binary, bool wakes, struct err *err)
{
	struct live_usdt *u = &live->usdt;
	uint32_t row = 0, first;

	while (row < WIRE_MAX_OBJECTS && u->objects[row])
		row++;
	if (row == WIRE_MAX_OBJECTS)
		return err_set(err, -ENOSPC, "there is no room for the probes of %s",
			       binary->object->object->name);
	u->generation = u->generation % 0xffffff + 1;
	binary->usdt = WIRE_OBJECT(row, u->generation);
	binary->sites = 0;
	u->objects[row] = true;
	first = reserve_sites(live, binary, wakes);
	if (first == WIRE_TYPES) {
		live_usdt_release(live, binary);
		return err_set(err, -ENOSPC, "there is no room for the task types of %s",
			       binary->object->object->name);
	}
	binary->met = xcalloc(WIRE_TYPES, sizeof(*binary->met));
	live->kernel->objects[row] = (struct wire_object){
		.target = binary->target,
		.first_site = types_of(live, binary)[WIRE_TYPES - 1].site,
		.used = first,
		.id = binary->usdt,
	};
	return 0;
}

/* What the kernel side has under the object's number; nobody asks for it any more. */
static void types_forget(const struct live *live, uint32_t object)
{
	struct {
		uint64_t name, location;
		uint32_t object, kind;
	} key, next;
	bool more = !bpf_map_get_next_key(live->kernel->types_fd, NULL, &next);

	for (uint32_t i = 0; more && i < WIRE_MAX_OBJECTS * WIRE_TYPES; i++) {
		key = next;
		more = !bpf_map_get_next_key(live->kernel->types_fd, &key, &next);
		if (key.object == object)
			bpf_map_delete_elem(live->kernel->types_fd, &key);
	}
}

void live_usdt_release(struct live *live, struct live_binary *binary)
{
	uint32_t row = WIRE_OBJECT_ROW(binary->usdt);
	struct wire_type *rows;

	if (!binary->usdt)
		return;
	rows = types_of(live, binary);
	live->kernel->objects[row] = (struct wire_object){0};
	types_forget(live, binary->usdt);
	for (uint32_t i = 0; i < WIRE_TYPES; i++) {
		struct live_site *site = &live->sites[rows[i].site];

		if (rows[i].site == WIRE_NO_SITE)
			continue;
		site->found = NULL;
		/* That of the last number is also what threads are known by. */
		if (site->unmet && !rows[i].ready && i < WIRE_TYPES - 1)
			site_give_back(live, rows[i].site);
	}
	memset(&live->kernel->told[(size_t)row * WIRE_DEPTHS], 0,
	       WIRE_DEPTHS * sizeof(*live->kernel->told));
	for (uint32_t i = 0; i < WIRE_MAX_ARG_ROWS; i++)
		if (live->usdt.args[i] == binary->usdt)
			live->usdt.args[i] = 0;
	live->usdt.objects[row] = false;
	binary->usdt = 0;
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

/* A string of the target's memory; its length, 0: there is none. */
static size_t text_read(const struct live_target *t, uint64_t addr, char *raw, size_t max)
{
	size_t len = 0, piece;

	while (len < max) {
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
	/* Another program's memory may have been read. */
	return proc_execed(t->watch->proc) ? 0 : len;
}

/*
 * A string of the target, sanitised. The kernel side has noted what fits, in the program that showed
 * it; but it takes no page fault, so it may have seen nothing.
 */
static char *text_of(const struct live *live, uint32_t target, uint64_t addr, const char *noted,
		     size_t noted_size, size_t max)
{
	const struct live_target *t = &live->targets[target];
	size_t kept = strnlen(noted, noted_size), len = 0;
	char raw[WIRE_NAME_TEXT + 1], *out;

	if (addr && !t->ended && !t->exec_pending && (!kept || kept + 1 >= noted_size))
		len = text_read(t, addr, raw, max);
	if (len <= kept) {
		len = kept;
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
	uint32_t id = type->site;
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
		rows = types_of(live, binary);
		for (uint32_t i = 0; i < WIRE_TYPES && !ret; i++)
			if (__atomic_load_n(&rows[i].ready, __ATOMIC_ACQUIRE) &&
			    live->sites[rows[i].site].unmet)
				ret = meet(live, emit, binary, i, &rows[i]);
		if (ret)
			break;
	}
	return ret;
}

void live_usdt_close(struct live *live)
{
	for (size_t b = 0; b < live->binaries_count; b++) {
		struct live_binary *binary = &live->binaries[b];

		for (uint32_t i = 0; binary->met && i < WIRE_TYPES; i++) {
			free(binary->met[i].name);
			free(binary->met[i].location);
		}
		free(binary->met);
	}
	free(live->usdt.spare);
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
	rows = &live->kernel->told[(size_t)WIRE_OBJECT_ROW(binary->usdt) * WIRE_DEPTHS];
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

uint64_t live_usdt_state(const struct live *live, const struct wire_task *row, uint32_t index)
{
	uint64_t flags = __atomic_load_n(&live->kernel->task_flags[index], __ATOMIC_ACQUIRE);

	/* Woken while it is polled: it waits when that poll is over. */
	return is_polled(live, row) ? flags & ~(uint64_t)WIRE_TASK_QUEUED : flags;
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
