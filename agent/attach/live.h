/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The live source: watches processes through the kernel part and turns what it sees into events.
 *
 * What the BPF programs aggregate (site statistics, thread slots, task table) and what target
 * memory holds (task states, queue depths) is read at ticks; long polls come through the ring.
 */
#ifndef ATTACH_LIVE_H
#define ATTACH_LIVE_H

#include "attach/watch.h"
#include "core/source.h"

struct live_opts {
	unsigned int level; /* 0 to 3 */
	bool sentinel;	    /* polls of sites without a probe are looked for above level 0, too */
	uint64_t threshold_ns; /* polls at least this long are reported singly */
	uint32_t ring_bytes;   /* a power of two; 0: the default */
	double overhead_ratio; /* a note says when watching costs the targets more */
	bool fresh_tasks;      /* read every task's state at each scan (dump) */
	bool exact;	       /* probe the return of each poll too, where that is safe */
	bool overhead_check;   /* measure what the probes cost, in turns with and without them */
	bool polls;	       /* every poll becomes part of an EV_POLLS (record --polls) */
	bool no_sampling, no_queues, no_stacks, no_spawns; /* --no-feature */
	pid_t child;		       /* started by us (launch.h): reaped here; 0 none */
	struct debuginfod *debuginfod; /* borrowed; NULL: debug files of this machine only */
};

/*
 * Takes the watches over (also on error). Probes are in place when it returns 0. `err` names what
 * is missing: -EPERM, -ENOTSUP (no runtime that can be watched, or `exact` nowhere), -ESRCH.
 */
int live_open(const struct live_opts *opts, struct watch **watches, size_t count,
	      struct source **out, struct err *err);

#endif
