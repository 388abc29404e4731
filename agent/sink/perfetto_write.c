// SPDX-License-Identifier: LGPL-2.1-or-later
/* Packets of Perfetto's format; see perfetto_write.h. */
#include "sink/perfetto_write.h"

#include <stdio.h>

#include "rules/stack.h"
#include "sink/pb.h"

/* Field numbers, message by message. */
enum { TRACE_PACKET = 1 };
enum packet_field {
	PACKET_CLOCKS = 6,
	PACKET_TIME = 8,
	PACKET_SEQUENCE = 10,
	PACKET_EVENT = 11,
	PACKET_INTERNED = 12,
	PACKET_FLAGS = 13,
	PACKET_CLOCK_ID = 58,
	PACKET_DEFAULTS = 59,
	PACKET_TRACK = 60,
};
enum event_field {
	EVENT_CATEGORY_IID = 3,
	EVENT_ARGS = 4,
	EVENT_TYPE = 9,
	EVENT_NAME_IID = 10,
	EVENT_TRACK = 11,
	EVENT_NAME = 23,
	EVENT_VALUE = 30,
	EVENT_FLOW = 47,
	EVENT_FLOW_END = 48,
};
enum track_field {
	TRACK_UUID = 1,
	TRACK_NAME = 2,
	TRACK_PROCESS = 3,
	TRACK_THREAD = 4,
	TRACK_PARENT = 5,
	TRACK_COUNTER = 8,
};
enum process_field { PROCESS_PID = 1, PROCESS_NAME = 6 };
enum thread_field { THREAD_PID = 1, THREAD_TID = 2, THREAD_NAME = 5 };
enum counter_field { COUNTER_UNIT = 3 };
enum { COUNTER_UNIT_COUNT = 2 };
enum arg_field { ARG_BOOL = 2, ARG_UINT = 3, ARG_TEXT = 6, ARG_NAME = 10, ARG_ARRAY = 12 };
enum interned_field { INTERNED_CATEGORIES = 1, INTERNED_NAMES = 2 };
enum name_field { NAME_IID = 1, NAME_TEXT = 2 };
enum clocks_field { CLOCKS_CLOCK = 1, CLOCKS_PRIMARY = 2 };
enum clock_field { CLOCK_ID = 1, CLOCK_TIME = 2 };
enum clock_id { CLOCK_ID_REALTIME = 1, CLOCK_ID_MONOTONIC = 3 };
enum sequence_flags { SEQUENCE_CLEARED = 1, SEQUENCE_NEEDS_STATE = 2 };

#define SEQUENCE 1 /* the only one */

static size_t packet(struct bytes *b, enum sequence_flags flags)
{
	size_t mark = pb_open(b, TRACE_PACKET);

	pb_uint(b, PACKET_SEQUENCE, SEQUENCE);
	pb_uint(b, PACKET_FLAGS, flags);
	return mark;
}

static void interned(struct bytes *b, enum interned_field field, uint64_t iid, const char *name)
{
	size_t mark = pb_open(b, field);

	pb_uint(b, NAME_IID, iid);
	pb_text(b, NAME_TEXT, name);
	pb_close(b, mark);
}

static void clock_at(struct bytes *b, enum clock_id id, uint64_t time_ns)
{
	size_t mark = pb_open(b, CLOCKS_CLOCK);

	pb_uint(b, CLOCK_ID, id);
	pb_uint(b, CLOCK_TIME, time_ns);
	pb_close(b, mark);
}

void pf_start(struct bytes *b, uint64_t time_ns, uint64_t wall_offset_ns)
{
	static const char *const categories[PF_CATEGORIES] = {
		[PF_POLL] = "poll",	[PF_TASK] = "task",   [PF_BLOCK] = "block",
		[PF_SAMPLE] = "sample", [PF_READY] = "ready", [PF_FINDING] = "finding",
		[PF_NOTE] = "note",
	};
	size_t mark = packet(b, SEQUENCE_CLEARED), inner;

	inner = pb_open(b, PACKET_DEFAULTS);
	pb_uint(b, PACKET_CLOCK_ID, CLOCK_ID_MONOTONIC);
	pb_close(b, inner);
	inner = pb_open(b, PACKET_INTERNED);
	for (uint64_t i = 1; i < PF_CATEGORIES; i++)
		interned(b, INTERNED_CATEGORIES, i, categories[i]);
	pb_close(b, inner);
	pb_close(b, mark);

	mark = packet(b, SEQUENCE_NEEDS_STATE);
	inner = pb_open(b, PACKET_CLOCKS);
	clock_at(b, CLOCK_ID_MONOTONIC, time_ns);
	if (wall_offset_ns)
		clock_at(b, CLOCK_ID_REALTIME, time_ns + wall_offset_ns);
	pb_uint(b, CLOCKS_PRIMARY, CLOCK_ID_MONOTONIC);
	pb_close(b, inner);
	pb_close(b, mark);
}

void pf_track(struct bytes *b, const struct pf_track *track)
{
	size_t mark = packet(b, SEQUENCE_NEEDS_STATE);
	size_t descriptor = pb_open(b, PACKET_TRACK), inner;

	pb_uint(b, TRACK_UUID, track->uuid);
	if (track->parent)
		pb_uint(b, TRACK_PARENT, track->parent);
	if (track->pid && track->tid) {
		inner = pb_open(b, TRACK_THREAD);
		pb_int(b, THREAD_PID, (int32_t)track->pid);
		pb_int(b, THREAD_TID, (int32_t)track->tid);
		pb_text(b, THREAD_NAME, track->name);
		pb_close(b, inner);
	} else if (track->pid) {
		inner = pb_open(b, TRACK_PROCESS);
		pb_int(b, PROCESS_PID, (int32_t)track->pid);
		pb_text(b, PROCESS_NAME, track->name);
		pb_close(b, inner);
	} else {
		pb_text(b, TRACK_NAME, track->name);
	}
	if (track->counter) {
		inner = pb_open(b, TRACK_COUNTER);
		pb_uint(b, COUNTER_UNIT, COUNTER_UNIT_COUNT);
		pb_close(b, inner);
	}
	pb_close(b, descriptor);
	pb_close(b, mark);
}

void pf_name(struct bytes *b, uint64_t iid, const char *name)
{
	size_t mark = packet(b, SEQUENCE_NEEDS_STATE);
	size_t inner = pb_open(b, PACKET_INTERNED);

	interned(b, INTERNED_NAMES, iid, name);
	pb_close(b, inner);
	pb_close(b, mark);
}

void pf_event(struct bytes *b, const struct pf_event *event)
{
	size_t mark = packet(b, SEQUENCE_NEEDS_STATE), inner;

	pb_uint(b, PACKET_TIME, event->time_ns);
	inner = pb_open(b, PACKET_EVENT);
	pb_uint(b, EVENT_TYPE, event->type);
	pb_uint(b, EVENT_TRACK, event->track);
	if (event->category)
		pb_uint(b, EVENT_CATEGORY_IID, event->category);
	if (event->name_iid)
		pb_uint(b, EVENT_NAME_IID, event->name_iid);
	else
		pb_text(b, EVENT_NAME, event->name);
	if (event->type == PF_COUNTER)
		pb_int(b, EVENT_VALUE, event->value);
	if (event->flow)
		pb_fixed64(b, EVENT_FLOW, event->flow);
	if (event->flow_end)
		pb_fixed64(b, EVENT_FLOW_END, event->flow_end);
	if (event->args)
		bytes_add(b, event->args->data, event->args->len);
	pb_close(b, inner);
	pb_close(b, mark);
}

/* --- arguments ------------------------------------------------------------------------ */

static size_t arg(struct bytes *args, const char *name)
{
	size_t mark = pb_open(args, EVENT_ARGS);

	pb_text(args, ARG_NAME, name);
	return mark;
}

void pf_arg_uint(struct bytes *args, const char *name, uint64_t value)
{
	size_t mark = arg(args, name);

	pb_uint(args, ARG_UINT, value);
	pb_close(args, mark);
}

void pf_arg_bool(struct bytes *args, const char *name, bool value)
{
	size_t mark = arg(args, name);

	pb_uint(args, ARG_BOOL, value);
	pb_close(args, mark);
}

void pf_arg_text(struct bytes *args, const char *name, const char *value)
{
	size_t mark;

	if (!value || !*value)
		return;
	mark = arg(args, name);
	pb_text(args, ARG_TEXT, value);
	pb_close(args, mark);
}

/* Whole names, unlike those of reports: a viewer has room, and people search in it. */
static void frame_label(const struct frame *f, char *out, size_t size)
{
	if (!f->function)
		frame_text(f, out, size);
	else if (f->file && f->line)
		snprintf(out, size, "%s (%s:%u)", f->function, f->file, f->line);
	else
		snprintf(out, size, "%s", f->function);
}

void pf_arg_stack(struct bytes *args, const struct frame *frames, uint32_t count)
{
	size_t mark;

	if (!count)
		return;
	mark = arg(args, "stack");
	for (uint32_t i = 0; i < count; i++) {
		size_t inner = pb_open(args, ARG_ARRAY);
		char text[FRAME_TEXT];

		frame_label(&frames[i], text, sizeof(text));
		pb_text(args, ARG_TEXT, text);
		pb_close(args, inner);
	}
	pb_close(args, mark);
}
