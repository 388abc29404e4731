/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A trace file that is being written: header, chunks as they come, index and tail at the end. What
 * was written stays readable whatever happens next: nothing is ever gone back to but the header's
 * flags, and those not in a pipe.
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H

#include "trace/chunk.h"
#include "util/err.h"

/* A rule that is not built in. The reader gives out the text as it stands, not sanitised. */
struct trace_rule {
	const char *name, *text;
	size_t len;
};

#define TRACE_RULES_BYTES (HEADER_SIZE_MAX / 4)

/* For the header. All strings are borrowed while the file is open. */
struct trace_info {
	const char *host, *program, *kernel;
	uint64_t wall_offset_ns;
	const char *const *settings; /* RULE.KEY=VALUE */
	size_t settings_count;
	const struct trace_rule *rules; /* at most TRACE_RULES_BYTES of text */
	size_t rules_count;
	const char *const *binaries; /* "build-id path" */
	size_t binaries_count;
};

struct trace_file;

/*
 * Opens the file to be written anew; "-" is standard output. Before the first chunk nothing is
 * changed, and a file that was made for nothing is removed. `err` says what cannot be written and why.
 */
int trace_file_create(const char *path, struct trace_file **out, struct err *err);
/*
 * A chunk as chunk_maker_finish() made it. The first one is preceded by the header, made of `info`.
 * -errno with `err`: the file then ends with the last whole chunk, as far as the disk lets us.
 */
int trace_file_add(struct trace_file *f, const struct trace_info *info,
		   const struct chunk_head *head, const struct bytes *chunk, struct err *err);
uint64_t trace_file_size(const struct trace_file *f);
/* Index, tail, and the flag in the header goes. */
int trace_file_finish(struct trace_file *f, struct err *err);
/* Also without finish: then it is marked incomplete. NULL is fine. */
void trace_file_close(struct trace_file *f);

#endif
