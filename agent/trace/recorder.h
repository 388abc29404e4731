/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From events to chunks, whoever keeps them: a file, or a ring in memory. A chunk ends when it has
 * FLUSH_NS of events or FLUSH_BYTES; the kill of the program costs no more than that. Every
 * KEYFRAME_NS the owner is asked for what is known, so that reading can begin there.
 */
#ifndef TRACE_RECORDER_H
#define TRACE_RECORDER_H

#include "trace/chunk.h"

/*
 * At the first tick after it; ticks are 0.1 s apart. What a kill costs is below a second also where
 * a loaded machine lets the recorder come half a second late.
 */
#define FLUSH_NS 400000000ULL
#define FLUSH_BYTES (256u << 10)
#define KEYFRAME_NS 10000000000ULL

/* Takes a packed chunk over for the call; 0 or -errno, which ends the recording. */
typedef int (*chunk_fn)(void *ctx, const struct chunk_head *head, const struct bytes *chunk);

struct recorder {
	struct chunk_maker data;
	struct bytes packed;
	uint64_t seq, events, keyframe_ns;
	bool begun;
	chunk_fn fn;
	void *ctx;
	/* "build-id path" of the targets and binaries met, for the header. */
	char **binaries;
	size_t binaries_count, binaries_cap;
};

void recorder_init(struct recorder *r, chunk_fn fn, void *ctx);
void recorder_free(struct recorder *r);

int recorder_event(struct recorder *r, const struct event *event);
/* Gives out what there is. */
int recorder_flush(struct recorder *r);
/* True when a keyframe is due; call after an EV_TICK. */
bool recorder_wants_keyframe(const struct recorder *r, uint64_t now_ns);
/*
 * Flushes, then makes a keyframe of what `announce` gives out (model_announce() of a model).
 */
int recorder_keyframe(struct recorder *r, uint64_t now_ns,
		      int (*announce)(const void *model, event_fn fn, void *ctx),
		      const void *model);

#endif
