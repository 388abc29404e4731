/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tasks that wait for a lock of their runtime. */
#ifndef RULES_WAITS_H
#define RULES_WAITS_H

#include "rules/rule.h"

/* "task 7 of bank::pay" */
void wait_task_text(const struct model *m, const struct task *t, char *out, size_t size);

#endif
