/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a trace file: header, the list of its chunks, their events. No length in it is believed: a
 * chunk counts when its head's checksum and place are right, and its events when their own is.
 * Between good chunks everything is passed over and said, a damaged header as well: what it told is
 * then unknown.
 *
 * Files of any size: the index is read, or rebuilt from the heads alone where there is none, and
 * one chunk at a time is unpacked. The file may still be written to; what was there at the opening
 * is read. A pipe is copied first.
 */
#ifndef TRACE_READER_H
#define TRACE_READER_H

#include "core/event.h"
#include "trace/chunk.h"
#include "trace/file.h"
#include "util/err.h"

struct trace_chunk {
	uint64_t at; /* offset in the file, of its head */
	uint64_t first_ns, last_ns;
	uint32_t events;
	uint16_t type;
	uint64_t gap; /* bytes before it that are no chunk */
};

struct trace_reader {
	/* From the header; texts are sanitised and "" when unknown. */
	char *path, *host, *program, *kernel;
	char **binaries; /* "build-id path" */
	size_t binaries_count, binaries_cap;
	char **settings; /* RULE.KEY=VALUE */
	size_t settings_count, settings_cap;
	struct trace_rule *rules; /* their strings belong to the reader, too */
	size_t rules_count, rules_cap;
	uint64_t begin_ns, wall_offset_ns;
	uint32_t header_bytes_lost; /* it is damaged: nothing of the above is known */
	bool incomplete; /* it was not closed: killed, the disk was full, or still being written */
	uint16_t minor;

	struct trace_chunk *chunks; /* those with events, in the file's order; no index */
	size_t chunks_count, chunks_cap;
	uint64_t skipped_bytes; /* damaged or foreign, the gaps included */
	uint64_t tail_bytes;	/* of them: behind the last chunk, cut off in the middle */
	uint64_t size;

	/* The rest is private to reader.c. */
	int fd;
	struct trace_decoder *decoder;
	struct bytes stored, raw;
};

/*
 * "-" is standard input. -ENOENT and the like: cannot be read; -EBADMSG: no trace, or nothing in it
 * can be read; -EPROTONOSUPPORT: a version that this program does not know, `err` names it.
 */
int trace_reader_open(const char *path, struct trace_reader **out, struct err *err);
void trace_reader_close(struct trace_reader *r);

/* Makes chunk `i` the one that trace_reader_next() reads. -EBADMSG: damaged. -EIO and the like. */
int trace_reader_chunk(struct trace_reader *r, size_t i);
/* 1: an event, valid until the next call; 0: the chunk has ended; -EBADMSG: the rest is damaged. */
int trace_reader_next(struct trace_reader *r, struct event *out);

/* The last chunk from which reading gives all that is known at `time_ns`: a keyframe, or 0. */
size_t trace_reader_seek(const struct trace_reader *r, uint64_t time_ns);
/* The first keyframe at or after chunk `i`; chunks_count: there is none. */
size_t trace_reader_keyframe(const struct trace_reader *r, size_t i);

#endif
