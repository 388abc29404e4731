// SPDX-License-Identifier: LGPL-2.1-or-later
/* Buffers, varints and the checksum of the trace file; see bytes.h. */
#include "trace/bytes.h"

#include "util/xalloc.h"

#define VARINT_MAX 10

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}

uint8_t *bytes_room(struct bytes *b, size_t count)
{
	uint8_t *at;

	/* One byte at least: there is memory to point to, also for nothing. */
	if (b->len + count >= b->cap)
		b->data = xgrow(b->data, &b->cap, b->len + count + 1, 1);
	at = b->data + b->len;
	b->len += count;
	return at;
}

void bytes_add(struct bytes *b, const void *data, size_t count)
{
	if (count)
		memcpy(bytes_room(b, count), data, count);
}

void bytes_varint_long(struct bytes *b, uint64_t value)
{
	uint8_t text[VARINT_MAX];
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		text[n++] = (uint8_t)(value | 0x80);
	text[n++] = (uint8_t)value;
	bytes_add(b, text, n);
}

uint64_t cursor_varint_long(struct cursor *c)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < VARINT_MAX && c->at < c->end; i++) {
		uint64_t byte = *c->at++;

		/* The tenth byte has one bit of 64 left. */
		if (i == VARINT_MAX - 1 && byte > 1)
			break;
		value |= (byte & 0x7f) << 7 * i;
		if (byte < 0x80)
			return value;
	}
	c->bad = true;
	c->at = c->end;
	return 0;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t count)
{
	const uint8_t *at = c->at;

	if (count > cursor_left(c)) {
		c->bad = true;
		c->at = c->end;
		return NULL;
	}
	c->at += count;
	return at;
}

static void put(uint8_t *at, uint64_t value, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *at, unsigned int count)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < count; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

void put_u16(uint8_t *at, uint16_t value)
{
	put(at, value, sizeof(value));
}

void put_u32(uint8_t *at, uint32_t value)
{
	put(at, value, sizeof(value));
}

void put_u64(uint8_t *at, uint64_t value)
{
	put(at, value, sizeof(value));
}

uint16_t get_u16(const uint8_t *at)
{
	return (uint16_t)get(at, sizeof(uint16_t));
}

uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)get(at, sizeof(uint32_t));
}

uint64_t get_u64(const uint8_t *at)
{
	return get(at, sizeof(uint64_t));
}

/* What four bits that leave the register do to the rest. */
static uint32_t crc_nibble(uint32_t crc)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	return crc >> 4 ^ table[crc & 15];
}

static uint32_t crc_plain(uint32_t crc, const uint8_t *at, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		crc ^= at[i];
		crc = crc_nibble(crc);
		crc = crc_nibble(crc);
	}
	return crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_fast(uint32_t crc, const uint8_t *at,
							   size_t count)
{
	uint64_t wide = crc;

	for (; count >= 8; at += 8, count -= 8)
		wide = __builtin_ia32_crc32di(wide, get_u64(at));
	return crc_plain((uint32_t)wide, at, count);
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t count)
{
	crc = ~crc;
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_fast(crc, data, count);
#endif
	return ~crc_plain(crc, data, count);
}
