// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * probe_sdt: what a probe point of <stalltop/sdt.h> costs a program while nobody watches it, in ns a
 * probe: a loop that does nothing else, less the empty loop. Among other work it costs less, for
 * nothing waits for it.
 */
#include <stdio.h>
#include <time.h>

#include "stalltop/sdt.h"

#define ROUNDS 20000000u
#define REPEATS 9

static struct stalltop_sdt_runtime runtime = {.magic = STALLTOP_SDT_MAGIC};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static __attribute__((noinline)) void without(void)
{
	for (uint64_t i = 0; i < ROUNDS; i++)
		__asm__ volatile("" ::"r"(i));
}

static __attribute__((noinline)) void with(void)
{
	for (uint64_t i = 0; i < ROUNDS; i++) {
		stalltop_poll_begin(&runtime, i, "bench", STALLTOP_SDT_HERE);
		stalltop_poll_end(&runtime, i, STALLTOP_SDT_READY);
		stalltop_task_wake(&runtime, i);
		stalltop_task_complete(&runtime, i);
		__asm__ volatile("" ::"r"(i));
	}
}

/* The best of several: the others were disturbed. */
static double best(void (*run)(void))
{
	double least = 1e9;

	for (int i = 0; i < REPEATS; i++) {
		uint64_t begin = now_ns();

		run();
		if ((double)(now_ns() - begin) / ROUNDS < least)
			least = (double)(now_ns() - begin) / ROUNDS;
	}
	return least;
}

int main(void)
{
	double plain = best(without), probed = best(with);

	printf("{\"loop_ns\":%.3f,\"four_probes_ns\":%.3f,\"probe_ns\":%.3f}\n", plain, probed,
	       (probed - plain) / 4);
	return 0;
}
