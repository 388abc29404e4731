// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads that no probe was hit on: what each does is learned from a look at all of them, and from
 * the stack of each. So a poll that began before the watch, and may never end, is seen at once; and
 * so is a thread that runs nothing but the root future of block_on.
 *
 * Such a poll is known by the frame of its poll function. Whether it still lasts is asked of the
 * target's memory: the task is RUNNING, the return address of that frame is where it was, and the
 * thread has begun no other poll (it would have a slot).
 */
#include "attach/live_census.h"

#include "stack/root.h"
#include "util/xalloc.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define ASK_MAX 32 /* of our stacks with the unwinder at a time: others have to get through */
#define HEADER_CANDIDATES 512

/* A row whose stack is with the unwinder is not free before the answer has come. */
void census_clear(struct live *live, struct census_thread *t)
{
	bool pending = t->pending;

	if (t->wanted)
		kernel_unwant(live->kernel, t->look.tid);
	free(t->copy);
	free(t->frames);
	free(t->kernel);
	*t = (struct census_thread){.pending = pending};
}

void live_census_free(struct live *live)
{
	for (uint32_t i = 0; live->census && i < live->census->count; i++)
		census_clear(live, &live->census->threads[i]);
	free(live->census);
	live->census = NULL;
}

struct census_thread *census_find(struct live *live, uint32_t target, uint32_t tid)
{
	struct census *c = live->census;

	for (uint32_t i = 0; c && i < c->count; i++)
		if (c->threads[i].used && c->threads[i].target == target &&
		    c->threads[i].look.tid == tid)
			return &c->threads[i];
	return NULL;
}

static struct census_thread *thread_new(struct census *c)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (!c->threads[i].used && !c->threads[i].pending)
			return &c->threads[i];
	return c->count < CENSUS_MAX ? &c->threads[c->count++] : NULL;
}

/* --- looking ------------------------------------------------------------------------------ */

struct looking {
	struct live *live;
	uint32_t target;
	bool slotted; /* threads with a slot, too */
	uint32_t missed;
};

/* Off the CPU the registers are whole, and nobody writes to its stack while it does not run. */
static void look_copy(struct live *live, struct census_thread *t)
{
	struct wire_stack *copy;

	if (t->look.flags & (WIRE_LOOK_ON_CPU | WIRE_LOOK_PROGRAM))
		return;
	copy = t->copy ? t->copy : xmalloc(sizeof(*copy));
	memset(copy, 0, offsetof(struct wire_stack, pages));
	copy->head = (struct wire_head){
		.target = t->target, .tid = t->look.tid, .time_ns = t->look.time_ns};
	copy->since_ns = t->look.time_ns;
	copy->site = WIRE_NO_SITE;
	copy->syscall = t->look.flags & WIRE_LOOK_ASLEEP ? t->look.syscall : WIRE_NO_SYSCALL;
	memcpy(copy->regs, t->look.regs, sizeof(copy->regs));
	copy->kernel_count = t->look.kernel_count;
	memcpy(copy->kernel, t->look.kernel, sizeof(copy->kernel));
	live_stack_read(live, copy);
	t->copy = copy;
	t->asked = false;
}

static void on_look(void *ctx, const struct wire_look *look)
{
	struct looking *l = ctx;
	struct census_thread *t = census_find(l->live, l->target, look->tid);

	if (look->slot && !l->slotted)
		return;
	if (!t) {
		t = thread_new(l->live->census);
		if (!t) {
			l->missed++;
			return;
		}
		*t = (struct census_thread){.used = true, .target = l->target, .first = *look};
	}
	t->look = *look;
	t->looked_ns = look->time_ns;
	look_copy(l->live, t);
}

/* It ran while its stack was read: what was read is no stack. */
static void on_verify(void *ctx, const struct wire_look *look)
{
	struct looking *l = ctx;
	struct census_thread *t = census_find(l->live, l->target, look->tid);

	if (!t || !t->copy || t->asked || t->look.time_ns == 0)
		return;
	if (look->runs == t->look.runs && !(look->flags & WIRE_LOOK_ON_CPU))
		return;
	free(t->copy);
	t->copy = NULL;
}

int census_look(struct live *live, uint32_t target, uint32_t tid, bool slotted, uint32_t *missed)
{
	struct looking l = {.live = live, .target = target, .slotted = slotted};
	uint32_t pid = live->targets[target].watch->proc->pid;
	int ret = kernel_look(live->kernel, pid, tid, on_look, &l);

	if (!ret)
		ret = kernel_look(live->kernel, pid, tid, on_verify, &l);
	*missed = l.missed;
	return ret;
}

/* A thread that has the CPU shows its stack at a sample only. */
static void want(struct live *live, struct census_thread *t, bool wanted)
{
	if (wanted == t->wanted)
		return;
	if (!wanted)
		kernel_unwant(live->kernel, t->look.tid);
	t->wanted = wanted && kernel_want(live->kernel, t->look.tid, t->target);
}

int live_census_target(struct live *live, struct emit *emit, uint32_t target)
{
	uint32_t missed = 0;
	const struct proc *proc = live->targets[target].watch->proc;
	struct census *c;
	int ret = 0;

	if (proc_thread_run(proc, proc->pid) == PROC_HELD)
		ret = live_note(emit, target, NOTE_WARNING,
				"process %d is stopped, by a signal or a debugger: nothing runs "
				"in it until it is continued (kill -CONT %d)",
				proc->pid, proc->pid);
	if (ret || !live->stacks)
		return ret;
	if (!live->census)
		live->census = xcalloc(1, sizeof(*c));
	c = live->census;
	ret = census_look(live, target, 0, live->opts.fresh_tasks, &missed);
	for (uint32_t i = 0; i < c->count; i++)
		if (c->threads[i].used && c->threads[i].target == target && !c->threads[i].copy)
			want(live, &c->threads[i], true);
	if (ret)
		return live_note(emit, target, NOTE_WARNING,
				 "polls that began before the watch are not seen: %s",
				 strerror(-ret));
	if (missed)
		return live_note(emit, target, NOTE_WARNING,
				 "%u of its threads were not looked at: polls of theirs that began "
				 "before the watch are not seen",
				 missed);
	return 0;
}

void live_census_forget(struct live *live, uint32_t target)
{
	struct census *c = live->census;

	for (uint32_t i = 0; c && i < c->count; i++)
		if (c->threads[i].used && c->threads[i].target == target)
			census_clear(live, &c->threads[i]);
}

int live_census_sample(struct live *live, const struct wire_stack *rec)
{
	struct census_thread *t = census_find(live, rec->head.target, rec->head.tid);

	if (!t || t->asked)
		return 0;
	if (!t->copy)
		t->copy = xmalloc(sizeof(*t->copy));
	*t->copy = *rec;
	t->asked = false;
	return 0;
}

/* --- what a stack says ---------------------------------------------------------------------- */

uint32_t live_site_of_frame(const struct live *live, uint32_t target, const struct frame *f)
{
	if (f->inlined || !f->start || !f->binary)
		return ID_NONE;
	for (uint32_t id = 0; id < live->sites_count; id++) {
		const struct live_site *site = &live->sites[id];

		if (site->found && !site->off && site->target == target &&
		    (f->start == site->offset || f->start == site->body) &&
		    live_binary_is(&live->binaries[site->binary], f->binary))
			return id;
	}
	return ID_NONE;
}

/* Where the caller's frame begins; 0: there is none. */
static uint64_t caller_sp(const struct frame *frames, uint32_t count, uint32_t i)
{
	uint64_t sp = frames[i].sp;

	for (; i < count; i++)
		if (frames[i].sp > sp)
			return frames[i].sp;
	return 0;
}

bool live_word_at(const struct wire_stack *copy, uint64_t addr, uint64_t *out)
{
	uint64_t at = addr - copy->base;

	if (addr < copy->base || addr % 8 || at > sizeof(copy->pages) - 8 ||
	    !(copy->present >> at / WIRE_STACK_PAGE & 1))
		return false;
	memcpy(out, copy->pages + at, sizeof(*out));
	return true;
}

bool live_task_polled(const struct live *live, uint32_t site, const uint64_t words[8],
		      uint64_t header)
{
	const struct runtime_found *found = live_found(live, site);
	const struct runtime_site *s = live->sites[site].found;
	struct runtime_state state;

	if (!found || !s || !runtime_header_is(found, s, words, header, 0))
		return false;
	found->ops->state(words[s->state_word & 7], &state);
	return state.running && !state.complete;
}

/* 0: no header has it. */
static uint64_t task_word(uint8_t word, const uint64_t words[8])
{
	return word == WIRE_NO_WORD ? 0 : words[word & 7];
}

/* A task that is polled now, of a type whose poll function that of `site` is, too. */
static uint32_t header_site(struct live *live, uint32_t site, uint64_t header,
			    const uint64_t words[8])
{
	const struct live_site *want = &live->sites[site];

	for (uint32_t id = 0; id < live->sites_count; id++) {
		const struct live_site *s = &live->sites[id];

		if (s->found && s->binary == want->binary && s->offset == want->offset &&
		    live_task_polled(live, id, words, header))
			return id;
	}
	return ID_NONE;
}

/* Words of the registers and of the stack up to the poll's caller that can be a task's address. */
static uint32_t header_candidates(const struct wire_stack *copy, uint64_t end,
				  uint64_t out[HEADER_CANDIDATES])
{
	uint32_t n = 0;
	uint64_t word;

	for (int i = 0; i < WIRE_STACK_REGS; i++)
		if (copy->regs[i] >= WIRE_STACK_PAGE && copy->regs[i] < USER_END &&
		    copy->regs[i] % 8 == 0)
			out[n++] = copy->regs[i];
	/* From the poll's own frame inward: it is the poll function that keeps the address. */
	for (uint64_t at = end - 8; at >= copy->regs[STACK_RSP] && n < HEADER_CANDIDATES; at -= 8)
		if (live_word_at(copy, at, &word) && word >= WIRE_STACK_PAGE && word < USER_END &&
		    word % 16 == 0)
			out[n++] = word;
	return n;
}

/*
 * The header of the task: the one address of a task of this type that is polled now. Where two are,
 * neither is taken; but when they are of one runtime, this is its thread.
 */
static void find_header(struct live *live, struct census_thread *t, uint64_t end)
{
	static struct memory_piece pieces[HEADER_CANDIDATES];
	static uint64_t words[HEADER_CANDIDATES][8], addrs[HEADER_CANDIDATES];
	uint32_t n = header_candidates(t->copy, end, addrs), site, found = 0;
	uint64_t sched;

	for (uint32_t i = 0; i < n; i++)
		pieces[i] = (struct memory_piece){
			.addr = addrs[i], .buf = words[i], .len = sizeof(words[i])};
	if (memory_readv(&live->targets[t->target].watch->memory, pieces, n) < 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		site = pieces[i].error ? ID_NONE : header_site(live, t->site, addrs[i], words[i]);
		if (site == ID_NONE || addrs[i] == t->header)
			continue;
		sched = task_word(live->sites[site].found->sched_word, words[i]);
		if (found++ && sched != t->sched)
			t->sched = 0;
		if (found > 1) {
			t->header = t->task_id = 0;
			continue;
		}
		t->header = addrs[i];
		t->header_site = site;
		t->task_id = task_word(live->sites[site].found->id_word, words[i]);
		t->sched = sched;
	}
}

bool live_site_is_sure(const struct live *live, uint32_t site)
{
	const struct live_site *s = &live->sites[site];

	for (uint32_t id = site + 1; id < live->sites_count; id++)
		if (live->sites[id].found && live->sites[id].binary == s->binary &&
		    live->sites[id].offset == s->offset)
			return false;
	return true;
}

static enum census_kind judge_poll(struct live *live, struct census_thread *t,
				   const struct frame *frames, uint32_t count, uint32_t i)
{
	uint64_t end = caller_sp(frames, count, i);

	t->header = t->task_id = t->sched = 0;
	t->frame_at = 0;
	if (!end)
		return CENSUS_OTHER;
	find_header(live, t, end);
	if (t->header)
		t->site = t->header_site;
	else if (!live_site_is_sure(live, t->site))
		return CENSUS_OTHER;
	/* The return address of the poll function lies just below its caller's frame. */
	t->frame_at = end - 8;
	return live_word_at(t->copy, t->frame_at, &t->frame_is) ? CENSUS_POLL : CENSUS_OTHER;
}

/* *boundary: where a root future is inlined, see root_blocked(). */
static enum census_kind judge(struct live *live, struct census_thread *t,
			      const struct frame *frames, uint32_t count, uint32_t *boundary)
{
	int32_t syscall = t->look.flags & WIRE_LOOK_ASLEEP ? t->look.syscall : -1;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t site = live_site_of_frame(live, t->target, &frames[i]);

		if (site == ID_NONE)
			continue;
		t->site = site;
		switch (live->sites[site].found->kind) {
		case SITE_TASK: return judge_poll(live, t, frames, count, i);
		case SITE_WORKER: return CENSUS_WORKER;
		case SITE_BLOCKING: return CENSUS_OTHER;
		}
	}
	for (uint32_t i = 0; i < count; i++)
		if (root_is_block_on(&frames[i]))
			return root_blocked(frames, count, syscall, boundary) ? CENSUS_ROOT_HELD :
										CENSUS_ROOT;
	return CENSUS_OTHER;
}

/*
 * No probe has seen its begin, so it was open at the first look; when the thread slept then and has
 * not run since, the poll is older than that sleep.
 */
static void begin_poll(struct census_thread *t)
{
	bool slept = t->first.flags & WIRE_LOOK_ASLEEP && t->look.runs == t->first.runs &&
		     t->first.asleep_ns < t->first.time_ns;

	t->start_ns = t->first.time_ns - (slept ? t->first.asleep_ns : 0);
	t->seen_ns = t->look.time_ns;
	t->runs = t->look.runs;
	t->runs_ns = slept ? t->start_ns : t->look.time_ns;
	t->blocked_ns = t->first.time_ns - t->start_ns;
	t->syscall = t->look.flags & WIRE_LOOK_ASLEEP ? t->look.syscall : -1;
}

static void keep_frames(struct census_thread *t, const struct frame *frames, uint32_t count,
			enum stack_end end, const char *detail, const char *kernel)
{
	free(t->frames);
	t->frames = frames_dup(frames, count);
	t->frames_count = count;
	t->end = end;
	t->stack_kind = t->copy->since_ns ? STACK_OFF_CPU : STACK_ON_CPU;
	t->stack_ns = t->copy->head.time_ns;
	t->stack_runs = t->look.runs;
	t->lock = live_lock_wait(t->copy->regs, t->copy->syscall);
	t->stack_new = true;
	snprintf(t->detail, sizeof(t->detail), "%s", detail);
	free(t->kernel);
	t->kernel = *kernel ? xstrdup(kernel) : NULL;
}

void live_census_answer(struct live *live, uint32_t index, const struct frame *frames,
			uint32_t count, enum stack_end end, const char *detail, const char *kernel)
{
	struct census_thread *t = &live->census->threads[index];
	struct census_thread was = *t;
	uint32_t boundary = ROOT_NO_FRAME;
	enum census_kind kind;

	live->census->asking--;
	t->pending = false;
	if (!t->used || !t->copy || !t->asked)
		return;
	kind = judge(live, t, frames, count, &boundary);
	if (was.kind == CENSUS_POLL &&
	    (kind != CENSUS_POLL || t->header != was.header || t->frame_at != was.frame_at)) {
		/* Of another poll, or of none that is known: the next check tells what became of ours. */
		t->site = was.site;
		t->header = was.header;
		t->task_id = was.task_id;
		t->sched = was.sched;
		t->frame_at = was.frame_at;
		t->frame_is = was.frame_is;
	} else {
		t->kind = kind;
		keep_frames(t, frames, count, end, detail, kernel);
		if (boundary != ROOT_NO_FRAME)
			t->frames[boundary].origin = FRAME_BOUNDARY;
		if (kind != was.kind && (kind == CENSUS_POLL || kind == CENSUS_ROOT_HELD))
			begin_poll(t);
	}
	free(t->copy);
	t->copy = NULL;
	t->asked = false;
	want(live, t, t->kind == CENSUS_POLL);
}

void census_ask(struct live *live)
{
	struct census *c = live->census;

	for (uint32_t i = 0; i < c->count && c->asking < ASK_MAX; i++) {
		struct census_thread *t = &c->threads[i];

		if (!t->used || !t->copy || t->asked || t->pending || (t->look.slot && !c->slotted))
			continue;
		if (!live_stack_ask(live, t->copy, i))
			return;
		c->asking++;
		t->asked = t->pending = true;
	}
}
