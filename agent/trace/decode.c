// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records to events; see codec.h. */
#include "trace/codec.h"

#include <errno.h>

#include "bpf/wire.h"
#include "trace/rows.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

struct trace_decoder {
	struct cursor in;
	char **strings; /* number 1 is at 0 */
	size_t strings_count, strings_cap;
	struct trace_rows rows;
	uint64_t skipped;

	/* Of the event that was given out last. */
	uint64_t hists[2][HIST_BUCKETS];
	uint32_t hists_used;
	uint32_t words[QUEUES_MAX_WORKERS];
	struct frame frames[FRAMES_MAX];
	struct brief_poll polls[POLLS_MAX];
};

/* A record that is being read. `refused`: it can be read, but not be given out. */
struct reading {
	struct trace_decoder *d;
	struct cursor in;
	struct event *event;
	bool refused;
};

static void strings_free(struct trace_decoder *d)
{
	for (size_t i = 0; i < d->strings_count; i++)
		free(d->strings[i]);
	d->strings_count = 0;
}

/* What came from a file may be anything: it is shown on terminals. */
static void add_string(struct trace_decoder *d, const uint8_t *text, size_t len)
{
	char *copy = xmalloc(4 * len + 1);

	text_sanitize(copy, 4 * len + 1, (const char *)text, len);
	d->strings = xgrow(d->strings, &d->strings_cap, d->strings_count + 1, sizeof(char *));
	d->strings[d->strings_count++] = copy;
}

static const char *string_of(struct reading *r, uint64_t number)
{
	if (number > r->d->strings_count) {
		r->refused = true;
		return NULL;
	}
	return number ? r->d->strings[number - 1] : NULL;
}

static inline uint64_t scalar_value(struct reading *r, const struct trace_field *f, uint64_t code,
				    uint64_t *row)
{
	switch (f->type) {
	case FIELD_INT: return unzigzag(code);
	case FIELD_BOOL: return code != 0;
	case FIELD_ID: return code - 1;
	case FIELD_TIME: return code ? r->event->time_ns - unzigzag(code - 1) : 0;
	case FIELD_DELTA: return *row += unzigzag(code);
	case FIELD_ENUM: r->refused = r->refused || code > f->limit; return code;
	default: return code;
	}
}

/* What stands for a field that an older file does not have. */
static uint64_t absent_value(const struct trace_field *f)
{
	return f->type == FIELD_INT || f->type == FIELD_ID ? UINT64_MAX : 0;
}

static const uint64_t *get_hist(struct reading *r, uint64_t code)
{
	uint64_t *hist, bucket = 0;

	if (!code)
		return NULL;
	if (code - 1 > HIST_BUCKETS || r->d->hists_used == 2) {
		r->in.bad = true;
		return NULL;
	}
	hist = r->d->hists[r->d->hists_used++];
	memset(hist, 0, sizeof(r->d->hists[0]));
	for (uint64_t i = 1; i < code; i++) {
		bucket += cursor_varint(&r->in);
		if (bucket >= HIST_BUCKETS) {
			r->in.bad = true;
			return NULL;
		}
		hist[bucket] = cursor_varint(&r->in);
	}
	return hist;
}

static void get_words(struct reading *r, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		r->d->words[i] = (uint32_t)cursor_varint(&r->in);
}

/* How many values an element has; 0, and the record is bad, when nobody can mean it. */
static uint64_t get_width(struct reading *r, uint64_t count)
{
	uint64_t width = count ? cursor_varint(&r->in) : 0;

	if (width <= ELEMENT_MAX)
		return width;
	r->in.bad = true;
	return 0;
}

static void get_frame(struct reading *r, struct frame *frame, uint64_t width)
{
	memset(frame, 0, sizeof(*frame));
	for (uint64_t j = 0; j < width; j++) {
		uint64_t code = cursor_varint(&r->in), unused = 0;
		const struct trace_field *f;
		const char *text;

		/* A newer one's. */
		if (j >= trace_frame_fields_count)
			continue;
		f = &trace_frame_fields[j];
		if (f->type != FIELD_STRING) {
			field_store(f, frame, scalar_value(r, f, code, &unused));
			continue;
		}
		text = string_of(r, code);
		memcpy((char *)frame + f->offset, &text, sizeof(text));
	}
	for (uint64_t j = width; j < trace_frame_fields_count; j++)
		if (trace_frame_fields[j].type < FIELD_STRING)
			field_store(&trace_frame_fields[j], frame,
				    absent_value(&trace_frame_fields[j]));
}

static void get_frames(struct reading *r, uint64_t count)
{
	uint64_t width = get_width(r, count);

	for (uint64_t i = 0; i < count && !r->in.bad; i++)
		get_frame(r, &r->d->frames[i], width);
}

static void get_polls(struct reading *r, uint64_t count)
{
	struct brief_poll *list = r->d->polls;
	uint64_t last = 0, width = get_width(r, count);

	/* These five are what a poll is; more columns may follow. */
	if (count && width < POLL_COLUMNS)
		r->in.bad = true;
	for (uint64_t i = 0; i < count; i++)
		list[i].tid = (uint32_t)(last += unzigzag(cursor_varint(&r->in)));
	for (uint64_t i = 0; i < count; i++)
		list[i].site = (uint32_t)(cursor_varint(&r->in) - 1);
	last = 0;
	for (uint64_t i = 0; i < count; i++)
		list[i].task_id = last += unzigzag(cursor_varint(&r->in));
	for (uint64_t i = 0; i < count; i++)
		list[i].length_ns = cursor_varint(&r->in);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t *end = &r->d->rows.poll_end[list[i].tid % POLL_LANES];

		list[i].start_ns = *end + unzigzag(cursor_varint(&r->in));
		*end = list[i].start_ns + list[i].length_ns;
	}
	for (uint64_t i = POLL_COLUMNS * count; i < width * count && !r->in.bad; i++)
		cursor_varint(&r->in);
}

static void get_array(struct reading *r, const struct trace_field *f, uint64_t code)
{
	const void *list = NULL;
	uint32_t count;

	if (f->type == FIELD_HIST) {
		list = get_hist(r, code);
		memcpy((char *)r->event + f->offset, &list, sizeof(list));
		return;
	}
	if (code > f->limit) {
		r->in.bad = true;
		return;
	}
	count = (uint32_t)code;
	if (f->type == FIELD_WORDS) {
		get_words(r, count);
		list = count ? r->d->words : NULL;
	} else if (f->type == FIELD_FRAMES) {
		get_frames(r, count);
		list = count ? r->d->frames : NULL;
	} else {
		get_polls(r, count);
		list = count ? r->d->polls : NULL;
	}
	memcpy((char *)r->event + f->offset, &list, sizeof(list));
	memcpy((char *)r->event + f->count, &count, sizeof(count));
}

static inline void get_field(struct reading *r, const struct trace_field *f, uint64_t *row)
{
	bool absent = !cursor_left(&r->in);
	const char *text;
	uint64_t code;

	if (absent && f->type < FIELD_STRING) {
		field_store(f, r->event, absent_value(f));
		return;
	}
	code = absent ? 0 : cursor_varint(&r->in);
	if (f->type >= FIELD_HIST) {
		get_array(r, f, code);
	} else if (f->type == FIELD_STRING) {
		text = string_of(r, code);
		memcpy((char *)r->event + f->offset, &text, sizeof(text));
	} else {
		field_store(f, r->event, scalar_value(r, f, code, row));
	}
}

/* -EBADMSG when the record's bytes are not what they should be: the state is lost with them. */
static int get_event(struct reading *r, uint64_t number)
{
	const struct trace_kind *kind = trace_kind(number);
	struct trace_decoder *d = r->d;
	uint64_t *row, unused = 0;

	memset(r->event, 0, sizeof(*r->event));
	r->event->target = (uint32_t)(cursor_varint(&r->in) - 1);
	d->rows.time_ns += unzigzag(cursor_varint(&r->in));
	if (r->in.bad)
		return -EBADMSG;
	if (!kind) {
		r->refused = true;
		return 0;
	}
	r->event->kind = (enum event_kind)number;
	r->event->time_ns = d->rows.time_ns;
	d->hists_used = 0;
	row = kind->rows == 1 ? d->rows.row[number] : NULL;
	for (uint32_t i = 0; i < kind->count && !r->in.bad; i++) {
		/* Where there are several rows the first field says which; it is itself in none. */
		get_field(r, &kind->fields[i], row ? &row[i] : &unused);
		if (!row)
			row = rows_of(&d->rows, kind, (uint32_t)number,
				      field_load(&kind->fields[0], r->event));
	}
	return r->in.bad ? -EBADMSG : 0;
}

/* 1: an event; 0: a string or what is passed over; -EBADMSG. */
static int next_record(struct trace_decoder *d, struct event *out)
{
	struct reading r = {.d = d, .event = out};
	uint64_t number = cursor_varint(&d->in);
	uint64_t size = cursor_varint(&d->in);
	const uint8_t *data;
	int ret;

	if (d->in.bad || size > cursor_left(&d->in))
		return -EBADMSG;
	data = cursor_bytes(&d->in, size);
	if (number == RECORD_STRING) {
		if (size > STRING_MAX)
			return -EBADMSG;
		add_string(d, data, size);
		return 0;
	}
	r.in = (struct cursor){.at = data, .end = data + size};
	ret = get_event(&r, number);
	if (ret)
		return ret;
	d->skipped += r.refused;
	return r.refused ? 0 : 1;
}

void trace_decoder_begin(struct trace_decoder *d, const uint8_t *data, size_t size)
{
	strings_free(d);
	rows_reset(&d->rows);
	d->in = (struct cursor){.at = data, .end = size ? data + size : data};
}

int trace_decoder_next(struct trace_decoder *d, struct event *out)
{
	while (cursor_left(&d->in)) {
		int ret = next_record(d, out);

		if (ret < 0)
			d->in.at = d->in.end;
		if (ret)
			return ret;
	}
	return 0;
}

uint64_t trace_decoder_skipped(const struct trace_decoder *d)
{
	return d->skipped;
}

struct trace_decoder *trace_decoder_new(void)
{
	struct trace_decoder *d = xcalloc(1, sizeof(*d));

	rows_init(&d->rows);
	return d;
}

void trace_decoder_free(struct trace_decoder *d)
{
	if (!d)
		return;
	strings_free(d);
	free(d->strings);
	rows_free(&d->rows);
	free(d);
}
