// SPDX-License-Identifier: LGPL-2.1-or-later
/* Allocate or abort; see xalloc.h. */
#include "util/xalloc.h"

#include <stdarg.h>
#include <stdio.h>

char *xasprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&s, fmt, args) < 0)
		abort();
	va_end(args);
	return s;
}

void *xgrow(void *array, size_t *cap, size_t need, size_t size)
{
	size_t next = *cap ? *cap : 16;

	if (need <= *cap)
		return array;
	while (next < need)
		next *= 2;
	*cap = next;
	return xreallocarray(array, next, size);
}
