// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Workers that were given away. Tokio's block_in_place first has another thread run the worker's
 * loop, as work of the blocking pool: a poll of that kind with polls of tasks inside. Which thread
 * gave it is not to be seen from outside; a poll during which a loop began, before the time that is
 * asked about, may be the one. Programs with line tables show the function in their stacks: the
 * rules ask those first.
 */
#include "attach/live_priv.h"

/* The other thread may have to be made, and gets a CPU when it can. */
#define HANDOFF_LATE_NS 5000000ULL
#define HANDOFF_GUESS_NS 1000000000ULL
/* Loops last; the look at all slots is for many polls. */
#define HANDOFF_LOOK_NS 2000000ULL

/*
 * The worker loop that this thread runs, or work of the pool that may be one: nothing of its type has
 * polled a task yet, and none has ended. NULL: neither.
 */
static const struct wire_poll *loop_of(struct live *live, const struct wire_slot *slot)
{
	const struct wire_poll *outer = &slot->polls[0];
	struct live_site *site;

	if (slot->depth == 0 || outer->kind != WIRE_SITE_BLOCKING ||
	    outer->site >= live->sites_count)
		return NULL;
	site = &live->sites[outer->site];
	if (slot->depth > 1)
		site->loops = true;
	return site->loops || !site->checksum ? outer : NULL;
}

static void look(struct live *live, uint64_t now)
{
	struct live_handoffs *h = &live->handoffs;
	uint32_t count = kernel_slots(live->kernel);

	if (h->looked_ns && now < h->looked_ns + HANDOFF_LOOK_NS)
		return;
	h->looked_ns = now;
	h->count = 0;
	for (uint32_t i = 0; i < count && h->count < HANDOFFS_MAX; i++) {
		const struct wire_poll *loop;
		struct wire_slot slot;

		if (!kernel_slot(live->kernel, i, &slot))
			continue;
		loop = loop_of(live, &slot);
		if (loop)
			h->list[h->count++] = (struct live_handoff){
				.target = slot.target,
				.tid = slot.tid,
				.sched = slot.sched,
				.start_ns = loop->start_ns,
				.known = live->sites[loop->site].loops,
			};
	}
}

/*
 * A computation that is given away is so as the poll begins, a block right before it. Work that only
 * may be a worker's loop speaks for a computation of less than a second: one that never ends is told.
 */
static bool is_near(const struct live_handoff *one, const struct wire_poll *poll, uint64_t block_ns,
		    uint64_t now)
{
	if (one->start_ns < poll->start_ns)
		return false;
	if (one->start_ns < poll->start_ns + HANDOFF_LATE_NS &&
	    (one->known || block_ns || now < poll->start_ns + HANDOFF_GUESS_NS))
		return true;
	return block_ns && one->start_ns + HANDOFF_LATE_NS > block_ns &&
	       one->start_ns < block_ns + HANDOFF_LATE_NS;
}

bool live_handed_off(struct live *live, const struct emit *emit, uint32_t target, uint32_t tid,
		     const struct wire_poll *poll, uint64_t block_ns)
{
	const struct live_handoffs *h = &live->handoffs;
	const struct runtime_found *found = live_found(live, poll->site);

	if (!found || found->ops->family != WIRE_TOKIO)
		return false;
	look(live, emit->now);
	for (uint32_t i = 0; i < h->count; i++) {
		const struct live_handoff *one = &h->list[i];

		if (one->target == target && one->tid != tid &&
		    (!one->sched || one->sched == poll->sched) &&
		    is_near(one, poll, block_ns, emit->now))
			return true;
	}
	return false;
}
