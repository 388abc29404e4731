/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line. One table of options and one of commands (cli.c) are read by the parser, by
 * --help and by the test of the documentation; nothing else lists them.
 *
 * cli_parse() fills a struct opts that is const from then on. Strings in it are those of argv
 * (not copied); the arrays belong to it and are freed by opts_free(). Durations are nanoseconds.
 * Errors are one line that ends with the fix; the caller prints it and exits with EXIT_USAGE.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "rules/rule.h"
#include "util/err.h"

#define CLI_MAX_PIDS 64 /* WIRE_MAX_TARGETS */
#define CLI_CHECK_DEFAULT 30000000000ULL
#define CLI_DUMP_DEFAULT 100000000ULL
#define CLI_RULES_DEFAULT 2000000000ULL /* rules list TARGET: depths and levels are known by then */
#define CLI_MAX_FILES 2

enum command {
	CMD_TOP,
	CMD_CHECK,
	CMD_DUMP,
	CMD_LIST,
	CMD_DOCTOR,
	CMD_RULES,
	CMD_RECORD,
	CMD_REPLAY,
	CMD_REPORT,
	CMD_EXPORT,
	CMD_DIFF,
	CMD_COUNT
};

enum rules_action { RULES_LIST, RULES_SHOW, RULES_CHECK };

/* export --to */
enum export_to {
	EXPORT_NONE,
	EXPORT_PERFETTO,
	EXPORT_FOLDED,
	EXPORT_SPEEDSCOPE,
	EXPORT_NDJSON,
};

enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* Strings given by an option that may be repeated, in order. */
struct opts_list {
	const char **v;
	size_t count, cap;
};

struct opts {
	enum command command;

	/* TARGET: exactly one of the four for top, check and dump; at most one for doctor. */
	uint32_t pids[CLI_MAX_PIDS]; /* no duplicates */
	size_t pids_count;
	const char *name; /* NULL: none */
	bool all;
	char *const *argv; /* COMMAND ARG..., ended by NULL; NULL: none */

	enum rules_action rules_action;
	const char *rules_arg; /* ID of show, FILE of check */

	struct opts_list rules;	      /* --rules, to rules_load_path() */
	struct opts_list sets;	      /* --set, to rules_set() */
	struct opts_list no_features; /* --no-feature; the names are checked by who knows them */
	unsigned int level;	      /* 0 to 3 */
	bool threshold_given;
	uint64_t threshold_ns; /* valid with threshold_given */
	uint64_t duration_ns;  /* 0: until the target ends or a signal */
	enum severity fail_on;
	bool fail_on_given;
	bool max_loss_given;
	uint64_t max_loss;     /* events; valid with max_loss_given */
	double overhead_ratio; /* 0.02 is 2 % of the target's CPU time */
	bool exact;	       /* returns of polls are probed, too */
	bool overhead_check;   /* check, record: measure it */
	uint32_t ring_bytes;   /* a power of two; 0: the default */

	bool json;
	bool dry_run;
	bool wait;	       /* --wait: a target without a runtime is no error */
	enum color_mode color; /* NO_COLOR is taken into account */
	bool debuginfod;       /* debug files may be fetched */
	bool full_stack;       /* stacks in text and in the live view are not folded */
	unsigned int verbose;  /* times -v was given */

	/* Of the commands that take files (struct cli_command). */
	const char *files[CLI_MAX_FILES];
	size_t files_count;

	/* report */
	const char *html;   /* the page to write; "-": standard output; NULL: none */
	const char *output; /* record, export: "-" is standard output; NULL: not given */

	/* export */
	enum export_to export_to;
	bool export_stacks_given;
	enum stack_kind export_stacks; /* of --to folded */

	/* record */
	bool polls;		/* every poll, not only the long ones */
	uint64_t max_size;	/* bytes of a file, 0: no limit */
	unsigned int max_files; /* kept by rotation, at least 1 */
	uint64_t last_ns;	/* flight recorder: what it looks back on; 0: none */
	bool on_finding_given;
	enum severity on_finding;  /* valid with on_finding_given */
	unsigned int max_per_hour; /* files that the flight recorder writes */
};

/*
 * Returns 0; 1 when --help or --version was printed to stdout: exit with EXIT_FINE;
 * -EINVAL with the sentence to print in `err`. `opts` needs opts_free() in every case.
 */
int cli_parse(int argc, char **argv, struct opts *opts, struct err *err);
void opts_free(struct opts *opts);

/* Whether what goes to `out` should be coloured. */
bool opts_color(const struct opts *opts, FILE *out);

/* The tables: cli_options.c. Used by the parser, the help and the test of the documentation. */
#define CLI_BIT(command) (1U << (command))
#define CLI_RECORD CLI_BIT(CMD_RECORD)
#define CLI_REPLAY CLI_BIT(CMD_REPLAY)
#define CLI_REPORT CLI_BIT(CMD_REPORT)
#define CLI_EXPORT CLI_BIT(CMD_EXPORT)
#define CLI_DIFF CLI_BIT(CMD_DIFF)
#define CLI_WATCH (CLI_BIT(CMD_TOP) | CLI_BIT(CMD_CHECK) | CLI_BIT(CMD_DUMP) | CLI_RECORD)
#define CLI_ATTACH (CLI_WATCH | CLI_BIT(CMD_DOCTOR))
#define CLI_ANY (CLI_BIT(CMD_COUNT) - 1)

struct cli_option {
	const char *name;      /* without "--" */
	const char *arg;       /* "DUR", NULL: takes none */
	unsigned int commands; /* bit n: enum command n takes it */
	char letter;	       /* 0: none */
	bool built;	       /* false: part of the contract, refused by this version */
	const char *help;
	/* NULL: --help, --version, and what is not built */
	int (*set)(struct opts *opts, const char *value, struct err *err);
};

struct cli_command {
	const char *name;
	const char *usage; /* what follows the name */
	const char *help;
	bool built;	      /* as above */
	enum command command; /* valid when built */
	uint8_t files;	      /* trace files that it takes, at most CLI_MAX_FILES */
};

#define CLI_OPTIONS 34
#define CLI_COMMANDS 12

extern const struct cli_option cli_options[CLI_OPTIONS];
extern const struct cli_command cli_commands[CLI_COMMANDS];

/* Appends; the string is not copied. */
void opts_list_add(struct opts_list *list, const char *value);

#endif
