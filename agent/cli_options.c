// SPDX-License-Identifier: LGPL-2.1-or-later
/* The two tables of the command line, and the functions that read an option's value. */
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "util/fmt.h"
#include "util/xalloc.h"

#define RING_MAX_KIB 65536

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PID_LIMIT 4194304 /* PID_MAX_LIMIT of 64-bit kernels */

void opts_list_add(struct opts_list *list, const char *value)
{
	list->v = xgrow(list->v, &list->cap, list->count + 1, sizeof(*list->v));
	list->v[list->count++] = value;
}

/* Digits only: no sign, no blank, no hex. */
static int parse_number(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (len == 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		if (digit > max || n > (max - digit) / 10)
			return -ERANGE;
		n = n * 10 + digit;
	}
	*out = n;
	return 0;
}

static int add_pid(struct opts *o, uint32_t pid, struct err *err)
{
	for (size_t i = 0; i < o->pids_count; i++)
		if (o->pids[i] == pid)
			return 0;
	if (o->pids_count == CLI_MAX_PIDS)
		return err_set(err, -EINVAL, "-p: at most %d processes can be watched at once",
			       CLI_MAX_PIDS);
	o->pids[o->pids_count++] = pid;
	return 0;
}

static int set_pid(struct opts *o, const char *value, struct err *err)
{
	const char *p = value;

	for (;;) {
		size_t len = strcspn(p, ",");
		uint64_t pid;
		int rc;

		if (parse_number(p, len, PID_LIMIT, &pid) || pid == 0)
			return err_set(err, -EINVAL,
				       "-p \"%.64s\": not a process id; give numbers separated by "
				       "commas (-p 1234,1235), or -n NAME for a name",
				       value);
		rc = add_pid(o, (uint32_t)pid, err);
		if (rc)
			return rc;
		if (!p[len])
			return 0;
		p += len + 1;
	}
}

static int set_name(struct opts *o, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, -EINVAL, "-n: the name is empty; give a program's name");
	if (o->name)
		return err_set(err, -EINVAL, "-n was given twice; give one name, or -p PID,PID");
	o->name = value;
	return 0;
}

static int set_all(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->all = true;
	return 0;
}

static int set_json(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->json = true;
	return 0;
}

static int set_rules(struct opts *o, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, -EINVAL,
			       "--rules: the path is empty; give a file or a directory");
	opts_list_add(&o->rules, value);
	return 0;
}

static int set_set(struct opts *o, const char *value, struct err *err)
{
	const char *eq = strchr(value, '=');
	const char *dot = strchr(value, '.');

	if (!eq || !dot || dot > eq || dot == value || dot + 1 == eq || !eq[1])
		return err_set(err, -EINVAL,
			       "--set \"%.64s\": want RULE.KEY=VALUE, for example "
			       "blocking-call.warning=20ms",
			       value);
	opts_list_add(&o->sets, value);
	return 0;
}

static int set_level(struct opts *o, const char *value, struct err *err)
{
	uint64_t level;

	if (parse_number(value, strlen(value), 3, &level))
		return err_set(err, -EINVAL, "--level \"%.32s\": want 0, 1, 2 or 3", value);
	o->level = (unsigned int)level;
	return 0;
}

static int set_time(const char *option, const char *value, uint64_t *ns, struct err *err)
{
	if (parse_duration(value, ns))
		return err_set(err, -EINVAL,
			       "--%s \"%.32s\": not a duration; want a number and a unit: 250us, "
			       "10ms, 5s, 2m",
			       option, value);
	if (*ns == 0)
		return err_set(err, -EINVAL, "--%s must be more than 0", option);
	return 0;
}

static int set_threshold(struct opts *o, const char *value, struct err *err)
{
	o->threshold_given = true;
	return set_time("threshold", value, &o->threshold_ns, err);
}

static int set_duration(struct opts *o, const char *value, struct err *err)
{
	return set_time("duration", value, &o->duration_ns, err);
}

static int set_fail_on(struct opts *o, const char *value, struct err *err)
{
	o->fail_on_given = true;
	if (!strcmp(value, "warning"))
		o->fail_on = SEVERITY_WARNING;
	else if (!strcmp(value, "critical"))
		o->fail_on = SEVERITY_CRITICAL;
	else
		return err_set(err, -EINVAL, "--fail-on \"%.32s\": want warning or critical",
			       value);
	return 0;
}

static int set_max_loss(struct opts *o, const char *value, struct err *err)
{
	if (parse_number(value, strlen(value), UINT64_MAX, &o->max_loss))
		return err_set(err, -EINVAL, "--max-loss \"%.32s\": want a number of events",
			       value);
	o->max_loss_given = true;
	return 0;
}

static int set_ring(struct opts *o, const char *value, struct err *err)
{
	uint64_t kib = 0;

	if (parse_number(value, strlen(value), RING_MAX_KIB, &kib) || kib < 4 || (kib & (kib - 1)))
		return err_set(err, -EINVAL,
			       "--ring \"%.32s\": want KiB, a power of two from 4 to %u", value,
			       RING_MAX_KIB);
	o->ring_bytes = (uint32_t)kib * 1024;
	return 0;
}

static int set_overhead(struct opts *o, const char *value, struct err *err)
{
	char *end;
	double pct = strtod(value, &end);

	if (end != value && *end == '%')
		end++;
	if (end == value || *end || !isfinite(pct) || pct <= 0 || pct > 100)
		return err_set(err, -EINVAL,
			       "--overhead \"%.32s\": want a percentage above 0 and up to 100, "
			       "for example 2%%",
			       value);
	o->overhead_ratio = pct / 100;
	return 0;
}

static int set_exact(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->exact = true;
	return 0;
}

static int set_overhead_check(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->overhead_check = true;
	return 0;
}

static int set_no_feature(struct opts *o, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, -EINVAL,
			       "--no-feature: the name is empty; see stalltop doctor");
	opts_list_add(&o->no_features, value);
	return 0;
}

static int set_color(struct opts *o, const char *value, struct err *err)
{
	static const char *const names[] = {
		[COLOR_AUTO] = "auto",
		[COLOR_ALWAYS] = "always",
		[COLOR_NEVER] = "never",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(value, names[i])) {
			o->color = (enum color_mode)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "--color \"%.32s\": want auto, always or never", value);
}

static int set_dry_run(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->dry_run = true;
	return 0;
}

static int set_wait(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->wait = true;
	return 0;
}

static int set_debuginfod(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->debuginfod = true;
	return 0;
}

static int set_full_stack(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->full_stack = true;
	return 0;
}

static int set_verbose(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->verbose++;
	return 0;
}

static int set_output(struct opts *o, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, -EINVAL, "-o: the path is empty; give a file, or - for a pipe");
	o->output = value;
	return 0;
}

static int set_polls(struct opts *o, const char *value, struct err *err)
{
	(void)value;
	(void)err;
	o->polls = true;
	return 0;
}

/* "10M": K, M and G are powers of 1024; a B behind them is fine. */
static int set_max_size(struct opts *o, const char *value, struct err *err)
{
	static const char units[] = "KMG";
	size_t digits = strspn(value, "0123456789");
	const char *unit = value + digits, *known = *unit ? strchr(units, *unit) : NULL;
	unsigned int shift = known ? 10 * (unsigned int)(known - units + 1) : 0;
	uint64_t n;

	unit += known != NULL;
	unit += *unit == 'i';
	unit += *unit == 'B';
	if (*unit || parse_number(value, digits, UINT64_MAX >> shift, &n))
		return err_set(err, -EINVAL,
			       "--max-size \"%.32s\": want a number of bytes, for example 100M",
			       value);
	o->max_size = n << shift;
	if (o->max_size < 65536)
		return err_set(err, -EINVAL, "--max-size must be 64K at least");
	return 0;
}

static int set_count(const char *option, const char *value, uint64_t max, unsigned int *out,
		     struct err *err)
{
	uint64_t n;

	if (parse_number(value, strlen(value), max, &n) || !n)
		return err_set(err, -EINVAL, "--%s \"%.32s\": want a number from 1 to %u", option,
			       value, (unsigned int)max);
	*out = (unsigned int)n;
	return 0;
}

static int set_max_files(struct opts *o, const char *value, struct err *err)
{
	return set_count("max-files", value, 1000, &o->max_files, err);
}

static int set_max_per_hour(struct opts *o, const char *value, struct err *err)
{
	return set_count("max-per-hour", value, 3600, &o->max_per_hour, err);
}

static int set_last(struct opts *o, const char *value, struct err *err)
{
	return set_time("last", value, &o->last_ns, err);
}

static int set_on_finding(struct opts *o, const char *value, struct err *err)
{
	o->on_finding_given = true;
	if (!strcmp(value, "warning"))
		o->on_finding = SEVERITY_WARNING;
	else if (!strcmp(value, "critical"))
		o->on_finding = SEVERITY_CRITICAL;
	else
		return err_set(err, -EINVAL, "--on-finding \"%.32s\": want warning or critical",
			       value);
	return 0;
}

static int set_html(struct opts *o, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, -EINVAL,
			       "--html: the path is empty; give a file, or - for standard output");
	o->html = value;
	return 0;
}

/* The value's place in `words`, which NULL ends. */
static int set_word(const char *option, const char *const *words, const char *value,
		    unsigned int *out, struct err *err)
{
	char all[96] = "";

	for (unsigned int i = 0; words[i]; i++) {
		if (!strcmp(value, words[i])) {
			*out = i;
			return 0;
		}
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? ", " : "",
			 words[i]);
	}
	return err_set(err, -EINVAL, "--%s \"%.32s\": want one of %s", option, value, all);
}

static int set_to(struct opts *o, const char *value, struct err *err)
{
	static const char *const words[] = {"perfetto", "folded", "speedscope", "ndjson", NULL};
	unsigned int i = 0;
	int ret = set_word("to", words, value, &i, err);

	o->export_to = (enum export_to)(EXPORT_PERFETTO + i);
	return ret;
}

static int set_stacks(struct opts *o, const char *value, struct err *err)
{
	static const char *const words[] = {"blocked", "computing", "spawns", NULL};
	unsigned int i = 0;
	int ret = set_word("stacks", words, value, &i, err);

	o->export_stacks_given = true;
	o->export_stacks = (enum stack_kind)i;
	return ret;
}

#define WATCH CLI_WATCH
#define ATTACH CLI_ATTACH
#define LOOK (CLI_ATTACH | CLI_BIT(CMD_RULES))
#define JUDGE (CLI_WATCH | CLI_REPLAY | CLI_REPORT | CLI_EXPORT | CLI_DIFF | CLI_BIT(CMD_RULES))
#define ANY CLI_ANY

const struct cli_option cli_options[CLI_OPTIONS] = {
	{"pid", "PID[,PID...]", LOOK, 'p', true, "watch these processes", set_pid},
	{"name", "NAME", LOOK, 'n', true, "watch the processes with exactly this name", set_name},
	{"all", NULL, LOOK, 0, true, "watch every process that carries a supported runtime",
	 set_all},
	{"json", NULL, ANY, 0, true, "one JSON object a line (docs/json-schema.md)", set_json},
	{"rules", "FILE", JUDGE, 0, true, "add or replace rules from FILE; may be repeated",
	 set_rules},
	{"set", "RULE.KEY=VALUE", JUDGE, 0, true, "change a rule's parameter; may be repeated",
	 set_set},
	{"threshold", "DUR", JUDGE, 0, true,
	 "length at which blocking-call and cpu-bound-poll warn", set_threshold},
	{"level", "0..3", JUDGE, 0, true,
	 "probe 0 nothing, 1 polls, 2 and tasks (default), 3 and wakes", set_level},
	{"exact", NULL, WATCH, 0, true,
	 "probe the return of each poll too: twice the cost (Tokio only)", set_exact},
	{"overhead", "PCT", WATCH, 0, true,
	 "share of the target's CPU time that watching may cost (default 2%)", set_overhead},
	{"overhead-check", NULL, CLI_BIT(CMD_CHECK) | CLI_RECORD, 0, true,
	 "measure what it costs, in turns with and without probes", set_overhead_check},
	{"duration", "DUR", WATCH, 0, true,
	 "stop after DUR (check: 30s, of COMMAND its end; dump: 100ms)", set_duration},
	{"fail-on", "warning|critical", CLI_BIT(CMD_CHECK) | CLI_REPORT | CLI_DIFF, 0, true,
	 "exit with 1 for findings at or above it (check, diff: critical)", set_fail_on},
	{"max-loss", "N", WATCH, 0, true, "exit with 5 when more than N events were lost",
	 set_max_loss},
	{"ring", "KIB", WATCH, 0, true, "room for records on their way to us (default 1024)",
	 set_ring},
	{"no-feature", "NAME", ATTACH, 0, true, "do without NAME; may be repeated", set_no_feature},
	{"dry-run", NULL, WATCH, 0, true, "print what would be probed, and attach nothing",
	 set_dry_run},
	{"wait", NULL, WATCH, 0, true,
	 "watch a process that carries no runtime yet until it loads one", set_wait},
	{"output", "FILE", CLI_RECORD | CLI_EXPORT, 'o', true,
	 "the file to write; - is standard output", set_output},
	{"to", "FORMAT", CLI_EXPORT, 0, true, "perfetto, folded, speedscope or ndjson", set_to},
	{"stacks", "KIND", CLI_EXPORT, 0, true,
	 "stacks of --to folded: blocked (default), computing, spawns", set_stacks},
	{"polls", NULL, CLI_RECORD, 0, true, "record every poll, not only the long ones",
	 set_polls},
	{"max-size", "SIZE", CLI_RECORD, 0, true, "begin a new file after SIZE bytes (100M)",
	 set_max_size},
	{"max-files", "N", CLI_RECORD, 0, true, "files kept: FILE, FILE.1, ... (default 8)",
	 set_max_files},
	{"last", "DUR", CLI_RECORD, 0, true,
	 "keep DUR in memory; write it on a finding, a death, SIGUSR1", set_last},
	{"on-finding", "warning|critical", CLI_RECORD, 0, true,
	 "severity that writes what --last keeps (default critical)", set_on_finding},
	{"max-per-hour", "N", CLI_RECORD, 0, true, "files that --last writes an hour (default 6)",
	 set_max_per_hour},
	{"html", "OUT", CLI_REPORT, 0, true,
	 "write a page that needs nothing else, too; - is standard output", set_html},
	{"debuginfod", NULL, ATTACH, 0, true,
	 "fetch missing debug files from the servers of DEBUGINFOD_URLS", set_debuginfod},
	{"full-stack", NULL, WATCH | CLI_REPLAY | CLI_REPORT, 0, true,
	 "show every frame of a stack, those of std too", set_full_stack},
	{"color", "auto|always|never", ANY, 0, true, "colours (NO_COLOR is honoured)", set_color},
	{"verbose", NULL, ANY, 'v', true, "say more; may be repeated", set_verbose},
	{"version", NULL, ANY, 0, true, "print the version", NULL},
	{"help", NULL, ANY, 'h', true, "print this", NULL},
};

const struct cli_command cli_commands[CLI_COMMANDS] = {
	{"top", "TARGET", "live view, the default; a text block a second without a terminal", true,
	 CMD_TOP, 0},
	{"check", "TARGET", "watch, print findings, exit by them", true, CMD_CHECK, 0},
	{"dump", "TARGET", "what every worker and every task does now", true, CMD_DUMP, 0},
	{"list", "", "processes that carry a supported runtime", true, CMD_LIST, 0},
	{"doctor", "[TARGET]", "what works here, what is missing, and what would fix it", true,
	 CMD_DOCTOR, 0},
	{"rules", "list [TARGET] | show ID | check FILE", "the rules and their thresholds", true,
	 CMD_RULES, 0},
	{"record", "TARGET -o FILE", "write a trace; with --last a flight recorder", true,
	 CMD_RECORD, 0},
	{"replay", "FILE", "the live view over a trace", true, CMD_REPLAY, 1},
	{"report", "FILE", "what a trace comes to: verdict, findings, tables, bad moments", true,
	 CMD_REPORT, 1},
	{"diff", "A B", "what got worse and better from one trace to another", true, CMD_DIFF, 2},
	{"export", "FILE --to FORMAT [-o OUT]", "a trace for other viewers", true, CMD_EXPORT, 1},
	{"serve", "", "", false, CMD_COUNT, 0},
};
