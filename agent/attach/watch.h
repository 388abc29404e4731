/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One watched process before and without any kernel part: the process, its objects that carry a
 * runtime, and the task types found in them. `list`, `doctor` and --dry-run need no more than this.
 */
#ifndef ATTACH_WATCH_H
#define ATTACH_WATCH_H

#include "attach/plan.h"
#include "runtime/runtime.h"
#include "target/memory.h"
#include "target/proc.h"

/* An object with a runtime in it. */
struct watch_object {
	struct object *object;
	struct runtime_found found;
};

struct watch {
	struct proc *proc;
	struct memory memory;
	struct watch_object **objects;
	size_t count, cap;
	struct object_key *known; /* objects looked at, with or without a runtime */
	size_t known_count, known_cap;
	struct watch_unsure { /* a runtime's traces but no task type: looked at again */
		struct object_key key;
		unsigned int tries;
	} * unsure;
	size_t unsure_count, unsure_cap;
	bool unrelocated; /* stopped before its loader ran, see object.h */
};

/* -ESRCH, -EACCES, -ENOENT (kernel thread): err says it for a person. */
int watch_open(pid_t pid, struct watch **out, struct err *err);
void watch_free(struct watch *watch);

/*
 * Looks at objects that were not there before and adds those that carry a runtime; *added says how
 * many. An object in which a runtime was seen but no task type yet (its loader may not have run)
 * is looked at again by the next call. -ENOTSUP: nothing found that can be watched, and `err`
 * names a runtime of an unsupported version or a foreign program; 0 also when nothing was found.
 */
int watch_scan(struct watch *watch, size_t *added, struct err *err);

/* Forgets all objects, after an exec. */
void watch_reset(struct watch *watch);

#endif
