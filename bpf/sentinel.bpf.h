/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which task a thread polls, without a probe: a runtime keeps the id of the task in a thread-local
 * word. The agent has learned where it lies (struct wire_place) and to which id a worker's own loop
 * sets it; any other id at a switch means that the thread leaves the CPU inside that task's poll.
 */
#ifndef BPF_SENTINEL_H
#define BPF_SENTINEL_H

#include "slot.bpf.h"

const volatile bool sentinel_on = false;

/* Row = target * WIRE_PLACES + number; written by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_TARGETS *WIRE_PLACES);
	__type(key, __u32);
	__type(value, struct wire_place);
} places SEC(".maps");

/* By slot, written by the agent: the id of a job that its thread does, which is no poll. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} idles SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct wire_span);
} spans SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, WIRE_STACK_SLOTS);
	__type(key, __u32);
	__type(value, struct wire_moment_ask);
} moments SEC(".maps");

/* What a thread says of itself. */
struct told {
	__u64 task; /* id; 0: it polls none, as far as is known */
	__u64 beat; /* 0: not known */
};

static __always_inline bool word_read(void *out, __u32 size, __u64 at)
{
	return !bpf_probe_read_user(out, size, (const void *)at);
}

/* The place of the current thread that offsets count from; 0: it has none. */
static __always_inline __u64 place_origin(const struct wire_place *place, __u64 fs)
{
	__u64 table = 0, block = 0;

	if (!place->module)
		return fs;
	/* Of a shared object: where its block lies says the thread's table of them. */
	if (!word_read(&table, sizeof(table), fs + 8) ||
	    !word_read(&block, sizeof(block), table + 16 * (__u64)place->module))
		return 0;
	return block;
}

static __always_inline __u64 beat_read(const struct wire_place *place, __u64 origin)
{
	__u64 context = 0, core = 0, beat = 0;
	__u32 tick;

	if (!place->ticks || !word_read(&context, sizeof(context), origin + place->context) ||
	    !word_read(&core, sizeof(core), context + place->core) || !core)
		return 0;
	for (__u32 i = 0; i < WIRE_TICKS; i++) {
		if (i >= place->ticks)
			break;
		if (!word_read(&tick, sizeof(tick), core + place->tick[i]))
			return 0;
		beat = (beat ^ tick) * 0x9e3779b97f4a7c15ULL + 1;
	}
	return beat;
}

/* What the current thread polls. */
static __always_inline struct told sentinel_ask(const struct task_struct *task,
						const struct wire_slot *slot, __u32 index,
						bool beat)
{
	__u64 *idle = bpf_map_lookup_elem(&idles, &index), origin, word;
	struct told told = {0};

	for (__u32 i = 0; i < WIRE_PLACES; i++) {
		__u32 row = slot->target * WIRE_PLACES + i;
		const struct wire_place *place = bpf_map_lookup_elem(&places, &row);

		if (!place || !place->valid)
			break;
		origin = place_origin(place, task->thread.fsbase);
		if (!origin || !word_read(&word, sizeof(word), origin + place->offset) || !word ||
		    (idle && *idle == word))
			continue;
		told.task = word;
		if (beat)
			told.beat = beat_read(place, origin);
		break;
	}
	return told;
}

/* Ready, without a CPU, so far: the kernel or the hypervisor had other plans. */
static __always_inline __u64 waited_of(const struct wire_slot *slot)
{
	return slot->waiting_ns + slot->preempted_ns;
}

/* Time on the CPU in what is open, up to its last sample. */
static __always_inline __u64 span_computed(const struct wire_span *span)
{
	__u64 length = span->seen_ns - span->start_ns;

	return length > span->off_ns ? length - span->off_ns : 0;
}

/* It is over, at its last sample. */
static __always_inline void span_close(struct wire_span *span, const struct wire_slot *slot,
				       __u32 index)
{
	struct wire_long_poll *rec;
	__u64 id = span->task_id;

	span->task_id = 0;
	if (!id || span->tid != slot->tid || span_computed(span) < threshold_ns)
		return;
	rec = long_poll_reserve(slot, index, span->seen_ns);
	if (!rec)
		return;
	__builtin_memset(&rec->poll, 0, sizeof(rec->poll));
	rec->poll.start_ns = span->start_ns;
	rec->poll.task_id = id;
	rec->poll.preempted_ns = span->seen_ns - span->start_ns - span_computed(span);
	rec->poll.site = WIRE_NO_SITE;
	rec->poll.worst_syscall = WIRE_NO_SYSCALL;
	rec->poll.flags = WIRE_POLL_LOOSE_END;
	bpf_ringbuf_submit(rec, 0);
}

/* Another task is polled: the counters, which are of the first place, must have moved. */
static __always_inline void beat_tried(__u32 target, bool same)
{
	__u32 row = target * WIRE_PLACES;
	struct wire_place *place = bpf_map_lookup_elem(&places, &row);

	if (place)
		__sync_fetch_and_add(same ? &place->beats_wrong : &place->beats_right, 1);
}

/* The current thread was sampled; true: it is where it was at the sample before. */
static __always_inline bool span_sampled(struct wire_span *span, const struct wire_slot *slot,
					 __u32 index, const struct told *told, __u64 now)
{
	bool same = span->task_id && span->tid == slot->tid && span->beat == told->beat;

	if (same && span->task_id == told->task) {
		span->off_ns = waited_of(slot) - span->waited_ns;
		barrier(); /* the agent reads them the other way round: it may see too short a poll */
		span->seen_ns = now;
		return true;
	}
	if (span->task_id && told->task && told->beat && span->tid == slot->tid &&
	    span->task_id != told->task)
		beat_tried(slot->target, same);
	span_close(span, slot, index);
	if (!told->task || !told->beat)
		return false;
	span->task_id = told->task;
	span->start_ns = span->seen_ns = now;
	span->waited_ns = waited_of(slot);
	span->off_ns = 0;
	span->beat = told->beat;
	span->tid = slot->tid;
	return false;
}

#endif
