// SPDX-License-Identifier: LGPL-2.1-or-later
/* How each field is read from the model. */
#include "rules/getters.h"

#define NS_PER_SEC 1000000000ULL

static bool give(double *out, double value)
{
	*out = value;
	return true;
}

/* --- poll --------------------------------------------------------------------- */

bool get_poll_length(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->length_ns);
}

bool get_poll_blocked(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->blocked_ns);
}

bool get_poll_preempted(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->preempted_ns);
}

bool get_poll_own(const struct field_ctx *c, double *out)
{
	uint64_t kept = c->poll->preempted_ns;

	return give(out, kept < c->poll->length_ns ? (double)(c->poll->length_ns - kept) : 0);
}

bool get_poll_worst_block(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->worst_block_ns);
}

/*
 * At least so long: the CPU of an open poll may have been the hypervisor's since it was last seen.
 * Off-CPU times come from other moments than the length of an open poll: never below 0.
 */
bool get_poll_on_cpu(const struct field_ctx *c, double *out)
{
	uint64_t off = c->poll->blocked_ns + c->poll->preempted_ns + c->poll->unseen_ns;

	return give(out, off < c->poll->length_ns ? (double)(c->poll->length_ns - off) : 0);
}

bool get_poll_open(const struct field_ctx *c, double *out)
{
	return give(out, c->poll_open);
}

/* --- site ---------------------------------------------------------------------- */

bool field_growth(const struct series *s, uint32_t seconds, double *out)
{
	if (s->count <= seconds)
		return false;
	return give(out, (double)series_at(s, 0) - (double)series_at(s, seconds));
}

bool field_rate(const struct series *s, uint32_t seconds, double *out)
{
	double diff;

	if (!field_growth(s, seconds, &diff) || diff < 0)
		return false;
	return give(out, diff / seconds);
}

bool get_site_live(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->live);
}

/*
 * Tasks alive before the watch began are met one by one and would look like growth. Where the
 * runtimes' own counts are known, a site cannot have grown by more than they did.
 */
bool get_site_live_growth(const struct field_ctx *c, double *out)
{
	double alive = 0, one;
	bool known = false;

	if (!c->site->tasks_valid || !c->site->series ||
	    !field_growth(&c->site->series->live, c->window_s, out))
		return false;
	for (uint32_t i = 0; i < c->m->runtimes_count; i++) {
		const struct runtime *rt = &c->m->runtimes[i];

		if (rt->id == ID_NONE || rt->target != c->site->target)
			continue;
		if (!rt->queues_seen || rt->queues.alive < 0)
			return true;
		if (!field_growth(&rt->alive, c->window_s, &one))
			return false;
		known = true;
		alive += one > 0 ? one : 0;
	}
	if (known && alive < *out)
		*out = alive;
	return true;
}

bool get_site_idle(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->idle);
}

bool get_site_idle_oldest(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, (double)c->site->idle_oldest_ns);
}

bool get_site_detached(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->detached);
}

bool get_site_spawn_rate(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       field_rate(&c->site->series->seen, c->window_s, out);
}

bool get_site_end_rate(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       field_rate(&c->site->series->ended, c->window_s, out);
}

bool get_site_completed_held(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->completed_held);
}

bool get_site_completed_held_growth(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       field_growth(&c->site->series->completed_held, c->window_s, out);
}

bool get_site_completed_held_oldest(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, (double)c->site->completed_held_oldest_ns);
}

bool get_site_task_bytes(const struct field_ctx *c, double *out)
{
	return c->site->size_bytes && give(out, c->site->size_bytes);
}

bool get_site_completed_held_bytes(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->size_bytes &&
	       give(out, (double)c->site->size_bytes * c->site->completed_held);
}

bool get_site_live_bytes(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->size_bytes &&
	       give(out, (double)c->site->size_bytes * c->site->live);
}

bool get_site_poll_rate(const struct field_ctx *c, double *out)
{
	return c->site->series && field_rate(&c->site->series->polls, c->window_s, out);
}

bool get_site_busy_share(const struct field_ctx *c, double *out)
{
	if (!c->site->series || !field_rate(&c->site->series->busy_ns, c->window_s, out))
		return false;
	*out /= NS_PER_SEC;
	return true;
}

bool get_site_poll_p50(const struct field_ctx *c, double *out)
{
	return c->site->hist.count && give(out, (double)hist_quantile(&c->site->hist, 0.5));
}

bool get_site_poll_p99(const struct field_ctx *c, double *out)
{
	return c->site->hist.count && give(out, (double)hist_quantile(&c->site->hist, 0.99));
}

bool get_site_poll_max(const struct field_ctx *c, double *out)
{
	return c->site->polls && give(out, (double)c->site->max_ns);
}

bool get_site_delay_p50(const struct field_ctx *c, double *out)
{
	return c->site->delay.count && give(out, (double)hist_quantile(&c->site->delay, 0.5));
}

bool get_site_delay_p99(const struct field_ctx *c, double *out)
{
	return c->site->delay.count && give(out, (double)hist_quantile(&c->site->delay, 0.99));
}

bool get_site_delay_max(const struct field_ctx *c, double *out)
{
	return c->site->delay.count && give(out, (double)c->site->delay_max_ns);
}

bool get_site_short_blocked_share(const struct field_ctx *c, double *out)
{
	uint32_t at = c->notes->of[c->site->id];

	if (!at || !field_rate(&c->notes->notes[at - 1].short_blocked, c->window_s, out))
		return false;
	*out /= NS_PER_SEC;
	return true;
}

/* The share of the most blocked worker of the site's process. */
bool get_site_worker_blocked_share(const struct field_ctx *c, double *out)
{
	bool known = false;
	struct worker_shares shares;

	*out = 0;
	for (uint32_t i = 0; i < c->m->workers_count; i++) {
		const struct worker *w = &c->m->workers[i];

		if (w->target != c->site->target || w->ended || !w->now.worker ||
		    !worker_shares(w, c->window_s, &shares))
			continue;
		known = true;
		if (shares.blocked > *out)
			*out = shares.blocked;
	}
	return known;
}

bool get_site_in_call(const struct field_ctx *c, double *out)
{
	return c->site->stacks && c->site->id < MODEL_MAX_SITES &&
	       give(out, c->notes->exempt[c->site->id].calls >> c->rule & 1);
}

/* --- worker -------------------------------------------------------------------- */

#define WORKER_SHARE(member)                                                                       \
	bool get_worker_##member(const struct field_ctx *c, double *out)                           \
	{                                                                                          \
		struct worker_shares shares;                                                       \
                                                                                                   \
		return worker_shares(c->worker, c->window_s, &shares) && give(out, shares.member); \
	}

WORKER_SHARE(busy)
WORKER_SHARE(blocked)
WORKER_SHARE(preempted)
WORKER_SHARE(parked)
WORKER_SHARE(searching)
WORKER_SHARE(polls_per_second)

/* --- runtime ------------------------------------------------------------------- */

/* Configured; a current-thread runtime has one; else as many as have polled. */
bool get_runtime_workers(const struct field_ctx *c, double *out)
{
	const struct runtime *rt = c->runtime;

	if (rt->workers > 0)
		return give(out, rt->workers);
	if (rt->flavor == FLAVOR_CURRENT_THREAD || rt->flavor == FLAVOR_LOCAL)
		return give(out, 1);
	return rt->workers_seen && give(out, rt->workers_seen);
}

bool get_runtime_held(const struct field_ctx *c, double *out)
{
	return give(out, c->runtime->held);
}

/* The longest wait among what was seen since the last tick but one: a present fact. */
bool get_runtime_ready_wait(const struct field_ctx *c, double *out)
{
	uint64_t worst = 0;

	for (uint32_t i = 0; i < c->m->ready_count; i++) {
		const struct ev_ready *r = &c->m->ready[i].ready;

		if (r->runtime == c->runtime->id && r->waited_ns > worst)
			worst = r->waited_ns;
	}
	return worst && give(out, (double)worst);
}

bool get_runtime_ready_wait_recent(const struct field_ctx *c, double *out)
{
	return c->runtime->ready_worst_ns && give(out, (double)c->runtime->ready_worst_ns);
}

bool get_runtime_ready_waiting(const struct field_ctx *c, double *out)
{
	return give(out, c->runtime->ready_seen);
}

static bool depth(const struct field_ctx *c, int64_t value, double *out)
{
	return c->runtime->queues_seen && value >= 0 && give(out, (double)value);
}

bool get_runtime_inject_depth(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.inject, out);
}

bool get_runtime_queue_depth(const struct field_ctx *c, double *out)
{
	const struct ev_queues *q = &c->runtime->queues;

	return q->inject >= 0 && q->local >= 0 && depth(c, q->inject + q->local, out);
}

bool get_runtime_alive(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.alive, out);
}

bool get_runtime_blocking_queue(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.blocking_queue, out);
}

bool get_runtime_blocking_threads(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.blocking_threads, out);
}

bool get_runtime_blocking_idle(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.blocking_idle, out);
}

bool get_runtime_poll_rate(const struct field_ctx *c, double *out)
{
	struct worker_shares shares;
	bool known = false;

	*out = 0;
	for (uint32_t i = 0; i < c->m->workers_count; i++) {
		const struct worker *w = &c->m->workers[i];

		if (w->target != c->runtime->target || w->now.runtime != c->runtime->id ||
		    !worker_shares(w, c->window_s, &shares))
			continue;
		known = true;
		*out += shares.polls_per_second;
	}
	return known;
}

/*
 * Little's law: wait = queue length / throughput. Throughput is what the workers reach while they
 * are in polls; polls over all time would count pauses, when nothing waits, as slowness.
 */
bool get_runtime_queue_wait(const struct field_ctx *c, double *out)
{
	double queued, workers, polls = 0, in_polls = 0;
	struct worker_shares s;

	if (!get_runtime_queue_depth(c, &queued) || !get_runtime_workers(c, &workers))
		return false;
	for (uint32_t i = 0; i < c->m->workers_count; i++) {
		const struct worker *w = &c->m->workers[i];

		if (w->target != c->runtime->target || w->now.runtime != c->runtime->id ||
		    !worker_shares(w, c->window_s, &s))
			continue;
		polls += s.polls_per_second;
		in_polls += s.busy + s.blocked + s.preempted;
	}
	if (polls * c->window_s < 20)
		return false;
	return give(out, queued * in_polls / polls / workers * NS_PER_SEC);
}

/* What is open has not reached the statistics of its site yet. */
static uint64_t open_in_window(const struct model *m, uint32_t site, uint32_t seconds)
{
	uint64_t sum = 0, window = seconds * NS_PER_SEC;

	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];

		if (w->open && !w->ended && w->poll.site == site)
			sum += w->poll.length_ns < window ? w->poll.length_ns : window;
	}
	return sum;
}

static uint64_t closed_in_window(const struct site *s, uint32_t seconds)
{
	double busy;

	return s->series && field_rate(&s->series->busy_ns, seconds, &busy) ?
		       (uint64_t)(busy * seconds) :
		       0;
}

/* A watch that has just begun has less history than the window. */
static uint32_t culprit_seconds(const struct model *m, uint32_t seconds)
{
	uint64_t watched = (m->now_ns - m->begin_ns) / NS_PER_SEC;

	if (watched > seconds)
		return seconds;
	return watched > 1 ? (uint32_t)watched - 1 : 1;
}

static uint32_t polled_by(const struct model *m, uint32_t target, uint32_t site)
{
	uint32_t workers = 0;

	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];

		workers += w->target == target && !w->ended && w->now.site == site;
	}
	return workers;
}

/* Before there is any history: the site that most workers are in at this moment. */
static uint32_t culprit_now(const struct model *m, uint32_t target)
{
	uint32_t best = ID_NONE, most = 0;

	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];
		const struct site *s = w->target == target ? model_site(m, w->now.site) : NULL;
		uint32_t workers = s && s->kind == SITE_TASK ? polled_by(m, target, s->id) : 0;

		if (workers > most) {
			most = workers;
			best = s->id;
		}
	}
	return best;
}

uint32_t field_culprit(const struct model *m, uint32_t target, uint32_t seconds, uint64_t *held_ns)
{
	uint32_t best = ID_NONE;

	seconds = culprit_seconds(m, seconds);
	*held_ns = 0;
	for (uint32_t i = 0; i < m->sites_count; i++) {
		const struct site *s = &m->sites[i];
		uint64_t held;

		if (s->id == ID_NONE || s->target != target || s->kind != SITE_TASK)
			continue;
		held = closed_in_window(s, seconds);
		if (held > *held_ns) {
			*held_ns = held;
			best = i;
		}
	}
	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];
		const struct site *s = w->open && !w->ended ? model_site(m, w->poll.site) : NULL;
		uint64_t held;

		if (!s || s->target != target || s->kind != SITE_TASK)
			continue;
		held = closed_in_window(s, seconds) + open_in_window(m, s->id, seconds);
		if (held > *held_ns) {
			*held_ns = held;
			best = s->id;
		}
	}
	return best != ID_NONE ? best : culprit_now(m, target);
}

bool get_runtime_culprit_share(const struct field_ctx *c, double *out)
{
	uint64_t held;
	double workers;

	if (!get_runtime_workers(c, &workers))
		return false;
	field_culprit(c->m, c->runtime->target, c->window_s, &held);
	if (!held)
		return false;
	*out = (double)held / ((double)culprit_seconds(c->m, c->window_s) * NS_PER_SEC * workers);
	if (*out > 1)
		*out = 1;
	return true;
}

/* --- target -------------------------------------------------------------------- */

bool get_target_cpus(const struct field_ctx *c, double *out)
{
	return c->target->cpus && give(out, c->target->cpus);
}

bool get_target_tasks(const struct field_ctx *c, double *out)
{
	double sum = 0;
	bool known = false;

	for (uint32_t i = 0; i < c->m->sites_count; i++) {
		const struct site *s = &c->m->sites[i];

		if (s->id == ID_NONE || s->target != c->target->id || !s->tasks_valid)
			continue;
		known = true;
		sum += s->live;
	}
	return known && give(out, sum);
}

bool get_target_runtimes(const struct field_ctx *c, double *out)
{
	double n = 0;

	for (uint32_t i = 0; i < c->m->runtimes_count; i++)
		n += c->m->runtimes[i].id != ID_NONE && c->m->runtimes[i].target == c->target->id;
	return give(out, n);
}
