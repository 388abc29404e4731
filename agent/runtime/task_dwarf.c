// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rung 2: DWARF. rustc writes the generic arguments into a function's DW_AT_name, so that the
 * subprogram at poll's address is called "poll<shop::handler::{async_fn_env#0}, alloc::sync::
 * Arc<...>>". A unit is walked once, for all poll functions in it, and all walks together stop
 * at a time limit: debug information of a large program is gigabytes.
 */
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

#include "runtime/task_marks.h"
#include "runtime/task_name_impl.h"
#include "runtime/tokio_layout.h"
#include "util/clock.h"
#include "util/xalloc.h"

#define MAX_DEPTH 16 /* nested namespaces */
#define MAX_INLINE_DEPTH 6
#define CHECK_EVERY 256 /* entries between two looks at the clock */
#define MAX_POLLS 65536

struct poll_entry {
	uint64_t addr;
	const char *name; /* owned by the Dwarf */
	Dwarf_Off die;	  /* that has the name */
	size_t unit;
};

struct unit {
	uint64_t offset;
	struct task_marks *marks; /* NULL: not asked for yet */
};

struct task_dwarf {
	const struct task_dialect *dialect;
	Dwarf *dw;
	uint64_t budget_ns;
	unsigned int ticks;
	bool late;
	struct poll_entry *polls; /* sorted by address between two walks */
	size_t n_polls, cap_polls;
	struct unit *units; /* that were walked */
	size_t n_units, cap_units;
};

struct task_dwarf *task_dwarf_open(const struct task_dialect *dialect, const struct elf_file *f,
				   unsigned int budget_ms)
{
	struct elf_section sec;
	struct task_dwarf *d;
	Dwarf *dw;

	if (elf_section(f, ".debug_info", &sec) != 0)
		return NULL;
	elf_version(EV_CURRENT);
	dw = dwarf_begin(f->fd, DWARF_C_READ);
	if (!dw)
		return NULL;
	d = xcalloc(1, sizeof(*d));
	d->dialect = dialect;
	d->dw = dw;
	d->budget_ns = (uint64_t)budget_ms * 1000000u;
	return d;
}

void task_dwarf_free(struct task_dwarf *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n_units; i++)
		task_marks_free(d->units[i].marks);
	dwarf_end(d->dw);
	free(d->polls);
	free(d->units);
	free(d);
}

int task_dwarf_layout(struct task_dwarf *d, struct tokio_layout *out)
{
	return d ? tokio_layout_from_dwarf(d->dw, out, NULL) : -ENOENT;
}

static bool is_late(struct task_dwarf *d, uint64_t stop)
{
	if (!d->late && ++d->ticks % CHECK_EVERY == 0 && clock_ns(CLOCK_MONOTONIC) > stop)
		d->late = true;
	return d->late;
}

static bool names_poll(const struct task_dialect *dialect, const char *name)
{
	for (size_t i = 0; name && dialect->dwarf[i]; i++) {
		size_t len = strlen(dialect->dwarf[i]);

		if (strncmp(name, dialect->dwarf[i], len) == 0 && name[len] == '<')
			return true;
	}
	return false;
}

/* The name of the function itself, else of a poll that was inlined into it. */
static const char *poll_name(const struct task_dialect *dialect, Dwarf_Die *die, unsigned int depth,
			     Dwarf_Off *where)
{
	const char *name = dwarf_diename(die);
	Dwarf_Die child;

	*where = dwarf_dieoffset(die);
	if (names_poll(dialect, name))
		return name;
	if (depth >= MAX_INLINE_DEPTH || (name && strcmp(name, dialect->dwarf[0]) != 0 && !depth) ||
	    dwarf_child(die, &child) != 0)
		return NULL;
	do {
		int tag = dwarf_tag(&child);

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block)
			continue;
		name = poll_name(dialect, &child, depth + 1, where);
		if (name)
			return name;
	} while (dwarf_siblingof(&child, &child) == 0);
	return NULL;
}

static void add_function(struct task_dwarf *d, Dwarf_Die *die)
{
	const char *name;
	Dwarf_Addr low;
	Dwarf_Off where;

	if (dwarf_lowpc(die, &low) != 0 || d->n_polls >= MAX_POLLS)
		return;
	name = poll_name(d->dialect, die, 0, &where);
	if (!name)
		return;
	d->polls = xgrow(d->polls, &d->cap_polls, d->n_polls + 1, sizeof(*d->polls));
	d->polls[d->n_polls++] = (struct poll_entry){low, name, where, d->n_units - 1};
}

static void walk_level(struct task_dwarf *d, Dwarf_Die *parent, unsigned int depth, uint64_t stop)
{
	Dwarf_Die die;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die) != 0)
		return;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_subprogram)
			add_function(d, &die);
		else if (tag == DW_TAG_namespace || tag == DW_TAG_structure_type)
			walk_level(d, &die, depth + 1, stop);
	} while (!is_late(d, stop) && dwarf_siblingof(&die, &die) == 0);
}

static int by_address(const void *a, const void *b)
{
	const struct poll_entry *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool unit_seen(struct task_dwarf *d, uint64_t offset)
{
	for (size_t i = 0; i < d->n_units; i++)
		if (d->units[i].offset == offset)
			return true;
	d->units = xgrow(d->units, &d->cap_units, d->n_units + 1, sizeof(*d->units));
	d->units[d->n_units++] = (struct unit){.offset = offset};
	return false;
}

/* Without .debug_aranges the units are asked one by one. */
static bool unit_by_scan(struct task_dwarf *d, uint64_t addr, Dwarf_Die *out, uint64_t stop)
{
	Dwarf_CU *cu = NULL;
	uint8_t type;

	while (!is_late(d, stop) && dwarf_get_units(d->dw, cu, &cu, NULL, &type, out, NULL) == 0)
		if (type == DW_UT_compile && dwarf_haspc(out, addr) == 1)
			return true;
	return false;
}

static void walk_unit_of(struct task_dwarf *d, uint64_t addr)
{
	uint64_t start = clock_ns(CLOCK_MONOTONIC), stop = start + d->budget_ns, spent;
	Dwarf_Die unit;

	if (!dwarf_addrdie(d->dw, addr, &unit) && !unit_by_scan(d, addr, &unit, stop))
		goto cleanup;
	if (!unit_seen(d, dwarf_dieoffset(&unit))) {
		walk_level(d, &unit, 0, stop);
		if (d->n_polls)
			qsort(d->polls, d->n_polls, sizeof(*d->polls), by_address);
	}
cleanup:
	spent = clock_ns(CLOCK_MONOTONIC) - start;
	d->budget_ns -= spent < d->budget_ns ? spent : d->budget_ns;
}

static const struct poll_entry *find_poll(const struct task_dwarf *d, uint64_t addr)
{
	struct poll_entry key = {.addr = addr};

	if (!d->n_polls)
		return NULL;
	return bsearch(&key, d->polls, d->n_polls, sizeof(key), by_address);
}

/* The first entry of the function, its unit walked if need be. */
static const struct poll_entry *poll_of(struct task_dwarf *d, uint64_t poll)
{
	const struct poll_entry *found = find_poll(d, poll);

	if (!found && !d->late && d->budget_ns) {
		walk_unit_of(d, poll);
		found = find_poll(d, poll);
	}
	/* Folded functions share an address; each has an entry. */
	while (found && found > d->polls && found[-1].addr == poll)
		found--;
	return found;
}

bool task_name_by_dwarf(struct task_dwarf *d, const struct task_functions *w, struct evidence *e)
{
	const struct poll_entry *found = d ? poll_of(d, w->poll) : NULL;

	if (!found)
		return false;
	for (; found < d->polls + d->n_polls && found->addr == w->poll; found++)
		evidence_add_args(e, strchr(found->name, '<'), 0, d->dialect->scheduler_arg, 1);
	return e->n > 0;
}

bool task_dwarf_marks(struct task_dwarf *d, uint64_t poll, struct runtime_mark *out, size_t *count)
{
	const struct poll_entry *found = d ? poll_of(d, poll) : NULL;
	uint64_t start = clock_ns(CLOCK_MONOTONIC), spent;
	bool all = false;
	struct unit *unit;
	Dwarf_Die die, cu;

	*count = 0;
	if (!found || !d->budget_ns || (found + 1 < d->polls + d->n_polls && found[1].addr == poll))
		return false;
	unit = &d->units[found->unit];
	if (!unit->marks && dwarf_offdie(d->dw, unit->offset, &cu))
		unit->marks = task_marks_open(&cu);
	if (unit->marks && dwarf_offdie(d->dw, found->die, &die))
		all = task_marks_of(unit->marks, &die, out, count);
	spent = clock_ns(CLOCK_MONOTONIC) - start;
	d->budget_ns -= spent < d->budget_ns ? spent : d->budget_ns;
	return all;
}
