/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Our programs and maps in the kernel: loaded, mapped into the agent, attached to the scheduler's
 * tracepoints and to the sampling clock. Probes of targets are link.h's. Everything is owned by
 * descriptors; kernel_close(), or our death, removes it.
 *
 * The mapped arrays are written by BPF at any time: read them through slot_read() and volatile
 * loads.
 */
#ifndef ATTACH_KERNEL_H
#define ATTACH_KERNEL_H

#include "bpf/wire.h"
#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stalltop_bpf;

struct kernel {
	struct stalltop_bpf *skel;
	unsigned int level;
	bool stacks;
	uint32_t cpus, max_sites;
	struct wire_site *sites;	  /* max_sites */
	struct wire_site_stats *stats;	  /* cpus * max_sites */
	const struct wire_delays *delays; /* cpus * max_sites; NULL below level 3 */
	const struct wire_slot *slots;	  /* WIRE_MAX_SLOTS */
	const struct wire_task *tasks;	  /* WIRE_MAX_TASKS; NULL below level 2 */
	uint64_t *roots;   /* WIRE_MAX_SLOTS: generation of a thread that may run a root future */
	int *sample_fds;   /* a CPU each; -1 where it could not be opened */
	uint32_t sampling; /* how many could */
	struct ring_buffer *ring;
	int on_poll_fd, on_dealloc_fd, on_schedule_fd, vtables_fd, targets_fd, ring_fd;
};

typedef int (*kernel_record_fn)(void *ctx, void *data, size_t size);

struct kernel_opts {
	unsigned int level;
	bool sample; /* the CPUs, 99 times a second */
	bool stacks; /* copies of user stacks come as records, too */
	uint32_t max_sites;
	kernel_record_fn fn; /* gets the records during kernel_drain() */
	void *ctx;
};

/* -EPERM names the missing capability, -ENOENT the missing BTF. */
int kernel_open(const struct kernel_opts *opts, struct kernel **out, struct err *err);
void kernel_close(struct kernel *k);

/* Passes on what is in the ring; 0 or -errno from fn. */
int kernel_drain(struct kernel *k);

void kernel_set_threshold(struct kernel *k, uint64_t ns);
/* Totals that belong to no slot, read at one time each. */
void kernel_totals(const struct kernel *k, struct wire_totals *out);
/* How many slots were ever given: the ones to look at. */
uint32_t kernel_slots(const struct kernel *k);
/* How many rows of the task table were ever used: the ones to look at. */
uint32_t kernel_task_rows(const struct kernel *k);
/* A copy of a row; false when it is free. */
bool kernel_task(const struct kernel *k, uint32_t row, struct wire_task *out);
/* A consistent copy of a slot; false when it is free or kept changing. */
bool kernel_slot(const struct kernel *k, uint32_t index, struct wire_slot *out);
/*
 * The block that the thread of a slot is in or was in last, and what of its stack was copied; false
 * when there is none, or its row is not kept.
 */
bool kernel_block(const struct kernel *k, uint32_t slot, struct wire_stack *out);
/* Hits that the kernel dropped because a program was running already. */
uint64_t kernel_missed(const struct kernel *k);

#endif
