// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stack and advice of a finding as text of their own; see proof.h. */
#include "tui/proof.h"

#include <stdio.h>
#include <string.h>

#include "rules/stack.h"
#include "util/source_text.h"
#include "util/xalloc.h"

#define SOURCE_AROUND 3

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

static void read_place(struct proof *e, struct pool *pool, const struct site_stack *stack)
{
	const struct frame *f = stack->culprit < 0 ? NULL : &stack->frames[stack->culprit];

	if (!f || !f->file || !f->line)
		return;
	pool_add(pool, &e->file, "", f->file);
	if (f->folder)
		pool_add(pool, &e->folder, "", f->folder);
	e->line = f->line;
}

/* Rules that are about the spawning of tasks have no other stack. */
static void read_spawn(struct proof *e, struct pool *pool, const struct model *m,
		       const struct finding *f)
{
	struct stack_reader folded = {pool, &e->folded}, full = {pool, &e->full};
	const struct site *site = model_site(m, f->site);
	const struct site_stack *spawn;
	char text[FRAME_TEXT * 2];
	double share;

	if (!site || !rule_shows_spawn(f->rule))
		return;
	spawn = site_spawn(site, &share);
	if (spawn)
		spawn_text(m, site, spawn, share, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "n/a (%s)", site_no_spawn(site));
	pool_add(pool, &e->spawn, "", text);
	if (!spawn || finding_stack(m, f, NULL))
		return;
	stack_lines(spawn, false, read_line, &folded);
	stack_lines(spawn, true, read_line, &full);
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
	read_spawn(e, pool, m, f);
	stack = finding_stack(m, f, &share);
	if (!stack)
		return;
	kernel_text(stack, text, sizeof(text));
	if (*text)
		pool_add(pool, &e->kernel, "", text);
	stack_culprit_text(stack, share, text, sizeof(text));
	pool_add(pool, &e->culprit, "", text);
	if (stack->detail)
		pool_add(pool, &e->detail, "", stack->detail);
	read_place(e, pool, stack);
	stack_lines(stack, false, read_line, &folded);
	kernel_lines(stack, read_line, &full);
	stack_lines(stack, true, read_line, &full);
}

void proof_values(const struct proof *e, const struct pool *pool, struct lines *out)
{
	if (e->detail.count)
		lines_value(out, "about", "%s", pool_text(pool, &e->detail));
	if (e->kernel.count)
		lines_value(out, "kernel", "%s", pool_text(pool, &e->kernel));
	if (e->spawn.count)
		lines_value(out, "spawned", "%s", pool_text(pool, &e->spawn));
	if (e->culprit.count)
		lines_value(out, "culprit", "%s", pool_text(pool, &e->culprit));
}

void proof_frames(const struct proof *e, const struct pool *pool, bool full, struct lines *out)
{
	static const enum role roles[] = {[STACK_LINE_FRAME] = ROLE_NORMAL,
					  [STACK_LINE_CULPRIT] = ROLE_STRONG,
					  [STACK_LINE_FOLD] = ROLE_DIM,
					  [STACK_LINE_END] = ROLE_DIM};
	const struct piece *piece = full ? &e->full : &e->folded;
	const char *text = pool_text(pool, piece);

	if (!text)
		return;
	for (uint32_t i = 0; i < piece->count; i++, text += strlen(text) + 1) {
		enum stack_line kind = (enum stack_line)(text[0] - '0');

		lines_add(out, roles[kind], 2, "%s %s", kind == STACK_LINE_CULPRIT ? ">" : " ",
			  text + 1);
	}
}

void proof_stack(const struct proof *e, const struct pool *pool, bool full, struct lines *out)
{
	if (!e->full.count)
		return;
	lines_title(out, full ? "Stack (f folds it)" : "Stack (f shows all of it)");
	proof_frames(e, pool, full, out);
}

struct source_lines {
	struct lines *out;
	bool begun;
};

static void add_source(void *ctx, uint32_t number, const char *text, bool wanted)
{
	struct source_lines *s = ctx;

	if (!s->begun)
		lines_title(s->out, "Source");
	s->begun = true;
	lines_add(s->out, wanted ? ROLE_STRONG : ROLE_DIM, 2, "%s %5u  %s", wanted ? ">" : " ",
		  number, text);
}

/* Read when it is shown: a person looks at one finding. */
void proof_source(const struct proof *e, const struct pool *pool, struct lines *out)
{
	struct source_lines s = {.out = out};

	source_text(pool_text(pool, &e->folder), pool_text(pool, &e->file), e->line, SOURCE_AROUND,
		    add_source, &s);
}
