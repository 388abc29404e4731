// SPDX-License-Identifier: LGPL-2.1-or-later
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target/elf.h"
#include "target/elf_impl.h"
#include "util/xalloc.h"

#define CHUNK 65536
#define MAX_CRC_BYTES (4ull << 30)

/* The CRC of .gnu_debuglink: reflected 0xedb88320, as in zlib. */
static uint32_t crc_update(uint32_t crc, const uint8_t *p, size_t n)
{
	static const uint32_t nibble[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
		0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};

	for (size_t i = 0; i < n; i++) {
		crc ^= p[i];
		crc = (crc >> 4) ^ nibble[crc & 15];
		crc = (crc >> 4) ^ nibble[crc & 15];
	}
	return crc;
}

static int file_crc(const struct elf_file *f, uint32_t *out)
{
	uint8_t *buf = xmalloc(CHUNK);
	uint32_t crc = 0xffffffff;
	int ret = f->size > MAX_CRC_BYTES ? -E2BIG : 0;

	for (uint64_t at = 0; at < f->size && !ret; at += CHUNK) {
		size_t n = f->size - at < CHUNK ? f->size - at : CHUNK;

		ret = elf_pread(f, at, buf, n);
		if (!ret)
			crc = crc_update(crc, buf, n);
	}
	free(buf);
	*out = ~crc;
	return ret;
}

/* A container's links are resolved within it. */
static int open_rooted(const char *root, const char *path)
{
	/* O_NONBLOCK: a FIFO put where a file was must not hold us up. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
			       .resolve = RESOLVE_IN_ROOT};
	struct stat st;
	int dir, fd;

	if (!root || !*root) {
		fd = open(path, (int)how.flags);
	} else {
		dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (dir >= 0)
			close(dir);
	}
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The file name and the CRC of .gnu_debuglink. */
static int read_link(const struct elf_file *f, char *name, size_t size, uint32_t *crc)
{
	struct elf_section sec;
	size_t n, at;

	if (elf_section(f, ".gnu_debuglink", &sec) != 0 || sec.size < 6 || sec.size > size ||
	    elf_pread(f, sec.offset, name, sec.size) != 0)
		return -ENOENT;
	n = strnlen(name, sec.size);
	at = (n + 1 + 3) & ~(size_t)3;
	if (!n || n == sec.size || at > sec.size - 4)
		return -ENOENT;
	memcpy(crc, name + at, sizeof(*crc));
	return 0;
}

static bool same_build(const struct elf_file *f, const struct elf_file *debug,
		       const struct elf_debug_link *link)
{
	uint32_t crc;

	if (f->build_id[0] && debug->build_id[0])
		return strcmp(f->build_id, debug->build_id) == 0;
	return link->name[0] && file_crc(debug, &crc) == 0 && crc == link->crc;
}

void elf_debug_link(const struct elf_file *f, struct elf_debug_link *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->build_id, sizeof(out->build_id), "%s", f->build_id);
	if (read_link(f, out->name, sizeof(out->name), &out->crc))
		out->name[0] = '\0';
}

bool elf_build_id_valid(const char id[ELF_BUILD_ID_HEX])
{
	size_t n = strnlen(id, ELF_BUILD_ID_HEX);

	return n >= 4 && n < ELF_BUILD_ID_HEX && n % 2 == 0 && strspn(id, "0123456789abcdef") == n;
}

/* A bare file name: a link that climbs out of its folder is not followed. */
static bool name_valid(const char name[ELF_DEBUG_NAME])
{
	return name[0] && memchr(name, '\0', ELF_DEBUG_NAME) && !strchr(name, '/') &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static size_t add_place(int *fds, size_t n, size_t max, const char *root, const char *path)
{
	if (n < max) {
		fds[n] = open_rooted(root, path);
		n += fds[n] >= 0;
	}
	return n;
}

size_t elf_debug_open(const struct elf_debug_link *link, const char *root, const char *path,
		      int *fds, size_t max)
{
	static const struct {
		const char *before, *after;
	} places[] = {{"", ""}, {"", "/.debug"}, {"/usr/lib/debug", ""}};
	const char *slash = path ? strrchr(path, '/') : NULL;
	char full[PATH_MAX];
	size_t count = 0;

	if (elf_build_id_valid(link->build_id)) {
		snprintf(full, sizeof(full), "/usr/lib/debug/.build-id/%.2s/%s.debug",
			 link->build_id, link->build_id + 2);
		count = add_place(fds, count, max, root, full);
	}
	for (size_t i = 0;
	     slash && name_valid(link->name) && i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(full, sizeof(full), "%s%.*s%s/%s", places[i].before,
				 (int)(slash - path), path, places[i].after, link->name);

		if (n > 0 && (size_t)n < sizeof(full))
			count = add_place(fds, count, max, root, full);
	}
	return count;
}

int elf_debug_choose(const struct elf_file *f, const struct elf_debug_link *link, const int *fds,
		     size_t count, struct elf_file **out)
{
	*out = NULL;
	for (size_t i = 0; i < count; i++) {
		struct elf_file *debug = NULL;

		if (*out)
			close(fds[i]);
		else if (elf_open_fd(fds[i], &debug, NULL) == 0 && same_build(f, debug, link))
			*out = debug;
		else
			elf_close(debug);
	}
	return *out ? 0 : -ENOENT;
}

int elf_open_debug(const struct elf_file *f, const char *root, const char *path,
		   struct elf_file **out, struct err *err)
{
	struct elf_debug_link link;
	int fds[ELF_DEBUG_PLACES];
	size_t n;

	elf_debug_link(f, &link);
	n = elf_debug_open(&link, root, path, fds, ELF_DEBUG_PLACES);
	if (elf_debug_choose(f, &link, fds, n, out))
		return err_set(err, -ENOENT, "no separate debug file");
	return 0;
}
