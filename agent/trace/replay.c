// SPDX-License-Identifier: LGPL-2.1-or-later
/* A trace file as a source; see replay.h. */
#include "trace/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "util/xalloc.h"

#define STEP_MS 50

struct replay {
	struct source source;
	struct trace_reader *reader;
	size_t next;	 /* chunk to be read when the present one has ended */
	bool reading;	 /* a chunk is open */
	bool lacking;	 /* something before is missing: the next keyframe is of use, */
	bool keyframed;	 /* and is being passed on; it may have several chunks */
	bool told_start; /* what holds for the file as a whole */
	char **warnings; /* of it, by replay_warn() */
	size_t warnings_count, warnings_cap;
	bool told_end; /* that its last bytes are missing */
	uint64_t now_ns, end_ns;
	struct event held; /* read, but later than asked for */
	bool holding;
};

static int say(struct replay *r, uint64_t lost, const char *text, event_fn fn, void *ctx)
{
	struct event event = {
		.kind = EV_NOTE,
		.target = ID_NONE,
		.time_ns = r->now_ns,
		.as_note = {.severity = NOTE_WARNING, .text = text},
	};
	int ret = fn(ctx, &event);

	if (ret || !lost)
		return ret;
	event.kind = EV_LOST;
	event.as_lost = (struct ev_lost){.stage = "trace", .count = lost};
	return fn(ctx, &event);
}

static int say_damage(struct replay *r, uint64_t events, uint64_t bytes, event_fn fn, void *ctx)
{
	char text[192];

	r->lacking = true;
	if (events)
		snprintf(text, sizeof(text),
			 "the trace is damaged here: %" PRIu64 " events cannot be read", events);
	else
		snprintf(text, sizeof(text),
			 "the trace is damaged here: %" PRIu64
			 " bytes skipped, how many events is not known",
			 bytes);
	/* At least one; the note says that more is not known. */
	return say(r, events ? events : 1, text, fn, ctx);
}

static int say_start(struct replay *r, event_fn fn, void *ctx)
{
	int ret = 0;

	if (r->told_start)
		return 0;
	r->told_start = true;
	for (size_t i = 0; i < r->warnings_count && !ret; i++)
		ret = say(r, 0, r->warnings[i], fn, ctx);
	return ret;
}

void replay_warn(struct source *source, const char *text)
{
	struct replay *r = (struct replay *)source;

	r->warnings = xgrow(r->warnings, &r->warnings_cap, r->warnings_count + 1, sizeof(char *));
	r->warnings[r->warnings_count++] = xstrdup(text);
}

/* What is wrong with the file as a whole. */
static void warn_of_file(struct replay *r)
{
	char text[192];

	if (r->reader->incomplete)
		replay_warn(&r->source,
			    "the trace was not closed: the recorder was killed, or is at work");
	if (!r->reader->header_bytes_lost)
		return;
	snprintf(text, sizeof(text),
		 "the header of the trace is damaged, its %" PRIu32
		 " bytes are skipped: host, clock time, rules and settings of the recording are "
		 "not known",
		 r->reader->header_bytes_lost);
	replay_warn(&r->source, text);
}

static int say_end(struct replay *r, event_fn fn, void *ctx)
{
	char text[192];
	int ret;

	if (r->told_end || !r->reader->tail_bytes)
		return 1;
	r->told_end = true;
	snprintf(text, sizeof(text),
		 "the trace is cut off: its last %" PRIu64 " bytes cannot be read",
		 r->reader->tail_bytes);
	ret = say(r, 1, text, fn, ctx);
	return ret ? ret : 1;
}

/* Opens the next chunk that is to be played; 1: there is none. */
static int next_chunk(struct replay *r, event_fn fn, void *ctx)
{
	while (r->next < r->reader->chunks_count) {
		size_t i = r->next++;
		const struct trace_chunk *chunk = &r->reader->chunks[i];
		int ret = chunk->gap ? say_damage(r, 0, chunk->gap, fn, ctx) : 0;

		if (ret)
			return ret;
		/* Who has read all until here learns nothing from it. */
		if (chunk->type == CHUNK_KEYFRAME && !r->lacking)
			continue;
		ret = trace_reader_chunk(r->reader, i);
		if (!ret) {
			if (chunk->type != CHUNK_KEYFRAME && r->keyframed)
				r->lacking = false;
			r->keyframed = chunk->type == CHUNK_KEYFRAME;
			r->reading = true;
			return 0;
		}
		if (ret == -EBADMSG)
			ret = say_damage(r, chunk->events ? chunk->events : 1, 0, fn, ctx);
		if (ret)
			return ret;
	}
	return say_end(r, fn, ctx);
}

/* The next event in r->held: 0; 1: the end; -errno. */
static int hold(struct replay *r, event_fn fn, void *ctx)
{
	int ret = say_start(r, fn, ctx);

	while (!ret && !r->holding) {
		if (!r->reading) {
			ret = next_chunk(r, fn, ctx);
			continue;
		}
		ret = trace_reader_next(r->reader, &r->held);
		r->holding = ret == 1;
		r->reading = ret == 1;
		ret = ret == -EBADMSG ? say_damage(r, 1, 0, fn, ctx) : 0;
	}
	return ret;
}

/* Passes on what is held. */
static int pass(struct replay *r, event_fn fn, void *ctx)
{
	r->holding = false;
	if (r->held.time_ns > r->now_ns)
		r->now_ns = r->held.time_ns;
	return fn(ctx, &r->held);
}

int replay_until(struct source *source, uint64_t time_ns, event_fn fn, void *ctx)
{
	struct replay *r = (struct replay *)source;
	int ret;

	do {
		ret = hold(r, fn, ctx);
		if (ret || r->held.time_ns > time_ns)
			return ret;
		ret = pass(r, fn, ctx);
	} while (!ret);
	return ret;
}

static int replay_drain(struct source *source, event_fn fn, void *ctx)
{
	return replay_until(source, UINT64_MAX, fn, ctx);
}

static int replay_tick(struct source *source, event_fn fn, void *ctx)
{
	struct replay *r = (struct replay *)source;
	int ret;

	do {
		ret = hold(r, fn, ctx);
		if (!ret)
			ret = pass(r, fn, ctx);
	} while (!ret && r->held.kind != EV_TICK);
	return ret;
}

static uint64_t events_between(const struct trace_reader *reader, size_t from, uint64_t time_ns)
{
	uint64_t events = 0;

	for (size_t i = from; i < reader->chunks_count && reader->chunks[i].first_ns <= time_ns;
	     i++)
		events += reader->chunks[i].type == CHUNK_DATA ? reader->chunks[i].events : 0;
	return events;
}

uint64_t replay_events_until(const struct source *source, uint64_t time_ns)
{
	const struct replay *r = (const struct replay *)source;

	return events_between(r->reader, r->next, time_ns);
}

bool replay_seek(struct source *source, uint64_t time_ns, uint64_t before_ns, uint64_t max_events)
{
	struct replay *r = (struct replay *)source;
	const struct trace_reader *reader = r->reader;
	size_t from = 0;

	if (events_between(reader, 0, time_ns) > max_events)
		from = trace_reader_seek(reader, time_ns > before_ns ? time_ns - before_ns : 0);
	while (events_between(reader, from, time_ns) > max_events) {
		size_t next = trace_reader_keyframe(reader, from + 1);

		if (next == reader->chunks_count || reader->chunks[next].first_ns > time_ns)
			break;
		from = next;
	}
	r->next = from;
	r->reading = r->holding = r->told_end = r->keyframed = false;
	r->told_start = from > 0;
	r->lacking = reader->chunks[from].type == CHUNK_KEYFRAME;
	r->now_ns = reader->chunks[from].first_ns;
	return from == 0;
}

const struct trace_reader *replay_reader(const struct source *source)
{
	return ((const struct replay *)source)->reader;
}

uint64_t replay_now(const struct source *source)
{
	return ((const struct replay *)source)->now_ns;
}

uint64_t replay_end(const struct source *source)
{
	return ((const struct replay *)source)->end_ns;
}

static int replay_fd(struct source *source)
{
	(void)source;
	return -1;
}

static int replay_interval(struct source *source)
{
	(void)source;
	return STEP_MS;
}

static void replay_close(struct source *source)
{
	struct replay *r = (struct replay *)source;

	if (!r)
		return;
	trace_reader_close(r->reader);
	for (size_t i = 0; i < r->warnings_count; i++)
		free(r->warnings[i]);
	free(r->warnings);
	free(r);
}

static const struct source_ops replay_ops = {
	.fd = replay_fd,
	.interval_ms = replay_interval,
	.drain = replay_drain,
	.tick = replay_tick,
	.close = replay_close,
};

int replay_open(const char *path, struct source **out, struct err *err)
{
	struct replay *r = xcalloc(1, sizeof(*r));
	int ret = trace_reader_open(path, &r->reader, err);

	if (ret) {
		free(r);
		return ret;
	}
	r->source.ops = &replay_ops;
	for (size_t i = 0; i < r->reader->chunks_count; i++)
		if (r->reader->chunks[i].last_ns > r->end_ns)
			r->end_ns = r->reader->chunks[i].last_ns;
	replay_seek(&r->source, 0, 0, 0);
	warn_of_file(r);
	*out = &r->source;
	return 0;
}
