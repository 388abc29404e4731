// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "target/demangle.h"

#define CUT ".."

/* Characters, counting each code point as one column. */
static size_t columns_of(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static bool path_char(char c)
{
	return c && !strchr("<>()[]{},&*;=+' ", c);
}

/* Copies the name; inside generic arguments only the last component of each path. */
static void drop_argument_paths(const char *in, char *out)
{
	char *word = out; /* where the present path began */
	int depth = 0;

	for (const char *p = in; *p; p++) {
		bool arrow = p > in && *p == '>' && p[-1] == '-';

		if (*p == '<')
			depth++;
		else if (*p == '>' && !arrow)
			depth -= depth > 0;
		if (depth > 0 && p[0] == ':' && p[1] == ':' && path_char(p[2])) {
			out = word;
			p++;
			continue;
		}
		*out++ = *p;
		if (!path_char(*p))
			word = out;
	}
	*out = '\0';
}

/* Copies the name; "<..>" for each group of generic arguments after a name. */
static void drop_arguments(const char *in, char *out)
{
	int depth = 0;

	for (const char *p = in; *p; p++) {
		bool arrow = p > in && *p == '>' && p[-1] == '-';
		bool opens = *p == '<' && (depth || (p > in && path_char(p[-1])));

		if (opens && depth++ == 0) {
			memcpy(out, "<" CUT ">", 4);
			out += 4;
		} else if (depth && *p == '>' && !arrow) {
			depth--;
		} else if (!depth) {
			*out++ = *p;
		}
	}
	*out = '\0';
}

/* The first "::" outside brackets, NULL when there is none. */
static const char *next_separator(const char *s)
{
	int depth = 0;

	for (; *s; s++) {
		if (strchr("<([{", *s))
			depth++;
		else if (strchr(">)]}", *s))
			depth -= depth > 0;
		else if (!depth && s[0] == ':' && s[1] == ':')
			return s;
	}
	return NULL;
}

static size_t give(const char *s, char *out, size_t size)
{
	size_t n = strnlen(s, size - 1);

	memmove(out, s, n);
	out[n] = '\0';
	return n;
}

static size_t keep_tail(const char *s, size_t columns, char *out, size_t size)
{
	size_t have = columns_of(s), skip;

	if (columns <= strlen(CUT))
		return give("", out, size);
	skip = have - (columns - strlen(CUT));
	for (; *s && skip; s++)
		skip -= ((unsigned char)s[1] & 0xc0) != 0x80;
	if (size <= strlen(CUT))
		return give("", out, size);
	memcpy(out, CUT, strlen(CUT));
	return strlen(CUT) + give(s, out + strlen(CUT), size - strlen(CUT));
}

size_t name_shorten(const char *name, size_t columns, char *out, size_t size)
{
	char in[DEMANGLE_MAX], work[2 * DEMANGLE_MAX];
	const char *tail;

	if (!size)
		return 0;
	give(name, in, sizeof(in));
	if (columns_of(in) <= columns)
		return give(in, out, size);
	drop_argument_paths(in, work);
	if (columns_of(work) <= columns)
		return give(work, out, size);
	drop_arguments(in, work);
	if (columns_of(work) <= columns)
		return give(work, out, size);
	tail = work;
	for (const char *sep = next_separator(tail); sep; sep = next_separator(tail)) {
		tail = sep + 2;
		if (columns_of(tail) + strlen(CUT "::") <= columns) {
			char with[2 * DEMANGLE_MAX + 8];

			snprintf(with, sizeof(with), CUT "::%s", tail);
			return give(with, out, size);
		}
	}
	return keep_tail(tail, columns, out, size);
}
