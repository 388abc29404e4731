// SPDX-License-Identifier: LGPL-2.1-or-later
// libFuzzer: any bytes as a trace file. The first byte chooses what they are: a file as it is; the
// records of one chunk, packed properly, so that the decoder is reached without a checksum guessed;
// a header and chunks whose checksums are made right. What comes out goes into a model, is judged,
// and reported.
// sources: agent/trace/bytes.c agent/trace/chunk.c agent/trace/decode.c agent/trace/encode.c
// sources: agent/trace/fields.c agent/trace/file.c agent/trace/reader.c agent/trace/replay.c
// sources: agent/trace/rows.c agent/trace/scan.c agent/model/*.c agent/core/*.c rules/*.c
// sources: agent/util/err.c agent/util/fmt.c agent/util/map.c agent/util/sanitize.c
// sources: agent/util/syscall.c agent/util/xalloc.c .output/rules_builtin.c agent/target/name_shorten.c
// sources: agent/sink/report*.c agent/sink/overhead_out.c agent/sink/history.c agent/sink/stack_tree.c agent/sink/json_*.c
// sources: agent/sink/view.c agent/sink/text_*.c agent/util/table.c agent/util/source_text.c
// sources: .output/report_page.c
// libs: -lcjson -lzstd -lm
// seeds: tests/golden/*/*.trace
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rules/rule.h"
#include "sink/report.h"
#include "trace/file.h"
#include "trace/replay.h"

static struct rules *rules;
static bool judged;

struct playing {
	struct model *model;
	struct history *history;
};

static int apply(void *ctx, const struct event *event)
{
	const struct playing *p = ctx;
	struct model *model = p->model;

	p->history->sink.ops->event(&p->history->sink, event);
	model_apply(model, event);
	if (event->kind == EV_TICK && model->ticks < 64 && model->sites_count) {
		rules_eval(rules, model);
		judged = true;
	}
	return 0;
}

/* A chunk of these records, with a head that is right. */
static void add_chunk(struct bytes *file, const uint8_t *data, size_t size)
{
	struct bytes raw = {.data = (uint8_t *)data, .len = size};
	struct chunk_head head = {.type = CHUNK_DATA, .events = 1};

	chunk_pack(&head, &raw, file);
}

static void add_header(struct bytes *file)
{
	uint8_t *at = bytes_room(file, HEADER_FIXED + 4);

	memset(at, 0, HEADER_FIXED + 4);
	memcpy(at, TRACE_MAGIC, TRACE_MAGIC_SIZE);
	put_u16(at + HEADER_MAJOR, TRACE_MAJOR);
	put_u32(at + HEADER_SIZE, HEADER_FIXED + 4);
	put_u32(at + HEADER_FIXED, crc32c(0, at, HEADER_FIXED));
}

/* Every head that is there gets the checksums that it lacks. */
static void mend(struct bytes *file)
{
	for (size_t at = 0; at + CHUNK_HEAD <= file->len; at++) {
		uint8_t *head = file->data + at;
		uint32_t stored = get_u32(head + CHUNK_STORED);

		if (get_u32(head) != CHUNK_MAGIC_VALUE)
			continue;
		if (stored <= file->len - at - CHUNK_HEAD)
			put_u32(head + CHUNK_CRC, crc32c(0, head + CHUNK_HEAD, stored));
		put_u32(head + CHUNK_HEAD_CRC, crc32c(0, head, CHUNK_HEAD_CRC));
	}
}

static void report(const struct playing *p, struct source *source)
{
	const struct snapshot snap = {
		.model = p->model, .rules = rules, .command = "report", .host = ""};
	const struct report r = {.snap = &snap,
				 .history = p->history,
				 .trace = replay_reader(source),
				 .version = ""};
	const struct text_style style = {.width = 160};
	static FILE *null;

	if (!null)
		null = fopen("/dev/null", "w");
	if (!null || report_text(null, &r, &style) || report_html(null, &r))
		abort();
}

static void play(const struct bytes *file)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct source *source;
	struct playing p;
	char path[64];

	if (fd < 0 || write(fd, file->data, file->len) != (ssize_t)file->len)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!replay_open(path, &source, NULL)) {
		p.model = model_new();
		p.history = history_new(p.model, replay_reader(source)->chunks[0].first_ns,
					replay_end(source));
		if (source->ops->drain(source, apply, &p) != 1)
			abort();
		/* Writing takes more time than all the rest. */
		if (file->len % 4 == 0)
			report(&p, source);
		p.history->sink.ops->close(&p.history->sink);
		model_free(p.model);
		replay_seek(source, UINT64_MAX, 0, 0);
		source->ops->close(source);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes file = {0};

	if (!size || size > (1 << 16))
		return 0;
	if (!rules && rules_load_builtin(&rules, NULL))
		abort();
	if (judged)
		rules_forget(rules);
	judged = false;
	if (data[0] == TRACE_MAGIC[0] && size > 1 && data[1] == (uint8_t)TRACE_MAGIC[1]) {
		bytes_add(&file, data, size);
	} else if (data[0] & 1) {
		add_header(&file);
		add_chunk(&file, data + 1, size - 1);
	} else {
		add_header(&file);
		bytes_add(&file, data + 1, size - 1);
		mend(&file);
	}
	play(&file);
	bytes_free(&file);
	return 0;
}
