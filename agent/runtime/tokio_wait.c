// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which semaphore a Tokio task is queued at. Mutex, RwLock, Semaphore and the bounded mpsc channel are
 * all made of one, batch_semaphore::Semaphore: a mutex word, the list of those that wait (its head is
 * the newest), whether it is closed, and the permits that are left. Who waits has a node of the list
 * in its own future: a waker, the links, the permits that it still lacks; and, around the node, a
 * pointer to the semaphore.
 *
 * Nobody promises that layout, and it is not taken for granted: the waker is the task's own, the node
 * hangs in the list whose ends the semaphore has, its neighbours lead back to it and belong to the same
 * semaphore, which has no permit left and is open, as it must be while somebody waits. What has been in
 * a queue, or waits for something else (a Notify is such a list, too), fails one of these.
 */
#include "runtime/tokio.h"

#include <errno.h>

#define NODE 5	 /* words of a node */
#define AROUND 8 /* of what the node is a part of, on each side */
#define SPAN (AROUND + NODE + AROUND)
#define SEMAPHORE 5 /* words */
#define NODES 8	    /* looked at in one task: nodes that were left lie about */
#define MAX_PERMITS (UINT64_MAX >> 3)

/* Orders of a node's parts that compilers may choose, from the first word of the waker. */
static const struct order {
	int8_t start, links, lacks;
} orders[] = {
	{0, 2, 4},   {0, 3, 2}, /* the first one: Rust 1.67 and later */
	{-1, 2, -1},		/* as it is written in the source: earlier */
	{-2, -2, 2}, {-3, -3, -1}, {-3, -2, -3},
};

/* A node, and what it is a part of as far as that is within the task. */
struct node {
	uint64_t addr;
	const uint64_t *words; /* the node's first */
	int first, end;	       /* of the words around it, from there */
	int links;	       /* where they are */
	uint64_t lacks;
};

static bool pointer_or_none(uint64_t p)
{
	return !p || channel_pointer(p);
}

/* Whether a node lies there whose waker's address of the task is the word `at`. */
static bool node_fits(const uint64_t *words, size_t count, size_t at, const struct order *order,
		      uint64_t header, struct node *out)
{
	int64_t start = (int64_t)at + order->start;
	const uint64_t *w = words + start;
	int links = order->links - order->start;

	if (start < WIRE_HEADER_READ || (size_t)start + NODE > count)
		return false;
	*out = (struct node){
		.addr = header + (uint64_t)start * 8,
		.words = w,
		.first = start < AROUND ? -(int)start : -AROUND,
		.end = count - (size_t)start < NODE + AROUND ? (int)(count - (size_t)start) :
							       NODE + AROUND,
		.links = links,
		.lacks = w[order->lacks - order->start],
	};
	return out->lacks && out->lacks <= MAX_PERMITS && pointer_or_none(w[links]) &&
	       pointer_or_none(w[links + 1]);
}

/* The list's ends stand behind the mutex word; the permits behind them, or before it. */
static bool semaphore_fits(const uint64_t s[SEMAPHORE], const struct node *n)
{
	uint64_t previous = n->words[n->links], next = n->words[n->links + 1];

	for (int i = 1; i <= 2; i++) {
		uint64_t head = s[i], tail = s[i + 1], permits = i == 1 ? s[4] : s[0];

		if (!permits && !(s[i + 2] & 0xff) && channel_pointer(head) &&
		    channel_pointer(tail) && (previous ? head != n->addr : head == n->addr) &&
		    (next ? tail != n->addr : tail == n->addr))
			return true;
	}
	return false;
}

/* A neighbour, whose parts lie as the node's own do: it leads back, and waits for the same. */
static bool neighbour_fits(const uint64_t around[SPAN], const struct node *n, int back, int at,
			   uint64_t semaphore)
{
	return around[AROUND + n->links + back] == n->addr && around[AROUND + at] == semaphore;
}

static bool neighbours_fit(const struct memory *memory, const struct node *n, int at,
			   uint64_t semaphore)
{
	uint64_t around[2][SPAN];
	struct memory_piece pieces[2];
	int back[2];
	size_t count = 0;

	for (int i = 0; i < 2; i++) {
		uint64_t p = n->words[n->links + i];

		if (!p)
			continue;
		back[count] = 1 - i;
		pieces[count] = (struct memory_piece){
			.addr = p - AROUND * 8, .buf = around[count], .len = sizeof(around[0])};
		count++;
	}
	if (count && memory_readv(memory, pieces, count) != (ssize_t)count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!neighbour_fits(around[i], n, back[i], at, semaphore))
			return false;
	return true;
}

/* The semaphore that a pointer beside the node leads to. */
static bool semaphore_find(const struct memory *memory, const struct node *n, uint64_t *out)
{
	uint64_t words[SPAN][SEMAPHORE];
	struct memory_piece pieces[SPAN];
	int at[SPAN];
	size_t count = 0;

	for (int i = n->first; i < n->end; i++) {
		if ((i >= 0 && i < NODE) || !channel_pointer(n->words[i]))
			continue;
		at[count] = i;
		pieces[count] = (struct memory_piece){
			.addr = n->words[i], .buf = words[count], .len = sizeof(words[0])};
		count++;
	}
	if (!count || memory_readv(memory, pieces, count) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (pieces[i].error || !semaphore_fits(words[i], n) ||
		    !neighbours_fit(memory, n, at[i], pieces[i].addr))
			continue;
		*out = pieces[i].addr;
		return true;
	}
	return false;
}

int tokio_wait(const struct memory *memory, uint64_t header, const uint64_t *words, size_t count,
	       struct runtime_wait *out)
{
	uint32_t nodes = 0;
	struct node n;

	for (size_t at = WIRE_HEADER_READ; at + 1 < count && nodes < NODES; at++) {
		if (words[at] != header)
			continue;
		nodes++;
		/* A waker is two words, the task and its functions, and either may be the first. */
		for (size_t i = 0; i < 2 * sizeof(orders) / sizeof(orders[0]); i++)
			if (channel_pointer(words[i % 2 ? at - 1 : at + 1]) &&
			    node_fits(words, count, at - i % 2, &orders[i / 2], header, &n) &&
			    semaphore_find(memory, &n, &out->semaphore)) {
				out->permits = n.lacks;
				return 0;
			}
	}
	return -ENOENT;
}
