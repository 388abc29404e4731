// SPDX-License-Identifier: LGPL-2.1-or-later
/* Thread slots and long polls as events. */
#include "attach/live_priv.h"

#include "util/sanitize.h"

#include <string.h>

#define SCAN_MAX_OPEN 256	 /* open long polls sent a tick */
#define CONFIRMED_NS 25000000ULL /* two samples */

static uint64_t span(uint64_t from, uint64_t to)
{
	return to > from ? to - from : 0;
}

/* The innermost open poll when it is a task's; NULL: none, or blocking-pool work. */
static const struct wire_poll *open_poll(const struct wire_slot *slot)
{
	const struct wire_poll *top;

	if (slot->depth == 0 || slot->depth > WIRE_MAX_DEPTH)
		return NULL;
	top = &slot->polls[slot->depth - 1];
	return top->kind == WIRE_SITE_TASK ? top : NULL;
}

/*
 * The same as far as it is sure: while ends of polls pass unseen, one that is open on a CPU may be over
 * long ago. The kernel part knows what it was in when it left the CPU, or when it was sampled last.
 */
static const struct wire_poll *sure_poll(const struct live *live, const struct wire_slot *slot,
					 uint64_t now)
{
	const struct wire_poll *poll = open_poll(slot);

	if (!poll || slot->off_kind == WIRE_OFF_BLOCKED || slot->off_kind == WIRE_OFF_PREEMPTED ||
	    !live_budget_blind(live, slot->target))
		return poll;
	return now - poll->confirmed_ns < CONFIRMED_NS ? poll : NULL;
}

/* When the outermost open task poll began; 0: none. Time inside nested ones counts once. */
static uint64_t outermost_start(const struct wire_slot *slot)
{
	for (uint32_t i = 0; i < slot->depth && i < WIRE_MAX_DEPTH; i++)
		if (slot->polls[i].kind == WIRE_SITE_TASK)
			return slot->polls[i].start_ns;
	return 0;
}

static enum thread_state state_of(const struct wire_slot *slot, const struct wire_poll *poll)
{
	switch ((enum wire_off_kind)slot->off_kind) {
	case WIRE_OFF_SENTINEL:
	case WIRE_OFF_BLOCKED: return THREAD_BLOCKED;
	case WIRE_OFF_PREEMPTED: return THREAD_PREEMPTED;
	case WIRE_OFF_PARKED: return THREAD_PARKED;
	case WIRE_OFF_WAITING:
	case WIRE_ON_CPU: break;
	}
	return poll ? THREAD_POLLING : THREAD_SEARCHING;
}

/*
 * An open poll on the CPU may be over: there is no probe at its end. The task's own state word
 * says so. A thread that left the CPU inside the poll was checked by the kernel part at that time.
 */
static bool still_running(struct live *live, const struct wire_slot *slot,
			  const struct wire_poll *poll)
{
	const struct runtime_found *found = live_found(live, poll->site);
	struct runtime_state state;
	uint64_t word = 0, at = poll->header;

	if (slot->off_kind == WIRE_OFF_BLOCKED || slot->off_kind == WIRE_OFF_PREEMPTED)
		return true;
	if (!found)
		return false;
	/* Its end is an event: as long as there was none, it runs. */
	if (found->ops->family == WIRE_USDT)
		return true;
	at += sizeof(word) * live->sites[poll->site].found->state_word;
	if (memory_read(&live->targets[slot->target].watch->memory, at, &word, sizeof(word)))
		return false;
	found->ops->state(word, &state);
	return state.running;
}

static void poll_event(const struct live *live, struct ev_poll *out, const struct wire_poll *poll,
		       uint32_t tid, uint32_t runtime, uint64_t end)
{
	*out = (struct ev_poll){
		.tid = tid,
		.runtime = runtime,
		.site = poll->site,
		.task_id = live_task_id(live, poll->site, poll->task_id),
		.start_ns = poll->start_ns,
		.length_ns = span(poll->start_ns, end),
		.blocked_ns = poll->blocked_ns,
		.preempted_ns = poll->preempted_ns,
		.nested_ns = poll->nested_ns,
		.worst_block_ns = poll->worst_block_ns,
		.syscall = poll->worst_syscall,
		.loose_end = poll->flags & WIRE_POLL_LOOSE_END,
	};
}

/*
 * Time that the poll had the CPU, as it seems, while none of the samples of all CPUs met it there. Now
 * and then the kernel part is not told of a switch (seen on 6.18): a block is not a computation then.
 */
static uint64_t unsampled(const struct live *live, const struct wire_poll *poll, uint64_t end)
{
	uint64_t rest = span(poll->confirmed_ns + poll->blocked_ns + poll->preempted_ns, end);

	return live->kernel->sampling == live->kernel->cpus && rest > CONFIRMED_NS ? rest : 0;
}

int live_long_poll(struct live *live, struct emit *emit, const struct wire_long_poll *rec)
{
	uint64_t worst = rec->poll.worst_block_ns;
	struct event event = {0};
	uint32_t runtime;

	if (rec->poll.site == WIRE_NO_SITE)
		return live_sentinel_block(live, emit, rec);
	if (rec->head.target >= live->targets_count || rec->poll.site >= live->sites_count)
		return 0;
	runtime = live_runtime_of(live, emit, rec->head.target, rec->poll.site, rec->poll.sched, 0);
	poll_event(live, &event.as_poll, &rec->poll, rec->head.tid, runtime, rec->head.time_ns);
	event.as_poll.unseen_ns = unsampled(live, &rec->poll, rec->head.time_ns);
	event.as_poll.handed_off = live_handed_off(live, emit, rec->head.target, rec->head.tid,
						   &rec->poll,
						   worst ? rec->head.time_ns - worst : 0);
	return live_emit(emit, EV_POLL, rec->head.target, &event);
}

static bool blind_on_cpu(const struct live *live, const struct wire_slot *slot)
{
	return slot->off_kind != WIRE_OFF_BLOCKED && slot->off_kind != WIRE_OFF_PREEMPTED &&
	       live_budget_blind(live, slot->target);
}

/* Until when the open poll surely lasts: while ends pass unseen, as long as it was seen to. */
static uint64_t lasts_until(const struct live *live, const struct wire_slot *slot,
			    const struct wire_poll *poll, uint64_t now)
{
	return blind_on_cpu(live, slot) ? poll->confirmed_ns : now;
}

/*
 * The span that the thread is off the CPU now is not in the poll's sums yet. When it is over and the
 * thread only waits for a CPU, nobody says since when. On the CPU, what a hypervisor took is known up
 * to the last sample only.
 */
static int emit_open_poll(struct live *live, struct emit *emit, const struct wire_slot *slot,
			  const struct wire_poll *poll, uint32_t runtime)
{
	const struct proc *proc = live->targets[slot->target].watch->proc;
	uint64_t off = span(slot->off_since, emit->now);
	struct event event = {0};
	struct ev_poll *out = &event.as_poll;

	poll_event(live, out, poll, slot->tid, runtime, lasts_until(live, slot, poll, emit->now));
	out->off_cpu = slot->off_kind != WIRE_ON_CPU;
	if (slot->off_kind == WIRE_OFF_BLOCKED && proc_thread_run(proc, slot->tid) != PROC_ASLEEP) {
		out->unseen_ns = off;
	} else if (slot->off_kind == WIRE_OFF_BLOCKED) {
		out->blocked_ns += off;
		if (off > out->worst_block_ns) {
			out->worst_block_ns = off;
			out->syscall = slot->off_syscall;
		}
	} else if (slot->off_kind == WIRE_OFF_PREEMPTED) {
		out->preempted_ns += off;
	} else if (live->kernel->sampling == live->kernel->cpus && !blind_on_cpu(live, slot)) {
		out->unseen_ns = span(poll->confirmed_ns, emit->now);
	}
	out->handed_off = live_handed_off(live, emit, slot->target, slot->tid, poll,
					  slot->off_kind == WIRE_OFF_BLOCKED ? slot->off_since : 0);
	return live_emit(emit, EV_POLL_OPEN, slot->target, &event);
}

/* When the present state began: the last switch, or the poll's start. */
static uint64_t state_since(const struct wire_slot *slot, const struct wire_poll *poll)
{
	if (slot->off_kind != WIRE_ON_CPU)
		return slot->off_since;
	return poll ? poll->start_ns : slot->last_ns;
}

static int emit_thread(struct live *live, struct emit *emit, const struct wire_slot *slot,
		       const struct wire_poll *poll, uint32_t runtime)
{
	uint64_t off = slot->off_kind == WIRE_ON_CPU ? 0 : span(slot->off_since, emit->now);
	uint64_t begun = outermost_start(slot);
	bool root = !slot->sched && live_census_root(live, slot);
	const struct wire_look *asleep = root ? live_census_sleeps(live, slot) : NULL;
	uint64_t inside = slot->poll_ns + (begun ? span(begun, emit->now) : 0);
	char raw[PROC_COMM], comm[4 * PROC_COMM];
	struct event event = {0};
	struct ev_thread *t = &event.as_thread;

	proc_thread_comm(live->targets[slot->target].watch->proc, slot->tid, raw);
	text_sanitize(comm, sizeof(comm), raw, strlen(raw));
	*t = (struct ev_thread){
		.tid = slot->tid,
		.comm = comm,
		.runtime = runtime,
		.state = asleep ? THREAD_PARKED : state_of(slot, poll),
		.worker = slot->sched != 0,
		.root = root,
		.since_ns = asleep ? slot->first_ns : state_since(slot, poll),
		.site = poll ? poll->site : ID_NONE,
		.task_id = poll ? live_task_id(live, poll->site, poll->task_id) : 0,
		.task_key = poll ? poll->header : 0,
		.poll_start_ns = poll ? poll->start_ns : 0,
		.syscall = slot->off_kind == WIRE_OFF_BLOCKED ? slot->off_syscall : -1,
		.parked_syscall = asleep			    ? asleep->syscall :
				  slot->off_kind == WIRE_OFF_PARKED ? slot->off_syscall :
								      -1,
		.first_ns = slot->first_ns,
		.polls = slot->task_polls,
		.blocked_ns = slot->blocked_ns,
		.preempted_ns = slot->preempted_ns,
		.parked_ns = slot->parked_ns,
	};
	if (slot->off_kind == WIRE_OFF_BLOCKED)
		t->blocked_ns += off;
	else if (slot->off_kind == WIRE_OFF_PREEMPTED)
		t->preempted_ns += off;
	else if (slot->off_kind == WIRE_OFF_PARKED)
		t->parked_ns += off;
	else if (asleep)
		t->parked_ns += span(slot->first_ns, emit->now);
	t->busy_ns = span(t->blocked_ns + t->preempted_ns, inside);
	t->searching_ns = span(inside + t->parked_ns, span(slot->first_ns, emit->now));
	t->unaccounted = live_budget_samples(live, slot->target);
	if (t->unaccounted)
		t->parked_syscall = -1;
	return live_emit(emit, EV_THREAD, slot->target, &event);
}

/* Another thread in the slot parks elsewhere. */
static void set_root(const struct kernel *k, uint32_t slot, uint64_t generation)
{
	if (k->roots[slot] != generation)
		k->parks[slot] = 0;
	k->roots[slot] = generation;
}

/*
 * One pass over the slots. `all`: every thread is sent; else new ones and open long polls only.
 * *open says whether there is one.
 */
int live_threads(struct live *live, struct emit *emit, bool all, bool *open)
{
	uint32_t count = kernel_slots(live->kernel), sent = 0;
	int ret = 0;

	*open = false;
	for (uint32_t i = 0; i < live->runtimes_count; i++)
		live->runtimes[i].threads = live->runtimes[i].polling = live->runtimes[i].polls = 0;
	for (uint32_t i = 0; i < count && !ret; i++) {
		const struct wire_poll *poll;
		struct wire_slot slot;
		uint32_t runtime;

		if (i == live->calibration_slot || !kernel_slot(live->kernel, i, &slot) ||
		    slot.target >= live->targets_count || live->targets[slot.target].ended)
			continue;
		poll = sure_poll(live, &slot, emit->now);
		/* Its polls may all be over: then what it polled last says of what the handle is. */
		runtime = live_runtime_of(live, emit, slot.target,
					  poll ? poll->site : slot.sched_site, slot.sched,
					  poll ? poll->header : 0);
		live_census_slot(live, &slot);
		set_root(live->kernel, i,
			 live_drives_root(live, runtime) || live_census_root(live, &slot) ?
				 slot.generation :
				 0);
		if (runtime != ID_NONE) {
			live->runtimes[runtime].threads++;
			live->runtimes[runtime].polling += poll != NULL;
			live->runtimes[runtime].polls += slot.task_polls + slot.depth;
		}
		if (live->sentinel && !poll)
			ret = live_sentinel_open_block(live, emit, i, &slot, open);
		if (live->sentinel && !poll && !ret)
			ret = live_sentinel_open_span(live, emit, i, &slot, open);
		if (ret)
			break;
		if (live->sentinel && !slot.hits)
			continue; /* what it does beside blocking is not known */
		if (all || live->slot_seen[i] != slot.generation) {
			live->slot_seen[i] = slot.generation;
			ret = emit_thread(live, emit, &slot, poll, runtime);
		}
		if (!ret && poll &&
		    span(poll->start_ns, lasts_until(live, &slot, poll, emit->now)) >=
			    live->opts.threshold_ns &&
		    sent < SCAN_MAX_OPEN && still_running(live, &slot, poll)) {
			ret = emit_open_poll(live, emit, &slot, poll, runtime);
			if (!ret)
				ret = live_stack_open(live, emit, i, &slot, poll);
			*open = true;
			sent++;
		}
	}
	return ret;
}

int live_thread_exit(struct live *live, const void *data, size_t size)
{
	const struct wire_process *rec = data;
	struct live_target *t;
	struct event event = {0};

	if (size < sizeof(*rec) || rec->head.target >= live->targets_count)
		return 0;
	t = &live->targets[rec->head.target];
	if (rec->code >= 0) {
		t->status_seen = true;
		t->status = rec->code;
	}
	event.time_ns = rec->head.time_ns;
	event.as_thread_end.tid = rec->head.tid;
	return live_emit(live->emit, EV_THREAD_END, rec->head.target, &event);
}
