/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the outside learns: the probe points of <stalltop/sdt.h>, and csched's own log of the very
 * same moments, so that the two can be compared. Each thread keeps its log to itself; they are added
 * up in trace_report(), which is for when the threads have ended.
 *
 * A poll's length is taken inside its two probes, so it is shorter than what a watcher sees by the
 * time that the watching takes.
 */
#ifndef CSCHED_TRACE_H
#define CSCHED_TRACE_H

#include "parts.h"

#include <stdio.h>

void trace_thread(const struct cs_sched *sched, const char *role, unsigned int index);
void trace_runtime_start(const struct cs_sched *sched);
void trace_runtime_stop(const struct cs_sched *sched);
void trace_worker_start(const struct worker *worker);
void trace_worker_stop(const struct worker *worker);
void trace_park(const struct worker *worker);
void trace_unpark(const struct worker *worker);
void trace_spawn(const struct cs_task *task);
void trace_wake(const struct cs_task *task);
void trace_poll_begin(const struct cs_task *task);
void trace_poll_end(const struct cs_task *task, enum cs_poll end);
void trace_complete(const struct cs_task *task);
void trace_detach(const struct cs_task *task);
void trace_drop(const struct cs_task *task);
void trace_blocking_begin(const struct cs_sched *sched, const struct cs_work *work);
void trace_blocking_end(const struct cs_sched *sched, const struct cs_work *work);

/* Probes passed so far by all threads; after cs_settle(), while no timer and no pool work is due. */
uint64_t trace_passed(void);

/*
 * JSON lines: one for each poll of at least `min_ns`, one for each task type, and last the totals.
 * Frees the logs.
 */
void trace_report(FILE *out, uint64_t min_ns);

#endif
