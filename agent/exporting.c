// SPDX-License-Identifier: LGPL-2.1-or-later
/* export: a trace for another viewer; what each file holds, docs/export.md says. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "playing.h"
#include "sink/export.h"
#include "trace/replay.h"
#include "version.h"

static struct sink *sink_of(const struct opts *opts, FILE *out, const struct playing *p)
{
	switch (opts->export_to) {
	case EXPORT_PERFETTO:
		return perfetto_sink_new(out, p->model, p->pipeline.snap.wall_offset_ns);
	case EXPORT_FOLDED: return folded_sink_new(out, p->model, opts->export_stacks);
	case EXPORT_SPEEDSCOPE:
		return speedscope_sink_new(out, p->model, "stalltop " STALLTOP_VERSION);
	case EXPORT_NDJSON:
	case EXPORT_NONE: break;
	}
	return ndjson_sink_new(out);
}

/* The trace itself must not be what is written over. */
static bool is_same(const char *path, FILE *out)
{
	struct stat a, b;

	return !stat(path, &a) && !fstat(fileno(out), &b) && S_ISREG(b.st_mode) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_output(const struct opts *opts, FILE **out, struct err *err)
{
	const char *path = opts->output;

	if (!path || !strcmp(path, "-")) {
		if (opts->export_to == EXPORT_PERFETTO && isatty(STDOUT_FILENO))
			return err_set(err, -EINVAL,
				       "this is no text for a terminal; give -o FILE");
		*out = stdout;
		return 0;
	}
	/* Emptied only when it is known to be another file. */
	*out = fopen(path, "ae");
	if (!*out)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (is_same(opts->files[0], *out))
		return err_set(err, -EINVAL, "%s is the trace itself; give another file to -o",
			       path);
	if (ftruncate(fileno(*out), 0) && errno != EINVAL)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* A flame graph of nothing is an empty file, and no error; who looks at it should know why. */
static void say_empty(const struct opts *opts, const struct model *m)
{
	static const char *const words[STACK_KINDS] = {"of a block", "of a sample", "of a spawn",
						       "of a reference count"};
	uint64_t taken = 0;

	for (uint32_t i = 0; i < m->sites_count; i++)
		for (unsigned int kind = 0; m->sites[i].stacks && kind < STACK_KINDS; kind++)
			if (opts->export_to == EXPORT_SPEEDSCOPE || kind == opts->export_stacks)
				taken += m->sites[i].stacks->taken[kind];
	if (!taken)
		fprintf(stderr, "stalltop: no stack%s%s is in this trace\n",
			opts->export_to == EXPORT_FOLDED ? " " : "",
			opts->export_to == EXPORT_FOLDED ? words[opts->export_stacks] : "");
}

static int run(const struct opts *opts, struct playing *p, FILE *out, struct err *err)
{
	struct sink *sink = sink_of(opts, out, p);
	int ret;

	pipeline_add(&p->pipeline, sink);
	ret = playing_run(p);
	sink->ops->close(sink);
	if (ret == -EPIPE)
		return 0;
	if (ret < 0)
		return err_set(err, ret, "%s: %s", opts->output ? opts->output : "standard output",
			       strerror(-ret));
	if (opts->export_to == EXPORT_FOLDED || opts->export_to == EXPORT_SPEEDSCOPE)
		say_empty(opts, p->model);
	return 0;
}

static enum exit_code cannot_write(const struct err *err)
{
	report_error(err);
	return err->code == -EINVAL ? EXIT_USAGE : EXIT_CANNOT_WRITE;
}

enum exit_code command_export(const struct opts *opts)
{
	struct playing p;
	struct err err = {0};
	FILE *out = NULL;
	int ret = playing_open(opts, opts->files[0], "export", &p, &err);

	if (ret)
		return playing_error(&err);
	ret = open_output(opts, &out, &err);
	if (!ret)
		ret = run(opts, &p, out, &err);
	playing_close(&p);
	if (out && out != stdout && fclose(out) && !ret)
		ret = err_set(&err, -errno, "%s: %s", opts->output, strerror(errno));
	return ret ? cannot_write(&err) : EXIT_FINE;
}
