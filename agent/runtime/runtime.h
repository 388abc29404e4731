/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A runtime back end: how to find one async runtime in a mapped object, and what to probe.
 *
 * A back end is one file with one const struct runtime_ops, listed in registry.c. It reads the
 * object (file and live memory) and returns data: the task types found, each with the addresses
 * that the probes need. It attaches nothing.
 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "core/event.h"
#include "target/object.h"
#include "util/err.h"

/* One task type of one binary. Strings are owned by the struct runtime_found. */
struct runtime_site {
	uint64_t vtable;		  /* run-time address */
	uint64_t poll, dealloc, schedule; /* link-time addresses of the functions */
	uint8_t id_word;		  /* word of the task header that holds the task's id */
	uint8_t sched_word;		  /* and the scheduler handle */
	uint32_t size;			  /* bytes of one task in memory, 0 unknown */
	enum site_kind kind;
	enum runtime_flavor flavor; /* by the name of the scheduler type */
	char *name, *scheduler;	    /* scheduler NULL when unknown */
	enum site_name_from name_from;
	bool ambiguous;
};

struct runtime_found {
	const struct runtime_ops *ops;
	char version[32]; /* "" unknown */
	struct runtime_site *sites;
	size_t sites_count;
};

struct runtime_ops {
	const char *name; /* "tokio" */
	/*
	 * 0 and `out` filled; -ENOENT: this runtime is not in the object; -EAGAIN: it is, but no
	 * task type could be seen (not relocated yet): ask again later; -ENOTSUP: it is, but a
	 * version that cannot be watched (err says which and what is supported).
	 */
	int (*detect)(struct object *object, struct runtime_found *out, struct err *err);
};

extern const struct runtime_ops *const runtimes[];
extern const size_t runtimes_count;

void runtime_found_clear(struct runtime_found *found);

#endif
