// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a living Tokio says from outside: a task's state word, and the queues of a runtime. */
#include "runtime/tokio.h"

#include "runtime/tokio_queue.h"

#include <errno.h>
#include <string.h>

/*
 * The list of the runtime's tasks refers to a task once, a JoinHandle once, each waker once, and each
 * AbortHandle. A handle that nobody awaits may be kept in order to abort the task: such a one may
 * wait for ever on purpose.
 */
static enum task_wakers wakers(uint64_t word)
{
	bool handle = word & TOKIO_STATE_JOIN_INTEREST;

	if (word & (TOKIO_STATE_RUNNING | TOKIO_STATE_COMPLETE | TOKIO_STATE_NOTIFIED |
		    TOKIO_STATE_CANCELLED))
		return WAKERS_SOME;
	if (handle && !(word & TOKIO_STATE_JOIN_WAKER))
		return WAKERS_SOME;
	return word >> TOKIO_STATE_REF_SHIFT == 1 + (uint64_t)handle ? WAKERS_NONE : WAKERS_SOME;
}

void tokio_state(uint64_t word, struct runtime_state *out)
{
	*out = (struct runtime_state){
		.running = word & TOKIO_STATE_RUNNING,
		.complete = word & TOKIO_STATE_COMPLETE,
		.cancelled = word & TOKIO_STATE_CANCELLED,
		.has_handle = word & TOKIO_STATE_JOIN_INTEREST,
		.refs = word >> TOKIO_STATE_REF_SHIFT,
		.wakers = wakers(word),
	};
	out->ready = (word & TOKIO_STATE_NOTIFIED) && !out->running && !out->complete;
}

/* The owner id of a task of this runtime sharpens the check of its structures; 0: not known. */
static uint64_t owner_id(const struct runtime_query *query)
{
	uint64_t words[8];

	if (!query->header || !query->site ||
	    memory_read(query->memory, query->header, words, sizeof(words)) ||
	    words[2] != query->site->vtable || words[query->site->sched_word & 7] != query->handle)
		return 0;
	return words[3];
}

/* What the binary's own debug information said. */
static const struct tokio_layout *dwarf_layout(const struct runtime_found *found,
					       struct tokio_layout *out)
{
	if (found->offsets_count != TOKIO_FIELD_COUNT)
		return NULL;
	memcpy(out->off, found->offsets, sizeof(out->off));
	return out;
}

static int queues_open(const struct runtime_query *query, void **queues, struct err *err)
{
	struct tokio_query ask = {
		.handle = query->handle,
		.unstable = TOKIO_UNSTABLE_UNKNOWN,
		.owner_id = owner_id(query),
		.process_threads = query->process_threads,
	};
	struct tokio_queue *queue = NULL;
	struct tokio_layout layout;
	int ret;

	tokio_version_parse(query->found->version, &ask.version);
	if (!ask.version.major)
		return err_set(err, -ENOENT, "the Tokio version is not known");
	ask.layout = dwarf_layout(query->found, &layout);
	ret = tokio_queue_open(query->memory, &ask, &queue, err);
	*queues = queue;
	return ret;
}

static int queues_sample(void *queues, const struct runtime_depths **out, struct err *err)
{
	return tokio_queue_sample(queues, out, err);
}

static void queues_close(void *queues)
{
	tokio_queue_close(queues);
}

static int queues_lists(void *queues, uint64_t **heads, size_t *count)
{
	return tokio_queue_lists(queues, heads, count);
}

const struct runtime_queue_ops tokio_queues = {
	.open = queues_open,
	.sample = queues_sample,
	.close = queues_close,
	.lists = queues_lists,
};
