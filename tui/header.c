// SPDX-License-Identifier: LGPL-2.1-or-later
/* The header. */
#include "tui/header.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LOW_SCREEN 16 /* rows; below, only the two most important lines are drawn */
#define SPARK_COLUMNS 32
#define REASON_COLUMNS 30 /* least room for a reason; else only view 6 (self) says it */
#define SPARK_FROM 120	  /* columns of the screen from which there is room for it */

static void read_what(struct header *h, const struct model *m)
{
	const struct target *first = NULL;
	size_t used = 0, size = sizeof(h->what);
	char text[96];
	bool any = false;

	for (uint32_t i = 0; i < m->targets_count; i++) {
		if (m->targets[i].id == ID_NONE)
			continue;
		h->more += first != NULL;
		if (!first)
			first = &m->targets[i];
	}
	if (first)
		used = (size_t)snprintf(h->what, size, "%s [%u]", first->comm, first->pid);
	if (h->more && used < size)
		used += (size_t)snprintf(h->what + used, size - used, " +%u more", h->more);
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

		if (b->path)
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

		if (t->id == ID_NONE)
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
		if (list[i]->open) {
			h->open[list[i]->severity]++;
			continue;
		}
		h->closed++;
		if (list[i]->severity > h->worst_closed)
			h->worst_closed = list[i]->severity;
	}
}

static void read_polls(struct header *h, const struct model *m)
{
	struct hist all = {0};

	h->polls_rate = -1;
	for (uint32_t i = 0; i < m->sites_count; i++) {
		const struct site *s = &m->sites[i];
		double rate = s->series ? series_rate_known(&s->series->polls, SHARES_OVER) : -1;

		if (s->kind != SITE_TASK || !s->polls)
			continue;
		h->polls += s->polls;
		if (rate >= 0)
			h->polls_rate = (h->polls_rate < 0 ? 0 : h->polls_rate) + rate;
		if (s->max_ns > h->max_ns)
			h->max_ns = s->max_ns;
		all.count += s->hist.count;
		for (uint32_t k = 0; k < HIST_BUCKETS; k++)
			all.bucket[k] += s->hist.bucket[k];
	}
	h->p50_ns = hist_quantile(&all, 0.5);
	h->p99_ns = hist_quantile(&all, 0.99);
	if (h->p50_ns > h->max_ns)
		h->p50_ns = h->max_ns;
	if (h->p99_ns > h->max_ns)
		h->p99_ns = h->max_ns;
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

		if (r->id == ID_NONE)
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
	h->inject_count = only->inject.count;
	for (uint32_t i = 0; i < only->inject.count; i++)
		h->inject_series[i] = (double)series_at(&only->inject, only->inject.count - 1 - i);
}

void header_read(struct header *h, const struct snapshot *snap)
{
	const struct model *m = snap->model;

	*h = (struct header){.watched_ns = m->now_ns - m->begin_ns};
	read_what(h, m);
	read_end(h, m);
	read_findings(h, snap->rules);
	read_polls(h, m);
	read_queues(h, m);
	h->overhead = model_overhead_ratio(m, SHARES_OVER);
	h->agent = model_agent_ratio(m, SHARES_OVER);
	h->level = m->cost.level;
	h->cost_known = m->cost.hits > 0 || m->cost.agent_cpu_ns > 0;
	h->lost = m->lost;
}

static int draw_title(const struct header *h, const struct canvas *c, bool paused)
{
	int x = canvas_printf(c, 0, 0, c->cols, ROLE_STRONG, "stalltop "), right = 0;
	char time[64];

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
	char counts[96], closed[64] = "", text[400];
	enum role role = ROLE_OK;
	const char *word = "HEALTHY";

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
	canvas_text(c, y, (int)strlen(word) + 2, c->cols - (int)strlen(word) - 2,
		    open ? role : ROLE_NORMAL, ALIGN_LEFT, text);
	return y + 1;
}

static int draw_polls(const struct header *h, const struct canvas *c, int y)
{
	char ready[96] = "";

	if (h->ready_seen)
		snprintf(ready, sizeof(ready), "  ready wait >= %s",
			 FMT_DURATION(h->ready_worst_ns));
	if (h->ready_seen && c->cols >= SPARK_FROM)
		snprintf(ready + strlen(ready), sizeof(ready) - strlen(ready),
			 " (%u waits of 5 ms or more seen in 5 s)", h->ready_seen);
	if (h->polls)
		canvas_printf(c, y, 0, c->cols, h->ready_seen ? ROLE_WARNING : ROLE_NORMAL,
			      "polls   %s/s  p50 %s  p99 %s  max %s%s", FMT_KNOWN(h->polls_rate),
			      FMT_DURATION(h->p50_ns), FMT_DURATION(h->p99_ns),
			      FMT_DURATION(h->max_ns), ready);
	else
		canvas_printf(c, y, 0, c->cols, ROLE_DIM, "polls   none seen yet");
	return y + 1;
}

static int draw_queues(const struct header *h, const struct canvas *c, int y)
{
	double most = 1;
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
	else if (h->reason[0] && c->cols - x >= REASON_COLUMNS)
		x += canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "  (n/a: %s)", h->reason);
	if (c->cols < SPARK_FROM || h->inject_count < 2 || x + SPARK_COLUMNS + 20 > c->cols)
		return y + 1;
	for (size_t i = 0; i < h->inject_count; i++)
		if (h->inject_series[i] > most)
			most = h->inject_series[i];
	x += canvas_printf(c, y, x, c->cols - x, ROLE_DIM, "  shared, last minute ");
	canvas_spark(c, y, x, SPARK_COLUMNS, ROLE_BUSY, h->inject_series, h->inject_count, most);
	return y + 1;
}

static int draw_cost(const struct header *h, const struct canvas *c, int y)
{
	char level[16] = "n/a";
	int x;

	if (h->cost_known)
		snprintf(level, sizeof(level), "%u", h->level);
	x = canvas_printf(c, y, 0, c->cols, ROLE_NORMAL,
			  "cost    %s of target, level %s; stalltop %s of a core   ",
			  FMT_RATIO(h->overhead), level, FMT_RATIO(h->agent));
	if (h->lost)
		canvas_printf(c, y, x, c->cols - x, ROLE_WARNING, "LOST %s events",
			      FMT_COUNT((double)h->lost));
	else
		canvas_printf(c, y, x, c->cols - x, ROLE_NORMAL, "lost 0");
	return y + 1;
}

int header_draw(const struct header *h, const struct canvas *c, bool paused)
{
	int y = draw_title(h, c, paused);

	y = draw_health(h, c, y);
	if (c->rows < LOW_SCREEN)
		return y;
	y = draw_polls(h, c, y);
	y = draw_queues(h, c, y);
	return draw_cost(h, c, y);
}
