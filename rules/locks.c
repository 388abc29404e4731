// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who waits for whose lock; see locks.h. */
#include "rules/locks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CYCLE_MAX 8   /* threads of a cycle; in a longer one nobody finds his way */
#define CYCLE_SHOWN 4 /* of them in a text */

static const char *const names[] = {
	[LOCK_NONE] = "",
	[LOCK_STD] = "std Mutex",
	[LOCK_STD_RW] = "std RwLock",
	[LOCK_PARKING] = "parking_lot Mutex",
	[LOCK_PTHREAD] = "pthread mutex",
};

const char *lock_name(enum lock_kind kind)
{
	return names[kind];
}

const struct site_stack *lock_wait(const struct worker *w)
{
	const struct site_stack *row = w && !w->ended && w->now.state == THREAD_BLOCKED ?
					       worker_stack(w) :
					       NULL;

	/* A stack of an earlier block of the same poll tells nothing of this one. */
	return row && row->lock_kind != LOCK_NONE && row->last_ns >= w->now.since_ns ? row : NULL;
}

/* The thread that has what `w` waits for; `proven`: as the lock itself says. 0: not known. */
static uint32_t next_of(const struct worker *w, bool proven)
{
	const struct site_stack *row = lock_wait(w);

	if (!row)
		return 0;
	return row->lock_owner || proven ? row->lock_owner : row->lock_seen;
}

/* How many threads the cycle through `w` has; 0: there is none. */
static uint32_t cycle_length(const struct model *m, const struct worker *w, bool proven)
{
	const struct worker *at = w;

	for (uint32_t n = 1; n <= CYCLE_MAX; n++) {
		uint32_t tid = next_of(at, proven);

		at = tid ? model_worker(m, w->target, tid) : NULL;
		if (!at)
			return 0;
		if (at == w)
			return n;
	}
	return 0;
}

bool lock_cycle(const struct model *m, const struct worker *w)
{
	return cycle_length(m, w, true) > 0;
}

bool lock_lost(const struct worker *w)
{
	const struct site_stack *row = lock_wait(w);

	return row && row->lock_found == LOCK_NOWHERE;
}

struct text_out {
	char *s;
	size_t size, len;
};

static void put(struct text_out *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text_out *out, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(out->s + out->len, out->size - out->len, fmt, args);
	va_end(args);
	if (n > 0)
		out->len += (size_t)n < out->size - out->len ? (size_t)n : out->size - out->len - 1;
}

/* "a pthread mutex that thread 12 holds"; `last`: of the wait told before, NULL. */
static void put_wait(struct text_out *out, const struct model *m, const struct worker *w,
		     const struct site_stack *last)
{
	const struct site_stack *row = lock_wait(w);
	const struct site *holder = row->lock_found == LOCK_IN_TASK ?
					    model_site(m, row->lock_site) :
					    NULL;

	if (last && last->lock_kind == row->lock_kind)
		put(out, "one");
	else
		put(out, "a %s", names[row->lock_kind]);
	if (row->lock_owner == w->now.tid)
		put(out, " that it holds itself");
	else if (row->lock_owner)
		put(out, " that thread %u holds", row->lock_owner);
	else if (row->lock_seen)
		put(out, " that thread %u probably holds", row->lock_seen);
	else if (holder)
		put(out, " that a waiting task of %s probably holds across an .await",
		    holder->name);
	else if (row->lock_found == LOCK_NOWHERE)
		put(out, " that nobody else has: it probably holds it itself");
}

static void put_chain(struct text_out *out, const struct model *m, const struct worker *w,
		      uint32_t length)
{
	const struct site_stack *last = NULL;
	bool proven = true;

	put(out, "thread %u waits for ", w->now.tid);
	for (uint32_t i = 0; i < length && i < CYCLE_SHOWN; i++) {
		if (i)
			put(out, ", and that for ");
		put_wait(out, m, w, last);
		last = lock_wait(w);
		proven &= last->lock_owner != 0;
		w = model_worker(m, w->target, next_of(w, false));
	}
	if (length > CYCLE_SHOWN)
		put(out, ", and so on, round %u threads", length);
	if (!proven)
		put(out, " (by where its address lies: the lock keeps no owner)");
}

/* Anything of who has what it waits for. */
static bool tells(const struct worker *w)
{
	return next_of(w, false) || lock_wait(w)->lock_found != LOCK_NOT_FOUND;
}

void lock_wait_text(const struct model *m, const struct worker *w, char *out, size_t size)
{
	struct text_out text = {.s = out, .size = size};

	out[0] = '\0';
	if (lock_wait(w))
		put_wait(&text, m, w, NULL);
}

void locks_text(const struct model *m, uint32_t target, uint32_t runtime, char *out, size_t size)
{
	const struct worker *best = NULL, *waits = NULL;
	struct text_out text = {.s = out, .size = size};
	uint32_t length = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < m->workers_count && !length; i++) {
		const struct worker *w = &m->workers[i];

		if (w->target != target || w->now.runtime != runtime || !lock_wait(w))
			continue;
		waits = waits ? waits : w;
		best = !best && tells(w) ? w : best;
		length = cycle_length(m, w, false);
		if (length)
			put_chain(&text, m, w, length);
	}
	if (length || !waits)
		return;
	if (best)
		put_chain(&text, m, best, 1);
	else
		put(&text, "who has the locks is n/a: a %s keeps no owner",
		    names[lock_wait(waits)->lock_kind]);
}
