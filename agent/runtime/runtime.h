/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A runtime back end: how to find one async runtime in a mapped object, what to probe, and what its
 * tasks and queues say from outside.
 *
 * A back end is one const struct runtime_ops, listed in registry.c: three functions and a table.
 * It reads the object (file and live memory) and returns data: the task types found, each with the
 * addresses that the probes need and the words of a task's header. It attaches nothing. Nobody
 * right of this folder knows a runtime by name.
 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "bpf/wire.h"
#include "core/event.h"
#include "runtime/channel.h"
#include "runtime/mark.h"
#include "target/insn.h"
#include "target/memory.h"
#include "target/object.h"
#include "util/err.h"

/* Whether it can be known where the tasks of a type are spawned, and if not, why. */
enum spawns_known { SPAWNS_KNOWN, SPAWNS_NO_SYMBOL, SPAWNS_STRIPPED };

/*
 * One task type of one binary. Strings are owned by the struct runtime_found. It travels from the
 * process that finds it: detect/answer.c checks every field.
 */
struct runtime_site {
	uint64_t vtable;		  /* run-time address */
	uint64_t poll, dealloc, schedule; /* link-time addresses of the functions */
	/* Words of the task header; WIRE_NO_WORD: it has none. */
	uint8_t id_word, sched_word, vtable_word, state_word;
	uint32_t size;	    /* bytes of one task that are read, 0 unknown */
	uint32_t allocated; /* that one takes, as its allocator is asked for them; 0 unknown */
	enum site_kind kind;
	enum runtime_flavor flavor; /* by the name of the scheduler type */
	char *name, *scheduler;	    /* scheduler NULL when unknown */
	char *location;		    /* where the program itself says one; NULL */
	enum site_name_from name_from;
	bool ambiguous;
	uint8_t spawn_word; /* word of the header that points to the place of the spawn; 0: none */
	enum spawns_known spawns;
	bool marked; /* its marks are all there are */
};

#define RUNTIME_ANY UINT32_MAX
#define RUNTIME_PANIC (UINT32_MAX - 1)
#define RUNTIME_MAX_SPAWNS 65536
#define RUNTIME_MAX_MARKS 65536
#define RUNTIME_POOLS 8

/* A function that makes tasks, or is handed each new one. */
struct runtime_spawn {
	uint64_t function; /* link-time address */
	/*
	 * Index of the one task type that it makes; RUNTIME_ANY: it is given the header of the new
	 * task as its second argument (its third where the first is a place for the result).
	 * RUNTIME_PANIC: it makes none, but each panic goes through it.
	 */
	uint32_t site;
};

/* A static probe of a runtime that tells of itself (family WIRE_USDT). */
struct runtime_probe {
	char *name;
	enum wire_probe probe;
	uint8_t level;	    /* from which on it is attached */
	uint64_t pc;	    /* link-time address */
	uint64_t function;  /* where its function begins, by a symbol; 0: not known */
	uint64_t semaphore; /* offset in the file; 0: it has none */
	enum insn_class class;
	bool has_args; /* the arguments are not all where a call would have them */
	struct wire_args args;
	char *refused; /* why it cannot be probed; NULL */
};

struct runtime_found {
	const struct runtime_ops *ops;
	char name[32];	  /* as shown: "smol"; "" the back end's own */
	char version[32]; /* "" unknown */
	int16_t *offsets; /* where its counters are, as its back end numbers them; NULL unknown */
	size_t offsets_count;
	struct runtime_site *sites;
	size_t sites_count;
	struct runtime_probe *probes;
	size_t probes_count;
	struct runtime_spawn *spawns;
	size_t spawns_count;
	struct runtime_mark *marks; /* by debug information; in order of their sites */
	size_t marks_count;
	bool types_later; /* its task types are met while it runs: `sites` is empty */
	/* Static probes of its tasks that others made (tokio-dtrace): left alone, the vtables tell more. */
	uint32_t probes_of_others;
	/* Link-time addresses at which a thread pool of the whole process may be; 0 ends them. */
	uint64_t pools[RUNTIME_POOLS];
};

/* What the state word in a task's header says. */
struct runtime_state {
	bool running, ready, complete, cancelled, has_handle;
	uint32_t refs;
	enum task_wakers wakers;
};

#define RUNTIME_HOLDS 2

/* What a task that is idle has to do with its runtime's locks. */
struct runtime_wait {
	uint64_t semaphore;	      /* the address of that in whose queue it is; 0: none */
	uint64_t permits;	      /* that it still lacks */
	uint64_t held[RUNTIME_HOLDS]; /* of which it has permits, by its type's marks; 0: none */
	bool held_known;	      /* these are all */
};

struct runtime_depth {
	uint64_t value; /* meaningless unless known */
	bool known;
	const char *why; /* when not known: a constant string; else NULL */
};

/* The queues of one runtime instance. */
struct runtime_depths {
	enum runtime_flavor flavour;
	uint32_t workers; /* entries of local; 1 for current-thread and LocalSet */
	bool closed;	  /* shutting down, or shut down and kept by a handle: takes no new task */
	bool pool_of_process; /* its blocking pool is that of all runtimes of this back end */
	struct runtime_depth
		inject; /* tasks in the queue shared by all workers (or woken remotely) */
	struct runtime_depth tasks;   /* spawned and not yet complete */
	struct runtime_depth threads; /* of the blocking pool, workers not counted */
	struct runtime_depth idle_threads;
	struct runtime_depth blocking; /* jobs that wait for a thread of the blocking pool */
	struct runtime_depth taken;    /* left the workers' own run queues so far, modulo 2^32 */
	struct runtime_depth *local;   /* run queue of each worker, its LIFO slot not counted */
};

/* The runtime instance whose queues are wanted. */
struct runtime_query {
	const struct memory *memory; /* of the process; must outlive the queues */
	const struct object *object;
	const struct runtime_found *found;
	uint64_t handle;
	const struct runtime_site *site; /* of a task of it, at `header`; NULL and 0: none known */
	uint64_t header;
	uint32_t process_threads; /* threads of the process now; 0 not known */
};

/* Queue depths from outside: no probe, nothing stopped. */
struct runtime_queue_ops {
	/* err says why the depths are not known. */
	int (*open)(const struct runtime_query *query, void **queues, struct err *err);
	/* The result is valid until the next call. */
	int (*sample)(void *queues, const struct runtime_depths **out, struct err *err);
	void (*close)(void *queues);
	/*
	 * The first task of each list of the tasks that the runtime owns (0: empty), as of the last
	 * sample; for free(3). The links to the next and the one before lie behind a task's `size`
	 * bytes. -ENOENT: they are not known. NULL: the runtime has none.
	 */
	int (*lists)(void *queues, uint64_t **heads, size_t *count);
};

struct runtime_ops {
	const char *name;   /* "tokio" */
	const char *wanted; /* what is recognised, for a person: "Tokio 1.24 or newer" */
	enum wire_family family;
	bool wakes_handed_over; /* a waker does not call `schedule`, but what that calls with a task */
	/*
	 * Runs in a process without rights (detect/): it can read the object's file and memory, open
	 * nothing, and what it returns is checked by detect/answer.c before anybody believes it.
	 *
	 * 0 and `out` filled; -ENOENT: this runtime is not in the object; -EAGAIN: it is, but no
	 * task type could be seen (not relocated yet): ask again later; -ENOTSUP: it is, but a
	 * version that cannot be watched (err says which and what is supported).
	 */
	int (*detect)(struct object *object, struct runtime_found *out, struct err *err);
	void (*state)(uint64_t word, struct runtime_state *out);
	/*
	 * What the names of its workers, and of no other threads, are, as the kernel keeps names (15
	 * bytes), before a number if they have one; NULL: they are not told by it. The op may be NULL.
	 */
	const char *(*worker_names)(const struct runtime_found *found);
	/*
	 * How many workers its runtimes in the object's process have, as configured, read from memory
	 * with nothing attached; -1 and `err`: not known. NULL: they are told by their names.
	 */
	int64_t (*workers)(const struct runtime_found *found, const struct object *object,
			   struct err *err);
	const struct runtime_queue_ops *queues;	    /* NULL: depths are not known */
	const struct runtime_channel_ops *channels; /* between its tasks; NULL: not known */
	/*
	 * What a task that is idle is queued at, by its memory: `count` words from its header. -ENOENT:
	 * at nothing that is proven. The op may be NULL.
	 */
	int (*wait)(const struct memory *memory, uint64_t header, const uint64_t *words,
		    size_t count, struct runtime_wait *out);
};

extern const struct runtime_ops *const runtimes[];
extern const size_t runtimes_count;

/* The marks of one of its sites. */
const struct runtime_mark *runtime_site_marks(const struct runtime_found *found,
					      const struct runtime_site *site, size_t *count);
void runtime_found_clear(struct runtime_found *found);
/* As shown: the runtime that the program uses rather than the back end that saw it. */
const char *runtime_found_name(const struct runtime_found *found);
/* "7 task types", or that they are not known yet. */
const char *runtime_found_types(const struct runtime_found *found, char *buf, size_t size);
/* Workers of the object's process, without a probe; -1 and `err`: not known. */
int64_t runtime_found_workers(const struct runtime_found *found, const struct object *object,
			      struct err *err);
/* "Tokio 1.24 or newer, ...": what is recognised, for a person. */
const char *runtimes_wanted(char *buf, size_t size);

/*
 * Whether a header's words are those of the living task `id` of this site (id 0: of any). A header
 * is read in words from its start, at least WIRE_HEADER_READ + 1 of them.
 */
bool runtime_header_is(const struct runtime_found *found, const struct runtime_site *site,
		       const uint64_t *words, uint64_t header, uint64_t id);

#endif
