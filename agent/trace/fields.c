// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of the stored fields; see fields.h. The order within a kind is that of the file. */
#include "trace/fields.h"

#include "bpf/wire.h"

#define SIZE_IN(type, member) sizeof(((type *)0)->member)
#define IN(type, member) #member, offsetof(type, member), SIZE_IN(type, member)
#define EV_AT(name, path) name, offsetof(struct event, path), SIZE_IN(struct event, path)
#define EV(kind, member) EV_AT(#member, as_##kind.member)

#define UINT(kind, member)                                                                         \
	{                                                                                          \
		EV(kind, member), FIELD_UINT, 0, 0                                                 \
	}
#define INT(kind, member)                                                                          \
	{                                                                                          \
		EV(kind, member), FIELD_INT, 0, 0                                                  \
	}
#define BOOL(kind, member)                                                                         \
	{                                                                                          \
		EV(kind, member), FIELD_BOOL, 0, 0                                                 \
	}
#define ENUM(kind, member, most)                                                                   \
	{                                                                                          \
		EV(kind, member), FIELD_ENUM, most, 0                                              \
	}
#define ID(kind, member)                                                                           \
	{                                                                                          \
		EV(kind, member), FIELD_ID, 0, 0                                                   \
	}
#define TIME(kind, member)                                                                         \
	{                                                                                          \
		EV(kind, member), FIELD_TIME, 0, 0                                                 \
	}
#define DELTA(kind, member)                                                                        \
	{                                                                                          \
		EV(kind, member), FIELD_DELTA, 0, 0                                                \
	}
#define STRING(kind, member)                                                                       \
	{                                                                                          \
		EV(kind, member), FIELD_STRING, 0, 0                                               \
	}
#define HIST(kind, member)                                                                         \
	{                                                                                          \
		EV(kind, member), FIELD_HIST, HIST_BUCKETS, 0                                      \
	}
#define ARRAY(kind, member, type, most, count_member)                                              \
	{                                                                                          \
		EV(kind, member), type, most, offsetof(struct event, as_##kind.count_member)       \
	}

/* A member that was added to an event has to be added here too: then the size is adjusted. */
#define STORED(kind, size) _Static_assert(sizeof(struct ev_##kind) == (size), "fields of " #kind)

STORED(target, 48);
static const struct trace_field target_fields[] = {
	UINT(target, pid),   UINT(target, start_time), STRING(target, comm),
	STRING(target, exe), STRING(target, build_id), UINT(target, cpus),
};

STORED(target_end, 8);
static const struct trace_field target_end_fields[] = {
	ENUM(target_end, reason, TARGET_DETACHED),
	INT(target_end, status),
};

STORED(binary, 48);
static const struct trace_field binary_fields[] = {
	ID(binary, binary),	 STRING(binary, path),	  STRING(binary, build_id),
	STRING(binary, runtime), STRING(binary, version), UINT(binary, task_types),
};

STORED(runtime, 32);
static const struct trace_field runtime_fields[] = {
	ID(runtime, runtime),  ID(runtime, binary),   ENUM(runtime, flavor, FLAVOR_LOCAL),
	UINT(runtime, handle), INT(runtime, workers),
};

STORED(site, 80);
static const struct trace_field site_fields[] = {
	ID(site, site),	       ID(site, binary),	ENUM(site, kind, SITE_WORKER),
	STRING(site, name),    STRING(site, scheduler), ENUM(site, name_from, NAME_TOLD),
	BOOL(site, ambiguous), UINT(site, size),	UINT(site, offset),
	UINT(site, body),      STRING(site, location),	STRING(site, no_spawns),
	BOOL(site, by_stacks),
};

STORED(site_stats, 176);
static const struct trace_field site_stats_fields[] = {
	ID(site_stats, site),
	DELTA(site_stats, polls),
	DELTA(site_stats, busy_ns),
	DELTA(site_stats, blocked_ns),
	DELTA(site_stats, preempted_ns),
	DELTA(site_stats, max_ns),
	DELTA(site_stats, seen),
	DELTA(site_stats, ended),
	BOOL(site_stats, tasks_valid),
	BOOL(site_stats, sampled),
	HIST(site_stats, hist),
	HIST(site_stats, delay_hist),
	UINT(site_stats, delay_max_ns),
	DELTA(site_stats, moved),
	DELTA(site_stats, cancelled),
	BOOL(site_stats, self_valid),
	DELTA(site_stats, self),
	BOOL(site_stats, samples_valid),
	DELTA(site_stats, samples),
	DELTA(site_stats, refcounts),
	UINT(site_stats, error),
	BOOL(site_stats, panics_valid),
	DELTA(site_stats, panics),
	DELTA(site_stats, panics_lost),
	BOOL(site_stats, tasks_gap),
};

STORED(thread, 144);
static const struct trace_field thread_fields[] = {
	UINT(thread, tid),
	STRING(thread, comm),
	ID(thread, runtime),
	ENUM(thread, state, THREAD_PREEMPTED),
	BOOL(thread, worker),
	TIME(thread, since_ns),
	ID(thread, site),
	DELTA(thread, task_id),
	TIME(thread, poll_start_ns),
	INT(thread, syscall),
	DELTA(thread, first_ns),
	DELTA(thread, polls),
	DELTA(thread, busy_ns),
	DELTA(thread, blocked_ns),
	DELTA(thread, preempted_ns),
	DELTA(thread, parked_ns),
	DELTA(thread, searching_ns),
	DELTA(thread, task_key),
	BOOL(thread, early),
	INT(thread, parked_syscall),
	BOOL(thread, root),
	BOOL(thread, unaccounted),
};

STORED(thread_end, 4);
static const struct trace_field thread_end_fields[] = {UINT(thread_end, tid)};

STORED(poll, 88);
static const struct trace_field poll_fields[] = {
	UINT(poll, tid),	ID(poll, runtime),	    ID(poll, site),
	DELTA(poll, task_id),	TIME(poll, start_ns),	    UINT(poll, length_ns),
	UINT(poll, blocked_ns), UINT(poll, preempted_ns),   UINT(poll, unseen_ns),
	UINT(poll, nested_ns),	UINT(poll, worst_block_ns), INT(poll, syscall),
	BOOL(poll, off_cpu),	BOOL(poll, loose_end),	    BOOL(poll, early),
	BOOL(poll, handed_off),
};

STORED(task, 128);
static const struct trace_field task_fields[] = {
	DELTA(task, key),
	DELTA(task, id),
	ID(task, site),
	ID(task, runtime),
	DELTA(task, first_ns),
	TIME(task, last_ns),
	UINT(task, polls),
	UINT(task, busy_ns),
	DELTA(task, last_tid),
	BOOL(task, state_valid),
	BOOL(task, running),
	BOOL(task, ready),
	BOOL(task, complete),
	BOOL(task, cancelled),
	BOOL(task, has_handle),
	UINT(task, refs),
	BOOL(task, wakes_valid),
	UINT(task, wakes),
	ENUM(task, wakers, WAKERS_NONE),
	DELTA(task, waits_for),
	UINT(task, waits_permits),
	DELTA(task, holds),
	DELTA(task, holds_too),
	BOOL(task, holds_known),
};

STORED(task_scan, 8);
static const struct trace_field task_scan_fields[] = {
	UINT(task_scan, rows),
	BOOL(task_scan, truncated),
};

STORED(ready, 40);
static const struct trace_field ready_fields[] = {
	ID(ready, runtime), ID(ready, site),	  DELTA(ready, task_id), UINT(ready, waited_ns),
	UINT(ready, ready), UINT(ready, sampled), DELTA(ready, key),
};

STORED(queues, 88);
static const struct trace_field queues_fields[] = {
	ID(queues, runtime),
	INT(queues, inject),
	INT(queues, local),
	INT(queues, alive),
	INT(queues, blocking_queue),
	INT(queues, blocking_threads),
	INT(queues, blocking_idle),
	UINT(queues, workers),
	ARRAY(queues, local_each, FIELD_WORDS, QUEUES_MAX_WORKERS, workers),
	STRING(queues, reason),
	STRING(queues, source),
};

STORED(cost, 120);
static const struct trace_field cost_fields[] = {
	DELTA(cost, hits),	   DELTA(cost, emitted),    DELTA(cost, filtered),
	DELTA(cost, lost),	   DELTA(cost, cost_ns),    DELTA(cost, target_cpu_ns),
	DELTA(cost, agent_cpu_ns), UINT(cost, sites_on),    UINT(cost, sites_off),
	UINT(cost, level),	   DELTA(cost, spawn_hits), UINT(cost, agent_rss_bytes),
	UINT(cost, sentinel),	   UINT(cost, level_asked), UINT(cost, budget_ppm),
	UINT(cost, sites_sampled), UINT(cost, windows),	    TIME(cost, next_window_ns),
	BOOL(cost, exact),	   UINT(cost, lowerings),   DELTA(cost, lowered_ns),
};

STORED(lost, 24);
static const struct trace_field lost_fields[] = {
	STRING(lost, stage),
	UINT(lost, count),
	ENUM(lost, what, LOST_STACKS_LIMITED),
};

STORED(note, 16);
static const struct trace_field note_fields[] = {
	ENUM(note, severity, NOTE_WARNING),
	STRING(note, text),
};

STORED(tick, 4);
static const struct trace_field tick_fields[] = {UINT(tick, unused)};

STORED(stack, 144);
static const struct trace_field stack_fields[] = {
	UINT(stack, tid),
	ID(stack, runtime),
	ID(stack, site),
	DELTA(stack, task_id),
	TIME(stack, poll_start_ns),
	ENUM(stack, kind, STACK_REFCOUNT),
	UINT(stack, span_ns),
	BOOL(stack, open),
	INT(stack, syscall),
	STRING(stack, detail),
	ENUM(stack, end, STACK_FAILED),
	UINT(stack, frames_count),
	ARRAY(stack, frames, FIELD_FRAMES, FRAMES_MAX, frames_count),
	BOOL(stack, now_only),
	STRING(stack, kernel),
	TIME(stack, begin_ns),
	ENUM(stack, lock_kind, LOCK_PTHREAD),
	UINT(stack, lock_owner),
	UINT(stack, lock_seen),
	UINT(stack, lock_addr),
	ENUM(stack, lock_found, LOCK_NOWHERE),
	ID(stack, lock_site),
	UINT(stack, lock_task),
};

/*
 * A frame cannot get more fields: an older file's would be misread. So `sp`, the source's own affair,
 * and `folder`, of use on the machine that was watched, are not stored.
 */
_Static_assert(sizeof(struct frame) == 80, "fields of a frame");
const struct trace_field trace_frame_fields[] = {
	{IN(struct frame, function), FIELD_STRING, 0, 0},
	{IN(struct frame, file), FIELD_STRING, 0, 0},
	{IN(struct frame, line), FIELD_UINT, 0, 0},
	{IN(struct frame, column), FIELD_UINT, 0, 0},
	{IN(struct frame, binary), FIELD_STRING, 0, 0},
	{IN(struct frame, offset), FIELD_UINT, 0, 0},
	{IN(struct frame, start), FIELD_UINT, 0, 0},
	{IN(struct frame, inlined), FIELD_BOOL, 0, 0},
	{IN(struct frame, origin), FIELD_ENUM, FRAME_SYSTEM, 0},
	{IN(struct frame, from), FIELD_ENUM, FRAME_FROM_PLACE, 0},
};
const size_t trace_frame_fields_count = sizeof(trace_frame_fields) / sizeof(trace_frame_fields[0]);

STORED(polls, 16);
static const struct trace_field polls_fields[] = {
	UINT(polls, count),
	ARRAY(polls, list, FIELD_POLLS, POLLS_MAX, count),
};

STORED(channel, 96);
static const struct trace_field channel_fields[] = {
	DELTA(channel, key),	      DELTA(channel, sent),	DELTA(channel, received),
	DELTA(channel, depth),	      ID(channel, site),	ID(channel, receiver),
	ID(channel, sender),	      DELTA(channel, task_id),	INT(channel, senders),
	UINT(channel, message_bytes), STRING(channel, library), STRING(channel, message),
	STRING(channel, no_message),
};

STORED(channel_scan, 24);
static const struct trace_field channel_scan_fields[] = {
	UINT(channel_scan, tasks),
	UINT(channel_scan, channels),
	UINT(channel_scan, unbounded),
	STRING(channel_scan, reason),
};

#define COMPARED(name, measure)                                                                    \
	{EV_AT(name "_known", as_overhead.by[measure].known), FIELD_ENUM, OVERHEAD_UNSEEN, 0},     \
		{EV_AT(name "_without", as_overhead.by[measure].without_probes), FIELD_INT, 0, 0}, \
		{EV_AT(name "_probed", as_overhead.by[measure].probed), FIELD_INT, 0, 0},          \
		{EV_AT(name "_ratio", as_overhead.by[measure].ratio), FIELD_INT, 0, 0},            \
		{EV_AT(name "_low", as_overhead.by[measure].low), FIELD_INT, 0, 0},                \
	{                                                                                          \
		EV_AT(name "_high", as_overhead.by[measure].high), FIELD_INT, 0, 0                 \
	}

STORED(overhead, 240);
static const struct trace_field overhead_fields[] = {
	UINT(overhead, rounds),
	UINT(overhead, probed_ns),
	UINT(overhead, without_ns),
	UINT(overhead, polls),
	UINT(overhead, polls_cpu_ns),
	STRING(overhead, reason),
	COMPARED("cpu", OVERHEAD_CPU),
	COMPARED("switches", OVERHEAD_SWITCHES),
	COMPARED("takes", OVERHEAD_TAKES),
	COMPARED("cpu_take", OVERHEAD_CPU_TAKE),
};

#define KIND(kind, fields, rows) [EV_##kind] = {fields, sizeof(fields) / sizeof((fields)[0]), rows}

static const struct trace_kind kinds[TRACE_KINDS] = {
	KIND(TARGET, target_fields, 1),	    KIND(TARGET_END, target_end_fields, 1),
	KIND(BINARY, binary_fields, 1),	    KIND(RUNTIME, runtime_fields, 1),
	KIND(SITE, site_fields, 1),	    KIND(SITE_STATS, site_stats_fields, 16),
	KIND(THREAD, thread_fields, 64),    KIND(THREAD_END, thread_end_fields, 1),
	KIND(POLL, poll_fields, 16),	    KIND(POLL_OPEN, poll_fields, 16),
	KIND(TASK, task_fields, 1),	    KIND(TASK_SCAN, task_scan_fields, 1),
	KIND(READY, ready_fields, 1),	    KIND(QUEUES, queues_fields, 1),
	KIND(COST, cost_fields, 1),	    KIND(LOST, lost_fields, 1),
	KIND(NOTE, note_fields, 1),	    KIND(TICK, tick_fields, 1),
	KIND(STACK, stack_fields, 1),	    KIND(POLLS, polls_fields, 1),
	KIND(CHANNEL, channel_fields, 1),   KIND(CHANNEL_SCAN, channel_scan_fields, 1),
	KIND(OVERHEAD, overhead_fields, 1),
};

const struct trace_kind *trace_kind(uint64_t number)
{
	return number < TRACE_KINDS && kinds[number].fields ? &kinds[number] : NULL;
}
