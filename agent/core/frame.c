// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names of what frames and stacks say about themselves; see frame.h. */
#include "core/frame.h"

#include <stddef.h>

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
		[FRAME_FROM_LINE] = "line",
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
