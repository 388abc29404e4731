/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child of this program that does one thing out of reach of the rest: this program executed anew
 * under another name, so that it has nothing of the agent's memory, BPF maps and descriptors, with
 * one socket to the agent. main() asks child_wanted() before anything else. Some children share a
 * block of memory with the agent.
 */
#ifndef JAIL_CHILD_H
#define JAIL_CHILD_H

#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CHILD_SOCKET 3 /* descriptors of the child */
#define CHILD_SHARED 4

struct child {
	pid_t pid;    /* 0: none */
	int sock;     /* SOCK_SEQPACKET, non-blocking */
	void *shared; /* NULL: nothing */
	size_t shared_size;
};

/* Whether this process was started by child_start() under that name. */
bool child_wanted(int argc, char **argv, const char *name);

/* shared_size 0: no shared memory. */
int child_start(struct child *child, const char *name, size_t shared_size, struct err *err);
/* Kills and reaps it; the structure is empty afterwards. */
void child_stop(struct child *child);

/* In the child: the memory that it shares with the agent, or NULL. */
void *child_shared(size_t size);

#endif
