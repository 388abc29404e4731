/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the task_*.c files and the dialects share and nobody else includes: evidence for the future type F
 * and the scheduler type S of one task vtable, as demangled text that is not yet readable.
 */
#ifndef RUNTIME_TASK_NAME_IMPL_H
#define RUNTIME_TASK_NAME_IMPL_H

#include "runtime/task_name.h"

#define EVIDENCE_MAX 24 /* candidates kept; identical-code folding can give hundreds */

struct text_span {
	const char *at, *end;
};

#define TASK_GLUE_TYPES 6
#define TASK_NO_ARG (-1)

/* How a runtime's own functions and types are named. Lists end with NULL. */
struct task_dialect {
	/* Rung 1: parts of the mangled name of functions.named[i], and what "::<F, ..>" or "<F" follows. */
	const struct {
		const char *mangled, *name;
	} raw[TASK_NAMED];
	int scheduler_arg;	  /* of those arguments; the future is the first */
	const char *const *dwarf; /* rung 2: names of functions with the same arguments */
	/* Rung 3: drop glue that names the future. */
	const char *v0_glue, *legacy_glue; /* parts of the mangled names */
	struct task_glue_type {
		const char *type; /* its arguments follow; NULL ends the list */
		int future_arg, scheduler_arg;
	} glue[TASK_GLUE_TYPES];
	bool glue_unique; /* such glue of one size is of one type, though it names no scheduler */
	const char *const *through; /* rung 4: the runtime's functions on the way to the user's */
	enum runtime_flavor (*flavor_of)(const char *scheduler);
	/* The kind by the types; *inner is the user's closure or future. */
	enum site_kind (*kind_of)(const char *future, const char *scheduler,
				  struct text_span *inner);
	const char *const *schedulers;	/* scheduler types by enum runtime_flavor */
	const char *blocking_scheduler; /* and that of a blocking pool */
	const char *blocking_full;	/* "...BlockingTask<%s>": the full name of its work */
};

extern const struct task_dialect tokio_dialect, async_task_dialect;

/* One (F, S) that some function of the vtable speaks for. */
struct candidate {
	char *future;
	char *scheduler;    /* NULL unknown */
	unsigned int votes; /* bit mask of the functions that speak for it */
};

struct evidence {
	struct candidate list[EVIDENCE_MAX];
	size_t n;
	uint64_t glue; /* address of the first drop glue that spoke, 0 none */
};

void evidence_add(struct evidence *e, const char *future, size_t future_len, const char *scheduler,
		  size_t scheduler_len, unsigned int vote);
void evidence_clear(struct evidence *e);

/*
 * Takes F and S from text such as "...::poll<F, S>" or "drop_in_place<...Cell<F, S>>": `args` is
 * the "<". Nothing is added when the brackets do not match or F is empty.
 */
void evidence_add_args(struct evidence *e, const char *args, int future_arg, int scheduler_arg,
		       unsigned int vote);

/* Rung 1 and 3: symbols. Each returns whether it found something. */
bool task_name_by_symbol(const struct task_dialect *d, struct elf_file *f,
			 const struct task_functions *w, struct evidence *e);
bool task_name_by_glue(const struct task_dialect *d, struct elf_file *f,
		       const struct task_functions *w, struct evidence *e);
/* Whether any symbol is such glue: without one the walks for rung 3 are in vain. */
bool task_has_glue(const struct task_dialect *d, struct elf_file *f);
/*
 * Several candidates, because their glue was folded: keeps the one whose body `poll` runs, where
 * that is certain. Returns whether it did.
 */
bool task_narrow_by_body(struct elf_file *f, uint64_t poll, struct evidence *e);
/* Rung 4: the demangled name of what poll calls. */
bool task_name_by_callee(const struct task_dialect *d, struct elf_file *f, uint64_t poll, char *out,
			 size_t size);
/* The flavour of the scheduler that `schedule` serves, from its symbol and what it calls. */
enum runtime_flavor task_flavor_by_schedule(const struct task_dialect *d, struct elf_file *f,
					    uint64_t schedule);

/* Rung 2: opaque DWARF reader of one file; NULL when there is none. */
struct task_dwarf;

struct task_dwarf *task_dwarf_open(const struct task_dialect *dialect, const struct elf_file *f,
				   unsigned int budget_ms);
void task_dwarf_free(struct task_dwarf *d);
int task_dwarf_layout(struct task_dwarf *d, struct tokio_layout *out);
/* See task_namer_marks(). */
bool task_dwarf_marks(struct task_dwarf *d, uint64_t poll, struct runtime_mark *out, size_t *count);
bool task_name_by_dwarf(struct task_dwarf *d, const struct task_functions *w, struct evidence *e);

/* Types as text (task_type.c) */

/* The user's future inside known wrappers; the whole when it is none. */
struct text_span task_unwrap(struct text_span type);
/* The "<" after a type's head; v0 may write "::<". NULL when the head is another. */
const char *type_args(struct text_span type, const char *head);
/* The n-th argument of the list that opens with the "<" at args; empty when there is none. */
struct text_span type_arg(const char *args, const char *end, unsigned int n);
bool span_find(struct text_span s, const char *text);

#endif
