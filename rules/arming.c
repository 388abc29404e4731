// SPDX-License-Identifier: LGPL-2.1-or-later
/* What each rule can find on what is watched: does anything tell the fields that it asks for? */
#include "rules/rule_impl.h"

#include <stdio.h>
#include <string.h>

const char *arming_name(enum arming arming)
{
	static const char *const names[] = {"armed", "limited", "off"};

	return names[arming];
}

static bool say(char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return false;
}

static bool any_site(const struct model *m, bool (*is)(const struct site *s))
{
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE && is(&m->sites[i]))
			return true;
	return false;
}

static bool is_named(const struct site *s)
{
	return s->name_from < NAME_NONE;
}

static bool has_gap(const struct site *s)
{
	return s->sampled || s->tasks_gap;
}

static bool tells_self_wakes(const struct site *s)
{
	return s->self_valid;
}

static bool tells_wakers(const struct site *s)
{
	return s->wakers_known;
}

static bool tells_panics(const struct site *s)
{
	return s->panics_valid;
}

static bool tells_samples(const struct site *s)
{
	return s->samples_valid;
}

static bool has_level(const struct model *m, uint8_t level, char *why, size_t size)
{
	if (m->cost.level >= level)
		return true;
	if (m->cost.level_asked >= level)
		snprintf(why, size, "over the overhead budget: needs level %u", level);
	else
		snprintf(why, size, "needs --level %u", level);
	return false;
}

static bool has_polls(const struct model *m, char *why, size_t size)
{
	return has_level(m, 1, why, size);
}

static bool has_long(const struct model *m, char *why, size_t size)
{
	if (m->cost.level || m->cost.sentinel >= SENTINEL_BLOCKS)
		return true;
	return say(why, size,
		   "level 0 has not learned where a thread keeps the id of its task; --level 1 "
		   "needs no such thing");
}

static bool has_computing(const struct model *m, char *why, size_t size)
{
	if (m->cost.level || m->cost.sentinel >= SENTINEL_POLLS)
		return true;
	return say(why, size,
		   "level 0 has not learned what tells two polls of a task apart; --level 1 needs "
		   "no such thing");
}

static bool has_tasks(const struct model *m, char *why, size_t size)
{
	return has_level(m, 2, why, size);
}

static bool has_wakes(const struct model *m, char *why, size_t size)
{
	return has_level(m, 3, why, size);
}

static bool has_self_wakes(const struct model *m, char *why, size_t size)
{
	if (!has_level(m, 3, why, size))
		return false;
	return any_site(m, tells_self_wakes) ||
	       say(why, size, "no task type was seen whose wakes can be told apart");
}

/* One runtime whose depth is known is enough: a rule judges each for itself. */
static bool has_depth(const struct model *m, int64_t (*depth)(const struct ev_queues *q), char *why,
		      size_t size)
{
	const char *reason = "no runtime was seen at work yet";

	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *rt = &m->runtimes[i];

		if (rt->id == ID_NONE)
			continue;
		if (rt->queues_seen && depth(&rt->queues) >= 0)
			return true;
		reason = rt->queues.reason ? rt->queues.reason : "its queues were not read yet";
	}
	snprintf(why, size, "queue depths n/a: %s", reason);
	return false;
}

static int64_t run_queue(const struct ev_queues *q)
{
	return q->inject < 0 || q->local < 0 ? -1 : q->inject + q->local;
}

static int64_t blocking_queue(const struct ev_queues *q)
{
	return q->blocking_queue < 0 || q->blocking_idle < 0 ? -1 : q->blocking_queue;
}

static int64_t inject(const struct ev_queues *q)
{
	return q->inject;
}

static int64_t alive(const struct ev_queues *q)
{
	return q->alive;
}

static bool has_queues(const struct model *m, char *why, size_t size)
{
	return has_depth(m, run_queue, why, size);
}

static bool has_inject(const struct model *m, char *why, size_t size)
{
	return has_depth(m, inject, why, size);
}

static bool has_alive(const struct model *m, char *why, size_t size)
{
	return has_depth(m, alive, why, size);
}

static bool has_pool(const struct model *m, char *why, size_t size)
{
	return has_depth(m, blocking_queue, why, size);
}

static bool has_wakers(const struct model *m, char *why, size_t size)
{
	if (!has_tasks(m, why, size))
		return false;
	return any_site(m, tells_wakers) ||
	       say(why, size, "no task was seen whose runtime counts its wakers apart");
}

/* Who has a lock is looked for only where each task of each type is known. */
static bool has_all_tasks(const struct model *m, char *why, size_t size)
{
	if (!has_tasks(m, why, size))
		return false;
	if (!m->cost.sites_off && !any_site(m, has_gap))
		return true;
	return say(why, size,
		   "not all task types are probed all the time, or were so far, so some tasks that "
		   "may have a lock are not known");
}

/* Which lock a thread waits for, frames tell: those of a stripped program have no names. */
static bool has_locks(const struct model *m, char *why, size_t size)
{
	if (!has_all_tasks(m, why, size))
		return false;
	return any_site(m, is_named) ||
	       say(why, size, "the program has no symbols, so the frames of a lock have no names");
}

static bool has_panics(const struct model *m, char *why, size_t size)
{
	if (!has_tasks(m, why, size))
		return false;
	return any_site(m, tells_panics) ||
	       say(why, size,
		   "panics are not seen: no symbol says where they go through, or it is no Tokio");
}

static bool has_guards(const struct model *m, char *why, size_t size)
{
	bool known = false;

	if (!has_tasks(m, why, size))
		return false;
	for (uint32_t i = 0; m->tasks_waiting && !known && i < m->tasks_count; i++)
		known = m->tasks[i].row.holds_known;
	return known || !m->tasks_waiting ||
	       say(why, size,
		   "tasks wait for locks of Tokio, and no debug information tells who holds them");
}

static bool has_samples(const struct model *m, char *why, size_t size)
{
	if (!has_polls(m, why, size))
		return false;
	return any_site(m, tells_samples) ||
	       say(why, size, "no poll was sampled on a CPU, or they cannot be sampled here");
}

static bool has_channels(const struct model *m, char *why, size_t size)
{
	const char *reason = "they were not looked for";

	if (!has_tasks(m, why, size))
		return false;
	for (uint32_t i = 0; i < m->targets_count; i++) {
		const struct target *t = &m->targets[i];

		if (t->id != ID_NONE && t->channels.channels)
			return true;
		if (t->id != ID_NONE && t->channels_seen)
			reason = t->channels.reason ? t->channels.reason :
						      "none was found in the memory of its tasks";
	}
	snprintf(why, size, "channels n/a: %s", reason);
	return false;
}

static bool (*const have[])(const struct model *m, char *why, size_t size) = {
	[NEED_NOTHING] = NULL,	      [NEED_POLLS] = has_polls,	  [NEED_LONG] = has_long,
	[NEED_CPU] = has_computing,   [NEED_TASKS] = has_tasks,	  [NEED_WAKES] = has_wakes,
	[NEED_SELF] = has_self_wakes, [NEED_QUEUES] = has_queues, [NEED_INJECT] = has_inject,
	[NEED_ALIVE] = has_alive,     [NEED_POOL] = has_pool,	  [NEED_CHANNELS] = has_channels,
	[NEED_WAKERS] = has_wakers,   [NEED_LOCKS] = has_locks,	  [NEED_SAMPLES] = has_samples,
	[NEED_PANICS] = has_panics,   [NEED_GUARDS] = has_guards,
};

static bool field_has(const struct model *m, const struct field *f, char *why, size_t size)
{
	return !have[f->need] || have[f->need](m, why, size);
}

static bool clause_has(const struct model *m, const struct clause *clause, char *why, size_t size)
{
	for (uint32_t i = 0; i < clause->count; i++) {
		const struct cond *cond = &clause->conds[i];

		if (field_has(m, cond->field, why, size) &&
		    (cond->rhs.from != OPERAND_FIELD || field_has(m, cond->rhs.field, why, size)))
			return true;
	}
	return false;
}

static bool level_has(const struct model *m, const struct level *level, char *why, size_t size)
{
	for (uint32_t i = 0; i < level->count; i++)
		if (!clause_has(m, &level->when[i], why, size))
			return false;
	return true;
}

enum arming rules_arming(const struct rules *rules, const struct model *m, size_t i, char *why,
			 size_t size)
{
	const struct rule *rule = rules->list[i];
	uint32_t levels = 0, usable = 0;
	char ignored[ARMING_WHY];

	snprintf(why, size, "%s", "");
	if (!rule->enabled) {
		say(why, size, "switched off");
		return ARMING_OFF;
	}
	for (uint32_t k = 0; k < rule->cases_count; k++)
		for (uint32_t n = 0; n < rule->cases[k].levels_count; n++) {
			bool first = usable == levels++; /* of what is missing, the first is told */

			usable += level_has(m, &rule->cases[k].levels[n], first ? why : ignored,
					    first ? size : sizeof(ignored));
		}
	if (usable == levels)
		snprintf(why, size, "%s", "");
	return usable == levels ? ARMING_ARMED : usable ? ARMING_LIMITED : ARMING_OFF;
}
