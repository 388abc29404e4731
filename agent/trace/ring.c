// SPDX-License-Identifier: LGPL-2.1-or-later
#include "trace/ring.h"

#include "util/xalloc.h"

void ring_init(struct trace_ring *ring, uint64_t budget_bytes)
{
	*ring = (struct trace_ring){.budget = budget_bytes};
}

static void drop(struct trace_ring *ring, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ring->bytes -= ring->list[i].bytes.len;
		bytes_free(&ring->list[i].bytes);
	}
	ring->count -= count;
	if (ring->count)
		memmove(ring->list, ring->list + count, ring->count * sizeof(*ring->list));
}

void ring_free(struct trace_ring *ring)
{
	drop(ring, ring->count);
	free(ring->list);
	*ring = (struct trace_ring){0};
}

void ring_add(struct trace_ring *ring, const struct chunk_head *head, const struct bytes *chunk)
{
	struct ring_chunk *c;

	ring->list = xgrow(ring->list, &ring->cap, ring->count + 1, sizeof(*ring->list));
	c = &ring->list[ring->count++];
	*c = (struct ring_chunk){.head = *head};
	/* To the byte: growing by halves would go over the budget. */
	c->bytes.data = xmalloc(chunk->len);
	c->bytes.len = c->bytes.cap = chunk->len;
	memcpy(c->bytes.data, chunk->data, chunk->len);
	ring->bytes += chunk->len;
}

/* The second place at which reading may begin; count: there is none. */
static size_t second_start(const struct trace_ring *ring)
{
	for (size_t i = 1; i < ring->count; i++)
		if (ring->list[i].head.type == CHUNK_KEYFRAME &&
		    ring->list[i - 1].head.type != CHUNK_KEYFRAME)
			return i;
	return ring->count;
}

void ring_trim(struct trace_ring *ring, uint64_t from_ns)
{
	for (;;) {
		size_t next = second_start(ring);

		if (next == ring->count)
			return;
		if (ring->list[next].head.first_ns > from_ns && ring->bytes <= ring->budget)
			return;
		if (ring->list[next].head.first_ns > from_ns)
			ring->cut_ns = ring->list[next].head.first_ns;
		drop(ring, next);
	}
}

bool ring_wants_keyframe(const struct trace_ring *ring)
{
	uint64_t since = 0;

	for (size_t i = ring->count; i > 0 && ring->list[i - 1].head.type != CHUNK_KEYFRAME; i--)
		since += ring->list[i - 1].bytes.len;
	return since > ring->budget / 2;
}

int ring_write(const struct trace_ring *ring, const char *path, const struct trace_info *info,
	       struct err *err)
{
	struct trace_file *f;
	int ret = trace_file_create(path, &f, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < ring->count && !ret; i++)
		ret = trace_file_add(f, info, &ring->list[i].head, &ring->list[i].bytes, err);
	if (!ret)
		ret = trace_file_finish(f, err);
	trace_file_close(f);
	return ret;
}
