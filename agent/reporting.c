// SPDX-License-Identifier: LGPL-2.1-or-later
/* report: a trace played to its end, and what it comes to as text, JSON or a page. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "playing.h"
#include "sink/report.h"
#include "trace/replay.h"
#include "version.h"

#define WIDTH 160

/* Writing the page over what it tells of would be a pity. */
static bool is_trace(const struct trace_reader *trace, const char *path)
{
	struct stat a, b;

	return !fstat(trace->fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

static int write_page(const struct report *r, const char *path, struct err *err)
{
	bool out = !strcmp(path, "-");
	FILE *file = out ? stdout : fopen(path, "we");
	int ret = file ? report_html(file, r) : -errno;

	if (file && !out && fclose(file) && !ret)
		ret = -errno;
	if (ret && ret != -EPIPE)
		return err_set(err, ret, "cannot write %s: %s", path, strerror(-ret));
	return 0;
}

static int write_text(const struct report *r, const struct opts *opts, struct err *err)
{
	const struct text_style style = {
		.color = opts_color(opts, stdout),
		.width = WIDTH,
		.verbose = opts->verbose,
		.full_stack = opts->full_stack,
	};
	int ret = opts->json ? report_json(stdout, r) : report_text(stdout, r, &style);

	if (ret && ret != -EPIPE)
		return err_set(err, ret, "cannot write the report: %s", strerror(-ret));
	return 0;
}

static enum exit_code write_report(const struct report *r, const struct opts *opts)
{
	const struct outcome_opts asked = {.fail_on = opts->fail_on};
	struct outcome outcome;
	struct err err = {0};
	int ret = 0;

	if (!opts->html || strcmp(opts->html, "-") != 0)
		ret = write_text(r, opts, &err);
	if (!ret && opts->html)
		ret = write_page(r, opts->html, &err);
	if (ret) {
		report_error(&err);
		return EXIT_CANNOT_WRITE;
	}
	outcome_of(&outcome, r->snap, &asked);
	return opts->fail_on_given && outcome.failing ? EXIT_FINDINGS : EXIT_FINE;
}

static enum exit_code report_over(struct playing *p, const struct opts *opts)
{
	const struct trace_reader *trace = replay_reader(p->source);
	struct history *history = history_new(p->model, trace->chunks[0].first_ns,
					      replay_end(p->source));
	const struct report report = {
		.snap = &p->pipeline.snap,
		.history = history,
		.trace = trace,
		.version = STALLTOP_VERSION,
	};
	struct err err = {0};
	enum exit_code code;
	int ret;

	pipeline_add(&p->pipeline, &history->sink);
	ret = playing_run(p);
	if (ret < 0) {
		err_set(&err, ret, "cannot read %s: %s", trace->path, strerror(-ret));
		code = playing_error(&err);
	} else {
		code = write_report(&report, opts);
	}
	history->sink.ops->close(&history->sink);
	return code;
}

enum exit_code command_report(const struct opts *opts)
{
	struct playing playing;
	struct err err = {0};
	enum exit_code code;

	if (playing_open(opts, opts->files[0], "report", &playing, &err))
		return playing_error(&err);
	if (opts->html && is_trace(replay_reader(playing.source), opts->html)) {
		err_set(&err, -EINVAL, "--html %s is the trace itself; give another file",
			opts->html);
		code = report_error(&err);
	} else {
		code = report_over(&playing, opts);
	}
	playing_close(&playing);
	return code;
}
