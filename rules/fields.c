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
	{"poll.length", POLL, NS, TRACED, .need = NEED_LONG, .poll_length = true, .get = get_poll_length,
	 .meaning = "from the start of the poll to its end, or until now while it is open"},
	{"poll.own", POLL, NS, TRACED, .need = NEED_LONG, .poll_length = true, .get = get_poll_own,
	 .meaning = "its length without the preempted part"},
	{"poll.blocked", POLL, NS, TRACED, .need = NEED_LONG, .poll_length = true, .get = get_poll_blocked,
	 .meaning = "part of it: voluntarily off the CPU, in a system call or a page fault"},
	{"poll.preempted", POLL, NS, TRACED, .need = NEED_CPU, .poll_length = true, .get = get_poll_preempted,
	 .meaning = "part of it: the kernel ran something else, or a signal or a debugger had stopped it"},
	{"poll.on_cpu", POLL, NS, TRACED, .need = NEED_CPU, .poll_length = true, .get = get_poll_on_cpu,
	 .meaning = "part of it: the rest, on the CPU"},
	{"poll.worst_block", POLL, NS, TRACED, .need = NEED_LONG, .poll_length = true, .get = get_poll_worst_block,
	 .meaning = "its longest single span voluntarily off the CPU"},
	{"poll.open", POLL, .unit = UNIT_BOOL, TRACED, .need = NEED_LONG, .get = get_poll_open,
	 .meaning = "the poll has not ended; stays true at the end for a rule that held before"},

	{"site.live", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .get = get_site_live,
	 .meaning = "tasks of this type that are alive, among those seen"},
	{"site.live_growth", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .windowed = true, .get = get_site_live_growth,
	 .meaning = "how many more are alive than at the start of the window"},
	{"site.live_peak", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .get = get_site_live_peak,
	 .meaning = "the most that were alive at once since the watch began"},
	{"site.live_bytes", SITE, BYTES, SAMPLED, .need = NEED_TASKS, .get = get_site_live_bytes,
	 .meaning = "their memory: live times the size of one"},
	{"site.task_bytes", SITE, BYTES, TRACED, .get = get_site_task_bytes,
	 .meaning = "memory of one task, as it is allocated; of a Tokio whose version is not known, at least so much"},
	{"site.idle", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .get = get_site_idle,
	 .meaning = "live tasks that wait for an event"},
	{"site.idle_oldest", SITE, NS, SAMPLED, .need = NEED_TASKS, .get = get_site_idle_oldest,
	 .meaning = "longest time since the last poll of a live task"},
	{"site.detached", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .get = get_site_detached,
	 .meaning = "live tasks without a JoinHandle"},
	{"site.detached_growth", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .windowed = true,
	 .get = get_site_detached_growth,
	 .meaning = "how many more of these than at the start of the window"},
	{"site.task_busy", SITE, NS, TRACED, .need = NEED_TASKS, .windowed = true, .get = get_site_task_busy,
	 .meaning = "mean time in polls of one task: of all its polls over the window, a task first polled"},
	{"site.moved_rate", SITE, PER_SECOND, TRACED, .need = NEED_TASKS, .windowed = true, .get = get_site_moved_rate,
	 .meaning = "polls on another thread than the task's last one, a second"},
	{"site.moved_share", SITE, RATIO, TRACED, .need = NEED_TASKS, .windowed = true, .get = get_site_moved_share,
	 .meaning = "part of its polls that are such"},
	{"site.moved_busy", SITE, RATIO, INFERRED, .need = NEED_TASKS, .windowed = true, .get = get_site_moved_busy,
	 .meaning = "time in these polls, if they last as long as the others: its busy share times the moved share; what cold caches could have slowed down at most. 100% is one worker's time"},
	{"site.cancelled_recent", SITE, COUNT, TRACED, .need = NEED_TASKS, .windowed = true,
	 .get = get_site_cancelled_recent,
	 .meaning = "tasks aborted in the window after they had been polled"},
	{"site.panics", SITE, COUNT, TRACED, .need = NEED_PANICS, .get = get_site_panics,
	 .meaning = "tasks that ended by a panic since the watch began; of a flood of them a lower bound"},
	{"site.panics_lost_recent", SITE, COUNT, TRACED, .need = NEED_PANICS, .windowed = true, .get = get_site_panics_lost_recent,
	 .meaning = "of these, in the window, those that had no JoinHandle any more: nobody learns of it"},
	{"site.self_rate", SITE, PER_SECOND, TRACED, .need = NEED_SELF, .windowed = true, .get = get_site_self_rate,
	 .meaning = "polls of tasks that were made ready while they were being polled, a second (level 3)"},
	{"site.self_share", SITE, RATIO, TRACED, .need = NEED_SELF, .windowed = true, .get = get_site_self_share,
	 .meaning = "part of its polls that are such (level 3)"},
	{"site.spawn_rate", SITE, PER_SECOND, TRACED, .need = NEED_TASKS, .windowed = true, .get = get_site_spawn_rate,
	 .meaning = "tasks first polled, a second"},
	{"site.end_rate", SITE, PER_SECOND, TRACED, .need = NEED_TASKS, .windowed = true, .get = get_site_end_rate,
	 .meaning = "tasks freed, a second"},
	{"site.completed_held", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .get = get_site_completed_held,
	 .meaning = "tasks that have completed and are kept in memory by a JoinHandle"},
	{"site.completed_held_growth", SITE, COUNT, SAMPLED, .need = NEED_TASKS, .windowed = true,
	 .get = get_site_completed_held_growth,
	 .meaning = "how many more of these than at the start of the window"},
	{"site.completed_held_oldest", SITE, NS, SAMPLED, .need = NEED_TASKS, .get = get_site_completed_held_oldest,
	 .meaning = "time since the oldest of these completed"},
	{"site.completed_held_bytes", SITE, BYTES, SAMPLED, .need = NEED_TASKS, .get = get_site_completed_held_bytes,
	 .meaning = "their memory"},
	{"site.poll_rate", SITE, PER_SECOND, TRACED, .need = NEED_POLLS, .windowed = true, .get = get_site_poll_rate,
	 .meaning = "polls that ended, a second"},
	{"site.busy_share", SITE, RATIO, TRACED, .need = NEED_POLLS, .windowed = true, .get = get_site_busy_share,
	 .meaning = "time in its polls; 100% is one worker's time"},
	{"site.short_blocked_share", SITE, RATIO, TRACED, .need = NEED_POLLS, .windowed = true,
	 .get = get_site_short_blocked_share,
	 .meaning = "blocked time in polls too short to be reported one by one; 100% is one worker's time"},
	{"site.worker_blocked_share", SITE, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true,
	 .get = get_site_worker_blocked_share,
	 .meaning = "blocked share of the most blocked worker of the process"},
	{"site.poll_p50", SITE, NS, TRACED, .need = NEED_POLLS, .get = get_site_poll_p50,
	 .meaning = "median length of its polls since the watch began"},
	{"site.poll_p99", SITE, NS, TRACED, .need = NEED_POLLS, .get = get_site_poll_p99,
	 .meaning = "99th percentile of the same"},
	{"site.poll_max", SITE, NS, TRACED, .need = NEED_POLLS, .get = get_site_poll_max,
	 .meaning = "its longest poll that has ended"},
	{"site.delay_p50", SITE, NS, TRACED, .need = NEED_WAKES, .get = get_site_delay_p50,
	 .meaning = "median time from a wake to the poll, since the watch began (level 3)"},
	{"site.delay_p99", SITE, NS, TRACED, .need = NEED_WAKES, .get = get_site_delay_p99,
	 .meaning = "99th percentile of the same"},
	{"site.delay_max", SITE, NS, TRACED, .need = NEED_WAKES, .get = get_site_delay_max,
	 .meaning = "the longest of these"},
	{"site.in_call", SITE, .unit = UNIT_BOOL, SAMPLED, .get = get_site_in_call,
	 .meaning = "a stack of it, at any time since the watch began, shows one of the rule's `calls` within the poll"},

	{"site.stranded", SITE, COUNT, SAMPLED, .need = NEED_WAKERS, .get = get_site_stranded,
	 .meaning = "tasks that wait with no waker left anywhere: nobody refers to them but the runtime, and who waits for their end (Tokio)"},
	{"site.stranded_missed", SITE, COUNT, SAMPLED, .need = NEED_WAKERS, .get = get_site_stranded_missed,
	 .meaning = "of these, those that were polled more than once, so something did wake them, or whose end somebody awaits: none that waits for ever on purpose from its first poll on"},
	{"site.stranded_oldest", SITE, NS, SAMPLED, .need = NEED_WAKERS, .get = get_site_stranded_oldest,
	 .meaning = "longest time since the last poll of one of these"},
	{"site.samples", SITE, COUNT, SAMPLED, .need = NEED_SAMPLES, .windowed = true, .get = get_site_samples,
	 .meaning = "times in the window that a CPU was sampled in one of its polls: 99 a second for each CPU, 397 while the overhead budget keeps probes out"},
	{"site.refcount_share", SITE, RATIO, SAMPLED, .need = NEED_SAMPLES, .windowed = true, .get = get_site_refcount_share,
	 .meaning = "part of these at the locked instruction that counts the references of an Arc up or down (Arc::clone and drop)"},
	{"site.lock_held_wait", SITE, NS, INFERRED, .need = NEED_LOCKS, .windowed = true, .get = get_site_lock_held_wait,
	 .meaning = "of its polls' blocks in a std or parking_lot Mutex the latest, within the window, in which tasks of one type that wait had the lock's address in their memory, and no thread had it on its stack"},
	{"site.channel_depth", SITE, COUNT, SAMPLED, .need = NEED_CHANNELS, .get = get_site_channel_depth,
	 .meaning = "messages that wait in the deepest unbounded channel that tasks of this type receive from; while the receiver is not known, that they hold an end of"},
	{"site.channel_growth", SITE, COUNT, SAMPLED, .need = NEED_CHANNELS, .windowed = true, .get = get_site_channel_growth,
	 .meaning = "how many more these are: the least in the newer half of the window over the most in the older half, so what is emptied now and then does not grow"},
	{"site.channel_drained", SITE, COUNT, SAMPLED, .need = NEED_CHANNELS, .get = get_site_channel_drained,
	 .meaning = "the most that were ever seen to wait there before at least half of them were taken; 0: that was not seen"},
	{"site.channel_in", SITE, PER_SECOND, SAMPLED, .need = NEED_CHANNELS, .windowed = true, .get = get_site_channel_in,
	 .meaning = "messages sent to it, a second"},
	{"site.channel_out", SITE, PER_SECOND, SAMPLED, .need = NEED_CHANNELS, .windowed = true, .get = get_site_channel_out,
	 .meaning = "messages received from it, a second"},
	{"site.channel_senders", SITE, COUNT, SAMPLED, .need = NEED_CHANNELS, .get = get_site_channel_senders,
	 .meaning = "handles that can send to it"},
	{"site.channel_bytes", SITE, BYTES, SAMPLED, .need = NEED_CHANNELS, .get = get_site_channel_bytes,
	 .meaning = "memory of the messages that wait, without what they point to"},

	{"worker.busy_share", WORKER, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_worker_busy,
	 .meaning = "share of the worker's time in polls, on the CPU"},
	{"worker.blocked_share", WORKER, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_worker_blocked,
	 .meaning = "in polls, voluntarily off the CPU"},
	{"worker.preempted_share", WORKER, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_worker_preempted,
	 .meaning = "in polls, preempted"},
	{"worker.parked_share", WORKER, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_worker_parked,
	 .meaning = "outside polls, off the CPU"},
	{"worker.searching_share", WORKER, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_worker_searching,
	 .meaning = "outside polls, on the CPU"},
	{"worker.poll_rate", WORKER, PER_SECOND, SAMPLED, .need = NEED_POLLS, .windowed = true,
	 .get = get_worker_polls_per_second, .meaning = "polls that ended, a second"},
	{"worker.lock_cycle_for", WORKER, NS, SAMPLED, .need = NEED_POLLS, .get = get_worker_lock_cycle_for,
	 .meaning = "how long it has waited for a lock that, through the owners of locks, waits for this thread; known where locks name their owner"},
	{"worker.lock_lost_for", WORKER, NS, INFERRED, .need = NEED_LOCKS, .get = get_worker_lock_lost_for,
	 .meaning = "how long it has waited for a std or parking_lot Mutex whose address no other thread has on its stack and no task that waits in its memory: it has the lock itself, or the guard was leaked or lies in a boxed future. Not of a static: its address is in the code"},

	{"runtime.workers", RUNTIME, COUNT, SAMPLED, .get = get_runtime_workers,
	 .meaning = "worker threads: as configured, else those that have polled"},
	{"runtime.held", RUNTIME, COUNT, SAMPLED, .need = NEED_POLLS, .get = get_runtime_held,
	 .meaning = "worker threads that are in a poll now"},
	{"runtime.ready_wait", RUNTIME, NS, SAMPLED, .need = NEED_POLLS, .get = get_runtime_ready_wait,
	 .meaning = "longest wait of a ready task seen now, while every worker was in a poll; a lower bound"},
	{"runtime.ready_wait_recent", RUNTIME, NS, SAMPLED, .need = NEED_POLLS, .get = get_runtime_ready_wait_recent,
	 .meaning = "the same over the last 5 s"},
	{"runtime.ready_waiting", RUNTIME, COUNT, SAMPLED, .need = NEED_POLLS, .get = get_runtime_ready_waiting,
	 .meaning = "tasks seen waiting 5 ms or longer in the last 5 s"},
	{"runtime.queue_depth", RUNTIME, COUNT, SAMPLED, .need = NEED_QUEUES, .get = get_runtime_queue_depth,
	 .meaning = "tasks queued for a worker: shared queue and local queues"},
	{"runtime.inject_depth", RUNTIME, COUNT, SAMPLED, .need = NEED_INJECT, .get = get_runtime_inject_depth,
	 .meaning = "tasks in the shared queue"},
	{"runtime.queue_wait", RUNTIME, NS, INFERRED, .need = NEED_QUEUES, .windowed = true, .get = get_runtime_queue_wait,
	 .meaning = "mean wait in the queue by Little's law: queued tasks over the polls a second that the workers reach while they are in polls"},
	{"runtime.poll_rate", RUNTIME, PER_SECOND, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_runtime_poll_rate,
	 .meaning = "polls that ended, a second"},
	{"runtime.culprit_share", RUNTIME, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true,
	 .get = get_runtime_culprit_share,
	 .meaning = "share of the workers' time held by the site that holds them most"},
	{"runtime.alive", RUNTIME, COUNT, SAMPLED, .need = NEED_ALIVE, .get = get_runtime_alive,
	 .meaning = "tasks that the runtime owns"},
	{"runtime.blocking_queue", RUNTIME, COUNT, SAMPLED, .need = NEED_POOL, .get = get_runtime_blocking_queue,
	 .meaning = "spawn_blocking work that waits for a thread"},
	{"runtime.blocking_threads", RUNTIME, COUNT, SAMPLED, .need = NEED_POOL, .get = get_runtime_blocking_threads,
	 .meaning = "threads of the blocking pool"},
	{"runtime.blocking_idle", RUNTIME, COUNT, SAMPLED, .need = NEED_POOL, .get = get_runtime_blocking_idle,
	 .meaning = "of these, idle"},

	{"runtime.busy_share", RUNTIME, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_runtime_busy,
	 .meaning = "mean share of the workers' time in polls, on the CPU"},
	{"runtime.blocked_share", RUNTIME, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true, .get = get_runtime_blocked,
	 .meaning = "of the same, in polls, voluntarily off the CPU"},
	{"runtime.preempted_share", RUNTIME, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true,
	 .get = get_runtime_preempted, .meaning = "in polls, preempted"},
	{"runtime.runnable_share", RUNTIME, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true,
	 .get = get_runtime_runnable, .meaning = "both: computing, or waiting for a CPU to compute"},
	{"runtime.locked_for", RUNTIME, NS, SAMPLED, .need = NEED_POLLS, .get = get_runtime_locked_for,
	 .meaning = "how long every worker has been blocked in a lock (futex) inside one poll"},
	{"runtime.stalled_for", RUNTIME, NS, SAMPLED, .need = NEED_POLLS, .get = get_runtime_stalled_for,
	 .meaning = "how long every worker has been parked, and none of them where events arrive"},
	{"runtime.wait_cycle_for", RUNTIME, NS, INFERRED, .need = NEED_GUARDS, .get = get_runtime_wait_cycle_for,
	 .meaning = "how long its tasks have waited in a circle, each for a Mutex, RwLock or Semaphore of Tokio that the next one has a guard of; known where debug information tells where guards lie"},
	{"runtime.workers_advised", RUNTIME, COUNT, INFERRED, .get = get_runtime_workers_advised,
	 .meaning = "workers that fit a load which computes: as many as there are CPUs"},

	{"target.cpus", TARGET, COUNT, TRACED, .get = get_target_cpus,
	 .meaning = "CPUs that the process may use"},
	{"target.tasks", TARGET, COUNT, SAMPLED, .need = NEED_TASKS, .get = get_target_tasks,
	 .meaning = "live tasks of all types"},
	{"target.scheduler_share", TARGET, RATIO, SAMPLED, .need = NEED_POLLS, .windowed = true,
	 .get = get_target_scheduler_share,
	 .meaning = "of the workers' time on the CPU, the part outside polls; a lower bound: what follows a poll counts as its own until the next begins"},
	{"target.runtimes", TARGET, COUNT, TRACED, .get = get_target_runtimes,
	 .meaning = "runtimes in the process"},
	{"target.runtime_kinds", TARGET, COUNT, TRACED, .get = get_target_runtime_kinds,
	 .meaning = "different ones (Tokio, smol, ...) whose tasks were polled"},
	{"target.workers", TARGET, COUNT, SAMPLED, .get = get_target_workers,
	 .meaning = "worker threads of all runtimes whose tasks were polled"},
	{"target.types_in_call", TARGET, COUNT, SAMPLED, .get = get_target_types_in_call,
	 .meaning = "task types with a stack that shows one of the rule's `calls` within the poll; not known while there is none"},
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
