/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels between tasks, read from outside: how many messages wait. No probe, nothing stopped.
 *
 * All ends of a channel hold one Arc, so it is found through the memory of any task that has an end.
 * Nobody promises its layout: a channel is believed only while everything about it fits, and it is
 * called unbounded only when a word of it has been the count of waiting messages at several depths.
 * Addresses are the target's. Errors: -ENOENT (no channel), -ESTALE (no longer one), -EFAULT.
 */
#ifndef RUNTIME_CHANNEL_H
#define RUNTIME_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "target/memory.h"

#define CHANNEL_PLACES 4
#define CHANNEL_WAITERS 2
#define CHANNEL_PROOFS 3  /* depths at which the count has to agree */
#define CHANNEL_APART 128 /* and how far these are apart, at least */

struct channel {
	uint64_t addr;		     /* what the ends point to */
	uint32_t at[CHANNEL_PLACES]; /* of its parts, as its back end numbers them */
	uint64_t counts;	     /* words that may be the count of messages, a bit each */
	uint64_t proven_depth;	     /* at the last proof */
	uint32_t proofs;
	bool bounded;		 /* it surely is none without a bound */
	uint64_t sent, received; /* messages, since it was made */
	uint64_t depth;
	int64_t senders; /* handles; -1 not known */
	uint64_t receivers;
	uint32_t message_bytes; /* 0 not known */
	/* The waker of a receiver that waits: one of them is the address of its task's header. */
	uint64_t waiters[CHANNEL_WAITERS];
	uint32_t waiters_count;
};

struct runtime_channel_ops {
	const char *name; /* "tokio::sync::mpsc" */
	bool marked;	  /* debug information is asked for the types of its messages */
	/* Looks whether a channel lies there. */
	int (*fit)(const struct memory *memory, uint64_t addr, struct channel *out);
	/* Reads it again: sent, received, depth, senders, waiters. */
	int (*sample)(const struct memory *memory, struct channel *c);
};

extern const struct runtime_channel_ops tokio_channels;
extern const struct runtime_channel_ops async_channels;

/* An address of the heap that words can have. */
static inline bool channel_pointer(uint64_t p)
{
	return p >= 0x10000 && !(p >> 47) && p % 8 == 0;
}

/* An address that an Arc with parts on cache lines of their own can have. */
bool channel_address(uint64_t addr);
/* The two counters of an Arc. */
bool channel_arc(const uint64_t *words);
/* Notes that the count agreed at this depth. */
void channel_prove(struct channel *c);

static inline bool channel_unbounded(const struct channel *c)
{
	return c->proofs >= CHANNEL_PROOFS && !c->bounded;
}

#endif
