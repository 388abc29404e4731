// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * async-channel, the channels of smol and async-std: a concurrent_queue and six words behind one
 * Arc, on cache lines as in async_task_queue.c. Its Arc is held by the senders and the receivers
 * and nobody else, and it counts both: two neighbours among the words whose sum is the Arc's count.
 *
 * That the queue has no bound is a tag; the depth is believed when it has changed.
 */
#include "runtime/async_task.h"
#include "runtime/channel.h"

#include <errno.h>
#include <string.h>

#define AT_ENDS ASYNC_QUEUE_WORDS /* behind the queue */
#define WORDS (AT_ENDS + 16)

static bool ends_fit(const uint64_t *w, uint32_t at)
{
	return w[at] + w[at + 1] == w[0] && w[at] < w[0] + 1 && w[at + 1] && w[1] == 1;
}

static int channel_sample(const struct memory *memory, struct channel *c)
{
	uint64_t w[WORDS], sent, received;

	if (memory_read(memory, c->addr, w, sizeof(w)))
		return -EFAULT;
	if (!async_queue_unbounded(w, &received, &sent) || sent < c->sent || received < c->received)
		return -ESTALE;
	/* A handle that is being made or dropped. */
	if (!ends_fit(w, c->at[0]) && w[c->at[0]] + w[c->at[0] + 1] > w[0] + 16)
		return -ESTALE;
	c->sent = sent;
	c->received = received;
	c->depth = sent - received;
	c->senders = (int64_t)w[c->at[0]];
	c->receivers = w[c->at[0] + 1];
	channel_prove(c);
	return 0;
}

static int channel_fit(const struct memory *memory, uint64_t addr, struct channel *out)
{
	uint64_t w[WORDS], sent, received;

	if (!channel_address(addr) || memory_read(memory, addr, w, sizeof(w)) ||
	    !async_queue_unbounded(w, &received, &sent))
		return -ENOENT;
	*out = (struct channel){.addr = addr, .senders = -1};
	for (uint32_t at = AT_ENDS; at + 2 <= WORDS; at++)
		if (ends_fit(w, at)) {
			out->at[0] = at;
			return channel_sample(memory, out);
		}
	return -ENOENT;
}

const struct runtime_channel_ops async_channels = {
	.name = "async_channel",
	.fit = channel_fit,
	.sample = channel_sample,
};
