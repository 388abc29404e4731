/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mouse, as terminals tell of it in the coding SGR (1006): "\033[<0;12;5M". curses reads a click
 * with a read that waits, and would keep the program from its work when the rest of one does not
 * come; so only the beginning is a key of curses (term.c), and what follows is collected here.
 */
#ifndef TUI_MOUSE_H
#define TUI_MOUSE_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

struct mouse {
	bool begun; /* what is read now belongs to it */
	char text[16];
	size_t length;
};

enum mouse_button { MOUSE_LEFT, MOUSE_RIGHT, MOUSE_UP, MOUSE_DOWN };

struct mouse_event {
	enum mouse_button button; /* or the wheel */
	int y, x;		  /* from 0 */
};

/* The beginning came. */
void mouse_begin(struct mouse *mouse);
/*
 * What comes then; true: it was the mouse's. *got: a button was pressed, and `event` says which. A
 * character that does not belong there ends it and is a key.
 */
bool mouse_feed(struct mouse *mouse, wint_t key, bool *got, struct mouse_event *event);

#endif
