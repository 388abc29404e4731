// SPDX-License-Identifier: LGPL-2.1-or-later
/* Starts a program and holds it; see launch.h. */
#include "attach/launch.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BREAKPOINT 0xcc

/* In the child: from here on only what may be done between fork and exec. */
static void run_child(char *const argv[], bool quiet, int report)
{
	int error;

	if (quiet)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	signal(SIGPIPE, SIG_DFL);
	/* Standard output is the report's, to be read by programs: theirs must not fall into it. */
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
		execvp(argv[0], argv);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

/* Waits for the stop that exec causes; the pipe tells why there was none. */
static int wait_exec(pid_t pid, int report, const char *name, struct err *err)
{
	int status, error = 0;

	if (waitpid(pid, &status, 0) != pid)
		return err_set(err, -errno, "cannot wait for %s: %s", name, strerror(errno));
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		return 0;
	if (read(report, &error, sizeof(error)) != sizeof(error))
		error = ECHILD;
	return err_set(err, -error, "cannot run %s: %s", name, strerror(error));
}

static int read_aux(pid_t pid, uint64_t type, uint64_t *value)
{
	Elf64_auxv_t aux[64];
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, aux, sizeof(aux));
	close(fd);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(aux[0]); i++) {
		if (aux[i].a_type == type) {
			*value = aux[i].a_un.a_val;
			return 0;
		}
	}
	return -ENOENT;
}

/* Runs until the breakpoint; signals that come earlier are passed on. */
static int wait_trap(pid_t pid)
{
	int status, signal = 0;

	for (;;) {
		if (ptrace(PTRACE_CONT, pid, 0, signal))
			return -errno;
		if (waitpid(pid, &status, 0) != pid)
			return -errno;
		if (!WIFSTOPPED(status))
			return -ECHILD;
		signal = WSTOPSIG(status);
		if (signal == SIGTRAP)
			return 0;
	}
}

static int run_to_entry(pid_t pid, uint64_t entry)
{
	struct user_regs_struct regs;
	long word;
	int ret;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, entry, 0);
	if (errno || ptrace(PTRACE_POKETEXT, pid, entry, (word & ~0xffL) | BREAKPOINT))
		return -errno;
	ret = wait_trap(pid);
	if (ret)
		return ret;
	if (ptrace(PTRACE_POKETEXT, pid, entry, word) || ptrace(PTRACE_GETREGS, pid, 0, &regs))
		return -errno;
	if (regs.rip != entry + 1)
		return -EPROTO;
	regs.rip = entry;
	return ptrace(PTRACE_SETREGS, pid, 0, &regs) ? -errno : 0;
}

/* What the kernel told the new program says it all; its file need not be read. */
static int to_start(struct launch *launch, const char *name, struct err *err)
{
	uint64_t loader = 0, entry = 0;
	int ret;

	/* Nothing of it in a 32-bit program, which whoever looks at the file refuses. */
	if (read_aux(launch->pid, AT_ENTRY, &entry) || read_aux(launch->pid, AT_BASE, &loader))
		return 0;
	launch->unrelocated = !loader;
	if (!loader)
		return 0;
	ret = run_to_entry(launch->pid, entry);
	if (ret)
		return err_set(err, ret, "cannot hold %s at its entry point: %s", name,
			       strerror(-ret));
	return 0;
}

int launch_start(char *const argv[], bool quiet, struct launch *out, struct err *err)
{
	int report[2], ret;

	*out = (struct launch){0};
	if (pipe2(report, O_CLOEXEC))
		return err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
	out->pid = fork();
	if (out->pid == 0)
		run_child(argv, quiet, report[1]);
	ret = out->pid < 0 ? -errno : 0;
	close(report[1]);
	if (ret)
		err_set(err, ret, "cannot start a process: %s", strerror(-ret));
	else
		ret = wait_exec(out->pid, report[0], argv[0], err);
	if (!ret) {
		ret = to_start(out, argv[0], err);
		if (ret)
			launch_end(out->pid, 0);
	}
	close(report[0]);
	return ret;
}

int launch_release(const struct launch *launch, struct err *err)
{
	if (ptrace(PTRACE_DETACH, launch->pid, 0, 0))
		return err_set(err, -errno, "cannot let process %d go: %s", launch->pid,
			       strerror(errno));
	return 0;
}

void launch_end(pid_t pid, int ms)
{
	struct pollfd p = {.fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (p.fd < 0)
		return;
	if (ms > 0) {
		kill(pid, SIGTERM);
		poll(&p, 1, ms);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(p.fd);
}
