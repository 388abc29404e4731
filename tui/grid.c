// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tables: rows in order, columns that fit. */
#include "tui/grid.h"

#include <stdio.h>

#include "util/xalloc.h"

#define GUTTER 2 /* the cursor's mark */
#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)

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
	free(t->matches);
	t->rows = NULL;
	t->order = t->matches = NULL;
}

void grid_clear(struct grid *t)
{
	t->rows_count = 0;
	t->matched[0] = '\0';
	t->dirty = true;
}

void *grid_row_add(struct grid *t)
{
	size_t size = t->spec->row_size;
	void *row;

	if (t->rows_count == t->rows_cap)
		t->rows = xgrow(t->rows, &t->rows_cap, t->rows_count + 1, size);
	row = (char *)t->rows + t->rows_count++ * size;
	return memset(row, 0, size);
}

static bool matches(const struct grid *t, size_t i)
{
	char text[640];

	text[0] = '\0';
	t->spec->text(t->context, row_at(t, i), text, sizeof(text));
	return strcasestr(text, t->filter);
}

/* Rows that match, in the natural order. Only those of the last filter can match a longer one. */
static void select_rows(struct grid *t)
{
	bool longer = t->matched[0] && !strncmp(t->filter, t->matched, strlen(t->matched));
	size_t count = 0;

	t->matches = xgrow(t->matches, &t->matches_cap, t->rows_count, sizeof(*t->matches));
	if (!longer)
		t->matches_count = t->rows_count;
	for (size_t i = 0; i < t->matches_count; i++) {
		uint32_t row = longer ? t->matches[i] : (uint32_t)i;

		if (!t->filter[0] || matches(t, row))
			t->matches[count++] = row;
	}
	t->matches_count = count;
	snprintf(t->matched, sizeof(t->matched), "%s", t->filter);
	t->order = xgrow(t->order, &t->order_cap, count, sizeof(*t->order));
	memcpy(t->order, t->matches, count * sizeof(*t->order));
	t->order_count = count;
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

struct sort_key {
	uint64_t value; /* ascending */
	uint32_t row;
};

/* The bits of a number such that they compare as it does; -0 is 0. */
static uint64_t ordered_bits(double value)
{
	uint64_t bits;

	value += 0.0;
	memcpy(&bits, &value, sizeof(bits));
	return bits >> 63 ? ~bits : bits | 1ULL << 63;
}

/* One pass of a radix sort, which keeps the order of equal digits; false: all are equal. */
static bool sort_digit(const struct sort_key *from, struct sort_key *to, size_t count, int shift)
{
	uint32_t ends[DIGITS] = {0}, sum = 0;

	for (size_t i = 0; i < count; i++)
		ends[from[i].value >> shift & (DIGITS - 1)]++;
	if (ends[from[0].value >> shift & (DIGITS - 1)] == count)
		return false;
	for (size_t i = 0; i < DIGITS; i++) {
		uint32_t here = ends[i];

		ends[i] = sum;
		sum += here;
	}
	for (size_t i = 0; i < count; i++)
		to[ends[from[i].value >> shift & (DIGITS - 1)]++] = from[i];
	return true;
}

/*
 * Each row's number is asked for once, and the rows themselves are not touched again. Not by
 * comparing: of 100 000 rows that took 15 ms, in which no key was answered. Equal rows keep the
 * natural order.
 */
static void sort_by_value(struct grid *t)
{
	double (*value)(const void *row) = t->spec->columns[t->sort].value;
	double sign = is_descending(t) ? -1 : 1;
	struct sort_key *room = xcalloc(2 * t->order_count, sizeof(*room));
	struct sort_key *from = room, *to = room + t->order_count;

	for (size_t i = 0; i < t->order_count; i++)
		from[i] = (struct sort_key){ordered_bits(sign * value(row_at(t, t->order[i]))),
					    t->order[i]};
	for (int shift = 0; shift < 64; shift += DIGIT_BITS) {
		struct sort_key *swap = from;

		if (!sort_digit(from, to, t->order_count, shift))
			continue;
		from = to;
		to = swap;
	}
	for (size_t i = 0; i < t->order_count; i++)
		t->order[i] = from[i].row;
	free(room);
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
	select_rows(t);
	if (t->sort >= 0 && t->order_count && t->spec->columns[t->sort].value)
		sort_by_value(t);
	else if (t->sort >= 0 && t->order_count)
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

/* The column that the rows are sorted by is always there: each can be chosen, and seen, at 80. */
static bool is_wanted(const struct grid *t, size_t column)
{
	if (t->spec->columns[column].several && !t->several)
		return false;
	return t->width >= t->spec->columns[column].from || (int)column == t->sort;
}

/* What the sorted column does not leave room for, from the right; never the first one. */
static int make_room(const struct grid *t, int *widths, int left)
{
	for (size_t i = t->spec->columns_count - 1; i > 0 && left < 0; i--) {
		if (!widths[i] || (int)i == t->sort || t->spec->columns[i].grow)
			continue;
		left += widths[i] + 1;
		widths[i] = 0;
	}
	return left;
}

/* The columns' widths; 0: not shown. */
static void lay_out(const struct grid *t, int cols, int *widths)
{
	int left = cols - GUTTER, grow = 0;

	for (size_t i = 0; i < t->spec->columns_count; i++) {
		const struct column *column = &t->spec->columns[i];

		widths[i] = is_wanted(t, i) ? column->width : 0;
		left -= widths[i] ? widths[i] + 1 : 0;
	}
	left = make_room(t, widths, left + 1);
	for (size_t i = 0; i < t->spec->columns_count; i++)
		grow += widths[i] ? t->spec->columns[i].grow : 0;
	for (size_t i = 0; i < t->spec->columns_count && left > 0 && grow > 0; i++) {
		const struct column *column = &t->spec->columns[i];
		int share = widths[i] ? left * column->grow / grow : 0;

		if (column->most && widths[i] + share > column->most)
			share = column->most - widths[i];
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
		int over;

		if (!widths[i])
			continue;
		if ((int)i == t->sort)
			arrow = is_descending(t) ? c->utf8 ? "▼" : "v" : c->utf8 ? "▲" : "^";
		snprintf(title, sizeof(title), "%s%s", column->title, arrow);
		/* The arrow may stand in the gap between two columns. */
		over = canvas_width(c, title) > widths[i];
		canvas_text(c, area->y, column->right ? x - over : x, widths[i] + over, ROLE_HEAD,
			    column->right ? ALIGN_RIGHT : ALIGN_LEFT, title);
		if (column->paint)
			column->paint(t->context, NULL, c, area->y, x, widths[i]);
		x += widths[i] + 1;
	}
}

/* Over the sparkline: the seconds that were not just more or less busy. */
static void draw_marks(const struct canvas *c, int y, int x, int width, const struct cell *cell)
{
	for (size_t i = 0; i < cell->spark.count; i++) {
		int column = spark_column(&cell->spark, width, i);
		char text[2] = {cell->mark[i], '\0'};

		if (column >= 0 && cell->mark[i])
			canvas_text(c, y, x + column, 1,
				    cell->mark[i] == 'B' ? ROLE_BLOCKED : ROLE_PREEMPTED,
				    ALIGN_LEFT, text);
	}
}

static void draw_cell(const struct canvas *c, int y, int x, int width, const struct column *column,
		      const struct cell *cell)
{
	struct canvas plain = *c;

	/* Heights that are drawn reversed would be read the wrong way round. */
	plain.focus = false;
	if (cell->parts_count)
		canvas_bar(&plain, y, x, width, cell->parts, cell->parts_count);
	else if (cell->spark.count)
		canvas_spark(&plain, y, x, width, cell->role, &cell->spark);
	else if (cell->name)
		canvas_name(c, y, x, width, cell->role, cell->text);
	else
		canvas_text(c, y, x, width, cell->role, column->right ? ALIGN_RIGHT : ALIGN_LEFT,
			    cell->text);
	if (cell->marked)
		draw_marks(&plain, y, x, width, cell);
}

static void draw_row(const struct grid *t, const struct canvas *c, const struct area *area, int y,
		     const void *row, const int *widths)
{
	struct canvas plain = *c;
	int x = area->x + GUTTER;

	plain.focus = false;
	canvas_fill(c, y, area->x, area->cols, ROLE_NORMAL);
	if (c->focus)
		canvas_text(c, y, area->x, 1, ROLE_STRONG, ALIGN_LEFT, ">");
	for (size_t i = 0; i < t->spec->columns_count; i++) {
		struct cell cell;

		if (!widths[i])
			continue;
		if (t->spec->columns[i].paint) {
			t->spec->columns[i].paint(t->context, row, &plain, y, x, widths[i]);
			x += widths[i] + 1;
			continue;
		}
		cell.role = ROLE_NORMAL;
		cell.name = false;
		cell.text[0] = '\0';
		cell.parts_count = cell.spark.count = 0;
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
	t->area = *area;
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

static bool can_sort(const struct grid *t, size_t i)
{
	const struct column *column = &t->spec->columns[i];

	return (column->value || column->compare) && (t->several || !column->several);
}

/* The next column that can be sorted by; the natural order is one of them. */
static void sort_step(struct grid *t, int by)
{
	int count = (int)t->spec->columns_count, sort = t->sort;

	do {
		sort += by;
		if (sort >= count)
			sort = -1;
		if (sort < -1)
			sort = count - 1;
	} while (sort >= 0 && !can_sort(t, (size_t)sort));
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

static void click_title(struct grid *t, int x)
{
	int *widths = xcalloc(t->spec->columns_count, sizeof(*widths));
	int at = t->area.x + GUTTER;

	lay_out(t, t->area.cols, widths);
	for (size_t i = 0; i < t->spec->columns_count; i++) {
		int end = at + widths[i] + (widths[i] > 0);

		if (x >= at && x < end && can_sort(t, i)) {
			t->inverted = (int)i == t->sort && !t->inverted;
			t->sort = (int)i;
			t->dirty = true;
		}
		at = end;
	}
	free(widths);
	grid_update(t);
}

bool grid_click(struct grid *t, int y, int x)
{
	size_t row = t->top + (size_t)(y - t->area.y - 1);

	if (y == t->area.y)
		click_title(t, x);
	if (y <= t->area.y || y >= t->area.y + t->area.rows || row >= t->order_count)
		return false;
	if (row == t->cursor)
		return true;
	grid_move(t, (long)row - (long)t->cursor);
	return false;
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
