// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Polls before the rules: each closed long poll once, each open one at every tick until its end.
 *
 * While a poll is open its part of a finding is not settled: the part grows, may move to another
 * rule ("unless"), and is replaced by the final length. A rule that held while the poll was open
 * has claimed it: rules that give way to that one leave the poll alone, after its end too.
 */
#include "rules/judge.h"

#include <string.h>

/* The end of a poll may come a little after its thread was seen without it. */
#define GONE_WAIT_NS NS_PER_SEC
/* As long as a late or doubled report of the same poll is expected. */
#define DONE_KEEP_NS (60 * NS_PER_SEC)

static struct tracker *tracker_find(struct judge *j, uint32_t target, uint32_t tid,
				    uint64_t start_ns, bool create)
{
	uint64_t at = mix64(((uint64_t)target << 32 | tid) ^ start_ns * 31);
	struct tracker *free_one = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct tracker *t = &j->trackers[(at + i) % TRACKERS];

		if (t->state == TRACKER_FREE)
			free_one = free_one ? free_one : t;
		else if (t->target == target && t->poll.tid == tid && t->poll.start_ns == start_ns)
			return t;
	}
	if (!create || !free_one)
		return NULL;
	*free_one = (struct tracker){.state = TRACKER_OPEN, .target = target};
	j->trackers_used++;
	return free_one;
}

static void tracker_end(struct tracker *t, uint64_t now)
{
	t->state = TRACKER_DONE;
	t->since_ns = now;
}

static struct field_ctx poll_ctx(const struct judge *j, const struct model *m, uint32_t target,
				 const struct ev_poll *poll)
{
	return (struct field_ctx){
		.m = m,
		.notes = &j->notes,
		.poll = poll,
		.site = model_site(m, poll->site),
		.worker = model_worker(m, target, poll->tid),
		.runtime = model_runtime(m, poll->runtime),
		.target = model_target(m, target),
	};
}

static struct occurrence poll_occurrence(const struct verdict *v, const struct field_ctx *ctx,
					 uint32_t target)
{
	return (struct occurrence){
		.verdict = *v,
		.ctx = ctx,
		.target = target,
		.runtime = ctx->poll->runtime,
		.site = ctx->poll->site,
		.tid = ctx->poll->tid,
		.task = ctx->poll->task_id,
		.begin_ns = ctx->poll->start_ns,
		.end_ns = ctx->poll->start_ns + ctx->poll->length_ns,
		.syscall = ctx->poll->worst_block_ns ? ctx->poll->syscall : -1,
		.loose = ctx->poll->loose_end,
	};
}

/* The first case of the rule that holds: a poll counts once for a rule. */
static bool poll_judge(const struct rule *rule, struct field_ctx *ctx, struct verdict *out)
{
	for (uint32_t i = 0; i < rule->cases_count; i++) {
		if (rule->cases[i].scope != SCOPE_POLL)
			continue;
		ctx->rule = rule->index;
		ctx->window_s = case_window(rule, &rule->cases[i]);
		if (case_judge(rule, &rule->cases[i], ctx, out) && !rule_exempts(rule, ctx))
			return true;
	}
	return false;
}

/* The poll has its final length: it goes to all rules that no claim keeps away. */
static void poll_settle(struct rules *rules, const struct model *m, uint32_t target,
			const struct ev_poll *poll, uint64_t claimed)
{
	struct judge *j = rules->judge;
	struct field_ctx ctx = poll_ctx(j, m, target, poll);
	struct verdict v;

	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *rule = rules->list[i];
		struct occurrence o;

		ctx.poll_open = claimed >> i & 1;
		if (!rule->enabled || claimed & rule->unless_mask || !poll_judge(rule, &ctx, &v))
			continue;
		o = poll_occurrence(&v, &ctx, target);
		finding_settle(j, m, &o);
	}
}

static void closed_polls(struct rules *rules, const struct model *m)
{
	struct judge *j = rules->judge;

	if (m->polls_seq - j->polls_seq > MODEL_POLLS)
		j->polls_seq = m->polls_seq - MODEL_POLLS;
	for (; j->polls_seq < m->polls_seq; j->polls_seq++) {
		const struct long_poll *p = &m->polls[j->polls_seq % MODEL_POLLS];
		struct tracker *t = tracker_find(j, p->target, p->poll.tid, p->poll.start_ns,
						 false);
		uint32_t note = p->poll.site < MODEL_MAX_SITES ? j->notes.of[p->poll.site] : 0;

		if (note)
			j->notes.notes[note - 1].long_blocked_ns += p->poll.blocked_ns;
		if (t && t->state == TRACKER_DONE)
			continue;
		poll_settle(rules, m, p->target, &p->poll, t ? t->claimed : 0);
		if (t)
			tracker_end(t, m->now_ns);
	}
}

static void see_open_polls(struct judge *j, const struct model *m)
{
	for (uint32_t i = 0; i < m->workers_count; i++) {
		const struct worker *w = &m->workers[i];
		struct tracker *t;

		if (!w->open || w->ended)
			continue;
		t = tracker_find(j, w->target, w->poll.tid, w->poll.start_ns, true);
		if (!t || t->state == TRACKER_DONE)
			continue;
		t->state = TRACKER_OPEN;
		t->since_ns = m->now_ns;
		t->poll = w->poll;
	}
}

/* Claims first, all of them: the order of the rules must not matter. */
static void judge_open_poll(struct rules *rules, const struct model *m, struct tracker *t)
{
	struct judge *j = rules->judge;
	struct field_ctx ctx = poll_ctx(j, m, t->target, &t->poll);
	bool open = t->state == TRACKER_OPEN;
	struct verdict verdicts[RULES_MAX];
	uint64_t held = 0;

	for (uint32_t i = 0; i < rules->count; i++) {
		ctx.poll_open = open || (t->claimed >> i & 1);
		if (rules->list[i]->enabled && poll_judge(rules->list[i], &ctx, &verdicts[i]))
			held |= 1ULL << i;
	}
	t->claimed |= held;
	for (uint32_t i = 0; i < rules->count; i++) {
		struct occurrence o;

		if (!(held >> i & 1) || t->claimed & rules->list[i]->unless_mask)
			continue;
		ctx.poll_open = true;
		ctx.window_s = case_window(rules->list[i], verdicts[i].rc);
		o = poll_occurrence(&verdicts[i], &ctx, t->target);
		finding_open_poll(j, m, &o, open);
	}
}

/* Its end was never told: the length seen last is a lower bound. */
static void settle_gone(struct rules *rules, const struct model *m, struct tracker *t)
{
	struct ev_poll poll = t->poll;

	poll.loose_end = true;
	poll_settle(rules, m, t->target, &poll, t->claimed);
	tracker_end(t, m->now_ns);
}

static void tracker_tick(struct rules *rules, const struct model *m, struct tracker *t)
{
	const struct target *target = model_target(m, t->target);

	if (t->state == TRACKER_DONE) {
		if (m->now_ns - t->since_ns < DONE_KEEP_NS)
			return;
		t->state = TRACKER_FREE;
		rules->judge->trackers_used--;
		return;
	}
	if (t->state == TRACKER_OPEN && t->since_ns != m->now_ns) {
		t->state = TRACKER_GONE;
		t->since_ns = m->now_ns;
	}
	if (t->state == TRACKER_GONE &&
	    (m->now_ns - t->since_ns >= GONE_WAIT_NS || !target || target->ended))
		settle_gone(rules, m, t);
	else
		judge_open_poll(rules, m, t);
}

void polls_eval(struct rules *rules, const struct model *m)
{
	struct judge *j = rules->judge;

	closed_polls(rules, m);
	see_open_polls(j, m);
	for (uint32_t i = 0; i < TRACKERS && j->trackers_used; i++)
		if (j->trackers[i].state != TRACKER_FREE)
			tracker_tick(rules, m, &j->trackers[i]);
}
