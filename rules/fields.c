// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of fields; see fields.h. */
#include "rules/fields.h"

#include <string.h>

#define NS_PER_SEC 1000000000ULL

static bool give(double *out, double value)
{
	*out = value;
	return true;
}

/* --- poll --------------------------------------------------------------------- */

static bool poll_length(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->length_ns);
}

static bool poll_blocked(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->blocked_ns);
}

static bool poll_preempted(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->preempted_ns);
}

static bool poll_worst_block(const struct field_ctx *c, double *out)
{
	return give(out, (double)c->poll->worst_block_ns);
}

/* Off-CPU times come from other moments than the length of an open poll: never below 0. */
static bool poll_on_cpu(const struct field_ctx *c, double *out)
{
	uint64_t off = c->poll->blocked_ns + c->poll->preempted_ns;

	return give(out, off < c->poll->length_ns ? (double)(c->poll->length_ns - off) : 0);
}

static bool poll_open(const struct field_ctx *c, double *out)
{
	return give(out, c->poll_open);
}

/* --- site ---------------------------------------------------------------------- */

/* Newest minus the value `seconds` ago; a gauge may fall. False: too little history. */
static bool growth(const struct series *s, uint32_t seconds, double *out)
{
	if (s->count <= seconds)
		return false;
	return give(out, (double)series_at(s, 0) - (double)series_at(s, seconds));
}

static bool rate(const struct series *s, uint32_t seconds, double *out)
{
	double diff;

	if (!growth(s, seconds, &diff) || diff < 0)
		return false;
	return give(out, diff / seconds);
}

static bool site_live(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->live);
}

/*
 * Tasks alive before the watch began are met one by one and would look like growth. Where the
 * runtimes' own counts are known, a site cannot have grown by more than they did.
 */
static bool site_live_growth(const struct field_ctx *c, double *out)
{
	double alive = 0, one;
	bool known = false;

	if (!c->site->tasks_valid || !c->site->series ||
	    !growth(&c->site->series->live, c->window_s, out))
		return false;
	for (uint32_t i = 0; i < c->m->runtimes_count; i++) {
		const struct runtime *rt = &c->m->runtimes[i];

		if (rt->id == ID_NONE || rt->target != c->site->target)
			continue;
		if (!rt->queues_seen || rt->queues.alive < 0)
			return true;
		if (!growth(&rt->alive, c->window_s, &one))
			return false;
		known = true;
		alive += one > 0 ? one : 0;
	}
	if (known && alive < *out)
		*out = alive;
	return true;
}

static bool site_idle(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->idle);
}

static bool site_idle_oldest(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, (double)c->site->idle_oldest_ns);
}

static bool site_detached(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->detached);
}

static bool site_spawn_rate(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       rate(&c->site->series->seen, c->window_s, out);
}

static bool site_end_rate(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       rate(&c->site->series->ended, c->window_s, out);
}

static bool site_completed_held(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, c->site->completed_held);
}

static bool site_completed_held_growth(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->series &&
	       growth(&c->site->series->completed_held, c->window_s, out);
}

static bool site_completed_held_oldest(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && give(out, (double)c->site->completed_held_oldest_ns);
}

static bool site_task_bytes(const struct field_ctx *c, double *out)
{
	return c->site->size_bytes && give(out, c->site->size_bytes);
}

static bool site_completed_held_bytes(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->size_bytes &&
	       give(out, (double)c->site->size_bytes * c->site->completed_held);
}

static bool site_live_bytes(const struct field_ctx *c, double *out)
{
	return c->site->tasks_valid && c->site->size_bytes &&
	       give(out, (double)c->site->size_bytes * c->site->live);
}

static bool site_poll_rate(const struct field_ctx *c, double *out)
{
	return c->site->series && rate(&c->site->series->polls, c->window_s, out);
}

static bool site_busy_share(const struct field_ctx *c, double *out)
{
	if (!c->site->series || !rate(&c->site->series->busy_ns, c->window_s, out))
		return false;
	*out /= NS_PER_SEC;
	return true;
}

static bool site_poll_p50(const struct field_ctx *c, double *out)
{
	return c->site->hist.count && give(out, (double)hist_quantile(&c->site->hist, 0.5));
}

static bool site_poll_p99(const struct field_ctx *c, double *out)
{
	return c->site->hist.count && give(out, (double)hist_quantile(&c->site->hist, 0.99));
}

static bool site_poll_max(const struct field_ctx *c, double *out)
{
	return c->site->polls && give(out, (double)c->site->max_ns);
}

static bool site_short_blocked_share(const struct field_ctx *c, double *out)
{
	uint32_t at = c->notes->of[c->site->id];

	if (!at || !rate(&c->notes->notes[at - 1].short_blocked, c->window_s, out))
		return false;
	*out /= NS_PER_SEC;
	return true;
}

/* The share of the most blocked worker of the site's process. */
static bool site_worker_blocked_share(const struct field_ctx *c, double *out)
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

/* --- worker -------------------------------------------------------------------- */

#define WORKER_SHARE(member)                                                                       \
	static bool worker_##member(const struct field_ctx *c, double *out)                        \
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
static bool runtime_workers(const struct field_ctx *c, double *out)
{
	const struct runtime *rt = c->runtime;

	if (rt->workers > 0)
		return give(out, rt->workers);
	if (rt->flavor == FLAVOR_CURRENT_THREAD || rt->flavor == FLAVOR_LOCAL)
		return give(out, 1);
	return rt->workers_seen && give(out, rt->workers_seen);
}

static bool runtime_held(const struct field_ctx *c, double *out)
{
	return give(out, c->runtime->held);
}

/* The longest wait among what was seen since the last tick but one: a present fact. */
static bool runtime_ready_wait(const struct field_ctx *c, double *out)
{
	uint64_t worst = 0;

	for (uint32_t i = 0; i < c->m->ready_count; i++) {
		const struct ev_ready *r = &c->m->ready[i].ready;

		if (r->runtime == c->runtime->id && r->waited_ns > worst)
			worst = r->waited_ns;
	}
	return worst && give(out, (double)worst);
}

static bool runtime_ready_wait_recent(const struct field_ctx *c, double *out)
{
	return c->runtime->ready_worst_ns && give(out, (double)c->runtime->ready_worst_ns);
}

static bool runtime_ready_waiting(const struct field_ctx *c, double *out)
{
	return give(out, c->runtime->ready_seen);
}

static bool depth(const struct field_ctx *c, int64_t value, double *out)
{
	return c->runtime->queues_seen && value >= 0 && give(out, (double)value);
}

static bool runtime_inject_depth(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.inject, out);
}

static bool runtime_queue_depth(const struct field_ctx *c, double *out)
{
	const struct ev_queues *q = &c->runtime->queues;

	return q->inject >= 0 && q->local >= 0 && depth(c, q->inject + q->local, out);
}

static bool runtime_alive(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.alive, out);
}

static bool runtime_blocking_queue(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.blocking_queue, out);
}

static bool runtime_blocking_threads(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.blocking_threads, out);
}

static bool runtime_blocking_idle(const struct field_ctx *c, double *out)
{
	return depth(c, c->runtime->queues.blocking_idle, out);
}

static bool runtime_poll_rate(const struct field_ctx *c, double *out)
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
static bool runtime_queue_wait(const struct field_ctx *c, double *out)
{
	double queued, workers, polls = 0, in_polls = 0;
	struct worker_shares s;

	if (!runtime_queue_depth(c, &queued) || !runtime_workers(c, &workers))
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

	return s->series && rate(&s->series->busy_ns, seconds, &busy) ? (uint64_t)(busy * seconds) :
									0;
}

uint32_t field_culprit(const struct model *m, uint32_t target, uint32_t seconds, uint64_t *held_ns)
{
	uint32_t best = ID_NONE;

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
	return best;
}

static bool runtime_culprit_share(const struct field_ctx *c, double *out)
{
	uint64_t held;
	double workers;

	if (!runtime_workers(c, &workers) ||
	    field_culprit(c->m, c->runtime->target, c->window_s, &held) == ID_NONE)
		return false;
	*out = (double)held / ((double)c->window_s * NS_PER_SEC * workers);
	if (*out > 1)
		*out = 1;
	return true;
}

/* --- target -------------------------------------------------------------------- */

static bool target_cpus(const struct field_ctx *c, double *out)
{
	return c->target->cpus && give(out, c->target->cpus);
}

static bool target_tasks(const struct field_ctx *c, double *out)
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

static bool target_runtimes(const struct field_ctx *c, double *out)
{
	double n = 0;

	for (uint32_t i = 0; i < c->m->runtimes_count; i++)
		n += c->m->runtimes[i].id != ID_NONE &&
		     c->m->runtimes[i].target == c->target->id;
	return give(out, n);
}

/* --- the table ----------------------------------------------------------------- */

#define POLL .scope = SCOPE_POLL
#define SITE .scope = SCOPE_SITE
#define WORKER .scope = SCOPE_WORKER
#define RUNTIME .scope = SCOPE_RUNTIME
#define TARGET .scope = SCOPE_TARGET
#define NS .unit = UNIT_NS
#define COUNT .unit = UNIT_COUNT
#define RATIO .unit = UNIT_RATIO
#define BYTES .unit = UNIT_BYTES
#define PER_SECOND .unit = UNIT_PER_SECOND
#define TRACED .evidence = EVIDENCE_TRACED
#define SAMPLED .evidence = EVIDENCE_SAMPLED
#define INFERRED .evidence = EVIDENCE_INFERRED

/* clang-format off */
const struct field fields[] = {
	{"poll.length", POLL, NS, TRACED, .poll_length = true, .get = poll_length,
	 .meaning = "from the start of the poll to its end, or until now while it is open"},
	{"poll.blocked", POLL, NS, TRACED, .poll_length = true, .get = poll_blocked,
	 .meaning = "part of it: voluntarily off the CPU, in a system call or a page fault"},
	{"poll.preempted", POLL, NS, TRACED, .poll_length = true, .get = poll_preempted,
	 .meaning = "part of it: ready to run, but the kernel ran something else"},
	{"poll.on_cpu", POLL, NS, TRACED, .poll_length = true, .get = poll_on_cpu,
	 .meaning = "part of it: the rest, on the CPU"},
	{"poll.worst_block", POLL, NS, TRACED, .poll_length = true, .get = poll_worst_block,
	 .meaning = "its longest single span voluntarily off the CPU"},
	{"poll.open", POLL, .unit = UNIT_BOOL, TRACED, .get = poll_open,
	 .meaning = "the poll has not ended; stays true at the end for a rule that held before"},

	{"site.live", SITE, COUNT, SAMPLED, .get = site_live,
	 .meaning = "tasks of this type that are alive, among those seen"},
	{"site.live_growth", SITE, COUNT, SAMPLED, .windowed = true, .get = site_live_growth,
	 .meaning = "how many more are alive than at the start of the window"},
	{"site.live_bytes", SITE, BYTES, SAMPLED, .get = site_live_bytes,
	 .meaning = "their memory: live times the size of one"},
	{"site.task_bytes", SITE, BYTES, TRACED, .get = site_task_bytes,
	 .meaning = "memory of one task"},
	{"site.idle", SITE, COUNT, SAMPLED, .get = site_idle,
	 .meaning = "live tasks that wait for an event"},
	{"site.idle_oldest", SITE, NS, SAMPLED, .get = site_idle_oldest,
	 .meaning = "longest time since the last poll of a live task"},
	{"site.detached", SITE, COUNT, SAMPLED, .get = site_detached,
	 .meaning = "live tasks without a JoinHandle"},
	{"site.spawn_rate", SITE, PER_SECOND, TRACED, .windowed = true, .get = site_spawn_rate,
	 .meaning = "tasks first polled, a second"},
	{"site.end_rate", SITE, PER_SECOND, TRACED, .windowed = true, .get = site_end_rate,
	 .meaning = "tasks freed, a second"},
	{"site.completed_held", SITE, COUNT, SAMPLED, .get = site_completed_held,
	 .meaning = "tasks that have completed and are kept in memory by a JoinHandle"},
	{"site.completed_held_growth", SITE, COUNT, SAMPLED, .windowed = true,
	 .get = site_completed_held_growth,
	 .meaning = "how many more of these than at the start of the window"},
	{"site.completed_held_oldest", SITE, NS, SAMPLED, .get = site_completed_held_oldest,
	 .meaning = "time since the oldest of these completed"},
	{"site.completed_held_bytes", SITE, BYTES, SAMPLED, .get = site_completed_held_bytes,
	 .meaning = "their memory"},
	{"site.poll_rate", SITE, PER_SECOND, TRACED, .windowed = true, .get = site_poll_rate,
	 .meaning = "polls that ended, a second"},
	{"site.busy_share", SITE, RATIO, TRACED, .windowed = true, .get = site_busy_share,
	 .meaning = "time in its polls; 100% is one worker's time"},
	{"site.short_blocked_share", SITE, RATIO, TRACED, .windowed = true,
	 .get = site_short_blocked_share,
	 .meaning = "blocked time in polls too short to be reported one by one; 100% is one worker's time"},
	{"site.worker_blocked_share", SITE, RATIO, SAMPLED, .windowed = true,
	 .get = site_worker_blocked_share,
	 .meaning = "blocked share of the most blocked worker of the process"},
	{"site.poll_p50", SITE, NS, TRACED, .get = site_poll_p50,
	 .meaning = "median length of its polls since the watch began"},
	{"site.poll_p99", SITE, NS, TRACED, .get = site_poll_p99,
	 .meaning = "99th percentile of the same"},
	{"site.poll_max", SITE, NS, TRACED, .get = site_poll_max,
	 .meaning = "its longest poll that has ended"},

	{"worker.busy_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = worker_busy,
	 .meaning = "share of the worker's time in polls, on the CPU"},
	{"worker.blocked_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = worker_blocked,
	 .meaning = "in polls, voluntarily off the CPU"},
	{"worker.preempted_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = worker_preempted,
	 .meaning = "in polls, preempted"},
	{"worker.parked_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = worker_parked,
	 .meaning = "outside polls, off the CPU"},
	{"worker.searching_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = worker_searching,
	 .meaning = "outside polls, on the CPU"},
	{"worker.poll_rate", WORKER, PER_SECOND, SAMPLED, .windowed = true,
	 .get = worker_polls_per_second, .meaning = "polls that ended, a second"},

	{"runtime.workers", RUNTIME, COUNT, SAMPLED, .get = runtime_workers,
	 .meaning = "worker threads: as configured, else those that have polled"},
	{"runtime.held", RUNTIME, COUNT, SAMPLED, .get = runtime_held,
	 .meaning = "worker threads that are in a poll now"},
	{"runtime.ready_wait", RUNTIME, NS, SAMPLED, .get = runtime_ready_wait,
	 .meaning = "longest wait of a ready task seen now; a lower bound"},
	{"runtime.ready_wait_recent", RUNTIME, NS, SAMPLED, .get = runtime_ready_wait_recent,
	 .meaning = "the same over the last 5 s"},
	{"runtime.ready_waiting", RUNTIME, COUNT, SAMPLED, .get = runtime_ready_waiting,
	 .meaning = "tasks seen waiting 5 ms or longer in the last 5 s"},
	{"runtime.queue_depth", RUNTIME, COUNT, SAMPLED, .get = runtime_queue_depth,
	 .meaning = "tasks queued for a worker: shared queue and local queues"},
	{"runtime.inject_depth", RUNTIME, COUNT, SAMPLED, .get = runtime_inject_depth,
	 .meaning = "tasks in the shared queue"},
	{"runtime.queue_wait", RUNTIME, NS, INFERRED, .windowed = true, .get = runtime_queue_wait,
	 .meaning = "mean wait in the queue by Little's law: queued tasks over the polls a second that the workers reach while they are in polls"},
	{"runtime.poll_rate", RUNTIME, PER_SECOND, SAMPLED, .windowed = true, .get = runtime_poll_rate,
	 .meaning = "polls that ended, a second"},
	{"runtime.culprit_share", RUNTIME, RATIO, SAMPLED, .windowed = true,
	 .get = runtime_culprit_share,
	 .meaning = "share of the workers' time held by the site that holds them most"},
	{"runtime.alive", RUNTIME, COUNT, SAMPLED, .get = runtime_alive,
	 .meaning = "tasks that the runtime owns"},
	{"runtime.blocking_queue", RUNTIME, COUNT, SAMPLED, .get = runtime_blocking_queue,
	 .meaning = "spawn_blocking work that waits for a thread"},
	{"runtime.blocking_threads", RUNTIME, COUNT, SAMPLED, .get = runtime_blocking_threads,
	 .meaning = "threads of the blocking pool"},
	{"runtime.blocking_idle", RUNTIME, COUNT, SAMPLED, .get = runtime_blocking_idle,
	 .meaning = "of these, idle"},

	{"target.cpus", TARGET, COUNT, TRACED, .get = target_cpus,
	 .meaning = "CPUs that the process may use"},
	{"target.tasks", TARGET, COUNT, SAMPLED, .get = target_tasks,
	 .meaning = "live tasks of all types"},
	{"target.runtimes", TARGET, COUNT, TRACED, .get = target_runtimes,
	 .meaning = "runtimes in the process"},
};
/* clang-format on */

const size_t fields_count = sizeof(fields) / sizeof(fields[0]);

bool field_get(const struct field *f, const struct field_ctx *ctx, double *out)
{
	const void *const objects[] = {
		[SCOPE_POLL] = ctx->poll,	[SCOPE_SITE] = ctx->site,
		[SCOPE_WORKER] = ctx->worker,	[SCOPE_RUNTIME] = ctx->runtime,
		[SCOPE_TARGET] = ctx->target,
	};

	return objects[f->scope] && f->get(ctx, out);
}

const struct field *field_find(const char *name)
{
	for (size_t i = 0; i < fields_count; i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

/* A poll has a site, a worker and a runtime; a worker has a runtime; all have a target. */
bool field_in_scope(const struct field *f, enum rule_scope scope)
{
	static const unsigned reach[] = {
		[SCOPE_POLL] = 1 << SCOPE_POLL | 1 << SCOPE_SITE | 1 << SCOPE_WORKER |
			       1 << SCOPE_RUNTIME | 1 << SCOPE_TARGET,
		[SCOPE_SITE] = 1 << SCOPE_SITE | 1 << SCOPE_TARGET,
		[SCOPE_WORKER] = 1 << SCOPE_WORKER | 1 << SCOPE_RUNTIME | 1 << SCOPE_TARGET,
		[SCOPE_RUNTIME] = 1 << SCOPE_RUNTIME | 1 << SCOPE_TARGET,
		[SCOPE_TARGET] = 1 << SCOPE_TARGET,
	};

	return reach[scope] >> f->scope & 1;
}

const char *scope_name(enum rule_scope scope)
{
	static const char *const names[] = {"poll", "site", "worker", "runtime", "target"};

	return names[scope];
}

const char *field_unit_name(enum field_unit unit)
{
	static const char *const names[] = {"ns", "count", "ratio", "bytes", "per_second", "bool"};

	return names[unit];
}
