// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs: poll entry and task dealloc (uprobes of the targets), context switches, thread and
 * process life; those for the probe points of <stalltop/sdt.h> are in usdt.bpf.h. What they share is
 * in poll.bpf.h; what they tell the agent is in wire.h. Each probe hit is counted exactly once as
 * emitted, filtered or lost, in the slot of its thread or, where there is no slot, in `totals`.
 */
#include "look.bpf.h"

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct hit {
	__u64 header;
	struct task_words words; /* valid when `read` */
	bool read;
	__u32 site;
	struct wire_site *cfg;
};

enum verdict { HIT_LOST = -1, HIT_FILTERED = 0, HIT_EMITTED = 1 };

static __always_inline void count(struct wire_slot *slot, enum verdict verdict)
{
	slot->hits += 1;
	if (verdict == HIT_EMITTED)
		slot->emitted += 1;
	else if (verdict == HIT_FILTERED)
		slot->filtered += 1;
	else
		slot->lost += 1;
}

static __always_inline void count_slotless(enum verdict verdict)
{
	__sync_fetch_and_add(&totals.hits, 1);
	if (verdict == HIT_FILTERED)
		__sync_fetch_and_add(&totals.filtered, 1);
	else if (verdict == HIT_LOST)
		__sync_fetch_and_add(&totals.lost, 1);
	else
		__sync_fetch_and_add(&totals.emitted, 1);
}

/* The linker may have folded several task types into one function: the header knows which it is. */
static __always_inline bool site_by_vtable(struct hit *hit)
{
	__u64 key = vtable_of(&hit->words, hit->cfg) | (__u64)hit->cfg->target << 48;
	__u32 *site = bpf_map_lookup_elem(&vtables, &key);
	struct wire_site *cfg;

	if (!site)
		return false;
	cfg = bpf_map_lookup_elem(&sites, site);
	if (!cfg)
		return false;
	hit->site = *site;
	hit->cfg = cfg;
	return true;
}

/*
 * Reads the header and proves that it belongs to a site. The read alone costs a quarter of a trap
 * (measured: 150 ns), so level 1 does it where it tells something: on the first hits of a site, and
 * on all hits of a function that several types share. Level 2 needs the state and the id each time.
 */
static __always_inline bool hit_read(struct hit *hit)
{
	struct wire_site_stats *stats;

	hit->read = words_read(&hit->words, hit->header);
	if (hit->read &&
	    (vtable_of(&hit->words, hit->cfg) == hit->cfg->vtable || site_by_vtable(hit))) {
		if (hit->cfg->verified < WIRE_VERIFY)
			hit->cfg->verified += 1;
		return true;
	}
	stats = stats_of(hit->site);
	if (stats)
		__sync_fetch_and_add(&stats->mismatched, 1);
	return false;
}

/* False: not ours, or not what was expected. */
static __always_inline bool hit_begin(struct hit *hit, struct pt_regs *ctx, enum wire_shared bit)
{
	hit->site = bpf_get_attach_cookie(ctx);
	hit->header = ctx->di;
	hit->read = false;
	hit->cfg = bpf_map_lookup_elem(&sites, &hit->site);
	if (!hit->cfg)
		return false;
	if (((hit->cfg->shared & bit) || hit->cfg->verified < WIRE_VERIFY) && !hit_read(hit))
		return false;
	return hit->cfg->kind != WIRE_SITE_OFF;
}

/*
 * Which runtime, and which task. Level 1 looks now and then only; level 2 needs the state and
 * the id each time, because a task's address may be another one's by now: one read for both, since the
 * call is what costs.
 */
static __always_inline void poll_identify(struct wire_poll *poll, struct wire_slot *slot,
					  struct hit *hit, __u32 index)
{
	__u64 key = WIRE_TASK_KEY(hit->header, slot->target);
	struct owner *owner = owner_of(key);
	bool rows = has_rows(hit->cfg);
	__u64 state = 0;

	if (!owner)
		return;
	if (!hit->read && (rows || (slot->hits & 255) == 0))
		hit->read = words_read(&hit->words, hit->header);
	if (hit->read)
		poll_fill(poll, &hit->words, hit->cfg);
	if (poll->kind == WIRE_SITE_TASK) {
		if (rows) {
			if (hit->read)
				state = state_of(&hit->words, hit->cfg);
			task_open(poll, hit->cfg, key, owner, index, state);
		}
		if (poll->sched) {
			slot->sched = poll->sched;
			slot->sched_site = poll->site;
		}
	}
	owner->key = key;
	owner->slot = index;
	owner->row = poll->row;
}

SEC("uprobe")
int on_poll(struct pt_regs *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct wire_slot *slot;
	struct wire_poll *poll;
	struct hit hit;
	__u64 sp = ctx->sp;
	bool ok = hit_begin(&hit, ctx, WIRE_SHARED_POLL) && !(hit.cfg->apart & WIRE_APART_OUT);
	int index = current_slot(ctx);

	if (index < 0) {
		index = ok ? slot_give(hit.cfg->target, (__u64)ctx) : -1;
		if (index < 0) {
			count_slotless(ok ? HIT_LOST : HIT_FILTERED);
			return 0;
		}
	}
	slot = slot_at(index);
	if (!slot)
		return 0;
	now = slot_begin_since(slot, now);
	if (!ok) {
		count(slot, HIT_FILTERED);
		goto out;
	}
	slot_stolen_rarely(slot, now);
	polls_close_ended(slot, index, sp, now);
	if (slot->depth >= WIRE_MAX_DEPTH) {
		__sync_fetch_and_add(&totals.nesting_lost, 1);
		count(slot, HIT_LOST);
		goto out;
	}
	poll = &slot->polls[slot->depth & (WIRE_MAX_DEPTH - 1)];
	poll->start_ns = now;
	poll->confirmed_ns = now;
	poll->header = hit.header;
	poll->task_id = 0;
	poll->sched = 0;
	poll->sp = sp;
	poll->blocked_ns = 0;
	poll->preempted_ns = 0;
	poll->nested_ns = 0;
	poll->worst_block_ns = 0;
	poll->worst_syscall = WIRE_NO_SYSCALL;
	poll->site = hit.site;
	poll->kind = hit.cfg->kind;
	poll->flags = 0;
	poll->epoch = epoch_of(slot->target);
	poll->row = 0;
	poll_identify(poll, slot, &hit, index);
	/* Preempted inside this program: the poll itself begins only now, or that time would be its. */
	if (*(volatile __u64 *)&slot->on_ns > now)
		poll->start_ns = poll->confirmed_ns = slot->on_ns;
	slot->depth += 1;
	count(slot, HIT_EMITTED);
out:
	slot_end(slot, now);
	return 0;
}

static __always_inline void hit_beside(__u32 site)
{
	struct wire_site_stats *stats = stats_of(site);

	if (stats)
		stats->beside += 1;
}

/* The task is gone: its poll, if it is the innermost open one, ended just now. */
static __always_inline void slot_task_freed(struct wire_slot *slot, __u32 index, __u64 header,
					    __u64 now)
{
	__u32 depth = slot->depth;
	struct wire_poll *top;

	if (depth == 0 || depth > WIRE_MAX_DEPTH)
		return;
	top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
	if (top->header != header)
		return;
	poll_close(slot, index, top, now, 0);
	slot->depth = depth - 1;
}

SEC("uprobe")
int on_dealloc(struct pt_regs *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	int index = current_slot(ctx);
	struct wire_slot *slot = NULL;
	struct hit hit;
	bool ok = hit_begin(&hit, ctx, WIRE_SHARED_DEALLOC);

	if (index >= 0)
		slot = slot_at(index);
	if (slot) {
		now = slot_begin_since(slot, now);
		count(slot, ok ? HIT_EMITTED : HIT_FILTERED);
		slot_stolen_rarely(slot, now);
		if (ok)
			slot_task_freed(slot, index, hit.header, now);
		slot_end(slot, now);
	} else {
		count_slotless(ok ? HIT_EMITTED : HIT_FILTERED);
	}
	if (ok) {
		task_free(hit.header, hit.cfg->target);
		hit_beside(hit.site);
	}
	return 0;
}

/*
 * A waker makes a task ready, on any thread. A task that was never polled has no row yet, and one
 * that wakes itself while it is polled is put back without this call: both have no delay.
 */
SEC("uprobe")
int on_schedule(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u64 header = ctx->di, second = ctx->si, sp = ctx->sp;
	__u32 site = cookie;
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &site);
	__u64 now = bpf_ktime_get_ns();
	int index = current_slot(ctx);
	struct wire_slot *slot = NULL;
	bool known = false;
	int row = -1;

	barrier(); /* all are read: a choice of offsets into ctx is refused */
	if (WIRE_COOKIE_TASK_IN(cookie) == WIRE_TASK_RSI)
		header = second;
	else if (WIRE_COOKIE_TASK_IN(cookie) == WIRE_TASK_STACK)
		bpf_probe_read_user(&header, sizeof(header),
				    (const void *)(sp + WIRE_COOKIE_OFFSET(cookie)));
	if (cfg)
		row = task_row(WIRE_TASK_KEY(header, cfg->target));
	if (row >= 0)
		known = wake_add(row, now);
	hit_beside(site);
	if (index >= 0)
		slot = slot_at(index);
	if (!slot) {
		count_slotless(known ? HIT_EMITTED : HIT_FILTERED);
		return 0;
	}
	slot_begin(slot);
	count(slot, known ? HIT_EMITTED : HIT_FILTERED);
	slot_end(slot, now);
	return 0;
}

static __always_inline bool sentinel_asked(const struct wire_slot *slot)
{
	if (!sentinel_on || level == 0)
		return sentinel_on;
	return *(volatile bool *)&sentinel_asks[slot->target & (WIRE_MAX_TARGETS - 1)];
}

/* The current thread goes to sleep; in which task's poll, 0: in none. */
static __always_inline __u64 sentinel_sleeps(struct task_struct *task, struct wire_slot *slot,
					     __u32 index, __u64 now)
{
	struct wire_span *span = bpf_map_lookup_elem(&spans, &index);
	struct told told = sentinel_ask(task, slot, index, span && span->task_id);

	if (span && span->task_id) {
		span_sampled(span, slot, index, &told, now);
		span_close(span, slot, index);
	}
	return told.task;
}

static __always_inline void switch_out(struct task_struct *task, __u32 index, bool voluntary,
				       __u64 now)
{
	struct wire_slot *slot = slot_at(index);
	struct wire_poll *poll = NULL;
	struct pt_regs *regs;
	__u64 id;

	if (!slot)
		return;
	slot->off_since = now;
	/* Preempted inside one of our own programs: its state is half written, so touch nothing. */
	if (slot->seq & 1) {
		slot->off_kind = WIRE_OFF_WAITING;
		return;
	}
	slot_begin(slot);
	slot_stolen(slot, now);
	poll = polls_running(slot, index, now, false);
	slot->off_syscall = WIRE_NO_SYSCALL;
	if (voluntary) {
		regs = (struct pt_regs *)bpf_task_pt_regs(task);
		slot->off_syscall = BPF_CORE_READ(regs, orig_ax);
	}
	if (poll && poll->kind == WIRE_SITE_TASK) {
		slot->off_kind = voluntary ? WIRE_OFF_BLOCKED : WIRE_OFF_PREEMPTED;
		if (stacks_on && voluntary)
			block_begins(task, slot, index, poll, 0, now);
	} else {
		id = sentinel_asked(slot) && voluntary ? sentinel_sleeps(task, slot, index, now) :
							 0;
		slot->off_kind = id	   ? WIRE_OFF_SENTINEL :
				 voluntary ? WIRE_OFF_PARKED :
					     WIRE_OFF_WAITING;
		if (stacks_on && (id || (voluntary && !poll && root_may_block(slot, index))))
			block_begins(task, slot, index, NULL, id, now);
	}
	slot_end(slot, now);
}

/* It slept inside what is open, until now. */
static __always_inline void confirm(struct wire_slot *slot, __u64 now)
{
	__u32 depth = slot->depth;

	if (depth > 0 && depth <= WIRE_MAX_DEPTH)
		slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)].confirmed_ns = now;
}

static __always_inline void add_blocked(struct wire_slot *slot, __u64 span)
{
	__u32 depth = slot->depth;
	struct wire_poll *top;

	slot->blocked_ns += span;
	if (depth == 0 || depth > WIRE_MAX_DEPTH)
		return;
	top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
	top->blocked_ns += span;
	if (span > top->worst_block_ns) {
		top->worst_block_ns = span;
		top->worst_syscall = slot->off_syscall;
	}
}

static __always_inline void add_preempted(struct wire_slot *slot, __u64 span)
{
	__u32 depth = slot->depth;

	slot->preempted_ns += span;
	if (depth == 0 || depth > WIRE_MAX_DEPTH)
		return;
	slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)].preempted_ns += span;
}

/*
 * How much of the span that ends now `next` was ready and only waited for the CPU
 * (CONFIG_SCHED_INFO); 0 when the kernel does not say.
 */
static __always_inline __u64 wait_of(const struct task_struct *next, __u64 span)
{
	__u64 queued, clock;

	if (!bpf_core_field_exists(next->se.cfs_rq) ||
	    !bpf_core_field_exists(next->sched_info.last_queued))
		return 0;
	queued = next->sched_info.last_queued;
	clock = next->se.cfs_rq->rq->clock;
	if (!queued || clock < queued)
		return 0;
	return clock - queued < span ? clock - queued : span;
}

static __always_inline void switch_in(struct task_struct *next, __u32 index, __u64 now)
{
	struct wire_slot *slot = slot_at(index);
	__u64 span, wait;
	bool inside;

	if (!slot || slot->off_kind == WIRE_ON_CPU)
		return;
	span = now > slot->off_since ? now - slot->off_since : 0;
	inside = slot->seq & 1; /* it was preempted inside one of our programs */
	if (!inside)
		slot_begin(slot);
	wait = wait_of(next, span);
	if (slot->off_kind == WIRE_OFF_BLOCKED || slot->off_kind == WIRE_OFF_PREEMPTED)
		confirm(slot, now);
	if (slot->off_kind == WIRE_OFF_BLOCKED) {
		add_blocked(slot, span - wait);
		add_preempted(slot, wait);
		if (stacks_on)
			block_ends(next, slot, index, span - wait, now);
	} else if (slot->off_kind == WIRE_OFF_PREEMPTED) {
		add_preempted(slot, span);
	} else if (slot->off_kind == WIRE_OFF_SENTINEL) {
		sentinel_ends(slot, index, span - wait, wait, now);
		block_ends(next, slot, index, span - wait, now);
	} else if (slot->off_kind == WIRE_OFF_PARKED) {
		slot->parked_ns += span - wait;
		slot->waiting_ns += wait;
		if (stacks_on)
			block_ends(next, slot, index, span - wait, now);
	} else {
		slot->waiting_ns += span;
	}
	slot->off_kind = WIRE_ON_CPU;
	slot->on_ns = now;
	slot_stolen_from(slot, now);
	if (!inside)
		slot_end(slot, now);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int prev_state)
{
	struct thread_ref *ref = thread_of(prev), *cpu = thread_of_cpu();

	if (ref)
		switch_out(prev, ref->slot, !preempt && state_waits(prev_state),
			   bpf_ktime_get_ns());
	ref = thread_of(next);
	if (cpu) {
		cpu->regs = ref ? ref->regs : 0;
		cpu->slot = ref ? ref->slot : 0;
	}
	if (ref)
		switch_in(next, ref->slot, bpf_ktime_get_ns());
	return 0;
}

/*
 * Sampled on the CPU: notices that an open poll is over although the thread goes on with something
 * else (the root future of block_on, a busy reactor), so that its length is not overstated.
 */
SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx __attribute__((unused)))
{
	struct thread_ref *ref = thread_of(bpf_get_current_task_btf());
	struct wire_slot *slot;
	struct wire_poll *poll;
	__u32 index;
	__u64 now;

	if (wanted_on)
		wanted_sampled();
	if (!ref)
		return 0;
	index = ref->slot;
	slot = slot_at(index);
	if (!slot || (slot->seq & 1) || (slot->depth == 0 && !sentinel_on))
		return 0;
	now = bpf_ktime_get_ns();
	slot_begin(slot);
	slot_stolen(slot, now);
	poll = polls_running(slot, index, now, true);
	if (stacks_on && poll && poll->kind == WIRE_SITE_TASK) {
		sample_told(slot, index, poll, now);
		sample_taken(slot, index, poll, now);
	}
	if (sentinel_asked(slot) && (!poll || poll->kind != WIRE_SITE_TASK))
		sentinel_sampled(slot, index, now);
	if (stacks_on && sentinel_on)
		moment_sampled(slot, index, now);
	slot_end(slot, now);
	return 0;
}

static __always_inline void ring_process(__u32 kind, __u32 target, __u32 tid, __u32 slot,
					 __s32 code)
{
	struct wire_process *rec = bpf_ringbuf_reserve(&ring, sizeof(*rec), 0);

	if (!rec) {
		__sync_fetch_and_add(&totals.ring_lost, 1);
		return;
	}
	rec->head.kind = kind;
	rec->head.target = target;
	rec->head.time_ns = bpf_ktime_get_ns();
	rec->head.tid = tid;
	rec->head.slot = slot;
	rec->other = 0;
	rec->code = code;
	bpf_ringbuf_submit(rec, 0);
}

static __always_inline __s32 process_status(struct task_struct *task)
{
	if (!(BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT))
		return -1;
	return BPF_CORE_READ(task, signal, group_exit_code);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct thread_ref *ref = bpf_task_storage_get(&threads, task, NULL, 0);
	struct thread_ref *cpu = thread_of_cpu();
	struct wire_slot *slot;
	__u32 index, tid, claim;
	__u64 now;

	if (!ref)
		return 0;
	claim = __sync_lock_test_and_set(&ref->claim, THREAD_GONE);
	if ((claim & 0xff) != THREAD_GIVEN)
		return 0;
	index = claim >> 8;
	slot = slot_at(index);
	if (!slot)
		return 0;
	now = bpf_ktime_get_ns();
	tid = slot->tid;
	slot_begin(slot);
	slot_stolen(slot, now);
	for (int i = 0; i < WIRE_MAX_DEPTH; i++) {
		__u32 depth = slot->depth;

		if (depth == 0 || depth > WIRE_MAX_DEPTH)
			break;
		poll_close(slot, index, &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)], now, 0);
		slot->depth = depth - 1;
	}
	__sync_fetch_and_add(&totals.hits, slot->hits);
	__sync_fetch_and_add(&totals.emitted, slot->emitted);
	__sync_fetch_and_add(&totals.filtered, slot->filtered);
	__sync_fetch_and_add(&totals.lost, slot->lost);
	slot->hits = slot->emitted = slot->filtered = slot->lost = 0;
	slot->tid = 0;
	slot_end(slot, now);
	ring_process(WIRE_THREAD_EXIT, slot->target, tid, index, process_status(task));
	bpf_task_storage_delete(&threads, task);
	if (cpu)
		cpu->regs = 0;
	slot_free(index);
	return 0;
}

/* Programs of their own, which count their hits as those above do. */
#include "usdt.bpf.h"
#include "panic.bpf.h"
#include "return.bpf.h"
#include "spawn.bpf.h"

/* The other threads are gone by now (each went through on_exit); this one starts afresh. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	__u32 tgid = task_tgid(task);
	__u32 *target = bpf_map_lookup_elem(&targets, &tgid);
	struct thread_ref *ref = thread_of(task);
	struct wire_slot *slot;

	if (ref) {
		slot = slot_at(ref->slot);
		if (slot) {
			slot_begin(slot);
			slot->depth = 0;
			slot->tid = task_tid(task);
			slot_end(slot, bpf_ktime_get_ns());
		}
	}
	if (target) {
		objects_forget(*target);
		ring_process(WIRE_PROCESS_EXEC, *target, tgid, 0, 0);
	}
	return 0;
}
