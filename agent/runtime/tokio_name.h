/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The type name of a Tokio task, from the functions in its vtable; best rung first:
 *   1 the v0 symbol of `poll`, which carries the generic arguments       NAME_SYMBOL
 *   2 DWARF: template arguments of poll and of what is inlined there     NAME_DWARF
 *   3 drop_in_place<Cell<F, S>>, <CoreStage<F>>, <Stage<F>> that the
 *     vtable's functions reach within two direct calls or jumps          NAME_DROP_GLUE
 *   4 the first symbol outside the runtime and std that poll calls       NAME_CALLEE
 *   5 all of that from a separate debug file (build-id, .gnu_debuglink)
 *   6 "task type #7 (192 B) @ binary+0x43c80"                            NAME_NONE
 *
 * A namer belongs to one binary; it borrows the elf_file, whose symbols it loads, and owns the
 * rest. Results own their strings. Strings are readable and sanitised. Free the namer as soon as
 * the names are known: symbols of a large binary are tens of megabytes.
 */
#ifndef RUNTIME_TOKIO_NAME_H
#define RUNTIME_TOKIO_NAME_H

#include "core/event.h"
#include "target/demangle.h"
#include "target/elf.h"

/* A task vtable; functions as addresses of the file (without load bias). */
struct tokio_vtable_words {
	uint64_t poll;
	uint64_t schedule;
	uint64_t dealloc;
	uint64_t try_read_output;
	uint64_t drop_join_handle_slow;
	uint64_t drop_abort_handle;
	uint64_t shutdown;
	uint64_t trailer_offset;
	uint64_t scheduler_offset;
	uint64_t id_offset;
};

struct tokio_name {
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

struct tokio_namer;

struct tokio_namer_options {
	const char *root; /* prefix of the target's file names, "/proc/PID/root"; NULL "" */
	const char *path; /* the binary as the target sees it; NULL unknown */
	bool no_dwarf;
	unsigned int dwarf_ms; /* time for DWARF in all; 0: the default of 150 ms */
};

/* Never fails for a stripped file: rung 6 always works. */
int tokio_namer_open(struct elf_file *f, const struct tokio_namer_options *options,
		     struct tokio_namer **out, struct err *err);
void tokio_namer_free(struct tokio_namer *n);

/*
 * Optional, before the first name: looks at all vtables of the binary. Only so can it be seen
 * that two types share one piece of drop glue (the compiler merged equal code), which makes both
 * names ambiguous.
 */
void tokio_namer_learn(struct tokio_namer *n, const struct tokio_vtable_words *list, size_t count);

/* Names one task type; `index` is the number shown by rung 6. Always fills *out. */
void tokio_name_task(struct tokio_namer *n, const struct tokio_vtable_words *words,
		     unsigned int index, struct tokio_name *out);
void tokio_name_clear(struct tokio_name *name);

#endif
