// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Tokio's mpsc channels, 1.32 (the first with its ends on cache lines of their own) and newer.
 *
 * What Rx and Tx point to is ArcInner<Chan>: two counters, then, on lines of their own, the sender's
 * list (tail block, tail position) and the receiver's waker, and behind these, in an order that the
 * compiler likes: the semaphore, the count of senders, the receiver's list (head block, index, first
 * block to free). A block holds 32 messages and a header of four words: its start index, the next
 * block, which messages are ready, the tail when it was left. Where it stands depends on the size of
 * a message. So the lists are found by what has to be true of them: the head block begins at the
 * index, and each next one 32 further.
 *
 * The semaphore of an unbounded channel is one word, messages << 1 | closed. A bounded one counts
 * permits, which fall as messages wait: no word of it follows the depth.
 */
#include "runtime/channel.h"

#include <errno.h>
#include <string.h>

#define WORDS 64 /* of the Arc and the channel */
#define LINE_WORDS 16
#define AT_DATA LINE_WORDS /* the channel, behind the Arc's counters */
#define AT_REST (3 * LINE_WORDS)
#define WAKER_WORDS 3 /* its state, and what a waker is: a table of functions and a task */
#define BLOCK 32
#define HEADER_WORDS 4
#define READY_END (1ULL << 34)
#define MAX_SENT (1ULL << 48)
#define MAX_DEPTH (1ULL << 32)
#define HEADER_MAX 65536 /* bytes of messages before a block's header */
#define PIECE 4096
#define CHAIN 8	     /* blocks followed */
#define CHAIN_SURE 4 /* so many that fit leave no doubt */
#define FIRST_SURE 8 /* messages in the first block that leave none, likewise */
#define IN_FLIGHT 64 /* messages that are counted and not yet in the list */
#define TRIES 3

enum { PLACE_TX, PLACE_HEAD, PLACE_INDEX, PLACE_HEADER };

struct lists {
	uint64_t head, index, tail;
	uint64_t last; /* the sender's block */
};

static uint64_t block_start(uint64_t index)
{
	return index & ~(uint64_t)(BLOCK - 1);
}

/* The head moves on with the first message behind it. */
static bool starts_at(uint64_t start, uint64_t index)
{
	return start == block_start(index) ||
	       (index && index % BLOCK == 0 && start == index - BLOCK);
}

/* What was taken out of it was ready, and is still marked so. */
static bool header_fits(const uint64_t header[HEADER_WORDS], const struct lists *l)
{
	uint64_t taken;

	if (!starts_at(header[0], l->index))
		return false;
	taken = (1ULL << (l->index - header[0])) - 1;
	return (!header[1] || channel_pointer(header[1])) && header[2] < READY_END &&
	       (header[2] & taken) == taken && header[3] <= l->tail;
}

/* Of a channel whose first block is its only one: as many messages are ready as were sent. */
static bool first_block(const struct lists *l, const uint64_t header[HEADER_WORDS])
{
	return l->head == l->last && l->tail >= FIRST_SURE && l->tail < BLOCK && !header[1] &&
	       header[2] == (1ULL << l->tail) - 1;
}

/* Follows the blocks; true when they are those of such a list. */
static bool chain_fits(const struct memory *memory, const struct lists *l, uint64_t at,
		       const uint64_t first[HEADER_WORDS])
{
	uint64_t start = first[0], next = first[1], header[HEADER_WORDS];
	uint32_t n = 0;

	for (; n < CHAIN && start + BLOCK < l->tail; n++) {
		if (!channel_pointer(next) ||
		    memory_read(memory, next + at, header, sizeof(header)) ||
		    header[0] != start + BLOCK || header[2] >= READY_END)
			return false;
		start = header[0];
		next = header[1];
	}
	return n >= CHAIN_SURE || (first[0] && l->index > first[0]) || first_block(l, first);
}

/* Where the header stands in a block: the one place that fits; false: none, or several. */
static bool header_find(const struct memory *memory, const struct lists *l, uint32_t *at)
{
	uint64_t words[PIECE / 8 + HEADER_WORDS];
	uint32_t found = 0;

	for (uint64_t from = 0; from < HEADER_MAX; from += PIECE) {
		if (memory_read(memory, l->head + from, words, sizeof(words)))
			break;
		for (uint64_t i = 0; i < PIECE / 8; i += BLOCK / 8) {
			if (!header_fits(&words[i], l) ||
			    !chain_fits(memory, l, from + i * 8, &words[i]))
				continue;
			*at = from + i * 8;
			found++;
		}
	}
	return found == 1;
}

static bool start_fits(const struct memory *memory, uint64_t block, uint32_t at, uint64_t limit)
{
	uint64_t start;

	return channel_pointer(block) && !memory_read(memory, block + at, &start, sizeof(start)) &&
	       start % BLOCK == 0 && start <= limit;
}

/* The three words of the receiver's list, in the orders that compilers have been seen to choose. */
static bool receiver_fits(const struct memory *memory, const uint64_t *w, struct channel *c)
{
	static const uint8_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}};
	uint64_t tail = w[c->at[PLACE_TX] + 1];

	for (uint32_t i = AT_REST; i + 3 <= WORDS; i++) {
		for (size_t k = 0; k < sizeof(orders) / sizeof(orders[0]); k++) {
			struct lists l = {w[i + orders[k][0]], w[i + orders[k][1]], tail,
					  w[c->at[PLACE_TX]]};
			uint64_t free = w[i + orders[k][2]];

			if (!channel_pointer(l.head) || !channel_pointer(free) || l.index > tail ||
			    tail - l.index > MAX_DEPTH ||
			    !header_find(memory, &l, &c->at[PLACE_HEADER]) ||
			    !start_fits(memory, free, c->at[PLACE_HEADER], l.index))
				continue;
			c->at[PLACE_HEAD] = i + orders[k][0];
			c->at[PLACE_INDEX] = i + orders[k][1];
			c->counts = ~0ULL << AT_REST & ~(7ULL << i);
			return true;
		}
	}
	return false;
}

static int channel_fit(const struct memory *memory, uint64_t addr, struct channel *out)
{
	uint64_t w[WORDS];

	if (!channel_address(addr) || memory_read(memory, addr, w, sizeof(w)) || !channel_arc(w))
		return -ENOENT;
	*out = (struct channel){.addr = addr, .senders = -1, .receivers = 1};
	for (uint32_t tx = AT_DATA; tx < AT_REST; tx += LINE_WORDS) {
		if (!channel_pointer(w[tx]) || !w[tx + 1] || w[tx + 1] >= MAX_SENT)
			continue;
		out->at[PLACE_TX] = tx;
		if (!receiver_fits(memory, w, out) ||
		    !start_fits(memory, w[tx], out->at[PLACE_HEADER], w[tx + 1] + BLOCK))
			continue;
		out->message_bytes = out->at[PLACE_HEADER] / BLOCK;
		return 0;
	}
	return -ENOENT;
}

static void find_waiters(struct channel *c, const uint64_t *w)
{
	/* The other one of the two lines. */
	uint32_t line = c->at[PLACE_TX] == AT_DATA ? AT_DATA + LINE_WORDS : AT_DATA;

	c->waiters_count = 0;
	for (uint32_t i = line; i < line + WAKER_WORDS; i++)
		if (channel_pointer(w[i]))
			c->waiters[c->waiters_count++] = w[i];
	/* A waker that was taken has left one of its words there. */
	if (c->waiters_count != CHANNEL_WAITERS)
		c->waiters_count = 0;
}

/*
 * The count of senders stands beside the semaphore, that of weak ones beside it: with the receiver
 * they are all that hold the Arc.
 */
static void find_senders(struct channel *c, const uint64_t *w)
{
	uint32_t at = __builtin_ctzll(c->counts) + 1;

	c->senders = -1;
	if (at + 1 >= WORDS || !w[at] || w[at] >= w[0])
		return;
	if (w[at] + 1 == w[0] || w[at] + w[at + 1] + 1 == w[0])
		c->senders = (int64_t)w[at];
}

/*
 * `before` and `after` are two readings: the depth was between what can be said of both. A message
 * is counted before it is in the list and until it has left it; the end of all senders takes a place
 * in the list and is not counted.
 */
static void judge_counts(struct channel *c, const uint64_t *before, const uint64_t *after)
{
	uint32_t tail = c->at[PLACE_TX] + 1, index = c->at[PLACE_INDEX];
	uint64_t low = before[tail] > after[index] + 1 ? before[tail] - after[index] - 1 : 0;
	uint64_t high = after[tail] - before[index] + IN_FLIGHT;

	for (uint32_t i = AT_REST; i < WORDS; i++)
		if (after[i] >> 1 < low || after[i] >> 1 > high)
			c->counts &= ~(1ULL << i);
	if (!c->counts)
		c->bounded = true;
	else if (!(c->counts & (c->counts - 1)))
		channel_prove(c);
}

static bool still_fits(const struct memory *memory, const struct channel *c, const uint64_t *w)
{
	uint64_t tail = w[c->at[PLACE_TX] + 1], index = w[c->at[PLACE_INDEX]], start;

	return channel_arc(w) && tail >= c->sent && index >= c->received && index <= tail &&
	       tail - index < MAX_DEPTH && channel_pointer(w[c->at[PLACE_HEAD]]) &&
	       !memory_read(memory, w[c->at[PLACE_HEAD]] + c->at[PLACE_HEADER], &start,
			    sizeof(start)) &&
	       starts_at(start, index);
}

static int channel_sample(const struct memory *memory, struct channel *c)
{
	uint64_t before[WORDS], w[WORDS];

	/* The head block may be left, and used again, between two reads. */
	for (int i = 0; i < TRIES; i++) {
		if (memory_read(memory, c->addr, before, sizeof(before)) ||
		    memory_read(memory, c->addr, w, sizeof(w)))
			return -EFAULT;
		if (!still_fits(memory, c, w) || before[c->at[PLACE_INDEX]] > w[c->at[PLACE_INDEX]])
			continue;
		c->sent = w[c->at[PLACE_TX] + 1];
		c->received = w[c->at[PLACE_INDEX]];
		c->depth = c->sent - c->received;
		if (!c->bounded)
			judge_counts(c, before, w);
		if (channel_unbounded(c))
			find_senders(c, w);
		find_waiters(c, w);
		return 0;
	}
	return -ESTALE;
}

const struct runtime_channel_ops tokio_channels = {
	.name = "tokio::sync::mpsc",
	.marked = true,
	.fit = channel_fit,
	.sample = channel_sample,
};
