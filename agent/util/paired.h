/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much larger is one thing than another, when both were measured in pairs under the same
 * conditions? The ratio of the two means with a 95 % interval: Fieller's for paired values, with
 * Student's t for so few pairs. Pairs are not kept; a sum of them is five numbers.
 */
#ifndef UTIL_PAIRED_H
#define UTIL_PAIRED_H

#include <stdint.h>

#define PAIRED_LEAST 4 /* pairs: with fewer an interval says nothing */

struct paired {
	uint32_t count;
	double mean_a, mean_b;
	double aa, bb, ab; /* sums of products of deviations from the means */
};

enum paired_known {
	PAIRED_KNOWN,
	PAIRED_FEW,    /* fewer than PAIRED_LEAST pairs */
	PAIRED_LITTLE, /* b may be 0, for all that is known: no ratio has a bound */
};

struct paired_ratio {
	double ratio, low, high; /* of the means, a / b */
};

void paired_add(struct paired *p, double a, double b);
/* Values are taken to be 0 or more: so is the interval. */
enum paired_known paired_ratio(const struct paired *p, struct paired_ratio *out);
/* Student's t: with `degrees` of freedom, at least 1, 95 % lie within plus or minus of it. */
double student_t95(uint32_t degrees);

#endif
