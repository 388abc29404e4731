// SPDX-License-Identifier: LGPL-2.1-or-later
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

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

static int open_rooted(const char *root, const char *path, struct elf_file **out)
{
	char full[PATH_MAX];
	int n = snprintf(full, sizeof(full), "%s%s", root ? root : "", path);

	*out = NULL;
	if (n < 0 || (size_t)n >= sizeof(full))
		return -ENAMETOOLONG;
	return elf_open(full, out, NULL);
}

static int open_by_build_id(const struct elf_file *f, const char *root, struct elf_file **out)
{
	char path[ELF_BUILD_ID_HEX + 64];
	int ret;

	if (strlen(f->build_id) < 4)
		return -ENOENT;
	snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", f->build_id,
		 f->build_id + 2);
	ret = open_rooted(root, path, out);
	if (!ret && strcmp((*out)->build_id, f->build_id) != 0) {
		elf_close(*out);
		*out = NULL;
		ret = -ENOENT;
	}
	return ret;
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
	/* A bare file name: a link that climbs out of its folder is not followed. */
	if (!n || n == sec.size || at > sec.size - 4 || strchr(name, '/'))
		return -ENOENT;
	memcpy(crc, name + at, sizeof(*crc));
	return 0;
}

static bool same_build(const struct elf_file *f, const struct elf_file *debug, uint32_t want)
{
	uint32_t crc;

	if (f->build_id[0] && debug->build_id[0])
		return strcmp(f->build_id, debug->build_id) == 0;
	return file_crc(debug, &crc) == 0 && crc == want;
}

static int open_by_link(const struct elf_file *f, const char *root, const char *path,
			struct elf_file **out)
{
	static const struct {
		const char *before, *after;
	} places[] = {{"", ""}, {"", "/.debug"}, {"/usr/lib/debug", ""}};
	const char *slash = path ? strrchr(path, '/') : NULL;
	char name[NAME_MAX + 8], full[PATH_MAX];
	uint32_t crc;

	if (!slash || read_link(f, name, sizeof(name), &crc) != 0)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int n = snprintf(full, sizeof(full), "%s%.*s%s/%s", places[i].before,
				 (int)(slash - path), path, places[i].after, name);

		if (n < 0 || (size_t)n >= sizeof(full) || open_rooted(root, full, out) != 0)
			continue;
		if (same_build(f, *out, crc))
			return 0;
		elf_close(*out);
		*out = NULL;
	}
	return -ENOENT;
}

int elf_open_debug(const struct elf_file *f, const char *root, const char *path,
		   struct elf_file **out, struct err *err)
{
	int ret = open_by_build_id(f, root, out);

	if (ret)
		ret = open_by_link(f, root, path, out);
	if (ret)
		return err_set(err, -ENOENT, "no separate debug file");
	return 0;
}
