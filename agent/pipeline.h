/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Joins one source to the model, the rules and the sinks: each event goes to the event sinks, then
 * to the model; each EV_TICK to the rules, then to the snapshot sinks. Borrows all of them.
 */
#ifndef PIPELINE_H
#define PIPELINE_H

#include "core/sink.h"
#include "core/source.h"
#include "model/model.h"
#include "rules/rule.h"

#define PIPELINE_SINKS 4

struct pipeline {
	struct source *source;
	struct model *model;
	struct rules *rules;
	struct sink *sinks[PIPELINE_SINKS];
	unsigned int sinks_count;
	struct snapshot snap;
	char host[256];
	bool opened;	   /* the sinks have had their open() */
	bool quiet;	   /* snapshot sinks are not called: a trace is run through to a place */
	uint64_t rejected; /* events that the model did not accept: our own mistake, reported */
};

void pipeline_init(struct pipeline *p, struct source *source, struct model *model,
		   struct rules *rules, const char *command);
void pipeline_add(struct pipeline *p, struct sink *sink);

/* Another model from now on, as after a jump in a trace; rules and sinks stay. */
void pipeline_renew(struct pipeline *p, struct model *model);

/* Passes on what the source has ready. 0, 1 at the end of the stream, or -errno. */
int pipeline_drain(struct pipeline *p);
int pipeline_tick(struct pipeline *p);
/* Of a trace: what is not later than `time_ns`. */
int pipeline_until(struct pipeline *p, uint64_t time_ns);
/* Shows the present state again: after a resize. */
int pipeline_redraw(struct pipeline *p);
/* The final reports. */
int pipeline_finish(struct pipeline *p);

#endif
