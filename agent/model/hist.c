// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads the histograms that bpf/wire.h's hist_bucket() fills. */
#include "model/model.h"

void hist_edges(uint32_t bucket, uint64_t *low_ns, uint64_t *high_ns)
{
	uint32_t octave, quarter;

	if (bucket == 0) {
		*low_ns = 0;
		*high_ns = 1ULL << HIST_MIN_SHIFT;
		return;
	}
	if (bucket >= HIST_BUCKETS - 1) {
		*low_ns = 1ULL << HIST_MAX_SHIFT;
		*high_ns = UINT64_MAX;
		return;
	}
	octave = HIST_MIN_SHIFT + (bucket - 1) / 4;
	quarter = (bucket - 1) % 4;
	*low_ns = (4ULL + quarter) << (octave - 2);
	*high_ns = (5ULL + quarter) << (octave - 2);
}

uint64_t hist_quantile(const struct hist *h, double q)
{
	uint64_t below = 0, low = 0, high = 0;
	double want;

	if (!h->count)
		return 0;
	if (!(q > 0))
		q = 0;
	if (q > 1)
		q = 1;
	want = q * (double)h->count;
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		if (!h->bucket[i])
			continue;
		below += h->bucket[i];
		hist_edges(i, &low, &high);
		if ((double)below >= want)
			break;
	}
	return high == UINT64_MAX ? low : high;
}

uint64_t hist_quantile_within(const struct hist *h, uint64_t max, double q)
{
	uint64_t edge = hist_quantile(h, q);

	return max && edge > max ? max : edge;
}
