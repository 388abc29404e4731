// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Blocks inside polls that no probe saw, as events. The kernel part tells the id of the task; which
 * type of task that is, its header says, whose address the poll function keeps on the stack: a header
 * is only believed with this very id. Where the task is gone by then, the frame of its poll function
 * tells. A block of which neither does is counted, and is no finding.
 */
#include "attach/live_sentinel.h"

#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define SPAN_FRESH_NS 50000000ULL
#define PENDING_NS 2000000000ULL

void live_sentinel_open(struct live *live)
{
	struct sentinel *s = xcalloc(1, sizeof(*s));

	map_init(&s->vtables, WIRE_MAX_SITES);
	map_init(&s->ids, SENTINEL_TASKS);
	s->tasks = xcalloc(SENTINEL_TASKS, sizeof(*s->tasks));
	for (int i = 0; i < SENTINEL_PENDING; i++)
		s->pending[i].rec.head.target = ID_NONE;
	live->sentinel = s;
}

void live_sentinel_close(struct live *live)
{
	struct sentinel *s = live->sentinel;

	if (!s)
		return;
	for (uint32_t i = 0; i < WIRE_MAX_TARGETS; i++) {
		free(s->targets[i].candidates);
		free(s->targets[i].beat);
	}
	map_free(&s->vtables);
	map_free(&s->ids);
	free(s->tasks);
	threadlocal_free(&s->local);
	free(s);
	live->sentinel = NULL;
}

/* The program of a target is gone, and all that was learned of it. */
void live_sentinel_forget(struct live *live, uint32_t target)
{
	struct sentinel *s = live->sentinel;

	if (!s || !live->kernel || target >= WIRE_MAX_TARGETS)
		return;
	for (uint32_t i = 0; i < WIRE_PLACES; i++)
		live->kernel->places[target * WIRE_PLACES + i].valid = 0;
	free(s->targets[target].candidates);
	free(s->targets[target].beat);
	s->targets[target] = (struct sentinel_target){0};
	for (uint32_t i = 0; i < SENTINEL_TASKS; i++)
		if (s->tasks[i].id && s->tasks[i].target == target)
			map_del(&s->ids, s->tasks[i].id, target);
	for (uint32_t i = 0; i < SENTINEL_PENDING; i++)
		if (s->pending[i].rec.head.target == target)
			s->pending[i].rec.head.target = ID_NONE;
}

/* --- which task it is ------------------------------------------------------------------------- */

/* Task types whose tasks have an id, by their vtable. */
static void map_sites(struct live *live)
{
	struct sentinel *s = live->sentinel;

	for (; s->sites < live->sites_count; s->sites++) {
		const struct live_site *site = &live->sites[s->sites];

		if (site->found && site->found->id_word != WIRE_NO_WORD &&
		    !live_is_usdt(live, s->sites))
			map_put(&s->vtables, site->found->vtable, site->target, s->sites);
	}
}

static uint32_t site_of_header(const struct live *live, uint32_t target, const uint64_t words[8])
{
	/* Tokio's, the one runtime with ids: the vtable is the third word. */
	uint64_t id = map_get(&live->sentinel->vtables, words[2], target);
	const struct runtime_site *found = id < live->sites_count ? live->sites[id].found : NULL;

	return found && words[found->vtable_word & 7] == found->vtable ? (uint32_t)id : ID_NONE;
}

/* Words that may be a task's address, from the inner end of the stack on: none points into it. */
static uint32_t words_of(const struct wire_stack *copy, uint64_t out[SENTINEL_WORDS])
{
	uint64_t sp = copy->regs[STACK_RSP], word;
	uint32_t n = 0;

	for (int i = 0; i < WIRE_STACK_REGS; i++)
		if (copy->regs[i] >= WIRE_STACK_PAGE && copy->regs[i] < USER_END &&
		    copy->regs[i] % 16 == 0)
			out[n++] = copy->regs[i];
	for (uint64_t at = (sp + 7) / 8 * 8; at < copy->base + sizeof(copy->pages); at += 8)
		if (n < SENTINEL_WORDS && live_word_at(copy, at, &word) && word % 16 == 0 &&
		    word >= WIRE_STACK_PAGE && word < USER_END &&
		    (word < copy->base || word >= copy->base + sizeof(copy->pages)))
			out[n++] = word;
	return n;
}

uint32_t sentinel_headers(struct live *live, const struct wire_stack *copy, bool polled,
			  struct sentinel_task *out, uint32_t max)
{
	uint64_t addrs[SENTINEL_WORDS];
	struct sentinel *s = live->sentinel;
	uint32_t target = copy->head.target, n, count = 0;

	map_sites(live);
	n = words_of(copy, addrs);
	for (uint32_t i = 0; i < n; i++)
		s->pieces[i] = (struct memory_piece){
			.addr = addrs[i], .buf = s->words[i], .len = sizeof(s->words[i])};
	if (memory_readv(&live->targets[target].watch->memory, s->pieces, n) < 0)
		return 0;
	for (uint32_t i = 0; i < n && count < max; i++) {
		uint32_t site = s->pieces[i].error ? ID_NONE :
						     site_of_header(live, target, s->words[i]);

		bool runs = site != ID_NONE && live_task_polled(live, site, s->words[i], addrs[i]);

		if (site == ID_NONE || (polled && !runs))
			continue;
		out[count++] = (struct sentinel_task){
			.id = s->words[i][live->sites[site].found->id_word & 7],
			.header = addrs[i],
			.sched = s->words[i][live->sites[site].found->sched_word & 7],
			.target = target,
			.site = site,
			.polled = runs,
		};
	}
	return count;
}

static const struct sentinel_task *task_known(const struct sentinel *s, uint64_t id,
					      uint32_t target)
{
	uint64_t row = map_get(&s->ids, id, target);

	return row == MAP_NONE ? NULL : &s->tasks[row];
}

/* Tasks are kept in turn: an id is never given twice, so what is known of one stays true. */
static const struct sentinel_task *task_keep(struct sentinel *s, const struct sentinel_task *task)
{
	struct sentinel_task *row = &s->tasks[s->tasks_next];

	if (row->id)
		map_del(&s->ids, row->id, row->target);
	*row = *task;
	map_put(&s->ids, task->id, task->target, s->tasks_next);
	s->tasks_next = (s->tasks_next + 1) % SENTINEL_TASKS;
	return row;
}

static bool is_poll(const struct live *live, const struct sentinel_task *task)
{
	const struct live_site *site = &live->sites[task->site];

	return site->found && site->found->kind == SITE_TASK;
}

/*
 * A poll was told of. It proves the place only if that was in use when its stack was taken, and if its
 * task is polled now: of others there may be a header on any stack, with an id that is anyone's number.
 */
static void prove(struct live *live, const struct wire_stack *copy,
		  const struct sentinel_task *task)
{
	struct sentinel_target *t = &live->sentinel->targets[copy->head.target];
	uint64_t asked_ns = copy->since_ns ? copy->since_ns : copy->head.time_ns;

	if (is_poll(live, task) && task->polled && asked_ns > t->published_ns)
		t->proven = true;
}

/* The task `id`, if it is known, or if its header is on this stack. */
static const struct sentinel_task *task_on(struct live *live, const struct wire_stack *copy,
					   uint64_t id)
{
	const struct sentinel_task *known = task_known(live->sentinel, id, copy->head.target);
	struct sentinel_task found[64];
	uint32_t n;

	if (known || !copy->present)
		return known;
	n = sentinel_headers(live, copy, false, found, 64);
	for (uint32_t i = 0; i < n; i++) {
		if (found[i].id != id)
			continue;
		prove(live, copy, &found[i]);
		return task_keep(live->sentinel, &found[i]);
	}
	return NULL;
}

/* --- events --------------------------------------------------------------------------------- */

static int emit_poll(struct live *live, struct emit *emit, const struct wire_long_poll *rec,
		     const struct sentinel_task *task, bool open)
{
	struct event event = {.time_ns = rec->head.time_ns};
	uint32_t target = rec->head.target;

	event.as_poll = (struct ev_poll){
		.tid = rec->head.tid,
		.runtime = live_runtime_of(live, emit, target, task->site, task->sched,
					   task->header),
		.site = task->site,
		.task_id = task->id,
		.start_ns = rec->poll.start_ns,
		.length_ns = rec->head.time_ns - rec->poll.start_ns,
		.blocked_ns = rec->poll.blocked_ns,
		.preempted_ns = rec->poll.preempted_ns,
		.worst_block_ns = rec->poll.worst_block_ns,
		.syscall = rec->poll.worst_syscall,
		.off_cpu = open && rec->poll.blocked_ns,
		.loose_end = rec->poll.flags & WIRE_POLL_LOOSE_END,
	};
	return live_emit(emit, open ? EV_POLL_OPEN : EV_POLL, target, &event);
}

/* The census tells of the poll that the thread was in when the watch began. */
static bool is_early(struct live *live, uint32_t target, uint32_t tid, uint64_t id)
{
	const struct census_thread *t = census_find(live, target, tid);

	return t && t->kind == CENSUS_POLL && (!t->task_id || t->task_id == id);
}

/* No poll but a job: its thread is not told of again while it does that one. */
static void set_idle(const struct live *live, uint32_t slot, uint64_t id)
{
	if (slot < WIRE_MAX_SLOTS)
		live->kernel->idles[slot] = id;
}

static int block_known(struct live *live, struct emit *emit, const struct wire_long_poll *rec,
		       const struct sentinel_task *task)
{
	if (!is_poll(live, task)) {
		set_idle(live, rec->head.slot, task->id);
		return 0;
	}
	if (is_early(live, rec->head.target, rec->head.tid, task->id))
		return 0;
	return emit_poll(live, emit, rec, task, false);
}

int live_sentinel_block(struct live *live, struct emit *emit, const struct wire_long_poll *rec)
{
	struct sentinel *s = live->sentinel;
	const struct sentinel_task *task;

	if (!s || rec->head.target >= live->targets_count)
		return 0;
	task = task_known(s, rec->poll.task_id, rec->head.target);
	if (task)
		return block_known(live, emit, rec, task);
	for (uint32_t i = 0; i < SENTINEL_PENDING; i++) {
		struct sentinel_block *block = &s->pending[i];

		if (block->rec.head.target != ID_NONE)
			continue;
		block->rec = *rec;
		block->until_ns = emit->now + PENDING_NS;
		return 0;
	}
	s->unknown++;
	return 0;
}

/* What waited to hear of this task. */
static int flush_pending(struct live *live, struct emit *emit, const struct sentinel_task *task)
{
	struct sentinel *s = live->sentinel;
	int ret = 0;

	for (uint32_t i = 0; i < SENTINEL_PENDING && !ret; i++) {
		struct sentinel_block *block = &s->pending[i];

		if (block->rec.head.target != task->target || block->rec.poll.task_id != task->id)
			continue;
		ret = block_known(live, emit, &block->rec, task);
		block->rec.head.target = ID_NONE;
	}
	return ret;
}

int live_sentinel_stack(struct live *live, struct emit *emit, struct wire_stack *rec)
{
	const struct sentinel_task *task;

	if (!live->sentinel || rec->head.target >= live->targets_count)
		return -ENOENT;
	task = task_on(live, rec, rec->task_id);
	if (!task)
		return 0;
	if (!is_poll(live, task)) {
		set_idle(live, rec->head.slot, task->id);
		flush_pending(live, emit, task);
		return -ENOENT;
	}
	rec->site = task->site;
	rec->sched = task->sched;
	rec->header = task->header;
	return flush_pending(live, emit, task);
}

/* No header of it was found: the frame of a poll function that no other type has tells the type. */
uint32_t live_sentinel_frames(struct live *live, struct emit *emit, uint32_t target, uint64_t id,
			      const struct frame *frames, uint32_t count)
{
	struct sentinel_task task = {.id = id, .target = target, .site = ID_NONE};

	for (uint32_t i = 0; i < count && task.site == ID_NONE; i++)
		task.site = live_site_of_frame(live, target, &frames[i]);
	if (!live->sentinel || task.site == ID_NONE || !live_site_is_sure(live, task.site))
		return ID_NONE;
	if (flush_pending(live, emit, task_keep(live->sentinel, &task)) || !is_poll(live, &task))
		return ID_NONE;
	return task.site;
}

/* A block that lasts: `slot` is as the kernel part left it when the thread went to sleep. */
int live_sentinel_open_block(struct live *live, struct emit *emit, uint32_t index,
			     const struct wire_slot *slot, bool *open)
{
	struct sentinel *s = live->sentinel;
	const struct sentinel_task *task;
	struct wire_long_poll rec = {.head = {.target = slot->target,
					      .tid = slot->tid,
					      .slot = index,
					      .time_ns = emit->now}};
	struct wire_poll poll = {.start_ns = slot->off_since};
	int ret;

	if (!s || slot->off_kind != WIRE_OFF_SENTINEL ||
	    emit->now < slot->off_since + live->opts.threshold_ns ||
	    !kernel_block(live->kernel, index, &s->copy) || s->copy.since_ns != slot->off_since)
		return 0;
	if (!s->copy.present)
		live_stack_read(live, &s->copy);
	task = task_on(live, &s->copy, s->copy.task_id);
	if (!task ||
	    proc_thread_run(live->targets[slot->target].watch->proc, slot->tid) != PROC_ASLEEP)
		return 0;
	if (!is_poll(live, task)) {
		set_idle(live, index, task->id);
		return 0;
	}
	if (is_early(live, slot->target, slot->tid, task->id))
		return 0;
	rec.poll = poll;
	rec.poll.blocked_ns = rec.poll.worst_block_ns = emit->now - slot->off_since;
	rec.poll.worst_syscall = slot->off_syscall;
	ret = emit_poll(live, emit, &rec, task, true);
	poll.site = task->site;
	poll.task_id = task->id;
	poll.sched = task->sched;
	poll.header = task->header;
	if (!ret)
		ret = live_stack_open(live, emit, index, slot, &poll);
	*open = true;
	return ret;
}

/* A poll that computes: `open` after a while in which its thread was sampled in it. */
int live_sentinel_open_span(struct live *live, struct emit *emit, uint32_t index,
			    const struct wire_slot *slot, bool *open)
{
	const volatile struct wire_span *at = &live->kernel->spans[index];
	struct wire_span span = {.task_id = at->task_id,
				 .start_ns = at->start_ns,
				 .seen_ns = at->seen_ns,
				 .off_ns = at->off_ns,
				 .tid = at->tid};
	struct wire_long_poll rec = {.head = {.target = slot->target,
					      .tid = slot->tid,
					      .slot = index,
					      .time_ns = span.seen_ns}};
	const struct sentinel_task *task;

	/* It was read without a lock: a span that is new, or closed, since is not told of. */
	if (!span.task_id || span.tid != slot->tid || at->task_id != span.task_id ||
	    at->start_ns != span.start_ns || at->seen_ns != span.seen_ns ||
	    emit->now > span.seen_ns + SPAN_FRESH_NS ||
	    span.seen_ns < span.start_ns + span.off_ns + live->opts.threshold_ns)
		return 0;
	task = task_known(live->sentinel, span.task_id, slot->target);
	if (!task || !is_poll(live, task))
		return 0;
	rec.poll.start_ns = span.start_ns;
	rec.poll.preempted_ns = span.off_ns;
	rec.poll.worst_syscall = WIRE_NO_SYSCALL;
	*open = true;
	return emit_poll(live, emit, &rec, task, true);
}

int live_sentinel_tick(struct live *live, struct emit *emit)
{
	struct sentinel *s = live->sentinel;
	int ret = 0;

	if (!s)
		return 0;
	for (uint32_t i = 0; i < SENTINEL_PENDING; i++)
		if (s->pending[i].rec.head.target != ID_NONE &&
		    emit->now > s->pending[i].until_ns) {
			s->pending[i].rec.head.target = ID_NONE;
			s->unknown++;
		}
	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		if (!live->targets[i].ended && (!live->opts.level || live_budget_samples(live, i)))
			ret = sentinel_learn(live, emit, i);
	return ret ? ret : sentinel_beat_check(live, emit);
}

enum sentinel_sees live_sentinel_sees(const struct live *live)
{
	enum sentinel_sees least = live->sentinel ? SENTINEL_POLLS : SENTINEL_NOTHING;

	for (uint32_t i = 0; i < live->targets_count && live->sentinel; i++) {
		if (live->targets[i].ended)
			continue;
		if (!live->sentinel->targets[i].learned)
			least = SENTINEL_NOTHING;
		else if (!live->kernel->places[i * WIRE_PLACES].ticks && least > SENTINEL_BLOCKS)
			least = SENTINEL_BLOCKS;
	}
	return least;
}
