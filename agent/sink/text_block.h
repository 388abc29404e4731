/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the text sink's output, each written to a stream in memory; text.c puts them
 * together. Plain lines: no escape codes unless `color`. Text of the target passes the sanitiser.
 */
#ifndef SINK_TEXT_BLOCK_H
#define SINK_TEXT_BLOCK_H

#include <stdio.h>

#include "sink/sinks.h"
#include "sink/view.h"

#define TEXT_SHARE_SECONDS 1 /* shares and rates of the live blocks cover this many */
#define TEXT_CELL 2048	     /* longest text of the target in one place */

enum text_role { ROLE_PLAIN, ROLE_TITLE, ROLE_OK, ROLE_WARNING, ROLE_CRITICAL, ROLE_DIM };

struct text_style {
	bool color;
	unsigned int width;
	unsigned int verbose;
	bool full_stack; /* frames of std and the runtime are not folded */
};

/* Escape codes of a role, "" without colour. */
const char *text_on(const struct text_style *style, enum text_role role);
const char *text_off(const struct text_style *style, enum text_role role);
enum text_role text_role_of(enum severity severity);

/* Sanitised, cut to the buffer; NULL becomes "n/a". */
char *text_clean(char *out, size_t size, const char *name);

/* "shop (pid 4242) /srv/shop: tokio 1.54.1, 2 workers, 9 task types"; one line a target. */
void text_targets(FILE *out, const struct model *m);
/* "shop (pid 4242) exited with status 0 after 12.0 s"; nothing when none has ended. */
void text_ended(FILE *out, const struct model *m);
/* One line a runtime. */
void text_queues(FILE *out, const struct model *m);

/* `live`: shares of the last second, else of the whole watch. */
void text_workers(FILE *out, const struct text_style *style, const struct model *m, size_t limit,
		  bool live);
void text_sites(FILE *out, const struct text_style *style, const struct model *m, size_t limit);
void text_tasks(FILE *out, const struct text_style *style, const struct model *m, size_t limit);

/* text_waits.c: at which semaphores tasks wait; nothing where none was seen to. */
void text_waits(FILE *out, const struct model *m);

/* What each worker that is in a poll does: its stack. */
void text_worker_stacks(FILE *out, const struct text_style *style, const struct model *m);

/* Cost to the target, our own, loss; `live`: of the last seconds. */
void text_cost(FILE *out, const struct model *m, bool live);
/* Notes with numbers from `from` on that the model still has. */
void text_notes(FILE *out, const struct text_style *style, const struct model *m, uint32_t from);

/* text_report.c: the lines of a stack, the first after the label. */
void text_stack(FILE *out, const struct text_style *style, const char *label,
		const struct site_stack *row);
/* One line a finding that is open, or was seen in the last seconds. */
void text_live_findings(FILE *out, const struct text_style *style, const struct snapshot *snap);
/* One finding in full. */
void text_finding(FILE *out, const struct text_style *style, const struct model *m,
		  const struct finding *f);
/* All findings in full, worst first; returns how many. */
size_t text_findings(FILE *out, const struct text_style *style, const struct snapshot *snap);
/* What was watched, what was found, what it cost, and whether that passes when `opts` is given. */
void text_summary(FILE *out, const struct text_style *style, const struct snapshot *snap,
		  const struct outcome_opts *opts);

#endif
