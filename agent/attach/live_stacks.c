// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * User stacks: copies from the ring, and of blocks that are still open, go to the unwinder; its
 * answers become events.
 */
#include "attach/live_census.h"
#include "attach/live_locks.h"

#include "stack/root.h"
#include "target/ksyms.h"
#include "target/syscall_detail.h"
#include "util/xalloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KERNEL_TEXT 2048
#define OPEN_EVERY_NS 1000000000ULL /* a block that stays open is looked at again */

/* A stack under way. */
struct stack_wait {
	bool used;
	uint32_t target, generation;
	uint32_t slot;	       /* of a block outside any poll */
	uint64_t park;	       /* and where it was */
	uint32_t census;       /* row that wants the frames, plus one; 0: they become an event */
	uint64_t sentinel;     /* id of a task whose type its frames shall tell; 0: no need */
	struct ev_stack stack; /* without frames */
	struct lock_wait lock;
	char detail[SYSCALL_DETAIL];
	char kernel[KERNEL_TEXT]; /* as in an event; "" none */
};

struct live_stacks {
	struct live *live;
	struct stacks *unwinder;
	uint64_t last_ns[WIRE_MAX_SLOTS];   /* by slot: when a stack of its open poll was taken, */
	uint64_t last_poll[WIRE_MAX_SLOTS]; /* and which poll that was */
	struct stack_wait waits[STACK_PENDING];
	struct wire_stack copy; /* of the block that is looked at */
	uint64_t refused;
	struct ksyms *ksyms; /* NULL: not needed yet, or not to be had */
	bool ksyms_tried;
	char no_ksyms[256]; /* why; told once */
	struct emit *emit;  /* valid while answers are passed on */
	int emit_error;
};

/* The innermost poll of a task that the stack shows; ID_NONE: none. */
static uint32_t poll_of(const struct live *live, uint32_t target, const struct frame *frames,
			uint32_t count)
{
	uint32_t site = ID_NONE;

	for (uint32_t i = 0; i < count && site == ID_NONE; i++)
		site = live_site_of_frame(live, target, &frames[i]);
	return site != ID_NONE && live->sites[site].found->kind == SITE_TASK ? site : ID_NONE;
}

/*
 * A block outside any poll that a probe saw: in one of a type that has none for now (of a runtime
 * without ids; where there are, the sentinel knows), or of the root future.
 */
static uint32_t unprobed_site(struct live_stacks *s, const struct stack_wait *wait, uint32_t site)
{
	if (site == ID_NONE)
		return live_root_site(s->live, s->emit, wait->target, wait->stack.runtime);
	return live_sampled(s->live, site) && live_site_is_sure(s->live, site) ? site : ID_NONE;
}

/* The block as a poll of the stack's site that did nothing else. */
static int emit_unprobed_poll(struct live_stacks *s, const struct stack_wait *wait)
{
	const struct ev_stack *stack = &wait->stack;
	struct event event = {0};

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
	uint32_t boundary = ROOT_NO_FRAME;
	struct frame *own = NULL;
	struct event event = {0};

	if (!wait->used)
		return;
	wait->used = false;
	if (wait->census) {
		live_census_answer(s->live, wait->census - 1, frames, count, end, wait->detail,
				   wait->kernel);
		return;
	}
	if (!s->emit || s->emit_error || s->live->targets[wait->target].ended ||
	    wait->generation != s->live->targets[wait->target].generation)
		return;
	if (wait->sentinel) {
		wait->stack.site = live_sentinel_frames(s->live, s->emit, wait->target,
							wait->sentinel, frames, count);
		if (wait->stack.site == ID_NONE)
			return;
	} else if (wait->stack.site == ID_NONE) {
		uint32_t site = poll_of(s->live, wait->target, frames, count);

		if (site == ID_NONE &&
		    !root_blocked(frames, count, wait->stack.syscall, &boundary)) {
			if (end == STACK_COMPLETE)
				s->live->kernel->parks[wait->slot] = wait->park;
			return;
		}
		wait->stack.site = unprobed_site(s, wait, site);
		if (wait->stack.site == ID_NONE)
			return;
		s->emit_error = emit_unprobed_poll(s, wait);
		if (s->emit_error)
			return;
	}
	if (boundary != ROOT_NO_FRAME) {
		own = frames_dup(frames, count);
		own[boundary].origin = FRAME_BOUNDARY;
	}
	event.as_stack = wait->stack;
	event.as_stack.end = end;
	event.as_stack.frames = own ? own : frames;
	event.as_stack.frames_count = count;
	event.as_stack.detail = wait->detail[0] ? wait->detail : NULL;
	event.as_stack.kernel = wait->kernel[0] ? wait->kernel : NULL;
	if (wait->stack.open)
		live_lock(s->live, s->emit, wait->target, &wait->lock, &event.as_stack);
	s->emit_error = live_emit(s->emit, EV_STACK, wait->target, &event);
	free(own);
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
	return live->opts.debuginfod ? stacks_fetch(s->unwinder, live->opts.debuginfod, err) : 0;
}

void live_stacks_close(struct live *live)
{
	live_locks_free(live);
	map_free(&live->places);
	free(live->panics);
	live->panics = NULL;
	if (!live->stacks)
		return;
	stacks_close(live->stacks->unwinder);
	ksyms_free(live->stacks->ksyms);
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
	live_locks_free(live);
	live_samples_forget(live);
	if (live->stacks)
		stacks_target_end(live->stacks->unwinder, target);
}

uint64_t live_stacks_refused(const struct live *live)
{
	return live->stacks ? live->stacks->refused : 0;
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
	if (!s->emit_error && s->no_ksyms[0]) {
		s->emit_error = live_note(emit, ID_NONE, NOTE_INFO, "kernel stacks are n/a: %s",
					  s->no_ksyms);
		s->no_ksyms[0] = '\0';
	}
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

static bool ksyms_ready(struct live_stacks *s)
{
	struct err err = {0};

	if (!s->ksyms_tried && ksyms_open(&s->ksyms, &err))
		snprintf(s->no_ksyms, sizeof(s->no_ksyms), "%s", err.msg);
	s->ksyms_tried = true;
	return s->ksyms != NULL;
}

/* The tracing of the switch, our own program included: the first frames of each kernel stack. */
static bool is_tracing(const char *name)
{
	static const char *const heads[] = {
		"__bpf_",	   "bpf_", "__traceiter_", "__probestub_", "get_perf_callchain",
		"stack_trace_save"};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (!strncmp(name, heads[i], strlen(heads[i])))
			return true;
	return false;
}

/* Names of the kernel's functions; addresses are those behind a call. */
static void name_kernel(struct live_stacks *s, const struct wire_stack *rec,
			struct stack_wait *wait)
{
	uint64_t count = rec->kernel_count < WIRE_KERNEL_FRAMES ? rec->kernel_count :
								  WIRE_KERNEL_FRAMES;
	size_t len = 0;

	if (!count || !ksyms_ready(s))
		return;
	for (uint64_t i = 0; i < count; i++) {
		const char *name = ksyms_name(s->ksyms, rec->kernel[i] - 1);

		if (!len && (!name || is_tracing(name)))
			continue;
		if (len >= sizeof(wait->kernel) - 1)
			break;
		len += snprintf(wait->kernel + len, sizeof(wait->kernel) - len, "%s%s",
				len ? " " : "", name ? name : "?");
	}
}

/* To the unwinder; `wait` is one of the waits. */
static void send_copy(struct live_stacks *s, const struct wire_stack *rec, struct stack_wait *wait)
{
	struct stack_request request = {
		.cookie = (uint64_t)(wait - s->waits),
		.target = rec->head.target,
		.base = rec->base,
		.present = rec->present,
		.pages = rec->pages,
	};

	memcpy(request.regs, rec->regs, sizeof(request.regs));
	wait->used = stacks_submit(s->unwinder, &request) == 0;
	s->refused += !wait->used;
}

/* A free wait for a stack of that target; -1: there is none, or the target is gone. */
static int wait_for(struct live_stacks *s, uint32_t target)
{
	int index;

	if (target >= s->live->targets_count || s->live->targets[target].ended ||
	    !mapped(s, target))
		return -1;
	index = free_wait(s);
	s->refused += index < 0;
	return index;
}

static int submit(struct live_stacks *s, struct emit *emit, const struct wire_stack *rec, bool open)
{
	int index = wait_for(s, rec->head.target);
	struct stack_wait *wait;
	uint32_t runtime;

	if (index < 0)
		return 0;
	runtime = rec->site == WIRE_NO_SITE && !rec->sched ?
			  live_census_runtime(s->live, rec->head.target) :
			  live_runtime_of(s->live, emit, rec->head.target, rec->site, rec->sched,
					  0);
	if (rec->site != WIRE_NO_SITE && rec->site >= s->live->sites_count)
		return 0;
	wait = &s->waits[index];
	*wait = (struct stack_wait){
		.target = rec->head.target,
		.generation = s->live->targets[rec->head.target].generation,
		.stack =
			{
				.tid = rec->head.tid,
				.runtime = runtime,
				.site = rec->site,
				.task_id = live_task_id(s->live, rec->site, rec->task_id),
				.poll_start_ns = rec->poll_start_ns,
				.kind = rec->since_ns ? STACK_OFF_CPU : STACK_ON_CPU,
				.span_ns = rec->span_ns,
				.open = open,
				.syscall = rec->since_ns ? rec->syscall : -1,
				.begin_ns = rec->since_ns,
			},
	};
	wait->lock = live_lock_wait(rec->regs, wait->stack.syscall);
	wait->slot = rec->head.slot < WIRE_MAX_SLOTS ? rec->head.slot : 0;
	wait->park = WIRE_PARK(rec->regs);
	wait->sentinel = rec->site == WIRE_NO_SITE ? rec->task_id : 0;
	describe(s->live, rec, wait);
	name_kernel(s, rec, wait);
	send_copy(s, rec, wait);
	return 0;
}

/* A wait for a stack of a task type alone, of no poll; NULL: there is none. */
static struct stack_wait *wait_for_site(struct live_stacks *s, const struct wire_head *head,
					uint32_t site, enum stack_kind kind)
{
	int index = s ? wait_for(s, head->target) : -1;
	struct stack_wait *wait = index < 0 ? NULL : &s->waits[index];

	if (!wait || site >= s->live->sites_count)
		return NULL;
	*wait = (struct stack_wait){
		.target = head->target,
		.generation = s->live->targets[head->target].generation,
		.stack =
			{
				.tid = head->tid,
				.runtime = ID_NONE,
				.site = site,
				.kind = kind,
				.syscall = -1,
			},
	};
	return wait;
}

static void stack_spawn(struct live *live, const struct wire_stack *rec)
{
	struct stack_wait *wait = wait_for_site(live->stacks, &rec->head, rec->site, STACK_SPAWN);

	if (!wait)
		return;
	wait->stack.poll_start_ns = rec->poll_start_ns;
	send_copy(live->stacks, rec, wait);
}

void live_stack_place(struct live *live, const struct wire_sample *rec, uint64_t address)
{
	struct live_stacks *s = live->stacks;
	struct stack_wait *wait = wait_for_site(s, &rec->head, rec->site, STACK_REFCOUNT);

	if (!wait)
		return;
	/* Without a stack: no frame leads further than the place itself. */
	s->copy.head = rec->head;
	s->copy.base = s->copy.present = 0;
	memset(s->copy.regs, 0, sizeof(s->copy.regs));
	s->copy.regs[STACK_RIP] = address;
	send_copy(s, &s->copy, wait);
}

int live_stack(struct live *live, struct emit *emit, const struct wire_stack *rec)
{
	int ret = 0;

	if (!live->stacks || (rec->head.kind != WIRE_STACK && rec->head.kind != WIRE_SPAWN))
		return 0;
	if (rec->head.kind == WIRE_SPAWN) {
		stack_spawn(live, rec);
		return 0;
	}
	if (rec->site == WIRE_NO_SITE && !rec->since_ns && !rec->task_id)
		return live_census_sample(live, rec);
	if (rec->site != WIRE_NO_SITE || !rec->task_id)
		return submit(live->stacks, emit, rec, false);
	live->stacks->copy = *rec;
	ret = live_sentinel_stack(live, emit, &live->stacks->copy);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	return submit(live->stacks, emit, &live->stacks->copy, false);
}

bool live_stack_ask(struct live *live, const struct wire_stack *copy, uint32_t census)
{
	struct live_stacks *s = live->stacks;
	int index = s ? free_wait(s) : -1;
	struct stack_wait *wait;

	if (index < 0 || !mapped(s, copy->head.target))
		return false;
	wait = &s->waits[index];
	*wait = (struct stack_wait){
		.target = copy->head.target,
		.generation = live->targets[copy->head.target].generation,
		.census = census + 1,
		.stack = {.open = true},
	};
	if (copy->since_ns)
		describe(live, copy, wait);
	name_kernel(s, copy, wait);
	send_copy(s, copy, wait);
	return wait->used;
}

/* The pages that were not copied when the block began: nobody changes them while it lasts. */
void live_stack_read(const struct live *live, struct wire_stack *rec)
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

/* Awake it only waits for a CPU: nobody says here since when, and its block is shorter than it seems. */
static bool still_blocked(const struct live *live, uint32_t index, const struct wire_slot *was)
{
	const struct proc *proc = live->targets[was->target].watch->proc;
	struct wire_slot now;

	return proc_thread_run(proc, was->tid) == PROC_ASLEEP &&
	       kernel_slot(live->kernel, index, &now) && now.generation == was->generation &&
	       now.off_kind == was->off_kind && now.off_since == was->off_since;
}

static void take_kernel(void *ctx, const struct wire_look *look)
{
	struct wire_stack *rec = ctx;

	rec->kernel_count = look->kernel_count;
	memcpy(rec->kernel, look->kernel, sizeof(rec->kernel));
}

int live_stack_open(struct live *live, struct emit *emit, uint32_t index,
		    const struct wire_slot *slot, const struct wire_poll *poll)
{
	struct live_stacks *s = live->stacks;

	if (!s || (slot->off_kind != WIRE_OFF_BLOCKED && slot->off_kind != WIRE_OFF_SENTINEL) ||
	    emit->now < slot->off_since + live->opts.threshold_ns ||
	    (s->last_poll[index] == poll->start_ns &&
	     emit->now - s->last_ns[index] < OPEN_EVERY_NS))
		return 0;
	if (!kernel_block(live->kernel, index, &s->copy) || s->copy.since_ns != slot->off_since)
		return 0;
	if (!s->copy.present)
		live_stack_read(live, &s->copy);
	if (kernel_look(live->kernel, 0, slot->tid, take_kernel, &s->copy))
		s->copy.kernel_count = 0;
	if (!s->copy.present || !still_blocked(live, index, slot))
		return 0;
	s->last_poll[index] = poll->start_ns;
	s->last_ns[index] = emit->now;
	s->copy.span_ns = emit->now - slot->off_since;
	s->copy.site = poll->site;
	s->copy.task_id = poll->task_id;
	s->copy.sched = poll->sched;
	return submit(s, emit, &s->copy, true);
}
