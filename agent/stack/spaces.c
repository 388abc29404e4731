// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mappings and files of the targets; see spaces.h. */
#include "stack/spaces.h"

#include "target/object.h"
#include "util/clock.h"
#include "util/map.h"
#include "util/sanitize.h"
#include "util/xalloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define REREAD_NS 1000000000ULL
#define MAX_BROKEN 64
#define VDSO "[vdso]"
#define VDSO_MAX (64 * 1024)
#define VDSO_DEVICE UINT64_MAX /* no file has it; the inode is the generation of its target */

struct target {
	uint32_t id, generation;
	const struct proc *proc;
	const struct memory *memory;
	struct wire_map *maps;
	uint32_t count;
	uint64_t read_at; /* 0: never */
};

struct known_file {
	uint64_t dev, inode;
	char *path; /* raw; NULL: the slot is free */
	char *name; /* sanitised */
	bool used;
	bool fetching, stale; /* its debug file is under way; came, and the child has to look */
};

struct broken_file {
	uint64_t dev, inode;
	uint32_t times;
};

struct spaces {
	struct target *targets;
	size_t count, cap;
	uint32_t generation;
	bool dirty; /* a module may have lost its last user */
	struct known_file files[WIRE_MAX_MODULES];
	struct map by_key; /* dev, inode -> index in files */
	struct broken_file broken[MAX_BROKEN];
	size_t broken_count;
};

struct spaces *spaces_new(void)
{
	struct spaces *spaces = xcalloc(1, sizeof(*spaces));

	map_init(&spaces->by_key, WIRE_MAX_MODULES);
	return spaces;
}

static void drop_file(struct spaces *spaces, struct known_file *file)
{
	map_del(&spaces->by_key, file->dev, file->inode);
	free(file->path);
	free(file->name);
	*file = (struct known_file){0};
}

void spaces_free(struct spaces *spaces)
{
	if (!spaces)
		return;
	for (size_t i = 0; i < WIRE_MAX_MODULES; i++)
		if (spaces->files[i].path)
			drop_file(spaces, &spaces->files[i]);
	for (size_t i = 0; i < spaces->count; i++)
		free(spaces->targets[i].maps);
	free(spaces->targets);
	map_free(&spaces->by_key);
	free(spaces);
}

static struct target *find_target(const struct spaces *spaces, uint32_t id)
{
	for (size_t i = 0; i < spaces->count; i++)
		if (spaces->targets[i].id == id)
			return &spaces->targets[i];
	return NULL;
}

void spaces_add(struct spaces *spaces, uint32_t target, const struct proc *proc,
		const struct memory *memory)
{
	spaces_end(spaces, target);
	spaces->targets = xgrow(spaces->targets, &spaces->cap, spaces->count + 1,
				sizeof(*spaces->targets));
	spaces->targets[spaces->count++] = (struct target){
		.id = target,
		.generation = ++spaces->generation,
		.proc = proc,
		.memory = memory,
	};
}

void spaces_end(struct spaces *spaces, uint32_t target)
{
	struct target *t = find_target(spaces, target);

	if (!t)
		return;
	free(t->maps);
	*t = spaces->targets[--spaces->count];
	spaces->dirty = true;
}

uint32_t spaces_generation(const struct spaces *spaces, uint32_t target)
{
	const struct target *t = find_target(spaces, target);

	return t ? t->generation : 0;
}

/* Index of the file's module; WIRE_NONE when there is no room. */
static uint32_t intern(struct spaces *spaces, uint64_t dev, uint64_t inode, const char *path)
{
	uint64_t index = map_get(&spaces->by_key, dev, inode);

	if (index != MAP_NONE)
		return index;
	for (index = 0; index < WIRE_MAX_MODULES; index++)
		if (!spaces->files[index].path)
			break;
	if (index == WIRE_MAX_MODULES || !map_put(&spaces->by_key, dev, inode, index))
		return WIRE_NONE;
	spaces->files[index] = (struct known_file){
		.dev = dev,
		.inode = inode,
		.path = xstrdup(path),
		.name = text_sanitize_dup(path),
	};
	return index;
}

static void add_map(struct spaces *spaces, struct target *t, size_t *cap,
		    const struct proc_map *map)
{
	uint32_t module;

	if (t->count >= WIRE_MAX_MAPS)
		return;
	module = intern(spaces, map->dev, map->inode, map->path);
	if (module == WIRE_NONE)
		return;
	t->maps = xgrow(t->maps, cap, t->count + 1, sizeof(*t->maps));
	t->maps[t->count++] = (struct wire_map){map->start, map->end, map->offset, module, 0};
}

static int by_address(const void *a, const void *b)
{
	const struct wire_map *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void read_maps(struct spaces *spaces, struct target *t)
{
	struct proc_map *maps = NULL, vdso = {.dev = VDSO_DEVICE, .path = (char *)VDSO};
	size_t count = 0, cap = 0;

	if (proc_maps(t->proc, &maps, &count, NULL))
		return;
	free(t->maps);
	t->maps = NULL;
	t->count = 0;
	vdso.inode = t->generation;
	if (proc_special_map(t->proc, VDSO, &vdso.start, &vdso.end) == 0)
		add_map(spaces, t, &cap, &vdso);
	for (size_t i = 0; i < count; i++)
		if (maps[i].executable)
			add_map(spaces, t, &cap, &maps[i]);
	proc_maps_free(maps, count);
	if (t->count)
		qsort(t->maps, t->count, sizeof(*t->maps), by_address);
	spaces->dirty = true;
}

void spaces_maps(struct spaces *spaces, uint32_t target, const struct wire_map **maps,
		 uint32_t *count)
{
	struct target *t = find_target(spaces, target);
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	*maps = NULL;
	*count = 0;
	if (!t)
		return;
	if (!t->read_at || now - t->read_at >= REREAD_NS) {
		read_maps(spaces, t);
		t->read_at = now;
	}
	*maps = t->maps;
	*count = t->count;
}

static bool is_broken(const struct spaces *spaces, const struct known_file *file)
{
	for (size_t i = 0; i < spaces->broken_count; i++)
		if (spaces->broken[i].dev == file->dev && spaces->broken[i].inode == file->inode)
			return spaces->broken[i].times >= SPACES_BREAKS;
	return false;
}

void spaces_blame(struct spaces *spaces, uint32_t module)
{
	const struct known_file *file;
	struct broken_file *broken;
	size_t i = 0;

	if (module >= WIRE_MAX_MODULES || !spaces->files[module].path)
		return;
	file = &spaces->files[module];
	while (i < spaces->broken_count &&
	       (spaces->broken[i].dev != file->dev || spaces->broken[i].inode != file->inode))
		i++;
	if (i == MAX_BROKEN)
		return;
	broken = &spaces->broken[i];
	if (i == spaces->broken_count)
		spaces->broken[spaces->broken_count++] = (struct broken_file){file->dev,
									      file->inode, 0};
	broken->times++;
}

/* A sealed copy of the vDSO, which no file holds; -1: it cannot be read. */
static int copy_vdso(const struct target *t, const struct wire_map *map)
{
	size_t size = map->end - map->start;
	int fd = -1;
	void *copy;

	if (size > VDSO_MAX)
		return -1;
	copy = xmalloc(size);
	if (memory_read(t->memory, map->start, copy, size) == 0)
		fd = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 &&
	    (write(fd, copy, size) != (ssize_t)size ||
	     fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW))) {
		close(fd);
		fd = -1;
	}
	free(copy);
	return fd;
}

static int open_file(const struct target *t, const struct wire_map *map,
		     const struct known_file *file, struct wire_module *what)
{
	struct proc_map proc_map = {
		.start = map->start,
		.end = map->end,
		.offset = map->offset,
		.dev = file->dev,
		.inode = file->inode,
		.path = file->path,
	};
	char *path = NULL;
	struct stat st;
	int fd;

	what->main = object_is_main(t->proc, &proc_map);
	fd = object_open_file(t->proc, &proc_map, &path);
	free(path);
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -1 : fd;
}

static const struct known_file *file_of(const struct spaces *spaces, uint32_t module)
{
	const struct known_file *file = module < WIRE_MAX_MODULES ? &spaces->files[module] : NULL;

	return file && file->path ? file : NULL;
}

int spaces_module(struct spaces *spaces, uint32_t target, uint32_t module, struct wire_module *what)
{
	const struct target *t = find_target(spaces, target);
	const struct known_file *file = file_of(spaces, module);

	memset(what, 0, sizeof(*what));
	if (!file || !t)
		return -1;
	snprintf(what->name, sizeof(what->name), "%s", file->path);
	if (is_broken(spaces, file))
		return -1;
	for (uint32_t i = 0; i < t->count; i++) {
		if (t->maps[i].module != module)
			continue;
		if (file->dev == VDSO_DEVICE)
			return copy_vdso(t, &t->maps[i]);
		return open_file(t, &t->maps[i], file, what);
	}
	return -1;
}

/* Both of the process's own view and of ours: a container often has no debug files. */
size_t spaces_debug(struct spaces *spaces, uint32_t target, uint32_t module,
		    const struct elf_debug_link *link, int *fds, size_t max)
{
	const struct target *t = find_target(spaces, target);
	const struct known_file *file = file_of(spaces, module);
	char root[64];
	size_t n;

	if (!file || !t || file->dev == VDSO_DEVICE)
		return 0;
	snprintf(root, sizeof(root), "/proc/%d/root", t->proc->pid);
	n = elf_debug_open(link, root, file->path, fds, max);
	return n + elf_debug_open(link, NULL, file->path, fds + n, max - n);
}

size_t spaces_fetch(struct spaces *spaces, struct debuginfod *from, uint32_t module,
		    const struct elf_debug_link *link, int *fd)
{
	struct known_file *file = module < WIRE_MAX_MODULES ? &spaces->files[module] : NULL;

	if (!file || !file->path || file->dev == VDSO_DEVICE)
		return 0;
	*fd = debuginfod_get(from, link->build_id, file->path);
	file->fetching = *fd == -EINPROGRESS;
	return *fd >= 0;
}

void spaces_refresh(struct spaces *spaces)
{
	for (size_t i = 0; i < WIRE_MAX_MODULES; i++) {
		struct known_file *file = &spaces->files[i];

		file->stale |= file->fetching;
		spaces->dirty |= file->fetching;
		file->fetching = false;
	}
}

const char *spaces_name(const struct spaces *spaces, uint32_t module)
{
	return module < WIRE_MAX_MODULES ? spaces->files[module].name : NULL;
}

uint32_t spaces_collect(struct spaces *spaces, uint32_t *out)
{
	uint32_t count = 0;

	if (!spaces->dirty)
		return 0;
	spaces->dirty = false;
	for (size_t i = 0; i < WIRE_MAX_MODULES; i++)
		spaces->files[i].used = false;
	for (size_t i = 0; i < spaces->count; i++)
		for (uint32_t k = 0; k < spaces->targets[i].count; k++)
			spaces->files[spaces->targets[i].maps[k].module].used = true;
	for (uint32_t i = 0; i < WIRE_MAX_MODULES; i++) {
		struct known_file *file = &spaces->files[i];

		if (!file->path || (file->used && !file->stale))
			continue;
		file->stale = false;
		if (!file->used)
			drop_file(spaces, file);
		out[count++] = i;
	}
	return count;
}
