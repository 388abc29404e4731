/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A look at all threads of a process from outside: none is stopped, no probe is hit. It tells of
 * those that were in a poll before the watch began. The kernel keeps the user registers of a thread
 * that is off the CPU; of one that runs only a sample on its CPU has them.
 */
#ifndef BPF_LOOK_H
#define BPF_LOOK_H

#include "stack.bpf.h"

#define WANTED_SPACE_NS 50000000ULL /* between two samples of a thread */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WIRE_MAX_WANTED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* tid as the agent sees it */
	__type(value, struct wire_wanted);
} wanted SEC(".maps");

bool wanted_on; /* there is one */

/* Too large for a program's stack; the agent looks from one thread. */
struct wire_look looked;

/* The thread that the look gives a slot to, so that its blocks are seen; 0: none. */
__u32 give_tid, give_target;

/*
 * For how long a sleeping thread sleeps, at least. What is kept is when its time was last accounted,
 * by the clock of its run queue that leaves out interrupts and stolen time; how far that one lags
 * behind only grows. Of the present time by the same clock, what the current CPU noted last is a
 * lower bound.
 */
static __always_inline __u64 asleep_for(struct task_struct *task)
{
	const struct task_struct *current = bpf_get_current_task_btf();
	const struct rq *rq, *here;
	__u64 since, now;

	if (!bpf_core_field_exists(task->se.cfs_rq) ||
	    !bpf_core_field_exists(task->se.exec_start) ||
	    !bpf_core_field_exists(((struct rq *)0)->clock_task))
		return 0;
	rq = task->se.cfs_rq->rq;
	here = current->se.cfs_rq->rq;
	since = task->se.exec_start;
	if (!since)
		return 0;
	since += rq->clock - rq->clock_task;
	now = here->clock;
	return now > since ? now - since : 0;
}

static __always_inline void look_fill(struct wire_look *out, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	out->time_ns = bpf_ktime_get_ns();
	out->tid = task_tid(task);
	out->slot = 0;
	out->flags = task->on_cpu ? WIRE_LOOK_ON_CPU : 0;
	if (!task->on_cpu && state_waits(task->__state))
		out->flags |= WIRE_LOOK_ASLEEP;
	out->syscall = regs->orig_ax;
	out->asleep_ns = out->flags & WIRE_LOOK_ASLEEP ? asleep_for(task) : 0;
	out->cpu_ns = task->se.sum_exec_runtime;
	out->delay_ns = bpf_core_field_exists(task->sched_info.run_delay) ?
				task->sched_info.run_delay :
				0;
	out->runs = bpf_core_field_exists(task->sched_info.pcount) ? task->sched_info.pcount : 0;
	out->fs = task->thread.fsbase;
	regs_copy(out->regs, task);
	out->kernel_count = out->flags & WIRE_LOOK_ON_CPU ? 0 : kernel_copy(out->kernel, task);
}

SEC("iter/task")
int on_look(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct thread_ref *ref;
	struct wire_look *look = &looked;
	struct wire_slot *slot;

	if (!task)
		return 0;
	look_fill(look, task);
	ref = thread_of(task);
	if (!ref && give_tid && look->tid == give_tid && !(look->flags & WIRE_LOOK_ON_CPU)) {
		slot_give_to(task, give_target, (__u64)bpf_task_pt_regs(task), THREAD_LOOK);
		ref = thread_of(task);
	}
	if (ref) {
		look->slot = ref->slot + 1;
		slot = slot_at(ref->slot);
		if (slot && (slot->seq & 1))
			look->flags |= WIRE_LOOK_PROGRAM;
	}
	bpf_seq_write(ctx->meta->seq, look, sizeof(*look));
	return 0;
}

/* The current thread was sampled on its CPU; its stack is sent if it is wanted. */
static __always_inline void wanted_sampled(void)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 now = bpf_ktime_get_ns();
	__u32 tid = task_tid(task);
	struct wire_wanted *want = bpf_map_lookup_elem(&wanted, &tid);
	struct wire_stack *out;

	if (want && sentinel_on && !thread_of(task))
		slot_give(want->target, (__u64)bpf_task_pt_regs(task));
	if (!want || now - want->last_ns < WANTED_SPACE_NS)
		return;
	out = stack_reserve();
	if (!out)
		return;
	want->last_ns = now;
	out->head.kind = WIRE_STACK;
	out->head.target = want->target;
	out->head.time_ns = now;
	out->head.tid = tid;
	out->head.slot = 0;
	out->span_ns = 0;
	out->poll_start_ns = out->task_id = out->sched = out->header = 0;
	out->site = WIRE_NO_SITE;
	stack_send(out, NULL, now);
}

#endif
