// SPDX-License-Identifier: LGPL-2.1-or-later
/* Instructions that change a reference count; see insn.h. */
#include "target/insn.h"

#include <Zydis/Zydis.h>

#define LOCK 0xf0 /* comes first in what compilers write */
#define SHORTEST 4
#define LONGEST 9

/* Of a locked instruction on a word of memory: + 1 or - 1, else 0. */
static int step_of(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *ops)
{
	bool one = in->operand_count_visible > 1 && ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
		   ops[1].imm.value.s == 1;

	if (!in->operand_count_visible || ops[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    ops[0].size != 64)
		return 0;
	switch (in->mnemonic) {
	case ZYDIS_MNEMONIC_INC: return 1;
	case ZYDIS_MNEMONIC_DEC: return -1;
	case ZYDIS_MNEMONIC_ADD: return one ? 1 : 0;
	case ZYDIS_MNEMONIC_SUB: return one ? -1 : 0;
	default: return 0;
	}
}

static int step_before(const uint8_t *code, size_t at)
{
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (size_t len = SHORTEST; len <= LONGEST && len <= at; len++)
		if (code[at - len] == LOCK &&
		    ZYAN_SUCCESS(
			    ZydisDecoderDecodeFull(&decoder, code + at - len, len, &in, ops)) &&
		    in.length == len && step_of(&in, ops))
			return step_of(&in, ops);
	return 0;
}

enum insn_count insn_counts(const uint8_t *code, size_t len, size_t at, int64_t *branch,
			    int64_t *next)
{
	struct insn in;
	int step;

	if (at >= len)
		return INSN_NO_COUNT;
	step = step_before(code, at);
	if (!step || insn_decode_flow(code + at, len - at, at, &in) || in.flow != INSN_BRANCH ||
	    !in.has_target)
		return INSN_NO_COUNT;
	*branch = (int64_t)in.target;
	*next = (int64_t)(at + in.len);
	return step > 0 ? INSN_COUNT_UP : INSN_COUNT_DOWN;
}
