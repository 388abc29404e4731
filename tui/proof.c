// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stack and advice of a finding as text of their own; see proof.h. */
#include "tui/proof.h"

#include <string.h>

#include "rules/stack.h"
#include "util/xalloc.h"

static void pool_add(struct pool *pool, struct piece *piece, const char *head, const char *text)
{
	size_t head_len = strlen(head), len = strlen(text) + 1;

	pool->text = xgrow(pool->text, &pool->cap, pool->len + head_len + len, 1);
	if (!piece->count++)
		piece->at = pool->len;
	memcpy(pool->text + pool->len, head, head_len);
	memcpy(pool->text + pool->len + head_len, text, len);
	pool->len += head_len + len;
}

const char *pool_text(const struct pool *pool, const struct piece *piece)
{
	return piece->count ? pool->text + piece->at : NULL;
}

struct stack_reader {
	struct pool *pool;
	struct piece *piece;
};

static void read_line(void *ctx, enum stack_line kind, const char *text)
{
	struct stack_reader *reader = ctx;
	const char head[2] = {(char)('0' + kind), '\0'};

	pool_add(reader->pool, reader->piece, head, text);
}

void proof_read(struct proof *e, struct pool *pool, const struct model *m, const struct finding *f)
{
	struct stack_reader folded = {pool, &e->folded}, full = {pool, &e->full};
	char text[ADVICE_TEXT];
	const struct site_stack *stack;
	double share;

	*e = (struct proof){0};
	finding_advice(m, f, text, sizeof(text));
	pool_add(pool, &e->advice, "", text);
	stack = finding_stack(m, f, &share);
	if (!stack)
		return;
	stack_culprit_text(stack, share, text, sizeof(text));
	pool_add(pool, &e->culprit, "", text);
	if (stack->detail)
		pool_add(pool, &e->detail, "", stack->detail);
	stack_lines(stack, false, read_line, &folded);
	stack_lines(stack, true, read_line, &full);
}

void proof_values(const struct proof *e, const struct pool *pool, struct lines *out)
{
	if (e->detail.count)
		lines_value(out, "about", "%s", pool_text(pool, &e->detail));
	if (e->culprit.count)
		lines_value(out, "culprit", "%s", pool_text(pool, &e->culprit));
}

void proof_stack(const struct proof *e, const struct pool *pool, bool full, struct lines *out)
{
	static const enum role roles[] = {[STACK_LINE_FRAME] = ROLE_NORMAL,
					  [STACK_LINE_CULPRIT] = ROLE_STRONG,
					  [STACK_LINE_FOLD] = ROLE_DIM,
					  [STACK_LINE_END] = ROLE_DIM};
	const struct piece *piece = full ? &e->full : &e->folded;
	const char *text = pool_text(pool, piece);

	if (!text)
		return;
	lines_title(out, full ? "Stack (f folds it)" : "Stack (f shows all of it)");
	for (uint32_t i = 0; i < piece->count; i++, text += strlen(text) + 1) {
		enum stack_line kind = (enum stack_line)(text[0] - '0');

		lines_add(out, roles[kind], 2, "%s %s", kind == STACK_LINE_CULPRIT ? ">" : " ",
			  text + 1);
	}
}
