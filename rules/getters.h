/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One function a field, for the table in fields.c only: everybody else reads through field_get(),
 * which makes sure that the object of the field is there.
 */
#ifndef RULES_GETTERS_H
#define RULES_GETTERS_H

#include "rules/fields.h"

/* Newest minus the value `seconds` ago; a gauge may fall. False: too little history. */
bool field_growth(const struct series *s, uint32_t seconds, double *out);
/* The same of a counter, a second. */
bool field_rate(const struct series *s, uint32_t seconds, double *out);

#define GETTER(name) bool get_##name(const struct field_ctx *c, double *out);
GETTER(poll_length)
GETTER(poll_blocked)
GETTER(poll_preempted)
GETTER(poll_on_cpu)
GETTER(poll_worst_block)
GETTER(poll_open)
GETTER(site_live)
GETTER(site_live_growth)
GETTER(site_live_bytes)
GETTER(site_task_bytes)
GETTER(site_idle)
GETTER(site_idle_oldest)
GETTER(site_detached)
GETTER(site_spawn_rate)
GETTER(site_end_rate)
GETTER(site_completed_held)
GETTER(site_completed_held_growth)
GETTER(site_completed_held_oldest)
GETTER(site_completed_held_bytes)
GETTER(site_poll_rate)
GETTER(site_busy_share)
GETTER(site_short_blocked_share)
GETTER(site_worker_blocked_share)
GETTER(site_poll_p50)
GETTER(site_poll_p99)
GETTER(site_poll_max)
GETTER(site_delay_p50)
GETTER(site_delay_p99)
GETTER(site_delay_max)
GETTER(site_in_call)
GETTER(target_runtime_kinds)
GETTER(target_workers)
GETTER(target_types_in_call)
GETTER(worker_busy)
GETTER(worker_blocked)
GETTER(worker_preempted)
GETTER(worker_parked)
GETTER(worker_searching)
GETTER(worker_polls_per_second)
GETTER(runtime_workers)
GETTER(runtime_held)
GETTER(runtime_ready_wait)
GETTER(runtime_ready_wait_recent)
GETTER(runtime_ready_waiting)
GETTER(runtime_queue_depth)
GETTER(runtime_inject_depth)
GETTER(runtime_queue_wait)
GETTER(runtime_poll_rate)
GETTER(runtime_culprit_share)
GETTER(runtime_alive)
GETTER(runtime_blocking_queue)
GETTER(runtime_blocking_threads)
GETTER(runtime_blocking_idle)
GETTER(target_cpus)
GETTER(target_tasks)
GETTER(target_runtimes)
/* getters_derived.c */
GETTER(site_live_peak)
GETTER(site_detached_growth)
GETTER(site_task_busy)
GETTER(site_moved_rate)
GETTER(site_moved_share)
GETTER(site_moved_busy)
GETTER(site_cancelled_recent)
GETTER(site_self_rate)
GETTER(site_self_share)
GETTER(site_samples)
GETTER(site_refcount_share)
GETTER(site_lock_held_wait)
GETTER(worker_lock_cycle_for)
GETTER(worker_lock_lost_for)
GETTER(runtime_busy)
GETTER(runtime_blocked)
GETTER(runtime_preempted)
GETTER(runtime_runnable)
GETTER(runtime_locked_for)
GETTER(runtime_stalled_for)
GETTER(runtime_workers_advised)
GETTER(target_scheduler_share)
GETTER(site_stranded)
GETTER(site_stranded_missed)
GETTER(site_stranded_oldest)
/* getters_channel.c */
GETTER(site_channel_depth)
GETTER(site_channel_growth)
GETTER(site_channel_drained)
GETTER(site_channel_in)
GETTER(site_channel_out)
GETTER(site_channel_senders)
GETTER(site_channel_bytes)
#undef GETTER

#endif
