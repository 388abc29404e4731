// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of the event kinds, from the one table in event.h; when two stacks are of one block. */
#include "core/event.h"

static const struct {
	enum event_kind kind;
	const char *name;
} kinds[] = {
#define EVENT_ROW(kind, number, name, meaning) {EV_##kind, #name},
	EVENT_KINDS(EVENT_ROW)
#undef EVENT_ROW
};

const char *event_kind_name(enum event_kind kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "unknown";
}

const char *stack_kind_name(enum stack_kind kind)
{
	return kind == STACK_OFF_CPU  ? "off_cpu" :
	       kind == STACK_ON_CPU   ? "on_cpu" :
	       kind == STACK_REFCOUNT ? "refcount" :
					"unknown";
}

struct told_block block_told(const struct ev_stack *stack)
{
	return (struct told_block){
		.poll_start_ns = stack->poll_start_ns,
		.begin_ns = stack->begin_ns,
		.span_ns = stack->span_ns,
		.tid = stack->tid,
		.open = stack->open,
	};
}

bool block_is_again(const struct told_block *told, const struct ev_stack *stack)
{
	return told->open && told->tid == stack->tid &&
	       told->poll_start_ns == stack->poll_start_ns && told->begin_ns == stack->begin_ns &&
	       (stack->begin_ns || told->span_ns <= stack->span_ns);
}
