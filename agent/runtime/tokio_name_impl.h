/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tokio_name_*.c files share and nobody else includes: evidence for the future type F
 * and the scheduler type S of one task vtable, as demangled text that is not yet readable.
 */
#ifndef RUNTIME_TOKIO_NAME_IMPL_H
#define RUNTIME_TOKIO_NAME_IMPL_H

#include "runtime/tokio_name.h"

#define EVIDENCE_MAX 24 /* candidates kept; identical-code folding can give hundreds */

struct tokio_span {
	const char *at, *end;
};

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
void evidence_add_args(struct evidence *e, const char *args, bool has_scheduler, unsigned int vote);

/* Rung 1 and 3: symbols. Each returns whether it found something. */
bool tokio_name_by_symbol(struct elf_file *f, const struct tokio_vtable_words *w,
			  struct evidence *e);
bool tokio_name_by_glue(struct elf_file *f, const struct tokio_vtable_words *w, struct evidence *e);
/* Whether any symbol is such glue: without one the walks for rung 3 are in vain. */
bool tokio_has_glue(struct elf_file *f);
/*
 * Several candidates, because their glue was folded: keeps the one whose body `poll` runs, where
 * that is certain. Returns whether it did.
 */
bool tokio_narrow_by_body(struct elf_file *f, uint64_t poll, struct evidence *e);
/* Rung 4: the demangled name of what poll calls. */
bool tokio_name_by_callee(struct elf_file *f, uint64_t poll, char *out, size_t size);
/* The flavour of the scheduler that `schedule` serves, from its symbol and what it calls. */
enum runtime_flavor tokio_flavor_by_schedule(struct elf_file *f, uint64_t schedule);

/* Rung 2: opaque DWARF reader of one file; NULL when there is none. */
struct tokio_dwarf;

struct tokio_dwarf *tokio_dwarf_open(const struct elf_file *f, unsigned int budget_ms);
void tokio_dwarf_free(struct tokio_dwarf *d);
bool tokio_name_by_dwarf(struct tokio_dwarf *d, const struct tokio_vtable_words *w,
			 struct evidence *e);

/* Types as text (tokio_type.c) */

/* Blocking-pool work, by the size of its scheduler; the worker loop too. */
bool tokio_is_blocking(const struct tokio_vtable_words *w);
/* The flavour that a scheduler type stands for. */
enum runtime_flavor tokio_flavor_of_type(const char *scheduler);
/*
 * The kind of a task by its future type, which may be followed by more text; *inner is the
 * closure inside BlockingTask<...>, else the whole text.
 */
enum site_kind tokio_kind_of_type(const char *future, struct tokio_span *inner);
/* The user's future inside known wrappers; the whole when it is none. */
struct tokio_span tokio_unwrap(struct tokio_span type);

#endif
