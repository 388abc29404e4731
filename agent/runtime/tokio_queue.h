/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Queue depths of one Tokio runtime, read from outside: no probe, nothing stopped, one
 * process_vm_readv a sample (a few microseconds). Opened once for a scheduler handle: there every
 * candidate layout is checked against invariants of the live structures, and only what all
 * candidates that pass agree on is used. A sample checks the anchors again and each value
 * against its neighbours; a value that is not known says why, and never reads 0 for it.
 *
 * The memory is borrowed and must outlive the queue. Not thread safe.
 * Errors: -ENOENT (no known layout fits), -EFAULT (absent memory), -ESTALE (the runtime is gone),
 * -ESRCH, -EPERM, -EINVAL.
 */
#ifndef RUNTIME_TOKIO_QUEUE_H
#define RUNTIME_TOKIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/runtime.h"
#include "runtime/tokio_layout.h"
#include "target/memory.h"
#include "util/err.h"

#define TOKIO_WORKERS_MAX 4096

struct tokio_query {
	uint64_t handle; /* first word of a task's scheduler: what the Arc points to */
	struct tokio_version version;
	enum tokio_unstable unstable;
	uint64_t owner_id; /* from the header of a task of this handle; 0: not known */
	uint32_t
		process_threads; /* threads of the process now, a bound for the pool; 0: not known */
	const struct tokio_layout *layout; /* from the target's DWARF: tried first; may be NULL */
};

struct tokio_queue;

int tokio_queue_open(const struct memory *memory, const struct tokio_query *query,
		     struct tokio_queue **out, struct err *err);
void tokio_queue_close(struct tokio_queue *q);

/* The result belongs to the queue and is valid until the next sample or close. */
int tokio_queue_sample(struct tokio_queue *q, const struct runtime_depths **out, struct err *err);

/*
 * The first task of each list of the tasks that the runtime owns (0: empty), as of the last sample;
 * for free(3). -ENOENT: this build's lists are not known.
 */
int tokio_queue_lists(const struct tokio_queue *q, uint64_t **heads, size_t *count);

enum runtime_flavor tokio_queue_flavour(const struct tokio_queue *q);
const char *tokio_flavour_name(enum runtime_flavor flavour);

#endif
