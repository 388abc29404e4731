/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What crosses between the BPF programs and the agent: ring records, map values, and the bucket
 * function of the histograms. Included by both sides; fixed-width types only, sizes checked by
 * the compiler on both. Enum values are append-only: never renumber, leave a hole.
 *
 * Times are CLOCK_MONOTONIC nanoseconds (bpf_ktime_get_ns), durations nanoseconds.
 */
#ifndef BPF_WIRE_H
#define BPF_WIRE_H

#ifdef __BPF__
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef int __s32;
typedef unsigned long long __u64;
typedef long long __s64;
#else
#include <linux/types.h>
#endif

/*
 * Poll-duration histogram: bucket 0 is below 256 ns, then four buckets an octave up to 2^35 ns
 * (34 s), then one for the rest. A bucket is at most 25 % wide.
 */
#define HIST_MIN_SHIFT 8
#define HIST_MAX_SHIFT 35
#define HIST_BUCKETS (2 + (HIST_MAX_SHIFT - HIST_MIN_SHIFT) * 4)

static inline __attribute__((always_inline)) __u32 hist_bucket(__u64 ns)
{
	__u32 shift = 0;
	__u64 rest = ns;

	if (ns < (1ULL << HIST_MIN_SHIFT))
		return 0;
	if (ns >= (1ULL << HIST_MAX_SHIFT))
		return HIST_BUCKETS - 1;
	/* The position of the highest bit, ns < 2^35 here; clang 14 cannot expand clz for BPF. */
	if (rest >> 32) {
		shift += 32;
		rest >>= 32;
	}
	if (rest >> 16) {
		shift += 16;
		rest >>= 16;
	}
	if (rest >> 8) {
		shift += 8;
		rest >>= 8;
	}
	if (rest >> 4) {
		shift += 4;
		rest >>= 4;
	}
	if (rest >> 2) {
		shift += 2;
		rest >>= 2;
	}
	shift += rest >> 1;
	return 1 + (shift - HIST_MIN_SHIFT) * 4 + ((ns >> (shift - 2)) & 3);
}

#define WIRE_MAX_DEPTH 4    /* open polls a thread: worker loop, task, LocalSet inside, one more */
#define WIRE_MAX_SLOTS 4096 /* threads with a slot at one time */
#define WIRE_MAX_TARGETS 64
#define WIRE_MAX_SITES 65536
#define WIRE_MAX_TASKS 262144 /* live tasks that have a row */
#define WIRE_OWNERS 65536     /* direct-mapped cache: task header -> slot that polled it last */
#define WIRE_NO_SYSCALL (-1)
#define WIRE_STACK_PAGE 4096
#define WIRE_STACK_PAGES 8    /* copied of one user stack, from its top: 32 KiB */
#define WIRE_STACK_SLOTS 256  /* threads whose blocks can be copied: those with the lowest slots */
#define WIRE_KERNEL_FRAMES 32 /* of the kernel's own stack, innermost first */
#define WIRE_NO_SITE 0xffffffffU
#define WIRE_STACK_REGS 17   /* by DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */
#define WIRE_VERIFY 64	     /* first hits of a site whose task header is read and checked */
#define WIRE_HEADER_READ 7   /* words of a task header that are read */
#define WIRE_NO_WORD 7	     /* a word that no header has */
#define WIRE_SCHED_UNKNOWN 1 /* the scheduler handle of tasks that do not say theirs */
#define WIRE_TASK_DONE                                                                             \
	0x80000000U	     /* in wire_task.last_slot: the end of its last poll was its own */
#define WIRE_MAX_WANTED 1024 /* threads whose stack is copied at samples because a look wants it */

/* What a site's poll function drives; set by the agent from the vtable. */
enum wire_site_kind {
	WIRE_SITE_TASK = 0,	/* a spawned future */
	WIRE_SITE_BLOCKING = 1, /* spawn_blocking work: not a poll of an async task */
	WIRE_SITE_OFF = 2,	/* failed the check of its first hits: counted as filtered */
};

/* Functions that several task types have in common, because the linker folded equal code. */
enum wire_shared {
	WIRE_SHARED_POLL = 1,
	WIRE_SHARED_DEALLOC = 2,
};

/* What the overhead budget has decided of a site. */
enum wire_apart {
	WIRE_APART_OUT = 1, /* its probe is taken out: hits count as filtered, polls are dropped */
	WIRE_APART_NO_ROWS = 2, /* its tasks are not followed */
};

/* What a probe knows: its site, and where the address of the task header is. */
enum wire_task_in { WIRE_TASK_RDI = 0, WIRE_TASK_RSI = 1, WIRE_TASK_STACK = 2 };

#define WIRE_COOKIE(site, task_in, offset)                                                         \
	((__u64)(site) | (__u64)(task_in) << 32 | (__u64)(offset) << 40)
#define WIRE_COOKIE_TASK_IN(cookie) ((cookie) >> 32 & 0xff)
#define WIRE_COOKIE_OFFSET(cookie) ((cookie) >> 40 & 0xff)

/* What a spawn probe knows: its target, and the one site whose tasks it makes; WIRE_NO_SITE: all kinds. */
#define WIRE_SPAWN_COOKIE(site, target, stepped)                                                   \
	((__u64)(site) | (__u64)(target) << 32 | (__u64)(stepped) << 40)
#define WIRE_SPAWN_TARGET(cookie) ((cookie) >> 32 & 0xff)
#define WIRE_SPAWN_STEPPED(cookie) ((cookie) >> 40 & 1)

#include "wire_state.h"

/* One probed poll function of one target, indexed by the cookie; written by the agent. */
struct wire_site {
	__u64 vtable;	 /* expected header->vtable; others are looked up in `vtables` */
	__u32 target;	 /* index of the target */
	__u8 kind;	 /* enum wire_site_kind */
	__u8 id_word;	 /* task id is word `id_word` of the header; WIRE_NO_WORD: it has none */
	__u8 sched_word; /* scheduler handle likewise */
	__u8 shared;	 /* enum wire_shared bits: the header decides each time */
	__u32 verified;	 /* hits whose header was read and found right, up to WIRE_VERIFY */
	__u8 family;	 /* enum wire_family */
	__u8 vtable_word, state_word; /* of the header */
	__u8 apart;		      /* enum wire_apart bits */
	__u64 stack_ns;		      /* when a stack of it was last sent */
	__u64 rows_ns; /* rows of tasks met before it have holes: they begin anew; 0: none has */
};

/* It may have been made ready while wakes were not probed: its next poll tells nothing. */
#define WIRE_WAKE_UNKNOWN 1

/* Wakes of the task of a row (level 3). */
struct wire_wakes {
	/* When it was made ready; 0: it is not waiting, or nobody saw it; WIRE_WAKE_UNKNOWN. */
	__u64 ready_ns;
	__u64 count; /* since its row is its own */
};

/* Delays of a site on one CPU (level 3): from a task's wake to the poll that it leads to. */
struct wire_delays {
	__u64 max_ns;
	__u64 self; /* polls that no wake from outside led to: the task was made ready while polled */
	__u64 hist[HIST_BUCKETS]; /* delays by length: their sum is the count */
};

/* Statistics of a site on one CPU; index = cpu * max_sites + site. */
struct wire_site_stats {
	__u64 busy_ns;	    /* length of the closed polls, off-CPU time included */
	__u64 blocked_ns;   /* part of it: voluntarily off the CPU */
	__u64 preempted_ns; /* part of it: preempted */
	__u64 max_ns;
	__u64 first_seen;	  /* tasks met for the first time (level 2) */
	__u64 mismatched;	  /* hits whose header had another vtable */
	__u64 moved;		  /* polls on another thread than the task's last one (level 2) */
	__u64 cancelled;	  /* tasks cancelled after they had been polled (level 2) */
	__u64 unsized;		  /* closed polls whose end nobody saw: in none of the other sums */
	__u64 beside;		  /* hits of its other probes: ends and wakes of tasks */
	__u64 hist[HIST_BUCKETS]; /* closed polls by length: their sum is the count */
};

enum wire_poll_flags {
	/* The end was noticed late: end_ns is the last moment it surely ran. */
	WIRE_POLL_LOOSE_END = 1,
};

/* A poll that is open on a thread. */
struct wire_poll {
	__u64 start_ns;
	__u64 header;  /* address of the task header in the target */
	__u64 task_id; /* 0: not read yet */
	__u64 sched;   /* scheduler handle: which runtime; 0: not read yet */
	__u64 sp;      /* stack pointer at entry: tells a nested poll from the next one */
	__u64 blocked_ns;
	__u64 preempted_ns;   /* ready, without a CPU: another thread or the hypervisor had it */
	__u64 nested_ns;      /* polls of other tasks within it */
	__u64 worst_block_ns; /* longest single voluntary span */
	__u64 confirmed_ns;   /* last time the RUNNING bit was seen set by this thread's owner */
	__u32 site;
	__s32 worst_syscall; /* of that span; WIRE_NO_SYSCALL when none (page fault) */
	__u8 kind;	     /* enum wire_site_kind */
	__u8 flags;
	__u16 epoch; /* of its target when it began: see `epochs` */
	__u32 row;   /* of the task table, plus one; 0: none */
};

enum wire_off_kind {
	WIRE_ON_CPU = 0,
	WIRE_OFF_BLOCKED = 1,	/* left the CPU voluntarily with a poll open; may be ready again */
	WIRE_OFF_PREEMPTED = 2, /* with a poll open; by another thread, a debugger or a stop */
	WIRE_OFF_PARKED = 3,	/* voluntarily, no poll open */
	WIRE_OFF_WAITING = 4,	/* preempted, no poll open */
	/* Voluntarily, in the poll of a task that no probe saw: its id is in the row of the block. */
	WIRE_OFF_SENTINEL = 5,
};

/*
 * One thread of a target that has polled something. Lives in an mmapable array; written only in
 * the context of that thread (its probes, its context switches), read by the agent at any time:
 * `seq` is odd while it changes.
 */
struct wire_slot {
	__u32 seq;
	__u32 tid; /* 0: slot is free */
	__u32 tgid;
	__u32 target;
	__u32 depth;	 /* open polls in `polls` */
	__u32 off_kind;	 /* enum wire_off_kind */
	__u64 off_since; /* when it left the CPU */
	__s32 off_syscall;
	__u32 generation; /* grows each time the slot is given to a thread */
	__u64 first_ns;	  /* slot given */
	__u64 last_ns;	  /* last change */

	/* Probe hits on this thread: the first is the sum of the rest. */
	__u64 hits, emitted, filtered, lost;

	__u64 task_polls; /* closed polls of tasks (not blocking-pool work) */
	__u64 poll_ns;	  /* time inside them; a poll nested in another counts once */
	__u64 blocked_ns; /* voluntary off-CPU inside them */
	__u64 preempted_ns;
	__u64 parked_ns;   /* voluntary off-CPU outside any poll */
	__u64 waiting_ns;  /* preempted outside any poll */
	__u64 stolen_mark; /* of stolen_cpu, accounted so far: see slot_stolen() */
	__u64 stolen_ns;   /* when that was read: by each sample, and when it gets the CPU */
	__u64 sched;	   /* scheduler handle of the last task polled */
	__u64 on_ns;	   /* when it last got the CPU */
	struct wire_poll polls[WIRE_MAX_DEPTH];
	__u32 sched_site; /* of the task that `sched` is of; meaningless while that is 0 */
	__u32 stolen_cpu; /* that it ran on then */
};

#define WIRE_TASK_KEY(header, target) ((header) | ((__u64)(target) << 48))

/*
 * A live task (level 2): a row of an mmapable array, one cache line. `key` is written last when a task gets the
 * row and cleared first when it is freed: 0 means free. The agent copies a row and compares `key`
 * before and after.
 */
struct wire_task {
	__u64 key; /* WIRE_TASK_KEY */
	__u64 id;  /* the runtime's; where tasks have none, first_ns: it tells them apart as well */
	__u64 sched;
	__u64 first_ns; /* start of the first poll seen */
	__u64 last_ns;	/* end of the last closed poll */
	__u64 busy_ns;
	__u64 polls;
	__u32 site;
	__u32 last_slot; /* and WIRE_TASK_DONE */
};

/* Totals that outlive slots, and losses that belong to no thread; one element. */
struct wire_totals {
	__u64 hits, emitted, filtered, lost; /* of threads that ended or never got a slot */
	__u64 ring_lost;		     /* records that found the ring full */
	__u64 slots_lost;		     /* threads without a slot */
	__u64 tasks_lost;		     /* polls whose task found the task table full */
	__u64 nesting_lost;		     /* polls deeper than WIRE_MAX_DEPTH */
	__u64 next_slot;
	__u64 next_row; /* of the task table: rows that were ever used */
	__u64 stacks_sent;
	__u64 stacks_lost;    /* stacks that found their ring full */
	__u64 stacks_limited; /* stacks not sent because there were enough of them */
	__u64 polls_lost;     /* short records of polls that found their ring full */
	__u64 spawn_hits;     /* of spawn probes: in no other count */
	__u64 spawn_stepped;  /* those of them that were single-stepped */
};

enum wire_kind {
	WIRE_LONG_POLL = 1,
	WIRE_THREAD_EXIT = 2,
	WIRE_PROCESS_EXIT = 3,
	WIRE_PROCESS_EXEC = 4,
	WIRE_PROCESS_FORK = 5,
	WIRE_MMAP_EXEC = 6,
	WIRE_STACK = 7,
	WIRE_SPAWN = 16, /* a struct wire_stack: of a thread that makes a task of `site` */
	WIRE_SPAWN_FULL =
		17, /* a struct wire_process: the window of the target's spawn probes is over */
	WIRE_SAMPLE = 18,
	WIRE_PANIC = 19,
	WIRE_MOMENT = 20,
};

struct wire_head {
	__u32 kind; /* enum wire_kind */
	__u32 target;
	__u64 time_ns;
	__u32 tid;
	__u32 slot;
};

/* A closed poll at or over the threshold; `time_ns` is its end. */
struct wire_long_poll {
	struct wire_head head;
	struct wire_poll poll;
};

/*
 * A user stack: of a block, copied when the thread left the CPU and sent when the block turned out
 * to be long; or sampled inside a long poll. Comes through a ring of its own, so that it never
 * takes the room of what is counted.
 */
struct wire_stack {
	struct wire_head head; /* time_ns: the end of the block, or of the sample */
	__u64 since_ns;	       /* a block: when it began; 0: a sample on the CPU */
	__u64 span_ns;	       /* of the block; of the poll so far */
	__u64 poll_start_ns;
	__u64 task_id, sched;
	__u64 header;	 /* of the task */
	__u32 site;	 /* WIRE_NO_SITE: outside any poll, of a thread in `roots` or `wanted` */
	__s32 syscall;	 /* WIRE_NO_SYSCALL: none */
	__u64 base;	 /* address of pages[0] */
	__u32 present;	 /* bit i: page i was read */
	__u32 wasted;	 /* private: copies in a row that were of no use */
	__u64 copied_ns; /* private: when the last copy was made, */
	__u64 sent_ns;	 /* and when one was sent from outside any poll */
	__u64 regs[WIRE_STACK_REGS];
	__u64 kernel_count; /* a block that is over: how many of `kernel` are there */
	__u64 kernel[WIRE_KERNEL_FRAMES];
	__u8 pages[WIRE_STACK_PAGES * WIRE_STACK_PAGE];
};

/* The thread was sampled inside a poll of a task. */
struct wire_sample {
	struct wire_head head;
	__u64 ip; /* in the program, where it goes on */
	__u32 site, pad32;
};

/* A panic inside a poll of a task, before anything is unwound. */
struct wire_panic {
	struct wire_head head;
	__u64 header, task_id;
	__u64 state; /* word of the header */
	__u32 site, pad32;
};

/*
 * A closed poll in short, for who records every one (record --polls). Without a head: these come
 * through a ring of their own, and nothing else does.
 */
struct wire_brief_poll {
	__u64 start_ns, length_ns;
	__u64 task_id; /* 0: not read */
	__u32 tid, site;
	__u32 target;
	__u32 pad32;
};

/*
 * Where a thread waits: a runtime parks in the same call at the same depth of the stack each time,
 * and no copy of that is of use.
 */
#define WIRE_PARK(regs) ((regs)[7] ^ (regs)[16] << 20)

/* One thread, seen from outside by a look at all threads of a process (bpf/look.bpf.h). */
enum wire_look_flags {
	WIRE_LOOK_ON_CPU = 1,  /* its registers are in the CPU: those here are old */
	WIRE_LOOK_ASLEEP = 2,  /* it waits for something else than a CPU */
	WIRE_LOOK_PROGRAM = 4, /* it was preempted inside one of our programs */
};

struct wire_look {
	__u64 time_ns;
	__u32 tid, slot; /* slot: plus one; 0: it has none */
	__u32 flags;	 /* enum wire_look_flags */
	__s32 syscall;	 /* that it is in; WIRE_NO_SYSCALL: none */
	__u64 asleep_ns; /* for at least so long; 0: not known */
	__u64 cpu_ns;	 /* that it has used */
	__u64 delay_ns;	 /* that it has waited for a CPU */
	__u64 runs;	 /* times that it got a CPU */
	__u64 fs;	 /* its thread pointer */
	__u64 regs[WIRE_STACK_REGS];
	__u64 kernel_count; /* off the CPU: how many of `kernel` are there */
	__u64 kernel[WIRE_KERNEL_FRAMES];
};

/*
 * Where a runtime keeps the id of the task that a thread polls: a word of its thread-local block. Of
 * a program's own block, or of an object loaded with it, it has one distance from the thread pointer;
 * of others the thread's table of blocks says where they are.
 */
#define WIRE_PLACES 4 /* of one target: it may carry a runtime more than once */

/*
 * Two polls of one task in a row look alike. What tells them apart is a counter of the worker's
 * scheduler, which moves between any two polls: the word at `context` points to a place on the
 * thread's stack, where the word at `core` points to what has the counters.
 */
#define WIRE_TICKS 3

struct wire_place {
	__s32 offset;
	__u16 module; /* number in that table; 0: from the thread pointer */
	__u8 valid;   /* set last; the first that is not ends the list */
	__u8 ticks;   /* how many counters are known; 0: whole polls are not seen */
	__s32 context;
	__u16 core;
	__u16 tick[WIRE_TICKS];
	__u32 beats_right; /* written by the kernel part: another task, and other counters */
	__u32 beats_wrong; /* likewise: another task, but the same counters */
	__u32 pad32;
};

/*
 * By slot: a poll that no probe saw, on the CPU, as far as samples tell. From a sample to a sample,
 * so its length is a lower bound; it ends when the thread goes to sleep.
 */
struct wire_span {
	__u64 task_id; /* 0: none */
	__u64 start_ns, seen_ns;
	__u64 waited_ns; /* of the slot, when it began: ready without a CPU so far */
	__u64 off_ns;	 /* part of it: ready without a CPU */
	__u64 beat;	 /* the counters */
	__u32 tid;
	__u32 pad32;
};

/*
 * Of a thread that does not sleep the agent wants to see the stack together with pages of its
 * thread-local memory, as they are at one moment: a sample's. By slot; written by the agent, `left` last.
 */
#define WIRE_MOMENT_PAGES 8

struct wire_moment_ask {
	__u32 tid;
	__u32 left; /* so often still */
	__u64 last_ns;
	__u64 page[WIRE_MOMENT_PAGES]; /* addresses; 0: none */
};

struct wire_moment {
	struct wire_stack stack; /* head.kind is WIRE_MOMENT */
	__u64 fs;		 /* the thread pointer */
	__u64 present;		 /* bit i: page i was read */
	__u64 page[WIRE_MOMENT_PAGES];
	__u8 pages[WIRE_MOMENT_PAGES * WIRE_STACK_PAGE];
};

/* A thread that a look found on the CPU: its stack is copied at the next samples. */
struct wire_wanted {
	__u32 target;
	__u32 pad32;
	__u64 last_ns; /* when a stack of it was last sent */
};

/* Thread and process events; `other` is the child of a fork. */
struct wire_process {
	struct wire_head head;
	__u32 other;
	__s32 code; /* how the process ends, as from wait(2); -1: a thread of it ends by itself */
};

/*
 * A runtime that carries the probe points of <stalltop/sdt.h>. Its task types are pairs of string
 * addresses, so they are met, not found: the BPF side gives each pair a site out of those that the
 * agent has reserved for the object, and notes the strings for it to read. Nothing waits for the
 * agent, so nothing is lost when it is slow.
 */
enum wire_probe {
	WIRE_PROBE_NONE = 0,
	WIRE_RUNTIME_START = 1,
	WIRE_RUNTIME_STOP = 2,
	WIRE_WORKER_START = 3,
	WIRE_WORKER_PARK = 4,
	WIRE_WORKER_UNPARK = 5,
	WIRE_WORKER_STOP = 6,
	WIRE_TASK_SPAWN = 7,
	WIRE_POLL_BEGIN = 8,
	WIRE_POLL_END = 9,
	WIRE_TASK_WAKE = 10,
	WIRE_TASK_COMPLETE = 11,
	WIRE_TASK_DETACH = 12,
	WIRE_TASK_DROP = 13,
	WIRE_QUEUE_DEPTH = 14,
	WIRE_BLOCKING_BEGIN = 15,
	WIRE_BLOCKING_END = 16,
	WIRE_PROBES
};

#define WIRE_MAX_OBJECTS 64 /* mapped objects with such probes, at a time; a power of two */
/* Whoever has a row has a number of its own: what comes late, for a former owner, has another. */
#define WIRE_OBJECT(row, generation) ((__u32)(row) | (__u32)(generation) << 8)
#define WIRE_OBJECT_ROW(object) ((object) & (WIRE_MAX_OBJECTS - 1))
#define WIRE_TYPES 256 /* task types of one; the last stands for those beyond */
#define WIRE_NAME_TEXT 96
#define WIRE_LOCATION_TEXT 72
#define WIRE_USDT_ARGS 4
#define WIRE_MAX_ARG_ROWS 1024

enum wire_arg_kind { WIRE_ARG_CONST = 0, WIRE_ARG_REG = 1, WIRE_ARG_MEM = 2 };

/* Where an argument is when it is not where a call would have it. */
struct wire_arg {
	__u8 kind; /* enum wire_arg_kind */
	__u8 size; /* 1, 2, 4, 8 */
	__u8 is_signed;
	__u8 reg;    /* offset of the register in the kernel's struct pt_regs */
	__s32 disp;  /* memory: from that register */
	__u64 value; /* a constant */
};

struct wire_args {
	struct wire_arg arg[WIRE_USDT_ARGS];
};

/* `args`: row of the argument formats plus one; 0: rdi, rsi, rdx, rcx. */
#define WIRE_USDT_COOKIE(object, probe, args)                                                      \
	((__u64)(object) | (__u64)(probe) << 32 | (__u64)(args) << 40)
#define WIRE_COOKIE_PROBE(cookie) ((cookie) >> 32 & 0xff)
#define WIRE_COOKIE_ARGS(cookie) ((cookie) >> 40 & 0xffff)

/* Written by the agent, but for `used`, and `id` when the target runs another program. */
struct wire_object {
	__u32 target;
	__u32 first_site; /* one of those that are reserved for it, and stays so */
	__u32 used;	  /* number of the next type */
	__u32 id;	  /* WIRE_OBJECT(); 0: nobody's */
};

/* A task type that was met; row = WIRE_OBJECT_ROW() * WIRE_TYPES + number. */
struct wire_type {
	__u64 name, location; /* addresses in the target */
	__u32 site;	      /* the agent's: reserved for it */
	__u8 kind;	      /* enum wire_site_kind */
	__u8 ready;	      /* set last: the row is filled, and in use */
	__u8 sent;	      /* the agent's: it has announced it */
	__u8 pad8;
	char name_text[WIRE_NAME_TEXT]; /* "" where it could not be read without a fault */
	char location_text[WIRE_LOCATION_TEXT];
};

/* What the task table knows of a task from its probes; by row. */
enum wire_task_flags {
	WIRE_TASK_SPAWNED = 1, /* it was seen from its spawn on */
	WIRE_TASK_COMPLETED = 2,
	WIRE_TASK_DETACHED = 4, /* nobody holds its handle */
	WIRE_TASK_QUEUED = 8,	/* it is in a run queue (level 3; else until its first poll) */
};

/* The depth that a probe told last; row = WIRE_OBJECT_ROW() * WIRE_DEPTHS + kind * WIRE_DEPTHS / 4 + index. */
#define WIRE_DEPTHS 256
struct wire_depth {
	__u64 runtime; /* 0: none was told */
	__u64 depth;
	__u64 time_ns;
};

_Static_assert(sizeof(struct wire_site) == 40, "wire_site");
_Static_assert(sizeof(struct wire_site_stats) == 8 * (10 + HIST_BUCKETS), "wire_site_stats");
_Static_assert(sizeof(struct wire_poll) == 96, "wire_poll");
_Static_assert(sizeof(struct wire_slot) == 48 + 8 + 8 * 15 - 8 + 4 * 96 + 8, "wire_slot");
_Static_assert(sizeof(struct wire_task) == 64, "wire_task");
_Static_assert(sizeof(struct wire_wakes) == 16, "wire_wakes");
_Static_assert(sizeof(struct wire_args) == 64, "wire_args");
_Static_assert(sizeof(struct wire_object) == 16, "wire_object");
_Static_assert(sizeof(struct wire_type) == 192, "wire_type");
_Static_assert(sizeof(struct wire_look) == 64 + 8 * WIRE_STACK_REGS + 8 * (1 + WIRE_KERNEL_FRAMES),
	       "wire_look");
_Static_assert(sizeof(struct wire_place) == 32, "wire_place");
_Static_assert(sizeof(struct wire_span) == 56, "wire_span");
_Static_assert(sizeof(struct wire_wanted) == 16, "wire_wanted");
_Static_assert(sizeof(struct wire_moment_ask) == 16 + 8 * WIRE_MOMENT_PAGES, "wire_moment_ask");
_Static_assert(sizeof(struct wire_head) == 24, "wire_head");
_Static_assert(sizeof(struct wire_long_poll) == 120, "wire_long_poll");
_Static_assert(sizeof(struct wire_sample) == 40, "wire_sample");
_Static_assert(sizeof(struct wire_panic) == 56, "wire_panic");
_Static_assert(sizeof(struct wire_brief_poll) == 40, "wire_brief_poll");
_Static_assert(sizeof(struct wire_stack) == 24 + 48 + 8 + 8 + 8 + 16 + 8 * 17 + 8 * 33 + 8 * 4096,
	       "wire_stack");
_Static_assert(sizeof(struct wire_moment) ==
		       sizeof(struct wire_stack) + 16 + (8 + WIRE_STACK_PAGE) * WIRE_MOMENT_PAGES,
	       "wire_moment");

#endif
