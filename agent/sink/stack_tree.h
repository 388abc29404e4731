/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stacks added up to a tree, for a flame graph: below a root of each kind the task types, below
 * them the functions of the task, outermost first, below these what the kernel was asked for. The
 * model keeps a few stacks of a type; this keeps all of them, folded, in a bounded number of nodes.
 *
 * Values are nanoseconds off the CPU, or samples on it. What finds no room is counted at the node
 * that it would have been under, so sums stay right.
 */
#ifndef SINK_STACK_TREE_H
#define SINK_STACK_TREE_H

#include "core/event.h"
#include "util/map.h"

#define STACK_TREE_NODES 20000
#define STACK_TREE_ROOTS 2 /* nodes 0 and 1: STACK_OFF_CPU, STACK_ON_CPU */

struct stack_node {
	char *name; /* NULL: a root */
	enum frame_origin origin;
	uint32_t first, next; /* child and sibling, 0: none */
	uint64_t value;	      /* with all that is below */
};

struct stack_tree {
	struct stack_node *nodes;
	size_t count, cap;
	struct map index; /* (parent, hash of the name) -> node */
	struct map last;  /* (target, thread) -> index of `open` */
	struct told_block
		*open; /* the latest block of a thread, of those that had one told before its end */
	size_t open_count, open_cap;
	uint64_t stacks[STACK_TREE_ROOTS];
	uint64_t cut; /* stacks that lack frames, for want of room */
};

void stack_tree_init(struct stack_tree *tree);
void stack_tree_free(struct stack_tree *tree);

/* An EV_STACK of a task of the type with this name. */
void stack_tree_add(struct stack_tree *tree, const struct event *event, const char *site);

#endif
