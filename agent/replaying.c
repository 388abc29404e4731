// SPDX-License-Identifier: LGPL-2.1-or-later
/* replay: a trace through the sinks of the live view; see core/player.h for what keys ask. */
#include <errno.h>
#include <signal.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "core/player.h"
#include "loop.h"
#include "playing.h"
#include "sink/sinks.h"
#include "trace/replay.h"
#include "tui/tui.h"
#include "util/clock.h"
#include "util/fmt.h"
#include "util/map.h"
#include "util/xalloc.h"
#include "version.h"

#define STEP_NS 200000000ULL  /* a moment: the ticks of a recording are this far apart */
#define SLICE_NS 100000000ULL /* of a search for a finding, between two looks at the keys */
#define WISHES_MAX 32
#define MAX_SPEED 64
#define MIN_SPEED 0.125

struct replaying {
	struct player player; /* first: what the view gets */
	const struct opts *opts;
	struct playing playing;
	struct sink *view, *report;
	struct loop *loop;
	int signal;

	bool paused, ended, searching;
	double speed;
	uint64_t clock_ns,
		base_ns; /* at this time of our clock, this time of the trace was shown */
	struct map open; /* findings that were open when last looked at: pointer -> 1 */
	size_t findings; /* how many there were */
	/* Asked for since the view was last listened to, in this order. */
	struct wish {
		enum player_ask ask;
		int64_t value;
	} wishes[WISHES_MAX];
	size_t wishes_count;
	char text[160];
};

/* --- the player ----------------------------------------------------------------------- */

static uint64_t now_of(const struct replaying *r)
{
	return replay_now(r->playing.source);
}

static void rebase(struct replaying *r)
{
	r->clock_ns = clock_ns(CLOCK_MONOTONIC);
	r->base_ns = now_of(r);
}

/* Without showing each moment on the way. 0, 1 at the end, -errno. */
static int run_until(struct replaying *r, uint64_t time_ns)
{
	struct pipeline *p = &r->playing.pipeline;
	int ret;

	p->quiet = true;
	ret = pipeline_until(p, time_ns);
	p->quiet = false;
	r->ended = ret == 1;
	return ret < 0 ? ret : 0;
}

static int go_to(struct replaying *r, uint64_t time_ns)
{
	struct source *source = r->playing.source;
	const struct trace_reader *reader = replay_reader(source);
	char text[FMT_SIZE];

	r->searching = false;
	if (time_ns < reader->begin_ns)
		time_ns = reader->begin_ns;
	if (time_ns < now_of(r) || replay_events_until(source, time_ns) > SEEK_EVENTS) {
		playing_restart(&r->playing);
		if (!replay_seek(source, time_ns, SEEK_BACK_NS, SEEK_EVENTS))
			snprintf(r->text, sizeof(r->text),
				 "read from %s on: what was over by then is not shown",
				 fmt_duration(text, sizeof(text), now_of(r) - reader->begin_ns));
	}
	return run_until(r, time_ns);
}

static int step(struct replaying *r, int64_t count)
{
	struct pipeline *p = &r->playing.pipeline;
	int ret = 0;

	r->paused = true;
	if (count < 0) {
		uint64_t back = (uint64_t)-count * STEP_NS, now = now_of(r);

		return go_to(r, now > back ? now - back : 0);
	}
	p->quiet = true;
	for (int64_t i = 0; i < count && !ret; i++)
		ret = pipeline_tick(p);
	p->quiet = false;
	r->ended = ret == 1;
	return ret < 0 ? ret : 0;
}

/* Which findings are open now, and how many there are. */
static void remember_findings(struct replaying *r)
{
	const struct finding **list;
	size_t count = rules_findings(r->playing.rules, &list);

	map_free(&r->open);
	map_init(&r->open, FINDINGS_MAX);
	r->findings = count;
	for (size_t i = 0; i < count; i++)
		if (list[i]->open)
			map_put(&r->open, (uintptr_t)list[i], 0, 1);
}

/* Whether there is one that was not open, or not there, when they were remembered. */
static bool finding_began(const struct replaying *r)
{
	const struct finding **list;
	size_t count = rules_findings(r->playing.rules, &list);

	for (size_t i = 0; i < count; i++)
		if (list[i]->open && map_get(&r->open, (uintptr_t)list[i], 0) == MAP_NONE)
			return true;
	return count > r->findings;
}

static void search_begin(struct replaying *r)
{
	r->searching = true;
	r->paused = true;
	remember_findings(r);
}

/* A slice of the search: keys are looked at in between. */
static int search(struct replaying *r)
{
	struct pipeline *p = &r->playing.pipeline;
	uint64_t begin = clock_ns(CLOCK_MONOTONIC);
	bool found = false;
	int ret = 0;

	p->quiet = true;
	while (!ret && !found && clock_ns(CLOCK_MONOTONIC) - begin < SLICE_NS) {
		ret = pipeline_tick(p);
		found = finding_began(r);
		/* One that was open may have closed: then it can open again. */
		if (!found)
			remember_findings(r);
	}
	p->quiet = false;
	r->ended = ret == 1;
	r->searching = !found && !r->ended;
	if (found)
		snprintf(r->text, sizeof(r->text), "a finding opened");
	else if (r->ended)
		snprintf(r->text, sizeof(r->text), "no further finding opens: this is the end");
	return ret < 0 ? ret : 0;
}

static void set_speed(struct replaying *r, double speed)
{
	r->speed = speed > MAX_SPEED ? MAX_SPEED : speed < MIN_SPEED ? MIN_SPEED : speed;
}

static int grant(struct replaying *r, const struct wish *wish)
{
	uint64_t begin = replay_reader(r->playing.source)->begin_ns;
	int ret = 0;

	r->text[0] = '\0';
	switch (wish->ask) {
	case PLAYER_PAUSE:
		r->paused = !r->paused;
		r->searching = false;
		break;
	case PLAYER_STEP: ret = step(r, wish->value); break;
	case PLAYER_GOTO: ret = go_to(r, begin + (uint64_t)wish->value); break;
	case PLAYER_NEXT_FINDING: search_begin(r); break;
	case PLAYER_FASTER: set_speed(r, r->speed * 2); break;
	case PLAYER_SLOWER: set_speed(r, r->speed / 2); break;
	}
	rebase(r);
	return ret;
}

static int act(struct replaying *r)
{
	int ret = 0;

	for (size_t i = 0; i < r->wishes_count && !ret; i++)
		ret = grant(r, &r->wishes[i]);
	r->wishes_count = 0;
	return ret ? ret : pipeline_redraw(&r->playing.pipeline);
}

static void player_ask(struct player *player, enum player_ask ask, int64_t value)
{
	struct replaying *r = (struct replaying *)player;

	/* Nobody types so many between two looks; a paste may. */
	if (r->wishes_count < WISHES_MAX)
		r->wishes[r->wishes_count++] = (struct wish){ask, value};
}

static void player_state(const struct player *player, struct player_state *out)
{
	const struct replaying *r = (const struct replaying *)player;

	*out = (struct player_state){
		.begin_ns = replay_reader(r->playing.source)->begin_ns,
		.end_ns = replay_end(r->playing.source),
		.now_ns = now_of(r),
		.paused = r->paused,
		.ended = r->ended,
		.searching = r->searching,
		.speed = r->speed,
		.text = r->text[0] ? r->text : NULL,
	};
}

/* --- the loop ---------------------------------------------------------------------------- */

static int on_tick(void *ctx)
{
	struct replaying *r = ctx;
	uint64_t passed;
	int ret;

	if (r->searching) {
		ret = search(r);
		rebase(r);
		return ret ? ret : pipeline_redraw(&r->playing.pipeline);
	}
	if (r->paused || r->ended)
		return 0;
	passed = (uint64_t)((double)(clock_ns(CLOCK_MONOTONIC) - r->clock_ns) * r->speed);
	/* However fast it goes, one picture a time. */
	ret = run_until(r, r->base_ns + passed);
	return ret ? ret : pipeline_redraw(&r->playing.pipeline);
}

static int on_input(void *ctx)
{
	struct replaying *r = ctx;
	int ret = r->view->ops->input(r->view, &r->playing.pipeline.snap);

	if (ret == 1)
		return LOOP_STOP;
	return !ret && r->wishes_count ? act(r) : ret;
}

static int on_signal(void *ctx, int signal)
{
	struct replaying *r = ctx;

	if (signal == SIGWINCH)
		return pipeline_redraw(&r->playing.pipeline);
	r->signal = signal;
	return LOOP_STOP;
}

static struct sink *text_sink(const struct opts *o, FILE *out, bool color, unsigned int width)
{
	return text_sink_new(out, &(struct text_sink_opts){
					  .color = color,
					  .width = width,
					  .verbose = o->verbose,
					  .full_stack = o->full_stack,
					  .outcome = {.fail_on = o->fail_on},
				  });
}

static struct sink *plain_sink(const struct opts *o)
{
	struct json_sink_opts json = {
		.version = STALLTOP_VERSION,
		.outcome = {.fail_on = o->fail_on},
	};

	return o->json ? json_sink_new(stdout, &json) :
			 text_sink(o, stdout, opts_color(o, stdout), 0);
}

/* The report up to the moment that is shown. */
static void on_report(void *ctx, const struct snapshot *snap, int width, FILE *out)
{
	struct replaying *r = ctx;
	struct sink *text = text_sink(r->opts, out, false, (unsigned int)width);

	text->ops->finish(text, snap);
	text->ops->close(text);
}

/* Everything at once, as for a pipe: what `top` printed, or would have printed. */
static int play_plain(struct replaying *r, const struct opts *opts)
{
	r->report = plain_sink(opts);
	pipeline_add(&r->playing.pipeline, r->report);
	return playing_run(&r->playing);
}

static int play_view(struct replaying *r, struct err *err)
{
	int ret = loop_new(on_signal, r, &r->loop, err);

	if (ret)
		return ret;
	pipeline_add(&r->playing.pipeline, r->view);
	ret = loop_watch(r->loop, r->view->ops->fd(r->view), on_input, r);
	if (!ret)
		ret = loop_every(r->loop, r->playing.source->ops->interval_ms(r->playing.source),
				 on_tick, r);
	/* The first moment is shown at once. */
	if (!ret)
		ret = pipeline_tick(&r->playing.pipeline);
	rebase(r);
	if (ret >= 0)
		ret = loop_run(r->loop);
	if (ret >= 0) {
		r->view->ops->close(r->view);
		r->view = NULL;
		ret = r->report->ops->finish(r->report, &r->playing.pipeline.snap);
	}
	return ret;
}

static int play(struct replaying *r, const struct opts *opts, struct err *err)
{
	static const enum tui_color colors[] = {
		[COLOR_AUTO] = TUI_COLOR_AUTO,
		[COLOR_ALWAYS] = TUI_COLOR_ALWAYS,
		[COLOR_NEVER] = TUI_COLOR_NEVER,
	};
	const struct tui_opts tui = {
		.color = colors[opts->color],
		.in_fd = STDIN_FILENO,
		.full_stack = opts->full_stack,
		.report = on_report,
		.ctx = r,
		.player = &r->player,
	};
	int ret;

	r->player = (struct player){.ask = player_ask, .state = player_state};
	r->speed = 1;
	r->view = opts->json ? NULL : tui_sink_new(&tui, NULL);
	if (r->view) {
		r->report = plain_sink(opts);
		ret = play_view(r, err);
	} else {
		ret = play_plain(r, opts);
	}
	if (ret < 0 && ret != -EPIPE)
		return err->code ? err->code : output_error(err, ret);
	return 0;
}

enum exit_code command_replay(const struct opts *opts)
{
	struct replaying r = {.opts = opts};
	struct err err = {0};
	int ret = playing_open(opts, opts->files[0], "replay", &r.playing, &err);

	if (ret)
		return playing_error(&err);
	ret = play(&r, opts, &err);
	if (r.view)
		r.view->ops->close(r.view);
	if (r.report)
		r.report->ops->close(r.report);
	loop_free(r.loop);
	map_free(&r.open);
	playing_close(&r.playing);
	if (ret)
		return playing_error(&err);
	return r.signal ? 128 + r.signal : EXIT_FINE;
}
