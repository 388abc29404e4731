// SPDX-License-Identifier: LGPL-2.1-or-later
/* The list of a file's chunks; see scan.h. */
#include "trace/scan.h"

#include <errno.h>
#include <string.h>

#include "util/xalloc.h"

#define WINDOW (1u << 16) /* bytes looked at together while a head is sought */

static void chunks_add(struct trace_reader *r, const struct trace_chunk *chunk)
{
	r->chunks = xgrow(r->chunks, &r->chunks_cap, r->chunks_count + 1, sizeof(*r->chunks));
	r->chunks[r->chunks_count++] = *chunk;
}

static bool has_events(uint16_t type)
{
	return type == CHUNK_DATA || type == CHUNK_KEYFRAME;
}

/* A head that is to be believed, and what it says fits into the file. */
static bool head_good(const struct trace_reader *r, uint64_t at, const uint8_t *text,
		      struct chunk_head *head)
{
	return chunk_head_read(text, head) && head->stored <= r->size - at - CHUNK_HEAD;
}

/* The first good head in a window of the file that begins at `at`; its size: none. */
static size_t find_in(const struct trace_reader *r, uint64_t at, const uint8_t *window, size_t size)
{
	uint8_t magic[sizeof(uint32_t)];
	struct chunk_head head;
	size_t from = 0;

	put_u32(magic, CHUNK_MAGIC_VALUE);
	while (size - from >= CHUNK_HEAD) {
		const uint8_t *hit = memmem(window + from, size - from, magic, sizeof(magic));

		from = hit ? (size_t)(hit - window) : size;
		if (size - from < CHUNK_HEAD)
			break;
		if (head_good(r, at + from, hit, &head))
			return from;
		from++;
	}
	return size;
}

int scan_head(struct trace_reader *r, uint64_t at, uint64_t *out)
{
	uint8_t *window = xmalloc(WINDOW);
	int ret = 0;

	*out = r->size;
	while (!ret && at < r->size && r->size - at >= CHUNK_HEAD) {
		size_t count = r->size - at < WINDOW ? r->size - at : WINDOW, hit;

		ret = reader_read(r, at, window, count);
		hit = ret ? count : find_in(r, at, window, count);
		if (hit < count) {
			*out = at + hit;
			break;
		}
		/* A head may begin in this window and end in the next. */
		at += count - CHUNK_HEAD + 1;
	}
	free(window);
	return ret;
}

static int head_at(struct trace_reader *r, uint64_t at, struct chunk_head *head, bool *good)
{
	uint8_t text[CHUNK_HEAD];
	int ret = reader_read(r, at, text, sizeof(text));

	*good = !ret && head_good(r, at, text, head);
	return ret == -EBADMSG ? 0 : ret;
}

/* Walks from head to head; what is between two of them is passed over and counted. */
static int walk(struct trace_reader *r, uint64_t at)
{
	bool indexed = false;
	uint64_t gap = 0;
	int ret = 0;

	while (at < r->size && !ret) {
		struct chunk_head head;
		uint64_t next;
		bool good;

		ret = head_at(r, at, &head, &good);
		if (ret)
			break;
		if (good) {
			if (has_events(head.type))
				chunks_add(r, &(struct trace_chunk){
						      .at = at,
						      .first_ns = head.first_ns,
						      .last_ns = head.last_ns,
						      .events = head.events,
						      .type = head.type,
						      .gap = gap,
					      });
			at += CHUNK_HEAD + head.stored;
			gap = 0;
			indexed = head.type == CHUNK_INDEX;
			continue;
		}
		/* Behind the index is the tail, whole or not: no event is in it. */
		if (indexed)
			break;
		ret = scan_head(r, at + 1, &next);
		gap += next - at;
		r->skipped_bytes += next - at;
		at = next;
	}
	r->tail_bytes = gap;
	return ret;
}

/* The index, when it is there and every word of it is right. */
static bool take_index(struct trace_reader *r, const struct bytes *raw, uint64_t begin,
		       uint64_t index_at)
{
	struct cursor in = {.at = raw->data, .end = raw->data + raw->len};
	uint64_t count = cursor_varint(&in), at = 0, first = 0;

	/* A row has five bytes at least. */
	if (in.bad || count > raw->len / 5)
		return false;
	for (uint64_t i = 0; i < count && !in.bad; i++) {
		struct trace_chunk chunk = {0};

		at += cursor_varint(&in);
		chunk.at = at;
		chunk.type = (uint16_t)cursor_varint(&in);
		chunk.events = (uint32_t)cursor_varint(&in);
		first += unzigzag(cursor_varint(&in));
		chunk.first_ns = first;
		chunk.last_ns = first + unzigzag(cursor_varint(&in));
		if (at < begin || at >= index_at)
			return false;
		begin = at + 1;
		if (has_events(chunk.type))
			chunks_add(r, &chunk);
	}
	return !in.bad && !cursor_left(&in);
}

static bool by_index(struct trace_reader *r, uint64_t begin)
{
	uint8_t tail[TAIL_SIZE];
	struct chunk_head head;
	struct bytes raw = {0};
	uint64_t at;
	bool good = false;

	if (r->size < begin + TAIL_SIZE ||
	    reader_read(r, r->size - TAIL_SIZE, tail, sizeof(tail)) ||
	    memcmp(tail, TRACE_TAIL_MAGIC, TRACE_MAGIC_SIZE) != 0 ||
	    get_u32(tail + TAIL_CRC) != crc32c(0, tail, TAIL_CRC))
		return false;
	at = get_u64(tail + TAIL_INDEX);
	if (at < begin || at > r->size - TAIL_SIZE || head_at(r, at, &head, &good) || !good ||
	    head.type != CHUNK_INDEX || head.stored + CHUNK_HEAD + TAIL_SIZE != r->size - at)
		return false;
	r->stored.len = 0;
	bytes_room(&r->stored, head.stored);
	good = !reader_read(r, at + CHUNK_HEAD, r->stored.data, head.stored) &&
	       !chunk_unpack(&head, r->stored.data, &raw) && take_index(r, &raw, begin, at);
	bytes_free(&raw);
	if (!good)
		r->chunks_count = 0;
	return good;
}

int scan_chunks(struct trace_reader *r, uint64_t begin)
{
	if (by_index(r, begin)) {
		/* Also of a pipe, whose header could not be gone back to. */
		r->incomplete = false;
		return 0;
	}
	r->incomplete = true;
	return walk(r, begin);
}
