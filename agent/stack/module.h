/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In the child: one binary, read from descriptors, and all that is cached of it. Addresses are
 * link-time addresses ("vaddr"). Nothing of the file is trusted beyond this process: a file that
 * makes a library below us crash ends the child, and the agent starts another one.
 */
#ifndef STACK_MODULE_H
#define STACK_MODULE_H

#include "core/frame.h"
#include "stack/wire.h"
#include "target/elf.h"
#include "util/map.h"

#include <elfutils/libdw.h>

/* One frame of what a code address stands for, without the address. Strings are the module's. */
struct named_frame {
	const char *function, *file; /* NULL unknown */
	const char *folder;	     /* of a relative file */
	uint32_t line, column;
	bool inlined;
	enum frame_origin origin;
	enum frame_from from;
};

struct named_pc {
	uint64_t start; /* file offset of the function, 0 unknown */
	uint32_t count; /* at least 1 */
	struct named_frame frames[];
};

struct code_range {
	uint64_t start, end;
	uint64_t die; /* offset of a CU's or a function's DIE */
	uint32_t unit;
};

struct ranges {
	struct code_range *list; /* by start */
	size_t count, cap;
};

struct unit {
	Dwarf_Die die;
	bool walked;
	struct ranges functions;
};

struct module {
	bool main;
	char *name;
	struct elf_file *file, *debug; /* file NULL: binary and offset are all that is known */
	Elf *elf, *debug_elf;
	Dwarf *dwarf;		/* NULL: no debug information */
	Dwarf_CFI *eh, *frames; /* .eh_frame, .debug_frame; NULL: none */

	struct map rows; /* vaddr -> index in row_list */
	Dwarf_Frame **row_list;
	size_t row_count, row_cap;

	struct map names; /* vaddr -> index in name_list */
	struct named_pc **name_list;
	size_t name_count, name_cap;
	char **texts; /* what the frames of name_list point to */
	size_t text_count, text_cap;

	bool units_read;
	struct unit *units;
	size_t unit_count, unit_cap;
	struct ranges unit_ranges;
};

/* The separate debug file, or -ENOENT; may ask the agent. */
typedef int (*module_debug_fn)(void *ctx, const struct elf_file *file, struct elf_file **out);

/* Takes the descriptor over, -1: none. Never fails: what cannot be read is not known. */
struct module *module_open(const struct wire_module *what, int fd, module_debug_fn find_debug,
			   void *ctx);
void module_free(struct module *module);

/* -ENOENT when that offset is in no executable segment. */
int module_vaddr(const struct module *module, uint64_t offset, uint64_t *vaddr);

/*
 * The unwind row that covers vaddr, or NULL: there is none, and whoever goes on from here guesses.
 * The module's, until the next call.
 */
Dwarf_Frame *module_row(struct module *module, uint64_t vaddr);

/* Start of the function by .eh_frame_hdr; 0 unknown. */
uint64_t module_function_start(const struct module *module, uint64_t vaddr);

/* What runs at vaddr: name.c. The module's, until module_trim(). */
const struct named_pc *module_name(struct module *module, uint64_t vaddr);

/* Empties caches that have grown too large; between two stacks. */
void module_trim(struct module *module);

/* For name.c: dwarf.c. -------------------------------------------------------------------- */

/* The function that holds vaddr: its DIE and that of its unit. */
bool module_find_function(struct module *module, uint64_t vaddr, Dwarf_Die *unit,
			  Dwarf_Die *function);
void module_free_units(struct module *module);

#endif
