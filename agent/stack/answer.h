/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads an answer of the child, which may be any bytes: every count, offset and value is checked,
 * every text is sanitised. The frames are valid until the next call with the same `out`.
 */
#ifndef STACK_ANSWER_H
#define STACK_ANSWER_H

#include "stack/spaces.h"

struct answer_frames {
	struct frame frames[FRAMES_MAX];
	uint32_t count;
	enum stack_end end;
	uint64_t cpu_ns;
	char *text; /* all strings */
	size_t cap;
};

/* 0, or -EINVAL: the child is broken. `payload` is what follows the header. */
int answer_read(const struct spaces *spaces, const struct packet_head *head, const uint8_t *payload,
		size_t length, struct answer_frames *out);
void answer_free(struct answer_frames *out);

#endif
