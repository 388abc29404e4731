/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a watch keeps of itself: `record` to a file, or the flight recorder of record and top. */
#ifndef RECORDING_H
#define RECORDING_H

#include "cli.h"
#include "pipeline.h"

struct recording;

/*
 * Opens what the options ask for; *out stays NULL when that is nothing. The file is made here: what
 * cannot be written is known before anything is attached.
 */
int recording_open(const struct opts *opts, struct recording **out, struct err *err);
/* What the live view keeps, for its key that writes a trace of the last minute. */
struct recording *recording_of_view(const struct opts *opts);
/* Adds its sinks, before those that show. */
void recording_join(struct recording *r, struct pipeline *p);
/* Writes what the flight recorder keeps; `text` says what came of it. -ENOTSUP: it keeps nothing. */
int recording_write(struct recording *r, const char *cause, char *text, size_t size);
/* After the loop ended by an error of somebody else: what was recorded is closed properly. */
void recording_finish(struct recording *r, const struct snapshot *snap);
/* Its own error, NULL: none. */
const struct err *recording_error(const struct recording *r);
void recording_close(struct recording *r);

#endif
