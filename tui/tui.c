// SPDX-License-Identifier: LGPL-2.1-or-later
/* The sink: joins the terminal, the screen and the loop. */
#include "tui/tui.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "tui/mouse.h"
#include "tui/screen.h"
#include "tui/term.h"
#include "util/xalloc.h"

#define FRAME_NS 90000000ULL /* of the model's time, at least, between two frames: ten a second */
#define KEYS_AT_ONCE 256     /* a paste must not keep the loop from its other work */

struct tui {
	struct sink sink;
	struct tui_opts opts;
	FILE *out;
	bool opened, utf8;
	uint64_t drawn_ns; /* the moment that was drawn last */
	struct mouse mouse;
	struct screen screen;
};

static bool wants_color(enum tui_color color)
{
	const char *no_color = getenv("NO_COLOR");

	if (color == TUI_COLOR_AUTO)
		return !no_color || !*no_color;
	return color == TUI_COLOR_ALWAYS;
}

static int show(struct sink *sink, const struct snapshot *snap)
{
	struct tui *tui = (struct tui *)sink;

	if (!tui->opened)
		return 0;
	tui->drawn_ns = snap->model->now_ns;
	term_stop_when_asked();
	term_resize();
	screen_read(&tui->screen, snap);
	if (term_ready())
		screen_draw(&tui->screen);
	return 0;
}

/* While a poll is open the source ticks faster than an eye follows. */
static int tui_snapshot(struct sink *sink, const struct snapshot *snap)
{
	const struct tui *tui = (const struct tui *)sink;
	uint64_t now = snap->model->now_ns;

	/* A player shows a moment when it wants it seen. */
	if (!tui->opts.player && now > tui->drawn_ns && now - tui->drawn_ns < FRAME_NS)
		return 0;
	return show(sink, snap);
}

static int tui_open(struct sink *sink, const struct snapshot *snap)
{
	struct tui *tui = (struct tui *)sink;
	int rc;

	if (tui->opened)
		return 0;
	rc = term_open(tui->opts.in_fd, tui->out, NULL);
	if (rc)
		return rc;
	tui->opened = true;
	screen_open(&tui->screen, &tui->opts, tui->utf8, wants_color(tui->opts.color));
	return show(sink, snap);
}

static int tui_finish(struct sink *sink, const struct snapshot *snap)
{
	return show(sink, snap);
}

static int tui_fd(struct sink *sink)
{
	return term_fd(((struct tui *)sink)->opts.in_fd);
}

static void key_read(struct tui *tui, wint_t key, bool function, const struct snapshot *snap)
{
	struct mouse_event event;
	bool got;

	if (function && key == TERM_KEY_MOUSE)
		mouse_begin(&tui->mouse);
	else if (!mouse_feed(&tui->mouse, function ? 0 : key, &got, &event))
		screen_key(&tui->screen, key, function, snap);
	else if (got)
		screen_mouse(&tui->screen, &event, snap);
}

static int tui_input(struct sink *sink, const struct snapshot *snap)
{
	struct tui *tui = (struct tui *)sink;
	bool any = false;

	if (!tui->opened)
		return 0;
	for (int i = 0; i < KEYS_AT_ONCE && !tui->screen.quit; i++) {
		wint_t key;
		int got = get_wch(&key);

		if (got == ERR)
			break;
		any = true;
		if (got != KEY_CODE_YES || key != KEY_RESIZE)
			key_read(tui, key, got == KEY_CODE_YES, snap);
	}
	if (tui->screen.quit)
		return 1;
	if (!any && term_lost())
		return -EPIPE;
	term_stop_when_asked();
	term_resize();
	if (term_ready())
		screen_draw(&tui->screen);
	return 0;
}

static void tui_close(struct sink *sink)
{
	struct tui *tui = (struct tui *)sink;

	if (!tui)
		return;
	if (tui->opened)
		screen_close(&tui->screen);
	term_close();
	free(tui);
}

static const struct sink_ops tui_ops = {
	.open = tui_open,
	.snapshot = tui_snapshot,
	.finish = tui_finish,
	.close = tui_close,
	.fd = tui_fd,
	.input = tui_input,
};

struct sink *tui_sink_new(const struct tui_opts *o, struct err *err)
{
	FILE *out = o->out ? o->out : stdout;
	struct tui *tui;

	if (term_check(o->in_fd, fileno(out), err))
		return NULL;
	/* Only the character set: numbers keep their decimal point. */
	setlocale(LC_CTYPE, "");
	tui = xcalloc(1, sizeof(*tui));
	tui->sink.ops = &tui_ops;
	tui->opts = *o;
	tui->out = out;
	tui->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	return &tui->sink;
}
