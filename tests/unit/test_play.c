// SPDX-License-Identifier: LGPL-2.1-or-later
/* The keys for a trace: what is asked of the player, and the times that can be typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tui/play.h"

#define SEC 1000000000ULL
#define BEGIN (5000 * SEC)
/* The beginning is 10:00:00 UTC of some day. */
#define WALL (20000ULL * 86400 * SEC + 36000 * SEC - BEGIN)

struct fake {
	struct player player;
	int asked;
	enum player_ask ask;
	int64_t value;
	bool paused;
};

static void fake_ask(struct player *player, enum player_ask ask, int64_t value)
{
	struct fake *f = (struct fake *)player;

	f->asked++;
	f->ask = ask;
	f->value = value;
}

static void fake_state(const struct player *player, struct player_state *out)
{
	*out = (struct player_state){
		.begin_ns = BEGIN,
		.end_ns = BEGIN + 120 * SEC,
		.now_ns = BEGIN + 12 * SEC,
		.paused = ((const struct fake *)player)->paused,
		.speed = 2,
	};
}

static void times(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds; /* UINT64_MAX: refused */
	} rows[] = {
		{"90s", 90},
		{"1m", 60},
		{"12", 12},
		{"0", 0},
		{"10:00:00", 0},
		{"10:01:30", 90},
		{"10:02", 120},
		{"09:59:59", 86399},
		{"", UINT64_MAX},
		{"x", UINT64_MAX},
		{"24:00", UINT64_MAX},
		{"10:60", UINT64_MAX},
		{"10:", UINT64_MAX},
		{"10:1:1x", UINT64_MAX},
		{"-5s", UINT64_MAX},
		{"1:2:3:4", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t got = 0;
		int ret = play_parse_time(rows[i].text, BEGIN, WALL, &got);

		if (rows[i].seconds == UINT64_MAX ? !ret : ret || got != rows[i].seconds * SEC)
			fail_msg("\"%s\": %d, %llu", rows[i].text, ret, (unsigned long long)got);
	}
}

static void type(struct play *p, const char *keys, char *say, size_t size)
{
	say[0] = '\0';
	for (; *keys; keys++)
		play_key(p, *keys, WALL, say, size);
}

static void keys(void **state)
{
	struct fake f = {.player = {.ask = fake_ask, .state = fake_state}};
	struct play p = {.player = &f.player};
	char say[160] = "";

	(void)state;
	assert_true(play_request(&p, REQUEST_STEP_BACK_TEN, say, sizeof(say)));
	assert_int_equal(f.ask, PLAYER_STEP);
	assert_int_equal(f.value, -10);
	assert_true(play_request(&p, REQUEST_PAUSE, say, sizeof(say)));
	assert_int_equal(f.ask, PLAYER_PAUSE);
	assert_false(play_request(&p, REQUEST_UP, say, sizeof(say)));
	assert_int_equal(f.asked, 2);

	assert_true(play_request(&p, REQUEST_GOTO, say, sizeof(say)));
	assert_true(p.typing);
	type(&p, "1x\177m\r", say, sizeof(say));
	assert_false(p.typing);
	assert_int_equal(f.ask, PLAYER_GOTO);
	assert_int_equal(f.value, 60 * SEC);
	assert_int_equal(f.asked, 3);

	/* Behind the end, no time at all, given up, nothing typed: nothing is asked. */
	play_request(&p, REQUEST_GOTO, say, sizeof(say));
	type(&p, "1h\r", say, sizeof(say));
	assert_non_null(strstr(say, "ends 2 min 0 s"));
	/* A time of day before the trace is not behind it. */
	play_request(&p, REQUEST_GOTO, say, sizeof(say));
	type(&p, "09:59\r", say, sizeof(say));
	assert_non_null(strstr(say, "goes from 10:00:00 to 10:02:00 UTC"));
	play_request(&p, REQUEST_GOTO, say, sizeof(say));
	type(&p, "soon\r", say, sizeof(say));
	assert_non_null(strstr(say, "is no time"));
	play_request(&p, REQUEST_GOTO, say, sizeof(say));
	type(&p, "5\033", say, sizeof(say));
	play_request(&p, REQUEST_GOTO, say, sizeof(say));
	type(&p, "\r", say, sizeof(say));
	assert_int_equal(f.asked, 3);
	/* More than there is room for is left out. */
	play_request(&p, REQUEST_GOTO, say, sizeof(say));
	type(&p, "111111111111111111111111111111111111111", say, sizeof(say));
	assert_int_equal(strlen(p.time), PLAY_TIME_SIZE - 1);
}

static void titles(void **state)
{
	struct fake f = {.player = {.ask = fake_ask, .state = fake_state}};
	struct play p = {.player = &f.player}, live = {0};
	char text[96];

	(void)state;
	play_title(&p, text, sizeof(text));
	assert_string_equal(text, "REPLAY 12.0 s of 2 min 0 s x2");
	f.paused = true;
	play_title(&p, text, sizeof(text));
	assert_string_equal(text, "PAUSED 12.0 s of 2 min 0 s x2");
	play_title(&live, text, sizeof(text));
	assert_string_equal(text, "");
	/* Live, Space is the display's own; the other keys say where they belong. */
	assert_false(play_request(&live, REQUEST_PAUSE, text, sizeof(text)));
	assert_true(play_request(&live, REQUEST_GOTO, text, sizeof(text)));
	assert_non_null(strstr(text, "stalltop replay"));
	assert_false(live.typing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
		cmocka_unit_test(keys),
		cmocka_unit_test(titles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
