// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tables; see table.h. */
#include "util/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "util/xalloc.h"

#define GAP 2
#define NARROW 6 /* the last column keeps at least this */
#define ELLIPSIS "\xe2\x80\xa6"

struct table {
	const struct table_column *columns;
	size_t columns_count;
	char **cells;
	size_t cells_count, cells_cap;
};

/* Length of the UTF-8 sequence at s, its code point in *cp; 0 when it is not one. */
static size_t decode(const unsigned char *s, uint32_t *cp)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (len == 0 || s[0] > 0xf4)
		return 0;
	*cp = len == 1 ? s[0] : s[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80) /* the final NUL too */
			return 0;
		*cp = *cp << 6 | (s[i] & 0x3fU);
	}
	if (*cp < least[len] || *cp > 0x10ffff || (*cp >= 0xd800 && *cp <= 0xdfff))
		return 0;
	return len;
}

/*
 * One character: where it is copied from, how long it is and how wide. The C locale knows no width
 * beyond ASCII; one column is then the best guess.
 */
struct glyph {
	const char *text;
	size_t len, skip, width;
};

static struct glyph next_glyph(const char *s)
{
	uint32_t cp = 0;
	size_t len = decode((const unsigned char *)s, &cp);
	int width;

	if (!len || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return (struct glyph){"?", 1, len ? len : 1, 1};
	width = wcwidth((wchar_t)cp);
	return (struct glyph){s, len, len, width < 0 ? 1 : (size_t)width};
}

size_t text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		struct glyph g = next_glyph(text);

		width += g.width;
		text += g.skip;
	}
	return width;
}

char *text_fit(const char *text, size_t width)
{
	bool cut = text_width(text) > width;
	size_t room = cut && width ? width - 1 : width;
	char *out = xmalloc(strlen(text) + sizeof(ELLIPSIS));
	char *p = out;

	while (*text) {
		struct glyph g = next_glyph(text);

		if (g.width > room)
			break;
		memcpy(p, g.text, g.len);
		p += g.len;
		room -= g.width;
		text += g.skip;
	}
	*p = '\0';
	if (cut && width)
		memcpy(p, ELLIPSIS, sizeof(ELLIPSIS));
	return out;
}

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *t = xcalloc(1, sizeof(*t));

	t->columns = columns;
	t->columns_count = count;
	return t;
}

void table_free(struct table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->cells_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

static void take_cell(struct table *t, char *text)
{
	unsigned int max = t->columns[t->cells_count % t->columns_count].max;
	char *fit = text_fit(text, max ? max : SIZE_MAX);

	free(text);
	t->cells = xgrow(t->cells, &t->cells_cap, t->cells_count + 1, sizeof(*t->cells));
	t->cells[t->cells_count++] = fit;
}

void table_cell(struct table *table, const char *text)
{
	take_cell(table, xstrdup(text ? text : "n/a"));
}

void table_cellf(struct table *table, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	take_cell(table, text);
}

size_t table_rows(const struct table *table)
{
	return (table->cells_count + table->columns_count - 1) / table->columns_count;
}

static void measure(const struct table *t, size_t *widths)
{
	for (size_t c = 0; c < t->columns_count; c++)
		widths[c] = text_width(t->columns[c].title);
	for (size_t i = 0; i < t->cells_count; i++) {
		size_t width = text_width(t->cells[i]);
		size_t *column = &widths[i % t->columns_count];

		if (width > *column)
			*column = width;
	}
}

/* What does not fit is taken from the last column, down to NARROW. */
static void shrink(const struct table *t, size_t *widths, unsigned int width, unsigned int indent)
{
	size_t last = t->columns_count - 1;
	size_t used = indent + GAP * last;

	if (!width)
		return;
	for (size_t c = 0; c < last; c++)
		used += widths[c];
	if (used + widths[last] <= width)
		return;
	widths[last] = used + NARROW <= width ? width - used : NARROW;
}

static void print_cell(const struct table *t, FILE *out, size_t c, const char *text, size_t width)
{
	bool last = c + 1 == t->columns_count;
	char *fit = text_fit(text, width);
	int pad = (int)(width - text_width(fit));

	if (t->columns[c].align == TABLE_RIGHT)
		fprintf(out, "%*s%s", pad, "", fit);
	else
		fprintf(out, "%s%*s", fit, last ? 0 : pad, "");
	if (!last)
		fprintf(out, "%*s", GAP, "");
	free(fit);
}

char *table_render(const struct table *table, unsigned int width, unsigned int indent)
{
	size_t *widths = xcalloc(table->columns_count, sizeof(*widths));
	size_t rows = table_rows(table);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	measure(table, widths);
	shrink(table, widths, width, indent);
	fprintf(out, "%*s", (int)indent, "");
	for (size_t c = 0; c < table->columns_count; c++)
		print_cell(table, out, c, table->columns[c].title, widths[c]);
	fputc('\n', out);
	for (size_t r = 0; r < rows; r++) {
		fprintf(out, "%*s", (int)indent, "");
		for (size_t c = 0; c < table->columns_count; c++) {
			size_t i = r * table->columns_count + c;

			print_cell(table, out, c, i < table->cells_count ? table->cells[i] : "",
				   widths[c]);
		}
		fputc('\n', out);
	}
	fclose(out);
	free(widths);
	return text;
}
