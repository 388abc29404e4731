// SPDX-License-Identifier: LGPL-2.1-or-later
/* Equal stacks added up; see fold.h. */
#include "sink/fold.h"

#include <stdio.h>
#include <string.h>

#include "rules/stack.h"
#include "util/xalloc.h"

#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL
#define THREADS_MAX 65536
#define OVERFLOW UINT32_MAX
#define MORE_STACKS 0 /* the first frame: of what finds no room */
#define AROUND 2      /* frames that stand for process and task type */

/* The block that a thread told last, and where it was added. */
struct fold_last {
	struct told_block told;
	size_t row;
};

void fold_free(struct fold *fold)
{
	for (size_t i = 0; i < fold->frames_count; i++) {
		free(fold->frames[i].name);
		free(fold->frames[i].file);
	}
	for (size_t i = 0; i < fold->rows_count; i++)
		free(fold->rows[i].frames);
	free(fold->frames);
	free(fold->rows);
	free(fold->last);
	map_free(&fold->frames_at);
	map_free(&fold->rows_at);
	map_free(&fold->threads);
}

static uint64_t fnv(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *s = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ s[i]) * FNV_PRIME;
	return hash;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* Its number; OVERFLOW: there is no room. */
static uint32_t frame_number(struct fold *fold, const char *name, const char *file, uint32_t line)
{
	uint64_t hash = fnv(fnv(FNV_BASIS, name, strlen(name) + 1), &line, sizeof(line));
	uint64_t head = map_get(&fold->frames_at, hash, 0);

	for (uint64_t at = head == MAP_NONE ? 0 : head + 1; at; at = fold->frames[at - 1].next) {
		const struct fold_frame *f = &fold->frames[at - 1];

		if (!strcmp(f->name, name) && same_text(f->file, file) && f->line == line)
			return (uint32_t)at - 1;
	}
	if (fold->frames_count == FOLD_FRAMES_MAX)
		return OVERFLOW;
	map_put(&fold->frames_at, hash, 0, fold->frames_count);
	fold->frames = xgrow(fold->frames, &fold->frames_cap, fold->frames_count + 1,
			     sizeof(*fold->frames));
	fold->frames[fold->frames_count] = (struct fold_frame){
		.name = xstrdup(name),
		.file = file ? xstrdup(file) : NULL,
		.line = line,
		.next = head == MAP_NONE ? 0 : (uint32_t)head + 1,
	};
	return (uint32_t)fold->frames_count++;
}

/* Its row; a new one when there is room. `frames` is copied. */
static struct fold_row *row_of(struct fold *fold, enum stack_kind kind, const uint32_t *frames,
			       uint32_t count)
{
	size_t bytes = count * sizeof(*frames);
	uint64_t hash = fnv(fnv(FNV_BASIS, &kind, sizeof(kind)), frames, bytes);
	uint64_t head = map_get(&fold->rows_at, hash, 0);

	for (uint64_t at = head == MAP_NONE ? 0 : head + 1; at; at = fold->rows[at - 1].next) {
		struct fold_row *row = &fold->rows[at - 1];

		if (row->kind == kind && row->count == count && !memcmp(row->frames, frames, bytes))
			return row;
	}
	if (fold->rows_count >= FOLD_ROWS_MAX && frames[0] != MORE_STACKS)
		return row_of(fold, kind, &(uint32_t){MORE_STACKS}, 1);
	map_put(&fold->rows_at, hash, 0, fold->rows_count);
	fold->rows = xgrow(fold->rows, &fold->rows_cap, fold->rows_count + 1, sizeof(*fold->rows));
	fold->rows[fold->rows_count] = (struct fold_row){
		.kind = kind,
		.frames = xmalloc(bytes),
		.count = count,
		.next = head == MAP_NONE ? 0 : (uint32_t)head + 1,
	};
	memcpy(fold->rows[fold->rows_count].frames, frames, bytes);
	return &fold->rows[fold->rows_count++];
}

static uint32_t user_frame(struct fold *fold, const struct frame *f)
{
	char text[FRAME_TEXT];

	if (f->function && fold->by == FOLD_BY_NAME)
		return frame_number(fold, f->function, NULL, 0);
	if (f->function)
		return frame_number(fold, f->function, f->file, f->line);
	/* A place in the source, or binary and offset. */
	frame_text(f, text, sizeof(text));
	return frame_number(fold, text[0] ? text : "[unknown]", NULL, 0);
}

/* Outermost first; true: all of them have a number. */
static bool numbers_of(struct fold *fold, const struct model *m, const struct event *event,
		       uint32_t *out)
{
	const struct ev_stack *stack = &event->as_stack;
	const struct target *target = model_target(m, event->target);
	const struct site *site = model_site(m, stack->site);
	bool all;

	out[0] = frame_number(fold, target ? target->comm : "[unknown process]", NULL, 0);
	out[1] = frame_number(fold, site ? site->name : "[no task]", NULL, 0);
	all = out[0] != OVERFLOW && out[1] != OVERFLOW;
	for (uint32_t i = 0; i < stack->frames_count && all; i++) {
		out[AROUND + i] = user_frame(fold, &stack->frames[stack->frames_count - 1 - i]);
		all = out[AROUND + i] != OVERFLOW;
	}
	return all;
}

/* NULL: there is no room for one more thread. */
static struct fold_last *last_of(struct fold *fold, const struct event *event)
{
	uint32_t tid = event->as_stack.tid;
	uint64_t at = map_get(&fold->threads, event->target, tid);

	if (at != MAP_NONE)
		return &fold->last[at];
	at = fold->last_count;
	if (!map_put(&fold->threads, event->target, tid, at))
		return NULL;
	fold->last = xgrow(fold->last, &fold->last_cap, at + 1, sizeof(*fold->last));
	fold->last[fold->last_count++] = (struct fold_last){0};
	return &fold->last[at];
}

/* What was told of the same block before goes out again, from where it went. */
static void replace(struct fold *fold, const struct event *event, const struct fold_row *row)
{
	const struct ev_stack *stack = &event->as_stack;
	struct fold_last *last = last_of(fold, event);

	if (!last)
		return;
	if (block_is_again(&last->told, stack)) {
		fold->rows[last->row].weight -= last->told.span_ns;
		fold->rows[last->row].stacks--;
	}
	last->told = block_told(stack);
	last->row = (size_t)(row - fold->rows);
}

void fold_add(struct fold *fold, const struct model *m, const struct event *event)
{
	const struct ev_stack *stack = &event->as_stack;
	uint32_t frames[AROUND + FRAMES_MAX];
	uint32_t count = AROUND + stack->frames_count;
	struct fold_row *row;

	if (event->kind != EV_STACK || stack->now_only || stack->frames_count > FRAMES_MAX)
		return;
	if (!numbers_of(fold, m, event, frames)) {
		frames[0] = MORE_STACKS;
		count = 1;
	}
	row = row_of(fold, stack->kind, frames, count);
	if (stack->kind == STACK_OFF_CPU)
		replace(fold, event, row);
	row->weight += stack->kind == STACK_OFF_CPU ? stack->span_ns : 1;
	row->stacks++;
}

void fold_init(struct fold *fold, enum fold_by by)
{
	*fold = (struct fold){.by = by};
	map_init(&fold->frames_at, FOLD_FRAMES_MAX);
	map_init(&fold->rows_at, FOLD_ROWS_MAX + STACK_KINDS);
	map_init(&fold->threads, THREADS_MAX);
	frame_number(fold, "[more stacks]", NULL, 0);
}
