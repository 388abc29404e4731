// SPDX-License-Identifier: LGPL-2.1-or-later
/* Static probes: what the header makes is read back; what a hostile file says is not believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "elf_fixture.h"
#include "target/note.h"

/* --- arguments ------------------------------------------------------------------------- */

static void is_arg(const char *text, enum note_arg_kind kind, int size, uint8_t reg, int64_t value)
{
	struct note_arg arg;

	note_arg_parse(text, strlen(text), &arg);
	assert_int_equal(arg.kind, kind);
	if (kind == NOTE_ARG_UNKNOWN)
		return;
	assert_int_equal(arg.size, abs(size));
	assert_int_equal(arg.is_signed, size < 0);
	assert_int_equal(arg.value, value);
	if (kind != NOTE_ARG_CONST)
		assert_int_equal(arg.reg, reg);
}

static void test_args(void **state)
{
	(void)state;
	is_arg("8@%rdi", NOTE_ARG_REG, 8, NOTE_REG_RDI, 0);
	is_arg("8@%rsi", NOTE_ARG_REG, 8, NOTE_REG_RSI, 0);
	is_arg("8@%rdx", NOTE_ARG_REG, 8, NOTE_REG_RDX, 0);
	is_arg("8@%rcx", NOTE_ARG_REG, 8, NOTE_REG_RCX, 0);
	is_arg("-4@%r15d", NOTE_ARG_REG, -4, 15, 0);
	is_arg("1@%sil", NOTE_ARG_REG, 1, NOTE_REG_RSI, 0);
	is_arg("-4@$-7", NOTE_ARG_CONST, -4, 0, -7);
	is_arg("8@$0x7fff", NOTE_ARG_CONST, 8, 0, 0x7fff);
	is_arg("4@-8(%rbp)", NOTE_ARG_MEM, 4, 6, -8);
	is_arg("8@(%rax)", NOTE_ARG_MEM, 8, 0, 0);
	is_arg("2@16(%rsp)", NOTE_ARG_MEM, 2, 7, 16);
}

static void test_bad_args(void **state)
{
	static const char *const bad[] = {
		"",
		"8",
		"8@",
		"@%rdi",
		"3@%rdi",
		"8@rdi",
		"8@%rxx",
		"8@%",
		"8@%rdix",
		"8@$",
		"8@$x",
		"8@4",
		"8@(%rax",
		"8@(%rax)x",
		"8@-8(%rbp,%rax,4)",
		"8@sym(%rip)",
		"-@%rdi",
		"8@9999999999(%rax)",
		"8@%rdi%rsi",
		"16@%xmm0",
		"8@$99999999999999999999",
		"0@%rdi",
		"--8@%rdi",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_arg(bad[i], NOTE_ARG_UNKNOWN, 0, 0, 0);
}

/* --- files -------------------------------------------------------------------------------- */

static void done(struct fixture *fx, struct elf_file *elf)
{
	elf_close(elf);
	fixture_done(fx);
}

static const char probed[] =
	"#include <stalltop/sdt.h>\n"
	"STALLTOP_SDT_RUNTIME(\"mine\", \"2.1\")\n"
	"void a(struct stalltop_sdt_runtime *r) {\n"
	"	stalltop_poll_begin(r, 7, \"n\", STALLTOP_SDT_HERE);\n"
	"	stalltop_poll_end(r, 7, 1);\n"
	"	stalltop_task_wake(r, 7);\n"
	"}\n"
	"void b(struct stalltop_sdt_runtime *r) { stalltop_task_wake(r, 8); }\n";

static void header_read(const char *flags)
{
	static const uint8_t regs[] = {NOTE_REG_RDI, NOTE_REG_RSI, NOTE_REG_RDX, NOTE_REG_RCX};
	struct note_probe *probes;
	size_t count, bad, len;
	struct fixture fx;
	struct elf_file *elf = elf_fixture_c(&fx, probed, flags);
	uint32_t type = 0;
	char text[64];
	uint8_t byte;

	assert_int_equal(note_probes(elf, "stalltop", &probes, &count, &bad, NULL), 0);
	assert_int_equal(count, 4);
	assert_int_equal(bad, 0);
	for (size_t i = 0; i < count; i++) {
		bool begin = !strcmp(probes[i].name, "poll__begin");

		assert_string_equal(probes[i].provider, "stalltop");
		assert_int_equal(probes[i].args_count, begin				    ? 4 :
						       !strcmp(probes[i].name, "poll__end") ? 3 :
											      2);
		for (uint32_t a = 0; a < probes[i].args_count; a++) {
			assert_int_equal(probes[i].args[a].kind, NOTE_ARG_REG);
			assert_int_equal(probes[i].args[a].reg, regs[a]);
		}
		assert_int_equal(elf_read(elf, probes[i].pc, &byte, 1), 0);
		assert_int_equal(byte, 0x90);
		assert_int_not_equal(probes[i].semaphore, 0);
	}
	free(probes);
	assert_int_equal(note_probes(elf, "other", &probes, &count, &bad, NULL), -ENOENT);
	assert_int_equal(
		note_of(elf, ".note.stalltop", "stalltop", &type, text, sizeof(text), &len), 0);
	assert_int_equal(type, 1);
	assert_int_equal(len, 9);
	assert_string_equal(text, "mine");
	assert_string_equal(text + 5, "2.1");
	assert_int_equal(note_of(elf, ".note.stalltop", "other", &type, text, sizeof(text), &len),
			 -ENOENT);
	/* A buffer that is too small cuts, and ends. */
	assert_int_equal(note_of(elf, ".note.stalltop", "stalltop", &type, text, 4, &len), 0);
	assert_string_equal(text, "min");
	done(&fx, elf);
}

static void test_header(void **state)
{
	(void)state;
	header_read("");
	header_read("-s");
	header_read("-O0");
}

static void test_none(void **state)
{
	struct note_probe *probes;
	size_t count, bad = 0;
	struct fixture fx;
	struct elf_file *elf = elf_fixture_c(&fx, "int x;\n", "");

	(void)state;
	assert_int_equal(note_probes(elf, "stalltop", &probes, &count, &bad, NULL), -ENOENT);
	assert_null(probes);
	done(&fx, elf);
}

#define NOTE(owner, desc)                                                                          \
	"asm(\".pushsection .note.stapsdt,\\\"\\\",@note\\n\"\n"                                   \
	"\".4byte 992f-991f, 994f-993f, 3\\n\"\n"                                                  \
	"\"991: .asciz \\\"" owner "\\\"\\n992: .balign 4\\n993: \"\n" desc                        \
	"\"994: .balign 4\\n.popsection\\n\");\n"
#define WORDS(pc, semaphore) "\".8byte " pc ", 0, " semaphore "\\n\"\n"
#define TEXT(text) "\".asciz \\\"" text "\\\"\\n\"\n"

/* Each of these is wrong in one way; the two right ones beside them are kept. */
static const char hostile[] =
	"void f(void) {}\nshort s = 1; static const int r[2] = {1, 2};\n"
	"const int *g(void) { return r; }\n" NOTE("stapsdt", WORDS("f", "0") TEXT("stalltop")
								     TEXT("good") TEXT("8@%rdi"))
		NOTE("stapsdt", WORDS("s", "0") TEXT("stalltop") TEXT("pc_is_data") TEXT("")) NOTE(
			"stapsdt",
			WORDS("0x7fffffffffff", "0") TEXT("stalltop") TEXT("pc_nowhere") TEXT(
				"")) NOTE("stapsdt",
					  WORDS("f", "f") TEXT("stalltop") TEXT("semaphore_is_code")
						  TEXT("")) NOTE("stapsdt",
								 WORDS("f", "-2") TEXT("stalltop")
									 TEXT("semaphore_nowhere")
										 TEXT(""))
			NOTE("stapsdt", WORDS("f", "0") TEXT("stalltop") "\".ascii \\\"no end\\\"\\n\"\n") NOTE(
				"stapsdt",
				WORDS("f", "0")
					TEXT("stalltop") "\".fill 80, 1, 65\\n.byte 0\\n.asciz \\\"\\\"\\n\"\n")
				NOTE("stapsdt", "\".8byte f\\n\"\n") NOTE(
					"foreign", WORDS("f",
							 "0") TEXT("stalltop")
							   TEXT("owner") TEXT(""))
					NOTE("stapsdt",
					     WORDS("f",
						   "s") TEXT("stalltop") TEXT("also_good")
						     TEXT("1@%al 2@%bx 4@%ecx 8@%rdx 1@%al 1@%al 1@%al 1@%al 1@%al 1@%al 1@%al 1@%al 1@%al"));

static void test_hostile(void **state)
{
	struct note_probe *probes;
	size_t count, bad;
	struct fixture fx;
	struct elf_file *elf = elf_fixture_c(&fx, hostile, "");

	(void)state;
	assert_int_equal(note_probes(elf, "stalltop", &probes, &count, &bad, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(bad, 6);
	assert_string_equal(probes[0].name, "good");
	assert_string_equal(probes[1].name, "also_good");
	assert_int_equal(probes[1].args_count, NOTE_MAX_ARGS);
	assert_int_not_equal(probes[1].semaphore_offset, 0);
	free(probes);
	done(&fx, elf);
}

/* Any one byte of the section changed: an answer or an error, and nothing read outside. */
static void test_bytes_changed(void **state)
{
	struct elf_section section;
	struct fixture fx;
	struct elf_file *elf = elf_fixture_c(&fx, hostile, "");
	char path[256];

	(void)state;
	assert_int_equal(elf_section(elf, ".note.stapsdt", &section), 0);
	snprintf(path, sizeof(path), "%s", fixture_path(&fx, "a.so"));
	for (uint64_t at = 0; at < section.size; at++) {
		FILE *file = fopen(path, "r+");
		struct note_probe *probes;
		size_t count, bad;
		int old;

		assert_non_null(file);
		fseek(file, (long)(section.offset + at), SEEK_SET);
		old = fgetc(file);
		fseek(file, (long)(section.offset + at), SEEK_SET);
		fputc(old ^ 0xff, file);
		fflush(file);
		note_probes(elf, "stalltop", &probes, &count, &bad, NULL);
		assert_true(count <= 2);
		free(probes);
		fseek(file, (long)(section.offset + at), SEEK_SET);
		fputc(old, file);
		fclose(file);
	}
	done(&fx, elf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_args),	cmocka_unit_test(test_bad_args),
		cmocka_unit_test(test_header),	cmocka_unit_test(test_none),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_bytes_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
