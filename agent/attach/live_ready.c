// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tasks that wait ready while every worker is held, from outside in two ways: a sample of the tasks
 * that have a row, and the run queues, where those wait too that were never polled.
 */
#include "attach/live_priv.h"

#define READY_MIN_NS 5000000ULL

/*
 * From a look that is over to one that began at NOW: between the tick's time and what is read in it
 * the agent itself may have waited for a CPU.
 */
static uint64_t waited(uint64_t since, uint64_t now)
{
	return now > since ? now - since : 0;
}

/* True when every thread that works for the runtime is inside a poll. */
static bool held(const struct live *live, uint32_t runtime)
{
	const struct live_runtime *r;

	if (runtime >= live->runtimes_count)
		return false;
	r = &live->runtimes[runtime];
	/* Polls of types without a probe are not counted. */
	if (live_budget_samples(live, r->target))
		return false;
	return r->threads > 0 && r->polling >= r->threads;
}

/* Advances one sampled task; returns how long it has surely been ready, 0 when it is not. */
static uint64_t ready_step(struct live *live, struct ready_probe *probe, uint64_t word,
			   uint64_t now)
{
	const struct runtime_found *found = live_found(live, probe->site);
	struct runtime_state state = {0};
	struct wire_task row;

	if (!found || !kernel_task(live->kernel, probe->row, &row) || row.key != probe->key ||
	    row.id != probe->id) {
		probe->since_ns = 0;
		return 0;
	}
	if (live_is_usdt(live, probe->site))
		word = live_usdt_state(live, &row, probe->row);
	found->ops->state(word, &state);
	if (!state.ready) {
		probe->since_ns = 0;
		return 0;
	}
	if (!probe->since_ns || row.polls != probe->polls) {
		probe->since_ns = live_now();
		probe->polls = row.polls;
		return 0;
	}
	return waited(probe->since_ns, now);
}

static uint64_t state_offset(const struct live *live, uint32_t site)
{
	const struct runtime_site *found = live->sites[site].found;

	return found ? sizeof(uint64_t) * found->state_word : 0;
}

static int ready_target(struct live *live, struct emit *emit, uint32_t target)
{
	static const struct memory_piece empty = {0};
	struct memory_piece pieces[LIVE_READY_SAMPLE];
	uint64_t states[LIVE_READY_SAMPLE] = {0};
	uint64_t waits[LIVE_READY_SAMPLE] = {0};
	uint32_t rows[LIVE_READY_SAMPLE], n = 0, ready = 0, headers = 0;
	int ret = 0;

	for (uint32_t i = 0; i < live->ready_count; i++) {
		struct ready_probe *probe = &live->ready[i];

		if (KEY_TARGET(probe->key) != target)
			continue;
		if (!held(live, probe->runtime)) {
			probe->since_ns = 0;
			continue;
		}
		pieces[n] = empty;
		/* Its number is no address, where there is no header. */
		if (!live_is_usdt(live, probe->site)) {
			pieces[n].addr = KEY_HEADER(probe->key) + state_offset(live, probe->site);
			pieces[n].buf = &states[n];
			pieces[n].len = sizeof(states[n]);
			headers++;
		}
		rows[n++] = i;
	}
	if (!n || (headers && memory_readv(&live->targets[target].watch->memory, pieces, n) < 0))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (pieces[i].error)
			states[i] = 0;
		waits[i] = ready_step(live, &live->ready[rows[i]], states[i], emit->now);
		ready += live->ready[rows[i]].since_ns != 0;
	}
	live->ready_waiting += ready;
	for (uint32_t i = 0; i < n && !ret; i++) {
		const struct ready_probe *probe = &live->ready[rows[i]];
		struct event event = {.as_ready = {
					      .runtime = probe->runtime,
					      .site = probe->site,
					      .task_id = live_task_id(live, probe->site, probe->id),
					      .key = KEY_HEADER(probe->key),
					      .waited_ns = waits[i],
					      .ready = ready,
					      .sampled = n,
				      }};

		if (waits[i] >= READY_MIN_NS)
			ret = live_emit(emit, EV_READY, target, &event);
	}
	return ret;
}

/* Tasks in all run queues of the runtime; 0 when that is not known. */
static uint32_t queued_now(const struct live_runtime *r)
{
	struct err err = {0};
	const struct runtime_depths *depths = live_depths(r, &err);
	uint64_t sum;

	if (!depths || !depths->inject.known)
		return 0;
	sum = depths->inject.value;
	for (uint32_t i = 0; i < depths->workers; i++) {
		if (!depths->local[i].known)
			return 0;
		sum += depths->local[i].value;
	}
	return sum < UINT32_MAX ? sum : UINT32_MAX;
}

/*
 * A queued task leaves the queue by being polled: if fewer polls have begun since than tasks were
 * queued then, one of these still waits, whatever the order. As many polls as there are threads may
 * be about to begin.
 */
static int ready_queue(struct live *live, struct emit *emit, uint32_t id)
{
	struct live_runtime *r = &live->runtimes[id];
	uint64_t begun = r->polls - r->queued_polls + r->threads;
	struct event event = {.as_ready = {
				      .runtime = id,
				      .site = ID_NONE,
				      .waited_ns = waited(r->queued_ns, emit->now),
			      }};

	if (!held(live, id)) {
		r->queued = 0;
		return 0;
	}
	if (!r->queued || begun >= r->queued) {
		r->queued = queued_now(r);
		r->queued_ns = live_now();
		r->queued_polls = r->polls;
		live->ready_waiting += r->queued > r->threads;
		return 0;
	}
	live->ready_waiting++;
	if (event.as_ready.waited_ns < READY_MIN_NS)
		return 0;
	event.as_ready.ready = r->queued - begun;
	event.as_ready.sampled = r->queued;
	return live_emit(emit, EV_READY, r->target, &event);
}

int live_ready(struct live *live, struct emit *emit)
{
	int ret = 0;

	live->ready_waiting = 0;
	for (uint32_t id = 0; id < live->runtimes_count && !ret && !live->opts.no_queues; id++)
		if (!live->targets[live->runtimes[id].target].ended)
			ret = ready_queue(live, emit, id);
	for (uint32_t target = 0; target < live->targets_count && !ret && live->opts.level >= 2;
	     target++)
		if (!live->targets[target].ended)
			ret = ready_target(live, emit, target);
	return ret;
}
