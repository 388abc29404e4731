/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the elf_*.c files share and nobody else includes.
 */
#ifndef TARGET_ELF_IMPL_H
#define TARGET_ELF_IMPL_H

#include "target/elf.h"

#define ELF_MAX_SECTIONS 65536
#define ELF_MAX_DYNAMIC 4096

/* What PT_DYNAMIC says; 0 where it says nothing. Unchecked numbers of the file. */
struct elf_dynamic {
	uint64_t symtab, strtab, strsz;
	uint64_t hash, gnu_hash;
	uint64_t rela, relasz;
	uint64_t relr, relrsz;
};

void elf_read_dynamic(const struct elf_file *f, struct elf_dynamic *out);
void elf_drop_relocs(struct elf_file *f);
int elf_section_at(const struct elf_file *f, uint32_t i, struct elf_section *out, uint32_t *name);

#endif
