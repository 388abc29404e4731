/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The second source: a trace file. Its events come as they were recorded, in their order and with
 * their times, so the same model and the same findings result.
 *
 * drain() passes on all that is left and returns 1, or -errno: for those who only want the result.
 * tick() goes on to the next EV_TICK. A player uses replay_until(), and jumps with replay_seek();
 * after a jump model and rules begin anew. What is damaged becomes a note and an EV_LOST in its
 * place.
 */
#ifndef TRACE_REPLAY_H
#define TRACE_REPLAY_H

#include "core/source.h"
#include "trace/reader.h"

/* As trace_reader_open(). */
int replay_open(const char *path, struct source **out, struct err *err);

/* Also to be told, as a warning, where the file begins. */
void replay_warn(struct source *source, const char *text);

/* What the header and the list of chunks say; borrowed. */
const struct trace_reader *replay_reader(const struct source *source);

/* Passes on what is not later than `time_ns`: 0; 1: the end was reached; -errno. */
int replay_until(struct source *source, uint64_t time_ns, event_fn fn, void *ctx);
/* Events that a run to `time_ns` from here would pass on, about. */
uint64_t replay_events_until(const struct source *source, uint64_t time_ns);
/*
 * Where to begin for `time_ns`: the start, or, with more events before it than `max_events`, the
 * last keyframe at least `before_ns` ahead of it, or a later one when that is too many still. True:
 * the start, so nothing is missing.
 */
bool replay_seek(struct source *source, uint64_t time_ns, uint64_t before_ns, uint64_t max_events);
/* Latest time passed on; before the first event, that of the file's beginning. */
uint64_t replay_now(const struct source *source);
/* Time of the last event that can be read. */
uint64_t replay_end(const struct source *source);

#endif
