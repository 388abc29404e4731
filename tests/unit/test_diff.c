// SPDX-License-Identifier: LGPL-2.1-or-later
/* diff: what counts as worse, and what may be chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sink/diff.h"
#include "sink_fixture.h"

#define US 1000ULL
#define MS 1000000ULL

struct both {
	struct fixture a, b;
	struct diff diff;
};

static void both_open(struct both *t)
{
	fixture_open(&t->a, "diff", "shop");
	fixture_open(&t->b, "diff", "shop");
}

static void both_diff(struct both *t)
{
	const struct diff_side a = {t->a.model, t->a.rules, "a.trace"};
	const struct diff_side b = {t->b.model, t->b.rules, "b.trace"};

	diff_free(&t->diff);
	diff_make(&t->diff, &a, &b);
}

static void both_close(struct both *t)
{
	diff_free(&t->diff);
	fixture_close(&t->a);
	fixture_close(&t->b);
}

/* Statistics of polls with these lengths. */
static void polled(struct fixture *f, const uint64_t *lengths, size_t count)
{
	uint64_t hist[HIST_BUCKETS] = {0}, max = 0;

	for (size_t i = 0; i < count; i++) {
		hist[hist_bucket(lengths[i])]++;
		max = lengths[i] > max ? lengths[i] : max;
	}
	fixture_apply(f, (struct event){
				 .kind = EV_SITE_STATS,
				 .as_site_stats = {.site = FIXTURE_CART,
						   .polls = count,
						   .max_ns = max,
						   .hist = hist},
			 });
}

/* `slow` of `count` polls last `ns`, the others 20 us. */
static void polled_two(struct fixture *f, size_t count, size_t slow, uint64_t ns)
{
	static uint64_t lengths[20000];

	for (size_t i = 0; i < count; i++)
		lengths[i] = i < slow ? ns : 20 * US;
	polled(f, lengths, count);
}

static const struct diff_row *row_of(const struct diff *d, const char *rule,
				     enum diff_metric metric)
{
	for (size_t i = 0; i < d->count; i++)
		if (rule ? d->rows[i].rule && !strcmp(d->rows[i].rule, rule) :
			   !d->rows[i].rule && d->rows[i].metric == metric)
			return &d->rows[i];
	fail_msg("no such row");
	return NULL;
}

static void expect(const struct diff_row *row, enum diff_change change, bool certain,
		   enum severity severity)
{
	assert_string_equal(diff_change_name(row->change), diff_change_name(change));
	assert_int_equal(row->certain, certain);
	assert_int_equal(row->severity, severity);
}

static void test_percentiles(void **state)
{
	struct both t = {0};

	(void)state;
	both_open(&t);
	/* One poll in fifty got slow: the median knows nothing of it. */
	polled_two(&t.a, 10000, 0, 0);
	polled_two(&t.b, 10000, 200, 80 * US);
	both_diff(&t);
	expect(row_of(&t.diff, NULL, DIFF_POLL_P99), DIFF_WORSE, true, SEVERITY_WARNING);
	expect(row_of(&t.diff, NULL, DIFF_POLL_P50), DIFF_SAME, true, SEVERITY_WARNING);
	assert_int_equal(diff_failing(&t.diff, SEVERITY_WARNING), 1);
	assert_int_equal(diff_failing(&t.diff, SEVERITY_CRITICAL), 0);
	/* Over the threshold of the rules it is critical; the other way round it is better. */
	polled_two(&t.b, 10000, 200, 80 * MS);
	both_diff(&t);
	expect(row_of(&t.diff, NULL, DIFF_POLL_P99), DIFF_WORSE, true, SEVERITY_CRITICAL);
	assert_int_equal(diff_failing(&t.diff, SEVERITY_CRITICAL), 1);
	polled_two(&t.a, 10000, 200, 800 * MS);
	both_diff(&t);
	assert_int_equal(row_of(&t.diff, NULL, DIFF_POLL_P99)->change, DIFF_BETTER);
	assert_int_equal(diff_failing(&t.diff, SEVERITY_WARNING), 0);
	both_close(&t);
}

/* Of few polls nobody knows the 99th percentile. */
static void test_few(void **state)
{
	struct both t = {0};

	(void)state;
	both_open(&t);
	polled_two(&t.a, 50, 0, 0);
	polled_two(&t.b, 50, 2, 80 * MS);
	both_diff(&t);
	expect(row_of(&t.diff, NULL, DIFF_POLL_P99), DIFF_WORSE, false, SEVERITY_CRITICAL);
	assert_int_equal(diff_failing(&t.diff, SEVERITY_WARNING), 0);
	both_close(&t);
}

static uint64_t draw(uint64_t *seed)
{
	uint64_t octave, rest;

	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	octave = 12 + (*seed >> 33) % 12;
	rest = (*seed >> 20) % (1ULL << octave);
	return (1ULL << octave) + rest;
}

/* Draws from the same distribution, 300 times: never certain of anything. */
static void test_chance(void **state)
{
	uint64_t seed = 1, lengths[2][400];
	size_t uncertain = 0;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct both t = {0};

		both_open(&t);
		for (size_t i = 0; i < 400; i++) {
			lengths[0][i] = draw(&seed);
			lengths[1][i] = draw(&seed);
		}
		polled(&t.a, lengths[0], 400);
		polled(&t.b, lengths[1], 400);
		both_diff(&t);
		assert_int_equal(diff_failing(&t.diff, SEVERITY_INFO), 0);
		for (size_t i = 0; i < t.diff.count; i++)
			uncertain += !t.diff.rows[i].certain;
		both_close(&t);
	}
	/* It is the guard that does it: differences there are. */
	assert_true(uncertain > 100);
}

static void blocks(struct fixture *f, unsigned int count, unsigned int ms)
{
	for (unsigned int i = 0; i < count; i++) {
		f->now += ms * MS;
		fixture_block(f, FIXTURE_CHECKOUT, 17, ms);
	}
	fixture_tick(f);
}

/* Both sides are brought to the same length. */
static void until(struct fixture *f, uint64_t seconds)
{
	f->now = FIXTURE_BEGIN + seconds * 1000 * MS;
	fixture_tick(f);
}

static void compare_blocks(struct both *t, unsigned int a, unsigned int a_ms, unsigned int b,
			   unsigned int b_ms)
{
	*t = (struct both){0};
	both_open(t);
	fixture_tick(&t->a);
	fixture_tick(&t->b);
	blocks(&t->a, a, a_ms);
	blocks(&t->b, b, b_ms);
	until(&t->a, 60);
	until(&t->b, 60);
	both_diff(t);
}

static void test_findings(void **state)
{
	static const struct {
		unsigned int a, a_ms, b, b_ms;
		enum diff_change change;
		bool certain;
		enum severity severity;
	} cases[] = {
		/* As many as the other side should have had three of, or fewer. */
		{0, 0, 5, 150, DIFF_APPEARED, true, SEVERITY_CRITICAL},
		{0, 0, 2, 150, DIFF_APPEARED, false, SEVERITY_CRITICAL},
		{5, 150, 0, 0, DIFF_GONE, true, SEVERITY_CRITICAL},
		/* More often: beyond what chance does, or not. */
		{20, 20, 100, 20, DIFF_WORSE, true, SEVERITY_WARNING},
		{20, 20, 28, 20, DIFF_WORSE, false, SEVERITY_WARNING},
		{50, 20, 52, 20, DIFF_SAME, true, SEVERITY_WARNING},
		{100, 20, 20, 20, DIFF_BETTER, true, SEVERITY_WARNING},
		/* As often, but longer. */
		{20, 20, 20, 60, DIFF_WORSE, true, SEVERITY_WARNING},
		{20, 20, 20, 200, DIFF_WORSE, true, SEVERITY_CRITICAL},
		{5, 20, 5, 200, DIFF_WORSE, false, SEVERITY_CRITICAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct both t;
		bool worse = cases[i].change == DIFF_WORSE || cases[i].change == DIFF_APPEARED;

		compare_blocks(&t, cases[i].a, cases[i].a_ms, cases[i].b, cases[i].b_ms);
		expect(row_of(&t.diff, "blocking-call", 0), cases[i].change, cases[i].certain,
		       cases[i].severity);
		assert_int_equal(diff_failing(&t.diff, cases[i].severity),
				 worse && cases[i].certain);
		both_close(&t);
	}
}

static void test_sites(void **state)
{
	struct both t = {0};

	(void)state;
	both_open(&t);
	polled_two(&t.b, 100, 0, 0);
	both_diff(&t);
	assert_int_equal(t.diff.sites_count, 1);
	assert_true(t.diff.sites[0].in_b);
	assert_int_equal(t.diff.sites[0].polls, 100);
	assert_int_equal(diff_failing(&t.diff, SEVERITY_INFO), 0);
	both_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percentiles), cmocka_unit_test(test_few),
		cmocka_unit_test(test_chance),	    cmocka_unit_test(test_findings),
		cmocka_unit_test(test_sites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
