/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What findings say of stacks: which one stands for a finding, the words for its frames, and the
 * lines of it that people read. Text goes out as the model has it: sanitised where it came in.
 */
#ifndef RULES_STACK_H
#define RULES_STACK_H

#include "rules/rule.h"

#define STACK_FOLDED_MAX 12 /* lines of a folded stack */
#define ADVICE_TEXT 3072    /* enough for any advice */
#define FRAME_TEXT 1024	    /* bytes of a line; a longer one is cut */

/*
 * The stack that stands for the finding, NULL: none came, or its rule asks for none: of those in
 * the finding's system call, else of all, the one with most of the time (off the CPU) or samples
 * (on it). *share, when asked for, is its part of those of all stacks of its kind.
 */
const struct site_stack *finding_stack(const struct model *m, const struct finding *f,
				       double *share);

/* How many stacks of the kinds that the rule asks for were taken of the finding's task type. */
uint64_t finding_stacks(const struct model *m, const struct finding *f);

/*
 * The stack that most of the looked-at tasks of the type were spawned from, NULL: none is known.
 * *share, when asked for, is its part of them; how many there are, site->stacks->taken says.
 */
const struct site_stack *site_spawn(const struct site *site, double *share);
/* The same of the finding's task type. */
const struct site_stack *finding_spawn(const struct model *m, const struct finding *f,
				       double *share);
/* Whether messages of the rule say who spawns: {spawner}. */
bool rule_shows_spawn(const struct rule *rule);
/* Why it is not known where tasks of the type are spawned, never NULL. */
const char *site_no_spawn(const struct site *site);

/*
 * The rule's advice; before it, where the stack or the system call is one of the rule's "calls",
 * what exactly to write in its place. Returns the length.
 */
size_t finding_advice(const struct model *m, const struct finding *f, char *out, size_t size);

/*
 * The part of a source path that tells people which file it is: "src/db.rs" for
 * /home/u/shop/src/db.rs, "rusqlite-0.31.0/src/lib.rs" for a crate of a registry,
 * "library/std/src/fs.rs" for the standard library. A part of `path`.
 */
const char *path_short(const char *path);

/*
 * A function's path without generic arguments and without the trait: "std::fs::File::read" for
 * "<std::fs::File as std::io::Read>::read". What patterns of rules are compared with.
 */
void function_path(const char *function, char *out, size_t size);

/* "src/db.rs:42 in shop::load_user", "shop::load_user", "shop+0x4a2f0"; "" for NULL. */
void frame_text(const struct frame *f, char *out, size_t size);
/* "src/db.rs:42"; "" when no line is known. */
void frame_line_text(const struct frame *f, char *out, size_t size);
/* "shop::load_user", "shop+0x4a2f0"; "" for NULL. */
void frame_name(const struct frame *f, char *out, size_t size);

enum stack_line {
	STACK_LINE_FRAME,
	STACK_LINE_CULPRIT,
	STACK_LINE_FOLD, /* "... 4 frames of std" */
	STACK_LINE_END,	 /* why it goes no further */
};

typedef void stack_line_fn(void *ctx, enum stack_line kind, const char *text);

/*
 * The stack, innermost first, a call of `line` for each line. `full`: every frame; else what is
 * neither the program's, nor the culprit, nor what it called is folded, STACK_FOLDED_MAX lines at
 * most.
 */
void stack_lines(const struct site_stack *row, bool full, stack_line_fn *line, void *ctx);

/*
 * "src/db.rs:42 in shop::load_user, calling std::thread::sleep (83 % of the blocked time in this
 * type's stacks)"
 */
void stack_culprit_text(const struct site_stack *row, double share, char *out, size_t size);

/*
 * What the kernel did below a block: "futex_wait", "page fault in filemap_fault"; "" when it is not
 * known.
 */
void kernel_text(const struct site_stack *row, char *out, size_t size);
/* A call of `line` for each of its functions, innermost first. */
void kernel_lines(const struct site_stack *row, stack_line_fn *line, void *ctx);

/* Of a stack of a spawn: the frame that spawns, else "a poll of shop::accept"; as it is when neither is known. */
void spawner_text(const struct model *m, const struct site_stack *row, char *out, size_t size);
/* The same with numbers: "src/db.rs:42 in shop::load_user (83 % of 12 spawns looked at)". */
void spawn_text(const struct model *m, const struct site *site, const struct site_stack *row,
		double share, char *out, size_t size);

#endif
