// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mapped ELF objects of a process; see object.h. */
#include "target/object.h"

#include "util/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens path if it is the mapped file. st_dev of overlayfs differs from maps: the inode decides. */
static int open_if_same(const char *path, const struct proc_map *map, bool exact)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!exact && (fstat(fd, &st) || st.st_ino != map->inode)) {
		close(fd);
		return -ESTALE;
	}
	return fd;
}

/*
 * map_files names the mapped file itself but needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; exe
 * needs only the rights of ptrace; the path under the process's root may have been replaced.
 */
static int open_mapped(const struct proc *proc, const struct proc_map *map, bool is_exe,
		       char **path)
{
	int fd;

	*path = xasprintf("/proc/%d/map_files/%" PRIx64 "-%" PRIx64, proc->pid, map->start,
			  map->end);
	fd = open_if_same(*path, map, true);
	if (fd >= 0)
		return fd;
	free(*path);
	if (is_exe) {
		*path = xasprintf("/proc/%d/exe", proc->pid);
		return open_if_same(*path, map, true);
	}
	*path = xasprintf("/proc/%d/root%s", proc->pid, map->path);
	return open_if_same(*path, map, false);
}

static bool key_known(const struct object_key *keys, size_t count, const struct proc_map *map)
{
	for (size_t i = 0; i < count; i++)
		if (keys[i].dev == map->dev && keys[i].inode == map->inode)
			return true;
	return false;
}

/* The load bias from the mapping that holds the start of a PT_LOAD segment's file bytes. */
static int find_bias(struct object *object)
{
	const struct elf_file *elf = object->elf;

	for (size_t i = 0; i < elf->n_loads * object->ranges_count; i++) {
		const struct elf_segment *s = &elf->loads[i % elf->n_loads];
		const struct object_range *range = &object->ranges[i / elf->n_loads];
		uint64_t first = s->offset & ~4095ULL, vaddr = s->vaddr & ~4095ULL;

		if (range->offset < first || range->offset >= s->offset + s->filesz)
			continue;
		if (!range->executable || !(s->flags & 1))
			continue;
		object->bias = range->start - (vaddr + (range->offset - first));
		return 0;
	}
	return -EINVAL;
}

/* The executable ones first: a file mapped a thousand times must not hide its code. */
static void add_ranges(struct object *object, const struct proc_map *maps, size_t count)
{
	for (size_t i = 0; i < 2 * count && object->ranges_count < OBJECT_MAX_RANGES; i++) {
		const struct proc_map *map = &maps[i % count];

		if (map->dev == object->dev && map->inode == object->inode &&
		    map->executable == (i < count))
			object->ranges[object->ranges_count++] = (struct object_range){
				map->start, map->end, map->offset, map->executable};
	}
}

static int object_open(const struct proc *proc, const struct memory *memory,
		       const struct proc_map *map, bool is_exe, struct object **out,
		       struct err *err)
{
	struct object *object = xcalloc(1, sizeof(*object));
	int ret;

	object->proc = proc;
	object->memory = memory;
	object->dev = map->dev;
	object->inode = map->inode;
	object->is_exe = is_exe;
	object->name = xstrdup(map->path);
	object->fd = open_mapped(proc, map, is_exe, &object->path);
	if (object->fd < 0) {
		ret = err_set(err, object->fd, "cannot open %s of process %d: %s", object->name,
			      proc->pid, strerror(-object->fd));
		object_free(object);
		return ret;
	}
	*out = object;
	return 0;
}

int object_parse(struct object *object, struct err *err)
{
	int ret = elf_open_fd(object->fd, &object->elf, err);

	object->fd = -1;
	if (!ret && find_bias(object))
		ret = err_set(err, -EINVAL, "%s is not mapped as its program headers say",
			      object->name);
	return ret;
}

int object_adopt(struct object *object, const struct elf_image *image,
		 const struct elf_segment *loads)
{
	int ret = elf_open_image(object->fd, image, loads, &object->elf);

	object->fd = -1;
	if (!ret && find_bias(object)) {
		elf_close(object->elf);
		object->elf = NULL;
		ret = -EINVAL;
	}
	return ret;
}

bool object_runs(const struct object *object, uint64_t vaddr)
{
	uint64_t offset, address = vaddr + object->bias;

	if (elf_vaddr_to_offset(object->elf, vaddr, &offset))
		return false;
	for (size_t i = 0; i < object->ranges_count; i++) {
		const struct object_range *range = &object->ranges[i];

		if (range->executable && address >= range->start && address < range->end)
			return address - range->start + range->offset == offset;
	}
	return false;
}

/* Whether map backs the main program: the same inode as /proc/PID/exe. */
static bool is_main(const struct proc_map *map, ino_t exe)
{
	return map->inode == exe;
}

static ino_t exe_inode(const struct proc *proc)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/exe", proc->pid);
	return stat(path, &st) ? 0 : st.st_ino;
}

int objects_open(const struct proc *proc, const struct memory *memory,
		 const struct object_key *skip, size_t skip_count, struct object ***out,
		 size_t *count, struct err *err)
{
	struct object **objects = NULL;
	struct object_key *seen = NULL;
	struct proc_map *maps = NULL;
	size_t maps_count = 0, cap = 0, n = 0, seen_cap = 0, seen_count = 0;
	ino_t exe = exe_inode(proc);
	int ret;

	ret = proc_maps(proc, &maps, &maps_count, err);
	if (ret)
		return ret;
	for (size_t i = 0; i < maps_count; i++) {
		const struct proc_map *map = &maps[i];
		struct object *object = NULL;
		bool main = is_main(map, exe);

		if (!map->executable || key_known(skip, skip_count, map) ||
		    key_known(seen, seen_count, map))
			continue;
		seen = xgrow(seen, &seen_cap, seen_count + 1, sizeof(*seen));
		seen[seen_count++] = (struct object_key){map->dev, map->inode};
		ret = object_open(proc, memory, map, main, &object, main ? err : NULL);
		if (ret && main)
			goto out;
		ret = 0;
		if (!object)
			continue;
		objects = xgrow(objects, &cap, n + 1, sizeof(*objects));
		objects[n++] = object;
		if (main && n > 1) {
			objects[n - 1] = objects[0];
			objects[0] = object;
		}
	}
	for (size_t i = 0; i < n; i++)
		add_ranges(objects[i], maps, maps_count);
out:
	proc_maps_free(maps, maps_count);
	free(seen);
	if (ret) {
		objects_free(objects, n);
		return ret;
	}
	*out = objects;
	*count = n;
	return 0;
}

void object_free(struct object *object)
{
	if (!object)
		return;
	elf_close(object->elf);
	if (object->fd >= 0)
		close(object->fd);
	free(object->name);
	free(object->path);
	free(object);
}

void objects_free(struct object **objects, size_t count)
{
	for (size_t i = 0; i < count; i++)
		object_free(objects[i]);
	free(objects);
}

int object_open_file(const struct proc *proc, const struct proc_map *map, char **path)
{
	return open_mapped(proc, map, object_is_main(proc, map), path);
}

bool object_is_main(const struct proc *proc, const struct proc_map *map)
{
	return is_main(map, exe_inode(proc));
}

int object_read(struct object *object, uint64_t vaddr, void *buf, size_t len)
{
	if (object->unrelocated)
		return elf_relocated_read(object->elf, object->bias, vaddr, buf, len, NULL);
	return memory_read(object->memory, vaddr + object->bias, buf, len);
}
