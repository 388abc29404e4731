// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * top, check, dump, record and rules list TARGET: joins the live source to the sinks and runs the
 * loop.
 */
#include "ask.h"
#include "attach/live.h"
#include "commands.h"
#include "dryrun.h"
#include "loop.h"
#include "pipeline.h"
#include "recording.h"
#include "sink/sinks.h"
#include "targets.h"
#include "tui/tui.h"
#include "util/xalloc.h"
#include "version.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define CHILD_GRACE_MS 5000

static const char *const names[CMD_COUNT] = {
	[CMD_TOP] = "top",	 [CMD_CHECK] = "check", [CMD_DUMP] = "dump",
	[CMD_RECORD] = "record", [CMD_RULES] = "rules",
};

struct session {
	const struct opts *opts;
	struct pipeline pipeline;
	struct source *source;
	struct model *model;
	struct rules *rules;
	struct sink *sink;	     /* text, JSON, or the live view */
	struct recording *recording; /* NULL: nothing is kept */
	struct sink *report;	     /* after the live view: the final report as text */
	struct loop *loop;
	pid_t child; /* started by us */
	int signal;  /* that ended it, 0 none */
	unsigned int ticks_after_end;
};

/* For the stacks of the last blocks, which come a moment later. */
#define TICKS_AFTER_END 5

static int on_source(void *ctx)
{
	return pipeline_drain(&((struct session *)ctx)->pipeline);
}

/*
 * The live view stays open when its target has ended, and is left by a key. Its clock stops: else rates
 * fell to nothing and what was open at the end closed, as if that had been seen.
 */
static int on_tick(void *ctx)
{
	struct session *s = ctx;
	int ret;

	if (s->ticks_after_end >= TICKS_AFTER_END)
		return 0;
	ret = pipeline_tick(&s->pipeline);
	loop_pace(s->loop, s->source->ops->interval_ms(s->source));
	if (ret != 1)
		return ret;
	s->ticks_after_end++;
	return s->report ? 0 : LOOP_STOP;
}

static int on_input(void *ctx)
{
	struct session *s = ctx;
	int ret = s->sink->ops->input(s->sink, &s->pipeline.snap);

	return ret == 1 ? LOOP_STOP : ret;
}

static int on_duration(void *ctx)
{
	int ret = pipeline_tick(&((struct session *)ctx)->pipeline);

	return ret < 0 ? ret : LOOP_STOP;
}

/* Without a flight recorder there is nothing to write, and SIGUSR1 does nothing. */
static void write_flight(struct session *s, const char *cause)
{
	char text[400];

	if (s->recording && recording_write(s->recording, cause, text, sizeof(text)) != -ENOTSUP &&
	    s->opts->command == CMD_RECORD)
		fprintf(stderr, "stalltop: %s\n", text);
}

static int on_signal(void *ctx, int signal)
{
	struct session *s = ctx;

	if (signal == SIGWINCH)
		return pipeline_redraw(&s->pipeline);
	if (signal == SIGUSR1) {
		write_flight(s, "SIGUSR1");
		return 0;
	}
	s->signal = signal;
	return LOOP_STOP;
}

static struct outcome_opts outcome_opts(const struct opts *o)
{
	return (struct outcome_opts){
		.fail_on = o->fail_on,
		.max_loss_given = o->max_loss_given,
		.max_loss = o->max_loss,
	};
}

/* The live view shows how it goes by itself; a recording has a line of its own. */
static FILE *progress_out(const struct opts *o)
{
	return o->command == CMD_TOP || o->command == CMD_RECORD ? NULL : stderr;
}

static struct sink *text_sink(const struct opts *o, FILE *out, bool color, int width)
{
	struct text_sink_opts text = {
		.color = color,
		.width = (unsigned int)width,
		.verbose = o->verbose,
		.full_stack = o->full_stack,
		.outcome = outcome_opts(o),
		.progress =
			{
				.out = progress_out(o),
				.terminal = isatty(STDERR_FILENO),
				.duration_ns = o->duration_ns,
			},
	};

	return text_sink_new(out, &text);
}

static const enum tui_color tui_colors[] = {
	[COLOR_AUTO] = TUI_COLOR_AUTO,
	[COLOR_ALWAYS] = TUI_COLOR_ALWAYS,
	[COLOR_NEVER] = TUI_COLOR_NEVER,
};

/* What is written to a pipe must be the trace alone. */
static struct sink *text_of_watch(const struct opts *o)
{
	FILE *out = o->output && !strcmp(o->output, "-") ? stderr : stdout;

	return text_sink(o, out, opts_color(o, out), 0);
}

static void on_ask(void *ctx, enum tui_ask what, char *answer, size_t size)
{
	struct session *s = ctx;
	struct asker asker = {.rules = s->rules, .source = s->source, .recording = s->recording};

	ask_answer(&asker, what, answer, size);
}

static void on_report(void *ctx, const struct snapshot *snap, int width, FILE *out)
{
	struct session *s = ctx;
	struct sink *text = text_sink(s->opts, out, false, width);

	text->ops->finish(text, snap);
	text->ops->close(text);
}

/* The live view where there is a terminal for it; text everywhere else. */
static void choose_sink(struct session *s)
{
	const struct opts *o = s->opts;
	struct tui_opts tui = {
		.color = tui_colors[o->color],
		.in_fd = STDIN_FILENO,
		.full_stack = o->full_stack,
		.ask = on_ask,
		.report = on_report,
		.ctx = s,
	};
	struct json_sink_opts json = {
		.version = STALLTOP_VERSION,
		.outcome = outcome_opts(o),
		.progress =
			{
				.out = progress_out(o),
				.terminal = isatty(STDERR_FILENO),
				.duration_ns = o->duration_ns,
			},
	};

	if (o->command == CMD_RULES) {
		s->sink = arming_sink_new(stdout);
		return;
	}
	if (o->json) {
		s->sink = json_sink_new(stdout, &json);
		return;
	}
	if (o->command == CMD_TOP) {
		s->sink = tui_sink_new(&tui, NULL);
		if (s->sink) {
			s->recording = recording_of_view(o);
			s->report = text_of_watch(o);
			return;
		}
	}
	s->sink = text_of_watch(o);
}

static const struct {
	const char *name;
	size_t flag;
} features[] = {
	{"sampling", offsetof(struct live_opts, no_sampling)},
	{"queues", offsetof(struct live_opts, no_queues)},
	{"stacks", offsetof(struct live_opts, no_stacks)},
	{"spawns", offsetof(struct live_opts, no_spawns)},
};

static int set_features(const struct opts *o, struct live_opts *live, struct err *err)
{
	for (size_t i = 0; i < o->no_features.count; i++) {
		bool known = false;

		for (size_t j = 0; j < sizeof(features) / sizeof(features[0]); j++) {
			if (strcmp(o->no_features.v[i], features[j].name))
				continue;
			*(bool *)((char *)live + features[j].flag) = true;
			known = true;
		}
		if (!known)
			return err_set(err, -EINVAL,
				       "there is no feature %s: sampling, queues, stacks and "
				       "spawns can be switched off",
				       o->no_features.v[i]);
	}
	return 0;
}

static int open_source(struct session *s, struct targets *targets, struct err *err)
{
	struct live_opts live = {
		.level = s->opts->level,
		.threshold_ns = rules_poll_threshold_ns(s->rules),
		.overhead_ratio = s->opts->overhead_ratio,
		.ring_bytes = s->opts->ring_bytes,
		.child = targets->launch.pid,
		.exact = s->opts->exact,
		.overhead_check = s->opts->overhead_check,
		.polls = s->opts->polls,
		.fresh_tasks = s->opts->command == CMD_DUMP,
		.debuginfod = targets->debuginfod,
	};
	int ret = set_features(s->opts, &live, err);

	if (ret)
		return ret;
	ret = live_open(&live, targets->watches, targets->count, &s->source, err);
	targets->count = 0; /* taken over, also on error */
	if (ret || !targets->launch.pid)
		return ret;
	ret = launch_release(&targets->launch, err);
	if (!ret) {
		s->child = targets->launch.pid;
		targets->launch.pid = 0;
	}
	return ret;
}

static int set_loop(struct session *s, struct err *err)
{
	struct sink *sink = s->sink;
	int ret;

	ret = loop_watch(s->loop, s->source->ops->fd(s->source), on_source, s);
	if (!ret)
		ret = loop_every(s->loop, s->source->ops->interval_ms(s->source), on_tick, s);
	if (!ret && sink->ops->fd)
		ret = loop_watch(s->loop, sink->ops->fd(sink), on_input, s);
	if (!ret && s->opts->duration_ns)
		ret = loop_after(s->loop, s->opts->duration_ns, on_duration, s);
	return ret ? err_set(err, ret, "cannot set up the event loop: %s", strerror(-ret)) : 0;
}

/* Ended by a signal, and the terminal is gone, or nobody reads what it prints: no report, then. */
static bool is_stuck(const struct session *s)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return s->signal == SIGHUP || (s->signal && poll(&out, 1, 0) == 0);
}

static int run(struct session *s, struct err *err)
{
	int ret;

	pipeline_init(&s->pipeline, s->source, s->model, s->rules, names[s->opts->command]);
	if (s->recording)
		recording_join(s->recording, &s->pipeline);
	pipeline_add(&s->pipeline, s->sink);
	ret = set_loop(s, err);
	if (ret)
		return ret;
	ret = pipeline_tick(&s->pipeline);
	if (!ret)
		ret = loop_run(s->loop);
	if (ret >= 0) {
		ret = pipeline_finish(&s->pipeline);
		if (s->report) {
			s->sink->ops->close(s->sink);
			s->sink = NULL;
			if (!ret && !is_stuck(s))
				ret = s->report->ops->finish(s->report, &s->pipeline.snap);
		}
	}
	if (ret < 0 && s->recording) {
		recording_finish(s->recording, &s->pipeline.snap);
		if (recording_error(s->recording)) {
			*err = *recording_error(s->recording);
			return err->code;
		}
	}
	return ret < 0 && ret != -EPIPE ? output_error(err, ret) : 0;
}

static enum exit_code exit_code_of(const struct session *s)
{
	struct outcome_opts asked = outcome_opts(s->opts);
	struct outcome seen;

	if (s->signal)
		return 128 + s->signal;
	outcome_of(&seen, &s->pipeline.snap, &asked);
	if (seen.too_much_lost)
		return EXIT_LOSS;
	return s->opts->command == CMD_CHECK && seen.failing ? EXIT_FINDINGS : EXIT_FINE;
}

static void sink_close(struct sink *sink)
{
	if (sink)
		sink->ops->close(sink);
}

static void session_close(struct session *s)
{
	sink_close(s->sink);
	sink_close(s->report);
	recording_close(s->recording);
	if (s->source)
		s->source->ops->close(s->source);
	if (s->child)
		launch_end(s->child, CHILD_GRACE_MS);
	loop_free(s->loop);
	rules_free(s->rules);
	model_free(s->model);
}

/* Of a large program, or on a busy machine, the screen would stay empty for seconds. */
static void say_attaching(const struct opts *o)
{
	if (o->command == CMD_TOP && !o->json && !o->dry_run && isatty(STDOUT_FILENO) &&
	    isatty(STDERR_FILENO))
		fputs("attaching: finding runtimes and task types ...\n", stderr);
}

enum exit_code command_watch(const struct opts *opts)
{
	struct session s = {.opts = opts};
	struct targets targets = {0};
	struct err err = {0};
	bool unwritable = false;
	enum exit_code code;
	int ret;

	ret = load_rules(opts, &s.rules, &err);
	if (!ret) {
		say_attaching(opts);
		ret = recording_open(opts, &s.recording, &err);
		unwritable = ret != 0;
	}
	if (!ret)
		ret = targets_open(opts, &targets, &err);
	if (!ret && opts->dry_run) {
		for (size_t i = 0; i < targets.count; i++)
			report_notes(targets.watches[i]);
		report_fetched(targets.debuginfod);
		dryrun_print(stdout, targets.watches, targets.count, opts->level, opts->exact);
		goto out;
	}
	if (!ret)
		ret = loop_new(on_signal, &s, &s.loop, &err);
	if (!ret)
		ret = open_source(&s, &targets, &err);
	if (ret)
		goto out;
	s.model = model_new();
	choose_sink(&s);
	ret = run(&s, &err);
	unwritable = is_output_error(ret) ||
		     (opts->command == CMD_RECORD && s.recording && recording_error(s.recording));
out:
	code = ret ? report_error(&err) : opts->dry_run ? EXIT_FINE : exit_code_of(&s);
	if (unwritable)
		code = EXIT_CANNOT_WRITE;
	session_close(&s);
	targets_close(&targets);
	return code;
}
