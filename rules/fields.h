/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of model fields that a rule may use. The loader checks names, units and scopes
 * against it, the judge reads values through it, the documentation is printed from it.
 *
 * A getter returns false when the value is not known; a condition on an unknown value does not
 * hold, and a message shows it as n/a. Durations are nanoseconds, ratios 0..1.
 */
#ifndef RULES_FIELDS_H
#define RULES_FIELDS_H

#include "rules/rule.h"

enum field_unit { UNIT_NS, UNIT_COUNT, UNIT_RATIO, UNIT_BYTES, UNIT_PER_SECOND, UNIT_BOOL };

/* "ns", "count", "ratio", "bytes", "per_second", "bool" */
const char *field_unit_name(enum field_unit unit);

/*
 * A second-by-second account of one site that the model does not keep: blocked time in polls that
 * were too short to be reported one by one. Written by the judge for sites that block at all.
 */
struct site_note {
	uint64_t long_blocked_ns;    /* blocked time of its reported polls, cumulative */
	struct series short_blocked; /* site.blocked_ns without it, a value a second */
};

#define SITE_NOTES 2048 /* sites that can have one */

struct site_notes {
	uint16_t of[MODEL_MAX_SITES]; /* site id -> 1 + index, 0: none */
	struct site_note notes[SITE_NOTES];
	uint32_t count;
	uint64_t second;
	struct {
		uint64_t stacks; /* taken when it was looked at */
		uint64_t rules;	 /* bits of those to which all of them are no fault */
		uint64_t calls;	 /* bits of those whose calls one of them shows */
	} exempt[MODEL_MAX_SITES];
};

/* What a getter may look at; members that do not apply are NULL. */
struct field_ctx {
	const struct model *m;
	const struct site_notes *notes;
	uint32_t rule;	   /* index of the one that asks */
	uint32_t window_s; /* of the case, 1..SERIES_LEN - 1 */
	const struct ev_poll *poll;
	bool poll_open; /* open, or seen open by the rule that asks */
	const struct site *site;
	const struct worker *worker;
	const struct runtime *runtime;
	const struct target *target;
};

/* What has to be observed for the field to have a value; arming.c asks the model for it. */
enum field_need {
	NEED_NOTHING,
	NEED_POLLS, /* level 1: each poll is seen */
	NEED_LONG,  /* or at level 0, once it is known where to look */
	NEED_CPU,   /* not at level 0 */
	NEED_TASKS, /* level 2 */
	NEED_WAKES, /* level 3 */
	NEED_SELF,  /* level 3, and a scheduler whose wakes are told apart */
	NEED_QUEUES,
	NEED_INJECT,
	NEED_ALIVE,
	NEED_POOL,
	NEED_CHANNELS, /* level 2, and a channel found */
	NEED_PANICS,   /* level 2, and a symbol of the function that each panic goes through */
	NEED_SAMPLES,  /* level 1, and CPUs that can be sampled */
	NEED_LOCKS,    /* level 2, and frames that name the lock's functions */
	NEED_WAKERS,   /* level 2, and a runtime whose tasks count them */
	NEED_GUARDS,   /* level 2, and debug information, once tasks wait for locks */
};

struct field {
	const char *name;      /* "poll.blocked" */
	enum rule_scope scope; /* poll fields: scope poll only; target fields: everywhere */
	enum field_unit unit;
	enum evidence evidence;
	bool poll_length; /* never more than the poll's length */
	enum field_need need;
	bool windowed; /* looks at the case's window */
	const char *meaning;
	bool (*get)(const struct field_ctx *ctx, double *out);
};

extern const struct field fields[];
extern const size_t fields_count;

/* Reads the value; false when it, or the object that it is of, is not known. */
bool field_get(const struct field *f, const struct field_ctx *ctx, double *out);
const struct field *field_find(const char *name);
/* May a case of this scope use the field? Its object must follow from the scope's own. */
bool field_in_scope(const struct field *f, enum rule_scope scope);
/* "poll", "site", "worker", "runtime", "target" */
const char *scope_name(enum rule_scope scope);

/*
 * The site that held workers of the target longest in the last `seconds`, and how long; where the
 * watch has no history yet, the one that most workers are in now, with 0; ID_NONE: none.
 */
uint32_t field_culprit(const struct model *m, uint32_t target, uint32_t seconds, uint64_t *held_ns);

#endif
