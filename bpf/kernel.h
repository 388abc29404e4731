/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The few kernel types that the programs read, relocated against the running kernel's BTF (CO-RE).
 * Only the members named here are used; their offsets come from the kernel at load time.
 */
#ifndef BPF_KERNEL_H
#define BPF_KERNEL_H

#include "wire.h"

typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_QUEUE = 22,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1U << 0,
	BPF_F_MMAPABLE = 1U << 10,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1ULL << 0,
	BPF_RB_NO_WAKEUP = 1ULL << 0,
};

/* Bits of a thread's state, __TASK_STOPPED and __TASK_TRACED in the kernel. */
enum {
	TASK_STOPPED = 0x4,
	TASK_TRACED = 0x8,
};

/* Waits by its own doing: a job control signal or a debugger takes the CPU as another thread does. */
static __attribute__((always_inline)) inline bool state_waits(unsigned int state)
{
	return state && !(state & (TASK_STOPPED | TASK_TRACED));
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Kernel names of the registers, not the ABI's. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di;
	unsigned long orig_ax;
	unsigned long ip, sp;
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

/* A CPU's run queue. */
struct rq {
	__u64 clock;
	__u64 clock_task;	  /* without what interrupts and the hypervisor took */
	__u64 prev_steal_time_rq; /* taken by the hypervisor, as far as it was noticed */
};

struct sched_info {
	unsigned long pcount;		/* times that it got a CPU */
	unsigned long long run_delay;	/* spent waiting for one */
	unsigned long long last_queued; /* by the clock of the run queue; 0: not waiting */
};

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	struct cfs_rq *cfs_rq; /* of the CPU it is on */
	__u64 exec_start;      /* when its time was last accounted, by clock_task; 0: moved since */
	__u64 sum_exec_runtime;
};

struct thread_struct {
	unsigned long fsbase; /* of a thread of glibc or musl: where its thread-locals begin */
};

struct signal_struct {
	int group_exit_code; /* as from wait(2), with SIGNAL_GROUP_EXIT */
	unsigned int flags;
};

#define SIGNAL_GROUP_EXIT 0x4 /* the whole process ends */

struct task_struct {
	struct sched_entity se;
	struct sched_info sched_info;
	unsigned int __state; /* 0: running or ready */
	int on_cpu;
	int pid;
	int tgid;
	struct signal_struct *signal;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct thread_struct thread;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_perf_event_data;

#pragma clang attribute pop

#endif
