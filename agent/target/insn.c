// SPDX-License-Identifier: LGPL-2.1-or-later
#include "target/insn.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <string.h>

#define WINDOW 4096 /* bytes read at once for a proof */

static uint16_t register_bit(ZydisRegister reg)
{
	ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (full < ZYDIS_REGISTER_RAX || full > ZYDIS_REGISTER_R15)
		return 0;
	return (uint16_t)(1u << (full - ZYDIS_REGISTER_RAX));
}

static uint16_t registers_written(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops)
{
	uint16_t written = 0;

	for (unsigned int i = 0; i < in->operand_count; i++)
		if (ops[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    (ops[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			written |= register_bit(ops[i].reg.value);
	return written;
}

static enum insn_flow flow_of(const ZydisDecodedInstruction *in)
{
	switch (in->meta.category) {
	case ZYDIS_CATEGORY_CALL: return INSN_CALL;
	case ZYDIS_CATEGORY_COND_BR: return INSN_BRANCH;
	case ZYDIS_CATEGORY_UNCOND_BR: return INSN_JUMP;
	case ZYDIS_CATEGORY_RET: return INSN_RETURN;
	default: break;
	}
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_INT3:
	case ZYDIS_MNEMONIC_HLT: return INSN_STOP;
	default: return INSN_NEXT;
	}
}

static void find_addresses(struct insn *out, const ZydisDecodedInstruction *in,
			   const ZydisDecodedOperand *ops)
{
	for (unsigned int i = 0; i < in->operand_count_visible; i++) {
		const ZydisDecodedOperand *op = &ops[i];

		if (op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op->imm.is_relative) {
			out->has_target = true;
			out->target = out->addr + out->len + op->imm.value.u;
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
			   op->mem.base == ZYDIS_REGISTER_RIP) {
			out->has_rip = true;
			out->rip_addr = out->addr + out->len + (uint64_t)op->mem.disp.value;
		}
	}
}

int insn_decode(const void *bytes, size_t len, uint64_t addr, struct insn *out)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	ZydisDecoder decoder;

	memset(out, 0, sizeof(*out));
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &in, ops)))
		return -EINVAL;
	out->addr = addr;
	out->len = in.length;
	out->flow = flow_of(&in);
	out->is_lea = in.mnemonic == ZYDIS_MNEMONIC_LEA;
	out->is_mov = in.mnemonic == ZYDIS_MNEMONIC_MOV && in.raw.imm[0].size == 32;
	out->constant = out->is_mov ? (uint32_t)in.raw.imm[0].value.u : 0;
	out->written = registers_written(&in, ops);
	find_addresses(out, &in, ops);
	insn_classify(bytes, out);
	return 0;
}

uint64_t insn_takes(const struct insn *in, bool fixed)
{
	if (in->is_lea && in->has_rip)
		return in->rip_addr;
	return fixed && in->is_mov ? in->constant : 0;
}

int insn_decode_flow(const void *bytes, size_t len, uint64_t addr, struct insn *out)
{
	ZydisDecodedInstruction in;
	ZydisDecoder decoder;

	memset(out, 0, sizeof(*out));
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, len, &in)))
		return -EINVAL;
	out->addr = addr;
	out->len = in.length;
	out->flow = flow_of(&in);
	if (in.raw.imm[0].is_relative) {
		out->has_target = true;
		out->target = addr + in.length + (uint64_t)in.raw.imm[0].value.s;
	}
	return 0;
}

/* Decodes from *at on while it is below addr; leaves *at where it stopped. */
static int decode_window(const uint8_t *buf, size_t len, uint64_t base, uint64_t *at, uint64_t addr)
{
	struct insn in;

	while (*at < addr && len - (*at - base) >= INSN_MAX_LEN) {
		if (insn_decode_flow(buf + (*at - base), len - (*at - base), *at, &in) != 0)
			return -EILSEQ;
		*at += in.len;
	}
	return 0;
}

int insn_prove_boundary(const struct elf_file *f, uint64_t func_start, uint64_t addr)
{
	uint64_t at = func_start;
	uint8_t buf[WINDOW + INSN_MAX_LEN];

	if (addr < func_start)
		return -EILSEQ;
	if (addr - func_start > INSN_PROVE_MAX)
		return -E2BIG;
	if (!elf_is_code(f, func_start) || !elf_is_code(f, addr))
		return -EFAULT;
	while (at < addr) {
		ssize_t n = elf_read_some(f, at, buf, WINDOW);
		int ret;

		if (n < 0)
			return (int)n;
		/* Padding lets the last instruction of the segment meet the length test. */
		memset(buf + n, 0, INSN_MAX_LEN);
		ret = decode_window(buf, (size_t)n + INSN_MAX_LEN, at, &at, addr);
		if (ret)
			return ret;
	}
	return at == addr ? 0 : -EILSEQ;
}

const char *insn_class_name(enum insn_class class)
{
	static const char *const names[] = {
		[INSN_EMULATED] = "emulated",
		[INSN_STEPPED] = "single-stepped",
		[INSN_REFUSED] = "refused",
	};

	return names[class];
}
