// SPDX-License-Identifier: LGPL-2.1-or-later
/* The command line: what is understood, what is refused and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define WORDS 48

/* Splits at blanks; "stalltop" is put before. */
static int parse(const char *line, struct opts *opts, struct err *err)
{
	static char copy[512];
	static char *argv[WORDS + 1];
	char *save = NULL;
	int argc = 0;

	assert_true(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	argv[argc++] = "stalltop";
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_true(argc < WORDS);
		argv[argc++] = w;
	}
	argv[argc] = NULL;
	*err = (struct err){0};
	return cli_parse(argc, argv, opts, err);
}

static void accept_line(const char *line, struct opts *opts)
{
	struct err err;
	int rc = parse(line, opts, &err);

	if (rc)
		fail_msg("\"%s\": %d %s", line, rc, err.msg);
}

static void test_refused(void **state)
{
	static const struct {
		const char *line, *words;
	} rows[] = {
		{"", "no target; give -p PID, -n NAME, --all or -- COMMAND"},
		{"check", "no target"},
		{"dump --json", "no target"},
		{"-p", "--pid needs a value: --pid PID[,PID...]"},
		{"-p 12x", "\"12x\": not a process id"},
		{"-p -5", "\"-5\": not a process id"},
		{"-p 0", "not a process id"},
		{"-p 1,,2", "not a process id"},
		{"-p 99999999999999999999", "not a process id"},
		{"-p 4194305", "not a process id"},
		{"-p 1 -- ls", "several targets; give one of"},
		{"-p 1 -n shop", "several targets"},
		{"--all -n shop", "several targets"},
		{"-n a -n b", "-n was given twice"},
		{"--", "nothing follows \"--\""},
		{"chek -p 1", "unknown command \"chek\"; did you mean \"check\"?"},
		{"1234", "to watch a process: stalltop -p 1234"},
		{"myapp", "by name: -n myapp; to start one: -- myapp"},
		{"check 1234", "unexpected argument \"1234\""},
		{"-p 1 --jsn", "unknown option --jsn; did you mean --json?"},
		{"-p 1 --treshold 5ms", "did you mean --threshold?"},
		{"-p 1 --frobnicate=3", "unknown option --frobnicate; see stalltop --help"},
		{"-p 1 --no-such-option-with-a-very-long-name-indeed", "unknown option"},
		{"-p 1 -x", "unknown option -x"},
		{"-p 1 --d 3s", "--d could be several options"},
		{"-p 1 --json=yes", "--json takes no value"},
		{"-p 1 --level 7", "want 0, 1, 2 or 3"},
		{"-p 1 --level two", "want 0, 1, 2 or 3"},
		{"-p 1 --threshold 5", "not a duration; want a number and a unit"},
		{"-p 1 --threshold 0", "--threshold must be more than 0"},
		{"-p 1 --duration soon", "not a duration"},
		{"check -p 1 --fail-on info", "want warning or critical"},
		{"-p 1 --fail-on warning", "--fail-on is not an option of top"},
		{"list -p 1", "--pid is not an option of list"},
		{"list -- ls", "list takes no COMMAND"},
		{"-p 1 --max-loss many", "want a number of events"},
		{"-p 1 --max-loss -1", "want a number of events"},
		{"-p 1 --ring 63", "a power of two"},
		{"-p 1 --ring 2", "a power of two"},
		{"-p 1 --ring 131072", "a power of two"},
		{"-p 1 --overhead 0", "a percentage above 0"},
		{"-p 1 --overhead 2x", "a percentage above 0"},
		{"-p 1 --overhead nan", "a percentage above 0"},
		{"-p 1 --overhead-check", "--overhead-check is not an option of top"},
		{"-p 1 --exact --level 0", "give --level 1 or higher"},
		{"check -p 1 --overhead-check --level 0", "give --level 1 or higher"},
		{"record -p 1 -o f --polls --overhead-check", "leave one of them out"},
		{"-p 1 --color blue", "want auto, always or never"},
		{"-p 1 --set warning=3", "want RULE.KEY=VALUE"},
		{"-p 1 --set a.b", "want RULE.KEY=VALUE"},
		{"-p 1 --set .b=3", "want RULE.KEY=VALUE"},
		{"-p 1 --set a.=3", "want RULE.KEY=VALUE"},
		{"-p 1 --set a.b=", "want RULE.KEY=VALUE"},
		{"record -p 1", "record needs -o FILE"},
		{"record -o f", "no target"},
		{"record -p 1 -o f --json --max-size 10K", "--max-size must be 64K at least"},
		{"record -p 1 -o f --max-size 10Q", "want a number of bytes, for example 100M"},
		{"record -p 1 -o f --max-size 99999999999G", "want a number of bytes"},
		{"record -p 1 -o f --max-files 3", "--max-files needs --max-size"},
		{"record -p 1 -o - --max-size 1M", "a pipe is not rotated"},
		{"record -p 1 -o - --json", "cannot both go to standard output"},
		{"record -p 1 -o f --on-finding critical", "belong to --last"},
		{"record -p 1 -o f --last 60s --on-finding info", "want warning or critical"},
		{"record -p 1 -o - --last 60s", "--last writes whole files"},
		{"record -p 1 -o f --last 60s --max-size 1M", "leave out --max-size"},
		{"record -p 1 -o f --last 60s --max-per-hour 0", "a number from 1 to 3600"},
		{"-p 1 -o f", "--output is not an option of top"},
		{"replay", "replay needs a trace file"},
		{"report", "report needs a trace file"},
		{"report a --html", "--html needs a value: --html OUT"},
		{"report a --html=", "the path is empty"},
		{"replay a --html b", "--html is not an option of replay"},
		{"replay a b", "unexpected argument \"b\""},
		{"replay a -p 1", "--pid is not an option of replay"},
		{"diff a", "diff needs two traces"},
		{"diff a b c", "unexpected argument \"c\""},
		{"export a", "export needs --to"},
		{"export a --to html", "want one of perfetto, folded, speedscope, ndjson"},
		{"export --to folded", "export needs a trace file"},
		{"export a --to ndjson --stacks spawns", "--stacks belongs to --to folded"},
		{"replay a --to ndjson", "--to is not an option of replay"},
		{"rules", "rules list, stalltop rules show ID, or stalltop rules check FILE"},
		{"rules frob", "rules list"},
		{"rules show", "want: stalltop rules show ID"},
		{"rules list all", "want: stalltop rules list"},
		{"rules check a b", "want: stalltop rules check FILE"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct opts opts;
		struct err err;
		int rc = parse(rows[i].line, &opts, &err);

		if (rc != -EINVAL || !strstr(err.msg, rows[i].words))
			fail_msg("\"%s\": %d \"%s\", want \"%s\"", rows[i].line, rc, err.msg,
				 rows[i].words);
		assert_null(strchr(err.msg, '\n'));
		opts_free(&opts);
	}
}

static void test_not_built(void **state)
{
	static const char *const lines[] = {
		"serve --all",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct opts opts;
		struct err err;

		assert_int_equal(parse(lines[i], &opts, &err), -EINVAL);
		if (!strstr(err.msg, "is not built yet in this version"))
			fail_msg("\"%s\": \"%s\"", lines[i], err.msg);
		opts_free(&opts);
	}
}

static void test_defaults(void **state)
{
	struct opts o;

	(void)state;
	accept_line("-p 12", &o);
	assert_int_equal(o.command, CMD_TOP);
	assert_int_equal(o.pids_count, 1);
	assert_int_equal(o.pids[0], 12);
	assert_null(o.name);
	assert_null(o.argv);
	assert_false(o.all || o.json || o.dry_run || o.threshold_given || o.max_loss_given);
	assert_int_equal(o.level, 2);
	assert_int_equal(o.duration_ns, 0);
	assert_int_equal(o.fail_on, SEVERITY_CRITICAL);
	assert_true(o.overhead_ratio > 0.0199 && o.overhead_ratio < 0.0201);
	assert_int_equal(o.verbose, 0);
	opts_free(&o);

	accept_line("check -n shop", &o);
	assert_int_equal(o.duration_ns, CLI_CHECK_DEFAULT);
	opts_free(&o);
	accept_line("dump -n shop", &o);
	assert_int_equal(o.duration_ns, CLI_DUMP_DEFAULT);
	opts_free(&o);
	accept_line("doctor", &o);
	assert_int_equal(o.command, CMD_DOCTOR);
	opts_free(&o);
	accept_line("list --json", &o);
	assert_true(o.json);
	opts_free(&o);
}

static void test_every_option(void **state)
{
	struct opts o;

	(void)state;
	accept_line("--json check -vp1,2 -p 2,3 --rules a.json --rules=dir --set a.b=1 "
		    "--set c.d=2ms --threshold 250us --level 1 --overhead 1.5% --duration 2m "
		    "--fail-on warning --max-loss 0 --no-feature queues --dry-run "
		    "--full-stack --debuginfod --color always -v",
		    &o);
	assert_int_equal(o.command, CMD_CHECK);
	assert_true(o.full_stack);
	assert_int_equal(o.pids_count, 3);
	assert_int_equal(o.pids[2], 3);
	assert_int_equal(o.rules.count, 2);
	assert_string_equal(o.rules.v[1], "dir");
	assert_int_equal(o.sets.count, 2);
	assert_string_equal(o.sets.v[0], "a.b=1");
	assert_true(o.threshold_given);
	assert_int_equal(o.threshold_ns, 250000);
	assert_int_equal(o.level, 1);
	assert_true(o.overhead_ratio > 0.0149 && o.overhead_ratio < 0.0151);
	assert_int_equal(o.duration_ns, 120000000000);
	assert_int_equal(o.fail_on, SEVERITY_WARNING);
	assert_true(o.max_loss_given);
	assert_int_equal(o.max_loss, 0);
	assert_string_equal(o.no_features.v[0], "queues");
	assert_true(o.json && o.dry_run);
	assert_int_equal(o.color, COLOR_ALWAYS);
	assert_int_equal(o.verbose, 2);
	opts_free(&o);
}

static void test_report(void **state)
{
	struct opts o;

	(void)state;
	accept_line("report a.trace --html b.html --set a.b=1 --json", &o);
	assert_int_equal(o.command, CMD_REPORT);
	assert_string_equal(o.files[0], "a.trace");
	assert_string_equal(o.html, "b.html");
	assert_int_equal(o.sets.count, 1);
	assert_false(o.fail_on_given);
	opts_free(&o);
	accept_line("report a.trace --fail-on warning", &o);
	assert_true(o.fail_on_given && !o.html);
	assert_int_equal(o.fail_on, SEVERITY_WARNING);
	opts_free(&o);
}

static void test_command_to_start(void **state)
{
	struct opts o;

	(void)state;
	accept_line("check --json -- ./server -p 80 --help -- x", &o);
	assert_int_equal(o.command, CMD_CHECK);
	assert_string_equal(o.argv[0], "./server");
	assert_string_equal(o.argv[1], "-p");
	assert_string_equal(o.argv[5], "x");
	assert_null(o.argv[6]);
	assert_int_equal(o.duration_ns, 0);
	assert_int_equal(o.pids_count, 0);
	opts_free(&o);

	/* A value is a value, whatever it looks like. */
	accept_line("-n -- --json", &o);
	assert_string_equal(o.name, "--");
	assert_true(o.json);
	assert_null(o.argv);
	opts_free(&o);

	accept_line("-- top", &o);
	assert_int_equal(o.command, CMD_TOP);
	assert_string_equal(o.argv[0], "top");
	opts_free(&o);
}

static void test_rules_words(void **state)
{
	struct opts o;

	(void)state;
	accept_line("rules list", &o);
	assert_int_equal(o.pids_count, 0);
	opts_free(&o);
	accept_line("rules list -p 1 --level 3", &o);
	assert_int_equal(o.pids_count, 1);
	assert_int_equal(o.level, 3);
	assert_int_equal(o.rules_action, RULES_LIST);
	opts_free(&o);
	accept_line("rules show --set a.b=1 stuck-poll", &o);
	assert_int_equal(o.rules_action, RULES_SHOW);
	assert_string_equal(o.rules_arg, "stuck-poll");
	opts_free(&o);
	accept_line("rules check my.json", &o);
	assert_int_equal(o.rules_action, RULES_CHECK);
	assert_string_equal(o.rules_arg, "my.json");
	opts_free(&o);
}

static void test_color(void **state)
{
	struct opts o;

	(void)state;
	assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
	accept_line("-p 1", &o);
	assert_int_equal(o.color, COLOR_NEVER);
	opts_free(&o);
	accept_line("-p 1 --color always", &o);
	assert_int_equal(o.color, COLOR_ALWAYS);
	assert_true(opts_color(&o, stdout));
	opts_free(&o);
	/* Empty means not set: https://no-color.org */
	assert_int_equal(setenv("NO_COLOR", "", 1), 0);
	accept_line("-p 1", &o);
	assert_int_equal(o.color, COLOR_AUTO);
	opts_free(&o);
	unsetenv("NO_COLOR");
}

static void test_too_many_pids(void **state)
{
	char line[512] = "-p 1";
	struct opts opts;
	struct err err;
	size_t len = strlen(line);

	(void)state;
	for (int pid = 2; pid <= CLI_MAX_PIDS + 1; pid++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, ",%d", pid);
	assert_int_equal(parse(line, &opts, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "at most 64 processes"));
	opts_free(&opts);
}

/* stdout goes to a file while a help is printed. */
static char *help_of(const char *line)
{
	char path[] = "/tmp/stalltop-cli.XXXXXX";
	char *text = calloc(1, 16384);
	int fd = mkstemp(path), old = dup(STDOUT_FILENO);
	struct opts opts;
	struct err err;

	assert_true(fd >= 0 && old >= 0 && text);
	fflush(stdout);
	dup2(fd, STDOUT_FILENO);
	assert_int_equal(parse(line, &opts, &err), 1);
	fflush(stdout);
	dup2(old, STDOUT_FILENO);
	close(old);
	opts_free(&opts);
	assert_true(pread(fd, text, 16383, 0) > 0);
	close(fd);
	unlink(path);
	return text;
}

static void test_help(void **state)
{
	char *text = help_of("--help");

	(void)state;
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "--%s", cli_options[i].name);
		assert_int_equal(strstr(text, name) != NULL, cli_options[i].built);
	}
	for (size_t i = 0; i < CLI_COMMANDS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "\n  %s ", cli_commands[i].name);
		assert_int_equal(strstr(text, name) != NULL, cli_commands[i].built);
	}
	free(text);
	text = help_of("list --help");
	assert_non_null(strstr(text, "--json"));
	assert_null(strstr(text, "--fail-on"));
	assert_null(strstr(text, "TARGET"));
	free(text);
	text = help_of("-p 1 --version --bogus");
	assert_int_equal(strncmp(text, "stalltop ", 9), 0);
	free(text);
}

/* Each name once, lines that fit a terminal. */
static void test_tables(void **state)
{
	char *text = help_of("-h");
	char *save = NULL;

	(void)state;
	for (size_t i = 0; i < CLI_OPTIONS; i++) {
		assert_non_null(cli_options[i].name);
		assert_true(cli_options[i].commands);
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(cli_options[i].name, cli_options[k].name);
			assert_true(!cli_options[i].letter ||
				    cli_options[i].letter != cli_options[k].letter);
		}
	}
	for (size_t i = 0; i < CLI_COMMANDS; i++)
		assert_non_null(cli_commands[i].name);
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strlen(l) > 100)
			fail_msg("too long for a terminal: %s", l);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	      cmocka_unit_test(test_not_built),
		cmocka_unit_test(test_defaults),      cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_report),	      cmocka_unit_test(test_command_to_start),
		cmocka_unit_test(test_rules_words),   cmocka_unit_test(test_color),
		cmocka_unit_test(test_too_many_pids), cmocka_unit_test(test_help),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
