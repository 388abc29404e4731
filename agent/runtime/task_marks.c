// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Marks (runtime/mark.h) of a task type, from DWARF: the cell of the task is walked, structures within
 * structures, and of enums and coroutines every variant under its condition. Types are known by where
 * the unit declares them, not by name alone. Walks are bounded: what lies beyond is not marked.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/die.h"
#include "runtime/task_marks.h"
#include "runtime/task_name_impl.h"
#include "util/xalloc.h"

#define VISITS 50000 /* entries of one task type */
#define DEPTH 48
#define NAMESPACES 6
#define STEPS 6 /* from a guard to its semaphore */
#define SIBLINGS 100000
#define VALUES 64 /* of a discriminant */

enum known_kind { KNOWN_GUARD, KNOWN_CHANNEL, KNOWN_SEMAPHORE };

struct known {
	uint64_t die;
	enum known_kind kind;
};

struct task_marks {
	struct known *known; /* sorted by die */
	size_t count, cap;
	Dwarf_Die cells; /* the namespace that has the cells of tasks */
	bool has_cells;
};

/* Names of types up to their arguments, and the namespace where each is declared; NULL: any. */
static const struct {
	const char *name, *in;
	enum known_kind kind;
} types[] = {
	{"Semaphore", "batch_semaphore", KNOWN_SEMAPHORE},
	{"MutexGuard", NULL, KNOWN_GUARD},
	{"MappedMutexGuard", NULL, KNOWN_GUARD},
	{"OwnedMutexGuard", NULL, KNOWN_GUARD},
	{"OwnedMappedMutexGuard", NULL, KNOWN_GUARD},
	{"RwLockReadGuard", NULL, KNOWN_GUARD},
	{"RwLockWriteGuard", NULL, KNOWN_GUARD},
	{"RwLockMappedWriteGuard", NULL, KNOWN_GUARD},
	{"OwnedRwLockReadGuard", NULL, KNOWN_GUARD},
	{"OwnedRwLockWriteGuard", NULL, KNOWN_GUARD},
	{"OwnedRwLockMappedWriteGuard", NULL, KNOWN_GUARD},
	{"SemaphorePermit", NULL, KNOWN_GUARD},
	{"OwnedSemaphorePermit", NULL, KNOWN_GUARD},
	{"Tx", "chan", KNOWN_CHANNEL},
	{"Rx", "chan", KNOWN_CHANNEL},
};

/* Members on the way from a guard to its pointer, and from what that points to to the semaphore. */
static const char *const to_pointer[] = {"lock", "s", "sem", "ptr", "pointer", NULL};
static const char *const to_semaphore[] = {"data", "s", "ll_sem", NULL};
static const char *const to_channel[] = {"inner", "ptr", "pointer", NULL};

/* --- the unit's types ------------------------------------------------------------------------- */

/* "Rx" of "Rx<u8, S>" */
static bool is_named(const char *have, const char *name)
{
	size_t len = strlen(name);

	return have && !strncmp(have, name, len) && (have[len] == '<' || !have[len]);
}

static void type_add(struct task_marks *m, Dwarf_Die *die, const char *in)
{
	const char *name = dwarf_diename(die);

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (!is_named(name, types[i].name) || (types[i].in && strcmp(types[i].in, in) != 0))
			continue;
		m->known = xgrow(m->known, &m->cap, m->count + 1, sizeof(*m->known));
		m->known[m->count++] = (struct known){dwarf_dieoffset(die), types[i].kind};
		return;
	}
}

/* All types in the namespaces below this one, whose name is `in`. */
static void types_add(struct task_marks *m, Dwarf_Die *space, const char *in, unsigned int depth)
{
	unsigned int seen = 0;
	Dwarf_Die child;

	if (depth > NAMESPACES || dwarf_child(space, &child))
		return;
	do {
		int tag = dwarf_tag(&child);
		const char *name = dwarf_diename(&child);

		if (tag == DW_TAG_structure_type)
			type_add(m, &child, in);
		else if (tag == DW_TAG_namespace && name)
			types_add(m, &child, name, depth + 1);
	} while (++seen < SIBLINGS && !dwarf_siblingof(&child, &child));
}

static bool find_space(Dwarf_Die *unit, const char *const *path, Dwarf_Die *out)
{
	Dwarf_Die at = *unit, child;

	for (; *path; path++) {
		unsigned int seen = 0;

		if (dwarf_child(&at, &child))
			return false;
		while (dwarf_tag(&child) != DW_TAG_namespace || !dwarf_diename(&child) ||
		       strcmp(dwarf_diename(&child), *path) != 0)
			if (++seen > SIBLINGS || dwarf_siblingof(&child, &child))
				return false;
		at = child;
	}
	*out = at;
	return true;
}

static int by_die(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->die < y->die ? -1 : x->die > y->die;
}

struct task_marks *task_marks_open(Dwarf_Die *unit)
{
	static const char *const sync[] = {"tokio", "sync", NULL};
	static const char *const core[] = {"tokio", "runtime", "task", "core", NULL};
	struct task_marks *m = xcalloc(1, sizeof(*m));
	Dwarf_Die space;

	if (find_space(unit, sync, &space))
		types_add(m, &space, "sync", 0);
	if (m->count)
		qsort(m->known, m->count, sizeof(*m->known), by_die);
	m->has_cells = find_space(unit, core, &m->cells);
	return m;
}

void task_marks_free(struct task_marks *m)
{
	if (!m)
		return;
	free(m->known);
	free(m);
}

static const struct known *known_of(const struct task_marks *m, Dwarf_Die *type)
{
	struct known key = {.die = dwarf_dieoffset(type)};

	return m->count ? bsearch(&key, m->known, m->count, sizeof(key), by_die) : NULL;
}

/* The first type argument of a function or structure. */
static bool first_argument(Dwarf_Die *die, Dwarf_Die *out)
{
	Dwarf_Attribute attr;
	Dwarf_Die child, other;

	if (!dwarf_child(die, &child)) {
		do {
			if (dwarf_tag(&child) == DW_TAG_template_type_parameter)
				return die_type(&child, out);
		} while (!dwarf_siblingof(&child, &child));
	}
	if (dwarf_attr(die, DW_AT_abstract_origin, &attr) ||
	    dwarf_attr(die, DW_AT_specification, &attr))
		return dwarf_formref_die(&attr, &other) &&
		       dwarf_dieoffset(&other) != dwarf_dieoffset(die) &&
		       first_argument(&other, out);
	return false;
}

/* --- one task type ---------------------------------------------------------------------------- */

struct walk {
	const struct task_marks *types;
	struct runtime_mark at; /* the place: conditions and offset */
	unsigned int visits;
	bool cut; /* not all of it was walked */
	struct runtime_mark *out;
	size_t count;
};

static void walk_type(struct walk *w, Dwarf_Die *type, uint64_t base, unsigned int depth);

static bool listed(const char *const *names, const char *name)
{
	for (; name && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

/* Follows members with these names down to a type for which `is` says yes. */
static bool follow(const struct task_marks *m, Dwarf_Die *type, const char *const *names,
		   bool (*is)(const struct task_marks *m, Dwarf_Die *type), unsigned int depth,
		   uint64_t *offset, Dwarf_Die *out)
{
	uint64_t location;
	Dwarf_Die child, next;

	if (is(m, type)) {
		*out = *type;
		return true;
	}
	if (depth > STEPS || dwarf_tag(type) != DW_TAG_structure_type || dwarf_child(type, &child))
		return false;
	do {
		if (dwarf_tag(&child) != DW_TAG_member || !listed(names, dwarf_diename(&child)) ||
		    !die_type(&child, &next) ||
		    !die_number(&child, DW_AT_data_member_location, &location))
			continue;
		if (follow(m, &next, names, is, depth + 1, offset, out)) {
			*offset += location;
			return true;
		}
	} while (!dwarf_siblingof(&child, &child));
	return false;
}

static bool is_pointer(const struct task_marks *m, Dwarf_Die *type)
{
	(void)m;
	return dwarf_tag(type) == DW_TAG_pointer_type;
}

static bool is_semaphore(const struct task_marks *m, Dwarf_Die *type)
{
	const struct known *known = known_of(m, type);

	return known && known->kind == KNOWN_SEMAPHORE;
}

/* Its text is borrowed. */
static void mark_add(struct walk *w, enum mark_kind kind, uint64_t offset, uint64_t number,
		     char *text)
{
	struct runtime_mark *mark;

	if (w->count == MARKS_A_SITE || offset > UINT32_MAX || number > UINT32_MAX) {
		w->cut = true;
		free(text);
		return;
	}
	mark = &w->out[w->count++];
	*mark = w->at;
	mark->kind = kind;
	mark->offset = (uint32_t)offset;
	mark->number = (uint32_t)number;
	mark->text = text;
}

static void guard_add(struct walk *w, Dwarf_Die *type, uint64_t base)
{
	uint64_t offset = 0, delta = 0;
	Dwarf_Die pointer, target, semaphore;

	if (follow(w->types, type, to_pointer, is_pointer, 0, &offset, &pointer) &&
	    die_type(&pointer, &target) &&
	    follow(w->types, &target, to_semaphore, is_semaphore, 0, &delta, &semaphore))
		mark_add(w, MARK_HOLDS, base + offset, delta, NULL);
	else
		w->cut = true;
}

static void channel_add(struct walk *w, Dwarf_Die *type, uint64_t base)
{
	const char *name = dwarf_diename(type), *args = strchr(name, '<');
	struct text_span message = {0};
	uint64_t offset = 0, bytes;
	Dwarf_Die pointer, argument;

	if (args)
		message = type_arg(args, args + strlen(args), 0);
	if (!args || message.at == message.end || !first_argument(type, &argument) ||
	    !die_number(&argument, DW_AT_byte_size, &bytes) ||
	    !follow(w->types, type, to_channel, is_pointer, 0, &offset, &pointer))
		return;
	mark_add(w, MARK_CHANNEL, base + offset, bytes,
		 xstrndup(message.at, (size_t)(message.end - message.at)));
}

static void walk_member(struct walk *w, Dwarf_Die *member, uint64_t base, unsigned int depth)
{
	uint64_t location;
	Dwarf_Die type;

	if (die_type(member, &type) && die_number(member, DW_AT_data_member_location, &location))
		walk_type(w, &type, base + location, depth + 1);
}

/* Where the discriminant of the variants lies; false: there is none. */
static bool discriminant(Dwarf_Die *part, uint64_t base, struct mark_cond *out)
{
	uint64_t location, size;
	Dwarf_Attribute attr;
	Dwarf_Die member, type;

	if (!dwarf_attr(part, DW_AT_discr, &attr) || !dwarf_formref_die(&attr, &member) ||
	    !die_type(&member, &type) ||
	    !die_number(&member, DW_AT_data_member_location, &location) ||
	    !die_number(&type, DW_AT_byte_size, &size))
		return false;
	*out = (struct mark_cond){.offset = (uint32_t)(base + location), .size = (uint8_t)size};
	return base + location <= UINT32_MAX && (size == 1 || size == 2 || size == 4 || size == 8);
}

/* A value as it lies in memory: negative ones are written longer. */
static bool variant_value(Dwarf_Die *variant, uint8_t size, uint64_t *out)
{
	if (!die_number(variant, DW_AT_discr_value, out))
		return false;
	if (size < sizeof(*out))
		*out &= (1ULL << size * 8) - 1;
	return true;
}

static void walk_variant(struct walk *w, Dwarf_Die *variant, uint64_t base, unsigned int depth)
{
	Dwarf_Die child;

	if (dwarf_child(variant, &child))
		return;
	do {
		if (dwarf_tag(&child) == DW_TAG_member)
			walk_member(w, &child, base, depth);
	} while (!dwarf_siblingof(&child, &child));
}

/* The conditions for one variant on top of those of the place; false: there is no room. */
static bool push_conds(struct walk *w, const struct mark_cond *discr, const uint64_t *values,
		       size_t count, bool differs)
{
	if (w->at.conds_count + count > MARK_CONDS)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct mark_cond *c = &w->at.conds[w->at.conds_count++];

		*c = *discr;
		c->value = values[i];
		c->differs = differs;
	}
	return true;
}

/* Enums of one variant have no discriminant. */
static void walk_only(struct walk *w, Dwarf_Die *part, uint64_t base, unsigned int depth)
{
	Dwarf_Die child, only;
	size_t count = 0;

	if (dwarf_child(part, &child))
		return;
	do {
		if (dwarf_tag(&child) == DW_TAG_variant && !count++)
			only = child;
	} while (!dwarf_siblingof(&child, &child));
	if (count == 1)
		walk_variant(w, &only, base, depth);
	else
		w->cut |= count > 1;
}

/* The values of all variants that have one; false: more than there is room for. */
static bool variant_values(Dwarf_Die *part, uint8_t size, uint64_t values[VALUES], size_t *count)
{
	Dwarf_Die child;
	uint64_t value;

	*count = 0;
	if (dwarf_child(part, &child))
		return true;
	do {
		if (dwarf_tag(&child) != DW_TAG_variant || !variant_value(&child, size, &value))
			continue;
		if (*count == VALUES)
			return false;
		values[(*count)++] = value;
	} while (!dwarf_siblingof(&child, &child));
	return true;
}

static void walk_part(struct walk *w, Dwarf_Die *part, uint64_t base, unsigned int depth)
{
	uint8_t before = w->at.conds_count;
	struct mark_cond discr;
	uint64_t values[VALUES], value;
	size_t count;
	Dwarf_Die child;
	bool room;

	if (!dwarf_hasattr(part, DW_AT_discr)) {
		walk_only(w, part, base, depth);
		return;
	}
	if (!discriminant(part, base, &discr) || dwarf_child(part, &child) ||
	    !variant_values(part, discr.size, values, &count)) {
		w->cut = true;
		return;
	}
	do {
		if (dwarf_tag(&child) != DW_TAG_variant)
			continue;
		/* The one without a value is there when no other is. */
		room = variant_value(&child, discr.size, &value) ?
			       push_conds(w, &discr, &value, 1, false) :
			       push_conds(w, &discr, values, count, true);
		if (room)
			walk_variant(w, &child, base, depth);
		else
			w->cut = true;
		w->at.conds_count = before;
	} while (!dwarf_siblingof(&child, &child));
}

static void walk_type(struct walk *w, Dwarf_Die *type, uint64_t base, unsigned int depth)
{
	const struct known *known;
	Dwarf_Die child;

	if (dwarf_tag(type) != DW_TAG_structure_type)
		return;
	if (++w->visits > VISITS || depth > DEPTH) {
		w->cut = true;
		return;
	}
	known = known_of(w->types, type);
	if (known && known->kind == KNOWN_GUARD)
		guard_add(w, type, base);
	else if (known && known->kind == KNOWN_CHANNEL)
		channel_add(w, type, base);
	if (known || dwarf_child(type, &child))
		return;
	do {
		int tag = dwarf_tag(&child);

		if (tag == DW_TAG_member)
			walk_member(w, &child, base, depth);
		else if (tag == DW_TAG_variant_part)
			walk_part(w, &child, base, depth);
	} while (!dwarf_siblingof(&child, &child));
}

/* The cell of tasks of this future type. */
static bool find_cell(const struct task_marks *m, Dwarf_Die *future, Dwarf_Die *out)
{
	Dwarf_Die cells = m->cells, child, argument;
	unsigned int seen = 0;

	if (!m->has_cells || dwarf_child(&cells, &child))
		return false;
	do {
		if (dwarf_tag(&child) == DW_TAG_structure_type &&
		    is_named(dwarf_diename(&child), "Cell") && first_argument(&child, &argument) &&
		    dwarf_dieoffset(&argument) == dwarf_dieoffset(future)) {
			*out = child;
			return true;
		}
	} while (++seen < SIBLINGS && !dwarf_siblingof(&child, &child));
	return false;
}

bool task_marks_of(const struct task_marks *m, Dwarf_Die *poll,
		   struct runtime_mark out[MARKS_A_SITE], size_t *count)
{
	struct walk w = {.types = m, .out = out};
	Dwarf_Die future, cell;

	*count = 0;
	if (!first_argument(poll, &future) || !find_cell(m, &future, &cell))
		return false;
	walk_type(&w, &cell, 0, 0);
	*count = w.count;
	return !w.cut;
}
