/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The commands behind main(): each takes the parsed options and returns the exit code. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"
#include "exit.h"

/* top, check and dump, and --dry-run of these. */
enum exit_code command_watch(const struct opts *opts);
enum exit_code command_list(const struct opts *opts);
enum exit_code command_doctor(const struct opts *opts);
enum exit_code command_rules(const struct opts *opts);

/* Rules as the options ask for: built-in, --rules, --set, --threshold. -EINVAL with the place. */
int load_rules(const struct opts *opts, struct rules **out, struct err *err);

/* Prints "stalltop: <message>" to stderr; returns the exit code that fits the error. */
enum exit_code report_error(const struct err *err);

#endif
