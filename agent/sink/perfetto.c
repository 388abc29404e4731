// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A trace on Perfetto's time line. A poll is a slice on its thread, and once more on its task; its
 * blocks, where a stack says when they began, are nested in it. Everything is written as it comes:
 * the viewer sorts by time.
 *
 * With --polls the long polls are told twice, in full and in short, and only the short records are
 * in the order in which the polls ended. So what is told in full waits for two ticks, and is joined
 * to its short record when that comes; what has none is written by itself. A short record of a poll
 * that ended while the records were read comes first: it waits for those that are read next.
 */
#include "sink/export.h"

#include <inttypes.h>
#include <stdio.h>

#include "rules/rule.h"
#include "rules/stack.h"
#include "sink/perfetto_flows.h"
#include "sink/perfetto_tracks.h"
#include "sink/view.h"
#include "util/xalloc.h"

#define HELD_MAX 65536
#define WAITING 6 /* this counter of a runtime, behind those of its queues */
#define WAITING_NAME "ready tasks seen waiting, at least"

/* A poll in full. */
struct held {
	uint32_t target;
	uint64_t tick;
	bool done; /* joined */
	struct ev_poll poll;
};

/* A short record that came first. */
struct ahead {
	uint32_t target;
	struct brief_poll poll;
};

struct perfetto {
	struct sink sink;
	struct export_out out;
	struct pf_tracks tracks;
	struct bytes args;
	struct held *held; /* oldest first */
	size_t held_count, held_cap;
	struct ahead *ahead;
	size_t ahead_count, ahead_cap;
	uint64_t ahead_ns, ahead_tick; /* when they came */
	struct map held_at;	       /* (target and tid, start) -> index in `held` */
	uint64_t ticks;
	bool every_poll; /* there are short records: no poll is left out */
	struct pf_flows flows;
	struct map waiting; /* (target, runtime) -> tick since which a task was seen waiting */
	uint64_t wall_offset_ns;
	bool started;
};

static void start(struct perfetto *p, uint64_t time_ns)
{
	if (p->started)
		return;
	p->started = true;
	pf_start(&p->out.b, time_ns, p->wall_offset_ns);
}

static void put(struct perfetto *p, const struct pf_event *event)
{
	pf_event(&p->out.b, event);
}

static uint64_t thread_track(struct perfetto *p, uint32_t target, uint32_t tid)
{
	const struct pf_thread *thread = pf_thread(&p->tracks, target, tid, NULL);

	return thread ? thread->uuid : pf_process(&p->tracks, target);
}

/* --- polls ------------------------------------------------------------------------------ */

static void put_slice(struct perfetto *p, uint64_t track, enum pf_category category,
		      const struct brief_poll *poll, const struct bytes *args, uint64_t flow)
{
	put(p, &(struct pf_event){
		       .type = PF_BEGIN,
		       .track = track,
		       .time_ns = poll->start_ns,
		       .category = category,
		       .name_iid = pf_site(&p->tracks, poll->site),
		       .flow_end = flow,
		       .args = args,
	       });
	put(p, &(struct pf_event){
		       .type = PF_END,
		       .track = track,
		       .time_ns = poll->start_ns + poll->length_ns,
	       });
}

/* A block's slice; a mark in its poll when it is not known when it began. */
static void put_block(struct perfetto *p, uint64_t track, const struct pf_open_block *block)
{
	const struct told_block *told = &block->told;
	uint64_t end_ns;
	struct pf_event event = {
		.type = told->begin_ns ? PF_BEGIN : PF_INSTANT,
		.track = track,
		.time_ns = told->begin_ns ? told->begin_ns : told->poll_start_ns,
		.category = PF_BLOCK,
		.name = block->name,
		.args = &block->args,
	};

	put(p, &event);
	if (event.type == PF_INSTANT)
		return;
	end_ns = told->begin_ns + told->span_ns;
	put(p, &(struct pf_event){
		       .type = PF_END,
		       .track = track,
		       .time_ns = end_ns < block->limit_ns ? end_ns : block->limit_ns,
	       });
}

static void release_block(struct perfetto *p, struct pf_thread *thread)
{
	if (thread->block.held)
		put_block(p, thread->uuid, &thread->block);
	thread->block.held = false;
}

static void put_poll(struct perfetto *p, uint32_t target, const struct brief_poll *poll,
		     const struct ev_poll *full)
{
	const struct bytes *args = full ? &p->args : NULL;
	struct pf_thread *thread = pf_thread(&p->tracks, target, poll->tid, NULL);
	uint64_t task = pf_task(&p->tracks, target, poll->task_id, poll->site);
	uint64_t flow = 0;

	if (p->every_poll)
		flow = pf_flow_end(&p->flows, target, poll->task_id, poll->start_ns);
	if (full)
		pf_poll_args(&p->args, full);
	if (thread) {
		thread->last_start_ns = poll->start_ns;
		thread->last_end_ns = poll->start_ns + poll->length_ns;
		pf_block_limit_in(&thread->block, poll->start_ns, thread->last_end_ns);
	}
	put_slice(p, thread ? thread->uuid : pf_process(&p->tracks, target), PF_POLL, poll, args,
		  task ? 0 : flow);
	/* It begins where the poll does, and has to stand behind it to be nested in it. */
	if (thread && pf_block_is_all(&thread->block) &&
	    thread->block.told.poll_start_ns == poll->start_ns)
		release_block(p, thread);
	if (!task)
		return;
	pf_flow_polled(&p->flows, target, poll->task_id, poll->start_ns);
	p->args.len = 0;
	pf_arg_uint(&p->args, "thread", poll->tid);
	put_slice(p, task, PF_TASK, poll, &p->args, flow);
}

static uint64_t held_key(uint32_t target, uint32_t tid)
{
	return (uint64_t)target << 32 | tid;
}

static void put_held(struct perfetto *p, struct held *h)
{
	struct brief_poll brief = {
		.start_ns = h->poll.start_ns,
		.length_ns = h->poll.length_ns,
		.task_id = h->poll.task_id,
		.tid = h->poll.tid,
		.site = h->poll.site,
	};

	if (!h->done)
		put_poll(p, h->target, &brief, &h->poll);
	h->done = true;
}

static void put_brief(struct perfetto *p, uint32_t target, const struct brief_poll *poll)
{
	uint64_t key = held_key(target, poll->tid);
	uint64_t at = map_get(&p->held_at, key, poll->start_ns);
	struct held *h = at == MAP_NONE ? NULL : &p->held[at];

	if (h && h->done)
		return;
	put_poll(p, target, poll, h ? &h->poll : NULL);
	if (!h)
		return;
	h->done = true;
	map_del(&p->held_at, key, poll->start_ns);
}

static void put_ahead(struct perfetto *p)
{
	for (size_t i = 0; i < p->ahead_count; i++)
		put_brief(p, p->ahead[i].target, &p->ahead[i].poll);
	p->ahead_count = 0;
}

/* Those that no short record can come for any more. */
static void release(struct perfetto *p, bool all)
{
	size_t count = 0;

	if (all || p->ahead_tick + 2 <= p->ticks)
		put_ahead(p);
	while (count < p->held_count && (all || p->held[count].tick + 2 <= p->ticks))
		put_held(p, &p->held[count++]);
	if (!count)
		return;
	p->held_count -= count;
	memmove(p->held, p->held + count, p->held_count * sizeof(*p->held));
	map_free(&p->held_at);
	map_init(&p->held_at, HELD_MAX);
	for (size_t i = 0; i < p->held_count; i++)
		if (!p->held[i].done)
			map_put(&p->held_at, held_key(p->held[i].target, p->held[i].poll.tid),
				p->held[i].poll.start_ns, i);
}

static void hold(struct perfetto *p, const struct event *event)
{
	const struct ev_poll *poll = &event->as_poll;
	struct pf_thread *thread = pf_thread(&p->tracks, event->target, poll->tid, NULL);

	if (thread)
		pf_block_limit_in(&thread->block, poll->start_ns, poll->start_ns + poll->length_ns);
	/* Its short record came just before, as the last one of a full batch. */
	if (p->every_poll && thread && thread->last_start_ns == poll->start_ns)
		return;
	if (p->held_count == HELD_MAX)
		release(p, true);
	p->held = xgrow(p->held, &p->held_cap, p->held_count + 1, sizeof(*p->held));
	map_put(&p->held_at, held_key(event->target, poll->tid), poll->start_ns, p->held_count);
	p->held[p->held_count++] = (struct held){
		.target = event->target, .tick = p->ticks, .poll = *poll};
}

static void put_polls(struct perfetto *p, const struct event *event)
{
	p->every_poll = true;
	if (event->time_ns > p->ahead_ns)
		put_ahead(p);
	p->ahead_ns = event->time_ns;
	p->ahead_tick = p->ticks;
	for (uint32_t i = 0; i < event->as_polls.count; i++) {
		const struct brief_poll *poll = &event->as_polls.list[i];

		if (poll->start_ns + poll->length_ns <= event->time_ns) {
			put_brief(p, event->target, poll);
			continue;
		}
		p->ahead = xgrow(p->ahead, &p->ahead_cap, p->ahead_count + 1, sizeof(*p->ahead));
		p->ahead[p->ahead_count++] = (struct ahead){event->target, *poll};
	}
}

/* --- blocks and samples ------------------------------------------------------------------- */

/* The poll of the thread's block, when it waits to be joined; NULL. */
static struct held *held_poll_of(struct perfetto *p, const struct pf_thread *thread)
{
	uint64_t at = map_get(&p->held_at, held_key(thread->target, thread->tid),
			      thread->block.told.poll_start_ns);

	return at == MAP_NONE ? NULL : &p->held[at];
}

/* The poll of its block goes first, if it is there. */
static void put_poll_of(struct perfetto *p, struct pf_thread *thread)
{
	struct held *h = held_poll_of(p, thread);

	if (h)
		put_held(p, h);
}

/* Its poll may have been told before it. */
static void limit_by_poll(struct perfetto *p, struct pf_thread *thread)
{
	const struct held *h = held_poll_of(p, thread);

	thread->block.limit_ns = UINT64_MAX;
	pf_block_limit_in(&thread->block, thread->last_start_ns, thread->last_end_ns);
	if (h)
		pf_block_limit(&thread->block, h->poll.start_ns + h->poll.length_ns);
}

static void take_block(struct perfetto *p, uint32_t target, const struct ev_stack *stack)
{
	struct pf_thread *thread = pf_thread(&p->tracks, target, stack->tid, NULL);
	struct pf_open_block *block = thread ? &thread->block : NULL;

	if (!thread)
		return;
	/* More is known of the same block: what was held is part of it. */
	if (block->held && block_is_again(&block->told, stack))
		block->held = false;
	if (pf_block_is_all(block))
		put_poll_of(p, thread);
	/* A thread sleeps once at a time. */
	if (stack->begin_ns)
		pf_block_limit(block, stack->begin_ns);
	release_block(p, thread);
	block->held = true;
	block->told = block_told(stack);
	limit_by_poll(p, thread);
	block->args.len = 0;
	pf_block_name(stack, block->name, sizeof(block->name));
	pf_arg_uint(&block->args, "span_ns", stack->span_ns);
	if (stack->open)
		pf_arg_bool(&block->args, "open_when_last_seen", true);
	pf_stack_args(&block->args, stack);
	if (!stack->open && !pf_block_is_all(block))
		release_block(p, thread);
}

static void put_sample(struct perfetto *p, const struct event *event)
{
	const struct ev_stack *stack = &event->as_stack;

	p->args.len = 0;
	pf_stack_args(&p->args, stack);
	put(p, &(struct pf_event){
		       .type = PF_INSTANT,
		       .track = thread_track(p, event->target, stack->tid),
		       .time_ns = stack->poll_start_ns ? stack->poll_start_ns + stack->span_ns :
							 event->time_ns,
		       .category = PF_SAMPLE,
		       .name = "computes",
		       .args = &p->args,
	       });
}

static void put_stack(struct perfetto *p, const struct event *event)
{
	const struct ev_stack *stack = &event->as_stack;

	if (stack->now_only || stack->kind > STACK_ON_CPU)
		return;
	if (stack->kind == STACK_OFF_CPU)
		take_block(p, event->target, stack);
	else
		put_sample(p, event);
}

/* --- the rest -------------------------------------------------------------------------------- */

static void put_counter(struct perfetto *p, uint64_t track, uint64_t time_ns, int64_t value)
{
	put(p, &(struct pf_event){
		       .type = PF_COUNTER,
		       .track = track,
		       .time_ns = time_ns,
		       .value = value,
	       });
}

/* A look that finds nobody waiting is no event: a whole tick without one says it. */
static void end_waits(struct perfetto *p, uint64_t time_ns)
{
	const struct map_slot *slot;
	struct map still;
	uint32_t pos = 0;

	if (!p->waiting.count)
		return;
	map_init(&still, p->waiting.max);
	while ((slot = map_next(&p->waiting, &pos))) {
		if (slot->value == p->ticks)
			map_put(&still, slot->a, slot->b, slot->value);
		else
			put_counter(p,
				    pf_counter(&p->tracks, (uint32_t)slot->a, (uint32_t)slot->b,
					       WAITING, WAITING_NAME),
				    time_ns, 0);
	}
	map_free(&p->waiting);
	p->waiting = still;
}

static void put_ready(struct perfetto *p, const struct event *event)
{
	const struct ev_ready *ready = &event->as_ready;
	uint64_t track = pf_task(&p->tracks, event->target, ready->task_id, ready->site);
	uint64_t since = event->time_ns - ready->waited_ns, flow;

	put_counter(p, pf_counter(&p->tracks, event->target, ready->runtime, WAITING, WAITING_NAME),
		    event->time_ns, ready->ready);
	map_put(&p->waiting, event->target, ready->runtime, p->ticks);
	if (!track)
		return;
	flow = pf_flow_begin(&p->flows, event->target, ready->task_id, &since, event->time_ns);
	if (!flow)
		return;
	put(p, &(struct pf_event){
		       .type = PF_INSTANT,
		       .track = track,
		       .time_ns = since,
		       .category = PF_READY,
		       .name = "ready, and waits",
		       .flow = flow,
	       });
}

static void put_queues(struct perfetto *p, const struct event *event)
{
	const struct ev_queues *q = &event->as_queues;
	const struct {
		const char *name;
		int64_t value;
	} depths[] = {
		{"shared queue", q->inject},
		{"local queues", q->local},
		{"tasks alive", q->alive},
		{"blocking queue", q->blocking_queue},
		{"blocking threads", q->blocking_threads},
		{"idle blocking threads", q->blocking_idle},
	};

	for (uint32_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++)
		if (depths[i].value >= 0)
			put_counter(p,
				    pf_counter(&p->tracks, event->target, q->runtime, i,
					       depths[i].name),
				    event->time_ns, depths[i].value);
}

static void put_note(struct perfetto *p, uint64_t time_ns, const char *text)
{
	put(p, &(struct pf_event){
		       .type = PF_INSTANT,
		       .track = pf_notes(&p->tracks),
		       .time_ns = time_ns,
		       .category = PF_NOTE,
		       .name = text,
	       });
}

static void put_lost(struct perfetto *p, const struct event *event)
{
	const struct ev_lost *lost = &event->as_lost;
	char *text = xasprintf("%" PRIu64 " %s lost: %s", lost->count,
			       lost->what == LOST_EVENTS ? "events" : "stacks",
			       lost->stage ? lost->stage : "unknown");

	put_note(p, event->time_ns, text);
	free(text);
	if (lost->what != LOST_EVENTS)
		return;
	/* A poll may be among what is missing: which one ended a wait is not known any more. */
	pf_flows_forget(&p->flows);
}

static int perfetto_event(struct sink *sink, const struct event *event)
{
	struct perfetto *p = (struct perfetto *)sink;

	start(p, event->time_ns);
	switch (event->kind) {
	case EV_SITE: pf_site_forget(&p->tracks, event->as_site.site); break;
	case EV_THREAD:
		pf_thread(&p->tracks, event->target, event->as_thread.tid, event->as_thread.comm);
		break;
	case EV_POLL: hold(p, event); break;
	case EV_POLLS: put_polls(p, event); break;
	case EV_STACK: put_stack(p, event); break;
	case EV_READY: put_ready(p, event); break;
	case EV_QUEUES: put_queues(p, event); break;
	case EV_LOST: put_lost(p, event); break;
	case EV_NOTE: put_note(p, event->time_ns, event->as_note.text); break;
	case EV_TICK:
		end_waits(p, event->time_ns);
		p->ticks++;
		release(p, false);
		break;
	default: break;
	}
	return export_flush(&p->out, false);
}

/* --- the end ------------------------------------------------------------------------------------- */

static void put_finding(struct perfetto *p, const struct model *m, const struct finding *f)
{
	struct finding_view v;
	char *name;

	finding_view_of(&v, m, f);
	name = xasprintf("%s %s", severity_name(f->severity), v.rule.id);
	p->args.len = 0;
	pf_arg_text(&p->args, "message", f->message);
	pf_arg_text(&p->args, "site", v.site ? v.site->name : NULL);
	pf_arg_uint(&p->args, "count", f->count);
	pf_arg_uint(&p->args, "worst_ns", f->worst_ns);
	pf_arg_uint(&p->args, "total_ns", f->total_ns);
	pf_arg_uint(&p->args, "last_ns", f->last_ns);
	pf_arg_bool(&p->args, "open", f->open);
	put(p, &(struct pf_event){
		       .type = PF_INSTANT,
		       .track = pf_findings(&p->tracks, f->target),
		       .time_ns = f->first_ns,
		       .category = PF_FINDING,
		       .name = name,
		       .args = &p->args,
	       });
	free(name);
}

/* A poll that did not end: a slice without an end. */
static void put_open(struct perfetto *p, const struct worker *w)
{
	if (!w->open || w->ended)
		return;
	pf_poll_args(&p->args, &w->poll);
	put(p, &(struct pf_event){
		       .type = PF_BEGIN,
		       .track = thread_track(p, w->target, w->now.tid),
		       .time_ns = w->poll.start_ns,
		       .category = PF_POLL,
		       .name_iid = pf_site(&p->tracks, w->poll.site),
		       .args = &p->args,
	       });
}

static int perfetto_finish(struct sink *sink, const struct snapshot *snap)
{
	struct perfetto *p = (struct perfetto *)sink;
	const struct model *m = snap->model;
	const struct finding **list;
	size_t count = rules_findings(snap->rules, &list);

	start(p, m->now_ns);
	release(p, true);
	for (size_t i = 0; i < p->tracks.count; i++)
		if (!pf_block_is_all(&p->tracks.list[i].block))
			release_block(p, &p->tracks.list[i]);
	for (uint32_t i = 0; i < m->workers_count; i++)
		put_open(p, &m->workers[i]);
	/* Behind the poll that did not end, as put_poll() does it; or it has none in the trace. */
	for (size_t i = 0; i < p->tracks.count; i++)
		release_block(p, &p->tracks.list[i]);
	for (size_t i = 0; i < count; i++)
		put_finding(p, m, list[i]);
	if (p->tracks.tasks_refused) {
		char *text = xasprintf("more than %d tasks: %" PRIu64
				       " polls are on their threads only",
				       PF_TASKS_MAX, p->tracks.tasks_refused);

		put_note(p, m->now_ns, text);
		free(text);
	}
	return export_flush(&p->out, true);
}

static void perfetto_close(struct sink *sink)
{
	struct perfetto *p = (struct perfetto *)sink;

	if (!p)
		return;
	pf_tracks_free(&p->tracks);
	map_free(&p->held_at);
	pf_flows_free(&p->flows);
	map_free(&p->waiting);
	bytes_free(&p->out.b);
	bytes_free(&p->args);
	free(p->held);
	free(p->ahead);
	free(p);
}

static const struct sink_ops perfetto_ops = {
	.event = perfetto_event,
	.finish = perfetto_finish,
	.close = perfetto_close,
};

struct sink *perfetto_sink_new(FILE *out, const struct model *model, uint64_t wall_offset_ns)
{
	struct perfetto *p = xcalloc(1, sizeof(*p));

	p->sink.ops = &perfetto_ops;
	p->out.out = out;
	p->wall_offset_ns = wall_offset_ns;
	pf_tracks_init(&p->tracks, &p->out.b, model);
	map_init(&p->held_at, HELD_MAX);
	pf_flows_init(&p->flows);
	map_init(&p->waiting, MODEL_MAX_RUNTIMES);
	return &p->sink;
}
