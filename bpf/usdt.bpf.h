/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The probe points of <stalltop/sdt.h>. Begin and end of a poll are events, so no header of a task is
 * read; a task is a number, its type a pair of string addresses. A pair that is new gets its site
 * here and now, and the strings are noted: nothing waits for the agent.
 *
 * Included by stalltop.bpf.c, whose counting of hits it uses.
 */
#ifndef BPF_USDT_H
#define BPF_USDT_H

#include "poll.bpf.h"

/*
 * The target runs another program, on which the probes of the old one are until they are detached:
 * what they say is of no object any more.
 */
static __always_inline void objects_forget(__u32 target)
{
	for (__u32 i = 0; i < WIRE_MAX_OBJECTS; i++) {
		__u32 index = i;
		struct wire_object *row = bpf_map_lookup_elem(&objects, &index);

		if (row && row->target == target)
			row->id = 0;
	}
}

#define TASK_ID_BITS 48 /* of WIRE_TASK_KEY */

struct probe_hit {
	__u64 now, sp;
	__u64 arg[WIRE_USDT_ARGS];
	__u32 object, probe;
	struct wire_object *row; /* NULL: not ours */
};

static __always_inline __u64 arg_sized(__u64 value, __u8 size, __u8 is_signed)
{
	__u32 shift = 64 - 8 * (size & 15);

	if (size >= 8 || !size)
		return value;
	value <<= shift & 63;
	return is_signed ? (__u64)((__s64)value >> (shift & 63)) : value >> (shift & 63);
}

/* An argument that is not where a call would have it: 50 ns and more. */
static __attribute__((noinline)) __u64 arg_elsewhere(const void *ctx, __u32 row, __u32 i)
{
	struct wire_args *args = bpf_map_lookup_elem(&probe_args, &row);
	__u64 value = 0, at;
	struct wire_arg *arg;

	if (!args || !ctx)
		return 0;
	arg = &args->arg[i & (WIRE_USDT_ARGS - 1)];
	if (arg->kind == WIRE_ARG_CONST)
		return arg->value;
	if (bpf_probe_read_kernel(&value, sizeof(value), ctx + arg->reg))
		return 0;
	if (arg->kind == WIRE_ARG_MEM) {
		at = value + arg->disp;
		value = 0;
		if (bpf_probe_read_user(&value, arg->size & 15, (const void *)at))
			return 0;
	}
	return arg_sized(value, arg->size, arg->is_signed);
}

/* NULL: the row is another object's by now. */
static __always_inline struct wire_object *object_row(__u32 object)
{
	__u32 index = WIRE_OBJECT_ROW(object);
	struct wire_object *row = bpf_map_lookup_elem(&objects, &index);

	return row && row->id == object ? row : NULL;
}

static __always_inline void probe_begin(struct probe_hit *hit, struct pt_regs *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 row = WIRE_COOKIE_ARGS(cookie);

	hit->now = bpf_ktime_get_ns();
	hit->sp = ctx->sp;
	hit->object = cookie;
	hit->probe = WIRE_COOKIE_PROBE(cookie);
	hit->row = object_row(hit->object);
	hit->arg[0] = ctx->di;
	hit->arg[1] = ctx->si;
	hit->arg[2] = ctx->dx;
	hit->arg[3] = ctx->cx;
	barrier(); /* all are read: a choice of offsets into ctx is refused */
	if (!row)
		return;
	for (int i = 0; i < WIRE_USDT_ARGS; i++)
		hit->arg[i] = arg_elsewhere(ctx, row - 1, i);
}

/* A task's number of the contract: not 0, and with room for the target beside it. */
static __always_inline bool task_number(const struct probe_hit *hit)
{
	return hit->row && hit->arg[1] && !(hit->arg[1] >> TASK_ID_BITS);
}

/* --- task types ------------------------------------------------------------------------- */

/* Returns the type's site; -1: there is none. */
static __always_inline int type_fill(const struct type_key *key, __u32 target, __u32 number)
{
	__u32 index = WIRE_OBJECT_ROW(key->object) * WIRE_TYPES + number;
	struct wire_type *type = bpf_map_lookup_elem(&type_rows, &index);
	__u32 site = type ? type->site : WIRE_NO_SITE;
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &site);

	if (!cfg || !type)
		return -1;
	cfg->target = target;
	cfg->family = WIRE_USDT;
	cfg->kind = key->kind;
	cfg->verified = WIRE_VERIFY;
	type->name = key->name;
	type->location = key->location;
	type->kind = key->kind;
	bpf_probe_read_user_str(type->name_text, sizeof(type->name_text), (const void *)key->name);
	bpf_probe_read_user_str(type->location_text, sizeof(type->location_text),
				(const void *)key->location);
	barrier();
	*(volatile __u8 *)&type->ready = 1;
	return site;
}

/*
 * The site of a type that is met for the first time, or by two CPUs at once: then one of two sites
 * stays without a poll. Beyond the last one they share that.
 */
static __attribute__((noinline)) int type_new(struct type_key *key)
{
	struct wire_object *object;
	__u32 number, site, *found;
	long failed;
	int filled;

	if (!key)
		return -1;
	object = object_row(key->object);
	if (!object)
		return -1;
	number = __sync_fetch_and_add(&object->used, 1);
	if (number >= WIRE_TYPES - 1) {
		__sync_fetch_and_sub(&object->used, 1);
		number = WIRE_TYPES - 1;
	}
	if (number == WIRE_TYPES - 1) {
		struct type_key others = {0, 0, key->object, WIRE_SITE_TASK};

		return type_fill(&others, object->target, number);
	}
	/* Filled before anybody can find it. */
	filled = type_fill(key, object->target, number);
	if (filled < 0)
		return -1;
	site = filled;
	failed = bpf_map_update_elem(&types, key, &site, BPF_NOEXIST);
	if (failed) {
		found = bpf_map_lookup_elem(&types, key);
		if (found)
			site = *found;
	}
	return site;
}

static __always_inline int type_site(const struct probe_hit *hit, __u32 kind)
{
	struct type_key key = {hit->arg[2], hit->arg[3], hit->object, kind};
	__u32 *site = bpf_map_lookup_elem(&types, &key);

	return site ? (int)*site : type_new(&key);
}

/* --- tasks ----------------------------------------------------------------------------------- */

static __always_inline __u64 hit_key(const struct probe_hit *hit)
{
	return WIRE_TASK_KEY(hit->arg[1], hit->row->target);
}

static __always_inline void flags_set(int row, __u64 flags)
{
	__u64 *word = bpf_map_lookup_elem(&task_flags, &row);

	if (word)
		*(volatile __u64 *)word = flags;
}

static __always_inline void flags_add(int row, __u64 flags)
{
	__u64 *word = bpf_map_lookup_elem(&task_flags, &row);

	if (word)
		__sync_fetch_and_or(word, flags);
}

static __always_inline void flags_remove(int row, __u64 flags)
{
	__u64 *word = bpf_map_lookup_elem(&task_flags, &row);

	if (word && (*word & flags))
		__sync_fetch_and_and(word, ~flags);
}

static __always_inline bool task_spawned(const struct probe_hit *hit)
{
	struct wire_poll poll = {
		.start_ns = hit->now, .task_id = hit->arg[1], .sched = hit->arg[0]};
	__u64 key = hit_key(hit);
	int site = type_site(hit, WIRE_SITE_TASK), row = site < 0 ? -1 : task_row(key);
	struct wire_task *task;

	if (site < 0)
		return false;
	if (row < 0)
		row = task_give(key);
	task = row < 0 ? NULL : task_at(row);
	if (!task)
		return false;
	poll.site = site;
	flags_set(row, WIRE_TASK_SPAWNED | WIRE_TASK_QUEUED);
	if (level >= 3)
		wakes_forget(row);
	task_new(&poll, task, key, WIRE_MAX_SLOTS);
	return true;
}

static __always_inline bool task_woken(const struct probe_hit *hit)
{
	int row = task_row(hit_key(hit));

	if (row < 0 || !wake_add(row, hit->now))
		return false;
	flags_add(row, WIRE_TASK_QUEUED);
	return true;
}

static __always_inline bool task_flagged(const struct probe_hit *hit, __u32 flag)
{
	int row = task_row(hit_key(hit));

	if (row < 0)
		return false;
	flags_add(row, flag);
	return true;
}

static __always_inline bool task_dropped(const struct probe_hit *hit)
{
	if (task_row(hit_key(hit)) < 0)
		return false;
	task_free(hit->arg[1], hit->row->target);
	return true;
}

/* A task that was spawned unseen gets its row now. */
static __always_inline void probe_task_open(struct wire_poll *poll, const struct probe_hit *hit,
					    __u32 slot)
{
	struct wire_site *cfg = bpf_map_lookup_elem(&sites, &poll->site);
	__u64 key = hit_key(hit);
	struct owner *owner = owner_of(key);
	struct wire_task *task;
	int row = -1;

	if (!cfg || !owner)
		return;
	if (owner->key == key && owner->row)
		row = owner->row - 1;
	task = row < 0 ? NULL : task_at(row);
	if (!task || task->key != key)
		row = task_row(key);
	if (row < 0)
		row = task_give(key);
	task = row < 0 ? NULL : task_at(row);
	if (!task)
		return;
	poll->row = row + 1;
	if (task->key == key) {
		if (task->last_slot != slot)
			task_odd(poll, cfg, task, slot, 0);
		task->last_slot = slot;
		flags_remove(row, WIRE_TASK_QUEUED);
		if (level >= 3)
			delay_add(poll->site, row, cfg->target, poll->start_ns);
	} else {
		flags_set(row, 0);
		if (level >= 3)
			wakes_forget(row);
		task_new(poll, task, key, slot);
	}
	owner->key = key;
	owner->slot = slot;
	owner->row = poll->row;
}

/* --- polls ------------------------------------------------------------------------------------- */

static __always_inline void probe_poll_open(struct wire_slot *slot, __u32 index,
					    const struct probe_hit *hit, int site, __u8 kind)
{
	struct wire_poll *poll = &slot->polls[slot->depth & (WIRE_MAX_DEPTH - 1)];

	poll->start_ns = hit->now;
	poll->confirmed_ns = hit->now;
	poll->header = hit->arg[1];
	poll->task_id = hit->arg[1];
	poll->sched = hit->arg[0];
	poll->sp = hit->sp;
	poll->blocked_ns = 0;
	poll->preempted_ns = 0;
	poll->nested_ns = 0;
	poll->worst_block_ns = 0;
	poll->worst_syscall = WIRE_NO_SYSCALL;
	poll->site = site;
	poll->kind = kind;
	poll->flags = 0;
	poll->epoch = epoch_of(slot->target);
	poll->row = 0;
	if (kind == WIRE_SITE_TASK) {
		if (level >= 2)
			probe_task_open(poll, hit, index);
		slot->sched = poll->sched;
		slot->sched_site = site;
	}
	slot->depth += 1;
}

SEC("uprobe")
int on_probe_begin(struct pt_regs *ctx)
{
	struct probe_hit hit;
	struct wire_slot *slot;
	int index = current_slot(ctx), site = -1;
	__u8 kind;

	probe_begin(&hit, ctx);
	kind = hit.probe == WIRE_BLOCKING_BEGIN ? WIRE_SITE_BLOCKING : WIRE_SITE_TASK;
	if (task_number(&hit))
		site = type_site(&hit, kind);
	if (index < 0) {
		index = site >= 0 && hit.row ? slot_give(hit.row->target, (__u64)ctx) : -1;
		if (index < 0) {
			count_slotless(site >= 0 ? HIT_LOST : HIT_FILTERED);
			return 0;
		}
	}
	slot = slot_at(index);
	if (!slot)
		return 0;
	hit.now = slot_begin_since(slot, hit.now);
	if (site < 0 || !hit.row) {
		count(slot, HIT_FILTERED);
		goto out;
	}
	slot_stolen_rarely(slot, hit.now);
	/* A poll at the same place of the stack whose end was missed: before the attach of its probe. */
	polls_close_ended(slot, index, hit.sp, hit.now);
	if (slot->depth >= WIRE_MAX_DEPTH) {
		__sync_fetch_and_add(&totals.nesting_lost, 1);
		count(slot, HIT_LOST);
		goto out;
	}
	probe_poll_open(slot, index, &hit, site, kind);
	count(slot, HIT_EMITTED);
out:
	slot_end(slot, hit.now);
	return 0;
}

/* Whether such a poll is open; what was begun within it ended unseen. */
static __always_inline bool poll_is_open(const struct wire_slot *slot, __u64 task, __u8 kind)
{
	for (__u32 i = 0; i < WIRE_MAX_DEPTH; i++)
		if (i < slot->depth && slot->polls[i].header == task && slot->polls[i].kind == kind)
			return true;
	return false;
}

static __always_inline void probe_poll_close(struct wire_slot *slot, __u32 index,
					     const struct probe_hit *hit, __u8 kind)
{
	for (int i = 0; i < WIRE_MAX_DEPTH; i++) {
		__u32 depth = slot->depth;
		struct wire_poll *top;
		bool it;

		if (depth == 0 || depth > WIRE_MAX_DEPTH)
			return;
		top = &slot->polls[(depth - 1) & (WIRE_MAX_DEPTH - 1)];
		it = top->header == hit->arg[1] && top->kind == kind;
		poll_close(slot, index, top, hit->now, 0);
		slot->depth = depth - 1;
		if (it)
			return;
	}
}

SEC("uprobe")
int on_probe_end(struct pt_regs *ctx)
{
	struct wire_slot *slot = NULL;
	struct probe_hit hit;
	int index = current_slot(ctx);
	bool open;
	__u8 kind;

	probe_begin(&hit, ctx);
	kind = hit.probe == WIRE_BLOCKING_END ? WIRE_SITE_BLOCKING : WIRE_SITE_TASK;
	if (index >= 0)
		slot = slot_at(index);
	if (!slot) {
		count_slotless(HIT_FILTERED);
		return 0;
	}
	hit.now = slot_begin_since(slot, hit.now);
	slot_stolen_rarely(slot, hit.now);
	/* A poll that began before the attach ends: nobody knows how long it was. */
	open = poll_is_open(slot, hit.arg[1], kind);
	if (open)
		probe_poll_close(slot, index, &hit, kind);
	count(slot, open ? HIT_EMITTED : HIT_FILTERED);
	slot_end(slot, hit.now);
	return 0;
}

/* --- the rest ------------------------------------------------------------------------------------ */

/* For runtimes that keep no gauges. */
static __always_inline bool depth_told(const struct probe_hit *hit)
{
	__u64 kind = hit->arg[1], queue = hit->arg[2];
	__u32 index = WIRE_OBJECT_ROW(hit->object) * WIRE_DEPTHS + (kind & 3) * (WIRE_DEPTHS / 4) +
		      (queue & (WIRE_DEPTHS / 4 - 1));
	struct wire_depth *told;

	if (kind > 3 || queue >= WIRE_DEPTHS / 4)
		return false;
	told = bpf_map_lookup_elem(&told_depths, &index);
	if (!told)
		return false;
	told->runtime = hit->arg[0];
	told->depth = hit->arg[3];
	told->time_ns = hit->now;
	return true;
}

/* A worker, before it has polled anything. */
static __always_inline int worker_slot(const struct probe_hit *hit, int index, __u64 regs)
{
	struct wire_slot *slot;

	if (index < 0)
		index = slot_give(hit->row->target, regs);
	slot = index < 0 ? NULL : slot_at(index);
	if (slot && !slot->sched) {
		slot->sched = hit->arg[0];
		slot->sched_site = hit->row->first_site;
	}
	return index;
}

static __always_inline bool probe_apply(const struct probe_hit *hit, int *index, __u64 regs)
{
	if (!hit->row)
		return false;
	switch (hit->probe) {
	case WIRE_RUNTIME_START:
	case WIRE_RUNTIME_STOP:
	case WIRE_WORKER_STOP: return true;
	case WIRE_WORKER_START:
	case WIRE_WORKER_PARK:
	case WIRE_WORKER_UNPARK: *index = worker_slot(hit, *index, regs); return *index >= 0;
	case WIRE_QUEUE_DEPTH: return depth_told(hit);
	}
	if (level < 2 || !task_number(hit))
		return false;
	switch (hit->probe) {
	case WIRE_TASK_SPAWN: return task_spawned(hit);
	case WIRE_TASK_WAKE: return level >= 3 && task_woken(hit);
	case WIRE_TASK_COMPLETE: return task_flagged(hit, WIRE_TASK_COMPLETED);
	case WIRE_TASK_DETACH: return task_flagged(hit, WIRE_TASK_DETACHED);
	case WIRE_TASK_DROP: return task_dropped(hit);
	}
	return false;
}

SEC("uprobe")
int on_probe_other(struct pt_regs *ctx)
{
	struct wire_slot *slot = NULL;
	struct probe_hit hit;
	int index = current_slot(ctx);
	bool used;

	probe_begin(&hit, ctx);
	used = probe_apply(&hit, &index, (__u64)ctx);
	if (index >= 0)
		slot = slot_at(index);
	if (!slot) {
		count_slotless(used ? HIT_EMITTED : HIT_FILTERED);
		return 0;
	}
	slot_begin(slot);
	count(slot, used ? HIT_EMITTED : HIT_FILTERED);
	slot_end(slot, hit.now);
	return 0;
}

#endif
