/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One process from outside, through /proc and a pidfd.
 *
 * The pidfd is opened first and the start time read after it, so that a reused pid is never taken
 * for the process that was meant: proc_same() says whether pid still names it. Everything here is
 * read at the time of the call; a process can end or exec between two calls.
 * Text from /proc is raw: sanitise it before showing it.
 */
#ifndef TARGET_PROC_H
#define TARGET_PROC_H

#include "util/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_COMM 16
#define PROC_MAX_MAPS 65536 /* mappings read of one process; more are ignored */

struct proc {
	pid_t pid;
	int pidfd;
	uint64_t start_time; /* field 22 of /proc/PID/stat: clock ticks since boot */
	char comm[PROC_COMM];
	char exe[PATH_MAX]; /* as the process sees it, without " (deleted)" */
	uint64_t image;	    /* another one after each exec; see proc_execed() */
};

/* -ESRCH: no such process; -EACCES: not allowed; -ENOENT: a kernel thread (no executable). */
int proc_open(pid_t pid, struct proc **out, struct err *err);
void proc_close(struct proc *proc);

/* Reads comm and exe again, after an exec. */
int proc_refresh(struct proc *proc, struct err *err);

/* Whether it runs another program, or the same one anew, since proc_open() or proc_refresh(). */
bool proc_execed(const struct proc *proc);

/* False once the process has ended. One system call: for looking again and again. */
bool proc_alive(const struct proc *proc);

/* False once the process has ended or pid names another one. */
bool proc_same(const struct proc *proc);

/* CPU time that all its threads have used, nanoseconds; 0 when it is gone. */
uint64_t proc_cpu_ns(const struct proc *proc);

/* How many threads it has now; 0 when it is gone. */
uint32_t proc_threads(const struct proc *proc);

/*
 * Kibibytes of executable mappings; changes when an object is mapped. Read from status, which takes
 * no lock of the target's memory map, so it can be asked often; 0 when it is gone.
 */
uint64_t proc_exec_kib(const struct proc *proc);

/* Whether its system calls go through a seccomp filter; also when that cannot be read. */
bool proc_filtered(const struct proc *proc);

/* Number of CPUs that it may use. */
uint32_t proc_cpus(const struct proc *proc);

enum proc_run {
	PROC_ASLEEP, /* or gone */
	PROC_READY,  /* the kernel would run it now, or does */
	PROC_HELD,   /* stopped, by a job control signal or a debugger */
};

/* What this thread does now. */
enum proc_run proc_thread_run(const struct proc *proc, pid_t tid);

/* What the scheduler has counted of a thread. */
struct proc_sched {
	uint64_t cpu_ns, delay_ns; /* on a CPU; ready without one */
	uint64_t runs;		   /* times that it got one */
};

/* False when it is gone, or the kernel counts nothing (CONFIG_SCHED_INFO). */
bool proc_thread_sched(const struct proc *proc, pid_t tid, struct proc_sched *out);

/* The name of a thread; "" when it is gone. out has PROC_COMM bytes. */
void proc_thread_comm(const struct proc *proc, pid_t tid, char *out);

/* Calls fn for each of its threads, until it returns non-zero. */
int proc_each_thread(const struct proc *proc, int (*fn)(void *ctx, pid_t tid), void *ctx);

/* A file-backed mapping. */
struct proc_map {
	uint64_t start, end, offset;
	uint64_t dev, inode;
	bool readable, writable, executable;
	char *path; /* as the process sees it, " (deleted)" stripped */
};

/* All file-backed mappings, in order of address; freed with proc_maps_free(). */
int proc_maps(const struct proc *proc, struct proc_map **out, size_t *count, struct err *err);
void proc_maps_free(struct proc_map *maps, size_t count);

/* The kernel's own mapping of that name, "[vdso]"; -ENOENT when there is none. */
int proc_special_map(const struct proc *proc, const char *name, uint64_t *start, uint64_t *end);

/* Calls fn for each process of this machine (thread group leaders), until it returns non-zero. */
int proc_each(int (*fn)(void *ctx, pid_t pid), void *ctx);

/* Whether comm or the file name of the executable equals name. */
bool proc_named(pid_t pid, const char *name);

#endif
