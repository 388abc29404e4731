/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of what a trace stores of each event: encoder, decoder, tests and the documentation
 * of the format read it. A new field of an event is one line at the end of its kind's list in
 * fields.c; a new kind is one list and one line in `kinds`. Never reorder and never remove: an older
 * file lacks the fields at the end, a newer one has more of them, and both can be read.
 */
#ifndef TRACE_FIELDS_H
#define TRACE_FIELDS_H

#include "core/event.h"

#include <string.h>

/* How a value is stored, and what stands for it where an older file has none. */
enum field_type {
	FIELD_UINT,   /* varint; 0 */
	FIELD_INT,    /* zigzag varint; -1 */
	FIELD_BOOL,   /* varint 0 or 1; false */
	FIELD_ENUM,   /* varint, at most `limit`; 0 */
	FIELD_ID,     /* varint of value + 1, so that ID_NONE is 0; ID_NONE */
	FIELD_TIME,   /* 0, or 1 + zigzag of the event's time minus it; 0: none */
	FIELD_DELTA,  /* zigzag of the difference to the row before; 0 */
	FIELD_STRING, /* number of a string of the chunk, 0 is NULL; NULL */
	FIELD_HIST,   /* sparse counters; NULL */
	FIELD_WORDS,  /* 32-bit words, as many as the field at `count` says; none */
	FIELD_FRAMES, /* struct frame, likewise */
	FIELD_POLLS,  /* struct brief_poll, likewise, a column after the other */
};

struct trace_field {
	const char *name;
	uint16_t offset; /* in struct event, or in what an array holds */
	uint8_t size;	 /* of the member */
	uint8_t type;	 /* enum field_type */
	uint32_t limit;	 /* FIELD_ENUM: greatest value; arrays: most elements */
	uint16_t count;	 /* arrays: offset in struct event of how many there are, a uint32_t */
};

#define TRACE_FIELDS_MAX 32 /* of one kind */

struct trace_kind {
	const struct trace_field *fields;
	uint8_t count;
	/*
	 * Rows that FIELD_DELTA looks back on, a power of two: which one is the value of the first
	 * field modulo this.
	 */
	uint8_t rows;
};

/* NULL: a number of no kind. */
const struct trace_kind *trace_kind(uint64_t number);
#define TRACE_KINDS 32 /* numbers are below */

extern const struct trace_field trace_frame_fields[];
extern const size_t trace_frame_fields_count;

/* A scalar member as a word: signed ones are extended, the rest zero-extended. */
static inline uint64_t field_load(const struct trace_field *f, const void *base)
{
	const char *at = (const char *)base + f->offset;
	uint64_t u64;
	uint32_t u32;

	if (f->size == sizeof(u64)) {
		memcpy(&u64, at, sizeof(u64));
		return u64;
	}
	if (f->size != sizeof(u32))
		return *(const uint8_t *)at;
	memcpy(&u32, at, sizeof(u32));
	return f->type == FIELD_INT ? (uint64_t)(int64_t)(int32_t)u32 : u32;
}

static inline void field_store(const struct trace_field *f, void *base, uint64_t value)
{
	char *at = (char *)base + f->offset;
	uint32_t u32 = (uint32_t)value;

	if (f->size == sizeof(value))
		memcpy(at, &value, sizeof(value));
	else if (f->size == sizeof(u32))
		memcpy(at, &u32, sizeof(u32));
	else
		*(uint8_t *)at = (uint8_t)value;
}

#endif
