// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runtime instances, told apart by their scheduler handle, and their queue depths. */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#include <stdio.h>
#include <string.h>

#define QUEUE_ATTEMPTS 3

static void queues_open(struct live *live, struct live_runtime *runtime)
{
	const struct live_binary *binary = &live->binaries[runtime->binary];
	const struct live_site *site = &live->sites[runtime->site];
	const struct runtime_depths *depths;
	struct err err = {0};

	runtime->attempts++;
	if (!binary->object)
		return;
	runtime->ops = binary->object->found.ops->queues;
	if (!runtime->ops) {
		snprintf(runtime->why, sizeof(runtime->why), "not read of %s",
			 runtime_found_name(&binary->object->found));
		return;
	}
	if (runtime->ops->open(
		    &(struct runtime_query){
			    .memory = &live->targets[runtime->target].watch->memory,
			    .object = binary->object->object,
			    .found = &binary->object->found,
			    .handle = runtime->handle,
			    .site = site->found,
			    .header = runtime->header,
			    .process_threads = proc_threads(
				    live->targets[runtime->target].watch->proc),
		    },
		    &runtime->queues, &err)) {
		snprintf(runtime->why, sizeof(runtime->why), "%.159s", err.msg);
		return;
	}
	depths = live_depths(runtime, &err);
	if (!depths)
		return;
	runtime->flavor = depths->flavour;
	runtime->workers = depths->workers;
}

const struct runtime_depths *live_depths(const struct live_runtime *runtime, struct err *err)
{
	const struct runtime_depths *depths = NULL;

	if (!runtime->queues || runtime->ops->sample(runtime->queues, &depths, err))
		return NULL;
	return depths;
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

/* A task of a runtime that was first met without one: its queues may be found with it. */
static void learn_task(struct live_runtime *runtime, uint32_t site, uint64_t header)
{
	if (runtime->header || !header)
		return;
	runtime->site = site;
	runtime->header = header;
	if (!runtime->queues)
		runtime->attempts = 0;
}

/* The site says what the handle is of; a task type that is still to be met does as well. */
static bool site_tells(const struct live *live, uint32_t site)
{
	if (site >= live->sites_count)
		return false;
	return live->sites[site].found ||
	       (live->sites[site].unmet && live->binaries[live->sites[site].binary].object);
}

uint32_t live_runtime_of(struct live *live, struct emit *emit, uint32_t target, uint32_t site,
			 uint64_t handle, uint64_t header)
{
	uint64_t id = map_get(&live->runtime_ids, handle, target);
	const struct runtime_site *found;
	struct live_runtime *runtime;

	if (id != MAP_NONE) {
		learn_task(&live->runtimes[id], site, header);
		return id;
	}
	if (!handle || !site_tells(live, site) || live->runtimes_count >= LIVE_MAX_RUNTIMES)
		return ID_NONE;
	found = live->sites[site].found;
	live->runtimes = xgrow(live->runtimes, &live->runtimes_cap, live->runtimes_count + 1,
			       sizeof(*live->runtimes));
	id = live->runtimes_count++;
	runtime = &live->runtimes[id];
	*runtime = (struct live_runtime){
		.target = target,
		.binary = live->sites[site].binary,
		.handle = handle,
		.site = site,
		.header = header,
		.flavor = found ? found->flavor : FLAVOR_UNKNOWN,
		.workers = -1,
		.root_site = ID_NONE,
	};
	map_put(&live->runtime_ids, handle, target, id);
	queues_open(live, runtime);
	announce(live, emit, id);
	return id;
}

static int64_t depth_of(const struct runtime_depth *depth, const char **reason)
{
	if (depth->known)
		return depth->value;
	*reason = depth->why;
	return -1;
}

/* Of several that tell of one pool of the process, the first does: its work waits once. */
static bool pool_is_told(const struct live *live, uint32_t id)
{
	for (uint32_t i = 0; i < id; i++)
		if (live->runtimes[i].tells_pool &&
		    live->runtimes[i].target == live->runtimes[id].target &&
		    live->runtimes[i].binary == live->runtimes[id].binary)
			return true;
	return false;
}

static void pool_depths(struct live *live, uint32_t id, const struct runtime_depths *d,
			struct ev_queues *q, const char **reason)
{
	live->runtimes[id].tells_pool = d->pool_of_process && !pool_is_told(live, id);
	if (d->pool_of_process && !live->runtimes[id].tells_pool) {
		q->blocking_queue = q->blocking_threads = q->blocking_idle = -1;
		*reason = "the blocking pool is the process's: another runtime tells of it";
		return;
	}
	q->blocking_queue = depth_of(&d->blocking, reason);
	q->blocking_threads = depth_of(&d->threads, reason);
	q->blocking_idle = depth_of(&d->idle_threads, reason);
}

static int emit_depths(struct live *live, struct emit *emit, uint32_t id,
		       const struct runtime_depths *d)
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
	pool_depths(live, id, d, q, &reason);
	q->workers = q->local < 0 ? 0 : n;
	q->local_each = each;
	q->reason = reason;
	q->source = "target memory";
	return live_emit(emit, EV_QUEUES, live->runtimes[id].target, &event);
}

static int emit_unknown(struct live *live, struct emit *emit, uint32_t id)
{
	uint32_t each[WIRE_DEPTHS];
	struct event event = {.as_queues = {
				      .runtime = id,
				      .inject = -1,
				      .local = -1,
				      .alive = -1,
				      .blocking_queue = -1,
				      .blocking_threads = -1,
				      .blocking_idle = -1,
			      }};

	if (!live_usdt_depths(live, &live->runtimes[id], &event.as_queues, each))
		event.as_queues.reason = live->runtimes[id].why;
	return live_emit(emit, EV_QUEUES, live->runtimes[id].target, &event);
}

int live_queues(struct live *live, struct emit *emit, bool slow)
{
	int ret = 0;

	for (uint32_t id = 0; id < live->runtimes_count && !ret; id++) {
		struct live_runtime *runtime = &live->runtimes[id];
		const struct runtime_depths *depths;
		struct err err = {0};

		if (live->targets[runtime->target].ended)
			continue;
		if (!runtime->queues && runtime->attempts < QUEUE_ATTEMPTS) {
			queues_open(live, runtime);
			if (runtime->queues)
				ret = announce(live, emit, id);
		}
		if (ret)
			break;
		depths = live_depths(runtime, &err);
		/* Some runtimes gain and lose workers. */
		if (depths && runtime->workers != (int32_t)depths->workers) {
			runtime->workers = depths->workers;
			ret = announce(live, emit, id);
		}
		if (ret)
			break;
		if (depths) {
			ret = emit_depths(live, emit, id, depths);
			continue;
		}
		if (err.msg[0])
			snprintf(runtime->why, sizeof(runtime->why), "%.159s", err.msg);
		ret = emit_unknown(live, emit, id);
	}
	return ret ? ret : live_channels(live, emit, slow);
}

void live_queues_close(struct live *live)
{
	for (size_t i = 0; i < live->runtimes_count; i++)
		if (live->runtimes[i].queues)
			live->runtimes[i].ops->close(live->runtimes[i].queues);
	live_channels_free(live);
}

bool live_drives_root(const struct live *live, uint32_t runtime)
{
	const struct watch_object *object;
	const struct live_runtime *r;

	if (runtime >= live->runtimes_count)
		return false;
	r = &live->runtimes[runtime];
	object = live->binaries[r->binary].object;
	/* An executor of async-task has no threads: they run it below a block_on of their own. */
	return r->flavor == FLAVOR_CURRENT_THREAD ||
	       (object && object->found.ops->family == WIRE_ASYNC_TASK);
}

uint32_t live_root_site(struct live *live, struct emit *emit, uint32_t target, uint32_t runtime)
{
	struct live_runtime *r = runtime == ID_NONE ? NULL : &live->runtimes[runtime];
	uint32_t *site = r ? &r->root_site : &live->targets[target].root_site;
	struct event event = {.as_site = {
				      .binary = r ? r->binary : ID_NONE,
				      .kind = SITE_TASK,
				      .name = "root future of block_on",
				      .name_from = NAME_NONE,
				      .by_stacks = true,
			      }};

	if (*site != ID_NONE || live->sites_count + 1 >= live->kernel->max_sites)
		return *site;
	live->sites = xgrow(live->sites, &live->sites_cap, live->sites_count + 1,
			    sizeof(*live->sites));
	*site = live->sites_count++;
	/* It has no probe and no statistics: the loops over sites pass by what is not `found`. */
	live->sites[*site] = (struct live_site){.target = target, .binary = event.as_site.binary};
	event.as_site.site = *site;
	if (live_emit(emit, EV_SITE, target, &event))
		return ID_NONE;
	return *site;
}
