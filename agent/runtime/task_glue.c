// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Names from symbols: those of the vtable's functions, and those of what they call.
 */
#include <errno.h>
#include <string.h>

#include "runtime/task_name_impl.h"
#include "target/insn.h"
#include "util/xalloc.h"

#define MAX_INSNS 3000	 /* decoded of one function */
#define MAX_CODE 16384	 /* bytes read of one function */
#define MAX_TARGETS 48	 /* direct calls and jumps kept of one function */
#define MAX_VISITED 48	 /* functions read on one walk */
#define MAX_FOLDED 256	 /* names at one address that are looked at */
#define CALLEE_BUDGET 24 /* runtime functions entered on the way to the user's */

struct targets {
	uint64_t addr[MAX_TARGETS];
	size_t n;
};

/* A walk that wants to know each function reached: true ends the level. */
typedef bool (*reach_fn)(struct elf_file *f, uint64_t addr, void *ctx);

static void add_target(struct targets *t, uint64_t addr)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->addr[i] == addr)
			return;
	if (t->n < MAX_TARGETS)
		t->addr[t->n++] = addr;
}

/* Where the function ends: by its symbol, else unknown (0). */
static uint64_t function_end(struct elf_file *f, uint64_t start)
{
	const struct elf_symbol *first;
	size_t n = elf_symbols_at(f, start, &first);

	for (size_t i = 0; i < n; i++)
		if (first[i].size)
			return start + first[i].size;
	return 0;
}

static bool leaves(const struct insn *in, uint64_t start, uint64_t end)
{
	if (in->flow == INSN_CALL)
		return true;
	return (in->flow == INSN_JUMP || in->flow == INSN_BRANCH) &&
	       (in->target < start || in->target >= end);
}

/* Direct calls, and jumps out, of the function at start. */
static void find_targets(struct elf_file *f, uint64_t start, struct targets *out)
{
	uint64_t known_end = function_end(f, start);
	uint64_t end = known_end ? known_end : start + MAX_CODE;
	uint64_t far = start; /* the furthest branch inside: code goes on at least to there */
	size_t size = end - start < MAX_CODE ? end - start : MAX_CODE;
	uint8_t *code = xmalloc(size + INSN_MAX_LEN);
	ssize_t n = elf_is_code(f, start) ? elf_read_some(f, start, code, size) : -1;
	size_t at = 0;

	out->n = 0;
	for (unsigned int i = 0; n > 0 && at < (size_t)n && i < MAX_INSNS; i++) {
		struct insn in;

		if (insn_decode_flow(code + at, (size_t)n - at, start + at, &in) != 0)
			break;
		if (in.has_target && leaves(&in, start, end) && elf_is_code(f, in.target))
			add_target(out, in.target);
		else if (in.has_target && in.target > far)
			far = in.target;
		at += in.len;
		if (!known_end && in.flow != INSN_NEXT && in.flow != INSN_CALL &&
		    in.flow != INSN_BRANCH && start + at > far)
			break;
	}
	free(code);
}

static bool reach_all(struct elf_file *f, const struct targets *t, reach_fn reach, void *ctx)
{
	bool hit = false;

	for (size_t i = 0; i < t->n; i++)
		hit |= reach(f, t->addr[i], ctx);
	return hit;
}

/* Goes below each of `level` until one answers, at most `depth` steps and *budget functions. */
static bool walk_below(struct elf_file *f, const struct targets *level, unsigned int depth,
		       unsigned int *budget, reach_fn reach, void *ctx)
{
	struct targets *below;
	size_t n = 0;
	bool hit = false;

	if (!depth || !level->n)
		return false;
	below = xcalloc(level->n, sizeof(*below));
	for (; n < level->n && *budget; n++, --*budget) {
		find_targets(f, level->addr[n], &below[n]);
		hit |= reach_all(f, &below[n], reach, ctx);
	}
	for (size_t i = 0; i < n && !hit; i++)
		hit = walk_below(f, &below[i], depth - 1, budget, reach, ctx);
	free(below);
	return hit;
}

/* Visits what `start` reaches in one direct step and, while nothing answers, in more. */
static bool walk(struct elf_file *f, uint64_t start, unsigned int depth, reach_fn reach, void *ctx)
{
	unsigned int budget = MAX_VISITED;
	struct targets first;

	find_targets(f, start, &first);
	if (reach_all(f, &first, reach, ctx))
		return true;
	return walk_below(f, &first, depth - 1, &budget, reach, ctx);
}

/* Rung 1 */

static const char *after(const char *text, const char *part)
{
	const char *p = strstr(text, part);

	return p ? p + strlen(part) : NULL;
}

/* "...::poll::<F, S>" or "<...RawTask<F, T, S, M>>::run": where the arguments begin. */
static const char *raw_args(const char *text, const char *name)
{
	const char *args = after(text, name);

	if (args && args[0] == ':' && args[1] == ':')
		args += 2;
	return args && *args == '<' ? args : NULL;
}

static bool add_raw_symbols(const struct task_dialect *d, struct elf_file *f, uint64_t addr,
			    unsigned int which, struct evidence *e)
{
	const struct elf_symbol *s;
	size_t n = elf_symbols_at(f, addr, &s);
	char text[DEMANGLE_MAX];
	bool found = false;

	for (size_t i = 0; i < n && i < MAX_FOLDED; i++) {
		const char *args;

		if (strncmp(s[i].name, "_R", 2) != 0 || !strstr(s[i].name, d->raw[which].mangled) ||
		    demangle(s[i].name, text, sizeof(text)) != 0)
			continue;
		args = raw_args(text, d->raw[which].name);
		if (!args)
			continue;
		evidence_add_args(e, args, 0, d->scheduler_arg, 1u << which);
		found = true;
	}
	return found;
}

bool task_name_by_symbol(const struct task_dialect *d, struct elf_file *f,
			 const struct task_functions *w, struct evidence *e)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < TASK_NAMED && d->raw[i].name; i++) {
		/* One name for poll settles it; folded code needs the other functions' votes. */
		if (i > 0 && found && e->n == 1)
			break;
		found += add_raw_symbols(d, f, w->named[i], i, e);
	}
	return found > 0;
}

/* Rung 3 */

static bool is_task_glue(const struct task_dialect *d, const char *mangled)
{
	if (strncmp(mangled, "_R", 2) == 0)
		return strstr(mangled, d->v0_glue) && strstr(mangled, "4core3ptr");
	return strncmp(mangled, "_ZN4core3ptr", 12) == 0 && strstr(mangled, "drop_") &&
	       strstr(mangled, d->legacy_glue);
}

struct glue {
	const struct task_dialect *dialect;
	const struct task_functions *functions;
	struct evidence *e;
	unsigned int vote;
	bool cells; /* types that name S, too; else the others */
};

/* Glue of another kind of task is code that LLVM found equal and merged: it names nothing. */
static bool kind_agrees(const struct glue *g, const char *args)
{
	struct text_span inner;
	enum site_kind kind;

	if (!g->functions->kind_known)
		return true;
	kind = g->dialect->kind_of(args + 1, NULL, &inner);
	return (kind != SITE_TASK) == g->functions->blocking;
}

/*
 * Uses the argument list of the outermost of the dialect's types. Outermost: F itself may contain
 * another task's cell in its own arguments.
 */
static bool add_glue_text(const char *text, const struct glue *g)
{
	const struct task_glue_type *types = g->dialect->glue, *type = NULL;
	const char *best = NULL;

	for (size_t i = 0; i < TASK_GLUE_TYPES && types[i].type; i++) {
		const char *args = after(text, types[i].type);

		if (args && (!best || args < best)) {
			best = args;
			type = &types[i];
		}
	}
	if (!best || (type->scheduler_arg != TASK_NO_ARG) != g->cells || !kind_agrees(g, best - 1))
		return false;
	evidence_add_args(g->e, best - 1, type->future_arg, type->scheduler_arg, g->vote);
	return true;
}

static bool reach_glue(struct elf_file *f, uint64_t addr, void *ctx)
{
	const struct elf_symbol *s;
	size_t n = elf_symbols_at(f, addr, &s);
	const struct glue *g = ctx;
	char text[DEMANGLE_MAX];
	bool found = false;

	for (size_t i = 0; i < n && i < MAX_FOLDED; i++)
		if (is_task_glue(g->dialect, s[i].name) &&
		    demangle(s[i].name, text, sizeof(text)) != -EINVAL)
			found |= add_glue_text(text, g);
	if (found && !g->e->glue)
		g->e->glue = addr;
	return found;
}

static bool gather_glue(struct elf_file *f, struct glue *g, unsigned int n, unsigned int depth,
			bool cells)
{
	bool found = false;

	g->cells = cells;
	for (unsigned int i = 0; i < n && g->functions->drops[i]; i++) {
		if (found && g->e->n == 1)
			break;
		g->vote = 1u << i;
		found |= walk(f, g->functions->drops[i], depth, reach_glue, g);
	}
	return found;
}

/*
 * Glue that names F and S comes first, from all functions, surest first: of Tokio's,
 * drop_abort_handle is little more than a jump to it, while poll may also reach the cells of tasks
 * that this one spawns. Unoptimised code needs more steps; from the first two functions they are safe.
 */
bool task_name_by_glue(const struct task_dialect *d, struct elf_file *f,
		       const struct task_functions *w, struct evidence *e)
{
	struct glue g = {.dialect = d, .functions = w, .e = e};

	return gather_glue(f, &g, TASK_DROPS, 2, true) || gather_glue(f, &g, 2, 5, true) ||
	       gather_glue(f, &g, TASK_DROPS, 2, false);
}

bool task_has_glue(const struct task_dialect *d, struct elf_file *f)
{
	const struct elf_symbol *s;
	size_t n;

	s = elf_symbols(f, &n);
	for (size_t i = 0; i < n; i++)
		if (is_task_glue(d, s[i].name))
			return true;
	return false;
}

/* Rung 4 */

static const char *const foreign[] = {"tokio::",
				      "core::",
				      "alloc::",
				      "std::",
				      "tracing::",
				      "futures_",
				      "<tokio::",
				      "<core::",
				      "<alloc::",
				      "<std::",
				      "<tracing::",
				      "<futures_",
				      "compiler_builtins::",
				      "hashbrown::",
				      "parking_lot",
				      "tracing_core::",
				      "async_task::",
				      "async_executor::",
				      "async_global_executor::",
				      "async_std::",
				      "async_io::",
				      "smol::",
				      "blocking::",
				      "<async_task::",
				      "<async_executor::",
				      "<async_std::",
				      "<async_io::",
				      "<blocking::",
				      "async_lock::",
				      "async_channel::",
				      "<async_channel::",
				      "event_listener",
				      "<F as ",
				      "<T as ",
				      "<S as ",
				      "__rust",
				      "rust_"};

static bool is_foreign(const char *name)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strncmp(name, foreign[i], strlen(foreign[i])) == 0)
			return true;
	return false;
}

struct callee {
	const struct task_dialect *dialect;
	char *out;
	size_t size;
	unsigned int budget;
};

static bool leads_through(const struct task_dialect *d, const char *name)
{
	for (size_t i = 0; d->through[i]; i++)
		if (strstr(name, d->through[i]))
			return true;
	return false;
}

/* Depth first: the user's poll comes right behind the runtime's own call for it. */
static bool find_callee(struct elf_file *f, uint64_t addr, unsigned int depth, struct callee *c)
{
	struct targets t;

	find_targets(f, addr, &t);
	for (size_t i = 0; i < t.n; i++) {
		const struct elf_symbol *s;

		if (!elf_symbols_at(f, t.addr[i], &s) ||
		    demangle(s->name, c->out, c->size) == -EINVAL)
			continue;
		if (!is_foreign(c->out))
			return true;
		if (depth < 3 && leads_through(c->dialect, c->out) && c->budget-- > 0 &&
		    find_callee(f, t.addr[i], depth + 1, c))
			return true;
		if (!c->budget)
			return false;
	}
	return false;
}

bool task_name_by_callee(const struct task_dialect *d, struct elf_file *f, uint64_t poll, char *out,
			 size_t size)
{
	struct callee c = {d, out, size, CALLEE_BUDGET};
	bool found = find_callee(f, poll, 0, &c);

	if (!found && size)
		out[0] = '\0';
	return found;
}

struct scheduler {
	const struct task_dialect *dialect;
	enum runtime_flavor flavor;
};

static bool reach_scheduler(struct elf_file *f, uint64_t addr, void *ctx)
{
	struct scheduler *scheduler = ctx;
	const struct elf_symbol *s;
	char text[DEMANGLE_MAX];

	if (scheduler->flavor == FLAVOR_UNKNOWN && elf_symbols_at(f, addr, &s) &&
	    demangle(s->name, text, sizeof(text)) != -EINVAL)
		scheduler->flavor = scheduler->dialect->flavor_of(text);
	return scheduler->flavor != FLAVOR_UNKNOWN;
}

enum runtime_flavor task_flavor_by_schedule(const struct task_dialect *d, struct elf_file *f,
					    uint64_t schedule)
{
	struct scheduler scheduler = {d, FLAVOR_UNKNOWN};

	if (!reach_scheduler(f, schedule, &scheduler))
		walk(f, schedule, 2, reach_scheduler, &scheduler);
	return scheduler.flavor;
}

/* Bodies: of several futures whose glue was folded, the one that poll runs */

#define BODY_DEPTH 4
#define BODY_WORD 128

struct bodies {
	const struct evidence *e;
	unsigned int reached; /* bit mask of candidates */
};

static bool reach_body(struct elf_file *f, uint64_t addr, void *ctx)
{
	struct bodies *b = ctx;
	const struct elf_symbol *s;
	size_t n = elf_symbols_at(f, addr, &s);
	char text[DEMANGLE_MAX];
	unsigned int before = b->reached;

	for (size_t i = 0; i < n && i < MAX_FOLDED; i++) {
		if (!demangle_is_rust(s[i].name) ||
		    demangle(s[i].name, text, sizeof(text)) == -EINVAL)
			continue;
		for (size_t j = 0; j < b->e->n; j++)
			if (strcmp(text, b->e->list[j].future) == 0)
				b->reached |= 1u << j;
	}
	return b->reached != before;
}

/* The last identifier of a path that is not a closure's: a cheap test before demangling. */
static bool last_word(const char *path, char *out, size_t size)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	size_t len;

	out[0] = '\0';
	for (const char *p = path; *p && *p != '<'; p += len ? len : 1) {
		len = strspn(p, letters);
		if (len >= 3 && len < size && strncmp(p, "closure", len) != 0) {
			memcpy(out, p, len);
			out[len] = '\0';
		}
	}
	return out[0] != '\0';
}

/* Whether a function of exactly this name exists on its own, and not only inlined elsewhere. */
static bool has_body(struct elf_file *f, const char *future)
{
	const struct elf_symbol *s;
	char word[BODY_WORD], text[DEMANGLE_MAX];
	size_t n;

	s = elf_symbols(f, &n);
	if (!last_word(future, word, sizeof(word)))
		return false;
	for (size_t i = 0; i < n; i++)
		if (strstr(s[i].name, word) && strncmp(s[i].name, "_ZN4core3ptr", 12) != 0 &&
		    demangle(s[i].name, text, sizeof(text)) == 0 && strcmp(text, future) == 0)
			return true;
	return false;
}

/*
 * Only where every candidate has a body of its own does reaching one of them say something: the
 * body of another could be inlined, and the one reached be awaited by it.
 */
bool task_narrow_by_body(struct elf_file *f, uint64_t poll, struct evidence *e)
{
	struct bodies b = {e, 0};
	size_t keep;

	walk(f, poll, BODY_DEPTH, reach_body, &b);
	if (__builtin_popcount(b.reached) != 1)
		return false;
	for (size_t i = 0; i < e->n; i++)
		if (!has_body(f, e->list[i].future))
			return false;
	keep = (size_t)__builtin_ctz(b.reached);
	for (size_t i = 0; i < e->n; i++) {
		if (i == keep)
			continue;
		free(e->list[i].future);
		free(e->list[i].scheduler);
	}
	e->list[0] = e->list[keep];
	e->n = 1;
	return true;
}
