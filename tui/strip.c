// SPDX-License-Identifier: LGPL-2.1-or-later
/* Spans and seconds of workers, and how they are drawn; see strip.h. */
#include "tui/strip.h"

#include <stdio.h>
#include <string.h>

#include "util/syscall.h"
#include "util/xalloc.h"

#define SECOND 1000000000ULL
#define KEPT_NS (64 * SECOND) /* as long as the model has seconds */
#define RULER_COLUMNS 12      /* between two times above the strips */

static uint32_t name_of(struct strips *all, const struct model *m, uint32_t site)
{
	struct strip_name *name;

	for (size_t i = all->names_count; i > 0; i--)
		if (all->names[i - 1].site == site)
			return (uint32_t)(i - 1);
	all->names = xgrow(all->names, &all->names_cap, all->names_count + 1, sizeof(*all->names));
	name = &all->names[all->names_count];
	name->site = site;
	snprintf(name->text, sizeof(name->text), "%s", site_text(m, site));
	return (uint32_t)all->names_count++;
}

static void add(struct strips *all, const struct model *m, uint32_t target,
		const struct ev_poll *poll, uint64_t end_ns, bool open)
{
	if (end_ns + KEPT_NS < m->now_ns || end_ns <= poll->start_ns)
		return;
	all->spans = xgrow(all->spans, &all->cap, all->count + 1, sizeof(*all->spans));
	all->spans[all->count++] = (struct span){
		.target = target,
		.tid = poll->tid,
		.site = poll->site,
		.name = name_of(all, m, poll->site),
		.syscall = poll->syscall,
		.task_id = poll->task_id,
		.start_ns = poll->start_ns,
		.end_ns = end_ns,
		.length_ns = poll->length_ns ? poll->length_ns : end_ns - poll->start_ns,
		.blocked_ns = poll->blocked_ns,
		.preempted_ns = poll->preempted_ns,
		.open = open,
	};
}

static int compare_spans(const void *a_, const void *b_)
{
	const struct span *a = a_, *b = b_;

	if (a->target != b->target)
		return a->target < b->target ? -1 : 1;
	if (a->tid != b->tid)
		return a->tid < b->tid ? -1 : 1;
	return a->start_ns < b->start_ns ? -1 : a->start_ns > b->start_ns;
}

uint64_t strip_end_ns(const struct model *m, const struct worker *w)
{
	const struct target *t = model_target(m, w->target);

	return w->ended ? w->ended_ns : t && t->ended ? t->end_ns : 0;
}

void strips_read(struct strips *all, const struct model *m)
{
	uint64_t first = m->polls_seq > MODEL_POLLS ? m->polls_seq - MODEL_POLLS : 0;

	all->count = all->names_count = 0;
	all->begin_ns = m->begin_ns;
	all->now_ns = m->now_ns;
	for (uint64_t seq = first; seq < m->polls_seq; seq++) {
		const struct long_poll *p = &m->polls[seq % MODEL_POLLS];

		add(all, m, p->target, &p->poll, p->poll.start_ns + p->poll.length_ns, false);
	}
	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];

		if (w->open && !w->ended)
			add(all, m, w->target, &w->poll, m->now_ns, true);
		else if (strip_end_ns(m, w) && w->poll.start_ns != w->closed_start_ns)
			/* It ended in this one; how long it lasted was seen until then. */
			add(all, m, w->target, &w->poll, w->poll_seen_ns, false);
	}
	if (all->count)
		qsort(all->spans, all->count, sizeof(*all->spans), compare_spans);
}

void strips_free(struct strips *all)
{
	free(all->spans);
	free(all->names);
}

/* The first span at or behind this thread's place in the order. */
static size_t first_at(const struct strips *all, uint32_t target, uint32_t tid)
{
	struct span key = {.target = target, .tid = tid};
	size_t low = 0, high = all->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_spans(&all->spans[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void strip_read(struct strip *strip, const struct strips *all, const struct model *m,
		const struct worker *w)
{
	uint64_t end = strip_end_ns(m, w);

	spark_read_shares(&strip->busy, m, &w->busy);
	spark_read_shares(&strip->blocked, m, &w->blocked);
	spark_read_shares(&strip->preempted, m, &w->preempted);
	strip->sampled = w->now.unaccounted;
	/* Its seconds have not gone on with the clock. */
	if (end > m->begin_ns)
		strip->busy.second = strip->blocked.second = strip->preempted.second =
			(end - m->begin_ns) / SECOND;
	strip->first = first_at(all, w->target, w->now.tid);
	strip->count = first_at(all, w->target, w->now.tid + 1) - strip->first;
}

/* The share of the second in which `at_ns` lies; negative: not known, or not complete yet. */
static double share_at(const struct spark *spark, uint64_t begin_ns, uint64_t at_ns)
{
	uint64_t second = (at_ns - begin_ns) / SECOND + 1; /* the number of the value */

	if (at_ns < begin_ns || second > spark->second || spark->second - second >= spark->count)
		return -1;
	return spark->value[spark->count - 1 - (spark->second - second)];
}

/* The largest share of the seconds that [from, to) touches. */
static double share_in(const struct spark *spark, uint64_t begin_ns, uint64_t from, uint64_t to)
{
	double most = -1;

	for (uint64_t at = from; at < to; at += SECOND) {
		double share = share_at(spark, begin_ns, at);

		most = share > most ? share : most;
	}
	return most;
}

void strip_part(const struct strip *strip, const struct strips *all, uint64_t from_ns,
		uint64_t to_ns, struct strip_part *out)
{
	double step = (double)(to_ns - from_ns), blocked, preempted;

	*out = (struct strip_part){.busy = share_in(&strip->busy, all->begin_ns, from_ns, to_ns)};
	out->known = out->busy >= 0;
	for (size_t i = strip->first; i < strip->first + strip->count; i++) {
		const struct span *s = &all->spans[i];
		uint64_t from = s->start_ns > from_ns ? s->start_ns : from_ns;
		uint64_t to = s->end_ns < to_ns ? s->end_ns : to_ns;
		double part;

		if (from >= to)
			continue;
		part = (double)(to - from) / step;
		blocked = part * (double)s->blocked_ns / (double)s->length_ns;
		preempted = part * (double)s->preempted_ns / (double)s->length_ns;
		out->blocked += blocked;
		out->preempted += preempted;
		if (part > blocked + preempted)
			out->computing += part - blocked - preempted;
	}
	if (to_ns - from_ns < SECOND)
		return;
	/* Short blocks, too, are known by the second. */
	blocked = share_in(&strip->blocked, all->begin_ns, from_ns, to_ns);
	preempted = share_in(&strip->preempted, all->begin_ns, from_ns, to_ns);
	out->blocked = blocked > out->blocked ? blocked : out->blocked;
	out->preempted = preempted > out->preempted ? preempted : out->preempted;
}

/* What is not known of a thread whose polls are sampled is not rest. */
static void draw_part(const struct canvas *c, int y, int x, const struct strip_part *part,
		      bool sampled)
{
	struct spark one = {.count = 1, .max = 1};

	if (part->blocked >= STRIP_MARK) {
		canvas_text(c, y, x, 1, ROLE_BLOCKED, ALIGN_LEFT, "B");
	} else if (part->computing >= STRIP_MARK && part->computing >= part->preempted) {
		canvas_text(c, y, x, 1, ROLE_WARNING, ALIGN_LEFT, "C");
	} else if (part->preempted >= STRIP_MARK && part->preempted > part->busy) {
		canvas_text(c, y, x, 1, ROLE_PREEMPTED, ALIGN_LEFT, "p");
	} else {
		one.value[0] = part->known ? part->busy : sampled ? -1 : 0;
		canvas_spark(c, y, x, 1, ROLE_BUSY, &one);
	}
}

void strip_draw(const struct strip *strip, const struct strips *all, const struct window *window,
		uint64_t cursor_ns, const struct canvas *c, int y, int x)
{
	struct canvas column = *c;

	canvas_fill(c, y, x, window->columns, ROLE_NORMAL);
	for (int i = 0; i < window->columns; i++) {
		uint64_t back = (uint64_t)(window->columns - i) * window->step_ns;
		uint64_t from = window->end_ns - back;
		struct strip_part part = {0};

		/* Before the watch began. */
		if (window->end_ns < back + all->begin_ns)
			continue;
		strip_part(strip, all, from, from + window->step_ns, &part);
		column.focus = cursor_ns == from;
		draw_part(&column, y, x + i, &part, strip->sampled);
	}
}

void strip_ruler(const struct strips *all, const struct window *window, const struct canvas *c,
		 int y, int x)
{
	for (int i = RULER_COLUMNS; i <= window->columns; i += RULER_COLUMNS) {
		uint64_t back = (uint64_t)i * window->step_ns, from = window->end_ns - back, ago;
		char text[16];

		if (window->end_ns < back + all->begin_ns)
			break;
		/* In whole steps: the figures stand still as long as the columns do. */
		ago = all->now_ns > from ? all->now_ns - from : 0;
		ago -= ago % window->step_ns;
		if (window->step_ns >= SECOND)
			snprintf(text, sizeof(text), "-%us", (unsigned)(ago / SECOND));
		else
			snprintf(text, sizeof(text), "-%.1fs", (double)ago / SECOND);
		canvas_text(c, y, x + window->columns - i, RULER_COLUMNS, ROLE_HEAD, ALIGN_LEFT,
			    text);
	}
}

char *span_text(const struct span *span, char *out, size_t size)
{
	const char *call = span->syscall >= 0 ? syscall_name(span->syscall) : NULL;
	uint64_t length = span->end_ns - span->start_ns;

	if (span->blocked_ns * 2 >= span->length_ns)
		snprintf(out, size, "%s blocked%s%s", FMT_DURATION(length), call ? " in " : "",
			 call ? call : "");
	else
		snprintf(out, size, "%s %s", FMT_DURATION(length),
			 span->preempted_ns * 2 >= span->length_ns ? "preempted" : "computing");
	return out;
}

enum role span_role(const struct span *span)
{
	if (span->blocked_ns * 2 >= span->length_ns)
		return ROLE_BLOCKED;
	return span->preempted_ns * 2 >= span->length_ns ? ROLE_PREEMPTED : ROLE_WARNING;
}
