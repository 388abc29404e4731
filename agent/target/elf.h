/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One x86-64 ELF file on disk: segments, bytes, symbols, relocated data, crate versions.
 *
 * The file is untrusted: every number in it is checked, and tables are bounded by the ELF_MAX_*
 * below. It is read with pread(2), never mapped, so a file that shrinks under us gives an error
 * and no SIGBUS. Program headers suffice; section headers are used only for .symtab and debug
 * information and may be missing.
 * Addresses are link-time virtual addresses ("vaddr"), without load bias; offsets are file
 * offsets; all in bytes. The elf_file owns everything it hands out until elf_close().
 * Errors: -ENOTSUP (32-bit or of another machine; the message says which), -EINVAL (not an ELF
 * file, or a broken one), -errno of open(2) and read(2).
 */
#ifndef TARGET_ELF_H
#define TARGET_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/err.h"

#define ELF_MAX_SEGMENTS 256
#define ELF_MAX_RANGES 16
#define ELF_MAX_SYMBOLS (8u << 20)
#define ELF_MAX_STRTAB (1u << 30)
#define ELF_MAX_SYMBOL_NAME 65536 /* longer names are left out */
#define ELF_MAX_RELOCS (32u << 20)
#define ELF_BUILD_ID_HEX 129 /* 64 bytes in hex and a NUL */

struct elf_segment {
	uint64_t vaddr;
	uint64_t offset;
	uint64_t filesz;
	uint64_t memsz;
	uint32_t flags; /* PF_R, PF_W, PF_X */
};

struct elf_range {
	uint64_t start;
	uint64_t end; /* exclusive */
};

struct elf_symbol {
	uint64_t addr;
	uint64_t size;	  /* 0 unknown */
	const char *name; /* mangled, untrusted bytes, NUL-terminated */
};

struct elf_section {
	uint64_t addr;
	uint64_t offset;
	uint64_t size;
	uint32_t type;
	uint32_t link;
	uint64_t flags;
};

struct elf_symtab;
struct elf_relocs;

/* The fields are for reading; only elf*.c writes them. */
struct elf_file {
	int fd;
	uint64_t size;
	uint16_t type;			 /* ET_EXEC or ET_DYN */
	bool has_interp;		 /* PT_INTERP: a dynamic loader runs first */
	char build_id[ELF_BUILD_ID_HEX]; /* "" when there is none */
	struct elf_segment *loads;	 /* PT_LOAD, sorted by vaddr */
	size_t n_loads;
	struct elf_range relro;	  /* PT_GNU_RELRO; start == end: none */
	struct elf_range dynamic; /* PT_DYNAMIC; start == end: none */
	struct elf_range eh_hdr;  /* PT_GNU_EH_FRAME; start == end: none */
	uint64_t shoff;		  /* section headers; shnum 0: none usable */
	uint32_t shnum;
	uint32_t shstrndx;
	struct elf_symtab *symtab; /* NULL until asked for */
	struct elf_relocs *relocs; /* likewise */
};

/* Life cycle */

/* The path may be /proc/PID/exe or /proc/PID/map_files/...; the descriptor is O_CLOEXEC. */
int elf_open(const char *path, struct elf_file **out, struct err *err);
/* Takes the descriptor over, also when it fails. */
int elf_open_fd(int fd, struct elf_file **out, struct err *err);
void elf_close(struct elf_file *f);

/* Addresses and bytes */

/* -ENOENT when the address has no byte in the file (bss, or outside). */
int elf_vaddr_to_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *offset);
int elf_offset_to_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *vaddr);
/* All len bytes at vaddr, zero for bss, or -EFAULT/-EIO. One segment only. */
int elf_read(const struct elf_file *f, uint64_t vaddr, void *buf, size_t len);
/* As many as the segment has, up to len; returns how many, or -errno. */
ssize_t elf_read_some(const struct elf_file *f, uint64_t vaddr, void *buf, size_t len);
/* All len bytes at a file offset, or -EIO. */
int elf_pread(const struct elf_file *f, uint64_t offset, void *buf, size_t len);
/* True when vaddr lies in an executable segment. */
bool elf_is_code(const struct elf_file *f, uint64_t vaddr);

/* Whether the program runs at its link-time addresses, and so may have them in its code. */
bool elf_is_fixed(const struct elf_file *f);

/* Executable ranges; returns how many (at most max). */
size_t elf_code_ranges(const struct elf_file *f, struct elf_range *out, size_t max);
/*
 * Where tables of pointers into code can lie, best first, without overlap: the relro range;
 * for a file without one its writable segments; for ET_EXEC, whose constants need no relocation,
 * also the read-only segments.
 */
size_t elf_table_ranges(const struct elf_file *f, struct elf_range *out, size_t max);

/*
 * Bytes as the dynamic loader would leave them at load base `base`: R_X86_64_RELATIVE (RELA and
 * RELR) and R_X86_64_64 against symbols that the file defines are applied; other relocations are
 * not. For a process whose loader has not run yet. A word cut by the edges of the range keeps its
 * file bytes. For ET_EXEC pass base 0.
 */
int elf_relocated_read(struct elf_file *f, uint64_t base, uint64_t vaddr, void *buf, size_t len,
		       struct err *err);

/* Symbols: functions of .symtab and .dynsym with an address, sorted by address, loaded once. */

int elf_load_symbols(struct elf_file *f, struct err *err);
/* Adds those of a separate debug file of the same build; it may be closed afterwards. */
int elf_add_symbols(struct elf_file *f, struct elf_file *debug, struct err *err);
/* There are to be none: nothing of the file's symbols is read. */
void elf_without_symbols(struct elf_file *f);
/* Frees the table; names handed out before are gone. */
void elf_drop_symbols(struct elf_file *f);
/* The table; NULL and 0 when there is none. Several entries can share an address (ICF). */
const struct elf_symbol *elf_symbols(struct elf_file *f, size_t *n);
/* The first symbol that contains addr, or NULL. A symbol of unknown size reaches to the next. */
const struct elf_symbol *elf_symbol_at(struct elf_file *f, uint64_t addr);
/* Whether it is from .dynsym alone: one that the file exports or, being stripped, has kept. */
bool elf_symbol_exported(const struct elf_file *f, const struct elf_symbol *symbol);
/* All symbols that start at addr: *first and the count. */
size_t elf_symbols_at(struct elf_file *f, uint64_t addr, const struct elf_symbol **first);

/*
 * Where the function around vaddr begins, or, between two, the one before, by the table that unwinders
 * search; 0: there is none, or of another form than linkers write.
 */
uint64_t elf_function_start(const struct elf_file *f, uint64_t vaddr);

/* Sections; -ENOENT when there is none of that name. */
int elf_section(const struct elf_file *f, const char *name, struct elf_section *out);

/* A crate's traces in read-only data (panic locations), present in stripped binaries too. */

#define ELF_CRATE_VERSION 32

struct elf_crate {
	bool present;			 /* seen at all, with or without a version */
	char version[ELF_CRATE_VERSION]; /* "1.54.1", the one seen most; "" unknown (vendored) */
	char other[ELF_CRATE_VERSION];	 /* another version in the same file; "" none */
};

/* Looks for "<crate>-X.Y.Z/src/"; 0 also when nothing was found. */
int elf_find_crate(const struct elf_file *f, const char *crate, struct elf_crate *out);
/* The same, short: true when present; *buf is "" when the version is unknown. */
bool elf_find_crate_version(const struct elf_file *f, const char *crate, char *buf, size_t size);

/*
 * The separate debug file: by build-id below /usr/lib/debug, or by .gnu_debuglink next to
 * `path`, in its .debug folder, or below /usr/lib/debug; the link's CRC, or the build-id, must
 * match. `root` is put before every path ("/proc/PID/root"; "" or NULL for our own), and links are
 * resolved within it; `path` is the binary as its process sees it (NULL: build-id only).
 *
 * It is found in three steps, because who may open files must not read them, and who reads them
 * can open none.
 */
#define ELF_DEBUG_PLACES 4
#define ELF_DEBUG_NAME 264

/* What a file says of its debug file. */
struct elf_debug_link {
	char build_id[ELF_BUILD_ID_HEX]; /* "" none */
	char name[ELF_DEBUG_NAME];	 /* of .gnu_debuglink, and what pads it; "" none */
	uint32_t crc;
};

void elf_debug_link(const struct elf_file *f, struct elf_debug_link *out);
/* Opens regular files where it can be; nothing of `link` is trusted. Returns how many of max. */
size_t elf_debug_open(const struct elf_debug_link *link, const char *root, const char *path,
		      int *fds, size_t max);
/* Takes the descriptors over: the first that matches, or -ENOENT. */
int elf_debug_choose(const struct elf_file *f, const struct elf_debug_link *link, const int *fds,
		     size_t count, struct elf_file **out);
/* All three; -ENOENT when there is none. */
int elf_open_debug(const struct elf_file *f, const char *root, const char *path,
		   struct elf_file **out, struct err *err);

/* Lower-case hex of at least two bytes; `id` need not end. */
bool elf_build_id_valid(const char id[ELF_BUILD_ID_HEX]);

/* What the program headers say, from a process that read them to one that must not. */
struct elf_image {
	uint16_t type;
	uint8_t has_interp;
	uint8_t loads; /* struct elf_segment that follow, at most ELF_MAX_SEGMENTS - 1 */
	char build_id[ELF_BUILD_ID_HEX];
};

void elf_image(const struct elf_file *f, struct elf_image *out);
/*
 * An elf_file without symbols and sections; takes the descriptor over, also when it fails. -EINVAL:
 * no elf_file has these values.
 */
int elf_open_image(int fd, const struct elf_image *image, const struct elf_segment *loads,
		   struct elf_file **out);

#endif
