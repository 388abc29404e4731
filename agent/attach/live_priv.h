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
#include "runtime/tokio_queue.h"
#include "stack/stack.h"
#include "util/map.h"

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
	bool stepped;			  /* its poll probe is single-stepped */
	uint64_t checksum;     /* of the statistics last sent: unchanged ones are not sent again */
	uint64_t offset, body; /* of poll in the file, and of what it only jumps to; 0: itself */
	uint64_t seen, alive;  /* tasks met before the present scan, and of these alive in it */
	uint64_t ended;	       /* cumulative, as of the last scan */
};

struct live_binary {
	uint32_t target;
	const struct watch_object *object; /* NULL after an exec */
	struct link_set links[PLAN_PROGRAMS];
	uint32_t first_site, sites;
	struct tokio_version version;
	struct tokio_layout *layout; /* from its debug information; NULL: none, or not tried */
	bool layout_tried;
};

struct live_target {
	struct watch *watch;
	bool ended;
	bool exec_pending;
	uint32_t generation; /* grows with each program that it runs */
	bool mapped;	     /* the unwinder knows its memory */
	uint64_t look_until; /* look for new objects at each tick until then */
	uint64_t exec_kib;   /* executable mappings when they were last looked at */
	uint64_t cpu_first, cpu_last;
};

struct live_runtime {
	uint32_t target, binary;
	uint64_t handle;
	uint64_t owner_id;	   /* of its tasks; 0 not known */
	struct tokio_queue *queue; /* NULL: depths are not known */
	char why[160];		   /* why not */
	uint32_t attempts;
	enum runtime_flavor flavor;
	int32_t workers;
	uint32_t root_site; /* stands for its root future; ID_NONE: none was seen to block */
	/* Of the present tick. */
	uint32_t threads, polling;
	uint64_t polls; /* begun on these threads */
	/* When the run queues were read last, and what was known then; 0: they were empty. */
	uint64_t queued_ns, queued_polls;
	uint32_t queued;
};

/* A task with a row, looked at from outside to see how long it stays ready. */
struct ready_probe {
	uint64_t key, id;
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
	uint64_t id;	/* of the task that the rest is about */
	uint64_t state; /* its state word when last read */
	bool valid;	/* the header was read and is this task's */
	bool gone;	/* it is no longer this task's: freed */
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

	struct live_stacks *stacks; /* NULL: there are none */
	char no_stacks[256];	    /* why, when they were wanted */
	int fd;			    /* readable when a ring or the unwinder has something */
	uint64_t ticks, begin_ns;
	bool announced;
	uint32_t announced_sites, announced_binaries;
	bool over_budget;
	uint64_t hit_ns, stepped_hit_ns; /* calibrated cost of one hit */
	struct wire_totals baseline;	 /* of the calibration: not the targets' */
	struct wire_totals last_totals;
	uint64_t last_hits;
	uint32_t calibration_slot;
	uint32_t slot_seen[WIRE_MAX_SLOTS]; /* generation of the thread that was announced */
	uint64_t agent_cpu_begin;

	struct row_check *checks; /* by row of the task table */
	size_t checks_cap;
	uint32_t check_cursor; /* where the next scan goes on reading headers */
	struct ready_probe ready[LIVE_READY_SAMPLE];
	uint32_t ready_count;
	uint32_t ready_waiting;	 /* tasks that were ready when last looked at */
	uint64_t tick_due;	 /* when the next full tick is */
	uint64_t ready_seen;	 /* rows offered to the sample in this scan */
	uint64_t task_scan_next; /* when the table is read again */
	struct emit *emit;	 /* valid while records of the ring are passed on */
	int emit_error;
};

int live_emit(struct emit *emit, enum event_kind kind, uint32_t target, struct event *event);
int live_note(struct emit *emit, uint32_t target, enum note_severity severity, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* live_runtimes.c */
uint32_t live_runtime_of(struct live *live, struct emit *emit, uint32_t target, uint32_t site,
			 uint64_t handle, uint64_t header);
int live_queues(struct live *live, struct emit *emit);
/* Whether the runtime's thread also runs the root future of block_on. */
bool live_drives_root(const struct live *live, uint32_t runtime);
/* The site that stands for the root future; announced with the first call. ID_NONE: no room. */
uint32_t live_root_site(struct live *live, struct emit *emit, uint32_t runtime);

/* live_threads.c */
int live_threads(struct live *live, struct emit *emit, bool all, bool *open);
int live_long_poll(struct live *live, struct emit *emit, const struct wire_long_poll *rec);

/* live_stacks.c */
int live_stacks_open(struct live *live, struct err *err);
void live_stacks_close(struct live *live);
int live_stacks_fd(const struct live *live);
void live_stacks_forget(struct live *live, uint32_t target);
int live_stacks_drain(struct live *live, struct emit *emit);
int live_stack(struct live *live, struct emit *emit, const struct wire_stack *rec);
int live_stack_open(struct live *live, struct emit *emit, uint32_t index,
		    const struct wire_slot *slot, const struct wire_poll *poll);

/* live_tasks.c */
int live_site_stats(struct live *live, struct emit *emit);
int live_task_scan(struct live *live, struct emit *emit);

/* live_ready.c */
int live_ready(struct live *live, struct emit *emit);

/* live_cost.c */
int live_calibrate(struct live *live, struct err *err);
int live_cost(struct live *live, struct emit *emit);

/* live_attach.c */
int live_attach_object(struct live *live, uint32_t target, const struct watch_object *object,
		       struct err *err);
int live_look(struct live *live, struct emit *emit, uint32_t target);
int live_announce(struct live *live, struct emit *emit);
int live_check_sites(struct live *live, struct emit *emit);
int live_exec(struct live *live, struct emit *emit, uint32_t target);
void live_detach_target(struct live *live, uint32_t target);

#endif
