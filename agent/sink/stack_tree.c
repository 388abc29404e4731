// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stacks added up to a tree; see stack_tree.h. */
#include "sink/stack_tree.h"

#include <stdio.h>

#include "rules/stack.h"
#include "util/syscall.h"
#include "util/xalloc.h"

#define OPEN_MAX 65536 /* threads */

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ULL;
	return hash;
}

void stack_tree_init(struct stack_tree *tree)
{
	*tree = (struct stack_tree){0};
	map_init(&tree->index, STACK_TREE_NODES);
	map_init(&tree->last, OPEN_MAX);
	tree->nodes = xgrow(NULL, &tree->cap, STACK_TREE_ROOTS, sizeof(*tree->nodes));
	memset(tree->nodes, 0, STACK_TREE_ROOTS * sizeof(*tree->nodes));
	tree->count = STACK_TREE_ROOTS;
}

void stack_tree_free(struct stack_tree *tree)
{
	for (size_t i = 0; i < tree->count; i++)
		free(tree->nodes[i].name);
	free(tree->nodes);
	free(tree->open);
	map_free(&tree->index);
	map_free(&tree->last);
}

/* The child of that name, made when there is none; 0: there is no room. */
static uint32_t child_of(struct stack_tree *tree, uint32_t parent, const char *name,
			 enum frame_origin origin)
{
	uint64_t hash = hash_of(name), found = map_get(&tree->index, parent, hash);
	struct stack_node *node;

	if (found != MAP_NONE)
		return strcmp(tree->nodes[found].name, name) ? 0 : (uint32_t)found;
	if (tree->count == STACK_TREE_NODES || !map_put(&tree->index, parent, hash, tree->count))
		return 0;
	tree->nodes = xgrow(tree->nodes, &tree->cap, tree->count + 1, sizeof(*tree->nodes));
	node = &tree->nodes[tree->count];
	*node = (struct stack_node){
		.name = xstrdup(name),
		.origin = origin,
		.next = tree->nodes[parent].first,
	};
	tree->nodes[parent].first = (uint32_t)tree->count;
	return (uint32_t)tree->count++;
}

/*
 * How much the stack adds. A block that is open may be told again: then it is the rest. One that turns
 * out to be shorter (older traces) takes nothing back: its end may have another stack.
 */
static uint64_t weight_of(struct stack_tree *tree, const struct event *event)
{
	const struct ev_stack *ev = &event->as_stack;
	uint64_t at = map_get(&tree->last, event->target, ev->tid), told = 0;

	if (ev->kind == STACK_ON_CPU)
		return 1;
	if (at != MAP_NONE) {
		struct told_block *open = &tree->open[at];

		if (block_is_again(open, ev))
			told = open->span_ns;
		*open = block_told(ev);
	} else if (ev->open && map_put(&tree->last, event->target, ev->tid, tree->open_count)) {
		tree->open = xgrow(tree->open, &tree->open_cap, tree->open_count + 1,
				   sizeof(*tree->open));
		tree->open[tree->open_count++] = block_told(ev);
	}
	tree->stacks[STACK_OFF_CPU] -= told > 0;
	return ev->span_ns > told ? ev->span_ns - told : 0;
}

struct path {
	struct stack_tree *tree;
	uint32_t at;
	uint64_t weight;
	bool full;
};

static void step(struct path *p, const char *name, enum frame_origin origin)
{
	uint32_t next = p->full ? 0 : child_of(p->tree, p->at, name, origin);

	p->full |= !next;
	if (p->full)
		return;
	p->at = next;
	p->tree->nodes[next].value += p->weight;
}

/* Below the task's own frames: what it waits in. */
static void step_kernel(struct path *p, const struct ev_stack *ev)
{
	const char *name = ev->syscall < 0 ? NULL : syscall_name(ev->syscall);
	char text[64];

	if (ev->kind != STACK_OFF_CPU)
		return;
	if (name)
		snprintf(text, sizeof(text), "[%s]", name);
	else if (ev->syscall >= 0)
		snprintf(text, sizeof(text), "[syscall %d]", ev->syscall);
	else
		snprintf(text, sizeof(text), "[page fault or unknown wait]");
	step(p, text, FRAME_SYSTEM);
}

void stack_tree_add(struct stack_tree *tree, const struct event *event, const char *site)
{
	const struct ev_stack *ev = &event->as_stack;
	struct path p = {.tree = tree, .at = (uint32_t)ev->kind};
	uint32_t inner = 0;

	if (ev->kind > STACK_ON_CPU)
		return;
	tree->stacks[ev->kind]++;
	p.weight = weight_of(tree, event);
	tree->nodes[p.at].value += p.weight;
	step(&p, site, FRAME_BOUNDARY);
	while (inner < ev->frames_count && ev->frames[inner].origin != FRAME_BOUNDARY)
		inner++;
	while (inner-- > 0) {
		char name[FRAME_TEXT];

		frame_name(&ev->frames[inner], name, sizeof(name));
		step(&p, *name ? name : "n/a", ev->frames[inner].origin);
	}
	step_kernel(&p, ev);
	tree->cut += p.full;
}
