// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * --overhead-check: puts all probes of a target in and takes them out as overhead.c says, and counts
 * what can be seen of the target either way. Meanwhile every task type is one that is probed for
 * moments, as over the overhead budget: live_sample.c scales what is told of it, and its tasks are
 * not followed. But in these moments the kernel part does all that it does without the check.
 */
#include "attach/live_sample.h"

#include "attach/overhead.h"
#include "util/xalloc.h"

#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX 4096
#define SLOWED 0.1 /* of the CPU time */

struct live_check {
	struct overhead control;
	struct overhead_sample sample; /* the latest */
	struct overhead_sample in;     /* when the probes came in */
	struct map threads;	       /* tid -> times that it got a CPU, at the latest sample */
	uint32_t runtimes, taken;      /* likewise: whose run queues were read, and their sum */
	size_t binaries;	       /* that the schedule knows of */
	uint64_t detach_ns;
	bool begun;
	char reason[256]; /* why it was given up; "": it was not */
};

struct live_check *live_check_new(const struct live *live)
{
	struct live_check *c = xcalloc(1, sizeof(*c));

	overhead_init(&c->control, live->opts.overhead_ratio, live_now());
	map_init(&c->threads, THREADS_MAX);
	return c;
}

void live_check_free(struct live_check *c)
{
	if (!c)
		return;
	map_free(&c->threads);
	free(c);
}

int live_overhead_tell(struct live *live, struct emit *emit, uint32_t target)
{
	const struct live_budget *lb = live->targets[target].budget;
	struct event event = {0};

	if (!lb || !lb->check)
		return 0;
	overhead_result(&lb->check->control, &event.as_overhead);
	event.as_overhead.reason = lb->check->reason[0] ? lb->check->reason : NULL;
	return live_emit(emit, EV_OVERHEAD, target, &event);
}

/* --- what is counted without a probe ---------------------------------------------------------- */

struct thread_count {
	const struct proc *proc;
	const struct map *was;
	struct map now;
	uint64_t runs; /* since then */
	uint32_t again;
	bool whole;
};

static int count_thread(void *ctx, pid_t tid)
{
	struct thread_count *c = ctx;
	struct proc_sched sched;
	uint64_t was = map_get(c->was, (uint64_t)tid, 0);

	if (!proc_thread_sched(c->proc, tid, &sched))
		return 0;
	c->again += was != MAP_NONE;
	was = was == MAP_NONE ? 0 : was;
	/* Less than before: another thread has its number. */
	c->whole &= sched.runs >= was && map_put(&c->now, (uint64_t)tid, 0, sched.runs);
	c->runs += sched.runs >= was ? sched.runs - was : 0;
	return 0;
}

/* What a thread has done that ended meanwhile is not known. */
static void count_switches(struct live_check *c, const struct proc *proc,
			   struct overhead_sample *out)
{
	struct thread_count count = {.proc = proc, .was = &c->threads, .whole = true};

	map_init(&count.now, THREADS_MAX);
	proc_each_thread(proc, count_thread, &count);
	out->switches_known = count.whole && count.again == c->threads.count && count.again;
	out->switches = c->sample.switches + count.runs;
	map_free(&c->threads);
	c->threads = count.now;
}

static void count_takes(struct live *live, uint32_t target, struct live_check *c,
			struct overhead_sample *out)
{
	uint32_t taken = 0, count = 0;

	for (uint32_t i = 0; i < live->runtimes_count; i++) {
		const struct live_runtime *r = &live->runtimes[i];
		const struct runtime_depths *depths = NULL;
		struct err err = {0};

		if (r->target == target)
			depths = live_depths(r, &err);
		if (!depths || !depths->taken.known)
			continue;
		count++;
		taken += (uint32_t)depths->taken.value;
	}
	out->takes_known = count && count == c->runtimes;
	out->takes = c->sample.takes + (out->takes_known ? (uint32_t)(taken - c->taken) : 0);
	c->runtimes = count;
	c->taken = taken;
}

static void take_sample(struct live *live, const struct emit *emit, uint32_t target,
			struct live_budget *lb)
{
	struct overhead_sample next = {.now = live_now()};
	struct live_check *c = lb->check;
	struct budget_input in;

	live_budget_look(live, emit, target, lb, &in);
	next.cpu_ns = in.target_cpu_ns;
	next.cost_ns = in.other_cost_ns;
	for (size_t i = 0; i < lb->count; i++) {
		const struct runtime_site *found = live->sites[lb->ids[i]].found;

		next.cost_ns += lb->sites[i].hits * lb->sites[i].hit_ns;
		if (found && found->kind == SITE_TASK)
			next.polls += lb->sites[i].hits;
	}
	count_switches(c, live->targets[target].watch->proc, &next);
	count_takes(live, target, c, &next);
	c->sample = next;
}

/* --- in and out ------------------------------------------------------------------------------- */

/* Probe points of the program's own stay in; none are there when a check begins. */
static bool next_of(const struct live *live, uint32_t target, size_t *i)
{
	while (*i < live->binaries_count && (live->binaries[*i].target != target ||
					     !live->binaries[*i].object || live->binaries[*i].usdt))
		++*i;
	return *i < live->binaries_count;
}

static bool detached(struct live *live, uint32_t target, uint64_t *cost)
{
	bool done = true;

	for (size_t i = 0; next_of(live, target, &i); i++)
		for (int p = 0; p < PLAN_PROGRAMS; p++)
			done &= link_detach_cost(&live->binaries[i].links[p], cost);
	return done;
}

static void set_apart(struct live *live, const struct live_budget *lb, uint8_t apart)
{
	for (size_t i = 0; i < lb->count; i++)
		if (lb->sites[i].out)
			live->kernel->sites[lb->ids[i]].apart = apart;
}

/* Task types that were found since: from now on they are sampled. */
static void sites_join(struct live *live, struct live_budget *lb, uint64_t now)
{
	for (size_t i = 0; i < lb->count; i++) {
		if (lb->sites[i].out || lb->sites[i].fixed)
			continue;
		lb->sites[i].out = true;
		live->sites[lb->ids[i]].untold = true;
		live_sample_out(live, lb->ids[i], &lb->sites[i], now);
		if (lb->control.state == BUDGET_IN)
			live_sample_begin(live, lb->ids[i], now);
	}
}

static void take_out(struct live *live, uint32_t target, struct live_budget *lb)
{
	struct live_check *c = lb->check;
	double cpu = (double)(c->sample.cpu_ns - c->in.cpu_ns);
	bool slowed = (double)(c->sample.cost_ns - c->in.cost_ns) > SLOWED * cpu;
	uint64_t now = live_now();

	live_budget_blindfold(live, target, true);
	for (size_t i = 0; i < lb->count; i++)
		if (lb->sites[i].out && lb->control.state == BUDGET_IN)
			live_sample_window(live, lb->ids[i], c->in.now, now, slowed);
	set_apart(live, lb, WIRE_APART_OUT | WIRE_APART_NO_ROWS);
	lb->control.state = BUDGET_LEAVING;
	c->detach_ns = 0;
	detached(live, target, &c->detach_ns);
}

static int give_up(struct live *live, struct emit *emit, uint32_t target, const char *why)
{
	struct live_check *c = live->targets[target].budget->check;

	snprintf(c->reason, sizeof(c->reason), "%.255s", why);
	return live_overhead_tell(live, emit, target);
}

static int put_in(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	struct live_check *c = lb->check;
	struct err err = {0};
	uint64_t cost = 0;
	int ret = 0;

	for (size_t i = 0; next_of(live, target, &i) && !ret; i++)
		ret = live_attach_again(live, &live->binaries[i], &cost, &err);
	if (ret && !proc_same(live->targets[target].watch->proc))
		return 0;
	if (ret) {
		detached(live, target, &c->detach_ns);
		return give_up(live, emit, target, err.msg);
	}
	set_apart(live, lb, 0);
	kernel_set_since(live->kernel, target, live_now());
	live_budget_blindfold(live, target, false);
	take_sample(live, emit, target, lb);
	for (size_t i = 0; i < lb->count; i++)
		if (lb->sites[i].out)
			live_sample_begin(live, lb->ids[i], c->sample.now);
	c->in = c->sample;
	lb->control.state = BUDGET_IN;
	lb->control.windows++;
	/* What the keepers use is counted when they are gone. */
	overhead_turned(&c->control, &c->sample, 0);
	return 0;
}

/* Probes are leaving. */
static int leave(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	struct live_check *c = lb->check;

	if (!detached(live, target, &c->detach_ns))
		return 0;
	live->windows_ns += c->detach_ns;
	lb->control.state = BUDGET_OUT;
	take_sample(live, emit, target, lb);
	overhead_turned(&c->control, &c->sample, c->detach_ns);
	return 0;
}

static int begin(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	struct live_check *c = lb->check;

	c->begun = true;
	c->binaries = live->binaries_count;
	lb->control.state = BUDGET_IN;
	take_sample(live, emit, target, lb);
	c->in = c->sample;
	sites_join(live, lb, c->sample.now);
	return live_note(emit, target, NOTE_INFO,
			 "--overhead-check: probes are in for moments only, in turns with moments "
			 "without them, in which stalls are not seen; what is counted is sampled");
}

static bool has_probe_points(const struct live *live, uint32_t target)
{
	for (size_t i = 0; i < live->binaries_count; i++)
		if (live->binaries[i].target == target && live->binaries[i].usdt)
			return true;
	return false;
}

static int act(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb,
	       enum overhead_act what)
{
	if (what == OVERHEAD_TAKE_OUT)
		take_out(live, target, lb);
	return what == OVERHEAD_PUT_IN ? put_in(live, emit, target, lb) : 0;
}

int live_check_step(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	struct live_check *c = lb->check;
	enum overhead_act what;
	uint32_t rounds;
	size_t first = 0;
	int ret = 0;

	if (c->reason[0])
		return 0;
	if (!c->begun && has_probe_points(live, target))
		return give_up(live, emit, target,
			       "it has probe points of its own, which are all in or all out");
	if (lb->control.state == BUDGET_LEAVING)
		return leave(live, emit, target, lb);
	if (!next_of(live, target, &first))
		return 0;
	if (!c->begun)
		ret = begin(live, emit, target, lb);
	if (ret || (c->binaries == live->binaries_count && !overhead_due(&c->control, live_now())))
		return ret;
	take_sample(live, emit, target, lb);
	sites_join(live, lb, c->sample.now);
	rounds = c->control.sum.rounds;
	what = c->binaries == live->binaries_count ? overhead_step(&c->control, &c->sample) :
						     overhead_disturbed(&c->control, c->sample.now);
	c->binaries = live->binaries_count;
	ret = act(live, emit, target, lb, what);
	if (ret || c->control.sum.rounds == rounds)
		return ret;
	return live_overhead_tell(live, emit, target);
}
