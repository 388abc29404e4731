// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which function of the debug information holds an address. .debug_aranges is not used: recent
 * Rust does not write it. The ranges of all units are read once, the functions of a unit when an
 * address of it is asked for; both are then sorted tables.
 */
#include "stack/module.h"
#include "util/xalloc.h"

#include <dwarf.h>

#define MAX_UNITS 65536
#define MAX_RANGES (4U << 20)
#define MAX_DEPTH 64 /* of nested scopes; deeper ones are not looked at */

static int by_start(const void *a, const void *b)
{
	const struct code_range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	/* The one that is nested comes later, so it is found first. */
	return x->end > y->end ? -1 : x->end < y->end;
}

static void ranges_sort(struct ranges *ranges)
{
	if (ranges->count)
		qsort(ranges->list, ranges->count, sizeof(*ranges->list), by_start);
}

/* The last range that begins at or before vaddr and holds it. */
static const struct code_range *ranges_find(const struct ranges *ranges, uint64_t vaddr)
{
	size_t low = 0, high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->list[middle].start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t back = 0; low > 0 && back < MAX_DEPTH; back++, low--)
		if (vaddr < ranges->list[low - 1].end)
			return &ranges->list[low - 1];
	return NULL;
}

/* What the linker left out of the binary has addresses where no code is. */
static void add_ranges(const struct module *module, struct ranges *ranges, Dwarf_Die *die,
		       uint32_t unit)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0) {
		if (start >= end || ranges->count >= MAX_RANGES ||
		    !elf_is_code(module->file, start))
			continue;
		ranges->list = xgrow(ranges->list, &ranges->cap, ranges->count + 1,
				     sizeof(*ranges->list));
		ranges->list[ranges->count++] = (struct code_range){start, end,
								    dwarf_dieoffset(die), unit};
	}
}

static void read_units(struct module *module)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die die;

	module->units_read = true;
	while (module->unit_count < MAX_UNITS &&
	       dwarf_get_units(module->dwarf, cu, &cu, NULL, NULL, &die, NULL) == 0) {
		if (dwarf_tag(&die) != DW_TAG_compile_unit)
			continue;
		module->units = xgrow(module->units, &module->unit_cap, module->unit_count + 1,
				      sizeof(*module->units));
		module->units[module->unit_count] = (struct unit){.die = die};
		add_ranges(module, &module->unit_ranges, &die, module->unit_count++);
	}
	ranges_sort(&module->unit_ranges);
}

/* Scopes that can hold functions: Rust puts a method below its type, a closure below a function. */
static bool holds_functions(int tag)
{
	static const int tags[] = {
		DW_TAG_namespace,  DW_TAG_structure_type,   DW_TAG_class_type, DW_TAG_union_type,
		DW_TAG_subprogram, DW_TAG_enumeration_type, DW_TAG_module,     DW_TAG_lexical_block,
	};

	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		if (tags[i] == tag)
			return true;
	return false;
}

static void walk(const struct module *module, struct unit *unit, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return;
	do {
		int tag = dwarf_tag(&die);

		if (tag == DW_TAG_subprogram)
			add_ranges(module, &unit->functions, &die, 0);
		if (holds_functions(tag) && dwarf_haschildren(&die) > 0)
			walk(module, unit, &die, depth + 1);
	} while (dwarf_siblingof(&die, &die) == 0);
}

bool module_find_function(struct module *module, uint64_t vaddr, Dwarf_Die *unit_die,
			  Dwarf_Die *function)
{
	const struct code_range *range;
	struct unit *unit;

	if (!module->dwarf)
		return false;
	if (!module->units_read)
		read_units(module);
	range = ranges_find(&module->unit_ranges, vaddr);
	if (!range)
		return false;
	unit = &module->units[range->unit];
	if (!unit->walked) {
		unit->walked = true;
		walk(module, unit, &unit->die, 0);
		ranges_sort(&unit->functions);
	}
	range = ranges_find(&unit->functions, vaddr);
	*unit_die = unit->die;
	return range && dwarf_offdie(module->dwarf, range->die, function);
}

void module_free_units(struct module *module)
{
	for (size_t i = 0; i < module->unit_count; i++)
		free(module->units[i].functions.list);
	free(module->units);
	free(module->unit_ranges.list);
}
