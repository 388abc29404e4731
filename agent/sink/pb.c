// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sink/pb.h"

#include <string.h>

enum wire_type { WIRE_VARINT, WIRE_FIXED64, WIRE_LENGTH };

static void tag(struct bytes *b, uint32_t field, enum wire_type type)
{
	bytes_varint(b, (uint64_t)field << 3 | type);
}

void pb_uint(struct bytes *b, uint32_t field, uint64_t value)
{
	tag(b, field, WIRE_VARINT);
	bytes_varint(b, value);
}

void pb_int(struct bytes *b, uint32_t field, int64_t value)
{
	pb_uint(b, field, (uint64_t)value);
}

void pb_fixed64(struct bytes *b, uint32_t field, uint64_t value)
{
	tag(b, field, WIRE_FIXED64);
	put_u64(bytes_room(b, sizeof(value)), value);
}

void pb_text(struct bytes *b, uint32_t field, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!text)
		return;
	tag(b, field, WIRE_LENGTH);
	bytes_varint(b, len);
	bytes_add(b, text, len);
}

size_t pb_open(struct bytes *b, uint32_t field)
{
	tag(b, field, WIRE_LENGTH);
	/* Most messages are so short that one byte holds their length. */
	bytes_room(b, 1);
	return b->len;
}

void pb_close(struct bytes *b, size_t mark)
{
	size_t len = b->len - mark, more = 0;

	for (size_t rest = len >> 7; rest; rest >>= 7)
		more++;
	bytes_room(b, more);
	memmove(b->data + mark + more, b->data + mark, len);
	b->len = mark - 1;
	bytes_varint(b, len);
	b->len += len;
}
