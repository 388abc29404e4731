/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One x86-64 instruction: where it ends, where it goes, and how the kernel's uprobes treat it.
 *
 * The class is what a uprobe there would be: emulated costs one trap, stepped two traps and ten
 * times the time, refused makes the attach fail with ENOTSUPP (524). It follows
 * arch/x86/kernel/uprobes.c of Linux 6.6 to 6.18 and was measured on 6.18.44 (insn_class.c).
 * Bytes come from a file or a process and are untrusted: a bad encoding is -EINVAL, never more.
 */
#ifndef TARGET_INSN_H
#define TARGET_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/elf.h"

#define INSN_MAX_LEN 15
#define INSN_PROVE_MAX 65536 /* bytes decoded for one proof */

enum insn_class {
	INSN_EMULATED, /* nop, push reg, jmp/call/jcc rel: one trap */
	INSN_STEPPED,  /* executed out of line: about 10 us a hit */
	INSN_REFUSED,  /* uprobes will not take it */
};

enum insn_flow {
	INSN_NEXT, /* goes on with the next instruction */
	INSN_CALL,
	INSN_JUMP,   /* unconditional */
	INSN_BRANCH, /* conditional */
	INSN_RETURN,
	INSN_STOP, /* ud2, int3, hlt: execution does not go on */
};

/* Bits of `written`, numbered as in the encoding: rax rcx rdx rbx rsp rbp rsi rdi r8 ... r15. */
#define INSN_RSP (1u << 4)
#define INSN_RSI (1u << 6)
#define INSN_RDI (1u << 7)

struct insn {
	uint64_t addr;
	uint8_t len;
	enum insn_class class;
	enum insn_flow flow;
	bool nop5;	 /* 0f 1f 44 00 00: turned into a call since 6.18 */
	bool long_nop;	 /* the usual nop of 3 to 8 bytes: emulated on 6.18, else stepped */
	bool has_target; /* direct call, jump or branch */
	uint64_t target;
	bool has_rip;	   /* one operand is [rip + disp] */
	bool is_lea;	   /* and the instruction is lea */
	uint64_t rip_addr; /* what that operand addresses */
	bool is_mov; /* mov of 32 constant bits: in a program that is not relocated, an address */
	uint32_t constant; /* these */
	uint16_t written;  /* general registers that it writes, whole or in part */
};

/* Decodes the instruction at the start of bytes; addr is its address. */
int insn_decode(const void *bytes, size_t len, uint64_t addr, struct insn *out);

/*
 * The address that it takes as a value: with lea, or, in a program that is `fixed` to its link-time
 * addresses, as a constant; 0: none.
 */
uint64_t insn_takes(const struct insn *in, bool fixed);

/*
 * As insn_decode(), without operands, in half the time: addr, len, flow and target; the rest is 0. For
 * walks over much code.
 */
int insn_decode_flow(const void *bytes, size_t len, uint64_t addr, struct insn *out);

/*
 * Fills class, nop5 and long_nop from the bytes of an instruction of out->len; insn_decode() has
 * done it already. Like the kernel it goes by prefixes and opcode, not by meaning. Refused are
 * also those that the kernel takes and then executes wrongly.
 */
void insn_classify(const uint8_t *bytes, struct insn *out);

/*
 * 0 when linear decoding from func_start, a proven function start, meets addr exactly;
 * -EILSEQ when it steps over it or meets a bad encoding; -E2BIG past INSN_PROVE_MAX.
 */
int insn_prove_boundary(const struct elf_file *f, uint64_t func_start, uint64_t addr);

enum insn_count {
	INSN_NO_COUNT,
	INSN_COUNT_UP,	 /* a locked + 1 on a word, and a branch */
	INSN_COUNT_DOWN, /* - 1 */
};

/*
 * Does the instruction that ends at code[at] change a reference count, as that of an Arc? *branch:
 * where the conditional branch behind it goes; *next: what follows that. Addresses of code[0] are 0.
 */
enum insn_count insn_counts(const uint8_t *code, size_t len, size_t at, int64_t *branch,
			    int64_t *next);

/* Name of a class: "emulated", "single-stepped", "refused". */
const char *insn_class_name(enum insn_class class);

#endif
