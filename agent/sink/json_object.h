/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The objects of docs/json-schema.md, each built from the model with the functions of json_add.h.
 * Text that comes from the target passes the sanitiser. The caller owns the object.
 */
#ifndef SINK_JSON_OBJECT_H
#define SINK_JSON_OBJECT_H

#include <cjson/cJSON.h>

#include "sink/sinks.h"
#include "sink/view.h"

#define JSON_SCHEMA "1.0"

cJSON *json_header(const struct snapshot *snap, const char *version);
/* One more target, or one of which more is known now. */
cJSON *json_target_event(const struct model *m, const struct target *t);
cJSON *json_target_end(const struct target *t);
cJSON *json_note(const struct model_note *note);
cJSON *json_lost(const struct model *m, uint64_t count);
cJSON *json_finding(const struct model *m, const struct finding *f);
cJSON *json_runtime(const struct model *m, const struct runtime *r);
cJSON *json_worker(const struct model *m, const struct worker *w);
cJSON *json_site(const struct model *m, const struct site *s);
cJSON *json_task(const struct model *m, const struct task_view *v);
/* Of any object that is about a task type: "site", "site_id"; null where it is not known. */
void json_add_site(cJSON *o, const struct model *m, uint32_t site);
/* Members of a finding. */
void json_add_victims(cJSON *o, const struct model *m, const struct finding *f);
void json_add_cause(cJSON *o, const struct model *m, const struct finding *f);
void json_add_lock(cJSON *o, const struct model *m, const struct worker *w);
/* Members of a task: the lock that it waits for, and those that it holds. */
void json_add_waits(cJSON *o, const struct model *m, const struct task *t);
cJSON *json_footer(const struct snapshot *snap, const struct outcome_opts *opts);

#endif
