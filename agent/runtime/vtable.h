/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds tables of function pointers by their shape: `code_words` pointers into executable text of
 * the same object, then words that a back end judges.
 *
 * Words come from live memory, where they are relocated, so RELA, RELR and static builds look
 * alike; from the relocated file only while the process's loader has not run.
 */
#ifndef RUNTIME_VTABLE_H
#define RUNTIME_VTABLE_H

#include "target/object.h"

#define VTABLE_MAX_WORDS 12
#define VTABLE_MAX_FOUND 65536		/* of one object */
#define VTABLE_MAX_BYTES (512ULL << 20) /* scanned of one object */

struct vtable {
	uint64_t addr;			  /* link-time */
	uint64_t words[VTABLE_MAX_WORDS]; /* pointers as link-time addresses */
};

struct vtable_shape {
	size_t code_words;		       /* leading pointers into text */
	size_t words;			       /* in all */
	bool (*accept)(const uint64_t *words); /* judges the words after the pointers too */
};

/* All tables of that shape, in order of address; freed by the caller. 0 or -errno. */
int vtable_scan(struct object *object, const struct vtable_shape *shape, struct vtable **out,
		size_t *count);

/*
 * Where the function of a word begins in earnest: past a jump through a pointer that the loader has
 * set for good, as fat LTO leaves one where it has merged functions. A uprobe on such a jump would be
 * single-stepped. Link-time addresses; the word itself where there is no such jump.
 */
uint64_t vtable_function(struct object *object, uint64_t word);

#endif
