// SPDX-License-Identifier: LGPL-2.1-or-later
/* Instructions: class for uprobes, flow, addresses, registers; proof of a boundary. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "elf_fixture.h"
#include "target/insn.h"

#define CODE(text) text, sizeof(text) - 1

/* As measured on Linux 6.18.44 with a uprobe on each, but for those that insn_class.c refuses. */
static void classes(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum insn_class class;
		bool long_nop;
	} list[] = {
		{CODE("\x90"), INSN_EMULATED, false},
		{CODE("\x66\x90"), INSN_EMULATED, false},
		{CODE("\xf3\x90"), INSN_EMULATED, false}, /* pause */
		{CODE("\x53"), INSN_EMULATED, false},	  /* push rbx */
		{CODE("\x41\x57"), INSN_EMULATED, false}, /* push r15 */
		{CODE("\xeb\x10"), INSN_EMULATED, false},
		{CODE("\xe9\x10\x00\x00\x00"), INSN_EMULATED, false},
		{CODE("\xe8\x10\x00\x00\x00"), INSN_EMULATED, false},
		{CODE("\x67\xe8\x10\x00\x00\x00"), INSN_EMULATED, false},
		{CODE("\x74\x10"), INSN_EMULATED, false},
		{CODE("\x0f\x84\x10\x00\x00\x00"), INSN_EMULATED, false},
		{CODE("\x0f\x1f\x00"), INSN_STEPPED, true},
		{CODE("\x0f\x1f\x44\x00\x00"), INSN_STEPPED, true},
		{CODE("\x66\x0f\x1f\x44\x00\x00"), INSN_STEPPED, true},
		{CODE("\x0f\x1f\xc0"), INSN_STEPPED, false},
		{CODE("\x66\x0f\x1f\x84\x00\x00\x00\x00\x00"), INSN_STEPPED, false},
		{CODE("\xf3\x0f\x1e\xfa"), INSN_STEPPED, false}, /* endbr64 */
		{CODE("\x48\x89\xf8"), INSN_STEPPED, false},
		{CODE("\x48\x83\xec\x18"), INSN_STEPPED, false},
		{CODE("\xc3"), INSN_STEPPED, false},
		{CODE("\x6a\x00"), INSN_STEPPED, false}, /* push imm8 */
		{CODE("\xff\x30"), INSN_STEPPED, false}, /* push [rax] */
		{CODE("\x48\x50"), INSN_STEPPED, false}, /* push rax, needless REX */
		{CODE("\xe2\x00"), INSN_STEPPED, false}, /* loop */
		{CODE("\x64\x48\x8b\x04\x25\x00\x00\x00\x00"), INSN_STEPPED, false},
		{CODE("\x0f\x05"), INSN_STEPPED, false}, /* syscall */
		{CODE("\x66\xeb\x00\x00\x00"), INSN_REFUSED, false},
		{CODE("\x3e\x74\x00"), INSN_REFUSED, false},
		{CODE("\xf0\xff\x00"), INSN_REFUSED, false},
		{CODE("\x2e\x89\xc0"), INSN_REFUSED, false},
		{CODE("\xcc"), INSN_REFUSED, false},
		{CODE("\xcd\x80"), INSN_REFUSED, false},
		{CODE("\xf4"), INSN_REFUSED, false},
		{CODE("\x8e\xd0"), INSN_REFUSED, false},	     /* mov ss, eax */
		{CODE("\xc5\xf9\xeb\xc0"), INSN_REFUSED, false},     /* vpor */
		{CODE("\xc5\xf9\x70\xc0\x00"), INSN_REFUSED, false}, /* vpshufd */
		{CODE("\x62\xf1\x7c\x48\x28\xc0"), INSN_REFUSED, false},
		{CODE("\x49\x90"), INSN_REFUSED, false},		 /* xchg r8, rax */
		{CODE("\xc7\xf8\x00\x00\x00\x00"), INSN_REFUSED, false}, /* xbegin */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct insn in = {.len = (uint8_t)list[i].len};

		insn_classify((const uint8_t *)list[i].bytes, &in);
		assert_int_equal(in.class, list[i].class);
		assert_int_equal(in.long_nop, list[i].long_nop);
		assert_int_equal(in.nop5, list[i].long_nop && list[i].len == 5);
	}
	assert_string_equal(insn_class_name(INSN_STEPPED), "single-stepped");
}

static void flow_and_addresses(void **state)
{
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode("\xe8\x10\x00\x00\x00", 5, 0x1000, &in), 0);
	assert_int_equal(in.flow, INSN_CALL);
	assert_true(in.has_target && in.target == 0x1015 && in.len == 5);
	assert_true(in.written & INSN_RSP);
	assert_int_equal(insn_decode("\xeb\xfe", 2, 0x1000, &in), 0);
	assert_true(in.flow == INSN_JUMP && in.target == 0x1000);
	assert_int_equal(insn_decode("\x0f\x84\xfa\xff\xff\xff", 6, 0x1000, &in), 0);
	assert_true(in.flow == INSN_BRANCH && in.target == 0x1000);
	assert_int_equal(insn_decode("\xff\xe0", 2, 0x1000, &in), 0);
	assert_true(in.flow == INSN_JUMP && !in.has_target);
	assert_int_equal(insn_decode("\xc3", 1, 0x1000, &in), 0);
	assert_int_equal(in.flow, INSN_RETURN);
	assert_int_equal(insn_decode("\x0f\x0b", 2, 0x1000, &in), 0);
	assert_int_equal(in.flow, INSN_STOP);
	/* lea rdi, [rip + 0x20] */
	assert_int_equal(insn_decode("\x48\x8d\x3d\x20\x00\x00\x00", 7, 0x1000, &in), 0);
	assert_true(in.is_lea && in.has_rip && in.rip_addr == 0x1027);
	assert_int_equal(in.written, INSN_RDI);
	assert_true(insn_takes(&in, false) == 0x1027 && insn_takes(&in, true) == 0x1027);
	/* mov r9d, 0x405060; mov qword [rbx + 8], 0x405060: addresses where nothing is relocated */
	assert_int_equal(insn_decode("\x41\xb9\x60\x50\x40\x00", 6, 0x1000, &in), 0);
	assert_true(insn_takes(&in, true) == 0x405060 && insn_takes(&in, false) == 0);
	assert_int_equal(insn_decode("\x48\xc7\x43\x08\x60\x50\x40\x00", 8, 0x1000, &in), 0);
	assert_true(insn_takes(&in, true) == 0x405060 && insn_takes(&in, false) == 0);
	/* cmp eax, 0x405060; movabs rax, 0x405060; mov al, [rip + ..]: none */
	assert_int_equal(insn_decode("\x3d\x60\x50\x40\x00", 5, 0x1000, &in), 0);
	assert_int_equal(insn_takes(&in, true), 0);
	assert_int_equal(insn_decode("\x48\xb8\x60\x50\x40\x00\0\0\0\0", 10, 0x1000, &in), 0);
	assert_int_equal(insn_takes(&in, true), 0);
	assert_int_equal(insn_decode("\x8a\x05\x60\x50\x40\x00", 6, 0x1000, &in), 0);
	assert_int_equal(insn_takes(&in, true), 0);
	/* mov esi, edi writes rsi only; cmp writes nothing */
	assert_int_equal(insn_decode("\x89\xfe", 2, 0x1000, &in), 0);
	assert_int_equal(in.written, INSN_RSI);
	assert_int_equal(insn_decode("\x48\x39\xfe", 3, 0x1000, &in), 0);
	assert_int_equal(in.written, 0);
}

static void the_fast_decoder_agrees(void **state)
{
	unsigned int seed = 3;
	uint8_t bytes[16];
	struct insn a, b;
	int decoded = 0;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rand_r(&seed);
		assert_int_equal(insn_decode(bytes, sizeof(bytes), 0x4000, &a),
				 insn_decode_flow(bytes, sizeof(bytes), 0x4000, &b));
		assert_true(a.len == b.len && a.flow == b.flow);
		assert_true(a.has_target == b.has_target && a.target == b.target);
		decoded += a.len > 0;
	}
	assert_true(decoded > 10000);
}

static void refuses_bad_bytes(void **state)
{
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode("\x06", 1, 0, &in), -EINVAL);
	assert_int_equal(insn_decode("\xe8\x10\x00", 3, 0, &in), -EINVAL);
	assert_int_equal(insn_decode("", 0, 0, &in), -EINVAL);
	assert_int_equal(
		insn_decode("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", 16,
			    0, &in),
		-EINVAL);
}

static void proves_boundaries(void **state)
{
	const struct elf_symbol *s, *at = NULL;
	struct elf_file *f = NULL;
	struct fixture fx;
	size_t n;

	(void)state;
	fixture_make(&fx, "-shared");
	assert_int_equal(elf_open(fx.so, &f, NULL), 0);
	s = elf_symbols(f, &n);
	for (size_t i = 0; i < n; i++)
		if (strcmp(s[i].name, "long_function") == 0)
			at = &s[i];
	assert_non_null(at);
	/* push 1, mov 5, nop 4, lea 7, pop 1, ret 1 */
	for (uint64_t i = 0; i <= 19; i++) {
		bool edge = i == 0 || i == 1 || i == 6 || i == 10 || i >= 17;

		assert_int_equal(insn_prove_boundary(f, at->addr, at->addr + i),
				 edge ? 0 : -EILSEQ);
	}
	assert_int_equal(insn_prove_boundary(f, at->addr, at->addr - 1), -EILSEQ);
	assert_int_equal(insn_prove_boundary(f, 0, 4), -EFAULT);
	assert_int_equal(insn_prove_boundary(f, at->addr, at->addr + (1 << 20)), -E2BIG);
	assert_int_equal(insn_prove_boundary(f, at->addr, UINT64_MAX), -E2BIG);
	elf_close(f);
	fixture_done(&fx);
}

/* Of an Arc, as rustc 1.95 writes it; 90 is what lies before. */
static void counts_references(void **state)
{
	static const struct {
		const char *bytes;
		size_t len, at;
		enum insn_count count;
		int64_t branch;
	} list[] = {
		/* lock inc qword [rax]; jle +0xf7 */
		{CODE("\x90\xf0\x48\xff\x00\x0f\x8e\xf7\0\0\0"), 5, INSN_COUNT_UP, 11 + 0xf7},
		/* lock dec qword [r14 + 0x1c8]; jne +0x1c */
		{CODE("\xf0\x49\xff\x8e\xc8\x01\0\0\x75\x1c"), 8, INSN_COUNT_DOWN, 10 + 0x1c},
		/* lock add / sub qword [rdi], 1; js +2 */
		{CODE("\xf0\x48\x83\x07\x01\x78\x02"), 5, INSN_COUNT_UP, 9},
		{CODE("\xf0\x48\x83\x2f\x01\x75\x02"), 5, INSN_COUNT_DOWN, 9},
		/* By 64, as Tokio counts a task's; of four bytes; not locked; in a register. */
		{CODE("\xf0\x48\x83\x2f\x40\x75\x02"), 5, INSN_NO_COUNT, 0},
		{CODE("\x90\xf0\xff\x0f\x75\x02"), 4, INSN_NO_COUNT, 0},
		{CODE("\x90\x48\xff\x0f\x75\x02"), 4, INSN_NO_COUNT, 0},
		/* No branch behind it, at the end of what was read, and beyond. */
		{CODE("\xf0\x48\xff\x0f\x90\x90"), 4, INSN_NO_COUNT, 0},
		{CODE("\xf0\x48\xff\x0f\x75"), 4, INSN_NO_COUNT, 0},
		{CODE("\xf0\x48\xff\x0f"), 4, INSN_NO_COUNT, 0},
		{CODE("\xf0\x48\xff\x0f"), 9, INSN_NO_COUNT, 0},
		/* Elsewhere than where the instruction ends. */
		{CODE("\xf0\x48\xff\x0f\x75\x02"), 3, INSN_NO_COUNT, 0},
		{CODE("\xf0\x48\xff\x0f\x75\x02"), 0, INSN_NO_COUNT, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		int64_t branch = 0, next = 0;

		assert_int_equal(insn_counts((const uint8_t *)list[i].bytes, list[i].len,
					     list[i].at, &branch, &next),
				 list[i].count);
		assert_int_equal(branch, list[i].branch);
		if (list[i].count)
			assert_in_range(next, list[i].at + 2, list[i].at + 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes),
		cmocka_unit_test(flow_and_addresses),
		cmocka_unit_test(the_fast_decoder_agrees),
		cmocka_unit_test(refuses_bad_bytes),
		cmocka_unit_test(proves_boundaries),
		cmocka_unit_test(counts_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
