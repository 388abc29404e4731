// SPDX-License-Identifier: LGPL-2.1-or-later
/* One binary in the child; see module.h. */
#include "stack/module.h"

#include "util/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MAX_ROWS 16384
#define MAX_NAMES 16384

static Elf *open_elf(const struct elf_file *file)
{
	return file ? elf_begin(file->fd, ELF_C_READ_MMAP, NULL) : NULL;
}

static void drop_rows(struct module *module)
{
	for (size_t i = 0; i < module->row_count; i++)
		free(module->row_list[i]);
	module->row_count = 0;
	map_free(&module->rows);
}

static void drop_names(struct module *module)
{
	for (size_t i = 0; i < module->name_count; i++)
		free(module->name_list[i]);
	for (size_t i = 0; i < module->text_count; i++)
		free(module->texts[i]);
	module->name_count = module->text_count = 0;
	map_free(&module->names);
}

struct module *module_open(const struct wire_module *what, int fd, module_debug_fn find_debug,
			   void *ctx)
{
	struct module *module = xcalloc(1, sizeof(*module));

	module->main = what->main;
	module->name = xstrndup(what->name, sizeof(what->name) - 1);
	map_init(&module->rows, MAX_ROWS);
	map_init(&module->names, MAX_NAMES);
	elf_version(EV_CURRENT);
	if (fd < 0 || elf_open_fd(fd, &module->file, NULL))
		return module;
	if (find_debug(ctx, module->file, &module->debug))
		module->debug = NULL;
	module->elf = open_elf(module->file);
	module->debug_elf = open_elf(module->debug);
	if (module->debug)
		elf_add_symbols(module->file, module->debug, NULL);
	if (module->debug_elf)
		module->dwarf = dwarf_begin_elf(module->debug_elf, DWARF_C_READ, NULL);
	if (!module->dwarf && module->elf)
		module->dwarf = dwarf_begin_elf(module->elf, DWARF_C_READ, NULL);
	if (module->elf)
		module->eh = dwarf_getcfi_elf(module->elf);
	if (module->dwarf)
		module->frames = dwarf_getcfi(module->dwarf);
	return module;
}

void module_free(struct module *module)
{
	if (!module)
		return;
	drop_rows(module);
	drop_names(module);
	free(module->row_list);
	free(module->name_list);
	free(module->texts);
	module_free_units(module);
	dwarf_cfi_end(module->eh);
	dwarf_end(module->dwarf);
	elf_end(module->debug_elf);
	elf_end(module->elf);
	elf_close(module->debug);
	elf_close(module->file);
	free(module->name);
	free(module);
}

int module_vaddr(const struct module *module, uint64_t offset, uint64_t *vaddr)
{
	if (!module->file || elf_offset_to_vaddr(module->file, offset, vaddr) ||
	    !elf_is_code(module->file, *vaddr))
		return -ENOENT;
	return 0;
}

/* libdw can give the row of the entry before a gap: the row itself says what it covers. */
static Dwarf_Frame *find_row(Dwarf_CFI *cfi, uint64_t vaddr)
{
	Dwarf_Addr start = 0, end = 0;
	Dwarf_Frame *frame = NULL;

	if (!cfi || dwarf_cfi_addrframe(cfi, vaddr, &frame))
		return NULL;
	if (dwarf_frame_info(frame, &start, &end, NULL) >= 0 && vaddr >= start && vaddr < end)
		return frame;
	free(frame);
	return NULL;
}

Dwarf_Frame *module_row(struct module *module, uint64_t vaddr)
{
	uint64_t known = map_get(&module->rows, vaddr, 0);
	Dwarf_Frame *frame;

	if (known != MAP_NONE)
		return module->row_list[known];
	if (module->row_count >= MAX_ROWS)
		drop_rows(module);
	frame = find_row(module->eh, vaddr);
	if (!frame)
		frame = find_row(module->frames, vaddr);
	module->row_list = xgrow(module->row_list, &module->row_cap, module->row_count + 1,
				 sizeof(Dwarf_Frame *));
	module->row_list[module->row_count] = frame;
	map_put(&module->rows, vaddr, 0, module->row_count++);
	return frame;
}

uint64_t module_function_start(const struct module *module, uint64_t vaddr)
{
	return module->file ? elf_function_start(module->file, vaddr) : 0;
}

void module_trim(struct module *module)
{
	if (module->name_count >= MAX_NAMES)
		drop_names(module);
}
