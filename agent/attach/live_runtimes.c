// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runtime instances, told apart by their scheduler handle, and their queue depths. */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#include <stdio.h>
#include <string.h>

#define QUEUE_ATTEMPTS 3

static const enum runtime_flavor flavors[] = {
	[TOKIO_FLAVOUR_UNKNOWN] = FLAVOR_UNKNOWN,
	[TOKIO_FLAVOUR_MULTI_THREAD] = FLAVOR_MULTI_THREAD,
	[TOKIO_FLAVOUR_CURRENT_THREAD] = FLAVOR_CURRENT_THREAD,
	[TOKIO_FLAVOUR_LOCAL] = FLAVOR_LOCAL,
};

/* The owner id of a task of this runtime sharpens the check of its structures; 0: not known. */
static uint64_t owner_id(const struct live *live, const struct live_runtime *runtime,
			 const struct live_site *site, uint64_t header)
{
	uint64_t words[8];

	if (!header || !site->found ||
	    memory_read(&live->targets[runtime->target].watch->memory, header, words,
			sizeof(words)))
		return 0;
	if (words[2] != site->found->vtable ||
	    words[site->found->sched_word & 7] != runtime->handle)
		return 0;
	return words[3];
}

/* What the binary's own debug information says, read once. */
static const struct tokio_layout *dwarf_layout(struct live_binary *binary)
{
	struct elf_section section;
	const struct elf_file *elf;

	if (binary->layout_tried || !binary->object)
		return binary->layout;
	binary->layout_tried = true;
	elf = binary->object->object->elf;
	if (elf_section(elf, ".debug_info", &section))
		return NULL;
	binary->layout = xmalloc(sizeof(*binary->layout));
	if (tokio_layout_from_file(elf->fd, binary->layout, NULL)) {
		free(binary->layout);
		binary->layout = NULL;
	}
	return binary->layout;
}

static void queue_open(struct live *live, struct live_runtime *runtime)
{
	struct live_binary *binary = &live->binaries[runtime->binary];
	struct tokio_query query = {
		.handle = runtime->handle,
		.version = binary->version,
		.unstable = TOKIO_UNSTABLE_UNKNOWN,
		.owner_id = runtime->owner_id,
		.layout = dwarf_layout(binary),
		.process_threads = proc_threads(live->targets[runtime->target].watch->proc),
	};
	const struct tokio_depths *depths;
	struct err err = {0};

	runtime->attempts++;
	if (!binary->version.major) {
		snprintf(runtime->why, sizeof(runtime->why), "the Tokio version is not known");
		return;
	}
	if (tokio_queue_open(&live->targets[runtime->target].watch->memory, &query, &runtime->queue,
			     &err)) {
		snprintf(runtime->why, sizeof(runtime->why), "%.159s", err.msg);
		return;
	}
	runtime->flavor = flavors[tokio_queue_flavour(runtime->queue)];
	if (!tokio_queue_sample(runtime->queue, &depths, &err))
		runtime->workers = depths->workers;
}

static int announce(struct live *live, struct emit *emit, uint32_t id)
{
	const struct live_runtime *runtime = &live->runtimes[id];
	struct event event = {.as_runtime = {
				      .runtime = id,
				      .binary = runtime->binary,
				      .flavor = runtime->flavor,
				      .handle = runtime->handle,
				      .workers = runtime->workers,
			      }};

	return live_emit(emit, EV_RUNTIME, runtime->target, &event);
}

uint32_t live_runtime_of(struct live *live, struct emit *emit, uint32_t target, uint32_t site,
			 uint64_t handle, uint64_t header)
{
	uint64_t id = map_get(&live->runtime_ids, handle, target);
	struct live_runtime *runtime;

	if (id != MAP_NONE)
		return id;
	if (!handle || site >= live->sites_count || !live->sites[site].found ||
	    live->runtimes_count >= LIVE_MAX_RUNTIMES)
		return ID_NONE;
	live->runtimes = xgrow(live->runtimes, &live->runtimes_cap, live->runtimes_count + 1,
			       sizeof(*live->runtimes));
	id = live->runtimes_count++;
	runtime = &live->runtimes[id];
	*runtime = (struct live_runtime){
		.target = target,
		.binary = live->sites[site].binary,
		.handle = handle,
		.flavor = live->sites[site].found->flavor,
		.workers = -1,
		.root_site = ID_NONE,
	};
	runtime->owner_id = owner_id(live, runtime, &live->sites[site], header);
	map_put(&live->runtime_ids, handle, target, id);
	queue_open(live, runtime);
	announce(live, emit, id);
	return id;
}

static int64_t depth_of(const struct tokio_depth *depth, const char **reason)
{
	if (depth->known)
		return depth->value;
	*reason = depth->why;
	return -1;
}

static int emit_depths(struct live *live, struct emit *emit, uint32_t id,
		       const struct tokio_depths *d)
{
	uint32_t each[QUEUES_MAX_WORKERS], n = 0;
	const char *reason = NULL;
	struct event event = {0};
	struct ev_queues *q = &event.as_queues;
	int64_t local;

	q->runtime = id;
	for (uint32_t i = 0; i < d->workers && i < QUEUES_MAX_WORKERS; i++) {
		local = depth_of(&d->local[i], &reason);
		if (local < 0 || q->local < 0) {
			q->local = -1;
			continue;
		}
		each[n++] = local;
		q->local += local;
	}
	q->inject = depth_of(&d->inject, &reason);
	q->alive = depth_of(&d->tasks, &reason);
	q->blocking_queue = depth_of(&d->blocking, &reason);
	q->blocking_threads = depth_of(&d->threads, &reason);
	q->blocking_idle = depth_of(&d->idle_threads, &reason);
	q->workers = q->local < 0 ? 0 : n;
	q->local_each = each;
	q->reason = reason;
	q->source = "target memory";
	return live_emit(emit, EV_QUEUES, live->runtimes[id].target, &event);
}

static int emit_unknown(struct live *live, struct emit *emit, uint32_t id)
{
	struct event event = {.as_queues = {
				      .runtime = id,
				      .inject = -1,
				      .local = -1,
				      .alive = -1,
				      .blocking_queue = -1,
				      .blocking_threads = -1,
				      .blocking_idle = -1,
				      .reason = live->runtimes[id].why,
			      }};

	return live_emit(emit, EV_QUEUES, live->runtimes[id].target, &event);
}

int live_queues(struct live *live, struct emit *emit)
{
	int ret = 0;

	for (uint32_t id = 0; id < live->runtimes_count && !ret; id++) {
		struct live_runtime *runtime = &live->runtimes[id];
		const struct tokio_depths *depths;
		struct err err = {0};

		if (live->targets[runtime->target].ended)
			continue;
		if (!runtime->queue && runtime->attempts < QUEUE_ATTEMPTS) {
			queue_open(live, runtime);
			if (runtime->queue)
				ret = announce(live, emit, id);
		}
		if (ret)
			break;
		if (runtime->queue && !tokio_queue_sample(runtime->queue, &depths, &err)) {
			ret = emit_depths(live, emit, id, depths);
			continue;
		}
		if (err.msg[0])
			snprintf(runtime->why, sizeof(runtime->why), "%.159s", err.msg);
		ret = emit_unknown(live, emit, id);
	}
	return ret;
}

bool live_drives_root(const struct live *live, uint32_t runtime)
{
	return runtime < live->runtimes_count &&
	       live->runtimes[runtime].flavor == FLAVOR_CURRENT_THREAD;
}

uint32_t live_root_site(struct live *live, struct emit *emit, uint32_t runtime)
{
	struct live_runtime *r = &live->runtimes[runtime];
	struct event event = {.as_site = {
				      .binary = r->binary,
				      .kind = SITE_TASK,
				      .name = "root future of block_on",
				      .name_from = NAME_NONE,
			      }};

	if (r->root_site != ID_NONE || live->sites_count + 1 >= live->kernel->max_sites)
		return r->root_site;
	live->sites = xgrow(live->sites, &live->sites_cap, live->sites_count + 1,
			    sizeof(*live->sites));
	r->root_site = live->sites_count++;
	/* It has no probe and no statistics: the loops over sites pass by what is not `found`. */
	live->sites[r->root_site] = (struct live_site){.target = r->target, .binary = r->binary};
	event.as_site.site = r->root_site;
	if (live_emit(emit, EV_SITE, r->target, &event))
		return ID_NONE;
	return r->root_site;
}
