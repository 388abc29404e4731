/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One watched process before and without any kernel part: the process, its objects that carry a
 * runtime, and the task types found in them. `list`, `doctor` and --dry-run need no more than this.
 */
#ifndef ATTACH_WATCH_H
#define ATTACH_WATCH_H

#include "attach/plan.h"
#include "detect/detect.h"
#include "runtime/runtime.h"
#include "target/memory.h"
#include "target/proc.h"

/* An object with a runtime in it; one with several comes once for each. */
struct watch_object {
	struct object *object;
	struct runtime_found found;
	bool borrowed; /* one before it owns the object */
	bool gone;     /* it is mapped no more; kept, for others have its address */
};

/* A look at the objects that were not there before, while it lasts. */
struct watch_look {
	bool running, asked; /* the detector has objects[next] */
	struct object **objects;
	size_t count, next;
	size_t added;
	bool unsupported;
	struct err reason; /* why */
};

struct watch {
	struct proc *proc;
	struct memory memory;
	struct detector *detector; /* borrowed */
	struct watch_look look;
	char **notes; /* about objects that could not be looked at as they should */
	size_t notes_count, notes_cap;
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
int watch_open(pid_t pid, struct detector *detector, struct watch **out, struct err *err);
void watch_free(struct watch *watch);

/*
 * Looks at objects that were not there before and adds those that carry a runtime; *added says how
 * many entries. An object in which a runtime was seen but no task type yet (its loader may not have run)
 * is looked at again by the next call. -ENOTSUP: nothing found that can be watched, and `err`
 * names a runtime of an unsupported version or a foreign program; 0 also when nothing was found.
 */
int watch_scan(struct watch *watch, size_t *added, struct err *err);
/*
 * The same without waiting: -EINPROGRESS until it is done; to be called again when the detector's
 * descriptor is readable.
 */
int watch_scan_step(struct watch *watch, size_t *added, struct err *err);
/*
 * Marks what is not mapped any more (dlclose), and returns how many that are; should such an object come
 * back, it is a new one.
 */
size_t watch_mark_gone(struct watch *watch);
/* Ends a look that is not done. */
void watch_scan_stop(struct watch *watch);

/* What was noted, once each: freed by the caller; NULL: nothing more. */
char *watch_take_note(struct watch *watch);

/* How many workers a runtime has, with nothing attached; -1 and `err`: not known. */
int64_t watch_workers(const struct watch *watch, const struct watch_object *object,
		      struct err *err);

/* Forgets all objects, after an exec. */
void watch_reset(struct watch *watch);

#endif
