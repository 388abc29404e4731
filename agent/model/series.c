// SPDX-License-Identifier: LGPL-2.1-or-later
/* One value a second; see struct series in model.h. `head` is the index of the newest value. */
#include "model/model_priv.h"

static void push(struct series *s, uint64_t value)
{
	s->head = s->count ? (s->head + 1) % SERIES_LEN : 0;
	s->v[s->head] = value;
	if (s->count < SERIES_LEN)
		s->count++;
}

uint64_t series_at(const struct series *s, uint32_t seconds_ago)
{
	if (seconds_ago >= s->count)
		return 0;
	return s->v[(s->head + SERIES_LEN - seconds_ago) % SERIES_LEN];
}

double series_rate(const struct series *s, uint32_t seconds)
{
	if (!seconds || seconds >= s->count)
		return 0;
	return ((double)series_at(s, 0) - (double)series_at(s, seconds)) / seconds;
}

uint64_t series_growth(const struct series *s, uint32_t seconds)
{
	uint64_t newest = series_at(s, 0), oldest = series_at(s, seconds);

	return newest > oldest ? newest - oldest : 0;
}

uint32_t series_window(const struct series *s, uint32_t seconds)
{
	uint32_t have = s->count ? s->count - 1 : 0;

	return seconds < have ? seconds : have;
}

/* Seconds that no tick closed get equal shares of the growth: no rate shows a gap or a spike. */
void series_push_total(struct series *s, uint64_t value, uint64_t seconds)
{
	uint64_t i = seconds > SERIES_LEN ? seconds - SERIES_LEN : 0;
	uint64_t old = s->count ? series_at(s, 0) : value;
	uint64_t growth = value > old ? value - old : 0;

	if (value < old)
		old = value;
	while (i++ < seconds)
		push(s, old + (uint64_t)((unsigned __int128)growth * i / seconds));
}

/* A depth is what it last was until it is read again. */
void series_push_depth(struct series *s, uint64_t value, uint64_t seconds)
{
	uint64_t i = seconds > SERIES_LEN ? seconds - SERIES_LEN : 0;
	uint64_t old = s->count ? series_at(s, 0) : value;

	while (i++ < seconds)
		push(s, i == seconds ? value : old);
}

void series_zero(struct series *s, uint64_t seconds)
{
	*s = (struct series){.count = seconds < SERIES_LEN ? (uint32_t)seconds : SERIES_LEN};
}
