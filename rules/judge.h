/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The judge's memory between two ticks: findings, open polls, conditions that must last. All of it
 * is allocated once; private to eval.c, polls.c and findings.c.
 *
 * A finding is the sum of what is settled (`done`: polls that ended), what may still change (polls
 * that are open, judged anew at each tick) and what holds now (`state`: cases of the other scopes).
 */
#ifndef RULES_JUDGE_H
#define RULES_JUDGE_H

#include "rules/rule_impl.h"

#define NS_PER_SEC 1000000000ULL
#define SLOT_NONE UINT16_MAX
#define SLOT_BUCKETS 1024
#define TRACKERS 2048
#define HOLDS 4096
#define PROBES 16

/* A part of a finding; f.count == 0: empty. */
struct part {
	struct finding f;
	const struct rule_case *rc; /* of the worst occurrence */
	double worst;		    /* its measure */
	uint64_t first_end_ns;	    /* of all occurrences, when the one ended that ended first */
};

struct slot {
	struct part shown; /* shown.f is what readers see */
	struct part done, state;
	bool used;
	uint16_t next; /* in its bucket */
	uint64_t key;
	bool live, was_live; /* an open poll contributes, or did at the tick before */
	bool open_poll;	     /* of those, one is surely open now */
	bool worst_open;     /* that is the worst occurrence of all */
	uint64_t begin_ns;   /* start of the earliest of these */
	bool state_open;     /* state held, or did within close_after */
	bool dirty;	     /* done or state changed */
	bool pending;	     /* a change that readers have not been told */
	uint64_t seen_ns;    /* when state held last */
	uint64_t told_ns;    /* when revision grew last, and with which severity */
	enum severity told_severity;
	uint64_t stack_key; /* of the stack that the message was made with, 0: none */
	uint64_t spawn_key; /* likewise of the spawn */
	uint64_t cause_key; /* likewise of what it is an effect of, and of what it stands for */
};

/* An open poll, until its end has been counted. */
struct tracker {
	enum { TRACKER_FREE, TRACKER_OPEN, TRACKER_GONE, TRACKER_DONE } state;
	uint32_t target;
	uint64_t since_ns; /* OPEN: last seen; GONE, DONE: since when */
	uint64_t claimed;  /* rules that held while it was open */
	struct ev_poll poll;
};

/* Since when a case has held for an object; valid while judged at each round. */
struct hold {
	uint64_t key;			/* rule, case, object; 0 free */
	uint64_t round;			/* judged last */
	uint64_t seen_ns;		/* when */
	uint64_t since_ns[CASE_LEVELS]; /* 0: does not hold */
};

struct judge {
	struct slot slots[FINDINGS_MAX];
	uint16_t buckets[SLOT_BUCKETS];
	const struct finding *list[FINDINGS_MAX];
	size_t list_count;
	uint64_t evicted, revision;
	struct tracker trackers[TRACKERS];
	uint32_t trackers_used;
	struct hold holds[HOLDS];
	uint64_t polls_seq;
	uint64_t round, site_round;
	uint64_t sites_ns; /* when sites were judged last */
	struct site_notes notes;
};

/* What a case says of one object. */
struct verdict {
	const struct rule *rule;
	const struct rule_case *rc;
	enum severity severity;
	enum evidence evidence;
};

/* One occurrence: a poll, or a state that holds. */
struct occurrence {
	struct verdict verdict;
	const struct field_ctx *ctx;
	uint32_t target, runtime, site, tid;
	uint64_t task;
	uint64_t begin_ns, end_ns;
	int32_t syscall;
	bool loose;
};

/* eval.c: the worst level that holds for the object of the context; false: none does. */
bool case_judge(const struct rule *rule, const struct rule_case *rc, const struct field_ctx *ctx,
		struct verdict *out);
uint32_t case_window(const struct rule *rule, const struct rule_case *rc);
/* Whether all stacks that are known of the site are no fault to the rule. */
bool site_exempt(const struct site_notes *notes, const struct rule *rule, uint32_t site);
bool rule_exempts(const struct rule *rule, const struct field_ctx *ctx);
uint64_t mix64(uint64_t x);

/* polls.c: judges the polls that ended since the last tick, and those that are open. */
void polls_eval(struct rules *rules, const struct model *m);

/* findings.c */
/* The finding of the rule about `key`: a site, a runtime, a target. NULL: there is none. */
struct slot *finding_slot(struct judge *j, const struct rule *rule, uint64_t key);
void findings_begin(struct judge *j);
void finding_settle(struct judge *j, const struct model *m, const struct occurrence *o);
void finding_open_poll(struct judge *j, const struct model *m, const struct occurrence *o,
		       bool open);
void finding_state(struct judge *j, const struct model *m, const struct occurrence *o);
void findings_end(struct judge *j, const struct model *m);
/* Whether the case opened a finding about this that is still open; *severity: that of it. */
bool finding_is_open(struct judge *j, const struct occurrence *o, enum severity *severity);
/* Whether a rule that this one gives way to has an open finding about the same. */
bool finding_gives_way(struct judge *j, const struct rules *rules, const struct model *m,
		       const struct occurrence *o);

/* causes.c: which findings are effects of others. */
void causes_find(struct judge *j);

#endif
