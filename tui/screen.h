/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The screen: header, tabs, one view, status line; what is current, paused, being typed. Knows
 * requests and views, neither file descriptors nor signals.
 */
#ifndef TUI_SCREEN_H
#define TUI_SCREEN_H

#include <wchar.h>

#include "tui/header.h"
#include "tui/mouse.h"
#include "tui/play.h"
#include "tui/tui.h"
#include "tui/view.h"

#define SCREEN_VIEWS 6

struct screen {
	const struct tui_opts *opts; /* borrowed */
	struct canvas canvas;
	struct header header;
	struct view views[SCREEN_VIEWS];
	size_t current;
	uint32_t only; /* the process that is shown; ID_NONE: all */
	enum { OVER_NOTHING, OVER_HELP, OVER_REPORT } over; /* drawn in place of the view */
	bool paused, filtering, mouse, quit;
	bool reported;		  /* the end came, and its report was shown */
	char before[FILTER_SIZE]; /* the filter before it was edited: Esc brings it back */
	char message[160];	  /* in the status line until the next key */
	struct lines text;	  /* of what is over the view */
	int tabs_y;		  /* as of the last draw; 0: there are none */
	int tab_end[SCREEN_VIEWS];
	struct play play;
};

void screen_open(struct screen *screen, const struct tui_opts *opts, bool utf8, bool color);
/* Takes over what a snapshot holds, unless the display is paused. */
void screen_read(struct screen *screen, const struct snapshot *snap);
void screen_draw(struct screen *screen);
/* One key from get_wch(); `function`: a KEY_ code. Sets `quit`. */
void screen_key(struct screen *screen, wint_t key, bool function, const struct snapshot *snap);
void screen_mouse(struct screen *screen, const struct mouse_event *event,
		  const struct snapshot *snap);
void screen_close(struct screen *screen);

#endif
