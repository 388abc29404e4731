// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writing a trace file; see file.h. */
#include "trace/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/xalloc.h"

struct index_row {
	uint64_t at, first_ns, last_ns;
	uint32_t events;
	uint16_t type;
};

struct trace_file {
	int fd;
	char *path;
	bool begun;
	bool made; /* there was no such file before */
	bool seekable;
	uint64_t size;
	struct bytes header;
	struct index_row *rows;
	size_t rows_count, rows_cap;
};

static int fail(struct trace_file *f, int code, struct err *err)
{
	if (code == -EPIPE)
		return err_set(err, code, "%s: whoever read the trace has gone", f->path);
	return err_set(err, code, "%s: %s", f->path, strerror(-code));
}

static int open_path(const char *path, bool *made)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	*made = fd >= 0;
	return fd < 0 && errno == EEXIST ? open(path, O_WRONLY | O_CLOEXEC) : fd;
}

int trace_file_create(const char *path, struct trace_file **out, struct err *err)
{
	bool pipe = !strcmp(path, "-"), made = false;
	int fd = pipe ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3) : open_path(path, &made);
	struct trace_file *f;
	struct stat st;

	if (fd < 0)
		return err_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
	f = xcalloc(1, sizeof(*f));
	f->fd = fd;
	f->made = made;
	f->path = xstrdup(pipe ? "standard output" : path);
	f->seekable = !pipe && !fstat(fd, &st) && S_ISREG(st.st_mode);
	*out = f;
	return 0;
}

/* All or -errno: after a part the file is cut back to where it was, where that can be done. */
static int put_all(struct trace_file *f, const uint8_t *data, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = write(f->fd, data + done, count - done);
		int code = n < 0 ? -errno : -EIO;

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (code == -EINTR)
			continue;
		if (f->seekable && !ftruncate(f->fd, (off_t)f->size))
			lseek(f->fd, (off_t)f->size, SEEK_SET);
		return code;
	}
	f->size += count;
	return 0;
}

static void add_item(struct bytes *b, uint32_t *count, enum trace_item item, const char *text)
{
	if (!text)
		return;
	bytes_varint(b, item);
	bytes_varint(b, strlen(text));
	bytes_add(b, text, strlen(text));
	++*count;
}

static void add_rule(struct bytes *b, uint32_t *count, const struct trace_rule *rule)
{
	size_t name = strlen(rule->name) + 1;

	bytes_varint(b, ITEM_RULE);
	bytes_varint(b, name + rule->len);
	bytes_add(b, rule->name, name);
	bytes_add(b, rule->text, rule->len);
	++*count;
}

static void make_header(struct bytes *b, const struct trace_info *info, uint64_t begin_ns)
{
	uint32_t items = 0;
	uint8_t *crc;

	memset(bytes_room(b, HEADER_FIXED), 0, HEADER_FIXED);
	add_item(b, &items, ITEM_HOST, info->host);
	add_item(b, &items, ITEM_PROGRAM, info->program);
	add_item(b, &items, ITEM_CLOCK, "CLOCK_MONOTONIC");
	add_item(b, &items, ITEM_KERNEL, info->kernel);
	for (size_t i = 0; i < info->settings_count; i++)
		add_item(b, &items, ITEM_SETTING, info->settings[i]);
	for (size_t i = 0; i < info->rules_count; i++)
		add_rule(b, &items, &info->rules[i]);
	for (size_t i = 0; i < info->binaries_count && b->len < HEADER_SIZE_MAX / 2; i++)
		add_item(b, &items, ITEM_BINARY, info->binaries[i]);
	crc = bytes_room(b, sizeof(uint32_t));
	memcpy(b->data + HEADER_MAGIC, TRACE_MAGIC, TRACE_MAGIC_SIZE);
	put_u16(b->data + HEADER_MAJOR, TRACE_MAJOR);
	put_u16(b->data + HEADER_MINOR, TRACE_MINOR);
	put_u32(b->data + HEADER_SIZE, (uint32_t)b->len);
	put_u32(b->data + HEADER_ITEMS, items);
	put_u64(b->data + HEADER_BEGIN, begin_ns);
	put_u64(b->data + HEADER_WALL, info->wall_offset_ns);
	put_u32(crc, crc32c(0, b->data, b->len - sizeof(uint32_t)));
	put_u32(b->data + HEADER_FLAGS, HEADER_INCOMPLETE);
}

static void index_add(struct trace_file *f, const struct chunk_head *head)
{
	f->rows = xgrow(f->rows, &f->rows_cap, f->rows_count + 1, sizeof(*f->rows));
	f->rows[f->rows_count++] = (struct index_row){
		.at = f->size,
		.first_ns = head->first_ns,
		.last_ns = head->last_ns,
		.events = head->events,
		.type = head->type,
	};
}

int trace_file_add(struct trace_file *f, const struct trace_info *info,
		   const struct chunk_head *head, const struct bytes *chunk, struct err *err)
{
	int ret = 0;

	if (!f->begun) {
		make_header(&f->header, info, head->first_ns);
		/* Only now: what was there before is kept when nothing comes in its place. */
		if (f->seekable && ftruncate(f->fd, 0))
			ret = -errno;
		if (!ret)
			ret = put_all(f, f->header.data, f->header.len);
		f->begun = !ret;
	}
	if (!ret) {
		index_add(f, head);
		ret = put_all(f, chunk->data, chunk->len);
		f->rows_count -= ret != 0;
	}
	return ret ? fail(f, ret, err) : 0;
}

uint64_t trace_file_size(const struct trace_file *f)
{
	return f->size;
}

/* Offsets and times as differences to the row before. */
static void make_index(const struct trace_file *f, struct bytes *out)
{
	struct index_row before = {0};

	bytes_varint(out, f->rows_count);
	for (size_t i = 0; i < f->rows_count; i++) {
		const struct index_row *row = &f->rows[i];

		bytes_varint(out, row->at - before.at);
		bytes_varint(out, row->type);
		bytes_varint(out, row->events);
		bytes_varint(out, zigzag(row->first_ns - before.first_ns));
		bytes_varint(out, zigzag(row->last_ns - row->first_ns));
		before = *row;
	}
}

static int put_end(struct trace_file *f)
{
	struct chunk_head head = {.type = CHUNK_INDEX, .seq = f->rows_count};
	struct bytes index = {0}, out = {0};
	uint64_t at = f->size;
	uint8_t *tail;
	int ret = 0;

	make_index(f, &index);
	/* An index that a reader would refuse is of no use: it scans instead. */
	if (index.len <= CHUNK_RAW_MAX) {
		chunk_pack(&head, &index, &out);
		tail = bytes_room(&out, TAIL_SIZE);
		memset(tail, 0, TAIL_SIZE);
		memcpy(tail + TAIL_MAGIC, TRACE_TAIL_MAGIC, TRACE_MAGIC_SIZE);
		put_u64(tail + TAIL_INDEX, at);
		put_u64(tail + TAIL_CHUNKS, f->rows_count);
		put_u32(tail + TAIL_CRC, crc32c(0, tail, TAIL_CRC));
		ret = put_all(f, out.data, out.len);
	}
	bytes_free(&index);
	bytes_free(&out);
	if (ret || !f->seekable)
		return ret;
	put_u32(f->header.data + HEADER_FLAGS, 0);
	put_u64(f->header.data + HEADER_INDEX, at);
	if (pwrite(f->fd, f->header.data, HEADER_FIXED, 0) != HEADER_FIXED)
		return errno ? -errno : -EIO;
	return 0;
}

int trace_file_finish(struct trace_file *f, struct err *err)
{
	int ret = f->begun ? put_end(f) : 0;

	return ret ? fail(f, ret, err) : 0;
}

void trace_file_close(struct trace_file *f)
{
	if (!f)
		return;
	close(f->fd);
	if (f->made && !f->size)
		unlink(f->path);
	bytes_free(&f->header);
	free(f->rows);
	free(f->path);
	free(f);
}
