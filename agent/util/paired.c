// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ratio of paired measurements; see paired.h. */
#include "util/paired.h"

#include <math.h>

#define NORMAL_95 1.959963984540054

void paired_add(struct paired *p, double a, double b)
{
	double da = a - p->mean_a, db = b - p->mean_b;

	p->count++;
	p->mean_a += da / p->count;
	p->mean_b += db / p->count;
	p->aa += da * (a - p->mean_a);
	p->bb += db * (b - p->mean_b);
	p->ab += da * (b - p->mean_b);
}

double student_t95(uint32_t degrees)
{
	static const double table[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
				       2.4469,	2.3646, 2.3060, 2.2622, 2.2281};
	double z = NORMAL_95, n = degrees;

	if (degrees <= sizeof(table) / sizeof(table[0]))
		return table[degrees ? degrees - 1 : 0];
	/* Cornish and Fisher; wrong by less than 0.0003 here. */
	return z + (pow(z, 3) + z) / (4 * n) +
	       (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * n * n) +
	       (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / (384 * n * n * n);
}

/* What ratios r are not refuted: those for which the mean of a - r * b may be 0. */
enum paired_known paired_ratio(const struct paired *p, struct paired_ratio *out)
{
	double a = p->mean_a, b = p->mean_b, scale, t, square, middle, root;

	if (p->count < PAIRED_LEAST)
		return PAIRED_FEW;
	t = student_t95(p->count - 1);
	scale = t * t / ((double)p->count * (p->count - 1));
	square = b * b - scale * p->bb;
	if (!(b > 0) || !(square > 0))
		return PAIRED_LITTLE;
	middle = a * b - scale * p->ab;
	root = middle * middle - square * (a * a - scale * p->aa);
	root = root > 0 ? sqrt(root) : 0;
	out->ratio = a / b;
	out->low = fmax((middle - root) / square, 0);
	out->high = (middle + root) / square;
	return PAIRED_KNOWN;
}
