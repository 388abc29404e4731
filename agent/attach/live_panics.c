// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Panics inside polls. Tokio catches them, and the task ends; who has its JoinHandle can learn of it,
 * and nobody else. A panic that the task itself catches is none: so each is looked at again a second
 * later, when a task that ended by it is gone or complete.
 */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#include <string.h>

#define PANICS 256
#define SETTLE_NS 1000000000ULL

struct live_panics {
	struct wire_panic list[PANICS];
	uint32_t count;
};

void live_panic(struct live *live, const struct wire_panic *rec)
{
	if (rec->site >= live->sites_count || rec->head.target >= live->targets_count ||
	    live->sites[rec->site].unmet || live->sites[rec->site].target != rec->head.target)
		return;
	if (!live->panics)
		live->panics = xcalloc(1, sizeof(*live->panics));
	/* What is not looked at again is not counted: the counts are lower bounds. */
	if (live->panics->count < PANICS)
		live->panics->list[live->panics->count++] = *rec;
}

/* Whether the task goes on. */
static bool lives(const struct live *live, const struct wire_panic *rec)
{
	const struct runtime_site *site = live->sites[rec->site].found;
	uint64_t words[WIRE_HEADER_READ + 1];
	struct runtime_state state = {0};

	if (memory_read(&live->targets[rec->head.target].watch->memory, rec->header, words,
			sizeof(words)) ||
	    !runtime_header_is(live_found(live, rec->site), site, words, rec->header, rec->task_id))
		return false;
	live_found(live, rec->site)->ops->state(words[site->state_word & 7], &state);
	return !state.complete;
}

static void settle(struct live *live, const struct wire_panic *rec)
{
	struct live_site *site = &live->sites[rec->site];
	struct runtime_state then = {0};

	if (!site->found || live->targets[rec->head.target].ended || lives(live, rec))
		return;
	live_found(live, rec->site)->ops->state(rec->state, &then);
	site->panics++;
	site->panics_lost += !then.has_handle;
}

void live_panics_tick(struct live *live, uint64_t now)
{
	struct live_panics *p = live->panics;
	uint32_t done = 0;

	while (p && done < p->count && p->list[done].head.time_ns + SETTLE_NS <= now)
		settle(live, &p->list[done++]);
	if (!done)
		return;
	p->count -= done;
	memmove(p->list, p->list + done, p->count * sizeof(p->list[0]));
}

bool live_panics_come(const struct live *live, const struct live_site *site)
{
	/* Not in the moments without probes. */
	return live->binaries[site->binary].links[PLAN_PANIC].attached &&
	       !live->opts.overhead_check;
}
