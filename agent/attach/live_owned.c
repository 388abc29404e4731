// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * dump: the tasks that a runtime owns, read from its lists in the target's memory: also those that
 * were polled before the watch only. All lists are followed at once, one task of each a step, so that
 * a step is two system calls. The lists change meanwhile: a link that does not lead back ends a list.
 */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#include <string.h>

#define OWNED_MAX 200000 /* of one runtime */
#define TRAILER_WORDS 5
#define WAITS_MAX 4096
#define LINK_PLACES 4 /* where in a task's trailer its links may lie, in words */
#define UNKNOWN_PLACE UINT32_MAX

struct chain {
	uint64_t at, before; /* the next task to read, the one before it */
	uint64_t header[8], trailer[TRAILER_WORDS];
	uint32_t site;
};

struct walk {
	struct live *live;
	const struct live_runtime *runtime;
	uint32_t id;
	struct chain *chains;
	size_t count;
	struct memory_piece *pieces;
	uint32_t place;	  /* of the links in a trailer: the same for all of a build */
	struct map sites; /* vtable -> site */
	struct map *sent; /* (header, target): told already */
	uint64_t told;
	uint32_t waits; /* tasks whose memory may be read, beside */
	bool cut;
};

static void sites_by_vtable(struct walk *w)
{
	map_init(&w->sites, WIRE_MAX_SITES);
	for (uint32_t id = 0; id < w->live->sites_count; id++)
		if (w->live->sites[id].found && w->live->sites[id].target == w->runtime->target)
			map_put(&w->sites, w->live->sites[id].found->vtable, 0, id);
}

static void chain_end(struct walk *w, struct chain *c, bool cut)
{
	w->cut |= cut;
	c->at = 0;
}

/* Reads one piece of each chain that goes on; those that cannot be read end. */
static int step_read(struct walk *w,
		     void (*piece)(struct walk *w, struct chain *c, struct memory_piece *out))
{
	size_t n = 0;

	for (size_t i = 0; i < w->count; i++)
		if (w->chains[i].at)
			piece(w, &w->chains[i], &w->pieces[n++]);
	if (!n)
		return 1;
	if (memory_readv(&w->live->targets[w->runtime->target].watch->memory, w->pieces, n) < 0)
		return -1;
	n = 0;
	for (size_t i = 0; i < w->count; i++)
		if (w->chains[i].at && w->pieces[n++].error)
			chain_end(w, &w->chains[i], true);
	return 0;
}

static void header_piece(struct walk *w, struct chain *c, struct memory_piece *out)
{
	(void)w;
	*out = (struct memory_piece){.addr = c->at, .buf = c->header, .len = sizeof(c->header)};
}

static void trailer_piece(struct walk *w, struct chain *c, struct memory_piece *out)
{
	*out = (struct memory_piece){
		.addr = c->at + w->live->sites[c->site].found->size,
		.buf = c->trailer,
		.len = sizeof(c->trailer),
	};
}

static void headers_check(struct walk *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct chain *c = &w->chains[i];
		uint64_t site;

		if (!c->at)
			continue;
		site = map_get(&w->sites, c->header[2], 0);
		if (site == MAP_NONE || !w->live->sites[site].found->size ||
		    !runtime_header_is(live_found(w->live, site), w->live->sites[site].found,
				       c->header, c->at, 0) ||
		    c->header[w->live->sites[site].found->sched_word & 7] != w->runtime->handle)
			chain_end(w, c, true);
		else
			c->site = site;
	}
}

/* (previous, next): the head of a list has no previous one, every other leads back. */
static bool place_fits(const struct chain *c, uint32_t place)
{
	uint64_t next = c->trailer[place + 1];

	return c->trailer[place] == c->before && next != c->at && next % 8 == 0 && !(next >> 47);
}

/* At the first step: the only place at which the links of all chains fit. */
static void place_find(struct walk *w)
{
	for (uint32_t place = 0; place < LINK_PLACES; place++) {
		bool fits = true, any = false;

		for (size_t i = 0; i < w->count; i++) {
			fits &= !w->chains[i].at || place_fits(&w->chains[i], place);
			any |= w->chains[i].at &&
			       w->chains[i].trailer[place + 1] >= WIRE_STACK_PAGE;
		}
		if (fits && any) {
			w->place = place;
			return;
		}
	}
}

static int emit_owned(struct walk *w, struct emit *emit, const struct chain *c)
{
	const struct runtime_site *found = w->live->sites[c->site].found;
	struct event event = {.as_task = {
				      .key = c->at,
				      .id = c->header[found->id_word & 7],
				      .site = c->site,
				      .runtime = w->id,
			      }};
	struct runtime_state state;

	if (found->kind != SITE_TASK || map_get(w->sent, c->at, w->runtime->target) != MAP_NONE)
		return 0;
	live_found(w->live, c->site)->ops->state(c->header[found->state_word & 7], &state);
	live_task_state(&event.as_task, &state);
	if (w->waits && live_task_waits(&state)) {
		w->waits--;
		live_wait_of(w->live, c->site, c->at, &event.as_task);
	}
	return live_emit(emit, EV_TASK, w->runtime->target, &event);
}

static int chains_step(struct walk *w, struct emit *emit)
{
	int ret = step_read(w, header_piece);

	if (ret)
		return ret;
	headers_check(w);
	ret = step_read(w, trailer_piece);
	if (ret)
		return ret;
	if (w->place == UNKNOWN_PLACE)
		place_find(w);
	for (size_t i = 0; i < w->count && !ret; i++) {
		struct chain *c = &w->chains[i];

		if (!c->at)
			continue;
		ret = emit_owned(w, emit, c);
		w->told++;
		if (w->place == UNKNOWN_PLACE || !place_fits(c, w->place) || w->told > OWNED_MAX) {
			chain_end(w, c, w->place != UNKNOWN_PLACE);
			continue;
		}
		c->before = c->at;
		c->at = c->trailer[w->place + 1];
	}
	return ret;
}

static int walk_runtime(struct live *live, struct emit *emit, uint32_t id, struct map *sent)
{
	struct walk w = {.live = live,
			 .runtime = &live->runtimes[id],
			 .id = id,
			 .sent = sent,
			 .waits = WAITS_MAX};
	uint64_t *heads;
	int ret = 0;

	w.place = UNKNOWN_PLACE;
	if (!w.runtime->queues || !w.runtime->ops->lists ||
	    w.runtime->ops->lists(w.runtime->queues, &heads, &w.count))
		return 0;
	w.chains = xcalloc(w.count, sizeof(*w.chains));
	w.pieces = xcalloc(w.count, sizeof(*w.pieces));
	for (size_t i = 0; i < w.count; i++)
		w.chains[i].at = heads[i];
	sites_by_vtable(&w);
	while (!ret)
		ret = chains_step(&w, emit);
	map_free(&w.sites);
	free(w.pieces);
	free(w.chains);
	free(heads);
	return ret < 0 ? ret : 0;
}

int live_owned_tasks(struct live *live, struct emit *emit, struct map *sent)
{
	int ret = 0;

	for (uint32_t id = 0; id < live->runtimes_count && !ret; id++)
		if (!live->targets[live->runtimes[id].target].ended)
			ret = walk_runtime(live, emit, id, sent);
	return ret;
}
