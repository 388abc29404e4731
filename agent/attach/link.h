/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Uprobes by the thousand: BPF links of type uprobe_multi, created through bpf(2) itself because
 * libbpf gained its call only in 1.3 (Linux: include/uapi/linux/bpf.h, struct bpf_attr.link_create
 * .uprobe_multi, since 6.6).
 *
 * A link is a file descriptor and nothing else: no pin, no tracefs event. When the last copy is
 * closed the probes are gone.
 *
 * The descriptors are held by a child process, the keeper, one a set. It alone attaches and
 * detaches, the latter also when the agent is no more: a SIGKILL that hits a process inside one of
 * these calls makes the kernel leave breakpoints in the target ("failed to unregister, leaking
 * uprobe", seen with 6.18: it gives up on a page as soon as a fatal signal is pending). The keeper
 * ignores all signals that can be ignored and has its own session.
 */
#ifndef ATTACH_LINK_H
#define ATTACH_LINK_H

#include "util/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BPF_ATTACH_TRACE_UPROBE_MULTI 48 /* enum bpf_attach_type */
#define LINK_BATCH 4096			 /* sites a link */

struct link_site {
	uint64_t offset; /* in the file */
	uint64_t cookie;
	uint64_t semaphore; /* offset in the file of a counter to raise meanwhile; 0: none */
	int error;	    /* out: 0, or why the kernel refused this one (524 is ENOTSUPP) */
};

struct link_set {
	pid_t keeper;	 /* 0: nothing is attached */
	int sock;	 /* closing it lets the keeper detach and end; -1: that was done */
	size_t attached; /* sites */
};

/*
 * Probes every site of the file `path` in process pid with program prog_fd, in batches. A batch
 * that the kernel refuses is halved until the bad sites are alone: these get `error` and are left
 * out. Returns 0 (also when some sites were refused) or -errno when it is no site's fault
 * (-EPERM, -ESRCH, -EINVAL before Linux 6.6, ...). The set must be empty.
 */
int link_attach(struct link_set *set, int prog_fd, const char *path, pid_t pid,
		struct link_site *sites, size_t count, struct err *err);

/*
 * The same, at the return of the functions that begin at these sites: the kernel takes the word at the
 * stack pointer for the return address, so nothing else may be probed so. Nothing can be unwound
 * through a frame that is to return to the kernel; where a panic would have to, the process ends.
 */
int link_attach_returns(struct link_set *set, int prog_fd, const char *path, pid_t pid,
			struct link_site *sites, size_t count, struct err *err);

/* CPU time of the keeper so far: what the attach cost. 0: not known. */
uint64_t link_cpu_ns(const struct link_set *set);
/* Detaches, last first, and returns when that is done. The set can be used again. */
void link_detach(struct link_set *set);
/* The same without waiting: true when it is done, else ask again. */
bool link_detach_try(struct link_set *set);
/* When it is done the CPU time of the keeper, from its start to its end, is added to *cpu_ns. */
bool link_detach_cost(struct link_set *set, uint64_t *cpu_ns);

#endif
