/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stack and the exact advice of a finding, as text copied out of the model: a view shows them
 * while the model moves on. The text of all rows lies in one pool, which is made anew with them.
 */
#ifndef TUI_PROOF_H
#define TUI_PROOF_H

#include "rules/rule.h"
#include "tui/lines.h"

struct pool {
	char *text;
	size_t len, cap;
};

/* `count` strings of the pool, one behind the other. */
struct piece {
	size_t at;
	uint32_t count;
};

struct proof {
	struct piece advice, culprit, detail, kernel, spawn; /* one string each, or none */
	struct piece folded, full; /* lines; the first character is the kind */
	struct piece folder, file; /* of the frame to blame */
	uint32_t line;
};

/* The first string; NULL when there is none. */
const char *pool_text(const struct pool *pool, const struct piece *piece);

void proof_read(struct proof *e, struct pool *pool, const struct model *m, const struct finding *f);
/* What the system call was about, and the culprit. */
void proof_values(const struct proof *e, const struct pool *pool, struct lines *out);
/* The lines around the frame to blame, when the file can be read here. */
void proof_source(const struct proof *e, const struct pool *pool, struct lines *out);
/* The lines of the stack; nothing when there is none. */
void proof_frames(const struct proof *e, const struct pool *pool, bool full, struct lines *out);
/* The same, under its title. */
void proof_stack(const struct proof *e, const struct pool *pool, bool full, struct lines *out);

#endif
