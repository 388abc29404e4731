// SPDX-License-Identifier: LGPL-2.1-or-later
/* Frames and stacks in words; see stack.h. */
#include "rules/stack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "target/demangle.h"
#include "util/fmt.h"

#define NAME_COLUMNS 60	 /* of a function in a message */
#define PATH_BYTES 70	 /* of a file in a message */
#define LINE_COLUMNS 120 /* of a function in a line of its own */
#define PLACE_SIZE 200

/* --- paths -------------------------------------------------------------------------- */

/* Behind the last `mark` of the path; NULL when it has none. */
static const char *behind(const char *path, const char *mark)
{
	const char *found = NULL;

	for (const char *p = strstr(path, mark); p; p = strstr(p + 1, mark))
		found = p + strlen(mark);
	return found;
}

/* Without its first component. */
static const char *below(const char *path)
{
	const char *slash = path ? strchr(path, '/') : NULL;

	return slash && slash[1] ? slash + 1 : path;
}

static const char *last_two(const char *path)
{
	const char *cut = path;
	int slashes = 0;

	for (const char *p = path + strlen(path); p > path && slashes < 2; p--) {
		if (p[-1] != '/')
			continue;
		cut = p;
		slashes++;
	}
	return *cut ? cut : path;
}

const char *path_short(const char *path)
{
	/* Folders of a crate in which sources lie: the innermost one of them is the crate's. */
	static const char *const folders[] = {"/src/", "/tests/", "/examples/", "/benches/"};
	const char *found, *best = NULL;

	found = below(behind(path, "/registry/src/"));
	if (!found)
		found = behind(path, "/git/checkouts/");
	if (!found)
		found = behind(path, "/rustlib/src/rust/");
	if (!found && !strncmp(path, "/rustc/", 7))
		found = below(path + 7);
	if (found && *found)
		return found;
	if (path[0] != '/')
		return path;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		found = behind(path, folders[i]);
		if (found)
			found -= strlen(folders[i]) - 1;
		if (found && found > best)
			best = found;
	}
	return best ? best : last_two(path);
}

/* --- frames ------------------------------------------------------------------------- */

static char *place_text(const struct frame *f, char *out, size_t size)
{
	const char *name = f->binary ? strrchr(f->binary, '/') : NULL;

	if (f->binary)
		snprintf(out, size, "%s+0x%" PRIx64, name && name[1] ? name + 1 : f->binary,
			 f->offset);
	else
		snprintf(out, size, "0x%" PRIx64 " (no mapping)", f->offset);
	return out;
}

void frame_name(const struct frame *f, char *out, size_t size)
{
	out[0] = '\0';
	if (f && f->function)
		name_shorten(f->function, NAME_COLUMNS, out, size);
	else if (f)
		place_text(f, out, size);
}

/* The tail is what tells files apart. */
static const char *path_tail(const char *path)
{
	size_t len = strlen(path);
	const char *cut;

	if (len <= PATH_BYTES)
		return path;
	cut = strchr(path + len - PATH_BYTES, '/');
	return cut ? cut + 1 : path + len - PATH_BYTES;
}

void frame_line_text(const struct frame *f, char *out, size_t size)
{
	out[0] = '\0';
	if (f->file && f->line)
		snprintf(out, size, "%s:%" PRIu32, path_tail(path_short(f->file)), f->line);
}

void frame_text(const struct frame *f, char *out, size_t size)
{
	char name[NAME_COLUMNS * 4 + 1], line[PATH_BYTES * 4] = "";

	frame_name(f, name, sizeof(name));
	if (f)
		frame_line_text(f, line, sizeof(line));
	if (*line && !f->function)
		snprintf(out, size, "%s", line);
	else
		snprintf(out, size, "%s%s%s", line, *line ? " in " : "", name);
}

void stack_culprit_text(const struct site_stack *row, double share, char *out, size_t size)
{
	const char *const of[STACK_KINDS] = {[STACK_OFF_CPU] = "blocked time in",
					     [STACK_ON_CPU] = "samples in",
					     [STACK_SPAWN] = "spawns in",
					     [STACK_REFCOUNT] = "counting of references in"};
	char at[FRAME_TEXT] = "", call[FRAME_TEXT] = "", part[FMT_SIZE];

	if (row->culprit >= 0)
		frame_text(&row->frames[row->culprit], at, sizeof(at));
	if (row->call >= 0)
		frame_name(&row->frames[row->call], call, sizeof(call));
	snprintf(out, size, "%s%s%s (%s of the %s this type's stacks)",
		 *at ? at : "no frame of the task is known", *call ? ", calling " : "", call,
		 fmt_ratio(part, sizeof(part), share), of[row->kind]);
}

void kernel_text(const struct site_stack *row, char *out, size_t size)
{
	const char *name = row->kernel_main >= 0 && row->kernel ? row->kernel[row->kernel_main] :
								  "";

	snprintf(out, size, "%s%s%s", row->kernel_fault ? "page fault" : "",
		 row->kernel_fault && *name ? " in " : "", name);
}

void kernel_lines(const struct site_stack *row, stack_line_fn *line, void *ctx)
{
	for (uint32_t i = 0; i < row->kernel_count; i++)
		line(ctx, (int32_t)i == row->kernel_main ? STACK_LINE_CULPRIT : STACK_LINE_FRAME,
		     row->kernel[i]);
}

void spawner_text(const struct model *m, const struct site_stack *row, char *out, size_t size)
{
	const struct site *spawner = row->kind == STACK_SPAWN ? model_site(m, row->spawner) : NULL;

	if (row->culprit >= 0)
		frame_text(&row->frames[row->culprit], out, size);
	else if (spawner)
		snprintf(out, size, "a poll of %s", spawner->name);
}

void spawn_text(const struct model *m, const struct site *site, const struct site_stack *row,
		double share, char *out, size_t size)
{
	uint64_t taken = site->stacks->taken[STACK_SPAWN];
	char at[FRAME_TEXT] = "", part[FMT_SIZE], count[FMT_SIZE];

	spawner_text(m, row, at, sizeof(at));
	snprintf(out, size, "%s (%s of %s spawn%s looked at)",
		 *at ? at : "no frame of the program is known",
		 fmt_ratio(part, sizeof(part), share),
		 fmt_count(count, sizeof(count), (double)taken), taken == 1 ? "" : "s");
}

/* --- stacks ------------------------------------------------------------------------- */

/* Where the code is, or where it lies when no line is known, and what its name rests on then. */
static void source_text(const struct frame *f, char *out, size_t size)
{
	char place[PLACE_SIZE];

	if (f->file && f->line && f->column)
		snprintf(out, size, "%s:%" PRIu32 ":%" PRIu32 "%s", path_short(f->file), f->line,
			 f->column, f->inlined ? " (inlined)" : "");
	else if (f->file && f->line)
		snprintf(out, size, "%s:%" PRIu32 "%s", path_short(f->file), f->line,
			 f->inlined ? " (inlined)" : "");
	else
		snprintf(out, size, "%s (%s%s)", place_text(f, place, sizeof(place)),
			 f->function ? frame_from_name(f->from) : "no name",
			 f->inlined ? ", inlined" : "");
}

/* A whole line for one frame. */
static void frame_line(const struct frame *f, char *out, size_t size)
{
	char name[LINE_COLUMNS * 4 + 1], source[PATH_BYTES * 4];

	source_text(f, source, sizeof(source));
	if (f->function)
		name_shorten(f->function, LINE_COLUMNS, name, sizeof(name));
	snprintf(out, size, "%s%s%s", f->function ? name : "", f->function ? "  " : "", source);
}

/* Whose frames a folded line stands for, as it names them. */
static const struct {
	unsigned origins;
	const char *word;
} fold_words[] = {
	{1u << FRAME_STD, "std"},
	{1u << FRAME_SYSTEM, "the system"},
	{1u << FRAME_RUNTIME | 1u << FRAME_BOUNDARY, "the runtime"},
	{1u << FRAME_LIBRARY, "libraries"},
	{1u << FRAME_USER, "the program"},
	{1u << FRAME_UNKNOWN, "unknown code"},
};

struct fold {
	stack_line_fn *line;
	void *ctx;
	uint32_t frames, lines;
	unsigned origins; /* bits of those folded so far */
};

static void fold_flush(struct fold *fold)
{
	const char *before = " of ";
	char text[FRAME_TEXT];
	int len;

	if (!fold->frames)
		return;
	len = snprintf(text, sizeof(text), "... %" PRIu32 " frame%s", fold->frames,
		       fold->frames == 1 ? "" : "s");
	for (size_t i = 0; i < sizeof(fold_words) / sizeof(fold_words[0]); i++) {
		if (!(fold->origins & fold_words[i].origins))
			continue;
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s%s", before,
				fold_words[i].word);
		before = ", ";
	}
	fold->line(fold->ctx, STACK_LINE_FOLD, text);
	fold->lines++;
	fold->frames = 0;
	fold->origins = 0;
}

/* What a reader needs at once: the program's own frames, the culprit and what it called. */
static bool is_shown(const struct site_stack *row, uint32_t i)
{
	enum frame_origin origin = row->frames[i].origin;

	if (row->culprit >= 0 && (i == (uint32_t)row->culprit || (int32_t)i == row->call))
		return true;
	return origin == FRAME_USER || (origin == FRAME_LIBRARY && (int32_t)i < row->culprit);
}

static void end_line(const struct site_stack *row, struct fold *fold)
{
	static const char *const why[] = {
		[STACK_CUT] = "only part of the stack was copied",
		[STACK_ABSENT] = "a page of the stack was not in memory",
		[STACK_UNSURE] = "no unwind information covers the next frame",
		[STACK_LIMIT] = "more frames than are kept",
		[STACK_FAILED] = "the binary could not be unwound",
	};
	char text[FRAME_TEXT];

	/* Of a place alone no caller is known: it has no stack that could end. */
	if (row->end == STACK_COMPLETE || row->kind == STACK_REFCOUNT)
		return;
	snprintf(text, sizeof(text), "(ends here: %s)", why[row->end]);
	fold->line(fold->ctx, STACK_LINE_END, text);
}

/* Lines kept for what always comes: a fold before the culprit, the last fold, the end. */
#define RESERVED 3

void stack_lines(const struct site_stack *row, bool full, stack_line_fn *line, void *ctx)
{
	struct fold fold = {.line = line, .ctx = ctx};
	char text[FRAME_TEXT];

	for (uint32_t i = 0; i < row->frames_count; i++) {
		const struct frame *f = &row->frames[i];
		bool culprit = (int32_t)i == row->culprit;
		/* A deep recursion must not push the culprit out. */
		uint32_t room = (int32_t)i < row->culprit ? STACK_FOLDED_MAX / 2 :
							    STACK_FOLDED_MAX - RESERVED;

		if (!full && !culprit && (!is_shown(row, i) || fold.lines >= room)) {
			fold.frames++;
			fold.origins |= 1u << f->origin;
			continue;
		}
		fold_flush(&fold);
		frame_line(f, text, sizeof(text));
		line(ctx, culprit ? STACK_LINE_CULPRIT : STACK_LINE_FRAME, text);
		fold.lines++;
	}
	fold_flush(&fold);
	end_line(row, &fold);
}
