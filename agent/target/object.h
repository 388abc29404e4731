/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mapped ELF object of a process: the file that is really mapped, and where.
 *
 * The file is opened through the process (map_files, exe, or its root), never by the path alone,
 * and its device and inode are compared with the mapping: a binary that was replaced or deleted on
 * disk gives the file that runs. `path` opens that very file again and is what the kernel is given
 * for probes. Owns its elf_file; the proc outlives it.
 */
#ifndef TARGET_OBJECT_H
#define TARGET_OBJECT_H

#include "target/elf.h"
#include "target/memory.h"
#include "target/proc.h"

#define OBJECT_MAX_RANGES 64

struct object {
	const struct proc *proc;
	const struct memory *memory;
	struct elf_file *elf;
	uint64_t dev, inode;
	uint64_t bias;	  /* run-time address = vaddr + bias */
	bool is_exe;	  /* the main program */
	bool unrelocated; /* its loader has not run yet: take pointers from the file */
	char *name;	  /* path as the process sees it, raw */
	char *path;	  /* under /proc, opens the mapped file */
};

/* An executable file mapping that may carry a runtime, before its file is looked at. */
struct object_key {
	uint64_t dev, inode;
};

/*
 * The objects that have an executable mapping, the main program first; those whose file cannot be
 * opened or is no x86-64 ELF are left out (for the main program that is an error: -ENOTSUP names
 * the architecture, -EACCES the missing right). `skip` lists objects known already.
 */
int objects_open(const struct proc *proc, const struct memory *memory,
		 const struct object_key *skip, size_t skip_count, struct object ***out,
		 size_t *count, struct err *err);
void object_free(struct object *object);
void objects_free(struct object **objects, size_t count);

/*
 * Opens the file that backs a mapping, read-only, O_CLOEXEC; -errno when it cannot be opened or is
 * another one by now. *path, freed by the caller also then, opens it again.
 */
int object_open_file(const struct proc *proc, const struct proc_map *map, char **path);
/* Whether map backs the main program. */
bool object_is_main(const struct proc *proc, const struct proc_map *map);

/* Reads at a link-time address: live memory, or the relocated file while `unrelocated`. */
int object_read(struct object *object, uint64_t vaddr, void *buf, size_t len);

#endif
