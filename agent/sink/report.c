// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a report says, whatever its form; see report.h. */
#include "sink/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "util/fmt.h"
#include "util/syscall.h"
#include "util/xalloc.h"

static int worse(const void *a, const void *b)
{
	const struct finding *fa = *(const struct finding *const *)a;
	const struct finding *fb = *(const struct finding *const *)b;

	if (fa->alarm != fb->alarm)
		return fa->alarm > fb->alarm ? -1 : 1;
	if (fa->total_ns != fb->total_ns)
		return fa->total_ns > fb->total_ns ? -1 : 1;
	return finding_compare(a, b);
}

size_t report_findings(const struct report *r, const struct finding ***out)
{
	size_t count = findings_sorted(r->snap->rules, out);

	qsort(*out, count, sizeof(const struct finding *), worse);
	return count;
}

/* --- the verdict ------------------------------------------------------------------------ */

/* "shop (pid 4242)", "shop (pid 4242) and 2 more". */
static void subject(const struct model *m, char *out, size_t size)
{
	const struct target *first = NULL;
	uint32_t count = 0;
	char name[TEXT_CELL];

	for (uint32_t i = 0; i < m->targets_count; i++) {
		if (m->targets[i].id == ID_NONE)
			continue;
		first = first ? first : &m->targets[i];
		count++;
	}
	if (!first) {
		snprintf(out, size, "no known process");
		return;
	}
	text_clean(name, sizeof(name), first->comm);
	if (count > 1)
		snprintf(out, size, "%.64s (pid %u) and %u more", name, first->pid, count - 1);
	else
		snprintf(out, size, "%.64s (pid %u)", name, first->pid);
}

static const char *counts(const struct outcome *o, char *out, size_t size)
{
	size_t len = 0;

	*out = '\0';
	for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
		if (o->by_severity[s] && len < size)
			len += (size_t)snprintf(out + len, size - len, "%s%u %s", len ? ", " : "",
						o->by_severity[s], severity_name((enum severity)s));
	return out;
}

/* The counters began before: those of the task types do not tell what this file holds. */
static bool begins_within(const struct report *r)
{
	return r->trace->chunks_count && r->trace->chunks[0].type == CHUNK_KEYFRAME;
}

/* Polls in the time of this file; of one that begins within a watch, as the workers count them. */
static uint64_t polls_here(const struct report *r)
{
	const struct history *h = r->history;
	struct totals totals;
	double sum = 0;

	totals_of(&totals, r->snap->model);
	if (!begins_within(r))
		return totals.polls;
	for (uint32_t i = 0; i < h->slices; i++)
		sum += h->slice[i].polls;
	if (sum >= (double)totals.polls)
		return totals.polls;
	return sum > 0 ? (uint64_t)sum : 0;
}

void report_verdict(const struct report *r, struct verdict *out)
{
	const struct outcome_opts opts = {.fail_on = SEVERITY_CRITICAL};
	char of[128], text[TEXT_CELL], length[FMT_SIZE], polls[FMT_SIZE], many[96];
	const struct finding **all;
	size_t count = report_findings(r, &all);
	const struct finding *worst = count ? all[0] : NULL;
	struct outcome outcome;
	struct totals totals;

	outcome_of(&outcome, r->snap, &opts);
	totals_of(&totals, r->snap->model);
	subject(r->snap->model, of, sizeof(of));
	fmt_duration(length, sizeof(length), totals.duration_ns);
	fmt_count(polls, sizeof(polls), (double)polls_here(r));
	*out = (struct verdict){.found = worst, .judged = worst};
	/* Rules judge at ticks. */
	out->judged |= polls_here(r) > 0 && r->snap->model->ticks > 0;
	if (worst) {
		struct rule_info rule;

		out->severity = worst->alarm;
		rule_info_of(worst->rule, &rule);
		snprintf(out->text, sizeof(out->text), "%s finding%s in %s of %s; worst: %s: %s",
			 counts(&outcome, many, sizeof(many)), count == 1 ? "" : "s", length, of,
			 rule.id, text_clean(text, sizeof(text), worst->message));
	} else if (out->judged) {
		snprintf(out->text, sizeof(out->text),
			 "healthy: no finding in %s of %s, over %s polls", length, of, polls);
	} else {
		snprintf(out->text, sizeof(out->text),
			 "nothing could be judged: no poll was seen in %s of %s", length, of);
	}
	free(all);
}

static void trace_caveats(const struct report *r, caveat_fn *fn, void *ctx)
{
	char text[256];

	if (r->trace->incomplete)
		fn(ctx,
		   "the trace is incomplete: it was not closed (the recorder was killed, or is "
		   "still at work), so what came after its end is not known");
	if (begins_within(r))
		fn(ctx,
		   "the file begins in the middle of a watch (flight recorder, or rotation): "
		   "counters and percentiles of task types and workers are of the whole watch, "
		   "findings and the timeline of this file");
	if (r->trace->skipped_bytes) {
		snprintf(text, sizeof(text),
			 "the trace is damaged: %" PRIu64 " bytes could not be read and were "
			 "skipped%s",
			 r->trace->skipped_bytes,
			 r->trace->tail_bytes == r->trace->skipped_bytes ? ", all at its end" : "");
		fn(ctx, text);
	}
	if (r->history->unreadable) {
		snprintf(text, sizeof(text),
			 "at least %" PRIu64 " events of the trace could not be read: numbers are "
			 "too low by what they held",
			 r->history->unreadable);
		fn(ctx, text);
	}
}

void report_caveats(const struct report *r, caveat_fn *fn, void *ctx)
{
	const struct model *m = r->snap->model;
	uint64_t evicted = r->snap->rules ? rules_evicted(r->snap->rules) : 0;
	uint32_t sampled = 0;
	char text[256];

	trace_caveats(r, fn, ctx);
	if (m->lost > r->history->unreadable) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " events were lost in the recording: numbers are too low by "
			 "what they held",
			 m->lost - r->history->unreadable);
		fn(ctx, text);
	}
	for (uint32_t i = 0; i < m->sites_count; i++)
		sampled += m->sites[i].id != ID_NONE && m->sites[i].sampled;
	if (sampled) {
		snprintf(text, sizeof(text),
			 "numbers of %u task type%s are scaled from samples (the overhead budget)",
			 sampled, sampled == 1 ? "" : "s");
		fn(ctx, text);
	}
	if (evicted) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " older findings were dropped to make room for newer ones",
			 evicted);
		fn(ctx, text);
	}
	if (m->refused) {
		snprintf(text, sizeof(text),
			 "%" PRIu64 " events did not fit what was announced before, and were left "
			 "out",
			 m->refused);
		fn(ctx, text);
	}
}

/* --- latency ------------------------------------------------------------------------------ */

static void latency_add(struct latency *l, const struct hist *hist, uint64_t max_ns)
{
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		l->hist.bucket[i] += hist->bucket[i];
	l->hist.count += hist->count;
	l->count += hist->count;
	if (max_ns > l->max_ns)
		l->max_ns = max_ns;
}

void report_latencies(const struct report *r, struct latency out[REPORT_LATENCIES])
{
	const struct model *m = r->snap->model;
	bool level = false;

	out[0] = (struct latency){.of = "polls", .title = "length of a poll"};
	out[1] = (struct latency){.of = "delays", .title = "from a wake to the poll"};
	for (uint32_t i = 0; i < m->sites_count; i++) {
		const struct site *s = &m->sites[i];

		if (s->id == ID_NONE || s->kind != SITE_TASK)
			continue;
		latency_add(&out[0], &s->hist, s->max_ns);
		level |= s->delays_valid;
		if (s->delays_valid)
			latency_add(&out[1], &s->delay, s->delay_max_ns);
	}
	if (!out[0].count)
		out[0].unknown_because = "no poll has ended";
	if (!out[1].count)
		out[1].unknown_because = level ? "no wake was followed by a poll" :
						 "recorded below level 3, or wakes are not seen";
}

uint64_t latency_quantile(const struct latency *l, double q)
{
	return hist_quantile_within(&l->hist, l->max_ns, q);
}

/* --- bad moments --------------------------------------------------------------------------- */

const char *moment_kind_name(enum moment_kind kind)
{
	static const char *const names[] = {
		[MOMENT_FINDING] = "finding", [MOMENT_POLL] = "poll", [MOMENT_WAIT] = "wait",
		[MOMENT_LOSS] = "loss",	      [MOMENT_END] = "end",   [MOMENT_NOTE] = "note",
	};

	return names[kind];
}

struct moments {
	const struct report *r;
	struct moment *list;
	size_t count, cap;
};

static struct moment *moment_new(struct moments *all, enum moment_kind kind, uint64_t begin_ns,
				 uint64_t end_ns)
{
	struct moment *m;

	all->list = xgrow(all->list, &all->cap, all->count + 1, sizeof(*all->list));
	m = &all->list[all->count++];
	*m = (struct moment){
		.kind = kind,
		.begin_ns = begin_ns,
		.end_ns = end_ns > begin_ns ? end_ns : begin_ns,
		.target = ID_NONE,
		.site = ID_NONE,
	};
	return m;
}

static const char *site_name(const struct report *r, uint32_t site, char *out, size_t size)
{
	const struct site *s = site == ID_NONE ? NULL : model_site(r->snap->model, site);

	return text_clean(out, size, s ? s->name : NULL);
}

static void add_findings(struct moments *all)
{
	const struct finding **list;
	size_t count = report_findings(all->r, &list);

	for (size_t i = 0; i < count; i++) {
		const struct finding *f = list[i];
		struct moment *m = moment_new(all, MOMENT_FINDING, f->first_ns, f->last_ns);
		struct rule_info rule;
		char text[TEXT_CELL];

		rule_info_of(f->rule, &rule);
		m->finding = f;
		m->open = f->open;
		m->target = f->target;
		m->site = f->site;
		m->tid = f->tid;
		snprintf(m->text, sizeof(m->text), "%s %s: %s", severity_name(f->severity), rule.id,
			 text_clean(text, sizeof(text), f->message));
	}
	free(list);
}

/* "shop::audit on tokio-rt-worker (tid 4711): 1.50 s, of which blocked 1.49 s in clock_nanosleep" */
static void poll_text(const struct report *r, uint32_t target, const struct ev_poll *p, bool open,
		      char *out, size_t size)
{
	const struct worker *w = model_worker(r->snap->model, target, p->tid);
	char site[512], comm[64], length[FMT_SIZE], blocked[FMT_SIZE], preempted[FMT_SIZE];
	const char *call = p->syscall < 0 ? NULL : syscall_name(p->syscall);
	bool loose = p->loose_end || p->early || open;

	snprintf(out, size, "%s on %s (tid %u): a poll of %s%s, blocked %s%s%s, preempted %s",
		 site_name(r, p->site, site, sizeof(site)),
		 text_clean(comm, sizeof(comm), w ? w->now.comm : NULL), p->tid,
		 loose ? "at least " : "", fmt_duration(length, sizeof(length), p->length_ns),
		 fmt_duration(blocked, sizeof(blocked), p->blocked_ns), call ? " in " : "",
		 call ? call : "", fmt_duration(preempted, sizeof(preempted), p->preempted_ns));
}

static void add_poll(struct moments *all, uint32_t target, const struct ev_poll *p, bool open)
{
	struct moment *m = moment_new(all, MOMENT_POLL, p->start_ns, p->start_ns + p->length_ns);

	m->poll = p;
	m->open = open;
	m->target = target;
	m->site = p->site;
	m->tid = p->tid;
	m->task = p->task_id;
	poll_text(all->r, target, p, open, m->text, sizeof(m->text));
}

static void add_polls(struct moments *all)
{
	const struct history *h = all->r->history;
	const struct model *m = all->r->snap->model;

	for (uint32_t i = 0; i < h->polls_count; i++)
		add_poll(all, h->polls[i].target, &h->polls[i].poll, false);
	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];
		const struct site *s = w->open ? model_site(m, w->poll.site) : NULL;

		if (w->open && (!s || s->kind == SITE_TASK))
			add_poll(all, w->target, &w->poll, true);
	}
}

static void add_waits(struct moments *all)
{
	const struct history *h = all->r->history;

	for (uint32_t i = 0; i < h->waits_count; i++) {
		const struct history_wait *w = &h->waits[i];
		struct moment *m = moment_new(all, MOMENT_WAIT, w->begin_ns, w->end_ns);
		char site[512], time[FMT_SIZE], id[32] = "";

		m->target = w->target;
		m->site = w->ready.site;
		m->task = w->ready.task_id;
		fmt_duration(time, sizeof(time), w->ready.waited_ns);
		if (w->ready.task_id)
			snprintf(id, sizeof(id), " task %" PRIu64, w->ready.task_id);
		if (w->ready.site == ID_NONE)
			snprintf(m->text, sizeof(m->text),
				 "a queued task waited for a worker for at least %s", time);
		else
			snprintf(m->text, sizeof(m->text),
				 "%s%s waited, ready, for a worker for at least %s",
				 site_name(all->r, w->ready.site, site, sizeof(site)), id, time);
	}
}

static void add_losses(struct moments *all)
{
	const struct history *h = all->r->history;

	for (uint32_t i = 0; i < h->losses_count; i++) {
		const struct history_loss *l = &h->losses[i];
		struct moment *m = moment_new(all, MOMENT_LOSS, l->begin_ns, l->end_ns);

		snprintf(m->text, sizeof(m->text), "at least %" PRIu64 " events were lost",
			 l->count);
	}
	for (uint32_t i = 0; i < h->notes_count; i++) {
		const struct history_note *n = &h->notes[i];
		struct moment *m;

		if (n->severity != NOTE_WARNING)
			continue;
		m = moment_new(all, MOMENT_NOTE, n->time_ns, n->time_ns);
		text_clean(m->text, sizeof(m->text), n->text);
	}
}

static void add_ends(struct moments *all)
{
	const struct model *model = all->r->snap->model;

	for (uint32_t i = 0; i < model->targets_count; i++) {
		const struct target *t = &model->targets[i];
		bool status = t->end_reason == TARGET_EXITED && t->end_status >= 0;
		char name[TEXT_CELL], how[48] = "";
		struct moment *m;

		if (t->id == ID_NONE || !t->ended)
			continue;
		m = moment_new(all, MOMENT_END, t->end_ns, t->end_ns);
		m->target = t->id;
		if (status && WIFSIGNALED(t->end_status))
			snprintf(how, sizeof(how), ", by signal %d", WTERMSIG(t->end_status));
		else if (status)
			snprintf(how, sizeof(how), ", with status %d", WEXITSTATUS(t->end_status));
		text_clean(name, sizeof(name), t->comm);
		snprintf(m->text, sizeof(m->text), "%.64s (pid %u) %s%s", name, t->pid,
			 t->end_reason == TARGET_EXITED	  ? "ended" :
			 t->end_reason == TARGET_DETACHED ? "is no longer watched" :
							    "ran another program (exec)",
			 how);
	}
}

static int moment_compare(const void *a, const void *b)
{
	const struct moment *ma = a, *mb = b;

	if (ma->begin_ns != mb->begin_ns)
		return ma->begin_ns < mb->begin_ns ? -1 : 1;
	if (ma->kind != mb->kind)
		return ma->kind < mb->kind ? -1 : 1;
	return strcmp(ma->text, mb->text);
}

size_t report_moments(const struct report *r, struct moment **out)
{
	struct moments all = {.r = r};

	add_findings(&all);
	add_polls(&all);
	add_waits(&all);
	add_losses(&all);
	add_ends(&all);
	if (all.count)
		qsort(all.list, all.count, sizeof(*all.list), moment_compare);
	*out = all.list;
	return all.count;
}

static int site_compare(const void *a, const void *b)
{
	const struct site *sa = *(const struct site *const *)a;
	const struct site *sb = *(const struct site *const *)b;

	if (sa->busy_ns != sb->busy_ns)
		return sa->busy_ns > sb->busy_ns ? -1 : 1;
	return sa->id < sb->id ? -1 : 1;
}

size_t report_sites(const struct report *r, const struct site ***out)
{
	size_t count = sites_sorted(r->snap->model, out);

	qsort(*out, count, sizeof(const struct site *), site_compare);
	return count;
}
