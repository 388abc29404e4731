/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Maps and settings of the programs. Sizes marked "set by the agent" are placeholders: the agent
 * resizes them before loading. Constants are fixed before loading too, so that the verifier drops
 * the paths of levels that are off.
 */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include "kernel.h"

#include <bpf/bpf_helpers.h>

/* Fixed at load. */
const volatile __u32 level = 2; /* 1: sites; 2: also tasks; 3: also their wakes */
const volatile __u32 max_sites = 1024;
const volatile __u32 agent_pidns = 0; /* inode of the agent's pid namespace: pids as it sees them */

const volatile bool polls_on = false;  /* every closed poll goes to its ring */
const volatile bool stacks_on = false; /* user stacks of long blocks and polls are copied */

/* May change at any time. */
__u64 threshold_ns = 10000000; /* closed polls at least this long go to the ring */
struct wire_totals totals;
/*
 * By target, written by the agent: odd while some of its types have no probe (the overhead budget). A
 * poll of another type may then have ended long before the next probe is hit; the same holds for one
 * that began before the number last changed. Of such a poll only the last moment is known at which it
 * surely ran.
 */
__u32 epochs[WIRE_MAX_TARGETS];
__u64 since[WIRE_MAX_TARGETS];	      /* likewise: wakes before it tell nothing */
bool sentinel_asks[WIRE_MAX_TARGETS]; /* likewise: threads are asked for ids of tasks */
bool rows_off, wakes_off;	      /* the level is lowered: to 1, to 2 */
bool watch_over;		      /* what ends from now on is not counted any more */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024); /* set by the agent: max_sites */
	__type(key, __u32);
	__type(value, struct wire_site);
} sites SEC(".maps");

/* One row a CPU and site: index = cpu * max_sites + site. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024); /* set by the agent: CPUs * max_sites */
	__type(key, __u32);
	__type(value, struct wire_site_stats);
} site_stats SEC(".maps");

/* The same rows (level 3). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1024); /* set by the agent: CPUs * max_sites */
	__type(key, __u32);
	__type(value, struct wire_delays);
} delays SEC(".maps");

/*
 * vtable | target << 48 -> site, for poll functions that several task types share because the
 * linker folded identical code.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WIRE_MAX_SITES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} vtables SEC(".maps");

/* The threads that have polled; the agent reads it without system calls. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct wire_slot);
} slots SEC(".maps");

/* Slots given back by threads that ended; fresh ones come from totals.next_slot. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, WIRE_MAX_SLOTS);
	__type(value, __u32);
} free_slots SEC(".maps");

struct thread_ref {
	/*
	 * Where its user registers are saved, on its own kernel stack, and what a probe that it hits
	 * gets as context: no two threads have the same. 0: it has no slot yet.
	 */
	__u64 regs;
	__u32 slot;
	/*
	 * Who gives it a slot may be itself, a sample on top of that, or the agent's look from another
	 * CPU, and its end may come first. enum thread_state, and the slot << 8 once it is given.
	 */
	__u32 claim;
};

enum thread_state {
	THREAD_NEW,
	THREAD_LOOK, /* the agent's look is about to give it one, */
	THREAD_SELF, /* or it does so itself */
	THREAD_GIVEN,
	THREAD_GONE,
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread_ref);
} threads SEC(".maps");

/*
 * The thread that was last switched to on this CPU, so that a probe need not look in `threads`, which
 * is three times as dear. Switches can be missed (seen on 6.18), so `regs` is compared before use.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct thread_ref);
} cpu_thread SEC(".maps");

/*
 * Who polled a task last, and the task's row: direct-mapped, so an entry may be another task's, and
 * two CPUs may write one at once. `key` and the row's own key are compared before use.
 */
struct owner {
	__u64 key; /* WIRE_TASK_KEY */
	__u32 slot;
	__u32 row; /* plus one; 0: none */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WIRE_OWNERS);
	__type(key, __u32);
	__type(value, struct owner);
} owners SEC(".maps");

/* Live tasks (level 2), the row of each by WIRE_TASK_KEY, and rows given back. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_TASKS);
	__type(key, __u32);
	__type(value, struct wire_task);
} tasks SEC(".maps");

/* By row (level 3). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_TASKS); /* set by the agent */
	__type(key, __u32);
	__type(value, struct wire_wakes);
} wakes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WIRE_MAX_TASKS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u32);
} task_rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, WIRE_MAX_TASKS);
	__type(value, __u32);
} free_rows SEC(".maps");

/* Process id as the agent sees it -> target. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WIRE_MAX_TARGETS);
	__type(key, __u32);
	__type(value, __u32);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

/* The last block of each thread, by slot; its pages only when there was time for them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WIRE_STACK_SLOTS);
	__type(key, __u32);
	__type(value, struct wire_stack);
} blocks SEC(".maps");

/*
 * By slot, written by the agent: the generation of a thread that drives a current-thread runtime.
 * What it does outside polls may be the root future of block_on, which is no task.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} roots SEC(".maps");

/* By slot, written by the agent: where such a thread parks (WIRE_PARK). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} parks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} stack_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries,
	       4096); /* set by the agent: a page, or what holds the polls between two ticks */
} poll_ring SEC(".maps");

/* Objects with the probe points of <stalltop/sdt.h>: see wire.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_OBJECTS);
	__type(key, __u32);
	__type(value, struct wire_object);
} objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WIRE_MAX_ARG_ROWS);
	__type(key, __u32);
	__type(value, struct wire_args);
} probe_args SEC(".maps");

struct type_key {
	__u64 name, location;
	__u32 object, kind;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WIRE_MAX_OBJECTS *WIRE_TYPES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct type_key);
	__type(value, __u32); /* site */
} types SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_OBJECTS *WIRE_TYPES);
	__type(key, __u32);
	__type(value, struct wire_type);
} type_rows SEC(".maps");

/* enum wire_task_flags, by row of the task table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_TASKS); /* set by the agent */
	__type(key, __u32);
	__type(value, __u64);
} task_flags SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_OBJECTS *WIRE_DEPTHS);
	__type(key, __u32);
	__type(value, struct wire_depth);
} told_depths SEC(".maps");
/* Spawns of a site whose stack was sent. */
struct spawn_mark {
	__u64 last_ns, count;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024); /* set by the agent: max_sites */
	__type(key, __u32);
	__type(value, struct spawn_mark);
} spawn_marks SEC(".maps");

#endif
