/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small ELF file for the tests of target/ and runtime/: fixtures/tasks.S, assembled and linked
 * when the test starts into a folder of its own, which fixture_done() removes.
 */
#ifndef UNIT_ELF_FIXTURE_H
#define UNIT_ELF_FIXTURE_H

#include <stddef.h>

#include "runtime/task_name.h"
#include "target/elf.h"

#define FIXTURE_VTABLES 32

struct fixture {
	char dir[64];
	char so[128];  /* the shared object */
	char out[160]; /* what the last fixture_path() named */
};

void fixture_make(struct fixture *fx, const char *link_flags);
/* Another one instead: a library from C source, which finds <stalltop/sdt.h>; the caller closes it. */
struct elf_file *elf_fixture_c(struct fixture *fx, const char *source, const char *flags);
/* Runs a shell command in the folder; the test fails when it does. */
void elf_fixture_run(const struct fixture *fx, const char *command);
/* A name in the folder; overwritten by the next call. */
const char *fixture_path(struct fixture *fx, const char *name);
void fixture_done(const struct fixture *fx);

/* The task vtables of the file as loaded at 0, in their order; returns how many. */
size_t fixture_vtables(struct elf_file *f, struct task_functions *out);

#endif
