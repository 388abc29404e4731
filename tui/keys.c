// SPDX-License-Identifier: LGPL-2.1-or-later
/* The keymap: which key asks for what. */
#include "tui/request.h"

#include <curses.h>
#include <stdio.h>

#define CTRL_KEY(c) ((c)&0x1f)
#define KEY_ESCAPE 27

const struct request_info request_infos[] = {
#define REQUEST_ROW(name, group, help) {REQUEST_##name, group, help},
	REQUESTS(REQUEST_ROW)
#undef REQUEST_ROW
};

const size_t request_infos_count = sizeof(request_infos) / sizeof(request_infos[0]);

/* A NULL label: a second way to say the same, left out of the help. */
static const struct keybinding {
	int key;
	bool function;
	enum request request;
	const char *label;
} keymap[] = {
	{'1', false, REQUEST_VIEW_FINDINGS, "1"},
	{'2', false, REQUEST_VIEW_WORKERS, "2"},
	{'3', false, REQUEST_VIEW_SITES, "3"},
	{'4', false, REQUEST_VIEW_TASKS, "4"},
	{'5', false, REQUEST_VIEW_TIMELINE, "5"},
	{'6', false, REQUEST_VIEW_SELF, "6"},
	{'\t', false, REQUEST_NEXT_VIEW, "Tab"},
	{KEY_BTAB, true, REQUEST_PREVIOUS_VIEW, "Shift-Tab"},
	{'t', false, REQUEST_NEXT_TARGET, "t"},
	{'r', false, REQUEST_REPORT, "r"},
	{'?', false, REQUEST_HELP, "?"},
	{KEY_F(1), true, REQUEST_HELP, "F1"},
	{'h', false, REQUEST_HELP, "h"},
	{KEY_UP, true, REQUEST_UP, "Up"},
	{'k', false, REQUEST_UP, "k"},
	{KEY_DOWN, true, REQUEST_DOWN, "Down"},
	{'j', false, REQUEST_DOWN, "j"},
	{KEY_PPAGE, true, REQUEST_PAGE_UP, "PgUp"},
	{KEY_NPAGE, true, REQUEST_PAGE_DOWN, "PgDn"},
	{KEY_HOME, true, REQUEST_HOME, "Home"},
	{KEY_END, true, REQUEST_END, "End"},
	{'\r', false, REQUEST_ENTER, "Enter"},
	{'\n', false, REQUEST_ENTER, NULL},
	{KEY_ENTER, true, REQUEST_ENTER, NULL},
	{KEY_ESCAPE, false, REQUEST_BACK, "Esc"},
	{KEY_LEFT, true, REQUEST_LEFT, "Left"},
	{KEY_RIGHT, true, REQUEST_RIGHT, "Right"},
	{'/', false, REQUEST_FILTER, "/"},
	{'>', false, REQUEST_SORT_NEXT, ">"},
	{KEY_F(6), true, REQUEST_SORT_NEXT, "F6"},
	{'<', false, REQUEST_SORT_PREVIOUS, "<"},
	{'I', false, REQUEST_INVERT, "I"},
	{'f', false, REQUEST_FOLD, "f"},
	{'s', false, REQUEST_SCALE, "s"},
	{' ', false, REQUEST_PAUSE, "Space"},
	{'Z', false, REQUEST_PAUSE, "Z"},
	{'z', false, REQUEST_PAUSE, NULL},
	{'m', false, REQUEST_MOUSE, "m"},
	{CTRL_KEY('L'), false, REQUEST_REDRAW, "Ctrl-L"},
	{'w', false, REQUEST_WRITE, "w"},
	{'+', false, REQUEST_THRESHOLD_UP, "+"},
	{'-', false, REQUEST_THRESHOLD_DOWN, "-"},
	{'[', false, REQUEST_STEP_BACK, "["},
	{']', false, REQUEST_STEP_ON, "]"},
	{'{', false, REQUEST_STEP_BACK_TEN, "{"},
	{'}', false, REQUEST_STEP_ON_TEN, "}"},
	{'g', false, REQUEST_GOTO, "g"},
	{'n', false, REQUEST_NEXT_FINDING, "n"},
	{')', false, REQUEST_FASTER, ")"},
	{'(', false, REQUEST_SLOWER, "("},
	{'q', false, REQUEST_QUIT, "q"},
	{KEY_F(10), true, REQUEST_QUIT, "F10"},
};

enum request request_of_key(int key, bool function)
{
	for (size_t i = 0; i < sizeof(keymap) / sizeof(keymap[0]); i++)
		if (keymap[i].key == key && keymap[i].function == function)
			return keymap[i].request;
	return REQUEST_NONE;
}

char *request_keys(enum request request, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(keymap) / sizeof(keymap[0]); i++) {
		if (keymap[i].request != request || !keymap[i].label || used + 1 >= size)
			continue;
		used += snprintf(out + used, size - used, "%s%s", used ? " " : "", keymap[i].label);
	}
	return out;
}
