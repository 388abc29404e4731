// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a thread keeps the id of the task that it polls: learned by looking at threads that are off
 * the CPU, and at those that never are as a sample found them. The stack of each tells which tasks it
 * has in hand (a worker's own loop is one), and the place is the word of its thread-local memory that
 * is the id of one of them, on every thread and at every look, and nothing where there is no task.
 * Nothing is assumed of the layout; and whatever is reported later had a task with that very id on its
 * stack, so a place that is wrong finds nothing.
 */
#include "attach/live_sentinel.h"

#include "util/clock.h"
#include "util/xalloc.h"

#include <string.h>

#define LOOK_NS 200000000ULL /* between two looks at first, or while nothing is learned */
#define LOOK_SLOW_NS 1000000000ULL
#define LOOK_RARE_NS 16000000000ULL /* where all is learned, and no poll has proven it yet */
#define LOOK_SHARE 100		    /* a look takes at most 1/100 of a core, */
#define LOOK_BURST_NS 500000ULL /* and about this long; the other threads are looked at next time */
#define EAGER_NS 3000000000ULL
#define BEAT_NS 20000000000ULL
#define PATIENCE_NS 10000000000ULL
#define CHANGES_ENOUGH 2 /* a word that is always the same may be anything */
#define CHANGES_MAX 6
#define TASKS_IN_HAND 16
#define TASKS_AROUND 64 /* on the stack of a thread that runs, former ones among them */
#define MOMENTS_A_LOOK 16
#define MOMENTS_MAX 8 /* of one thread */

/* What a sample found there. */
static void moment_take(struct threadlocal *local, const struct wire_moment *rec)
{
	for (uint32_t n = 0; n < local->count; n++) {
		struct threadlocal_block *block = &local->list[n];
		uint64_t page = block->addr / THREADLOCAL_PAGE * THREADLOCAL_PAGE;
		uint32_t i = 0;

		while (i < WIRE_MOMENT_PAGES && (rec->page[i] != page || !(rec->present >> i & 1)))
			i++;
		if (i < WIRE_MOMENT_PAGES)
			memcpy(block->data,
			       rec->pages + (size_t)i * THREADLOCAL_PAGE + (block->addr - page),
			       (size_t)block->words * 8);
		else
			block->words = 0;
	}
}

/* --- judging ---------------------------------------------------------------------------------- */

/* The task with that id, a polled one if there is; NULL: none. */
static const struct sentinel_task *in_hand(const struct sentinel_task *tasks, uint32_t count,
					   uint64_t id)
{
	const struct sentinel_task *found = NULL;

	for (uint32_t i = 0; i < count; i++)
		if (tasks[i].id == id && (!found || tasks[i].polled))
			found = &tasks[i];
	return found;
}

/* It is the id of a task that is polled. */
static bool is_right(const struct sentinel_task *tasks, uint32_t count, uint64_t id)
{
	const struct sentinel_task *task = in_hand(tasks, count, id);

	return task && task->polled;
}

static void place_right(struct sentinel_place *c, uint64_t id, uint32_t tid)
{
	c->right++;
	c->last_tid = tid;
	for (uint32_t i = 0; i < c->ids; i++)
		if (c->seen[i] == id)
			return;
	if (c->ids < SENTINEL_IDS)
		c->seen[c->ids++] = id;
}

static void place_cleared(struct sentinel_place *c)
{
	c->cleared++;
	c->last_tid = 0;
}

static bool is_candidate(const struct sentinel_target *t, uint16_t module, int32_t offset)
{
	for (uint32_t i = 0; i < t->count; i++)
		if (t->candidates[i].place.module == module &&
		    t->candidates[i].place.offset == offset)
			return true;
	return false;
}

static void candidates_add(struct sentinel_target *t, const struct threadlocal *local,
			   const struct sentinel_task *tasks, uint32_t count, uint32_t tid)
{
	if (!t->candidates)
		t->candidates = xcalloc(SENTINEL_CANDIDATES, sizeof(*t->candidates));
	for (uint32_t i = 0; i < local->count; i++)
		for (uint32_t w = 0; w < local->list[i].words; w++) {
			const struct threadlocal_block *block = &local->list[i];
			int32_t offset = (int64_t)(block->addr + 8ULL * w - block->origin);

			if (!is_right(tasks, count, block->data[w]) ||
			    t->count == SENTINEL_CANDIDATES ||
			    is_candidate(t, block->module, offset))
				continue;
			t->candidates[t->count++] = (struct sentinel_place){
				.place = {.offset = offset, .module = block->module},
			};
			place_right(&t->candidates[t->count - 1], block->data[w], tid);
		}
}

/* One thread, whose stack shows `count` tasks; `awake`: it may have let go of some of them. */
static void judge(struct sentinel_target *t, const struct threadlocal *local,
		  const struct sentinel_task *tasks, uint32_t count, uint32_t tid, bool awake)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		struct sentinel_place *c = &t->candidates[i];
		uint64_t word = 0;

		if (threadlocal_word(local, c->place.module, c->place.offset, &word)) {
			if (is_right(tasks, count, word))
				place_right(c, word, tid);
			else if (in_hand(tasks, count, word))
				; /* let go of since the sample, or an earlier one: it says nothing */
			else if (c->last_tid == tid && !awake)
				place_cleared(c);
			else if (count && word)
				c->wrong++;
		}
		if (c->wrong <= c->right / 4)
			t->candidates[kept++] = *c;
	}
	t->count = kept;
	t->looks += count != 0;
	if (count)
		candidates_add(t, local, tasks, count, tid);
}

/* The best ones; none while there are too many of them to tell which it is. */
static uint32_t places_choose(const struct sentinel_target *t, struct wire_place *out)
{
	uint32_t best = CHANGES_ENOUGH, n = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		const struct sentinel_place *c = &t->candidates[i];
		uint32_t changes = c->ids + c->cleared;

		if (changes > CHANGES_MAX)
			changes = CHANGES_MAX;
		if (changes < best)
			continue;
		if (changes > best)
			n = 0;
		best = changes;
		if (n < WIRE_PLACES)
			out[n] = c->place;
		n++;
	}
	return n <= WIRE_PLACES ? n : 0;
}

void sentinel_place_set(struct wire_place *row, const struct wire_place *next)
{
	__atomic_store_n(&row->valid, 0, __ATOMIC_SEQ_CST);
	row->offset = next->offset;
	row->module = next->module;
	row->ticks = next->ticks;
	row->context = next->context;
	row->core = next->core;
	memcpy(row->tick, next->tick, sizeof(row->tick));
	row->beats_right = row->beats_wrong = 0;
	__atomic_store_n(&row->valid, next->valid, __ATOMIC_SEQ_CST);
}

static void places_publish(struct live *live, uint32_t target)
{
	struct sentinel_target *t = &live->sentinel->targets[target];
	struct wire_place *row = &live->kernel->places[target * WIRE_PLACES];
	struct wire_place chosen[WIRE_PLACES];
	uint32_t n = places_choose(t, chosen);

	for (uint32_t i = 0; i < WIRE_PLACES; i++) {
		struct wire_place next = i < n ? chosen[i] : (struct wire_place){0};

		next.valid = i < n;
		if (row[i].valid != next.valid || row[i].offset != next.offset ||
		    row[i].module != next.module) {
			sentinel_place_set(&row[i], &next);
			t->published_ns = clock_ns(CLOCK_MONOTONIC);
		}
	}
	t->learned = n > 0;
}

/* --- looking ------------------------------------------------------------------------------ */

struct seen {
	struct wire_look *looks;
	size_t count, cap;
};

static void on_look(void *ctx, const struct wire_look *look)
{
	struct seen *seen = ctx;

	seen->looks = xgrow(seen->looks, &seen->cap, seen->count + 1, sizeof(*seen->looks));
	seen->looks[seen->count++] = *look;
}

static void on_again(void *ctx, const struct wire_look *look)
{
	*(struct wire_look *)ctx = *look;
}

/* Whether what was read since the look is of one moment: the thread did not run. */
static bool stood_still(const struct live *live, const struct wire_look *look)
{
	struct wire_look again = {0};

	return !kernel_look(live->kernel, 0, look->tid, on_again, &again) &&
	       again.runs == look->runs && !(again.flags & WIRE_LOOK_ON_CPU);
}

static void look_at(struct live *live, uint32_t target, const struct wire_look *look,
		    struct threadlocal *local)
{
	struct sentinel *s = live->sentinel;
	struct sentinel_task tasks[TASKS_IN_HAND];
	uint32_t count;

	if (!look->fs || (look->flags & (WIRE_LOOK_ON_CPU | WIRE_LOOK_PROGRAM)))
		return;
	memset(&s->copy, 0, sizeof(s->copy));
	s->copy.head = (struct wire_head){.target = target, .tid = look->tid};
	memcpy(s->copy.regs, look->regs, sizeof(s->copy.regs));
	live_stack_read(live, &s->copy);
	count = sentinel_headers(live, &s->copy, true, tasks, TASKS_IN_HAND);
	threadlocal_read(&live->targets[target].watch->memory, local, look->fs);
	if (!stood_still(live, look))
		return;
	if (!s->targets[target].proven)
		judge(&s->targets[target], local, tasks, count, look->tid, false);
	sentinel_beat_look(live, target, look);
}

/* A thread gets its slot while it is off the CPU, or by itself at the next sample on it. */
static void slot_for(struct live *live, uint32_t target, const struct wire_look *look)
{
	const struct census_thread *c = census_find(live, target, look->tid);

	if (look->slot) {
		if (!c || !c->wanted)
			kernel_unwant(live->kernel, look->tid);
		return;
	}
	if (kernel_slots(live->kernel) >= WIRE_STACK_SLOTS)
		live->sentinel->targets[target].unwatched++;
	else if (!kernel_give_slot(live->kernel, look->tid, target))
		kernel_want(live->kernel, look->tid, target);
}

static bool learned_all(const struct live *live, uint32_t target)
{
	const struct sentinel_target *t = &live->sentinel->targets[target];

	return t->proven && (t->beat_off || live->kernel->places[target * WIRE_PLACES].ticks);
}

/* There is no need of more looks at threads that run. */
static bool learned_enough(const struct live *live, uint32_t target)
{
	const struct sentinel_target *t = &live->sentinel->targets[target];

	return t->beat_off || (t->learned && live->kernel->places[target * WIRE_PLACES].ticks);
}

/* A thread that does not sleep, with room for its moments. */
static bool is_awake(const struct wire_look *look)
{
	return look->fs && look->slot && look->slot <= WIRE_STACK_SLOTS &&
	       !(look->flags & WIRE_LOOK_ASLEEP);
}

/* What was loaded with the program first; of the rest others each time. */
static void moment_pages(const struct threadlocal *local, uint32_t turn,
			 uint64_t page[WIRE_MOMENT_PAGES])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < 2 * local->count && n < WIRE_MOMENT_PAGES; i++) {
		bool first = i < local->count;
		const struct threadlocal_block *block =
			&local->list[first ? i : (i + turn * WIRE_MOMENT_PAGES) % local->count];
		uint64_t at = block->addr / THREADLOCAL_PAGE * THREADLOCAL_PAGE;
		uint32_t same = 0;

		while (same < n && page[same] != at)
			same++;
		if ((block->module == 0) == first && same == n)
			page[n++] = at;
	}
}

static void moments_ask(struct live *live, uint32_t target, const struct seen *seen)
{
	uint32_t turn = live->sentinel->targets[target].turn++, awake = 0, each;
	const struct memory *memory = &live->targets[target].watch->memory;
	struct threadlocal *local = &live->sentinel->local;

	for (size_t i = 0; i < seen->count; i++)
		awake += is_awake(&seen->looks[i]);
	each = awake ? MOMENTS_A_LOOK / awake : 0;
	each = each < 1 ? 1 : each > MOMENTS_MAX ? MOMENTS_MAX : each;
	for (size_t i = 0, asked = 0; i < seen->count && asked < MOMENTS_A_LOOK; i++) {
		const struct wire_look *look = &seen->looks[(i + turn) % seen->count];
		uint64_t page[WIRE_MOMENT_PAGES] = {0};

		if (!is_awake(look))
			continue;
		threadlocal_find(memory, local, look->fs);
		moment_pages(local, turn, page);
		kernel_ask_moments(live->kernel, look->slot - 1, look->tid, each, page);
		asked += each;
	}
}

static void publish(struct live *live, uint32_t target)
{
	if (!live->sentinel->targets[target].proven)
		places_publish(live, target);
	sentinel_beat_publish(live, target);
}

/* At the threads in turn, for a moment: so long what is watched may have to wait for its CPU. */
static void look_at_some(struct live *live, uint32_t target, const struct seen *seen)
{
	struct sentinel_target *t = &live->sentinel->targets[target];
	uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (size_t i = 0; i < seen->count; i++) {
		look_at(live, target, &seen->looks[t->threads++ % seen->count],
			&live->sentinel->local);
		if (clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin > LOOK_BURST_NS)
			break;
	}
}

/* Whether it is time to look again; ever more seldom once there is little to learn. */
static bool is_look_due(struct live *live, uint32_t target, uint64_t now)
{
	struct sentinel_target *t = &live->sentinel->targets[target];

	if (learned_all(live, target) || (learned_enough(live, target) && now < t->rare_due))
		return false;
	t->rare_ns = !learned_enough(live, target) ? LOOK_SLOW_NS :
		     t->rare_ns * 2 < LOOK_RARE_NS ? t->rare_ns * 2 :
						     LOOK_RARE_NS;
	t->rare_due = now + t->rare_ns;
	return true;
}

static void look_at_all(struct live *live, uint32_t target, uint64_t now)
{
	struct seen seen = {0};

	live->sentinel->targets[target].unwatched = 0;
	kernel_look(live->kernel, live->targets[target].watch->proc->pid, 0, on_look, &seen);
	if (is_look_due(live, target, now))
		look_at_some(live, target, &seen);
	for (size_t i = 0; i < seen.count; i++)
		slot_for(live, target, &seen.looks[i]);
	publish(live, target);
	if (!learned_enough(live, target))
		moments_ask(live, target, &seen);
	free(seen.looks);
}

void live_sentinel_moment(struct live *live, const struct wire_moment *rec)
{
	struct sentinel_task tasks[TASKS_AROUND];
	struct wire_look look = {.time_ns = rec->stack.head.time_ns,
				 .tid = rec->stack.head.tid,
				 .flags = WIRE_LOOK_ON_CPU,
				 .fs = rec->fs,
				 .runs = rec->stack.head.time_ns};
	uint32_t target = rec->stack.head.target, count;
	struct sentinel *s = live->sentinel;
	uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	if (!s || target >= live->targets_count || live->targets[target].ended || !rec->fs ||
	    learned_enough(live, target))
		return;
	s->copy = rec->stack;
	count = sentinel_headers(live, &s->copy, false, tasks, TASKS_AROUND);
	threadlocal_find(&live->targets[target].watch->memory, &s->local, rec->fs);
	moment_take(&s->local, rec);
	if (!s->targets[target].proven)
		judge(&s->targets[target], &s->local, tasks, count, look.tid, true);
	sentinel_beat_look(live, target, &look);
	publish(live, target);
	s->targets[target].moments_ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
}

static bool has_ids(const struct live *live, uint32_t target)
{
	for (uint32_t i = 0; i < live->sites_count; i++)
		if (live->sites[i].target == target && live->sites[i].found &&
		    live->sites[i].found->id_word != WIRE_NO_WORD)
			return true;
	return false;
}

/* --- what people are told ------------------------------------------------------------------- */

static int say(struct live *live, struct emit *emit, uint32_t target)
{
	struct sentinel_target *t = &live->sentinel->targets[target];

	if (!t->learned && !t->told_none && !has_ids(live, target)) {
		t->told_none = true;
		return live_note(
			emit, target, NOTE_WARNING,
			"%s: no runtime here keeps the id of a thread's task where it can be read "
			"(Tokio does)%s",
			live->opts.level ? "computing of sampled types is not seen, and of their "
					   "blocks five a second of each thread at most" :
					   "level 0 is off",
			live->opts.level ? "" : "; --level 1 sees polls");
	}
	if (t->told_none)
		return 0;
	if (t->learned && t->told_late) {
		t->told_late = false;
		return live_note(emit, target, NOTE_INFO,
				 "%s: it is known now where a thread keeps the id of its task",
				 live->opts.level ? "stalls of sampled types" : "level 0");
	}
	if (!t->learned && !t->told_late && emit->now - t->first_look > PATIENCE_NS) {
		t->told_late = true;
		return live_note(
			emit, target, NOTE_WARNING,
			"%s so far: where a thread keeps the id of its task is learned from "
			"threads that have a task in hand, and %s",
			live->opts.level ? "stalls of sampled types are not seen" :
					   "level 0 is off",
			t->looks ? "what they have in common is not clear yet" : "none was seen");
	}
	if (t->unwatched && !t->told) {
		t->told = true;
		return live_note(
			emit, target, NOTE_WARNING,
			"level 0: there is room for %d threads; not watched beyond them: %u",
			WIRE_STACK_SLOTS, t->unwatched);
	}
	return 0;
}

int sentinel_learn(struct live *live, struct emit *emit, uint32_t target)
{
	struct sentinel_target *t = &live->sentinel->targets[target];
	uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID), pause = LOOK_SLOW_NS, cost;

	if (emit->now < t->next_look)
		return 0;
	if (!t->first_look)
		t->first_look = emit->now;
	look_at_all(live, target, emit->now);
	if (emit->now - t->first_look < EAGER_NS)
		t->moments_ns = 0;
	if (!t->learned || emit->now - t->first_look < EAGER_NS ||
	    (!learned_all(live, target) && emit->now - t->first_look < BEAT_NS))
		pause = LOOK_NS;
	cost = (clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin + t->moments_ns) * LOOK_SHARE;
	t->moments_ns = 0;
	t->next_look = emit->now + (cost > pause ? cost : pause);
	return say(live, emit, target);
}
