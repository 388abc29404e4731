// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the agent takes from the child, and what it gives: hostile answers, files that broke it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stack/answer.h"
#include "stack/spaces.h"

#define TARGET 3

struct fake {
	struct packet_head head;
	struct wire_answer info;
	struct wire_frame frames[2];
	char strings[32];
};

struct self {
	struct proc *proc;
	struct memory memory;
	struct spaces *spaces;
	const struct wire_map *maps;
	uint32_t count;
};

static void open_self(struct self *self)
{
	assert_int_equal(proc_open(getpid(), &self->proc, NULL), 0);
	assert_int_equal(memory_open(&self->memory, getpid(), NULL), 0);
	self->spaces = spaces_new();
	spaces_add(self->spaces, TARGET, self->proc, &self->memory);
	spaces_maps(self->spaces, TARGET, &self->maps, &self->count);
	assert_true(self->count > 1);
}

static void close_self(struct self *self)
{
	spaces_free(self->spaces);
	memory_close(&self->memory);
	proc_close(self->proc);
}

static struct fake good(const struct self *self)
{
	struct fake fake = {
		.head = {.type = WIRE_ANSWER, .count = 2},
		.info = {.cpu_ns = 5, .end = STACK_CUT, .strings = 16},
		.frames = {{.function = 0, .file = 8, .module = self->maps[0].module},
			   {.function = 8, .file = WIRE_NONE, .module = WIRE_NONE}},
	};

	memcpy(fake.strings, "\033[31m!\n\0s/m.rs", 15);
	return fake;
}

static int check(const struct self *self, const struct fake *fake, struct answer_frames *out)
{
	size_t length = sizeof(fake->info) + sizeof(fake->frames) + fake->info.strings;

	if (length > sizeof(*fake) - sizeof(fake->head))
		length = sizeof(*fake) - sizeof(fake->head);
	return answer_read(self->spaces, &fake->head, (const uint8_t *)&fake->info, length, out);
}

static void test_good(void **state)
{
	struct answer_frames out = {.count = 0};
	struct self self;
	struct fake fake;

	(void)state;
	open_self(&self);
	fake = good(&self);
	assert_int_equal(check(&self, &fake, &out), 0);
	assert_int_equal(out.count, 2);
	assert_int_equal(out.end, STACK_CUT);
	assert_string_equal(out.frames[0].function, "\\x1b[31m!\\x0a");
	assert_string_equal(out.frames[0].file, "s/m.rs");
	assert_string_equal(out.frames[0].binary, spaces_name(self.spaces, self.maps[0].module));
	assert_string_equal(out.frames[1].function, "s/m.rs");
	assert_null(out.frames[1].file);
	assert_null(out.frames[1].binary);
	answer_free(&out);
	close_self(&self);
}

static void test_hostile(void **state)
{
	struct answer_frames out = {.count = 0};
	struct self self;
	struct fake fake;

	(void)state;
	open_self(&self);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		fake = good(&self);                                                                \
		change;                                                                            \
		assert_int_equal(check(&self, &fake, &out), -EINVAL);                              \
	} while (0)
	REFUSED(fake.head.count = FRAMES_MAX + 1);
	REFUSED(fake.head.count = 1);
	REFUSED(fake.info.end = STACK_FAILED + 1);
	REFUSED(fake.info.strings = UINT32_MAX);
	REFUSED(fake.info.strings = 33);
	REFUSED(fake.strings[15] = 'x');
	REFUSED(fake.frames[0].function = 16);
	REFUSED(fake.frames[1].file = UINT32_MAX - 1);
	REFUSED(fake.frames[0].module = WIRE_MAX_MODULES);
	REFUSED(fake.frames[0].module = WIRE_MAX_MODULES - 1);
	REFUSED(fake.frames[0].origin = FRAME_SYSTEM + 1);
	REFUSED(fake.frames[0].from = FRAME_FROM_LINE + 1);
	REFUSED(fake.frames[0].inlined = 2);
#undef REFUSED
	answer_free(&out);
	close_self(&self);
}

static bool is_given(struct self *self, uint32_t module, char *name)
{
	struct wire_module what;
	int fd = spaces_module(self->spaces, TARGET, module, &what);

	if (fd >= 0)
		close(fd);
	strcpy(name, what.name);
	return fd >= 0;
}

/* A file that broke the child twice is not given to it again; the others are. */
static void test_blame(void **state)
{
	char name[PATH_MAX];
	uint32_t module;
	struct self self;

	(void)state;
	open_self(&self);
	module = self.maps[0].module;
	for (int i = 0; i < SPACES_BREAKS; i++) {
		assert_true(is_given(&self, module, name));
		spaces_blame(self.spaces, module);
	}
	assert_false(is_given(&self, module, name));
	assert_string_equal(name, self.proc->exe);
	assert_true(is_given(&self, self.maps[self.count - 1].module, name));
	spaces_blame(self.spaces, WIRE_NONE);
	spaces_blame(self.spaces, WIRE_MAX_MODULES - 1);
	close_self(&self);
}

static void test_collect(void **state)
{
	uint32_t gone[WIRE_MAX_MODULES], before;
	struct self self;

	(void)state;
	open_self(&self);
	assert_int_equal(spaces_collect(self.spaces, gone), 0);
	before = spaces_generation(self.spaces, TARGET);
	spaces_add(self.spaces, TARGET, self.proc, &self.memory);
	assert_int_not_equal(spaces_generation(self.spaces, TARGET), before);
	spaces_end(self.spaces, TARGET);
	assert_int_equal(spaces_generation(self.spaces, TARGET), 0);
	assert_true(spaces_collect(self.spaces, gone) > 1);
	assert_null(spaces_name(self.spaces, gone[0]));
	assert_int_equal(spaces_collect(self.spaces, gone), 0);
	close_self(&self);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_collect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
