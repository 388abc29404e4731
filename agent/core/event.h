/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The normalised event: everything that the model, the rules and the sinks ever learn.
 *
 * A source (live or replay) yields events in time order; nothing downstream can tell which one
 * runs. Strings and arrays inside an event are borrowed: valid until the callback returns.
 * Times are CLOCK_MONOTONIC nanoseconds of the recorded machine, durations nanoseconds; counters
 * called "cumulative" only grow for one source. Identifiers (target, binary, runtime, site) are
 * small integers given by the source, dense from 0, never reused within one stream.
 *
 * Kinds are append-only: traces store the number.
 */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "core/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* kind, number, name, one-line meaning */
#define EVENT_KINDS(X)                                                                             \
	X(TARGET, 1, target, "a process is watched")                                               \
	X(TARGET_END, 2, target_end, "it ended, or is no longer watched")                          \
	X(BINARY, 3, binary, "a mapped object that carries a runtime")                             \
	X(RUNTIME, 4, runtime, "a runtime instance (one scheduler handle)")                        \
	X(SITE, 5, site, "a future type that is polled")                                           \
	X(SITE_STATS, 6, site_stats, "cumulative statistics of a site")                            \
	X(THREAD, 7, thread, "cumulative statistics and present state of a polling thread")        \
	X(THREAD_END, 8, thread_end, "a thread ended")                                             \
	X(POLL, 9, poll, "a poll at or over the threshold has ended")                              \
	X(POLL_OPEN, 10, poll_open, "a poll over the threshold is still open")                     \
	X(TASK, 11, task, "a row of the task table")                                               \
	X(TASK_SCAN, 12, task_scan, "the rows since the last scan are complete")                   \
	X(READY, 13, ready, "a task was seen ready and not running for some time")                 \
	X(QUEUES, 14, queues, "queue depths of a runtime")                                         \
	X(COST, 15, cost, "probe hits and what they cost the target")                              \
	X(LOST, 16, lost, "events were lost")                                                      \
	X(NOTE, 17, note, "something the user should know about the observation itself")           \
	X(TICK, 18, tick, "time has passed; rules are judged now")                                 \
	X(STACK, 19, stack,                                                                        \
	  "the user stack of a block, of a sample inside a long poll, or of a spawn")              \
	X(POLLS, 20, polls, "every poll that ended on some threads (record --polls)")              \
	X(CHANNEL, 21, channel, "an unbounded channel: what waits in it")                          \
	X(CHANNEL_SCAN, 22, channel_scan, "the channels found so far of a process")                \
	X(OVERHEAD, 23, overhead, "what was measured with probes and without (--overhead-check)")

enum event_kind {
#define EVENT_ENUM(kind, number, name, meaning) EV_##kind = number,
	EVENT_KINDS(EVENT_ENUM)
#undef EVENT_ENUM
};

#define ID_NONE UINT32_MAX /* no such target, binary, runtime or site */

struct ev_target {
	uint32_t pid;
	uint64_t start_time; /* field 22 of /proc/PID/stat, clock ticks since boot */
	const char *comm;
	const char *exe;      /* as the process sees it; " (deleted)" stripped */
	const char *build_id; /* hex, NULL when there is none */
	uint32_t cpus;	      /* CPUs that it may use */
};

enum target_end_reason { TARGET_EXITED, TARGET_EXECED, TARGET_DETACHED };

struct ev_target_end {
	enum target_end_reason reason;
	int32_t status; /* as from wait(2); -1 unknown */
};

#define TASK_TYPES_LATER UINT32_MAX /* not known before: they are met while the program runs */

struct ev_binary {
	uint32_t binary;
	const char *path;
	const char *build_id; /* hex, NULL */
	const char *runtime;  /* "tokio" */
	const char *version;  /* "1.54.1", NULL when unknown */
	uint32_t task_types;  /* sites found in it; TASK_TYPES_LATER */
};

enum runtime_flavor { FLAVOR_UNKNOWN, FLAVOR_MULTI_THREAD, FLAVOR_CURRENT_THREAD, FLAVOR_LOCAL };

struct ev_runtime {
	uint32_t runtime;
	uint32_t binary;
	enum runtime_flavor flavor;
	uint64_t handle; /* address in the target */
	int32_t workers; /* configured worker threads, -1 unknown */
};

enum site_kind { SITE_TASK, SITE_BLOCKING, SITE_WORKER };

/* How the name was learned, best first. */
enum site_name_from {
	NAME_SYMBOL, /* v0 symbol of poll, with generic arguments */
	NAME_DWARF,
	NAME_DROP_GLUE, /* drop_in_place<...> reached from poll or dealloc */
	NAME_CALLEE,	/* first symbol outside the runtime that poll calls */
	NAME_NONE,	/* "task type #7 (192 B) @ binary+0x43c80" */
	NAME_TOLD,	/* the program itself says it, by its probe points */
};

struct ev_site {
	uint32_t site;
	uint32_t binary;
	enum site_kind kind;
	const char *name;      /* readable and sanitised: safe for a terminal */
	const char *scheduler; /* its scheduler type, NULL when unknown */
	enum site_name_from name_from;
	bool ambiguous; /* identical-code folding gave several names; this is one */
	bool by_stacks; /* no probe sees its polls: they are met where a stack is taken, not all of them */
	uint32_t size;	 /* bytes of one task in memory, 0 unknown */
	uint64_t offset; /* of poll in the binary's file */
	uint64_t body;	 /* of the function that poll is only a jump to, likewise; 0: it is none */
	const char *location;  /* "file.c:12", where the program says it; sanitised; NULL */
	const char *no_spawns; /* why it cannot be told where its tasks are spawned; NULL: it can */
};

struct ev_site_stats {
	uint32_t site;
	uint64_t polls, busy_ns, blocked_ns, preempted_ns, max_ns; /* cumulative, closed polls */
	uint64_t seen, ended; /* tasks first met, tasks deallocated; valid with `tasks_valid` */
	bool tasks_valid;     /* level 2 or higher */
	bool tasks_gap; /* not all the time: tasks came and went that are in neither, and in no row */
	bool sampled;	/* numbers are scaled from windows; max, hist and delays are of these */
	uint32_t
		error; /* of `polls`: standard error in thousandths; 0: exact, ID_NONE: not known */
	const uint64_t *hist; /* HIST_BUCKETS counters (bpf/wire.h), cumulative */
	/* From wake to poll; NULL below level 3. First polls and self-wakes are not among them. */
	const uint64_t *delay_hist;
	uint64_t delay_max_ns;
	uint64_t moved;	    /* polls on another thread than the task's last; with `tasks_valid` */
	uint64_t cancelled; /* tasks cancelled after they had been polled; likewise */
	bool self_valid;    /* level 3, where the wakes of its scheduler are seen and told apart */
	uint64_t self;	    /* polls of tasks that were made ready while they were being polled */
	bool samples_valid; /* CPUs are sampled */
	uint64_t samples;   /* of its polls on a CPU, cumulative */
	uint64_t refcounts; /* of these, at the reference count of an Arc */
	bool panics_valid;  /* panics are seen */
	uint64_t panics;    /* tasks that ended by one, at least, cumulative */
	uint64_t panics_lost; /* of these, without a JoinHandle: nobody learns of it */
};

enum thread_state {
	THREAD_SEARCHING, /* on the CPU, no poll open */
	THREAD_PARKED,	  /* off the CPU, no poll open */
	THREAD_POLLING,	  /* a poll is open, on the CPU */
	THREAD_BLOCKED,	  /* a poll is open, voluntarily off the CPU */
	THREAD_PREEMPTED, /* a poll is open, preempted */
};

struct ev_thread {
	uint32_t tid;
	const char *comm;
	uint32_t runtime; /* of the last task polled, ID_NONE unknown */
	enum thread_state state;
	bool worker;	   /* has polled tasks; false: only blocking-pool work so far, or `root` */
	bool root;	   /* has polled none, and was in block_on when it was looked at */
	uint64_t since_ns; /* when this state began */
	uint32_t site;	   /* of the open poll, ID_NONE */
	uint64_t task_id;  /* of the open poll; 0: its runtime gives tasks none */
	uint64_t task_key; /* and the task's, as in ev_task */
	uint64_t poll_start_ns; /* 0: none open */
	bool early;		/* see struct ev_poll */
	int32_t syscall;	/* that it is blocked in, -1 none */
	uint64_t first_ns;	/* counting since */
	uint64_t polls;		/* cumulative; open intervals are counted up to the event's time */
	uint64_t busy_ns;	/* in polls, on the CPU */
	uint64_t blocked_ns;	/* in polls, voluntarily off the CPU */
	uint64_t preempted_ns;	/* in polls, ready without a CPU */
	uint64_t parked_ns;	/* outside polls, voluntarily off the CPU */
	uint64_t searching_ns;	/* outside polls, the rest */
	int32_t parked_syscall; /* in state parked: what it waits in, -1 unknown */
	bool unaccounted;	/* not all of its polls are seen: times and polls tell nothing */
};

struct ev_thread_end {
	uint32_t tid;
};

struct ev_poll {
	uint32_t tid;
	uint32_t runtime;
	uint32_t site;
	uint64_t task_id;
	uint64_t start_ns;	 /* (tid, start_ns) identifies the poll */
	uint64_t length_ns;	 /* so far, when open */
	uint64_t blocked_ns;	 /* voluntary off-CPU time so far */
	uint64_t preempted_ns;	 /* ready, without a CPU: another thread or the hypervisor had it */
	uint64_t unseen_ns;	 /* open: the newest part, of which nobody knows what it was */
	uint64_t nested_ns;	 /* polls of other tasks within it (LocalSet, block_on) */
	uint64_t worst_block_ns; /* longest single voluntary span */
	int32_t syscall;	 /* of that span; -1 unknown or page fault */
	bool off_cpu;		 /* open: it is off the CPU now */
	bool loose_end;		 /* length is a lower bound */
	bool early;		 /* it was open when the watch began: start_ns is at the latest */
	bool handed_off;	 /* another thread may run its worker since: block_in_place */
};

/* Whether anybody could still wake a task that waits, or would end it. */
enum task_wakers {
	WAKERS_UNKNOWN,
	WAKERS_SOME, /* or it does not wait */
	WAKERS_NONE, /* no reference is left but the runtime's, and that of who waits for its end */
};

struct ev_task {
	uint64_t key; /* identifies the task within its target while it lives */
	uint64_t id;  /* the runtime's own id; 0: it gives none */
	uint32_t site;
	uint32_t runtime;
	uint64_t first_ns; /* first poll seen */
	uint64_t last_ns;  /* end of its last poll */
	uint64_t polls, busy_ns;
	uint32_t last_tid;
	bool state_valid; /* the flags below were read from the target */
	bool running, ready, complete, cancelled, has_handle;
	bool wakes_valid; /* level 3, where wakes of its scheduler are seen */
	uint32_t refs;
	uint64_t wakes;		 /* times it was made ready; not counted: Tokio, by its own poll */
	enum task_wakers wakers; /* as of its last poll; else unknown */
	/* It is queued at a semaphore of its runtime's locks; looked for once it is idle for a second. */
	uint64_t waits_for;	/* the semaphore's address; 0: at none that is known */
	uint64_t waits_permits; /* that it still lacks */
	/* Semaphores of which it has permits while it waits, by guards in its future; 0: none, or n/a. */
	uint64_t holds, holds_too;
	bool holds_known; /* these are all, as far as debug information tells: not behind pointers */
};

struct ev_task_scan {
	uint32_t rows;	/* rows sent since the scan before */
	bool truncated; /* the table was full: more tasks live than rows */
};

/*
 * A task that waits ready while every thread of the runtime is in a poll, seen from outside:
 * `waited_ns` is a lower bound. One that is known by its queue only has no site and no id.
 */
struct ev_ready {
	uint32_t runtime;
	uint32_t site;
	uint64_t task_id;
	uint64_t key; /* of the task */
	uint64_t waited_ns;
	uint32_t ready;	  /* tasks seen ready at this moment, at least */
	uint32_t sampled; /* tasks looked at */
};

#define QUEUES_MAX_WORKERS 256

/* A depth is -1 when it is not known; `reason` says why, for all that are. */
struct ev_queues {
	uint32_t runtime;
	int64_t inject; /* tasks in the shared queue */
	int64_t local;	/* sum over workers */
	int64_t alive;	/* tasks owned by the runtime */
	int64_t blocking_queue;
	int64_t blocking_threads;
	int64_t blocking_idle;
	uint32_t workers; /* entries in local_each */
	const uint32_t *local_each;
	const char *reason; /* NULL when all are known */
	const char *source; /* "dwarf" or "table 1.54 (rustc 1.95)" */
};

/* What is seen without a probe (level 0): of a target the least, where there are several. */
enum sentinel_sees {
	SENTINEL_NOTHING, /* not learned yet, or there is no such runtime */
	SENTINEL_BLOCKS,  /* in polls */
	SENTINEL_POLLS,	  /* and polls that compute */
};

/*
 * Of a core: a target counts as using at least so much, where a cost is told as a share of its CPU
 * time, and where a budget is one. A small part of nearly nothing is not worth a probe less.
 */
#define COST_LEAST_CORE 0.25

struct ev_cost {
	uint64_t hits, emitted, filtered, lost; /* cumulative; hits = emitted + filtered + lost */
	uint64_t spawn_hits;	  /* of the probes of spawns, cumulative: not in `hits` */
	uint64_t cost_ns;	  /* hits times the calibrated cost of one, cumulative */
	uint64_t target_cpu_ns;	  /* CPU time of the targets over the same time, cumulative */
	uint64_t agent_cpu_ns;	  /* our own, cumulative */
	uint64_t agent_rss_bytes; /* our own memory now; 0: not known */
	uint32_t sites_on;	  /* probed now */
	uint32_t sites_off;	  /* refused, failed their check, or detached by the budget */
	uint8_t level;		  /* in force */
	uint8_t sentinel;	  /* enum sentinel_sees; above level 0 of no meaning */
	/* The overhead budget. */
	uint8_t level_asked;	 /* by the user; `level` is lower: over the budget */
	uint32_t budget_ppm;	 /* millionths of the targets' CPU time; 0: there is none */
	uint32_t sites_sampled;	 /* of sites_off: probed for moments */
	uint32_t windows;	 /* such moments so far, of all targets */
	uint64_t next_window_ns; /* when the next is due; 0: none is */
	bool exact;		 /* returns of polls are probed, too, in one program at least */
	uint32_t lowerings;	 /* times that the level, or the probes of returns, were given up */
	uint64_t lowered_ns;	 /* how long so far less was in force than was asked for */
};

/* Only the first is a loss of what is counted; of stacks there are samples anyway. */
enum lost_what {
	LOST_EVENTS,
	LOST_STACKS,	     /* copied in vain */
	LOST_STACKS_LIMITED, /* not taken: there were enough in that second */
};

struct ev_lost {
	const char
		*stage; /* "ring", "tasks", "threads", "nesting", "polls", "trace"; "unwinder".. */
	uint64_t count; /* since the last such event */
	enum lost_what what;
};

enum note_severity { NOTE_INFO, NOTE_WARNING };

struct ev_note {
	enum note_severity severity;
	const char *text; /* sanitised, one line */
};

struct ev_tick {
	uint32_t unused;
};

enum stack_kind {
	STACK_OFF_CPU,
	STACK_ON_CPU,
	STACK_SPAWN,
	STACK_REFCOUNT, /* where an Arc is cloned or dropped: the place alone, without callers */
	STACK_KINDS,
};

/* What a thread waits for in a futex, as the frames around it tell. */
enum lock_kind {
	LOCK_NONE,    /* in no lock, as far as is known */
	LOCK_STD,     /* std::sync::Mutex */
	LOCK_STD_RW,  /* std::sync::RwLock */
	LOCK_PARKING, /* parking_lot's */
	LOCK_PTHREAD, /* a mutex of libc's */
};

/* Of a lock that keeps no owner: where its address lies beside the stacks of those that wait for it. */
enum lock_found {
	LOCK_NOT_FOUND, /* not looked for, or in several places */
	LOCK_IN_TASK,	/* in tasks that wait, all of one type; on no thread's stack */
	LOCK_NOWHERE,	/* in no other task that waits, and on no other thread's stack */
};

/*
 * Comes after the poll's own events, or while it is open: unwinding takes its time. One of a spawn
 * is of the thread that makes a task of `site`, and of no poll: it has no task, runtime, span and
 * syscall. Its only frame may be a place in the source without a function, which the task holds.
 */
struct ev_stack {
	uint32_t tid;
	uint32_t runtime, site; /* of the poll; ID_NONE */
	uint64_t task_id;
	uint64_t poll_start_ns; /* (tid, poll_start_ns) identifies the poll */
	enum stack_kind kind;
	uint64_t span_ns;   /* off the CPU: of this block, so far when `open`; on it: of the poll */
	bool open;	    /* the thread was still there when the stack was taken */
	bool now_only;	    /* it tells what the thread does now, and counts for nothing else */
	int32_t syscall;    /* off the CPU: -1 none (a page fault) */
	const char *detail; /* what the syscall was about ("fd 7: pipe"), sanitised; NULL */
	enum stack_end end;
	const struct frame *frames; /* innermost first */
	uint32_t frames_count;	    /* at most FRAMES_MAX */
	/* The kernel functions below a block, innermost first, one space between; NULL: not known. */
	const char *kernel;
	uint64_t begin_ns; /* off the CPU: when the block began; 0: not known */
	/* Of a block that is open; see attach/live_locks.h. */
	enum lock_kind lock_kind;
	uint32_t
		lock_owner; /* the thread that has the lock, as the lock itself says; 0: it does not */
	uint32_t
		lock_seen; /* a thread in another lock, and the only one, on whose stack its address lies; 0 */
	uint64_t lock_addr; /* 0: not known */
	enum lock_found lock_found;
	uint32_t lock_site; /* with LOCK_IN_TASK: the type of these tasks */
	uint64_t lock_task; /* and the only one; 0: there are several, or it has no id */
};

/* The block that a thread told last. */
struct told_block {
	uint64_t poll_start_ns, begin_ns, span_ns;
	uint32_t tid;
	bool open;
};

struct told_block block_told(const struct ev_stack *stack);
/*
 * Is it the block that was told while it was open? Its span at the end counts, also when it seemed
 * longer before: awake, the thread may have waited for a CPU. Where it is not known when they
 * began, a shorter one is another block of the same poll.
 */
bool block_is_again(const struct told_block *told, const struct ev_stack *stack);

#define POLLS_MAX 4096 /* of one event */

/* A poll in short; those over the threshold have an EV_POLL, too. */
struct brief_poll {
	uint64_t start_ns, length_ns;
	uint64_t task_id; /* 0: not read */
	uint32_t tid, site;
};

/* In no order over threads, in order of their ends on each. What is long is among them, too. */
struct ev_polls {
	uint32_t count; /* at most POLLS_MAX */
	const struct brief_poll *list;
};

/*
 * A channel without a bound, known by the memory of the tasks that hold its ends. Task types are
 * those that were seen to; the receiver is known once it was seen to wait.
 */
struct ev_channel {
	uint64_t key;		 /* identifies it within its target while it lives */
	uint32_t site;		 /* a type that holds an end: the receiver where it is known */
	uint32_t receiver;	 /* ID_NONE: not seen to wait */
	uint32_t sender;	 /* ID_NONE: not known which of the holders, or no task */
	uint64_t task_id;	 /* of the receiver; 0 */
	uint64_t depth;		 /* messages that wait now */
	uint64_t sent, received; /* cumulative, since it was made */
	int64_t senders;	 /* handles; -1 not known */
	uint32_t message_bytes;	 /* 0 not known */
	const char *library;	 /* "tokio::sync::mpsc" */
	const char *message;	 /* the type of a message, sanitised; NULL: not known, */
	const char *no_message;	 /* and why */
};

struct ev_channel_scan {
	uint32_t tasks;	    /* whose memory was read since the watch began, at most so many */
	uint32_t channels;  /* known now, bounded ones among them */
	uint32_t unbounded; /* of these, surely */
	const char *reason; /* why none can be found; NULL */
};

/* What is compared, and the unit of the values of struct ev_compared. */
enum overhead_measure {
	OVERHEAD_CPU,	   /* CPU time of the process: ns a second */
	OVERHEAD_SWITCHES, /* times that its threads got a CPU: thousandths a second */
	OVERHEAD_TAKES,	   /* tasks that left its workers' own run queues: thousandths a second */
	OVERHEAD_CPU_TAKE, /* CPU time for each of these: ps */
	OVERHEAD_MEASURES
};

enum overhead_known {
	OVERHEAD_KNOWN,
	OVERHEAD_FEW,	 /* rounds: there is no interval yet */
	OVERHEAD_LITTLE, /* without probes there was nearly nothing of it: there is no ratio */
	OVERHEAD_UNSEEN, /* it cannot be counted in this process */
};

struct ev_compared {
	enum overhead_known known;	/* the ratio and its interval are */
	int64_t without_probes, probed; /* means; -1 not known */
	int64_t ratio, low, high;	/* probed to without, millionths, and 95 %; -1 */
};

/* Cumulative: each round of windows that is complete is in it. */
struct ev_overhead {
	uint32_t rounds;
	uint64_t probed_ns, without_ns; /* length of the windows */
	uint64_t polls, polls_cpu_ns;	/* in those with probes, and the process's CPU time there */
	struct ev_compared by[OVERHEAD_MEASURES];
	const char *reason; /* why nothing more is measured; NULL */
};

struct event {
	enum event_kind kind;
	uint32_t target; /* the process it is about; ID_NONE: none in particular */
	uint64_t time_ns;
	union {
		struct ev_target as_target;
		struct ev_target_end as_target_end;
		struct ev_binary as_binary;
		struct ev_runtime as_runtime;
		struct ev_site as_site;
		struct ev_site_stats as_site_stats;
		struct ev_thread as_thread;
		struct ev_thread_end as_thread_end;
		struct ev_poll as_poll;
		struct ev_task as_task;
		struct ev_task_scan as_task_scan;
		struct ev_ready as_ready;
		struct ev_queues as_queues;
		struct ev_cost as_cost;
		struct ev_lost as_lost;
		struct ev_note as_note;
		struct ev_tick as_tick;
		struct ev_stack as_stack;
		struct ev_polls as_polls;
		struct ev_channel as_channel;
		struct ev_channel_scan as_channel_scan;
		struct ev_overhead as_overhead;
	};
};

/* "off_cpu", "on_cpu", "refcount" */
const char *stack_kind_name(enum stack_kind kind);

/* The kind's name ("poll_open"), "unknown" for a number of no kind. */
const char *event_kind_name(enum event_kind kind);

/* A consumer of events: returns 0, or -errno to stop the stream. */
typedef int (*event_fn)(void *ctx, const struct event *event);

#endif
