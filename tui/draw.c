// SPDX-License-Identifier: LGPL-2.1-or-later
/* Width-safe drawing; see draw.h. */
#include "tui/draw.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* More combining marks on one character than this are somebody's attack on the terminal. */
#define COMBINING_MAX 2
#define TEXT_MAX 1024 /* characters of one text that are looked at */
#define WORDS_FROM 29 /* columns: "task type #17 @ shop+0x1de9d9" */

/* One character of UTF-8; 0xfffd and one byte for what is none. Never reads over the NUL. */
static uint32_t utf8_next(const char *s, size_t *length)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const unsigned char *p = (const unsigned char *)s;
	uint32_t value;
	int more;

	*length = 1;
	if (p[0] < 0x80)
		return p[0];
	if (p[0] >= 0xc2 && p[0] < 0xe0)
		more = 1;
	else if (p[0] >= 0xe0 && p[0] < 0xf0)
		more = 2;
	else if (p[0] >= 0xf0 && p[0] < 0xf5)
		more = 3;
	else
		return 0xfffd;
	value = p[0] & (0x3f >> more);
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0xfffd;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (value < least[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0xfffd;
	*length = more + 1;
	return value;
}

/* Marks that change the direction or the shape of what stands around them. */
static bool is_invisible(uint32_t ch)
{
	return (ch >= 0x200b && ch <= 0x200f) || (ch >= 0x2028 && ch <= 0x202e) ||
	       (ch >= 0x2060 && ch <= 0x206f) || ch == 0xfeff || (ch >= 0xe0000 && ch <= 0xe0fff);
}

/* What is drawn for a character, and its columns. `marks`: combining ones drawn since the base. */
static wchar_t glyph_of(const struct canvas *c, uint32_t ch, int *width, int *marks)
{
	*width = 1;
	if (ch >= 0x20 && ch < 0x7f) {
		*marks = 0;
		return (wchar_t)ch;
	}
	if (!c->utf8 || ch < 0xa0 || ch == 0xfffd || is_invisible(ch)) {
		*marks = COMBINING_MAX;
		return L'?';
	}
	*width = wcwidth((wchar_t)ch);
	if (*width == 0 && *marks < COMBINING_MAX) {
		(*marks)++;
		return (wchar_t)ch;
	}
	if (*width == 0)
		return L'\0';
	*marks = 0;
	if (*width > 0)
		return (wchar_t)ch;
	*width = 1;
	return L'?';
}

struct glyphs {
	wchar_t ch[TEXT_MAX];
	signed char width[TEXT_MAX];
	int count, columns;
};

static void glyphs_of(const struct canvas *c, const char *text, struct glyphs *g)
{
	int marks = COMBINING_MAX; /* a mark without a base is not drawn */

	g->count = 0;
	g->columns = 0;
	while (*text && g->count < TEXT_MAX) {
		size_t length;
		int width;
		wchar_t ch = glyph_of(c, utf8_next(text, &length), &width, &marks);

		text += length;
		if (!ch)
			continue;
		g->ch[g->count] = ch;
		g->width[g->count++] = (signed char)width;
		g->columns += width;
	}
}

/* How many characters from `from` on fit into `width` columns, marks of the last one included. */
static int glyphs_fit(const struct glyphs *g, int from, int width)
{
	int i = from;

	for (; i < g->count; i++) {
		if (g->width[i] > width)
			break;
		width -= g->width[i];
	}
	return i - from;
}

/* How many characters at the end fit into `width` columns. */
static int glyphs_fit_end(const struct glyphs *g, int width)
{
	int i = g->count;

	while (i > 0 && g->width[i - 1] <= width)
		width -= g->width[--i];
	while (i < g->count && g->width[i] == 0)
		i++;
	return g->count - i;
}

static int glyphs_columns(const struct glyphs *g, int from, int count)
{
	int columns = 0;

	for (int i = from; i < from + count; i++)
		columns += g->width[i];
	return columns;
}

static bool clip(const struct canvas *c, int y, int x, int *width)
{
	if (y < 0 || y >= c->rows || x < 0 || x >= c->cols)
		return false;
	if (*width > c->cols - x)
		*width = c->cols - x;
	return *width > 0;
}

static void look(const struct canvas *c, enum role role)
{
	attr_t attr = c->palette.attr[role];

	if (c->focus)
		attr |= A_REVERSE;
	attr_set(attr, c->palette.pair[role], NULL);
}

static int put(const struct glyphs *g, int y, int x, int from, int count)
{
	if (count > 0)
		mvaddnwstr(y, x, g->ch + from, count);
	return glyphs_columns(g, from, count);
}

static int put_ellipsis(const struct canvas *c, int y, int x)
{
	mvaddnwstr(y, x, c->utf8 ? L"…" : L"~", 1);
	return 1;
}

void canvas_fill(const struct canvas *c, int y, int x, int width, enum role role)
{
	if (!clip(c, y, x, &width))
		return;
	look(c, role);
	mvhline(y, x, ' ', width);
}

int canvas_text(const struct canvas *c, int y, int x, int width, enum role role, enum align align,
		const char *text)
{
	struct glyphs g;
	int used;

	if (!clip(c, y, x, &width))
		return 0;
	glyphs_of(c, text, &g);
	canvas_fill(c, y, x, width, role);
	if (g.columns <= width) {
		put(&g, y, align == ALIGN_RIGHT ? x + width - g.columns : x, 0, g.count);
		return g.columns;
	}
	used = put(&g, y, x, 0, glyphs_fit(&g, 0, width - 1));
	return used + put_ellipsis(c, y, x + used);
}

/* Leaves out "::{async fn}" at the end. */
static void glyphs_drop_form(struct glyphs *g)
{
	int i = g->count - 1;

	if (i < 0 || g->ch[i] != L'}')
		return;
	while (i > 0 && g->ch[i] != L'{')
		i--;
	if (i < 3 || g->ch[i - 1] != L':' || g->ch[i - 2] != L':')
		return;
	g->count = i - 2;
	g->columns = glyphs_columns(g, 0, g->count);
}

/* Of a type without a name, "task type #5 (1928 B) @ shop+0x1de9c0", leaves out the size. */
static void glyphs_drop_size(struct glyphs *g)
{
	int from = 0, to;

	while (from < g->count && g->ch[from] != L'(')
		from++;
	for (to = from; to < g->count && g->ch[to] != L')'; to++)
		;
	if (from == 0 || to + 2 >= g->count || g->ch[to + 1] != L' ' || g->ch[to + 2] != L'@')
		return;
	to += 2;
	wmemmove(g->ch + from, g->ch + to, (size_t)(g->count - to));
	memmove(g->width + from, g->width + to, (size_t)(g->count - to));
	g->count -= to - from;
	g->columns = glyphs_columns(g, 0, g->count);
}

/*
 * And where that is too long still, or would be for another row, "#5 @ shop+0x1de9c0": what tells it
 * from the others.
 */
static void glyphs_drop_words(struct glyphs *g)
{
	static const wchar_t words[] = L"task type ";
	int length = (int)wcslen(words);

	if (g->count <= length || g->ch[length] != L'#' || wmemcmp(g->ch, words, (size_t)length))
		return;
	g->count -= length;
	wmemmove(g->ch, g->ch + length, (size_t)g->count);
	memmove(g->width, g->width + length, (size_t)g->count);
	g->columns = glyphs_columns(g, 0, g->count);
}

int canvas_name(const struct canvas *c, int y, int x, int width, enum role role, const char *text)
{
	struct glyphs g;
	int used, tail;

	if (!clip(c, y, x, &width))
		return 0;
	glyphs_of(c, text, &g);
	if (g.columns > width) {
		glyphs_drop_form(&g);
		glyphs_drop_size(&g);
		if (g.columns > width || width < WORDS_FROM)
			glyphs_drop_words(&g);
		if (g.columns <= width) {
			canvas_fill(c, y, x, width, role);
			return put(&g, y, x, 0, g.count);
		}
	}
	if (g.columns <= width || width < 8)
		return canvas_text(c, y, x, width, role, ALIGN_LEFT, text);
	canvas_fill(c, y, x, width, role);
	used = put(&g, y, x, 0, glyphs_fit(&g, 0, (width - 1) / 3));
	used += put_ellipsis(c, y, x + used);
	tail = glyphs_fit_end(&g, width - used);
	return used + put(&g, y, x + used, g.count - tail, tail);
}

int canvas_printf(const struct canvas *c, int y, int x, int width, enum role role, const char *fmt,
		  ...)
{
	char text[TEXT_MAX];
	struct glyphs g;
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!clip(c, y, x, &width))
		return 0;
	glyphs_of(c, text, &g);
	if (g.columns > width)
		return canvas_text(c, y, x, width, role, ALIGN_LEFT, text);
	look(c, role);
	return put(&g, y, x, 0, g.count);
}

static int bar_columns(double ratio, int width)
{
	int columns;

	if (!(ratio > 0))
		return 0;
	columns = (int)((ratio > 1 ? 1 : ratio) * width + 0.5);
	return columns ? columns : 1;
}

void canvas_bar(const struct canvas *c, int y, int x, int width, const struct bar_part *parts,
		size_t count)
{
	int left;

	if (!clip(c, y, x, &width))
		return;
	left = width;
	for (size_t i = 0; i < count && left > 0; i++) {
		int columns = bar_columns(parts[i].ratio, width);
		struct glyphs g;

		if (columns > left)
			columns = left;
		glyphs_of(c, c->utf8 ? parts[i].glyph : parts[i].ascii, &g);
		look(c, parts[i].role);
		for (int k = 0; k < columns; k++)
			put(&g, y, x + width - left + k, 0, g.count);
		left -= columns;
	}
	canvas_fill(c, y, x + width - left, left, ROLE_NORMAL);
}

static int spark_step(double share)
{
	return share >= 1 ? 8 : (int)(share * 8 + 0.999);
}

int spark_column(const struct spark *spark, int width, size_t i)
{
	uint64_t each = (SPARK_SECONDS + (uint64_t)width - 1) / (uint64_t)width;
	/* Counted from a start before the first value: no number is negative. */
	uint64_t newest = spark->second + 64, this = newest - (spark->count - 1 - i);

	return width - 1 - (int)(newest / each - this / each);
}

void canvas_spark(const struct canvas *c, int y, int x, int width, enum role role,
		  const struct spark *spark)
{
	static const wchar_t blocks[] = L" ▁▂▃▄▅▆▇█", ascii[] = L" _.,-=+*#";
	double peak = -1;

	if (!clip(c, y, x, &width))
		return;
	canvas_fill(c, y, x, width, role);
	for (size_t i = 0; i < spark->count; i++) {
		int column = spark_column(spark, width, i);
		double share;
		wchar_t ch;

		if (spark->value[i] > peak)
			peak = spark->value[i];
		if (column < 0 ||
		    (i + 1 < spark->count && spark_column(spark, width, i + 1) == column))
			continue;
		share = spark->max > 0 ? peak / spark->max : 0;
		ch = peak < 0 ? L'?' : (c->utf8 ? blocks : ascii)[spark_step(share)];
		mvaddnwstr(y, x + column, &ch, 1);
		peak = -1;
	}
}

char *spark_text(const struct spark *spark, const char *mark, bool utf8, char *out, size_t size)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char ascii[] = " _.,-=+*#";
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < spark->count && used + 4 < size; i++) {
		double value = spark->value[i];
		int step = spark_step(spark->max > 0 ? value / spark->max : 0);

		if (mark && mark[i])
			out[used++] = mark[i];
		else if (value < 0 || !utf8)
			out[used++] = value < 0 ? '?' : ascii[step];
		else
			used += (size_t)snprintf(out + used, size - used, "%s", blocks[step]);
		out[used] = '\0';
	}
	return out;
}

int canvas_width(const struct canvas *c, const char *text)
{
	struct glyphs g;

	glyphs_of(c, text, &g);
	return g.columns;
}

size_t canvas_wrap(const struct canvas *c, const char *text, int width, size_t *skip)
{
	size_t at = 0, space = 0, length;
	int columns = 0, marks = COMBINING_MAX, w;

	for (*skip = 0; text[at] && text[at] != '\n'; at += length) {
		glyph_of(c, utf8_next(text + at, &length), &w, &marks);
		if (columns + w > width)
			break;
		columns += w;
		if (text[at] == ' ')
			space = at;
	}
	if (!text[at] || text[at] == '\n' || text[at] == ' ') {
		*skip = text[at] ? at + 1 : at;
		return at;
	}
	if (space) {
		*skip = space + 1;
		return space;
	}
	/* A single character wider than the line: go on by it rather than never end. */
	*skip = at ? at : length;
	return *skip;
}
