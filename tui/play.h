/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the screen does for a trace that is played: requests become questions to the player, a time
 * is typed, and the title says where the play stands. `player` NULL: this is live, nothing of it
 * applies.
 */
#ifndef TUI_PLAY_H
#define TUI_PLAY_H

#include "core/player.h"
#include "tui/request.h"

#define PLAY_TIME_SIZE 24

struct play {
	struct player *player;
	bool typing; /* a time to go to */
	char time[PLAY_TIME_SIZE];
};

/* True when it was one of the player's; `say` then holds an answer, or "". */
bool play_request(struct play *p, enum request request, char *say, size_t size);
/* A character while a time is typed; '\r' ends it, 27 drops it, 127 takes one back. */
void play_key(struct play *p, int key, uint64_t wall_offset_ns, char *say, size_t size);
/* "REPLAY 12.3 s of 60.0 s x2"; "" when live. */
void play_title(const struct play *p, char *out, size_t size);
/* What the last request came to; NULL: nothing. */
const char *play_text(const struct play *p);
/*
 * "90s", "1m", "12.5" (seconds) from the beginning, or "15:04:05", the first such moment (UTC) at or
 * after it. 0, or -EINVAL.
 */
int play_parse_time(const char *text, uint64_t begin_ns, uint64_t wall_offset_ns,
		    uint64_t *after_begin_ns);

#endif
