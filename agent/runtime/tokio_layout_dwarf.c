// SPDX-License-Identifier: LGPL-2.1-or-later
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/die.h"
#include "runtime/tokio_layout.h"

/* Limits of the walk; the widest structure met (blocking::pool::Inner) visits about 300 members. */
#define WALK_MEMBERS 2048
#define WALK_DEPTH 14
#define UNITS_MAX 200000
#define SIBLINGS_MAX 100000

/* A place on a path: a type, and how far behind the last pointer it starts. */
struct place {
	Dwarf_Die type;
	uint64_t offset;
	unsigned int depth;
};

struct field_path {
	enum tokio_root root;
	const char *path;
};

static const struct field_path field_paths[TOKIO_FIELD_COUNT] = {
#define FIELD_PATH(name, root, path) [TOKIO_##name] = {TOKIO_ROOT_##root, path},
	TOKIO_FIELDS(FIELD_PATH)
#undef FIELD_PATH
};

const char *const tokio_field_names[TOKIO_FIELD_COUNT] = {
#define FIELD_NAME(name, root, path) [TOKIO_##name] = #name,
	TOKIO_FIELDS(FIELD_NAME)
#undef FIELD_NAME
};

static const enum tokio_field size_field[TOKIO_ROOTS] = {
	[TOKIO_ROOT_MULTI] = TOKIO_MULTI_SIZE,
	[TOKIO_ROOT_CURRENT] = TOKIO_CURRENT_SIZE,
	[TOKIO_ROOT_LOCAL] = TOKIO_LOCAL_SIZE,
};

static const char *const root_names[TOKIO_ROOTS] = {
	[TOKIO_ROOT_MULTI] = "tokio/runtime/scheduler/multi_thread/handle/Handle",
	[TOKIO_ROOT_CURRENT] = "tokio/runtime/scheduler/current_thread/Handle",
	[TOKIO_ROOT_LOCAL] = "tokio/task/local/Shared",
};

int tokio_layout_has(const struct tokio_layout *layout, enum tokio_root root)
{
	return layout->off[size_field[root]] > 0;
}

static bool named(Dwarf_Die *die, const char *name, size_t len)
{
	const char *have = dwarf_diename(die);

	return have && strlen(have) == len && !memcmp(have, name, len);
}

/* Breadth first over the members of nested structures, enum variants included. */
struct walk {
	struct place queue[WALK_MEMBERS];
	size_t head, tail;
	const char *name;
	size_t len;
};

static bool walk_members(struct walk *w, Dwarf_Die *parent, const struct place *at,
			 struct place *out);

static bool walk_member(struct walk *w, Dwarf_Die *member, const struct place *at,
			struct place *out)
{
	struct place next = {.offset = at->offset, .depth = at->depth + 1};
	uint64_t location = 0;

	if (!die_type(member, &next.type) ||
	    !die_number(member, DW_AT_data_member_location, &location))
		return false;
	next.offset += location;
	if (named(member, w->name, w->len)) {
		*out = next;
		return true;
	}
	if (next.depth < WALK_DEPTH && w->tail < WALK_MEMBERS &&
	    dwarf_tag(&next.type) == DW_TAG_structure_type)
		w->queue[w->tail++] = next;
	return false;
}

static bool walk_members(struct walk *w, Dwarf_Die *parent, const struct place *at,
			 struct place *out)
{
	Dwarf_Die child;
	int tag;

	if (dwarf_child(parent, &child))
		return false;
	do {
		tag = dwarf_tag(&child);
		if (tag == DW_TAG_member && walk_member(w, &child, at, out))
			return true;
		/* These two nest three levels at most: part, variant, member. */
		if ((tag == DW_TAG_variant_part || tag == DW_TAG_variant) &&
		    walk_members(w, &child, at, out))
			return true;
	} while (!dwarf_siblingof(&child, &child));
	return false;
}

static bool find_member(const struct place *from, const char *name, size_t len, struct place *out)
{
	struct walk w;

	w.name = name;
	w.len = len;
	w.head = 0;
	w.tail = 1;
	w.queue[0] = *from;
	w.queue[0].depth = 0;
	while (w.head < w.tail) {
		struct place at = w.queue[w.head++];

		if (walk_members(&w, &at.type, &at, out))
			return true;
	}
	return false;
}

static bool follow_pointer(struct place *at)
{
	Dwarf_Die target;

	if (dwarf_tag(&at->type) != DW_TAG_pointer_type || !die_type(&at->type, &target))
		return false;
	at->type = target;
	at->offset = 0;
	return true;
}

/* One alternative of a path, up to `end`; false when this build has no such member. */
static bool resolve(const struct place *root, const char *path, const char *end, int64_t *out)
{
	struct place at = *root;
	uint64_t number;

	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t len = (size_t)((slash ? slash : end) - path);

		if (*path == '#') {
			unsigned int attr = path[1] == 's' ? DW_AT_byte_size : DW_AT_alignment;

			if (!die_number(&at.type, attr, &number))
				return false;
			*out = (int64_t)number;
			return true;
		}
		if (*path == '*' ? !follow_pointer(&at) : !find_member(&at, path, len, &at))
			return false;
		path += len + (slash ? 1 : 0);
	}
	*out = (int64_t)at.offset;
	return true;
}

static int16_t resolve_any(const struct place *root, const char *path)
{
	int64_t value;

	for (;;) {
		const char *bar = strchr(path, '|');
		const char *end = bar ? bar : path + strlen(path);

		if (resolve(root, path, end, &value))
			return value >= 0 && value <= INT16_MAX ? (int16_t)value : -1;
		if (!bar)
			return -1;
		path = bar + 1;
	}
}

/* A child namespace, or at the end of the path a structure, of this name. */
static bool find_child(Dwarf_Die *parent, const char *name, size_t len, int tag, Dwarf_Die *out)
{
	unsigned int seen = 0;
	Dwarf_Die child;

	if (dwarf_child(parent, &child))
		return false;
	do {
		if (dwarf_tag(&child) == tag && named(&child, name, len) &&
		    !dwarf_hasattr(&child, DW_AT_declaration)) {
			*out = child;
			return true;
		}
	} while (++seen < SIBLINGS_MAX && !dwarf_siblingof(&child, &child));
	return false;
}

static bool find_type(Dwarf_Die *unit, const char *path, Dwarf_Die *out)
{
	Dwarf_Die at = *unit;

	for (;;) {
		const char *slash = strchr(path, '/');
		size_t len = slash ? (size_t)(slash - path) : strlen(path);

		if (!find_child(&at, path, len, slash ? DW_TAG_namespace : DW_TAG_structure_type,
				&at))
			break;
		if (!slash) {
			*out = at;
			return true;
		}
		path = slash + 1;
	}
	return false;
}

static void fill_root(struct tokio_layout *layout, enum tokio_root root, Dwarf_Die *type)
{
	struct place start = {.type = *type};

	for (size_t i = 0; i < TOKIO_FIELD_COUNT; i++)
		if (field_paths[i].root == root)
			layout->off[i] = resolve_any(&start, field_paths[i].path);
}

/* Every root that this unit defines and that no unit before did. */
static size_t unit_roots(Dwarf_Die *unit, struct tokio_layout *layout)
{
	size_t found = 0;
	Dwarf_Die type;

	for (int root = 0; root < TOKIO_ROOTS; root++) {
		if (tokio_layout_has(layout, (enum tokio_root)root))
			continue;
		if (!find_type(unit, root_names[root], &type))
			continue;
		fill_root(layout, (enum tokio_root)root, &type);
		found++;
	}
	return found;
}

int tokio_layout_from_dwarf(Dwarf *dwarf, struct tokio_layout *layout, struct err *err)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit, sub;
	uint8_t type;
	size_t found = 0, units = 0;

	memset(layout->off, 0xff, sizeof(layout->off));
	while (found < TOKIO_ROOTS && units++ < UNITS_MAX &&
	       !dwarf_get_units(dwarf, cu, &cu, NULL, &type, &unit, &sub)) {
		const char *name = dwarf_diename(&unit);

		/* The crate's own units; walking those of every crate takes seconds. */
		if (type != DW_UT_compile || !name || !strstr(name, "tokio"))
			continue;
		found += unit_roots(&unit, layout);
	}
	if (!found)
		return err_set(err, -ENOENT, "the debug information describes no Tokio scheduler");
	return 0;
}
