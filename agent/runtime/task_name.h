/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The type name of a task, from the functions in its vtable; best rung first:
 *   1 the v0 symbol of its poll function, with the generic arguments    NAME_SYMBOL
 *   2 DWARF: template arguments of it and of what is inlined there      NAME_DWARF
 *   3 drop_in_place<...> of a type that names the future, which the
 *     vtable's functions reach within two direct calls or jumps         NAME_DROP_GLUE
 *   4 the first symbol outside the runtime and std that it calls        NAME_CALLEE
 *   5 all of that from a separate debug file (build-id, .gnu_debuglink)
 *   6 "task type #7 (192 B) @ binary+0x43c80"                           NAME_NONE
 * What the symbols of one runtime look like is its dialect, a table.
 *
 * A namer belongs to one binary; it borrows the elf_file, whose symbols it loads, and owns the
 * rest. Results own their strings. Strings are readable and sanitised. Free the namer as soon as
 * the names are known: symbols of a large binary are tens of megabytes.
 */
#ifndef RUNTIME_TASK_NAME_H
#define RUNTIME_TASK_NAME_H

#include "core/event.h"
#include "runtime/runtime.h"
#include "target/demangle.h"
#include "target/elf.h"
#include "target/object.h"

#define TASK_NAMED 4
#define TASK_DROPS 6

/* The functions of one task type, as addresses of the file (without load bias). */
struct task_functions {
	uint64_t poll;
	uint64_t schedule;
	uint64_t named[TASK_NAMED]; /* whose v0 symbols name the types, poll first; 0: none */
	uint64_t drops[TASK_DROPS]; /* that reach drop glue, surest first; 0: none */
	uint64_t size;		    /* bytes of a task */
	bool kind_known;	    /* `blocking` is known without any name */
	bool blocking;
};

struct task_dialect;

struct task_name {
	char *name;	 /* "shop::handler": the user's future, wrappers taken off */
	char *full;	 /* the whole type; equal to name when nothing was taken off */
	char *scheduler; /* "Arc<multi_thread::handle::Handle>", NULL unknown */
	char *others;	 /* types folded to the same code, ", " between; NULL none or not known */
	enum name_form form;
	enum site_kind kind;
	enum site_name_from from;
	enum runtime_flavor flavor; /* by the scheduler type */
	bool ambiguous;		    /* equal code was folded or merged: another type is as likely */
	bool separate_debug;	    /* rung 5: a separate debug file was used */
};

struct task_namer;

struct task_namer_options {
	const struct task_dialect *dialect;
	const char *root; /* prefix of the target's file names, "/proc/PID/root"; NULL "" */
	const char *path; /* the binary as the target sees it; NULL unknown */
	/* The separate debug file, or -ENOENT; NULL: it is looked for by root and path. */
	int (*open_debug)(void *ctx, const struct elf_file *file, struct elf_file **out);
	void *open_debug_ctx;
	bool no_dwarf;	       /* debug information is not read */
	bool no_symbols;       /* symbols neither */
	unsigned int dwarf_ms; /* time for DWARF in all; 0: the default of 150 ms */
};

struct tokio_layout;

/* As far as the object may be read, with its debug file from whoever can open it. */
void task_namer_for(const struct object *object, const struct task_dialect *dialect,
		    struct task_namer_options *options);

/* Never fails for a stripped file: rung 6 always works. */
int task_namer_open(struct elf_file *f, const struct task_namer_options *options,
		    struct task_namer **out, struct err *err);
void task_namer_free(struct task_namer *n);

/*
 * Optional, before the first name: looks at all vtables of the binary. Only so can it be seen
 * that two types share one piece of drop glue (the compiler merged equal code), which makes both
 * names ambiguous.
 */
void task_namer_learn(struct task_namer *n, const struct task_functions *list, size_t count);

/* Names one task type; `index` is the number shown by rung 6. Always fills *out. */
void task_name_of(struct task_namer *n, const struct task_functions *words, unsigned int index,
		  struct task_name *out);
void task_name_clear(struct task_name *name);
/* The same into a site: name, scheduler, kind, flavor. The site owns the strings. */
void task_name_site(struct task_namer *n, const struct task_functions *words, unsigned int index,
		    struct runtime_site *site);

/* Where this build keeps its counters, by its debug information, also a separate file's; -ENOENT. */
int task_namer_layout(struct task_namer *n, struct tokio_layout *out);

/*
 * What debug information tells of the memory of the tasks that this function polls: MARKS_A_SITE at
 * most, whose texts the caller owns. False: not all that there may be.
 */
bool task_namer_marks(struct task_namer *n, uint64_t poll, struct runtime_mark *out, size_t *count);

/* Whether a demangled name ends so: "::spawn". */
bool task_name_ends(const char *name, const char *tail);

#endif
