/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process that unwinds and names. It is this program executed anew, so that it has nothing of
 * the agent's memory, BPF maps and descriptors. main() asks child_wanted() before anything else.
 */
#ifndef STACK_CHILD_H
#define STACK_CHILD_H

#include "util/err.h"

#include <stdbool.h>
#include <sys/types.h>

struct stacks;
struct wire_board;

/* Whether this process was started by child_start(). */
bool child_wanted(int argc, char **argv);
/* Serves the agent until it is gone; returns the exit code. */
int child_main(void);

struct child {
	pid_t pid; /* 0: none */
	int sock;  /* non-blocking */
	struct wire_board *board;
};

int child_start(struct child *child, struct err *err);
/* Kills and reaps it; the structure is empty afterwards. */
void child_stop(struct child *child);

/* The present child, for tests. */
pid_t stacks_child(const struct stacks *stacks);

#endif
