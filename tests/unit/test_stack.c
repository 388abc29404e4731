// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Real stacks through the real child: a forked process that waits at a known depth is stopped, its
 * registers and bytes copied, and the frames compared with the calls that were made.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "stack/child.h"
#include "stack/stack.h"
#include "util/xalloc.h"

#define DEADLINE_MS 60000
#define TARGET 7

/* As a release build has it: no frame pointer to follow. */
#define PLAIN                                                                                      \
	__attribute__((noinline, noclone, optimize("O2", "omit-frame-pointer"),                    \
		       no_sanitize("address", "undefined")))

static volatile int sink;

PLAIN static void deep_three(void)
{
	syscall(SYS_pause);
	sink++;
}

PLAIN static void deep_two(void)
{
	deep_three();
	sink++;
}

PLAIN static void deep_one(void)
{
	deep_two();
	sink++;
}

/* More than is copied lies between deep_one and its caller. */
PLAIN static void deep_wide(void)
{
	volatile char room[(STACK_PAGES + 1) * STACK_PAGE];

	room[0] = 1;
	deep_one();
	sink += room[0];
}

/* One page of the stack is not all of it. */
PLAIN static void deep_pages(void)
{
	volatile char room[2 * STACK_PAGE];

	room[0] = 1;
	deep_one();
	sink += room[0];
}

/* Code without unwind information, in a mapping of `fd`, or of none: push; call rdi; pop; ret. */
static void call_through(int fd)
{
	static const uint8_t code[] = {0x53, 0xff, 0xd7, 0x5b, 0xc3};
	void (*thunk)(void (*)(void));
	void *map;

	if (fd >= 0 && write(fd, code, sizeof(code)) != sizeof(code))
		_exit(1);
	map = mmap(NULL, STACK_PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	if (map == MAP_FAILED)
		_exit(1);
	memcpy(map, code, sizeof(code));
	memcpy(&thunk, &map, sizeof(thunk));
	thunk(deep_one);
}

static void deep_anonymous(void)
{
	call_through(-1);
}

static void deep_no_elf(void)
{
	call_through(memfd_create("code", MFD_CLOEXEC));
}

static void on_signal(int number)
{
	sink += number;
	deep_one();
}

PLAIN static void deep_interrupted(void)
{
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	sink++;
}

struct victim {
	pid_t pid;
	struct proc *proc;
	struct memory memory;
	struct stack_request request;
	uint8_t pages[STACK_PAGES * STACK_PAGE];
};

struct world {
	struct stacks *stacks;
	uint32_t answers, count;
	uint64_t cookie;
	struct frame frames[FRAMES_MAX];
	char *names[FRAMES_MAX], *files[FRAMES_MAX], *binaries[FRAMES_MAX];
	enum stack_end end;
};

static void clear(struct world *world)
{
	for (uint32_t i = 0; i < world->count; i++) {
		free(world->names[i]);
		free(world->files[i]);
		free(world->binaries[i]);
	}
	world->count = 0;
}

static char *copy_text(const char *text)
{
	return xstrdup(text ? text : "");
}

static void collect(void *ctx, uint64_t cookie, const struct frame *frames, uint32_t count,
		    enum stack_end end)
{
	struct world *world = ctx;

	clear(world);
	for (uint32_t i = 0; i < count; i++) {
		world->frames[i] = frames[i];
		world->names[i] = copy_text(frames[i].function);
		world->files[i] = copy_text(frames[i].file);
		world->binaries[i] = copy_text(frames[i].binary);
	}
	world->answers++;
	world->count = count;
	world->cookie = cookie;
	world->end = end;
}

static void wait_paused(pid_t pid)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (int i = 0; i < DEADLINE_MS; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (n > 0 && atoi(text) == SYS_pause && strchr(text, ' '))
			return;
		usleep(1000);
	}
	fail_msg("process %d does not pause", pid);
}

static void copy_stack(struct victim *victim)
{
	struct user_regs_struct r;
	uint64_t base;

	assert_int_equal(ptrace(PTRACE_SEIZE, victim->pid, 0, 0), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, victim->pid, 0, 0), 0);
	assert_int_equal(waitpid(victim->pid, NULL, 0), victim->pid);
	assert_int_equal(ptrace(PTRACE_GETREGS, victim->pid, 0, &r), 0);
	base = r.rsp & ~(uint64_t)(STACK_PAGE - 1);
	victim->request = (struct stack_request){
		.cookie = 1000,
		.target = TARGET,
		.regs = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10,
			 r.r11, r.r12, r.r13, r.r14, r.r15, r.rip},
		.base = base,
		.pages = victim->pages,
	};
	for (uint64_t i = 0; i < STACK_PAGES; i++)
		if (memory_read(&victim->memory, base + i * STACK_PAGE,
				victim->pages + i * STACK_PAGE, STACK_PAGE) == 0)
			victim->request.present |= 1U << i;
	assert_int_equal(ptrace(PTRACE_DETACH, victim->pid, 0, 0), 0);
}

static void start_victim(struct victim *victim, void (*body)(void))
{
	victim->pid = fork();
	assert_true(victim->pid >= 0);
	if (victim->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		body();
		_exit(sink);
	}
	wait_paused(victim->pid);
	assert_int_equal(proc_open(victim->pid, &victim->proc, NULL), 0);
	assert_int_equal(memory_open(&victim->memory, victim->pid, NULL), 0);
	copy_stack(victim);
}

static void end_victim(struct victim *victim)
{
	kill(victim->pid, SIGKILL);
	waitpid(victim->pid, NULL, 0);
	memory_close(&victim->memory);
	proc_close(victim->proc);
}

static void open_world(struct world *world, const struct victim *victim)
{
	struct err err = {0};

	memset(world, 0, sizeof(*world));
	if (stacks_open(collect, world, &world->stacks, &err))
		fail_msg("%s", err.msg);
	assert_int_equal(stacks_target(world->stacks, TARGET, victim->proc, &victim->memory, NULL),
			 0);
}

static void close_world(struct world *world)
{
	stacks_close(world->stacks);
	clear(world);
}

static void ask(struct world *world, const struct stack_request *request)
{
	struct pollfd p = {.fd = stacks_fd(world->stacks), .events = POLLIN};
	uint32_t before = world->answers;

	assert_int_equal(stacks_submit(world->stacks, request), 0);
	while (world->answers == before) {
		assert_true(poll(&p, 1, DEADLINE_MS) > 0);
		stacks_drain(world->stacks);
	}
	assert_int_equal(world->answers, before + 1);
	assert_int_equal(world->cookie, request->cookie);
}

static int find(const struct world *world, const char *name)
{
	for (uint32_t i = 0; i < world->count; i++)
		if (strcmp(world->names[i], name) == 0)
			return (int)i;
	return -1;
}

static void assert_chain(const struct world *world)
{
	int at = find(world, "deep_three");

	assert_true(at > 0 && (uint32_t)at + 2 < world->count);
	assert_string_equal(world->names[at + 1], "deep_two");
	assert_string_equal(world->names[at + 2], "deep_one");
}

static void test_complete(void **state)
{
	static struct victim victim;
	static struct world world;
	int at;

	(void)state;
	start_victim(&victim, deep_one);
	open_world(&world, &victim);
	ask(&world, &victim.request);
	assert_int_equal(world.end, STACK_COMPLETE);
	assert_chain(&world);
	assert_int_equal(world.frames[0].origin, FRAME_SYSTEM);
	assert_string_equal(world.names[world.count - 1], "_start");
	assert_true(find(&world, "test_complete") > 0);
	assert_true(find(&world, "main") > find(&world, "test_complete"));
	at = find(&world, "deep_two");
	assert_int_equal(world.frames[at].from, FRAME_FROM_LINE);
	assert_int_equal(world.frames[at].origin, FRAME_USER);
	assert_non_null(strstr(world.files[at], "tests/unit/test_stack.c"));
	assert_true(world.frames[at].line > 0 && world.frames[at].line < 100);
	assert_string_equal(world.binaries[at], victim.proc->exe);
	assert_true(world.frames[at].start && world.frames[at].start < world.frames[at].offset);
	close_world(&world);
	end_victim(&victim);
}

/* Whatever is missing, the frames are the first ones of the whole stack. */
static void assert_prefix(const struct world *part, const struct world *whole)
{
	assert_true(part->count > 0 && part->count < whole->count);
	for (uint32_t i = 0; i < part->count; i++) {
		assert_true(part->frames[i].offset == whole->frames[i].offset);
		assert_string_equal(part->names[i], whole->names[i]);
	}
}

static void test_missing(void **state)
{
	static struct victim victim;
	static struct world world, whole;
	struct stack_request request;

	(void)state;
	start_victim(&victim, deep_pages);
	open_world(&whole, &victim);
	open_world(&world, &victim);
	ask(&whole, &victim.request);
	assert_int_equal(whole.end, STACK_COMPLETE);
	request = victim.request;
	request.present = 0;
	ask(&world, &request);
	assert_int_equal(world.end, STACK_ABSENT);
	assert_prefix(&world, &whole);
	/* The bytes end just above deep_two's return address. */
	request = victim.request;
	request.base -= (STACK_PAGES - 1) * (uint64_t)STACK_PAGE;
	request.present = 1U << (STACK_PAGES - 1);
	memmove(victim.pages + (STACK_PAGES - 1) * STACK_PAGE, victim.pages, STACK_PAGE);
	memset(victim.pages, 0xff, (STACK_PAGES - 1) * STACK_PAGE);
	ask(&world, &request);
	assert_int_equal(world.end, STACK_CUT);
	assert_prefix(&world, &whole);
	close_world(&world);
	close_world(&whole);
	end_victim(&victim);
}

static void test_too_deep(void **state)
{
	static struct victim victim;
	static struct world world;

	(void)state;
	start_victim(&victim, deep_wide);
	open_world(&world, &victim);
	ask(&world, &victim.request);
	assert_int_equal(world.end, STACK_CUT);
	assert_chain(&world);
	assert_string_equal(world.names[world.count - 1], "deep_wide");
	close_world(&world);
	end_victim(&victim);
}

/* Through the kernel's signal frame to what was interrupted. */
static void test_signal(void **state)
{
	static struct victim victim;
	static struct world world;

	(void)state;
	start_victim(&victim, deep_interrupted);
	open_world(&world, &victim);
	ask(&world, &victim.request);
	assert_int_equal(world.end, STACK_COMPLETE);
	assert_chain(&world);
	assert_int_equal(find(&world, "on_signal"), find(&world, "deep_one") + 1);
	assert_true(find(&world, "deep_interrupted") > find(&world, "on_signal") + 1);
	assert_string_equal(world.names[world.count - 1], "_start");
	close_world(&world);
	end_victim(&victim);
}

static void check_unsure(void (*body)(void), const char *binary)
{
	static struct victim victim;
	static struct world world;
	uint32_t last;

	start_victim(&victim, body);
	open_world(&world, &victim);
	ask(&world, &victim.request);
	assert_int_equal(world.end, STACK_UNSURE);
	assert_chain(&world);
	last = world.count - 1;
	assert_string_equal(world.names[last - 1], "deep_one");
	assert_string_equal(world.names[last], "");
	assert_string_equal(world.binaries[last], binary);
	assert_int_equal(world.frames[last].from, FRAME_FROM_NONE);
	close_world(&world);
	end_victim(&victim);
}

/* The stack goes on behind it, and a frame pointer or a scan would invent how. */
static void test_unsure(void **state)
{
	(void)state;
	check_unsure(deep_anonymous, "");
	check_unsure(deep_no_elf, "/memfd:code");
}

static void test_refusals(void **state)
{
	static struct victim victim;
	static struct world world;
	struct stacks_totals totals;
	struct stack_request request;

	(void)state;
	start_victim(&victim, deep_one);
	open_world(&world, &victim);
	request = victim.request;
	request.target = TARGET + 1;
	assert_int_equal(stacks_submit(world.stacks, &request), -ENOENT);
	for (int i = 0; i < STACK_PENDING; i++)
		assert_int_equal(stacks_submit(world.stacks, &victim.request), 0);
	assert_int_equal(stacks_submit(world.stacks, &victim.request), -EAGAIN);
	/* Its answers come all the same, without frames, once it has ended. */
	stacks_target_end(world.stacks, TARGET);
	for (int i = 0; i < DEADLINE_MS && world.answers < STACK_PENDING; i++) {
		stacks_drain(world.stacks);
		usleep(1000);
	}
	assert_int_equal(world.answers, STACK_PENDING);
	assert_int_equal(world.end, STACK_FAILED);
	stacks_totals(world.stacks, &totals);
	assert_true(totals.answered == STACK_PENDING && totals.refused == 2);
	close_world(&world);
	end_victim(&victim);
}

static void test_restart(void **state)
{
	static struct victim victim;
	static struct world world;
	struct stacks_totals totals;
	int fd;

	(void)state;
	start_victim(&victim, deep_one);
	open_world(&world, &victim);
	fd = stacks_fd(world.stacks);
	for (int i = 1; i <= 5; i++) {
		pid_t child = stacks_child(world.stacks);

		assert_int_equal(kill(child, SIGSTOP), 0);
		assert_int_equal(stacks_submit(world.stacks, &victim.request), 0);
		assert_int_equal(kill(child, SIGKILL), 0);
		for (int k = 0; k < DEADLINE_MS && world.answers < 2U * i - 1; k++) {
			stacks_drain(world.stacks);
			usleep(1000);
		}
		assert_int_equal(world.end, STACK_FAILED);
		assert_int_equal(world.count, 0);
		ask(&world, &victim.request);
		assert_int_equal(world.end, STACK_COMPLETE);
		assert_chain(&world);
		stacks_totals(world.stacks, &totals);
		assert_int_equal(totals.restarts, i);
	}
	assert_int_equal(stacks_fd(world.stacks), fd);
	assert_int_equal(kill(stacks_child(world.stacks), SIGKILL), 0);
	for (int k = 0; k < DEADLINE_MS && stacks_child(world.stacks); k++) {
		stacks_drain(world.stacks);
		usleep(1000);
	}
	assert_int_equal(stacks_submit(world.stacks, &victim.request), -EPIPE);
	close_world(&world);
	end_victim(&victim);
}

static void assert_status(const char *status, const char *key, const char *value)
{
	const char *at = strstr(status, key);

	if (!at || strncmp(at + strlen(key), value, strlen(value)) != 0)
		fail_msg("%s is not %s: %.40s", key, value, at ? at : "absent");
}

static void test_jail(void **state)
{
	static struct victim victim;
	static struct world world;
	char path[64], status[4096] = "";
	int fd;

	(void)state;
	start_victim(&victim, deep_one);
	open_world(&world, &victim);
	snprintf(path, sizeof(path), "/proc/%d/status", stacks_child(world.stacks));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, status, sizeof(status) - 1) > 0);
	close(fd);
	assert_status(status, "\nSeccomp:\t", "2\n");
	assert_status(status, "\nNoNewPrivs:\t", "1\n");
	assert_status(status, "\nCapEff:\t", "0000000000000000\n");
	assert_status(status, "\nCapPrm:\t", "0000000000000000\n");
	assert_status(status, "\nCapAmb:\t", "0000000000000000\n");
	if (geteuid() == 0) {
		assert_status(status, "\nCapBnd:\t", "0000000000000000\n");
		assert_status(status, "\nUid:\t", "65534\t65534\t65534\t65534\n");
		assert_status(status, "\nGid:\t", "65534\t65534\t65534\t65534\n");
		assert_status(status, "\nGroups:\t", " \n");
	}
	close_world(&world);
	end_victim(&victim);
}

/* A child that is there and does nothing: the limit ends it, and another one goes on. */
static void test_stuck(void **state)
{
	static struct victim victim;
	static struct world world;
	struct stacks_totals totals;

	(void)state;
	start_victim(&victim, deep_one);
	open_world(&world, &victim);
	ask(&world, &victim.request);
	stacks_patience(world.stacks, 300);
	assert_int_equal(kill(stacks_child(world.stacks), SIGSTOP), 0);
	ask(&world, &victim.request);
	assert_int_equal(world.end, STACK_FAILED);
	stacks_patience(world.stacks, DEADLINE_MS);
	ask(&world, &victim.request);
	assert_int_equal(world.end, STACK_COMPLETE);
	assert_chain(&world);
	stacks_totals(world.stacks, &totals);
	assert_int_equal(totals.restarts, 1);
	close_world(&world);
	end_victim(&victim);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete), cmocka_unit_test(test_missing),
		cmocka_unit_test(test_too_deep), cmocka_unit_test(test_unsure),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_restart),
		cmocka_unit_test(test_jail),	 cmocka_unit_test(test_signal),
		cmocka_unit_test(test_stuck),
	};

	if (stacks_child_wanted(argc, argv))
		return stacks_child_main();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
