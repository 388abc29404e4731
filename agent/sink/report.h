/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report over a recording that was played to its end: what text, JSON and page all say is made
 * here once, each of them only writes it down. Borrows everything it is given.
 */
#ifndef SINK_REPORT_H
#define SINK_REPORT_H

#include <stdio.h>

#include "sink/history.h"
#include "sink/text_block.h"
#include "sink/view.h"
#include "trace/reader.h"

#define VERDICT_TEXT 768
#define MOMENT_TEXT 1024

struct report {
	const struct snapshot *snap;
	const struct history *history;
	const struct trace_reader *trace;
	const char *version; /* of the program */
};

struct verdict {
	bool found;  /* there are findings: the worst severity is `severity` */
	bool judged; /* polls were seen, so that no finding means something */
	enum severity severity;
	char text[VERDICT_TEXT]; /* one line, sanitised */
};

void report_verdict(const struct report *r, struct verdict *out);

/* What limits the verdict: losses, damage, samples. Each is one line. */
typedef void caveat_fn(void *ctx, const char *text);
void report_caveats(const struct report *r, caveat_fn *fn, void *ctx);

/* How long something took, over all task types. */
struct latency {
	const char *of; /* "polls", "delays" */
	const char *title;
	uint64_t count;
	uint64_t max_ns;
	struct hist hist;
	const char *unknown_because; /* NULL: count > 0 */
};

#define REPORT_LATENCIES 2
void report_latencies(const struct report *r, struct latency out[REPORT_LATENCIES]);
uint64_t latency_quantile(const struct latency *l, double q);

enum moment_kind {
	MOMENT_FINDING, /* a finding: from its first to its last occurrence */
	MOMENT_POLL,	/* one of the longest polls */
	MOMENT_WAIT,	/* one of the longest waits of a ready task */
	MOMENT_LOSS,	/* events were lost */
	MOMENT_END,	/* a process ended */
	MOMENT_NOTE,	/* a warning about the observation */
};

struct moment {
	enum moment_kind kind;
	uint64_t begin_ns, end_ns;
	bool open;		       /* it had not ended with the recording */
	const struct finding *finding; /* MOMENT_FINDING */
	uint32_t target, site;	       /* ID_NONE */
	uint32_t tid;		       /* 0: none */
	uint64_t task;		       /* 0: none */
	const struct ev_poll *poll;    /* MOMENT_POLL */
	char text[MOMENT_TEXT];	       /* sanitised, one line */
};

const char *moment_kind_name(enum moment_kind kind);
/* All moments, in order of their beginnings; freed by the caller. */
size_t report_moments(const struct report *r, struct moment **out);

/*
 * Worst first: what was open when the recording ended is not worse for that. Freed by the caller.
 */
size_t report_findings(const struct report *r, const struct finding ***out);

/* Task types that were polled, most time in polls first; freed by the caller. */
size_t report_sites(const struct report *r, const struct site ***out);

/* Each writes all of it: 0 or -errno. */
int report_text(FILE *out, const struct report *r, const struct text_style *style);
int report_json(FILE *out, const struct report *r);
int report_html(FILE *out, const struct report *r);

#endif
