// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The overhead budget, enforced: does what budget.c decides of each target. Types whose probes are
 * out have them in for moments (windows), all of a target at once, as one set of links a binary;
 * what is told of them is in live_sample.c.
 *
 * The order matters. Before probes go, the kernel part is told that ends of polls may pass unseen
 * (the epoch becomes odd) and which types are out, so that no poll that is open gets a length that
 * nobody saw; after they have come it is told the reverse.
 */
#include "attach/live_sample.h"

#include "util/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOWED 0.1    /* of the CPU time */
#define JUDGE_EVERY 5 /* ticks, while no window is on */

/* A dump is over before it matters; 100 % is what a user says who wants all probes. */
bool live_budgeted(const struct live_opts *opts)
{
	return opts->level && !opts->fresh_tasks && !opts->overhead_check &&
	       opts->overhead_ratio < 1;
}

void live_budget_open(struct live *live, uint32_t target)
{
	const struct budget_opts opts = {
		.ratio = live->opts.overhead_ratio,
		.level = (uint8_t)live->level_asked,
		.exact = live->exact_asked,
		/* Every poll is wanted: then it is only said. */
		.may_sample = !live->opts.polls,
	};
	struct live_budget *lb;

	if (!live_budgeted(&live->opts) && !live->opts.overhead_check)
		return;
	lb = xcalloc(1, sizeof(*lb));
	budget_init(&lb->control, &opts);
	if (live->opts.level < live->level_asked || live->opts.exact != live->exact_asked)
		budget_follow(&lb->control, live_now(), (uint8_t)live->opts.level,
			      live->opts.exact);
	if (live->opts.overhead_check)
		lb->check = live_check_new(live);
	live->targets[target].budget = lb;
}

void live_budget_forget(struct live *live, uint32_t target)
{
	struct live_budget *lb = live->targets[target].budget;
	uint32_t epoch;

	if (!lb)
		return;
	live->targets[target].budget = NULL;
	if (live->kernel) {
		epoch = kernel_epoch(live->kernel, target);
		kernel_set_epoch(live->kernel, target, epoch + (epoch & 1));
		kernel_set_sentinel(live->kernel, target, false);
	}
	live_check_free(lb->check);
	free(lb->sites);
	free(lb->ids);
	free(lb);
}

bool live_budget_samples(const struct live *live, uint32_t target)
{
	const struct live_budget *lb = live->targets[target].budget;

	return lb && lb->control.state != BUDGET_ALL;
}

bool live_budget_blind(const struct live *live, uint32_t target)
{
	return kernel_epoch(live->kernel, target) & 1;
}

/* --- what the controller is told ------------------------------------------------------------ */

static bool is_usdt(const struct live *live)
{
	for (size_t i = 0; i < live->binaries_count; i++)
		if (live->binaries[i].usdt)
			return true;
	return false;
}

/* A row for each site of the target; those of a program that is gone stay, and cost nothing. */
static void rows_add(struct live *live, uint32_t target, struct live_budget *lb)
{
	for (; lb->known < live->sites_count; lb->known++) {
		if (live->sites[lb->known].target != target)
			continue;
		lb->sites = xgrow(lb->sites, &lb->sites_cap, lb->count + 1, sizeof(*lb->sites));
		lb->ids = xgrow(lb->ids, &lb->ids_cap, lb->count + 1, sizeof(*lb->ids));
		lb->sites[lb->count] = (struct budget_site){0};
		lb->ids[lb->count++] = lb->known;
	}
}

void live_budget_look(struct live *live, const struct emit *emit, uint32_t target,
		      struct live_budget *lb, struct budget_input *in)
{
	struct live_target *t = &live->targets[target];
	struct wire_site_stats sum;
	uint64_t beside = 0, cpu = proc_cpu_ns(t->watch->proc);

	rows_add(live, target, lb);
	for (size_t i = 0; i < lb->count; i++) {
		const struct live_site *site = &live->sites[lb->ids[i]];
		struct budget_site *row = &lb->sites[i];

		row->fixed = !site->found || site->off || site->unmet ||
			     live_is_usdt(live, lb->ids[i]);
		row->hit_ns = (uint32_t)(site->stepped ? live->stepped_hit_ns : live->hit_ns);
		row->return_ns = live->exact_asked ? (uint32_t)live->hit_ns : 0;
		row->hits = live_site_sum(live, lb->ids[i], &sum) + sum.unsized;
		beside += sum.beside;
	}
	if (cpu > lb->cpu)
		lb->cpu = cpu;
	*in = (struct budget_input){
		.now = emit->now,
		.target_cpu_ns = lb->cpu,
		.other_cost_ns = beside * live->hit_ns,
		.sites = lb->sites,
		.count = lb->count,
	};
}

/* --- what is done ---------------------------------------------------------------------------- */

static bool next_of(const struct live *live, uint32_t target, size_t *i)
{
	while (*i < live->binaries_count &&
	       (live->binaries[*i].target != target || !live->binaries[*i].object))
		++*i;
	return *i < live->binaries_count;
}

/* The linker may have folded types into one function: they go and come together. */
static void take_along(struct live *live, uint32_t target, struct live_budget *lb)
{
	struct map out;

	map_init(&out, lb->count + 1);
	for (size_t i = 0; i < lb->count; i++)
		if (lb->sites[i].out)
			map_put(&out, live->sites[lb->ids[i]].offset,
				live->sites[lb->ids[i]].binary, 1);
	for (size_t i = 0; i < lb->count; i++) {
		const struct live_site *site = &live->sites[lb->ids[i]];

		if (!lb->sites[i].out && !lb->sites[i].fixed && site->target == target &&
		    map_get(&out, site->offset, site->binary) != MAP_NONE)
			lb->sites[i].out = true;
	}
	map_free(&out);
}

/* Types that are out: their tasks are not followed meanwhile, for there would be holes. */
static void mark_out(struct live *live, struct live_budget *lb, uint64_t now)
{
	for (size_t i = 0; i < lb->count; i++) {
		uint32_t id = lb->ids[i];

		if (!lb->sites[i].out)
			continue;
		live->sites[id].untold = true;
		live->kernel->sites[id].apart = WIRE_APART_OUT | WIRE_APART_NO_ROWS;
		live_sample_out(live, id, &lb->sites[i], now);
	}
}

static void set_apart(struct live *live, const struct live_budget *lb, bool out)
{
	for (size_t i = 0; i < lb->count; i++) {
		struct wire_site *row = &live->kernel->sites[lb->ids[i]];

		if (lb->sites[i].out)
			row->apart = WIRE_APART_NO_ROWS | (out ? WIRE_APART_OUT : 0);
	}
}

void live_budget_blindfold(struct live *live, uint32_t target, bool blind)
{
	uint32_t epoch = kernel_epoch(live->kernel, target);

	if ((epoch & 1) != blind)
		kernel_set_epoch(live->kernel, target, epoch + 1);
}

/* Of the binary's probes those of types that are out, or those that are not. */
static size_t choose(const struct live *live, const struct live_binary *binary, bool out,
		     struct link_site *chosen)
{
	const struct live_probes *polls = &binary->probes[PLAN_POLL];
	size_t n = 0;

	for (size_t i = 0; i < polls->count; i++) {
		uint32_t site = (uint32_t)polls->list[i].cookie;

		if (site < live->sites_count &&
		    !!(live->kernel->sites[site].apart & WIRE_APART_OUT) == out)
			chosen[n++] = polls->list[i];
	}
	return n;
}

/* Puts the probes of all types that are out, or of all that are not, into the target. */
static int attach(struct live *live, uint32_t target, bool out, uint64_t *cost, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; next_of(live, target, &i) && !ret; i++) {
		struct live_binary *binary = &live->binaries[i];
		struct link_set *set = out ? &binary->window : &binary->links[PLAN_POLL];
		const struct object *object = binary->object->object;
		struct link_site *sites = xcalloc(binary->probes[PLAN_POLL].count + 1,
						  sizeof(*sites));
		size_t n = choose(live, binary, out, sites);

		if (n)
			ret = link_attach(set, live->kernel->on_poll_fd, object->path,
					  object->proc->pid, sites, n, err);
		*cost += link_cpu_ns(set);
		free(sites);
	}
	return ret;
}

static bool detached(struct live *live, uint32_t target, bool base, uint64_t *cost)
{
	bool done = true;

	for (size_t i = 0; next_of(live, target, &i); i++) {
		struct live_binary *binary = &live->binaries[i];

		done &= link_detach_cost(&binary->window, cost);
		if (base)
			done &= link_detach_cost(&binary->links[PLAN_POLL], cost);
	}
	return done;
}

static uint32_t out_types(const struct live *live, const struct live_budget *lb)
{
	uint32_t count = 0;

	for (size_t i = 0; i < lb->count; i++)
		count += lb->sites[i].out && live->sites[lb->ids[i]].found;
	return count;
}

int live_budget_say(const struct live *live, struct emit *emit, uint32_t target,
		    const struct live_budget *lb, const char *fmt, ...)
{
	char what[160];
	va_list args;

	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	return live_note(emit, target, NOTE_WARNING,
			 "watching cost %.1f %% of the CPU time, the budget is %.1f %%: %s",
			 lb->control.cost_ratio * 100, live->opts.overhead_ratio * 100, what);
}

static int say_split(struct live *live, struct emit *emit, uint32_t target,
		     const struct live_budget *lb)
{
	uint32_t count = out_types(live, lb);
	bool ids = live->sentinel != NULL;

	return live_budget_say(live, emit, target, lb,
			       "%u task type%s probed for moments only now (sampled)%s", count,
			       count == 1 ? " is" : "s are",
			       ids ? "" : "; between these its stalls are not seen");
}

static int split(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	take_along(live, target, lb);
	live_budget_blindfold(live, target, true);
	mark_out(live, lb, emit->now);
	kernel_set_sentinel(live->kernel, target, live->sentinel != NULL);
	lb->regroup = true;
	lb->detach_ns = 0;
	detached(live, target, true, &lb->detach_ns);
	return say_split(live, emit, target, lb);
}

static int close_window(struct live *live, uint32_t target, struct live_budget *lb, uint64_t now)
{
	live_budget_blindfold(live, target, true);
	for (size_t i = 0; i < lb->count; i++)
		if (lb->sites[i].out)
			live_sample_window(live, lb->ids[i], lb->window_ns, now,
					   lb->control.window_ratio > SLOWED);
	set_apart(live, lb, true);
	lb->blind_ns = now;
	lb->detach_ns = 0;
	detached(live, target, false, &lb->detach_ns);
	return 0;
}

/* The program goes on meanwhile, and its other types are watched. */
static int window_failed(struct live *live, struct emit *emit, uint32_t target,
			 const struct err *err)
{
	struct live_budget *lb = live->targets[target].budget;

	budget_failed(&lb->control, emit->now);
	for (size_t i = 0; next_of(live, target, &i); i++)
		link_detach(&live->binaries[i].window);
	if (!proc_same(live->targets[target].watch->proc))
		return 0;
	return live_note(emit, target, NOTE_WARNING, "sampled types were not looked at: %s",
			 err->msg);
}

static int open_window(struct live *live, struct emit *emit, uint32_t target,
		       struct live_budget *lb, struct budget_input *in)
{
	struct err err = {0};
	uint64_t cost = 0;
	int ret = attach(live, target, true, &cost, &err);

	live->windows_ns += cost;
	if (ret)
		return window_failed(live, emit, target, &err);
	set_apart(live, lb, false);
	live_budget_blindfold(live, target, false);
	lb->window_ns = live_now();
	for (size_t i = 0; i < lb->count; i++)
		if (lb->sites[i].out)
			live_sample_begin(live, lb->ids[i], lb->window_ns);
	in->now = lb->window_ns;
	budget_opened(&lb->control, in, cost);
	return 0;
}

/* The load has fallen: the window stays. */
static int stay(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	uint64_t now = live_now();

	for (size_t i = 0; i < lb->count; i++) {
		uint32_t id = lb->ids[i];

		if (!live_sampled(live, id))
			continue;
		live_sample_back(live, id);
		live_tasks_again(live, id, now);
		live->kernel->sites[id].apart = 0;
	}
	kernel_set_sentinel(live->kernel, target, false);
	return live_note(
		emit, target, NOTE_INFO,
		"the load has fallen: all task types are probed all the time again; what "
		"was sampled stays marked, and tasks that came and went meanwhile were not "
		"seen");
}

/* Probes are leaving: what comes when they are gone. */
static int leave(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	struct err err = {0};
	uint64_t cost = lb->detach_ns;
	int ret = 0;

	if (!detached(live, target, lb->regroup, &lb->detach_ns))
		return 0;
	cost = lb->detach_ns;
	if (lb->regroup)
		ret = attach(live, target, false, &cost, &err);
	lb->regroup = false;
	lb->blind_ns = lb->blind_ns ? lb->blind_ns : emit->now;
	live->windows_ns += cost > lb->control.attach_ns ? cost - lb->control.attach_ns : 0;
	budget_closed(&lb->control, emit->now, cost);
	if (!ret || !proc_same(live->targets[target].watch->proc))
		return 0;
	return live_note(emit, target, NOTE_WARNING, "task types are not probed any more: %s",
			 err.msg);
}

/* Over the budget, and nothing is left that could be saved. */
static int say_helpless(struct live *live, struct emit *emit, uint32_t target,
			struct live_budget *lb)
{
	if (lb->told || lb->control.helpless < 4)
		return 0;
	lb->told = true;
	return live_note(emit, target, NOTE_WARNING,
			 "watching costs about %.1f %% of the CPU time, more than the %.1f %% of "
			 "--overhead, and %s",
			 lb->control.cost_ratio * 100, live->opts.overhead_ratio * 100,
			 live->opts.polls ?
				 "every poll was asked for (--polls)" :
				 "these probes are all or nothing; --level 1 costs less");
}

static int step(struct live *live, struct emit *emit, uint32_t target, struct live_budget *lb)
{
	struct budget_input in;

	if (lb->check)
		return live_check_step(live, emit, target, lb);
	if (lb->control.state == BUDGET_LEAVING)
		return leave(live, emit, target, lb);
	if (lb->control.state != BUDGET_IN && live->ticks % JUDGE_EVERY &&
	    (!budget_next_window(&lb->control) || emit->now < budget_next_window(&lb->control)))
		return 0;
	live_budget_look(live, emit, target, lb, &in);
	lb->control.opts.may_lower = !live->opts.polls && !is_usdt(live);
	/* Of probe points that came while it was lowered some were left out. */
	lb->control.opts.may_raise = lb->control.opts.may_lower;
	switch (budget_step(&lb->control, &in)) {
	case BUDGET_LOOSEN: return live_level_loosen(live, emit, lb);
	case BUDGET_LOWER: return live_level_lower(live, emit, lb);
	case BUDGET_RAISE: return live_level_raise(live, emit, lb);
	case BUDGET_SPLIT: return split(live, emit, target, lb);
	case BUDGET_OPEN: return open_window(live, emit, target, lb, &in);
	case BUDGET_CLOSE: return close_window(live, target, lb, emit->now);
	case BUDGET_STAY: return stay(live, emit, target, lb);
	case BUDGET_KEEP: break;
	}
	return say_helpless(live, emit, target, lb);
}

int live_budget_tick(struct live *live, struct emit *emit)
{
	int ret = 0;

	for (uint32_t i = 0; i < live->targets_count && !ret; i++)
		if (live->targets[i].budget && !live->targets[i].ended)
			ret = step(live, emit, i, live->targets[i].budget);
	return ret;
}

void live_budget_cost(const struct live *live, uint64_t now, struct ev_cost *cost)
{
	cost->lowerings = live->lowerings;
	cost->lowered_ns = live_lowered_ns(live, now);
	cost->level_asked = (uint8_t)live->level_asked;
	if (live->level_asked && live->opts.overhead_ratio < 1)
		cost->budget_ppm = (uint32_t)(live->opts.overhead_ratio * 1e6 + 0.5);
	for (uint32_t i = 0; i < live->targets_count; i++) {
		const struct live_budget *lb = live->targets[i].budget;
		uint64_t next = lb ? budget_next_window(&lb->control) : 0;

		if (!lb)
			continue;
		cost->sites_sampled += out_types(live, lb);
		cost->windows += lb->control.windows;
		if (next && (!cost->next_window_ns || next < cost->next_window_ns))
			cost->next_window_ns = next;
	}
}
