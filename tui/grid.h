/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A grid (a table on the screen): columns described once, rows owned by the view, and the state that a view
 * may hold: cursor, sort, filter. The cursor follows the row's key when the order changes, except on
 * the first row: there it stays at the top, so that the worst is always the one selected.
 *
 * A view fills `rows` (grid_row_add), then calls grid_update(). Rows are sorted only when they, the
 * order or the filter have changed; by numbers 100 000 of them take about 10 ms.
 */
#ifndef TUI_GRID_H
#define TUI_GRID_H

#include "tui/draw.h"
#include "tui/request.h"

#define CELL_PARTS 6
#define FILTER_SIZE 64

/* What stands in one cell: a text, a name (cut in the middle), a bar or a sparkline. */
struct cell {
	enum role role;
	bool name;
	char text[320];
	struct bar_part parts[CELL_PARTS]; /* parts_count > 0: a bar */
	size_t parts_count;
	struct spark spark; /* its count > 0: a sparkline */
	bool marked;	    /* `mark` is filled: 'B', 'p', or 0 for the value */
	char mark[64];
};

struct column {
	const char *title, *meaning; /* the meaning is shown by the help */
	int width;		     /* columns; of a growing one the least */
	int most;		     /* columns of a growing one; 0: there is no limit */
	int from;		     /* shown when the screen has that many columns, 0 always */
	bool several;		     /* only while rows are of several programs */
	int grow;		     /* its share of what is left over, 0 none */
	bool right;
	bool descending; /* first order when it is chosen */
	void (*cell)(const void *context, const void *row, struct cell *cell);
	/* In place of cell(): draws for itself; `row` NULL: the title. */
	void (*paint)(const void *context, const void *row, const struct canvas *c, int y, int x,
		      int width);
	/* The order by this column, ascending: by a number, else as for qsort; neither: there is none. */
	double (*value)(const void *row);
	int (*compare)(const void *a, const void *b);
};

struct grid_spec {
	const struct column *columns;
	size_t columns_count;
	size_t row_size;
	const char *natural; /* how the order of rows as filled is called: "worst first" */
	int sort;	     /* column at the start, -1: natural */
	/* Identity of a row over time. */
	uint64_t (*key)(const void *row);
	/* What the filter looks at. */
	void (*text)(const void *context, const void *row, char *out, size_t size);
};

struct grid {
	const struct grid_spec *spec;
	void *context; /* given to cell() and text() */
	void *rows;
	size_t rows_count, rows_cap;
	uint32_t *order; /* visible rows, sorted */
	size_t order_count, order_cap;
	uint32_t *matches; /* rows that matched `matched`, as they were filled */
	size_t matches_count, matches_cap;
	char matched[FILTER_SIZE];
	int sort;
	bool inverted; /* against the column's first order */
	char filter[FILTER_SIZE];
	size_t cursor, top; /* indices into order */
	uint64_t cursor_key;
	bool follow; /* the cursor was moved: it follows its row */
	bool dirty;
	bool several;	  /* rows are of several programs */
	int page, width;  /* as of the last draw; width decides which columns can be chosen */
	struct area area; /* likewise */
};

void grid_init(struct grid *t, const struct grid_spec *spec, void *context);
void grid_free(struct grid *t);

/* Before filling: forgets the rows. */
void grid_clear(struct grid *t);
/* Room for one more row, zeroed; valid until the next call. */
void *grid_row_add(struct grid *t);
/* After filling: filters, sorts, finds the cursor's row again. */
void grid_update(struct grid *t);
void grid_set_filter(struct grid *t, const char *filter);

/* The row under the cursor, NULL when there is none. */
const void *grid_selected(const struct grid *t);
/* Moves the cursor by rows, clamped. */
void grid_move(struct grid *t, long by);

/* Titles in the first row of the area, rows below. */
void grid_draw(struct grid *t, const struct canvas *c, const struct area *area);
/* Movement and order; false: not a request for a table. */
bool grid_request(struct grid *t, enum request request);
/*
 * A click there: a row gets the cursor, a title the order; again, and it is inverted. True: on the row
 * that has the cursor already.
 */
bool grid_click(struct grid *t, int y, int x);
/* "p99, descending". */
char *grid_sort_text(const struct grid *t, char *out, size_t size);

#endif
