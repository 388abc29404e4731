// SPDX-License-Identifier: LGPL-2.1-or-later
/* What our programs cost, measured; see calibrate.h. */
#include "attach/calibrate.h"

#include "attach/link.h"
#include "target/proc.h"
#include "util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALIBRATION_BATCHES 8
#define CALIBRATION_HITS 200
#define STEPPED_HITS 40

#define ROUND_BATCHES 300
#define ROUNDS 16 /* from thread to thread and back, a batch: so few that some are not disturbed */
#define COPIES 40
#define COPY_SPACE_NS 2500000 /* a thread's stack is not copied more often */

/*
 * Two functions of ours that look like a poll: one begins with an instruction that the kernel
 * emulates, one with an instruction that it has to single-step.
 */
void calibrate_emulated(void *header);
void calibrate_stepped(void *header);

asm(".text\n"
    ".globl calibrate_emulated, calibrate_stepped\n"
    ".type calibrate_emulated, @function\n"
    "calibrate_emulated: push %rbp\n pop %rbp\n ret\n"
    ".size calibrate_emulated, .-calibrate_emulated\n"
    ".type calibrate_stepped, @function\n"
    "calibrate_stepped: mov %rdi, %rax\n ret\n"
    ".size calibrate_stepped, .-calibrate_stepped\n");

/* The least time of a batch, a call: what disturbs the machine only ever adds. */
static uint64_t time_calls(void (*fn)(void *), void *arg, unsigned int calls)
{
	uint64_t best = UINT64_MAX;

	for (int batch = 0; batch < CALIBRATION_BATCHES; batch++) {
		uint64_t begin = clock_ns(CLOCK_MONOTONIC), took;

		for (unsigned int i = 0; i < calls; i++)
			fn(arg);
		took = clock_ns(CLOCK_MONOTONIC) - begin;
		if (took < best)
			best = took;
	}
	return best / calls;
}

/* Both functions are probed at once: an attach takes longer than the calls. */
static const struct {
	void (*fn)(void *header);
	unsigned int calls;
} scratch[] = {{calibrate_emulated, CALIBRATION_HITS}, {calibrate_stepped, STEPPED_HITS}};

#define SCRATCH_COUNT (sizeof(scratch) / sizeof(scratch[0]))

static int scratch_sites(const struct kernel *k, struct link_site *sites, struct err *err)
{
	struct proc proc = {.pid = getpid()};
	struct proc_map *maps = NULL;
	size_t count = 0;
	int ret = proc_maps(&proc, &maps, &count, err);

	for (size_t i = 0; i < SCRATCH_COUNT; i++) {
		uintptr_t fn = (uintptr_t)scratch[i].fn;

		sites[i] = (struct link_site){.cookie = k->max_sites - 1};
		for (size_t m = 0; m < count && !ret; m++)
			if (fn >= maps[m].start && fn < maps[m].end)
				sites[i].offset = fn - maps[m].start + maps[m].offset;
	}
	proc_maps_free(maps, count);
	return ret;
}

static int scratch_costs(struct kernel *k, void *header, uint64_t *costs, struct err *err)
{
	struct link_site sites[SCRATCH_COUNT];
	uint64_t plain[SCRATCH_COUNT], probed;
	struct link_set links = {0};
	int ret = scratch_sites(k, sites, err);

	for (size_t i = 0; i < SCRATCH_COUNT; i++)
		plain[i] = time_calls(scratch[i].fn, header, scratch[i].calls);
	if (!ret)
		ret = link_attach(&links, k->on_poll_fd, "/proc/self/exe", getpid(), sites,
				  SCRATCH_COUNT, err);
	for (size_t i = 0; i < SCRATCH_COUNT && !ret; i++) {
		ret = sites[i].error;
		probed = time_calls(scratch[i].fn, header, scratch[i].calls);
		costs[i] = probed > plain[i] ? probed - plain[i] : 0;
	}
	link_detach(&links);
	return ret;
}

/* The last row of the table of sites stands for tasks whose header this is. */
static void site_set(struct kernel *k, uint64_t header[16])
{
	header[2] = (uintptr_t)header;
	k->sites[k->max_sites - 1] = (struct wire_site){
		.vtable = header[2],
		.target = CALIBRATION_TARGET,
		.kind = WIRE_SITE_TASK,
		.vtable_word = 2,
		.id_word = 5,
		.sched_word = 4,
	};
}

int calibrate_hits(struct kernel *k, struct calibration *out, struct err *err)
{
	uint64_t header[16] __attribute__((aligned(128))) = {0};
	uint64_t costs[SCRATCH_COUNT];
	int ret;

	site_set(k, header);
	ret = scratch_costs(k, header, costs, err);
	if (ret)
		return ret;
	*out = (struct calibration){.hit_ns = costs[0], .stepped_hit_ns = costs[1]};
	return 0;
}

/* --- switches -------------------------------------------------------------------------------- */

/* A child that answers each byte, on the CPU that this thread is on: each round is two switches. */
struct echo {
	pid_t pid;
	int to, from;
	cpu_set_t before;
};

static int echo_start(struct echo *e)
{
	int to[2], from[2];
	cpu_set_t one;
	char byte;

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return -errno;
	sched_getaffinity(0, sizeof(e->before), &e->before);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	e->pid = fork();
	if (e->pid == 0) {
		close(to[1]);
		close(from[0]);
		while (read(to[0], &byte, 1) == 1 && write(from[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	e->to = to[1];
	e->from = from[0];
	return e->pid < 0 ? -errno : 0;
}

static void echo_stop(struct echo *e)
{
	close(e->to);
	close(e->from);
	while (e->pid > 0 && waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
		;
	sched_setaffinity(0, sizeof(e->before), &e->before);
}

/* The least time of one round; `apart`: each so long after the last block that its stack is copied. */
static uint64_t round_ns(const struct echo *e, bool apart)
{
	unsigned int batches = apart ? COPIES : ROUND_BATCHES, rounds = apart ? 1 : ROUNDS;
	uint64_t best = UINT64_MAX;
	char byte = 0;

	for (unsigned int b = 0; b < batches; b++) {
		uint64_t begin = clock_ns(CLOCK_MONOTONIC), took;

		while (apart && clock_ns(CLOCK_MONOTONIC) - begin < COPY_SPACE_NS)
			;
		begin = clock_ns(CLOCK_MONOTONIC);
		for (unsigned int i = 0; i < rounds; i++)
			if (write(e->to, &byte, 1) != 1 || read(e->from, &byte, 1) != 1)
				return 0;
		took = clock_ns(CLOCK_MONOTONIC) - begin;
		if (took < best)
			best = took;
	}
	return best / rounds;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t beyond(uint64_t with, uint64_t without)
{
	return with > without ? with - without : 0;
}

/* In a poll of ours that is open. */
static int polling_rounds(struct kernel *k, const struct echo *e, uint64_t *near, uint64_t *apart,
			  struct err *err)
{
	uint64_t header[16] __attribute__((aligned(128))) = {0};
	struct link_site sites[SCRATCH_COUNT];
	struct link_set links = {0};
	int ret = scratch_sites(k, sites, err);

	header[0] = TOKIO_STATE_RUNNING | 1 << TOKIO_STATE_REF_SHIFT;
	site_set(k, header);
	if (!ret)
		ret = link_attach(&links, k->on_poll_fd, "/proc/self/exe", getpid(), sites, 1, err);
	if (ret)
		return ret;
	kernel_set_threshold(k, 0); /* no block is too short for its stack to be worth it */
	calibrate_emulated(header);
	*near = round_ns(e, false);
	*apart = round_ns(e, true);
	header[0] = 0;
	link_detach(&links);
	return 0;
}

static int no_record(void *ctx __attribute__((unused)), void *data __attribute__((unused)),
		     size_t size __attribute__((unused)))
{
	return 0;
}

int calibrate_all(struct calibration *out, struct err *err)
{
	const struct kernel_opts opts = {
		.level = 2, .stacks = true, .max_sites = 64, .fn = no_record};
	uint64_t plain, plain_apart, other, near = 0, apart = 0;
	struct kernel *k = NULL;
	struct echo echo;
	int ret = echo_start(&echo);

	if (ret)
		return err_set(err, ret, "cannot measure switches: %s", strerror(-ret));
	plain = round_ns(&echo, false);
	plain_apart = round_ns(&echo, true);
	ret = kernel_open(&opts, &k, err);
	if (ret)
		goto out;
	other = round_ns(&echo, false); /* before the first hit: no thread is watched */
	ret = calibrate_hits(k, out, err);
	if (!ret)
		ret = polling_rounds(k, &echo, &near, &apart, err);
	kernel_close(k);
	k = NULL;
	/* Again without it: what disturbed the machine then, disturbed all tries. */
	plain = least(plain, round_ns(&echo, false));
	plain_apart = least(plain_apart, round_ns(&echo, true));
	out->other_switch_ns = beyond(other, plain) / 2;
	out->switch_ns = beyond(near, plain);
	out->copied_switch_ns = beyond(apart, plain_apart);
out:
	kernel_close(k);
	echo_stop(&echo);
	return ret;
}
