// SPDX-License-Identifier: LGPL-2.1-or-later
/* Fields that are made of several numbers of the model: shares of a site, states of all workers. */
#include "rules/getters.h"

#include <string.h>

#include "rules/locks.h"
#include "rules/waits.h"
#include "util/syscall.h"

#define NS_PER_SEC 1000000000ULL

static bool give(double *out, double value)
{
	*out = value;
	return true;
}

/* --- site ---------------------------------------------------------------------- */

bool get_site_live_peak(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->live_peak);
}

bool get_site_detached_growth(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       field_growth(&c->site->series->detached, c->window_s, out);
}

/* One counter's growth over another's; false while there is none to share. */
static bool share(const struct series *part, const struct series *whole, uint32_t seconds,
		  double *out)
{
	double all;

	if (!field_rate(part, seconds, out) || !field_rate(whole, seconds, &all) || !(all > 0))
		return false;
	*out /= all;
	return true;
}

bool get_site_task_busy(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       share(&c->site->series->busy_ns, &c->site->series->seen, c->window_s, out);
}

bool get_site_moved_rate(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       field_rate(&c->site->series->moved, c->window_s, out);
}

bool get_site_moved_share(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       share(&c->site->series->moved, &c->site->series->polls, c->window_s, out);
}

/* Polls of tasks that have moved are taken to last as long as the others. */
bool get_site_moved_busy(const struct field_ctx *c, double *out)
{
	double moved;

	if (!get_site_moved_share(c, &moved) || !get_site_busy_share(c, out))
		return false;
	*out *= moved;
	return true;
}

/* A shorter history than the window is a lower bound. */
static bool recent(const struct series *s, uint32_t window, double *out)
{
	if (s->count < 2)
		return false;
	return field_growth(s, window < s->count ? window : s->count - 1, out);
}

bool get_site_cancelled_recent(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       recent(&c->site->series->cancelled, c->window_s, out);
}

bool get_site_panics(const struct field_ctx *c, double *out)
{
	return c->site->panics_valid && give(out, (double)c->site->panics);
}

bool get_site_panics_lost_recent(const struct field_ctx *c, double *out)
{
	return c->site->panics_valid && c->site->series &&
	       recent(&c->site->series->panics_lost, c->window_s, out);
}

bool get_site_self_rate(const struct field_ctx *c, double *out)
{
	return c->site->self_valid && c->site->series &&
	       field_rate(&c->site->series->self, c->window_s, out);
}

bool get_site_self_share(const struct field_ctx *c, double *out)
{
	return c->site->self_valid && c->site->series &&
	       share(&c->site->series->self, &c->site->series->polls, c->window_s, out);
}

/* How many more than at the start of the window. */
bool get_site_samples(const struct field_ctx *c, double *out)
{
	return c->site->samples_valid && c->site->series &&
	       field_growth(&c->site->series->samples, c->window_s, out);
}

bool get_site_refcount_share(const struct field_ctx *c, double *out)
{
	return c->site->samples_valid && c->site->series &&
	       share(&c->site->series->refcounts, &c->site->series->samples, c->window_s, out);
}

/* --- runtime ------------------------------------------------------------------- */

/* The next thread that works for the runtime, from index *at; NULL: no more. */
static const struct worker *next_worker(const struct field_ctx *c, uint32_t *at)
{
	while (*at < c->m->workers_count) {
		const struct worker *w = &c->m->workers[(*at)++];

		if (w->target == c->runtime->target && w->now.runtime == c->runtime->id &&
		    w->announced && w->now.worker && !w->ended)
			return w;
	}
	return NULL;
}

/* Sums of the shares of all workers, and how many there are; false: one is not known. */
static bool shares_sum(const struct field_ctx *c, struct worker_shares *sum, uint32_t *workers)
{
	const struct worker *w;
	uint32_t at = 0;

	memset(sum, 0, sizeof(*sum));
	*workers = 0;
	while ((w = next_worker(c, &at))) {
		struct worker_shares s;

		if (!worker_shares(w, c->window_s, &s))
			return false;
		sum->busy += s.busy;
		sum->blocked += s.blocked;
		sum->preempted += s.preempted;
		sum->searching += s.searching;
		++*workers;
	}
	return *workers > 0;
}

/* Of the configured workers: one that has not polled yet was idle. */
#define RUNTIME_SHARE(member)                                                                      \
	bool get_runtime_##member(const struct field_ctx *c, double *out)                          \
	{                                                                                          \
		struct worker_shares sum;                                                          \
		uint32_t seen;                                                                     \
		double workers;                                                                    \
                                                                                                   \
		return shares_sum(c, &sum, &seen) && get_runtime_workers(c, &workers) &&           \
		       give(out, sum.member / (workers > seen ? workers : seen));                  \
	}

RUNTIME_SHARE(busy)
RUNTIME_SHARE(blocked)
RUNTIME_SHARE(preempted)

bool get_runtime_runnable(const struct field_ctx *c, double *out)
{
	double preempted;

	if (!get_runtime_busy(c, out) || !get_runtime_preempted(c, &preempted))
		return false;
	*out += preempted;
	return true;
}

static bool in_futex(int32_t syscall)
{
	const char *name = syscall_name(syscall);

	return name && !strcmp(name, "futex");
}

static bool blocked_in_lock(const struct worker *w)
{
	return w->now.state == THREAD_BLOCKED && in_futex(w->now.syscall);
}

/* Whoever looks after the reactor waits in its system call, not in a futex. */
static bool parked_blindly(const struct worker *w)
{
	return w->now.state == THREAD_PARKED && in_futex(w->now.parked_syscall);
}

/* How long every worker has been in this state, without a break; false: one is not. */
static bool all_for(const struct field_ctx *c, bool (*state)(const struct worker *), double *out)
{
	const struct worker *w;
	uint64_t since = 0;
	uint32_t at = 0, seen = 0;
	double workers;

	if (!get_runtime_workers(c, &workers))
		return false;
	while ((w = next_worker(c, &at))) {
		if (!state(w))
			return false;
		if (w->now.since_ns > since)
			since = w->now.since_ns;
		seen++;
	}
	if (!since || seen < workers || since > c->m->now_ns)
		return false;
	return give(out, (double)(c->m->now_ns - since));
}

bool get_runtime_locked_for(const struct field_ctx *c, double *out)
{
	return all_for(c, blocked_in_lock, out);
}

bool get_runtime_stalled_for(const struct field_ctx *c, double *out)
{
	return all_for(c, parked_blindly, out);
}

/* Of workers that compute, more than there are CPUs only take turns, and fewer leave some unused. */
bool get_runtime_workers_advised(const struct field_ctx *c, double *out)
{
	if (c->runtime->flavor == FLAVOR_CURRENT_THREAD || c->runtime->flavor == FLAVOR_LOCAL)
		return false;
	return c->target->cpus && give(out, c->target->cpus);
}

/* --- worker --- */

bool get_worker_lock_cycle_for(const struct field_ctx *c, double *out)
{
	const struct ev_thread *now = &c->worker->now;

	return lock_cycle(c->m, c->worker) && now->since_ns && now->since_ns <= c->m->now_ns &&
	       give(out, (double)(c->m->now_ns - now->since_ns));
}

bool get_worker_lock_lost_for(const struct field_ctx *c, double *out)
{
	const struct ev_thread *now = &c->worker->now;

	return lock_lost(c->worker) && now->since_ns && now->since_ns <= c->m->now_ns &&
	       give(out, (double)(c->m->now_ns - now->since_ns));
}

bool get_runtime_wait_cycle_for(const struct field_ctx *c, double *out)
{
	uint64_t ns = wait_cycle_ns(c->m, c->runtime->id);

	return ns && give(out, (double)ns);
}

/* --- target -------------------------------------------------------------------- */

bool get_target_scheduler_share(const struct field_ctx *c, double *out)
{
	double in_polls = 0, outside = 0;

	for (uint32_t i = 0; i < c->m->workers_count; i++) {
		const struct worker *w = &c->m->workers[i];
		struct worker_shares s;

		if (w->target != c->target->id || w->ended || !w->now.worker ||
		    !worker_shares(w, c->window_s, &s))
			continue;
		in_polls += s.busy;
		outside += s.searching;
	}
	return in_polls + outside > 0 && give(out, outside / (in_polls + outside));
}

bool get_site_stranded(const struct field_ctx *c, double *out)
{
	*out = c->site->stranded;
	return c->site->wakers_known;
}

bool get_site_stranded_missed(const struct field_ctx *c, double *out)
{
	*out = c->site->stranded_missed;
	return c->site->wakers_known;
}

bool get_site_stranded_oldest(const struct field_ctx *c, double *out)
{
	*out = (double)c->site->stranded_oldest_ns;
	return c->site->wakers_known;
}

bool get_site_lock_held_wait(const struct field_ctx *c, double *out)
{
	const struct held_wait *held = c->site->stacks ? &c->site->stacks->held : NULL;

	return held && held->last_ns && held->last_ns + c->window_s * NS_PER_SEC >= c->m->now_ns &&
	       give(out, (double)held->told.span_ns);
}
