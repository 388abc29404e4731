// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tui/play.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/fmt.h"

#define NS_PER_SEC 1000000000ULL
#define DAY_SECONDS 86400ULL
#define KEY_ESCAPE 27
#define KEY_DELETE 127
#define KEY_CTRL_H 8

static const struct {
	enum request request;
	enum player_ask ask;
	int64_t value;
} asks[] = {
	{REQUEST_PAUSE, PLAYER_PAUSE, 0},	{REQUEST_STEP_BACK, PLAYER_STEP, -1},
	{REQUEST_STEP_ON, PLAYER_STEP, 1},	{REQUEST_STEP_BACK_TEN, PLAYER_STEP, -10},
	{REQUEST_STEP_ON_TEN, PLAYER_STEP, 10}, {REQUEST_NEXT_FINDING, PLAYER_NEXT_FINDING, 0},
	{REQUEST_FASTER, PLAYER_FASTER, 0},	{REQUEST_SLOWER, PLAYER_SLOWER, 0},
	{REQUEST_GOTO, PLAYER_GOTO, 0},
};

bool play_request(struct play *p, enum request request, char *say, size_t size)
{
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		if (asks[i].request != request)
			continue;
		if (!p->player) {
			/* The display's own pause. */
			if (request == REQUEST_PAUSE)
				return false;
			snprintf(say, size, "this key is for a trace: stalltop replay FILE");
		} else if (request == REQUEST_GOTO) {
			p->typing = true;
			p->time[0] = '\0';
		} else {
			p->player->ask(p->player, asks[i].ask, asks[i].value);
		}
		return true;
	}
	return false;
}

/* Seconds of the day of "15:04:05" or "15:04". */
static bool parse_clock(const char *text, uint64_t *seconds)
{
	unsigned int hour, minute, second = 0;
	int used = 0;

	if (sscanf(text, "%2u:%2u%n", &hour, &minute, &used) != 2)
		return false;
	if (text[used] == ':') {
		int more = 0;

		if (sscanf(text + used, ":%2u%n", &second, &more) != 1)
			return false;
		used += more;
	}
	*seconds = hour * 3600ULL + minute * 60ULL + second;
	return !text[used] && hour < 24 && minute < 60 && second < 60;
}

int play_parse_time(const char *text, uint64_t begin_ns, uint64_t wall_offset_ns,
		    uint64_t *after_begin_ns)
{
	char with_unit[PLAY_TIME_SIZE + 2];
	uint64_t clock, begin = (begin_ns + wall_offset_ns) / NS_PER_SEC % DAY_SECONDS;

	if (strchr(text, ':')) {
		if (!parse_clock(text, &clock))
			return -EINVAL;
		*after_begin_ns = (clock + DAY_SECONDS - begin) % DAY_SECONDS * NS_PER_SEC;
		return 0;
	}
	if (!parse_duration(text, after_begin_ns))
		return 0;
	snprintf(with_unit, sizeof(with_unit), "%ss", text);
	return parse_duration(with_unit, after_begin_ns);
}

/* A time of day before the trace is one of the next day: what is in it is said, not what is behind. */
static void say_outside(bool clock, const struct player_state *state, uint64_t wall_offset_ns,
			char *say, size_t size)
{
	uint64_t begin = (state->begin_ns + wall_offset_ns) / NS_PER_SEC % DAY_SECONDS;
	uint64_t end = (state->end_ns + wall_offset_ns) / NS_PER_SEC % DAY_SECONDS;
	char length[FMT_SIZE];

	fmt_duration(length, sizeof(length), state->end_ns - state->begin_ns);
	if (clock)
		snprintf(say, size,
			 "the trace goes from %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64
			 " to %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " UTC, %s",
			 begin / 3600, begin / 60 % 60, begin % 60, end / 3600, end / 60 % 60,
			 end % 60, length);
	else
		snprintf(say, size, "the trace ends %s after its beginning", length);
}

static void typed(struct play *p, uint64_t wall_offset_ns, char *say, size_t size)
{
	struct player_state state;
	uint64_t after;

	p->typing = false;
	p->player->state(p->player, &state);
	if (!p->time[0])
		return;
	if (play_parse_time(p->time, state.begin_ns, wall_offset_ns, &after))
		snprintf(say, size, "\"%s\" is no time: 90s, 1m or 15:04:05", p->time);
	else if (after > state.end_ns - state.begin_ns)
		say_outside(strchr(p->time, ':') != NULL, &state, wall_offset_ns, say, size);
	else
		p->player->ask(p->player, PLAYER_GOTO, (int64_t)after);
}

void play_key(struct play *p, int key, uint64_t wall_offset_ns, char *say, size_t size)
{
	size_t length = strlen(p->time);

	if (key == '\r' || key == '\n')
		typed(p, wall_offset_ns, say, size);
	else if (key == KEY_ESCAPE)
		p->typing = false;
	else if ((key == KEY_DELETE || key == KEY_CTRL_H) && length)
		p->time[length - 1] = '\0';
	else if (key > ' ' && key < KEY_DELETE && length + 1 < sizeof(p->time)) {
		p->time[length] = (char)key;
		p->time[length + 1] = '\0';
	}
}

void play_title(const struct play *p, char *out, size_t size)
{
	char now[FMT_SIZE], all[FMT_SIZE], speed[32] = "";
	struct player_state state;

	out[0] = '\0';
	if (!p->player)
		return;
	p->player->state(p->player, &state);
	if (state.speed != 1)
		snprintf(speed, sizeof(speed), " x%g", state.speed);
	snprintf(out, size, "%s %s of %s%s",
		 state.searching ? "SEARCHING" :
		 state.ended	 ? "END" :
		 state.paused	 ? "PAUSED" :
				   "REPLAY",
		 fmt_duration(now, sizeof(now), state.now_ns - state.begin_ns),
		 fmt_duration(all, sizeof(all), state.end_ns - state.begin_ns), speed);
}

const char *play_text(const struct play *p)
{
	struct player_state state;

	if (!p->player)
		return NULL;
	p->player->state(p->player, &state);
	return state.text;
}
