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
#define WIRE_STACK_PAGES 8   /* copied of one user stack, from its top: 32 KiB */
#define WIRE_STACK_SLOTS 256 /* threads whose blocks can be copied: those with the lowest slots */
#define WIRE_NO_SITE 0xffffffffU
#define WIRE_STACK_REGS 17 /* by DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 rip */
#define WIRE_VERIFY 64	   /* first hits of a site whose task header is read and checked */

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

/* What a probe knows: its site, and where the address of the task header is. */
enum wire_task_in { WIRE_TASK_RDI = 0, WIRE_TASK_RSI = 1, WIRE_TASK_STACK = 2 };

#define WIRE_COOKIE(site, task_in, offset)                                                         \
	((__u64)(site) | (__u64)(task_in) << 32 | (__u64)(offset) << 40)
#define WIRE_COOKIE_TASK_IN(cookie) ((cookie) >> 32 & 0xff)
#define WIRE_COOKIE_OFFSET(cookie) ((cookie) >> 40 & 0xff)

/* Where a Tokio task header keeps what we read; same for all sites of all Tokio versions >= 1.24. */
#define TOKIO_STATE_RUNNING 1ULL
#define TOKIO_STATE_COMPLETE 2ULL
#define TOKIO_STATE_NOTIFIED 4ULL
#define TOKIO_STATE_JOIN_INTEREST 8ULL
#define TOKIO_STATE_JOIN_WAKER 16ULL
#define TOKIO_STATE_CANCELLED 32ULL
#define TOKIO_STATE_REF_SHIFT 6

static inline __attribute__((always_inline)) int tokio_near(__u64 pointer, __u64 header)
{
	return pointer % 16 == 0 && pointer >= header / 2 && pointer <= header * 2;
}

/*
 * Whether these can be the first two words, state and queue link, of a living task at `header`. In
 * freed memory everything else may be as it was, but here an allocator keeps its own words: glibc a
 * pointer, which may be obfuscated (next ^ address >> 12), and a pointer or a random key. A task
 * without references is freed; none has 2^24. A pointer is as small as that only in a program at
 * low addresses, and then it is near.
 */
static inline __attribute__((always_inline)) int tokio_alive(__u64 state, __u64 link, __u64 header)
{
	__u64 refs = state >> TOKIO_STATE_REF_SHIFT;
	__u64 next = state ^ header >> 12;

	return refs && refs < 1 << 24 && !(link >> 47) && next && !tokio_near(next, header) &&
	       !tokio_near(state, header);
}

/* One probed poll function of one target, indexed by the cookie; written by the agent. */
struct wire_site {
	__u64 vtable;	 /* expected header->vtable; others are looked up in `vtables` */
	__u32 target;	 /* index of the target */
	__u8 kind;	 /* enum wire_site_kind */
	__u8 id_word;	 /* task id is word `id_word` of the header (id_offset / 8) */
	__u8 sched_word; /* scheduler handle likewise */
	__u8 shared;	 /* enum wire_shared bits: the header decides each time */
	__u32 verified;	 /* hits whose header was read and found right, up to WIRE_VERIFY */
	__u32 pad32;
	__u64 stack_ns; /* when a stack of it was last sent */
};

/* Delays of a site on one CPU (level 3): from a task's wake to the poll that it leads to. */
struct wire_delays {
	__u64 max_ns;
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
	__u16 pad16;
	__u32 row; /* of the task table, plus one; 0: none */
};

enum wire_off_kind {
	WIRE_ON_CPU = 0,
	WIRE_OFF_BLOCKED = 1,	/* left the CPU voluntarily with a poll open; may be ready again */
	WIRE_OFF_PREEMPTED = 2, /* with a poll open */
	WIRE_OFF_PARKED = 3,	/* voluntarily, no poll open */
	WIRE_OFF_WAITING = 4,	/* preempted, no poll open */
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
	__u64 stolen_mark; /* of the CPU it runs on, accounted so far: see slot_stolen() */
	__u64 sched;	   /* scheduler handle of the last task polled */
	struct wire_poll polls[WIRE_MAX_DEPTH];
};

#define WIRE_TASK_KEY(header, target) ((header) | ((__u64)(target) << 48))

/*
 * A live task (level 2): a row of an mmapable array, one cache line. `key` is written last when a task gets the
 * row and cleared first when it is freed: 0 means free. The agent copies a row and compares `key`
 * before and after.
 */
struct wire_task {
	__u64 key; /* WIRE_TASK_KEY */
	__u64 id;
	__u64 sched;
	__u64 first_ns; /* start of the first poll seen */
	__u64 last_ns;	/* end of the last closed poll */
	__u64 busy_ns;
	__u64 polls;
	__u32 site;
	__u32 last_slot;
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
};

enum wire_kind {
	WIRE_LONG_POLL = 1,
	WIRE_THREAD_EXIT = 2,
	WIRE_PROCESS_EXIT = 3,
	WIRE_PROCESS_EXEC = 4,
	WIRE_PROCESS_FORK = 5,
	WIRE_MMAP_EXEC = 6,
	WIRE_STACK = 7,
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
	__u32 site;	 /* WIRE_NO_SITE: outside any poll, of a thread in `roots` */
	__s32 syscall;	 /* WIRE_NO_SYSCALL: none */
	__u64 base;	 /* address of pages[0] */
	__u32 present;	 /* bit i: page i was read */
	__u32 wasted;	 /* private: copies in a row that were of no use */
	__u64 copied_ns; /* private: when the last copy was made, */
	__u64 sent_ns;	 /* and when one was sent from outside any poll */
	__u64 regs[WIRE_STACK_REGS];
	__u8 pages[WIRE_STACK_PAGES * WIRE_STACK_PAGE];
};

/* Thread and process events; `other` is the child of a fork. */
struct wire_process {
	struct wire_head head;
	__u32 other;
	__s32 code; /* exit code of the process as in task->exit_code */
};

_Static_assert(sizeof(struct wire_site) == 32, "wire_site");
_Static_assert(sizeof(struct wire_site_stats) == 8 * (6 + HIST_BUCKETS), "wire_site_stats");
_Static_assert(sizeof(struct wire_poll) == 96, "wire_poll");
_Static_assert(sizeof(struct wire_slot) == 48 + 8 + 8 * 13 - 8 + 4 * 96, "wire_slot");
_Static_assert(sizeof(struct wire_task) == 64, "wire_task");
_Static_assert(sizeof(struct wire_head) == 24, "wire_head");
_Static_assert(sizeof(struct wire_long_poll) == 120, "wire_long_poll");
_Static_assert(sizeof(struct wire_stack) == 24 + 48 + 8 + 8 + 8 + 16 + 8 * 17 + 8 * 4096,
	       "wire_stack");

#endif
