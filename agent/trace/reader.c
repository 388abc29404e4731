// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reading a trace file; see reader.h. scan.c finds the chunks. */
#include "trace/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace/scan.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#define COPY_BYTES (1u << 16)
#define STREAM_MAX (1ull << 30)		   /* of what is read from a pipe, and so kept in memory */
#define LIST_MAX 4096			   /* binaries, settings */
#define MAGIC_LEAST (TRACE_MAGIC_SIZE - 1) /* bytes of it that must be right */

int reader_read(const struct trace_reader *r, uint64_t at, uint8_t *out, size_t count)
{
	if (at > r->size || count > r->size - at)
		return -EBADMSG;
	while (count) {
		ssize_t n = pread(r->fd, out, count, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		out += n;
		at += (uint64_t)n;
		count -= (size_t)n;
	}
	return 0;
}

static bool is_trace(const uint8_t *fixed)
{
	size_t right = 0;

	for (size_t i = 0; i < TRACE_MAGIC_SIZE; i++)
		right += fixed[i] == (uint8_t)TRACE_MAGIC[i];
	return right >= MAGIC_LEAST;
}

/* As much of a stream as fits; -errno. Less than asked for: it has ended. */
static ssize_t read_some(int fd, uint8_t *to, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = read(fd, to + done, count - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/*
 * What cannot be gone back in is copied to memory. A stream may have no end: one that is no trace
 * is not read on, and -EFBIG is said of one that is too long.
 */
static int copy_stream(int from)
{
	uint8_t buffer[COPY_BYTES];
	int fd = memfd_create("stalltop-trace", MFD_CLOEXEC);
	size_t done = 0;
	ssize_t n = fd < 0 ? -errno : (ssize_t)COPY_BYTES;

	while (n == (ssize_t)COPY_BYTES) {
		n = read_some(from, buffer, sizeof(buffer));
		if (n > 0 && write(fd, buffer, (size_t)n) != n)
			n = -EIO;
		/* Its reader says what it is. */
		if (!done && n >= TRACE_MAGIC_SIZE && !is_trace(buffer))
			break;
		done += n > 0 ? (size_t)n : 0;
		if (done > STREAM_MAX)
			n = -EFBIG;
	}
	if (n >= 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return (int)n;
}

static int open_fd(struct trace_reader *r, const char *path, struct err *err)
{
	bool pipe = !strcmp(path, "-");
	struct stat st;

	r->fd = pipe ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
	if (r->fd < 0 || fstat(r->fd, &st))
		return err_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "%s is a directory; name the trace file in it", path);
	if (!S_ISREG(st.st_mode)) {
		int copy = copy_stream(r->fd);

		close(r->fd);
		r->fd = copy;
		if (copy == -EFBIG)
			return err_set(err, copy, "%s has more than 1 GiB: put it into a file",
				       path);
		if (copy < 0 || fstat(copy, &st))
			return err_set(err, copy < 0 ? copy : -EIO, "cannot read %s", path);
	}
	r->size = (uint64_t)st.st_size;
	return 0;
}

static void list_add(char ***list, size_t *count, size_t *cap, char *text)
{
	if (*count == LIST_MAX) {
		free(text);
		return;
	}
	*list = xgrow(*list, cap, *count + 1, sizeof(char *));
	(*list)[(*count)++] = text;
}

/* The text of a rule stays as it is: its parser takes anything. */
static void take_rule(struct trace_reader *r, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	struct trace_rule *rule;

	if (!end || r->rules_count == LIST_MAX)
		return;
	r->rules = xgrow(r->rules, &r->rules_cap, r->rules_count + 1, sizeof(*r->rules));
	rule = &r->rules[r->rules_count++];
	rule->name = text_sanitize_dup((const char *)data);
	rule->len = size - (size_t)(end + 1 - data);
	rule->text = xstrndup((const char *)end + 1, rule->len);
	rule->len = strlen(rule->text);
}

static void take_item(struct trace_reader *r, uint64_t item, const uint8_t *data, size_t size)
{
	char *text = xmalloc(4 * size + 1), **to = NULL;

	text_sanitize(text, 4 * size + 1, (const char *)data, size);
	switch (item) {
	case ITEM_HOST: to = &r->host; break;
	case ITEM_PROGRAM: to = &r->program; break;
	case ITEM_KERNEL: to = &r->kernel; break;
	case ITEM_BINARY:
		list_add(&r->binaries, &r->binaries_count, &r->binaries_cap, text);
		return;
	case ITEM_SETTING:
		list_add(&r->settings, &r->settings_count, &r->settings_cap, text);
		return;
	default: break;
	}
	if (to) {
		free(*to);
		*to = text;
	} else {
		free(text);
	}
}

/* False: it is damaged. */
static bool take_header(struct trace_reader *r, uint8_t *data, uint32_t size)
{
	struct cursor in = {.at = data + HEADER_FIXED, .end = data + size - sizeof(uint32_t)};
	uint32_t flags = get_u32(data + HEADER_FLAGS), items = get_u32(data + HEADER_ITEMS);

	/* These two are written when all the rest stands. */
	put_u32(data + HEADER_FLAGS, 0);
	put_u64(data + HEADER_INDEX, 0);
	if (crc32c(0, data, size - sizeof(uint32_t)) != get_u32(data + size - sizeof(uint32_t)))
		return false;
	r->minor = get_u16(data + HEADER_MINOR);
	r->incomplete = flags & HEADER_INCOMPLETE;
	r->begin_ns = get_u64(data + HEADER_BEGIN);
	r->wall_offset_ns = get_u64(data + HEADER_WALL);
	for (uint32_t i = 0; i < items && !in.bad; i++) {
		uint64_t item = cursor_varint(&in), length = cursor_varint(&in);
		const uint8_t *text = in.bad ? NULL : cursor_bytes(&in, length);

		if (text && item == ITEM_RULE)
			take_rule(r, text, length);
		else if (text)
			take_item(r, item, text, length);
	}
	return true;
}

/* Everything else can be read without it: from the first chunk on. */
static int pass_header(struct trace_reader *r, uint64_t *size, struct err *err)
{
	int ret = scan_head(r, HEADER_FIXED, size);

	if (ret)
		return err_set(err, ret, "cannot read %s: %s", r->path, strerror(-ret));
	if (*size > HEADER_SIZE_MAX || *size == r->size)
		return err_set(err, -EBADMSG, "%s: the header is cut off or damaged", r->path);
	r->header_bytes_lost = (uint32_t)*size;
	r->skipped_bytes = *size;
	return 0;
}

static int read_header(struct trace_reader *r, uint64_t *size, struct err *err)
{
	uint8_t fixed[HEADER_FIXED], *all;
	uint32_t bytes;
	int ret;

	if (r->size < HEADER_FIXED || reader_read(r, 0, fixed, sizeof(fixed)))
		return err_set(err, -EBADMSG, "%s: %s", r->path,
			       r->size ? "too short for a trace" :
					 "is empty: nothing was recorded");
	if (!is_trace(fixed))
		return err_set(err, -EBADMSG, "%s is no stalltop trace", r->path);
	if (get_u16(fixed + HEADER_MAJOR) != TRACE_MAJOR)
		return err_set(err, -EPROTONOSUPPORT,
			       "%s has trace format %u; this stalltop reads %u: use one that "
			       "reads format %u",
			       r->path, get_u16(fixed + HEADER_MAJOR), TRACE_MAJOR,
			       get_u16(fixed + HEADER_MAJOR));
	bytes = get_u32(fixed + HEADER_SIZE);
	if (bytes < HEADER_FIXED + sizeof(uint32_t) || bytes > HEADER_SIZE_MAX || bytes > r->size)
		return pass_header(r, size, err);
	all = xmalloc(bytes);
	ret = reader_read(r, 0, all, bytes);
	if (ret)
		err_set(err, ret, "%s: %s", r->path, strerror(-ret));
	else if (take_header(r, all, bytes))
		*size = bytes;
	else
		ret = pass_header(r, size, err);
	free(all);
	return ret;
}

int trace_reader_open(const char *path, struct trace_reader **out, struct err *err)
{
	struct trace_reader *r = xcalloc(1, sizeof(*r));
	uint64_t begin = 0;
	int ret;

	r->fd = -1;
	r->path = text_sanitize_dup(path);
	r->host = xstrdup("");
	r->program = xstrdup("");
	r->kernel = xstrdup("");
	r->decoder = trace_decoder_new();
	ret = open_fd(r, path, err);
	if (!ret)
		ret = read_header(r, &begin, err);
	if (!ret) {
		ret = scan_chunks(r, begin);
		if (ret)
			err_set(err, ret, "cannot read %s: %s", r->path, strerror(-ret));
	}
	if (!ret && !r->chunks_count)
		ret = err_set(err, -EBADMSG, "%s: no part of it can be read", r->path);
	if (ret) {
		trace_reader_close(r);
		return ret;
	}
	*out = r;
	return 0;
}

static void list_free(char **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i]);
	free(list);
}

void trace_reader_close(struct trace_reader *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	trace_decoder_free(r->decoder);
	bytes_free(&r->stored);
	bytes_free(&r->raw);
	list_free(r->binaries, r->binaries_count);
	list_free(r->settings, r->settings_count);
	for (size_t i = 0; i < r->rules_count; i++) {
		free((char *)r->rules[i].name);
		free((char *)r->rules[i].text);
	}
	free(r->rules);
	free(r->chunks);
	free(r->path);
	free(r->host);
	free(r->program);
	free(r->kernel);
	free(r);
}

int trace_reader_chunk(struct trace_reader *r, size_t i)
{
	struct chunk_head head;
	uint8_t text[CHUNK_HEAD];
	int ret;

	trace_decoder_begin(r->decoder, NULL, 0);
	ret = reader_read(r, r->chunks[i].at, text, sizeof(text));
	if (!ret && !chunk_head_read(text, &head))
		ret = -EBADMSG;
	if (ret)
		return ret;
	r->stored.len = 0;
	bytes_room(&r->stored, head.stored);
	ret = reader_read(r, r->chunks[i].at + CHUNK_HEAD, r->stored.data, head.stored);
	if (!ret)
		ret = chunk_unpack(&head, r->stored.data, &r->raw);
	if (!ret)
		trace_decoder_begin(r->decoder, r->raw.data, r->raw.len);
	return ret;
}

int trace_reader_next(struct trace_reader *r, struct event *out)
{
	return trace_decoder_next(r->decoder, out);
}

size_t trace_reader_keyframe(const struct trace_reader *r, size_t i)
{
	/* One with several chunks begins at the first. */
	for (; i < r->chunks_count; i++)
		if (r->chunks[i].type == CHUNK_KEYFRAME &&
		    (!i || r->chunks[i - 1].type != CHUNK_KEYFRAME))
			return i;
	return r->chunks_count;
}

size_t trace_reader_seek(const struct trace_reader *r, uint64_t time_ns)
{
	size_t found = 0, next = trace_reader_keyframe(r, 0);

	while (next < r->chunks_count && r->chunks[next].first_ns <= time_ns) {
		found = next;
		next = trace_reader_keyframe(r, next + 1);
	}
	return found;
}
