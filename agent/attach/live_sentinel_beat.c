// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What tells two polls of one task apart: the counters of a worker's scheduler. Its context is a
 * structure on the worker's own stack that a thread-local word near the task's id points to, and it
 * points to the structure with the counters. Both and the counters are learned by looking at workers
 * again and again while they sleep, or as samples find them: a counter is what grew, moderately, each
 * time that the worker has run since the last look; of several those that the most workers have, and
 * of these the fastest together. The kernel part checks it on: where another task is polled, they must
 * have moved. If they did not, others are learned.
 */
#include "attach/live_sentinel.h"

#include "util/xalloc.h"

#include <string.h>

#define NEAR 1024 /* bytes of thread-local memory on either side of the id */
#define PATHS 64
#define THREADS 256
#define CONTEXT_WORDS 8 /* what follows are variables, which lead here now and there then */
#define CORE_BYTES 512
#define CORE_LITTLE 256 /* where the allocator does not say how large it is */
#define CORE_WORDS (CORE_BYTES / 4)
#define GROWTH_MAX (1U << 20) /* between two looks, */
#define GROWTH_NS 16 /* or, if that is more, one each 16 ns; what grows faster is a clock */
#define GOOD_ENOUGH 6
#define SURE_ENOUGH 2 /* of those; a poll that never ends has nothing else that grows */
#define WRONG_MAX 2
#define TRIES 4

struct path {
	int32_t context;
	uint16_t core;
	bool shared;  /* several threads have the same one: it is no worker's own */
	bool refuted; /* it stood still between two polls */
	/* How often each word grew, how often when surely a poll began, and how often it stood still. */
	uint16_t good[CORE_WORDS], sure[CORE_WORDS], bad[CORE_WORDS];
	uint64_t grown[CORE_WORDS];
	uint64_t threads[CORE_WORDS]; /* on which it grew: a bit for each tid % 64 */
};

/* A thread's counters at the last look. */
struct seen {
	uint32_t tid, path, words;
	bool awake; /* it ran, and went on */
	uint64_t at, runs, time_ns, id;
	uint32_t data[CORE_WORDS];
};

struct sentinel_beat {
	struct path paths[PATHS];
	uint32_t paths_count;
	struct seen seen[THREADS];
	uint32_t seen_count;
};

static uint64_t origin_of(const struct memory *memory, const struct wire_place *place, uint64_t fs)
{
	uint64_t table, block;

	if (!place->module)
		return fs;
	if (memory_read(memory, fs + 8, &table, sizeof(table)) ||
	    memory_read(memory, table + 16ULL * place->module, &block, sizeof(block)))
		return 0;
	return block;
}

static struct path *path_of(struct sentinel_beat *b, int32_t context, uint16_t core)
{
	for (uint32_t i = 0; i < b->paths_count; i++)
		if (b->paths[i].context == context && b->paths[i].core == core)
			return &b->paths[i];
	if (b->paths_count == PATHS)
		return NULL;
	b->paths[b->paths_count] = (struct path){.context = context, .core = core};
	return &b->paths[b->paths_count++];
}

static struct seen *seen_of(struct sentinel_beat *b, uint32_t tid, uint32_t path, uint64_t at)
{
	for (uint32_t i = 0; i < b->seen_count; i++) {
		if (b->seen[i].path == path && b->seen[i].tid != tid && b->seen[i].at == at)
			b->paths[path].shared = true;
		if (b->seen[i].path == path && b->seen[i].tid == tid)
			return &b->seen[i];
	}
	if (b->seen_count == THREADS)
		return NULL;
	b->seen[b->seen_count] = (struct seen){.tid = tid, .path = path};
	return &b->seen[b->seen_count++];
}

/* glibc keeps the size of a piece of heap before it; nothing beyond belongs to the structure. */
static uint32_t core_read(const struct memory *memory, uint64_t at, uint32_t data[CORE_WORDS])
{
	uint64_t size = 0;
	uint32_t bytes = CORE_LITTLE;

	if (memory_read(memory, at - 8, &size, sizeof(size)))
		return 0;
	size &= ~7ULL;
	if (size >= 32 && size <= 4096 && size % 16 == 0)
		bytes = size - 8 < CORE_BYTES ? size - 8 : CORE_BYTES;
	return memory_read(memory, at, data, bytes) ? 0 : bytes / 4;
}

/*
 * Whether it has surely begun a poll since the last look. What a thread that runs did between its
 * sample and the look at its counters is not known; it has begun one where its id is another.
 */
static bool has_polled(const struct seen *was, const struct seen *now)
{
	if (now->awake && was->awake)
		return now->id != was->id;
	return !was->awake;
}

static void compare(struct path *path, const struct seen *was, const struct seen *now)
{
	uint64_t most = (now->time_ns - was->time_ns) / GROWTH_NS;
	bool polled = has_polled(was, now);

	if (most < GROWTH_MAX)
		most = GROWTH_MAX;
	for (uint32_t i = 0; i < now->words && i < was->words; i++) {
		uint32_t growth = now->data[i] - was->data[i];

		if (growth && growth < most) {
			path->good[i]++;
			path->sure[i] += polled;
			path->grown[i] += growth;
			path->threads[i] |= 1ULL << now->tid % 64;
		} else if (growth || polled) {
			path->bad[i]++;
		}
	}
}

static void core_seen(struct live *live, struct sentinel_beat *b, const struct wire_look *look,
		      uint32_t target, struct path *path, uint64_t at, uint64_t id)
{
	struct seen *seen = seen_of(b, look->tid, path - b->paths, at);
	struct seen now = {.tid = look->tid,
			   .path = path - b->paths,
			   .awake = look->flags & WIRE_LOOK_ON_CPU,
			   .at = at,
			   .runs = look->runs,
			   .time_ns = live_now(),
			   .id = id};

	if (!seen || path->shared || (seen->at == at && seen->runs == look->runs))
		return;
	now.words = core_read(&live->targets[target].watch->memory, at, now.data);
	if (!now.words)
		return;
	if (seen->at == at)
		compare(path, seen, &now);
	*seen = now;
}

/* What the words of a structure on the stack point to. */
static void context_seen(struct live *live, struct sentinel_beat *b, const struct wire_look *look,
			 uint32_t target, int32_t offset, uint64_t context, uint64_t id)
{
	const struct wire_stack *copy = &live->sentinel->copy;
	uint64_t at;

	for (uint16_t i = 0; i < CONTEXT_WORDS; i++) {
		struct path *path;

		if (!live_word_at(copy, context + 8ULL * i, &at) || at % 16 ||
		    at < WIRE_STACK_PAGE || at >= USER_END ||
		    (at >= copy->base && at < copy->base + sizeof(copy->pages)))
			continue;
		path = path_of(b, offset, 8 * i);
		if (path)
			core_seen(live, b, look, target, path, at, id);
	}
}

void sentinel_beat_look(struct live *live, uint32_t target, const struct wire_look *look)
{
	const struct wire_place *place = &live->kernel->places[target * WIRE_PLACES];
	struct sentinel_target *t = &live->sentinel->targets[target];
	const struct memory *memory = &live->targets[target].watch->memory;
	const struct wire_stack *copy = &live->sentinel->copy;
	struct memory_piece pieces[2 * NEAR / 8];
	uint64_t words[2 * NEAR / 8], origin;

	/* With more than one place nothing is sure yet. */
	if (!place->valid || place[1].valid || place->ticks)
		return;
	if (!t->beat)
		t->beat = xcalloc(1, sizeof(*t->beat));
	origin = origin_of(memory, place, look->fs);
	if (!origin)
		return;
	for (uint32_t i = 0; i < 2 * NEAR / 8; i++)
		pieces[i] = (struct memory_piece){.addr = origin + place->offset - NEAR + 8ULL * i,
						  .buf = &words[i],
						  .len = sizeof(words[i])};
	if (memory_readv(memory, pieces, 2 * NEAR / 8) < 0)
		return;
	for (uint32_t i = 0; i < 2 * NEAR / 8; i++)
		if (!pieces[i].error && words[i] % 8 == 0 && words[i] >= copy->regs[STACK_RSP] &&
		    words[i] < copy->base + sizeof(copy->pages) && (int64_t)i != NEAR / 8)
			context_seen(live, t->beat, look, target,
				     place->offset - NEAR + 8 * (int32_t)i, words[i],
				     pieces[NEAR / 8].error ? 0 : words[NEAR / 8]);
}

static int threads_of(const struct path *path, uint32_t word)
{
	return path->good[word] >= GOOD_ENOUGH && path->sure[word] >= SURE_ENOUGH &&
			       path->bad[word] <= path->good[word] / 8 ?
		       __builtin_popcountll(path->threads[word]) :
		       0;
}

/* On how many threads a counter of the path grew; 0: it has none. */
static int path_threads(const struct path *path)
{
	int most = 0;

	for (uint32_t i = 0; i < CORE_WORDS; i++)
		if (threads_of(path, i) > most)
			most = threads_of(path, i);
	return most;
}

/* The fastest counters that grew on so many threads, at most WIRE_TICKS; returns how fast the first is. */
static uint64_t path_ticks(const struct path *path, int threads, uint16_t ticks[WIRE_TICKS],
			   uint8_t *count)
{
	uint64_t first = 0, last = UINT64_MAX;

	for (*count = 0; *count < WIRE_TICKS; ++*count) {
		uint64_t best = 0;
		uint32_t which = 0;

		for (uint32_t i = 0; i < CORE_WORDS; i++)
			if (threads_of(path, i) == threads && path->grown[i] > best &&
			    path->grown[i] < last) {
				best = path->grown[i];
				which = i;
			}
		if (!best)
			break;
		ticks[*count] = which * 4;
		last = best;
		first = first ? first : best;
	}
	return first;
}

/*
 * The path that the most threads have: each worker has counters of its own, and what one thread alone leads
 * to may be for instance the clock of a driver that it has at the moment. Then the fastest.
 */
void sentinel_beat_publish(struct live *live, uint32_t target)
{
	struct wire_place *row = &live->kernel->places[target * WIRE_PLACES], next = *row;
	const struct sentinel_beat *b = live->sentinel->targets[target].beat;
	uint64_t best = 0, speed;
	int most = 1, threads;

	if (!b || !row->valid || row->ticks || live->sentinel->targets[target].beat_off)
		return;
	for (uint32_t i = 0; i < b->paths_count; i++) {
		const struct path *path = &b->paths[i];
		uint16_t ticks[WIRE_TICKS] = {0};
		uint8_t count;

		threads = path->shared || path->refuted ? 0 : path_threads(path);
		if (threads < most)
			continue;
		speed = path_ticks(path, threads, ticks, &count);
		if (threads == most && speed <= best)
			continue;
		most = threads;
		best = speed;
		next.context = path->context;
		next.core = path->core;
		memcpy(next.tick, ticks, sizeof(next.tick));
		next.ticks = count;
	}
	if (best)
		sentinel_place_set(row, &next);
}

/* The kernel part found counters that are none. */
static bool is_refuted(const volatile struct wire_place *place)
{
	return place->ticks && place->beats_wrong > WRONG_MAX + place->beats_right / 64;
}

/* What the same pointers lead to is not tried again. */
static void refute(const struct live *live, uint32_t target)
{
	struct wire_place *row = &live->kernel->places[target * WIRE_PLACES], next = *row;
	struct sentinel_target *t = &live->sentinel->targets[target];
	struct path *path = t->beat ? path_of(t->beat, next.context, next.core) : NULL;

	next.ticks = 0;
	sentinel_place_set(row, &next);
	if (path)
		path->refuted = true;
	t->beat_off = !path || ++t->beats_refuted == TRIES;
}

int sentinel_beat_check(struct live *live, struct emit *emit)
{
	bool off = false;

	for (uint32_t i = 0; i < live->targets_count; i++) {
		if (!is_refuted(&live->kernel->places[i * WIRE_PLACES]))
			continue;
		refute(live, i);
		off |= live->sentinel->targets[i].beat_off;
	}
	return off ? live_note(emit, ID_NONE, NOTE_WARNING,
			       "level 0: long computing in polls is no longer looked for: what was "
			       "taken for a scheduler's counter stood still between two polls") :
		     0;
}
