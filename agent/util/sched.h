/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How this program shares CPUs with those that it watches. */
#ifndef UTIL_SCHED_H
#define UTIL_SCHED_H

/*
 * From now on this thread, and what it starts, does not take the CPU from others when it wakes, and
 * has to let go of it at once when one of them does: SCHED_BATCH, with the shortest slice that there
 * is (Linux 6.12; see sched(7) and kernel/sched/fair.c). Its share stays what its niceness says, so on a
 * busy machine it is late, but not starved. Who chose a policy for it (chrt) keeps that.
 */
void sched_give_way(void);

#endif
