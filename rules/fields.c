// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of fields; see fields.h. */
#include "rules/fields.h"

#include <string.h>

#include "rules/getters.h"

#define POLL .scope = SCOPE_POLL
#define SITE .scope = SCOPE_SITE
#define WORKER .scope = SCOPE_WORKER
#define RUNTIME .scope = SCOPE_RUNTIME
#define TARGET .scope = SCOPE_TARGET
#define NS .unit = UNIT_NS
#define COUNT .unit = UNIT_COUNT
#define RATIO .unit = UNIT_RATIO
#define BYTES .unit = UNIT_BYTES
#define PER_SECOND .unit = UNIT_PER_SECOND
#define TRACED .evidence = EVIDENCE_TRACED
#define SAMPLED .evidence = EVIDENCE_SAMPLED
#define INFERRED .evidence = EVIDENCE_INFERRED

/* clang-format off */
const struct field fields[] = {
	{"poll.length", POLL, NS, TRACED, .poll_length = true, .get = get_poll_length,
	 .meaning = "from the start of the poll to its end, or until now while it is open"},
	{"poll.blocked", POLL, NS, TRACED, .poll_length = true, .get = get_poll_blocked,
	 .meaning = "part of it: voluntarily off the CPU, in a system call or a page fault"},
	{"poll.preempted", POLL, NS, TRACED, .poll_length = true, .get = get_poll_preempted,
	 .meaning = "part of it: ready to run, but the kernel ran something else"},
	{"poll.on_cpu", POLL, NS, TRACED, .poll_length = true, .get = get_poll_on_cpu,
	 .meaning = "part of it: the rest, on the CPU"},
	{"poll.worst_block", POLL, NS, TRACED, .poll_length = true, .get = get_poll_worst_block,
	 .meaning = "its longest single span voluntarily off the CPU"},
	{"poll.open", POLL, .unit = UNIT_BOOL, TRACED, .get = get_poll_open,
	 .meaning = "the poll has not ended; stays true at the end for a rule that held before"},

	{"site.live", SITE, COUNT, SAMPLED, .get = get_site_live,
	 .meaning = "tasks of this type that are alive, among those seen"},
	{"site.live_growth", SITE, COUNT, SAMPLED, .windowed = true, .get = get_site_live_growth,
	 .meaning = "how many more are alive than at the start of the window"},
	{"site.live_bytes", SITE, BYTES, SAMPLED, .get = get_site_live_bytes,
	 .meaning = "their memory: live times the size of one"},
	{"site.task_bytes", SITE, BYTES, TRACED, .get = get_site_task_bytes,
	 .meaning = "memory of one task"},
	{"site.idle", SITE, COUNT, SAMPLED, .get = get_site_idle,
	 .meaning = "live tasks that wait for an event"},
	{"site.idle_oldest", SITE, NS, SAMPLED, .get = get_site_idle_oldest,
	 .meaning = "longest time since the last poll of a live task"},
	{"site.detached", SITE, COUNT, SAMPLED, .get = get_site_detached,
	 .meaning = "live tasks without a JoinHandle"},
	{"site.spawn_rate", SITE, PER_SECOND, TRACED, .windowed = true, .get = get_site_spawn_rate,
	 .meaning = "tasks first polled, a second"},
	{"site.end_rate", SITE, PER_SECOND, TRACED, .windowed = true, .get = get_site_end_rate,
	 .meaning = "tasks freed, a second"},
	{"site.completed_held", SITE, COUNT, SAMPLED, .get = get_site_completed_held,
	 .meaning = "tasks that have completed and are kept in memory by a JoinHandle"},
	{"site.completed_held_growth", SITE, COUNT, SAMPLED, .windowed = true,
	 .get = get_site_completed_held_growth,
	 .meaning = "how many more of these than at the start of the window"},
	{"site.completed_held_oldest", SITE, NS, SAMPLED, .get = get_site_completed_held_oldest,
	 .meaning = "time since the oldest of these completed"},
	{"site.completed_held_bytes", SITE, BYTES, SAMPLED, .get = get_site_completed_held_bytes,
	 .meaning = "their memory"},
	{"site.poll_rate", SITE, PER_SECOND, TRACED, .windowed = true, .get = get_site_poll_rate,
	 .meaning = "polls that ended, a second"},
	{"site.busy_share", SITE, RATIO, TRACED, .windowed = true, .get = get_site_busy_share,
	 .meaning = "time in its polls; 100% is one worker's time"},
	{"site.short_blocked_share", SITE, RATIO, TRACED, .windowed = true,
	 .get = get_site_short_blocked_share,
	 .meaning = "blocked time in polls too short to be reported one by one; 100% is one worker's time"},
	{"site.worker_blocked_share", SITE, RATIO, SAMPLED, .windowed = true,
	 .get = get_site_worker_blocked_share,
	 .meaning = "blocked share of the most blocked worker of the process"},
	{"site.poll_p50", SITE, NS, TRACED, .get = get_site_poll_p50,
	 .meaning = "median length of its polls since the watch began"},
	{"site.poll_p99", SITE, NS, TRACED, .get = get_site_poll_p99,
	 .meaning = "99th percentile of the same"},
	{"site.poll_max", SITE, NS, TRACED, .get = get_site_poll_max,
	 .meaning = "its longest poll that has ended"},
	{"site.delay_p50", SITE, NS, TRACED, .get = get_site_delay_p50,
	 .meaning = "median time from a wake to the poll, since the watch began (level 3)"},
	{"site.delay_p99", SITE, NS, TRACED, .get = get_site_delay_p99,
	 .meaning = "99th percentile of the same"},
	{"site.delay_max", SITE, NS, TRACED, .get = get_site_delay_max,
	 .meaning = "the longest of these"},

	{"worker.busy_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = get_worker_busy,
	 .meaning = "share of the worker's time in polls, on the CPU"},
	{"worker.blocked_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = get_worker_blocked,
	 .meaning = "in polls, voluntarily off the CPU"},
	{"worker.preempted_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = get_worker_preempted,
	 .meaning = "in polls, preempted"},
	{"worker.parked_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = get_worker_parked,
	 .meaning = "outside polls, off the CPU"},
	{"worker.searching_share", WORKER, RATIO, SAMPLED, .windowed = true, .get = get_worker_searching,
	 .meaning = "outside polls, on the CPU"},
	{"worker.poll_rate", WORKER, PER_SECOND, SAMPLED, .windowed = true,
	 .get = get_worker_polls_per_second, .meaning = "polls that ended, a second"},

	{"runtime.workers", RUNTIME, COUNT, SAMPLED, .get = get_runtime_workers,
	 .meaning = "worker threads: as configured, else those that have polled"},
	{"runtime.held", RUNTIME, COUNT, SAMPLED, .get = get_runtime_held,
	 .meaning = "worker threads that are in a poll now"},
	{"runtime.ready_wait", RUNTIME, NS, SAMPLED, .get = get_runtime_ready_wait,
	 .meaning = "longest wait of a ready task seen now, while every worker was in a poll; a lower bound"},
	{"runtime.ready_wait_recent", RUNTIME, NS, SAMPLED, .get = get_runtime_ready_wait_recent,
	 .meaning = "the same over the last 5 s"},
	{"runtime.ready_waiting", RUNTIME, COUNT, SAMPLED, .get = get_runtime_ready_waiting,
	 .meaning = "tasks seen waiting 5 ms or longer in the last 5 s"},
	{"runtime.queue_depth", RUNTIME, COUNT, SAMPLED, .get = get_runtime_queue_depth,
	 .meaning = "tasks queued for a worker: shared queue and local queues"},
	{"runtime.inject_depth", RUNTIME, COUNT, SAMPLED, .get = get_runtime_inject_depth,
	 .meaning = "tasks in the shared queue"},
	{"runtime.queue_wait", RUNTIME, NS, INFERRED, .windowed = true, .get = get_runtime_queue_wait,
	 .meaning = "mean wait in the queue by Little's law: queued tasks over the polls a second that the workers reach while they are in polls"},
	{"runtime.poll_rate", RUNTIME, PER_SECOND, SAMPLED, .windowed = true, .get = get_runtime_poll_rate,
	 .meaning = "polls that ended, a second"},
	{"runtime.culprit_share", RUNTIME, RATIO, SAMPLED, .windowed = true,
	 .get = get_runtime_culprit_share,
	 .meaning = "share of the workers' time held by the site that holds them most"},
	{"runtime.alive", RUNTIME, COUNT, SAMPLED, .get = get_runtime_alive,
	 .meaning = "tasks that the runtime owns"},
	{"runtime.blocking_queue", RUNTIME, COUNT, SAMPLED, .get = get_runtime_blocking_queue,
	 .meaning = "spawn_blocking work that waits for a thread"},
	{"runtime.blocking_threads", RUNTIME, COUNT, SAMPLED, .get = get_runtime_blocking_threads,
	 .meaning = "threads of the blocking pool"},
	{"runtime.blocking_idle", RUNTIME, COUNT, SAMPLED, .get = get_runtime_blocking_idle,
	 .meaning = "of these, idle"},

	{"target.cpus", TARGET, COUNT, TRACED, .get = get_target_cpus,
	 .meaning = "CPUs that the process may use"},
	{"target.tasks", TARGET, COUNT, SAMPLED, .get = get_target_tasks,
	 .meaning = "live tasks of all types"},
	{"target.runtimes", TARGET, COUNT, TRACED, .get = get_target_runtimes,
	 .meaning = "runtimes in the process"},
};
/* clang-format on */

const size_t fields_count = sizeof(fields) / sizeof(fields[0]);

bool field_get(const struct field *f, const struct field_ctx *ctx, double *out)
{
	const void *const objects[] = {
		[SCOPE_POLL] = ctx->poll,     [SCOPE_SITE] = ctx->site,
		[SCOPE_WORKER] = ctx->worker, [SCOPE_RUNTIME] = ctx->runtime,
		[SCOPE_TARGET] = ctx->target,
	};

	return objects[f->scope] && f->get(ctx, out);
}

const struct field *field_find(const char *name)
{
	for (size_t i = 0; i < fields_count; i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

/* A poll has a site, a worker and a runtime; a worker has a runtime; all have a target. */
bool field_in_scope(const struct field *f, enum rule_scope scope)
{
	static const unsigned reach[] = {
		[SCOPE_POLL] = 1 << SCOPE_POLL | 1 << SCOPE_SITE | 1 << SCOPE_WORKER |
			       1 << SCOPE_RUNTIME | 1 << SCOPE_TARGET,
		[SCOPE_SITE] = 1 << SCOPE_SITE | 1 << SCOPE_TARGET,
		[SCOPE_WORKER] = 1 << SCOPE_WORKER | 1 << SCOPE_RUNTIME | 1 << SCOPE_TARGET,
		[SCOPE_RUNTIME] = 1 << SCOPE_RUNTIME | 1 << SCOPE_TARGET,
		[SCOPE_TARGET] = 1 << SCOPE_TARGET,
	};

	return reach[scope] >> f->scope & 1;
}

const char *scope_name(enum rule_scope scope)
{
	static const char *const names[] = {"poll", "site", "worker", "runtime", "target"};

	return names[scope];
}

const char *field_unit_name(enum field_unit unit)
{
	static const char *const names[] = {"ns", "count", "ratio", "bytes", "per_second", "bool"};

	return names[unit];
}
