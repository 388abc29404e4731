// SPDX-License-Identifier: LGPL-2.1-or-later
/* Parses the command line, runs the command, maps errors to exit codes. */
#include "attach/watch.h"
#include "commands.h"
#include "stack/child.h"
#include "util/sanitize.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool verbose;

static int print_libbpf(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (!verbose || level == LIBBPF_DEBUG)
		return 0;
	return vfprintf(stderr, fmt, args);
}

void report_notes(struct watch *watch)
{
	char *text;

	while ((text = watch_take_note(watch))) {
		fprintf(stderr, "stalltop: process %d: %s\n", watch->proc->pid, text);
		free(text);
	}
}

void report_fetched(struct debuginfod *debuginfod)
{
	bool failed;
	char *text;

	while ((text = debuginfod_take_note(debuginfod, &failed))) {
		fprintf(stderr, "stalltop: %s\n", text);
		free(text);
	}
}

bool is_output_error(int code)
{
	return code == -ENOSPC || code == -EDQUOT || code == -EFBIG || code == -EROFS;
}

int output_error(struct err *err, int code)
{
	return err_set(err, code, "%s%s", is_output_error(code) ? "standard output: " : "",
		       strerror(-code));
}

enum exit_code report_error(const struct err *err)
{
	/* A path or a name in it may come from anywhere. */
	char *text = text_sanitize_dup(err->msg[0] ? err->msg : "unknown error");

	fprintf(stderr, "stalltop: %s\n", text);
	free(text);
	switch (err->code) {
	case -EINVAL: return EXIT_USAGE;
	case -ESRCH: return EXIT_NO_TARGET;
	default: return EXIT_CANNOT_ATTACH;
	}
}

static enum exit_code (*const commands[CMD_COUNT])(const struct opts *opts) = {
	[CMD_TOP] = command_watch,     [CMD_CHECK] = command_watch,   [CMD_DUMP] = command_watch,
	[CMD_LIST] = command_list,     [CMD_DOCTOR] = command_doctor, [CMD_RULES] = command_rules,
	[CMD_RECORD] = command_watch,  [CMD_REPLAY] = command_replay, [CMD_REPORT] = command_report,
	[CMD_EXPORT] = command_export, [CMD_DIFF] = command_diff,
};

int main(int argc, char **argv)
{
	struct err err = {0};
	struct opts opts;
	int ret;

	/* What works on a target's files is this program too; it takes nothing from here. */
	if (stacks_child_wanted(argc, argv))
		return stacks_child_main();
	if (detect_child_wanted(argc, argv))
		return detect_child_main();
	if (debuginfod_child_wanted(argc, argv))
		return debuginfod_child_main();
	setlocale(LC_ALL, "");
	signal(SIGPIPE, SIG_IGN);
	ret = cli_parse(argc, argv, &opts, &err);
	if (ret == 0) {
		verbose = opts.verbose > 0;
		libbpf_set_print(print_libbpf);
		ret = commands[opts.command](&opts);
	} else {
		ret = ret > 0 ? EXIT_FINE : report_error(&err);
	}
	opts_free(&opts);
	return ret;
}
