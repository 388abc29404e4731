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
static int find_bias(const struct elf_file *elf, const struct proc_map *map, uint64_t *bias)
{
	for (size_t i = 0; i < elf->n_loads; i++) {
		const struct elf_segment *s = &elf->loads[i];
		uint64_t first = s->offset & ~4095ULL, vaddr = s->vaddr & ~4095ULL;

		if (map->offset < first || map->offset >= s->offset + s->filesz)
			continue;
		if (map->executable != !!(s->flags & 1))
			continue;
		*bias = map->start - (vaddr + (map->offset - first));
		return 0;
	}
	return -EINVAL;
}

static int object_open(const struct proc *proc, const struct memory *memory,
		       const struct proc_map *map, bool is_exe, struct object **out,
		       struct err *err)
{
	struct object *object = xcalloc(1, sizeof(*object));
	int fd, ret;

	object->proc = proc;
	object->memory = memory;
	object->dev = map->dev;
	object->inode = map->inode;
	object->is_exe = is_exe;
	object->name = xstrdup(map->path);
	fd = open_mapped(proc, map, is_exe, &object->path);
	if (fd < 0) {
		ret = err_set(err, fd, "cannot open %s of process %d: %s", object->name, proc->pid,
			      strerror(-fd));
		goto fail;
	}
	ret = elf_open_fd(fd, &object->elf, err);
	if (ret)
		goto fail;
	ret = find_bias(object->elf, map, &object->bias);
	if (ret) {
		err_set(err, ret, "%s is not mapped as its program headers say", object->name);
		goto fail;
	}
	*out = object;
	return 0;
fail:
	object_free(object);
	return ret;
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
