// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From an address to the functions that run there, inlined ones first: debug information where
 * there is some, else a symbol. A symbol that ends before the address, or that lies before the
 * function that .eh_frame_hdr knows, is not taken: a wrong name is worse than none.
 */
#include "stack/module.h"
#include "stack/origin.h"
#include "target/demangle.h"
#include "util/xalloc.h"

#include <dwarf.h>
#include <stdio.h>

#define MAX_INLINED 64
#define MAX_DEPTH 64

/* One function on the way in, outermost first. */
struct scope {
	Dwarf_Die die;
};

static const char *keep(struct module *module, const char *text, size_t max)
{
	char *copy = xstrndup(text, max - 1);

	module->texts = xgrow(module->texts, &module->text_cap, module->text_count + 1,
			      sizeof(*module->texts));
	module->texts[module->text_count++] = copy;
	return copy;
}

/* A name in full, which tells whose it is: readable ones have lost the modules of std. */
struct full_name {
	char path[DEMANGLE_MAX];
	bool rust;
	bool bare; /* line tables alone: the function's own name without its path */
};

static const char *keep_symbol(struct module *module, const char *symbol, struct full_name *full)
{
	char readable[WIRE_FUNCTION];
	int ret = demangle(symbol, full->path, sizeof(full->path));

	full->bare = false;
	full->rust = ret == 0 || (full->path[0] && demangle_is_rust(symbol));
	if (!full->rust) {
		/* glibc's name for its own use: "__GI___poll" is poll. */
		if (strncmp(symbol, "__GI_", 5) == 0)
			symbol += 5 + strspn(symbol + 5, "_");
		snprintf(full->path, sizeof(full->path), "%s", symbol);
		return keep(module, symbol, WIRE_FUNCTION);
	}
	/* Readable names have lost the modules of std, by which well-known calls are told. */
	if (origin_is_std(full->path))
		return keep(module, full->path, WIRE_FUNCTION);
	name_readable(full->path, false, readable, sizeof(readable));
	return keep(module, readable, WIRE_FUNCTION);
}

/* "outer::inner::name" by the namespaces and types around a DIE: what has no linkage name. */
static const char *keep_qualified(struct module *module, Dwarf_Die *die, const char *name,
				  struct full_name *full)
{
	Dwarf_Die *scopes = NULL;
	int count = dwarf_getscopes_die(die, &scopes);
	size_t len = 0, size = sizeof(full->path);
	char *text = full->path;

	for (int i = count - 1; i > 0; i--) {
		int tag = dwarf_tag(&scopes[i]);
		const char *part = dwarf_diename(&scopes[i]);

		if (!part || (tag != DW_TAG_namespace && tag != DW_TAG_structure_type &&
			      tag != DW_TAG_class_type && tag != DW_TAG_enumeration_type))
			continue;
		if (len < size - 1)
			len += snprintf(text + len, size - len, "%s::", part);
	}
	free(scopes);
	full->bare = len == 0;
	if (len < size - 1)
		snprintf(text + len, size - len, "%s", name);
	return keep(module, text, WIRE_FUNCTION);
}

/* The DIE that declares a function: names of an instance are there. */
static Dwarf_Die *declaration(Dwarf_Die *die, Dwarf_Die *space)
{
	static const unsigned int ways[] = {DW_AT_abstract_origin, DW_AT_specification};
	Dwarf_Attribute attr;

	*space = *die;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (dwarf_attr(space, ways[i], &attr))
			dwarf_formref_die(&attr, space);
	return space;
}

static const char *keep_function(struct module *module, Dwarf_Die *die, struct full_name *full)
{
	static const unsigned int linkage[] = {DW_AT_linkage_name, DW_AT_MIPS_linkage_name};
	Dwarf_Attribute attr;
	const char *name = NULL;
	Dwarf_Die space;

	full->rust = full->bare = false;
	for (size_t i = 0; i < sizeof(linkage) / sizeof(linkage[0]) && !name; i++)
		name = dwarf_formstring(dwarf_attr_integrate(die, linkage[i], &attr));
	if (name)
		return keep_symbol(module, name, full);
	name = dwarf_diename(die);
	return name ? keep_qualified(module, declaration(die, &space), name, full) : NULL;
}

static bool find_inlined(Dwarf_Die *parent, uint64_t vaddr, struct scope *scopes, size_t *count,
			 int depth)
{
	Dwarf_Die die;

	if (depth > MAX_DEPTH || dwarf_child(parent, &die))
		return false;
	do {
		int tag = dwarf_tag(&die);

		if ((tag != DW_TAG_inlined_subroutine && tag != DW_TAG_lexical_block) ||
		    dwarf_haspc(&die, vaddr) <= 0)
			continue;
		if (tag == DW_TAG_inlined_subroutine && *count < MAX_INLINED)
			scopes[(*count)++].die = die;
		find_inlined(&die, vaddr, scopes, count, depth + 1);
		return true;
	} while (dwarf_siblingof(&die, &die) == 0);
	return false;
}

static uint32_t number_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attr;
	Dwarf_Word value = 0;

	if (dwarf_formudata(dwarf_attr(die, name, &attr), &value) || value > UINT32_MAX)
		return 0;
	return value;
}

/* A place in the source, with the path's folder. */
struct place {
	const char *file;
	uint32_t line, column;
};

static struct place line_place(Dwarf_Die *unit, uint64_t vaddr)
{
	Dwarf_Line *line = dwarf_getsrc_die(unit, vaddr);
	struct place place = {0};
	int number = 0, column = 0;

	if (!line || dwarf_lineno(line, &number) || number <= 0)
		return place;
	place.file = dwarf_linesrc(line, NULL, NULL);
	place.line = number;
	if (dwarf_linecol(line, &column) == 0 && column > 0)
		place.column = column;
	return place;
}

/* Where an inlined function was called. */
static struct place call_place(Dwarf_Die *unit, Dwarf_Die *inlined)
{
	struct place place = {.line = number_of(inlined, DW_AT_call_line),
			      .column = number_of(inlined, DW_AT_call_column)};
	uint32_t index = number_of(inlined, DW_AT_call_file);
	Dwarf_Files *files;
	size_t count;

	if (place.line && dwarf_getsrcfiles(unit, &files, &count) == 0 && index < count)
		place.file = dwarf_filesrc(files, index, NULL, NULL);
	if (!place.file)
		place.line = place.column = 0;
	return place;
}

static const char *folder_of(Dwarf_Die *unit)
{
	Dwarf_Attribute attr;

	return dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attr));
}

/* The path with its folder; in out when it has to be joined. */
static const char *whole_path(Dwarf_Die *unit, const char *file, char *out, size_t size)
{
	const char *folder = folder_of(unit);

	if (!file || file[0] == '/' || !folder)
		return file;
	snprintf(out, size, "%s/%s", folder, file);
	return out;
}

/* As the compiler was given it: without the folder that it ran in, but for other people's code. */
static const char *as_given(Dwarf_Die *unit, const char *file, enum frame_origin origin)
{
	const char *folder = folder_of(unit);
	size_t len = folder ? strlen(folder) : 0;

	if (origin == FRAME_USER && len > 1 && strncmp(file, folder, len) == 0 && file[len] == '/')
		return file + len + 1;
	return file;
}

static enum frame_origin origin_of_name(const struct module *module, const struct full_name *full,
					const char *file)
{
	return origin_find(&(struct origin_of){
		.function = full ? full->path : NULL,
		.file = file,
		.binary = module->name,
		.main = module->main,
		.rust = full && full->rust,
	});
}

/* `symbol` covers the frame's code; NULL: the frame is an inlined one, or there is none. */
static void fill_frame(struct module *module, Dwarf_Die *unit, Dwarf_Die *die,
		       const struct place *place, const struct elf_symbol *symbol,
		       struct named_frame *frame)
{
	char joined[WIRE_FILE], path[WIRE_FUNCTION];
	const char *file = whole_path(unit, place->file, joined, sizeof(joined));
	struct full_name full;

	frame->function = keep_function(module, die, &full);
	if (frame->function && full.bare && symbol)
		frame->function = keep_symbol(module, symbol->name, &full);
	else if (frame->function && full.bare && origin_path(file, full.path, path, sizeof(path))) {
		snprintf(full.path, sizeof(full.path), "%s", path);
		frame->function = keep(module, path, WIRE_FUNCTION);
	}
	frame->origin = origin_of_name(module, frame->function ? &full : NULL, file);
	frame->from = place->line ? FRAME_FROM_LINE : FRAME_FROM_DWARF;
	frame->line = place->line;
	frame->column = place->column;
	if (!place->file)
		return;
	frame->file = keep(module, as_given(unit, place->file, frame->origin), WIRE_FILE);
	if (frame->origin == FRAME_USER && frame->file && frame->file[0] != '/')
		frame->folder = keep(module, folder_of(unit), WIRE_FILE);
}

static struct named_pc *new_pc(uint32_t count)
{
	struct named_pc *pc = xcalloc(1, sizeof(*pc) + count * sizeof(pc->frames[0]));

	pc->count = count;
	return pc;
}

static struct named_pc *name_by_dwarf(struct module *module, uint64_t vaddr,
				      const struct elf_symbol *symbol)
{
	struct scope scopes[MAX_INLINED + 1];
	struct named_pc *pc;
	struct place place;
	size_t count = 1;
	Dwarf_Die unit;

	if (!module_find_function(module, vaddr, &unit, &scopes[0].die))
		return NULL;
	find_inlined(&scopes[0].die, vaddr, scopes, &count, 0);
	pc = new_pc(count);
	place = line_place(&unit, vaddr);
	for (size_t i = 0; i < count; i++) {
		Dwarf_Die *die = &scopes[count - 1 - i].die;

		pc->frames[i].inlined = i + 1 < count;
		fill_frame(module, &unit, die, &place, pc->frames[i].inlined ? NULL : symbol,
			   &pc->frames[i]);
		if (pc->frames[i].inlined)
			place = call_place(&unit, die);
	}
	return pc;
}

/* "read" rather than "__GI___read": among names of one function the one that people use. */
static size_t underscores(const char *name)
{
	return strspn(name, "_");
}

static const struct elf_symbol *find_symbol(const struct module *module, uint64_t vaddr,
					    uint64_t start)
{
	const struct elf_symbol *symbol = elf_symbol_at(module->file, vaddr), *all;
	size_t count;

	if (!symbol || (!symbol->size && start && symbol->addr < start))
		return NULL;
	if (demangle_is_rust(symbol->name))
		return symbol;
	count = elf_symbols_at(module->file, symbol->addr, &all);
	for (size_t i = 0; i < count; i++)
		if (underscores(all[i].name) < underscores(symbol->name))
			symbol = &all[i];
	return symbol;
}

static struct named_pc *name_by_symbol(struct module *module, const struct elf_symbol *symbol)
{
	struct named_pc *pc = new_pc(1);
	struct named_frame *frame = &pc->frames[0];
	struct full_name full;

	if (symbol) {
		frame->function = keep_symbol(module, symbol->name, &full);
		frame->from = elf_symbol_exported(module->file, symbol) ? FRAME_FROM_DYNSYM :
									  FRAME_FROM_SYMBOL;
	}
	frame->origin = origin_of_name(module, symbol ? &full : NULL, NULL);
	return pc;
}

static struct named_pc *name_anew(struct module *module, uint64_t vaddr)
{
	uint64_t start = module_function_start(module, vaddr), offset;
	const struct elf_symbol *symbol = find_symbol(module, vaddr, start);
	struct named_pc *pc = name_by_dwarf(module, vaddr, symbol);

	/* Debug information of one function can lack its name; the symbol has one. */
	if (pc && pc->count == 1 && !pc->frames[0].function && symbol) {
		free(pc);
		pc = NULL;
	}
	if (!pc)
		pc = name_by_symbol(module, symbol);
	if (!start && symbol)
		start = symbol->addr;
	if (start && elf_vaddr_to_offset(module->file, start, &offset) == 0)
		pc->start = offset;
	return pc;
}

const struct named_pc *module_name(struct module *module, uint64_t vaddr)
{
	uint64_t known = map_get(&module->names, vaddr, 0);
	struct named_pc *pc;

	if (known != MAP_NONE)
		return module->name_list[known];
	pc = name_anew(module, vaddr);
	module->name_list = xgrow(module->name_list, &module->name_cap, module->name_count + 1,
				  sizeof(*module->name_list));
	module->name_list[module->name_count] = pc;
	map_put(&module->names, vaddr, 0, module->name_count++);
	return pc;
}
