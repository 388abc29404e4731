/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A mapped ELF object of a process: the file that is really mapped, and where.
 *
 * The file is opened through the process (map_files, exe, or its root), never by the path alone,
 * and its device and inode are compared with the mapping: a binary that was replaced or deleted on
 * disk gives the file that runs. `path` opens that very file again and is what the kernel is given
 * for probes. Who opens an object does not read the file: `elf` comes from object_parse(), in a
 * process without rights, or from object_adopt(), which takes over what that process has read.
 * Owns its elf_file; proc and memory outlive it.
 */
#ifndef TARGET_OBJECT_H
#define TARGET_OBJECT_H

#include "target/elf.h"
#include "target/memory.h"
#include "target/proc.h"

#define OBJECT_MAX_RANGES 64

/* How much of the file is read: what broke the one who read it is left out the next time. */
enum object_effort {
	OBJECT_ALL,
	OBJECT_NO_DEBUG, /* no debug information, no separate file */
	OBJECT_BARE,	 /* no symbols either */
	OBJECT_EFFORTS,
};

/* One mapping of the file. */
struct object_range {
	uint64_t start, end, offset;
	uint64_t executable;
};

struct object {
	const struct proc *proc;
	const struct memory *memory;
	int fd;		      /* -1: the elf_file has it */
	struct elf_file *elf; /* NULL: not yet read */
	uint64_t dev, inode;
	uint64_t bias;	  /* run-time address = vaddr + bias; known with `elf` */
	bool is_exe;	  /* the main program */
	bool unrelocated; /* its loader has not run yet: take pointers from the file */
	char *name;	  /* path as the process sees it, raw */
	char *path;	  /* under /proc, opens the mapped file */
	struct object_range ranges[OBJECT_MAX_RANGES]; /* executable ones first */
	size_t ranges_count;
	enum object_effort effort;
	/* The separate debug file, or -ENOENT; NULL: there is nobody to ask. */
	int (*open_debug)(void *ctx, const struct elf_file *file, struct elf_file **out);
	void *open_debug_ctx;
};

/* An executable file mapping that may carry a runtime, before its file is looked at. */
struct object_key {
	uint64_t dev, inode;
};

/*
 * The files that have an executable mapping, the main program first; those that cannot be opened
 * are left out (for the main program that is an error: -EACCES says the missing right). `skip`
 * lists objects known already.
 */
int objects_open(const struct proc *proc, const struct memory *memory,
		 const struct object_key *skip, size_t skip_count, struct object ***out,
		 size_t *count, struct err *err);
void object_free(struct object *object);
void objects_free(struct object **objects, size_t count);

/* Reads the program headers; -ENOTSUP names a foreign architecture, -EINVAL: no ELF file. */
int object_parse(struct object *object, struct err *err);
/* Takes over what object_parse() found elsewhere; -EINVAL: that cannot be. */
int object_adopt(struct object *object, const struct elf_image *image,
		 const struct elf_segment *loads);

/*
 * Opens the file that backs a mapping, read-only, O_CLOEXEC; -errno when it cannot be opened or is
 * another one by now. *path, freed by the caller also then, opens it again.
 */
int object_open_file(const struct proc *proc, const struct proc_map *map, char **path);
/* Whether map backs the main program. */
bool object_is_main(const struct proc *proc, const struct proc_map *map);

/* Reads at a link-time address: live memory, or the relocated file while `unrelocated`. */
int object_read(struct object *object, uint64_t vaddr, void *buf, size_t len);

/* Whether the byte of the file at a link-time address is mapped executable, where `bias` says. */
bool object_runs(const struct object *object, uint64_t vaddr);

#endif
