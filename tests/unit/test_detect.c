// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding a runtime through the real child: in a library that this program has loaded, with its
 * symbols in a file of their own, with a child that dies or hangs; and answers that no honest child
 * gives.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "detect/answer.h"
#include "detect/detect.h"
#include "elf_fixture.h"
#include "util/xalloc.h"

#define TYPES 11 /* of fixtures/tasks.S */

struct world {
	struct fixture fx;
	void *library;
	struct proc *self;
	struct memory memory;
	struct object *object;
	struct detector *detector;
	struct detect_result result;
};

static int open_world(void **state, const char *after)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct object **objects;
	size_t count;

	fixture_make(&w->fx, "-shared");
	if (after)
		elf_fixture_run(&w->fx, after);
	w->library = dlopen(w->fx.so, RTLD_NOW);
	assert_non_null(w->library);
	assert_int_equal(proc_open(getpid(), &w->self, NULL), 0);
	assert_int_equal(memory_open(&w->memory, getpid(), NULL), 0);
	assert_int_equal(detector_open(&w->detector, NULL), 0);
	assert_int_equal(objects_open(w->self, &w->memory, NULL, 0, &objects, &count, NULL), 0);
	assert_true(count > 2 && objects[0]->is_exe);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(objects[i]->name, w->fx.so) == 0)
			w->object = objects[i];
		else
			object_free(objects[i]);
	}
	free(objects);
	assert_non_null(w->object);
	*state = w;
	return 0;
}

static int setup(void **state)
{
	return open_world(state, NULL);
}

static int setup_split(void **state)
{
	return open_world(state,
			  "objcopy --only-keep-debug tasks.so tasks.debug && "
			  "strip tasks.so && objcopy --add-gnu-debuglink=tasks.debug tasks.so");
}

static int teardown(void **state)
{
	struct world *w = *state;

	detect_result_clear(&w->result);
	detector_cancel(w->detector, w->object);
	object_free(w->object);
	detector_close(w->detector);
	memory_close(&w->memory);
	proc_close(w->self);
	dlclose(w->library);
	fixture_done(&w->fx);
	free(w);
	return 0;
}

static void finish(struct world *w)
{
	while (!detector_step(w->detector, &w->result))
		detector_wait(w->detector);
}

static void detect(struct world *w)
{
	detect_result_clear(&w->result);
	assert_int_equal(detector_begin(w->detector, w->object, false, NULL), 0);
	assert_int_equal(detector_begin(w->detector, w->object, false, NULL), -EBUSY);
	finish(w);
}

static void assert_found(struct world *w, enum detect_damage damage)
{
	const struct runtime_found *found = &w->result.found[0];

	assert_int_equal(w->result.ret, 0);
	assert_int_equal(w->result.damage, damage);
	assert_int_equal(w->result.dropped, 0);
	assert_ptr_equal(found->ops, runtimes[0]);
	assert_string_equal(found->version, "1.44.2");
	assert_int_equal(found->sites_count, TYPES);
	for (size_t i = 0; i < TYPES; i++)
		assert_true(object_runs(w->object, found->sites[i].poll));
	if (damage == DETECT_NO_NAMES)
		return;
	assert_string_equal(found->sites[0].name, "nine::handler2");
	assert_string_equal(found->sites[3].name, "nine::one | nine::two");
	assert_int_equal(found->sites[9].name_from,
			 damage == DETECT_SOUND ? NAME_DWARF : NAME_NONE);
}

static void test_found(void **state)
{
	struct world *w = *state;
	const struct elf_file *elf;

	detect(w);
	assert_found(w, DETECT_SOUND);
	elf = w->object->elf;
	assert_int_equal(elf->type, 3);
	assert_int_equal(strlen(elf->build_id), 40);
	assert_true(elf->n_loads >= 3 && w->object->bias);
	/* Words of the vtable, as the loader has relocated them, are the functions that were named. */
	assert_true(w->result.found[0].sites[0].vtable > w->object->bias);
	detect(w);
	assert_found(w, DETECT_SOUND);
}

/* Its debug file lies beside it, and only this side may open files. */
static void test_split(void **state)
{
	struct world *w = *state;

	detect(w);
	assert_found(w, DETECT_SOUND);
	assert_int_equal(unlink(fixture_path(&w->fx, "tasks.debug")), 0);
	detect(w);
	assert_int_equal(w->result.found[0].sites_count, TYPES);
	assert_int_equal(w->result.found[0].sites[0].name_from, NAME_NONE);
}

static void assert_status(pid_t pid, const char *wanted)
{
	char path[64], status[4096] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, status, sizeof(status) - 1) > 0);
	close(fd);
	if (!strstr(status, wanted))
		fail_msg("the child has not: %s", wanted);
}

static void test_child(void **state)
{
	struct world *w = *state;
	pid_t first;

	assert_int_equal(detector_check(w->detector, NULL), 0);
	assert_int_equal(detector_child(w->detector), 0);
	detect(w);
	first = detector_child(w->detector);
	assert_true(first > 0);
	assert_status(first, "\nSeccomp:\t2\n");
	assert_status(first, "\nNoNewPrivs:\t1\n");
	assert_status(first, "\nCapEff:\t0000000000000000\n");
	if (geteuid() == 0)
		assert_status(first, "\nUid:\t65534\t65534\t65534\t65534\n");
	/* Killed with the object in its hands, and then a second time. */
	for (int tries = 1; tries <= 2; tries++) {
		assert_int_equal(detector_begin(w->detector, w->object, false, NULL), 0);
		kill(detector_child(w->detector), SIGKILL);
		detect_result_clear(&w->result);
		finish(w);
		assert_found(w, DETECT_NO_DEBUG);
		assert_true(detector_child(w->detector) != first);
		first = detector_child(w->detector);
	}
	kill(first, SIGSTOP);
	detector_patience(w->detector, 300);
	assert_int_equal(detector_begin(w->detector, w->object, false, NULL), 0);
	detect_result_clear(&w->result);
	while (detector_child(w->detector) == first && !detector_step(w->detector, &w->result))
		detector_wait(w->detector);
	detector_patience(w->detector, DETECT_MS);
	finish(w);
	assert_found(w, DETECT_NO_DEBUG);
	/* Given up by its owner, in the middle. */
	first = detector_child(w->detector);
	assert_int_equal(detector_begin(w->detector, w->object, false, NULL), 0);
	detector_cancel(w->detector, w->object);
	assert_int_equal(detector_child(w->detector), 0);
	detect(w);
	detector_rest(w->detector);
	assert_int_equal(detector_child(w->detector), 0);
}

/* One FOUND and one SITES of a child that lies. */
struct fake {
	struct detect_found found;
	int16_t offsets[2];
	uint32_t count; /* of the packet */
	size_t cut;	/* bytes that are missing from its end */
	struct detect_site site;
	char text[64]; /* name and scheduler */
};

static struct fake honest(const struct world *w)
{
	struct fake fake = {
		.found = {.sites = 1, .offsets = 2, .version = "1.44.2"},
		.offsets = {-1, 32},
		.count = 1,
		.site = {.site = w->result.found[0].sites[0], .name = 4, .scheduler = DETECT_NONE},
		.text = "name",
	};

	fake.site.site.name = fake.site.site.scheduler = (char *)0x1234;
	return fake;
}

static int check(struct world *w, const struct fake *fake, struct detect_answer *answer)
{
	uint8_t bytes[sizeof(fake->found) + sizeof(fake->offsets)];
	uint8_t sites[sizeof(fake->site) + sizeof(fake->text)];
	struct packet packet = {.payload = bytes, .length = sizeof(bytes)};
	size_t text = fake->site.name == DETECT_NONE ? 0 : strlen(fake->text);
	int ret;

	*answer = (struct detect_answer){0};
	memcpy(bytes, &fake->found, sizeof(fake->found));
	memcpy(bytes + sizeof(fake->found), fake->offsets, sizeof(fake->offsets));
	ret = answer_found(answer, &packet);
	if (ret)
		return ret;
	memcpy(sites, &fake->site, sizeof(fake->site));
	memcpy(sites + sizeof(fake->site), fake->text, text);
	packet = (struct packet){
		.head = {.count = fake->count},
		.payload = sites,
		.length = sizeof(fake->site) + text - fake->cut,
	};
	ret = answer_sites(answer, w->object, &packet);
	return ret ? ret : answer_complete(answer);
}

static void test_hostile(void **state)
{
	struct world *w = *state;
	struct detect_answer answer;
	struct fake fake;

	detect(w);
	fake = honest(w);
	assert_int_equal(check(w, &fake, &answer), 0);
	assert_string_equal(answer.found[0].sites[0].name, "name");
	assert_null(answer.found[0].sites[0].scheduler);
	assert_int_equal(answer.found[0].offsets_count, 2);
	answer_clear(&answer);
	/* Text of a target never reaches a terminal as it is. */
	strcpy(fake.text, "a\x1b[2");
	assert_int_equal(check(w, &fake, &answer), 0);
	assert_string_equal(answer.found[0].sites[0].name, "a\\x1b[2");
	answer_clear(&answer);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		fake = honest(w);                                                                  \
		change;                                                                            \
		assert_int_equal(check(w, &fake, &answer), -EINVAL);                               \
		answer_clear(&answer);                                                             \
	} while (0)
	REFUSED(fake.found.runtime = runtimes_count);
	REFUSED(fake.found.sites = UINT32_MAX);
	REFUSED(fake.found.sites = 2);
	REFUSED(fake.found.sites = 0);
	REFUSED(fake.found.offsets = 3);
	REFUSED(fake.found.offsets = UINT32_MAX);
	REFUSED(fake.offsets[1] = -2);
	REFUSED(fake.count = 0);
	REFUSED(fake.count = 2);
	REFUSED(fake.cut = 1);
	REFUSED(fake.cut = 5);
	REFUSED(fake.site.name = DETECT_NONE);
	REFUSED(fake.site.name = 5);
	REFUSED(fake.site.name = DETECT_TEXT + 1);
	REFUSED(fake.site.scheduler = 1);
	REFUSED(fake.site.site.vtable = 1ULL << 48);
	REFUSED(fake.site.site.id_word = 8);
	REFUSED(fake.site.site.sched_word = 255);
	REFUSED(fake.site.site.kind = 77);
	REFUSED(fake.site.site.flavor = 77);
	REFUSED(fake.site.site.name_from = 77);
	REFUSED(memset(&fake.site.site.ambiguous, 2, 1));
	REFUSED(memset(&fake.site.site.marked, 2, 1));
#undef REFUSED
	/* Not code, though nothing else is wrong with it: no probe goes there. */
#define DROPPED(change)                                                                            \
	do {                                                                                       \
		fake = honest(w);                                                                  \
		change;                                                                            \
		assert_int_equal(check(w, &fake, &answer), 0);                                     \
		assert_int_equal(answer.dropped, 1);                                               \
		assert_int_equal(answer.found[0].sites_count, 0);                                  \
		answer_clear(&answer);                                                             \
	} while (0)
	DROPPED(fake.site.site.poll = 0);
	DROPPED(fake.site.site.dealloc = w->result.found[0].sites[0].vtable - w->object->bias);
	DROPPED(fake.site.site.schedule = UINT64_MAX);
#undef DROPPED
}

/* A probe point of a program's own, after a FOUND that announces it. */
static int check_probe(struct world *w, const struct detect_probe *probe, const char *text,
		       struct detect_answer *answer)
{
	const struct detect_found found = {.probes = 1, .types_later = 1};
	uint8_t bytes[sizeof(*probe) + 64];
	struct packet packet = {.payload = (const uint8_t *)&found, .length = sizeof(found)};
	int ret;

	*answer = (struct detect_answer){0};
	assert_int_equal(answer_found(answer, &packet), 0);
	memcpy(bytes, probe, sizeof(*probe));
	memcpy(bytes + sizeof(*probe), text, strlen(text));
	packet = (struct packet){
		.head = {.count = 1},
		.payload = bytes,
		.length = sizeof(*probe) + strlen(text),
	};
	ret = answer_probes(answer, w->object, &packet);
	return ret ? ret : answer_complete(answer);
}

static void test_hostile_probe(void **state)
{
	struct world *w = *state;
	struct detect_answer answer;
	struct detect_probe good = {.name = 4, .refused = DETECT_NONE}, probe;
	uint64_t data = 0;

	detect(w);
	for (size_t i = 0; i < w->object->elf->n_loads; i++)
		if (w->object->elf->loads[i].flags & 2)
			data = w->object->elf->loads[i].offset;
	good.probe.probe = WIRE_POLL_BEGIN;
	good.probe.level = 1;
	good.probe.pc = w->result.found[0].sites[0].poll;
	good.probe.semaphore = data;
	good.probe.name = good.probe.refused = (char *)0x1234;
	assert_int_equal(check_probe(w, &good, "name", &answer), 0);
	assert_true(answer.found[0].types_later && answer.found[0].probes_count == 1);
	assert_string_equal(answer.found[0].probes[0].name, "name");
	assert_null(answer.found[0].probes[0].refused);
	answer_clear(&answer);
#define ANSWERED(ret, change)                                                                      \
	do {                                                                                       \
		probe = good;                                                                      \
		change;                                                                            \
		assert_int_equal(check_probe(w, &probe, "name", &answer), ret);                    \
		assert_true(ret || answer.found[0].probes[0].refused);                             \
		answer_clear(&answer);                                                             \
	} while (0)
	ANSWERED(-EINVAL, probe.probe.probe = WIRE_PROBES);
	ANSWERED(-EINVAL, probe.probe.level = 4);
	ANSWERED(-EINVAL, probe.probe.class = 9);
	ANSWERED(-EINVAL, memset(&probe.probe.has_args, 2, 1));
	ANSWERED(-EINVAL, probe.probe.args.arg[3].kind = 3);
	ANSWERED(-EINVAL, probe.probe.args.arg[0].size = 9);
	/* What BPF would read of the kernel's memory behind the registers. */
	ANSWERED(-EINVAL, probe.probe.args.arg[1].reg = 168);
	ANSWERED(-EINVAL, probe.name = DETECT_NONE);
	ANSWERED(-EINVAL, probe.name = 5);
	/* The kernel counts where the semaphore is said to be. */
	ANSWERED(0, probe.probe.semaphore = 64);
	ANSWERED(0, probe.probe.semaphore = UINT64_MAX);
	ANSWERED(0, probe.probe.pc = 0);
#undef ANSWERED
}

/* Marks of the one site, after a FOUND and a SITES that are honest. */
static int check_marks(struct world *w, const struct detect_mark *mark, const char *text,
		       struct detect_answer *answer)
{
	struct fake fake = honest(w);
	uint8_t bytes[sizeof(*mark) + 64];
	struct packet packet = {.head = {.count = 1}, .payload = bytes};
	int ret;

	fake.found.marks = 1;
	assert_int_equal(check(w, &fake, answer), -EINVAL); /* one is still to come */
	memcpy(bytes, mark, sizeof(*mark));
	memcpy(bytes + sizeof(*mark), text, strlen(text));
	packet.length = sizeof(*mark) + strlen(text);
	ret = answer_marks(answer, w->object, &packet);
	return ret ? ret : answer_complete(answer);
}

static void test_hostile_mark(void **state)
{
	struct world *w = *state;
	struct detect_answer answer;
	struct detect_mark good = {.mark = {.kind = MARK_CHANNEL, .conds_count = MARK_CONDS},
				   .text = 6},
			   mark;

	detect(w);
	good.mark.text = (char *)0x1234;
	assert_int_equal(check_marks(w, &good, "a\x1b[2mx", &answer), 0);
	assert_int_equal(answer.found[0].marks_count, 1);
	assert_string_equal(answer.found[0].marks[0].text, "a\\x1b[2mx");
	answer_clear(&answer);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		mark = good;                                                                       \
		change;                                                                            \
		assert_int_equal(check_marks(w, &mark, "string", &answer), -EINVAL);               \
		answer_clear(&answer);                                                             \
	} while (0)
	REFUSED(mark.mark.site = 1);
	REFUSED(mark.mark.kind = MARK_KINDS);
	REFUSED(mark.mark.conds_count = MARK_CONDS + 1);
	REFUSED(mark.mark.conds[MARK_CONDS - 1].size = 9);
	REFUSED(mark.mark.conds[0].differs = 2);
	REFUSED(mark.text = 7);
	REFUSED(mark.text = 5);
#undef REFUSED
}

/* A word of a task, in the states in which it is there. */
static void test_mark(void **state)
{
	struct runtime_mark mark = {
		.offset = 8,
		.conds_count = 2,
		.conds = {{.offset = 16, .size = 1, .value = 3},
			  {.offset = 18, .size = 2, .differs = 1, .value = 0x1234}},
	};
	uint64_t task[3] = {0, 0x7000, 3}, word = 0;

	(void)state;
	assert_true(mark_there(&mark, task, sizeof(task), &word));
	assert_int_equal(word, 0x7000);
	task[2] = 4;
	assert_false(mark_there(&mark, task, sizeof(task), &word));
	task[2] = 0x12340003;
	assert_false(mark_there(&mark, task, sizeof(task), &word));
	/* Beyond what was read of the task. */
	task[2] = 3;
	assert_false(mark_there(&mark, task, 19, &word));
	mark.conds_count = 0;
	assert_true(mark_there(&mark, task, 16, &word));
	assert_false(mark_there(&mark, task, 15, &word));
	mark.offset = UINT32_MAX;
	assert_false(mark_there(&mark, task, sizeof(task), &word));
}

/* Program headers that no file has; the object is not touched by those that are refused. */
static void test_hostile_image(void **state)
{
	struct world *w = *state;
	struct __attribute__((packed)) {
		struct elf_image image;
		struct elf_segment loads[3];
	} bytes, good = {
			 .image = {.type = 3, .loads = 3, .build_id = "0123abcd"},
			 .loads = {{0, 0, 4096, 4096, 4},
				   {4096, 4096, 64, 64, 5},
				   {8192, 0, 0, 64, 6}},
		 };
	struct packet packet = {.payload = (const uint8_t *)&bytes};
	int fd = w->object->fd;

#define REFUSED(change)                                                                            \
	do {                                                                                       \
		bytes = good;                                                                      \
		w->object->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);                                     \
		packet.length = sizeof(bytes);                                                     \
		change;                                                                            \
		assert_int_equal(answer_image(w->object, &packet), -EINVAL);                       \
		assert_null(w->object->elf);                                                       \
		if (w->object->fd >= 0)                                                            \
			close(w->object->fd);                                                      \
	} while (0)
	REFUSED(packet.length--);
	REFUSED(packet.length = 3);
	REFUSED(bytes.image.loads = 4);
	REFUSED(bytes.image.type = 1);
	REFUSED(bytes.image.has_interp = 2);
	REFUSED(strcpy(bytes.image.build_id, "0123abc"));
	REFUSED(strcpy(bytes.image.build_id, "../../etc"));
	REFUSED(memset(bytes.image.build_id, 'a', sizeof(bytes.image.build_id)));
	REFUSED(bytes.loads[0].filesz = 8192);
	REFUSED(bytes.loads[1].offset = 1ULL << 40);
	REFUSED(bytes.loads[1].offset = UINT64_MAX - 3);
	REFUSED(bytes.loads[2].vaddr = UINT64_MAX - 3);
	REFUSED(bytes.loads[2].vaddr = 0);
	/* No executable segment where one is mapped: the load bias cannot be known. */
	REFUSED(bytes.loads[1].flags = 4);
#undef REFUSED
	w->object->fd = fd;
	bytes = good;
	packet.length = sizeof(bytes);
	assert_int_equal(answer_image(w->object, &packet), 0);
	assert_non_null(w->object->elf);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_split, setup_split, teardown),
		cmocka_unit_test_setup_teardown(test_child, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_probe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_mark, setup, teardown),
		cmocka_unit_test(test_mark),
		cmocka_unit_test_setup_teardown(test_hostile_image, setup, teardown),
	};

	if (detect_child_wanted(argc, argv))
		return detect_child_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
