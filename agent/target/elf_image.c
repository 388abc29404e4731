// SPDX-License-Identifier: LGPL-2.1-or-later
/* Program headers that another process has read; see elf.h. */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/elf.h"
#include "util/xalloc.h"

void elf_image(const struct elf_file *f, struct elf_image *out)
{
	*out = (struct elf_image){
		.type = f->type,
		.has_interp = f->has_interp,
		.loads = f->n_loads < ELF_MAX_SEGMENTS ? f->n_loads : ELF_MAX_SEGMENTS - 1,
	};
	memcpy(out->build_id, f->build_id, sizeof(out->build_id));
}

static bool segment_valid(const struct elf_segment *s, uint64_t size)
{
	if (s->filesz > s->memsz || s->vaddr + s->memsz < s->vaddr ||
	    s->offset + s->filesz < s->offset)
		return false;
	return !s->filesz || (s->offset <= size && s->filesz <= size - s->offset);
}

static bool image_valid(const struct elf_image *image, const struct elf_segment *loads,
			uint64_t size)
{
	if ((image->type != ET_EXEC && image->type != ET_DYN) || image->has_interp > 1)
		return false;
	if (image->build_id[0] && !elf_build_id_valid(image->build_id))
		return false;
	for (size_t i = 0; i < image->loads; i++)
		if (!segment_valid(&loads[i], size) || (i && loads[i].vaddr < loads[i - 1].vaddr))
			return false;
	return true;
}

int elf_open_image(int fd, const struct elf_image *image, const struct elf_segment *loads,
		   struct elf_file **out)
{
	struct elf_file *f;
	struct stat st;

	*out = NULL;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) ||
	    !image_valid(image, loads, (uint64_t)st.st_size)) {
		close(fd);
		return -EINVAL;
	}
	f = xcalloc(1, sizeof(*f));
	f->fd = fd;
	f->size = (uint64_t)st.st_size;
	f->type = image->type;
	f->has_interp = image->has_interp;
	memcpy(f->build_id, image->build_id, sizeof(f->build_id));
	f->loads = xcalloc(image->loads, sizeof(*f->loads));
	f->n_loads = image->loads;
	memcpy(f->loads, loads, image->loads * sizeof(*loads));
	*out = f;
	return 0;
}
