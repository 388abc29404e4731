/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Separate debug files from the servers of DEBUGINFOD_URLS, only when the user asks for it.
 *
 * libdebuginfod waits for the network, so a child of its own does it: it keeps its user, for the
 * cache that all clients of debuginfod share, but no capability. It loads the library itself;
 * nobody else pays for that, or needs it. One file at a time, at most DEBUGINFOD_MS each; each
 * build-id is asked for once. What comes back is an open file that is as hostile as the binary.
 */
#ifndef TARGET_DEBUGINFOD_H
#define TARGET_DEBUGINFOD_H

#include "util/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DEBUGINFOD_MS 30000
#define DEBUGINFOD_FILES 512 /* asked for in one run; there are no more */

/* Whether this process was started to be that child, and what it then does; an exit code. */
bool debuginfod_child_wanted(int argc, char **argv);
int debuginfod_child_main(void);

struct debuginfod;

/* -EINVAL: DEBUGINFOD_URLS names no server. */
int debuginfod_open(struct debuginfod **out, struct err *err);
void debuginfod_close(struct debuginfod *d);

/*
 * The debug file of that build-id (hex), which belongs to the binary `name`: a descriptor of the
 * caller's; -EINPROGRESS: asked for, ask again later; -ENOENT: there is none.
 */
int debuginfod_get(struct debuginfod *d, const char *build_id, const char *name);

/* Readable when debuginfod_step() has something to do. */
int debuginfod_fd(const struct debuginfod *d);
void debuginfod_step(struct debuginfod *d);
/* Grows with each file that came, or did not. */
uint32_t debuginfod_answers(const struct debuginfod *d);

/* How each ended, once: freed by the caller; NULL: nothing more. */
char *debuginfod_take_note(struct debuginfod *d, bool *failed);

#endif
