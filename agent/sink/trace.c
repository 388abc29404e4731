// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder to a file, with rotation; see trace.h. */
#include "sink/trace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "trace/recorder.h"
#include "util/xalloc.h"

struct trace_sink {
	struct sink sink;
	struct trace_sink_opts opts;
	struct recorder recorder;
	struct trace_file *file;
	struct err err;
	uint64_t bytes_before; /* in files that were closed */
	unsigned int files;
};

static int on_chunk(void *ctx, const struct chunk_head *head, const struct bytes *chunk)
{
	struct trace_sink *s = ctx;
	struct trace_info info = *s->opts.info;

	info.binaries = (const char *const *)s->recorder.binaries;
	info.binaries_count = s->recorder.binaries_count;
	return trace_file_add(s->file, &info, head, chunk, &s->err);
}

static int trace_event(struct sink *sink, const struct event *event)
{
	return recorder_event(&((struct trace_sink *)sink)->recorder, event);
}

/* path.6 becomes path.7, ..., path becomes path.1; what was path.(max - 1) goes. */
static int shift_files(struct trace_sink *s)
{
	for (unsigned int i = s->opts.max_files - 1; i > 0; i--) {
		char *to = xasprintf("%s.%u", s->opts.path, i);
		char *from = i > 1 ? xasprintf("%s.%u", s->opts.path, i - 1) :
				     xstrdup(s->opts.path);
		int ret = rename(from, to) && errno != ENOENT ? -errno : 0;

		if (ret)
			err_set(&s->err, ret, "cannot rename %s: %s", from, strerror(-ret));
		free(from);
		free(to);
		if (ret)
			return ret;
	}
	return 0;
}

/* What follows goes into a new file, which begins with what is known. */
static int rotate(struct trace_sink *s)
{
	int ret = trace_file_finish(s->file, &s->err);

	s->bytes_before += trace_file_size(s->file);
	trace_file_close(s->file);
	s->file = NULL;
	if (!ret)
		ret = shift_files(s);
	if (!ret)
		ret = trace_file_create(s->opts.path, &s->file, &s->err);
	s->files++;
	return ret;
}

static int announce(const void *model, event_fn fn, void *ctx)
{
	return model_announce(model, fn, ctx);
}

static int trace_snapshot(struct sink *sink, const struct snapshot *snap)
{
	struct trace_sink *s = (struct trace_sink *)sink;
	uint64_t now = snap->model->now_ns;
	bool full = s->opts.max_size && trace_file_size(s->file) >= s->opts.max_size;
	int ret;

	if (full) {
		ret = recorder_flush(&s->recorder);
		if (!ret)
			ret = rotate(s);
		if (ret)
			return ret;
	}
	if (full || recorder_wants_keyframe(&s->recorder, now))
		return recorder_keyframe(&s->recorder, now, announce, snap->model);
	return 0;
}

static int trace_finish(struct sink *sink, const struct snapshot *snap)
{
	struct trace_sink *s = (struct trace_sink *)sink;
	int ret;

	(void)snap;
	if (!s->file)
		return 0;
	ret = recorder_flush(&s->recorder);
	return ret ? ret : trace_file_finish(s->file, &s->err);
}

static void trace_close(struct sink *sink)
{
	struct trace_sink *s = (struct trace_sink *)sink;

	if (!s)
		return;
	recorder_free(&s->recorder);
	trace_file_close(s->file);
	free(s);
}

static const struct sink_ops trace_ops = {
	.event = trace_event,
	.snapshot = trace_snapshot,
	.finish = trace_finish,
	.close = trace_close,
};

int trace_sink_new(const struct trace_sink_opts *o, struct sink **out, struct err *err)
{
	struct trace_sink *s = xcalloc(1, sizeof(*s));
	int ret;

	s->sink.ops = &trace_ops;
	s->opts = *o;
	s->files = 1;
	ret = trace_file_create(o->path, &s->file, err);
	if (ret) {
		free(s);
		return ret;
	}
	recorder_init(&s->recorder, on_chunk, s);
	*out = &s->sink;
	return 0;
}

void trace_sink_progress(const struct sink *sink, struct trace_progress *out)
{
	const struct trace_sink *s = (const struct trace_sink *)sink;

	*out = (struct trace_progress){
		.bytes = s->bytes_before + (s->file ? trace_file_size(s->file) : 0),
		.events = s->recorder.events,
		.files = s->files,
	};
}

const struct err *trace_sink_error(const struct sink *sink)
{
	const struct trace_sink *s = (const struct trace_sink *)sink;

	return s->err.code ? &s->err : NULL;
}
