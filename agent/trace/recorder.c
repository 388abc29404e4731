// SPDX-License-Identifier: LGPL-2.1-or-later
#include "trace/recorder.h"

#include "util/xalloc.h"

#define BINARIES_MAX 1024

void recorder_init(struct recorder *r, chunk_fn fn, void *ctx)
{
	*r = (struct recorder){.fn = fn, .ctx = ctx};
	chunk_maker_init(&r->data, CHUNK_DATA);
}

void recorder_free(struct recorder *r)
{
	chunk_maker_free(&r->data);
	bytes_free(&r->packed);
	for (size_t i = 0; i < r->binaries_count; i++)
		free(r->binaries[i]);
	free(r->binaries);
	*r = (struct recorder){0};
}

static void note_binary(struct recorder *r, const char *build_id, const char *path)
{
	char *text;

	if (!path || r->binaries_count == BINARIES_MAX)
		return;
	text = xasprintf("%s %s", build_id ? build_id : "-", path);
	for (size_t i = 0; i < r->binaries_count; i++) {
		if (!strcmp(r->binaries[i], text)) {
			free(text);
			return;
		}
	}
	r->binaries = xgrow(r->binaries, &r->binaries_cap, r->binaries_count + 1, sizeof(char *));
	r->binaries[r->binaries_count++] = text;
}

static int give_out(struct recorder *r, struct chunk_maker *maker)
{
	struct chunk_head head;

	r->packed.len = 0;
	chunk_maker_finish(maker, r->seq++, &head, &r->packed);
	return r->fn(r->ctx, &head, &r->packed);
}

int recorder_flush(struct recorder *r)
{
	return r->data.head.events ? give_out(r, &r->data) : 0;
}

int recorder_event(struct recorder *r, const struct event *event)
{
	if (event->kind == EV_TARGET)
		note_binary(r, event->as_target.build_id, event->as_target.exe);
	else if (event->kind == EV_BINARY)
		note_binary(r, event->as_binary.build_id, event->as_binary.path);
	chunk_maker_add(&r->data, event);
	r->events++;
	if (!r->begun && event->kind == EV_TICK) {
		/* The announcements are safe, and there is a file, from the first moment on. */
		r->begun = true;
		r->keyframe_ns = event->time_ns;
		return recorder_flush(r);
	}
	if (chunk_maker_size(&r->data) >= FLUSH_BYTES ||
	    (event->kind == EV_TICK && r->data.head.last_ns - r->data.head.first_ns >= FLUSH_NS))
		return recorder_flush(r);
	return 0;
}

bool recorder_wants_keyframe(const struct recorder *r, uint64_t now_ns)
{
	return r->begun && now_ns - r->keyframe_ns >= KEYFRAME_NS && now_ns > r->keyframe_ns;
}

struct keyframe {
	struct recorder *r;
	struct chunk_maker maker;
};

/* More than fits into one chunk becomes several. */
static int keyframe_add(void *ctx, const struct event *event)
{
	struct keyframe *k = ctx;

	chunk_maker_add(&k->maker, event);
	return chunk_maker_size(&k->maker) >= FLUSH_BYTES ? give_out(k->r, &k->maker) : 0;
}

int recorder_keyframe(struct recorder *r, uint64_t now_ns,
		      int (*announce)(const void *model, event_fn fn, void *ctx), const void *model)
{
	struct keyframe k = {.r = r};
	int ret = recorder_flush(r);

	r->keyframe_ns = now_ns;
	if (ret)
		return ret;
	chunk_maker_init(&k.maker, CHUNK_KEYFRAME);
	ret = announce(model, keyframe_add, &k);
	if (!ret && k.maker.head.events)
		ret = give_out(r, &k.maker);
	chunk_maker_free(&k.maker);
	return ret;
}
