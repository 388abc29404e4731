// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tables: rows in order, columns that fit. */
#include "tui/grid.h"

#include <stdio.h>

#include "util/xalloc.h"

#define GUTTER 2 /* the cursor's mark */

static const void *row_at(const struct grid *t, size_t i)
{
	return (const char *)t->rows + i * t->spec->row_size;
}

void grid_init(struct grid *t, const struct grid_spec *spec, void *context)
{
	*t = (struct grid){.spec = spec, .context = context, .sort = spec->sort, .dirty = true};
}

void grid_free(struct grid *t)
{
	free(t->rows);
	free(t->order);
	t->rows = NULL;
	t->order = NULL;
}

void grid_clear(struct grid *t)
{
	t->rows_count = 0;
	t->dirty = true;
}

void *grid_row_add(struct grid *t)
{
	size_t size = t->spec->row_size;
	void *row;

	t->rows = xgrow(t->rows, &t->rows_cap, t->rows_count + 1, size);
	row = (char *)t->rows + t->rows_count++ * size;
	return memset(row, 0, size);
}

static bool matches(const struct grid *t, size_t i)
{
	char text[640];

	if (!t->filter[0])
		return true;
	text[0] = '\0';
	t->spec->text(t->context, row_at(t, i), text, sizeof(text));
	return strcasestr(text, t->filter);
}

static bool is_descending(const struct grid *t)
{
	return t->sort >= 0 && t->spec->columns[t->sort].descending != t->inverted;
}

static int compare_rows(const void *a, const void *b, void *arg)
{
	const struct grid *t = arg;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	int diff = t->spec->columns[t->sort].compare(row_at(t, i), row_at(t, k));

	/* Equal rows keep the natural order. */
	if (!diff)
		return i < k ? -1 : i > k;
	return is_descending(t) ? -diff : diff;
}

static void reverse(uint32_t *order, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		uint32_t swap = order[i];

		order[i] = order[count - 1 - i];
		order[count - 1 - i] = swap;
	}
}

static void find_cursor(struct grid *t)
{
	if (!t->follow)
		t->cursor = 0;
	for (size_t i = 0; t->follow && i < t->order_count; i++) {
		if (t->spec->key(row_at(t, t->order[i])) != t->cursor_key)
			continue;
		t->cursor = i;
		return;
	}
	if (t->cursor >= t->order_count)
		t->cursor = t->order_count ? t->order_count - 1 : 0;
	if (t->order_count)
		t->cursor_key = t->spec->key(row_at(t, t->order[t->cursor]));
}

void grid_update(struct grid *t)
{
	if (!t->dirty)
		return;
	t->dirty = false;
	t->order = xgrow(t->order, &t->order_cap, t->rows_count, sizeof(*t->order));
	t->order_count = 0;
	for (size_t i = 0; i < t->rows_count; i++)
		if (matches(t, i))
			t->order[t->order_count++] = (uint32_t)i;
	if (t->sort >= 0 && t->order_count)
		qsort_r(t->order, t->order_count, sizeof(*t->order), compare_rows, t);
	else if (t->inverted)
		reverse(t->order, t->order_count);
	find_cursor(t);
}

void grid_set_filter(struct grid *t, const char *filter)
{
	snprintf(t->filter, sizeof(t->filter), "%s", filter);
	t->dirty = true;
	grid_update(t);
}

const void *grid_selected(const struct grid *t)
{
	return t->cursor < t->order_count ? row_at(t, t->order[t->cursor]) : NULL;
}

void grid_move(struct grid *t, long by)
{
	long to = (long)t->cursor + by, last = (long)t->order_count - 1;

	if (to > last)
		to = last;
	if (to < 0)
		to = 0;
	t->cursor = (size_t)to;
	t->follow = to > 0;
	if (t->order_count)
		t->cursor_key = t->spec->key(row_at(t, t->order[t->cursor]));
}

static bool is_shown(const struct grid *t, size_t column)
{
	return t->width >= t->spec->columns[column].from;
}

/* The columns' widths; 0: not shown. */
static void lay_out(const struct grid *t, int cols, int *widths)
{
	int left = cols - GUTTER, grow = 0;

	for (size_t i = 0; i < t->spec->columns_count; i++) {
		const struct column *column = &t->spec->columns[i];

		widths[i] = is_shown(t, i) ? column->width : 0;
		left -= widths[i] ? widths[i] + 1 : 0;
		grow += widths[i] ? column->grow : 0;
	}
	left += 1;
	for (size_t i = 0; i < t->spec->columns_count && left > 0 && grow > 0; i++) {
		int share = widths[i] ? left * t->spec->columns[i].grow / grow : 0;

		widths[i] += share;
		left -= share;
		grow -= widths[i] ? t->spec->columns[i].grow : 0;
	}
}

static void draw_titles(const struct grid *t, const struct canvas *c, const struct area *area,
			const int *widths)
{
	int x = area->x + GUTTER;

	canvas_fill(c, area->y, area->x, area->cols, ROLE_HEAD);
	for (size_t i = 0; i < t->spec->columns_count; i++) {
		const struct column *column = &t->spec->columns[i];
		const char *arrow = "";
		char title[48];

		if (!widths[i])
			continue;
		if ((int)i == t->sort)
			arrow = is_descending(t) ? c->utf8 ? "▼" : "v" : c->utf8 ? "▲" : "^";
		snprintf(title, sizeof(title), "%s%s", column->title, arrow);
		canvas_text(c, area->y, x, widths[i], ROLE_HEAD,
			    column->right ? ALIGN_RIGHT : ALIGN_LEFT, title);
		x += widths[i] + 1;
	}
}

/* Over the sparkline: the seconds that were not just more or less busy. */
static void draw_marks(const struct canvas *c, int y, int x, int width, const struct cell *cell)
{
	size_t skip = cell->spark_count > (size_t)width ? cell->spark_count - width : 0;

	for (size_t i = skip; i < cell->spark_count; i++) {
		char text[2] = {cell->mark[i], '\0'};

		if (cell->mark[i])
			canvas_text(c, y, x + width - (int)(cell->spark_count - i), 1,
				    cell->mark[i] == 'B' ? ROLE_BLOCKED : ROLE_PREEMPTED,
				    ALIGN_LEFT, text);
	}
}

static void draw_cell(const struct canvas *c, int y, int x, int width, const struct column *column,
		      const struct cell *cell)
{
	if (cell->parts_count)
		canvas_bar(c, y, x, width, cell->parts, cell->parts_count);
	else if (cell->spark_count)
		canvas_spark(c, y, x, width, cell->role, cell->spark, cell->spark_count,
			     cell->spark_max);
	else if (cell->name)
		canvas_name(c, y, x, width, cell->role, cell->text);
	else
		canvas_text(c, y, x, width, cell->role, column->right ? ALIGN_RIGHT : ALIGN_LEFT,
			    cell->text);
	if (cell->marked)
		draw_marks(c, y, x, width, cell);
}

static void draw_row(const struct grid *t, const struct canvas *c, const struct area *area, int y,
		     const void *row, const int *widths)
{
	int x = area->x + GUTTER;

	canvas_fill(c, y, area->x, area->cols, ROLE_NORMAL);
	if (c->focus)
		canvas_text(c, y, area->x, 1, ROLE_STRONG, ALIGN_LEFT, ">");
	for (size_t i = 0; i < t->spec->columns_count; i++) {
		struct cell cell;

		if (!widths[i])
			continue;
		cell.role = ROLE_NORMAL;
		cell.name = false;
		cell.text[0] = '\0';
		cell.parts_count = cell.spark_count = 0;
		cell.marked = false;
		t->spec->columns[i].cell(t->context, row, &cell);
		draw_cell(c, y, x, widths[i], &t->spec->columns[i], &cell);
		x += widths[i] + 1;
	}
}

void grid_draw(struct grid *t, const struct canvas *c, const struct area *area)
{
	int *widths = xcalloc(t->spec->columns_count, sizeof(*widths));
	size_t page = area->rows > 1 ? (size_t)area->rows - 1 : 1;

	t->page = (int)page;
	t->width = c->cols;
	if (t->cursor < t->top)
		t->top = t->cursor;
	if (t->cursor >= t->top + page)
		t->top = t->cursor - page + 1;
	if (t->top + page > t->order_count)
		t->top = t->order_count > page ? t->order_count - page : 0;
	lay_out(t, area->cols, widths);
	draw_titles(t, c, area, widths);
	for (size_t i = 0; i < page && t->top + i < t->order_count; i++) {
		struct canvas row = *c;

		row.focus = t->top + i == t->cursor;
		draw_row(t, &row, area, area->y + 1 + (int)i, row_at(t, t->order[t->top + i]),
			 widths);
	}
	free(widths);
}

/* The next column that is on the screen and can be sorted by; the natural order is one of them. */
static void sort_step(struct grid *t, int by)
{
	int count = (int)t->spec->columns_count, sort = t->sort;

	do {
		sort += by;
		if (sort >= count)
			sort = -1;
		if (sort < -1)
			sort = count - 1;
	} while (sort >= 0 && (!is_shown(t, (size_t)sort) || !t->spec->columns[sort].compare));
	t->sort = sort;
	t->inverted = false;
	t->dirty = true;
}

bool grid_request(struct grid *t, enum request request)
{
	long page = t->page > 1 ? t->page - 1 : 1;

	switch (request) {
	case REQUEST_UP: grid_move(t, -1); break;
	case REQUEST_DOWN: grid_move(t, 1); break;
	case REQUEST_PAGE_UP: grid_move(t, -page); break;
	case REQUEST_PAGE_DOWN: grid_move(t, page); break;
	case REQUEST_HOME: grid_move(t, -(long)t->order_count); break;
	case REQUEST_END: grid_move(t, (long)t->order_count); break;
	case REQUEST_SORT_NEXT: sort_step(t, 1); break;
	case REQUEST_SORT_PREVIOUS: sort_step(t, -1); break;
	case REQUEST_INVERT:
		t->inverted = !t->inverted;
		t->dirty = true;
		break;
	default: return false;
	}
	grid_update(t);
	return true;
}

char *grid_sort_text(const struct grid *t, char *out, size_t size)
{
	if (t->sort < 0)
		snprintf(out, size, "%s%s", t->spec->natural, t->inverted ? ", inverted" : "");
	else
		snprintf(out, size, "%s%s", t->spec->columns[t->sort].title,
			 is_descending(t) ? ", descending" : ", ascending");
	return out;
}
