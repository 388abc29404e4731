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

#include "slot.bpf.h"

static __always_inline struct wire_site_stats *stats_of(__u32 site)
{
	__u32 index = bpf_get_smp_processor_id() * max_sites + site;

	return bpf_map_lookup_elem(&site_stats, &index);
}

static __always_inline __u32 epoch_of(__u32 target)
{
	return *(volatile __u32 *)&epochs[target & (WIRE_MAX_TARGETS - 1)];
}

/* Its end may have passed unseen. */
static __always_inline bool poll_unsure(const struct wire_poll *poll, __u32 target)
{
	__u32 epoch = epoch_of(target);

	return (epoch & 1) || poll->epoch != (__u16)epoch;
}

static __always_inline bool has_rows(const struct wire_site *cfg)
{
	return level >= 2 && !*(volatile bool *)&rows_off && !(cfg->apart & WIRE_APART_NO_ROWS);
}

/* The task of a row is polled now: how long ago was it made ready? */
static __always_inline void delay_add(__u32 site, __u32 row, __u32 target, __u64 now)
{
	__u32 index = bpf_get_smp_processor_id() * max_sites + site;
	struct wire_delays *sum = bpf_map_lookup_elem(&delays, &index);
	struct wire_wakes *woken = bpf_map_lookup_elem(&wakes, &row);
	__u32 bucket;
	__u64 delay;

	if (!sum || !woken)
		return;
	if (!woken->ready_ns) {
		__sync_fetch_and_add(&sum->self, 1);
		return;
	}
	/* It may have been polled and woken since, without probes; so may WIRE_WAKE_UNKNOWN. */
	if (woken->ready_ns < *(volatile __u64 *)&since[target & (WIRE_MAX_TARGETS - 1)]) {
		woken->ready_ns = 0;
		return;
	}
	delay = now > woken->ready_ns ? now - woken->ready_ns : 0;
	woken->ready_ns = 0;
	bucket = hist_bucket(delay);
	if (bucket >= HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&sum->hist[bucket], 1);
	if (delay > sum->max_ns)
		sum->max_ns = delay;
}

/* A task is made ready, by whichever thread; false: its row is not there. */
static __always_inline bool wake_add(__u32 row, __u64 now)
{
	struct wire_wakes *woken = bpf_map_lookup_elem(&wakes, &row);

	if (!woken)
		return false;
	if (!woken->ready_ns)
		woken->ready_ns = now;
	__sync_fetch_and_add(&woken->count, 1);
	return true;
}

/* The row goes to another task. */
static __always_inline void wakes_forget(__u32 row)
{
	struct wire_wakes *woken = bpf_map_lookup_elem(&wakes, &row);

	if (!woken)
		return;
	woken->ready_ns = 0;
	woken->count = 0;
}

static __always_inline struct owner *owner_of(__u64 key)
{
	/* Of addresses the low bits are 0, of counters they are all there is: both spread. */
	__u32 index = (key * 0x9e3779b97f4a7c15ULL) >> 48;

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

	if (!cfg)
		return false;
	/* No header to ask: it is open until its end is told. */
	if (cfg->family == WIRE_USDT)
		return true;
	/* The task may have been polled again since, and no probe would have told. */
	if ((cfg->apart & WIRE_APART_OUT) || !words_read(&words, poll->header))
		return false;
	if (!wire_running(cfg->family, state_of(&words, cfg)) ||
	    vtable_of(&words, cfg) != cfg->vtable || !words_alive(&words, cfg, poll->header) ||
	    !owner_may_be(WIRE_TASK_KEY(poll->header, target), slot))
		return false;
	if (!poll->sched)
		poll_fill(poll, &words, cfg);
	return true;
}

static __always_inline void ring_long_poll(const struct wire_slot *slot, __u32 index,
					   const struct wire_poll *poll, __u64 end, __u8 flags)
{
	struct wire_long_poll *rec = long_poll_reserve(slot, index, end);
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &poll->site);
	struct task_words words;

	if (!rec)
		return;
	rec->poll = *poll;
	rec->poll.flags |= flags;
	/* It neither left the CPU nor was it sampled: its header is read now, if it is still there. */
	if (!poll->sched && cfg && cfg->family != WIRE_USDT && words_read(&words, poll->header) &&
	    vtable_of(&words, cfg) == cfg->vtable)
		poll_fill(&rec->poll, &words, cfg);
	bpf_ringbuf_submit(rec, 0);
}

/*
 * Every poll. The agent looks at each tick anyway: it is woken only now and then, so that a fast
 * program does not fill the ring between two ticks.
 */
#define POLLS_A_WAKEUP 8192

static __always_inline void ring_brief_poll(const struct wire_slot *slot,
					    const struct wire_poll *poll, __u64 length)
{
	struct wire_brief_poll *rec = bpf_ringbuf_reserve(&poll_ring, sizeof(*rec), 0);

	if (!rec) {
		__sync_fetch_and_add(&totals.polls_lost, 1);
		return;
	}
	rec->start_ns = poll->start_ns;
	rec->length_ns = length;
	rec->task_id = poll->task_id;
	rec->tid = slot->tid;
	rec->site = poll->site;
	rec->target = slot->target;
	rec->pad32 = 0;
	bpf_ringbuf_submit(rec, slot->task_polls % POLLS_A_WAKEUP ? BPF_RB_NO_WAKEUP : 0);
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

/* Whether the row at this task's address is this task's. Without ids it is, unless that one ended. */
static __always_inline bool task_same(struct wire_poll *poll, const struct wire_site *cfg,
				      const struct wire_task *task, __u64 key)
{
	if (has_ids(cfg))
		return task->key == key && task->id == poll->task_id;
	if (task->key == key && task->site == poll->site && !(task->last_slot & WIRE_TASK_DONE)) {
		poll->task_id = task->id;
		return true;
	}
	poll->task_id = poll->start_ns;
	return false;
}

/*
 * The task was met before a time in which nobody looked at its polls: what its row has summed up has a
 * hole, so it begins anew. It was counted as met.
 */
static __always_inline bool task_again(struct wire_poll *poll, const struct wire_site *cfg,
				       struct wire_task *task, __u32 row, __u32 slot)
{
	if (task->first_ns >= *(volatile __u64 *)&cfg->rows_ns)
		return false;
	if (!has_ids(cfg))
		task->id = poll->task_id = poll->start_ns;
	task->first_ns = poll->start_ns;
	task->last_ns = poll->start_ns;
	task->busy_ns = 0;
	task->polls = 0;
	task->last_slot = slot;
	if (level >= 3)
		wakes_forget(row);
	return true;
}

/* Not what most polls are: the task was on another thread before, or was cancelled. */
static __always_inline void task_odd(const struct wire_poll *poll, const struct wire_site *cfg,
				     const struct wire_task *task, __u32 slot, __u64 state)
{
	struct wire_site_stats *stats = stats_of(poll->site);

	if (!stats)
		return;
	if (task->last_slot != slot)
		__sync_fetch_and_add(&stats->moved, 1);
	if (wire_cancelled(cfg->family, state) && task->polls)
		__sync_fetch_and_add(&stats->cancelled, 1);
}

/*
 * The task's row when a poll begins: it is surely alive now. Tokio frees most tasks through a
 * direct call, not through the vtable's dealloc, so a row may be that of an earlier task at the same
 * address: only the id tells.
 */
static __always_inline void task_open(struct wire_poll *poll, const struct wire_site *cfg,
				      __u64 key, struct owner *owner, __u32 slot, __u64 state)
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
	if (task_same(poll, cfg, task, key)) {
		poll->sched = task->sched;
		if (task_again(poll, cfg, task, row, slot))
			return;
		if (task->last_slot != slot || wire_cancelled(cfg->family, state))
			task_odd(poll, cfg, task, slot, state);
		task->last_slot = slot;
		if (level >= 3 && !*(volatile bool *)&wakes_off)
			delay_add(poll->site, row, cfg->target, poll->start_ns);
		return;
	}
	if (!poll->sched && words_read(&words, poll->header))
		poll_fill(poll, &words, cfg);
	if (level >= 3)
		wakes_forget(row);
	task_new(poll, task, key, slot);
}

/*
 * Without ids the row has to remember that its task ended: whoever is polled at this address next is
 * another one. A closed task that is still scheduled is run once more, to drop its future.
 */
static __always_inline bool task_done(const struct wire_poll *poll)
{
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &poll->site);
	struct task_words words;
	__u64 state;

	if (!cfg || has_ids(cfg))
		return false;
	if (!words_read(&words, poll->header) || vtable_of(&words, cfg) != cfg->vtable ||
	    !words_alive(&words, cfg, poll->header))
		return true;
	state = state_of(&words, cfg);
	if (state & ASYNC_TASK_COMPLETED)
		return true;
	return (state & ASYNC_TASK_CLOSED) &&
	       !(state & (ASYNC_TASK_SCHEDULED | ASYNC_TASK_RUNNING));
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
	if (task_done(poll))
		task->last_slot |= WIRE_TASK_DONE;
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

/*
 * A poll whose end nobody saw: it counts, and lasted at least until it was last seen to run. Of a
 * site without its probe it counts as nothing but a long one. A global function, as below.
 */
__attribute__((noinline)) int poll_close_unseen(struct wire_slot *slot, __u32 index,
						struct wire_poll *poll)
{
	struct wire_site_stats *stats;
	struct wire_site *cfg;
	__u64 end, length;
	__u32 site;

	if (!slot || !poll)
		return 0;
	site = poll->site;
	cfg = bpf_map_lookup_elem(&sites, &site);
	stats = stats_of(site);
	if (!cfg || !stats)
		return 0;
	end = poll->confirmed_ns;
	length = end > poll->start_ns ? end - poll->start_ns : 0;
	if (!(cfg->apart & WIRE_APART_OUT)) {
		__sync_fetch_and_add(&stats->unsized, 1);
		if (length > stats->max_ns)
			stats->max_ns = length;
		if (poll->kind == WIRE_SITE_TASK) {
			slot->task_polls += 1;
			task_add(poll, slot->target, end);
		}
	}
	if (poll->kind == WIRE_SITE_TASK && length >= threshold_ns)
		ring_long_poll(slot, index, poll, end, WIRE_POLL_LOOSE_END);
	return 0;
}

static __always_inline void poll_close(struct wire_slot *slot, __u32 index, struct wire_poll *poll,
				       __u64 end, __u8 flags)
{
	struct wire_site_stats *stats = stats_of(poll->site);
	__u64 length = end > poll->start_ns ? end - poll->start_ns : 0;
	__u32 bucket = hist_bucket(length);
	struct wire_poll *parent;

	if (*(volatile bool *)&watch_over)
		return;
	if (poll_unsure(poll, slot->target)) {
		poll_close_unseen(slot, index, poll);
		return;
	}
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
	if (polls_on)
		ring_brief_poll(slot, poll, length);
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

/*
 * Closes what is no longer running; true when there is an open poll that is. A global function: the
 * verifier walks it once, not for each way to a call of it.
 */
__attribute__((noinline)) int polls_settle(struct wire_slot *slot, __u32 index, __u64 now,
					   bool sampled)
{
	if (!slot)
		return 0;
	for (int i = 0; i < WIRE_MAX_DEPTH; i++) {
		__u32 depth = slot->depth;
		struct wire_poll *top;
		__u64 end = now;
		__u8 flags = 0;

		if (depth == 0 || depth > WIRE_MAX_DEPTH)
			return 0;
		top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
		if (poll_running(top, slot->target, index)) {
			top->confirmed_ns = now;
			return 1;
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
	return 0;
}

/* The innermost poll that is still running, or NULL; what has ended is closed. */
static __always_inline struct wire_poll *polls_running(struct wire_slot *slot, __u32 index,
						       __u64 now, bool sampled)
{
	return polls_settle(slot, index, now, sampled) ?
		       &slot->polls[(slot->depth - 1) & (WIRE_MAX_DEPTH - 1)] :
		       NULL;
}

#endif
