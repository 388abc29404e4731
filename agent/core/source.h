/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source of events. There are two kinds, live and replay; what is behind it stays hidden.
 * Owned by whoever opened it; close() frees it. All calls come from one thread.
 */
#ifndef CORE_SOURCE_H
#define CORE_SOURCE_H

#include "core/event.h"

struct source;

struct source_ops {
	/* A descriptor that becomes readable when drain() has work; -1: none. */
	int (*fd)(struct source *source);
	/* How long until the source wants tick() again, milliseconds; asked after each one. */
	int (*interval_ms)(struct source *source);
	/* Passes on what is pending. Returns 0, 1 at the end of the stream, or -errno. */
	int (*drain)(struct source *source, event_fn fn, void *ctx);
	/* Reads what has to be asked for and closes the moment with EV_TICK. Returns as drain(). */
	int (*tick)(struct source *source, event_fn fn, void *ctx);
	/* The last look: reads all of it, whatever the rhythm. NULL: there is nothing to add. */
	int (*finish)(struct source *source, event_fn fn, void *ctx);
	/* Polls at least this long are reported singly from now on. NULL: what comes is fixed. */
	void (*set_threshold)(struct source *source, uint64_t ns);
	/* Detaches and frees. NULL is fine. */
	void (*close)(struct source *source);
};

/* Every source begins with this. */
struct source {
	const struct source_ops *ops;
};

#endif
