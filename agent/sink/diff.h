/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What differs between two watches of the same service: findings that came, went or changed, and
 * task types whose polls or delays did. Pure: two models and their rules in, rows out. Which
 * difference counts, and which may be chance, docs/diff.md says; the numbers are below.
 *
 * Things are the same when their names are: rule, process name, task type, scheduler. Texts in a
 * row are borrowed from the models; the rows belong to the diff.
 */
#ifndef SINK_DIFF_H
#define SINK_DIFF_H

#include "model/model.h"
#include "rules/rule.h"
#include "sink/sinks.h"

#define DIFF_RATIO 1.2	    /* smaller changes are none */
#define DIFF_CRITICAL 2.0   /* a percentile that grew by this, over the threshold of the rules */
#define DIFF_SIGMA 3.0	    /* of a rank, and of a difference of two rates */
#define DIFF_EXPECTED 3.0   /* what the other side should have shown, were it the same */
#define DIFF_MEAN_RATIO 1.5 /* of lengths, with at least */
#define DIFF_MEAN_COUNT 10  /* occurrences on both sides */

enum diff_change { DIFF_SAME, DIFF_BETTER, DIFF_WORSE, DIFF_GONE, DIFF_APPEARED };

/* A number of a task type that is compared. */
enum diff_metric { DIFF_POLL_P50, DIFF_POLL_P99, DIFF_DELAY_P50, DIFF_DELAY_P99, DIFF_METRICS };

struct diff_side {
	const struct model *model;
	const struct rules *rules;
	const char *name; /* of the file */
};

/* All findings of a rule about one task type (or process) on one side. */
struct diff_finding {
	uint64_t count; /* 0: there are none */
	enum severity severity;
	uint64_t worst_ns, total_ns;
	uint64_t first_ns; /* into the watch */
	double per_second;
	const char *message; /* of the worst */
};

struct diff_row {
	const char *rule;			/* NULL: a number of a task type */
	const char *process, *site, *scheduler; /* "" where there is none */
	enum diff_change change;
	bool certain;		  /* not by chance, as far as the guard goes */
	enum severity severity;	  /* of what is worse */
	struct diff_finding a, b; /* with `rule` */
	enum diff_metric metric;  /* without */
	uint64_t a_ns, b_ns, a_count, b_count;
};

/* A task type that was polled on one side only. */
struct diff_site {
	const char *process, *site, *scheduler;
	bool in_b; /* it is new */
	uint64_t polls;
};

struct diff {
	struct diff_side a, b;
	double a_seconds, b_seconds;
	struct diff_row *rows; /* worst first */
	size_t count, cap;
	struct diff_site *sites;
	size_t sites_count, sites_cap;
};

void diff_make(struct diff *d, const struct diff_side *a, const struct diff_side *b);
void diff_free(struct diff *d);

/* Certain changes for the worse, of this severity or above. */
size_t diff_failing(const struct diff *d, enum severity fail_on);

const char *diff_change_name(enum diff_change change);
const char *diff_metric_name(enum diff_metric metric);

/* For people, and as objects a line. 0 or -errno. */
int diff_text(const struct diff *d, enum severity fail_on, FILE *out, bool color);
int diff_json(const struct diff *d, enum severity fail_on, const char *version, FILE *out);

#endif
