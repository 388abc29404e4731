/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines above every view: what is watched, is it healthy, queue depths, poll lengths, what
 * watching costs, what was lost. Read from a snapshot, drawn from the copy.
 */
#ifndef TUI_HEADER_H
#define TUI_HEADER_H

#include "tui/view.h"

#define HEADER_ROWS 5 /* with room; 2 on a low screen */

struct header {
	char what[256]; /* "shop [1234]  tokio 1.54.1 multi-thread, 4 workers" */
	uint32_t more;	/* targets that are not in `what` */
	uint64_t watched_ns;
	bool ended; /* all targets have */
	char end[160];
	uint32_t open[SEVERITY_CRITICAL + 1];
	uint32_t closed;
	enum severity worst_closed;
	uint64_t polls, p50_ns, p99_ns, max_ns;
	double polls_rate; /* negative: not known yet */
	uint32_t runtimes;
	int64_t inject, local, alive, blocking_queue, blocking_threads; /* -1: not known */
	char reason[128]; /* why a depth is not known */
	uint64_t ready_worst_ns;
	uint32_t ready_seen;
	double inject_series[SERIES_LEN];
	size_t inject_count;
	double overhead, agent;
	uint8_t level;
	bool cost_known;
	uint64_t lost;
};

void header_read(struct header *h, const struct snapshot *snap);
/* Draws at the top; returns the rows it took. `paused` is shown where the time stands. */
int header_draw(const struct header *h, const struct canvas *c, bool paused);

#endif
