// SPDX-License-Identifier: LGPL-2.1-or-later
/* Wrapped, scrolled text. */
#include "tui/lines.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/xalloc.h"

#define LABEL_COLUMNS 14
#define TAB_COLUMNS 4

static struct line *add(struct lines *l, enum role role, int indent, char *text)
{
	l->line = xgrow(l->line, &l->cap, l->count + 1, sizeof(*l->line));
	l->line[l->count] = (struct line){.role = role, .indent = indent, .text = text};
	return &l->line[l->count++];
}

static char *formatted(const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		abort();
	return text;
}

void lines_reset(struct lines *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->line[i].text);
	l->count = 0;
}

void lines_add(struct lines *l, enum role role, int indent, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	add(l, role, indent, formatted(fmt, args));
	va_end(args);
}

void lines_hang(struct lines *l, enum role role, int indent, int hang, const char *text)
{
	add(l, role, indent, xstrdup(text))->hang = hang;
}

void lines_title(struct lines *l, const char *title)
{
	if (l->count)
		add(l, ROLE_NORMAL, 0, xstrdup(""));
	add(l, ROLE_STRONG, 0, xstrdup(title));
}

void lines_value(struct lines *l, const char *label, const char *fmt, ...)
{
	va_list args;
	char *value;

	va_start(args, fmt);
	value = formatted(fmt, args);
	va_end(args);
	add(l, ROLE_NORMAL, 2, xasprintf("%-*s %s", LABEL_COLUMNS, label, value))->hang =
		LABEL_COLUMNS + 1;
	free(value);
}

void lines_text(struct lines *l, enum role role, int indent, const char *text)
{
	while (*text) {
		size_t tabs = strspn(text, "\t"), length = strcspn(text, "\n");

		add(l, role, indent + TAB_COLUMNS * (int)tabs,
		    xstrndup(text + tabs, length - tabs));
		text += length;
		text += *text == '\n';
	}
}

/* Draws one line from visual row `row` on; returns the next one. */
static int draw_line(const struct lines *l, const struct canvas *c, const struct area *area,
		     const struct line *line, int row)
{
	const char *text = line->text;
	int indent = line->indent < area->cols / 2 ? line->indent : 2;
	int hang = indent + line->hang < area->cols / 2 ? line->hang : 0;
	size_t length, skip;

	do {
		length = canvas_wrap(c, text, area->cols - indent, &skip);
		if (row >= l->top && row < l->top + area->rows)
			canvas_printf(c, area->y + row - l->top, area->x + indent,
				      area->cols - indent, line->role, "%.*s", (int)length, text);
		text += skip;
		row++;
		indent += hang;
		hang = 0;
	} while (*text);
	return row;
}

static int draw_all(const struct lines *l, const struct canvas *c, const struct area *area)
{
	int row = 0;

	for (size_t i = 0; i < l->count; i++)
		row = draw_line(l, c, area, &l->line[i], row);
	return row;
}

int lines_height(const struct lines *l, const struct canvas *c, const struct area *area)
{
	struct area none = {area->y, area->x, 0, area->cols};

	return draw_all(l, c, &none);
}

void lines_draw(struct lines *l, const struct canvas *c, const struct area *area)
{
	int last;

	if (area->rows <= 0 || area->cols <= 0)
		return;
	l->page = area->rows;
	l->total = lines_height(l, c, area);
	last = l->total > area->rows ? l->total - area->rows : 0;
	if (l->top > last)
		l->top = last;
	draw_all(l, c, area);
	if (l->top < last && !l->excerpt)
		canvas_printf(c, area->y + area->rows - 1, area->x + area->cols - 9, 9, ROLE_HEAD,
			      " more %s ", c->utf8 ? "↓" : "v");
}

bool lines_request(struct lines *l, enum request request)
{
	int page = l->page > 1 ? l->page - 1 : 1;

	switch (request) {
	case REQUEST_UP: l->top--; break;
	case REQUEST_DOWN: l->top++; break;
	case REQUEST_PAGE_UP: l->top -= page; break;
	case REQUEST_PAGE_DOWN: l->top += page; break;
	case REQUEST_HOME: l->top = 0; break;
	case REQUEST_END: l->top = l->total; break;
	default: return false;
	}
	if (l->top < 0)
		l->top = 0;
	if (l->top > l->total)
		l->top = l->total;
	return true;
}

void lines_free(struct lines *l)
{
	lines_reset(l);
	free(l->line);
	*l = (struct lines){0};
}
