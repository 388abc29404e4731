/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A text of lines with roles that is wrapped and scrolled: details, help, the self view.
 * Filled anew at each frame; the scroll position stays.
 */
#ifndef TUI_LINES_H
#define TUI_LINES_H

#include "tui/draw.h"
#include "tui/request.h"

struct line {
	enum role role;
	int indent; /* columns */
	int hang;   /* more columns, of the lines that it is wrapped to */
	char *text;
};

struct lines {
	struct line *line;
	size_t count, cap;
	int top;	 /* first visible line after wrapping */
	int total, page; /* as of the last draw */
	bool excerpt;	 /* what does not fit is not announced: it stands elsewhere */
};

/* Empties the text, keeps the scroll position. */
void lines_reset(struct lines *l);
void lines_add(struct lines *l, enum role role, int indent, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same; what it is wrapped to stands `hang` columns further in. */
void lines_hang(struct lines *l, enum role role, int indent, int hang, const char *text);
/* An empty line, then the title. */
void lines_title(struct lines *l, const char *title);
/* "label   value" with values aligned. */
void lines_value(struct lines *l, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A text of several lines (an example): each on its own. */
void lines_text(struct lines *l, enum role role, int indent, const char *text);

/* Rows that it takes in that area, wrapped. */
int lines_height(const struct lines *l, const struct canvas *c, const struct area *area);
void lines_draw(struct lines *l, const struct canvas *c, const struct area *area);
/* Scrolls; false: not a request for it. */
bool lines_request(struct lines *l, enum request request);
void lines_free(struct lines *l);

#endif
