// SPDX-License-Identifier: LGPL-2.1-or-later
/* Compares two watches; see diff.h. */
#include "sink/diff.h"

#include <math.h>
#include <string.h>

#include "sink/view.h"
#include "util/xalloc.h"

#define NS_PER_SEC 1e9

/* A task type of one side; equal names are one. */
struct side_site {
	const char *process, *site, *scheduler;
	uint64_t polls, max_ns, delay_max_ns;
	struct hist hist, delay;
};

/* A rule's findings about one thing on one side. */
struct side_finding {
	const char *rule, *process, *site;
	bool polls; /* the rule judges single polls: a count is of occurrences */
	struct diff_finding sum;
};

struct side {
	double seconds;
	struct side_site *sites;
	size_t sites_count;
	struct side_finding *findings;
	size_t findings_count;
};

static const char *or_none(const char *text)
{
	return text ? text : "";
}

/* --- one side ------------------------------------------------------------------------------- */

static int compare_texts(const char *const *a, const char *const *b, size_t count)
{
	int order = 0;

	for (size_t i = 0; i < count && !order; i++)
		order = strcmp(a[i], b[i]);
	return order;
}

static int site_order(const void *pa, const void *pb)
{
	const struct side_site *a = pa, *b = pb;

	return compare_texts((const char *const[]){a->process, a->site, a->scheduler},
			     (const char *const[]){b->process, b->site, b->scheduler}, 3);
}

static int finding_order(const void *pa, const void *pb)
{
	const struct side_finding *a = pa, *b = pb;

	return compare_texts((const char *const[]){a->rule, a->process, a->site},
			     (const char *const[]){b->rule, b->process, b->site}, 3);
}

static void hist_join(struct hist *to, const struct hist *from)
{
	to->count += from->count;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

static void site_join(struct side_site *to, const struct side_site *from)
{
	to->polls += from->polls;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
	if (from->delay_max_ns > to->delay_max_ns)
		to->delay_max_ns = from->delay_max_ns;
	hist_join(&to->hist, &from->hist);
	hist_join(&to->delay, &from->delay);
}

static const char *process_of(const struct model *m, uint32_t target)
{
	const struct target *found = model_target(m, target);

	return found ? or_none(found->comm) : "";
}

static void take_sites(struct side *side, const struct model *m)
{
	const struct site **list;
	size_t count = sites_sorted(m, &list), kept = 0;

	side->sites = xcalloc(count, sizeof(*side->sites));
	for (size_t i = 0; i < count; i++)
		side->sites[i] = (struct side_site){
			.process = process_of(m, list[i]->target),
			.site = or_none(list[i]->name),
			.scheduler = or_none(list[i]->scheduler),
			.polls = list[i]->polls,
			.max_ns = list[i]->max_ns,
			.delay_max_ns = list[i]->delay_max_ns,
			.hist = list[i]->hist,
			.delay = list[i]->delay,
		};
	free(list);
	qsort(side->sites, count, sizeof(*side->sites), site_order);
	for (size_t i = 0; i < count; i++) {
		if (kept && !site_order(&side->sites[kept - 1], &side->sites[i]))
			site_join(&side->sites[kept - 1], &side->sites[i]);
		else
			side->sites[kept++] = side->sites[i];
	}
	side->sites_count = kept;
}

static void finding_join(struct diff_finding *to, const struct diff_finding *from)
{
	if (from->severity > to->severity ||
	    (from->severity == to->severity && from->worst_ns > to->worst_ns))
		to->message = from->message;
	if (from->severity > to->severity)
		to->severity = from->severity;
	if (from->worst_ns > to->worst_ns)
		to->worst_ns = from->worst_ns;
	if (from->first_ns < to->first_ns)
		to->first_ns = from->first_ns;
	to->count += from->count;
	to->total_ns += from->total_ns;
	to->per_second += from->per_second;
}

static struct side_finding finding_of(const struct model *m, const struct finding *f,
				      double seconds)
{
	struct finding_view v;

	finding_view_of(&v, m, f);
	return (struct side_finding){
		.rule = v.rule.id,
		.process = v.target ? or_none(v.target->comm) : "",
		.site = v.site ? or_none(v.site->name) : "",
		.polls = v.rule.scope == SCOPE_POLL,
		.sum =
			{
				.count = f->count,
				.severity = f->severity,
				.worst_ns = f->worst_ns,
				.total_ns = f->total_ns,
				.first_ns = f->first_ns > m->begin_ns ? f->first_ns - m->begin_ns :
									0,
				.per_second = seconds > 0 ? (double)f->count / seconds : 0,
				.message = f->message,
			},
	};
}

static void take_findings(struct side *side, const struct diff_side *from)
{
	const struct finding **list;
	size_t count = rules_findings(from->rules, &list), kept = 0;

	side->findings = xcalloc(count, sizeof(*side->findings));
	for (size_t i = 0; i < count; i++)
		side->findings[i] = finding_of(from->model, list[i], side->seconds);
	qsort(side->findings, count, sizeof(*side->findings), finding_order);
	for (size_t i = 0; i < count; i++) {
		if (kept && !finding_order(&side->findings[kept - 1], &side->findings[i]))
			finding_join(&side->findings[kept - 1].sum, &side->findings[i].sum);
		else
			side->findings[kept++] = side->findings[i];
	}
	side->findings_count = kept;
}

static void take_side(struct side *side, const struct diff_side *from)
{
	*side = (struct side){.seconds = (double)(from->model->now_ns - from->model->begin_ns) /
					 NS_PER_SEC};
	take_sites(side, from->model);
	take_findings(side, from);
}

static void side_free(struct side *side)
{
	free(side->sites);
	free(side->findings);
}

/* --- task types ------------------------------------------------------------------------------ */

/* The bucket of a rank, a share of all; HIST_BUCKETS: behind all of them. */
static uint32_t bucket_at(const struct hist *h, double q)
{
	double want = q * (double)h->count;
	uint64_t below = 0;

	if (q >= 1)
		return HIST_BUCKETS;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		below += h->bucket[i];
		if (below && (double)below >= want)
			return i;
	}
	return HIST_BUCKETS;
}

/*
 * The buckets between which the quantile lies, were there to be as many values again: that of a
 * rank has a spread of sqrt(q (1 - q) / n). Beyond the last value nothing is known.
 */
static void bounds(const struct hist *h, double q, uint32_t *low, uint32_t *high)
{
	double spread = DIFF_SIGMA * sqrt(q * (1 - q) / (double)h->count);

	*low = q > spread ? bucket_at(h, q - spread) : 0;
	*high = bucket_at(h, q + spread);
}

static enum diff_change change_of(double a, double b)
{
	return b >= a * DIFF_RATIO ? DIFF_WORSE : a >= b * DIFF_RATIO ? DIFF_BETTER : DIFF_SAME;
}

/* A whole bucket lies between what both can be. */
static bool apart(const struct hist *less, const struct hist *more, double q)
{
	uint32_t low, high, unused;

	bounds(less, q, &unused, &high);
	bounds(more, q, &low, &unused);
	return high < HIST_BUCKETS && low > high + 1;
}

static struct diff_row *row_new(struct diff *d)
{
	d->rows = xgrow(d->rows, &d->cap, d->count + 1, sizeof(*d->rows));
	d->rows[d->count] = (struct diff_row){0};
	return &d->rows[d->count++];
}

static void compare_metric(struct diff *d, const struct side_site *a, const struct side_site *b,
			   enum diff_metric metric)
{
	bool delay = metric == DIFF_DELAY_P50 || metric == DIFF_DELAY_P99;
	double q = metric == DIFF_POLL_P50 || metric == DIFF_DELAY_P50 ? 0.5 : 0.99;
	const struct hist *ha = delay ? &a->delay : &a->hist, *hb = delay ? &b->delay : &b->hist;
	struct diff_row *row;

	if (!ha->count || !hb->count)
		return;
	row = row_new(d);
	row->process = b->process;
	row->site = b->site;
	row->scheduler = b->scheduler;
	row->metric = metric;
	row->a_count = ha->count;
	row->b_count = hb->count;
	row->a_ns = hist_quantile_within(ha, delay ? a->delay_max_ns : a->max_ns, q);
	row->b_ns = hist_quantile_within(hb, delay ? b->delay_max_ns : b->max_ns, q);
	row->change = change_of((double)row->a_ns, (double)row->b_ns);
	row->certain = row->change == DIFF_WORSE  ? apart(ha, hb, q) :
		       row->change == DIFF_BETTER ? apart(hb, ha, q) :
						    true;
	row->severity = SEVERITY_WARNING;
	if ((double)row->b_ns >= DIFF_CRITICAL * (double)row->a_ns &&
	    row->b_ns >= rules_threshold_ns(d->b.rules))
		row->severity = SEVERITY_CRITICAL;
}

static void site_only(struct diff *d, const struct side_site *s, bool in_b)
{
	d->sites = xgrow(d->sites, &d->sites_cap, d->sites_count + 1, sizeof(*d->sites));
	d->sites[d->sites_count++] = (struct diff_site){
		.process = s->process,
		.site = s->site,
		.scheduler = s->scheduler,
		.in_b = in_b,
		.polls = s->polls,
	};
}

static void compare_sites(struct diff *d, const struct side *a, const struct side *b)
{
	size_t i = 0, j = 0;

	while (i < a->sites_count || j < b->sites_count) {
		int order = i == a->sites_count ? 1 :
			    j == b->sites_count ? -1 :
						  site_order(&a->sites[i], &b->sites[j]);

		for (uint32_t k = 0; !order && k < DIFF_METRICS; k++)
			compare_metric(d, &a->sites[i], &b->sites[j], (enum diff_metric)k);
		if (order)
			site_only(d, order < 0 ? &a->sites[i] : &b->sites[j], order > 0);
		i += order <= 0;
		j += order >= 0;
	}
}

/* --- findings ------------------------------------------------------------------------------------ */

/*
 * Would the other side have shown it? Of polls, when the same rate gives enough of them there; of a
 * state, when it was watched for as long as it took to show here.
 */
static bool would_show(const struct side_finding *here, const struct side *other)
{
	if (here->polls)
		return here->sum.per_second * other->seconds >= DIFF_EXPECTED;
	return other->seconds >= (double)here->sum.first_ns / NS_PER_SEC;
}

/* Counts of independent events scatter by their root. */
static bool rates_apart(const struct diff_finding *a, const struct diff_finding *b, double ta,
			double tb)
{
	double spread = sqrt((double)a->count / (ta * ta) + (double)b->count / (tb * tb));

	return fabs(a->per_second - b->per_second) >= DIFF_SIGMA * spread;
}

static double mean_of(const struct diff_finding *f)
{
	return (double)f->total_ns / (double)f->count;
}

/* As mean lengths say; DIFF_SAME: they do not say it. */
static enum diff_change by_mean(const struct diff_finding *a, const struct diff_finding *b)
{
	if (a->count < DIFF_MEAN_COUNT || b->count < DIFF_MEAN_COUNT || !a->total_ns ||
	    !b->total_ns)
		return DIFF_SAME;
	return mean_of(b) >= DIFF_MEAN_RATIO * mean_of(a) ? DIFF_WORSE :
	       mean_of(a) >= DIFF_MEAN_RATIO * mean_of(b) ? DIFF_BETTER :
							    DIFF_SAME;
}

static void judge_both(struct diff_row *row, const struct side_finding *a,
		       const struct side_finding *b, double ta, double tb)
{
	enum diff_change rate = change_of(a->sum.per_second, b->sum.per_second);
	enum diff_change mean = by_mean(&a->sum, &b->sum);
	bool apart_rates = a->polls && rates_apart(&a->sum, &b->sum, ta, tb);

	row->certain = true;
	if (a->sum.severity != b->sum.severity) {
		row->change = b->sum.severity > a->sum.severity ? DIFF_WORSE : DIFF_BETTER;
		/* The worst of many polls is worse than that of few. */
		row->certain = !a->polls || mean == row->change ||
			       (rate == row->change && apart_rates);
	} else if (mean != DIFF_SAME) {
		row->change = mean;
	} else if (a->polls) {
		row->change = rate;
		row->certain = rate == DIFF_SAME || apart_rates;
	}
}

static void compare_finding(struct diff *d, const struct side_finding *a,
			    const struct side_finding *b, const struct side *side_a,
			    const struct side *side_b)
{
	const struct side_finding *any = b ? b : a;
	struct diff_row *row = row_new(d);

	row->rule = any->rule;
	row->process = any->process;
	row->site = any->site;
	row->scheduler = "";
	row->severity = any->sum.severity;
	if (a)
		row->a = a->sum;
	if (b)
		row->b = b->sum;
	if (a && b) {
		judge_both(row, a, b, side_a->seconds, side_b->seconds);
		return;
	}
	row->change = b ? DIFF_APPEARED : DIFF_GONE;
	row->certain = would_show(any, b ? side_a : side_b);
}

static void compare_findings(struct diff *d, const struct side *a, const struct side *b)
{
	size_t i = 0, j = 0;

	while (i < a->findings_count || j < b->findings_count) {
		int order = i == a->findings_count ?
				    1 :
			    j == b->findings_count ?
				    -1 :
				    finding_order(&a->findings[i], &b->findings[j]);

		compare_finding(d, order <= 0 ? &a->findings[i] : NULL,
				order >= 0 ? &b->findings[j] : NULL, a, b);
		i += order <= 0;
		j += order >= 0;
	}
}

/* --- all of it -------------------------------------------------------------------------------------- */

static bool is_worse(const struct diff_row *row)
{
	return row->change == DIFF_WORSE || row->change == DIFF_APPEARED;
}

/* What got worse and is certain, what may be chance, what got better, the rest. */
static int rank(const struct diff_row *row)
{
	if (row->change == DIFF_SAME)
		return 8;
	return (is_worse(row) ? 0 : 4) + (row->certain ? 0 : 2) +
	       (row->severity == SEVERITY_CRITICAL ? 0 : 1);
}

static double ratio_of(const struct diff_row *row)
{
	double a = row->rule ? row->a.per_second : (double)row->a_ns;
	double b = row->rule ? row->b.per_second : (double)row->b_ns;

	return a > b ? a / fmax(b, 1e-9) : b / fmax(a, 1e-9);
}

static int row_order(const void *pa, const void *pb)
{
	const struct diff_row *a = pa, *b = pb;
	int order = rank(a) - rank(b);

	if (!order)
		order = (a->rule == NULL) - (b->rule == NULL);
	if (!order && ratio_of(a) != ratio_of(b))
		order = ratio_of(a) > ratio_of(b) ? -1 : 1;
	if (!order)
		order = compare_texts(
			(const char *const[]){or_none(a->rule), a->process, a->site, a->scheduler},
			(const char *const[]){or_none(b->rule), b->process, b->site, b->scheduler},
			4);
	return order ? order : (int)a->metric - (int)b->metric;
}

void diff_make(struct diff *d, const struct diff_side *a, const struct diff_side *b)
{
	struct side side_a, side_b;

	*d = (struct diff){.a = *a, .b = *b};
	take_side(&side_a, a);
	take_side(&side_b, b);
	d->a_seconds = side_a.seconds;
	d->b_seconds = side_b.seconds;
	compare_findings(d, &side_a, &side_b);
	compare_sites(d, &side_a, &side_b);
	side_free(&side_a);
	side_free(&side_b);
	if (d->count)
		qsort(d->rows, d->count, sizeof(*d->rows), row_order);
}

void diff_free(struct diff *d)
{
	free(d->rows);
	free(d->sites);
	*d = (struct diff){0};
}

size_t diff_failing(const struct diff *d, enum severity fail_on)
{
	size_t count = 0;

	for (size_t i = 0; i < d->count; i++)
		count += is_worse(&d->rows[i]) && d->rows[i].certain &&
			 d->rows[i].severity >= fail_on;
	return count;
}

const char *diff_change_name(enum diff_change change)
{
	static const char *const names[] = {
		[DIFF_SAME] = "same", [DIFF_BETTER] = "better",	    [DIFF_WORSE] = "worse",
		[DIFF_GONE] = "gone", [DIFF_APPEARED] = "appeared",
	};

	return names[change];
}

const char *diff_metric_name(enum diff_metric metric)
{
	static const char *const names[DIFF_METRICS] = {
		[DIFF_POLL_P50] = "poll_p50_ns",
		[DIFF_POLL_P99] = "poll_p99_ns",
		[DIFF_DELAY_P50] = "delay_p50_ns",
		[DIFF_DELAY_P99] = "delay_p99_ns",
	};

	return names[metric];
}
