// SPDX-License-Identifier: LGPL-2.1-or-later
/* diff: two traces of one service, played to their ends and compared (docs/diff.md). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "playing.h"
#include "sink/diff.h"
#include "version.h"

static int play(const struct opts *opts, const char *path, struct playing *p, struct err *err)
{
	int ret = playing_open(opts, path, "diff", p, err);

	if (ret)
		return ret;
	ret = playing_run(p);
	return ret < 0 ? err_set(err, ret, "%s: %s", path, strerror(-ret)) : 0;
}

static enum exit_code compare(const struct opts *opts, const struct playing *a,
			      const struct playing *b)
{
	const struct diff_side side_a = {a->model, a->rules, opts->files[0]};
	const struct diff_side side_b = {b->model, b->rules, opts->files[1]};
	enum exit_code code;
	struct diff d;
	int ret;

	diff_make(&d, &side_a, &side_b);
	ret = opts->json ? diff_json(&d, opts->fail_on, STALLTOP_VERSION, stdout) :
			   diff_text(&d, opts->fail_on, stdout, opts_color(opts, stdout));
	code = diff_failing(&d, opts->fail_on) ? EXIT_FINDINGS : EXIT_FINE;
	diff_free(&d);
	if (ret && ret != -EPIPE) {
		fprintf(stderr, "stalltop: standard output: %s\n", strerror(-ret));
		return EXIT_CANNOT_WRITE;
	}
	return code;
}

enum exit_code command_diff(const struct opts *opts)
{
	struct playing a = {0}, b = {0};
	struct err err = {0};
	enum exit_code code;
	int ret = play(opts, opts->files[0], &a, &err);

	if (!ret)
		ret = play(opts, opts->files[1], &b, &err);
	code = ret ? playing_error(&err) : compare(opts, &a, &b);
	playing_close(&a);
	playing_close(&b);
	return code;
}
