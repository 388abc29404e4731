// SPDX-License-Identifier: LGPL-2.1-or-later
/* The sink: joins the terminal, the screen and the loop. */
#include "tui/tui.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "tui/screen.h"
#include "tui/term.h"
#include "util/xalloc.h"

#define KEYS_AT_ONCE 256 /* a paste must not keep the loop from its other work */

struct tui {
	struct sink sink;
	struct tui_opts opts;
	FILE *out;
	bool opened, utf8;
	struct screen screen;
};

static bool wants_color(enum tui_color color)
{
	const char *no_color = getenv("NO_COLOR");

	if (color == TUI_COLOR_AUTO)
		return !no_color || !*no_color;
	return color == TUI_COLOR_ALWAYS;
}

static int tui_snapshot(struct sink *sink, const struct snapshot *snap)
{
	struct tui *tui = (struct tui *)sink;

	if (!tui->opened)
		return 0;
	term_resize();
	screen_read(&tui->screen, snap);
	screen_draw(&tui->screen);
	return 0;
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
	screen_open(&tui->screen, tui->utf8, wants_color(tui->opts.color), tui->opts.full_stack);
	return tui_snapshot(sink, snap);
}

static int tui_finish(struct sink *sink, const struct snapshot *snap)
{
	return tui_snapshot(sink, snap);
}

static int tui_fd(struct sink *sink)
{
	return ((struct tui *)sink)->opts.in_fd;
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
			screen_key(&tui->screen, key, got == KEY_CODE_YES, snap);
	}
	if (tui->screen.quit)
		return 1;
	if (!any && term_lost())
		return -EPIPE;
	term_resize();
	screen_draw(&tui->screen);
	return 0;
}

static void tui_close(struct sink *sink)
{
	struct tui *tui = (struct tui *)sink;

	if (!tui)
		return;
	if (tui->opened) {
		screen_close(&tui->screen);
		term_close();
	}
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
