// SPDX-License-Identifier: LGPL-2.1-or-later
#include "trace/rows.h"

#include "util/xalloc.h"

#define ROW_BYTES (TRACE_FIELDS_MAX * sizeof(uint64_t))

void rows_init(struct trace_rows *rows)
{
	*rows = (struct trace_rows){0};
	for (uint32_t i = 0; i < TRACE_KINDS; i++)
		if (trace_kind(i))
			rows->row[i] = xcalloc(trace_kind(i)->rows, ROW_BYTES);
}

void rows_reset(struct trace_rows *rows)
{
	for (uint32_t i = 0; i < TRACE_KINDS; i++)
		if (rows->row[i])
			memset(rows->row[i], 0, trace_kind(i)->rows * ROW_BYTES);
	memset(rows->poll_end, 0, sizeof(rows->poll_end));
	rows->time_ns = 0;
}

void rows_free(struct trace_rows *rows)
{
	for (uint32_t i = 0; i < TRACE_KINDS; i++)
		free(rows->row[i]);
	*rows = (struct trace_rows){0};
}
