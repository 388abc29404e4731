// SPDX-License-Identifier: LGPL-2.1-or-later
/* The header. */
#include "tui/header.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LOW_SCREEN 16	  /* rows; below, only the two most important lines are drawn */
#define REASON_COLUMNS 30 /* least room for a reason; else only view 6 (self) says it */
#define LABELS 32	  /* of different runtimes: `what` has no room for more */
#define SPARK_FROM 120	  /* columns of the screen from which a sparkline has a label */
#define SPARK_WIDE 170	  /* and from which it has a column a second */

static void runtime_label(const struct model *m, const struct runtime *r, char *out, size_t size)
{
	char text[96];

	runtime_text(m, r, text, sizeof(text));
	if (r->workers < 0)
		snprintf(out, size, "%s", text);
	else
		snprintf(out, size, "%s, %d worker%s", text, r->workers,
			 r->workers == 1 ? "" : "s");
}

struct label {
	char text[128];
	uint32_t count; /* runtimes that it is the label of */
};

/* Runtimes that are alike are told once: an actix server has one for each of its threads. */
static size_t runtime_labels(const struct model *m, uint32_t target, struct label *labels)
{
	size_t n = 0;

	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *r = &m->runtimes[i];
		struct label one = {.count = 1};
		size_t at = 0;

		if (r->id == ID_NONE || r->target != target)
			continue;
		runtime_label(m, r, one.text, sizeof(one.text));
		while (at < n && strcmp(labels[at].text, one.text) != 0)
			at++;
		if (at < n)
			labels[at].count++;
		else if (n < LABELS)
			labels[n++] = one;
	}
	return n;
}

static bool read_runtimes(struct header *h, const struct model *m, uint32_t target, size_t used)
{
	struct label labels[LABELS];
	size_t n = runtime_labels(m, target, labels), size = sizeof(h->what);

	for (size_t i = 0; i < n && used < size; i++) {
		const struct label *l = &labels[i];
		char times[16] = "";

		if (l->count > 1)
			snprintf(times, sizeof(times), "%ux ", l->count);
		used += (size_t)snprintf(h->what + used, size - used, "  %s%s%s", times, l->text,
					 l->count > 1 ? " each" : "");
	}
	return n > 0;
}

static void read_binaries(struct header *h, const struct model *m, size_t used)
{
	for (uint32_t i = 0; i < m->binaries_count && used < sizeof(h->what); i++) {
		const struct binary *b = &m->binaries[i];

		if (b->path && is_shown(h->only, b->target))
			used += (size_t)snprintf(h->what + used, sizeof(h->what) - used, "  %s %s",
						 b->runtime ? b->runtime : "runtime n/a",
						 b->version ? b->version : "(version n/a)");
	}
}

/* All of them by name, or the one that is shown with its runtimes. */
static void read_what(struct header *h, const struct model *m)
{
	const struct target *one = NULL;
	size_t used = 0, size = sizeof(h->what);
	uint32_t shown = 0;

	for (uint32_t i = 0; i < m->targets_count; i++) {
		if (m->targets[i].id == ID_NONE)
			continue;
		h->targets++;
		if (m->targets[i].id == h->only)
			h->place = h->targets;
	}
	if (h->targets > 1 && !h->place)
		used = (size_t)snprintf(h->what, size, "%u programs (t):", h->targets);
	for (uint32_t i = 0; i < m->targets_count; i++) {
		const struct target *t = &m->targets[i];

		if (t->id == ID_NONE || !is_shown(h->only, t->id))
			continue;
		one = t;
		if (used < size)
			used += (size_t)snprintf(h->what + used, size - used, "%s%s%s [%u]",
						 shown ? "," : "", used ? " " : "", t->comm,
						 t->pid);
		shown++;
	}
	if (h->place && used < size)
		used += (size_t)snprintf(h->what + used, size - used, " (%u of %u)", h->place,
					 h->targets);
	if (shown == 1 && !read_runtimes(h, m, one->id, used))
		read_binaries(h, m, used);
}

static void read_end(struct header *h, const struct model *m)
{
	const struct target *last = NULL;

	bool all = true;

	for (uint32_t i = 0; i < m->targets_count; i++) {
		const struct target *t = &m->targets[i];

		if (t->id == ID_NONE || !is_shown(h->only, t->id))
			continue;
		all = all && t->ended;
		if (!last || t->end_ns > last->end_ns)
			last = t;
	}
	h->ended = all && last;
	if (!h->ended)
		return;
	if (last->end_reason == TARGET_DETACHED)
		snprintf(h->end, sizeof(h->end), "no longer watched");
	else if (last->end_reason == TARGET_EXECED)
		snprintf(h->end, sizeof(h->end), "became another program (exec)");
	else if (last->end_status < 0)
		snprintf(h->end, sizeof(h->end), "exited (status n/a: not seen)");
	else if (WIFSIGNALED(last->end_status))
		snprintf(h->end, sizeof(h->end), "killed by signal %d (%s)",
			 WTERMSIG(last->end_status), strsignal(WTERMSIG(last->end_status)));
	else
		snprintf(h->end, sizeof(h->end), "exited with status %d",
			 WEXITSTATUS(last->end_status));
}

static void read_findings(struct header *h, const struct rules *rules)
{
	const struct finding **list;
	size_t count = rules_findings(rules, &list);

	for (size_t i = 0; i < count; i++) {
		if (!is_shown(h->only, list[i]->target))
			continue;
		if (list[i]->open) {
			h->open[list[i]->alarm] += !list[i]->cause.open;
			h->effects += list[i]->cause.open;
			continue;
		}
		if (list[i]->cause.rule)
			continue;
		h->closed++;
		if (list[i]->alarm > h->worst_closed)
			h->worst_closed = list[i]->alarm;
	}
}

static void merge(struct hist *into, const struct hist *from)
{
	into->count += from->count;
	for (uint32_t k = 0; k < HIST_BUCKETS; k++)
		into->bucket[k] += from->bucket[k];
}

/* Polls of each second: sites that were first polled later have shorter histories. */
static void add_minute(struct spark *spark, const struct series *s)
{
	for (uint32_t ago = 0; ago + 1 < s->count; ago++) {
		uint64_t newer = series_at(s, ago), older = series_at(s, ago + 1);

		spark->value[SERIES_LEN - 1 - ago] += newer > older ? (double)(newer - older) : 0;
		if (ago + 1 > spark->count)
			spark->count = ago + 1;
	}
}

/* To the front of the array, as it is drawn. */
static void finish_minute(struct spark *spark, const struct model *m)
{
	memmove(spark->value, spark->value + SERIES_LEN - spark->count,
		spark->count * sizeof(spark->value[0]));
	spark->second = (m->now_ns - m->begin_ns) / 1000000000ULL;
	spark->max = 1;
	for (size_t i = 0; i < spark->count; i++)
		if (spark->value[i] > spark->max)
			spark->max = spark->value[i];
}

static void read_site(struct header *h, const struct site *s, struct hist *all, struct hist *delay)
{
	double rate = s->series ? series_rate_known(&s->series->polls, SHARES_OVER) : -1;

	h->polls += s->polls;
	h->polls_sampled |= s->sampled;
	if (rate >= 0)
		h->polls_rate = (h->polls_rate < 0 ? 0 : h->polls_rate) + rate;
	if (s->max_ns > h->max_ns)
		h->max_ns = s->max_ns;
	merge(all, &s->hist);
	if (s->series)
		add_minute(&h->polls_spark, &s->series->polls);
	if (!s->delays_valid)
		return;
	h->delays_known = true;
	merge(delay, &s->delay);
	if (s->delay_max_ns > h->delay_max_ns)
		h->delay_max_ns = s->delay_max_ns;
}

static void read_polls(struct header *h, const struct model *m)
{
	struct hist all = {0}, delay = {0};

	h->polls_rate = -1;
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].kind == SITE_TASK && m->sites[i].polls &&
		    is_shown(h->only, m->sites[i].target))
			read_site(h, &m->sites[i], &all, &delay);
	finish_minute(&h->polls_spark, m);
	h->p50_ns = hist_quantile_within(&all, h->max_ns, 0.5);
	h->p99_ns = hist_quantile_within(&all, h->max_ns, 0.99);
	h->delay_p50_ns = hist_quantile_within(&delay, h->delay_max_ns, 0.5);
	h->delay_p99_ns = hist_quantile_within(&delay, h->delay_max_ns, 0.99);
}

/* A sum is known when each part is. */
static void add_depth(int64_t *sum, int64_t depth)
{
	*sum = *sum < 0 || depth < 0 ? -1 : *sum + depth;
}

static void read_queues(struct header *h, const struct model *m)
{
	const struct runtime *only = NULL;

	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *r = &m->runtimes[i];
		const struct ev_queues *q = &r->queues;

		if (r->id == ID_NONE || !is_shown(h->only, r->target))
			continue;
		only = r;
		h->runtimes++;
		add_depth(&h->inject, r->queues_seen ? q->inject : -1);
		add_depth(&h->local, r->queues_seen ? q->local : -1);
		add_depth(&h->alive, r->queues_seen ? q->alive : -1);
		add_depth(&h->blocking_queue, r->queues_seen ? q->blocking_queue : -1);
		add_depth(&h->blocking_threads, r->queues_seen ? q->blocking_threads : -1);
		if (r->queues_seen && q->reason && !h->reason[0])
			snprintf(h->reason, sizeof(h->reason), "%s", q->reason);
		else if (!r->queues_seen && !h->reason[0])
			snprintf(h->reason, sizeof(h->reason), "not read yet");
		h->ready_seen += r->ready_seen;
		if (r->ready_worst_ns > h->ready_worst_ns)
			h->ready_worst_ns = r->ready_worst_ns;
	}
	if (!h->runtimes) {
		h->inject = h->local = h->alive = h->blocking_queue = h->blocking_threads = -1;
		snprintf(h->reason, sizeof(h->reason), "no runtime seen yet");
	}
	if (!only || h->runtimes != 1 || h->inject < 0)
		return;
	spark_read(&h->queued_spark, m, &only->inject);
	if (only->local.count != only->inject.count)
		return;
	for (uint32_t i = 0; i < only->local.count; i++) {
		double *value = &h->queued_spark.value[only->local.count - 1 - i];

		*value += (double)series_at(&only->local, i);
		if (*value > h->queued_spark.max)
			h->queued_spark.max = *value;
	}
}

void header_read(struct header *h, const struct snapshot *snap, uint32_t only)
{
	const struct model *m = snap->model;

	*h = (struct header){.watched_ns = m->now_ns - m->begin_ns, .only = only};
	read_what(h, m);
	read_end(h, m);
	read_findings(h, snap->rules);
	read_polls(h, m);
	read_queues(h, m);
	h->overhead = model_overhead_ratio(m, SHARES_OVER);
	h->agent = model_agent_ratio(m, SHARES_OVER);
	h->level = m->cost.level;
	h->lowered = m->cost.level < m->cost.level_asked;
	h->sampled = m->cost.sites_sampled;
	h->budget = m->cost.budget_ppm / 1e6;
	h->cost_known = m->cost.hits > 0 || m->cost.agent_cpu_ns > 0;
	h->lost = m->lost;
	h->threshold_ns = rules_threshold_ns(snap->rules);
}

static int draw_title(const struct header *h, const struct canvas *c, bool paused, const char *play)
{
	int x = canvas_printf(c, 0, 0, c->cols, ROLE_STRONG, "stalltop "), right = 0;
	char time[64];

	if (play[0])
		snprintf(time, sizeof(time), "%s", play);
	else
		snprintf(time, sizeof(time), "%s%s", paused ? "PAUSED at " : "",
			 FMT_DURATION(h->watched_ns));
	right = canvas_width(c, time);
	canvas_text(c, 0, x, c->cols - x - right - 1, ROLE_NORMAL, ALIGN_LEFT, h->what);
	canvas_text(c, 0, c->cols - right, right, paused ? ROLE_WARNING : ROLE_NORMAL, ALIGN_LEFT,
		    time);
	return 1;
}

static void counts_text(const uint32_t *open, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--)
		if (open[s] && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%u %s",
						 used ? ", " : "", open[s],
						 severity_name((enum severity)s));
}

static void effects_text(const struct header *h, char *out, size_t size)
{
	out[0] = '\0';
	if (h->effects)
		snprintf(out, size, " (+%u effect%s)", h->effects, h->effects == 1 ? "" : "s");
}

/* What has no line of its own on a low screen. */
static const char *low_text(const struct header *h, char *out, size_t size)
{
	snprintf(out, size, "cost %s  %s %s", FMT_RATIO(h->overhead), h->lost ? "LOST" : "lost",
		 FMT_COUNT((double)h->lost));
	return out;
}

static int draw_health(const struct header *h, const struct canvas *c, int y)
{
	uint32_t open = h->open[SEVERITY_CRITICAL] + h->open[SEVERITY_WARNING];
	char counts[128], closed[64] = "", aside[64] = "", effects[32], text[432];
	bool low = c->rows < LOW_SCREEN;
	enum role role = ROLE_OK;
	const char *word = "HEALTHY";
	int used, room = c->cols;

	counts_text(h->open, counts, sizeof(counts));
	if (h->closed)
		snprintf(closed, sizeof(closed), "%s%u closed (worst: %s)", counts[0] ? "; " : "",
			 h->closed, severity_name(h->worst_closed));
	if (h->open[SEVERITY_CRITICAL]) {
		word = "CRITICAL";
		role = ROLE_CRITICAL;
	} else if (h->open[SEVERITY_WARNING]) {
		word = "WARNING";
		role = ROLE_WARNING;
	} else if (!h->polls) {
		word = "NOTHING SEEN";
		role = ROLE_WARNING;
	} else if (h->worst_closed >= SEVERITY_WARNING) {
		word = "OK NOW";
	}
	if (h->ended) {
		word = "ENDED";
		role = ROLE_WARNING;
	}
	effects_text(h, effects, sizeof(effects));
	snprintf(text, sizeof(text), "%s%s%s%s%s%s%s", h->ended ? h->end : "", h->ended ? "; " : "",
		 counts,
		 !counts[0] ? "" :
		 h->ended   ? " open at its end" :
			      " open",
		 effects, closed,
		 counts[0] || closed[0] ? "" :
		 h->polls		? "no finding" :
					  "no poll yet");
	if (low)
		low_text(h, aside, sizeof(aside));
	else if (h->threshold_ns)
		snprintf(aside, sizeof(aside), "threshold %s", FMT_DURATION(h->threshold_ns));
	/* What was lost is never what is cut off. */
	if (low && h->lost)
		room -= canvas_width(c, aside) + 1;
	canvas_printf(c, y, 0, room, role, "%s", word);
	used = (int)strlen(word) + 2;
	used += canvas_text(c, y, used, room - used, open ? role : ROLE_NORMAL, ALIGN_LEFT, text);
	if (used + canvas_width(c, aside) < c->cols)
		canvas_text(c, y, used, c->cols - used, low && h->lost ? ROLE_WARNING : ROLE_NORMAL,
			    ALIGN_RIGHT, aside);
	return y + 1;
}

/* At the right end, where the text leaves room for it. */
static void draw_minute(const struct canvas *c, int y, int used, const struct spark *spark)
{
	const char *label = c->cols >= SPARK_FROM ? "last minute " : "";
	int width = c->cols >= SPARK_WIDE ? SPARK_SECONDS :
		    c->cols >= SPARK_FROM ? SPARK_SECONDS / 2 :
					    SPARK_SECONDS / 5;
	int x = c->cols - width - (int)strlen(label);

	if (used + 1 > x) {
		label = "";
		x = c->cols - width;
	}
	if (spark->count < 2 || used + 1 > x)
		return;
	canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "%s", label);
	canvas_spark(c, y, c->cols - width, width, ROLE_BUSY, spark);
}

static void ready_text(const struct header *h, const struct canvas *c, char *out, size_t size)
{
	out[0] = '\0';
	if (h->ready_seen && c->cols >= SPARK_WIDE)
		snprintf(out, size, "  ready wait >= %s (%u wait%s of 5 ms or more seen in 5 s)",
			 FMT_DURATION(h->ready_worst_ns), h->ready_seen,
			 h->ready_seen == 1 ? "" : "s");
	else if (h->ready_seen)
		snprintf(out, size, "  ready wait >= %s", FMT_DURATION(h->ready_worst_ns));
}

static int draw_polls(const struct header *h, const struct canvas *c, int y)
{
	const char *about = h->polls_sampled ? "~" : "";
	char ready[112];
	int x;

	ready_text(h, c, ready, sizeof(ready));
	if (!h->polls) {
		canvas_printf(c, y, 0, c->cols, ROLE_DIM, "polls   none seen yet");
		return y + 1;
	}
	x = canvas_printf(
		c, y, 0, c->cols, h->ready_seen && !h->delays_known ? ROLE_WARNING : ROLE_NORMAL,
		"polls   %s%s%s  p50 %s%s  p99 %s%s  max %s%s", h->polls_rate < 0 ? "" : about,
		FMT_KNOWN(h->polls_rate), h->polls_rate < 0 ? "" : "/s", about,
		FMT_DURATION(h->p50_ns), about, FMT_DURATION(h->p99_ns), FMT_DURATION(h->max_ns),
		h->delays_known ? "" : ready);
	draw_minute(c, y++, x, &h->polls_spark);
	if (!h->delays_known)
		return y;
	canvas_printf(c, y, 0, c->cols, h->ready_seen ? ROLE_WARNING : ROLE_NORMAL,
		      "delay   from wake to poll: p50 %s  p99 %s  max %s%s",
		      FMT_DURATION(h->delay_p50_ns), FMT_DURATION(h->delay_p99_ns),
		      FMT_DURATION(h->delay_max_ns), ready);
	return y + 1;
}

static int draw_queues(const struct header *h, const struct canvas *c, int y)
{
	/* Of several runtimes there is no sparkline. */
	int x, kept = h->runtimes == 1 ? SPARK_SECONDS : 0;

	if (h->inject < 0 && h->local < 0 && h->alive < 0 && h->blocking_queue < 0) {
		canvas_printf(c, y, 0, c->cols, ROLE_DIM, "queues  n/a: %s", h->reason);
		return y + 1;
	}
	x = canvas_printf(c, y, 0, c->cols, ROLE_NORMAL,
			  "queues  shared %s  local %s  blocking %s (%s threads)  tasks %s",
			  FMT_KNOWN(h->inject), FMT_KNOWN(h->local), FMT_KNOWN(h->blocking_queue),
			  FMT_KNOWN(h->blocking_threads), FMT_KNOWN(h->alive));
	if (h->runtimes > 1)
		x += canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "  (%u runtimes)", h->runtimes);
	if (h->reason[0] && c->cols - x >= REASON_COLUMNS + kept)
		x += canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "  (n/a: %s)", h->reason);
	draw_minute(c, y, x, &h->queued_spark);
	return y + 1;
}

struct part {
	enum role role;
	char text[48];
};

/* The most important first: what does not fit is left out. */
static size_t cost_parts(const struct header *h, struct part *parts)
{
	size_t n = 0;

	if (!h->cost_known) {
		parts[0] = (struct part){ROLE_DIM, "cost    n/a: not measured yet"};
		return 1;
	}
	parts[n].role = h->budget > 0 && h->overhead > h->budget ? ROLE_WARNING : ROLE_NORMAL;
	if (h->overhead < 0)
		snprintf(parts[n].text, sizeof(parts[n].text), "cost    n/a: just started");
	else
		snprintf(parts[n].text, sizeof(parts[n].text), "cost    %s of target%s",
			 FMT_RATIO(h->overhead), h->targets > 1 ? "s" : "");
	n++;
	parts[n].role = parts[0].role;
	if (h->budget > 0)
		snprintf(parts[n].text, sizeof(parts[n].text), " (budget %g %%)", h->budget * 100);
	else
		snprintf(parts[n].text, sizeof(parts[n].text), " (no budget)");
	n++;
	parts[n].role = h->lowered ? ROLE_WARNING : ROLE_NORMAL;
	snprintf(parts[n].text, sizeof(parts[n].text), ", level %u%s", h->level,
		 h->lowered ? " (lowered)" : "");
	n++;
	if (h->sampled) {
		parts[n].role = ROLE_WARNING;
		snprintf(parts[n].text, sizeof(parts[n].text), ", %u type%s sampled", h->sampled,
			 h->sampled == 1 ? "" : "s");
		n++;
	}
	if (h->agent < 0)
		return n;
	parts[n].role = ROLE_NORMAL;
	snprintf(parts[n].text, sizeof(parts[n].text), "; stalltop %s of a core",
		 FMT_RATIO(h->agent));
	return n + 1;
}

/* Loss stands at its end, and is there on any screen. */
static int draw_cost(const struct header *h, const struct canvas *c, int y)
{
	char lost[48], events[64];
	struct part parts[5] = {0};
	size_t count = cost_parts(h, parts);
	int x = 0, room;

	snprintf(lost, sizeof(lost), "%s %s", h->lost ? "LOST" : "lost",
		 FMT_COUNT((double)h->lost));
	snprintf(events, sizeof(events), "%s%s", lost,
		 !h->lost     ? "" :
		 h->lost == 1 ? " event" :
				" events");
	room = c->cols - canvas_width(c, lost) - 2;
	for (size_t i = 0; i < count && x + canvas_width(c, parts[i].text) <= room; i++)
		x += canvas_printf(c, y, x, room - x, parts[i].role, "%s", parts[i].text);
	canvas_printf(c, y, x + 2, c->cols - x - 2, h->lost ? ROLE_WARNING : ROLE_NORMAL, "%s",
		      x + 2 + canvas_width(c, events) <= c->cols ? events : lost);
	return y + 1;
}

int header_draw(const struct header *h, const struct canvas *c, bool paused, const char *play)
{
	int y = draw_title(h, c, paused, play);

	y = draw_health(h, c, y);
	if (c->rows < LOW_SCREEN)
		return y;
	y = draw_polls(h, c, y);
	y = draw_queues(h, c, y);
	return draw_cost(h, c, y);
}
