// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Parser and help over the two tables of cli_options.c. getopt_long() does the splitting; its own messages
 * are switched off, since ours name the fix.
 */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "util/xalloc.h"
#include "version.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NEAR_MISS_LEN 32
#define LONG_BASE 256 /* getopt value of table row n is LONG_BASE + n */

static uint8_t command_files(enum command command)
{
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		if (cli_commands[i].built && cli_commands[i].command == command)
			return cli_commands[i].files;
	return 0;
}

static const char *command_name(enum command command)
{
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		if (cli_commands[i].built && cli_commands[i].command == command)
			return cli_commands[i].name;
	return "?";
}

/* Levenshtein distance; large for words too long to be a slip of the fingers. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NEAR_MISS_LEN + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > NEAR_MISS_LEN || lb > NEAR_MISS_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

static bool near_miss(const char *word, const char *name, size_t *best)
{
	size_t distance = edit_distance(word, name);

	if (distance >= *best || distance > 2 || distance * 2 > strlen(name))
		return false;
	*best = distance;
	return true;
}

static int unknown_option(const char *arg, struct err *err)
{
	char word[NEAR_MISS_LEN + 2];
	const char *guess = NULL;
	size_t best = SIZE_MAX;
	size_t prefixes = 0;
	size_t len = strcspn(arg + 2, "=");

	if (len >= sizeof(word))
		return err_set(err, -EINVAL, "unknown option %.80s; see stalltop --help", arg);
	memcpy(word, arg + 2, len);
	word[len] = '\0';
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		prefixes += !strncmp(cli_options[i].name, word, len);
		if (near_miss(word, cli_options[i].name, &best))
			guess = cli_options[i].name;
	}
	if (prefixes > 1)
		return err_set(err, -EINVAL,
			       "--%s could be several options; write it in full "
			       "(stalltop --help)",
			       word);
	if (guess)
		return err_set(err, -EINVAL, "unknown option --%s; did you mean --%s?", word,
			       guess);
	return err_set(err, -EINVAL, "unknown option --%s; see stalltop --help", word);
}

static int unknown_command(const char *word, struct err *err)
{
	const char *guess = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < CLI_COMMANDS; i++)
		if (near_miss(word, cli_commands[i].name, &best))
			guess = cli_commands[i].name;
	if (guess)
		return err_set(err, -EINVAL, "unknown command \"%s\"; did you mean \"%s\"?", word,
			       guess);
	if (word[0] && !word[strspn(word, "0123456789")])
		return err_set(err, -EINVAL,
			       "unexpected argument \"%s\"; to watch a process: stalltop -p %s",
			       word, word);
	return err_set(err, -EINVAL,
		       "unknown command \"%.60s\"; to watch a process by name: -n %.60s; to start "
		       "one: -- %.60s",
		       word, word, word);
}

static int find_command(const char *word, struct opts *o, struct err *err)
{
	for (size_t i = 0; i < CLI_COMMANDS; i++) {
		if (strcmp(word, cli_commands[i].name) != 0)
			continue;
		if (!cli_commands[i].built)
			return err_set(
				err, -EINVAL,
				"%s is not built yet in this version; see stalltop --help for "
				"what is",
				word);
		o->command = cli_commands[i].command;
		return 0;
	}
	return unknown_command(word, err);
}

static void print_options(FILE *out, unsigned int bits)
{
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		const struct cli_option *opt = &cli_options[i];
		char left[48];

		if (!opt->built || !(opt->commands & bits))
			continue;
		snprintf(left, sizeof(left), "%c%c%s --%s%s%s", opt->letter ? '-' : ' ',
			 opt->letter ? opt->letter : ' ', opt->letter ? "," : " ", opt->name,
			 opt->arg ? " " : "", opt->arg ? opt->arg : "");
		fprintf(out, "  %-31s %s\n", left, opt->help);
	}
}

static void print_help(FILE *out, bool command_given, enum command command)
{
	if (command_given)
		fprintf(out, "usage: stalltop %s", command_name(command));
	else
		fputs("stalltop: what stalls an async Rust program, live\n\n"
		      "usage: stalltop [top|check|dump|...] TARGET [OPTION...]\n\n",
		      out);
	for (size_t i = 0; i < CLI_COMMANDS; i++) {
		const struct cli_command *c = &cli_commands[i];
		char left[48];

		if (!c->built || (command_given && c->command != command))
			continue;
		if (command_given) {
			fprintf(out, " %s [OPTION...]\n%s\n\n", c->usage, c->help);
			continue;
		}
		snprintf(left, sizeof(left), "%s %s", c->name, c->usage);
		fprintf(out, "  %-33s %s\n", left, c->help);
	}
	if (!command_given)
		fputs("\n", out);
	if (!command_given || (CLI_BIT(command) & CLI_ATTACH))
		fputs("TARGET is -p PID[,PID...], -n NAME, --all, or -- COMMAND ARG..., which is "
		      "started\nand watched from its first instruction.\n\n",
		      out);
	print_options(out, command_given ? CLI_BIT(command) : CLI_ANY);
	fputs("\nDurations: 250us, 10ms, 5s, 2m. Exit: 0 fine, 1 findings, 2 usage, 3 cannot "
	      "attach,\n4 no such target, 5 too many events lost, 6 bad trace.\n",
	      out);
}

static int check_target(const struct opts *o, struct err *err)
{
	int kinds = (o->pids_count > 0) + (o->name != NULL) + o->all + (o->argv != NULL);
	const char *name = command_name(o->command);

	if (!(CLI_BIT(o->command) & CLI_ATTACH) && o->argv)
		return err_set(err, -EINVAL, "%s takes no COMMAND; leave out \"--\"", name);
	if (kinds > 1)
		return err_set(err, -EINVAL,
			       "several targets; give one of -p PID, -n NAME, --all, -- COMMAND");
	if (kinds == 0 && (CLI_BIT(o->command) & CLI_WATCH))
		return err_set(
			err, -EINVAL,
			"no target; give -p PID, -n NAME, --all or -- COMMAND (stalltop list "
			"shows what can be watched)");
	if (o->argv && !o->argv[0][0])
		return err_set(err, -EINVAL, "-- is followed by an empty command; name a program");
	return 0;
}

/* Options that were given must be of use to the command. */
static int check_options(const struct opts *o, const bool *given, struct err *err)
{
	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (given[i] && !(cli_options[i].commands & CLI_BIT(o->command)))
			return err_set(err, -EINVAL, "--%s is not an option of %s; leave it out",
				       cli_options[i].name, command_name(o->command));
	return 0;
}

static int parse_rules_words(struct opts *o, const struct opts_list *words, struct err *err)
{
	static const struct {
		const char *word, *arg;
		enum rules_action action;
	} actions[] = {
		{"list", NULL, RULES_LIST},
		{"show", "ID", RULES_SHOW},
		{"check", "FILE", RULES_CHECK},
	};

	for (size_t i = 0; words->count && i < ARRAY_SIZE(actions); i++) {
		if (strcmp(words->v[0], actions[i].word) != 0)
			continue;
		if (words->count != (actions[i].arg ? 2 : 1))
			return err_set(err, -EINVAL, "want: stalltop rules %s%s%s", actions[i].word,
				       actions[i].arg ? " " : "",
				       actions[i].arg ? actions[i].arg : "");
		o->rules_action = actions[i].action;
		o->rules_arg = actions[i].arg ? words->v[1] : NULL;
		return 0;
	}
	return err_set(err, -EINVAL,
		       "want: stalltop rules list, stalltop rules show ID, or stalltop rules check "
		       "FILE");
}

/* Row of the table that getopt's value belongs to; the value is one of ours. */
static size_t option_row(int value)
{
	if (value >= LONG_BASE)
		return (size_t)(value - LONG_BASE);
	for (size_t i = 0; i < CLI_OPTIONS; i++)
		if (cli_options[i].letter == value)
			return i;
	return CLI_OPTIONS;
}

static int getopt_error(int value, char **argv, struct err *err)
{
	size_t row = optopt ? option_row(optopt) : CLI_OPTIONS;
	const struct cli_option *opt = row < CLI_OPTIONS ? &cli_options[row] : NULL;

	if (value == ':' && opt)
		return err_set(err, -EINVAL, "--%s needs a value: --%s %s", opt->name, opt->name,
			       opt->arg);
	if (opt && !opt->arg)
		return err_set(err, -EINVAL, "--%s takes no value; leave out the \"=...\"",
			       opt->name);
	if (optopt)
		return err_set(err, -EINVAL, "unknown option -%c; see stalltop --help",
			       optopt > ' ' && optopt < 127 ? optopt : '?');
	return unknown_option(argv[optind - 1], err);
}

struct parser {
	struct option longs[CLI_OPTIONS + 1];
	char shorts[2 * CLI_OPTIONS + 3];
	bool given[CLI_OPTIONS];
	bool command_given, help, version;
	struct opts_list words; /* of `rules` */
};

static void parser_init(struct parser *p)
{
	char *none[] = {"", NULL};
	char *s = p->shorts;

	*s++ = '+'; /* stop at each word that is no option */
	*s++ = ':'; /* tell a missing value from an unknown option */
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		p->longs[i].name = cli_options[i].name;
		p->longs[i].has_arg = cli_options[i].arg ? required_argument : no_argument;
		p->longs[i].val = LONG_BASE + (int)i;
		if (!cli_options[i].letter)
			continue;
		*s++ = cli_options[i].letter;
		if (cli_options[i].arg)
			*s++ = ':';
	}
	opterr = 0;
	optind = 0; /* glibc: start anew; leaves optind at 1 */
	getopt_long(1, none, p->shorts, p->longs, NULL);
}

static int parse_word(struct parser *p, struct opts *o, const char *word, struct err *err)
{
	if (!p->command_given) {
		p->command_given = true;
		return find_command(word, o, err);
	}
	if (o->files_count < command_files(o->command)) {
		o->files[o->files_count++] = word;
		return 0;
	}
	if (o->command != CMD_RULES)
		return err_set(err, -EINVAL,
			       "unexpected argument \"%.80s\"; a command to start follows \"--\"",
			       word);
	opts_list_add(&p->words, word);
	return 0;
}

static int parse_option(struct parser *p, struct opts *o, int value, struct err *err)
{
	size_t row = option_row(value);
	const struct cli_option *opt = &cli_options[row];

	p->given[row] = true;
	if (!opt->built)
		return err_set(err, -EINVAL, "--%s is not built yet in this version; leave it out",
			       opt->name);
	if (opt->set)
		return opt->set(o, optarg, err);
	if (!strcmp(opt->name, "help"))
		p->help = true;
	else
		p->version = true;
	return 0;
}

static int parse_all(struct parser *p, int argc, char **argv, struct opts *o, struct err *err)
{
	while (optind < argc && !p->help && !p->version) {
		int value, rc;

		/* getopt would swallow it without telling it from a word. */
		if (!strcmp(argv[optind], "--")) {
			if (optind + 1 == argc)
				return err_set(err, -EINVAL,
					       "nothing follows \"--\"; name the command to start");
			o->argv = argv + optind + 1;
			return 0;
		}
		value = getopt_long(argc, argv, p->shorts, p->longs, NULL);
		if (value == '?' || value == ':')
			return getopt_error(value, argv, err);
		if (value == -1)
			rc = parse_word(p, o, argv[optind++], err);
		else
			rc = parse_option(p, o, value, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int check_files(const struct opts *o, struct err *err)
{
	uint8_t want = command_files(o->command);

	if (o->files_count < want)
		return err_set(err, -EINVAL, "%s needs %s; stalltop record writes one",
			       command_name(o->command), want == 1 ? "a trace file" : "two traces");
	return 0;
}

static int check_record(const struct opts *o, struct err *err)
{
	if (o->command != CMD_RECORD)
		return 0;
	if (!o->output)
		return err_set(err, -EINVAL, "record needs -o FILE; - is standard output");
	if (o->json && !strcmp(o->output, "-"))
		return err_set(err, -EINVAL,
			       "--json and the trace cannot both go to standard output; give -o a "
			       "file");
	if (o->last_ns && (o->max_size || !strcmp(o->output, "-")))
		return err_set(err, -EINVAL,
			       "--last writes whole files when something happens; leave out %s",
			       o->max_size ? "--max-size" : "-o -, and give a file");
	if (!o->last_ns && (o->on_finding_given || o->max_per_hour))
		return err_set(err, -EINVAL,
			       "--on-finding and --max-per-hour belong to --last 60s");
	if (o->max_files && !o->max_size)
		return err_set(err, -EINVAL,
			       "--max-files needs --max-size, which begins new files");
	if (o->max_size && !strcmp(o->output, "-"))
		return err_set(err, -EINVAL, "a pipe is not rotated; leave out --max-size");
	return 0;
}

static int check_overhead(const struct opts *o, struct err *err)
{
	if (o->exact && !o->level)
		return err_set(
			err, -EINVAL,
			"--exact probes where polls begin and end, and level 0 probes nothing; "
			"give --level 1 or higher");
	if (!o->overhead_check)
		return 0;
	if (!o->level)
		return err_set(err, -EINVAL,
			       "--overhead-check compares with and without probes, and level 0 has "
			       "none; give --level 1 or higher");
	if (o->polls)
		return err_set(
			err, -EINVAL,
			"--polls wants every poll, --overhead-check takes the probes out now "
			"and then; leave one of them out");
	return 0;
}

static int check_export(const struct opts *o, struct err *err)
{
	if (o->command != CMD_EXPORT)
		return 0;
	if (!o->export_to)
		return err_set(err, -EINVAL,
			       "export needs --to perfetto, folded, speedscope or ndjson");
	if (o->export_stacks_given && o->export_to != EXPORT_FOLDED)
		return err_set(err, -EINVAL,
			       "--stacks belongs to --to folded; the other formats have them all");
	return 0;
}

static void set_defaults(struct opts *o)
{
	const char *no_color = getenv("NO_COLOR");

	if (o->color == COLOR_AUTO && no_color && *no_color)
		o->color = COLOR_NEVER;
	if (!o->max_files)
		o->max_files = 8;
	if (!o->max_per_hour)
		o->max_per_hour = 6;
	if (!o->on_finding_given)
		o->on_finding = SEVERITY_CRITICAL;
	if (o->duration_ns)
		return;
	if (o->command == CMD_CHECK && !o->argv)
		o->duration_ns = CLI_CHECK_DEFAULT;
	else if (o->command == CMD_DUMP)
		o->duration_ns = CLI_DUMP_DEFAULT;
	else if (o->command == CMD_RULES)
		o->duration_ns = CLI_RULES_DEFAULT;
}

int cli_parse(int argc, char **argv, struct opts *opts, struct err *err)
{
	struct parser p = {0};
	int rc;

	*opts = (struct opts){.level = 2, .fail_on = SEVERITY_CRITICAL, .overhead_ratio = 0.02};
	parser_init(&p);
	rc = parse_all(&p, argc, argv, opts, err);
	if (rc)
		goto out;
	if (p.help || p.version) {
		if (p.help)
			print_help(stdout, p.command_given, opts->command);
		else
			printf("stalltop %s\n", STALLTOP_VERSION);
		rc = 1;
		goto out;
	}
	rc = check_options(opts, p.given, err);
	if (!rc)
		rc = check_target(opts, err);
	if (!rc && opts->command == CMD_RULES)
		rc = parse_rules_words(opts, &p.words, err);
	if (!rc)
		rc = check_files(opts, err);
	if (!rc)
		rc = check_record(opts, err);
	if (!rc)
		rc = check_overhead(opts, err);
	if (!rc)
		rc = check_export(opts, err);
	set_defaults(opts);
out:
	free(p.words.v);
	return rc;
}

void opts_free(struct opts *opts)
{
	if (!opts)
		return;
	free(opts->rules.v);
	free(opts->sets.v);
	free(opts->no_features.v);
	*opts = (struct opts){0};
}

bool opts_color(const struct opts *opts, FILE *out)
{
	if (opts->color == COLOR_AUTO)
		return isatty(fileno(out));
	return opts->color == COLOR_ALWAYS;
}
