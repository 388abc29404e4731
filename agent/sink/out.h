/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One write and one flush, with the error that stdio keeps to itself. */
#ifndef SINK_OUT_H
#define SINK_OUT_H

#include <errno.h>
#include <stdio.h>

/* Returns 0 or -errno; -EPIPE when the reader went away. */
static inline int out_write(FILE *out, const char *text, size_t len)
{
	errno = 0;
	if (fwrite(text, 1, len, out) == len && fflush(out) == 0)
		return 0;
	return errno ? -errno : -EIO;
}

#endif
