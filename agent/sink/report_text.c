// SPDX-License-Identifier: LGPL-2.1-or-later
/* The report as text; see report.h. The verdict comes first, then what it rests on. */
#include "sink/report.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "sink/out.h"
#include "util/fmt.h"
#include "util/table.h"
#include "util/xalloc.h"

#define NS_PER_SEC UINT64_C(1000000000)
#define SHOWN_SITES 40
#define SHOWN_POLLS 20 /* of the longest, and of the longest waits */
#define SHOWN_WAITS 10

static const double shown_quantiles[] = {0.5, 0.9, 0.99, 0.999};

#define QUANTILES (sizeof(shown_quantiles) / sizeof(shown_quantiles[0]))

static void title(FILE *out, const struct text_style *style, const char *text)
{
	fprintf(out, "%s=== %s ===%s\n", text_on(style, ROLE_TITLE), text,
		text_off(style, ROLE_TITLE));
}

static void table_print(FILE *out, const struct text_style *style, struct table *table)
{
	char *text = table_render(table, style->width, 0);

	fputs(text, out);
	free(text);
	table_free(table);
}

static void print_caveat(void *ctx, const char *text)
{
	fprintf(ctx, "caveat:  %s\n", text);
}

static void print_verdict(FILE *out, const struct text_style *style, const struct report *r)
{
	enum text_role role;
	struct verdict v;

	report_verdict(r, &v);
	role = v.found ? text_role_of(v.severity) : v.judged ? ROLE_OK : ROLE_WARNING;
	fprintf(out, "%sverdict: %s%s\n", text_on(style, role), v.text, text_off(style, role));
	report_caveats(r, print_caveat, out);
}

static void print_trace(FILE *out, const struct report *r)
{
	time_t wall = (time_t)((r->history->begin_ns + r->trace->wall_offset_ns) / NS_PER_SEC);
	char bytes[FMT_SIZE], events[FMT_SIZE], begin[32] = "", text[TEXT_CELL];
	struct tm tm;

	fprintf(out, "trace:   %s, %s, %s events", r->trace->path,
		fmt_bytes(bytes, sizeof(bytes), r->trace->size),
		fmt_count(events, sizeof(events), (double)r->history->events));
	if (r->trace->wall_offset_ns && gmtime_r(&wall, &tm) &&
	    strftime(begin, sizeof(begin), "%Y-%m-%dT%H:%M:%SZ", &tm))
		fprintf(out, ", from %s on", begin);
	fprintf(out, ", host %s\n", text_clean(text, sizeof(text), r->trace->host));
}

static void print_findings(FILE *out, const struct text_style *style, const struct report *r)
{
	const struct finding **all;
	size_t count = report_findings(r, &all);

	for (size_t i = 0; i < count; i++) {
		text_finding(out, style, r->snap->model, all[i]);
		fputc('\n', out);
	}
	if (!count)
		fputs("none\n\n", out);
	free(all);
}

/* --- tables -------------------------------------------------------------------------------- */

static void duration_cell(struct table *table, bool known, uint64_t ns)
{
	char text[FMT_SIZE];

	table_cell(table, known ? fmt_duration(text, sizeof(text), ns) : NULL);
}

static void print_latencies(FILE *out, const struct text_style *style, const struct report *r)
{
	static const struct table_column columns[] = {
		{"LATENCY", TABLE_LEFT, 0}, {"COUNT", TABLE_RIGHT, 0}, {"P50", TABLE_RIGHT, 0},
		{"P90", TABLE_RIGHT, 0},    {"P99", TABLE_RIGHT, 0},   {"P99.9", TABLE_RIGHT, 0},
		{"MAX", TABLE_RIGHT, 0},
	};
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	struct latency all[REPORT_LATENCIES];
	char text[FMT_SIZE];

	report_latencies(r, all);
	for (int i = 0; i < REPORT_LATENCIES; i++) {
		bool known = !all[i].unknown_because;

		if (known)
			table_cell(table, all[i].title);
		else
			table_cellf(table, "%s (%s)", all[i].title, all[i].unknown_because);
		table_cell(table,
			   known ? fmt_count(text, sizeof(text), (double)all[i].count) : NULL);
		for (size_t k = 0; k < QUANTILES; k++)
			duration_cell(table, known, latency_quantile(&all[i], shown_quantiles[k]));
		duration_cell(table, known, all[i].max_ns);
	}
	table_print(out, style, table);
}

static void site_row(struct table *table, const struct model *m, const struct site *s)
{
	bool delays = s->delays_valid && s->delay.count;
	char text[TEXT_CELL];

	table_cell(table, fmt_count(text, sizeof(text), (double)s->polls));
	for (size_t k = 0; k < QUANTILES; k++)
		duration_cell(table, s->hist.count, site_quantile(s, shown_quantiles[k]));
	duration_cell(table, true, s->max_ns);
	duration_cell(table, true, s->busy_ns);
	duration_cell(table, true, s->blocked_ns);
	duration_cell(table, delays, delays ? site_delay_quantile(s, 0.99) : 0);
	table_cell(table, site_live_known(m, s) ? fmt_count(text, sizeof(text), s->live) : NULL);
	table_cellf(table, "%s%s", text_clean(text, sizeof(text), s->name),
		    s->sampled ? " (sampled)" : "");
}

static void print_sites(FILE *out, const struct text_style *style, const struct report *r)
{
	static const struct table_column columns[] = {
		{"POLLS", TABLE_RIGHT, 0},     {"P50", TABLE_RIGHT, 0},
		{"P90", TABLE_RIGHT, 0},       {"P99", TABLE_RIGHT, 0},
		{"P99.9", TABLE_RIGHT, 0},     {"MAX", TABLE_RIGHT, 0},
		{"IN POLLS", TABLE_RIGHT, 0},  {"BLOCKED", TABLE_RIGHT, 0},
		{"DELAY P99", TABLE_RIGHT, 0}, {"LIVE", TABLE_RIGHT, 0},
		{"TASK TYPE", TABLE_LEFT, 0},
	};
	const struct site **list;
	size_t count = report_sites(r, &list);
	struct table *table = table_new(columns, sizeof(columns) / sizeof(columns[0]));

	for (size_t i = 0; i < count && i < SHOWN_SITES; i++)
		site_row(table, r->snap->model, list[i]);
	if (count)
		table_print(out, style, table);
	else
		table_free(table);
	if (count > SHOWN_SITES)
		fprintf(out, "and %zu more task types, with less time in polls\n",
			count - SHOWN_SITES);
	free(list);
}

/* --- bad moments ------------------------------------------------------------------------------ */

static int longer(const void *a, const void *b)
{
	const struct moment *ma = *(const struct moment *const *)a;
	const struct moment *mb = *(const struct moment *const *)b;
	uint64_t la = ma->end_ns - ma->begin_ns, lb = mb->end_ns - mb->begin_ns;

	if (la != lb)
		return la > lb ? -1 : 1;
	return ma < mb ? -1 : ma > mb;
}

/* Which of a kind are shown: the `max` longest. Returns how many are not. */
static size_t choose(const struct moment *list, size_t count, enum moment_kind kind, size_t max,
		     bool *shown)
{
	const struct moment **of = xcalloc(count, sizeof(const struct moment *));
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (list[i].kind == kind)
			of[n++] = &list[i];
	qsort(of, n, sizeof(const struct moment *), longer);
	for (size_t i = 0; i < n && i < max; i++)
		shown[of[i] - list] = true;
	free(of);
	return n > max ? n - max : 0;
}

static void print_moment(FILE *out, const struct text_style *style, const struct report *r,
			 const struct moment *m)
{
	enum text_role role = m->kind == MOMENT_FINDING ? text_role_of(m->finding->severity) :
			      m->kind == MOMENT_LOSS	? ROLE_WARNING :
							  ROLE_PLAIN;
	uint64_t begin = r->history->begin_ns;
	char at[FMT_SIZE], length[FMT_SIZE] = "-";

	if (m->end_ns > m->begin_ns)
		fmt_duration(length, sizeof(length), m->end_ns - m->begin_ns);
	fprintf(out, "%9s  %8s%s %s%-7s%s  %s\n",
		fmt_duration(at, sizeof(at), m->begin_ns > begin ? m->begin_ns - begin : 0), length,
		m->open ? "+" : " ", text_on(style, role), moment_kind_name(m->kind),
		text_off(style, role), m->text);
}

static void print_moments(FILE *out, const struct text_style *style, const struct report *r)
{
	struct moment *list;
	size_t count = report_moments(r, &list), waits;
	bool *shown = xcalloc(count, sizeof(*shown));

	for (size_t i = 0; i < count; i++)
		shown[i] = list[i].kind != MOMENT_POLL && list[i].kind != MOMENT_WAIT;
	choose(list, count, MOMENT_POLL, SHOWN_POLLS, shown);
	waits = choose(list, count, MOMENT_WAIT, SHOWN_WAITS, shown);
	fputc('\n', out);
	title(out, style, "bad moments");
	if (!count)
		fputs("none\n", out);
	else
		fprintf(out, "%s%9s  %8s  WHAT%s\n", text_on(style, ROLE_TITLE), "AT", "FOR",
			text_off(style, ROLE_TITLE));
	for (size_t i = 0; i < count; i++)
		if (shown[i])
			print_moment(out, style, r, &list[i]);
	if (r->history->polls_all > SHOWN_POLLS)
		fprintf(out, "and %" PRIu64 " more long polls, none longer than these\n",
			r->history->polls_all - SHOWN_POLLS);
	if (waits)
		fprintf(out, "and %zu more waits, none longer than these\n", waits);
	free(shown);
	free(list);
}

static void print_notes(FILE *out, const struct report *r)
{
	const struct history *h = r->history;
	char text[TEXT_CELL];

	for (uint32_t i = 0; i < h->notes_count; i++)
		if (h->notes[i].severity != NOTE_WARNING)
			fprintf(out, "note: %s\n",
				text_clean(text, sizeof(text), h->notes[i].text));
	if (h->notes_dropped)
		fprintf(out, "%" PRIu64 " more notes are not kept\n", h->notes_dropped);
}

int report_text(FILE *out, const struct report *r, const struct text_style *style)
{
	size_t size;
	char *text;
	FILE *mem = open_memstream(&text, &size);
	int ret;

	if (!mem)
		abort();
	print_verdict(mem, style, r);
	print_trace(mem, r);
	fputc('\n', mem);
	title(mem, style, "findings");
	print_findings(mem, style, r);
	title(mem, style, "task types");
	print_latencies(mem, style, r);
	fputc('\n', mem);
	print_sites(mem, style, r);
	fputc('\n', mem);
	title(mem, style, "workers");
	text_workers(mem, style, r->snap->model, SIZE_MAX, false);
	print_moments(mem, style, r);
	fputc('\n', mem);
	title(mem, style, "the watch");
	print_notes(mem, r);
	text_summary(mem, style, r->snap, NULL);
	if (fclose(mem))
		abort();
	ret = out_write(out, text, size);
	free(text);
	return ret;
}
