/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * "watching: 12 s of 30 s, 12.3k polls, 1 finding" on the stream of struct progress_opts. Times
 * are those of the events. A failed write is ignored: progress is no result.
 */
#ifndef SINK_PROGRESS_H
#define SINK_PROGRESS_H

#include "sink/sinks.h"

struct progress {
	struct progress_opts opts;
	uint64_t last_ns; /* of the last line, 0 none */
	bool shown;	  /* a line stands on the terminal */
};

/* Call at each snapshot. */
void progress_update(struct progress *p, const struct snapshot *snap);
/* Wipes the line from a terminal; call before the result is written. */
void progress_clear(struct progress *p);

#endif
