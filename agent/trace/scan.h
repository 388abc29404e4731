/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the chunks of a file are: by its index, or by looking for their heads. Part of reader.c. */
#ifndef TRACE_SCAN_H
#define TRACE_SCAN_H

#include "trace/reader.h"

/* Fills r->chunks; `begin` is where the header ends. 0 or -errno of a read. */
int scan_chunks(struct trace_reader *r, uint64_t begin);
/* The next place at or after `at` where a good head stands; r->size: none. */
int scan_head(struct trace_reader *r, uint64_t at, uint64_t *out);
/* `count` bytes at `at`; -EBADMSG when the file has not that many. */
int reader_read(const struct trace_reader *r, uint64_t at, uint8_t *out, size_t count);

#endif
