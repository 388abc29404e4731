/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colours by role. A view names a role, never a colour: this file alone maps roles to what the
 * terminal can do (256 or more colours, 8, none). The palette is that of Okabe and Ito, which
 * people with the common kinds of colour blindness can tell apart; and nothing is said by colour
 * alone: every role goes with a word or a different glyph.
 */
#ifndef TUI_COLOR_H
#define TUI_COLOR_H

#include <curses.h>
#include <stdbool.h>

enum role {
	ROLE_NORMAL,
	ROLE_DIM,
	ROLE_STRONG,
	ROLE_OK,
	ROLE_INFO,
	ROLE_WARNING,
	ROLE_CRITICAL,
	ROLE_HEAD, /* column titles */
	ROLE_TAB,
	ROLE_TAB_ON,
	ROLE_STATUS,
	ROLE_BUSY,
	ROLE_BLOCKED,
	ROLE_PREEMPTED,
	ROLE_SEARCHING,
	ROLE_PARKED,
	ROLE_COUNT
};

struct palette {
	attr_t attr[ROLE_COUNT];
	short pair[ROLE_COUNT];
};

/* Fills the palette for the terminal that curses has just opened; `allowed` false: attributes only. */
void palette_init(struct palette *p, bool allowed);

#endif
