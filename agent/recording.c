// SPDX-License-Identifier: LGPL-2.1-or-later
/* record: its sinks, the header's content, and the line of progress; see recording.h. */
#include "recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "sink/trace.h"
#include "util/fmt.h"
#include "util/xalloc.h"
#include "version.h"

#define NS_PER_SEC UINT64_C(1000000000)
#define TERMINAL_EVERY NS_PER_SEC
#define LOG_EVERY (10 * NS_PER_SEC)
#define FLIGHT_BUDGET (16ULL << 20) /* a tenth of the ceiling of it all */
#define AFTER_NS (5 * NS_PER_SEC)   /* what a flight recorder's file shows of what followed */
#define VIEW_LAST_NS (60 * NS_PER_SEC)
#define VIEW_FILE "stalltop.trace"

struct recording {
	struct sink progress; /* draws the line; first, so that it is one of ours */
	const struct opts *opts;
	char threshold[48]; /* --threshold as a setting */
	struct trace_info info;
	struct utsname uts;
	const char **settings;
	size_t settings_count, settings_cap;
	struct trace_rule *rules;
	size_t rules_cap;
	struct sink *trace; /* a file, or */
	struct sink *flight;
	bool finished;
	bool terminal, shown;
	uint64_t last_ns; /* of the last line */
};

static void print_line(struct recording *r, const struct snapshot *snap)
{
	const struct model *m = snap->model;
	char bytes[FMT_SIZE], events[FMT_SIZE], lost[FMT_SIZE];
	struct trace_progress p;

	if (r->flight)
		flight_sink_progress(r->flight, &p);
	else
		trace_sink_progress(r->trace, &p);
	fprintf(stderr, "%srecording: %" PRIu64 " s, %s%s, %s events, %s lost%s",
		r->terminal ? "\r" : "", (m->now_ns - m->begin_ns) / NS_PER_SEC,
		fmt_bytes(bytes, sizeof(bytes), p.bytes), r->flight ? " in memory" : "",
		fmt_count(events, sizeof(events), (double)p.events),
		fmt_count(lost, sizeof(lost), (double)m->lost), r->terminal ? "\033[K" : "\n");
	fflush(stderr);
	r->shown = true;
}

static int progress_snapshot(struct sink *sink, const struct snapshot *snap)
{
	struct recording *r = (struct recording *)sink;
	uint64_t every = r->terminal ? TERMINAL_EVERY : LOG_EVERY;
	uint64_t passed = snap->model->now_ns - snap->model->begin_ns;

	if (passed - r->last_ns < every)
		return 0;
	r->last_ns = passed - passed % every;
	print_line(r, snap);
	return 0;
}

static int progress_finish(struct sink *sink, const struct snapshot *snap)
{
	struct recording *r = (struct recording *)sink;

	/* The trace has been closed: these are its last figures. */
	r->finished = true;
	print_line(r, snap);
	if (r->terminal)
		fputc('\n', stderr);
	return 0;
}

static const struct sink_ops progress_ops = {
	.snapshot = progress_snapshot,
	.finish = progress_finish,
};

static void add_setting(struct recording *r, const char *text)
{
	r->settings = xgrow(r->settings, &r->settings_cap, r->settings_count + 1,
			    sizeof(*r->settings));
	r->settings[r->settings_count++] = text;
}

/* Rules are judged anew by who reads the trace: with the thresholds of now, unless told otherwise. */
static void add_settings(struct recording *r)
{
	if (r->opts->threshold_given) {
		snprintf(r->threshold, sizeof(r->threshold), "threshold=%" PRIu64 "ns",
			 r->opts->threshold_ns);
		add_setting(r, r->threshold);
	}
	for (size_t i = 0; i < r->opts->sets.count; i++)
		add_setting(r, r->opts->sets.v[i]);
	r->info.settings = r->settings;
	r->info.settings_count = r->settings_count;
}

static struct recording *recording_new(const struct opts *opts)
{
	struct recording *r = xcalloc(1, sizeof(*r));

	r->opts = opts;
	r->terminal = isatty(STDERR_FILENO);
	r->info.program = "stalltop " STALLTOP_VERSION;
	if (!uname(&r->uts))
		r->info.kernel = r->uts.release;
	add_settings(r);
	return r;
}

static void told(void *ctx, const char *text)
{
	const struct recording *r = ctx;

	fprintf(stderr, "%sstalltop: %s\n", r->terminal ? "\r\033[K" : "", text);
}

static void open_flight(struct recording *r, const char *path, uint64_t last_ns,
			unsigned int max_per_hour)
{
	bool record = r->opts->command == CMD_RECORD;

	r->flight = flight_sink_new(&(struct flight_opts){
		.path = path,
		.info = &r->info,
		.last_ns = last_ns,
		.after_ns = AFTER_NS,
		.budget_bytes = FLIGHT_BUDGET,
		.on_finding = record,
		.on_death = record,
		.severity = r->opts->on_finding,
		.max_per_hour = max_per_hour,
		.told = record ? told : NULL,
		.ctx = r,
	});
}

struct recording *recording_of_view(const struct opts *opts)
{
	struct recording *r = recording_new(opts);

	open_flight(r, VIEW_FILE, VIEW_LAST_NS, 1);
	return r;
}

/*
 * A flight recorder makes its first file when something has happened, which is too late to say that it
 * cannot.
 */
static int check_folder(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? xasprintf("%.*s", (int)(slash - path + 1), path) : xstrdup(".");
	int ret = 0;

	if (access(folder, W_OK | X_OK))
		ret = err_set(err, -errno, "cannot write files to %s: %s", folder, strerror(errno));
	free(folder);
	return ret;
}

int recording_open(const struct opts *opts, struct recording **out, struct err *err)
{
	struct recording *r;
	int ret;

	if (opts->command != CMD_RECORD || opts->dry_run)
		return 0;
	r = recording_new(opts);
	r->progress.ops = &progress_ops;
	if (opts->last_ns) {
		ret = check_folder(opts->output, err);
		if (ret) {
			recording_close(r);
			return ret;
		}
		open_flight(r, opts->output, opts->last_ns, opts->max_per_hour);
		*out = r;
		return 0;
	}
	ret = trace_sink_new(&(struct trace_sink_opts){.path = opts->output,
						       .info = &r->info,
						       .max_size = opts->max_size,
						       .max_files = opts->max_files},
			     &r->trace, err);
	if (ret) {
		recording_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

/* Those of --rules: who reads the trace has not the files. */
static void add_rules(struct recording *r, const struct rules *rules)
{
	size_t bytes = 0;

	for (size_t i = 0; i < rules_count(rules); i++) {
		struct rule_source text;

		if (!rules_source(rules, i, &text))
			continue;
		bytes += text.len;
		if (bytes > TRACE_RULES_BYTES) {
			fprintf(stderr,
				"stalltop: the rules of --rules are too large to be kept in "
				"a trace; give --rules to replay, too\n");
			r->info.rules_count = 0;
			return;
		}
		r->rules = xgrow(r->rules, &r->rules_cap, r->info.rules_count + 1,
				 sizeof(*r->rules));
		r->rules[r->info.rules_count++] = (struct trace_rule){text.name, text.text,
								      text.len};
	}
	r->info.rules = r->rules;
}

void recording_join(struct recording *r, struct pipeline *p)
{
	add_rules(r, p->rules);
	r->info.host = p->host;
	r->info.wall_offset_ns = p->snap.wall_offset_ns;
	pipeline_add(p, r->flight ? r->flight : r->trace);
	if (r->progress.ops)
		pipeline_add(p, &r->progress);
}

int recording_write(struct recording *r, const char *cause, char *text, size_t size)
{
	return r->flight ? flight_sink_write(r->flight, cause, text, size) : -ENOTSUP;
}

void recording_finish(struct recording *r, const struct snapshot *snap)
{
	struct sink *sink = r->flight ? r->flight : r->trace;

	if (!r->finished && !recording_error(r))
		sink->ops->finish(sink, snap);
	r->finished = true;
}

const struct err *recording_error(const struct recording *r)
{
	return r->flight ? flight_sink_error(r->flight) : trace_sink_error(r->trace);
}

void recording_close(struct recording *r)
{
	if (!r)
		return;
	if (r->trace)
		r->trace->ops->close(r->trace);
	if (r->flight)
		r->flight->ops->close(r->flight);
	free(r->settings);
	free(r->rules);
	free(r);
}
