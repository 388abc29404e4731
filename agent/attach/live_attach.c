// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attaching: from the task types of an object to probes in the kernel, and the check of both. */
#include "attach/live_priv.h"

#include "util/sanitize.h"
#include "util/xalloc.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define LOOK_NS 3000000000ULL /* after an exec new objects are looked for at each tick, this long */

/* Tells the kernel part about the sites of a binary: what to expect in a task header. */
static void sites_publish(struct live *live, const struct live_binary *binary,
			  const struct runtime_found *found)
{
	for (uint32_t i = 0; i < binary->sites; i++) {
		const struct runtime_site *site = &found->sites[i];
		uint32_t id = binary->first_site + i;
		uint64_t key = site->vtable | (uint64_t)binary->target << 48;

		live->kernel->sites[id] = (struct wire_site){
			.vtable = site->vtable,
			.target = binary->target,
			.kind = site->kind == SITE_TASK ? WIRE_SITE_TASK : WIRE_SITE_BLOCKING,
			.id_word = site->id_word,
			.sched_word = site->sched_word,
			.family = found->ops->family,
			.vtable_word = site->vtable_word,
			.state_word = site->state_word,
		};
		bpf_map_update_elem(live->kernel->vtables_fd, &key, &id, BPF_ANY);
	}
}

/*
 * A poll function may do no more than call another one (Tokio's, Harness::poll): where that was not inlined it is a jump, and no
 * stack has a frame of poll itself. 0: it is no such jump.
 */
static uint64_t jump_body(const struct elf_file *elf, uint64_t poll)
{
	uint8_t bytes[INSN_MAX_LEN];
	ssize_t have = elf_read_some(elf, poll, bytes, sizeof(bytes));
	uint64_t offset = 0;
	struct insn insn;

	if (have <= 0 || insn_decode(bytes, have, poll, &insn) || insn.flow != INSN_JUMP ||
	    !insn.has_target || elf_vaddr_to_offset(elf, insn.target, &offset))
		return 0;
	return offset;
}

static struct live_binary *binary_add(struct live *live, uint32_t target,
				      const struct watch_object *object)
{
	uint32_t room = live->kernel->max_sites - 1 - live->sites_count;
	struct live_binary *binary;

	live->binaries = xgrow(live->binaries, &live->binaries_cap, live->binaries_count + 1,
			       sizeof(*live->binaries));
	binary = &live->binaries[live->binaries_count++];
	*binary = (struct live_binary){
		.target = target,
		.object = object,
		.first_site = live->sites_count,
		.sites = object->found.sites_count < room ? object->found.sites_count : room,
	};
	live->sites = xgrow(live->sites, &live->sites_cap, live->sites_count + binary->sites + 1,
			    sizeof(*live->sites));
	for (uint32_t i = 0; i < binary->sites; i++) {
		struct live_site *site = &live->sites[live->sites_count++];
		const struct runtime_site *found = &object->found.sites[i];

		*site = (struct live_site){
			.target = target,
			.binary = live->binaries_count - 1,
			.found = found,
		};
		elf_vaddr_to_offset(object->object->elf, found->poll, &site->offset);
		site->body = jump_body(object->object->elf, found->poll);
	}
	return binary;
}

/* A function that several task types have in common: which type it is, each header has to tell. */
static void mark_shared(struct live *live, const struct live_binary *binary,
			const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];

		if (probe->program != PLAN_SPAWN && probe->sharing > 1 &&
		    probe->site < binary->sites)
			live->kernel->sites[binary->first_site + probe->site].shared |=
				probe->program == PLAN_POLL ? WIRE_SHARED_POLL :
							      WIRE_SHARED_DEALLOC;
	}
}

bool live_wanted(const struct live *live, enum plan_program program)
{
	static const unsigned int levels[PLAN_PROGRAMS] = {
		[PLAN_POLL] = 1,  [PLAN_RETURN] = 1,   [PLAN_DEALLOC] = 2,
		[PLAN_PANIC] = 2, [PLAN_SCHEDULE] = 3,
	};

	return live->opts.level >= levels[program] && (program != PLAN_RETURN || live->opts.exact);
}

static int program_fd(const struct live *live, enum plan_program program)
{
	const int fds[PLAN_PROGRAMS] = {
		[PLAN_RETURN] = live->kernel->on_return_fd,
		[PLAN_POLL] = live->kernel->on_poll_fd,
		[PLAN_DEALLOC] = live->kernel->on_dealloc_fd,
		[PLAN_SCHEDULE] = live->kernel->on_schedule_fd,
		[PLAN_PANIC] = live->kernel->on_panic_fd,
	};

	return fds[program];
}

/* The end of a task must be seen from its first poll on, or its row would outlive it. */
static const enum plan_program attached[] = {PLAN_DEALLOC, PLAN_POLL, PLAN_RETURN, PLAN_SCHEDULE,
					     PLAN_PANIC};
#define ATTACHED (sizeof(attached) / sizeof(attached[0]))

/* Probes of one program that the plan has. */
static void gather(struct live *live, struct live_binary *binary, const struct plan *plan,
		   enum plan_program program)
{
	struct live_probes *out = &binary->probes[program];
	bool poll = program == PLAN_POLL;

	out->list = xcalloc(plan->count + 1, sizeof(*out->list));
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];
		struct live_site *site;

		if (probe->program != program || probe->site >= binary->sites)
			continue;
		site = &live->sites[binary->first_site + probe->site];
		site->stepped |= poll && probe->class == INSN_STEPPED;
		site->off |= poll && probe->refused;
		if (!probe->refused)
			out->list[out->count++] = (struct link_site){
				.offset = probe->offset,
				.cookie = WIRE_COOKIE(binary->first_site + probe->site,
						      probe->task_in, probe->task_offset),
			};
	}
}

/*
 * Since 6.11 a return probe is a system call of its own, which until 6.14 a seccomp filter that does not
 * know of it answers by ending the process (fixed by "seccomp: passthrough uretprobe systemcall
 * without filtering", also in some stable releases in between, which the number does not tell).
 */
static bool returns_deadly(const struct proc *proc)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (!proc_filtered(proc))
		return false;
	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major == 6 && minor >= 11 && minor < 14;
}

int live_attach_program(struct live *live, struct live_binary *binary, enum plan_program program,
			uint64_t *cost, struct err *err)
{
	const struct object *object = binary->object->object;
	struct live_probes *probes = &binary->probes[program];
	struct link_set *set = &binary->links[program];
	size_t kept = 0;
	int ret;

	if (!probes->count || set->keeper)
		return 0;
	if (program == PLAN_RETURN && returns_deadly(object->proc)) {
		binary->no_exact = "this kernel's return probes would end a process that has a "
				   "seccomp filter";
		return 0;
	}
	ret = (program == PLAN_RETURN ? link_attach_returns : link_attach)(
		set, program_fd(live, program), object->path, object->proc->pid, probes->list,
		probes->count, err);
	if (ret)
		return ret;
	*cost += link_cpu_ns(set);
	/* What was refused is not tried again. */
	for (size_t i = 0; i < probes->count; i++) {
		if (!probes->list[i].error)
			probes->list[kept++] = probes->list[i];
		else if (program == PLAN_POLL)
			live->sites[(uint32_t)probes->list[i].cookie].off = true;
	}
	probes->count = kept;
	return 0;
}

int live_attach_again(struct live *live, struct live_binary *binary, uint64_t *cost,
		      struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < ATTACHED && !ret; i++)
		if (live_wanted(live, attached[i]))
			ret = live_attach_program(live, binary, attached[i], cost, err);
	return ret;
}

static void detach(struct live_binary *binary)
{
	live_spawn_detach(binary);
	for (int i = 0; i < PLAN_PROGRAMS; i++) {
		link_detach(&binary->links[i]);
		free(binary->probes[i].list);
		binary->probes[i] = (struct live_probes){0};
	}
	link_detach(&binary->window);
}

/*
 * Which task types have their wakes seen: schedule is often one function for many. Tokio does not
 * call it for a task that is made ready while it is polled; async-task always does.
 */
static void mark_wakes(struct live *live, const struct live_binary *binary, const struct plan *plan)
{
	const struct runtime_found *found = &binary->object->found;
	bool tokio = found->ops->family == WIRE_TOKIO;
	struct map probed;

	map_init(&probed, plan->count + 1);
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];

		if (probe->program == PLAN_SCHEDULE && !probe->refused &&
		    probe->site < binary->sites)
			map_put(&probed, found->sites[probe->site].schedule, 0, 1);
	}
	for (uint32_t i = 0; i < binary->sites; i++) {
		struct live_site *site = &live->sites[binary->first_site + i];

		site->wakes_seen = map_get(&probed, found->sites[i].schedule, 0) != MAP_NONE;
		site->wakes_apart = site->wakes_seen && tokio;
	}
	map_free(&probed);
}

/* --exact, where that is safe. */
static void gather_returns(struct live *live, struct live_binary *binary, struct plan *plan)
{
	uint32_t probed = 0;

	plan_add_returns(plan, &binary->object->found);
	gather(live, binary, plan, PLAN_RETURN);
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];

		if (probe->program != PLAN_RETURN)
			continue;
		if (probe->refused)
			binary->no_exact = probe->refused;
		probed += !probe->refused;
	}
	/* With some of them it is what it is: a type without has its polls end as without --exact. */
	if (probed)
		binary->no_exact = NULL;
}

int live_exact_possible(const struct live *live, struct err *err)
{
	const char *why = NULL;

	for (size_t i = 0; i < live->binaries_count; i++) {
		if (!live->binaries[i].no_exact)
			return 0;
		why = live->binaries[i].no_exact;
	}
	return why ? err_set(err, -ENOTSUP, "--exact cannot be used here: %s; leave it out", why) :
		     0;
}

int live_attach_object(struct live *live, uint32_t target, const struct watch_object *object,
		       struct err *err)
{
	struct live_binary *binary = binary_add(live, target, object);
	uint64_t unused = 0;
	struct plan plan;
	int ret = 0;

	if (object->found.types_later && live->opts.level) {
		ret = live_usdt_attach(live, binary, err);
		goto out;
	}
	sites_publish(live, binary, &object->found);
	if (!live->opts.level)
		goto out;
	/* What is not attached at a lowered level may come when it is raised. */
	plan_make(&plan, object->object, &object->found, live->level_asked);
	mark_shared(live, binary, &plan);
	for (size_t i = 0; i < ATTACHED; i++)
		if (attached[i] != PLAN_RETURN)
			gather(live, binary, &plan, attached[i]);
	if (live->exact_asked)
		gather_returns(live, binary, &plan);
	ret = live_attach_again(live, binary, &unused, err);
	if (!ret) {
		mark_wakes(live, binary, &plan);
		live_spawn_plan(live, binary, &plan);
	}
	plan_clear(&plan);
out:
	/* The pid could have been reused between the look and the attach: then nothing stays. */
	if (!ret && !proc_same(object->object->proc)) {
		detach(binary);
		live_usdt_release(live, binary);
		ret = err_set(err, -ESRCH, "process %d ended during the attach",
			      object->object->proc->pid);
	}
	return ret;
}

void live_detach_begin(struct live *live)
{
	for (size_t i = 0; i < live->binaries_count; i++) {
		for (int p = 0; p < PLAN_PROGRAMS; p++)
			link_detach_try(&live->binaries[i].links[p]);
		link_detach_try(&live->binaries[i].window);
	}
}

/* Nothing of the binary is probed or known any more. */
static void binary_end(struct live *live, struct live_binary *binary)
{
	detach(binary);
	live_usdt_release(live, binary);
	for (uint32_t s = 0; s < binary->sites; s++)
		live->sites[binary->first_site + s].found = NULL;
	binary->object = NULL;
}

void live_detach_target(struct live *live, uint32_t target)
{
	live_stacks_forget(live, target);
	live_census_forget(live, target);
	live_sentinel_forget(live, target);
	live_channels_forget(live, target);
	live_budget_forget(live, target);
	live->targets[target].spawn = (struct live_spawn){0};
	for (size_t i = 0; i < live->binaries_count; i++) {
		struct live_binary *binary = &live->binaries[i];

		if (binary->target == target)
			binary_end(live, binary);
	}
}

bool live_binary_is(const struct live_binary *binary, const char *path)
{
	char *name;
	bool same;

	if (!binary->object)
		return false;
	name = text_sanitize_dup(binary->object->object->name);
	same = !strcmp(name, path);
	free(name);
	return same;
}

int live_announce_site(struct live *live, struct emit *emit, uint32_t id)
{
	const struct live_site *site = &live->sites[id];
	struct event event = {.as_site = {
				      .site = id,
				      .binary = site->binary,
				      .kind = site->found->kind,
				      .name = site->found->name,
				      .scheduler = site->found->scheduler,
				      .name_from = site->found->name_from,
				      .ambiguous = site->found->ambiguous,
				      .size = site->found->allocated,
				      .offset = site->offset,
				      .body = site->body,
				      .location = site->found->location,
				      .no_spawns = live_spawn_why(live, site),
			      }};

	return live_emit(emit, EV_SITE, site->target, &event);
}

static int announce_binary(struct live *live, struct emit *emit, uint32_t id)
{
	const struct live_binary *binary = &live->binaries[id];
	const struct object *object = binary->object->object;
	const char *version = binary->object->found.version;
	char *path = text_sanitize_dup(object->name);
	struct event event = {
		.as_binary = {
			.binary = id,
			.path = path,
			.build_id = object->elf->build_id[0] ? object->elf->build_id : NULL,
			.runtime = runtime_found_name(&binary->object->found),
			.version = version[0] ? version : NULL,
			.task_types = binary->object->found.types_later ?
					      TASK_TYPES_LATER :
					      binary->object->found.sites_count,
		}};
	int ret = live_emit(emit, EV_BINARY, binary->target, &event);

	if (!ret && binary->no_exact)
		ret = live_note(emit, binary->target, NOTE_WARNING,
				"--exact: returns of polls are not probed in %s: %s", path,
				binary->no_exact);
	if (!ret && binary->sites < binary->object->found.sites_count)
		ret = live_note(emit, binary->target, NOTE_WARNING,
				"%zu of %zu task types are not watched: no room for more than %u",
				binary->object->found.sites_count - binary->sites,
				binary->object->found.sites_count, live->kernel->max_sites);
	if (!ret && binary->object->found.probes_of_others)
		ret = live_note(
			emit, binary->target, NOTE_INFO,
			"%s carries probes of provider tokio, as tokio-dtrace makes them: left "
			"alone, since the task types tell the same and their names",
			path);
	free(path);
	return ret;
}

/* Sends what a reader has to know before the first event that refers to it. */
int live_announce(struct live *live, struct emit *emit)
{
	int ret = 0;

	for (; !ret && live->announced_binaries < live->binaries_count; live->announced_binaries++)
		if (live->binaries[live->announced_binaries].object)
			ret = announce_binary(live, emit, live->announced_binaries);
	for (; !ret && live->announced_sites < live->sites_count; live->announced_sites++)
		if (live->sites[live->announced_sites].found)
			ret = live_announce_site(live, emit, live->announced_sites);
	return ret;
}

/* What could not be looked at as it should. */
int live_look_notes(struct live *live, struct emit *emit, uint32_t target)
{
	char *text = watch_take_note(live->targets[target].watch);
	int ret = 0;

	for (; text && !ret; text = watch_take_note(live->targets[target].watch)) {
		ret = live_note(emit, target, NOTE_WARNING, "%s", text);
		free(text);
	}
	free(text);
	return ret;
}

/* Objects that were unmapped (dlclose); what they have shown is announced first. */
static int look_for_gone(struct live *live, struct emit *emit, uint32_t target)
{
	struct watch *watch = live->targets[target].watch;
	int ret = watch_mark_gone(watch) ? live_usdt_look(live, emit) : 0;

	for (size_t i = 0; i < live->binaries_count && !ret; i++) {
		struct live_binary *binary = &live->binaries[i];
		char *name;

		if (binary->target != target || !binary->object || !binary->object->gone)
			continue;
		name = text_sanitize_dup(binary->object->object->name);
		ret = live_note(emit, target, NOTE_INFO, "%s is not mapped any more", name);
		free(name);
		binary_end(live, binary);
	}
	return ret;
}

int live_fetch_notes(struct live *live, struct emit *emit)
{
	bool failed = false;
	char *text;
	int ret = 0;

	while (!ret && (text = debuginfod_take_note(live->opts.debuginfod, &failed))) {
		ret = live_note(emit, ID_NONE, failed ? NOTE_WARNING : NOTE_INFO, "%s", text);
		free(text);
	}
	return ret;
}

/* A runtime that came later, by dlopen or after an exec. */
int live_look(struct live *live, struct emit *emit, uint32_t target)
{
	struct live_target *t = &live->targets[target];
	struct err err = {0};
	size_t added = 0;
	int ret;

	ret = t->looking ? 0 : look_for_gone(live, emit, target);
	if (ret)
		return ret;
	ret = watch_scan_step(t->watch, &added, &err);
	t->looking = ret == -EINPROGRESS;
	if (ret && ret != -ENOTSUP && ret != -EPERM)
		return 0;
	if (ret)
		return live_note(emit, target, NOTE_WARNING, "%s", err.msg);
	ret = live_look_notes(live, emit, target);
	if (ret)
		return ret;
	for (size_t i = t->watch->count - added; i < t->watch->count; i++) {
		ret = live_attach_object(live, target, t->watch->objects[i], &err);
		if (ret)
			return live_note(emit, target, NOTE_WARNING, "%s", err.msg);
	}
	return added ? live_announce(live, emit) : 0;
}

/* The same process, another program: the old probes went with its memory. */
int live_exec(struct live *live, struct emit *emit, uint32_t target)
{
	struct live_target *t = &live->targets[target];
	struct event event = {0};
	char *exe;
	int ret;

	/* What it had shown, from which nothing comes any more. */
	ret = live_drain(live, emit);
	if (ret)
		return ret;
	t->exec_pending = false;
	live_detach_target(live, target);
	watch_reset(t->watch);
	t->watch->unrelocated = false;
	if (proc_refresh(t->watch->proc, NULL))
		return 0;
	exe = text_sanitize_dup(t->watch->proc->exe);
	ret = live_note(emit, target, NOTE_INFO, "process %d now runs %s", t->watch->proc->pid,
			exe);
	free(exe);
	if (!ret) {
		event.as_target_end.reason = TARGET_EXECED;
		event.as_target_end.status = -1;
		ret = live_emit(emit, EV_TARGET_END, target, &event);
	}
	live_budget_open(live, target);
	t->look_until = emit->now + LOOK_NS;
	live->announced = false;
	live->scan.execed |= 1ULL << target;
	return ret;
}

/*
 * A hit whose header carries a vtable that no site has: then what we think of this function is
 * wrong, and none of its numbers can be trusted.
 */
int live_check_sites(struct live *live, struct emit *emit)
{
	struct kernel *k = live->kernel;
	int ret = 0;

	for (uint32_t id = 0; id < live->sites_count && !ret; id++) {
		struct live_site *site = &live->sites[id];
		uint64_t mismatched = 0;

		for (uint32_t cpu = 0; cpu < k->cpus; cpu++)
			mismatched += k->stats[(size_t)cpu * k->max_sites + id].mismatched;
		if (!mismatched || site->off || !site->found)
			continue;
		site->off = true;
		k->sites[id].kind = WIRE_SITE_OFF;
		ret = live_note(emit, site->target, NOTE_WARNING,
				"%s is switched off: its probe met a task of another type",
				site->found->name);
	}
	return ret;
}
