// SPDX-License-Identifier: LGPL-2.1-or-later
/* Roles to colours and attributes. */
#include "tui/color.h"

#define NO_COLOR_VALUE (-1)

/* color256 of the xterm cube; color8 and the attributes where there are only 8 or 16. */
static const struct role_spec {
	enum role role;
	short color256, color8;
	attr_t with_color, without_color;
} role_specs[] = {
	{ROLE_NORMAL, NO_COLOR_VALUE, NO_COLOR_VALUE, A_NORMAL, A_NORMAL},
	{ROLE_DIM, 246, NO_COLOR_VALUE, A_NORMAL, A_NORMAL},
	{ROLE_STRONG, NO_COLOR_VALUE, NO_COLOR_VALUE, A_BOLD, A_BOLD},
	{ROLE_OK, 36, COLOR_CYAN, A_NORMAL, A_NORMAL},
	{ROLE_INFO, 75, COLOR_CYAN, A_NORMAL, A_NORMAL},
	{ROLE_WARNING, 214, COLOR_YELLOW, A_NORMAL, A_BOLD},
	{ROLE_CRITICAL, 202, COLOR_RED, A_BOLD, A_BOLD | A_UNDERLINE},
	{ROLE_HEAD, NO_COLOR_VALUE, NO_COLOR_VALUE, A_REVERSE, A_REVERSE},
	{ROLE_TAB, 246, NO_COLOR_VALUE, A_NORMAL, A_NORMAL},
	{ROLE_TAB_ON, NO_COLOR_VALUE, NO_COLOR_VALUE, A_BOLD | A_REVERSE, A_BOLD | A_REVERSE},
	{ROLE_STATUS, NO_COLOR_VALUE, NO_COLOR_VALUE, A_REVERSE, A_REVERSE},
	{ROLE_BUSY, 75, COLOR_CYAN, A_NORMAL, A_NORMAL}, /* blue on black is hard to see with 8 */
	{ROLE_BLOCKED, 202, COLOR_RED, A_BOLD, A_BOLD},
	{ROLE_PREEMPTED, 175, COLOR_MAGENTA, A_NORMAL, A_NORMAL},
	{ROLE_SEARCHING, 227, COLOR_YELLOW, A_NORMAL, A_NORMAL},
	{ROLE_PARKED, 246, NO_COLOR_VALUE, A_NORMAL, A_NORMAL},
};

void palette_init(struct palette *p, bool allowed)
{
	bool color = allowed && has_colors() && start_color() == OK;
	short next = 1;

	*p = (struct palette){0};
	if (color && use_default_colors() != OK)
		assume_default_colors(COLOR_WHITE, COLOR_BLACK);
	for (size_t i = 0; i < sizeof(role_specs) / sizeof(role_specs[0]); i++) {
		const struct role_spec *spec = &role_specs[i];
		short value = COLORS >= 256 ? spec->color256 : spec->color8;

		p->attr[spec->role] = color ? spec->with_color : spec->without_color;
		if (!color || value == NO_COLOR_VALUE || next >= COLOR_PAIRS)
			continue;
		if (init_pair(next, value, -1) != OK)
			continue;
		p->pair[spec->role] = next++;
	}
}
