/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads of targets and their slots: which one the current thread has, giving one, writing one so
 * that the agent and an interrupt on top of us keep off, and what the hypervisor took.
 */
#ifndef BPF_SLOT_H
#define BPF_SLOT_H

#include "header.bpf.h"

#include <bpf/bpf_core_read.h>

#define MAX_PIDNS_LEVEL 8
#define STOLEN_SPACE_NS 250000ULL
#define barrier() asm volatile("" ::: "memory")

static __always_inline void slot_begin(struct wire_slot *slot)
{
	*(volatile __u32 *)&slot->seq += 1;
	barrier();
}

/*
 * Since `now` was read a sample or a switch may have come first, and have closed what was open then:
 * what begins or ends here does so at the time returned.
 */
static __always_inline __u64 slot_begin_since(struct wire_slot *slot, __u64 now)
{
	slot_begin(slot);
	return slot->stolen_ns > now ? slot->stolen_ns : now;
}

static __always_inline void slot_end(struct wire_slot *slot, __u64 now)
{
	slot->last_ns = now;
	barrier();
	*(volatile __u32 *)&slot->seq += 1;
}

/*
 * Nanoseconds that the hypervisor has taken of the current CPU, as the scheduler's clock counts
 * them (CONFIG_PARAVIRT_TIME_ACCOUNTING and, for the way to it, CONFIG_FAIR_GROUP_SCHED); 0 where
 * it does not. It notices at a tick or a switch, and a tick is due whenever the CPU comes back.
 */
static __always_inline __u64 stolen_of_cpu(void)
{
	const struct task_struct *current = bpf_get_current_task_btf();

	if (!bpf_core_field_exists(current->se.cfs_rq) ||
	    !bpf_core_field_exists(((struct rq *)0)->prev_steal_time_rq))
		return 0;
	return current->se.cfs_rq->rq->prev_steal_time_rq;
}

/* From here on what the hypervisor takes is the current thread's, or that of the one that `slot` is given. */
static __always_inline void slot_stolen_from(struct wire_slot *slot, __u64 now)
{
	slot->stolen_mark = stolen_of_cpu();
	slot->stolen_cpu = bpf_get_smp_processor_id();
	slot->stolen_ns = now;
}

/*
 * Accounts what the hypervisor took while the current thread had the CPU: for the thread it is a
 * preemption like any other. What was noticed too late for the poll it fell into is no poll's.
 */
static __always_inline void slot_stolen(struct wire_slot *slot, __u64 now)
{
	__u64 mark = slot->stolen_mark, since = slot->stolen_ns, span, inside = 0;
	__u32 cpu = slot->stolen_cpu, depth = slot->depth;
	bool moved;

	slot_stolen_from(slot, now);
	/* The mark was another CPU's, and nobody told of a switch: what it did since is not known. */
	moved = cpu != slot->stolen_cpu;
	span = slot->stolen_mark - mark;
	if (moved)
		span = depth && now > since ? now - since : 0;
	if (!span)
		return;
	if (depth > 0 && depth <= WIRE_MAX_DEPTH) {
		struct wire_poll *top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];

		inside = now - top->start_ns < span ? now - top->start_ns : span;
		top->preempted_ns += inside;
	}
	slot->preempted_ns += inside;
	if (!moved)
		slot->waiting_ns += span - inside;
}

/*
 * Where it is due often. The kernel notices at ticks, some milliseconds apart, so nothing is gained
 * by asking at each poll, and the way to the number is a tenth of a poll's cost.
 */
static __always_inline void slot_stolen_rarely(struct wire_slot *slot, __u64 now)
{
	if (now - slot->stolen_ns >= STOLEN_SPACE_NS)
		slot_stolen(slot, now);
}

static __always_inline struct wire_slot *slot_at(__u32 index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

/* The number of `pid` in the agent's namespace; 0 when it is not visible there. */
static __always_inline __u32 pid_seen_by_agent(struct pid *pid)
{
	const void *row = (const void *)pid + bpf_core_field_offset(struct pid, numbers);
	__u32 deepest = BPF_CORE_READ(pid, level);

	for (__u32 i = 0; i < MAX_PIDNS_LEVEL && i <= deepest; i++) {
		const struct upid *upid = row;

		if (BPF_CORE_READ(upid, ns, ns.inum) == agent_pidns)
			return BPF_CORE_READ(upid, nr);
		row += bpf_core_type_size(struct upid);
	}
	return 0;
}

static __always_inline __u32 task_tid(struct task_struct *task)
{
	return pid_seen_by_agent(BPF_CORE_READ(task, thread_pid));
}

static __always_inline __u32 task_tgid(struct task_struct *task)
{
	return pid_seen_by_agent(BPF_CORE_READ(task, group_leader, thread_pid));
}

/* What is known of a thread; NULL: it has no slot. */
static __always_inline struct thread_ref *thread_of(struct task_struct *task)
{
	struct thread_ref *ref = bpf_task_storage_get(&threads, task, NULL, 0);

	return ref && ref->regs ? ref : NULL;
}

static __always_inline struct thread_ref *thread_of_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&cpu_thread, &zero);
}

/* The slot of the thread that hit a probe, whose context is `ctx`; -1: it has none. */
static __always_inline int current_slot(struct pt_regs *ctx)
{
	struct thread_ref *ref = thread_of_cpu();

	if (!ref || ref->regs != (__u64)ctx)
		ref = thread_of(bpf_get_current_task_btf());
	return ref ? (int)ref->slot : -1;
}

/* -1: none is left. */
static __always_inline int slot_take(void)
{
	__u32 index;

	if (!bpf_map_pop_elem(&free_slots, &index))
		return index;
	index = __sync_fetch_and_add(&totals.next_slot, 1);
	if (index < WIRE_MAX_SLOTS)
		return index;
	__sync_fetch_and_sub(&totals.next_slot, 1);
	return -1;
}

static __always_inline void slot_free(__u32 index)
{
	bpf_map_push_elem(&free_slots, &index, BPF_ANY);
}

/* A slot as it is for a thread of which nothing is known yet. */
static __always_inline void slot_fill(struct wire_slot *slot, struct task_struct *task,
				      __u32 target)
{
	slot_begin(slot);
	slot->generation += 1;
	slot->tgid = task_tgid(task);
	slot->target = target;
	slot->depth = 0;
	slot->off_kind = WIRE_ON_CPU;
	slot->first_ns = bpf_ktime_get_ns();
	slot->hits = slot->emitted = slot->filtered = slot->lost = 0;
	slot->task_polls = slot->poll_ns = slot->blocked_ns = slot->preempted_ns = 0;
	slot->parked_ns = slot->waiting_ns = slot->sched = 0;
	slot_stolen_from(slot, slot->first_ns);
	slot->tid = task_tid(task);
	slot_end(slot, slot->first_ns);
}

/* From here on the slot is the thread's own to write. */
static __always_inline int slot_given(struct thread_ref *ref, __u32 index, __u64 regs)
{
	ref->slot = index;
	barrier();
	ref->regs = regs;
	return index;
}

/*
 * Gives a thread, whose registers a probe would have at `regs`, a slot; returns its index, -1 when
 * there is none left (counted), or when another one is about it. The thread itself does not wait for a
 * look, which may have been interrupted: it takes one of its own, and the look gives its back.
 */
static __always_inline int slot_give_to(struct task_struct *task, __u32 target, __u64 regs,
					enum thread_state by)
{
	struct thread_ref *ref = bpf_task_storage_get(&threads, task, NULL,
						      BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct wire_slot *slot = NULL;
	__u32 was = THREAD_NEW;
	int index = -1;

	if (ref) {
		was = __sync_val_compare_and_swap(&ref->claim, THREAD_NEW, by);
		if (was == THREAD_LOOK && by == THREAD_SELF) {
			was = __sync_val_compare_and_swap(&ref->claim, THREAD_LOOK, by);
			if (was == THREAD_LOOK)
				was = THREAD_NEW;
		}
		if ((was & 0xff) == THREAD_GIVEN && by == THREAD_SELF)
			return slot_given(ref, was >> 8, regs);
		if (was != THREAD_NEW)
			return -1;
		index = slot_take();
		slot = slot_at(index);
		if (!slot)
			__sync_val_compare_and_swap(&ref->claim, by, THREAD_NEW);
	}
	if (!slot) {
		__sync_fetch_and_add(&totals.slots_lost, 1);
		return -1;
	}
	slot_fill(slot, task, target);
	if (__sync_val_compare_and_swap(&ref->claim, by, THREAD_GIVEN | (__u32)index << 8) != by) {
		slot->tid = 0;
		slot_free(index);
		return -1;
	}
	return slot_given(ref, index, regs);
}

static __attribute__((noinline)) int slot_give(__u32 target, __u64 regs)
{
	return slot_give_to(bpf_get_current_task_btf(), target, regs, THREAD_SELF);
}

/* Room for a long poll of the slot's thread that ended then; NULL (counted): the ring is full. */
static __always_inline struct wire_long_poll *long_poll_reserve(const struct wire_slot *slot,
								__u32 index, __u64 end)
{
	struct wire_long_poll *rec = bpf_ringbuf_reserve(&ring, sizeof(*rec), 0);

	if (!rec) {
		__sync_fetch_and_add(&totals.ring_lost, 1);
		return NULL;
	}
	rec->head.kind = WIRE_LONG_POLL;
	rec->head.target = slot->target;
	rec->head.time_ns = end;
	rec->head.tid = slot->tid;
	rec->head.slot = index;
	return rec;
}

#endif
