/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The values that differences are taken from, alike in encoder and decoder; private to codec.c,
 * encode.c and decode.c. All are 0 at the start of a chunk.
 */
#ifndef TRACE_ROWS_H
#define TRACE_ROWS_H

#include "trace/fields.h"

#define POLL_LANES 64 /* threads, by tid modulo this, whose last poll is remembered */

struct trace_rows {
	uint64_t *row[TRACE_KINDS]; /* rows * TRACE_FIELDS_MAX words */
	uint64_t time_ns;
	uint64_t poll_end[POLL_LANES];
};

void rows_init(struct trace_rows *rows);
void rows_reset(struct trace_rows *rows);
void rows_free(struct trace_rows *rows);

/* The row that belongs to an event of this kind whose first field has this value. */
static inline uint64_t *rows_of(const struct trace_rows *rows, const struct trace_kind *kind,
				uint32_t number, uint64_t first)
{
	return rows->row[number] + (first & (kind->rows - 1u)) * TRACE_FIELDS_MAX;
}

#endif
