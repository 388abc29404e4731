// SPDX-License-Identifier: LGPL-2.1-or-later
/* Checking an answer of the child; see answer.h. */
#include "stack/answer.h"

#include "stack/origin.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <string.h>

#define ESCAPED 4 /* the most that a byte becomes */

struct texts {
	const char *in;
	size_t length; /* the last byte is NUL */
	char *out;
	size_t room;
};

/* NULL for none; false when the offset is no place in the strings. */
static bool take_text(struct texts *texts, uint32_t at, size_t max, const char **out)
{
	const char *text;
	size_t length, written;

	*out = NULL;
	if (at == WIRE_NONE)
		return true;
	if (at >= texts->length)
		return false;
	text = texts->in + at;
	length = strnlen(text, max);
	if (!texts->room)
		return true;
	written = text_sanitize(texts->out, texts->room, text, length);
	*out = texts->out;
	texts->out += written + 1;
	texts->room -= written + 1;
	return true;
}

static bool take_frame(const struct spaces *spaces, struct texts *texts,
		       const struct wire_frame *wire, struct frame *frame)
{
	if (wire->origin > FRAME_SYSTEM || wire->from > FRAME_FROM_LINE || wire->inlined > 1)
		return false;
	*frame = (struct frame){
		.line = wire->line,
		.column = wire->column,
		.offset = wire->offset,
		.start = wire->start,
		.sp = wire->sp,
		.inlined = wire->inlined,
		.origin = wire->origin,
		.from = wire->from,
	};
	if (wire->module != WIRE_NONE) {
		frame->binary = spaces_name(spaces, wire->module);
		if (!frame->binary)
			return false;
	}
	return take_text(texts, wire->function, WIRE_FUNCTION, &frame->function) &&
	       take_text(texts, wire->file, WIRE_FILE, &frame->file) &&
	       take_text(texts, wire->folder, WIRE_FILE, &frame->folder);
}

int answer_read(const struct spaces *spaces, const struct packet_head *head, const uint8_t *payload,
		size_t length, struct answer_frames *out)
{
	struct wire_frame wire;
	struct wire_answer info;
	struct texts texts;
	size_t want;

	out->count = 0;
	if (length < sizeof(info) || head->count > FRAMES_MAX)
		return -EINVAL;
	memcpy(&info, payload, sizeof(info));
	payload += sizeof(info);
	want = sizeof(info) + head->count * sizeof(wire) + info.strings;
	if (info.strings > WIRE_MAX_STRINGS || length != want || info.end > STACK_FAILED)
		return -EINVAL;
	texts.in = (const char *)payload + head->count * sizeof(wire);
	texts.length = info.strings;
	if (info.strings && texts.in[info.strings - 1])
		return -EINVAL;
	/* Frames may share a string, so the room is by frames too. */
	texts.room = info.strings * ESCAPED + 1;
	out->text = xgrow(out->text, &out->cap, texts.room, 1);
	texts.out = out->text;
	for (uint32_t i = 0; i < head->count; i++) {
		memcpy(&wire, payload + i * sizeof(wire), sizeof(wire));
		if (!take_frame(spaces, &texts, &wire, &out->frames[i]))
			return -EINVAL;
	}
	origin_settle(out->frames, head->count);
	out->count = head->count;
	out->end = info.end;
	out->cpu_ns = info.cpu_ns;
	return 0;
}

void answer_free(struct answer_frames *out)
{
	free(out->text);
	*out = (struct answer_frames){.count = 0};
}
