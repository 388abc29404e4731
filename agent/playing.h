/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A trace file with model and rules over it, for the commands that read one: no terminal, no
 * privilege, no clock. The rules are the built-in ones, the recorded ones with the recorded
 * settings, then those of the options.
 */
#ifndef PLAYING_H
#define PLAYING_H

#include "cli.h"
#include "exit.h"
#include "pipeline.h"

/*
 * A jump runs through everything before it, or, with more events than this, through what the longest
 * history that a view or a rule looks at needs, if it is no more than this. About 0.15 s of CPU.
 */
#define SEEK_EVENTS 400000
#define SEEK_BACK_NS 70000000000ULL

struct playing {
	struct source *source; /* trace/replay.h */
	struct model *model;
	struct rules *rules;
	struct pipeline pipeline; /* host and wall clock are the recorded machine's */
};

/*
 * Opens the file and sets up all of it; sinks may be added to the pipeline then. `command` is what
 * sinks are told. On error nothing is left; playing_error() gives the exit code.
 */
int playing_open(const struct opts *opts, const char *path, const char *command,
		 struct playing *out, struct err *err);
/* Plays all of it, with every sink, and calls their finish(). 0 or -errno. */
int playing_run(struct playing *p);
/* Model and rules begin anew, as for a jump. */
void playing_restart(struct playing *p);
void playing_close(struct playing *p);

/* Prints the error of playing_open(): EXIT_BAD_TRACE for a trace, EXIT_USAGE for a path or a rule. */
enum exit_code playing_error(const struct err *err);

#endif
