/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tokio 1.24 and newer, by its task vtables. What a version keeps where is in docs/runtimes.md. */
#ifndef RUNTIME_TOKIO_H
#define RUNTIME_TOKIO_H

#include "runtime/runtime.h"
#include "runtime/task_name.h"

#define TOKIO_MIN_MINOR 24 /* tokio/src/runtime/task/raw.rs has had this vtable since 1.24 */

extern const struct runtime_ops tokio_runtime;

/* The ten words of a vtable, link-time, as the namer wants them. */
void tokio_functions(const uint64_t *words, struct task_functions *out);

/* tokio_live.c */
extern const struct runtime_queue_ops tokio_queues;
void tokio_state(uint64_t word, struct runtime_state *out);

/* tokio_workers.c */
int64_t tokio_workers(const struct runtime_found *found, const struct object *object,
		      struct err *err);

/* tokio_wait.c: an op of struct runtime_ops. */
int tokio_wait(const struct memory *memory, uint64_t header, const uint64_t *words, size_t count,
	       struct runtime_wait *out);

#endif
