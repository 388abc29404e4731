// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the census knows, as events: polls that began before the watch, workers that wait. */
#include "attach/live_census.h"

#include "util/sanitize.h"

#include <string.h>

#define AGAIN_NS 1000000000ULL /* a thread that ran since is looked at again so often */
#define MAIN_NS 2000000000ULL /* the main thread, which may come to run a root future; then rarer */
#define MAIN_NS_MAX 30000000000ULL

void live_census_slot(struct live *live, const struct wire_slot *slot)
{
	struct census_thread *t = census_find(live, slot->target, slot->tid);

	/* The slot that we gave it has polled nothing. */
	if (t && slot->hits && !t->slot_ns)
		t->slot_ns = slot->first_ns;
}

bool live_census_root(struct live *live, const struct wire_slot *slot)
{
	const struct census_thread *t = census_find(live, slot->target, slot->tid);

	return t && (t->kind == CENSUS_ROOT || t->kind == CENSUS_ROOT_HELD);
}

const struct wire_look *live_census_sleeps(struct live *live, const struct wire_slot *slot)
{
	const struct census_thread *t = census_find(live, slot->target, slot->tid);
	struct proc_sched now;

	if (!t || t->kind < CENSUS_ROOT || t->kind == CENSUS_OTHER ||
	    !(t->look.flags & WIRE_LOOK_ASLEEP) || slot->off_kind != WIRE_ON_CPU ||
	    !proc_thread_sched(live->targets[slot->target].watch->proc, slot->tid, &now))
		return NULL;
	return now.runs == t->look.runs ? &t->look : NULL;
}

uint32_t live_census_runtime(const struct live *live, uint32_t target)
{
	uint32_t found = ID_NONE;

	for (uint32_t id = 0; id < live->runtimes_count; id++) {
		const struct live_runtime *r = &live->runtimes[id];

		if (r->target != target || r->flavor == FLAVOR_LOCAL)
			continue;
		if (found != ID_NONE)
			return ID_NONE;
		found = id;
	}
	return found;
}

static uint32_t runtime_of(struct live *live, struct emit *emit, const struct census_thread *t)
{
	if (t->kind == CENSUS_POLL && t->sched)
		return live_runtime_of(live, emit, t->target, t->site, t->sched, t->header);
	return live_census_runtime(live, t->target);
}

void live_census_count(struct live *live, struct emit *emit)
{
	for (uint32_t i = 0; live->census && i < live->census->count; i++) {
		const struct census_thread *t = &live->census->threads[i];
		uint32_t runtime;

		if (!t->used || t->look.slot || t->slot_ns ||
		    (t->kind != CENSUS_POLL && t->kind != CENSUS_WORKER))
			continue;
		runtime = runtime_of(live, emit, t);
		if (runtime == ID_NONE)
			continue;
		live->runtimes[runtime].threads++;
		live->runtimes[runtime].polling += t->kind == CENSUS_POLL;
	}
}

/* --- is it still open? ------------------------------------------------------------------------ */

static bool poll_open(const struct live *live, const struct census_thread *t)
{
	const struct runtime_site *found = live->sites[t->site].found;
	uint64_t frame = 0, words[8] = {0};
	struct memory_piece pieces[] = {
		{.addr = t->frame_at, .buf = &frame, .len = sizeof(frame)},
		{.addr = t->header, .buf = words, .len = sizeof(words)},
	};

	if (!found ||
	    memory_readv(&live->targets[t->target].watch->memory, pieces, t->header ? 2 : 1) < 0)
		return false;
	if (pieces[0].error || frame != t->frame_is)
		return false;
	return !t->header ||
	       (!pieces[1].error && live_task_polled(live, t->site, words, t->header) &&
		(!t->task_id || words[found->id_word & 7] == t->task_id));
}

/*
 * How the time since the first look was spent. While the thread is ready or runs, the kernel's count
 * of its CPU time lags by a tick: then what is left is nobody's. A thread that is found stopped was
 * so since the last time that it was looked at, or since it ran.
 */
static void measure(struct census_thread *t, const struct proc_sched *now, uint64_t now_ns,
		    enum proc_run run)
{
	uint64_t last = t->measured_ns > t->start_ns ? t->measured_ns : t->start_ns;
	uint64_t whole = now_ns > t->start_ns ? now_ns - t->start_ns : 0;
	uint64_t cpu = now->cpu_ns > t->first.cpu_ns ? now->cpu_ns - t->first.cpu_ns : 0;
	uint64_t delay = now->delay_ns > t->first.delay_ns ? now->delay_ns - t->first.delay_ns : 0;
	uint64_t rest;

	if (run == PROC_HELD && now_ns > last)
		t->held_ns += now_ns - last;
	t->measured_ns = now_ns;
	delay += t->held_ns;
	rest = whole > cpu + delay ? whole - cpu - delay : 0;
	if (now->runs != t->runs) {
		t->runs = now->runs;
		t->runs_ns = now_ns;
		t->syscall = -1;
	}
	t->asleep = run == PROC_ASLEEP;
	t->held = run == PROC_HELD;
	t->preempted_ns = delay;
	t->cpu_ns = cpu;
	if (t->asleep && rest > t->blocked_ns)
		t->blocked_ns = rest;
	t->unseen_ns = !t->asleep && rest > t->blocked_ns ? rest - t->blocked_ns : 0;
	if (t->asleep && now_ns - t->runs_ns > t->worst_ns)
		t->worst_ns = now_ns - t->runs_ns;
	if (t->worst_ns > t->blocked_ns)
		t->worst_ns = t->blocked_ns;
}

static void poll_event(const struct census_thread *t, uint32_t runtime, uint64_t end,
		       struct ev_poll *out)
{
	*out = (struct ev_poll){
		.tid = t->look.tid,
		.runtime = runtime,
		.site = t->site,
		.task_id = t->task_id,
		.start_ns = t->start_ns,
		.length_ns = end > t->start_ns ? end - t->start_ns : 0,
		.blocked_ns = t->blocked_ns,
		.preempted_ns = t->preempted_ns,
		.unseen_ns = t->unseen_ns,
		.worst_block_ns = t->worst_ns,
		.syscall = t->syscall,
		.loose_end = true,
		.early = true,
	};
}

/* --- events ----------------------------------------------------------------------------------- */

static int emit_stack(struct live *live, struct emit *emit, struct census_thread *t,
		      uint32_t runtime)
{
	bool off = t->stack_kind == STACK_OFF_CPU;
	struct event event = {.as_stack = {
				      .tid = t->look.tid,
				      .runtime = runtime,
				      .site = t->site,
				      .task_id = t->task_id,
				      .poll_start_ns = t->start_ns,
				      .kind = t->stack_kind,
				      .span_ns = off ? t->worst_ns : emit->now - t->start_ns,
				      .open = true,
				      .syscall = off ? t->syscall : -1,
				      .detail = t->detail[0] ? t->detail : NULL,
				      .kernel = off ? t->kernel : NULL,
				      .end = t->end,
				      .frames = t->frames,
				      .frames_count = t->frames_count,
			      }};

	/* A block's stack holds for as long as the thread does not run; a sample counts once. */
	if (off ? t->stack_runs != t->runs || !t->asleep ||
			    (!t->stack_new && emit->now - t->sent_ns < AGAIN_NS) :
		  !t->stack_new)
		return 0;
	t->sent_ns = emit->now;
	t->stack_new = false;
	if (off)
		live_lock(live, emit, t->target, &t->lock, &event.as_stack);
	return live_emit(emit, EV_STACK, t->target, &event);
}

static enum thread_state state_of(const struct census_thread *t)
{
	if (t->kind != CENSUS_POLL)
		return t->asleep ? THREAD_PARKED : THREAD_SEARCHING;
	return t->asleep ? THREAD_BLOCKED : t->held ? THREAD_PREEMPTED : THREAD_POLLING;
}

static int emit_thread(struct live *live, struct emit *emit, const struct census_thread *t,
		       uint32_t runtime)
{
	bool polls = t->kind == CENSUS_POLL;
	uint64_t whole = emit->now - t->first.time_ns, waited;
	char raw[PROC_COMM], comm[4 * PROC_COMM];
	struct event event = {0};
	struct ev_thread *out = &event.as_thread;

	proc_thread_comm(live->targets[t->target].watch->proc, t->look.tid, raw);
	text_sanitize(comm, sizeof(comm), raw, strlen(raw));
	waited = whole > t->cpu_ns + t->preempted_ns ? whole - t->cpu_ns - t->preempted_ns : 0;
	*out = (struct ev_thread){
		.tid = t->look.tid,
		.comm = comm,
		.runtime = runtime,
		.state = state_of(t),
		.worker = true,
		.since_ns = t->asleep ? t->runs_ns : 0,
		.site = polls ? t->site : ID_NONE,
		.task_id = polls ? live_task_id(live, t->site, t->task_id) : 0,
		.task_key = polls ? t->header : 0,
		.poll_start_ns = polls ? t->start_ns : 0,
		.early = true,
		.syscall = polls && t->asleep ? t->syscall : -1,
		.parked_syscall = !polls && t->asleep && t->runs == t->look.runs ? t->look.syscall :
										   -1,
		.first_ns = t->first.time_ns,
		.preempted_ns = polls ? t->preempted_ns : 0,
	};
	if (polls) {
		out->busy_ns = t->cpu_ns;
		out->blocked_ns = waited;
	} else {
		out->searching_ns = t->cpu_ns + t->preempted_ns;
		out->parked_ns = waited;
	}
	return live_emit(emit, EV_THREAD, t->target, &event);
}

static int emit_open(struct live *live, struct emit *emit, struct census_thread *t,
		     uint32_t runtime)
{
	struct event event = {0};
	int ret;

	poll_event(t, runtime, emit->now, &event.as_poll);
	event.as_poll.off_cpu = t->asleep;
	if (event.as_poll.length_ns < live->opts.threshold_ns)
		return 0;
	t->told = true;
	ret = live_emit(emit, EV_POLL_OPEN, t->target, &event);
	return ret ? ret : emit_stack(live, emit, t, runtime);
}

/* It was last seen open at `seen_ns`; or the thread began another one. */
static int emit_closed(struct live *live, struct emit *emit, struct census_thread *t)
{
	uint32_t runtime = runtime_of(live, emit, t);
	struct event event = {0};

	if (!t->told)
		return 0;
	t->told = false;
	poll_event(t, runtime, t->seen_ns, &event.as_poll);
	event.time_ns = t->seen_ns;
	return live_emit(emit, EV_POLL, t->target, &event);
}

/* --- the rows --------------------------------------------------------------------------------- */

static void look_again(struct live *live, struct emit *emit, struct census_thread *t)
{
	uint32_t missed;

	if (t->copy || emit->now - t->looked_ns < AGAIN_NS)
		return;
	t->looked_ns = emit->now;
	census_look(live, t->target, t->look.tid, false, &missed);
}

static int poll_tick(struct live *live, struct emit *emit, struct census_thread *t, bool all,
		     bool *open)
{
	uint32_t runtime = runtime_of(live, emit, t);
	int ret;

	t->seen_ns = emit->now;
	ret = emit_open(live, emit, t, runtime);
	*open |= t->told;
	if (!ret && all)
		ret = emit_thread(live, emit, t, runtime);
	if (t->told && t->asleep && t->runs != t->stack_runs)
		look_again(live, emit, t);
	else if (t->told && t->syscall < 0 && t->asleep && t->stack_kind == STACK_OFF_CPU)
		t->syscall = t->look.syscall;
	return ret;
}

/* In the root future for as long as it is in the same block; when it runs on, it has to be asked. */
static int root_tick(struct live *live, struct emit *emit, struct census_thread *t, bool *open)
{
	uint32_t runtime = live_census_runtime(live, t->target);
	int ret;

	if (!t->look.slot && kernel_give_slot(live->kernel, t->look.tid, t->target))
		t->look.slot = 1;
	if (t->kind == CENSUS_ROOT)
		return 0;
	if (t->runs != t->stack_runs) {
		ret = emit_closed(live, emit, t);
		t->kind = CENSUS_ROOT;
		return ret;
	}
	t->site = live_root_site(live, emit, t->target, runtime);
	if (t->site == ID_NONE)
		return 0;
	t->seen_ns = emit->now;
	ret = emit_open(live, emit, t, runtime);
	*open |= t->told;
	return ret;
}

static int row_end(struct live *live, struct emit *emit, struct census_thread *t)
{
	int ret = emit_closed(live, emit, t);

	census_clear(live, t);
	return ret;
}

/*
 * The next poll of the same task looks alike, and what tells them apart is a probe. Without one a
 * poll is only known to be the same while its thread sleeps on.
 */
static bool probes_tell(const struct live *live, const struct census_thread *t, uint64_t runs)
{
	return (live->opts.level && !live->opts.overhead_check) ||
	       (t->first.flags & WIRE_LOOK_ASLEEP && runs == t->first.runs);
}

static int row_tick(struct live *live, struct emit *emit, struct census_thread *t, bool all,
		    bool *open)
{
	const struct proc *proc = live->targets[t->target].watch->proc;
	bool polls = t->kind == CENSUS_POLL;
	struct proc_sched sched;

	if (t->kind == CENSUS_OTHER || t->slot_ns)
		return row_end(live, emit, t);
	if (t->kind == CENSUS_UNKNOWN) {
		look_again(live, emit, t);
		return 0;
	}
	if (!polls && t->kind != CENSUS_ROOT_HELD && !all)
		return 0;
	if (!proc_thread_sched(proc, t->look.tid, &sched) ||
	    (polls && (!poll_open(live, t) || !probes_tell(live, t, sched.runs))))
		return row_end(live, emit, t);
	measure(t, &sched, emit->now, proc_thread_run(proc, t->look.tid));
	if (polls)
		return poll_tick(live, emit, t, all, open);
	/* Its time on the CPU may be polls that nobody sees. */
	if (t->kind == CENSUS_WORKER && !live->opts.level)
		return 0;
	if (t->kind == CENSUS_WORKER)
		return emit_thread(live, emit, t, live_census_runtime(live, t->target));
	return root_tick(live, emit, t, open);
}

/* The main thread may enter block_on at any time, and no probe will tell. */
static void look_at_main(struct live *live, struct emit *emit, uint32_t target)
{
	struct live_target *t = &live->targets[target];
	uint32_t pid = t->watch->proc->pid, missed;
	uint64_t wait = MAIN_NS * ++t->main_looks;

	if (t->main_next && !census_find(live, target, pid))
		census_look(live, target, pid, false, &missed);
	t->main_next = emit->now + (wait < MAIN_NS_MAX ? wait : MAIN_NS_MAX);
}

int live_census(struct live *live, struct emit *emit, bool all, bool *open)
{
	struct census *c = live->census;
	int ret = 0;

	if (!c)
		return 0;
	for (uint32_t i = 0; i < live->targets_count; i++)
		if (!live->targets[i].ended && emit->now >= live->targets[i].main_next)
			look_at_main(live, emit, i);
	for (uint32_t i = 0; i < c->count && !ret; i++)
		if (c->threads[i].used &&
		    (!c->threads[i].look.slot || c->threads[i].kind >= CENSUS_ROOT))
			ret = row_tick(live, emit, &c->threads[i], all, open);
	census_ask(live);
	return ret;
}
