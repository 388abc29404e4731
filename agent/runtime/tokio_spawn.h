/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where tasks are made, in functions that exist as such:
 *   OwnedTasks<S>::bind_inner(&self, task, notified)   every task of a runtime (1.43 and later)
 *   Spawner::spawn_task(&self, task, ..)               work for the blocking pool
 *   Cell<T, S>::new, and LocalOwnedTasks<S>::bind, which it is inlined into: for one type only,
 *   it refers to that type's vtable. For types that neither of the first two sees (LocalSet).
 * Symbols are needed for that. A build with tokio_unstable (1.47 and later) has the place of the
 * spawn in each task: an eleventh word of the vtable says where.
 */
#ifndef RUNTIME_TOKIO_SPAWN_H
#define RUNTIME_TOKIO_SPAWN_H

#include "runtime/runtime.h"

/*
 * Fills the spawns of `found`, spawn_word and spawns of its sites. The symbols of object->elf
 * must be loaded, if it has any.
 */
void tokio_spawn_find(struct object *object, struct runtime_found *found);

#endif
