/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model: what is known about the watched processes, built from events and nothing else.
 *
 * model_apply() is the only mutator; rules and sinks read a const struct model. No clock, no file,
 * no terminal here: the same events give the same model, byte for byte. Everything reachable from
 * struct model belongs to it and stays valid until the next model_apply().
 *
 * Units: _ns nanoseconds, _bytes bytes, _ratio 0..1. UINT32_MAX (ID_NONE) means "none" for ids,
 * -1 means "not known" for signed depths; unknown is never 0.
 *
 * Memory has a ceiling (MODEL_MAX_*): beyond it rows are not kept, but totals stay right and
 * `*_dropped` says how many.
 *
 * targets, binaries, runtimes and sites are indexed by their id. An id that was not announced yet
 * leaves a hole: an element whose `id` is ID_NONE and the rest 0. The accessors below skip holes.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "bpf/wire.h"
#include "core/event.h"

#define MODEL_MAX_TARGETS WIRE_MAX_TARGETS
#define MODEL_MAX_BINARIES 4096
#define MODEL_MAX_RUNTIMES 4096
#define MODEL_MAX_SITES WIRE_MAX_SITES
#define MODEL_MAX_WORKERS WIRE_MAX_SLOTS
#define MODEL_MAX_TASKS 200000
#define MODEL_MAX_SITE_SERIES 16384	  /* sites with a history; 5 KiB each */
#define MODEL_POLLS 4096		  /* closed long polls kept, a ring */
#define MODEL_READY 512			  /* ready observations kept since the last tick */
#define SITE_STACKS 8			  /* different stacks kept of a site */
#define MODEL_MAX_STACK_BYTES (64u << 20) /* of all frames kept, their strings included */
#define MODEL_MAX_BACKLOGS 256		  /* unbounded channels in which messages wait */
#define SERIES_LEN 64			  /* seconds of history kept by a series */

/*
 * One value a second for the last SERIES_LEN seconds. at(0) is the newest complete second.
 * `count` says how many are there, at most SERIES_LEN.
 */
struct series {
	uint64_t v[SERIES_LEN];
	uint32_t head, count;
};

uint64_t series_at(const struct series *s, uint32_t seconds_ago);
/* Newest minus the value `seconds` ago, as a rate a second; 0 when there is too little history. */
double series_rate(const struct series *s, uint32_t seconds);

/* Counters of bpf/wire.h's hist_bucket(). */
struct hist {
	uint64_t count;
	uint64_t bucket[HIST_BUCKETS];
};

/*
 * The value below which a share q (0..1) lies: upper edge of its bucket; 0 when empty. The last
 * bucket has no upper edge: its lower one, 34 s, then stands for "at least".
 */
uint64_t hist_quantile(const struct hist *h, double q);
/* The same, where the longest one is known: the edge of the last bucket lies beyond it. 0: it is not. */
uint64_t hist_quantile_within(const struct hist *h, uint64_t max, double q);
/* [low, high) of a bucket. */
void hist_edges(uint32_t bucket, uint64_t *low_ns, uint64_t *high_ns);

/* An exec ends a target; when it is announced again, with the same id, it begins anew. */
struct target {
	uint32_t id;
	uint32_t pid;
	uint64_t start_time;
	char *comm, *exe, *build_id; /* build_id NULL when there is none */
	uint32_t cpus;
	bool ended;
	enum target_end_reason end_reason;
	int32_t end_status;
	uint64_t begin_ns, end_ns;
	bool channels_seen;
	struct ev_channel_scan channels; /* latest; reason owned by the model */
	bool overhead_seen;
	struct ev_overhead overhead; /* latest; likewise */
};

struct binary {
	uint32_t id, target;
	char *path, *build_id, *runtime, *version; /* version NULL when unknown */
	uint32_t task_types;			   /* as in ev_binary: see binary_task_types() */
};

#define RUNTIME_VICTIMS 8 /* task types; of more, those that waited longest */

/*
 * Tasks of one type that waited, ready, while every worker was held. Seen from outside: a lower
 * bound in every number, and of many tasks a sample.
 */
struct victim {
	uint32_t site;
	uint32_t tasks;	   /* different ones */
	uint64_t worst_ns; /* longest wait, */
	uint64_t task_id;  /* and whose it was; 0: its runtime gives no ids */
	uint64_t last_ns;
};

struct runtime {
	uint32_t id, target, binary;
	enum runtime_flavor flavor;
	uint64_t handle;
	int32_t workers;       /* configured, -1 unknown */
	uint32_t workers_seen; /* threads that polled for it */
	bool queues_seen;
	struct ev_queues queues; /* latest; strings and local_each owned by the model */
	uint32_t held;		 /* worker threads in a poll now */
	uint64_t
		ready_worst_ns; /* longest wait of a ready task seen in the last 5 s, lower bound */
	uint32_t ready_seen;	/* tasks that waited >= 5 ms seen in the last 5 s */
	struct series inject, local, alive;	/* empty while the depth is not known */
	struct victim victims[RUNTIME_VICTIMS]; /* of the last 5 s, no order */
	uint32_t victims_count;
	struct ready_window *window; /* private to runtime.c */
};

/*
 * Where polls of a site block or compute, and where its tasks are spawned: stacks of one kind with the same culprit and the same
 * call below it are one row. Frames are those of the longest.
 */
struct site_stack {
	enum stack_kind kind;
	uint64_t count;		     /* blocks, or samples */
	uint64_t total_ns, worst_ns; /* of their spans; see struct ev_stack */
	uint64_t first_ns, last_ns;  /* when the first and the last one came */
	uint32_t tid;
	int32_t syscall;
	char *detail; /* NULL */
	enum stack_end end;
	struct frame *frames; /* innermost first, followed by their strings; owned */
	uint32_t frames_count;
	char **kernel; /* its functions below the block, likewise; NULL: not known */
	uint32_t kernel_count;
	int32_t kernel_main; /* the one that says what was waited for; -1 */
	bool kernel_fault;   /* it was there for a page of memory */
	/*
	 * The frame to blame: the first user frame, seen from the innermost, within the task's poll;
	 * where none is known as such, the outermost frame of the poll. Of a spawn: the first user
	 * frame, else that of a library, within the poll that spawns if it is one. -1: none.
	 */
	int32_t culprit;
	int32_t call; /* what the culprit called: the frame just inside it; -1 none */
	/* Of a spawn: the task type whose poll spawns; ID_NONE not known, or none. */
	uint32_t spawner;

	enum lock_kind lock_kind; /* of the block, as in struct ev_stack */
	uint32_t lock_owner, lock_seen;
	uint64_t lock_addr;
	enum lock_found lock_found;
	uint32_t lock_site;
	uint64_t lock_task;

	uint64_t key; /* of kind, culprit and call: the same for as long as there is such a row */
	/* The rest is private to stack.c. */
	size_t bytes;		/* of frames */
	struct told_block last; /* the stack that came last */
};

/* The latest block in a lock that tasks which wait seem to hold. */
struct held_wait {
	uint64_t last_ns; /* 0: there was none */
	struct told_block told;
	enum lock_kind kind;
	uint32_t holder; /* their type */
	uint64_t task;	 /* the only one; 0 */
};

struct site_stacks {
	struct held_wait held;
	struct site_stack list[SITE_STACKS]; /* no order */
	uint32_t count;
	uint64_t taken[STACK_KINDS]; /* stacks that came, evicted ones included */
	uint64_t evicted;	     /* rows that made room */
};

struct site {
	uint32_t id, target, binary;
	enum site_kind kind;
	char *name, *scheduler, *location; /* location NULL when unknown */
	enum site_name_from name_from;
	bool ambiguous;
	bool by_stacks; /* as in ev_site */
	uint32_t size_bytes;
	uint64_t offset, body;
	char *no_spawns; /* why it is not known where its tasks are spawned; NULL: it is looked at */

	/* Cumulative since the watch began. */
	uint64_t polls, busy_ns, blocked_ns, preempted_ns, max_ns;
	uint64_t seen, ended;
	bool tasks_valid, sampled;
	bool tasks_gap; /* as in ev_site_stats */
	uint32_t error; /* as in ev_site_stats */
	struct hist hist;
	bool delays_valid; /* level 3: from wake to poll */
	struct hist delay;
	uint64_t delay_max_ns;
	uint64_t moved, cancelled; /* valid with tasks_valid */
	bool self_valid;
	uint64_t self;
	bool samples_valid;
	uint64_t samples, refcounts;
	bool panics_valid;
	uint64_t panics, panics_lost;

	/* From the last task scan: rows of this site. */
	uint32_t live; /* tasks alive among those seen */
	uint32_t live_peak;
	uint32_t idle, ready, running;
	uint32_t completed_held;	   /* complete, still allocated, JoinHandle exists */
	uint64_t completed_held_oldest_ns; /* age of the oldest of them: since its last poll */
	uint32_t detached;		   /* alive, no JoinHandle */
	uint64_t idle_oldest_ns;	   /* longest time since its last poll */
	bool wakers_known;		   /* of some task; then the next two hold */
	uint32_t stranded;		   /* idle, with no waker left */
	uint32_t stranded_missed;	   /* of these, awaited by somebody, or woken before */
	uint64_t stranded_oldest_ns;	   /* longest time since the last poll of one */

	/* A value a second; allocated at the first activity, NULL before. */
	struct site_series {
		struct series polls, busy_ns, seen, ended, live, completed_held, detached;
		struct series moved, cancelled, self, samples, refcounts, panics_lost;
	} * series;

	struct site_stacks *stacks; /* NULL: none came */
	uint32_t backlog;	    /* of its channels the deepest: its index plus one; 0: none */
};

/* An unbounded channel in which messages wait, or did. One that is not told of any more is gone. */
struct backlog {
	struct ev_channel now; /* latest; its strings are the model's */
	uint32_t target;
	uint64_t seen_ns;
	/* The least and the most that waited within each second. */
	struct series low, high;
	struct series sent, received;
	uint64_t drained; /* the most of which half and more was taken again; 0: it never was */
	/* The rest is private to backlog.c. */
	uint64_t peak;			  /* since then */
	uint64_t second_low, second_high; /* since the last full second */
};

struct worker {
	struct ev_thread now; /* comm owned by the model, never NULL */
	uint32_t target;
	bool announced;	 /* an EV_THREAD has come; else only an open poll is known */
	uint64_t now_ns; /* time of `now` */
	bool holes;	 /* not all of its polls were seen: sums since its begin tell nothing */
	bool ended;
	uint64_t ended_ns; /* with `ended` */
	bool open;	   /* a long poll is open: `poll` */
	struct ev_poll poll;
	uint64_t poll_seen_ns;	  /* when `poll` was last updated */
	uint64_t closed_start_ns; /* start of the poll that EV_POLL closed last */
	/* The latest stack of what it does now; NULL: none came. Its `last` says which poll it is of. */
	struct site_stack *stack;
	/* Cumulative values one second apart, for shares of the last seconds. */
	struct series busy, blocked, preempted, parked, searching, polls;
};

struct task {
	struct ev_task row;
	uint32_t target;
	uint32_t scan;		    /* private to task.c */
	uint64_t complete_since_ns; /* its last poll, or the first scan that saw it complete; 0 */
	uint64_t scan_ns;	    /* time of the scan that saw it last */
};

/* A long poll that has ended; seq grows by one each, so a reader knows what it has seen. */
struct long_poll {
	uint64_t seq;
	uint64_t end_ns;
	uint32_t target;
	struct ev_poll poll;
};

struct ready_wait {
	uint64_t time_ns;
	uint32_t target;
	struct ev_ready ready;
};

/* An interval in which something was lost; findings that overlap it say so. */
struct loss {
	uint64_t begin_ns, end_ns; /* end_ns: when it was noticed */
	uint64_t count;
};

struct model {
	uint64_t begin_ns, now_ns;
	uint64_t ticks;

	struct target *targets;
	uint32_t targets_count;
	struct binary *binaries;
	uint32_t binaries_count;
	struct runtime *runtimes;
	uint32_t runtimes_count;
	struct site *sites; /* index = site id */
	uint32_t sites_count;
	struct worker *workers;
	uint32_t workers_count;
	uint64_t workers_dropped;     /* threads over MODEL_MAX_WORKERS */
	uint64_t site_series_dropped; /* active sites over MODEL_MAX_SITE_SERIES */
	uint64_t stacks_dropped;      /* stacks over MODEL_MAX_STACK_BYTES: counted, not kept */

	struct task *tasks; /* dense, no order; removed by moving the last one in */
	uint32_t tasks_count;
	bool tasks_truncated; /* the source's table was full */
	uint64_t tasks_scans; /* complete ones so far: rows change with each */
	/* Of the last scan: in the queue of a semaphore; with permits of one. */
	uint32_t tasks_waiting, tasks_holding;
	uint64_t tasks_dropped; /* rows over MODEL_MAX_TASKS in the last scan */

	struct backlog *backlogs; /* no order */
	uint32_t backlogs_count;

	struct long_poll *polls;  /* ring of MODEL_POLLS, index = seq % MODEL_POLLS */
	uint64_t polls_seq;	  /* next seq */
	struct ready_wait *ready; /* since the last tick but one; ready_count of them */
	uint32_t ready_count;
	uint64_t ready_dropped; /* over MODEL_READY; ready_worst_ns and ready_seen have them */

	struct ev_cost cost; /* latest */
	struct ev_cost
		cost_begin; /* as of begin_ns: who joins in later is told what it was before */
	struct series cost_ns, target_cpu_ns, agent_cpu_ns; /* cumulative, a value a second */
	uint64_t lost;					    /* total of EV_LOST, but stacks */
	uint64_t refused;      /* events that model_apply() turned down with -EINVAL */
	struct loss loss_last; /* count 0: none yet */
	uint64_t stacks_lost, stacks_limited; /* copied in vain; not taken, being enough */

	/* Latest notes, newest last; a ring of 16. */
	struct model_note {
		uint64_t time_ns;
		enum note_severity severity;
		char text[192];
	} notes[16];
	uint32_t notes_count; /* ever; index = n % 16 */

	struct model_index *index; /* private to model.c */
};

struct model *model_new(void);
void model_free(struct model *m);

/* Applies one event. Returns 0 or -EINVAL for an event that refers to what was never announced. */
int model_apply(struct model *m, const struct event *event);

/*
 * Gives out, as events of the present moment, what somebody who begins to listen now lacks: targets,
 * binaries, runtimes, sites and the latest of their statistics, threads, cost, notes. The past
 * (series, stacks, long polls) and the tasks, which the next scan brings, are not among them.
 */
int model_announce(const struct model *m, event_fn fn, void *ctx);

/* The only task that has permits of this semaphore; NULL: none is known to, or several do. */
const struct task *model_holder(const struct model *m, uint32_t target, uint64_t semaphore);
/* The deepest unbounded channel that tasks of the site receive from, or hold; NULL: none. */
const struct backlog *model_backlog(const struct model *m, const struct site *site);
/*
 * How much more wait than before: the least of the newer half of the last `seconds` over the most
 * of the older half, so that what is emptied now and then does not grow. False: too little history.
 */
bool backlog_growth(const struct backlog *b, uint32_t seconds, double *out);

/* NULL when there is none. */
const struct site *model_site(const struct model *m, uint32_t site);
/* Task types of a binary; those met so far, where they are met while it runs. */
uint32_t binary_task_types(const struct model *m, const struct binary *b);
const struct runtime *model_runtime(const struct model *m, uint32_t runtime);
const struct target *model_target(const struct model *m, uint32_t target);
const struct worker *model_worker(const struct model *m, uint32_t target, uint32_t tid);

/*
 * The row of this kind that stands for most of the site's time (off the CPU) or samples (on it);
 * NULL: no stack came. *share, when asked for, is its part of all rows of the kind.
 */
const struct site_stack *model_stack(const struct site *site, enum stack_kind kind, double *share);
/* What makes one row matter more than another of its kind: its time, or its samples. */
uint64_t site_stack_weight(const struct site_stack *row);

/* The stack of what the worker does now; NULL: none came. */
const struct site_stack *worker_stack(const struct worker *w);

/* Share of the last `seconds` that the worker spent in each state, 0..1; false: too little history. */
struct worker_shares {
	double busy, blocked, preempted, parked, searching;
	double polls_per_second;
};
/* Of a worker that ended: its last seconds. */
bool worker_shares(const struct worker *w, uint32_t seconds, struct worker_shares *out);

/* Cost to the targets of the last `seconds`, as a share of the CPU time that they used (at least
 * a quarter of a core); negative: not known yet. */
double model_overhead_ratio(const struct model *m, uint32_t seconds);
/* Our own CPU use as a share of one core; negative: not known yet. */
double model_agent_ratio(const struct model *m, uint32_t seconds);

#endif
