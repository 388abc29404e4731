// SPDX-License-Identifier: LGPL-2.1-or-later
/* Conditions, scopes, and how long a condition has held: one judgement a tick. */
#include "rules/judge.h"

#include <string.h>

#include "util/syscall.h"

/* Above this many sites, cases of scope site are judged once a second: a tick stays short. */
#define SITES_EACH_TICK 4096
/* A condition that was not judged true for this long makes room for others. */
#define HOLD_KEEP_NS (3 * NS_PER_SEC)

/* --- conditions ------------------------------------------------------------------- */

static bool cond_holds(const struct rule *rule, const struct cond *cond,
		       const struct field_ctx *ctx, enum evidence *evidence)
{
	bool known, sampled;
	double left, right;

	if (!field_get(cond->field, ctx, &left))
		return false;
	right = operand_value(rule, &cond->rhs, ctx, &known);
	if (!known || !cond_compare(cond->op, left, right))
		return false;
	*evidence = cond->field->evidence;
	sampled = cond->field->scope == SCOPE_SITE ?
			  ctx->site->sampled :
			  cond->field->scope == SCOPE_POLL && ctx->site && ctx->site->by_stacks;
	if (sampled && *evidence < EVIDENCE_SAMPLED)
		*evidence = EVIDENCE_SAMPLED;
	return true;
}

/* Of several alternatives that hold, the best evidence; fields of what is unknown never hold. */
static bool clause_holds(const struct rule *rule, const struct clause *clause,
			 const struct field_ctx *ctx, enum evidence *evidence)
{
	enum evidence one = EVIDENCE_INFERRED;
	bool holds = false;

	for (uint32_t i = 0; i < clause->count; i++) {
		if (!cond_holds(rule, &clause->conds[i], ctx, &one))
			continue;
		if (!holds || one < *evidence)
			*evidence = one;
		holds = true;
	}
	return holds;
}

/* All clauses: a chain of evidence is as good as its weakest part. */
static bool level_holds(const struct rule *rule, const struct level *level,
			const struct field_ctx *ctx, enum evidence *evidence)
{
	enum evidence one = EVIDENCE_INFERRED;

	*evidence = EVIDENCE_TRACED;
	for (uint32_t i = 0; i < level->count; i++) {
		if (!clause_holds(rule, &level->when[i], ctx, &one))
			return false;
		if (one > *evidence)
			*evidence = one;
	}
	return true;
}

bool case_judge(const struct rule *rule, const struct rule_case *rc, const struct field_ctx *ctx,
		struct verdict *out)
{
	bool holds = false;

	*out = (struct verdict){.rule = rule, .rc = rc};
	for (uint32_t i = 0; i < rc->levels_count; i++) {
		enum evidence evidence;

		if ((holds && rc->levels[i].severity < out->severity) ||
		    !level_holds(rule, &rc->levels[i], ctx, &evidence))
			continue;
		holds = true;
		out->severity = rc->levels[i].severity;
		out->evidence = evidence;
	}
	return holds;
}

/* Whole seconds, as the model's history has them. */
uint32_t case_window(const struct rule *rule, const struct rule_case *rc)
{
	bool known;
	double seconds = operand_value(rule, &rc->window, NULL, &known) / NS_PER_SEC;

	if (seconds < 1)
		return 1;
	return seconds < SERIES_LEN - 1 ? (uint32_t)seconds : SERIES_LEN - 1;
}

/* --- exemptions ------------------------------------------------------------------- */

/* '*' any text, '?' one byte; no brackets, which type names are full of. */
static bool glob(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = text;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

static bool any_glob(const char *const *patterns, uint32_t count, const char *text)
{
	for (uint32_t i = 0; i < count; i++)
		if (text && glob(patterns[i], text))
			return true;
	return false;
}

static bool exempt_syscall(const struct rule *rule, const struct ev_poll *poll)
{
	const char *name = poll ? syscall_name(poll->syscall) : NULL;

	for (uint32_t i = 0; i < rule->exempt_syscalls_count; i++)
		if (name && !strcmp(rule->exempt_syscalls[i], name))
			return true;
	return false;
}

bool site_exempt(const struct site_notes *notes, const struct rule *rule, uint32_t site)
{
	return site < MODEL_MAX_SITES && notes->exempt[site].rules >> rule->index & 1;
}

/* Where no frame would tell of block_in_place. */
static bool exempt_poll(const struct rule *rule, const struct field_ctx *ctx)
{
	return rule->exempt_handed_off && ctx->poll && ctx->poll->handed_off &&
	       !(ctx->site && stacks_tell_all(ctx->site));
}

bool rule_exempts(const struct rule *rule, const struct field_ctx *ctx)
{
	if (ctx->site && rule->exempt_kinds >> ctx->site->kind & 1)
		return true;
	if (ctx->site && site_exempt(ctx->notes, rule, ctx->site->id))
		return true;
	if (ctx->site && any_glob(rule->exempt_sites, rule->exempt_sites_count, ctx->site->name))
		return true;
	if (ctx->worker &&
	    any_glob(rule->exempt_threads, rule->exempt_threads_count, ctx->worker->now.comm))
		return true;
	return exempt_poll(rule, ctx) || exempt_syscall(rule, ctx->poll);
}

/* --- "for" ------------------------------------------------------------------------ */

static struct hold *hold_get(struct judge *j, uint64_t key, uint64_t now)
{
	struct hold *stale = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct hold *h = &j->holds[(mix64(key) + i) % HOLDS];

		if (h->key == key)
			return h;
		if (!h->key || now - h->seen_ns > HOLD_KEEP_NS)
			stale = h;
	}
	if (stale)
		*stale = (struct hold){.key = key};
	return stale;
}

/* Like case_judge(), of the levels that have held for the case's time without a break. */
static bool case_judge_lasting(struct judge *j, const struct rule_case *rc,
			       const struct field_ctx *ctx, uint64_t key, uint64_t round,
			       struct verdict *v)
{
	const struct rule *rule = v->rule;
	uint64_t now = ctx->m->now_ns, least;
	bool known, any = false, lasting = false;
	bool holds[CASE_LEVELS];
	enum evidence evidence[CASE_LEVELS];
	struct hold *h;

	least = (uint64_t)operand_value(rule, &rc->hold, NULL, &known);
	if (!least)
		return case_judge(rule, rc, ctx, v);
	for (uint32_t i = 0; i < rc->levels_count; i++) {
		holds[i] = level_holds(rule, &rc->levels[i], ctx, &evidence[i]);
		any |= holds[i];
	}
	h = any ? hold_get(j, key, now) : NULL;
	if (!h)
		return false;
	if (h->round + 1 != round && h->round != round)
		memset(h->since_ns, 0, sizeof(h->since_ns));
	h->round = round;
	h->seen_ns = now;
	for (uint32_t i = 0; i < rc->levels_count; i++) {
		h->since_ns[i] = !holds[i] ? 0 : h->since_ns[i] ? h->since_ns[i] : now;
		if (!holds[i] || now - h->since_ns[i] < least ||
		    (lasting && rc->levels[i].severity < v->severity))
			continue;
		lasting = true;
		v->severity = rc->levels[i].severity;
		v->evidence = evidence[i];
	}
	return lasting;
}

/* Hysteresis: what a finding needs to stay open is less than what opens it. */
static bool case_stays(struct judge *j, struct occurrence *o)
{
	const struct level *stays = &o->verdict.rc->stays;

	return stays->count && finding_is_open(j, o, &o->verdict.severity) &&
	       level_holds(o->verdict.rule, stays, o->ctx, &o->verdict.evidence);
}

/* --- scopes ----------------------------------------------------------------------- */

struct pass {
	struct rules *rules;
	struct judge *j;
	const struct model *m;
	const struct rule *rule;
	uint32_t case_index;
	struct field_ctx ctx;
};

/* One object of a case; `id` tells it from the other objects of the scope. */
static void judge_object(struct pass *p, uint64_t id)
{
	const struct rule_case *rc = &p->rule->cases[p->case_index];
	struct field_ctx *ctx = &p->ctx;
	uint64_t round = rc->scope == SCOPE_SITE ? p->j->site_round : p->j->round;
	uint64_t key = mix64(id) ^ ((uint64_t)p->rule->index * RULE_CASES + p->case_index + 1);
	struct occurrence o = {
		.verdict = {.rule = p->rule, .rc = rc},
		.ctx = ctx,
		.target = ctx->target->id,
		.runtime = ctx->runtime ? ctx->runtime->id : ID_NONE,
		.site = ctx->site ? ctx->site->id : ID_NONE,
		.tid = ctx->worker ? ctx->worker->now.tid : 0,
		.begin_ns = p->m->now_ns,
		.end_ns = p->m->now_ns,
		.syscall = -1,
	};

	if (!case_judge_lasting(p->j, rc, ctx, key, round, &o.verdict) && !case_stays(p->j, &o))
		return;
	if (!rule_exempts(p->rule, ctx) && !finding_gives_way(p->j, p->rules, p->m, &o))
		finding_state(p->j, p->m, &o);
}

static bool set_target(struct pass *p, uint32_t target)
{
	p->ctx.target = model_target(p->m, target);
	return p->ctx.target && !p->ctx.target->ended;
}

static void judge_sites(struct pass *p)
{
	if (p->j->sites_ns != p->m->now_ns)
		return;
	for (uint32_t i = 0; i < p->m->sites_count; i++) {
		p->ctx.site = &p->m->sites[i];
		if (p->ctx.site->id != ID_NONE && set_target(p, p->ctx.site->target))
			judge_object(p, i);
	}
}

static void judge_workers(struct pass *p)
{
	for (uint32_t i = 0; i < p->m->workers_count; i++) {
		const struct worker *w = &p->m->workers[i];

		p->ctx.worker = w;
		p->ctx.runtime = model_runtime(p->m, w->now.runtime);
		if (!w->ended && set_target(p, w->target))
			judge_object(p, (uint64_t)w->target << 32 | w->now.tid);
	}
}

static void judge_runtimes(struct pass *p)
{
	for (uint32_t i = 0; i < p->m->runtimes_count; i++) {
		p->ctx.runtime = &p->m->runtimes[i];
		if (p->ctx.runtime->id != ID_NONE && set_target(p, p->ctx.runtime->target))
			judge_object(p, i);
	}
}

static void judge_targets(struct pass *p)
{
	for (uint32_t i = 0; i < p->m->targets_count; i++)
		if (p->m->targets[i].id != ID_NONE && set_target(p, p->m->targets[i].id))
			judge_object(p, i);
}

static void judge_none(struct pass *p)
{
	(void)p;
}

static void (*const judge_scope[])(struct pass *p) = {
	[SCOPE_POLL] = judge_none, /* polls.c */
	[SCOPE_SITE] = judge_sites,	  [SCOPE_WORKER] = judge_workers,
	[SCOPE_RUNTIME] = judge_runtimes, [SCOPE_TARGET] = judge_targets,
};

static void judge_rule(struct rules *rules, const struct model *m, const struct rule *rule)
{
	for (uint32_t i = 0; i < rule->cases_count; i++) {
		const struct rule_case *rc = &rule->cases[i];
		struct pass p = {
			.rules = rules,
			.j = rules->judge,
			.m = m,
			.rule = rule,
			.case_index = i,
			.ctx = {.m = m,
				.notes = &rules->judge->notes,
				.rule = rule->index,
				.window_s = case_window(rule, rc)},
		};

		judge_scope[rc->scope](&p);
	}
}

/* --- the judge's own history ------------------------------------------------------- */

static void note_site(struct site_notes *notes, const struct site *s, uint64_t seconds)
{
	struct site_note *note;
	uint64_t blocked;

	if (!notes->of[s->id]) {
		if (notes->count == SITE_NOTES)
			return;
		notes->of[s->id] = (uint16_t)++notes->count;
	}
	note = &notes->notes[notes->of[s->id] - 1];
	/* The statistics may lag behind the polls: never below what was seen before. */
	blocked = s->blocked_ns > note->long_blocked_ns ? s->blocked_ns - note->long_blocked_ns : 0;
	if (blocked < series_at(&note->short_blocked, 0))
		blocked = series_at(&note->short_blocked, 0);
	/* Seconds that no tick closed repeat the value: the growth is that of the whole gap. */
	for (uint64_t i = 0; i < seconds && i < SERIES_LEN; i++) {
		struct series *short_blocked = &note->short_blocked;

		short_blocked->head = (short_blocked->head + 1) % SERIES_LEN;
		short_blocked->v[short_blocked->head] = blocked;
		short_blocked->count += short_blocked->count < SERIES_LEN;
	}
}

static void note_sites(struct site_notes *notes, const struct model *m)
{
	uint64_t second = (m->now_ns - m->begin_ns) / NS_PER_SEC;

	if (second == notes->second)
		return;
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE && m->sites[i].blocked_ns)
			note_site(notes, &m->sites[i], second - notes->second);
	notes->second = second;
}

static void note_stacks(struct rules *rules, const struct model *m)
{
	for (uint32_t i = 0; i < m->sites_count; i++) {
		const struct site_stacks *stacks = m->sites[i].stacks;
		uint64_t taken = 0, exempt = 0, calls = 0;

		for (uint32_t k = 0; stacks && k < STACK_KINDS; k++)
			taken += stacks->taken[k];
		if (taken == rules->judge->notes.exempt[i].stacks)
			continue;
		for (uint32_t k = 0; stacks && k < rules->count; k++) {
			exempt |= (uint64_t)stacks_exempt(rules->list[k], &m->sites[i]) << k;
			calls |= (uint64_t)stacks_in_call(rules->list[k], m, &m->sites[i]) << k;
		}
		rules->judge->notes.exempt[i].stacks = taken;
		rules->judge->notes.exempt[i].rules = exempt;
		rules->judge->notes.exempt[i].calls = calls;
	}
}

void rules_eval(struct rules *rules, const struct model *m)
{
	struct judge *j = rules->judge;
	uint64_t second = j->notes.second;

	j->round++;
	findings_begin(j);
	note_stacks(rules, m);
	polls_eval(rules, m);
	note_sites(&j->notes, m);
	if (m->sites_count <= SITES_EACH_TICK || second != j->notes.second) {
		j->site_round++;
		j->sites_ns = m->now_ns;
	}
	for (uint32_t turn = 0; turn <= rules->count; turn++)
		for (uint32_t i = 0; i < rules->count; i++)
			if (rules->list[i]->enabled && rules->list[i]->turn == turn)
				judge_rule(rules, m, rules->list[i]);
	findings_end(j, m);
}
