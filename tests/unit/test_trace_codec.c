// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records: every kind there and back, the table complete, newer and hostile bytes. */
#include "trace_events.h"

#include <stdlib.h>

#include "trace/codec.h"
#include "util/xalloc.h"

#define ROUNDS 3000
#define COUNT_KIND(kind, number, name, meaning) +1
#define KINDS (0 EVENT_KINDS(COUNT_KIND)) /* their numbers have no holes */

struct world {
	struct trace_encoder *e;
	struct trace_decoder *d;
	struct random_event *random;
};

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->e = trace_encoder_new();
	w->d = trace_decoder_new();
	w->random = xcalloc(1, sizeof(*w->random));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	trace_encoder_free(w->e);
	trace_decoder_free(w->d);
	free(w->random);
	free(w);
	return 0;
}

static void begin(struct world *w)
{
	const struct bytes *bytes = trace_encoder_bytes(w->e);

	trace_decoder_begin(w->d, bytes->data, bytes->len);
}

/* Kinds by chance, in one chunk, so that differences and strings build on each other. */
static void every_kind_there_and_back(void **state)
{
	struct world *w = *state;
	uint64_t seed = 1, again = 1;
	struct event got;

	for (int pass = 0; pass < 2; pass++) {
		trace_encoder_reset(w->e);
		seed = again;
		w->random->seed = seed;
		for (uint32_t i = 0; i < ROUNDS; i++) {
			random_fill(w->random, 1 + (uint32_t)random_number(&seed, KINDS));
			trace_encoder_add(w->e, &w->random->event);
		}
		begin(w);
		seed = again;
		w->random->seed = seed;
		for (uint32_t i = 0; i < ROUNDS; i++) {
			random_fill(w->random, 1 + (uint32_t)random_number(&seed, KINDS));
			assert_int_equal(trace_decoder_next(w->d, &got), 1);
			same_event(&w->random->event, &got);
		}
		assert_int_equal(trace_decoder_next(w->d, &got), 0);
		again = seed;
	}
	assert_int_equal(trace_decoder_skipped(w->d), 0);
}

/* Each kind has its list, no member is listed twice, and no eight bytes are left out. */
static void table_covers_every_member(void **state)
{
	static const uint32_t numbers[] = {
#define NUMBER_ROW(kind, number, name, meaning) number,
		EVENT_KINDS(NUMBER_ROW)
#undef NUMBER_ROW
	};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const struct trace_kind *k = trace_kind(numbers[i]);
		uint8_t covered[sizeof(struct event)] = {0};
		size_t last = offsetof(struct event, as_tick), gap = 0;

		assert_non_null(k);
		assert_true(k->count <= TRACE_FIELDS_MAX);
		assert_true(k->rows && !(k->rows & (k->rows - 1)));
		/* What chooses the row is read before the row is known. */
		if (k->rows > 1)
			assert_int_not_equal(k->fields[0].type, FIELD_DELTA);
		for (uint32_t j = 0; j < k->count; j++) {
			const struct trace_field *f = &k->fields[j];

			for (size_t at = f->offset; at < f->offset + (size_t)f->size; at++)
				assert_int_equal(covered[at]++, 0);
			if (f->offset + f->size > last)
				last = f->offset + f->size;
		}
		for (size_t at = offsetof(struct event, as_tick); at < last; at++) {
			gap = covered[at] ? 0 : gap + 1;
			assert_true(gap < 8);
		}
	}
}

static void put(struct bytes *b, uint64_t kind, const struct bytes *payload)
{
	bytes_varint(b, kind);
	bytes_varint(b, payload->len);
	bytes_add(b, payload->data, payload->len);
}

/* target, time, then `fields` words. */
static void payload(struct bytes *b, uint64_t time, const uint64_t *fields, size_t count)
{
	b->len = 0;
	bytes_varint(b, 1); /* target 0 */
	bytes_varint(b, zigzag(time));
	for (size_t i = 0; i < count; i++)
		bytes_varint(b, fields[i]);
}

static void newer_and_older_records(void **state)
{
	const uint64_t more[] = {7, 1234, 99, 98}, less[] = {5}, wrong[] = {200, 0};
	struct bytes file = {0}, one = {0};
	struct world *w = *state;
	struct event got;

	payload(&one, 10, more, 0);
	put(&file, 31, &one); /* a kind of the future */
	payload(&one, 5, more, 4);
	put(&file, EV_TASK_SCAN, &one); /* two fields more than we know */
	payload(&one, 0, less, 1);
	put(&file, EV_TASK_SCAN, &one); /* one less */
	payload(&one, 0, wrong, 2);
	put(&file, EV_TARGET_END, &one); /* a reason of the future */
	payload(&one, 0, less, 0);
	put(&file, EV_QUEUES, &one);
	trace_decoder_begin(w->d, file.data, file.len);
	assert_int_equal(trace_decoder_next(w->d, &got), 1);
	assert_int_equal(got.time_ns, 15); /* the unknown kind's time counts */
	assert_int_equal(got.as_task_scan.rows, 7);
	assert_true(got.as_task_scan.truncated);
	assert_int_equal(trace_decoder_next(w->d, &got), 1);
	assert_int_equal(got.as_task_scan.rows, 5);
	assert_false(got.as_task_scan.truncated);
	assert_int_equal(trace_decoder_next(w->d, &got), 1);
	assert_int_equal(got.kind, EV_QUEUES);
	assert_int_equal(got.as_queues.runtime, ID_NONE);
	assert_int_equal(got.as_queues.inject, -1);
	assert_null(got.as_queues.local_each);
	assert_int_equal(trace_decoder_next(w->d, &got), 0);
	assert_int_equal(trace_decoder_skipped(w->d), 2);
	bytes_free(&file);
	bytes_free(&one);
}

/* Frames with fewer or more values than we know: the rest of the event is right all the same. */
static void newer_and_older_frames(void **state)
{
	static const size_t widths[] = {1, 60};
	struct world *w = *state;

	for (size_t i = 0; i < 2; i++) {
		struct bytes file = {0}, one = {0};
		struct event got;

		bytes_varint(&file, RECORD_STRING);
		bytes_varint(&file, 1);
		bytes_add(&file, "f", 1);
		payload(&one, 5, NULL, 0);
		/* tid to end, each 0, then the count that stands for frames_count. */
		for (int field = 0; field < 12; field++)
			bytes_varint(&one, 0);
		bytes_varint(&one, 2);
		bytes_varint(&one, widths[i]);
		for (size_t value = 0; value < 2 * widths[i]; value++)
			bytes_varint(&one, value % widths[i] == 0);
		bytes_varint(&one, 1); /* now_only */
		put(&file, EV_STACK, &one);
		trace_decoder_begin(w->d, file.data, file.len);
		assert_int_equal(trace_decoder_next(w->d, &got), 1);
		assert_int_equal(got.as_stack.frames_count, 2);
		assert_string_equal(got.as_stack.frames[1].function, "f");
		assert_null(got.as_stack.frames[1].file);
		assert_int_equal(got.as_stack.frames[1].line, 0);
		assert_true(got.as_stack.now_only);
		bytes_free(&file);
		bytes_free(&one);
	}
}

/* Escape sequences in a file do not reach a terminal. */
static void texts_are_sanitised(void **state)
{
	const struct event event = {.kind = EV_NOTE, .as_note.text = "a\033[2Jb"};
	struct world *w = *state;
	struct event got;

	trace_encoder_add(w->e, &event);
	begin(w);
	assert_int_equal(trace_decoder_next(w->d, &got), 1);
	assert_string_equal(got.as_note.text, "a\\x1b[2Jb");
}

/* Any bytes: an end or an error, never a hang or a read behind them (ASan). */
static void random_bytes(void **state)
{
	struct world *w = *state;
	uint64_t seed = 7;
	struct event got;

	for (int round = 0; round < 20000; round++) {
		size_t size = random_number(&seed, 60) + 1;
		uint8_t *data = malloc(size);

		assert_non_null(data);
		for (size_t i = 0; i < size; i++)
			data[i] = (uint8_t)random_number(&seed, i % 3 ? 24 : 256);
		trace_decoder_begin(w->d, data, size);
		while (trace_decoder_next(w->d, &got) == 1)
			assert_non_null(trace_kind(got.kind));
		free(data);
	}
}

/* Known answers: RFC 3720 B.4, and both ways to compute it on every length. */
static void checksum(void **state)
{
	uint8_t data[64];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(data, 0, 32);
	assert_int_equal(crc32c(0, data, 32), 0x8a9136aa);
	memset(data, 0xff, 32);
	assert_int_equal(crc32c(0, data, 32), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37);
	for (size_t n = 0; n <= sizeof(data); n++) {
		uint32_t byte_by_byte = 0;

		for (size_t i = 0; i < n; i++)
			byte_by_byte = crc32c(byte_by_byte, data + i, 1);
		assert_int_equal(crc32c(0, data, n), byte_by_byte);
	}
}

static void varints(void **state)
{
	const uint64_t values[] = {0,	      1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX - 1,
				   UINT64_MAX};
	uint8_t endless[11];
	struct cursor c;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct bytes b = {0};

		bytes_varint(&b, values[i]);
		c = (struct cursor){.at = b.data, .end = b.data + b.len};
		assert_int_equal(cursor_varint(&c), values[i]);
		assert_false(c.bad);
		assert_int_equal(unzigzag(zigzag(values[i])), values[i]);
		c = (struct cursor){.at = b.data, .end = b.data + b.len - 1};
		cursor_varint(&c);
		assert_true(c.bad);
		bytes_free(&b);
	}
	memset(endless, 0x80, sizeof(endless));
	c = (struct cursor){.at = endless, .end = endless + sizeof(endless)};
	cursor_varint(&c);
	assert_true(c.bad);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(every_kind_there_and_back), CASE(table_covers_every_member),
		CASE(newer_and_older_records),	 CASE(newer_and_older_frames),
		CASE(texts_are_sanitised),	 CASE(random_bytes),
		cmocka_unit_test(checksum),	 cmocka_unit_test(varints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
