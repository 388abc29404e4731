/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From what the user named (-p, -n, --all, -- COMMAND) to watches that are ready to be attached.
 */
#ifndef TARGETS_H
#define TARGETS_H

#include "attach/launch.h"
#include "attach/watch.h"
#include "cli.h"

struct targets {
	struct debuginfod *debuginfod; /* NULL: not asked for */
	struct detector *detector;     /* outlives the watches, also those that were taken over */
	struct watch **watches;
	size_t count, cap;
	struct launch launch; /* pid 0: nothing was started */
};

/*
 * Opens and scans the targets; a command is started and held. On error nothing is left:
 * -ESRCH: no such process; -ENOTSUP, -EACCES: it cannot be watched.
 */
int targets_open(const struct opts *opts, struct targets *out, struct err *err);
/* Frees the watches that were not taken over, and ends a command that is still held. */
void targets_close(struct targets *targets);

#endif
