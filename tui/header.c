// SPDX-License-Identifier: LGPL-2.1-or-later
/* The header. */
#include "tui/header.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LOW_SCREEN 16	  /* rows; below, only the two most important lines are drawn */
#define REASON_COLUMNS 30 /* least room for a reason; else only view 6 (self) says it */
#define SPARK_FROM 120	  /* columns of the screen from which a sparkline has a label */
#define SPARK_WIDE 170	  /* and from which it has a column a second */

static void read_what(struct header *h, const struct model *m)
{
	const struct target *first = NULL;
	size_t used = 0, size = sizeof(h->what);
	char text[96];
	bool any = false;

	for (uint32_t i = 0; i < m->targets_count; i++) {
		if (m->targets[i].id == ID_NONE)
			continue;
		h->targets++;
		if (m->targets[i].id == h->only)
			h->place = h->targets;
		if (!is_shown(h->only, m->targets[i].id))
			continue;
		h->more += first != NULL;
		if (!first)
			first = &m->targets[i];
	}
	if (first)
		used = (size_t)snprintf(h->what, size, "%s [%u]", first->comm, first->pid);
	if (h->more && used < size)
		used += (size_t)snprintf(h->what + used, size - used, " +%u more (t)", h->more);
	if (h->place && used < size)
		used += (size_t)snprintf(h->what + used, size - used, " (%u of %u)", h->place,
					 h->targets);
	for (uint32_t i = 0; i < m->runtimes_count && used < size; i++) {
		const struct runtime *r = &m->runtimes[i];

		if (r->id == ID_NONE || !first || r->target != first->id)
			continue;
		any = true;
		used += (size_t)snprintf(h->what + used, size - used, "  %s",
					 runtime_text(m, r, text, sizeof(text)));
		if (r->workers >= 0 && used < size)
			used += (size_t)snprintf(h->what + used, size - used, ", %d worker%s",
						 r->workers, r->workers == 1 ? "" : "s");
	}
	for (uint32_t i = 0; !any && i < m->binaries_count && used < size; i++) {
		const struct binary *b = &m->binaries[i];

		if (b->path && is_shown(h->only, b->target))
			used += (size_t)snprintf(h->what + used, size - used, "  %s %s",
						 b->runtime ? b->runtime : "runtime n/a",
						 b->version ? b->version : "(version n/a)");
	}
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
		snprintf(h->end, sizeof(h->end), "exited, status n/a");
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

static int draw_health(const struct header *h, const struct canvas *c, int y)
{
	uint32_t open = h->open[SEVERITY_CRITICAL] + h->open[SEVERITY_WARNING];
	char counts[96], closed[64] = "", threshold[48] = "", text[400];
	enum role role = ROLE_OK;
	const char *word = "HEALTHY";
	int used;

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
	snprintf(text, sizeof(text), "%s%s%s%s%s%s", h->ended ? h->end : "", h->ended ? "; " : "",
		 counts,
		 !counts[0] ? "" :
		 h->ended   ? " open at its end" :
			      " open",
		 closed,
		 counts[0] || closed[0] ? "" :
		 h->polls		? "no finding" :
					  "no poll yet");
	canvas_printf(c, y, 0, c->cols, role, "%s", word);
	used = (int)strlen(word) + 2;
	used += canvas_text(c, y, used, c->cols - used, open ? role : ROLE_NORMAL, ALIGN_LEFT,
			    text);
	if (h->threshold_ns)
		snprintf(threshold, sizeof(threshold), "threshold %s",
			 FMT_DURATION(h->threshold_ns));
	if (used + canvas_width(c, threshold) < c->cols)
		canvas_text(c, y, used, c->cols - used, ROLE_NORMAL, ALIGN_RIGHT, threshold);
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

	if (spark->count < 2 || used + 1 > x)
		return;
	canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "%s", label);
	canvas_spark(c, y, c->cols - width, width, ROLE_BUSY, spark);
}

static void ready_text(const struct header *h, const struct canvas *c, char *out, size_t size)
{
	out[0] = '\0';
	if (h->ready_seen && c->cols >= SPARK_WIDE)
		snprintf(out, size, "  ready wait >= %s (%u waits of 5 ms or more seen in 5 s)",
			 FMT_DURATION(h->ready_worst_ns), h->ready_seen);
	else if (h->ready_seen)
		snprintf(out, size, "  ready wait >= %s", FMT_DURATION(h->ready_worst_ns));
}

static int draw_polls(const struct header *h, const struct canvas *c, int y)
{
	char ready[112];
	int x;

	ready_text(h, c, ready, sizeof(ready));
	if (!h->polls) {
		canvas_printf(c, y, 0, c->cols, ROLE_DIM, "polls   none seen yet");
		return y + 1;
	}
	x = canvas_printf(c, y, 0, c->cols,
			  h->ready_seen && !h->delays_known ? ROLE_WARNING : ROLE_NORMAL,
			  "polls   %s/s  p50 %s  p99 %s  max %s%s", FMT_KNOWN(h->polls_rate),
			  FMT_DURATION(h->p50_ns), FMT_DURATION(h->p99_ns), FMT_DURATION(h->max_ns),
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
	int x;

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
	else if (h->reason[0] && c->cols - x >= REASON_COLUMNS + SPARK_SECONDS)
		x += canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "  (n/a: %s)", h->reason);
	draw_minute(c, y, x, &h->queued_spark);
	return y + 1;
}

static int draw_cost(const struct header *h, const struct canvas *c, int y)
{
	char level[16] = "n/a";
	int x;

	if (h->cost_known)
		snprintf(level, sizeof(level), "%u%s", h->level, h->lowered ? " (lowered)" : "");
	x = canvas_printf(c, y, 0, c->cols, ROLE_NORMAL,
			  "cost    %s of target, level %s; stalltop %s of a core   ",
			  FMT_RATIO(h->overhead), level, FMT_RATIO(h->agent));
	if (h->sampled)
		x += canvas_printf(c, y, x, c->cols - x, ROLE_WARNING, "%u types sampled   ",
				   h->sampled);
	if (h->lost)
		canvas_printf(c, y, x, c->cols - x, ROLE_WARNING, "LOST %s events",
			      FMT_COUNT((double)h->lost));
	else
		canvas_printf(c, y, x, c->cols - x, ROLE_NORMAL, "lost 0");
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
