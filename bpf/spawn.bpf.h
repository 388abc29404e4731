/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Spawns: now and then the stack of a thread that makes a task, so that a task type has its spawn
 * sites. The probed function gets the new task's header as its second or third argument (the vtable
 * in it proves which), or makes tasks of one type only and the cookie tells.
 *
 * The trap is the cost, so the probes are in the target only in windows: `spawn_left` says how many
 * more hits this one takes, and the agent, which fills it, detaches when it is told that it is
 * empty. Hits are counted apart from those of polls, wakes and ends.
 */
#ifndef BPF_SPAWN_H
#define BPF_SPAWN_H

#include "stack.bpf.h"

#define SPAWN_SPACE_NS                                                                             \
	5000000ULL	  /* between two stacks of a site, doubled for each that was sent, */
#define SPAWN_SPACE_MAX 8 /* up to 1.3 s */
#define SPAWNS_A_SECOND 40
#define SPAWN_VTABLE 2 /* word of a Tokio header */

__s64 spawn_left[WIRE_MAX_TARGETS];
__u64 spawn_second, spawn_count; /* sent within this second; races only blur the limit */

/* The site of the task whose header is at `header`; false: there is no task of ours. */
static __always_inline bool spawn_site(__u64 header, __u32 target, __u32 *site)
{
	struct task_words words;
	__u64 key;
	__u32 *found;

	if (!words_read(&words, header))
		return false;
	key = words.w[SPAWN_VTABLE] | (__u64)target << 48;
	found = bpf_map_lookup_elem(&vtables, &key);
	if (!found)
		return false;
	*site = *found;
	return true;
}

/* Of several spawn sites of a type each has its chance, also when they take turns. */
static __always_inline bool spawn_wanted(struct spawn_mark *mark, __u64 now)
{
	__u64 doubled = mark->count < SPAWN_SPACE_MAX ? mark->count : SPAWN_SPACE_MAX;
	__u64 space = SPAWN_SPACE_NS << doubled;

	/* Up to twice the space: a program that spawns in a rhythm must not be met in step with it. */
	if (mark->count)
		space += space * bpf_get_prandom_u32() >> 32;
	if (now - mark->last_ns < space)
		return false;
	if (mark->count && (bpf_get_prandom_u32() & 1))
		return false;
	if (now - spawn_second >= 1000000000ULL) {
		spawn_second = now;
		spawn_count = 0;
	}
	if (spawn_count >= SPAWNS_A_SECOND)
		return false;
	spawn_count += 1;
	mark->last_ns = now;
	mark->count += 1;
	return true;
}

static __always_inline void spawn_send(__u32 site, __u32 target, __u64 header, __u64 now)
{
	struct wire_stack *out = stack_reserve();

	if (!out)
		return;
	out->head.kind = WIRE_SPAWN;
	out->head.target = target;
	out->head.time_ns = now;
	out->head.tid = task_tid(bpf_get_current_task_btf());
	out->head.slot = 0;
	out->span_ns = 0;
	out->poll_start_ns = now;
	out->task_id = out->sched = 0;
	out->header = header;
	out->site = site;
	stack_send(out, NULL, now);
}

SEC("uprobe")
int on_spawn(struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx), header = ctx->si, third = ctx->dx;
	__u32 site = cookie, target = WIRE_SPAWN_TARGET(cookie);
	__u64 now = bpf_ktime_get_ns();
	struct spawn_mark *mark;

	__sync_fetch_and_add(&totals.spawn_hits, 1);
	if (WIRE_SPAWN_STEPPED(cookie))
		__sync_fetch_and_add(&totals.spawn_stepped, 1);
	if (target >= WIRE_MAX_TARGETS)
		return 0;
	if (__sync_fetch_and_sub(&spawn_left[target], 1) == 1)
		ring_process(WIRE_SPAWN_FULL, target, 0, 0, 0);
	if (site != WIRE_NO_SITE)
		header = 0;
	else if (!spawn_site(header, target, &site)) {
		header = third;
		if (!spawn_site(header, target, &site))
			return 0;
	}
	mark = bpf_map_lookup_elem(&spawn_marks, &site);
	if (mark && spawn_wanted(mark, now))
		spawn_send(site, target, header, now);
	return 0;
}

#endif
