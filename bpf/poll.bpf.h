/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Polls of one thread: opening, closing, and knowing whether an open one is still running.
 *
 * There is no probe at the end of a poll. An open poll is over when a poll at the same or a
 * shallower stack position begins, when the thread leaves the CPU (or is sampled) and the task is
 * no longer RUNNING on this thread, or when the task is freed. A slot is written only in the
 * context of its own thread, so plain stores do; `seq` is odd meanwhile, which tells the agent and
 * an interrupt on top of us to keep off.
 */
#ifndef BPF_POLL_H
#define BPF_POLL_H

#include "maps.bpf.h"

#include <bpf/bpf_core_read.h>

#define MAX_PIDNS_LEVEL 8
#define barrier() asm volatile("" ::: "memory")

/*
 * The header of a task and the first words of its core. Kept below 64 bytes: from there on the
 * kernel's copy uses `rep movsb`, which is slower than the words one by one.
 */
#define HEADER_READ 7
#define HEADER_NEXT 1
#define HEADER_VTABLE 2

struct task_words {
	__u64 w[8];
};

static __always_inline bool words_read(struct task_words *words, __u64 header)
{
	words->w[HEADER_READ] = 0;
	return !bpf_probe_read_user(words->w, HEADER_READ * sizeof(__u64), (const void *)header);
}

/* The task's id alone: one word is cheaper than seven. */
static __always_inline __u64 id_read(__u64 header, const struct wire_site *cfg)
{
	__u64 id = 0;

	bpf_probe_read_user(&id, sizeof(id), (const void *)(header + 8 * cfg->id_word));
	return id;
}

static __always_inline void poll_fill(struct wire_poll *poll, const struct task_words *words,
				      const struct wire_site *cfg)
{
	poll->task_id = words->w[cfg->id_word & 7];
	poll->sched = words->w[cfg->sched_word & 7];
}

static __always_inline void slot_begin(struct wire_slot *slot)
{
	*(volatile __u32 *)&slot->seq += 1;
	barrier();
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

/*
 * Accounts what the hypervisor took while the current thread had the CPU: for the thread it is a
 * preemption like any other.
 */
static __always_inline void slot_stolen(struct wire_slot *slot)
{
	__u64 stolen = stolen_of_cpu(), span = stolen - slot->stolen_mark;
	__u32 depth = slot->depth;

	if (!span)
		return;
	slot->stolen_mark = stolen;
	if (depth == 0 || depth > WIRE_MAX_DEPTH) {
		slot->waiting_ns += span;
		return;
	}
	slot->preempted_ns += span;
	slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)].preempted_ns += span;
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

/* Gives the current thread a slot; returns its index, -1 (counted) when there is none left. */
static __attribute__((noinline)) int slot_give(__u32 target)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct thread_ref *ref;
	struct wire_slot *slot;
	__u32 index;

	if (bpf_map_pop_elem(&free_slots, &index)) {
		index = __sync_fetch_and_add(&totals.next_slot, 1);
		if (index >= WIRE_MAX_SLOTS) {
			__sync_fetch_and_sub(&totals.next_slot, 1);
			__sync_fetch_and_add(&totals.slots_lost, 1);
			return -1;
		}
	}
	slot = slot_at(index);
	ref = bpf_task_storage_get(&threads, current, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!slot || !ref) {
		bpf_map_push_elem(&free_slots, &index, BPF_ANY);
		__sync_fetch_and_add(&totals.slots_lost, 1);
		return -1;
	}
	ref->slot = index;
	slot_begin(slot);
	slot->generation += 1;
	slot->tgid = task_tgid(current);
	slot->target = target;
	slot->depth = 0;
	slot->off_kind = WIRE_ON_CPU;
	slot->first_ns = bpf_ktime_get_ns();
	slot->hits = slot->emitted = slot->filtered = slot->lost = 0;
	slot->task_polls = slot->poll_ns = slot->blocked_ns = slot->preempted_ns = 0;
	slot->parked_ns = slot->waiting_ns = slot->sched = 0;
	slot->stolen_mark = stolen_of_cpu();
	slot->tid = task_tid(current);
	slot_end(slot, slot->first_ns);
	return index;
}

static __always_inline struct wire_site_stats *stats_of(__u32 site)
{
	__u32 index = bpf_get_smp_processor_id() * max_sites + site;

	return bpf_map_lookup_elem(&site_stats, &index);
}

/* The task of a row is polled now: how long ago was it made ready? */
static __always_inline void delay_add(__u32 site, __u32 row, __u64 now)
{
	__u32 index = bpf_get_smp_processor_id() * max_sites + site;
	struct wire_delays *sum = bpf_map_lookup_elem(&delays, &index);
	__u64 *woken = bpf_map_lookup_elem(&wakes, &row), delay;
	__u32 bucket;

	if (!sum || !woken || !*woken)
		return;
	delay = now > *woken ? now - *woken : 0;
	*woken = 0;
	bucket = hist_bucket(delay);
	if (bucket >= HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&sum->hist[bucket], 1);
	if (delay > sum->max_ns)
		sum->max_ns = delay;
}

static __always_inline void wake_forget(__u32 row)
{
	__u64 *woken = bpf_map_lookup_elem(&wakes, &row);

	if (woken)
		*woken = 0;
}

static __always_inline struct owner *owner_of(__u64 key)
{
	__u32 index = ((key >> 7) * 0x9e3779b97f4a7c15ULL) >> 48;

	return bpf_map_lookup_elem(&owners, &index);
}

/* False when the last thread that polled this task was surely another one. */
static __always_inline bool owner_may_be(__u64 key, __u32 slot)
{
	const struct owner *owner = owner_of(key);

	return !owner || owner->key != key || owner->slot == slot;
}

/*
 * Whether this open poll of the current thread is still running. The state word may be gone or
 * belong to a new task: then the owner row tells, because whoever polls that task has set it. A task
 * that completed may have been freed at once, unseen.
 * What was not read at the entry is learned here.
 */
static __always_inline bool poll_running(struct wire_poll *poll, __u32 target, __u32 slot)
{
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &poll->site);
	struct task_words words;

	if (!cfg || !words_read(&words, poll->header))
		return false;
	if ((words.w[0] & (TOKIO_STATE_RUNNING | TOKIO_STATE_COMPLETE)) != TOKIO_STATE_RUNNING ||
	    words.w[HEADER_VTABLE] != cfg->vtable ||
	    !tokio_alive(words.w[0], words.w[HEADER_NEXT], poll->header) ||
	    !owner_may_be(WIRE_TASK_KEY(poll->header, target), slot))
		return false;
	if (!poll->task_id)
		poll_fill(poll, &words, cfg);
	return true;
}

static __always_inline void ring_long_poll(const struct wire_slot *slot, __u32 index,
					   const struct wire_poll *poll, __u64 end, __u8 flags)
{
	struct wire_long_poll *rec = bpf_ringbuf_reserve(&ring, sizeof(*rec), 0);
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &poll->site);
	struct task_words words;

	if (!rec) {
		__sync_fetch_and_add(&totals.ring_lost, 1);
		return;
	}
	rec->head.kind = WIRE_LONG_POLL;
	rec->head.target = slot->target;
	rec->head.time_ns = end;
	rec->head.tid = slot->tid;
	rec->head.slot = index;
	rec->poll = *poll;
	rec->poll.flags |= flags;
	/* It neither left the CPU nor was it sampled: its header is read now, if it is still there. */
	if (!poll->task_id && cfg && words_read(&words, poll->header) &&
	    words.w[HEADER_VTABLE] == cfg->vtable)
		poll_fill(&rec->poll, &words, cfg);
	bpf_ringbuf_submit(rec, 0);
}

static __always_inline struct wire_task *task_at(__u32 row)
{
	return bpf_map_lookup_elem(&tasks, &row);
}

/* A row for a task that has none; -1 (counted) when the table is full. */
static __attribute__((noinline)) int task_give(__u64 key)
{
	__u32 row;

	if (bpf_map_pop_elem(&free_rows, &row)) {
		row = __sync_fetch_and_add(&totals.next_row, 1);
		if (row >= WIRE_MAX_TASKS) {
			__sync_fetch_and_sub(&totals.next_row, 1);
			__sync_fetch_and_add(&totals.tasks_lost, 1);
			return -1;
		}
	}
	if (bpf_map_update_elem(&task_rows, &key, &row, BPF_ANY)) {
		bpf_map_push_elem(&free_rows, &row, BPF_ANY);
		__sync_fetch_and_add(&totals.tasks_lost, 1);
		return -1;
	}
	return row;
}

/* A task met for the first time gets the row, which may have been an earlier task's. */
static __always_inline void task_new(struct wire_poll *poll, struct wire_task *task, __u64 key,
				     __u32 slot)
{
	struct wire_site_stats *stats = stats_of(poll->site);

	if (stats)
		__sync_fetch_and_add(&stats->first_seen, 1);
	*(volatile __u64 *)&task->key = 0;
	barrier();
	task->id = poll->task_id;
	task->sched = poll->sched;
	task->first_ns = poll->start_ns;
	task->last_ns = poll->start_ns;
	task->busy_ns = 0;
	task->polls = 0;
	task->site = poll->site;
	task->last_slot = slot;
	barrier();
	*(volatile __u64 *)&task->key = key;
}

/*
 * The task's row when a poll begins: it is surely alive now. Tokio frees most tasks through a
 * direct call, not through the vtable's dealloc, so a row may be that of an earlier task at the same
 * address: only the id tells.
 */
static __always_inline void task_open(struct wire_poll *poll, const struct wire_site *cfg,
				      __u64 key, struct owner *owner, __u32 slot)
{
	struct wire_task *task = NULL;
	struct task_words words;
	__u32 *found;
	int row = -1;

	if (owner->key == key && owner->row) {
		row = owner->row - 1;
		task = task_at(row);
	}
	if (!task || task->key != key) {
		found = bpf_map_lookup_elem(&task_rows, &key);
		row = found ? *found : task_give(key);
		if (row < 0)
			return;
		task = task_at(row);
		if (!task)
			return;
	}
	poll->row = row + 1;
	if (task->key == key && task->id == poll->task_id) {
		poll->sched = task->sched;
		task->last_slot = slot;
		if (level >= 3)
			delay_add(poll->site, row, poll->start_ns);
		return;
	}
	if (!poll->sched && words_read(&words, poll->header))
		poll_fill(poll, &words, cfg);
	if (level >= 3)
		wake_forget(row);
	task_new(poll, task, key, slot);
}

/* Adds a closed poll to its task's row, unless the row has gone to another task meanwhile. */
static __always_inline void task_add(const struct wire_poll *poll, __u32 target, __u64 end)
{
	struct wire_task *task = poll->row ? task_at(poll->row - 1) : NULL;

	if (!task || task->key != WIRE_TASK_KEY(poll->header, target) || task->id != poll->task_id)
		return;
	task->polls += 1;
	task->busy_ns += end - poll->start_ns;
	task->last_ns = end;
}

/* The row of a task; -1: it has none. */
static __always_inline int task_row(__u64 key)
{
	struct owner *owner = owner_of(key);
	struct wire_task *task = NULL;
	__u32 *found;

	if (owner && owner->key == key && owner->row)
		task = task_at(owner->row - 1);
	if (task && task->key == key)
		return owner->row - 1;
	found = bpf_map_lookup_elem(&task_rows, &key);
	return found ? (int)*found : -1;
}

/* Gives the row back. */
static __always_inline void task_free(__u64 header, __u32 target)
{
	__u64 key = WIRE_TASK_KEY(header, target);
	__u32 *found = bpf_map_lookup_elem(&task_rows, &key);
	struct wire_task *task;
	__u32 row;

	if (!found)
		return;
	row = *found;
	task = task_at(row);
	if (task)
		*(volatile __u64 *)&task->key = 0;
	bpf_map_delete_elem(&task_rows, &key);
	bpf_map_push_elem(&free_rows, &row, BPF_ANY);
}

/* The task poll that the innermost open one is nested in; NULL: none, or only a worker loop. */
static __always_inline struct wire_poll *poll_parent(struct wire_slot *slot)
{
	__u32 depth = slot->depth;
	struct wire_poll *below;

	if (depth < 2 || depth > WIRE_MAX_DEPTH)
		return NULL;
	below = &slot->polls[(depth - 2) & (WIRE_MAX_DEPTH - 1)];
	return below->kind == WIRE_SITE_TASK ? below : NULL;
}

static __always_inline void poll_close(struct wire_slot *slot, __u32 index, struct wire_poll *poll,
				       __u64 end, __u8 flags)
{
	struct wire_site_stats *stats = stats_of(poll->site);
	__u64 length = end > poll->start_ns ? end - poll->start_ns : 0;
	__u32 bucket = hist_bucket(length);
	struct wire_poll *parent;

	if (!stats)
		return;
	__sync_fetch_and_add(&stats->busy_ns, length);
	if (bucket < HIST_BUCKETS)
		__sync_fetch_and_add(&stats->hist[bucket], 1);
	if (poll->blocked_ns)
		__sync_fetch_and_add(&stats->blocked_ns, poll->blocked_ns);
	if (poll->preempted_ns)
		__sync_fetch_and_add(&stats->preempted_ns, poll->preempted_ns);
	if (length > stats->max_ns)
		stats->max_ns = length;
	if (poll->kind != WIRE_SITE_TASK)
		return;
	slot->task_polls += 1;
	parent = poll_parent(slot);
	if (parent)
		parent->nested_ns += length;
	else
		slot->poll_ns += length;
	if (length >= threshold_ns)
		ring_long_poll(slot, index, poll, end, flags);
	if (level >= 2)
		task_add(poll, slot->target, end);
}

/*
 * Closes what has ended when a poll begins at stack position `sp`: everything at the same or a
 * deeper position, and what is no longer running. A poll that began on a deeper stack while the one
 * below still runs is nested in it (worker loop, LocalSet, block_on).
 */
static __always_inline void polls_close_ended(struct wire_slot *slot, __u32 index, __u64 sp,
					      __u64 now)
{
	bool sibling = false;

	for (int i = 0; i < WIRE_MAX_DEPTH; i++) {
		__u32 depth = slot->depth;
		struct wire_poll *top;

		if (depth == 0 || depth > WIRE_MAX_DEPTH)
			return;
		top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
		if (sp < top->sp && (sibling || poll_running(top, slot->target, index)))
			return;
		/* Same position: what the ended one was nested in, this one is nested in too. */
		sibling = sp == top->sp;
		poll_close(slot, index, top, now, 0);
		slot->depth = depth - 1;
	}
}

/* Closes what is no longer running; returns the innermost poll that is, or NULL. */
static __always_inline struct wire_poll *polls_running(struct wire_slot *slot, __u32 index,
						       __u64 now, bool sampled)
{
	for (int i = 0; i < WIRE_MAX_DEPTH; i++) {
		__u32 depth = slot->depth;
		struct wire_poll *top;
		__u64 end = now;
		__u8 flags = 0;

		if (depth == 0 || depth > WIRE_MAX_DEPTH)
			return NULL;
		top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
		if (poll_running(top, slot->target, index)) {
			top->confirmed_ns = now;
			return top;
		}
		/*
		 * A sample finds out late: the thread may have been elsewhere for up to a sampling
		 * period. Then only the time that it was seen running is sure.
		 */
		if (sampled && now - top->start_ns > 1000000) {
			end = top->confirmed_ns;
			flags = WIRE_POLL_LOOSE_END;
		}
		poll_close(slot, index, top, end, flags);
		slot->depth = depth - 1;
	}
	return NULL;
}

#endif
