// SPDX-License-Identifier: LGPL-2.1-or-later
/* Unwinding by .eh_frame rows; see unwind.h. */
#include "stack/unwind.h"

#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXPR_DEPTH 32
#define EXPR_STEPS 256

enum step {
	STEP_OK,
	STEP_FIRST,  /* no caller: the thread's first function */
	STEP_NO_ROW, /* no unwind information here */
	STEP_BROKEN, /* it makes no sense */
	STEP_CUT,
	STEP_ABSENT,
};

static const enum stack_end step_end[] = {
	[STEP_FIRST] = STACK_COMPLETE, [STEP_NO_ROW] = STACK_UNSURE, [STEP_BROKEN] = STACK_UNSURE,
	[STEP_CUT] = STACK_CUT,	       [STEP_ABSENT] = STACK_ABSENT,
};

struct regs {
	uint64_t value[STACK_REGS];
	uint32_t known; /* a bit each */
};

/* What an expression works on. */
struct machine {
	const struct unwind_stack *stack;
	const struct regs *regs;
	uint64_t values[EXPR_DEPTH];
	size_t depth;
};

static enum step read_bytes(const struct unwind_stack *stack, uint64_t address, void *out,
			    size_t len)
{
	uint64_t first, last;

	if (address < stack->base || address - stack->base > STACK_PAGES * STACK_PAGE - len)
		return STEP_CUT;
	address -= stack->base;
	first = address / STACK_PAGE;
	last = (address + len - 1) / STACK_PAGE;
	if (!(stack->present & 1U << first) || !(stack->present & 1U << last))
		return STEP_ABSENT;
	memcpy(out, stack->pages + address, len);
	return STEP_OK;
}

static enum step read_word(const struct unwind_stack *stack, uint64_t address, uint64_t *out)
{
	return read_bytes(stack, address, out, sizeof(*out));
}

static enum step push(struct machine *m, uint64_t value)
{
	if (m->depth == EXPR_DEPTH)
		return STEP_BROKEN;
	m->values[m->depth++] = value;
	return STEP_OK;
}

static enum step push_register(struct machine *m, uint64_t number, uint64_t offset)
{
	if (number >= STACK_REGS || !(m->regs->known & 1U << number))
		return STEP_BROKEN;
	return push(m, m->regs->value[number] + offset);
}

static enum step unary(struct machine *m, const Dwarf_Op *op)
{
	uint64_t *top;

	if (!m->depth)
		return STEP_BROKEN;
	top = &m->values[m->depth - 1];
	switch (op->atom) {
	case DW_OP_deref: return read_word(m->stack, *top, top);
	case DW_OP_plus_uconst: *top += op->number; return STEP_OK;
	case DW_OP_neg: *top = -*top; return STEP_OK;
	case DW_OP_not: *top = ~*top; return STEP_OK;
	case DW_OP_dup: return push(m, *top);
	case DW_OP_drop: m->depth--; return STEP_OK;
	default: return STEP_BROKEN;
	}
}

static enum step binary(struct machine *m, const Dwarf_Op *op)
{
	uint64_t b, a, *top;

	if (m->depth < 2)
		return STEP_BROKEN;
	b = m->values[--m->depth];
	top = &m->values[m->depth - 1];
	a = *top;
	switch (op->atom) {
	case DW_OP_plus: *top = a + b; break;
	case DW_OP_minus: *top = a - b; break;
	case DW_OP_and: *top = a & b; break;
	case DW_OP_or: *top = a | b; break;
	case DW_OP_xor: *top = a ^ b; break;
	case DW_OP_mul: *top = a * b; break;
	case DW_OP_shl: *top = b < 64 ? a << b : 0; break;
	case DW_OP_shr: *top = b < 64 ? a >> b : 0; break;
	case DW_OP_ge: *top = (int64_t)a >= (int64_t)b; break;
	case DW_OP_gt: *top = (int64_t)a > (int64_t)b; break;
	case DW_OP_le: *top = (int64_t)a <= (int64_t)b; break;
	case DW_OP_lt: *top = (int64_t)a < (int64_t)b; break;
	case DW_OP_eq: *top = a == b; break;
	case DW_OP_ne: *top = a != b; break;
	default: return STEP_BROKEN;
	}
	return STEP_OK;
}

static enum step operate(struct machine *m, const Dwarf_Op *op)
{
	uint8_t atom = op->atom;

	if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
		return push_register(m, atom - DW_OP_breg0, op->number);
	if (atom == DW_OP_bregx)
		return push_register(m, op->number, op->number2);
	if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
		return push(m, atom - DW_OP_lit0);
	if (atom >= DW_OP_const1u && atom <= DW_OP_consts)
		return push(m, op->number);
	if (atom == DW_OP_nop)
		return STEP_OK;
	if (atom == DW_OP_deref || atom == DW_OP_plus_uconst || atom == DW_OP_neg ||
	    atom == DW_OP_not || atom == DW_OP_dup || atom == DW_OP_drop)
		return unary(m, op);
	return binary(m, op);
}

/*
 * An expression without jumps (none is in any unwind table we know). `cfa` is for
 * DW_OP_call_frame_cfa, which starts the location of every saved register. *is_value: the result
 * is what is looked for, not where it lies.
 */
static enum step evaluate(struct machine *m, const Dwarf_Op *ops, size_t count, const uint64_t *cfa,
			  uint64_t *out, bool *is_value)
{
	enum step step = STEP_OK;

	*is_value = false;
	if (count > EXPR_STEPS)
		return STEP_BROKEN;
	for (size_t i = 0; i < count && step == STEP_OK; i++) {
		const Dwarf_Op *op = &ops[i];

		if (op->atom == DW_OP_call_frame_cfa && cfa) {
			step = push(m, *cfa);
		} else if (op->atom == DW_OP_stack_value) {
			*is_value = true;
		} else if (op->atom >= DW_OP_reg0 && op->atom <= DW_OP_reg31) {
			*is_value = true;
			step = push_register(m, op->atom - DW_OP_reg0, 0);
		} else if (op->atom == DW_OP_regx) {
			*is_value = true;
			step = push_register(m, op->number, 0);
		} else {
			step = operate(m, op);
		}
	}
	if (step != STEP_OK)
		return step;
	if (!m->depth)
		return STEP_BROKEN;
	*out = m->values[m->depth - 1];
	return STEP_OK;
}

static enum step find_cfa(const struct unwind_stack *stack, Dwarf_Frame *row,
			  const struct regs *regs, uint64_t *cfa)
{
	struct machine m = {.stack = stack, .regs = regs};
	Dwarf_Op *ops;
	bool is_value;
	size_t count;

	if (dwarf_frame_cfa(row, &ops, &count) || !count)
		return STEP_BROKEN;
	return evaluate(&m, ops, count, NULL, cfa, &is_value);
}

/* One register of the caller; STEP_FIRST: its value is not kept. */
static enum step find_register(const struct unwind_stack *stack, Dwarf_Frame *row,
			       const struct regs *regs, int number, uint64_t cfa, uint64_t *out)
{
	struct machine m = {.stack = stack, .regs = regs};
	Dwarf_Op space[3], *ops;
	enum step step;
	bool is_value;
	size_t count;

	if (dwarf_frame_register(row, number, space, &ops, &count))
		return STEP_BROKEN;
	if (!count && ops) /* undefined */
		return STEP_FIRST;
	if (!count) { /* the same value */
		*out = regs->value[number];
		return regs->known & 1U << number ? STEP_OK : STEP_FIRST;
	}
	step = evaluate(&m, ops, count, &cfa, out, &is_value);
	if (step != STEP_OK || is_value)
		return step;
	return read_word(stack, *out, out);
}

/*
 * From one frame to its caller. A register whose place cannot be read is unknown, and matters only
 * if it is needed later; without the return address there is no caller.
 */
static enum step step_out(const struct unwind_stack *stack, Dwarf_Frame *row, struct regs *regs)
{
	struct regs caller = {.known = 0};
	enum step step;
	uint64_t cfa;

	step = find_cfa(stack, row, regs, &cfa);
	if (step != STEP_OK)
		return step;
	for (int i = 0; i < STACK_REGS; i++) {
		step = find_register(stack, row, regs, i, cfa, &caller.value[i]);
		if (step == STEP_OK)
			caller.known |= 1U << i;
		else if (i == STACK_RIP)
			return step;
	}
	if (!(caller.known & 1U << STACK_RSP))
		return STEP_BROKEN;
	*regs = caller;
	return STEP_OK;
}

/* Whether the row is that of a signal trampoline: its caller was interrupted, it made no call. */
static bool is_signal(Dwarf_Frame *row)
{
	Dwarf_Addr start, end;
	bool signal = false;

	return dwarf_frame_info(row, &start, &end, &signal) >= 0 && signal;
}

/*
 * The frames of one thread lie one above the other, so a caller whose stack is not higher is the
 * work of bytes that are no stack, or of a loop. A signal may have come on a stack of its own.
 */
static enum step go_out(const struct unwind_stack *stack, const struct unwind_place *place,
			struct regs *regs, bool *interrupted)
{
	Dwarf_Frame *row = place->module ? module_row(place->module, place->vaddr) : NULL;
	uint64_t before = regs->value[STACK_RSP];
	enum step step;

	if (!row)
		return STEP_NO_ROW;
	*interrupted = is_signal(row);
	step = step_out(stack, row, regs);
	if (step != STEP_OK)
		return step;
	if (regs->value[STACK_RIP] == 0)
		return STEP_FIRST;
	return *interrupted || regs->value[STACK_RSP] > before ? STEP_OK : STEP_BROKEN;
}

int unwind_stack(const struct unwind_stack *stack, unwind_find_fn find, void *ctx,
		 struct unwind_frame *out, enum stack_end *end)
{
	struct regs regs = {.known = (1U << STACK_REGS) - 1};
	bool interrupted = true;
	enum step step;
	int count = 0, ret;

	memcpy(regs.value, stack->regs, sizeof(regs.value));
	*end = STACK_LIMIT;
	while (count < FRAMES_MAX) {
		/* A return address may be the first byte of the next function or line. */
		uint64_t pc = regs.value[STACK_RIP] - (interrupted ? 0 : 1);

		out[count].sp = regs.value[STACK_RSP];
		ret = find(ctx, pc, &out[count].place);
		if (ret)
			return ret;
		step = go_out(stack, &out[count++].place, &regs, &interrupted);
		if (step != STEP_OK) {
			*end = step_end[step];
			break;
		}
	}
	return count;
}
