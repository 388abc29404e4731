/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The agent's side of what the child asks for: executable mappings of the targets, and the files
 * behind them. A file is one module however many targets map it. Owns its tables; proc and memory
 * are borrowed from whoever named the target.
 */
#ifndef STACK_SPACES_H
#define STACK_SPACES_H

#include "stack/wire.h"
#include "target/elf.h"

#define SPACES_BREAKS 2 /* a file that broke the child as often is not given to it again */

struct spaces;

struct spaces *spaces_new(void);
void spaces_free(struct spaces *spaces);

void spaces_add(struct spaces *spaces, uint32_t target, const struct proc *proc,
		const struct memory *memory);
void spaces_end(struct spaces *spaces, uint32_t target);
/* Another number for each spaces_add(); 0: no such target. */
uint32_t spaces_generation(const struct spaces *spaces, uint32_t target);

/*
 * The executable mappings, by address; read anew when that is more than a second ago. None for a
 * target that has ended. They are the spaces'.
 */
void spaces_maps(struct spaces *spaces, uint32_t target, const struct wire_map **maps,
		 uint32_t *count);

/*
 * Opens the file of a module that `target` maps: fills `what` and returns it, or -1 (also for a
 * file that broke the child too often). The caller closes it.
 */
int spaces_module(struct spaces *spaces, uint32_t target, uint32_t module,
		  struct wire_module *what);
/*
 * Opens what can be the module's separate debug file by what the child says of it; returns how
 * many of max.
 */
size_t spaces_debug(struct spaces *spaces, uint32_t target, uint32_t module,
		    const struct elf_debug_link *link, int *fds, size_t max);

/*
 * The same from debuginfod, at most one; when it is still to come, the module is opened anew after
 * the next spaces_refresh().
 */
size_t spaces_fetch(struct spaces *spaces, struct debuginfod *from, uint32_t module,
		    const struct elf_debug_link *link, int *fd);
void spaces_refresh(struct spaces *spaces);

/* The module's sanitised path, or NULL. */
const char *spaces_name(const struct spaces *spaces, uint32_t module);

/* The child broke while it worked on that module. */
void spaces_blame(struct spaces *spaces, uint32_t module);

/*
 * Modules that no target maps any more are given up: writes their indexes and those of modules to
 * be opened anew, at most WIRE_MAX_MODULES; returns how many the child has to forget.
 */
uint32_t spaces_collect(struct spaces *spaces, uint32_t *out);

#endif
