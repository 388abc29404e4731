// SPDX-License-Identifier: LGPL-2.1-or-later
/* A diff for people, and as JSON; see diff.h and docs/diff.md. */
#include <inttypes.h>
#include <string.h>

#include "sink/diff.h"
#include "sink/json_add.h"
#include "sink/json_object.h"
#include "sink/out.h"
#include "sink/text_block.h"
#include "util/fmt.h"
#include "util/xalloc.h"

/* Rows that are shown singly for people; JSON has them all. */
#define SHOWN_MAX 40
#define SITES_MAX 12

static bool is_worse(const struct diff_row *row)
{
	return row->change == DIFF_WORSE || row->change == DIFF_APPEARED;
}

/* --- what makes the two hard to compare -------------------------------------------------------- */

typedef void warn_fn(void *ctx, const char *text);

static bool is_sampled(const struct model *m)
{
	for (uint32_t i = 0; i < m->sites_count; i++)
		if (m->sites[i].sampled)
			return true;
	return false;
}

static void warn_side(const struct diff_side *side, const char *letter, warn_fn *warn, void *ctx)
{
	const struct model *m = side->model;
	char *text = NULL;

	if (m->lost) {
		text = xasprintf("%s lost %" PRIu64 " events: what it does not show may have been",
				 letter, m->lost);
		warn(ctx, text);
		free(text);
	}
	if (is_sampled(m)) {
		text = xasprintf(
			"%s has numbers that are scaled from samples: the guard takes them "
			"for counted",
			letter);
		warn(ctx, text);
		free(text);
	}
}

/* Each polled something, and nothing has the same name: whatever is compared, it is not one service. */
static bool nothing_in_common(const struct diff *d)
{
	bool in_a = false, in_b = false;

	for (size_t i = 0; i < d->count; i++)
		if (!d->rows[i].rule)
			return false;
	for (size_t i = 0; i < d->sites_count; i++) {
		in_a = in_a || !d->sites[i].in_b;
		in_b = in_b || d->sites[i].in_b;
	}
	return in_a && in_b;
}

static void warnings(const struct diff *d, warn_fn *warn, void *ctx)
{
	uint8_t a = d->a.model->cost.level, b = d->b.model->cost.level;
	struct totals ta, tb;

	totals_of(&ta, d->a.model);
	totals_of(&tb, d->b.model);
	warn_side(&d->a, "A", warn, ctx);
	warn_side(&d->b, "B", warn, ctx);
	if (ta.cost_valid && tb.cost_valid && a != b) {
		char *text = xasprintf("A was watched at level %d, B at %d: what only one level "
				       "shows differs",
				       a, b);

		warn(ctx, text);
		free(text);
	}
	if (nothing_in_common(d))
		warn(ctx,
		     "no task type was polled in both: these are not two runs of one service, or its "
		     "task types have other names");
}

/* --- text ------------------------------------------------------------------------------------- */

static void put_side(FILE *out, const char *letter, const struct diff_side *side)
{
	char duration[FMT_SIZE], polls[FMT_SIZE], name[TEXT_CELL];
	struct totals t;

	totals_of(&t, side->model);
	fprintf(out, "%s: %s, %s, %s polls of %" PRIu32 " task type%s", letter,
		text_clean(name, sizeof(name), side->name),
		fmt_duration(duration, sizeof(duration), t.duration_ns),
		fmt_count(polls, sizeof(polls), (double)t.polls), t.task_types,
		t.task_types == 1 ? "" : "s");
	if (t.cost_valid)
		fprintf(out, ", level %d", side->model->cost.level);
	fputc('\n', out);
}

static void put_warning(void *ctx, const char *text)
{
	fprintf(ctx, "note: %s\n", text);
}

static void put_place(FILE *out, const struct diff_row *row)
{
	char site[TEXT_CELL], process[TEXT_CELL];

	if (row->site[0])
		fprintf(out, "%s ", text_clean(site, sizeof(site), row->site));
	fprintf(out, "(%s)", text_clean(process, sizeof(process), row->process));
}

static void put_occurrences(FILE *out, const struct diff_finding *f)
{
	char worst[FMT_SIZE], total[FMT_SIZE];

	fprintf(out, "%" PRIu64 " time%s, %.3g a second", f->count, f->count == 1 ? "" : "s",
		f->per_second);
	if (f->worst_ns)
		fprintf(out, ", worst %s", fmt_duration(worst, sizeof(worst), f->worst_ns));
	if (f->total_ns)
		fprintf(out, ", in all %s", fmt_duration(total, sizeof(total), f->total_ns));
}

static void put_finding(FILE *out, const struct diff_row *row)
{
	char message[TEXT_CELL];
	const struct diff_finding *last = row->b.count ? &row->b : &row->a;

	fprintf(out, "%s %s %s: ", severity_name(row->severity), row->rule,
		diff_change_name(row->change));
	put_place(out, row);
	fprintf(out, ": ");
	if (row->a.count && row->b.count) {
		if (row->a.severity != row->b.severity)
			fprintf(out, "%s -> %s; ", severity_name(row->a.severity),
				severity_name(row->b.severity));
		put_occurrences(out, &row->a);
		fprintf(out, " -> ");
	}
	put_occurrences(out, last);
	fprintf(out, "\n             %s", text_clean(message, sizeof(message), last->message));
}

static void put_metric(FILE *out, const struct diff_row *row)
{
	static const char *const words[DIFF_METRICS] = {
		[DIFF_POLL_P50] = "poll length p50",
		[DIFF_POLL_P99] = "poll length p99",
		[DIFF_DELAY_P50] = "delay from wake to poll p50",
		[DIFF_DELAY_P99] = "delay from wake to poll p99",
	};
	char a[FMT_SIZE], b[FMT_SIZE];

	if (is_worse(row))
		fprintf(out, "%s ", severity_name(row->severity));
	fprintf(out, "%s %s: ", words[row->metric], diff_change_name(row->change));
	put_place(out, row);
	fprintf(out, ": %s -> %s, x%.2f (of %" PRIu64 " and %" PRIu64 ")",
		fmt_duration(a, sizeof(a), row->a_ns), fmt_duration(b, sizeof(b), row->b_ns),
		(double)row->b_ns / (double)row->a_ns, row->a_count, row->b_count);
}

static void put_row(FILE *out, const struct text_style *style, const struct diff_row *row)
{
	enum text_role role = !row->certain ? ROLE_DIM :
			      is_worse(row) ? text_role_of(row->severity) :
					      ROLE_OK;

	fprintf(out, "%s%-12s%s ", text_on(style, role),
		!row->certain ? "may be noise" :
		is_worse(row) ? "WORSE" :
				"better",
		text_off(style, role));
	if (row->rule)
		put_finding(out, row);
	else
		put_metric(out, row);
	fputc('\n', out);
}

static void put_sites(FILE *out, const struct diff *d, bool in_b)
{
	size_t count = 0;
	char name[TEXT_CELL];

	for (size_t i = 0; i < d->sites_count; i++) {
		if (d->sites[i].in_b != in_b || count++ >= SITES_MAX)
			continue;
		if (count == 1)
			fprintf(out, "polled in %c only:", in_b ? 'B' : 'A');
		fprintf(out, "%s %s", count > 1 ? "," : "",
			text_clean(name, sizeof(name), d->sites[i].site));
	}
	if (count > SITES_MAX)
		fprintf(out, " and %zu more", count - SITES_MAX);
	if (count)
		fputc('\n', out);
}

static void put_rows(FILE *out, const struct text_style *style, const struct diff *d)
{
	size_t same = 0, shown = 0;

	for (size_t i = 0; i < d->count; i++) {
		if (d->rows[i].change == DIFF_SAME)
			same++;
		else if (shown++ < SHOWN_MAX)
			put_row(out, style, &d->rows[i]);
	}
	if (shown > SHOWN_MAX)
		fprintf(out, "and %zu more changes, which --json has\n", shown - SHOWN_MAX);
	fprintf(out, "%zu of %zu comparisons show no change\n", same, d->count);
}

int diff_text(const struct diff *d, enum severity fail_on, FILE *out, bool color)
{
	const struct text_style style = {.color = color};
	size_t failing = diff_failing(d, fail_on), size;
	enum text_role role = failing ? text_role_of(fail_on) : ROLE_OK;
	char *text = NULL;
	FILE *mem = open_memstream(&text, &size);
	int ret;

	if (!mem)
		abort();
	put_side(mem, "A", &d->a);
	put_side(mem, "B", &d->b);
	warnings(d, put_warning, mem);
	fputc('\n', mem);
	put_rows(mem, &style, d);
	put_sites(mem, d, false);
	put_sites(mem, d, true);
	fputs(text_on(&style, role), mem);
	if (failing)
		fprintf(mem, "B is worse than A: %zu change%s of severity %s or above", failing,
			failing == 1 ? "" : "s", severity_name(fail_on));
	else
		fprintf(mem, "B is not worse than A: no certain change of severity %s or above",
			severity_name(fail_on));
	fprintf(mem, "%s\n", text_off(&style, role));
	if (fclose(mem))
		abort();
	ret = out_write(out, text, size);
	free(text);
	return ret;
}

/* --- JSON ---------------------------------------------------------------------------------------- */

/* Takes the object. */
static void add_line(FILE *out, cJSON *object)
{
	char *text = cJSON_PrintUnformatted(object);

	cJSON_Delete(object);
	if (!text)
		abort();
	fprintf(out, "%s\n", text);
	cJSON_free(text);
}

static cJSON *object_of(const char *type)
{
	cJSON *o = cJSON_CreateObject();

	json_add_text(o, "type", type);
	return o;
}

static void add_side(cJSON *o, const char *key, const struct diff_side *side)
{
	cJSON *s = cJSON_AddObjectToObject(o, key);
	struct totals t;

	totals_of(&t, side->model);
	json_add_text(s, "file", side->name);
	json_add_uint(s, "duration_ns", t.duration_ns);
	json_add_uint(s, "polls", t.polls);
	json_add_uint(s, "task_types", t.task_types);
	json_add_uint_if(s, "level", t.cost_valid, side->model->cost.level);
	json_add_uint(s, "events_lost", side->model->lost);
}

static void add_warning(void *ctx, const char *text)
{
	cJSON *string = cJSON_CreateString(text);

	if (!string)
		abort();
	cJSON_AddItemToArray(ctx, string);
}

static void add_occurrences(cJSON *o, const char *key, const struct diff_finding *f)
{
	cJSON *s;

	if (!f->count) {
		cJSON_AddNullToObject(o, key);
		return;
	}
	s = cJSON_AddObjectToObject(o, key);
	json_add_text(s, "severity", severity_name(f->severity));
	json_add_uint(s, "count", f->count);
	json_add_number(s, "per_second", f->per_second);
	json_add_uint_if(s, "worst_ns", f->worst_ns > 0, f->worst_ns);
	json_add_uint_if(s, "total_ns", f->worst_ns > 0, f->total_ns);
	json_add_text(s, "message", f->message);
}

static void add_percentile(cJSON *o, const char *key, uint64_t ns, uint64_t count)
{
	cJSON *s = cJSON_AddObjectToObject(o, key);

	json_add_uint(s, "ns", ns);
	json_add_uint(s, "count", count);
}

static cJSON *row_object(const struct diff_row *row)
{
	cJSON *o = object_of(row->rule ? "diff_finding" : "diff_metric");

	json_add_text(o, "change", diff_change_name(row->change));
	cJSON_AddBoolToObject(o, "certain", row->certain);
	json_add_text(o, "severity", severity_name(row->severity));
	json_add_text(o, "process", row->process);
	json_add_text(o, "site", row->site[0] ? row->site : NULL);
	if (row->rule) {
		json_add_text(o, "rule", row->rule);
		add_occurrences(o, "a", &row->a);
		add_occurrences(o, "b", &row->b);
		return o;
	}
	json_add_text(o, "scheduler", row->scheduler[0] ? row->scheduler : NULL);
	json_add_text(o, "metric", diff_metric_name(row->metric));
	add_percentile(o, "a", row->a_ns, row->a_count);
	add_percentile(o, "b", row->b_ns, row->b_count);
	json_add_number(o, "ratio", (double)row->b_ns / (double)row->a_ns);
	return o;
}

static cJSON *site_object(const struct diff_site *s)
{
	cJSON *o = object_of("diff_site");

	json_add_text(o, "only_in", s->in_b ? "b" : "a");
	json_add_text(o, "process", s->process);
	json_add_text(o, "site", s->site);
	json_add_text(o, "scheduler", s->scheduler[0] ? s->scheduler : NULL);
	json_add_uint(o, "polls", s->polls);
	return o;
}

static cJSON *footer_object(const struct diff *d, enum severity fail_on)
{
	cJSON *o = object_of("diff_footer");

	json_add_text(o, "fail_on", severity_name(fail_on));
	json_add_uint(o, "failing", diff_failing(d, fail_on));
	json_add_uint(o, "comparisons", d->count);
	return o;
}

int diff_json(const struct diff *d, enum severity fail_on, const char *version, FILE *out)
{
	cJSON *header = object_of("diff_header");
	char *text = NULL;
	size_t size;
	FILE *mem = open_memstream(&text, &size);
	int ret;

	if (!mem)
		abort();
	json_add_text(header, "schema", JSON_SCHEMA);
	json_add_text(header, "version", version);
	add_side(header, "a", &d->a);
	add_side(header, "b", &d->b);
	warnings(d, add_warning, cJSON_AddArrayToObject(header, "notes"));
	add_line(mem, header);
	for (size_t i = 0; i < d->count; i++)
		add_line(mem, row_object(&d->rows[i]));
	for (size_t i = 0; i < d->sites_count; i++)
		add_line(mem, site_object(&d->sites[i]));
	add_line(mem, footer_object(d, fail_on));
	if (fclose(mem))
		abort();
	ret = out_write(out, text, size);
	free(text);
	return ret;
}
