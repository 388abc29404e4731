/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between who shows a trace and who plays it: where the play stands, and what the user asks for.
 * ask() only remembers; the player acts on it when the sink's input() has returned, so nothing that
 * a sink holds goes away under it. Owned by the player; all calls come from one thread.
 */
#ifndef CORE_PLAYER_H
#define CORE_PLAYER_H

#include <stdbool.h>
#include <stdint.h>

enum player_ask {
	PLAYER_PAUSE,	     /* stop, or go on */
	PLAYER_STEP,	     /* `value` moments on, or back when negative; stops */
	PLAYER_GOTO,	     /* to `value` nanoseconds after the beginning */
	PLAYER_NEXT_FINDING, /* to the moment at which the next finding opens; stops there */
	PLAYER_FASTER,
	PLAYER_SLOWER,
};

struct player_state {
	uint64_t begin_ns, end_ns; /* of the trace */
	uint64_t now_ns;	   /* what is shown */
	bool paused, ended;
	bool searching;	  /* for the next finding */
	double speed;	  /* 1: as it was */
	const char *text; /* what the last request came to, NULL: nothing to say */
};

struct player {
	void (*ask)(struct player *player, enum player_ask ask, int64_t value);
	void (*state)(const struct player *player, struct player_state *out);
};

#endif
