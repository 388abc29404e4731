// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of findings: occurrences go in, findings open, grow, close and are evicted. */
#include "rules/judge.h"

#include <string.h>

#include "rules/stack.h"
#include "util/xalloc.h"
#include "rules/victims.h"

uint64_t mix64(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

struct judge *judge_new(void)
{
	struct judge *j = xcalloc(1, sizeof(*j));

	memset(j->buckets, 0xff, sizeof(j->buckets));
	return j;
}

void judge_free(struct judge *j)
{
	free(j);
}

/* --- slots ---------------------------------------------------------------------- */

/* What the finding is about; an unknown site is one for each target. */
static uint64_t group_key(const struct occurrence *o)
{
	const uint64_t unknown = 1ULL << 62 | o->target;

	switch (o->verdict.rule->group) {
	case GROUP_SITE: return o->site == ID_NONE ? unknown : o->site;
	case GROUP_WORKER: return (uint64_t)o->target << 32 | o->tid;
	case GROUP_RUNTIME: return o->runtime == ID_NONE ? unknown : o->runtime;
	case GROUP_TARGET: break;
	}
	return o->target;
}

static uint16_t *bucket_of(struct judge *j, const struct rule *rule, uint64_t key)
{
	return &j->buckets[mix64(key * RULES_MAX + rule->index) % SLOT_BUCKETS];
}

static void slot_drop(struct judge *j, struct slot *slot)
{
	uint16_t *link = bucket_of(j, slot->shown.f.rule, slot->key);
	size_t i = 0;

	while (*link != (uint16_t)(slot - j->slots))
		link = &j->slots[*link].next;
	*link = slot->next;
	while (j->list[i] != &slot->shown.f)
		i++;
	memmove(&j->list[i], &j->list[i + 1], (j->list_count - i - 1) * sizeof(j->list[0]));
	j->list_count--;
	slot->used = false;
}

/* A free slot, else that of the finding which closed longest ago; NULL when all are open. */
static struct slot *slot_take(struct judge *j)
{
	struct slot *oldest = NULL;

	for (size_t i = 0; i < FINDINGS_MAX; i++) {
		struct slot *slot = &j->slots[i];

		if (!slot->used)
			return slot;
		if (!slot->shown.f.open && !slot->live && !slot->dirty &&
		    (!oldest || slot->shown.f.last_ns < oldest->shown.f.last_ns))
			oldest = slot;
	}
	j->evicted++;
	if (oldest)
		slot_drop(j, oldest);
	return oldest;
}

static void part_clear(struct part *part, const struct occurrence *o)
{
	*part = (struct part){.rc = o->verdict.rc};
	part->f = (struct finding){
		.rule = o->verdict.rule,
		.target = o->target,
		.runtime = ID_NONE,
		.site = ID_NONE,
		.culprit = ID_NONE,
		.syscall = -1,
	};
}

struct slot *finding_slot(struct judge *j, const struct rule *rule, uint64_t key)
{
	for (uint16_t i = *bucket_of(j, rule, key); i != SLOT_NONE; i = j->slots[i].next)
		if (j->slots[i].key == key && j->slots[i].shown.f.rule == rule)
			return &j->slots[i];
	return NULL;
}

static struct slot *slot_get(struct judge *j, const struct occurrence *o)
{
	uint64_t key = group_key(o);
	uint16_t *bucket = bucket_of(j, o->verdict.rule, key);
	struct slot *slot = finding_slot(j, o->verdict.rule, key);

	if (slot)
		return slot;
	slot = slot_take(j);
	if (!slot)
		return NULL;
	memset(slot, 0, sizeof(*slot));
	slot->used = true;
	slot->key = key;
	slot->next = *bucket;
	*bucket = (uint16_t)(slot - j->slots);
	part_clear(&slot->shown, o);
	part_clear(&slot->done, o);
	part_clear(&slot->state, o);
	j->list[j->list_count++] = &slot->shown.f;
	return slot;
}

/* --- parts ---------------------------------------------------------------------- */

static void add_task(struct finding *f, uint64_t task)
{
	if (!task)
		return;
	for (uint32_t i = 0; i < f->tasks_count; i++)
		if (f->tasks[i] == task)
			return;
	if (f->tasks_count == FINDING_TASKS) {
		memmove(f->tasks, f->tasks + 1, (FINDING_TASKS - 1) * sizeof(f->tasks[0]));
		f->tasks_count--;
	}
	f->tasks[f->tasks_count++] = task;
}

static bool during_loss(const struct model *m, const struct occurrence *o)
{
	return m->loss_last.count && o->begin_ns <= m->loss_last.end_ns &&
	       o->end_ns >= m->loss_last.begin_ns;
}

/* The numbers of the worst occurrence are those that the finding shows. */
static void part_capture(struct part *part, const struct occurrence *o, double measure)
{
	struct finding *f = &part->f;

	part->rc = o->verdict.rc;
	part->worst = measure;
	f->evidence = o->verdict.evidence;
	f->runtime = o->runtime;
	f->site = o->site;
	f->tid = o->tid;
	f->syscall = o->syscall;
	f->values_count = 0;
	for (uint32_t i = 0; i < part->rc->shown_count; i++) {
		const struct field *field = part->rc->shown[i];
		double value;

		if (field_get(field, o->ctx, &value))
			f->values[f->values_count++] = (struct finding_value){
				field->name, field_unit_name(field->unit), value};
	}
}

/* Nobody may have been seen in a poll when it was worst: then a later occurrence tells. */
static void part_blame(struct part *part, const struct model *m, const struct occurrence *o,
		       bool worst)
{
	uint64_t held;
	uint32_t site;

	if (!part->rc->wants_culprit || !(worst || part->f.culprit == ID_NONE))
		return;
	site = field_culprit(m, o->target, o->ctx->window_s, &held);
	if (site != ID_NONE)
		part->f.culprit = site;
}

/* Returns whether the occurrence is the worst so far. */
static bool part_add(struct part *part, const struct model *m, const struct occurrence *o)
{
	struct finding *f = &part->f;
	double measure = 0;
	bool worst;

	if (!field_get(o->verdict.rc->measure, o->ctx, &measure))
		measure = 0;
	/* Measures of two cases do not compare: the graver one speaks, else the first. */
	worst = !f->count || (o->verdict.rc == part->rc ? measure >= part->worst :
							  o->verdict.severity > f->severity);
	if (worst)
		part_capture(part, o, measure);
	part_blame(part, m, o, worst);
	if (o->verdict.rc->measure->unit == UNIT_NS && worst)
		f->worst_ns = (uint64_t)measure;
	if (!f->count || o->begin_ns < f->first_ns)
		f->first_ns = o->begin_ns;
	if (o->end_ns > f->last_ns)
		f->last_ns = o->end_ns;
	if (!part->first_end_ns || o->end_ns < part->first_end_ns)
		part->first_end_ns = o->end_ns;
	if (o->verdict.severity > f->severity || !f->count)
		f->severity = o->verdict.severity;
	f->during_loss |= during_loss(m, o);
	f->loose |= o->loose;
	if (o->verdict.rc->scope == SCOPE_POLL) {
		f->count++;
		f->total_ns += (uint64_t)measure;
	}
	if (o->verdict.rc->scope == SCOPE_POLL || o->verdict.rc->scope == SCOPE_RUNTIME)
		victims_take(f, m, o->runtime, o->begin_ns);
	add_task(f, o->task);
	return worst;
}

/* --- occurrences ----------------------------------------------------------------- */

void finding_settle(struct judge *j, const struct model *m, const struct occurrence *o)
{
	struct slot *slot = slot_get(j, o);

	if (!slot)
		return;
	part_add(&slot->done, m, o);
	slot->dirty = true;
}

/* What readers were told outlives the sums. */
static void show(struct slot *slot, const struct part *from)
{
	struct finding *f = &slot->shown.f;
	struct finding old = *f;

	slot->shown = *from;
	memcpy(f->message, old.message, sizeof(f->message));
	f->revision = old.revision;
	f->open = old.open;
	f->open_since_ns = old.open_since_ns;
	f->cause = old.cause;
	f->alarm = old.alarm;
	f->effects = old.effects;
}

void finding_open_poll(struct judge *j, const struct model *m, const struct occurrence *o,
		       bool open)
{
	struct slot *slot = slot_get(j, o);

	if (!slot)
		return;
	if (!slot->live) {
		show(slot, &slot->done);
		slot->worst_open = false;
	}
	slot->live = true;
	if (open && (!slot->open_poll || o->begin_ns < slot->begin_ns))
		slot->begin_ns = o->begin_ns;
	slot->open_poll |= open;
	if (part_add(&slot->shown, m, o))
		slot->worst_open = open;
}

static bool state_is_open(const struct judge *j, const struct slot *slot, uint64_t now)
{
	const struct rule_case *rc = slot->state.rc;
	uint64_t judged = rc->scope == SCOPE_SITE ? j->sites_ns : now;
	bool known;

	if (!slot->state.f.count)
		return false;
	return slot->seen_ns >= judged ||
	       now - slot->seen_ns <
		       (uint64_t)operand_value(slot->shown.f.rule, &rc->close_after, NULL, &known);
}

bool finding_is_open(struct judge *j, const struct occurrence *o, enum severity *severity)
{
	const struct slot *slot = finding_slot(j, o->verdict.rule, group_key(o));

	if (!slot || !slot->shown.f.open || slot->state.rc != o->verdict.rc)
		return false;
	*severity = slot->state.f.severity;
	return true;
}

bool finding_gives_way(struct judge *j, const struct rules *rules, const struct model *m,
		       const struct occurrence *o)
{
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct rule *other = rules->list[i];
		const struct slot *slot;

		if (!(o->verdict.rule->unless_mask >> i & 1) ||
		    other->group != o->verdict.rule->group)
			continue;
		slot = finding_slot(j, other, group_key(o));
		if (slot && (slot->shown.f.open || slot->seen_ns == m->now_ns))
			return true;
	}
	return false;
}

void finding_state(struct judge *j, const struct model *m, const struct occurrence *o)
{
	struct slot *slot = slot_get(j, o);

	if (!slot)
		return;
	part_add(&slot->state, m, o);
	if (!slot->state_open && slot->seen_ns != m->now_ns)
		slot->state.f.count++;
	slot->seen_ns = m->now_ns;
	slot->dirty = true;
}

/* --- a tick ----------------------------------------------------------------------- */

void findings_begin(struct judge *j)
{
	for (size_t i = 0; i < FINDINGS_MAX; i++) {
		struct slot *slot = &j->slots[i];

		slot->was_live = slot->live;
		slot->live = false;
		slot->open_poll = false;
		slot->dirty = false;
	}
}

/* Single polls come first: a state of the same rule and group only adds to them. */
static void slot_sum(struct slot *slot)
{
	struct finding *f = &slot->shown.f;
	const struct finding *state = &slot->state.f;

	if (!slot->live)
		show(slot, &slot->done);
	if (!f->count) {
		show(slot, &slot->state);
		return;
	}
	if (!state->count)
		return;
	if (slot->state.first_end_ns < slot->shown.first_end_ns)
		slot->shown.first_end_ns = slot->state.first_end_ns;
	if (state->severity > f->severity)
		f->severity = state->severity;
	if (state->first_ns < f->first_ns)
		f->first_ns = state->first_ns;
	if (state->last_ns > f->last_ns)
		f->last_ns = state->last_ns;
	f->during_loss |= state->during_loss;
	victims_merge(f, state);
}

static bool slot_is_open(const struct slot *slot, uint64_t now)
{
	const struct rule *rule = slot->shown.f.rule;
	uint64_t close_after;
	bool known;

	if (slot->open_poll || slot->state_open)
		return true;
	if (!slot->done.f.count)
		return false;
	close_after = (uint64_t)operand_value(rule, &slot->done.rc->close_after, NULL, &known);
	return now < slot->done.f.last_ns + close_after;
}

static void slot_tell(struct judge *j, struct slot *slot, uint64_t now)
{
	slot->shown.f.revision = ++j->revision;
	slot->told_ns = now;
	slot->told_severity = slot->shown.f.severity;
	slot->pending = false;
}

/* A stack has come since that shows it to be no fault. */
static bool slot_withdrawn(const struct judge *j, const struct slot *slot)
{
	const struct finding *f = &slot->shown.f;

	return f->rule->group == GROUP_SITE && site_exempt(&j->notes, f->rule, f->site);
}

/* Stacks come after what they are about: another one stands for the finding now. */
static bool slot_stack_changed(struct slot *slot, const struct site_stack *stack,
			       const struct site_stack *spawn)
{
	uint64_t key = stack ? stack->key : 0, spawn_key = spawn ? spawn->key : 0;
	bool changed = key != slot->stack_key || spawn_key != slot->spawn_key;

	slot->stack_key = key;
	slot->spawn_key = spawn_key;
	return changed;
}

static bool slot_changed(const struct slot *slot)
{
	return slot->dirty || slot->live || slot->was_live;
}

static void slot_settle(struct judge *j, struct slot *slot)
{
	if (slot_changed(slot))
		slot_sum(slot);
	/* Its only poll turned out to be another rule's, or no fault. */
	if (!slot->shown.f.count || slot_withdrawn(j, slot))
		slot_drop(j, slot);
}

/* What it is an effect of, or what it stands for, is another now. */
static bool slot_cause_changed(struct slot *slot)
{
	const struct finding *f = &slot->shown.f;
	uint64_t key = mix64((uint64_t)(uintptr_t)f->cause.rule ^ f->cause.first_ns) + f->alarm +
		       ((uint64_t)f->effects << 2);
	bool changed = slot->cause_key != key;

	slot->cause_key = key;
	return changed;
}

static void slot_end(struct judge *j, struct slot *slot, const struct model *m)
{
	struct finding *f = &slot->shown.f;
	bool changed = slot_changed(slot), open;
	const struct site_stack *stack, *spawn = NULL;
	uint64_t now = m->now_ns;

	stack = finding_stack(m, f, NULL);
	if (rule_shows_spawn(f->rule))
		spawn = finding_spawn(m, f, NULL);
	changed |= slot_stack_changed(slot, stack, spawn);
	changed |= slot_cause_changed(slot);
	if (changed)
		message_render(m, slot->shown.rc, f, stack, spawn, slot->live && slot->worst_open);
	slot->state_open = state_is_open(j, slot, now);
	open = slot_is_open(slot, now);
	if (open && !f->open)
		f->open_since_ns = slot->open_poll ? slot->begin_ns : now;
	slot->pending |= changed;
	if (!f->revision || open != f->open || f->severity != slot->told_severity ||
	    (slot->pending && now - slot->told_ns >= NS_PER_SEC)) {
		f->open = open;
		slot_tell(j, slot, now);
	}
}

void findings_end(struct judge *j, const struct model *m)
{
	for (size_t i = 0; i < FINDINGS_MAX; i++)
		if (j->slots[i].used)
			slot_settle(j, &j->slots[i]);
	causes_find(j);
	for (size_t i = 0; i < FINDINGS_MAX; i++)
		if (j->slots[i].used)
			slot_end(j, &j->slots[i], m);
}

/* --- readers ---------------------------------------------------------------------- */

size_t rules_findings(const struct rules *rules, const struct finding ***out)
{
	*out = rules->judge->list;
	return rules->judge->list_count;
}

uint64_t rules_evicted(const struct rules *rules)
{
	return rules->judge->evicted;
}

int finding_compare(const void *a, const void *b)
{
	const struct finding *x = *(const struct finding *const *)a;
	const struct finding *y = *(const struct finding *const *)b;
	double weight_x = (double)x->worst_ns * (double)x->count;
	double weight_y = (double)y->worst_ns * (double)y->count;

	if (x->open != y->open)
		return y->open - x->open;
	if (x->alarm != y->alarm)
		return (int)y->alarm - (int)x->alarm;
	if (!x->cause.rule != !y->cause.rule)
		return x->cause.rule ? 1 : -1;
	if (weight_x != weight_y)
		return weight_x < weight_y ? 1 : -1;
	if (x->first_ns != y->first_ns)
		return x->first_ns < y->first_ns ? -1 : 1;
	return strcmp(x->rule->id, y->rule->id);
}
