// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where polls were sampled: which of the samples are at the reference count of an Arc. An interrupt
 * comes when an instruction is done, so what took the time is the one before the place, more often
 * than the one at it.
 *
 * An Arc is known by what surrounds its count, which is the same wherever the compiler has inlined it:
 * up, and a branch to what ends the program should the count overflow; down, and a branch around the
 * drop of what it held. Each place in the code is looked at once.
 */
#include "attach/live_priv.h"

#include "target/insn.h"
#include <string.h>

#define PLACES_MAX 16384
#define BEFORE 16
#define BEHIND 48
#define FRAME_EVERY_NS 100000000ULL

static const uint8_t ud2[] = {0x0f, 0x0b};

struct place {
	const struct memory *memory;
	uint64_t base;
	uint8_t code[BEFORE + BEHIND];
};

/* The program is ended there. */
static bool ends(const struct place *p, int64_t at)
{
	uint8_t bytes[sizeof(ud2)];

	return !memory_read(p->memory, p->base + (uint64_t)at, bytes, sizeof(bytes)) &&
	       !memcmp(bytes, ud2, sizeof(ud2));
}

static bool counts_at(const struct place *p, size_t at)
{
	int64_t branch, next;

	switch (insn_counts(p->code, sizeof(p->code), at, &branch, &next)) {
	case INSN_COUNT_UP: return ends(p, branch) || ends(p, next);
	case INSN_COUNT_DOWN: return true;
	case INSN_NO_COUNT: break;
	}
	return false;
}

enum place_is { PLACE_OTHER, PLACE_BEHIND_COUNT, PLACE_AT_COUNT };

static enum place_is place_is(const struct memory *memory, uint64_t ip)
{
	struct place p = {.memory = memory, .base = ip - BEFORE};
	struct insn in;

	if (ip < BEFORE || memory_read(memory, p.base, p.code, sizeof(p.code)))
		return PLACE_OTHER;
	if (counts_at(&p, BEFORE))
		return PLACE_BEHIND_COUNT;
	if (!insn_decode_flow(p.code + BEFORE, BEHIND, ip, &in) &&
	    counts_at(&p, (size_t)BEFORE + in.len))
		return PLACE_AT_COUNT;
	return PLACE_OTHER;
}

static void on_sample(struct live *live, const struct wire_sample *rec)
{
	struct live_site *site;
	uint64_t known;

	if (rec->site >= live->sites_count || rec->head.target >= live->targets_count ||
	    live->targets[rec->head.target].ended)
		return;
	site = &live->sites[rec->site];
	if (site->unmet || site->target != rec->head.target)
		return;
	known = map_get(&live->places, rec->ip, rec->head.target);
	if (known == MAP_NONE) {
		known = place_is(&live->targets[rec->head.target].watch->memory, rec->ip);
		if (live->places.count >= PLACES_MAX || !live->places.max)
			live_samples_forget(live);
		map_put(&live->places, rec->ip, rec->head.target, known);
	}
	site->samples++;
	site->refcounts += known != PLACE_OTHER;
	/* Some of them are enough to tell where most are. */
	if (known == PLACE_OTHER || rec->head.time_ns - site->refcount_ns < FRAME_EVERY_NS)
		return;
	site->refcount_ns = rec->head.time_ns;
	live_stack_place(live, rec, known == PLACE_BEHIND_COUNT ? rec->ip - 1 : rec->ip);
}

void live_in_poll(struct live *live, const void *data, size_t size)
{
	const struct wire_head *head = data;

	if (head->kind == WIRE_SAMPLE && size >= sizeof(struct wire_sample))
		on_sample(live, data);
	else if (head->kind == WIRE_PANIC && size >= sizeof(struct wire_panic))
		live_panic(live, data);
}

bool live_samples_come(const struct live *live)
{
	return live->stacks && live->opts.level && live->kernel->sampling;
}

void live_samples_forget(struct live *live)
{
	map_free(&live->places);
	map_init(&live->places, PLACES_MAX);
}
