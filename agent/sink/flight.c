// SPDX-License-Identifier: LGPL-2.1-or-later
/* The flight recorder: the last minute in memory, written when something happened; see trace.h. */
#include "sink/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "trace/recorder.h"
#include "trace/ring.h"
#include "util/fmt.h"
#include "util/map.h"
#include "util/xalloc.h"

#define NS_PER_SEC 1000000000ULL
#define HOUR_NS (3600 * NS_PER_SEC)
#define SAME_SECOND 100 /* files of one name and second that are told apart */

struct flight {
	struct sink sink;
	struct flight_opts opts;
	struct recorder recorder;
	struct trace_ring ring;
	struct map seen; /* rule and what it is about -> last_ns << 1 | open, at the last tick */
	uint64_t now_ns;
	uint64_t due_ns;  /* when a file is to be written; 0: none is */
	uint64_t from_ns; /* what is kept from: opts.last_ns before now, or before the cause */
	char cause[96];
	uint64_t *written_ns; /* of the last max_per_hour files, a ring */
	unsigned int files;
	bool refused; /* a cause came within the hour that had its files: said once */
	struct err err;
};

static int on_chunk(void *ctx, const struct chunk_head *head, const struct bytes *chunk)
{
	ring_add(&((struct flight *)ctx)->ring, head, chunk);
	return 0;
}

static void tell(const struct flight *f, const char *text)
{
	if (f->opts.told)
		f->opts.told(f->opts.ctx, text);
}

/* "dir/F.trace" becomes "dir/F-20261125T025312Z.trace"; a second one of that second "...Z-2.trace". */
static char *file_name(const struct flight *f)
{
	time_t wall = (time_t)((f->now_ns + f->opts.info->wall_offset_ns) / NS_PER_SEC);
	const char *slash = strrchr(f->opts.path, '/');
	const char *dot = strrchr(slash ? slash : f->opts.path, '.');
	int stem = (int)(dot ? dot - f->opts.path : (ptrdiff_t)strlen(f->opts.path));
	char time[32] = "", again[16] = "";
	char *name = NULL;
	struct tm tm;

	if (gmtime_r(&wall, &tm))
		strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", &tm);
	for (int i = 2; i < SAME_SECOND; i++) {
		free(name);
		name = xasprintf("%.*s-%s%s%s", stem, f->opts.path, time, again, dot ? dot : "");
		if (access(name, F_OK))
			break;
		snprintf(again, sizeof(again), "-%d", i);
	}
	return name;
}

/* A file that does not go back as far as was asked for says so. */
static void tell_written(const struct flight *f, const char *name, const char *cause, char *text,
			 size_t size)
{
	char last[FMT_SIZE], budget[FMT_SIZE];

	if (f->ring.cut_ns <= f->from_ns) {
		snprintf(text, size, "wrote %s (%s)", name, cause);
		return;
	}
	snprintf(text, size, "wrote %s (%s): only the last %s, more does not fit into %s of memory",
		 name, cause, fmt_duration(last, sizeof(last), f->now_ns - f->ring.cut_ns),
		 fmt_bytes(budget, sizeof(budget), f->ring.budget));
}

static int write_file(struct flight *f, const char *cause, char *text, size_t size)
{
	struct trace_info info = *f->opts.info;
	char *name = file_name(f);
	int ret = recorder_flush(&f->recorder);

	info.binaries = (const char *const *)f->recorder.binaries;
	info.binaries_count = f->recorder.binaries_count;
	if (!ret)
		ret = ring_write(&f->ring, name, &info, &f->err);
	if (ret)
		snprintf(text, size, "no trace written (%s): %s", cause, f->err.msg);
	else
		tell_written(f, name, cause, text, size);
	f->files += !ret;
	free(name);
	return ret;
}

/* Whether the hour has room for one more; then it is taken. */
static bool take_turn(struct flight *f)
{
	uint64_t *oldest = f->written_ns;

	for (unsigned int i = 1; i < f->opts.max_per_hour; i++)
		if (f->written_ns[i] < *oldest)
			oldest = &f->written_ns[i];
	if (*oldest && f->now_ns - *oldest < HOUR_NS)
		return false;
	*oldest = f->now_ns;
	return true;
}

static void look_back(struct flight *f)
{
	f->from_ns = f->now_ns > f->opts.last_ns ? f->now_ns - f->opts.last_ns : 0;
}

/* Something happened: a file is due, a little later, so that it shows what followed. */
static void cause(struct flight *f, const char *text)
{
	char said[160];

	if (f->due_ns)
		return;
	if (!take_turn(f)) {
		if (!f->refused) {
			snprintf(said, sizeof(said),
				 "no trace written (%s): %u files in an hour are the limit", text,
				 f->opts.max_per_hour);
			tell(f, said);
		}
		f->refused = true;
		return;
	}
	f->refused = false;
	snprintf(f->cause, sizeof(f->cause), "%s", text);
	f->due_ns = f->now_ns + f->opts.after_ns;
	look_back(f);
}

/* An end of which is not known how it was is taken for a death. */
static bool is_death(const struct ev_target_end *end)
{
	return end->reason == TARGET_EXITED &&
	       (end->status < 0 || WIFSIGNALED(end->status) || WEXITSTATUS(end->status));
}

static int flight_event(struct sink *sink, const struct event *event)
{
	struct flight *f = (struct flight *)sink;
	char text[64];

	if (event->time_ns > f->now_ns)
		f->now_ns = event->time_ns;
	if (event->kind == EV_TARGET_END && f->opts.on_death && is_death(&event->as_target_end)) {
		int status = event->as_target_end.status;

		if (status < 0)
			snprintf(text, sizeof(text), "the target ended");
		else if (WIFSIGNALED(status))
			snprintf(text, sizeof(text), "the target died by signal %d",
				 WTERMSIG(status));
		else
			snprintf(text, sizeof(text), "the target ended with status %d",
				 WEXITSTATUS(status));
		cause(f, text);
	}
	return recorder_event(&f->recorder, event);
}

/*
 * Whether the finding began to hold since the last tick: it opened, or, where it is one that never
 * stays open, it occurred again.
 */
static bool began(struct flight *f, const struct finding *x)
{
	uint32_t about = x->site != ID_NONE ? x->site : x->runtime != ID_NONE ? x->runtime : x->tid;
	uint64_t key = (uint64_t)x->target << 32 | about;
	uint64_t now = x->last_ns << 1 | x->open;
	uint64_t before = map_get(&f->seen, (uintptr_t)x->rule, key);

	map_put(&f->seen, (uintptr_t)x->rule, key, now);
	if (before == MAP_NONE)
		return true;
	return !(before & 1) && (x->open || before != now);
}

static void look_at_findings(struct flight *f, const struct rules *rules)
{
	const struct finding **list;
	size_t count = rules_findings(rules, &list);

	for (size_t i = 0; i < count; i++) {
		const struct finding *x = list[i];
		struct rule_info info;
		char text[96];

		if (x->cause.rule || x->alarm < f->opts.severity || !began(f, x))
			continue;
		rule_info_of(x->rule, &info);
		snprintf(text, sizeof(text), "%s %.60s", severity_name(x->alarm), info.id);
		cause(f, text);
	}
}

static void write_due(struct flight *f)
{
	char text[400];

	f->due_ns = 0;
	write_file(f, f->cause, text, sizeof(text));
	tell(f, text);
}

static int announce(const void *model, event_fn fn, void *ctx)
{
	return model_announce(model, fn, ctx);
}

static int flight_snapshot(struct sink *sink, const struct snapshot *snap)
{
	struct flight *f = (struct flight *)sink;
	uint64_t now = f->now_ns;
	int ret = 0;

	if (recorder_wants_keyframe(&f->recorder, now) || ring_wants_keyframe(&f->ring))
		ret = recorder_keyframe(&f->recorder, now, announce, snap->model);
	/* What was before the cause is kept until its file is written. */
	if (!f->due_ns)
		look_back(f);
	ring_trim(&f->ring, f->from_ns);
	if (f->opts.on_finding)
		look_at_findings(f, snap->rules);
	if (f->due_ns && now >= f->due_ns)
		write_due(f);
	return ret;
}

static int flight_finish(struct sink *sink, const struct snapshot *snap)
{
	struct flight *f = (struct flight *)sink;

	if (f->opts.on_finding)
		look_at_findings(f, snap->rules);
	if (f->due_ns)
		write_due(f);
	return 0;
}

static void flight_close(struct sink *sink)
{
	struct flight *f = (struct flight *)sink;

	if (!f)
		return;
	recorder_free(&f->recorder);
	ring_free(&f->ring);
	map_free(&f->seen);
	free(f->written_ns);
	free(f);
}

static const struct sink_ops flight_ops = {
	.event = flight_event,
	.snapshot = flight_snapshot,
	.finish = flight_finish,
	.close = flight_close,
};

struct sink *flight_sink_new(const struct flight_opts *o)
{
	struct flight *f = xcalloc(1, sizeof(*f));

	f->sink.ops = &flight_ops;
	f->opts = *o;
	f->written_ns = xcalloc(o->max_per_hour ? o->max_per_hour : 1, sizeof(*f->written_ns));
	ring_init(&f->ring, o->budget_bytes);
	map_init(&f->seen, 4 * FINDINGS_MAX);
	recorder_init(&f->recorder, on_chunk, f);
	return &f->sink;
}

int flight_sink_write(struct sink *sink, const char *cause, char *text, size_t size)
{
	return write_file((struct flight *)sink, cause, text, size);
}

void flight_sink_progress(const struct sink *sink, struct trace_progress *out)
{
	const struct flight *f = (const struct flight *)sink;

	*out = (struct trace_progress){
		.bytes = f->ring.bytes,
		.events = f->recorder.events,
		.files = f->files,
	};
}

const struct err *flight_sink_error(const struct sink *sink)
{
	const struct flight *f = (const struct flight *)sink;

	return f->err.code ? &f->err : NULL;
}
