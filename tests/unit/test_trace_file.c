// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Whole files: written, cut off at every byte, with flipped bits, of other versions, and bombs. What
 * stands before the damage comes back, and what is missing is said.
 */
#include "trace_events.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "trace/file.h"
#include "trace/recorder.h"
#include "trace/replay.h"
#include "util/xalloc.h"

#define EVENTS 40 /* in a chunk */
#define CHUNKS 6
#define SEC 1000000000ULL

static const char *const settings[] = {"blocking-call.warning=20ms"};
static const char *const binaries[] = {"abcd /usr/bin/app"};

static const struct trace_rule rules[] = {{"my\033.json", "{\n\t\"id\": \"x\"}\n", 14}};

static const struct trace_info info = {
	.host = "box",
	.program = "stalltop test",
	.kernel = "6.18.0",
	.wall_offset_ns = 77,
	.settings = settings,
	.settings_count = 1,
	.binaries = binaries,
	.binaries_count = 1,
	.rules = rules,
	.rules_count = 1,
};

struct world {
	char dir[32], path[64];
	uint8_t *file; /* a whole one */
	size_t size;
	uint64_t ends[CHUNKS]; /* offset behind each chunk */
};

/* Rows that can be told apart: number i of chunk c. */
static struct event nth_event(uint32_t chunk, uint32_t i)
{
	struct event event = {
		.kind = EV_TASK_SCAN,
		.target = 0,
		.time_ns = (100 + chunk) * SEC + i * 1000,
		.as_task_scan = {.rows = chunk * EVENTS + i},
	};

	if (i == EVENTS - 1)
		event.kind = EV_TICK;
	event.as_tick.unused = event.kind == EV_TICK ? 0 : event.as_tick.unused;
	return event;
}

static void write_trace(struct world *w, bool finish)
{
	struct trace_file *f;
	struct chunk_maker maker;
	struct err err = {0};

	assert_int_equal(trace_file_create(w->path, &f, &err), 0);
	chunk_maker_init(&maker, CHUNK_DATA);
	for (uint32_t c = 0; c < CHUNKS; c++) {
		struct chunk_head head;
		struct bytes out = {0};

		for (uint32_t i = 0; i < EVENTS; i++) {
			struct event event = nth_event(c, i);

			chunk_maker_add(&maker, &event);
		}
		chunk_maker_finish(&maker, c, &head, &out);
		assert_int_equal(head.events, EVENTS);
		assert_int_equal(trace_file_add(f, &info, &head, &out, &err), 0);
		w->ends[c] = trace_file_size(f);
		bytes_free(&out);
	}
	chunk_maker_free(&maker);
	if (finish)
		assert_int_equal(trace_file_finish(f, &err), 0);
	trace_file_close(f);
}

static void slurp(struct world *w)
{
	FILE *in = fopen(w->path, "rb");

	assert_non_null(in);
	w->file = xmalloc(1 << 20);
	w->size = fread(w->file, 1, 1 << 20, in);
	fclose(in);
}

static void put_file(const struct world *w, const uint8_t *data, size_t size)
{
	int fd = open(w->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/stalltop-traceXXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/t.trace", w->dir);
	write_trace(w, true);
	slurp(w);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->path);
	rmdir(w->dir);
	free(w->file);
	free(w);
	return 0;
}

/* What came out of a file. */
struct seen {
	uint32_t rows; /* rows that were right */
	uint32_t next; /* the row that would follow in a whole file */
	uint32_t wrong;
	uint32_t ticks, notes;
	uint64_t lost;
	char note[192];
};

static int on_event(void *ctx, const struct event *event)
{
	struct seen *seen = ctx;

	if (event->kind == EV_NOTE) {
		seen->notes++;
		snprintf(seen->note, sizeof(seen->note), "%s", event->as_note.text);
	} else if (event->kind == EV_LOST) {
		seen->lost += event->as_lost.count;
	} else if (event->kind == EV_TICK) {
		seen->ticks++;
	} else {
		uint32_t rows = event->as_task_scan.rows;
		struct event want = nth_event(rows / EVENTS, rows % EVENTS);

		seen->wrong += event->kind != EV_TASK_SCAN || event->time_ns != want.time_ns ||
			       rows < seen->next;
		seen->next = rows + 1;
		seen->rows++;
	}
	return 0;
}

/* 0, or what replay_open() said. */
static int play(const struct world *w, struct seen *seen, struct err *err)
{
	struct source *source;
	int ret = replay_open(w->path, &source, err);

	*seen = (struct seen){0};
	if (ret)
		return ret;
	assert_int_equal(source->ops->drain(source, on_event, seen), 1);
	source->ops->close(source);
	return 0;
}

static void whole(void **state)
{
	struct world *w = *state;
	struct trace_reader *r;
	struct seen seen;
	struct err err = {0};

	assert_int_equal(play(w, &seen, &err), 0);
	assert_int_equal(seen.rows, CHUNKS * (EVENTS - 1));
	assert_int_equal(seen.ticks, CHUNKS);
	assert_int_equal(seen.wrong + seen.notes + seen.lost, 0);
	assert_int_equal(trace_reader_open(w->path, &r, &err), 0);
	assert_false(r->incomplete);
	assert_string_equal(r->host, "box");
	assert_string_equal(r->program, "stalltop test");
	assert_string_equal(r->kernel, "6.18.0");
	assert_string_equal(r->binaries[0], binaries[0]);
	assert_string_equal(r->settings[0], settings[0]);
	/* The name is shown, the text is parsed. */
	assert_string_equal(r->rules[0].name, "my\\x1b.json");
	assert_int_equal(r->rules[0].len, rules[0].len);
	assert_string_equal(r->rules[0].text, rules[0].text);
	assert_int_equal(r->wall_offset_ns, 77);
	assert_int_equal(r->begin_ns, 100 * SEC);
	assert_int_equal(r->chunks_count, CHUNKS);
	assert_int_equal(r->skipped_bytes, 0);
	trace_reader_close(r);
}

static void never_closed(void **state)
{
	struct world *w = *state;
	struct seen seen;
	struct err err = {0};

	write_trace(w, false);
	assert_int_equal(play(w, &seen, &err), 0);
	assert_int_equal(seen.rows, CHUNKS * (EVENTS - 1));
	assert_int_equal(seen.notes, 1);
	assert_non_null(strstr(seen.note, "was not closed"));
	assert_int_equal(seen.lost, 0);
}

/* Every chunk that is whole is read, and a part of one is said. */
static void cut_at_every_byte(void **state)
{
	struct world *w = *state;
	struct seen seen;

	for (size_t size = 0; size < w->size; size++) {
		uint32_t chunks = 0;
		struct err err = {0};
		int ret;

		while (chunks < CHUNKS && w->ends[chunks] <= size)
			chunks++;
		put_file(w, w->file, size);
		ret = play(w, &seen, &err);
		if (!chunks) {
			assert_int_equal(ret, -EBADMSG);
			assert_non_null(strstr(err.msg, w->path));
			continue;
		}
		assert_int_equal(ret, 0);
		assert_int_equal(seen.rows, chunks * (EVENTS - 1));
		assert_int_equal(seen.wrong, 0);
		assert_true(seen.notes >= 1);
		if (chunks < CHUNKS && size > w->ends[chunks - 1]) {
			assert_int_equal(seen.notes, 2);
			assert_non_null(strstr(seen.note, "cut off"));
			assert_int_equal(seen.lost, 1);
		}
	}
}

/* One flipped bit costs the chunk that it is in, and only that. */
static void every_flipped_bit(void **state)
{
	struct world *w = *state;
	struct seen seen;

	size_t headers = 0;

	for (size_t at = 0; at < w->size; at++) {
		uint8_t bit = (uint8_t)(1u << at % 8);
		uint32_t hit = 0;
		struct err err = {0};
		int ret;

		w->file[at] ^= bit;
		put_file(w, w->file, w->size);
		ret = play(w, &seen, &err);
		w->file[at] ^= bit;
		while (hit < CHUNKS && w->ends[hit] <= at)
			hit++;
		if (ret) {
			/* It may be of another version, indeed. */
			assert_true(at == HEADER_MAJOR || at == HEADER_MAJOR + 1);
			assert_int_equal(ret, -EPROTONOSUPPORT);
			continue;
		}
		if (seen.notes && strstr(seen.note, "header")) {
			assert_int_equal(hit, 0);
			assert_int_equal(seen.rows, CHUNKS * (EVENTS - 1));
			headers++;
		}
		assert_int_equal(seen.wrong, 0);
		assert_true(seen.rows >= (CHUNKS - 1) * (EVENTS - 1));
		/* What is lost is said. */
		if (seen.rows < CHUNKS * (EVENTS - 1))
			assert_true(seen.notes && seen.lost);
	}
	/* All of it but the version and the two words that are gone back to. */
	assert_int_equal(headers, get_u32(w->file + HEADER_SIZE) - 2 - 4 - 8);
}

static void random_flips(void **state)
{
	struct world *w = *state;
	uint8_t *copy = xmalloc(w->size);
	uint64_t seed = 3;
	struct seen seen;

	for (int round = 0; round < 3000; round++) {
		struct err err = {0};

		memcpy(copy, w->file, w->size);
		for (uint64_t n = random_number(&seed, 12) + 1; n; n--)
			copy[random_number(&seed, w->size)] ^= (uint8_t)(1u << random_number(&seed,
											     8));
		put_file(w, copy, w->size);
		if (!play(w, &seen, &err))
			assert_int_equal(seen.wrong, 0);
	}
	free(copy);
}

/* Foreign bytes between two chunks: passed over, and how many is said. */
static void rubbish_between(void **state)
{
	struct world *w = *state;
	uint8_t *copy = xmalloc(w->size + 1000);
	struct seen seen;
	struct err err = {0};

	memcpy(copy, w->file, w->ends[2]);
	memset(copy + w->ends[2], 'S', 1000);
	/* A magic that is no head. */
	put_u32(copy + w->ends[2] + 500, CHUNK_MAGIC_VALUE);
	memcpy(copy + w->ends[2] + 1000, w->file + w->ends[2], w->ends[CHUNKS - 1] - w->ends[2]);
	put_file(w, copy, w->ends[CHUNKS - 1] + 1000);
	free(copy);
	assert_int_equal(play(w, &seen, &err), 0);
	assert_int_equal(seen.rows, CHUNKS * (EVENTS - 1));
	assert_int_equal(seen.lost, 1);
	assert_non_null(strstr(seen.note, "1000 bytes skipped"));
}

static void other_versions(void **state)
{
	struct world *w = *state;
	struct seen seen;
	struct err err = {0};
	size_t header = get_u32(w->file + HEADER_SIZE);

	put_u16(w->file + HEADER_MAJOR, 9);
	put_file(w, w->file, w->size);
	assert_int_equal(play(w, &seen, &err), -EPROTONOSUPPORT);
	assert_non_null(strstr(err.msg, "format 9"));
	/* A greater minor number is fine; the checksum is made anew, as its writer would. */
	put_u16(w->file + HEADER_MAJOR, TRACE_MAJOR);
	put_u16(w->file + HEADER_MINOR, TRACE_MINOR + 1);
	put_u32(w->file + HEADER_FLAGS, 0);
	put_u64(w->file + HEADER_INDEX, 0);
	put_u32(w->file + header - 4, crc32c(0, w->file, header - 4));
	put_file(w, w->file, w->size);
	assert_int_equal(play(w, &seen, &err), 0);
	assert_int_equal(seen.rows, CHUNKS * (EVENTS - 1));
	put_file(w,
		 (const uint8_t *)"#!/bin/sh\n# no trace, but long enough to be one by its size\n",
		 60);
	assert_int_equal(play(w, &seen, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "is no stalltop trace"));
}

/* A chunk whose head says little and whose frame holds much, or says what nobody may ask for. */
static void bombs(void **state)
{
	struct chunk_head head = {.type = CHUNK_DATA}, read;
	struct bytes zeros = {0}, out = {0}, raw = {0};

	(void)state;
	memset(bytes_room(&zeros, 4u << 20), 0, 4u << 20);
	chunk_pack(&head, &zeros, &out);
	assert_true(out.len < 4096);
	assert_true(chunk_head_read(out.data, &read));
	assert_int_equal(chunk_unpack(&read, out.data + CHUNK_HEAD, &raw), 0);
	read.raw = 1000;
	assert_int_equal(chunk_unpack(&read, out.data + CHUNK_HEAD, &raw), -EBADMSG);
	put_u32(out.data + CHUNK_RAW, CHUNK_RAW_MAX + 1);
	put_u32(out.data + CHUNK_HEAD_CRC, crc32c(0, out.data, CHUNK_HEAD_CRC));
	assert_false(chunk_head_read(out.data, &read));
	bytes_free(&zeros);
	bytes_free(&out);
	bytes_free(&raw);
}

/* Through the recorder: flushes by time, keyframes that a reader from the start does not see. */
static int count_chunks(void *ctx, const struct chunk_head *head, const struct bytes *chunk)
{
	uint32_t *count = ctx;

	assert_int_equal(chunk->len, CHUNK_HEAD + head->stored);
	count[head->type]++;
	return 0;
}

static int announce(const void *model, event_fn fn, void *ctx)
{
	const struct event event = {.kind = EV_TARGET, .time_ns = 5, .as_target.comm = model};

	return fn(ctx, &event);
}

static void recorder_rhythm(void **state)
{
	uint32_t count[4] = {0};
	struct recorder r;

	(void)state;
	recorder_init(&r, count_chunks, count);
	for (uint64_t i = 0; i <= 50; i++) {
		struct event tick = {.kind = EV_TICK, .time_ns = SEC + i * 200000000};

		assert_int_equal(recorder_event(&r, &tick), 0);
		if (recorder_wants_keyframe(&r, tick.time_ns))
			assert_int_equal(recorder_keyframe(&r, tick.time_ns, announce, "x"), 0);
	}
	assert_int_equal(recorder_flush(&r), 0);
	/* The first tick at once, then three ticks each, at the end the two that are left. */
	assert_int_equal(count[CHUNK_DATA], 1 + 16 + 1);
	assert_int_equal(count[CHUNK_KEYFRAME], 1);
	recorder_free(&r);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(whole),
		CASE(never_closed),
		CASE(cut_at_every_byte),
		CASE(every_flipped_bit),
		CASE(random_flips),
		CASE(rubbish_between),
		CASE(other_versions),
		cmocka_unit_test(bombs),
		cmocka_unit_test(recorder_rhythm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
