// SPDX-License-Identifier: LGPL-2.1-or-later
/* dump: one look at everything, at the end of its short watch; see live_census.h. */
#include "attach/live_census.h"
#include "attach/live_locks.h"

#include <poll.h>

#define STACKS_NS 1000000000ULL /* the most that is waited for stacks, */
#define SAMPLES_NS 40000000ULL	/* and for a sample of a thread that has a CPU */

/* The poll that a thread with a slot is in; false: in none. */
static bool slot_poll(const struct live *live, const struct census_thread *t, struct wire_poll *out)
{
	struct wire_slot slot;

	if (!t->look.slot || !kernel_slot(live->kernel, t->look.slot - 1, &slot) || !slot.depth ||
	    slot.depth > WIRE_MAX_DEPTH)
		return false;
	*out = slot.polls[slot.depth - 1];
	return out->kind == WIRE_SITE_TASK && out->site < live->sites_count;
}

int live_dump_look(struct live *live)
{
	struct census *c = live->census;
	struct wire_poll poll;
	uint32_t missed;
	int ret = 0;

	if (!c)
		return 0;
	c->slotted = true;
	c->look_ns = live_now();
	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		if (!live->targets[i].ended)
			ret = census_look(live, i, 0, true, &missed);
	for (uint32_t i = 0; i < c->count; i++) {
		struct census_thread *t = &c->threads[i];

		if (!t->used || t->looked_ns < c->look_ns)
			continue;
		if (t->look.slot) {
			t->slot_poll_ns = slot_poll(live, t, &poll) ? poll.start_ns : 0;
			t->frames_count = 0;
		}
		if (!t->copy && t->look.flags & WIRE_LOOK_ON_CPU)
			t->wanted = kernel_want(live->kernel, t->look.tid, t->target) || t->wanted;
	}
	return 0;
}

static bool all_there(const struct census *c, uint64_t now)
{
	for (uint32_t i = 0; i < c->count; i++) {
		const struct census_thread *t = &c->threads[i];

		if (t->pending || (t->used && t->copy) ||
		    (t->used && t->wanted && t->looked_ns >= c->look_ns && !t->frames_count &&
		     now < c->look_ns + SAMPLES_NS))
			return false;
	}
	return true;
}

/*
 * Only the stack of what it did at the look: a sample comes a moment later. `tell` false: so that
 * it is known what the thread waits for.
 */
static int emit_stack(struct live *live, struct emit *emit, struct census_thread *t, bool tell)
{
	bool off = t->stack_kind == STACK_OFF_CPU;
	struct wire_poll poll = {.site = ID_NONE};
	struct event event = {0};
	bool inside = slot_poll(live, t, &poll);

	if (!t->frames_count || (!inside && t->slot_poll_ns) ||
	    (inside && poll.start_ns != t->slot_poll_ns))
		return 0;
	/* Without a slot and a kind it works for no runtime. */
	if (!t->look.slot && (t->kind != CENSUS_POLL && t->kind != CENSUS_WORKER))
		return 0;
	event.as_stack = (struct ev_stack){
		.tid = t->look.tid,
		.runtime = ID_NONE,
		.site = inside		       ? poll.site :
			t->kind == CENSUS_POLL ? t->site :
						 ID_NONE,
		.task_id = inside ? poll.task_id : t->task_id,
		.poll_start_ns = inside			? poll.start_ns :
				 t->kind == CENSUS_POLL ? t->start_ns :
							  0,
		.kind = t->stack_kind,
		.span_ns = off ? t->look.asleep_ns : 0,
		.open = true,
		.now_only = true,
		.syscall = off && t->look.flags & WIRE_LOOK_ASLEEP ? t->look.syscall : -1,
		.detail = t->detail[0] ? t->detail : NULL,
		.end = t->end,
		.frames = t->frames,
		.frames_count = t->frames_count,
	};
	if (off)
		live_lock(live, emit, t->target, &t->lock, &event.as_stack);
	return tell ? live_emit(emit, EV_STACK, t->target, &event) : 0;
}

int live_dump_wait(struct live *live, struct emit *emit)
{
	struct census *c = live->census;
	struct pollfd ready = {.fd = live->fd, .events = POLLIN};
	uint64_t now;
	int ret = 0;

	if (!c)
		return 0;
	do {
		census_ask(live);
		poll(&ready, 1, 2);
		ret = live_drain(live, emit);
		now = live_now();
	} while (!ret && now < c->look_ns + STACKS_NS && !all_there(c, now));
	emit->now = now;
	return ret;
}

int live_dump_stacks(struct live *live, struct emit *emit)
{
	struct census *c = live->census;
	int ret = 0;

	/* Who has a lock may be a thread that waits for another one. */
	for (uint32_t i = 0; c && i < 2 * c->count && !ret; i++) {
		struct census_thread *t = &c->threads[i % c->count];

		if (t->used && t->looked_ns >= c->look_ns)
			ret = emit_stack(live, emit, t, i >= c->count);
	}
	return ret;
}
