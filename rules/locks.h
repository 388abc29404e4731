/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who waits for whose lock. Of some locks the owner is known (it is in the lock), of others only
 * which other waiting thread has the lock's address on its stack: that is told as what it is.
 */
#ifndef RULES_LOCKS_H
#define RULES_LOCKS_H

#include "rules/rule.h"

/*
 * "thread 11 waits for a pthread mutex that thread 12 holds, and that for one that thread 11 holds";
 * where there is no cycle, who waits for whom, or why that is not known; "": none waits for a lock.
 */
void locks_text(const struct model *m, uint32_t target, uint32_t runtime, char *out, size_t size);
/* The stack of its present wait for a lock; NULL: it waits for none, as far as is known. */
const struct site_stack *lock_wait(const struct worker *w);
/* "a pthread mutex that thread 12 holds", "a std Mutex"; "": it waits for none. */
void lock_wait_text(const struct model *m, const struct worker *w, char *out, size_t size);
/* The worker waits for a lock that, through the owners of locks, it waits for itself. */
bool lock_cycle(const struct model *m, const struct worker *w);
/* It waits for a lock of which no other thread and no waiting task has the address. */
bool lock_lost(const struct worker *w);
/* "std Mutex", "" for none */
const char *lock_name(enum lock_kind kind);

#endif
