// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where tasks are spawned: probes that are in a target in windows, or the place that a task of a
 * tokio_unstable build holds.
 *
 * A window takes a number of hits, and its allowance fills up as time goes by; a program that spawns
 * less than that keeps its probes. One that spawns more uses the window up, the probes go, and the
 * pause before the next window doubles each time: so a storm of spawns costs a few milliseconds of
 * the target in half a minute.
 */
#include "attach/live_priv.h"

#include "stack/origin.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <string.h>

#define WINDOW_HITS 1000 /* a second: less than 0.1 % of a core, */
#define STEPPED_HITS 100 /* and single-stepped */
#define PAUSE_MIN_NS 1000000000ULL
#define PAUSE_MAX_NS 32000000000ULL
#define CALM_NS 10000000000ULL /* a window that lasts so long ends the doubling */
#define FILE_MAX 1024	       /* bytes of a source path */
#define LINE_MAX_SANE 10000000

void live_spawn_plan(struct live *live, struct live_binary *binary, const struct plan *plan)
{
	if (live->opts.no_spawns)
		return;
	live_spawn_close(live, binary->target); /* the next window has those of this binary, too */
	binary->spawns = xcalloc(plan->count, sizeof(*binary->spawns));
	for (size_t i = 0; i < plan->count; i++) {
		const struct plan_probe *probe = &plan->probes[i];
		bool any = probe->site == RUNTIME_ANY, stepped = probe->class == INSN_STEPPED;
		uint32_t site = any ? WIRE_NO_SITE : binary->first_site + probe->site;

		if (probe->program != PLAN_SPAWN || probe->refused ||
		    (!any && probe->site >= binary->sites))
			continue;
		binary->spawns[binary->spawns_count++] = (struct link_site){
			.offset = probe->offset,
			.cookie = WIRE_SPAWN_COOKIE(site, binary->target, stepped),
		};
		binary->spawns_stepped |= stepped;
	}
}

static const char *const spawns_why[] = {
	[SPAWNS_KNOWN] = NULL,
	[SPAWNS_NO_SYMBOL] = "no function that makes its tasks has a symbol",
	[SPAWNS_STRIPPED] = "the binary is stripped: no symbol says where tasks are made",
};

const char *live_spawn_why(const struct live *live, const struct live_site *site)
{
	const struct live_binary *binary = &live->binaries[site->binary];
	bool looked_for = site->found->spawn_word || binary->spawns_count;

	if (live->level_asked < 2)
		return "spawns are looked at from level 2 on";
	if (live->opts.no_spawns)
		return "stacks or spawns are switched off";
	if (spawns_why[site->found->spawns])
		return spawns_why[site->found->spawns];
	if (!looked_for)
		return live_found(live, site - live->sites)->spawns_count ?
			       "the functions that make tasks cannot be probed" :
			       "spawns of this runtime are not looked at";
	return NULL;
}

/* --- windows ------------------------------------------------------------------------- */

static bool next_of(struct live *live, uint32_t target, size_t *i)
{
	while (*i < live->binaries_count &&
	       (live->binaries[*i].target != target || !live->binaries[*i].object))
		++*i;
	return *i < live->binaries_count;
}

static int64_t allowance(struct live *live, uint32_t target)
{
	int64_t hits = 0;

	for (size_t i = 0; next_of(live, target, &i); i++) {
		if (live->binaries[i].spawns_stepped)
			return STEPPED_HITS;
		if (live->binaries[i].spawns_count)
			hits = WINDOW_HITS;
	}
	return hits;
}

static int open_window(struct live *live, uint32_t target, uint64_t now, struct err *err)
{
	struct live_spawn *spawn = &live->targets[target].spawn;
	int64_t hits = allowance(live, target);
	int ret = 0;

	spawn->since_ns = spawn->filled_ns = now;
	if (!hits)
		return 0;
	kernel_set_spawn_left(live->kernel, target, hits);
	for (size_t i = 0; next_of(live, target, &i) && !ret; i++) {
		struct live_binary *binary = &live->binaries[i];
		const struct object *object = binary->object->object;

		ret = link_attach(&binary->links[PLAN_SPAWN], live->kernel->on_spawn_fd,
				  object->path, object->proc->pid, binary->spawns,
				  binary->spawns_count, err);
	}
	spawn->state = SPAWN_IN;
	return ret;
}

void live_spawn_begin(struct live *live, uint32_t target, uint64_t now)
{
	struct err err = {0};

	if (!live->opts.no_spawns && open_window(live, target, now, &err))
		live_spawn_close(live, target);
}

void live_spawn_close(struct live *live, uint32_t target)
{
	struct live_spawn *spawn = &live->targets[target].spawn;

	if (spawn->state != SPAWN_IN)
		return;
	spawn->state = SPAWN_LEAVING;
	for (size_t i = 0; next_of(live, target, &i); i++)
		link_detach_try(&live->binaries[i].links[PLAN_SPAWN]);
}

static void go_on_leaving(struct live *live, uint32_t target, uint64_t now)
{
	struct live_spawn *spawn = &live->targets[target].spawn;
	bool done = true;

	for (size_t i = 0; next_of(live, target, &i); i++)
		done &= link_detach_try(&live->binaries[i].links[PLAN_SPAWN]);
	if (!done)
		return;
	if (!spawn->pause_ns || now - spawn->since_ns >= CALM_NS)
		spawn->pause_ns = PAUSE_MIN_NS;
	else if (spawn->pause_ns < PAUSE_MAX_NS)
		spawn->pause_ns *= 2;
	spawn->state = SPAWN_OUT;
	spawn->since_ns = now;
}

/* The window's allowance grows with time, up to the whole of it. */
static void fill_up(struct live *live, uint32_t target, uint64_t now)
{
	struct live_spawn *spawn = &live->targets[target].spawn;
	int64_t hits = allowance(live, target), left = kernel_spawn_left(live->kernel, target);
	int64_t more = (int64_t)((now - spawn->filled_ns) * (uint64_t)hits / 1000000000ULL);

	if (left < 1 || more < 1)
		return;
	spawn->filled_ns = now;
	kernel_set_spawn_left(live->kernel, target, left + more < hits ? left + more : hits);
}

/* Nothing but spawn sites is missing then: it is said, and tried again. */
static int window_failed(struct live *live, struct emit *emit, uint32_t target,
			 const struct err *err)
{
	live->targets[target].spawn.pause_ns = PAUSE_MAX_NS;
	live_spawn_close(live, target);
	if (!proc_same(live->targets[target].watch->proc))
		return 0;
	return live_note(emit, target, NOTE_WARNING, "where tasks are spawned is not known: %s",
			 err->msg);
}

int live_spawn_tick(struct live *live, struct emit *emit)
{
	int ret = 0;

	for (uint32_t target = 0; target < live->targets_count && !ret; target++) {
		struct live_spawn *spawn = &live->targets[target].spawn;
		struct err err = {0};

		if (live->opts.no_spawns || live->targets[target].ended)
			continue;
		if (spawn->state == SPAWN_IN)
			fill_up(live, target, emit->now);
		else if (spawn->state == SPAWN_LEAVING)
			go_on_leaving(live, target, emit->now);
		else if (live->opts.level >= 2 && emit->now - spawn->since_ns >= spawn->pause_ns &&
			 open_window(live, target, emit->now, &err))
			ret = window_failed(live, emit, target, &err);
	}
	return ret;
}

void live_spawn_detach(struct live_binary *binary)
{
	free(binary->spawns);
	binary->spawns = NULL;
	binary->spawns_count = 0;
}

/* --- places --------------------------------------------------------------------------- */

/* struct core::panic::Location. */
struct location {
	uint64_t file, len;
	uint32_t line, column;
};

/* Read from the target, so it may be anything: a path of printable text that ends in ".rs". */
static bool place_read(const struct memory *memory, uint64_t at, struct location *location,
		       char *file, size_t size)
{
	if (memory_read(memory, at, location, sizeof(*location)) || location->len < 4 ||
	    location->len >= size || !location->line || location->line > LINE_MAX_SANE ||
	    !location->column || location->column > LINE_MAX_SANE ||
	    memory_read(memory, location->file, file, location->len))
		return false;
	file[location->len] = '\0';
	if (strlen(file) != location->len || strcmp(file + location->len - 3, ".rs") != 0)
		return false;
	for (const char *p = file; *p; p++)
		if ((unsigned char)*p < ' ')
			return false;
	return true;
}

int live_spawn_place(struct live *live, struct emit *emit, uint32_t site, uint64_t location)
{
	const struct live_site *s = &live->sites[site];
	const struct object *object = live->binaries[s->binary].object->object;
	char file[FILE_MAX], clean[FILE_MAX];
	struct frame frame = {.from = FRAME_FROM_PLACE};
	struct event event = {0};
	struct location place;
	char *path;
	int ret;

	if (!place_read(&live->targets[s->target].watch->memory, location, &place, file,
			sizeof(file)) ||
	    elf_vaddr_to_offset(object->elf, location - object->bias, &frame.offset))
		return 0;
	text_sanitize(clean, sizeof(clean), file, place.len);
	path = text_sanitize_dup(object->name);
	frame.file = clean;
	frame.line = place.line;
	frame.column = place.column;
	frame.origin = origin_of_file(clean);
	frame.binary = path;
	event.as_stack = (struct ev_stack){
		.runtime = ID_NONE,
		.site = site,
		.poll_start_ns = emit->now,
		.kind = STACK_SPAWN,
		.syscall = -1,
		.end = STACK_COMPLETE,
		.frames = &frame,
		.frames_count = 1,
	};
	ret = live_emit(emit, EV_STACK, s->target, &event);
	free(path);
	return ret;
}
