/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events to bytes and back: the records inside a chunk (docs/trace-format.md), by the table of
 * fields.h. Encoder and decoder keep the same state, strings met and values to take differences
 * from; both begin anew with each chunk, so a chunk can be read without those before it.
 *
 * The decoder takes bytes of anybody: every length and number is checked, texts pass the sanitiser.
 */
#ifndef TRACE_CODEC_H
#define TRACE_CODEC_H

#include "core/event.h"
#include "trace/bytes.h"

#define RECORD_STRING 0		 /* a record's number that is no event: the next string's bytes */
#define STRING_MAX 16384	 /* bytes of one; longer ones are cut when written */
#define CHUNK_RAW_MAX (8u << 20) /* bytes of a chunk's records; more is refused */

#define POLL_COLUMNS 5 /* of FIELD_POLLS */
#define ELEMENT_MAX 64 /* values of one element of an array */

struct trace_encoder;

struct trace_encoder *trace_encoder_new(void);
void trace_encoder_free(struct trace_encoder *e);
/* Appends the event's record, and those of strings that it is the first to use. */
void trace_encoder_add(struct trace_encoder *e, const struct event *event);
/* The records since the last reset. */
const struct bytes *trace_encoder_bytes(const struct trace_encoder *e);
void trace_encoder_reset(struct trace_encoder *e);

struct trace_decoder;

struct trace_decoder *trace_decoder_new(void);
void trace_decoder_free(struct trace_decoder *d);
/* The records of a chunk, borrowed until the next begin. */
void trace_decoder_begin(struct trace_decoder *d, const uint8_t *data, size_t size);
/*
 * 1: an event, whose strings and arrays are valid until the next call; 0: the end of the records;
 * -EBADMSG: what follows in this chunk cannot be read.
 */
int trace_decoder_next(struct trace_decoder *d, struct event *out);
/* Records that were passed over: of a newer kind, or with a value that this version does not know. */
uint64_t trace_decoder_skipped(const struct trace_decoder *d);

#endif
