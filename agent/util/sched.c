// SPDX-License-Identifier: LGPL-2.1-or-later
/* Giving way to the programs that are watched; see sched.h. */
#include "util/sched.h"

#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct sched_attr of sched_setattr(2): <linux/sched/types.h> and <sched.h> do not go together. */
struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

#define SLICE_NS 100000 /* the least that the kernel takes; older ones pass it over */

void sched_give_way(void)
{
	struct attr attr = {
		.size = sizeof(attr),
		.policy = SCHED_BATCH,
		.nice = getpriority(PRIO_PROCESS, 0),
		.runtime = SLICE_NS,
	};

	/* Without it stalltop works as well, and is in the way a little more. */
	if (sched_getscheduler(0) == SCHED_OTHER)
		syscall(SYS_sched_setattr, 0, &attr, 0);
}
