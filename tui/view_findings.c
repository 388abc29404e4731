// SPDX-License-Identifier: LGPL-2.1-or-later
/* Findings, worst first; the durations of open ones are live. */
#include "tui/findings_row.h"

#include <stdio.h>
#include <string.h>

#include "rules/stack.h"
#include "rules/victims.h"
#include "util/syscall.h"
#include "util/xalloc.h"

/* Over the age of the last observation of an open poll, its start is no longer trusted. */
#define POLL_FRESH_NS 1000000000ULL

/* Findings whose stacks and exact advice are read, worst first: a frame must not take long. */
#define STACKS_READ 128

struct state {
	uint64_t watched_ns, polls, longest_ns;
	uint32_t sites;
	bool sampled;
	uint64_t evicted;
	struct pool pool;
};

/* The rule has seen this poll, which is still open. */
static bool is_about(const struct finding *f, const struct worker *w)
{
	if (!w->open || w->ended || w->target != f->target || w->poll.site != f->site ||
	    f->last_ns < w->poll.start_ns)
		return false;
	for (uint32_t i = 0; i < f->tasks_count; i++)
		if (f->tasks[i] == w->poll.task_id)
			return true;
	return !f->tasks_count;
}

static uint64_t poll_ns(const struct model *m, const struct worker *w)
{
	uint64_t length = w->poll.length_ns;

	if (m->now_ns - w->poll_seen_ns < POLL_FRESH_NS && m->now_ns > w->poll.start_ns &&
	    m->now_ns - w->poll.start_ns > length)
		length = m->now_ns - w->poll.start_ns;
	return length;
}

/* The longest of the polls that this finding is about and that are still open, on any worker. */
static uint64_t open_poll_ns(const struct model *m, const struct finding *f)
{
	const struct target *t = f->open && f->site != ID_NONE ? model_target(m, f->target) : NULL;
	uint64_t longest = 0;

	if (!t || t->ended)
		return 0;
	for (uint32_t i = 0; i < m->workers_count; i++) {
		uint64_t length = is_about(f, &m->workers[i]) ? poll_ns(m, &m->workers[i]) : 0;

		longest = length > longest ? length : longest;
	}
	return longest;
}

/* Who waited meanwhile, on one line. */
static void victims_text(const struct model *m, const struct finding *f, struct row *row)
{
	size_t used = 0;
	char one[256];

	for (uint32_t i = 0; i < f->victims_count && used + 1 < sizeof(row->victims); i++) {
		victim_text(m, &f->victims[i], one, sizeof(one));
		used += (size_t)snprintf(row->victims + used, sizeof(row->victims) - used, "%s%s",
					 i ? "; " : "", one);
	}
}

static void where_text(const struct model *m, const struct finding *f, struct row *row)
{
	const struct target *t = f->target == ID_NONE ? NULL : model_target(m, f->target);
	const struct runtime *r = f->runtime == ID_NONE ? NULL : model_runtime(m, f->runtime);
	const struct worker *w = t && f->tid ? model_worker(m, f->target, f->tid) : NULL;

	if (t)
		snprintf(row->process, sizeof(row->process), "%s [%u]", t->comm, t->pid);
	victims_text(m, f, row);
	finding_cause_text(m, f, row->cause, sizeof(row->cause));
	if (r)
		runtime_text(m, r, row->runtime, sizeof(row->runtime));
	if (f->tid)
		snprintf(row->worker, sizeof(row->worker), "%s tid %u",
			 w && w->now.comm ? w->now.comm : "thread", f->tid);
	if (f->site != ID_NONE)
		snprintf(row->where, sizeof(row->where), "%s", site_text(m, f->site));
	else
		snprintf(row->where, sizeof(row->where), "%s",
			 f->tid ? row->worker :
			 r	? row->runtime :
				  row->process);
}

static void culprit_text(const struct model *m, const struct finding *f, struct row *row)
{
	const struct site_stack *stack = finding_stack(m, f, NULL);
	const struct frame *frame = stack && stack->culprit >= 0 ? &stack->frames[stack->culprit] :
								   NULL;

	if (!frame)
		return;
	frame_line_text(frame, row->culprit, sizeof(row->culprit));
	if (!row->culprit[0])
		frame_name(frame, row->culprit, sizeof(row->culprit));
}

/* Stable for one finding over time: what it is about, not where it lies. */
static uint64_t key_of(const struct finding *f)
{
	uint64_t key = (uint64_t)(uintptr_t)f->rule;
	uint32_t parts[] = {f->target, f->runtime, f->site};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		key = (key ^ parts[i]) * 0x9e3779b97f4a7c15ULL;
	return (key ^ f->first_ns) * 0x9e3779b97f4a7c15ULL;
}

static void read_row(struct view *view, const struct model *m, const struct finding *f)
{
	struct row *row = grid_row_add(&view->grid);
	struct rule_info info;

	row->finding = *f;
	row->key = key_of(f);
	row->now_ns = m->now_ns;
	row->pid = target_pid(m, f->target);
	row->live_ns = open_poll_ns(m, f);
	if (f->open && f->open_since_ns && m->now_ns > f->open_since_ns)
		row->open_ns = m->now_ns - f->open_since_ns;
	rule_info_of(f->rule, &info);
	/* A rule about polls stays open between them; the others hold all the time. */
	if (info.scope != SCOPE_POLL)
		row->live_ns = row->open_ns;
	row->rule_id = info.id;
	where_text(m, f, row);
	if (view->grid.rows_count > STACKS_READ)
		return;
	culprit_text(m, f, row);
	proof_read(&row->proof, &((struct state *)view->state)->pool, m, f);
}

static void findings_open(struct view *view)
{
	view->state = xcalloc(1, sizeof(struct state));
}

static void findings_read(struct view *view, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	struct state *state = view->state;
	const struct finding **list, **sorted;
	size_t count = rules_findings(snap->rules, &list);

	sorted = xcalloc(count, sizeof(list[0]));
	if (count)
		memcpy(sorted, list, count * sizeof(list[0]));
	qsort(sorted, count, sizeof(list[0]), finding_compare);
	grid_clear(&view->grid);
	*state = (struct state){.watched_ns = m->now_ns - m->begin_ns,
				.evicted = rules_evicted(snap->rules),
				.pool = {.text = state->pool.text, .cap = state->pool.cap}};
	for (size_t i = 0; i < count; i++)
		if (is_shown(view->only, sorted[i]->target))
			read_row(view, m, sorted[i]);
	free(sorted);
	for (uint32_t i = 0; i < m->sites_count; i++) {
		if (m->sites[i].kind != SITE_TASK || !is_shown(view->only, m->sites[i].target))
			continue;
		state->polls += m->sites[i].polls;
		state->sites += m->sites[i].polls > 0;
		state->sampled |= m->sites[i].sampled;
		if (m->sites[i].max_ns > state->longest_ns)
			state->longest_ns = m->sites[i].max_ns;
	}
}

static uint64_t row_key(const void *row)
{
	return ((const struct row *)row)->key;
}

static void row_text(const void *context, const void *row_, char *out, size_t size)
{
	const struct row *row = row_;

	(void)context;
	snprintf(out, size, "%s %s %s %s %s %s", severity_name(row->finding.severity), row->rule_id,
		 row->where, row->culprit, row->process, row->worker);
}

static void values_lines(const struct finding *f, struct lines *out)
{
	for (uint32_t i = 0; i < f->values_count; i++) {
		const struct finding_value *v = &f->values[i];
		char text[64];

		if (!strcmp(v->unit, "ns"))
			fmt_duration(text, sizeof(text), v->value > 0 ? (uint64_t)v->value : 0);
		else if (!strcmp(v->unit, "bytes"))
			fmt_bytes(text, sizeof(text), v->value > 0 ? (uint64_t)v->value : 0);
		else if (!strcmp(v->unit, "ratio"))
			fmt_ratio(text, sizeof(text), v->value);
		else
			snprintf(text, sizeof(text), "%s%s", FMT_COUNT(v->value),
				 strcmp(v->unit, "per_second") ? "" : "/s");
		lines_add(out, ROLE_NORMAL, 2, "%-28s %s", v->name, text);
	}
}

static const char *advice_of(const struct view *view, const struct row *row)
{
	const struct state *state = view->state;
	const char *text = pool_text(&state->pool, &row->proof.advice);
	struct rule_info info;

	rule_info_of(row->finding.rule, &info);
	return text ? text : info.advice;
}

static void rule_lines(const struct view *view, const struct row *row, struct lines *out)
{
	const char *advice = advice_of(view, row);
	struct rule_info info;

	rule_info_of(row->finding.rule, &info);
	if (info.why) {
		lines_title(out, "Why it matters");
		lines_add(out, ROLE_NORMAL, 2, "%s", info.why);
	}
	if (advice) {
		lines_title(out, "What to do");
		lines_add(out, ROLE_NORMAL, 2, "%s", advice);
	}
	if (info.example_before) {
		lines_title(out, "Before");
		lines_text(out, ROLE_WARNING, 2, info.example_before);
	}
	if (info.example_after) {
		lines_title(out, "After");
		lines_text(out, ROLE_OK, 2, info.example_after);
	}
	if (info.link) {
		lines_title(out, "More");
		lines_add(out, ROLE_NORMAL, 2, "%s", info.link);
	}
}

static void times_lines(const struct row *row, struct lines *out)
{
	const struct finding *f = &row->finding;

	if (row->live_ns)
		lines_value(out, "now", "%s so far", FMT_DURATION(row->live_ns));
	if (f->open)
		lines_value(out, "open for", "%s", FMT_DURATION(row->open_ns));
	if (f->worst_ns)
		lines_value(out, "worst", "%s%s%s%s", f->loose ? "at least " : "",
			    FMT_DURATION(f->worst_ns), f->total_ns ? ", in all " : "",
			    f->total_ns ? FMT_DURATION(f->total_ns) : "");
	lines_value(out, "times", "%s; first %s ago, last %s%s", FMT_COUNT((double)f->count),
		    FMT_DURATION(row_ago(row, f->first_ns)),
		    f->open ? "now" : FMT_DURATION(row_ago(row, f->last_ns)),
		    f->open ? "" : " ago");
}

static void tasks_text(const struct finding *f, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < f->tasks_count && used + 1 < size; i++)
		used += (size_t)snprintf(out + used, size - used, "%s%llu", i ? " " : "",
					 (unsigned long long)f->tasks[i]);
}

static void findings_detail(const struct view *view, const void *row_, struct lines *out)
{
	const struct state *state = view->state;
	const struct row *row = row_;
	const struct finding *f = &row->finding;
	struct rule_info info;
	char tasks[512];

	rule_info_of(f->rule, &info);
	lines_add(out, severity_role(f->severity), 0, "%s, %s: %s (%s)", severity_name(f->severity),
		  f->open ? "open now" : "closed", info.title, info.id);
	lines_add(out, ROLE_STRONG, 0, "%s", f->message);
	lines_add(out, ROLE_NORMAL, 0, "%s", "");
	lines_value(out, f->site != ID_NONE ? "site" : "where", "%s", row->where);
	if (row->runtime[0])
		lines_value(out, "runtime", "%s", row->runtime);
	if (row->worker[0])
		lines_value(out, "last worker", "%s", row->worker);
	if (row->process[0])
		lines_value(out, "process", "%s", row->process);
	times_lines(row, out);
	tasks_text(f, tasks, sizeof(tasks));
	if (f->tasks_count)
		lines_value(out, "tasks", "%s%s", tasks,
			    f->tasks_count == FINDING_TASKS ? " and maybe more" : "");
	if (f->syscall >= 0)
		lines_value(out, "system call", "%s (%d)",
			    syscall_name(f->syscall) ? syscall_name(f->syscall) : "unknown",
			    f->syscall);
	proof_values(&row->proof, &state->pool, out);
	if (row->victims[0])
		lines_value(out, "victims", "%s", row->victims);
	if (row->cause[0])
		lines_value(out, "effect of", "%s", row->cause);
	if (f->effects)
		lines_value(out, "effects", "%u other finding%s", f->effects,
			    f->effects == 1 ? "" : "s");
	lines_value(out, "evidence", "%s", evidence_name(f->evidence));
	if (f->during_loss)
		lines_add(out, ROLE_WARNING, 2,
			  "Events were lost while this was seen: counts may be too low.");
	proof_stack(&row->proof, &state->pool, view->full_stack, out);
	proof_source(&row->proof, &state->pool, out);
	if (f->values_count)
		lines_title(out, "Values");
	values_lines(f, out);
	rule_lines(view, row, out);
}

static size_t findings_badge(const struct view *view, const struct snapshot *snap)
{
	const struct finding **list;
	size_t count = rules_findings(snap->rules, &list), open = 0;

	for (size_t i = 0; i < count; i++)
		open += list[i]->open && is_shown(view->only, list[i]->target);
	return open;
}

static void findings_empty(const struct view *view, struct lines *out)
{
	const struct state *state = view->state;

	lines_add(out, ROLE_STRONG, 0, "No finding in %s.", FMT_DURATION(state->watched_ns));
	lines_add(out, ROLE_NORMAL, 0, "%s", "");
	if (!state->polls) {
		lines_add(out, ROLE_WARNING, 0,
			  "No poll was seen yet: either nothing runs, or "
			  "nothing of it can be seen. View 6 (self) says what is probed.");
		return;
	}
	lines_add(out, ROLE_NORMAL, 0,
		  "%s%s polls of %u future type%s were seen; the longest took %s.",
		  state->sampled ? "About " : "", FMT_COUNT((double)state->polls), state->sites,
		  state->sites == 1 ? "" : "s", FMT_DURATION(state->longest_ns));
}

static void findings_footer(const struct view *view, const void *row_, struct lines *out)
{
	const struct row *row = row_;
	const struct state *state = view->state;
	const char *advice = row ? advice_of(view, row) : NULL;

	if (!row)
		return;
	lines_add(out, ROLE_DIM, 0, "%s", "");
	lines_add(out, ROLE_STRONG, 2, "%s", row->finding.message);
	if (advice)
		lines_add(out, ROLE_NORMAL, 2, "%s", advice);
	if (state->evicted)
		lines_add(out, ROLE_WARNING, 2, "%s older findings were dropped to make room.",
			  FMT_COUNT((double)state->evicted));
	/* Where there is room for it: whoever looks for ten seconds does not press Enter. */
	if (row->proof.folded.count)
		lines_add(out, ROLE_DIM, 0, "%s", "");
	proof_frames(&row->proof, &state->pool, false, out);
}

static bool findings_request(struct view *view, enum request request)
{
	if (!view->detail || request != REQUEST_FOLD)
		return view_grid_request(view, request);
	view->full_stack = !view->full_stack;
	view_detail_refresh(view);
	return true;
}

static void findings_close(struct view *view)
{
	free(((struct state *)view->state)->pool.text);
	free(view->state);
}

static const struct grid_spec grid = {
	.columns = findings_columns,
	.columns_count = FINDINGS_COLUMNS,
	.row_size = sizeof(struct row),
	.natural = "worst first",
	.sort = -1,
	.key = row_key,
	.text = row_text,
};

const struct view_ops view_findings = {
	.title = "Findings",
	.request_open = REQUEST_VIEW_FINDINGS,
	.grid = &grid,
	.open = findings_open,
	.read = findings_read,
	.draw = view_grid_draw,
	.request = findings_request,
	.close = findings_close,
	.badge = findings_badge,
	.detail = findings_detail,
	.empty = findings_empty,
	.footer = findings_footer,
	.footer_rows = 5,
};
