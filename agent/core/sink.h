/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sink shows or stores. Members may be NULL: not interested. An event sink sees each event before
 * the model does; a snapshot sink is called after the rules were judged. Sinks never change the
 * model: they get it const. Each returns 0 or -errno (-EPIPE ends the program quietly).
 */
#ifndef CORE_SINK_H
#define CORE_SINK_H

#include "core/event.h"

struct model;
struct rules;
struct sink;

/* What every sink may read. Borrowed for the call. */
struct snapshot {
	const struct model *model;
	const struct rules *rules;
	const char *command; /* "top", "check", "dump" */
	const char *host;
	uint64_t wall_offset_ns; /* wall clock = event time + this */
};

struct sink_ops {
	/* The targets are known: header. */
	int (*open)(struct sink *sink, const struct snapshot *snap);
	/* Every event, in order. */
	int (*event)(struct sink *sink, const struct event *event);
	/* After each EV_TICK and its judgement. */
	int (*snapshot)(struct sink *sink, const struct snapshot *snap);
	/* The stream has ended: final report, footer. */
	int (*finish)(struct sink *sink, const struct snapshot *snap);
	/* Restores and frees; also without finish(). NULL is fine. */
	void (*close)(struct sink *sink);
	/* A descriptor the loop should watch for input; -1 with errno: it failed. May be NULL. */
	int (*fd)(struct sink *sink);
	/* That descriptor is readable. Returns 0, 1 to quit, or -errno. */
	int (*input)(struct sink *sink, const struct snapshot *snap);
};

/* Every sink begins with this. */
struct sink {
	const struct sink_ops *ops;
};

#endif
