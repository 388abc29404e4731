/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes to write and bytes to read: varints (7 bits a byte, least first, at most 10 bytes), zigzag
 * for what has a sign, little-endian words, and CRC-32C.
 *
 * A buffer grows and is freed by bytes_free(). A cursor never reads behind its end: a read that
 * would sets `bad` and gives 0, so that a caller may check once, after several reads.
 */
#ifndef TRACE_BYTES_H
#define TRACE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	uint8_t *data;
	size_t len, cap;
};

void bytes_free(struct bytes *b);
/* `count` bytes at the end, not initialised. */
uint8_t *bytes_room(struct bytes *b, size_t count);
void bytes_add(struct bytes *b, const void *data, size_t count);
void bytes_varint_long(struct bytes *b, uint64_t value);

static inline void bytes_varint(struct bytes *b, uint64_t value)
{
	/* Most have one byte. */
	if (value < 0x80 && b->len < b->cap)
		b->data[b->len++] = (uint8_t)value;
	else
		bytes_varint_long(b, value);
}

struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

uint64_t cursor_varint_long(struct cursor *c);

static inline uint64_t cursor_varint(struct cursor *c)
{
	/* Most have one byte. */
	if (c->at < c->end && *c->at < 0x80)
		return *c->at++;
	return cursor_varint_long(c);
}

/* The next `count` bytes; NULL, and `bad`, when there are not that many. */
const uint8_t *cursor_bytes(struct cursor *c, size_t count);

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

static inline uint64_t zigzag(uint64_t value)
{
	return value << 1 ^ (0 - (value >> 63));
}

static inline uint64_t unzigzag(uint64_t code)
{
	return code >> 1 ^ (0 - (code & 1));
}

void put_u16(uint8_t *at, uint16_t value);
void put_u32(uint8_t *at, uint32_t value);
void put_u64(uint8_t *at, uint64_t value);
uint16_t get_u16(const uint8_t *at);
uint32_t get_u32(const uint8_t *at);
uint64_t get_u64(const uint8_t *at);

/* Castagnoli's polynomial, as iSCSI and ext4 use it; `crc` is 0 at first. */
uint32_t crc32c(uint32_t crc, const void *data, size_t count);

#endif
