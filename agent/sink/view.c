// SPDX-License-Identifier: LGPL-2.1-or-later
/* Totals, order and names for the sinks; see view.h. */
#include "sink/view.h"

#include <stdlib.h>

#include "sink/sinks.h"
#include "util/xalloc.h"

#define RATE_SECONDS 5
#define LIVE_NS UINT64_C(5000000000)

static uint64_t grown(uint64_t now, uint64_t begin)
{
	return now > begin ? now - begin : 0;
}

/* Of what was watched: a trace that begins in the middle of a watch is told all that it had cost. */
static void ratios_of(struct totals *t, const struct model *m)
{
	const struct ev_cost *now = &m->cost, *begin = &m->cost_begin;
	uint64_t used = grown(now->target_cpu_ns, begin->target_cpu_ns);
	uint64_t base = (uint64_t)(COST_LEAST_CORE * (double)t->duration_ns);

	if (used > base)
		base = used;
	if (base)
		t->overhead_ratio = (double)grown(now->cost_ns, begin->cost_ns) / (double)base;
	t->agent_ratio = (double)grown(now->agent_cpu_ns, begin->agent_cpu_ns) /
			 (double)t->duration_ns;
}

void totals_of(struct totals *t, const struct model *m)
{
	const struct ev_cost *cost = &m->cost;

	*t = (struct totals){.tasks_valid = true, .overhead_ratio = -1, .agent_ratio = -1};
	t->duration_ns = m->now_ns - m->begin_ns;
	for (uint32_t i = 0; i < m->sites_count; i++) {
		const struct site *s = &m->sites[i];

		if (s->id == ID_NONE || s->kind != SITE_TASK || !s->polls)
			continue;
		t->polls += s->polls;
		t->task_types++;
		t->tasks_seen += s->seen;
		t->tasks_valid &= s->tasks_valid && !s->tasks_gap;
		t->sampled |= s->sampled;
		t->at_least |= s->sampled && s->error == ID_NONE;
	}
	for (uint32_t i = 0; i < m->workers_count; i++)
		t->workers += m->workers[i].now.worker;
	/* A level in force of 0 has hits from sched_switch alone, but still CPU times. */
	t->cost_valid = cost->hits || cost->target_cpu_ns || cost->agent_cpu_ns || cost->level;
	if (t->cost_valid && t->duration_ns)
		ratios_of(t, m);
}

const struct binary *view_binary(const struct model *m, uint32_t binary)
{
	if (binary >= m->binaries_count || m->binaries[binary].id == ID_NONE)
		return NULL;
	return &m->binaries[binary];
}

int64_t binary_workers(const struct model *m, uint32_t binary)
{
	int64_t sum = -1;

	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *r = &m->runtimes[i];

		if (r->id == ID_NONE || r->binary != binary)
			continue;
		if (r->workers < 0)
			return -1;
		sum = (sum < 0 ? 0 : sum) + r->workers;
	}
	return sum;
}

void finding_view_of(struct finding_view *v, const struct model *m, const struct finding *f)
{
	*v = (struct finding_view){.f = f};
	rule_info_of(f->rule, &v->rule);
	if (f->target != ID_NONE)
		v->target = model_target(m, f->target);
	if (f->runtime != ID_NONE)
		v->runtime = model_runtime(m, f->runtime);
	if (f->site != ID_NONE)
		v->site = model_site(m, f->site);
	if (f->tid && f->target != ID_NONE)
		v->worker = model_worker(m, f->target, f->tid);
	if (v->runtime)
		v->binary = view_binary(m, v->runtime->binary);
	else if (v->site)
		v->binary = view_binary(m, v->site->binary);
}

static bool is_live(const struct model *m, bool open, uint64_t last_ns)
{
	return open || m->now_ns - last_ns <= LIVE_NS || last_ns > m->now_ns;
}

bool finding_is_live(const struct model *m, const struct finding *f)
{
	return is_live(m, f->open, f->last_ns);
}

bool finding_is_effect(const struct model *m, const struct finding *f)
{
	return f->cause.rule && is_live(m, f->cause.open, f->cause.last_ns);
}

size_t findings_sorted(const struct rules *rules, const struct finding ***out)
{
	const struct finding **all = NULL;
	size_t count = rules ? rules_findings(rules, &all) : 0;
	const struct finding **copy = xcalloc(count, sizeof(const struct finding *));

	for (size_t i = 0; i < count; i++)
		copy[i] = all[i];
	qsort(copy, count, sizeof(const struct finding *), finding_compare);
	*out = copy;
	return count;
}

void outcome_of(struct outcome *v, const struct snapshot *snap, const struct outcome_opts *opts)
{
	const struct finding **all = NULL;
	size_t count = snap->rules ? rules_findings(snap->rules, &all) : 0;

	*v = (struct outcome){0};
	for (size_t i = 0; i < count; i++) {
		if (all[i]->cause.rule) {
			v->effects++;
			continue;
		}
		v->by_severity[all[i]->alarm]++;
		v->open += all[i]->open;
		v->failing += all[i]->alarm >= opts->fail_on;
	}
	v->too_much_lost = opts->max_loss_given && snap->model->lost > opts->max_loss;
}

static int by_order(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int worker_compare(const void *a, const void *b)
{
	const struct worker *wa = *(const struct worker *const *)a;
	const struct worker *wb = *(const struct worker *const *)b;
	/* No poll open sorts last. */
	uint64_t sa = wa->now.poll_start_ns ? wa->now.poll_start_ns : UINT64_MAX;
	uint64_t sb = wb->now.poll_start_ns ? wb->now.poll_start_ns : UINT64_MAX;

	if (sa != sb)
		return by_order(sa, sb);
	if (wa->target != wb->target)
		return by_order(wa->target, wb->target);
	return by_order(wa->now.tid, wb->now.tid);
}

static bool target_ended(const struct model *m, uint32_t target)
{
	const struct target *t = model_target(m, target);

	return !t || t->ended;
}

bool worker_ended(const struct model *m, const struct worker *w)
{
	return w->ended || target_ended(m, w->target);
}

size_t workers_sorted(const struct model *m, bool with_ended, const struct worker ***out)
{
	const struct worker **list = xcalloc(m->workers_count, sizeof(const struct worker *));
	size_t count = 0;

	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];

		if (w->now.worker && (with_ended || !worker_ended(m, w)))
			list[count++] = w;
	}
	qsort(list, count, sizeof(const struct worker *), worker_compare);
	*out = list;
	return count;
}

uint64_t site_quantile(const struct site *s, double q)
{
	return hist_quantile_within(&s->hist, s->max_ns, q);
}

uint64_t site_delay_quantile(const struct site *s, double q)
{
	return hist_quantile_within(&s->delay, s->delay_max_ns, q);
}

bool site_live_known(const struct model *m, const struct site *s)
{
	return s->tasks_valid && (m->tasks_count || s->seen == s->ended);
}

static double site_rate(const struct site *s)
{
	return s->series ? series_rate(&s->series->busy_ns, RATE_SECONDS) : 0;
}

static int site_compare(const void *a, const void *b)
{
	const struct site *sa = *(const struct site *const *)a;
	const struct site *sb = *(const struct site *const *)b;
	double ra = site_rate(sa), rb = site_rate(sb);

	if (ra != rb)
		return ra > rb ? -1 : 1;
	if (sa->busy_ns != sb->busy_ns)
		return by_order(sb->busy_ns, sa->busy_ns);
	return by_order(sa->id, sb->id);
}

size_t sites_sorted(const struct model *m, const struct site ***out)
{
	const struct site **list = xcalloc(m->sites_count, sizeof(const struct site *));
	size_t count = 0;

	for (uint32_t i = 0; i < m->sites_count; i++) {
		const struct site *s = &m->sites[i];

		if (s->id != ID_NONE && s->kind == SITE_TASK && s->polls)
			list[count++] = s;
	}
	qsort(list, count, sizeof(const struct site *), site_compare);
	*out = list;
	return count;
}

static int open_compare(const void *a, const void *b)
{
	const struct worker *wa = *(const struct worker *const *)a;
	const struct worker *wb = *(const struct worker *const *)b;

	if (wa->target != wb->target)
		return by_order(wa->target, wb->target);
	if (wa->now.task_id != wb->now.task_id)
		return by_order(wa->now.task_id, wb->now.task_id);
	if (!wa->now.task_id && wa->now.task_key != wb->now.task_key)
		return by_order(wa->now.task_key, wb->now.task_key);
	return by_order(wa->now.site, wb->now.site);
}

/* Threads with a poll open, for bsearch() by target, task and site. */
static size_t open_polls(const struct model *m, const struct worker ***out)
{
	const struct worker **list = xcalloc(m->workers_count, sizeof(const struct worker *));
	size_t count = 0;

	for (uint32_t i = 0; i < m->workers_count; i++)
		if (m->workers[i].now.poll_start_ns && !worker_ended(m, &m->workers[i]))
			list[count++] = &m->workers[i];
	qsort(list, count, sizeof(const struct worker *), open_compare);
	*out = list;
	return count;
}

static uint64_t since(uint64_t now, uint64_t then)
{
	return then && now > then ? now - then : 0;
}

static enum task_state task_state(const struct task *t)
{
	if (!t->row.state_valid)
		return TASK_UNKNOWN;
	if (t->row.complete)
		return TASK_HELD;
	if (t->row.running)
		return TASK_IN_POLL;
	return t->row.ready ? TASK_READY : TASK_IDLE;
}

static void task_view_of(struct task_view *v, const struct model *m, const struct task *t,
			 const struct worker **open, size_t open_count)
{
	struct worker key = {.target = t->target};
	const struct worker *key_ptr = &key;
	const struct worker **found;

	key.now.task_id = t->row.id;
	key.now.task_key = t->row.key;
	key.now.site = t->row.site;
	found = bsearch(&key_ptr, open, open_count, sizeof(const struct worker *), open_compare);
	*v = (struct task_view){.task = t, .state = task_state(t)};
	if (found) {
		v->worker = *found;
		v->state = TASK_IN_POLL;
		v->for_ns = since(m->now_ns, v->worker->now.poll_start_ns);
	} else if (v->state == TASK_HELD && t->complete_since_ns) {
		v->for_ns = since(m->now_ns, t->complete_since_ns);
	} else if (v->state != TASK_IN_POLL) {
		v->for_ns = since(m->now_ns, t->row.last_ns);
	}
}

static int task_compare(const void *a, const void *b)
{
	static const int rank[] = {
		[TASK_IN_POLL] = 0, [TASK_READY] = 1, [TASK_UNKNOWN] = 2,
		[TASK_IDLE] = 3,    [TASK_HELD] = 4,
	};
	const struct task_view *ta = a, *tb = b;

	if (ta->state != tb->state)
		return rank[ta->state] - rank[tb->state];
	if (ta->for_ns != tb->for_ns)
		return by_order(tb->for_ns, ta->for_ns);
	if (ta->task->target != tb->task->target)
		return by_order(ta->task->target, tb->task->target);
	return by_order(ta->task->row.id, tb->task->row.id);
}

size_t tasks_sorted(const struct model *m, struct task_view **out)
{
	struct task_view *list = xcalloc(m->tasks_count, sizeof(*list));
	const struct worker **open;
	size_t open_count = open_polls(m, &open);
	size_t count = 0;

	for (uint32_t i = 0; i < m->tasks_count; i++)
		if (!target_ended(m, m->tasks[i].target))
			task_view_of(&list[count++], m, &m->tasks[i], open, open_count);
	qsort(list, count, sizeof(*list), task_compare);
	free(open);
	*out = list;
	return count;
}

static int waiting_compare(const void *a, const void *b)
{
	const struct task *ta = *(const struct task *const *)a,
			  *tb = *(const struct task *const *)b;

	if (ta->target != tb->target)
		return by_order(ta->target, tb->target);
	if (ta->row.waits_for != tb->row.waits_for)
		return by_order(ta->row.waits_for, tb->row.waits_for);
	if (ta->row.last_ns != tb->row.last_ns)
		return by_order(ta->row.last_ns, tb->row.last_ns);
	return by_order(ta->row.id, tb->row.id);
}

size_t waiting_sorted(const struct model *m, const struct task ***out)
{
	const struct task **list = xcalloc(m->tasks_count, sizeof(*list));
	size_t count = 0;

	for (uint32_t i = 0; i < m->tasks_count; i++)
		if (m->tasks[i].row.waits_for && !target_ended(m, m->tasks[i].target))
			list[count++] = &m->tasks[i];
	qsort(list, count, sizeof(*list), waiting_compare);
	*out = list;
	return count;
}

size_t waiting_same(const struct task *const *list, size_t count)
{
	size_t n = 0;

	while (n < count && list[n]->target == list[0]->target &&
	       list[n]->row.waits_for == list[0]->row.waits_for)
		n++;
	return n;
}

const char *task_state_name(enum task_state state)
{
	static const char *const names[] = {
		[TASK_IN_POLL] = "in_poll", [TASK_READY] = "ready", [TASK_IDLE] = "idle",
		[TASK_HELD] = "complete",   [TASK_UNKNOWN] = NULL,
	};

	return names[state];
}

const char *thread_state_name(enum thread_state state)
{
	static const char *const names[] = {
		[THREAD_SEARCHING] = "searching", [THREAD_PARKED] = "parked",
		[THREAD_POLLING] = "polling",	  [THREAD_BLOCKED] = "blocked",
		[THREAD_PREEMPTED] = "preempted",
	};

	return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *flavor_name(enum runtime_flavor flavor)
{
	static const char *const names[] = {
		[FLAVOR_UNKNOWN] = NULL,
		[FLAVOR_MULTI_THREAD] = "multi-thread",
		[FLAVOR_CURRENT_THREAD] = "current-thread",
		[FLAVOR_LOCAL] = "local",
	};

	return (size_t)flavor < sizeof(names) / sizeof(names[0]) ? names[flavor] : NULL;
}
