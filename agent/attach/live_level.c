// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The level, and the probes of returns (--exact), given up over the overhead budget and taken back:
 * one level for all targets. When and what is decided in budget.c.
 *
 * What was not looked at for a while leaves holes. A raise begins as an attach in the middle of a run
 * does: rows of tasks begin anew, wakes from before tell nothing, and tasks of before are told of
 * once their headers have proven that they live.
 */
#include "attach/live_sample.h"

#include <string.h>

static void take_out(struct live *live, enum plan_program program)
{
	for (size_t i = 0; i < live->binaries_count; i++)
		link_detach_try(&live->binaries[i].links[program]);
}

/* What was taken out is out: until then the keepers are at it. */
static bool is_out(struct live *live, enum plan_program program)
{
	bool out = true;

	for (size_t i = 0; i < live->binaries_count; i++)
		if (live->binaries[i].links[program].sock < 0)
			out &= link_detach_try(&live->binaries[i].links[program]);
	return out;
}

static int put_in(struct live *live, enum plan_program program, struct err *err)
{
	for (size_t i = 0; i < live->binaries_count; i++) {
		struct live_binary *binary = &live->binaries[i];
		int ret;

		if (!binary->object || live->targets[binary->target].ended)
			continue;
		ret = live_attach_program(live, binary, program, &live->windows_ns, err);
		/* One that ended meanwhile is told of at the next tick. */
		if (ret && proc_same(live->targets[binary->target].watch->proc))
			return ret;
	}
	return 0;
}

uint64_t live_lowered_ns(const struct live *live, uint64_t now)
{
	return live->lowered_ns + (live->lowered_since ? now - live->lowered_since : 0);
}

/* The level in force is another, or `exact`: readers know at once, and all statistics are told again. */
static int tell(struct live *live, struct emit *emit)
{
	if (live->opts.level == live->level_asked && live->opts.exact == live->exact_asked) {
		live->lowered_ns = live_lowered_ns(live, emit->now);
		live->lowered_since = 0;
	}
	for (uint32_t i = 0; i < live->targets_count; i++)
		if (live->targets[i].budget)
			budget_follow(&live->targets[i].budget->control, emit->now,
				      (uint8_t)live->opts.level, live->opts.exact);
	for (size_t i = 0; i < live->sites_count; i++)
		live->sites[i].checksum = UINT64_MAX;
	return live_cost(live, emit);
}

int live_level_lower(struct live *live, struct emit *emit, const struct live_budget *lb)
{
	unsigned int from = live->opts.level, level = lb->control.level;
	int ret;

	if (level >= from)
		return 0;
	live->opts.level = level;
	live->lowerings++;
	live->lowered_since = live->lowered_since ? live->lowered_since : emit->now;
	kernel_set_lowered(live->kernel, level);
	if (level < 2) {
		for (uint32_t i = 0; i < live->targets_count; i++)
			live_spawn_close(live, i);
		live_tasks_stop(live);
	}
	take_out(live, level >= 2 ? PLAN_SCHEDULE : PLAN_DEALLOC);
	ret = tell(live, emit);
	return ret ? ret :
		     live_budget_say(live, emit, ID_NONE, lb,
				     "the level is lowered from %u to %u until the load has fallen",
				     from, level);
}

/* What a return probe costs is as much as the entry's. */
int live_level_loosen(struct live *live, struct emit *emit, const struct live_budget *lb)
{
	int ret;

	if (!live->opts.exact)
		return 0;
	live->opts.exact = false;
	live->lowerings++;
	live->lowered_since = live->lowered_since ? live->lowered_since : emit->now;
	take_out(live, PLAN_RETURN);
	ret = tell(live, emit);
	return ret ? ret :
		     live_budget_say(live, emit, ID_NONE, lb,
				     "returns of polls are not probed any more (--exact) until the "
				     "load has fallen");
}

/* --- and back --------------------------------------------------------------------------------- */

static bool all_quiet(const struct live *live, uint64_t now)
{
	for (uint32_t i = 0; i < live->targets_count; i++)
		if (live->targets[i].budget &&
		    !budget_may_rise(&live->targets[i].budget->control, now))
			return false;
	return true;
}

/* No wake from before the probes came may be taken for the one that a poll followed. */
static void wakes_begin(struct live *live)
{
	for (uint32_t i = 0; i < live->targets_count; i++)
		kernel_set_since(live->kernel, i, UINT64_MAX);
	kernel_wakes_begin(live->kernel);
	kernel_set_lowered(live->kernel, 3);
	live->wakes_ns = live_now();
	for (uint32_t i = 0; i < live->targets_count; i++)
		kernel_set_since(live->kernel, i, live->wakes_ns);
}

static void tasks_begin(struct live *live)
{
	uint64_t now = live_now();

	for (uint32_t id = 0; id < live->sites_count; id++)
		live_tasks_again(live, id, now);
	live_tasks_stop(live);
}

static int not_raised(struct live *live, struct emit *emit, enum plan_program program,
		      const struct err *err)
{
	take_out(live, program);
	for (uint32_t i = 0; i < live->targets_count; i++)
		if (live->targets[i].budget)
			budget_not_raised(&live->targets[i].budget->control);
	return live_note(emit, ID_NONE, NOTE_WARNING,
			 "the load has fallen, but what was given up cannot come back now: %s",
			 err->msg);
}

static int tighten(struct live *live, struct emit *emit)
{
	int ret;

	live->opts.exact = true;
	ret = tell(live, emit);
	return ret ? ret :
		     live_note(emit, ID_NONE, NOTE_INFO,
			       "the load has fallen: returns of polls are probed again (--exact)");
}

int live_level_raise(struct live *live, struct emit *emit, const struct live_budget *lb)
{
	enum plan_program program;
	struct err err = {0};
	uint8_t level;
	bool exact;
	int ret;

	budget_raised(&lb->control, &level, &exact);
	program = level == lb->control.level ? PLAN_RETURN :
		  level >= 3		     ? PLAN_SCHEDULE :
					       PLAN_DEALLOC;
	if (!all_quiet(live, emit->now) || !is_out(live, program))
		return 0;
	ret = put_in(live, program, &err);
	/* Of what came at a lower level; those that were in before have stayed. */
	if (!ret && program == PLAN_DEALLOC)
		ret = put_in(live, PLAN_PANIC, &err);
	if (ret)
		return not_raised(live, emit, program, &err);
	if (program == PLAN_RETURN)
		return tighten(live, emit);
	if (level >= 3)
		wakes_begin(live);
	else
		tasks_begin(live);
	kernel_set_lowered(live->kernel, level);
	live->opts.level = level;
	ret = tell(live, emit);
	return ret ? ret :
		     live_note(emit, ID_NONE, NOTE_INFO,
			       "the load has fallen: the level is %u again%s", level,
			       level == 2 ? "; tasks that came and went meanwhile were not seen" :
					    "");
}
