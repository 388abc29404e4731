/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Drawing primitives on the curses screen: text that keeps its width, bars, sparklines.
 *
 * Text is UTF-8 and may come from a target. Nothing here passes on a control byte, a direction
 * override or broken UTF-8: each becomes '?'. Widths are columns of the terminal (wcwidth): wide
 * characters count two, combining ones none. Without a UTF-8 locale all output is ASCII. Every call
 * clips to the screen; coordinates outside are no error.
 */
#ifndef TUI_DRAW_H
#define TUI_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "tui/color.h"

struct canvas {
	int rows, cols;
	bool utf8;
	bool focus; /* what is drawn belongs to the row under the cursor */
	struct palette palette;
};

/* A rectangle of the screen. */
struct area {
	int y, x, rows, cols;
};

enum align { ALIGN_LEFT, ALIGN_RIGHT };

/*
 * Text in `width` columns from (y, x), cut with an ellipsis and padded with spaces. Returns the
 * columns that the text itself took.
 */
int canvas_text(const struct canvas *c, int y, int x, int width, enum role role, enum align align,
		const char *text);
/*
 * The same for the name of a type: what does not fit loses its last "::{async fn}" first, then its
 * middle, so that crate and function stay; of a type without a name its size goes.
 */
int canvas_name(const struct canvas *c, int y, int x, int width, enum role role, const char *text);
/* Left-aligned, formatted, not padded. Returns the columns used. */
int canvas_printf(const struct canvas *c, int y, int x, int width, enum role role, const char *fmt,
		  ...) __attribute__((format(printf, 6, 7)));
/* `width` spaces in the role's look. */
void canvas_fill(const struct canvas *c, int y, int x, int width, enum role role);

struct bar_part {
	double ratio; /* of the whole bar */
	enum role role;
	const char *glyph, *ascii;
};

/*
 * A bar of parts that fill `width` columns; ratios are clamped and rounded so that the sum fits. A
 * part that is not zero gets at least one column when there is room.
 */
void canvas_bar(const struct canvas *c, int y, int x, int width, const struct bar_part *parts,
		size_t count);

/* The last minute, a value a second. Where a column stands for several seconds it shows their peak. */
struct spark {
	double value[64]; /* oldest first; negative: not known, drawn as '?' */
	size_t count;
	double max;	 /* drawn as a full column */
	uint64_t second; /* number of the newest: columns stand still until one is full */
};
#define SPARK_SECONDS 60

/* The newest at the right. */
void canvas_spark(const struct canvas *c, int y, int x, int width, enum role role,
		  const struct spark *spark);
/* A column a second, as text; `mark` (may be NULL): what stands in place of a value that is not 0. */
#define SPARK_TEXT (64 * 3 + 1)
char *spark_text(const struct spark *spark, const char *mark, bool utf8, char *out, size_t size);
/* The column, of `width`, in which value `i` stands; negative: it has left at the left. */
int spark_column(const struct spark *spark, int width, size_t i);

/* Columns that the text takes on this canvas. */
int canvas_width(const struct canvas *c, const char *text);

/*
 * The next line of `text` that fits into `width` columns, broken at spaces where possible. Returns
 * its length in bytes; `skip` gets the bytes to go on by. 0 and 0 at the end of the text.
 */
size_t canvas_wrap(const struct canvas *c, const char *text, int width, size_t *skip);

#endif
