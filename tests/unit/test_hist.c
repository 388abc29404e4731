// SPDX-License-Identifier: LGPL-2.1-or-later
/* Histograms and series: edges that fit the bucket function, quantiles, rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/model_priv.h"

static void edges_fit_buckets(void **state)
{
	uint64_t low, high, end = 0;

	(void)state;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		hist_edges(i, &low, &high);
		assert_int_equal(low, end);
		assert_int_equal(hist_bucket(low), i);
		assert_int_equal(hist_bucket(high - 1), i);
		end = high;
	}
	assert_true(end == UINT64_MAX);
}

static void edges_known(void **state)
{
	uint64_t low, high;

	(void)state;
	hist_edges(0, &low, &high);
	assert_int_equal(low, 0);
	assert_int_equal(high, 256);
	hist_edges(1, &low, &high);
	assert_int_equal(low, 256);
	assert_int_equal(high, 320);
	hist_edges(hist_bucket(1000000), &low, &high);
	assert_int_equal(low, 917504);
	assert_int_equal(high, 1048576);
	hist_edges(HIST_BUCKETS + 7, &low, &high);
	assert_int_equal(low, 1ULL << 35);
}

static void hist_add(struct hist *h, uint64_t ns, uint64_t count)
{
	h->bucket[hist_bucket(ns)] += count;
	h->count += count;
}

static void quantiles(void **state)
{
	struct hist h = {0};

	(void)state;
	assert_int_equal(hist_quantile(&h, 0.5), 0);
	hist_add(&h, 300, 90);
	hist_add(&h, 1000000, 9);
	hist_add(&h, 20000000, 1);
	assert_int_equal(hist_quantile(&h, 0), 320);
	assert_int_equal(hist_quantile(&h, 0.5), 320);
	assert_int_equal(hist_quantile(&h, 0.9), 320);
	assert_int_equal(hist_quantile(&h, 0.91), 1048576);
	assert_int_equal(hist_quantile(&h, 0.99), 1048576);
	assert_int_equal(hist_quantile(&h, 0.995), 20971520);
	assert_int_equal(hist_quantile(&h, 1), 20971520);
	assert_int_equal(hist_quantile(&h, 7), 20971520);
}

/* The last bucket is open: its lower edge is the only true thing to say. */
static void quantile_of_the_rest(void **state)
{
	struct hist h = {0};

	(void)state;
	hist_add(&h, 100ULL << 30, 1);
	assert_int_equal(hist_quantile(&h, 0.5), 1ULL << 35);
}

static void series_history(void **state)
{
	struct series s = {0};

	(void)state;
	assert_int_equal(series_at(&s, 0), 0);
	for (uint64_t i = 1; i <= SERIES_LEN + 10; i++)
		series_push_total(&s, i * 5, 1);
	assert_int_equal(s.count, SERIES_LEN);
	assert_int_equal(series_at(&s, 0), 5 * (SERIES_LEN + 10));
	assert_int_equal(series_at(&s, 1), 5 * (SERIES_LEN + 9));
	assert_int_equal(series_at(&s, SERIES_LEN - 1), 5 * 11);
	assert_int_equal(series_at(&s, SERIES_LEN), 0);
}

static void series_rates(void **state)
{
	struct series s = {0};

	(void)state;
	series_push_total(&s, 100, 1);
	assert_true(series_rate(&s, 1) == 0);
	series_push_total(&s, 300, 1);
	series_push_total(&s, 350, 1);
	assert_true(series_rate(&s, 1) == 50);
	assert_true(series_rate(&s, 2) == 125);
	assert_true(series_rate(&s, 3) == 0);
	assert_true(series_rate(&s, 0) == 0);
	assert_int_equal(series_window(&s, 60), 2);
	series_zero(&s, 0);
	series_push_depth(&s, 40, 1);
	series_push_depth(&s, 10, 1);
	assert_true(series_rate(&s, 1) == -30);
	assert_int_equal(series_growth(&s, 1), 0);
}

/* Three seconds between two ticks: a total grows evenly, a depth stays until it is read again. */
static void series_catch_up(void **state)
{
	struct series total = {0}, depth = {0};

	(void)state;
	series_push_total(&total, 10, 1);
	series_push_total(&total, 40, 3);
	assert_int_equal(total.count, 4);
	assert_int_equal(series_at(&total, 0), 40);
	assert_int_equal(series_at(&total, 1), 30);
	assert_int_equal(series_at(&total, 2), 20);
	series_push_total(&total, 40, 0);
	assert_int_equal(total.count, 4);
	series_push_depth(&depth, 10, 1);
	series_push_depth(&depth, 40, 3);
	assert_int_equal(series_at(&depth, 0), 40);
	assert_int_equal(series_at(&depth, 1), 10);
	assert_int_equal(series_at(&depth, 2), 10);
	/* Longer than the history, and totals at the end of their range. */
	series_push_total(&total, UINT64_MAX, UINT64_MAX);
	assert_int_equal(total.count, SERIES_LEN);
	assert_true(series_at(&total, 0) == UINT64_MAX);
	/* A total that fell back is taken as it is. */
	series_push_total(&total, 7, 2);
	assert_int_equal(series_at(&total, 0), 7);
	assert_int_equal(series_at(&total, 1), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(edges_fit_buckets), cmocka_unit_test(edges_known),
		cmocka_unit_test(quantiles),	     cmocka_unit_test(quantile_of_the_rest),
		cmocka_unit_test(series_history),    cmocka_unit_test(series_rates),
		cmocka_unit_test(series_catch_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
