// SPDX-License-Identifier: LGPL-2.1-or-later
/* The objects of a report; see report_object.h. */
#include "sink/report_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/stack.h"
#include "sink/json_add.h"
#include "sink/json_object.h"
#include "sink/overhead_out.h"
#include "util/syscall.h"
#include "util/xalloc.h"

#define NUMBER_MAX 9e18 /* what JSON readers keep as an integer */

static cJSON *object(const char *type)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "type", type);
	return o;
}

/* --- the verdict and what it rests on -------------------------------------------------------- */

static void add_caveat(void *ctx, const char *text)
{
	cJSON_AddItemToArray(ctx, cJSON_CreateString(text));
}

static cJSON *verdict_object(const struct report *r)
{
	cJSON *o = object("verdict");
	struct verdict v;

	report_verdict(r, &v);
	json_add_text(o, "severity", v.found ? severity_name(v.severity) : NULL);
	cJSON_AddBoolToObject(o, "judged", v.judged);
	json_add_text(o, "text", v.text);
	report_caveats(r, add_caveat, cJSON_AddArrayToObject(o, "caveats"));
	return o;
}

static cJSON *trace_object(const struct report *r)
{
	const struct trace_reader *t = r->trace;
	cJSON *o = object("trace"), *settings;

	json_add_text(o, "file", t->path);
	cJSON_AddBoolToObject(o, "incomplete", t->incomplete);
	json_add_uint(o, "bytes", t->size);
	json_add_uint(o, "skipped_bytes", t->skipped_bytes);
	json_add_uint(o, "tail_bytes", t->tail_bytes);
	json_add_uint(o, "events", r->history->events);
	json_add_uint(o, "unreadable_events", r->history->unreadable);
	json_add_uint(o, "begin_ns", r->history->begin_ns);
	json_add_uint(o, "end_ns", r->snap->model->now_ns);
	json_add_text(o, "recorded_by", *t->program ? t->program : NULL);
	json_add_text(o, "kernel", *t->kernel ? t->kernel : NULL);
	settings = cJSON_AddArrayToObject(o, "settings");
	for (size_t i = 0; i < t->settings_count; i++)
		cJSON_AddItemToArray(settings, cJSON_CreateString(t->settings[i]));
	return o;
}

static cJSON *note_object(const struct history_note *note)
{
	cJSON *o = object("note");

	json_add_uint(o, "time_ns", note->time_ns);
	cJSON_AddStringToObject(o, "severity", note->severity == NOTE_WARNING ? "warning" : "info");
	json_add_text(o, "text", note->text);
	return o;
}

/* Of a rule that found something. */
static cJSON *rule_object(const struct rule_info *rule)
{
	cJSON *o = object("rule");

	json_add_text(o, "rule", rule->id);
	json_add_text(o, "title", rule->title);
	json_add_text(o, "why", rule->why);
	json_add_text(o, "advice", rule->advice);
	/* Of several lines: they are the rule's author's, and JSON escapes them. */
	cJSON_AddItemToObject(o, "example_before",
			      rule->example_before ? cJSON_CreateString(rule->example_before) :
						     cJSON_CreateNull());
	cJSON_AddItemToObject(o, "example_after",
			      rule->example_after ? cJSON_CreateString(rule->example_after) :
						    cJSON_CreateNull());
	json_add_text(o, "link", rule->link);
	return o;
}

static cJSON *latency_object(const struct latency *l)
{
	cJSON *o = object("latency");
	bool known = !l->unknown_because;

	json_add_text(o, "of", l->of);
	json_add_uint_if(o, "count", known, l->count);
	json_add_uint_if(o, "p50_ns", known, latency_quantile(l, 0.5));
	json_add_uint_if(o, "p90_ns", known, latency_quantile(l, 0.9));
	json_add_uint_if(o, "p99_ns", known, latency_quantile(l, 0.99));
	json_add_uint_if(o, "p999_ns", known, latency_quantile(l, 0.999));
	json_add_uint_if(o, "max_ns", known, l->max_ns);
	json_add_text(o, "unknown_because", l->unknown_because);
	return o;
}

/* --- when ------------------------------------------------------------------------------------- */

static cJSON *moment_object(const struct report *r, const struct moment *m)
{
	const struct model *model = r->snap->model;
	const struct target *t = m->target == ID_NONE ? NULL : model_target(model, m->target);
	const struct site *s = m->site == ID_NONE ? NULL : model_site(model, m->site);
	const struct worker *w = t && m->tid ? model_worker(model, t->id, m->tid) : NULL;
	const struct ev_poll *p = m->poll;
	cJSON *o = object("moment");
	char call[32] = "";

	cJSON_AddStringToObject(o, "kind", moment_kind_name(m->kind));
	json_add_uint(o, "begin_ns", m->begin_ns);
	json_add_uint(o, "end_ns", m->end_ns);
	cJSON_AddBoolToObject(o, "open", m->open);
	json_add_text(o, "severity", m->finding ? severity_name(m->finding->severity) : NULL);
	json_add_uint_if(o, "pid", t, t ? t->pid : 0);
	json_add_text(o, "site", s ? s->name : NULL);
	json_add_uint_if(o, "site_id", s, s ? s->id : 0);
	json_add_uint_if(o, "tid", m->tid, m->tid);
	json_add_text(o, "worker", w ? w->now.comm : NULL);
	json_add_uint_if(o, "task", m->task, m->task);
	json_add_uint_if(o, "blocked_ns", p, p ? p->blocked_ns : 0);
	json_add_uint_if(o, "preempted_ns", p, p ? p->preempted_ns : 0);
	cJSON_AddBoolToObject(o, "lower_bound",
			      m->kind == MOMENT_WAIT ||
				      (p && (p->loose_end || p->early || m->open)));
	if (p && p->syscall >= 0)
		snprintf(call, sizeof(call), "syscall_%d", p->syscall);
	json_add_text(o, "syscall",
		      !*call		       ? NULL :
		      syscall_name(p->syscall) ? syscall_name(p->syscall) :
						 call);
	json_add_text(o, "text", m->text);
	return o;
}

static cJSON *number(double value)
{
	char text[24];

	/* Below 0 where more was taken back than there was; a hostile trace has any number. */
	value = value > 0 ? value : 0;
	snprintf(text, sizeof(text), "%.0f", value < NUMBER_MAX ? value : NUMBER_MAX);
	return cJSON_CreateRaw(text);
}

static void add_times(cJSON *o, const struct history *h, const char *key, enum slice_time time)
{
	cJSON *list = cJSON_AddArrayToObject(o, key);

	for (uint32_t i = 0; i < h->slices; i++)
		cJSON_AddItemToArray(list, number(h->slice[i].times[time]));
}

/* A member of each slice, by its offset; -1: not known. */
static void add_slices(cJSON *o, const struct history *h, const char *key, size_t member)
{
	cJSON *list = cJSON_AddArrayToObject(o, key);

	for (uint32_t i = 0; i < h->slices; i++) {
		int64_t value;

		memcpy(&value, (const char *)&h->slice[i] + member, sizeof(value));
		cJSON_AddItemToArray(list, value < 0 ? cJSON_CreateNull() : number((double)value));
	}
}

static cJSON *lane_object(const struct report *r, const struct history_lane *lane)
{
	static const char *const keys[] = {
		[SLICE_BUSY] = "busy_ns",
		[SLICE_BLOCKED] = "blocked_ns",
		[SLICE_PREEMPTED] = "preempted_ns",
		[SLICE_UNKNOWN] = "unknown_ns",
	};
	const struct target *t = model_target(r->snap->model, lane->target);
	const struct worker *w = model_worker(r->snap->model, lane->target, lane->tid);
	cJSON *o = cJSON_CreateObject();

	json_add_uint_if(o, "pid", t, t ? t->pid : 0);
	json_add_uint(o, "tid", lane->tid);
	json_add_text(o, "name", w ? w->now.comm : NULL);
	for (int k = SLICE_BUSY; k <= SLICE_UNKNOWN; k++) {
		cJSON *list = cJSON_AddArrayToObject(o, keys[k]);

		for (uint32_t i = 0; i < r->history->slices; i++)
			cJSON_AddItemToArray(list, number(lane->times[i][k]));
	}
	return o;
}

static cJSON *timeline_object(const struct report *r)
{
	const struct history *h = r->history;
	cJSON *o = object("timeline"), *list;

	json_add_uint(o, "begin_ns", h->begin_ns);
	json_add_uint(o, "slice_ns", h->slice_ns);
	json_add_uint(o, "slices", h->slices);
	add_times(o, h, "busy_ns", SLICE_BUSY);
	add_times(o, h, "blocked_ns", SLICE_BLOCKED);
	add_times(o, h, "preempted_ns", SLICE_PREEMPTED);
	add_times(o, h, "searching_ns", SLICE_SEARCHING);
	add_times(o, h, "parked_ns", SLICE_PARKED);
	add_times(o, h, "unknown_ns", SLICE_UNKNOWN);
	list = cJSON_AddArrayToObject(o, "polls");
	for (uint32_t i = 0; i < h->slices; i++)
		cJSON_AddItemToArray(list, h->slice[i].times[SLICE_UNKNOWN] > 0 ?
						   cJSON_CreateNull() :
						   number(h->slice[i].polls));
	add_slices(o, h, "long_polls", offsetof(struct history_slice, long_polls));
	add_slices(o, h, "worst_poll_ns", offsetof(struct history_slice, worst_poll_ns));
	add_slices(o, h, "worst_wait_ns", offsetof(struct history_slice, worst_wait_ns));
	add_slices(o, h, "queued", offsetof(struct history_slice, queued));
	add_slices(o, h, "tasks_alive", offsetof(struct history_slice, alive));
	add_slices(o, h, "lost", offsetof(struct history_slice, lost));
	list = cJSON_AddArrayToObject(o, "workers");
	for (size_t i = 0; i < h->lanes_count; i++)
		cJSON_AddItemToArray(list, lane_object(r, &h->lanes[i]));
	json_add_uint(o, "workers_dropped", h->lanes_dropped);
	return o;
}

/* --- flame graphs -------------------------------------------------------------------------------- */

/* As deep as a stack is long: FRAMES_MAX and three more. */
static cJSON *node_object(const struct stack_tree *tree, uint32_t at, const char *name)
{
	const struct stack_node *node = &tree->nodes[at];
	cJSON *o = cJSON_CreateObject(), *children;

	json_add_text(o, "name", name ? name : node->name);
	cJSON_AddStringToObject(o, "origin",
				name			       ? "root" :
				node->origin == FRAME_BOUNDARY ? "task" :
								 frame_origin_name(node->origin));
	json_add_uint(o, "value", node->value);
	children = cJSON_AddArrayToObject(o, "children");
	for (uint32_t child = node->first; child; child = tree->nodes[child].next)
		cJSON_AddItemToArray(children, node_object(tree, child, NULL));
	return o;
}

static cJSON *flame_object(const struct report *r, enum stack_kind kind)
{
	const struct stack_tree *tree = &r->history->stacks;
	cJSON *o = object("flame");

	cJSON_AddStringToObject(o, "of", kind == STACK_OFF_CPU ? "blocked" : "busy");
	cJSON_AddStringToObject(o, "unit", kind == STACK_OFF_CPU ? "ns" : "samples");
	json_add_uint(o, "stacks", tree->stacks[kind]);
	json_add_uint(o, "stacks_cut", tree->cut);
	cJSON_AddItemToObject(o, "root", node_object(tree, (uint32_t)kind, "all task types"));
	return o;
}

/* --- all of them ---------------------------------------------------------------------------------- */

static int give_findings(const struct report *r, object_fn fn, void *ctx)
{
	const struct finding **all;
	size_t count = report_findings(r, &all);
	int ret = 0;

	for (size_t i = 0; i < count && !ret; i++) {
		bool first = true;

		ret = fn(ctx, json_finding(r->snap->model, all[i]));
		for (size_t k = 0; k < i; k++)
			first &= all[k]->rule != all[i]->rule;
		if (first && !ret) {
			struct rule_info rule;

			rule_info_of(all[i]->rule, &rule);
			ret = fn(ctx, rule_object(&rule));
		}
	}
	free(all);
	return ret;
}

static int give_tables(const struct report *r, object_fn fn, void *ctx)
{
	const struct model *m = r->snap->model;
	struct latency latencies[REPORT_LATENCIES];
	const struct worker **workers;
	const struct site **sites;
	size_t count = report_sites(r, &sites), workers_count = workers_sorted(m, true, &workers);
	int ret = 0;

	report_latencies(r, latencies);
	for (size_t i = 0; i < REPORT_LATENCIES && !ret; i++)
		ret = fn(ctx, latency_object(&latencies[i]));
	for (uint32_t i = 0; i < m->runtimes_count && !ret; i++)
		if (m->runtimes[i].id != ID_NONE)
			ret = fn(ctx, json_runtime(m, &m->runtimes[i]));
	for (size_t i = 0; i < count && !ret; i++)
		ret = fn(ctx, json_site(m, sites[i]));
	for (size_t i = 0; i < workers_count && !ret; i++)
		ret = fn(ctx, json_worker(m, workers[i]));
	free(sites);
	free(workers);
	return ret;
}

static int give_times(const struct report *r, object_fn fn, void *ctx)
{
	struct moment *moments;
	size_t count = report_moments(r, &moments);
	int ret = fn(ctx, timeline_object(r));

	for (size_t i = 0; i < count && !ret; i++)
		ret = fn(ctx, moment_object(r, &moments[i]));
	free(moments);
	return ret;
}

static int give_notes(const struct report *r, object_fn fn, void *ctx)
{
	const struct model *m = r->snap->model;
	int ret = 0;

	for (uint32_t i = 0; i < m->targets_count && !ret; i++)
		if (m->targets[i].id != ID_NONE && m->targets[i].ended)
			ret = fn(ctx, json_target_end(&m->targets[i]));
	for (uint32_t i = 0; i < r->history->notes_count && !ret; i++)
		ret = fn(ctx, note_object(&r->history->notes[i]));
	return ret;
}

static int give_overhead(const struct report *r, object_fn fn, void *ctx)
{
	const struct model *m = r->snap->model;
	int ret = 0;

	for (uint32_t i = 0; i < m->targets_count && !ret; i++)
		if (m->targets[i].id != ID_NONE && m->targets[i].overhead_seen)
			ret = fn(ctx, json_overhead(&m->targets[i]));
	return ret;
}

static int give_first(const struct report *r, object_fn fn, void *ctx)
{
	int ret = fn(ctx, json_header(r->snap, r->version));

	if (!ret)
		ret = fn(ctx, verdict_object(r));
	return ret ? ret : fn(ctx, trace_object(r));
}

static int give_last(const struct report *r, object_fn fn, void *ctx)
{
	const struct outcome_opts opts = {.fail_on = SEVERITY_CRITICAL};
	int ret = fn(ctx, flame_object(r, STACK_OFF_CPU));

	if (!ret)
		ret = fn(ctx, flame_object(r, STACK_ON_CPU));
	return ret ? ret : fn(ctx, json_footer(r->snap, &opts));
}

int report_objects(const struct report *r, object_fn fn, void *ctx)
{
	static int (*const parts[])(const struct report *r, object_fn fn, void *ctx) = {
		give_first, give_findings, give_tables, give_times,
		give_notes, give_overhead, give_last,
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !ret; i++)
		ret = parts[i](r, fn, ctx);
	return ret;
}
