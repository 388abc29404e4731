/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sinks for pipes, logs and scripts. What they show depends on snap->command:
 *
 *   top    text: a block a second and a report at the end; JSON: findings as they open and change
 *   check  findings at the end, worst first, and what the exit code will be
 *   dump   workers, tasks, queues and findings, once, at the end
 *
 * A sink borrows `out`, which stays open after close(). Each block or object is one write and a
 * flush; a reader that went away is -EPIPE (the program ignores SIGPIPE), other failures of a
 * write are -errno. finish() alone, without open() and snapshot(), gives the report too.
 */
#ifndef SINK_SINKS_H
#define SINK_SINKS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/sink.h"
#include "rules/rule.h"

/* When the program will exit with something else than 0. */
struct outcome_opts {
	enum severity fail_on;
	bool max_loss_given;
	uint64_t max_loss;
};

struct outcome {
	/* Findings, open and closed: each as grave as its worst effect; effects are counted apart. */
	uint32_t by_severity[SEVERITY_CRITICAL + 1];
	uint32_t effects;
	uint32_t open;	  /* of those that are no effects */
	uint32_t failing; /* likewise, at or above fail_on */
	bool too_much_lost;
};

/* What the findings and the loss so far mean; main and the sinks ask the same function. */
void outcome_of(struct outcome *v, const struct snapshot *snap, const struct outcome_opts *opts);

/*
 * Progress of work that takes longer than a second, on another stream than the result: one line,
 * rewritten on a terminal, else a new one every ten seconds. `out` NULL: none.
 */
struct progress_opts {
	FILE *out;
	bool terminal;
	uint64_t duration_ns; /* of the watch, 0: no end known */
};

struct text_sink_opts {
	bool color;
	unsigned int width; /* columns of tables, 0: 160 */
	unsigned int verbose;
	bool full_stack; /* no frame of a stack is folded */
	struct outcome_opts outcome;
	struct progress_opts progress;
};

struct sink *text_sink_new(FILE *out, const struct text_sink_opts *o);

struct json_sink_opts {
	const char *version; /* of the program; borrowed while the sink lives */
	struct outcome_opts outcome;
	struct progress_opts progress;
};

/* docs/json-schema.md has every object and field. */
struct sink *json_sink_new(FILE *out, const struct json_sink_opts *o);

/* What each rule can find on the targets, a table, at the end. */
struct sink *arming_sink_new(FILE *out);

#endif
