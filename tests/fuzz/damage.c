// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * damage TRACE WORK FLIPS STEP: cuts a trace at every byte, and flips FLIPS single bits of it, one
 * at a time, and reads what is left. Every chunk that is whole must be read, in its order, what
 * lies before the damage to the letter; what is lost must be said; no reading may take 2 s of CPU. At each
 * STEP-th cut all events are read, at the others the list of the chunks. WORK is the file that is
 * damaged: after a crash it holds what did it. The last line says how many were read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "model/model.h"
#include "trace/format.h"
#include "trace/replay.h"
#include "util/xalloc.h"

#define SLOW 2.0
#define FNV_PRIME 0x100000001b3ULL

/* Events read so far, and what they were. */
struct seen {
	uint64_t count, hash;
	uint64_t notes, lost;
	struct model *model; /* NULL: they go nowhere */
	/* At the first note that something is missing. */
	bool damaged;
	uint64_t before_count, before_hash;
};

struct whole {
	const char *work;
	int fd;
	uint8_t *data;
	size_t size, header;
	struct trace_chunk *chunks;
	uint64_t *ends;	 /* offset behind each */
	struct seen *at; /* what was seen before each */
	size_t count;
	struct seen all;
	double slowest;
};

static void fail(const char *what, uint64_t at)
{
	printf("FAILED: %s, at %" PRIu64 "\n", what, at);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void mix(struct seen *seen, uint64_t value)
{
	seen->hash = (seen->hash ^ value) * FNV_PRIME;
}

static int on_event(void *ctx, const struct event *event)
{
	struct seen *seen = ctx;

	if (seen->model)
		model_apply(seen->model, event);
	/* Those of the reader, and the recorded ones alike. */
	if (event->kind == EV_NOTE || event->kind == EV_LOST) {
		seen->notes += event->kind == EV_NOTE;
		seen->lost += event->kind == EV_LOST;
		if (event->kind == EV_NOTE && !seen->damaged &&
		    (strstr(event->as_note.text, "is damaged here") ||
		     strstr(event->as_note.text, "is cut off"))) {
			seen->damaged = true;
			seen->before_count = seen->count;
			seen->before_hash = seen->hash;
		}
		return 0;
	}
	seen->count++;
	mix(seen, event->kind);
	mix(seen, event->time_ns);
	mix(seen, event->target);
	return 0;
}

/* 0, or what replay_open() said. */
static int play(struct whole *w, struct seen *seen, bool model, uint64_t at)
{
	double begin = now(), took;
	struct source *source;
	struct err err = {0};
	int ret;

	*seen = (struct seen){.model = model ? model_new() : NULL};
	ret = replay_open(w->work, &source, &err);
	if (!ret) {
		if (source->ops->drain(source, on_event, seen) != 1)
			fail("the stream did not end", at);
		source->ops->close(source);
	}
	model_free(seen->model);
	seen->model = NULL;
	took = now() - begin;
	if (took > w->slowest)
		w->slowest = took;
	if (took > SLOW)
		fail("it took too long", at);
	return ret;
}

/* --- the whole one ----------------------------------------------------------------------- */

static void load(struct whole *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail("cannot read the trace", 0);
	w->size = (size_t)st.st_size;
	w->data = xmalloc(w->size);
	if (read(fd, w->data, w->size) != st.st_size)
		fail("cannot read the trace", 0);
	close(fd);
	w->header = get_u32(w->data + HEADER_SIZE);
}

static void restore(struct whole *w)
{
	if (ftruncate(w->fd, 0) || pwrite(w->fd, w->data, w->size, 0) != (ssize_t)w->size)
		fail("cannot write the work file", 0);
}

/* What is seen of the file up to each chunk, keyframes passed over as a reader from the start does. */
static void learn(struct whole *w)
{
	struct trace_reader *r;
	struct seen seen = {0};
	struct event event;
	struct err err = {0};

	if (trace_reader_open(w->work, &r, &err) || r->skipped_bytes || r->incomplete)
		fail("the trace is not whole", 0);
	w->count = r->chunks_count;
	w->chunks = xcalloc(w->count, sizeof(*w->chunks));
	w->ends = xcalloc(w->count, sizeof(*w->ends));
	w->at = xcalloc(w->count + 1, sizeof(*w->at));
	for (size_t i = 0; i < w->count; i++) {
		w->chunks[i] = r->chunks[i];
		w->ends[i] = r->chunks[i].at + CHUNK_HEAD +
			     get_u32(w->data + r->chunks[i].at + CHUNK_STORED);
		w->at[i] = seen;
		if (r->chunks[i].type != CHUNK_DATA)
			continue;
		if (trace_reader_chunk(r, i))
			fail("a chunk of the whole trace cannot be read", i);
		while (trace_reader_next(r, &event) == 1)
			on_event(&seen, &event);
	}
	w->at[w->count] = w->all = seen;
	trace_reader_close(r);
}

/* The chunk that a byte is in; count: none. */
static size_t chunk_of(const struct whole *w, size_t byte)
{
	for (size_t i = 0; i < w->count; i++)
		if (byte >= w->chunks[i].at && byte < w->ends[i])
			return i;
	return w->count;
}

/* --- cuts -------------------------------------------------------------------------------- */

static void check_list(struct whole *w, size_t size, size_t chunks)
{
	double begin = now();
	struct trace_reader *r;
	struct err err = {0};
	int ret = trace_reader_open(w->work, &r, &err);
	uint64_t end = chunks ? w->ends[chunks - 1] : w->header;

	if (now() - begin > SLOW)
		fail("it took too long to open", size);
	if (ret && ret != -EBADMSG)
		fail("an error of another kind", size);
	if (ret ? chunks > 0 : r->chunks_count != chunks)
		fail("not the chunks that are whole", size);
	if (!ret && (!r->incomplete || (chunks < w->count && r->tail_bytes != size - end)))
		fail("what is missing is not said", size);
	if (!ret)
		trace_reader_close(r);
}

static void check_cut(struct whole *w, size_t size, size_t chunks)
{
	const struct seen *want = &w->at[chunks];
	struct seen seen;

	if (play(w, &seen, true, size))
		return;
	if (seen.count != want->count || seen.hash != want->hash)
		fail("not the events before the cut", size);
	if (!seen.notes)
		fail("the cut is not said", size);
}

static void cut(struct whole *w, size_t step)
{
	size_t chunks = w->count;

	for (size_t size = w->size; size-- > 0;) {
		if (ftruncate(w->fd, (off_t)size))
			fail("cannot cut the work file", size);
		while (chunks && w->ends[chunks - 1] > size)
			chunks--;
		check_list(w, size, chunks);
		if (size % step == 0)
			check_cut(w, size, chunks);
	}
}

/* --- flips -------------------------------------------------------------------------------- */

/* Bytes of the header that are its own, not gone back to when the file is closed. */
static bool in_header(const struct whole *w, size_t byte)
{
	return byte < w->header && (byte < HEADER_FLAGS || byte >= HEADER_ITEMS) &&
	       (byte < HEADER_INDEX || byte >= HEADER_BEGIN);
}

static void check_flip(struct whole *w, size_t byte, bool model)
{
	size_t chunk = chunk_of(w, byte);
	bool data = chunk < w->count && w->chunks[chunk].type == CHUNK_DATA;
	uint64_t least = w->all.count - (data ? w->chunks[chunk].events : 0);
	struct seen seen;
	int ret = play(w, &seen, model, byte);

	if (ret) {
		if (byte < HEADER_MAJOR || byte >= HEADER_MINOR || ret != -EPROTONOSUPPORT)
			fail("it cannot be opened", byte);
		return;
	}
	if (seen.count < least)
		fail("chunks that are whole were lost", byte);
	if (in_header(w, byte) && seen.notes == w->all.notes)
		fail("the damage of the header is not said", byte);
	if (seen.count == w->all.count && seen.hash == w->all.hash)
		return;
	if (!data)
		fail("other events, though no chunk of events was hit", byte);
	if (!seen.damaged || !seen.lost)
		fail("the damage is not said", byte);
	if (seen.before_count != w->at[chunk].count || seen.before_hash != w->at[chunk].hash)
		fail("not the events before the damage", byte);
}

static uint64_t chance(uint64_t *seed, uint64_t below)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (*seed >> 20) % below;
}

static void flip(struct whole *w, uint64_t flips)
{
	uint64_t seed = (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);

	for (uint64_t i = 0; i < flips; i++) {
		size_t byte = chance(&seed, w->size);
		uint8_t value = w->data[byte] ^ (uint8_t)(1u << chance(&seed, 8));

		if (pwrite(w->fd, &value, 1, (off_t)byte) != 1)
			fail("cannot write the work file", byte);
		check_flip(w, byte, i % 64 == 0);
		if (pwrite(w->fd, &w->data[byte], 1, (off_t)byte) != 1)
			fail("cannot write the work file", byte);
	}
}

int main(int argc, char **argv)
{
	struct whole w = {0};
	uint64_t flips;

	if (argc != 5) {
		fprintf(stderr, "usage: damage TRACE WORK FLIPS STEP\n");
		return 2;
	}
	w.work = argv[2];
	w.fd = open(w.work, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	flips = strtoull(argv[3], NULL, 10);
	load(&w, argv[1]);
	restore(&w);
	learn(&w);
	flip(&w, flips);
	cut(&w, strtoull(argv[4], NULL, 10));
	close(w.fd);
	unlink(w.work);
	free(w.data);
	free(w.chunks);
	free(w.ends);
	free(w.at);
	printf("%zu bytes, %zu chunks, %" PRIu64 " events: cut at every byte, %" PRIu64
	       " bits flipped; the slowest reading took %.0f ms\n",
	       w.size, w.count, w.all.count, flips, w.slowest * 1000);
	return 0;
}
