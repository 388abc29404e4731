// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What tasks that have been idle for long are queued at: their memory is read, and the runtime's back
 * end asked (runtime/runtime.h). In turns, a bounded number of tasks a scan; what was found holds for
 * as long as the task is not polled again, as it is when its turn in the queue has come.
 */
#include "attach/live_priv.h"

#include "util/xalloc.h"

#define IDLE_NS 1000000000ULL
#define TASKS_A_SCAN 256
#define TASKS_A_DUMP 4096
#define TASK_WORDS 2048 /* of one task: Tokio boxes what is larger */
#define WORDS_A_READ 65536
#define TASKS_A_READ 256

/* Tasks of one target that are read in one go. */
struct batch {
	uint32_t target, count;
	size_t used; /* words */
	struct wire_task rows[TASKS_A_READ];
	uint32_t index[TASKS_A_READ];
	struct memory_piece pieces[TASKS_A_READ];
	uint64_t words[WORDS_A_READ];
};

bool live_task_waits(const struct runtime_state *state)
{
	return !state->running && !state->ready && !state->complete;
}

static size_t task_words(const struct runtime_site *site)
{
	size_t words = site->size / 8;

	return words < TASK_WORDS ? words : TASK_WORDS;
}

/* What its guards lead to; a guard of one that holds nothing is not in its memory. */
static void held_by(const struct runtime_found *found, const struct runtime_site *site,
		    const uint64_t *words, struct runtime_wait *out)
{
	size_t count, n = 0;
	const struct runtime_mark *marks = runtime_site_marks(found, site, &count);
	uint64_t word;

	out->held_known = site->marked && task_words(site) == site->size / 8;
	for (size_t i = 0; i < count; i++) {
		if (marks[i].kind != MARK_HOLDS ||
		    !mark_there(&marks[i], words, task_words(site) * 8, &word) ||
		    !channel_pointer(word))
			continue;
		if (n == RUNTIME_HOLDS)
			out->held_known = false;
		else
			out->held[n++] = word + marks[i].number;
	}
}

/* What the task is queued at, and holds, if it still is this one, and idle. */
static struct runtime_wait wait_in(const struct live *live, uint32_t site, uint64_t header,
				   uint64_t id, const uint64_t *words)
{
	const struct runtime_found *found = live_found(live, site);
	const struct runtime_site *s = live->sites[site].found;
	struct runtime_wait wait = {0};
	struct runtime_state state;

	if (!runtime_header_is(found, s, words, header, id))
		return wait;
	found->ops->state(words[s->state_word & 7], &state);
	if (!live_task_waits(&state))
		return wait;
	if (found->ops->wait(&live->targets[live->sites[site].target].watch->memory, header, words,
			     task_words(s), &wait))
		wait.semaphore = 0;
	held_by(found, s, words, &wait);
	return wait;
}

static void read_batch(struct live *live, struct batch *b)
{
	uint32_t count = b->count;

	b->count = 0;
	b->used = 0;
	if (!count || memory_readv(&live->targets[b->target].watch->memory, b->pieces, count) < 0)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct row_check *check = &live->checks[b->index[i]];
		const struct wire_task *row = &b->rows[i];

		if (b->pieces[i].error)
			continue;
		check->wait = wait_in(live, row->site, KEY_HEADER(row->key), row->id,
				      b->pieces[i].buf);
		check->wait_polls = row->polls;
	}
}

static bool can_wait(const struct live *live, uint32_t site)
{
	const struct runtime_site *s = live->sites[site].found;

	return s && s->kind == SITE_TASK && live_found(live, site)->ops->wait &&
	       task_words(s) > WIRE_HEADER_READ;
}

/* Of a dump all of them are, and what they wait for is asked now. */
static bool is_idle(const struct live *live, const struct wire_task *row, uint32_t index,
		    uint64_t now)
{
	const struct row_check *check = &live->checks[index];
	uint64_t last = row->last_ns ? row->last_ns : row->first_ns;

	return check->id == row->id && check->valid && live_task_waits(&check->state) &&
	       (live->opts.fresh_tasks || (check->polls == row->polls && last + IDLE_NS < now));
}

static void gather(struct live *live, struct batch *b, const struct wire_task *row, uint32_t index)
{
	size_t words = task_words(live->sites[row->site].found);
	uint32_t n;

	if (b->count == TASKS_A_READ || b->used + words > WORDS_A_READ ||
	    (b->count && b->target != KEY_TARGET(row->key)))
		read_batch(live, b);
	n = b->count++;
	b->target = KEY_TARGET(row->key);
	b->rows[n] = *row;
	b->index[n] = index;
	b->pieces[n] = (struct memory_piece){
		.addr = KEY_HEADER(row->key), .buf = b->words + b->used, .len = words * 8};
	b->used += words;
}

void live_waits(struct live *live, uint64_t now)
{
	uint32_t rows = live->scan.rows, begin = rows ? live->wait_cursor % rows : 0;
	uint32_t left = live->opts.fresh_tasks ? TASKS_A_DUMP : TASKS_A_SCAN;
	struct batch *b = xmalloc(sizeof(*b));

	b->count = 0;
	b->used = 0;
	for (uint32_t step = 0; step < rows && left; step++) {
		uint32_t index = (begin + step) % rows;
		struct wire_task row;

		live->wait_cursor = index + 1;
		if (!kernel_task(live->kernel, index, &row) || !live_row_watched(live, &row) ||
		    !can_wait(live, row.site) || !is_idle(live, &row, index, now))
			continue;
		gather(live, b, &row, index);
		left--;
	}
	read_batch(live, b);
	free(b);
}

void live_wait_tell(const struct runtime_wait *wait, struct ev_task *out)
{
	out->waits_for = wait->semaphore;
	out->waits_permits = wait->permits;
	out->holds = wait->held[0];
	out->holds_too = wait->held[1];
	out->holds_known = wait->held_known;
}

void live_wait_of(const struct live *live, uint32_t site, uint64_t header, struct ev_task *out)
{
	struct runtime_wait wait;
	uint64_t *words;
	size_t count;

	if (!can_wait(live, site))
		return;
	count = task_words(live->sites[site].found);
	words = xcalloc(count, sizeof(*words));
	if (!memory_read(&live->targets[live->sites[site].target].watch->memory, header, words,
			 count * 8)) {
		wait = wait_in(live, site, header, out->id, words);
		live_wait_tell(&wait, out);
	}
	free(words);
}
