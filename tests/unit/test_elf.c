// SPDX-License-Identifier: LGPL-2.1-or-later
/* ELF files: addresses, symbols, relocations, crate versions, debug files, and broken input. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "elf_fixture.h"
#include "util/xalloc.h"

static struct fixture fx;

static int make(void **state)
{
	(void)state;
	fixture_make(&fx, "-shared");
	return 0;
}

static int clean(void **state)
{
	(void)state;
	fixture_done(&fx);
	return 0;
}

static const struct elf_symbol *named(struct elf_file *f, const char *name)
{
	size_t n;
	const struct elf_symbol *s = elf_symbols(f, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(s[i].name, name) == 0)
			return &s[i];
	return NULL;
}

static void reads_headers(void **state)
{
	struct elf_range r[ELF_MAX_RANGES];
	struct elf_file *f = NULL;
	uint64_t offset, back;
	uint8_t byte, again;

	(void)state;
	assert_int_equal(elf_open(fx.so, &f, NULL), 0);
	assert_int_equal(f->type, ET_DYN);
	assert_false(f->has_interp);
	assert_int_equal(strlen(f->build_id), 40);
	assert_int_equal(strspn(f->build_id, "0123456789abcdef"), 40);
	assert_int_equal(elf_code_ranges(f, r, ELF_MAX_RANGES), 1);
	assert_int_equal(elf_vaddr_to_offset(f, r[0].start + 5, &offset), 0);
	assert_int_equal(elf_offset_to_vaddr(f, offset, &back), 0);
	assert_int_equal(back, r[0].start + 5);
	assert_int_equal(elf_read(f, r[0].start + 5, &byte, 1), 0);
	assert_int_equal(elf_pread(f, offset, &again, 1), 0);
	assert_int_equal(byte, again);
	assert_true(elf_is_code(f, r[0].start));
	assert_false(elf_is_code(f, r[0].end + (1 << 20)));
	assert_int_equal(elf_read(f, UINT64_MAX - 2, &byte, 1), -EFAULT);
	assert_int_equal(elf_read(f, r[0].start, &byte, 0), 0);
	assert_int_equal(elf_pread(f, UINT64_MAX, &byte, 1), -EIO);
	assert_int_equal(elf_vaddr_to_offset(f, UINT64_MAX, &offset), -ENOENT);
	assert_int_equal(elf_table_ranges(f, r, ELF_MAX_RANGES), 1);
	assert_int_equal(r[0].start, f->relro.start);
	elf_close(f);
	elf_close(NULL);
}

static void sorts_symbols(void **state)
{
	const struct elf_symbol *s, *first, *folded;
	struct elf_file *f = NULL;
	size_t n;

	(void)state;
	assert_int_equal(elf_open(fx.so, &f, NULL), 0);
	s = elf_symbols(f, &n);
	assert_true(n > 10);
	for (size_t i = 1; i < n; i++)
		assert_true(s[i - 1].addr <= s[i].addr);
	s = named(f, "long_function");
	assert_non_null(s);
	assert_ptr_equal(elf_symbol_at(f, s->addr), s);
	assert_ptr_equal(elf_symbol_at(f, s->addr + s->size - 1), s);
	assert_null(elf_symbol_at(f, s->addr + s->size + 1));
	assert_null(elf_symbol_at(f, 1));
	assert_int_equal(elf_symbols_at(f, s->addr, &first), 1);
	assert_int_equal(elf_symbols_at(f, s->addr + 1, &first), 0);
	for (folded = elf_symbols(f, &n); folded; folded++)
		if (strstr(folded->name, "nine..one"))
			break;
	assert_int_equal(elf_symbols_at(f, folded->addr, &first), 2);
	elf_close(f);
}

static void finds_vtables(void **state)
{
	static const char *const flags[] = {"-shared", "-shared -Wl,-z,pack-relative-relocs",
					    "-shared -Wl,-z,norelro", "-no-pie -Wl,-e,0",
					    "-static-pie -Wl,-e,0"};
	struct task_functions w[FIXTURE_VTABLES];

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct elf_file *f = NULL;
		struct fixture other;

		fixture_make(&other, flags[i]);
		assert_int_equal(elf_open(other.so, &f, NULL), 0);
		assert_int_equal(fixture_vtables(f, w), 11);
		elf_close(f);
		fixture_done(&other);
	}
}

static void relocates_to_a_base(void **state)
{
	struct task_functions w[FIXTURE_VTABLES];
	struct elf_file *f = NULL;
	uint64_t word, raw[4096 / 8];
	size_t at = 0, n;

	(void)state;
	assert_int_equal(elf_open(fx.so, &f, NULL), 0);
	assert_int_equal(fixture_vtables(f, w), 11);
	n = f->relro.end - f->relro.start;
	assert_true(n <= sizeof(raw));
	assert_int_equal(elf_relocated_read(f, 0, f->relro.start, raw, n, NULL), 0);
	while (at < n / 8 && raw[at] != w[0].poll)
		at++;
	assert_true(at < n / 8);
	assert_int_equal(
		elf_relocated_read(f, 0x555500000000, f->relro.start + at * 8, &word, 8, NULL), 0);
	assert_int_equal(word, 0x555500000000 + w[0].poll);
	/* A word cut by the edge keeps its bytes, the others are relocated. */
	assert_int_equal(elf_relocated_read(f, 0x1000, f->relro.start + at * 8 + 4, raw, 12, NULL),
			 0);
	memcpy(&word, (char *)raw + 4, 8);
	assert_int_equal(word, 0x1000 + w[0].schedule);
	assert_int_equal(elf_relocated_read(f, 0, 1ull << 50, raw, 8, NULL), -EFAULT);
	elf_close(f);
}

static void lives_without_section_headers(void **state)
{
	struct task_functions w[FIXTURE_VTABLES];
	struct elf_section sec;
	struct elf_file *f = NULL;
	Elf64_Ehdr eh;
	int fd;

	(void)state;
	elf_fixture_run(&fx, "cp tasks.so bare.so");
	fd = open(fixture_path(&fx, "bare.so"), O_RDWR);
	assert_int_equal(pread(fd, &eh, sizeof(eh), 0), sizeof(eh));
	eh.e_shoff = eh.e_shnum = eh.e_shstrndx = 0;
	assert_int_equal(pwrite(fd, &eh, sizeof(eh), 0), sizeof(eh));
	close(fd);
	assert_int_equal(elf_open(fx.out, &f, NULL), 0);
	assert_int_equal(fixture_vtables(f, w), 11);
	assert_int_equal(strlen(f->build_id), 40);
	assert_int_equal(elf_section(f, ".text", &sec), -ENOENT);
	assert_int_equal(elf_load_symbols(f, NULL), -ENOENT);
	assert_null(elf_symbol_at(f, w[0].poll));
	elf_close(f);
}

static void finds_crates(void **state)
{
	struct elf_crate crate;
	struct elf_file *f = NULL;
	char version[16];

	(void)state;
	assert_int_equal(elf_open(fx.so, &f, NULL), 0);
	assert_true(elf_find_crate_version(f, "tokio", version, sizeof(version)));
	assert_string_equal(version, "1.44.2");
	assert_int_equal(elf_find_crate(f, "tokio", &crate), 0);
	assert_string_equal(crate.other, "");
	assert_true(elf_find_crate_version(f, "mio", version, sizeof(version)));
	assert_string_equal(version, "");
	assert_false(elf_find_crate_version(f, "async-std", version, sizeof(version)));
	assert_int_equal(elf_find_crate(f, "", &crate), -EINVAL);
	elf_close(f);
}

static void names_foreign_files(void **state)
{
	static const struct {
		uint8_t class, data;
		uint16_t machine;
		int ret;
		const char *text;
	} list[] = {
		{ELFCLASS32, ELFDATA2LSB, EM_386, -ENOTSUP, "32-bit i386"},
		{ELFCLASS64, ELFDATA2LSB, EM_AARCH64, -ENOTSUP, "64-bit AArch64"},
		{ELFCLASS64, ELFDATA2MSB, EM_S390 << 8, -ENOTSUP, "64-bit S/390"},
		{ELFCLASS32, ELFDATA2LSB, EM_X86_64, -ENOTSUP, "x32"},
		{ELFCLASS64, ELFDATA2LSB, 0x7777, -ENOTSUP, "machine 30583"},
		{ELFCLASS64, ELFDATA2LSB, EM_X86_64, -EINVAL, "program headers"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		Elf64_Ehdr eh = {.e_type = ET_DYN, .e_machine = list[i].machine};
		struct err err = {0};
		struct elf_file *f;
		FILE *out = fopen(fixture_path(&fx, "foreign"), "w");

		memcpy(eh.e_ident, ELFMAG, SELFMAG);
		eh.e_ident[EI_CLASS] = list[i].class;
		eh.e_ident[EI_DATA] = list[i].data;
		fwrite(&eh, list[i].class == ELFCLASS32 ? 52 : sizeof(eh), 1, out);
		fclose(out);
		assert_int_equal(elf_open(fx.out, &f, &err), list[i].ret);
		assert_null(f);
		assert_non_null(strstr(err.msg, list[i].text));
	}
}

static void refuses_what_is_no_elf(void **state)
{
	struct err err = {0};
	struct elf_file *f;

	(void)state;
	assert_int_equal(elf_open("/nonexistent", &f, &err), -ENOENT);
	assert_int_equal(elf_open("/dev/null", &f, &err), -EINVAL);
	assert_int_equal(elf_open("/tmp", &f, &err), -EINVAL);
	elf_fixture_run(&fx, "mkfifo pipe; : > empty; echo hello > text");
	assert_int_equal(elf_open(fixture_path(&fx, "pipe"), &f, &err), -EINVAL);
	assert_int_equal(elf_open(fixture_path(&fx, "empty"), &f, &err), -EINVAL);
	assert_int_equal(elf_open(fixture_path(&fx, "text"), &f, &err), -EINVAL);
}

static void use_all(const char *path)
{
	struct task_functions w[FIXTURE_VTABLES];
	struct elf_crate crate;
	struct elf_section sec;
	struct elf_file *f, *debug;
	char buf[64];

	if (elf_open(path, &f, NULL) != 0)
		return;
	elf_load_symbols(f, NULL);
	elf_symbol_at(f, 0x1040);
	elf_find_crate(f, "tokio", &crate);
	elf_section(f, ".debug_info", &sec);
	elf_relocated_read(f, 1, f->relro.start, buf, sizeof(buf), NULL);
	if (f->relro.end - f->relro.start < 65536 && f->relro.end > f->relro.start &&
	    elf_read(f, f->relro.end - 1, buf, 1) == 0)
		elf_relocated_read(f, 1, f->relro.start, w, sizeof(w), NULL);
	if (elf_open_debug(f, NULL, path, &debug, NULL) == 0)
		elf_close(debug);
	elf_close(f);
}

/* Every table may lie about every number: nothing may be read out of bounds, or for ever. */
static void survives_damage(void **state)
{
	char *good, *bad;
	unsigned int seed = 11;
	size_t size;
	FILE *in = fopen(fx.so, "r");

	(void)state;
	good = xmalloc(1 << 20);
	bad = xmalloc(1 << 20);
	size = fread(good, 1, 1 << 20, in);
	fclose(in);
	fixture_path(&fx, "bad.so");
	for (int round = 0; round < 1500; round++) {
		size_t keep = round % 5 ? size : (size_t)rand_r(&seed) % size;
		FILE *out = fopen(fx.out, "w");

		memcpy(bad, good, size);
		for (int k = 0; k < 1 + round % 8; k++) {
			/* Half of it in the headers, where it hurts. */
			size_t span = k & 1 ? size : 1024;
			size_t at = (size_t)rand_r(&seed) % span;

			bad[at] = (char)(rand_r(&seed) % 3 ? rand_r(&seed) : 0xff);
		}
		fwrite(bad, 1, keep, out);
		fclose(out);
		use_all(fx.out);
	}
	free(good);
	free(bad);
}

static void finds_debug_files(void **state)
{
	struct elf_file *f = NULL, *debug = NULL;

	(void)state;
	/* A root of its own, as a container has. */
	elf_fixture_run(&fx, "mkdir -p root/bin/.debug root/usr/lib/debug/bin;"
			     "objcopy --only-keep-debug tasks.so root/bin/.debug/tasks.debug;"
			     "cd root/bin/.debug; strip -o ../tasks ../../../tasks.so;"
			     "objcopy --add-gnu-debuglink=tasks.debug ../tasks");
	assert_int_equal(elf_open(fixture_path(&fx, "root/bin/tasks"), &f, NULL), 0);
	fixture_path(&fx, "root");
	assert_null(named(f, "long_function"));
	assert_int_equal(elf_open_debug(f, fx.out, "/bin/tasks", &debug, NULL), 0);
	assert_int_equal(elf_add_symbols(f, debug, NULL), 0);
	assert_non_null(named(f, "long_function"));
	elf_close(debug);
	elf_fixture_run(&fx, "mv root/bin/.debug/tasks.debug root/usr/lib/debug/bin/");
	assert_int_equal(elf_open_debug(f, fx.out, "/bin/tasks", &debug, NULL), 0);
	elf_close(debug);
	/* One of another build is not taken. */
	elf_fixture_run(&fx, "gcc -nostdlib -shared -Wl,--build-id=md5 -o x.so"
			     " \"$OLDPWD\"/tests/unit/fixtures/tasks.S;"
			     "objcopy --only-keep-debug x.so root/usr/lib/debug/bin/tasks.debug");
	assert_int_equal(elf_open_debug(f, fx.out, "/bin/tasks", &debug, NULL), -ENOENT);
	assert_null(debug);
	/* By build-id alone. */
	elf_fixture_run(&fx, "id=$(readelf -n tasks.so | sed -n 's/.*Build ID: //p');"
			     "d=root/usr/lib/debug/.build-id/$(echo $id | cut -c1-2); mkdir -p $d;"
			     "objcopy --only-keep-debug tasks.so $d/$(echo $id | cut -c3-).debug");
	assert_int_equal(elf_open_debug(f, fixture_path(&fx, "root"), NULL, &debug, NULL), 0);
	elf_close(debug);
	elf_close(f);
}

static void checks_the_crc_without_build_ids(void **state)
{
	struct elf_file *f = NULL, *debug = NULL;

	(void)state;
	elf_fixture_run(&fx, "mkdir crc; cd crc; objcopy -R .note.gnu.build-id ../tasks.so t;"
			     "objcopy --only-keep-debug t t.debug; strip t;"
			     "objcopy --add-gnu-debuglink=t.debug t");
	assert_int_equal(elf_open(fixture_path(&fx, "crc/t"), &f, NULL), 0);
	assert_string_equal(f->build_id, "");
	assert_int_equal(elf_open_debug(f, NULL, fx.out, &debug, NULL), 0);
	elf_close(debug);
	elf_fixture_run(&fx, "printf x >> crc/t.debug");
	assert_int_equal(elf_open_debug(f, "", fx.out, &debug, NULL), -ENOENT);
	elf_close(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_headers),
		cmocka_unit_test(sorts_symbols),
		cmocka_unit_test(finds_vtables),
		cmocka_unit_test(relocates_to_a_base),
		cmocka_unit_test(lives_without_section_headers),
		cmocka_unit_test(finds_crates),
		cmocka_unit_test(names_foreign_files),
		cmocka_unit_test(refuses_what_is_no_elf),
		cmocka_unit_test(survives_damage),
		cmocka_unit_test(finds_debug_files),
		cmocka_unit_test(checks_the_crc_without_build_ids),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
