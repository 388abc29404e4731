// SPDX-License-Identifier: LGPL-2.1-or-later
/* uprobe_multi links; see link.h. */
#include "attach/link.h"

#include "util/clock.h"
#include "util/xalloc.h"

#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KERNEL_ENOTSUPP 524
#define MULTI_RETURN 1 /* BPF_F_UPROBE_MULTI_RETURN */

/* The head of union bpf_attr for this command, as Linux 6.6 laid it down. */
struct link_create_attr {
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};

static int link_create(int prog_fd, const char *path, pid_t pid, const uint64_t *offsets,
		       const uint64_t *cookies, const uint64_t *semaphores, size_t count,
		       uint32_t flags)
{
	struct link_create_attr attr = {
		.prog_fd = prog_fd,
		.attach_type = BPF_ATTACH_TRACE_UPROBE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.ref_ctr_offsets = (uintptr_t)semaphores,
		.count = count,
		.multi_flags = flags,
		.pid = pid,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* Errors that one site can cause; the others concern the whole call. */
static int is_site_error(int error)
{
	return error == -KERNEL_ENOTSUPP || error == -EOPNOTSUPP || error == -EINVAL ||
	       error == -EIO;
}

/* What the keeper tells, in memory that both share. */
struct report {
	int ret;
	size_t attached;
	int errors[]; /* a site each */
};

/* The keeper's side of an attach. */
struct keeper {
	int prog_fd, sock;
	uint32_t flags;
	const char *path;
	pid_t pid;
	const struct link_site *sites;
	struct report *report;
	int *fds;
	size_t count, cap;
};

static int attach_range(struct keeper *keeper, size_t first, size_t count)
{
	uint64_t *offsets = xcalloc(count, sizeof(*offsets));
	uint64_t *cookies = xcalloc(count, sizeof(*cookies));
	uint64_t *semaphores = xcalloc(count, sizeof(*semaphores));
	int fd, ret = 0;

	for (size_t i = 0; i < count; i++) {
		offsets[i] = keeper->sites[first + i].offset;
		cookies[i] = keeper->sites[first + i].cookie;
		semaphores[i] = keeper->sites[first + i].semaphore;
	}
	fd = link_create(keeper->prog_fd, keeper->path, keeper->pid, offsets, cookies, semaphores,
			 count, keeper->flags);
	free(offsets);
	free(cookies);
	free(semaphores);
	if (fd >= 0) {
		keeper->fds = xgrow(keeper->fds, &keeper->cap, keeper->count + 1,
				    sizeof(*keeper->fds));
		keeper->fds[keeper->count++] = fd;
		keeper->report->attached += count;
		return 0;
	}
	if (!is_site_error(fd))
		return fd;
	if (count == 1) {
		keeper->report->errors[first] = fd;
		return 0;
	}
	ret = attach_range(keeper, first, count / 2);
	if (!ret)
		ret = attach_range(keeper, first + count / 2, count - count / 2);
	return ret;
}

static void close_others(int a, int b)
{
	unsigned int low = a < b ? a : b, high = a < b ? b : a;

	if (low)
		close_range(0, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0U, 0);
}

/* In the keeper: attaches, and detaches when the agent has closed its end or is no more. */
static void keeper_run(struct keeper *keeper, size_t count)
{
	sigset_t all;
	char byte = 0;
	int ret = 0;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "probe-keeper");
	close_others(keeper->prog_fd, keeper->sock);
	for (size_t i = 0; i < count && !ret; i += LINK_BATCH)
		ret = attach_range(keeper, i, count - i < LINK_BATCH ? count - i : LINK_BATCH);
	keeper->report->ret = ret;
	close(keeper->prog_fd);
	if (send(keeper->sock, &byte, 1, MSG_NOSIGNAL) == 1)
		while (read(keeper->sock, &byte, 1) > 0)
			;
	while (keeper->count)
		close(keeper->fds[--keeper->count]);
	_exit(0);
}

/* Starts the keeper and waits until it has attached. */
static int keeper_start(struct link_set *set, struct keeper *keeper, size_t count)
{
	int socks[2];
	char byte;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		return -errno;
	keeper->sock = socks[1];
	set->keeper = fork();
	if (set->keeper == 0)
		keeper_run(keeper, count);
	close(socks[1]);
	if (set->keeper < 0) {
		n = -errno;
		set->keeper = 0;
		close(socks[0]);
		return n;
	}
	set->sock = socks[0];
	do
		n = read(set->sock, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? keeper->report->ret : -ECHILD;
}

static int attach(struct link_set *set, int prog_fd, uint32_t flags, const char *path, pid_t pid,
		  struct link_site *sites, size_t count, struct err *err)
{
	size_t size = sizeof(struct report) + count * sizeof(int);
	struct report *report = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				     -1, 0);
	struct keeper keeper = {
		.prog_fd = prog_fd,
		.flags = flags,
		.path = path,
		.pid = pid,
		.sites = sites,
		.report = report,
	};
	int ret;

	if (report == MAP_FAILED)
		return err_set(err, -ENOMEM, "cannot probe %s: %s", path, strerror(errno));
	ret = count ? keeper_start(set, &keeper, count) : 0;
	set->attached = report->attached;
	for (size_t i = 0; i < count; i++)
		sites[i].error = report->errors[i];
	munmap(report, size);
	if (ret)
		link_detach(set);
	if (ret == -EPERM)
		return err_set(err, ret,
			       "the kernel refuses the probes: run as root, or give "
			       "stalltop CAP_BPF and CAP_PERFMON");
	if (ret == -ENOENT)
		return err_set(err, ret,
			       "cannot probe %s: no longer mapped; the process runs another "
			       "program by now, or has unloaded it",
			       path);
	if (ret)
		return err_set(err, ret, "cannot probe %s: %s", path, strerror(-ret));
	if (count && !set->attached && sites[0].error == -EINVAL)
		return err_set(err, -EINVAL,
			       "this kernel has no multi-uprobe link: Linux 6.6 or "
			       "newer is needed");
	return 0;
}

int link_attach(struct link_set *set, int prog_fd, const char *path, pid_t pid,
		struct link_site *sites, size_t count, struct err *err)
{
	return attach(set, prog_fd, 0, path, pid, sites, count, err);
}

int link_attach_returns(struct link_set *set, int prog_fd, const char *path, pid_t pid,
			struct link_site *sites, size_t count, struct err *err)
{
	return attach(set, prog_fd, MULTI_RETURN, path, pid, sites, count, err);
}

void link_detach(struct link_set *set)
{
	if (set->keeper) {
		if (set->sock >= 0)
			close(set->sock);
		while (waitpid(set->keeper, NULL, 0) < 0 && errno == EINTR)
			;
	}
	*set = (struct link_set){0};
}

static uint64_t time_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000000ULL + (uint64_t)t->tv_usec * 1000;
}

bool link_detach_cost(struct link_set *set, uint64_t *cpu_ns)
{
	struct rusage usage;

	memset(&usage, 0, sizeof(usage));
	if (set->keeper && set->sock >= 0) {
		close(set->sock);
		set->sock = -1;
	}
	if (set->keeper && wait4(set->keeper, NULL, WNOHANG, &usage) == 0)
		return false;
	*cpu_ns += time_ns(&usage.ru_utime) + time_ns(&usage.ru_stime);
	*set = (struct link_set){0};
	return true;
}

bool link_detach_try(struct link_set *set)
{
	uint64_t unused = 0;

	return link_detach_cost(set, &unused);
}

uint64_t link_cpu_ns(const struct link_set *set)
{
	clockid_t clock;

	return !set->keeper || clock_getcpuclockid(set->keeper, &clock) ? 0 : clock_ns(clock);
}
