/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small watched program for the tests of the judge: process 0 with a runtime of two workers
 * (threads 11 and 12) and four task types; built of events only. Times are relative to its start.
 */
#ifndef TESTS_RULES_WORLD_H
#define TESTS_RULES_WORLD_H

#include <inttypes.h>

#include "model_events.h"
#include "rules/rule_impl.h"

#define US 1000ULL
#define LEN(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

enum { SITE_HANDLER, SITE_OTHER, SITE_POOL, SITE_LOOP, SITES };
enum { TID_A = 11, TID_B = 12 };
enum { SYS_CLOCK_NANOSLEEP = 230 };

struct world {
	struct model *m;
	struct rules *rules;
	uint64_t now;
	uint32_t held; /* bits: worker A, worker B are in a poll */
	uint64_t polls[2], busy[2], blocked[2], preempted[2], searching[2];
};

void world_open(struct world *w);
void world_close(struct world *w);
void world_set(struct world *w, const char *assignment);
/* Adds a rule given as text. */
void world_rule(struct world *w, const char *text);

/* Time passes: threads are read, the model ticks, the rules are judged. */
void world_tick(struct world *w, uint64_t ns);
/* Ticks of `step` until `ns` have passed. */
void world_run(struct world *w, uint64_t ns, uint64_t step);

/* A poll that ends now. */
struct ev_poll world_poll(const struct world *w, uint32_t tid, uint32_t site, uint64_t length,
			  uint64_t blocked);
void world_closed(struct world *w, struct ev_poll poll);
/* A poll that began at `start_ns` and is open. */
void world_open_poll(struct world *w, uint32_t tid, uint32_t site, uint64_t start,
		     uint64_t blocked);
/* A block of 20 ms on worker A in clock_nanosleep, with these frames. */
struct ev_stack world_stack(const struct frame *frames, uint32_t count);
void world_send(struct world *w, struct ev_stack stack);
void world_stats(struct world *w, struct ev_site_stats stats);

size_t world_count(const struct world *w);
/* The finding of a rule about a site (ID_NONE: any); NULL: there is none. */
const struct finding *world_find(const struct world *w, const char *rule, uint32_t site);
double finding_value_of(const struct finding *f, const char *name);

#endif
