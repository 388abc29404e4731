// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of what frames and stacks say about themselves; see frame.h. */
#include "core/frame.h"

#include "util/xalloc.h"

#include <stddef.h>
#include <string.h>

#define NAME_OF(table, value)                                                                      \
	((size_t)(value) < sizeof(table) / sizeof((table)[0]) ? (table)[value] : "unknown")

const char *frame_origin_name(enum frame_origin origin)
{
	static const char *const names[] = {
		[FRAME_UNKNOWN] = "unknown",   [FRAME_USER] = "user",
		[FRAME_LIBRARY] = "library",   [FRAME_RUNTIME] = "runtime",
		[FRAME_BOUNDARY] = "boundary", [FRAME_STD] = "std",
		[FRAME_SYSTEM] = "system",
	};

	return NAME_OF(names, origin);
}

const char *frame_from_name(enum frame_from from)
{
	static const char *const names[] = {
		[FRAME_FROM_NONE] = "none",	[FRAME_FROM_DYNSYM] = "export",
		[FRAME_FROM_SYMBOL] = "symbol", [FRAME_FROM_DWARF] = "dwarf",
		[FRAME_FROM_LINE] = "line",	[FRAME_FROM_PLACE] = "place",
	};

	return NAME_OF(names, from);
}

const char *stack_end_name(enum stack_end end)
{
	static const char *const names[] = {
		[STACK_COMPLETE] = "complete", [STACK_CUT] = "cut",	[STACK_ABSENT] = "absent",
		[STACK_UNSURE] = "unsure",     [STACK_LIMIT] = "limit", [STACK_FAILED] = "failed",
	};

	return NAME_OF(names, end);
}

static const char *text_move(char **to, const char *from)
{
	char *start = *to;

	if (!from)
		return NULL;
	*to = stpcpy(start, from) + 1;
	return start;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

struct frame *frames_dup(const struct frame *frames, uint32_t count)
{
	size_t room = count * sizeof(*frames) + 1;
	struct frame *copy;
	char *to;

	for (uint32_t i = 0; i < count; i++)
		room += text_size(frames[i].function) + text_size(frames[i].file) +
			text_size(frames[i].binary) + text_size(frames[i].folder);
	copy = xmalloc(room);
	to = (char *)(copy + count);
	for (uint32_t i = 0; i < count; i++) {
		copy[i] = frames[i];
		copy[i].function = text_move(&to, frames[i].function);
		copy[i].file = text_move(&to, frames[i].file);
		copy[i].folder = text_move(&to, frames[i].folder);
		copy[i].binary = text_move(&to, frames[i].binary);
	}
	return copy;
}

/* Functions that put a thread to sleep for others, and say nothing of why; '*' ends a prefix. */
static const char *const sleepers[] = {
	"__schedule",
	"schedule",
	"schedule_*",
	"io_schedule*",
	"preempt_schedule*",
	"do_nanosleep",
	"futex_wait_queue",
	"futex_do_wait",
	"__futex_wait",
	"wait_woken",
	"__wait_*",
	"wait_for_*",
	"bit_wait*",
	"folio_wait_*",
	"out_of_line_wait_*",
	"__folio_lock*",
	"__rwsem_*",
	"rwsem_*",
	"__mutex_lock*",
	"mutex_lock*",
	"__skb_wait_*",
	"__down_*",
	"down_*",
	"rt_mutex_*",
	"sk_wait_*",
	"poll_schedule_timeout",
};

static bool is_sleeper(const char *name)
{
	for (size_t i = 0; i < sizeof(sleepers) / sizeof(sleepers[0]); i++) {
		size_t len = strlen(sleepers[i]);

		if (sleepers[i][len - 1] == '*' ? !strncmp(name, sleepers[i], len - 1) :
						  !strcmp(name, sleepers[i]))
			return true;
	}
	return false;
}

int32_t kernel_main(const char *const *names, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!is_sleeper(names[i]))
			return (int32_t)i;
	return -1;
}

bool kernel_fault(const char *const *names, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(names[i], "exc_page_fault") ||
		    !strcmp(names[i], "asm_exc_page_fault") ||
		    !strcmp(names[i], "do_user_addr_fault"))
			return true;
	return false;
}
