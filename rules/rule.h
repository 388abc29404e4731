/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules judge the model; findings are what they say.
 *
 * A rule is data: one JSON file, checked when loaded (load.c) against the one table of fields
 * (fields.h). eval.c walks the rules over a const struct model at each EV_TICK: bounded work, no
 * allocation. Findings live in the rule set until it is freed; sinks read them.
 */
#ifndef RULES_RULE_H
#define RULES_RULE_H

#include "model/model.h"
#include "util/err.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };

const char *severity_name(enum severity severity);

enum evidence { EVIDENCE_TRACED, EVIDENCE_SAMPLED, EVIDENCE_INFERRED };

const char *evidence_name(enum evidence evidence);

/* What a finding is about; fields of the other kinds are not available to the rule. */
enum rule_scope { SCOPE_POLL, SCOPE_SITE, SCOPE_WORKER, SCOPE_RUNTIME, SCOPE_TARGET };

#define FINDING_TASKS 16
#define FINDINGS_MAX 1024 /* open and closed; the oldest closed one makes room, counted */
#define FINDING_VALUES 12
#define FINDING_VICTIMS 4

/* A number that the rule looked at or shows, by the field's name. */
struct finding_value {
	const char *name; /* of the field, e.g. "poll.blocked" */
	const char *unit; /* "ns", "count", "ratio", "bytes", "per_second" */
	double value;
};

/* The finding that another one is an effect of; by its rule, what that groups by, and `first_ns`. */
struct finding_cause {
	const struct rule *rule; /* NULL: none */
	uint32_t site, runtime;	 /* ID_NONE when it does not apply */
	uint64_t first_ns, last_ns;
	bool open;
};

struct finding {
	const struct rule *rule;
	enum severity severity; /* the worst so far */
	enum evidence evidence;
	uint32_t target, runtime, site; /* ID_NONE when it does not apply */
	uint32_t tid;			/* worker of the worst occurrence, 0 none */
	uint32_t culprit; /* site that held the workers meanwhile, ID_NONE: not asked */
	uint64_t tasks[FINDING_TASKS]; /* latest different task ids */
	uint32_t tasks_count;
	struct victim victims[FINDING_VICTIMS]; /* tasks that waited meanwhile, longest first */
	uint32_t victims_count;
	uint64_t count; /* occurrences (polls), or times it opened */
	uint64_t first_ns, last_ns;
	uint64_t worst_ns, total_ns; /* 0 where the rule has no duration */
	bool open;		     /* holds now */
	uint64_t open_since_ns;
	int32_t syscall;  /* of the worst occurrence, -1 none */
	bool during_loss; /* overlaps an interval in which events were lost */
	bool loose;	  /* a duration in it is a lower bound */
	struct finding_value values[FINDING_VALUES];
	uint32_t values_count;
	char message[320]; /* one line, sanitised */
	uint64_t revision; /* grows with each change that a reader should see */
	/*
	 * One fault, one alarm: who counts findings leaves out those with a cause, and counts the
	 * others as `alarm`, the worst severity of it and of its effects.
	 */
	struct finding_cause cause;
	enum severity alarm;
	uint32_t effects; /* findings that it is the cause of, at any remove */
};

struct rules;

/* Reads the built-in rules. Never fails on the shipped set (a test proves it). */
int rules_load_builtin(struct rules **out, struct err *err);

/*
 * Adds or replaces rules from a file or a directory of *.json. On -EINVAL `err` holds
 * "file:line:column: what is wrong; what would be right".
 */
int rules_load_path(struct rules *rules, const char *path, struct err *err);

/* Rules as texts: what a trace keeps of those that are not built in. */
struct rule_source {
	const char *name; /* of the file */
	const char *text;
	size_t len;
};

/* Adds or replaces, as rules_load_path() does; `name` stands in errors. */
int rules_load_texts(struct rules *rules, const struct rule_source *list, size_t count,
		     struct err *err);
/* What rule `i` was loaded from, borrowed; false: it is built in. */
bool rules_source(const struct rules *rules, size_t i, struct rule_source *out);

/* "RULE.KEY=VALUE" as given to --set; -EINVAL names the rule's keys, or the rules there are. */
int rules_set(struct rules *rules, const char *assignment, struct err *err);

/* Sets the warning threshold of blocking-call and cpu-bound-poll; critical becomes ten times it. */
int rules_set_threshold(struct rules *rules, uint64_t ns, struct err *err);

/* Where blocking-call begins to warn, else cpu-bound-poll; 0: there is neither. */
uint64_t rules_threshold_ns(const struct rules *rules);

/* The smallest poll length that any rule asks for: the source need not report shorter ones. */
uint64_t rules_poll_threshold_ns(const struct rules *rules);

/* Judges the model. Call after each EV_TICK has been applied. */
void rules_eval(struct rules *rules, const struct model *m);

/* Findings in the order in which they first opened. */
size_t rules_findings(const struct rules *rules, const struct finding ***out);
/* How many findings were evicted to make room. */
uint64_t rules_evicted(const struct rules *rules);

/* Worst first: open before closed, then alarm, causes before effects, then worst_ns * count; for qsort. */
int finding_compare(const void *a, const void *b);

/* "blocking-call of shop::handler": what it is an effect of; "" when it is none. */
void finding_cause_text(const struct model *m, const struct finding *f, char *out, size_t size);

/* Forgets all findings and what was judged so far; the rules stay: a stream begins anew. */
void rules_forget(struct rules *rules);
/* Whether a rule can find anything on what is watched now: in full, in part, or not at all. */
enum arming { ARMING_ARMED, ARMING_LIMITED, ARMING_OFF };

#define ARMING_WHY 192

const char *arming_name(enum arming arming);
/* Of rule `i`; `why` says what is missing, "" when it is armed. */
enum arming rules_arming(const struct rules *rules, const struct model *m, size_t i, char *why,
			 size_t size);

void rules_free(struct rules *rules);

/* One rule, read-only. */
struct rule_info {
	const char *id, *title, *why, *advice, *example_before, *example_after, *link;
	const char *file; /* "built-in" or the path */
	bool enabled;
	enum rule_scope scope;
	size_t params_count;
	struct rule_param_info {
		const char *key, *unit, *text; /* "warning", "ns", "10ms" */
		const char *meaning;
	} params[16];
};

size_t rules_count(const struct rules *rules);
void rules_info(const struct rules *rules, size_t i, struct rule_info *out);
/* -ENOENT when there is none with this id. */
int rules_find(const struct rules *rules, const char *id, struct rule_info *out);
void rule_info_of(const struct rule *rule, struct rule_info *out);

#endif
