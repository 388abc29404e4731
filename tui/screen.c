// SPDX-License-Identifier: LGPL-2.1-or-later
/* Layout, tabs, status line, and who gets a request. */
#include "tui/screen.h"

#include "tui/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST_COLS 40
#define LEAST_ROWS 8
#define HELP_TAB 7   /* columns */
#define WHEEL_ROWS 3 /* a step of the wheel */

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

void screen_open(struct screen *s, const struct tui_opts *opts, bool utf8, bool color)
{
	*s = (struct screen){
		.opts = opts,
		.canvas = {.utf8 = utf8},
		.only = ID_NONE,
		.play.player = opts->player,
	};
	palette_init(&s->canvas.palette, color);
	for (size_t i = 0; i < SCREEN_VIEWS; i++)
		view_open(&s->views[i], all_views[i], utf8, opts->full_stack);
}

void screen_close(struct screen *s)
{
	for (size_t i = 0; i < SCREEN_VIEWS; i++)
		view_close(&s->views[i]);
	lines_free(&s->text);
}

static void read_top(struct screen *s, const struct snapshot *snap)
{
	header_read(&s->header, snap, s->only);
	for (size_t i = 0; i < SCREEN_VIEWS; i++)
		view_badge(&s->views[i], snap);
}

/* What the view itself cannot do. */
static void ask(struct screen *s, enum tui_ask what, const struct snapshot *snap)
{
	say(s,
	    s->opts->player ? "of a trace that cannot be changed" : "that cannot be changed here");
	if (s->opts->ask)
		s->opts->ask(s->opts->ctx, what, s->message, sizeof(s->message));
	if (!s->paused)
		read_top(s, snap);
}

/* Of "advice:   Use the" what stands before "Use"; else a little. */
static int label_columns(const char *text)
{
	size_t word = strspn(text, "abcdefghijklmnopqrstuvwxyz");

	return text[word] == ':' ? (int)(word + 1 + strspn(text + word + 1, " ")) : 2;
}

/* The same text as on the normal screen after the end, wrapped to this one. */
static void report_fill(struct screen *s, const struct snapshot *snap)
{
	char *text = NULL, *line, *rest = NULL;
	size_t size = 0;
	FILE *out = s->opts->report ? open_memstream(&text, &size) : NULL;

	lines_reset(&s->text);
	s->text.top = 0;
	if (out) {
		s->opts->report(s->opts->ctx, snap, s->canvas.cols, out);
		fclose(out);
	}
	for (line = text ? strtok_r(text, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		int indent = (int)strspn(line, " ");

		if (!indent && s->text.count)
			lines_add(&s->text, ROLE_NORMAL, 0, "%s", "");
		lines_hang(&s->text, indent ? ROLE_NORMAL : ROLE_STRONG, indent,
			   label_columns(line + indent), line + indent);
	}
	free(text);
	if (!s->text.count)
		lines_add(&s->text, ROLE_DIM, 0, "There is no report here.");
}

/* Once: from there on the views can be looked through as before. */
static void report_end(struct screen *s, const struct snapshot *snap)
{
	if (!s->header.ended || s->reported || !s->opts->report)
		return;
	s->reported = true;
	s->over = OVER_REPORT;
	report_fill(s, snap);
}

void screen_read(struct screen *s, const struct snapshot *snap)
{
	if (s->paused)
		return;
	read_top(s, snap);
	/* The others are read when they are opened. */
	view_read(current(s), snap);
	report_end(s, snap);
}

/* What a tab says: first the numbers go, then the titles of those that are not open. */
enum tab_form { TAB_FULL, TAB_TITLE, TAB_KEY };

static void tab_text(const struct screen *s, size_t i, enum tab_form form, char *out, size_t size)
{
	const struct view *view = &s->views[i];
	char key[16], badge[FMT_SIZE + 1] = "";

	request_keys(view->ops->request_open, key, sizeof(key));
	if (view->badge && form == TAB_FULL)
		snprintf(badge, sizeof(badge), " %s", FMT_COUNT((double)view->badge));
	if (form == TAB_KEY && i != s->current)
		snprintf(out, size, " %s ", key);
	else
		snprintf(out, size, " %s %s%s ", key, view->ops->title, badge);
}

/* With which all tabs and the way to the help are seen. */
static enum tab_form tab_form(const struct screen *s)
{
	enum tab_form form;
	char text[64];

	for (form = TAB_FULL; form < TAB_KEY; form++) {
		int width = HELP_TAB + 1;

		for (size_t i = 0; i < SCREEN_VIEWS; i++) {
			tab_text(s, i, form, text, sizeof(text));
			width += canvas_width(&s->canvas, text);
		}
		if (width < s->canvas.cols)
			break;
	}
	return form;
}

static void draw_tabs(struct screen *s, int y)
{
	const struct canvas *c = &s->canvas;
	enum tab_form form = tab_form(s);
	char text[64];
	int x = 0;

	s->tabs_y = y;
	for (size_t i = 0; i < SCREEN_VIEWS; i++) {
		enum role role = i == s->current && !s->over ? ROLE_TAB_ON : ROLE_TAB;

		tab_text(s, i, form, text, sizeof(text));
		x += canvas_printf(c, y, x, c->cols - x, role, "%s", text);
		s->tab_end[i] = x;
	}
	canvas_printf(c, y, c->cols - HELP_TAB, HELP_TAB,
		      s->over == OVER_HELP ? ROLE_TAB_ON : ROLE_TAB, " ? help");
}

static void draw_status(struct screen *s, int y)
{
	const struct canvas *c = &s->canvas;
	const struct view *view = current(s);
	const char *answer = play_text(&s->play);
	char text[320], sort[64];

	canvas_fill(c, y, 0, c->cols, ROLE_STATUS);
	if (s->filtering)
		snprintf(text, sizeof(text), " filter: %s_   Enter keeps it, Esc drops it",
			 view->grid.filter);
	else if (s->play.typing)
		snprintf(text, sizeof(text), " go to: %s_   90s, 1m or 15:04:05; Esc drops it",
			 s->play.time);
	else if (s->message[0] || answer)
		snprintf(text, sizeof(text), " %s", s->message[0] ? s->message : answer);
	else if (s->over)
		snprintf(text, sizeof(text), " Up Down PgUp PgDn scroll   Esc back   q quit");
	else if (view->detail)
		snprintf(text, sizeof(text),
			 " Esc back   Left Right other row   Up Down scroll   %s",
			 "Space pause   q quit");
	else if (s->play.player)
		snprintf(text, sizeof(text),
			 " [ ] step  { } ten  g go to  n next finding  ( ) speed  Space pause  ? "
			 "help  q quit");
	else if (view->ops->hint)
		snprintf(text, sizeof(text), " %s  %s", view->ops->hint,
			 s->paused ? "Space goes on" : "Space pause  q quit");
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
	char title[96];
	int y;

	getmaxyx(stdscr, c->rows, c->cols);
	erase();
	s->tabs_y = 0;
	if (c->rows < LEAST_ROWS || c->cols < LEAST_COLS) {
		/* The size first: it is what a narrow screen leaves. */
		canvas_printf(c, 0, 0, c->cols, ROLE_NORMAL, "%dx%d needed: screen too small",
			      LEAST_COLS, LEAST_ROWS);
	} else {
		play_title(&s->play, title, sizeof(title));
		y = header_draw(&s->header, c, s->paused, title);
		draw_tabs(s, y++);
		area = (struct area){y, 0, c->rows - y - 1, c->cols};
		if (s->over)
			lines_draw(&s->text, c, &area);
		else
			view_draw(current(s), c, &area);
		draw_status(s, c->rows - 1);
	}
	attr_set(A_NORMAL, 0, NULL);
	wnoutrefresh(stdscr);
	term_write_begin();
	doupdate();
	term_write_end();
}

static void show_view(struct screen *s, size_t index, const struct snapshot *snap)
{
	s->current = index;
	s->over = OVER_NOTHING;
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

/* From all to the first, and so on; after the last to all. */
static void target_next(struct screen *s, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	uint32_t next = s->only == ID_NONE ? 0 : s->only + 1;

	if (s->header.targets < 2) {
		say(s, "only one program is watched");
		return;
	}
	if (s->paused) {
		say(s, "paused: Space goes on, then t shows another program");
		return;
	}
	while (next < m->targets_count && m->targets[next].id == ID_NONE)
		next++;
	s->only = next < m->targets_count ? next : ID_NONE;
	for (size_t i = 0; i < SCREEN_VIEWS; i++) {
		s->views[i].only = s->only;
		s->views[i].detail = false;
	}
	screen_read(s, snap);
	say(s,
	    s->only == ID_NONE ? "all programs" : "this program alone; t: the next one, then all");
}

/* Off at first: a terminal whose mouse is taken does not select text. */
static void mouse_toggle(struct screen *s)
{
	s->mouse = !s->mouse;
	if (!term_mouse(s->mouse)) {
		s->mouse = false;
		say(s, "this terminal has no mouse");
		return;
	}
	say(s, s->mouse ? "mouse on: click tabs, titles, rows; m: off. Shift selects text" :
			  "mouse off: the terminal selects text with it");
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
		s->over = s->over == OVER_HELP ? OVER_NOTHING : OVER_HELP;
		if (s->over)
			help_fill(&s->text, current(s), s->opts->player != NULL);
		break;
	case REQUEST_NEXT_TARGET: target_next(s, snap); break;
	case REQUEST_REPORT:
		s->over = s->over == OVER_REPORT ? OVER_NOTHING : OVER_REPORT;
		if (s->over)
			report_fill(s, snap);
		break;
	case REQUEST_PAUSE: pause_toggle(s, snap); break;
	case REQUEST_MOUSE: mouse_toggle(s); break;
	case REQUEST_REDRAW: clearok(curscr, TRUE); break;
	case REQUEST_WRITE: ask(s, TUI_ASK_WRITE, snap); break;
	case REQUEST_THRESHOLD_UP: ask(s, TUI_ASK_THRESHOLD_UP, snap); break;
	case REQUEST_THRESHOLD_DOWN: ask(s, TUI_ASK_THRESHOLD_DOWN, snap); break;
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
	if (request == REQUEST_FILTER && !s->over) {
		filter_begin(s);
		return;
	}
	if (play_request(&s->play, request, s->message, sizeof(s->message)) ||
	    global_request(s, request, snap))
		return;
	if (s->over) {
		if (request == REQUEST_BACK || request == REQUEST_ENTER)
			s->over = OVER_NOTHING;
		else
			lines_request(&s->text, request);
		return;
	}
	view_request(current(s), request);
}

static void click_tabs(struct screen *s, int x, const struct snapshot *snap)
{
	size_t i = 0;

	while (i < SCREEN_VIEWS && x >= s->tab_end[i])
		i++;
	if (i < SCREEN_VIEWS)
		show_view(s, i, snap);
	else if (x >= s->canvas.cols - HELP_TAB)
		handle(s, REQUEST_HELP, snap);
}

void screen_mouse(struct screen *s, const struct mouse_event *event, const struct snapshot *snap)
{
	struct view *view = current(s);
	bool up = event->button == MOUSE_UP;

	/* What is typed goes on: a click would leave it somewhere else. */
	if (s->filtering || s->play.typing || !s->tabs_y)
		return;
	s->message[0] = '\0';
	if (up || event->button == MOUSE_DOWN) {
		for (int i = 0; i < WHEEL_ROWS; i++)
			handle(s, up ? REQUEST_UP : REQUEST_DOWN, snap);
	} else if (event->button == MOUSE_RIGHT) {
		handle(s, REQUEST_BACK, snap);
	} else if (event->y == s->tabs_y) {
		click_tabs(s, event->x, snap);
	} else if (!s->over && !view->detail && view->ops->grid &&
		   grid_click(&view->grid, event->y, event->x)) {
		handle(s, REQUEST_ENTER, snap);
	}
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
	if (s->play.typing) {
		/* Enter and Backspace may come as either. */
		play_key(&s->play,
			 request == REQUEST_ENTER	  ? '\r' :
			 function && key == KEY_BACKSPACE ? 127 :
			 function			  ? 0 :
							    (int)key,
			 snap->wall_offset_ns, s->message, sizeof(s->message));
		return;
	}
	if (request != REQUEST_NONE)
		handle(s, request, snap);
	else if (!function)
		say(s, "this key has no meaning; ? shows those that have");
}
