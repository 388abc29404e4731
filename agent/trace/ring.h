/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The last packed chunks, in memory, within a budget. What is dropped is dropped up to a keyframe, so
 * that what is kept can always be read from its first chunk.
 */
#ifndef TRACE_RING_H
#define TRACE_RING_H

#include "trace/file.h"

struct ring_chunk {
	struct chunk_head head;
	struct bytes bytes;
};

struct trace_ring {
	struct ring_chunk *list; /* oldest first */
	size_t count, cap;
	uint64_t bytes, budget;
	uint64_t
		cut_ns; /* before it, chunks were dropped that were wanted, for the budget; 0: none */
};

void ring_init(struct trace_ring *ring, uint64_t budget_bytes);
void ring_free(struct trace_ring *ring);
/* Copies the chunk. */
void ring_add(struct trace_ring *ring, const struct chunk_head *head, const struct bytes *chunk);
/* Drops what is older than `from_ns` or over the budget. */
void ring_trim(struct trace_ring *ring, uint64_t from_ns);
/* A keyframe is needed before more can be dropped: half the budget came since the last one. */
bool ring_wants_keyframe(const struct trace_ring *ring);
/* All of it to a file of this name. */
int ring_write(const struct trace_ring *ring, const char *path, const struct trace_info *info,
	       struct err *err);

#endif
