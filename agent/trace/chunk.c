// SPDX-License-Identifier: LGPL-2.1-or-later
#include "trace/chunk.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "util/xalloc.h"

/* 1 to 3 differ by a tenth in size here, by half in time (docs/trace-format.md). */
#define ZSTD_LEVEL 3

bool chunk_head_read(const uint8_t *at, struct chunk_head *out)
{
	if (get_u32(at + CHUNK_MAGIC) != CHUNK_MAGIC_VALUE ||
	    get_u32(at + CHUNK_HEAD_CRC) != crc32c(0, at, CHUNK_HEAD_CRC))
		return false;
	*out = (struct chunk_head){
		.type = get_u16(at + CHUNK_TYPE),
		.stored = get_u32(at + CHUNK_STORED),
		.raw = get_u32(at + CHUNK_RAW),
		.seq = get_u64(at + CHUNK_SEQ),
		.first_ns = get_u64(at + CHUNK_FIRST),
		.last_ns = get_u64(at + CHUNK_LAST),
		.lost = get_u64(at + CHUNK_LOST),
		.events = get_u32(at + CHUNK_EVENTS),
		.crc = get_u32(at + CHUNK_CRC),
	};
	return out->raw <= CHUNK_RAW_MAX && out->stored <= CHUNK_STORED_MAX;
}

static void head_write(const struct chunk_head *head, uint8_t *at)
{
	memset(at, 0, CHUNK_HEAD);
	put_u32(at + CHUNK_MAGIC, CHUNK_MAGIC_VALUE);
	put_u16(at + CHUNK_TYPE, head->type);
	put_u32(at + CHUNK_STORED, head->stored);
	put_u32(at + CHUNK_RAW, head->raw);
	put_u64(at + CHUNK_SEQ, head->seq);
	put_u64(at + CHUNK_FIRST, head->first_ns);
	put_u64(at + CHUNK_LAST, head->last_ns);
	put_u64(at + CHUNK_LOST, head->lost);
	put_u32(at + CHUNK_EVENTS, head->events);
	put_u32(at + CHUNK_CRC, head->crc);
	put_u32(at + CHUNK_HEAD_CRC, crc32c(0, at, CHUNK_HEAD_CRC));
}

/* The room is what the head says, which is bounded: a frame that unpacks to more is an error. */
int chunk_unpack(const struct chunk_head *head, const uint8_t *stored, struct bytes *out)
{
	size_t got;

	if (crc32c(0, stored, head->stored) != head->crc)
		return -EBADMSG;
	out->len = 0;
	bytes_room(out, head->raw);
	got = ZSTD_decompress(out->data, head->raw, stored, head->stored);
	return ZSTD_isError(got) || got != head->raw ? -EBADMSG : 0;
}

void chunk_pack(struct chunk_head *head, const struct bytes *raw, struct bytes *out)
{
	size_t begin = out->len, room = ZSTD_compressBound(raw->len), got;

	bytes_room(out, CHUNK_HEAD + room);
	got = ZSTD_compress(out->data + begin + CHUNK_HEAD, room, raw->data, raw->len, ZSTD_LEVEL);
	/* With that much room only memory can be lacking. */
	if (ZSTD_isError(got))
		abort();
	head->stored = (uint32_t)got;
	head->raw = (uint32_t)raw->len;
	head->crc = crc32c(0, out->data + begin + CHUNK_HEAD, got);
	head_write(head, out->data + begin);
	out->len = begin + CHUNK_HEAD + got;
}

void chunk_maker_init(struct chunk_maker *m, enum chunk_type type)
{
	m->encoder = trace_encoder_new();
	m->head = (struct chunk_head){.type = type};
}

void chunk_maker_free(struct chunk_maker *m)
{
	trace_encoder_free(m->encoder);
	m->encoder = NULL;
}

void chunk_maker_add(struct chunk_maker *m, const struct event *event)
{
	if (!m->head.events++)
		m->head.first_ns = m->head.last_ns = event->time_ns;
	if (event->time_ns > m->head.last_ns)
		m->head.last_ns = event->time_ns;
	if (event->kind == EV_LOST)
		m->head.lost += event->as_lost.count;
	trace_encoder_add(m->encoder, event);
}

size_t chunk_maker_size(const struct chunk_maker *m)
{
	return trace_encoder_bytes(m->encoder)->len;
}

void chunk_maker_finish(struct chunk_maker *m, uint64_t seq, struct chunk_head *head,
			struct bytes *out)
{
	m->head.seq = seq;
	chunk_pack(&m->head, trace_encoder_bytes(m->encoder), out);
	*head = m->head;
	m->head = (struct chunk_head){.type = m->head.type};
	trace_encoder_reset(m->encoder);
}
