/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks that wait for a lock of their runtime, and which other task holds it: known where debug
 * information tells where guards lie, of tasks that wait themselves.
 */
#ifndef RULES_WAITS_H
#define RULES_WAITS_H

#include "rules/rule.h"

/*
 * How long all tasks of a circle have waited, each for what the next one holds; 0: the runtime has
 * none, as far as is known. Of several the oldest.
 */
uint64_t wait_cycle_ns(const struct model *m, uint32_t runtime);
/* "task 7 of bank::pay waits for a lock that task 8 of bank::book holds, and that for one ..."; "". */
void wait_cycle_text(const struct model *m, uint32_t runtime, char *out, size_t size);
/* "task 7 of bank::pay" */
void wait_task_text(const struct model *m, const struct task *t, char *out, size_t size);

#endif
