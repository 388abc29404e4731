/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sinks of `export`: a trace for other viewers (docs/export.md). Each borrows `out` and the
 * model that the same events go into; a sink sees an event before the model does. Nothing is
 * left out silently: what a limit cut is said in the file. Times are nanoseconds of the recorded machine's CLOCK_MONOTONIC.
 */
#ifndef SINK_EXPORT_H
#define SINK_EXPORT_H

#include <stdio.h>

#include "core/sink.h"
#include "model/model.h"
#include "trace/bytes.h"

/* Perfetto's protobuf: threads, tasks, blocks, queues, findings on a time line. */
struct sink *perfetto_sink_new(FILE *out, const struct model *model, uint64_t wall_offset_ns);
/* Stacks of one kind as lines "outermost;...;innermost weight". */
struct sink *folded_sink_new(FILE *out, const struct model *model, enum stack_kind kind);
/* Stacks of every kind that came, one profile each, as speedscope's JSON. */
struct sink *speedscope_sink_new(FILE *out, const struct model *model, const char *exporter);
/* Each event as a JSON object, with the fields of docs/trace-format.md. */
struct sink *ndjson_sink_new(FILE *out);

/* What is to be written, in pieces that are large enough. */
struct export_out {
	FILE *out;
	struct bytes b;
};

/* Writes what there is when it is much, or when it is the last. 0 or -errno. */
int export_flush(struct export_out *o, bool last);
void export_text(struct export_out *o, const char *text);
void export_textf(struct export_out *o, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With quotes and escapes; NULL: null. */
void export_json(struct export_out *o, const char *text);

#endif
