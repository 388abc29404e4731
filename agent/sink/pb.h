/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes protobuf: fields at the end of a buffer, by number. What a number means is the caller's.
 * A message within another is opened and closed; its length is put in when it is known.
 */
#ifndef SINK_PB_H
#define SINK_PB_H

#include "trace/bytes.h"

void pb_uint(struct bytes *b, uint32_t field, uint64_t value);
/* int32, int64: two's complement, ten bytes when negative. */
void pb_int(struct bytes *b, uint32_t field, int64_t value);
void pb_fixed64(struct bytes *b, uint32_t field, uint64_t value);
/* string and bytes; NULL: none. */
void pb_text(struct bytes *b, uint32_t field, const char *text);

/* Returns the mark that pb_close() takes; marks are closed innermost first. */
size_t pb_open(struct bytes *b, uint32_t field);
void pb_close(struct bytes *b, size_t mark);

#endif
