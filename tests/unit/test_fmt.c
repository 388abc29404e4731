// SPDX-License-Identifier: LGPL-2.1-or-later
/* Numbers as text, and durations read back from text. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "util/fmt.h"

static void durations(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{0, "0 ns"},
		{850, "850 ns"},
		{999, "999 ns"},
		{1000, "1.00 us"},
		{1300, "1.30 us"},
		{9994, "9.99 us"},
		{9995, "10.0 us"},
		{99950, "100 us"},
		{999499, "999 us"},
		{999500, "1.00 ms"},
		{12300000, "12.3 ms"},
		{250000000, "250 ms"},
		{999500000, "1.00 s"},
		{2000000000, "2.00 s"},
		{59949999999, "59.9 s"},
		{59950000000, "1 min 0 s"},
		{200000000000, "3 min 20 s"},
		{3599500000000, "1 h 0 min"},
		{7500000000000, "2 h 5 min"},
		{97200000000000, "1 d 3 h"},
		{UINT64_MAX, "213503 d 23 h"},
	};
	char out[FMT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fmt_duration(out, sizeof(out), cases[i].ns), cases[i].text);
}

static void counts(void **state)
{
	static const struct {
		double count;
		const char *text;
	} cases[] = {
		{0, "0"},
		{7, "7"},
		{999, "999"},
		{999.5, "1.00k"},
		{0.5, "0.50"},
		{3.14159, "3.14"},
		{42.42, "42.4"},
		{1000, "1.00k"},
		{12345, "12.3k"},
		{999499, "999k"},
		{999600, "1.00M"},
		{4560000, "4.56M"},
		{7890000000, "7.89G"},
		{-12345, "-12.3k"},
		{1e300, "> 1000P"},
	};
	char out[FMT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fmt_count(out, sizeof(out), cases[i].count), cases[i].text);
	assert_string_equal(fmt_count(out, sizeof(out), NAN), "n/a");
}

static void bytes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{192, "192 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{4096, "4.0 KiB"},
		{10188, "9.9 KiB"},
		{10189, "10 KiB"},
		{12 << 20, "12 MiB"},
		{(1 << 20) - 1, "1.0 MiB"},
		{UINT64_MAX, "16 EiB"},
	};
	char out[FMT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(fmt_bytes(out, sizeof(out), cases[i].bytes), cases[i].text);
}

static void ratios(void **state)
{
	char out[FMT_SIZE];

	(void)state;
	assert_string_equal(fmt_ratio(out, sizeof(out), 0), "0.0 %");
	assert_string_equal(fmt_ratio(out, sizeof(out), 0.0001), "<0.1 %");
	assert_string_equal(fmt_ratio(out, sizeof(out), 0.031), "3.1 %");
	assert_string_equal(fmt_ratio(out, sizeof(out), 0.9994), "99.9 %");
	assert_string_equal(fmt_ratio(out, sizeof(out), 0.99951), "100 %");
	assert_string_equal(fmt_ratio(out, sizeof(out), 2.5), "250 %");
	assert_string_equal(fmt_ratio(out, sizeof(out), -1), "n/a");
	assert_string_equal(fmt_ratio(out, sizeof(out), NAN), "n/a");
}

/* A buffer that is too small is filled and closed, never passed. */
static void short_buffers(void **state)
{
	char out[8] = "zzzzzzz";

	(void)state;
	assert_string_equal(fmt_duration(out, 4, 12300000), "12.");
	assert_int_equal(out[4], 'z');
	assert_string_equal(fmt_bytes(out, 1, 5000), "");
}

static void durations_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = {
		{"0", 0},
		{"0s", 0},
		{"1ns", 1},
		{"250us", 250000},
		{"10ms", 10000000},
		{"5s", 5000000000},
		{"2m", 120000000000},
		{"1h", 3600000000000},
		{"1.5s", 1500000000},
		{"0.25ms", 250000},
		{"18446744073709551615ns", UINT64_MAX},
	};
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ns = 1234;
		assert_int_equal(parse_duration(cases[i].text, &ns), 0);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void durations_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"s",
		"5",
		"5 s",
		"5x",
		"-5s",
		"+5s",
		"5sec",
		".5s",
		"5.s",
		"1.5",
		"1e3s",
		"0x10s",
		"18446744073709551616ns",
		"5124096h",
		"18446744073.8s",
		"99999999999999999999999s",
	};
	uint64_t ns = 1234;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(parse_duration(cases[i], &ns), -EINVAL);
	assert_int_equal(ns, 1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(durations),
		cmocka_unit_test(counts),
		cmocka_unit_test(bytes),
		cmocka_unit_test(ratios),
		cmocka_unit_test(short_buffers),
		cmocka_unit_test(durations_parsed),
		cmocka_unit_test(durations_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
