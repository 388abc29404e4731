/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Marks of Tokio's task types by DWARF, for task_dwarf.c. One struct task_marks belongs to one unit,
 * and knows the types that it declares.
 */
#ifndef RUNTIME_TASK_MARKS_H
#define RUNTIME_TASK_MARKS_H

#include <elfutils/libdw.h>

#include "runtime/mark.h"

struct task_marks;

struct task_marks *task_marks_open(Dwarf_Die *unit);
void task_marks_free(struct task_marks *m);
/*
 * The marks of the type that this function polls, whose texts the caller owns then. False: not all
 * that there may be.
 */
bool task_marks_of(const struct task_marks *m, Dwarf_Die *poll,
		   struct runtime_mark out[MARKS_A_SITE], size_t *count);

#endif
