/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * User stacks, for whoever unwinds them outside: the registers that the thread entered the kernel
 * with, and the bytes from its stack pointer upward, page by page: one that is absent must not lose
 * the rest, and nothing is faulted in.
 *
 * Whether a block is long is known when it is over; then the stack may be read by nobody but the
 * thread itself. So it is copied when the block begins, into the row of the thread, and sent when
 * the block outlasts the threshold. A thread that blocks often and shortly has its copies spaced out:
 * they cost 1 to 2 us next to a context switch.
 */
#ifndef BPF_STACK_H
#define BPF_STACK_H

#include "poll.bpf.h"
#include "sentinel.bpf.h"

#define COPY_SPACE_NS 50000ULL /* between two copies of a thread, doubled for each useless one, */
#define COPY_WASTED_MAX 5      /* up to 1.6 ms: 0.1 % of its time */
#define SITE_SPACE_NS 200000000ULL  /* between two stacks of a site while it blocks long */
#define SAMPLE_SPACE_NS 50000000ULL /* on the CPU: samples make shares */
#define SITE_RARE_NS 1000000000ULL  /* a site that was silent so long may send a short block, too */
#define SHORT_BLOCK_NS 20000ULL
#define STACKS_A_SECOND 50
#define MOMENT_SPACE_NS 20000000ULL

#define STACK_ABOVE                                                                                \
	8192 /* bytes above a poll's entry: the runtime's frames down to the thread's start */

#define SYS_EPOLL_WAIT 232 /* x86-64 */
#define SYS_EPOLL_PWAIT 281
#define SYS_EPOLL_PWAIT2 441

__u64 stack_second, stack_count; /* sent within this second; races only blur the limit */

/* Unwinding starts from here. All of them are saved whenever a thread enters the kernel. */
static __always_inline void regs_copy(__u64 *out, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	out[0] = regs->ax;
	out[1] = regs->dx;
	out[2] = regs->cx;
	out[3] = regs->bx;
	out[4] = regs->si;
	out[5] = regs->di;
	out[6] = regs->bp;
	out[7] = regs->sp;
	out[8] = regs->r8;
	out[9] = regs->r9;
	out[10] = regs->r10;
	out[11] = regs->r11;
	out[12] = regs->r12;
	out[13] = regs->r13;
	out[14] = regs->r14;
	out[15] = regs->r15;
	out[16] = regs->ip;
}

/*
 * Of the current task, as far as the poll's own frame and the runtime's above it (STACK_ABOVE); all
 * pages where the poll is none, or not on this stack.
 */
static __always_inline void pages_copy(struct wire_stack *out, const struct wire_poll *poll)
{
	__u64 base = out->regs[7] & ~(WIRE_STACK_PAGE - 1ULL);
	__u64 bytes = poll ? poll->sp + STACK_ABOVE - base : 0;

	out->base = base;
	out->present = 0;
	for (int i = 0; i < WIRE_STACK_PAGES; i++) {
		if (poll && poll->sp > base && i * WIRE_STACK_PAGE >= bytes)
			break;
		if (bpf_probe_read_user(out->pages + i * WIRE_STACK_PAGE, WIRE_STACK_PAGE,
					(const void *)(base + i * WIRE_STACK_PAGE)))
			continue;
		out->present |= 1 << i;
	}
}

/*
 * The kernel's own stack of a task that is off the CPU. Walking it costs more than the copy of the
 * user's, and it is there until the task runs again: so it waits until the block is worth telling of.
 */
static __always_inline __u64 kernel_copy(__u64 *out, struct task_struct *task)
{
	long bytes = bpf_get_task_stack(task, out, WIRE_KERNEL_FRAMES * sizeof(*out), 0);

	return bytes > 0 ? bytes / sizeof(*out) : 0;
}

/*
 * At most STACKS_A_SECOND, and of one site, whose last one was at *last, one each `space`: a noisy
 * site never starves another, because one that was silent for a while is always heard.
 */
static __always_inline bool stack_allowed(__u64 *last, __u64 now, __u64 space)
{
	__u64 quiet = now - *last;

	if (quiet < space)
		return false;
	if (now - stack_second >= 1000000000ULL) {
		stack_second = now;
		stack_count = 0;
	}
	if (stack_count >= STACKS_A_SECOND && quiet < 5 * SITE_RARE_NS) {
		__sync_fetch_and_add(&totals.stacks_limited, 1);
		return false;
	}
	stack_count += 1;
	*last = now;
	return true;
}

/* `poll` NULL: outside any. */
static __always_inline void stack_head(struct wire_stack *out, const struct wire_slot *slot,
				       __u32 index, const struct wire_poll *poll, __u64 now)
{
	out->head.kind = WIRE_STACK;
	out->head.target = slot->target;
	out->head.time_ns = now;
	out->head.tid = slot->tid;
	out->head.slot = index;
	if (!poll) {
		out->poll_start_ns = now;
		out->task_id = out->header = 0;
		out->sched = slot->sched;
		out->site = WIRE_NO_SITE;
		return;
	}
	out->poll_start_ns = poll->start_ns;
	out->task_id = poll->task_id;
	out->sched = poll->sched;
	out->header = poll->header;
	out->site = poll->site;
}

/*
 * Outside any poll a thread may be in the root future of block_on. Waiting for events is what a
 * runtime does when it has no work; a futex can be that, too: the stack will tell.
 */
static __always_inline bool root_may_block(const struct wire_slot *slot, __u32 index)
{
	__u64 *generation = bpf_map_lookup_elem(&roots, &index);

	return generation && *generation && *generation == slot->generation && slot->depth == 0 &&
	       slot->off_syscall != SYS_EPOLL_WAIT && slot->off_syscall != SYS_EPOLL_PWAIT &&
	       slot->off_syscall != SYS_EPOLL_PWAIT2;
}

/*
 * The current thread leaves the CPU of its own will, inside `poll` or, NULL, outside any that a probe
 * saw: then in that of the task `id`, if not 0.
 */
static __always_inline void block_begins(struct task_struct *task, const struct wire_slot *slot,
					 __u32 index, const struct wire_poll *poll, __u64 id,
					 __u64 now)
{
	struct wire_stack *row = bpf_map_lookup_elem(&blocks, &index);
	__u64 *park = bpf_map_lookup_elem(&parks, &index);
	__u32 wasted;

	if (!row)
		return;
	stack_head(row, slot, index, poll, now);
	if (id)
		row->task_id = id;
	row->since_ns = now;
	row->syscall = slot->off_syscall;
	row->present = 0;
	row->kernel_count = 0;
	regs_copy(row->regs, task);
	if (!poll && !id && park && *park == WIRE_PARK(row->regs))
		return;
	wasted = row->wasted < COPY_WASTED_MAX ? row->wasted : COPY_WASTED_MAX;
	if (now - row->copied_ns < COPY_SPACE_NS << wasted)
		return;
	row->copied_ns = now;
	pages_copy(row, poll);
}

/* The block of `task`, which gets the CPU, is over; `span` without the wait for it. */
static __always_inline void block_ends(struct task_struct *task, const struct wire_slot *slot,
				       __u32 index, __u64 span, __u64 now)
{
	struct wire_stack *row = bpf_map_lookup_elem(&blocks, &index);
	bool is_long = span >= threshold_ns;
	struct wire_site *cfg;
	__u64 *last;

	if (!row || row->since_ns != slot->off_since || !row->present)
		return;
	if (!is_long && row->wasted < 64)
		row->wasted += 1;
	if (!is_long && (span < SHORT_BLOCK_NS || row->site == WIRE_NO_SITE))
		return;
	cfg = bpf_map_lookup_elem(&sites, &row->site);
	last = cfg ? &cfg->stack_ns : &row->sent_ns;
	if (!stack_allowed(last, now, is_long ? SITE_SPACE_NS : SITE_RARE_NS))
		return;
	row->wasted = 0;
	row->span_ns = span;
	row->kernel_count = kernel_copy(row->kernel, task);
	row->head.time_ns = now;
	if (bpf_ringbuf_output(&stack_ring, row, sizeof(*row), 0))
		__sync_fetch_and_add(&totals.stacks_lost, 1);
	else
		__sync_fetch_and_add(&totals.stacks_sent, 1);
}

/*
 * The same of a block that the sentinel saw: each long one is told, with or without a stack, as a
 * poll that was nothing but the block. What the task is, its stack says, or one of an earlier block.
 */
static __always_inline void sentinel_ends(const struct wire_slot *slot, __u32 index, __u64 span,
					  __u64 wait, __u64 now)
{
	const struct wire_stack *row = bpf_map_lookup_elem(&blocks, &index);
	struct wire_long_poll *rec;

	if (!row || row->since_ns != slot->off_since || span < threshold_ns)
		return;
	rec = long_poll_reserve(slot, index, now);
	if (!rec)
		return;
	__builtin_memset(&rec->poll, 0, sizeof(rec->poll));
	rec->poll.start_ns = slot->off_since;
	rec->poll.task_id = row->task_id;
	rec->poll.blocked_ns = rec->poll.worst_block_ns = span;
	rec->poll.preempted_ns = wait;
	rec->poll.site = WIRE_NO_SITE;
	rec->poll.worst_syscall = slot->off_syscall;
	bpf_ringbuf_submit(rec, 0);
}

/* Room for a stack of the current thread; NULL (counted): the ring is full. */
static __always_inline struct wire_stack *stack_reserve(void)
{
	struct wire_stack *out = bpf_ringbuf_reserve(&stack_ring, sizeof(*out), 0);

	if (!out)
		__sync_fetch_and_add(&totals.stacks_lost, 1);
	return out;
}

/* Sends what was reserved, with its head filled in: the current thread is on the CPU, in no block. */
static __always_inline void stack_send(struct wire_stack *out, const struct wire_poll *poll,
				       __u64 now)
{
	out->since_ns = 0;
	out->syscall = WIRE_NO_SYSCALL;
	out->wasted = 0;
	out->kernel_count = 0;
	out->copied_ns = now;
	out->sent_ns = 0;
	regs_copy(out->regs, bpf_get_current_task_btf());
	pages_copy(out, poll);
	bpf_ringbuf_submit(out, 0);
	__sync_fetch_and_add(&totals.stacks_sent, 1);
}

/* Read whenever the ring is: a sample alone wakes nobody. */
static __always_inline void sample_told(const struct wire_slot *slot, __u32 index,
					const struct wire_poll *poll, __u64 now)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct wire_sample *out = bpf_ringbuf_reserve(&stack_ring, sizeof(*out), 0);

	if (!out) {
		__sync_fetch_and_add(&totals.stacks_lost, 1);
		return;
	}
	out->head.kind = WIRE_SAMPLE;
	out->head.target = slot->target;
	out->head.time_ns = now;
	out->head.tid = slot->tid;
	out->head.slot = index;
	out->ip = regs->ip;
	out->site = poll->site;
	out->pad32 = 0;
	bpf_ringbuf_submit(out, BPF_RB_NO_WAKEUP);
}

/* The current thread was sampled inside `poll`. */
static __always_inline void sample_taken(const struct wire_slot *slot, __u32 index,
					 const struct wire_poll *poll, __u64 now)
{
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &poll->site);
	__u64 span = now - poll->start_ns, off = poll->blocked_ns + poll->preempted_ns;
	struct wire_stack *out;

	if (!cfg || span < off + threshold_ns ||
	    !stack_allowed(&cfg->stack_ns, now, SAMPLE_SPACE_NS))
		return;
	out = stack_reserve();
	if (!out)
		return;
	stack_head(out, slot, index, poll, now);
	out->span_ns = span;
	stack_send(out, poll, now);
}

/* The current thread was sampled, and the agent wants to see it as it is; what is lost it asks for again. */
static __always_inline void moment_sampled(const struct wire_slot *slot, __u32 index, __u64 now)
{
	struct wire_moment_ask *ask = bpf_map_lookup_elem(&moments, &index);
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_moment *out;

	if (!ask || !*(volatile __u32 *)&ask->left || ask->tid != slot->tid ||
	    now - ask->last_ns < MOMENT_SPACE_NS)
		return;
	out = bpf_ringbuf_reserve(&stack_ring, sizeof(*out), 0);
	if (!out)
		return;
	ask->left -= 1;
	ask->last_ns = now;
	stack_head(&out->stack, slot, index, NULL, now);
	out->stack.head.kind = WIRE_MOMENT;
	regs_copy(out->stack.regs, task);
	pages_copy(&out->stack, NULL);
	out->fs = task->thread.fsbase;
	out->present = 0;
	for (int i = 0; i < WIRE_MOMENT_PAGES; i++) {
		__u64 page = ask->page[i];

		out->page[i] = page;
		if (page && !bpf_probe_read_user(out->pages + i * WIRE_STACK_PAGE, WIRE_STACK_PAGE,
						 (const void *)page))
			out->present |= 1ULL << i;
	}
	bpf_ringbuf_submit(out, 0);
}

/* The current thread was sampled in a poll that no probe saw. */
static __always_inline void span_stack(const struct wire_slot *slot, __u32 index,
				       const struct wire_span *span, __u64 now)
{
	struct wire_stack *row = bpf_map_lookup_elem(&blocks, &index), *out;

	if (!row || !stack_allowed(&row->sent_ns, now, SAMPLE_SPACE_NS))
		return;
	out = stack_reserve();
	if (!out)
		return;
	stack_head(out, slot, index, NULL, now);
	out->poll_start_ns = span->start_ns;
	out->task_id = span->task_id;
	out->span_ns = now - span->start_ns;
	stack_send(out, NULL, now);
}

/* The current thread was sampled where no probe saw a poll begin. */
static __always_inline void sentinel_sampled(struct wire_slot *slot, __u32 index, __u64 now)
{
	struct wire_span *span = bpf_map_lookup_elem(&spans, &index);
	struct told told;

	if (!span)
		return;
	told = sentinel_ask(bpf_get_current_task_btf(), slot, index, true);
	if (span_sampled(span, slot, index, &told, now) && stacks_on &&
	    span_computed(span) >= threshold_ns)
		span_stack(slot, index, span, now);
}

#endif
