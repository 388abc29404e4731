/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process that unwinds and names: a child of jail/child.h. */
#ifndef STACK_CHILD_H
#define STACK_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

struct stacks;

/* Whether this process was started to be it, and what it then does; an exit code. */
bool stacks_child_wanted(int argc, char **argv);
int stacks_child_main(void);

/* For tests: the present child, and another limit than STACK_MS. */
pid_t stacks_child(const struct stacks *stacks);
void stacks_patience(struct stacks *stacks, unsigned int ms);

#endif
