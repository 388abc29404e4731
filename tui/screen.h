/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen: header, tabs, one view, status line; what is current, paused, being typed. Knows
 * requests and views, neither file descriptors nor signals.
 */
#ifndef TUI_SCREEN_H
#define TUI_SCREEN_H

#include <wchar.h>

#include "tui/header.h"
#include "tui/view.h"

#define SCREEN_VIEWS 6

struct screen {
	struct canvas canvas;
	struct header header;
	struct view views[SCREEN_VIEWS];
	size_t current;
	bool paused, helping, filtering, quit;
	char before[FILTER_SIZE]; /* the filter before it was edited: Esc brings it back */
	char message[160];	  /* in the status line until the next key */
	struct lines help;
};

void screen_open(struct screen *screen, bool utf8, bool color, bool full_stack);
/* Takes over what a snapshot holds, unless the display is paused. */
void screen_read(struct screen *screen, const struct snapshot *snap);
void screen_draw(struct screen *screen);
/* One key from get_wch(); `function`: a KEY_ code. Sets `quit`. */
void screen_key(struct screen *screen, wint_t key, bool function, const struct snapshot *snap);
void screen_close(struct screen *screen);

#endif
