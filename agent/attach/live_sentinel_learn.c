// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Where a thread keeps the id of the task that it polls: learned by looking at threads that are off
 * the CPU. The stack of each tells which tasks it has in hand (a worker's own loop is one), and the
 * place is the word of its thread-local memory that is the id of one of them, on every thread and at
 * every look, and nothing where there is no task. Nothing is assumed of the layout; and whatever is
 * reported later had a task with that very id on its stack, so a place that is wrong finds nothing.
 */
#include "attach/live_sentinel.h"

#include "target/threadlocal.h"
#include "util/xalloc.h"

#include <string.h>
#include <time.h>

#define LOOK_NS 200000000ULL /* between two looks at first, or while nothing is learned */
#define LOOK_SLOW_NS 1000000000ULL
#define LOOK_SHARE 100 /* a look takes at most 1/100 of a core */
#define EAGER_NS 3000000000ULL
#define BEAT_NS 20000000000ULL
#define PATIENCE_NS 10000000000ULL
#define CHANGES_ENOUGH 2 /* a word that is always the same may be anything */
#define CHANGES_MAX 6
#define TASKS_IN_HAND 16

/* --- judging ---------------------------------------------------------------------------------- */

static bool in_hand(const struct sentinel_task *tasks, uint32_t count, uint64_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (tasks[i].id == id)
			return true;
	return false;
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

			if (!in_hand(tasks, count, block->data[w]) ||
			    t->count == SENTINEL_CANDIDATES ||
			    is_candidate(t, block->module, offset))
				continue;
			t->candidates[t->count++] = (struct sentinel_place){
				.place = {.offset = offset, .module = block->module},
			};
			place_right(&t->candidates[t->count - 1], block->data[w], tid);
		}
}

/* One thread, whose stack shows `count` tasks. */
static void judge(struct sentinel_target *t, const struct threadlocal *local,
		  const struct sentinel_task *tasks, uint32_t count, uint32_t tid)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		struct sentinel_place *c = &t->candidates[i];
		uint64_t word = 0;

		if (threadlocal_word(local, c->place.module, c->place.offset, &word)) {
			if (in_hand(tasks, count, word))
				place_right(c, word, tid);
			else if (c->last_tid == tid)
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
		    row[i].module != next.module)
			sentinel_place_set(&row[i], &next);
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
		judge(&s->targets[target], local, tasks, count, look->tid);
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

static void look_at_all(struct live *live, uint32_t target)
{
	struct sentinel_target *t = &live->sentinel->targets[target];
	struct threadlocal local = {0};
	bool learning = !learned_all(live, target);
	struct seen seen = {0};

	t->unwatched = 0;
	kernel_look(live->kernel, live->targets[target].watch->proc->pid, 0, on_look, &seen);
	for (size_t i = 0; i < seen.count; i++) {
		if (learning)
			look_at(live, target, &seen.looks[i], &local);
		slot_for(live, target, &seen.looks[i]);
	}
	threadlocal_free(&local);
	free(seen.looks);
	if (!t->proven)
		places_publish(live, target);
	sentinel_beat_publish(live, target);
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
			"%s: no runtime here keeps the id of the task that a thread polls where it "
			"can be read (Tokio does)%s",
			live->opts.level ? "stalls of sampled types are not seen" :
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
			"threads that sleep with a task in hand, and %s",
			live->opts.level ? "stalls of sampled types are not seen" :
					   "level 0 is off",
			t->looks ? "what they have in common is not clear yet" : "none was seen");
	}
	if (t->unwatched && !t->told) {
		t->told = true;
		return live_note(emit, target, NOTE_WARNING,
				 "level 0: %u threads are not watched: there is room for %d",
				 t->unwatched, WIRE_STACK_SLOTS);
	}
	return 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int sentinel_learn(struct live *live, struct emit *emit, uint32_t target)
{
	struct sentinel_target *t = &live->sentinel->targets[target];
	uint64_t begin = cpu_ns(), pause = LOOK_SLOW_NS, cost;

	if (emit->now < t->next_look)
		return 0;
	if (!t->first_look)
		t->first_look = emit->now;
	look_at_all(live, target);
	if (!t->learned || emit->now - t->first_look < EAGER_NS ||
	    (!learned_all(live, target) && emit->now - t->first_look < BEAT_NS))
		pause = LOOK_NS;
	cost = (cpu_ns() - begin) * LOOK_SHARE;
	t->next_look = emit->now + (cost > pause ? cost : pause);
	return say(live, emit, target);
}
