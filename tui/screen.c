// SPDX-License-Identifier: LGPL-2.1-or-later
/* Layout, tabs, status line, and who gets a request. */
#include "tui/screen.h"

#include <stdio.h>
#include <string.h>

#define LEAST_COLS 40
#define LEAST_ROWS 8

static const struct view_ops *const all_views[SCREEN_VIEWS] = {
	&view_findings, &view_workers, &view_sites, &view_tasks, &view_timeline, &view_self,
};

static struct view *current(struct screen *s)
{
	return &s->views[s->current];
}

static void say(struct screen *s, const char *text)
{
	snprintf(s->message, sizeof(s->message), "%s", text);
}

void screen_open(struct screen *s, bool utf8, bool color, bool full_stack)
{
	*s = (struct screen){.canvas = {.utf8 = utf8}};
	palette_init(&s->canvas.palette, color);
	for (size_t i = 0; i < SCREEN_VIEWS; i++)
		view_open(&s->views[i], all_views[i], utf8, full_stack);
}

void screen_close(struct screen *s)
{
	for (size_t i = 0; i < SCREEN_VIEWS; i++)
		view_close(&s->views[i]);
	lines_free(&s->help);
}

static void read_top(struct screen *s, const struct snapshot *snap)
{
	header_read(&s->header, snap);
	for (size_t i = 0; i < SCREEN_VIEWS; i++)
		view_badge(&s->views[i], snap);
}

void screen_read(struct screen *s, const struct snapshot *snap)
{
	if (s->paused)
		return;
	read_top(s, snap);
	/* The others are read when they are opened. */
	view_read(current(s), snap);
}

static void draw_tabs(struct screen *s, int y)
{
	const struct canvas *c = &s->canvas;
	int x = 0;

	for (size_t i = 0; i < SCREEN_VIEWS; i++) {
		const struct view *view = &s->views[i];
		enum role role = i == s->current && !s->helping ? ROLE_TAB_ON : ROLE_TAB;
		char key[16], badge[FMT_SIZE + 1] = "";

		request_keys(view->ops->request_open, key, sizeof(key));
		if (view->badge)
			snprintf(badge, sizeof(badge), " %s", FMT_COUNT((double)view->badge));
		x += canvas_printf(c, y, x, c->cols - x, role, " %s %s%s ", key, view->ops->title,
				   badge);
	}
	if (x + 8 < c->cols)
		canvas_printf(c, y, c->cols - 7, 7, s->helping ? ROLE_TAB_ON : ROLE_TAB, " ? help");
}

static void draw_status(struct screen *s, int y)
{
	const struct canvas *c = &s->canvas;
	const struct view *view = current(s);
	char text[320], sort[64];

	canvas_fill(c, y, 0, c->cols, ROLE_STATUS);
	if (s->filtering)
		snprintf(text, sizeof(text), " filter: %s_   Enter keeps it, Esc drops it",
			 view->grid.filter);
	else if (s->message[0])
		snprintf(text, sizeof(text), " %s", s->message);
	else if (s->helping)
		snprintf(text, sizeof(text), " Up Down PgUp PgDn scroll   Esc back   q quit");
	else if (view->detail)
		snprintf(text, sizeof(text),
			 " Esc back   Left Right other row   Up Down scroll   %s",
			 "Space pause   q quit");
	else if (view->ops->grid)
		snprintf(text, sizeof(text), " %s%s%sEnter detail  / filter  <> I sort: %s  %s",
			 view->grid.filter[0] ? "filter: " : "", view->grid.filter,
			 view->grid.filter[0] ? "  " : "",
			 grid_sort_text(&view->grid, sort, sizeof(sort)),
			 s->paused ? "Space goes on" : "Space pause  q quit");
	else
		snprintf(text, sizeof(text), " Up Down PgUp PgDn scroll   Space pause   q quit");
	canvas_text(c, y, 0, c->cols, ROLE_STATUS, ALIGN_LEFT, text);
}

void screen_draw(struct screen *s)
{
	struct canvas *c = &s->canvas;
	struct area area;
	int y;

	getmaxyx(stdscr, c->rows, c->cols);
	erase();
	if (c->rows < LEAST_ROWS || c->cols < LEAST_COLS) {
		canvas_printf(c, 0, 0, c->cols, ROLE_NORMAL, "screen too small: %dx%d needed",
			      LEAST_COLS, LEAST_ROWS);
	} else {
		y = header_draw(&s->header, c, s->paused);
		draw_tabs(s, y++);
		area = (struct area){y, 0, c->rows - y - 1, c->cols};
		if (s->helping)
			lines_draw(&s->help, c, &area);
		else
			view_draw(current(s), c, &area);
		draw_status(s, c->rows - 1);
	}
	attr_set(A_NORMAL, 0, NULL);
	wnoutrefresh(stdscr);
	doupdate();
}

static void show_view(struct screen *s, size_t index, const struct snapshot *snap)
{
	s->current = index;
	s->helping = false;
	if (!s->paused)
		view_read(current(s), snap);
}

/* All views stop at the same moment, also those that are not on the screen. */
static void pause_toggle(struct screen *s, const struct snapshot *snap)
{
	if (!s->paused) {
		read_top(s, snap);
		for (size_t i = 0; i < SCREEN_VIEWS; i++)
			view_read(&s->views[i], snap);
	}
	s->paused = !s->paused;
	screen_read(s, snap);
}

/* Requests that are not a view's own; false: none of them. */
static bool global_request(struct screen *s, enum request request, const struct snapshot *snap)
{
	for (size_t i = 0; i < SCREEN_VIEWS; i++) {
		if (request != s->views[i].ops->request_open)
			continue;
		show_view(s, i, snap);
		return true;
	}
	switch (request) {
	case REQUEST_NEXT_VIEW: show_view(s, (s->current + 1) % SCREEN_VIEWS, snap); break;
	case REQUEST_PREVIOUS_VIEW:
		show_view(s, (s->current + SCREEN_VIEWS - 1) % SCREEN_VIEWS, snap);
		break;
	case REQUEST_HELP:
		s->helping = !s->helping;
		if (s->helping)
			help_fill(&s->help, current(s));
		break;
	case REQUEST_PAUSE: pause_toggle(s, snap); break;
	case REQUEST_REDRAW: clearok(curscr, TRUE); break;
	case REQUEST_WRITE: say(s, "no trace is kept: this version cannot write one"); break;
	case REQUEST_THRESHOLD_UP:
	case REQUEST_THRESHOLD_DOWN:
		say(s,
		    "the threshold is set at the start: --threshold 20ms, or --set RULE.KEY=VALUE");
		break;
	case REQUEST_QUIT: s->quit = true; break;
	default: return false;
	}
	return true;
}

static void filter_begin(struct screen *s)
{
	struct view *view = current(s);

	if (!view->ops->grid || view->detail) {
		say(s, "there are no rows to filter here");
		return;
	}
	snprintf(s->before, sizeof(s->before), "%s", view->grid.filter);
	s->filtering = true;
}

static void handle(struct screen *s, enum request request, const struct snapshot *snap)
{
	if (request == REQUEST_FILTER && !s->helping) {
		filter_begin(s);
		return;
	}
	if (global_request(s, request, snap))
		return;
	if (s->helping) {
		if (request == REQUEST_BACK || request == REQUEST_ENTER)
			s->helping = false;
		else
			lines_request(&s->help, request);
		return;
	}
	view_request(current(s), request);
}

/* The last character of UTF-8 text goes. */
static void chop(char *text)
{
	size_t length = strlen(text);

	while (length && (text[length - 1] & 0xc0) == 0x80)
		length--;
	text[length ? length - 1 : 0] = '\0';
}

static void append(char *text, wint_t key)
{
	size_t length = strlen(text);
	char bytes[4];
	size_t count;

	if (key < 0x80) {
		bytes[0] = (char)key;
		count = 1;
	} else if (key < 0x800) {
		bytes[0] = (char)(0xc0 | key >> 6);
		bytes[1] = (char)(0x80 | (key & 0x3f));
		count = 2;
	} else if (key < 0x10000) {
		bytes[0] = (char)(0xe0 | key >> 12);
		bytes[1] = (char)(0x80 | (key >> 6 & 0x3f));
		bytes[2] = (char)(0x80 | (key & 0x3f));
		count = 3;
	} else {
		return;
	}
	if (length + count >= FILTER_SIZE)
		return;
	memcpy(text + length, bytes, count);
	text[length + count] = '\0';
}

/* While a filter is typed, every key but these belongs to its text. */
static void filter_key(struct screen *s, wint_t key, bool function)
{
	enum request request = request_of_key((int)key, function);
	struct grid *grid = &current(s)->grid;
	char text[FILTER_SIZE];

	snprintf(text, sizeof(text), "%s", grid->filter);
	if (request == REQUEST_ENTER || request == REQUEST_BACK) {
		s->filtering = false;
		if (request == REQUEST_BACK)
			grid_set_filter(grid, s->before);
		return;
	}
	if ((function && key == KEY_BACKSPACE) || (!function && (key == 127 || key == 8)))
		chop(text);
	else if (function)
		view_request(current(s), request);
	else if (key >= 0x20 && key != 127)
		append(text, key);
	grid_set_filter(grid, text);
}

void screen_key(struct screen *s, wint_t key, bool function, const struct snapshot *snap)
{
	enum request request = request_of_key((int)key, function);

	s->message[0] = '\0';
	if (s->filtering) {
		filter_key(s, key, function);
		return;
	}
	if (request != REQUEST_NONE)
		handle(s, request, snap);
	else if (!function)
		say(s, "this key has no meaning; ? shows those that have");
}
