/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A table for people: columns as wide as their widest cell, bounded, cut with "…".
 *
 * Widths are terminal columns (wcwidth). Text is taken as UTF-8 whatever the locale is; bytes that
 * are not UTF-8 and control characters are shown as "?": names are sanitised before they get here,
 * this only keeps the columns straight. Cells are copied. The last column takes what is left of
 * the width and is not padded when it is left-aligned, so lines have no trailing blanks.
 */
#ifndef UTIL_TABLE_H
#define UTIL_TABLE_H

#include <stddef.h>

enum table_align { TABLE_LEFT, TABLE_RIGHT };

struct table_column {
	const char *title;
	enum table_align align;
	unsigned int max; /* widest, in terminal columns; 0: no bound of its own */
};

struct table;

/* `columns` is borrowed until table_free(); count > 0. */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table *table);

/* The next cell, row by row. NULL is shown as "n/a". */
void table_cell(struct table *table, const char *text);
void table_cellf(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

size_t table_rows(const struct table *table);

/*
 * Title line and rows, each ended by a newline; two blanks between columns. `width` bounds a line
 * (0: no bound), `indent` blanks included. The string is freed by the caller.
 */
char *table_render(const struct table *table, unsigned int width, unsigned int indent);

/* Terminal columns that the text takes. */
size_t text_width(const char *text);

/* The text, cut to `width` columns with "…" as the last one. Freed by the caller. */
char *text_fit(const char *text, size_t width);

#endif
