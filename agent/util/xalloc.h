/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Allocate or abort: running out of memory stops the program, so no caller checks for NULL.
 * Sizes that come from a target, a ring or a file are bounded by the caller before they get here.
 */
#ifndef UTIL_XALLOC_H
#define UTIL_XALLOC_H

#include <stdlib.h>
#include <string.h>

static inline void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		abort();
	return p;
}

static inline void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

/* Resizes to count elements; aborts on overflow of count * size too. */
static inline void *xreallocarray(void *old, size_t count, size_t size)
{
	void *p = reallocarray(old, count ? count : 1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

static inline char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		abort();
	return p;
}

static inline char *xstrndup(const char *s, size_t max)
{
	char *p = strndup(s, max);

	if (!p)
		abort();
	return p;
}

/* Formats into a new string, freed by the caller. */
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Grows *array so that it holds at least `need` elements of `size` bytes; *cap is the capacity.
 * New elements are not initialised.
 */
void *xgrow(void *array, size_t *cap, size_t need, size_t size);

#endif
