/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a key asks for. REQUESTS is the one table: the enum, the keymap (keys.c) and the help view
 * are made from it, so a request without a help text cannot exist. The group "Replay" is shown when
 * a trace is played.
 */
#ifndef TUI_REQUEST_H
#define TUI_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

/* name, group in the help, what it does */
#define REQUESTS(X)                                                                                \
	X(VIEW_FINDINGS, "Views", "findings: what stalls the program, worst first")                \
	X(VIEW_WORKERS, "Views", "workers: where their time goes, what each polls now")            \
	X(VIEW_SITES, "Views", "sites: the future types that are polled")                          \
	X(VIEW_TASKS, "Views", "tasks: one row a task (level 2)")                                  \
	X(VIEW_TIMELINE, "Views", "timeline: workers over the last minute")                        \
	X(VIEW_SELF, "Views", "self: what watching costs and what was lost")                       \
	X(NEXT_VIEW, "Views", "next view")                                                         \
	X(PREVIOUS_VIEW, "Views", "previous view")                                                 \
	X(NEXT_TARGET, "Views", "of several programs: the next one alone, after the last all")     \
	X(REPORT, "Views", "the report so far; comes by itself when the program has ended")        \
	X(HELP, "Views", "this help")                                                              \
	X(UP, "Move", "one row up")                                                                \
	X(DOWN, "Move", "one row down")                                                            \
	X(PAGE_UP, "Move", "one page up")                                                          \
	X(PAGE_DOWN, "Move", "one page down")                                                      \
	X(HOME, "Move", "first row; stays at the top when the order changes")                      \
	X(END, "Move", "last row")                                                                 \
	X(ENTER, "Move", "detail of the row")                                                      \
	X(BACK, "Move", "back; drops the filter")                                                  \
	X(LEFT, "Move", "in a detail: the row before; in the timeline: earlier")                   \
	X(RIGHT, "Move", "in a detail: the row after; in the timeline: later")                     \
	X(FILTER, "Show", "filter the rows as you type")                                           \
	X(SORT_NEXT, "Show", "sort by the next column")                                            \
	X(SORT_PREVIOUS, "Show", "sort by the column before")                                      \
	X(INVERT, "Show", "invert the order")                                                      \
	X(FOLD, "Show", "in a finding: every frame of its stack, or those of std folded")          \
	X(SCALE, "Show", "in the timeline: a column stands for less time; then again the minute")  \
	X(PAUSE, "Show", "pause the display; watching goes on")                                    \
	X(MOUSE, "Show", "mouse on, or off: then the terminal selects text with it")               \
	X(REDRAW, "Show", "draw the whole screen again")                                           \
	X(WRITE, "Watch", "write a trace of the last minute")                                      \
	X(THRESHOLD_UP, "Watch", "raise the threshold for long polls")                             \
	X(THRESHOLD_DOWN, "Watch", "lower the threshold for long polls")                           \
	X(QUIT, "Watch", "quit; the report follows on the normal screen")                          \
	X(STEP_BACK, "Replay", "one moment back; stops")                                           \
	X(STEP_ON, "Replay", "one moment on; stops")                                               \
	X(STEP_BACK_TEN, "Replay", "ten moments back")                                             \
	X(STEP_ON_TEN, "Replay", "ten moments on")                                                 \
	X(GOTO, "Replay", "go to a time: 90s or 1m from the beginning, or 15:04:05")               \
	X(NEXT_FINDING, "Replay", "on to where the next finding opens")                            \
	X(FASTER, "Replay", "twice as fast")                                                       \
	X(SLOWER, "Replay", "half as fast")

enum request {
	REQUEST_NONE,
#define REQUEST_ENUM(name, group, help) REQUEST_##name,
	REQUESTS(REQUEST_ENUM)
#undef REQUEST_ENUM
};

struct request_info {
	enum request request;
	const char *group, *help;
};

/* The table above, in its order. */
extern const struct request_info request_infos[];
extern const size_t request_infos_count;

/* What a key asks for. `key` is what get_wch() gave, `function` when it was a KEY_ code. */
enum request request_of_key(int key, bool function);

/* "q F10": the keys of a request as people call them. Returns out. */
char *request_keys(enum request request, char *out, size_t size);

#endif
