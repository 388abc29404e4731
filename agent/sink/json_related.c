// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a finding refers to: who waited meanwhile, and the finding that it is an effect of. Which lock
 * a worker, and a task, waits for.
 */
#include "sink/json_object.h"

#include <inttypes.h>
#include <stdio.h>

#include "rules/locks.h"
#include "sink/json_add.h"
#include "sink/view.h"

void json_add_victims(cJSON *o, const struct model *m, const struct finding *f)
{
	cJSON *list = cJSON_AddArrayToObject(o, "victims");

	for (uint32_t i = 0; i < f->victims_count; i++) {
		const struct victim *v = &f->victims[i];
		const struct site *s = model_site(m, v->site);
		cJSON *item = cJSON_CreateObject();
		bool exact = s && s->delays_valid && s->delay.count;

		json_add_site(item, m, v->site);
		json_add_uint(item, "tasks", v->tasks);
		json_add_uint(item, "worst_ns", v->worst_ns);
		json_add_uint_if(item, "task", v->task_id, v->task_id);
		json_add_uint_if(item, "delay_p99_ns", exact, s ? site_delay_quantile(s, 0.99) : 0);
		json_add_uint_if(item, "delay_max_ns", exact, s ? s->delay_max_ns : 0);
		cJSON_AddItemToArray(list, item);
	}
}

void json_add_cause(cJSON *o, const struct model *m, const struct finding *f)
{
	const struct finding_cause *c = &f->cause;
	struct rule_info rule;
	cJSON *cause;

	json_add_uint(o, "effects", f->effects);
	json_add_text(o, "alarm", severity_name(f->alarm));
	if (!c->rule) {
		cJSON_AddNullToObject(o, "cause");
		return;
	}
	rule_info_of(c->rule, &rule);
	cause = cJSON_AddObjectToObject(o, "cause");
	json_add_text(cause, "rule", rule.id);
	json_add_uint_if(cause, "runtime_id", c->runtime != ID_NONE, c->runtime);
	json_add_site(cause, m, c->site);
	json_add_uint(cause, "first_ns", c->first_ns);
}

void json_add_lock(cJSON *o, const struct model *m, const struct worker *w)
{
	const struct site_stack *row = lock_wait(w);
	const struct site *holder = row && row->lock_found == LOCK_IN_TASK ?
					    model_site(m, row->lock_site) :
					    NULL;
	uint32_t tid = row && row->lock_owner ? row->lock_owner : row ? row->lock_seen : 0;
	cJSON *lock;

	if (!row) {
		cJSON_AddNullToObject(o, "lock");
		return;
	}
	lock = cJSON_AddObjectToObject(o, "lock");
	json_add_text(lock, "lock_kind", lock_name(row->lock_kind));
	json_add_uint_if(lock, "lock_address", row->lock_addr, row->lock_addr);
	json_add_uint_if(lock, "holder_tid", tid, tid);
	json_add_text(lock, "holder_site", holder ? holder->name : NULL);
	json_add_uint_if(lock, "holder_task", holder && row->lock_task, row->lock_task);
	cJSON_AddBoolToObject(lock, "nobody_else", row->lock_found == LOCK_NOWHERE);
	json_add_text(lock, "holder_evidence",
		      row->lock_owner			       ? evidence_name(EVIDENCE_TRACED) :
		      tid || row->lock_found != LOCK_NOT_FOUND ? evidence_name(EVIDENCE_INFERRED) :
								 NULL);
	cJSON_AddBoolToObject(lock, "cycle", lock_cycle(m, w));
}

void json_add_waits(cJSON *o, const struct model *m, const struct task *t)
{
	const uint64_t holds[] = {t->row.holds, t->row.holds_too};
	const struct task *holder = t->row.waits_for ?
					    model_holder(m, t->target, t->row.waits_for) :
					    NULL;
	const struct site *site = holder ? model_site(m, holder->row.site) : NULL;
	cJSON *list;

	json_add_uint_if(o, "waits_for", t->row.waits_for, t->row.waits_for);
	json_add_uint_if(o, "waits_for_permits", t->row.waits_for, t->row.waits_permits);
	json_add_uint_if(o, "waits_for_task", holder && holder->row.id,
			 holder ? holder->row.id : 0);
	json_add_text(o, "waits_for_site", site ? site->name : NULL);
	if (!t->row.holds_known && !holds[0]) {
		cJSON_AddNullToObject(o, "holds");
		return;
	}
	list = cJSON_AddArrayToObject(o, "holds");
	for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]) && holds[i]; i++) {
		char text[24];

		snprintf(text, sizeof(text), "%" PRIu64, holds[i]);
		cJSON_AddItemToArray(list, cJSON_CreateRaw(text));
	}
}
