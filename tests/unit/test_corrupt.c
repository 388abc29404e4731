// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Damaged files (fixtures/corrupt.py) given to the real children: the one that looks for runtimes
 * and the one that unwinds and names. Whatever they make of them, the agent goes on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "detect/detect.h"
#include "elf_fixture.h"
#include "stack/child.h"
#include "stack/stack.h"
#include "util/xalloc.h"

#define DEADLINE_MS 60000
#define TYPES 11 /* of fixtures/tasks.S */
#define PAGE 4096ULL
#define GENERATOR "tests/unit/fixtures/corrupt.py"
#define CODE "tests/unit/fixtures/code.c"

struct world {
	struct fixture fx;
	struct proc *self;
	struct memory memory;
	struct elf_file *sound; /* what the damaged files were made of */
	struct detector *detector;
	struct detect_result result;
	struct stacks *stacks;
	uint32_t target, answers;
	char function[256]; /* of the answer's first frame */
	enum stack_end end;
};

/* The segments of a damaged file where those of the sound one would be. */
struct mapped {
	uint8_t *base;
	size_t size;
};

static void map_file(const struct elf_file *sound, const char *path, struct mapped *out)
{
	const struct elf_segment *last = &sound->loads[sound->n_loads - 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	out->size = (last->vaddr + last->memsz + PAGE - 1) & ~(PAGE - 1);
	out->base = mmap(NULL, out->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(out->base, MAP_FAILED);
	for (size_t i = 0; i < sound->n_loads; i++) {
		const struct elf_segment *s = &sound->loads[i];
		uint64_t into = s->vaddr & (PAGE - 1);

		assert_ptr_not_equal(mmap(out->base + s->vaddr - into, s->filesz + into,
					  PROT_READ | (s->flags & 1 ? PROT_EXEC : 0),
					  MAP_PRIVATE | MAP_FIXED, fd, (off_t)(s->offset - into)),
				     MAP_FAILED);
	}
	close(fd);
}

static struct object *find_object(struct world *w, const char *path)
{
	struct object **objects, *found = NULL;
	size_t count;

	assert_int_equal(objects_open(w->self, &w->memory, NULL, 0, &objects, &count, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(objects[i]->name, path) == 0)
			found = objects[i];
		else
			object_free(objects[i]);
	}
	free(objects);
	assert_non_null(found);
	return found;
}

/* Words come from the file: nobody has relocated what is only mapped. */
static void detect(struct world *w, const char *path)
{
	struct mapped mapped;
	struct object *object;
	struct err err = {0};

	detect_result_clear(&w->result);
	map_file(w->sound, path, &mapped);
	object = find_object(w, path);
	if (detector_begin(w->detector, object, true, &err))
		fail_msg("%s", err.msg);
	while (!detector_step(w->detector, &w->result))
		detector_wait(w->detector);
	object_free(object);
	munmap(mapped.base, mapped.size);
}

static void assert_sound(struct world *w)
{
	detect(w, w->fx.so);
	assert_int_equal(w->result.ret, 0);
	assert_int_equal(w->result.damage, DETECT_SOUND);
	assert_int_equal(w->result.dropped, 0);
	assert_int_equal(w->result.found[0].sites_count, TYPES);
	assert_string_equal(w->result.found[0].version, "1.44.2");
	assert_string_equal(w->result.found[0].sites[0].name, "nine::handler2");
	assert_int_equal(w->result.found[0].sites[9].name_from, NAME_DWARF);
}

/* Calls fn with the path of each damaged copy of the sound file; returns how many. */
static unsigned int each_damaged(struct world *w, const char *words,
				 void (*fn)(struct world *w, const char *path))
{
	char path[512], generator[4096], *command;
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir;

	assert_non_null(realpath(GENERATOR, generator));
	command = xasprintf("rm -rf damaged; /usr/bin/python3 '%s' '%s' damaged %s", generator,
			    w->fx.so, words);
	elf_fixture_run(&w->fx, command);
	free(command);
	dir = opendir(fixture_path(&w->fx, "damaged"));
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/damaged/%s", w->fx.dir, entry->d_name);
		fn(w, path);
		count++;
	}
	closedir(dir);
	return count;
}

static int setup(void **state)
{
	struct world *w = xcalloc(1, sizeof(*w));

	assert_int_equal(proc_open(getpid(), &w->self, NULL), 0);
	assert_int_equal(memory_open(&w->memory, getpid(), NULL), 0);
	fixture_make(&w->fx, "-shared");
	assert_int_equal(elf_open(w->fx.so, &w->sound, NULL), 0);
	assert_int_equal(detector_open(&w->detector, NULL), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	detect_result_clear(&w->result);
	detector_close(w->detector);
	stacks_close(w->stacks);
	elf_close(w->sound);
	memory_close(&w->memory);
	proc_close(w->self);
	fixture_done(&w->fx);
	free(w);
	return 0;
}

/* Any answer but nonsense: what was found is as the fixture has it, or less. */
static void detect_any(struct world *w, const char *path)
{
	detect(w, path);
	assert_true(w->result.ret == 0 || w->result.ret == -ENOENT || w->result.ret == -EAGAIN ||
		    w->result.ret == -EINVAL || w->result.ret == -ENOTSUP || w->result.ret == -EIO);
	/* What breaks a child here is debug information in libdw: the rest is our own code. */
	assert_int_not_equal(w->result.damage, DETECT_GIVEN_UP);
	assert_true(w->result.found[0].sites_count <= TYPES);
	for (size_t i = 0; i < w->result.found[0].sites_count; i++)
		assert_non_null(w->result.found[0].sites[i].name);
}

static void test_detect(void **state)
{
	struct world *w = *state;

	assert_sound(w);
	assert_true(each_damaged(w, "", detect_any) > 250);
	assert_sound(w);
}

/* Its string table takes more memory than the child may have: symbols cost the names. */
static void detect_strings(struct world *w, const char *path)
{
	pid_t before = detector_child(w->detector);

	detect(w, path);
	assert_int_not_equal(detector_child(w->detector), before);
	assert_int_equal(w->result.damage, DETECT_NO_NAMES);
	assert_int_equal(w->result.ret, 0);
	assert_int_equal(w->result.found[0].sites_count, TYPES);
	assert_int_equal(w->result.found[0].sites[0].name_from, NAME_NONE);
}

static void detect_zeros(struct world *w, const char *path)
{
	detector_patience(w->detector, 300);
	detect(w, path);
	detector_patience(w->detector, DETECT_MS);
	assert_int_equal(w->result.damage, DETECT_GIVEN_UP);
	assert_int_equal(w->result.ret, -EIO);
	assert_non_null(strstr(w->result.err.msg, "took too long"));
}

static void test_detect_deadly(void **state)
{
	struct world *w = *state;

	assert_sound(w);
	assert_int_equal(each_damaged(w, "--only deadly-strings", detect_strings), 1);
	assert_sound(w);
	assert_int_equal(each_damaged(w, "--only deadly-zeros", detect_zeros), 1);
	assert_sound(w);
}

static void collect(void *ctx, uint64_t cookie, const struct frame *frames, uint32_t count,
		    enum stack_end end)
{
	struct world *w = ctx;

	assert_int_equal(cookie, w->target);
	w->answers++;
	w->end = end;
	snprintf(w->function, sizeof(w->function), "%s",
		 count && frames[0].function ? frames[0].function : "");
}

static uint64_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

/* A stack that is nothing but addresses of code in the file; `at` is where it stands. */
static void unwind_at(struct world *w, const char *path, uint64_t at)
{
	static uint64_t words[STACK_PAGES * STACK_PAGE / sizeof(uint64_t)];
	struct stack_request request = {
		.target = w->target + 1,
		.cookie = w->target + 1,
		.base = 0x10000,
		.present = (1U << STACK_PAGES) - 1,
		.pages = (const uint8_t *)words,
	};
	uint64_t seed = ++w->target, before = w->answers;
	struct elf_range code;
	struct mapped mapped;
	struct pollfd p;

	if (!w->stacks)
		assert_int_equal(stacks_open(collect, w, &w->stacks, NULL), 0);
	assert_int_equal(elf_code_ranges(w->sound, &code, 1), 1);
	map_file(w->sound, path, &mapped);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = (uintptr_t)mapped.base + code.start +
			   next_random(&seed) % (code.end - code.start);
	request.regs[STACK_RIP] = at ? (uintptr_t)mapped.base + at : words[0];
	request.regs[STACK_RSP] = request.regs[STACK_RBP] = request.base;
	assert_int_equal(stacks_target(w->stacks, w->target, w->self, &w->memory, NULL), 0);
	assert_int_equal(stacks_submit(w->stacks, &request), 0);
	p = (struct pollfd){.fd = stacks_fd(w->stacks), .events = POLLIN};
	while (w->answers == before) {
		assert_true(poll(&p, 1, DEADLINE_MS) > 0);
		stacks_drain(w->stacks);
	}
	stacks_target_end(w->stacks, w->target);
	munmap(mapped.base, mapped.size);
	/* It is given up after a few restarts, which is not what is asked here. */
	if (!stacks_child(w->stacks)) {
		stacks_close(w->stacks);
		w->stacks = NULL;
	}
}

static void unwind_any(struct world *w, const char *path)
{
	for (int i = 0; i < 2; i++)
		unwind_at(w, path, 0);
}

static uint64_t address_of(struct elf_file *file, const char *name)
{
	const struct elf_symbol *symbols;
	size_t count;

	symbols = elf_symbols(file, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(symbols[i].name, name) == 0)
			return symbols[i].addr;
	fail_msg("no symbol %s", name);
	return 0;
}

static void assert_named(struct world *w)
{
	unwind_at(w, w->fx.so, address_of(w->sound, "large") + 1);
	assert_string_equal(w->function, "large");
}

static int setup_code(void **state)
{
	char source[4096], *command;
	struct world *w;

	setup(state);
	w = *state;
	assert_non_null(realpath(CODE, source));
	command = xasprintf("gcc -g -O2 -fPIC -shared -Wl,--build-id=sha1 '%s' -o tasks.so",
			    source);
	elf_fixture_run(&w->fx, command);
	free(command);
	elf_close(w->sound);
	assert_int_equal(elf_open(w->fx.so, &w->sound, NULL), 0);
	return 0;
}

static void test_unwind(void **state)
{
	struct world *w = *state;

	assert_named(w);
	assert_true(each_damaged(w, "", unwind_any) > 350);
	assert_named(w);
}

static void unwind_strings(struct world *w, const char *path)
{
	struct stacks_totals before, after;

	stacks_totals(w->stacks, &before);
	for (int i = 0; i < 3; i++) {
		unwind_at(w, path, address_of(w->sound, "large") + 1);
		assert_string_equal(w->function, "");
		assert_int_equal(w->end == STACK_FAILED, i < 2);
	}
	/* Twice, then it is not read any more. */
	stacks_totals(w->stacks, &after);
	assert_int_equal(after.restarts - before.restarts, 2);
}

static void test_unwind_deadly(void **state)
{
	struct world *w = *state;

	assert_named(w);
	assert_int_equal(each_damaged(w, "--only deadly-strings", unwind_strings), 1);
	assert_named(w);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_detect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_detect_deadly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unwind, setup_code, teardown),
		cmocka_unit_test_setup_teardown(test_unwind_deadly, setup_code, teardown),
	};
	const char *options = getenv("ASAN_OPTIONS");
	char *more;

	if (stacks_child_wanted(argc, argv))
		return stacks_child_main();
	if (detect_child_wanted(argc, argv))
		return detect_child_main();
	/* For the children: a sanitizer has no room for the limit that they have otherwise. */
	more = xasprintf("%s:max_allocation_size_mb=1000:allocator_may_return_null=1",
			 options ? options : "detect_leaks=1");
	setenv("ASAN_OPTIONS", more, 1);
	free(more);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
