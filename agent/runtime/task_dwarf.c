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
#include <time.h>

#include "runtime/task_name_impl.h"
#include "runtime/tokio_layout.h"
#include "util/xalloc.h"

#define MAX_DEPTH 16 /* nested namespaces */
#define MAX_INLINE_DEPTH 6
#define CHECK_EVERY 256 /* entries between two looks at the clock */
#define MAX_POLLS 65536

struct poll_entry {
	uint64_t addr;
	const char *name; /* owned by the Dwarf */
};

struct task_dwarf {
	const struct task_dialect *dialect;
	Dwarf *dw;
	uint64_t budget_ns;
	unsigned int ticks;
	bool late;
	struct poll_entry *polls; /* sorted by address between two walks */
	size_t n_polls, cap_polls;
	uint64_t *units; /* offsets of the units walked */
	size_t n_units, cap_units;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

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
	if (!d->late && ++d->ticks % CHECK_EVERY == 0 && now_ns() > stop)
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
static const char *poll_name(const struct task_dialect *dialect, Dwarf_Die *die, unsigned int depth)
{
	const char *name = dwarf_diename(die);
	Dwarf_Die child;

	if (names_poll(dialect, name))
		return name;
	if (depth >= MAX_INLINE_DEPTH || (name && strcmp(name, dialect->dwarf[0]) != 0 && !depth) ||
	    dwarf_child(die, &child) != 0)
		return NULL;
	do {
		int tag = dwarf_tag(&child);

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block)
			continue;
		name = poll_name(dialect, &child, depth + 1);
		if (name)
			return name;
	} while (dwarf_siblingof(&child, &child) == 0);
	return NULL;
}

static void add_function(struct task_dwarf *d, Dwarf_Die *die)
{
	const char *name;
	Dwarf_Addr low;

	if (dwarf_lowpc(die, &low) != 0 || d->n_polls >= MAX_POLLS)
		return;
	name = poll_name(d->dialect, die, 0);
	if (!name)
		return;
	d->polls = xgrow(d->polls, &d->cap_polls, d->n_polls + 1, sizeof(*d->polls));
	d->polls[d->n_polls++] = (struct poll_entry){low, name};
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
		if (d->units[i] == offset)
			return true;
	d->units = xgrow(d->units, &d->cap_units, d->n_units + 1, sizeof(*d->units));
	d->units[d->n_units++] = offset;
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
	uint64_t start = now_ns(), stop = start + d->budget_ns, spent;
	Dwarf_Die unit;

	if (!dwarf_addrdie(d->dw, addr, &unit) && !unit_by_scan(d, addr, &unit, stop))
		goto cleanup;
	if (!unit_seen(d, dwarf_dieoffset(&unit))) {
		walk_level(d, &unit, 0, stop);
		if (d->n_polls)
			qsort(d->polls, d->n_polls, sizeof(*d->polls), by_address);
	}
cleanup:
	spent = now_ns() - start;
	d->budget_ns -= spent < d->budget_ns ? spent : d->budget_ns;
}

static const struct poll_entry *find_poll(const struct task_dwarf *d, uint64_t addr)
{
	struct poll_entry key = {.addr = addr};

	if (!d->n_polls)
		return NULL;
	return bsearch(&key, d->polls, d->n_polls, sizeof(key), by_address);
}

bool task_name_by_dwarf(struct task_dwarf *d, const struct task_functions *w, struct evidence *e)
{
	const struct poll_entry *found;

	if (!d)
		return false;
	found = find_poll(d, w->poll);
	if (!found && !d->late && d->budget_ns) {
		walk_unit_of(d, w->poll);
		found = find_poll(d, w->poll);
	}
	if (!found)
		return false;
	/* Folded functions share an address; each has an entry. */
	while (found > d->polls && found[-1].addr == w->poll)
		found--;
	for (; found < d->polls + d->n_polls && found->addr == w->poll; found++)
		evidence_add_args(e, strchr(found->name, '<'), 0, d->dialect->scheduler_arg, 1);
	return e->n > 0;
}
