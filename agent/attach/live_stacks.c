// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User stacks: copies from the ring, and of blocks that are still open, go to the unwinder; its
 * answers become events.
 */
#include "attach/live_priv.h"

#include "target/syscall_detail.h"
#include "util/xalloc.h"

#include <string.h>

#define OPEN_EVERY_NS 1000000000ULL /* a block that stays open is looked at again */

/* A stack under way. */
struct stack_wait {
	bool used;
	uint32_t target, generation;
	struct ev_stack stack; /* without frames */
	char detail[SYSCALL_DETAIL];
};

struct live_stacks {
	struct live *live;
	struct stacks *unwinder;
	uint64_t last_ns[WIRE_MAX_SLOTS];   /* by slot: when a stack of its open poll was taken, */
	uint64_t last_poll[WIRE_MAX_SLOTS]; /* and which poll that was */
	struct stack_wait waits[STACK_PENDING];
	struct wire_stack copy; /* of the block that is looked at */
	struct emit *emit;	/* valid while answers are passed on */
	int emit_error;
};

/*
 * A block outside any poll is one of the root future when user code, called by block_on, did it;
 * everything else that such a thread waits in is the runtime's own.
 */
static bool root_blocked(const struct frame *frames, uint32_t count)
{
	bool user = false;

	for (uint32_t i = 0; i < count; i++) {
		if (user && frames[i].origin == FRAME_RUNTIME && frames[i].function &&
		    strstr(frames[i].function, "block_on"))
			return true;
		user |= frames[i].origin == FRAME_USER;
	}
	return false;
}

/* The block as a poll of the root future that did nothing else. */
static int emit_root_poll(struct live_stacks *s, struct stack_wait *wait)
{
	struct ev_stack *stack = &wait->stack;
	struct event event = {0};

	stack->site = live_root_site(s->live, s->emit, stack->runtime);
	if (stack->site == ID_NONE)
		return 0;
	event.time_ns = stack->poll_start_ns + stack->span_ns;
	event.as_poll = (struct ev_poll){
		.tid = stack->tid,
		.runtime = stack->runtime,
		.site = stack->site,
		.start_ns = stack->poll_start_ns,
		.length_ns = stack->span_ns,
		.blocked_ns = stack->span_ns,
		.worst_block_ns = stack->span_ns,
		.syscall = stack->syscall,
	};
	return live_emit(s->emit, EV_POLL, wait->target, &event);
}

static void on_answer(void *ctx, uint64_t cookie, const struct frame *frames, uint32_t count,
		      enum stack_end end)
{
	struct live_stacks *s = ctx;
	struct stack_wait *wait = &s->waits[cookie % STACK_PENDING];
	struct event event = {0};

	if (!wait->used)
		return;
	wait->used = false;
	if (!s->emit || s->emit_error || s->live->targets[wait->target].ended ||
	    wait->generation != s->live->targets[wait->target].generation)
		return;
	if (wait->stack.site == ID_NONE) {
		if (!root_blocked(frames, count))
			return;
		s->emit_error = emit_root_poll(s, wait);
		if (s->emit_error || wait->stack.site == ID_NONE)
			return;
	}
	event.as_stack = wait->stack;
	event.as_stack.end = end;
	event.as_stack.frames = frames;
	event.as_stack.frames_count = count;
	event.as_stack.detail = wait->detail[0] ? wait->detail : NULL;
	s->emit_error = live_emit(s->emit, EV_STACK, wait->target, &event);
}

int live_stacks_open(struct live *live, struct err *err)
{
	struct live_stacks *s = xcalloc(1, sizeof(*s));
	int ret = stacks_open(on_answer, s, &s->unwinder, err);

	if (ret) {
		free(s);
		return ret;
	}
	s->live = live;
	live->stacks = s;
	return 0;
}

void live_stacks_close(struct live *live)
{
	if (!live->stacks)
		return;
	stacks_close(live->stacks->unwinder);
	free(live->stacks);
	live->stacks = NULL;
}

int live_stacks_fd(const struct live *live)
{
	return live->stacks ? stacks_fd(live->stacks->unwinder) : -1;
}

void live_stacks_forget(struct live *live, uint32_t target)
{
	live->targets[target].generation++;
	live->targets[target].mapped = false;
	if (live->stacks)
		stacks_target_end(live->stacks->unwinder, target);
}

int live_stacks_drain(struct live *live, struct emit *emit)
{
	struct live_stacks *s = live->stacks;

	if (!s)
		return 0;
	s->emit = emit;
	s->emit_error = 0;
	stacks_drain(s->unwinder);
	s->emit = NULL;
	return s->emit_error;
}

/* The unwinder knows a target from its first stack on. */
static bool mapped(struct live_stacks *s, uint32_t target)
{
	struct live_target *t = &s->live->targets[target];
	struct err err = {0};

	if (!t->mapped)
		t->mapped = !stacks_target(s->unwinder, target, t->watch->proc, &t->watch->memory,
					   &err);
	return t->mapped;
}

static int free_wait(const struct live_stacks *s)
{
	for (int i = 0; i < STACK_PENDING; i++)
		if (!s->waits[i].used)
			return i;
	return -1;
}

/* Arguments in the order of the system call convention. */
static void describe(const struct live *live, const struct wire_stack *rec, struct stack_wait *wait)
{
	const struct watch *watch = live->targets[wait->target].watch;
	struct syscall_call call = {
		.nr = rec->syscall,
		.args = {rec->regs[5], rec->regs[4], rec->regs[1], rec->regs[10], rec->regs[8],
			 rec->regs[9]},
		.live = wait->stack.open,
		.stack = rec->pages,
		.stack_base = rec->base,
		.stack_present = rec->present,
	};

	syscall_detail(watch->proc, &watch->memory, &call, wait->detail, sizeof(wait->detail));
}

static int submit(struct live_stacks *s, struct emit *emit, const struct wire_stack *rec, bool open)
{
	struct stack_request request = {
		.target = rec->head.target,
		.base = rec->base,
		.present = rec->present,
		.pages = rec->pages,
	};
	int index = free_wait(s);
	struct stack_wait *wait;
	uint32_t runtime;
	int ret;

	if (index < 0 || rec->head.target >= s->live->targets_count ||
	    s->live->targets[rec->head.target].ended || !mapped(s, rec->head.target))
		return 0;
	runtime = live_runtime_of(s->live, emit, rec->head.target, rec->site, rec->sched, 0);
	if (rec->site == WIRE_NO_SITE ? runtime == ID_NONE : rec->site >= s->live->sites_count)
		return 0;
	wait = &s->waits[index];
	*wait = (struct stack_wait){
		.target = rec->head.target,
		.generation = s->live->targets[rec->head.target].generation,
		.stack =
			{
				.tid = rec->head.tid,
				.runtime = live_runtime_of(s->live, emit, rec->head.target,
							   rec->site, rec->sched, 0),
				.site = rec->site,
				.task_id = rec->task_id,
				.poll_start_ns = rec->poll_start_ns,
				.kind = rec->since_ns ? STACK_OFF_CPU : STACK_ON_CPU,
				.span_ns = rec->span_ns,
				.open = open,
				.syscall = rec->since_ns ? rec->syscall : -1,
			},
	};
	describe(s->live, rec, wait);
	request.cookie = (uint64_t)index;
	memcpy(request.regs, rec->regs, sizeof(request.regs));
	ret = stacks_submit(s->unwinder, &request);
	wait->used = ret == 0;
	return 0;
}

int live_stack(struct live *live, struct emit *emit, const struct wire_stack *rec)
{
	return live->stacks ? submit(live->stacks, emit, rec, false) : 0;
}

/* The pages that were not copied when the block began: nobody changes them while it lasts. */
static void read_pages(const struct live *live, struct wire_stack *rec)
{
	struct memory_piece pieces[WIRE_STACK_PAGES];

	rec->base = rec->regs[STACK_RSP] & ~(WIRE_STACK_PAGE - 1ULL);
	for (int i = 0; i < WIRE_STACK_PAGES; i++)
		pieces[i] = (struct memory_piece){
			.addr = rec->base + (uint64_t)i * WIRE_STACK_PAGE,
			.buf = rec->pages + (size_t)i * WIRE_STACK_PAGE,
			.len = WIRE_STACK_PAGE,
		};
	if (memory_readv(&live->targets[rec->head.target].watch->memory, pieces, WIRE_STACK_PAGES) <
	    0)
		return;
	for (int i = 0; i < WIRE_STACK_PAGES; i++)
		if (!pieces[i].error)
			rec->present |= 1U << i;
}

static bool still_blocked(const struct live *live, uint32_t index, const struct wire_slot *was)
{
	struct wire_slot now;

	return kernel_slot(live->kernel, index, &now) && now.generation == was->generation &&
	       now.off_kind == WIRE_OFF_BLOCKED && now.off_since == was->off_since;
}

int live_stack_open(struct live *live, struct emit *emit, uint32_t index,
		    const struct wire_slot *slot, const struct wire_poll *poll)
{
	struct live_stacks *s = live->stacks;

	if (!s || slot->off_kind != WIRE_OFF_BLOCKED ||
	    emit->now < slot->off_since + live->opts.threshold_ns ||
	    (s->last_poll[index] == poll->start_ns &&
	     emit->now - s->last_ns[index] < OPEN_EVERY_NS))
		return 0;
	if (!kernel_block(live->kernel, index, &s->copy) || s->copy.since_ns != slot->off_since)
		return 0;
	if (!s->copy.present)
		read_pages(live, &s->copy);
	if (!s->copy.present || !still_blocked(live, index, slot))
		return 0;
	s->last_poll[index] = poll->start_ns;
	s->last_ns[index] = emit->now;
	s->copy.span_ns = emit->now - slot->off_since;
	return submit(s, emit, &s->copy, true);
}
