// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Numbers as people read them; see fmt.h. Decimals are printed from integers: the decimal point
 * must not follow the locale, which the live view sets for its line drawing.
 */
#include "util/fmt.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_SEC 1000000000ULL

/* `scaled` is the number times 10^decimals. */
static void print_scaled(char *out, size_t size, uint64_t scaled, int decimals, const char *unit)
{
	uint64_t pow = decimals == 2 ? 100 : decimals == 1 ? 10 : 1;

	if (decimals)
		snprintf(out, size, "%" PRIu64 ".%0*" PRIu64 "%s", scaled / pow, decimals,
			 scaled % pow, unit);
	else
		snprintf(out, size, "%" PRIu64 "%s", scaled, unit);
}

/* Three significant digits of value / scale; false when that needs a fourth before the point. */
static bool print_three(char *out, size_t size, uint64_t value, uint64_t scale, const char *unit)
{
	static const uint64_t pows[] = {1, 10, 100};

	for (int decimals = 2; decimals >= 0; decimals--) {
		uint64_t scaled = (value * pows[decimals] + scale / 2) / scale;

		if (scaled < 1000) {
			print_scaled(out, size, scaled, decimals, unit);
			return true;
		}
	}
	return false;
}

/* From a minute on: the two largest units. */
static void print_long(char *out, size_t size, uint64_t ns)
{
	uint64_t sec = ns / NS_PER_SEC + (ns % NS_PER_SEC >= NS_PER_SEC / 2);

	if (sec < 3600)
		snprintf(out, size, "%" PRIu64 " min %" PRIu64 " s", sec / 60, sec % 60);
	else if (sec < 86400)
		snprintf(out, size, "%" PRIu64 " h %" PRIu64 " min", sec / 3600, sec / 60 % 60);
	else
		snprintf(out, size, "%" PRIu64 " d %" PRIu64 " h", sec / 86400, sec / 3600 % 24);
}

char *fmt_duration(char *out, size_t size, uint64_t ns)
{
	static const struct {
		uint64_t scale;
		const char *unit;
	} units[] = {{1000, " us"}, {1000000, " ms"}, {NS_PER_SEC, " s"}};

	if (ns < 1000) {
		snprintf(out, size, "%" PRIu64 " ns", ns);
		return out;
	}
	/* 59.95 s would round to "60.0 s". */
	if (ns >= 60 * NS_PER_SEC - NS_PER_SEC / 20) {
		print_long(out, size, ns);
		return out;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (print_three(out, size, ns, units[i].scale, units[i].unit))
			break;
	return out;
}

char *fmt_count(char *out, size_t size, double count)
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P"};
	const char *sign = count < 0 ? "-" : "";
	double value = fabs(count);
	char digits[FMT_SIZE];
	size_t unit = 0;

	if (!(value < 1e18)) {
		snprintf(out, size, "%s",
			 isnan(count) ? "n/a" :
			 count < 0    ? "< -1000P" :
					"> 1000P");
		return out;
	}
	if (value < 999.5 && value == floor(value)) {
		snprintf(out, size, "%s%" PRIu64, sign, (uint64_t)value);
		return out;
	}
	/* In thousandths, so that print_three() has digits to round. */
	while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1000;
		unit++;
	}
	if (print_three(digits, sizeof(digits), (uint64_t)(value * 1000 + 0.5), 1000, units[unit]))
		snprintf(out, size, "%s%s", sign, digits);
	else
		snprintf(out, size, "%s1000P", sign);
	return out;
}

char *fmt_bytes(char *out, size_t size, uint64_t bytes)
{
	static const char *const units[] = {" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};

	if (bytes < 1024) {
		snprintf(out, size, "%" PRIu64 " B", bytes);
		return out;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		uint64_t scale = 1ULL << (10 * (i + 1));
		uint64_t whole = bytes / scale, rest = bytes % scale;
		uint64_t tenths = whole * 10 + (rest * 10 + scale / 2) / scale;
		uint64_t rounded = whole + (rest >= scale / 2);

		if (tenths < 100)
			print_scaled(out, size, tenths, 1, units[i]);
		else
			print_scaled(out, size, rounded, 0, units[i]);
		if (rounded < 1024)
			break;
	}
	return out;
}

char *fmt_ratio(char *out, size_t size, double ratio)
{
	uint64_t tenths;

	if (!(ratio >= 0) || ratio > 1e12) {
		snprintf(out, size, "n/a");
		return out;
	}
	tenths = (uint64_t)(ratio * 1000 + 0.5);
	if (!tenths && ratio > 0)
		snprintf(out, size, "<0.1 %%");
	else if (tenths < 1000)
		print_scaled(out, size, tenths, 1, " %");
	else
		print_scaled(out, size, (tenths + 5) / 10, 0, " %");
	return out;
}

/* Digits with an optional fraction, as nanoseconds of a unit of `scale`; NULL on overflow. */
static const char *parse_scaled(const char *text, uint64_t scale, uint64_t *ns)
{
	uint64_t total = 0, step = scale;

	for (; *text >= '0' && *text <= '9'; text++) {
		if (__builtin_mul_overflow(total, 10, &total) ||
		    __builtin_add_overflow(total, (uint64_t)(*text - '0'), &total))
			return NULL;
	}
	if (__builtin_mul_overflow(total, scale, &total))
		return NULL;
	if (*text == '.') {
		for (text++; *text >= '0' && *text <= '9'; text++) {
			step /= 10;
			if (__builtin_add_overflow(total, step * (uint64_t)(*text - '0'), &total))
				return NULL;
		}
	}
	*ns = total;
	return text;
}

int parse_duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *name;
		uint64_t scale;
	} units[] = {
		{"ns", 1},	   {"us", 1000},	   {"ms", 1000000},
		{"s", NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"h", 3600 * NS_PER_SEC},
	};
	size_t len = strspn(text, "0123456789");

	if (!len)
		return -EINVAL;
	if (text[len] == '.') {
		size_t fraction = strspn(text + len + 1, "0123456789");

		if (!fraction)
			return -EINVAL;
		len += 1 + fraction;
	}
	/* Zero is the same in every unit. */
	if (!text[len] && strspn(text, "0") == len) {
		*ns = 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(text + len, units[i].name))
			return parse_scaled(text, units[i].scale, ns) ? 0 : -EINVAL;
	return -EINVAL;
}
