/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sinks that keep what happens: one writes it to a file as it comes, the other, the flight
 * recorder, keeps the last minute in memory and writes it when something happened.
 *
 * Both see every event before the model does, and take keyframes from the model at ticks. An error of
 * the first ends the program: recording is what it was asked for.
 */
#ifndef SINK_TRACE_H
#define SINK_TRACE_H

#include "core/sink.h"
#include "rules/rule.h"
#include "trace/file.h"

struct trace_sink_opts {
	const char *path;	       /* "-": standard output; flight: what the names begin with */
	const struct trace_info *info; /* borrowed; may be filled in until the first event */
	uint64_t max_size;	       /* rotate after so many bytes; 0: never */
	unsigned int max_files;	       /* path, path.1, ... */
};

/* The file is made now, so that what cannot be written is known before anything is attached. */
int trace_sink_new(const struct trace_sink_opts *o, struct sink **out, struct err *err);

struct flight_opts {
	const char *path; /* "F.trace": files are F-20261125T025312Z.trace, by the time (UTC) */
	const struct trace_info *info;
	uint64_t last_ns;      /* what is looked back on */
	uint64_t after_ns;     /* what is still recorded after the cause */
	uint64_t budget_bytes; /* of packed chunks in memory; beyond it the look-back is shorter */
	bool on_finding, on_death; /* causes; asking for it (flight_sink_write) is always one */
	enum severity severity;	   /* of a finding, at least */
	unsigned int max_per_hour;
	/* Called when a file was written, or could not be. May be NULL. */
	void (*told)(void *ctx, const char *text);
	void *ctx;
};

struct sink *flight_sink_new(const struct flight_opts *o);
/* Asks for a file of what is kept. `text` says what became of it: the name, or why not. */
int flight_sink_write(struct sink *sink, const char *cause, char *text, size_t size);

/* What a trace or flight sink has done so far, for the line of progress. */
struct trace_progress {
	uint64_t bytes; /* written; flight: kept in memory */
	uint64_t events;
	unsigned int files;
};

void trace_sink_progress(const struct sink *sink, struct trace_progress *out);
void flight_sink_progress(const struct sink *sink, struct trace_progress *out);
/* NULL: none. Of the flight recorder: the last file that could not be written; it went on. */
const struct err *trace_sink_error(const struct sink *sink);
const struct err *flight_sink_error(const struct sink *sink);

#endif
