// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * One fault, one alarm: findings that are effects of another one point to it.
 *
 * Which rules can be the cause of which, the rules say ("caused_by"); here it is decided which
 * finding is, by what it is about and when. Found anew at each tick, for all.
 */
#include "rules/judge.h"

/* What was the cause of a mean over a window may lie as far back. */
static uint64_t slack_of(const struct slot *effect)
{
	const struct rule_case *rc = effect->shown.rc;

	return rc->wants_culprit ? case_window(effect->shown.f.rule, rc) * NS_PER_SEC : 0;
}

/* The one thing that a cause of this rule could be about. */
static uint64_t key_of(const struct rule *rule, const struct finding *effect)
{
	const uint32_t site = effect->rule->group == GROUP_SITE ? effect->site : effect->culprit;

	switch (rule->group) {
	case GROUP_SITE: return site;
	case GROUP_RUNTIME: return effect->runtime;
	case GROUP_TARGET: return effect->target;
	case GROUP_WORKER: break;
	}
	return ID_NONE;
}

/*
 * A task type that holds the workers is the cause of what lasts as long as that. What has befallen
 * a whole runtime is the cause only of what has not happened before: of what began with it, and of
 * polls that all lasted until it was there.
 */
static bool explains(const struct slot *cause, const struct slot *effect)
{
	const struct finding *c = &cause->shown.f, *e = &effect->shown.f;
	uint64_t slack = slack_of(effect);

	if (c->target != e->target || c->last_ns + slack < e->first_ns ||
	    e->last_ns + slack < c->first_ns)
		return false;
	if (c->rule->group == GROUP_SITE)
		return true;
	if (e->rule->group == GROUP_SITE)
		return effect->shown.first_end_ns >= c->first_ns;
	return e->first_ns + slack >= c->first_ns;
}

static struct slot *cause_of(struct judge *j, const struct slot *effect)
{
	const struct rule *rule = effect->shown.f.rule;

	for (uint32_t i = 0; i < rule->causes_count; i++) {
		uint64_t key = key_of(rule->cause_rules[i], &effect->shown.f);
		struct slot *slot = NULL;

		if (key != ID_NONE)
			slot = finding_slot(j, rule->cause_rules[i], key);
		if (slot && explains(slot, effect))
			return slot;
	}
	return NULL;
}

/* The alarm is given where the chain of causes begins; it ends, since that of the rules does. */
static void add_to_root(struct judge *j, struct slot *cause, enum severity severity)
{
	for (struct slot *next = cause; next; next = cause_of(j, cause))
		cause = next;
	cause->shown.f.effects++;
	if (severity > cause->shown.f.alarm)
		cause->shown.f.alarm = severity;
}

void causes_find(struct judge *j)
{
	for (size_t i = 0; i < FINDINGS_MAX; i++) {
		struct finding *f = &j->slots[i].shown.f;

		f->alarm = f->severity;
		f->effects = 0;
		f->cause = (struct finding_cause){.site = ID_NONE, .runtime = ID_NONE};
	}
	for (size_t i = 0; i < FINDINGS_MAX; i++) {
		struct finding *f = &j->slots[i].shown.f;
		struct slot *cause = j->slots[i].used ? cause_of(j, &j->slots[i]) : NULL;
		const struct finding *c = cause ? &cause->shown.f : NULL;

		if (!cause)
			continue;
		f->cause = (struct finding_cause){
			.rule = c->rule,
			.site = c->site,
			.runtime = c->runtime,
			.first_ns = c->first_ns,
			.last_ns = c->last_ns,
			.open = c->open,
		};
		add_to_root(j, cause, f->severity);
	}
}
