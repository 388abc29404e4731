// SPDX-License-Identifier: LGPL-2.1-or-later
#include "runtime/task_name.h"

#include <stdio.h>
#include <string.h>

#include "runtime/task_name_impl.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#define DWARF_MS 150
#define OTHERS_MAX 6 /* folded names listed */
#define LINE_MAX_BYTES 4096
#define CALLEE_TYPES 2 /* that a callee can stand for: one future on two schedulers */
#define NARROW_MAX 32  /* folded types that are narrowed down: each costs a look at all symbols */

/* What task_namer_learn() found out about one vtable. */
struct lesson {
	uint64_t poll;
	uint64_t trailer;
	enum site_name_from from; /* NAME_NONE: the evidence is empty */
	struct evidence evidence;
	bool body;    /* its own body settled which of the folded types it is */
	bool shared;  /* a vtable of another type reaches the same glue */
	char *callee; /* first function outside the runtime that poll calls; NULL not looked for */
	bool common;  /* more types than CALLEE_TYPES call it */
};

struct task_namer {
	const struct task_dialect *dialect;
	struct elf_file *f;
	struct elf_file *debug;	  /* NULL none */
	struct task_dwarf *dwarf; /* NULL none */
	char *binary;		  /* last component of the path */
	bool own_symbols;	  /* f has a .symtab of its own */
	bool own_dwarf;
	bool has_rust; /* some symbol is Rust's: rung 4 and the scheduler's guess can work */
	bool has_glue; /* so can rung 3 */
	struct lesson *lessons; /* sorted by poll */
	size_t n_lessons;
};

static bool has_rust_symbols(struct elf_file *f)
{
	const struct elf_symbol *s;
	size_t n;

	s = elf_symbols(f, &n);
	for (size_t i = 0; i < n; i++)
		if (demangle_is_rust(s[i].name))
			return true;
	return false;
}

static void lesson_clear(struct lesson *l)
{
	evidence_clear(&l->evidence);
	free(l->callee);
}

static int open_debug(const struct task_namer *n, const struct task_namer_options *options,
		      struct elf_file **out)
{
	if (options->open_debug)
		return options->open_debug(options->open_debug_ctx, n->f, out);
	return elf_open_debug(n->f, options->root, options->path, out, NULL);
}

int task_namer_layout(struct task_namer *n, struct tokio_layout *out)
{
	return task_dwarf_layout(n->dwarf, out);
}

bool task_namer_marks(struct task_namer *n, uint64_t poll, struct runtime_mark *out, size_t *count)
{
	return task_dwarf_marks(n->dwarf, poll, out, count);
}

void task_namer_for(const struct object *object, const struct task_dialect *dialect,
		    struct task_namer_options *options)
{
	*options = (struct task_namer_options){
		.dialect = dialect,
		.path = object->name,
		.open_debug = object->open_debug,
		.open_debug_ctx = object->open_debug_ctx,
		.no_dwarf = object->effort >= OBJECT_NO_DEBUG,
		.no_symbols = object->effort >= OBJECT_BARE,
	};
}

int task_namer_open(struct elf_file *f, const struct task_namer_options *options,
		    struct task_namer **out, struct err *err)
{
	const char *path = options->path, *slash = path ? strrchr(path, '/') : NULL;
	unsigned int ms = options->dwarf_ms ? options->dwarf_ms : DWARF_MS;
	struct task_namer *n = xcalloc(1, sizeof(*n));
	struct elf_section sec;

	(void)err;
	n->dialect = options->dialect;
	n->f = f;
	n->binary = xstrdup(slash ? slash + 1 : path ? path : "binary");
	n->own_symbols = elf_section(f, ".symtab", &sec) == 0;
	n->own_dwarf = elf_section(f, ".debug_info", &sec) == 0;
	if ((!n->own_symbols || !n->own_dwarf) && !options->no_symbols &&
	    open_debug(n, options, &n->debug) != 0)
		n->debug = NULL;
	if (options->no_symbols)
		elf_without_symbols(f);
	else if (n->debug && !n->own_symbols)
		elf_add_symbols(f, n->debug, NULL);
	else
		elf_load_symbols(f, NULL);
	n->has_rust = has_rust_symbols(f);
	n->has_glue = task_has_glue(n->dialect, f);
	if (!options->no_dwarf)
		n->dwarf = task_dwarf_open(n->dialect, n->own_dwarf || !n->debug ? f : n->debug,
					   ms);
	*out = n;
	return 0;
}

void task_namer_free(struct task_namer *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_lessons; i++)
		lesson_clear(&n->lessons[i]);
	free(n->lessons);
	task_dwarf_free(n->dwarf);
	elf_close(n->debug);
	free(n->binary);
	free(n);
}

void task_name_clear(struct task_name *name)
{
	free(name->name);
	free(name->full);
	free(name->scheduler);
	free(name->others);
	memset(name, 0, sizeof(*name));
}

static char *readable_dup(const char *text, bool future, enum name_form *form)
{
	char out[DEMANGLE_MAX];
	enum name_form f = name_readable(text, future, out, sizeof(out));

	if (form)
		*form = f;
	return text_sanitize_dup(out);
}

static char *span_dup(struct text_span s)
{
	return xstrndup(s.at, (size_t)(s.end - s.at));
}

/* The user's future of a type, readable. */
static char *short_name(const struct task_dialect *d, const struct candidate *c,
			enum name_form *form, enum site_kind *kind)
{
	struct text_span inner;
	char *text, *out;

	*kind = d->kind_of(c->future, c->scheduler, &inner);
	if (*kind == SITE_TASK)
		inner = task_unwrap(inner);
	text = span_dup(inner);
	out = readable_dup(text, *kind == SITE_TASK, form);
	free(text);
	return out;
}

static char *full_name(const struct task_dialect *d, const char *future, enum site_kind kind,
		       const char *name)
{
	if (kind != SITE_TASK)
		return xasprintf("%s<%s>", d->blocking_full, name);
	return readable_dup(future, true, NULL);
}

static int score(const struct task_dialect *d, const struct candidate *c,
		 enum runtime_flavor flavor)
{
	bool fits = flavor != FLAVOR_UNKNOWN && d->flavor_of(c->scheduler) == flavor;

	return 2 * __builtin_popcount(c->votes) + fits;
}

/*
 * The candidate with most votes; among equals one of the scheduler that schedule() shows. There is
 * at least one.
 */
static const struct candidate *choose(const struct task_dialect *d, const struct evidence *e,
				      enum runtime_flavor flavor)
{
	const struct candidate *best = &e->list[0];

	for (size_t i = 1; i < e->n; i++)
		if (score(d, &e->list[i], flavor) > score(d, best, flavor))
			best = &e->list[i];
	return best;
}

static enum site_kind kind_of(const struct task_dialect *d, const struct candidate *c)
{
	struct text_span inner;

	return d->kind_of(c->future, c->scheduler, &inner);
}

/* Futures that have as many votes as the chosen one; a worker is a worker by any name. */
static void list_others(const struct task_dialect *d, const struct evidence *e,
			const struct candidate *best, struct task_name *out)
{
	char line[LINE_MAX_BYTES];
	size_t len = 0, listed = 0;

	line[0] = '\0';
	for (size_t i = 0; i < e->n; i++) {
		const struct candidate *c = &e->list[i];
		enum name_form form;
		enum site_kind kind;
		char *name;

		if (__builtin_popcount(c->votes) < __builtin_popcount(best->votes) ||
		    strcmp(c->future, best->future) == 0 ||
		    (out->kind == SITE_WORKER && kind_of(d, c) == SITE_WORKER))
			continue;
		out->ambiguous = true;
		if (listed++ >= OTHERS_MAX)
			continue;
		name = short_name(d, c, &form, &kind);
		if (len < sizeof(line) - 1)
			len += (size_t)snprintf(line + len, sizeof(line) - len, "%s%s",
						len ? ", " : "", name);
		free(name);
	}
	if (out->ambiguous)
		out->others = xstrdup(line);
}

static void fill_from_evidence(const struct task_dialect *d, const struct evidence *e,
			       enum runtime_flavor flavor, struct task_name *out)
{
	const struct candidate *best = choose(d, e, flavor);

	out->name = short_name(d, best, &out->form, &out->kind);
	out->full = full_name(d, best->future, out->kind, out->name);
	if (best->scheduler) {
		out->scheduler = readable_dup(best->scheduler, true, NULL);
		out->flavor = d->flavor_of(best->scheduler);
	}
	list_others(d, e, best, out);
}

static void fill_nameless(struct task_namer *n, const struct task_functions *w, unsigned int index,
			  struct task_name *out)
{
	uint64_t offset = w->poll;
	char buf[512];

	elf_vaddr_to_offset(n->f, w->poll, &offset);
	snprintf(buf, sizeof(buf), "task type #%u (%llu B) @ %.255s+0x%llx", index,
		 (unsigned long long)w->size, n->binary, (unsigned long long)offset);
	out->name = text_sanitize_dup(buf);
	out->full = xstrdup(out->name);
	out->from = NAME_NONE;
}

static void fill_from_callee(const char *callee, struct task_name *out)
{
	out->name = readable_dup(callee, out->kind == SITE_TASK, &out->form);
	out->full = xstrdup(out->name);
	out->from = NAME_CALLEE;
}

/* A scheduler type that no symbol spelt out, told by what schedule() calls. */
static void fill_scheduler(const struct task_dialect *d, enum runtime_flavor flavor,
			   struct task_name *out)
{
	const char *type = d->schedulers[flavor];

	if (out->scheduler)
		return;
	if (out->kind != SITE_TASK) {
		out->scheduler = xstrdup(d->blocking_scheduler);
		return;
	}
	out->flavor = flavor;
	if (type)
		out->scheduler = xstrdup(type);
}

static enum site_name_from gather(struct task_namer *n, const struct task_functions *w,
				  struct evidence *e)
{
	memset(e, 0, sizeof(*e));
	if (task_name_by_symbol(n->dialect, n->f, w, e))
		return NAME_SYMBOL;
	if (task_name_by_dwarf(n->dwarf, w, e))
		return NAME_DWARF;
	if (n->has_glue && task_name_by_glue(n->dialect, n->f, w, e) && e->n)
		return NAME_DROP_GLUE;
	return NAME_NONE;
}

static int by_poll(const void *a, const void *b)
{
	const struct lesson *x = a, *y = b;

	return x->poll < y->poll ? -1 : x->poll > y->poll;
}

static int by_glue(const void *a, const void *b)
{
	const struct lesson *const *x = a, *const *y = b;
	uint64_t p = (*x)->evidence.glue, q = (*y)->evidence.glue;

	return p < q ? -1 : p > q;
}

/*
 * Two types at one piece of glue: where it names both types always; where it says nothing of S,
 * when the sizes differ, for else it can be one future on two schedulers.
 */
static bool contradicts(const struct task_dialect *d, const struct lesson *a,
			const struct lesson *b)
{
	bool both = a->evidence.list[0].scheduler && b->evidence.list[0].scheduler;

	return a->poll != b->poll && (both || d->glue_unique || a->trailer != b->trailer);
}

static void mark_shared(const struct task_dialect *d, struct lesson **group, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (contradicts(d, group[0], group[i]))
			group[0]->shared = group[i]->shared = true;
}

static void find_shared(struct task_namer *n)
{
	struct lesson **list = xcalloc(n->n_lessons, sizeof(*list));
	size_t count = 0, start = 0;

	for (size_t i = 0; i < n->n_lessons; i++)
		if (n->lessons[i].from == NAME_DROP_GLUE)
			list[count++] = &n->lessons[i];
	if (count)
		qsort(list, count, sizeof(*list), by_glue);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && list[i]->evidence.glue == list[start]->evidence.glue)
			continue;
		mark_shared(n->dialect, list + start, i - start);
		start = i;
	}
	free(list);
}

static bool futures_differ(const struct evidence *e)
{
	for (size_t i = 1; i < e->n; i++)
		if (strcmp(e->list[0].future, e->list[i].future) != 0)
			return true;
	return false;
}

/*
 * Link-time optimisation merges equal glue and keeps one symbol of it: the name is then true of one
 * of these types only. Where the linker folded it, all names are still there.
 */
static bool misleads(const struct lesson *lesson)
{
	return lesson->shared && !lesson->body && !futures_differ(&lesson->evidence);
}

/* What poll calls, for types whose own name is not known. */
static void learn_callee(struct task_namer *n, struct lesson *l)
{
	char callee[DEMANGLE_MAX];

	if ((l->evidence.n && !misleads(l)) || !n->has_rust ||
	    !task_name_by_callee(n->dialect, n->f, l->poll, callee, sizeof(callee)))
		return;
	l->callee = xstrdup(callee);
}

static int by_callee(const void *a, const void *b)
{
	const struct lesson *const *x = a, *const *y = b;

	return strcmp((*x)->callee, (*y)->callee);
}

/* A helper that many task types call names none of them; two can be one future on two schedulers. */
static void drop_common_callees(struct task_namer *n)
{
	struct lesson **list = xcalloc(n->n_lessons, sizeof(*list));
	size_t count = 0, start = 0;

	for (size_t i = 0; i < n->n_lessons; i++)
		if (n->lessons[i].callee)
			list[count++] = &n->lessons[i];
	if (count)
		qsort(list, count, sizeof(*list), by_callee);
	for (size_t i = 1; i <= count; i++) {
		if (i < count && strcmp(list[i]->callee, list[start]->callee) == 0)
			continue;
		for (size_t j = start; j < i && i - start > CALLEE_TYPES; j++)
			list[j]->common = true;
		start = i;
	}
	free(list);
}

void task_namer_learn(struct task_namer *n, const struct task_functions *list, size_t count)
{
	unsigned int narrowed = 0;

	for (size_t i = 0; i < n->n_lessons; i++)
		lesson_clear(&n->lessons[i]);
	n->lessons = xreallocarray(n->lessons, count, sizeof(*n->lessons));
	n->n_lessons = count;
	for (size_t i = 0; i < count; i++) {
		struct lesson *l = &n->lessons[i];

		l->poll = list[i].poll;
		l->trailer = list[i].size;
		l->shared = l->common = false;
		l->callee = NULL;
		l->from = gather(n, &list[i], &l->evidence);
		l->body = l->from == NAME_DROP_GLUE && futures_differ(&l->evidence) &&
			  narrowed++ < NARROW_MAX &&
			  task_narrow_by_body(n->f, l->poll, &l->evidence);
	}
	if (count)
		qsort(n->lessons, count, sizeof(*n->lessons), by_poll);
	find_shared(n);
	for (size_t i = 0; i < count; i++)
		learn_callee(n, &n->lessons[i]);
	drop_common_callees(n);
}

static const struct lesson *find_lesson(const struct task_namer *n, uint64_t poll)
{
	struct lesson key = {.poll = poll};

	if (!n->n_lessons)
		return NULL;
	return bsearch(&key, n->lessons, n->n_lessons, sizeof(key), by_poll);
}

static void fill(struct task_namer *n, const struct task_functions *w, unsigned int index,
		 const struct lesson *lesson, struct task_name *out)
{
	const struct evidence *e = &lesson->evidence;
	enum runtime_flavor flavor = FLAVOR_UNKNOWN;

	if (n->has_rust && !w->blocking && (e->n != 1 || !e->list[0].scheduler))
		flavor = task_flavor_by_schedule(n->dialect, n->f, w->schedule);
	if (e->n && !misleads(lesson))
		fill_from_evidence(n->dialect, e, flavor, out);
	else if (lesson->callee && !lesson->common)
		fill_from_callee(lesson->callee, out);
	else
		fill_nameless(n, w, index, out);
	fill_scheduler(n->dialect, flavor, out);
	if (n->debug && out->from != NAME_NONE)
		out->separate_debug = out->from == NAME_DWARF ? !n->own_dwarf : !n->own_symbols;
}

void task_name_of(struct task_namer *n, const struct task_functions *w, unsigned int index,
		  struct task_name *out)
{
	const struct lesson *known = find_lesson(n, w->poll);
	struct lesson own = {.poll = w->poll};

	memset(out, 0, sizeof(*out));
	if (!known) {
		own.from = gather(n, w, &own.evidence);
		learn_callee(n, &own);
		known = &own;
	}
	out->kind = w->blocking ? SITE_BLOCKING : SITE_TASK;
	out->from = known->from;
	fill(n, w, index, known, out);
	out->ambiguous |= known->shared && !known->body && out->from == NAME_DROP_GLUE;
	lesson_clear(&own);
}

void task_name_site(struct task_namer *n, const struct task_functions *words, unsigned int index,
		    struct runtime_site *site)
{
	struct task_name name;

	task_name_of(n, words, index, &name);
	/* Folded by the linker: one of several types, and nothing tells which. */
	site->name = name.others ? xasprintf("%s | %s", name.name, name.others) :
				   xstrdup(name.name);
	site->scheduler = name.scheduler ? xstrdup(name.scheduler) : NULL;
	site->kind = name.kind;
	site->flavor = name.flavor;
	site->name_from = name.from;
	site->ambiguous = name.ambiguous;
	task_name_clear(&name);
}
