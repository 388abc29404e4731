/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A panic: std's rust_panic, through which each one goes before anything is unwound. Rare, so it is in
 * no count of hits.
 */
#ifndef BPF_PANIC_H
#define BPF_PANIC_H

#include "poll.bpf.h"

SEC("uprobe")
int on_panic(struct pt_regs *ctx __attribute__((unused)))
{
	struct thread_ref *ref = thread_of(bpf_get_current_task_btf());
	const struct wire_site *cfg;
	const struct wire_slot *slot;
	const struct wire_poll *poll;
	struct task_words words;
	struct wire_panic *out;
	__u32 depth, site;

	slot = ref ? slot_at(ref->slot) : NULL;
	if (!slot)
		return 0;
	depth = slot->depth;
	if (depth == 0 || depth > WIRE_MAX_DEPTH)
		return 0;
	poll = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
	site = poll->site;
	cfg = bpf_map_lookup_elem(&sites, &site);
	if (!cfg || poll->kind != WIRE_SITE_TASK || !words_read(&words, poll->header))
		return 0;
	out = bpf_ringbuf_reserve(&ring, sizeof(*out), 0);
	if (!out) {
		__sync_fetch_and_add(&totals.ring_lost, 1);
		return 0;
	}
	out->head.kind = WIRE_PANIC;
	out->head.target = slot->target;
	out->head.time_ns = bpf_ktime_get_ns();
	out->head.tid = slot->tid;
	out->head.slot = ref->slot;
	out->header = poll->header;
	out->task_id = poll->task_id;
	out->state = state_of(&words, cfg);
	out->site = site;
	out->pad32 = 0;
	bpf_ringbuf_submit(out, 0);
	return 0;
}

#endif
