// SPDX-License-Identifier: LGPL-2.1-or-later
/* Events to records; see codec.h. */
#include "trace/codec.h"

#include "bpf/wire.h"
#include "trace/rows.h"
#include "util/xalloc.h"

#define FIRST_SLOTS 256

/* A string of the chunk: where it is in `text`. */
struct string_slot {
	uint32_t id; /* 0: free */
	uint32_t at, len;
};

struct trace_encoder {
	struct bytes out;
	struct bytes record; /* the one that is being made */
	struct bytes text;   /* of all strings */
	struct string_slot *slots;
	uint32_t slots_cap, strings; /* a power of two; how many are used */
	struct trace_rows rows;
};

static uint64_t hash_text(const char *text, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (uint8_t)text[i]) * 0x100000001b3ULL;
	return hash ^ hash >> 32;
}

static struct string_slot *slot_find(struct trace_encoder *e, const char *text, size_t len)
{
	uint64_t i = hash_text(text, len);

	for (;; i++) {
		struct string_slot *slot = &e->slots[i & (e->slots_cap - 1)];

		if (!slot->id ||
		    (slot->len == len && (!len || !memcmp(e->text.data + slot->at, text, len))))
			return slot;
	}
}

static void slots_grow(struct trace_encoder *e)
{
	struct string_slot *old = e->slots;
	uint32_t count = e->slots_cap;

	e->slots_cap = count * 2;
	e->slots = xcalloc(e->slots_cap, sizeof(*e->slots));
	for (uint32_t i = 0; i < count; i++)
		if (old[i].id)
			*slot_find(e, (const char *)e->text.data + old[i].at, old[i].len) = old[i];
	free(old);
}

/* The string's number in this chunk; a new one gets a record of its own. */
static uint64_t intern(struct trace_encoder *e, const char *text)
{
	struct string_slot *slot;
	size_t len;

	if (!text)
		return 0;
	len = strnlen(text, STRING_MAX);
	slot = slot_find(e, text, len);
	if (slot->id)
		return slot->id;
	if (2 * e->strings >= e->slots_cap) {
		slots_grow(e);
		slot = slot_find(e, text, len);
	}
	*slot = (struct string_slot){++e->strings, (uint32_t)e->text.len, (uint32_t)len};
	bytes_add(&e->text, text, len);
	bytes_varint(&e->out, RECORD_STRING);
	bytes_varint(&e->out, len);
	bytes_add(&e->out, text, len);
	return slot->id;
}

static void put_hist(struct bytes *out, const uint64_t *hist)
{
	uint32_t used = 0, last = 0;

	if (!hist) {
		bytes_varint(out, 0);
		return;
	}
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		used += hist[i] != 0;
	bytes_varint(out, used + 1);
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		if (!hist[i])
			continue;
		bytes_varint(out, i - last);
		bytes_varint(out, hist[i]);
		last = i;
	}
}

static void put_words(struct bytes *out, const uint32_t *words, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		bytes_varint(out, words[i]);
}

/*
 * One column after the other. A poll mostly begins where the one before on its thread ended, so
 * its start is stored as the distance from there.
 */
static void put_polls(struct trace_encoder *e, const struct brief_poll *list, uint32_t count)
{
	struct bytes *out = &e->record;
	uint64_t last = 0;

	for (uint32_t i = 0; i < count; last = list[i++].tid)
		bytes_varint(out, zigzag(list[i].tid - last));
	for (uint32_t i = 0; i < count; i++)
		bytes_varint(out, (uint32_t)(list[i].site + 1));
	last = 0;
	for (uint32_t i = 0; i < count; last = list[i++].task_id)
		bytes_varint(out, zigzag(list[i].task_id - last));
	for (uint32_t i = 0; i < count; i++)
		bytes_varint(out, list[i].length_ns);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t *end = &e->rows.poll_end[list[i].tid % POLL_LANES];

		bytes_varint(out, zigzag(list[i].start_ns - *end));
		*end = list[i].start_ns + list[i].length_ns;
	}
}

static uint64_t scalar_code(const struct trace_field *f, uint64_t value, uint64_t time_ns,
			    uint64_t *row)
{
	uint64_t before = *row;

	switch (f->type) {
	case FIELD_INT: return zigzag(value);
	case FIELD_ID: return (uint32_t)(value + 1);
	case FIELD_TIME: return value ? zigzag(time_ns - value) + 1 : 0;
	case FIELD_DELTA: *row = value; return zigzag(value - before);
	default: return value;
	}
}

static void put_frames(struct trace_encoder *e, const struct frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		for (size_t j = 0; j < trace_frame_fields_count; j++) {
			const struct trace_field *f = &trace_frame_fields[j];
			uint64_t value, unused = 0;
			const char *text;

			if (f->type == FIELD_STRING) {
				memcpy(&text, (const char *)&frames[i] + f->offset, sizeof(text));
				value = intern(e, text);
			} else {
				value = scalar_code(f, field_load(f, &frames[i]), 0, &unused);
			}
			bytes_varint(&e->record, value);
		}
	}
}

static void put_array(struct trace_encoder *e, const struct trace_field *f,
		      const struct event *event)
{
	const void *list;
	uint32_t count;

	memcpy(&list, (const char *)event + f->offset, sizeof(list));
	if (f->type == FIELD_HIST) {
		put_hist(&e->record, list);
		return;
	}
	memcpy(&count, (const char *)event + f->count, sizeof(count));
	/* A count that is over the limit cannot be read back; nor one of elements that are not there. */
	if (!list || count > f->limit)
		count = 0;
	bytes_varint(&e->record, count);
	/* How many values each has: a later version may give them more. */
	if (count && f->type == FIELD_FRAMES)
		bytes_varint(&e->record, trace_frame_fields_count);
	else if (count && f->type == FIELD_POLLS)
		bytes_varint(&e->record, POLL_COLUMNS);
	if (f->type == FIELD_WORDS)
		put_words(&e->record, list, count);
	else if (f->type == FIELD_FRAMES)
		put_frames(e, list, count);
	else
		put_polls(e, list, count);
}

static void put_fields(struct trace_encoder *e, const struct trace_kind *kind,
		       const struct event *event)
{
	uint64_t *row = rows_of(&e->rows, kind, event->kind, field_load(&kind->fields[0], event));

	for (uint32_t i = 0; i < kind->count; i++) {
		const struct trace_field *f = &kind->fields[i];
		const char *text;

		if (f->type >= FIELD_HIST) {
			put_array(e, f, event);
		} else if (f->type == FIELD_STRING) {
			memcpy(&text, (const char *)event + f->offset, sizeof(text));
			bytes_varint(&e->record, intern(e, text));
		} else {
			bytes_varint(&e->record,
				     scalar_code(f, field_load(f, event), event->time_ns, &row[i]));
		}
	}
}

void trace_encoder_add(struct trace_encoder *e, const struct event *event)
{
	const struct trace_kind *kind = trace_kind(event->kind);

	if (!kind)
		return;
	e->record.len = 0;
	bytes_varint(&e->record, (uint32_t)(event->target + 1));
	bytes_varint(&e->record, zigzag(event->time_ns - e->rows.time_ns));
	e->rows.time_ns = event->time_ns;
	put_fields(e, kind, event);
	bytes_varint(&e->out, event->kind);
	bytes_varint(&e->out, e->record.len);
	bytes_add(&e->out, e->record.data, e->record.len);
}

const struct bytes *trace_encoder_bytes(const struct trace_encoder *e)
{
	return &e->out;
}

void trace_encoder_reset(struct trace_encoder *e)
{
	e->out.len = e->text.len = 0;
	e->strings = 0;
	memset(e->slots, 0, e->slots_cap * sizeof(*e->slots));
	rows_reset(&e->rows);
}

struct trace_encoder *trace_encoder_new(void)
{
	struct trace_encoder *e = xcalloc(1, sizeof(*e));

	e->slots_cap = FIRST_SLOTS;
	e->slots = xcalloc(e->slots_cap, sizeof(*e->slots));
	rows_init(&e->rows);
	return e;
}

void trace_encoder_free(struct trace_encoder *e)
{
	if (!e)
		return;
	bytes_free(&e->out);
	bytes_free(&e->record);
	bytes_free(&e->text);
	free(e->slots);
	rows_free(&e->rows);
	free(e);
}
