// SPDX-License-Identifier: LGPL-2.1-or-later
/* What watching costs: hits counted exactly, times the cost of one, measured at the start. */
#include "attach/calibrate.h"
#include "attach/live_priv.h"
#include "util/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Runs before any target is probed: what it counted is taken off all later totals. */
int live_calibrate(struct live *live, struct err *err)
{
	struct kernel *k = live->kernel;
	struct calibration costs;
	struct wire_slot slot;
	int ret = calibrate_hits(k, &costs, err);

	if (ret)
		return ret;
	live->hit_ns = costs.hit_ns;
	live->stepped_hit_ns = costs.stepped_hit_ns;
	for (uint32_t i = 0; i < kernel_slots(k); i++)
		if (kernel_slot(k, i, &slot) && slot.target == CALIBRATION_TARGET)
			live->calibration_slot = i;
	kernel_totals(k, &live->baseline);
	live->last_totals = live->baseline;
	return 0;
}

/* A file of /proc is dear: once a second. */
static uint64_t agent_rss_bytes(struct live *live, uint64_t now_ns)
{
	FILE *statm;
	long pages;

	if (live->agent_rss_ns && now_ns - live->agent_rss_ns < 1000000000ULL)
		return live->agent_rss_bytes;
	live->agent_rss_ns = now_ns;
	live->agent_rss_bytes = 0;
	statm = fopen("/proc/self/statm", "re");
	if (!statm)
		return 0;
	if (fscanf(statm, "%*s %ld", &pages) == 1 && pages > 0)
		live->agent_rss_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
	fclose(statm);
	return live->agent_rss_bytes;
}

static void sum_slots(const struct live *live, struct ev_cost *cost)
{
	uint32_t count = kernel_slots(live->kernel);

	for (uint32_t i = 0; i < count; i++) {
		struct wire_slot slot;

		if (i == live->calibration_slot || !kernel_slot(live->kernel, i, &slot))
			continue;
		cost->hits += slot.hits;
		cost->emitted += slot.emitted;
		cost->filtered += slot.filtered;
		cost->lost += slot.lost;
	}
}

/* A thread that ends between the slots and the totals would be counted twice or not at all. */
static void sum_hits(const struct live *live, struct ev_cost *cost)
{
	const struct wire_totals *base = &live->baseline;
	struct wire_totals before, after;
	uint64_t missed;

	do {
		cost->hits = cost->emitted = cost->filtered = cost->lost = 0;
		kernel_totals(live->kernel, &before);
		sum_slots(live, cost);
		kernel_totals(live->kernel, &after);
	} while (before.hits != after.hits);
	missed = kernel_missed(live->kernel);
	cost->hits += after.hits - base->hits + missed;
	cost->emitted += after.emitted - base->emitted;
	cost->filtered += after.filtered - base->filtered;
	cost->lost += after.lost - base->lost + missed;
	cost->spawn_hits = after.spawn_hits;
}

static uint64_t stepped_hits(const struct live *live)
{
	struct wire_site_stats sum;
	struct wire_totals totals;
	uint64_t hits;

	kernel_totals(live->kernel, &totals);
	hits = totals.spawn_stepped;
	for (uint32_t id = 0; id < live->sites_count; id++)
		if (live->sites[id].stepped)
			hits += live_site_sum(live, id, &sum) + sum.unsized;
	return hits;
}

static int emit_loss(struct live *live, struct emit *emit)
{
	struct wire_totals now, *last = &live->last_totals;
	uint64_t refused = live_stacks_refused(live);
	int ret = 0;

	kernel_totals(live->kernel, &now);
	const struct {
		const char *stage;
		enum lost_what what;
		uint64_t count;
	} stages[] = {
		{"ring", LOST_EVENTS, now.ring_lost - last->ring_lost},
		{"threads", LOST_EVENTS, now.slots_lost - last->slots_lost},
		{"tasks", LOST_EVENTS, now.tasks_lost - last->tasks_lost},
		{"nesting", LOST_EVENTS, now.nesting_lost - last->nesting_lost},
		{"stack ring", LOST_STACKS, now.stacks_lost - last->stacks_lost},
		{"unwinder", LOST_STACKS, refused - live->last_refused},
		{"stack limit", LOST_STACKS_LIMITED, now.stacks_limited - last->stacks_limited},
	};

	*last = now;
	live->last_refused = refused;
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]) && !ret; i++) {
		struct event event = {.as_lost = {
					      .stage = stages[i].stage,
					      .what = stages[i].what,
					      .count = stages[i].count,
				      }};

		if (stages[i].count)
			ret = live_emit(emit, EV_LOST, ID_NONE, &event);
	}
	return ret;
}

int live_cost(struct live *live, struct emit *emit)
{
	struct event event = {0};
	struct ev_cost *cost = &event.as_cost;
	int ret;

	sum_hits(live, cost);
	cost->cost_ns = (cost->hits + cost->spawn_hits) * live->hit_ns;
	if (live->stepped_hit_ns > live->hit_ns)
		cost->cost_ns += stepped_hits(live) * (live->stepped_hit_ns - live->hit_ns);
	for (uint32_t i = 0; i < live->targets_count; i++) {
		struct live_target *t = &live->targets[i];
		uint64_t cpu = t->ended ? 0 : proc_cpu_ns(t->watch->proc);

		if (cpu > t->cpu_last)
			t->cpu_last = cpu;
		cost->target_cpu_ns += t->cpu_last - t->cpu_first;
	}
	cost->agent_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - live->agent_cpu_begin;
	cost->agent_rss_bytes = agent_rss_bytes(live, emit->now);
	for (uint32_t i = 0; i < live->sites_count; i++) {
		if (!live->sites[i].found)
			continue;
		if (live->sites[i].off || live_sampled(live, i))
			cost->sites_off++;
		else
			cost->sites_on++;
	}
	cost->cost_ns += live->windows_ns;
	cost->level = live->opts.level;
	for (size_t i = 0; live->opts.exact && i < live->binaries_count; i++)
		cost->exact |= live->binaries[i].links[PLAN_RETURN].attached > 0;
	live_budget_cost(live, emit->now, cost);
	cost->sentinel = live_sentinel_sees(live);
	ret = emit_loss(live, emit);
	return ret ? ret : live_emit(emit, EV_COST, ID_NONE, &event);
}
