// SPDX-License-Identifier: LGPL-2.1-or-later
/* Findings and the summary as text; see text_block.h. */
#include "sink/text_block.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "rules/stack.h"
#include "rules/victims.h"
#include "sink/overhead_out.h"
#include "util/fmt.h"
#include "util/source_text.h"
#include "util/syscall.h"
#include "util/xalloc.h"

#define SHOWN_TASKS 8
#define SOURCE_AROUND 3
#define WRAP 96	 /* columns of a paragraph of advice */
#define LABEL 11 /* and of what stands before it */

static uint64_t since(uint64_t then, uint64_t now)
{
	return now > then ? now - then : 0;
}

static void print_severity(FILE *out, const struct text_style *style, enum severity severity)
{
	enum text_role role = text_role_of(severity);

	fputs(text_on(style, role), out);
	for (const char *p = severity_name(severity); *p; p++)
		fputc(toupper((unsigned char)*p), out);
	fputs(text_off(style, role), out);
}

/* Only where several processes are watched does it matter which one. */
static void print_target(FILE *out, const struct model *m, const struct finding_view *v)
{
	if (m->targets_count > 1 && v->target)
		fprintf(out, " (pid %u)", v->target->pid);
}

void text_live_findings(FILE *out, const struct text_style *style, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	char text[TEXT_CELL], time[FMT_SIZE];
	const struct finding **all;
	size_t total = findings_sorted(snap->rules, &all);

	for (size_t i = 0; i < total; i++) {
		const struct finding *f = all[i];
		struct finding_view v;

		if (!finding_is_live(m, f))
			continue;
		finding_view_of(&v, m, f);
		print_severity(out, style, f->severity);
		fprintf(out, " %s", v.rule.id);
		print_target(out, m, &v);
		if (f->open)
			fprintf(out, ", open for %s",
				fmt_duration(time, sizeof(time),
					     since(f->open_since_ns, m->now_ns)));
		else
			fprintf(out, ", last seen %s ago",
				fmt_duration(time, sizeof(time), since(f->last_ns, m->now_ns)));
		fprintf(out, ": %s\n", text_clean(text, sizeof(text), f->message));
	}
	free(all);
}

static void print_value(FILE *out, const struct finding_value *value)
{
	char text[FMT_SIZE];
	double n = value->value;

	fprintf(out, "%s ", value->name);
	if (n != n)
		fputs("n/a", out);
	else if (!strcmp(value->unit, "ns") && n >= 0)
		fputs(fmt_duration(text, sizeof(text), n < 1e19 ? (uint64_t)n : UINT64_MAX), out);
	else if (!strcmp(value->unit, "bytes") && n >= 0)
		fputs(fmt_bytes(text, sizeof(text), n < 1e19 ? (uint64_t)n : UINT64_MAX), out);
	else if (!strcmp(value->unit, "bool"))
		fputs(n != 0 ? "yes" : "no", out);
	else if (!strcmp(value->unit, "ratio"))
		fputs(fmt_ratio(text, sizeof(text), n), out);
	else if (!strcmp(value->unit, "per_second"))
		fprintf(out, "%s/s", fmt_count(text, sizeof(text), n));
	else
		fputs(fmt_count(text, sizeof(text), n), out);
}

static void print_times(FILE *out, const struct model *m, const struct finding *f)
{
	char count[FMT_SIZE], a[FMT_SIZE], b[FMT_SIZE];

	fprintf(out, "  seen:     %s time%s, first %s and last %s into the watch",
		fmt_count(count, sizeof(count), (double)f->count), f->count == 1 ? "" : "s",
		fmt_duration(a, sizeof(a), since(m->begin_ns, f->first_ns)),
		fmt_duration(b, sizeof(b), since(m->begin_ns, f->last_ns)));
	if (f->open)
		fprintf(out, ", open for %s",
			fmt_duration(a, sizeof(a), since(f->open_since_ns, m->now_ns)));
	fputc('\n', out);
	if (f->worst_ns)
		fprintf(out, "  lasted:   worst %s%s%s%s\n", f->loose ? "at least " : "",
			fmt_duration(a, sizeof(a), f->worst_ns), f->total_ns ? ", in all " : "",
			f->total_ns ? fmt_duration(b, sizeof(b), f->total_ns) : "");
}

static void print_evidence(FILE *out, const struct finding_view *v)
{
	const struct finding *f = v->f;
	uint32_t shown = f->tasks_count < SHOWN_TASKS ? f->tasks_count : SHOWN_TASKS;
	char text[TEXT_CELL];

	fprintf(out, "  evidence: %s", evidence_name(f->evidence));
	if (f->syscall >= 0 && syscall_name(f->syscall))
		fprintf(out, ", in %s", syscall_name(f->syscall));
	else if (f->syscall >= 0)
		fprintf(out, ", in syscall %d", f->syscall);
	if (v->worker)
		fprintf(out, ", last on %s (tid %u)",
			text_clean(text, sizeof(text), v->worker->now.comm), f->tid);
	else if (f->tid)
		fprintf(out, ", last on tid %u", f->tid);
	if (f->during_loss)
		fputs(", while events were lost", out);
	fputc('\n', out);
	if (!shown)
		return;
	fprintf(out, "  tasks:   ");
	for (uint32_t i = 0; i < shown; i++)
		fprintf(out, "%s %" PRIu64, i ? "," : "", f->tasks[i]);
	fputs(f->tasks_count > shown ? ", ...\n" : "\n", out);
}

static void print_cause(FILE *out, const struct model *m, const struct finding *f)
{
	char line[TEXT_CELL], text[TEXT_CELL];

	finding_cause_text(m, f, line, sizeof(line));
	if (*line)
		fprintf(out, "  cause:    %s, of which this is an effect\n",
			text_clean(text, sizeof(text), line));
	if (f->effects)
		fprintf(out, "  effects:  %u other finding%s%s%s\n", f->effects,
			f->effects == 1 ? "" : "s", f->alarm > f->severity ? ", up to " : "",
			f->alarm > f->severity ? severity_name(f->alarm) : "");
}

/* Words on lines of at most WRAP columns, or as the style says; further ones are indented alike. */
static void print_wrapped(FILE *out, const struct text_style *style, const char *label,
			  const char *text)
{
	size_t room = style->width > 2 * LABEL ? style->width - LABEL : LABEL;
	size_t wrap = room < WRAP ? room : WRAP, column = 0;

	if (!text || !*text)
		return;
	fprintf(out, "  %-9s", label);
	while (*text) {
		size_t len = strcspn(text, " \n");

		if (column && column + 1 + len > wrap) {
			fprintf(out, "\n%*s", LABEL, "");
			column = 0;
		}
		if (len) {
			fprintf(out, " %.*s", (int)len, text);
			column += 1 + len;
		}
		text += len;
		text += *text != '\0';
	}
	fputc('\n', out);
}

static void print_victims(FILE *out, const struct model *m, const struct finding *f)
{
	char line[TEXT_CELL], text[TEXT_CELL];

	for (uint32_t i = 0; i < f->victims_count; i++) {
		victim_text(m, &f->victims[i], line, sizeof(line));
		fprintf(out, "  %-9s %s\n",
			i ? "" : "victims:", text_clean(text, sizeof(text), line));
	}
}

struct stack_out {
	FILE *out;
	const struct text_style *style;
	const char *label;
};

static void print_stack_line(void *ctx, enum stack_line kind, const char *line)
{
	static const enum text_role role_of[] = {
		[STACK_LINE_FRAME] = ROLE_PLAIN,
		[STACK_LINE_CULPRIT] = ROLE_TITLE,
		[STACK_LINE_FOLD] = ROLE_DIM,
		[STACK_LINE_END] = ROLE_DIM,
	};
	struct stack_out *o = ctx;
	char text[FRAME_TEXT];

	fprintf(o->out, "  %-9s%s%s%s%s\n", o->label, kind == STACK_LINE_CULPRIT ? ">" : " ",
		text_on(o->style, role_of[kind]), text_clean(text, sizeof(text), line),
		text_off(o->style, role_of[kind]));
	o->label = "";
}

void text_stack(FILE *out, const struct text_style *style, const char *label,
		const struct site_stack *row)
{
	struct stack_out o = {.out = out, .style = style, .label = label};

	stack_lines(row, style->full_stack, print_stack_line, &o);
}

/* Every function of the kernel below the block. */
static void text_kernel(FILE *out, const struct text_style *style, const struct site_stack *row)
{
	struct stack_out o = {.out = out, .style = style, .label = "kernel:"};

	kernel_lines(row, print_stack_line, &o);
}

static void print_source_line(void *ctx, uint32_t number, const char *text, bool wanted)
{
	struct stack_out *o = ctx;

	fprintf(o->out, "  %-9s%s%6u  %s%s%s\n", o->label, wanted ? ">" : " ", number,
		text_on(o->style, wanted ? ROLE_TITLE : ROLE_PLAIN), text,
		text_off(o->style, wanted ? ROLE_TITLE : ROLE_PLAIN));
	o->label = "";
}

/* Where the file of the frame to blame can be read here. */
static void print_source(FILE *out, const struct text_style *style, const struct site_stack *row)
{
	struct stack_out o = {.out = out, .style = style, .label = "source:"};
	const struct frame *f = row->culprit < 0 ? NULL : &row->frames[row->culprit];

	if (f)
		source_text(f->folder, f->file, f->line, SOURCE_AROUND, print_source_line, &o);
}

/* The frame to blame, then the stack around it. */
static void print_stack(FILE *out, const struct text_style *style, const struct model *m,
			const struct finding *f)
{
	char line[FRAME_TEXT * 2], text[TEXT_CELL];
	const struct site_stack *row;
	double share;

	row = finding_stack(m, f, &share);
	if (!row)
		return;
	stack_culprit_text(row, share, line, sizeof(line));
	fprintf(out, "  culprit:  %s\n", text_clean(text, sizeof(text), line));
	if (row->detail)
		fprintf(out, "  about:    %s\n", text_clean(text, sizeof(text), row->detail));
	kernel_text(row, line, sizeof(line));
	if (*line && !style->full_stack)
		fprintf(out, "  kernel:   %s\n", text_clean(text, sizeof(text), line));
	if (style->full_stack)
		text_kernel(out, style, row);
	text_stack(out, style, "stack:", row);
	if (style->full_stack)
		print_source(out, style, row);
}

/* For rules that are about the spawning of tasks. */
static void print_spawn(FILE *out, const struct text_style *style, const struct model *m,
			const struct finding *f)
{
	const struct site *site = model_site(m, f->site);
	char line[FRAME_TEXT * 2], text[TEXT_CELL];
	const struct site_stack *row;
	double share;

	if (!site || !rule_shows_spawn(f->rule))
		return;
	row = site_spawn(site, &share);
	if (!row) {
		fprintf(out, "  spawned:  n/a (%s)\n",
			text_clean(text, sizeof(text), site_no_spawn(site)));
		return;
	}
	spawn_text(m, site, row, share, line, sizeof(line));
	fprintf(out, "  spawned:  %s\n", text_clean(text, sizeof(text), line));
	text_stack(out, style, "stack:", row);
}

void text_finding(FILE *out, const struct text_style *style, const struct model *m,
		  const struct finding *f)
{
	char text[TEXT_CELL], advice[ADVICE_TEXT];
	struct finding_view v;

	finding_view_of(&v, m, f);
	print_severity(out, style, f->severity);
	fprintf(out, " %s", v.rule.id);
	print_target(out, m, &v);
	fprintf(out, ": %s\n", text_clean(text, sizeof(text), f->message));
	if (v.site)
		fprintf(out, "  where:    %s%s\n", text_clean(text, sizeof(text), v.site->name),
			v.site->ambiguous ? " (or another type with identical code)" : "");
	print_times(out, m, f);
	for (uint32_t i = 0; i < f->values_count && i < FINDING_VALUES; i++) {
		fputs(i ? ", " : "  values:   ", out);
		print_value(out, &f->values[i]);
	}
	if (f->values_count)
		fputc('\n', out);
	print_evidence(out, &v);
	print_cause(out, m, f);
	print_victims(out, m, f);
	print_stack(out, style, m, f);
	print_spawn(out, style, m, f);
	finding_advice(m, f, advice, sizeof(advice));
	print_wrapped(out, style, "advice:", advice);
	print_wrapped(out, style, "more:", v.rule.link);
}

size_t text_findings(FILE *out, const struct text_style *style, const struct snapshot *snap)
{
	const struct finding **all;
	size_t count = findings_sorted(snap->rules, &all);

	for (size_t i = 0; i < count; i++) {
		text_finding(out, style, snap->model, all[i]);
		fputc('\n', out);
	}
	free(all);
	return count;
}

static void print_watched(FILE *out, const struct model *m)
{
	char time[FMT_SIZE], polls[FMT_SIZE], tasks[FMT_SIZE];
	struct totals t;

	totals_of(&t, m);
	fprintf(out, "watched for %s: %s%s polls", fmt_duration(time, sizeof(time), t.duration_ns),
		t.at_least ? "at least " :
		t.sampled  ? "about " :
			     "",
		fmt_count(polls, sizeof(polls), (double)t.polls));
	if (t.tasks_valid && t.polls)
		fprintf(out, " of %s tasks", fmt_count(tasks, sizeof(tasks), (double)t.tasks_seen));
	else if (t.polls)
		fputs(" (tasks n/a)", out);
	fprintf(out, " of %u type%s on %u worker%s\n", t.task_types, t.task_types == 1 ? "" : "s",
		t.workers, t.workers == 1 ? "" : "s");
	if (!t.polls && t.cost_valid && !m->cost.level)
		fputs("level 0: no poll is counted, only long ones are seen\n", out);
	else if (!t.polls)
		fputs("no poll was seen: the program was idle, or its tasks are of types that are not "
		      "probed; nothing could be judged\n",
		      out);
}

static void print_counts(FILE *out, const struct text_style *style, const struct snapshot *snap,
			 const struct outcome *v)
{
	uint64_t evicted = snap->rules ? rules_evicted(snap->rules) : 0;
	bool any = false;

	for (int s = SEVERITY_CRITICAL; s >= SEVERITY_INFO; s--) {
		if (!v->by_severity[s])
			continue;
		fprintf(out, "%s%u %s", any ? ", " : "findings: ", v->by_severity[s],
			severity_name((enum severity)s));
		any = true;
	}
	if (any && v->effects)
		fprintf(out, ", with %u effect%s", v->effects, v->effects == 1 ? "" : "s");
	if (any && v->open)
		fprintf(out, "; %u still open", v->open);
	if (!any)
		fprintf(out, "%sno findings%s", text_on(style, ROLE_OK), text_off(style, ROLE_OK));
	if (evicted)
		fprintf(out, "; %" PRIu64 " older ones were dropped to make room", evicted);
	fputc('\n', out);
}

struct arming_row {
	enum arming arming;
	char why[ARMING_WHY];
	bool told;
};

/* Those that lack the same, in one go. */
static void print_same(FILE *out, const struct snapshot *snap, struct arming_row *rows,
		       size_t first)
{
	size_t count = rules_count(snap->rules);
	struct rule_info info;
	char text[TEXT_CELL];

	fprintf(out, "; %s: ", arming_name(rows[first].arming));
	for (size_t i = first; i < count; i++) {
		if (rows[i].arming != rows[first].arming ||
		    strcmp(rows[i].why, rows[first].why) != 0)
			continue;
		rows[i].told = true;
		rules_info(snap->rules, i, &info);
		fprintf(out, "%s%s", i == first ? "" : ", ", info.id);
	}
	fprintf(out, " (%s)", text_clean(text, sizeof(text), rows[first].why));
}

/* Which rules could not find all that they know of, and why. */
static void print_arming(FILE *out, const struct snapshot *snap)
{
	size_t count = snap->rules ? rules_count(snap->rules) : 0, armed = 0;
	struct arming_row *rows = xcalloc(count + 1, sizeof(*rows));

	for (size_t i = 0; i < count; i++) {
		rows[i].arming = rules_arming(snap->rules, snap->model, i, rows[i].why,
					      sizeof(rows[i].why));
		rows[i].told = rows[i].arming == ARMING_ARMED;
		armed += rows[i].told;
	}
	if (armed < count)
		fprintf(out, "rules: %zu armed", armed);
	for (size_t i = 0; i < count; i++)
		if (!rows[i].told)
			print_same(out, snap, rows, i);
	if (armed < count)
		fputc('\n', out);
	free(rows);
}

static void print_result(FILE *out, const struct outcome *v, const struct outcome_opts *opts)
{
	if (v->too_much_lost)
		fprintf(out, "failed: more events were lost than --max-loss %" PRIu64 "\n",
			opts->max_loss);
	else if (v->failing)
		fprintf(out, "failed: %u finding%s at or above %s\n", v->failing,
			v->failing == 1 ? "" : "s", severity_name(opts->fail_on));
	else
		fprintf(out, "passed: no finding at or above %s\n", severity_name(opts->fail_on));
}

void text_summary(FILE *out, const struct text_style *style, const struct snapshot *snap,
		  const struct outcome_opts *opts)
{
	struct outcome_opts none = {.fail_on = SEVERITY_CRITICAL};
	struct totals totals;
	struct outcome v;

	outcome_of(&v, snap, opts ? opts : &none);
	text_targets(out, snap->model);
	text_ended(out, snap->model);
	print_watched(out, snap->model);
	print_counts(out, style, snap, &v);
	text_cost(out, snap->model, false);
	text_overhead(out, snap->model);
	totals_of(&totals, snap->model);
	if (totals.cost_valid)
		print_arming(out, snap);
	if (opts)
		print_result(out, &v, opts);
}
