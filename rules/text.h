/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text of a rule file: strict JSON with the position of every value.
 *
 * cJSON tells no positions and is lenient (numbers such as 01, raw control characters, trailing
 * text); text_scan() is neither. It runs first, so that cJSON only ever sees valid JSON of bounded
 * size and depth, and notes where each value and key begins, in document order. text_fail() writes
 * "file:line:column: ..."; columns count characters, from 1.
 */
#ifndef RULES_TEXT_H
#define RULES_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "util/err.h"

#define TEXT_MAX_BYTES (256 * 1024)
#define TEXT_MAX_DEPTH 12
#define TEXT_MAX_MEMBERS 256 /* of one object or array */

struct text {
	const char *file;
	const char *s;
	size_t len;
	struct text_pos {
		uint32_t value, key; /* offsets; key: UINT32_MAX for an element of an array */
	} * pos;		     /* in document order */
	size_t pos_count, pos_cap;
	cJSON *root;
};

/* Checks and parses; on failure nothing is left to free. `s` and `file` stay the caller's. */
int text_open(struct text *t, const char *file, const char *s, size_t len, struct err *err);
void text_close(struct text *t);

/* Where a value or its key begins; 0 for a node that is not of this text. */
size_t text_value(const struct text *t, const cJSON *node);
size_t text_key(const struct text *t, const cJSON *node);

/* Sets err to "file:line:column: message" and returns -EINVAL. */
int text_fail(const struct text *t, struct err *err, size_t offset, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void text_line_column(const struct text *t, size_t offset, unsigned *line, unsigned *column);

/* Bytes of the well-formed UTF-8 sequence at s (1..4), 0 when it is none. */
size_t text_utf8(const char *s, size_t left);

#endif
