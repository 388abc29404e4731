// SPDX-License-Identifier: LGPL-2.1-or-later
#include "playing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "trace/replay.h"
#include "util/fmt.h"
#include "util/xalloc.h"

#define THRESHOLD "threshold=" /* how --threshold is recorded, among the --set */

/* What a trace says of the rules that were in force. */
struct recorded {
	struct rule_source *rules;
	size_t rules_count;
	struct opts opts; /* its settings, as the options that they were */
};

static void recorded_take(struct recorded *rec, const struct trace_reader *reader)
{
	*rec = (struct recorded){.rules = xcalloc(reader->rules_count + 1, sizeof(*rec->rules)),
				 .rules_count = reader->rules_count};
	for (size_t i = 0; i < reader->rules_count; i++)
		rec->rules[i] = (struct rule_source){reader->rules[i].name, reader->rules[i].text,
						     reader->rules[i].len};
	for (size_t i = 0; i < reader->settings_count; i++) {
		const char *text = reader->settings[i];

		if (strncmp(text, THRESHOLD, strlen(THRESHOLD)) != 0)
			opts_list_add(&rec->opts.sets, text);
		else
			rec->opts.threshold_given = !parse_duration(text + strlen(THRESHOLD),
								    &rec->opts.threshold_ns);
	}
}

static void recorded_free(struct recorded *rec)
{
	free(rec->rules);
	free(rec->opts.sets.v);
}

static bool loads(const struct opts *opts, const struct rule_source *rules, size_t count,
		  struct err *err)
{
	struct rules *out = NULL;
	bool good = !load_rules_over(opts, rules, count, &out, err);

	if (good)
		rules_free(out);
	return good;
}

static void warn_of(struct source *source, const char *what, const struct err *err)
{
	char *text = xasprintf("a %s of the recording is left out: %s", what, err->msg);

	replay_warn(source, text);
	free(text);
}

/*
 * Leaves in `rec` what this version understands; another one may have recorded it. Of the rest it
 * is said what it was: its findings are missing, or judged otherwise.
 */
static void recorded_sift(struct recorded *rec, struct source *source)
{
	struct opts_list sets = rec->opts.sets;
	size_t rules_count = rec->rules_count;

	rec->opts.sets = (struct opts_list){0};
	rec->rules_count = 0;
	for (size_t i = 0; i < rules_count; i++) {
		const struct rule_source rule = rec->rules[i];
		struct err err = {0};

		rec->rules[rec->rules_count] = rule;
		if (loads(&rec->opts, rec->rules, rec->rules_count + 1, &err))
			rec->rules_count++;
		else
			warn_of(source, "rule", &err);
	}
	for (size_t i = 0; i < sets.count; i++) {
		struct err err = {0};

		opts_list_add(&rec->opts.sets, sets.v[i]);
		if (!loads(&rec->opts, rec->rules, rec->rules_count, &err)) {
			rec->opts.sets.count--;
			warn_of(source, "setting", &err);
		}
	}
	free(sets.v);
}

/* What was recorded, rules and settings, first: those of the command line have the last word. */
static int load_both(const struct opts *opts, const struct recorded *rec, struct rules **out,
		     struct err *err)
{
	struct opts all = *opts;
	int ret;

	all.sets = (struct opts_list){0};
	for (size_t i = 0; i < rec->opts.sets.count; i++)
		opts_list_add(&all.sets, rec->opts.sets.v[i]);
	for (size_t i = 0; i < opts->sets.count; i++)
		opts_list_add(&all.sets, opts->sets.v[i]);
	if (!all.threshold_given && rec->opts.threshold_given) {
		all.threshold_given = true;
		all.threshold_ns = rec->opts.threshold_ns;
	}
	ret = load_rules_over(&all, rec->rules, rec->rules_count, out, err);
	free(all.sets.v);
	return ret;
}

static int load(const struct opts *opts, struct source *source, struct rules **out, struct err *err)
{
	struct err whose = {0};
	struct recorded rec;
	int ret;

	recorded_take(&rec, replay_reader(source));
	ret = load_both(opts, &rec, out, err);
	if (ret && !loads(&rec.opts, rec.rules, rec.rules_count, &whose)) {
		recorded_sift(&rec, source);
		ret = load_both(opts, &rec, out, err);
	}
	recorded_free(&rec);
	return ret;
}

static void join(struct playing *p, const char *command)
{
	const struct trace_reader *reader = replay_reader(p->source);

	pipeline_init(&p->pipeline, p->source, p->model, p->rules, command);
	snprintf(p->pipeline.host, sizeof(p->pipeline.host), "%s", reader->host);
	p->pipeline.snap.wall_offset_ns = reader->wall_offset_ns;
}

int playing_open(const struct opts *opts, const char *path, const char *command,
		 struct playing *out, struct err *err)
{
	int ret;

	*out = (struct playing){0};
	ret = replay_open(path, &out->source, err);
	if (!ret)
		ret = load(opts, out->source, &out->rules, err);
	if (ret) {
		playing_close(out);
		return ret;
	}
	out->model = model_new();
	join(out, command);
	return 0;
}

int playing_run(struct playing *p)
{
	int ret = pipeline_drain(&p->pipeline);

	return ret < 0 ? ret : pipeline_finish(&p->pipeline);
}

void playing_restart(struct playing *p)
{
	rules_forget(p->rules);
	model_free(p->model);
	p->model = model_new();
	pipeline_renew(&p->pipeline, p->model);
}

void playing_close(struct playing *p)
{
	if (p->source)
		p->source->ops->close(p->source);
	rules_free(p->rules);
	model_free(p->model);
	*p = (struct playing){0};
}

enum exit_code playing_error(const struct err *err)
{
	enum exit_code code = report_error(err);

	if (is_output_error(err->code))
		return EXIT_CANNOT_WRITE;
	return err->code == -EBADMSG || err->code == -EPROTONOSUPPORT ? EXIT_BAD_TRACE :
	       code == EXIT_CANNOT_ATTACH			      ? EXIT_USAGE :
									code;
}
