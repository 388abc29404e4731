/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * What the words of a task's header say, to the BPF programs and the agent alike: the bits of the state
 * words of the runtimes, and what follows from them. Part of wire.h, which includes it.
 */
#ifndef BPF_WIRE_STATE_H
#define BPF_WIRE_STATE_H

/*
 * What a task's header looks like and how the end of a poll is known. A family is what the two sides
 * have to agree on; everything else of a runtime is data of its sites.
 */
enum wire_family {
	WIRE_TOKIO = 0,	     /* a header with a state word, and the runtime's own task id */
	WIRE_ASYNC_TASK = 1, /* smol, async-std: a state word, no id */
	WIRE_USDT = 2,	     /* no header: begin and end of a poll are events */
	WIRE_FAMILIES
};

/* Tokio: bits of the state word; same for all versions >= 1.24. */
#define TOKIO_STATE_RUNNING 1ULL
#define TOKIO_STATE_COMPLETE 2ULL
#define TOKIO_STATE_NOTIFIED 4ULL
#define TOKIO_STATE_JOIN_INTEREST 8ULL
#define TOKIO_STATE_JOIN_WAKER 16ULL
#define TOKIO_STATE_CANCELLED 32ULL
#define TOKIO_STATE_REF_SHIFT 6

/* async-task 4: the same of its state word. */
#define ASYNC_TASK_SCHEDULED 1ULL
#define ASYNC_TASK_RUNNING 2ULL
#define ASYNC_TASK_COMPLETED 4ULL
#define ASYNC_TASK_CLOSED 8ULL
#define ASYNC_TASK_HANDLE 16ULL /* the Task still exists */
#define ASYNC_TASK_REF_SHIFT 8

static inline __attribute__((always_inline)) int tokio_near(__u64 pointer, __u64 header)
{
	return pointer % 16 == 0 && pointer >= header / 2 && pointer <= header * 2;
}

/* At the entry of a poll: it will drop the future rather than poll it. */
static inline __attribute__((always_inline)) int wire_cancelled(__u8 family, __u64 state)
{
	if (family == WIRE_ASYNC_TASK)
		return (state & (ASYNC_TASK_CLOSED | ASYNC_TASK_COMPLETED)) == ASYNC_TASK_CLOSED;
	return (state & (TOKIO_STATE_CANCELLED | TOKIO_STATE_COMPLETE)) == TOKIO_STATE_CANCELLED;
}

/*
 * Whether these can be the first two words, state and queue link, of a living task at `header`. In
 * freed memory everything else may be as it was, but here an allocator keeps its own words: glibc a
 * pointer, which may be obfuscated (next ^ address >> 12), and a pointer or a random key. A task
 * without references is freed; none has 2^24. A pointer is as small as that only in a program at
 * low addresses, and then it is near.
 */
static inline __attribute__((always_inline)) int tokio_alive(__u64 state, __u64 link, __u64 header)
{
	__u64 refs = state >> TOKIO_STATE_REF_SHIFT;
	__u64 next = state ^ header >> 12;

	return refs && refs < 1 << 24 && !(link >> 47) && next && !tokio_near(next, header) &&
	       !tokio_near(state, header);
}

/*
 * The same for async-task. Its vtable pointer is the first word (or the fourth, in what old
 * compilers made), where allocators keep theirs; the state is asked for the rest.
 */
static inline __attribute__((always_inline)) int async_task_alive(__u64 state)
{
	__u64 refs = state >> ASYNC_TASK_REF_SHIFT;

	return (refs || (state & ASYNC_TASK_HANDLE)) && refs < 1 << 24;
}

/* A task of this family is inside its poll function, on whatever thread. */
static inline __attribute__((always_inline)) int wire_running(__u8 family, __u64 state)
{
	if (family == WIRE_ASYNC_TASK)
		return (state & (ASYNC_TASK_RUNNING | ASYNC_TASK_COMPLETED)) == ASYNC_TASK_RUNNING;
	return (state & (TOKIO_STATE_RUNNING | TOKIO_STATE_COMPLETE)) == TOKIO_STATE_RUNNING;
}

/* `link`: the word after the state. */
static inline __attribute__((always_inline)) int wire_alive(__u8 family, __u64 state, __u64 link,
							    __u64 header)
{
	if (family == WIRE_ASYNC_TASK)
		return async_task_alive(state);
	return tokio_alive(state, link, header);
}

#endif
