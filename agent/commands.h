/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands behind main(): each takes the parsed options and returns the exit code. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"
#include "exit.h"

/* top, check, dump and record, and --dry-run of these; rules list of a target. */
enum exit_code command_watch(const struct opts *opts);
enum exit_code command_list(const struct opts *opts);
enum exit_code command_doctor(const struct opts *opts);
enum exit_code command_rules(const struct opts *opts);
enum exit_code command_replay(const struct opts *opts);
enum exit_code command_report(const struct opts *opts);
enum exit_code command_export(const struct opts *opts);
enum exit_code command_diff(const struct opts *opts);

/* Rules as the options ask for: built-in, --rules, --set, --threshold. -EINVAL with the place. */
int load_rules(const struct opts *opts, struct rules **out, struct err *err);

/* The same, where those that were recorded come between the built-in ones and --rules. */
int load_rules_over(const struct opts *opts, const struct rule_source *recorded, size_t count,
		    struct rules **out, struct err *err);

struct watch;

/* Prints what was noted about the objects of a process to stderr. */
void report_notes(struct watch *watch);
struct debuginfod;
/* The same about debug files that were fetched, or not; NULL is fine. */
void report_fetched(struct debuginfod *debuginfod);

/* What is printed cannot be written: disk full, read-only, ...; EPIPE is none. */
bool is_output_error(int code);
/* Says so, or what else the code means; returns it. */
int output_error(struct err *err, int code);
/* Prints "stalltop: <message>" to stderr; returns the exit code that fits the error. */
enum exit_code report_error(const struct err *err);

#endif
