/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starts a program and holds it before its first own instruction, so that probes are in place when
 * it runs on: `-- COMMAND ARG...`.
 *
 * The child is held by ptrace at its exec; a dynamic program is let run to its entry point, where
 * its loader has relocated everything. Should we die, the kernel lets it go on (no EXITKILL).
 * Between launch_start() and launch_release() it does not run. Its standard output goes to our
 * standard error.
 */
#ifndef ATTACH_LAUNCH_H
#define ATTACH_LAUNCH_H

#include "util/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct launch {
	pid_t pid;
	bool unrelocated; /* static-pie: it relocates itself after its entry point */
};

/*
 * -ENOENT, -EACCES, ...: the program cannot be run; err names it. argv[0] is looked up in PATH.
 * `quiet`: what it writes to its standard output goes to our standard error, so that ours holds
 * nothing but our own lines.
 */
int launch_start(char *const argv[], bool quiet, struct launch *out, struct err *err);
/* Lets it run. */
int launch_release(const struct launch *launch, struct err *err);
/* Ends it: SIGTERM, and SIGKILL when it has not ended within `ms`. Reaps it. */
void launch_end(pid_t pid, int ms);

#endif
