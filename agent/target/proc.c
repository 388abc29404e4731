// SPDX-License-Identifier: LGPL-2.1-or-later
/* One process from outside; see proc.h. */
#include "target/proc.h"

#include "util/caps.h"
#include "util/clock.h"
#include "util/xalloc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define DELETED " (deleted)"
#define KTHREAD_FLAG 0x00200000 /* PF_KTHREAD, in the flags of stat */

static int read_small(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	else
		buf[n] = '\0';
	close(fd);
	return n;
}

/* A numeric field of stat, counted after the ')' that ends the name: the name may hold anything. */
static int read_stat_field(pid_t pid, int wanted, uint64_t *out)
{
	char path[64], buf[1024], *p;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	n = read_small(path, buf, sizeof(buf));
	if (n < 0)
		return n == -ENOENT ? -ESRCH : n;
	p = strrchr(buf, ')');
	for (int field = 2; p && field < wanted; field++)
		p = strchr(p + 1, ' ');
	if (!p || sscanf(p, " %" SCNu64, out) != 1)
		return -EINVAL;
	return 0;
}

static int read_start_time(pid_t pid, uint64_t *out)
{
	return read_stat_field(pid, 22, out);
}

uint32_t proc_threads(const struct proc *proc)
{
	uint64_t threads;

	return read_stat_field(proc->pid, 20, &threads) ? 0 : threads;
}

enum proc_run proc_thread_run(const struct proc *proc, pid_t tid)
{
	char path[64], buf[1024], *p;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", proc->pid, tid);
	if (read_small(path, buf, sizeof(buf)) < 0)
		return PROC_ASLEEP;
	p = strrchr(buf, ')');
	if (!p || p[1] != ' ')
		return PROC_ASLEEP;
	return p[2] == 'R' ? PROC_READY : p[2] == 'T' || p[2] == 't' ? PROC_HELD : PROC_ASLEEP;
}

bool proc_thread_sched(const struct proc *proc, pid_t tid, struct proc_sched *out)
{
	char path[64], buf[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", proc->pid, tid);
	if (read_small(path, buf, sizeof(buf)) < 0)
		return false;
	return sscanf(buf, "%" SCNu64 " %" SCNu64 " %" SCNu64, &out->cpu_ns, &out->delay_ns,
		      &out->runs) == 3;
}

static void strip_suffix(char *s, const char *suffix)
{
	size_t len = strlen(s), cut = strlen(suffix);

	if (len > cut && strcmp(s + len - cut, suffix) == 0)
		s[len - cut] = '\0';
}

static void read_comm(const char *path, char *out)
{
	char buf[64] = "";

	out[0] = '\0';
	if (read_small(path, buf, sizeof(buf)) <= 0)
		return;
	buf[strcspn(buf, "\n")] = '\0';
	snprintf(out, PROC_COMM, "%.*s", PROC_COMM - 1, buf);
}

void proc_thread_comm(const struct proc *proc, pid_t tid, char *out)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", proc->pid, tid);
	read_comm(path, out);
}

/*
 * A hash of the auxiliary vector: it holds addresses that the kernel draws by lot at each exec, of
 * the vDSO and of 16 random bytes. 0 when it cannot be read.
 */
static uint64_t read_image(pid_t pid)
{
	char path[64], buf[1024] = "";
	uint64_t hash = 0xcbf29ce484222325;
	int n;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	n = read_small(path, buf, sizeof(buf));
	for (int i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)buf[i]) * 0x100000001b3;
	return n > 0 ? hash : 0;
}

bool proc_execed(const struct proc *proc)
{
	uint64_t image = read_image(proc->pid);

	return image && image != proc->image;
}

/* One that has let go of its memory because it ends has no program either. */
static bool is_kernel_thread(pid_t pid)
{
	uint64_t flags;

	return read_stat_field(pid, 9, &flags) == 0 && (flags & KTHREAD_FLAG);
}

/* Why the kernel does not let this process look at that one. */
static int refused(pid_t pid, struct err *err)
{
	if (!caps_have(CAP_SYS_PTRACE))
		return err_set(err, -EACCES,
			       "process %d may not be looked at: run as root, or give stalltop "
			       "CAP_SYS_PTRACE",
			       pid);
	return err_set(err, -EACCES,
		       "process %d may not be looked at, though stalltop has CAP_SYS_PTRACE%s: %sa "
		       "security module of the kernel (AppArmor, SELinux, Landlock, ..) forbids it",
		       pid, caps_in_namespace() ? " in its user namespace" : "",
		       caps_in_namespace() ? "the process belongs to another one, or " : "");
}

int proc_refresh(struct proc *proc, struct err *err)
{
	char path[64];
	ssize_t n;

	proc->image = read_image(proc->pid);
	snprintf(path, sizeof(path), "/proc/%d/comm", proc->pid);
	read_comm(path, proc->comm);
	snprintf(path, sizeof(path), "/proc/%d/exe", proc->pid);
	n = readlink(path, proc->exe, sizeof(proc->exe) - 1);
	if (n < 0 && errno == ENOENT && is_kernel_thread(proc->pid))
		return err_set(err, -ENOENT, "process %d is a kernel thread: nothing to attach to",
			       proc->pid);
	if (n < 0 && (errno == EACCES || errno == EPERM))
		return refused(proc->pid, err);
	if (n < 0)
		return err_set(err, -ESRCH, "process %d is gone", proc->pid);
	proc->exe[n] = '\0';
	strip_suffix(proc->exe, DELETED);
	return 0;
}

int proc_open(pid_t pid, struct proc **out, struct err *err)
{
	struct proc *proc = xcalloc(1, sizeof(*proc));
	int ret;

	proc->pid = pid;
	proc->pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (proc->pidfd < 0) {
		ret = -errno;
		/* A thread that leads no process: EINVAL, and ENOENT since Linux 6.9. */
		if (ret == -EINVAL || ret == -ENOENT)
			ret = err_set(err, -ESRCH,
				      "%d is a thread, not a process: give the id "
				      "of its process",
				      pid);
		else if (ret == -ESRCH)
			err_set(err, ret, "no process with id %d", pid);
		else
			err_set(err, ret, "cannot open process %d: %s%s", pid, strerror(-ret),
				ret == -EPERM || ret == -ENOSYS ?
					" (does a seccomp filter forbid pidfd_open?)" :
					"");
		goto fail;
	}
	ret = read_start_time(pid, &proc->start_time);
	if (ret) {
		err_set(err, -ESRCH, "process %d is gone", pid);
		ret = -ESRCH;
		goto fail;
	}
	ret = proc_refresh(proc, err);
	if (ret)
		goto fail;
	*out = proc;
	return 0;
fail:
	proc_close(proc);
	return ret;
}

void proc_close(struct proc *proc)
{
	if (!proc)
		return;
	if (proc->pidfd >= 0)
		close(proc->pidfd);
	free(proc);
}

bool proc_alive(const struct proc *proc)
{
	struct pollfd p = {.fd = proc->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) <= 0;
}

bool proc_same(const struct proc *proc)
{
	uint64_t start;

	return proc_alive(proc) && read_start_time(proc->pid, &start) == 0 &&
	       start == proc->start_time;
}

uint64_t proc_cpu_ns(const struct proc *proc)
{
	clockid_t clock;

	return clock_getcpuclockid(proc->pid, &clock) ? 0 : clock_ns(clock);
}

bool proc_filtered(const struct proc *proc)
{
	char path[64], buf[4096];
	const char *p;

	snprintf(path, sizeof(path), "/proc/%d/status", proc->pid);
	if (read_small(path, buf, sizeof(buf)) <= 0)
		return true;
	p = strstr(buf, "\nSeccomp:");
	return !p || strtoul(p + strlen("\nSeccomp:"), NULL, 10) != 0;
}

uint64_t proc_exec_kib(const struct proc *proc)
{
	char path[64], buf[4096], *p;
	uint64_t exe = 0, lib = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", proc->pid);
	if (read_small(path, buf, sizeof(buf)) <= 0)
		return 0;
	p = strstr(buf, "\nVmExe:");
	if (p)
		sscanf(p, "\nVmExe: %" SCNu64, &exe);
	p = strstr(buf, "\nVmLib:");
	if (p)
		sscanf(p, "\nVmLib: %" SCNu64, &lib);
	return exe + lib;
}

uint32_t proc_cpus(const struct proc *proc)
{
	cpu_set_t set;

	if (sched_getaffinity(proc->pid, sizeof(set), &set))
		return sysconf(_SC_NPROCESSORS_ONLN);
	return CPU_COUNT(&set);
}

/* "start-end perms offset major:minor inode   path"; false for what is not backed by a file. */
static bool parse_map(char *line, struct proc_map *map)
{
	unsigned int major, minor;
	char perms[5];
	int used = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &map->start, &map->end, perms, &map->offset, &major, &minor, &map->inode,
		   &used) < 7)
		return false;
	if (map->inode == 0 || used == 0 || line[used] != '/' || map->end <= map->start)
		return false;
	map->dev = makedev(major, minor);
	map->readable = perms[0] == 'r';
	map->writable = perms[1] == 'w';
	map->executable = perms[2] == 'x';
	line[strcspn(line, "\n")] = '\0';
	strip_suffix(line + used, DELETED);
	map->path = xstrdup(line + used);
	return true;
}

int proc_maps(const struct proc *proc, struct proc_map **out, size_t *count, struct err *err)
{
	struct proc_map *maps = NULL, map;
	size_t cap = 0, n = 0, size = 0;
	char path[64], *line = NULL;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", proc->pid);
	f = fopen(path, "re");
	if (!f && (errno == EACCES || errno == EPERM))
		return refused(proc->pid, err);
	if (!f)
		return err_set(err, -ESRCH, "process %d is gone", proc->pid);
	while (n < PROC_MAX_MAPS && getline(&line, &size, f) > 0) {
		memset(&map, 0, sizeof(map));
		if (!parse_map(line, &map))
			continue;
		maps = xgrow(maps, &cap, n + 1, sizeof(*maps));
		maps[n++] = map;
	}
	free(line);
	fclose(f);
	*out = maps;
	*count = n;
	return 0;
}

int proc_special_map(const struct proc *proc, const char *name, uint64_t *start, uint64_t *end)
{
	char path[64], *line = NULL;
	int ret = -ENOENT;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", proc->pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (ret && getline(&line, &size, f) > 0) {
		const char *at = strrchr(line, ' ');

		line[strcspn(line, "\n")] = '\0';
		if (at && strcmp(at + 1, name) == 0 &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64, start, end) == 2 && *end > *start)
			ret = 0;
	}
	free(line);
	fclose(f);
	return ret;
}

void proc_maps_free(struct proc_map *maps, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(maps[i].path);
	free(maps);
}

static int each_number(const char *folder, int (*fn)(void *ctx, pid_t id), void *ctx)
{
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	dir = opendir(folder);
	if (!dir)
		return -errno;
	while (!ret && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			ret = fn(ctx, atoi(entry->d_name));
	closedir(dir);
	return ret;
}

int proc_each(int (*fn)(void *ctx, pid_t pid), void *ctx)
{
	return each_number("/proc", fn, ctx);
}

int proc_each_thread(const struct proc *proc, int (*fn)(void *ctx, pid_t tid), void *ctx)
{
	char folder[64];

	snprintf(folder, sizeof(folder), "/proc/%d/task", proc->pid);
	return each_number(folder, fn, ctx);
}

bool proc_named(pid_t pid, const char *name)
{
	char path[64], comm[PROC_COMM], exe[PATH_MAX];
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	read_comm(path, comm);
	if (comm[0] && strcmp(comm, name) == 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	strip_suffix(exe, DELETED);
	base = strrchr(exe, '/');
	return base && strcmp(base + 1, name) == 0;
}
