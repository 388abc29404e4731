/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines above every view: what is watched, is it healthy, queue depths, poll lengths, what
 * watching costs, what was lost. Read from a snapshot, drawn from the copy.
 */
#ifndef TUI_HEADER_H
#define TUI_HEADER_H

#include "tui/view.h"

struct header {
	char what[256];		 /* "shop [1234]  tokio 1.54.1 multi-thread, 4 workers" */
	uint32_t only;		 /* the process that is shown; ID_NONE: all */
	uint32_t place, targets; /* its place among them, from 1 */
	uint64_t watched_ns;
	bool ended; /* all targets have */
	char end[160];
	uint32_t open[SEVERITY_CRITICAL + 1];
	uint32_t effects; /* open ones that another explains, in none of the counts */
	uint32_t closed;
	enum severity worst_closed;
	uint64_t polls, p50_ns, p99_ns, max_ns;
	double polls_rate;  /* negative: not known yet */
	bool polls_sampled; /* scaled from moments of probing */
	struct spark polls_spark;
	bool delays_known; /* level 3: from wake to poll */
	uint64_t delay_p50_ns, delay_p99_ns, delay_max_ns;
	uint32_t runtimes;
	int64_t inject, local, alive, blocking_queue, blocking_threads; /* -1: not known */
	char reason[128]; /* why a depth is not known */
	uint64_t ready_worst_ns;
	uint32_t ready_seen;
	struct spark queued_spark;	/* shared and local, of a single runtime */
	double overhead, agent, budget; /* budget 0: none */
	uint8_t level;
	bool lowered;	  /* to that, over the overhead budget */
	uint32_t sampled; /* task types that are probed for moments, likewise */
	bool cost_known;
	uint64_t lost;
	uint64_t threshold_ns; /* of long polls; 0: no rule has one */
};

void header_read(struct header *h, const struct snapshot *snap, uint32_t only);
/*
 * Draws at the top; returns the rows it took. `paused` is shown where the time stands; of a trace
 * `play` is (play_title()), "" when live.
 */
int header_draw(const struct header *h, const struct canvas *c, bool paused, const char *play);

#endif
