// SPDX-License-Identifier: LGPL-2.1-or-later
#include "runtime/tokio_layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/tokio_layout.inc"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A number of at most four digits; moves *text behind it. */
static int parse_number(const char **text, unsigned int *out)
{
	const char *p = *text;
	unsigned int value = 0;

	while (*p >= '0' && *p <= '9') {
		if (p - *text >= 4)
			return -EINVAL;
		value = value * 10 + (unsigned int)(*p++ - '0');
	}
	if (p == *text)
		return -EINVAL;
	*text = p;
	*out = value;
	return 0;
}

int tokio_version_parse(const char *text, struct tokio_version *version)
{
	struct tokio_version v;

	if (!text || parse_number(&text, &v.major) || *text++ != '.' ||
	    parse_number(&text, &v.minor) || *text++ != '.' || parse_number(&text, &v.patch))
		return -EINVAL;
	*version = v;
	return 0;
}

static unsigned int distance(const struct tokio_layout_row *row, unsigned int minor)
{
	if (minor < row->first)
		return row->first - minor;
	return minor > row->last ? minor - row->last : 0;
}

static bool listed(const struct tokio_layout *const *out, size_t n, const struct tokio_layout *l)
{
	for (size_t i = 0; i < n; i++)
		if (out[i] == l)
			return true;
	return false;
}

/* The table is sorted so that a newer rustc comes first: the likelier guess. */
size_t tokio_layout_candidates(const struct tokio_version *version, enum tokio_unstable unstable,
			       unsigned int near, const struct tokio_layout **out, size_t max)
{
	const struct tokio_layout *layout;
	size_t n = 0;

	if (version->major != 1)
		return 0;
	for (size_t i = 0; i < COUNT(tokio_layout_rows) && n < max; i++) {
		const struct tokio_layout_row *row = &tokio_layout_rows[i];

		if (distance(row, version->minor) != near)
			continue;
		if (unstable != TOKIO_UNSTABLE_UNKNOWN && row->unstable != (uint8_t)unstable)
			continue;
		layout = &tokio_layouts[row->layout];
		if (!listed(out, n, layout))
			out[n++] = layout;
	}
	return n;
}
