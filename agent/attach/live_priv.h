/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the live source: shared by live*.c only. live.c owns the struct and the attach; the others
 * turn one kind of state each into events, given the time of the tick.
 */
#ifndef ATTACH_LIVE_PRIV_H
#define ATTACH_LIVE_PRIV_H

#include "attach/kernel.h"
#include "attach/link.h"
#include "attach/live.h"
#include "stack/stack.h"
#include "util/map.h"

struct census;
struct channels;
struct live_budget;
struct live_sample;
struct sentinel;
struct live_locks;
struct live_panics;

#define LIVE_MAX_RUNTIMES 1024
#define LIVE_READY_SAMPLE 128

#define KEY_HEADER(key) ((key)&0xffffffffffffULL)
#define KEY_TARGET(key) ((uint32_t)((key) >> 48))

/* Where events go during one call of the source. */
struct emit {
	event_fn fn;
	void *ctx;
	uint64_t now;
};

struct live_site {
	uint32_t target, binary;
	const struct runtime_site *found; /* NULL after an exec */
	bool off;			  /* not probed: refused, or failed the check of its hits */
	bool unmet;   /* reserved for a task type that the program has not shown yet */
	bool stepped; /* its poll probe is single-stepped */
	struct live_sample *sample; /* its numbers are scaled; NULL: they never were */
	bool untold;		    /* its tasks are not followed: it is sampled */
	uint64_t rows_ns; /* tasks met before it were not followed for a while since; 0: all were */
	bool proving;	  /* and which of these are alive is not known yet, */
	bool proven;	  /* but will be told by the scan under way */
	bool loops;	  /* blocking-pool work that polls tasks: a worker's loop */
	bool wakes_seen;  /* each of its wakes is (level 3) */
	bool wakes_apart; /* but those while it is polled: they take another way (Tokio) */
	uint64_t checksum;     /* of the statistics last sent: unchanged ones are not sent again */
	uint64_t offset, body; /* of poll in the file, and of what it only jumps to; 0: itself */
	uint64_t panics, panics_lost; /* tasks that ended by one; of these, without a handle */
	uint64_t samples, refcounts;  /* of polls on a CPU; of these, at a reference count, */
	uint64_t refcount_ns;	      /* and when the frame of one was asked for last */
	uint64_t seen, alive; /* tasks met before the present scan, and of these alive in it */
	uint64_t ended;	      /* cumulative, as of the last scan */
};

#define HANDOFFS_MAX 64

/* A worker's loop on a thread of the blocking pool. */
struct live_handoff {
	uint32_t target, tid;
	uint64_t sched, start_ns; /* sched 0: not known */
	bool known;		  /* its type has polled tasks before */
};

struct live_handoffs {
	uint64_t looked_ns;
	uint32_t count;
	struct live_handoff list[HANDOFFS_MAX];
};

/* Where probes of one program are: all that can be probed. */
struct live_probes {
	struct link_site *list; /* NULL: none */
	size_t count;
};

struct live_binary {
	uint32_t target;
	const struct watch_object *object; /* NULL after an exec */
	struct link_set links[PLAN_PROGRAMS];
	struct live_probes probes[PLAN_PROGRAMS]; /* but those of spawns and of probe points */
	struct link_set window;			  /* probes of polls that are in for a moment */
	const char *no_exact;			  /* why no return is probed; NULL */
	struct link_site *spawns;		  /* what to probe in a window */
	size_t spawns_count;
	bool spawns_stepped; /* one of them at least */
	uint32_t first_site, sites;
	uint32_t usdt;		  /* WIRE_OBJECT(): its row in `objects`; 0: none */
	struct runtime_site *met; /* WIRE_TYPES task types, as they are met */
};

/* Probes of spawns are in a target in windows only: see live_spawn.c. */
struct live_spawn {
	enum { SPAWN_OUT, SPAWN_IN, SPAWN_LEAVING } state;
	uint64_t since_ns;  /* in this state */
	uint64_t pause_ns;  /* before the next window */
	uint64_t filled_ns; /* when the window's hits were filled up last */
};

struct live_target {
	struct watch *watch;
	bool ended;
	bool status_seen; /* a thread of it ended with the process */
	int32_t status;	  /* then: as from wait(2) */
	bool exec_pending;
	uint32_t generation; /* grows with each program that it runs */
	bool mapped;	     /* the unwinder knows its memory */
	bool looking;	     /* for new objects, and not done */
	uint64_t look_until; /* look for new objects at each tick until then */
	uint64_t exec_kib;   /* executable mappings when they were last looked at */
	uint64_t cpu_first, cpu_last;
	uint32_t root_site; /* of a root future of an unknown runtime; ID_NONE: none so far */
	uint64_t main_next; /* when its main thread is looked at again */
	uint32_t main_looks;
	struct live_spawn spawn;
	struct live_budget *budget; /* NULL: there is none */
};

struct live_runtime {
	uint32_t target, binary;
	uint64_t handle;
	const struct runtime_queue_ops *ops; /* of `queues` */
	void *queues;			     /* NULL: depths are not known */
	char why[160];			     /* why not */
	uint32_t site;			     /* of a task of it, and its header; 0: not known */
	uint64_t header;
	uint32_t attempts;
	enum runtime_flavor flavor;
	int32_t workers;
	uint32_t root_site; /* stands for its root future; ID_NONE: none was seen to block */
	bool tells_pool;    /* of the blocking pool that it shares with others */
	/* Of the present tick. */
	uint32_t threads, polling;
	uint64_t polls; /* begun on these threads */
	/* When the run queues were read last, and what was known then; 0: they were empty. */
	uint64_t queued_ns, queued_polls;
	uint32_t queued;
};

/* A task with a row, looked at from outside to see how long it stays ready. */
struct ready_probe {
	uint64_t key, id; /* as in its row */
	uint32_t site, runtime, row;
	uint64_t polls;
	uint64_t since_ns; /* 0: was not ready when last looked at */
};

/*
 * What the agent knows of the task in a row of the table beyond the row itself. Reading a header
 * takes the lock of the target's memory map for a moment, and a thread of the target that maps or
 * unmaps memory waits for it; so headers are read in turns, a bounded number a second.
 */
struct row_check {
	uint64_t id;	   /* of the task that the rest is about, */
	uint64_t first_ns; /* and of its row, which may begin anew */
	uint64_t read_ns;  /* its header was; 0: not yet */
	uint64_t polls;	   /* of it at that time */
	uint64_t place;	   /* where it holds the place of its spawn, until that was told; 0: none */
	bool placed;	   /* it was looked at */
	struct runtime_state state; /* when last read */
	bool valid;		    /* the header was read and is this task's */
	bool gone;		    /* it is no longer this task's: freed */
	struct runtime_wait wait;   /* since `wait_polls`; semaphore 0: for none that is known */
	uint64_t wait_polls;
};

/* A scan of the task table: of a large one a slice a tick. */
struct live_scan {
	bool under_way;
	uint64_t begin_ns;
	uint64_t cost_ns;    /* of our CPU, so far */
	uint32_t rows, next; /* of the table, when it began; to be read next */
	uint32_t used;	     /* rows in use, so far */
	uint32_t places;     /* of spawns, told */
	uint32_t read, gone; /* headers, and those of tasks that had ended */
	bool checks_all;     /* reads them all: of the last scan's many had */
	uint64_t execed;     /* bits: targets whose program is another one since it began */
	uint32_t sent[WIRE_MAX_TARGETS];
};

/*
 * What is given to the objects with probe points, and taken back when they are detached. Numbers of
 * sites are not used twice, but those that were reserved and never met a task type.
 */
struct live_usdt {
	uint32_t generation;
	bool objects[WIRE_MAX_OBJECTS];
	uint32_t args[WIRE_MAX_ARG_ROWS]; /* whose argument formats; 0: nobody's */
	uint32_t *spare;		  /* sites */
	size_t spare_count, spare_cap;
};

struct live {
	struct source source;
	struct live_opts opts;
	struct kernel *kernel;
	struct live_target *targets;
	uint32_t targets_count;
	struct live_binary *binaries;
	size_t binaries_count, binaries_cap;
	struct live_site *sites;
	size_t sites_count, sites_cap;
	struct live_runtime *runtimes;
	size_t runtimes_count, runtimes_cap;
	struct map runtime_ids; /* (handle, target) -> id */
	struct live_usdt usdt;	/* rows given of the kernel side's tables */

	struct live_stacks *stacks; /* NULL: there are none */
	struct census *census;	    /* NULL: nobody was looked at */
	struct live_panics *panics; /* NULL: there was none */
	struct live_locks *locks;   /* NULL: no thread was seen to wait for one */
	struct sentinel *sentinel;  /* NULL: all polls are seen by probes */
	struct map places;	    /* (address of code, target) -> whether it counts references */
	struct channels *channels;  /* NULL: none were looked for */
	char no_stacks[256];	    /* why, when they were wanted */
	int fd;			    /* readable when a ring or the unwinder has something */
	uint64_t ticks, begin_ns;
	bool announced;
	uint32_t announced_sites, announced_binaries;
	uint64_t threshold_said; /* in a note: the one in force */
	struct live_handoffs handoffs;
	uint64_t hit_ns, stepped_hit_ns; /* calibrated cost of one hit */
	uint64_t windows_ns;		 /* CPU time of putting probes in and out, cumulative */
	unsigned int level_asked;	 /* and --exact; `opts` has what is in force */
	bool exact_asked;
	uint32_t lowerings;		    /* so far */
	uint64_t lowered_since, lowered_ns; /* 0: it is not; and before that, in all */
	uint64_t wakes_ns;	     /* all wakes were seen since; 0: since the watch began */
	struct wire_totals baseline; /* of the calibration: not the targets' */
	struct wire_totals last_totals;
	uint64_t last_refused; /* by the unwinder */
	uint64_t last_hits;
	uint32_t calibration_slot;
	uint32_t slot_seen[WIRE_MAX_SLOTS];	/* generation of the thread that was announced */
	uint64_t agent_rss_bytes, agent_rss_ns; /* and when that was read */
	uint64_t agent_cpu_begin;

	struct row_check *checks; /* by row of the task table */
	size_t checks_cap;
	uint32_t check_cursor; /* where the next scan goes on reading headers */
	uint32_t wait_cursor;  /* and whole tasks */
	struct ready_probe ready[LIVE_READY_SAMPLE];
	uint32_t ready_count;
	uint32_t ready_waiting; /* tasks that were ready when last looked at */
	uint64_t tick_due;	/* when the next full tick is */
	uint64_t ready_seen;	/* rows offered to the sample in this scan */
	struct live_scan scan;
	uint64_t task_scan_next;  /* when the table is read again */
	bool proving;		  /* some site is */
	struct brief_poll *polls; /* that wait for their event; NULL: they are not sent */
	uint32_t polls_count, polls_target;
	struct emit *emit; /* valid while records of the ring are passed on */
	int emit_error;
};

/* What was found where the site is; not after an exec. */
const struct runtime_found *live_found(const struct live *live, uint32_t site);
/* The id that its runtime gave a task; 0: it gives none, and what we call it is our own affair. */
uint64_t live_task_id(const struct live *live, uint32_t site, uint64_t id);
int live_emit(struct emit *emit, enum event_kind kind, uint32_t target, struct event *event);
/* Passes on what is in the rings, and what the unwinder answered. */
int live_drain(struct live *live, struct emit *emit);
uint64_t live_now(void);
int live_note(struct emit *emit, uint32_t target, enum note_severity severity, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* live_runtimes.c */
uint32_t live_runtime_of(struct live *live, struct emit *emit, uint32_t target, uint32_t site,
			 uint64_t handle, uint64_t header);
int live_queues(struct live *live, struct emit *emit, bool slow); /* and channels */
void live_queues_close(struct live *live);
/* The depths of its queues now; NULL: not known, err says why. */
const struct runtime_depths *live_depths(const struct live_runtime *runtime, struct err *err);
/* Whether a thread that polls tasks of the runtime may run the root future of block_on between them. */
bool live_drives_root(const struct live *live, uint32_t runtime);
/*
 * The site that stands for the root future of a runtime, or of one that is not known; announced with
 * the first call. ID_NONE: no room.
 */
uint32_t live_root_site(struct live *live, struct emit *emit, uint32_t target, uint32_t runtime);

/* live_handoff.c */
/*
 * May the poll of this thread have given its worker to another thread (Tokio's block_in_place)?
 * `block_ns`: when its longest block began, at the latest; 0: it computes.
 */
bool live_handed_off(struct live *live, const struct emit *emit, uint32_t target, uint32_t tid,
		     const struct wire_poll *poll, uint64_t block_ns);

/* live_threads.c */
int live_threads(struct live *live, struct emit *emit, bool all, bool *open);
/* A WIRE_THREAD_EXIT of the ring. */
int live_thread_exit(struct live *live, const void *data, size_t size);
int live_long_poll(struct live *live, struct emit *emit, const struct wire_long_poll *rec);

/* live_polls.c */
int live_brief_poll(void *ctx, void *data, size_t size); /* a kernel_record_fn */
int live_polls_flush(struct live *live, struct emit *emit);

/* live_stacks.c */
int live_stacks_open(struct live *live, struct err *err);
void live_stacks_close(struct live *live);
int live_stacks_fd(const struct live *live);
void live_stacks_forget(struct live *live, uint32_t target);
/* Stacks that were copied and came to nothing: too many under way, or no unwinder. Cumulative. */
uint64_t live_stacks_refused(const struct live *live);
int live_stacks_drain(struct live *live, struct emit *emit);
/* Of a block, a sample, or a spawn. */
int live_stack(struct live *live, struct emit *emit, const struct wire_stack *rec);
int live_stack_open(struct live *live, struct emit *emit, uint32_t index,
		    const struct wire_slot *slot, const struct wire_poll *poll);

/* What the function at that address of code is, of a sample: it comes as a stack of its own kind. */
void live_stack_place(struct live *live, const struct wire_sample *rec, uint64_t address);
/* Reads the pages that are missing, of a thread that does not run. */
void live_stack_read(const struct live *live, struct wire_stack *rec);
/* The frames of a stack for a row of the census; false: not now. */
bool live_stack_ask(struct live *live, const struct wire_stack *copy, uint32_t census);

/* live_samples.c: where polls were sampled. */
/* A WIRE_SAMPLE, or a WIRE_PANIC. */
void live_in_poll(struct live *live, const void *data, size_t size);
bool live_samples_come(const struct live *live);
/* Code may be another now. */
void live_samples_forget(struct live *live);

/* live_panics.c */
void live_panic(struct live *live, const struct wire_panic *rec);
/* Whether panics of its tasks are seen. */
bool live_panics_come(const struct live *live, const struct live_site *site);
/* Before statistics of sites are told. */
void live_panics_tick(struct live *live, uint64_t now);

/* live_census.c: a look at all threads, for what began before the watch. */
int live_census_target(struct live *live, struct emit *emit, uint32_t target);
void live_census_forget(struct live *live, uint32_t target);
void live_census_free(struct live *live);
/* A sample of a thread that the census wants to know about. */
int live_census_sample(struct live *live, const struct wire_stack *rec);
void live_census_answer(struct live *live, uint32_t index, const struct frame *frames,
			uint32_t count, enum stack_end end, const char *detail, const char *kernel);

/* live_census_tick.c */
/* A thread has this slot: its polls are seen by probes from now on. */
void live_census_slot(struct live *live, const struct wire_slot *slot);
/* The thread runs the root future of a runtime, and polls no task. */
bool live_census_root(struct live *live, const struct wire_slot *slot);
/* Such a thread sleeps as it did when it was looked at, and was never seen to leave the CPU; NULL: no. */
const struct wire_look *live_census_sleeps(struct live *live, const struct wire_slot *slot);
/* The runtime whose root future such a thread runs; ID_NONE: there are several, or none is known. */
uint32_t live_census_runtime(const struct live *live, uint32_t target);
/* Adds what the census knows to the counts of threads of each runtime; before they are judged. */
void live_census_count(struct live *live, struct emit *emit);
int live_census(struct live *live, struct emit *emit, bool all, bool *open);

/* live_sentinel.c: polls without a probe. */
void live_sentinel_open(struct live *live);
void live_sentinel_close(struct live *live);
void live_sentinel_forget(struct live *live, uint32_t target);
int live_sentinel_tick(struct live *live, struct emit *emit);
/* A block that is over, inside a poll of a task of which the id is known. */
int live_sentinel_block(struct live *live, struct emit *emit, const struct wire_long_poll *rec);
/* Its stack; fills in what is known of the task. -ENOENT: it is of no poll. */
int live_sentinel_stack(struct live *live, struct emit *emit, struct wire_stack *rec);
/* The site by the frames of such a stack, told to the blocks that waited for it; ID_NONE: none. */
uint32_t live_sentinel_frames(struct live *live, struct emit *emit, uint32_t target, uint64_t id,
			      const struct frame *frames, uint32_t count);
/* A thread that was on a CPU, as it was then. */
void live_sentinel_moment(struct live *live, const struct wire_moment *rec);
int live_sentinel_open_block(struct live *live, struct emit *emit, uint32_t index,
			     const struct wire_slot *slot, bool *open);
int live_sentinel_open_span(struct live *live, struct emit *emit, uint32_t index,
			    const struct wire_slot *slot, bool *open);
enum sentinel_sees live_sentinel_sees(const struct live *live);

/* live_dump.c: the stack of every thread that works for a runtime, as of the look. */
int live_dump_look(struct live *live);
/* Until the stacks are there, or a second has passed. */
int live_dump_wait(struct live *live, struct emit *emit);
int live_dump_stacks(struct live *live, struct emit *emit);
/* live_spawn.c */
/* Takes over what the plan says of spawns. */
void live_spawn_plan(struct live *live, struct live_binary *binary, const struct plan *plan);
/* Why it cannot be told where tasks of a type are spawned, for people; NULL: it can. */
const char *live_spawn_why(const struct live *live, const struct live_site *site);
/* The first window, before the target goes on; a failure is told by the first tick. */
void live_spawn_begin(struct live *live, uint32_t target, uint64_t now);
int live_spawn_tick(struct live *live, struct emit *emit);
/* The window of a target is over. */
void live_spawn_close(struct live *live, uint32_t target);
/* The binary, or its target, is gone. */
void live_spawn_detach(struct live_binary *binary);
/* Tells the place of its spawn that a task holds at `location`. */
int live_spawn_place(struct live *live, struct emit *emit, uint32_t site, uint64_t location);

/* live_tasks.c */
/* What was counted of a site on all CPUs; how many polls have a length. */
uint64_t live_site_sum(const struct live *live, uint32_t site, struct wire_site_stats *sum);
int live_site_stats(struct live *live, struct emit *emit);
/*
 * The next slice of the scan of the task table; `begin`: also the first of a new one, when it is
 * due. Large tables are read less often, so that the agent's share stays small. `all`: the table from
 * its beginning to its end.
 */
int live_task_scan(struct live *live, struct emit *emit, bool begin, bool all);

/* Tasks of the site are followed again, after a time in which they were not. */
void live_tasks_again(struct live *live, uint32_t site, uint64_t now);
/* No task is followed any more. */
void live_tasks_stop(struct live *live);

/* The task of this row is followed. */
bool live_row_watched(const struct live *live, const struct wire_task *row);
/* What a task's state word says. */
void live_task_state(struct ev_task *task, const struct runtime_state *state);

/* live_waits.c: what tasks that are idle are queued at, by their memory. */
/* By its state it is idle. */
bool live_task_waits(const struct runtime_state *state);
/* Looks at the next tasks of the scan that begins, a bounded number of them. */
void live_waits(struct live *live, uint64_t now);
void live_wait_tell(const struct runtime_wait *wait, struct ev_task *out);
/* Of one task that has no row. */
void live_wait_of(const struct live *live, uint32_t site, uint64_t header, struct ev_task *out);

/* live_owned.c: tasks of the runtimes' own lists, but those in `sent`, by (header, target). */
int live_owned_tasks(struct live *live, struct emit *emit, struct map *sent);

/* live_channels.c: channels without a bound, found in the memory of tasks. */
int live_channels(struct live *live, struct emit *emit, bool slow);
/* The target's memory is another program's, or gone. */
void live_channels_forget(struct live *live, uint32_t target);
void live_channels_free(struct live *live);

/* live_ready.c */
int live_ready(struct live *live, struct emit *emit);

/* live_usdt.c */
int live_usdt_attach(struct live *live, struct live_binary *binary, struct err *err);
/* Announces the task types that were met since the last call. */
int live_usdt_look(struct live *live, struct emit *emit);
/* Queue depths that its probes told last, `each` with room for WIRE_DEPTHS; false: none. */
bool live_usdt_depths(const struct live *live, const struct live_runtime *runtime,
		      struct ev_queues *out, uint32_t *each);
/* Its probes are detached: what it had is for others. Announce what it has met before. */
void live_usdt_release(struct live *live, struct live_binary *binary);
void live_usdt_close(struct live *live);
bool live_is_usdt(const struct live *live, uint32_t site);
/*
 * The state of a task as its probes have told it, in place of a word of its header: until its first
 * poll it is known that it waits for that; from then on, at level 3, whether it was woken.
 */
uint64_t live_usdt_state(const struct live *live, const struct wire_task *row, uint32_t index);
/* What the probes have told of a task: there is no header to read. */
void live_usdt_check(const struct live *live, const struct wire_task *row, uint32_t index,
		     struct row_check *check);

/* live_cost.c */
int live_calibrate(struct live *live, struct err *err);
int live_cost(struct live *live, struct emit *emit);

/* live_budget.c: the overhead budget, enforced. */
bool live_budgeted(const struct live_opts *opts);
void live_budget_open(struct live *live, uint32_t target);
/* The program of a target is gone: its probes are, too. */
void live_budget_forget(struct live *live, uint32_t target);
/* How long the level, or --exact, has been less than what was asked for. */
uint64_t live_lowered_ns(const struct live *live, uint64_t now);
int live_budget_tick(struct live *live, struct emit *emit);
/* Types of it have no probe, all the time or but for moments. */
bool live_budget_samples(const struct live *live, uint32_t target);
/* Right now: the end of a poll may pass unseen. */
bool live_budget_blind(const struct live *live, uint32_t target);
void live_budget_cost(const struct live *live, uint64_t now, struct ev_cost *cost);

/* live_overhead.c: --overhead-check. */
/* What it has come to so far; nothing where it was not asked for. */
int live_overhead_tell(struct live *live, struct emit *emit, uint32_t target);

/* live_sample.c */
/* It is probed for moments only. */
bool live_sampled(const struct live *live, uint32_t site);
/*
 * From what was counted to what is told of a site that is, or was, sampled; others are left alone.
 * `unsized`: polls that are in none of the sums.
 */
void live_sample_scale(struct live *live, uint32_t site, uint64_t now, struct ev_site_stats *stats,
		       uint64_t *hist, uint64_t unsized);

/* live_attach.c */
int live_attach_object(struct live *live, uint32_t target, const struct watch_object *object,
		       struct err *err);
/* Of a binary; not of spawns. */
bool live_wanted(const struct live *live, enum plan_program program);
/* Puts its probes of one program in, unless they are; what that cost is added. */
int live_attach_program(struct live *live, struct live_binary *binary, enum plan_program program,
			uint64_t *cost, struct err *err);
/* All that are wanted at the level in force. */
int live_attach_again(struct live *live, struct live_binary *binary, uint64_t *cost,
		      struct err *err);
/* -ENOTSUP: --exact, and none of the binaries found so far can be probed so. */
int live_exact_possible(const struct live *live, struct err *err);
int live_look(struct live *live, struct emit *emit, uint32_t target);
int live_look_notes(struct live *live, struct emit *emit, uint32_t target);
/* Debug files that came, or did not. */
int live_fetch_notes(struct live *live, struct emit *emit);
int live_announce(struct live *live, struct emit *emit);
int live_announce_site(struct live *live, struct emit *emit, uint32_t id);
int live_check_sites(struct live *live, struct emit *emit);
int live_exec(struct live *live, struct emit *emit, uint32_t target);
/* Before targets are detached one after another: their keepers do it at the same time. */
void live_detach_begin(struct live *live);
void live_detach_target(struct live *live, uint32_t target);
/* Whether the path, sanitised, is that of the binary. */
bool live_binary_is(const struct live_binary *binary, const char *path);

#endif
