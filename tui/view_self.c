// SPDX-License-Identifier: LGPL-2.1-or-later
/* Self: what is watched and how, what watching costs, what was lost, and the notes. */
#include "tui/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NOTES 16 /* kept by the model */

static const char *level_text(uint8_t level)
{
	static const char *const texts[] = {
		"0: no probe in the target",
		"1: polls of each future type",
		"2: also a table of tasks",
		"3: also wakes",
	};

	return level < sizeof(texts) / sizeof(texts[0]) ? texts[level] : "n/a";
}

static void budget_lines(const struct model *m, struct lines *out)
{
	const struct ev_cost *c = &m->cost;
	double used = model_overhead_ratio(m, SHARES_OVER);

	if (!c->budget_ppm) {
		lines_value(out, "budget", "none");
		return;
	}
	lines_value(out, "budget", "at most %s of the target's CPU time; %s are used%s",
		    FMT_RATIO(c->budget_ppm / 1e6), FMT_RATIO(used),
		    used > c->budget_ppm / 1e6 ? ": OVER it" : "");
	if (!c->sites_sampled)
		return;
	lines_value(out, "sampled", "%u task type%s, over %u moment%s so far; the next %s%s",
		    c->sites_sampled, c->sites_sampled == 1 ? "" : "s", c->windows,
		    c->windows == 1 ? "" : "s", c->next_window_ns > m->now_ns ? "in " : "is now",
		    c->next_window_ns > m->now_ns ? FMT_DURATION(c->next_window_ns - m->now_ns) :
						    "");
}

static void cost_lines(const struct model *m, struct lines *out)
{
	const struct ev_cost *c = &m->cost;
	char lowered[64] = "";

	lines_title(out, "Cost of watching");
	lines_value(out, "target", "%s of its CPU time over the last %d s",
		    FMT_RATIO(model_overhead_ratio(m, SHARES_OVER)), SHARES_OVER);
	lines_value(out, "stalltop", "%s of one core",
		    FMT_RATIO(model_agent_ratio(m, SHARES_OVER)));
	lines_value(out, "memory", "%s resident",
		    c->agent_rss_bytes ? FMT_BYTES(c->agent_rss_bytes) : "n/a");
	if (c->level < c->level_asked)
		snprintf(lowered, sizeof(lowered), " (lowered from %u: over the budget)",
			 c->level_asked);
	lines_value(out, "level", "%s%s", level_text(c->level), lowered);
	if (c->lowerings)
		lines_value(out, "lowered", "%u time%s, for %s in all", c->lowerings,
			    c->lowerings == 1 ? "" : "s", FMT_DURATION(c->lowered_ns));
	budget_lines(m, out);
	lines_value(out, "sites", "%u probed, %u not (refused, failed a check, or over the budget)",
		    c->sites_on, c->sites_off);
	lines_value(out, "hits",
		    "%" PRIu64 " = %" PRIu64 " emitted + %" PRIu64 " filtered + %" PRIu64 " lost",
		    c->hits, c->emitted, c->filtered, c->lost);
	if (c->spawn_hits)
		lines_value(out, "spawns", "%" PRIu64 " hits of probes of spawns", c->spawn_hits);
}

static void loss_lines(const struct model *m, struct lines *out)
{
	lines_title(out, "Loss");
	if (m->lost)
		lines_add(out, ROLE_WARNING, 2, "LOST %s event%s; the latest, %s, %s ago",
			  FMT_COUNT((double)m->lost), m->lost == 1 ? "" : "s",
			  FMT_COUNT((double)m->loss_last.count),
			  FMT_DURATION(m->now_ns - m->loss_last.end_ns));
	else
		lines_add(out, ROLE_NORMAL, 2, "no event was lost");
	if (m->stacks_lost || m->stacks_limited)
		lines_add(out, m->stacks_lost ? ROLE_WARNING : ROLE_NORMAL, 2,
			  "stacks: %s lost; %s not taken, being enough",
			  FMT_COUNT((double)m->stacks_lost), FMT_COUNT((double)m->stacks_limited));
	if (m->stacks_dropped)
		lines_add(out, ROLE_WARNING, 2, "%s stacks over the memory limit are not kept",
			  FMT_COUNT((double)m->stacks_dropped));
	if (m->tasks_truncated)
		lines_add(out, ROLE_WARNING, 2, "the task table is full: more tasks than rows");
	if (m->tasks_dropped)
		lines_add(out, ROLE_WARNING, 2, "%s task rows over the memory limit are not kept",
			  FMT_COUNT((double)m->tasks_dropped));
}

static void target_lines(const struct model *m, struct lines *out)
{
	lines_title(out, "Watched");
	for (uint32_t i = 0; i < m->targets_count; i++) {
		const struct target *t = &m->targets[i];

		if (t->comm)
			lines_value(out, t->comm, "pid %u, %u CPU%s%s, %s", t->pid, t->cpus,
				    t->cpus == 1 ? "" : "s", t->ended ? ", ENDED" : "",
				    t->exe ? t->exe : "n/a");
	}
	for (uint32_t i = 0; i < m->binaries_count; i++) {
		const struct binary *b = &m->binaries[i];

		if (b->path)
			lines_value(
				out, b->runtime ? b->runtime : "n/a", "%s, %u task type%s in %s",
				b->version ? b->version : "version n/a", binary_task_types(m, b),
				binary_task_types(m, b) == 1 ? "" : "s", b->path);
	}
}

static void runtime_lines(const struct model *m, bool several, struct lines *out)
{
	for (uint32_t i = 0; i < m->runtimes_count; i++) {
		const struct runtime *r = &m->runtimes[i];
		const struct ev_queues *q = &r->queues;
		const struct target *t = model_target(m, r->target);
		char text[160];

		if (r->id == ID_NONE)
			continue;
		runtime_text(m, r, text, sizeof(text));
		if (several && t)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " of %s [%u]",
				 t->comm, t->pid);
		lines_title(out, text);
		lines_value(out, "workers", "%s configured, %u seen, %u in a poll now",
			    FMT_KNOWN(r->workers), r->workers_seen, r->held);
		if (!r->queues_seen) {
			lines_value(out, "queues", "n/a: not read yet");
			continue;
		}
		lines_value(out, "queues", "shared %s, local %s", FMT_KNOWN(q->inject),
			    FMT_KNOWN(q->local));
		lines_value(out, "tasks", "%s owned by the runtime", FMT_KNOWN(q->alive));
		lines_value(out, "blocking", "%s queued, %s threads, %s of them idle",
			    FMT_KNOWN(q->blocking_queue), FMT_KNOWN(q->blocking_threads),
			    FMT_KNOWN(q->blocking_idle));
		lines_value(out, "layout from", "%s", q->source ? q->source : "n/a");
		if (q->reason)
			lines_value(out, "n/a because", "%s", q->reason);
	}
}

static void note_lines(const struct model *m, struct lines *out)
{
	uint32_t first = m->notes_count > NOTES ? m->notes_count - NOTES : 0;

	if (m->notes_count)
		lines_title(out, "Notes, newest first");
	for (uint32_t i = m->notes_count; i > first; i--) {
		const struct model_note *note = &m->notes[(i - 1) % NOTES];

		lines_add(out, note->severity == NOTE_WARNING ? ROLE_WARNING : ROLE_NORMAL, 2,
			  "%s ago%s: %s", FMT_DURATION(m->now_ns - note->time_ns),
			  note->severity == NOTE_WARNING ? ", warning" : "", note->text);
	}
}

static void self_read(struct view *view, const struct snapshot *snap)
{
	struct lines *out = &view->lines;

	lines_reset(out);
	cost_lines(snap->model, out);
	loss_lines(snap->model, out);
	target_lines(snap->model, out);
	runtime_lines(snap->model, has_several(snap->model), out);
	note_lines(snap->model, out);
}

const struct view_ops view_self = {
	.title = "Self",
	.request_open = REQUEST_VIEW_SELF,
	.read = self_read,
	.draw = view_lines_draw,
	.request = view_lines_request,
};
