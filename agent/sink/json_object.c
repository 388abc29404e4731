// SPDX-License-Identifier: LGPL-2.1-or-later
/* The objects of the JSON sink; see json_object.h. */
#include "sink/json_object.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "rules/stack.h"
#include "sink/json_add.h"
#include "util/sanitize.h"
#include "util/syscall.h"
#include "util/xalloc.h"

#define QUANTILES 3

static cJSON *object(const char *type)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "type", type);
	return o;
}

static void add_pid(cJSON *o, const struct target *t)
{
	json_add_uint_if(o, "pid", t, t ? t->pid : 0);
}

/* "tokio" and which instance of it. */
static void add_runtime(cJSON *o, const struct model *m, uint32_t runtime)
{
	const struct runtime *r = runtime == ID_NONE ? NULL : model_runtime(m, runtime);
	const struct binary *b = r ? view_binary(m, r->binary) : NULL;

	json_add_text(o, "runtime", b ? b->runtime : NULL);
	json_add_uint_if(o, "runtime_id", r, r ? r->id : 0);
}

void json_add_site(cJSON *o, const struct model *m, uint32_t site)
{
	const struct site *s = site == ID_NONE ? NULL : model_site(m, site);

	json_add_text(o, "site", s ? s->name : NULL);
	json_add_uint_if(o, "site_id", s, s ? s->id : 0);
}

static void add_syscall(cJSON *o, int32_t syscall)
{
	char text[32];

	if (syscall < 0) {
		cJSON_AddNullToObject(o, "syscall");
		return;
	}
	snprintf(text, sizeof(text), "syscall_%d", syscall);
	cJSON_AddStringToObject(o, "syscall", syscall_name(syscall) ? syscall_name(syscall) : text);
}

static cJSON *binary_object(const struct model *m, const struct binary *b)
{
	cJSON *o = cJSON_CreateObject();

	json_add_text(o, "name", b->runtime);
	json_add_text(o, "version", b->version);
	json_add_text(o, "binary", b->path);
	json_add_text(o, "build_id", b->build_id);
	json_add_depth(o, "workers", binary_workers(m, b->id));
	json_add_uint_if(o, "task_types", b->task_types != TASK_TYPES_LATER, b->task_types);
	return o;
}

static void add_target(cJSON *o, const struct model *m, const struct target *t)
{
	cJSON *runtimes;

	json_add_uint(o, "pid", t->pid);
	json_add_uint(o, "start_time", t->start_time);
	json_add_text(o, "comm", t->comm);
	json_add_text(o, "exe", t->exe);
	json_add_text(o, "build_id", t->build_id);
	json_add_uint_if(o, "cpus", t->cpus, t->cpus);
	runtimes = cJSON_AddArrayToObject(o, "runtimes");
	for (uint32_t i = 0; i < m->binaries_count; i++)
		if (m->binaries[i].id != ID_NONE && m->binaries[i].target == t->id)
			cJSON_AddItemToArray(runtimes, binary_object(m, &m->binaries[i]));
}

cJSON *json_header(const struct snapshot *snap, const char *version)
{
	const struct model *m = snap->model;
	cJSON *o = object("header");
	cJSON *targets;

	cJSON_AddStringToObject(o, "schema", JSON_SCHEMA);
	json_add_text(o, "version", version);
	json_add_text(o, "command", snap->command);
	json_add_text(o, "host", snap->host);
	cJSON_AddStringToObject(o, "clock", "monotonic");
	json_add_uint_if(o, "wall_offset_ns", snap->wall_offset_ns, snap->wall_offset_ns);
	json_add_uint(o, "begin_ns", m->begin_ns);
	targets = cJSON_AddArrayToObject(o, "targets");
	for (uint32_t i = 0; i < m->targets_count; i++) {
		cJSON *item;

		if (m->targets[i].id == ID_NONE)
			continue;
		item = cJSON_CreateObject();
		add_target(item, m, &m->targets[i]);
		cJSON_AddItemToArray(targets, item);
	}
	return o;
}

cJSON *json_target_event(const struct model *m, const struct target *t)
{
	cJSON *o = object("target");

	add_target(o, m, t);
	return o;
}

cJSON *json_target_end(const struct target *t)
{
	static const char *const reasons[] = {
		[TARGET_EXITED] = "exited",
		[TARGET_EXECED] = "execed",
		[TARGET_DETACHED] = "detached",
	};
	bool status = t->end_reason == TARGET_EXITED && t->end_status >= 0;
	bool code = status && WIFEXITED(t->end_status);
	bool signal = status && WIFSIGNALED(t->end_status);
	cJSON *o = object("target_end");

	add_pid(o, t);
	json_add_uint(o, "time_ns", t->end_ns);
	cJSON_AddStringToObject(o, "reason", reasons[t->end_reason]);
	json_add_uint_if(o, "exit_code", code, code ? (uint64_t)WEXITSTATUS(t->end_status) : 0);
	json_add_uint_if(o, "signal", signal, signal ? (uint64_t)WTERMSIG(t->end_status) : 0);
	return o;
}

cJSON *json_note(const struct model_note *note)
{
	cJSON *o = object("note");

	json_add_uint(o, "time_ns", note->time_ns);
	cJSON_AddStringToObject(o, "severity", note->severity == NOTE_WARNING ? "warning" : "info");
	json_add_text(o, "text", note->text);
	return o;
}

cJSON *json_lost(const struct model *m, uint64_t count)
{
	cJSON *o = object("lost");

	json_add_uint(o, "time_ns", m->now_ns);
	json_add_uint(o, "count", count);
	json_add_uint(o, "total", m->lost);
	return o;
}

/* The unit is part of the key: "poll.blocked_ns". */
static void add_value(cJSON *o, const struct finding_value *value)
{
	size_t name_len = strlen(value->name), unit_len = strlen(value->unit);
	bool has = name_len > unit_len && !strcmp(value->name + name_len - unit_len, value->unit);
	bool plain = has || !unit_len || !strcmp(value->unit, "count") ||
		     !strcmp(value->unit, "bool");
	char *key = xasprintf("%s%s%s", value->name, plain ? "" : "_", plain ? "" : value->unit);

	if (!strcmp(value->unit, "bool"))
		cJSON_AddBoolToObject(o, key, value->value != 0);
	else
		json_add_number(o, key, value->value);
	free(key);
}

static void add_tasks(cJSON *o, const struct finding *f)
{
	cJSON *tasks = cJSON_AddArrayToObject(o, "tasks");

	for (uint32_t i = 0; i < f->tasks_count && i < FINDING_TASKS; i++) {
		char text[24];

		snprintf(text, sizeof(text), "%" PRIu64, f->tasks[i]);
		cJSON_AddItemToArray(tasks, cJSON_CreateRaw(text));
	}
}

static void add_finding_runtime(cJSON *o, const struct finding_view *v)
{
	json_add_text(o, "runtime", v->binary ? v->binary->runtime : NULL);
	json_add_uint_if(o, "runtime_id", v->runtime, v->runtime ? v->runtime->id : 0);
	json_add_text(o, "site", v->site ? v->site->name : NULL);
	json_add_uint_if(o, "site_id", v->site, v->site ? v->site->id : 0);
	json_add_uint_if(o, "tid", v->f->tid, v->f->tid);
	json_add_text(o, "worker", v->worker ? v->worker->now.comm : NULL);
}

static cJSON *place_object(const struct frame *f)
{
	cJSON *o = cJSON_CreateObject();

	json_add_text(o, "function", f->function);
	json_add_text(o, "file", f->file);
	json_add_uint_if(o, "line", f->line, f->line);
	json_add_uint_if(o, "column", f->column, f->column);
	json_add_text(o, "binary", f->binary);
	json_add_uint(o, "offset", f->offset);
	return o;
}

static cJSON *frame_object(const struct frame *f)
{
	cJSON *o = place_object(f);

	cJSON_AddBoolToObject(o, "inlined", f->inlined);
	cJSON_AddStringToObject(o, "origin", frame_origin_name(f->origin));
	cJSON_AddStringToObject(o, "from", frame_from_name(f->from));
	return o;
}

static void add_frames(cJSON *o, const struct site_stack *row)
{
	cJSON *frames = cJSON_AddArrayToObject(o, "stack");

	for (uint32_t i = 0; i < row->frames_count; i++)
		cJSON_AddItemToArray(frames, frame_object(&row->frames[i]));
}

/* Without a name, its place in the binary. */
static void add_call(cJSON *o, const struct site_stack *row)
{
	char name[FRAME_TEXT];

	frame_name(row && row->call >= 0 ? &row->frames[row->call] : NULL, name, sizeof(name));
	json_add_text(o, "call", *name ? name : NULL);
}

/* The kernel's functions below a block. */
static void add_kernel(cJSON *o, const struct site_stack *row)
{
	bool known = row && row->kernel_count;
	cJSON *names;

	if (!known) {
		cJSON_AddNullToObject(o, "kernel_stack");
		cJSON_AddNullToObject(o, "kernel_function");
		cJSON_AddNullToObject(o, "page_fault");
		return;
	}
	names = cJSON_AddArrayToObject(o, "kernel_stack");
	for (uint32_t i = 0; i < row->kernel_count; i++)
		cJSON_AddItemToArray(names, cJSON_CreateString(row->kernel[i]));
	json_add_text(o, "kernel_function",
		      row->kernel_main >= 0 ? row->kernel[row->kernel_main] : NULL);
	cJSON_AddBoolToObject(o, "page_fault", row->kernel_fault);
}

static void add_row(cJSON *o, const struct site_stack *row)
{
	bool blamed = row && row->culprit >= 0;

	json_add_text(o, "syscall_detail", row ? row->detail : NULL);
	if (row)
		add_frames(o, row);
	else
		cJSON_AddNullToObject(o, "stack");
	json_add_text(o, "stack_end", row ? stack_end_name(row->end) : NULL);
	add_kernel(o, row);
	if (blamed)
		cJSON_AddItemToObject(o, "culprit", place_object(&row->frames[row->culprit]));
	else
		cJSON_AddNullToObject(o, "culprit");
	add_call(o, row);
}

static void add_stack(cJSON *o, const struct model *m, const struct finding *f)
{
	double share = -1;

	add_row(o, finding_stack(m, f, &share));
	json_add_share(o, "stack_share", share, 1);
	json_add_uint(o, "stacks", finding_stacks(m, f));
}

/* Where most tasks of the type are spawned; null and the reason when it is not known. */
static void add_spawn(cJSON *o, const struct model *m, const struct site *site, bool frames)
{
	double share = 1;
	const struct site_stack *row = site_spawn(site, &share);
	const struct site *spawner;
	cJSON *spawn;

	if (!row) {
		cJSON_AddNullToObject(o, "spawn");
		json_add_text(o, "spawn_unknown_because", site ? site_no_spawn(site) : NULL);
		return;
	}
	if (row->culprit >= 0)
		spawn = place_object(&row->frames[row->culprit]);
	else
		spawn = cJSON_CreateObject();
	spawner = model_site(m, row->spawner);
	json_add_text(spawn, "in_poll_of", spawner ? spawner->name : NULL);
	json_add_share(spawn, "share", share, 1);
	json_add_uint(spawn, "spawns", site->stacks->taken[STACK_SPAWN]);
	if (frames) {
		add_frames(spawn, row);
		json_add_text(spawn, "stack_end", stack_end_name(row->end));
	}
	cJSON_AddItemToObject(o, "spawn", spawn);
	cJSON_AddNullToObject(o, "spawn_unknown_because");
}

static void add_advice(cJSON *o, const struct model *m, const struct finding *f)
{
	char advice[ADVICE_TEXT];

	finding_advice(m, f, advice, sizeof(advice));
	json_add_text(o, "advice", advice);
}

cJSON *json_finding(const struct model *m, const struct finding *f)
{
	struct finding_view v;
	cJSON *o = object("finding");
	cJSON *values;

	finding_view_of(&v, m, f);
	json_add_text(o, "rule", v.rule.id);
	json_add_text(o, "title", v.rule.title);
	cJSON_AddStringToObject(o, "severity", severity_name(f->severity));
	add_pid(o, v.target);
	add_finding_runtime(o, &v);
	add_tasks(o, f);
	json_add_uint(o, "count", f->count);
	json_add_uint(o, "first_ns", f->first_ns);
	json_add_uint(o, "last_ns", f->last_ns);
	json_add_uint_if(o, "worst_ns", f->worst_ns, f->worst_ns);
	json_add_uint_if(o, "total_ns", f->total_ns, f->total_ns);
	cJSON_AddBoolToObject(o, "open", f->open);
	json_add_uint_if(o, "open_since_ns", f->open, f->open_since_ns);
	cJSON_AddStringToObject(o, "evidence", evidence_name(f->evidence));
	cJSON_AddBoolToObject(o, "during_loss", f->during_loss);
	cJSON_AddBoolToObject(o, "lower_bound", f->loose);
	add_syscall(o, f->syscall);
	add_stack(o, m, f);
	json_add_victims(o, m, f);
	json_add_cause(o, m, f);
	add_spawn(o, m, v.site, true);
	json_add_text(o, "message", f->message);
	add_advice(o, m, f);
	json_add_text(o, "link", v.rule.link);
	values = cJSON_AddObjectToObject(o, "values");
	for (uint32_t i = 0; i < f->values_count && i < FINDING_VALUES; i++)
		add_value(values, &f->values[i]);
	return o;
}

cJSON *json_runtime(const struct model *m, const struct runtime *r)
{
	const struct binary *b = view_binary(m, r->binary);
	const struct ev_queues *q = &r->queues;
	bool seen = r->queues_seen;
	cJSON *o = object("runtime");

	add_pid(o, model_target(m, r->target));
	json_add_uint(o, "runtime_id", r->id);
	json_add_text(o, "name", b ? b->runtime : NULL);
	json_add_text(o, "version", b ? b->version : NULL);
	json_add_text(o, "flavor", flavor_name(r->flavor));
	json_add_depth(o, "workers", r->workers);
	json_add_uint(o, "workers_seen", r->workers_seen);
	json_add_depth(o, "inject_queue", seen ? q->inject : -1);
	json_add_depth(o, "local_queues", seen ? q->local : -1);
	json_add_depth(o, "tasks_alive", seen ? q->alive : -1);
	json_add_depth(o, "blocking_queue", seen ? q->blocking_queue : -1);
	json_add_depth(o, "blocking_threads", seen ? q->blocking_threads : -1);
	json_add_depth(o, "blocking_idle", seen ? q->blocking_idle : -1);
	json_add_text(o, "unknown_because", seen ? q->reason : "not read yet");
	return o;
}

/* `known`: all of its polls were seen. */
static void add_times(cJSON *o, const struct ev_thread *t, bool known)
{
	json_add_uint_if(o, "polls", known, t->polls);
	json_add_uint_if(o, "busy_ns", known, t->busy_ns);
	json_add_uint_if(o, "blocked_ns", known, t->blocked_ns);
	json_add_uint_if(o, "preempted_ns", known, t->preempted_ns);
	json_add_uint_if(o, "searching_ns", known, t->searching_ns);
	json_add_uint_if(o, "parked_ns", known, t->parked_ns);
}

cJSON *json_worker(const struct model *m, const struct worker *w)
{
	const struct ev_thread *t = &w->now;
	bool open = t->poll_start_ns != 0;
	bool past = t->poll_start_ns <= m->now_ns;
	const struct site_stack *row = worker_stack(w);
	cJSON *o = object("worker");

	add_pid(o, model_target(m, w->target));
	json_add_uint(o, "tid", t->tid);
	json_add_text(o, "name", t->comm);
	add_runtime(o, m, t->runtime);
	cJSON_AddStringToObject(o, "state", thread_state_name(t->state));
	json_add_uint_if(o, "since_ns", t->since_ns && !t->early, t->since_ns);
	json_add_site(o, m, open ? t->site : ID_NONE);
	json_add_uint_if(o, "task", open && t->task_id, t->task_id);
	json_add_uint_if(o, "poll_start_ns", open && !t->early, t->poll_start_ns);
	json_add_uint_if(o, "poll_ns", open, past ? m->now_ns - t->poll_start_ns : 0);
	add_syscall(o, t->syscall);
	json_add_uint_if(o, "first_ns", t->first_ns, t->first_ns);
	add_times(o, t, !w->holes);
	cJSON_AddBoolToObject(o, "lower_bound", t->early);
	json_add_text(o, "stack_kind", row ? stack_kind_name(row->kind) : NULL);
	add_row(o, row);
	json_add_lock(o, m, w);
	return o;
}

static void add_quantiles(cJSON *o, const struct site *s)
{
	static const struct {
		const char *key;
		double q;
	} rows[QUANTILES] = {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}};

	for (size_t i = 0; i < QUANTILES; i++)
		json_add_uint_if(o, rows[i].key, s->hist.count, site_quantile(s, rows[i].q));
}

cJSON *json_site(const struct model *m, const struct site *s)
{
	const struct binary *b = view_binary(m, s->binary);
	cJSON *o = object("site");

	add_pid(o, model_target(m, s->target));
	json_add_uint(o, "site_id", s->id);
	json_add_text(o, "site", s->name);
	json_add_text(o, "location", s->location);
	cJSON_AddBoolToObject(o, "ambiguous", s->ambiguous);
	json_add_text(o, "binary", b ? b->path : NULL);
	json_add_uint(o, "offset", s->offset);
	json_add_uint_if(o, "task_bytes", s->size_bytes, s->size_bytes);
	json_add_uint(o, "polls", s->polls);
	json_add_uint(o, "in_polls_ns", s->busy_ns);
	json_add_uint(o, "blocked_ns", s->blocked_ns);
	json_add_uint(o, "preempted_ns", s->preempted_ns);
	json_add_uint(o, "max_ns", s->max_ns);
	add_quantiles(o, s);
	json_add_uint_if(o, "delays", s->delays_valid, s->delay.count);
	json_add_uint_if(o, "delay_p50_ns", s->delay.count, site_delay_quantile(s, 0.5));
	json_add_uint_if(o, "delay_p99_ns", s->delay.count, site_delay_quantile(s, 0.99));
	json_add_uint_if(o, "delay_max_ns", s->delay.count, s->delay_max_ns);
	cJSON_AddBoolToObject(o, "sampled", s->sampled);
	json_add_share(o, "sampled_error_pct",
		       s->sampled && s->error != ID_NONE ? s->error / 1000.0 : -1, 100);
	json_add_uint_if(o, "tasks_seen", s->tasks_valid && !s->tasks_gap, s->seen);
	json_add_uint_if(o, "tasks_ended", site_live_known(m, s) && !s->tasks_gap, s->ended);
	json_add_uint_if(o, "tasks_live", site_live_known(m, s), s->live);
	add_spawn(o, m, s, true);
	return o;
}

cJSON *json_task(const struct model *m, const struct task_view *v)
{
	const struct ev_task *row = &v->task->row;
	bool known = row->state_valid;
	cJSON *o = object("task");

	add_pid(o, model_target(m, v->task->target));
	json_add_uint_if(o, "id", row->id, row->id);
	add_runtime(o, m, row->runtime);
	json_add_site(o, m, row->site);
	json_add_text(o, "state", task_state_name(v->state));
	json_add_uint_if(o, "for_ns", v->for_ns, v->for_ns);
	json_add_uint_if(o, "tid", v->worker || row->last_tid,
			 v->worker ? v->worker->now.tid : row->last_tid);
	json_add_uint_if(o, "first_ns", row->first_ns, row->first_ns);
	json_add_uint_if(o, "last_ns", row->last_ns, row->last_ns);
	json_add_uint(o, "polls", row->polls);
	json_add_uint(o, "in_polls_ns", row->busy_ns);
	if (known) {
		cJSON_AddBoolToObject(o, "cancelled", row->cancelled);
		cJSON_AddBoolToObject(o, "has_handle", row->has_handle);
	} else {
		cJSON_AddNullToObject(o, "cancelled");
		cJSON_AddNullToObject(o, "has_handle");
	}
	json_add_uint_if(o, "refs", known, row->refs);
	json_add_uint_if(o, "wakes", row->wakes_valid, row->wakes);
	json_add_waits(o, m, v->task);
	add_spawn(o, m, model_site(m, row->site), false);
	return o;
}

/* Of the rules: how many can find all they know of, and what each of the others lacks. */
static void add_arming(cJSON *o, const struct snapshot *snap)
{
	size_t count = snap->rules ? rules_count(snap->rules) : 0, armed = 0;
	cJSON *rules = cJSON_AddObjectToObject(o, "rules");
	cJSON *lists[] = {
		[ARMING_ARMED] = NULL,
		[ARMING_LIMITED] = cJSON_CreateArray(),
		[ARMING_OFF] = cJSON_CreateArray(),
	};

	for (size_t i = 0; i < count; i++) {
		char why[ARMING_WHY];
		enum arming arming = rules_arming(snap->rules, snap->model, i, why, sizeof(why));
		struct rule_info info;
		cJSON *one;

		armed += arming == ARMING_ARMED;
		if (arming == ARMING_ARMED)
			continue;
		rules_info(snap->rules, i, &info);
		one = cJSON_CreateObject();
		json_add_text(one, "rule", info.id);
		json_add_text(one, "why", why);
		cJSON_AddItemToArray(lists[arming], one);
	}
	json_add_uint(rules, "armed", armed);
	cJSON_AddItemToObject(rules, "limited", lists[ARMING_LIMITED]);
	cJSON_AddItemToObject(rules, "off", lists[ARMING_OFF]);
}

cJSON *json_footer(const struct snapshot *snap, const struct outcome_opts *opts)
{
	const struct model *m = snap->model;
	const struct ev_cost *cost = &m->cost;
	cJSON *o = object("footer");
	struct totals totals;
	struct outcome outcome;
	cJSON *findings;

	totals_of(&totals, m);
	outcome_of(&outcome, snap, opts);
	json_add_uint(o, "duration_ns", totals.duration_ns);
	json_add_uint(o, "polls", totals.polls);
	json_add_uint_if(o, "tasks_seen", totals.tasks_valid, totals.tasks_seen);
	json_add_uint_if(o, "hits", totals.cost_valid, cost->hits);
	json_add_uint_if(o, "emitted", totals.cost_valid, cost->emitted);
	json_add_uint_if(o, "filtered", totals.cost_valid, cost->filtered);
	json_add_uint_if(o, "lost", totals.cost_valid, cost->lost);
	json_add_uint(o, "events_lost", m->lost);
	json_add_share(o, "overhead_pct", totals.overhead_ratio, 100);
	json_add_share(o, "agent_cpu_pct", totals.agent_ratio, 100);
	json_add_uint_if(o, "level", totals.cost_valid, cost->level);
	if (totals.cost_valid)
		cJSON_AddBoolToObject(o, "exact", cost->exact);
	else
		cJSON_AddNullToObject(o, "exact");
	json_add_uint_if(o, "sites_on", totals.cost_valid, cost->sites_on);
	json_add_uint_if(o, "sites_off", totals.cost_valid, cost->sites_off);
	json_add_share(o, "budget_pct", cost->budget_ppm ? cost->budget_ppm / 1e6 : -1, 100);
	json_add_uint_if(o, "level_asked", cost->level_asked, cost->level_asked);
	json_add_uint_if(o, "lowerings", totals.cost_valid, cost->lowerings);
	json_add_uint_if(o, "lowered_ns", totals.cost_valid, cost->lowered_ns);
	json_add_uint_if(o, "sites_sampled", totals.cost_valid, cost->sites_sampled);
	json_add_uint_if(o, "windows", totals.cost_valid, cost->windows);
	findings = cJSON_AddObjectToObject(o, "findings");
	for (int s = SEVERITY_INFO; s <= SEVERITY_CRITICAL; s++)
		json_add_uint(findings, severity_name((enum severity)s), outcome.by_severity[s]);
	json_add_uint(o, "findings_effects", outcome.effects);
	json_add_uint(o, "findings_evicted", snap->rules ? rules_evicted(snap->rules) : 0);
	json_add_uint_if(o, "spawn_hits", totals.cost_valid, cost->spawn_hits);
	json_add_uint(o, "stacks_lost", m->stacks_lost);
	json_add_uint(o, "stacks_limited", m->stacks_limited);
	json_add_uint(o, "stacks_dropped", m->stacks_dropped);
	if (totals.cost_valid)
		add_arming(o, snap);
	else
		cJSON_AddNullToObject(o, "rules"); /* the level is not known */
	return o;
}
