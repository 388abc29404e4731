// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How uprobes treat an instruction, after arch/x86/kernel/uprobes.c (64-bit tasks):
 *
 *   uprobe_init_insn, is_prefix_bad   refuse es/cs/ss/ds overrides (also as branch hints) and lock
 *   insn_masking_exception            refuses mov to ss
 *   good_insns_64                     refuses the opcodes of refused[] below; all of 0f passes
 *   branch_setup_xol_ops              emulates call, jmp and jcc relative and 90 with any prefix;
 *                                     refuses branches with a 66 prefix
 *   the same on 6.18                  emulates the usual nops of 3 to 8 bytes too (long_nops[])
 *   push_setup_xol_ops                emulates push of a register: 50-57, 41 50 - 41 57
 *   arch_uprobe_analyze_insn          everything else runs out of line (default_xol_ops)
 *
 * Taken by the kernel and executed wrongly, so refused here (the first two were seen to give wrong
 * results in a probed program on 6.18.44):
 *   49 90 (xchg r8, rax)   taken for a nop: the exchange does not happen
 *   VEX, EVEX, XOP         the opcode behind the prefix is looked up as if it was a legacy one:
 *                          vpor (eb) is skipped as a jump, vzeroupper (77) becomes a branch
 *   xbegin                 its abort address would be relative to the copy
 * Measured there with a perf uprobe on each, busy machine: emulated 1.3-3 us, stepped 12-38 us,
 * refused 524; nops of 9 bytes and 0f 1f c0 are stepped.
 */
#include <string.h>

#include "target/insn.h"

static const uint8_t refused[] = {
	0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62,
	0x6c, 0x6d, 0x6e, 0x6f, 0x82, 0x9a, 0xcc, 0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6, 0xe4,
	0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xed, 0xee, 0xef, 0xf1, 0xf4, 0xfa, 0xfb,
};

static const struct {
	uint8_t len;
	uint8_t bytes[8];
} long_nops[] = {
	{3, {0x0f, 0x1f, 0x00}},
	{4, {0x0f, 0x1f, 0x40, 0x00}},
	{5, {0x0f, 0x1f, 0x44, 0x00, 0x00}},
	{6, {0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00}},
	{7, {0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00}},
	{8, {0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00}},
};

struct parts {
	bool bad_prefix;
	bool size_prefix; /* 66 */
	uint8_t rex;	  /* 0 none */
	bool vector;	  /* VEX, EVEX, XOP */
	uint8_t op[3];	  /* opcode, what follows */
};

static bool is_vector(const uint8_t *p, size_t left)
{
	if (p[0] == 0xc4 || p[0] == 0xc5 || p[0] == 0x62)
		return true;
	/* 8f is pop with reg 0, XOP otherwise. */
	return p[0] == 0x8f && left > 1 && (p[1] & 0x38) != 0;
}

static struct parts split(const uint8_t *bytes, size_t len)
{
	struct parts p = {0};
	size_t i = 0;

	for (; i < len && memchr("\x66\x67\xf2\xf3\x26\x2e\x36\x3e\x64\x65\xf0", bytes[i], 11);
	     i++) {
		if (memchr("\x26\x2e\x36\x3e\xf0", bytes[i], 5))
			p.bad_prefix = true;
		if (bytes[i] == 0x66)
			p.size_prefix = true;
	}
	if (i < len && (bytes[i] & 0xf0) == 0x40)
		p.rex = bytes[i++];
	if (i < len)
		p.vector = is_vector(bytes + i, len - i);
	for (size_t k = 0; k < sizeof(p.op) && i + k < len; k++)
		p.op[k] = bytes[i + k];
	return p;
}

static bool is_relative_branch(const struct parts *p)
{
	if (p->op[0] == 0x0f)
		return (p->op[1] & 0xf0) == 0x80;
	return p->op[0] == 0xe8 || p->op[0] == 0xe9 || p->op[0] == 0xeb ||
	       (p->op[0] & 0xf0) == 0x70;
}

static bool is_refused(const struct parts *p)
{
	bool moves_to_ss = p->op[0] == 0x8e && (p->op[1] & 0x38) == 0x10;
	bool is_xbegin = p->op[0] == 0xc7 && p->op[1] == 0xf8;
	bool is_xchg_r8 = p->op[0] == 0x90 && (p->rex & 1);

	return p->bad_prefix || p->vector || moves_to_ss || is_xbegin || is_xchg_r8 ||
	       memchr(refused, p->op[0], sizeof(refused)) ||
	       (p->size_prefix && is_relative_branch(p));
}

static bool is_emulated(const struct parts *p, uint8_t len)
{
	if (p->op[0] == 0x90 || is_relative_branch(p))
		return true;
	return (p->op[0] & 0xf8) == 0x50 && (len == 1 || (len == 2 && p->rex == 0x41));
}

void insn_classify(const uint8_t *bytes, struct insn *out)
{
	struct parts p = split(bytes, out->len);

	out->long_nop = false;
	for (size_t i = 0; i < sizeof(long_nops) / sizeof(long_nops[0]); i++)
		if (long_nops[i].len == out->len &&
		    memcmp(long_nops[i].bytes, bytes, out->len) == 0)
			out->long_nop = true;
	out->nop5 = out->long_nop && out->len == 5;
	if (is_refused(&p))
		out->class = INSN_REFUSED;
	else
		out->class = is_emulated(&p, out->len) ? INSN_EMULATED : INSN_STEPPED;
}
