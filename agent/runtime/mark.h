/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What debug information tells of the memory of a type's tasks: words of it that are worth a look,
 * and of each the states of the future in which it is what it is said to be. The layout of a
 * coroutine is known from nothing else.
 */
#ifndef RUNTIME_MARK_H
#define RUNTIME_MARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARK_CONDS 16
#define MARKS_A_SITE 16

enum mark_kind {
	MARK_HOLDS,   /* a guard: the word leads to the semaphore that it holds permits of */
	MARK_CHANNEL, /* an end of a channel: the word is the channel's address */
	MARK_KINDS,
};

/* A discriminant of an enum, or the state of a coroutine. */
struct mark_cond {
	uint32_t offset; /* in the task */
	uint8_t size;	 /* 1, 2, 4 or 8 bytes */
	uint8_t differs; /* 1: it is another value */
	uint64_t value;
};

struct runtime_mark {
	uint32_t site;	 /* index of the task type */
	uint32_t offset; /* of the word, in the task */
	uint32_t
		number; /* MARK_HOLDS: bytes from what it points to, to the semaphore; MARK_CHANNEL: of a message */
	uint8_t kind, conds_count;
	struct mark_cond conds[MARK_CONDS]; /* all of them hold */
	char *text;			    /* MARK_CHANNEL: the messages' type; NULL */
};

/* Whether the word is there now; *word is it. `task`: the first `len` bytes of a task. */
bool mark_there(const struct runtime_mark *mark, const void *task, size_t len, uint64_t *word);

#endif
