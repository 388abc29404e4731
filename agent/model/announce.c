// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The model as events again: what who begins to listen now must be told. See model.h.
 */
#include "model/model_priv.h"

struct announcer {
	const struct model *m;
	event_fn fn;
	void *ctx;
	int ret;
};

static void tell(struct announcer *a, enum event_kind kind, uint32_t target, struct event event)
{
	if (a->ret)
		return;
	event.kind = kind;
	event.target = target;
	event.time_ns = a->m->now_ns;
	a->ret = a->fn(a->ctx, &event);
}

static void tell_targets(struct announcer *a)
{
	for (uint32_t i = 0; i < a->m->targets_count; i++) {
		const struct target *t = &a->m->targets[i];

		if (t->id == ID_NONE)
			continue;
		tell(a, EV_TARGET, t->id,
		     (struct event){.as_target = {
					    .pid = t->pid,
					    .start_time = t->start_time,
					    .comm = t->comm,
					    .exe = t->exe,
					    .build_id = t->build_id,
					    .cpus = t->cpus,
				    }});
		if (t->overhead_seen)
			tell(a, EV_OVERHEAD, t->id, (struct event){.as_overhead = t->overhead});
	}
}

static void tell_binaries(struct announcer *a)
{
	for (uint32_t i = 0; i < a->m->binaries_count; i++) {
		const struct binary *b = &a->m->binaries[i];

		if (b->id == ID_NONE)
			continue;
		tell(a, EV_BINARY, b->target,
		     (struct event){.as_binary = {
					    .binary = b->id,
					    .path = b->path,
					    .build_id = b->build_id,
					    .runtime = b->runtime,
					    .version = b->version,
					    .task_types = b->task_types,
				    }});
	}
}

static void tell_runtimes(struct announcer *a)
{
	for (uint32_t i = 0; i < a->m->runtimes_count; i++) {
		const struct runtime *r = &a->m->runtimes[i];

		if (r->id == ID_NONE)
			continue;
		tell(a, EV_RUNTIME, r->target,
		     (struct event){.as_runtime = {
					    .runtime = r->id,
					    .binary = r->binary,
					    .flavor = r->flavor,
					    .handle = r->handle,
					    .workers = r->workers,
				    }});
		if (r->queues_seen)
			tell(a, EV_QUEUES, r->target, (struct event){.as_queues = r->queues});
	}
}

static void tell_site(struct announcer *a, const struct site *s)
{
	tell(a, EV_SITE, s->target,
	     (struct event){.as_site = {
				    .site = s->id,
				    .binary = s->binary,
				    .kind = s->kind,
				    .name = s->name,
				    .scheduler = s->scheduler,
				    .name_from = s->name_from,
				    .ambiguous = s->ambiguous,
				    .by_stacks = s->by_stacks,
				    .size = s->size_bytes,
				    .offset = s->offset,
				    .body = s->body,
				    .location = s->location,
				    .no_spawns = s->no_spawns,
			    }});
	if (!s->polls && !s->seen && !s->delays_valid)
		return;
	tell(a, EV_SITE_STATS, s->target,
	     (struct event){.as_site_stats = {
				    .site = s->id,
				    .polls = s->polls,
				    .busy_ns = s->busy_ns,
				    .blocked_ns = s->blocked_ns,
				    .preempted_ns = s->preempted_ns,
				    .max_ns = s->max_ns,
				    .seen = s->seen,
				    .ended = s->ended,
				    .tasks_valid = s->tasks_valid,
				    .tasks_gap = s->tasks_gap,
				    .sampled = s->sampled,
				    .error = s->error,
				    .hist = s->hist.bucket,
				    .delay_hist = s->delays_valid ? s->delay.bucket : NULL,
				    .delay_max_ns = s->delay_max_ns,
			    }});
}

/* A thread that ended stays in the tables: its time counted. */
static void tell_workers(struct announcer *a)
{
	for (uint32_t i = 0; i < a->m->workers_count; i++) {
		const struct worker *w = &a->m->workers[i];
		const struct target *t = model_target(a->m, w->target);

		if (!w->announced || !t)
			continue;
		tell(a, EV_THREAD, w->target, (struct event){.as_thread = w->now});
		if (w->ended && !t->ended)
			tell(a, EV_THREAD_END, w->target,
			     (struct event){.as_thread_end = {.tid = w->now.tid}});
		else if (w->open)
			tell(a, EV_POLL_OPEN, w->target, (struct event){.as_poll = w->poll});
	}
}

static void tell_ends(struct announcer *a)
{
	for (uint32_t i = 0; i < a->m->targets_count; i++) {
		const struct target *t = &a->m->targets[i];

		if (t->id != ID_NONE && t->ended)
			tell(a, EV_TARGET_END, t->id,
			     (struct event){.as_target_end = {.reason = t->end_reason,
							      .status = t->end_status}});
	}
}

static void tell_notes(struct announcer *a)
{
	uint32_t kept = sizeof(a->m->notes) / sizeof(a->m->notes[0]);
	uint32_t from = a->m->notes_count > kept ? a->m->notes_count - kept : 0;

	for (uint32_t i = from; i < a->m->notes_count; i++)
		tell(a, EV_NOTE, ID_NONE,
		     (struct event){.as_note = {.severity = a->m->notes[i % kept].severity,
						.text = a->m->notes[i % kept].text}});
}

int model_announce(const struct model *m, event_fn fn, void *ctx)
{
	struct announcer a = {.m = m, .fn = fn, .ctx = ctx};

	tell_targets(&a);
	tell_binaries(&a);
	tell_runtimes(&a);
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].id != ID_NONE)
			tell_site(&a, &m->sites[i]);
	tell_workers(&a);
	if (m->index->cost_seen)
		tell(&a, EV_COST, ID_NONE, (struct event){.as_cost = m->cost});
	tell_ends(&a);
	tell_notes(&a);
	return a.ret;
}
