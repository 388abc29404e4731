// SPDX-License-Identifier: LGPL-2.1-or-later
/* Clicks out of characters; see mouse.h. */
#include "tui/mouse.h"

#include <stdio.h>

#define MODIFIERS 0x1c /* Shift, Alt, Control */

void mouse_begin(struct mouse *mouse)
{
	*mouse = (struct mouse){.begun = true};
}

static bool decode(const struct mouse *mouse, struct mouse_event *event)
{
	static const struct {
		unsigned int code;
		enum mouse_button button;
	} buttons[] = {{0, MOUSE_LEFT}, {2, MOUSE_RIGHT}, {64, MOUSE_UP}, {65, MOUSE_DOWN}};
	unsigned int code, x, y;

	/* At most 15 characters, so a number has at most 11. */
	if (sscanf(mouse->text, "%u;%u;%u", &code, &x, &y) != 3 || !x || !y || x > 10000 ||
	    y > 10000)
		return false;
	for (size_t i = 0; i < sizeof(buttons) / sizeof(buttons[0]); i++) {
		if (buttons[i].code != (code & ~MODIFIERS))
			continue;
		*event = (struct mouse_event){buttons[i].button, (int)y - 1, (int)x - 1};
		return true;
	}
	return false;
}

bool mouse_feed(struct mouse *mouse, wint_t key, bool *got, struct mouse_event *event)
{
	*got = false;
	if (!mouse->begun)
		return false;
	if (((key >= '0' && key <= '9') || key == ';') && mouse->length + 1 < sizeof(mouse->text)) {
		mouse->text[mouse->length++] = (char)key;
		return true;
	}
	mouse->begun = false;
	*got = key == 'M' && decode(mouse, event);
	/* 'm': it was let go. */
	return key == 'M' || key == 'm';
}
