/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where Tokio keeps its counters behind a scheduler handle. Rust promises no layout, so offsets
 * come from the DWARF of the target, or from a table that tests/layouts/gen_layouts.py reads off
 * real builds (Tokio minor x rustc x parking_lot x tokio_unstable). A row is a guess until
 * runtime/tokio_queue.c has checked it in the live process: nothing here is to be trusted alone.
 *
 * An offset counts bytes from the start of the structure that the last pointer of its path points
 * to (an Arc points to its counters, strong and weak), -1 means that this build has no such field.
 * Errors: -EINVAL (not a version), -ENOENT (the DWARF has no Tokio scheduler).
 */
#ifndef RUNTIME_TOKIO_LAYOUT_H
#define RUNTIME_TOKIO_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

typedef struct Dwarf Dwarf; /* elfutils/libdw.h */

#define TOKIO_LAYOUT_CANDIDATES 128

enum tokio_root {
	TOKIO_ROOT_MULTI,   /* runtime::scheduler::multi_thread::handle::Handle */
	TOKIO_ROOT_CURRENT, /* runtime::scheduler::current_thread::Handle */
	TOKIO_ROOT_LOCAL,   /* task::local::Shared, behind a LocalSet */
	TOKIO_ROOTS,
};

/*
 * name, root, path. A path names members; a step may skip levels (the nearest member of that name
 * wins), so that a wrapper more or less between two versions does not matter. "*" follows a
 * pointer and starts counting anew, "#size" and "#align" take that of the type reached, "|" parts
 * alternatives of different versions. The order is that of the table: append only, then run
 * gen_layouts.py.
 */
/* clang-format off */
#define TOKIO_FIELDS(X) \
	X(MULTI_SIZE,		MULTI,	 "#size") \
	X(MULTI_ALIGN,		MULTI,	 "#align") \
	X(MULTI_REMOTES,	MULTI,	 "shared/remotes/data_ptr") \
	X(MULTI_REMOTES_LEN,	MULTI,	 "shared/remotes/length") \
	X(MULTI_REMOTE_SIZE,	MULTI,	 "shared/remotes/data_ptr/*/#size") \
	X(MULTI_STEAL,		MULTI,	 "shared/remotes/data_ptr/*/steal/pointer") \
	X(MULTI_HEAD,		MULTI,	 "shared/remotes/data_ptr/*/steal/pointer/*/data/head") \
	X(MULTI_HEAD_SIZE,	MULTI,	 "shared/remotes/data_ptr/*/steal/pointer/*/data/head/#size") \
	X(MULTI_TAIL,		MULTI,	 "shared/remotes/data_ptr/*/steal/pointer/*/data/tail") \
	X(MULTI_BUFFER,		MULTI,	 "shared/remotes/data_ptr/*/steal/pointer/*/data/buffer") \
	X(MULTI_IDLE,		MULTI,	 "shared/idle/state") \
	X(MULTI_WORKERS,	MULTI,	 "shared/idle/num_workers") \
	X(MULTI_SLEEPERS,	MULTI,	 "shared/sleepers/pointer") \
	X(MULTI_SLEEPERS_CAP,	MULTI,	 "shared/sleepers/cap") \
	X(MULTI_SLEEPERS_LEN,	MULTI,	 "shared/sleepers/len") \
	X(MULTI_METRICS_LEN,	MULTI,	 "shared/worker_metrics/length") \
	X(MULTI_INJECT_LEN,	MULTI,	 "shared/inject/len") \
	X(MULTI_INJECT_HEAD,	MULTI,	 "shared/inject/head|shared/synced/inject/head") \
	X(MULTI_INJECT_TAIL,	MULTI,	 "shared/inject/tail|shared/synced/inject/tail") \
	X(MULTI_INJECT_CLOSED,	MULTI,	 "shared/inject/is_closed|shared/synced/inject/is_closed") \
	X(MULTI_OWNED_ID,	MULTI,	 "shared/owned/id") \
	X(MULTI_OWNED_COUNT,	MULTI,	 "shared/owned/count") \
	X(MULTI_OWNED_HEAD,	MULTI,	 "shared/owned/inner/head") \
	X(MULTI_OWNED_CLOSED,	MULTI,	 "shared/owned/closed") \
	X(MULTI_LISTS,		MULTI,	 "shared/owned/lists/data_ptr") \
	X(MULTI_LISTS_LEN,	MULTI,	 "shared/owned/lists/length") \
	X(MULTI_LISTS_MASK,	MULTI,	 "shared/owned/shard_mask") \
	X(MULTI_LIST_SIZE,	MULTI,	 "shared/owned/lists/data_ptr/*/#size") \
	X(MULTI_LIST_HEAD,	MULTI,	 "shared/owned/lists/data_ptr/*/head") \
	X(MULTI_POOL,		MULTI,	 "blocking_spawner/inner/pointer") \
	X(CURRENT_SIZE,		CURRENT, "#size") \
	X(CURRENT_ALIGN,	CURRENT, "#align") \
	X(CURRENT_INJECT_LEN,	CURRENT, "shared/inject/len") \
	X(CURRENT_INJECT_HEAD,	CURRENT, "shared/inject/head") \
	X(CURRENT_INJECT_TAIL,	CURRENT, "shared/inject/tail") \
	X(CURRENT_INJECT_CLOSED, CURRENT, "shared/inject/is_closed") \
	X(CURRENT_DEQUE_LEN,	CURRENT, "shared/queue/len") \
	X(CURRENT_DEQUE_HEAD,	CURRENT, "shared/queue/head") \
	X(CURRENT_DEQUE_TAIL,	CURRENT, "shared/queue/tail") \
	X(CURRENT_DEQUE_CAP,	CURRENT, "shared/queue/cap") \
	X(CURRENT_DEQUE_PTR,	CURRENT, "shared/queue/pointer") \
	X(CURRENT_OWNED_ID,	CURRENT, "shared/owned/id") \
	X(CURRENT_OWNED_COUNT,	CURRENT, "shared/owned/count") \
	X(CURRENT_OWNED_HEAD,	CURRENT, "shared/owned/inner/head") \
	X(CURRENT_OWNED_CLOSED,	CURRENT, "shared/owned/closed") \
	X(CURRENT_LISTS,	CURRENT, "shared/owned/lists/data_ptr") \
	X(CURRENT_LISTS_LEN,	CURRENT, "shared/owned/lists/length") \
	X(CURRENT_LISTS_MASK,	CURRENT, "shared/owned/shard_mask") \
	X(CURRENT_LIST_SIZE,	CURRENT, "shared/owned/lists/data_ptr/*/#size") \
	X(CURRENT_LIST_HEAD,	CURRENT, "shared/owned/lists/data_ptr/*/head") \
	X(CURRENT_WOKEN,	CURRENT, "shared/woken") \
	X(CURRENT_INTERVAL,	CURRENT, "shared/config/event_interval") \
	X(CURRENT_DEPTH,	CURRENT, "shared/worker_metrics/queue_depth") \
	X(CURRENT_POOL,		CURRENT, "blocking_spawner/inner/pointer") \
	X(POOL_SIZE,		CURRENT, "blocking_spawner/inner/pointer/*/#size") \
	X(POOL_CAP,		CURRENT, "blocking_spawner/inner/pointer/*/data/thread_cap") \
	X(POOL_THREADS,		CURRENT, "blocking_spawner/inner/pointer/*/data/num_threads") \
	X(POOL_IDLE,		CURRENT, "blocking_spawner/inner/pointer/*/data/num_idle_threads") \
	X(POOL_QUEUE,		CURRENT, "blocking_spawner/inner/pointer/*/data/queue_depth") \
	X(POOL_WORKERS,		CURRENT, "blocking_spawner/inner/pointer/*/data/scheduler_threads") \
	X(POOL_SECS,		CURRENT, "blocking_spawner/inner/pointer/*/data/keep_alive/secs") \
	X(POOL_NANOS,		CURRENT, "blocking_spawner/inner/pointer/*/data/keep_alive/nanos") \
	X(POOL_NAME,		CURRENT, "blocking_spawner/inner/pointer/*/data/thread_name") \
	X(LOCAL_SIZE,		LOCAL,	 "#size") \
	X(LOCAL_ALIGN,		LOCAL,	 "#align") \
	X(LOCAL_OWNER,		LOCAL,	 "local_state/owner") \
	X(LOCAL_OWNED_ID,	LOCAL,	 "local_state/owned/id") \
	X(LOCAL_OWNED_HEAD,	LOCAL,	 "local_state/owned/inner/head") \
	X(LOCAL_OWNED_TAIL,	LOCAL,	 "local_state/owned/inner/tail") \
	X(LOCAL_OWNED_CLOSED,	LOCAL,	 "local_state/owned/inner/closed") \
	X(LOCAL_RUN_LEN,	LOCAL,	 "local_state/local_queue/len") \
	X(LOCAL_RUN_HEAD,	LOCAL,	 "local_state/local_queue/head") \
	X(LOCAL_RUN_TAIL,	LOCAL,	 "local_state/local_queue/tail") \
	X(LOCAL_RUN_CAP,	LOCAL,	 "local_state/local_queue/cap") \
	X(LOCAL_RUN_PTR,	LOCAL,	 "local_state/local_queue/pointer") \
	X(LOCAL_REMOTE_LEN,	LOCAL,	 "queue/len") \
	X(LOCAL_REMOTE_HEAD,	LOCAL,	 "queue/head") \
	X(LOCAL_REMOTE_TAIL,	LOCAL,	 "queue/tail") \
	X(LOCAL_REMOTE_CAP,	LOCAL,	 "queue/cap") \
	X(LOCAL_REMOTE_PTR,	LOCAL,	 "queue/pointer") \
	X(POOL_HANDLES,		CURRENT, "blocking_spawner/inner/pointer/*/data/worker_threads/items") \
	X(POOL_JOBS,		CURRENT, "blocking_spawner/inner/pointer/*/data/queue/len")
/* clang-format on */

enum tokio_field {
#define TOKIO_FIELD_ENUM(name, root, path) TOKIO_##name,
	TOKIO_FIELDS(TOKIO_FIELD_ENUM)
#undef TOKIO_FIELD_ENUM
		TOKIO_FIELD_COUNT,
};

/* The offsets of one build; which flavours it knows follows from *_SIZE being there. */
struct tokio_layout {
	int16_t off[TOKIO_FIELD_COUNT];
};

/* Which builds have layout number `layout`: Tokio 1.first to 1.last under rustc 1.rustc. */
struct tokio_layout_row {
	uint8_t first, last;
	uint8_t rustc;
	uint8_t unstable, parking_lot;
	uint16_t layout;
};

struct tokio_version {
	unsigned int major, minor, patch;
};

enum tokio_unstable { TOKIO_UNSTABLE_UNKNOWN = -1, TOKIO_UNSTABLE_NO, TOKIO_UNSTABLE_YES };

/* "1.54.1", also with a suffix as in "1.54.1/src"; -EINVAL when it is not three numbers. */
int tokio_version_parse(const char *text, struct tokio_version *version);

/*
 * The distinct layouts worth trying for a version, best guess first, and how many. `near` is the
 * distance in minors from the wanted one: 0 gives the rows of that minor; a greater one gives the
 * rows at exactly that distance. A known unstable flag drops the rows of the other kind.
 */
size_t tokio_layout_candidates(const struct tokio_version *version, enum tokio_unstable unstable,
			       unsigned int near, const struct tokio_layout **out, size_t max);

/* Whether this layout has what the flavour needs at all. */
int tokio_layout_has(const struct tokio_layout *layout, enum tokio_root root);

/* Reads a layout off debug information; the Dwarf stays the caller's. */
int tokio_layout_from_dwarf(Dwarf *dwarf, struct tokio_layout *layout, struct err *err);

extern const char *const tokio_field_names[TOKIO_FIELD_COUNT];

#endif
