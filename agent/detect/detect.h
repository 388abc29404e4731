/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds the runtime in a mapped object, in a process without rights.
 *
 * A target's ELF and DWARF are hostile input, so runtime_ops->detect() never runs here: a child
 * (jail/) gets the object's file and asks for the memory and the debug files that it wants. It
 * serves the objects of one process and ends with them. An object that breaks it is tried again
 * without debug information and then without symbols, which costs names; one that breaks that,
 * too, is given up.
 *
 * One object at a time; its owner asks detector_step() until that says that it is done. Nothing
 * here waits unless it says so.
 */
#ifndef DETECT_DETECT_H
#define DETECT_DETECT_H

#include "runtime/runtime.h"
#include "target/debuginfod.h"

#include <stdbool.h>

#define DETECT_RUNTIMES 8 /* in one object */
#define DETECT_MS 10000	  /* for one try of one object */

/* Whether this process was started to be that child, and what it then does; an exit code. */
bool detect_child_wanted(int argc, char **argv);
int detect_child_main(void);

struct detector;

/* How much of an object was of use. */
enum detect_damage {
	DETECT_SOUND,
	DETECT_NO_DEBUG, /* its debug information broke the child: fewer or worse names */
	DETECT_NO_NAMES, /* so did its symbols */
	DETECT_GIVEN_UP, /* so did the rest of it */
};

struct detect_result {
	/*
	 * 0: at least one runtime was found; else, as by runtime_ops->detect(), -EAGAIN when one of
	 * them says so, -ENOTSUP, or -ENOENT; -EINVAL, -ENOTSUP also when the file is no program for
	 * this machine, then object->elf is NULL; -EIO: given up; -EPERM: there can be no child.
	 */
	int ret;
	struct err err;
	/* When ret is 0: those that are in it, the caller's; freed by detect_result_clear(). */
	struct runtime_found found[DETECT_RUNTIMES];
	size_t count;
	enum detect_damage damage;
	uint32_t dropped; /* task types whose functions are not code of the object */
};

void detect_result_clear(struct detect_result *result);

int detector_open(struct detector **out, struct err *err);
void detector_close(struct detector *detector);
/* Debug files that are not on this machine come from there; borrowed. To be called once. */
int detector_fetch(struct detector *detector, struct debuginfod *from, struct err *err);

/*
 * Begins with an object, which is borrowed until its result, or detector_cancel(); fills
 * object->elf on the way. -EBUSY: another one is under work; -EPERM, -errno: there is no child.
 */
int detector_begin(struct detector *detector, struct object *object, bool unrelocated,
		   struct err *err);
/* True: done, and `out` is filled. Call it when detector_fd() is readable. */
bool detector_step(struct detector *detector, struct detect_result *out);
/* Waits for the next thing to do in detector_step(). */
void detector_wait(struct detector *detector);
int detector_fd(const struct detector *detector);
/* Drops the object under work if it is this one. */
void detector_cancel(struct detector *detector, const struct object *object);
/* Ends an idle child: nothing more of its process is to be looked at for now. */
void detector_rest(struct detector *detector);

/* For doctor: whether a child can be made that has no rights. */
int detector_check(struct detector *detector, struct err *err);

/* For tests: the present child, and another limit than DETECT_MS. */
pid_t detector_child(const struct detector *detector);
void detector_patience(struct detector *detector, unsigned int ms);

#endif
