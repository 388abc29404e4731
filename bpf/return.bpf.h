/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The return of a poll (--exact). The kernel has put an address of its own in the place of the return
 * address when the poll began, and comes here when the function has returned: the stack pointer is
 * one word above where it was at the entry.
 */
#ifndef BPF_RETURN_H
#define BPF_RETURN_H

#include "poll.bpf.h"

/*
 * Closes the poll that began at `sp`, and what began deeper; false: none did. A global function: the
 * verifier walks it by itself.
 */
__attribute__((noinline)) int polls_return(struct wire_slot *slot, __u32 index, __u64 sp, __u64 now)
{
	if (!slot)
		return 0;
	for (int i = 0; i < WIRE_MAX_DEPTH; i++) {
		__u32 depth = slot->depth;
		struct wire_poll *top;
		bool last;

		if (depth == 0 || depth > WIRE_MAX_DEPTH)
			return 0;
		top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
		if (top->sp > sp)
			return 0;
		last = top->sp == sp;
		poll_close(slot, index, top, now, 0);
		slot->depth = depth - 1;
		if (last)
			return 1;
	}
	return 0;
}

SEC("?uprobe")
int on_return(struct pt_regs *ctx)
{
	__u64 now = bpf_ktime_get_ns(), sp = ctx->sp - sizeof(__u64);
	int index = current_slot(ctx);
	struct wire_slot *slot = index < 0 ? NULL : slot_at(index);

	if (!slot) {
		count_slotless(HIT_FILTERED);
		return 0;
	}
	now = slot_begin_since(slot, now);
	slot_stolen_rarely(slot, now);
	/* It may have been closed before, when its task was freed, or have begun unseen. */
	count(slot, polls_return(slot, index, sp, now) ? HIT_EMITTED : HIT_FILTERED);
	slot_end(slot, now);
	return 0;
}

#endif
