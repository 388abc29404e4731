// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ratios of pairs: intervals against values found by trying ratios one by one, and their coverage. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/paired.h"

static struct paired filled(const double *a, const double *b, uint32_t count)
{
	struct paired p = {0};

	for (uint32_t i = 0; i < count; i++)
		paired_add(&p, a[i], b[i]);
	return p;
}

static void near(double got, double wanted, double error)
{
	if (!(fabs(got - wanted) <= error))
		fail_msg("%.9f is not %.9f", got, wanted);
}

static void students_t(void **state)
{
	static const struct {
		uint32_t degrees;
		double t;
	} known[] = {{1, 12.7062},   {4, 2.7764},	   {10, 2.2281}, {11, 2.2010},
		     {15, 2.1314},   {20, 2.0860},	   {30, 2.0423}, {100, 1.9840},
		     {1000, 1.9623}, {UINT32_MAX, 1.95996}};

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		near(student_t95(known[i].degrees), known[i].t, 0.0003);
	near(student_t95(0), 12.7062, 0.0003);
}

static void intervals(void **state)
{
	static const double with[] = {10.2, 9.8, 10.5, 10.1, 9.9, 10.3},
			    without[] = {10.0, 9.9, 10.1, 10.0, 9.8, 10.2};
	static const double slow[] = {790, 812, 777, 801, 795, 788, 803, 799},
			    fast[] = {87, 88, 86, 90, 87, 89, 88, 85};
	struct paired p = filled(with, without, 6);
	struct paired_ratio r;

	(void)state;
	assert_int_equal(paired_ratio(&p, &r), PAIRED_KNOWN);
	near(r.ratio, 1.013333333, 1e-6);
	near(r.low, 0.996171319, 1e-5);
	near(r.high, 1.030280908, 1e-5);
	p = filled(slow, fast, 8);
	assert_int_equal(paired_ratio(&p, &r), PAIRED_KNOWN);
	near(r.ratio, 9.092857143, 1e-6);
	near(r.low, 8.948945630, 1e-4);
	near(r.high, 9.240086321, 1e-4);
}

/* The pairs have the same trend: it is in neither bound. Unpaired, it would drown the difference. */
static void drift_cancels(void **state)
{
	struct paired p = {0};
	struct paired_ratio r;

	(void)state;
	for (int i = 0; i < 10; i++)
		paired_add(&p, 1.1 * (100 + 20 * i) + (i % 2), 100 + 20 * i);
	assert_int_equal(paired_ratio(&p, &r), PAIRED_KNOWN);
	assert_true(r.low > 1.09 && r.high < 1.12);
}

static void same_values(void **state)
{
	struct paired p = {0};
	struct paired_ratio r;

	(void)state;
	for (int i = 0; i < 5; i++)
		paired_add(&p, 3, 2);
	assert_int_equal(paired_ratio(&p, &r), PAIRED_KNOWN);
	near(r.ratio, 1.5, 0);
	near(r.low, 1.5, 1e-9);
	near(r.high, 1.5, 1e-9);
}

static void what_has_no_bound(void **state)
{
	static const double a[] = {5, 0, 3, 9}, b[] = {4, 1, 3, 8}, zero[4];
	struct paired p = filled(a, b, 3);
	struct paired_ratio r;

	(void)state;
	assert_int_equal(paired_ratio(&p, &r), PAIRED_FEW);
	p = filled(a, b, 4);
	assert_int_equal(paired_ratio(&p, &r), PAIRED_LITTLE);
	p = filled(a, zero, 4);
	assert_int_equal(paired_ratio(&p, &r), PAIRED_LITTLE);
	p = filled(zero, zero, 4);
	assert_int_equal(paired_ratio(&p, &r), PAIRED_LITTLE);
	p = (struct paired){0};
	assert_int_equal(paired_ratio(&p, &r), PAIRED_FEW);
}

static uint64_t seed = 1;

/* Twelve of an even distribution: nearly normal, mean 0, deviation 1. */
static double noise(void)
{
	double sum = 0;

	for (int i = 0; i < 12; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		sum += (double)(seed >> 11) / (double)(1ULL << 53);
	}
	return sum - 6;
}

/* Of 2000 experiments the true ratio lies in 95 % of the intervals: 100 outside, give or take 30. */
static void coverage(void **state)
{
	uint32_t outside = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct paired p = {0};
		struct paired_ratio r;

		for (int k = 0; k < 8; k++) {
			double common = 100 + 10 * noise();

			paired_add(&p, 1.05 * common + 2 * noise(), common + 2 * noise());
		}
		assert_int_equal(paired_ratio(&p, &r), PAIRED_KNOWN);
		outside += r.low > 1.05 || r.high < 1.05;
	}
	assert_in_range(outside, 70, 130);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(students_t),	     cmocka_unit_test(intervals),
		cmocka_unit_test(drift_cancels),     cmocka_unit_test(same_values),
		cmocka_unit_test(what_has_no_bound), cmocka_unit_test(coverage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
