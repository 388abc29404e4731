/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Static probes of an ELF file: the notes that <sys/sdt.h>, <stalltop/sdt.h> and their like make
 * (owner "stapsdt", type 3, section .note.stapsdt), and notes of other owners by section.
 *
 * Everything comes from the file and is checked: lengths, strings, addresses (a site lies in code, a
 * semaphore in writable bytes of the file). A note that fails is left out and counted, the others are
 * kept. Addresses are link-time virtual addresses. The caller owns what it gets.
 */
#ifndef TARGET_NOTE_H
#define TARGET_NOTE_H

#include "target/elf.h"

#define NOTE_MAX_SECTION (16u << 20) /* bytes; a larger section is refused */
#define NOTE_MAX_PROBES 16384
#define NOTE_MAX_ARGS 12
#define NOTE_NAME 64 /* longer names of providers and probes are left out */

enum note_arg_kind {
	NOTE_ARG_UNKNOWN, /* a form that is not understood */
	NOTE_ARG_CONST,	  /* `value` */
	NOTE_ARG_REG,	  /* register `reg` */
	NOTE_ARG_MEM,	  /* at `reg` + `value` */
};

/* Registers by their DWARF numbers: rax rdx rcx rbx rsi rdi rbp rsp r8..r15. */
#define NOTE_REG_RCX 2
#define NOTE_REG_RDX 1
#define NOTE_REG_RSI 4
#define NOTE_REG_RDI 5

struct note_arg {
	enum note_arg_kind kind;
	uint8_t size; /* 1, 2, 4, 8 */
	bool is_signed;
	uint8_t reg;
	int64_t value;
};

struct note_probe {
	char provider[NOTE_NAME], name[NOTE_NAME];
	uint64_t pc;		   /* of the probed instruction */
	uint64_t semaphore;	   /* 0: it has none */
	uint64_t semaphore_offset; /* of that in the file */
	uint32_t args_count;
	struct note_arg args[NOTE_MAX_ARGS];
};

/*
 * The probes of one provider, in the order of the file. -ENOENT: the file has none; -EINVAL: the
 * section is broken as a whole. *bad (may be NULL): notes that were left out.
 */
int note_probes(const struct elf_file *elf, const char *provider, struct note_probe **out,
		size_t *count, size_t *bad, struct err *err);

/*
 * The description of the first note of `owner` in `section`, as a NUL-terminated copy of at most
 * size - 1 bytes (what is inside may hold NULs), and its length and type. -ENOENT: there is none.
 */
int note_of(const struct elf_file *elf, const char *section, const char *owner, uint32_t *type,
	    char *buf, size_t size, size_t *len);

/* One argument: "8@%rdi", "-4@$5", "4@-8(%rbp)". For its tests. */
void note_arg_parse(const char *text, size_t len, struct note_arg *out);

#endif
