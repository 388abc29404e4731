/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One chunk: events are added, the packed bytes with their head come out. And back: a head that is
 * to be believed, the bytes behind it unpacked.
 */
#ifndef TRACE_CHUNK_H
#define TRACE_CHUNK_H

#include "trace/codec.h"
#include "trace/format.h"

/* What a chunk's head says. */
struct chunk_head {
	uint16_t type; /* enum chunk_type, or one of a newer version */
	uint32_t stored, raw;
	uint64_t seq;
	uint64_t first_ns, last_ns;
	uint64_t lost;
	uint32_t events;
	uint32_t crc;
};

#define CHUNK_STORED_MAX (CHUNK_RAW_MAX + (CHUNK_RAW_MAX >> 7) + 1024)

/* From CHUNK_HEAD bytes: false when it is none, is damaged, or says what cannot be. */
bool chunk_head_read(const uint8_t *at, struct chunk_head *out);

/* -EBADMSG when checksum or size are not as the head says. `out` is replaced. */
int chunk_unpack(const struct chunk_head *head, const uint8_t *stored, struct bytes *out);
/* Appends head and packed bytes to `out`; stored and crc are filled in. */
void chunk_pack(struct chunk_head *head, const struct bytes *raw, struct bytes *out);

/* Collects the events of one chunk. */
struct chunk_maker {
	struct trace_encoder *encoder;
	struct chunk_head head;
};

void chunk_maker_init(struct chunk_maker *m, enum chunk_type type);
void chunk_maker_free(struct chunk_maker *m);
void chunk_maker_add(struct chunk_maker *m, const struct event *event);
/* Bytes so far, before packing. */
size_t chunk_maker_size(const struct chunk_maker *m);
/* Packs it, appends it to `out` and begins the next; `head` is the one that was written. */
void chunk_maker_finish(struct chunk_maker *m, uint64_t seq, struct chunk_head *head,
			struct bytes *out);

#endif
